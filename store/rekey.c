/*
 * rekey: data keys wrapped anew under the newest version of their master keys,
 * while the store is in use.
 *
 * Inodes are visited by rising number.  A file's record is opened and sealed
 * again with the new wrapped key in it; its blocks, and the keys that they are
 * under, stay as they are.  It takes part in the epochs as every change does: a
 * crash leaves each file with one wrapped key or the other, and the next run
 * passes over what is done.
 */
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"

#include "store/object.h"

#define BATCH 256 /* rows listed with st->db held; files of one commit */
#define SECOND UINT64_C(1000000000)

static const char rows_sql[] =
    "SELECT ino, keyref, obj FROM inode WHERE ino>?1 ORDER BY ino LIMIT ?2";

struct rekey {
	struct store *st;
	const struct store_rekey_opts *o;
	struct store_rekey_result *r;
	sqlite3_stmt *rows;
	char arn[KMS_ARN_MAX]; /* "": every key's files */
	uint64_t done, total;  /* files */
	uint64_t next_ns, said_ns;
	bool stopped;
};

static void
say(struct rekey *k, bool last)
{
	const uint64_t now = clock_mono_ns();

	if (k->o->progress == NULL || (!last && now - k->said_ns < SECOND))
		return;
	k->said_ns = now;
	if (k->done > k->total)
		k->total = k->done;
	if (!k->o->progress(k->o->arg, k->done, k->total))
		k->stopped = true;
}

/* Keep to the rate. */
static void
pace(struct rekey *k)
{
	if (k->o->rate == 0)
		return;
	k->next_ns += SECOND / k->o->rate;
	for (uint64_t now = clock_mono_ns(); !k->stopped && now < k->next_ns;
	     now = clock_mono_ns()) {
		const uint64_t left = k->next_ns - now;
		const struct timespec t = {
			.tv_nsec = (long)(left < SECOND / 5 ? left : SECOND / 5)
		};

		(void)nanosleep(&t, NULL);
		say(k, false);
	}
}

/* ---- One file --------------------------------------------------------------------- */

struct rewrap {
	uint8_t blob[KMS_BLOB_MAX]; /* as it was */
	size_t len;
	uint8_t anew[KMS_BLOB_MAX];
	size_t anewlen;
	struct obj_ctx ctx;
};

/* What the file has now; false: there is nothing to do. */
static enum err
read_key(struct rekey *k, struct store_file *f, struct rewrap *w, bool *ret)
{
	struct obj *o;
	enum err e;

	*ret = false;
	TRY(file_lock(f, false));
	o = f->ip->obj;
	if (o->method == SSE_NONE || o->bloblen > sizeof(w->blob)) {
		e = OK;
	} else {
		memcpy(w->blob, o->blob, o->bloblen);
		w->len = o->bloblen;
		obj_ctx(k->st, o->uuid, &w->ctx);
		e = kms_blob_old(k->st->kms, w->blob, w->len, ret);
	}
	rwlock_drop(&f->ip->lock);
	return (e);
}

/* With the content lock, exclusive, and the epoch shared. */
static enum err
replace_key(struct rekey *k, struct store_file *f, const struct rewrap *w)
{
	struct obj *o = f->ip->obj;
	uint8_t *copy;

	/* Somebody else was faster. */
	if (o->bloblen != w->len || memcmp(o->blob, w->blob, w->len) != 0)
		return (OK);
	LOCK_SCOPE(&k->st->db);
	TRY(db_room(k->st));
	copy = realloc(o->blob, w->anewlen);
	if (copy == NULL)
		return (ERR_NOMEM);
	memcpy(copy, w->anew, w->anewlen);
	o->blob = copy;
	o->bloblen = w->anewlen;
	f->ip->obj_dirty = true;
	inode_dirty(k->st, f->ip);
	k->r->rewrapped++;
	return (OK);
}

/* A provider may take its time, during which the store goes on. */
static enum err
rekey_open(struct rekey *k, struct store_file *f)
{
	struct rewrap w;
	char arn[KMS_ARN_MAX];
	bool old = false;
	enum err e;

	TRY(read_key(k, f, &w, &old));
	if (!old)
		return (OK);
	TRY(kms_rewrap(k->st->kms, k->o->who, w.blob, w.len, w.ctx.pair,
	    COUNTOF(w.ctx.pair), NULL, w.ctx.pair, COUNTOF(w.ctx.pair), w.anew,
	    &w.anewlen, arn));
	EPOCH_SCOPE(k->st);
	TRY(file_lock(f, true));
	e = replace_key(k, f, &w);
	rwlock_drop(&f->ip->lock);
	return (e);
}

/* Is it the file's key that says no? */
static bool
out_of_use(enum err e)
{
	return (e == ERR_KEYREVOKED || e == ERR_KEYDELETION ||
		e == ERR_KEYEXPIRED || e == ERR_KEYSTATE || e == ERR_NOKEY ||
		e == ERR_ACCESS || e == ERR_TIMEDOUT);
}

static enum err
rekey_file(struct rekey *k, uint64_t ino)
{
	struct store_file *f = NULL;
	enum err e = store_open(k->st, k->o->who, ino, &f);

	if (e == OK)
		e = rekey_open(k, f);
	store_release(f);
	if (e == OK || e == ERR_STALE) /* gone meanwhile */
		return (OK);
	if (out_of_use(e)) {
		k->r->skipped++;
		return (OK);
	}
	if (e != ERR_AUTH && e != ERR_CORRUPT)
		return (e);
	k->r->bad++;
	if (k->o->bad != NULL)
		k->o->bad(k->o->arg, ino, 0, e, err_detail(e));
	return (OK);
}

/* ---- All of them ------------------------------------------------------------------ */

/* Is this row's data key to be wrapped anew?  st->db held. */
static bool
wanted(struct rekey *k, sqlite3_stmt *s)
{
	const uint32_t ref = (uint32_t)sqlite3_column_int64(s, 1);
	const uint8_t *rec = sqlite3_column_blob(s, 2);
	const size_t len = (size_t)sqlite3_column_bytes(s, 2);
	char arn[KMS_ARN_MAX];
	struct obj *o = NULL;
	bool old = true;

	if (ref == 0)
		return (false);
	if (k->arn[0] != '\0' &&
	    (keyref_arn(k->st, ref, arn) != OK || strcmp(arn, k->arn) != 0))
		return (false);
	k->done++;
	k->r->files++;
	/* What is damaged is told when it is opened. */
	if (obj_parse(rec, len, &o) == OK &&
	    kms_blob_old(k->st->kms, o->blob, o->bloblen, &old) != OK)
		old = true;
	obj_free(o);
	return (old);
}

/* The next rows; *${ret_n} is 0 at the end. */
static enum err
list(struct rekey *k, uint64_t *after, uint64_t ino[static BATCH],
    unsigned *ret_want, unsigned *ret_n)
{
	LOCK_SCOPE(&k->st->db);
	enum err e;

	*ret_want = *ret_n = 0;
	(void)sqlite3_bind_int64(k->rows, 1, (sqlite3_int64)*after);
	(void)sqlite3_bind_int(k->rows, 2, BATCH);
	while ((e = db_step(k->st, k->rows)) == OK) {
		*after = (uint64_t)sqlite3_column_int64(k->rows, 0);
		if (wanted(k, k->rows))
			ino[(*ret_want)++] = *after;
		++*ret_n;
	}
	(void)sqlite3_reset(k->rows);
	return (e == ERR_NOENT ? OK : e);
}

static enum err
all(struct rekey *k)
{
	uint64_t ino[BATCH], after = 0;
	unsigned want, n = 1;

	while (!k->stopped) {
		TRY(list(k, &after, ino, &want, &n));
		if (n == 0)
			return (OK);
		for (unsigned i = 0; i < want && !k->stopped; i++) {
			TRY(rekey_file(k, ino[i]));
			say(k, false);
			pace(k);
		}
		if (want != 0)
			TRY(epoch_commit(k->st));
		say(k, false);
	}
	return (OK);
}

static enum err
prepare(struct rekey *k)
{
	const char *tenant = k->o->who->tenant;

	if (k->st->kms == NULL)
		return (err_fail(ERR_NOTSUP, "the store has no key service"));
	if (k->o->key != NULL)
		TRY(kms_key_resolve(k->st->kms, tenant, k->o->key, k->arn));
	/* New files enter the table at their first commit. */
	TRY(epoch_commit(k->st));
	k->next_ns = k->said_ns = clock_mono_ns();
	LOCK_SCOPE(&k->st->db);
	TRY(keyref_uses(k->st, k->arn[0] != '\0' ? k->arn : NULL, &k->total));
	return (db_prepare(k->st, rows_sql, &k->rows));
}

enum err
store_rekey(struct store *st, const struct store_rekey_opts *o,
    struct store_rekey_result *ret)
{
	struct rekey k = { .st = st, .o = o, .r = ret };
	enum err e;

	memset(ret, 0, sizeof(*ret));
	if (st->readonly)
		return (ERR_ROFS);
	e = prepare(&k);
	if (e == OK)
		e = all(&k);
	if (k.rows != NULL) {
		LOCK_SCOPE(&st->db);
		(void)sqlite3_finalize(k.rows);
	}
	TRY(e);
	TRY(epoch_commit(st));
	if (!k.stopped)
		say(&k, true);
	return (OK);
}
