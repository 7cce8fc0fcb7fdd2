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
import syscalls
from compare.tasks import Sources
from format1 import Document
from mountlist import MountList
from nsview import NsView
from procfs import View
from runner import Failure
from zoo import Zoo

ATTEMPTS = 5
EVERYTHING = "show=ns,tasks,threads,mounts"


@dataclass(frozen=True)
class Scene:
    """All sources on one state of the system; its mounts did not change in between."""

    zoo: Zoo
    before: View
    text: bytes
    document: Document
    after: View
    listed: tuple[list[int], list[int]]
    """What `listns` listed before and after."""
    namespaces: NsView
    mounts: dict[int, MountList]
    threads_before: View
    everything: Document
    """A text with records of all kinds, threads included."""
    threads_after: View
    tids: dict[int, list[int]]
    """The threads of each process that had the same before and after, in the kernel's order."""

    @property
    def sources(self) -> Sources:
        """What comparing tasks takes besides procfs."""
        parents = {
            inum: facts.parent for (kind, inum), facts in self.namespaces.facts.items() if kind == "pid"
        }
        roots = {inum: mounts.stack[0] for inum, mounts in self.mounts.items()}
        lists = {mount: inum for inum, mounts in self.mounts.items() for mount in mounts.mounts}
        return Sources(parents, roots, lists)


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


def _all_tids() -> dict[int, list[int]]:
    return {pid: procfs.tids(pid) for pid in procfs.pids()}


def _take_threads() -> tuple[View, Document, View, dict[int, list[int]]]:
    before, tids = procfs.thread_view(), _all_tids()
    document = module.ask_document(EVERYTHING)
    later = _all_tids()
    stable = {pid: list_ for pid, list_ in tids.items() if later.get(pid) == list_}
    return before, document, procfs.thread_view(), stable


def _take() -> Scene:
    zoo = specimens.zoo()
    module.ensure_loaded()
    for _ in range(ATTEMPTS):
        before = procfs.view()
        mounts = mountlist.read_all()
        listed = syscalls.listns()
        text = module.read_text()
        listed_after = syscalls.listns()
        mounts_after = mountlist.read_all()
        after = procfs.view()
        if mounts == mounts_after:
            return Scene(
                zoo,
                before,
                text,
                format1.parse(text),
                after,
                (listed, listed_after),
                nsview.read(after),
                mounts,
                *_take_threads(),
            )
    raise Failure(f"the mounts changed during each of {ATTEMPTS} attempts")
