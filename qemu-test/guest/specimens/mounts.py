# SPDX-License-Identifier: GPL-2.0
"""Mount namespaces full of odd mounts."""

from __future__ import annotations

import os

import nsfs
import syscalls
from specimens.namespaces import map_ids
from syscalls import (
    CLONE_NEWNS,
    MNT_DETACH,
    MS_BIND,
    MS_LAZYTIME,
    MS_MOVE,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
    MS_STRICTATIME,
    MS_SYNCHRONOUS,
    MS_UNBINDABLE,
    bind,
    mount,
    umount,
)
from zoo import Zoo, spawn

BASE = b"/tmp"

ODD_NAMES = (
    b"two  blanks ",
    b"tab\tand\nfeed",
    b"back\\slash\\040",
    b"#hash,comma=at@",
    b"\xff\x80\xc3\xa9\x01\x7f",
    b"\r\v\f\x1c\x85",
    b" - tmpfs x rw",
    b"-",
)

OPTIONS = {
    b"ro": MS_RDONLY,
    b"nosuid-nodev-noexec": MS_NOSUID | MS_NODEV | MS_NOEXEC,
    b"noatime": MS_NOATIME,
    b"nodiratime": MS_NODIRATIME,
    b"strictatime": MS_STRICTATIME,
    b"nosymfollow": MS_NOSYMFOLLOW,
    b"sync": MS_SYNCHRONOUS,
    b"lazytime": MS_LAZYTIME,
}


def private_namespace() -> None:
    """A new mount namespace, nothing propagated, with a file system of its own on /tmp."""
    syscalls.unshare(CLONE_NEWNS)
    mount(None, b"/", None, MS_REC | MS_PRIVATE)
    mount(b"base", BASE, b"tmpfs", 0, b"size=8m,mode=711")


def _directory(name: bytes) -> bytes:
    path = BASE + b"/" + name
    os.makedirs(path, exist_ok=True)
    return path


def _tmpfs(name: bytes, source: bytes = b"none", flags: int = 0, data: bytes | None = None) -> bytes:
    path = _directory(name)
    mount(source, path, b"tmpfs", flags, data)
    return path


def _file(name: bytes) -> bytes:
    path = BASE + b"/" + name
    with open(path, "xb"):
        return path


def names() -> None:
    """Mounts with names of any bytes, and long ones."""
    for name in ODD_NAMES:
        _tmpfs(name, b"source " + name)
    _tmpfs(b"empty source", b"")
    # Four bytes each in mountinfo: such a line is longer than a page.
    long = b"/".join([b"\t" * 250] * 3)
    bind(_directory(b"long root/" + long), _directory(b"long point/" + long))


def _options() -> None:
    for name, flags in OPTIONS.items():
        _tmpfs(name, flags=flags)
    _tmpfs(b"tmpfs options", data=b"size=64k,nr_inodes=50,mode=1700,uid=1001,gid=2001")
    bind(_directory(b"ro bind source"), _directory(b"ro bind"))
    mount(None, BASE + b"/ro bind", None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    mount(b"devpts", _directory(b"devpts"), b"devpts", 0, b"newinstance,ptmxmode=0666,mode=620")
    mount(b"proc", _directory(b"proc"), b"proc", 0, b"hidepid=invisible,subset=pid")
    mount(b"cgroup", _directory(b"cgroup2"), b"cgroup2")
    mount(b"mqueue", _directory(b"mqueue"), b"mqueue")


# Each differs from the one before in one place: behind its end, or in its last byte.
_SOURCES = (b"", b"mqueue", b"mqueue2", b"of sixteen bytes", b"of sixteen bytes, and more", b"of sixteen byte?")


def _sources() -> None:
    """One file system, mounted with many sources."""
    for number, source in enumerate(_SOURCES):
        mount(source, _directory(b"sources/%d" % number), b"mqueue")


def _binds() -> None:
    bind(_file(b"bound file"), _file(b"file point"))
    bind(_directory(b"dir/sub dir"), _directory(b"dir point"))
    bind(_directory(b"dir/doomed"), _directory(b"deleted point"))
    os.rmdir(BASE + b"/dir/doomed")
    bind(_file(b"doomed file"), _file(b"deleted file point"))
    os.unlink(BASE + b"/doomed file")
    bind(b"/proc/self/ns/uts", _file(b"uts point"))
    bind(b"/proc/self/status", _file(b"proc point"))
    bind(BASE, _directory(b"recursive"), recursive=True)


def _overlay() -> None:
    lower, upper, work = (_directory(b"overlay/" + name) for name in (b"lo wer", b"upp,er", b"work"))
    options = b"lowerdir=%s,upperdir=%s,workdir=%s" % (lower, upper.replace(b",", b"\\,"), work)
    mount(b"over lay", _directory(b"overlay/merged"), b"overlay", 0, options)


def stacks() -> None:
    """Mounts over mounts: at one place, and over a directory with a mount below."""
    for _ in range(3):
        _tmpfs(b"stack")
    _tmpfs(b"hidden/below")
    _tmpfs(b"hidden")
    bind(_directory(b"stack source"), BASE + b"/stack")


def propagation() -> None:
    """Mounts that share events, or take them."""
    shared = _tmpfs(b"shared")
    mount(None, shared, None, MS_SHARED)
    bind(shared, _directory(b"peer"))
    slave = _directory(b"slave")
    bind(shared, slave)
    mount(None, slave, None, MS_SLAVE)
    both = _directory(b"slave and shared")
    bind(shared, both)
    mount(None, both, None, MS_SLAVE)
    mount(None, both, None, MS_SHARED)
    mount(None, _tmpfs(b"unbindable"), None, MS_UNBINDABLE)
    os.mkdir(shared + b"/propagated")
    mount(b"p", shared + b"/propagated", b"tmpfs")


def _escape() -> None:
    """A mount below a bind mount whose directory then moves out of what is bound."""
    inner = _directory(b"escape/bound/inner")
    os.mkdir(inner + b"/point")
    bind(BASE + b"/escape/bound", _directory(b"escape/view"))
    mount(b"escaped", BASE + b"/escape/view/inner/point", b"tmpfs")
    mount(b"on the escaped", _directory(b"escape/view/inner/point/on it"), b"tmpfs")
    os.rename(inner, BASE + b"/escape/outer")


def _idmapped(userns_pid: int) -> None:
    fd = nsfs.open_link(userns_pid, "user")
    assert fd is not None
    source = _tmpfs(b"idmap source")
    syscalls.idmap_mount(source, _directory(b"idmapped"), fd)


def _everything(userns_pid: int) -> None:
    private_namespace()
    names()
    _options()
    _sources()
    _overlay()
    stacks()
    propagation()
    _escape()
    _idmapped(userns_pid)
    _binds()


def _far_master() -> None:
    """A slave whose master is in another namespace only, and that one's master here again."""
    private_namespace()
    first = _tmpfs(b"first")
    mount(None, first, None, MS_SHARED)
    second, third = _directory(b"second"), _directory(b"third")
    bind(first, second)
    mount(None, second, None, MS_SLAVE)
    mount(None, second, None, MS_SHARED)
    bind(second, third)
    mount(None, third, None, MS_SLAVE)

    def leave_second() -> None:
        syscalls.unshare(CLONE_NEWNS)
        umount(second)

    spawn(leave_second)


def _pivoted() -> None:
    private_namespace()
    old = _directory(b"old root")
    syscalls.pivot_root(BASE, old)
    os.chdir("/")
    umount(b"/old root", MNT_DETACH)


def _covered_root() -> None:
    """Another mount on the root, over which the process's own root stays the one below."""
    private_namespace()
    mount(b"cover", b"/", b"tmpfs")


def _mount_proc(point: bytes) -> None:
    mount(b"proc", _directory(point), b"proc")


def _covered() -> None:
    """Mounts that others cover further up, and those that only seem to be."""
    private_namespace()
    # At a directory on the way, at the place of a mount on the way, and both.
    _tmpfs(b"a/b", b"in a")
    _tmpfs(b"a", b"a")
    _tmpfs(b"lower", b"lower")
    _tmpfs(b"lower/c", b"in lower")
    _tmpfs(b"lower/c/d", b"further in lower")
    _tmpfs(b"lower", b"upper")
    _tmpfs(b"lower/c", b"in upper")
    # What `unshare --mount-proc` does where something is mounted in /proc: the directories are the same.
    _mount_proc(b"proc")
    mount(b"in proc", BASE + b"/proc/sys/fs", b"tmpfs")
    _mount_proc(b"proc")
    _mount_proc(b"both")
    mount(b"in the lower", BASE + b"/both/sys/fs", b"tmpfs")
    _mount_proc(b"both")
    mount(b"in the upper", BASE + b"/both/sys/fs", b"tmpfs")
    # A directory that is a mount point by another of its paths only.
    source = _tmpfs(b"source", b"source")
    os.makedirs(source + b"/e/f")
    bind(source, _directory(b"view"))
    mount(b"by the view", BASE + b"/view/e/f", b"tmpfs")
    mount(b"by the source", BASE + b"/source/e", b"tmpfs")
    # What was on it has moved away; and what was not on top is put below another.
    _tmpfs(b"moved", b"left")
    _tmpfs(b"moved/g", b"in what is left")
    _tmpfs(b"moved", b"moved")
    mount(BASE + b"/moved", _directory(b"elsewhere"), None, MS_MOVE)
    _tmpfs(b"beneath", b"top")
    _tmpfs(b"beneath/h", b"on the top")
    syscalls.mount_beneath(_tmpfs(b"to be beneath", b"beneath"), BASE + b"/beneath")
    # The directory has another name now.
    _tmpfs(b"old name/i", b"renamed")
    os.rename(BASE + b"/old name", BASE + b"/new name")
    bind(_file(b"file"), _file(b"covered file"))
    bind(_file(b"other file"), BASE + b"/covered file")
    # All of it once more, and under another mount.
    bind(BASE, _directory(b"again"), recursive=True)
    mount(b"over all", BASE + b"/again", b"tmpfs")


def _slave_namespace() -> None:
    """Propagation from the system's own mounts, which a container manager leaves in place."""
    syscalls.unshare(CLONE_NEWNS)
    mount(None, b"/", None, MS_REC | MS_SLAVE)


def _mapped_user() -> None:
    """A user namespace to map a mount through."""
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    map_ids(0, 0)


def settle(zoo: Zoo) -> None:
    """Makes them."""
    userns = zoo.spawn("idmap user", _mapped_user)
    zoo.spawn("mounts", lambda: _everything(userns.pid))
    zoo.spawn("far master", _far_master)
    zoo.spawn("pivoted", _pivoted)
    zoo.spawn("covered root", _covered_root)
    zoo.spawn("slave namespace", _slave_namespace)
    zoo.spawn("covered", _covered)
