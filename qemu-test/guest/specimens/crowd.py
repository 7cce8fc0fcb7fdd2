# SPDX-License-Identifier: GPL-2.0
"""A crowd: more processes, mount namespaces and mounts than any sane system has.

See `qemu-test/programs/crowd.c`, which makes them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import programs
from runner import tell
from specimens.mounts import BASE, private_namespace
from syscalls import bind

# Those of the innermost pid namespace have a number in each of these.
LEVELS = 33

# By default a guest of 2 GB may have 16,000 threads, and a kernel without systemd 32,768 numbers for them.
_THREADS_MAX = "/proc/sys/kernel/threads-max"
_PID_MAX = "/proc/sys/kernel/pid_max"


@dataclass(frozen=True)
class Crowd:
    """A crowd that is there."""

    pid: int
    """A process in the mount namespace that has most of the mounts."""
    init: int
    """The first process in the outermost of its pid namespaces."""

    @property
    def mnt(self) -> int:
        """The namespace that has most of the mounts."""
        return os.stat(f"/proc/{self.pid}/ns/mnt").st_ino

    @property
    def pid_ns(self) -> int:
        """The outermost of its pid namespaces."""
        return os.stat(f"/proc/{self.init}/ns/pid").st_ino


@contextlib.contextmanager
def _at_least(limit: str, number: int) -> Iterator[None]:
    """Raises a limit to that, if it is lower."""
    with open(limit, encoding="ascii") as file:
        before = int(file.read())
    with open(limit, "w", encoding="ascii") as file:
        file.write(str(max(before, number)))
    try:
        yield
    finally:
        with open(limit, "w", encoding="ascii") as file:
            file.write(str(before))


def nothing() -> None:
    """What is arranged where nothing is."""


@contextlib.contextmanager
def crowd(
    *,
    tasks: int = 0,
    deep: int = 0,
    namespaces: int = 0,
    mounts: int = 0,
    mounts_each: int = 0,
    arrange: Callable[[], None] = nothing,
    root: str = "",
) -> Iterator[Crowd]:
    """Has a crowd in a mount namespace of its own, which `arrange` may have put something in before.

    With `root` that is the root directory of the `tasks`, from the working directory that `arrange` leaves.

    `tasks` processes in one new pid namespace, and `deep` in one as deep as they can be nested;
    `namespaces` mount namespaces with `mounts_each` mounts more than the system has; and `mounts`
    in another one, a multiple of 500 if it is more.
    """

    def prepare() -> None:
        private_namespace()
        for number in range(mounts_each):
            point = BASE + b"/each%d" % number
            os.mkdir(point)
            bind(point, point)
        arrange()

    numbers = [str(number) for number in (tasks, deep, namespaces, mounts)]
    with (
        _at_least(_THREADS_MAX, 2 * (tasks + deep + namespaces) + 4096),
        subprocess.Popen(
            [programs.path("crowd"), *numbers, BASE.decode(), *([root] if root else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=prepare,
        ) as process,
    ):
        # It ends when its input is closed, which leaving the context does.
        assert process.stdout is not None
        init, ready = process.stdout.readline(), process.stdout.readline()
        if ready != b"ready\n":
            raise ChildProcessError("the crowd did not come together")
        yield Crowd(process.pid, int(init))
    if process.returncode:
        raise ChildProcessError(f"the crowd ended with status {process.returncode}")


# So many may live at a time.
_MOST_CHILDREN = 30_000


@contextlib.contextmanager
def workers(count: int, what: str, cpu: int) -> Iterator[None]:
    """Has processes on one CPU that "fork" or "spin": see `qemu-test/programs/births.c`."""
    with (
        _at_least(_PID_MAX, 1 << 22),
        _at_least(_THREADS_MAX, len(os.listdir("/proc")) + _MOST_CHILDREN),
        subprocess.Popen(
            [programs.path("births"), str(count), what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, [cpu]),
        ) as process,
    ):
        assert process.stdin and process.stdout
        if process.stdout.readline() != b"ready\n":
            raise ChildProcessError("the workers did not start")
        yield
        process.stdin.close()
        born, milliseconds = map(int, process.stdout.readline().split())
        if what == "fork":
            tell(f"{born * 1000 // milliseconds} births a second")
    if process.returncode:
        raise ChildProcessError(f"the workers ended with status {process.returncode}")


@contextlib.contextmanager
def sets(count: int, what: str) -> Iterator[None]:
    """Has processes in sets of namespaces of the "same" or of "different" sums: see `qemu-test/programs/sets.c`."""
    with subprocess.Popen(
        [programs.path("sets"), str(count), what], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        if process.stdout.readline() != b"ready\n":
            raise ChildProcessError("the processes did not come together")
        yield
    if process.returncode:
        raise ChildProcessError(f"the processes ended with status {process.returncode}")
