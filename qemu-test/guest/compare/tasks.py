# SPDX-License-Identifier: GPL-2.0
"""Task records against procfs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from format1 import TASK_NAMESPACES, Document, Task, Thread, Value
from procfs import Process, View, without_deleted
from syscalls import FileId

# procfs shows start times in clock ticks.
NS_PER_TICK = 10_000_000
COMM_MAX = 15
DELETED = b"//deleted"


@dataclass(frozen=True)
class Sources:
    """What procfs alone does not tell."""

    pidns_parents: Mapping[int, int | None]
    """The parent of each pid namespace."""
    roots: Mapping[int, int]
    """By mount namespace: the 64-bit id of the topmost mount that is stacked on its root."""
    mounts: Mapping[int, int]
    """By 64-bit id of a mount: the mount namespace that lists it."""


@dataclass(frozen=True)
class Expectation:
    """What a field should hold."""

    value: object
    """What the source shows. It did not change when it is the same before and after."""
    accepts: Callable[[Value], bool] | None = None
    """Where the two do not show quite the same: whether the field fits what the source shows."""

    def is_met_by(self, got: Value) -> bool:
        """Whether the field holds what it should."""
        return self.accepts(got) if self.accepts else got == self.value


def _comm(process: Process) -> Expectation:
    name = process.comm
    if not process.kthread:
        return Expectation(name)

    # For a kernel thread procfs shows a longer name, and for a worker also what it works at.
    def accepts(got: Value) -> bool:
        if not isinstance(got, bytes) or not name.startswith(got):
            return False
        return len(got) == COMM_MAX or name[len(got) : len(got) + 1] in (b"", b"+", b"-")

    return Expectation(name, accepts)


def _upid(process: Process, sources: Sources) -> Expectation:
    namespaces: list[int] = []
    namespace = process.namespaces["pid"]
    while namespace is not None:
        namespaces.insert(0, namespace)
        namespace = sources.pidns_parents[namespace]
    return Expectation(tuple(zip(process.nspid, namespaces, strict=True)))


def _chroot(process: Process, sources: Sources) -> Expectation:
    root, namespace = process.root_id, process.namespaces["mnt"]
    if root is None or namespace is None:
        return Expectation(None)
    return Expectation(int(not (root.is_mount_root and root.mount == sources.roots[namespace])))


def _directory(path: bytes | None, identity: FileId | None) -> Expectation:
    # procfs marks a directory that was deleted; a directory may also have such a name.
    if path is None or identity is None:
        return Expectation(None)
    return Expectation(without_deleted(path) + DELETED if identity.is_deleted else path)


def _namespace_of(identity: FileId | None, sources: Sources) -> Expectation:
    # One that no list has belongs to no namespace: it was detached, or is the kernel's own.
    return Expectation(sources.mounts.get(identity.mount) if identity else None)


def _cgroup(process: Process) -> Expectation:
    # procfs marks a cgroup that was removed; a cgroup may also have such a name.
    path = process.cgroup
    if path is None or process.cgroup_inode is not None:
        return Expectation(path)
    return Expectation(without_deleted(path) + DELETED)


def _cgroup_id(process: Process) -> Expectation:
    # Of one that was removed nobody tells the id any more.
    inode = process.cgroup_inode
    return Expectation(inode, None if inode is not None else lambda got: isinstance(got, int) and got > 1)


def expectations(process: Process, sources: Sources) -> dict[str, Expectation]:
    """What each key of the process's or the thread's record should hold."""
    start = process.start_ticks
    return {
        "tgid": Expectation(process.tgid),
        "comm": _comm(process),
        "level": Expectation(len(process.nspid) - 1),
        "upid": _upid(process, sources),
        "pgid": Expectation(process.nspgid),
        "sid": Expectation(process.nssid),
        "ppid": Expectation(process.ppid),
        "tracer": Expectation(process.tracer or None),
        "uid": Expectation(process.uid),
        "gid": Expectation(process.gid),
        "euid": Expectation(process.euid),
        "egid": Expectation(process.egid),
        "caps": Expectation(process.caps),
        "seccomp": Expectation(process.seccomp),
        "nnp": Expectation(process.nnp),
        "threads": Expectation(process.threads),
        "state": Expectation((process.state, process.switches), lambda got: got == process.state),
        "kind": Expectation("kthread" if process.kthread else "user"),
        "start": Expectation(start, lambda got: isinstance(got, int) and got // NS_PER_TICK == start),
        **{key: Expectation(process.namespaces[link]) for key, link in TASK_NAMESPACES.items()},
        "chroot": _chroot(process, sources),
        "root": _directory(process.root, process.root_id),
        "rootns": _namespace_of(process.root_id, sources),
        "cwd": _directory(process.cwd, process.cwd_id),
        "cwdns": _namespace_of(process.cwd_id, sources),
        "cgroup": _cgroup(process),
        "cgroup_id": _cgroup_id(process),
    }


def compare_one(before: Process, task: Task, after: Process, sources: Sources) -> list[str]:
    """The fields that did not change from before to after and that the record shows otherwise."""
    complaints = compare_fields(f"task {task.pid}", before, task.fields, after, sources)
    if before.via == after.via != task.via:
        complaints.append(f"task {task.pid} has via={task.via}, procfs {before.via}")
    return complaints


def compare_fields(
    what: str, before: Process, fields: Mapping[str, Value], after: Process, sources: Sources
) -> list[str]:
    """As `compare_one`, of a process or a thread; each key must have an expectation."""
    earlier, later = expectations(before, sources), expectations(after, sources)
    return [
        f"{what} ({before.comm!r}): {key} is {got!r}, procfs has {earlier[key].value!r}"
        for key, got in fields.items()
        if earlier[key].value == later[key].value and not earlier[key].is_met_by(got)
    ]


def start_of(task: Task | Thread) -> int:
    """When it began, in nanoseconds since boot."""
    start = task.fields["start"]
    assert isinstance(start, int)
    return start


def compare(before: View, document: Document, after: View, sources: Sources) -> list[str]:
    """What is wrong with the task records, given procfs from before and from after."""
    complaints = []
    seen: dict[tuple[int, int], int] = {}
    for task in document.tasks:
        key = (task.pid, start_of(task) // NS_PER_TICK)
        seen[key] = seen.get(key, 0) + 1
        if key in before.processes and key in after.processes:
            complaints += compare_one(before.processes[key], task, after.processes[key], sources)
        elif key not in before.processes and start_of(task) < before.began:
            complaints.append(f"task {task.pid} is older than the first look at procfs, which lacks it")
    for key, process in before.processes.items():
        if key in after.processes and seen.get(key, 0) != 1:
            complaints.append(f"process {key[0]} ({process.comm!r}) has {seen.get(key, 0)} task records")
    complaints += [f"task {key[0]} has {count} records" for key, count in seen.items() if count > 1]
    complaints += [f"task {task.pid} is marked unlisted" for task in document.tasks if task.unlisted]
    return complaints


def compare_order(document: Document, forked_in_order: list[int]) -> list[str]:
    """Whether tasks come in the order of `init_task.tasks`: a new one is put at its end."""
    complaints = []
    pids = [task.pid for task in document.tasks]
    if pids[:2] != [1, 2]:
        complaints.append(f"the list begins with {pids[:2]}, not with init and kthreadd")
    known = [pid for pid in pids if pid in forked_in_order]
    if known != forked_in_order:
        complaints.append(f"processes forked in the order {forked_in_order} are listed as {known}")
    return complaints
