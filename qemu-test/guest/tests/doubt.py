# SPDX-License-Identifier: GPL-2.0
"""Whether the comparisons see anything on this very system: a right text made wrong must not pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import compare.mounts
import compare.namespaces
import compare.queries
import compare.tasks
import compare.threads
import module
import procfs
from compare import consistency
from compare.queries import Query
from format1 import Document, Mount, Namespace, Task, Thread, Value
from runner import Failure, check, test
from tests import scene


# Of namespaces that no process is in: the type, and the keys that have another source there.
NAMESPACE_KEYS = {
    "uts fd": ("uts", ("id", "owner", "tasks", "nodename", "domainname")),
    "user parent": ("user", ("id", "owner", "tasks", "level", "parent", "uid")),
    "pid fd": ("pid", ("id", "owner", "tasks", "level", "parent", "reaper", "pids")),
    "mnt fd": ("mnt", ("id", "owner", "tasks", "mounts", "pending", "root")),
    "cgroup bind": ("cgroup", ("id", "owner", "tasks", "root")),
    "time_for_children bind": ("time", ("id", "owner", "tasks", "monotonic", "boottime")),
    "net fd": ("net", ("id", "owner", "tasks")),
    "ipc bind": ("ipc", ("id", "owner", "tasks")),
}


def _judge(document: Document) -> list[str]:
    """What the first comparison that objects has against a text."""
    taken = scene.take()
    return (
        compare.tasks.compare(taken.before, document, taken.after, taken.sources)
        or compare.namespaces.compare(document, taken.namespaces, taken.after)
        or compare.namespaces.compare_listed(document, *taken.listed)
        or compare.mounts.compare(document, taken.mounts)
        or consistency.check(document)
    )


def _judge_threads(document: Document) -> list[str]:
    taken = scene.take()
    return (
        compare.threads.compare(taken.threads_before, document, taken.threads_after, taken.sources)
        or compare.threads.compare_order(document, taken.tids)
        or consistency.check(document)
    )


def _other(value: Value) -> Value:
    """Another value of the same kind."""
    if isinstance(value, tuple):
        last = value[-1]
        return (*value[:-1], last + 1) if isinstance(last, int) else (*value[:-1], (last[0] + 1, last[1]))
    if isinstance(value, bytes):
        return value + b"x"
    if isinstance(value, int):
        return value + 10**9
    return "other" if isinstance(value, str) else 7


def _with_task(document: Document, pid: int, change: Callable[[Task], list[Task]]) -> Document:
    tasks: list[Task] = []
    for task in document.tasks:
        tasks += change(task) if task.pid == pid else [task]
    return dataclasses.replace(document, tasks=tasks)


def _with_key(document: Document, pid: int, key: str) -> Document:
    def change(task: Task) -> list[Task]:
        return [dataclasses.replace(task, fields={**task.fields, key: _other(task.fields[key])})]

    return _with_task(document, pid, change)


def _with_thread(document: Document, tid: int, change: Callable[[Thread], list[Thread]]) -> Document:
    threads: list[Thread] = []
    for thread in document.threads:
        threads += change(thread) if thread.tid == tid else [thread]
    return dataclasses.replace(document, threads=threads)


def _with_thread_key(document: Document, tid: int, key: str) -> Document:
    def change(thread: Thread) -> list[Thread]:
        return [dataclasses.replace(thread, fields={**thread.fields, key: _other(thread.fields[key])})]

    return _with_thread(document, tid, change)


def _with_namespace_key(document: Document, one: Namespace, key: str) -> Document:
    wrong = dataclasses.replace(one, fields={**one.fields, key: _other(one.fields[key])})
    namespaces = [wrong if ns is one else ns for ns in document.namespaces]
    return dataclasses.replace(document, namespaces=namespaces)


def _without_mount(document: Document, left_out: Mount) -> Document:
    mounts = [mount for mount in document.mounts if mount is not left_out]
    return dataclasses.replace(document, mounts=mounts)


def _swapped(document: Document) -> Document:
    first, second, *rest = document.mounts
    return dataclasses.replace(document, mounts=[second, first, *rest])


@test
def would_notice() -> None:
    """A text with one task, key, namespace or mount wrong is not taken for right."""
    taken = scene.take()
    document = taken.document
    check(_judge(document))
    pid = taken.zoo["container nested"].pid
    wrong = {
        f"{key} of the nested process": _with_key(document, pid, key) for key in document.task(pid).fields
    }
    wrong["no record of the nested process"] = _with_task(document, pid, lambda _: [])
    wrong["two records of the nested process"] = _with_task(document, pid, lambda task: [task, task])
    wrong["no /soft"] = _without_mount(
        document, next(mount for mount in document.mounts if mount.info.point == b"/soft")
    )
    wrong["no mount outside"] = _without_mount(
        document, next(mount for mount in document.mounts if mount.reach == "outside")
    )
    for name, (kind, keys) in NAMESPACE_KEYS.items():
        one = document.namespace(kind, taken.zoo["keeper"].report.kept[name].facts.inum)
        wrong |= {f"{key} of {name!r}": _with_namespace_key(document, one, key) for key in keys}
        wrong[f"no {name!r}"] = dataclasses.replace(
            document, namespaces=[ns for ns in document.namespaces if ns is not one]
        )
    kept = taken.zoo["keeper"].report.kept["mnt fd"].facts.inum
    wrong["a mount missing where no process is"] = _without_mount(document, document.mounts_of(kept)[-1])
    wrong["two mounts swapped"] = _swapped(document)
    wrong["no namespace of the highest id"] = dataclasses.replace(
        document, namespaces=document.namespaces[:-1]
    )
    unseen = [what for what, text in wrong.items() if not _judge(text)]
    if unseen:
        raise Failure(*(f"nobody noticed: {what}" for what in unseen))


@test
def would_notice_threads() -> None:
    """A text with one thread or key of a thread wrong is not taken for right."""
    taken = scene.take()
    document = taken.everything
    check(_judge_threads(document))
    tid = taken.zoo["odd threads"].report["net"]
    wrong = {
        f"{key} of a thread": _with_thread_key(document, tid, key) for key in document.thread(tid).fields
    }
    wrong["no record of a thread"] = _with_thread(document, tid, lambda _: [])
    wrong["two records of a thread"] = _with_thread(document, tid, lambda thread: [thread, thread])
    first, second, *rest = document.threads
    wrong["two threads swapped"] = dataclasses.replace(document, threads=[second, first, *rest])
    unseen = [what for what, text in wrong.items() if not _judge_threads(text)]
    if unseen:
        raise Failure(*(f"nobody noticed: {what}" for what in unseen))


@test
def would_notice_in_answers() -> None:
    """An answer to a query with a record missing, or one too many, is not taken for right."""
    taken = scene.take()
    everything = taken.everything
    pid = taken.zoo["container nested"].pid
    visible = procfs.mount_ids(pid)
    for query in (Query(pid=pid), Query(ns=everything.task(pid).fields["mntns"])):  # type: ignore[arg-type]
        answer = module.ask_document(str(query))

        def judge(document: Document, query: Query = query) -> list[str]:
            return compare.queries.compare(query, everything, document, everything, visible)

        check(judge(answer))
        strange = next(mount for mount in everything.mounts if mount not in answer.mounts)
        wrong = {
            "no process": dataclasses.replace(answer, tasks=[]),
            "two processes": dataclasses.replace(answer, tasks=[*answer.tasks, everything.task(1)]),
            "a mount less": dataclasses.replace(answer, mounts=answer.mounts[1:]),
            "a mount more": dataclasses.replace(answer, mounts=[*answer.mounts, strange]),
            "a namespace less": dataclasses.replace(answer, namespaces=answer.namespaces[1:]),
            "all namespaces": dataclasses.replace(answer, namespaces=everything.namespaces),
            "threads": dataclasses.replace(answer, threads=everything.threads),
        }
        unseen = [what for what, text in wrong.items() if not judge(text)]
        if unseen:
            raise Failure(*(f"{query}: nobody noticed: {what}" for what in unseen))
