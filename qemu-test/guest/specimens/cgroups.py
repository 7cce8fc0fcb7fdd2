# SPDX-License-Identifier: GPL-2.0
"""Processes in cgroups of their own."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Container, Iterator
from functools import partial

import forked
import syscalls
from specimens.processes import zombie
from zoo import Zoo, end, spawn

MOUNT = b"/sys/fs/cgroup"
TOP = b"/nsinspect-test"
ODD = TOP + b"/odd = 1,\\#@\xff (deleted)"
INNER = ODD + b"/inner"
GONE = TOP + b"/gone"


def _enter(cgroup: bytes) -> None:
    """Moves the calling process to a cgroup."""
    with open(MOUNT + cgroup + b"/cgroup.procs", "wb") as file:
        file.write(b"0")


def remove(path: bytes, dir_fd: int | None = None) -> None:
    """Removes a cgroup whose processes have been reaped, which may be still on their way out of it."""

    def is_gone() -> bool:
        try:
            os.rmdir(path, dir_fd=dir_fd)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    forked.wait_until(is_gone, f"no process is in {path!r}")


def _enter_namespace() -> None:
    """A cgroup namespace rooted at one cgroup, and in it a process in another one below."""
    _enter(ODD)
    syscalls.unshare(syscalls.CLONE_NEWCGROUP)
    _enter(INNER)


# Beside `TOP`, which is there as long as the zoo is.
NEST = b"/nsinspect-nest"
_NESTED = MOUNT + NEST


def _nest(levels: int, name: bytes, inhabited: Container[int]) -> dict[int, int]:
    """Goes down and makes a cgroup at each level: the processes in them, by level."""
    os.mkdir(_NESTED)
    os.chdir(_NESTED)
    inhabitants = {}
    for level in range(1, levels + 1):
        os.mkdir(name)
        os.chdir(name)
        if level in inhabited:
            inhabitants[level] = spawn(_enter_here).pid
    os.chdir("/")
    return inhabitants


def _enter_here() -> None:
    with open("cgroup.procs", "wb") as file:
        file.write(b"0")
    os.chdir("/")


def _remove_nest(levels: int, name: bytes) -> None:
    os.chdir(_NESTED)
    for _ in range(levels):
        os.chdir(name)
    for _ in range(levels):
        os.chdir("..")
        remove(name)
    os.chdir("/")
    os.rmdir(_NESTED)


@contextlib.contextmanager
def nested(levels: int, name: bytes, inhabited: Container[int]) -> Iterator[dict[int, int]]:
    """Has so many cgroups inside each other, below `NEST`, and a process in some: their pids, by level."""
    try:
        specimen = spawn(partial(_nest, levels, name, inhabited))
        try:
            yield specimen.report
        finally:
            end(specimen, *specimen.report.values())
    finally:
        forked.call(partial(_remove_nest, levels, name))


def path_of(level: int, name: bytes) -> bytes:
    """The path of one of these cgroups."""
    return NEST + (b"/" + name) * level


def settle(zoo: Zoo) -> None:
    """Makes them."""
    for cgroup in (TOP, ODD, INNER, GONE):
        os.mkdir(MOUNT + cgroup)
        if cgroup != GONE:
            zoo.on_close(partial(remove, MOUNT + cgroup))
    zoo.spawn("in cgroup", lambda: _enter(ODD))
    zoo.spawn("in cgroup namespace", _enter_namespace)
    zoo.add("zombie in removed cgroup", zombie(lambda: _enter(GONE)))
    remove(MOUNT + GONE)
