# SPDX-License-Identifier: GPL-2.0
"""Task records: all of them against procfs, and those of the zoo against how they were made."""

from __future__ import annotations

import os

import compare.tasks
import module
import procfs
import syscalls
from format1 import Task, Value
from runner import Failure, check, check_equal, test
from specimens import cgroups, processes
from tests import scene


def _expect(name: str, pid: int, **wanted: Value) -> list[str]:
    task = scene.take().document.task(pid)
    return [
        f"{name!r} ({pid}): {key} is {task.fields[key]!r}, should be {value!r}"
        for key, value in wanted.items()
        if task.fields[key] != value
    ]


def _numbers(task: Task, key: str) -> tuple[int, ...]:
    value = task.fields[key]
    assert isinstance(value, tuple)
    return tuple(item if isinstance(item, int) else item[0] for item in value)


@test
def tasks_procfs() -> None:
    """Every process has one record, and every key of it says what procfs says."""
    taken = scene.take()
    common = taken.before.processes.keys() & taken.after.processes.keys()
    if len(common) < len(taken.zoo.specimens):
        raise Failure(f"procfs had only {len(common)} processes in common")
    check(compare.tasks.compare(taken.before, taken.document, taken.after, taken.sources))


@test
def tasks_order() -> None:
    """Records come in the order of the kernel's list: init, kthreadd, and the rest by age."""
    taken = scene.take()
    names = ["comm blanks", "ids", "stopped", "chrooted", "uts", "net", "in cgroup", "mounts"]
    check(compare.tasks.compare_order(taken.document, [taken.zoo[name].pid for name in names]))


@test
def tasks_names() -> None:
    """Names of any bytes come through."""
    zoo = scene.take().zoo
    complaints = []
    for name, comm in processes.COMMS.items():
        complaints += _expect(name, zoo[name].pid, comm=comm)
    check(complaints)


@test
def tasks_ids() -> None:
    """uid and gid are the real ids, ppid the real parent, group and session stay without leader."""
    zoo = scene.take().zoo
    me, session = os.getpid(), zoo["orphan"].report
    leader, group = zoo["session leader"].pid, zoo["group leader"].pid
    effective = {"euid": processes.EFFECTIVE_UID, "egid": processes.EFFECTIVE_GID}
    own_session = os.getsid(0)
    check(
        [
            *_expect("ids", zoo["ids"].pid, uid=processes.REAL_UID, gid=processes.REAL_GID, ppid=me),
            *_expect("effective ids", zoo["ids"].pid, **effective, caps=0),
            *_expect("orphan", zoo["orphan"].pid, ppid=me, sid=(session,), pgid=(session,)),
            *_expect("session leader", leader, sid=(leader,), pgid=(leader,)),
            *_expect("group leader", group, sid=(own_session,), pgid=(group,)),
            *_expect("traced", zoo["traced"].pid, ppid=me, tracer=me),
            *_expect("init", 1, ppid=0, tracer=None, kind="user"),
            *_expect("kthreadd", 2, ppid=0, kind="kthread", pgid=(0,), sid=(0,), comm=b"kthreadd"),
        ]
    )


@test
def tasks_states() -> None:
    """States, and what zombies and exiting tasks keep and what they have given back."""
    zoo = scene.take().zoo
    given_back = dict.fromkeys(
        ("mntns", "utsns", "ipcns", "netns", "cgroupns", "timens", "time_for_children", "pid_for_children")
    )
    dead: dict[str, Value] = {**given_back, "root": None, "chroot": None}
    dead |= dict.fromkeys(("rootns", "cwd", "cwdns"))
    # A thread of it is left, which has all that the others have.
    own = scene.take().document.task(os.getpid()).fields
    alive = {key: own[key] for key in dead if key != "cwd"}
    init, other = zoo["pid dying"].report
    check(
        [
            *_expect("threads", zoo["threads"].pid, threads=1 + processes.EXTRA_THREADS),
            *_expect("stopped", zoo["stopped"].pid, state="T"),
            *_expect("traced", zoo["traced"].pid, state="t"),
            *_expect("vforking", zoo["vforking"].pid, state="D"),
            *_expect("vforked", zoo["vforked"].pid, state="S", ppid=zoo["vforking"].pid),
            *_expect("zombie", zoo["zombie"].pid, state="Z", threads=1, comm=b"dead, and odd\n", **dead),
            *_expect("zombie leader", zoo["zombie leader"].pid, state="Z", threads=2, **alive),
            *_expect("exiting init", init, level=1, **dead),
            *_expect("zombie in dying namespace", other, state="Z", level=1, **dead),
        ]
    )


@test
def tasks_roots() -> None:
    """chroot=1 and the path for those that called chroot, chroot=0 after pivot_root."""
    zoo = scene.take().zoo
    deleted = zoo["chrooted to deleted"].pid
    check(
        [
            *_expect("chrooted", zoo["chrooted"].pid, chroot=1, root=processes.CHROOT_DIR),
            *_expect("chrooted to mount", zoo["chrooted to mount"].pid, chroot=1, root=b"/tmp/m"),
            *_expect("chrooted to deleted", deleted, chroot=1, root=b"/tmp/gone//deleted"),
            *_expect("foreign root", zoo["foreign root"].pid, chroot=1),
            *_expect("detached root", zoo["detached root"].pid, chroot=1, rootns=None),
            *_expect("pivoted", zoo["pivoted"].pid, chroot=0, root=b"/"),
            *_expect("covered root", zoo["covered root"].pid, chroot=1, root=b"/"),
            *_expect("container", zoo["container"].pid, chroot=0, root=b"/"),
            *_expect("mnt", zoo["mnt"].pid, chroot=0, root=b"/"),
        ]
    )


@test
def tasks_working_directories() -> None:
    """Working directories, the mount namespaces that they lie in, and removed ones."""
    zoo = scene.take().zoo
    host = procfs.mnt_inum(os.getpid())
    foreign = zoo["foreign cwd"].pid
    check(
        [
            *_expect("foreign cwd", foreign, cwd=b"/usr", cwdns=host, rootns=procfs.mnt_inum(foreign)),
            *_expect("detached cwd", zoo["detached cwd"].pid, cwdns=None),
            *_expect("odd cwd", zoo["odd cwd"].pid, cwd=processes.ODD_DIR),
            *_expect("deleted cwd", zoo["deleted cwd"].pid, cwd=processes.DELETED_DIR + b"//deleted"),
            *_expect("init", 1, rootns=host, cwdns=host),
        ]
    )
    check_equal("the process left the host's mount namespace", procfs.mnt_inum(foreign) != host, True)


@test
def tasks_privileges() -> None:
    """Capabilities, filters of system calls, and privileges that are given up."""
    zoo = scene.take().zoo
    everything = procfs.read_process(1)
    assert everything is not None
    without = everything.caps & ~(1 << processes.DROPPED)
    complaints = [
        *_expect("init", 1, caps=everything.caps, seccomp=0, nnp=0),
        *_expect("without capability", zoo["without capability"].pid, caps=without, nnp=0),
        *_expect("no new privileges", zoo["no new privileges"].pid, nnp=1, seccomp=0),
    ]
    if syscalls.has_seccomp():
        complaints += _expect("filtered", zoo["filtered"].pid, seccomp=2)
    check(complaints)


@test
def tasks_cgroups() -> None:
    """Cgroup paths of any bytes, seen from the top, kept by zombies."""
    zoo = scene.take().zoo
    gone = cgroups.GONE + b"//deleted"
    check(
        [
            *_expect("in cgroup", zoo["in cgroup"].pid, cgroup=cgroups.ODD),
            *_expect("in cgroup namespace", zoo["in cgroup namespace"].pid, cgroup=cgroups.INNER),
            *_expect("zombie in removed cgroup", zoo["zombie in removed cgroup"].pid, cgroup=gone),
        ]
    )


@test
def tasks_pid_namespaces() -> None:
    """Numbers at every level for tasks in nested pid namespaces, groups and sessions from outside."""
    taken = scene.take()
    zoo, document = taken.zoo, taken.document
    nest = zoo["pid nest"].report
    complaints = []
    for level, pid in enumerate(nest):
        task = document.task(pid)
        numbers = _numbers(task, "upid")
        if len(numbers) != level + 1 or numbers[0] != pid or (level and numbers[-1] != 1):
            complaints.append(f"the process at level {level} has the numbers {numbers}")
        inner_group = _numbers(task, "pgid")[1:]
        if 0 < level < len(nest) - 1 and any(inner_group):
            complaints.append(f"the process at level {level} has a group from outside, but {inner_group}")
    innermost = document.task(nest[-1])
    for key in ("pgid", "sid"):
        if _numbers(innermost, key) != _numbers(innermost, "upid"):
            complaints.append(f"the innermost process leads its session, but its {key} is another")
    second = document.task(nest[2]).fields["pidns"]
    for name in ("pid entered", "pid guest"):
        complaints += _expect(name, zoo[name].pid, level=0, pid_for_children=second)
    guest = zoo["pid guest"]
    complaints += _expect("pid guest's child", guest.report, level=2, pidns=second, ppid=guest.pid)
    unborn = document.task(zoo["pid unborn"].pid)
    if unborn.fields["pid_for_children"] in (None, unborn.fields["pidns"]):
        complaints.append("a pid namespace without processes is not pid_for_children of its maker")
    check(complaints)


@test
def tasks_come_and_go() -> None:
    """A text taken while processes come and go has all that stayed, and none that never was."""
    taken = scene.take()
    module.ensure_loaded()
    complaints = []
    for _ in range(5):
        before = procfs.view()
        children = []
        for _ in range(5):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            children.append(pid)
        document = module.read_document()
        for pid in children:
            os.waitpid(pid, 0)
        complaints += compare.tasks.compare(before, document, procfs.view(), taken.sources)
    check(complaints)
