// SPDX-License-Identifier: GPL-2.0
/* Churners: pid namespaces, and the files that namespaces are bound on. */
#include "churn.h"

/* --- churners: pid namespaces ---------------------------------------------------------------- */

static void inhabit_pidns(int ready)
{
	for (int n = below(5); n; n--) {
		if (spawn_if_alive(0))
			continue;
		if (one_in(3))
			setsid();
		if (one_in(4) && spawn_if_alive(0))
			_exit(0);
		wait_forever();
	}
	if (ready != -1)
		tell(ready);
	wait_forever();
}

/* A container: pid 1 of a new pid namespace, and others in it. Killed, at once or later. */
void do_init(void)
{
	int pipe_fds[2];
	int flags = CLONE_NEWPID;
	bool early = one_in(4);
	pid_t pid;

	for (int i = 1; i < 4; i++)
		if (one_in(2))
			flags |= ns_types[i].flag;
	if (one_in(4))
		flags |= CLONE_NEWUSER;
	MUST(pipe2(pipe_fds, O_CLOEXEC));
	pid = spawn(flags);
	if (pid == 0) {
		die_with_parent();
		in_new_namespaces(flags);
		if (flags & CLONE_NEWNS && !(flags & CLONE_NEWUSER) && one_in(2)) {
			MUST(mount("proc", "/proc", "proc", 0, NULL));
			count(C_mounts);
		}
		inhabit_pidns(pipe_fds[1]);
	}
	count_flags(C_unshares_user, flags);
	close(pipe_fds[1]);
	if (!early)
		AWAIT(pipe_fds[0]);
	close(pipe_fds[0]);
	nap(3000);
	END(pid);
	count(C_inits_killed);
}

/* Pid namespaces, one in the other, from the first on. */
__attribute__((noreturn)) static void nest(int depth, int leaver, int ready)
{
	for (int level = 1;; level++) {
		bool new_user;
		pid_t pid;
		int status;

		die_with_parent();
		if (level == depth) {
			nap(1000);
			if (leaver == depth)
				_exit(0);
			tell(ready);
			wait_forever();
		}
		new_user = one_in(4);
		pid = spawn_if_alive(CLONE_NEWPID | (new_user ? CLONE_NEWUSER : 0));
		if (pid == -1) {
			/* This one is about to be killed, since the leaver has left. */
			if (leaver == -1)
				FAIL("clone: ENOMEM");
			wait_forever();
		}
		if (pid == 0) {
			/* Or there could be none below it. */
			if (new_user)
				map_root();
			continue;
		}
		count(C_pidns_nested);
		if (level == leaver) {
			nap(2000);
			_exit(0);
		}
		/* Those below end when this one does, or this one when they do. */
		MUST(waitpid(pid, &status, 0));
		check_status(pid, status, __LINE__);
		_exit(0);
	}
}

void do_nest(void)
{
	int pipe_fds[2], depth = below(20) + 2;
	/* Which level ends by itself, if any. */
	int leaver = one_in(2) ? (int)below(depth) + 1 : -1;
	pid_t pid;

	MUST(pipe2(pipe_fds, O_CLOEXEC));
	pid = spawn(CLONE_NEWPID);
	if (pid == 0)
		nest(depth, leaver, pipe_fds[1]);
	count(C_pidns_nested);
	close(pipe_fds[1]);
	if (leaver == -1) {
		AWAIT(pipe_fds[0]);
		nap(2000);
		END(pid);
		count(C_inits_killed);
	} else {
		REAP(pid);
	}
	close(pipe_fds[0]);
}

/* --- churners: namespace files --------------------------------------------------------------- */

static bool ns_file_bound[NS_FILES];

void release_ns_file(int i)
{
	if (!ns_file_bound[i])
		return;
	MUST(umount2(PATH("%s/ns%d", yard_dir, i), 0));
	ns_file_bound[i] = false;
	count(C_umounts);
	count(C_ns_files_released);
}

void do_ns_files(void)
{
	int i = below(NS_FILES), type = below(NSES), pipe_fds[2], fd = -1;
	char *file = PATH("%s/ns%d", yard_dir, i);
	bool has_child;
	pid_t pid;

	if (ns_file_bound[i]) {
		if (one_in(2)) {
			pid = spawn(0);
			if (pid == 0) {
				fd = MUST(open(file, O_RDONLY | O_CLOEXEC));
				MUST(setns(fd, 0));
				nap(1000);
				_exit(0);
			}
			REAP(pid);
		}
		release_ns_file(i);
		return;
	}
	if (ns_types[type].flag == CLONE_NEWNET && !one_in(3))
		type = 2;
	has_child = ns_types[type].flag & (CLONE_NEWPID | CLONE_NEWTIME);
	MUST(pipe2(pipe_fds, O_CLOEXEC));
	pid = spawn(0);
	if (pid == 0) {
		die_with_parent();
		MUST(unshare(ns_types[type].flag));
		count_flags(C_unshares_user, ns_types[type].flag);
		/* These are entered by children only. */
		if (has_child && spawn(0) == 0) {
			die_with_parent();
			tell(pipe_fds[1]);
			wait_forever();
		}
		if (!has_child)
			tell(pipe_fds[1]);
		wait_forever();
	}
	close(pipe_fds[1]);
	AWAIT(pipe_fds[0]);
	close(pipe_fds[0]);
	MUST(mount(PATH("/proc/%d/ns/%s%s", pid, ns_types[type].link,
			has_child ? "_for_children" : ""),
		   file, NULL, MS_BIND, NULL));
	ns_file_bound[i] = true;
	count(C_mounts);
	count(C_ns_files_bound);
	if (one_in(2))
		fd = open_ns(pid, type);
	END(pid);
	/* The child's child is the caller's now, if there is one. */
	reap_all(__LINE__);
	if (fd != -1) {
		nap(1000);
		close(fd);
	}
}

