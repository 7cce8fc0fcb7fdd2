# SPDX-License-Identifier: GPL-2.0
"""The part of scripts/guest/holders that no program can do: one process that keeps much."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
import threading

import syscalls
from specimens.holders import dying_namespace, foreign_socket, in_flight, in_thread, open_tree

_kept: list[object] = []


def map_file() -> None:
    """A file that is mapped, and open no more."""
    with open(b"/mnt/data/cache", "rb") as file:
        _kept.append(mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ, trackfd=False))


def foreign_credentials() -> None:
    """A file that was opened in a user namespace which nobody is in any more."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        socket.send_fds(theirs, [b"x"], [os.open(b"/mnt/data/logs", os.O_RDONLY)])
        os._exit(0)
    _kept.append(socket.recv_fds(ours, 1, 1)[1])
    os.waitpid(pid, 0)
    ours.close()
    theirs.close()


def main() -> None:
    syscalls.set_comm(b"runtime")
    map_file()
    foreign_credentials()
    _kept.append(open_tree(b"/mnt/data/logs"))
    foreign_socket()
    in_flight()
    in_thread(lambda: syscalls.unshare(syscalls.CLONE_NEWNET))
    _, first, second = dying_namespace()
    _kept.append(syscalls.syscall(syscalls.SYS_PIDFD_OPEN, first, 0))
    with open(sys.argv[1], "w") as ready:
        ready.write(f"{second}\n")
    while threading.active_count():
        signal.pause()


main()
