/*
 * rsa: key pairs to which others encrypt a key, with RSAES-OAEP (RFC 8017).
 *
 * Stateless and thread-safe.  The hash is also that of MGF1; labels are empty.
 * Making a pair takes from a tenth of a second to several.
 */
#ifndef CRYPTO_RSA_H
#define CRYPTO_RSA_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define RSA_PRIVATE_MAX 2432 /* bytes of a private key of 4096 bits, in DER */
#define RSA_PUBLIC_MAX 576   /* of a public key, DER SubjectPublicKeyInfo */
#define RSA_MESSAGE_MAX 512  /* of a message; a message has the key's size */

enum rsa_hash { RSA_SHA1, RSA_SHA256 };

/*
 * rsa_make(bits, ret_private, ret_len, ret_public, ret_publen):
 * A fresh pair of 2048, 3072 or 4096 bits (else ERR_INVAL).  ${ret_private} has
 * room for RSA_PRIVATE_MAX bytes of key memory, ${ret_public} for
 * RSA_PUBLIC_MAX.  ERR_CRYPTO.
 */
enum err rsa_make(unsigned bits, uint8_t *ret_private, size_t *ret_len,
    uint8_t *ret_public, size_t *ret_publen) MUSTCHECK;

/*
 * rsa_open(priv, privlen, hash, in, len, ret, ret_len):
 * Decrypt one message.  ${ret} has room for RSA_MESSAGE_MAX bytes of key memory
 * and is zero unless OK.  ERR_AUTH whatever is wrong with the message, after
 * the same work; ERR_CRYPTO when ${priv} is no private key.
 */
enum err rsa_open(const uint8_t *priv, size_t privlen, enum rsa_hash hash,
    const uint8_t *in, size_t len, uint8_t *ret, size_t *ret_len) MUSTCHECK;

/* The bytes of a private key's modulus, and so of its messages.  ERR_CRYPTO. */
enum err rsa_modulus(
    const uint8_t *priv, size_t privlen, size_t *ret) MUSTCHECK;

#endif
