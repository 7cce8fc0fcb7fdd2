# SPDX-License-Identifier: GPL-2.0
"""The command's `diff`: it tells each change that a test makes between two texts, and no other of the same things."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import command
import forked
import module
import zoo
from runner import Failure, check, check_equal, test
from zoo import Specimen

_NOBODY = 65534
_CGROUPS = Path("/sys/fs/cgroup")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _inum(pid: int, kind: str) -> int:
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


@contextlib.contextmanager
def _changing(change: Callable[[], object]) -> Iterator[tuple[Specimen, Callable[[], None]]]:
    """A process that makes a change once it is told to; and what tells it, and waits until it has."""
    told, tell = os.pipe()

    def arrange() -> None:
        # What it waits with is no other thread: credentials and namespaces are each thread's own.
        signal.signal(signal.SIGUSR1, lambda *_: forked.send(tell, forked.outcome(change)))

    specimen = zoo.spawn(arrange)

    def go() -> None:
        os.kill(specimen.pid, signal.SIGUSR1)
        forked.accept(forked.receive(told))

    try:
        yield specimen, go
    finally:
        zoo.end(specimen)
        for fd in (told, tell):
            os.close(fd)


def _become_another(directory: str) -> None:
    os.unshare(os.CLONE_NEWIPC)
    os.chroot(directory)
    os.chdir("/inner")
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _changes(*arguments: str) -> list[dict[str, Any]]:
    """The rows of `diff`, which must say by its status whether there are any."""
    done = command.run("diff", "--jsonl", "-o", "+ID,START", *arguments)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    if done.stderr or done.returncode != int(bool(rows)):
        raise Failure(f"diff {' '.join(arguments)}: status {done.returncode}, {len(rows)} rows", done.stderr.decode())
    return rows


class _Scene:
    """What is there before, what changes, and what must be told of it."""

    def __init__(self, base: Path, stack: contextlib.ExitStack) -> None:
        self.base = base
        self._stack = stack
        self.wanted: list[tuple[object, ...]] = []
        self.pids: set[int] = set()
        for name in ("root/inner", "options", "gone", "moved", "goal", "covered", "shared", "new"):
            (base / name).mkdir(parents=True)
        for name in ("options", "gone", "moved", "covered", "shared"):
            _mount("-t", "tmpfs", "-o", "rw", name, str(base / name))
        self._file = base / "uts"
        self._file.touch()
        self.other, self._go = stack.enter_context(_changing(lambda: _become_another(str(base / "root"))))
        self.ends = zoo.spawn(lambda: os.unshare(os.CLONE_NEWUTS))
        self.leaves = zoo.spawn(lambda: os.unshare(os.CLONE_NEWUTS))
        _mount("--bind", f"/proc/{self.leaves.pid}/ns/uts", str(self._file))
        stack.callback(subprocess.run, ["umount", str(self._file)], check=True)
        self._cgroup = _CGROUPS / "changes"
        if (_CGROUPS / "cgroup.procs").exists():
            self._cgroup.mkdir()
            stack.callback(self._cgroup.rmdir)

    def change(self) -> None:
        """Makes the changes."""
        base, wanted = str(self.base), self.wanted
        other = self.other.pid
        ipc, uts, kept = _inum(other, "ipc"), _inum(self.ends.pid, "uts"), _inum(self.leaves.pid, "uts")
        self._go()
        wanted += [
            ("entered", "process", other, None, "ipcns", ipc, _inum(other, "ipc")),
            ("made", "namespace", None, _inum(other, "ipc"), None, None, None),
            ("root", "process", other, None, "root", "/", f"{base}/root"),
            ("directory", "process", other, None, "cwd", None, f"{base}/root/inner"),
            *(("credentials", "process", other, None, key, 0, _NOBODY) for key in ("uid", "gid", "euid", "egid")),
            ("credentials", "process", other, None, "caps", None, "0" * 16),
        ]
        if self._cgroup.is_dir():
            (self._cgroup / "cgroup.procs").write_text(str(other), encoding="ascii")
            self._stack.callback((_CGROUPS / "cgroup.procs").write_text, str(other), encoding="ascii")
            wanted.append(("cgroup", "process", other, None, "cgroup", None, "/changes"))
        for specimen in (self.ends, self.leaves):
            zoo.end(specimen)
            wanted.append(("gone", "process", specimen.pid, None, None, None, None))
        wanted += [
            ("gone", "namespace", None, uts, None, None, None),
            ("processless", "namespace", None, kept, None, None, None),
        ]
        born = zoo.spawn(lambda: os.unshare(os.CLONE_NEWNS))
        self._stack.callback(zoo.end, born)
        wanted += [
            ("born", "process", born.pid, None, None, None, None),
            ("made", "namespace", None, _inum(born.pid, "mnt"), None, None, None),
        ]
        self.pids |= {other, born.pid, self.ends.pid, self.leaves.pid}
        self.namespaces = {ipc, uts, kept, _inum(other, "ipc"), _inum(born.pid, "mnt")}
        own = _inum(os.getpid(), "mnt")
        _mount("-o", "remount,ro,nosuid", f"{base}/options")
        subprocess.run(["umount", f"{base}/gone"], check=True)
        _mount("--move", f"{base}/moved", f"{base}/goal")
        _mount("-t", "tmpfs", "over", f"{base}/covered")
        _mount("--make-shared", f"{base}/shared")
        _mount("-t", "tmpfs", "new", f"{base}/new")
        wanted += [
            ("remounted", "mount", None, own, f"{base}/options", "options", "rw,relatime", "ro,nosuid,relatime"),
            ("removed", "mount", None, own, f"{base}/gone", None, None, None),
            ("moved", "mount", None, own, f"{base}/goal", "point", f"{base}/moved", f"{base}/goal"),
            ("covered", "mount", None, own, f"{base}/covered", None, None, None),
            ("added", "mount", None, own, f"{base}/covered", None, None, None),
            ("added", "mount", None, own, f"{base}/new", None, None, None),
        ]
        self.own = own

    def told(self, rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
        """What is said of the same things. What a value was before is left out where the test does not know it."""
        found: list[tuple[object, ...]] = []
        for row in rows:
            event, what = row["event"], row["what"]
            key, before, after = row["key"], row["from"], row["to"]
            if what == "process" and row["pid"] in self.pids:
                if key in ("cwd", "caps", "cgroup"):
                    before = None
                found.append((event, what, row["pid"], None, key, before, after))
            elif what == "namespace" and row["ns"] in self.namespaces:
                found.append((event, what, None, row["ns"], None, None, None))
            elif what == "mount" and row["ns"] == self.own and row["name"].startswith(f"{self.base}/"):
                # Not that of the file system, and a number that the kernel chooses.
                if key == "super_options":
                    continue
                if event == "propagation":
                    check_equal("the mount that is shared now", row["name"], f"{self.base}/shared")
                    continue
                found.append((event, what, None, row["ns"], row["name"], key, before, after))
        return found


@test
def diff_tells_all() -> None:
    """Between two texts, and from one to now, it tells of what changed in between, each once, and nothing else of it."""
    module.ensure_loaded()
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory())
        files = stack.enter_context(tempfile.TemporaryDirectory())
        _mount("-t", "tmpfs", "changes", place)
        stack.callback(subprocess.run, ["umount", "--recursive", place], check=True)
        _mount("--make-rprivate", place)
        scene = _Scene(Path(place), stack)
        texts = [f"{files}/{name}" for name in ("before", "after")]
        check_equal("status of save", command.run("save", texts[0]).returncode, 0)
        scene.change()
        check_equal("status of save", command.run("save", texts[1]).returncode, 0)
        for arguments in (texts, texts[:1]):
            told = scene.told(_changes(*arguments))
            complaints = [f"{one} is not told" for one in scene.wanted if told.count(one) != 1]
            complaints += [f"{one} did not happen" for one in told if one not in scene.wanted]
            check(complaints)
        check_equal("changes of a text to itself", _changes(texts[1], texts[1]), [])
        check_equal("status of the wrong order", command.run("diff", *reversed(texts)).returncode, 2)
