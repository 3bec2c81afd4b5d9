/*
 * table: all keys of the keystore in memory, for look-ups without SQLite.
 *
 * A table is built from the database and then only read, save for the parts
 * marked atomic; a change makes a new one.  Master key material is unsealed
 * at its first use and stays in key memory as prepared midstates.
 */
#ifndef KMS_TABLE_H
#define KMS_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "crypto/digest.h"
#include "kms/api.h"
#include "kms/db.h"
#include "kms/kms.h"
#include "kms/name.h"
#include "kms/people.h"
#include "kms/policy.h"
#include "lib/base/codec.h"

#define MATERIAL_SEALED (KEY_LEN + AEAD_OVERHEAD)
#define MATERIAL_KEPT 2048 /* 512 KiB of key memory */

enum key_kind { KEY_CUSTOMER, KEY_DEFAULT, KEY_SERVICE };

/* Why a version was made; as stored. */
enum version_reason {
	VERSION_BY_ITSELF, /* first, by period, or not recorded */
	VERSION_ON_DEMAND
};

/* A version whose material is with a provider. */
struct far_version {
	uint8_t *sealed; /* reference.h */
	size_t len;
	/* Messages that may be encrypted before more are asked for, and how
	 * many were asked for last (kms/far.c). */
	_Atomic uint64_t budget;
	_Atomic uint64_t chunk;
};

struct version {
	int64_t created;
	int64_t reason;          /* enum version_reason */
	int64_t provider;        /* 0: this one, the material stands here */
	struct far_version *far; /* NULL unless elsewhere */
	uint8_t sealed[MATERIAL_SEALED]; /* zero when elsewhere */
	struct hmac_key *_Atomic mat;    /* key memory; NULL until used */
};

struct tkey {
	int64_t row;
	uint8_t uuid[UUID_LEN];
	char tenant[KMS_NAME_MAX];
	char *arn;
	enum kms_state state;
	enum key_kind kind;
	int64_t created;
	char *description;
	int64_t delete_at;   /* 0: not pending deletion */
	int64_t rotate_days; /* period; 0: none */
	int64_t rotate_at;
	enum kms_origin origin;
	int64_t expires;              /* imported material's; 0: never */
	uint8_t imported[SHA256_LEN]; /* identifies what was imported */
	bool was_imported;            /* else it is zero */
	/* Its grants by id, and the same for the policy engine. */
	struct tgrant **grants;
	struct policy_grant *allow;
	size_t ngrants;
	/* Its tags by name, as policies see them, and what is behind that. */
	struct policy_fact *tags;
	struct ttag **tag;
	size_t ntags;
	struct policy *policy;  /* its own; NULL: the default */
	size_t alias, naliases; /* where its aliases are in ${by_key} */
	struct version *v;      /* version i stands at i - 1 */
	uint32_t nv;
	_Atomic uint64_t calls; /* not yet written to the keystore */
	atomic_bool told;       /* that it is due, but in use */
};

/* A grant and all that it points to, in one block. */
struct tgrant {
	struct kms_grant g;
	char id[KMS_GRANT_ID_MAX];
	char arn[KMS_ARN_MAX];
	const char *ops[KMS_GRANT_OPS];
	size_t nops;
	struct kms_pair pairs[]; /* then the strings */
};

struct tprovider {
	int64_t id;
	char name[KMS_NAME_MAX];
	uint8_t *sealed; /* reference.h */
	size_t len;
	int64_t created;
};

struct talias {
	char tenant[KMS_NAME_MAX];
	char name[KMS_ALIAS_MAX];
	struct tkey *key;
	int64_t created, updated; /* updated: 0 never */
};

struct authz_cache;

struct table {
	struct tkey *keys; /* by uuid */
	size_t nkeys;
	struct tkey **by_arn; /* hash table of a power of two places */
	size_t arn_places;
	struct talias *aliases; /* by tenant, name */
	size_t naliases;
	struct tprovider *providers; /* by id */
	size_t nproviders;
	uint8_t *choice;          /* CHOICE_SEALED bytes; NULL: none was made */
	struct talias **by_key;   /* the aliases of one key side by side */
	const char **alias_names; /* of ${by_key} */
	struct people *people;
	struct authz_cache *allowed; /* decisions, good for this table */
	uint64_t serial;             /* order of loading */
	uint64_t epoch;              /* shared epoch before loading */
	uint64_t db_epoch;           /* epoch stored in the keystore */
};

/* Read the whole keystore, save for the identities ${people} (NULL: none) when
 * these were not changed since.  ${who} is their key (NULL: not looked at). */
enum err table_load(struct db *db, const char *region,
    const struct hmac_key *who, struct people *people,
    struct table **ret) MUSTCHECK;
void table_free(struct table *t);
static inline void
table_cleanup(struct table **t)
{
	table_free(*t);
}

/* table_grants.c: read them; part of table_load(). */
enum err table_load_grants(struct db *db, struct table *t) MUSTCHECK;
/* table_tags.c: the same for tags. */
enum err table_load_tags(struct db *db, struct table *t) MUSTCHECK;
void table_free_tags(struct tkey *k);
/* A copy of a grant with this id, on the key ${arn}, for the caller to
 * free(). */
enum err tgrant_new(const struct kms_grant *g, const char *id, const char *arn,
    struct tgrant **ret) MUSTCHECK;
/* The grant ${id} of a key; NULL: none. */
const struct tgrant *table_grant(const struct tkey *k, const char *id);

/* Take over prepared material and pending counts from the table before.  How
 * many prepared materials stay behind, for keys or versions that are gone. */
uint32_t table_inherit(struct table *t, struct table *old);

/* NULL when there is none. */
struct tkey *table_by_id(
    const struct table *t, const uint8_t uuid[static UUID_LEN]);
/* ${arn} must be spelt as the table does. */
struct tkey *table_by_arn(const struct table *t, const char *arn);
struct tkey *table_find(const struct table *t, const struct name *n);
struct tprovider *table_provider(const struct table *t, int64_t id);

/* The material of a version: sealed with its place, and made ready. */
enum err material_seal(struct aead *seal, const uint8_t ks[static UUID_LEN],
    const uint8_t uuid[static UUID_LEN], const char *tenant, enum key_kind kind,
    uint32_t version, int64_t created,
    uint8_t ret[static MATERIAL_SEALED]) MUSTCHECK;
/* The same for given material. */
enum err material_seal_as(struct aead *seal, const uint8_t ks[static UUID_LEN],
    const uint8_t uuid[static UUID_LEN], const char *tenant, enum key_kind kind,
    uint32_t version, int64_t created, const uint8_t material[static KEY_LEN],
    uint8_t ret[static MATERIAL_SEALED]) MUSTCHECK;
/* Copy the midstates of version ${version} (1..nv) to ${ret}; kept for the
 * next time while *${prepared}, which counts them, is under MATERIAL_KEPT. */
enum err material_get(struct aead *seal, const uint8_t ks[static UUID_LEN],
    struct tkey *key, uint32_t version, _Atomic uint32_t *prepared,
    struct hmac_key *ret) MUSTCHECK;

#endif
