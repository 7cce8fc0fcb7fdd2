# SPDX-License-Identifier: GPL-2.0
"""Which scenes there are, and who is measured in each."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import contest
import scene
import verify
from contest import Contestant, Measured
from scene import Plan, Scene

FULL = "nsinspect"
TASKS = "nsinspect show=tasks"
SPACES = "nsinspect show=ns"
MOUNTS = "nsinspect show=mounts"
PID = "nsinspect pid="
UPID = "nsinspect upid="
NS = "nsinspect ns="
HOLDS = "nsinspect show=holds"
HOLDS_OF_ONE = "nsinspect ns= show=ns,holds"
TMPFS = "tmpfs file"
BPF = "BPF iterator"
PROCFS = "procfs scan"
PROCFS_MOUNTS = "procfs scan, mountinfo"
DESCRIPTORS = "procfs scan, fd, fdinfo"
MOUNTINFO = "mountinfo"
STATMOUNT = "listmount, statmount"
LISTNS = "listns, ioctl"
LSNS = "lsns"
FINDMNT = "findmnt -N"
CAT = "cat nsinspect"
COMMAND_PS = "command ps"
COMMAND_CONTAINERS = "command containers"
COMMAND_PID = "command pid 1@web"
COMMAND_AUDIT = "command audit"
COMMAND_WATCH = "command watch, of a second"
EMPTY = "empty program"

PEER = {
    TMPFS: FULL,
    BPF: TASKS,
    PROCFS: TASKS,
    PROCFS_MOUNTS: FULL,
    DESCRIPTORS: HOLDS,
    MOUNTINFO: MOUNTS,
    STATMOUNT: MOUNTS,
    LISTNS: SPACES,
    LSNS: SPACES,
    FINDMNT: MOUNTS,
    COMMAND_PS: CAT,
    COMMAND_CONTAINERS: CAT,
    COMMAND_PID: EMPTY,
    COMMAND_AUDIT: COMMAND_PS,
    COMMAND_WATCH: FULL,
}
"""What of nsinspect answers the same question as another contestant."""

LEFT_OUT = {
    TASKS: "namespaces, mounts",
    SPACES: "processes, mounts",
    MOUNTS: "processes, namespaces",
    TMPFS: "nothing: a copy of the text, read as the text is; the limit",
    BPF: "process groups, sessions, parent, ids, threads, state, kind, start; user, pid_for_children and "
    "time_for_children namespaces; root, cgroup; all namespaces as such, mounts",
    PROCFS: "which namespace each pid counts in, chroot, start to the nanosecond; all namespaces as such, "
    "mounts",
    PROCFS_MOUNTS: "the same, and namespaces without processes, mounts out of their reader's reach, 64-bit "
    "mount ids",
    DESCRIPTORS: "of holds: programs and mapped files, directories, mounts, other namespaces; whether a mount is "
    "attached",
    MOUNTINFO: "mount namespaces without processes, mounts out of reach, 64-bit ids; how to find a process "
    "for each namespace",
    STATMOUNT: "nothing of mountinfo; mounts out of reach",
    LISTNS: "how many processes each has, references, reaper, limits, names, mount counts",
    LSNS: "processes but the oldest of each namespace, references, levels, mounts",
    FINDMNT: "as mountinfo",
    COMMAND_PS: "kernel threads, namespaces, mounts",
    COMMAND_CONTAINERS: "kernel threads, mounts",
    COMMAND_PID: "all but the numbers of one process",
    COMMAND_AUDIT: "what no rule finds wrong",
    COMMAND_WATCH: "what does not change: the time that processors work for it in each second",
}
"""Which facts of the full text a contestant does not tell."""

_FINDMNT_COLUMNS = (
    "ID,PARENT,MAJ:MIN,FSROOT,TARGET,VFS-OPTIONS,PROPAGATION,OPT-FIELDS,FSTYPE,SOURCE,FS-OPTIONS"
)
_COPY = Path("/tmp/nsinspect-text")
_ITERATOR = Path("/sys/fs/bpf/tasks")


DESCRIPTORS_EACH = 10
"""That a process opens in the scenes with descriptors; it has three from the start."""


@dataclass(frozen=True)
class Sizes:
    """How large the scenes are."""

    processes: tuple[int, int, int, int]
    """The smallest; that of time per record; that of the comparison; the largest."""
    few_mounts: int
    """Of each container, for the time per record."""
    many_mounts: int
    mounts: int = 40
    docker: int = 300
    """Containers, where the command looks for what is wrong."""
    slaves: int = 1000
    rounds: int = 7
    pairs: int = 15
    """Of turns, where two builds are compared."""

    @property
    def total_mounts(self) -> tuple[int, int]:
        """Of all containers, for the time per record."""
        return self.few_mounts * scene.CONTAINERS, self.many_mounts * scene.CONTAINERS

    def plans(self) -> list[Plan]:
        """All scenes, in the order in which they are measured."""
        small = self.processes[0]
        plans = [Plan(f"{n} processes", n, self.mounts, self.slaves) for n in self.processes]
        for total in self.total_mounts:
            plans.append(Plan(f"{total} mounts", small, total // scene.CONTAINERS))
        plans.append(Plan("one peer group", small, self.mounts, self.slaves, peers=True))
        return [*plans, self.docker_plan(), *self.descriptor_plans()]

    def docker_plan(self) -> Plan:
        """That in which the command looks for what is wrong: as many containers as a large machine has."""
        return Plan(f"{self.docker} containers", self.processes[2], _DOCKER_MOUNTS, containers=self.docker, docker=True)

    def descriptor_plans(self) -> list[Plan]:
        """Those with many descriptors: of time per record, and of the comparison."""
        return [
            Plan(f"{n} processes with descriptors", n, self.mounts, descriptors=DESCRIPTORS_EACH)
            for n in self.processes[1:3]
        ]


# As many as docker's containers have, and a few volumes.
_DOCKER_MOUNTS = 24
# So long watch is watched, in seconds.
_WATCHED = 20

ALL = Sizes((100, 1000, 8000, 16000), few_mounts=20, many_mounts=200)
QUICK = Sizes((100, 200, 400, 800), few_mounts=20, many_mounts=40, docker=60, slaves=100, rounds=3, pairs=4)


@dataclass(frozen=True)
class Result:
    """What one contestant took in one scene, all rounds together."""

    plan: Plan
    tasks: int
    """Records of this kind in the full text."""
    mounts: int
    name: str
    bytes: int
    records: int
    rounds: int
    median: float
    """Nanoseconds, as are the others."""
    least: float
    most: float


@dataclass(frozen=True)
class Memory:
    """What a snapshot's reader was charged for, in bytes."""

    text: int
    peak: int
    held: int
    left: int


def set_up() -> None:
    """Makes the kernel ready for those who need more than it has at boot."""
    subprocess.run(["mount", "-t", "bpf", "bpf", _ITERATOR.parent], check=True)
    program = scene.PROGRAMS / "tasks.bpf.o"
    subprocess.run(["bpftool", "iter", "pin", program, _ITERATOR], check=True)
    account_memory()


def account_memory() -> None:
    """Has the kernel keep account of the memory of cgroups."""
    Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+memory", encoding="ascii")


def inum(pid: int, kind: str) -> int:
    """The inode number of one of a process's namespaces."""
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


def contestants(made: Scene) -> list[Contestant]:
    """Who is measured in this scene."""
    # Both namespaces of the slave mounts are among them.
    pids = " ".join(map(str, [1, *(member.pid for member in made.members)]))
    if made.plan.descriptors:
        return [
            Contestant(FULL, "read", contest.PROC_FILE),
            Contestant(HOLDS, "query", "show=holds"),
            Contestant(HOLDS_OF_ONE, "query", f"ns={inum(made.members[0].pid, 'net')} show=ns,holds"),
            Contestant(DESCRIPTORS, "procfs-fd"),
        ]
    if made.plan.docker:
        return [
            Contestant(FULL, "read", contest.PROC_FILE),
            Contestant(SPACES, "query", "show=ns"),
            Contestant(CAT, "run", f"cat {contest.PROC_FILE}"),
            Contestant(COMMAND_PS, "run", "nsinspect ps"),
            Contestant(COMMAND_AUDIT, "run", "nsinspect audit --fail-on=critical"),
        ]
    mounts = [
        Contestant(FULL, "read", contest.PROC_FILE),
        Contestant(MOUNTS, "query", "show=mounts"),
        Contestant(TMPFS, "read", str(_COPY)),
        Contestant(MOUNTINFO, "mountinfo", pids),
        Contestant(STATMOUNT, "statmount"),
        Contestant(FINDMNT, "run-for", f"{pids} -- findmnt -N % --json --list -o {_FINDMNT_COLUMNS}"),
    ]
    if not made.plan.slaves or made.plan.peers:
        return mounts
    one = made.containers[len(made.containers) // 2].pid
    # As crun leaves it: so the command knows the container by its name.
    status = Path("/run/crun/web/status")
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_text(json.dumps({"pid": one}), encoding="ascii")
    return [
        *mounts,
        Contestant(CAT, "run", f"cat {contest.PROC_FILE}"),
        Contestant(COMMAND_PS, "run", "nsinspect ps"),
        Contestant(COMMAND_CONTAINERS, "run", "nsinspect containers"),
        Contestant(COMMAND_PID, "run", "nsinspect pid 1@web"),
        Contestant(EMPTY, "run", str(scene.PROGRAMS / "empty")),
        Contestant(TASKS, "query", "show=tasks"),
        Contestant(SPACES, "query", "show=ns"),
        Contestant(PID, "query", f"pid={one}"),
        Contestant(UPID, "query", f"upid=1@{inum(one, 'pid')}"),
        Contestant(NS, "query", f"ns={inum(one, 'mnt')}"),
        Contestant(BPF, "read", str(_ITERATOR)),
        Contestant(PROCFS, "procfs"),
        Contestant(PROCFS_MOUNTS, "procfs+mountinfo"),
        Contestant(LISTNS, "listns"),
        Contestant(LSNS, "run", "lsns --json --output-all"),
    ]


class _Progress:
    """Says which round runs, and who makes it long."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._last = -1

    def __call__(self, turn: Measured) -> None:
        if turn.round > self._last:
            self._last = turn.round
            what = f"round {turn.round} of {self._rounds}" if turn.round else "warming up"
            print(f"  {what}", flush=True)
        if turn.nanoseconds > 10e9:
            print(f"    {turn.name}: {turn.nanoseconds / 1e9:.0f} s", flush=True)


def _summary(made: Scene, seen: verify.Seen, turns: list[Measured]) -> Result:
    """One contestant's result."""
    counted = [turn.nanoseconds for turn in turns if turn.round]
    return Result(
        plan=made.plan,
        tasks=seen.tasks,
        mounts=seen.mounts,
        name=turns[0].name,
        bytes=turns[0].bytes,
        records=turns[0].records,
        rounds=len(counted),
        median=statistics.median(counted),
        least=min(counted),
        most=max(counted),
    )


def measure(plan: Plan, rounds: int) -> tuple[list[Result], list[Measured], Memory]:
    """Makes a scene and measures everybody in it."""
    began = time.monotonic()
    with scene.made(plan) as made:
        print(
            f"  {made.processes} processes and {made.mounts} mounts are there"
            f" after {time.monotonic() - began:.1f} s",
            flush=True,
        )
        text = Path(contest.PROC_FILE).read_bytes()
        seen = verify.check_text(made, text)
        verify.check_iterator(text, _ITERATOR.read_bytes())
        _COPY.write_bytes(text)
        if plan.descriptors:
            verify.check_holds(made, contest.ask("show=holds"))
        turns = contest.run(contestants(made), rounds, tell=_Progress(rounds))
        names = dict.fromkeys(turn.name for turn in turns)
        results = [_summary(made, seen, [turn for turn in turns if turn.name == name]) for name in names]
        verify.check_others(made, seen, {result.name: result for result in results})
        if plan.docker:
            results.append(_watched(made, seen))
        return results, turns, memory()


def _watched(made: Scene, seen: verify.Seen) -> Result:
    """What watch takes of a second, at its usual interval, while little happens: by what it says of itself."""
    with subprocess.Popen(
        ["timeout", "--signal=INT", str(_WATCHED), "nsinspect", "watch"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        said = process.stderr.read()
    found = re.search(r"(\d+) looks in [\d.]+ s took (\d+\.\d) % of a processor$", said.strip())
    if not found:
        raise verify.Incomplete(f"watch says: {said}")
    nanoseconds = float(found[2]) / 100 * 1e9
    return Result(
        plan=made.plan,
        tasks=seen.tasks,
        mounts=seen.mounts,
        name=COMMAND_WATCH,
        bytes=0,
        records=int(found[1]),
        rounds=1,
        median=nanoseconds,
        least=nanoseconds,
        most=nanoseconds,
    )


def memory() -> Memory:
    """What a snapshot of this moment costs."""
    output = subprocess.run(
        [scene.PROGRAMS / "memory"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return Memory(**{name: int(number) for name, number in map(str.split, output.splitlines())})
