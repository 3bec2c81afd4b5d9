/*
 * keyref: small numbers for master keys, and how many inodes use each.
 *
 * The table is short (one row per master key ever used in the store), so all
 * of it is in core; counts change in core and are written by the committer.
 */
#include <string.h>

#include "store/object.h"

struct keyref {
	uint32_t id;
	int64_t delta; /* change of uses since the last commit */
	bool revoked;  /* out of use, and nothing was loaded under it since */
	uint64_t may;  /* bits of askers who use it */
	char arn[KMS_ARN_MAX];
};

/* Under st->db. */
struct keyrefs {
	struct keyref *v;
	size_t n;
	size_t last; /* index of the last one found */
};

void
keyrefs_close(struct store *st)
{
	if (st->keyrefs == NULL)
		return;
	free(st->keyrefs->v);
	free(st->keyrefs);
	st->keyrefs = NULL;
}

static struct keyref *
add(struct keyrefs *k, uint32_t id, const char *arn)
{
	struct keyref *v = realloc(k->v, (k->n + 1) * sizeof(*v));

	if (v == NULL)
		return (NULL);
	k->v = v;
	v[k->n] = (struct keyref){ .id = id };
	strncpy(v[k->n].arn, arn, KMS_ARN_MAX - 1);
	return (&v[k->n++]);
}

static struct keyref *
by_id(struct store *st, uint32_t id)
{
	struct keyrefs *k = st->keyrefs;

	if (k->last < k->n && k->v[k->last].id == id)
		return (&k->v[k->last]);
	for (size_t i = 0; i < k->n; i++)
		if (k->v[i].id == id) {
			k->last = i;
			return (&k->v[i]);
		}
	return (NULL);
}

enum err
keyref_get(struct store *st, const char *arn, uint32_t *ret)
{
	struct keyrefs *k = st->keyrefs;
	sqlite3_stmt *s;
	int64_t id;

	if (k == NULL) {
		k = st->keyrefs = calloc(1, sizeof(*k));
		if (k == NULL)
			return (ERR_NOMEM);
	}
	for (size_t i = 0; i < k->n; i++) {
		const size_t x = (k->last + i) % k->n;

		if (strcmp(k->v[x].arn, arn) == 0) {
			k->last = x;
			*ret = k->v[x].id;
			return (OK);
		}
	}
	if (strlen(arn) >= KMS_ARN_MAX)
		return (ERR_INVAL);
	s = db_stmt(st, ST_KEYREF_FIND);
	sqlite3_bind_text(s, 1, arn, -1, SQLITE_STATIC);
	enum err e = db_row(st, ST_KEYREF_FIND);
	if (e == ERR_NOENT) {
		TRY(db_begin(st));
		s = db_stmt(st, ST_KEYREF_ADD);
		sqlite3_bind_text(s, 1, arn, -1, SQLITE_STATIC);
		TRY(db_run(st, ST_KEYREF_ADD));
		s = db_stmt(st, ST_KEYREF_FIND);
		sqlite3_bind_text(s, 1, arn, -1, SQLITE_STATIC);
		e = db_row(st, ST_KEYREF_FIND);
	}
	TRY(e);
	id = sqlite3_column_int64(s, 0);
	db_done(st, ST_KEYREF_FIND);
	if (id <= 0 || id > UINT32_MAX)
		return (ERR_CORRUPT);
	if (add(k, (uint32_t)id, arn) == NULL)
		return (ERR_NOMEM);
	*ret = (uint32_t)id;
	return (OK);
}

/* In core, loaded when needed. */
static enum err
load(struct store *st, uint32_t ref, struct keyref **ret)
{
	char arn[KMS_ARN_MAX];
	const char *text;

	if (st->keyrefs == NULL) {
		st->keyrefs = calloc(1, sizeof(*st->keyrefs));
		if (st->keyrefs == NULL)
			return (ERR_NOMEM);
	}
	*ret = by_id(st, ref);
	if (*ret != NULL)
		return (OK);
	sqlite3_stmt *s = db_stmt(st, ST_KEYREF_GET);
	sqlite3_bind_int64(s, 1, ref);
	const enum err e = db_row(st, ST_KEYREF_GET);
	if (e != OK)
		return (e == ERR_NOENT ? ERR_CORRUPT : e);
	text = (const char *)sqlite3_column_text(s, 0);
	arn[0] = '\0';
	if (text != NULL && strlen(text) < KMS_ARN_MAX)
		strcpy(arn, text);
	const enum err bad = text == NULL ? db_unread(s) : ERR_CORRUPT;
	db_done(st, ST_KEYREF_GET);
	if (arn[0] == '\0')
		return (bad);
	*ret = add(st->keyrefs, ref, arn);
	return (*ret == NULL ? ERR_NOMEM : OK);
}

enum err
keyref_arn(struct store *st, uint32_t ref, char ret[static KMS_ARN_MAX])
{
	struct keyref *k;

	TRY(load(st, ref, &k));
	memcpy(ret, k->arn, KMS_ARN_MAX);
	return (OK);
}

enum err
keyref_hold(struct store *st, uint32_t ref, char ret[static KMS_ARN_MAX])
{
	struct keyref *k;

	TRY(load(st, ref, &k));
	k->revoked = false;
	memcpy(ret, k->arn, KMS_ARN_MAX);
	return (OK);
}

void
keyref_use(struct store *st, uint32_t ref, int delta)
{
	struct keyref *k;

	/* A reference that cannot be loaded is damage that fsck reports; its
	 * count is rebuilt there. */
	if (ref == 0 || load(st, ref, &k) != OK)
		return;
	k->delta += delta;
	if (delta > 0)
		k->revoked = false;
}

enum err
keyrefs_write(struct store *st)
{
	if (st->keyrefs == NULL)
		return (OK);
	for (size_t i = 0; i < st->keyrefs->n; i++) {
		struct keyref *k = &st->keyrefs->v[i];

		if (k->delta == 0)
			continue;
		sqlite3_stmt *s = db_stmt(st, ST_KEYREF_USE);
		sqlite3_bind_int64(s, 1, k->id);
		sqlite3_bind_int64(s, 2, k->delta);
		TRY(db_run(st, ST_KEYREF_USE));
		k->delta = 0;
	}
	return (OK);
}

enum err
keyref_uses(struct store *st, const char *arn, uint64_t *ret)
{
	struct keyrefs *k = st->keyrefs;
	sqlite3_stmt *s = NULL;
	int64_t uses = 0;
	enum err e;

	TRY(db_prepare(st,
	    "SELECT coalesce(sum(uses), 0) FROM keyref"
	    " WHERE ?1 IS NULL OR arn=?1",
	    &s));
	(void)sqlite3_bind_text(s, 1, arn, -1, SQLITE_STATIC);
	e = db_step(st, s);
	if (e == OK)
		uses = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	if (e != OK)
		return (e == ERR_NOENT ? ERR_INTERNAL : e);
	for (size_t i = 0; k != NULL && i < k->n; i++)
		if (arn == NULL || strcmp(k->v[i].arn, arn) == 0)
			uses += k->v[i].delta;
	/* Less than none is damage that fsck mends; it is no leave to delete. */
	*ret = uses < 0 ? 1 : (uint64_t)uses;
	return (OK);
}

enum err
keyref_used_by(struct store *st, uint32_t ref, uint64_t bit)
{
	struct keyref *k;

	TRY(load(st, ref, &k));
	k->may |= bit;
	return (OK);
}

bool
keyrefs_revoked(struct store *st, size_t *pos, uint32_t *ret_id, bool *ret_all)
{
	struct keyrefs *k = st->keyrefs;

	if (k == NULL)
		return (false);
	while (*pos < k->n) {
		struct keyref *r = &k->v[(*pos)++];
		const bool out = kms_key_usable(st->kms, r->arn) != OK;

		if (out && !r->revoked) {
			r->revoked = true;
			*ret_id = r->id;
			*ret_all = true;
			return (true);
		}
		r->revoked = out;
		if (!out && askers_lost(st, r->arn, &r->may)) {
			*ret_id = r->id;
			*ret_all = r->may == 0;
			return (true);
		}
	}
	return (false);
}
