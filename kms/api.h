/*
 * api: the operations behind the AWS KMS API that kms.h has not: small
 * plaintexts, pages of lists, key policies, grants, rotations, import.
 *
 * As everything in kms.h these calls pass the gate, are recorded under their
 * API names, are durable when they return (those that change something), and
 * are thread-safe.  Every call may also return what a key name can (ERR_INVAL
 * malformed, ERR_NOKEY, ERR_ACCESS), what a key's state can (ERR_KEYREVOKED,
 * ERR_KEYSTATE, ERR_KEYDELETION, ERR_KEYEXPIRED, ERR_NOTSUP, ERR_TIMEDOUT),
 * ERR_IO, ERR_NOSPC and ERR_NOMEM; only what is special stands below.
 *
 * Pages: a list begins behind ${after}, the last name of the page before (NULL:
 * at the beginning), and has at most ${max} entries; *ret_more tells whether
 * there are others.  The order is that of the names, so that an entry that is
 * there all the time is listed once, whatever is made or removed between two
 * pages.  ERR_INVAL: ${max} is not 1 to KMS_PAGE_MAX; ERR_PARSE: ${after} can be
 * no such name.  Callbacks run without a lock; what they get lives as long as the
 * call, and they stop the list by returning false.
 */
#ifndef KMS_API_H
#define KMS_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kms/kms.h"

#define KMS_PLAIN_MAX 4096    /* plaintext of kms_encrypt() */
#define KMS_CIPHER_MAX 6144   /* any ciphertext, of any provider */
#define KMS_RANDOM_MAX 1024   /* bytes of one kms_random(), kms_generate() */
#define KMS_ALIAS_ARN_MAX 400 /* with its NUL */
#define KMS_PAGE_MAX 1000     /* entries of a page, at least 1 */
#define KMS_POLICY_MAX 32768  /* a key policy's text */

/* ---- Plaintexts ----------------------------------------------------------- */

/*
 * kms_encrypt(k, who, keyname, plain, len, ctx, nctx, ret_blob, ret_bloblen,
 *     ret_arn):
 * ${len} bytes (1 to KMS_PLAIN_MAX, else ERR_INVAL) under ${keyname}, bound to
 * the context.  ${ret_blob} has room for KMS_CIPHER_MAX bytes.  Event Encrypt.
 */
enum err kms_encrypt(struct kms *k, const struct kms_who *who,
    const char *keyname, const void *plain, size_t len,
    const struct kms_pair *ctx, size_t nctx, uint8_t *ret_blob,
    size_t *ret_bloblen, char ret_arn[static KMS_ARN_MAX]) MUSTCHECK;

/*
 * kms_decrypt(k, who, keyname, blob, bloblen, ctx, nctx, ret_plain, ret_len,
 *     ret_arn):
 * The plaintext of a blob, also of one that kms_data_key() or kms_generate()
 * made.  ${keyname} NULL or "": of whichever key it is under.  ${ret_plain} has
 * room for KMS_PLAIN_MAX bytes, all zero unless OK; the caller wipes them.
 * ERR_AUTH for an altered blob, another context, another keystore: which of
 * them it was does not come out.  ERR_KEYMISMATCH: the blob is not under
 * ${keyname}.  Event Decrypt.
 */
enum err kms_decrypt(struct kms *k, const struct kms_who *who,
    const char *keyname, const uint8_t *blob, size_t bloblen,
    const struct kms_pair *ctx, size_t nctx, uint8_t *ret_plain,
    size_t *ret_len, char ret_arn[static KMS_ARN_MAX]) MUSTCHECK;

/*
 * kms_generate(k, who, keyname, len, ctx, nctx, ret_plain, ret_blob,
 *     ret_bloblen, ret_arn):
 * ${len} random bytes (1 to KMS_RANDOM_MAX), in clear to ${ret_plain} and
 * wrapped.  With ${ret_plain} NULL only wrapped, which is another operation:
 * events GenerateDataKey and GenerateDataKeyWithoutPlaintext.
 */
enum err kms_generate(struct kms *k, const struct kms_who *who,
    const char *keyname, size_t len, const struct kms_pair *ctx, size_t nctx,
    uint8_t *ret_plain, uint8_t *ret_blob, size_t *ret_bloblen,
    char ret_arn[static KMS_ARN_MAX]) MUSTCHECK;

/* One message of kms_reencrypt(). */
struct kms_reencrypt {
	const uint8_t *blob;
	size_t bloblen;
	const char *from_key;        /* as kms_decrypt()'s keyname */
	const struct kms_pair *from; /* its context */
	size_t nfrom;
	const char *to_key;
	const struct kms_pair *to;
	size_t nto;
	uint8_t *ret_blob; /* KMS_CIPHER_MAX bytes */
	size_t ret_bloblen;
	char ret_from[KMS_ARN_MAX], ret_to[KMS_ARN_MAX];
};
/* kms_decrypt() and kms_encrypt() in one; the plaintext stays inside.  Event
 * ReEncrypt. */
enum err kms_reencrypt(struct kms *k, const struct kms_who *who,
    struct kms_reencrypt *m) MUSTCHECK;

/* The id of the material that a blob is under.  Looks at the header only, for
 * those who made or opened the blob just now; without an audit record.  "" when
 * there is no such key any more. */
void kms_blob_material(struct kms *k, const uint8_t *blob, size_t bloblen,
    char ret[static KMS_MATERIAL_MAX]);

/* ${len} random bytes, 1 to KMS_RANDOM_MAX.  Event GenerateRandom. */
enum err kms_random(struct kms *k, const struct kms_who *who, size_t len,
    uint8_t *ret) MUSTCHECK;

/* ---- Keys, aliases -------------------------------------------------------- */

/* What a new key is to be. */
struct kms_new {
	const char *description; /* NULL: none */
	const struct kms_tag *tags;
	size_t ntags;
	const char *provider; /* NULL: the one that new keys go to */
	bool external;        /* PendingImport, until material is imported */
	const char *policy;   /* NULL: the default policy */
	bool no_lockout_check;
};
/* kms_key_create() with everything.  Errors of kms_tag_set() and
 * kms_key_policy_put() as well.  Event CreateKey. */
enum err kms_key_new(struct kms *k, const struct kms_who *who,
    const struct kms_new *n, struct kms_desc *ret) MUSTCHECK;

/* The tenant's keys by id.  Event ListKeys. */
enum err kms_key_page(struct kms *k, const struct kms_who *who,
    const char *after, size_t max,
    bool (*cb)(void *arg, const char *id, const char *arn), void *arg,
    bool *ret_more) MUSTCHECK;

struct kms_alias {
	const char *name;            /* "alias/…" */
	char arn[KMS_ALIAS_ARN_MAX]; /* the alias's own */
	char target[KMS_ARN_MAX];    /* of its key */
	int64_t created, updated;    /* seconds since 1970 */
};
/* The tenant's aliases by name; with ${keyname} (not NULL) those of one key,
 * which needs another right, kms:ListAliasesByKeyId.  Event ListAliases. */
enum err kms_alias_page(struct kms *k, const struct kms_who *who,
    const char *keyname, const char *after, size_t max,
    bool (*cb)(void *arg, const struct kms_alias *a), void *arg,
    bool *ret_more) MUSTCHECK;

/* The alias shall name another key of the tenant.  ERR_NOENT: no such alias;
 * ERR_PERM: a reserved one.  Event UpdateAlias. */
enum err kms_alias_update(struct kms *k, const struct kms_who *who,
    const char *alias, const char *keyname) MUSTCHECK;

/* ---- Rotation ------------------------------------------------------------- */

#define KMS_ON_DEMAND_MAX 25 /* rotations on demand of one key */

struct kms_rotation {
	uint32_t version; /* that it made, from 2 */
	int64_t at;       /* seconds since 1970 */
	bool on_demand;   /* else by period */
	char material[KMS_MATERIAL_MAX];
};
/* The rotations of a key, oldest first; ${after} is a version, 0 the
 * beginning.  Event ListKeyRotations. */
enum err kms_rotation_page(struct kms *k, const struct kms_who *who,
    const char *keyname, uint32_t after, size_t max,
    bool (*cb)(void *arg, const struct kms_rotation *r), void *arg,
    bool *ret_more) MUSTCHECK;

/* rotate_days and rotate_at of kms_desc, under their own operation.  Event
 * GetKeyRotationStatus. */
enum err kms_rotation_status(struct kms *k, const struct kms_who *who,
    const char *keyname, struct kms_desc *ret) MUSTCHECK;

/* ---- Key policies --------------------------------------------------------- */

/* The text of the key's policy, which the caller frees; without one of its
 * own the default, which leaves all to the tenant's identity policies.  Event
 * GetKeyPolicy. */
enum err kms_key_policy_get(struct kms *k, const struct kms_who *who,
    const char *keyname, char **ret_text) MUSTCHECK;
/* Is there any?  There always is one, named "default".  Event
 * ListKeyPolicies. */
enum err kms_key_policy_list(
    struct kms *k, const struct kms_who *who, const char *keyname) MUSTCHECK;
/*
 * kms_key_policy_put(k, who, keyname, text, len, no_lockout_check):
 * ${len} 0: the default again.  ERR_PARSE: not a policy (the detail says where),
 * or one after which ${who} could not change it again, unless
 * ${no_lockout_check}.  ERR_LIMIT: over KMS_POLICY_MAX.  Event PutKeyPolicy.
 */
enum err kms_key_policy_put(struct kms *k, const struct kms_who *who,
    const char *keyname, const char *text, size_t len,
    bool no_lockout_check) MUSTCHECK;

/* ---- Grants --------------------------------------------------------------- */

#define KMS_GRANTS_MAX 50000    /* of one key */
#define KMS_GRANT_ID_MAX 65     /* 64 hexadecimal digits and a NUL */
#define KMS_GRANT_TOKEN_MAX 109 /* with its NUL */
#define KMS_GRANT_NAME_MAX 257  /* with its NUL */
#define KMS_PRINCIPAL_MAX 257   /* an ARN, with its NUL */
#define KMS_GRANT_OPS 9         /* operations that can be granted */
#define KMS_GRANT_PAIRS_MAX 8   /* of a new grant's constraint */
#define KMS_GRANT_VALUE_MAX 384 /* characters of a value in it */

/* What can be granted: bits of kms_grant.operations. */
enum kms_grant_op {
	KMS_GRANT_DECRYPT = 1 << 0,
	KMS_GRANT_ENCRYPT = 1 << 1,
	KMS_GRANT_GENERATE = 1 << 2,
	KMS_GRANT_GENERATE_ONLY = 1 << 3, /* …WithoutPlaintext */
	KMS_GRANT_REENCRYPT_FROM = 1 << 4,
	KMS_GRANT_REENCRYPT_TO = 1 << 5,
	KMS_GRANT_CREATE_GRANT = 1 << 6,
	KMS_GRANT_RETIRE_GRANT = 1 << 7,
	KMS_GRANT_DESCRIBE = 1 << 8,
	KMS_GRANT_ALL = (1 << KMS_GRANT_OPS) - 1
};
/* Bit ${i} (0, 1, …) as "Decrypt"; static storage; NULL beyond the last. */
const char *kms_grant_op_name(unsigned i);
/* The bit that is named so; 0: none. */
uint32_t kms_grant_op_bit(const char *name);

enum kms_constraint {
	KMS_CONSTRAINT_NONE,
	KMS_CONSTRAINT_EQUALS, /* the context is exactly these pairs */
	KMS_CONSTRAINT_SUBSET  /* it has these at least */
};

/* Can a grant name ${s}, be it there or not? */
bool kms_principal_ok(const char *s);

struct kms_grant {
	const char *id;       /* not for kms_grant_create() */
	const char *key;      /* ARN; not for kms_grant_create() */
	const char *name;     /* "": none */
	const char *grantee;  /* ARN of a user, a role, a tenant's root; or a
				service */
	const char *retiring; /* who may retire it besides; "": nobody */
	const char *issuer;   /* ARN; not for kms_grant_create() */
	uint32_t operations;
	enum kms_constraint constraint;
	const struct kms_pair *pairs;
	size_t npairs;
	int64_t created; /* not for kms_grant_create() */
};

/*
 * kms_grant_create(k, who, keyname, g, ret_id, ret_token):
 * It is in force when the call returns, so that nobody needs the token to use
 * the key; it names the grant for kms_grant_retire_token().  One with a name
 * that is the same in all parts as one of the key's is that one again (another
 * token).  ERR_INVAL: a principal, name or constraint that cannot be, no
 * operations; ERR_LIMIT.  Event CreateGrant.
 */
enum err kms_grant_create(struct kms *k, const struct kms_who *who,
    const char *keyname, const struct kms_grant *g,
    char ret_id[static KMS_GRANT_ID_MAX],
    char ret_token[static KMS_GRANT_TOKEN_MAX]) MUSTCHECK;

/* A key's grants by id; ${id} and ${grantee}, unless NULL, choose.
 * ERR_BADGRANT: ${id} can be no grant's.  Event ListGrants. */
enum err kms_grant_page(struct kms *k, const struct kms_who *who,
    const char *keyname, const char *id, const char *grantee, const char *after,
    size_t max, bool (*cb)(void *arg, const struct kms_grant *g), void *arg,
    bool *ret_more) MUSTCHECK;
/* Those of the tenant's keys that ${retiring} may retire.  Event
 * ListRetirableGrants. */
enum err kms_grant_retirable(struct kms *k, const struct kms_who *who,
    const char *retiring, const char *after, size_t max,
    bool (*cb)(void *arg, const struct kms_grant *g), void *arg,
    bool *ret_more) MUSTCHECK;

/* Take a grant back: who may use kms:RevokeGrant on the key.  ERR_BADGRANT: no
 * id; ERR_NOENT: the key has none such.  Event RevokeGrant. */
enum err kms_grant_revoke(struct kms *k, const struct kms_who *who,
    const char *keyname, const char *id) MUSTCHECK;
/* Give a grant up: its retiring principal, its grantee when it may
 * RetireGrant, the key's tenant itself, who may use kms:RetireGrant.  Event
 * RetireGrant. */
enum err kms_grant_retire(struct kms *k, const struct kms_who *who,
    const char *keyname, const char *id) MUSTCHECK;
/* The same by the token; ERR_GRANTTOKEN: not one of this keystore. */
enum err kms_grant_retire_token(
    struct kms *k, const struct kms_who *who, const char *token) MUSTCHECK;
/* Is it a token of this keystore, of a grant that may be gone by now?
 * ERR_GRANTTOKEN.  Without an audit record: for tokens given along with other
 * calls, which need none here. */
enum err kms_grant_token_check(struct kms *k, const char *token) MUSTCHECK;

/* ---- Imported material ---------------------------------------------------- */

#define KMS_IMPORT_S 86400         /* a token and its public key are good for */
#define KMS_IMPORT_TOKEN_MAX 4096  /* bytes */
#define KMS_IMPORT_PUBLIC_MAX 1024 /* bytes, DER SubjectPublicKeyInfo */
#define KMS_IMPORT_WRAPPED_MAX 1024 /* bytes of wrapped material */

enum kms_wrapping {
	KMS_WRAP_OAEP_SHA1,   /* RSAES_OAEP_SHA_1 */
	KMS_WRAP_OAEP_SHA256, /* RSAES_OAEP_SHA_256 */
	KMS_WRAP_AES_SHA1,    /* RSA_AES_KEY_WRAP_SHA_1 */
	KMS_WRAP_AES_SHA256   /* RSA_AES_KEY_WRAP_SHA_256 */
};
/* "RSAES_OAEP_SHA_256", …; static storage. */
const char *kms_wrapping_name(enum kms_wrapping w);

struct kms_import {
	uint8_t token[KMS_IMPORT_TOKEN_MAX];
	size_t tokenlen;
	uint8_t public_key[KMS_IMPORT_PUBLIC_MAX];
	size_t public_len;
	int64_t valid_to; /* seconds since 1970 */
	char arn[KMS_ARN_MAX];
};
/*
 * kms_import_parameters(k, who, keyname, w, bits, ret):
 * A fresh RSA key pair of ${bits} (2048, 3072, 4096, else ERR_INVAL); the
 * private key is inside the token, sealed under the keystore's master key.
 * ERR_NOTSUP: the key's material does not come from outside.  Event
 * GetParametersForImport.
 */
enum err kms_import_parameters(struct kms *k, const struct kms_who *who,
    const char *keyname, enum kms_wrapping w, unsigned bits,
    struct kms_import *ret) MUSTCHECK;
/*
 * kms_import_material(k, who, keyname, token, tokenlen, wrapped, len, expires):
 * 32 bytes, wrapped as the token's parameters said, become the material until
 * ${expires} (seconds since 1970; 0: for good).  A key that had material before
 * takes only the same again.
 * ERR_BADTOKEN: not a token, or for another key; ERR_TOKENEXPIRED; ERR_AUTH:
 * what was wrapped cannot be read; ERR_MATERIAL: not 32 bytes, or others than
 * before; ERR_INVAL: ${expires} has passed, or is over a year ahead;
 * ERR_NOTSUP.  Event ImportKeyMaterial.
 */
enum err kms_import_material(struct kms *k, const struct kms_who *who,
    const char *keyname, const uint8_t *token, size_t tokenlen,
    const uint8_t *wrapped, size_t len, int64_t expires) MUSTCHECK;
/* The id of a key's current material, "" without, for those who may import it or
 * wipe it; without an audit record. */
void kms_import_id(struct kms *k, const char *tenant, const char *keyname,
    char ret[static KMS_MATERIAL_MAX]);
/* Wipe it; the key is then PendingImport, and what is under it closed until
 * the same is imported again.  Event DeleteImportedKeyMaterial. */
enum err kms_import_delete(
    struct kms *k, const struct kms_who *who, const char *keyname) MUSTCHECK;

#endif
