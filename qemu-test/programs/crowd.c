// SPDX-License-Identifier: GPL-2.0
/*
 * crowd TASKS DEEP NAMESPACES MOUNTS DIRECTORY [ROOT]
 *
 * Makes many processes, mount namespaces and mounts, and ends them all when its standard input ends.
 * Prints the number of the first process in its pid namespace, and "ready" when all are there.
 *
 * TASKS processes are in a new pid namespace, and DEEP more in the one that is 32 levels deep, so
 * that they have 33 numbers. NAMESPACES more are there too, each in a mount namespace of its own: a
 * copy of the caller's. Then MOUNTS bind mounts are made in the caller's own, below DIRECTORY.
 *
 * With ROOT, the root directory of the TASKS processes is there.
 *
 * The processes share all that processes can share: what they cost is the kernel's memory.
 */

#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEVELS 32
/* What a process needs that does nothing but sleep; a signal finds no handler. */
#define STACK 1024
/* Mounts that are copied at once; their number is a multiple of it, or less. */
#define TREE 500

/* A process that shares its parent's memory, its `errno` included. */
static int sleeper(void *unused)
{
	(void)unused;
	for (;;)
		syscall(SYS_pause);
	return 0;
}

static void make_sleepers(int count, int flags)
{
	const size_t size = (size_t)(count + 1) * STACK;
	char *stacks = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stacks == MAP_FAILED)
		err(1, "stacks");
	for (int i = 0; i < count; i++) {
		if (clone(sleeper, stacks + (size_t)(i + 1) * STACK,
			  flags | CLONE_VM | CLONE_FILES | SIGCHLD, NULL) < 0)
			err(1, "process %d of %d", i, count);
	}
}

/* Bind mounts, each beside the last, would take the kernel long: copies of trees do not. */
static void make_mounts(int count, const char *directory)
{
	char name[64];

	if (count == 0)
		return;
	if (chdir(directory) || mkdir("tree", 0700) || mount("tree", "tree", NULL, MS_BIND, NULL))
		err(1, "%s", directory);
	for (int i = 1; i < count && i < TREE; i++) {
		snprintf(name, sizeof(name), "tree/%d", i);
		if (mkdir(name, 0700) || mount("tree", name, NULL, MS_BIND, NULL))
			err(1, "mount %d of %d", i, count);
	}
	for (int i = TREE; i < count; i += TREE) {
		snprintf(name, sizeof(name), "%d", i);
		if (mkdir(name, 0700) || mount("tree", name, NULL, MS_BIND | MS_REC, NULL))
			err(1, "mounts from %d of %d on", i, count);
	}
}

/* The first process of a new pid namespace; the process that it is in the caller's. */
static pid_t nest(void)
{
	const pid_t pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid < 0)
		err(1, "a pid namespace");
	if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL))
		err(1, "prctl");
	return pid;
}

/* In the child of level 1's first process: nests pid namespaces as deep as they can be. */
static void descend(int deep, int ready)
{
	for (int level = 2; level < LEVELS; level++) {
		if (nest())
			sleeper(NULL);
	}
	make_sleepers(deep, CLONE_FS);
	if (write(ready, "", 1) != 1)
		err(1, "pipe");
	sleeper(NULL);
}

/*
 * Kills all in the pid namespace, and waits until they are gone. To wait in the kernel, as it does
 * if the first process just ends, takes long: each end has it look through all children.
 */
static void end_all(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) >= 0)
		usleep(20000);
}

static void make_all(char **argv, const char *root)
{
	int ready[2];
	char byte;

	signal(SIGCHLD, SIG_IGN);
	if (pipe(ready))
		err(1, "pipe");
	if (root && (chroot(root) || chdir("/")))
		err(1, "%s", root);
	make_sleepers(atoi(argv[1]), CLONE_FS);
	make_sleepers(atoi(argv[3]), CLONE_NEWNS);
	if (nest() == 0)
		descend(atoi(argv[2]), ready[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		errx(1, "the nested pid namespaces failed");
	make_mounts(atoi(argv[4]), argv[5]);
	puts("ready");
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) < 0)
		err(1, "standard input");
	end_all();
}

int main(int argc, char **argv)
{
	int status;
	pid_t init;

	if (argc != 6 && argc != 7)
		errx(2, "usage: crowd TASKS DEEP NAMESPACES MOUNTS DIRECTORY [ROOT]");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		err(1, "prctl");
	init = nest();
	if (init == 0) {
		make_all(argv, argc == 7 ? argv[6] : NULL);
		return 0;
	}
	printf("%d\n", init);
	fflush(stdout);
	if (waitpid(init, &status, 0) != init || status)
		errx(1, "the crowd has died");
	return 0;
}
