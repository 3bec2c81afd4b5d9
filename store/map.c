/*
 * map: the tree of nodes that says where a segment's blocks are.
 *
 * map_seal.c has the rows.  A node is written anew with a new nonce, so its tag
 * changes, so its parent changes, up to the record that seals the root's tag.
 * While a node is dirty its parent's entry holds PENDING, which no lookup ever
 * needs: dirty nodes are always cached.
 */
#include <string.h>

#include "lib/base/buf.h"

#include "store/map_internal.h"

#define MAP_BUCKETS 16384u

static const uint8_t tag_pending[AEAD_TAGLEN] = "pending pending";

struct map {
	struct node *hash[MAP_BUCKETS];
	struct node lru; /* list head: lnext is the newest */
	size_t bytes, max;
};

uint64_t
ment_slot(const struct ment *m)
{
	return ((uint64_t)m->slot[0] << 32 | get_u32(m->slot + 1));
}

void
ment_set_slot(struct ment *m, uint64_t slot)
{
	m->slot[0] = (uint8_t)(slot >> 32);
	put_u32(m->slot + 1, (uint32_t)slot);
}

enum err
map_open(struct store *st)
{
	struct map *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return (ERR_NOMEM);
	m->lru.lprev = m->lru.lnext = &m->lru;
	m->max = st->opts.map_cache;
	st->map = m;
	return (OK);
}

static uint32_t
node_hash(uint64_t segno, uint8_t level, uint64_t idx)
{
	uint64_t h =
	    (segno * 0x9e3779b97f4a7c15u) ^ (idx + level) * 0xc2b2ae3d27d4eb4fu;

	return ((uint32_t)(h >> 32) % MAP_BUCKETS);
}

static size_t
node_bytes(const struct node *n)
{
	return (sizeof(*n) + n->cap * node_esize(n->level));
}

static void
lru_remove(struct node *n)
{
	if (!n->in_lru)
		return;
	n->lprev->lnext = n->lnext;
	n->lnext->lprev = n->lprev;
	n->in_lru = false;
}

static void
lru_add(struct map *m, struct node *n)
{
	n->lnext = m->lru.lnext;
	n->lprev = &m->lru;
	n->lnext->lprev = n;
	m->lru.lnext = n;
	n->in_lru = true;
}

/* The dirty lists belong to the owner's lock: no other thread sees them. */
static void
dirty_add(struct store *st, struct node *n)
{
	struct node **head = &n->seg->dirty[n->level];

	if (n->dirty)
		return;
	n->dirty = true;
	n->dprev = NULL;
	n->dnext = *head;
	if (n->dnext != NULL)
		n->dnext->dprev = n;
	*head = n;
	st->dirty_nodes++;
}

static void
dirty_remove(struct store *st, struct node *n)
{
	if (n->dprev != NULL)
		n->dprev->dnext = n->dnext;
	else
		n->seg->dirty[n->level] = n->dnext;
	if (n->dnext != NULL)
		n->dnext->dprev = n->dprev;
	n->dirty = false;
	st->dirty_nodes--;
}

/* Out of the cache and freed (map_lock held). */
static void
node_drop(struct store *st, struct node *n)
{
	struct map *m = st->map;
	struct node **pp = &m->hash[node_hash(n->segno, n->level, n->idx)];

	while (*pp != n)
		pp = &(*pp)->hnext;
	*pp = n->hnext;
	lru_remove(n);
	if (n->sprev != NULL)
		n->sprev->snext = n->snext;
	else
		n->seg->nodes = n->snext;
	if (n->snext != NULL)
		n->snext->sprev = n->sprev;
	m->bytes -= node_bytes(n);
	if (n->dirty)
		dirty_remove(st, n);
	free(n->ents);
	free(n);
}

void
map_close(struct store *st)
{
	free(st->map);
	st->map = NULL;
}

/* By the segment itself, not by its number: damage can make two files name one
 * segment, and each looks after its own nodes. */
static struct node *
cache_find(struct store *st, const struct seg *s, uint8_t level, uint64_t idx)
{
	struct node *n = st->map->hash[node_hash(s->no, level, idx)];

	while (n != NULL && (n->seg != s || n->level != level || n->idx != idx))
		n = n->hnext;
	if (n != NULL) {
		lru_remove(n);
		n->pins++;
	}
	return (n);
}

static void
cache_add(struct store *st, struct node *n)
{
	struct map *m = st->map;
	const uint32_t h = node_hash(n->segno, n->level, n->idx);

	n->hnext = m->hash[h];
	m->hash[h] = n;
	n->snext = n->seg->nodes;
	if (n->snext != NULL)
		n->snext->sprev = n;
	n->seg->nodes = n;
	m->bytes += node_bytes(n);
	while (m->bytes > m->max && m->lru.lprev != &m->lru)
		node_drop(st, m->lru.lprev);
}

static struct node *
node_new(struct seg *s, uint8_t level, uint64_t idx, uint16_t cap)
{
	struct node *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return (NULL);
	n->ents = calloc(cap, node_esize(level));
	if (n->ents == NULL) {
		free(n);
		return (NULL);
	}
	n->cap = cap;
	n->seg = s;
	n->segno = s->no;
	n->level = level;
	n->idx = idx;
	n->pins = 1;
	return (n);
}

void
map_put(struct store *st, struct node *n)
{
	if (n == NULL)
		return;
	LOCK_SCOPE(&st->map_lock);
	if (--n->pins == 0 && !n->dirty)
		lru_add(st->map, n);
}

/* ---- Look-up ------------------------------------------------------------------- */

/* Into the cache, unless another thread was faster. */
static struct node *
cache_enter(struct store *st, struct node *n)
{
	struct node *other;

	LOCK_SCOPE(&st->map_lock);
	other = cache_find(st, n->seg, n->level, n->idx);
	if (other == NULL) {
		cache_add(st, n);
		return (n);
	}
	free(n->ents);
	free(n);
	return (other);
}

static enum err
node_embedded(struct store *st, struct seg *s, struct node **ret)
{
	struct node *n = node_new(s, 0, 0, EMBED_MAX);

	if (n == NULL)
		return (ERR_NOMEM);
	n->count = s->nemb;
	memcpy(n->ents, s->emb, s->nemb * sizeof(struct ment));
	*ret = cache_enter(st, n);
	return (OK);
}

static enum err
node_load(struct store *st, struct seg *s, uint8_t level, uint64_t idx,
    const uint8_t *want, struct node **ret)
{
	uint8_t row[NODE_ROW_MAX] UNINIT;
	struct node_row r;
	struct node *n;
	size_t len = 0;
	enum err e;

	lock_take(&st->db);
	sqlite3_stmt *q = db_stmt(st, ST_NODE_GET);
	sqlite3_bind_int64(q, 1, (int64_t)s->no);
	sqlite3_bind_int(q, 2, level);
	sqlite3_bind_int64(q, 3, (int64_t)idx);
	e = db_row(st, ST_NODE_GET);
	if (e == OK) {
		len = (size_t)sqlite3_column_bytes(q, 0);
		if (len > sizeof(row))
			e = ERR_CORRUPT;
		else
			memcpy(row, sqlite3_column_blob(q, 0), len);
		db_done(st, ST_NODE_GET);
	}
	lock_drop(&st->db);
	if (e == ERR_NOENT)
		e = ERR_CORRUPT;
	if (e == OK)
		e = node_parse(row, len, level, &r);
	if (e == OK)
		e = node_verify(s, level, idx, &r, want);
	if (e != OK)
		return (epoch_damage(st, e));

	n = node_new(s, level, idx, r.count);
	if (n == NULL)
		return (ERR_NOMEM);
	n->count = r.count;
	memcpy(n->ents, r.ents, r.count * node_esize(level));
	*ret = cache_enter(st, n);
	return (OK);
}

enum err
map_get(struct store *st, struct seg *s, uint8_t level, uint64_t idx,
    struct node **ret)
{
	uint8_t want[AEAD_TAGLEN];

	*ret = NULL;
	if (s->no == 0 || level > s->depth ||
	    (idx >> (8 * (s->depth - level))) != 0)
		return (OK);
	lock_take(&st->map_lock);
	*ret = cache_find(st, s, level, idx);
	lock_drop(&st->map_lock);
	if (*ret != NULL) {
		st->n.map_hits++;
		return (OK);
	}
	if (s->embedded)
		return (node_embedded(st, s, ret));
	if (level == s->depth) {
		memcpy(want, s->root, AEAD_TAGLEN);
	} else {
		struct node *up CLEANUP_NODE = NULL;
		const unsigned c = (unsigned)(idx % NODE_FANOUT);

		TRY(map_get(
		    st, s, (uint8_t)(level + 1), idx / NODE_FANOUT, &up));
		if (up == NULL || c >= up->count)
			return (OK);
		memcpy(want, up->ents + c * AEAD_TAGLEN, AEAD_TAGLEN);
	}
	if (memcmp(want, tag_none, AEAD_TAGLEN) == 0)
		return (OK);
	st->n.map_misses++;
	return (node_load(st, s, level, idx, want, ret));
}

/* ---- Change ----------------------------------------------------------------------- */

static enum err
node_room(struct store *st, struct node *n, uint16_t count)
{
	const unsigned most = n->level == 0 ? CHUNK_ENTRIES : NODE_FANOUT;
	const size_t es = node_esize(n->level);
	unsigned cap = n->cap;
	uint8_t *v;

	if (count > n->cap) {
		while (cap < count)
			cap = cap < 4 ? 4 : cap * 4;
		if (cap > most)
			cap = most;
		v = realloc(n->ents, cap * es);
		if (v == NULL)
			return (ERR_NOMEM);
		lock_take(&st->map_lock);
		st->map->bytes += (cap - n->cap) * es;
		lock_drop(&st->map_lock);
		n->ents = v;
		n->cap = (uint16_t)cap;
	}
	if (count > n->count) {
		memset(n->ents + n->count * es, 0, (count - n->count) * es);
		n->count = count;
	}
	return (OK);
}

enum err
node_touch(struct store *st, struct seg *s, uint8_t level, uint64_t idx,
    uint16_t count, struct node **ret)
{
	struct node *n CLEANUP_NODE = NULL;

	*ret = NULL;
	TRY(map_get(st, s, level, idx, &n));
	if (n != NULL && n->dirty) {
		TRY(node_room(st, n, count));
		*ret = steal(n);
		return (OK);
	}
	/* Above first: when that fails nothing has changed here. */
	if (level < s->depth) {
		struct node *up CLEANUP_NODE = NULL;
		const unsigned c = (unsigned)(idx % NODE_FANOUT);

		TRY(node_touch(st, s, (uint8_t)(level + 1), idx / NODE_FANOUT,
		    (uint16_t)(c + 1), &up));
		if (n == NULL) {
			n = node_new(s, level, idx, count == 0 ? 1 : count);
			if (n == NULL)
				return (ERR_NOMEM);
			lock_take(&st->map_lock);
			cache_add(st, n);
			lock_drop(&st->map_lock);
		}
		memcpy(up->ents + c * AEAD_TAGLEN, tag_pending, AEAD_TAGLEN);
	} else {
		if (n == NULL) {
			n = node_new(s, level, idx, count == 0 ? 1 : count);
			if (n == NULL)
				return (ERR_NOMEM);
			lock_take(&st->map_lock);
			cache_add(st, n);
			lock_drop(&st->map_lock);
		}
		memcpy(s->root, tag_pending, AEAD_TAGLEN);
	}
	dirty_add(st, n);
	TRY(node_room(st, n, count));
	*ret = steal(n);
	return (OK);
}

enum err
map_unembed(struct store *st, struct seg *s)
{
	struct node *n CLEANUP_NODE = NULL;

	if (!s->embedded)
		return (OK);
	TRY(node_touch(st, s, 0, 0, 0, &n));
	s->embedded = false;
	return (OK);
}

/* Add a level above the root. */
static enum err
grow(struct store *st, struct seg *s)
{
	struct node *n CLEANUP_NODE = NULL;
	uint8_t old[AEAD_TAGLEN];

	if (s->depth + 1 >= NODE_LEVELS)
		return (ERR_FBIG);
	TRY(map_unembed(st, s));
	memcpy(old, s->root, AEAD_TAGLEN);
	if (memcmp(old, tag_none, AEAD_TAGLEN) == 0) {
		s->depth++;
		return (OK);
	}
	n = node_new(s, (uint8_t)(s->depth + 1), 0, 1);
	if (n == NULL)
		return (ERR_NOMEM);
	memcpy(n->ents, old, AEAD_TAGLEN);
	n->count = 1;
	lock_take(&st->map_lock);
	cache_add(st, n);
	lock_drop(&st->map_lock);
	dirty_add(st, n);
	s->depth++;
	memcpy(s->root, tag_pending, AEAD_TAGLEN);
	return (OK);
}

enum err
map_touch(struct store *st, struct seg *s, uint64_t idx, uint16_t count,
    struct node **ret)
{
	*ret = NULL;
	while ((idx >> (8 * s->depth)) != 0)
		TRY(grow(st, s));
	return (node_touch(st, s, 0, idx, count, ret));
}

void
node_set_fresh(struct store *st, struct node *n, unsigned i)
{
	if (n->fresh_epoch != st->epoch_no) {
		n->fresh_epoch = st->epoch_no;
		n->fresh = 0;
	}
	n->fresh |= (uint64_t)1 << i;
}

bool
node_fresh(struct store *st, const struct node *n, unsigned i)
{
	return (n->fresh_epoch == st->epoch_no && ((n->fresh >> i) & 1) != 0);
}

/* ---- Walk ---------------------------------------------------------------------------- */

static enum err
next_in(struct store *st, struct seg *s, uint8_t level, uint64_t idx,
    uint64_t from, uint64_t *ret)
{
	struct node *n CLEANUP_NODE = NULL;
	const unsigned below = 8u * level; /* bits of a level-0 index */
	uint64_t c;

	if (level == 0) {
		*ret = idx;
		return (OK);
	}
	TRY(map_get(st, s, level, idx, &n));
	if (n == NULL)
		return (ERR_NOENT);
	c = 0;
	if (from > idx << below)
		c = (from - (idx << below)) >> (below - 8);
	for (; c < n->count; c++) {
		if (memcmp(n->ents + c * AEAD_TAGLEN, tag_none, AEAD_TAGLEN) ==
		    0)
			continue;
		const enum err e = next_in(st, s, (uint8_t)(level - 1),
		    idx * NODE_FANOUT + c, from, ret);
		if (e != ERR_NOENT)
			return (e);
	}
	return (ERR_NOENT);
}

enum err
map_next(struct store *st, struct seg *s, uint64_t from, uint64_t *ret_idx)
{
	if (s->no == 0 || (from >> (8 * s->depth)) != 0 ||
	    memcmp(s->root, tag_none, AEAD_TAGLEN) == 0)
		return (ERR_NOENT);
	return (next_in(st, s, s->depth, 0, from, ret_idx));
}

/* ---- A segment's nodes ---------------------------------------------------------------- */

void
node_sealed(struct store *st, struct node *n, bool empty)
{
	LOCK_SCOPE(&st->map_lock);
	dirty_remove(st, n);
	if (n->pins != 0)
		return;
	if (empty)
		node_drop(st, n);
	else
		lru_add(st->map, n);
}

bool
map_dirty(const struct seg *s)
{
	for (unsigned level = 0; level < NODE_LEVELS; level++)
		if (s->dirty[level] != NULL)
			return (true);
	return (false);
}

void
map_move(struct store *st, struct seg *from, struct seg *to)
{
	/* Another thread may be dropping one of the nodes, to make room. */
	LOCK_SCOPE(&st->map_lock);
	*to = *from;
	for (struct node *n = to->nodes; n != NULL; n = n->snext)
		n->seg = to;
	memset(from, 0, sizeof(*from));
}

void
map_forget(struct store *st, struct seg *s)
{
	LOCK_SCOPE(&st->map_lock);
	while (s->nodes != NULL)
		node_drop(st, s->nodes);
}

/* ---- Cut ----------------------------------------------------------------------------- */

enum err
map_give_dirty(struct store *st, struct seg *s, uint64_t first)
{
	struct node *n, *next;

	for (n = s->dirty[0]; n != NULL; n = next) {
		const struct ment *m =
		    (const struct ment *)(const void *)n->ents;

		next = n->dnext;
		if (n->idx < first)
			continue;
		for (unsigned i = 0; i < n->count; i++)
			if (ment_state(&m[i]) == MENT_DATA)
				alloc_give(st, ment_slot(&m[i]), 1,
				    node_fresh(st, n, i));
		/* The row, if any, is an older one: what it held and the node
		 * no longer did was given back when it was replaced. */
		TRY(node_row_delete(st, n));
		LOCK_SCOPE(&st->map_lock);
		node_drop(st, n);
	}
	return (OK);
}

struct edge {
	struct node *n; /* NULL: none, or nothing to forget there */
	uint16_t keep;  /* children before the cut */
};

static enum err
edge_get(struct store *st, struct seg *s, uint8_t level, uint64_t first,
    struct edge *ret)
{
	struct node *n CLEANUP_NODE = NULL;
	const uint64_t idx = first >> (8 * level);
	const uint64_t width = (uint64_t)1 << (8 * (level - 1));
	const uint64_t keep =
	    (first - (idx << (8 * level)) + width - 1) / width;

	if (keep == 0)
		return (OK);
	TRY(map_get(st, s, level, idx, &n));
	if (n == NULL || keep >= n->count)
		return (OK);
	ret->keep = (uint16_t)keep;
	return (node_touch(st, s, level, idx, 0, &ret->n));
}

enum err
map_cut(struct store *st, struct seg *s, uint64_t first)
{
	struct edge edge[NODE_LEVELS] = { { 0 } };
	enum err e = OK;

	/* Children beyond the cut are forgotten by the node that straddles it,
	 * one at each level: all of them are at hand before one changes. */
	for (uint8_t level = 1; level <= s->depth && e == OK; level++)
		e = edge_get(st, s, level, first, &edge[level]);
	for (uint8_t level = 1; level <= s->depth; level++) {
		if (e == OK && edge[level].n != NULL)
			edge[level].n->count = edge[level].keep;
		map_put(st, edge[level].n);
	}
	TRY(e);
	TRY(map_give_dirty(st, s, first));

	LOCK_SCOPE(&st->map_lock);
	for (struct node *n = s->nodes, *next; n != NULL; n = next) {
		next = n->snext;
		if (n->idx << (8 * n->level) >= first)
			node_drop(st, n);
	}
	return (OK);
}
