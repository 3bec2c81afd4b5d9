/*
 * gcm: AES-256-GCM (SP 800-38D) with the processor's AES and carry-less
 * multiply instructions.  96-bit nonces and 128-bit tags only.
 *
 * There is one way for each width of vectors, all to the same bytes and with
 * the same expanded keys' size; gcm_best() is the widest that this machine has.
 * For crypto/aead.c, which uses OpenSSL where that is none: on other
 * architectures and old processors.
 *
 * An expanded key is only read by seal and open, so any number of threads may
 * use one at once.  The caller owns every buffer and wipes the expanded key;
 * ${in} and ${ret_out} may be the same, else must not overlap.  Nothing
 * outside the given lengths is read or written.  The time taken depends on
 * lengths only, save that open wipes after a wrong tag.
 */
#ifndef CRYPTO_GCM_H
#define CRYPTO_GCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/secret.h"
#include "lib/base/err.h"

#define GCM_NONCELEN 12
#define GCM_TAGLEN 16
#define GCM_ROUNDS 14
#define GCM_POWERS 17

/*
 * The standard's limit: 2^32 - 2 blocks, so that the counter, the last 32 bits
 * of a block, which begins at 1, does not come round.
 */
#define GCM_TEXTMAX ((UINT64_C(1) << 36) - 32)
#define GCM_ADMAX ((UINT64_C(1) << 61) - 1)

/*
 * Goes into key memory (crypto/secret.h), 64-byte aligned.  Only for the way
 * that expanded it.
 */
struct gcm_key {
	uint8_t round[GCM_ROUNDS + 1][16];
	/* H^17 down to H^1, in the form that the multiplication wants.  Those
	 * of sixteen blocks begin at a multiple of 64 bytes.  The narrower ways
	 * leave out those that they do not need. */
	uint8_t power[GCM_POWERS][16];
};

/* One way. */
struct gcm {
	const char *name; /* of the instructions, for people */

	/* May the rest be called on this machine? */
	bool (*usable)(void);

	void (*expand)(
	    struct gcm_key *ret_k, const uint8_t key[static KEY_LEN]);

	/*
	 * seal(k, nonce, ad, adlen, in, len, ret_out, ret_tag):
	 * Encrypt ${len} bytes (0: a MAC of ${ad}) to as many.
	 * Returns OK; ERR_CRYPTO, and nothing is touched, for more than
	 * GCM_TEXTMAX or GCM_ADMAX bytes.
	 */
	enum err (*seal)(const struct gcm_key *k,
	    const uint8_t nonce[static GCM_NONCELEN], const void *ad,
	    size_t adlen, const void *in, size_t len, void *ret_out,
	    uint8_t ret_tag[static GCM_TAGLEN]) MUSTCHECK;

	/*
	 * open(k, nonce, ad, adlen, in, len, tag, ret_out):
	 * Check and decrypt.  Returns OK; ERR_AUTH when any input was altered
	 * (${ret_out} is then all zero); ERR_CRYPTO as above.
	 */
	enum err (*open)(const struct gcm_key *k,
	    const uint8_t nonce[static GCM_NONCELEN], const void *ad,
	    size_t adlen, const void *in, size_t len,
	    const uint8_t tag[static GCM_TAGLEN], void *ret_out) MUSTCHECK;
};

/* All that were compiled, widest first; NULL at the end. */
extern const struct gcm *const gcm_ways[];

/* The first that is usable, or NULL. */
const struct gcm *gcm_best(void);

#endif
