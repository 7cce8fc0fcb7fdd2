# SPDX-License-Identifier: GPL-2.0
"""Processes in namespaces of their own, of every type."""

from __future__ import annotations

import os
import signal

import forked
import nsfs
import procfs
import syscalls
from syscalls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)
from zoo import Zoo, own_pid, spawn

NODENAME = b"node = 1,\\#@\xff\n"
DOMAINNAME = b"a domain"
DEPTH = 5
PID_MAX = 5000
OWNER_UID = 1001
MONOTONIC = 1_000_000_000_000_005
BOOTTIME = -500_000_000

_PR_SET_DUMPABLE = 4


def _uts() -> None:
    syscalls.unshare(CLONE_NEWUTS)
    syscalls.sethostname(NODENAME)
    syscalls.setdomainname(DOMAINNAME)


def _uts_dash() -> None:
    syscalls.unshare(CLONE_NEWUTS)
    syscalls.sethostname(b"-")
    syscalls.setdomainname(b"")


def nest(depth: int) -> list[int]:
    """Makes pid namespaces inside each other, the innermost process in a session of its own."""
    if depth == 0:
        os.setsid()
        return [own_pid()]
    syscalls.unshare(CLONE_NEWPID)
    inner = spawn(lambda: nest(depth - 1))
    return [own_pid(), *inner.report]


def _enter(pid: int) -> None:
    """Goes to where that process is with its children, but has none."""
    fd = nsfs.open_link(pid, "pid")
    assert fd is not None
    syscalls.setns(fd, CLONE_NEWPID)
    os.close(fd)


def _enter_and_fork(pid: int) -> int:
    _enter(pid)
    return spawn(own_pid).report  # type: ignore[no-any-return]


def _limit_pids(pid: int) -> None:
    """Sets the limit of that process's pid namespace, which takes a process inside."""

    def write() -> None:
        with open("/proc/sys/kernel/pid_max", "w", encoding="ascii") as file:
            file.write(str(PID_MAX))

    def enter_and_write() -> None:
        _enter(pid)
        forked.call(write)

    forked.call(enter_and_write)


def _dying() -> tuple[int, int]:
    """A pid namespace that cannot die: its init waits for a zombie whose parent is outside."""
    syscalls.unshare(CLONE_NEWPID)
    init, other = spawn(own_pid), spawn(own_pid)
    os.kill(init.pid, signal.SIGKILL)

    def is_stuck() -> bool:
        dead, dying = procfs.read_process(other.pid), procfs.read_process(init.pid)
        assert dead is not None and dying is not None
        return dead.state == "Z" and dying.is_exiting

    forked.wait_until(is_stuck, "the pid namespace is stuck")
    return init.pid, other.pid


def map_ids(uid: int, gid: int) -> None:
    """Maps root of the caller's new user namespace to one pair of ids outside."""
    syscalls.prctl(_PR_SET_DUMPABLE, 1)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _users() -> None:
    """A user namespace within one, both made by a user that is not root."""
    os.setresgid(OWNER_UID, OWNER_UID, OWNER_UID)
    os.setresuid(OWNER_UID, OWNER_UID, OWNER_UID)
    syscalls.unshare(CLONE_NEWUSER)
    map_ids(OWNER_UID, OWNER_UID)
    syscalls.unshare(CLONE_NEWUSER)


UID_MAP = tuple((1000 * n, 100_000 + 2000 * n, 10 + n) for n in range(8))
"""More extents than the map itself has room for."""
GID_MAP = ((0, 100_000, 1000), (5000, 70_000, 1))
INNER_UID_MAP = ((0, 1000, 5), (7, 3, 2))
"""Of the namespace inside, in ids of the one around it."""
INNER_UID_MAP_OUTSIDE = ((0, 102_000, 5), (7, 100_003, 2))


def _write_maps(pid: int, **maps: tuple[tuple[int, int, int], ...]) -> None:
    for kind, extents in maps.items():
        with open(f"/proc/{pid}/{kind}_map", "w", encoding="ascii") as file:
            file.write("".join(f"{inside} {outside} {count}\n" for inside, outside, count in extents))


def _unshare_mapped(**maps: tuple[tuple[int, int, int], ...]) -> int:
    """A process in a user namespace of its own, whose maps the caller writes."""

    def arrange() -> None:
        syscalls.unshare(CLONE_NEWUSER)
        # So that whoever has made it may write to its files.
        syscalls.prctl(_PR_SET_DUMPABLE, 1)

    pid = spawn(arrange).pid
    _write_maps(pid, **maps)
    return pid


def _mapped() -> tuple[int, int]:
    """A user namespace with long maps, and one inside of it; returns a process in each."""
    outer = _unshare_mapped(uid=UID_MAP, gid=GID_MAP)
    fd = nsfs.open_link(outer, "user")
    assert fd is not None
    syscalls.setns(fd)
    os.close(fd)
    # Whoever makes a user namespace must have ids in the one around it.
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    return outer, _unshare_mapped(uid=INNER_UID_MAP)


def _everything() -> int:
    """All types at once, all owned by the new user namespace."""
    syscalls.unshare(CLONE_NEWUSER)
    map_ids(0, 0)
    flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET
    syscalls.unshare(flags | CLONE_NEWCGROUP | CLONE_NEWPID | CLONE_NEWTIME)
    return spawn(own_pid).report  # type: ignore[no-any-return]


def _time() -> int:
    syscalls.unshare(CLONE_NEWTIME)
    with open("/proc/self/timens_offsets", "w", encoding="ascii") as file:
        for clock, offset in (("monotonic", MONOTONIC), ("boottime", BOOTTIME)):
            file.write(f"{clock} {offset // 10**9} {offset % 10**9}\n")
    return spawn(own_pid).report  # type: ignore[no-any-return]


def settle(zoo: Zoo) -> None:
    """Makes them."""
    zoo.spawn("uts", _uts)
    zoo.spawn("uts dash", _uts_dash)
    zoo.spawn("ipc", lambda: syscalls.unshare(CLONE_NEWIPC))
    zoo.spawn("net", lambda: syscalls.unshare(CLONE_NEWNET))
    zoo.spawn("mnt", lambda: syscalls.unshare(CLONE_NEWNS))
    zoo.spawn("cgroup ns", lambda: syscalls.unshare(CLONE_NEWCGROUP))
    zoo.spawn("user", lambda: syscalls.unshare(CLONE_NEWUSER))
    zoo.spawn("users", _users)
    zoo.spawn("mapped", _mapped)
    zoo.spawn("everything", _everything)
    zoo.spawn("time", _time)
    nested = zoo.spawn("pid nest", lambda: nest(DEPTH))
    zoo.spawn("pid unborn", lambda: syscalls.unshare(CLONE_NEWPID))
    second = nested.report[2]
    _limit_pids(second)
    zoo.spawn("pid entered", lambda: _enter(second))
    zoo.spawn("pid guest", lambda: _enter_and_fork(second))
    zoo.spawn("pid dying", _dying)
