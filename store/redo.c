/*
 * Redo: see redo.h for why, and for what a row may and may not do.
 *
 * Table ring(place, data).  data of places 1 to REDO_ROWS, 4116 bytes:
 *	   0 4096  what the slot holds
 *	4096    8  the slot's number, 0 for none
 *	4104    8  generation
 *	4112    4  CRC32C of all that
 * and of place 0, which says which generation counts, 12 bytes:
 *	   0    8  generation, 0 for none
 *	   8    4  CRC32C of it
 * The CRCs are for damage of the table: a row of another slot would damage
 * another file.  Who alters them too is found by the block's tag.
 *
 * Rows are overwritten where they are, with as many bytes, which changes one page
 * of meta.db; and all of them end by a new generation, which changes one page as
 * well.  (Rows by slot, added and deleted, took five pages for a block.)
 *
 * Table redo(slot, data), of older programs.  data, 4100 bytes:
 *	   0 4096  what the slot holds
 *	4096    4  CRC32C of the slot's number (u64) and of these
 * It is read, and emptied by the first commit.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"

#include "store/redo.h"

#define PUT                                \
	"INSERT INTO ring VALUES(?1, ?2) " \
	"ON CONFLICT(place) DO UPDATE SET data=excluded.data"
#define DEL_ALL "DELETE FROM ring"
#define ALL "SELECT place, data FROM ring ORDER BY place"
#define FIND "SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?1"
#define MAKE "CREATE TABLE ring(place INTEGER PRIMARY KEY, data BLOB NOT NULL)"
#define OLD_DEL_ALL "DELETE FROM redo"
#define OLD_ALL "SELECT slot, data FROM redo ORDER BY slot"

#define ROW_LEN (BLOCK + 20u)
#define HEAD_LEN 12u
#define OLD_LEN (BLOCK + 4u)

_Static_assert(REDO_SLOTS <= REDO_ROWS, "a commit's rows fit");
_Static_assert(ROW_LEN == 4116 && OLD_LEN == 4100, "docs/FORMAT.md");

static void
row_make(uint64_t slot, uint64_t gen, uint8_t row[static ROW_LEN])
{
	put_u64(row + BLOCK, slot);
	put_u64(row + BLOCK + 8, gen);
	put_u32(row + BLOCK + 16, crc32c(0, row, BLOCK + 16));
}

static void
head_make(uint64_t gen, uint8_t head[static HEAD_LEN])
{
	put_u64(head, gen);
	put_u32(head + 8, crc32c(0, head, 8));
}

/* Of a row's block, the first bytes of ${data}. */
static uint32_t
old_crc(uint64_t slot, const uint8_t *data)
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
table_there(struct store *st, const char *name, bool *ret)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;

	TRY(db_prepare(st, FIND, &s));
	if (sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC) != SQLITE_OK)
		return (ERR_NOMEM);
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

/* The blob of column 1, when it is one of ${len} bytes. */
static const uint8_t *
row_data(sqlite3_stmt *s, size_t len)
{
	const uint8_t *const data = sqlite3_column_blob(s, 1);

	if (sqlite3_column_type(s, 1) != SQLITE_BLOB ||
	    (size_t)sqlite3_column_bytes(s, 1) != len)
		return (NULL);
	return (data);
}

static bool
slot_exists(struct store *st, uint64_t slot)
{

	return (slot != 0 && slot / GROUP_SLOTS < alloc_groups(st));
}

static enum err
old_load(struct store *st)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	struct redo *r = st->redo;
	enum err e;

	TRY(db_prepare(st, OLD_ALL, &s));
	while ((e = db_step(st, s)) == OK) {
		const uint64_t slot = (uint64_t)sqlite3_column_int64(s, 0);
		const uint8_t *data = row_data(s, OLD_LEN);

		if (r->nold == REDO_ROWS || data == NULL ||
		    !slot_exists(st, slot) ||
		    get_u32(data + BLOCK) != old_crc(slot, data)) {
			r->damaged = true;
			continue;
		}
		TRY(row_take(st, slot, data));
		r->old[r->nold++] = slot;
	}
	return (e == ERR_NOENT ? OK : e);
}

static bool
has_row(const struct redo *r, uint64_t slot)
{
	for (uint32_t i = 0; i < REDO_ROWS; i++)
		if (r->row[i] == slot)
			return (true);
	return (false);
}

/* One row of the ring; rows of other generations do not count. */
static enum err
ring_row(struct store *st, sqlite3_int64 place, const uint8_t *data)
{
	struct redo *r = st->redo;
	const uint64_t slot = data == NULL ? 0 : get_u64(data + BLOCK);

	if (place < 1 || place > REDO_ROWS || data == NULL ||
	    get_u32(data + BLOCK + 16) != crc32c(0, data, BLOCK + 16)) {
		r->damaged = true;
		return (OK);
	}
	if (get_u64(data + BLOCK + 8) != r->gen || slot == 0)
		return (OK);
	/* Where an older program has left rows, it has found none here. */
	if (!slot_exists(st, slot) || has_row(r, slot) || r->nold != 0) {
		r->damaged = true;
		return (OK);
	}
	TRY(row_take(st, slot, data));
	r->row[place - 1] = slot;
	r->nrows++;
	return (OK);
}

static enum err
ring_load(struct store *st)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	struct redo *r = st->redo;
	const uint8_t *head;
	enum err e;

	TRY(db_prepare(st, ALL, &s));
	e = db_step(st, s);
	if (e != OK)
		return (e == ERR_NOENT ? OK : e);
	head = row_data(s, HEAD_LEN);
	if (sqlite3_column_int64(s, 0) != 0 || head == NULL ||
	    get_u32(head + 8) != crc32c(0, head, 8)) {
		r->damaged = true;
		return (OK);
	}
	r->gen = get_u64(head);
	if (r->gen == 0)
		return (OK);
	while ((e = db_step(st, s)) == OK)
		TRY(ring_row(
		    st, sqlite3_column_int64(s, 0), row_data(s, ROW_LEN)));
	return (e == ERR_NOENT ? OK : e);
}

static enum err
rows_load(struct store *st)
{
	struct redo *r = st->redo;

	TRY(table_there(st, "redo", &r->have_old));
	if (r->have_old)
		TRY(old_load(st));
	TRY(table_there(st, "ring", &r->have_ring));
	return (r->have_ring ? ring_load(st) : OK);
}

enum err
redo_open(struct store *st)
{
	struct redo *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (ERR_NOMEM);
	st->redo = r;
	r->data = calloc(REDO_SLOTS, ROW_LEN);
	r->shown = st->readonly ? calloc(REDO_ROWS, sizeof(*r->shown)) : NULL;
	if (r->data == NULL || (st->readonly && r->shown == NULL))
		return (ERR_NOMEM);
	r->off = st->readonly || st->opts.check || st->opts.no_redo;
	LOCK_SCOPE(&st->db);
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
	if (!r->have_ring && !r->off) {
		r->have_ring = table_make(st) == OK;
		if (!r->have_ring) {
			err_clear();
			r->off = true;
		}
	}
	if (st->readonly || r->nrows + r->nold == 0)
		return (OK);
	log_info("store %s: %u blocks of the last commits put in place",
	    st->dir, r->nrows + r->nold);
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
	struct redo *r = st->redo;

	if (r != NULL && r->nrows + r->nold != 0)
		r->stale = true;
}

/* ---- In a commit ---------------------------------------------------------- */

bool
redo_likely(const struct store *st)
{
	return (!st->redo->off && !atomic_load(&st->redo->over));
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

static enum err
run_sql(struct store *st, const char *sql)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;

	TRY(db_prepare(st, sql, &s));
	return (run(st, s));
}

static enum err
put(struct store *st, sqlite3_stmt *s, uint32_t place, const uint8_t *data,
    size_t len)
{
	(void)sqlite3_bind_int64(s, 1, place);
	if (sqlite3_bind_blob(s, 2, data, (int)len, SQLITE_STATIC) != SQLITE_OK)
		return (ERR_NOMEM);
	return (run(st, s));
}

/* Which rows may no longer be written to their slots: all, or those in
 * ${gone}. */
static enum err
rows_drop(struct store *st, bool gone[static REDO_ROWS])
{
	struct redo *r = st->redo;

	if (r->have_old && (r->damaged || r->nold != 0))
		TRY(run_sql(st, OLD_DEL_ALL));
	if (r->have_ring && r->damaged)
		TRY(run_sql(st, DEL_ALL));
	for (uint32_t i = 0; i < REDO_ROWS; i++) {
		if (r->row[i] == 0 ||
		    (!r->stale && !r->damaged && alloc_in_use(st, r->row[i])))
			continue;
		gone[i] = true;
		r->row[i] = 0;
		r->nrows--;
	}
	r->stale = false;
	r->damaged = false;
	r->nold = 0;
	return (OK);
}

/* The new rows, first where there were others in this generation. */
static enum err
rows_add(struct store *st, sqlite3_stmt *s, bool gone[static REDO_ROWS])
{
	struct redo *r = st->redo;
	uint32_t at = 0, any = 0;

	for (uint32_t i = 0; i < r->nnew; i++) {
		uint8_t *const row = r->data + (size_t)i * ROW_LEN;

		while (at < REDO_ROWS && !gone[at])
			at++;
		while (any < REDO_ROWS && (gone[any] || r->row[any] != 0))
			any++;
		const uint32_t to = at < REDO_ROWS ? at : any;

		if (to == REDO_ROWS)
			return (ERR_INTERNAL);
		row_make(r->slot[i], r->gen, row);
		TRY(put(st, s, to + 1, row, ROW_LEN));
		gone[to] = false;
		r->row[to] = r->slot[i];
		r->nrows++;
	}
	r->nnew = 0;
	return (OK);
}

/* What is left in ${gone} still stands in the table. */
static enum err
rows_blank(struct store *st, sqlite3_stmt *s, const bool gone[static REDO_ROWS])
{
	uint8_t blank[ROW_LEN] = { 0 };

	row_make(0, 0, blank);
	for (uint32_t i = 0; i < REDO_ROWS; i++)
		if (gone[i])
			TRY(put(st, s, i + 1, blank, sizeof(blank)));
	return (OK);
}

/*
 * A new generation when none of the present one counts any more, unless the
 * place of such a row is taken by one that does.  Its number, the epoch's and
 * one, was none before: epochs only grow.
 */
static enum err
generation(
    struct store *st, sqlite3_stmt *s, bool all, bool gone[static REDO_ROWS])
{
	struct redo *r = st->redo;
	uint8_t head[HEAD_LEN];
	uint64_t gen = r->gen;

	if (r->nrows == 0 && r->nnew == 0)
		gen = 0;
	else if (all || gen == 0)
		gen = st->epoch_no + 1;
	if (gen == r->gen)
		return (OK);
	head_make(gen, head);
	TRY(put(st, s, 0, head, sizeof(head)));
	r->gen = gen;
	memset(gone, 0, REDO_ROWS * sizeof(*gone));
	return (OK);
}

enum err
redo_write_rows(struct store *st)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	struct redo *r = st->redo;
	const bool all = r->stale || r->damaged;
	bool gone[REDO_ROWS] = { false };

	if (redo_waits(st))
		TRY(rows_drop(st, gone));
	if (r->nnew == 0 && r->gen == 0)
		return (OK);
	TRY(db_prepare(st, PUT, &s));
	TRY(generation(st, s, all, gone));
	TRY(rows_add(st, s, gone));
	TRY(rows_blank(st, s, gone));
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
	for (uint32_t i = 0; i < REDO_ROWS; i++)
		if (r->row[i] != 0 && !alloc_in_use(st, r->row[i]))
			say(arg, r->row[i]);
	for (uint32_t i = 0; i < r->nold; i++)
		if (!alloc_in_use(st, r->old[i]))
			say(arg, r->old[i]);
}

bool
redo_waits(const struct store *st)
{
	const struct redo *r = st->redo;

	return (r->nrows + r->nold != 0 || r->damaged);
}
