# SPDX-License-Identifier: GPL-2.0
"""A process whose threads went different ways."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial

import syscalls
from specimens.cgroups import MOUNT, TOP, remove
from zoo import Zoo, wait_forever

CGROUP = TOP + b"/threads"
CGROUP_INNER = CGROUP + b"/one thread"
UID = 1003
NODENAME = b"of one thread"


def _uts() -> None:
    syscalls.unshare(syscalls.CLONE_NEWUTS)
    syscalls.sethostname(NODENAME)


def _mnt() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, b"/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount(b"of one thread", b"/tmp", b"tmpfs")


def _enter(pid: int, link: str) -> None:
    fd = os.open(f"/proc/{pid}/ns/{link}", os.O_RDONLY)
    syscalls.setns(fd)
    os.close(fd)


def _change_uid() -> None:
    # The call of the C library would change all threads.
    syscalls.syscall(syscalls.SYS_SETRESUID, UID, UID, UID)


def _chroot() -> None:
    syscalls.unshare(syscalls.CLONE_FS)
    os.chroot("/usr")


def _enter_cgroup() -> None:
    with open(MOUNT + CGROUP_INNER + b"/cgroup.threads", "wb") as file:
        file.write(b"0")


def _comm() -> None:
    syscalls.set_comm(b"one = thread")


def _odd(pid: int) -> dict[str, int]:
    """Starts the threads, and says who is who. `pid` is a process in namespaces of its own."""
    ways: dict[str, Callable[[], None]] = {
        "uts": _uts,
        "ipc": lambda: syscalls.unshare(syscalls.CLONE_NEWIPC),
        "net": lambda: syscalls.unshare(syscalls.CLONE_NEWNET),
        "cgroup ns": lambda: syscalls.unshare(syscalls.CLONE_NEWCGROUP),
        "mnt": _mnt,
        "pid": lambda: syscalls.unshare(syscalls.CLONE_NEWPID),
        "entered uts": lambda: _enter(pid, "uts"),
        "entered net": lambda: _enter(pid, "net"),
        "uid": _change_uid,
        "chroot": _chroot,
        "cgroup": _enter_cgroup,
        "comm": _comm,
        "plain": lambda: None,
    }
    with open(MOUNT + CGROUP + b"/cgroup.procs", "wb") as file:
        file.write(b"0")
    tids: dict[str, int] = {}
    errors: list[str] = []
    ready = threading.Barrier(len(ways) + 1)

    def go(name: str, way: Callable[[], None]) -> None:
        tids[name] = threading.get_native_id()
        try:
            way()
        except Exception as error:
            errors.append(f"{name}: {error!r}")
        ready.wait()
        wait_forever()

    for name, way in ways.items():
        threading.Thread(target=go, args=(name, way), daemon=True).start()
    ready.wait()
    if errors:
        raise OSError("; ".join(errors))
    return tids


def settle(zoo: Zoo) -> None:
    """Makes it."""
    for cgroup in (CGROUP, CGROUP_INNER):
        os.mkdir(MOUNT + cgroup)
        zoo.on_close(partial(remove, MOUNT + cgroup))
    with open(MOUNT + CGROUP_INNER + b"/cgroup.type", "wb") as file:
        file.write(b"threaded")
    host = zoo["everything"].report
    zoo.spawn("odd threads", lambda: _odd(host))
