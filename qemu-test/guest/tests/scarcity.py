# SPDX-License-Identifier: GPL-2.0
"""Memory is charged to whoever reads: a reader whose memory cgroup is too small harms nobody else."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import aftermath
import klog
import module
import pace
import programs
import syscalls
from runner import Failure, check_equal, tell, test, test_with
from specimens.cgroups import MOUNT, remove
from specimens.mounts import BASE, private_namespace
from zoo import end, spawn

_CGROUP = MOUNT.decode() + "/scarce"
# What makes the text long: mounts with long names.
_MOUNTS = 3000
_NAME = b"far down" * 30
_DEPTH = 5
# What may be charged to a cgroup besides: what processors have charged in advance, and page tables.
_SLACK = 1 << 20
_LIMIT = 2 << 20


def _many_mounts() -> None:
    private_namespace()
    far_down = BASE
    for _ in range(_DEPTH):
        far_down += b"/" + _NAME
        os.mkdir(far_down)
    for number in range(_MOUNTS):
        point = far_down + b"/%d" % number
        os.mkdir(point)
        syscalls.bind(b"/dev", point)


@contextlib.contextmanager
def _long_text() -> Iterator[int]:
    """Makes the text long; how long it is."""
    specimen = spawn(_many_mounts)
    try:
        size = len(module.read_text())
        tell(f"the text has {size} bytes")
        if size < 2 * _LIMIT:
            raise Failure(f"the text has only {size} bytes")
        yield size
    finally:
        end(specimen)


def _knob(name: str) -> str:
    return f"{_CGROUP}/{name}"


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _charged() -> int:
    """How much is charged to the cgroup now."""
    with open(_knob("memory.current"), encoding="ascii") as file:
        return int(file.read())


def _events() -> dict[str, int]:
    with open(_knob("memory.events"), encoding="ascii") as file:
        return {name: int(count) for name, count in (line.split() for line in file)}


@contextlib.contextmanager
def _cgroup(limit: str) -> Iterator[None]:
    """A memory cgroup with that limit."""
    _write(MOUNT.decode() + "/cgroup.subtree_control", "+memory")
    os.mkdir(_CGROUP)
    try:
        _write(_knob("memory.max"), limit)
        if os.path.exists(_knob("memory.swap.max")):
            _write(_knob("memory.swap.max"), "0")
        yield
    finally:
        remove(_CGROUP.encode())
        _write(MOUNT.decode() + "/cgroup.subtree_control", "-memory")


class _Reader:
    """The program `reader` in the cgroup."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [programs.path("reader"), _CGROUP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        check_equal("the reader's first answer", self._answer(), (0, 0))

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def _answer(self) -> tuple[int, int] | None:
        assert self._process.stdout
        words = self._process.stdout.readline().split()
        return (int(words[0]), int(words[1])) if words else None

    def tell(self, command: str) -> tuple[int, int] | None:
        """Has it do something: the bytes it read and the error number, or none if it was killed."""
        assert self._process.stdin
        self._process.stdin.write(command.encode())
        return self._answer()

    def end(self) -> int:
        """Ends it if it has not ended, and returns its status."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait(pace.patience(10))


@contextlib.contextmanager
def _reading(limit: str) -> Iterator[_Reader]:
    with _cgroup(limit):
        reader = _Reader()
        try:
            check_equal("answer to open", reader.tell("o"), (0, 0))
            yield reader
        finally:
            reader.end()


def _check_answer(answer: tuple[int, int] | None, size: int) -> None:
    """The reader has read a whole text: about as long as the other one."""
    if not answer or answer[1] or abs(answer[0] - size) > size // 10:
        raise Failure(f"the reader answers {answer}, the text has {size} bytes")


@test
def memory_is_charged() -> None:
    """A text is charged to its reader's memory cgroup for as long as the file is open."""
    module.ensure_loaded()
    with _long_text() as size, _reading("max") as reader:
        before = _charged()
        _check_answer(reader.tell("r"), size)
        during = _charged()
        check_equal("answer to close", reader.tell("c"), (0, 0))
        after = _charged()
        tell(f"a text of {size} bytes: {before} bytes charged, {during} while it is open, {after} then")
        if not -_SLACK <= during - before - size <= size // 8 + _SLACK:
            raise Failure(f"{during - before} bytes are charged for a text of {size}")
        if after > before + _SLACK:
            raise Failure(f"{after - before} bytes are still charged when the file is closed")


def _check_scarcity(size: int, kill: bool) -> None:
    """A reader wants more than its cgroup may have."""
    with _reading(str(_LIMIT)) as reader:
        before = _charged()
        if not kill:
            _write(f"/proc/{reader.pid}/oom_score_adj", "-1000")
        began = time.monotonic()
        answer = reader.tell("r")
        took = time.monotonic() - began
        if kill:
            check_equal("answer of a reader that is to be killed", answer, None)
            check_equal("status", reader.end(), -signal.SIGKILL)
        else:
            check_equal("answer of a reader that cannot be killed", answer, (0, errno.ENOMEM))
        after = _charged()
        events = _events()
        outcome = "killed" if kill else "ENOMEM"
        tell(f"{outcome} after {took:.2f} s; {before} bytes charged before, {after} then")
        check_equal("readers killed for lack of memory", events["oom_kill"], int(kill))
        if not events["oom"]:
            raise Failure("the memory of the cgroup sufficed")
        if after > before + _SLACK:
            raise Failure(f"{after - before} bytes are still charged")
        if took > pace.patience(10):
            raise Failure(f"the reader took {took:.1f} s to fail")
        if not kill:
            # The same reader, the same file.
            _write(_knob("memory.max"), "max")
            _check_answer(reader.tell("r"), size)


# Not on the debug kernel, where filling that much memory takes minutes.
@test_with(on="stock stock-7.2 rt cloud uml")
def scarce_memory() -> None:
    """A reader in a memory cgroup that is too small is killed, or gets ENOMEM if it must not be killed."""
    klog.expect(klog.OOM_KILL)
    with aftermath.checked(), _long_text() as size:
        _check_scarcity(size, kill=False)
        module.read_document()
        _check_scarcity(size, kill=True)
        module.read_document()
