# SPDX-License-Identifier: GPL-2.0
"""Processes in cgroups of their own."""

from __future__ import annotations

import os
from functools import partial

import syscalls
from specimens.processes import zombie
from zoo import Zoo

MOUNT = b"/sys/fs/cgroup"
TOP = b"/nsinspect-test"
ODD = TOP + b"/odd = 1,\\#@\xff (deleted)"
INNER = ODD + b"/inner"
GONE = TOP + b"/gone"


def _enter(cgroup: bytes) -> None:
    """Moves the calling process to a cgroup."""
    with open(MOUNT + cgroup + b"/cgroup.procs", "wb") as file:
        file.write(b"0")


def _enter_namespace() -> None:
    """A cgroup namespace rooted at one cgroup, and in it a process in another one below."""
    _enter(ODD)
    syscalls.unshare(syscalls.CLONE_NEWCGROUP)
    _enter(INNER)


def settle(zoo: Zoo) -> None:
    """Makes them."""
    for cgroup in (TOP, ODD, INNER, GONE):
        os.mkdir(MOUNT + cgroup)
        if cgroup != GONE:
            zoo.on_close(partial(os.rmdir, MOUNT + cgroup))
    zoo.spawn("in cgroup", lambda: _enter(ODD))
    zoo.spawn("in cgroup namespace", _enter_namespace)
    zoo.add("zombie in removed cgroup", zombie(lambda: _enter(GONE)))
    os.rmdir(MOUNT + GONE)
