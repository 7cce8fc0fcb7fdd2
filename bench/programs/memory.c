// SPDX-License-Identifier: GPL-2.0
/*
 * memory - how much kernel memory a snapshot takes, by the account of its reader's memory cgroup
 *
 *	memory
 *
 * Moves to a memory cgroup of its own, reads /proc/nsinspect once so that all caches have what they
 * want, and then again. Prints, in bytes, a line for each:
 *
 *	text	the length of the text
 *	peak	what the cgroup had at most meanwhile, above what it had before
 *	held	what it had, above that, once the first byte had been read
 *	left	the same after the file was closed
 *
 * The kernel charges a cgroup for 64 pages at once on each processor, and keeps those that are
 * over. They are given back before each look, so that only the peak may be too high, by 252 KiB.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUP "/sys/fs/cgroup/reader"

static char buffer[1 << 20];

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "memory: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		fail(path);
	return fd;
}

static long long number_in(int fd)
{
	char text[32] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		fail("reading the account");
	return atoll(text);
}

static void set_high(int fd, const char *text)
{
	if (pwrite(fd, text, strlen(text), 0) < 0)
		fail("memory.high");
}

/*
 * What the cgroup has now. A limit that is a page too low has this processor give back what was
 * charged in advance; where there is nothing to give back, it takes some page of this program's.
 */
static long long charged(void)
{
	int current = must_open(CGROUP "/memory.current", O_RDONLY);
	int high = must_open(CGROUP "/memory.high", O_WRONLY);
	char limit[32];
	long long now;

	snprintf(limit, sizeof(limit), "%lld", number_in(current) - 4096);
	set_high(high, limit);
	set_high(high, "max");
	now = number_in(current);
	close(high);
	close(current);
	return now;
}

static long long drain(int fd)
{
	long long total = 0;
	ssize_t size;

	while ((size = read(fd, buffer, sizeof(buffer))) > 0)
		total += size;
	if (size < 0)
		fail("read");
	return total;
}

static void enter_cgroup(void)
{
	int procs;

	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		fail(CGROUP);
	procs = must_open(CGROUP "/cgroup.procs", O_WRONLY);
	if (write(procs, "0", 1) != 1)
		fail("entering " CGROUP);
	close(procs);
}

int main(void)
{
	long long before, text, peak, held;
	int highest, fd;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		fail("sched_setaffinity");
	enter_cgroup();
	highest = must_open(CGROUP "/memory.peak", O_RDWR);
	memset(buffer, 1, sizeof(buffer));
	fd = must_open("/proc/nsinspect", O_RDONLY);
	drain(fd);
	close(fd);

	before = charged();
	/* From here on, as this descriptor shows it. */
	if (write(highest, "reset", 5) != 5)
		fail("memory.peak");
	fd = must_open("/proc/nsinspect", O_RDONLY);
	if (read(fd, buffer, 1) != 1)
		fail("read");
	held = charged() - before;
	text = 1 + drain(fd);
	peak = number_in(highest) - before;
	close(fd);
	printf("text\t%lld\npeak\t%lld\nheld\t%lld\nleft\t%lld\n", text, peak, held,
	       charged() - before);
	return 0;
}
