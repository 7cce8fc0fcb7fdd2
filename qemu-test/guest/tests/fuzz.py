# SPDX-License-Identifier: GPL-2.0
"""Random queries, most of them bad, by a program that knows the grammar: see programs/fuzz.c."""

from __future__ import annotations

import os
import time

import klog
import module
import pace
import programs
import syscalls
import zoo
from runner import Failure, check_equal, tell, test_with
from specimens.mounts import BASE, private_namespace

# The kernel that finds what memory is used wrongly and is fast enough for it gets the million.
_QUERIES = {"uml": 1_000_000, "debug": 30_000}.get(pace.KIND, 50_000)
# Most of the time goes to the texts that are read meanwhile.
_READ_EVERY = {"uml": 500, "debug": 100}.get(pace.KIND, 100)
_THREADED = {"uml": 50_000, "debug": 3_000}.get(pace.KIND, 10_000)

_REFUSED = "nsinspect: not a query: "
_LIMIT = "/proc/sys/kernel/printk_ratelimit"


def _number(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())


def _run(*options: str) -> dict[str, int]:
    """Runs the program, and returns its figures."""
    figures = programs.run_at_random("fuzz", *options)
    tell(" ".join(f"{name}={number}" for name, number in figures.items()))
    return figures


def _propagate() -> None:
    """Makes a mount with a `propagate_from`, so that it matters who asks for that.

    Its master is in a namespace of its own, which a descriptor keeps, and the master's master is here.
    """
    first, second, third = (BASE + b"/" + name for name in (b"first", b"second", b"third"))
    private_namespace()
    for path in (first, second, third):
        os.mkdir(path)
    syscalls.mount(b"first", first, b"tmpfs")
    syscalls.mount(None, first, None, syscalls.MS_SHARED)
    syscalls.bind(first, second)
    syscalls.mount(None, second, None, syscalls.MS_SLAVE)
    syscalls.mount(None, second, None, syscalls.MS_SHARED)
    syscalls.bind(second, third)
    syscalls.mount(None, third, None, syscalls.MS_SLAVE)
    os.open("/proc/self/ns/mnt", os.O_RDONLY)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.umount(second)


def _check_figures(figures: dict[str, int], queries: int) -> None:
    """Fails unless so many were asked, and each kind of result has had its share."""
    kinds = ("accepted", "refused", "too_long", "faulted")
    check_equal("queries", figures["queries"] >= queries, True)
    check_equal("results", sum(figures[kind] for kind in kinds), figures["queries"])
    for kind, share in zip(kinds, (3, 3, 100, 200), strict=True):
        if figures[kind] * share < figures["queries"]:
            raise Failure(f"only {figures[kind]} of {figures['queries']} queries were {kind}")
    check_equal("texts were checked", figures["checked"] > queries // 5000, True)


@test_with(seconds=150)
def fuzz_queries() -> None:
    """Random queries, written in all ways, get what the contract says, and answers that fit."""
    module.ensure_loaded()
    log = klog.KernelLog()
    log.new_lines()
    propagating = zoo.spawn(_propagate)
    try:
        tagged = b" propagate_from:" in module.ask(b"propagate_from=1 show=mounts")
        began = time.monotonic()
        figures = _run("--queries", str(_QUERIES), "--read-every", str(_READ_EVERY))
        took = time.monotonic() - began
    finally:
        zoo.end(propagating)
    check_equal("a mount has propagate_from", tagged, True)
    _check_figures(figures, _QUERIES)
    lines = log.new_lines()
    told = sum(line.startswith(_REFUSED) for line in lines)
    # A burst for each interval that has begun; an earlier test may have used up the first.
    limit = _number(_LIMIT + "_burst") * (took / _number(_LIMIT) + 2)
    if klog.OVERRUN in lines or told > limit:
        raise Failure(f"the log has {told} lines on refused queries of {took:.1f} s", *lines[-20:])
    tell(f"{figures['queries'] / took:.0f} queries a second, {told} of the refused in the kernel log")


@test_with(seconds=120)
def fuzz_two_threads() -> None:
    """One thread writes random queries while another reads and seeks in the same open file."""
    module.ensure_loaded()
    figures = _run("--threads", "--queries", str(_THREADED))
    _check_figures(figures, _THREADED)
