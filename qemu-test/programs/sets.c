// SPDX-License-Identifier: GPL-2.0
/*
 * sets COUNT same|different
 *
 * Has COUNT processes, each in a set of mount, UTS and IPC namespaces of its own. With "same", the inode
 * numbers are chosen so that they come to the same if each is shifted by five bits more than the one before
 * and all are joined by exclusive or; with "different", they come to different numbers. Prints "ready" when all
 * are there, and ends them when its standard input ends.
 */

#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EACH 2048
#define STACK 1024

enum { MNT, UTS, IPC, TYPES };

static const struct {
	const char *link;
	int flag, shift;
} types[TYPES] = {
	{ "/proc/self/ns/mnt", CLONE_NEWNS, 15 },
	{ "/proc/self/ns/uts", CLONE_NEWUTS, 20 },
	{ "/proc/self/ns/ipc", CLONE_NEWIPC, 25 },
};

static struct {
	uint64_t inum;
	int fd;
} spaces[TYPES][EACH];

static char *stacks;

static int sleeper(void *unused)
{
	(void)unused;
	for (;;)
		syscall(SYS_pause);
	return 0;
}

static void make_namespaces(void)
{
	const struct rlimit limit = { TYPES * EACH + 64, TYPES * EACH + 64 };
	struct stat status;

	if (setrlimit(RLIMIT_NOFILE, &limit))
		err(1, "setrlimit");
	for (int type = 0; type < TYPES; type++) {
		for (int i = 0; i < EACH; i++) {
			const int fd = unshare(types[type].flag) ? -1 : open(types[type].link, O_RDONLY);

			if (fd < 0 || fstat(fd, &status))
				err(1, "%s %d", types[type].link, i);
			spaces[type][i].fd = fd;
			spaces[type][i].inum = status.st_ino;
		}
	}
}

static void make_process(int number, const int places[TYPES])
{
	for (int type = 0; type < TYPES; type++)
		if (setns(spaces[type][places[type]].fd, types[type].flag))
			err(1, "setns");
	if (clone(sleeper, stacks + (size_t)(number + 1) * STACK, CLONE_VM | CLONE_FILES | SIGCHLD, NULL) < 0)
		err(1, "process %d", number);
}

static uint64_t shifted(int type, int place)
{
	return spaces[type][place].inum << types[type].shift;
}

/* The UTS namespace with that number, shifted; -1 if there is none. They ascend, with few gaps or none. */
static int find_uts(uint64_t wanted)
{
	int low = 0, high = EACH;

	while (low < high) {
		const int middle = (low + high) / 2;

		if (shifted(UTS, middle) < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low < EACH && shifted(UTS, low) == wanted ? low : -1;
}

static int compare(const void *one, const void *other)
{
	const uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return (a > b) - (a < b);
}

static int make_same(int count)
{
	const uint64_t sum = shifted(MNT, EACH / 2) ^ shifted(UTS, EACH / 2) ^ shifted(IPC, EACH / 2);
	int made = 0;

	qsort(spaces[UTS], EACH, sizeof(spaces[UTS][0]), compare);
	for (int mnt = 0; mnt < EACH && made < count; mnt++) {
		for (int ipc = 0; ipc < EACH && made < count; ipc++) {
			const int uts = find_uts(sum ^ shifted(MNT, mnt) ^ shifted(IPC, ipc));

			if (uts >= 0)
				make_process(made++, (int[]){ mnt, uts, ipc });
		}
	}
	return made;
}

static int make_different(int count)
{
	/* 64 of these, 64 of those: as many as above. */
	for (int i = 0; i < count; i++)
		make_process(i, (int[]){ i % 64, i / 64, i % 64 });
	return count;
}

/* In a new pid namespace, which ends with it. */
static int run(int count, const char *what)
{
	char byte;
	int made;

	signal(SIGCHLD, SIG_IGN);
	stacks = mmap(NULL, (size_t)(count + 1) * STACK, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stacks == MAP_FAILED)
		err(1, "stacks");
	make_namespaces();
	made = strcmp(what, "same") ? make_different(count) : make_same(count);
	if (made < count)
		errx(1, "there are only %d such sets", made);
	puts("ready");
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) < 0)
		err(1, "standard input");
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) >= 0)
		usleep(20000);
	return 0;
}

int main(int argc, char **argv)
{
	const int count = argc == 3 ? atoi(argv[1]) : 0;
	int status;
	pid_t pid;

	if (count < 1 || count > 4096 || (strcmp(argv[2], "same") && strcmp(argv[2], "different")))
		errx(2, "usage: sets COUNT same|different");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		err(1, "prctl");
	pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		err(1, "a pid namespace");
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL))
			err(1, "prctl");
		return run(count, argv[2]);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the processes have died");
	return 0;
}
