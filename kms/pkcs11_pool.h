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
 * Thread-safe.  Blocks for as long as the PKCS#11 library does.
 */
#ifndef KMS_PKCS11_POOL_H
#define KMS_PKCS11_POOL_H

#include "kms/pkcs11_api.h"
#include "kms/pkcs11_uri.h"
#include "lib/base/err.h"

#define P11_ID_LEN 16 /* CKA_ID of our keys */
#define P11_SESSIONS 8
#define P11_SESSIONS_MAX 256

struct p11_pool;

/* Keep where to look for the token; touches nothing. */
enum err p11_pool_new(const struct p11_uri *u, unsigned sessions,
    struct p11_pool **ret) MUSTCHECK;
void p11_pool_free(struct p11_pool *p); /* NULL is fine */

/* What is done in a session; may be called twice.  ${key} is 0 without one. */
typedef ck_rv_t p11_fn(struct ck_function_list *f, ck_session_handle_t s,
    ck_object_handle_t key, void *arg);

/*
 * p11_pool_run(p, id, write, fn, arg, ret_rv):
 * Call fn in a session, with ${write} in the one that may make and destroy
 * objects, with the secret key whose CKA_ID is ${id} (P11_ID_LEN bytes; NULL:
 * none).  *${ret_rv} is what the function said, when it is nothing about the
 * token's being there.
 * Returns OK; ERR_TIMEDOUT: there is no such token now; ERR_ACCESS: it does
 * not take our PIN, or there is none, or the key is one that could leave the
 * token; ERR_NOKEY; ERR_NOMEM.
 */
enum err p11_pool_run(struct p11_pool *p, const uint8_t *id, bool write,
    p11_fn *fn, void *arg, ck_rv_t *ret_rv) MUSTCHECK;

#endif
