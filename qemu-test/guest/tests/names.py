# SPDX-License-Identifier: GPL-2.0
"""Names of all bytes, and paths as long as the module shows them, and longer."""

from __future__ import annotations

import os
from functools import partial

import forked
import format1
import module
import mountinfo
import mountlist
import procfs
import syscalls
import zoo
from runner import Failure, check, check_equal, test
from specimens.cgroups import MOUNT, remove
from specimens.mounts import BASE, private_namespace
from syscalls import PATH_MAX

ALL_BYTES = bytes(range(1, 256))
COMPONENT = 250
# Of so many a path is shown whole; PATH_MAX bytes are passed at 17. Where there are 270 of them, it is longer
# than what anything else of the kernel can show.
LONG, TOO_LONG = 16, (20, 270)


def _component(number: int) -> bytes:
    """A name that tells where on the way it stands."""
    return b"%03d," % number + b"n" * (COMPONENT - 4)


def _path(depth: int) -> bytes:
    return b"".join(b"/" + _component(number) for number in range(depth))


def _go_down(depth: int) -> None:
    """Makes directories in each other, and goes to the last."""
    for number in range(depth):
        os.mkdir(_component(number))
        os.chdir(_component(number))


def _remove(top: bytes, depth: int) -> None:
    """Removes such directories, empty now, from the last to the first."""
    fds = [os.open(top, os.O_RDONLY | os.O_DIRECTORY)]
    for number in range(depth):
        fds.append(os.open(_component(number), os.O_RDONLY | os.O_DIRECTORY, dir_fd=fds[-1]))
    for number in reversed(range(depth)):
        os.close(fds.pop())
        remove(_component(number), fds[-1])
    os.close(fds.pop())


def check_path(what: str, path: format1.Value, whole: bytes) -> None:
    """Fails unless a path is the whole, or of a longer one the last `PATH_MAX` bytes, marked as cut."""
    is_cut = isinstance(path, format1.CutText)
    if path != whole[-PATH_MAX:] or is_cut != (len(whole) > PATH_MAX):
        size, shown = 0, repr(path)
        if isinstance(path, bytes):
            size, shown = len(path), f"{path[:30]!r} ... {path[-30:]!r}"
        raise Failure(f"{what}: {type(path).__name__} of {size} bytes, {shown}, of a path of {len(whole)}")


@test
def names_host() -> None:
    """Node and domain names with every byte there is."""
    module.ensure_loaded()
    chunks = [ALL_BYTES[start : start + 64] for start in range(0, 255, 64)]

    def name_and_read() -> list[str]:
        syscalls.unshare(syscalls.CLONE_NEWUTS)
        complaints = []
        inum = os.stat("/proc/self/ns/uts").st_ino
        for node in chunks:
            domain = node[::-1]
            syscalls.sethostname(node)
            syscalls.setdomainname(domain)
            fields = module.ask_document(f"ns={inum} show=ns").namespace("uts", inum).fields
            got = (fields["nodename"], fields["domainname"])
            if got != syscalls.uname() or got != (node, domain):
                complaints.append(f"the names {node!r} and {domain!r} are {got!r}")
        return complaints

    check(forked.call(name_and_read))


def _odd_mounts() -> None:
    private_namespace()
    name = BASE + b"/" + ALL_BYTES.replace(b"/", b"")
    os.mkdir(name)
    syscalls.mount(ALL_BYTES, name, b"tmpfs")
    sub = name + b"/" + ALL_BYTES[::-1].replace(b"/", b"")
    os.mkdir(sub)
    os.mkdir(BASE + b"/bound")
    syscalls.bind(sub, BASE + b"/bound")
    os.chdir(BASE)
    _go_down(LONG)
    syscalls.mount(b"deep", b".", b"tmpfs")


def _mounts_as_in_mountinfo(specimen: zoo.Specimen, query: str) -> list[bytes]:
    namespace = os.stat(f"/proc/{specimen.pid}/ns/mnt").st_ino
    document = module.ask_document(query.format(namespace=namespace))
    with open(f"/proc/{specimen.pid}/mountinfo", "rb") as file:
        wanted = file.read().split(b"\n")[:-1]
    lines = [mount.line for mount in document.mounts_of(namespace) if mount.reach != "outside"]
    check_equal("mounts as in mountinfo", lines, wanted)
    return lines


@test
def names_mounts() -> None:
    """Mounts whose names have every byte, and one 4,000 bytes deep, are as in mountinfo."""
    module.ensure_loaded()
    specimen = zoo.spawn(_odd_mounts)
    try:
        lines = _mounts_as_in_mountinfo(specimen, "ns={namespace} propagate_from=1")
    finally:
        zoo.end(specimen)
    points = [mountinfo.MountInfo.parse(line).point for line in lines]
    check_equal("the deep one is there", mountinfo.escape(BASE + _path(LONG)) in points, True)
    odd = mountinfo.escape(BASE + b"/" + ALL_BYTES.replace(b"/", b""))
    check_equal("the odd one is there", odd in points, True)


@test
def names_mounts_too_long() -> None:
    """Of a mount point that is too long the end is shown, marked as cut, and the rest of the text is right."""

    def arrange(depth: int) -> None:
        private_namespace()
        os.chdir(BASE)
        _go_down(depth)
        syscalls.mount(b"deepest", b".", b"tmpfs")

    module.ensure_loaded()
    for depth in TOO_LONG:
        specimen = zoo.spawn(partial(arrange, depth))
        try:
            namespace = os.stat(f"/proc/{specimen.pid}/ns/mnt").st_ino
            document = module.ask_document(f"ns={namespace}")
            source = mountlist.read_all()[namespace]
        finally:
            zoo.end(specimen)
        deepest = [m for m in document.mounts if m.info.source == b"deepest"]
        check_equal("mounts", [mount.id for mount in document.mounts], sorted(source.mounts))
        check_equal("reach", [mount.reach for mount in deepest], ["root"])
        point = mountinfo.cut(mountinfo.escape(BASE + _path(depth)))
        check_equal("mount point", deepest[0].info.point, point)


@test
def names_roots() -> None:
    """The path of a root directory, 4,000 bytes deep, and such that are too long and marked as cut."""
    module.ensure_loaded()

    def arrange(depth: int) -> None:
        private_namespace()
        os.chdir(BASE)
        _go_down(depth)
        os.chroot(".")

    for depth in (LONG, *TOO_LONG):
        specimen = zoo.spawn(partial(arrange, depth))
        try:
            root = module.ask_document(f"pid={specimen.pid}").task(specimen.pid).fields["root"]
        finally:
            zoo.end(specimen)
        check_path("root", root, BASE + _path(depth))


def _enter_cgroup() -> int:
    """Enters the cgroup that is the working directory, and makes a namespace there."""
    with open("cgroup.procs", "wb") as file:
        file.write(b"0")
    syscalls.unshare(syscalls.CLONE_NEWCGROUP)
    return os.stat("/proc/self/ns/cgroup").st_ino


@test
def names_cgroups() -> None:
    """A cgroup path 4,000 bytes long, and such that are too long and marked as cut."""
    module.ensure_loaded()
    top = MOUNT + b"/nsinspect-deep"
    os.mkdir(top)
    for depth in (LONG, *TOO_LONG):

        def arrange(depth: int = depth) -> int:
            os.chdir(top)
            _go_down(depth)
            return _enter_cgroup()

        specimen = zoo.spawn(arrange)
        try:
            document = module.ask_document(f"pid={specimen.pid}")
            # From inside the kernel's own file shows it, as the root of its namespace.
            inside = _cgroup_inside(specimen)
        finally:
            zoo.end(specimen)
            _remove(top, depth)
        whole = b"/nsinspect-deep" + _path(depth)
        task = document.task(specimen.pid)
        check_equal("cgroup from inside", inside, b"/")
        check_equal("its namespace", task.fields["cgroupns"], specimen.report)
        root = document.namespace("cgroup", specimen.report).fields["root"]
        for what, path in (("cgroup", task.fields["cgroup"]), ("root", root)):
            check_path(what, path, whole)
    os.rmdir(top)


def _cgroup_inside(specimen: zoo.Specimen) -> bytes | None:
    def look() -> bytes | None:
        fd = os.open(f"/proc/{specimen.pid}/ns/cgroup", os.O_RDONLY)
        syscalls.setns(fd, syscalls.CLONE_NEWCGROUP)
        return procfs.read_cgroup(specimen.pid)

    return forked.call(look)
