/*
 * obj: object records, the keys of an object, and its seal.
 *
 * The record of a regular file (column obj of table inode):
 *
 *     0   1 version (1)                  64  16 tag of the map's root node
 *     1   1 method (0 None, 1 AES256,    80  16 hash of the bases (zero: none)
 *           2 KMS)                       96  32 key commitment
 *     2   1 flags (OBJ_F_*)             128  12 nonce
 *     3   1 level of the map's root     140  16 tag
 *     4   2 length of the wrapped key   156   4 CRC32C of all but itself
 *     6   2 inline bytes, or embedded   160   . data key, wrapped by the KMS
 *           map entries (OBJ_F_EMBED)     .   . embedded map entries, 40 each
 *     8   8 segment number (0: none)      .  32 content key, sealed (absent
 *    16  16 object uuid                         without cipher)
 *    32  16 segment uuid                  .   . inline bytes, sealed
 *    48   8 blocks sealed so far
 *    56   8 size
 *
 * From the data key, by HKDF-Expand with the object's uuid: the commitment and
 * the record key (32 bytes each).  Content key and inline bytes are one
 * AES-256-GCM message under the record key, with the associated data
 * "ssefs object 1" || bytes 0..127 || wrapped data key || map entries.  GCM does
 * not commit to a key; the commitment does, so that a data key of another object
 * cannot be made to fit.  With method None the CRC stands alone.
 */
#include <string.h>

#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "crypto/rand.h"
#include "lib/base/buf.h"

#include "store/object.h"

#define OBJ_LABEL "ssefs object keys 1"
#define SEAL_LABEL "ssefs object 1"
#define SEAL_OFF 128u
#define CRC_OFF 156u
#define AD_MAX (32 + SEAL_OFF + KMS_BLOB_MAX + EMBED_MAX * 40)

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
	WIPED(uint8_t, k, 2 * KEY_LEN);

	TRY(hkdf_label(dek->b, OBJ_LABEL, o->uuid, UUID_LEN, k, sizeof(k)));
	memcpy(ret_commit, k, KEY_LEN);
	return (aead_new(k + KEY_LEN, &o->reck));
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
		return (err_fail(ERR_NOTSUP,
		    "the store has no key service: "
		    "only encryption \"None\" is possible"));
	dek = key_new();
	if (dek == NULL)
		return (ERR_NOMEM);
	obj_ctx(st, o->uuid, &ctx);
	const struct kms_who by = asker_who(st, who);
	st->n.kms_calls++;
	o->kms_epoch = kms_epoch(st->kms);
	TRY(kms_data_key(st->kms, &by,
	    method == SSE_AES256 ? KMS_SERVICE_KEY : keyname, ctx.pair,
	    COUNTOF(ctx.pair), dek, blob, &o->bloblen, ret_arn));
	o->blob = malloc(o->bloblen);
	if (o->blob == NULL)
		return (ERR_NOMEM);
	memcpy(o->blob, blob, o->bloblen);
	TRY(derive(o, dek, o->commit));
	*ret = steal(o);
	return (OK);
}

enum err
obj_still_ok(struct store *st, const struct obj *o, const char *arn)
{
	if (o->method == SSE_NONE || kms_epoch(st->kms) == o->kms_epoch)
		return (OK);
	return (kms_key_usable(st->kms, arn));
}

void
obj_free(struct obj *o)
{
	if (o == NULL)
		return;
	aead_free(o->reck);
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

enum err
obj_new_seg(struct store *st, struct obj *o)
{
	seg_clear(&o->seg);
	return (seg_make(st, &o->seg, o->method != SSE_NONE));
}

void
obj_no_seg(struct store *st, struct obj *o)
{
	seg_clear(&o->seg);
	memset(o->bases_tag, 0, sizeof(o->bases_tag));
	o->seg.st = st;
	o->seg.cipher = o->method != SSE_NONE;
}

/* ---- Reading a record ---------------------------------------------------------- */

static size_t
sealed_len(const struct obj *o)
{
	return ((o->method == SSE_NONE ? 0u : KEY_LEN) +
		(o->has_inline ? o->inl_len : 0u));
}

static size_t
record_len(const struct obj *o)
{
	return (OBJ_HEAD + o->bloblen +
		(o->seg.embedded ? o->seg.nemb * sizeof(struct ment) : 0) +
		sealed_len(o));
}

/* Numbers that fit together; reads the variable lengths. */
static enum err
parse_lengths(struct obj *o, const uint8_t *rec, size_t len)
{
	const uint16_t n = get_u16(rec + 6);

	o->method = (enum sse)rec[1];
	o->has_inline = (rec[2] & OBJ_F_INLINE) != 0;
	o->seg.embedded = (rec[2] & OBJ_F_EMBED) != 0;
	o->bloblen = get_u16(rec + 4);
	o->size = get_u64(rec + 56);
	o->seg.no = get_u64(rec + 8);
	if (o->bloblen > KMS_BLOB_MAX || o->size > STORE_SIZE_MAX ||
	    o->seg.no > INT64_MAX ||
	    (o->bloblen == 0) != (o->method == SSE_NONE))
		return (ERR_CORRUPT);
	if (o->seg.embedded) {
		if (o->has_inline || o->seg.no == 0 || n == 0 ||
		    n > EMBED_MAX || rec[3] != 0)
			return (ERR_CORRUPT);
		o->seg.nemb = (uint8_t)n;
	} else if ((n != 0) != o->has_inline || n > INLINE_MAX ||
		   (o->has_inline && (n != o->size || o->seg.no != 0))) {
		return (ERR_CORRUPT);
	}
	if (o->has_inline)
		o->inl_len = n;
	return (len == record_len(o) ? OK : ERR_CORRUPT);
}

enum err
obj_parse(const uint8_t *rec, size_t len, struct obj **ret)
{
	struct obj *o CLEANUP_OBJ = NULL;

	if (rec == NULL || len < OBJ_HEAD || len > OBJ_REC_MAX || rec[0] != 1 ||
	    rec[1] > SSE_KMS || rec[3] >= NODE_LEVELS ||
	    (rec[2] &
		~(OBJ_F_INLINE | OBJ_F_DEAD | OBJ_F_BASES | OBJ_F_EMBED)) != 0)
		return (ERR_CORRUPT);
	if (crc32c(crc32c(0, rec, CRC_OFF), rec + OBJ_HEAD, len - OBJ_HEAD) !=
	    get_u32(rec + CRC_OFF))
		return (ERR_CORRUPT);
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return (ERR_NOMEM);
	TRY(parse_lengths(o, rec, len));
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
	if (o->bloblen != 0) {
		o->blob = malloc(o->bloblen);
		if (o->blob == NULL)
			return (ERR_NOMEM);
		memcpy(o->blob, rec + OBJ_HEAD, o->bloblen);
	}
	if (o->seg.embedded)
		memcpy(o->seg.emb, rec + OBJ_HEAD + o->bloblen,
		    o->seg.nemb * sizeof(struct ment));
	o->seg.rowed = !o->seg.embedded && o->seg.no != 0;
	o->rec = malloc(len);
	if (o->rec == NULL)
		return (ERR_NOMEM);
	memcpy(o->rec, rec, len);
	o->reclen = len;
	*ret = steal(o);
	return (OK);
}

/* The associated data of the seal: label, head, wrapped key, map entries. */
static size_t
seal_ad(const struct obj *o, const uint8_t *rec, uint8_t *ret)
{
	const size_t n = strlen(SEAL_LABEL);
	const size_t more = record_len(o) - OBJ_HEAD - sealed_len(o);

	memcpy(ret, SEAL_LABEL, n);
	memcpy(ret + n, rec, SEAL_OFF);
	memcpy(ret + n + SEAL_OFF, rec + OBJ_HEAD, more);
	return (n + SEAL_OFF + more);
}

static enum err
inline_set(struct obj *o, const uint8_t *bytes)
{
	if (!o->has_inline)
		return (OK);
	if (o->inl == NULL)
		o->inl = calloc(1, INLINE_MAX);
	if (o->inl == NULL)
		return (ERR_NOMEM);
	memcpy(o->inl, bytes, o->inl_len);
	return (OK);
}

/* Open the sealed part: the content key, and what is inline. */
static enum err
unseal(struct obj *o)
{
	WIPED(uint8_t, text, KEY_LEN + INLINE_MAX);
	uint8_t ad[AD_MAX] UNINIT;
	const size_t len = sealed_len(o);

	/* The content key in the record is that of the segment it names. */
	if (get_u64(o->rec + 8) != o->seg.no)
		return (err_fail(ERR_INTERNAL, "a segment was never recorded"));
	const enum err e = aead_open(o->reck, o->rec + SEAL_OFF, ad,
	    seal_ad(o, o->rec, ad), o->rec + o->reclen - len, len,
	    o->rec + SEAL_OFF + AEAD_NONCELEN, text);
	if (e == ERR_AUTH)
		return (err_fail(ERR_CORRUPT, "the object's record was "
					      "altered"));
	TRY(e);
	TRY(inline_set(o, text + KEY_LEN));
	if (o->seg.no == 0)
		return (OK);
	o->seg.ck = key_new();
	if (o->seg.ck == NULL)
		return (ERR_NOMEM);
	memcpy(o->seg.ck->b, text, KEY_LEN);
	return (seg_keys(&o->seg));
}

static enum err
unlock_keys(
    struct store *st, const struct kms_who *who, struct obj *o, uint32_t keyref)
{
	char arn[KMS_ARN_MAX];
	struct key *dek CLEANUP_KEY = key_new();
	uint8_t commit[KEY_LEN];
	struct obj_ctx ctx;

	if (dek == NULL)
		return (ERR_NOMEM);
	if (st->kms == NULL)
		return (err_fail(ERR_NOTSUP, "the store has no key service"));
	/* Later opens, and revocation, go by the reference. */
	lock_take(&st->db);
	const enum err e = keyref_hold(st, keyref, arn);
	lock_drop(&st->db);
	if (e != OK && e != ERR_CORRUPT)
		return (e);
	if (e != OK || !kms_blob_under(o->blob, o->bloblen, arn))
		return (err_fail(ERR_CORRUPT, "the file's reference to its "
					      "master key was altered"));
	obj_ctx(st, o->uuid, &ctx);
	st->n.kms_calls++;
	const struct kms_who by = asker_who(st, who);
	const uint64_t at = kms_epoch(st->kms);
	TRY(kms_unwrap(st->kms, &by, o->blob, o->bloblen, ctx.pair,
	    COUNTOF(ctx.pair), dek));
	/* The answer may be older than a change of the key or of a policy that
	 * has come into force by now. */
	if (kms_epoch(st->kms) != at)
		TRY(kms_check(st->kms, &by, arn, ctx.pair, COUNTOF(ctx.pair)));
	TRY(derive(o, dek, commit));
	if (secret_cmp(commit, o->commit, KEY_LEN) != 0)
		return (err_fail(ERR_CORRUPT, "the data key does not belong "
					      "to this object"));
	return (unseal(o));
}

enum err
obj_unlock(struct store *st, const struct kms_who *who, struct inode *ip)
{
	struct obj *o = ip->obj;
	enum err e = OK;

	/* Reaped while the caller waited for the lock: what it writes now would
	 * belong to nothing. */
	if (ip->gone)
		return (ERR_STALE);
	if (o == NULL)
		return (ERR_CORRUPT);
	if (o->open)
		return (OK);
	o->seg.st = st;
	/* Keys were taken from a store that has stopped: what was not written
	 * then is lost. */
	if (o->rec == NULL || o->lost)
		return (err_fail(ERR_FAILSTOP, "the file's last changes were "
					       "lost when the store stopped"));
	if (o->size != ip->size)
		return (err_fail(ERR_CORRUPT, "the file's size was altered"));
	if (o->method != SSE_NONE)
		e = unlock_keys(st, who, o, ip->keyref);
	else
		e = inline_set(o, o->rec + o->reclen - sealed_len(o));
	if (e == OK && o->has_bases)
		e = base_load(st, o);
	if (e != OK) {
		LOCK_SCOPE(&st->db);
		obj_lock(st, o);
		return (epoch_damage(st, e));
	}
	o->open = true;
	return (OK);
}

void
obj_rest(struct obj *o)
{
	aead_rest(o->reck);
	aead_rest(o->seg.mapk);
	aead_rest(o->seg.basek);
	for (unsigned i = 0; i < o->seg.nblk; i++)
		aead_rest(o->seg.blk[i]);
}

void
obj_lock(struct store *st, struct obj *o)
{
	base_unload(st, &o->seg);
	aead_free(o->reck);
	o->reck = NULL;
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
	WIPED(uint8_t, text, KEY_LEN + INLINE_MAX);
	uint8_t ad[AD_MAX] UNINIT;
	const size_t len = record_len(o), sealed = sealed_len(o);
	const bool cipher = o->method != SSE_NONE;

	memset(rec, 0, OBJ_HEAD);
	rec[0] = 1;
	rec[1] = (uint8_t)o->method;
	rec[2] = (uint8_t)((o->has_inline ? OBJ_F_INLINE : 0) |
			   (o->seg.maybe_dead ? OBJ_F_DEAD : 0) |
			   (o->has_bases ? OBJ_F_BASES : 0) |
			   (o->seg.embedded ? OBJ_F_EMBED : 0));
	rec[3] = o->seg.depth;
	put_u16(rec + 4, (uint16_t)o->bloblen);
	put_u16(rec + 6, o->seg.embedded ? o->seg.nemb
			 : o->has_inline ? o->inl_len
					 : 0);
	put_u64(rec + 8, o->seg.no);
	memcpy(rec + 16, o->uuid, UUID_LEN);
	memcpy(rec + 32, o->seg.uuid, UUID_LEN);
	put_u64(rec + 48, o->seg.sealed);
	put_u64(rec + 56, o->size);
	memcpy(rec + 64, o->seg.root, AEAD_TAGLEN);
	memcpy(rec + 80, o->bases_tag, AEAD_TAGLEN);
	memcpy(rec + 96, o->commit, KEY_LEN);
	if (o->bloblen != 0)
		memcpy(rec + OBJ_HEAD, o->blob, o->bloblen);
	if (o->seg.embedded)
		memcpy(rec + OBJ_HEAD + o->bloblen, o->seg.emb,
		    o->seg.nemb * sizeof(struct ment));
	if (cipher && o->seg.ck != NULL)
		memcpy(text, o->seg.ck->b, KEY_LEN);
	if (o->has_inline)
		memcpy(text + (cipher ? KEY_LEN : 0), o->inl, o->inl_len);
	if (cipher) {
		rand_bytes(rec + SEAL_OFF, AEAD_NONCELEN);
		TRY(aead_seal(o->reck, rec + SEAL_OFF, ad, seal_ad(o, rec, ad),
		    text, sealed, rec + len - sealed,
		    rec + SEAL_OFF + AEAD_NONCELEN));
	} else {
		memcpy(rec + len - sealed, text, sealed);
	}
	put_u32(rec + CRC_OFF,
	    crc32c(crc32c(0, rec, CRC_OFF), rec + OBJ_HEAD, len - OBJ_HEAD));
	*ret_len = len;
	return (OK);
}

enum err
obj_flush(struct store *st, struct inode *ip)
{
	struct obj *o = ip->obj;
	uint8_t rec[OBJ_REC_MAX] UNINIT;
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
