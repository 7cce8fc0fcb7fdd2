// SPDX-License-Identifier: GPL-2.0
/*
 * faults METHOD SCENARIO [QUERY | MODULE]
 *
 * Has allocations fail during one system call, and checks what comes of it.
 *
 * METHOD
 *   once        the first allocation of the call fails, at the next try the second one, and so on
 *               until there are no more
 *   twice       the same, but the next few fail, too: so many that a vector of the module's, which
 *               tries to grow by one way after the other, cannot grow, but what comes after it can
 *   from        the same, but all allocations after that one fail, too
 *   METHOD:N    as one of these, but each Nth allocation alone is the first to fail
 *   chance=N    allocations fail at random, as often as it has been set up, in N calls
 *
 * SCENARIO
 *   open        open(2)
 *   write       write(2) of QUERY
 *   read        read(2) of the whole answer to QUERY, if there is one
 *   insmod      finit_module(2) of the file MODULE
 *   life        all that a reader does: open, write QUERY if there is one, read, close
 *
 * The call must succeed, or fail with ENOMEM. If it succeeds, the text is the same as without
 * faults, but for the fields that change by themselves. If it fails, the next call on the same
 * file, or a reader who opens it anew, gets that text; of a module that was not loaded nothing is
 * left. Each violation is told in a line of its own; the last line tells the figures:
 *   calls=N enomem=N tolerated=N faults=N
 * "tolerated" are the calls that succeeded although an allocation failed; with "chance" nobody knows
 * which these are, so there it is all that succeeded.
 *
 * Exit status: 0, or 1 if there was a violation, or 2 if something else went wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROC_FILE "/proc/nsinspect"
#define MODULE_DIR "/sys/module/nsinspect"
#define TEXT_SIZE (8 << 20)
#define MAX_CALLS 20000
#define MAX_COMPLAINTS 20
/* As good as no limit. */
#define ANY_NUMBER 1000000000

static int fail_nth_fd, make_it_fail_fd, module_fd = -1;
/* How many more allocations may fail, of memory of either kind. */
static const char *const times_files[] = {
	"/sys/kernel/debug/failslab/times", "/sys/kernel/debug/fail_page_alloc/times",
};
static bool is_chance, keeps_failing;
static unsigned long most_faults = ANY_NUMBER, faults;
static const char *query;
static unsigned long call_number;
static int complaints;

/* Without faults. */
static char *expected;
static size_t expected_len;
/* Of the call at hand. */
static char *text;

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": %s\n", strerror(errno));
	exit(2);
}

static __attribute__((format(printf, 1, 2))) void complain(const char *format, ...)
{
	va_list args;

	complaints++;
	if (complaints > MAX_COMPLAINTS)
		exit(1);
	printf("call %lu: ", call_number);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

/* --- texts -------------------------------------------------------------------------------- */

/* The fields that change although nobody does anything. Kernel threads come and go. */
#define KINDS 5

static bool is_volatile(const char *field)
{
	static const char *const keys[] = {
		"uptime=", "refs=", "active=", "tasks=", "pids=", "state=", "threads=",
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strncmp(field, keys[i], strlen(keys[i])))
			return true;
	return false;
}

/*
 * Cuts a text down to what must stay the same, in place. Returns what is left of its length, or
 * says what is wrong with the text.
 */
static ssize_t reduce(char *all, size_t len, const char **wrong)
{
	static const char *const kinds[KINDS] = { "ns", "task", "thread", "mount", "hold" };
	unsigned long counts[KINDS] = {}, told[KINDS];
	char *in = all, *out = all, *end = all + len;
	bool has_end = false;

	while (in < end) {
		char *line_end = memchr(in, '\n', end - in);
		char *field = in, *line_out = out;
		size_t kind;

		if (!line_end || has_end) {
			*wrong = has_end ? "text after its end" : "a line without its end";
			return -1;
		}
		*line_end = '\0';
		for (kind = 0; kind < KINDS; kind++)
			if (!strncmp(in, kinds[kind], strlen(kinds[kind])) &&
			    in[strlen(kinds[kind])] == ' ')
				counts[kind]++;
		if (sscanf(in, "end ns=%lu tasks=%lu threads=%lu mounts=%lu holds=%lu", &told[0],
			   &told[1], &told[2], &told[3], &told[4]) == KINDS)
			has_end = true;
		bool is_kthread = !strncmp(in, "task ", 5) && strstr(in, " kind=kthread ");
		while ((field = strsep(&in, " "))) {
			if (is_volatile(field))
				continue;
			size_t field_len = strlen(field);

			memmove(out, field, field_len);
			out += field_len;
			*out++ = ' ';
		}
		out[-1] = '\n';
		if (is_kthread)
			out = line_out;
		in = line_end + 1;
	}
	if (!has_end || memcmp(counts, told, sizeof(counts))) {
		*wrong = has_end ? "an end record with wrong counts" : "no end record";
		return -1;
	}
	return out - all;
}

/* Complains if what was read is not as it is without faults. */
static void check_text(const char *what, size_t len)
{
	const char *wrong = NULL;
	ssize_t left = reduce(text, len, &wrong);

	if (left < 0) {
		complain("%s: %s", what, wrong);
		return;
	}
	if ((size_t)left == expected_len && !memcmp(text, expected, left))
		return;
	size_t at = 0;

	while (at < (size_t)left && at < expected_len && text[at] == expected[at])
		at++;
	while (at > 0 && expected[at - 1] != '\n')
		at--;
	const char *got = at < (size_t)left ? text + at : "";
	const char *wanted = at < expected_len ? expected + at : "";

	complain("%s: the text has \"%.*s\", without faults it has \"%.*s\"", what,
		 (int)strcspn(got, "\n"), got, (int)strcspn(wanted, "\n"), wanted);
}

static int open_file(void)
{
	return open(PROC_FILE, O_RDWR | O_CLOEXEC);
}

static ssize_t write_query(int fd)
{
	return write(fd, query, strlen(query));
}

/* Reads to the end in a buffer that has room for all; returns how much that was, or -1. */
static ssize_t read_text(int fd)
{
	ssize_t len = read(fd, text, TEXT_SIZE);

	if (len >= 0)
		text[len] = '\0';
	return len;
}

/* Opens the file and asks, where nothing fails. */
static int open_and_ask(void)
{
	int fd = open_file();

	if (fd < 0)
		die("open without faults");
	if (query && write_query(fd) < 0)
		die("write without faults");
	return fd;
}

/* Reads the rest: nothing. */
static void check_at_end(const char *what, int fd)
{
	char byte;

	if (read(fd, &byte, 1))
		complain("%s: one read does not get all of the text", what);
}

/* Reads what is open, and complains if that is not the whole text. */
static void check_read(const char *what, int fd)
{
	ssize_t len = read_text(fd);

	if (len < 0) {
		complain("%s: %s", what, strerror(errno));
		return;
	}
	check_at_end(what, fd);
	check_text(what, len);
}

static void check_fresh_read(void)
{
	int fd = open_and_ask();

	check_read("a new reader", fd);
	close(fd);
}

static void remember_text(void)
{
	const char *wrong = NULL;
	int fd = open_and_ask();
	ssize_t len = read_text(fd);

	if (len < 0)
		die("read without faults");
	check_at_end("without faults", fd);
	close(fd);
	len = reduce(text, len, &wrong);
	if (len < 0)
		die("without faults: %s", wrong);
	memcpy(expected, text, len);
	expected[len] = '\0';
	expected_len = len;
}

/* --- faults ------------------------------------------------------------------------------- */

static void write_number(int fd, unsigned long number)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%lu", number);

	if (write(fd, digits, len) != len)
		die("switching faults");
}

/* Files of debugfs know no pread(2), and those of procfs no lseek(2). */
static unsigned long read_number(int fd, bool is_debugfs)
{
	char digits[24] = {};
	ssize_t len = is_debugfs ? read(fd, digits, sizeof(digits) - 1) :
				   pread(fd, digits, sizeof(digits) - 1, 0);

	if (len <= 0)
		die("reading how many faults there were");
	return strtoul(digits, NULL, 10);
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		die("%s", path);
	return fd;
}

static void limit_faults(void)
{
	for (int i = 0; i < 2; i++) {
		int fd = open_or_die(times_files[i], O_WRONLY);

		write_number(fd, most_faults);
		close(fd);
	}
}

static void count_faults(void)
{
	for (int i = 0; i < 2; i++) {
		int fd = open_or_die(times_files[i], O_RDONLY);

		faults += most_faults - read_number(fd, true);
		close(fd);
	}
}

/* From here to disarm() nothing may be allocated but by the call that is tested. */
static void arm(void)
{
	limit_faults();
	if (keeps_failing || is_chance)
		write_number(make_it_fail_fd, 1);
	if (!is_chance)
		write_number(fail_nth_fd, call_number);
}

/* Returns whether an allocation was made to fail. */
static bool disarm(void)
{
	int error = errno;
	bool faulty = true;

	if (keeps_failing || is_chance)
		write_number(make_it_fail_fd, 0);
	if (!is_chance) {
		faulty = read_number(fail_nth_fd, false) == 0;
		write_number(fail_nth_fd, 0);
	}
	count_faults();
	errno = error;
	return faulty;
}

/* --- scenarios ---------------------------------------------------------------------------- */

/* What a call has come to. */
struct outcome {
	/* An allocation failed. */
	bool faulty;
	/* 0 if the call succeeded. */
	int error;
};

/* Whether the error is one that a call may fail with. */
static bool is_clean(struct outcome outcome)
{
	if (outcome.error && !outcome.faulty)
		complain("fails without a fault: %s", strerror(outcome.error));
	else if (outcome.error && outcome.error != ENOMEM)
		complain("fails with: %s", strerror(outcome.error));
	return !outcome.error || outcome.error == ENOMEM;
}

static struct outcome try_open(void)
{
	struct outcome outcome;
	int fd;

	arm();
	fd = open_file();
	outcome = (struct outcome){.faulty = disarm(), .error = fd < 0 ? errno : 0};
	if (fd >= 0) {
		if (query && write_query(fd) < 0)
			complain("write after open: %s", strerror(errno));
		check_read("read after open", fd);
		close(fd);
	} else if (is_clean(outcome)) {
		check_fresh_read();
	}
	return outcome;
}

static struct outcome try_write(void)
{
	struct outcome outcome;
	int fd = open_file();
	ssize_t len;

	if (fd < 0)
		die("open without faults");
	arm();
	len = write_query(fd);
	outcome = (struct outcome){.faulty = disarm(), .error = len < 0 ? errno : 0};
	if (!outcome.error && len != (ssize_t)strlen(query))
		complain("write took %zd bytes", len);
	if (outcome.error && is_clean(outcome) && write_query(fd) < 0)
		complain("the second write: %s", strerror(errno));
	check_read("read after write", fd);
	close(fd);
	if (outcome.error)
		check_fresh_read();
	return outcome;
}

static struct outcome try_read(void)
{
	struct outcome outcome;
	int fd = open_and_ask();
	ssize_t len;

	arm();
	len = read_text(fd);
	outcome = (struct outcome){.faulty = disarm(), .error = len < 0 ? errno : 0};
	if (!outcome.error) {
		check_at_end("read", fd);
		check_text("read", len);
	} else if (is_clean(outcome)) {
		/* Both would take too long. */
		if (call_number % 2)
			check_read("the second read", fd);
		else
			check_fresh_read();
	}
	close(fd);
	return outcome;
}

static struct outcome try_life(void)
{
	struct outcome outcome;
	ssize_t len = -1;
	int fd;

	arm();
	fd = open_file();
	if (fd >= 0 && (!query || write_query(fd) >= 0))
		len = read_text(fd);
	outcome = (struct outcome){.error = len < 0 ? errno : 0};
	if (fd >= 0)
		close(fd);
	outcome.faulty = disarm();
	if (!outcome.error)
		check_text("read", len);
	else if (is_clean(outcome))
		check_fresh_read();
	return outcome;
}

static int load(void)
{
	return syscall(SYS_finit_module, module_fd, "", 0);
}

static void unload(void)
{
	if (syscall(SYS_delete_module, "nsinspect", O_NONBLOCK))
		complain("delete_module: %s", strerror(errno));
}

static void check_gone(void)
{
	if (!access(PROC_FILE, F_OK))
		complain("%s is there without the module", PROC_FILE);
	if (!access(MODULE_DIR, F_OK))
		complain("%s is there without the module", MODULE_DIR);
}

static struct outcome try_insmod(void)
{
	struct outcome outcome;

	arm();
	outcome.error = load() ? errno : 0;
	outcome.faulty = disarm();
	if (outcome.error) {
		is_clean(outcome);
		check_gone();
		if (load()) {
			complain("the next load: %s", strerror(errno));
			return outcome;
		}
	}
	check_fresh_read();
	unload();
	check_gone();
	return outcome;
}

static const struct {
	const char *name;
	struct outcome (*try)(void);
} scenarios[] = {
	{"open", try_open}, {"write", try_write}, {"read", try_read},
	{"life", try_life}, {"insmod", try_insmod},
};

/* --- main --------------------------------------------------------------------------------- */

/* Memory that is there, and stays. */
static char *fixed_memory(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	memset(memory, 1, size);
	return memory;
}

int main(int argc, char **argv)
{
	struct outcome (*try)(void) = NULL;
	unsigned long calls = MAX_CALLS, step = 1, tried = 0, enomem = 0, tolerated = 0;

	if (argc < 3)
		die("too few arguments");
	if (!strncmp(argv[1], "chance=", 7)) {
		is_chance = true;
		calls = strtoul(argv[1] + 7, NULL, 10);
	} else {
		char *colon = strchr(argv[1], ':');

		if (colon) {
			*colon = '\0';
			step = strtoul(colon + 1, NULL, 10);
			if (!step)
				die("no step in %s", argv[1]);
		}
		keeps_failing = strcmp(argv[1], "once");
		/* A small vector tries twice for memory of the one kind, a large one twice for the other. */
		if (!strcmp(argv[1], "twice"))
			most_faults = 2;
	}
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (!strcmp(scenarios[i].name, argv[2]))
			try = scenarios[i].try;
	if (!try)
		die("there is no scenario %s", argv[2]);
	if (try == try_insmod)
		module_fd = open_or_die(argv[3], O_RDONLY);
	else if (argc > 3)
		query = argv[3];

	fail_nth_fd = open_or_die("/proc/thread-self/fail-nth", O_RDWR);
	make_it_fail_fd = open_or_die("/proc/thread-self/make-it-fail", O_RDWR);
	text = fixed_memory(TEXT_SIZE + 1);
	expected = fixed_memory(TEXT_SIZE + 1);
	setvbuf(stdout, fixed_memory(1 << 16), _IOFBF, 1 << 16);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		die("mlockall");

	if (try == try_insmod && load())
		die("finit_module without faults");
	remember_text();
	if (try == try_insmod)
		unload();

	for (call_number = step; call_number <= calls; call_number += step, tried++) {
		struct outcome outcome = try();

		/* There are no more allocations. */
		if (!outcome.faulty)
			break;
		if (!outcome.error)
			tolerated++;
		else if (outcome.error == ENOMEM)
			enomem++;
	}
	if (!is_chance && call_number > calls)
		complain("there is no end of it");
	printf("calls=%lu enomem=%lu tolerated=%lu faults=%lu\n", tried, enomem, tolerated,
	       faults);
	return complaints ? 1 : 0;
}
