# SPDX-License-Identifier: GPL-2.0
"""The tests, in the order in which they run: what needs no zoo comes first."""

from __future__ import annotations

from runner import TESTS, Test


def all_tests() -> list[Test]:
    """Every test."""
    from tests import (  # noqa: F401, I001
        loading,
        kunit,
        access,
        reading,
        asking,
        fuzz,
        format,
        names,
        hostile,
        tasks,
        threads,
        namespaces,
        kept,
        mounts,
        container,
        command,
        changes,
        audit,
        watch,
        queries,
        holds,
        unlisted,
        doubt,
        size,
        bounds,
        waits,
        moments,
        steps,
        interrupted,
        scarcity,
        faults,
        stress,
    )

    return TESTS
