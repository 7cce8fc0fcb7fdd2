# SPDX-License-Identifier: GPL-2.0
"""Namespace records: all of them against the kernel, and those of the zoo against how they were made."""

from __future__ import annotations

import os
import socket

import compare.namespaces
import forked
import module
import nsfs
import nsview
import syscalls
import zoo
from format1 import Document, Namespace, Value
from runner import Failure, check, check_equal, test
from specimens import cgroups, mounts, namespaces
from tests import scene


def _of(pid: int, key: str, kind: str, document: Document | None = None) -> Namespace:
    """The namespace that a key of a process's record names."""
    document = document or scene.take().document
    inum = document.task(pid).fields[key]
    assert isinstance(inum, int)
    return document.namespace(kind, inum)


def _expect(name: str, namespace: Namespace, **wanted: Value) -> list[str]:
    return [
        f"{namespace.type} namespace of {name!r}: {key} is {namespace.fields[key]!r}, should be {value!r}"
        for key, value in wanted.items()
        if namespace.fields[key] != value
    ]


@test
def namespaces_kernel() -> None:
    """Every namespace that a process uses has a record, which says what the kernel says."""
    taken = scene.take()
    check(compare.namespaces.compare(taken.document, taken.namespaces, taken.after))


@test
def namespaces_uts() -> None:
    """Node and domain names of any bytes."""
    settled = scene.take().zoo
    odd, dash = (_of(settled[name].pid, "utsns", "uts") for name in ("uts", "uts dash"))
    check(
        [
            *_expect("uts", odd, nodename=namespaces.NODENAME, domainname=namespaces.DOMAINNAME, tasks=1),
            *_expect("uts dash", dash, nodename=b"-", domainname=b""),
        ]
    )


@test
def namespaces_time() -> None:
    """Offsets of both clocks, negative ones too; the maker is outside, its child inside."""
    settled = scene.take().zoo
    maker = settled["time"]
    inside = _of(maker.report, "timens", "time")
    complaints = _expect(
        "time", inside, monotonic=namespaces.MONOTONIC, boottime=namespaces.BOOTTIME, tasks=1
    )
    task = scene.take().document.task(maker.pid)
    if task.fields["time_for_children"] != inside.inum or task.fields["timens"] == inside.inum:
        complaints.append("the maker of a time namespace is not shown outside with its children inside")
    initial = _of(1, "timens", "time")
    check(complaints + _expect("init", initial, monotonic=0, boottime=0, owner=_of(1, "userns", "user").inum))


@test
def namespaces_user() -> None:
    """Levels, parents and owners of user namespaces, and of what they own."""
    settled = scene.take().zoo
    initial = _of(1, "userns", "user")
    inner = _of(settled["users"].pid, "userns", "user")
    document = scene.take().document
    parent = inner.fields["parent"]
    assert isinstance(parent, int)
    outer = document.namespace("user", parent)
    complaints = [
        *_expect("init", initial, level=0, parent=None, owner=None, uid=0),
        *_expect("users", inner, level=2, owner=outer.inum, uid=namespaces.OWNER_UID, tasks=1),
        *_expect("users", outer, level=1, parent=initial.inum, uid=namespaces.OWNER_UID, tasks=0),
    ]
    everything = settled["everything"]
    owner = _of(everything.report, "userns", "user").inum
    for key, kind in (("utsns", "uts"), ("ipcns", "ipc"), ("netns", "net"), ("mntns", "mnt")):
        # A thread of another process has entered two of them.
        tasks = 3 if kind in ("uts", "net") else 2
        complaints += _expect("everything", _of(everything.report, key, kind), owner=owner, tasks=tasks)
    for key, kind in (("pidns", "pid"), ("timens", "time")):
        complaints += _expect("everything", _of(everything.report, key, kind), owner=owner, tasks=1)
    check(complaints)


@test
def namespaces_id_maps() -> None:
    """Which ids the ids in a user namespace stand for: of many extents, nested, and none yet."""
    settled = scene.take().zoo
    outer, inner = settled["mapped"].report
    everything = ((0, 0, 0xFFFF_FFFF),)
    check(
        [
            *_expect("init", _of(1, "userns", "user"), uid_map=everything, gid_map=everything),
            *_expect(
                "mapped",
                _of(outer, "userns", "user"),
                uid_map=namespaces.UID_MAP,
                gid_map=namespaces.GID_MAP,
            ),
            *_expect(
                "mapped inside",
                _of(inner, "userns", "user"),
                uid_map=namespaces.INNER_UID_MAP_OUTSIDE,
                gid_map=None,
            ),
            *_expect("user", _of(settled["user"].pid, "userns", "user"), uid_map=None, gid_map=None),
        ]
    )


@test
def namespaces_pid() -> None:
    """Levels, parents, reapers and limits of nested pid namespaces; one that is dying."""
    settled = scene.take().zoo
    nest = settled["pid nest"].report
    complaints = []
    spaces = [_of(pid, "pidns", "pid") for pid in nest]
    for level, (pid, space) in enumerate(zip(nest, spaces, strict=True)):
        parent = spaces[level - 1].inum if level else None
        reaper = pid if level else 1
        complaints += _expect(f"level {level}", space, level=level, parent=parent, reaper=reaper, dying=0)
    complaints += _expect("level 2", spaces[2], pid_max=namespaces.PID_MAX, tasks=2, pids=5)
    complaints += _expect("level 5", spaces[5], tasks=1, pids=1)
    unborn = _of(settled["pid unborn"].pid, "pid_for_children", "pid")
    complaints += _expect("pid unborn", unborn, level=1, tasks=0, pids=0, reaper=None, dying=0)
    init, _ = settled["pid dying"].report
    dying = _of(init, "pidns", "pid")
    complaints += _expect("pid dying", dying, level=1, tasks=2, pids=2, reaper=init, dying=1)
    check(complaints)


@test
def namespaces_cgroup() -> None:
    """The root of a cgroup namespace stays where it was made."""
    settled = scene.take().zoo
    space = _of(settled["in cgroup namespace"].pid, "cgroupns", "cgroup")
    check(
        [
            *_expect("in cgroup namespace", space, root=cgroups.ODD, tasks=1),
            *_expect("init", _of(1, "cgroupns", "cgroup"), root=b"/"),
        ]
    )


@test
def namespaces_mnt() -> None:
    """An unshared mount namespace has no origin, which the kernel notes for detached trees only."""
    settled = scene.take().zoo
    complaints = []
    for name in ("mnt", "pivoted", "mounts"):
        complaints += _expect(name, _of(settled[name].pid, "mntns", "mnt"), origin=None, pending=0)
    check(complaints)


@test
def namespaces_mnt_event() -> None:
    """A mount raises its namespace's event, and no other's."""

    def mount_inside(pid: int) -> None:
        fd = nsfs.open_link(pid, "mnt")
        assert fd is not None
        syscalls.setns(fd, syscalls.CLONE_NEWNS)
        syscalls.mount(b"event", b"/tmp", b"tmpfs")

    module.ensure_loaded()
    mounting, quiet = (zoo.spawn(mounts.private_namespace) for _ in range(2))
    try:
        before = module.read_document()
        forked.call(lambda: mount_inside(mounting.pid))
        after = module.read_document()
    finally:
        for specimen in (mounting, quiet):
            zoo.end(specimen)
    one, other = (
        [_of(specimen.pid, "mntns", "mnt", document) for document in (before, after)]
        for specimen in (mounting, quiet)
    )
    events = [namespace.fields["event"] for namespace in one]
    if not (isinstance(events[0], int) and isinstance(events[1], int) and events[0] < events[1]):
        raise Failure(f"a mount took the event from {events[0]!r} to {events[1]!r}")
    check_equal("mounts", one[1].fields["mounts"], len(before.mounts_of(one[0].inum)) + 1)
    check_equal("event of another namespace", other[0].fields["event"], other[1].fields["event"])


@test
def namespaces_references() -> None:
    """An open namespace file counts as one reference more, of both kinds."""
    settled = scene.take().zoo
    pid = settled["uts"].pid
    before = _of(pid, "utsns", "uts")
    complaints = _expect("uts", before, refs=1, active=1)
    fd = nsfs.open_link(pid, "uts")
    assert fd is not None
    try:
        held = _of(pid, "utsns", "uts", module.read_document())
    finally:
        os.close(fd)
    complaints += _expect("uts, with a file open", held, refs=2, active=2)
    after = _of(pid, "utsns", "uts", module.read_document())
    check(complaints + _expect("uts, with the file closed", after, refs=1, active=1))


_SO_NETNS_COOKIE = 71


@test
def namespaces_net_cookie() -> None:
    """The id of each network namespace is the cookie that its sockets tell."""
    taken = scene.take()

    def cookie(_: int) -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            return int.from_bytes(one.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), "little")

    cookies = nsview.enter_each(syscalls.CLONE_NEWNET, cookie)
    if len(cookies) < 5:
        raise Failure(f"only {len(cookies)} network namespaces")
    ids = {inum: taken.document.namespace("net", inum).fields["id"] for inum in cookies}
    check_equal("ids", ids, cookies)
