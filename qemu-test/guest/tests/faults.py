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
import pace
import programs
from aftermath import Heavy
from runner import tell, test_with

_DEBUGFS = "/sys/kernel/debug"
_PRINTK = "/proc/sys/kernel/printk"
_INJECTORS = ("failslab", "fail_page_alloc")
_COPY = "/tmp/nsinspect.ko"
_COPY_WITHOUT_BTF = "/tmp/nsinspect-without-btf.ko"

_FIGURES = re.compile(r"calls=(\d+) enomem=(\d+) tolerated=(\d+) faults=(\d+)\n\Z")


def _write(path: str, value: object) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{value}\n")


def _set(name: str, value: object) -> None:
    for injector in _INJECTORS:
        _write(f"{_DEBUGFS}/{injector}/{name}", value)


@contextlib.contextmanager
def _quiet_console() -> Iterator[None]:
    """Warnings go to the kernel's log alone.

    kmemleak warns with a lock held that the console takes as well, which lockdep complains of.
    """
    with open(_PRINTK, encoding="ascii") as file:
        former = file.read()
    _write(_PRINTK, 4)
    try:
        yield
    finally:
        _write(_PRINTK, former)


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
    _set("probability", percent)
    try:
        yield
    finally:
        _set("probability", 0)
        _set("times", -1)


def _symbol(name: str) -> tuple[int, int]:
    """Where a function of the kernel begins and ends."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        symbols = [line.split() for line in file]
    (start,) = (int(symbol[0], 16) for symbol in symbols if symbol[2] == name)
    return start, min(address for symbol in symbols if (address := int(symbol[0], 16)) > start)


@contextlib.contextmanager
def _only_in_init() -> Iterator[None]:
    """Allocations fail in the module's own part of a load alone."""
    start, end = _symbol("do_one_initcall")
    _set("stacktrace-depth", 32)
    _set("require-start", hex(start))
    _set("require-end", hex(end))
    try:
        yield
    finally:
        _set("require-start", 0)
        _set("require-end", hex((1 << 64) - 1))


class _Tally:
    """What several runs of the program have come to."""

    def __init__(self, complaints: list[str]) -> None:
        self.complaints = complaints
        self.injected = 0

    def run(self, what: str, percent: int, *arguments: str, allocates: bool = True) -> tuple[int, ...]:
        """Runs the program: calls, ENOMEMs, calls that succeeded nevertheless, and faults, if it allocates."""
        with _quiet_console(), _injection(percent):
            done = subprocess.run(
                [programs.path("faults"), *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False
            )
        figures = _FIGURES.search(done.stdout)
        if done.returncode or not figures:
            lines = done.stdout.splitlines() or [f"exit status {done.returncode}, {done.stderr!r}"]
            self.complaints += [f"{what}: {line}" for line in lines]
        if not figures:
            return 0, 0, 0, 0
        numbers = tuple(int(figure) for figure in figures.groups())
        if allocates and not numbers[3]:
            self.complaints.append(f"{what}: no fault was injected")
        if not allocates and numbers[3]:
            self.complaints.append(f"{what}: {numbers[3]} allocations failed, there should be none")
        self.injected += numbers[3]
        tell(f"{what}: {figures[0].rstrip()}")
        return numbers


def _queries(place: Heavy) -> dict[str, list[str]]:
    major, minor = place.device
    return {
        "everything": [],
        "pid": [f"pid={place.pid}"],
        "pid of a thread's process": [f"pid={place.pid} show=threads"],
        "upid": [f"upid=1@{place.pid_ns}"],
        "ns": [f"ns={place.mnt_ns} show=ns,tasks,threads,mounts"],
        "holds": [f"pid={place.pid} show=holds"],
        "holds of ns": [f"ns={place.mnt_ns} show=ns,holds"],
        "originals": [f"dev={major}:{minor} show=mounts,originals"],
        "dev": [f"dev={major}:{minor}"],
        "kind": ["kind=user show=tasks"],
        "propagate_from": ["show=mounts propagate_from=1"],
    }


# Thousands of reads and loads: on User-Mode Linux, where they take half a minute. The debug kernel, which
# has all that these need, would take ten.
@test_with(on="uml")
def faults_in_turn() -> None:
    """Each allocation of open and read fails, alone and with all after it: ENOMEM, no more; write has none."""
    with aftermath.checked() as (place, complaints):
        tally = _Tally(complaints)
        queries = _queries(place)
        # The module's vectors try more than one way before they give up, and survive one fault.
        methods = {"once": 0, "from": 100}
        if pace.KIND == "debug":
            # The rest would take minutes here.
            queries, methods = {"ns": queries["ns"]}, {}
        for method, percent in methods.items():
            tally.run(f"{method} read ns", percent, method, "read", *queries["ns"])
        for name, query in queries.items():
            figures = tally.run(f"twice read {name}", 100, "twice", "read", *query)
            if not figures[1]:
                complaints.append(f"twice read {name}: no fault led to ENOMEM")
        for method, percent in (("once", 0), ("from", 100)):
            tally.run(f"{method} open", percent, method, "open")
            # A query is kept in the open file.
            tally.run(f"{method} write", percent, method, "write", "pid=1", allocates=False)
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
    """Loads read a file in memory, and run no KUnit suites."""
    shutil.copy(os.environ["NSINSPECT_KO"], _COPY)
    with open(_COPY_WITHOUT_BTF, "wb") as file:
        file.write(module.altered(module.NO_BTF))
    try:
        with module.without_suites():
            module.unload()
            yield
    finally:
        os.unlink(_COPY)
        os.unlink(_COPY_WITHOUT_BTF)
        module.ensure_loaded()


@test_with(on="uml")
def faults_on_load() -> None:
    """Allocations of insmod fail, in turn and at random: it gets ENOMEM, and leaves nothing."""
    klog.expect(klog.LOADER)
    with aftermath.checked() as (_, complaints), _ready_to_load():
        tally = _Tally(complaints)
        # The loader has hundreds of its own, which would take minutes on one of the two kernels.
        where = _only_in_init() if pace.KIND == "debug" else contextlib.nullcontext()
        with where:
            # sysfs allocates for each page of the BTF, hundreds of times the same: some of these will do.
            for method, percent, file in (
                ("once", 0, _COPY_WITHOUT_BTF),
                ("from", 100, _COPY_WITHOUT_BTF),
                ("once:16", 0, _COPY),
                ("from:16", 100, _COPY),
            ):
                figures = tally.run(f"{method} insmod", percent, method, "insmod", file)
                if not figures[1]:
                    complaints.append(f"{method} insmod: no fault led to ENOMEM")
        for percent in (1, 5, 20, 50):
            tally.run(f"{percent} % insmod", percent, "chance=20", "insmod", _COPY)
        tell(f"faults injected: {tally.injected}")
