# SPDX-License-Identifier: GPL-2.0
"""Loading and unloading the module."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from functools import partial

import module
import syscalls
from forked import wait_until
from runner import Failure, check_equal, test


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


@test
def load_elsewhere() -> None:
    """A module that was built for another release gets ENOEXEC, and leaves nothing behind."""
    module.ensure_unloaded()
    release = os.uname().release.encode()
    other = release[:-1] + (b"x" if release[-1:] != b"x" else b"y")
    with open(os.environ["NSINSPECT_KO"], "rb") as file:
        data = file.read()
    check_equal("releases in the module", data.count(b"vermagic=" + release + b" "), 1)
    fd = os.memfd_create("other.ko")
    try:
        os.write(fd, data.replace(b"vermagic=" + release, b"vermagic=" + other))
        with open(f"/proc/self/fd/{fd}", "rb") as copy:
            check_equal("errno", _errno(partial(syscalls.finit_module, copy.fileno())), errno.ENOEXEC)
    finally:
        os.close(fd)
    check_equal("file", os.path.exists(module.PROC_FILE), False)
    check_equal("module", module.is_loaded(), False)
    module.load()
    module.read_document()


@test
def load_in_own_namespaces() -> None:
    """A thread that has mount and network namespaces of its own loads it, and keeps neither alive."""
    before = _namespace_ids()
    module.unload()
    errors: list[BaseException] = []

    def load() -> None:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)
            module.load()
            meanwhile = _namespace_ids()
            check_equal("new namespaces", len(meanwhile - before), 2)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    wait_until(lambda: _namespace_ids() <= before, "the thread's namespaces are gone")


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
