# SPDX-License-Identifier: GPL-2.0
"""Two builds of the module, loaded alternately in one boot: is the new one slower, or larger?

The two turns of a pair follow one another within seconds, so that whatever else the machine does
meets both. Each pair has a ratio; the median of these is the figure.
"""

from __future__ import annotations

import csv
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import contest
import measure
import report
import scene
from contest import Contestant, Measured
from measure import Memory, Sizes
from scene import Plan, Scene

MAX_RATIO = 1.05
"""A figure above this is worse than the base's."""

MAX_MEMORY = 0.5
"""The most that the peak of kernel memory is to be, in lengths of the text, in the largest scene."""

_SLACK = 10
"""Records by which two answers may differ: kernel threads come and go."""


class Different(Exception):
    """The two builds did not have the same to do."""


@dataclass(frozen=True)
class Pair:
    """What one contestant took in two turns that followed one another."""

    base: Measured
    new: Measured

    @property
    def ratio(self) -> float:
        """How many times as long the new build takes."""
        return self.new.nanoseconds / self.base.nanoseconds


@dataclass(frozen=True)
class Figure:
    """All pairs of one contestant in one scene."""

    plan: Plan
    name: str
    pairs: list[Pair]

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        return statistics.median(pair.ratio for pair in self.pairs)

    def row(self) -> list[str]:
        """A line of the table."""
        ratios = [pair.ratio for pair in self.pairs]
        base = statistics.median(pair.base.nanoseconds for pair in self.pairs)
        new = statistics.median(pair.new.nanoseconds for pair in self.pairs)
        times = [report.figure(median / 1e6) for median in (base, new)]
        return [self.name, *times, f"{self.ratio:.3f}", f"{min(ratios):.3f}", f"{max(ratios):.3f}"]


@dataclass(frozen=True)
class Builds:
    """A module file of each."""

    base: Path
    new: Path


@contextmanager
def _loaded(module: Path) -> Iterator[None]:
    subprocess.run(["insmod", module], check=True)
    try:
        yield
    finally:
        subprocess.run(["rmmod", "nsinspect"], check=True)


def _asked(made: Scene) -> list[Contestant]:
    """The contestants that ask nsinspect."""
    every = measure.contestants(made)
    return [one for one in every if one.kind == "query" or one.argument == contest.PROC_FILE]


def _turn(module: Path, asked: Sequence[Contestant]) -> dict[str, Measured]:
    """Loads a build, and has each contestant read once to warm up, and then as often as fits."""
    with _loaded(module):
        turns = contest.run(asked, 1)
    records = {turn.name: turn.records for turn in turns if turn.round == 0}
    return {
        turn.name: Measured(turn.name, 1, turn.runs, turn.nanoseconds, turn.bytes, records[turn.name])
        for turn in turns
        if turn.round
    }


def _pair(builds: Builds, asked: Sequence[Contestant], number: int) -> dict[str, Pair]:
    """Has both take a turn, another one first every time."""
    if number % 2:
        new, base = _turn(builds.new, asked), _turn(builds.base, asked)
    else:
        base, new = _turn(builds.base, asked), _turn(builds.new, asked)
    for name, turn in base.items():
        if abs(turn.records - new[name].records) > _SLACK:
            raise Different(f"{name}: {turn.records} records before, {new[name].records} now")
    return {name: Pair(turn, new[name]) for name, turn in base.items()}


def _memory(builds: Builds) -> tuple[Memory, Memory]:
    costs = []
    for module in (builds.base, builds.new):
        with _loaded(module):
            costs.append(measure.memory())
    return costs[0], costs[1]


def _scene(builds: Builds, plan: Plan, pairs: int) -> tuple[list[Figure], tuple[Memory, Memory]]:
    """Makes a scene and has both take turns in it."""
    with scene.made(plan) as made:
        asked = _asked(made)
        taken = []
        for number in range(pairs):
            taken.append(_pair(builds, asked, number))
            print(f"  pair {number + 1} of {pairs}", flush=True)
        figures = [Figure(plan, one.name, [pair[one.name] for pair in taken]) for one in asked]
        return figures, _memory(builds)


def _times(plan: Plan, figures: list[Figure]) -> str:
    head = ("contestant", "base ms", "new ms", "ratio", "least", "most")
    of_plan = [one for one in figures if one.plan == plan]
    title = f"### {plan.name}: {len(of_plan[0].pairs)} pairs\n\n"
    return title + report.table(head, [one.row() for one in of_plan])


def _costs(costs: dict[str, tuple[Memory, Memory]]) -> str:
    rows = []
    for name, both in costs.items():
        for build, cost in zip(("base", "new"), both):
            sizes = (cost.text, cost.peak, cost.held, max(cost.left, 0))
            kib = [report.figure(size / 1024) for size in sizes]
            rows.append([name, build, *kib, f"{cost.peak / cost.text:.3f}"])
    head = ("scene", "build", "text KiB", "peak", "held while open", "left after close", "peak to text")
    return "### Kernel memory of a snapshot\n\n" + report.table(head, rows)


def _verdict(figures: list[Figure], cost: Memory, largest: str) -> str:
    """What is worse than it may be."""
    slower = [one for one in figures if one.ratio > MAX_RATIO]
    lines = [f"* {one.plan.name}, {one.name}: {one.ratio:.3f} times the base" for one in slower]
    peak = cost.peak / cost.text
    if peak > MAX_MEMORY:
        lines.append(f"* {largest}: the peak of kernel memory is {peak:.3f} times the text")
    what = f"at most {MAX_RATIO} times the base; memory, in the largest scene, {MAX_MEMORY} times the text"
    return f"### Worse than {what}\n\n" + ("\n".join(lines) or "Nothing.") + "\n"


def _write_pairs(path: Path, figures: list[Figure]) -> None:
    """Every single pair."""
    with path.open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["scene", "contestant", "pair", "base_ns", "new_ns", "base_bytes", "new_bytes", "records"]
        )
        for one in figures:
            for number, pair in enumerate(one.pairs, 1):
                base, new = pair.base, pair.new
                times = [base.nanoseconds, new.nanoseconds]
                writer.writerow(
                    [one.plan.name, one.name, number, *times, base.bytes, new.bytes, new.records]
                )


def compare(sizes: Sizes, builds: Builds, results: Path) -> None:
    """Measures all scenes, and publishes the figures."""
    figures: list[Figure] = []
    costs: dict[str, tuple[Memory, Memory]] = {}
    print(report.machine(), flush=True)
    measure.account_memory()
    # An older build may not know what is asked in the others.
    plans = [plan for plan in sizes.plans() if not plan.descriptors]
    for number, plan in enumerate(plans, 1):
        print(f"scene {number} of {len(plans)}: {plan.name}", flush=True)
        of_plan, costs[plan.name] = _scene(builds, plan, sizes.pairs)
        figures += of_plan
        # What there is, should a later scene fail.
        _write_pairs(results / "pairs.csv", figures)
    largest = f"{sizes.processes[-1]} processes"
    parts = [report.machine() + "\n", *(_times(plan, figures) for plan in plans), _costs(costs)]
    parts.append(_verdict(figures, costs[largest][1], largest))
    text = "\n".join(parts)
    (results / "report.md").write_text(text, encoding="utf-8")
    print(f"\n{text}", flush=True)
