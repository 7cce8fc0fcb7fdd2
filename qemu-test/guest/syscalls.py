# SPDX-License-Identifier: GPL-2.0
"""System calls that the tests need and Python's `os` lacks (or lacks before 3.12).

Thin: one function a call, `OSError` on failure, bytes for every path and name.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# Numbers of x86_64; the newer ones are the same on every architecture.
SYS_CLONE = 56
SYS_EXIT = 60
SYS_SETRESUID = 117
SYS_CAPSET = 126
SYS_DELETE_MODULE = 176
SYS_OPEN_BY_HANDLE_AT = 304
SYS_FINIT_MODULE = 313
SYS_USERFAULTFD = 323
SYS_STATX = 332
SYS_OPEN_TREE = 428
SYS_PIDFD_OPEN = 434
SYS_PIDFD_GETFD = 438
SYS_MOVE_MOUNT = 429
SYS_MOUNT_SETATTR = 442
SYS_STATMOUNT = 457
SYS_LISTMOUNT = 458
SYS_LISTNS = 470

CLONE_FS = 0x0000_0200
CLONE_FILES = 0x0000_0400
CLONE_VM = 0x0000_0100
CLONE_VFORK = 0x0000_4000
CLONE_NEWTIME = 0x0000_0080
CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25

MNT_DETACH = 2
MNT_EXPIRE = 4
UMOUNT_NOFOLLOW = 8

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
# As a directory: the root of the file system of namespaces.
FD_NSFS_ROOT = -10003
FILEID_NSFS = 0xF1
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_NO_AUTOMOUNT = 0x800
OPEN_TREE_CLONE = 1
OPEN_TREE_NAMESPACE = 2
MOVE_MOUNT_F_EMPTY_PATH = 4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOVE_MOUNT_BENEATH = 0x200
MOUNT_ATTR_IDMAP = 0x0010_0000

STATX_BASIC_STATS = 0x7FF
STATX_MNT_ID_UNIQUE = 0x4000
STATX_ATTR_MOUNT_ROOT = 0x2000

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF_0000
BPF_RET = 6

PTRACE_TRACEME = 0
PTRACE_ATTACH = 16
PTRACE_DETACH = 17

CAP_SYS_ADMIN = 21

PATH_MAX = 4096

LSMT_ROOT = 0xFFFF_FFFF_FFFF_FFFF
STATMOUNT_SB_BASIC = 0x1
STATMOUNT_MNT_BASIC = 0x2
STATMOUNT_MNT_ROOT = 0x8
STATMOUNT_MNT_POINT = 0x10
STATMOUNT_FS_TYPE = 0x20


def _check(result: int, what: str) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return int(result)


def syscall(number: int, *args: object) -> int:
    """Makes a system call; integers go as 64-bit words, the rest as ctypes sees fit."""
    words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return _check(_libc.syscall(ctypes.c_long(number), *words), f"syscall {number}")


def unshare(flags: int) -> None:
    """Moves the caller into new namespaces."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, nstype: int = 0) -> None:
    """Moves the caller into the namespace behind `fd`."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(nstype)), "setns")


def mount(
    source: bytes | None, target: bytes, fstype: bytes | None, flags: int = 0, data: bytes | None = None
) -> None:
    """mount(2)."""
    _check(
        _libc.mount(source, target, fstype, ctypes.c_ulong(flags), data),
        f"mount {source!r} on {target!r}",
    )


def bind(source: bytes, target: bytes, recursive: bool = False) -> None:
    """A bind mount."""
    mount(source, target, None, MS_BIND | (MS_REC if recursive else 0))


def umount(target: bytes, flags: int = 0) -> None:
    """umount2(2)."""
    _check(_libc.umount2(target, ctypes.c_int(flags)), f"umount {target!r}")


def is_locked(target: bytes) -> bool:
    """Whether a mount, which is not the caller's root, cannot be unmounted without those below it.

    It is marked as one that may expire, which fails with EINVAL if it is locked, and the mark is taken away.
    """
    error = 0
    try:
        umount(target, MNT_EXPIRE | UMOUNT_NOFOLLOW)
    except OSError as failed:
        error = failed.errno or -1
    if error not in (errno.EAGAIN, errno.EBUSY, errno.EINVAL):
        raise OSError(error, f"a mark on {target!r}: {os.strerror(error)}")
    # Whoever goes there takes the mark away.
    leads_to(target)
    return error == errno.EINVAL


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    """pivot_root(2)."""
    syscall(155, new_root, put_old)


def prctl(option: int, arg: object = 0) -> None:
    """prctl(2) with one argument."""
    value = ctypes.c_ulong(arg) if isinstance(arg, int) else arg
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(ctypes.c_int(option), value, zero, zero, zero), "prctl")


def has_seccomp() -> bool:
    """Whether the kernel was built with filters of system calls."""
    return os.path.exists("/proc/sys/kernel/seccomp")


def filter_nothing() -> None:
    """Has a filter look at all system calls of the caller, which lets all of them pass."""
    allow = struct.pack("HBBI", BPF_RET, 0, 0, SECCOMP_RET_ALLOW)
    program = ctypes.create_string_buffer(allow, len(allow))
    argument = struct.pack("H6xQ", 1, ctypes.addressof(program))
    zero = ctypes.c_ulong(0)
    mode = ctypes.c_ulong(SECCOMP_MODE_FILTER)
    _check(_libc.prctl(ctypes.c_int(PR_SET_SECCOMP), mode, argument, zero, zero), "prctl")


def set_comm(name: bytes) -> None:
    """Gives the calling thread a name."""
    prctl(PR_SET_NAME, ctypes.c_char_p(name))


def sethostname(name: bytes) -> None:
    """Sets the node name, any bytes."""
    _check(_libc.sethostname(name, ctypes.c_size_t(len(name))), "sethostname")


def setdomainname(name: bytes) -> None:
    """Sets the NIS domain name, any bytes."""
    _check(_libc.setdomainname(name, ctypes.c_size_t(len(name))), "setdomainname")


def uname() -> tuple[bytes, bytes]:
    """The node name and the NIS domain name, as bytes."""
    buffer = ctypes.create_string_buffer(6 * 65)
    _check(_libc.uname(buffer), "uname")
    fields = [buffer.raw[start : start + 65].partition(b"\0")[0] for start in range(0, 6 * 65, 65)]
    return fields[1], fields[5]


def ptrace(request: int, pid: int) -> None:
    """ptrace(2) for the requests that take no address and no data."""
    null = ctypes.c_void_p(0)
    _libc.ptrace.restype = ctypes.c_long
    _check(_libc.ptrace(ctypes.c_long(request), ctypes.c_long(pid), null, null), "ptrace")


def exit_thread() -> None:
    """Ends the calling thread alone, as `exit_group` would not."""
    _libc.syscall(ctypes.c_long(SYS_EXIT), ctypes.c_long(0))


def finit_module(fd: int, params: bytes = b"") -> None:
    """Loads the module behind `fd`."""
    syscall(SYS_FINIT_MODULE, fd, params, 0)


def delete_module(name: bytes) -> None:
    """Unloads a module, or fails at once where it is in use."""
    syscall(SYS_DELETE_MODULE, name, os.O_NONBLOCK)


def descriptor_of(pid: int, fd: int) -> int:
    """A copy of another process's descriptor."""
    pidfd = syscall(SYS_PIDFD_OPEN, pid, 0)
    try:
        return syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
    finally:
        os.close(pidfd)


def userfaultfd(flags: int) -> int:
    """userfaultfd(2)."""
    return syscall(SYS_USERFAULTFD, flags)


def drop_capability(capability: int) -> None:
    """Takes one capability from the caller's effective and permitted sets."""
    everything = (1 << 41) - 1
    keep = everything & ~(1 << capability)
    version_3 = struct.pack("Ii", 0x2008_0522, 0)
    low, high = keep & 0xFFFF_FFFF, keep >> 32
    data = struct.pack("6I", low, low, 0, high, high, 0)
    syscall(SYS_CAPSET, version_3, data)


@dataclass(frozen=True)
class FileId:
    """Which file a path leads to, down to the mount it is reached by."""

    device: tuple[int, int]
    inode: int
    mount: int
    """The mount's 64-bit id."""
    is_mount_root: bool
    is_deleted: bool = False
    """No name leads to it any more."""


def statx(path: bytes, dir_fd: int = AT_FDCWD) -> FileId:
    """Follows `path` and says where it ended."""
    buffer = ctypes.create_string_buffer(256)
    mask = STATX_BASIC_STATS | STATX_MNT_ID_UNIQUE
    syscall(SYS_STATX, dir_fd, path, AT_NO_AUTOMOUNT, mask, buffer)
    got, _, attributes, links = struct.unpack_from("IIQI", buffer)
    if not got & STATX_MNT_ID_UNIQUE:
        raise OSError("statx knows no STATX_MNT_ID_UNIQUE here")
    inode = struct.unpack_from("Q", buffer, 32)[0]
    major, minor = struct.unpack_from("II", buffer, 136)
    mount_id = struct.unpack_from("Q", buffer, 144)[0]
    is_mount_root = bool(attributes & STATX_ATTR_MOUNT_ROOT)
    return FileId((major, minor), inode, mount_id, is_mount_root, links == 0)


def leads_to(path: bytes) -> int | None:
    """The 64-bit id of the mount that an absolute path leads to, however long it is; none if nowhere.

    A symbolic link at its end is not followed, as something may be mounted on one.
    """
    buffer = ctypes.create_string_buffer(256)
    rest = path.strip(b"/")
    at = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        while len(rest) >= PATH_MAX:
            head, _, tail = rest[: PATH_MAX - 1].rpartition(b"/")
            below = os.open(head, os.O_PATH | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at, rest = below, tail + rest[PATH_MAX - 1 :]
        flags = AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW | (0 if rest else AT_EMPTY_PATH)
        syscall(SYS_STATX, at, rest, flags, STATX_MNT_ID_UNIQUE, buffer)
    except OSError:
        return None
    finally:
        os.close(at)
    return int(struct.unpack_from("Q", buffer, 144)[0])


def listmount(mnt_id: int = LSMT_ROOT) -> list[int]:
    """The 64-bit ids of all mounts below `mnt_id` in the caller's mount namespace."""
    capacity = 4096
    found: list[int] = []
    last = 0
    while True:
        request = struct.pack("IIQQQ", 32, 0, mnt_id, last, 0)
        ids = (ctypes.c_uint64 * capacity)()
        count = syscall(SYS_LISTMOUNT, request, ids, capacity, 0)
        found += list(ids[:count])
        if count < capacity:
            return found
        last = found[-1]


def listns(ns_type: int = 0) -> list[int]:
    """The 64-bit ids of all namespaces that user space can see, of one type or of all, ascending."""
    capacity = 1024
    found: list[int] = []
    last = 0
    while True:
        request = struct.pack("IIQIIQ", 32, 0, last, ns_type, 0, 0)
        ids = (ctypes.c_uint64 * capacity)()
        try:
            count = syscall(SYS_LISTNS, request, ids, capacity, 0)
        except OSError as error:
            if error.errno == errno.ENOENT and found:
                return found  # none comes after the last
            raise
        found += list(ids[:count])
        if count < capacity:
            return found
        last = found[-1]


def open_namespace(identity: int) -> int:
    """Opens a namespace by its 64-bit id."""
    handle = struct.pack("IiQII", 16, FILEID_NSFS, identity, 0, 0)
    return syscall(SYS_OPEN_BY_HANDLE_AT, FD_NSFS_ROOT, handle, os.O_RDONLY | os.O_CLOEXEC)


@dataclass(frozen=True)
class StatMount:
    """What `statmount` tells about a mount."""

    mnt_id: int
    parent: int
    old_id: int
    old_parent: int
    device: tuple[int, int]
    peer_group: int
    master: int
    root: bytes
    fs_type: bytes
    point: bytes
    """Empty for what the caller's root does not reach."""


def statmount(mnt_id: int) -> StatMount:
    """statmount(2) for a mount of the caller's mount namespace."""
    mask = (
        STATMOUNT_SB_BASIC
        | STATMOUNT_MNT_BASIC
        | STATMOUNT_MNT_ROOT
        | STATMOUNT_MNT_POINT
        | STATMOUNT_FS_TYPE
    )
    request = struct.pack("IIQQQ", 32, 0, mnt_id, mask, 0)
    size = 16384
    while True:
        buffer = ctypes.create_string_buffer(size)
        try:
            syscall(SYS_STATMOUNT, request, buffer, size, 0)
            break
        except OSError as error:
            if error.errno != errno.EOVERFLOW:
                raise
            size *= 4
    fixed = struct.unpack_from("IIQIIQIIQQIIQQQQQII", buffer)
    strings = buffer.raw[512:]

    def text(offset: int) -> bytes:
        return strings[offset : strings.index(b"\0", offset)]

    return StatMount(
        mnt_id=fixed[8],
        parent=fixed[9],
        old_id=fixed[10],
        old_parent=fixed[11],
        device=(fixed[3], fixed[4]),
        peer_group=fixed[14],
        master=fixed[15],
        root=text(fixed[17]),
        fs_type=text(fixed[7]),
        point=text(fixed[18]) if fixed[2] & STATMOUNT_MNT_POINT else b"",
    )


def mount_beneath(source: bytes, target: bytes) -> None:
    """Moves the mount at `source` to where `target` is, under the mount there."""
    syscall(SYS_MOVE_MOUNT, AT_FDCWD, source, AT_FDCWD, target, MOVE_MOUNT_BENEATH)


def idmap_mount(target: bytes, destination: bytes, userns_fd: int) -> None:
    """Mounts a copy of the mount at `target` on `destination`, mapped through a user namespace."""
    tree = syscall(SYS_OPEN_TREE, AT_FDCWD, target, OPEN_TREE_CLONE)
    try:
        attr = struct.pack("QQQQ", MOUNT_ATTR_IDMAP, 0, 0, userns_fd)
        syscall(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attr, len(attr))
        syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, destination, MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)
