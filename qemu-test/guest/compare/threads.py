# SPDX-License-Identifier: GPL-2.0
"""Thread records against procfs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compare.tasks import NS_PER_TICK, Sources, compare_fields, start_of
from format1 import Document
from procfs import View


def compare(before: View, document: Document, after: View, sources: Sources) -> list[str]:
    """What is wrong with the thread records, given procfs's threads from before and from after."""
    complaints = []
    seen: dict[tuple[int, int], int] = {}
    for thread in document.threads:
        key = (thread.tid, start_of(thread) // NS_PER_TICK)
        seen[key] = seen.get(key, 0) + 1
        if key in before.processes and key in after.processes:
            complaints += compare_fields(
                f"thread {thread.tid}",
                before.processes[key],
                thread.fields,
                after.processes[key],
                sources,
            )
        elif key not in before.processes and start_of(thread) < before.began:
            complaints.append(f"thread {thread.tid} is older than the first look at procfs, which lacks it")
    for key, process in before.processes.items():
        if key in after.processes and seen.get(key, 0) != 1:
            complaints.append(f"thread {key[0]} ({process.comm!r}) has {seen.get(key, 0)} records")
    return complaints + [f"thread {key[0]} has {count} records" for key, count in seen.items() if count > 1]


def compare_order(document: Document, tids: Mapping[int, Sequence[int]]) -> list[str]:
    """Whether threads come by process in the order of the task records, and in the kernel's order within.

    `tids` are the threads of some processes in that order.
    """
    wanted = [tid for task in document.tasks for tid in tids.get(task.pid, ())]
    known = set(wanted)
    got = [thread.tid for thread in document.threads if thread.tid in known]
    if got == wanted:
        return []
    place = next((i for i, pair in enumerate(zip(got, wanted, strict=False)) if pair[0] != pair[1]), len(got))
    return [f"the threads come as {got[place:][:5]}... where they should be {wanted[place:][:5]}..."]
