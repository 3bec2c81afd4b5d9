/*
 * alloc_internal: what alloc.c (which slots) and arena.c (the files they lie
 * in) share.
 */
#ifndef STORE_ALLOC_INTERNAL_H
#define STORE_ALLOC_INTERNAL_H

#include "store/store_internal.h"

#define GROUP_EXTENTS (GROUP_SLOTS / EXTENT_SLOTS)
#define GROUP_BYTES (GROUP_SLOTS / 8)
#define ARENA_GROUPS (ARENA_SLOTS / GROUP_SLOTS)
#define ARENAS_MAX 4096u /* 64 TiB */
#define GROUPS_MAX (ARENAS_MAX * ARENA_GROUPS)

_Static_assert(GROUP_BYTES == 4096, "a row of table alloc");

struct group {
	uint8_t used[GROUP_BYTES];
	uint8_t busy[GROUP_BYTES];
	uint16_t ext_busy[GROUP_EXTENTS]; /* busy slots of each extent */
	bool backed[GROUP_EXTENTS];       /* space reserved since the start */
	bool older[GROUP_EXTENTS];        /* in use since before that */
	bool dirty;                       /* used differs from the table */
	struct hold *hold;                /* NULL: none is kept */
};

struct span {
	uint64_t slot;
	uint32_t n;
};

struct spans {
	struct span *v;
	size_t n, cap;
};

struct arena {
	atomic_int fd;
	atomic_bool written; /* since its last fdatasync */
};

struct alloc {
	struct group **grp; /* NULL: its row is missing, see alloc.c */
	uint32_t ngrp;
	uint64_t next_ext;   /* where the search for an empty extent goes on */
	uint64_t small_ext;  /* the extent that small wishes share now */
	uint64_t small_scan; /* where the search for the next one goes on */
	uint64_t empty;      /* extents without a busy slot */
	uint64_t backed_empty; /* of these, reserved */
	uint64_t ahead;        /* extent to be reserved next in advance, or 0 */
	bool ahead_on;         /* being done, without the lock */
	pthread_cond_t ahead_done; /* for who gives extents back */
	bool holding;              /* groups have holds, or had until copied */
	struct spans cur;          /* freed in the open epoch */
	struct spans sealed; /* freed in epochs that are not durable yet */
	struct arena arena[ARENAS_MAX];
};

/* arena.c, all with st->alloc_lock held.  Reserve the space of an extent, and
 * of some after it.  ERR_NOSPC, ERR_IO. */
enum err arena_reserve(struct store *st, uint64_t ext) MUSTCHECK;
/* Extent ${ext} was taken for a long write: when few after it are reserved, the
 * next arena_ahead() reserves some. */
void arena_wanted(struct store *st, uint64_t ext);
/* Wait until nothing is being reserved in advance; then nothing is as long as the
 * lock is held. */
void arena_settle(struct store *st);
/* Give the space of the empty extents among these slots' back to the disk,
 * beyond a reserve. */
void arena_punch(struct store *st, uint64_t slot, uint32_t n);

/* alloc.c, with st->alloc_lock held.  A slot that is freed is free from now on,
 * unless it is in use (again); false then. */
bool slot_release(struct alloc *a, struct group *g, uint32_t i);
/* alloc_hold.c, the same.  The slot of the group is freed: must it wait? */
bool hold_keeps(struct group *g, uint32_t i);
/* Give all back when something is held; false: nothing is. */
bool hold_break(struct store *st);

#endif
