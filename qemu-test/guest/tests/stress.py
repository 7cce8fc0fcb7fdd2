# SPDX-License-Identifier: GPL-2.0
"""Reading while everything comes and goes, and the module itself: see programs/churn.

`make test` does it for some seconds, `make stress` for as long as one likes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import aftermath
import format1
import module
import pace
import programs
from runner import check_equal, tell, test_with
from specimens.crowd import crowd

# By default, so that the whole suite does not take much longer.
_SHORT = 10
SECONDS = int(os.environ.get("STRESS_SECONDS") or _SHORT)

# How long a worker may take to end, and what must happen to happen, after that time.
_PATIENCE = 60

# After so many processes a walk of the task list takes a break: `BATCH` of src/sys/task.rs.
_BATCH = 1024
# The program, and `aftermath`, have about as many processes at any time: the last of these come and go.
_OWN = 72
# In so many reads some walk has lost its place in the task list: one in 5 does, on debug one in 160.
_READS_THAT_LOSE = 2000

_UNSHARES = ("user", "mnt", "uts", "ipc", "net", "cgroup", "time", "pid")

# What must happen at least once, however long it takes: a test in which nothing happens proves nothing.
_HAPPENED = (
    *("reads", "queries", "bad_queries", "mark_records", "texts_kept"),
    *("forks", "threads", "execs", "cgroups", *(f"unshares_{one}" for one in _UNSHARES)),
    *("setns_uts", "mounts", "umounts", "pivot_roots", "renames"),
    *("descriptors", "mappings", "messages"),
    *("inits_killed", "pidns_nested", "ns_files_bound", "ns_files_released"),
)

# What is told of a run.
_TOLD = {
    "reads": ("reads", "queries", "bad_queries", "rereads", "slow_reads", "readers_killed", "mark_records", "torn"),
    "processes": ("forks", "threads", "execs", "orphans", "creds", "cgroups", "chroots"),
    "holders": ("descriptors", "mappings", "messages", "trees_cloned"),
    "namespaces": (
        *(f"unshares_{one}" for one in _UNSHARES),
        *(f"setns_{one}" for one in _UNSHARES),
        *("inits_killed", "pidns_nested", "ns_files_bound", "ns_files_released"),
    ),
    "mounts": (
        *("mounts", "umounts", "moves", "remounts", "propagations", "pivot_roots", "renames"),
        *("escapes", "mount_points_removed", "trees_cloned"),
    ),
    "module": ("insmods", "rmmods", "opens_enoent", "reads_eio"),
}


def _parse_all(directory: str, complaints: list[str]) -> int:
    """Has another parser look at the texts that the program has kept: how many there are."""
    texts = sorted(Path(directory).iterdir())
    for text in texts:
        try:
            format1.parse(text.read_bytes())
        except ValueError as error:
            complaints.append(f"{text.name}: {error}")
    return len(texts)


def _churn(tasks: int, happened: Iterable[str], *options: str) -> None:
    """Runs the program beside so many other processes, at least until all of that has happened."""
    with (
        aftermath.checked() as (_, complaints),
        crowd(tasks=tasks),
        tempfile.TemporaryDirectory() as texts,
    ):
        patience = str(int(pace.patience(_PATIENCE)))
        until = [f"--until={one}" for one in happened]
        figures = programs.run_at_random(
            *("churn", "--seconds", str(SECONDS), "--patience", patience, "--texts", texts, *until, *options)
        )
        check_equal("texts that were kept", _parse_all(texts, complaints), figures["texts_kept"])
        steps = module.steps()
        if tasks and figures["reads"] >= _READS_THAT_LOSE and not steps["lost"]:
            complaints.append("no walk of the task list has lost its place")
    tell(f"seed {figures['seed']}, {SECONDS} s")
    for group, names in _TOLD.items():
        counts = [f"{name} {figures[name]}" for name in names if figures[name]]
        if counts:
            tell(f"{group}: {', '.join(counts)}")
    if steps:
        tell(f"walks of the task list that had lost their place: {steps['lost']}")


@test_with(seconds=SECONDS + 3 * _PATIENCE)
def stress() -> None:
    """Each text is whole and right while processes, namespaces and mounts come and go; nothing is left."""
    module.ensure_loaded()
    tasks = 0
    if module.steps():
        # So that walks take their breaks, long ones on these kernels, where processes come and go.
        tasks = _BATCH - _OWN - len(module.read_document().tasks)
    _churn(tasks, _HAPPENED)


@test_with(seconds=SECONDS + 3 * _PATIENCE)
def stress_reload() -> None:
    """The same while the module is unloaded and loaded all the time, with files open and reads in flight."""
    # The suites would fill the kernel log, which is searched when all is over.
    with module.without_suites():
        _churn(0, (*_HAPPENED, "insmods", "rmmods"), "--reload", os.environ["NSINSPECT_KO"])
