// SPDX-License-Identifier: GPL-2.0
/*
 * latency wakeup ROUNDS WHAT [FILE [QUERY]]
 * latency mount ROUNDS WHAT [FILE [QUERY]]
 *
 * Measures how long others wait while a process does something ROUNDS times: WHAT is "file", which
 * reads FILE to its end, after it has written QUERY there, "part", which reads it for four seconds at
 * most, "status", which reads the status file of each process, or "idle", which runs for a second in
 * user space. Prints a line for each round: the longest wait, how many waits there were, how long the
 * round took, times in nanoseconds, and how many bytes of FILE were read.
 *
 * wakeup: a real-time thread on the same CPU sleeps for 200 us time and again. It waits for as long
 * as the CPU goes on with what it does, once the timer has expired: the time for which interrupts
 * or preemption are disabled there.
 *
 * mount: a process on another CPU mounts and unmounts, in a mount namespace of its own. It waits
 * for namespace_sem, for each of the two.
 */

#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define PART (4 * SECOND)
#define PERIOD 200000LL
#define MAX_ROUNDS 100
#define READER_CPU 1
#define MOUNTER_CPU 0

struct shared {
	_Atomic int round;	/* the one under way, from 0 on; ROUNDS after the last */
	long long took[MAX_ROUNDS];
	long long bytes[MAX_ROUNDS];
};

static struct shared *shared;
static char buffer[1 << 20];

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

static void run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err(1, "CPU %d", cpu);
}

/* Reads to the end, or until the time is up; returns how many bytes there were. */
static long long read_file(int directory, const char *name, const char *query, long long until)
{
	const int fd = openat(directory, name, (query ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	long long total = 0;
	ssize_t size;

	if (fd < 0)
		return 0;
	if (query && write(fd, query, strlen(query)) < 0)
		err(1, "%s", query);
	while ((size = read(fd, buffer, sizeof(buffer))) > 0) {
		total += size;
		if (now() > until)
			break;
	}
	close(fd);
	return size < 0 ? 0 : total;
}

static void read_all_status(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char name[300];

	if (!proc)
		err(1, "/proc");
	while ((entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(name, sizeof(name), "%s/status", entry->d_name);
		/* It may have ended meanwhile. */
		read_file(dirfd(proc), name, NULL, LLONG_MAX);
	}
	closedir(proc);
}

static void run_idle(void)
{
	const long long end = now() + SECOND;

	while (now() < end)
		;
}

static void work(int rounds, const char *what, const char *file, const char *query)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run_on(READER_CPU);
	for (int round = 0; round < rounds; round++) {
		const long long began = now();
		const long long until = !strcmp(what, "part") ? began + PART : LLONG_MAX;

		if (!strcmp(what, "status"))
			read_all_status();
		else if (!strcmp(what, "idle"))
			run_idle();
		else if (!(shared->bytes[round] = read_file(AT_FDCWD, file, query, until)))
			err(1, "%s", file);
		shared->took[round] = now() - began;
		atomic_store(&shared->round, round + 1);
	}
	exit(0);
}

static long long wait_for_wakeup(void)
{
	const long long then = now() + PERIOD;
	const struct timespec time = { then / SECOND, then % SECOND };

	if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL))
		errx(1, "clock_nanosleep");
	return now() - then;
}

static long long wait_for_mount(void)
{
	const long long began = now();
	long long mounted, unmounted;

	if (mount("/tmp", "/tmp", NULL, MS_BIND, NULL))
		err(1, "mount");
	mounted = now();
	if (umount2("/tmp", MNT_DETACH))
		err(1, "umount");
	unmounted = now();
	return unmounted - mounted > mounted - began ? unmounted - mounted : mounted - began;
}

static void prepare(int is_wakeup)
{
	const struct sched_param param = { .sched_priority = 50 };

	if (!is_wakeup) {
		run_on(MOUNTER_CPU);
		if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
			err(1, "a mount namespace");
		return;
	}
	run_on(READER_CPU);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) || sched_setscheduler(0, SCHED_FIFO, &param))
		err(1, "real time");
}

int main(int argc, char **argv)
{
	const int is_wakeup = argc > 1 && !strcmp(argv[1], "wakeup");
	const int rounds = argc > 2 ? atoi(argv[2]) : 0;
	long long worst[MAX_ROUNDS] = { 0 };
	int waits[MAX_ROUNDS] = { 0 };
	int status, round;
	pid_t pid;

	if (argc < 4 || argc > 6 || rounds < 1 || rounds > MAX_ROUNDS)
		errx(2, "usage: latency wakeup|mount ROUNDS WHAT [FILE [QUERY]]");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "memory");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0)
		work(rounds, argv[3], argc > 4 ? argv[4] : "", argc > 5 ? argv[5] : NULL);
	prepare(is_wakeup);
	while ((round = atomic_load(&shared->round)) < rounds) {
		const long long wait = is_wakeup ? wait_for_wakeup() : wait_for_mount();

		if (wait > worst[round])
			worst[round] = wait;
		waits[round]++;
		if (waitpid(pid, &status, WNOHANG) == pid) {
			if (status || atomic_load(&shared->round) < rounds)
				errx(1, "the reader failed");
			pid = 0;
			break;
		}
	}
	if (pid && (waitpid(pid, &status, 0) != pid || status))
		errx(1, "the reader failed");
	for (round = 0; round < rounds; round++)
		printf("%lld %d %lld %lld\n", worst[round], waits[round], shared->took[round],
		       shared->bytes[round]);
	return 0;
}
