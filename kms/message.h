/*
 * message: from plaintext to blob and back, under a key that has passed the
 * gate; what data.c and crypt.c have in common.
 */
#ifndef KMS_MESSAGE_H
#define KMS_MESSAGE_H

#include "kms/blob.h"
#include "kms/gate.h"

/* Seal ${len} bytes (1 to BLOB_PLAIN_MAX) under the current version of ${key}.
 * ${ret_blob} has room for KMS_CIPHER_MAX bytes (KMS_BLOB_MAX do for a data
 * key).  Errors of context_make(), gate_material(), blob_seal(), and of a
 * provider (provider.h). */
enum err message_seal(struct kms *k, struct keyref *key,
    const struct kms_pair *ctx, size_t n, const uint8_t *plain, size_t len,
    uint8_t *ret_blob, size_t *ret_bloblen) MUSTCHECK;

/* Open what blob_parse() has read, under ${c->key}, with the context of the
 * call; ${ret} has room for id->len bytes, all zero unless OK, and id->len is
 * then how many they are. */
enum err message_open(struct kms *k, struct call *c, struct blob_id *id,
    const uint8_t *blob, uint8_t *ret) MUSTCHECK;

/* kms:ReEncryptOnSameKey, of ${to} from gate_pin() and the old key's UUID. */
const char *reencrypt_same(
    const struct keyref *to, const uint8_t from[static UUID_LEN]);
/* Was ${same} said of the keys that the call came to?  ERR_TIMEDOUT. */
enum err reencrypt_agreed(const struct call *c, const char *same) MUSTCHECK;

#endif
