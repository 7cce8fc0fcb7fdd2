# SPDX-License-Identifier: GPL-2.0
"""The tests' C programs, which are compiled for the guest: see qemu-test/programs."""

from __future__ import annotations

import os
import random
import re
import subprocess

from runner import Failure, tell


def path(name: str) -> str:
    """Where a program is."""
    return f"{os.path.dirname(os.environ['NSINSPECT_KO'])}/qemu-test/programs/{name}"


def run_at_random(name: str, *options: str) -> dict[str, int]:
    """Runs a program that does things at random, and returns its figures, name=number.

    It gets the seed $SEED, or one of its own, and says which if it fails. What it prints after a "# " is
    told at once.
    """
    seed = os.environ.get("SEED") or str(random.randrange(1 << 32))
    command = [path(name), "--seed", seed, *options]
    lines = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",
    ) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                if line.startswith("# "):
                    tell(line[2:].rstrip())
                else:
                    lines.append(line.rstrip("\n"))
        except BaseException:
            # The test's time is up: whoever waits for the program must not do so for ever.
            process.kill()
            raise
    what = f"{name} --seed {seed} {' '.join(options)}"
    figures = {key: int(number) for key, number in re.findall(r"\b(\w+)=(\d+)\b", " ".join(lines))}
    if process.returncode:
        # What is wrong before how far it got.
        lines.sort(key=lambda line: bool(re.fullmatch(r"\w+=\d+", line)))
        raise Failure(f"{what}: status {process.returncode}", *lines)
    return figures | {"seed": int(seed)}
