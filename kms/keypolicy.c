/*
 * A key's own policy: reading, changing, and the one that it has when nobody
 * gave it any.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"

#include "kms/api.h"
#include "kms/authz.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"
#include "kms/policy.h"

_Static_assert(KMS_POLICY_MAX == POLICY_TEXT_MAX, "what the parser takes");

#define DEFAULT_MAX 512

/* What AWS calls key-default-1: the account's own policies decide. */
static enum err
default_text(const char *tenant, char **ret)
{
	struct buf b CLEANUP_BUF = { 0 };
	size_t len;

	buf_init(&b, DEFAULT_MAX);
	TRY(buf_printf(&b,
	    "{\"Version\":\"2012-10-17\",\"Id\":\"key-default-1\","
	    "\"Statement\":[{\"Sid\":\"Enable IAM User Permissions\","
	    "\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
	    "\"arn:aws:iam::%s:root\"},\"Action\":\"kms:*\","
	    "\"Resource\":\"*\"}]}",
	    tenant));
	*ret = (char *)buf_steal(&b, &len);
	return OK;
}

static enum err
stored_text(struct kms *k, const uint8_t uuid[static UUID_LEN], char **ret)
{
	LOCK_SCOPE(&k->conn);
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	const char *text;
	bool row = false;

	TRY(kdb_query(&k->db, &st, "SELECT policy FROM keys WHERE uuid = ?",
	    "b", (const void *)uuid, (size_t)UUID_LEN));
	TRY(kdb_step(&k->db, st, &row));
	if (!row)
		return err_fail(ERR_NOKEY, "no such key");
	text = (const char *)sqlite3_column_text(st, 0);
	if (text == NULL || sqlite3_column_bytes(st, 0) > KMS_POLICY_MAX)
		return err_fail(
		    ERR_CORRUPT, "keystore: malformed policy of a key");
	*ret = strdup(text);
	return *ret == NULL ? ERR_NOMEM : OK;
}

static enum err
op_policy_get(struct kms *k, struct call *c)
{
	char *text CLEANUP_FREE = NULL;
	char **ret = c->arg;

	TRY(gate_key(k, c, c->keyname, "kms:GetKeyPolicy", &c->key));
	TRY(stored_text(k, c->key.uuid, &text));
	if (*text == '\0')
		return default_text(c->key.tenant, ret);
	*ret = steal(text);
	return OK;
}

enum err
kms_key_policy_get(struct kms *k, const struct kms_who *who,
    const char *keyname, char **ret_text)
{
	char *text CLEANUP_FREE = NULL;
	struct params params;
	struct call c = { .who = who,
		.event = "GetKeyPolicy",
		.read_only = true,
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.arg = &text };

	params_begin(&params);
	params_str(&params, "policyName", "default");
	TRY(gate_run(k, &c, op_policy_get));
	*ret_text = steal(text);
	return OK;
}

static enum err
op_policy_list(struct kms *k, struct call *c)
{

	return gate_key(k, c, c->keyname, "kms:ListKeyPolicies", &c->key);
}

enum err
kms_key_policy_list(
    struct kms *k, const struct kms_who *who, const char *keyname)
{
	struct call c = { .who = who,
		.event = "ListKeyPolicies",
		.read_only = true,
		.keyname = keyname == NULL ? "" : keyname };

	return gate_run(k, &c, op_policy_list);
}

/* ---- Changing ----------------------------------------------------------- */

static void
policy_cleanup(struct policy **p)
{

	policy_free(*p);
}

/* May who sets the policy change it again?  The account's identity policies
 * count as a yes: they can be changed without it. */
static bool
changeable(struct kms *k, const struct policy *p, const struct call *c,
    const char *arn)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const char *roles[WHO_ROLES_MAX];
	const struct policy_set set = { .resource = p };
	struct policy_request req = { .action = "kms:PutKeyPolicy",
		.arn = arn,
		.owner = c->tenant,
		.time = clock_wall().tv_sec,
		.source_ip = c->who->source_ip };
	struct policy_decision d;

	authz_principal(k, c, roles, &req.who);
	d = policy_evaluate(&set, &req);
	if (d.verdict != POLICY_IMPLICIT_DENY)
		return d.verdict == POLICY_ALLOW;
	req.who =
	    (struct policy_principal){ .account = c->tenant, .root = true };
	return policy_evaluate(&set, &req).verdict == POLICY_ALLOW;
}

enum err
keypolicy_check(struct kms *k, const struct call *c, const char *arn,
    const char *text, size_t len, bool no_lockout_check)
{
	struct policy *p CLEANUP(policy_cleanup) = NULL;

	if (len == 0)
		return OK;
	if (memchr(text, '\0', len) != NULL)
		return err_fail(ERR_PARSE, "a policy holds no NUL");
	TRY(policy_parse(text, len, POLICY_RESOURCE, &p, NULL));
	if (no_lockout_check || changeable(k, p, c, arn))
		return OK;
	return err_fail(ERR_PARSE,
	    "%s could not change the key's policy any more after this one",
	    c->who->user);
}

struct put {
	const struct keyref *key;
	const char *text;
	size_t len;
	bool no_lockout_check;
};

static enum err
policy_tx(struct kms *k, void *arg)
{
	const struct put *p = arg;

	TRY(kdb_run(&k->db, "UPDATE keys SET policy = ? WHERE uuid = ?", "tb",
	    p->text, (const void *)p->key->uuid, (size_t)UUID_LEN));
	return keys_changed(k, p->key);
}

static enum err
op_policy_put(struct kms *k, struct call *c)
{
	char *text CLEANUP_FREE = NULL;
	struct put *p = c->arg;

	TRY(gate_key(k, c, c->keyname, "kms:PutKeyPolicy", &c->key));
	TRY(state_managed(&c->key));
	TRY(keypolicy_check(
	    k, c, c->key.arn, p->text, p->len, p->no_lockout_check));
	text = strndup(p->len == 0 ? "" : p->text, p->len);
	if (text == NULL)
		return ERR_NOMEM;
	p->text = text;
	p->key = &c->key;
	return kms_change(k, policy_tx, p, true);
}

enum err
kms_key_policy_put(struct kms *k, const struct kms_who *who,
    const char *keyname, const char *text, size_t len, bool no_lockout_check)
{
	struct put p = {
		.text = text, .len = len, .no_lockout_check = no_lockout_check
	};
	char *copy CLEANUP_FREE = strndup(len == 0 ? "" : text, len);
	struct params params;
	const char *bypass = no_lockout_check ? "true" : "false";
	const struct policy_fact fact =
	    POLICY_FACT("kms:BypassPolicyLockoutSafetyCheck", bypass);
	struct call c = { .who = who,
		.event = "PutKeyPolicy",
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.facts = &fact,
		.nfacts = 1,
		.arg = &p };

	if (copy == NULL)
		return ERR_NOMEM;
	params_begin(&params);
	params_str(&params, "policyName", "default");
	params_bool(
	    &params, "bypassPolicyLockoutSafetyCheck", no_lockout_check);
	params_str(&params, "policy", copy);
	return gate_run(k, &c, op_policy_put);
}
