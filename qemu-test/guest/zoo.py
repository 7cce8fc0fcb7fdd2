# SPDX-License-Identifier: GPL-2.0
"""The zoo: processes and mounts of every odd kind, for the tests to look at.

It is made when a test first asks for it and stays as it is until the last test is over, so that what
tests compare stands still. Every specimen is a forked process that arranged something and then waits.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import forked
import procfs
import syscalls


@dataclass(frozen=True)
class Specimen:
    """A process of the zoo."""

    pid: int
    report: Any = None
    """Whatever the process had to tell once it was ready."""


def own_pid() -> int:
    """The caller's pid in the initial pid namespace, whose procfs /proc is."""
    return int(os.readlink("/proc/self"))


def wait_forever() -> NoReturn:
    """What a specimen does once it is ready."""
    while True:
        signal.pause()


def spawn(arrange: Callable[[], object]) -> Specimen:
    """Forks a process that arranges something, reports, and waits until it is killed."""

    def inhabit() -> object:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        return arrange()

    reader, writer = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            try:
                forked.send(writer, forked.outcome(inhabit))
                os.close(writer)
                wait_forever()
            finally:
                os._exit(1)
        return Specimen(pid, forked.accept(forked.receive(reader)))
    finally:
        os.close(writer)
        os.close(reader)


class Zoo:
    """All specimens by name."""

    def __init__(self) -> None:
        self.specimens: dict[str, Specimen] = {}
        self._stops = contextlib.ExitStack()
        self._undo = contextlib.ExitStack()

    def __getitem__(self, name: str) -> Specimen:
        return self.specimens[name]

    def add(self, name: str, specimen: Specimen) -> Specimen:
        """Enters a specimen."""
        assert name not in self.specimens
        self.specimens[name] = specimen
        return specimen

    def spawn(self, name: str, arrange: Callable[[], object]) -> Specimen:
        """Makes and enters a specimen."""
        return self.add(name, spawn(arrange))

    def on_stop(self, function: Callable[[], object]) -> None:
        """Has something done at the end while all processes still live."""
        self._stops.callback(function)

    def on_close(self, function: Callable[[], object]) -> None:
        """Has something done at the end after all processes are gone."""
        self._undo.callback(function)

    def close(self) -> None:
        """Ends all processes, and undoes what they leave behind."""
        with self._undo, contextlib.ExitStack() as reaping:
            reaping.callback(reap_all)
            self._stops.close()


def adopt_orphans() -> None:
    """Makes the caller the parent of all its descendants whose parent dies."""
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)


def reap_all() -> None:
    """Kills all children, and those that they leave, until there are none."""

    def reap() -> bool:
        for pid in procfs.children(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        return False

    forked.wait_until(reap, "all processes of the zoo are gone")


def end(specimen: Specimen, *left: int) -> None:
    """Ends and reaps a specimen that is not in a zoo, and those that it leaves, which die of its death."""
    os.kill(specimen.pid, signal.SIGKILL)
    for pid in (specimen.pid, *left):
        os.waitpid(pid, 0)
