/*
 * import_token: what leads from GetParametersForImport to ImportKeyMaterial.
 *
 * Pure and thread-safe; the clock is the caller's.  A token is
 *
 *	 0  4  "SFIT"
 *	 4  1  format = 1
 *	 5  1  how material is wrapped (enum kms_wrapping)
 *	 6  2  0
 *	 8 16  UUID of the key
 *	24  8  until when it is good, seconds since 1970
 *	32 12  nonce, random
 *	44  n  the RSA private key (DER), encrypted
 *	44+n 16  tag
 *
 * AES-256-GCM under a key that belongs to the keystore, with bytes 0..31 as
 * additional data.  Nothing of a token is kept, so that it is good in every
 * process that has the keystore open, and gone with it.
 */
#ifndef KMS_IMPORT_TOKEN_H
#define KMS_IMPORT_TOKEN_H

#include "crypto/aead.h"
#include "crypto/rsa.h"
#include "kms/api.h"
#include "lib/base/codec.h"

#define IMPORT_HEAD 32
#define IMPORT_SIZE(len) (IMPORT_HEAD + AEAD_OVERHEAD + (len))

/* Lives in key memory. */
struct import_token {
	uint8_t key[UUID_LEN];
	enum kms_wrapping wrapping;
	int64_t valid_to;
	uint8_t priv[RSA_PRIVATE_MAX];
	size_t privlen;
};

/* Writes IMPORT_SIZE(t->privlen) bytes.  ERR_NOMEM, ERR_CRYPTO. */
enum err import_token_write(
    struct aead *a, const struct import_token *t, uint8_t *ret) MUSTCHECK;
/* ERR_BADTOKEN for anything that import_token_write() did not write. */
enum err import_token_read(struct aead *a, const uint8_t *p, size_t len,
    struct import_token *ret) MUSTCHECK;

/*
 * import_unwrap(t, in, len, ret):
 * The material that was wrapped for the token.  ERR_AUTH, which says no more:
 * it does not open; ERR_MATERIAL: it opens, and has not KEY_LEN bytes.
 * ERR_NOMEM, ERR_CRYPTO.
 */
enum err import_unwrap(const struct import_token *t, const uint8_t *in,
    size_t len, struct key *ret) MUSTCHECK;

#endif
