# SPDX-License-Identifier: GPL-2.0
"""What lives in the zoo, by subject."""

from __future__ import annotations

from runner import Failure
from specimens import cgroups, container, kept, mounts, namespaces, processes, threads
from zoo import Zoo

_open: list[Zoo] = []
_errors: list[Exception] = []


def zoo() -> Zoo:
    """The zoo, made at the first call. If that failed, later calls fail at once."""
    if _errors:
        raise Failure(f"no zoo, as before: {_errors[0]}")
    if not _open:
        _open.append(Zoo())
        try:
            for subject in (processes, namespaces, cgroups, threads, mounts, kept, container):
                subject.settle(_open[0])
        except Exception as error:
            _errors.append(error)
            raise
    return _open[0]


def close() -> None:
    """Ends the zoo, if there is one."""
    while _open:
        _open.pop().close()
