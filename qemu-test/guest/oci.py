# SPDX-License-Identifier: GPL-2.0
"""Containers that crun makes, in cgroups that are called as a manager of containers calls them.

What a container may is what docker gives unless it is asked for more. Whoever starts one says what it has besides.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")
_STATE = Path("/run/oci")

Config = dict[str, Any]

# By their names in capability.h, without CAP_: what docker gives.
USUAL = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL"
    " AUDIT_WRITE"
).split()
ALL = USUAL + (
    "DAC_READ_SEARCH LINUX_IMMUTABLE NET_BROADCAST NET_ADMIN IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_PTRACE SYS_PACCT"
    " SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG LEASE AUDIT_CONTROL MAC_OVERRIDE MAC_ADMIN SYSLOG"
    " WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()

SLEEP = ["/bin/sleep", "1000000"]
_APPLETS = ("sh", "sleep", "unshare", "chroot", "nsenter", "mount")

_CONFIG: Config = {
    "ociVersion": "1.0.2",
    "root": {"path": "rootfs", "readonly": False},
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "cwd": "/",
        "env": ["PATH=/bin"],
        "args": SLEEP,
        "noNewPrivileges": False,
        "capabilities": {},
    },
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    ],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "mount", "uts", "ipc", "network", "cgroup")],
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}],
        },
    },
}


def made_up_id(*parts: str) -> str:
    """An id of 64 hexadecimal digits, the same each time."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def config(
    *changes: Callable[[Config], None], args: Sequence[str] = SLEEP, capabilities: Sequence[str] = USUAL
) -> Config:
    """What a container is, with what the changes make of it."""
    made = copy.deepcopy(_CONFIG)
    made["process"]["args"] = list(args)
    names = [f"CAP_{name}" for name in capabilities]
    made["process"]["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted")}
    for change in changes:
        change(made)
    return made


def without(*kinds: str) -> Callable[[Config], None]:
    """Shares namespaces with the host."""

    def change(made: Config) -> None:
        kept = [one for one in made["linux"]["namespaces"] if one["type"] not in kinds]
        made["linux"]["namespaces"] = kept

    return change


def joins(**paths: str) -> Callable[[Config], None]:
    """Takes namespaces of others, by their files."""

    def change(made: Config) -> None:
        without(*paths)(made)
        made["linux"]["namespaces"] += [{"type": kind, "path": path} for kind, path in paths.items()]

    return change


def binds(source: str, point: str, *options: str) -> Callable[[Config], None]:
    """Has a directory or file of the host, with all that is mounted below it."""
    return mounts("bind", source, point, "rbind", *options)


def mounts(fstype: str, source: str, point: str, *options: str) -> Callable[[Config], None]:
    """Has one more file system."""

    def change(made: Config) -> None:
        made["mounts"].append({"destination": point, "type": fstype, "source": source, "options": list(options)})

    return change


def users(outside: int) -> Callable[[Config], None]:
    """Has a user namespace, in which root is that user of the host."""

    def change(made: Config) -> None:
        made["linux"]["namespaces"].append({"type": "user"})
        for kind in ("uidMappings", "gidMappings"):
            made["linux"][kind] = [{"containerID": 0, "hostID": outside, "size": 65536}]

    return change


def unfiltered(made: Config) -> None:
    """Has no seccomp filter."""
    del made["linux"]["seccomp"]


def unmasked(made: Config) -> None:
    """Nothing of /proc and /sys is hidden or read-only."""
    made["linux"]["maskedPaths"] = made["linux"]["readonlyPaths"] = []
    for one in made["mounts"]:
        one["options"] = [option for option in one.get("options", []) if option != "ro"]


def _make_root(place: Path) -> None:
    """A root file system of busybox alone."""
    busybox = shutil.which("busybox")
    assert busybox
    for directory in ("bin", "proc", "dev", "sys", "mnt", "tmp"):
        (place / directory).mkdir(parents=True)
    # Whatever user root is in there.
    os.chmod(place, 0o755)
    shutil.copy(busybox, place / "bin/busybox")
    for applet in _APPLETS:
        (place / "bin" / applet).symlink_to("busybox")


def enter(cgroup: str) -> None:
    """Moves the calling process to a cgroup."""
    (CGROUPS / cgroup.lstrip("/") / "cgroup.procs").write_text("0", encoding="ascii")


def start(name: str, made: Config, cgroup: str) -> int:
    """Starts a container in a cgroup, and returns the pid of its first process."""
    bundle = _STATE / name
    (CGROUPS / cgroup.lstrip("/")).mkdir(parents=True, exist_ok=True)
    _make_root(bundle / "rootfs")
    (bundle / "config.json").write_text(json.dumps(made), encoding="utf-8")
    with open(bundle / "log", "wb") as log:
        done = subprocess.run(
            ["crun", "--cgroup-manager=disabled", "run", "--detach", f"--bundle={bundle}", f"--pid-file={bundle}/pid", name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
            preexec_fn=lambda: enter(cgroup),
        )
    if done.returncode:
        raise RuntimeError(f"crun cannot start {name}: {(bundle / 'log').read_text(encoding='utf-8')}")
    return int((bundle / "pid").read_text(encoding="ascii"))


def stop(name: str, cgroup: str) -> None:
    """Ends all that is in a container's cgroup, and removes what start has made but the cgroup."""
    place = CGROUPS / cgroup.lstrip("/")
    pids = (place / "cgroup.procs").read_text(encoding="ascii").split()
    (place / "cgroup.kill").write_text("1", encoding="ascii")
    subprocess.run(
        ["crun", "--cgroup-manager=disabled", "delete", "--force", name], check=False, capture_output=True, stdin=subprocess.DEVNULL
    )
    # What crun leaves is the caller's, if that adopts orphans.
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(int(pid), 0)
    shutil.rmtree(_STATE / name)
