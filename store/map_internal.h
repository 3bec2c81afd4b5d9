/*
 * map_internal: what map.c and map_seal.c share.
 */
#ifndef STORE_MAP_INTERNAL_H
#define STORE_MAP_INTERNAL_H

#include "store/object.h"

/* What a parent (or the object record) holds instead of a child's tag. */
static const uint8_t tag_none[AEAD_TAGLEN];

static inline void
node_cleanup(struct node **n)
{
	if (*n != NULL)
		map_put((*n)->seg->st, *n);
}
#define CLEANUP_NODE CLEANUP(node_cleanup)

/* map.c.  Locks as for map_touch(). */
/* The node, made when absent, with room for ${count} entries; marked dirty and
 * pending in all above it; pinned. */
enum err node_touch(struct store *st, struct seg *s, uint8_t level,
    uint64_t idx, uint16_t count, struct node **ret) MUSTCHECK;
/* The node is as its row now; when ${empty} there is no row. */
void node_sealed(struct store *st, struct node *n, bool empty);

/* map_seal.c */
enum err node_row_delete(struct store *st, const struct node *n) MUSTCHECK;

#endif
