/*
 * check: fsck.
 *
 * Everything is brought to the tables first, then looked at there, with every
 * change kept out.  Repairs are made in the tables as well; what stands in core
 * is forgotten afterwards.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/check_internal.h"

void
check_say(struct check *ck, const char *invariant, uint64_t ino, bool repaired,
    const char *fmt, ...)
{
	char what[256];
	const struct store_problem p = { .invariant = invariant,
		.ino = ino,
		.repaired = repaired,
		.what = what };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	ck->ret->problems++;
	if (repaired)
		ck->ret->repaired++;
	if (ck->cb != NULL)
		ck->cb(ck->arg, &p);
}

enum err
check_row(struct check *ck, sqlite3_stmt *s)
{
	const int rc = sqlite3_step(s);

	(void)ck;
	if (rc == SQLITE_ROW)
		return (OK);
	return (rc == SQLITE_DONE ? ERR_NOENT : db_err(rc));
}

static enum err
count(struct check *ck, const char *sql, uint64_t *ret)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;

	TRY(db_prepare(ck->st, sql, &s));
	TRY(check_row(ck, s));
	*ret = (uint64_t)sqlite3_column_int64(s, 0);
	return (OK);
}

/* I10 */
static enum err
check_counters(struct check *ck)
{
	struct store *const st = ck->st;
	uint64_t ino, seg, next_ino, next_seg;

	/* In core they were raised when the store was opened. */
	TRY(count(ck, "SELECT next_ino FROM super", &next_ino));
	TRY(count(ck, "SELECT next_seg FROM super", &next_seg));
	TRY(count(ck, "SELECT coalesce(max(ino), 0) FROM inode", &ino));
	TRY(count(ck,
	    "SELECT max(coalesce((SELECT max(seg) FROM node), 0),"
	    " coalesce((SELECT max(seg) FROM segment), 0))",
	    &seg));
	/* The repair is to write the raised ones. */
	if (ino >= next_ino)
		check_say(ck, "I10", ino, ck->repair && ino < st->next_ino,
		    "the inode's number is not below the counter %llu",
		    (unsigned long long)next_ino);
	if (seg >= next_seg)
		check_say(ck, "I10", 0, ck->repair && seg < st->next_seg,
		    "segment %llu is not below the counter %llu",
		    (unsigned long long)seg, (unsigned long long)next_seg);
	return (OK);
}

/* I0 */
static enum err
check_sqlite(struct check *ck)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	const char *text;
	enum err e;

	TRY(db_prepare(ck->st, "PRAGMA quick_check(20)", &s));
	while ((e = check_row(ck, s)) == OK) {
		text = (const char *)sqlite3_column_text(s, 0);
		if (text == NULL || strcmp(text, "ok") != 0)
			check_say(ck, "I0", 0, false, "meta.db: %s",
			    text == NULL ? "damaged" : text);
	}
	if (e == ERR_CORRUPT) {
		check_say(ck, "I0", 0, false, "meta.db is damaged");
		return (OK);
	}
	return (e == ERR_NOENT ? OK : e);
}

static enum err
check_all(struct check *ck)
{
	struct store *const st = ck->st;

	RWLOCK_WRITE_SCOPE(&st->epoch);
	LOCK_SCOPE(&st->db);
	if (ck->repair)
		TRY(db_begin(st));
	TRY(check_sqlite(ck));
	TRY(count(ck, "SELECT count(*) FROM inode", &ck->ret->inodes));
	TRY(count(ck, "SELECT count(*) FROM dentry", &ck->ret->names));
	TRY(check_counters(ck));
	TRY(check_sql(ck));
	TRY(check_map(ck));
	if (ck->ret->repaired == 0)
		return (OK);
	/* Inodes and counts in core are as before the repair. */
	inode_close(st);
	keyrefs_close(st);
	return (inode_open(st));
}

/* Free what waits to be freed, so that rows and bitmap say the same. */
static enum err
settle(struct store *st)
{
	enum err e = OK;

	if (st->readonly)
		return (OK);
	while (e == OK)
		e = drain_step(st);
	if (e != ERR_NOENT)
		return (e);
	return (epoch_commit(st));
}

enum err
store_check(struct store *st, bool repair,
    void (*cb)(void *arg, const struct store_problem *p), void *arg,
    struct store_check_result *ret)
{
	struct check ck = {
		.st = st, .repair = repair, .cb = cb, .arg = arg, .ret = ret
	};

	*ret = (struct store_check_result){ .inodes = 0 };
	if (repair && st->readonly)
		return (ERR_ROFS);
	TRY(settle(st));
	TRY(check_all(&ck));
	return (repair ? epoch_commit(st) : OK);
}
