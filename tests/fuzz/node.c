/*
 * Rows of map nodes (store/map.c), and the tags of nodes without cipher.
 *
 * Input: a byte of flags (1: correct the checksum; 2: the tag as well), the
 * level, eight bytes for the node's number, two bytes that choose a bit to turn
 * over, the row.
 */
#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "store/object.h"

#include "tests/fuzz/fuzz.h"

#define LABEL "ssefs node 1"

/* The tag that docs/FORMAT.md gives to a node without cipher. */
static void
tag_of(const struct seg *s, uint64_t idx, uint8_t *row, size_t len)
{
	const size_t n = strlen(LABEL) + UUID_LEN + 1 + 8 + 8 + 2;
	uint8_t *ad CLEANUP_FREE = malloc(n + len - NODE_HEAD);
	uint8_t *p = ad;

	HOLDS(ad != NULL);
	p = mempcpy(p, LABEL, strlen(LABEL));
	p = mempcpy(p, s->uuid, UUID_LEN);
	*p++ = row[1];
	put_u64(p, idx);
	memcpy(p + 8, row + 8, 8);
	memcpy(p + 16, row + 2, 2);
	memcpy(p + 18, row + NODE_HEAD, len - NODE_HEAD);
	memset(row + 28, 0, AEAD_TAGLEN);
	put_u32(row + 28, crc32c(0, ad, n + len - NODE_HEAD));
	memcpy(row + 32, row + 8, 8);
	row[28 + 15] = 1;
}

static void
checksum(uint8_t *row, size_t len)
{
	put_u32(row + 4, crc32c(crc32c(0, row, 4), row + 8, len - 8));
}

static void
sound(const struct node_row *r, const uint8_t *row, size_t len, uint8_t level)
{
	HOLDS(r->level == level && row[1] == level);
	HOLDS(r->count > 0);
	HOLDS(r->count <= (level == 0 ? CHUNK_ENTRIES : NODE_FANOUT));
	HOLDS(r->nonce == row + 16 && r->tag == row + 28);
	HOLDS(r->ents == row + NODE_HEAD);
	HOLDS(r->ents + r->count * node_esize(level) == row + len);
	HOLDS(len <= NODE_ROW_MAX);
	for (unsigned i = 0; level == 0 && i < r->count; i++) {
		struct ment m, again;

		memcpy(&m, r->ents + i * sizeof(m), sizeof(m));
		again = m;
		HOLDS(ment_slot(&m) >> 40 == 0);
		ment_set_slot(&again, ment_slot(&m));
		HOLDS(memcmp(&m, &again, sizeof(m)) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const uint64_t flags = feed_int(&f, 1);
	const uint8_t level = (uint8_t)(feed_int(&f, 1) % NODE_LEVELS);
	const uint64_t idx = feed_int(&f, 8), bit = feed_int(&f, 2);
	uint8_t *row CLEANUP_FREE = exact(f.p, f.len);
	struct seg s = { .no = 1, .uuid = { 1, 2, 3 } };
	struct node_row r;
	enum err e;

	if ((flags & 2) != 0 && f.len >= NODE_HEAD)
		tag_of(&s, idx, row, f.len);
	if ((flags & 3) != 0 && f.len >= NODE_HEAD)
		checksum(row, f.len);
	e = node_parse(row, f.len, level, &r);
	HOLDS(e == OK || e == ERR_CORRUPT);
	if (e != OK)
		return (0);
	sound(&r, row, f.len, level);
	e = node_verify(&s, level, idx, &r, NULL);
	HOLDS((flags & 2) == 0 || e == OK);
	if (e == OK) {
		HOLDS(node_verify(&s, level, idx, &r, r.tag) == OK);
		HOLDS(node_verify(&s, level, idx + 1, &r, NULL) != OK);
	}
	row[bit / 8 % f.len] ^= (uint8_t)(1u << bit % 8);
	HOLDS(node_parse(row, f.len, level, &r) == ERR_CORRUPT);
	return (0);
}
