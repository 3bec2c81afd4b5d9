/*
 * grant_token: a grant named so that nobody can name one that was not made.
 *
 * Pure and thread-safe.  A token is the base64 of
 *
 *	 0 16  UUID of the key
 *	16 32  the grant's id
 *	48 32  HMAC-SHA-256(key, "grant" || bytes 0..47)
 *
 * under a key that belongs to the keystore.  It grants nothing by itself.
 */
#ifndef KMS_GRANT_TOKEN_H
#define KMS_GRANT_TOKEN_H

#include "crypto/digest.h"
#include "lib/base/codec.h"

#define GRANT_ID_LEN 32
#define GRANT_TOKEN_LEN (UUID_LEN + GRANT_ID_LEN + SHA256_LEN)

struct grant_token {
	uint8_t key[UUID_LEN];
	uint8_t id[GRANT_ID_LEN];
};

void grant_token_write(const struct hmac_key *key, const struct grant_token *t,
    char ret[static B64_SIZE(GRANT_TOKEN_LEN)]);
/* ERR_GRANTTOKEN for anything that grant_token_write() did not write. */
enum err grant_token_read(const struct hmac_key *key, const char *s,
    struct grant_token *ret) MUSTCHECK;

#endif
