# SPDX-License-Identifier: GPL-2.0
"""Who may read the file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import forked
import module
import specimens
import syscalls
from runner import Failure, check_equal, test
from specimens import container


def _unprivileged_open() -> None:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    module.open_file()


def _open_without_sys_admin() -> None:
    syscalls.drop_capability(syscalls.CAP_SYS_ADMIN)
    module.open_file()


def _enter_user_namespace() -> None:
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _open_in_user_namespace() -> None:
    _enter_user_namespace()
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
def container_access() -> None:
    """In a container with all capabilities and a procfs of its own nobody may open the file, or write."""
    module.ensure_loaded()
    specimens.zoo()
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        everything = (1 << (int(file.read()) + 1)) - 1
    capabilities = container.run("busybox grep ^CapEff: /proc/self/status").stdout.split()[1]
    check_equal("capabilities", int(capabilities, 16), everything)
    for command in (
        "busybox cat /proc/nsinspect",
        "busybox cat <>/proc/nsinspect",
        "busybox cat >>/proc/nsinspect",
    ):
        done = container.run(command)
        check_equal(f"output of {command}", done.stdout, b"")
        check_equal(f"status of {command}", done.returncode != 0, True)
        check_equal(f"error of {command}", b"Operation not permitted" in done.stderr, True)


@test
def who_may_ask() -> None:
    """Opening for writing takes the same as for reading."""
    module.ensure_loaded()
    for what, change in (
        ("without CAP_SYS_ADMIN", lambda: syscalls.drop_capability(syscalls.CAP_SYS_ADMIN)),
        ("in a user namespace", _enter_user_namespace),
    ):
        for flags in (os.O_WRONLY, os.O_RDWR):

            def open_file(change: Callable[[], None] = change, flags: int = flags) -> None:
                change()
                os.open(module.PROC_FILE, flags)

            got = forked.errno_of(open_file)
            check_equal(f"{what}, flags {flags}", got in (errno.EPERM, errno.EACCES), True)


@test
def write_access() -> None:
    """The mode bits let nobody but root open for writing, and a plain write never gets through."""
    module.ensure_loaded()

    def write() -> None:
        os.write(module.open_file(), b"x\n")

    got = forked.errno_of(write)
    if got != errno.EBADF:
        raise Failure(f"a write to a file open for reading: errno {got}")
