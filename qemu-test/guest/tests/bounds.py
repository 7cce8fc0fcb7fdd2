# SPDX-License-Identifier: GPL-2.0
"""What others do meanwhile, and how they name what is theirs, costs a reader little."""

from __future__ import annotations

import os
import statistics
import time

import format1
import module
import procfs
import readers
from runner import Failure, check, check_equal, tell, test, test_with
from specimens.cgroups import NEST, nested, path_of
from specimens.crowd import crowd, sets, workers
from specimens.long import LONG_ROOT, long_root
from syscalls import PATH_MAX
from tests.names import check_path

# A read takes so many times as long at most as on the quiet machine.
TWICE = 2

READER_CPU = 1
WORKER_CPU = 0
SLEEPERS = 30_000
BIRTH_READS = 9


def _seconds_each(times: int) -> float:
    """How long a read takes for each process in its text, on the average: others grow in number, too."""
    took = []
    for _ in range(times):
        began = time.monotonic()
        text = module.ask(b"")
        took.append((time.monotonic() - began) / text.count(b"\ntask "))
    return statistics.mean(took)


@test_with(seconds=300, on="stock")
def bounds_births() -> None:
    """With 30,000 sleepers and thousands of births a second a read takes no longer, and its reader can be killed.

    The births are on one CPU, the reader is on the other; in what it is compared with, that other one computes.
    """
    module.ensure_loaded()
    each, complaints = {}, []
    with crowd(tasks=SLEEPERS):
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, [READER_CPU])
        try:
            for what in ("spin", "fork"):
                with workers(2, what, WORKER_CPU):
                    # As many children live as ever will.
                    time.sleep(1.5)
                    each[what] = _seconds_each(BIRTH_READS)
                    complaints += readers.complaints_of_kills()
        finally:
            os.sched_setaffinity(0, before)
    quiet, births = (each[what] * 1e6 for what in ("spin", "fork"))
    tell(f"a process takes {quiet:.1f} us, with births {births:.1f} us")
    if births > TWICE * quiet:
        complaints.append(f"with births a read takes {births / quiet:.1f} times as long")
    check(complaints)


# Processes with a long root.
CHROOTED = 300
# What a record has besides its paths, each of which takes four times its length at most.
REST = 1000


@test
def bounds_roots() -> None:
    """Of a root 65,000 bytes deep the last 4,096 are shown, and no record is longer than these make it."""
    module.ensure_loaded()
    with crowd(tasks=CHROOTED, arrange=long_root, root=".") as people:
        text = module.ask(b"show=tasks")
        pid_ns = people.pid_ns
        check(readers.complaints_of_kills(b"show=tasks"))
    lines = text.split(b"\n")
    longest = max(map(len, lines))
    tell(f"{len(lines)} records take {len(text)} bytes, the longest has {longest}")
    # The root and the working directory.
    if longest > 2 * 4 * PATH_MAX + REST:
        raise Failure(f"a record has {longest} bytes")
    document = format1.parse(text)
    chrooted = [task for task in document.tasks if task.fields["pidns"] == pid_ns]
    # Its first process has it, too.
    check_equal("processes in that pid namespace", len(chrooted), CHROOTED + 1)
    for task in chrooted:
        check_path("root", task.fields["root"], LONG_ROOT)
        check_path("cwd", task.fields["cwd"], LONG_ROOT)


# Deeper than what used to be followed, of names of one byte, so that PATH_MAX is not reached.
DEEP = 1_100
INHABITED = 200


@test_with(seconds=300, on="stock stock-7.2")
def bounds_cgroups() -> None:
    """Of 200 cgroups up to 1,100 levels deep each has its path, and a read takes no longer for each byte."""
    module.ensure_loaded()
    query = b"show=tasks"
    deep = range(DEEP - INHABITED + 1, DEEP + 1)
    took, size = {}, {}
    with nested(INHABITED, b"s", range(1, INHABITED + 1)):
        took["shallow"] = readers.seconds(query)
        size["shallow"] = len(module.ask(query))
    with nested(DEEP, b"d", deep) as inhabitants:
        took["deep"] = readers.seconds(query)
        size["deep"] = len(module.ask(query))
        document = module.ask_document(query.decode())
        in_procfs = {level: procfs.read_cgroup(pid) for level, pid in inhabitants.items()}
        complaints = readers.complaints_of_kills(query)
    for what in took:
        tell(f"{INHABITED} {what} cgroups: {took[what] * 1000:.0f} ms, {size[what]} bytes")
    for level, pid in inhabitants.items():
        path = document.task(pid).fields["cgroup"]
        if not path == in_procfs[level] == path_of(level, b"d"):
            complaints.append(f"the cgroup at level {level} is {path!r:.30}")
    # Where paths are longer, so is the text.
    longer = took["deep"] / took["shallow"]
    if longer > size["deep"] / size["shallow"]:
        complaints.append(f"deep ones take {longer:.1f} times as long")
    check(complaints)


@test
def bounds_cgroup_names() -> None:
    """Of a cgroup's path the last 4,096 bytes are shown; up to there it is whole."""
    module.ensure_loaded()
    name = b"n" * 63
    # 64 bytes each, after the first.
    fits = (PATH_MAX - len(NEST)) // 64
    with nested(2 * fits, name, (fits, fits + 1, 2 * fits)) as inhabitants:
        document = module.ask_document("show=tasks")
    paths = {level: document.task(pid).fields["cgroup"] for level, pid in inhabitants.items()}
    check_equal("the longest that fits", paths[fits], path_of(fits, name))
    for level in (fits + 1, 2 * fits):
        check_path(f"level {level}", paths[level], path_of(level, name))


# As many as can be made of 2,048 consecutive inode numbers of three types.
SETS = 4_000


@test_with(on="stock")
def bounds_sets() -> None:
    """Sets of namespaces whose inode numbers were chosen to collide take no longer to tell apart than others."""
    module.ensure_loaded()
    took, complaints = {}, []
    for what in ("different", "same"):
        with sets(SETS, what):
            took[what] = readers.seconds(b"show=tasks", times=5)
            complaints += readers.complaints_of_kills()
    tell(f"{SETS} sets take {took['different'] * 1000:.0f} ms, if of one sum {took['same'] * 1000:.0f} ms")
    if took["same"] > TWICE * took["different"]:
        complaints.append(f"those of one sum take {took['same'] / took['different']:.1f} times as long")
    check(complaints)
