/*
 * sign: signatures that anybody can check: Ed25519 (RFC 8032, pure).
 *
 * A private key is its 32-byte seed, which the caller keeps in key memory; no
 * state is kept here.  Thread-safe.
 */
#ifndef CRYPTO_SIGN_H
#define CRYPTO_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/secret.h"
#include "lib/base/err.h"

#define SIGN_SEED KEY_LEN /* bytes of a private key */
#define SIGN_PUBLIC 32    /* bytes of a public key */
#define SIGN_SIGNATURE 64 /* bytes of a signature */

/* The public key of ${seed}.  ERR_NOMEM, ERR_CRYPTO. */
enum err sign_public(const uint8_t seed[static SIGN_SEED],
    uint8_t ret[static SIGN_PUBLIC]) MUSTCHECK;

/* Sign the ${len} bytes at ${p}.  ERR_NOMEM, ERR_CRYPTO. */
enum err sign_make(const uint8_t seed[static SIGN_SEED], const void *p,
    size_t len, uint8_t ret[static SIGN_SIGNATURE]) MUSTCHECK;

/* OK; ERR_AUTH when the signature is not ${public}'s of these bytes;
 * ERR_NOMEM. */
enum err sign_check(const uint8_t public[static SIGN_PUBLIC], const void *p,
    size_t len, const uint8_t sig[static SIGN_SIGNATURE]) MUSTCHECK;

#endif
