// SPDX-License-Identifier: GPL-2.0
/* What a text of /proc/nsinspect must be like. */
#include "churn.h"

/*
 * The keys of each kind of record, in their order. After each: # a number, ? a number or -, ~ a
 * number with a sign, $ a string, % numbers, @ numbers in pid namespaces.
 */
static const char *const task_keys[] = {
	"comm$", "level#", "upid@", "pgid%", "sid%", "ppid#", "tracer?", "uid#", "gid#", "euid#",
	"egid#", "caps$", "seccomp#", "nnp#", "threads#", "state$", "kind$", "start#", "pidns?",
	"pid_for_children?", "mntns?", "utsns?", "ipcns?", "netns?", "cgroupns?", "timens?",
	"time_for_children?", "userns?", "chroot?", "root$", "rootns?", "cwd$", "cwdns?", "cgroup$",
	"cgroup_id#", NULL,
};
static const char *const thread_keys[] = {
	"tgid#", "comm$", "level#", "upid@", "tracer?", "uid#", "gid#", "euid#", "egid#", "caps$",
	"seccomp#", "nnp#", "state$", "start#", "pidns?", "pid_for_children?", "mntns?", "utsns?",
	"ipcns?", "netns?", "cgroupns?", "timens?", "time_for_children?", "userns?", "chroot?",
	"root$", "rootns?", "cwd$", "cwdns?", "cgroup$", "cgroup_id#", NULL,
};
static const char *const end_keys[] = { "ns#", "tasks#", "threads#", "mounts#", "holds#", NULL };

#define NS_KEYS "id#", "owner?", "tasks?", "refs#", "active#"

static const struct {
	const char *type;
	const char *keys[16];
} ns_keys[] = {
	{ "pid", { NS_KEYS, "level#", "parent?", "reaper?", "pids#", "pid_max#", "dying#" } },
	{ "user", { NS_KEYS, "level#", "parent?", "uid#", "uid_map$", "gid_map$" } },
	{ "mnt", { NS_KEYS, "mounts#", "pending#", "event#", "origin?", "root?" } },
	{ "uts", { NS_KEYS, "nodename$", "domainname$" } },
	{ "ipc", { NS_KEYS } },
	{ "net", { NS_KEYS } },
	{ "cgroup", { NS_KEYS, "root$" } },
	{ "time", { NS_KEYS, "monotonic~", "boottime~" } },
};

static const char *const kinds[N_KINDS] = { "nsinspect", "ns", "task", "thread", "mount", "hold",
					    "end" };

char complaint[3 * LINE_BYTES];

#define COMPLAIN(...)                                                                              \
	({                                                                                         \
		snprintf(complaint, sizeof(complaint), __VA_ARGS__);                               \
		false;                                                                             \
	})

/* Takes the next field, which ends at a blank or the line's end. */
static char *field_of(char **rest)
{
	char *field = *rest, *blank;

	if (!field)
		return NULL;
	blank = strchr(field, ' ');
	if (blank)
		*blank++ = '\0';
	*rest = blank;
	return field;
}

static bool is_number(const char *value)
{
	size_t digits = strspn(value, "0123456789");

	return digits && !value[digits] && (digits == 1 || *value != '0');
}

/* Whether a value is a list of numbers; if `in_ns`, of each with the pid namespace where it is valid. */
static bool is_list(const char *value, bool in_ns)
{
	for (;;) {
		char item[64], *ns = NULL;
		const size_t length = strcspn(value, ",");

		if (length >= sizeof(item))
			return false;
		*stpncpy(item, value, length) = '\0';
		if (in_ns) {
			ns = strchr(item, '@');
			if (!ns)
				return false;
			*ns++ = '\0';
		}
		/* Of a namespace that is gone the number can be that of another one. */
		if (!is_number(item) || (ns && strcmp(ns, "-") && !is_number(ns)))
			return false;
		if (!value[length])
			return true;
		value += length + 1;
	}
}

static bool is_value(const char *value, char type)
{
	switch (type) {
	case '#':
		return is_number(value);
	case '?':
		return !strcmp(value, "-") || is_number(value);
	case '~':
		return is_number(value + (*value == '-'));
	case '%':
	case '@':
		return is_list(value, type == '@');
	}
	for (; *value; value++)
		if (*value < '!' || *value > '~')
			return false;
	return true;
}

/* Takes the mark off the end of a record that has it; whether it has. */
static bool take_mark(char *rest, const char *mark)
{
	const size_t length = rest ? strlen(rest) : 0, size = strlen(mark);

	if (length < size || strcmp(rest + length - size, mark))
		return false;
	rest[length - size] = '\0';
	return true;
}

/* Checks that the rest of a line is these keys with their values; calls `use` with each. */
static bool check_keys(char *rest, const char *const *keys, void (*use)(int, const char *, void *),
		       void *data)
{
	for (int i = 0; keys[i]; i++) {
		size_t length = strlen(keys[i]) - 1;
		char *field = field_of(&rest);

		if (!field || strncmp(field, keys[i], length) || field[length] != '=')
			return COMPLAIN("%.100s where %.*s= should be", field ?: "nothing",
					(int)length, keys[i]);
		if (!is_value(field + length + 1, keys[i][length]))
			return COMPLAIN("a bad value: %.100s", field);
		if (use)
			use(i, field + length + 1, data);
	}
	return rest ? COMPLAIN("%.100s after the last key", rest) : true;
}

struct ns_mounts {
	unsigned long inum, wanted, seen;
	bool torn;
};

/* What is gathered from a text while it is checked. */
struct checked {
	unsigned long records[N_KINDS], ends[5], last_id;
	unsigned long *pids, *tids, tgid;
	size_t room_pids, room_tids;
	struct ns_mounts *mounts;
	size_t n_mounts, room_mounts, at;
	size_t still;
	bool seen[MAX_MARKS];
};

static void keep_end(int key, const char *value, void *data)
{
	((struct checked *)data)->ends[key] = strtoul(value, NULL, 10);
}

struct ns_values {
	unsigned long id, mounts;
};

static void keep_ns(int key, const char *value, void *data)
{
	struct ns_values *values = data;

	if (key == 0)
		values->id = strtoul(value, NULL, 10);
	else if (key == 5)
		values->mounts = strtoul(value, NULL, 10);
}

static void keep_upid(int key, const char *value, void *data)
{
	if (key == 2)
		*(unsigned long *)data = strtoul(value, NULL, 10);
}

static bool check_ns(struct checked *checked, char *rest)
{
	char *type = field_of(&rest), *inum = field_of(&rest);
	struct ns_values values = { 0 };
	bool torn = false;
	size_t i = 0;

	while (type && i < NSES && strcmp(ns_keys[i].type, type))
		i++;
	if (!inum || i == NSES || !is_number(inum))
		return COMPLAIN("no such namespace");
	/* Its mounts changed each time that they were listed. */
	if (!strcmp(type, "mnt") && take_mark(rest, " torn=1")) {
		if (strtoul(inum, NULL, 10) == shared->village_inums[1])
			return COMPLAIN("torn, though nobody mounts there");
		torn = true;
		count(C_torn);
	}
	if (!check_keys(rest, ns_keys[i].keys, keep_ns, &values))
		return false;
	if (values.id <= checked->last_id)
		return COMPLAIN("id %lu after id %lu", values.id, checked->last_id);
	checked->last_id = values.id;
	if (!strcmp(type, "mnt")) {
		GROW(checked->mounts, checked->n_mounts, checked->room_mounts);
		checked->mounts[checked->n_mounts++] =
			(struct ns_mounts){ strtoul(inum, NULL, 10), values.mounts, 0, torn };
	}
	return true;
}

static bool check_task(struct checked *checked, char *rest, const char *line, unsigned long *number)
{
	char *pid = field_of(&rest), *via;
	unsigned long first = 0;

	if (!pid || !is_number(pid))
		return COMPLAIN("no pid");
	if (rest && (strstr(rest, " unlisted=") || strstr(rest, " unnumbered=")))
		return COMPLAIN("a task that hides");
	/* There are no blanks in values. */
	/* A thread is elsewhere. */
	take_mark(rest, " mixed=1");
	via = rest ? strstr(rest, " via=") : NULL;
	if (via) {
		if (!is_number(via + strlen(" via=")))
			return COMPLAIN("no thread: %.100s", via);
		*via = '\0';
	}
	if (!check_keys(rest, task_keys, keep_upid, &first))
		return false;
	*number = strtoul(pid, NULL, 10);
	if (first != *number)
		return COMPLAIN("the first upid is %lu", first);
	for (int i = 0; i < shared->n_marks; i++) {
		struct mark *mark = &shared->marks[i];

		if ((unsigned long)mark->pid != *number)
			continue;
		checked->seen[i] = true;
		if (*mark->line && strcmp(mark->line, line))
			return COMPLAIN("a record that should be\n%s\nbut is\n%s", mark->line,
					line);
		count(C_mark_records);
	}
	return true;
}

static bool check_thread(char *rest, unsigned long *number)
{
	char *tid = field_of(&rest);
	unsigned long first = 0;

	if (!tid || !is_number(tid))
		return COMPLAIN("no tid");
	if (!check_keys(rest, thread_keys, keep_upid, &first))
		return false;
	*number = strtoul(tid, NULL, 10);
	return true;
}

static bool check_mount(struct checked *checked, const struct wanted *wanted, char *rest,
			const char *line)
{
	char *ns = field_of(&rest), *id = field_of(&rest), *reach = field_of(&rest);
	unsigned long inum;
	unsigned int major, minor, old_id, parent;
	int used = 0;
	size_t length = strlen(line);

	if (reach) {
		take_mark(reach, ",copy");
		take_mark(reach, ",locked");
	}
	if (!reach || !is_number(ns) || !is_number(id))
		return COMPLAIN("no mount namespace or id");
	if (strcmp(reach, "root") && strcmp(reach, "over") && strcmp(reach, "covered") &&
	    strcmp(reach, "outside"))
		return COMPLAIN("no such reach");
	if (!rest || sscanf(rest, "%u %u %u:%u %n", &old_id, &parent, &major, &minor, &used) != 4 ||
	    !used || !strstr(rest, " - "))
		return COMPLAIN("no line of mountinfo");
	inum = strtoul(ns, NULL, 10);
	if (checked->n_mounts) {
		while (checked->at < checked->n_mounts && checked->mounts[checked->at].inum != inum)
			checked->at++;
		if (checked->at == checked->n_mounts)
			return COMPLAIN("a mount namespace that has no record, or had its turn");
		checked->mounts[checked->at].seen++;
	}
	if (wanted->all_mounts && shared->village_inums[1] == inum) {
		if (shared->n_still && (checked->still + length >= shared->n_still ||
					memcmp(shared->still + checked->still, line, length) ||
					shared->still[checked->still + length] != '\n'))
			return COMPLAIN("a mount that nobody made, but should be\n%.*s",
					(int)strcspn(shared->still + checked->still, "\n"),
					shared->still + checked->still);
		checked->still += length + 1;
	}
	return true;
}

static bool check_header(char *rest)
{
	static const char *const keys[] = { "release$", "uptime#", NULL };
	char *number = field_of(&rest);

	if (!number || strcmp(number, "1"))
		return COMPLAIN("not format 1");
	return check_keys(rest, keys, NULL, NULL);
}

static int compare_numbers(const void *one, const void *other)
{
	unsigned long a = *(const unsigned long *)one, b = *(const unsigned long *)other;

	return (a > b) - (a < b);
}

static bool each_once(unsigned long *numbers, size_t n, const char *what)
{
	qsort(numbers, n, sizeof(*numbers), compare_numbers);
	for (size_t i = 1; i < n; i++)
		if (numbers[i] == numbers[i - 1])
			return COMPLAIN("two records of %s %lu", what, numbers[i]);
	return true;
}

static bool check_whole(struct checked *checked, const struct wanted *wanted)
{
	static const enum kind counted[] = { NS, TASK, THREAD, MOUNT, HOLD };
	unsigned long *records = checked->records;

	if (!records[HEADER] || !records[LAST])
		return COMPLAIN("no header, or no end");
	for (int i = 0; i < 5; i++) {
		if (checked->ends[i] != records[counted[i]])
			return COMPLAIN("the end says %lu of kind %s, there are %lu",
					checked->ends[i], kinds[counted[i]], records[counted[i]]);
		if (wanted->kinds && records[counted[i]] && !(wanted->kinds & 1 << counted[i]))
			return COMPLAIN("records of kind %s, which nobody asked for",
					kinds[counted[i]]);
	}
	if (!each_once(checked->pids, records[TASK], "task") ||
	    !each_once(checked->tids, records[THREAD], "thread"))
		return false;
	for (int i = 0; i < shared->n_marks; i++) {
		const struct mark *mark = &shared->marks[i];

		if ((wanted->all_marks || wanted->only == mark) && !checked->seen[i])
			return COMPLAIN("no record of process %d, which lives throughout:\n%s",
					mark->pid, mark->line);
	}
	if (wanted->only && records[TASK] != 1)
		return COMPLAIN("%lu tasks instead of one", records[TASK]);
	if (!wanted->all_mounts)
		return true;
	for (size_t i = 0; i < checked->n_mounts; i++)
		if (!checked->mounts[i].torn && checked->mounts[i].seen != checked->mounts[i].wanted)
			return COMPLAIN("mount namespace %lu with %lu mounts, but %lu records",
					checked->mounts[i].inum, checked->mounts[i].wanted,
					checked->mounts[i].seen);
	if (checked->still != shared->n_still)
		return COMPLAIN("mounts of a mount namespace that nobody changes are missing");
	return true;
}

/* The part that all holds have, and that the rest is keys with values. */
static bool check_hold(char *rest)
{
	static const char *const words[] = {
		"fd", "pidfd", "socket", "cred", "fs", "mount", "child", "thread", "for_children",
		"zombie", "unknown", "blockdev", "cwd", "root", "exe", "map",
	};
	char *what = field_of(&rest), *held = field_of(&rest), *by = field_of(&rest), *field;
	size_t word = 0;

	if (!what || !held || !by || strncmp(by, "by=", 3))
		return COMPLAIN("a hold that is too short");
	if (!strcmp(what, "ns") ? !is_number(held) : strcmp(what, "dev") || !strchr(held, ':'))
		return COMPLAIN("nothing that can be held: %.20s %.40s", what, held);
	while (word < sizeof(words) / sizeof(*words) && strcmp(words[word], by + 3))
		word++;
	if (word == sizeof(words) / sizeof(*words))
		return COMPLAIN("held by nothing that is known: %.40s", by);
	while ((field = field_of(&rest))) {
		const char *value = strchr(field, '=');

		if (!value || !is_value(value, '$'))
			return COMPLAIN("a bad field: %.100s", field);
	}
	return true;
}

static bool check_line(struct checked *checked, const struct wanted *wanted, char *line,
		       enum kind *last)
{
	static char whole[1 << 19];
	char *rest = line, *word;
	unsigned long number;
	int kind = 0;

	if (strlen(line) >= sizeof(whole))
		return COMPLAIN("a line of %zu bytes", strlen(line));
	strcpy(whole, line);
	word = field_of(&rest);
	while (kind < N_KINDS && strcmp(kinds[kind], word))
		kind++;
	if (kind == N_KINDS)
		return COMPLAIN("no kind of record");
	if (kind < (int)*last || ((kind == HEADER || kind == LAST) && checked->records[kind]))
		return COMPLAIN("a record in the wrong place");
	if (kind != HEADER && !checked->records[HEADER])
		return COMPLAIN("no header before it");
	*last = kind;
	GROW(checked->pids, checked->records[TASK], checked->room_pids);
	GROW(checked->tids, checked->records[THREAD], checked->room_tids);
	checked->records[kind]++;
	switch ((enum kind)kind) {
	case HEADER:
		return check_header(rest);
	case NS:
		return check_ns(checked, rest);
	case TASK:
		if (!check_task(checked, rest, whole, &number))
			return false;
		checked->pids[checked->records[TASK] - 1] = number;
		return true;
	case THREAD:
		if (!check_thread(rest, &number))
			return false;
		checked->tids[checked->records[THREAD] - 1] = number;
		return true;
	case MOUNT:
		return check_mount(checked, wanted, rest, whole);
	case HOLD:
		return check_hold(rest);
	default:
		return check_keys(rest, end_keys, keep_end, checked);
	}
}

bool check_text(const char *bytes, size_t size, const struct wanted *wanted)
{
	static struct checked checked;
	struct checked empty = {
		.pids = checked.pids, .room_pids = checked.room_pids,
		.tids = checked.tids, .room_tids = checked.room_tids,
		.mounts = checked.mounts, .room_mounts = checked.room_mounts,
	};
	char *text = malloc(size + 1), *line = text;
	enum kind last = HEADER;
	bool good = false;

	checked = empty;
	if (!text)
		FAIL("no memory");
	memcpy(text, bytes, size);
	text[size] = '\0';
	if (strlen(text) != size || !size || text[size - 1] != '\n') {
		COMPLAIN("a text of %zu bytes that does not end, but in %.100s", size,
			 size > 100 ? text + size - 100 : text);
		goto out;
	}
	for (unsigned int number = 1; *line; number++) {
		size_t length = strcspn(line, "\n"), used;

		line[length] = '\0';
		if (!check_line(&checked, wanted, line, &last)) {
			used = strlen(complaint);
			length = strcspn(bytes + (line - text), "\n");
			snprintf(complaint + used, sizeof(complaint) - used, ", in line %u: %.*s",
				 number, (int)(length < 1500 ? length : 1500),
				 bytes + (line - text));
			goto out;
		}
		line += length + 1;
	}
	good = check_whole(&checked, wanted);
out:
	free(text);
	return good;
}

