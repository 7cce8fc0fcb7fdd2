# SPDX-License-Identifier: GPL-2.0
"""Who may read the file."""

from __future__ import annotations

import errno
import os

import forked
import module
import syscalls
from runner import Failure, check_equal, test


def _unprivileged_open() -> None:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    module.open_file()


def _open_without_sys_admin() -> None:
    syscalls.drop_capability(syscalls.CAP_SYS_ADMIN)
    module.open_file()


def _open_in_user_namespace() -> None:
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    module.open_file()


def _errno_in_pid_namespace() -> int:
    syscalls.unshare(syscalls.CLONE_NEWPID)
    return forked.errno_of(module.open_file)


def _open_with_all_other_new() -> None:
    """Other namespaces than those of pids and users make no difference."""
    syscalls.unshare(
        syscalls.CLONE_NEWNS
        | syscalls.CLONE_NEWUTS
        | syscalls.CLONE_NEWIPC
        | syscalls.CLONE_NEWNET
        | syscalls.CLONE_NEWCGROUP
    )
    module.open_file()


@test
def unprivileged_open() -> None:
    """Another user gets EACCES."""
    module.ensure_loaded()
    check_equal("errno", forked.errno_of(_unprivileged_open), errno.EACCES)


@test
def who_may_read() -> None:
    """Root needs CAP_SYS_ADMIN and the initial user and pid namespaces, or gets EPERM."""
    module.ensure_loaded()
    check_equal("without CAP_SYS_ADMIN", forked.errno_of(_open_without_sys_admin), errno.EPERM)
    check_equal("in a user namespace", forked.errno_of(_open_in_user_namespace), errno.EPERM)
    check_equal("in a pid namespace", forked.call(_errno_in_pid_namespace), errno.EPERM)
    check_equal("in other namespaces", forked.errno_of(_open_with_all_other_new), 0)


@test
def write_access() -> None:
    """The mode bits let nobody but root open for writing, and a plain write never gets through."""
    module.ensure_loaded()

    def write() -> None:
        os.write(module.open_file(), b"x\n")

    got = forked.errno_of(write)
    if got != errno.EBADF:
        raise Failure(f"a write to a file open for reading: errno {got}")
