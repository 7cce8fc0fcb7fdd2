#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Tests of the command nsinspect in a whole Debian: what it says of containers, against what docker, podman, lxc, machined and
systemd say. Runs the tests named, or all, as root, once scripts/guest/system-scene has started everything.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import module
import runner
from runner import TESTS, Failure, check, check_equal, tell, test_with

SCENE = Path(__file__).resolve().parents[2] / "scripts/guest/system-scene"
PROGRAM = "nsinspect"
COLUMNS = "NAME,RUNTIME,FULL_ID,POD,PID,PROCS,PIDNS,MNTNS,UTSNS,IPCNS,NETNS,CGROUPNS,USERNS,TIMENS,SANDBOX,GUESS"
NAMESPACES = ("pid", "mnt", "uts", "ipc", "net", "cgroup", "user", "time")

Row = dict[str, Any]

# What the runtimes say, by runtime and name, or id where it has none.
_told: dict[tuple[str, str], Row] = {}


def start_scene() -> None:
    """Starts everything, and keeps what the runtimes say of it."""
    start = time.monotonic()
    done = subprocess.run([SCENE], capture_output=True, encoding="utf-8", errors="backslashreplace", check=False)
    for line in done.stderr.splitlines():
        tell(line)
    if done.returncode:
        sys.exit("the scene cannot be started")
    for one in json.loads(done.stdout):
        _told[one["runtime"], one["name"] or one["id"]] = one
    tell(f"the scene: {time.monotonic() - start:.0f} s")


def output_of(*command: str) -> str:
    """What a command prints. It must succeed."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command)}: status {done.returncode}", *done.stderr.splitlines())
    return done.stdout


def rows(command: str, *arguments: str) -> list[Row]:
    """The rows of one of the command's commands."""
    document = json.loads(output_of(PROGRAM, command, "--json", *arguments))
    check_equal("version", document["version"], 1)
    lists = [value for value in document.values() if isinstance(value, list)]
    check_equal(f"lists in the answer of {command}", len(lists), 1)
    return lists[0]


def containers(*arguments: str) -> dict[tuple[str, str], Row]:
    """The rows of `containers`, by runtime and id."""
    found = {}
    for row in rows("containers", f"--output={COLUMNS}", *arguments):
        key = row["runtime"], row["full_id"]
        if key in found:
            raise Failure(f"{key} is there twice")
        found[key] = row
    return found


def pids_below(cgroup: Path) -> set[int]:
    """The processes in a cgroup and those below it."""
    return {int(pid) for file in cgroup.rglob("cgroup.procs") for pid in file.read_text().split()}


def cgroup_of(pid: int) -> Path:
    """The cgroup of a process."""
    path = Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1].removeprefix("0::/")
    return Path("/sys/fs/cgroup", path)


def namespace_of(pid: int | str, kind: str) -> int:
    """The inode number of a process's namespace."""
    return int(os.readlink(f"/proc/{pid}/ns/{kind}").partition("[")[2].rstrip("]"))


@test_with(on="system")
def system_containers() -> None:
    """Containers are those that docker, podman, lxc and machined have: ids, names, pods, first pids."""
    found = {key: row for key, row in containers().items() if key[0] not in ("systemd", "jail")}
    wanted = {(one["runtime"], one["id"]): one for one in _told.values() if one["runtime"] != "systemd"}
    complaints = [f"{key} is missing" for key in wanted.keys() - found.keys()]
    complaints += [f"{key} is one too many" for key in found.keys() - wanted.keys()]
    for key in wanted.keys() & found.keys():
        row, one = found[key], wanted[key]
        for column in ("pid", "pod") + (("name",) if one["name"] else ()):
            if row[column] != one[column]:
                complaints.append(f"{key}: {column} {row[column]!r}, should be {one[column]!r}")
        if one["name"] and row["guess"]:
            complaints.append(f"{key}: its name is said to be a guess")
    check(complaints)


@test_with(on="system")
def system_processes() -> None:
    """Each container has the processes that are in its cgroup and those below."""
    complaints = []
    for (runtime, name), one in _told.items():
        # Beside the payload, there is who supervises it.
        cgroup = cgroup_of(one["pid"])
        if cgroup.name in ("container", "payload"):
            cgroup = cgroup.parent
        wanted = pids_below(cgroup)
        got = [row["pid"] for row in rows("ps", one["id"])]
        if sorted(got) != sorted(wanted):
            complaints.append(f"{runtime} {name}: {got}, should be {sorted(wanted)}")
    check(complaints)


@test_with(on="system")
def system_namespaces() -> None:
    """A container's namespaces are those of its first process; what is the host's is called so."""
    complaints = []
    found = containers()
    for one in _told.values():
        row = found.get((one["runtime"], one["id"]))
        if row is None:
            complaints.append(f"{one['runtime']} {one['id']} is missing")
            continue
        for kind in NAMESPACES:
            own, host = namespace_of(one["pid"], kind), namespace_of("self", kind)
            wanted = "host" if own == host else own
            if row[f"{kind}ns"] != wanted:
                complaints.append(f"{one['id']}: {kind}ns {row[f'{kind}ns']}, should be {wanted}")
    check(complaints)


@test_with(on="system")
def system_shared() -> None:
    """What --pid=host and --network=host share is called the host's, and so is nothing else."""
    found = {row["name"]: row for row in containers().values() if row["runtime"] == "docker"}
    for name, shared in (("pidhost", "pid"), ("nethost", "net"), ("web", None), ("privileged", None)):
        got = [kind for kind in NAMESPACES if kind not in ("user", "time") and found[name][f"{kind}ns"] == "host"]
        # A container on the host's network has the host's name, in a uts namespace of its own.
        check_equal(f"what {name} shares with the host", got, [shared] if shared else [])


@test_with(on="system")
def system_units() -> None:
    """Services with a namespace of their own are there, with their main process."""
    found = containers()
    complaints = []
    for one in _told.values():
        if one["runtime"] == "systemd":
            row = found.get(("systemd", one["id"]))
            if row is None or row["pid"] != one["pid"]:
                complaints.append(f"{one['id']}: {row}, should have pid {one['pid']}")
    check(complaints)


@test_with(on="system")
def system_sandboxes() -> None:
    """The pause containers of pods are told from those that do something."""
    found = containers()
    for one in _told.values():
        # What no file describes looks like any other.
        if one["runtime"] in ("containerd", "cri-o"):
            row = found[one["runtime"], one["id"]]
            check_equal(f"{row['name']} is a pause container", bool(row["sandbox"]), one["sandbox"])


@test_with(on="system")
def system_pid_in_container() -> None:
    """1@NAME is the first process of a container, by every runtime."""
    complaints = []
    for runtime, name in (
        ("docker", "web"),
        ("docker", "unicode"),
        ("podman", "db"),
        ("podman", "front"),
        ("podman", "diary"),
        ("lxc", "attic"),
        ("nspawn", "cell"),
        ("machined", "booth"),
        ("containerd", "nginx"),
    ):
        numbers = [(row["level"], row["pid"], row["container"]) for row in rows("pid", f"1@{name}")]
        wanted = [(0, _told[runtime, name]["pid"], name), (1, 1, name)]
        if numbers != wanted:
            complaints.append(f"1@{name}: {numbers}, should be {wanted}")
    check(complaints)


@test_with(on="system")
def system_pid_on_host() -> None:
    """The second process of a container, by either of its numbers."""
    first = _told["docker", "web"]["pid"]
    (second,) = pids_below(cgroup_of(first)) - {first}
    status = Path(f"/proc/{second}/status").read_text()
    (inside,) = [int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:")]
    for number in (str(second), f"{inside}@web", f"{inside}@{_told['docker', 'web']['id'][:12]}", f"{inside}@{first}"):
        got = [(row["pid"], row["container"]) for row in rows("pid", number)]
        check_equal(number, got, [(second, "web"), (inside, "web")])


@test_with(on="system")
def system_top() -> None:
    """The processes of a container are those that podman top and docker top show."""
    podman = output_of("podman", "top", "db", "hpid").split()[1:]
    check_equal("ps db", sorted(row["pid"] for row in rows("ps", "db")), sorted(map(int, podman)))
    docker = output_of("docker", "top", "web", "-o", "pid").split()[1:]
    check_equal("ps web", sorted(row["pid"] for row in rows("ps", "web")), sorted(map(int, docker)))


@test_with(on="system")
def system_two_meanings() -> None:
    """A name that two containers have is an error that lists both."""
    for command in (["ps", "twin"], ["pid", "1@twin"], ["containers", "twin"]):
        done = subprocess.run([PROGRAM, *command], capture_output=True, encoding="utf-8", check=False)
        check_equal(f"status of {' '.join(command)}", done.returncode, 2)
        for runtime in ("docker", "podman"):
            if _told[runtime, "twin"]["id"][:12] not in done.stderr:
                raise Failure(f"{' '.join(command)} does not list {runtime}'s:", *done.stderr.splitlines())


@test_with(on="system")
def system_saved_text() -> None:
    """A saved text, with the files of this machine, tells the same as the machine."""
    with tempfile.TemporaryDirectory() as directory:
        text = f"{directory}/text"
        output_of(PROGRAM, "save", text)
        check_equal("containers of a saved text", containers(f"--from={text}", "--root=/"), containers())


# What browsers and flatpak make of a user's process: a user namespace, and others in it.
SANDBOXES = (
    ["--user", "--map-root-user", "--pid", "--net", "--fork"],
    ["--user", "--map-root-user", "--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--mount-proc"],
)


@contextlib.contextmanager
def sandboxes() -> Iterator[None]:
    """Sandboxes of a user."""
    with contextlib.ExitStack() as stack:
        for options in SANDBOXES:
            sleeps = ["sh", "-c", "echo x; exec sleep 1000"]
            command = ["runuser", "-u", "alice", "--", "unshare", "--kill-child", *options, *sleeps]
            # runuser says that it ends its session.
            nothing = subprocess.DEVNULL
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=nothing))
            stack.callback(process.terminate)
            assert process.stdout
            check_equal("what the sandbox says", process.stdout.read(1), b"x")
        yield


@test_with(on="system")
def system_audit() -> None:
    """Of all of that, and sandboxes of a user, audit tells what was started with --privileged, --pid=host and --network=host, and
    nothing else above info."""
    with sandboxes():
        _check_audit()


def _check_audit() -> None:
    def audit(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAM, "audit", *arguments], capture_output=True, encoding="utf-8", check=False)

    done = audit("--json", "-o", "+OF")
    told = {(one["severity"], one["rule"], one["of"]): one["what"] for one in json.loads(done.stdout)["findings"]}
    wanted = {("info", "A6", "docker:nethost"), ("info", "A6", "docker:pidhost"), ("medium", "A7", "docker:privileged")}
    complaints = [f"{one} is not told" for one in wanted - told.keys()]
    complaints += [f"{one}: {what}" for one, what in told.items() if one not in wanted and one[0] != "info"]
    check(complaints)
    check_equal("status", done.returncode, 1)
    check_equal("status without the privileged one", audit("--fail-on=high").returncode, 0)


@test_with(on="system")
def system_verify() -> None:
    """What the module tells of such a system is what procfs and the system calls tell."""
    done = subprocess.run([PROGRAM, "verify"], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise Failure(f"status {done.returncode}", *done.stdout.splitlines(), *done.stderr.splitlines())


def main() -> int:
    """Returns the exit status."""
    if sys.argv[1:] == ["--list"]:
        for one in TESTS:
            print(f"{one.name:24} {one.on} {one.summary}")
        return 0
    known = {one.name: one for one in TESTS}
    names = sys.argv[1:] or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such test: {' '.join(unknown)}; there are: {' '.join(known)}", file=sys.stderr)
        return 2
    module.ensure_loaded()
    start_scene()
    label = f"system {os.uname().release}"
    good = runner.Runner(label, module.ensure_unloaded).run([known[name] for name in known if name in names])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
