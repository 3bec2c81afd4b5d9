/*
 * policy: who may do what.  Documents of three clouds are read into one form,
 * and one evaluation answers for all of them.
 *
 * Pure: no identities, no storage, no clock.  The caller says who asks, when,
 * from where and with what facts.  A parsed policy does not change any more,
 * so that every function here is thread-safe.  docs/POLICY.md tells the same
 * for those who write policies.
 *
 * Dialects, by the document's Version:
 *
 *	"1.1"         OBS    kms:cmk:get, KMS:region:tenant:KeyId:id
 *	"1"           RAM    kms:DescribeKey, acs:kms:region:tenant:key/id
 *	"2012-10-17"  AWS    kms:DescribeKey, arn:aws:kms:region:tenant:key/id
 *	"2008-10-17"  AWS without policy variables; also when Version is missing
 */
#ifndef KMS_POLICY_H
#define KMS_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kms/kms.h"

#define POLICY_TEXT_MAX 32768 /* bytes of a document */
#define POLICY_DEPTH_MAX 8    /* objects and arrays inside each other */
#define POLICY_STATEMENTS_MAX 256
#define POLICY_MEMBERS_MAX 1024 /* of one object or array */
#define POLICY_STRING_MAX 2048  /* bytes of one string */
#define POLICY_WHY_MAX 400      /* policy_explain() with its NUL */

enum policy_dialect {
	POLICY_OBS,
	POLICY_RAM,
	POLICY_AWS_2008,
	POLICY_AWS_2012
};

/* An identity policy belongs to the principals that it is attached to and
 * names none; a resource policy belongs to a key or a bucket and names them. */
enum policy_kind { POLICY_IDENTITY, POLICY_RESOURCE };

struct policy;

/* Where a document is wrong, and why. */
struct policy_fault {
	unsigned line, column; /* from 1; 0: not about one place */
	char where[160];       /* as "Statement[2].Condition.Bool"; "" none */
	char why[240];
};

/*
 * policy_parse(text, len, kind, ret, ret_fault):
 * Read a document.  ${ret_fault} may be NULL.  Returns OK; ERR_PARSE
 * (MalformedPolicyDocument) or ERR_LIMIT, with ${ret_fault} set and the same
 * as detail; ERR_NOMEM.
 *
 * Nothing is passed over in silence: an element, operator, type of principal
 * or version that is not known here is an error, as are a name twice in one
 * object and an empty list.  An action that names no operation is fine; it
 * matches none (policy_idle_actions() tells).  Comments from "//" to the end
 * of the line are read in RAM documents, whose manuals print them.
 */
enum err policy_parse(const char *text, size_t len, enum policy_kind kind,
    struct policy **ret, struct policy_fault *ret_fault) MUSTCHECK;
/* NULL is fine. */
void policy_free(struct policy *p);

enum policy_dialect policy_dialect(const struct policy *p);
/* "OBS 1.1", "RAM 1", …; static storage. */
const char *policy_dialect_name(enum policy_dialect d);
size_t policy_statements(const struct policy *p);
/* The Sid of statement ${i}, "" when it has none. */
const char *policy_sid(const struct policy *p, size_t i);

/* The number of an operation on keys, as "kms:Decrypt", below 64; -1 when it is
 * none of those known here. */
int policy_operation(const char *action);
/*
 * policy_steady(p, action):
 * Is what ${p} says about ${action} the same for every request of one asker
 * about one resource?  Not so when it looks at the time, an address, the
 * encryption context or any other fact of the single request.
 */
bool policy_steady(const struct policy *p, const char *action);

/* cb for every action on keys that names no operation known here, most likely
 * a slip of the pen. */
void policy_idle_actions(const struct policy *p,
    void (*cb)(void *arg, size_t statement, const char *action), void *arg);

/* ---- The question --------------------------------------------------------- */

/* Who asks: one of the account itself, a user, or a service of this program
 * on its own behalf. */
struct policy_principal {
	const char *account; /* tenant; never NULL */
	const char *user;    /* its name; NULL: the account, or a service */
	const char *user_id; /* NULL: none */
	bool root;           /* the account itself */
	const char *const *roles; /* names of roles that the user holds */
	size_t nroles;
	const char *service; /* as "s3.amazonaws.com"; NULL: none */
};

/* A fact about the request, under its AWS name (aws:SecureTransport,
 * kms:ViaService, kms:KeySpec, s3:x-amz-server-side-encryption, …), whatever
 * the dialect of the policies; see docs/POLICY.md.  Letter case of the key
 * does not matter.  No values: as if the fact were not there. */
struct policy_fact {
	const char *key;
	const char *const *values;
	size_t n;
};

/* A tag of the resource is a fact of this name with the tag's behind it. */
#define FACT_TAG "aws:ResourceTag/"

struct policy_facts {
	const struct policy_fact *v;
	size_t n;
};
/* A fact with the one value that the variable ${value} holds. */
#define POLICY_FACT(name, value)                          \
	{                                                 \
		.key = (name), .values = &(value), .n = 1 \
	}

struct policy_request {
	/* The operation under its AWS name, as "kms:GenerateDataKey".  A
	 * re-encryption is two: kms:ReEncryptFrom, kms:ReEncryptTo.  A change
	 * of an alias is two requests: on the alias and on the key. */
	const char *action;
	/* The resource: arn:aws:kms:REGION:TENANT:key/ID, …:alias/NAME, and
	 * for operations on none of them (create, list) the container,
	 * arn:aws:kms:REGION:TENANT:key or …:alias. */
	const char *arn;
	const char *owner; /* tenant of the resource; NULL: as ${arn} says */
	struct policy_principal who;
	int64_t time;               /* now, seconds since 1970 */
	const char *source_ip;      /* NULL: not over a network */
	const struct kms_pair *ctx; /* encryption context */
	size_t nctx;
	/* Time, address, principal and encryption context are taken from the
	 * fields above, never from here. */
	const struct policy_fact *facts;
	size_t nfacts;
	struct policy_facts more[2]; /* others, kept elsewhere */
};

/*
 * A grant on the key that the request is about.  ${operations} are as
 * "Decrypt".  Constraints bind the operations that take an encryption context;
 * whether a grant that a grantee makes stays within the grantee's own is for
 * the caller of CreateGrant to see to.
 */
struct policy_grant {
	const char *grantee; /* ARN of a user, role or account; or a service */
	const char *const *operations;
	size_t noperations;
	bool has_equals; /* the context is exactly ${equals} */
	const struct kms_pair *equals;
	size_t nequals;
	const struct kms_pair *subset; /* the context has these at least */
	size_t nsubset;
};

struct policy_set {
	const struct policy *const *identity; /* all that apply to the asker */
	size_t nidentity;
	/* Of the key or bucket; NULL: the resource has none, and the identity
	 * policies of its owner's account decide alone. */
	const struct policy *resource;
	const struct policy_grant *grants;
	size_t ngrants;
};

/* ---- The answer ----------------------------------------------------------- */

enum policy_verdict {
	POLICY_IMPLICIT_DENY, /* nothing allows it */
	POLICY_EXPLICIT_DENY, /* a statement forbids it */
	POLICY_ALLOW
};

/* What decided. */
enum policy_source {
	POLICY_BY_NOTHING,
	POLICY_BY_IDENTITY, /* statement of an identity policy */
	POLICY_BY_RESOURCE, /* statement of the key's policy */
	POLICY_BY_GRANT,
	POLICY_BY_ROOT /* the account, on a resource without policy */
};

struct policy_decision {
	enum policy_verdict verdict;
	enum policy_source source;
	size_t document;  /* which identity policy, or which grant */
	size_t statement; /* in it, from 0 */
	const char *sid;  /* "" none; lives as long as the policy */
	bool delegated;   /* the key's policy left it to the account's policies,
			     by its statement ${delegated_by} */
	size_t delegated_by;
};

/*
 * policy_evaluate(set, req):
 *
 * 1 A Deny that matches, in any document: explicit deny.
 * 2 Asker and resource of one account: allowed when the key's policy allows
 *   the asker by name (or everybody), or when it names the account and an
 *   identity policy allows.
 * 3 A grant to the asker that covers the operation allows.
 * 4 Asker of another account: the key's policy and an identity policy must
 *   both allow, and the operation must be one that may cross accounts.
 * 5 Else: implicit deny.  So is anything that cannot be understood, like an
 *   ARN of the request that is none.
 */
struct policy_decision policy_evaluate(
    const struct policy_set *set, const struct policy_request *req);

/* Is the asker who ${grantee}, spelt as in a grant, names: the user, one who
 * holds the role, the account itself, the service?  An account does not name
 * its users here. */
bool policy_names(const char *grantee, const struct policy_principal *asker);
/* Can ${grantee} be one at all? */
bool policy_grantee_ok(const char *grantee);

/* A sentence about a decision, for audit records and error messages. */
void policy_explain(
    const struct policy_decision *d, char ret[static POLICY_WHY_MAX]);

#endif
