/*
 * kdf: keys from keys.  Thread-safe, no state.
 *
 * Every derivation names its purpose by a label, so that a key made for one
 * purpose is never a key of another.
 */
#ifndef CRYPTO_KDF_H
#define CRYPTO_KDF_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/secret.h"
#include "lib/base/err.h"

/*
 * hkdf_sha256(ikm, ikmlen, salt, saltlen, info, infolen, ret, len):
 * HKDF-Extract and -Expand (RFC 5869).  ${len} is at most 255 * 32.
 * Returns OK; ERR_INVAL when ${len} is too large.
 */
enum err hkdf_sha256(const void *ikm, size_t ikmlen, const void *salt,
    size_t saltlen, const void *info, size_t infolen, uint8_t *ret,
    size_t len) MUSTCHECK;

/*
 * hkdf_label(key, label, ctx, ctxlen, ret, len):
 * HKDF-Expand only, with ${key} (uniformly random) as PRK and
 * info = label || 0x00 || ctx.
 */
enum err hkdf_label(const uint8_t key[static KEY_LEN], const char *label,
    const void *ctx, size_t ctxlen, uint8_t *ret, size_t len) MUSTCHECK;

/*
 * kbkdf_ctr_hmac_sha256(key, keylen, label, labellen, ctx, ctxlen, ret, len):
 * SP 800-108 counter mode, PRF HMAC-SHA-256, 32-bit counter before the fixed
 * input, 32-bit L (bits) after it, a zero byte between label and context: what
 * OpenSSL's KBKDF computes with its defaults.
 */
enum err kbkdf_ctr_hmac_sha256(const void *key, size_t keylen,
    const void *label, size_t labellen, const void *ctx, size_t ctxlen,
    uint8_t *ret, size_t len) MUSTCHECK;

/*
 * argon2id(pass, passlen, salt, saltlen, t, m_kib, p, ret):
 * RFC 9106, version 0x13, 32 bytes out.  Bounds: t 1..16, m 8..4194304 KiB,
 * p 1..16, salt 8..64 bytes, else ERR_INVAL.
 */
enum err argon2id(const void *pass, size_t passlen, const void *salt,
    size_t saltlen, uint32_t t, uint32_t m_kib, uint32_t p,
    uint8_t ret[static KEY_LEN]) MUSTCHECK;

#endif
