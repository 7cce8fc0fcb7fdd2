# SPDX-License-Identifier: GPL-2.0
"""Processes that are odd by themselves: names, ids, states, sessions, roots."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import forked
import procfs
import syscalls
from zoo import Specimen, Zoo, own_pid, spawn, wait_forever

COMMS = {
    "comm blanks": b"a b  c",
    "comm line feed": b"one\ntwo",
    "comm backslash": b"back\\slash\\040",
    "comm signs": b"k=v,w@x#y",
    "comm bytes": b"\xff\x80\xc3\xa9\x01\x7f\t\r",
    "comm dash": b"-",
    "comm empty": b"",
    "comm longest": b"fifteen bytes !",
    "comm like a record": b") R 1\nend ns=0",
}

REAL_UID, REAL_GID = 1001, 2001
EFFECTIVE_UID, EFFECTIVE_GID = 1002, 2002
EXTRA_THREADS = 3


def _set_comm(name: bytes) -> Callable[[], None]:
    return lambda: syscalls.set_comm(name)


def _change_ids() -> None:
    os.setresgid(REAL_GID, EFFECTIVE_GID, 2003)
    os.setresuid(REAL_UID, EFFECTIVE_UID, 1003)


def start_threads(count: int) -> None:
    """Starts threads that wait forever."""
    ready = threading.Barrier(count + 1)

    def body() -> None:
        ready.wait()
        wait_forever()

    for _ in range(count):
        threading.Thread(target=body, daemon=True).start()
    ready.wait()


def wait_for_state(pid: int, state: str) -> None:
    """Waits until a process is in a state."""

    def has_state() -> bool:
        process = procfs.read_process(pid)
        return process is not None and process.state == state

    forked.wait_until(has_state, f"process {pid} is in state {state}")


def zombie(arrange: Callable[[], None]) -> Specimen:
    """A process that has exited and is not waited for."""
    pid = os.fork()
    if pid == 0:
        try:
            arrange()
        finally:
            os._exit(0)
    wait_for_state(pid, "Z")
    return Specimen(pid)


def _zombie_leader(zoo: Zoo) -> None:
    """The first thread of a process exits, another one lives."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            start_threads(1)
            os.write(writer, b"x")
            syscalls.exit_thread()
        finally:
            os._exit(1)
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"x"
    finally:
        os.close(reader)
    wait_for_state(pid, "Z")
    zoo.add("zombie leader", Specimen(pid))


def _vforking(zoo: Zoo) -> None:
    """A process that waits, not to be interrupted, for the child that it forked with CLONE_VFORK."""

    def arrange() -> int:
        syscalls.syscall(syscalls.SYS_CLONE, syscalls.CLONE_VFORK | signal.SIGCHLD, 0, 0, 0, 0)
        return own_pid()  # in the child: the parent does not return

    parent = zoo.spawn("vforking", arrange)
    zoo.add("vforked", Specimen(parent.report))
    wait_for_state(parent.pid, "D")


def _orphan(zoo: Zoo) -> None:
    """A process whose parent, session leader and group leader is gone, its number still in use."""

    def arrange() -> tuple[int, int]:
        os.setsid()
        session = os.getpid()
        if os.fork():
            os._exit(0)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 0)
        return own_pid(), session

    leader = spawn(arrange)
    os.waitpid(leader.pid, 0)
    pid, session = leader.report
    zoo.add("orphan", Specimen(pid, session))


CHROOT_DIR = b"/tmp/new root"


def _scratch() -> None:
    """Gives the process a mount namespace of its own, with a fresh /tmp."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, b"/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount(b"scratch", b"/tmp", b"tmpfs")


def _chroot(path: bytes) -> None:
    os.chroot(path)
    os.chdir("/")


def _chrooted() -> None:
    _scratch()
    os.mkdir(CHROOT_DIR)
    os.mkdir(CHROOT_DIR + b"/inner")
    syscalls.mount(b"inner", CHROOT_DIR + b"/inner", b"tmpfs")
    _chroot(CHROOT_DIR)


def _chrooted_to_mount() -> None:
    _scratch()
    os.mkdir(b"/tmp/m")
    syscalls.mount(b"m", b"/tmp/m", b"tmpfs")
    _chroot(b"/tmp/m")


def _chrooted_to_deleted() -> None:
    _scratch()
    os.mkdir(b"/tmp/gone")
    parent = os.open(b"/tmp", os.O_RDONLY | os.O_DIRECTORY)
    _chroot(b"/tmp/gone")
    os.rmdir(b"gone", dir_fd=parent)


def _leave_all_but_root() -> None:
    """Goes to a new mount namespace with the root left in the old one."""
    os.mkdir(b"/tmp/foreign")
    fd = os.open(b"/tmp/foreign", os.O_PATH)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    os.fchdir(fd)
    _chroot(b".")


def _foreign_root() -> None:
    """A root in another mount namespace, which a descriptor keeps alive."""
    _scratch()
    os.open("/proc/self/ns/mnt", os.O_RDONLY)
    _leave_all_but_root()


def _detached_root() -> None:
    """A root that is in no mount namespace any more."""
    _scratch()
    _leave_all_but_root()


def _foreign_cwd() -> None:
    """A working directory in the mount namespace that the process has left."""
    fd = os.open("/usr", os.O_PATH)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    os.fchdir(fd)
    os.close(fd)


def _detached_cwd() -> None:
    """A working directory on a mount that is in no mount namespace any more."""
    _scratch()
    os.chdir("/tmp")
    syscalls.umount(b"/tmp", syscalls.MNT_DETACH)


ODD_DIR = b"/tmp/user@1000,a=b#c"
"""Nothing of its name is special in a path."""


def _odd_cwd() -> None:
    _scratch()
    os.mkdir(ODD_DIR)
    os.chdir(ODD_DIR)


DELETED_DIR = b"/tmp/gone too"


def _deleted_cwd() -> None:
    _scratch()
    os.mkdir(DELETED_DIR)
    os.chdir(DELETED_DIR)
    os.rmdir(DELETED_DIR)


DROPPED = 21
"""CAP_SYS_ADMIN."""


def settle(zoo: Zoo) -> None:
    """Makes them."""
    for name, comm in COMMS.items():
        zoo.spawn(name, _set_comm(comm))
    zoo.spawn("ids", _change_ids)
    zoo.spawn("threads", lambda: start_threads(EXTRA_THREADS))
    zoo.spawn("session leader", os.setsid)
    zoo.spawn("group leader", lambda: os.setpgid(0, 0))
    _orphan(zoo)
    zoo.add("zombie", zombie(lambda: syscalls.set_comm(b"dead, and odd\n")))
    _zombie_leader(zoo)
    _vforking(zoo)
    stopped = zoo.spawn("stopped", lambda: None)
    os.kill(stopped.pid, signal.SIGSTOP)
    wait_for_state(stopped.pid, "T")
    traced = zoo.spawn("traced", lambda: None)
    syscalls.ptrace(syscalls.PTRACE_ATTACH, traced.pid)
    wait_for_state(traced.pid, "t")
    zoo.spawn("chrooted", _chrooted)
    zoo.spawn("chrooted to mount", _chrooted_to_mount)
    zoo.spawn("chrooted to deleted", _chrooted_to_deleted)
    zoo.spawn("foreign root", _foreign_root)
    zoo.spawn("detached root", _detached_root)
    zoo.spawn("foreign cwd", _foreign_cwd)
    zoo.spawn("detached cwd", _detached_cwd)
    zoo.spawn("odd cwd", _odd_cwd)
    zoo.spawn("deleted cwd", _deleted_cwd)
    zoo.spawn("without capability", lambda: syscalls.drop_capability(DROPPED))
    zoo.spawn("no new privileges", lambda: syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1))
    if syscalls.has_seccomp():
        zoo.spawn("filtered", syscalls.filter_nothing)
