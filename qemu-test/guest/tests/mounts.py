# SPDX-License-Identifier: GPL-2.0
"""Mount records: every mount namespace against the kernel, and odd mounts of the zoo."""

from __future__ import annotations

import os

import compare.mounts
import module
import mountinfo
import procfs
import syscalls
import zoo
from format1 import Mount
from runner import Failure, check, check_equal, test
from specimens import mounts
from specimens.mounts import BASE, ODD_NAMES
from tests import scene


def _mounts(name: str) -> list[Mount]:
    taken = scene.take()
    namespace = taken.document.task(taken.zoo[name].pid).fields["mntns"]
    assert isinstance(namespace, int)
    return taken.document.mounts_of(namespace)


def _at(name: str, point: bytes) -> list[Mount]:
    """The mounts of a specimen at one place, the lowest first."""
    wanted = mountinfo.escape(BASE + b"/" + point)
    return [mount for mount in _mounts(name) if mount.info.point == wanted]


def _from(name: str, source: bytes) -> list[Mount]:
    """The mounts of a specimen that have a source, in order."""
    wanted = mountinfo.escape(source)
    return [mount for mount in _mounts(name) if mount.info.source == wanted]


def _only(name: str, point: bytes) -> Mount:
    found = _at(name, point)
    if len(found) != 1:
        raise Failure(f"{len(found)} mounts of {name!r} on {point!r}")
    return found[0]


@test
def mounts_kernel() -> None:
    """Every mount namespace's records equal mountinfo, listmount and statmount, in order."""
    taken = scene.take()
    if len(taken.mounts) < 10:
        raise Failure(f"only {len(taken.mounts)} mount namespaces were found to compare")
    check(compare.mounts.compare(taken.document, taken.mounts))


@test
def mounts_names() -> None:
    """Names of any bytes, an empty source, and lines longer than a page."""
    complaints = []
    for name in ODD_NAMES:
        found = _only("mounts", name)
        if found.reach != "root" or found.info.type != b"tmpfs":
            complaints.append(f"the mount on {name!r} is {found.line!r}")
    if _only("mounts", b"empty source").info.source:
        complaints.append("the mount without a source has one")
    longest = max(_mounts("mounts"), key=lambda mount: len(mount.line))
    if len(longest.line) < 6000 or not longest.info.root.startswith(b"/long\\040root/"):
        complaints.append(f"the longest line has {len(longest.line)} bytes")
    check(complaints)


@test
def mounts_reach() -> None:
    """Stacked mounts are `over` but for the top one; what the root does not reach is `outside`, and has no path."""
    complaints = []
    stack = [mount.reach for mount in _at("mounts", b"stack")]
    if stack != ["over", "over", "over", "root"]:
        complaints.append(f"a stack of four mounts is {stack}")
    if [mount.reach for mount in _at("mounts", b"hidden/below")] != ["covered"]:
        complaints.append("a mount below a covered directory is not `covered`")
    # There are two, as a later recursive bind mount has copied the first.
    for source, point in ((b"escaped", b"\\~"), (b"on the escaped", b"/on\\040it\\~")):
        escaped = [(m.reach, m.info.point) for m in _from("mounts", source)]
        if escaped != 2 * [("outside", point)]:
            complaints.append(f"mounts that moved out of sight are {escaped}")
    under_cover = _mounts("covered root")
    cover = [mount.reach for mount in under_cover if mount.info.source == b"cover"]
    under = {mount.reach for mount in under_cover if mount.info.source != b"cover"}
    if cover != ["root"] or under != {"outside"}:
        complaints.append(f"a mount on the root is {cover}, those under it are {under}")
    check(complaints)


# Of the specimen "covered": by the source of each mount.
_COVERED = {
    b"in a": "covered",
    b"a": "root",
    b"lower": "over",
    b"in lower": "covered",
    b"further in lower": "covered",
    b"upper": "root",
    b"in upper": "root",
    b"in proc": "covered",
    b"in the lower": "covered",
    b"in the upper": "root",
    b"by the view": "root",
    b"by the source": "root",
    b"left": "root",
    b"in what is left": "root",
    b"moved": "root",
    b"beneath": "over",
    b"top": "root",
    b"on the top": "root",
    b"renamed": "root",
    b"over all": "root",
}


@test
def mounts_covered() -> None:
    """A mount is `covered` whose path leads elsewhere, though nothing lies on it: further up another mount does."""
    complaints = []
    for source, reach in _COVERED.items():
        first, *copies = [m.reach for m in _from("covered", source)]
        if first != reach:
            complaints.append(f"the mount {source!r} is `{first}`, not `{reach}`")
        # The copies of all lie under one mount.
        if copies and set(copies) - {"covered", "over"}:
            complaints.append(f"of the mount {source!r} the copies are {copies}")
    check(complaints)


@test
def mounts_binds() -> None:
    """Bind mounts of files, directories, deleted ones and namespaces show what is bound."""
    complaints = []
    for point, root in (
        (b"file point", b"/bound file"),
        (b"dir point", b"/dir/sub dir"),
        (b"deleted point", b"/dir/doomed//deleted"),
        (b"deleted file point", b"/doomed file//deleted"),
    ):
        found = _only("mounts", point)
        if found.info.root != mountinfo.escape(root):
            complaints.append(f"the root of {point!r} is {found.info.root!r}")
    if not _only("mounts", b"uts point").info.root.startswith(b"uts:["):
        complaints.append("the root of a namespace file is no namespace")
    check(complaints)


@test
def mounts_options() -> None:
    """Options of mounts and of file systems, propagation tags, idmapped mounts."""
    complaints = []
    for point, options in (
        (b"ro", b"ro,relatime"),
        (b"ro bind", b"ro,relatime"),
        (b"nosuid-nodev-noexec", b"rw,nosuid,nodev,noexec,relatime"),
        (b"noatime", b"rw,noatime"),
        (b"strictatime", b"rw"),
        (b"nosymfollow", b"rw,relatime,nosymfollow"),
        (b"idmapped", b"rw,relatime,idmapped"),
    ):
        found = _only("mounts", point).info.options
        if found != options:
            complaints.append(f"the options of {point!r} are {found!r}, not {options!r}")
    for point, tags in (
        (b"shared", [b"shared"]),
        (b"peer", [b"shared"]),
        (b"slave", [b"master"]),
        (b"slave and shared", [b"shared", b"master"]),
        (b"unbindable", [b"unbindable"]),
        (b"noatime", []),
    ):
        names = [tag.partition(b":")[0] for tag in _only("mounts", point).info.tags]
        if names != tags:
            complaints.append(f"the tags of {point!r} are {names}, not {tags}")
    check(complaints)


@test
def mounts_propagate_from() -> None:
    """Where mountinfo has propagate_from, the record has the rest of the line."""
    taken = scene.take()
    lines = [line for source in taken.mounts.values() for line in source.lines]
    if not any(b" propagate_from:" in line for line in lines):
        raise Failure("no mount of the zoo has propagate_from in mountinfo")
    check([f"{m.line!r}" for m in taken.document.mounts if b" propagate_from:" in m.line])


COPIES = 5


@test
def mounts_copies() -> None:
    """dev= tells which mounts are copies that came by propagation or with a namespace; others are made."""
    module.ensure_loaded()
    point, beside = mounts.BASE + b"/copied", mounts.BASE + b"/beside"

    def arrange() -> tuple[int, tuple[int, int], list[int]]:
        mounts.private_namespace()
        syscalls.mount(None, mounts.BASE, None, syscalls.MS_SHARED)
        for path in (point, beside):
            os.mkdir(path)
        slaves = [zoo.spawn(lambda: _copy_namespace(syscalls.MS_SLAVE)).pid for _ in range(COPIES)]
        syscalls.mount(b"copied", point, b"tmpfs")
        private = zoo.spawn(lambda: _copy_namespace(syscalls.MS_PRIVATE)).pid
        syscalls.bind(point, beside)
        found = syscalls.statx(point)
        return found.mount, found.device, [*slaves, private]

    specimen = zoo.spawn(arrange)
    original, device, copied = specimen.report
    try:
        query = "dev=%d:%d show=ns,tasks,mounts" % device
        answer = module.ask_document(query)
        points = {mount.id: (mount.copy, mount.info.point) for mount in answer.mounts}
        check_equal("original", points.pop(original), (False, point))
        made = [mount for mount, (copy, _) in points.items() if not copy]
        check_equal("made besides", [points[mount][1] for mount in made], [beside])
        namespaces = {mount.namespace for mount in answer.mounts if mount.copy}
        check_equal("copies", namespaces, {procfs.mnt_inum(pid) for pid in copied})
        only = module.ask_document(query + ",originals")
        check_equal("originals", [mount.id for mount in only.mounts], [original, *made])
        check_equal("their namespaces", [ns.inum for ns in only.namespaces], [procfs.mnt_inum(specimen.pid)])
        check_equal("their processes", [task.pid for task in only.tasks], [specimen.pid])
        marked = [mount for mount in module.read_document().mounts if mount.copy]
        check_equal("told without dev=", marked, [])
        everything = module.ask_document("show=mounts,originals")
        check_equal("of all", original in {mount.id for mount in everything.mounts}, True)
        check_equal("no copies", {mount.copy for mount in everything.mounts}, {False})
    finally:
        zoo.end(specimen, *copied)


def _copy_namespace(propagation: int) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, b"/", None, syscalls.MS_REC | propagation)
