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
from specimens.crowd import Crowd, crowd
from specimens.mounts import BASE

_KINDS = ("task", "number", "namespace", "mount", "name", "probe")

# The most steps of each kind for one record more. Tasks are walked twice, first to count them, and their
# numbers once; namespaces are counted and collected, for a query of a device twice. Of a mount the way up
# is followed once, which is as long as it lies deep; the crowd's mounts lie at /tmp/…/…, on three others.
# A table has a place free for each that is taken: a search ends after one or two looks.
_PER_TASK = {"task": 2.2, "number": 1.1, "probe": 9}
# Each of these processes has a set of namespaces of its own: tables that are too small make the walk restart.
_PER_NAMESPACE = {"task": 6, "number": 1.1, "namespace": 4.4, "mount": 5, "probe": 30}
_PER_MOUNT = {"mount": 6, "name": 8}
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


def _judge(what: str, small: _Count, large: _Count, records: int, limits: Mapping[str, float]) -> list[str]:
    """What took more steps than so many for each of the `records` that are more; others are limited to few."""
    more = {kind: large.steps[kind] - small.steps[kind] for kind in _KINDS}
    tell(f"{what}: for {records} records more " + ", ".join(f"{kind} {more[kind]}" for kind in _KINDS))
    return [
        f"{what}: {more[kind]} steps more of kind {kind} for {records} records more, limit {limit}"
        for kind in _KINDS
        if more[kind] > (limit := limits.get(kind, 0) * records + _SLACK)
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
            limits |= {"task": 3.3, "probe": 18}
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
        limits = {"show=mounts": _PER_MOUNT, "dev=0:1 show=mounts": {"mount": 2.2}}.get(query, {})
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
            # Of all mounts, those of a device are looked for twice.
            limits |= {kind: 2 * limit * mounts / more for kind, limit in _PER_MOUNT.items()}
        complaints += _judge(query, small[query], large[query], more, limits)
    check(complaints)
