# SPDX-License-Identifier: GPL-2.0
"""What the module leaves behind: nothing, whatever was done to it.

Whoever is about to do something rough does it inside `checked()`. There it finds a place that has all
kinds of namespaces, mounts and roots, to be looked at. Afterwards the references to these are counted,
the place is torn down, and everything has to go: namespaces, mounts, file systems, memory, the module.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import forked
import klog
import kmemleak
import module
import nsfs
import syscalls
from format1 import Document
from runner import Failure, check
from specimens import heavy
from specimens.heavy import Heavy

PROBE = b"/tmp/probe"


def _references(document: Document) -> dict[int, object]:
    """The references to each namespace, by its 64-bit id."""
    return {int(str(ns.fields["id"])): ns.fields["refs"] for ns in document.namespaces}


def _free_device() -> int:
    """The number that the next file system without a device of its own gets: the lowest that is free."""
    os.makedirs(PROBE, exist_ok=True)
    syscalls.mount(b"probe", PROBE, b"tmpfs")
    try:
        return os.stat(PROBE).st_dev
    finally:
        syscalls.umount(PROBE)


@dataclass(frozen=True)
class _State:
    """What there is, by the module's word and by the kernel's."""

    namespaces: tuple[int, ...]
    """The 64-bit ids of all."""
    listed: tuple[int, ...]
    """Of those that `listns` lists."""
    mounts: tuple[int, ...]
    """How many mounts each mount namespace has."""
    free_device: int


def _state() -> _State:
    document = module.read_document()
    counts = []
    for fd in nsfs.open_all(syscalls.CLONE_NEWNS):
        counts.append(nsfs.facts(fd).mounts or 0)
        os.close(fd)
    return _State(
        tuple(_references(document)), tuple(syscalls.listns()), tuple(counts), _free_device()
    )


def _settled() -> _State:
    """The state once nothing that has ended before is on its way out any more."""
    state = _state()

    def is_settled() -> bool:
        nonlocal state
        before, state = state, _state()
        return before == state

    forked.wait_until(is_settled, "nothing changes any more")
    return state


def _wait_for(wanted: _State) -> list[str]:
    """Waits until everything is as it was; what is not."""
    got = _state()

    def is_back() -> bool:
        nonlocal got
        got = _state()
        return got == wanted

    try:
        forked.wait_until(is_back, "everything is as it was")
    except TimeoutError as error:
        return [f"{error}: there is {got}, there was {wanted}"]
    return []


def _unused() -> list[str]:
    """What is wrong with the module's count of references, or with unloading it."""
    with open("/sys/module/nsinspect/refcnt", encoding="ascii") as file:
        count = file.read().strip()
    complaints = [] if count == "0" else [f"the module has {count} references"]
    module.unload()
    if os.path.exists(module.PROC_FILE):
        complaints.append("the file is there without the module")
    return complaints


def _words(error: Exception) -> list[str]:
    if isinstance(error, Failure):
        return [str(argument) for argument in error.args]
    return ["".join(traceback.format_exception(error)).rstrip()]


@contextlib.contextmanager
def checked() -> Iterator[tuple[Heavy, list[str]]]:
    """For what must not leave anything behind; the module is loaded before and afterwards.

    Gives the place, and a list for complaints: the test fails if there are any at the end.
    """
    module.ensure_loaded()
    before = _settled()
    if kmemleak.available():
        klog.expect(klog.KMEMLEAK)
        kmemleak.clear()
    complaints: list[str] = []
    with contextlib.ExitStack() as stack:
        found = heavy.settle(stack)
        references = _references(module.read_document())
        try:
            yield found, complaints
        except Exception as error:
            raise Failure(*complaints, *_words(error)) from error
        now = _references(module.read_document())
        # Of those that there were not before, some may be on their way out: they have time until below.
        for one, count in sorted(references.items()):
            if now.get(one) != count:
                complaints.append(f"namespace {one} had {count} references, and has {now.get(one, 'no')}")
    complaints += _wait_for(before)
    complaints += _unused()
    if kmemleak.available():
        complaints += kmemleak.leaks()
    module.load()
    module.read_document()
    check(complaints)
