// SPDX-License-Identifier: GPL-2.0
/* Readers and askers, and whoever loads and unloads the module meanwhile. */
#include "churn.h"

struct text text;

/* What an error of a file whose module is being unloaded may be. */
static bool module_left(int error, int line, const char *what)
{
	if (options.reload && error == (strcmp(what, "open") ? EIO : ENOENT)) {
		count(error == EIO ? C_reads_eio : C_opens_enoent);
		return true;
	}
	fail(line, error, "%s " PROC_FILE, what);
}

/* In pieces of a size that changes. */
bool read_whole(int fd, unsigned int max_piece, unsigned int max_nap)
{
	text.size = 0;
	for (;;) {
		size_t piece = below(max_piece) + 1;
		ssize_t got;

		if (text.size + piece > text.room) {
			text.room = 2 * (text.size + piece);
			text.bytes = realloc(text.bytes, text.room);
			if (!text.bytes)
				FAIL("no memory");
		}
		got = read(fd, text.bytes + text.size, piece);
		if (got == -1)
			return !module_left(errno, __LINE__, "read");
		if (got == 0)
			break;
		text.size += got;
		if (max_nap && one_in(4) && !stopping())
			nap(max_nap);
	}
	atomic_fetch_add(&shared->counts[C_bytes], text.size);
	return true;
}

void read_fresh(void)
{
	int fd = MUST(open(PROC_FILE, O_RDONLY | O_CLOEXEC));

	read_whole(fd, 1 << 20, 0);
	close(fd);
	text.bytes[text.size - 1] = '\0';
}

static void keep_text(void)
{
	static int number;
	int fd;

	if (!options.texts || number >= options.keep)
		return;
	fd = MUST(open(PATH("%s/%d-%d", options.texts, worker, number++),
		       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	if (MUST(write(fd, text.bytes, text.size)) != (long)text.size)
		FAIL("no room for a text");
	close(fd);
	count(C_texts_kept);
}

static const struct wanted everything = { .all_marks = true, .all_mounts = true };

/* Looks at a text of everything. */
static void judge(const char *what, int line)
{
	static int number;

	if (!check_text(text.bytes, text.size, &everything))
		fail(line, 0, "the text of %s has %s", what, complaint);
	count(C_reads);
	if (number++ % 20 == 0)
		keep_text();
}

/* Opens the file once the module is there; -1 if the time is up before that. */
static int open_once_loaded(int flags)
{
	int fd;

	while ((fd = open(PROC_FILE, flags | O_CLOEXEC)) == -1) {
		module_left(errno, __LINE__, "open");
		if (stopping())
			return -1;
		nap(2000);
	}
	return fd;
}

/* The files that are open for reading, and have not been read. */
static int held[4] = { -1, -1, -1, -1 };

/*
 * One of them, which is the caller's then. Some are opened long before they are read. -1 if the
 * module is away, and the time is up.
 */
static int take_open(void)
{
	for (;;) {
		int *fd = &held[below(4)];
		int taken = *fd;

		if (taken != -1) {
			*fd = -1;
			return taken;
		}
		*fd = open_once_loaded(O_RDONLY);
		if (*fd == -1)
			return -1;
	}
}

static void read_everything(void)
{
	unsigned int piece = (unsigned int[]){ 700, 5000, 70000, 1 << 20 }[below(4)];
	int fd = take_open();

	if (fd != -1 && read_whole(fd, piece, 0))
		judge("a read", __LINE__);
	close(fd);
}

static void read_slowly(void)
{
	int fd = take_open();

	if (fd != -1 && read_whole(fd, 20000, 4000)) {
		judge("a slow read", __LINE__);
		count(C_slow_reads);
	}
	close(fd);
}

/* Whatever has happened since, the same text is read once more. */
static void compare_with_reread(int fd)
{
	size_t size = text.size;
	char *first = malloc(size);

	if (!first)
		FAIL("no memory");
	memcpy(first, text.bytes, size);
	nap(10000);
	if (lseek(fd, 0, SEEK_SET) == -1) {
		if (!options.reload || errno != EINVAL)
			fail(__LINE__, errno, "lseek");
	} else if (read_whole(fd, 5000, 0)) {
		if (size != text.size || memcmp(first, text.bytes, size))
			FAIL("a text read twice is not the same");
		count(C_rereads);
	}
	free(first);
}

static void read_again(void)
{
	int fd = take_open();

	if (fd != -1 && read_whole(fd, 70000, 0)) {
		judge("a read", __LINE__);
		compare_with_reread(fd);
	}
	close(fd);
}

static void reader_killed(void)
{
	pid_t pid = spawn(0);

	if (pid == 0) {
		die_with_parent();
		for (;;) {
			int fd = open_once_loaded(O_RDONLY);

			if (fd == -1)
				wait_forever();
			read_whole(fd, 5000, 0);
			close(fd);
		}
	}
	nap(30000);
	END(pid);
	count(C_readers_killed);
}

/* A random query, and what is wanted of its answer. */
static void make_query(char *query, struct wanted *wanted)
{
	static const char *const shows[] = { "ns", "tasks", "threads", "mounts", "ns,mounts", "holds",
					     "tasks,threads", "mounts,tasks,ns,threads",
					     "mounts,tasks,ns,threads,holds" };
	static const unsigned int shown[] = { 1 << NS, 1 << TASK, 1 << THREAD, 1 << MOUNT,
					      1 << NS | 1 << MOUNT, 1 << HOLD,
					      1 << TASK | 1 << THREAD, 0, 0 };
	const struct mark *mark = &shared->marks[below(shared->n_marks)];
	const unsigned long *inums = shared->village_inums;
	unsigned int show = below(sizeof(shows) / sizeof(*shows));
	int key;

	*wanted = (struct wanted){ 0 };
	switch (below(10)) {
	case 0:
		strcpy(query, "\n");
		*wanted = everything;
		break;
	case 1:
		sprintf(query, "pid=%d", mark->pid);
		wanted->only = mark;
		break;
	case 2:
		/* Somebody who lived not long ago, if at all. */
		sprintf(query, "pid=%d show=tasks,ns,mounts,threads%s", getpid() + below(200),
			one_in(2) ? ",holds" : "");
		break;
	case 3:
		sprintf(query, "upid=%d@%lu", shared->village_upid, inums[7]);
		for (int i = 0; i < shared->n_marks; i++)
			if (shared->marks[i].pid == shared->villages[shared->n_villages - 1])
				wanted->only = &shared->marks[i];
		break;
	case 4:
		sprintf(query, "upid=%u@%lu", below(100), 4026531836UL + below(600));
		break;
	case 5:
		key = below(NSES);
		sprintf(query, "ns=%lu%s", one_in(2) ? inums[key] : 4026531836UL + below(600),
			one_in(2) ? " show=ns,tasks,holds" : "");
		break;
	case 6:
		sprintf(query, "dev=0:%u%s", below(200), one_in(2) ? " show=mounts,holds" : "");
		break;
	case 7:
		sprintf(query, "ns=%lu dev=0:%u show=%s", inums[1], below(60), shows[show]);
		wanted->kinds = shown[show];
		break;
	case 8:
		sprintf(query, "show=%s propagate_from=1", shows[show]);
		wanted->kinds = shown[show];
		wanted->all_marks = strstr(shows[show], "tasks");
		wanted->all_mounts = !strcmp(shows[show], "ns,mounts") || !shown[show];
		break;
	default:
		strcpy(query, "propagate_from=1");
		wanted->all_marks = true;
		wanted->all_mounts = true;
	}
}

static void ask_nonsense(int fd)
{
	static const char *const nonsense[] = { "pid=", "x=1", "pid=1 pid=2", "ns=-1", "dev=1", " ",
						"show=all", "upid=1", "propagate_from=2" };
	char junk[300];
	size_t size = below(sizeof(junk) - 1) + 1;
	const char *query = nonsense[below(sizeof(nonsense) / sizeof(*nonsense))];

	if (one_in(3)) {
		for (size_t i = 0; i < size; i++)
			junk[i] = next() | 0x80;
		query = junk;
	} else {
		size = strlen(query);
	}
	if (write(fd, query, size) != -1)
		FAIL("nonsense is taken for a query: %.*s", (int)size, query);
	if (errno == EIO && module_left(errno, __LINE__, "write"))
		return;
	if (errno != (size > 256 ? E2BIG : EINVAL))
		fail(__LINE__, errno, "nonsense of %zu bytes", size);
	count(C_bad_queries);
}

static void ask(void)
{
	static bool before;
	struct wanted wanted;
	char query[300];
	int fd = open_once_loaded(O_RDWR);

	if (fd == -1)
		return;
	for (int n = below(3) + 1; n; n--) {
		make_query(query, &wanted);
		if (write(fd, query, strlen(query)) == -1) {
			module_left(errno, __LINE__, "write");
			break;
		}
		if (!before || one_in(8))
			ask_nonsense(fd);
		before = true;
		if (!read_whole(fd, 70000, 0))
			break;
		if (!check_text(text.bytes, text.size, &wanted))
			FAIL("the answer to '%s' has %s", query, complaint);
		count(C_queries);
	}
	close(fd);
}

static const struct act acts[] = {
	{ "read", read_everything, 24 },
	{ "slow read", read_slowly, 8 },
	{ "read again", read_again, 8 },
	{ "query", ask, 16 },
	{ "reader to kill", reader_killed, 1 },
};

void run_reader(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(worker % processors, &set);
	MUST(sched_setaffinity(0, sizeof(set), &set));
	act(acts, sizeof(acts) / sizeof(*acts));
	for (int i = 0; i < 4; i++)
		if (held[i] != -1)
			close(held[i]);
}

/* --- the module ------------------------------------------------------------------------------ */

static void insmod(void)
{
	int fd = MUST(open(options.reload, O_RDONLY | O_CLOEXEC));

	MUST(syscall(SYS_finit_module, fd, "", 0));
	close(fd);
	count(C_insmods);
}

static void await_one_more(enum counter counter)
{
	unsigned long before = atomic_load(&shared->counts[counter]);

	while (atomic_load(&shared->counts[counter]) == before && !stopping())
		nap(2000);
}

void run_loader(void)
{
	for (unsigned int turn = 0; !stopping(); turn++) {
		shared->doing[worker] = "rmmod";
		MUST(syscall(SYS_delete_module, "nsinspect", O_NONBLOCK));
		count(C_rmmods);
		nap(20000);
		shared->doing[worker] = "insmod";
		insmod();
		/* After a read or a query, which may take long on a slow kernel; at once; at any time. */
		switch (turn % 4) {
		case 0:
			await_one_more(C_reads);
			break;
		case 1:
			await_one_more(C_queries);
			break;
		case 2:
			nap(5000);
			break;
		default:
			nap(500000);
		}
	}
}
