# SPDX-License-Identifier: GPL-2.0
"""A strict parser of format 1, the text of /proc/nsinspect.

A program that reads the file should ignore keys and kinds that it does not know. This parser is for
tests and does the opposite: whatever the contract does not allow, word for word, is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from mountinfo import MountInfo, MountInfoError

Upid = tuple[int, int | None]
"""A number and the inode number of the pid namespace it is valid in."""

Extent = tuple[int, int, int]
"""A range of ids: the first inside, the same outside, how many."""

Value = int | str | bytes | tuple[int, ...] | tuple[Upid, ...] | tuple[Extent, ...] | None
"""What a `key=value` field holds; none stands for `-`."""


class FormatError(Exception):
    """The text breaks the contract."""


class CutText(bytes):
    """A string that had to be cut short."""


_NUMBER = re.compile(rb"0|[1-9][0-9]*")
_SIGNED = re.compile(rb"0|-?[1-9][0-9]*")
_CAPS = re.compile(rb"[0-9a-f]{16}")
_ESCAPED = frozenset(rb"\,@#=")
_ESCAPED_IN_PATHS = frozenset(b"\\")


def _escape(text: bytes, escaped: frozenset[int]) -> bytes:
    return b"".join(
        b"\\%03o" % byte if not 0x21 <= byte <= 0x7E or byte in escaped else bytes([byte])
        for byte in text
    )


def escape(text: bytes) -> bytes:
    """Writes a string as a value."""
    return b"\\055" if text == b"-" else _escape(text, _ESCAPED)


def escape_path(text: bytes) -> bytes:
    """Writes a path as a value."""
    return _escape(text, _ESCAPED_IN_PATHS)


def unescape_path(value: bytes) -> bytes:
    """Reads a path from a value, which must be written just as `escape_path` would."""
    return _unescape(value, escape_path)


def unescape(value: bytes) -> bytes:
    """Reads a string from a value, which must be written just as `escape` would."""
    return _unescape(value, escape)


def _unescape(value: bytes, escape: Callable[[bytes], bytes]) -> bytes:
    body = value
    kind: type[bytes] = bytes
    if value.endswith(b"\\~"):
        body, kind = value[:-2], CutText
    text = re.sub(rb"\\([0-3][0-7]{2})", lambda match: bytes([int(match[1], 8)]), body)
    if escape(text) != body:
        raise FormatError(f"{value!r} is not how a string is written")
    return kind(text)


def _number(value: bytes) -> int:
    if not _NUMBER.fullmatch(value):
        raise FormatError(f"{value!r} is not a number")
    return int(value)


def _signed(value: bytes) -> int:
    if not _SIGNED.fullmatch(value):
        raise FormatError(f"{value!r} is not a number")
    return int(value)


def _caps(value: bytes) -> int:
    """A set of capabilities, in hexadecimal digits as in /proc/PID/status."""
    if not _CAPS.fullmatch(value):
        raise FormatError(f"{value!r} is not a set of capabilities")
    return int(value, 16)


def _optional(parse: Callable[[bytes], Value]) -> Callable[[bytes], Value]:
    return lambda value: None if value == b"-" else parse(value)


def _one_of(*choices: str) -> Callable[[bytes], str]:
    def parse(value: bytes) -> str:
        text = value.decode("latin-1")
        if text not in choices:
            raise FormatError(f"{value!r} is none of {', '.join(choices)}")
        return text

    return parse


def _numbers(value: bytes) -> tuple[int, ...]:
    return tuple(_number(item) for item in value.split(b","))


def _upids(value: bytes) -> tuple[Upid, ...]:
    """Of a namespace that is gone there is no number, where another one has it."""

    def upid(item: bytes) -> Upid:
        number, at, namespace = item.partition(b"@")
        if not at:
            raise FormatError(f"{item!r} is not <nr>@<pid ns>")
        return _number(number), None if namespace == b"-" else _number(namespace)

    return tuple(upid(item) for item in value.split(b","))


def _extents(value: bytes) -> tuple[Extent, ...]:
    def extent(item: bytes) -> Extent:
        numbers = item.split(b":")
        if len(numbers) != 3:
            raise FormatError(f"{item!r} is not <inside>:<outside>:<count>")
        inside, outside, count = map(_number, numbers)
        return inside, outside, count

    return tuple(extent(item) for item in value.split(b","))


_FLAG = _one_of("0", "1")


def _flag(value: bytes) -> int:
    return int(_FLAG(value))


_STATE = _one_of(*"RSDTtXZPI")
_KIND = _one_of("user", "kthread")

Spec = dict[str, Callable[[bytes], Value]]

_NS_COMMON: Spec = {
    "id": _number,
    "owner": _optional(_number),
    "tasks": _optional(_number),
    "refs": _number,
    "active": _number,
}

NS_SPECS: dict[str, Spec] = {
    "pid": {
        **_NS_COMMON,
        "level": _number,
        "parent": _optional(_number),
        "reaper": _optional(_number),
        "pids": _number,
        "pid_max": _number,
        "dying": _flag,
    },
    "user": {
        **_NS_COMMON,
        "level": _number,
        "parent": _optional(_number),
        "uid": _number,
        "uid_map": _optional(_extents),
        "gid_map": _optional(_extents),
    },
    "mnt": {
        **_NS_COMMON,
        "mounts": _number,
        "pending": _number,
        "event": _number,
        "origin": _optional(_number),
        "root": _optional(_number),
    },
    "uts": {**_NS_COMMON, "nodename": unescape, "domainname": unescape},
    "ipc": _NS_COMMON,
    "net": _NS_COMMON,
    "cgroup": {**_NS_COMMON, "root": _optional(unescape_path)},
    "time": {**_NS_COMMON, "monotonic": _signed, "boottime": _signed},
}

# The namespaces of a task by key: the link in /proc/PID/ns that shows the same, and its type.
TASK_NAMESPACES = {
    "pidns": "pid",
    "pid_for_children": "pid_for_children",
    "mntns": "mnt",
    "utsns": "uts",
    "ipcns": "ipc",
    "netns": "net",
    "cgroupns": "cgroup",
    "timens": "time",
    "time_for_children": "time_for_children",
    "userns": "user",
}

# The keys that only processes have.
PROCESS_KEYS = ("pgid", "sid", "ppid", "threads", "kind")

TASK_SPEC: Spec = {
    "comm": unescape,
    "level": _number,
    "upid": _optional(_upids),
    "pgid": _optional(_numbers),
    "sid": _optional(_numbers),
    "ppid": _number,
    "tracer": _optional(_number),
    "uid": _number,
    "gid": _number,
    "euid": _number,
    "egid": _number,
    "caps": _caps,
    "seccomp": _number,
    "nnp": _flag,
    "threads": _number,
    "state": _STATE,
    "kind": _KIND,
    "start": _number,
    **dict.fromkeys(TASK_NAMESPACES, _optional(_number)),
    "chroot": _optional(_flag),
    "root": _optional(unescape_path),
    "rootns": _optional(_number),
    "cwd": _optional(unescape_path),
    "cwdns": _optional(_number),
    "cgroup": _optional(unescape_path),
    "cgroup_id": _number,
}

# What threads of one process have in common is left out.
THREAD_SPEC: Spec = {
    "tgid": _number,
    **{key: parse for key, parse in TASK_SPEC.items() if key not in PROCESS_KEYS},
}

REACHES = ("root", "over", "covered", "outside")

_PROCESS: Spec = {"pid": _number}
_DESCRIPTOR: Spec = {"pid": _number, "fd": _number}
_PLACE: Spec = {
    "mount": _number,
    "at": _one_of("attached", "detached", "anonymous"),
    "path": _optional(unescape_path),
}
_MOUNT: Spec = {"mntns": _number, "mount": _number}

# The fields of a hold behind `by=`, by what is held and that word: one of these.
HOLD_SPECS: dict[tuple[str, str], tuple[Spec, ...]] = {
    ("ns", "fd"): (_DESCRIPTOR,),
    ("ns", "pidfd"): ({**_DESCRIPTOR, "of": _optional(_number)},),
    ("ns", "socket"): (_DESCRIPTOR,),
    ("ns", "cred"): (_DESCRIPTOR,),
    ("ns", "fs"): (
        {**_MOUNT, "path": _optional(unescape_path), "keeps": _flag},
        {**_DESCRIPTOR, **_PLACE, "keeps": _flag},
        {**_PROCESS, **_PLACE, "keeps": _flag},
    ),
    ("ns", "mount"): ({**_MOUNT, "path": _optional(unescape_path)},),
    ("ns", "child"): ({"ns": _number},),
    ("ns", "thread"): (_PROCESS,),
    ("ns", "for_children"): (_PROCESS,),
    ("ns", "zombie"): ({**_PROCESS, "ppid": _number, "tracer": _optional(_number)},),
    ("ns", "unknown"): ({},),
    ("dev", "fd"): ({**_DESCRIPTOR, **_PLACE},),
    ("dev", "blockdev"): ({**_DESCRIPTOR, **_PLACE},),
    **{("dev", by): ({**_PROCESS, **_PLACE},) for by in ("cwd", "root", "exe", "map")},
    ("dev", "mount"): ({**_MOUNT, **_PLACE},),
}

# Those by what others can share: descriptors, or memory.
_SHARED = ("fd", "pidfd", "socket", "cred", "fs", "blockdev", "exe", "map")


@dataclass(frozen=True)
class Header:
    """The first record."""

    release: bytes
    uptime: int


@dataclass(frozen=True)
class Namespace:
    """An `ns` record."""

    type: str
    inum: int
    fields: dict[str, Value]
    torn: bool = False
    """Of a mount namespace: its mounts changed while they were listed."""


@dataclass(frozen=True)
class Task:
    """A `task` record."""

    pid: int
    fields: dict[str, Value]
    unlisted: bool
    via: int | None = None
    """The thread whose namespaces and directories it has, where the main thread has none any more."""
    mixed: bool = False
    """A thread is in a namespace that the main thread is not in."""
    unnumbered: bool = False
    """It is on the list, but not found by its number."""


@dataclass(frozen=True)
class Thread:
    """A `thread` record."""

    tid: int
    fields: dict[str, Value]


@dataclass(frozen=True)
class Mount:
    """A `mount` record."""

    namespace: int
    id: int
    reach: str
    locked: bool
    copy: bool
    line: bytes
    """The line as in mountinfo, without the line feed."""
    info: MountInfo


@dataclass(frozen=True)
class Hold:
    """A `hold` record."""

    kind: str
    """What is held: `ns` or `dev`."""
    held: int | tuple[int, int]
    """The namespace's inode number, or the device's numbers."""
    by: str
    fields: dict[str, Value]
    tid: int | None = None
    """The thread that has it, where the others of its process do not."""
    also: tuple[int, ...] = ()
    """Processes that have the same descriptors, or memory."""

    @property
    def key(self) -> tuple[object, ...]:
        """All that it says, to be compared."""
        return (self.kind, self.held, self.by, *self.fields.items(), ("tid", self.tid))


@dataclass(frozen=True)
class End:
    """The last record: how many records of each kind there are."""

    ns: int
    tasks: int
    threads: int
    mounts: int
    holds: int


@dataclass(frozen=True)
class Document:
    """A whole text."""

    header: Header
    namespaces: list[Namespace]
    tasks: list[Task]
    threads: list[Thread]
    mounts: list[Mount]
    end: End
    holds: list[Hold] = field(default_factory=list)

    def mounts_of(self, namespace: int) -> list[Mount]:
        """The mounts of one mount namespace, in the order of the text."""
        return self._mounts_by_namespace.get(namespace, [])

    @cached_property
    def _mounts_by_namespace(self) -> dict[int, list[Mount]]:
        found: dict[int, list[Mount]] = {}
        for mount in self.mounts:
            found.setdefault(mount.namespace, []).append(mount)
        return found

    def task(self, pid: int) -> Task:
        """The record of one process."""
        found = [task for task in self.tasks if task.pid == pid]
        if len(found) != 1:
            raise LookupError(f"there are {len(found)} task records of {pid}")
        return found[0]

    def thread(self, tid: int) -> Thread:
        """The record of one thread."""
        found = [thread for thread in self.threads if thread.tid == tid]
        if len(found) != 1:
            raise LookupError(f"there are {len(found)} thread records of {tid}")
        return found[0]

    def namespace(self, kind: str, inum: int | None) -> Namespace:
        """The record of one namespace."""
        found = [ns for ns in self.namespaces if (ns.type, ns.inum) == (kind, inum)]
        if len(found) != 1:
            raise LookupError(f"there are {len(found)} records of {kind} namespace {inum}")
        return found[0]


def _fields(spec: Spec, fields: list[bytes]) -> dict[str, Value]:
    """Reads `key=value` fields, which must be those of `spec`, in its order."""
    pairs = [field.partition(b"=") for field in fields]
    keys = [key.decode("latin-1") if equals else f"{key!r}, no key," for key, equals, _ in pairs]
    if keys != list(spec):
        raise FormatError(f"the keys are {' '.join(keys)}, not {' '.join(spec)}")
    values: dict[str, Value] = {}
    for key, (_, _, value) in zip(keys, pairs, strict=True):
        try:
            values[key] = spec[key](value)
        except FormatError as error:
            raise FormatError(f"{key}: {error}") from None
    return values


def _header(fields: list[bytes]) -> Header:
    if fields[:2] != [b"nsinspect", b"1"]:
        raise FormatError(f"the text begins with {b' '.join(fields[:2])!r}")
    values = _fields({"release": unescape, "uptime": _number}, fields[2:])
    release, uptime = values["release"], values["uptime"]
    assert isinstance(release, bytes) and isinstance(uptime, int)
    return Header(release, uptime)


def _namespace(fields: list[bytes]) -> Namespace:
    if len(fields) < 3:
        raise FormatError("the record is too short")
    kind = fields[1].decode("latin-1")
    if kind not in NS_SPECS:
        raise FormatError(f"there is no namespace type {kind!r}")
    torn = kind == "mnt" and fields[-1] == b"torn=1"
    values = _fields(NS_SPECS[kind], fields[3:-1] if torn else fields[3:])
    return Namespace(kind, _number(fields[2]), values, torn)


def _task(fields: list[bytes]) -> Task:
    if len(fields) < 2:
        raise FormatError("the record is too short")
    rest = fields[2:]
    unlisted = rest[-1:] == [b"unlisted=1"]
    if unlisted:
        rest.pop()
    unnumbered = rest[-1:] == [b"unnumbered=1"]
    if unnumbered:
        rest.pop()
    mixed = rest[-1:] == [b"mixed=1"]
    if mixed:
        rest.pop()
    via = _number(rest.pop()[4:]) if rest and rest[-1].startswith(b"via=") else None
    return Task(_number(fields[1]), _fields(TASK_SPEC, rest), unlisted, via, mixed, unnumbered)


def _thread(fields: list[bytes]) -> Thread:
    if len(fields) < 2:
        raise FormatError("the record is too short")
    return Thread(_number(fields[1]), _fields(THREAD_SPEC, fields[2:]))


def _mount(line: bytes) -> Mount:
    parts = line.split(b" ", 4)
    if len(parts) != 5:
        raise FormatError("the record is too short")
    _, namespace, mount_id, reach, rest = parts
    try:
        info = MountInfo.parse(rest)
    except MountInfoError as error:
        raise FormatError(str(error)) from None
    word, *marks = reach.split(b",")
    if marks not in ([], [b"locked"], [b"copy"], [b"locked", b"copy"]):
        raise FormatError(f"{reach!r} is no reach")
    locked, copy = b"locked" in marks, b"copy" in marks
    return Mount(
        _number(namespace), _number(mount_id), _one_of(*REACHES)(word), locked, copy, rest, info
    )


def _device(value: bytes) -> tuple[int, int]:
    major, colon, minor = value.partition(b":")
    if not colon:
        raise FormatError(f"{value!r} is not <major>:<minor>")
    return _number(major), _number(minor)


def _hold(fields: list[bytes]) -> Hold:
    if len(fields) < 4 or not fields[3].startswith(b"by="):
        raise FormatError("the record is too short")
    kind, by = fields[1].decode("latin-1"), fields[3][3:].decode("latin-1")
    if (kind, by) not in HOLD_SPECS:
        raise FormatError(f"nothing holds a {kind} by {by}")
    held = _number(fields[2]) if kind == "ns" else _device(fields[2])
    rest = fields[4:]
    also: tuple[int, ...] = ()
    if by in _SHARED and rest and rest[-1].startswith(b"also="):
        also = _numbers(rest.pop()[5:].removesuffix(b"\\~"))
    tid = _number(rest.pop()[4:]) if rest and rest[-1].startswith(b"tid=") else None
    specs = HOLD_SPECS[kind, by]
    keys = [field_.partition(b"=")[0].decode("latin-1") for field_ in rest]
    spec = next((spec for spec in specs if list(spec) == keys), specs[0])
    return Hold(kind, held, by, _fields(spec, rest), tid, also)


def _end(fields: list[bytes]) -> End:
    values = _fields(dict.fromkeys(("ns", "tasks", "threads", "mounts", "holds"), _number), fields[1:])
    counts = [value for value in values.values() if isinstance(value, int)]
    return End(*counts)


def count(text: bytes) -> End:
    """How many records of each kind a whole text has. Does not read them: in a long text that takes long. Raises a `FormatError` if
    the last line is no end, or says otherwise."""
    body, _, last = text.removesuffix(b"\n").rpartition(b"\n")
    fields = last.split(b" ")
    if not text.endswith(b"\n") or fields[0] != b"end":
        raise FormatError("the text has no end")
    counts = End(*(body.count(b"\n%s " % kind) for kind in (b"ns", b"task", b"thread", b"mount", b"hold")))
    if _end(fields) != counts:
        raise FormatError(f"the text ends with {_end(fields)}, but it has {counts}")
    return counts


_ORDER = (b"nsinspect", b"ns", b"task", b"thread", b"mount", b"hold", b"end")


def parse(text: bytes) -> Document:
    """Reads a whole text, or raises a `FormatError` that names the line."""
    if not text.endswith(b"\n"):
        raise FormatError("the text does not end with a line feed")
    headers: list[Header] = []
    namespaces: list[Namespace] = []
    tasks: list[Task] = []
    threads: list[Thread] = []
    mounts: list[Mount] = []
    holds: list[Hold] = []
    ends: list[End] = []
    last = -1
    for number, line in enumerate(text[:-1].split(b"\n"), 1):
        fields = line.split(b" ")
        try:
            if fields[0] not in _ORDER:
                raise FormatError(f"{fields[0]!r} is no kind of record")
            place = _ORDER.index(fields[0])
            if place < last or (place == last and fields[0] in (b"nsinspect", b"end")):
                raise FormatError("the record stands in the wrong place")
            last = place
            match fields[0]:
                case b"nsinspect":
                    headers.append(_header(fields))
                case b"ns":
                    namespaces.append(_namespace(fields))
                case b"task":
                    task = _task(fields)
                    if tasks and tasks[-1].unlisted and not task.unlisted:
                        raise FormatError("the process is listed, but comes after one that is not")
                    tasks.append(task)
                case b"thread":
                    threads.append(_thread(fields))
                case b"mount":
                    mounts.append(_mount(line))
                case b"hold":
                    holds.append(_hold(fields))
                case b"end":
                    ends.append(_end(fields))
        except FormatError as error:
            raise FormatError(f"line {number}: {error}: {line[:200]!r}") from None
    if not headers:
        raise FormatError("the text has no header")
    if not ends:
        raise FormatError("the text has no end")
    document = Document(headers[0], namespaces, tasks, threads, mounts, ends[0], holds)
    counts = End(len(namespaces), len(tasks), len(threads), len(mounts), len(holds))
    if document.end != counts:
        raise FormatError(f"the text ends with {document.end}, but it has {counts}")
    return document
