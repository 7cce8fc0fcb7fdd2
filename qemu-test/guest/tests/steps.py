# SPDX-License-Identifier: GPL-2.0
"""How many steps the module takes, which it counts itself on some kernels: no walk may be quadratic.

Steps are counted for a small scene and for one ten times as large. What the difference comes to for each
record more is small, and the same on all machines, unlike the time that it takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import format1
import module
from format1 import Document
from runner import Failure, check, tell, test_with
from specimens.crowd import Crowd, crowd, sets
from specimens.mounts import BASE
from specimens.piles import piled

_KINDS = ("task", "number", "namespace", "mount", "name", "probe")

# So many times as large the larger scene is.
_TIMES = 10

# The most steps of each kind for one record more.
#
# "task", "number": tasks are walked once, and their numbers. "namespace": they are collected once, for a query of
# a device twice. "mount": each is read once, and for such a query looked at twice before. "name": the way up from a mount point to the root of the mount below; the crowd's are one directory
# deep. Of all that was found the paths are made in memory.
#
# "probe": places of hash tables that are looked at. A table is at least twice as large as what is in it, so that
# a search takes one or two; what is new is searched for, entered, and entered again when the table grows. Of a
# task that is its cgroup, its root and its set of namespaces. Of a mount it is the names of its mount point and
# of its directory, the rest of its line, and its path: the names in a table of all strings, and where each stands
# in a table of all paths.
_PER_TASK = {"task": 1.1, "number": 1.1, "probe": 5}
# Each of these processes has a set of namespaces of its own, of ten types, which are searched for in the records.
_PER_NAMESPACE = {"task": 1.5, "number": 1.1, "namespace": 2.2, "mount": 1.1, "probe": 60}
_PER_MOUNT = {"mount": 1.1, "name": 1.1, "probe": 13}
# What may happen besides, however large the scene is: some process more or less, or a restart of a walk
# over what is the same in both.
_SLACK = 150


@dataclass(frozen=True)
class _Count:
    """The steps of one read, and what it has shown."""

    steps: Mapping[str, int]
    document: Document


def _count(query: str) -> _Count:
    fd = module.open_for_queries()
    try:
        os.write(fd, query.encode() + b"\n")
        before = module.steps()
        text = module.read_all(fd)
        after = module.steps()
    finally:
        os.close(fd)
    return _Count({kind: after[kind] - before[kind] for kind in _KINDS}, format1.parse(text))


def _counts(queries: Iterable[str], **sizes: int) -> dict[str, _Count]:
    """Those of each query with a crowd of that size."""
    with crowd(**sizes):
        return {query: _count(query) for query in queries}


def _judge(
    what: str, small: _Count, large: _Count, records: int, limits: Mapping[str, float]
) -> list[str]:
    """What took more steps than so many for each of the `records` that are more; others are limited to few.

    Nothing may take more than so many times the steps, either. Of tables, which are from a quarter to a half
    full, a small part is looked through in one scene, and more in another: they may take twice as many.
    """
    times = {kind: _TIMES * (2 if kind == "probe" else 1) for kind in _KINDS}
    more = {kind: large.steps[kind] - small.steps[kind] for kind in _KINDS}
    tell(f"{what}: for {records} records more " + ", ".join(f"{kind} {more[kind]}" for kind in _KINDS))
    return [
        f"{what}: {more[kind]} steps more of kind {kind} for {records} records more, limit {limit}"
        for kind in _KINDS
        if more[kind] > (limit := limits.get(kind, 0) * records + _SLACK)
    ] + [
        f"{what}: {large.steps[kind]} steps of kind {kind} instead of {small.steps[kind]}"
        for kind in _KINDS
        if large.steps[kind] > times[kind] * small.steps[kind] + _SLACK
    ]


def _tasks(people: Crowd) -> dict[str, _Count]:
    device = os.stat(f"/proc/{people.pid}/root{BASE.decode()}").st_dev
    dev = f"dev={os.major(device)}:{os.minor(device)}"
    return {
        "show=tasks": _count("show=tasks"),
        "show=tasks,threads": _count("show=tasks,threads"),
        "dev": _count(dev),
        "pid": _count(f"pid={people.init}"),
        "upid": _count(f"upid=1@{people.pid_ns}"),
    }


@test_with(on="uml")
def steps_tasks() -> None:
    """With ten times the processes a read takes as many steps more as there are, and one of a single process none."""
    module.ensure_loaded()
    found = []
    for tasks in (200, 2000):
        with crowd(tasks=tasks) as people:
            found.append(_tasks(people))
    small, large = found
    more = large["show=tasks"].document.end.tasks - small["show=tasks"].document.end.tasks
    if more < 1700:
        raise Failure(f"there are only {more} processes more")
    complaints = []
    for what in small:
        limits = {} if what in ("pid", "upid") else dict(_PER_TASK)
        if what == "show=tasks,threads":
            # Each process is a section of its own, which knows no directory of the one before: the same few
            # are looked for again and again, and some of them have a long way in their tables.
            limits |= {"task": 2.2, "name": 1.1, "probe": 24}
        complaints += _judge(what, small[what], large[what], more, limits)
    check(complaints)


@test_with(on="uml")
def steps_mounts() -> None:
    """With ten times the mounts in a namespace a read takes as many steps more as there are."""
    module.ensure_loaded()
    queries = ("show=mounts", "dev=0:1 show=mounts", "show=ns")
    small, large = (_counts(queries, mounts=mounts) for mounts in (500, 5000))
    more = large["show=mounts"].document.end.mounts - small["show=mounts"].document.end.mounts
    if more < 4400:
        raise Failure(f"there are only {more} mounts more")
    complaints = []
    for query in queries:
        # Those of a device are looked for twice: which are copies, and then which namespaces have some, up to the
        # first one in each.
        limits = {"show=mounts": _PER_MOUNT, "dev=0:1 show=mounts": {"mount": 2.1}}.get(query, {})
        complaints += _judge(query, small[query], large[query], more, limits)
    check(complaints)


@test_with(on="uml")
def steps_namespaces() -> None:
    """With ten times the mount namespaces a read takes as many steps more as there are, and mounts in them."""
    module.ensure_loaded()
    queries = ("show=ns", "dev=0:1", "show=ns,tasks,mounts")
    small, large = (_counts(queries, namespaces=number, mounts_each=10) for number in (20, 200))
    ends = [one["show=ns,tasks,mounts"].document.end for one in (small, large)]
    more, mounts = ends[1].ns - ends[0].ns, ends[1].mounts - ends[0].mounts
    if more < 170:
        raise Failure(f"there are only {more} namespaces more")
    complaints = []
    for query in queries:
        limits = dict(_PER_NAMESPACE)
        if query != "show=ns":
            # Of all mounts, those of a device are looked for in another walk before.
            each = {kind: limit * mounts / more for kind, limit in _PER_MOUNT.items()}
            each["mount"] *= 2 if query == "dev=0:1" else 1
            limits = {kind: limits.get(kind, 0) + each.get(kind, 0) for kind in _KINDS}
        complaints += _judge(query, small[query], large[query], more, limits)
    check(complaints)


# A pile doubles in height as it is made.
_LOW, _TALL = 256, 2048


@test_with(on="uml")
def steps_pile() -> None:
    """In a pile eight times as tall a read takes as many steps more as there are mounts, and no way up is long."""
    module.ensure_loaded()
    found = []
    for height in (_LOW, _TALL):
        with piled(height) as pid:
            mnt = os.stat(f"/proc/{pid}/ns/mnt").st_ino
            found.append(_count(f"ns={mnt} show=mounts"))
    small, large = found
    more = large.document.end.mounts - small.document.end.mounts
    if more != _TALL - _LOW:
        raise Failure(f"there are {more} mounts more")
    # All but the lowest lie on the root of the one below: there are no names on the way.
    check(_judge("a pile", small, large, more, _PER_MOUNT | {"name": 0}))


# So many processes, each in a set of namespaces of its own.
_SETS = (400, 4000)


@test_with(on="uml")
def steps_sets() -> None:
    """Sets of namespaces whose inode numbers were chosen to collide take as many steps as others."""
    module.ensure_loaded()
    found = {}
    for what in ("different", "same"):
        for number in _SETS:
            with sets(number, what):
                found[what, number] = _count("show=tasks")
    complaints = []
    for what in ("different", "same"):
        small, large = (found[what, number] for number in _SETS)
        more = large.document.end.tasks - small.document.end.tasks
        limits = _PER_TASK | {"probe": 30}
        complaints += _judge(f"sets of {what} sums", small, large, more, limits)
    different, same = (found[what, _SETS[1]].steps["probe"] for what in ("different", "same"))
    tell(f"{different} probes for sets of different sums, {same} for those of one")
    if same > 2 * different:
        complaints.append(f"those of one sum take {same} probes, others {different}")
    check(complaints)
