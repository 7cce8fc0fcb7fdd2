// SPDX-License-Identifier: GPL-2.0
/*
 * reader CGROUP
 *
 * Reads /proc/nsinspect in the memory cgroup that is at CGROUP. Hardly anything but what the module
 * allocates is charged there. Does what it is told on its standard input, a letter each:
 *   o  opens the file
 *   r  reads it to the end, in pieces
 *   c  closes it
 * and answers each with a line: the number of bytes that it read, or else 0, and the error number.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char buffer[1 << 16];

static void answer(long len, int error)
{
	char line[64];
	int line_len = snprintf(line, sizeof(line), "%ld %d\n", len, error);

	if (write(STDOUT_FILENO, line, line_len) != line_len)
		exit(2);
}

static void read_all(int fd)
{
	long len = 0;
	ssize_t now;

	while ((now = read(fd, buffer, sizeof(buffer))) > 0)
		len += now;
	answer(len, now < 0 ? errno : 0);
}

static void enter(const char *cgroup)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		perror(path);
		exit(2);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	char command;
	int fd = -1;

	if (argc != 2)
		return 2;
	/* All that it will need: what is there already is charged to the cgroup that it comes from. */
	memset(buffer, 1, sizeof(buffer));
	if (mlockall(MCL_CURRENT)) {
		perror("mlockall");
		return 2;
	}
	enter(argv[1]);
	answer(0, 0);
	while (read(STDIN_FILENO, &command, 1) == 1) {
		switch (command) {
		case 'o':
			fd = open("/proc/nsinspect", O_RDONLY);
			answer(0, fd < 0 ? errno : 0);
			break;
		case 'r':
			read_all(fd);
			break;
		case 'c':
			answer(0, close(fd) ? errno : 0);
			break;
		default:
			return 2;
		}
	}
	return 0;
}
