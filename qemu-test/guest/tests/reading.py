# SPDX-License-Identifier: GPL-2.0
"""Ways to read: in pieces, back and forth, with the usual programs."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import subprocess
from collections.abc import Iterator

import format1
import module
import zoo
from runner import Failure, check, check_equal, tell, test, test_with
from specimens.crowd import crowd
from specimens.long import escaped_mounts, long_root


@contextlib.contextmanager
def _opened() -> Iterator[int]:
    module.ensure_loaded()
    fd = module.open_file()
    try:
        yield fd
    finally:
        os.close(fd)


def _whole(fd: int) -> bytes:
    """The text of an open file, whatever its position, which does not move."""
    parts: list[bytes] = []
    offset = 0
    while part := os.pread(fd, 1 << 20, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _fork_once() -> None:
    """Changes what a new snapshot would hold."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@test
def partial_reads() -> None:
    """Reads of 1, 7, 4095, 4096 and 4097 bytes add up to one text that parses."""
    for size in (1, 7, 4095, 4096, 4097):
        with _opened() as fd:
            text = module.read_all(fd, size)
            format1.parse(text)
            check_equal(f"the text by {size} bytes is the whole", text == _whole(fd), True)


@test
def full_buffers() -> None:
    """A read gets as much as it asks for until the text ends, and then nothing, time and again."""
    with _opened() as fd:
        size = len(_whole(fd))
        offset = 0
        while offset < size:
            got = len(os.read(fd, 5000))
            check_equal(f"bytes read at {offset}", got, min(5000, size - offset))
            offset += got
        check_equal("reads at the end", [os.read(fd, 10) for _ in range(3)], [b""] * 3)
        check_equal("pread far behind", os.pread(fd, 10, size + (1 << 40)), b"")
        check_equal("read of nothing", os.pread(fd, 0, 0), b"")


@test
def seeks() -> None:
    """pread at odd offsets and lseek to and fro show one and the same text."""
    with _opened() as fd:
        text = _whole(fd)
        size = len(text)
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        for _ in range(300):
            offset, length = chance.randrange(size + 10), chance.choice((1, 3, 100, 4096, 9999))
            if os.pread(fd, length, offset) != text[offset : offset + length]:
                raise Failure(f"pread of {length} at {offset} is not what is there (seed {seed})")
        position = 0
        for _ in range(300):
            target, length = chance.randrange(size), chance.choice((1, 50, 5000))
            if chance.random() < 0.5:
                got = os.lseek(fd, target, os.SEEK_SET)
            else:
                got = os.lseek(fd, target - position, os.SEEK_CUR)
            check_equal("lseek", got, target)
            part = os.read(fd, length)
            if part != text[target : target + length]:
                raise Failure(f"read of {length} at {target} is not what is there (seed {seed})")
            position = target + len(part)


def _lseek_errno(fd: int, offset: int, whence: int) -> int:
    try:
        os.lseek(fd, offset, whence)
    except OSError as error:
        return error.errno or -1
    return 0


@test
def bad_seeks() -> None:
    """A seek to before the start, or from an end that is not known yet, is refused and changes nothing."""
    with _opened() as fd:
        # Programs take a zero from SEEK_END for an empty file, or for one that they can read backwards.
        check_equal("lseek(0, SEEK_END) before a read", _lseek_errno(fd, 0, os.SEEK_END), errno.EINVAL)
        os.lseek(fd, 10, os.SEEK_SET)
        for offset, whence in ((-1, os.SEEK_SET), (-11, os.SEEK_CUR), (0, os.SEEK_END), (0, 99)):
            check_equal(f"lseek({offset}, {whence})", _lseek_errno(fd, offset, whence), errno.EINVAL)
        check_equal("position", os.lseek(fd, 0, os.SEEK_CUR), 10)


@test
def one_snapshot() -> None:
    """What is read belongs to the first read, whatever happens after; two files are independent."""
    with _opened() as first, _opened() as second:
        head = os.read(first, 64)
        _fork_once()
        _fork_once()
        text = head + module.read_all(first)
        check_equal("read again", os.lseek(first, 0, os.SEEK_SET), 0)
        other = module.read_all(second, 4096)
        one, two = format1.parse(text), format1.parse(other)
        if not one.header.uptime < two.header.uptime:
            raise Failure(f"uptimes {one.header.uptime} and {two.header.uptime} of reads after another")
        check_equal("the second text stays", _whole(second) == other, True)


@test
def snapshot_at_read() -> None:
    """The snapshot is of the first read, not of the open."""
    with _opened() as fd:
        pid = os.fork()
        if pid == 0:
            while True:
                os.read(os.pipe()[0], 1)
        try:
            document = format1.parse(module.read_all(fd))
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    document.task(pid)


def _output(command: str) -> bytes:
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    if done.returncode or done.stderr:
        raise Failure(f"{command}: status {done.returncode}, {done.stderr!r}")
    return done.stdout


def _broken(command: str) -> list[str]:
    """What is wrong with the text that a command prints."""
    try:
        format1.parse(_output(command))
    except format1.FormatError as error:
        return [f"{command}: {error}"]
    return []


@test
def programs() -> None:
    """cat, head, dd, tail, tac, grep and cp read the file."""
    module.ensure_loaded()
    name = module.PROC_FILE
    complaints = []
    for command in (
        f"cat {name}",
        f"cat <{name}",
        f"cat {name} | cat",
        f"dd if={name} bs=1 status=none",
        f"dd if={name} bs=512 status=none",
        f"cp {name} /tmp/copy && cat /tmp/copy && rm /tmp/copy",
        f"tac {name} | tac",
        f"tail -c +1 {name}",
        f"while read -r line; do printf '%s\\n' \"$line\"; done <{name}",
    ):
        complaints += _broken(command)
    check(complaints)
    check_equal("lines of head -1", _output(f"head -1 {name}").count(b"\n"), 1)
    check_equal("head -1", _output(f"head -1 {name}").split()[0], b"nsinspect")
    check_equal("tail -1", _output(f"tail -n 1 {name}").split()[0], b"end")
    check_equal("grep", _output(f"grep -c '^task 1 ' {name}"), b"1\n")


@test
def splice_and_sendfile() -> None:
    """The calls that move data without a buffer of the program's give the same text."""
    with _opened() as fd:
        text = _whole(fd)
        reader, writer = os.pipe()
        spliced = b""
        while count := os.splice(fd, writer, 4096):
            spliced += os.read(reader, count)
        check_equal("the spliced text is the whole", spliced == text, True)
        os.close(reader)
        os.close(writer)
        with open("/tmp/sent", "w+b", buffering=0) as sent:
            offset = 0
            while count := os.sendfile(sent.fileno(), fd, offset, 10000):
                offset += count
            sent.seek(0)
            check_equal("the sent text is the whole", sent.read() == text, True)
        os.unlink("/tmp/sent")


# Far more than what the module makes of a text at once, with records that are longer than that.
_CROWD = 100
_BATCHES = 60
_STEPS_EACH = 40
_LENGTHS = (1, 1, 2, 63, 4095, 4096, 4097, 32_767, 32_768, 32_769, 70_000, 300_000)


def _by_pread(fd: int, offset: int, length: int) -> bytes:
    return os.pread(fd, length, offset)


def _by_lseek(fd: int, offset: int, length: int) -> bytes:
    check_equal("lseek", os.lseek(fd, offset, os.SEEK_SET), offset)
    part = os.read(fd, length)
    check_equal("position", os.lseek(fd, 0, os.SEEK_CUR), offset + len(part))
    return part


def _by_readv(fd: int, offset: int, length: int) -> bytes:
    buffers = [bytearray(size) for size in (1, length // 3, 7, length) if size]
    got = os.preadv(fd, buffers, offset)
    return b"".join(buffers)[:got]


def _by_sendfile(fd: int, offset: int, length: int) -> bytes:
    with open("/tmp/sent", "w+b", buffering=0) as sent:
        while length and (count := os.sendfile(sent.fileno(), fd, offset, length)):
            offset, length = offset + count, length - count
        sent.seek(0)
        return sent.read()


def _by_splice(fd: int, offset: int, length: int) -> bytes:
    reader, writer = os.pipe()
    try:
        count = os.splice(fd, writer, min(length, 4096), offset_src=offset)
        return os.read(reader, count) if count else b""
    finally:
        os.close(reader)
        os.close(writer)


_WAYS = (_by_pread, _by_lseek, _by_readv, _by_sendfile, _by_splice)


def _parts(fd: int, chance: random.Random, size: int) -> Iterator[tuple[str, int, bytes, int]]:
    """Reads in some way at some place, time and again: in which way, where, what, and how much at most."""
    way = chance.choice(_WAYS)
    offset = chance.choice((0, chance.randrange(size), size - 1, size, size + chance.randrange(1 << 30)))
    stride = chance.choice((1, 5000, 40_000, -1, -63, -4096, -33_000, 0))
    for _ in range(_STEPS_EACH):
        length = chance.choice(_LENGTHS)
        yield way.__name__, offset, way(fd, offset, length), length
        if stride:
            offset = max(offset + stride, 0)
        else:
            offset = chance.randrange(size + 100)


def _check_parts(chance: random.Random, size: int) -> None:
    """Reads a new text at random places first, and compares that with the whole when it is known."""
    with _opened() as fd:
        parts = [part for _ in range(_BATCHES) for part in _parts(fd, chance, size)]
        os.lseek(fd, 0, os.SEEK_SET)
        text = module.read_all(fd, chance.choice((9999, 1 << 16, 1 << 20)))
        check_equal("the whole by pread", _whole(fd) == text, True)
    format1.parse(text)
    for way, offset, part, length in parts:
        if part != text[offset : offset + len(part)]:
            raise Failure(f"{way}: {len(part)} bytes at {offset} are not what is there")
        # Less only where the text ends, and by splice.
        least = min(length, max(len(text) - offset, 0))
        if len(part) < (min(least, 1) if way == "_by_splice" else least):
            raise Failure(f"{way}: {len(part)} bytes at {offset} instead of {least}")


# Not on the debug kernel, where it takes many minutes.
@test_with(on="stock uml")
def bytes_anywhere() -> None:
    """A long text of long records has the same bytes wherever one begins to read, in whatever way."""
    module.ensure_loaded()
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with crowd(tasks=_CROWD, arrange=long_root, root="."):
        specimen = zoo.spawn(escaped_mounts)
        try:
            text = module.read_text()
            longest = max(map(len, text.split(b"\n")))
            tell(f"{len(text)} bytes, the longest record has {longest} (seed {seed})")
            if longest <= 1 << 15 or len(text) < 20 << 15:
                raise Failure("the text is too short to see anything")
            for _ in range(3):
                _check_parts(chance, len(text))
        finally:
            zoo.end(specimen)
