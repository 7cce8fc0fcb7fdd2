# SPDX-License-Identifier: GPL-2.0
"""The kernel's own search for memory that nothing points at any more, where it has one.

On User-Mode Linux it takes some of what was allocated at boot for leaked, now these objects, now those.
So only what was allocated since `clear` counts.
"""

from __future__ import annotations

import errno
import os
import re
import time

_FILE = "/sys/kernel/debug/kmemleak"
# The kernel does not report what was allocated less than 5 seconds ago.
_MIN_AGE = 5.2

_cleared_at = 0


def available() -> bool:
    """Whether this kernel has it."""
    return os.path.exists(_FILE)


def _command(command: bytes) -> None:
    """Has the kernel do something; an error if it has switched the search off."""
    fd = os.open(_FILE, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, command)
    except OSError as error:
        if error.errno == errno.EPERM:
            raise OSError("kmemleak has switched itself off: see the kernel log") from error
        raise
    finally:
        os.close(fd)


def _scan() -> None:
    # What has changed since the scan before is spared, so one alone would say nothing.
    _command(b"scan")
    _command(b"scan")


def _jiffies() -> int:
    """The time as the kernel notes it for each object."""
    with open("/proc/timer_list", encoding="ascii") as file:
        found = re.search(r"^jiffies: (\d+)$", file.read(), re.MULTILINE)
    if not found:
        raise OSError("/proc/timer_list does not tell the jiffies")
    return int(found[1])


def _is_new(description: str) -> bool:
    found = re.search(r", jiffies (\d+)", description)
    if not found:
        raise OSError(f"kmemleak does not tell when this was allocated: {description}")
    return int(found[1]) >= _cleared_at


def _is_hidden(description: str) -> bool:
    """Whether it is memory that the kernel holds in stock for code, which it finds without pointers."""
    return "execmem_" in description


def _found() -> dict[str, str]:
    """What the last scan has found, by address."""
    with open(_FILE, encoding="utf-8", errors="backslashreplace") as file:
        text = file.read()
    objects = ["unreferenced object " + part for part in text.split("unreferenced object ")[1:]]
    return {one.split()[2]: one.rstrip() for one in objects if _is_new(one) and not _is_hidden(one)}


def clear() -> None:
    """From now on, `leaks` tells of nothing that is there already: what boot has left behind, for one."""
    global _cleared_at
    _command(b"clear")
    _cleared_at = _jiffies()


def leaks() -> list[str]:
    """The objects leaked since `clear`, as the kernel describes them. Takes some seconds."""
    time.sleep(_MIN_AGE)
    _scan()
    first = _found()
    if not first:
        return []
    # A pointer may be on its way from one place to another while the kernel looks for it. What was
    # leaked stays leaked.
    time.sleep(1)
    _scan()
    return [text for address, text in _found().items() if address in first]
