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
import compare.threads
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
    LISTED,
    MNT,
    MOUNTS,
    NAMESPACES,
    NESTED,
    PID,
    SECOND_THREAD,
    SOURCES,
    TEXT,
    THREADS_AFTER,
    THREADS_BEFORE,
    TIDS,
    ZOMBIE,
    view,
)


def judge(
    text: bytes,
    before: View = BEFORE,
    after: View = AFTER,
    threads_before: View = THREADS_BEFORE,
    threads_after: View = THREADS_AFTER,
) -> list[str]:
    """All that the tests have against a text."""
    try:
        document = format1.parse(text)
    except FormatError as error:
        return [str(error)]
    return [
        *consistency.check(document),
        *compare.tasks.compare(before, document, after, SOURCES),
        *compare.tasks.compare_order(document, [1, 2, 50, 60]),
        *compare.threads.compare(threads_before, document, threads_after, SOURCES),
        *compare.threads.compare_order(document, TIDS),
        *compare.namespaces.compare(document, NAMESPACES, after),
        *compare.namespaces.compare_listed(document, LISTED, LISTED),
        *compare.mounts.compare(document, {MNT: MOUNTS}),
    ]


LINES = TEXT.splitlines(keepends=True)


def with_end(lines: list[bytes]) -> bytes:
    """A text of these records whose last record counts them right."""
    kinds = [line.split(b" ")[0] for line in lines]
    counts = tuple(map(kinds.count, (b"ns", b"task", b"thread", b"mount", b"hold")))
    end = b"end ns=%d tasks=%d threads=%d mounts=%d holds=%d\n" % counts
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
                for other in (b"7", b"root", b"over", b"covered", b"outside", b"0:9", fields[place] + b"x"):
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
        extra, thread = (
            line.replace(b" 60 ", b" 61 ").replace(b"tgid=60", b"tgid=61").replace(b"upid=60@", b"upid=61@")
            for line in (LINES[13], LINES[18])
        )
        text = with_end([*LINES[:14], extra, *LINES[14:19], thread, *LINES[19:]]).replace(
            b"101 id=1 owner=- tasks=4", b"101 id=1 owner=- tasks=5"
        )
        text = text.replace(b"102 id=2 owner=101 tasks=3", b"102 id=2 owner=101 tasks=4")
        self.assertEqual([c for c in judge(text) if "older than" not in c], [])
        self.assert_flagged(text, "a task that never was")
        young = [one.replace(b"start=3000000000", b"start=4500000000") for one in (extra, thread)]
        born = text.replace(extra, young[0]).replace(thread, young[1])
        self.assertEqual(judge(born), [], "a task that came after the first look and went before the last")

    def test_unlisted(self) -> None:
        self.assert_flagged(TEXT.replace(b"cgroup_id=7", b"cgroup_id=7 unlisted=1"), "unlisted=1")

    def test_torn(self) -> None:
        torn = TEXT.replace(b"root=1\n", b"root=1 torn=1\n")
        self.assert_flagged(torn, "torn=1 where nobody mounts")
        lost = with_end([line for line in torn.splitlines(keepends=True) if not line.startswith(b"mount 103 6 ")])
        self.assertEqual(consistency.check(format1.parse(lost)), [], "a torn list with a mount less than counted")

    def test_only_what_stood_still(self) -> None:
        """What differs between the two looks at procfs may be either, the rest must be right."""
        busy = dataclasses.replace(INIT, switches=(9, 9), comm=b"other")
        after = view(busy, KTHREADD, NESTED, ZOMBIE, began=6_000_000_000)
        text = TEXT.replace(b"comm=init", b"comm=other").replace(b"state=S", b"state=R", 1)
        threads = view(busy, KTHREADD, NESTED, SECOND_THREAD, ZOMBIE, began=6_000_000_000)
        self.assertEqual(judge(text, after=after, threads_after=threads), [])
        self.assertTrue(judge(text.replace(b"root=/ ", b"root=/x ", 1), after=after, threads_after=threads))
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
        keys = set(compare.tasks.expectations(NESTED, SOURCES))
        self.assertEqual(keys, {*format1.TASK_SPEC, *format1.THREAD_SPEC}, "keys of tasks and threads")

    def test_dying_namespace(self) -> None:
        source = dataclasses.replace(NAMESPACES, pid_max={PID: 32768, INNER: None})
        wrong = compare.namespaces.compare(format1.parse(TEXT), source, AFTER)
        self.assertEqual(len(wrong), 1)
        self.assertIn("dying", wrong[0])

    def test_no_threads(self) -> None:
        """A text without threads may be right, one with some of them not."""
        without = with_end([line for line in LINES if not line.startswith(b"thread ")])
        self.assertEqual(consistency.check(format1.parse(without)), [])
        leaders = with_end([line for line in LINES if not line.startswith(b"thread 51 ")])
        self.assertTrue(consistency.check(format1.parse(leaders)))

    def test_listed(self) -> None:
        document = format1.parse(TEXT)
        last = b"id=12 owner=101 tasks=1 refs=9 active="
        inactive = format1.parse(TEXT.replace(last + b"9", last + b"0"))
        for what, text, before, after, good in (
            ("the same", document, LISTED, LISTED, True),
            ("one came", document, LISTED[:-1], LISTED, True),
            ("one went", document, LISTED, LISTED[:-1], True),
            ("one never was", document, LISTED[:-1], LISTED[:-1], False),
            ("one is missing", document, [*LISTED, 13], [*LISTED, 13], False),
            ("one that is listed is inactive", inactive, LISTED, LISTED, False),
            ("one that is not listed is inactive", inactive, LISTED[:-1], LISTED[:-1], True),
        ):
            found = compare.namespaces.compare_listed(text, before, after)
            self.assertEqual(found == [], good, what)
