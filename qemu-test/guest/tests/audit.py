# SPDX-License-Identifier: GPL-2.0
"""The command's `audit`: each rule finds what looks like an attack, and says nothing of the normal thing next to it.

Containers are real ones, in cgroups that are called as docker's are. What is found of each must be exactly what the test expects.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import command
import forked
import module
import oci
import specimens.holders
import syscalls
import zoo
from runner import Failure, check, check_equal, test_with
from specimens import cgroups
from tests import unlisted
from zoo import Specimen

Finding = tuple[str, str]
Row = dict[str, Any]


def _cgroup(name: str) -> str:
    return f"/docker/{oci.made_up_id(name)}"


class _Scene:
    """Containers and processes that a test starts, and what audit says of each."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self.pids: dict[str, int] = {}

    def start(self, name: str, *changes: Callable[[oci.Config], None], **settings: Any) -> int:
        """Starts a container."""
        cgroup = _cgroup(name)
        self._stack.callback(cgroups.remove, f"{oci.CGROUPS}{cgroup}".encode())
        self._stack.callback(oci.stop, name, cgroup)
        pid = oci.start(name, oci.config(*changes, **settings), cgroup)
        self.pids[name] = pid
        return pid

    def spawn(self, arrange: Callable[[], object], *, within: str | None = None) -> Specimen:
        """Starts a process; within a container's cgroup, if it is to be so."""

        def settle() -> object:
            if within is not None:
                oci.enter(_cgroup(within))
            return arrange()

        specimen = zoo.spawn(settle)
        self._stack.callback(zoo.end, specimen)
        return specimen

    def run(self, *arguments: str) -> Specimen:
        """Starts a program that sleeps in the end, and waits until it does. What it forks is its child."""
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)

        def end() -> None:
            # What it has forked it waits for, which then is its own end: nobody else would.
            for pid in forked_children(process.pid) or [process.pid]:
                os.kill(pid, signal.SIGKILL)
            process.wait()

        self._stack.callback(end)

        def sleeps() -> bool:
            pids = [process.pid, *forked_children(process.pid)]
            return any(Path(f"/proc/{pid}/comm").read_text(encoding="utf-8") == "sleep\n" for pid in pids)

        forked.wait_until(sleeps, f"{arguments[0]} sleeps")
        return Specimen(process.pid)

    def bind(self, source: str, point: str) -> None:
        """Mounts something of the host somewhere else on it. The point stays: nothing is removed that the host may be in."""
        Path(point).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", source, point], check=True)
        self._stack.callback(subprocess.run, ["umount", point], check=True)

    def expect(self, wanted: dict[str, set[Finding]]) -> list[Row]:
        """Fails unless exactly these rules have found something of each container, with these severities."""
        rows = findings()
        complaints = []
        for name in self.pids:
            own = [row for row in rows if row["of"] == f"docker:{oci.made_up_id(name)}"]
            got = {(row["rule"], row["severity"]) for row in own}
            if got != wanted.get(name, set()):
                complaints.append(f"{name}: {sorted(got)}, should be {sorted(wanted.get(name, set()))}")
                complaints += [f"    {row['rule']} {row['what']}" for row in own]
        check(complaints)
        return rows


def forked_children(pid: int) -> list[int]:
    """The children of a process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []


@contextlib.contextmanager
def _scene() -> Iterator[_Scene]:
    module.ensure_loaded()
    with contextlib.ExitStack() as stack:
        # The names of the cgroups that are left.
        stack.callback(lambda: (oci.CGROUPS / "docker").rmdir() if (oci.CGROUPS / "docker").is_dir() else None)
        yield _Scene(stack)


def findings(*arguments: str) -> list[Row]:
    """The rows of `audit`, whose status must say whether one is above info."""
    done = command.run("audit", "--json", "-o", "+OF,MOUNTS,NAMESPACES", *arguments)
    document = json.loads(done.stdout)
    rows: list[Row] = document["findings"]
    bad = int(any(row["severity"] != "info" for row in rows))
    if done.stderr or done.returncode != bad:
        raise Failure(f"audit {' '.join(arguments)}: status {done.returncode}, should be {bad}", done.stderr.decode())
    return rows


def _of(rows: list[Row], rule: str, name: str) -> Row:
    """The one finding of a rule about a container."""
    found = [row for row in rows if row["rule"] == rule and row["of"] == f"docker:{oci.made_up_id(name)}"]
    check_equal(f"findings of {rule} about {name}", len(found), 1)
    return found[0]


A7, A6 = ("A7", "medium"), ("A6", "info")


@test_with(on="stock")
def audit_plain() -> None:
    """A container with what docker gives has nothing, nor one that shares a pod's namespaces, nor a sandbox inside of one."""
    with _scene() as scene:
        pause = scene.start("plain")
        scene.start(
            "sidecar", oci.joins(**{kind: f"/proc/{pause}/ns/{file}" for kind, file in _SHARED_BY_PODS.items()})
        )
        scene.start("nested", args=["/bin/sh", "-c", "unshare -U -r -m -p -f sleep 1000000 & sleep 1000000"])
        scene.start("remapped", oci.users(100_000))
        own_cgroup = oci.mounts("cgroup2", "cgroup2", "/mnt", "nosuid", "noexec", "nodev")
        scene.start("systemd", own_cgroup)
        scene.expect({})


_SHARED_BY_PODS = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts"}


@test_with(on="stock")
def audit_escapes() -> None:
    """A1, A2 and A3: who left a container's mount namespace, and who came in from outside."""
    with _scene() as scene:
        scene.start(
            "escaped",
            oci.without("pid"),
            args=["/bin/sh", "-c", "nsenter -t 1 -m sleep 1000000 & sleep 1000000"],
            capabilities=oci.ALL,
        )
        scene.start("sees", oci.without("pid"))
        half = scene.start("half")
        scene.run("nsenter", f"--pid=/proc/{half}/ns/pid", "sleep", "1000000")
        visited = scene.start("visited")
        flags = [f"--{kind}=/proc/{visited}/ns/{file}" for kind, file in _VISITED.items()]
        scene.run("nsenter", *flags, "/bin/sleep", "1000000")
        net = scene.start("net")
        scene.run("nsenter", f"--net=/proc/{net}/ns/net", "sleep", "1000000")
        rows = scene.expect(
            {
                "escaped": {("A1", "critical"), ("A6", "high"), A7},
                "sees": {A6},
                "half": {("A2", "high"), ("A3", "medium")},
                "visited": {("A3", "medium")},
                "net": {("A3", "info")},
            }
        )
        check_equal("who escaped", _of(rows, "A1", "escaped")["what"], "in the host's mount namespace: sleep")
        check_equal("what is shared", _of(rows, "A6", "sees")["what"], "shares with the host: pid, time")


_VISITED = {"mount": "mnt", "pid": "pid", "net": "net", "uts": "uts", "ipc": "ipc"}


@test_with(on="stock")
def audit_directories_of_host() -> None:
    """A4: the host's / and /etc, by device and directory, whatever they are called; and the socket of a runtime."""
    with _scene() as scene, socket.socket(socket.AF_UNIX) as runtime:
        with contextlib.suppress(FileNotFoundError):
            os.unlink("/run/docker.sock")
        runtime.bind("/run/docker.sock")
        Path("/srv/data").mkdir(parents=True, exist_ok=True)
        scene.start("all", oci.binds("/", "/mnt"))
        scene.start("exporter", oci.binds("/", "/mnt", "ro", "rslave"))
        scene.start("etc", oci.binds("/etc", "/mnt"))
        # /etc, as a directory of a directory that is bound elsewhere.
        scene.bind("/", "/srv/elsewhere")
        scene.start("renamed", oci.mounts("bind", "/srv/elsewhere/etc", "/mnt", "bind"))
        scene.start("socket", oci.mounts("bind", "/run/docker.sock", "/tmp/d", "bind", "ro"))
        scene.start("data", oci.mounts("bind", "/srv/data", "/mnt", "bind"))
        scene.start("hosts", oci.mounts("bind", "/etc/passwd", "/tmp/passwd", "bind", "ro"))
        rows = scene.expect(
            {
                "all": {("A4", "high"), ("A8", "high")},
                "exporter": {("A4", "low")},
                "etc": {("A4", "high")},
                "renamed": {("A4", "high")},
                "socket": {("A4", "high")},
            }
        )
        for name, what in (
            ("all", "the host's / is writable at /mnt"),
            ("exporter", "the host's / is readable at /mnt"),
            ("renamed", "the host's /etc is writable at /mnt"),
            ("socket", "the socket /run/docker.sock of the host is at /tmp/d"),
        ):
            check_equal(name, _of(rows, "A4", name)["what"], what)
        os.unlink("/run/docker.sock")


@contextlib.contextmanager
def _disk(place: str) -> Iterator[str]:
    """A block device with a file system."""
    image = f"{place}/image"
    with open(image, "wb") as file:
        file.truncate(1 << 20)
    subprocess.run(["modprobe", "--quiet", "loop"], check=False)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
    device = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@test_with(on="stock")
def audit_cgroups() -> None:
    """A8: hierarchies of cgroups that are writable, of version 1, or beyond one's own."""
    with tempfile.TemporaryDirectory() as place, _scene() as scene:
        subprocess.run(["mount", "-t", "cgroup", "-o", "none,name=audit", "audit", place], check=True)
        try:
            scene.start("first", oci.binds(place, "/mnt"))
            scene.start("first-read-only", oci.binds(place, "/mnt", "ro"))
            scene.start("beyond", oci.binds("/sys/fs/cgroup", "/mnt"))
            scene.start("beyond-read-only", oci.binds("/sys/fs/cgroup", "/mnt", "ro"))
            scene.start("own", oci.mounts("cgroup2", "cgroup2", "/mnt", "nosuid"))
            scene.expect({"first": {("A8", "high")}, "beyond": {("A8", "high")}})
        finally:
            subprocess.run(["umount", place], check=True)


@test_with(on="stock")
def audit_privileges() -> None:
    """A6 and A7: capabilities and what of /proc and /sys is open; alone, or with a namespace of the host."""
    with _scene() as scene:
        scene.start("capable", capabilities=[*oci.USUAL, "SYS_ADMIN"])
        scene.start("privileged", oci.unfiltered, oci.unmasked, capabilities=oci.ALL)
        scene.start("open", oci.unfiltered, oci.unmasked)
        scene.start("unfiltered", oci.unfiltered)
        scene.start("net", oci.without("network"))
        scene.start("both", oci.without("network"), capabilities=oci.ALL)
        scene.start("apart", oci.users(100_000), capabilities=oci.ALL)
        rows = scene.expect(
            {
                "capable": {A7},
                "privileged": {A7},
                "open": {A7},
                "net": {A6},
                "both": {("A6", "high"), A7},
            }
        )
        what = "looks privileged: capabilities beyond the usual (sys_admin)"
        check_equal("capable", _of(rows, "A7", "capable")["what"], what)
        what = "looks privileged: no seccomp filter, /proc/sys writable, /sys writable, /proc/kcore not hidden"
        check_equal("open", _of(rows, "A7", "open")["what"], what)


@test_with(on="stock")
def audit_users() -> None:
    """A12: a user namespace whose root is the host's, and one beside whose namespaces the initial one's are."""
    with _scene() as scene:
        scene.start("same", oci.users(0))
        scene.start("other", oci.users(100_000))
        network = scene.spawn(lambda: os.unshare(os.CLONE_NEWNET))
        scene.start("mixed", oci.users(100_000), oci.joins(network=f"/proc/{network.pid}/ns/net"))
        rows = scene.expect({"same": {("A12", "high")}, "mixed": {("A12", "high")}})
        check_equal("mixed", _of(rows, "A12", "mixed")["namespaces"], [os.stat(f"/proc/{network.pid}/ns/net").st_ino])


def _leak(pid: int, directory: str) -> None:
    """Does what CVE-2024-21626 leads to: enters a container's mount namespace with a directory of the host as its own."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    os.setns(mounts, os.CLONE_NEWNS)
    os.fchdir(fd)


@test_with(on="stock")
def audit_roots() -> None:
    """A11: a working directory of the host's, a root that is the host's; and none that is within the container."""
    with _scene() as scene:
        leaked = scene.start("leaked")
        specimen = scene.spawn(lambda: _leak(leaked, "/etc"), within="leaked")
        jailed = ["/bin/sh", "-c", "mkdir -p /tmp/j; chroot /mnt /bin/busybox sleep 1000000"]
        scene.start("outside", oci.binds("/", "/mnt"), args=jailed)
        inside = "mkdir -p /tmp/bin; cp /bin/busybox /tmp/bin; chroot /tmp /bin/busybox sleep 1000000"
        scene.start("inside", args=["/bin/sh", "-c", inside.replace("mkdir", "busybox mkdir").replace("cp", "busybox cp")])

        def is_moved() -> bool:
            return all(os.readlink(f"/proc/{scene.pids[name]}/root") != "/" for name in ("outside", "inside"))

        forked.wait_until(is_moved, "both have changed their root")
        rows = scene.expect(
            {
                # Who comes in has all capabilities.
                "leaked": {("A11", "high"), A7},
                "outside": {("A4", "high"), ("A8", "high"), ("A11", "high")},
            }
        )
        check_equal("who", _of(rows, "A11", "leaked")["pids"], [specimen.pid])


def _trace(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    ptrace_seize = 0x4206
    if libc.ptrace(ptrace_seize, pid, None, None):
        raise OSError(ctypes.get_errno(), "ptrace")


def _trace_within(pid: int) -> None:
    """Traces process 1 of a container from within its pid namespace."""
    os.setns(os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY), os.CLONE_NEWPID)
    os.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), os.CLONE_NEWNS)
    child = zoo.spawn(lambda: _trace(1))
    assert child.pid


@test_with(on="stock")
def audit_traced() -> None:
    """A13: traced from outside of the pid namespace, and not from inside."""
    with _scene() as scene:
        outside = scene.start("outside")
        tracer = scene.spawn(lambda: _trace(outside))
        rows = scene.expect({"outside": {("A13", "medium")}})
        check_equal("who", sorted(_of(rows, "A13", "outside")["pids"]), sorted([outside, tracer.pid]))


@test_with(on="stock")
def audit_names() -> None:
    """A10: a process of root with the name of a thread of the kernel; a user's, or one that is called otherwise, is none."""

    def called(name: bytes, uid: int = 0) -> Callable[[], None]:
        def arrange() -> None:
            if uid:
                os.setresuid(uid, uid, uid)
            syscalls.set_comm(name)

        return arrange

    with _scene() as scene:
        bad = {
            scene.spawn(called(name)).pid: name.decode()
            for name in (b"[kworker/0:1]", b"kworker/u8:3", b"kthreadd")
        }
        for arrange in (called(b"kworker/0:9", 1000), called(b"worker"), called(b"[odd")):
            scene.spawn(arrange)
        found = {row["pids"][0]: row["severity"] for row in findings() if row["rule"] == "A10"}
        check_equal("found", found, {pid: "high" for pid in bad})


@test_with(on="stock")
def audit_hidden() -> None:
    """A9: a process that was taken off the kernel's list, or whose number was taken away."""
    with _scene() as scene:
        specimen = scene.spawn(lambda: None)
        check_equal("before", [row for row in findings() if row["rule"] == "A9"], [])
        for number in (0, 1):
            with unlisted.hidden(specimen.pid, number):
                found = [row for row in findings() if row["rule"] == "A9"]
            check_equal(
                "found", [(row["severity"], row["pids"]) for row in found], [("critical", [specimen.pid])]
            )


@test_with(on="stock")
def audit_stuck() -> None:
    """S1: a pid namespace that dies and does not end, told as such once it has been so for a while; not one that is kept by a name."""
    with tempfile.TemporaryDirectory() as place, _scene() as scene:
        specimen = scene.spawn(specimens.holders.dying_namespace)
        dying = specimen.report[0]
        named = f"{place}/uts"
        Path(named).touch()
        keeper = scene.spawn(lambda: os.unshare(os.CLONE_NEWUTS))
        kept = os.stat(f"/proc/{keeper.pid}/ns/uts").st_ino
        subprocess.run(["mount", "--bind", f"/proc/{keeper.pid}/ns/uts", named], check=True)
        try:
            text = f"{place}/text"
            check_equal("status of save", command.run("save", text).returncode, 0)
            for arguments, severity in (((), "info"), (("--since", "1"), "warning"), (("--since", text), "warning")):
                found = {
                    inum: row["severity"]
                    for row in findings(*arguments)
                    if row["rule"] == "S1"
                    for inum in row["namespaces"]
                }
                check_equal(f"{arguments}: {dying}", found.get(dying), severity)
                check_equal(f"{arguments}: {kept}", found.get(kept), None)
        finally:
            subprocess.run(["umount", named], check=True)


@test_with(on="stock")
def audit_baseline() -> None:
    """What was accepted is not told again, not even of the same container started anew; what is new is. SARIF has all."""
    with tempfile.TemporaryDirectory() as place, _scene() as scene:
        accepted = f"{place}/accepted.json"
        scene.start("capable", capabilities=[*oci.USUAL, "SYS_ADMIN"])
        check_equal("status of --save-baseline", command.run("audit", "--save-baseline", accepted).returncode, 0)
        check_equal("nothing is left", findings("--baseline", accepted), [])
        oci.stop("capable", _cgroup("capable"))
        first = scene.pids["capable"]
        again = oci.start("capable", oci.config(capabilities=[*oci.USUAL, "SYS_ADMIN"]), _cgroup("capable"))
        check_equal("another process", again != first, True)
        check_equal("nothing is left", findings("--baseline", accepted), [])
        scene.start("new", capabilities=[*oci.USUAL, "SYS_MODULE"])
        rows = findings("--baseline", accepted)
        check_equal("what is new", [(row["rule"], row["pids"]) for row in rows], [("A7", [scene.pids["new"]])])
        for severity, status in (("medium", 1), ("high", 0)):
            done = command.run("audit", "--baseline", accepted, "--fail-on", severity)
            check_equal(f"status with --fail-on {severity}", done.returncode, status)
        log = json.loads(command.run("audit", "--sarif").stdout)
        results = log["runs"][0]["results"]
        rules = [one["id"] for one in log["runs"][0]["tool"]["driver"]["rules"]]
        check_equal("version", log["version"], "2.1.0")
        check_equal("findings in SARIF", len(results), len(findings()))
        check_equal("rules", [rules[one["ruleIndex"]] for one in results], [one["ruleId"] for one in results])


@test_with(on="stock")
def audit_devices() -> None:
    """A5: a block device that the container may have mounted by itself; not one that the host gave it, or a volume."""
    with tempfile.TemporaryDirectory() as place, _disk(place) as device, _scene() as scene:
        scene.start("own", oci.mounts("ext4", device, "/mnt"))
        rows = scene.expect({"own": {("A5", "high")}})
        what = f"block device {device}, which the host has mounted nowhere, is mounted at /mnt"
        check_equal("what", _of(rows, "A5", "own")["what"], what)
        data = f"{place}/data"
        Path(data).mkdir()
        subprocess.run(["mount", device, data], check=True)
        try:
            scene.start("given", oci.binds(data, "/mnt"))
            scene.start("able", oci.binds(data, "/mnt"), capabilities=[*oci.USUAL, "SYS_ADMIN"])
            scene.expect(
                {"own": {("A5", "info")}, "given": {("A5", "info")}, "able": {("A5", "high"), A7}}
            )
            volume = Path("/var/lib/kubelet/pods/1/volumes")
            volume.mkdir(parents=True)
            scene.bind(data, str(volume))
            scene.start("volume", oci.binds(str(volume), "/mnt"))
            scene.expect({"able": {A7}})
        finally:
            subprocess.run(["umount", data], check=True)
