// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz [--seed N] [--queries N] [--read-every N] [--threads]
 *
 * Writes random queries to /proc/nsinspect, good, almost good and bad, in every way there is to
 * write, and compares each result with what docs/format.md says: judge() below is a reading of it
 * that shares nothing with the module's. Now and then it reads, and looks at whether the text is
 * whole, and an answer to the query that is in force.
 *
 * --threads: one thread does that writing while another one reads and seeks in the same open file.
 *
 * The same seed makes the same queries, but for the numbers of what lives: this process, its
 * namespaces and mounts. Ends with one line of figures and status 0, or with what was wrong and
 * status 1.
 */

#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_NAME "/proc/nsinspect"
#define MAX_LEN 256	/* of a query, without its newline */
#define BIG (1 << 20)	/* more than any query that is made here */
#define MAX_SEGMENTS 6

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t seed;
static unsigned long long wanted_queries = 20000;
static unsigned int read_every = 50;

static struct {
	unsigned long long queries, accepted, refused, too_long, faulted, nothing, read, texts;
} count;

/* --- chance ------------------------------------------------------------------------------- */

/* Each thread has its own, so that what one does is no matter to the other's. */
static _Thread_local uint64_t state;

/* splitmix64 */
static uint64_t chance(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* From 0 to below n. */
static uint64_t below(uint64_t n)
{
	return chance() % n;
}

static bool one_in(uint64_t n)
{
	return below(n) == 0;
}

/* --- what is in the texts ------------------------------------------------------------------ */

enum { NS = 1, TASKS = 2, THREADS = 4, MOUNTS = 8, HOLDS = 16, ORIGINALS = 32, KINDS = 5, WORDS = 6 };
/* Kinds of records, and a word that is none. */
static const char *const words[WORDS] = { "ns", "tasks", "threads", "mounts", "holds", "originals" };
static const char *const record_names[KINDS] = { "ns ", "task ", "thread ", "mount ", "hold " };

/* What is asked for. */
struct query {
	bool has_pid, has_upid, has_ns, has_dev, has_mount, has_kind, has_show, has_propagate_from;
	bool propagate_from, wants_kthreads;
	unsigned int show;
	uint32_t pid, upid_nr, upid_ns, ns, major, minor;
	uint64_t mount;
};

static const struct query everything;

/* What lives, and answers to. */
static struct {
	uint32_t pids[2];
	uint32_t ns[8];		/* of this process; the first is its pid namespace */
	uint32_t major, minor;	/* of a mount that it sees */
	uint64_t mount;		/* the id of the one that its root is on */
} live;

static void look_around(void)
{
	static const char *const links[] = {
		"pid", "mnt", "uts", "ipc", "net", "user", "cgroup", "time",
	};
	char path[64], target[64];
	struct statx root;
	FILE *mounts;

	live.pids[0] = 1;
	live.pids[1] = getpid();
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		ssize_t len;
		char *bracket;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", links[i]);
		len = readlink(path, target, sizeof(target) - 1);
		target[len < 0 ? 0 : len] = '\0';
		bracket = strchr(target, '[');
		if (!bracket) {
			fprintf(stderr, "fuzz: %s is no link to a namespace\n", path);
			exit(2);
		}
		live.ns[i] = strtoul(bracket + 1, NULL, 10);
	}
	mounts = fopen("/proc/self/mountinfo", "r");
	if (!mounts || fscanf(mounts, "%*u %*u %u:%u", &live.major, &live.minor) != 2) {
		fprintf(stderr, "fuzz: /proc/self/mountinfo has no device\n");
		exit(2);
	}
	fclose(mounts);
	if (statx(AT_FDCWD, "/", 0, STATX_MNT_ID_UNIQUE, &root) ||
	    !(root.stx_mask & STATX_MNT_ID_UNIQUE)) {
		fprintf(stderr, "fuzz: statx tells no id of a mount\n");
		exit(2);
	}
	live.mount = root.stx_mnt_id;
}

/* --- the grammar, as docs/format.md has it -------------------------------------------------- */

struct cursor {
	const unsigned char *at, *end;
};

static bool take(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len))
		return false;
	c->at += len;
	return true;
}

/* Takes all digits that there are; they must make a number up to max. */
static bool take_u64(struct cursor *c, uint64_t max, uint64_t *number)
{
	const unsigned char *first = c->at;
	unsigned __int128 value = 0;

	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
		if (value <= max)
			value = value * 10 + (*c->at - '0');
	*number = value;
	return c->at > first && value <= max;
}

static bool take_number(struct cursor *c, uint64_t max, uint32_t *number)
{
	uint64_t value;
	bool is_good = take_u64(c, max, &value);

	*number = value;
	return is_good;
}

static bool take_show(struct cursor *c, unsigned int *show)
{
	do {
		unsigned int word;

		for (word = 0; word < WORDS && !take(c, words[word]); word++)
			;
		if (word == WORDS)
			return false;
		*show |= 1U << word;
	} while (take(c, ","));
	return true;
}

/* Notes that a key was seen; false if it was before. */
static bool once(bool *seen)
{
	bool before = *seen;

	*seen = true;
	return !before;
}

static bool take_field(struct cursor *c, struct query *q)
{
	if (take(c, "pid="))
		return once(&q->has_pid) && take_number(c, INT32_MAX, &q->pid);
	if (take(c, "upid="))
		return once(&q->has_upid) && take_number(c, INT32_MAX, &q->upid_nr) &&
		       take(c, "@") && take_number(c, UINT32_MAX, &q->upid_ns);
	if (take(c, "ns="))
		return once(&q->has_ns) && take_number(c, UINT32_MAX, &q->ns);
	if (take(c, "dev="))
		return once(&q->has_dev) && take_number(c, UINT32_MAX, &q->major) &&
		       take(c, ":") && take_number(c, UINT32_MAX, &q->minor);
	if (take(c, "mount="))
		return once(&q->has_mount) && take_u64(c, UINT64_MAX, &q->mount);
	if (take(c, "kind=")) {
		q->wants_kthreads = c->at < c->end && *c->at == 'k';
		return once(&q->has_kind) && (take(c, "user") || take(c, "kthread"));
	}
	if (take(c, "show="))
		return once(&q->has_show) && take_show(c, &q->show);
	if (take(c, "propagate_from=")) {
		q->propagate_from = c->at < c->end && *c->at == '1';
		return once(&q->has_propagate_from) && (take(c, "0") || take(c, "1"));
	}
	return false;
}

/* 0 for a query, which is then in *q, or the error number that writing it must give. */
static int judge(const unsigned char *bytes, size_t len, struct query *q)
{
	struct cursor c = { bytes, bytes + len };

	if (len && bytes[len - 1] == '\n')
		c.end--;
	if (c.end - c.at > MAX_LEN)
		return E2BIG;
	*q = everything;
	if (c.at == c.end)
		return 0;
	do {
		if (!take_field(&c, q))
			return EINVAL;
	} while (take(&c, " "));
	return c.at == c.end ? 0 : EINVAL;
}

/* --- telling what is wrong ------------------------------------------------------------------ */

static void print_escaped(const char *what, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;

	printf("  %s, %zu bytes: \"", what, len);
	for (size_t i = 0; i < len && i < 600; i++) {
		if (isprint(at[i]) && at[i] != '\\' && at[i] != '"')
			putchar(at[i]);
		else
			printf("\\%03o", at[i]);
	}
	printf("\"%s\n", len > 600 ? " and so on" : "");
}

/* What is being tried, in the thread that writes. */
struct attempt;
static void print_attempt(const struct attempt *attempt);
static _Thread_local const struct attempt *current;

/* Only one thread gets to tell. */
static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER;

__attribute__((noreturn, format(printf, 1, 2)))
static void mismatch(const char *format, ...)
{
	va_list arguments;

	pthread_mutex_lock(&telling);
	printf("fuzz: seed=%llu, at query %llu: ", (unsigned long long)seed, count.queries);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	if (current)
		print_attempt(current);
	fflush(stdout);
	_exit(1);
}

/* --- making queries ------------------------------------------------------------------------- */

/* A line that grows; what has no room is left out. */
struct line {
	unsigned char bytes[BIG];
	size_t len;
};

static void put_byte(struct line *l, int byte)
{
	if (l->len < sizeof(l->bytes))
		l->bytes[l->len++] = byte;
}

static void put(struct line *l, const char *text)
{
	while (*text)
		put_byte(l, *text++);
}

static void put_u64(struct line *l, uint64_t number)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
	put(l, digits);
}

/* Makes room for, or closes the gap of, some bytes. */
static void insert(struct line *l, size_t at, const void *bytes, size_t len)
{
	if (l->len + len > sizeof(l->bytes))
		return;
	memmove(l->bytes + at + len, l->bytes + at, l->len - at);
	memcpy(l->bytes + at, bytes, len);
	l->len += len;
}

static void delete(struct line *l, size_t at, size_t len)
{
	memmove(l->bytes + at, l->bytes + at + len, l->len - at - len);
	l->len -= len;
}

/* A number up to max: one that lives, one at the edge, or any. */
static void put_number(struct line *l, uint64_t max, const uint32_t *living, size_t n)
{
	uint64_t number;

	switch (below(8)) {
	case 0:
		number = one_in(2) ? 0 : max;
		break;
	case 1:
		number = below(max + 1);
		break;
	case 2:
		number = below(1000);
		break;
	default:
		number = living[below(n)];
	}
	if (one_in(8))
		for (uint64_t zeros = below(12); zeros; zeros--)
			put_byte(l, '0');
	put_u64(l, number);
}

static void put_show(struct line *l)
{
	do {
		put(l, words[below(WORDS)]);
	} while (!one_in(3) && (put_byte(l, ','), true));
}

enum { PID, UPID, NAMESPACE, DEV, MOUNT, KIND, SHOW, PROPAGATE_FROM, KEYS };

static void put_field(struct line *l, int key)
{
	switch (key) {
	case PID:
		put(l, "pid=");
		put_number(l, INT32_MAX, live.pids, ARRAY_SIZE(live.pids));
		break;
	case UPID:
		put(l, "upid=");
		put_number(l, INT32_MAX, live.pids, ARRAY_SIZE(live.pids));
		put(l, "@");
		put_number(l, UINT32_MAX, live.ns, one_in(4) ? ARRAY_SIZE(live.ns) : 1);
		break;
	case NAMESPACE:
		put(l, "ns=");
		put_number(l, UINT32_MAX, live.ns, ARRAY_SIZE(live.ns));
		break;
	case DEV:
		put(l, "dev=");
		put_number(l, UINT32_MAX, &live.major, 1);
		put(l, ":");
		put_number(l, UINT32_MAX, &live.minor, 1);
		break;
	case MOUNT:
		put(l, "mount=");
		put_u64(l, one_in(2) ? live.mount : one_in(2) ? below(64) : chance());
		break;
	case KIND:
		put(l, one_in(3) ? "kind=kthread" : "kind=user");
		break;
	case SHOW:
		put(l, "show=");
		put_show(l);
		break;
	default:
		put(l, one_in(2) ? "propagate_from=0" : "propagate_from=1");
	}
}

/* A query; most have few keys. Returns the keys it has. */
static unsigned int put_query(struct line *l)
{
	unsigned int keys = 0;

	do {
		int key = below(KEYS);

		if (keys & 1U << key)
			continue;
		if (keys)
			put_byte(l, ' ');
		keys |= 1U << key;
		put_field(l, key);
	} while (!one_in(3));
	return keys;
}

/* Where there is such a byte, or -1. */
static ssize_t find_any(const struct line *l, const char *set)
{
	size_t start = below(l->len), i;

	for (i = 0; i < l->len; i++) {
		size_t at = (start + i) % l->len;

		if (memchr(set, l->bytes[at], strlen(set)))
			return at;
	}
	return -1;
}

/* Puts a number that is too large in place of a number; false if there is none. */
static bool enlarge(struct line *l)
{
	static const char *const large[] = {
		"4294967296", "4294967297", "9223372036854775807", "9223372036854775808",
		"18446744073709551615", "18446744073709551616", "18446744073709551617",
		"340282366920938463463374607431768211457", "99999999999999999999999999",
	};
	/* From here on they are too large for the id of a mount, too. */
	const size_t largest = 5;
	const char *const mount = "mount=";
	ssize_t at = find_any(l, "0123456789");
	size_t number = below(ARRAY_SIZE(large)), len = 0;

	/* The 0 or 1 of propagate_from is a flag, and too large as well. */
	if (at < 0)
		return false;
	while (at && isdigit(l->bytes[at - 1]))
		at--;
	while (at + len < l->len && isdigit(l->bytes[at + len]))
		len++;
	if ((size_t)at >= strlen(mount) && number < largest &&
	    !memcmp(l->bytes + at - strlen(mount), mount, strlen(mount)))
		number = largest + below(ARRAY_SIZE(large) - largest);
	delete(l, at, len);
	insert(l, at, large[number], strlen(large[number]));
	return true;
}

/* Changes a query in one place. Returns whether it must be none now; false also where it depends. */
static bool mutate(struct line *l, unsigned int keys)
{
	static const char odd[] = { 0, 0, '\n', ' ', '\t', '\r', '=', ',', '@', ':', '-', '+', '\\',
				    '0', '9', 'x', (char)0xa0, (char)0xff, (char)0xd9 };
	size_t at = below(l->len), len;
	ssize_t found;
	char byte;

	switch (below(14)) {
	case 0: /* a bit */
		l->bytes[at] ^= 1U << below(8);
		return false;
	case 1: /* a byte */
		l->bytes[at] = chance();
		return false;
	case 2: /* a byte more */
		byte = chance();
		insert(l, at + below(2), &byte, 1);
		return false;
	case 3:
		byte = odd[below(sizeof(odd))];
		insert(l, at + below(2), &byte, 1);
		return false;
	case 4: /* some bytes less */
		len = 1 + below(l->len - at);
		delete(l, at, len);
		return false;
	case 5: /* the whole, or a piece, twice */
		insert(l, l->len, l->bytes, l->len);
		return false;
	case 6: /* a key twice */
		for (at = 0; !(keys & 1U << at); at++)
			;
		put_byte(l, ' ');
		put_field(l, at);
		return true;
	case 7: /* a blank twice, or where none should be */
		found = find_any(l, " ");
		insert(l, found < 0 ? l->len * below(2) : (size_t)found, " ", 1);
		return true;
	case 8: /* a NUL */
		insert(l, at, "", 1);
		return true;
	case 9: /* a line feed, and something after it */
		insert(l, at, "\n", 1);
		return true;
	case 10:
		return enlarge(l);
	case 11: /* a letter of another case */
		found = find_any(l, "abcdefghijklmnopqrstuvwxyz");
		l->bytes[found] ^= 0x20;
		return true;
	case 12: /* another separator, or none */
		found = find_any(l, "=@:");
		if (one_in(2))
			l->bytes[found] = "=@:, .\n"[below(7)];
		else
			delete(l, found, 1);
		return false;
	default: /* a sign, or a blank, before a value */
		found = find_any(l, "=@:");
		insert(l, found + 1, one_in(2) ? "-" : one_in(2) ? "+" : " ", 1);
		return true;
	}
}

/* Zeros before a number, until the query has that length; false if it has no number. */
static bool lengthen(struct line *l, size_t len)
{
	ssize_t at;

	/* Not the flag of propagate_from=, which is no number. */
	for (at = 0; at < (ssize_t)l->len; at++)
		if (isdigit(l->bytes[at]) && l->bytes[at - 2] != 'm')
			break;
	if (at == (ssize_t)l->len)
		return false;
	while (l->len < len)
		insert(l, at, "0", 1);
	return true;
}

/* Tokens of the grammar in any order. */
static void put_soup(struct line *l)
{
	static const char *const tokens[] = {
		"pid", "upid", "ns", "dev", "mount", "kind", "show", "propagate_from", "tasks",
		"threads", "mounts", "holds", "originals", "user", "kthread", "kind=user", "mount=1",
		"=", "=", "=", "@", ":", " ", " ", ",", "0", "1", "7", "2147483648", "4294967295",
		"\n", "\\", "-", "pid=1", "show=ns", "upid=1@", "dev=0:",
	};

	for (uint64_t n = 1 + below(12); n; n--) {
		if (one_in(30))
			put_byte(l, 0);
		else
			put(l, tokens[below(ARRAY_SIZE(tokens))]);
	}
}

/* What the maker of a query knows of it. */
enum made { GOOD, BAD, ANY };

static enum made make_query(struct line *l)
{
	uint64_t kind = below(100);
	enum made made = ANY;

	l->len = 0;
	if (kind < 40) {
		put_query(l);
		made = GOOD;
	} else if (kind < 76) {
		if (mutate(l, put_query(l)))
			made = BAD;
	} else if (kind < 82) {
		put_query(l);
		lengthen(l, MAX_LEN - 3 + below(6));
		made = GOOD;
	} else if (kind < 90) {
		for (uint64_t n = below(300); n; n--)
			put_byte(l, chance());
	} else if (kind < 97) {
		put_soup(l);
	} else if (kind < 99) {
		for (uint64_t n = below(3); n; n--)
			put_byte(l, " \n"[below(2)]);
	} else {
		bool is_blank = one_in(2);

		for (uint64_t n = 250 + below(one_in(8) ? one_in(20) ? BIG - 250 : 5000 : 20); n; n--)
			put_byte(l, is_blank ? ' ' : chance());
	}
	if (l->len > MAX_LEN && made == GOOD)
		made = BAD;
	if (one_in(2))
		put_byte(l, '\n');
	return made;
}

/* --- ways to write -------------------------------------------------------------------------- */

enum way {
	WRITE, PWRITE, WRITEV, PWRITEV,
	WRITE_KERNEL,	/* from an address of the kernel's */
	WRITE_1G,	/* with a length of which next to nothing is there */
	WRITE_OVERFLOW,	/* with a length that no memory can have */
	WAYS,
};

static const char *const way_names[WAYS] = {
	"write", "pwrite", "writev", "pwritev", "write from the kernel's half", "write of 1 GiB",
	"write of an impossible length",
};

/* What one system call of a kind that writes is given, and must do. */
struct attempt {
	enum way way;
	int64_t offset;		/* where pwrite and pwritev write to */
	int n;
	struct iovec segments[MAX_SEGMENTS];
	size_t readable[MAX_SEGMENTS];	/* bytes of each that are in memory */
	long result;		/* what it must return, errors as negative numbers */
	int n_accepted;
	struct query accepted[MAX_SEGMENTS];
};

static void print_attempt(const struct attempt *a)
{
	printf("  by %s", way_names[a->way]);
	if (a->way == PWRITE || a->way == PWRITEV)
		printf(" to %lld", (long long)a->offset);
	putchar('\n');
	if (a->way <= PWRITEV)
		for (int i = 0; i < a->n; i++) {
			printf("  piece %d: %zu of %zu bytes are in memory\n", i, a->readable[i],
			       a->segments[i].iov_len);
			print_escaped("its bytes", a->segments[i].iov_base, a->readable[i]);
		}
}

/* Memory that ends where nothing is mapped, for each segment. */
static unsigned char *slots[MAX_SEGMENTS];
static unsigned char *short_of_1g;

static void *map_or_exit(void *where, size_t size, int flags)
{
	void *map = mmap(where, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);

	if (map == MAP_FAILED) {
		perror("fuzz: mmap");
		exit(2);
	}
	return map;
}

static void map_memory(void)
{
	long page = sysconf(_SC_PAGESIZE);

	for (int i = 0; i < MAX_SEGMENTS; i++) {
		slots[i] = map_or_exit(NULL, BIG + page, 0);
		if (mprotect(slots[i] + BIG, page, PROT_NONE)) {
			perror("fuzz: mprotect");
			exit(2);
		}
	}
	/* Low, so that even 1 GiB on no address is out of the question. */
	short_of_1g = map_or_exit((void *)0x200000000, page, MAP_FIXED_NOREPLACE);
}

/* Puts bytes in front of what is not mapped, the last few of them perhaps beyond. */
static void place(struct attempt *a, const void *bytes, size_t len, size_t beyond)
{
	size_t readable = len - beyond;
	unsigned char *base = slots[a->n] + BIG - readable;

	memcpy(base, bytes, readable);
	a->segments[a->n].iov_base = base;
	a->segments[a->n].iov_len = len;
	a->readable[a->n] = readable;
	a->n++;
}

static size_t some_beyond(size_t len)
{
	return len && one_in(40) ? 1 + below(len) : 0;
}

/*
 * What the pieces that a call hands over lead to: each is a query by itself, as if it were written
 * alone, and after the first bad one no more are looked at. One of no bytes asks for nothing.
 */
static void expect_pieces(struct attempt *a)
{
	long total = 0;

	a->n_accepted = 0;
	for (int i = 0; i < a->n; i++) {
		size_t len = a->segments[i].iov_len;
		int error;

		if (!len)
			continue;
		count.queries++;
		if (len > MAX_LEN + 1)
			error = E2BIG;
		else if (a->readable[i] < len)
			error = EFAULT;
		else
			error = judge(a->segments[i].iov_base, len, &a->accepted[a->n_accepted]);
		if (!error) {
			a->n_accepted++;
			count.accepted++;
			total += len;
			continue;
		}
		*(error == E2BIG ? &count.too_long : error == EFAULT ? &count.faulted :
		  &count.refused) += 1;
		if (!total)
			total = -error;
		break;
	}
	if (!total)
		count.nothing++;
	a->result = total;
}

/* Makes an attempt, and says what must come of it while the file's position is that. */
static void make_attempt(struct attempt *a, int64_t position)
{
	static struct line line;
	uint64_t kind = below(1000);
	enum made made;
	struct query q;
	size_t total = 0;

	a->n = 0;
	a->n_accepted = 0;
	a->offset = one_in(20) ? INT64_MAX - (int64_t)below(100) : (int64_t)below(1000);
	if (kind < 10) {
		static const size_t lengths[] = { SSIZE_MAX, SIZE_MAX, SIZE_MAX - 4096 };

		a->way = WRITE_KERNEL + kind % 3;
		a->segments[0].iov_base = a->way == WRITE_KERNEL ?
			(void *)(UINTPTR_MAX << 47 | below(1UL << 47)) : short_of_1g;
		a->segments[0].iov_len = a->way == WRITE_KERNEL ? 1 + below(300) :
			a->way == WRITE_1G ? 1UL << 30 : lengths[below(3)];
		a->n = 1;
		count.queries++;
		if (a->way == WRITE_1G && position <= INT64_MAX - (1L << 30)) {
			count.too_long++;
			a->result = -E2BIG;
		} else if (a->way == WRITE_1G) {
			count.refused++;
			a->result = -EINVAL;
		} else {
			count.faulted++;
			a->result = -EFAULT;
		}
		return;
	}
	made = make_query(&line);
	if ((judge(line.bytes, line.len, &q) == 0) != (made == GOOD) && made != ANY) {
		print_escaped("fuzz: the maker and the judge of this disagree", line.bytes, line.len);
		exit(2);
	}
	if (kind < 750) {
		a->way = WRITE;
		place(a, line.bytes, line.len, some_beyond(line.len));
	} else if (kind < 850) {
		a->way = PWRITE;
		place(a, line.bytes, line.len, some_beyond(line.len));
	} else if (kind < 930) {
		/* One query in pieces. */
		size_t at = 0;

		a->way = one_in(4) ? PWRITEV : WRITEV;
		while (a->n < MAX_SEGMENTS - 1 && (a->n == 0 || !one_in(4))) {
			size_t len = below(line.len - at + 1);

			place(a, line.bytes + at, len, 0);
			at += len;
		}
		place(a, line.bytes + at, line.len - at, some_beyond(line.len - at));
	} else if (kind < 990) {
		/* Several, and now and then nothing in between. */
		a->way = one_in(4) ? PWRITEV : WRITEV;
		do {
			place(a, line.bytes, line.len, some_beyond(line.len));
			make_query(&line);
			if (one_in(8))
				line.len = 0;
		} while (a->n < MAX_SEGMENTS && !one_in(3));
	} else {
		/* Much, that begins with a query. */
		static unsigned char much[BIG];

		a->way = WRITE;
		memset(much, line.bytes[0], sizeof(much));
		memcpy(much, line.bytes, line.len);
		place(a, much, MAX_LEN + below(sizeof(much) - MAX_LEN), 0);
	}
	for (int i = 0; i < a->n; i++)
		total += a->segments[i].iov_len;
	if (a->way == PWRITE || a->way == PWRITEV)
		position = a->offset;
	if (total && position > INT64_MAX - (int64_t)total) {
		/* The kernel refuses it before the module is asked. */
		count.nothing++;
		a->result = -EINVAL;
	} else {
		expect_pieces(a);
	}
}

static long carry_out(int fd, const struct attempt *a)
{
	const struct iovec *first = a->segments;
	long result;

	switch (a->way) {
	case PWRITE:
		result = pwrite(fd, first->iov_base, first->iov_len, a->offset);
		break;
	case WRITEV:
		result = writev(fd, first, a->n);
		break;
	case PWRITEV:
		result = pwritev(fd, first, a->n, a->offset);
		break;
	default:
		result = write(fd, first->iov_base, first->iov_len);
	}
	return result < 0 ? -errno : result;
}

/* Whether it moves the file's position. */
static bool moves(const struct attempt *a)
{
	return a->n_accepted && a->way != PWRITE && a->way != PWRITEV;
}

static void try(int fd, const struct attempt *a)
{
	long result = carry_out(fd, a);

	if (result != a->result)
		mismatch("the result is %ld (%s), should be %ld", result,
			 result < 0 ? strerror(-result) : "no error", a->result);
}

/* --- looking at texts ------------------------------------------------------------------------ */

struct text {
	char *bytes;
	size_t len, size;
};

static char *room(struct text *t, size_t len)
{
	if (t->size < t->len + len) {
		t->size = 2 * (t->len + len);
		t->bytes = realloc(t->bytes, t->size);
		if (!t->bytes) {
			perror("fuzz: realloc");
			exit(2);
		}
	}
	return t->bytes + t->len;
}

static bool has(const char *line, size_t len, const char *what)
{
	return memmem(line, len, what, strlen(what)) != NULL;
}

/* Whether the blank-separated field of that number, from 0 on, is that. */
static bool field_is(const char *line, size_t len, int number, const char *what)
{
	const char *end = line + len, *blank;

	for (; number; number--) {
		blank = memchr(line, ' ', end - line);
		if (!blank)
			return false;
		line = blank + 1;
	}
	blank = memchr(line, ' ', end - line);
	return (size_t)((blank ? blank : end) - line) == strlen(what) &&
	       !memcmp(line, what, strlen(what));
}

/* Whether a hold may be in the answer. */
static bool may_be_held(const char *line, size_t len, const struct query *q)
{
	bool of_mounts = q->has_dev || q->has_mount;
	char what[64], pid[64], tid[64];

	if (q->has_pid) {
		snprintf(pid, sizeof(pid), " pid=%u ", q->pid);
		snprintf(what, sizeof(what), " pid=%u", q->pid);
		snprintf(tid, sizeof(tid), " tid=%u", q->pid);
		if (!has(line, len, pid) && !has(line, len, tid) &&
		    (len < strlen(what) || memcmp(line + len - strlen(what), what, strlen(what))))
			return false;
	}
	if ((q->has_ns || of_mounts) && !field_is(line, len, 1, of_mounts ? "dev" : "ns"))
		return false;
	snprintf(what, sizeof(what), "%u", q->ns);
	if (q->has_ns && !of_mounts && !field_is(line, len, 2, what))
		return false;
	snprintf(what, sizeof(what), "%u:%u", q->major, q->minor);
	if (q->has_dev && !field_is(line, len, 2, what))
		return false;
	snprintf(what, sizeof(what), " mount=%llu ", (unsigned long long)q->mount);
	return !q->has_mount || has(line, len, what);
}

/* Whether a record may be in the answer; what is told is as much as a record itself shows. */
static bool may_be_kept(unsigned int kind, const char *line, size_t len, const struct query *q)
{
	char number[32], more[64];
	size_t dash;

	if (kind == HOLDS)
		return may_be_held(line, len, q);
	if (q->has_pid) {
		snprintf(number, sizeof(number), "%u", q->pid);
		snprintf(more, sizeof(more), " tgid=%u ", q->pid);
		if (kind == TASKS && !field_is(line, len, 1, number))
			return false;
		if (kind == THREADS && !field_is(line, len, 1, number) && !has(line, len, more))
			return false;
	}
	if (q->has_upid && kind == TASKS) {
		snprintf(number, sizeof(number), "=%u@%u", q->upid_nr, q->upid_ns);
		snprintf(more, sizeof(more), ",%u@%u", q->upid_nr, q->upid_ns);
		if (!has(line, len, number) && !has(line, len, more))
			return false;
	}
	if (q->has_ns) {
		snprintf(number, sizeof(number), "%u", q->ns);
		snprintf(more, sizeof(more), "=%u ", q->ns);
		if (kind == NS && !field_is(line, len, 2, number))
			return false;
		if (kind == MOUNTS && !field_is(line, len, 1, number))
			return false;
		/* Of a process one of whose threads is there, this one does not say that. */
		if ((kind == TASKS || kind == THREADS) && !has(line, len, more) &&
		    !(kind == TASKS && has(line, len, " mixed=1")))
			return false;
	}
	if (q->has_dev) {
		snprintf(number, sizeof(number), "%u:%u", q->major, q->minor);
		if (kind == NS && !field_is(line, len, 1, "mnt"))
			return false;
		if (kind == MOUNTS && !field_is(line, len, 6, number))
			return false;
	}
	if (q->has_mount) {
		snprintf(number, sizeof(number), "%llu", (unsigned long long)q->mount);
		if (kind == NS && !field_is(line, len, 1, "mnt"))
			return false;
		if (kind == MOUNTS && !field_is(line, len, 2, number))
			return false;
	}
	if (q->has_kind && kind == TASKS &&
	    !has(line, len, q->wants_kthreads ? " kind=kthread " : " kind=user "))
		return false;
	if (kind == MOUNTS && !q->propagate_from) {
		const char *options = memmem(line, len, " - ", 3);

		dash = options ? (size_t)(options - line) : len;
		if (has(line, dash, " propagate_from:"))
			return false;
	}
	return true;
}

/* How many records of each kind must be in the answer at least. */
static bool is_enough(const unsigned long counts[KINDS], unsigned int shown, const struct query *q)
{
	bool is_own_ns = false, is_own_pid = q->pid == live.pids[1];

	for (size_t i = 0; i < ARRAY_SIZE(live.ns); i++)
		is_own_ns |= q->ns == live.ns[i];
	if (q->has_upid)
		return true;
	if (q->has_pid && !is_own_pid)
		return true;
	if (q->has_ns && !is_own_ns)
		return true;
	if (q->has_dev && (q->major != live.major || q->minor != live.minor))
		return true;
	if (q->has_mount && (q->mount != live.mount || q->has_dev))
		return true;
	/* No kernel thread is looked for by its number here. */
	if (q->has_kind && q->wants_kthreads)
		return true;
	/* This process has a root, at least, and so are the namespaces that it is in. */
	if ((shown & HOLDS) && !q->has_ns && !q->has_mount && !counts[4])
		return false;
	/* What this process sees may be a copy. */
	if ((shown & ORIGINALS) && q->has_dev)
		return true;
	/* Each of these keeps this process. */
	if (shown & TASKS && !counts[1])
		return false;
	if (shown & THREADS && !counts[2])
		return false;
	if (q->has_pid && counts[1] > 1)
		return false;
	if (q->has_ns && (shown & NS) && !q->has_dev && !q->has_mount && counts[0] != 1)
		return false;
	if (!q->has_ns && (shown & NS) && !q->has_dev && !q->has_mount &&
	    counts[0] < ARRAY_SIZE(live.ns))
		return false;
	return q->has_ns || !(shown & MOUNTS) || counts[3];
}

/* What is wrong with a text as the answer to a query, if anything. */
static const char *find_fault(const struct text *t, const struct query *q)
{
	static _Thread_local char complaint[200];
	const char *line = t->bytes, *end = t->bytes + t->len, *newline;
	unsigned long counts[KINDS] = { 0 };
	unsigned int shown = q->has_show ? q->show : NS | TASKS | MOUNTS;
	unsigned int allowed = shown, last = 0;
	char expected_end[128];

	/* A thread that is asked for is shown in place of a process. */
	if (!q->has_show && (q->has_pid || q->has_upid))
		allowed |= THREADS;
	if (!t->len || end[-1] != '\n')
		return "it does not end with a line feed";
	for (; line < end; line = newline + 1) {
		unsigned int kind;
		size_t len;

		newline = memchr(line, '\n', end - line);
		len = newline - line;
		if (line == t->bytes) {
			if (len < 20 || memcmp(line, "nsinspect 1 release=", 20))
				return "it does not begin with \"nsinspect 1\"";
			continue;
		}
		if (newline + 1 == end)
			break;
		for (kind = 0; kind < KINDS; kind++)
			if (len > strlen(record_names[kind]) &&
			    !memcmp(line, record_names[kind], strlen(record_names[kind])))
				break;
		if (kind == KINDS || kind < last || !(allowed & 1U << kind) ||
		    !may_be_kept(1U << kind, line, len, q)) {
			snprintf(complaint, sizeof(complaint), "it should not have \"%.*s\"",
				 (int)(len < 150 ? len : 150), line);
			return complaint;
		}
		last = kind;
		counts[kind]++;
	}
	snprintf(expected_end, sizeof(expected_end),
		 "end ns=%lu tasks=%lu threads=%lu mounts=%lu holds=%lu\n", counts[0], counts[1],
		 counts[2], counts[3], counts[4]);
	if (line >= end || (size_t)(end - line) != strlen(expected_end) ||
	    memcmp(line, expected_end, end - line)) {
		snprintf(complaint, sizeof(complaint), "its last line is not %s", expected_end);
		return complaint;
	}
	if (!is_enough(counts, shown, q)) {
		snprintf(complaint, sizeof(complaint), "it lacks records: %s", expected_end);
		return complaint;
	}
	return NULL;
}

/* The time that stands in the first line. */
static unsigned long long uptime(const struct text *t)
{
	const char *newline = memchr(t->bytes, '\n', t->len);
	const char *at = newline ? memmem(t->bytes, newline - t->bytes, " uptime=", 8) : NULL;

	return at ? strtoull(at + 8, NULL, 10) : 0;
}

static void print_query(const char *what, const struct query *q)
{
	printf("  %s:", what);
	if (q->has_pid)
		printf(" pid=%u", q->pid);
	if (q->has_upid)
		printf(" upid=%u@%u", q->upid_nr, q->upid_ns);
	if (q->has_ns)
		printf(" ns=%u", q->ns);
	if (q->has_dev)
		printf(" dev=%u:%u", q->major, q->minor);
	if (q->has_mount)
		printf(" mount=%llu", (unsigned long long)q->mount);
	if (q->has_kind)
		printf(" kind=%s", q->wants_kthreads ? "kthread" : "user");
	if (q->has_show)
		printf(" show=(%x)", q->show);
	if (q->has_propagate_from)
		printf(" propagate_from=%d", q->propagate_from);
	putchar('\n');
}

/* --- one thread ----------------------------------------------------------------------------- */

/* The open file, as it must be. */
static struct {
	int fd;
	int64_t position;
	struct query query;	/* that is in force */
	bool is_pending;	/* it was accepted since the text was taken */
	bool has_text;
	struct text text;
} file;

static int open_file(void)
{
	int fd = open(FILE_NAME, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		perror("fuzz: " FILE_NAME);
		exit(2);
	}
	return fd;
}

static void reopen(void)
{
	if (file.fd >= 0)
		close(file.fd);
	file.fd = open_file();
	file.position = 0;
	file.query = everything;
	file.is_pending = false;
	file.has_text = false;
}

static void seek(int64_t position)
{
	int64_t got = lseek(file.fd, position, SEEK_SET);

	if (got != position)
		mismatch("lseek to %lld returns %lld", (long long)position, (long long)got);
	file.position = position;
}

static void check_position(void)
{
	int64_t got = lseek(file.fd, 0, SEEK_CUR);

	if (got != file.position)
		mismatch("the file's position is %lld, should be %lld", (long long)got,
			 (long long)file.position);
}

/* Reads some of the text that was read before, which must be the same; not from position 0. */
static void read_on(void)
{
	char bytes[4096];
	size_t len = 1 + below(one_in(4) ? sizeof(bytes) : 100), there = 0;
	bool by_pread = file.position == 0 || file.position > INT64_MAX - (int64_t)len || one_in(2);
	int64_t at = by_pread ? 1 + (int64_t)below(file.text.len + 10) : file.position;
	ssize_t got = by_pread ? pread(file.fd, bytes, len, at) : read(file.fd, bytes, len);

	if (at < (int64_t)file.text.len)
		there = file.text.len - at < len ? file.text.len - at : len;
	if (got != (ssize_t)there)
		mismatch("reading %zu bytes at %lld returns %zd, should be %zu", len, (long long)at,
			 got, there);
	if (memcmp(bytes, file.text.bytes + (there ? at : 0), there))
		mismatch("at %lld there is another text than was read before", (long long)at);
	if (!by_pread)
		file.position += got;
}

/* Appends what is there from some position on, in pieces of any size. */
static void read_rest(struct text *t, bool by_pread)
{
	for (;;) {
		size_t len = one_in(3) ? 1 + below(5000) : 1 << 16;
		char *to = room(t, len);
		ssize_t got = by_pread ? pread(file.fd, to, len, t->len) : read(file.fd, to, len);

		if (got < 0)
			mismatch("reading %zu bytes at %zu fails: %m", len, t->len);
		if (!got)
			return;
		t->len += got;
	}
}

/* Reads the whole text, and looks whether it is what it should be. */
static void look(void)
{
	static struct text fresh;
	struct text former;
	const char *fault;
	char head[64];
	ssize_t got = 0;

	fresh.len = 0;
	/* The first text of a file is taken wherever the first read is. */
	if (!file.has_text && one_in(2)) {
		got = pread(file.fd, head, sizeof(head), 1);
		if (got != sizeof(head))
			mismatch("the first read returns %zd, should be %zu", got, sizeof(head));
	}
	if (one_in(2)) {
		read_rest(&fresh, true);
	} else {
		seek(0);
		read_rest(&fresh, false);
		file.position = fresh.len;
	}
	if (got && (fresh.len <= sizeof(head) || memcmp(head, fresh.bytes + 1, sizeof(head))))
		mismatch("the text that the first read has begun is another");
	if (file.has_text && !file.is_pending) {
		if (fresh.len != file.text.len || memcmp(fresh.bytes, file.text.bytes, fresh.len))
			mismatch("the text is another, but nothing was asked since");
	} else {
		fault = find_fault(&fresh, &file.query);
		if (fault) {
			print_query("in force is", &file.query);
			mismatch("the text is wrong: %s", fault);
		}
		if (file.has_text && uptime(&fresh) <= uptime(&file.text))
			mismatch("the text after a query is not newer than the one before");
		count.read++;
	}
	count.texts++;
	former = file.text;
	file.text = fresh;
	fresh = former;
	file.is_pending = false;
	file.has_text = true;
	/* Somewhere in it, for the next queries to find the reader there. */
	if (one_in(2))
		seek(below(file.text.len));
}

static void run_alone(void)
{
	static struct attempt attempt;

	file.fd = -1;
	reopen();
	while (count.queries < wanted_queries) {
		if (one_in(5000))
			reopen();
		if (one_in(300))
			seek(one_in(2) ? INT64_MAX - (int64_t)below(1000) : (int64_t)below(1UL << 40));
		make_attempt(&attempt, file.position);
		current = &attempt;
		try(file.fd, &attempt);
		if (attempt.n_accepted) {
			file.query = attempt.accepted[attempt.n_accepted - 1];
			file.is_pending = true;
		}
		if (moves(&attempt))
			file.position = 0;
		check_position();
		if (file.has_text && one_in(8))
			read_on();
		if (one_in(read_every))
			look();
	}
	look();
}

/* --- two threads ---------------------------------------------------------------------------- */

/*
 * All queries that the writer has had accepted, the one of the open file before. Of those begun,
 * not all may have taken effect; those done have.
 */
static struct query *history;
static atomic_size_t begun, done;
static atomic_bool is_over;
static atomic_ulong texts_read;

/* Waits until one more text was read. */
static void wait_for_reader(void)
{
	unsigned long before = texts_read;

	while (texts_read == before)
		sched_yield();
}

static void *write_on(void *unused)
{
	static struct attempt attempt;
	size_t room = wanted_queries + MAX_SEGMENTS + 1;

	(void)unused;
	state = seed;
	for (size_t last = 0; count.queries < wanted_queries;) {
		/* The other thread goes nowhere near the largest position. */
		make_attempt(&attempt, 0);
		current = &attempt;
		if (last + attempt.n_accepted < room)
			memcpy(history + last + 1, attempt.accepted,
			       attempt.n_accepted * sizeof(*history));
		last += attempt.n_accepted;
		begun = last;
		try(file.fd, &attempt);
		done = last;
		if (one_in(40))
			wait_for_reader();
		else if (one_in(10))
			sched_yield();
	}
	is_over = true;
	return NULL;
}

/* Whether a text answers one of the queries that were in force since. */
static void check_answer(const struct text *t, size_t since)
{
	const char *fault = NULL;
	size_t until = begun;

	for (size_t i = since; i <= until; i++) {
		fault = find_fault(t, &history[i]);
		if (!fault)
			break;
	}
	if (fault) {
		print_query("the last of them was", &history[until]);
		mismatch("the text answers none of %zu queries; of the last: %s", until - since + 1,
			 fault);
	}
	count.texts++;
	texts_read++;
}

static void read_by_pread(struct text *t)
{
	size_t since = done;

	t->len = 0;
	read_rest(t, true);
	check_answer(t, since);
}

/* As a text goes on until 0 is read again, and only this thread reads, nothing else may happen. */
static void read_old(const struct text *t)
{
	char bytes[512];

	for (int i = 0; i < 10; i++) {
		size_t at = 1 + below(t->len - 1), len = 1 + below(sizeof(bytes));
		size_t there = t->len - at < len ? t->len - at : len;
		ssize_t got = pread(file.fd, bytes, len, at);

		if (got != (ssize_t)there || memcmp(bytes, t->bytes + at, there))
			mismatch("pread of %zu at %zu returns %zd, or another text", len, at, got);
	}
}

/*
 * By the file's position, which each accepted query sets back: then the text begins again. A piece
 * goes on where the former one ended, or is the beginning.
 */
static void read_by_position(struct text *t)
{
	static const char beginning[] = "nsinspect 1 release=";
	size_t since = done;
	int restarts = 0;

	t->len = 0;
	if (lseek(file.fd, 0, SEEK_SET))
		mismatch("lseek to 0 fails: %m");
	for (;;) {
		size_t len = 64 + below(one_in(2) ? 500 : 10000), before = done;
		char *to = room(t, len);
		ssize_t got = read(file.fd, to, len);

		if (got < 0)
			mismatch("reading %zu bytes fails: %m", len);
		if (!got)
			break;
		if (t->len && got >= (ssize_t)strlen(beginning) &&
		    !memcmp(to, beginning, strlen(beginning))) {
			memmove(t->bytes, to, got);
			t->len = 0;
			/* Asked for before this read, or while it went on. */
			since = before;
			if (restarts++ == 100)
				return;
		}
		t->len += got;
	}
	check_answer(t, since);
}

static void seek_about(const struct text *t)
{
	for (int i = 0; i < 5; i++) {
		int64_t to = below(t->len + 100), got = lseek(file.fd, to, SEEK_SET);

		if (got != to)
			mismatch("lseek to %lld returns %lld", (long long)to, (long long)got);
		got = lseek(file.fd, 0, SEEK_CUR);
		if (got != to && got != 0)
			mismatch("the position is %lld, should be %lld or 0", (long long)got,
				 (long long)to);
		if (lseek(file.fd, -1, SEEK_SET) != -1 || errno != EINVAL ||
		    lseek(file.fd, 0, SEEK_END) != -1 || errno != EINVAL)
			mismatch("lseek to where nothing is does not fail with EINVAL");
	}
}

static void run_together(void)
{
	static struct text text;
	pthread_t writer;

	history = calloc(wanted_queries + MAX_SEGMENTS + 1, sizeof(*history));
	if (!history) {
		perror("fuzz: calloc");
		exit(2);
	}
	file.fd = open_file();
	state = seed + 1;
	errno = pthread_create(&writer, NULL, write_on, NULL);
	if (errno) {
		perror("fuzz: pthread_create");
		exit(2);
	}
	while (!is_over) {
		read_by_pread(&text);
		read_old(&text);
		seek_about(&text);
		read_by_position(&text);
	}
	pthread_join(writer, NULL);
	read_by_pread(&text);
	count.read = texts_read;
}

/* -------------------------------------------------------------------------------------------- */

static unsigned long long number_or_exit(const char *text)
{
	char *end;
	unsigned long long number = strtoull(text, &end, 10);

	if (!isdigit(*text) || *end) {
		fprintf(stderr, "fuzz: %s is no number\n", text);
		exit(2);
	}
	return number;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "queries", required_argument, NULL, 'q' },
		{ "read-every", required_argument, NULL, 'r' },
		{ "threads", no_argument, NULL, 't' },
		{ 0 },
	};
	bool is_threaded = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			seed = number_or_exit(optarg);
		else if (option == 'q')
			wanted_queries = number_or_exit(optarg);
		else if (option == 'r')
			read_every = number_or_exit(optarg);
		else if (option == 't')
			is_threaded = true;
		else
			return 2;
	}
	if (!read_every || optind != argc) {
		fprintf(stderr, "fuzz: see the top of fuzz.c for the options\n");
		return 2;
	}
	state = seed;
	look_around();
	map_memory();
	if (is_threaded)
		run_together();
	else
		run_alone();
	printf("fuzz: seed=%llu queries=%llu accepted=%llu refused=%llu too_long=%llu faulted=%llu "
	       "nothing=%llu read=%llu texts checked=%llu\n",
	       (unsigned long long)seed, count.queries, count.accepted, count.refused,
	       count.too_long, count.faulted, count.nothing, count.read, count.texts);
	return 0;
}
