#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Tests the tests: needs no module, no guest and no root."""

from __future__ import annotations

import unittest

from selftests.comparisons import Comparisons
from selftests.grammar import Grammar
from selftests.kernel_log import KernelLog
from selftests.queries import Queries
from selftests.runs import Runs

__all__ = ["Comparisons", "Grammar", "KernelLog", "Queries", "Runs"]

if __name__ == "__main__":
    unittest.main()
