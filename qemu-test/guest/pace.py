# SPDX-License-Identifier: GPL-2.0
"""Which kernel this is, and how patient one has to be with it."""

from __future__ import annotations

import os

KERNEL = os.environ.get("KERNEL", "")
"""The name that this kernel was booted by, as in KERNEL=; empty if it was by none."""

KIND = KERNEL.partition("-")[0]
"""The name without the series: stock, rt, cloud, debug, uml."""

# How many times as long everything may take on the kernels that check all that they do.
_SLOWNESS = {"debug": 6, "uml": 4}


def patience(seconds: float) -> float:
    """How long to wait here for what takes that many seconds at most on a kernel without checks."""
    return seconds * _SLOWNESS.get(KIND, 1)
