# SPDX-License-Identifier: GPL-2.0
"""The command `nsinspect`, run as its users do."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from runner import Failure

PROGRAM = "nsinspect"


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs it: its status, and what it prints."""
    return subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, check=False)


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
