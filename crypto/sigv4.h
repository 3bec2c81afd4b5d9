/*
 * sigv4: AWS Signature Version 4, signing and verification.
 *
 * Pure: the request, the credentials and the clock are arguments, and nothing
 * here is kept.  Thread-safe.  Signing keys are wiped before each return.
 *
 * A verifier does, in this order: sigv4_parse_header() or sigv4_parse_query(),
 * looks up the secret of ${access_key}, sigv4_verify().  What came from a
 * stranger is bounded: SIGV4_HEADERS_MAX, SIGV4_PARAMS_MAX, SIGV4_TEXT_MAX.
 */
#ifndef CRYPTO_SIGV4_H
#define CRYPTO_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"

#define SIGV4_HEADERS_MAX 100
#define SIGV4_PARAMS_MAX 200
#define SIGV4_TEXT_MAX ((size_t)64 << 10) /* of a canonical request */
#define SIGV4_ACCESS_KEY_MAX 128
#define SIGV4_SCOPE_PART_MAX 64  /* of a region's or a service's name */
#define SIGV4_SIGNED_MAX 2048    /* of the list of signed headers */
#define SIGV4_EXPIRES_MAX 604800 /* seconds, of a presigned request */
#define SIGV4_SECRET_MAX 128
#define SIGV4_DATE_LEN 16 /* "20150830T123600Z" */
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

/* Names in any case, values as they came; a name may stand more than once. */
struct sigv4_header {
	const char *name, *value;
};

struct sigv4_request {
	const char *method;
	const char *path;  /* of the request line, as sent: percent-encoded */
	const char *query; /* what follows the "?", as sent; NULL is "" */
	const struct sigv4_header *header;
	size_t nheaders;
	/* Hexadecimal SHA-256 of the body, or what X-Amz-Content-Sha256 may
	 * have in its place (SIGV4_UNSIGNED). */
	const char *payload;
	/* S3: the path is taken as it is.  All other services: "." and ".." are
	 * resolved, slashes in a row are one, and it is encoded once more. */
	bool s3;
};

struct sigv4_cred {
	const char *access_key;
	const char *secret;
	size_t secret_len; /* <= SIGV4_SECRET_MAX */
	const char *region, *service;
};

/* Write ${now} as X-Amz-Date has it. */
void sigv4_date(time_t now, char ret[static SIGV4_DATE_LEN + 1]);
/* The hexadecimal SHA-256 of a body, for ${payload}. */
void sigv4_payload(
    const void *body, size_t len, char ret[static 2 * SHA256_LEN + 1]);

/*
 * sigv4_sign(r, cred, now, ret):
 * Append the value of the Authorization header to ${ret}.  All headers of ${r}
 * are signed; Host and X-Amz-Date (sigv4_date(${now})) must be among them, and
 * X-Amz-Security-Token when the credentials came with one.
 * Returns OK; ERR_INVAL; ERR_LIMIT; ERR_NOMEM.
 */
enum err sigv4_sign(const struct sigv4_request *r,
    const struct sigv4_cred *cred, time_t now, struct buf *ret) MUSTCHECK;

/*
 * sigv4_presign(r, cred, now, expires, token, ret):
 * Append to ${ret} the query string that makes ${r} (its query, its headers,
 * Host among them) a request of its own for ${expires} seconds.  ${token}: of
 * temporary credentials, or NULL.  Results as of sigv4_sign().
 */
enum err sigv4_presign(const struct sigv4_request *r,
    const struct sigv4_cred *cred, time_t now, uint32_t expires,
    const char *token, struct buf *ret) MUSTCHECK;

/* What a request says of its signature. */
struct sigv4_auth {
	char access_key[SIGV4_ACCESS_KEY_MAX + 1];
	char date[8 + 1]; /* of the scope */
	char region[SIGV4_SCOPE_PART_MAX + 1];
	char service[SIGV4_SCOPE_PART_MAX + 1];
	char signed_headers[SIGV4_SIGNED_MAX + 1]; /* sorted, no name twice */
	uint8_t signature[SHA256_LEN];
	/* Only of a presigned request. */
	bool presigned;
	uint32_t expires;
	char at[SIGV4_DATE_LEN + 1];
};

/*
 * sigv4_parse_header(value, len, ret):
 * Take an Authorization header apart.  Returns OK; ERR_PARSE with a sentence
 * (it quotes nothing).
 */
enum err sigv4_parse_header(
    const char *value, size_t len, struct sigv4_auth *ret) MUSTCHECK;
/*
 * sigv4_parse_query(query, ret):
 * The same of a presigned request's query.  ERR_NODATA when it has no
 * X-Amz-Signature.
 */
enum err sigv4_parse_query(const char *query, struct sigv4_auth *ret) MUSTCHECK;

/* Why a signature does not count. */
enum sigv4_why {
	SIGV4_GOOD,
	SIGV4_INCOMPLETE, /* the request lacks or contradicts a part of it */
	SIGV4_SCOPE,      /* another date, region or service */
	SIGV4_SKEWED,     /* its time is too far from ours */
	SIGV4_EXPIRED,    /* it was presigned for a time that is over */
	SIGV4_MISMATCH    /* another secret, or the request was altered */
};

/*
 * sigv4_verify(r, auth, cred, now, skew, ret_why):
 * Is ${r} what the owner of ${cred->secret} signed, for that region and service,
 * not over ${skew} seconds from ${now}?  ${cred->access_key} is not looked at.
 * Every X-Amz-… header of ${r}, and Host, must have been signed.  For requests
 * of S3 with a header X-Amz-Content-Sha256, ${r->payload} is its value, and the
 * body is the caller's to check against it; in all others it is the hash of the
 * body, which such a header, if there is one, must agree with.
 * The time it takes does not depend on how much of a signature is right.
 * Returns OK; ERR_ACCESS with *${ret_why} and a sentence; ERR_LIMIT; ERR_NOMEM;
 * ERR_PARSE when the query is malformed.
 */
enum err sigv4_verify(const struct sigv4_request *r,
    const struct sigv4_auth *auth, const struct sigv4_cred *cred, time_t now,
    int64_t skew, enum sigv4_why *ret_why) MUSTCHECK;

#endif
