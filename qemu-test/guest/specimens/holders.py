# SPDX-License-Identifier: GPL-2.0
"""Processes that keep a file system busy or a namespace alive, each by something else."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import forked
import nsfs
import syscalls
from specimens import mounts
from syscalls import AT_FDCWD, AT_RECURSIVE, CLONE_FILES, CLONE_FS, CLONE_VM, CLONE_NEWNET, CLONE_NEWPID, OPEN_TREE_CLONE
from zoo import Specimen, end, own_pid, spawn

PLACE = mounts.BASE + b"/held"
PROGRAM = b"/bin/sleep"

_kept: list[object] = []
"""What a process holds on to."""

_O_CLOEXEC = 0o2000000


def open_tree(path: bytes, flags: int = 0) -> int:
    """A copy of a mount, in no namespace."""
    return syscalls.syscall(syscalls.SYS_OPEN_TREE, AT_FDCWD, path, OPEN_TREE_CLONE | _O_CLOEXEC | flags)


def make_place(path: bytes = PLACE) -> None:
    """Mounts a file system in which there are a directory, a file, and a program."""
    os.makedirs(path, exist_ok=True)
    syscalls.mount(b"held", path, b"tmpfs")
    os.mkdir(path + b"/dir")
    with open(path + b"/file", "wb") as file:
        file.write(bytes(8192))
    shutil.copy(PROGRAM, path + b"/program")


def by_descriptor() -> None:
    """A file that is open, and one that was removed since."""
    _kept.append(os.open(PLACE + b"/dir", os.O_RDONLY))
    _kept.append(os.open(PLACE + b"/removed", os.O_RDWR | os.O_CREAT))
    os.unlink(PLACE + b"/removed")


def by_mapping() -> None:
    """A file that is mapped twice, and open no more."""
    with open(PLACE + b"/file", "r+b") as file:
        _kept.append(mmap.mmap(file.fileno(), 4096))
        # Another one in between, so that they are no neighbours.
        with open(PROGRAM, "rb") as other:
            _kept.append(mmap.mmap(other.fileno(), 4096, prot=mmap.PROT_READ))
        _kept.append(mmap.mmap(file.fileno(), 4096, offset=4096, prot=mmap.PROT_READ))


def by_program() -> Specimen:
    """A program that runs."""
    pid = os.fork()
    if pid == 0:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.execv(PLACE + b"/program", [b"sleep", b"100000"])
    forked.wait_until(
        lambda: os.readlink(f"/proc/{pid}/exe").endswith("/program"), "the program runs"
    )
    return Specimen(pid)


def reasons() -> dict[str, Callable[[], object]]:
    """What processes do that keep the place busy, by how it is called."""
    return {
        "fd": by_descriptor,
        "cwd": lambda: os.chdir(PLACE + b"/dir"),
        "root": lambda: os.chroot(PLACE),
        "map": by_mapping,
    }


def in_thread(act: Callable[[], object]) -> int:
    """Has a thread do something, and stay; its number."""
    numbers: list[int] = []
    failures: list[BaseException] = []

    def live() -> None:
        try:
            act()
        except BaseException as error:
            failures.append(error)
        numbers.append(threading.get_native_id())
        while True:
            time.sleep(1000)

    threading.Thread(target=live, daemon=True).start()
    while not numbers:
        time.sleep(0.001)
    if failures:
        raise failures[0]
    return numbers[0]


def thread_with_own_table(path: bytes) -> int:
    """A thread that has a table of descriptors of its own, and opens a file in it."""

    def act() -> None:
        syscalls.unshare(CLONE_FILES)
        _kept.append(os.open(path, os.O_RDONLY))

    return in_thread(act)


def thread_with_own_directory(path: bytes) -> int:
    """A thread that has a working directory of its own."""

    def act() -> None:
        syscalls.unshare(CLONE_FS)
        os.chdir(path)

    return in_thread(act)


def sharing_table(path: bytes) -> int:
    """Forks a process that shares the table of descriptors, in which a file is open; its number."""
    _kept.append(os.open(path, os.O_RDONLY))
    pid = syscalls.syscall(syscalls.SYS_CLONE, CLONE_FILES | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        while True:
            time.sleep(1000)
    return pid


def sharing_memory() -> int:
    """Forks a process that shares the memory; its number. The process itself waits until that ends."""
    flags = CLONE_VM | syscalls.CLONE_VFORK | signal.SIGCHLD
    syscalls.syscall(syscalls.SYS_CLONE, flags, 0, 0, 0, 0)
    # This is the child: the other one does not return.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    return own_pid()


def foreign_socket() -> tuple[int, int]:
    """A socket of a network namespace that nobody is in; the namespace, and the descriptor."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    syscalls.unshare(CLONE_NEWNET)
    inum = os.stat("/proc/thread-self/ns/net").st_ino
    kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    syscalls.setns(home, CLONE_NEWNET)
    os.close(home)
    _kept.append(kept)
    return inum, kept.fileno()


def in_flight() -> int:
    """A file of a network namespace that nobody is in, in a message that nobody reads; the namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    syscalls.unshare(CLONE_NEWNET)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    inum = os.fstat(own).st_ino
    syscalls.setns(home, CLONE_NEWNET)
    ends = socket.socketpair()
    socket.send_fds(ends[0], [b"x"], [own])
    os.close(own)
    os.close(home)
    _kept.append(ends)
    return inum


def dying_namespace() -> tuple[int, int, int]:
    """A pid namespace whose process 1 is dead, and a process in it that its parent outside has not waited
    for: the namespace, its process 1, and that process."""
    home = nsfs.open_link(os.getpid(), "pid_for_children")
    assert home is not None
    syscalls.unshare(CLONE_NEWPID)
    first = spawn(lambda: None)
    inum = os.stat(f"/proc/{first.pid}/ns/pid").st_ino
    second = os.fork()
    if second == 0:
        while True:
            signal.pause()
    syscalls.setns(home, CLONE_NEWPID)
    os.close(home)
    os.kill(first.pid, signal.SIGKILL)
    # The kernel kills it once the namespace takes no more processes. It is left as a zombie.
    os.waitid(os.P_PID, second, os.WEXITED | os.WNOWAIT)
    return inum, first.pid, second


def tree_with_mounts() -> tuple[int, int]:
    """A mount tree of two mounts that only a descriptor leads to: of these, the ids of the devices."""
    inner = PLACE + b"/dir"
    mounts.private_namespace()
    make_place()
    syscalls.mount(b"inner", inner, b"tmpfs")
    devices = os.stat(PLACE).st_dev, os.stat(inner).st_dev
    _kept.append(open_tree(PLACE, AT_RECURSIVE))
    syscalls.umount(inner)
    syscalls.umount(PLACE)
    return devices


@dataclass(frozen=True)
class World:
    """Processes that keep things, all children of one, in a mount namespace of their own."""

    pid: int
    device: tuple[int, int]
    mount: int
    """The 64-bit id of the mount that most of them keep busy."""
    pids: dict[str, int]
    """By what each does."""
    reports: dict[str, Any]

    @property
    def left(self) -> list[int]:
        """Those that end when the first one does."""
        return [*self.pids.values(), self.reports["shared table"], self.reports["shared memory"]]


def _arrange() -> World:
    mounts.private_namespace()
    make_place()
    place = syscalls.statx(PLACE)
    made = {name: spawn(reason) for name, reason in reasons().items()}
    made["exe"] = by_program()
    for name, act in {
        "own table": lambda: thread_with_own_table(PLACE + b"/dir"),
        "own directory": lambda: thread_with_own_directory(PLACE + b"/dir"),
        "shared table": lambda: sharing_table(PLACE + b"/dir"),
        "shared memory": sharing_memory,
        "socket": foreign_socket,
        "in flight": in_flight,
        "dying": dying_namespace,
    }.items():
        made[name] = spawn(act)
    return World(
        own_pid(),
        place.device,
        place.mount,
        {name: one.pid for name, one in made.items()},
        {name: one.report for name, one in made.items()},
    )


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Makes it, and takes it down."""
    specimen = spawn(_arrange)
    made = specimen.report
    assert isinstance(made, World)
    try:
        yield made
    finally:
        _, first, second = made.reports["dying"]
        # The first one waits for the second to be waited for.
        end(specimen, *made.left, second, first)
