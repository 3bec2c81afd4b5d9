/*
 * auth: who sent a request.  Private to the room.
 */
#ifndef GATEWAY_AUTH_H
#define GATEWAY_AUTH_H

#include "gateway/aws.h"
#include "crypto/sigv4.h"
#include "kms/who.h"

struct auth_request {
	const char *region;
	const struct sigv4_header *headers;
	size_t nheaders;
	const void *body;
	size_t len;
	int64_t now; /* seconds since 1970 */
};

struct signer {
	struct who_cred cred;
	char id[WHO_KEY_ID_MAX]; /* of the access key */
};
static inline void
signer_release(struct signer *s)
{
	who_cred_release(&s->cred);
}
#define CLEANUP_SIGNER CLEANUP(signer_release)

/*
 * auth_check(k, q, ret, err):
 * Check the signature of a "POST /", and tell whose it is.  ERR_ACCESS after
 * setting ${err} as AWS does; ${ret} is to be released in any case.
 */
enum err auth_check(struct kms *k, const struct auth_request *q,
    struct signer *ret, struct aws_error *err) MUSTCHECK;

#endif
