# SPDX-License-Identifier: GPL-2.0
"""The command's `watch`: what comes, stays for more than two looks and goes is told exactly once as either, however much else does.

`make test` watches for some seconds; `STRESS_SECONDS=60` has it go on for a minute.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import command
import forked
import module
import nsfs
import oci
import syscalls
import zoo
from runner import Failure, check, check_equal, tell, test_with
from specimens import cgroups
from zoo import Specimen

INTERVAL = 0.2
SECONDS = int(os.environ.get("STRESS_SECONDS") or 12)

# So many things are there at a time, and for so long each lives, in seconds.
_AT_A_TIME = 12
_LIVES = (0.05, 1.5)
# So long a look takes at most, in nanoseconds: what is there all the time is in it.
_LOOK = 100_000_000
# How long programs may take to begin and to end.
_PATIENCE = 20

Key = tuple[str, str]
Row = dict[str, Any]


def _now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass
class _Thing:
    """Something that was there: what it is called in a row, and from when to when it was there at least."""

    keys: list[Key]
    born: int
    gone: int = 0
    end: Callable[[], None] = field(default=lambda: None)


class _Churn:
    """Makes and ends containers, namespaces and mounts."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._random = random.Random(7)
        self._number = 0
        self.over: list[_Thing] = []

    def _process(self, arrange: Callable[[], object]) -> Specimen:
        return zoo.spawn(arrange)

    def _namespaces(self, specimen: Specimen, *kinds: str) -> list[Key]:
        keys = []
        for kind in kinds:
            fd = nsfs.open_link(specimen.pid, kind)
            assert fd is not None
            keys.append(("namespace", str(nsfs.get_id(fd))))
            os.close(fd)
        return keys

    def _container(self) -> _Thing:
        made_up = oci.made_up_id("watch", str(self._number))
        cgroup = oci.CGROUPS / "docker" / made_up
        cgroup.mkdir(parents=True)

        def arrange() -> None:
            oci.enter(f"/docker/{made_up}")
            os.unshare(os.CLONE_NEWNS | os.CLONE_NEWUTS)

        specimen = self._process(arrange)
        keys = [("container", made_up[:12]), *self._namespaces(specimen, "mnt", "uts")]

        def end() -> None:
            zoo.end(specimen)
            cgroups.remove(os.fsencode(cgroup))

        return _Thing(keys, _now(), end=end)

    def _namespace(self) -> _Thing:
        specimen = self._process(lambda: os.unshare(os.CLONE_NEWIPC | os.CLONE_NEWCGROUP))
        keys = self._namespaces(specimen, "ipc", "cgroup")
        return _Thing(keys, _now(), end=lambda: zoo.end(specimen))

    def _mount(self) -> _Thing:
        point = os.fsencode(self._place / str(self._number))
        os.mkdir(point)
        syscalls.mount(b"watch", point, b"tmpfs")
        identity = str(syscalls.statx(point).mount)

        def end() -> None:
            syscalls.umount(point)
            os.rmdir(point)

        return _Thing([("mount", identity)], _now(), end=end)

    def run(self, seconds: float) -> None:
        """Goes on for so long, and ends all."""
        there: list[tuple[int, _Thing]] = []
        deadline = _now() + int(seconds * 1e9)
        while _now() < deadline or there:
            if _now() < deadline and len(there) < _AT_A_TIME:
                self._number += 1
                thing = self._random.choice((self._container, self._namespace, self._mount))()
                there.append((thing.born + int(self._random.uniform(*_LIVES) * 1e9), thing))
            for one in [one for one in there if one[0] <= _now()]:
                there.remove(one)
                one[1].gone = _now()
                one[1].end()
                self.over.append(one[1])
            time.sleep(0.005)


@contextlib.contextmanager
def _watching(output: IO[bytes], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [command.PROGRAM, "watch", "--jsonl", *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        try:
            # It says so once it has looked for the first time.
            line = process.stderr.readline().decode()
            if "watching" not in line:
                raise Failure(f"watch says: {line}")
            yield process
        finally:
            process.kill()


def _end(process: subprocess.Popen[bytes], number: int = signal.SIGINT) -> str:
    """Ends it by a signal: what it says at the end."""
    assert process.stderr
    process.send_signal(number)
    check_equal(f"status after {signal.Signals(number).name}", process.wait(_PATIENCE), 0)
    return process.stderr.read().decode().strip()


def _key(row: Row) -> Key | None:
    match row["what"]:
        case "container":
            return "container", row["container"]
        case "namespace" | "mount":
            return row["what"], str(row["id"])
    return None


_COMES = {"begun", "made", "added"}
_GOES = {"ended", "removed", "gone"}


def _memory(process: subprocess.Popen[bytes]) -> int:
    """What it has in memory of its own, in KiB."""
    for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise Failure("it is gone")


@test_with(seconds=SECONDS + 3 * _PATIENCE, on="stock")
def watch_tells_all() -> None:
    """Each container, namespace and mount that lives longer than two intervals is told of as new and as gone, once each."""
    module.ensure_loaded()
    with contextlib.ExitStack() as stack:
        # Below that no mount is left when it is removed.
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        output = stack.enter_context(tempfile.TemporaryFile())
        other = zoo.spawn(lambda: os.unshare(os.CLONE_NEWUTS))
        stack.callback(zoo.end, other)
        goal = f"/proc/{other.pid}/ns/uts"
        entered_to = os.stat(goal).st_ino
        entering, go = _entering(goal)
        stack.callback(zoo.end, entering)
        churn = _Churn(place)
        with _watching(output, f"--interval={INTERVAL}") as process:
            churn.run(SECONDS / 3)
            go()
            before = _memory(process)
            churn.run(SECONDS * 2 / 3)
            after = _memory(process)
            time.sleep(3 * INTERVAL)
            said = _end(process)
        output.seek(0)
        rows = [json.loads(line) for line in output]
    looks = sorted({row["uptime"] for row in rows})
    tell(f"{len(rows)} events at {len(looks)} looks; {said}")
    comes, goes = (Counter(_key(row) for row in rows if row["event"] in events) for events in (_COMES, _GOES))
    complaints = []
    told = missed = 0
    for thing in churn.over:
        is_long = thing.gone - thing.born > 2 * INTERVAL * 1e9
        # On a machine that has no time for it, a look may come late.
        was_looked_at = any(thing.born < look < thing.gone - _LOOK for look in looks)
        missed += is_long and not was_looked_at
        for key in thing.keys:
            told += was_looked_at
            for what, counts in (("new", comes), ("gone", goes)):
                if counts[key] > 1 or (was_looked_at and counts[key] == 0):
                    life = (thing.gone - thing.born) / 1e9
                    complaints.append(f"{key}, which lived for {life:.2f} s, is told of as {what} {counts[key]} times")
    if missed > len(churn.over) / 20:
        complaints.append(f"{missed} of {len(churn.over)} lived for long, and no look came")
    entered = [row for row in rows if row["event"] == "entered" and row["pid"] == entering.pid]
    if [(row["key"], row["to"]) for row in entered] != [("utsns", entered_to)]:
        complaints.append(f"who entered is told of as {entered}")
    if after > before * 5 // 4 + 256:
        complaints.append(f"it has {after} KiB, and had {before} before")
    if "of a processor" not in said:
        complaints.append(f"it does not say what it takes: {said!r}")
    check(complaints)
    tell(f"{told} things were told of, {missed} were not looked at in time; {before} KiB, then {after}")


def _entering(goal: str) -> tuple[Specimen, Callable[[], None]]:
    """A process that enters a namespace when it is told to, and what tells it."""

    def arrange() -> None:
        def enter(*_: object) -> None:
            fd = os.open(goal, os.O_RDONLY)
            os.setns(fd, os.CLONE_NEWUTS)
            os.close(fd)

        signal.signal(signal.SIGUSR1, enter)

    specimen = zoo.spawn(arrange)
    inum = os.stat(goal).st_ino

    def go() -> None:
        os.kill(specimen.pid, signal.SIGUSR1)
        forked.wait_until(lambda: os.stat(f"/proc/{specimen.pid}/ns/uts").st_ino == inum, "it has entered")

    return specimen, go


@test_with(on="stock")
def watch_ends() -> None:
    """It ends well by signals, and when nobody reads any more; it tells of what is wrong, for people as well."""
    module.ensure_loaded()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with tempfile.TemporaryFile() as output, _watching(output) as process:
            _end(process, number)
    reader, writer = os.pipe()
    with open(writer, "wb") as output:
        with _watching(output, "--interval=0.1") as process:
            output.close()
            os.close(reader)
            check_equal("status once the reader is gone", process.wait(_PATIENCE), 0)
    done = command.run("watch", "--from", "/dev/null")
    check_equal("status with --from", done.returncode, 2)
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(tempfile.TemporaryFile())
        process = stack.enter_context(
            subprocess.Popen([command.PROGRAM, "watch", "--interval=0.1"], stdout=output, stderr=subprocess.PIPE)
        )
        assert process.stderr
        process.stderr.readline()
        specimen = zoo.spawn(lambda: syscalls.set_comm(b"[kworker/0:7]"))

        def text() -> str:
            return os.pread(output.fileno(), 1 << 20, 0).decode()

        wanted = "found       finding A10 high"
        forked.wait_until(lambda: wanted in text(), "the finding is told")
        zoo.end(specimen)
        forked.wait_until(lambda: "gone        finding A10 high" in text(), "its end is told")
        _end(process)
        lines = [line for line in text().splitlines() if f" process {specimen.pid} " in line]
        # "[  12.345] born        process 77 python3"
        events = [line.partition("] ")[2].split()[0] for line in lines]
        check_equal("events of the process", events, ["born", "gone"])
