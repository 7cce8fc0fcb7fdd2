# SPDX-License-Identifier: GPL-2.0
"""The kernel's complaints are found in its log, and nothing else."""

from __future__ import annotations

import unittest

import klog


class KernelLog(unittest.TestCase):
    """The kernel's complaints are found, and nothing else."""

    BAD = """
        BUG: kernel NULL pointer dereference, address: 0000000000000000
        BUG: unable to handle page fault for address: ffffc90000000000
        kernel BUG at fs/namespace.c:1!
        Oops: Oops: 0000 [#1] SMP NOPTI
        WARNING: CPU: 0 PID: 1 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110
        WARNING: possible circular locking dependency detected
        WARNING: suspicious RCU usage
        refcount_t: underflow; use-after-free.
        Call Trace:
        BUG: KASAN: slab-use-after-free in nsinspect_read+0x1/0x2
        BUG: sleeping function called from invalid context at mm/slab.h:1
        BUG: scheduling while atomic: cat/1/0x00000002
        rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
        rcu: INFO: rcu_preempt self-detected stall on CPU
        watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [cat:1]
        INFO: task cat:1 blocked for more than 120 seconds.
        list_del corruption. prev->next should be ffff, but was 0000
        UBSAN: array-index-out-of-bounds in x.c:1:1
        kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
        rust_kernel: panicked at nsinspect.rs:1:1:
        ------------[ cut here ]------------
        cat: page allocation failure: order:5, mode:0xcc0(GFP_KERNEL)
        Kernel panic - not syncing: Fatal exception
        general protection fault, probably for non-canonical address 0xdead: 0000 [#1]
        ODEBUG: free active (active state 0) object: ffff
        nsinspect: Unknown symbol mounts_op (err -2)
    """
    GOOD = """
        nsinspect: loading out-of-tree module taints kernel.
        nsinspect: module verification failed: signature and/or required key missing - tainting kernel
        nsinspect: /proc/nsinspect is there
        cgroup: fork rejected by pids controller in /nsinspect-test
        rcu: Hierarchical SRCU implementation.
        workqueue: pcpu_balance_workfn hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND
        clocksource: Long readout interval, skipping watchdog check: cs_nsec: 1 wd_nsec: 2
        overlayfs: upperdir is in-use as upperdir/workdir of another mount
    """

    def _lines(self, text: str) -> list[str]:
        return [line.strip() for line in text.strip().splitlines()]

    def test_bad(self) -> None:
        lines = self._lines(self.BAD)
        self.assertEqual(klog.problems(lines), lines)
        self.assertTrue(klog.problems([klog.OVERRUN]))

    OOM = """
        reader invoked oom-killer: gfp_mask=0x400cc0(GFP_KERNEL_ACCOUNT), order=0, oom_score_adj=0
        CPU: 0 UID: 0 PID: 120 Comm: reader Tainted: G           OE
        Call Trace:
         <TASK>
         dump_stack_lvl+0x5d/0x80
        memory: usage 1024kB, limit 1024kB, failcnt 100
        Memory cgroup out of memory: Killed process 120 (reader) total-vm:1000kB, anon-rss:100kB
    """

    def test_expected_block(self) -> None:
        lines = self._lines(self.OOM)
        complaint = "BUG: KASAN: slab-use-after-free in nsinspect_read+0x1/0x2"
        self.assertEqual(klog.problems(lines), ["Call Trace:"])
        self.addCleanup(klog.expect_nothing)
        klog.expect(klog.OOM_KILL)
        self.assertEqual(klog.problems(lines), [])
        self.assertEqual(klog.problems([*lines, "nothing", *lines]), [])
        # What another processor says meanwhile, and what comes after it.
        self.assertEqual(klog.problems([*lines[:4], complaint, *lines[4:]]), [complaint])
        self.assertEqual(klog.problems([*lines, complaint, "Call Trace:"]), [complaint, "Call Trace:"])
        klog.expect_nothing()
        self.assertEqual(klog.problems(lines), ["Call Trace:"])

    def test_block_without_end(self) -> None:
        lines = self._lines(self.OOM)
        self.addCleanup(klog.expect_nothing)
        vmalloc = klog.Block("page allocation failure", "^Mem-Info:", "^Call Trace:$", "none is left")
        begin = "cat: page allocation failure: order:5, mode:0xcc0(GFP_KERNEL)"
        klog.expect(vmalloc)
        self.assertEqual(klog.problems([begin, "Call Trace:", "Mem-Info:"]), [])
        self.assertEqual(klog.problems([begin, "Call Trace:"]), [begin, "Call Trace:"])
        self.assertEqual(klog.problems([begin, begin, "Call Trace:", "Mem-Info:"]), [begin])
        far = [begin, *["nothing"] * klog.MAX_BLOCK, "Call Trace:", "Mem-Info:"]
        self.assertEqual(klog.problems(far), [begin, "Call Trace:"])
        # Of another kind than what is expected.
        self.assertEqual(klog.problems(lines), ["Call Trace:"])

    def test_expected_line(self) -> None:
        line = "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)"
        self.addCleanup(klog.expect_nothing)
        klog.expect(klog.KMEMLEAK)
        self.assertEqual(klog.problems([line, "Call Trace:", line]), ["Call Trace:"])

    def test_good(self) -> None:
        self.assertEqual(klog.problems(self._lines(self.GOOD)), [])
