/*
 * backup: making one.
 *
 *   1 between two commits: a read transaction of the metadata begins, and all
 *     slots in use are held (alloc_hold.c)
 *   2 the metadata is copied; the transaction ends, the WAL can go home
 *   3 blocks are copied from the held slots (backup_copy.c)
 *   4 the keystore is copied: it has every key that the epoch's files are under,
 *     as keys are never removed
 *   5 the manifest is written, all is synced, "new" gets its name
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/sys.h"

#include "store/backup_internal.h"

#define SECOND ((uint64_t)1000000000)

/* ---- Going on -------------------------------------------------------------- */

static bool
tell(struct backup_job *j, uint64_t now)
{
	const uint64_t done = (j->r->blocks + j->r->bad) * BLOCK;

	if (j->o->progress == NULL || now - j->said_ns < SECOND)
		return (true);
	j->said_ns = now;
	return (
	    j->o->progress(j->o->arg, done, done > j->total ? done : j->total));
}

enum err
backup_pace(struct backup_job *j, uint64_t bytes)
{
	uint64_t now = clock_mono_ns();
	bool go;

	j->r->bytes += bytes;
	if (j->o->rate != 0) {
		/* Time that was not used is not made up for. */
		if (j->next_ns < now)
			j->next_ns = now;
		j->next_ns += bytes * SECOND / j->o->rate;
	}
	go = tell(j, now);
	while (go && j->o->rate != 0 && now < j->next_ns) {
		const uint64_t ns = j->next_ns - now;
		const struct timespec t = {
			.tv_sec = ns < SECOND ? 0 : 1,
			.tv_nsec = ns < SECOND ? (long)ns : 0,
		};

		(void)nanosleep(&t, NULL);
		now = clock_mono_ns();
		go = tell(j, now);
	}
	if (!go)
		return (err_fail(ERR_BUSY, "it was stopped"));
	/* What was read until here is good if the hold still stands. */
	if (!alloc_held(j->st))
		return (err_fail(ERR_NOSPC,
		    "the store's disk became full and the store needed the "
		    "space that the backup kept; make room and try again"));
	return (OK);
}

/* ---- The epoch ------------------------------------------------------------- */

struct moment {
	struct db_snap *snap;
	uint64_t epoch;
	bool held;
};

static enum err
seize(struct store *st, uint64_t epoch, void *arg)
{
	struct moment *m = arg;

	m->epoch = epoch;
	TRY(alloc_hold(st));
	m->held = true;
	return (db_snap_open(st, epoch, &m->snap));
}

static bool
go_on(void *arg)
{
	return (backup_pace(arg, 0) == OK);
}

/* Step 2. */
static enum err
copy_meta(struct backup_job *j, struct moment *m)
{
	sqlite3 *c CLEANUP(db_read_close) = NULL;
	char path[BACKUP_PATH];
	enum err e;

	TRY(backup_path(path, j->dir, backup_names[BF_META], NULL));
	e = db_snap_copy(m->snap, path, go_on, j);
	db_snap_close(m->snap);
	m->snap = NULL;
	/* The reason it was stopped for. */
	if (e == ERR_BUSY)
		TRY(backup_pace(j, 0));
	TRY(e);
	TRY(db_read_open(path, &c));
	TRY(db_state(c, j->m.state));
	return (backup_sum(path, NULL, NULL, &j->m.file[BF_META].size,
	    j->m.file[BF_META].sha));
}

/* ---- The rest --------------------------------------------------------------- */

static enum err
copy_keys(struct backup_job *j)
{
	char from[BACKUP_PATH], to[BACKUP_PATH];
	struct backup_log l = { .tick = NULL };
	struct stat sb;

	TRY(backup_path(from, j->st->dir, backup_names[BF_KEYS], NULL));
	if (sys->stat(from, &sb) != 0)
		return (errno == ENOENT ? OK : backup_fail(from));
	j->m.keys = true;
	if (j->st->kms != NULL)
		TRY(kms_flush(j->st->kms));
	TRY(backup_path(to, j->dir, backup_names[BF_KEYS], NULL));
	TRY(kms_copy(from, to));
	TRY(backup_sum(
	    to, NULL, NULL, &j->m.file[BF_KEYS].size, j->m.file[BF_KEYS].sha));
	TRY(backup_log_pass(j->dir, NULL, &l, j->m.file[BF_AUDIT].sha));
	j->m.file[BF_AUDIT].size = l.size;
	return (OK);
}

/* SQLite makes files beside a database that it reads. */
static enum err
drop_others(struct backup_job *j)
{
	static const char *const tails[] = { "meta.db-wal", "meta.db-log",
		"meta.db-journal", "keys.db-wal", "keys.db-shm",
		"keys.db-journal" };
	char path[BACKUP_PATH];

	for (size_t i = 0; i < COUNTOF(tails); i++) {
		TRY(backup_path(path, j->dir, tails[i], NULL));
		if (sys->unlink(path) != 0 && errno != ENOENT)
			return (backup_fail(path));
	}
	return (OK);
}

/* Step 5.  The new name is the moment from which there is a backup. */
static enum err
publish(struct backup_job *j)
{
	char path[BACKUP_PATH], text[24];
	struct buf b CLEANUP_BUF;

	buf_init(&b, MANIFEST_MAX);
	TRY(drop_others(j));
	j->m.made = clock_wall().tv_sec;
	TRY(manifest_print(&j->m, &b));
	TRY(backup_path(path, j->dir, BACKUP_MANIFEST, NULL));
	TRY(sys_write_file(path, b.p, b.len, 0600, 1));
	TRY(sys_sync_dir(j->dir));
	(void)snprintf(
	    text, sizeof(text), "%llu", (unsigned long long)j->m.epoch);
	TRY(backup_path(path, j->place, text, NULL));
	if (sys->rename(j->dir, path) != 0)
		return (backup_fail(path));
	const enum err e = sys_sync_dir(j->place);
	/* What is not on the disk for sure is no backup. */
	if (e != OK) {
		(void)sys->rename(path, j->dir);
		return (e);
	}
	hex_encode(j->m.digest, SHA256_LEN, j->r->digest);
	return (OK);
}

/* The place has a backup of this epoch: it must be of this state, or the store
 * is another one by now (it was put back to an older state). */
static enum err
same(struct backup_job *j)
{
	if (memcmp(j->base.state, j->m.state, SHA256_LEN) != 0)
		return (err_fail(ERR_EXIST,
		    "%s holds another state with this epoch: the store was "
		    "put back since; give the backup a directory of its own",
		    j->place));
	j->r->same = true;
	/* They may be good by now: the next state's backup has them. */
	if (j->base.damaged != 0 && j->o->bad != NULL)
		j->o->bad(j->o->arg,
		    "the backup of this state, which is there already, was "
		    "made when blocks were damaged or could not be read: "
		    "change something in the store and back it up again");
	j->r->bad = j->base.damaged;
	hex_encode(j->base.digest, SHA256_LEN, j->r->digest);
	return (OK);
}

static enum err
run(struct backup_job *j, struct moment *m)
{
	TRY(epoch_with(j->st, seize, m));
	j->m.epoch = j->r->epoch = m->epoch;
	memcpy(j->m.store, j->st->uuid, UUID_LEN);
	if (m->epoch == 0)
		return (err_fail(ERR_NOENT, "the store is empty"));
	if (j->base.epoch > m->epoch)
		return (err_fail(ERR_EXIST,
		    "%s holds a later state of the store: give the backup a "
		    "directory of its own",
		    j->place));
	TRY(copy_meta(j, m));
	if (j->base.epoch == m->epoch)
		return (same(j));
	j->m.base = j->base.epoch;
	memcpy(j->m.base_digest, j->base.digest, SHA256_LEN);
	TRY(backup_copy(j));
	TRY(copy_keys(j));
	return (publish(j));
}

/* Which backup to stand on. */
static enum err
base_find_last(struct backup_job *j, const struct backup_place *p)
{
	if (p->n == 0)
		return (OK);
	TRY(place_manifest(p, p->epoch[p->n - 1], &j->base));
	if (memcmp(j->base.store, j->st->uuid, UUID_LEN) != 0)
		return (err_fail(
		    ERR_EXIST, "%s holds backups of another store", p->dir));
	return (OK);
}

static enum err
begin(struct backup_job *j, const struct backup_place *p)
{
	const size_t n = strlen(j->st->dir);

	if (strncmp(p->dir, j->st->dir, n) == 0 &&
	    (p->dir[n] == '/' || p->dir[n] == '\0'))
		return (
		    err_fail(ERR_INVAL, "%s lies in the store itself", p->dir));
	TRY(base_find_last(j, p));
	TRY(backup_path(j->dir, p->dir, BACKUP_NEW, NULL));
	TRY(place_remove(p, BACKUP_NEW));
	if (sys->mkdir(j->dir, 0700) != 0)
		return (backup_fail(j->dir));
	return (OK);
}

enum err
backup_make(struct store *st, const char *dir, const struct backup_opts *o,
    struct backup_result *ret)
{
	struct backup_job *j CLEANUP_FREE = calloc(1, sizeof(*j));
	struct moment m = { .held = false };
	struct backup_place p;
	char path[BACKUP_PATH];
	enum err e;

	*ret = (struct backup_result){ .epoch = 0 };
	if (j == NULL)
		return (ERR_NOMEM);
	j->st = st;
	j->o = o;
	j->r = ret;
	TRY(place_open(dir, true, &p));
	j->place = p.dir;
	e = begin(j, &p);
	if (e == OK)
		e = run(j, &m);
	db_snap_close(m.snap);
	if (m.held)
		alloc_unhold_all(st);
	if (backup_path(path, j->dir, backup_names[BF_META], NULL) == OK)
		db_copy_drop(path);
	/* What was cut off is in nobody's way, if it cannot be removed. */
	if ((e != OK || ret->same) && place_remove(&p, BACKUP_NEW) != OK)
		ret->bytes = 0;
	if (e == OK && o->progress != NULL)
		(void)o->progress(
		    o->arg, ret->blocks * BLOCK, ret->blocks * BLOCK);
	place_close(&p);
	return (e);
}
