/*
 * provider: where master keys are that never stand in the keystore.
 *
 * A provider holds master keys under references of its own and encrypts short
 * messages under them: a PKCS#11 token, a remote key service.  What it answers
 * is kept in a blob of the keystore's own form (blob.h), so that this room
 * always knows who must be asked to open it.
 *
 * Every operation but open and close is called by many threads at once, and may
 * block for as long as the provider's own time limits allow; the caller holds no
 * lock of a rank above RANK_STORE_DB meanwhile.  Whoever passes it has been
 * through the gate: a provider looks at no policy and writes no audit record.
 */
#ifndef KMS_PROVIDER_H
#define KMS_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kms/kms.h"
#include "lib/base/err.h"

#define PROVIDER_URI_MAX 1024 /* with its NUL */
#define PROVIDER_OPTIONS_MAX 24
#define PROVIDER_VALUE_MAX 1024 /* of an option, with its NUL */
#define PROVIDER_REF_MAX 512    /* bytes of a reference to a key */
#define PROVIDER_PLAIN_MAX 4096
#define PROVIDER_SEALED_MAX 6060 /* with the blob's head, 6144 */
#define PROVIDER_IV 12           /* see sealed_iv */

/* How a provider is found.  Nothing secret stands here: it names files and
 * credentials, which are read when they are needed. */
struct provider_option {
	const char *name, *value;
};
struct provider_conf {
	const char *uri;
	const struct provider_option *opt;
	size_t nopt;
};

/* What one message is under and bound to. */
struct provider_msg {
	const uint8_t *ref; /* what make_key gave */
	size_t reflen;
	/* To be authenticated with the message, never empty: the head of its
	 * blob and the canonical encryption context. */
	const uint8_t *ad;
	size_t adlen;
	/* The context again, in pairs, for providers that want it so.  Such a
	 * provider binds the rest by a pair of its own: the hash of ${ad}. */
	const struct kms_pair *ctx;
	size_t nctx;
};

/*
 * Errors of all operations:
 *	ERR_TIMEDOUT	it cannot be reached, or did not answer in time
 *	ERR_AUTH	an altered message, other ${ad}, another key
 *	ERR_NOKEY	it has no such key (any more)
 *	ERR_KEYREVOKED	the key is disabled over there
 *	ERR_ACCESS	it refuses us: wrong PIN, no right
 *	ERR_INVAL	the configuration is malformed
 *	ERR_LIMIT	what comes does not fit into ${room} bytes
 *	ERR_NOMEM, ERR_IO, ERR_CRYPTO
 * each with a sentence.  The first says nothing about the key: the call may
 * succeed later, and the provider finds its way back by itself, without delay
 * for others meanwhile (a call soon after a failed one may fail at once).
 */
struct provider_ops {
	const char *scheme; /* of its URIs, without the colon */
	uint8_t suite;      /* enum blob_suite of its blobs */
	/* Encrypted messages under one key before there must be a new one; 0:
	 * the far side sees to that. */
	uint64_t limit;
	/* Sealed messages begin with a nonce of PROVIDER_IV bytes, which goes
	 * into the blob's head; in ${ad} its place is zero. */
	bool sealed_iv;

	/* Take ${conf} apart and keep what is needed of it.  Reaches for
	 * nothing: an unreachable provider opens. */
	enum err (*open)(const struct provider_conf *conf, void **ret);
	void (*close)(void *p); /* nobody else uses it */
	/* Is it there, and does it let us in?  With a key: has it that key? */
	enum err (*check)(void *p, const uint8_t *ref, size_t reflen);
	/* A new 256-bit key that cannot leave the provider; ${label} (ASCII,
	 * under 64 bytes) and ${tenant} are for people. */
	enum err (*make_key)(void *p, const char *tenant, const char *label,
	    uint8_t ret[static PROVIDER_REF_MAX], size_t *ret_len);
	/* Destroy a key that nothing is under.  NULL: that is for the
	 * administrators of the far side. */
	enum err (*destroy_key)(void *p, const uint8_t *ref, size_t reflen);
	/* Encrypt 1 to PROVIDER_PLAIN_MAX bytes. */
	enum err (*wrap)(void *p, const struct provider_msg *m,
	    const uint8_t *plain, size_t len, uint8_t *ret, size_t room,
	    size_t *ret_len);
	/* The reverse; on an error nothing of the plaintext is in ${ret}. */
	enum err (*unwrap)(void *p, const struct provider_msg *m,
	    const uint8_t *sealed, size_t len, uint8_t *ret, size_t room,
	    size_t *ret_len);
};

/* The value of an option; NULL when it is not given. */
static inline const char *
provider_option(const struct provider_conf *c, const char *name)
{
	for (size_t i = 0; i < c->nopt; i++)
		if (strcmp(c->opt[i].name, name) == 0)
			return c->opt[i].value;
	return NULL;
}

#endif
