# SPDX-License-Identifier: GPL-2.0
"""What the kernel's own ioctls on namespace files tell about a namespace.

See `include/uapi/linux/nsfs.h`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import syscalls
from syscalls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)

_NSIO = 0xB7


def _io(number: int) -> int:
    return (_NSIO << 8) | number


def _ior(number: int, size: int) -> int:
    return (2 << 30) | (size << 16) | (_NSIO << 8) | number


NS_GET_USERNS = _io(1)
NS_GET_PARENT = _io(2)
NS_GET_NSTYPE = _io(3)
NS_GET_OWNER_UID = _io(4)
NS_GET_PID_IN_PIDNS = _ior(8, 4)
NS_MNT_GET_INFO = _ior(10, 16)
NS_GET_ID = _ior(13, 8)

TYPES = {
    CLONE_NEWTIME: "time",
    CLONE_NEWNS: "mnt",
    CLONE_NEWCGROUP: "cgroup",
    CLONE_NEWUTS: "uts",
    CLONE_NEWIPC: "ipc",
    CLONE_NEWUSER: "user",
    CLONE_NEWPID: "pid",
    CLONE_NEWNET: "net",
}

# The links in /proc/PID/ns, and the type of what each leads to.
LINKS = {
    "cgroup": "cgroup",
    "ipc": "ipc",
    "mnt": "mnt",
    "net": "net",
    "pid": "pid",
    "pid_for_children": "pid",
    "time": "time",
    "time_for_children": "time",
    "user": "user",
    "uts": "uts",
}


@dataclass(frozen=True)
class NsFacts:
    """What the ioctls tell about one namespace."""

    type: str
    inum: int
    id: int
    owner: int | None
    """The user namespace that owns it; none for the initial one."""
    parent: int | None
    """For pid and user namespaces."""
    owner_uid: int | None
    """For user namespaces."""
    mounts: int | None
    """For mount namespaces: how many mounts it has, its root included."""


def _related(fd: int, request: int) -> int | None:
    """The inode number of a namespace that another one refers to."""
    try:
        other = fcntl.ioctl(fd, request)
    except PermissionError:
        return None  # beyond the initial one
    try:
        return os.fstat(other).st_ino
    finally:
        os.close(other)


def open_parent(fd: int) -> int:
    """Opens the parent of a pid or user namespace."""
    return fcntl.ioctl(fd, NS_GET_PARENT)


def get_id(fd: int) -> int:
    """The 64-bit id."""
    answer = bytearray(8)
    fcntl.ioctl(fd, NS_GET_ID, answer)
    return int(struct.unpack("Q", answer)[0])


def pid_inside(fd: int, pid: int) -> int:
    """The number that a process has in the pid namespace behind `fd`."""
    return fcntl.ioctl(fd, NS_GET_PID_IN_PIDNS, pid)


def _owner_uid(fd: int) -> int:
    answer = ctypes.c_uint32()
    fcntl.ioctl(fd, NS_GET_OWNER_UID, answer)
    return answer.value


def _mount_count(fd: int) -> int:
    answer = bytearray(struct.pack("IIQ", 16, 0, 0))
    fcntl.ioctl(fd, NS_MNT_GET_INFO, answer)
    # The kernel leaves the root mount out of this figure.
    return int(struct.unpack("IIQ", answer)[1]) + 1


def facts(fd: int) -> NsFacts:
    """Asks the kernel about the namespace behind `fd`."""
    kind = TYPES[fcntl.ioctl(fd, NS_GET_NSTYPE)]
    return NsFacts(
        type=kind,
        inum=os.fstat(fd).st_ino,
        id=get_id(fd),
        owner=_related(fd, NS_GET_USERNS),
        parent=_related(fd, NS_GET_PARENT) if kind in ("pid", "user") else None,
        owner_uid=_owner_uid(fd) if kind == "user" else None,
        mounts=_mount_count(fd) if kind == "mnt" else None,
    )


def open_all(kind: int = 0) -> Iterator[int]:
    """Opens all namespaces that `listns` lists, of one type or of all, by their ids."""
    for identity in syscalls.listns(kind):
        try:
            fd = syscalls.open_namespace(identity)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        else:
            yield fd


def open_link(pid: int, link: str, proc_fd: int | None = None) -> int | None:
    """Opens /proc/PID/ns/LINK; none when the task has given that namespace back."""
    path = f"/proc/{pid}/ns/{link}" if proc_fd is None else f"{pid}/ns/{link}"
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc_fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH, errno.EACCES):
            return None
        raise
