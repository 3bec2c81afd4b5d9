/*
 * people: the identities of the keystore in memory, for look-ups without
 * SQLite.
 *
 * Built from the database and then only read, save for the parts marked atomic;
 * a change makes a new one.  Shared by the tables of keys (kms/table.h) between
 * two changes of identities.  Policies are read at their first use.
 */
#ifndef KMS_PEOPLE_H
#define KMS_PEOPLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "crypto/digest.h"
#include "kms/db.h"
#include "kms/policy.h"
#include "kms/name.h"
#include "kms/who.h"
#include "lib/base/codec.h"

#define SECRET_SEALED (WHO_SECRET_LEN + AEAD_OVERHEAD)

/* A policy's text, and what was read from it. */
struct document {
	char *text;
	size_t len;
	struct policy *_Atomic parsed; /* NULL until used */
};
/* ${text} is copied; false: no memory. */
bool document_set(struct document *d, const char *text, size_t len) MUSTCHECK;
void document_release(struct document *d);
/* The policy, as long as ${d} lives.  ERR_CORRUPT: what is stored is none. */
enum err document_get(struct document *d, const struct policy **ret) MUSTCHECK;

struct pdoc {
	char tenant[KMS_NAME_MAX];
	char name[KMS_NAME_MAX];
	struct document d;
};

struct puser {
	struct kms_user u;
	char (*role)[KMS_NAME_MAX];
	size_t nroles;
	struct pdoc **doc; /* that apply: attached to it, or to its roles */
	size_t ndocs;
};

struct psecret {
	char id[WHO_KEY_ID_MAX];
	uint32_t user; /* which one of ${users} */
	bool active;
	int64_t created;
	uint8_t sealed[SECRET_SEALED];
};

struct ptenant {
	char name[KMS_NAME_MAX];
	struct kms_tenant t;
};

struct people {
	struct puser *users; /* by tenant, name */
	size_t nusers;
	struct pdoc *docs; /* by tenant, name */
	size_t ndocs;
	struct psecret *secrets; /* by id */
	size_t nsecrets;
	struct ptenant *tenants; /* by name */
	size_t ntenants;
	struct document full; /* what users with the admin flag may: all */
	uint64_t serial;      /* counts the changes of identities */
	bool altered;         /* outside of here: there are none then */
	_Atomic uint32_t refs;
};

/* Read all of them, inside the caller's transaction; ${old} (NULL: none) again
 * when nothing was changed since.  ${who} is the key of their MACs, which are
 * computed over the values that are taken; when one of these is bad, nothing is
 * taken, and ${ret} says so. */
enum err people_load(struct db *db, const struct hmac_key *who,
    struct people *old, struct people **ret) MUSTCHECK;
/* ERR_CORRUPT: they were altered, nobody has rights by them. */
enum err people_sound(const struct people *p) MUSTCHECK;
/* One reference more, or less; NULL is fine. */
struct people *people_ref(struct people *p);
void people_unref(struct people *p);
static inline void
people_cleanup(struct people **p)
{
	people_unref(*p);
}
#define CLEANUP_PEOPLE CLEANUP(people_cleanup)

/* NULL when there is none. */
const struct puser *people_user(
    const struct people *p, const char *tenant, const char *name);
const struct psecret *people_secret(const struct people *p, const char *id);
/* The tenant's settings, or the defaults. */
const struct kms_tenant *people_tenant(
    const struct people *p, const char *tenant);
bool people_has_role(const struct puser *u, const char *role);

/* The names of the program's own principals, which nobody may take. */
bool people_reserved(const char *name);
/* May it be the name of a user, a role or a policy? */
bool people_name_ok(const char *s);

/*
 * The secret of an access key, sealed (68 bytes) with k->seal:
 *	 0 12  GCM nonce, random
 *	12 40  the secret's characters, encrypted
 *	52 16  GCM tag
 *
 * Its additional data (224 bytes), texts followed by zeros:
 *	  0 16  "ssefs-access-v1"
 *	 16 16  UUID of the keystore
 *	 32 32  the access key's id
 *	 64 64  the tenant
 *	128 64  the user's name
 *	192 32  the user's id
 */
enum err secret_seal(struct aead *seal, const uint8_t ks[static UUID_LEN],
    const char *id, const struct kms_user *u, const char *secret,
    uint8_t ret[static SECRET_SEALED]) MUSTCHECK;
/* To ${ret}, WHO_SECRET_LEN bytes and a NUL.  ERR_CORRUPT. */
enum err secret_open(struct aead *seal, const uint8_t ks[static UUID_LEN],
    const struct psecret *s, const struct kms_user *u, char *ret) MUSTCHECK;

#endif
