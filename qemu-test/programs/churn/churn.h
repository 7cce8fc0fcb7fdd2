/* SPDX-License-Identifier: GPL-2.0 */
/*
 * churn - reads /proc/nsinspect while everything that it shows comes and goes
 *
 * Churners fork, thread, unshare, mount and so on, each with random numbers of its own that come
 * from one seed. Readers read and query meanwhile, and look at every text: whether it is well
 * formed and ends, and has each task once and each of the marks, processes that live throughout,
 * with the very record that it had before. With --reload, the module is unloaded and loaded all the
 * while. When the time is up, all namespaces, mounts and processes must be those of before.
 *
 *   main.c        options, workers, what comes of it
 *   base.c        failures, counts, random numbers, processes
 *   text.c        what a text must be like
 *   readers.c     those who read and ask, and whoever loads and unloads the module
 *   tasks.c       churners: processes and threads
 *   namespaces.c  churners: pid namespaces, and files that keep namespaces
 *   mounts.c      churners: mounts
 *   marks.c       the marks
 *   inventory.c   what there is before and after
 */
#ifndef CHURN_H
#define CHURN_H

#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROC_FILE "/proc/nsinspect"
#define MAX_MARKS 48
#define MAX_WORKERS 32
#define LINE_BYTES 2048
#define PATH_BYTES 320

/* Which namespace each is, and its link in /proc/PID/ns: an index into `ns_types`. */
enum ns_type { USER, MNT, UTS, IPC, NET, CGROUP, TIME, PID, NSES };

extern const struct ns_type_names {
	int flag;
	const char *link;
} ns_types[NSES];

/* All but CLONE_NEWUSER. */
#define CLONE_NEWALL                                                                               \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP |              \
	 CLONE_NEWTIME | CLONE_NEWPID)

/* What is counted. Those of namespaces come in the order of `ns_types`. */
#define COUNTERS(X)                                                                                \
	X(reads) X(bytes) X(queries) X(bad_queries) X(rereads) X(slow_reads) X(readers_killed)    \
	X(opens_enoent) X(reads_eio) X(texts_kept) X(mark_records) X(torn)                        \
	X(forks) X(orphans) X(execs) X(threads) X(creds) X(cgroups) X(chroots)                    \
	X(unshares_user) X(unshares_mnt) X(unshares_uts) X(unshares_ipc) X(unshares_net)          \
	X(unshares_cgroup) X(unshares_time) X(unshares_pid)                                       \
	X(setns_user) X(setns_mnt) X(setns_uts) X(setns_ipc) X(setns_net) X(setns_cgroup)         \
	X(setns_time) X(setns_pid)                                                                \
	X(mounts) X(umounts) X(moves) X(remounts) X(propagations) X(pivot_roots) X(renames)       \
	X(escapes) X(mount_points_removed) X(trees_cloned)                                        \
	X(descriptors) X(mappings) X(messages)                                                    \
	X(inits_killed) X(pidns_nested) X(ns_files_bound) X(ns_files_released)                    \
	X(insmods) X(rmmods)

enum counter {
#define X(name) C_##name,
	COUNTERS(X)
#undef X
	N_COUNTERS
};

struct mark {
	pid_t pid;
	char line[LINE_BYTES];
};

/* What all processes share. */
struct shared {
	atomic_bool stop;
	atomic_bool failed;
	char failure[4 * LINE_BYTES];
	atomic_ulong counts[N_COUNTERS];
	/* What each worker is at. */
	const char *_Atomic doing[MAX_WORKERS];
	atomic_int marks_ready;
	/* The marks by number, and the villages among them, which have namespaces of their own. */
	int n_marks;
	struct mark marks[MAX_MARKS];
	int n_villages;
	pid_t villages[8];
	/* The innermost number of the last village's process, and its namespaces. */
	pid_t village_upid;
	unsigned long village_inums[NSES];
	/* The mount records of the last village's mount namespace, which nobody changes. */
	size_t n_still;
	char still[32768];
};

extern struct shared *shared;

struct options {
	unsigned long seed;
	double seconds, patience;
	int readers, churners, keep;
	const char *reload, *dir, *texts;
	/* What must happen before the end. */
	int n_until;
	enum counter until[N_COUNTERS];
};

extern struct options options;

/* The number of this worker, and its directory. */
extern int worker;
extern char yard_dir[PATH_BYTES - 64];

/* --- base.c: failures ------------------------------------------------------------------------ */

/* Ends the run, with the reason. */
__attribute__((noreturn, format(printf, 3, 4))) void fail(int line, int error, const char *format,
							  ...);
#define FAIL(...) fail(__LINE__, 0, __VA_ARGS__)

/* The call's result; an error of it is an error of the run. */
long must(long result, const char *call, int line);
#define MUST(call) must((long)(call), #call, __LINE__)

#define GROW(array, used, room)                                                                    \
	do {                                                                                       \
		if ((used) >= (room)) {                                                            \
			(room) = (room) ? 2 * (room) : 256;                                        \
			(array) = realloc(array, (room) * sizeof(*(array)));                       \
			if (!(array))                                                              \
				FAIL("no memory");                                                 \
		}                                                                                  \
	} while (0)

/* --- base.c: counts, time, random numbers, names --------------------------------------------- */

void count(enum counter counter);
/* Counts one more of each namespace type in a set of CLONE_NEW* flags. */
void count_flags(enum counter first, int flags);
bool stopping(void);
double now(void);

extern uint64_t rng;
uint64_t next(void);
unsigned int below(unsigned int limit);
bool one_in(unsigned int n);
void nap(unsigned int max_us);
void random_name(char *name, size_t size);

__attribute__((format(printf, 2, 3))) char *path(char *to, const char *format, ...);
/* A name that lives as long as the block that it is made in. */
#define PATH(...) path((char[PATH_BYTES]){ 0 }, __VA_ARGS__)

/* --- base.c: what workers do ------------------------------------------------------------------ */

struct act {
	const char *name;
	void (*run)(void);
	/* How often it comes, by comparison with the others. */
	unsigned int weight;
};

/* First each of them once, another one first in each worker; then at random, until the end. */
void act(const struct act *acts, size_t n);

/* --- base.c: processes ----------------------------------------------------------------------- */

/* Forks, with random numbers of its own for the child; dies if that fails. */
pid_t spawn(unsigned long flags);
/* The same, but -1 if the process 1 of the caller's pid namespace, or of one around it, is dead. */
pid_t spawn_if_alive(unsigned long flags);
void check_status(pid_t pid, int status, int line);
void reap(pid_t pid, int line);
#define REAP(pid) reap(pid, __LINE__)
/* Waits for all children, and for those who became that because they had lost their parents. */
void reap_all(int line);
/* Kills a child. */
void end(pid_t pid, int line);
#define END(pid) end(pid, __LINE__)
void die_with_parent(void);
__attribute__((noreturn)) void wait_forever(void);
void tell(int fd);
/* Waits until the other side of a pipe, which the caller has closed, tells that it is ready. */
void await(int fd, int line);
#define AWAIT(fd) await(fd, __LINE__)
void write_file(const char *name, const char *text, int line);
#define WRITE_FILE(name, text) write_file(name, text, __LINE__)
/* For those who want to make files, or another namespace, in a user namespace of their own. */
void map_root(void);

/* --- text.c ---------------------------------------------------------------------------------- */

enum kind { HEADER, NS, TASK, THREAD, MOUNT, HOLD, LAST, N_KINDS };

/* What is wanted of a text, beyond that it is well formed. */
struct wanted {
	/* All marks are in it, or this one alone. */
	bool all_marks;
	const struct mark *only;
	/* All mounts are in it, as many as each mount namespace has. */
	bool all_mounts;
	/* There are no records but of these kinds; all if 0. */
	unsigned int kinds;
};

extern char complaint[3 * LINE_BYTES];

/* Whether a text is what it should be. What is wrong with it is in `complaint`. */
bool check_text(const char *bytes, size_t size, const struct wanted *wanted);

/* --- readers.c ------------------------------------------------------------------------------- */

/* What was read last. */
extern struct text {
	char *bytes;
	size_t size, room;
} text;

/* Reads to the end, in pieces of at most that size; false if the module went away. */
bool read_whole(int fd, unsigned int max_piece, unsigned int max_nap);
/* A fresh text, with a NUL in the place of its last newline. */
void read_fresh(void);
void run_reader(void);
void run_loader(void);

/* --- churners -------------------------------------------------------------------------------- */

/* A descriptor of one of a process's namespaces. */
int open_ns(pid_t pid, int type);
pid_t any_village(void);
/* What one who has just made these namespaces does in them. */
void in_new_namespaces(int flags);

void do_forks(void);
void do_threads(void);
void do_exec(void);
void do_unshare(void);
void do_setns(void);
void do_cgroup(void);
void do_init(void);
void do_nest(void);
void do_ns_files(void);
void do_mounts(void);
void do_pivot_root(void);

/* --- holders.c ------------------------------------------------------------------------------- */

void do_holders(void);

#define NS_FILES 6
void release_ns_file(int i);

/* --- marks.c, inventory.c -------------------------------------------------------------------- */

/* Makes the marks and waits until each is there and asleep, and known by its record. */
void settle_marks(void);
void end_marks(void);

struct inventory {
	char **items;
	size_t n, room;
};

/* What there is: namespaces, mounts and processes, each by what never changes. */
struct inventory take_inventory(void);
/* Namespaces are freed by workers of the kernel, and so are those that these refer to. */
void wait_for_inventory(const struct inventory *before);

#endif
