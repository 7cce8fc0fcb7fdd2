# SPDX-License-Identifier: GPL-2.0
"""Containers full of processes and mounts, made for the benchmark to look at."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(os.environ["NSINSPECT_KO"]).parent / "bench" / "programs"
CONTAINERS = 50


class SceneError(Exception):
    """A scene could not be made as it was to be."""


@dataclass(frozen=True)
class Plan:
    """What a scene is to be."""

    name: str
    processes: int
    mounts: int
    """Of each container, those that it inherits included."""
    slaves: int = 0
    """Slave mounts in one more mount namespace; as many masters are in another one."""
    peers: bool = False
    """All masters are in one peer group. Otherwise each is one of its own."""
    descriptors: int = 0
    """That each process of a container opens, besides those that it has from the start."""
    containers: int = CONTAINERS
    docker: bool = False
    """Their cgroups are called as docker calls them."""


@dataclass(frozen=True)
class Member:
    """The first process of a mount namespace of the scene."""

    pid: int
    processes: int
    mounts: int


@dataclass(frozen=True)
class Scene:
    """A scene that is there."""

    plan: Plan
    members: list[Member]

    @property
    def containers(self) -> list[Member]:
        """The first processes of the containers."""
        return self.members[: self.plan.containers]

    @property
    def processes(self) -> int:
        """How many there are, those that only keep a mount namespace included."""
        return sum(member.processes for member in self.members)

    @property
    def mounts(self) -> int:
        """How many there are in the scene's mount namespaces."""
        return sum(member.mounts for member in self.members)


def _members(lines: Iterator[str]) -> Iterator[Member]:
    for line in lines:
        kind, *numbers = line.split()
        if kind == "ready":
            return
        yield Member(*map(int, numbers))
    raise SceneError("the scene was not finished")


def _check(scene: Scene) -> None:
    """The scene is what it was planned to be."""
    plan = scene.plan
    containers = scene.containers
    if len(containers) != plan.containers or sum(one.processes for one in containers) != plan.processes:
        raise SceneError(f"{plan}: not all processes are there")
    if any(one.mounts != plan.mounts for one in containers):
        raise SceneError(f"{plan}: a container has another number of mounts")
    holders = scene.members[plan.containers :]
    if len(holders) != (2 if plan.slaves else 0) or any(one.mounts < plan.slaves for one in holders):
        raise SceneError(f"{plan}: not all slave mounts and masters are there")


@contextmanager
def made(plan: Plan) -> Iterator[Scene]:
    """Makes a scene, and takes it down in the end."""
    command = [PROGRAMS / "scene", plan.containers, plan.processes, plan.mounts, plan.slaves, plan.descriptors]
    command += ["peers"] if plan.peers else ["docker"] if plan.docker else []
    with subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdin and maker.stdout
        try:
            scene = Scene(plan, list(_members(maker.stdout)))
            _check(scene)
            yield scene
        finally:
            maker.stdin.close()
            status = maker.wait()
        if status:
            raise SceneError(f"{plan}: taking it down ended with {status}")
