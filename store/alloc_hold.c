/*
 * alloc_hold: keeping the slots of one epoch as they are while they are copied.
 *
 * What was in use when the hold began stays busy when it is freed, and is noted;
 * a group that was copied gives it back.  So a hold costs no more space than
 * what was in use and is not copied yet, and 8 KiB of memory for each group of
 * 128 MiB.  It never makes a change fail: when the disk is full, the hold is
 * broken, the space handed out, and whoever held it finds out.
 */
#include <string.h>

#include "lib/base/log.h"

#include "store/alloc_internal.h"

struct hold {
	uint8_t keep[GROUP_BYTES];  /* busy when the hold began */
	uint8_t freed[GROUP_BYTES]; /* of these, free but for the hold */
};

bool
hold_keeps(struct group *g, uint32_t i)
{
	if (g->hold == NULL || ((g->hold->keep[i / 8] >> (i % 8)) & 1) == 0)
		return (false);
	g->hold->freed[i / 8] =
	    (uint8_t)(g->hold->freed[i / 8] | 1u << (i % 8));
	return (true);
}

/* Give back what waits in a group.  st->alloc_lock held. */
static void
group_release(struct store *st, uint32_t n)
{
	struct group *g = st->alloc->grp[n];
	uint32_t run = 0;

	if (g == NULL || g->hold == NULL)
		return;
	for (uint32_t i = 0; i <= GROUP_SLOTS; i++) {
		const bool freed =
		    i < GROUP_SLOTS &&
		    ((g->hold->freed[i / 8] >> (i % 8)) & 1) != 0 &&
		    slot_release(st->alloc, g, i);

		if (freed) {
			run++;
			continue;
		}
		if (run != 0)
			arena_punch(
			    st, (uint64_t)n * GROUP_SLOTS + i - run, run);
		run = 0;
	}
	free(g->hold);
	g->hold = NULL;
}

static void
release_all(struct store *st)
{
	for (uint32_t n = 0; n < st->alloc->ngrp; n++)
		group_release(st, n);
	st->alloc->holding = false;
}

enum err
alloc_hold(struct store *st)
{
	struct alloc *a = st->alloc;

	LOCK_SCOPE(&st->alloc_lock);
	if (a->holding)
		return (err_fail(ERR_BUSY, "a backup is running already"));
	for (uint32_t n = 0; n < a->ngrp; n++) {
		struct group *g = a->grp[n];

		if (g == NULL)
			continue;
		g->hold = calloc(1, sizeof(*g->hold));
		if (g->hold == NULL) {
			release_all(st);
			return (ERR_NOMEM);
		}
		memcpy(g->hold->keep, g->busy, GROUP_BYTES);
	}
	a->holding = true;
	return (OK);
}

bool
alloc_held(struct store *st)
{
	LOCK_SCOPE(&st->alloc_lock);
	return (st->alloc->holding);
}

void
alloc_unhold(struct store *st, uint64_t grp)
{
	LOCK_SCOPE(&st->alloc_lock);
	if (grp < st->alloc->ngrp)
		group_release(st, (uint32_t)grp);
}

void
alloc_unhold_all(struct store *st)
{
	LOCK_SCOPE(&st->alloc_lock);
	release_all(st);
}

bool
hold_break(struct store *st)
{
	if (!st->alloc->holding)
		return (false);
	log_warn("store %s: the disk is full: a backup that runs is given up",
	    st->dir);
	release_all(st);
	return (true);
}

bool
alloc_hold_break(struct store *st)
{
	/* The store is being opened, or closed. */
	if (st->alloc == NULL)
		return (false);
	LOCK_SCOPE(&st->alloc_lock);
	return (hold_break(st));
}
