/*
 * who: the identities of a keystore, and what is attached to them.
 *
 * A tenant has users, roles that users hold, and policies attached to users or
 * to roles.  The tenant's account itself, KMS_ROOT_USER, is nobody's row: it is
 * whoever can unlock the keystore.  A user signs requests with access keys,
 * whose secrets are sealed in the keystore and shown once, when they are made.
 *
 * Identities are managed by the account and by users with the admin flag; no
 * policy gives that right.  Every call is recorded in the audit log, and a
 * change is in force everywhere when the call that made it returns, also for
 * files that are open (kms_watch()).  All functions are thread-safe.
 */
#ifndef KMS_WHO_H
#define KMS_WHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kms/kms.h"
#include "lib/base/buf.h"

#define WHO_ID_MAX 22         /* "AIDA…", a user's id, with its NUL */
#define WHO_KEY_ID_MAX 21     /* "AKIA…", an access key's id, with its NUL */
#define WHO_SECRET_LEN 40     /* characters of a secret access key */
#define WHO_USERS_MAX 65536   /* of a keystore */
#define WHO_POLICIES_MAX 4096 /* of a tenant */
#define WHO_KEYS_MAX 2      /* access keys of a user: one, and its successor */
#define WHO_ROLES_MAX 16    /* of a user */
#define WHO_ATTACHED_MAX 32 /* policies of a user or a role */

/* ---- Users --------------------------------------------------------------- */

struct kms_user {
	char tenant[KMS_NAME_MAX];
	char name[KMS_NAME_MAX];
	char id[WHO_ID_MAX]; /* never given to another user of that name */
	bool admin;          /* may do everything, as the account */
	int64_t created;     /* seconds since 1970 */
};

/* An access key as it is made: the only time its secret is seen. */
struct kms_secret {
	char id[WHO_KEY_ID_MAX];
	char *secret; /* key memory; NUL-terminated */
};
/* Wipe and free. */
void kms_secret_release(struct kms_secret *s);

/*
 * kms_user_create(k, who, name, admin, ret, ret_secret):
 * Make a user of the asker's tenant, with an access key unless ${ret_secret}
 * is NULL.  A name is UTF-8 of 1 to 64 bytes without control characters,
 * quotes, backslashes, "/", ":", "*" and "?".  Returns OK; ERR_EXIST;
 * ERR_INVAL, also for the names the program uses itself ("root", "ssefs");
 * ERR_LIMIT; ERR_ACCESS; ERR_IO, ERR_NOSPC.
 */
enum err kms_user_create(struct kms *k, const struct kms_who *who,
    const char *name, bool admin, struct kms_user *ret,
    struct kms_secret *ret_secret) MUSTCHECK;
/* With access keys, roles and attachments.  ERR_NOENT. */
enum err kms_user_remove(
    struct kms *k, const struct kms_who *who, const char *name) MUSTCHECK;
enum err kms_user_get(struct kms *k, const struct kms_who *who,
    const char *name, struct kms_user *ret) MUSTCHECK;
/* cb for every user of the tenant, by name; stops when it returns false. */
enum err kms_user_list(struct kms *k, const struct kms_who *who,
    bool (*cb)(void *arg, const struct kms_user *u), void *arg) MUSTCHECK;

/* ---- Access keys --------------------------------------------------------- */

enum err kms_secret_create(struct kms *k, const struct kms_who *who,
    const char *user, struct kms_secret *ret) MUSTCHECK;
/* ERR_NOENT: the user has no access key of that id. */
enum err kms_secret_remove(struct kms *k, const struct kms_who *who,
    const char *user, const char *id) MUSTCHECK;
/* A key that is not active signs nothing. */
enum err kms_secret_activate(struct kms *k, const struct kms_who *who,
    const char *user, const char *id, bool active) MUSTCHECK;
struct kms_secret_desc {
	char id[WHO_KEY_ID_MAX];
	bool active;
	int64_t created;
};
enum err kms_secret_list(struct kms *k, const struct kms_who *who,
    const char *user, void (*cb)(void *arg, const struct kms_secret_desc *d),
    void *arg) MUSTCHECK;

/* Whose access key it is, to check a signature by. */
struct who_cred {
	char tenant[KMS_NAME_MAX];
	char user[KMS_NAME_MAX];
	char user_id[WHO_ID_MAX];
	bool active;
	char *secret; /* key memory; NUL-terminated; NULL: not active */
};
/*
 * kms_access_key(k, id, ret):
 * Look up an access key, in memory.  Without audit record and without regard to
 * policies: it is not known yet whether the asker holds the secret.  The
 * answer is good for one request.  Returns OK, also for a key that is not
 * active; ERR_NOENT: there is none of that id, which may be any text;
 * ERR_CORRUPT: its row was altered; ERR_NOMEM, ERR_IO.  ${ret} is to be
 * released in any case.
 */
enum err kms_access_key(
    struct kms *k, const char *id, struct who_cred *ret) MUSTCHECK;
/* Wipe and free. */
void who_cred_release(struct who_cred *c);
#define CLEANUP_CRED CLEANUP(who_cred_release)

/* ---- Roles --------------------------------------------------------------- */

/* A role is there when a user holds it or a policy is attached to it; the name
 * is as a user's.  Adding what is there and removing what is not are fine.
 * ERR_NOENT: no such user. */
enum err kms_role_add(struct kms *k, const struct kms_who *who,
    const char *user, const char *role) MUSTCHECK;
enum err kms_role_remove(struct kms *k, const struct kms_who *who,
    const char *user, const char *role) MUSTCHECK;
enum err kms_role_list(struct kms *k, const struct kms_who *who,
    const char *user, void (*cb)(void *arg, const char *role),
    void *arg) MUSTCHECK;

/* ---- Policies ------------------------------------------------------------ */

/* Put a document under a name, or in the place of the one that has it.
 * ERR_PARSE, ERR_LIMIT as policy_parse(), with its sentence. */
enum err kms_policy_put(struct kms *k, const struct kms_who *who,
    const char *name, const char *text, size_t len) MUSTCHECK;
/* Append the document to ${ret}.  ERR_NOENT. */
enum err kms_policy_get(struct kms *k, const struct kms_who *who,
    const char *name, struct buf *ret) MUSTCHECK;
/* ERR_BUSY: it is attached to somebody. */
enum err kms_policy_remove(
    struct kms *k, const struct kms_who *who, const char *name) MUSTCHECK;
struct kms_policy_desc {
	char name[KMS_NAME_MAX];
	int64_t created, updated; /* seconds since 1970 */
	uint64_t attached;        /* to how many users and roles */
};
enum err kms_policy_list(struct kms *k, const struct kms_who *who,
    void (*cb)(void *arg, const struct kms_policy_desc *d),
    void *arg) MUSTCHECK;

/* Attach to the user ${name}, or, with ${to_role}, to whoever holds the role of
 * that name.  ERR_NOENT: no such policy, no such user.  Attaching what is
 * attached is fine; ERR_NOENT when there is nothing to detach. */
enum err kms_policy_attach(struct kms *k, const struct kms_who *who,
    const char *policy, bool to_role, const char *name) MUSTCHECK;
enum err kms_policy_detach(struct kms *k, const struct kms_who *who,
    const char *policy, bool to_role, const char *name) MUSTCHECK;
/* cb for every attachment of the tenant: users first, by name. */
enum err kms_attachment_list(struct kms *k, const struct kms_who *who,
    void (*cb)(void *arg, const char *policy, bool to_role, const char *name),
    void *arg) MUSTCHECK;

/* ---- Tenants ------------------------------------------------------------- */

/* What holds for the tenant's use of keys by the storage service. */
struct kms_tenant {
	/* Only users with this role may use SSE-KMS; "" everybody. */
	char sse_kms_role[KMS_NAME_MAX];
	/* May new files be under keys that the tenant made itself? */
	bool customer_keys;
};
/* Of the asker's tenant; the defaults when nothing was set. */
enum err kms_tenant_get(
    struct kms *k, const struct kms_who *who, struct kms_tenant *ret) MUSTCHECK;
enum err kms_tenant_set(struct kms *k, const struct kms_who *who,
    const struct kms_tenant *t) MUSTCHECK;

/* ---- Altered identities ---------------------------------------------------- */

/* Are they those that were made by these calls (kms/who_mac.h)?  Otherwise all
 * calls of users, and changes, give ERR_CORRUPT.  ${bad} is called for each
 * finding, with a lock held; it must not call back. */
enum err kms_identities_check(struct kms *k,
    void (*bad)(void *arg, const char *what), void *arg,
    bool *ret_good) MUSTCHECK;
/* Remove those that are not.  *${ret_all}: what was left could not be shown to be
 * what there was, and all but tenants' settings was removed, these made strict
 * (who_mac_purge). */
enum err kms_identities_repair(
    struct kms *k, const struct kms_who *who, bool *ret_all) MUSTCHECK;

#endif
