# SPDX-License-Identifier: GPL-2.0
"""Queries: what each keeps, alone and together, against the text with everything."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Iterable

import compare.queries
import format1
import module
import mountinfo
import nsfs
import procfs
import syscalls
import zoo
from compare.queries import KINDS, Query
from format1 import Document, Task
from runner import Failure, check, check_equal, test
from specimens import namespaces
from tests import scene

DEEPEST = 32
CROWD = 300
PROCESSES = (
    "container nested",
    "container",
    "pid nest",
    "pid guest",
    "pid unborn",
    "everything",
    "time",
    "zombie",
    "zombie leader",
    "threads",
    "odd threads",
    "chrooted",
    "chrooted to mount",
    "chrooted to deleted",
    "foreign root",
    "detached root",
    "pivoted",
    "covered root",
    "mounts",
    "users",
)


def _visible(query: Query) -> list[int] | None:
    """The mounts that the process sees which a query asks for."""
    pid = query.pid
    if pid is None and query.upid is not None:
        wanted = query.upid
        everyone = [*scene.take().everything.tasks, *scene.take().everything.threads]
        found = [one for one in everyone if wanted in (one.fields["upid"] or ())]  # type: ignore[operator]
        if found:
            pid = found[0].pid if isinstance(found[0], Task) else found[0].tid
    return None if pid is None else procfs.mount_ids(pid)


def _compare_all(queries: Iterable[Query]) -> int:
    """Asks each, compares the answers, and returns how many records came."""
    before = module.ask_document(scene.EVERYTHING)
    answers = [(query, module.ask_document(str(query)), _visible(query)) for query in queries]
    after = module.ask_document(scene.EVERYTHING)
    complaints = []
    for query, answer, visible in answers:
        complaints += compare.queries.compare(query, before, answer, after, visible)
    check(complaints)
    return sum(a.end.ns + a.end.tasks + a.end.threads + a.end.mounts for _, a, _ in answers)


def _processes() -> list[int]:
    settled = scene.take().zoo
    return [1, 2, *settled["pid dying"].report, *(settled[name].pid for name in PROCESSES)]


def _by_number() -> list[Query]:
    return [Query(pid=pid) for pid in _processes()]


def _by_upid(document: Document) -> list[Query]:
    queries = []
    for pid in _processes():
        for upid in document.task(pid).fields["upid"] or ():  # type: ignore[union-attr]
            assert isinstance(upid, tuple)
            queries.append(Query(upid=upid))
    return queries


def _by_namespace(document: Document) -> list[Query]:
    return [Query(ns=ns.inum) for ns in document.namespaces]


def _by_device(document: Document) -> list[Query]:
    return [Query(dev=device) for device in sorted({m.info.device for m in document.mounts})]


def _by_mount(document: Document) -> list[Query]:
    return [Query(mount=mount.id) for mount in document.mounts]


def _by_kind() -> list[Query]:
    return [Query(kind=kind) for kind in ("user", "kthread")]


@test
def queries_pid() -> None:
    """pid= gives that process, all namespaces that it refers to, and the mounts it sees."""
    _compare_all(_by_number())


@test
def queries_tid() -> None:
    """pid= and upid= with the number of a thread give a thread record, its own namespaces and mounts."""
    taken = scene.take()
    tids = taken.zoo["odd threads"].report
    queries = [Query(pid=tid) for tid in tids.values()]
    pidns = taken.document.task(1).fields["pidns"]
    assert isinstance(pidns, int)
    queries += [Query(upid=(tid, pidns)) for tid in tids.values()]
    queries += [Query(pid=tids["uts"], show=(kind,)) for kind in KINDS]
    queries += [Query(pid=taken.zoo["odd threads"].pid, show=("threads", "tasks"))]
    _compare_all(queries)
    answer = module.ask_document(f"pid={tids['mnt']}")
    check_equal("threads", [one.tid for one in answer.threads], [tids["mnt"]])
    sources = [mount.info.source for mount in answer.mounts]
    check_equal("the mount that it made is there", mountinfo.escape(b"of one thread") in sources, True)


@test
def queries_upid() -> None:
    """upid= gives the same process by its number at each level."""
    _compare_all(_by_upid(scene.take().everything))


@test
def queries_ns() -> None:
    """ns= gives that namespace of whatever type, the processes in it, and its mounts."""
    _compare_all(_by_namespace(scene.take().everything))


@test
def queries_dev() -> None:
    """dev= gives the mounts of that device, their namespaces, and the processes in these."""
    queries = _by_device(scene.take().everything)
    if len(queries) < 20:
        raise Failure(f"there are mounts of {len(queries)} devices only")
    _compare_all(queries)


@test
def queries_mount() -> None:
    """mount= gives the mount with that 64-bit id, its namespace, and the processes in that."""
    queries = _by_mount(scene.take().everything)
    _compare_all(random.Random(1).sample(queries, min(len(queries), 40)))


@test
def queries_kind() -> None:
    """kind= gives the processes of that kind, or the one that was asked for if it is of that kind."""
    queries = _by_kind()
    for pid in (1, 2, scene.take().zoo["ids"].pid):
        queries += [Query(pid=pid, kind=kind) for kind in ("user", "kthread")]
    queries += [Query(kind=kind, show=("tasks", "threads")) for kind in ("user", "kthread")]
    _compare_all(queries)


@test
def queries_show() -> None:
    """show= with every set of kinds shows these kinds and no other."""
    sets = [tuple(k for i, k in enumerate(KINDS) if bits >> i & 1) for bits in range(1, 16)]
    _compare_all([*(Query(show=kinds) for kinds in sets), Query(show=("tasks", "ns", "tasks")), Query()])


@test
def queries_together() -> None:
    """Of several keys all must hold."""
    document = scene.take().everything
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    pools = [_by_number(), _by_upid(document), _by_namespace(document), _by_device(document)]
    pools += [_by_mount(document), _by_kind()]
    shows = [Query(show=tuple(chance.sample(KINDS, chance.randint(1, 4)))) for _ in range(20)]
    queries = []
    while len(queries) < 80:
        query = Query(propagate_from=chance.random() < 0.2)
        for pool in chance.sample([*pools, shows], chance.randint(2, 3)):
            query = query.and_(chance.choice(pool))
        # Random ones seldom have anything in common: most ask for what the process has.
        if query.is_for_one and query.ns is not None and chance.random() < 0.8:
            its = compare.queries.select(Query(pid=query.pid, upid=query.upid), document).namespaces
            if its:
                inum = chance.choice(list(its.values())).inum
                query = dataclasses.replace(query, ns=inum)
        queries.append(query)
    try:
        count = _compare_all(queries)
    except Failure as failure:
        raise Failure(f"seed {seed}", *failure.args) from None
    if not count:
        raise Failure(f"all answers were empty (seed {seed})")


@test
def queries_nothing() -> None:
    """What is not found is no error: the answer has a header and an end that counts nothing."""
    task = scene.take().document.task(1)
    pidns, utsns = task.fields["pidns"], task.fields["utsns"]
    unused = 4194303
    for query in (
        f"pid={unused}",
        "pid=0",
        "pid=2147483647",
        f"upid={unused}@{pidns!r}",
        f"upid=1@{utsns!r}",
        "upid=1@1",
        "upid=1@0",
        "ns=1",
        "ns=0",
        "ns=4294967295",
        "dev=4095:1048575",
        "mount=0",
        "mount=18446744073709551615",
        "pid=2 kind=user",
        "pid=1 kind=kthread",
        "dev=4294967295:4294967295",
        f"pid=2 upid=1@{pidns!r}",
        "pid=1 dev=4095:1",
        "pid=1 ns=1",
        f"pid=1 show=threads ns=1 dev=0:1 upid=1@{pidns!r}",
    ):
        text = module.ask(query.encode())
        document = format1.parse(text)
        check_equal(f"lines of {query}", text.count(b"\n"), 2)
        check_equal(f"end of {query}", document.end, format1.End(0, 0, 0, 0, 0))


@test
def queries_deepest_nest() -> None:
    """In a nest as deep as the kernel allows each level's number finds the same process."""
    nest = zoo.spawn(lambda: namespaces.nest(DEEPEST))
    try:
        innermost = nest.report[-1]
        check_equal("levels", len(nest.report), DEEPEST + 1)
        fd = nsfs.open_link(innermost, "pid")
        assert fd is not None
        spaces = [fd]
        while len(spaces) <= DEEPEST:
            spaces.append(nsfs.open_parent(spaces[-1]))
        numbers = [(nsfs.pid_inside(one, innermost), os.fstat(one).st_ino) for one in reversed(spaces)]
        for one in spaces:
            os.close(one)
        process = procfs.read_process(innermost)
        assert process is not None
        check_equal("NSpid", tuple(number for number, _ in numbers), process.nspid)
        whole = module.read_document().task(innermost)
        check_equal("level", whole.fields["level"], DEEPEST)
        check_equal("upid", whole.fields["upid"], tuple(numbers))
        for number, inum in numbers:
            answer = module.ask_document(f"upid={number}@{inum}")
            check_equal(f"{number}@{inum}", answer.tasks, [whole])
            levels = [ns.fields["level"] for ns in answer.namespaces if ns.type == "pid"]
            check_equal("its pid namespaces", levels, [DEEPEST])
        # Each of the others is 1 in its own.
        for level, pid in enumerate(nest.report):
            answer = module.ask_document(f"upid={1 if level else pid}@{numbers[level][1]}")
            check_equal(f"level {level}", [task.pid for task in answer.tasks], [pid])
    finally:
        zoo.end(nest, nest.report[1])


@test
def queries_propagate_from() -> None:
    """propagate_from=1 gives mountinfo's lines word for word, and =0 what no query gives."""
    taken = scene.take()
    document = module.ask_document("propagate_from=1 show=mounts")
    complaints = []
    found = 0
    for namespace, source in taken.mounts.items():
        lines = [m.line for m in document.mounts_of(namespace) if m.reach != "outside"]
        found += sum(b" propagate_from:" in line for line in lines)
        if lines != source.lines:
            complaints.append(f"the mounts of {namespace} are not those of mountinfo")
    if not found:
        raise Failure("no record has propagate_from")
    check(complaints)
    plain = module.ask_document("propagate_from=0 show=mounts")
    check_equal("propagate_from=0", plain.mounts, taken.document.mounts)


@test
def queries_look_only_for_one() -> None:
    """With hundreds of processes more the answer to pid= is the same, and does not count them."""
    taken = scene.take()
    pid = taken.zoo["container nested"].pid
    before = module.ask_document(f"pid={pid}")

    def fork_many() -> int:
        for _ in range(CROWD):
            if os.fork() == 0:
                zoo.wait_forever()
        return zoo.own_pid()

    def crowd() -> int:
        """In a pid namespace, so that all end with the first."""
        syscalls.unshare(syscalls.CLONE_NEWPID)
        return zoo.spawn(fork_many).report  # type: ignore[no-any-return]

    many = zoo.spawn(crowd)
    try:
        after = module.ask_document(f"pid={pid}")
        check_equal("there are many", module.read_document().end.tasks > CROWD, True)
    finally:
        zoo.end(many, many.report)
    check_equal("tasks", after.tasks, before.tasks)
    check_equal("counts", {ns.fields["tasks"] for ns in after.namespaces}, {None})
    check_equal("mounts", after.mounts, before.mounts)
