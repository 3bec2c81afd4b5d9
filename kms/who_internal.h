/*
 * who_internal: what the calls on identities share.  Private to who*.c.
 */
#ifndef KMS_WHO_INTERNAL_H
#define KMS_WHO_INTERNAL_H

#include "kms/gate.h"
#include "kms/kms_internal.h"
#include "kms/people.h"

/* A change of identities: what runs inside its transaction. */
struct who_change {
	kms_change_fn *fn;
	const char *tenant;
	void *arg;
};
/*
 * who_change(k, c, fn, arg):
 * For a call ${c} that may manage identities: run fn(k, arg), count the change,
 * and wait until it is in force everywhere.
 */
enum err who_change(struct kms *k, const struct call *c, kms_change_fn *fn,
    void *arg) MUSTCHECK;
/* Inside a change: count it, and make the MACs anew. */
enum err who_counted(struct kms *k) MUSTCHECK;
/* For a call that reads: may the asker; and is the table up to date with the
 * keystore? */
enum err who_read(struct kms *k, const struct call *c) MUSTCHECK;
/* What the call is about, and to whom it does something, for the audit log:
 * the ${type} ("user", "policy", "role") of that name. */
void who_resource(struct call *c, const char *type, const char *name);
void who_target(
    struct call *c, const char *type, const char *name, struct keyref *ret);
/* The same names as CloudTrail's IAM records have them. */
void who_params(struct params *p, const char *member, const char *name,
    const char *member2, const char *name2);
/* ERR_INVAL, with ${what} in the sentence. */
enum err who_name_check(const char *what, const char *name) MUSTCHECK;
/* Inside a transaction: the row of a user.  ERR_NOENT. */
enum err who_user_row(struct kms *k, const char *tenant, const char *name,
    struct kms_user *ret) MUSTCHECK;
/* Inside a transaction: the only column of the only row. */
enum err who_count(struct kms *k, sqlite3_stmt *st, int64_t *ret) MUSTCHECK;

/* A new access key, sealed for its user, and its row (inside a change). */
enum err secret_insert(struct kms *k, const struct kms_user *u,
    const struct kms_secret *s) MUSTCHECK;
/* The record's responseElements of a new access key: its id. */
#define SECRET_RESPONSE_MAX 96
void secret_response(struct call *c, const struct kms_secret *s,
    char ret[static SECRET_RESPONSE_MAX]);
/* Make the id and the secret. */
enum err secret_new(struct kms_secret *ret) MUSTCHECK;

/* ${prefix}, 4 characters, and ${n} random ones of A-Z and 2-7. */
void who_random_id(const char *prefix, size_t n, char *ret);

#endif
