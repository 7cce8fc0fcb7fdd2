# SPDX-License-Identifier: GPL-2.0
"""Readers that get signals, and readers that are killed, in the middle of a long read."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import select
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import aftermath
import forked
import format1
import module
import procfs
import readers
import syscalls
from runner import Failure, tell, test_with
from specimens.crowd import crowd
from specimens.piles import trees
from zoo import Specimen, end, wait_forever

# Mount namespaces are doubled until a read takes long, each with so many mounts.
_MOUNTS_EACH = 5000
_FEWEST_COPIES = 2
_MOST_COPIES = 32
_LONG = 0.3
_QUERY = b"show=mounts"
# More than a text of all these has.
_ROOM = 1 << 25


@dataclass(frozen=True)
class _Long:
    """What a long read is."""

    seconds: float
    mounts: int
    """So many records there are at least."""


@contextlib.contextmanager
def _long_reads() -> Iterator[_Long]:
    """Makes reads take long."""
    copies = _FEWEST_COPIES
    while True:
        with crowd(namespaces=copies, arrange=lambda: trees(_MOUNTS_EACH)):
            began = time.monotonic()
            text = module.ask(_QUERY)
            took = time.monotonic() - began
            if took >= _LONG:
                mounts = format1.count(text).mounts
                tell(f"a read of {mounts} mounts takes {took:.2f} s")
                yield _Long(took, copies * _MOUNTS_EACH)
                return
        copies *= 2
        if copies > _MOST_COPIES:
            raise Failure(f"a read of {len(text)} bytes takes only {took:.2f} s")


def _check_whole(text: bytes, long: _Long) -> None:
    mounts = format1.count(text).mounts
    if mounts < long.mounts:
        raise Failure(f"there are {mounts} mounts, and should be {long.mounts}")


def _opened() -> int:
    fd = module.open_for_queries()
    os.write(fd, _QUERY)
    return fd


def _read_interrupted(long: _Long) -> tuple[int, int]:
    """Reads the text while an alarm goes off each millisecond: how many came, and interruptions.

    For a process of its own. A read may get all, or a part, or be interrupted before it got anything;
    Python's own would not let that be seen.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.read.restype = ctypes.c_ssize_t
    alarms = interruptions = 0

    def count(*_: object) -> None:
        nonlocal alarms
        alarms += 1

    buffer = ctypes.create_string_buffer(1 << 20)
    text = b""
    fd = _opened()
    signal.signal(signal.SIGALRM, count)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    while got := libc.read(fd, buffer, ctypes.c_size_t(len(buffer))):
        if got > 0:
            text += buffer.raw[:got]
        elif ctypes.get_errno() == errno.EINTR:
            interruptions += 1
        else:
            raise OSError(ctypes.get_errno(), "read")
    signal.setitimer(signal.ITIMER_REAL, 0)
    _check_whole(text, long)
    return alarms, interruptions


@test_with(on="stock stock-7.2 rt cloud uml")
def signals_during_read() -> None:
    """A reader who gets a signal each millisecond gets the whole text."""
    module.ensure_loaded()
    with _long_reads() as long:
        alarms, interruptions = forked.call(partial(_read_interrupted, long))
    tell(f"{alarms} signals were handled between the reads, {interruptions} reads were interrupted")
    if not alarms:
        raise Failure("no signal came during a read")


def _read_until_killed(fd: int) -> None:
    """Asks and reads, again and again."""
    while True:
        os.write(fd, _QUERY)
        module.read_all(fd, _ROOM)


def _read_with_threads(fd: int) -> None:
    for _ in range(2):
        threading.Thread(target=_read_until_killed, args=(fd,), daemon=True).start()
    wait_forever()


def _start(body: Callable[[int], None], fd: int) -> Specimen:
    """A process that reads what is open as `fd`."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            body(fd)
        finally:
            os._exit(1)
    return Specimen(pid)


def _kill_readers(body: Callable[[int], None], long: _Long) -> float:
    """Kills readers at several moments of a read; the longest time that one took to be gone."""
    latest = 0.0
    for moment in (0.1, 0.4, 0.8):
        fd = _opened()
        victim = _start(body, fd)
        time.sleep(long.seconds * moment)
        began = time.monotonic()
        end(victim)
        latest = max(latest, time.monotonic() - began)
        # The file was shared with the victim: whoever has it still gets a whole text.
        os.lseek(fd, 0, os.SEEK_SET)
        _check_whole(module.read_all(fd, _ROOM), long)
        os.close(fd)
    return latest


def _read_once(fd: int) -> None:
    os.pread(fd, _ROOM, 0)
    wait_forever()


def _append(fd: int, texts: list[bytes]) -> None:
    texts.append(os.pread(fd, _ROOM, 0))


def _kill_fellow(long: _Long, moment: float) -> None:
    """Two processes read one open file at the same time, and the one that was first is killed."""
    fd = _opened()
    victim = _start(_read_once, fd)
    time.sleep(long.seconds * moment)
    texts: list[bytes] = []
    survivor = threading.Thread(target=_append, args=(fd, texts))
    survivor.start()
    time.sleep(long.seconds * 0.1)
    end(victim)
    survivor.join()
    os.close(fd)
    _check_whole(texts[0], long)


# Not on the debug kernel: there it takes as long to end a process as to read all that there is time to make.
# The texts are as long as it takes to read them for a while, and are looked through.
@test_with(seconds=300, on="stock stock-7.2 rt cloud")
def killed_readers() -> None:
    """A reader killed in a long read, of one thread or two, is gone at once; others get the whole text."""
    with aftermath.checked() as (_, complaints), _long_reads() as long:
        for name, body in (("one thread", _read_until_killed), ("two threads", _read_with_threads)):
            latest = _kill_readers(body, long)
            tell(f"a reader of {name} is gone at most {latest:.3f} s after it was killed")
            # Much less than what was left to read for the first of them.
            if latest > long.seconds / 2:
                complaints.append(f"it took {latest:.2f} s to kill a reader, and {long.seconds:.2f} s to read")
        for moment in (0.1, 0.5):
            _kill_fellow(long, moment)


_UFFDIO_API = 0xC018AA3F
_UFFDIO_REGISTER = 0xC020AA00
_UFFDIO_ZEROPAGE = 0xC020AA04
_UFFD_API = 0xAA
_REGISTER_MODE_MISSING = 1
# How much is read into memory that is not there.
_PART = 1 << 16


@dataclass(frozen=True)
class _Stuck:
    """A process that reads into memory which is not there until somebody sees to it."""

    specimen: Specimen
    faults: int
    """A descriptor that can be read from once the process waits for its memory."""
    address: int

    def release(self) -> None:
        """Gives it the memory."""
        fcntl.ioctl(self.faults, _UFFDIO_ZEROPAGE, struct.pack("QQQq", self.address, _PART, 0, 0))


def _read_into_nothing(fd: int, writer: int) -> None:
    faults = syscalls.userfaultfd(os.O_CLOEXEC)
    fcntl.ioctl(faults, _UFFDIO_API, struct.pack("QQQ", _UFFD_API, 0, 0))
    memory = mmap.mmap(-1, _PART)
    buffer = (ctypes.c_char * _PART).from_buffer(memory)
    address = ctypes.addressof(buffer)
    fcntl.ioctl(faults, _UFFDIO_REGISTER, struct.pack("QQQQ", address, _PART, _REGISTER_MODE_MISSING, 0))
    forked.send(writer, (faults, address))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.pread.restype = ctypes.c_ssize_t
    got = libc.pread(fd, buffer, ctypes.c_size_t(_PART), ctypes.c_long(0))
    forked.send(writer, memory[:got] if got >= 0 else ctypes.get_errno())
    wait_forever()


@contextlib.contextmanager
def _stuck(fd: int) -> Iterator[tuple[_Stuck, int]]:
    """Has one who reads an open file, and is stuck in that; and a pipe by which it gives what it has read."""
    reader, writer = os.pipe()
    specimen = _start(lambda fd: _read_into_nothing(fd, writer), fd)
    try:
        theirs, address = forked.receive(reader)
        stuck = _Stuck(specimen, syscalls.descriptor_of(specimen.pid, theirs), address)
        if not select.select([stuck.faults], [], [], forked.DEADLINE)[0]:
            raise TimeoutError("the reader does not wait for its memory")
        yield stuck, reader
        os.close(stuck.faults)
    finally:
        end(specimen)
        os.close(reader)
        os.close(writer)


def _wait_until_waiting(pid: int) -> None:
    """Waits until a process has waited for a while for what only a fatal signal can end."""
    before: list[tuple[int, int]] = []

    def is_waiting() -> bool:
        process = procfs.read_process(pid)
        if process is None or process.state != "D":
            before.clear()
            return False
        if before and before[0] != process.switches:
            before.clear()
        before.append(process.switches)
        return len(before) > 10

    forked.wait_until(is_waiting, f"process {pid} waits")


def _write_once(fd: int) -> None:
    os.write(fd, b"show=ns")
    wait_forever()


def _seconds_to_kill(specimen: Specimen) -> float:
    """Kills a process: how long it takes to be gone. It is still to be reaped."""
    began = time.monotonic()
    os.kill(specimen.pid, signal.SIGKILL)
    os.waitid(os.P_PID, specimen.pid, os.WEXITED | os.WNOWAIT)
    return time.monotonic() - began


def _kill_those_who_wait(fd: int) -> list[str]:
    """Kills a reader and a writer who wait for a reader of the same file; what is wrong."""
    complaints = []
    with _stuck(fd) as (stuck, reader):
        for what, body in (("reader", _read_once), ("writer", _write_once)):
            victim = _start(body, fd)
            _wait_until_waiting(victim.pid)
            took = _seconds_to_kill(victim)
            end(victim)
            tell(f"a {what} that waits is gone after {took:.3f} s")
            if took > readers.KILLED_WITHIN:
                complaints.append(f"a {what} that waits was gone {took:.1f} s after it was killed")
        stuck.release()
        part = forked.receive(reader)
    # The query that nobody lived to write is not in force.
    text = module.read_all(fd)
    if part != text[: len(part)] or not format1.count(text).mounts:
        complaints.append("what the first reader has got is not the text")
    return complaints


def _kill_stuck(fd: int) -> list[str]:
    """Kills a reader who is stuck, for whom another one waits; what is wrong."""
    texts: list[bytes] = []
    with _stuck(fd) as (stuck, _):
        survivor = threading.Thread(target=_append, args=(fd, texts))
        survivor.start()
        took = _seconds_to_kill(stuck.specimen)
        survivor.join()
    tell(f"a reader whose memory is not there is gone after {took:.3f} s")
    format1.count(texts[0])
    late = took > readers.KILLED_WITHIN
    return [f"a reader whose memory is not there was gone {took:.1f} s after it was killed"] if late else []


# On the kernels that have userfaultfd().
@test_with(on="stock stock-7.2 rt cloud")
def killed_while_waiting() -> None:
    """Whoever waits for another reader of the same open file can be killed, and so can that one itself."""
    with aftermath.checked() as (_, complaints):
        for kill in (_kill_those_who_wait, _kill_stuck):
            fd = _opened()
            complaints += kill(fd)
            os.close(fd)
