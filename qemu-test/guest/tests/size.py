# SPDX-License-Identifier: GPL-2.0
"""Far more of everything than usual: the text is whole and right, and nobody waits long for it."""

from __future__ import annotations

import os
import re
import time

import format1
import module
import mountinfo
import mountlist
import pace
import procfs
import syscalls
import zoo
from format1 import Document
from latency import waits
from runner import Failure, check, check_equal, tell, test, test_with
from specimens.crowd import LEVELS, crowd
from specimens.long import ENDS, escaped_mounts
from specimens.mounts import BASE, private_namespace
from specimens.piles import piled
from syscalls import PATH_MAX

# On the kernels that check all that they do there is a tenth of everything.
SCALE = 1 if pace.KERNEL in ("", "stock") else 10
TASKS = 19_000 // SCALE
DEEP = 1_000 // SCALE
MOUNTS = 20_000 // SCALE
NAMESPACES = 500 // SCALE
MOUNTS_EACH = 40
PILE = 4096
# Of the processes in but few pid namespaces, every so many are looked at closely.
SAMPLE = 20

# Nobody may wait longer for a CPU, in milliseconds.
MAX_WAKEUP = 50
# How much longer than for one namespace somebody may wait to mount something, in milliseconds: what
# an emulated CPU, which is not always there, adds.
MOUNT_MARGIN = 40
ROUNDS = 5


def _read(what: str, query: bytes = b"") -> Document:
    """An answer, parsed; tells how big it is and how long it took."""
    began = time.monotonic()
    text = module.ask(query)
    took = time.monotonic() - began
    document = format1.parse(text)
    end = document.end
    tell(
        f"{what}: {len(text)} bytes in {took * 1000:.0f} ms:"
        f" {end.ns} namespaces, {end.tasks} processes, {end.mounts} mounts"
    )
    return document


def _numbers(pid: int) -> tuple[int, ...]:
    """What /proc/PID/status shows as the process's numbers."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return tuple(int(number) for number in line.split()[1:])
    raise LookupError(f"process {pid} has no NSpid")


def _complete(document: Document, before: set[int], began: int, after: set[int]) -> list[str]:
    """What is wrong with which processes there are; `before` was listed when it was `began`."""
    pids = {task.pid for task in document.tasks}
    complaints = []
    if len(pids) != len(document.tasks):
        complaints.append(f"{len(document.tasks) - len(pids)} processes are shown more than once")
    if missing := before & after - pids:
        complaints.append(f"{len(missing)} processes are missing, {min(missing)} the first")
    unknown = pids - before - after
    for task in document.tasks:
        start = task.fields["start"]
        assert isinstance(start, int)
        if task.pid in unknown and start < began:
            complaints.append(f"process {task.pid} is nowhere else")
        if task.unlisted:
            complaints.append(f"process {task.pid} is shown as unlisted")
    return complaints


@test_with(seconds=240)
def size_tasks() -> None:
    """20,000 processes, 1,000 of them with 33 numbers: each is shown exactly once, with its numbers."""
    module.ensure_loaded()
    with crowd(tasks=TASKS, deep=DEEP) as people:
        began = procfs.boottime()
        before = set(procfs.pids())
        document = _read("many processes")
        check(_complete(document, before, began, set(procfs.pids())))
        check_equal("processes in the pid namespace", len(_of_pid_ns(document, people.pid_ns)), TASKS + 1)
        deep = [task for task in document.tasks if task.fields["level"] == LEVELS - 1]
        check_equal("processes at the lowest level", len(deep), DEEP + 1)
        for task in deep + document.tasks[::SAMPLE]:
            upids = task.fields["upid"]
            assert isinstance(upids, tuple)
            numbers = tuple(upid[0] for upid in upids if isinstance(upid, tuple))
            if task.fields["kind"] == "user" and numbers != _numbers(task.pid):
                raise Failure(f"process {task.pid} is {numbers}, should be {_numbers(task.pid)}")


def _of_pid_ns(document: Document, inum: int) -> list[format1.Task]:
    return [task for task in document.tasks if task.fields["pidns"] == inum]


def _mount_complaints(document: Document, lists: dict[int, mountlist.MountList]) -> list[str]:
    """What differs between the mounts in the text and those in the kernel's own interfaces."""
    complaints = []
    shown = {ns.inum: ns.fields["mounts"] for ns in document.namespaces if ns.type == "mnt"}
    if shown.keys() != lists.keys():
        complaints.append(f"there are {len(shown)} mount namespaces, should be {len(lists)}")
    for inum, source in lists.items():
        mounts = document.mounts_of(inum)
        lines = [mount.line for mount in mounts if mount.reach != "outside"]
        wanted = [mountinfo.without_propagate_from(line) for line in source.lines]
        if [mount.id for mount in mounts] != sorted(source.mounts):
            complaints.append(f"namespace {inum} has {len(mounts)} mounts, not {len(source.mounts)}")
        elif lines != wanted:
            complaints.append(f"the mounts of namespace {inum} are not as in mountinfo")
        if not shown.get(inum) == source.count == len(source.mounts):
            complaints.append(f"namespace {inum} counts {shown.get(inum)} mounts, not {source.count}")
    return complaints


@test_with(seconds=240)
def size_mounts() -> None:
    """20,000 mounts in one namespace: each is as in mountinfo, listmount and statmount."""
    module.ensure_loaded()
    with crowd(mounts=MOUNTS) as people:
        document = _read("many mounts")
        check(_mount_complaints(document, mountlist.read_all()))
        mounts = [mount for mount in document.mounts_of(people.mnt) if mount.info.point.startswith(BASE)]
        check_equal("mounts below /tmp", len(mounts), MOUNTS + 1 + _mounts_on_base())


def _mounts_on_base() -> int:
    """How many the guest itself has there."""
    return sum(info.point.startswith(BASE) for info in _own_mounts())


def _own_mounts() -> list[mountinfo.MountInfo]:
    with open("/proc/self/mountinfo", "rb") as file:
        return [mountinfo.MountInfo.parse(line) for line in file.read().split(b"\n")[:-1]]


@test_with(seconds=240)
def size_namespaces() -> None:
    """500 mount namespaces: all are shown, each with all of its mounts."""
    module.ensure_loaded()
    with crowd(namespaces=NAMESPACES, mounts_each=MOUNTS_EACH):
        document = _read("many mount namespaces")
        check(_mount_complaints(document, mountlist.read_all()))
        full = [len(document.mounts_of(ns.inum)) > MOUNTS_EACH for ns in document.namespaces if ns.type == "mnt"]
        if sum(full) < NAMESPACES:
            raise Failure(f"{sum(full)} namespaces have more than {MOUNTS_EACH} mounts")
        ids = [ns.fields["id"] for ns in document.namespaces]
        missing = set(syscalls.listns()) - set(ids)
        check([f"namespace with the id {identity} is missing" for identity in missing])


# Around what the module shows whole, and far more.
_LENGTHS = (PATH_MAX - 2, PATH_MAX - 1, PATH_MAX, PATH_MAX + 1, PATH_MAX + 251, 2 * PATH_MAX, 65_536, 100_000)
_COMPONENT = 250


def _path(length: int) -> list[bytes]:
    """The components of a path of so many bytes below `BASE`, each with a slash before it."""
    rest = length - len(BASE) - 1
    first = b"%06d" % length
    rest -= len(first)
    components = [first]
    while rest > 0:
        size = min(_COMPONENT, rest - 1)
        # Never a rest that is a slash alone.
        if rest - 1 - size == 1:
            size -= 1
        components.append(b"%03d" % len(components) + b"n" * (size - 3) if size > 3 else b"n" * size)
        rest -= size + 1
    return components


def _deep_mounts() -> None:
    private_namespace()
    for length in _LENGTHS:
        os.chdir(BASE)
        for name in _path(length):
            os.mkdir(name)
            os.chdir(name)
        syscalls.mount(b"length%d" % length, b".", b"tmpfs")


@test
def size_paths() -> None:
    """Mount points of 4,096 bytes, some more and some less: whole, or the last 4,096 bytes, and marked."""
    module.ensure_loaded()
    specimen = zoo.spawn(_deep_mounts)
    try:
        namespace = os.stat(f"/proc/{specimen.pid}/ns/mnt").st_ino
        document = _read("deep mounts")
        source = mountlist.read_all()[namespace]
    finally:
        zoo.end(specimen)
    check_equal("mounts", [m.id for m in document.mounts_of(namespace)], sorted(source.mounts))
    points = {m.info.source: (m.reach, m.info.point) for m in document.mounts_of(namespace)}
    complaints = []
    for length in _LENGTHS:
        whole = BASE + b"".join(b"/" + name for name in _path(length))
        assert len(whole) == length
        reach, point = points[b"length%d" % length]
        if reach != "root":
            complaints.append(f"the mount at {length} bytes has the reach {reach}")
        if point != mountinfo.cut(mountinfo.escape(whole)):
            complaints.append(f"the mount point of {length} bytes is {point[:40]!r} ... {point[-40:]!r}")
    check(complaints)


@test_with(seconds=240, on="stock")
def size_wakeup() -> None:
    """With 20,000 processes and 27,000 mounts, the reader's CPU is free for another within 50 ms.

    What is measured is how late a real-time thread wakes up on that CPU. It gets the CPU as soon as
    the kernel can leave what it does, so that this is the time for which the kernel needs to
    reschedule and does not. The same is measured while the CPU runs a program only, and while that
    reads /proc/PID/status of each process: what is seen there is not the module's.
    """
    module.ensure_loaded()
    with crowd(tasks=TASKS, deep=DEEP, namespaces=NAMESPACES // 10, mounts=MOUNTS) as people:
        # The way up from the topmost of a pile leads over all of it.
        with piled(PILE):
            idle = waits("wakeup", ROUNDS, "idle")
            status = waits("wakeup", 1, "status")
            read = waits("wakeup", ROUNDS, "file", module.PROC_FILE)
        check_equal("the crowd is still there", os.path.exists(f"/proc/{people.init}"), True)
    tell(f"longest wait for a CPU that runs a program: {idle}")
    tell(f"longest wait for a CPU that reads each /proc/PID/status: {status}")
    tell(f"longest wait for a CPU that reads {module.PROC_FILE}: {read}")
    if read.steady > MAX_WAKEUP:
        raise Failure(f"a real-time thread waits {read}, without a reader {idle}")


@test_with(seconds=240, on="stock")
def size_mount_wait() -> None:
    """While 500 mount namespaces are read, mount() waits no longer than for one of them.

    What one takes is measured in the same way, with somebody who mounts: a query for it alone.
    """
    module.ensure_loaded()
    for namespaces, mounts in ((NAMESPACES, 0), (0, MOUNTS)):
        with crowd(namespaces=namespaces, mounts=mounts, mounts_each=2 * MOUNTS_EACH) as people:
            query = f"ns={people.mnt} show=mounts"
            idle = waits("mount", ROUNDS, "idle")
            one = min(waits("mount", ROUNDS, "file", module.PROC_FILE, query).took)
            read = waits("mount", ROUNDS, "file", module.PROC_FILE)
        tell(f"{namespaces} mount namespaces, and one with {mounts} mounts, which takes {one:.1f} ms")
        tell(f"longest mount() without a reader: {idle}")
        tell(f"longest mount() with a reader: {read}, {min(read.count)} mounts meanwhile")
        limit = one + MOUNT_MARGIN
        if namespaces and min(read.took) < 3 * limit:
            raise Failure(f"a read takes {min(read.took):.0f} ms: too few mounts to see anything")
        if read.steady > limit:
            raise Failure(f"mount() waits {read}, should be no more than {limit:.0f} ms")


def _cut_root(root: bytes) -> bytes:
    """A mounted directory as it is shown: of one that is too long where escaped, the end, of whole escapes."""
    if len(root) <= PATH_MAX:
        return root
    end = b""
    for one in reversed(re.findall(rb"\\[0-7]{3}|.", root)):
        if len(end) + len(one) > PATH_MAX:
            break
        end = one + end
    return end + mountinfo.CUT


def _cut_line(line: bytes) -> bytes:
    """A line of mountinfo as it is shown, where both paths may be too long."""
    fields = line.split(b" ")
    fields[3], fields[4] = _cut_root(fields[3]), mountinfo.cut(fields[4])
    return b" ".join(fields)


@test
def size_escapes() -> None:
    """Paths and a source of tabs, each four bytes long when escaped: of a path the end, and the rest whole."""
    module.ensure_loaded()
    specimen = zoo.spawn(escaped_mounts)
    try:
        namespace = os.stat(f"/proc/{specimen.pid}/ns/mnt").st_ino
        document = _read("mounts of tabs")
        with open(f"/proc/{specimen.pid}/mountinfo", "rb") as file:
            lines = file.read().split(b"\n")[:-1]
    finally:
        zoo.end(specimen)
    cut = [_cut_line(line) for line in lines]
    # As many were meant to be: that of the deep bind mount, and all that are too long.
    roots = sum(line.split(b" ")[3] != whole.split(b" ")[3] for line, whole in zip(cut, lines, strict=True))
    check_equal("directories that are cut", roots, 1 + sum(4 * 1021 + len(end) > PATH_MAX for end in ENDS))
    shown = [mount.line for mount in document.mounts_of(namespace) if mount.reach != "outside"]
    check_equal("mounts", len(shown), len(cut))
    for line, wanted in zip(shown, cut, strict=True):
        if line != wanted:
            raise Failure(f"{line[:60]!r} of {len(line)} bytes, should be {wanted[:60]!r} of {len(wanted)}")


# Processes with a root of their own, and the directories that each of these is deep.
ROOTS = 1000
DEPTH = 2000


def _many_roots() -> None:
    private_namespace()
    os.chdir(BASE)
    for _ in range(DEPTH):
        os.mkdir("d")
        os.chdir("d")
    for number in range(ROOTS):
        name = b"%d" % number
        os.mkdir(name)
        # It dies with its parent.
        zoo.spawn(lambda name=name: os.chroot(name))


@test_with(seconds=240, on="stock")
def size_roots() -> None:
    """While the roots of 1,000 processes are read, mount() waits no longer than for some of them."""
    module.ensure_loaded()
    specimen = zoo.spawn(_many_roots)
    try:
        idle = waits("mount", ROUNDS, "idle")
        read = waits("mount", ROUNDS, "file", module.PROC_FILE, "show=tasks")
    finally:
        left = procfs.children(specimen.pid)
        zoo.end(specimen, *left)
    tell(f"longest mount() without a reader: {idle}")
    tell(f"longest mount() with a reader: {read}, {min(read.count)} mounts meanwhile")
    if read.steady > MOUNT_MARGIN:
        raise Failure(f"mount() waits {read}, without a reader {idle}")
