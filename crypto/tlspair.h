/*
 * tlspair: a certificate for a server that nobody else vouches for.
 *
 * A certificate authority is made for the purpose; its key signs one server
 * certificate and is gone when tlspair_make() returns, so that nothing else can
 * ever be signed under the certificate that clients are told to trust.  Both
 * keys are ECDSA on P-256, signatures SHA-256.
 */
#ifndef CRYPTO_TLSPAIR_H
#define CRYPTO_TLSPAIR_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "crypto/digest.h"
#include "lib/base/err.h"

#define TLSPAIR_DAYS 3650
#define TLSPAIR_NAMES_MAX 16
#define TLSPAIR_NAME_LEN 253
#define TLSPAIR_PEM_MAX ((size_t)256 << 10) /* of a file with certificates */

struct tlspair_conf {
	/* Host names and IP addresses (IPv6 without brackets) beside
	 * "localhost", 127.0.0.1, ::1 and the machine's own name.  Addresses
	 * that stand for any (0.0.0.0, ::) are left out. */
	const char *const *name;
	size_t nnames;  /* <= TLSPAIR_NAMES_MAX */
	time_t now;     /* valid from an hour before it … */
	unsigned days;  /* … for this long; at most TLSPAIR_DAYS */
	const char *ca; /* where the authority's certificate goes, mode 0600 */
	const char *cert; /* the server's, then the authority's, mode 0600 */
	const char *key;  /* the server's private key (PKCS#8), mode 0600 */
};

/*
 * tlspair_make(c):
 * Make the three files, none of which may exist; they are durable when it
 * returns OK.  Else none of those that it made is left.
 * Returns OK; ERR_EXIST; ERR_INVAL (a malformed name); ERR_CRYPTO; ERR_NOMEM; or
 * why a file could not be written.
 */
enum err tlspair_make(const struct tlspair_conf *c) MUSTCHECK;

/*
 * tlspair_fingerprint(pem, len, ret):
 * SHA-256 of the first certificate in PEM text, as tools show it and clients pin
 * it.  ERR_PARSE when there is none.
 */
enum err tlspair_fingerprint(
    const void *pem, size_t len, uint8_t ret[static SHA256_LEN]) MUSTCHECK;
/*
 * tlspair_until(pem, len, ret):
 * When the first certificate in PEM text ends.  ERR_PARSE.
 */
enum err tlspair_until(const void *pem, size_t len, time_t *ret) MUSTCHECK;

#endif
