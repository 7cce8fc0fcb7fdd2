# SPDX-License-Identifier: GPL-2.0
"""Where the time of a read goes: perf's samples of the processor's clock, by function.

No performance counters are needed, so it works on emulated processors as well. There, it counts the
time that the emulation takes, as the benchmark does.
"""

from __future__ import annotations

import statistics
import subprocess
from pathlib import Path

import contest
import measure
import scene
from contest import Contestant

PLAN = scene.Plan("profile", processes=8000, mounts=40, slaves=1000, descriptors=measure.DESCRIPTORS_EACH)
TIMED_ROUNDS = 9
PROFILED_ROUNDS = 40


def _reads(made: scene.Scene) -> dict[str, Contestant]:
    """What is profiled, by the name of its files."""
    pid = made.containers[0].pid
    return {
        "full": Contestant("nsinspect", "read", contest.PROC_FILE),
        "tasks": Contestant("show=tasks", "query", "show=tasks"),
        "mounts": Contestant("show=mounts", "query", "show=mounts"),
        "pid": Contestant("pid=", "query", f"pid={pid}"),
        "holds": Contestant("show=holds", "query", "show=holds"),
        "ns": Contestant("ns=", "query", f"ns={measure.inum(pid, 'mnt')}"),
    }


def _report(data: Path, text: Path, *options: str) -> None:
    """Has perf make a text of its samples, with Rust's names as one writes them."""
    report = subprocess.run(
        ["perf", "report", "--input", data, "--stdio", "--percent-limit", "0.5", *options],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    names = subprocess.run(["llvm-cxxfilt"], input=report.stdout, check=True, stdout=subprocess.PIPE)
    lines = [line.rstrip() for line in names.stdout.decode().splitlines()]
    text.write_text("\n".join(line for line in lines if line and line[0] != "#") + "\n")


def _profile(name: str, read: Contestant, results: Path) -> None:
    """Profiles one kind of read."""
    flat, calls = results / f"profile-{name}.txt", results / f"profile-{name}-calls.txt"
    data = Path("/tmp/perf.data")
    sample = ["perf", "record", "--quiet", "--event", "cpu-clock", "--output", str(data)]
    contest.run([read], PROFILED_ROUNDS, [*sample, "--freq", "4000"])
    _report(data, flat, "--no-children", "--fields", "overhead,symbol")
    contest.run([read], PROFILED_ROUNDS // 2, [*sample, "--freq", "1000", "--call-graph", "fp"])
    _report(data, calls, "--children", "--fields", "overhead_children,symbol", "--call-graph", "caller,0.5")
    print(f"\n{read.name}, by function ({flat.name}; with callers: {calls.name})\n")
    print(flat.read_text(), flush=True)


def _time(reads: list[Contestant]) -> None:
    """Times all kinds of reads, without perf."""
    measured = contest.run(reads, TIMED_ROUNDS)
    for read in reads:
        turns = [one for one in measured if one.name == read.name]
        times = [one.nanoseconds / 1e6 for one in turns if one.round]
        print(
            f"{read.name:12} {turns[0].records:6} records {turns[0].bytes:8} bytes:"
            f" median {statistics.median(times):.3f} ms, {min(times):.3f} to {max(times):.3f}",
            flush=True,
        )


def profile(results: Path) -> None:
    """Times and profiles all kinds of reads of one scene."""
    print(f"making {PLAN.processes} processes in {scene.CONTAINERS} containers …", flush=True)
    with scene.made(PLAN) as made:
        print(f"{made.processes} processes and {made.mounts} mounts are there", flush=True)
        reads = _reads(made)
        _time(list(reads.values()))
        for name, read in reads.items():
            _profile(name, read, results)
