# SPDX-License-Identifier: GPL-2.0
"""A comparison that cannot fail is worth nothing: every single wrong thing in a text is noticed.

The right text pleases every comparison, and each of the many texts that differ from it in one thing
displeases one.
"""

from __future__ import annotations

import dataclasses
import re
import unittest
from collections.abc import Iterator

import compare.mounts
import compare.namespaces
import compare.tasks
import format1
from compare import consistency
from format1 import FormatError
from procfs import View
from selftests.system import (
    AFTER,
    BEFORE,
    INIT,
    INNER,
    KTHREADD,
    MNT,
    MOUNTS,
    NAMESPACES,
    NESTED,
    PID,
    SOURCES,
    TEXT,
    ZOMBIE,
    view,
)


def judge(text: bytes, before: View = BEFORE, after: View = AFTER) -> list[str]:
    """All that the tests have against a text."""
    try:
        document = format1.parse(text)
    except FormatError as error:
        return [str(error)]
    return [
        *consistency.check(document),
        *compare.tasks.compare(before, document, after, SOURCES),
        *compare.tasks.compare_order(document, [1, 2, 50, 60]),
        *compare.namespaces.compare(document, NAMESPACES, after),
        *compare.mounts.compare(document, {MNT: MOUNTS}),
    ]


LINES = TEXT.splitlines(keepends=True)


def with_end(lines: list[bytes]) -> bytes:
    """A text of these records whose last record counts them right."""
    kinds = [line.split(b" ")[0] for line in lines]
    end = b"end ns=%d tasks=%d threads=0 mounts=%d\n" % tuple(map(kinds.count, (b"ns", b"task", b"mount")))
    return b"".join([line for line in lines if not line.startswith(b"end")] + [end])


# What these say has no second source; tests of the zoo compare it with what was done.
UNCHECKED = {"refs", "active", "event", "origin", "release", "uptime"}
# The initial pid namespace also has numbers that no thread uses, of dead leaders for example.
UNCHECKED_IN = {(b"ns pid 102", "pids")}


def changed(value: str) -> Iterator[str]:
    """Other values of the same kind."""
    if value == "-":
        yield "3"
        return
    yield "-"
    for match in re.finditer(r"\d+", value.replace("\\", "\\\\")):
        if not value.startswith("\\"):
            yield value[: match.start()] + str(int(match[0]) + 1) + value[match.end() :]
    for letter in "SZR":
        if value in tuple("SZ") and value != letter:
            yield letter
    if value.startswith(("/", "a", "i", "k", "d")):
        yield value + "x"
    if "," in value:
        yield value.rpartition(",")[0]
        yield value + "," + value.rpartition(",")[2]


class Comparisons(unittest.TestCase):
    """Every single difference is noticed."""

    def assert_flagged(self, text: bytes, what: str) -> None:
        """Fails unless something is said against the text."""
        self.assertNotEqual(text, TEXT, what)
        self.assertTrue(judge(text), f"nothing was said against {what}")

    def test_right_text(self) -> None:
        self.assertEqual(judge(TEXT), [])
        self.assertEqual(with_end(LINES), TEXT)

    def test_every_key(self) -> None:
        tried = 0
        for number, line in enumerate(LINES):
            fields = line.decode().rstrip("\n").split(" ")
            if fields[0] == "mount":
                continue
            for place, field in enumerate(fields):
                key, equals, value = field.partition("=")
                if not equals or key in UNCHECKED:
                    continue
                if (" ".join(fields[:3]).encode(), key) in UNCHECKED_IN:
                    continue
                # procfs has start times by the hundredth of a second.
                for other in [f"{value}0"] if key == "start" else changed(value):
                    wrong = [*fields[:place], f"{key}={other}", *fields[place + 1 :]]
                    text = b"".join([*LINES[:number], " ".join(wrong).encode() + b"\n", *LINES[number + 1 :]])
                    self.assert_flagged(text, f"{' '.join(fields[:3])}: {key}={other}")
                    tried += 1
        self.assertGreater(tried, 200)

    def test_every_mount_field(self) -> None:
        for number, line in enumerate(LINES):
            if not line.startswith(b"mount"):
                continue
            fields = line.rstrip(b"\n").split(b" ")
            for place in range(1, len(fields)):
                for other in (b"7", b"root", b"over", b"outside", b"0:9", fields[place] + b"x"):
                    if other == fields[place]:
                        continue
                    # Of a mount that nothing reaches, the path and the options have no second source.
                    if line.startswith(b"mount 103 1 ") and place in (8, 9, 12, 13):
                        continue
                    wrong = b" ".join([*fields[:place], other, *fields[place + 1 :]]) + b"\n"
                    text = b"".join([*LINES[:number], wrong, *LINES[number + 1 :]])
                    self.assert_flagged(text, repr(wrong))

    def test_every_record_left_out(self) -> None:
        for number, line in enumerate(LINES):
            lines = LINES[:number] + LINES[number + 1 :]
            self.assert_flagged(b"".join(lines), f"the text without {line!r}")
            if not line.startswith(b"end"):
                self.assert_flagged(with_end(lines), f"the text and counts without {line!r}")

    def test_every_record_twice(self) -> None:
        for number, line in enumerate(LINES):
            lines = LINES[: number + 1] + LINES[number:]
            self.assert_flagged(b"".join(lines), f"the text with twice {line!r}")
            self.assert_flagged(with_end(lines) + b"".join(lines[-1:]), f"twice {line!r}, and twice the end")
            if not line.startswith(b"end"):
                self.assert_flagged(with_end(lines), f"the text and counts with twice {line!r}")

    def test_order(self) -> None:
        for number in range(len(LINES) - 1):
            lines = [*LINES[:number], LINES[number + 1], LINES[number], *LINES[number + 2 :]]
            self.assert_flagged(b"".join(lines), f"{LINES[number]!r} after {LINES[number + 1]!r}")

    def test_cut_short(self) -> None:
        for size in range(len(TEXT)):
            self.assert_flagged(TEXT[:size], f"{size} of {len(TEXT)} bytes")

    def test_extra_task(self) -> None:
        extra = LINES[13].replace(b"task 60 ", b"task 61 ").replace(b"upid=60@", b"upid=61@")
        text = with_end([*LINES[:14], extra, *LINES[14:]]).replace(
            b"101 id=1 owner=- tasks=4", b"101 id=1 owner=- tasks=5"
        )
        text = text.replace(b"102 id=2 owner=101 tasks=3", b"102 id=2 owner=101 tasks=4")
        self.assertEqual([c for c in judge(text) if "older than" not in c], [])
        self.assert_flagged(text, "a task that never was")
        born = text.replace(b"start=3000000000", b"start=4500000000", 2)
        born = born.replace(b"start=4500000000", b"start=3000000000", 1)
        self.assertEqual(judge(born), [], "a task that came after the first look and went before the last")

    def test_unlisted(self) -> None:
        self.assert_flagged(TEXT.replace(b"cgroup=/x\\075y", b"cgroup=/x\\075y unlisted=1"), "unlisted=1")

    def test_only_what_stood_still(self) -> None:
        """What differs between the two looks at procfs may be either, the rest must be right."""
        busy = dataclasses.replace(INIT, switches=(9, 9), comm=b"other")
        after = view(busy, KTHREADD, NESTED, ZOMBIE, began=6_000_000_000)
        text = TEXT.replace(b"task 1 comm=init", b"task 1 comm=other").replace(b"state=S", b"state=R", 1)
        self.assertEqual(judge(text, after=after), [])
        self.assertTrue(judge(text.replace(b"root=/ ", b"root=/x ", 1), after=after))
        self.assertTrue(judge(text))

    def test_gone_and_new(self) -> None:
        """A process that only one look shows may be in the text or not."""
        without = with_end([line for line in LINES if not line.startswith(b"task 60 ")])
        with_new = TEXT.replace(b"start=3000000000", b"start=4500000000")
        short = view(INIT, KTHREADD, NESTED)
        new = view(INIT, KTHREADD, NESTED, dataclasses.replace(ZOMBIE, start_ticks=450))
        for text, before, after in (
            (TEXT, BEFORE, short),
            (without, BEFORE, short),
            (with_new, short, new),
            (without, short, new),
        ):
            found = compare.tasks.compare(before, format1.parse(text), after, SOURCES)
            self.assertEqual(found, [])

    def test_kernel_thread_names(self) -> None:
        for shown, comm, good in (
            (b"kworker/0:1-events", b"kworker/0:1", True),
            (b"kworker/0:1+events", b"kworker/0:1", True),
            (b"kworker/0:1", b"kworker/0:1", True),
            (b"a_name_longer_than_fifteen", b"a_name_longer_t", True),
            (b"kworker/0:10", b"kworker/0:1", False),
            (b"kworker/0:1-events", b"kworker/0", False),
            (b"kworker/0:1", b"kworker/0:2", False),
        ):
            process = dataclasses.replace(KTHREADD, comm=shown)
            expected = compare.tasks.expectations(process, SOURCES)["comm"]
            self.assertEqual(expected.is_met_by(comm), good, (shown, comm))

    def test_all_task_keys_are_compared(self) -> None:
        self.assertEqual(
            set(compare.tasks.expectations(NESTED, SOURCES)), set(format1.TASK_SPEC), "keys of a task"
        )

    def test_dying_namespace(self) -> None:
        source = dataclasses.replace(NAMESPACES, pid_max={PID: 32768, INNER: None})
        wrong = compare.namespaces.compare(format1.parse(TEXT), source, AFTER)
        self.assertEqual(len(wrong), 1)
        self.assertIn("dying", wrong[0])
