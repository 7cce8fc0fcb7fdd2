# SPDX-License-Identifier: GPL-2.0
"""Holds: all of them against procfs and system calls, and those that were made for the tests."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import stat
import subprocess
import time
from dataclasses import dataclass

import forked
import holders
import module
import nsfs
import procfs
import syscalls
from compare import consistency
from format1 import Document, Hold
from holders import Internal, Seen
from runner import Failure, Skip, check, check_equal, tell, test
from specimens import holders as specimens
from specimens.holders import PLACE, World
from tests import scene
from zoo import end, spawn

EVERYTHING = "show=ns,tasks,mounts,holds"

_LOOP_CTL_GET_FREE = 0x4C82


@dataclass(frozen=True)
class _Taken:
    """A text, and what was seen before and after it."""

    world: World
    document: Document
    seen: list[Seen]
    all_seen: list[Seen]
    """What was there at least once."""
    internal: Internal
    relations: set[tuple[int, int]]
    sockets: set[tuple[int, int, int]]
    """Those of other network namespaces: the namespace, the process, the descriptor."""
    pidfds: dict[tuple[int, int], tuple[int, int]]
    """By process and descriptor: the process that it stands for, and that one's pid namespace."""


_once: list[_Taken] = []


def _taken() -> _Taken:
    """Taken at the first call; the processes that were made for it are gone by then."""
    if _once:
        return _once[0]
    scene.take()
    with specimens.world() as world:
        before = holders.look_at_all()
        relations = holders.relations()
        document = module.ask_document(EVERYTHING)
        after = holders.look_at_all()
        internal = holders.internal()
        seen = holders.stable(before, after)
        sockets, pidfds = set(), {}
        for one in _own(seen):
            fd = _fd(one)
            if fd is None:
                continue
            if one.device == internal.sockets and one.tid == one.pid:
                net = holders.socket_namespace(one.pid, fd)
                if net is not None and net != os.stat(f"/proc/{one.pid}/ns/net").st_ino:
                    sockets.add((net, one.pid, fd))
            elif one.device == internal.pidfds:
                of = holders.pidfd_of(one.pid, one.tid, fd)
                if of is not None:
                    pidfds[one.pid, fd] = of, os.stat(f"/proc/{of}/ns/pid").st_ino
        _once.append(
            _Taken(
                world,
                document,
                seen,
                [*before.values(), *after.values()],
                internal,
                relations & holders.relations(),
                sockets,
                pidfds,
            )
        )
    return _once[0]


def _word(seen: Seen) -> str:
    kind = seen.link.split("/")[0]
    return "map" if kind == "map_files" else kind


def _fd(seen: Seen) -> int | None:
    return int(seen.link[3:]) if seen.link.startswith("fd/") else None


def _key_of(seen: Seen) -> tuple[object, ...]:
    """What a hold by it has in common with it alone."""
    what = seen.mount if seen.link.startswith("map_files") else _fd(seen)
    tid = None if seen.tid == seen.pid else seen.tid
    name = os.path.basename(seen.text.removesuffix(b" (deleted)")) if seen.link.startswith("map_files") else None
    return (_word(seen), seen.pid, tid, what, name)


def _key(hold: Hold) -> tuple[object, ...]:
    is_map = hold.by == "map"
    what = hold.fields["mount"] if is_map else hold.fields.get("fd")
    path = hold.fields["path"]
    assert isinstance(path, bytes)
    name = os.path.basename(path.removesuffix(b"//deleted")) if is_map else None
    return (hold.by, hold.fields["pid"], hold.tid, what, name)


def _path(text: bytes) -> bytes:
    """A link of procfs, as the text writes its path."""
    return text.removesuffix(b" (deleted)") + (b"//deleted" if text.endswith(b" (deleted)") else b"")


def _listing(seen: list[Seen], kinds: tuple[str, ...]) -> dict[str, tuple[bytes, int]]:
    return {one.link: (one.text, one.inode) for one in seen if one.link.split("/")[0] in kinds}


def _own(seen: list[Seen]) -> list[Seen]:
    """Without what threads have in common with the main threads of their processes."""
    of_task: dict[tuple[int, int], list[Seen]] = {}
    for one in seen:
        of_task.setdefault((one.pid, one.tid), []).append(one)
    own = []
    common: dict[tuple[int, int, str], bool] = {}
    for one in seen:
        if one.tid == one.pid:
            own.append(one)
            continue
        kind = one.link.split("/")[0]
        if kind == "exe":
            continue
        kinds = ("fd",) if kind == "fd" else ("cwd", "root")
        key = (one.pid, one.tid, kinds[0])
        if key not in common:
            main = _listing(of_task.get((one.pid, one.pid), []), kinds)
            common[key] = main == _listing(of_task[one.pid, one.tid], kinds)
        if not common[key]:
            own.append(one)
    return own


def _is_of_memory(seen: Seen) -> bool:
    return _word(seen) in ("exe", "map")


def _living(taken: _Taken) -> set[int]:
    """Processes whose main threads live. Of others another thread is told, which alone has links in procfs."""
    return {one.pid for one in taken.seen if one.tid == one.pid and one.link == "root"}


def _dev_complaints(taken: _Taken, words: tuple[str, ...]) -> list[str]:
    """Compares what keeps mounts busy with what procfs shows, both ways."""
    hidden = taken.internal.hidden
    devices = {mount.id: mount.info.device for mount in taken.document.mounts}
    lists = {mount.id: mount.namespace for mount in taken.document.mounts}
    task_of = {task.pid: task for task in taken.document.tasks}
    holds = {
        _key(hold): hold for hold in taken.document.holds if hold.kind == "dev" and hold.by in words
    }
    living = _living(taken)
    others = {
        (pid, hold.by in ("exe", "map")) for hold in taken.document.holds for pid in hold.also
    }
    wanted = {
        _key_of(seen): seen
        for seen in _own(taken.seen)
        if _word(seen) in words
        and seen.device not in hidden
        and seen.pid in task_of
        and seen.pid in living
        # What two have in common is told once.
        and (seen.pid, _is_of_memory(seen)) not in others
        # The root of kernel threads is a file system of the kernel's own.
        and not (_word(seen) in ("root", "cwd") and task_of[seen.pid].fields["rootns"] is None
                 and task_of[seen.pid].fields["kind"] == "kthread")
    }
    known = {_key_of(seen) for seen in taken.all_seen}
    complaints = [f"missing: {wanted[key]}" for key in wanted if key not in holds]
    for key, hold in holds.items():
        pid = hold.fields["pid"]
        is_reader = hold.fields["path"] == b"/proc/nsinspect"
        if key not in known and not is_reader and task_of[pid].via is None:  # type: ignore[index]
            complaints.append(f"nobody has {hold}")
        if key not in wanted:
            continue
        seen = wanted[key]
        mount = hold.fields["mount"]
        if mount != seen.mount:
            complaints.append(f"{hold} is on mount {seen.mount}")
        device = devices.get(seen.mount, holders.device_numbers(seen.device))
        if hold.held != device:
            complaints.append(f"{hold} is on {device}")
        if (hold.fields["at"] == "attached") != (seen.mount in devices):
            complaints.append(f"{hold}, which has {'a' if seen.mount in devices else 'no'} mount record")
        task = task_of[seen.pid]
        is_plain = task.fields["chroot"] == 0 and lists.get(seen.mount) == task.fields["mntns"]
        if is_plain and hold.tid is None and hold.fields["path"] != _path(seen.text):
            complaints.append(f"{hold}: the link says {seen.text!r}")
    if len(wanted) < 50:
        complaints.append(f"only {len(wanted)} were compared")
    tell(f"compared {', '.join(words)}: {len(wanted)}")
    return complaints


@test
def holds_descriptors() -> None:
    """Each open descriptor on a mount is a hold, of threads with tables of their own too, and no other is."""
    taken = _taken()
    check(_dev_complaints(taken, ("fd",)))


@test
def holds_directories() -> None:
    """So is each root, working directory and program."""
    taken = _taken()
    check(_dev_complaints(taken, ("cwd", "root", "exe")))


@test
def holds_mappings() -> None:
    """So is each file that a process has mapped, once, and those of memory that two share once for both."""
    taken = _taken()
    world = taken.world
    also = {
        (hold.fields["pid"], hold.also) for hold in taken.document.holds if hold.by == "map" and hold.also
    }
    check_equal("shared memory", also, {(world.pids["shared memory"], (world.reports["shared memory"],))})
    keys = [hold.key for hold in taken.document.holds if (hold.kind, hold.by) == ("dev", "map")]
    check_equal("mapped files that come twice", len(keys) - len(set(map(str, keys))), 0)
    check(_dev_complaints(taken, ("map",)))


def _of(document: Document, *words: str) -> list[Hold]:
    return [hold for hold in document.holds if hold.kind == "ns" and hold.by in words]


@test
def holds_namespace_files() -> None:
    """Each descriptor of a namespace's file is a hold of it, each pidfd one of its process's pid namespace."""
    taken = _taken()
    wanted = {}
    for seen in _own(taken.seen):
        fd = _fd(seen)
        if fd is None or seen.pid == taken.world.reports["shared table"]:
            continue
        if seen.device == taken.internal.namespaces:
            wanted["fd", seen.inode, seen.pid, fd] = None
        elif (seen.pid, fd) in taken.pidfds:
            of, inum = taken.pidfds[seen.pid, fd]
            wanted["pidfd", inum, seen.pid, fd] = of
    known = {(one.pid, _fd(one)) for one in taken.all_seen}
    holds = {
        (hold.by, hold.held, hold.fields["pid"], hold.fields["fd"]): hold.fields.get("of")
        for hold in _of(taken.document, "fd", "pidfd")
    }
    check(
        [f"missing: {key}" for key in wanted if key not in holds]
        + [f"{key}: of={holds[key]}, is {wanted[key]}" for key in wanted if wanted[key] != holds.get(key)]
        + [f"nobody has {key}" for key in holds if key[2:] not in known]
    )
    if len(wanted) < 10:
        raise Failure(f"only {len(wanted)} were compared")
    tell(f"compared: {len(wanted)}")


@test
def holds_sockets() -> None:
    """Each socket of another network namespace than its process's is a hold of that, and no other is."""
    taken = _taken()
    wanted = taken.sockets
    net, fd = taken.world.reports["socket"]
    if (net, taken.world.pids["socket"], fd) not in wanted:
        raise Failure("the socket that was made for this is not among those to be found")
    holds = {(hold.held, hold.fields["pid"], hold.fields["fd"]) for hold in _of(taken.document, "socket")}
    check_equal("sockets of other network namespaces", sorted(map(str, holds)), sorted(map(str, wanted)))


@test
def holds_children() -> None:
    """Each namespace keeps its owner and the one that it lies below."""
    taken = _taken()
    holds = {(hold.held, hold.fields["ns"]) for hold in _of(taken.document, "child")}
    inums = {ns.inum for ns in taken.document.namespaces}
    wanted = {pair for pair in taken.relations if inums.issuperset(pair)}
    check([f"missing: {pair}" for pair in wanted - holds])
    facts = {ns.inum: ns.fields for ns in taken.document.namespaces}
    for of, child in holds:
        fields = facts[child]  # type: ignore[index]
        if of not in (fields["owner"], fields.get("parent")):
            raise Failure(f"{child} does not keep {of}: {fields}")


@test
def holds_mounts_of_namespaces() -> None:
    """Each mount of a namespace's file is a hold of it, and each procfs one of its pid namespace."""
    taken = _taken()
    wanted, procs = set(), set()
    for mount in taken.document.mounts:
        root = mount.info.root
        if mount.info.type == b"nsfs":
            wanted.add((int(root.partition(b"[")[2].rstrip(b"]")), mount.namespace, mount.id))
        elif mount.info.type == b"proc":
            procs.add((mount.namespace, mount.id))
    holds = {
        (hold.held, hold.fields["mntns"], hold.fields["mount"]) for hold in _of(taken.document, "mount")
    }
    check_equal("mounts of namespaces' files", sorted(map(str, holds)), sorted(map(str, wanted)))
    if len(wanted) < 5:
        raise Failure(f"only {len(wanted)} were compared")
    pids = {ns.inum for ns in taken.document.namespaces if ns.type == "pid"}
    shown = {
        (hold.fields["mntns"], hold.fields["mount"]): hold
        for hold in _of(taken.document, "fs")
        if hold.held in pids and "mntns" in hold.fields
    }
    check_equal("mounts of procfs", sorted(shown), sorted(procs))
    check_equal("they keep it", {hold.fields["keeps"] for hold in shown.values()}, {1})
    # That of a container is the one that its process 1 is in.
    container = taken.document.task(scene.take().zoo["container"].pid)
    mntns, pidns = container.fields["mntns"], container.fields["pidns"]
    own = [hold for (namespace, _), hold in shown.items() if namespace == mntns]
    check_equal("procfs of a container", {hold.held for hold in own}, {pidns})


@test
def holds_devices_by_mounts() -> None:
    """Each mount is a hold of its device, with the path of its mount record."""
    taken = _taken()
    holds = [hold for hold in taken.document.holds if (hold.kind, hold.by) == ("dev", "mount")]
    got = [(hold.held, hold.fields["mntns"], hold.fields["mount"]) for hold in holds]
    check_equal(
        "mounts", got, [(m.info.device, m.namespace, m.id) for m in taken.document.mounts]
    )


@test
def holds_of_children() -> None:
    """Each process whose children will be in another namespace than it is in keeps that."""
    taken = _taken()
    wanted = set()
    for task in taken.document.tasks:
        for key, own in (("pid_for_children", "pidns"), ("time_for_children", "timens")):
            if task.fields[key] not in (None, task.fields[own]) and task.via is None:
                wanted.add((task.fields[key], task.pid))
    holds = {
        (hold.held, hold.fields["pid"]) for hold in _of(taken.document, "for_children") if hold.tid is None
    }
    check_equal("holds", sorted(map(str, holds)), sorted(map(str, wanted)))
    check_equal("there are some", len(wanted) > 2, True)


@test
def holds_of_threads() -> None:
    """Each namespace that only a thread of a process is in is kept by that thread."""
    taken = scene.take()
    odd = taken.zoo["odd threads"]
    main = taken.everything.task(odd.pid).fields
    wanted = set()
    for thread in taken.everything.threads:
        if thread.fields["tgid"] == odd.pid:
            wanted |= {
                (thread.fields[key], thread.tid)
                for key in consistency.MEMBERSHIP.values()
                if thread.fields[key] != main[key]
            }
    answer = module.ask_document(f"pid={odd.pid} show=holds")
    holds = {(hold.held, hold.tid) for hold in answer.holds if hold.by == "thread"}
    check_equal("holds", sorted(map(str, holds)), sorted(map(str, wanted)))


@test
def holds_by_hidden_file_systems() -> None:
    """A procfs that only a descriptor leads to keeps its pid namespace."""
    module.ensure_loaded()

    def arrange() -> int:
        specimens.mounts.private_namespace()
        os.mkdir(PLACE)
        syscalls.mount(b"proc", PLACE, b"proc")
        fd = os.open(PLACE, os.O_RDONLY)
        syscalls.umount(PLACE, syscalls.MNT_DETACH)
        return fd

    specimen = spawn(arrange)
    try:
        inum = os.stat("/proc/self/ns/pid").st_ino
        answer = module.ask_document(f"ns={inum} show=holds")
        own = [hold.fields for hold in answer.holds if hold.fields.get("pid") == specimen.pid]
        check_equal("holds", [(one["fd"], one["at"], one["keeps"]) for one in own], [(specimen.report, "detached", 1)])
    finally:
        end(specimen)


@test
def holds_block_devices() -> None:
    """Who has a block device open by its special file keeps that device."""
    module.ensure_loaded()
    subprocess.run(["modprobe", "--quiet", "loop"], check=False)
    with contextlib.suppress(FileNotFoundError), open("/dev/loop-control", "rb") as control:
        fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
    names = sorted(os.listdir("/sys/block"))
    if not names:
        raise Skip("this kernel has no block device")
    with open(f"/sys/block/{names[0]}/dev", encoding="ascii") as file:
        major, minor = map(int, file.read().split(":"))
    path = b"/dev/a block device"

    def arrange() -> int:
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(major, minor))
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.unlink(path)
        return fd

    specimen = spawn(arrange)
    try:
        answer = module.ask_document(f"dev={major}:{minor} show=holds")
        found = [
            (hold.fields["pid"], hold.fields["fd"], hold.fields["path"])
            for hold in answer.holds
            if hold.by == "blockdev"
        ]
        check_equal("holds", found, [(specimen.pid, specimen.report, path + b"//deleted")])
    finally:
        end(specimen)


@test
def holds_unknown() -> None:
    """A namespace in a message that nobody reads has no holder that was found, and the text says so."""
    taken = _taken()
    with specimens.world() as world:
        inum = world.reports["in flight"]
        alone = module.ask_document(f"ns={inum} show=ns,holds")
        check_equal("active", alone.namespaces[0].fields["active"], 1)
        check_equal("holds", [(hold.held, hold.by) for hold in alone.holds], [(inum, "unknown")])
    inum = taken.world.reports["in flight"]
    unknown = {hold.held for hold in _of(taken.document, "unknown")}
    check_equal("it is among all", inum in unknown, True)
    kept = {hold.held for hold in _of(taken.document, "fd", "mount", "child", "thread", "for_children")}
    check([f"{one} is kept by something" for one in unknown & kept])


@test
def holds_dying() -> None:
    """A pid namespace that does not die: the zombie in it, and who does not wait for that."""
    module.ensure_loaded()
    with specimens.world() as world:
        inum, first, second = world.reports["dying"]
        answer = module.ask_document(f"ns={inum} show=ns,tasks,holds")
        check_equal("dying", answer.namespaces[0].fields["dying"], 1)
        zombies = [hold.fields for hold in answer.holds if hold.by == "zombie"]
        parent = world.pids["dying"]
        wanted = [{"pid": second, "ppid": parent, "tracer": None}]
        check_equal("zombies", [one for one in zombies if one["pid"] != first], wanted)
        states = {task.pid: task.fields["state"] for task in answer.tasks}
        check_equal("state", states[second], "Z")


@test
def holds_lazily_unmounted() -> None:
    """What keeps a file system busy that was unmounted lazily: all reasons, before and after."""
    module.ensure_loaded()
    with specimens.world() as world:
        query = "dev=%d:%d show=mounts,holds" % world.device
        wanted = {
            ("fd", world.pids["fd"]): {b"/dir", b"/removed//deleted"},
            ("cwd", world.pids["cwd"]): {b"/dir"},
            ("root", world.pids["root"]): {b"/"},
            # Python keeps a descriptor of what it maps.
            ("fd", world.pids["map"]): {b"/file"},
            ("map", world.pids["map"]): {b"/file"},
            ("exe", world.pids["exe"]): {b"/program"},
            ("map", world.pids["exe"]): {b"/program"},
            ("fd", world.pids["own table"]): {b"/dir"},
            ("cwd", world.pids["own directory"]): {b"/dir"},
            ("fd", world.pids["shared table"]): {b"/dir"},
        }

        def look(prefix: bytes, at: str, mounts: int) -> Document:
            answer = module.ask_document(query)
            found: dict[tuple[object, ...], set[bytes]] = {}
            for hold in answer.holds:
                if hold.by == "mount":
                    continue
                path = hold.fields["path"]
                assert isinstance(path, bytes)
                found.setdefault((hold.by, hold.fields["pid"]), set()).add(path)
                check_equal("at", (hold.fields["at"], hold.fields["mount"]), (at, world.mount))
            full = {
                key: {(prefix + path).rstrip(b"/") or b"/" for path in paths} for key, paths in wanted.items()
            }
            check_equal("holds", found, full)
            by_mount = [hold for hold in answer.holds if hold.by == "mount"]
            check_equal("by mount", (len(by_mount), len(answer.mounts)), (mounts, mounts))
            return answer

        answer = look(PLACE, "attached", 1)
        tids = {hold.tid for hold in answer.holds if hold.fields.get("pid") == world.pids["own table"]}
        check_equal("thread with a table", tids, {world.reports["own table"]})
        also = [hold.also for hold in answer.holds if hold.fields.get("pid") == world.pids["shared table"]]
        check_equal("who shares the table", also, [(world.reports["shared table"],)])
        for key in ("mount=%d" % world.mount, "mount=%d dev=%d:%d" % (world.mount, *world.device)):
            other = module.ask_document(f"{key} show=mounts,holds")
            check_equal(key, [hold.key for hold in other.holds], [hold.key for hold in answer.holds])
        forked.call(lambda: _unmount(world.pid))
        look(b"", "detached", 0)


def _unmount(pid: int) -> None:
    fd = nsfs.open_link(pid, "mnt")
    assert fd is not None
    syscalls.setns(fd, syscalls.CLONE_NEWNS)
    syscalls.umount(PLACE, syscalls.MNT_DETACH)


@test
def holds_trees() -> None:
    """A tree of mounts that only a descriptor leads to keeps the devices of all of them."""
    module.ensure_loaded()
    specimen = spawn(specimens.tree_with_mounts)
    try:
        outer, inner = map(holders.device_numbers, specimen.report)
        for device, path in ((outer, b"/"), (inner, b"/dir")):
            answer = module.ask_document("dev=%d:%d show=mounts,holds" % device)
            found = [
                (hold.by, hold.fields["pid"], hold.fields["at"], hold.fields["path"]) for hold in answer.holds
            ]
            check_equal(f"holds of {device}", found, [("fd", specimen.pid, "anonymous", path)])
            check_equal("mounts", answer.mounts, [])
    finally:
        end(specimen)


@test
def holds_queries() -> None:
    """pid=, ns= and kind= keep of all holds those that they are about."""
    module.ensure_loaded()
    with specimens.world() as world:
        everything = module.ask_document("show=holds")
        for name in ("fd", "map", "own table", "socket"):
            pid = world.pids[name]
            answer = module.ask_document(f"pid={pid} show=holds")
            wanted = [hold.key for hold in everything.holds if hold.fields.get("pid") == pid]
            check_equal(f"pid= of {name}", [hold.key for hold in answer.holds], wanted)
        tid = world.reports["own table"]
        answer = module.ask_document(f"pid={tid} show=holds")
        own = [hold.key for hold in everything.holds if hold.tid == tid]
        got = [hold.key for hold in answer.holds if hold.by == "fd"]
        check_equal("pid= of a thread", got, [key for key in own if key[2] == "fd"])
        net, _ = world.reports["socket"]
        for ns in (net, os.stat("/proc/self/ns/user").st_ino, os.stat("/proc/self/ns/pid").st_ino):
            answer = module.ask_document(f"ns={ns} show=holds")
            wanted = [hold.key for hold in everything.holds if (hold.kind, hold.held) == ("ns", ns)]
            # A namespace that the query itself refers to, and processes that come and go.
            missing = set(wanted) - {hold.key for hold in answer.holds}
            check([f"ns={ns}: missing {key}" for key in missing if not _has_ended(key)])
            check_equal("others", [hold for hold in answer.holds if (hold.kind, hold.held) != ("ns", ns)], [])
        answer = module.ask_document("kind=kthread show=holds")
        users = {task.pid for task in module.ask_document("kind=user show=tasks").tasks}
        check([f"{hold} of a user's" for hold in answer.holds if hold.fields.get("pid") in users])
        check_equal("nothing", module.ask_document("ns=1 show=holds").holds, [])
        check_equal("without show", module.read_document().holds, [])


def _has_ended(key: tuple[object, ...]) -> bool:
    pid = dict(part for part in key if isinstance(part, tuple) and len(part) == 2).get("pid")
    return pid is not None and not os.path.exists(f"/proc/{pid}")


@test
def holds_anonymous_directory() -> None:
    """A working directory in a tree that only a descriptor has is in no mount namespace."""
    module.ensure_loaded()

    def arrange() -> None:
        os.fchdir(specimens.open_tree(b"/"))

    specimen = spawn(arrange)
    try:
        task = module.ask_document(f"pid={specimen.pid} show=tasks").task(specimen.pid)
        check_equal("cwdns", task.fields["cwdns"], None)
    finally:
        end(specimen)


_SPARSE = 100_000


@test
def holds_sparse() -> None:
    """A table of descriptors with great gaps is told whole, and the gaps take no time."""
    module.ensure_loaded()

    def arrange() -> list[int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_SPARSE + 1, _SPARSE + 1))
        fd = os.open("/", os.O_RDONLY)
        return [os.dup2(fd, number) for number in (63, 64, 65, 4095, 4096, _SPARSE)]

    specimen = spawn(arrange)
    try:
        began = time.monotonic()
        answer = module.ask_document(f"pid={specimen.pid} show=holds")
        tell(f"{(time.monotonic() - began) * 1000:.1f} ms")
        fds = [hold.fields["fd"] for hold in answer.holds if hold.by == "fd"]
        got = [fd for fd in fds if isinstance(fd, int) and fd >= 63]
        check_equal("descriptors", got, specimen.report)
    finally:
        end(specimen)


@test
def holds_many() -> None:
    """Many descriptors of one process are told, each once and in order."""
    module.ensure_loaded()
    number = 20_000

    def arrange() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number + 100, number + 100))
        fd = os.open("/", os.O_RDONLY)
        for _ in range(number):
            os.dup(fd)

    specimen = spawn(arrange)
    try:
        answer = module.ask_document(f"pid={specimen.pid} show=holds")
        fds = [hold.fields["fd"] for hold in answer.holds if hold.by == "fd"]
        check_equal("in order", fds, sorted(set(fds)))  # type: ignore[type-var]
        wanted = sum(
            os.stat(f"/proc/{specimen.pid}/fd/{fd}").st_dev == os.stat("/").st_dev
            for fd in os.listdir(f"/proc/{specimen.pid}/fd")
        )
        on_root = [hold for hold in answer.holds if hold.by == "fd" and hold.fields["path"] == b"/"]
        check_equal("descriptors of the root", len(on_root) >= number, True)
        check_equal("no fewer than there are", len(fds) >= wanted, True)
    finally:
        end(specimen)


@test
def holds_keep_nothing() -> None:
    """A file system that was looked at can be unmounted at once, and a file that was closed is closed."""
    module.ensure_loaded()

    def arrange() -> int:
        specimens.mounts.private_namespace()
        specimens.make_place()
        specimens.by_mapping()
        device = holders.device_numbers(os.stat(PLACE).st_dev)
        for _ in range(50):
            module.ask_document("dev=%d:%d show=holds" % device)
        specimens._kept.clear()
        return forked.errno_of(lambda: syscalls.umount(PLACE))

    check_equal("umount", forked.call(arrange), 0)


@test
def holds_credentials() -> None:
    """A file that was opened in another user namespace keeps that."""
    module.ensure_loaded()

    def arrange() -> tuple[int, int]:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            kept = os.open("/", os.O_RDONLY)
            inum = os.stat("/proc/self/ns/user").st_ino
            os.write(writer, f"{kept} {inum}".encode())
            time.sleep(1000)
        kept, inum = map(int, os.read(reader, 100).split())
        fd = syscalls.descriptor_of(pid, kept)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        return fd, inum

    specimen = spawn(arrange)
    try:
        fd, inum = specimen.report
        answer = module.ask_document(f"ns={inum} show=ns,holds")
        found = [(hold.by, hold.fields["pid"], hold.fields["fd"]) for hold in answer.holds]
        check_equal("holds", found, [("cred", specimen.pid, fd)])
    finally:
        end(specimen)


@test
def holds_of_itself() -> None:
    """A reader sees the file that it reads."""
    module.ensure_loaded()
    with open(module.PROC_FILE, "r+b", buffering=0) as file:
        file.write(b"pid=%d show=holds" % int(os.readlink("/proc/self")))
        text = file.readall() or b""
        check_equal("its own", f" fd={file.fileno()} ".encode() in text, True)
    with contextlib.suppress(OSError):
        check_equal("bad", forked.errno_of(lambda: module.ask(b"show=hold")), errno.EINVAL)
    check_equal("processes", procfs.pids()[0], 1)
