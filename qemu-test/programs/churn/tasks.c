// SPDX-License-Identifier: GPL-2.0
/* Churners: processes and threads that come and go, and change what they are. */
#include "churn.h"

static void change_creds(void)
{
	for (int n = below(8) + 1; n; n--) {
		MUST(syscall(SYS_setresuid, below(3), 0, 0));
		MUST(syscall(SYS_setresgid, below(3), 0, 0));
		count(C_creds);
	}
}

void do_forks(void)
{
	for (int n = below(12) + 1; n; n--) {
		char name[16] = "";

		if (spawn(0))
			continue;
		switch (below(8)) {
		case 0:
			MUST(setsid());
			nap(2000);
			break;
		case 1:
			MUST(setpgid(0, 0));
			random_name(name, 15);
			MUST(prctl(PR_SET_NAME, name));
			nap(2000);
			break;
		case 2:
			/* Outlives its parent. */
			if (spawn(0) == 0)
				nap(3000);
			else
				count(C_orphans);
			break;
		case 3:
			change_creds();
			break;
		}
		_exit(0);
	}
	reap_all(__LINE__);
}

/* The namespaces of these types of a village, a mark. */
int open_ns(pid_t pid, int type)
{
	return MUST(open(PATH("/proc/%d/ns/%s", pid, ns_types[type].link), O_RDONLY | O_CLOEXEC));
}

pid_t any_village(void)
{
	return shared->villages[below(shared->n_villages)];
}

/* To another namespace and back, time and again: each time with a new nsproxy. */
static void dance(void)
{
	int type = below(2) ? 2 : 3;
	int home = open_ns(getpid(), type), away = open_ns(any_village(), type);

	for (int n = below(30) + 1; n; n--) {
		MUST(setns(away, ns_types[type].flag));
		MUST(setns(home, 0));
		count_flags(C_setns_user, ns_types[type].flag);
	}
	close(home);
	close(away);
}

static void exec_nothing(void)
{
	count(C_execs);
	execl("/proc/self/exe", "churn", "--nothing", NULL);
	fail(__LINE__, errno, "execl");
}

static void *thread(void *data)
{
	uint64_t choice = (uintptr_t)data;

	switch (choice % 8) {
	case 0:
		usleep(choice / 8 % 2000);
		break;
	case 1:
		MUST(unshare(CLONE_NEWUTS));
		count(C_unshares_uts);
		usleep(choice / 8 % 1000);
		break;
	case 2:
		MUST(unshare(CLONE_NEWNS | CLONE_NEWIPC));
		count(C_unshares_mnt);
		count(C_unshares_ipc);
		break;
	case 3: {
		int fd = open_ns(shared->villages[0], 2);

		MUST(setns(fd, CLONE_NEWUTS));
		count(C_setns_uts);
		close(fd);
		break;
	}
	}
	return NULL;
}

void do_threads(void)
{
	for (int n = below(3) + 1; n; n--) {
		bool leader_first, exec;

		if (spawn(0))
			continue;
		leader_first = one_in(3);
		exec = one_in(6);
		for (int threads = below(8) + 1; threads; threads--) {
			pthread_t id;
			int error = pthread_create(&id, NULL, thread, (void *)(next() >> 8));

			if (error)
				fail(__LINE__, error, "pthread_create");
			count(C_threads);
			if (leader_first)
				continue;
			if (one_in(2))
				pthread_join(id, NULL);
			else
				pthread_detach(id);
		}
		if (leader_first)
			pthread_exit(NULL);
		if (exec)
			exec_nothing();
		_exit(0);
	}
	reap_all(__LINE__);
}

static void *exec_in_thread(void *data)
{
	(void)data;
	exec_nothing();
	return NULL;
}

/* A thread that execs takes its process's number over from the main thread. */
void do_exec(void)
{
	pthread_t id;

	if (spawn(0) == 0) {
		if (one_in(3))
			exec_nothing();
		if (pthread_create(&id, NULL, thread, NULL) ||
		    pthread_create(&id, NULL, exec_in_thread, NULL))
			FAIL("pthread_create");
		wait_forever();
	}
	reap_all(__LINE__);
}

void in_new_namespaces(int flags)
{
	char name[40];

	if (flags & CLONE_NEWUTS) {
		random_name(name, sizeof(name));
		MUST(sethostname(name, below(sizeof(name)) + 1));
		MUST(setdomainname(name, below(sizeof(name)) + 1));
	}
	if (flags & CLONE_NEWNS) {
		MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		for (int n = below(4); n; n--) {
			MUST(mount("churn", "/tmp", "tmpfs", 0, NULL));
			count(C_mounts);
		}
	}
	if (flags & CLONE_NEWTIME && !(flags & CLONE_NEWUSER) && one_in(2))
		WRITE_FILE("/proc/self/timens_offsets", "monotonic 1000 5");
}

void do_unshare(void)
{
	int flags = next() & CLONE_NEWALL;

	/* It is slow to go. */
	if (!one_in(6))
		flags &= ~CLONE_NEWNET;
	if (one_in(4))
		flags |= CLONE_NEWUSER;
	if (spawn(0) == 0) {
		MUST(unshare(flags));
		count_flags(C_unshares_user, flags);
		if (flags & CLONE_NEWUSER)
			map_root();
		in_new_namespaces(flags);
		if (one_in(2)) {
			if (spawn(0) == 0) {
				nap(2000);
				_exit(0);
			}
			reap_all(__LINE__);
		}
		if (one_in(3)) {
			flags = CLONE_NEWUTS | CLONE_NEWCGROUP | (one_in(3) ? CLONE_NEWUSER : 0);
			MUST(unshare(flags));
			count_flags(C_unshares_user, flags);
		}
		nap(1000);
		_exit(0);
	}
	reap_all(__LINE__);
}

void do_setns(void)
{
	if (one_in(4)) {
		dance();
		return;
	}
	if (spawn(0) == 0) {
		pid_t village = any_village();

		if (one_in(3)) {
			/* Several at once. */
			int pidfd = MUST(syscall(SYS_pidfd_open, village, 0));
			int flags = (next() & CLONE_NEWALL) | CLONE_NEWIPC;

			MUST(setns(pidfd, flags));
			count_flags(C_setns_user, flags);
		} else {
			int fds[NSES], at = below(NSES);
			struct stat there, here;

			for (int i = 0; i < NSES; i++)
				fds[i] = open_ns(village, i);
			MUST(fstat(fds[0], &there));
			MUST(stat("/proc/self/ns/user", &here));
			for (int i = 0; i < NSES; i++, at = (at + 1) % NSES) {
				/* Nobody can enter the user namespace that he is in. */
				if (at == 0 && there.st_ino == here.st_ino)
					continue;
				MUST(setns(fds[at], ns_types[at].flag));
				count_flags(C_setns_user, ns_types[at].flag);
			}
		}
		if (spawn(0) == 0) {
			nap(2000);
			_exit(0);
		}
		reap_all(__LINE__);
		_exit(0);
	}
	reap_all(__LINE__);
}

void do_cgroup(void)
{
	static int number;
	char *dir = PATH("/sys/fs/cgroup/churn-%d-%d", worker, number++);
	int pipe_fds[2], ns = -1;
	double deadline = now() + options.patience;
	pid_t pid;

	MUST(mkdir(dir, 0755));
	MUST(pipe2(pipe_fds, O_CLOEXEC));
	pid = spawn(0);
	if (pid == 0) {
		die_with_parent();
		WRITE_FILE(PATH("%s/cgroup.procs", dir), "0");
		MUST(unshare(CLONE_NEWCGROUP));
		count(C_unshares_cgroup);
		tell(pipe_fds[1]);
		wait_forever();
	}
	close(pipe_fds[1]);
	AWAIT(pipe_fds[0]);
	close(pipe_fds[0]);
	if (one_in(2))
		ns = open_ns(pid, 5);
	nap(2000);
	END(pid);
	/* A process leaves its group some time after it was waited for. */
	while (rmdir(dir) == -1) {
		if (errno != EBUSY || now() > deadline)
			fail(__LINE__, errno, "rmdir %s", dir);
		usleep(200);
	}
	count(C_cgroups);
	if (ns != -1) {
		/* The namespace of a group that is no more. */
		nap(2000);
		close(ns);
	}
}

