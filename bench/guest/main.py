#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The benchmark's part in the guest: measures, as root, with the module loaded."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import profiling

RESULTS = Path("/results")


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description="Measures nsinspect on the running kernel.")
    parser.add_argument("--quick", action="store_true", help="small scenes, few rounds")
    parser.add_argument("--profile", action="store_true", help="profile reads instead")
    options = parser.parse_args()
    if options.profile:
        profiling.profile(RESULTS)
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
