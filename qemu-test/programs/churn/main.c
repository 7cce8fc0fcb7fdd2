// SPDX-License-Identifier: GPL-2.0
/* The whole: options, workers, and what comes of it. */
#include "churn.h"

static const char *const counter_names[] = {
#define X(name) #name,
	COUNTERS(X)
#undef X
};

static const struct act acts[] = {
	{ "forks", do_forks, 8 },
	{ "threads", do_threads, 4 },
	{ "exec", do_exec, 2 },
	{ "unshare", do_unshare, 5 },
	{ "setns", do_setns, 5 },
	{ "cgroup", do_cgroup, 2 },
	{ "init", do_init, 4 },
	{ "nesting", do_nest, 2 },
	{ "namespace files", do_ns_files, 6 },
	{ "mounts", do_mounts, 4 },
	{ "pivot_root", do_pivot_root, 3 },
	{ "holders", do_holders, 3 },
};

static void run_churner(void)
{
	snprintf(yard_dir, sizeof(yard_dir), "%s/%d", options.dir, worker);
	MUST(mkdir(yard_dir, 0755));
	MUST(mkdir(PATH("%s/yard", yard_dir), 0755));
	for (int i = 0; i < NS_FILES; i++)
		close(MUST(open(PATH("%s/ns%d", yard_dir, i), O_WRONLY | O_CREAT, 0600)));
	act(acts, sizeof(acts) / sizeof(*acts));
	shared->doing[worker] = "the end";
	for (int i = 0; i < NS_FILES; i++)
		release_ns_file(i);
}

static unsigned long count_of_namespaces(void)
{
	unsigned long all = 0;

	for (int i = 0; i < NSES; i++)
		all += atomic_load(&shared->counts[C_unshares_user + i]);
	return all;
}

static pid_t start_worker(int number, uint64_t seed, void (*run)(void), const char *name)
{
	pid_t pid = MUST(fork());

	if (pid)
		return pid;
	worker = number;
	rng = seed;
	die_with_parent();
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	MUST(prctl(PR_SET_NAME, name));
	run();
	shared->doing[worker] = NULL;
	_exit(0);
}

static void wait_for_worker(pid_t pid, double deadline)
{
	int status;
	pid_t got;

	while ((got = MUST(waitpid(pid, &status, WNOHANG))) == 0) {
		if (now() > deadline) {
			char names[MAX_WORKERS * 64] = "";

			for (int i = 0; i < MAX_WORKERS; i++)
				if (shared->doing[i])
					sprintf(strchr(names, '\0'), " %d: %.50s;", i,
						shared->doing[i]);
			FAIL("workers do not end:%s", names);
		}
		usleep(2000);
	}
	check_status(pid, status, __LINE__);
}

#define REPORT_SECONDS 30

static void tell_progress(double left)
{
	printf("# %.0f s to go: %lu reads, %lu queries, %lu forks, %lu mounts, %lu namespaces\n", left,
	       atomic_load(&shared->counts[C_reads]), atomic_load(&shared->counts[C_queries]),
	       atomic_load(&shared->counts[C_forks]), atomic_load(&shared->counts[C_mounts]),
	       count_of_namespaces());
}

/* Which of --until has not happened yet; NULL if all have. */
static const char *missing(void)
{
	for (int i = 0; i < options.n_until; i++)
		if (!atomic_load(&shared->counts[options.until[i]]))
			return counter_names[options.until[i]];
	return NULL;
}

static void churn(void)
{
	pid_t pids[MAX_WORKERS];
	struct inventory before;
	int n = 0;
	double end_of_run, report;

	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	before = take_inventory();
	MUST(mkdir(options.dir, 0755));
	MUST(mount("churn", options.dir, "tmpfs", 0, NULL));
	MUST(mount(NULL, options.dir, NULL, MS_PRIVATE, NULL));
	settle_marks();
	memset(shared->counts, 0, sizeof(shared->counts));

	end_of_run = now() + options.seconds;
	for (int i = 0; i < options.readers; i++, n++)
		pids[n] = start_worker(n, next(), run_reader, "churn-reader");
	for (int i = 0; i < options.churners; i++, n++)
		pids[n] = start_worker(n, next(), run_churner, "churn-churner");
	if (options.reload) {
		pids[n] = start_worker(n, next(), run_loader, "churn-loader");
		n++;
	}
	worker = n;
	report = now() + REPORT_SECONDS;
	while (!stopping() && (now() < end_of_run || missing())) {
		if (now() > end_of_run + options.patience)
			FAIL("nothing has happened of %s", missing());
		usleep(10000);
		if (now() > report) {
			tell_progress(end_of_run - now());
			report += REPORT_SECONDS;
		}
	}
	atomic_store(&shared->stop, true);
	while (n--)
		wait_for_worker(pids[n], now() + options.patience);

	end_marks();
	MUST(umount2(options.dir, 0));
	MUST(rmdir(options.dir));
	wait_for_inventory(&before);
}

static int check_file(const char *name)
{
	static const struct wanted nothing = { .all_mounts = true };
	int fd = MUST(open(name, O_RDONLY | O_CLOEXEC));

	read_whole(fd, 1 << 20, 0);
	if (check_text(text.bytes, text.size, &nothing))
		return 0;
	puts(complaint);
	return 1;
}

__attribute__((noreturn)) static void usage(void)
{
	fputs("usage: churn [--seed N] [--seconds S] [--patience S] [--readers N] [--churners N]\n"
	      "             [--until COUNTER]... [--dir DIR] [--texts DIR] [--keep N]\n"
	      "             [--reload FILE.ko]\n"
	      "       churn --check FILE\n"
	      "--until   go on until this is not 0, for --patience seconds more at most\n"
	      "--dir     is made, and removed\n"
	      "--texts   where to put some of the texts, at most --keep of each reader\n"
	      "--reload  unload the module and load this file, all the while\n"
	      "--check   only look whether this is a whole, well-formed text\n",
	      stderr);
	exit(2);
}

static enum counter find_counter(const char *name)
{
	for (int i = 0; i < N_COUNTERS; i++)
		if (!strcmp(name, counter_names[i]))
			return i;
	fprintf(stderr, "churn: there is no counter %s\n", name);
	usage();
}

static const struct option long_options[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "seconds", required_argument, NULL, 't' },
	{ "patience", required_argument, NULL, 'p' },
	{ "until", required_argument, NULL, 'u' },
	{ "readers", required_argument, NULL, 'r' },
	{ "churners", required_argument, NULL, 'c' },
	{ "keep", required_argument, NULL, 'k' },
	{ "dir", required_argument, NULL, 'd' },
	{ "texts", required_argument, NULL, 'x' },
	{ "reload", required_argument, NULL, 'l' },
	{ "check", required_argument, NULL, 'f' },
	{ "nothing", no_argument, NULL, 'n' },
	{ 0 },
};

int main(int argc, char **argv)
{
	const char *check = NULL;
	pid_t pid;
	int option, status;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 's': options.seed = strtoul(optarg, NULL, 10); break;
		case 't': options.seconds = strtod(optarg, NULL); break;
		case 'p': options.patience = strtod(optarg, NULL); break;
		case 'u':
			if (options.n_until == N_COUNTERS)
				usage();
			options.until[options.n_until++] = find_counter(optarg);
			break;
		case 'r': options.readers = atoi(optarg); break;
		case 'c': options.churners = atoi(optarg); break;
		case 'k': options.keep = atoi(optarg); break;
		case 'd': options.dir = optarg; break;
		case 'x': options.texts = optarg; break;
		case 'l': options.reload = optarg; break;
		case 'f': check = optarg; break;
		case 'n': _exit(0);
		default: usage();
		}
	}
	if (optind < argc || options.readers < 0 || options.churners < 0 ||
	    options.readers + options.churners + 2 > MAX_WORKERS || strlen(options.dir) > 200)
		usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	rng = options.seed;
	/* In a child, so that whatever ends it, there is somebody to tell why. */
	pid = fork();
	if (pid == 0) {
		die_with_parent();
		if (check)
			_exit(fflush(stdout) || check_file(check));
		churn();
		_exit(0);
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid) {
		perror("fork");
		return 1;
	}
	if (!check)
		for (int i = 0; i < N_COUNTERS; i++)
			printf("%s=%lu\n", counter_names[i], atomic_load(&shared->counts[i]));
	if (atomic_load(&shared->failed)) {
		fprintf(stderr, "churn --seed %lu: %s\n", options.seed, shared->failure);
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
