# SPDX-License-Identifier: GPL-2.0
"""The text as such."""

from __future__ import annotations

import os

import module
import procfs
import specimens
from compare import consistency
from runner import Failure, check, check_equal, test


@test
def header() -> None:
    """The header has the kernel's release and the time of the snapshot."""
    module.ensure_loaded()
    before = procfs.boottime()
    found = module.read_document().header
    after = procfs.boottime()
    check_equal("release", found.release, os.fsencode(os.uname().release))
    if not before <= found.uptime <= after:
        raise Failure(f"uptime {found.uptime} of a read between {before} and {after}")


@test
def grammar() -> None:
    """With all odd things there, the text keeps to the contract and agrees with itself."""
    specimens.zoo()
    module.ensure_loaded()
    check(consistency.check(module.read_document()))
