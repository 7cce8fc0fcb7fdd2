# SPDX-License-Identifier: GPL-2.0
"""That everybody who is measured sees the scene, all of it.

What a contestant that missed half of the processes takes for the rest would be no result.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scene import Scene


class Incomplete(Exception):
    """Somebody did not see all of the scene."""


@dataclass(frozen=True)
class Seen:
    """What the full text of nsinspect has."""

    tasks: int
    mounts: int
    visible: int
    """Mounts that process 1 and those of the scene see."""


class Counted(Protocol):
    """How much a contestant has read."""

    @property
    def records(self) -> int:
        """Lines, processes, or mounts."""


def _numbers(text: bytes) -> dict[bytes, bytes]:
    """The numbers of each process of the scene, by the host's."""
    found = {}
    for line in text.splitlines():
        kind, pid, comm, _, upid = line.split(b" ", 5)[:5]
        if kind == b"task" and comm == b"comm=scene":
            found[pid] = upid.removeprefix(b"upid=").rstrip(b",")
    return found


def _expect(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise Incomplete(f"{what}: {got}, should be {wanted}")


def _inum(pid: int, kind: str) -> int:
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


def check_text(made: Scene, text: bytes) -> Seen:
    """The text of nsinspect shows all of the scene."""
    lines = text.splitlines()
    end = dict(field.split(b"=") for field in lines[-1].split(b" ")[1:])
    # The process that has made them all has the same name.
    tasks = _numbers(b"\n".join(line for line in lines if line.startswith(b"task ")))
    _expect("nsinspect: processes of the scene", len(tasks), made.processes + 1)
    mounts = [line.split(b" ", 4)[1:4] for line in lines if line.startswith(b"mount ")]
    own = {member.pid: b"%d" % _inum(member.pid, "mnt") for member in made.members}
    number = Counter(ns for ns, _, _ in mounts)
    for member in made.members:
        _expect(f"nsinspect: mounts of process {member.pid}", number[own[member.pid]], member.mounts)
    known = {*own.values(), b"%d" % _inum(1, "mnt")}
    visible = sum(ns in known and reach.split(b",")[0] in (b"root", b"over") for ns, _, reach in mounts)
    return Seen(int(end[b"tasks"]), int(end[b"mounts"]), visible)


def check_holds(made: Scene, text: bytes) -> None:
    """The holds are those of the scene: of each of its processes, each descriptor that it has opened."""
    number = Counter(line.split(b" ", 5)[4] for line in text.splitlines() if b" by=fd " in line)
    tasks = Path("/proc/nsinspect").read_bytes().splitlines()
    own = _numbers(b"\n".join(line for line in tasks if line.startswith(b"task ")))
    whole = sum(number[b"pid=" + pid] >= made.plan.descriptors for pid in own)
    _expect("nsinspect: processes with all descriptors", whole, made.plan.processes)


def check_iterator(text: bytes, iterated: bytes) -> None:
    """The BPF iterator shows the same processes with the same numbers."""
    tasks = b"\n".join(line for line in text.splitlines() if line.startswith(b"task "))
    if _numbers(tasks) != _numbers(iterated):
        raise Incomplete("the BPF iterator shows other processes than nsinspect")


def _check_lsns(made: Scene) -> None:
    """lsns counts as many processes in each container as there are."""
    spaces = json.loads(Path("/tmp/contest-lsns").read_bytes())["namespaces"]
    processes = {int(space["ns"]): int(space["nprocs"]) for space in spaces}
    for member in made.containers:
        inum = _inum(member.pid, "pid")
        _expect(f"lsns: processes in namespace {inum}", processes.get(inum), member.processes)


def check_others(made: Scene, seen: Seen, results: Mapping[str, Counted]) -> None:
    """All others have read about as much: a few kernel threads come and go."""

    def check(name: str, wanted: int, slack: int) -> None:
        if name in results and abs(results[name].records - wanted) > slack:
            _expect(f"{name}: records", results[name].records, wanted)

    check("procfs scan", seen.tasks, 10)
    check("procfs scan, mountinfo", seen.tasks + seen.visible, 10)
    check("mountinfo", seen.visible, 0)
    # It leaves out no more than what is out of reach.
    between = (seen.visible + seen.mounts) // 2
    check("listmount, statmount", between, seen.mounts - between)
    if "findmnt -N" in results:
        listed = Path("/tmp/contest-findmnt -N").read_bytes().count(b'"target"')
        _expect("findmnt: mounts", listed, seen.visible)
    if "procfs scan, fd, fdinfo" in results:
        # Each process of the scene has its own, and those from the start.
        least = made.plan.processes * (made.plan.descriptors + 2)
        _expect("procfs scan, fd: descriptors", results["procfs scan, fd, fdinfo"].records >= least, True)
    if "command ps" in results:
        # A heading, and each process of the scene; some more are the guest's own.
        shown = Path("/tmp/contest-command ps").read_bytes().count(b"\n") - 1
        _expect("command ps: processes", made.processes <= shown <= made.processes + 30, True)
    if "command pid 1@web" in results:
        numbers = Path("/tmp/contest-command pid 1@web").read_bytes().count(b"\n")
        _expect("command pid: lines", numbers, 3)
    if "command audit" in results:
        # Each container has all capabilities, to say the least.
        found = Path("/tmp/contest-command audit").read_bytes().count(b" A7 ")
        _expect("command audit: containers that look privileged", found, len(made.containers))
    if "lsns" in results:
        _check_lsns(made)
