/*
 * pkcs11_session: what is asked of a PKCS#11 library to get at a token, and what
 * its answers mean.
 *
 * Thread-safe, save that a session is one thread's.
 */
#ifndef KMS_PKCS11_SESSION_H
#define KMS_PKCS11_SESSION_H

#include <stdbool.h>

#include "crypto/secret.h"
#include "kms/pkcs11_api.h"
#include "kms/pkcs11_uri.h"
#include "lib/base/err.h"

/* What an answer says of the connection. */
enum p11_rv_class {
	P11_RV_FINE,
	P11_RV_ITS_OWN, /* nothing: the call itself is refused */
	P11_RV_LOST,    /* token or session are gone */
	P11_RV_HANDLE,  /* the key's handle is not good any more */
	P11_RV_UNCLEAR  /* anything: ask p11_alive() */
};
enum p11_rv_class p11_rv_class(ck_rv_t rv);

/* The one token that ${u} describes.  ERR_TIMEDOUT: none; ERR_INVAL: several. */
enum err p11_slot_find(struct ck_function_list *f, const struct p11_uri *u,
    ck_slot_id_t *ret) MUSTCHECK;

/* A session that may make objects, if the token lets anybody.  ERR_TIMEDOUT. */
enum err p11_anchor_open(struct ck_function_list *f, ck_slot_id_t slot,
    ck_session_handle_t *ret) MUSTCHECK;

/* What is known of the PIN: of a wrong one, which is not tried again, since a
 * token locks itself after a few, its MAC under a key of the moment. */
struct p11_pin {
	struct key *salt; /* NULL: none was wrong */
	uint8_t wrong[KEY_LEN];
};
void p11_pin_forget(struct p11_pin *pin);

/* Log in, for all sessions of this program.  The PIN is read, used and wiped.
 * ERR_ACCESS; ERR_TIMEDOUT; ERR_NOMEM. */
enum err p11_login(struct ck_function_list *f, ck_slot_id_t slot,
    ck_session_handle_t s, const struct p11_uri *u,
    struct p11_pin *pin) MUSTCHECK;

/* Is the token there still, and are we logged in? */
bool p11_alive(struct ck_function_list *f, ck_slot_id_t slot,
    ck_session_handle_t s, const struct p11_uri *u);

/* The secret key with this CKA_ID.  ERR_NOKEY; ERR_ACCESS: it could leave the
 * token; ERR_STALE: the token is gone, *${ret_rv} says how. */
enum err p11_key_find(struct ck_function_list *f, ck_session_handle_t s,
    const uint8_t *id, ck_object_handle_t *ret, ck_rv_t *ret_rv) MUSTCHECK;

#endif
