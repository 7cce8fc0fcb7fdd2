# SPDX-License-Identifier: GPL-2.0
"""Every byte that a name can have, in each place where somebody else chooses one; beside names.py."""

from __future__ import annotations

import errno
import os
import re
import threading

import compare.mounts
import forked
import format1
import module
import mountlist
import procfs
import syscalls
import zoo
from runner import Failure, check, check_equal, test, test_with
from specimens.cgroups import MOUNT, remove
from specimens.mounts import BASE, private_namespace

ALL_BYTES = bytes(range(1, 256))
DIRECTORY = ALL_BYTES.replace(b"/", b"")
# The kernel wants no line feed in the name of a cgroup.
CGROUP = DIRECTORY.replace(b"\n", b"")
COMM_LENGTH = 15
COMMS = [ALL_BYTES[start : start + COMM_LENGTH] for start in range(0, 255, COMM_LENGTH)]


@test
def bytes_in_comms() -> None:
    """Processes whose names have every byte are called as in procfs."""
    module.ensure_loaded()
    specimens = [zoo.spawn(lambda comm=comm: syscalls.set_comm(comm)) for comm in COMMS]
    complaints = []
    try:
        document = module.read_document()
        for specimen, comm in zip(specimens, COMMS, strict=True):
            process = procfs.read_process(specimen.pid)
            got = document.task(specimen.pid).fields["comm"]
            if process is None or not got == process.comm == comm:
                complaints.append(f"{comm!r} is {got!r}, in procfs {process and process.comm!r}")
    finally:
        for specimen in specimens:
            zoo.end(specimen)
    check(complaints)


@test
def bytes_in_thread_comms() -> None:
    """Threads whose names have every byte are called as in procfs."""

    def arrange() -> dict[int, bytes]:
        names: dict[int, bytes] = {}
        ready = threading.Barrier(len(COMMS) + 1)

        def live(comm: bytes) -> None:
            syscalls.set_comm(comm)
            names[threading.get_native_id()] = comm
            ready.wait()
            zoo.wait_forever()

        for comm in COMMS:
            threading.Thread(target=live, args=(comm,), daemon=True).start()
        ready.wait()
        return names

    module.ensure_loaded()
    specimen = zoo.spawn(arrange)
    complaints = []
    try:
        document = module.ask_document(f"pid={specimen.pid} show=threads")
        for tid, comm in specimen.report.items():
            thread = procfs.read_thread(specimen.pid, tid)
            got = document.thread(tid).fields["comm"]
            if thread is None or not got == thread.comm == comm:
                complaints.append(f"{comm!r} is {got!r}, in procfs {thread and thread.comm!r}")
    finally:
        zoo.end(specimen)
    check_equal("threads", len(specimen.report), len(COMMS))
    check(complaints)


@test
def nul_in_host_names() -> None:
    """A node or a domain name with a NUL ends there, as uname has it."""

    def name_and_read() -> list[str]:
        syscalls.unshare(syscalls.CLONE_NEWUTS)
        inum = os.stat("/proc/self/ns/uts").st_ino
        complaints = []
        for name in (b"\0", b"\0behind", b"a name\0behind", b"\xff" * 63 + b"\0", b"\0" * 64):
            syscalls.sethostname(name)
            syscalls.setdomainname(name[::-1])
            fields = module.ask_document(f"ns={inum} show=ns").namespace("uts", inum).fields
            got = (fields["nodename"], fields["domainname"])
            wanted = (name.partition(b"\0")[0], name[::-1].partition(b"\0")[0])
            if not got == syscalls.uname() == wanted:
                complaints.append(f"{name!r}, and the reverse, are {got!r}, should be {wanted!r}")
        return complaints

    module.ensure_loaded()
    check(forked.call(name_and_read))


@test
def bytes_in_roots() -> None:
    """The root of a process is a directory whose name has every byte."""
    path = BASE + b"/" + DIRECTORY + b"/" + DIRECTORY[::-1]

    def arrange() -> None:
        private_namespace()
        os.makedirs(path)
        os.chroot(path)

    module.ensure_loaded()
    specimen = zoo.spawn(arrange)
    try:
        process = procfs.read_process(specimen.pid)
        root = module.ask_document(f"pid={specimen.pid}").task(specimen.pid).fields["root"]
    finally:
        zoo.end(specimen)
    check_equal("root", root, path)
    check_equal("root in procfs", process and process.root, path)


@test
def bytes_in_cgroups() -> None:
    """A cgroup, and the root of a cgroup namespace, whose names have every byte that they can have."""

    def arrange() -> int:
        with open(MOUNT + path + b"/cgroup.procs", "wb") as file:
            file.write(b"0")
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)
        return os.stat("/proc/self/ns/cgroup").st_ino

    module.ensure_loaded()
    path = b"/" + CGROUP
    check_equal("a line feed", forked.errno_of(lambda: os.mkdir(MOUNT + b"/\n")), errno.EINVAL)
    os.mkdir(MOUNT + path)
    try:
        specimen = zoo.spawn(arrange)
        try:
            document = module.ask_document(f"pid={specimen.pid}")
            in_procfs = procfs.read_cgroup(specimen.pid)
        finally:
            zoo.end(specimen)
    finally:
        remove(MOUNT + path)
    root = document.namespace("cgroup", specimen.report).fields["root"]
    check_equal("cgroup", document.task(specimen.pid).fields["cgroup"], path)
    check_equal("cgroup in procfs", in_procfs, path)
    check_equal("root", root, path)


def _check_mounts(specimen: zoo.Specimen) -> list[format1.Mount]:
    """Fails unless the mounts of a process are as the kernel's own interfaces show them."""
    namespace = os.stat(f"/proc/{specimen.pid}/ns/mnt").st_ino
    mounts = module.ask_document(f"ns={namespace}").mounts_of(namespace)
    check(compare.mounts.compare_namespace(namespace, mounts, mountlist.read_all()[namespace]))
    return mounts


def _only(mounts: list[format1.Mount], source: bytes) -> format1.Mount:
    found = [mount for mount in mounts if mount.info.source == source]
    if len(found) != 1:
        raise Failure(f"there are {len(found)} mounts of {source!r}")
    return found[0]


def _escaped(text: bytes, special: bytes) -> bytes:
    return b"".join(b"\\%03o" % byte if byte in special else bytes([byte]) for byte in text)


@test
def bytes_in_mount_options() -> None:
    """File system options with every byte, short ones and some that fill pages."""
    tabs = [b"\t" * 250 + b"%d" % number for number in range(10)]
    lower = {b"odd": DIRECTORY + b":" + DIRECTORY[::-1], b"long": b":".join([DIRECTORY, *tabs])}

    def spelled(names: bytes) -> bytes:
        # A colon in a name, a comma, and a backslash come after a backslash.
        for name in (DIRECTORY, DIRECTORY[::-1]):
            names = names.replace(name, re.sub(rb"([\\\\:,])", rb"\\\1", name))
        return names

    def arrange() -> None:
        private_namespace()
        os.chdir(BASE)
        for name in (DIRECTORY, DIRECTORY[::-1], *tabs):
            os.mkdir(name)
        for source, names in lower.items():
            os.mkdir(source)
            syscalls.mount(source, source, b"overlay", 0, b"lowerdir=" + spelled(names))

    module.ensure_loaded()
    specimen = zoo.spawn(arrange)
    try:
        mounts = _check_mounts(specimen)
    finally:
        zoo.end(specimen)
    for source, names in lower.items():
        shown = b",lowerdir=" + _escaped(spelled(names), b", \t\n\\")
        if shown not in _only(mounts, source).info.super_options:
            raise Failure(f"the options of {source!r} are {_only(mounts, source).info.super_options!r}")
    check_equal("a line of pages", len(_only(mounts, b"long").line) > 8192, True)


@test_with(on="stock stock-7.2 rt cloud debug")
def bytes_in_mount_types() -> None:
    """A file system's subtype, which a FUSE daemon chooses, with every byte."""

    def arrange() -> None:
        private_namespace()
        os.mkdir(BASE + b"/fuse")
        fd = os.open("/dev/fuse", os.O_RDWR)
        options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fd
        syscalls.mount(b"daemon", BASE + b"/fuse", b"fuse." + ALL_BYTES, 0, options)

    module.ensure_loaded()
    specimen = zoo.spawn(arrange)
    try:
        mount = _only(_check_mounts(specimen), b"daemon")
    finally:
        zoo.end(specimen)
    check_equal("type", mount.info.type, b"fuse." + _escaped(ALL_BYTES, b" \t\n\\#"))
