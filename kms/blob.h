/*
 * blob: a small plaintext, mostly a data key, wrapped under a master key of the
 * keystore.
 *
 * Pure and thread-safe.  The bytes stand in blob.c.
 */
#ifndef KMS_BLOB_H
#define KMS_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/digest.h"
#include "crypto/secret.h"
#include "kms/context.h"
#include "lib/base/codec.h"

#define BLOB_HEAD 84
#define BLOB_SIZE(len) (BLOB_HEAD + (len) + 16)
#define BLOB_LEN BLOB_SIZE(KEY_LEN) /* of a data key */
#define BLOB_PLAIN_MAX 4096

/* All that is ever said of one that does not open: not which part it was. */
#define BLOB_ALTERED "the ciphertext was altered, or belongs to something else"

/* Who can open it. */
enum blob_suite {
	BLOB_SUITE_LOCAL = 1, /* this room: a key derived per message */
	BLOB_SUITE_P11 = 2,   /* a PKCS#11 token */
	BLOB_SUITE_REMOTE = 4 /* a remote key service */
};

/* Which master key a blob is under, and how much it holds. */
struct blob_id {
	uint8_t uuid[UUID_LEN];
	uint32_t version;
	size_t len;  /* of the plaintext, 1 to BLOB_PLAIN_MAX; with suite
			remote the most it can be */
	size_t size; /* of the blob */
	enum blob_suite suite;
};

/* Read the header.  ERR_AUTH for anything that blob_seal() or blob_head() would
 * not write. */
enum err blob_parse(
    const uint8_t *blob, size_t len, struct blob_id *ret) MUSTCHECK;

/*
 * ${mat} is the master key's material, ready; ${c} the context, made with
 * BLOB_HEAD bytes of room (which the calls fill).  blob_seal() writes
 * BLOB_SIZE(id->len) bytes; blob_open() is for what blob_parse() has read.
 * Returns OK; ERR_NOMEM; ERR_CRYPTO; blob_open ERR_AUTH, then ${ret} is zero.
 */
enum err blob_seal(const struct hmac_key *mat, const struct blob_id *id,
    struct context *c, const uint8_t *plain, uint8_t *ret) MUSTCHECK;
enum err blob_open(const struct hmac_key *mat, const struct blob_id *id,
    const uint8_t *blob, struct context *c, uint8_t *ret) MUSTCHECK;

#define BLOB_IV 44 /* place of the nonce, PROVIDER_IV bytes */
#define BLOB_FAR_MAX 6144

/* The head of a blob of a provider: uuid, version and suite of ${id}, zeros else;
 * what the provider made follows. */
void blob_head(const struct blob_id *id, uint8_t ret[static BLOB_HEAD]);

#endif
