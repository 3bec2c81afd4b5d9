/*
 * authz: may the asker of a call do that?  Asked by the gate; here identities,
 * policies, tenants' settings and the facts of a request come together, and
 * kms/policy.h decides.
 *
 * Nothing here touches SQLite, save for a table that is out of date.  What was
 * allowed by policies that look at nothing but who asks for which operation on
 * which key is remembered until the next change in the keystore, so that most
 * opens of files do not evaluate policies at all.
 */
#ifndef KMS_AUTHZ_H
#define KMS_AUTHZ_H

#include <stdatomic.h>
#include <stdint.h>

#include "kms/gate.h"

#define AUTHZ_SLOTS 4096

/* Decisions to allow, remembered with a table: an exact key of user, master
 * key, operation and service in each slot; 0 none. */
struct authz_cache {
	_Atomic uint64_t slot[AUTHZ_SLOTS];
};

/*
 * authz_begin(k, c):
 * Does the asker exist?  Sets c->root, c->admin and c->user_id.  ERR_ACCESS.
 */
enum err authz_begin(struct kms *k, struct call *c) MUSTCHECK;
/*
 * authz_key(k, c, action, key):
 * May ${action} be done with the key that ${key} describes?  ERR_ACCESS, with
 * the sentence for the asker.  Sets c->grant.
 */
enum err authz_key(struct kms *k, struct call *c, const char *action,
    const struct keyref *key) MUSTCHECK;
/* The asker as the policy engine sees it; ${roles} has room for WHO_ROLES_MAX.
 * The caller holds k->tab_lock, as long as it uses what it got. */
void authz_principal(const struct kms *k, const struct call *c,
    const char **roles, struct policy_principal *ret);
/* The same for a resource of the asker's tenant that is no key: an alias's ARN,
 * or "*", the container of keys or of aliases that ${action} is about. */
enum err authz_other(struct kms *k, const struct call *c, const char *action,
    const char *arn) MUSTCHECK;
/* May the tenant's default key be made, for the sake of ${action}? */
enum err authz_make(
    struct kms *k, const struct call *c, const char *action) MUSTCHECK;
/* May identities be managed?  The account and its administrators only. */
enum err authz_identities(const struct call *c) MUSTCHECK;

#endif
