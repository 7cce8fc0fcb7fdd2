# SPDX-License-Identifier: GPL-2.0
"""What nsinspect is to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import measure
from measure import Memory, Result, Sizes


@dataclass(frozen=True)
class Target:
    """A target, and the figure that decides."""

    number: int
    what: str
    figure: float
    limit: float
    at_least: bool = False
    """The figure is to be that large. Otherwise it must not be larger."""

    @property
    def is_met(self) -> bool:
        """Whether the figure is on the right side."""
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    @property
    def margin(self) -> str:
        """How far the figure is from the limit, as a factor."""
        factor = self.figure / self.limit if self.at_least else self.limit / self.figure
        return f"{factor:.2f} times better" if self.is_met else f"{1 / factor:.2f} times too bad"


class Table:
    """All results by scene and contestant."""

    def __init__(self, results: list[Result]) -> None:
        self._results = {(result.plan.name, result.name): result for result in results}

    def result(self, plan: str, name: str) -> Result:
        """That of one contestant in one scene."""
        return self._results[plan, name]

    def median(self, plan: str, name: str) -> float:
        """Its median."""
        return self.result(plan, name).median

    def ratio(self, plan: str, name: str, to: str) -> float:
        """How many times as long one takes as another."""
        return self.median(plan, name) / self.median(plan, to)

    def per_record(self, plan: str, name: str) -> float:
        """Its median for each record."""
        return self.median(plan, name) / self.result(plan, name).records


def judge(sizes: Sizes, results: list[Result], memory: Mapping[str, Memory]) -> list[Target]:
    """All targets."""
    table = Table(results)
    numbers = sizes.processes
    small, base, large, largest = (f"{number} processes" for number in numbers)
    few, many = (f"{each} mounts" for each in sizes.total_mounts)
    peers = "one peer group"
    holds_small, holds_large = (plan.name for plan in sizes.descriptor_plans())
    docker = sizes.docker_plan().name
    full, tasks, mounts = measure.FULL, measure.TASKS, measure.MOUNTS

    def faster(number: int, plan: str, name: str, to: str, limit: float) -> Target:
        what = f"{plan}: {name} takes as many times as long as {to}"
        return Target(number, what, table.ratio(plan, name, to), limit, at_least=True)

    def linear(one: str, other: str, name: str) -> Target:
        figure = table.per_record(other, name) / table.per_record(one, name)
        return Target(2, f"{name}: time per record, {other} to {one}", figure, 1.3)

    def same(name: str) -> Target:
        figure = table.median(largest, name) / table.median(small, name)
        return Target(4, f"{name}: time, {largest} to {small}", figure, 2)

    cost = memory[largest]
    return [
        faster(1, large, measure.LSNS, full, 200),
        faster(1, large, measure.PROCFS_MOUNTS, full, 20),
        faster(1, large, measure.BPF, full, 1),
        linear(base, largest, tasks),
        linear(few, many, mounts),
        faster(3, small, measure.MOUNTINFO, mounts, 5),
        faster(3, small, measure.STATMOUNT, mounts, 3),
        faster(3, peers, measure.MOUNTINFO, mounts, 5),
        faster(3, peers, measure.STATMOUNT, mounts, 3),
        Target(8, f"{large}: {measure.COMMAND_PS} to {measure.CAT}", table.ratio(large, measure.COMMAND_PS, measure.CAT), 1.5),
        Target(
            8,
            f"{large}: milliseconds that {measure.COMMAND_PID} takes longer than an {measure.EMPTY}",
            (table.median(large, measure.COMMAND_PID) - table.median(large, measure.EMPTY)) / 1e6,
            3,
        ),
        Target(
            9,
            f"{docker}: {measure.COMMAND_AUDIT} to {measure.COMMAND_PS}",
            table.ratio(docker, measure.COMMAND_AUDIT, measure.COMMAND_PS),
            1.3,
        ),
        Target(
            9,
            f"{docker}: of a processor, in percent, that watch takes",
            table.median(docker, measure.COMMAND_WATCH) / 1e7,
            3,
        ),
        faster(7, holds_large, measure.DESCRIPTORS, measure.HOLDS, 20),
        linear(holds_small, holds_large, measure.HOLDS),
        same(measure.PID),
        same(measure.UPID),
        Target(5, f"{largest}: peak of kernel memory to text", cost.peak / cost.text, 1.5),
        # Some pages of other origin come and go.
        Target(5, f"{largest}: KiB kept after close", max(cost.left, 1024) / 1024, 64),
        Target(6, f"{large}: {full} to {measure.TMPFS}", table.ratio(large, full, measure.TMPFS), 4),
    ]
