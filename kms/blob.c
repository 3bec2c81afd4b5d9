/*
 * Wrapped plaintexts, format 1, suite 1.  Integers are big-endian.
 *
 *	 0  4  magic "SFKB"
 *	 4  1  format = 1
 *	 5  1  suite = 1 (a key derived per message, AES-256-GCM)
 *	 6  2  flags = 0
 *	 8 16  UUID of the master key
 *	24  4  version of its material
 *	28 16  salt S, random
 *	44 12  GCM nonce, random
 *	56 28  key commitment C
 *	84  n  the plaintext, encrypted: 32 bytes of a data key, 1 to 4096 else
 *	84+n 16  GCM tag
 *
 * Kenc || Kcom = KBKDF-CTR-HMAC-SHA256(material, "kms/v1", bytes 0..43), 64
 * bytes; C = the first 28 bytes of HMAC-SHA256(Kcom, bytes 0..55), compared
 * before GCM is tried, because GCM alone does not commit to its key; the
 * additional data of GCM are bytes 0..83 and the canonical context.  With a
 * fresh 128-bit salt and 96-bit nonce for every message there is no practical
 * limit to the messages under one master key.
 *
 * Suites 2 (a key in a PKCS#11 token, AES-256-GCM) and 4 (a remote key service)
 * have the same head, with zeros for the salt and the commitment.  With suite 2
 * the nonce is the token's and what follows the head is ciphertext and tag; the
 * additional data are the head, its nonce zero, and the canonical context, since
 * a token may make the nonce when it has them already.  With suite 4 the nonce
 * is zero and what the service answered follows; how the head and the context
 * are bound into that is its provider's affair.
 */
#include <string.h>

#include "crypto/aead.h"
#include "crypto/rand.h"
#include "lib/base/buf.h"

#include "kms/blob.h"

#define OFF_UUID 8
#define OFF_VERSION 24
#define OFF_SALT 28
#define OFF_NONCE 44
#define OFF_COMMIT 56
#define COMMIT_LEN (BLOB_HEAD - OFF_COMMIT)

_Static_assert(OFF_VERSION == OFF_UUID + UUID_LEN, "blob layout");
_Static_assert(OFF_COMMIT == OFF_NONCE + AEAD_NONCELEN, "blob layout");
_Static_assert(COMMIT_LEN == 28, "blob layout");
_Static_assert(BLOB_LEN == BLOB_HEAD + KEY_LEN + AEAD_TAGLEN, "blob layout");
_Static_assert(BLOB_LEN <= KMS_BLOB_MAX, "blob fits");

static const uint8_t head_start[8] = { 'S', 'F', 'K', 'B', 1, 1, 0, 0 };

/* Is it one of a provider, well-formed as far as can be seen here? */
static bool
far_form(const uint8_t *blob, size_t len, struct blob_id *ret)
{
	static const uint8_t zero[BLOB_HEAD];
	const bool p11 = blob[5] == BLOB_SUITE_P11;
	const size_t least = p11 ? BLOB_SIZE(1) : BLOB_HEAD + 1;
	const size_t most = p11 ? BLOB_SIZE(BLOB_PLAIN_MAX) : BLOB_FAR_MAX;

	if ((!p11 && blob[5] != BLOB_SUITE_REMOTE) || len < least ||
	    len > most || memcmp(blob, head_start, 5) != 0 ||
	    memcmp(blob + 6, zero, 2) != 0 ||
	    memcmp(blob + OFF_SALT, zero, OFF_NONCE - OFF_SALT) != 0 ||
	    memcmp(blob + OFF_COMMIT, zero, COMMIT_LEN) != 0 ||
	    (!p11 && memcmp(blob + OFF_NONCE, zero, AEAD_NONCELEN) != 0))
		return false;
	ret->suite = (enum blob_suite)blob[5];
	ret->len = p11 ? len - BLOB_SIZE(0) : len - BLOB_HEAD;
	if (ret->len > BLOB_PLAIN_MAX)
		ret->len = BLOB_PLAIN_MAX;
	return true;
}

static bool
own_form(const uint8_t *blob, size_t len, struct blob_id *ret)
{

	if (len < BLOB_SIZE(1) || len > BLOB_SIZE(BLOB_PLAIN_MAX) ||
	    memcmp(blob, head_start, sizeof(head_start)) != 0)
		return false;
	ret->suite = BLOB_SUITE_LOCAL;
	ret->len = len - BLOB_SIZE(0);
	return true;
}

enum err
blob_parse(const uint8_t *blob, size_t len, struct blob_id *ret)
{

	if (len < BLOB_HEAD ||
	    (!own_form(blob, len, ret) && !far_form(blob, len, ret)))
		return err_fail(
		    ERR_AUTH, "the ciphertext is not of a known format");
	ret->size = len;
	memcpy(ret->uuid, blob + OFF_UUID, UUID_LEN);
	ret->version = get_u32(blob + OFF_VERSION);
	return OK;
}

void
blob_head(const struct blob_id *id, uint8_t ret[static BLOB_HEAD])
{

	memset(ret, 0, BLOB_HEAD);
	memcpy(ret, head_start, sizeof(head_start));
	ret[5] = (uint8_t)id->suite;
	memcpy(ret + OFF_UUID, id->uuid, UUID_LEN);
	put_u32(ret + OFF_VERSION, id->version);
}

/*
 * The two keys of one message.  crypto's KBKDF takes raw key bytes; here the
 * midstates of the material are at hand, which halves the work.
 */
static void
derive(const struct hmac_key *mat, const uint8_t *head,
    uint8_t ret[static 2 * KEY_LEN])
{
	/* Counter, label with its NUL, bytes of the blob, bits of output. */
	uint8_t fixed[4 + 7 + OFF_NONCE + 4] = "\0\0\0\1kms/v1";

	_Static_assert(sizeof(fixed) <= HMAC_SHORT, "one short MAC");
	memcpy(fixed + 11, head, OFF_NONCE);
	put_u32(fixed + 11 + OFF_NONCE, 8 * 2 * KEY_LEN);
	hmac_short(mat, fixed, sizeof(fixed), ret);
	fixed[3] = 2;
	hmac_short(mat, fixed, sizeof(fixed), ret + KEY_LEN);
}

enum err
blob_seal(const struct hmac_key *mat, const struct blob_id *id,
    struct context *c, const uint8_t *plain, uint8_t *ret)
{
	WIPED(uint8_t, keys, 2 * KEY_LEN);
	uint8_t commit[SHA256_LEN];

	memcpy(ret, head_start, sizeof(head_start));
	memcpy(ret + OFF_UUID, id->uuid, UUID_LEN);
	put_u32(ret + OFF_VERSION, id->version);
	rand_bytes(ret + OFF_SALT, OFF_COMMIT - OFF_SALT);
	derive(mat, ret, keys);
	hmac_sha256(keys + KEY_LEN, KEY_LEN, ret, OFF_COMMIT, commit);
	memcpy(ret + OFF_COMMIT, commit, COMMIT_LEN);
	memcpy(c->p - BLOB_HEAD, ret, BLOB_HEAD);
	return aead_seal_once(keys, ret + OFF_NONCE, c->p - BLOB_HEAD,
	    BLOB_HEAD + c->len, plain, id->len, ret + BLOB_HEAD,
	    ret + BLOB_HEAD + id->len);
}

enum err
blob_open(const struct hmac_key *mat, const struct blob_id *id,
    const uint8_t *blob, struct context *c, uint8_t *ret)
{
	WIPED(uint8_t, keys, 2 * KEY_LEN);
	uint8_t commit[SHA256_LEN];
	enum err e;

	memset(ret, 0, id->len);
	derive(mat, blob, keys);
	hmac_sha256(keys + KEY_LEN, KEY_LEN, blob, OFF_COMMIT, commit);
	if (secret_cmp(commit, blob + OFF_COMMIT, COMMIT_LEN) != 0)
		return err_fail(ERR_AUTH, BLOB_ALTERED);
	memcpy(c->p - BLOB_HEAD, blob, BLOB_HEAD);
	e = aead_open_once(keys, blob + OFF_NONCE, c->p - BLOB_HEAD,
	    BLOB_HEAD + c->len, blob + BLOB_HEAD, id->len,
	    blob + BLOB_HEAD + id->len, ret);
	return e == ERR_AUTH ? err_fail(e, BLOB_ALTERED) : e;
}

bool
kms_blob_under(const uint8_t *blob, size_t bloblen, const char *arn)
{
	char text[UUID_STRLEN + 1];
	const char *id = strrchr(arn, '/');
	struct blob_id b;

	if (id == NULL || blob_parse(blob, bloblen, &b) != OK)
		return false;
	uuid_format(b.uuid, text);
	return strcmp(id + 1, text) == 0;
}
