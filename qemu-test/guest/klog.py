# SPDX-License-Identifier: GPL-2.0
"""The guest's kernel log, searched for what a sound kernel never says."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass

# What a kernel with a bug says. Whatever the module does to a structure, a lock or a reference that
# it should not shows up as one of these, on a debug kernel at the latest.
_PROBLEMS = re.compile(
    r"""
    \bBUG:|\bBUG\ at\b|kernel\ BUG|\bWARNING:|\bOops\b|Call\ Trace:|cut\ here
    |general\ protection\ fault|[Uu]nable\ to\ handle|invalid\ opcode
    |Kernel\ panic|panicked\ at|rust_kernel:\ panic
    |KASAN|KCSAN|KMSAN|KFENCE|UBSAN|kmemleak:.*new\ suspected|DEBUG_OBJECTS|ODEBUG:
    |refcount_t:|saturated;\ leaking|use-after-free|list_(?:add|del)\ corruption
    |possible\ (?:circular|recursive)\ locking|inconsistent\ lock\ state|held\ lock\ freed
    |lock\ held\ when\ returning|DEBUG_LOCKS_WARN_ON|lock\ order|bad\ unlock\ balance
    |suspicious\ RCU\ usage|rcu:?.*\bstall|RCU.*detected|Invalid\ wait\ context
    |sleeping\ function\ called|scheduling\ while\ atomic|(?:soft|hard)\ (?:lockup|LOCKUP)
    |blocked\ for\ more\ than|hung\ task|page\ allocation\ failure|Bad\ page|bad:\ scheduling
    |VFS:\ Busy\ inodes|Unknown\ symbol
    """,
    re.VERBOSE,
)

# Taints that loading an out-of-tree module brings about: O (out of tree) and E (unsigned).
_EXPECTED_TAINT = 1 << 12 | 1 << 13

OVERRUN = "BUG: the kernel log ran over before it could be searched"


# No block is longer than this.
MAX_BLOCK = 400


@dataclass(frozen=True)
class Block:
    """Lines that the kernel writes on purpose about what a test has it do, with the reason.

    From a line that matches `begin` to the next that matches `end`, which may be the same. Of these, only
    lines that match one of the three patterns belong to it: whatever else stands between them, for the
    kernel does several things at a time, is judged like any other line.
    """

    begin: str
    end: str
    within: str
    """Empty if nothing between the two needs an excuse."""
    reason: str

    def is_own(self, line: str) -> bool:
        """Whether the line is one of the block's."""
        patterns = filter(None, (self.begin, self.within, self.end))
        return any(re.search(pattern, line) for pattern in patterns)


OOM_KILL = Block(
    r" invoked oom-killer: gfp_mask=",
    r"Memory cgroup out of memory: Killed process|^Out of memory and no killable processes",
    r"^Call Trace:$",
    "a process in a memory cgroup wants more than its limit",
)

LOADER = Block(
    r"^faults: vmalloc error: size \d+, ",
    r"^Mem-Info:$",
    r"^Call Trace:$",
    "the kernel's module loader has no memory for the file, or for the module",
)

KMEMLEAK = Block(
    r"^kmemleak: \d+ new suspected memory leaks",
    r"^kmemleak: \d+ new suspected memory leaks",
    "",
    "the test itself asks kmemleak, and judges what it has found",
)

_expected: list[Block] = []


def expect(block: Block) -> None:
    """Says that blocks like this are no complaint during the test that is running."""
    _expected.append(block)


def expect_nothing() -> None:
    """Takes all of that back; done after each test."""
    _expected.clear()


def _without(block: Block, lines: list[str]) -> list[str]:
    """The lines but for whole blocks. One that has no end, or ends too late, is left as it is."""
    left: list[str] = []
    own: list[str] = []
    begun = 0
    for number, line in enumerate(lines):
        if own and number - begun > MAX_BLOCK:
            left += own
            own = []
        if re.search(block.begin, line):
            left += own
            own = []
            begun = number
        elif not own or not block.is_own(line):
            left.append(line)
            continue
        own = [] if re.search(block.end, line) else [*own, line]
    return left + own


def problems(lines: list[str]) -> list[str]:
    """Those of the lines that tell of a bug, but for blocks that the running test expects."""
    for block in _expected:
        lines = _without(block, lines)
    return [line for line in lines if _PROBLEMS.search(line)]


def taint() -> int:
    """The kernel's taint flags, those aside that the module must bring about."""
    with open("/proc/sys/kernel/tainted", encoding="ascii") as file:
        return int(file.read()) & ~_EXPECTED_TAINT


class KernelLog:
    """Reads the kernel log, each message once."""

    def __init__(self) -> None:
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def new_lines(self) -> list[str]:
        """The messages since the last call, at first all since boot."""
        lines: list[str] = []
        while True:
            try:
                record = os.read(self._fd, 16384)
            except BlockingIOError:
                return lines
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise
                lines.append(OVERRUN)
                continue
            _, _, message = record.partition(b";")
            lines.append(message.split(b"\n", 1)[0].decode("utf-8", "backslashreplace"))
