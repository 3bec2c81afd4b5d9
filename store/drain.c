/*
 * drain: freeing the slots of segments that died.
 *
 * Small ones are freed at once.  Large ones are noted in table dead, in the
 * same transaction that makes them unreachable, and freed in batches by the
 * maintenance thread (or at the next start), so that no operation and no
 * transaction grows with the size of a file.  Draining needs no key: slots
 * stand in clear in the nodes' rows.
 */
#include <string.h>

#include "lib/base/log.h"

#include "store/object.h"

#define AT_ONCE 16u /* level-0 nodes (4 MiB) freed without a note */
#define BATCH 64u   /* level-0 nodes of one drain_step */

/* Give back the slots of one row. */
static void
row_give(struct store *st, uint64_t segno, uint64_t idx, const uint8_t *row,
    size_t len)
{
	struct node_row r;
	const struct ment *m;

	if (node_parse(row, len, 0, &r) != OK) {
		log_error("store %s: segment %llu: node %llu is damaged; its "
			  "space is lost until ssefs fsck --repair",
		    st->dir, (unsigned long long)segno,
		    (unsigned long long)idx);
		return;
	}
	m = (const struct ment *)(const void *)r.ents;
	for (unsigned i = 0; i < r.count; i++)
		if (ment_state(&m[i]) == MENT_DATA)
			alloc_give(st, ment_slot(&m[i]), 1, false);
}

/* Free up to ${max} level-0 nodes from ${first} on and delete their rows.
 * st->db held. */
static enum err
batch(struct store *st, uint64_t segno, uint64_t first, unsigned max,
    unsigned *ret_n)
{
	uint64_t idx[BATCH];
	unsigned n = 0;
	enum err e = OK;

	sqlite3_stmt *q = db_stmt(st, ST_NODE_FROM);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	sqlite3_bind_int(q, 2, 0);
	sqlite3_bind_int64(q, 3, (int64_t)first);
	sqlite3_bind_int64(q, 4, max);
	while (n < max && (e = db_row(st, ST_NODE_FROM)) == OK) {
		idx[n] = (uint64_t)sqlite3_column_int64(q, 0);
		row_give(st, segno, idx[n], sqlite3_column_blob(q, 1),
		    (size_t)sqlite3_column_bytes(q, 1));
		n++;
	}
	db_done(st, ST_NODE_FROM);
	/* Some slots are free and their rows are still there: to free them once
	 * more could free another's. */
	if (n < max && e != ERR_NOENT)
		return (n == 0 ? e : epoch_stop(st, e, "freeing space"));
	for (unsigned i = 0; i < n; i++) {
		q = db_stmt(st, ST_NODE_DEL);
		sqlite3_bind_int64(q, 1, (int64_t)segno);
		sqlite3_bind_int(q, 2, 0);
		sqlite3_bind_int64(q, 3, (int64_t)idx[i]);
		TRY(db_run(st, ST_NODE_DEL));
	}
	*ret_n = n;
	return (OK);
}

/* Rows above level 0 that only lead to what was drained. */
static enum err
upper_rows(struct store *st, uint64_t segno, uint64_t first)
{
	sqlite3_stmt *q;

	if (first == 0) {
		q = db_stmt(st, ST_NODE_DELSEG);
		sqlite3_bind_int64(q, 1, (int64_t)segno);
		return (db_run(st, ST_NODE_DELSEG));
	}
	for (int level = 1; level < NODE_LEVELS; level++) {
		const uint64_t width = (uint64_t)1 << (8 * level);
		const uint64_t from = (first + width - 1) / width;
		enum err e;

		for (;;) {
			uint64_t idx;

			q = db_stmt(st, ST_NODE_FROM);
			sqlite3_bind_int64(q, 1, (int64_t)segno);
			sqlite3_bind_int(q, 2, level);
			sqlite3_bind_int64(q, 3, (int64_t)from);
			sqlite3_bind_int64(q, 4, 1);
			e = db_row(st, ST_NODE_FROM);
			if (e != OK)
				break;
			idx = (uint64_t)sqlite3_column_int64(q, 0);
			db_done(st, ST_NODE_FROM);
			q = db_stmt(st, ST_NODE_DEL);
			sqlite3_bind_int64(q, 1, (int64_t)segno);
			sqlite3_bind_int(q, 2, level);
			sqlite3_bind_int64(q, 3, (int64_t)idx);
			TRY(db_run(st, ST_NODE_DEL));
		}
		if (e != ERR_NOENT)
			return (e);
	}
	return (OK);
}

enum err
drain_add(struct store *st, uint64_t segno, uint64_t first)
{
	unsigned n = 0;

	TRY(db_begin(st));
	TRY(batch(st, segno, first, AT_ONCE, &n));
	if (n < AT_ONCE)
		return (upper_rows(st, segno, first));
	sqlite3_stmt *q = db_stmt(st, ST_DEAD_PUT);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	sqlite3_bind_int64(q, 2, (int64_t)first);
	TRY(db_run(st, ST_DEAD_PUT));
	st->have_dead = true;
	epoch_kick(st);
	return (OK);
}

/* One batch of a noted range; the note goes with the last.  st->db held. */
static enum err
step(struct store *st, uint64_t segno, uint64_t first)
{
	unsigned n = 0;

	TRY(db_begin(st));
	TRY(batch(st, segno, first, BATCH, &n));
	if (n == BATCH)
		return (OK);
	TRY(upper_rows(st, segno, first));
	sqlite3_stmt *q = db_stmt(st, ST_DEAD_DEL);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	sqlite3_bind_int64(q, 2, (int64_t)first);
	return (db_run(st, ST_DEAD_DEL));
}

enum err
drain_step(struct store *st)
{
	uint64_t segno, first;

	EPOCH_SCOPE(st);
	LOCK_SCOPE(&st->db);
	sqlite3_stmt *q = db_stmt(st, ST_DEAD_NEXT);
	const enum err e = db_row(st, ST_DEAD_NEXT);
	if (e == ERR_NOENT)
		st->have_dead = false;
	TRY(e);
	segno = (uint64_t)sqlite3_column_int64(q, 0);
	first = (uint64_t)sqlite3_column_int64(q, 1);
	db_done(st, ST_DEAD_NEXT);
	return (step(st, segno, first));
}

enum err
drain_segment(struct store *st, struct seg *s, uint64_t chunk, unsigned most,
    bool *ret_clear)
{
	*ret_clear = true;
	for (unsigned n = 0; s->maybe_dead; n++) {
		LOCK_SCOPE(&st->db);
		sqlite3_stmt *q = db_stmt(st, ST_DEAD_HAS);
		uint64_t first;

		sqlite3_bind_int64(q, 1, (int64_t)s->no);
		const enum err e = db_row(st, ST_DEAD_HAS);
		if (e == ERR_NOENT) {
			s->maybe_dead = false;
			break;
		}
		TRY(e);
		first = (uint64_t)sqlite3_column_int64(q, 0);
		db_done(st, ST_DEAD_HAS);
		/* Nodes before the cut have rows of their own. */
		if (first > chunk)
			break;
		if (n == most) {
			*ret_clear = false;
			break;
		}
		TRY(step(st, s->no, first));
	}
	return (OK);
}
