# SPDX-License-Identifier: GPL-2.0
"""What must hold within one text, whatever the system was doing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import groupby, pairwise

from format1 import NS_SPECS, TASK_NAMESPACES, Document, Value
from nsfs import LINKS

# The key that says which namespace of a type a process is in, as opposed to where its children go.
MEMBERSHIP = {
    "pid": "pidns",
    "user": "userns",
    "mnt": "mntns",
    "uts": "utsns",
    "ipc": "ipcns",
    "net": "netns",
    "cgroup": "cgroupns",
    "time": "timens",
}
assert MEMBERSHIP.keys() == NS_SPECS.keys()


Fields = Mapping[str, Value]


def _all_tasks(document: Document) -> list[tuple[str, Fields]]:
    """The fields of all processes and threads, and what to call them."""
    tasks = [(f"task {task.pid}", task.fields) for task in document.tasks]
    return tasks + [(f"thread {thread.tid}", thread.fields) for thread in document.threads]


def _numbers(what: str, fields: Fields) -> list[str]:
    """A task's upids, groups and sessions have a number for each level, the last in its own pidns."""
    complaints = []
    level, upid = fields["level"], fields["upid"]
    assert isinstance(level, int)
    for key in ("upid", "pgid", "sid"):
        numbers = fields.get(key)
        if isinstance(numbers, tuple) and len(numbers) != level + 1:
            complaints.append(f"{what}: {key} has {len(numbers)} numbers at level {level}")
    if isinstance(upid, tuple):
        last, first = upid[-1], upid[0]
        assert isinstance(last, tuple) and isinstance(first, tuple)
        if last[1] != fields["pidns"]:
            complaints.append(f"{what}: upid ends in {last[1]}, pidns is {fields['pidns']!r}")
        if str(first[0]) != what.split()[1]:
            complaints.append(f"{what}: upid begins with {first[0]}")
    return complaints


# What a process has of another thread where its main thread has given it back.
_OF_STAND_IN = {*TASK_NAMESPACES, "chroot", "root", "rootns", "cwd", "cwdns"}


def _threads(document: Document) -> list[str]:
    """Each process has as many threads as it says, and leads them."""
    counts = Counter(thread.fields["tgid"] for thread in document.threads)
    threads = {thread.tid: thread for thread in document.threads}
    complaints = []
    for task in document.tasks:
        if task.fields["threads"] != counts[task.pid]:
            complaints.append(
                f"task {task.pid}: threads is {task.fields['threads']!r}, {counts[task.pid]} are there"
            )
        leader = threads.get(task.pid)
        if leader is None:
            complaints.append(f"task {task.pid}: its first thread has no record")
            continue
        stand_in = leader if task.via is None else threads.get(task.via)
        if stand_in is None or stand_in.fields["tgid"] != task.pid:
            complaints.append(f"task {task.pid}: via={task.via} is none of its threads")
            continue
        complaints += [
            f"task {task.pid}: {key} is {task.fields[key]!r}, but {one.fields[key]!r} of its thread {one.tid}"
            for key in leader.fields
            for one in [stand_in if key in _OF_STAND_IN else leader]
            if key not in ("tgid", "state") and task.fields[key] != one.fields[key]
        ]
    return complaints


def elsewhere(document: Document) -> dict[tuple[str, int], set[int]]:
    """By namespace, the processes that have a thread in it, though it is not theirs."""
    found: dict[tuple[str, int], set[int]] = {}
    tasks = {task.pid: task for task in document.tasks}
    for thread in document.threads:
        pid = thread.fields["tgid"]
        task = tasks.get(pid) if isinstance(pid, int) else None
        if task is None or thread.fields["mntns"] is None:
            continue
        for kind, key in MEMBERSHIP.items():
            inum = thread.fields[key]
            if isinstance(inum, int) and inum != task.fields[key]:
                found.setdefault((kind, inum), set()).add(task.pid)
    return found


def _namespaces(document: Document) -> list[str]:
    complaints = []
    others = elsewhere(document)
    mixed = {task.pid for task in document.tasks if task.mixed}
    if document.threads:
        wanted = set().union(*others.values()) if others else set()
        complaints += [f"task {pid}: mixed is not what its threads say" for pid in mixed ^ wanted]
    known = {(ns.type, ns.inum) for ns in document.namespaces}
    if len(known) != len(document.namespaces):
        complaints.append("a namespace has two records")
    ids = [ns.fields["id"] for ns in document.namespaces]
    complaints += [
        f"the ns records {one!r} and {other!r} are not in ascending order"
        for one, other in pairwise(ids)
        if not (isinstance(one, int) and isinstance(other, int) and one < other)
    ]
    for what, fields in _all_tasks(document):
        for key, link in TASK_NAMESPACES.items():
            inum = fields[key]
            if isinstance(inum, int) and (LINKS[link], inum) not in known:
                complaints.append(f"{what}: there is no record of its {key} {inum!r}")
    for ns in document.namespaces:
        for key, kind in (("owner", "user"), ("parent", ns.type)):
            inum = ns.fields.get(key)
            if isinstance(inum, int) and (kind, inum) not in known:
                complaints.append(f"{ns.type} namespace {ns.inum}: there is no record of its {key} {inum!r}")
        members = sum(task.fields[MEMBERSHIP[ns.type]] == ns.inum for task in document.tasks)
        # Without threads it is not known where those are.
        more = len(others.get((ns.type, ns.inum), ())) if document.threads else None
        counted = ns.fields["tasks"]
        least, most = members + (more or 0), members + (len(mixed) if more is None else more)
        if not isinstance(counted, int) or not least <= counted <= most:
            complaints.append(
                f"{ns.type} namespace {ns.inum}: tasks is {counted!r}, {members} tasks are in it,"
                f" and threads of {more} others"
            )
        if not ns.fields["refs"]:
            complaints.append(f"{ns.type} namespace {ns.inum}: refs is 0")
        if members and ns.type != "pid" and not ns.fields["active"]:
            complaints.append(f"{ns.type} namespace {ns.inum}: active is 0 with a task in it")
    return complaints


def _mounts(document: Document) -> list[str]:
    complaints = []
    counts = Counter(mount.namespace for mount in document.mounts)
    order = [ns.inum for ns in document.namespaces if ns.type == "mnt" and ns.inum in counts]
    groups = [namespace for namespace, _ in groupby(document.mounts, lambda mount: mount.namespace)]
    if groups != order:
        complaints.append("mount records do not come by namespace in the order of the ns records")
    for ns in document.namespaces:
        if ns.type != "mnt":
            continue
        if ns.torn:
            continue
        if ns.fields["mounts"] != counts[ns.inum]:
            complaints.append(
                f"mnt namespace {ns.inum}: mounts is {ns.fields['mounts']!r}, "
                f"{counts[ns.inum]} records are there"
            )
        roots = [m.id for m in document.mounts_of(ns.inum) if m.info.id == m.info.parent]
        if roots != [ns.fields["root"]]:
            complaints.append(f"mnt namespace {ns.inum}: root is {ns.fields['root']!r}, not {roots}")
    return complaints


def check(document: Document) -> list[str]:
    """What the records of a text say against each other; of a whole one, with threads or without."""
    tasks = [complaint for task in _all_tasks(document) for complaint in _numbers(*task)]
    threads = _threads(document) if document.threads else []
    return tasks + threads + _namespaces(document) + _mounts(document)
