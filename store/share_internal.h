/*
 * share_internal: what share.c, frozen.c and copy.c share.
 */
#ifndef STORE_SHARE_INTERNAL_H
#define STORE_SHARE_INTERNAL_H

#include "store/object.h"

#define DEPTH_MAX 8u /* segments under segments; deeper copies are written */

/* A frozen segment in core, shared by all that have it as a base.  The list
 * hangs on the store, under st->db. */
struct frozen {
	struct frozen *next;
	struct seg seg;
	uint8_t bases_tag[AEAD_TAGLEN];
	unsigned users, depth; /* depth: segments under it */
	bool loading;
};

static inline struct frozen *
frozen_of(struct seg *s)
{
	return ((
	    struct frozen *)(void *)((char *)s - offsetof(struct frozen, seg)));
}

/* frozen.c.  st->db held for the first two. */
/* In core, with keys, one use more. */
enum err frozen_get(struct store *st, uint64_t segno, struct seg *owner,
    const uint8_t *sealed, unsigned level, struct seg **ret) MUSTCHECK;
void frozen_put(struct store *st, struct seg *s);
/* The frozen segment that holds all of [blk, blk+n), and where; the top is
 * frozen when that is needed.  Locks as for writing.  ERR_LIMIT: too deep. */
enum err share_source(struct store *st, struct inode *ip, uint64_t blk,
    uint64_t n, struct seg **ret, uint64_t *ret_off) MUSTCHECK;

/* share.c.  st->db held for the first two. */
/* The bases of a segment from the table, checked against their hash. */
enum err list_load(struct store *st, struct seg *s,
    const uint8_t hash[static AEAD_TAGLEN], unsigned level,
    unsigned *ret_depth) MUSTCHECK;
/* The bases of a segment no longer use theirs. */
void list_put(struct store *st, struct seg *s);
/* The content key of a segment under ${owner}, from its sealed form. */
enum err base_open(struct seg *owner, const struct seg *under,
    const uint8_t *sealed, struct key **ret) MUSTCHECK;
/* Make ready for base_add(), after which only the disk can make it fail.
 * ERR_LIMIT: too many bases. */
enum err base_prepare(
    struct obj *o, const struct seg *under, struct base *ret) MUSTCHECK;
/* Add a base, with start, len, off and rec, to the list of an object.  Nothing
 * lies there. */
enum err base_add(struct store *st, struct obj *o, struct seg *under,
    struct base b) MUSTCHECK;

#endif
