/*
 * write_internal: a write in two halves, for those who change more than one
 * place of a file and must change all of them or none.
 *
 * Locks as for blocks_write().  The plan begins zeroed (but for ${early}) and
 * ends with plan_release(), whatever happened in between.
 */
#ifndef STORE_WRITE_INTERNAL_H
#define STORE_WRITE_INTERNAL_H

#include "store/object.h"

/* The new state of a row of blocks. */
struct plan {
	uint64_t first; /* block */
	uint64_t n;
	const uint8_t *buf;
	size_t lead; /* bytes of the first block before ${buf} */
	size_t len;
	uint8_t *head, *tail; /* edges, completed: BLOCK bytes each */
	bool use_head, use_tail;
	unsigned kidx;
	int64_t gained;     /* blocks that held nothing */
	struct ment *m;     /* n entries */
	struct node **node; /* of each chunk touched */
	size_t nnodes;
	struct early *early; /* or NULL */
};

/* All that can fail: afterwards the bytes lie in new slots, and all nodes are
 * at hand.  ${edge} is for blocks that are written in part. */
enum err plan_make(struct store *st, struct obj *o, uint64_t off,
    const uint8_t *buf, size_t len, uint8_t edge[static 2][BLOCK],
    struct plan *p) MUSTCHECK;
/* What was made comes into force … */
void plan_apply(struct store *st, struct plan *p, int64_t *ret_delta);
/* … or does not: the slots are free again. */
void plan_undo(struct store *st, struct plan *p);
void plan_release(struct store *st, struct plan *p);

#endif
