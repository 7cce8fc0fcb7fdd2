# SPDX-License-Identifier: GPL-2.0
"""Readers in processes of their own."""

from __future__ import annotations

import os
import signal
import statistics
import time

import module
import pace
from runner import tell

# A reader is gone so long after SIGKILL, in seconds, whatever it was in the middle of.
KILLED_WITHIN = 1
# How far into its reads a reader is killed, in seconds.
_MOMENTS = (0.02, 0.1, 0.3, 0.7)


def _read_for_ever(query: bytes) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    fd = module.open_for_queries()
    while True:
        os.write(fd, query + b"\n")
        module.read_all(fd)


def _start(query: bytes) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _read_for_ever(query)
        finally:
            os._exit(1)
    return pid


def complaints_of_kills(query: bytes = b"") -> list[str]:
    """Kills readers at several moments; what is wrong with how long they take to be gone."""
    took = []
    for moment in _MOMENTS:
        pid = _start(query)
        time.sleep(moment)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        took.append(time.monotonic() - began)
    tell(f"a killed reader is gone after {', '.join(f'{one:.3f}' for one in took)} s")
    limit = pace.patience(KILLED_WITHIN)
    return [f"a reader was gone {one:.1f} s after it was killed" for one in took if one > limit]


def seconds(query: bytes = b"", times: int = 3) -> float:
    """How long a read takes: the median of a few."""
    took = []
    for _ in range(times):
        began = time.monotonic()
        module.ask(query)
        took.append(time.monotonic() - began)
    return statistics.median(took)
