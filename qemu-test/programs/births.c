// SPDX-License-Identifier: GPL-2.0
/*
 * births WORKERS fork|spin
 *
 * Has WORKERS processes that bear children as fast as they can, or that compute as fast as they can.
 * A child shares its parent's memory and ends after a second. Prints "ready" when all work, and
 * ends them when its standard input ends. Then it prints how many children there were, and for how many
 * milliseconds.
 */

#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STACK 1024
/* More children than live at a time: a stack is used again long after its owner is gone. */
#define STACKS 16384
#define MAX_WORKERS 16
#define LIFE 1

static atomic_long *born;

static int child(void *unused)
{
	const struct timespec life = { LIFE, 0 };

	(void)unused;
	/* Not by the C library, whose `errno` the children would share. */
	syscall(SYS_nanosleep, &life, NULL);
	syscall(SYS_exit, 0);
	return 0;
}

static void __attribute__((noreturn)) bear(void)
{
	char *stacks = mmap(NULL, (size_t)STACKS * STACK, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stacks == MAP_FAILED)
		err(1, "stacks");
	for (long i = 1;; i++) {
		if (clone(child, stacks + (size_t)(i % STACKS + 1) * STACK,
			  CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, NULL) >= 0)
			atomic_fetch_add(born, 1);
		else if (errno != EAGAIN)
			err(1, "clone");
	}
}

static void __attribute__((noreturn)) work(int forks)
{
	volatile unsigned long sum = 0;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		err(1, "prctl");
	signal(SIGCHLD, SIG_IGN);
	if (forks)
		bear();
	for (;;)
		sum++;
}

static long long milliseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	const int workers = argc == 3 ? atoi(argv[1]) : 0;
	pid_t pids[MAX_WORKERS];
	long long began;
	char byte;

	if (workers < 1 || workers > MAX_WORKERS ||
	    (strcmp(argv[2], "fork") && strcmp(argv[2], "spin")))
		errx(2, "usage: births WORKERS fork|spin");
	born = mmap(NULL, sizeof(*born), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (born == MAP_FAILED)
		err(1, "memory");
	/* What outlives a worker for the rest of its life is reaped here. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		err(1, "prctl");
	began = milliseconds();
	for (int i = 0; i < workers; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			err(1, "fork");
		if (pids[i] == 0)
			work(!strcmp(argv[2], "fork"));
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	began = milliseconds() - began;
	for (int i = 0; i < workers; i++)
		kill(pids[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	printf("%ld %lld\n", atomic_load(born), began);
	return 0;
}
