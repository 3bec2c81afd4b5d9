/*
 * backup_log: the audit log in a backup: the files of its segments, under one
 * digest, as if they were one file in the order of their numbers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "kms/audit.h"
#include "lib/base/sys.h"

#include "store/backup_internal.h"

#define CHUNK ((size_t)1 << 20)
#define PARTS_MAX 1000000u

struct part {
	uint64_t n;
	char name[64];
};

struct parts {
	struct part *v;
	size_t n;
};

static void
parts_release(struct parts *p)
{
	free(p->v);
}

static void
fd_cleanup(int *fd)
{
	if (*fd >= 0)
		(void)sys->close(*fd);
}
#define CLEANUP_SYS CLEANUP(fd_cleanup)

static int
part_cmp(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return (x->n < y->n ? -1 : x->n > y->n);
}

static enum err
part_add(struct parts *p, const char *name, size_t *room)
{
	struct part one = { .n = 0 };
	struct part *v;

	if (!audit_segment_name(name, backup_names[BF_KEYS], &one.n) ||
	    strlen(name) >= sizeof(one.name))
		return (OK);
	if (p->n == PARTS_MAX)
		return (ERR_LIMIT);
	if (p->n == *room) {
		*room = *room == 0 ? 16 : 2 * *room;
		v = reallocarray(p->v, *room, sizeof(*v));
		if (v == NULL)
			return (ERR_NOMEM);
		p->v = v;
	}
	strcpy(one.name, name);
	p->v[p->n++] = one;
	return (OK);
}

static enum err
parts_find(const char *dir, struct parts *p)
{
	const struct dirent *e;
	DIR *d = opendir(dir);
	enum err err = OK;
	size_t room = 0;

	if (d == NULL)
		return (backup_fail(dir));
	while (err == OK && (e = readdir(d)) != NULL)
		err = part_add(p, e->d_name, &room);
	(void)closedir(d);
	TRY(err);
	if (p->n == 0)
		return (err_fail(ERR_NOENT, "%s/%s: it is missing", dir,
		    backup_names[BF_AUDIT]));
	qsort(p->v, p->n, sizeof(*p->v), part_cmp);
	return (OK);
}

/* Sum up one part, and copy it to ${to} unless that is -1. */
static enum err
part_pass(const char *path, int to, struct backup_log *l, uint8_t *buf)
{
	int fd CLEANUP_SYS =
	    sys->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	uint64_t at = 0;
	ssize_t n;

	if (fd < 0)
		return (backup_fail(path));
	while ((n = sys->pread(fd, buf, CHUNK, (off_t)at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (backup_fail(path));
		sha256_add(&l->sha, buf, (size_t)n);
		if (to >= 0)
			TRY(sys_pwrite_full(to, buf, (size_t)n, at));
		at += (uint64_t)n;
		l->size += (uint64_t)n;
		if (l->tick != NULL && !l->tick(l->arg, (uint64_t)n))
			return (err_fail(ERR_BUSY, "it was stopped"));
	}
	return (OK);
}

static enum err
part_copy(const char *path, const char *to, struct backup_log *l, uint8_t *buf)
{
	int fd CLEANUP_SYS = sys->open(
	    to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return (backup_fail(to));
	TRY(part_pass(path, fd, l, buf));
	return (sys->fdatasync(fd) == 0 ? OK : backup_fail(to));
}

enum err
backup_log_pass(const char *dir, const char *to, struct backup_log *l,
    uint8_t ret[static SHA256_LEN])
{
	struct parts p CLEANUP(parts_release) = { NULL, 0 };
	uint8_t *buf CLEANUP_FREE = malloc(CHUNK);
	char path[BACKUP_PATH], copy[BACKUP_PATH];

	if (buf == NULL)
		return (ERR_NOMEM);
	TRY(parts_find(dir, &p));
	l->size = 0;
	sha256_begin(&l->sha);
	for (size_t i = 0; i < p.n; i++) {
		TRY(backup_path(path, dir, p.v[i].name, NULL));
		if (to == NULL) {
			TRY(part_pass(path, -1, l, buf));
			continue;
		}
		TRY(backup_path(copy, to, p.v[i].name, NULL));
		TRY(part_copy(path, copy, l, buf));
	}
	sha256_end(&l->sha, ret);
	return (OK);
}
