# SPDX-License-Identifier: GPL-2.0
"""Running a piece of a test in a process of its own.

For what changes the process for good: another user, another namespace, another root.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import pace

T = TypeVar("T")

# Generous, for an emulated CPU on a busy machine.
DEADLINE = pace.patience(60)


class ChildError(Exception):
    """The child failed; the text is its traceback."""


def wait_until(condition: Callable[[], T | None], what: str, seconds: float = DEADLINE) -> T:
    """Polls until the condition holds, and returns what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.01)


def _read_exactly(fd: int, size: int, deadline: float) -> bytes:
    parts = b""
    while len(parts) < size:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([fd], [], [], remaining)[0]:
            raise TimeoutError("waited in vain for a child's answer")
        part = os.read(fd, size - len(parts))
        if not part:
            raise ChildError("the child died without an answer")
        parts += part
    return parts


def send(fd: int, answer: object) -> None:
    """Writes an answer to a pipe."""
    message = pickle.dumps(answer)
    view = memoryview(len(message).to_bytes(8, "little") + message)
    while view:
        view = view[os.write(fd, view) :]


def receive(fd: int, seconds: float = DEADLINE) -> Any:
    """Reads an answer from a pipe, which others may still hold open, or fails at the deadline."""
    deadline = time.monotonic() + seconds
    size = int.from_bytes(_read_exactly(fd, 8, deadline), "little")
    return pickle.loads(_read_exactly(fd, size, deadline))


def outcome(function: Callable[[], object]) -> tuple[bool, object]:
    """Calls the function: whether it came to its end, and its result or the traceback."""
    try:
        return True, function()
    except BaseException:
        return False, traceback.format_exc()


def accept(answer: tuple[bool, Any]) -> Any:
    """The result in an outcome, or an error."""
    good, result = answer
    if not good:
        raise ChildError(result)
    return result


def call(function: Callable[[], T]) -> T:
    """Calls the function in a forked process and hands back its result."""
    reader, writer = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, reader)
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    send(writer, outcome(function))
                finally:
                    os._exit(0)
        finally:
            os.close(writer)
        stack.callback(os.waitpid, pid, 0)
        stack.callback(os.kill, pid, signal.SIGKILL)
        return accept(receive(reader))  # type: ignore[no-any-return]


def errno_of(function: Callable[[], object]) -> int:
    """The error number that the function fails with in a forked process, 0 if it does not."""

    def attempt() -> int:
        try:
            function()
        except OSError as error:
            return error.errno or -1
        return 0

    return call(attempt)
