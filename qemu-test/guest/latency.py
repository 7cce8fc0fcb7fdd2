# SPDX-License-Identifier: GPL-2.0
"""How long others wait while somebody reads, as the program `latency` measures it."""

from __future__ import annotations

import statistics
import subprocess
from dataclasses import dataclass

import programs


@dataclass(frozen=True)
class Waits:
    """How long others had to wait while something was done a few times; times in milliseconds."""

    worst: list[float]
    count: list[int]
    took: list[float]
    bytes: list[int]
    """How much was read each time."""

    @property
    def steady(self) -> float:
        """The longest wait of the best round.

        The CPUs are those of a busy machine, which takes them away now and then. A wait that the
        kernel makes is there in every round, for they all do the same.
        """
        return min(self.worst)

    @property
    def usual(self) -> float:
        """The longest wait of a middling round: what another may be measured by."""
        return statistics.median(self.worst)

    def __str__(self) -> str:
        each = ", ".join(f"{worst:.1f}" for worst in self.worst)
        return f"{self.steady:.1f} ms (rounds: {each} ms, of {min(self.took):.0f} ms and more)"


def waits(what: str, rounds: int, *work: str) -> Waits:
    """Runs the program, see there."""
    output = subprocess.run(
        [programs.path("latency"), what, str(rounds), *work], stdout=subprocess.PIPE, check=True
    ).stdout
    lines = [[int(number) for number in line.split()] for line in output.splitlines()]
    worst, count, took, read = zip(*lines, strict=True)
    return Waits([time / 1e6 for time in worst], list(count), [time / 1e6 for time in took], list(read))
