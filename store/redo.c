/*
 * Redo: see redo.h for why, and for what a row may and may not do.
 *
 * Table redo(slot, data).  data, 4100 bytes:
 *	   0 4096  what the slot holds
 *	4096    4  CRC32C of the slot's number (u64) and of these
 * The CRC is for damage of the table: a row in the wrong place would damage
 * another file.  Who alters both is found by the block's tag.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"

#include "store/redo.h"

#define ADD "INSERT OR REPLACE INTO redo VALUES(?1, ?2)"
#define DEL "DELETE FROM redo WHERE slot=?1"
#define DEL_ALL "DELETE FROM redo"
#define ALL "SELECT slot, data FROM redo ORDER BY slot"
#define FIND "SELECT 1 FROM sqlite_schema WHERE type='table' AND name='redo'"
#define MAKE "CREATE TABLE redo(slot INTEGER PRIMARY KEY, data BLOB NOT NULL)"

#define ROW_LEN (BLOCK + 4u)

_Static_assert(REDO_SLOTS <= REDO_ROWS, "a commit's rows fit");
_Static_assert(ROW_LEN == 4100, "docs/FORMAT.md");

/* Of a row's block, the first bytes of ${data}. */
static uint32_t
row_crc(uint64_t slot, const uint8_t *data)
{
	uint8_t no[8];

	put_u64(no, slot);
	return (crc32c(crc32c(0, no, sizeof(no)), data, BLOCK));
}

static void
stmt_cleanup(sqlite3_stmt **s)
{
	(void)sqlite3_finalize(*s);
}
#define CLEANUP_STMT CLEANUP(stmt_cleanup)

/* ---- Opening ------------------------------------------------------------ */

static enum err
table_there(struct store *st, bool *ret)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;

	TRY(db_prepare(st, FIND, &s));
	const enum err e = db_step(st, s);

	*ret = e == OK;
	return (e == ERR_NOENT ? OK : e);
}

/* A store that was made by an older program has no such table.  Without one all
 * commits sync the arenas, as that program's did. */
static enum err
table_make(struct store *st)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;

	TRY(db_prepare(st, MAKE, &s));
	const enum err e = db_step(st, s);

	return (e == ERR_NOENT ? OK : e);
}

/* A row, put in its place, or kept for alloc_read() where that is not to be
 * written to. */
static enum err
row_take(struct store *st, uint64_t slot, const uint8_t *data)
{
	struct redo *r = st->redo;

	if (!st->readonly)
		return (alloc_write(st, slot, 1, data));
	r->shown[r->nshown].slot = slot;
	memcpy(r->shown[r->nshown].data, data, BLOCK);
	r->nshown++;
	return (OK);
}

static enum err
rows_load(struct store *st)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	struct redo *r = st->redo;
	enum err e;

	TRY(db_prepare(st, ALL, &s));
	while ((e = db_step(st, s)) == OK) {
		const sqlite3_int64 slot = sqlite3_column_int64(s, 0);
		const uint8_t *data = sqlite3_column_blob(s, 1);

		if (r->nrows == REDO_ROWS || slot <= 0 || data == NULL ||
		    sqlite3_column_type(s, 1) != SQLITE_BLOB ||
		    (size_t)sqlite3_column_bytes(s, 1) != ROW_LEN ||
		    (uint64_t)slot / GROUP_SLOTS >= alloc_groups(st) ||
		    get_u32(data + BLOCK) != row_crc((uint64_t)slot, data)) {
			r->damaged = true;
			continue;
		}
		TRY(row_take(st, (uint64_t)slot, data));
		r->row[r->nrows++] = (uint64_t)slot;
	}
	return (e == ERR_NOENT ? OK : e);
}

enum err
redo_open(struct store *st)
{
	struct redo *r = calloc(1, sizeof(*r));
	bool there = false;

	if (r == NULL)
		return (ERR_NOMEM);
	st->redo = r;
	r->data = calloc(REDO_SLOTS, ROW_LEN);
	r->shown = st->readonly ? calloc(REDO_ROWS, sizeof(*r->shown)) : NULL;
	if (r->data == NULL || (st->readonly && r->shown == NULL))
		return (ERR_NOMEM);
	r->off = st->readonly || st->opts.check || st->opts.no_redo;
	LOCK_SCOPE(&st->db);
	TRY(table_there(st, &there));
	if (!there) {
		if (!r->off && table_make(st) != OK) {
			err_clear();
			r->off = true;
		}
		return (OK);
	}
	const enum err e = rows_load(st);

	if (e == ERR_NOSPC)
		return (err_fail(e,
		    "blocks of the last commits wait in meta.db for their "
		    "places, for which the disk has no room: free some"));
	TRY(e);
	/* Whoever repairs finds it among the invariants. */
	if (r->damaged && !st->opts.check)
		return (err_fail(ERR_CORRUPT,
		    "meta.db: a block that waits for its place is damaged; "
		    "run ssefs fsck"));
	if (st->readonly || r->nrows == 0)
		return (OK);
	log_info("store %s: %u blocks of the last commits put in place",
	    st->dir, r->nrows);
	/* The next commit drops the rows. */
	return (alloc_sync(st));
}

void
redo_close(struct store *st)
{
	if (st->redo == NULL)
		return;
	free(st->redo->data);
	free(st->redo->shown);
	free(st->redo);
	st->redo = NULL;
}

bool
redo_shown(const struct store *st, uint64_t slot, uint8_t *ret)
{
	const struct redo *r = st->redo;

	for (uint32_t i = 0; r != NULL && i < r->nshown; i++)
		if (r->shown[i].slot == slot) {
			if (ret != NULL)
				memcpy(ret, r->shown[i].data, BLOCK);
			return (true);
		}
	return (false);
}

/* ---- What the arenas hold ------------------------------------------------- */

void
redo_written(struct store *st, uint64_t slot, uint32_t n)
{
	struct redo *r = st->redo;

	/* Most writers of much find it so. */
	if (r == NULL || atomic_load(&r->over))
		return;
	LOCK_SCOPE(&st->alloc_lock);
	if (n > REDO_SLOTS - r->n) {
		r->over = true;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		r->slot[r->n++] = slot + i;
}

void
redo_sync_begins(struct store *st)
{
	if (st->redo == NULL)
		return;
	LOCK_SCOPE(&st->alloc_lock);
	st->redo->n = 0;
	st->redo->over = false;
}

void
redo_synced(struct store *st)
{
	if (st->redo != NULL && st->redo->nrows != 0)
		st->redo->stale = true;
}

/* ---- In a commit ---------------------------------------------------------- */

bool
redo_likely(const struct store *st)
{
	return (!st->redo->off && !atomic_load(&st->redo->over));
}

static bool
has_row(const struct redo *r, uint64_t slot)
{
	for (uint32_t i = 0; i < r->nrows; i++)
		if (r->row[i] == slot)
			return (true);
	return (false);
}

/* Those of the slots written that the maps refer to, each once. */
static void
pick(struct store *st)
{
	struct redo *r = st->redo;
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		const uint64_t slot = r->slot[i];
		bool twice = !r->stale && has_row(r, slot);

		for (uint32_t k = 0; k < n && !twice; k++)
			twice = r->slot[k] == slot;
		if (!twice && alloc_in_use(st, slot))
			r->slot[n++] = slot;
	}
	r->n = n;
}

bool
redo_gather(struct store *st)
{
	struct redo *r = st->redo;

	r->nnew = 0;
	if (!redo_likely(st))
		return (false);
	pick(st);
	if ((r->stale ? 0 : r->nrows) + r->n > REDO_ROWS ||
	    (r->n != 0 && !db_room_redo(st)))
		return (false);
	for (uint32_t i = 0; i < r->n; i++) {
		uint8_t *const p = r->data + (size_t)i * ROW_LEN;

		if (alloc_read(st, r->slot[i], 1, p) != OK) {
			/* Then the sync has the last word. */
			err_clear();
			return (false);
		}
		put_u32(p + BLOCK, row_crc(r->slot[i], p));
	}
	r->nnew = r->n;
	return (true);
}

static enum err
run(struct store *st, sqlite3_stmt *s)
{
	enum err e = db_step(st, s);

	(void)sqlite3_reset(s);
	if (e == ERR_NOENT)
		return (OK);
	return (epoch_stop(st, e, "a change of the metadata"));
}

/* Rows that no longer may be written to their slots. */
static enum err
rows_drop(struct store *st)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	struct redo *r = st->redo;
	uint32_t n = 0;

	if (r->stale || r->damaged) {
		TRY(db_prepare(st, DEL_ALL, &s));
		TRY(run(st, s));
		r->nrows = 0;
		r->stale = false;
		r->damaged = false;
		return (OK);
	}
	for (uint32_t i = 0; i < r->nrows; i++) {
		if (alloc_in_use(st, r->row[i])) {
			r->row[n++] = r->row[i];
			continue;
		}
		if (s == NULL)
			TRY(db_prepare(st, DEL, &s));
		(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)r->row[i]);
		TRY(run(st, s));
	}
	r->nrows = n;
	return (OK);
}

enum err
redo_write_rows(struct store *st)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	struct redo *r = st->redo;

	if (r->nrows != 0 || r->damaged)
		TRY(rows_drop(st));
	if (r->nnew == 0)
		return (OK);
	TRY(db_prepare(st, ADD, &s));
	for (uint32_t i = 0; i < r->nnew; i++) {
		(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)r->slot[i]);
		if (sqlite3_bind_blob(s, 2, r->data + (size_t)i * ROW_LEN,
			(int)ROW_LEN, SQLITE_STATIC) != SQLITE_OK)
			return (ERR_NOMEM);
		TRY(run(st, s));
		r->row[r->nrows++] = r->slot[i];
	}
	r->nnew = 0;
	LOCK_SCOPE(&st->alloc_lock);
	r->n = 0;
	return (OK);
}

void
redo_check(struct store *st, void (*say)(void *arg, uint64_t slot), void *arg)
{
	const struct redo *r = st->redo;

	if (r->damaged)
		say(arg, 0);
	for (uint32_t i = 0; i < r->nrows; i++)
		if (!alloc_in_use(st, r->row[i]))
			say(arg, r->row[i]);
}

bool
redo_waits(const struct store *st)
{
	return (st->redo->nrows != 0 || st->redo->damaged);
}
