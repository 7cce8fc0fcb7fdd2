# SPDX-License-Identifier: GPL-2.0
"""Namespaces that no process is in, and what keeps them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

import nsfs
import syscalls
from nsfs import NsFacts
from specimens import mounts
from specimens.namespaces import map_ids
from syscalls import (
    AT_FDCWD,
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)
from zoo import Specimen, Zoo, adopt_orphans, own_pid, spawn

_FLAGS = {
    "mnt": CLONE_NEWNS,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "net": CLONE_NEWNET,
    "cgroup": CLONE_NEWCGROUP,
    "user": CLONE_NEWUSER,
    "time_for_children": CLONE_NEWTIME,
}

NODENAME = b"kept"


@dataclass(frozen=True)
class Kept:
    """A namespace that is kept, as it was when a process was still in it."""

    facts: NsFacts
    keeper: str
    """`fd`, `bind`, `child`, or `socket`."""


@dataclass(frozen=True)
class Report:
    """What the keeper has to tell."""

    kept: dict[str, Kept]
    socket: int
    """Its descriptor of the socket that keeps a network namespace."""


def _end(specimen: Specimen) -> None:
    """Ends the one child that there is, and reaps it and all that it leaves."""
    os.kill(specimen.pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _open(pid: int, link: str) -> int:
    fd = nsfs.open_link(pid, link)
    assert fd is not None, link
    return fd


def _facts(pid: int, link: str) -> NsFacts:
    fd = _open(pid, link)
    try:
        return nsfs.facts(fd)
    finally:
        os.close(fd)


def _arrange(flag: int) -> Callable[[], None]:
    def arrange() -> None:
        if flag == CLONE_NEWNS:
            mounts.private_namespace()
            mounts.names()
            mounts.stacks()
            mounts.propagation()
            syscalls.mount(b"on the root", b"/", b"tmpfs")
        else:
            syscalls.unshare(flag)
        if flag == CLONE_NEWUTS:
            syscalls.sethostname(NODENAME)

    return arrange


def _by_descriptor() -> dict[str, Kept]:
    kept = {}
    for link, flag in _FLAGS.items():
        specimen = spawn(_arrange(flag))
        kept[f"{link} fd"] = Kept(nsfs.facts(_open(specimen.pid, link)), "fd")
        _end(specimen)
    return kept


def _by_bind_mount() -> dict[str, Kept]:
    kept = {}
    mounts.private_namespace()
    for link, flag in _FLAGS.items():
        specimen = spawn(_arrange(flag))
        point = mounts.BASE + b"/" + link.encode()
        open(point, "wb").close()
        syscalls.bind(f"/proc/{specimen.pid}/ns/{link}".encode(), point)
        kept[f"{link} bind"] = Kept(_facts(specimen.pid, link), "bind")
        _end(specimen)
    return kept


def _new_pid_namespace() -> Specimen:
    syscalls.unshare(CLONE_NEWPID)
    return spawn(own_pid)


def _nested_pid_namespaces() -> int:
    """Returns the pid of the first process of the inner one."""

    def inside() -> int:
        return _new_pid_namespace().report  # type: ignore[no-any-return]

    syscalls.unshare(CLONE_NEWPID)
    return spawn(inside).report  # type: ignore[no-any-return]


def _dead_pid_namespaces() -> dict[str, Kept]:
    """Of two dead pid namespaces, one in the other, a descriptor keeps the inner one."""
    outer = spawn(_nested_pid_namespaces)
    inner = outer.report
    fd = _open(inner, "pid")
    parent = nsfs.open_parent(fd)
    kept = {"pid fd": Kept(nsfs.facts(fd), "fd"), "pid parent": Kept(nsfs.facts(parent), "child")}
    os.close(parent)
    _end(outer)
    return kept


def _users() -> dict[str, Kept]:
    """A user namespace kept by one below it, and one kept by what it owns."""

    def nested() -> int:
        syscalls.unshare(CLONE_NEWUSER)
        map_ids(0, 0)
        inner = spawn(lambda: syscalls.unshare(CLONE_NEWUSER))
        return inner.pid

    outer = spawn(nested)
    child = nsfs.facts(_open(outer.report, "user"))
    parent = _facts(outer.pid, "user")
    _end(outer)
    owner = spawn(lambda: syscalls.unshare(CLONE_NEWUSER | CLONE_NEWUTS))
    owned = nsfs.facts(_open(owner.pid, "uts"))
    owner_facts = _facts(owner.pid, "user")
    _end(owner)
    return {
        "user child": Kept(child, "fd"),
        "user parent": Kept(parent, "child"),
        "owned uts": Kept(owned, "fd"),
        "user owner": Kept(owner_facts, "child"),
    }


def _inactive() -> tuple[dict[str, Kept], int]:
    """A network namespace, and the user namespace that owns it, which only a socket keeps."""
    here, there = socket.socketpair()

    def inside() -> None:
        syscalls.unshare(CLONE_NEWUSER | CLONE_NEWNET)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            socket.send_fds(there, [b"x"], [one.fileno()])

    specimen = spawn(inside)
    net, user = _facts(specimen.pid, "net"), _facts(specimen.pid, "user")
    fds = socket.recv_fds(here, 1, 1)[1]
    _end(specimen)
    return {"net socket": Kept(net, "socket"), "user socket": Kept(user, "socket")}, fds[0]


def _detached_tree() -> dict[str, Kept]:
    """A mount namespace that was made as a file, and no process ever entered."""
    fd = syscalls.syscall(syscalls.SYS_OPEN_TREE, AT_FDCWD, b"/tmp", syscalls.OPEN_TREE_NAMESPACE)
    return {"mnt tree": Kept(nsfs.facts(fd), "fd")}


def _keep() -> Report:
    adopt_orphans()
    inactive, descriptor = _inactive()
    kept = {
        **_by_descriptor(),
        **_dead_pid_namespaces(),
        **_users(),
        **inactive,
        **_detached_tree(),
        # Last, as a copy of the mount namespace would keep the same.
        **_by_bind_mount(),
    }
    return Report(kept, descriptor)


def settle(zoo: Zoo) -> None:
    """Makes them, and a process that keeps them all."""
    zoo.spawn("keeper", _keep)
