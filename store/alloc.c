/*
 * alloc: slots in arenas.
 *
 * An arena is a file of 16 GiB at most, cut into extents of 1 MiB (256 slots),
 * 128 of which are a group: one row of table alloc.  Two bitmaps a group:
 * ${used} is what the maps of the open epoch refer to and what is written at
 * its end; ${busy} adds the slots that were freed but may still be referred
 * to by the last durable epoch (rule 2).  Only what is not busy is handed out.
 *
 * Groups begin one after the other, so that only damage leaves one out.  Such a
 * group is not in core (NULL) and nothing is known of its slots: they are read
 * and never handed out, until a repair says which are free.  So a row with a high
 * number costs memory for itself alone.
 *
 * While an epoch is being copied (alloc_hold.c) what it refers to stays busy
 * longer.
 *
 * Before a slot of an extent is handed out its space is reserved on the disk
 * (fallocate), so that a full disk is an error of alloc_take and never one of
 * a later write.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/sys.h"

#include "store/alloc_internal.h"

#define SMALL_WANT 32u   /* smaller wishes share extents */
#define SMALL_SCAN 1024u /* extents looked at for a shared one */

static bool
bit_get(const uint8_t *map, uint32_t i)
{
	return ((map[i / 8] >> (i % 8)) & 1);
}

static void
bit_set(uint8_t *map, uint32_t i)
{
	map[i / 8] = (uint8_t)(map[i / 8] | 1u << (i % 8));
}

static void
bit_clear(uint8_t *map, uint32_t i)
{
	map[i / 8] = (uint8_t)(map[i / 8] & ~(1u << (i % 8)));
}

static struct group *
group_of(const struct alloc *a, uint64_t slot)
{
	const uint64_t g = slot / GROUP_SLOTS;

	return (g < a->ngrp ? a->grp[g] : NULL);
}

/* Add group number ${no}, empty, unless it is there. */
static enum err
group_add(struct alloc *a, uint64_t no)
{
	struct group *g, **v;

	if (no >= GROUPS_MAX)
		return (err_fail(
		    ERR_NOSPC, "the store has reached %u arenas", ARENAS_MAX));
	if (no < a->ngrp && a->grp[no] != NULL)
		return (OK);
	if (no >= a->ngrp) {
		v = realloc(a->grp, (size_t)(no + 1) * sizeof(struct group *));
		if (v == NULL)
			return (ERR_NOMEM);
		a->grp = v;
		while (a->ngrp <= no)
			v[a->ngrp++] = NULL;
	}
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return (ERR_NOMEM);
	a->grp[no] = g;
	a->empty += GROUP_EXTENTS;
	if (no == 0) {
		/* Slot 0 means "none" and is never handed out. */
		bit_set(g->busy, 0);
		g->ext_busy[0] = 1;
		a->empty--;
	}
	return (OK);
}

static void
group_load(struct alloc *a, struct group *g, const uint8_t *bits, bool first)
{
	memcpy(g->used, bits, GROUP_BYTES);
	memcpy(g->busy, bits, GROUP_BYTES);
	if (first)
		bit_set(g->busy, 0);
	for (uint32_t e = 0; e < GROUP_EXTENTS; e++) {
		unsigned n = 0;

		for (uint32_t i = 0; i < EXTENT_SLOTS / 8; i++)
			n += (unsigned)__builtin_popcount(
			    g->busy[e * (EXTENT_SLOTS / 8) + i]);
		if (g->ext_busy[e] == 0 && n != 0)
			a->empty--;
		else if (g->ext_busy[e] != 0 && n == 0)
			a->empty++;
		g->ext_busy[e] = (uint16_t)n;
		g->older[e] = n != 0 && !g->backed[e];
	}
}

enum err
alloc_open(struct store *st)
{
	struct alloc *a = calloc(1, sizeof(*a));
	enum err e = OK;

	if (a == NULL)
		return (ERR_NOMEM);
	for (unsigned i = 0; i < ARENAS_MAX; i++)
		a->arena[i].fd = -1;
	lock_cond_init(&a->ahead_done);
	st->alloc = a;

	LOCK_SCOPE(&st->db);
	sqlite3_stmt *s = db_stmt(st, ST_ALLOC_GET);
	while ((e = db_row(st, ST_ALLOC_GET)) == OK) {
		const int64_t no = sqlite3_column_int64(s, 0);
		const void *bits = sqlite3_column_blob(s, 1);

		if (no < 0 || no >= (int64_t)GROUPS_MAX ||
		    sqlite3_column_bytes(s, 1) != GROUP_BYTES) {
			/* check_map.c looks at the rows itself. */
			if (st->opts.check)
				continue;
			db_done(st, ST_ALLOC_GET);
			return (err_fail(ERR_CORRUPT,
			    "table alloc holds an impossible row"));
		}
		e = group_add(a, (uint64_t)no);
		if (e != OK) {
			db_done(st, ST_ALLOC_GET);
			return (e);
		}
		group_load(a, a->grp[no], bits, no == 0);
	}
	return (e == ERR_NOENT ? OK : e);
}

void
alloc_close(struct store *st)
{
	struct alloc *a = st->alloc;

	if (a == NULL)
		return;
	for (unsigned i = 0; i < ARENAS_MAX; i++)
		if (a->arena[i].fd >= 0)
			(void)sys->close(a->arena[i].fd);
	for (uint32_t i = 0; i < a->ngrp; i++)
		if (a->grp[i] != NULL)
			free(a->grp[i]->hold);
	for (uint32_t i = 0; i < a->ngrp; i++)
		free(a->grp[i]);
	free(a->grp);
	(void)pthread_cond_destroy(&a->ahead_done);
	free(a->cur.v);
	free(a->sealed.v);
	free(a);
	st->alloc = NULL;
}

/* Busy-free slots in a row from ${slot} on, ${want} at most. */
static uint32_t
free_run(const struct group *g, uint32_t i, uint32_t want)
{
	uint32_t n = 0;

	while (n < want && i + n < GROUP_SLOTS && !bit_get(g->busy, i + n))
		n++;
	return (n);
}

static void
count_busy(struct alloc *a, struct group *g, uint32_t i, bool up)
{
	uint16_t *c = &g->ext_busy[i / EXTENT_SLOTS];

	if (up && (*c)++ == 0) {
		a->empty--;
		if (g->backed[i / EXTENT_SLOTS])
			a->backed_empty--;
	}
	if (!up && --(*c) == 0) {
		a->empty++;
		if (g->backed[i / EXTENT_SLOTS])
			a->backed_empty++;
	}
}

/* Take up to ${want} slots in a row at ${slot}, which is free. */
static enum err
take_at(struct store *st, uint64_t slot, uint32_t want, uint64_t *ret_slot,
    uint32_t *ret_n)
{
	struct alloc *a = st->alloc;
	struct group *g = group_of(a, slot);
	const uint32_t first = (uint32_t)(slot % GROUP_SLOTS);
	uint32_t n = free_run(g, first, want);

	TRY(arena_reserve(st, slot / EXTENT_SLOTS));
	for (uint32_t e = first / EXTENT_SLOTS + 1;
	     e <= (first + n - 1) / EXTENT_SLOTS; e++) {
		/* Shorter is fine when the space ends here. */
		if (arena_reserve(st, slot / GROUP_SLOTS * GROUP_EXTENTS + e) !=
		    OK) {
			n = e * EXTENT_SLOTS - first;
			break;
		}
	}
	for (uint32_t i = first; i < first + n; i++) {
		bit_set(g->used, i);
		bit_set(g->busy, i);
		count_busy(a, g, i, true);
	}
	g->dirty = true;
	if (want >= SMALL_WANT)
		arena_wanted(st, (slot + n - 1) / EXTENT_SLOTS);
	*ret_slot = slot;
	*ret_n = n;
	return (OK);
}

/* An extent without a busy slot; grows the last arena when there is none. */
static enum err
find_empty(struct alloc *a, uint64_t *ret_ext)
{
	const uint64_t total = (uint64_t)a->ngrp * GROUP_EXTENTS;

	if (a->empty != 0) {
		for (uint64_t i = 0; i < total; i++) {
			const uint64_t x = (a->next_ext + i) % total;
			const struct group *g = a->grp[x / GROUP_EXTENTS];

			if (g == NULL) {
				i += GROUP_EXTENTS - 1 - x % GROUP_EXTENTS;
				continue;
			}
			if (g->ext_busy[x % GROUP_EXTENTS] == 0) {
				a->next_ext = x + 1;
				*ret_ext = x;
				return (OK);
			}
		}
	}
	TRY(group_add(a, a->ngrp));
	*ret_ext = total == 0 ? 1 : total; /* extent 0 holds slot 0 */
	a->next_ext = *ret_ext + 1;
	return (OK);
}

/* First free slot of an extent, or 0. */
static uint64_t
extent_first_free(const struct alloc *a, uint64_t ext)
{
	const struct group *g = group_of(a, ext * EXTENT_SLOTS);
	if (g == NULL)
		return (0);
	const uint32_t base = (uint32_t)(ext % GROUP_EXTENTS) * EXTENT_SLOTS;

	if (g->ext_busy[ext % GROUP_EXTENTS] >= EXTENT_SLOTS)
		return (0);
	for (uint32_t i = 0; i < EXTENT_SLOTS; i += 8) {
		const uint8_t b = g->busy[(base + i) / 8];

		if (b != 0xff)
			return (ext * EXTENT_SLOTS + i +
				(uint32_t)__builtin_ctz(~(unsigned)b));
	}
	return (0);
}

/* A slot in an extent that small wishes share. */
static enum err
find_small(struct alloc *a, uint64_t *ret_slot)
{
	const uint64_t total = (uint64_t)a->ngrp * GROUP_EXTENTS;
	uint64_t s = extent_first_free(a, a->small_ext);

	for (uint64_t i = 0; s == 0 && i < SMALL_SCAN && i < total; i++) {
		const uint64_t x = (a->small_scan + i) % total;
		const struct group *g = a->grp[x / GROUP_EXTENTS];
		const uint16_t busy =
		    g == NULL ? 0 : g->ext_busy[x % GROUP_EXTENTS];

		/* Half empty ones are worth the scattered writes. */
		if (busy != 0 && busy <= EXTENT_SLOTS / 2) {
			s = extent_first_free(a, x);
			a->small_ext = x;
			a->small_scan = x + 1;
		}
	}
	if (s == 0) {
		a->small_scan =
		    total == 0 ? 0 : (a->small_scan + SMALL_SCAN) % total;
		TRY(find_empty(a, &a->small_ext));
		s = extent_first_free(a, a->small_ext);
	}
	*ret_slot = s;
	return (OK);
}

/* The disk may be full while slots are free in reserved extents. */
static enum err
find_any_backed(const struct alloc *a, uint64_t *ret_slot)
{
	for (uint32_t n = 0; n < a->ngrp; n++)
		for (uint32_t e = 0; e < GROUP_EXTENTS; e++) {
			const struct group *g = a->grp[n];

			if (g == NULL || !g->backed[e] ||
			    g->ext_busy[e] >= EXTENT_SLOTS)
				continue;
			*ret_slot = extent_first_free(
			    a, (uint64_t)n * GROUP_EXTENTS + e);
			return (OK);
		}
	return (ERR_NOSPC);
}

static enum err
take(struct store *st, uint64_t hint, uint32_t want, uint64_t *ret_slot,
    uint32_t *ret_n)
{
	struct alloc *a = st->alloc;
	uint64_t slot = 0, ext = 0;
	enum err e;

	const struct group *g = group_of(a, hint);
	if (hint != 0 && g != NULL &&
	    !bit_get(g->busy, (uint32_t)(hint % GROUP_SLOTS))) {
		slot = hint;
	} else if (want >= SMALL_WANT) {
		TRY(find_empty(a, &ext));
		slot = ext * EXTENT_SLOTS;
	} else {
		TRY(find_small(a, &slot));
	}
	e = take_at(st, slot, want, ret_slot, ret_n);
	if (e == ERR_NOSPC && find_any_backed(a, &slot) == OK)
		e = take_at(st, slot, want, ret_slot, ret_n);
	return (e);
}

enum err
alloc_take(struct store *st, uint64_t hint, uint32_t want, uint64_t *ret_slot,
    uint32_t *ret_n)
{
	enum err e;

	LOCK_SCOPE(&st->alloc_lock);
	e = take(st, hint, want, ret_slot, ret_n);
	if (e == ERR_NOSPC && hold_break(st))
		e = take(st, hint, want, ret_slot, ret_n);
	return (e);
}

static bool
spans_add(struct spans *s, uint64_t slot, uint32_t n)
{
	if (s->n != 0 && s->v[s->n - 1].slot + s->v[s->n - 1].n == slot &&
	    slot % GROUP_SLOTS != 0) {
		s->v[s->n - 1].n += n;
		return (true);
	}
	if (s->n == s->cap) {
		const size_t cap = s->cap == 0 ? 256 : s->cap * 2;
		struct span *v = realloc(s->v, cap * sizeof(*v));

		if (v == NULL)
			return (false);
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = (struct span){ .slot = slot, .n = n };
	return (true);
}

void
alloc_give(struct store *st, uint64_t slot, uint32_t n, bool fresh)
{
	struct alloc *a = st->alloc;

	LOCK_SCOPE(&st->alloc_lock);
	for (uint32_t k = 0; k < n; k++) {
		const uint64_t s = slot + k;
		struct group *g = group_of(a, s);
		const uint32_t i = (uint32_t)(s % GROUP_SLOTS);

		if (g == NULL || s == 0 || !bit_get(g->used, i)) {
			/* Only damage leads here; the slot stays as it is. */
			log_error("store: slot %llu is freed but not in use; "
				  "run ssefs fsck",
			    (unsigned long long)s);
			continue;
		}
		bit_clear(g->used, i);
		g->dirty = true;
		if (fresh) {
			bit_clear(g->busy, i);
			count_busy(a, g, i, false);
		} else if (!spans_add(&a->cur, s, 1)) {
			/* Without memory for the note it stays busy until the
			 * next start: space lost for a while, never data. */
			log_warn("store: no memory to note a freed slot");
		}
	}
}

enum err
alloc_write_rows(struct store *st)
{
	struct alloc *a = st->alloc;

	for (uint32_t n = 0; n < a->ngrp; n++) {
		uint8_t bits[GROUP_BYTES];
		bool dirty;

		lock_take(&st->alloc_lock);
		dirty = a->grp[n] != NULL && a->grp[n]->dirty;
		if (dirty) {
			a->grp[n]->dirty = false;
			memcpy(bits, a->grp[n]->used, GROUP_BYTES);
		}
		lock_drop(&st->alloc_lock);
		if (!dirty)
			continue;
		sqlite3_stmt *s = db_stmt(st, ST_ALLOC_PUT);
		sqlite3_bind_int64(s, 1, (int64_t)n);
		sqlite3_bind_blob(s, 2, bits, GROUP_BYTES, SQLITE_STATIC);
		TRY(db_run(st, ST_ALLOC_PUT));
	}
	return (OK);
}

void
alloc_epoch_end(struct store *st)
{
	struct alloc *a = st->alloc;

	LOCK_SCOPE(&st->alloc_lock);
	if (a->sealed.n == 0) {
		const struct spans t = a->sealed;

		a->sealed = a->cur;
		a->cur = t;
		a->cur.n = 0;
		return;
	}
	/* The last release has not happened (its sync failed): keep all. */
	for (size_t i = 0; i < a->cur.n; i++)
		(void)spans_add(&a->sealed, a->cur.v[i].slot, a->cur.v[i].n);
	a->cur.n = 0;
}

bool
slot_release(struct alloc *a, struct group *g, uint32_t i)
{
	/* A repair may have set the bits anew. */
	if (!bit_get(g->busy, i) || bit_get(g->used, i))
		return (false);
	bit_clear(g->busy, i);
	count_busy(a, g, i, false);
	return (true);
}

void
alloc_epoch_durable(struct store *st)
{
	struct alloc *a = st->alloc;

	LOCK_SCOPE(&st->alloc_lock);
	arena_settle(st);
	for (size_t k = 0; k < a->sealed.n; k++) {
		const struct span sp = a->sealed.v[k];
		struct group *g = group_of(a, sp.slot);

		for (uint32_t i = 0; i < sp.n; i++) {
			const uint32_t b =
			    (uint32_t)(sp.slot % GROUP_SLOTS) + i;

			if (!hold_keeps(g, b))
				(void)slot_release(a, g, b);
		}
		arena_punch(st, sp.slot, sp.n);
	}
	a->sealed.n = 0;
	if (a->sealed.cap > 65536) {
		free(a->sealed.v);
		a->sealed = (struct spans){ 0 };
	}
}

uint64_t
alloc_free_bytes(struct store *st)
{
	const struct alloc *a = st->alloc;
	uint64_t n = 0;

	LOCK_SCOPE(&st->alloc_lock);
	for (uint32_t i = 0; i < a->ngrp; i++)
		for (uint32_t e = 0; a->grp[i] != NULL && e < GROUP_EXTENTS;
		     e++)
			if (a->grp[i]->backed[e] || a->grp[i]->ext_busy[e] != 0)
				n += EXTENT_SLOTS - a->grp[i]->ext_busy[e];
	return (n * BLOCK);
}

enum err
alloc_bits(struct store *st, uint64_t grp, uint8_t *ret)
{
	LOCK_SCOPE(&st->alloc_lock);
	if (grp < st->alloc->ngrp && st->alloc->grp[grp] != NULL)
		memcpy(ret, st->alloc->grp[grp]->used, GROUP_BYTES);
	else
		memset(ret, 0, GROUP_BYTES);
	return (OK);
}

enum err
alloc_set_bits(struct store *st, uint64_t grp, const uint8_t *bits)
{
	LOCK_SCOPE(&st->alloc_lock);
	TRY(group_add(st->alloc, grp));
	group_load(st->alloc, st->alloc->grp[grp], bits, grp == 0);
	st->alloc->grp[grp]->dirty = true;
	return (OK);
}

bool
alloc_known(struct store *st, uint64_t grp)
{
	LOCK_SCOPE(&st->alloc_lock);
	return (grp < st->alloc->ngrp && st->alloc->grp[grp] != NULL);
}

bool
alloc_in_use(struct store *st, uint64_t slot)
{
	LOCK_SCOPE(&st->alloc_lock);
	const struct group *g = group_of(st->alloc, slot);

	return (g != NULL && bit_get(g->used, (uint32_t)(slot % GROUP_SLOTS)));
}

uint64_t
alloc_used(struct store *st)
{
	const struct alloc *a = st->alloc;
	uint64_t n = 0;

	LOCK_SCOPE(&st->alloc_lock);
	for (uint32_t i = 0; i < a->ngrp; i++)
		for (uint32_t k = 0; a->grp[i] != NULL && k < GROUP_BYTES; k++)
			n += (unsigned)__builtin_popcount(a->grp[i]->used[k]);
	return (n);
}

uint64_t
alloc_groups(struct store *st)
{
	LOCK_SCOPE(&st->alloc_lock);
	return (st->alloc->ngrp);
}
