# SPDX-License-Identifier: GPL-2.0
"""Directories and mounts with names as long as they can be."""

from __future__ import annotations

import os

import syscalls
from specimens.mounts import BASE, private_namespace

# Names of a byte that takes four where it is escaped.
_NAME = b"\1" * 255
_LEVELS = 255
LONG_ROOT = BASE + (b"/" + _NAME) * _LEVELS


def long_root() -> None:
    """Goes to a directory as deep as can be, 65,000 bytes, from where one can change the root to it."""
    os.chdir(BASE)
    for _ in range(_LEVELS):
        os.mkdir(_NAME)
        os.chdir(_NAME)


# Each byte takes four where it is escaped, and with its slash a name takes 1,021.
_TABS = b"\t" * 255
_TABS_DEPTH = 300
# Of a mounted directory that is no longer than PATH_MAX where it is escaped, and of longer ones, which are
# cut in the first of the escapes, behind it, and in another one.
ENDS = [b"/x" + b"n" * rest for rest in range(9, 19)]
# As long as mount() takes it.
_SOURCE = b"\t" * 4095


def escaped_mounts() -> None:
    """A deep mount of a long source, and mounts of directories with long names."""
    private_namespace()
    for end in ENDS:
        name = BASE + (b"/" + _TABS) * 4 + end
        os.makedirs(name)
        syscalls.bind(name, name)
    os.chdir(BASE)
    for _ in range(_TABS_DEPTH):
        os.makedirs(_TABS, exist_ok=True)
        os.chdir(_TABS)
    syscalls.bind(b".", b".")
    syscalls.mount(_SOURCE, b".", b"tmpfs")
