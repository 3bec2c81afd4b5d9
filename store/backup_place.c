/*
 * backup_place: directories with backups in them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/sys.h"

#include "store/backup_internal.h"

#define LOCK_NAME "lock"
#define BACKUPS_MAX 1000000u

/* "1", "2", … */
static bool
epoch_name(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (*s < '1' || *s > '9' || strlen(s) > 18)
		return (false);
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return (false);
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*ret = v;
	return (true);
}

static int
epoch_cmp(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y ? -1 : x > y);
}

static enum err
place_add(struct backup_place *p, uint64_t epoch)
{
	if (p->n >= BACKUPS_MAX)
		return (ERR_LIMIT);
	if ((p->n & (p->n - 1)) == 0) {
		uint64_t *v =
		    realloc(p->epoch, (p->n == 0 ? 1 : 2 * p->n) * sizeof(*v));

		if (v == NULL)
			return (ERR_NOMEM);
		p->epoch = v;
	}
	p->epoch[p->n++] = epoch;
	return (OK);
}

static enum err
entry(struct backup_place *p, const char *name)
{
	uint64_t epoch;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strcmp(name, LOCK_NAME) == 0)
		return (OK);
	if (strcmp(name, BACKUP_NEW) == 0) {
		p->cut = true;
		return (OK);
	}
	if (epoch_name(name, &epoch))
		return (place_add(p, epoch));
	return (err_fail(ERR_EXIST,
	    "%s holds \"%s\", which is no backup: give it a directory of its "
	    "own",
	    p->dir, name));
}

static enum err
list(struct backup_place *p)
{
	DIR *d = opendir(p->dir);
	const struct dirent *e;
	enum err err = OK;

	if (d == NULL)
		return (backup_fail(p->dir));
	while (err == OK && (e = readdir(d)) != NULL)
		err = entry(p, e->d_name);
	(void)closedir(d);
	if (err == OK && p->n > 1)
		qsort(p->epoch, p->n, sizeof(*p->epoch), epoch_cmp);
	return (err);
}

/* Verifying and restoring go without a lock where none can be made. */
static enum err
lock_place(struct backup_place *p, bool make)
{
	char path[BACKUP_PATH];

	TRY(backup_path(path, p->dir, LOCK_NAME, NULL));
	p->lockfd =
	    sys->open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->lockfd < 0)
		return (make ? backup_fail(path) : OK);
	if (sys->lock(p->lockfd) == 0)
		return (OK);
	if (errno != EAGAIN)
		return (backup_fail(path));
	return (err_fail(
	    ERR_BUSY, "%s is in use by another backup or restore", p->dir));
}

static enum err
place_fill(struct backup_place *p, const char *dir, bool make)
{
	char *real CLEANUP_FREE = NULL;

	if (make && sys->mkdir(dir, 0700) != 0 && errno != EEXIST)
		return (backup_fail(dir));
	real = realpath(dir, NULL);
	if (real == NULL)
		return (backup_fail(dir));
	if (strlen(real) >= BACKUP_PATH / 2)
		return (ERR_NAMETOOLONG);
	strcpy(p->dir, real);
	/* Before the lock is made: not in a directory of other things. */
	TRY(list(p));
	if (make || p->n != 0)
		TRY(lock_place(p, make));
	free(p->epoch);
	p->epoch = NULL;
	p->n = 0;
	p->cut = false;
	return (list(p));
}

enum err
place_open(const char *dir, bool make, struct backup_place *ret)
{
	enum err e;

	*ret = (struct backup_place){ .lockfd = -1 };
	e = place_fill(ret, dir, make);
	if (e != OK)
		place_close(ret);
	return (e);
}

void
place_close(struct backup_place *p)
{
	if (p->lockfd >= 0)
		(void)sys->close(p->lockfd);
	p->lockfd = -1;
	free(p->epoch);
	p->epoch = NULL;
}

enum err
place_manifest(
    const struct backup_place *p, uint64_t epoch, struct backup_manifest *ret)
{
	char path[BACKUP_PATH];
	uint8_t *text CLEANUP_FREE = NULL;
	size_t len = 0;
	enum err e;

	TRY(backup_path_of(path, p->dir, epoch, BACKUP_MANIFEST));
	e = sys_read_file(path, MANIFEST_MAX, &text, &len);
	if (e == ERR_NOENT || e == ERR_LIMIT)
		e = ERR_CORRUPT;
	if (e == OK)
		e = manifest_parse(text, len, ret);
	if (e == OK && ret->epoch != epoch)
		e = ERR_CORRUPT;
	if (e == ERR_CORRUPT)
		return (
		    err_fail(e, "%s: the backup's manifest is damaged", path));
	return (e);
}

enum err
place_remove(const struct backup_place *p, const char *sub)
{
	char dir[BACKUP_PATH], path[BACKUP_PATH];
	const struct dirent *e;
	enum err err = OK;
	DIR *d;

	TRY(backup_path(dir, p->dir, sub, NULL));
	d = opendir(dir);
	if (d == NULL)
		return (errno == ENOENT ? OK : backup_fail(dir));
	while (err == OK && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' &&
		    (e->d_name[1] == '\0' || e->d_name[1] == '.'))
			continue;
		err = backup_path(path, p->dir, sub, e->d_name);
		if (err == OK && sys->unlink(path) != 0)
			err = backup_fail(path);
	}
	(void)closedir(d);
	if (err == OK && rmdir(dir) != 0)
		err = backup_fail(dir);
	return (err);
}
