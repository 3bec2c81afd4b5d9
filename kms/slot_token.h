/*
 * slot_token: a slot whose key is in a PKCS#11 token.
 *
 * The keystore master key is encrypted by an AES-256 key that was made in the
 * token for this slot and cannot leave it.  A connection is made for each call.
 *
 * URIs are those of providers (kms/pkcs11.h).  One that stands in a slot is no
 * more trusted than the keystore's file is before it is open: a library that it
 * names is loaded only from where none but root can put one.
 */
#ifndef KMS_SLOT_TOKEN_H
#define KMS_SLOT_TOKEN_H

#include "kms/slot.h"

#define SLOT_TOKEN_ID 16 /* bytes of the key's name in the token */

/* Make a key in the token that ${uri} describes.  Errors as a provider's
 * make_key (kms/provider.h). */
enum err slot_token_make(const char *uri, const uint8_t uuid[static UUID_LEN],
    uint8_t ret_id[static SLOT_TOKEN_ID]) MUSTCHECK;
/* Encrypt ${kmk} by it, with ${ad}; and see that the token decrypts it.  When
 * that fails, the key is destroyed. */
enum err slot_token_seal(const char *uri,
    const uint8_t id[static SLOT_TOKEN_ID], const uint8_t *ad, size_t adlen,
    const struct key *kmk, uint8_t ret[static SLOT_SEALED]) MUSTCHECK;
/* The reverse.  ${stored}: the URI is the slot's.  ERR_TIMEDOUT: the token is not
 * there; ERR_ROOTKEY, whatever else its reason is; ERR_NOMEM. */
enum err slot_token_open(const char *uri, bool stored,
    const uint8_t id[static SLOT_TOKEN_ID], const uint8_t *ad, size_t adlen,
    const uint8_t sealed[static SLOT_SEALED], struct key *ret_kmk) MUSTCHECK;

#endif
