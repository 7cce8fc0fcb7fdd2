# SPDX-License-Identifier: GPL-2.0
"""Whoever mounts waits for a reader about as long as for one of mountinfo, whatever a user has mounted."""

from __future__ import annotations

import errno
import os
import signal
import time

import forked
import format1
import module
import mountinfo
import readers
import syscalls
from latency import Waits, waits
from procfs import mnt_inum
from runner import Failure, check, check_equal, tell, test_with
from specimens.crowd import crowd
from specimens.mounts import BASE, private_namespace
from specimens.piles import POINT, enslaved, piled
from tests.size import SCALE

# So much longer than for mountinfo of the same mounts somebody may wait, and the milliseconds that an
# emulated CPU adds, which is not always there.
RATIO = 1.5
MARGIN = 20
ROUNDS = 5
# Of mountinfo, which takes long.
SLOW_ROUNDS = 3

# Each so large that to hold namespace_sem for all of it at once takes several times what is allowed.
PILE = 16_384
PEERS = 6_000
MOUNTS = 40_000

# A read of a pile is faster than mountinfo by this at least.
FASTER = 10
TALL = 32_768

# More than the steps that used to be the most on the way up from one mount.
TALLEST = 65_536 if SCALE == 1 else 4096


def _query(pid: int) -> str:
    """Asks for the mounts in that process's mount namespace."""
    return f"ns={mnt_inum(pid)} show=mounts"


def _complaints(pid: int, query: str) -> list[str]:
    """What is wrong with how long others wait while a process's mounts are read in both ways.

    By middling rounds: a wait that begins in one round may end in the next, which then has none.
    """
    idle = waits("mount", 2, "idle")
    listed = waits("mount", SLOW_ROUNDS, "file", f"/proc/{pid}/mountinfo")
    read = waits("mount", ROUNDS, "file", module.PROC_FILE, query)
    tell(f"longest mount() or umount() without a reader: {idle}")
    tell(f"longest with one of mountinfo: {listed}")
    tell(f"longest with one of {module.PROC_FILE}: {read}")
    limit = RATIO * listed.usual + MARGIN
    if read.usual > limit:
        return [f"others wait {read.usual:.0f} ms, should be no more than {limit:.0f} ms"]
    return []


@test_with(seconds=240, on="stock")
def waits_pile() -> None:
    """While a user's pile of 16,000 mounts is read, others mount as with mountinfo; the reader can be killed."""
    module.ensure_loaded()
    with piled(PILE) as pid:
        check(_complaints(pid, _query(pid)) + readers.complaints_of_kills())


@test_with(seconds=240, on="stock")
def waits_propagate_from() -> None:
    """While it is looked up who propagates to 6,000 slaves, others mount as with mountinfo."""
    module.ensure_loaded()
    with enslaved(PEERS) as pid:
        query = _query(pid) + " propagate_from=1"
        check(_complaints(pid, query) + readers.complaints_of_kills(query.encode()))


@test_with(seconds=240, on="stock")
def waits_mounts() -> None:
    """While 40,000 mounts are read, others mount as with mountinfo."""
    module.ensure_loaded()
    with crowd(mounts=MOUNTS) as people:
        check(_complaints(people.pid, _query(people.pid)) + readers.complaints_of_kills())


# How often something is mounted, used by a process that ends, and unmounted; and the mount namespaces that are
# listed meanwhile, between which umount() gets hold of namespace_sem.
USES = 150
LISTED = 500
LISTED_EACH = 40


def _read_for_ever(path: str) -> int:
    """Starts a process that reads a file again and again."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            while True:
                with open(path, "rb") as file:
                    while file.read(1 << 20):
                        pass
        finally:
            os._exit(1)
    return pid


def _use(point: bytes) -> None:
    """Mounts something, and has a child with its root there, which ends."""
    syscalls.mount(b"used", point, b"tmpfs")
    pid = os.fork()
    if pid == 0:
        os.chroot(point)
        time.sleep(0.03)
        os._exit(0)
    os.waitpid(pid, 0)


def _busy(path: str) -> int:
    """How often umount() fails with EBUSY while a file is read."""
    private_namespace()
    point = BASE + b"/used"
    os.mkdir(point)
    reader = _read_for_ever(path)
    busy = 0
    for _ in range(USES):
        _use(point)
        try:
            syscalls.umount(point)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            busy += 1
            syscalls.umount(point, syscalls.MNT_DETACH)
    os.kill(reader, signal.SIGKILL)
    check_equal("how the reader ended", os.waitpid(reader, 0)[1], signal.SIGKILL)
    return busy


@test_with(on="stock stock-7.2 rt cloud uml")
def waits_umount() -> None:
    """What nobody uses any more can be unmounted while a read is under way, as with mountinfo."""
    module.ensure_loaded()
    with crowd(namespaces=LISTED // SCALE, mounts_each=LISTED_EACH) as people:
        with_mountinfo, busy = (
            forked.call(lambda path=path: _busy(path))
            for path in (f"/proc/{people.pid}/mountinfo", module.PROC_FILE)
        )
        complaints = readers.complaints_of_kills()
    tell(f"EBUSY in {busy} of {USES} cases, with mountinfo in {with_mountinfo}")
    check_equal("EBUSY with mountinfo", with_mountinfo, 0)
    check_equal("EBUSY", busy, 0)
    check(complaints)


def _whole_time(part: Waits, size: int) -> float:
    """How many seconds it would take to read `size` bytes of which a part was read.

    The first mounts of a pile are its lowest, for which the way up is shortest: it is rather more.
    """
    return min(took * size / read for took, read in zip(part.took, part.bytes, strict=True)) / 1000


@test_with(seconds=300, on="stock")
def pile_speed() -> None:
    """A pile of 32,768 mounts takes a tenth of mountinfo at most. That it is linear, steps_pile counts."""
    module.ensure_loaded()
    with piled(TALL) as pid:
        query = _query(pid).encode()
        tall = readers.seconds(query)
        mounts = format1.parse(module.ask(query)).mounts_of(mnt_inum(pid))
        size = sum(len(mount.line) + 1 for mount in mounts if mount.reach != "outside")
        part = waits("mount", 2, "part", f"/proc/{pid}/mountinfo")
    listed = _whole_time(part, size)
    tell(f"a pile of {TALL} mounts takes {tall:.3f} s, mountinfo {listed:.1f} s")
    if tall > listed / FASTER:
        raise Failure(f"a read takes {tall:.2f} s, and mountinfo {listed:.2f} s")


@test_with(seconds=300, on="stock stock-7.2 rt cloud uml")
def pile_points() -> None:
    """In a pile of 65,536 mounts each has the mount point, and the topmost alone is reached by it."""
    module.ensure_loaded()
    with piled(TALLEST) as pid:
        document = module.ask_document(_query(pid))
        mounts = [mount for mount in document.mounts if mount.info.source == b"base"]
    # One more at /tmp, which the lowest of the pile lies on.
    check_equal("mounts", len(mounts), TALLEST + 1)
    points = [mount.info.point for mount in mounts[1:]]
    if wrong := [point for point in points if point != mountinfo.escape(POINT)]:
        raise Failure(f"{len(wrong)} mount points are {wrong[0]!r} or the like")
    reached = [mount.id for mount in mounts[1:] if mount.reach == "root"]
    check_equal("reached", reached, [mounts[-1].id])
    check_equal("others", {mount.reach for mount in mounts[1:-1]}, {"over"})
