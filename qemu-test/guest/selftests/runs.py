# SPDX-License-Identifier: GPL-2.0
"""The script `run` takes nothing but a good report of every test for a pass."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path

RUN = Path(__file__).resolve().parents[2] / "run"
TESTS = "container header"

# What a guest may do with the tests `container` and `header`: its commands, what the last line of
# `run` then says, and its exit status.
GUESTS = {
    "good": (
        "echo 1..2; echo ok 1 - k 7: container; echo ok 2 - k 7: header '(1 s)'",
        "2 passed, 0 failed, 0",
        0,
    ),
    "one fails": ("echo ok 1 - k: container; echo not ok 2 - k: header; exit 1", "1 passed, 1 failed, 0", 1),
    "fails, says 0": ("echo ok 1 - k: container; echo not ok 2 - k: header", "1 passed, 1 failed, 0", 1),
    "passes, says 1": ("echo ok 1 - k: container; echo ok 2 - k: header; exit 1", "2 passed, 1 failed, 0", 1),
    "panics": ("echo 1..2; echo ok 1 - k: container; exit 125", "1 passed, 1 failed, 0", 1),
    "hangs": ("exit 124", "0 passed, 2 failed, 0", 1),
    "says nothing": ("exit 0", "0 passed, 2 failed, 0", 1),
    "stops early": ("echo 1..2; echo ok 1 - k: container", "1 passed, 1 failed, 0", 1),
    "plans less": ("echo 1..1; echo ok 1 - k: container", "1 passed, 1 failed, 0", 1),
    "twice the same": (
        "echo ok 1 - k: container; echo ok 2 - k: container",
        "1 passed, 2 failed, 0",
        1,
    ),
    "skips one": (
        "echo ok 1 - k: container '#' SKIP no crun; echo ok 2 - k: header",
        "1 passed, 0 failed, 1",
        0,
    ),
    "skips all": (
        "echo ok 1 - k: container '#' SKIP x; echo ok 2 - k: header '#' SKIP y",
        "0 passed, 0 failed, 2",
        1,
    ),
    "cannot start": ("echo no such kernel >&2; exit 125", "0 passed, 2 failed, 0", 1),
}


@contextlib.contextmanager
def machine(guest: str) -> Iterator[Path]:
    """A program that does this, to be put in place of a virtual machine, in a directory of its own."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "vm"
        program.write_text(f"#!/bin/bash\n{guest}\n", encoding="ascii")
        program.chmod(0o755)
        yield program


def environment_of(vm: Path, **more: str) -> dict[str, str]:
    """What the script finds in its environment when that stands in place of a virtual machine."""
    return {"PATH": os.environ["PATH"], "NSINSPECT_VM": str(vm), **more}


def run(guest: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the script with this in place of a virtual machine."""
    with machine(guest) as vm:
        return subprocess.run(
            [RUN, *arguments],
            env=environment_of(vm, **environment),
            capture_output=True,
            text=True,
            check=False,
        )


class Runs(unittest.TestCase):
    """Each guest's reports are counted right."""

    def test_guests(self) -> None:
        for name, (guest, last_line, status) in GUESTS.items():
            with self.subTest(name):
                done = run(guest, *TESTS.split(), KERNEL="k")
                self.assertEqual(done.stdout.splitlines()[-1], f"{last_line} skipped")
                self.assertEqual(done.returncode, status)

    def test_two_kernels(self) -> None:
        done = run("[[ $KERNEL == b ]] || echo ok 1 - $KERNEL: header", T="header", KERNEL="a b")
        self.assertIn("1..2\n", done.stdout)
        self.assertIn("ok 1 - a: header\n", done.stdout)
        self.assertIn("not ok 2 - b: header", done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1], "1 passed, 1 failed, 0 skipped")

    def test_beside(self) -> None:
        guest = "echo ok 1 - $KERNEL: header; echo it is $KERNEL >&2; [[ $KERNEL != c ]]"
        done = run(guest, "header", KERNEL="a b c d e f")
        places = [done.stdout.index(f" - {kernel}: header\n") for kernel in ("a", "b", "d", "f", "c", "e")]
        self.assertEqual(places, sorted(places))
        self.assertIn("# it is c\n", done.stdout)
        self.assertRegex(done.stdout, r"# c: no test failed, but the guest's exit status is 1\n")
        self.assertRegex(done.stdout, r"# c: \d s, beside the others\n")
        self.assertEqual(done.stdout.splitlines()[-1], "6 passed, 1 failed, 0 skipped")
        self.assertEqual(done.returncode, 1)

    def test_beside_says_nothing(self) -> None:
        done = run("[[ $KERNEL == c ]] || echo ok 1 - $KERNEL: header; exit 3", "header", KERNEL="a b c")
        self.assertIn("not ok 3 - c: header (the guest did not report, exit status 3)", done.stdout)

    def test_two_lanes(self) -> None:
        # Each guest says that it is there, and passes once the other of its two is.
        guest = (
            "declare -A other=([a]=a [b]=c [c]=b); touch ${0%/*}/$KERNEL; "
            "timeout 20 bash -c 'until [[ -e $0 ]]; do sleep 0.1; done' ${0%/*}/${other[$KERNEL]} && "
            "echo ok 1 - $KERNEL: header"
        )
        done = run(guest, "header", KERNEL="a b c")
        self.assertEqual(done.stdout.splitlines()[-1], "3 passed, 0 failed, 0 skipped")

    def test_system(self) -> None:
        guest = "for name in ${1#*.py}; do echo ok 1 - $KERNEL $SYSTEM: $name; done"
        done = run(guest, "header", "system_units", KERNEL="a system", SYSTEM="1")
        self.assertIn("\nok 1 - a 0: header\n", done.stdout)
        self.assertIn("\nok 2 - stock 1: system_units\n", done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1], "2 passed, 0 failed, 0 skipped")

    def test_ended(self) -> None:
        # Each guest but the first tells that it is up; and again, after a while, unless it is ended with the script.
        guest = "[[ $KERNEL != a ]] || exit; exec 9>${0%/*}/fifo; echo up >&9; sleep 20 9>&-; echo still up >&9"
        with machine(guest) as vm:
            fifo = vm.parent / "fifo"
            os.mkfifo(fifo)
            with subprocess.Popen(
                [RUN, "header"], env=environment_of(vm, KERNEL="a b c"), stdout=subprocess.DEVNULL
            ) as script:
                with fifo.open(encoding="ascii") as told:
                    self.assertEqual([told.readline(), told.readline()], ["up\n", "up\n"])
                    script.terminate()
                    self.assertEqual(told.read(), "")
            self.assertEqual(script.returncode, -signal.SIGTERM)

    def test_unknown_name(self) -> None:
        done = run("touch /must/not/run", "header", "heder")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, "")
        self.assertIn('no test "heder"', done.stderr)
        self.assertIn("tasks_procfs", done.stderr)

    def test_list(self) -> None:
        programs = [RUN.parent / "guest" / name for name in ("main.py", "system.py")]
        inside = "".join(
            subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout for program in programs
        )
        outside = run("false", "--list").stdout
        cases = [line for line in outside.splitlines() if line.endswith(" debug,uml KUnit")]
        self.assertEqual(sorted(set(outside.splitlines()) - set(cases)), sorted(inside.splitlines()))
        self.assertIn("nsinspect_text.octal_bytes debug,uml KUnit", cases)
        self.assertGreater(len(inside.splitlines()), 30)
