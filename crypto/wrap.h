/*
 * wrap: AES-256 key wrap with padding (SP 800-38F KWP, RFC 5649).
 * Stateless and thread-safe.
 */
#ifndef CRYPTO_WRAP_H
#define CRYPTO_WRAP_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/secret.h"
#include "lib/base/err.h"

/* Bytes that wrapping ${len} bytes gives. */
#define KWP_SIZE(len) (((len) + 7) / 8 * 8 + 8)
#define KWP_MAX 4096 /* most bytes wrapped at once */

/* ${len} 1..KWP_MAX (else ERR_INVAL); writes KWP_SIZE(len) bytes. */
enum err kwp_wrap(const uint8_t kek[static KEY_LEN], const void *in, size_t len,
    uint8_t *ret) MUSTCHECK;
/*
 * Unwrap to at most ${inlen} - 8 bytes.  ERR_AUTH when altered or of no
 * possible length; ${ret} is then zero.
 */
enum err kwp_unwrap(const uint8_t kek[static KEY_LEN], const uint8_t *in,
    size_t inlen, uint8_t *ret, size_t *ret_len) MUSTCHECK;

#endif
