/*
 * blob: a data key wrapped under a master key of the keystore.
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
#define BLOB_LEN (BLOB_HEAD + KEY_LEN + 16)

/* Which master key a blob is under. */
struct blob_id {
	uint8_t uuid[UUID_LEN];
	uint32_t version;
};

/* Read the header.  ERR_AUTH for anything that blob_seal would not write. */
enum err blob_parse(
    const uint8_t *blob, size_t len, struct blob_id *ret) MUSTCHECK;

/*
 * ${mat} is the master key's material, ready; ${c} the context, made with
 * BLOB_HEAD bytes of room (which the calls fill).
 * Returns OK; ERR_NOMEM; ERR_CRYPTO; blob_open ERR_AUTH, then ${ret} is zero.
 */
enum err blob_seal(const struct hmac_key *mat, const struct blob_id *id,
    struct context *c, const struct key *dek,
    uint8_t ret[static BLOB_LEN]) MUSTCHECK;
enum err blob_open(const struct hmac_key *mat,
    const uint8_t blob[static BLOB_LEN], struct context *c,
    struct key *ret) MUSTCHECK;

#endif
