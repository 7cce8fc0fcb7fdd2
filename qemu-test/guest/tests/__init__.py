# SPDX-License-Identifier: GPL-2.0
"""The tests, in the order in which they run: what needs no zoo comes first."""

from __future__ import annotations

from runner import TESTS, Test


def all_tests() -> list[Test]:
    """Every test."""
    from tests import loading, access, reading, format, tasks, namespaces, mounts, container, doubt  # noqa: F401, I001

    return TESTS
