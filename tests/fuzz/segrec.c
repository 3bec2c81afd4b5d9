/*
 * Records of shared segments (store/frozen.c), by the byte table in
 * docs/FORMAT.md.
 *
 * Input: a byte of flags (1: correct the checksum), two bytes that choose a bit
 * to turn over, the record.
 */
#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "store/object.h"

#include "tests/fuzz/fuzz.h"

#define CRC_AT 4u

static void
checksum(uint8_t *rec, size_t len)
{
	put_u32(rec + CRC_AT,
	    crc32c(crc32c(0, rec, CRC_AT), rec + CRC_AT + 4, len - CRC_AT - 4));
}

static void
sound(const struct seg_rec *r, const uint8_t *rec, size_t len)
{
	HOLDS(len == 96 && len == SEG_REC);
	HOLDS(rec[0] == 1 && rec[1] == r->depth && rec[2] == r->cipher &&
	      rec[3] == r->has_bases);
	HOLDS(r->depth < NODE_LEVELS);
	HOLDS(r->sealed == get_u64(rec + 8));
	HOLDS(r->uuid == rec + 16 && r->root == rec + 32);
	HOLDS(r->bases_tag == rec + 48 && r->nonce == rec + 64);
	HOLDS(r->tag == rec + 76 && r->tag + AEAD_TAGLEN + 4 == rec + len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const bool fix = (feed_int(&f, 1) & 1) != 0;
	const uint64_t bit = feed_int(&f, 2);
	uint8_t *rec CLEANUP_FREE = exact(f.p, f.len);
	struct seg_rec r;
	enum err e;

	if (fix && f.len > CRC_AT + 4)
		checksum(rec, f.len);
	e = seg_rec_parse(rec, f.len, &r);
	HOLDS(e == OK || e == ERR_CORRUPT);
	if (e != OK)
		return (0);
	sound(&r, rec, f.len);
	rec[bit / 8 % f.len] ^= (uint8_t)(1u << bit % 8);
	HOLDS(seg_rec_parse(rec, f.len, &r) == ERR_CORRUPT);
	return (0);
}
