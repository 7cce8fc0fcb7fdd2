# SPDX-License-Identifier: GPL-2.0
"""Runs tests and reports in TAP.

Every test is followed by a look at the kernel's log and taint flags: whatever it found, a test during
which the kernel complained has failed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import klog
import pace

TEST_SECONDS = 120
MAX_NOTES = 40


class Skip(Exception):
    """The test cannot run here; the text says why."""


class Failure(Exception):
    """The test found something wrong; each argument is one finding."""


@dataclass(frozen=True)
class Test:
    """A test and the name it is selected by."""

    name: str
    run: Callable[[], None]
    seconds: int = TEST_SECONDS
    """How long it may take, on a kernel without debugging."""
    on: str = ""
    """The kernels that it is for, as KERNEL= names them; empty for all."""

    def is_for(self, kernel: str) -> bool:
        """Whether it is for the kernel of that name."""
        return not self.on or kernel in self.on.split()

    @property
    def summary(self) -> str:
        """One line on what it tests."""
        return (self.run.__doc__ or "").strip().split("\n", 1)[0]


TESTS: list[Test] = []


def test(function: Callable[[], None]) -> Callable[[], None]:
    """Makes a function a test of its name."""
    TESTS.append(Test(function.__name__, function))
    return function


def test_with(
    *, seconds: int = TEST_SECONDS, on: str = ""
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Makes a function a test that takes long, or is for some kernels only: see `Test`.

    The host reads `on="..."` as well, so it must be spelt out, in the line of the decorator.
    """

    def add(function: Callable[[], None]) -> Callable[[], None]:
        TESTS.append(Test(function.__name__, function, seconds, on))
        return function

    return add


def tell(text: str) -> None:
    """Prints a figure that a test has measured, for whoever reads the results."""
    print(f"# {text}", flush=True)


def check(complaints: list[str]) -> None:
    """Fails with these complaints, if there are any."""
    if complaints:
        raise Failure(*complaints)


def check_equal(what: str, got: object, wanted: object) -> None:
    """Fails unless both are the same."""
    if got != wanted:
        raise Failure(f"{what}: {got!r}, should be {wanted!r}")


class _TestTimeout(Exception):
    pass


def _on_alarm(*_: object) -> None:
    raise _TestTimeout("the test took more time than it may")


def _notes(text: str) -> None:
    lines = text.split("\n")
    for line in lines[:MAX_NOTES]:
        print(f"#   {line}")
    if len(lines) > MAX_NOTES:
        print(f"#   and {len(lines) - MAX_NOTES} more lines")


def _attempt(
    function: Callable[[], None], seconds: int = TEST_SECONDS
) -> tuple[list[str], str | None]:
    """Runs a function: what is wrong, and why it was skipped."""
    signal.alarm(int(pace.patience(seconds)))
    try:
        function()
    except Skip as skip:
        return [], str(skip)
    except Failure as failure:
        return [str(argument) for argument in failure.args], None
    except Exception:
        return [traceback.format_exc().rstrip()], None
    finally:
        signal.alarm(0)
    return [], None


class Runner:
    """Runs a selection of tests."""

    def __init__(self, label: str, cleanup: Callable[[], None]) -> None:
        self._label = label
        self._cleanup = cleanup
        self._log = klog.KernelLog()
        self._taint = klog.taint()
        for line in klog.problems(self._log.new_lines()):
            print(f"# in the kernel log before the first test: {line}")

    def _kernel_complaints(self) -> list[str]:
        lines = self._log.new_lines()
        found = []
        if problems := klog.problems(lines):
            # What belongs to the first of them comes behind it, mostly.
            found = ["the kernel complained:", *problems, "from there on it said:"]
            found += lines[lines.index(problems[0]) :]
        if klog.taint() != self._taint:
            found.append(f"the kernel's taint flags went from {self._taint:#x} to {klog.taint():#x}")
            self._taint = klog.taint()
        return found

    def run(self, tests: list[Test]) -> bool:
        """Runs them all, the cleanup after the last; true if none failed."""
        signal.signal(signal.SIGALRM, _on_alarm)
        print(f"1..{len(tests)}", flush=True)
        good = True
        for number, one in enumerate(tests, 1):
            began = time.monotonic()
            findings, skipped = _attempt(one.run, one.seconds)
            if number == len(tests):
                findings += _attempt(self._cleanup)[0]
            findings += self._kernel_complaints()
            klog.expect_nothing()
            took = f"{time.monotonic() - began:.1f} s"
            name = f"{self._label}: {one.name}"
            if findings:
                good = False
                print(f"not ok {number} - {name} ({took})")
                _notes("\n".join(findings))
            elif skipped is not None:
                print(f"ok {number} - {name} # SKIP {skipped}")
            else:
                print(f"ok {number} - {name} ({took})")
            sys.stdout.flush()
        return good


def label() -> str:
    """Which kernel this is: the name it was booted by, if any, and its release."""
    release = os.uname().release
    return f"{pace.KERNEL} {release}" if pace.KERNEL else release
