# SPDX-License-Identifier: GPL-2.0
"""Those who are compared, and how one has them run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scene import PROGRAMS

PROC_FILE = "/proc/nsinspect"


@dataclass(frozen=True)
class Contestant:
    """One way to get at the facts: what programs/contest.c is told of it."""

    name: str
    kind: str
    argument: str = ""


@dataclass(frozen=True)
class Measured:
    """What a contestant took in one round."""

    name: str
    round: int
    """0 is the warm-up, which does not count."""
    runs: int
    nanoseconds: int
    """Of a run, the mean of this round."""
    bytes: int
    records: int
    """Counted in the warm-up only."""


def ask(query: str) -> bytes:
    """The answer to a query."""
    with open(PROC_FILE, "r+b", buffering=0) as file:
        file.write(query.encode("ascii"))
        return file.readall() or b""


def run(
    contestants: Sequence[Contestant],
    rounds: int,
    wrapper: Sequence[str] = (),
    tell: Callable[[Measured], None] = lambda _: None,
) -> list[Measured]:
    """Has them all run by turns, by way of another program perhaps, and tells of each turn."""
    lines = "".join(f"{one.name}\t{one.kind}\t{one.argument}\n" for one in contestants)
    command = [*wrapper, str(PROGRAMS / "contest"), str(rounds)]
    measured = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdin and driver.stdout
        driver.stdin.write(lines)
        driver.stdin.close()
        for line in driver.stdout:
            name, *numbers = line.rstrip("\n").split("\t")
            measured.append(Measured(name, *map(int, numbers)))
            tell(measured[-1])
    if driver.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {driver.returncode}")
    return measured
