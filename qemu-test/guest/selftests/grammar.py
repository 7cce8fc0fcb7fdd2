# SPDX-License-Identifier: GPL-2.0
"""What the contract does not allow is no text."""

from __future__ import annotations

import unittest

import format1
import mountinfo
from format1 import FormatError
from selftests.system import TEXT


class Grammar(unittest.TestCase):
    """What the contract does not allow is no text."""

    def test_values(self) -> None:
        for text in (b"", b"a", b"-", b"--", b" ", b"\n", b"\\", b",", b"@", b"#", b"=", b"\x7f\x80\xff\0"):
            self.assertEqual(format1.unescape(format1.escape(text)), text)
        self.assertEqual(format1.escape(b"a b\\"), rb"a\040b\134")
        self.assertIsInstance(format1.unescape(rb"/long\~"), format1.CutText)
        for value in (
            rb"\1",
            rb"\400",
            rb"\101",
            rb"\08x",
            b"a\\",
            b"a,b",
            b"a=b",
            b"a#",
            b"a@",
            b"\x7f",
            b"-",
        ):
            with self.assertRaises(FormatError, msg=repr(value)):
                format1.unescape(value)

    def test_texts(self) -> None:
        for old, new in (
            (b"nsinspect 1", b"nsinspect 2"),
            (b"ns user", b"ns  user"),
            (b"ns user", b"ns\tuser"),
            (b"ns user", b"ns usr"),
            (b"ns user", b"NS user"),
            (b"gid_map=-\n", b"gid_map=- \n"),
            (b"gid_map=-\n", b"gid_map=-\r\n"),
            (b"gid_map=-\n", b"gid_map=-\n\n"),
            (b"uid=0 uid_map", b"uid=00 uid_map"),
            (b"uid=0 uid_map", b"uid=+0 uid_map"),
            (b"uid=0 uid_map", b"uid=0x0 uid_map"),
            (b"uid=0 uid_map", b"uid=-1 uid_map"),
            (b"uid=0 uid_map", b"uid= uid_map"),
            (b"uid_map=0:0:4294967295", b"uid_map=0:0"),
            (b"uid_map=0:0:4294967295", b"uid_map=0:0:4294967295,"),
            (b"uid_map=0:0:4294967295", b"uid_map="),
            (b"gid_map=-\n", b"\n"),
            (b"gid_map=-\n", b"gid_map=- new=1\n"),
            (b"level=0 parent=-", b"parent=- level=0"),
            (b"dying=0", b"dying=2"),
            (b"state=S", b"state=s"),
            (b"kind=user", b"kind=User"),
            (b"upid=1@102", b"upid=1"),
            (b"upid=1@102", b"upid=1@102,"),
            (b"pgid=1", b"pgid="),
            (b"a\\040node", b"a node"),
            (b"a\\040node", b"a\\40node"),
            (b"domainname=\\055", b"domainname=-"),
            (b"monotonic=-5", b"monotonic=-0"),
            (b"root 20 1", b"root 20  1"),
            (b"covered 23", b"Covered 23"),
            (b"root,locked 22", b"locked 22"),
            (b"root,locked 22", b"root, 22"),
            (b"root,locked 22", b"root,locked, 22"),
            (b"root,locked 22", b"locked,root 22"),
            (b"root=1\n", b"root=1 torn=0\n"),
            (b"root=1\n", b"torn=1 root=1\n"),
            (b"gid_map=-\n", b"gid_map=- torn=1\n"),
            (b"threads=5 mounts", b"mounts"),
            (b"threads=5", b"threads=4"),
            (b"thread 1 tgid=1", b"thread 1"),
            (b"thread 1 tgid=1 comm=init", b"thread 1 comm=init tgid=1"),
            (b"upid=60@102 tracer=- uid", b"upid=60@102 tracer=- pgid=1 uid"),
            (b"tasks=4 refs", b"tasks= refs"),
            (b"cgroup_id=1\ntask 2", b"cgroup_id=1 unlisted=1\ntask 2"),
            (b"cgroup_id=1\nthread 2", b"cgroup_id=1 unlisted=1\nthread 2"),
            (b"cgroup_id=1\ntask 2", b"cgroup_id=1 unlisted=0\ntask 2"),
            (b"cgroup=/x=y", b"cgroup=/x\\075y"),
            (b"cwd=/srv", b"cwd=/s\\162v"),
            (b"caps=0", b"caps="),
            (b"caps=000001f", b"caps=000001F"),
            (b"tracer=-", b"tracer="),
            (b"nnp=0", b"nnp=2"),
            (b"end ns", b"END ns"),
        ):
            text = TEXT.replace(old, new, 1)
            self.assertNotEqual(text, TEXT, (old, new))
            with self.assertRaises(FormatError, msg=f"{old!r} -> {new!r}"):
                format1.parse(text)

    def test_other_texts(self) -> None:
        """What only answers to queries have, or systems where something hides."""
        unlisted = TEXT.replace(b"cgroup_id=9\nthread 1 ", b"cgroup_id=9 unlisted=1\nthread 1 ")
        self.assertNotEqual(unlisted, TEXT)
        flags = [task.unlisted for task in format1.parse(unlisted).tasks]
        self.assertEqual(flags, [False, False, False, True])
        uncounted = format1.parse(TEXT.replace(b"tasks=4 refs", b"tasks=- refs"))
        self.assertIsNone(uncounted.namespaces[0].fields["tasks"])
        empty = TEXT.split(b"\n")[0] + b"\nend ns=0 tasks=0 threads=0 mounts=0 holds=0\n"
        self.assertEqual(format1.parse(empty).end, format1.End(0, 0, 0, 0, 0))
        self.assertEqual(format1.parse(TEXT).thread(51).fields["tgid"], 50)
        torn = format1.parse(TEXT.replace(b"root=1\n", b"root=1 torn=1\n"))
        self.assertEqual([ns.type for ns in torn.namespaces if ns.torn], ["mnt"])

    def test_mountinfo(self) -> None:
        line = rb"20 1 0:2 / /a\011b rw,x shared:1 master:2 propagate_from:3 unbindable - fuse.a  rw,b c"
        info = mountinfo.MountInfo.parse(line)
        self.assertEqual(info.tags, (b"shared:1", b"master:2", b"propagate_from:3", b"unbindable"))
        self.assertEqual((info.source, info.super_options), (b"", b"rw,b c"))
        self.assertNotIn(b"propagate", mountinfo.without_propagate_from(line))
        self.assertEqual(len(mountinfo.without_propagate_from(line)), len(line) - len(" propagate_from:3"))
        named = rb"20 1 0:2 / /a rw - tmpfs x\040propagate_from:3 rw propagate_from:3"
        self.assertEqual(mountinfo.without_propagate_from(named), named)
        for wrong in (b"", b"20 1 0:2 / /a rw tmpfs x rw", b"20 1 02 / /a rw - tmpfs x rw", line + b"\n"):
            with self.assertRaises(mountinfo.MountInfoError):
                mountinfo.MountInfo.parse(wrong)
