/*
 * tls: the certificate of a store's listener.
 *
 * STORE/tls holds a pair that the program made itself: ca.pem, which clients
 * are given, cert.pem and key.pem (mode 0600).  "ssefs init" makes it, and so
 * does "ssefs serve" in a store without one.
 */
#ifndef TOOLS_TLS_H
#define TOOLS_TLS_H

#include <stddef.h>

#include "crypto/digest.h"
#include "lib/base/attrs.h"
#include "lib/base/err.h"

#define TLS_FINGERPRINT_LEN (SHA256_LEN * 3) /* "AB:CD:…" with its NUL */

struct tls_pair {
	char *ca;   /* the path of the CA's file; NULL: not one of ours */
	char *cert; /* PEM */
	char *key;  /* PEM, key memory */
	char fingerprint[TLS_FINGERPRINT_LEN]; /* of the certificate, SHA-256 */
};

/*
 * tls_pair_make(dir, host):
 * Make the pair of the store ${dir}, unless there is one, for the names of this
 * machine and ${host} (NULL: no other).
 */
enum err tls_pair_make(const char *dir, const char *host) MUSTCHECK;

/*
 * tls_pair_load(dir, cert, key, ret):
 * Read the files ${cert} and ${key}; both NULL: the pair of the store ${dir}.
 * ERR_INVAL with a sentence for a key that others than its owner can read, or
 * what is no certificate; or why a file could not be read.
 */
enum err tls_pair_load(const char *dir, const char *cert, const char *key,
    struct tls_pair *ret) MUSTCHECK;
void tls_pair_release(struct tls_pair *p);
#define CLEANUP_TLS_PAIR CLEANUP(tls_pair_release)

#endif
