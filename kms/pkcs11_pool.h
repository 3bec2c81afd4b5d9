/*
 * pkcs11_pool: logged-in sessions with one token.
 *
 * A fixed number of sessions is opened at the first use, and one more, the
 * anchor, that is never closed while they live, since closing a token's last
 * session logs out.  A session is used by one thread at a time.  When the token
 * or its connection is lost, all sessions are made anew, with a new login; who
 * comes while that fails is told so at once, and it is tried again twice a
 * second at most.
 *
 * Thread-safe.  All calls into the library are made by threads of the pool
 * (kms/pkcs11_crew.h), so that nobody waits longer than the pool's limit; a
 * session in which a call hangs is not used again before that ends.
 */
#ifndef KMS_PKCS11_POOL_H
#define KMS_PKCS11_POOL_H

#include <stdint.h>

#include "kms/pkcs11_api.h"
#include "kms/pkcs11_crew.h"
#include "kms/pkcs11_uri.h"
#include "lib/base/err.h"

#define P11_ID_LEN 16 /* CKA_ID of our keys */
#define P11_SESSIONS 8
#define P11_SESSIONS_MAX 256
#define P11_LIMIT_MS 10000
#define P11_LIMIT_MIN 100
#define P11_LIMIT_MAX 60000

struct p11_pool;

/* Keep where to look for the token; touches nothing.  ${ms}: how long a call may
 * take. */
enum err p11_pool_new(const struct p11_uri *u, unsigned sessions, unsigned ms,
    struct p11_pool **ret) MUSTCHECK;
/* NULL is fine.  Waits for calls that hang no longer than for others. */
void p11_pool_free(struct p11_pool *p);

struct p11_call;
/* What is done in a session; may be called twice.  ${key} is 0 without one. */
typedef ck_rv_t p11_fn(struct ck_function_list *f, ck_session_handle_t s,
    ck_object_handle_t key, struct p11_call *c);

/* A call; begins the block of what it reads and writes, for p11_job_new(). */
struct p11_call {
	struct p11_job job;
	p11_fn *fn;
	bool write; /* in the session that may make and destroy objects */
	bool keyed; /* with the secret key whose CKA_ID is ${id} */
	uint8_t id[P11_ID_LEN];
	ck_rv_t rv; /* what ${fn} said */
	struct p11_pool *pool;
};
static inline void
p11_call_cleanup(struct p11_call **c)
{
	p11_job_free(*c == NULL ? NULL : &(*c)->job);
}
#define CLEANUP_CALL CLEANUP(p11_call_cleanup)

/*
 * p11_pool_run(p, c):
 * Call (*c)->fn in a session.  With OK, its rv is what the function said, which
 * is nothing about the token's being there.
 * Returns OK; ERR_TIMEDOUT: there is no such token now, or the call hangs: then
 * it is ours no more, and *${c} NULL; ERR_ACCESS: it does not take our PIN, or
 * there is none, or the key is one that could leave the token; ERR_NOKEY;
 * ERR_NOMEM.
 */
enum err p11_pool_run(struct p11_pool *p, struct p11_call **c) MUSTCHECK;

#endif
