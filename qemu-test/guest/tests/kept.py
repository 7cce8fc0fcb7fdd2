# SPDX-License-Identifier: GPL-2.0
"""The complete list of namespaces: those included that no process is in."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess

import compare.consistency
import compare.namespaces
import forked
import module
import nsfs
import syscalls
from format1 import Document, Namespace
from runner import Failure, check, check_equal, test
from specimens import kept
from specimens.kept import Kept, Report
from tests import scene

_SIOCGSKNS = 0x894C


def _report() -> Report:
    report = scene.take().zoo["keeper"].report
    assert isinstance(report, Report)
    return report


def _record(one: Kept, document: Document | None = None) -> Namespace:
    document = document or scene.take().document
    found = document.namespace(one.facts.type, one.facts.inum)
    check_equal("id", found.fields["id"], one.facts.id)
    return found


@test
def namespaces_listns() -> None:
    """All namespaces that listns lists have records, and no others have active references."""
    taken = scene.take()
    before, after = taken.listed
    if len(taken.namespaces.facts) < len(_report().kept) + 20:
        raise Failure(f"listns lists only {len(taken.namespaces.facts)} namespaces")
    check(compare.namespaces.compare_listed(taken.document, before, after))


@test
def namespaces_lsns() -> None:
    """The namespaces that lsns finds have as many processes as it counts, the same owner and parent."""
    columns = "NS,TYPE,NPROCS,PNS,ONS"
    module.ensure_loaded()
    scene.take()
    before = module.read_document()
    done = subprocess.run(["lsns", "-J", "-o", columns], capture_output=True, check=True)
    after = module.read_document()
    rows = json.loads(done.stdout)["namespaces"]
    # It looks at no threads but the main ones.
    elsewhere = compare.consistency.elsewhere(module.ask_document(scene.EVERYTHING))
    if len(rows) < 20:
        raise Failure(f"lsns lists only {len(rows)} namespaces")
    complaints = []
    for row in rows:
        try:
            one, other = (document.namespace(row["type"], row["ns"]) for document in (before, after))
        except LookupError as error:
            complaints.append(f"lsns lists {row}: {error}")
            continue
        owner = one.fields["owner"] or 0
        wanted = {"owner": row["ons"], "parent": row["pns"]}
        got = {"owner": owner, "parent": one.fields.get("parent") or 0}
        # Of the initial namespaces lsns is itself in, and kernel threads come and go there.
        if one.fields["tasks"] == other.fields["tasks"] and one.fields["id"] > 8:  # type: ignore[operator]
            more = len(elsewhere.get((row["type"], row["ns"]), ()))
            wanted["tasks"], got["tasks"] = row["nprocs"] + more, one.fields["tasks"]  # type: ignore[assignment]
        if got != wanted:
            complaints.append(f"lsns lists {row}, the record has {got}")
    check(complaints)


@test
def namespaces_kept() -> None:
    """What a descriptor, a bind mount, a child or a socket keeps has a record, and no process."""
    complaints = []
    for name, one in _report().kept.items():
        try:
            record = _record(one)
        except LookupError as error:
            complaints.append(f"{name!r}: {error}")
            continue
        active, refs = record.fields["active"], record.fields["refs"]
        assert isinstance(active, int) and isinstance(refs, int)
        if record.fields["tasks"] != 0:
            complaints.append(f"{name!r} has {record.fields['tasks']!r} processes")
        if refs < 1:
            complaints.append(f"{name!r} has {refs} references")
        if one.keeper in ("fd", "bind") and active < 1:
            complaints.append(f"{name!r} is kept by user space, but active={active}")
        if one.keeper == "socket" and active != 0:
            complaints.append(f"{name!r} is kept by a socket, but active={active}")
        for key, value in (("owner", one.facts.owner), ("parent", one.facts.parent)):
            if value is not None and record.fields[key] != value:
                complaints.append(f"{name!r}: {key} is {record.fields[key]!r}, it was {value}")
    check(complaints)


@test
def namespaces_kept_details() -> None:
    """What such namespaces have of their own: names, mounts, and pid namespaces that are dead."""
    report = _report().kept
    taken = scene.take()
    for name in ("uts fd", "uts bind"):
        check_equal(f"nodename of {name!r}", _record(report[name]).fields["nodename"], kept.NODENAME)
    for name in ("pid fd", "pid parent"):
        record = _record(report[name])
        wanted = {"dying": 1, "reaper": None, "pids": 0}
        check_equal(f"{name!r}", {key: record.fields[key] for key in wanted}, wanted)
    for name in ("mnt fd", "mnt bind", "mnt tree"):
        inum = report[name].facts.inum
        if inum not in taken.mounts:
            raise Failure(f"the mounts of {name!r} were not compared with the kernel's")
        check_equal(f"origin of {name!r}", _record(report[name]).fields["origin"], None)
        check_equal(f"mounts of {name!r}", len(taken.document.mounts_of(inum)), report[name].facts.mounts)

    def enter_and_fork() -> int:
        fd = syscalls.open_namespace(report["pid fd"].facts.id)
        syscalls.setns(fd, syscalls.CLONE_NEWPID)
        return forked.errno_of(lambda: None)

    try:
        forked.call(enter_and_fork)
    except forked.ChildError as error:
        if os.strerror(errno.ENOMEM) not in str(error):
            raise
    else:
        raise Failure("a process could be born in a pid namespace that has dying=1")


@test
def namespaces_inactive() -> None:
    """A net namespace that a socket keeps has active=0, but for as long as somebody gets at it."""
    report = _report()
    net, user = report.kept["net socket"], report.kept["user socket"]
    fd = syscalls.descriptor_of(scene.take().zoo["keeper"].pid, report.socket)
    try:
        for _ in range(2):
            check_equal("listed", net.facts.id in syscalls.listns(), False)
            for one in (net, user):
                check_equal("active", _record(one, module.read_document()).fields["active"], 0)
            namespace = fcntl.ioctl(fd, _SIOCGSKNS)
            try:
                check_equal("facts", nsfs.facts(namespace), net.facts)
                check_equal("listed", net.facts.id in syscalls.listns(), True)
                record = _record(net, module.read_document())
                check_equal("active with a file", record.fields["active"], 1)
            finally:
                os.close(namespace)
    finally:
        os.close(fd)
