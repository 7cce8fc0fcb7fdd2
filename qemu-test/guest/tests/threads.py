# SPDX-License-Identifier: GPL-2.0
"""Thread records: all of them against procfs, and those of the zoo against how they were made."""

from __future__ import annotations

import os

import compare.threads
import module
import procfs
import syscalls
import zoo
from compare import consistency
from format1 import Document, Thread, Value
from runner import Failure, check, check_equal, test
from specimens import cgroups, holders, processes, threads
from tests import scene


MANY = 300


def _odd(name: str, document: Document | None = None) -> Thread:
    taken = scene.take()
    return (document or taken.everything).thread(taken.zoo["odd threads"].report[name])


@test
def threads_procfs() -> None:
    """Every thread has one record, and every key of it says what procfs says."""
    taken = scene.take()
    common = taken.threads_before.processes.keys() & taken.threads_after.processes.keys()
    if len(common) <= len(taken.zoo.specimens):
        raise Failure(f"procfs had only {len(common)} threads in common")
    check(
        compare.threads.compare(
            taken.threads_before, taken.everything, taken.threads_after, taken.sources
        )
    )


@test
def threads_order() -> None:
    """Threads come by process in the order of the processes, and within as in /proc/PID/task."""
    taken = scene.take()
    check(compare.threads.compare_order(taken.everything, taken.tids))


@test
def threads_consistency() -> None:
    """A text with threads agrees with itself: as many as each process says, the leader like its process."""
    taken = scene.take()
    check(consistency.check(taken.everything))
    check_equal("threads without a query", taken.document.threads, [])


@test
def threads_own_ways() -> None:
    """A thread that unshared, entered a namespace, changed its user or root shows that, its process not."""
    taken = scene.take()
    document = taken.everything
    leader = document.thread(taken.zoo["odd threads"].pid)
    other = document.task(taken.zoo["everything"].report)
    cgroup_id = os.stat(cgroups.MOUNT + threads.CGROUP_INNER).st_ino
    expected: dict[str, dict[str, Value]] = {
        "uid": {"uid": threads.UID, "euid": threads.UID, "caps": 0},
        "chroot": {"chroot": 1, "root": b"/usr"},
        "cgroup": {"cgroup": threads.CGROUP_INNER, "cgroup_id": cgroup_id},
        "comm": {"comm": b"one = thread"},
        "entered uts": {"utsns": other.fields["utsns"]},
        "entered net": {"netns": other.fields["netns"]},
        "plain": {},
    }
    unshared = {
        "uts": ["utsns"],
        "ipc": ["ipcns"],
        "net": ["netns"],
        "cgroup ns": ["cgroupns"],
        # Its root and its working directory go with it.
        "mnt": ["mntns", "rootns", "cwdns"],
        "pid": ["pid_for_children"],
    }
    own = ("upid", "start")
    complaints = []
    for name, tid in taken.zoo["odd threads"].report.items():
        thread = document.thread(tid)
        differs = {
            key: value
            for key, value in thread.fields.items()
            if key not in own and value != leader.fields[key]
        }
        keys = unshared.get(name)
        if keys is not None:
            spaces = set(differs.values())
            good = list(differs) == keys and len(spaces) == 1 and all(isinstance(i, int) for i in spaces)
        else:
            good = differs == expected[name]
        if not good:
            complaints.append(f"the thread {name!r} differs from its process by {differs}")
    uts = document.namespace("uts", _odd("uts").fields["utsns"])  # type: ignore[arg-type]
    check_equal("nodename of the thread's namespace", uts.fields["nodename"], threads.NODENAME)
    check_equal("processes in it, by a thread", uts.fields["tasks"], 1)
    check(complaints)


@test
def threads_zombie_leader() -> None:
    """A leader that ended has given its namespaces back, its other thread has not."""
    taken = scene.take()
    document = taken.everything
    pid = taken.zoo["zombie leader"].pid
    tids = [thread.tid for thread in document.threads if thread.fields["tgid"] == pid]
    check_equal("threads", tids, procfs.tids(pid))
    leader, living = (document.thread(tid) for tid in tids)
    check_equal("leader", (leader.fields["state"], leader.fields["mntns"]), ("Z", None))
    mntns = document.task(1).fields["mntns"]
    check_equal("living", (living.fields["state"], living.fields["mntns"]), ("S", mntns))


@test
def threads_of_a_namespace() -> None:
    """A namespace that only a thread is in shows that thread, and its process; all show all threads."""
    taken = scene.take()
    for name, key in (("uts", "utsns"), ("net", "netns"), ("mnt", "mntns")):
        thread = _odd(name)
        document = module.ask_document(f"ns={thread.fields[key]!r} {scene.EVERYTHING}")
        check_equal(f"threads in {name!r}", [one.tid for one in document.threads], [thread.tid])
        shown = [(task.pid, task.mixed, task.fields["threads"]) for task in document.tasks]
        process = taken.zoo["odd threads"].pid
        check_equal(f"processes in {name!r}", [one[:2] for one in shown], [(process, True)])
        check_equal("thread", document.threads[0].fields, thread.fields)
    process = taken.zoo["threads"].pid
    namespace = taken.document.task(process).fields["userns"]
    document = module.ask_document(f"ns={namespace!r} show=threads")
    found = [one.tid for one in document.threads if one.fields["tgid"] == process]
    check_equal("threads of one process", found, procfs.tids(process))
    check_equal("how many", len(found), 1 + processes.EXTRA_THREADS)


def _in_procfs(pid: int, main: int) -> bool | None:
    """Whether a thread of a process is in a namespace that `main` is not in; none if it has ended."""

    def links(tid: int) -> list[str] | None:
        try:
            return [os.readlink(f"/proc/{pid}/task/{tid}/ns/{link}") for link in consistency.MEMBERSHIP]
        except OSError:
            return None

    own = links(main)
    if own is None:
        return None
    return any(links(tid) not in (None, own) for tid in procfs.tids(pid))


@test
def threads_mixed() -> None:
    """A process has mixed=1 if and only if a thread is in another namespace than its main thread."""
    taken = scene.take()
    complaints = []
    number = 0
    for task in taken.everything.tasks:
        wanted = _in_procfs(task.pid, task.via or task.pid)
        if wanted is None:
            continue
        number += wanted
        if task.mixed != wanted:
            complaints.append(f"task {task.pid} has mixed={task.mixed}, procfs says {wanted}")
    check(complaints)
    check_equal("some are mixed", number > 0, True)


@test
def threads_mixed_among_many() -> None:
    """One thread of hundreds that is elsewhere is counted in its namespace, and leads ns= to its process."""
    module.ensure_loaded()

    def arrange() -> int:
        inums = []

        def leave() -> None:
            syscalls.unshare(syscalls.CLONE_NEWUTS)
            inums.append(os.stat("/proc/thread-self/ns/uts").st_ino)

        processes.start_threads(MANY)
        tid = holders.in_thread(leave)
        # Two are there, of one process.
        fd = os.open(f"/proc/self/task/{tid}/ns/uts", os.O_RDONLY)
        holders.in_thread(lambda: syscalls.setns(fd, syscalls.CLONE_NEWUTS))
        processes.start_threads(3)
        return inums[0]

    specimen = zoo.spawn(arrange)
    try:
        for query in ("show=ns,tasks", f"ns={specimen.report} show=ns,tasks"):
            answer = module.ask_document(query)
            check_equal(f"mixed in {query!r}", answer.task(specimen.pid).mixed, True)
            check_equal(f"tasks in {query!r}", answer.namespace("uts", specimen.report).fields["tasks"], 1)
        answer = module.ask_document(f"pid={specimen.pid} ns={specimen.report} show=tasks")
        check_equal("mixed by both", answer.task(specimen.pid).mixed, True)
        order = [task.pid for task in module.ask_document("show=tasks").tasks]
        check_equal("once", order.count(specimen.pid), 1)
    finally:
        zoo.end(specimen)
