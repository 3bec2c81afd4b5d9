/*
 * gate: the one way in.  Every call of the interface is a struct call that
 * passes gate_run(): principal, key, policies, key state, provider, audit
 * record.
 */
#ifndef KMS_GATE_H
#define KMS_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/digest.h"
#include "kms/kms.h"
#include "kms/params.h"
#include "kms/policy.h"
#include "kms/table.h"
#include "kms/who.h"

/* What the gate found out about a key. */
struct far_key;
struct keyref {
	uint8_t uuid[UUID_LEN];
	char tenant[KMS_NAME_MAX];
	char arn[KMS_ARN_MAX]; /* "" when no key was found */
	enum kms_state state;
	enum key_kind kind;
	enum kms_origin origin;
	bool expired;        /* its imported material is past its time */
	uint32_t version;    /* current one; 0 none */
	struct hmac_key mat; /* of the version asked for; wiped by the gate */
	struct far_key *far; /* where it is instead; freed by the gate */
};

struct call {
	const struct kms_who *who;
	const char *event; /* as "GenerateDataKey"; static storage */
	bool read_only;
	bool crypto; /* needs an enabled key; refused while audit is stuck */
	bool make;   /* a default or service key may be made */
	bool choose; /* the key is to be what files will be under */
	const char *keyname; /* as the caller spelt it; NULL none */
	const struct kms_pair *ctx;
	size_t nctx;
	/* What policies may ask about this operation, besides what authz.c
	 * knows of any; good while the gate is asked. */
	const struct policy_fact *facts;
	size_t nfacts;
	void *arg;    /* the provider's */
	bool service; /* nobody called: ssefs did it by itself */
	/* More for the record, each the inside of a JSON object, or NULL:
	 * requestParameters besides the key and the context, responseElements,
	 * and additionalEventData, the last two under AUDIT_TEXT_MAX bytes. */
	const struct params *params;
	const char *response;
	const char *extra;
	/* What the key and the context are called there, in static storage;
	 * NULL: "keyId", "encryptionContext". */
	const char *key_member;
	const char *ctx_member;
	/* Filled in by the gate. */
	const char *tenant;
	bool principal_ok;
	bool root;                /* the account itself */
	bool admin;               /* a user with that flag */
	char user_id[WHO_ID_MAX]; /* "" for the account */
	/* The grant that allowed what was asked last; "" none. */
	char grant[KMS_GRANT_ID_MAX];
	struct keyref key;
	struct keyref *target; /* ReEncrypt's second key, the caller's */
};

typedef enum err gate_fn(struct kms *k, struct call *c);

/* Pass the call, ${op} being the provider, and record what came of it. */
enum err gate_run(struct kms *k, struct call *c, gate_fn *op) MUSTCHECK;

/* Who asks, alone: names, existence.  Sets c->tenant and the fields below it,
 * for calls that are not recorded. */
enum err gate_asker(struct kms *k, struct call *c) MUSTCHECK;

/*
 * gate_key(k, c, keyname, action, ret):
 * For providers: resolve a key for the call, ask the policies, check the state
 * when the call is about data keys.
 */
enum err gate_key(struct kms *k, struct call *c, const char *keyname,
    const char *action, struct keyref *ret) MUSTCHECK;
/* The same for a key known by its UUID: ERR_AUTH when there is none. */
enum err gate_key_id(struct kms *k, struct call *c,
    const uint8_t uuid[static UUID_LEN], const char *action,
    struct keyref *ret) MUSTCHECK;
/* May the asker do that, for calls that name no key: ${arn} is an alias's, or
 * "*", the container that ${action} is about.  ERR_ACCESS. */
enum err gate_policy(struct kms *k, const struct call *c, const char *action,
    const char *arn) MUSTCHECK;
/* May the asker do that to the alias of its tenant that ${name}, "alias/…", is
 * or will be?  The key is another question. */
enum err gate_alias(struct kms *k, const struct call *c, const char *name,
    const char *action) MUSTCHECK;
/* Material of a key that passed, or where it is: version ${version}, 0 the
 * current one (then set in ${key}); counts the call. */
enum err gate_material(
    struct kms *k, struct keyref *key, uint32_t version) MUSTCHECK;

/* All is allowed: go on, or, when that was all that was asked, ERR_DRYRUN. */
enum err gate_go(const struct call *c) MUSTCHECK;

/* After the key was used elsewhere, which took its time: may it be used
 * still? */
enum err gate_still(struct kms *k, struct keyref *key) MUSTCHECK;

/* What a call does to a key, as far as the key's state matters. */
enum key_op {
	KEY_OP_CRYPTO,   /* data keys, grants */
	KEY_OP_ENABLE,   /* enabling, disabling */
	KEY_OP_ROTATE,   /* a new version, or when there will be one */
	KEY_OP_DELETE,   /* scheduling deletion */
	KEY_OP_CANCEL,   /* keeping it after all */
	KEY_OP_CHANGE,   /* aliases to it, tags, description */
	KEY_OP_IMPORT,   /* material from outside */
	KEY_OP_DESCRIBE, /* reading; removing aliases and grants */
	KEY_OP_COUNT_
};

/* May this be done to a key in this state (state.c)?  ERR_KEYREVOKED when it
 * is disabled, ERR_KEYDELETION, ERR_KEYEXPIRED, ERR_KEYSTATE, ERR_NOTSUP,
 * ERR_TIMEDOUT. */
enum err state_allows(const struct keyref *key, enum key_op op) MUSTCHECK;
/* Not for the service key: ERR_PERM. */
enum err state_managed(const struct keyref *key) MUSTCHECK;

/* What the asker calls so now, without any check: its ARN, which is in ${ret}
 * and means the same as long as the key is there; ${keyname} itself when there is
 * none yet. */
const char *gate_pin(struct kms *k, const struct call *c, const char *keyname,
    struct keyref *ret);
/* The facts about ${n} without any check; OK, ERR_NOKEY. */
enum err gate_find(
    struct kms *k, const struct name *n, struct keyref *ret) MUSTCHECK;

#endif
