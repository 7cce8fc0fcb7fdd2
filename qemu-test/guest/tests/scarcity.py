# SPDX-License-Identifier: GPL-2.0
"""Whoever reads pays for the memory: where it does not suffice, the read fails, and nobody is harmed."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import subprocess
import threading
import time
from collections.abc import Iterator

import aftermath
import forked
import klog
import module
import pace
import programs
from runner import Failure, check_equal, tell, test_with
from specimens.cgroups import MOUNT, remove
from specimens.crowd import crowd
from specimens.piles import trees
from zoo import Specimen, end, spawn

_CGROUP = MOUNT.decode() + "/scarce"
# What makes a snapshot large: of each of these mounts it has some numbers of its own at least, and less
# than half of what its record takes.
_MOUNTS = 40_000
_LEAST_EACH = 16
# What may be charged to a cgroup besides: what processors have charged in advance, and page tables.
_SLACK = 1 << 19
# What a reader may have, less than a snapshot takes, and what another process has, more than that.
_LIMIT = 1 << 19
_OTHERS = 8 << 20


@contextlib.contextmanager
def _large_snapshot() -> Iterator[int]:
    """Makes snapshots large; how long a text is."""
    with crowd(mounts=_MOUNTS):
        size = len(module.read_text())
        tell(f"the text has {size} bytes")
        yield size


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
def _reading() -> Iterator[_Reader]:
    with _cgroup("max"):
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


# Not with KASAN, which makes each piece of memory larger. On the debug kernel so many mounts would also take
# minutes; the same goes for those below.
@test_with(on="stock stock-7.2 rt cloud")
def memory_is_charged() -> None:
    """A snapshot is charged to its reader's memory cgroup for as long as the file is open, and no text is."""
    module.ensure_loaded()
    with _large_snapshot() as size, _reading() as reader:
        before = _charged()
        _check_answer(reader.tell("r"), size)
        during = _charged()
        check_equal("answer to close", reader.tell("c"), (0, 0))
        after = _charged()
        tell(f"a text of {size} bytes: {before} bytes charged, {during} while it is open, {after} then")
        if not _MOUNTS * _LEAST_EACH - _SLACK < during - before < size * 3 // 4 + _SLACK:
            raise Failure(f"{during - before} bytes are charged for a text of {size}")
        if after > before + _SLACK:
            raise Failure(f"{after - before} bytes are still charged when the file is closed")


def _hold(size: int, cgroup: str | None = None) -> None:
    """Has that much memory, all of it in use, charged to the cgroup."""
    if cgroup:
        _write(f"{cgroup}/cgroup.procs", "0")
    memory = mmap.mmap(-1, size)
    for start in range(0, size, mmap.PAGESIZE):
        memory[start] = 1
    _held.append(memory)


_held: list[mmap.mmap] = []


def _is_alive(specimen: Specimen) -> bool:
    return os.waitid(os.P_PID, specimen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


@test_with(on="stock stock-7.2 rt cloud uml")
def scarce_cgroup() -> None:
    """A reader in a memory cgroup that is too small gets ENOMEM; nobody is killed, nor one who has more there."""
    with aftermath.checked(), _large_snapshot() as size, _reading() as reader:
        bystander = spawn(lambda: _hold(_OTHERS, _CGROUP))
        try:
            before = _charged()
            _write(_knob("memory.max"), str(before + _LIMIT))
            began = time.monotonic()
            answer = reader.tell("r")
            took = time.monotonic() - began
            after, events = _charged(), _events()
            tell(f"{answer} after {took:.2f} s; {before} bytes charged before, {after} then; {events}")
            check_equal("processes killed for lack of memory", events["oom_kill"], 0)
            check_equal("the bystander is alive", _is_alive(bystander), True)
            check_equal("answer", answer, (0, errno.ENOMEM))
            if not events["max"]:
                raise Failure("the memory of the cgroup sufficed")
            if after > before + _SLACK:
                raise Failure(f"{after - before} bytes are still charged")
            if took > pace.patience(10):
                raise Failure(f"the reader took {took:.1f} s to fail")
            # The same reader, the same file.
            _write(_knob("memory.max"), "max")
            _check_answer(reader.tell("r"), size)
        finally:
            end(bystander)


# A machine without memory: so many mount namespaces with so many mounts each, of which a snapshot takes far more
# than what is left but for the 64th part of the machine's 2 GiB. With less than that the programs of the test
# itself find none for their pages.
_COPIES = 40
_MOUNTS_EACH = 15_000
_LEFT = 44 << 20
# So much more may be available when it is looked up again. Each processor counts the pages that it frees and takes,
# and adds its count to the sum only when it has grown: the sum may lag by half a MiB for each. A snapshot takes far
# more than this on top.
_LAG = 4 << 20
# What the kernel keeps back for itself, in KiB: for huge pages it may be far more, and all but a part of that
# can be had, though it does not count as available. The same goes for the free pages that each processor keeps at
# hand: an eighth of the memory, unless it is told to keep less, here the 1000th part.
_KNOBS = {
    "/proc/sys/vm/min_free_kbytes": "4096",
    "/proc/sys/vm/percpu_pagelist_high_fraction": "1000",
}


def _available() -> int:
    """How much memory there is to have."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = dict(line.split(":") for line in file)
    return int(fields["MemAvailable"].split()[0]) << 10


@contextlib.contextmanager
def _little_kept_back() -> Iterator[None]:
    before = {}
    try:
        for knob, value in _KNOBS.items():
            with open(knob, encoding="ascii") as file:
                before[knob] = file.read()
            _write(knob, value)
        yield
    finally:
        for knob, value in before.items():
            _write(knob, value)


def _hold_nearly_all() -> None:
    """Has all memory but a little, for good; whoever looks for somebody to kill, finds this one.

    What others give back later, such as mounts of a test before, whose memory the kernel frees in its own time, it
    takes as well.
    """
    _write("/proc/self/oom_score_adj", "1000")

    def fill() -> None:
        while (left := _available() - _LEFT) > 0:
            _hold(max(left // 2, mmap.PAGESIZE))

    def keep_filling() -> None:
        while True:
            fill()
            time.sleep(0.01)

    fill()
    threading.Thread(target=keep_filling, daemon=True).start()


def _killed() -> int:
    """How many processes were killed for lack of memory since boot."""
    with open("/proc/vmstat", encoding="ascii") as file:
        return int(dict(line.split() for line in file)["oom_kill"])


def _attempt() -> tuple[int, int]:
    """Reads as `reader` does: bytes and error number."""
    fd = module.open_file()
    size = 0
    try:
        while part := os.read(fd, 1 << 16):
            size += len(part)
    except OSError as error:
        return 0, error.errno or -1
    finally:
        os.close(fd)
    return size, 0


@test_with(on="stock stock-7.2")
def scarce_machine() -> None:
    """A reader on a machine that has too little memory left gets ENOMEM, and nobody is killed."""
    with (
        aftermath.checked(),
        _little_kept_back(),
        crowd(namespaces=_COPIES, arrange=lambda: trees(_MOUNTS_EACH)),
    ):
        bystander = spawn(_hold_nearly_all)
        try:
            left, before = _available(), _killed()
            began = time.monotonic()
            answer = forked.call(_attempt)
            took = time.monotonic() - began
            tell(f"{answer} after {took:.2f} s, of {left} bytes available")
            if left > _LEFT + _LAG:
                raise Failure("there is memory left: nothing is scarce")
            check_equal("processes killed for lack of memory", _killed() - before, 0)
            check_equal("answer", answer, (0, errno.ENOMEM))
            check_equal("the bystander is alive", _is_alive(bystander), True)
        finally:
            end(bystander)
        # There is memory again.
        size, error = forked.call(_attempt)
        if error or size < _COPIES * _MOUNTS_EACH * _LEAST_EACH:
            raise Failure(f"with memory the answer is {(size, error)}")


# Less than the snapshot of a crowd takes, and more than that of one process does.
_MAX_MEMORY = 1 << 18
_CROWD = 5_000
_PREFIX = "nsinspect: "


@test_with(seconds=300)
def max_memory() -> None:
    """A read that takes more than max_memory gets EFBIG, and the log says once what would take less."""
    module.ensure_unloaded()
    check_equal("errno of insmod", forked.errno_of(lambda: module.load(b"max_memory=x")), errno.EINVAL)
    module.load(b"max_memory=%d" % _MAX_MEMORY)
    log = klog.KernelLog()
    try:
        with crowd(tasks=_CROWD):
            log.new_lines()
            answers = [forked.call(_attempt) for _ in range(3)]
            lines = [line for line in log.new_lines() if line.startswith(_PREFIX)]
            small = module.ask_document("pid=1").end.tasks
        check_equal("answers", answers, [(0, errno.EFBIG)] * 3)
        if len(lines) != 1 or "max_memory" not in lines[0] or "show=" not in lines[0]:
            raise Failure(f"the kernel log has {lines}")
        check_equal("processes in a smaller answer", small, 1)
        # The crowd is gone: there is not that much any more.
        module.read_document()
    finally:
        module.unload()
        module.load()
    module.read_document()
