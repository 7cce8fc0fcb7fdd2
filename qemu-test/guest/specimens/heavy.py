# SPDX-License-Identifier: GPL-2.0
"""A place that takes more memory to show than most: every buffer of the module has to grow for it."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import nsfs
import syscalls
from specimens.cgroups import MOUNT, remove
from specimens.mounts import BASE, private_namespace
from syscalls import (
    CLONE_FS,
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)
from zoo import end, own_pid, spawn, wait_forever

MOUNTS = 300
ROOTS = 80
# Longer together than PATH_MAX, and each blank takes four bytes in mountinfo.
DEPTH = 20
NAME = b" " * 250


@dataclass(frozen=True)
class Heavy:
    """What to ask for."""

    pid: int
    """The process with the threads, and with the most of everything."""
    left: tuple[int, ...]
    """Those that die of its death."""
    pid_ns: int
    """A pid namespace that has a process 1."""
    mnt_ns: int
    """The mount namespace."""
    device: tuple[int, int]
    """A device with many mounts there."""


def _mounts() -> tuple[int, int]:
    """Many mounts of one file system, one of them further down than a path can say."""
    private_namespace()
    os.mkdir(BASE + b"/source")
    for number in range(MOUNTS):
        point = BASE + b"/" + b"mount-point" * 15 + b"%d" % number
        os.mkdir(point)
        syscalls.bind(BASE + b"/source", point)
    os.chdir(BASE)
    for _ in range(DEPTH):
        os.mkdir(NAME)
        os.chdir(NAME)
    syscalls.mount(b"deep", b".", b"tmpfs")
    os.chdir("/")
    device = os.stat(BASE).st_dev
    return os.major(device), os.minor(device)


def _start_threads() -> None:
    """Threads with a root directory each."""
    ready = threading.Barrier(ROOTS + 1)
    errors: list[str] = []

    def body(number: int) -> None:
        try:
            syscalls.unshare(CLONE_FS)
            root = BASE + b"/root%d" % number
            os.mkdir(root)
            os.chroot(root)
        except Exception as error:
            errors.append(repr(error))
        ready.wait()
        wait_forever()

    for number in range(ROOTS):
        threading.Thread(target=body, args=(number,), daemon=True).start()
    ready.wait()
    if errors:
        raise OSError("; ".join(errors))


def _bear() -> tuple[int, int]:
    """Has a child in a new pid and a new time namespace: the child, and that pid namespace."""
    syscalls.unshare(CLONE_NEWPID | CLONE_NEWTIME)
    child = spawn(own_pid).report
    link = nsfs.open_link(child, "pid")
    assert link is not None
    try:
        return child, os.fstat(link).st_ino
    finally:
        os.close(link)


def _arrange(cgroup: int) -> Heavy:
    fd = os.open("cgroup.procs", os.O_WRONLY, dir_fd=cgroup)
    os.write(fd, b"0")
    os.close(fd)
    device = _mounts()
    syscalls.unshare(CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS)
    parent = spawn(_bear)
    child, pid_ns = parent.report
    _start_threads()
    mnt_ns = os.stat("/proc/self/ns/mnt").st_ino
    return Heavy(own_pid(), (parent.pid, child), pid_ns, mnt_ns, device)


def _deep_cgroup(stack: ExitStack) -> int:
    """A cgroup further down than a path can say."""
    fd = os.open(MOUNT, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    opened = [fd]
    for _ in range(DEPTH):
        os.mkdir(NAME, dir_fd=fd)
        fd = os.open(NAME, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        opened.append(fd)

    def remove_all() -> None:
        while len(opened) > 1:
            os.close(opened.pop())
            remove(NAME, opened[-1])
        os.close(opened.pop())

    stack.callback(remove_all)
    return fd


def settle(stack: ExitStack) -> Heavy:
    """Makes it; it goes with the stack."""
    cgroup = _deep_cgroup(stack)
    user = spawn(lambda: syscalls.unshare(CLONE_NEWUSER))
    stack.callback(end, user)
    specimen = spawn(partial(_arrange, cgroup))
    assert isinstance(specimen.report, Heavy)
    stack.callback(end, specimen, *specimen.report.left)
    return specimen.report
