// SPDX-License-Identifier: GPL-2.0
/*
 * A BPF iterator over all processes: of each its number in every pid namespace that it is in, and
 * the namespaces of its nsproxy. Pinned in a BPF file system it is a file that one reads, as
 * /proc/nsinspect is.
 */

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define MAX_LEVELS 33

char LICENSE[] SEC("license") = "GPL";

SEC("iter/task")
int tasks(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct nsproxy *nsproxy;
	struct pid *pid;
	unsigned int level;

	if (!task || task->pid != task->tgid)
		return 0;
	pid = task->thread_pid;
	nsproxy = task->nsproxy;
	if (!pid)
		return 0;
	level = pid->level;
	BPF_SEQ_PRINTF(seq, "task %d comm=%s level=%d upid=", task->pid, task->comm, level);
	for (unsigned int i = 0; i < MAX_LEVELS && i <= level; i++) {
		struct upid upid;

		if (bpf_core_read(&upid, sizeof(upid), &pid->numbers[i]))
			return 0;
		BPF_SEQ_PRINTF(seq, "%d@%u,", upid.nr, BPF_CORE_READ(upid.ns, ns.inum));
	}
	if (nsproxy)
		BPF_SEQ_PRINTF(seq, " mntns=%u utsns=%u ipcns=%u netns=%u cgroupns=%u timens=%u\n",
			       nsproxy->mnt_ns->ns.inum, nsproxy->uts_ns->ns.inum,
			       nsproxy->ipc_ns->ns.inum, nsproxy->net_ns->ns.inum,
			       nsproxy->cgroup_ns->ns.inum, nsproxy->time_ns->ns.inum);
	else
		BPF_SEQ_PRINTF(seq, "\n");
	return 0;
}
