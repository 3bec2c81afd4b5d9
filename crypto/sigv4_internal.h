/*
 * sigv4_internal: the steps of a signature, for sigv4.c, sigv4_auth.c and tests.
 */
#ifndef CRYPTO_SIGV4_INTERNAL_H
#define CRYPTO_SIGV4_INTERNAL_H

#include "crypto/sigv4.h"

/* Appends ${len} bytes, percent-encoded save for letters, digits and "-._~", and
 * for slashes when ${slash}. */
enum err sigv4_encode(
    struct buf *b, const char *s, size_t len, bool slash) MUSTCHECK;

/* The value of the only header of that name (any case); NULL when there is none
 * or more than one. */
const char *sigv4_header(const struct sigv4_request *r, const char *name);

/*
 * The canonical request.  ${names}: the signed headers, "a;b;c", which must all
 * be there (ERR_NODATA).  The query loses X-Amz-Signature.
 */
enum err sigv4_canonical(const struct sigv4_request *r, const char *names,
    struct buf *ret) MUSTCHECK;

/* The signature of the canonical request of ${r}. */
enum err sigv4_signature(const struct sigv4_request *r, const char *names,
    const struct sigv4_cred *cred, const char at[static SIGV4_DATE_LEN + 1],
    uint8_t ret[static SHA256_LEN]) MUSTCHECK;

#endif
