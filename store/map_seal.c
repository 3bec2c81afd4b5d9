/*
 * map_seal: the rows of a map, and how dirty nodes become rows.
 *
 * A row of table node:
 *
 *   0  1 version (1)      8  8 generation: epoch it was sealed in
 *   1  1 level           16 12 nonce
 *   2  2 entries held    28 16 tag
 *   4  4 CRC32C of the   44  . entries: 40 bytes each at level 0 (struct
 *        row without it        ment), 16 above (the child's tag; zero: none)
 *
 * The tag is AES-256-GCM's over no plaintext, under the segment's map key, with
 * the associated data "ssefs node 1" || segment uuid || level u8 || index u64 ||
 * generation u64 || entries u16 || entries.  Without cipher it is the CRC and
 * the generation: no protection against malice, but it still ties each node to
 * its parent.
 *
 * A map that is one node with few entries has no row: the entries stand in the
 * object record, under its seal, and the root's tag says so.
 */
#include <string.h>

#include "crypto/digest.h"
#include "crypto/rand.h"
#include "lib/base/buf.h"

#include "store/map_internal.h"

#define NODE_LABEL "ssefs node 1"
#define NODE_LABEL_LEN 12u
#define NODE_AD_HEAD (NODE_LABEL_LEN + UUID_LEN + 1 + 8 + 8 + 2)

static const uint8_t tag_embedded[AEAD_TAGLEN] = "in the record";

/* ---- Rows --------------------------------------------------------------------- */

enum err
node_parse(const uint8_t *row, size_t len, uint8_t level, struct node_row *ret)
{
	const unsigned most = level == 0 ? CHUNK_ENTRIES : NODE_FANOUT;

	if (row == NULL || len < NODE_HEAD || row[0] != 1 || row[1] != level)
		return (ERR_CORRUPT);
	ret->level = level;
	ret->count = get_u16(row + 2);
	if (ret->count == 0 || ret->count > most ||
	    len != NODE_HEAD + ret->count * node_esize(level))
		return (ERR_CORRUPT);
	if (crc32c(crc32c(0, row, 4), row + 8, len - 8) != get_u32(row + 4))
		return (ERR_CORRUPT);
	ret->gen = get_u64(row + 8);
	ret->nonce = row + 16;
	ret->tag = row + 28;
	ret->ents = row + NODE_HEAD;
	return (OK);
}

static size_t
node_ad(const struct seg *s, uint8_t level, uint64_t idx, uint64_t gen,
    uint16_t count, const uint8_t *ents, uint8_t *ret)
{
	uint8_t *p = ret;

	memcpy(p, NODE_LABEL, NODE_LABEL_LEN);
	p += NODE_LABEL_LEN;
	memcpy(p, s->uuid, UUID_LEN);
	p += UUID_LEN;
	*p++ = level;
	put_u64(p, idx);
	put_u64(p + 8, gen);
	put_u16(p + 16, count);
	p += 18;
	memcpy(p, ents, count * node_esize(level));
	return ((size_t)(p - ret) + count * node_esize(level));
}

/* The tag of a node of a segment without cipher. */
static void
plain_tag(const uint8_t *ad, size_t adlen, uint64_t gen, uint8_t *ret)
{
	memset(ret, 0, AEAD_TAGLEN);
	put_u32(ret, crc32c(0, ad, adlen));
	put_u64(ret + 4, gen);
	ret[15] = 1; /* never all zero */
}

enum err
node_verify(struct seg *s, uint8_t level, uint64_t idx,
    const struct node_row *r, const uint8_t *want)
{
	uint8_t ad[NODE_AD_HEAD + NODE_ROW_MAX] UNINIT, tag[AEAD_TAGLEN];
	const size_t n = node_ad(s, level, idx, r->gen, r->count, r->ents, ad);

	if (want != NULL && memcmp(r->tag, want, AEAD_TAGLEN) != 0)
		return (ERR_CORRUPT);
	if (s->cipher) {
		struct aead *k;

		TRY(seg_map_key(s, &k));
		const enum err e =
		    aead_open(k, r->nonce, ad, n, NULL, 0, r->tag, tag);
		return (e == ERR_AUTH ? ERR_CORRUPT : e);
	}
	plain_tag(ad, n, r->gen, tag);
	return (memcmp(tag, r->tag, AEAD_TAGLEN) == 0 ? OK : ERR_CORRUPT);
}

/* ---- Seal ---------------------------------------------------------------------------- */

static bool
node_empty(const struct node *n)
{
	const size_t es = node_esize(n->level);

	for (unsigned i = 0; i < n->count; i++) {
		const uint8_t *p = n->ents + i * es;

		if (n->level == 0
			? ment_state((const struct ment *)(const void *)p) !=
			      MENT_ABSENT
			: memcmp(p, tag_none, AEAD_TAGLEN) != 0)
			return (false);
	}
	return (true);
}

/* Entries up to the last that is not absent. */
static uint16_t
node_used(const struct node *n)
{
	const size_t es = node_esize(n->level);
	static const uint8_t zero[sizeof(struct ment)];
	uint16_t c = n->count;

	while (c > 1 && memcmp(n->ents + (c - 1u) * es, zero, es) == 0)
		c--;
	return (c);
}

static enum err
row_write(struct store *st, struct node *n, uint8_t ret_tag[AEAD_TAGLEN])
{
	struct seg *s = n->seg;
	uint8_t row[NODE_ROW_MAX] UNINIT,
	    ad[NODE_AD_HEAD + NODE_ROW_MAX] UNINIT;
	const uint16_t count = node_used(n);
	const size_t len = NODE_HEAD + count * node_esize(n->level);
	const uint64_t gen = st->epoch_no;
	size_t adlen;

	row[0] = 1;
	row[1] = n->level;
	put_u16(row + 2, count);
	put_u64(row + 8, gen);
	memcpy(row + NODE_HEAD, n->ents, len - NODE_HEAD);
	adlen = node_ad(s, n->level, n->idx, gen, count, n->ents, ad);
	if (s->cipher) {
		struct aead *k;

		TRY(seg_map_key(s, &k));
		rand_bytes(row + 16, AEAD_NONCELEN);
		TRY(aead_seal(k, row + 16, ad, adlen, NULL, 0, NULL, row + 28));
	} else {
		memset(row + 16, 0, AEAD_NONCELEN);
		plain_tag(ad, adlen, gen, row + 28);
	}
	put_u32(row + 4, crc32c(crc32c(0, row, 4), row + 8, len - 8));
	memcpy(ret_tag, row + 28, AEAD_TAGLEN);

	LOCK_SCOPE(&st->db);
	TRY(db_begin(st));
	sqlite3_stmt *q = db_stmt(st, ST_NODE_PUT);
	sqlite3_bind_int64(q, 1, (int64_t)n->segno);
	sqlite3_bind_int(q, 2, n->level);
	sqlite3_bind_int64(q, 3, (int64_t)n->idx);
	sqlite3_bind_blob(q, 4, row, (int)len, SQLITE_STATIC);
	return (db_run(st, ST_NODE_PUT));
}

enum err
node_row_delete(struct store *st, const struct node *n)
{
	LOCK_SCOPE(&st->db);
	TRY(db_begin(st));
	sqlite3_stmt *q = db_stmt(st, ST_NODE_DEL);
	sqlite3_bind_int64(q, 1, (int64_t)n->segno);
	sqlite3_bind_int(q, 2, n->level);
	sqlite3_bind_int64(q, 3, (int64_t)n->idx);
	return (db_run(st, ST_NODE_DEL));
}

/* May the node stand in the object record? */
static bool
embeddable(const struct seg *s, const struct node *n)
{
	return (s->depth == 0 && !s->frozen && node_used(n) <= EMBED_MAX);
}

static enum err
embed(struct store *st, struct seg *s, const struct node *n)
{
	if (s->rowed)
		TRY(node_row_delete(st, n));
	s->rowed = false;
	s->embedded = true;
	s->nemb = (uint8_t)node_used(n);
	memcpy(s->emb, n->ents, s->nemb * sizeof(struct ment));
	return (OK);
}

/* Seal one node and put its tag (none when it became empty) above it. */
static enum err
seal_node(struct store *st, struct seg *s, struct node *n)
{
	uint8_t tag[AEAD_TAGLEN] = { 0 };

	if (n->level == 0)
		s->embedded = false;
	if (node_empty(n)) {
		TRY(node_row_delete(st, n));
	} else if (embeddable(s, n)) {
		TRY(embed(st, s, n));
		memcpy(tag, tag_embedded, AEAD_TAGLEN);
	} else {
		TRY(row_write(st, n, tag));
		s->rowed = true;
	}
	if (n->level == s->depth) {
		memcpy(s->root, tag, AEAD_TAGLEN);
	} else {
		struct node *up CLEANUP_NODE = NULL;
		const unsigned c = (unsigned)(n->idx % NODE_FANOUT);

		TRY(node_touch(st, s, (uint8_t)(n->level + 1),
		    n->idx / NODE_FANOUT, (uint16_t)(c + 1), &up));
		memcpy(up->ents + c * AEAD_TAGLEN, tag, AEAD_TAGLEN);
	}
	node_sealed(st, n, memcmp(tag, tag_none, AEAD_TAGLEN) == 0);
	return (OK);
}

enum err
map_seal(struct store *st, struct seg *s)
{
	if (s->no == 0)
		return (OK);
	/* Sealing a node makes those above it dirty, never one beside it. */
	for (uint8_t level = 0; level <= s->depth; level++)
		while (s->dirty[level] != NULL)
			TRY(seal_node(st, s, s->dirty[level]));
	return (OK);
}
