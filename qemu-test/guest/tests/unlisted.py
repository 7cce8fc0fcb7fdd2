# SPDX-License-Identifier: GPL-2.0
"""Processes that hide from the list of all processes, and short-lived ones, which do not."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import compare.tasks
import forked
import module
import procfs
import syscalls
import zoo
from format1 import Document
from runner import Failure, check, check_equal, test
from specimens import processes
from tests import scene
from zoo import Specimen

_HIDER = b"nsinspect_unlink"
SHORT_LIVED = 1200
READS = 20


@contextlib.contextmanager
def hidden(pid: int, number: int = 0) -> Iterator[None]:
    """Hides a process from the list of processes, or only its number."""
    directory = Path(os.environ["NSINSPECT_KO"]).parent / "qemu-test" / "unlink"
    fd = os.open(directory / f"{_HIDER.decode()}.ko", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.finit_module(fd, b"pid=%d number=%d" % (pid, number))
    finally:
        os.close(fd)
    try:
        yield
    finally:
        syscalls.delete_module(_HIDER)


def _is_asleep(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    return stat.rpartition(b")")[2].split()[0] == b"S"


@contextlib.contextmanager
def _process() -> Iterator[Specimen]:
    specimen = zoo.spawn(lambda: processes.start_threads(2))
    try:
        # Once it has reported, it goes to sleep for good. Its state is compared as well.
        forked.wait_until(lambda: _is_asleep(specimen.pid), "the process is asleep")
        yield specimen
    finally:
        zoo.end(specimen)


def _unlisted(document: Document) -> list[int]:
    return [task.pid for task in document.tasks if task.unlisted]


def _user_processes(document: Document) -> set[int]:
    return {task.pid for task in document.tasks if task.fields["kind"] == "user"}


@test
def unlisted() -> None:
    """A process that was taken off the list comes last, with unlisted=1, and else as before."""
    scene.take()
    with _process() as one, _process() as other:
        before = module.read_document()
        check_equal("unlisted before", _unlisted(before), [])
        with hidden(one.pid):
            document = module.ask_document(scene.EVERYTHING)
            check_equal("unlisted", _unlisted(document), [one.pid])
            check_equal("last", document.tasks[-1].pid, one.pid)
            check_equal("fields", document.task(one.pid).fields, before.task(one.pid).fields)
            threads = [t.tid for t in document.threads if t.fields["tgid"] == one.pid]
            check_equal("threads", threads, procfs.tids(one.pid))
            check_equal("in the order of the processes", document.threads[-1].fields["tgid"], one.pid)
            check_equal("the rest", _user_processes(document), _user_processes(before))
        after = module.read_document()
        check_equal("unlisted after", _unlisted(after), [])
        check_equal("fields", after.task(one.pid).fields, before.task(one.pid).fields)
        pids = [task.pid for task in after.tasks]
        check_equal("linked at the end", pids.index(one.pid) > pids.index(other.pid), True)


@test
def unlisted_queries() -> None:
    """Queries find a process that is not on the list: by its number, and by its namespace."""
    taken = scene.take()
    pid = taken.zoo["container nested"].pid
    task = taken.document.task(pid)
    upid = task.fields["upid"]
    assert isinstance(upid, tuple)
    with hidden(pid):
        for query in (f"pid={pid}", *("upid=%d@%d" % one for one in upid)):  # type: ignore[misc]
            answer = module.ask_document(query)
            check_equal(f"fields by {query}", [one.fields for one in answer.tasks], [task.fields])
        answer = module.ask_document(f"ns={task.fields['pidns']!r}")
        check_equal("processes in its namespace", _unlisted(answer), [pid])
        check_equal("it counts", answer.namespaces[0].fields["tasks"], 1)
        before, text, after = procfs.view(), module.read_document(), procfs.view()
        check_equal("unlisted", _unlisted(text), [pid])
        complaints = compare.tasks.compare(before, text, after, taken.sources)
        check_equal("complaints", complaints, [f"task {pid} is marked unlisted"])


@test
def unlisted_and_gone() -> None:
    """A process that ends while it is hidden becomes a zombie that hides, and is linked as one."""
    with _process() as one:
        module.ensure_loaded()
        with hidden(one.pid):
            os.kill(one.pid, signal.SIGKILL)
            processes.wait_for_state(one.pid, "Z")
            document = module.read_document()
            check_equal("unlisted", _unlisted(document), [one.pid])
            check_equal("state", document.task(one.pid).fields["state"], "Z")
        document = module.read_document()
        check_equal("unlisted", _unlisted(document), [])
        check_equal("state", document.task(one.pid).fields["state"], "Z")


# Short-lived ones: waited for, left to themselves, and orphans.
_STORM = """
i=0
while [ $i -lt $1 ]; do
    (:)
    (:) &
    ( (:) & )
    i=$((i + 3))
done
wait
"""


def _storm() -> None:
    """Becomes a shell, in a pid namespace of its own, so that it gets the orphans."""
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        os.execvp("busybox", ["busybox", "sh", "-c", _STORM, "storm", str(SHORT_LIVED)])
    os.waitpid(pid, 0)


@test
def unlisted_storm() -> None:
    """While thousands of processes come and go, none is taken for one that hides."""
    module.ensure_loaded()
    reads = 0
    found: list[bytes] = []
    # The number that was given to a process last, after each read.
    newest = set()
    while reads < READS:
        pid = os.fork()
        if pid == 0:
            try:
                _storm()
            finally:
                os._exit(0)
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            tasks = [line for line in module.read_text().split(b"\n") if line.startswith(b"task ")]
            found += [line for line in tasks if line.endswith(b" unlisted=1")]
            with open("/proc/loadavg", encoding="ascii") as file:
                newest.add(file.read().split()[-1])
            reads += 1
    check([f"{line!r}" for line in found])
    if len(newest) < READS // 2:
        raise Failure(f"{reads} reads saw {len(newest)} states of the storm")


@test
def unnumbered() -> None:
    """A process that is on the list, and that nothing finds by its number, has unnumbered=1."""
    module.ensure_loaded()

    def marked(document: Document) -> list[int]:
        return [task.pid for task in document.tasks if task.unnumbered]

    with _process() as one:
        before = module.read_document()
        check_equal("before", marked(before), [])
        with hidden(one.pid, number=1):
            check_equal("kill finds it", _is_found(one.pid), False)
            document = module.read_document()
            check_equal("unnumbered", marked(document), [one.pid])
            check_equal("fields", document.task(one.pid).fields, before.task(one.pid).fields)
            check_equal("unlisted", _unlisted(document), [])
            pidns = document.task(one.pid).fields["pidns"]
            check_equal("by ns=", marked(module.ask_document(f"ns={pidns!r} show=tasks")), [one.pid])
            check_equal("by pid=", module.ask_document(f"pid={one.pid}").tasks, [])
        check_equal("after", marked(module.read_document()), [])
        check_equal("kill finds it again", _is_found(one.pid), True)


def _is_found(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
