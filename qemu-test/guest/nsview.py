# SPDX-License-Identifier: GPL-2.0
"""All namespaces that user space can see, from the kernel's own interfaces: the source to compare with.

Helper processes enter namespaces to see what can only be seen from inside.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import forked
import nsfs
import mountinfo
import syscalls
from mountinfo import MountInfo
from nsfs import NsFacts
from procfs import View
from zoo import end, spawn

Value = TypeVar("Value")

Key = tuple[str, int]
"""A namespace: its type and inode number."""

IdMap = tuple[tuple[int, int, int], ...]
"""Extents: the first id inside, the same outside, how many."""


@dataclass(frozen=True)
class NsView:
    """What is known of each namespace that `listns` lists, whoever keeps it, and of those above."""

    facts: dict[Key, NsFacts]
    names: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    """By uts namespace: node name and domain name."""
    pid_max: dict[int, int | None] = field(default_factory=dict)
    """By pid namespace with a reaper: its limit, none where no process can be made any more."""
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By time namespace: the offsets of the monotonic and the boot clock in nanoseconds."""
    cgroup_roots: dict[int, bytes] = field(default_factory=dict)
    """By cgroup namespace: its root in the default hierarchy."""
    id_maps: dict[int, tuple[IdMap, IdMap]] = field(default_factory=dict)
    """By user namespace: its user ids and its group ids, as seen from the initial one."""

    def level(self, key: Key) -> int:
        """How many namespaces are above a pid or user namespace."""
        parent = self.facts[key].parent
        return 0 if parent is None else 1 + self.level((key[0], parent))


def _add(fd: int, facts: dict[Key, NsFacts]) -> None:
    """Adds a namespace, and those above it, which `listns` does not list if nothing else keeps them."""
    found = nsfs.facts(fd)
    key = (found.type, found.inum)
    if key in facts:
        return
    facts[key] = found
    if found.parent is not None:
        parent = nsfs.open_parent(fd)
        try:
            _add(parent, facts)
        finally:
            os.close(parent)


def enter_each(kind: int, look: Callable[[int], Value | None]) -> dict[int, Value]:
    """Enters each namespace of one type, calls `look` with a file open on it, and gathers what it gives.

    In a process of its own, as there may be no way back.
    """

    def visit() -> dict[int, Value]:
        found = {}
        for fd in nsfs.open_all(kind):
            syscalls.setns(fd, kind)
            seen = look(fd)
            if seen is not None:
                found[os.fstat(fd).st_ino] = seen
            os.close(fd)
        return found

    return forked.call(visit)


_POINT = b"/tmp"


def cgroup_root(fd: int) -> bytes | None:
    """The root of a cgroup namespace that the caller entered, as a mount of the hierarchy shows it.

    That mount is made inside, and looked at from the initial cgroup namespace. The caller should have a
    mount namespace of its own. None for a root that was removed, which cannot be mounted any more.
    """
    syscalls.setns(fd, syscalls.CLONE_NEWCGROUP)
    try:
        syscalls.mount(b"cgroup2", _POINT, b"cgroup2")
    except FileNotFoundError:
        return None
    initial = os.open("/proc/1/ns/cgroup", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(initial, syscalls.CLONE_NEWCGROUP)
    os.close(initial)
    with open("/proc/self/mountinfo", "rb") as file:
        info = MountInfo.parse(file.read().split(b"\n")[-2])
    assert (info.point, info.type) == (_POINT, b"cgroup2")
    syscalls.umount(_POINT)
    return mountinfo.unescape(info.root)


def _cgroup_roots() -> dict[int, bytes]:
    def visit() -> dict[int, bytes]:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, b"/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        return enter_each(syscalls.CLONE_NEWCGROUP, cgroup_root)

    return forked.call(visit)


def _id_map(pid: int | str, kind: str) -> IdMap:
    with open(f"/proc/{pid}/{kind}_map", "rb") as file:
        lines = [line.split() for line in file.read().splitlines()]
    return tuple((int(inside), int(outside), int(count)) for inside, outside, count in lines)


def _id_maps_of(fd: int) -> tuple[IdMap, IdMap]:
    """The maps of a user namespace, as a process in it shows them to the caller, who is outside."""
    if os.fstat(fd).st_ino == os.stat("/proc/self/ns/user").st_ino:
        return _id_map("self", "uid"), _id_map("self", "gid")
    inside = spawn(lambda: syscalls.setns(fd, syscalls.CLONE_NEWUSER))
    try:
        return _id_map(inside.pid, "uid"), _id_map(inside.pid, "gid")
    finally:
        end(inside)


def _id_maps() -> dict[int, tuple[IdMap, IdMap]]:
    found = {}
    for fd in nsfs.open_all(syscalls.CLONE_NEWUSER):
        found[os.fstat(fd).st_ino] = _id_maps_of(fd)
        os.close(fd)
    return found


def _pid_max(view: View) -> dict[int, int | None]:
    limits: dict[int, int | None] = {}
    for process in view.processes.values():
        inum = process.namespaces["pid"]
        if inum is None or process.nspid[-1] != 1:
            continue
        fd = nsfs.open_link(process.pid, "pid")
        if fd is None:
            continue
        syscalls.setns(fd, syscalls.CLONE_NEWPID)
        os.close(fd)
        try:
            # The file shows the limit of the reader's own pid namespace.
            limits[inum] = forked.call(_read_pid_max)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            limits[inum] = None
    return limits


def _read_pid_max() -> int:
    with open("/proc/sys/kernel/pid_max", "rb") as file:
        return int(file.read())


def _offsets() -> tuple[int, int]:
    with open("/proc/self/timens_offsets", "rb") as file:
        lines = [line.split() for line in file.read().splitlines()]
    clocks = {name: int(seconds) * 10**9 + int(rest) for name, seconds, rest in lines}
    return clocks[b"monotonic"], clocks[b"boottime"]


def read(view: View) -> NsView:
    """Gathers all of it."""
    facts: dict[Key, NsFacts] = {}
    for fd in nsfs.open_all():
        _add(fd, facts)
        os.close(fd)
    return NsView(
        facts,
        enter_each(syscalls.CLONE_NEWUTS, lambda _: syscalls.uname()),
        forked.call(lambda: _pid_max(view)),
        enter_each(syscalls.CLONE_NEWTIME, lambda _: _offsets()),
        _cgroup_roots(),
        forked.call(_id_maps),
    )
