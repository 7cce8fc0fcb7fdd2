# SPDX-License-Identifier: GPL-2.0
"""Every mount namespace's mounts from the kernel's own interfaces: the source to compare mounts with.

A helper process enters one mount namespace after the other, which makes its root the namespace's
root, and reads its own mountinfo, `listmount` and `statmount` there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import forked
import mountinfo
import nsfs
import syscalls
from mountinfo import MountInfo
from syscalls import FileId, StatMount


@dataclass(frozen=True)
class MountList:
    """The mounts of one namespace as a process sees them whose root is the namespace's."""

    lines: list[bytes]
    """Its mountinfo, without line feeds."""
    top: FileId
    """Where its root is."""
    stack: tuple[int, ...]
    """64-bit ids of the mount that is its root and of those under it, down to the lowest."""
    mounts: dict[int, StatMount]
    """All mounts by 64-bit id, those that the root does not reach included."""
    count: int
    """How many mounts the namespace has by its own count."""
    leads_to: dict[bytes, int | None]
    """By mount point, as in the lines: the 64-bit id of the mount that this path leads to; none if nowhere."""
    locked: dict[int, bool]
    """By 64-bit id, of those that their own path leads to, but for the root: whether each is locked."""

    @property
    def infos(self) -> list[MountInfo]:
        """The lines, parsed."""
        return [MountInfo.parse(line) for line in self.lines]


def _read(proc_fd: int, namespace_fd: int) -> MountList:
    count = nsfs.facts(namespace_fd).mounts
    assert count is not None
    syscalls.setns(namespace_fd, syscalls.CLONE_NEWNS)
    fd = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc_fd)
    with os.fdopen(fd, "rb") as file:
        lines = file.read().split(b"\n")
    assert lines.pop() == b""
    top = syscalls.statx(b"/")
    mounts: dict[int, StatMount] = {}
    stack = []
    mount_id = top.mount
    while mount_id not in mounts:
        mounts[mount_id] = syscalls.statmount(mount_id)
        stack.append(mount_id)
        mount_id = mounts[mount_id].parent
    for mount_id in syscalls.listmount(stack[-1]):
        if mount_id not in mounts:
            mounts[mount_id] = syscalls.statmount(mount_id)
    infos = [MountInfo.parse(line) for line in lines]
    leads_to = {point: syscalls.leads_to(mountinfo.unescape(point)) for point in {i.point for i in infos}}
    ids = {stat.old_id: mount for mount, stat in mounts.items()}
    locked = {}
    for info in infos:
        path = mountinfo.unescape(info.point)
        # The path of one that is covered may lead to the inside of another.
        mount = ids[info.id]
        if mount != top.mount and len(path) < syscalls.PATH_MAX and leads_to[info.point] == mount:
            locked[mount] = syscalls.is_locked(path)
    return MountList(lines, top, tuple(stack), mounts, count, leads_to, locked)


def read_all() -> dict[int, MountList]:
    """Reads the mounts of each mount namespace, whoever keeps it."""

    def visit() -> dict[int, MountList]:
        lists = {}
        proc_fd = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for fd in nsfs.open_all(syscalls.CLONE_NEWNS):
            lists[os.fstat(fd).st_ino] = _read(proc_fd, fd)
            os.close(fd)
        return lists

    return forked.call(visit)
