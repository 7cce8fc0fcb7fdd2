# SPDX-License-Identifier: GPL-2.0
"""Whether the comparisons see anything on this very system: a right text made wrong must not pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import compare.mounts
import compare.namespaces
import compare.tasks
from compare import consistency
from format1 import Document, Mount, Task, Value
from runner import Failure, check, test
from tests import scene


def _judge(document: Document) -> list[str]:
    taken = scene.take()
    return [
        *consistency.check(document),
        *compare.tasks.compare(taken.before, document, taken.after, taken.sources),
        *compare.namespaces.compare(document, taken.namespaces, taken.after),
        *compare.mounts.compare(document, taken.mounts),
    ]


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
    wrong["two mounts swapped"] = _swapped(document)
    wrong["no namespace of the highest id"] = dataclasses.replace(
        document, namespaces=document.namespaces[:-1]
    )
    unseen = [what for what, text in wrong.items() if not _judge(text)]
    if unseen:
        raise Failure(*(f"nobody noticed: {what}" for what in unseen))
