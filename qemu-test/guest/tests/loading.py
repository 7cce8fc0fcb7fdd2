# SPDX-License-Identifier: GPL-2.0
"""Loading and unloading the module."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import threading
from collections.abc import Callable
from functools import partial

import klog
import mountinfo
import module
import syscalls
from forked import wait_until
from runner import Failure, check_equal, test

_BTF = "/sys/kernel/btf/vmlinux"
_CURE = "make kdir && make"
# The room that the module has for a version.
_VERSION_LEN = 65


def _errno(function: Callable[[], object]) -> int:
    try:
        function()
    except OSError as error:
        return error.errno or -1
    return 0


@test
def load_read_unload() -> None:
    """The file comes with the module, has mode 0400, can be read, and goes with the module."""
    module.ensure_unloaded()
    for _ in range(3):
        check_equal("file before insmod", os.path.exists(module.PROC_FILE), False)
        module.load()
        status = os.stat(module.PROC_FILE)
        check_equal("mode", status.st_mode, stat.S_IFREG | 0o400)
        check_equal("owner", (status.st_uid, status.st_gid), (0, 0))
        module.read_document()
        module.unload()
    check_equal("file after rmmod", os.path.exists(module.PROC_FILE), False)


@test
def load_twice() -> None:
    """A second insmod gets EEXIST and does no harm."""
    module.ensure_loaded()
    check_equal("errno of the second insmod", _errno(module.load), errno.EEXIST)
    module.read_document()


def _load_bytes(data: bytes) -> int:
    """Loads a module: 0, or the error."""
    fd = os.memfd_create("altered.ko")
    try:
        os.write(fd, data)
        with open(f"/proc/self/fd/{fd}", "rb") as copy:
            return _errno(partial(syscalls.finit_module, copy.fileno()))
    finally:
        os.close(fd)


def _check_nothing_left() -> None:
    check_equal("file", os.path.exists(module.PROC_FILE), False)
    check_equal("module", module.is_loaded(), False)


def _check_refused(data: bytes, *said: str) -> None:
    """Such a module gets ENODEV, and leaves nothing but messages in which all that is said."""
    log = klog.KernelLog()
    log.new_lines()
    check_equal("errno", _load_bytes(data), errno.ENODEV)
    _check_nothing_left()
    lines = [line for line in log.new_lines() if line.startswith("nsinspect: ")]
    for what in said:
        if not any(what in line for line in lines):
            raise Failure(f"the log does not say {what!r}: {lines}")


@test
def load_elsewhere() -> None:
    """A module that was built for another release gets ENOEXEC, and leaves nothing behind."""
    module.ensure_unloaded()
    release = os.uname().release.encode()
    other = release[:-1] + (b"x" if release[-1:] != b"x" else b"y")
    data = module.altered((b"vermagic=" + release + b" ", b"vermagic=" + other + b" "))
    check_equal("errno", _load_bytes(data), errno.ENOEXEC)
    _check_nothing_left()
    module.load()
    module.read_document()


def _btf_hash() -> bytes:
    with open(_BTF, "rb") as file:
        return hashlib.sha256(file.read()).digest()


@test
def load_other_types() -> None:
    """A module that was built for other types gets ENODEV, and the log has both hashes and the cure."""
    module.ensure_unloaded()
    digest = _btf_hash()
    other = digest[:-1] + bytes([digest[-1] ^ 1])
    version = os.uname().version
    _check_refused(module.altered((digest, other)), other.hex(), digest.hex(), version, _CURE)
    # What is compared first decides.
    padded = version.encode().ljust(_VERSION_LEN, b"\0")
    check_equal("errno with another version", _load_bytes(module.altered((padded, padded[::-1]))), 0)
    module.unload()
    module.load()
    module.read_document()


@test
def load_without_btf() -> None:
    """Where sysfs has no BTF, the version decides; where that is not known either, it is ENODEV."""
    module.ensure_unloaded()
    version = os.uname().version
    padded = version.encode().ljust(_VERSION_LEN, b"\0")
    other = version[:-1] + "?"
    log = klog.KernelLog()
    log.new_lines()
    check_equal("errno with the right version", _load_bytes(module.altered(module.NO_BTF)), 0)
    lines = log.new_lines()
    if not any(f"BTF cannot be read (error -{errno.ENOENT})" in line for line in lines):
        raise Failure(f"the log does not say why the version decides: {lines}")
    module.read_document()
    module.unload()
    altered = module.altered(module.NO_BTF, (padded, other.encode().ljust(_VERSION_LEN, b"\0")))
    _check_refused(altered, f"error -{errno.ENOENT}", f"built for {other}", f"this one  {version}", _CURE)
    _check_refused(module.altered(module.NO_BTF, (padded, bytes(_VERSION_LEN))), "(not known)", version, _CURE)
    module.load()


def _load_in_thread(enter: Callable[[], None], new: int) -> None:
    """Loads it in a thread that enters so many new namespaces before, which end with the thread."""
    before = _namespace_ids()
    module.unload()
    errors: list[BaseException] = []

    def load() -> None:
        try:
            enter()
            module.load()
            check_equal("new namespaces", len(_namespace_ids() - before), new)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    wait_until(lambda: _namespace_ids() <= before, "the thread's namespaces are gone")


@test
def load_in_own_namespaces() -> None:
    """A thread that has mount and network namespaces of its own loads it, and keeps neither alive."""
    _load_in_thread(partial(syscalls.unshare, syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET), 2)


@test
def load_in_container_network() -> None:
    """A thread loads it that is in a network namespace of another user namespace, where sysfs is not mounted."""

    def enter() -> None:
        before = os.stat("/proc/self/ns/net").st_ino
        with subprocess.Popen(["unshare", "--user", "--net", "sleep", "600"]) as child:
            path = f"/proc/{child.pid}/ns/net"
            try:
                wait_until(lambda: os.stat(path).st_ino != before, "there is a network namespace")
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    syscalls.setns(fd, syscalls.CLONE_NEWNET)
                finally:
                    os.close(fd)
            finally:
                child.kill()

    # Its user namespace stays as its owner.
    _load_in_thread(enter, 2)


def _namespace_ids() -> set[object]:
    module.ensure_loaded()
    return {ns.fields["id"] for ns in module.read_document().namespaces}


@test
def unload_while_open() -> None:
    """rmmod succeeds with files open, unread and half read; they then fail and can be closed."""
    module.ensure_loaded()
    unread, half, whole = (module.open_file() for _ in range(3))
    check_equal("bytes read", len(os.read(half, 100)), 100)
    module.read_all(whole)
    asking = module.open_for_queries()
    os.write(asking, b"pid=1")
    module.unload()
    check_equal("errno of write", _errno(partial(os.write, asking, b"pid=1")), errno.EIO)
    for fd in (unread, half, whole, asking):
        check_equal("errno of read", _errno(partial(os.read, fd, 100)), errno.EIO)
        check_equal("errno of pread", _errno(partial(os.pread, fd, 100, 7)), errno.EIO)
        check_equal("errno of lseek", _errno(partial(os.lseek, fd, 0, os.SEEK_SET)), errno.EINVAL)
    check_equal("errno of open", _errno(module.open_file), errno.ENOENT)
    os.close(unread)
    module.load()
    module.read_document()
    # What was open before stays dead, the new file is another one.
    check_equal("errno of read after reload", _errno(partial(os.read, half, 100)), errno.EIO)
    for fd in (half, whole, asking):
        os.close(fd)


@test
def unused_after_close() -> None:
    """Reading leaves no module reference behind."""
    module.ensure_loaded()
    for _ in range(5):
        module.read_text()
    with open("/sys/module/nsinspect/refcnt", encoding="ascii") as file:
        check_equal("refcnt", file.read().strip(), "0")
    with open("/proc/modules", encoding="ascii") as file:
        state = [line.split()[4] for line in file if line.startswith("nsinspect ")]
    if state != ["Live"]:
        raise Failure(f"/proc/modules says {state}")


@test
def load_other_lines() -> None:
    """A module that writes lines of mounts otherwise than the kernel says so, and has the kernel write them."""
    module.ensure_unloaded()
    log = klog.KernelLog()
    check_equal("errno", _load_bytes(module.altered((b",nosuid", b",nosuit"))), 0)
    said = "\n".join(log.new_lines())
    for text in ("this kernel writes lines of mountinfo otherwise", "the module's line: ", ",nosuit", "the kernel's line: "):
        if text not in said:
            raise Failure(f"the log lacks {text!r}: {said}")
    with open("/proc/self/mountinfo", "rb") as file:
        wanted = [mountinfo.without_propagate_from(line) for line in file.read().splitlines()]
    namespace = os.stat("/proc/self/ns/mnt").st_ino
    mounts = module.ask_document(f"ns={namespace}").mounts_of(namespace)
    lines = [mount.line for mount in mounts if mount.reach != "outside"]
    check_equal("lines that the kernel writes", lines, wanted)
    module.unload()
    log.new_lines()
    module.load()
    if "lines of mountinfo" in "\n".join(log.new_lines()):
        raise Failure("the module as it is says that the kernel writes other lines")
