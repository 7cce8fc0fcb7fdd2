# SPDX-License-Identifier: GPL-2.0
"""What processes keep, as procfs and the system calls show it: the source to compare holds with."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import nsfs
import procfs
import syscalls

_SIOCGSKNS = 0x894C

Key = tuple[object, ...]


@dataclass(frozen=True)
class Internal:
    """The devices of mounts that the kernel made for itself: none of them is ever unmounted."""

    pipes: int
    sockets: int
    anonymous: int
    memory: int
    namespaces: int
    pidfds: int

    @property
    def hidden(self) -> tuple[int, ...]:
        """All of them."""
        return tuple(vars(self).values())


def _device(fd: int) -> int:
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def internal() -> Internal:
    """Finds them by files that are on them."""
    reader, writer = os.pipe()
    os.close(writer)
    return Internal(
        _device(reader),
        _device(socket.socket().detach()),
        _device(os.eventfd(0)),
        _device(os.memfd_create("x")),
        _device(os.open("/proc/self/ns/net", os.O_RDONLY)),
        _device(os.pidfd_open(os.getpid())),
    )


@dataclass(frozen=True)
class Seen:
    """What was seen of one process or thread by one link of procfs."""

    pid: int
    tid: int
    """The thread; the same as the process for its main thread."""
    link: str
    """`fd/N`, `cwd`, `root`, `exe` or `map_files/RANGE`."""
    text: bytes
    device: int
    inode: int
    mount: int
    """The mount's 64-bit id."""


def _look(pid: int, tid: int, link: str) -> Seen | None:
    path = f"/proc/{pid}/task/{tid}/{link}" if not link.startswith("map_files") else f"/proc/{pid}/{link}"
    try:
        text = os.readlink(path.encode())
        found = os.stat(path)
        mount = syscalls.statx(path.encode()).mount
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return Seen(pid, tid, link, text, found.st_dev, found.st_ino, mount)


def _links(pid: int, tid: int) -> Iterator[str]:
    yield from ("cwd", "root", "exe")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for fd in sorted(map(int, os.listdir(f"/proc/{pid}/task/{tid}/fd"))):
            yield f"fd/{fd}"


def _maps(pid: int) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for name in sorted(os.listdir(f"/proc/{pid}/map_files")):
            yield f"map_files/{name}"


def look_at_all() -> dict[tuple[int, int, str], Seen]:
    """What each process and each thread has."""
    found = {}
    for pid in procfs.pids():
        links = [(tid, link) for tid in procfs.tids(pid) for link in _links(pid, tid)]
        for tid, link in [*links, *((pid, link) for link in _maps(pid))]:
            seen = _look(pid, tid, link)
            if seen is not None:
                found[pid, tid, link] = seen
    return found


def stable(before: dict[tuple[int, int, str], Seen], after: dict[tuple[int, int, str], Seen]) -> list[Seen]:
    """What was the same before and after."""
    return [seen for key, seen in before.items() if after.get(key) == seen]


def socket_namespace(pid: int, fd: int) -> int | None:
    """The network namespace of a process's socket; none if it has none."""
    try:
        copy = syscalls.descriptor_of(pid, fd)
    except OSError:
        return None
    try:
        namespace = fcntl.ioctl(copy, _SIOCGSKNS)
    except OSError:
        return None
    finally:
        os.close(copy)
    try:
        return os.fstat(namespace).st_ino
    finally:
        os.close(namespace)


def pidfd_of(pid: int, tid: int, fd: int) -> int | None:
    """The number of the process that a pidfd stands for; none once that has been reaped."""
    with open(f"/proc/{pid}/task/{tid}/fdinfo/{fd}", encoding="ascii") as file:
        numbers = [int(line.split()[1]) for line in file if line.startswith("Pid:")]
    return numbers[0] if numbers and numbers[0] > 0 else None


def relations() -> set[tuple[int, int]]:
    """Which namespace keeps which: the inode numbers of what is kept, and of what keeps it."""
    kept = set()
    for fd in nsfs.open_all():
        facts = nsfs.facts(fd)
        os.close(fd)
        kept |= {(of, facts.inum) for of in (facts.owner, facts.parent) if of is not None}
    return kept


def device_numbers(device: int) -> tuple[int, int]:
    """As the text writes them."""
    return os.major(device), os.minor(device)

