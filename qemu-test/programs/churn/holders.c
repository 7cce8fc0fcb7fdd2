// SPDX-License-Identifier: GPL-2.0
/* Churners: descriptors, mappings and sockets that come and go, and keep what is read. */
#include "churn.h"

#include <sys/mman.h>
#include <sys/socket.h>

#define DESCRIPTORS 300

/* Opens and closes at random: with gaps, so that the table grows and has empty words. */
static void open_and_close(void)
{
	int fd = MUST(open(yard_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	for (int n = below(200) + 1; n; n--) {
		if (one_in(3))
			close(10 + below(DESCRIPTORS));
		else
			MUST(dup3(fd, 10 + below(DESCRIPTORS), O_CLOEXEC));
		count(C_descriptors);
	}
}

/* Maps a file that is then removed, piece by piece, and unmaps the pieces. */
static void map_and_unmap(void)
{
	const char *name = PATH("%s/mapped-%d", yard_dir, getpid());
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	char *at[16];

	MUST(ftruncate(fd, 16 * 4096));
	for (int n = below(20) + 1; n; n--) {
		for (int i = 0; i < 16; i++) {
			at[i] = mmap(NULL, 4096, PROT_READ, one_in(2) ? MAP_SHARED : MAP_PRIVATE, fd,
				     i * 4096);
			if (at[i] == MAP_FAILED)
				FAIL("mmap");
		}
		for (int i = 0; i < 16; i++)
			MUST(munmap(at[i], 4096));
		count(C_mappings);
		/* Another file at the place in memory of the one before. */
		close(fd);
		fd = MUST(open(name, O_RDWR | O_CLOEXEC));
	}
	MUST(unlink(name));
	close(fd);
}

/* A descriptor that is in a message only, for a moment. */
static void send_and_receive(void)
{
	int ends[2], fd = open_ns(any_village(), 2);
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 'x';
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	for (int n = below(10) + 1; n; n--) {
		MUST(sendmsg(ends[0], &message, 0));
		count(C_messages);
	}
	close(fd);
}

static void *with_own_table(void *data)
{
	(void)data;
	MUST(unshare(one_in(2) ? CLONE_FILES : CLONE_FILES | CLONE_FS));
	open_and_close();
	return NULL;
}

static void in_threads(void)
{
	pthread_t ids[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&ids[i], NULL, with_own_table, NULL))
			FAIL("pthread_create");
	open_and_close();
	for (int i = 0; i < 4; i++)
		pthread_join(ids[i], NULL);
}

/* Mounts that only a descriptor leads to, and such that were unmounted while one is open. */
static void keep_mounts(void)
{
	int fd, tree;

	MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	MUST(mount("held", "/tmp", "tmpfs", 0, NULL));
	count(C_mounts);
	fd = MUST(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	tree = MUST(syscall(SYS_open_tree, AT_FDCWD, "/", 1 | O_CLOEXEC | 0x8000));
	MUST(fchdir(one_in(2) ? fd : tree));
	MUST(umount2("/tmp", MNT_DETACH));
	count(C_trees_cloned);
	nap(2000);
	close(tree);
}

void do_holders(void)
{
	static void (*const ways[])(void) = { open_and_close, map_and_unmap, send_and_receive, in_threads,
					      keep_mounts };
	unsigned int first = below(5);

	for (unsigned int i = 0; i < 5; i++) {
		if (spawn(0))
			continue;
		ways[(first + i) % 5]();
		_exit(0);
	}
	/* Who shares the table of another process. */
	if (spawn(0) == 0) {
		if (spawn(CLONE_FILES) == 0) {
			open_and_close();
			_exit(0);
		}
		open_and_close();
		reap_all(__LINE__);
		_exit(0);
	}
	reap_all(__LINE__);
}
