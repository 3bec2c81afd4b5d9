/*
 * dflt: default encryption of buckets and directories.
 *
 * What holds for new files in a directory is kept in its inode in core, marked
 * with the generation that it was found at; any change of a default and any
 * move of a directory starts a new generation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/ns.h"

/* ---- Rows --------------------------------------------------------------- */

enum err
dflt_row(struct store *st, uint64_t ino, char *ret)
{
	sqlite3_stmt *const s = db_stmt(st, ST_DFLT_GET);
	const char *text, *key;
	enum sse method;
	bool good;
	enum err e;

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)ino);
	e = db_row(st, ST_DFLT_GET);
	if (e != OK)
		return (e == ERR_NOENT ? ERR_NODATA : e);
	text = (const char *)sqlite3_column_text(s, 0);
	good = text != NULL && strlen(text) < STORE_DEFAULT_MAX &&
	       sse_parse(text, &method, &key) == OK;
	if (good)
		(void)stpcpy(ret, text);
	if (text == NULL && db_unread(s) == ERR_NOMEM)
		e = ERR_NOMEM;
	db_done(st, ST_DFLT_GET);
	TRY(e);
	return (good ? OK
		     : err_fail(ERR_CORRUPT,
			   "the default encryption of inode %llu is damaged",
			   (unsigned long long)ino));
}

enum err
dflt_put(struct store *st, struct inode *ip, const char *text)
{
	sqlite3_stmt *const s = db_stmt(st, ST_DFLT_PUT);

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)ip->ino);
	(void)sqlite3_bind_text(s, 2, text, -1, SQLITE_STATIC);
	TRY(db_run(st, ST_DFLT_PUT));
	st->dflt_gen++;
	return (OK);
}

/* Nothing lies below a directory that loses its default when it is removed,
 * so only its own text is out of date. */
enum err
dflt_drop(struct store *st, struct inode *ip)
{
	sqlite3_stmt *const s = db_stmt(st, ST_DFLT_DEL);

	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)ip->ino);
	TRY(db_run(st, ST_DFLT_DEL));
	free(ip->dflt);
	ip->dflt = NULL;
	return (OK);
}

/* ---- What holds --------------------------------------------------------- */

static bool
known(const struct store *st, const struct inode *ip)
{
	return (ip->dflt != NULL && ip->dflt_gen == st->dflt_gen);
}

static enum err
remember(const struct store *st, struct inode *ip, const char *text)
{
	char *const copy = strdup(text);

	if (copy == NULL)
		return (ERR_NOMEM);
	free(ip->dflt);
	ip->dflt = copy;
	ip->dflt_gen = st->dflt_gen;
	return (OK);
}

/* Walk up from ${ino} to the first directory that knows, or has, a default. */
static enum err
find_up(struct store *st, uint64_t ino, char *ret)
{
	struct climb c = { .mark = 0 };
	enum err e;

	while (!climb_circle(&c, ino)) {
		PIN(dp);

		TRY(pin_child(st, ino, &dp));
		if (known(st, dp.ip)) {
			(void)stpcpy(ret, dp.ip->dflt);
			return (OK);
		}
		e = dflt_row(st, ino, ret);
		if (e != ERR_NODATA)
			return (e);
		if (ino == STORE_ROOT) {
			(void)stpcpy(ret, "None");
			return (OK);
		}
		ino = dp.ip->parent;
	}
	return (err_fail(ERR_CORRUPT, "directories form a circle"));
}

enum err
dflt_effective(struct store *st, struct inode *ip, const char **ret)
{
	char text[STORE_DEFAULT_MAX];

	if (!known(st, ip)) {
		TRY(find_up(st, ip->ino, text));
		TRY(remember(st, ip, text));
	}
	*ret = ip->dflt;
	return (OK);
}

/* ---- Interface ---------------------------------------------------------- */

enum err
store_default_get(struct store *st, uint64_t dir, char *ret)
{
	LOCK_SCOPE(&st->db);
	PIN(dp);
	TRY(pin_dir(st, dir, &dp));
	return (dflt_row(st, dir, ret));
}

enum err
store_default_effective(struct store *st, uint64_t dir, char *ret)
{
	const char *text;

	LOCK_SCOPE(&st->db);
	PIN(dp);
	TRY(pin_dir(st, dir, &dp));
	TRY(dflt_effective(st, dp.ip, &text));
	(void)stpcpy(ret, text);
	return (OK);
}

enum err
dflt_canonical(
    struct store *st, const struct kms_who *who, const char *text, char *ret)
{
	char arn[KMS_ARN_MAX];
	const char *keyname;
	enum sse method;
	int n;

	TRY(sse_parse(text, &method, &keyname));
	if (method != SSE_NONE && st->kms == NULL)
		return (err_fail(ERR_NOTSUP,
		    "the store has no key service: "
		    "only encryption \"None\" is possible"));
	if (keyname != NULL) {
		const struct kms_who by = asker_who(st, who);

		TRY(kms_key_choose(st->kms, &by, keyname, arn));
		n = snprintf(ret, STORE_DEFAULT_MAX, "KMS:%s", arn);
	} else {
		n = snprintf(ret, STORE_DEFAULT_MAX, "%s", text);
	}
	return (n > 0 && (size_t)n < STORE_DEFAULT_MAX ? OK : ERR_INVAL);
}

static enum err
dflt_remove(struct store *st, struct inode *ip)
{
	char old[STORE_DEFAULT_MAX];

	TRY(dflt_row(st, ip->ino, old));
	TRY(db_begin(st));
	TRY(dflt_drop(st, ip));
	st->dflt_gen++;
	return (OK);
}

enum err
store_default_set(
    struct store *st, const struct kms_who *who, uint64_t dir, const char *text)
{
	char canon[STORE_DEFAULT_MAX];

	if (text != NULL)
		TRY(dflt_canonical(st, who, text, canon));
	EPOCH_SCOPE(st);
	LOCK_SCOPE(&st->db);
	PIN(dp);
	TRY(pin_live_dir(st, dir, &dp));
	if (text == NULL) {
		TRY(dflt_remove(st, dp.ip));
	} else {
		TRY(db_room(st));
		TRY(db_begin(st));
		TRY(dflt_put(st, dp.ip, canon));
	}
	inode_touch(st, dp.ip, false);
	return (OK);
}
