/*
 * Object records (store/obj.c).  The record written anew from what was parsed,
 * by the byte table in docs/FORMAT.md, is the record that was given.
 *
 * Input: a byte of flags (1: correct the checksum), two bytes that choose a bit
 * to turn over, the record.
 */
#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "store/object.h"

#include "tests/fuzz/fuzz.h"

#define CRC_AT (OBJ_HEAD - 4)
#define SEAL_AT 128u

static void
checksum(uint8_t *rec, size_t len)
{
	put_u32(rec + CRC_AT,
	    crc32c(crc32c(0, rec, CRC_AT), rec + OBJ_HEAD, len - OBJ_HEAD));
}

static void
head(const struct obj *o, uint8_t ret[static OBJ_HEAD])
{
	memset(ret, 0, OBJ_HEAD);
	ret[0] = 1;
	ret[1] = (uint8_t)o->method;
	ret[2] = (uint8_t)((o->has_inline ? OBJ_F_INLINE : 0) |
			   (o->seg.maybe_dead ? OBJ_F_DEAD : 0) |
			   (o->has_bases ? OBJ_F_BASES : 0) |
			   (o->seg.embedded ? OBJ_F_EMBED : 0));
	ret[3] = o->seg.depth;
	put_u16(ret + 4, (uint16_t)o->bloblen);
	put_u16(ret + 6, o->seg.embedded ? o->seg.nemb : o->inl_len);
	put_u64(ret + 8, o->seg.no);
	memcpy(ret + 16, o->uuid, UUID_LEN);
	memcpy(ret + 32, o->seg.uuid, UUID_LEN);
	put_u64(ret + 48, o->seg.sealed);
	put_u64(ret + 56, o->size);
	memcpy(ret + 64, o->seg.root, AEAD_TAGLEN);
	memcpy(ret + 80, o->bases_tag, AEAD_TAGLEN);
	memcpy(ret + 96, o->commit, KEY_LEN);
}

static void
sound(const struct obj *o, const uint8_t *rec, size_t len)
{
	const size_t emb =
	    o->seg.embedded ? o->seg.nemb * sizeof(struct ment) : 0;
	const bool cipher = o->method != SSE_NONE;
	uint8_t again[OBJ_HEAD];

	head(o, again);
	HOLDS(memcmp(again, rec, SEAL_AT) == 0);
	HOLDS(o->reclen == len && memcmp(o->rec, rec, len) == 0);
	HOLDS(!o->open && o->inl == NULL && o->reck == NULL);
	HOLDS(o->seg.ck == NULL && o->seg.cipher == cipher);
	HOLDS(o->size <= STORE_SIZE_MAX && o->seg.depth < NODE_LEVELS);
	HOLDS(o->bloblen <= KMS_BLOB_MAX && (o->bloblen > 0) == cipher);
	HOLDS(!(o->has_inline && o->seg.embedded));
	HOLDS(o->inl_len <= INLINE_MAX && o->seg.nemb <= EMBED_MAX);
	if (o->has_inline)
		HOLDS(o->inl_len == o->size && o->seg.no == 0);
	HOLDS(
	    OBJ_HEAD + o->bloblen + emb + (cipher ? KEY_LEN : 0) + o->inl_len ==
	    len);
	if (cipher)
		HOLDS(memcmp(o->blob, rec + OBJ_HEAD, o->bloblen) == 0);
	HOLDS(emb == 0 ||
	      memcmp(o->seg.emb, rec + OBJ_HEAD + o->bloblen, emb) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const bool fix = (feed_int(&f, 1) & 1) != 0;
	const uint64_t bit = feed_int(&f, 2);
	uint8_t *rec CLEANUP_FREE = exact(f.p, f.len);
	struct obj *o = NULL;
	enum err e;

	if (fix && f.len >= OBJ_HEAD)
		checksum(rec, f.len);
	e = obj_parse(rec, f.len, &o);
	HOLDS(e == OK || e == ERR_CORRUPT);
	HOLDS((e == OK) == (o != NULL));
	if (e != OK)
		return (0);
	sound(o, rec, f.len);
	obj_free(o);
	rec[bit / 8 % f.len] ^= (uint8_t)(1u << bit % 8);
	HOLDS(obj_parse(rec, f.len, &o) == ERR_CORRUPT);
	return (0);
}
