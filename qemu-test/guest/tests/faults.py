# SPDX-License-Identifier: GPL-2.0
"""Allocations that fail: one after the other, and at random.

The program `faults` has them fail and looks at what comes of each. Here it is told which, and what
it says is judged.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import aftermath
import klog
import module
from aftermath import Heavy
from runner import tell, test_with

_DEBUGFS = "/sys/kernel/debug"
_INJECTORS = ("failslab", "fail_page_alloc")
# More than will ever fail.
_TIMES = 1_000_000_000
_KUNIT_GLOB = "/sys/module/kunit/parameters/filter_glob"
_COPY = "/tmp/nsinspect.ko"

_FIGURES = re.compile(r"calls=(\d+) enomem=(\d+) tolerated=(\d+) other=(\d+)\n\Z")


def _program() -> str:
    return os.path.join(os.path.dirname(os.environ["NSINSPECT_KO"]), "qemu-test/programs/faults")


def _write(path: str, value: object) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{value}\n")


def _set(name: str, value: object) -> None:
    for injector in _INJECTORS:
        _write(f"{_DEBUGFS}/{injector}/{name}", value)


def _injected() -> int:
    """How many allocations have been made to fail since `_injection` began."""
    left = []
    for injector in _INJECTORS:
        with open(f"{_DEBUGFS}/{injector}/times", encoding="ascii") as file:
            left.append(int(file.read()))
    return sum(_TIMES - one for one in left)


@contextlib.contextmanager
def _injection(percent: int) -> Iterator[None]:
    """Every kind of allocation may fail, of processes that ask for it, so many percent of them."""
    _set("task-filter", "Y")
    _set("verbose", 0)
    _set("interval", 1)
    _set("space", 0)
    _set("ignore-gfp-wait", "N")
    _write(f"{_DEBUGFS}/failslab/cache-filter", "N")
    _write(f"{_DEBUGFS}/fail_page_alloc/ignore-gfp-highmem", "N")
    _write(f"{_DEBUGFS}/fail_page_alloc/min-order", 0)
    _set("times", _TIMES)
    _set("probability", percent)
    try:
        yield
    finally:
        _set("probability", 0)


class _Tally:
    """What several runs of the program have come to."""

    def __init__(self, complaints: list[str]) -> None:
        self.complaints = complaints
        self.injected = 0

    def run(self, what: str, percent: int, *arguments: str) -> tuple[int, ...]:
        """Runs the program: calls, ENOMEMs, faults that were tolerated, the loader's other errors."""
        with _injection(percent):
            done = subprocess.run(
                [_program(), *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False
            )
            injected = _injected()
        figures = _FIGURES.search(done.stdout)
        if done.returncode or not figures:
            lines = done.stdout.splitlines() or [f"exit status {done.returncode}, {done.stderr!r}"]
            self.complaints += [f"{what}: {line}" for line in lines]
        if not figures:
            return 0, 0, 0, 0
        if not injected:
            self.complaints.append(f"{what}: no fault was injected")
        self.injected += injected
        tell(f"{what}: {figures[0].rstrip()} faults={injected}")
        return tuple(int(figure) for figure in figures.groups())


def _queries(place: Heavy) -> dict[str, list[str]]:
    major, minor = place.device
    return {
        "everything": [],
        "pid": [f"pid={place.pid}"],
        "pid of a thread's process": [f"pid={place.pid} show=threads"],
        "upid": [f"upid=1@{place.pid_ns}"],
        "ns": [f"ns={place.mnt_ns} show=ns,tasks,threads,mounts"],
        "dev": [f"dev={major}:{minor}"],
        "propagate_from": ["show=mounts propagate_from=1"],
    }


# Thousands of reads and loads: on User-Mode Linux, where they take half a minute. The debug kernel, which
# has all that these need, would take ten.
@test_with(on="uml")
def faults_in_turn() -> None:
    """Each allocation of open, write and read fails, alone and with all after it: ENOMEM, no more."""
    with aftermath.checked() as (place, complaints):
        tally = _Tally(complaints)
        queries = _queries(place)
        # The module's vectors try twice before they give up, and survive one fault.
        for name in ("everything", "ns"):
            tally.run(f"once read {name}", 0, "once", "read", *queries[name])
        for name, query in queries.items():
            figures = tally.run(f"from read {name}", 100, "from", "read", *query)
            if not figures[1]:
                complaints.append(f"from read {name}: no fault led to ENOMEM")
        for method, percent in (("once", 0), ("from", 100)):
            tally.run(f"{method} open", percent, method, "open")
            tally.run(f"{method} write", percent, method, "write", "pid=1")
        tell(f"faults injected: {tally.injected}")


@test_with(on="uml")
def faults_at_random() -> None:
    """Allocations of a reader fail at 1 to 50 percent: each call succeeds or gets ENOMEM."""
    with aftermath.checked() as (place, complaints):
        tally = _Tally(complaints)
        for percent in (1, 5, 20, 50):
            for name in ("everything", "ns"):
                query = _queries(place)[name]
                tally.run(f"{percent} % {name}", percent, "chance=20", "life", *query)
        tell(f"faults injected: {tally.injected}")


@contextlib.contextmanager
def _ready_to_load() -> Iterator[None]:
    """Loads read a file in memory, and run no KUnit suites, for these have tests of their own."""
    shutil.copy(os.environ["NSINSPECT_KO"], _COPY)
    _write(_KUNIT_GLOB, "none")
    try:
        module.unload()
        yield
    finally:
        _write(_KUNIT_GLOB, "*")
        os.unlink(_COPY)
        module.ensure_loaded()


@test_with(on="uml")
def faults_on_load() -> None:
    """Allocations of insmod fail, in turn and at random: it gets ENOMEM, and leaves nothing."""
    klog.expect(klog.LOADER)
    with aftermath.checked() as (_, complaints), _ready_to_load():
        tally = _Tally(complaints)
        for method, percent in (("once", 0), ("from", 100)):
            figures = tally.run(f"{method} insmod", percent, method, "insmod", _COPY)
            if not figures[1]:
                complaints.append(f"{method} insmod: no fault led to ENOMEM")
        for percent in (1, 5, 20, 50):
            tally.run(f"{percent} % insmod", percent, "chance=20", "insmod", _COPY)
        tell(f"faults injected: {tally.injected}")
