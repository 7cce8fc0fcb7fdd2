# SPDX-License-Identifier: GPL-2.0
"""The module under test: loading, unloading and reading it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

import format1
import syscalls
from format1 import Document

NAME = b"nsinspect"
PROC_FILE = "/proc/nsinspect"
_STEPS_FILE = "/sys/kernel/debug/nsinspect/steps"
_KUNIT_GLOB = "/sys/module/kunit/parameters/filter_glob"


def is_loaded() -> bool:
    """Whether the kernel has the module."""
    return os.path.exists("/sys/module/nsinspect")


def load(parameters: bytes = b"") -> None:
    """Loads it; an error when it is loaded already."""
    fd = os.open(os.environ["NSINSPECT_KO"], os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.finit_module(fd, parameters)
    finally:
        os.close(fd)


# A change after which the module finds no BTF in sysfs: of the name that it looks for there.
NO_BTF = (b"kernel/btf/vmlinux\0", b"kernel/none/vmlinu\0")


def altered(*changes: tuple[bytes, bytes]) -> bytes:
    """The module with some bytes replaced by as many, each of which it must have in one place."""
    with open(os.environ["NSINSPECT_KO"], "rb") as file:
        data = file.read()
    for old, new in changes:
        if len(old) != len(new) or data.count(old) != 1:
            raise ValueError(f"cannot replace by {new!r} what the module has {data.count(old)} times: {old!r}")
        data = data.replace(old, new)
    return data


def unload() -> None:
    """Unloads it; an error when it is not loaded."""
    syscalls.delete_module(NAME)


def ensure_loaded() -> None:
    """Loads it unless it is loaded."""
    if not is_loaded():
        load()


def ensure_unloaded() -> None:
    """Unloads it if it is loaded."""
    if is_loaded():
        unload()


@contextlib.contextmanager
def without_suites() -> Iterator[None]:
    """Loads run no KUnit suites meanwhile, on kernels that have KUnit: these have tests of their own."""
    if not os.path.exists(_KUNIT_GLOB):
        yield
        return

    def write(glob: str) -> None:
        with open(_KUNIT_GLOB, "w", encoding="ascii") as file:
            file.write(f"{glob}\n")

    write("none")
    try:
        yield
    finally:
        write("*")


def steps() -> dict[str, int]:
    """What it has done since it was loaded, by kind of step; empty on kernels where it does not count."""
    try:
        with open(_STEPS_FILE, encoding="ascii") as file:
            return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", file.read())}
    except FileNotFoundError:
        return {}


def open_file() -> int:
    """Opens the file for reading."""
    return os.open(PROC_FILE, os.O_RDONLY | os.O_CLOEXEC)


def open_for_queries() -> int:
    """Opens the file for reading and writing."""
    return os.open(PROC_FILE, os.O_RDWR | os.O_CLOEXEC)


def read_all(fd: int, size: int = 1 << 20) -> bytes:
    """Reads to the end, `size` bytes at a time."""
    parts = []
    while part := os.read(fd, size):
        parts.append(part)
    return b"".join(parts)


def read_text() -> bytes:
    """A fresh text."""
    fd = open_file()
    try:
        return read_all(fd)
    finally:
        os.close(fd)


def read_document() -> Document:
    """A fresh text, parsed."""
    return format1.parse(read_text())


def ask(query: bytes) -> bytes:
    """The answer to a query."""
    fd = open_for_queries()
    try:
        os.write(fd, query + b"\n")
        return read_all(fd)
    finally:
        os.close(fd)


def ask_document(query: str) -> Document:
    """The answer to a query, parsed."""
    return format1.parse(ask(query.encode()))
