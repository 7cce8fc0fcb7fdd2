// SPDX-License-Identifier: GPL-2.0
/* What there is before and after. */
#include "churn.h"

static int compare_strings(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

struct inventory take_inventory(void)
{
	struct inventory all = { 0 };
	char *save, *line;

	read_fresh();
	for (line = strtok_r(text.bytes, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *cut = NULL;

		/* "ns TYPE INUM id=ID", "mount NS ID", and of a task all that says who it is. */
		if (!strncmp(line, "ns ", 3))
			cut = strstr(line, " owner=");
		else if (!strncmp(line, "mount ", 6))
			cut = strchr(strchr(line + 6, ' ') + 1, ' ');
		else if (!strncmp(line, "task ", 5) && strstr(line, " kind=user "))
			cut = strstr(line, " level=");
		if (!cut)
			continue;
		*cut = '\0';
		GROW(all.items, all.n, all.room);
		all.items[all.n++] = strdup(line);
	}
	qsort(all.items, all.n, sizeof(*all.items), compare_strings);
	return all;
}

static void forget(struct inventory *all)
{
	while (all->n)
		free(all->items[--all->n]);
	free(all->items);
	all->items = NULL;
}

static bool same(const struct inventory *before, const struct inventory *after)
{
	if (before->n != after->n)
		return false;
	for (size_t i = 0; i < before->n; i++)
		if (strcmp(before->items[i], after->items[i]))
			return false;
	return true;
}

/* Writes down what is in only one of both; the lists are sorted. */
static void differences(const struct inventory *before, const struct inventory *after)
{
	size_t i = 0, j = 0, used = 0;
	int lines = 0;

	*complaint = '\0';
	while ((i < before->n || j < after->n) && lines++ < 20) {
		int order = i == before->n ? 1 : j == after->n ? -1 :
			    strcmp(before->items[i], after->items[j]);
		const char *item = order < 0 ? before->items[i] : after->items[j];

		if (order)
			used += snprintf(complaint + used, sizeof(complaint) - used, "\n%s: %.200s",
					 order < 0 ? "lost" : "left over", item);
		else
			lines--;
		i += order <= 0;
		j += order >= 0;
	}
}

void wait_for_inventory(const struct inventory *before)
{
	double deadline = now() + options.patience;

	for (;;) {
		struct inventory after = take_inventory();

		if (same(before, &after)) {
			forget(&after);
			return;
		}
		if (now() > deadline) {
			differences(before, &after);
			FAIL("it is not as before, after %.0f s:%s", options.patience, complaint);
		}
		forget(&after);
		usleep(50000);
	}
}

