# SPDX-License-Identifier: GPL-2.0
"""Whoever mounts waits for a reader about as long as for one of mountinfo, whatever a user has mounted."""

from __future__ import annotations

import os

import format1
import module
import mountinfo
import readers
from latency import Waits, waits
from runner import Failure, check, check_equal, tell, test_with
from specimens.crowd import crowd
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
# With so many times the mounts a read takes at most so many times as long; 16 times if it were quadratic.
TIMES = 4
LINEAR = 1.7 * TIMES

# More than the steps that used to be the most on the way up from one mount.
TALLEST = 65_536 if SCALE == 1 else 4096


def _namespace(pid: int) -> int:
    return os.stat(f"/proc/{pid}/ns/mnt").st_ino


def _query(pid: int) -> str:
    """Asks for the mounts in that process's mount namespace."""
    return f"ns={_namespace(pid)} show=mounts"


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


def _whole_time(part: Waits, size: int) -> float:
    """How many seconds it would take to read `size` bytes of which a part was read.

    The first mounts of a pile are its lowest, for which the way up is shortest: it is rather more.
    """
    return min(took * size / read for took, read in zip(part.took, part.bytes, strict=True)) / 1000


@test_with(seconds=300, on="stock")
def pile_speed() -> None:
    """A pile of 32,768 mounts takes four times as long as one of 8,192, a tenth of mountinfo at most."""
    module.ensure_loaded()
    took = {}
    for count in (TALL // TIMES, TALL):
        with piled(count) as pid:
            query = _query(pid).encode()
            took[count] = readers.seconds(query)
            if count == TALL:
                mounts = format1.parse(module.ask(query)).mounts_of(_namespace(pid))
                size = sum(len(mount.line) + 1 for mount in mounts if mount.reach != "outside")
                part = waits("mount", 2, "part", f"/proc/{pid}/mountinfo")
    listed = _whole_time(part, size)
    small, tall = took.values()
    tell(f"a pile of {TALL} mounts takes {tall:.3f} s, a quarter {small:.3f} s, mountinfo {listed:.1f} s")
    complaints = []
    if tall > LINEAR * small:
        complaints.append(f"four times the mounts take {tall / small:.1f} times as long")
    if tall > listed / FASTER:
        complaints.append(f"a read takes {tall:.2f} s, and mountinfo {listed:.2f} s")
    check(complaints)


@test_with(seconds=300)
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
