# SPDX-License-Identifier: GPL-2.0
"""The command `nsinspect`: what it answers, compared with other programs and with the zoo's own facts."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import command
import compare.consistency
import cores
import forked
import module
import procfs
import specimens
import syscalls
from runner import Failure, check, check_equal, test, test_with
from tests import scene
from zoo import end, spawn

_TYPES = ("pid", "mnt", "uts", "ipc", "net", "cgroup", "user", "time")


def _namespace(pid: int, kind: str) -> int:
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


def _status(pid: int) -> dict[str, list[str]]:
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="surrogateescape") as file:
        fields = (line.rstrip("\n").split(":", 1) for line in file)
        return {name: value.split() for name, value in fields}


@test
def command_numbers() -> None:
    """`pid` answers both ways: a number inside to those outside, and a number on the host to all."""
    module.ensure_loaded()
    zoo = specimens.zoo()
    init, nested = zoo["container"].pid, zoo["container nested"].pid
    inner = _namespace(nested, "pid")
    wanted = [int(number) for number in _status(nested)["NSpid"]]
    check_equal("levels of the nested process", len(wanted), 3)
    for place in (f"1@{inner}", f"1@pid:[{inner}]", f"1@/proc/{nested}/ns/pid", f"1@{nested}", str(nested)):
        found = command.rows("pid", place)
        check_equal(place, [row["pid"] for row in found], wanted)
        check_equal(f"levels of {place}", [row["level"] for row in found], [0, 1, 2])
        check_equal(f"namespaces of {place}", found[2]["pidns"], inner)
        check_equal(f"command of {place}", {row["command"] for row in found}, {"sleep"})
    check_equal("1@zoo", [row["pid"] for row in command.rows("pid", "1@zoo")], [init, 1])
    check_equal("number in zoo", [row["pid"] for row in command.rows("pid", f"{wanted[1]}@zoo")], wanted)
    thread = next(tid for tid in procfs.tids(zoo["threads"].pid) if tid != zoo["threads"].pid) if "threads" in zoo.specimens else None
    if thread is not None:
        check_equal("a thread", command.rows("pid", str(thread), "-o", "PID,TGID")[0]["tgid"], zoo["threads"].pid)
    for place, status in (("77777@zoo", 1), ("4194303", 1), ("7@nobody", 1), ("7x", 2), ("1@4294967295", 1)):
        done = command.run("pid", place)
        check_equal(f"status of {place}", done.returncode, status)
        check_equal(f"lines about {place}", len(done.stderr.splitlines()), 1)


@test_with(on="uml")
def command_reads_one() -> None:
    """`pid 1@zoo` looks at the processes that it needs, and at no other."""
    module.ensure_loaded()
    specimens.zoo()
    before = module.steps()
    command.rows("pid", "1@zoo")
    after = module.steps()
    check_equal("tasks that were walked", after["task"] - before["task"] <= 4, True)


@test
def command_ps() -> None:
    """`ps` has each process once, with what /proc says of it; --kthreads and --threads have the others."""
    module.ensure_loaded()
    specimens.zoo()

    def look() -> dict[int, dict[str, list[str]]]:
        found = {}
        for pid in procfs.pids():
            try:
                found[pid] = _status(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    before = look()
    columns = "PID,OWN,LEVEL,USER,UID,EUID,GID,PPID,TRACER,THREADS,CAPS,SECCOMP,NNP,KIND,PIDNS,MNTNS"
    everything = command.rows("ps", "--kthreads", "-o", columns)
    users = command.rows("ps")
    after = look()
    names = {one.pw_uid: one.pw_name for one in reversed(pwd.getpwall())}
    shown = {row["pid"]: row for row in everything}
    check_equal("each once", len(shown), len(everything))
    complaints = []
    compared = 0
    for pid, status in before.items():
        if after.get(pid, {}).get("PPid") != status["PPid"]:
            continue
        row = shown.get(pid)
        if row is None:
            complaints.append(f"process {pid} is not shown")
            continue
        uid = int(status["Uid"][0])
        wanted: dict[str, Any] = {
            "own": int(status["NSpid"][-1]),
            "level": len(status["NSpid"]) - 1,
            "user": names.get(uid, str(uid)),
            "uid": uid,
            "euid": int(status["Uid"][1]),
            "gid": int(status["Gid"][0]),
            "ppid": int(status["PPid"][0]),
            "tracer": int(status["TracerPid"][0]) or None,
            "threads": int(status["Threads"][0]),
            "caps": status["CapEff"][0],
            "nnp": status["NoNewPrivs"][0] == "1",
        }
        # Not all kernels have filters of system calls.
        if "Seccomp" in status:
            wanted["seccomp"] = int(status["Seccomp"][0])
        if row["kind"] == "user" and status["State"][0] not in "ZX":
            for key, kind in (("pidns", "pid"), ("mntns", "mnt")):
                try:
                    wanted[key] = _namespace(pid, kind)
                except FileNotFoundError:
                    # It is ending, and has given them back.
                    continue
        got = {key: row[key] for key in wanted}
        compared += len(wanted)
        if got != wanted:
            complaints.append(f"process {pid}: {got}, should be {wanted}")
    gone = set(shown) - set(before) - set(after)
    if len(gone) > 3:
        complaints.append(f"shown, and not in /proc: {gone}")
    if compared < 500:
        complaints.append(f"only {compared} facts were compared")
    kinds = {row["pid"]: row["kind"] for row in everything}
    wrong = [row["pid"] for row in users if kinds.get(row["pid"], "user") != "user"]
    if wrong:
        complaints.append(f"threads of the kernel are shown unasked: {wrong}")
    check(complaints)


def _flat(rows: list[dict[str, Any]], parent: int | None = None) -> Iterator[tuple[int | None, dict[str, Any]]]:
    for row in rows:
        yield parent, row
        yield from _flat(row.get("children", []), row["pid"])


@test
def command_tree() -> None:
    """In `ps --tree` each process stands below its parent, as /proc has it."""
    module.ensure_loaded()
    zoo = specimens.zoo()
    found = {row["pid"]: parent for parent, row in _flat(command.rows("ps", "--tree", "--kthreads"))}
    complaints = []
    for specimen in zoo.specimens.values():
        parent = int(_status(specimen.pid)["PPid"][0])
        if found.get(specimen.pid, -1) != (parent or None):
            complaints.append(f"process {specimen.pid} is below {found.get(specimen.pid, -1)}, should be below {parent}")
    check(complaints)
    nested = zoo["container nested"].pid
    by_namespace = {row["pid"]: parent for parent, row in _flat(command.rows("ps", "--tree=pidns"))}
    check_equal("the nested process is below its container's first", by_namespace[nested], zoo["container"].pid)


@test
def command_containers() -> None:
    """`containers` has the container by its name, its namespaces, and which of them are the host's."""
    module.ensure_loaded()
    zoo = specimens.zoo()
    init = zoo["container"].pid
    found = [row for row in command.rows("containers") if row["name"] == "zoo"]
    check_equal("containers called zoo", len(found), 1)
    row = found[0]
    check_equal("its first process", row["pid"], init)
    for kind in _TYPES:
        inum = _namespace(init, kind)
        wanted = "host" if inum == _namespace(1, kind) else inum
        check_equal(f"{kind} namespace", row[f"{kind}ns"], wanted)
    inside = {row["pid"] for row in command.rows("ps", "zoo")}
    # Whoever has a number in the container's pid namespace.
    space = _namespace(init, "pid")
    numbered = {
        task.pid
        for task in module.read_document().tasks
        if any(isinstance(item, tuple) and item[1] == space for item in task.fields["upid"])  # type: ignore[union-attr]
    }
    check_equal("its processes", inside, numbered)
    check_equal("how many", row["procs"], len(numbered))
    alone = command.rows("containers", str(zoo["container nested"].pid))
    check_equal("the container of the nested process", [one["name"] for one in alone], ["zoo"])


@test
def command_lsns() -> None:
    """`ns` has what `lsns` has, in the columns that both have."""
    module.ensure_loaded()
    scene.take()
    columns = "NS,TYPE,NPROCS,PID,PPID,UID,PNS,ONS"

    def ours() -> dict[int, dict[str, Any]]:
        return {row["ns"]: row for row in command.rows("ns", "-o", columns)}

    before = ours()
    done = subprocess.run(["lsns", "-J", "-o", columns], capture_output=True, check=True)
    after = ours()
    elsewhere = compare.consistency.elsewhere(module.ask_document(scene.EVERYTHING))
    listed = json.loads(done.stdout)["namespaces"]
    if len(listed) < 20:
        raise Failure(f"lsns lists only {len(listed)} namespaces")
    complaints = []
    for row in listed:
        one = before.get(row["ns"])
        if one is None:
            complaints.append(f"lsns lists {row}")
            continue
        wanted = {key: row[key] or None if key in ("pns", "ons") else row[key] for key in row}
        got = dict(one)
        # It looks at main threads alone, and is itself in the initial namespaces.
        more = len(elsewhere.get((row["type"], row["ns"]), ()))
        if after.get(row["ns"]) != one or row["ns"] > 0xEFFFFFF0 - (1 << 28) and _namespace(1, row["type"]) == row["ns"]:
            for key in ("nprocs",):
                wanted.pop(key), got.pop(key)
        elif more:
            wanted["nprocs"] += more
        if row["pid"] is None or not row["nprocs"]:
            for key in ("pid", "ppid", "uid"):
                wanted.pop(key), got.pop(key)
        if got != wanted:
            complaints.append(f"lsns has {wanted}, nsinspect {got}")
    check(complaints)


def _tree_of(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield row
        yield from _tree_of(row.get("children", []))


def _as_bytes(row: dict[str, Any], escaped: list[str]) -> dict[str, Any]:
    """A row with its strings as bytes: those in `escaped` have backslashes and octal digits, others what was no UTF-8."""

    def spell(key: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        data = value.encode(errors="surrogateescape")
        if key in escaped:
            data = re.sub(rb"\\([0-3][0-7]{2})", lambda match: bytes([int(match[1], 8)]), data)
        # Of a mount without a source findmnt says null.
        return data or None

    return {key: spell(key, value) for key, value in row.items() if key not in ("children", "escaped", "reach")}


@test
def command_findmnt() -> None:
    """`mounts` has what `findmnt` has of each mount namespace, in the columns that both have."""
    module.ensure_loaded()
    taken = scene.take()
    columns = "TARGET,SOURCE,FSTYPE,OPTIONS,MAJ:MIN,FSROOT,ID,PARENT,PROPAGATION,VFS-OPTIONS,FS-OPTIONS"
    complaints = []
    compared = 0
    seen = set()
    for name, specimen in taken.zoo.specimens.items():
        try:
            inum = _namespace(specimen.pid, "mnt")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # findmnt sees what that process sees: so its root must be that of the namespace.
        task = next((one for one in taken.document.tasks if one.pid == specimen.pid), None)
        if inum in seen or task is None or task.fields["chroot"] != 0:
            continue
        seen.add(inum)
        done = subprocess.run(
            ["findmnt", "-J", "-l", "-N", str(specimen.pid), "-o", columns], capture_output=True, check=False
        )
        if done.returncode != 0:
            continue
        document = json.loads(done.stdout.decode(errors="surrogateescape"))
        theirs = {row["id"]: _as_bytes(row, []) for row in _tree_of(document["filesystems"])}
        ours = {
            row["id"]: _as_bytes(row, row.get("escaped", []))
            for row in command.rows("mounts", f"mnt:[{inum}]", "-o", f"{columns},REACH")
            if row["reach"] != "outside"
        }
        compared += len(theirs)
        if set(theirs) != set(ours):
            complaints.append(f"{name!r}: findmnt has the mounts {set(theirs) - set(ours)}, nsinspect {set(ours) - set(theirs)}")
        for number in set(theirs) & set(ours):
            if theirs[number] != ours[number]:
                complaints.append(f"{name!r}: findmnt has {theirs[number]}, nsinspect {ours[number]}")
    if compared < 100:
        complaints.append(f"only {compared} mounts were compared")
    check(complaints)


@test
def command_holders() -> None:
    """`holders` names who keeps a lazily unmounted file system busy, and with which command that ends."""
    from specimens import holders

    module.ensure_loaded()
    with holders.world() as world:
        device = "dev:%d:%d" % world.device
        found = command.rows("holders", device)
        pids = {(row["by"], row["pid"]) for row in found}
        for by in ("fd", "cwd", "root", "map", "exe"):
            if (by, world.pids[by]) not in pids:
                raise Failure(f"{by} of process {world.pids[by]} is missing in {pids}")
        check([f"{row} says not how it ends" for row in found if not row["end"]])
        inum = world.reports["in flight"]
        check_equal("a namespace in a message", [row["by"] for row in command.rows("holders", str(inum))], ["unknown"])
        dying, _, zombie = world.reports["dying"]
        found = command.rows("holders", str(dying))
        check_equal("a zombie is named", ("zombie", zombie) in {(row["by"], row["pid"]) for row in found}, True)
    check_equal("status of what nobody holds", command.run("holders", "dev:0:0").returncode, 1)


@test
def command_explain() -> None:
    """`explain` draws the numbers and the namespaces of a process, with their structures."""
    module.ensure_loaded()
    nested = specimens.zoo()["container nested"].pid
    done = command.run("explain", str(nested), "--width", "0")
    check_equal("status", done.returncode, 0)
    text = done.stdout.decode()
    wanted = ["task_struct", "nsproxy", "mnt_namespace", "upid", "include/linux/pid.h"]
    wanted += [str(_namespace(nested, kind)) for kind in _TYPES] + _status(nested)["NSpid"]
    check([f"{word} is missing" for word in wanted if word not in text])
    for option, begins in (("--dot", "digraph"), ("--svg", "<svg")):
        done = command.run("explain", option, f"mnt:[{_namespace(nested, 'mnt')}]")
        check_equal(f"status of {option}", done.returncode, 0)
        check_equal(f"{option} is one", begins in done.stdout.decode()[:200], True)


@test
def command_explain_thread() -> None:
    """Of a thread `explain` says whose it is."""
    module.ensure_loaded()
    process = specimens.zoo()["threads"].pid
    thread = next(tid for tid in procfs.tids(process) if tid != process)
    done = command.run("explain", str(thread))
    wanted = f"nsinspect: {thread} is no process, but a thread of process {process}\n"
    check_equal("explain", (done.returncode, done.stderr.decode()), (1, wanted))


@test
def command_verify() -> None:
    """`verify` finds no difference to what else the machine tells; with a text of its own it would."""
    module.ensure_loaded()
    specimens.zoo()
    done = command.run("verify")
    last = done.stdout.decode().splitlines()[-1:]
    check_equal("status", (done.returncode, done.stderr.decode()), (0, ""))
    words = last[0].replace(",", "").split() if last else []
    check_equal("the last line", [words[1:3], words[3:]], [["facts", "compared"], ["0", "differ"]])
    if int(words[0]) < 2000:
        raise Failure(f"only {words[0]} facts were compared")


@test
def command_procfs() -> None:
    """Without the module, --source=procfs has the same processes, and says what it does not know."""
    module.ensure_loaded()
    specimens.zoo()
    columns = "PID,OWN,LEVEL,UID,PPID,PIDNS,MNTNS,NETNS,USERNS"
    live = {row["pid"]: row for row in command.rows("ps", "-o", columns)}
    module.ensure_unloaded()
    done = command.run("ps", "--json", "--source=procfs", "-o", columns)
    document = json.loads(done.stdout)
    check_equal("it says what is missing", len(document["source"]["missing"]) > 0, True)
    other = {row["pid"]: row for row in document["processes"]}
    own = {os.getpid(), *(specimen.pid for specimen in specimens.zoo().specimens.values())}
    complaints = [f"procfs has {other.get(pid)}, the module {live.get(pid)}" for pid in own if other.get(pid) != live.get(pid)]
    for words in (["containers"], ["ns"], ["mounts"], ["mounts", "--all"], ["pid", "1"], []):
        done = command.run(*words, "--source=procfs")
        if done.returncode != 0 or not done.stdout:
            complaints.append(f"{words}: status {done.returncode}, {done.stderr!r}")
    check(complaints)


def _as_nobody() -> tuple[int, str]:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    done = command.run("ps")
    return done.returncode, done.stderr.decode()


def _in_pid_namespace() -> tuple[int, str]:
    syscalls.unshare(syscalls.CLONE_NEWPID)
    return forked.call(lambda: _mounted_anew())


def _mounted_anew() -> tuple[int, str]:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, b"/", None, 1 << 18 | 1 << 14)
    syscalls.mount(b"proc", b"/proc", b"proc")
    done = command.run("ps")
    return done.returncode, done.stderr.decode()


@contextmanager
def _saved(text: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        yield file.name


@test
def command_errors() -> None:
    """Each cause has its line, which names the cure, and its status."""
    module.ensure_loaded()
    text = module.read_text()
    complaints = []

    def expect(what: str, got: tuple[int, str], status: int, *words: str) -> None:
        lines = got[1].splitlines()
        if got[0] != status or len(lines) != 1 or not all(word in got[1] for word in words):
            complaints.append(f"{what}: status {got[0]}, {got[1]!r}; should be {status}, with {words}")

    expect("not root", forked.call(_as_nobody), 3, "root", "sudo")
    expect("in a container", forked.call(_in_pid_namespace), 3, "container", "host")
    for what, bad, words in (
        ("cut short", text[: len(text) // 2], ["cut short"]),
        ("later version", text.replace(b"nsinspect 1", b"nsinspect 2", 1), ["format 2"]),
        ("no text", b"hello\n", ["no text of /proc/nsinspect"]),
        ("empty", b"", ["no text of /proc/nsinspect"]),
        ("a record less", text[: text.rindex(b"\nmount")] + text[text.rindex(b"\nend") :], ["not whole"]),
    ):
        with _saved(bad) as path:
            done = command.run("ps", "--from", path)
        expect(what, (done.returncode, done.stderr.decode()), 4, *words)
    done = command.run("ps", "--from", "/nowhere")
    expect("no file", (done.returncode, done.stderr.decode()), 3, "/nowhere", "--from")
    done = command.run("ps", "nobody-is-called-so")
    expect("no such container", (done.returncode, done.stderr.decode()), 1, "nobody-is-called-so")
    done = command.run("ps", "-o", "NOTHING")
    expect("no such column", (done.returncode, done.stderr.decode()), 2, "NOTHING", "--list-columns")
    check_equal("a pipe", command.run("ps", "--from", "-", stdin=text).returncode, 0)
    module.unload()
    done = command.run("ps")
    expect("no module", (done.returncode, done.stderr.decode()), 3, "nsinspect", "--source=procfs")
    module.load(b"max_memory=4096")
    done = command.run("ps")
    expect("too large", (done.returncode, done.stderr.decode()), 3, "memory", "max_memory")
    module.unload()
    check(complaints)


@test
def command_versions() -> None:
    """`--version` tells those of the command, of the module that is loaded, as modinfo does, and of the format."""
    module.ensure_loaded()
    built = subprocess.run(["modinfo", "-F", "version", os.environ["NSINSPECT_KO"]], capture_output=True, text=True, check=True).stdout
    first = module.read_text().split(b"\n", 1)[0].split()
    lines = command.run("--version").stdout.decode().splitlines()
    check_equal("versions", lines[1:], [f"module {built.strip()}", f"format {first[1].decode()}"])
    check_equal("of the command and of the module", lines[0], f"nsinspect {built.strip()}")
    module.unload()
    check_equal("without the module", command.run("-V").stdout.decode().splitlines()[1], "module not loaded")


@test
def command_harmless() -> None:
    """Names with escape sequences never reach a terminal raw, in no command and no form."""
    module.ensure_loaded()
    specimens.zoo()
    # Of which audit tells: it is called as a thread of the kernel, nearly.
    masked = spawn(lambda: syscalls.set_comm(b"[\x1b[31m]"))
    try:
        check(_harm(masked.pid))
    finally:
        end(masked)


def _harm(masked: int) -> list[str]:
    complaints = []
    found = json.loads(command.run("audit", "--json").stdout)["findings"]
    check_equal("findings of the masked one", [row["rule"] for row in found if row["pids"] == [masked]], ["A10"])
    shapes: list[list[str]] = [[], ["containers"], ["ps"], ["ps", "--tree"], ["ps", "-r"], ["ns"], ["mounts", "--all"]]
    shapes += [["ps", "-J"], ["ps", "--jsonl"], ["mounts", "--all", "-J"], ["ps", "-o", "CGROUP,ROOT,CWD,COMMAND"]]
    shapes += [["audit", "--fail-on=critical", *form] for form in ([], ["-J"], ["--sarif"], ["--save-baseline=-"])]
    for words in shapes:
        done = command.run(*words)
        if done.returncode != 0:
            complaints.append(f"{words}: status {done.returncode}, {done.stderr!r}")
        bad = [byte for byte in done.stdout if byte < 32 and byte != 10 or byte == 127]
        if bad:
            complaints.append(f"{words}: bytes {set(bad)}")
        try:
            done.stdout.decode()
        except UnicodeDecodeError as error:
            complaints.append(f"{words}: {error}")
    return complaints


def _state(pid: int) -> tuple[str, str]:
    """What a process is called, and its state as ps has it."""
    status = _status(pid)
    return status["Name"][0], status["State"][0]


@test
def command_deaths() -> None:
    """Of a program that dies of a signal the tests tell where it was."""
    with cores.kept():
        process = subprocess.Popen([command.PROGRAM, "audit", "--from", "-"], stdin=subprocess.PIPE)
        comm = command.PROGRAM[:15]
        forked.wait_until(lambda: _state(process.pid) == (comm, "S"), "it waits for its input")
        # Not SIGSEGV: for that Rust has a handler, which lets the program go on if it was sent by somebody.
        process.send_signal(signal.SIGABRT)
        check_equal("status", process.wait(), -signal.SIGABRT)
    said = cores.take()
    for wanted in ("rip=0x", "at the top of its stack: 0x", "that lead into code: 0x"):
        if not any(wanted in line for line in said):
            raise Failure(f"nothing says {wanted!r}", *said)
    check_equal("what is left after that", cores.take(), [])
