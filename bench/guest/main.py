#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The benchmark's part in the guest: measures, as root, with the module loaded.

Leaves in /results: report.md, results.csv, rounds.csv, plot.svg; or the profiles. With another
build of the module to compare with, no module is loaded, and report.md and pairs.csv are left.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

import measure
import paired
import plot
import profiling
import report
import targets
from contest import Measured
from measure import Memory, Result, Sizes

RESULTS = Path("/results")

# Contestant: label, colour, whether it is nsinspect.
BY_PROCESSES = {
    measure.LSNS: ("lsns", "#b4464b", False),
    measure.PROCFS_MOUNTS: ("procfs, mountinfo", "#c77a1f", False),
    measure.PROCFS: ("procfs", "#8c6d1f", False),
    measure.BPF: ("BPF iterator", "#2f7d5b", False),
    measure.FULL: ("nsinspect", "#1f4fa8", True),
    measure.TASKS: ("nsinspect, only tasks", "#4a7fd6", True),
    measure.PID: ("nsinspect, one pid", "#7a52b3", True),
    measure.TMPFS: ("copy in tmpfs", "#777777", False),
}
BY_MOUNTS = {
    measure.FINDMNT: ("findmnt -N", "#b4464b", False),
    measure.STATMOUNT: ("listmount, statmount", "#c77a1f", False),
    measure.MOUNTINFO: ("mountinfo", "#8c6d1f", False),
    measure.MOUNTS: ("nsinspect, only mounts", "#4a7fd6", True),
}


def _lines(
    styles: dict[str, tuple[str, str, bool]], points: dict[str, list[tuple[float, float]]]
) -> list[plot.Line]:
    return [plot.Line(label, colour, points[name], ours) for name, (label, colour, ours) in styles.items()]


def _plot(sizes: Sizes, results: list[Result]) -> str:
    """Cost against processes, and against mounts."""
    by_processes: dict[str, list[tuple[float, float]]] = {}
    by_mounts: dict[str, list[tuple[float, float]]] = {}
    for one in results:
        point = one.median / 1e6
        if one.plan.slaves and not one.plan.peers:
            by_processes.setdefault(one.name, []).append((one.plan.processes, point))
        if one.plan.processes == sizes.processes[0] and not one.plan.peers:
            by_mounts.setdefault(one.name, []).append((one.mounts, point))
    panels = [
        plot.Panel("Processes", "processes in 50 containers", _lines(BY_PROCESSES, by_processes)),
        plot.Panel("Mounts", "mounts, of all mount namespaces", _lines(BY_MOUNTS, by_mounts)),
    ]
    return plot.svg(panels, report.machine())


def _publish(sizes: Sizes, results: list[Result], costs: dict[str, Memory]) -> None:
    """Writes it all, and prints what is for people."""
    parts = [report.machine() + "\n"]
    parts += [report.times(plan, results) for plan in sizes.plans()]
    parts += [report.left_out(), report.memory(costs)]
    parts += [report.verdicts(targets.judge(sizes, results, costs))]
    if sizes.processes == measure.QUICK.processes:
        parts.append("Scenes as small as these say whether the benchmark works, and little else.\n")
    text = "\n".join(parts)
    (RESULTS / "report.md").write_text(text, encoding="utf-8")
    report.write_results(RESULTS / "results.csv", results)
    (RESULTS / "plot.svg").write_text(_plot(sizes, results), encoding="utf-8")
    print(f"\n{text}", flush=True)


def _bench(sizes: Sizes, scene: str) -> None:
    began = time.monotonic()
    results: list[Result] = []
    turns: dict[str, list[Measured]] = {}
    costs: dict[str, Memory] = {}
    print(report.machine(), flush=True)
    measure.set_up()
    plans = [plan for plan in sizes.plans() if scene in plan.name]
    for number, plan in enumerate(plans, 1):
        print(f"scene {number} of {len(plans)}: {plan.name}", flush=True)
        of_plan, turns[plan.name], costs[plan.name] = measure.measure(plan, sizes.rounds)
        results += of_plan
        # What there is, should a later scene fail.
        report.write_rounds(RESULTS / "rounds.csv", turns)
    if scene:
        text = "\n".join([*(report.times(plan, results) for plan in plans), report.memory(costs)])
        (RESULTS / "report.md").write_text(text, encoding="utf-8")
        print(f"\n{text}", flush=True)
    else:
        _publish(sizes, results, costs)
    print(f"measured for {time.monotonic() - began:.0f} s")


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description="Measures nsinspect on the running kernel.")
    parser.add_argument("--count", action="store_true", help="the clock counts instructions")
    parser.add_argument("--quick", action="store_true", help="small scenes, few rounds")
    parser.add_argument("--scene", default="", metavar="TEXT", help="only scenes with this in their name")
    parser.add_argument("--profile", action="store_true", help="profile reads instead")
    parser.add_argument("--base", type=Path, metavar="KO", help="compare with this build of the module")
    options = parser.parse_args()
    sizes = measure.QUICK if options.quick else measure.ALL
    if options.count:
        # The figures are the same each time, unless the guest has other work to do in a turn.
        sizes = dataclasses.replace(sizes, rounds=3, pairs=3)
        print("instructions are counted: a millisecond is a million of them", flush=True)
    if options.profile:
        profiling.profile(RESULTS)
    elif options.base:
        builds = paired.Builds(options.base, Path(os.environ["NSINSPECT_KO"]))
        paired.compare(sizes, builds, RESULTS)
    else:
        _bench(sizes, options.scene)
    return 0


if __name__ == "__main__":
    sys.exit(main())
