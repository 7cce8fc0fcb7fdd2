# SPDX-License-Identifier: GPL-2.0
"""Mount records against mountinfo, `listmount` and `statmount`."""

from __future__ import annotations

import mountinfo
from format1 import Document, Mount
from mountinfo import MountInfo
from mountlist import MountList
from syscalls import StatMount


def _lines(namespace: int, got: list[bytes], wanted: list[bytes]) -> list[str]:
    """Compares two lists that should be the same, line by line."""
    if got == wanted:
        return []
    where = f"mount namespace {namespace}"
    complaints = [f"{where}: no record of {line!r}" for line in wanted if line not in got]
    complaints += [f"{where}: mountinfo lacks {line!r}" for line in got if line not in wanted]
    return complaints or [f"{where}: the order is not mountinfo's, or a line comes twice"]


def _reach(record: Mount, over: set[int], leads_to: dict[bytes, int | None]) -> str:
    """What reach a mount has that is in mountinfo."""
    if leads_to.get(record.info.point) == record.id:
        return "root"
    return "over" if record.info.id in over else "covered"


def _reaches(namespace: int, records: list[Mount], source: MountList) -> list[str]:
    over = mountinfo.overmounted(source.infos)
    return [
        f"mount {record.id} of namespace {namespace} on {record.info.point!r} is {record.reach!r}, should be"
        f" {wanted!r}: the path leads to mount {source.leads_to.get(record.info.point)}"
        for record in records
        if record.reach != (wanted := _reach(record, over, source.leads_to))
    ]


def _number(info: MountInfo, tag: bytes) -> int:
    """The number of a tag like `shared:1`, 0 where it is not there."""
    for item in info.tags:
        if item.startswith(tag + b":"):
            return int(item.partition(b":")[2])
    return 0


def _facts(info: MountInfo, stat: StatMount) -> list[tuple[str, object, object]]:
    """What a record shows beside what `statmount` shows."""
    shared = _number(info, b"shared")
    return [
        ("mnt_id", info.id, stat.old_id),
        ("parent", info.parent, stat.old_parent),
        ("device", info.device, stat.device),
        ("root", info.root, mountinfo.escape(stat.root)),
        ("type", info.type.partition(b".")[0], stat.fs_type),
        ("shared", shared, stat.peer_group if shared else 0),
        ("master", _number(info, b"master"), stat.master),
    ]


def _one(record: Mount, stat: StatMount) -> list[str]:
    where = f"mount {record.id} of namespace {record.namespace}"
    return [
        f"{where}: {name} is {got!r}, statmount has {wanted!r}"
        for name, got, wanted in _facts(record.info, stat)
        if got != wanted
    ]


def compare_namespace(namespace: int, records: list[Mount], source: MountList) -> list[str]:
    """What is wrong with the records of one mount namespace."""
    where = f"mount namespace {namespace}"
    visible = [record for record in records if record.reach != "outside"]
    complaints = _lines(
        namespace,
        [record.line for record in visible],
        [mountinfo.without_propagate_from(line) for line in source.lines],
    )
    complaints += _reaches(namespace, visible, source)
    complaints += [
        f"{where}: mount {record.id} on {record.info.point!r}: locked is {record.locked}, umount says otherwise"
        for record in records
        if record.locked != source.locked.get(record.id, record.locked)
    ]
    ids = [record.id for record in records]
    if len(ids) != source.count:
        complaints.append(f"{where}: {len(ids)} records, the kernel counts {source.count} mounts")
    complaints += [f"{where}: no record of mount {id_}" for id_ in source.mounts if id_ not in ids]
    if ids != sorted(set(ids)):
        complaints.append(f"{where}: the 64-bit ids do not ascend")
    for record in records:
        if record.id in source.mounts:
            complaints += _one(record, source.mounts[record.id])
        elif record.reach != "outside":
            complaints.append(f"{where}: the kernel knows no mount {record.id}")
    return complaints


def compare(document: Document, sources: dict[int, MountList]) -> list[str]:
    """What is wrong with the mount records, given every mount namespace; none of them changed."""
    complaints = [f"mount namespace {ns.inum} is torn" for ns in document.namespaces if ns.torn]
    for namespace, source in sources.items():
        complaints += compare_namespace(namespace, document.mounts_of(namespace), source)
    return complaints
