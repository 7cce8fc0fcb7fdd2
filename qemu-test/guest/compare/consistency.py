# SPDX-License-Identifier: GPL-2.0
"""What must hold within one text, whatever the system was doing."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, pairwise

from format1 import NS_SPECS, TASK_NAMESPACES, Document, Task
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


def _task(task: Task) -> list[str]:
    """A task's upids, groups and sessions have a number for each level, the last in its own pidns."""
    complaints = []
    level, upid = task.fields["level"], task.fields["upid"]
    assert isinstance(level, int)
    for key in ("upid", "pgid", "sid"):
        numbers = task.fields[key]
        if isinstance(numbers, tuple) and len(numbers) != level + 1:
            complaints.append(f"task {task.pid}: {key} has {len(numbers)} numbers at level {level}")
    if isinstance(upid, tuple):
        last, first = upid[-1], upid[0]
        assert isinstance(last, tuple) and isinstance(first, tuple)
        if last[1] != task.fields["pidns"]:
            complaints.append(f"task {task.pid}: upid ends in {last[1]}, pidns is {task.fields['pidns']!r}")
        if first[0] != task.pid:
            complaints.append(f"task {task.pid}: upid begins with {first[0]}")
    return complaints


def _namespaces(document: Document) -> list[str]:
    complaints = []
    known = {(ns.type, ns.inum) for ns in document.namespaces}
    if len(known) != len(document.namespaces):
        complaints.append("a namespace has two records")
    ids = [ns.fields["id"] for ns in document.namespaces]
    complaints += [
        f"the ns records {one!r} and {other!r} are not in ascending order"
        for one, other in pairwise(ids)
        if not (isinstance(one, int) and isinstance(other, int) and one < other)
    ]
    for task in document.tasks:
        for key, link in TASK_NAMESPACES.items():
            inum = task.fields[key]
            if isinstance(inum, int) and (LINKS[link], inum) not in known:
                complaints.append(f"task {task.pid}: there is no record of its {key} {inum!r}")
    for ns in document.namespaces:
        for key, kind in (("owner", "user"), ("parent", ns.type)):
            inum = ns.fields.get(key)
            if isinstance(inum, int) and (kind, inum) not in known:
                complaints.append(f"{ns.type} namespace {ns.inum}: there is no record of its {key} {inum!r}")
        members = sum(task.fields[MEMBERSHIP[ns.type]] == ns.inum for task in document.tasks)
        if ns.fields["tasks"] != members:
            complaints.append(
                f"{ns.type} namespace {ns.inum}: tasks is {ns.fields['tasks']!r}, {members} tasks are in it"
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
    """What the records say against each other."""
    complaints = [complaint for task in document.tasks for complaint in _task(task)]
    return complaints + _namespaces(document) + _mounts(document)
