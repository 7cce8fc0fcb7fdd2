# SPDX-License-Identifier: GPL-2.0
"""A text and what other sources said right before and right after it."""

from __future__ import annotations

from dataclasses import dataclass

import format1
import module
import mountlist
import nsview
import procfs
import specimens
from compare.tasks import Sources
from format1 import Document
from mountlist import MountList
from nsview import NsView
from procfs import View
from runner import Failure
from zoo import Zoo

ATTEMPTS = 5


@dataclass(frozen=True)
class Scene:
    """All sources on one state of the system; its mounts did not change in between."""

    zoo: Zoo
    before: View
    text: bytes
    document: Document
    after: View
    namespaces: NsView
    mounts: dict[int, MountList]

    @property
    def sources(self) -> Sources:
        """What comparing tasks takes besides procfs."""
        parents = {
            inum: facts.parent for (kind, inum), facts in self.namespaces.facts.items() if kind == "pid"
        }
        return Sources(parents, {inum: mounts.stack for inum, mounts in self.mounts.items()})


_taken: list[Scene] = []
_errors: list[Exception] = []


def take() -> Scene:
    """The scene, taken at the first call, as nothing of it changes afterwards.

    If that failed, later calls fail at once.
    """
    if _errors:
        raise Failure(f"no scene to look at, as before: {_errors[0]}")
    if not _taken:
        try:
            _taken.append(_take())
        except Exception as error:
            _errors.append(error)
            raise
    return _taken[0]


def _take() -> Scene:
    zoo = specimens.zoo()
    module.ensure_loaded()
    for _ in range(ATTEMPTS):
        before = procfs.view()
        mounts = mountlist.read_all(mountlist.members(before))
        text = module.read_text()
        mounts_after = mountlist.read_all(mountlist.members(before))
        after = procfs.view()
        if mounts is not None and mounts == mounts_after:
            namespaces = nsview.read(after)
            return Scene(zoo, before, text, format1.parse(text), after, namespaces, mounts)
    raise Failure(f"the mounts changed during each of {ATTEMPTS} attempts")
