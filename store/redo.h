/*
 * redo: a few new blocks become durable together with the metadata that names
 * them, in one flush of the disk.
 *
 * Rule 1 wants data before the map.  A commit therefore syncs the arenas, then
 * the WAL: two flushes, which is what an fsync of one small write waits for.  Of a
 * commit with at most REDO_SLOTS new blocks the ciphertext goes into table ring
 * instead, in the commit's own transaction; their slots are written at once as
 * all are, and synced when a later commit has more to sync, or the store is closed
 * or backed up.  At open every row is written to its slot again, before anything
 * is read.  So rule 1 reads: no map row is committed before the slot it names
 * is synced, or stands in a row.
 *
 * Rule 2 holds for rows too: one may be written to its slot at any open until
 * it is dropped, so it must be gone before the slot can have another use.  A
 * row is dropped by the first commit
 *   - after a sync of the arenas that began when the slot was written, or
 *   - in which no map uses the slot; the slot is in quarantine until that commit
 *     is durable.
 *
 * While there are rows the store's format is the one of a program that knows
 * them (STORE_RING more than otherwise): an older one would read stale slots.
 * Rows that an older program has left, in table redo, are put in place as well
 * (STORE_REDO); none is added there.
 *
 * Locks: ${slot}, ${n} and ${over} under st->alloc_lock, the rest under
 * st->commit, with the exclusive epoch where a function says so.
 */
#ifndef STORE_REDO_H
#define STORE_REDO_H

#include "store/store_internal.h"

#define REDO_SLOTS 32u /* most new rows of a commit */
#define REDO_ROWS 128u /* most rows: 512 KiB */

struct redo_block {
	uint64_t slot;
	uint8_t data[BLOCK];
};

struct redo {
	uint64_t slot[REDO_SLOTS]; /* written since the last sync began … */
	uint32_t n;
	atomic_bool over; /* … and more than fit */

	bool have_old, have_ring; /* the tables redo and ring */
	bool off;                 /* every commit syncs the arenas */
	bool stale;   /* all rows are of slots that were synced since */
	bool damaged; /* a row is none; dropped by the next commit */
	uint64_t gen; /* generation that counts, 0 for none */
	uint64_t row[REDO_ROWS]; /* by place: whose row, 0 for none */
	uint32_t nrows;
	uint64_t old[REDO_ROWS]; /* slots that have rows in table redo */
	uint32_t nold;
	uint8_t *data; /* the rows of the first ${nnew} slots */
	uint32_t nnew; /* rows that the present commit adds */

	/* Set at the start, for at most REDO_ROWS: rows of a store that may not
	 * be written to. */
	struct redo_block *shown;
	uint32_t nshown;
};

/* After alloc_open(): rows to their slots.  ERR_CORRUPT, unless opts.check. */
enum err redo_open(struct store *st) MUSTCHECK;
void redo_close(struct store *st);

/* Is this slot's content in a row that alloc_read() has to show?  Copies it,
 * unless ${ret} is NULL. */
bool redo_shown(const struct store *st, uint64_t slot, uint8_t *ret);

/* Slots were written to an arena. */
void redo_written(struct store *st, uint64_t slot, uint32_t n);
/* Arenas are about to be synced; all of them have been. */
void redo_sync_begins(struct store *st);
void redo_synced(struct store *st);

/* May the coming commit do without a sync of the arenas, as far as can be told
 * while others write? */
bool redo_likely(const struct store *st);
/* The same for certain, with the exclusive epoch; reads the new blocks. */
bool redo_gather(struct store *st) MUSTCHECK;
/* Drop and add rows; in the commit's transaction. */
enum err redo_write_rows(struct store *st) MUSTCHECK;
/* I13: say(arg, slot) for every row of a slot that is not in use, and with 0 when
 * a row is none at all. */
void redo_check(
    struct store *st, void (*say)(void *arg, uint64_t slot), void *arg);
/* Are there rows? */
bool redo_waits(const struct store *st);

#endif
