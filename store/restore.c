/*
 * restore: a store made of a backup.
 *
 * The place is verified first, as far as the backup needs it.  Then the arenas
 * are written, the keystore, and meta.db last, under another name until all is
 * on the disk: what was cut off is no store.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/sys.h"

#include "store/backup_internal.h"

#define RUN 256u
#define CHUNK ((size_t)1 << 20)

struct restore {
	const struct backup_place *p;
	const char *to;
	const struct backup_opts *o;
	struct backup_result *r;
	struct backup_manifest m;
	uint64_t total, said_ns;
	int from; /* blocks of backup ${from_epoch} */
	uint64_t from_epoch;
	int arena; /* number ${arena_no} */
	uint64_t arena_no;
	uint64_t end; /* slots of it that it must hold */
	uint8_t *buf;
	/* Records with slots and blocks in a row. */
	struct index_rec run[RUN];
	uint32_t n;
};

static int
epoch_cmp(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y ? -1 : x > y);
}

static void
close_it(int *fd)
{
	if (*fd >= 0)
		(void)sys->close(*fd);
	*fd = -1;
}

static enum err
tick(struct restore *s, uint64_t bytes)
{
	const uint64_t now = clock_mono_ns();

	s->r->bytes += bytes;
	if (s->o->progress == NULL || now - s->said_ns < 1000000000u)
		return (OK);
	s->said_ns = now;
	return (s->o->progress(s->o->arg, s->r->bytes, s->total)
		    ? OK
		    : err_fail(ERR_BUSY, "it was stopped"));
}

/* ---- Arenas ----------------------------------------------------------------- */

static enum err
arena_end(struct restore *s)
{
	const off_t size = (off_t)((s->end + EXTENT_SLOTS - 1) / EXTENT_SLOTS *
				   EXTENT_SLOTS * BLOCK);

	if (s->arena < 0)
		return (OK);
	if (sys->ftruncate(s->arena, size) != 0 ||
	    sys->fdatasync(s->arena) != 0)
		return (backup_fail(s->to));
	close_it(&s->arena);
	return (OK);
}

static enum err
arena_for(struct restore *s, uint64_t slot)
{
	const uint64_t no = slot / ARENA_SLOTS;
	char path[BACKUP_PATH], name[32];

	if (s->arena >= 0 && s->arena_no == no)
		return (OK);
	TRY(arena_end(s));
	(void)snprintf(
	    name, sizeof(name), "arena-%llu", (unsigned long long)no);
	TRY(backup_path(path, s->to, name, NULL));
	s->arena = sys->open(
	    path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->arena < 0)
		return (backup_fail(path));
	s->arena_no = no;
	s->end = 0;
	return (OK);
}

static enum err
blocks_from(struct restore *s, uint64_t epoch)
{
	char path[BACKUP_PATH];

	if (s->from >= 0 && s->from_epoch == epoch)
		return (OK);
	close_it(&s->from);
	TRY(backup_path_of(path, s->p->dir, epoch, backup_names[BF_BLOCKS]));
	s->from =
	    sys->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	s->from_epoch = epoch;
	return (s->from < 0 ? backup_fail(path) : OK);
}

static enum err
run_end(struct restore *s)
{
	const struct index_rec *const r = s->run;
	const size_t len = (size_t)s->n * BLOCK;

	if (s->n == 0)
		return (OK);
	TRY(blocks_from(s, r->epoch));
	TRY(arena_for(s, r->slot));
	TRY(sys_pread_full(s->from, s->buf, len, r->block * BLOCK));
	for (uint32_t i = 0; i < s->n; i++)
		if (crc32c(0, s->buf + (size_t)i * BLOCK, BLOCK) != r[i].crc)
			return (err_fail(ERR_CORRUPT,
			    "block %llu of backup %llu is damaged",
			    (unsigned long long)r[i].block,
			    (unsigned long long)r[i].epoch));
	TRY(sys_pwrite_full(
	    s->arena, s->buf, len, r->slot % ARENA_SLOTS * BLOCK));
	s->end = r->slot % ARENA_SLOTS + s->n;
	s->r->copied += s->n;
	s->n = 0;
	return (tick(s, len));
}

static enum err
arenas(struct restore *s)
{
	struct index_in in;
	struct index_rec r;
	enum err e = index_open(s->p->dir, s->m.epoch, &in);

	while (e == OK && (e = index_next(&in, &r)) == OK) {
		const struct index_rec *l = &s->run[s->n == 0 ? 0 : s->n - 1];

		if (s->n == RUN ||
		    (s->n != 0 &&
			(r.slot != l->slot + 1 || r.block != l->block + 1 ||
			    r.epoch != l->epoch || r.slot % ARENA_SLOTS == 0)))
			e = run_end(s);
		s->run[s->n++] = r;
	}
	index_close(&in);
	if (e != ERR_NOENT)
		return (e);
	TRY(run_end(s));
	return (arena_end(s));
}

/* ---- Other files ------------------------------------------------------------- */

static enum err
copy_fd(struct restore *s, int from, int to, int i)
{
	uint8_t sum[SHA256_LEN];
	struct sha256_ctx c;
	uint64_t at = 0;

	sha256_begin(&c);
	while (at < s->m.file[i].size) {
		const uint64_t left = s->m.file[i].size - at;
		const size_t n = left < CHUNK ? (size_t)left : CHUNK;

		TRY(sys_pread_full(from, s->buf, n, at));
		sha256_add(&c, s->buf, n);
		TRY(sys_pwrite_full(to, s->buf, n, at));
		at += n;
		TRY(tick(s, n));
	}
	sha256_end(&c, sum);
	if (memcmp(sum, s->m.file[i].sha, SHA256_LEN) != 0)
		return (err_fail(ERR_CORRUPT, "%s of the backup is damaged",
		    backup_names[i]));
	return (sys->fdatasync(to) == 0 ? OK : backup_fail(s->to));
}

static enum err
copy_file(struct restore *s, int i, const char *name)
{
	char path[BACKUP_PATH];
	int from, to = -1;
	enum err e;

	TRY(backup_path_of(path, s->p->dir, s->m.epoch, backup_names[i]));
	from =
	    sys->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (from < 0)
		return (backup_fail(path));
	e = backup_path(path, s->to, name, NULL);
	if (e == OK) {
		to = sys->open(path,
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		e = to < 0 ? backup_fail(path) : copy_fd(s, from, to, i);
	}
	close_it(&from);
	close_it(&to);
	return (e);
}

static bool
log_tick(void *arg, uint64_t bytes)
{
	return (tick(arg, bytes) == OK);
}

static enum err
copy_log(struct restore *s)
{
	struct backup_log l = { .tick = log_tick, .arg = s };
	uint8_t sum[SHA256_LEN];
	char dir[BACKUP_PATH];

	TRY(backup_path_of(dir, s->p->dir, s->m.epoch, NULL));
	TRY(backup_log_pass(dir, s->to, &l, sum));
	if (l.size != s->m.file[BF_AUDIT].size ||
	    memcmp(sum, s->m.file[BF_AUDIT].sha, SHA256_LEN) != 0)
		return (err_fail(ERR_CORRUPT, "%s of the backup is damaged",
		    backup_names[BF_AUDIT]));
	return (OK);
}

/* ---- The whole ---------------------------------------------------------------- */

/* Every backup that this one's index refers to, and itself. */
static enum err
verify(struct restore *s)
{
	uint8_t *need CLEANUP_FREE = calloc(s->p->n, 1);
	struct index_in in;
	struct index_rec r;
	size_t k = 0;
	enum err e;

	if (need == NULL)
		return (ERR_NOMEM);
	e = index_open(s->p->dir, s->m.epoch, &in);
	while (e == OK && (e = index_next(&in, &r)) == OK) {
		if (s->p->epoch[k] != r.epoch)
			for (k = 0; k + 1 < s->p->n; k++)
				if (s->p->epoch[k] == r.epoch)
					break;
		need[k] = s->p->epoch[k] == r.epoch || need[k];
	}
	index_close(&in);
	if (e != ERR_NOENT && e != ERR_CORRUPT)
		return (e);
	for (size_t i = 0; i < s->p->n; i++)
		if (need[i] && s->p->epoch[i] != s->m.epoch)
			TRY(place_verify(s->p, s->p->epoch[i], s->o, s->r));
	TRY(place_verify(s->p, s->m.epoch, s->o, s->r));
	if (s->r->unread != 0)
		return (err_fail(
		    ERR_IO, "the backup cannot be read: nothing was restored"));
	/* What was damaged in the store already is restored as it was. */
	if (s->r->bad > (s->m.damaged != 0 ? 1u : 0u))
		return (err_fail(ERR_CORRUPT,
		    "the backup is damaged: nothing was restored"));
	return (OK);
}

static enum err
make_all(struct restore *s)
{
	char tmp[BACKUP_PATH], path[BACKUP_PATH];

	TRY(arenas(s));
	if (s->m.keys) {
		TRY(copy_file(s, BF_KEYS, backup_names[BF_KEYS]));
		TRY(copy_log(s));
	}
	TRY(copy_file(s, BF_META, "meta.db.new"));
	TRY(sys_sync_dir(s->to));
	TRY(backup_path(tmp, s->to, "meta.db.new", NULL));
	TRY(backup_path(path, s->to, backup_names[BF_META], NULL));
	if (sys->rename(tmp, path) != 0)
		return (backup_fail(path));
	return (sys_sync_dir(s->to));
}

/* Remove what was made in the directory, which was empty. */
static void
unmake(const char *to, bool made)
{
	char path[BACKUP_PATH];
	const struct dirent *e;
	DIR *d = opendir(to);

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' &&
		    backup_path(path, to, e->d_name, NULL) == OK)
			(void)sys->unlink(path);
	if (d != NULL)
		(void)closedir(d);
	if (made)
		(void)rmdir(to);
}

static enum err
must_be_empty(const char *to)
{
	const struct dirent *e;
	DIR *d = opendir(to);
	bool found = false;

	if (d == NULL)
		return (backup_fail(to));
	while ((e = readdir(d)) != NULL)
		found = found || (strcmp(e->d_name, ".") != 0 &&
				     strcmp(e->d_name, "..") != 0);
	(void)closedir(d);
	if (found)
		return (err_fail(ERR_EXIST,
		    "%s is not empty: a backup is restored into a new or "
		    "empty directory",
		    to));
	return (OK);
}

static enum err
restore_to(struct restore *s)
{
	bool made = true;
	enum err e;

	if (sys->mkdir(s->to, 0700) != 0) {
		if (errno != EEXIST)
			return (backup_fail(s->to));
		TRY(must_be_empty(s->to));
		made = false;
	}
	e = make_all(s);
	close_it(&s->from);
	close_it(&s->arena);
	if (e != OK)
		unmake(s->to, made);
	return (e);
}

static enum err
restore(struct restore *s, uint64_t epoch)
{
	struct stat sb;

	/* Before all the reading. */
	if (sys->stat(s->to, &sb) == 0)
		TRY(must_be_empty(s->to));
	if (s->p->n == 0)
		return (err_fail(ERR_NOENT, "%s holds no backup%s", s->p->dir,
		    s->p->cut ? ", only one that was cut off" : ""));
	if (epoch == 0)
		epoch = s->p->epoch[s->p->n - 1];
	if (bsearch(&epoch, s->p->epoch, s->p->n, sizeof(epoch), epoch_cmp) ==
	    NULL)
		return (err_fail(ERR_NOENT,
		    "%s holds no backup of epoch %llu, the last is %llu",
		    s->p->dir, (unsigned long long)epoch,
		    (unsigned long long)s->p->epoch[s->p->n - 1]));
	TRY(place_manifest(s->p, epoch, &s->m));
	TRY(verify(s));
	s->r->epoch = epoch;
	s->r->blocks = s->m.file[BF_INDEX].size / INDEX_REC;
	s->r->bytes = 0;
	s->total = s->r->blocks * BLOCK + s->m.file[BF_META].size;
	s->buf = malloc(CHUNK);
	if (s->buf == NULL)
		return (ERR_NOMEM);
	return (restore_to(s));
}

enum err
backup_restore(const char *dir, uint64_t epoch, const char *to,
    const struct backup_opts *o, struct backup_result *ret)
{
	struct restore *s CLEANUP_FREE = calloc(1, sizeof(*s));
	struct backup_place p;
	enum err e;

	*ret = (struct backup_result){ .epoch = 0 };
	if (s == NULL)
		return (ERR_NOMEM);
	TRY(place_open(dir, false, &p));
	s->p = &p;
	s->to = to;
	s->o = o;
	s->r = ret;
	s->from = s->arena = -1;
	e = restore(s, epoch);
	ret->backups = p.n;
	free(s->buf);
	place_close(&p);
	return (e);
}
