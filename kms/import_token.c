/*
 * Import tokens (bytes: see import_token.h), and what is wrapped for them.
 */
#include <string.h>

#include "crypto/wrap.h"
#include "lib/base/buf.h"

#include "kms/import_token.h"

#define OFF_WRAPPING 5
#define OFF_KEY 8
#define OFF_VALID 24

static const uint8_t head_start[5] = { 'S', 'F', 'I', 'T', 1 };

_Static_assert(OFF_VALID == OFF_KEY + UUID_LEN, "token layout");
_Static_assert(IMPORT_HEAD == OFF_VALID + 8, "token layout");
_Static_assert(IMPORT_SIZE(RSA_PRIVATE_MAX) <= KMS_IMPORT_TOKEN_MAX, "it fits");
_Static_assert(RSA_PUBLIC_MAX <= KMS_IMPORT_PUBLIC_MAX, "it fits");

enum err
import_token_write(struct aead *a, const struct import_token *t, uint8_t *ret)
{

	memset(ret, 0, IMPORT_HEAD);
	memcpy(ret, head_start, sizeof(head_start));
	ret[OFF_WRAPPING] = (uint8_t)t->wrapping;
	memcpy(ret + OFF_KEY, t->key, UUID_LEN);
	put_u64(ret + OFF_VALID, (uint64_t)t->valid_to);
	return aead_seal_msg(
	    a, ret, IMPORT_HEAD, t->priv, t->privlen, ret + IMPORT_HEAD);
}

enum err
import_token_read(
    struct aead *a, const uint8_t *p, size_t len, struct import_token *ret)
{
	enum err e;

	memset(ret, 0, sizeof(*ret));
	if (len <= IMPORT_SIZE(0) || len > IMPORT_SIZE(RSA_PRIVATE_MAX) ||
	    memcmp(p, head_start, sizeof(head_start)) != 0 ||
	    p[OFF_WRAPPING] > KMS_WRAP_AES_SHA256)
		return err_fail(ERR_BADTOKEN, "not an import token");
	e = aead_open_msg(
	    a, p, IMPORT_HEAD, p + IMPORT_HEAD, len - IMPORT_HEAD, ret->priv);
	if (e == ERR_AUTH)
		return err_fail(
		    ERR_BADTOKEN, "not an import token of this keystore");
	TRY(e);
	ret->privlen = len - IMPORT_SIZE(0);
	ret->wrapping = (enum kms_wrapping)p[OFF_WRAPPING];
	memcpy(ret->key, p + OFF_KEY, UUID_LEN);
	ret->valid_to = (int64_t)get_u64(p + OFF_VALID);
	return OK;
}

/* ---- Material ----------------------------------------------------------- */

/* What is unwrapped, step by step. */
struct opened {
	uint8_t first[RSA_MESSAGE_MAX];
	uint8_t second[KMS_IMPORT_WRAPPED_MAX];
};

static void
opened_cleanup(struct opened **o)
{

	secret_free(*o);
}

static bool
by_aes(enum kms_wrapping w)
{

	return w == KMS_WRAP_AES_SHA1 || w == KMS_WRAP_AES_SHA256;
}

static enum err
material_check(const uint8_t *p, size_t len, struct key *ret)
{

	if (len != KEY_LEN)
		return err_fail(
		    ERR_MATERIAL, "key material has %d bytes here", KEY_LEN);
	memcpy(ret->b, p, KEY_LEN);
	return OK;
}

static enum err
unwrap(const struct import_token *t, const uint8_t *in, size_t len,
    struct opened *o, struct key *ret)
{
	const enum rsa_hash hash = t->wrapping == KMS_WRAP_OAEP_SHA1 ||
					   t->wrapping == KMS_WRAP_AES_SHA1
				       ? RSA_SHA1
				       : RSA_SHA256;
	size_t modulus = len, n = 0;

	if (by_aes(t->wrapping)) {
		TRY(rsa_modulus(t->priv, t->privlen, &modulus));
		if (len <= modulus)
			return ERR_AUTH;
	}
	TRY(rsa_open(t->priv, t->privlen, hash, in, modulus, o->first, &n));
	if (!by_aes(t->wrapping))
		return material_check(o->first, n, ret);
	if (n != KEY_LEN)
		return ERR_AUTH;
	TRY(kwp_unwrap(o->first, in + modulus, len - modulus, o->second, &n));
	return material_check(o->second, n, ret);
}

enum err
import_unwrap(const struct import_token *t, const uint8_t *in, size_t len,
    struct key *ret)
{
	struct opened *o CLEANUP(opened_cleanup) = secret_alloc(sizeof(*o));
	enum err e;

	if (o == NULL)
		return ERR_NOMEM;
	if (len > KMS_IMPORT_WRAPPED_MAX)
		return err_fail(ERR_AUTH, "the wrapped material is too long");
	e = unwrap(t, in, len, o, ret);
	if (e == ERR_AUTH)
		return err_fail(e,
		    "the wrapped material is not for this import token, or "
		    "was altered");
	return e;
}
