// SPDX-License-Identifier: GPL-2.0
/* Shared state, failures, random numbers, and processes. */
#include "churn.h"

struct shared *shared;

struct options options = {
	.seconds = 10, .patience = 60, .readers = 2, .churners = 4, .keep = 10, .dir = "/tmp/churn",
};

int worker;
char yard_dir[PATH_BYTES - 64];

const struct ns_type_names ns_types[NSES] = {
	[USER] = { CLONE_NEWUSER, "user" },	  [MNT] = { CLONE_NEWNS, "mnt" },
	[UTS] = { CLONE_NEWUTS, "uts" },	  [IPC] = { CLONE_NEWIPC, "ipc" },
	[NET] = { CLONE_NEWNET, "net" },	  [CGROUP] = { CLONE_NEWCGROUP, "cgroup" },
	[TIME] = { CLONE_NEWTIME, "time" },	  [PID] = { CLONE_NEWPID, "pid" },
};

/* --- failures -------------------------------------------------------------------------------- */

__attribute__((noreturn, format(printf, 3, 4))) void fail(int line, int error,
								  const char *format, ...)
{
	va_list arguments;
	char text[3 * LINE_BYTES];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!atomic_exchange(&shared->failed, true))
		snprintf(shared->failure, sizeof(shared->failure), "churn.c:%d, in %s: %s%s%s",
			 line, shared->doing[worker] ?: "preparation", text, error ? ": " : "",
			 error ? strerrorname_np(error) ?: "?" : "");
	atomic_store(&shared->stop, true);
	_exit(1);
}

long must(long result, const char *call, int line)
{
	if (result == -1)
		fail(line, errno, "%s", call);
	return result;
}

/* --- counts, time, random numbers, names ----------------------------------------------------- */

void count(enum counter counter)
{
	atomic_fetch_add(&shared->counts[counter], 1);
}

void count_flags(enum counter first, int flags)
{
	for (int i = 0; i < NSES; i++)
		if (flags & ns_types[i].flag)
			count(first + i);
}

bool stopping(void)
{
	return atomic_load(&shared->stop);
}

uint64_t rng;

/* splitmix64 */
uint64_t next(void)
{
	uint64_t z = rng += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

unsigned int below(unsigned int limit)
{
	return next() % limit;
}

bool one_in(unsigned int n)
{
	return below(n) == 0;
}

void nap(unsigned int max_us)
{
	usleep(below(max_us) + 1);
}

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

void random_name(char *name, size_t size)
{
	for (size_t i = 0; i < size; i++)
		name[i] = below(255) + 1;
}

__attribute__((format(printf, 2, 3))) char *path(char *to, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(to, PATH_BYTES, format, arguments);
	va_end(arguments);
	return to;
}

/* --- what workers do ------------------------------------------------------------------------- */

static size_t choose(const struct act *acts, size_t n)
{
	unsigned int total = 0, choice;
	size_t i = 0;

	for (size_t each = 0; each < n; each++)
		total += acts[each].weight;
	choice = below(total);
	while (choice >= acts[i].weight)
		choice -= acts[i++].weight;
	return i;
}

void act(const struct act *acts, size_t n)
{
	for (size_t round = 0; !stopping(); round++) {
		size_t i = round < n ? (round + 3 * worker) % n : choose(acts, n);

		shared->doing[worker] = acts[i].name;
		acts[i].run();
	}
}

/* --- processes ------------------------------------------------------------------------------- */

pid_t spawn_if_alive(unsigned long flags)
{
	uint64_t seed = next();
	pid_t pid = flags ? syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0) : fork();

	/* So the kernel calls it that a process 1 is dead. */
	if (pid == -1 && errno == ENOMEM)
		return -1;
	MUST(pid);
	if (pid == 0)
		rng = seed;
	else
		count(C_forks);
	return pid;
}

pid_t spawn(unsigned long flags)
{
	return MUST(spawn_if_alive(flags));
}

void check_status(pid_t pid, int status, int line)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return;
	fail(line, 0, "child %d ended with status %#x", pid, status);
}

void reap(pid_t pid, int line)
{
	int status;

	MUST(waitpid(pid, &status, 0));
	check_status(pid, status, line);
}

void reap_all(int line)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0)
		check_status(pid, status, line);
	if (errno != ECHILD)
		fail(line, errno, "waitpid");
}

void end(pid_t pid, int line)
{
	MUST(kill(pid, SIGKILL));
	reap(pid, line);
}

void die_with_parent(void)
{
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
}

__attribute__((noreturn)) void wait_forever(void)
{
	for (;;)
		pause();
}

void tell(int fd)
{
	MUST(write(fd, "", 1));
}

void await(int fd, int line)
{
	char byte;

	if (MUST(read(fd, &byte, 1)) != 1)
		fail(line, 0, "a child ended before it was ready");
}

void write_file(const char *name, const char *text, int line)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	if (fd == -1 || write(fd, text, strlen(text)) == -1)
		fail(line, errno, "writing %s to %s", text, name);
	close(fd);
}

void map_root(void)
{
	WRITE_FILE("/proc/self/setgroups", "deny");
	WRITE_FILE("/proc/self/uid_map", "0 0 1");
	WRITE_FILE("/proc/self/gid_map", "0 0 1");
}

