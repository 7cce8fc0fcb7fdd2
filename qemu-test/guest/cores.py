# SPDX-License-Identifier: GPL-2.0
"""What is left of a program that died of a signal: its registers, and what of its stack may be return addresses.

The command is linked statically at fixed addresses, so that these say where it was, to whoever has the same build of it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PATTERN = Path("/proc/sys/kernel/core_pattern")
_CORE = Path("/run/core-of-a-test")

# elf(5): what a core file has.
_PT_LOAD, _PT_NOTE, _PF_X = 1, 4, 1
_NT_PRSTATUS = 1
# Where the registers are in `struct elf_prstatus`, and their names in the order of `struct user_regs_struct`.
_REGISTERS_AT = 112
_REGISTERS = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs"
).split()

# So many words of the stack are looked at, and so many of what may be return addresses are told.
_WORDS = 4096
_MOST = 40


@dataclass(frozen=True)
class _Part:
    """Memory that a core file has."""

    kind: int
    flags: int
    offset: int
    address: int
    bytes: int
    memory: int


def _parts(core: bytes) -> Iterator[_Part]:
    (begin,) = struct.unpack_from("<Q", core, 32)
    size, count = struct.unpack_from("<HH", core, 54)
    for number in range(count):
        kind, flags, offset, address, _, in_file, memory, _ = struct.unpack_from("<IIQQQQQQ", core, begin + size * number)
        yield _Part(kind, flags, offset, address, in_file, memory)


def _registers(core: bytes, note: _Part) -> dict[str, int]:
    """Those of the thread that died, which comes first."""
    at = note.offset
    while at < note.offset + note.bytes:
        name, described, kind = struct.unpack_from("<III", core, at)
        at += 12 + (name + 3 & ~3)
        if kind == _NT_PRSTATUS:
            return dict(zip(_REGISTERS, struct.unpack_from(f"<{len(_REGISTERS)}Q", core, at + _REGISTERS_AT)))
        at += described + 3 & ~3
    return {}


def describe(core: bytes) -> list[str]:
    """What a core file says, in lines."""
    parts = list(_parts(core))
    registers: dict[str, int] = {}
    for part in parts:
        if part.kind == _PT_NOTE and not registers:
            registers = _registers(core, part)
    code = [part for part in parts if part.kind == _PT_LOAD and part.flags & _PF_X]
    lines = [" ".join(f"{name}={value:#x}" for name, value in registers.items())]
    sp = registers.get("rsp", 0)
    for part in parts:
        if part.kind == _PT_LOAD and part.address <= sp < part.address + part.bytes:
            begin = part.offset + sp - part.address
            end = min(begin + 8 * _WORDS, part.offset + part.bytes)
            words = [word for (word,) in struct.iter_unpack("<Q", core[begin : begin + (end - begin) // 8 * 8])]
            lines.append("at the top of its stack: " + " ".join(f"{word:#x}" for word in words[:16]))
            into_code = [
                f"{8 * at:#x}:{word:#x}"
                for at, word in enumerate(words)
                if any(one.address <= word < one.address + one.memory for one in code)
            ]
            lines.append("words of its stack that lead into code: " + " ".join(into_code[:_MOST]))
    return lines


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Has the kernel write down what is left of programs that die meanwhile. Only root can; for others nothing is kept."""
    if os.geteuid() != 0:
        yield
        return
    pattern = _PATTERN.read_text(encoding="ascii")
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    _PATTERN.write_text(str(_CORE), encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
        _PATTERN.write_text(pattern, encoding="ascii")


def take() -> list[str]:
    """What the last one left, which is removed; nothing, if none did."""
    try:
        core = _CORE.read_bytes()
    except FileNotFoundError:
        return []
    os.unlink(_CORE)
    return describe(core)
