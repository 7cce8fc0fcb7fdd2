# SPDX-License-Identifier: GPL-2.0
"""Readers that get signals, and readers that are killed, in the middle of a long read."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import aftermath
import forked
import format1
import module
from runner import Failure, tell, test, test_with
from specimens.piles import enslaved
from zoo import Specimen, end, wait_forever

# Peers are doubled until a read takes long.
_FEWEST_PEERS = 750
_MOST_PEERS = 16000
_LONG = 0.3
_QUERY = b"show=mounts propagate_from=1"


@dataclass(frozen=True)
class _Long:
    """What a long read is."""

    seconds: float
    mounts: int
    """So many records there are at least."""


@contextlib.contextmanager
def _long_reads() -> Iterator[_Long]:
    """Makes reads take long."""
    peers = _FEWEST_PEERS
    while True:
        with enslaved(peers):
            began = time.monotonic()
            text = module.ask(_QUERY)
            took = time.monotonic() - began
            if took >= _LONG:
                mounts = format1.parse(text).end.mounts
                tell(f"a read of {mounts} mounts takes {took:.2f} s")
                yield _Long(took, 2 * peers)
                return
        peers *= 2
        if peers > _MOST_PEERS:
            raise Failure(f"a read of {peers} mounts takes only {took:.2f} s")


def _check_whole(text: bytes, long: _Long) -> None:
    mounts = format1.parse(text).end.mounts
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

    buffer = ctypes.create_string_buffer(1 << 23)
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


@test
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
        module.read_all(fd, 1 << 23)


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
    for moment in (0.1, 0.6):
        fd = _opened()
        victim = _start(body, fd)
        time.sleep(long.seconds * moment)
        began = time.monotonic()
        end(victim)
        latest = max(latest, time.monotonic() - began)
        # The file was shared with the victim: whoever has it still gets a whole text.
        os.lseek(fd, 0, os.SEEK_SET)
        _check_whole(module.read_all(fd, 1 << 23), long)
        os.close(fd)
    return latest


def _read_once(fd: int) -> None:
    os.pread(fd, 1 << 23, 0)
    wait_forever()


def _append(fd: int, texts: list[bytes]) -> None:
    texts.append(os.pread(fd, 1 << 23, 0))


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
@test_with(on="stock stock-7.2 rt cloud uml")
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
