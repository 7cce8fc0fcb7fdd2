# SPDX-License-Identifier: GPL-2.0
"""The processes of the system as procfs shows them: the source to compare tasks with.

Procfs is not read in one instant. A `View` is therefore only good together with a second one: what
is equal in a view taken before and in a view taken after did not change in between.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import time
from dataclasses import dataclass

import nsfs
import syscalls

_DELETED = b" (deleted)"
_CGROUPS = b"/sys/fs/cgroup"


@dataclass(frozen=True)
class Process:
    """One process, or one thread. What it has given back is none."""

    pid: int
    tgid: int
    """The process that it is a thread of: itself, if it is no thread."""
    start_ticks: int
    comm: bytes
    nspid: tuple[int, ...]
    nspgid: tuple[int, ...]
    nssid: tuple[int, ...]
    ppid: int
    tracer: int
    """0 if it has none."""
    uid: int
    gid: int
    euid: int
    egid: int
    caps: int
    """Its effective capabilities."""
    seccomp: int
    nnp: int
    threads: int
    state: str
    switches: tuple[int, int]
    """Context switches so far: a process that did not switch did not change its state."""
    kthread: bool
    namespaces: dict[str, int | None]
    """Inode numbers by the name of the link in /proc/PID/ns."""
    root: bytes | None
    root_id: syscalls.FileId | None
    cwd: bytes | None
    cwd_id: syscalls.FileId | None
    cgroup: bytes | None
    cgroup_inode: int | None
    """The inode number of its cgroup's directory; none if that is gone."""
    via: int | None = None
    """Of a process whose main thread has ended: the first thread that lives, whose namespaces and directories
    it has here."""

    @property
    def key(self) -> tuple[int, int]:
        """Tells apart two processes that had the same pid one after the other."""
        return (self.pid, self.start_ticks)

    @property
    def is_exiting(self) -> bool:
        """The process has given back its nsproxy: it is a zombie or on its way there."""
        return self.namespaces["mnt"] is None


@dataclass(frozen=True)
class View:
    """All processes, or all threads, read between two points of the boot clock (in nanoseconds)."""

    processes: dict[tuple[int, int], Process]
    began: int
    ended: int


def boottime() -> int:
    """Nanoseconds since boot, time in suspend included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class _Reader:
    """Reads the files of one /proc/PID; they stay that process's, whatever the pid is given to.

    With a `tid` it is /proc/PID/task/TID, which has the same files.
    """

    def __init__(self, pid: int, tid: int | None = None) -> None:
        path = f"/proc/{pid}" if tid is None else f"/proc/{pid}/task/{tid}"
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def read(self, name: str) -> bytes:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            parts = []
            while part := os.read(fd, 65536):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(fd)

    def link(self, name: str) -> bytes | None:
        try:
            return os.readlink(os.fsencode(name), dir_fd=self.fd)
        except FileNotFoundError:
            return None

    def file_id(self, name: bytes) -> syscalls.FileId | None:
        try:
            return syscalls.statx(name, self.fd)
        except FileNotFoundError:
            return None


def _stat_field(stat: bytes, number: int) -> int:
    """A field of /proc/PID/stat, by its number in proc(5), from the fourth on."""
    # The second field is a name in parentheses, which may hold blanks and parentheses.
    return int(stat[stat.rindex(b")") + 2 :].split()[number - 3])


def _inum(link: bytes | None) -> int | None:
    if link is None:
        return None
    match = re.fullmatch(rb"[a-z_]+:\[(\d+)\]", link)
    if match is None:
        raise ValueError(f"a namespace link reads {link!r}")
    return int(match[1])


def _default_cgroup(text: bytes) -> bytes | None:
    for line in text.split(b"\n"):
        if line.startswith(b"0::"):
            return line[3:]
    return None


def _inode(path: bytes) -> int | None:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


def without_deleted(path: bytes) -> bytes:
    """The path without procfs's remark that it is gone."""
    return path.removesuffix(_DELETED)


def mnt_inum(pid: int) -> int:
    """The mount namespace of a process."""
    return os.stat(f"/proc/{pid}/ns/mnt").st_ino


def read_process(pid: int) -> Process | None:
    """Reads one process; none when it does not exist or goes away meanwhile."""
    try:
        with _Reader(pid) as proc:
            process = _read(pid, proc)
        via = _living_thread(pid) if process.is_exiting and process.threads > 1 else None
        if via is None:
            return process
        with _Reader(pid, via) as proc:
            thread = _read(via, proc)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return dataclasses.replace(
        process,
        namespaces=thread.namespaces,
        root=thread.root,
        root_id=thread.root_id,
        cwd=thread.cwd,
        cwd_id=thread.cwd_id,
        via=via,
    )


def _living_thread(pid: int) -> int | None:
    """The first thread of a process that still has namespaces."""
    for tid in tids(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with _Reader(pid, tid) as proc:
                if proc.link("ns/mnt") is not None:
                    return tid
    return None


def _read(pid: int, proc: _Reader) -> Process:
    status: dict[bytes, bytes] = {}
    for line in proc.read("status").split(b"\n"):
        name, colon, value = line.partition(b":\t")
        if colon:
            status.setdefault(name, value)

    def numbers(name: bytes) -> tuple[int, ...]:
        return tuple(int(number) for number in status[name].split())

    cgroup = _default_cgroup(proc.read("cgroup"))
    process = Process(
        pid=pid,
        tgid=int(status[b"Tgid"]),
        start_ticks=_stat_field(proc.read("stat"), 22),
        comm=proc.read("comm").removesuffix(b"\n"),
        nspid=numbers(b"NSpid"),
        nspgid=numbers(b"NSpgid"),
        nssid=numbers(b"NSsid"),
        ppid=int(status[b"PPid"]),
        tracer=int(status[b"TracerPid"]),
        uid=numbers(b"Uid")[0],
        gid=numbers(b"Gid")[0],
        euid=numbers(b"Uid")[1],
        egid=numbers(b"Gid")[1],
        caps=int(status[b"CapEff"], 16),
        # There is no such line where the kernel has no seccomp.
        seccomp=int(status.get(b"Seccomp", b"0")),
        nnp=int(status[b"NoNewPrivs"]),
        threads=int(status[b"Threads"]),
        state=status[b"State"][:1].decode(),
        switches=(
            int(status[b"voluntary_ctxt_switches"]),
            int(status[b"nonvoluntary_ctxt_switches"]),
        ),
        kthread=status[b"Kthread"] == b"1",
        namespaces={link: _inum(proc.link(f"ns/{link}")) for link in nsfs.LINKS},
        root=proc.link("root"),
        root_id=proc.file_id(b"root"),
        cwd=proc.link("cwd"),
        cwd_id=proc.file_id(b"cwd"),
        cgroup=cgroup,
        cgroup_inode=_inode(_CGROUPS + cgroup) if cgroup else None,
    )
    proc.read("stat")  # fails if it went away, and then an absent link meant nothing
    return process


def read_thread(pid: int, tid: int) -> Process | None:
    """Reads one thread; none when it does not exist or goes away meanwhile."""
    try:
        with _Reader(pid, tid) as proc:
            return _read(tid, proc)
    except (FileNotFoundError, ProcessLookupError):
        return None


def tids(pid: int) -> list[int]:
    """A process's threads, its leader included, in the kernel's order; none if it does not exist."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def mount_ids(pid: int) -> list[int] | None:
    """The ids of the mounts that a process sees, in mountinfo's order; none if it has given them back."""
    try:
        with _Reader(pid) as proc:
            via = _living_thread(pid) if proc.link("ns/mnt") is None else None
        with _Reader(pid, via) as proc:
            return [int(line.split()[0]) for line in proc.read("mountinfo").split(b"\n")[:-1]]
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT, errno.ESRCH):
            return None
        raise


def read_cgroup(pid: int) -> bytes | None:
    """The path in the default hierarchy, as seen from the caller's cgroup namespace."""
    try:
        with _Reader(pid) as proc:
            return _default_cgroup(proc.read("cgroup"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def pids() -> list[int]:
    """All pids that procfs lists."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def children(parent: int) -> list[int]:
    """The pids of a process's children, dead ones included."""
    found = []
    for pid in pids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with _Reader(pid) as proc:
                if _stat_field(proc.read("stat"), 4) == parent:
                    found.append(pid)
    return found


def view() -> View:
    """Reads all processes."""
    began = boottime()
    found = [process for process in map(read_process, pids()) if process is not None]
    return View({process.key: process for process in found}, began, boottime())


def thread_view() -> View:
    """Reads all threads, those included that lead a process."""
    began = boottime()
    found = [read_thread(pid, tid) for pid in pids() for tid in tids(pid)]
    return View({thread.key: thread for thread in found if thread is not None}, began, boottime())
