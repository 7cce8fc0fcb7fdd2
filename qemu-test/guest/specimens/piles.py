# SPDX-License-Identifier: GPL-2.0
"""Mounts whose list takes the kernel long: very many, piled up, or with very many peers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial

import syscalls
import zoo
from specimens.mounts import BASE, private_namespace
from specimens.namespaces import map_ids
from syscalls import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    OPEN_TREE_CLONE,
)

POINT = BASE + b"/x"
UID = 1000


def pile(count: int) -> None:
    """A pile of `count` mounts at one place, a power of two."""
    os.mkdir(POINT)
    syscalls.bind(POINT, POINT)
    bottom = os.open(POINT, os.O_PATH | os.O_CLOEXEC)
    height = 1
    while height < count:
        # The whole pile once more, on top of itself.
        flags = OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE
        copy = syscalls.syscall(syscalls.SYS_OPEN_TREE, bottom, b"", flags)
        top = os.open(POINT, os.O_PATH | os.O_CLOEXEC)
        flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
        syscalls.syscall(syscalls.SYS_MOVE_MOUNT, copy, b"", top, b"", flags)
        os.close(top)
        os.close(copy)
        height *= 2
    os.close(bottom)


# Mounts that are copied at once: bind mounts, each beside the last, would take the kernel long.
_TREE = 500


def trees(count: int) -> None:
    """Mounts beside each other below `BASE`, a multiple of 500."""
    os.mkdir(BASE + b"/tree")
    syscalls.bind(BASE + b"/tree", BASE + b"/tree")
    for number in range(1, _TREE):
        point = BASE + b"/tree/%d" % number
        os.mkdir(point)
        syscalls.bind(b"/dev", point)
    for number in range(1, count // _TREE):
        point = BASE + b"/%d" % number
        os.mkdir(point)
        syscalls.bind(BASE + b"/tree", point, recursive=True)


def users_pile(count: int) -> None:
    """A pile that a user who is not root makes, in namespaces of its own."""
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    syscalls.unshare(CLONE_NEWUSER)
    map_ids(UID, UID)
    private_namespace()
    pile(count)


def peers(count: int) -> zoo.Specimen:
    """Mounts of one peer group, and in another mount namespace as many slaves of theirs.

    To find out who propagates to a mount, the kernel looks at all its master's peers, unless one of them can
    be reached. With many of both it takes its time, which grows with the square of their number.
    """
    private_namespace()
    os.mkdir(BASE + b"/master")
    syscalls.mount(b"master", BASE + b"/master", b"tmpfs")
    syscalls.mount(None, BASE + b"/master", None, MS_SHARED)
    for number in range(count):
        point = BASE + b"/%d" % number
        os.mkdir(point)
        syscalls.bind(BASE + b"/master", point)

    def enslave() -> None:
        syscalls.unshare(CLONE_NEWNS)
        syscalls.mount(None, b"/", None, MS_REC | MS_SLAVE)

    return zoo.spawn(enslave)


@contextlib.contextmanager
def piled(count: int, make: Callable[[int], None] = users_pile) -> Iterator[int]:
    """Has a pile: a process in its mount namespace."""
    specimen = zoo.spawn(partial(make, count))
    try:
        yield specimen.pid
    finally:
        zoo.end(specimen)


@contextlib.contextmanager
def enslaved(count: int) -> Iterator[int]:
    """Has peers, and their slaves: a process in the mount namespace of these."""
    specimen = zoo.spawn(partial(peers, count))
    try:
        yield specimen.report.pid
    finally:
        zoo.end(specimen, specimen.report.pid)
