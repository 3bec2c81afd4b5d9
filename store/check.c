/*
 * check: fsck.
 *
 * The tables are looked at, with every change kept out.  Repairs are made in
 * the tables as well, in this order: what names stand in and refer to, then the
 * counts that follow from names, then records, maps and slots, then the counts
 * that follow from records.  What stands in core is forgotten afterwards.
 *
 * Nothing is dropped that something else still leads to, and nothing is made
 * up: of what was lost, what is left stays where it is, so that rows put back
 * from a backup fit again.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/check_internal.h"
#include "store/redo.h"

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
	return (db_step(ck->st, s));
}

static void
bind_all(sqlite3_stmt *s, unsigned n, va_list ap)
{
	for (unsigned i = 1; i <= n; i++)
		(void)sqlite3_bind_int64(
		    s, (int)i, (sqlite3_int64)va_arg(ap, uint64_t));
}

enum err
check_get(struct check *ck, const char *sql, uint64_t *ret, unsigned n, ...)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	va_list ap;

	TRY(db_prepare(ck->st, sql, &s));
	va_start(ap, n);
	bind_all(s, n, ap);
	va_end(ap);
	TRY(check_row(ck, s));
	*ret = (uint64_t)sqlite3_column_int64(s, 0);
	return (OK);
}

enum err
check_step(struct check *ck, sqlite3_stmt *s)
{
	const enum err e = check_row(ck, s);

	return (e == ERR_NOENT ? OK : epoch_stop(ck->st, e, "a repair"));
}

enum err
check_run(struct check *ck, const char *sql, unsigned n, ...)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	va_list ap;

	TRY(db_prepare(ck->st, sql, &s));
	va_start(ap, n);
	bind_all(s, n, ap);
	va_end(ap);
	return (check_step(ck, s));
}

enum err
check_list(struct check *ck, const char *sql, uint64_t **ret, size_t *ret_n)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	uint64_t *v CLEANUP_FREE = NULL;
	size_t n = 0;
	enum err e;

	TRY(db_prepare(ck->st, sql, &s));
	while ((e = check_row(ck, s)) == OK) {
		if ((n & (n - 1)) == 0) {
			uint64_t *more =
			    realloc(v, (n == 0 ? 1 : 2 * n) * sizeof(*v));

			if (more == NULL)
				return (ERR_NOMEM);
			v = more;
		}
		v[n++] = (uint64_t)sqlite3_column_int64(s, 0);
	}
	if (e != ERR_NOENT)
		return (e);
	*ret = steal(v);
	*ret_n = n;
	return (OK);
}

enum err
check_fix_add(struct check *ck, const char *sql, uint64_t ino, uint64_t value)
{
	if (ck->nfix == ck->fix_cap) {
		const size_t cap = ck->fix_cap == 0 ? 64 : 2 * ck->fix_cap;
		struct check_fix *v = realloc(ck->fix, cap * sizeof(*v));

		if (v == NULL)
			return (ERR_NOMEM);
		ck->fix = v;
		ck->fix_cap = cap;
	}
	ck->fix[ck->nfix++] = (struct check_fix){ sql, ino, value };
	return (OK);
}

enum err
check_fix_all(struct check *ck)
{
	for (size_t i = 0; i < ck->nfix; i++)
		TRY(check_run(
		    ck, ck->fix[i].sql, 2, ck->fix[i].value, ck->fix[i].ino));
	ck->nfix = 0;
	return (OK);
}

/* I10 */
static enum err
check_counters(struct check *ck)
{
	struct store *const st = ck->st;
	uint64_t ino, seg, next_ino, next_seg;

	/* In core they were raised when the store was opened. */
	TRY(check_get(ck, "SELECT next_ino FROM super", &next_ino, 0));
	TRY(check_get(ck, "SELECT next_seg FROM super", &next_seg, 0));
	TRY(check_get(ck, "SELECT coalesce(max(ino), 0) FROM inode", &ino, 0));
	TRY(check_get(ck,
	    "SELECT max(coalesce((SELECT max(seg) FROM node), 0),"
	    " coalesce((SELECT max(seg) FROM segment), 0))",
	    &seg, 0));
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
	const unsigned long failed = vfs_read_failures();
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	const char *text;
	enum err e;

	TRY(db_prepare(ck->st, "PRAGMA quick_check(20)", &s));
	while ((e = check_row(ck, s)) == OK) {
		text = (const char *)sqlite3_column_text(s, 0);
		/* What the disk did not give is not damaged for that. */
		if (vfs_read_failures() != failed)
			return (err_fail(ERR_IO,
			    "meta.db: a page cannot be read: input/output "
			    "error"));
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

/* I13.  The commit of a repair drops all rows. */
static void
redo_bad(void *arg, uint64_t slot)
{
	struct check *ck = arg;

	if (slot == 0)
		check_say(ck, "I13", 0, ck->repair,
		    "table ring (or redo) is damaged");
	else
		check_say(ck, "I13", 0, ck->repair,
		    "table ring has a block for slot %llu, which nothing uses",
		    (unsigned long long)slot);
}

static enum err
check_locked(struct check *ck)
{
	const uint64_t found = ck->ret->problems;

	TRY(check_sqlite(ck));
	/* Changes to a damaged database may damage more. */
	if (ck->ret->problems != found)
		ck->repair = false;
	if (ck->repair)
		TRY(db_begin(ck->st));
	TRY(check_get(ck, "SELECT count(*) FROM inode", &ck->ret->inodes, 0));
	TRY(check_get(ck, "SELECT count(*) FROM dentry", &ck->ret->names, 0));
	TRY(check_counters(ck));
	TRY(check_names(ck));
	TRY(check_sql(ck));
	TRY(check_acl(ck));
	TRY(check_map(ck));
	redo_check(ck->st, redo_bad, ck);
	return (check_uses(ck));
}

static enum err
check_all(struct check *ck)
{
	struct store *const st = ck->st;

	RWLOCK_WRITE_SCOPE(&st->epoch);
	LOCK_SCOPE(&st->db);
	const enum err e = check_locked(ck);

	free(ck->fix);
	/* What was repaired half is not kept. */
	if (e != OK && ck->ret->repaired != 0)
		return (epoch_stop(st, e, "a repair"));
	TRY(e);
	if (ck->ret->repaired == 0)
		return (OK);
	/* Inodes and counts in core are as before the repair. */
	inode_close(st);
	keyrefs_close(st);
	return (inode_open(st));
}

/* Free what waits to be freed, so that rows and bitmap say the same.  Not in a
 * store that may be damaged: what is to be freed may be in use. */
static enum err
settle(struct store *st)
{
	enum err e = OK;

	if (st->readonly || st->opts.check)
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
	if (repair && !st->opts.check)
		return (err_fail(
		    ERR_INVAL, "the store was not opened to be checked"));
	TRY(settle(st));
	TRY(check_all(&ck));
	TRY(check_kms(&ck));
	if (!repair)
		return (OK);
	TRY(epoch_commit(st));
	/* What a crash left reserved, or freed and not given back. */
	if (ret->problems == ret->repaired)
		alloc_trim(st, true);
	return (OK);
}
