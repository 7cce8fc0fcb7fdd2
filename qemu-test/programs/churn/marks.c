// SPDX-License-Identifier: GPL-2.0
/* Marks: processes that live throughout. */
#include "churn.h"

#define MARK_NAME "churn-mark"

__attribute__((noreturn)) static void be_mark(void)
{
	MUST(prctl(PR_SET_NAME, MARK_NAME));
	atomic_fetch_add(&shared->marks_ready, 1);
	wait_forever();
}

static void *thread_of_mark(void *data)
{
	if (data) {
		/* The last thread of its process, whose main thread is gone. */
		usleep(10000);
		atomic_fetch_add(&shared->marks_ready, 1);
	}
	wait_forever();
}

static void start_threads(int n, bool alone)
{
	pthread_t id;

	while (n--)
		if (pthread_create(&id, NULL, thread_of_mark, alone ? &id : NULL))
			FAIL("pthread_create");
}

/* A village: one process that has unshared all, and its child, which is in all of that. */
static void make_village(int extra)
{
	int pipe_fds[2];
	pid_t child;

	MUST(pipe2(pipe_fds, O_CLOEXEC));
	if (spawn(0)) {
		close(pipe_fds[1]);
		if (MUST(read(pipe_fds[0], &child, sizeof(child))) != sizeof(child))
			FAIL("no village");
		shared->villages[shared->n_villages++] = child;
		close(pipe_fds[0]);
		return;
	}
	die_with_parent();
	MUST(unshare(CLONE_NEWALL | extra));
	if (extra & CLONE_NEWUSER)
		map_root();
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	MUST(mount("village", "/tmp", "tmpfs", 0, NULL));
	MUST(mkdir("/tmp/bound", 0755));
	MUST(mount("/tmp", "/tmp/bound", NULL, MS_BIND, NULL));
	child = spawn(0);
	if (child == 0) {
		die_with_parent();
		be_mark();
	}
	MUST(write(pipe_fds[1], &child, sizeof(child)));
	be_mark();
}

#define PLAIN_MARKS 14
#define NESTED_MARKS 5

/* Returns how many there are. */
static int make_marks(void)
{
	for (int i = 0; i < PLAIN_MARKS; i++) {
		if (spawn(0))
			continue;
		die_with_parent();
		switch (i) {
		case 0:
			start_threads(3, false);
			break;
		case 1:
			MUST(prctl(PR_SET_NAME, MARK_NAME));
			start_threads(1, true);
			pthread_exit(NULL);
		case 2:
			MUST(setsid());
			break;
		case 3:
			MUST(syscall(SYS_setresuid, 1000, 0, 0));
			break;
		case 4:
			MUST(chroot("/proc"));
			break;
		}
		be_mark();
	}
	/* Pid namespaces, one in the other. */
	for (int level = 0; level < NESTED_MARKS; level++) {
		if (spawn(CLONE_NEWPID)) {
			if (level)
				be_mark();
			break;
		}
		die_with_parent();
		if (level == NESTED_MARKS - 1)
			be_mark();
	}
	make_village(CLONE_NEWUSER);
	make_village(0);
	return PLAIN_MARKS + NESTED_MARKS + 4;
}

static int compare_marks(const void *one, const void *other)
{
	return ((const struct mark *)one)->pid - ((const struct mark *)other)->pid;
}

/* Finds the marks by their names, which is how their parents' namespaces do not matter. */
static void find_marks(int made)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		FAIL("/proc");
	while ((entry = readdir(proc))) {
		char name[32] = "";
		int fd;

		if (!isdigit(*entry->d_name))
			continue;
		fd = open(PATH("/proc/%s/comm", entry->d_name), O_RDONLY | O_CLOEXEC);
		if (fd == -1)
			continue;
		if (read(fd, name, sizeof(name) - 1) > 0 && !strcmp(name, MARK_NAME "\n") &&
		    shared->n_marks < MAX_MARKS)
			shared->marks[shared->n_marks++].pid = atoi(entry->d_name);
		close(fd);
	}
	closedir(proc);
	if (shared->n_marks != made)
		FAIL("%d marks instead of %d", shared->n_marks, made);
	qsort(shared->marks, shared->n_marks, sizeof(*shared->marks), compare_marks);
}

static void wait_for_marks(int made)
{
	double deadline = now() + options.patience;

	while (atomic_load(&shared->marks_ready) < made) {
		if (now() > deadline)
			FAIL("%d of %d marks are ready", atomic_load(&shared->marks_ready), made);
		usleep(1000);
	}
}

/* Takes down what a text says of the marks, and of a mount namespace that nobody changes. */
static bool take_records(void)
{
	char prefix[64], *save, *line;
	int asleep = 0;

	shared->n_still = 0;
	read_fresh();
	snprintf(prefix, sizeof(prefix), "mount %lu ", shared->village_inums[1]);
	for (line = strtok_r(text.bytes, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, prefix, strlen(prefix))) {
			if (shared->n_still + strlen(line) + 2 > sizeof(shared->still))
				FAIL("too many mounts to begin with");
			shared->n_still += sprintf(shared->still + shared->n_still, "%s\n", line);
		}
		for (int i = 0; i < shared->n_marks && !strncmp(line, "task ", 5); i++) {
			struct mark *mark = &shared->marks[i];

			if (atoi(line + 5) != mark->pid)
				continue;
			if (strlen(line) >= LINE_BYTES)
				FAIL("a record of %zu bytes", strlen(line));
			strcpy(mark->line, line);
			/* Of one of them, only another thread is left. */
			asleep += strstr(line, " state=S ") || strstr(line, " state=Z ");
		}
	}
	return asleep == shared->n_marks && shared->n_still;
}

static void wait_for_records(void)
{
	pid_t village = shared->villages[shared->n_villages - 1];
	double deadline = now() + options.patience;

	for (int i = 0; i < NSES; i++) {
		struct stat status;

		MUST(stat(PATH("/proc/%d/ns/%s", village, ns_types[i].link), &status));
		shared->village_inums[i] = status.st_ino;
	}
	shared->village_upid = 1;
	while (!take_records()) {
		if (now() > deadline)
			FAIL("not all marks are there and asleep");
		usleep(10000);
	}
}

void settle_marks(void)
{
	int made = make_marks();

	wait_for_marks(made);
	find_marks(made);
	wait_for_records();
}

void end_marks(void)
{
	int status;

	for (int i = 0; i < shared->n_marks; i++)
		if (kill(shared->marks[i].pid, SIGKILL) && errno != ESRCH)
			fail(__LINE__, errno, "kill");
	while (waitpid(-1, &status, 0) > 0)
		;
	shared->n_marks = 0;
}
