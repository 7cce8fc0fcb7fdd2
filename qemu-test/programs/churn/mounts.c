// SPDX-License-Identifier: GPL-2.0
/* Churners: mounts. */
#include "churn.h"

#define POINTS 6
#define NAMES 3
#define MAX_DEPTH 3

/*
 * A tmpfs with directories d0, d1 ..., which are renamed now and then, and in each a mount point,
 * on which mounts are stacked.
 */
struct yard {
	char dir[PATH_BYTES];
	/* There was a shared mount; a tree of several mounts has been detached since. */
	bool has_shared, is_uncertain;
	struct point {
		int name, depth;
		struct layer {
			bool tmpfs, shared, unbindable;
			/* How many mounts it is, with those that came along. */
			int weight;
		} stack[MAX_DEPTH];
	} points[POINTS];
};

static char *parent_of(char *to, const struct yard *yard, int i)
{
	switch (yard->points[i].name) {
	case 0:
		return path(to, "%s/d%d", yard->dir, i);
	case 1:
		return path(to, "%s/another name, \t%d", yard->dir, i);
	default:
		return path(to, "%s/deep/er/d%d", yard->dir, i);
	}
}

#define PARENT(yard, i) parent_of((char[PATH_BYTES]){ 0 }, yard, i)
#define POINT(yard, i) strcat(PARENT(yard, i), "/p")

/*
 * Whether a call on a point has succeeded. It may fail if the yard no longer knows what is there: who
 * detaches a tree with a copy of a shared mount also unmounts, from the original, whatever is mounted
 * on both.
 */
static bool done(const struct yard *yard, struct point *point, int result, const char *call, int line)
{
	if (result != -1)
		return true;
	if (errno != EINVAL || !yard->is_uncertain)
		fail(line, errno, "%s", call);
	point->depth = 0;
	return false;
}

#define DONE(yard, point, call) done(yard, point, call, #call, __LINE__)

static int weight_of(const struct point *point)
{
	int weight = 0;

	for (int i = 0; i < point->depth; i++)
		weight += point->stack[i].weight;
	return weight;
}

/* What stands on a shared mount is shared as well. */
static void put_on(struct point *point, struct layer layer)
{
	layer.shared |= point->depth && point->stack[point->depth - 1].shared;
	point->stack[point->depth++] = layer;
}

static void push(struct point *point, bool tmpfs, int weight)
{
	put_on(point, (struct layer){ .tmpfs = tmpfs, .weight = weight });
	count(C_mounts);
}

static void yard_umount(struct yard *yard, int i)
{
	struct point *point = &yard->points[i];
	bool lazily;

	if (!point->depth)
		return;
	point->depth--;
	/* Where it is not certain what is there, it may have mounts on it. */
	lazily = point->stack[point->depth].weight > 1 || yard->is_uncertain || one_in(3);
	if (!DONE(yard, point, umount2(POINT(yard, i), lazily ? MNT_DETACH : 0)))
		return;
	if (point->stack[point->depth].weight > 1)
		yard->is_uncertain = yard->has_shared;
	count(C_umounts);
}

static void yard_bind(struct yard *yard, int i, int j)
{
	struct point *point = &yard->points[i];
	int weight = weight_of(&yard->points[j]) + 1;
	bool recursive = weight <= 6 && i != j;

	MUST(mount(PARENT(yard, j), POINT(yard, i), NULL, MS_BIND | (recursive ? MS_REC : 0),
		   NULL));
	push(point, false, recursive ? weight : 1);
}

static void yard_clone_tree(struct yard *yard, int i, int j)
{
	struct point *point = &yard->points[i];
	int tree = MUST(syscall(SYS_open_tree, AT_FDCWD, PARENT(yard, j),
				OPEN_TREE_CLONE | O_CLOEXEC));

	count(C_trees_cloned);
	nap(500);
	if (one_in(2)) {
		MUST(syscall(SYS_move_mount, tree, "", AT_FDCWD, POINT(yard, i),
			     MOVE_MOUNT_F_EMPTY_PATH));
		push(point, false, 1);
		count(C_moves);
	}
	close(tree);
}

static void yard_move(struct yard *yard, int i, int j)
{
	struct point *from = &yard->points[i], *to = &yard->points[j];
	struct layer *top = &from->stack[from->depth - 1];

	/* What stands on a shared mount must stay, and an unbindable one must not get there. */
	if (from->depth > 1 && top[-1].shared)
		return;
	if (top->unbindable && to->depth && to->stack[to->depth - 1].shared)
		return;
	if (!DONE(yard, from, mount(POINT(yard, i), POINT(yard, j), NULL, MS_MOVE, NULL)))
		return;
	put_on(to, *top);
	from->depth--;
	count(C_moves);
}

static void yard_propagate(struct yard *yard, int i)
{
	static const unsigned long kinds[] = { MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE };
	unsigned long kind = kinds[below(4)];
	struct layer *top = &yard->points[i].stack[yard->points[i].depth - 1];

	if (!DONE(yard, &yard->points[i], mount(NULL, POINT(yard, i), NULL, kind, NULL)))
		return;
	yard->has_shared |= kind == MS_SHARED;
	top->shared = kind == MS_SHARED;
	/* A slave stays unbindable. */
	if (kind != MS_SLAVE)
		top->unbindable = kind == MS_UNBINDABLE;
	count(C_propagations);
}

static void yard_remount(struct yard *yard, int i)
{
	struct point *point = &yard->points[i];
	unsigned long flags = next() & (MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY);
	char *size = PATH("size=%uk", 64 + below(1000));

	if (point->stack[point->depth - 1].tmpfs && one_in(2)) {
		if (!DONE(yard, point, mount(NULL, POINT(yard, i), NULL, MS_REMOUNT, size)))
			return;
	} else {
		flags |= MS_REMOUNT | MS_BIND;
		if (!DONE(yard, point, mount(NULL, POINT(yard, i), NULL, flags, NULL)))
			return;
	}
	count(C_remounts);
}

static void yard_rename(struct yard *yard, int i)
{
	struct point *point = &yard->points[i];
	char *from = PARENT(yard, i);
	int name = point->name;

	point->name = (name + 1 + below(NAMES - 1)) % NAMES;
	if (rename(from, PARENT(yard, i)) == 0) {
		count(C_renames);
		return;
	}
	/* It is bound somewhere, and another mount stands on that one. */
	if (errno != EBUSY)
		fail(__LINE__, errno, "rename %s", from);
	point->name = name;
}

/* A mount below a directory that is moved out of the bind mount through which it was mounted. */
static void yard_escape(struct yard *yard)
{
	char *inside = PATH("%s/view/sub/p", yard->dir);

	MUST(mkdir(PATH("%s/tree/sub", yard->dir), 0755));
	MUST(mkdir(PATH("%s/tree/sub/p", yard->dir), 0755));
	MUST(mount(PATH("%s/tree", yard->dir), PATH("%s/view", yard->dir), NULL, MS_BIND, NULL));
	MUST(mount("churn", inside, "tmpfs", 0, NULL));
	atomic_fetch_add(&shared->counts[C_mounts], 2);
	MUST(rename(PATH("%s/tree/sub", yard->dir), PATH("%s/escaped", yard->dir)));
	nap(2000);
	MUST(umount2(PATH("%s/view", yard->dir), MNT_DETACH));
	MUST(rmdir(PATH("%s/escaped/p", yard->dir)));
	MUST(rmdir(PATH("%s/escaped", yard->dir)));
	count(C_umounts);
	count(C_escapes);
}

/* A mount point that is removed from outside its mount namespace, and the mount with it. */
static void yard_remove_point(struct yard *yard)
{
	char *point = PATH("%s/doomed", yard->dir);
	int pipe_fds[2];
	pid_t pid;

	MUST(mkdir(point, 0755));
	MUST(pipe2(pipe_fds, O_CLOEXEC));
	pid = spawn(0);
	if (pid == 0) {
		die_with_parent();
		MUST(unshare(CLONE_NEWNS));
		count(C_unshares_mnt);
		MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		MUST(mount("churn", point, "tmpfs", 0, NULL));
		count(C_mounts);
		tell(pipe_fds[1]);
		wait_forever();
	}
	close(pipe_fds[1]);
	AWAIT(pipe_fds[0]);
	close(pipe_fds[0]);
	MUST(rmdir(point));
	count(C_mount_points_removed);
	nap(1000);
	END(pid);
}

static void play_mounts(const char *dir, int steps)
{
	static struct yard yard;

	memset(&yard, 0, sizeof(yard));
	strcpy(yard.dir, dir);
	MUST(mount("churn", dir, "tmpfs", 0, "size=1m"));
	MUST(mount(NULL, dir, NULL, MS_PRIVATE, NULL));
	count(C_mounts);
	MUST(mkdir(PATH("%s/deep", dir), 0755));
	MUST(mkdir(PATH("%s/deep/er", dir), 0755));
	MUST(mkdir(PATH("%s/tree", dir), 0755));
	MUST(mkdir(PATH("%s/view", dir), 0755));
	for (int i = 0; i < POINTS; i++) {
		MUST(mkdir(PARENT(&yard, i), 0755));
		MUST(mkdir(POINT(&yard, i), 0755));
	}
	while (steps-- && !stopping()) {
		int i = below(POINTS), j = below(POINTS);
		struct point *point = &yard.points[i];
		bool has_room = point->depth < MAX_DEPTH;

		switch (below(12)) {
		case 0:
		case 1:
			if (has_room) {
				MUST(mount("churn", POINT(&yard, i), "tmpfs", 0, "size=64k"));
				push(point, true, 1);
			}
			break;
		case 2:
			if (has_room)
				yard_bind(&yard, i, j);
			break;
		case 3:
			if (has_room)
				yard_clone_tree(&yard, i, j);
			break;
		case 4:
		case 5:
			yard_umount(&yard, i);
			break;
		case 6:
			if (point->depth && i != j && yard.points[j].depth < MAX_DEPTH)
				yard_move(&yard, i, j);
			break;
		case 7:
			if (point->depth)
				yard_remount(&yard, i);
			break;
		case 8:
			if (point->depth)
				yard_propagate(&yard, i);
			break;
		case 9:
		case 10:
			yard_rename(&yard, i);
			break;
		default:
			if (one_in(2))
				yard_escape(&yard);
			else
				yard_remove_point(&yard);
		}
	}
	if (one_in(2))
		for (int i = 0; i < POINTS; i++)
			while (yard.points[i].depth)
				yard_umount(&yard, i);
	MUST(umount2(dir, MNT_DETACH));
	count(C_umounts);
}

/* Enters a mount namespace, and now and then a user namespace, where nothing gets out. */
static void unshare_mounts(void)
{
	int flags = CLONE_NEWNS | (one_in(4) ? CLONE_NEWUSER : 0);

	MUST(unshare(flags));
	count_flags(C_unshares_user, flags);
	if (flags & CLONE_NEWUSER)
		map_root();
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

void do_mounts(void)
{
	char *dir = PATH("%s/yard", yard_dir);

	if (one_in(2)) {
		play_mounts(dir, 40);
		return;
	}
	if (spawn(0) == 0) {
		unshare_mounts();
		play_mounts(dir, 25);
		_exit(0);
	}
	reap_all(__LINE__);
}

void do_pivot_root(void)
{
	if (spawn(0) == 0) {
		char *root = PATH("%s/yard", yard_dir);
		bool in_place = one_in(2);

		unshare_mounts();
		MUST(mount("churn", root, "tmpfs", 0, NULL));
		count(C_mounts);
		MUST(chdir(root));
		MUST(mkdir("old", 0755));
		MUST(mkdir("inner", 0755));
		MUST(syscall(SYS_pivot_root, ".", in_place ? "." : "old"));
		count(C_pivot_roots);
		nap(500);
		MUST(umount2(in_place ? "." : "/old", MNT_DETACH));
		count(C_umounts);
		MUST(chdir("/"));
		if (one_in(2)) {
			MUST(chroot("/inner"));
			count(C_chroots);
			nap(500);
			if (spawn(0) == 0)
				_exit(0);
			reap_all(__LINE__);
		}
		_exit(0);
	}
	reap_all(__LINE__);
}

