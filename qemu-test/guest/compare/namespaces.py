# SPDX-License-Identifier: GPL-2.0
"""Namespace records against the kernel's ioctls and what namespaces show from inside."""

from __future__ import annotations

from format1 import Document, Value
from nsfs import NsFacts
from nsview import Key, NsView
from procfs import Process, View


def _common(facts: NsFacts) -> dict[str, Value]:
    expected: dict[str, Value] = {"id": facts.id, "owner": facts.owner}
    if facts.type in ("pid", "user"):
        expected["parent"] = facts.parent
    if facts.owner_uid is not None:
        expected["uid"] = facts.owner_uid
    if facts.mounts is not None:
        # No mount is under way while nobody mounts anything.
        expected |= {"mounts": facts.mounts, "pending": 0}
    return expected


def _reaper(inum: int, view: View) -> Process | None:
    for process in view.processes.values():
        if process.namespaces["pid"] == inum and process.nspid[-1] == 1:
            return process
    return None


def _pid(key: Key, source: NsView, view: View) -> dict[str, Value]:
    inum = key[1]
    expected: dict[str, Value] = {"level": source.level(key)}
    reaper = _reaper(inum, view)
    expected["reaper"] = None if reaper is None else reaper.pid
    if inum in source.pid_max:
        limit = source.pid_max[inum]
        expected["dying"] = int(limit is None)
        if limit is not None:
            expected["pid_max"] = limit
    if source.facts[key].parent is not None:
        expected["pids"] = _pids(key, source, view)
    return expected


def _pids(key: Key, source: NsView, view: View) -> int:
    """How many threads have a number in a pid namespace: those in it and in all below it."""

    def is_below(inum: int | None) -> bool:
        while inum is not None and inum != key[1]:
            inum = source.facts["pid", inum].parent
        return inum is not None

    return sum(p.threads for p in view.processes.values() if is_below(p.namespaces["pid"]))


def expectations(key: Key, source: NsView, view: View) -> dict[str, Value]:
    """What the keys of a record should hold, as far as there is another source."""
    kind, inum = key
    expected = _common(source.facts[key])
    match kind:
        case "pid":
            expected |= _pid(key, source, view)
        case "user":
            expected["level"] = source.level(key)
            if inum in source.id_maps:
                uids, gids = source.id_maps[inum]
                expected["uid_map"], expected["gid_map"] = uids or None, gids or None
        case "uts":
            if inum in source.names:
                expected["nodename"], expected["domainname"] = source.names[inum]
        case "cgroup":
            if inum in source.cgroup_roots:
                expected["root"] = source.cgroup_roots[inum]
        case "time":
            if inum in source.offsets:
                expected["monotonic"], expected["boottime"] = source.offsets[inum]
    return expected


def compare(document: Document, source: NsView, view: View) -> list[str]:
    """What is wrong with the records of the namespaces that user space can see."""
    records = {(ns.type, ns.inum): ns for ns in document.namespaces}
    complaints = []
    for key in source.facts:
        record = records.get(key)
        if record is None:
            complaints.append(f"there is no record of {key[0]} namespace {key[1]}")
            continue
        complaints += [
            f"{key[0]} namespace {key[1]}: {name} is {record.fields[name]!r}, the kernel says {wanted!r}"
            for name, wanted in expectations(key, source, view).items()
            if record.fields[name] != wanted
        ]
    return complaints


def compare_listed(document: Document, before: list[int], after: list[int]) -> list[str]:
    """What is wrong with the list of records, given what `listns` listed before and after.

    It lists all namespaces that user space can see, that is, those with active references.
    """
    active = {ns.fields["id"]: bool(ns.fields["active"]) for ns in document.namespaces}
    complaints = []
    for identity in before:
        if identity in after and not active.get(identity):
            is_there = "says active=0" if identity in active else "is not there"
            complaints.append(f"listns lists namespace {identity}, whose record {is_there}")
    complaints += [
        f"namespace {identity!r} has active references, but listns does not list it"
        for identity, is_active in active.items()
        if is_active and identity not in before and identity not in after
    ]
    return complaints
