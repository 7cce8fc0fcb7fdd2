// SPDX-License-Identifier: GPL-2.0
/*
 * uts COUNT
 *
 * Has COUNT processes, each of which moves to a new UTS namespace again and again and gives it the name
 * "uts-PID", with its own pid: so that the name of a namespace tells who has ever been in it. The namespace
 * that it leaves is gone at once, and its inode number is free for the next one. Prints the pids in a line, and
 * ends the processes when its standard input ends.
 */

#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 64

static void move_for_ever(int ready)
{
	char name[32];
	const int len = snprintf(name, sizeof(name), "uts-%d", getpid());

	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		err(1, "prctl");
	for (int first = 1;; first = 0) {
		if (unshare(CLONE_NEWUTS) || sethostname(name, len))
			err(1, "a UTS namespace");
		if (first && write(ready, "", 1) != 1)
			err(1, "ready");
	}
}

int main(int argc, char **argv)
{
	const int count = argc == 2 ? atoi(argv[1]) : 0;
	pid_t pids[MOST];
	int ready[2];
	char byte;

	if (count < 1 || count > MOST)
		errx(2, "usage: uts COUNT");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || pipe(ready))
		err(1, "prctl or pipe");
	for (int i = 0; i < count; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			err(1, "fork");
		if (pids[i] == 0) {
			move_for_ever(ready[1]);
			_exit(1);
		}
	}
	for (int i = 0; i < count; i++)
		if (read(ready[0], &byte, 1) != 1)
			err(1, "ready");
	for (int i = 0; i < count; i++)
		printf("%d%c", pids[i], i + 1 < count ? ' ' : '\n');
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) < 0)
		err(1, "standard input");
	for (int i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	for (int i = 0; i < count; i++) {
		int status;

		if (waitpid(pids[i], &status, 0) != pids[i] || !WIFSIGNALED(status))
			errx(1, "a process has ended by itself");
	}
	return 0;
}
