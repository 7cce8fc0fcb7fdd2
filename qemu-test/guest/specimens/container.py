# SPDX-License-Identifier: GPL-2.0
"""A real container, made by crun, with one more pid namespace inside."""

from __future__ import annotations

import subprocess
from pathlib import Path

from zoo import Specimen, Zoo

NAME = "zoo"
_SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "guest" / "container"


def settle(zoo: Zoo) -> None:
    """Starts it."""
    started = subprocess.run(
        [_SCRIPT, "start", NAME], check=True, text=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    facts = dict(line.split("=", 1) for line in started.stdout.splitlines())
    zoo.on_stop(lambda: subprocess.run([_SCRIPT, "stop", NAME], check=True, stdin=subprocess.DEVNULL))
    zoo.add("container", Specimen(int(facts["CONTAINER_PID"])))
    zoo.add("container nested", Specimen(int(facts["NESTED_PID"])))


def run(command: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a shell command in the container, with all capabilities."""
    return subprocess.run(
        [_SCRIPT, "exec", NAME, command], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
