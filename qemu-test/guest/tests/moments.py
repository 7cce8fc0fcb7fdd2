# SPDX-License-Identifier: GPL-2.0
"""What a text says of namespaces and lists of mounts that change while it is made."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator

import module
import programs
import syscalls
from format1 import Document
from runner import check, check_equal, tell, test_with
from specimens.crowd import crowd
from specimens.mounts import BASE
from syscalls import CLONE_NEWNS, MS_MOVE
from tests.size import SCALE
from zoo import end, spawn

# These tests are not for uml, where a single processor lets nobody in while a snapshot is taken.

# Processes that change their UTS namespaces, and how long they are watched, in seconds.
_MOVERS = 12
_SECONDS = 15
# Others, so that a walk of all processes takes long enough for numbers to be given again.
_BYSTANDERS = 4000 // SCALE


@contextlib.contextmanager
def _movers() -> Iterator[dict[int, bytes]]:
    """Has them: by pid, the name of all UTS namespaces that a process has ever been in."""
    with subprocess.Popen(
        [programs.path("uts"), str(_MOVERS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        pids = [int(word) for word in process.stdout.readline().split()]
        check_equal("processes", len(pids), _MOVERS)
        yield {pid: b"uts-%d" % pid for pid in pids}
    if process.returncode:
        raise ChildProcessError(f"the processes ended with status {process.returncode}")


def _named(document: Document) -> dict[int, tuple[bytes, object]]:
    """The UTS namespaces of those processes, by inode number: their name, and `tasks=`."""
    found = {}
    for ns in document.namespaces:
        if ns.type == "uts":
            name = ns.fields["nodename"]
            assert isinstance(name, bytes)
            if name.startswith(b"uts-"):
                check_equal(f"another namespace {ns.inum}", ns.inum in found, False)
                found[ns.inum] = name, ns.fields["tasks"]
    return found


def _wrong_names(document: Document, movers: dict[int, bytes]) -> list[str]:
    """Each process that a text puts into a UTS namespace in which it has never been.

    A new namespace has the former one's name at first: the process's own.
    """
    named = _named(document)
    complaints = []
    for task in document.tasks:
        inum = task.fields["utsns"]
        if isinstance(inum, int) and inum in named and named[inum][0] != movers.get(task.pid):
            complaints.append(f"process {task.pid} is in {inum}, which is {named[inum][0]!r}")
    return complaints


def _wrong_counts(document: Document) -> list[str]:
    """Each of the namespaces of which `tasks=` is not how many processes are said to be in it."""
    inside = Counter(task.fields["utsns"] for task in document.tasks)
    return [
        f"namespace {inum} has {tasks} processes, and there are {inside[inum]}"
        for inum, (_, tasks) in _named(document).items()
        if tasks != inside[inum]
    ]


@test_with(seconds=180, on="stock stock-7.2 rt cloud")
def moments_namespaces() -> None:
    """While inode numbers are given again and again, no process is in a namespace where it has never been."""
    module.ensure_loaded()
    found: dict[str, list[str]] = {"names": [], "counts": [], "queries": []}
    reads = queries = answers = 0
    with crowd(tasks=_BYSTANDERS), _movers() as movers:
        pids = list(movers)
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            document = module.ask_document("show=ns,tasks")
            reads += 1
            found["names"] += _wrong_names(document, movers)
            found["counts"] += _wrong_counts(document)
            inum = os.stat(f"/proc/{pids[reads % len(pids)]}/ns/uts").st_ino
            document = module.ask_document(f"ns={inum} show=ns,tasks")
            queries += 1
            answers += bool(document.namespaces)
            found["queries"] += _wrong_names(document, movers) + _wrong_counts(document)
    tell(f"{reads} reads, {queries} queries of which {answers} found a namespace")
    tell(", ".join(f"wrong {what}: {len(wrong)}" for what, wrong in found.items()))
    check([complaint for wrong in found.values() for complaint in wrong[:3]])


_MOUNTS = 20_000 // SCALE
_READS = 20
# The mounts move for so long, and rest for so long, in seconds: there are lists of both times.
_BUSY = 0.5
_QUIET = 1.5
_FIRST, _LAST = b"first", b"last"


def _mount_first() -> None:
    """A mount with a low id, and the places between which it and another one move."""
    for name in (b"/one", b"/two", b"/source"):
        os.mkdir(BASE + name)
    syscalls.mount(_FIRST, BASE + b"/one", b"tmpfs")
    os.mkdir(BASE + b"/one/in")


def _move(source: bytes, target: bytes) -> None:
    syscalls.mount(BASE + source, BASE + target, None, MS_MOVE)


def _move_for_ever(pid: int) -> int:
    """Has the first and the last mount of a namespace move on top of each other by turns.

    At each moment the last lies on the first, or the first on the last, or neither on the other.
    """
    fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(fd, CLONE_NEWNS)
    syscalls.mount(_LAST, BASE + b"/one/in", b"tmpfs")
    os.mkdir(BASE + b"/one/in/in")
    child = os.fork()
    if child:
        return child
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    while True:
        busy_until = time.monotonic() + _BUSY
        while time.monotonic() < busy_until:
            _move(b"/one/in", b"/two")
            _move(b"/one", b"/two/in")
            _move(b"/two/in", b"/one")
            _move(b"/two", b"/one/in")
        time.sleep(_QUIET)


def _list_complaints(document: Document, inum: int) -> list[str]:
    """What is wrong with a list of mounts that is said to be of one moment."""
    mounts = document.mounts_of(inum)
    parents = {mount.info.id: mount.info.parent for mount in mounts}
    ids = {mount.info.source: mount.info.id for mount in mounts}
    complaints = []
    first, last = ids[_FIRST], ids[_LAST]
    if parents[first] == last and parents[last] == first:
        complaints.append("two mounts lie on each other")
    # All but the topmost, which lies on itself or on one that is not on the list.
    strangers = [one for one, parent in parents.items() if parent not in parents or parent == one]
    if len(strangers) != 1:
        complaints.append(f"{len(strangers)} mounts lie on none of the others")
    if len(mounts) != document.namespace("mnt", inum).fields["mounts"]:
        complaints.append(f"there are {len(mounts)} mounts")
    return complaints


def _read_lists(inum: int, times: int) -> tuple[int, list[str]]:
    """How many of the lists are said to be torn, and what is wrong with the others."""
    torn, complaints = 0, []
    for _ in range(times):
        document = module.ask_document(f"ns={inum} show=ns,mounts")
        if document.namespace("mnt", inum).torn:
            torn += 1
        else:
            complaints += _list_complaints(document, inum)
    return torn, complaints


@test_with(seconds=180, on="stock stock-7.2 rt cloud")
def moments_mounts() -> None:
    """A list of mounts that changes all the time is of one moment, or says that it is not; quiet ones are."""
    module.ensure_loaded()
    with crowd(mounts=_MOUNTS, arrange=_mount_first) as people:
        mover = spawn(lambda: _move_for_ever(people.pid))
        try:
            torn, complaints = _read_lists(people.mnt, _READS)
        finally:
            end(mover, mover.report)
        quiet, more = _read_lists(people.mnt, 5)
    tell(f"{torn} of {_READS} lists are torn")
    if torn in (0, _READS):
        complaints.append(f"{torn} of {_READS} lists are torn: nothing was to be seen")
    if quiet:
        complaints.append(f"{quiet} lists are torn where nobody mounts anything")
    check(complaints + more)
