# SPDX-License-Identifier: GPL-2.0
"""The guest's kernel log, searched for what a sound kernel never says."""

from __future__ import annotations

import errno
import os
import re

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


def problems(lines: list[str]) -> list[str]:
    """Those of the lines that tell of a bug."""
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
