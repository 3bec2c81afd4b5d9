/*
 * aead: AES-256-GCM (SP 800-38D) with 96-bit nonces and 128-bit tags.
 *
 * struct aead is a key ready for use: the key and what is computed from it once
 * it is used, so that a message costs only a new nonce.  It may be used by many
 * threads at once.  The caller owns every buffer; ${in} and ${ret_out} may be
 * the same, else must not overlap.
 *
 * A nonce is used once per key: pass fresh random bytes (crypto/rand.h), and
 * count messages; SP 800-38D allows 2^32 per key, ssefs stops at 2^30.
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/secret.h"
#include "lib/base/err.h"

#define AEAD_NONCELEN 12
#define AEAD_TAGLEN 16
/* aead_seal_msg adds this much. */
#define AEAD_OVERHEAD (AEAD_NONCELEN + AEAD_TAGLEN)

struct aead;

/* Make a key ready.  ${key} is copied.  ERR_NOMEM, ERR_CRYPTO. */
enum err aead_new(
    const uint8_t key[static KEY_LEN], struct aead **ret) MUSTCHECK;
/* Give up what was computed, keep the key: for a key that is not in use now.
 * NULL is fine.  No call may be using it. */
void aead_rest(struct aead *a);
/* Wipe and free; NULL is fine.  No call may be using it. */
void aead_free(struct aead *a);
static inline void
aead_cleanup(struct aead **a)
{
	aead_free(*a);
}
#define CLEANUP_AEAD CLEANUP(aead_cleanup)

/*
 * aead_seal(a, nonce, ad, adlen, in, len, ret_out, ret_tag):
 * Encrypt ${len} bytes (0 is fine: then it is a MAC of ${ad}) to as many.
 * Returns OK; ERR_NOMEM; ERR_CRYPTO.
 */
enum err aead_seal(struct aead *a, const uint8_t nonce[static AEAD_NONCELEN],
    const void *ad, size_t adlen, const void *in, size_t len, void *ret_out,
    uint8_t ret_tag[static AEAD_TAGLEN]) MUSTCHECK;

/*
 * aead_open(a, nonce, ad, adlen, in, len, tag, ret_out):
 * Check and decrypt.  Returns OK; ERR_AUTH when any input was altered
 * (${ret_out} is then all zero); ERR_NOMEM; ERR_CRYPTO.
 */
enum err aead_open(struct aead *a, const uint8_t nonce[static AEAD_NONCELEN],
    const void *ad, size_t adlen, const void *in, size_t len,
    const uint8_t tag[static AEAD_TAGLEN], void *ret_out) MUSTCHECK;

/*
 * aead_seal_once, aead_open_once:
 * The same for a key that is used for one message: no struct aead, nothing of
 * the key is left behind.
 */
enum err aead_seal_once(const uint8_t key[static KEY_LEN],
    const uint8_t nonce[static AEAD_NONCELEN], const void *ad, size_t adlen,
    const void *in, size_t len, void *ret_out,
    uint8_t ret_tag[static AEAD_TAGLEN]) MUSTCHECK;
enum err aead_open_once(const uint8_t key[static KEY_LEN],
    const uint8_t nonce[static AEAD_NONCELEN], const void *ad, size_t adlen,
    const void *in, size_t len, const uint8_t tag[static AEAD_TAGLEN],
    void *ret_out) MUSTCHECK;

/*
 * One message with a fresh random nonce: nonce (12) || ciphertext || tag (16),
 * ${len} + AEAD_OVERHEAD bytes.
 */
enum err aead_seal_msg(struct aead *a, const void *ad, size_t adlen,
    const void *in, size_t len, uint8_t *ret_msg) MUSTCHECK;
/* ERR_AUTH also when ${msglen} is under AEAD_OVERHEAD. */
enum err aead_open_msg(struct aead *a, const void *ad, size_t adlen,
    const uint8_t *msg, size_t msglen, uint8_t *ret_out) MUSTCHECK;

#endif
