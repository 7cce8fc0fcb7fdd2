# SPDX-License-Identifier: GPL-2.0
"""A real container, which crun made, with one more pid namespace inside."""

from __future__ import annotations

import os

from format1 import Task
from runner import check, check_equal, test
from tests import scene


def _numbers(task: Task) -> list[int]:
    upid = task.fields["upid"]
    assert isinstance(upid, tuple)
    return [item[0] for item in upid if isinstance(item, tuple)]


@test
def container() -> None:
    """Three upids, the namespaces of a container, and /test of the guest on /soft."""
    taken = scene.take()
    document = taken.document
    outside = document.task(os.getpid())
    init, nested = (document.task(taken.zoo[name].pid) for name in ("container", "container nested"))
    check_equal("level of the container's init", init.fields["level"], 1)
    check_equal("numbers of the container's init", _numbers(init), [init.pid, 1])
    check_equal("level of the nested process", nested.fields["level"], 2)
    numbers = _numbers(nested)
    check_equal("outer and inner number of the nested process", numbers[::2], [nested.pid, 1])
    check_equal("the nested process in the container is another", numbers[1] > 1, True)
    check_equal("comm of the nested process", nested.fields["comm"], b"sleep")
    shared = [
        key
        for key in ("pidns", "mntns", "utsns", "ipcns", "netns", "cgroupns")
        if init.fields[key] in (None, outside.fields[key])
    ]
    check_equal("namespaces that the container shares with the system", shared, [])
    check_equal("user namespace", init.fields["userns"], outside.fields["userns"])
    for key in ("utsns", "ipcns", "netns", "cgroupns"):
        check_equal(f"{key} of the nested process", nested.fields[key], init.fields[key])
    inner, outer = (document.namespace("pid", task.fields["pidns"]) for task in (nested, init))  # type: ignore[arg-type]
    check_equal("parent of the nested pid namespace", inner.fields["parent"], outer.inum)
    check_equal("reapers", (outer.fields["reaper"], inner.fields["reaper"]), (init.pid, nested.pid))
    uts = document.namespace("uts", init.fields["utsns"])  # type: ignore[arg-type]
    check_equal("nodename", uts.fields["nodename"], b"zoo")


@test
def container_mounts() -> None:
    """The container's list of mounts has /soft, whose root is /test's, as `docker run -v` makes it."""
    taken = scene.take()
    document = taken.document
    namespace = document.task(taken.zoo["container"].pid).fields["mntns"]
    assert isinstance(namespace, int)
    found = [mount for mount in document.mounts_of(namespace) if mount.info.point == b"/soft"]
    check_equal("mounts on /soft", len(found), 1)
    check_equal("reach", found[0].reach, "root")
    check_equal("end of the root", found[0].info.root.endswith(b"/test"), True)
    source = os.stat(f"/proc/{taken.zoo['container'].pid}/root/soft")
    device = (os.major(source.st_dev), os.minor(source.st_dev))
    check_equal("device", found[0].info.device, device)
    check(
        [
            f"{mount.line!r} is outside, but the container's root is its namespace's"
            for mount in document.mounts_of(namespace)
            if mount.reach == "outside" and mount.info.type not in (b"nullfs", b"rootfs")
        ]
    )
