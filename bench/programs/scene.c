// SPDX-License-Identifier: GPL-2.0
/*
 * scene - makes containers full of idle processes and mounts, for the benchmark to look at
 *
 *	scene CONTAINERS PROCESSES MOUNTS SLAVES DESCRIPTORS [peers]
 *
 * Each container has a pid, mount, UTS, IPC, network and cgroup namespace of its own, a cgroup, and
 * MOUNTS mounts, those that it inherits among them. The PROCESSES are spread over all containers.
 * SLAVES is the number of slave mounts in one more mount namespace, 0 for none; their masters are
 * in another one. Each slave has a master of its own; with "peers" all masters are one peer group.
 * Each process of a container opens DESCRIPTORS files of its own: /dev/null, and directories on the
 * mounts of the container.
 *
 * When everything is there, it prints
 *
 *	member PID PROCESSES MOUNTS	for each mount namespace: a process in it, how many there
 *					are, and how many mounts
 *	ready
 *
 * and stays until its standard input ends. Whatever it cannot make is an error: it says so, takes
 * everything down and exits with 1.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACE "/run/scene"
#define CGROUPS "/sys/fs/cgroup/scene"
/* Where docker has them, by their ids, so that the command takes them for docker's. */
#define DOCKER "/sys/fs/cgroup/docker"
#define MAX_CONTAINERS 1000

/* What a namespace's first process reports once everything is there. */
struct report {
	int processes;
	int mounts;
};

/* What to make: of each, only what it needs. */
struct plan {
	int number;
	int processes;
	int mounts;
	int descriptors;
	bool peers;
	pid_t master;
};

static pid_t members[MAX_CONTAINERS + 2];
static bool docker;
static int nr_members;
/* This process is one of theirs, and has nothing to clear away. */
static bool is_member;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list arguments;
	int error = errno;

	va_start(arguments, format);
	fputs("scene: ", stderr);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(error));
	if (is_member)
		_exit(1);
	exit(1);
}

static void make_directory(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		fail("mkdir %s", path);
}

static void must_mount(const char *source, const char *target, const char *type,
		       unsigned long flags, const char *options)
{
	if (mount(source, target, type, flags, options))
		fail("mount %s on %s", source ? source : "(nothing)", target);
}

static int count_mounts(void)
{
	struct mnt_ns_info info = { .size = sizeof(info) };
	int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, NS_MNT_GET_INFO, &info))
		fail("counting mounts");
	close(fd);
	/* It leaves out the root. */
	return info.nr_mounts + 1;
}

static void __attribute__((noreturn)) idle(void)
{
	for (;;)
		pause();
}

static void open_descriptors(const struct plan *plan)
{
	char path[64];

	for (int i = 0; i < plan->descriptors; i++) {
		if (i % 3)
			snprintf(path, sizeof(path), PLACE "/volumes/volume-%d", i % 8);
		else
			strcpy(path, "/dev/null");
		if (open(path, O_RDONLY | O_CLOEXEC) < 0)
			fail("opening %s", path);
	}
}

/* One mount of the kind that containers have many of: a bind mount, or now and then a tmpfs. */
static void add_mount(int number)
{
	char source[64], target[64];

	snprintf(source, sizeof(source), PLACE "/data/%d", number);
	snprintf(target, sizeof(target), PLACE "/volumes/volume-%d", number);
	make_directory(target);
	if (number % 4 == 3) {
		must_mount("scratch", target, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755");
	} else {
		make_directory(source);
		must_mount(source, target, NULL, MS_BIND, NULL);
	}
}

/* The tmpfs that the mounts of this mount namespace lie on, seen nowhere else. */
static void make_place(void)
{
	must_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	must_mount("scene", PLACE, "tmpfs", MS_NOSUID, "mode=755");
	make_directory(PLACE "/data");
	make_directory(PLACE "/volumes");
}

static void name_cgroup(char *path, size_t size, int number)
{
	snprintf(path, size, docker ? DOCKER "/%064x" : CGROUPS "/container-%d", number);
}

static void enter_cgroup(const char *path)
{
	char procs[144];
	int fd;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		fail("entering %s", path);
	close(fd);
}

/* The first process of a container makes its mounts and its other processes. */
static struct report make_container(const struct plan *plan)
{
	char cgroup[128], name[64];
	int has;

	name_cgroup(cgroup, sizeof(cgroup), plan->number);
	make_directory(cgroup);
	enter_cgroup(cgroup);
	if (unshare(CLONE_NEWCGROUP))
		fail("unshare(CLONE_NEWCGROUP)");
	snprintf(name, sizeof(name), "container-%d", plan->number);
	if (sethostname(name, strlen(name)))
		fail("sethostname");
	make_place();
	make_directory(PLACE "/proc");
	must_mount("proc", PLACE "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	has = count_mounts();
	if (has > plan->mounts) {
		errno = ERANGE;
		fail("%d mounts are there from the start, not %d", has, plan->mounts);
	}
	for (int i = 0; has + i < plan->mounts; i++)
		add_mount(i);
	for (int i = 1; i < plan->processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("container %d, process %d", plan->number, i + 1);
		if (!pid) {
			open_descriptors(plan);
			idle();
		}
	}
	open_descriptors(plan);
	return (struct report){ .processes = plan->processes, .mounts = count_mounts() };
}

/* The masters: each a peer group of its own, or all of them one. */
static struct report make_masters(const struct plan *plan)
{
	char source[64], target[64];

	make_place();
	if (plan->peers)
		must_mount(NULL, PLACE, NULL, MS_SHARED, NULL);
	for (int i = 1; i < plan->mounts; i++) {
		snprintf(source, sizeof(source), PLACE "/data/%d", i);
		snprintf(target, sizeof(target), PLACE "/volumes/volume-%d", i);
		make_directory(source);
		make_directory(target);
		must_mount(source, target, NULL, MS_BIND, NULL);
	}
	if (!plan->peers)
		must_mount(NULL, PLACE, NULL, MS_REC | MS_SHARED, NULL);
	return (struct report){ .processes = 1, .mounts = count_mounts() };
}

static struct report make_slaves(const struct plan *plan)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", plan->master);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS) || unshare(CLONE_NEWNS))
		fail("copying the mount namespace of process %d", plan->master);
	close(fd);
	must_mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
	return (struct report){ .processes = 1, .mounts = count_mounts() };
}

/*
 * Starts the first process of a mount namespace, has it make what belongs in there, and waits until
 * it reports. It stays, and dies with this one.
 */
static pid_t start(unsigned long flags, struct report (*make)(const struct plan *),
		   const struct plan *plan)
{
	struct report report;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		fail("pipe");
	pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		fail("clone");
	if (!pid) {
		is_member = true;
		if (prctl(PR_SET_PDEATHSIG, SIGKILL))
			fail("PR_SET_PDEATHSIG");
		report = make(plan);
		if (write(ends[1], &report, sizeof(report)) != sizeof(report))
			fail("reporting");
		close(ends[0]);
		close(ends[1]);
		idle();
	}
	members[nr_members++] = pid;
	close(ends[1]);
	if (read(ends[0], &report, sizeof(report)) != sizeof(report)) {
		errno = ECHILD;
		fail("process %d has not made its part of the scene", pid);
	}
	close(ends[0]);
	printf("member %d %d %d\n", pid, report.processes, report.mounts);
	fflush(stdout);
	return pid;
}

/*
 * The death of a container's first process takes the others with it, and waiting for it is over
 * when the last one is gone.
 */
static void take_down(void)
{
	char path[128];

	for (int i = 0; i < nr_members; i++)
		kill(members[i], SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	for (int i = 0; i < nr_members; i++) {
		name_cgroup(path, sizeof(path), i);
		rmdir(path);
	}
	rmdir(docker ? DOCKER : CGROUPS);
}

int main(int argc, char **argv)
{
	bool peers = argc == 7 && !strcmp(argv[6], "peers");
	const char *cgroups;
	int containers, processes, mounts, slaves, descriptors;
	char byte;

	docker = argc == 7 && !strcmp(argv[6], "docker");
	cgroups = docker ? DOCKER : CGROUPS;
	if (argc != 6 && !peers && !docker) {
		fputs("usage: scene CONTAINERS PROCESSES MOUNTS SLAVES DESCRIPTORS [peers|docker]\n", stderr);
		return 2;
	}
	containers = atoi(argv[1]);
	processes = atoi(argv[2]);
	mounts = atoi(argv[3]);
	slaves = atoi(argv[4]);
	descriptors = atoi(argv[5]);
	if (containers < 1 || containers > MAX_CONTAINERS || processes < containers) {
		fputs("scene: each container needs a process\n", stderr);
		return 2;
	}
	make_directory(PLACE);
	if (mkdir(cgroups, 0755))
		fail("mkdir %s", cgroups);
	atexit(take_down);
	for (int i = 0; i < containers; i++) {
		struct plan plan = {
			.number = i,
			/* The remainder goes to the first ones. */
			.processes = processes / containers + (i < processes % containers),
			.mounts = mounts,
			.descriptors = descriptors,
		};

		start(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
		      make_container, &plan);
	}
	if (slaves) {
		struct plan plan = { .mounts = slaves, .peers = peers };

		plan.master = start(CLONE_NEWNS, make_masters, &plan);
		start(0, make_slaves, &plan);
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
