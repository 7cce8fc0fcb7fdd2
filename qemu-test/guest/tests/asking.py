# SPDX-License-Identifier: GPL-2.0
"""How queries are asked: by one write each, for one open file, and what is no query."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

import forked
import format1
import klog
import module
import syscalls
from runner import Failure, check, check_equal, test

# By the reason that the kernel log then has: what is no query.
_NUMBER = "pid=, ns= and mount= take"
BAD = {
    b"pid=": _NUMBER,
    b"ns=": _NUMBER,
    b"pid=-1": _NUMBER,
    b"pid=+1": _NUMBER,
    b"pid=0x1": _NUMBER,
    b"pid=1.0": _NUMBER,
    b"pid=1,2": _NUMBER,
    b"pid=1=1": _NUMBER,
    b"pid=one": _NUMBER,
    b"pid=2147483648": _NUMBER,
    b"pid=18446744073709551617": _NUMBER,
    b"pid=\xd9\xa1": _NUMBER,
    b"ns=4294967296": _NUMBER,
    b"ns=-": _NUMBER,
    b"ns=pid:[4026531836]": _NUMBER,
    b"pid=1\0": _NUMBER,
    b"pid=1\r": _NUMBER,
    b"pid=1\tns=1": _NUMBER,
    b"upid=": "upid= takes",
    b"upid=1": "upid= takes",
    b"upid=1@": "upid= takes",
    b"upid=@1": "upid= takes",
    b"upid=1@2@3": "upid= takes",
    b"upid=1@4294967296": "upid= takes",
    b"upid=-1@1": "upid= takes",
    b"upid=1 @1": "upid= takes",
    b"dev=": "dev= takes",
    b"dev=8": "dev= takes",
    b"dev=8:": "dev= takes",
    b"dev=:1": "dev= takes",
    b"dev=8:1:2": "dev= takes",
    b"dev=/dev/sda": "dev= takes",
    b"dev=8:4294967296": "dev= takes",
    b"mount=": _NUMBER,
    b"mount=-1": _NUMBER,
    b"mount=18446744073709551616": _NUMBER,
    b"kind=": "kind= takes",
    b"kind=kernel": "kind= takes",
    b"kind=user,kthread": "kind= takes",
    b"show=": "show= takes",
    b"show=,": "show= takes",
    b"show=ns,": "show= takes",
    b"show=,ns": "show= takes",
    b"show=NS": "show= takes",
    b"show=task": "show= takes",
    b"show=all": "show= takes",
    b"propagate_from=": "propagate_from= takes",
    b"propagate_from=2": "propagate_from= takes",
    b"propagate_from=yes": "propagate_from= takes",
    b"propagate_from": "not of the form key=value",
    b"1": "not of the form key=value",
    b"pid": "not of the form key=value",
    b"pid:1": "not of the form key=value",
    b"-": "not of the form key=value",
    b"\0": "not of the form key=value",
    b"PID=1": "the keys are",
    b"tid=1": "the keys are",
    b"=1": "the keys are",
    b"pid =1": "not of the form key=value",
    b"pids=1": "the keys are",
    b"level=1": "the keys are",
    b"pid=1 pid=1": "a key is given twice",
    b"show=ns show=ns": "a key is given twice",
    b"propagate_from=0 propagate_from=1": "a key is given twice",
    b" ": "not separated by exactly one blank",
    b" pid=1": "not separated by exactly one blank",
    b"pid=1 ": "not separated by exactly one blank",
    b"pid=1  ns=1": "not separated by exactly one blank",
    b"pid=1\nns=1": "more than one line",
    b"pid=1\n": "more than one line",
    b"\n": "more than one line",
    b"\n\n\n": "more than one line",
    b"pid=" + b"0" * 253: "longer than 256 bytes",
    b"x" * 257: "longer than 256 bytes",
    b"x" * 100000: "longer than 256 bytes",
    b"\n" * 300: "longer than 256 bytes",
}
PREFIX = "nsinspect: not a query: "


@contextlib.contextmanager
def _asking() -> Iterator[int]:
    module.ensure_loaded()
    fd = module.open_for_queries()
    try:
        yield fd
    finally:
        os.close(fd)


def _answer(fd: int) -> format1.Document:
    return format1.parse(module.read_all(fd))


def _pids(fd: int) -> list[int]:
    return [task.pid for task in _answer(fd).tasks]


def _errno_of_write(fd: int, data: bytes) -> int:
    try:
        os.write(fd, data)
    except OSError as error:
        return error.errno or -1
    return 0


@contextlib.contextmanager
def _unlimited_log() -> Iterator[None]:
    """Without the limit on how often the kernel says such things."""
    path = "/proc/sys/kernel/printk_ratelimit"
    with open(path, encoding="ascii") as file:
        former = file.read()

    def write(value: str) -> None:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)

    write("0")
    try:
        yield
    finally:
        write(former)


@test
def bad_queries() -> None:
    """What is no query gets EINVAL, or E2BIG, and its reason is in the kernel log, once."""
    complaints = []
    log = klog.KernelLog()
    with _unlimited_log(), _asking() as fd:
        for query, reason in BAD.items():
            log.new_lines()
            wanted = errno.E2BIG if "longer" in reason else errno.EINVAL
            got = _errno_of_write(fd, query + b"\n")
            if got != wanted:
                complaints.append(f"{query[:80]!r}: errno {got}, should be {wanted}")
            lines = [line for line in log.new_lines() if line.startswith(PREFIX)]
            if len(lines) != 1 or reason not in lines[0]:
                complaints.append(f"{query[:80]!r}: the kernel log has {lines}")
        check_equal("processes, after no query", len(_pids(fd)) > 10, True)
    check(complaints)


@test
def bad_queries_log_limit() -> None:
    """Hundreds of bad queries in a row do not fill the kernel log."""
    log = klog.KernelLog()
    log.new_lines()
    with _asking() as fd:
        errors = {_errno_of_write(fd, b"x") for _ in range(500)}
    check_equal("errno", errors, {errno.EINVAL})
    lines = [line for line in log.new_lines() if line.startswith(PREFIX)]
    if len(lines) > 100:
        raise Failure(f"the kernel log has {len(lines)} lines on them")


@test
def good_queries() -> None:
    """With a newline or without, up to 256 bytes, numbers with leading zeros; nothing asks for all."""
    with _asking() as fd:
        for query in (
            b"pid=1",
            b"pid=1\n",
            b"pid=0000000001",
            b"pid=" + b"0" * 251 + b"1",
            b"pid=" + b"0" * 251 + b"1\n",
        ):
            check_equal(f"bytes written of {query!r}", os.write(fd, query), len(query))
            check_equal(f"answer to {query!r}", _pids(fd), [1])
        check_equal("bytes written of a newline", os.write(fd, b"\n"), 1)
        everything = _answer(fd)
        check_equal("kinds", 0 in (everything.end.ns, everything.end.tasks, everything.end.mounts), False)
        check_equal("threads", everything.end.threads, 0)


@test
def a_second_query() -> None:
    """A query on the same file takes effect at once: the next read is the beginning of its answer."""
    with _asking() as fd:
        os.write(fd, b"pid=1 show=tasks")
        check_equal("first", _pids(fd), [1])
        check_equal("then", os.read(fd, 100), b"")
        os.write(fd, b"pid=2 show=tasks")
        check_equal("position", os.lseek(fd, 0, os.SEEK_CUR), 0)
        check_equal("second", _pids(fd), [2])
        os.write(fd, b"pid=1 show=tasks")
        os.write(fd, b"pid=2 show=tasks")
        check_equal("the later of two", _pids(fd), [2])
        # Each write is a query, not a part of one.
        os.write(fd, b"show=tasks")
        check_equal("a line in two pieces", _errno_of_write(fd, b" pid=1"), errno.EINVAL)
        check_equal("the first of them holds", len(_pids(fd)) > 10, True)


@test
def a_query_and_offsets() -> None:
    """After a query the old text stays for reads at other offsets until one at 0 takes a new snapshot."""
    with _asking() as fd:
        os.write(fd, b"show=tasks")
        old = module.read_all(fd)
        os.write(fd, b"pid=2 show=tasks")
        check_equal("old text at 100", os.pread(fd, 50, 100), old[100:150])
        new = os.pread(fd, 1 << 20, 0)
        check_equal("processes", [task.pid for task in format1.parse(new).tasks], [2])
        check_equal("new text at 20", os.pread(fd, 1 << 20, 20), new[20:])
        check_equal("again at 0", os.pread(fd, 1 << 20, 0), new)
    with _asking() as fd:
        os.write(fd, b"pid=2 show=tasks")
        rest = os.pread(fd, 1 << 20, 10)
        whole = os.pread(fd, 1 << 20, 0)
        check_equal("a first read that is not at 0", rest, whole[10:])


@test
def former_query_stays() -> None:
    """A bad query leaves the former one in force, and the text and the position where they are."""
    with _asking() as fd:
        os.write(fd, b"pid=2 show=tasks")
        head = os.read(fd, 30)
        check_equal("errno", _errno_of_write(fd, b"pid=x"), errno.EINVAL)
        check_equal("errno", _errno_of_write(fd, b"x" * 300), errno.E2BIG)
        check_equal("position", os.lseek(fd, 0, os.SEEK_CUR), 30)
        text = head + module.read_all(fd)
        check_equal("processes", [task.pid for task in format1.parse(text).tasks], [2])
        check_equal("text", os.pread(fd, 1 << 20, 0), text)


@test
def independent_files() -> None:
    """Two open files have a query each; a duplicate, and a child, share theirs."""
    with _asking() as first, _asking() as second:
        os.write(first, b"pid=1 show=tasks")
        os.write(second, b"pid=2 show=tasks")
        check_equal("first", _pids(first), [1])
        check_equal("second", _pids(second), [2])
        copy = os.dup(first)
        try:
            os.write(copy, b"pid=2 show=tasks")
            check_equal("by the duplicate", _pids(first), [2])
        finally:
            os.close(copy)
        forked.call(lambda: os.write(first, b"pid=1 show=tasks"))
        check_equal("by a child", _pids(first), [1])
    with _asking() as third:
        check_equal("a new file has none", len(_pids(third)) > 10, True)


@test
def modes_of_opening() -> None:
    """A file open for reading takes no query, one open for writing gives no answer."""
    module.ensure_loaded()
    for flags, data, wanted in ((os.O_RDONLY, b"pid=1", errno.EBADF), (os.O_WRONLY, b"pid=1", 0)):
        fd = os.open(module.PROC_FILE, flags)
        try:
            check_equal(f"write with flags {flags}", _errno_of_write(fd, data), wanted)
            if flags == os.O_WRONLY:
                check_equal("bad query", _errno_of_write(fd, b"pid"), errno.EINVAL)
                check_equal("read", forked.errno_of(lambda fd=fd: os.read(fd, 10)), errno.EBADF)
        finally:
            os.close(fd)
    fd = os.open(module.PROC_FILE, os.O_RDWR | os.O_TRUNC | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, b"pid=1 show=tasks\n")
        check_equal("with O_TRUNC, O_APPEND, O_CREAT", _pids(fd), [1])
    finally:
        os.close(fd)


@test
def privileges_of_the_opener() -> None:
    """Who has the file open may ask and read, whatever became of its privileges since."""

    def ask() -> list[int]:
        fd = module.open_for_queries()
        syscalls.drop_capability(syscalls.CAP_SYS_ADMIN)
        os.setresuid(65534, 65534, 65534)
        os.write(fd, b"pid=1 show=tasks")
        return _pids(fd)

    module.ensure_loaded()
    check_equal("processes", forked.call(ask), [1])


@test
def shells() -> None:
    """A query from a shell, as the documentation has it."""
    module.ensure_loaded()
    script = "exec 3<>/proc/nsinspect; echo 'pid=1 show=tasks' >&3; cat <&3"
    for shell in ("bash", "busybox sh"):
        reader, writer = os.pipe()
        pid = os.posix_spawnp(
            shell.split()[0],
            [*shell.split(), "-c", script],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
        )
        os.close(writer)
        text = module.read_all(reader)
        os.close(reader)
        check_equal(f"exit status of {shell}", os.waitpid(pid, 0)[1], 0)
        check_equal(f"answer to {shell}", [task.pid for task in format1.parse(text).tasks], [1])
