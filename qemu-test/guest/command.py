# SPDX-License-Identifier: GPL-2.0
"""The command `nsinspect`, run as its users do."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import cores
from runner import Failure

PROGRAM = "nsinspect"


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs it: its status, and what it prints. A failure if it dies of a signal, with what tells where."""
    with cores.kept():
        done = subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, check=False)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise Failure(f"nsinspect {' '.join(arguments)} died of {name}", *cores.take(), *done.stderr.decode().splitlines())
    return done


def rows(command: str, *arguments: str) -> list[dict[str, Any]]:
    """The rows of a command as JSON has them; a failure if it does not end well."""
    done = run(command, "--json", *arguments)
    if done.returncode != 0 or done.stderr:
        raise Failure(f"nsinspect {command} {' '.join(arguments)}: status {done.returncode}", done.stderr.decode())
    document = json.loads(done.stdout)
    lists = [value for key, value in document.items() if key not in ("version", "source")]
    if document["version"] != 1 or len(lists) != 1:
        raise Failure(f"nsinspect {command}: a document with {list(document)}")
    return lists[0]
