# SPDX-License-Identifier: GPL-2.0
"""A small system as its sources would show it, and the text that a correct module would give."""

from __future__ import annotations

import dataclasses

from compare.tasks import Sources
from mountlist import MountList
from nsfs import NsFacts
from nsview import NsView
from procfs import Process, View
from syscalls import FileId, StatMount

# The inode numbers of the initial namespaces, and of a pid namespace below.
USER, PID, MNT, UTS, IPC, NET, CGROUP, TIME, INNER = range(101, 110)

TEXT = rb"""nsinspect 1 release=7.3.4+deb13-amd64 uptime=5000000000
ns user 101 id=1 owner=- tasks=4 refs=9 active=9 level=0 parent=- uid=0 uid_map=0:0:4294967295 gid_map=-
ns pid 102 id=2 owner=101 tasks=3 refs=9 active=9 level=0 parent=- reaper=1 pids=5 pid_max=32768 dying=0
ns mnt 103 id=3 owner=101 tasks=3 refs=9 active=9 mounts=5 pending=0 event=7 origin=- root=1
ns uts 104 id=4 owner=101 tasks=3 refs=9 active=9 nodename=a\040node domainname=\055
ns ipc 105 id=5 owner=101 tasks=3 refs=9 active=9
ns net 106 id=6 owner=101 tasks=3 refs=9 active=9
ns cgroup 107 id=7 owner=101 tasks=3 refs=9 active=9 root=/
ns time 108 id=8 owner=101 tasks=3 refs=9 active=9 monotonic=-5 boottime=7
ns pid 109 id=12 owner=101 tasks=1 refs=9 active=9 level=1 parent=102 reaper=50 pids=2 pid_max=400 dying=0
task 1 comm=init level=0 upid=1@102 pgid=1 sid=1 ppid=0 tracer=- uid=0 gid=0 euid=0 egid=0 caps=000001ffffffffff seccomp=0 nnp=0 threads=1 state=S kind=user start=10000000 pidns=102 pid_for_children=102 mntns=103 utsns=104 ipcns=105 netns=106 cgroupns=107 timens=108 time_for_children=108 userns=101 chroot=0 root=/ rootns=103 cwd=/ cwdns=103 cgroup=/ cgroup_id=1
task 2 comm=kthreadd level=0 upid=2@102 pgid=0 sid=0 ppid=0 tracer=- uid=0 gid=0 euid=0 egid=0 caps=000001ffffffffff seccomp=0 nnp=0 threads=1 state=S kind=kthread start=10000001 pidns=102 pid_for_children=102 mntns=103 utsns=104 ipcns=105 netns=106 cgroupns=107 timens=108 time_for_children=108 userns=101 chroot=0 root=/ rootns=103 cwd=/ cwdns=103 cgroup=/ cgroup_id=1
task 50 comm=a\040b level=1 upid=50@102,1@109 pgid=1,0 sid=1,0 ppid=1 tracer=- uid=1001 gid=2001 euid=1001 egid=2001 caps=000001ffffffffff seccomp=0 nnp=0 threads=2 state=S kind=user start=2000000000 pidns=109 pid_for_children=109 mntns=103 utsns=104 ipcns=105 netns=106 cgroupns=107 timens=108 time_for_children=108 userns=101 chroot=1 root=/srv rootns=103 cwd=/srv cwdns=103 cgroup=/x=y cgroup_id=7
task 60 comm=dead level=0 upid=60@102 pgid=60 sid=60 ppid=1 tracer=- uid=0 gid=0 euid=0 egid=0 caps=000001ffffffffff seccomp=0 nnp=0 threads=1 state=Z kind=user start=3000000000 pidns=102 pid_for_children=- mntns=- utsns=- ipcns=- netns=- cgroupns=- timens=- time_for_children=- userns=101 chroot=- root=- rootns=- cwd=- cwdns=- cgroup=/gone//deleted cgroup_id=9
thread 1 tgid=1 comm=init level=0 upid=1@102 tracer=- uid=0 gid=0 euid=0 egid=0 caps=000001ffffffffff seccomp=0 nnp=0 state=S start=10000000 pidns=102 pid_for_children=102 mntns=103 utsns=104 ipcns=105 netns=106 cgroupns=107 timens=108 time_for_children=108 userns=101 chroot=0 root=/ rootns=103 cwd=/ cwdns=103 cgroup=/ cgroup_id=1
thread 2 tgid=2 comm=kthreadd level=0 upid=2@102 tracer=- uid=0 gid=0 euid=0 egid=0 caps=000001ffffffffff seccomp=0 nnp=0 state=S start=10000001 pidns=102 pid_for_children=102 mntns=103 utsns=104 ipcns=105 netns=106 cgroupns=107 timens=108 time_for_children=108 userns=101 chroot=0 root=/ rootns=103 cwd=/ cwdns=103 cgroup=/ cgroup_id=1
thread 50 tgid=50 comm=a\040b level=1 upid=50@102,1@109 tracer=- uid=1001 gid=2001 euid=1001 egid=2001 caps=000001ffffffffff seccomp=0 nnp=0 state=S start=2000000000 pidns=109 pid_for_children=109 mntns=103 utsns=104 ipcns=105 netns=106 cgroupns=107 timens=108 time_for_children=108 userns=101 chroot=1 root=/srv rootns=103 cwd=/srv cwdns=103 cgroup=/x=y cgroup_id=7
thread 51 tgid=50 comm=a\040b level=1 upid=51@102,2@109 tracer=- uid=1002 gid=2001 euid=1002 egid=2001 caps=000001ffffffffff seccomp=0 nnp=0 state=S start=2500000000 pidns=109 pid_for_children=109 mntns=103 utsns=104 ipcns=105 netns=106 cgroupns=107 timens=108 time_for_children=108 userns=101 chroot=1 root=/srv rootns=103 cwd=/srv cwdns=103 cgroup=/x=y cgroup_id=7
thread 60 tgid=60 comm=dead level=0 upid=60@102 tracer=- uid=0 gid=0 euid=0 egid=0 caps=000001ffffffffff seccomp=0 nnp=0 state=Z start=3000000000 pidns=102 pid_for_children=- mntns=- utsns=- ipcns=- netns=- cgroupns=- timens=- time_for_children=- userns=101 chroot=- root=- rootns=- cwd=- cwdns=- cgroup=/gone//deleted cgroup_id=9
mount 103 1 outside 1 1 0:1 / / rw - nullfs none rw
mount 103 2 root 20 1 0:2 / / rw,relatime shared:1 - ext4 /dev/a\040b rw,errors=continue
mount 103 3 over 21 20 0:3 / /m\040p ro master:1 - tmpfs  rw
mount 103 5 root,locked 22 21 0:4 /sub /m\040p rw - fuse.x y rw
mount 103 6 covered 23 21 0:5 / /m\040p/x rw - tmpfs y rw
end ns=9 tasks=4 threads=5 mounts=5 holds=0
"""  # noqa: E501

ROOT = FileId((0, 2), 1, 2, True)
SRV = FileId((0, 2), 5, 2, False)

_ALL = {
    "cgroup": CGROUP,
    "ipc": IPC,
    "mnt": MNT,
    "net": NET,
    "pid": PID,
    "pid_for_children": PID,
    "time": TIME,
    "time_for_children": TIME,
    "user": USER,
    "uts": UTS,
}

INIT = Process(
    pid=1,
    tgid=1,
    start_ticks=1,
    comm=b"init",
    nspid=(1,),
    nspgid=(1,),
    nssid=(1,),
    ppid=0,
    tracer=0,
    uid=0,
    gid=0,
    euid=0,
    egid=0,
    caps=0x1FFFFFFFFFF,
    seccomp=0,
    nnp=0,
    threads=1,
    state="S",
    switches=(3, 4),
    kthread=False,
    namespaces=dict(_ALL),
    root=b"/",
    root_id=ROOT,
    cwd=b"/",
    cwd_id=ROOT,
    cgroup=b"/",
    cgroup_inode=1,
)
KTHREADD = dataclasses.replace(
    INIT, pid=2, tgid=2, comm=b"kthreadd", nspid=(2,), nspgid=(0,), nssid=(0,), kthread=True
)
NESTED = dataclasses.replace(
    INIT,
    pid=50,
    tgid=50,
    start_ticks=200,
    comm=b"a b",
    nspid=(50, 1),
    nspgid=(1, 0),
    nssid=(1, 0),
    ppid=1,
    uid=1001,
    gid=2001,
    euid=1001,
    egid=2001,
    threads=2,
    namespaces={**_ALL, "pid": INNER, "pid_for_children": INNER},
    root=b"/srv",
    root_id=SRV,
    cwd=b"/srv",
    cwd_id=SRV,
    cgroup=b"/x=y",
    cgroup_inode=7,
)
ZOMBIE = dataclasses.replace(
    INIT,
    pid=60,
    tgid=60,
    start_ticks=300,
    comm=b"dead",
    nspid=(60,),
    nspgid=(60,),
    nssid=(60,),
    ppid=1,
    state="Z",
    namespaces={**dict.fromkeys(_ALL), "pid": PID, "user": USER},
    root=None,
    root_id=None,
    cwd=None,
    cwd_id=None,
    cgroup=b"/gone (deleted)",
    cgroup_inode=None,
)


def view(*processes: Process, began: int = 4_000_000_000) -> View:
    """What procfs would show."""
    return View({process.key: process for process in processes}, began, began + 1)


BEFORE = view(INIT, KTHREADD, NESTED, ZOMBIE)
AFTER = view(INIT, KTHREADD, NESTED, ZOMBIE, began=6_000_000_000)
SOURCES = Sources({PID: None, INNER: PID}, {MNT: 2}, dict.fromkeys((1, 2, 3, 5, 6), MNT))

SECOND_THREAD = dataclasses.replace(NESTED, pid=51, start_ticks=250, nspid=(51, 2), uid=1002, euid=1002)
THREADS_BEFORE = view(INIT, KTHREADD, NESTED, SECOND_THREAD, ZOMBIE)
THREADS_AFTER = view(INIT, KTHREADD, NESTED, SECOND_THREAD, ZOMBIE, began=6_000_000_000)
TIDS = {1: [1], 2: [2], 50: [50, 51], 60: [60]}
LISTED = [1, 2, 3, 4, 5, 6, 7, 8, 12]


def _facts(kind: str, inum: int, identity: int, **more: int | None) -> NsFacts:
    facts = NsFacts(kind, inum, identity, USER, None, None, None)
    return dataclasses.replace(facts, **more)  # type: ignore[arg-type]


NAMESPACES = NsView(
    facts={
        (facts.type, facts.inum): facts
        for facts in (
            _facts("user", USER, 1, owner=None, owner_uid=0),
            _facts("pid", PID, 2),
            _facts("mnt", MNT, 3, mounts=5),
            _facts("uts", UTS, 4),
            _facts("ipc", IPC, 5),
            _facts("net", NET, 6),
            _facts("cgroup", CGROUP, 7),
            _facts("time", TIME, 8),
            _facts("pid", INNER, 12, parent=PID),
        )
    },
    names={UTS: (b"a node", b"-")},
    pid_max={PID: 32768, INNER: 400},
    offsets={TIME: (-5, 7)},
    cgroup_roots={CGROUP: b"/"},
    id_maps={USER: (((0, 0, 0xFFFF_FFFF),), ())},
)


def _stat(mnt_id: int, old: int, parent: int, old_parent: int, minor: int, **more: object) -> StatMount:
    stat = StatMount(mnt_id, parent, old, old_parent, (0, minor), 0, 0, b"/", b"", b"")
    return dataclasses.replace(stat, **more)  # type: ignore[arg-type]


MOUNTS = MountList(
    lines=[
        rb"20 1 0:2 / / rw,relatime shared:1 - ext4 /dev/a\040b rw,errors=continue",
        rb"21 20 0:3 / /m\040p ro master:1 propagate_from:9 - tmpfs  rw",
        rb"22 21 0:4 /sub /m\040p rw - fuse.x y rw",
        rb"23 21 0:5 / /m\040p/x rw - tmpfs y rw",
    ],
    top=ROOT,
    stack=(2, 1),
    mounts={
        stat.mnt_id: stat
        for stat in (
            _stat(1, 1, 1, 1, 1, fs_type=b"nullfs"),
            _stat(2, 20, 1, 1, 2, fs_type=b"ext4", peer_group=1),
            _stat(3, 21, 2, 20, 3, fs_type=b"tmpfs", master=1),
            _stat(5, 22, 3, 21, 4, fs_type=b"fuse", root=b"/sub"),
            _stat(6, 23, 3, 21, 5, fs_type=b"tmpfs"),
        )
    },
    count=5,
    leads_to={b"/": 2, rb"/m\040p": 5, rb"/m\040p/x": 5},
    locked={5: True},
)
