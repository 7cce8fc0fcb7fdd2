# SPDX-License-Identifier: GPL-2.0
"""The lines of /proc/PID/mountinfo."""

from __future__ import annotations

import re
from dataclasses import dataclass

from syscalls import PATH_MAX


class MountInfoError(Exception):
    """The line is none of mountinfo's."""


# Only a blank and a line feed separate: other white space may well be part of a name. The source may
# be empty, and what comes after it is the file system's business.
_LINE = re.compile(
    rb"(?P<id>\d+) (?P<parent>\d+) (?P<major>\d+):(?P<minor>\d+) (?P<root>[^ \n]+) (?P<point>[^ \n]+)"
    rb" (?P<options>r[ow][^ \n]*)(?P<tags>(?: (?:shared:\d+|master:\d+|propagate_from:\d+|unbindable))*)"
    rb" - (?P<type>[^ \n]+) (?P<source>[^ \n]*) (?P<super>r[ow][^\n]*)"
)


@dataclass(frozen=True)
class MountInfo:
    """One line, its names escaped as they are in it."""

    id: int
    parent: int
    device: tuple[int, int]
    root: bytes
    point: bytes
    options: bytes
    tags: tuple[bytes, ...]
    type: bytes
    source: bytes
    super_options: bytes

    @staticmethod
    def parse(line: bytes) -> MountInfo:
        """Reads a line without its line feed."""
        match = _LINE.fullmatch(line)
        if match is None:
            raise MountInfoError("this is not a line of mountinfo")
        return MountInfo(
            id=int(match["id"]),
            parent=int(match["parent"]),
            device=(int(match["major"]), int(match["minor"])),
            root=match["root"],
            point=match["point"],
            options=match["options"],
            tags=tuple(match["tags"].split()),
            type=match["type"],
            source=match["source"],
            super_options=match["super"],
        )


def without_propagate_from(line: bytes) -> bytes:
    """The line as it is in /proc/nsinspect, where that tag is left out."""
    head, dash, tail = line.partition(b" - ")
    return re.sub(rb" propagate_from:\d+", b"", head) + dash + tail


def escape(path: bytes) -> bytes:
    """A root or a mount point as mountinfo writes it."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in path)


def unescape(path: bytes) -> bytes:
    """The root or the mount point that `escape` wrote."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), path)


# Stands in /proc/nsinspect behind a name of which only the end is shown.
CUT = b"\\~"


def cut(path: bytes) -> bytes:
    """A mount point of mountinfo as it is in /proc/nsinspect: of one that is too long, the end."""
    whole = unescape(path)
    return path if len(whole) <= PATH_MAX else escape(whole[-PATH_MAX:]) + CUT


def overmounted(lines: list[MountInfo]) -> set[int]:
    """The ids of the mounts that have another mount on top, at the same place.

    A mount on top of another one's root has that one as its parent and shows the same mount point.
    """
    points = {info.id: info.point for info in lines}
    return {info.parent for info in lines if info.parent != info.id and points.get(info.parent) == info.point}
