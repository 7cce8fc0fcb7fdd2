# SPDX-License-Identifier: GPL-2.0
"""The namespaces that processes are in, from the kernel's own interfaces: the source to compare with.

Helper processes enter namespaces to see what can only be seen from inside.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

import forked
import nsfs
import procfs
import syscalls
from nsfs import NsFacts
from procfs import Process, View

Key = tuple[str, int]
"""A namespace: its type and inode number."""


@dataclass(frozen=True)
class NsView:
    """What is known of each namespace that a process is in or has its children in."""

    facts: dict[Key, NsFacts]
    names: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    """By uts namespace: node name and domain name."""
    pid_max: dict[int, int | None] = field(default_factory=dict)
    """By pid namespace with a reaper: its limit, none where no process can be made any more."""
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By time namespace: the offsets of the monotonic and the boot clock in nanoseconds."""
    cgroup_roots: dict[int, bytes] = field(default_factory=dict)
    """By cgroup namespace: its root in the default hierarchy."""

    def level(self, key: Key) -> int:
        """How many namespaces are above a pid or user namespace."""
        parent = self.facts[key].parent
        return 0 if parent is None else 1 + self.level((key[0], parent))


def _add_ancestors(fd: int, facts: dict[Key, NsFacts]) -> None:
    found = nsfs.facts(fd)
    key = (found.type, found.inum)
    if key in facts:
        return
    facts[key] = found
    if found.parent is not None:
        parent = nsfs.open_parent(fd)
        try:
            _add_ancestors(parent, facts)
        finally:
            os.close(parent)


def _inhabitants(view: View, link: str) -> dict[int, Process]:
    """For each namespace that the link of a process leads to, one such process."""
    found: dict[int, Process] = {}
    for process in view.processes.values():
        inum = process.namespaces[link]
        if inum is not None:
            found.setdefault(inum, process)
    return found


def _names(proc_fd: int, inhabitants: dict[int, Process]) -> dict[int, tuple[bytes, bytes]]:
    names = {}
    for inum, process in inhabitants.items():
        fd = nsfs.open_link(process.pid, "uts", proc_fd)
        if fd is not None:
            syscalls.setns(fd, syscalls.CLONE_NEWUTS)
            os.close(fd)
            names[inum] = syscalls.uname()
    return names


def _cgroup_root(host_path: bytes, inner_path: bytes) -> bytes | None:
    """The root of a cgroup namespace, from one process's path seen from outside and from inside."""
    if inner_path == b"/":
        return host_path
    if host_path.endswith(inner_path) and not inner_path.startswith(b"/.."):
        return host_path.removesuffix(inner_path) or b"/"
    return None


def _cgroup_roots(proc_fd: int, view: View) -> dict[int, bytes]:
    roots: dict[int, bytes] = {}
    for inum, process in _inhabitants(view, "cgroup").items():
        fd = nsfs.open_link(process.pid, "cgroup", proc_fd)
        if fd is None or process.cgroup is None:
            continue
        syscalls.setns(fd, syscalls.CLONE_NEWCGROUP)
        os.close(fd)
        inside = procfs.read_cgroup(process.pid)
        root = None if inside is None else _cgroup_root(process.cgroup, inside)
        if root is not None:
            roots[inum] = root
    return roots


def _pid_max(view: View) -> dict[int, int | None]:
    limits: dict[int, int | None] = {}
    for process in view.processes.values():
        inum = process.namespaces["pid"]
        if inum is None or process.nspid[-1] != 1:
            continue
        fd = nsfs.open_link(process.pid, "pid")
        if fd is None:
            continue
        syscalls.setns(fd, syscalls.CLONE_NEWPID)
        os.close(fd)
        try:
            # The file shows the limit of the reader's own pid namespace.
            limits[inum] = forked.call(_read_pid_max)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            limits[inum] = None
    return limits


def _read_pid_max() -> int:
    with open("/proc/sys/kernel/pid_max", "rb") as file:
        return int(file.read())


def _offsets(view: View) -> dict[int, tuple[int, int]]:
    offsets = {}
    for inum, process in _inhabitants(view, "time_for_children").items():
        with open(f"/proc/{process.pid}/timens_offsets", "rb") as file:
            lines = [line.split() for line in file.read().splitlines()]
        clocks = {name: int(seconds) * 10**9 + int(rest) for name, seconds, rest in lines}
        offsets[inum] = (clocks[b"monotonic"], clocks[b"boottime"])
    return offsets


def read(view: View) -> NsView:
    """Gathers all of it."""
    facts: dict[Key, NsFacts] = {}
    for link in nsfs.LINKS:
        for process in _inhabitants(view, link).values():
            fd = nsfs.open_link(process.pid, link)
            if fd is not None:
                try:
                    _add_ancestors(fd, facts)
                finally:
                    os.close(fd)

    def visit() -> tuple[dict[int, tuple[bytes, bytes]], dict[int, bytes], dict[int, int | None]]:
        proc_fd = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        names = _names(proc_fd, _inhabitants(view, "uts"))
        roots = _cgroup_roots(proc_fd, view)
        return names, roots, _pid_max(view)

    names, roots, limits = forked.call(visit)
    return NsView(facts, names, limits, _offsets(view), roots)
