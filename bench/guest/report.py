# SPDX-License-Identifier: GPL-2.0
"""Results as tables for people (Markdown) and for programs (CSV)."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import measure
from measure import Memory, Result
from contest import Measured
from scene import Plan
from targets import Target


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table that reads well as it stands, with numbers to the right."""
    lines = [list(head), *map(list, rows)]
    columns = range(len(head))
    widths = [max(len(line[column]) for line in lines) for column in columns]
    is_number = [
        all(line[column][:1].isdigit() or line[column] == "-" for line in lines[1:]) for column in columns
    ]

    def spell(line: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_number)
        ]
        return f"| {' | '.join(cells)} |"

    rule = [f"{'-' * (width + 1)}{':' if right else '-'}" for width, right in zip(widths, is_number)]
    return "\n".join([spell(lines[0]), f"|{'|'.join(rule)}|", *map(spell, lines[1:])]) + "\n"


def figure(number: float) -> str:
    """A number with three digits that count, and no more than needed."""
    if number >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}" if number >= 1 else f"{number:.3f}"


def _row(result: Result, results: Mapping[str, Result]) -> list[str]:
    full = results[measure.FULL].median
    peer = measure.PEER.get(result.name, "")
    return [
        result.name,
        figure(result.median / 1e6),
        figure(result.least / 1e6),
        figure(result.most / 1e6),
        str(result.rounds),
        str(result.bytes),
        figure(result.median / full),
        f"{figure(result.median / results[peer].median)} × {peer}" if peer else "-",
    ]


def times(plan: Plan, all_results: list[Result]) -> str:
    """What everybody took in one scene."""
    results = {result.name: result for result in all_results if result.plan == plan}
    one = results[measure.FULL]
    head = ("contestant", "median ms", "min", "max", "rounds", "bytes", "× full text", "to its like")
    rows = [_row(result, results) for result in sorted(results.values(), key=lambda each: each.median)]
    title = f"### {plan.name}: {one.tasks} tasks, {one.mounts} mounts in all\n\n"
    few = [each.name for each in results.values() if each.rounds < one.rounds]
    note = f"\nOnce only, for its first run took longer than a minute: {', '.join(few)}\n" if few else ""
    return title + table(head, rows) + note


def left_out() -> str:
    """What the others do not tell."""
    rows = [(name, facts) for name, facts in measure.LEFT_OUT.items()]
    return "### The same facts\n\n" + table(("contestant", "leaves out, of the full text"), rows)


def memory(costs: Mapping[str, Memory]) -> str:
    """What a snapshot costs."""
    rows = [
        [name, *(figure(size / 1024) for size in (cost.text, cost.peak, cost.held, max(cost.left, 0)))]
        for name, cost in costs.items()
    ]
    head = ("scene", "text KiB", "peak", "held while open", "left after close")
    return "### Kernel memory of a snapshot\n\n" + table(head, rows)


def verdicts(targets: list[Target]) -> str:
    """Each target, met or missed."""
    rows = [
        [
            str(target.number),
            target.what,
            figure(target.figure),
            f"{'at least' if target.at_least else 'at most'} {target.limit:g}",
            "met" if target.is_met else "missed",
            target.margin,
        ]
        for target in targets
    ]
    return "### Targets\n\n" + table(("", "what", "figure", "target", "", "by"), rows)


def machine() -> str:
    """What this runs on."""
    model = next(
        line.split(": ", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
        if line.startswith("model name")
    )
    clocks = Path("/sys/devices/system/clocksource/clocksource0/available_clocksource")
    kvm = "kvm-clock" in clocks.read_text(encoding="ascii")
    memory_kib = Path("/proc/meminfo").read_text(encoding="ascii").split()[1]
    return (
        f"Linux {os.uname().release}, {os.cpu_count()} processors ({model}), {int(memory_kib) >> 10} MiB, "
        + ("virtualised by KVM" if kvm else "emulated by QEMU: ratios count, not the times themselves")
    )


def write_rounds(path: Path, turns: Mapping[str, list[Measured]]) -> None:
    """Every single round, the warm-up (0) included."""
    with path.open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["scene", "contestant", "round", "runs", "ns", "bytes", "records"])
        for plan, of_plan in turns.items():
            for turn in of_plan:
                writer.writerow(
                    [plan, turn.name, turn.round, turn.runs, turn.nanoseconds, turn.bytes, turn.records]
                )


def write_results(path: Path, results: list[Result]) -> None:
    """One line for each contestant in each scene."""
    full = {result.plan: result.median for result in results if result.name == measure.FULL}
    with path.open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["scene", "tasks", "mounts", "contestant", "rounds", "median_ns", "min_ns", "max_ns"]
            + ["bytes", "ratio_to_full_text"]
        )
        for one in results:
            ratio = one.median / full[one.plan]
            writer.writerow(
                [one.plan.name, one.tasks, one.mounts, one.name, one.rounds, round(one.median)]
                + [round(one.least), round(one.most), one.bytes, f"{ratio:.4f}"]
            )
