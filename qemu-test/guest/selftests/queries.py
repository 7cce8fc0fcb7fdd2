# SPDX-License-Identifier: GPL-2.0
"""The comparison of answers to queries: what it takes for right, and that it notices all else."""

from __future__ import annotations

import dataclasses
import unittest

import compare.queries
import format1
from compare.queries import Query, Selection
from format1 import Document, Value
from selftests.system import INNER, MNT, PID, TEXT, USER, UTS

EVERYTHING = format1.parse(TEXT)
VISIBLE = (20, 22)

# What each query keeps: namespaces by inode number, processes, threads, and mounts by id.
ANSWERS: tuple[tuple[Query, str, str, str, str], ...] = (
    (Query(), "101 102 103 104 105 106 107 108 109", "1 2 50 60", "", "1 2 3 5 6"),
    (Query(pid=1), "101 102 103 104 105 106 107 108", "1", "", "2 5"),
    (Query(pid=50), "101 103 104 105 106 107 108 109", "50", "", "2 5"),
    (Query(pid=51), "101 103 104 105 106 107 108 109", "", "51", "2 5"),
    (Query(pid=60), "101 102", "60", "", ""),
    (Query(pid=99), "", "", "", ""),
    (Query(upid=(1, INNER)), "101 103 104 105 106 107 108 109", "50", "", "2 5"),
    (Query(upid=(2, INNER)), "101 103 104 105 106 107 108 109", "", "51", "2 5"),
    (Query(upid=(1, PID)), "101 102 103 104 105 106 107 108", "1", "", "2 5"),
    (Query(upid=(3, INNER)), "", "", "", ""),
    (Query(upid=(1, INNER), pid=1), "", "", "", ""),
    (Query(ns=INNER), "109", "50", "", ""),
    (Query(ns=INNER, show=("ns", "tasks", "threads")), "109", "50", "50 51", ""),
    (Query(ns=MNT), "103", "1 2 50", "", "1 2 3 5 6"),
    (Query(ns=USER), "101", "1 2 50 60", "", ""),
    (Query(dev=(0, 3)), "103", "1 2 50", "", "3"),
    (Query(dev=(0, 9)), "", "", "", ""),
    (Query(mount=3), "103", "1 2 50", "", "3"),
    (Query(mount=4), "", "", "", ""),
    (Query(mount=3, dev=(0, 3)), "103", "1 2 50", "", "3"),
    (Query(mount=3, dev=(0, 2)), "", "", "", ""),
    (Query(kind="kthread"), "101 102 103 104 105 106 107 108 109", "2", "", "1 2 3 5 6"),
    (Query(kind="user", show=("tasks", "threads")), "", "1 50 60", "1 50 51 60", ""),
    (Query(pid=2, kind="user"), "", "", "", ""),
    (Query(pid=50, kind="user"), "101 103 104 105 106 107 108 109", "50", "", "2 5"),
    (Query(dev=(0, 3), ns=UTS), "", "1 2 50", "", ""),
    (Query(dev=(0, 2), ns=MNT, pid=50), "103", "50", "", "2"),
    (Query(pid=50, show=("threads",)), "", "", "50 51", ""),
    (Query(pid=51, show=("tasks", "mounts")), "", "", "", "2 5"),
    (Query(show=("mounts",), propagate_from=True), "", "", "", "1 2 3 5 6"),
)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def _document(query: Query, selection: Selection) -> Document:
    """The answer that has just these records."""
    namespaces = list(selection.namespaces.values())
    if query.is_for_one:
        namespaces = [dataclasses.replace(ns, fields={**ns.fields, "tasks": None}) for ns in namespaces]
    return dataclasses.replace(
        EVERYTHING,
        namespaces=namespaces,
        tasks=list(selection.tasks.values()),
        threads=list(selection.threads.values()),
        mounts=list(selection.mounts.values()),
    )


def _judge(query: Query, answer: Document) -> list[str]:
    return compare.queries.compare(query, EVERYTHING, answer, EVERYTHING, VISIBLE)


def _other(value: Value) -> Value:
    return 7 if value != 7 else 8


class Queries(unittest.TestCase):
    """The comparison of answers."""

    def test_what_is_kept(self) -> None:
        for query, namespaces, tasks, threads, mounts in ANSWERS:
            with self.subTest(str(query)):
                kept = compare.queries.select(query, EVERYTHING, VISIBLE)
                self.assertEqual([ns.inum for ns in kept.namespaces.values()], _numbers(namespaces))
                self.assertEqual([task.pid for task in kept.tasks.values()], _numbers(tasks))
                self.assertEqual([thread.tid for thread in kept.threads.values()], _numbers(threads))
                self.assertEqual([mount.id for mount in kept.mounts.values()], _numbers(mounts))
                self.assertEqual(_judge(query, _document(query, kept)), [])

    def test_every_difference_is_noticed(self) -> None:
        tried = 0
        for query, *_ in ANSWERS:
            right = _document(query, compare.queries.select(query, EVERYTHING, VISIBLE))
            for kind in ("namespaces", "tasks", "threads", "mounts"):
                records = getattr(right, kind)
                wrong = [records[:place] + records[place + 1 :] for place in range(len(records))]
                wrong += [
                    [*records, one]
                    for one in getattr(EVERYTHING, kind)
                    if not any(_same(one, record) for record in records)
                ]
                if len(records) > 1:
                    wrong.append(records[::-1])
                for place, record in enumerate(records):
                    for changed in _changed(record):
                        wrong.append([*records[:place], changed, *records[place + 1 :]])
                for one in wrong:
                    answer = dataclasses.replace(right, **{kind: one})
                    self.assertTrue(_judge(query, answer), f"{query}: nothing was said against {kind} {one}")
                    tried += 1
        self.assertGreater(tried, 1000)

    def test_spelling(self) -> None:
        query = Query(7, (8, 9), 10, (11, 12), 13, "user", ("ns", "tasks"), True)
        spelled = "pid=7 upid=8@9 ns=10 dev=11:12 mount=13 kind=user show=ns,tasks propagate_from=1"
        self.assertEqual(str(query), spelled)
        self.assertEqual(str(Query()), "")
        self.assertEqual(Query(pid=1).and_(Query(ns=2)), Query(pid=1, ns=2))


def _same(one: object, other: object) -> bool:
    """Whether two records are of the same thing."""
    names = ("type", "inum", "pid", "tid", "namespace", "id")
    return all(getattr(one, name, None) == getattr(other, name, None) for name in names)


def _changed(record: format1.Namespace | format1.Task | format1.Thread | format1.Mount) -> list[object]:
    if isinstance(record, format1.Mount):
        return [
            dataclasses.replace(record, line=record.line + b"x"),
            dataclasses.replace(record, reach="over" if record.reach == "root" else "root"),
        ]
    changed: list[object] = [
        dataclasses.replace(record, fields={**record.fields, key: _other(value)})
        for key, value in record.fields.items()
    ]
    if isinstance(record, format1.Namespace):
        changed.append(dataclasses.replace(record, torn=True))
    return changed
