# SPDX-License-Identifier: GPL-2.0
"""Answers to queries against the text with everything, filtered here.

The system is not the same when the texts are taken. So there is one from before and one from after the
answer, and what does not differ between these two must be in the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compare.consistency import MEMBERSHIP
from format1 import TASK_NAMESPACES, Document, Mount, Namespace, Task, Thread, Value
from mountinfo import without_propagate_from

KINDS = ("ns", "tasks", "threads", "mounts")

_PASSING = tuple("RSDI")


@dataclass(frozen=True)
class Query:
    """What is asked for."""

    pid: int | None = None
    upid: tuple[int, int] | None = None
    ns: int | None = None
    dev: tuple[int, int] | None = None
    mount: int | None = None
    kind: str | None = None
    show: tuple[str, ...] | None = None
    propagate_from: bool = False

    def __str__(self) -> str:
        parts = {
            "pid": self.pid,
            "upid": self.upid and "%d@%d" % self.upid,
            "ns": self.ns,
            "dev": self.dev and "%d:%d" % self.dev,
            "mount": self.mount,
            "kind": self.kind,
            "show": self.show and ",".join(self.show),
            "propagate_from": self.propagate_from or None,
        }
        return " ".join(f"{key}={int(v) if v is True else v}" for key, v in parts.items() if v is not None)

    @property
    def is_for_one(self) -> bool:
        """Whether it asks for one process or thread."""
        return self.pid is not None or self.upid is not None

    def and_(self, other: Query) -> Query:
        """Both at once."""
        mine = {name: value for name, value in vars(self).items() if value not in (None, False)}
        return Query(**{**vars(other), **mine})


Key = tuple[object, ...]


@dataclass(frozen=True)
class Selection:
    """The records that a query keeps, each under what tells it apart from all others."""

    namespaces: dict[Key, Namespace]
    tasks: dict[Key, Task]
    threads: dict[Key, Thread]
    mounts: dict[Key, Mount]


def _ns_key(ns: Namespace) -> Key:
    return (ns.type, ns.inum, ns.fields["id"])


def _task_key(task: Task) -> Key:
    return (task.pid, task.fields["start"])


def _thread_key(thread: Thread) -> Key:
    return (thread.tid, thread.fields["start"])


def _mount_key(mount: Mount) -> Key:
    return (mount.namespace, mount.id)


def index(document: Document) -> Selection:
    """All records of a text."""
    return Selection(
        {_ns_key(ns): ns for ns in document.namespaces},
        {_task_key(task): task for task in document.tasks},
        {_thread_key(thread): thread for thread in document.threads},
        {_mount_key(mount): mount for mount in document.mounts},
    )


def _is_in(fields_: Mapping[str, Value], inum: int) -> bool:
    return any(fields_[key] == inum for key in MEMBERSHIP.values())


class _Filter:
    """What a query keeps of a text with everything."""

    def __init__(self, query: Query, document: Document, visible: Sequence[int] | None) -> None:
        self.query = query
        self.document = document
        self.visible = visible
        self.kinds = {task.pid: task.fields["kind"] for task in document.tasks}
        self.with_mount = {m.namespace for m in document.mounts if self._is_meant_mount(m)}
        self.subject = self._subject() if query.is_for_one else None
        self.threads_of: dict[int, list[Thread]] = {}
        mixed = {task.pid for task in document.tasks if task.mixed}
        for thread in document.threads:
            pid = thread.fields["tgid"]
            if isinstance(pid, int) and pid in mixed and thread.fields["mntns"] is not None:
                self.threads_of.setdefault(pid, []).append(thread)

    def _is_meant_mount(self, mount: Mount) -> bool:
        query = self.query
        if query.dev is not None and mount.info.device != query.dev:
            return False
        return query.mount is None or mount.id == query.mount

    def _is_for_mounts(self) -> bool:
        return self.query.dev is not None or self.query.mount is not None

    def _has_kind(self, one: Task | Thread) -> bool:
        if self.query.kind is None:
            return True
        # A thread record does not say it; its process's does.
        pid = one.pid if isinstance(one, Task) else one.fields["tgid"]
        return self.kinds.get(pid) == self.query.kind

    def _is_meant(self, task: Task | Thread) -> bool:
        query = self.query
        number = task.pid if isinstance(task, Task) else task.tid
        upids = task.fields["upid"]
        assert isinstance(upids, tuple)
        if not self._has_kind(task):
            return False
        return (query.pid is None or number == query.pid) and (query.upid is None or query.upid in upids)

    def _is_kept(self, fields_: Mapping[str, Value]) -> bool:
        query = self.query
        if query.ns is not None and not _is_in(fields_, query.ns):
            return False
        return not self._is_for_mounts() or fields_["mntns"] in self.with_mount

    def _subject(self) -> Task | Thread | None:
        for one in (*self.document.tasks, *self.document.threads):
            if self._is_meant(one):
                return one
        return None

    def task(self, task: Task) -> bool:
        """Whether it is kept."""
        own = (task.fields, *(thread.fields for thread in self.threads_of.get(task.pid, ())))
        if not (any(map(self._is_kept, own)) and self._has_kind(task)):
            return False
        return not self.query.is_for_one or task is self.subject

    def thread(self, thread: Thread) -> bool:
        """Whether it is kept; of one process all threads are."""
        if not (self._is_kept(thread.fields) and self._has_kind(thread)):
            return False
        if isinstance(self.subject, Task):
            return thread.fields["tgid"] == self.subject.pid
        return not self.query.is_for_one or thread is self.subject

    def namespace(self, ns: Namespace) -> bool:
        """Whether it is kept."""
        query = self.query
        if query.ns is not None and ns.inum != query.ns:
            return False
        if self._is_for_mounts() and (ns.type != "mnt" or ns.inum not in self.with_mount):
            return False
        if not query.is_for_one:
            return True
        return self.subject is not None and any(
            self.subject.fields[key] == ns.inum for key in TASK_NAMESPACES
        )

    def mount(self, mount: Mount) -> bool:
        """Whether it is kept."""
        query = self.query
        if query.ns is not None and mount.namespace != query.ns:
            return False
        if not self._is_meant_mount(mount):
            return False
        if not query.is_for_one:
            return True
        if self.subject is None or self.subject.fields["mntns"] != mount.namespace:
            return False
        return mount.info.id in (self.visible or ())


def select(query: Query, document: Document, visible: Sequence[int] | None = None) -> Selection:
    """The records that a query keeps of a text with everything.

    `visible` are the ids of the mounts in the mountinfo of the process that it asks for.
    """
    filter_ = _Filter(query, document, visible)
    default = ("ns", "tasks", "mounts")
    if isinstance(filter_.subject, Thread):
        default = ("ns", "threads", "mounts")
    show = query.show or default
    return Selection(
        {_ns_key(n): n for n in document.namespaces if "ns" in show and filter_.namespace(n)},
        {_task_key(t): t for t in document.tasks if "tasks" in show and filter_.task(t)},
        {_thread_key(t): t for t in document.threads if "threads" in show and filter_.thread(t)},
        {_mount_key(m): m for m in document.mounts if "mounts" in show and filter_.mount(m)},
    )


def _fields(
    what: str, before: Mapping[str, Value], got: Mapping[str, Value], after: Mapping[str, Value]
) -> list[str]:
    return [
        f"{what}: {key} is {got[key]!r}, without the query {value!r}"
        for key, value in before.items()
        if value == after[key] and got[key] != value
        # What waits may have run in between.
        and not (key == "state" and value in _PASSING and got[key] in _PASSING)
    ]


def _keys(
    what: str,
    wanted: list[dict[Key, object]],
    got: dict[Key, object],
    known: list[dict[Key, object]],
) -> list[str]:
    before, after = wanted
    complaints = [f"there is no record of {what} {key}" for key in before if key in after and key not in got]
    complaints += [
        f"{what} {key} should not be there"
        for key in got
        if key not in before and key not in after and any(key in one for one in known)
    ]
    order = [key for key in before if key in got and key in after]
    if [key for key in got if key in before and key in after] != order:
        complaints.append(f"the records of kind {what} come in another order")
    return complaints


def compare(
    query: Query, before: Document, answer: Document, after: Document, visible: Sequence[int] | None = None
) -> list[str]:
    """What is wrong with an answer."""
    one, other = (select(query, document, visible) for document in (before, after))
    known = [index(document) for document in (before, after)]
    got = index(answer)
    complaints = []
    for kind in ("namespaces", "tasks", "threads", "mounts"):
        def of(selection: Selection, kind: str = kind) -> dict[Key, object]:
            return getattr(selection, kind)  # type: ignore[no-any-return]

        complaints += _keys(kind, [of(one), of(other)], of(got), [of(all_) for all_ in known])
    for what, here, old, new in (
        ("process", got.tasks, one.tasks, other.tasks),
        ("thread", got.threads, one.threads, other.threads),
    ):
        for key, record in here.items():
            if key in old and key in new:
                complaints += _fields(f"{what} {key}", old[key].fields, record.fields, new[key].fields)
    for key, ns in got.namespaces.items():
        if ns.torn:
            complaints.append(f"namespace {key} is torn")
        if key in one.namespaces and key in other.namespaces:
            wanted, later = (dict(side.namespaces[key].fields) for side in (one, other))
            if query.is_for_one:
                wanted["tasks"] = later["tasks"] = None
            complaints += _fields(f"namespace {key}", wanted, ns.fields, later)
    line: Callable[[Mount], bytes] = lambda mount: mount.line  # noqa: E731
    if query.propagate_from:
        line = lambda mount: without_propagate_from(mount.line)  # noqa: E731
    for key, mount in got.mounts.items():
        if key in one.mounts and key in other.mounts:
            wanted_mount = one.mounts[key]
            if (mount.reach, mount.locked, line(mount)) != (
                wanted_mount.reach,
                wanted_mount.locked,
                wanted_mount.line,
            ):
                complaints.append(f"mount {key} is {mount.line!r}, without the query {wanted_mount.line!r}")
    return [f"{query}: {complaint}" for complaint in complaints]
