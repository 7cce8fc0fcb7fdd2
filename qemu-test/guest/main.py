#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The test suite's part in the guest: runs the tests named, or all, as root.

Loads and unloads the module itself; NSINSPECT_KO says where it is.
"""

from __future__ import annotations

import argparse
import os
import sys

import module
import pace
import runner
import specimens
import tests
import zoo
from tests import kunit


def _cleanup() -> None:
    specimens.close()
    module.ensure_unloaded()


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description="Tests nsinspect on the running kernel.")
    parser.add_argument("--list", action="store_true", help="print the names of the tests, and for which kernels each is")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the tests to run instead of all")
    options = parser.parse_args()
    known = {test.name: test for test in tests.all_tests()}
    if options.list:
        for test in known.values():
            print(f"{test.name:24} {test.on.replace(' ', ',') or 'all'} {test.summary}")
        return 0
    cases = {name: case for name in options.names if (case := kunit.case_test(name))}
    unknown = [name for name in options.names if name not in known and name not in cases]
    if unknown:
        print(f"no such test: {' '.join(unknown)}; there are: {' '.join(known)}", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("the tests need root, in a guest that may be spoilt", file=sys.stderr)
        return 2
    if options.names:
        selected = [test for name, test in known.items() if name in options.names]
    else:
        selected = [test for test in known.values() if test.is_for(pace.KERNEL)]
    selected = [*cases.values(), *selected]
    zoo.adopt_orphans()
    good = runner.Runner(runner.label(), _cleanup).run(selected)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
