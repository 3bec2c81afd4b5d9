/*
 * check_map: object records, map nodes and slots.
 *
 * One pass over the inodes collects who owns which segment; one pass over the
 * nodes, in the order of their key, checks each against its parent and marks
 * its slots; what was marked must be the allocation bitmap.  No key is needed:
 * a node's tag is compared with the one that its parent holds, its MAC is
 * scrub's matter.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/check_internal.h"

#define GROUP_BYTES (GROUP_SLOTS / 8)
#define ALLOC_ROW_OK                                                  \
	"(typeof(bits) = 'blob' AND length(bits) = 4096 AND grp >= 0" \
	" AND grp < 524288)"
_Static_assert(GROUP_BYTES == 4096, "ALLOC_ROW_OK");
#define LOST_SHOWN 3u /* damaged rows named one by one, of one segment */

struct parent {
	bool valid;
	uint64_t idx;
	uint16_t count;
	uint8_t tags[NODE_FANOUT * AEAD_TAGLEN];
};

struct walk {
	struct check *ck;
	struct owner *own;
	size_t nown, cap;
	uint8_t **bits; /* by group; NULL: none marked */
	uint64_t ngroups;
	bool damaged; /* a node could not be read: its slots are not known */
	uint64_t fits_from, fits_to; /* slots known to lie in an arena file */
	sqlite3_stmt *get;

	/* The segment at hand. */
	struct owner *o;
	uint64_t seg;
	unsigned shown;
	uint64_t rows[NODE_LEVELS], named[NODE_LEVELS];
	struct parent parent[NODE_LEVELS];
};

static void
walk_cleanup(struct walk **pw)
{
	struct walk *const w = *pw;
	uint64_t i;

	if (w == NULL)
		return;
	for (i = 0; i < w->ngroups; i++)
		free(w->bits[i]);
	free(w->bits);
	free(w->own);
	(void)sqlite3_finalize(w->get);
	free(w);
}

/* ---- Owners ------------------------------------------------------------- */

static enum err
owner_add(struct walk *w, const struct owner *o)
{
	struct owner *v;
	size_t cap;

	if (w->nown == w->cap) {
		cap = w->cap == 0 ? 1024 : 2 * w->cap;
		v = realloc(w->own, cap * sizeof(*v));
		if (v == NULL)
			return (ERR_NOMEM);
		w->own = v;
		w->cap = cap;
	}
	w->own[w->nown++] = *o;
	return (OK);
}

static int
owner_cmp(const void *a, const void *b)
{
	const uint64_t x = ((const struct owner *)a)->no;
	const uint64_t y = ((const struct owner *)b)->no;

	return (x < y ? -1 : x > y);
}

struct owner *
check_owner(struct walk *w, uint64_t no)
{
	const struct owner key = { .no = no };

	if (w->nown == 0)
		return (NULL);
	return (bsearch(&key, w->own, w->nown, sizeof(key), owner_cmp));
}

static enum err check_entries(
    struct walk *w, const struct node_row *r, uint64_t idx);

/* I3, I4, I11: a map that stands in the record. */
static enum err
check_embedded(struct walk *w, struct owner *o, const struct obj *obj)
{
	const struct node_row r = { .count = obj->seg.nemb,
		.ents = (const uint8_t *)obj->seg.emb };

	o->embedded = true;
	w->o = o;
	w->seg = o->no;
	const enum err e = check_entries(w, &r, 0);
	w->o = NULL;
	w->seg = 0;
	return (e);
}

/* I6: the size is kept twice; the one in the record is sealed. */
static enum err
check_size(struct walk *w, uint64_t ino, uint64_t size, const struct obj *obj)
{
	if (obj->size == size)
		return (OK);
	check_say(w->ck, "I6", ino, w->ck->repair,
	    "its size is %llu, the sealed size is %llu",
	    (unsigned long long)size, (unsigned long long)obj->size);
	if (!w->ck->repair)
		return (OK);
	return (check_fix_add(
	    w->ck, "UPDATE inode SET size=?1 WHERE ino=?2", ino, obj->size));
}

/* I6, I8, I11: the record of a regular file. */
static enum err
check_record(struct walk *w, sqlite3_stmt *s)
{
	struct owner o = { .ino = (uint64_t)sqlite3_column_int64(s, 0) };
	const uint64_t ino = o.ino;
	struct obj *obj = NULL;
	enum err e;

	e = obj_parse(sqlite3_column_blob(s, 3),
	    (size_t)sqlite3_column_bytes(s, 3), &obj);
	if (e == ERR_NOMEM)
		return (e);
	if (e != OK) {
		check_say(
		    w->ck, "I6", ino, false, "its object record is damaged");
		w->damaged = true;
		return (OK);
	}
	e = check_size(w, ino, (uint64_t)sqlite3_column_int64(s, 2), obj);
	if (e == OK)
		e = check_key(
		    w->ck, ino, (uint32_t)sqlite3_column_int64(s, 4), obj);
	o.no = obj->seg.no;
	o.nblocks = (obj->size + BLOCK - 1) / BLOCK;
	o.depth = obj->seg.depth;
	memcpy(o.root, obj->seg.root, AEAD_TAGLEN);
	o.maybe_dead = obj->seg.maybe_dead;
	if (e == OK && obj->seg.embedded)
		e = check_embedded(w, &o, obj);
	obj_free(obj);
	TRY(e);
	return (o.no == 0 ? OK : owner_add(w, &o));
}

static enum err
collect_inodes(struct walk *w)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	enum err e;

	TRY(db_prepare(
	    w->ck->st, "SELECT ino, mode, size, obj, keyref FROM inode", &s));
	while ((e = check_row(w->ck, s)) == OK) {
		if (S_ISREG((uint32_t)sqlite3_column_int64(s, 1))) {
			TRY(check_record(w, s));
		} else if (sqlite3_column_type(s, 3) != SQLITE_NULL) {
			check_say(w->ck, "I6",
			    (uint64_t)sqlite3_column_int64(s, 0), false,
			    "an object record of what is no regular file");
			w->damaged = true;
		}
	}
	return (e == ERR_NOENT ? check_fix_all(w->ck) : e);
}

/* Shared segments. */
static enum err
collect_shared(struct walk *w)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	struct seg_rec rec;
	enum err e;

	TRY(db_prepare(w->ck->st, "SELECT seg, rec FROM segment", &s));
	while ((e = check_row(w->ck, s)) == OK) {
		struct owner o = { .nblocks = UINT64_MAX };

		o.no = (uint64_t)sqlite3_column_int64(s, 0);
		if (seg_rec_parse(sqlite3_column_blob(s, 1),
			(size_t)sqlite3_column_bytes(s, 1), &rec) != OK) {
			check_say(w->ck, "I5", 0, false,
			    "the record of shared segment %llu is damaged",
			    (unsigned long long)o.no);
			w->damaged = true;
			continue;
		}
		o.depth = rec.depth;
		memcpy(o.root, rec.root, AEAD_TAGLEN);
		TRY(owner_add(w, &o));
	}
	return (e == ERR_NOENT ? OK : e);
}

/* Not in a store in use, where nothing waits any more. */
static enum err
collect_draining(struct walk *w)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	enum err e;

	TRY(db_prepare(w->ck->st, "SELECT DISTINCT seg FROM dead", &s));
	while ((e = check_row(w->ck, s)) == OK) {
		struct owner o = { .draining = true };
		struct owner *known;

		o.no = (uint64_t)sqlite3_column_int64(s, 0);
		known = check_owner(w, o.no);
		if (known != NULL) {
			known->draining = true;
			continue;
		}
		TRY(owner_add(w, &o));
		qsort(w->own, w->nown, sizeof(*w->own), owner_cmp);
	}
	return (e == ERR_NOENT ? OK : e);
}

static enum err
collect(struct walk *w)
{
	size_t i;

	TRY(collect_inodes(w));
	TRY(collect_shared(w));
	if (w->nown != 0)
		qsort(w->own, w->nown, sizeof(*w->own), owner_cmp);
	for (i = 1; i < w->nown; i++)
		if (w->own[i].no == w->own[i - 1].no)
			check_say(w->ck, "I3", w->own[i].ino, false,
			    "its segment %llu is inode %llu's as well",
			    (unsigned long long)w->own[i].no,
			    (unsigned long long)w->own[i - 1].ino);
	TRY(check_dead(w->ck, w));
	return (collect_draining(w));
}

/* ---- Slots -------------------------------------------------------------- */

static enum err
group_bits(struct walk *w, uint64_t grp, uint8_t **ret)
{
	uint8_t **v;

	if (grp >= w->ngroups) {
		v = realloc(w->bits, (size_t)(grp + 1) * sizeof(*v));
		if (v == NULL)
			return (ERR_NOMEM);
		w->bits = v;
		while (w->ngroups <= grp)
			v[w->ngroups++] = NULL;
	}
	if (w->bits[grp] == NULL)
		w->bits[grp] = calloc(1, GROUP_BYTES);
	*ret = w->bits[grp];
	return (*ret == NULL ? ERR_NOMEM : OK);
}

/* I4; a file that holds a slot holds those before it. */
static enum err
slot_fits(struct walk *w, uint64_t slot, bool *ret)
{
	*ret = slot >= w->fits_from && slot <= w->fits_to && slot != 0;
	if (*ret)
		return (OK);
	TRY(alloc_slot_ok(w->ck->st, slot, ret));
	if (*ret) {
		w->fits_from = slot / ARENA_SLOTS * ARENA_SLOTS;
		w->fits_to = slot;
	}
	return (OK);
}

static enum err
mark(struct walk *w, uint64_t ino, uint64_t slot)
{
	const uint32_t i = (uint32_t)(slot % GROUP_SLOTS);
	uint8_t *bits = NULL;
	bool fits;

	TRY(slot_fits(w, slot, &fits));
	if (!fits)
		check_say(w->ck, "I4", ino, false,
		    "slot %llu does not lie in an arena",
		    (unsigned long long)slot);
	/* It stays in use: its arena may come back, and two maps must never
	 * have one slot. */
	if (!fits &&
	    (slot == 0 || slot / GROUP_SLOTS >= alloc_groups(w->ck->st)))
		return (OK);
	TRY(group_bits(w, slot / GROUP_SLOTS, &bits));
	if ((bits[i / 8] >> (i % 8) & 1) != 0)
		check_say(w->ck, "I3", ino, false,
		    "slot %llu stands in two maps", (unsigned long long)slot);
	bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
	w->ck->ret->blocks += fits;
	return (OK);
}

static enum err
check_entries(struct walk *w, const struct node_row *r, uint64_t idx)
{
	const struct ment *const m = (const struct ment *)(const void *)r->ents;
	const uint64_t ino = w->o == NULL ? 0 : w->o->ino;
	unsigned i;

	for (i = 0; i < r->count; i++) {
		const enum ment_state state = ment_state(&m[i]);

		if (state > MENT_DATA)
			check_say(w->ck, "I5", ino, false,
			    "an impossible entry in node %llu of segment %llu",
			    (unsigned long long)idx,
			    (unsigned long long)w->seg);
		if (state != MENT_DATA)
			continue;
		TRY(mark(w, ino, ment_slot(&m[i])));
		if (w->o != NULL && !w->o->draining &&
		    idx * CHUNK_ENTRIES + i >= w->o->nblocks)
			check_say(w->ck, "I11", ino, false,
			    "block %llu lies beyond its size",
			    (unsigned long long)(idx * CHUNK_ENTRIES + i));
	}
	return (OK);
}

/* ---- Nodes -------------------------------------------------------------- */

static void
bad_node(struct walk *w, unsigned level, uint64_t idx, const char *what)
{
	if (w->shown++ >= LOST_SHOWN)
		return;
	check_say(w->ck, "I5", w->o == NULL ? 0 : w->o->ino, false,
	    "node %llu at level %u of segment %llu %s", (unsigned long long)idx,
	    level, (unsigned long long)w->seg, what);
}

/* The node above, kept for its other children. */
static enum err
load_parent(struct walk *w, unsigned level, uint64_t idx)
{
	struct parent *const p = &w->parent[level];
	struct node_row r;
	enum err e;

	if (p->valid && p->idx == idx)
		return (OK);
	*p = (struct parent){ .valid = true, .idx = idx };
	(void)sqlite3_reset(w->get);
	(void)sqlite3_bind_int64(w->get, 1, (sqlite3_int64)w->seg);
	(void)sqlite3_bind_int64(w->get, 2, level);
	(void)sqlite3_bind_int64(w->get, 3, (sqlite3_int64)idx);
	e = check_row(w->ck, w->get);
	if (e != OK)
		return (e == ERR_NOENT ? OK : e);
	if (node_parse(sqlite3_column_blob(w->get, 0),
		(size_t)sqlite3_column_bytes(w->get, 0), (uint8_t)level,
		&r) == OK) {
		p->count = r.count;
		memcpy(p->tags, r.ents, (size_t)r.count * AEAD_TAGLEN);
	}
	return (OK);
}

static enum err
check_tag(struct walk *w, const struct node_row *r, uint64_t idx)
{
	const uint8_t level = r->level;
	const unsigned child = (unsigned)(idx % NODE_FANOUT);
	const struct parent *p;

	if (level == w->o->depth) {
		if (idx != 0 || memcmp(r->tag, w->o->root, AEAD_TAGLEN) != 0)
			bad_node(w, level, idx, "is not its root");
		return (OK);
	}
	TRY(load_parent(w, level + 1u, idx / NODE_FANOUT));
	p = &w->parent[level + 1];
	if (child >= p->count ||
	    memcmp(r->tag, p->tags + child * AEAD_TAGLEN, AEAD_TAGLEN) != 0)
		bad_node(w, level, idx, "is not the one that its parent names");
	return (OK);
}

/* How many children a node names. */
static uint64_t
children(const struct node_row *r)
{
	static const uint8_t none[AEAD_TAGLEN];
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < r->count; i++)
		n += memcmp(r->ents + i * AEAD_TAGLEN, none, AEAD_TAGLEN) != 0;
	return (n);
}

static enum err
check_node(
    struct walk *w, uint8_t level, uint64_t idx, const uint8_t *row, size_t len)
{
	struct node_row r;

	if (node_parse(row, len, level, &r) != OK) {
		w->damaged = true;
		bad_node(w, level, idx, "is damaged");
		return (OK);
	}
	if (level == 0)
		TRY(check_entries(w, &r, idx));
	if (w->o == NULL || w->o->draining)
		return (OK);
	if (level > w->o->depth) {
		bad_node(w, level, idx, "lies above its root");
		return (OK);
	}
	w->rows[level]++;
	if (level > 0)
		w->named[level - 1] += children(&r);
	return (check_tag(w, &r, idx));
}

/* All nodes of a segment were seen. */
static void
end_segment(struct walk *w)
{
	unsigned level;

	if (w->o == NULL || w->o->draining)
		return;
	for (level = 0; level < w->o->depth; level++)
		if (w->rows[level] < w->named[level])
			check_say(w->ck, "I5", w->o->ino, false,
			    "%llu nodes at level %u of segment %llu are "
			    "missing",
			    (unsigned long long)(w->named[level] -
						 w->rows[level]),
			    level, (unsigned long long)w->seg);
}

static void
begin_segment(struct walk *w, uint64_t seg)
{
	if (w->seg != 0)
		end_segment(w);
	w->seg = seg;
	w->o = check_owner(w, seg);
	w->shown = 0;
	memset(w->rows, 0, sizeof(w->rows));
	memset(w->named, 0, sizeof(w->named));
	memset(w->parent, 0, sizeof(w->parent));
	if (w->o != NULL && w->o->embedded)
		check_say(w->ck, "I11", w->o->ino, false,
		    "its map stands both in its record and in nodes");
	if (w->o != NULL)
		w->o->seen = true;
	else
		check_say(w->ck, "I9", 0, false,
		    "segment %llu belongs to nothing", (unsigned long long)seg);
}

static enum err
walk_nodes(struct walk *w)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	uint64_t seg;
	enum err e;

	TRY(db_prepare(w->ck->st,
	    "SELECT row FROM node WHERE seg=?1"
	    " AND level=?2 AND idx=?3",
	    &w->get));
	TRY(db_prepare(w->ck->st,
	    "SELECT seg, level, idx, row FROM node"
	    " ORDER BY seg, level, idx",
	    &s));
	while ((e = check_row(w->ck, s)) == OK) {
		const sqlite3_int64 level = sqlite3_column_int64(s, 1);

		seg = (uint64_t)sqlite3_column_int64(s, 0);
		if (seg != w->seg)
			begin_segment(w, seg);
		if (level < 0 || level >= NODE_LEVELS) {
			bad_node(w, 0, 0, "has an impossible level");
			continue;
		}
		TRY(check_node(w, (uint8_t)level,
		    (uint64_t)sqlite3_column_int64(s, 2),
		    sqlite3_column_blob(s, 3),
		    (size_t)sqlite3_column_bytes(s, 3)));
	}
	if (w->seg != 0)
		end_segment(w);
	return (e == ERR_NOENT ? OK : e);
}

static void
check_rootless(struct walk *w)
{
	static const uint8_t none[AEAD_TAGLEN];
	size_t i;

	for (i = 0; i < w->nown; i++)
		if (!w->own[i].seen && !w->own[i].draining &&
		    !w->own[i].embedded &&
		    memcmp(w->own[i].root, none, AEAD_TAGLEN) != 0)
			check_say(w->ck, "I5", w->own[i].ino, false,
			    "the map of segment %llu is missing",
			    (unsigned long long)w->own[i].no);
}

/* ---- The bitmap --------------------------------------------------------- */

static void
count_diff(const uint8_t *have, const uint8_t *want, uint64_t *ret_lost,
    uint64_t *ret_free)
{
	unsigned i;

	for (i = 0; i < GROUP_BYTES; i++) {
		*ret_lost += (uint64_t)__builtin_popcount(
		    (unsigned)have[i] & ~(unsigned)want[i]);
		*ret_free += (uint64_t)__builtin_popcount(
		    (unsigned)want[i] & ~(unsigned)have[i]);
	}
}

/* While a node cannot be read its slots may be in use: none is set free. */
static enum err
check_group(struct walk *w, uint64_t grp)
{
	static const uint8_t zero[GROUP_BYTES];
	const uint8_t *const seen =
	    grp < w->ngroups && w->bits[grp] != NULL ? w->bits[grp] : zero;
	uint8_t have[GROUP_BYTES], want[GROUP_BYTES];
	uint64_t lost = 0, unmarked = 0;
	unsigned i;

	TRY(alloc_bits(w->ck->st, grp, have));
	for (i = 0; i < GROUP_BYTES; i++)
		want[i] = (uint8_t)(seen[i] | (w->damaged ? have[i] : 0));
	count_diff(have, want, &lost, &unmarked);
	if (lost != 0)
		check_say(w->ck, "I3", 0, w->ck->repair,
		    "%llu slots of group %llu are marked as used and are not",
		    (unsigned long long)lost, (unsigned long long)grp);
	if (unmarked != 0)
		check_say(w->ck, "I3", 0, w->ck->repair,
		    "%llu slots of group %llu are used and not marked so",
		    (unsigned long long)unmarked, (unsigned long long)grp);
	if (w->ck->repair && lost + unmarked != 0)
		return (alloc_set_bits(w->ck->st, grp, want));
	return (OK);
}

/* Rows that alloc_open() passed over. */
static const struct rule rows[] = {
	{ "I3", "SELECT 0, grp FROM alloc WHERE NOT " ALLOC_ROW_OK,
	    "DELETE FROM alloc WHERE NOT " ALLOC_ROW_OK,
	    "row %1 of the bitmap is damaged" },
};

enum err
check_map(struct check *ck)
{
	struct walk *w CLEANUP(walk_cleanup) = calloc(1, sizeof(*w));
	uint64_t grp, n;

	if (w == NULL)
		return (ERR_NOMEM);
	w->ck = ck;
	TRY(collect(w));
	TRY(walk_nodes(w));
	check_rootless(w);
	TRY(check_bases(ck, w));
	TRY(check_rules(ck, rows, COUNTOF(rows)));
	n = alloc_groups(ck->st);
	if (w->ngroups > n)
		n = w->ngroups;
	/* What no row and no map speaks of is left out: after damage that can
	 * be nearly all. */
	for (grp = 0; grp < n; grp++)
		if ((grp < w->ngroups && w->bits[grp] != NULL) ||
		    alloc_known(ck->st, grp))
			TRY(check_group(w, grp));
	return (OK);
}
