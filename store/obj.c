/*
 * obj: object records, the keys of an object, and its seal.
 *
 * The record of a regular file (column obj of table inode):
 *
 *     0   1 version (1)                  64  16 tag of the map's root node
 *     1   1 method (0 None, 1 AES256,    80  16 tag over the bases (none yet
 *           2 KMS)                              shared: zero)
 *     2   1 flags (OBJ_F_*)              96  32 key commitment
 *     3   1 level of the map's root     128  60 content key: nonce 12, 32,
 *     4   2 length of the wrapped key           tag 16
 *     6   2 inline bytes                188   4 zero
 *     8   8 segment number (0: none)    192  28 seal: nonce 12, tag 16
 *    16  16 object uuid                 220   4 CRC32C of all but itself
 *    32  16 segment uuid                224   . data key, wrapped by the KMS
 *    48   8 blocks sealed so far          .   . inline: nonce, bytes, tag
 *    56   8 size                                (bytes only without cipher)
 *
 * From the data key, by HKDF-Expand with the object's uuid: the commitment, the
 * wrapping key, the seal key, the inline key (32 bytes each).  The seal is
 * AES-256-GCM over no plaintext with the associated data "ssefs object 1" ||
 * bytes 0..191 || wrapped data key || inline.  GCM does not commit to a key;
 * the commitment does, so that a data key of another object cannot be made to
 * fit.  With method None the CRC stands alone.
 */
#include <string.h>

#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "crypto/rand.h"
#include "lib/base/buf.h"

#include "store/object.h"

#define OBJ_LABEL "ssefs object keys 1"
#define SEAL_LABEL "ssefs object 1"
#define CK_LABEL "ssefs content key 1"
#define INLINE_LABEL "ssefs inline 1"
#define SEAL_OFF 192u
#define CRC_OFF 220u

_Static_assert(CRC_OFF + 4 == OBJ_HEAD, "object record");

void
obj_ctx(const struct store *st, const uint8_t uuid[static UUID_LEN],
    struct obj_ctx *ret)
{
	uuid_format(uuid, ret->uuid);
	ret->pair[0] = (struct kms_pair){ "ssefs:store", st->uuid_text };
	ret->pair[1] = (struct kms_pair){ "ssefs:object", ret->uuid };
}

/* The object's keys from its data key; the commitment to ${ret_commit}. */
static enum err
derive(struct obj *o, const struct key *dek, uint8_t ret_commit[KEY_LEN])
{
	WIPED(uint8_t, k, 4 * KEY_LEN);

	TRY(hkdf_label(dek->b, OBJ_LABEL, o->uuid, UUID_LEN, k, sizeof(k)));
	memcpy(ret_commit, k, KEY_LEN);
	TRY(aead_new(k + KEY_LEN, &o->wrapk));
	TRY(aead_new(k + 2 * KEY_LEN, &o->sealk));
	return (aead_new(k + 3 * KEY_LEN, &o->inlk));
}

static void
obj_cleanup(struct obj **o)
{
	obj_free(*o);
}
#define CLEANUP_OBJ CLEANUP(obj_cleanup)

enum err
obj_make(struct store *st, const struct kms_who *who, enum sse method,
    const char *keyname, struct obj **ret, char ret_arn[static KMS_ARN_MAX])
{
	struct obj *o CLEANUP_OBJ = calloc(1, sizeof(*o));
	struct key *dek CLEANUP_KEY = NULL;
	uint8_t blob[KMS_BLOB_MAX];
	struct obj_ctx ctx;

	if (o == NULL)
		return (ERR_NOMEM);
	o->method = method;
	o->open = true;
	rand_bytes(o->uuid, UUID_LEN);
	ret_arn[0] = '\0';
	if (method == SSE_NONE) {
		*ret = steal(o);
		return (OK);
	}
	if (st->kms == NULL)
		return (err_fail(ERR_NOTSUP, "the store has no key service: "
		    "only encryption \"None\" is possible"));
	dek = key_new();
	if (dek == NULL)
		return (ERR_NOMEM);
	obj_ctx(st, o->uuid, &ctx);
	st->n.kms_calls++;
	TRY(kms_data_key(st->kms, who, method == SSE_AES256 ?
	    KMS_SERVICE_KEY : keyname, ctx.pair, COUNTOF(ctx.pair), dek, blob,
	    &o->bloblen, ret_arn));
	o->blob = malloc(o->bloblen);
	if (o->blob == NULL)
		return (ERR_NOMEM);
	memcpy(o->blob, blob, o->bloblen);
	TRY(derive(o, dek, o->commit));
	*ret = steal(o);
	return (OK);
}

void
obj_free(struct obj *o)
{
	if (o == NULL)
		return;
	aead_free(o->wrapk);
	aead_free(o->sealk);
	aead_free(o->inlk);
	if (o->seg.nbases != 0)
		base_unload(o->seg.st, &o->seg);
	seg_clear(&o->seg);
	if (o->inl != NULL)
		secret_wipe(o->inl, INLINE_MAX);
	free(o->inl);
	free(o->blob);
	free(o->rec);
	free(o);
}

static size_t
ck_ad(const struct obj *o, uint8_t *ret)
{
	const size_t n = strlen(CK_LABEL);

	memcpy(ret, CK_LABEL, n);
	memcpy(ret + n, o->uuid, UUID_LEN);
	memcpy(ret + n + UUID_LEN, o->seg.uuid, UUID_LEN);
	return (n + 2 * UUID_LEN);
}

static size_t
inline_ad(const struct obj *o, uint8_t *ret)
{
	const size_t n = strlen(INLINE_LABEL);

	memcpy(ret, INLINE_LABEL, n);
	memcpy(ret + n, o->uuid, UUID_LEN);
	put_u64(ret + n + UUID_LEN, o->size);
	return (n + UUID_LEN + 8);
}

enum err
obj_new_seg(struct store *st, struct obj *o)
{
	uint8_t ad[64];

	seg_clear(&o->seg);
	TRY(seg_make(st, &o->seg, o->method != SSE_NONE));
	if (o->method == SSE_NONE)
		return (OK);
	return (aead_seal_msg(o->wrapk, ad, ck_ad(o, ad), o->seg.ck->b,
	    KEY_LEN, o->wrapped));
}

/* ---- Reading a record ---------------------------------------------------------- */

static size_t
inline_stored(const struct obj *o)
{
	if (!o->has_inline)
		return (0);
	return (o->inl_len + (o->method == SSE_NONE ? 0u : AEAD_OVERHEAD));
}

enum err
obj_parse(const uint8_t *rec, size_t len, struct obj **ret)
{
	struct obj *o CLEANUP_OBJ = NULL;
	size_t bloblen;

	if (rec == NULL || len < OBJ_HEAD || len > OBJ_REC_MAX ||
	    rec[0] != 1 || rec[1] > SSE_KMS || rec[3] >= NODE_LEVELS ||
	    (rec[2] & ~(OBJ_F_INLINE | OBJ_F_DEAD | OBJ_F_BASES)) != 0)
		return (ERR_CORRUPT);
	if (crc32c(crc32c(0, rec, CRC_OFF), rec + OBJ_HEAD, len - OBJ_HEAD) !=
	    get_u32(rec + CRC_OFF))
		return (ERR_CORRUPT);
	bloblen = get_u16(rec + 4);
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return (ERR_NOMEM);
	o->method = (enum sse)rec[1];
	o->has_inline = (rec[2] & OBJ_F_INLINE) != 0;
	o->inl_len = get_u16(rec + 6);
	o->bloblen = bloblen;
	o->size = get_u64(rec + 56);
	if (bloblen > KMS_BLOB_MAX || o->inl_len > INLINE_MAX ||
	    (bloblen == 0) != (o->method == SSE_NONE) ||
	    (o->inl_len != 0) != o->has_inline ||
	    (o->has_inline && o->inl_len != o->size) ||
	    o->size > STORE_SIZE_MAX ||
	    len != OBJ_HEAD + bloblen + inline_stored(o))
		return (ERR_CORRUPT);
	o->seg.no = get_u64(rec + 8);
	if (o->seg.no > INT64_MAX || (o->seg.no != 0 && o->has_inline))
		return (ERR_CORRUPT);
	memcpy(o->uuid, rec + 16, UUID_LEN);
	memcpy(o->seg.uuid, rec + 32, UUID_LEN);
	o->seg.sealed = get_u64(rec + 48);
	o->seg.depth = rec[3];
	o->seg.cipher = o->method != SSE_NONE;
	o->seg.maybe_dead = (rec[2] & OBJ_F_DEAD) != 0;
	o->has_bases = (rec[2] & OBJ_F_BASES) != 0;
	memcpy(o->seg.root, rec + 64, AEAD_TAGLEN);
	memcpy(o->bases_tag, rec + 80, AEAD_TAGLEN);
	memcpy(o->commit, rec + 96, KEY_LEN);
	memcpy(o->wrapped, rec + 128, WRAPPED_LEN);
	if (bloblen != 0) {
		o->blob = malloc(bloblen);
		if (o->blob == NULL)
			return (ERR_NOMEM);
		memcpy(o->blob, rec + OBJ_HEAD, bloblen);
	}
	o->rec = malloc(len);
	if (o->rec == NULL)
		return (ERR_NOMEM);
	memcpy(o->rec, rec, len);
	o->reclen = len;
	*ret = steal(o);
	return (OK);
}

/* The associated data of the seal: label, head, wrapped key, inline. */
static size_t
seal_ad(const uint8_t *rec, size_t len, uint8_t *ret)
{
	const size_t n = strlen(SEAL_LABEL);

	memcpy(ret, SEAL_LABEL, n);
	memcpy(ret + n, rec, SEAL_OFF);
	memcpy(ret + n + SEAL_OFF, rec + OBJ_HEAD, len - OBJ_HEAD);
	return (n + SEAL_OFF + len - OBJ_HEAD);
}

static enum err
unlock_inline(struct obj *o)
{
	const uint8_t *in = o->rec + OBJ_HEAD + o->bloblen;
	uint8_t ad[64];

	if (!o->has_inline)
		return (OK);
	if (o->inl == NULL)
		o->inl = calloc(1, INLINE_MAX);
	if (o->inl == NULL)
		return (ERR_NOMEM);
	if (o->method == SSE_NONE) {
		memcpy(o->inl, in, o->inl_len);
		return (OK);
	}
	return (aead_open_msg(o->inlk, ad, inline_ad(o, ad), in,
	    inline_stored(o), o->inl));
}

static enum err
unlock_keys(struct store *st, const struct kms_who *who, struct obj *o)
{
	struct key *dek CLEANUP_KEY = key_new();
	uint8_t commit[KEY_LEN], tag[AEAD_TAGLEN];
	uint8_t ad[32 + OBJ_REC_MAX];
	struct obj_ctx ctx;

	if (dek == NULL)
		return (ERR_NOMEM);
	if (st->kms == NULL)
		return (err_fail(ERR_NOTSUP, "the store has no key service"));
	obj_ctx(st, o->uuid, &ctx);
	st->n.kms_calls++;
	TRY(kms_unwrap(st->kms, who, o->blob, o->bloblen, ctx.pair,
	    COUNTOF(ctx.pair), dek));
	TRY(derive(o, dek, commit));
	if (secret_cmp(commit, o->commit, KEY_LEN) != 0)
		return (err_fail(ERR_CORRUPT, "the data key does not belong "
		    "to this object"));
	if (aead_open(o->sealk, o->rec + SEAL_OFF, ad,
	    seal_ad(o->rec, o->reclen, ad), NULL, 0,
	    o->rec + SEAL_OFF + AEAD_NONCELEN, tag) != OK)
		return (err_fail(ERR_CORRUPT, "the object's record was "
		    "altered"));
	if (o->seg.no == 0)
		return (OK);
	o->seg.ck = key_new();
	if (o->seg.ck == NULL)
		return (ERR_NOMEM);
	TRY(aead_open_msg(o->wrapk, ad, ck_ad(o, ad), o->wrapped, WRAPPED_LEN,
	    o->seg.ck->b));
	return (seg_keys(&o->seg));
}

enum err
obj_unlock(struct store *st, const struct kms_who *who, struct inode *ip)
{
	struct obj *o = ip->obj;
	enum err e = OK;

	if (o == NULL)
		return (ERR_CORRUPT);
	if (o->open)
		return (OK);
	o->seg.st = st;
	if (o->size != ip->size)
		return (err_fail(ERR_CORRUPT, "the file's size was altered"));
	if (o->method != SSE_NONE)
		e = unlock_keys(st, who, o);
	if (e == OK)
		e = unlock_inline(o);
	if (e == OK && o->has_bases)
		e = base_load(st, o);
	if (e != OK) {
		LOCK_SCOPE(&st->db);
		obj_lock(st, o);
		return (e);
	}
	o->open = true;
	return (OK);
}

void
obj_lock(struct store *st, struct obj *o)
{
	base_unload(st, &o->seg);
	aead_free(o->wrapk);
	aead_free(o->sealk);
	aead_free(o->inlk);
	o->wrapk = o->sealk = o->inlk = NULL;
	seg_lock(&o->seg);
	if (o->inl != NULL) {
		secret_wipe(o->inl, INLINE_MAX);
		free(o->inl);
		o->inl = NULL;
	}
	o->open = false;
}

/* ---- Writing a record ----------------------------------------------------------- */

/* Build the record of an open object. */
static enum err
record(struct obj *o, uint8_t *rec, size_t *ret_len)
{
	uint8_t ad[32 + OBJ_REC_MAX];
	const size_t len = OBJ_HEAD + o->bloblen + inline_stored(o);
	uint8_t *in = rec + OBJ_HEAD + o->bloblen;

	memset(rec, 0, OBJ_HEAD);
	rec[0] = 1;
	rec[1] = (uint8_t)o->method;
	rec[2] = (uint8_t)((o->has_inline ? OBJ_F_INLINE : 0) |
	    (o->seg.maybe_dead ? OBJ_F_DEAD : 0) |
	    (o->has_bases ? OBJ_F_BASES : 0));
	rec[3] = o->seg.depth;
	put_u16(rec + 4, (uint16_t)o->bloblen);
	put_u16(rec + 6, o->has_inline ? o->inl_len : 0);
	put_u64(rec + 8, o->seg.no);
	memcpy(rec + 16, o->uuid, UUID_LEN);
	memcpy(rec + 32, o->seg.uuid, UUID_LEN);
	put_u64(rec + 48, o->seg.sealed);
	put_u64(rec + 56, o->size);
	memcpy(rec + 64, o->seg.root, AEAD_TAGLEN);
	memcpy(rec + 80, o->bases_tag, AEAD_TAGLEN);
	memcpy(rec + 96, o->commit, KEY_LEN);
	memcpy(rec + 128, o->wrapped, WRAPPED_LEN);
	if (o->bloblen != 0)
		memcpy(rec + OBJ_HEAD, o->blob, o->bloblen);
	if (o->has_inline && o->method == SSE_NONE)
		memcpy(in, o->inl, o->inl_len);
	else if (o->has_inline)
		TRY(aead_seal_msg(o->inlk, ad, inline_ad(o, ad), o->inl,
		    o->inl_len, in));
	if (o->method != SSE_NONE) {
		rand_bytes(rec + SEAL_OFF, AEAD_NONCELEN);
		TRY(aead_seal(o->sealk, rec + SEAL_OFF, ad,
		    seal_ad(rec, len, ad), NULL, 0, NULL,
		    rec + SEAL_OFF + AEAD_NONCELEN));
	}
	put_u32(rec + CRC_OFF, crc32c(crc32c(0, rec, CRC_OFF),
	    rec + OBJ_HEAD, len - OBJ_HEAD));
	*ret_len = len;
	return (OK);
}

enum err
obj_flush(struct store *st, struct inode *ip)
{
	struct obj *o = ip->obj;
	uint8_t rec[OBJ_REC_MAX];
	uint8_t *copy;
	size_t len;

	if (!o->open)
		return (err_fail(ERR_INTERNAL, "a locked object is dirty"));
	TRY(map_seal(st, &o->seg));
	o->size = ip->size;
	TRY(record(o, rec, &len));
	copy = realloc(o->rec, len);
	if (copy == NULL)
		return (ERR_NOMEM);
	memcpy(copy, rec, len);
	o->rec = copy;
	o->reclen = len;
	return (OK);
}

/* ---- Parsing the methods' names ---------------------------------------------------- */

enum err
sse_parse(const char *text, enum sse *ret_method, const char **ret_key)
{
	*ret_key = NULL;
	if (strcmp(text, "None") == 0)
		*ret_method = SSE_NONE;
	else if (strcmp(text, "AES256") == 0)
		*ret_method = SSE_AES256;
	else if (strcmp(text, "KMS") == 0)
		*ret_method = SSE_KMS;
	else if (strncmp(text, "KMS:", 4) == 0 && text[4] != '\0') {
		*ret_method = SSE_KMS;
		*ret_key = text + 4;
	} else
		return (err_fail(ERR_INVAL, "the encryption is one of None, "
		    "AES256, KMS or KMS:KEY"));
	return (OK);
}
