/*
 * Master keys and aliases: making, listing, changing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/rand.h"
#include "lib/base/clock.h"

#include "kms/api.h"
#include "kms/far.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"
#include "kms/providers.h"

/* ---- Making keys -------------------------------------------------------- */

void
keys_uuid(uint8_t ret[static UUID_LEN])
{

	rand_bytes(ret, UUID_LEN);
	ret[6] = (uint8_t)(0x40 | (ret[6] & 0x0f));
	ret[8] = (uint8_t)(0x80 | (ret[8] & 0x3f));
}

enum err
keys_insert(struct kms *k, const uint8_t uuid[static UUID_LEN],
    const char *tenant, enum key_kind kind, enum kms_origin origin,
    const char *description, const struct far_key *far)
{
	const bool external = origin == KMS_ORIGIN_EXTERNAL;

	TRY(kdb_run(&k->db,
	    "INSERT INTO keys(uuid, tenant, state, kind, created, description, "
	    "origin) VALUES(?,?,?,?,?,?,?)",
	    "btiiiti", (const void *)uuid, (size_t)UUID_LEN, tenant,
	    (int64_t)(external ? KMS_PENDING_IMPORT : KMS_ENABLED),
	    (int64_t)kind, (int64_t)clock_wall().tv_sec, description,
	    (int64_t)origin));
	if (external)
		return OK;
	return keys_version(k, uuid, tenant, kind, 1, VERSION_BY_ITSELF, far);
}

static enum err
alias_insert(struct kms *k, const char *tenant, const char *name,
    const uint8_t uuid[static UUID_LEN])
{

	return kdb_run(&k->db,
	    "INSERT INTO aliases(tenant, name, key, created) VALUES(?,?,?,?)",
	    "ttbi", tenant, name, (const void *)uuid, (size_t)UUID_LEN,
	    (int64_t)clock_wall().tv_sec);
}

struct make {
	const struct name *n;
	uint8_t uuid[UUID_LEN];
	struct far_key far;
};

static enum err
make_tx(struct kms *k, void *arg)
{
	struct make *m = arg;
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	const bool service = name_is_service(m->n);
	bool row = false;

	TRY(kdb_query(&k->db, &st,
	    "SELECT 1 FROM aliases WHERE tenant = ? AND name = ?", "tt",
	    m->n->tenant, m->n->alias));
	TRY(kdb_step(&k->db, st, &row));
	if (row)
		return ERR_EXIST;
	TRY(keys_insert(k, m->uuid, m->n->tenant,
	    service ? KEY_SERVICE : KEY_DEFAULT, KMS_ORIGIN_KMS,
	    service ? "Service-managed key of the AES256 method"
		    : "Default key",
	    &m->far));
	return alias_insert(k, m->n->tenant, m->n->alias, m->uuid);
}

enum err
keys_record(struct kms *k, const struct kms_who *who, const char *event,
    const char *tenant, const uint8_t uuid[static UUID_LEN], enum err outcome)
{
	struct call c = { .who = who,
		.event = event,
		.tenant =
		    who->tenant == NULL ? KMS_TENANT_DEFAULT : who->tenant,
		.principal_ok = true,
		.service = strcmp(who->agent, "timer") == 0 };

	name_arn(k->region, tenant, uuid, c.key.arn);
	(void)snprintf(c.key.tenant, sizeof(c.key.tenant), "%s", tenant);
	TRY(audit_record(k, &c, outcome));
	return kms_flush(k);
}

enum err
keys_make(struct kms *k, const struct kms_who *who, const struct name *n)
{
	struct make m = { .n = n };
	int64_t provider = 0;
	bool changed;
	enum err e;

	TRY(far_choice(k, &provider));
	keys_uuid(m.uuid);
	TRY(far_make(k, provider, m.uuid, n->tenant, &m.far));
	e = kms_change(k, make_tx, &m, false);
	if (e != OK)
		far_drop(k, &m.far);
	/* Another thread or process was faster. */
	if (e == ERR_EXIST)
		return kms_fresh_db(k, &changed);
	TRY(e);
	return keys_record(k, who, "CreateKey", n->tenant, m.uuid, OK);
}

/* ---- State -------------------------------------------------------------- */

struct state {
	const struct keyref *key;
	enum kms_state to;
};

enum err
keys_changed(struct kms *k, const struct keyref *key)
{

	if (sqlite3_changes(k->db.h) != 0)
		return OK;
	return err_fail(
	    ERR_BUSY, "%s was changed by somebody else meanwhile", key->arn);
}

static enum err
state_tx(struct kms *k, void *arg)
{
	const struct state *s = arg;

	TRY(kdb_run(&k->db,
	    "UPDATE keys SET state = ? WHERE uuid = ? AND state = ?", "ibi",
	    (int64_t)s->to, (const void *)s->key->uuid, (size_t)UUID_LEN,
	    (int64_t)s->key->state));
	return keys_changed(k, s->key);
}

static enum err
set_state(struct kms *k, struct call *c, const char *action, enum kms_state to)
{
	struct state s = { &c->key, to };

	TRY(gate_key(k, c, c->keyname, action, &c->key));
	TRY(state_managed(&c->key));
	TRY(state_allows(&c->key, KEY_OP_ENABLE));
	if (c->key.state == to)
		return OK;
	return kms_change(k, state_tx, &s, true);
}

static enum err
op_enable(struct kms *k, struct call *c)
{

	return set_state(k, c, "kms:EnableKey", KMS_ENABLED);
}

static enum err
op_disable(struct kms *k, struct call *c)
{

	return set_state(k, c, "kms:DisableKey", KMS_DISABLED);
}

enum err
kms_key_enable(struct kms *k, const struct kms_who *who, const char *keyname)
{
	struct call c = { .who = who,
		.event = "EnableKey",
		.keyname = keyname == NULL ? "" : keyname };

	return gate_run(k, &c, op_enable);
}

enum err
kms_key_disable(struct kms *k, const struct kms_who *who, const char *keyname)
{
	struct call c = { .who = who,
		.event = "DisableKey",
		.keyname = keyname == NULL ? "" : keyname };

	return gate_run(k, &c, op_disable);
}

/* ---- Create, describe, list --------------------------------------------- */

static enum err
describe(struct kms *k, const struct tkey *t, struct kms_desc *ret)
{

	memset(ret, 0, sizeof(*ret));
	uuid_format(t->uuid, ret->id);
	strcpy(ret->arn, t->arn);
	memcpy(ret->tenant, t->tenant, sizeof(ret->tenant));
	(void)snprintf(
	    ret->description, sizeof(ret->description), "%s", t->description);
	ret->state = t->state;
	ret->version = t->nv;
	ret->created = t->created;
	ret->rotated = t->nv == 0 ? 0 : t->v[t->nv - 1].created;
	ret->delete_at = t->delete_at;
	ret->rotate_days = (unsigned)t->rotate_days;
	ret->rotate_at = t->rotate_at;
	ret->is_default = t->kind == KEY_DEFAULT;
	ret->is_service = t->kind == KEY_SERVICE;
	ret->origin = t->origin;
	ret->expires = t->nv == 0 ? 0 : t->expires;
	return material_name(k, t, t->nv, ret->material);
}

/* The count on disk: other processes add to it without a new epoch. */
static enum err
stored_calls(struct kms *k, struct kms_desc *d)
{
	LOCK_SCOPE(&k->conn);
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	uint8_t uuid[UUID_LEN];
	int64_t calls = 0;
	bool row = false;

	TRY(uuid_parse(d->id, strlen(d->id), uuid));
	TRY(kdb_query(&k->db, &st, "SELECT calls FROM keys WHERE uuid = ?", "b",
	    (const void *)uuid, sizeof(uuid)));
	TRY(kdb_step(&k->db, st, &row));
	if (row)
		TRY(kdb_col_int(st, 0, 0, INT64_MAX, &calls));
	d->calls = (uint64_t)calls;
	return OK;
}

static enum err
describe_id(
    struct kms *k, const uint8_t uuid[static UUID_LEN], struct kms_desc *ret)
{
	const struct tkey *t;
	int64_t provider = 0;
	enum err e = OK;

	rwlock_read(&k->tab_lock);
	t = table_by_id(k->tab, uuid);
	if (t != NULL) {
		provider = t->nv == 0 ? 0 : t->v[t->nv - 1].provider;
		e = describe(k, t, ret);
	}
	rwlock_drop(&k->tab_lock);
	if (t == NULL)
		return err_fail(ERR_NOKEY, "no such key");
	TRY(e);
	provider_name(k, provider, ret->provider);
	if (provider != 0 && ret->state == KMS_ENABLED &&
	    far_check(k, uuid) != OK)
		ret->state = KMS_UNAVAILABLE;
	return stored_calls(k, ret);
}

enum err
keys_describe(struct kms *k, const char *arn, struct kms_desc *ret)
{
	struct name n;

	TRY(name_parse(arn, KMS_TENANT_DEFAULT, k->region, &n));
	return describe_id(k, n.uuid, ret);
}

struct create {
	struct kms_new want;
	const char *tenant;
	uint8_t uuid[UUID_LEN];
	struct far_key far;
	struct kms_desc *ret;
};

static enum err
create_tx(struct kms *k, void *arg)
{
	struct create *a = arg;
	const struct kms_new *n = &a->want;

	TRY(keys_insert(k, a->uuid, a->tenant, KEY_CUSTOMER,
	    n->external ? KMS_ORIGIN_EXTERNAL : KMS_ORIGIN_KMS, n->description,
	    &a->far));
	if (n->policy != NULL)
		TRY(kdb_run(&k->db, "UPDATE keys SET policy = ? WHERE uuid = ?",
		    "tb", n->policy, (const void *)a->uuid, (size_t)UUID_LEN));
	return tags_put(k, a->uuid, n->tags, n->ntags);
}

static enum err
op_create(struct kms *k, struct call *c)
{
	struct create *a = c->arg;
	const struct kms_new *n = &a->want;
	char arn[KMS_ARN_MAX];
	int64_t to = 0;
	enum err e;

	a->tenant = c->tenant;
	keys_uuid(a->uuid);
	TRY(gate_policy(k, c, "kms:CreateKey", "*"));
	name_arn(k->region, c->tenant, a->uuid, arn);
	if (n->ntags > 0)
		TRY(gate_policy(k, c, "kms:TagResource", arn));
	TRY(description_check(n->description));
	TRY(tags_check(n->tags, n->ntags));
	if (n->policy != NULL) {
		/* Any key's: it has no id yet, and the policy cannot know it.
		 */
		TRY(keypolicy_check(k, c, arn, n->policy,
		    strnlen(n->policy, KMS_POLICY_MAX + 1),
		    n->no_lockout_check));
	}
	if (n->provider != NULL)
		TRY(provider_find(k, n->provider, &to));
	else if (!n->external)
		TRY(far_choice(k, &to));
	if (n->external && to != 0)
		return err_fail(ERR_NOTSUP,
		    "imported material is kept in the keystore itself only");
	TRY(far_make(k, to, a->uuid, a->tenant, &a->far));
	e = kms_change(k, create_tx, a, false);
	if (e != OK) {
		far_drop(k, &a->far);
		return e;
	}
	TRY(describe_id(k, a->uuid, a->ret));
	memcpy(c->key.arn, a->ret->arn, sizeof(c->key.arn));
	memcpy(c->key.tenant, a->ret->tenant, sizeof(c->key.tenant));
	return OK;
}

/* What the new key will be, besides its tags. */
static enum err
create_facts(const struct kms_new *n, struct policy_fact **ret, size_t *ret_n)
{
	static const char *const no = "false", *const yes = "true",
				 *const spec = "SYMMETRIC_DEFAULT",
				 *const usage = "ENCRYPT_DECRYPT",
				 *const ours = "AWS_KMS",
				 *const external = "EXTERNAL";
	const struct policy_fact rest[] = {
		POLICY_FACT("kms:KeySpec", spec),
		POLICY_FACT("kms:KeyUsage", usage),
		POLICY_FACT(
		    "kms:KeyOrigin", *(n->external ? &external : &ours)),
		POLICY_FACT("kms:MultiRegion", no),
		POLICY_FACT("kms:BypassPolicyLockoutSafetyCheck",
		    *(n->no_lockout_check ? &yes : &no)),
	};

	_Static_assert(COUNTOF(rest) <= TAGS_FACTS_ROOM, "room");
	TRY(tags_facts(n->tags, NULL, n->ntags, ret, ret_n));
	memcpy(*ret + *ret_n, rest, sizeof(rest));
	*ret_n += COUNTOF(rest);
	return OK;
}

static void
create_params(const struct kms_new *n, struct params *p)
{

	params_begin(p);
	params_str(p, "keyUsage", "ENCRYPT_DECRYPT");
	params_str(p, "keySpec", "SYMMETRIC_DEFAULT");
	params_str(p, "origin", n->external ? "EXTERNAL" : "AWS_KMS");
	params_bool(p, "multiRegion", false);
	params_bool(p, "bypassPolicyLockoutSafetyCheck", n->no_lockout_check);
	params_str(p, "description", n->description);
	params_tags(p, "tags", n->tags, n->ntags);
	params_str(p, "policy", n->policy);
}

enum err
kms_key_new(struct kms *k, const struct kms_who *who, const struct kms_new *n,
    struct kms_desc *ret)
{
	struct policy_fact *facts CLEANUP_FREE = NULL;
	struct create a = { .want = *n, .ret = ret };
	struct params params;
	struct call c = {
		.who = who, .event = "CreateKey", .params = &params, .arg = &a
	};

	if (n->description == NULL)
		a.want.description = "";
	create_params(&a.want, &params);
	TRY(create_facts(n, &facts, &c.nfacts));
	c.facts = facts;
	return gate_run(k, &c, op_create);
}

enum err
kms_key_create_tagged(struct kms *k, const struct kms_who *who,
    const char *description, const struct kms_tag *tags, size_t ntags,
    struct kms_desc *ret)
{
	const struct kms_new n = {
		.description = description, .tags = tags, .ntags = ntags
	};

	return kms_key_new(k, who, &n, ret);
}

enum err
kms_key_create(struct kms *k, const struct kms_who *who,
    const char *description, struct kms_desc *ret)
{

	return kms_key_create_tagged(k, who, description, NULL, 0, ret);
}

static enum err
op_describe(struct kms *k, struct call *c)
{

	TRY(gate_key(k, c, c->keyname, "kms:DescribeKey", &c->key));
	return describe_id(k, c->key.uuid, c->arg);
}

enum err
kms_key_describe(struct kms *k, const struct kms_who *who, const char *keyname,
    struct kms_desc *ret)
{
	struct call c = { .who = who,
		.event = "DescribeKey",
		.read_only = true,
		.keyname = keyname == NULL ? "" : keyname,
		.arg = ret };

	return gate_run(k, &c, op_describe);
}

static enum err
op_choose(struct kms *k, struct call *c)
{

	return gate_key(k, c, c->keyname, "kms:DescribeKey", &c->key);
}

enum err
kms_key_choose(struct kms *k, const struct kms_who *who, const char *keyname,
    char ret_arn[static KMS_ARN_MAX])
{
	struct call c = { .who = who,
		.event = "DescribeKey",
		.read_only = true,
		.choose = true,
		.keyname = keyname };

	TRY(gate_run(k, &c, op_choose));
	memcpy(ret_arn, c.key.arn, sizeof(c.key.arn));
	return OK;
}

enum err
kms_key_resolve(struct kms *k, const char *tenant, const char *keyname,
    char ret_arn[static KMS_ARN_MAX])
{
	struct keyref key = { 0 };
	struct name n;

	if (tenant == NULL)
		tenant = KMS_TENANT_DEFAULT;
	TRY(name_parse(keyname, tenant, k->region, &n));
	if (n.has_tenant && strcmp(n.tenant, tenant) != 0 &&
	    strcmp(n.tenant, NAME_SERVICE_TENANT) != 0)
		return err_fail(
		    ERR_ACCESS, "the key belongs to another tenant");
	TRY(gate_find(k, &n, &key));
	if (n.has_tenant && strcmp(n.tenant, key.tenant) != 0)
		return err_fail(ERR_NOKEY, "no such key");
	if (key.kind != KEY_SERVICE && strcmp(key.tenant, tenant) != 0)
		return err_fail(
		    ERR_ACCESS, "the key belongs to another tenant");
	memcpy(ret_arn, key.arn, sizeof(key.arn));
	return OK;
}

bool
kms_key_is_default(struct kms *k, const char *keyname)
{
	struct name n;

	return name_parse(keyname, KMS_TENANT_DEFAULT, k->region, &n) == OK &&
	       name_is_default(&n);
}

static enum err
find_by_arn(struct kms *k, const char *arn, struct keyref *ret)
{
	struct name n;

	TRY(name_parse(arn, KMS_TENANT_DEFAULT, k->region, &n));
	if (!n.has_tenant || !n.by_id)
		return err_fail(ERR_INVAL, "not the ARN of a key");
	TRY(gate_find(k, &n, ret));
	if (strcmp(ret->tenant, n.tenant) != 0)
		return err_fail(ERR_NOKEY, "no such key");
	return OK;
}

enum err
kms_key_state(struct kms *k, const char *arn, enum kms_state *ret)
{
	struct keyref key = { 0 };

	TRY(find_by_arn(k, arn, &key));
	*ret = key.state;
	return OK;
}

enum err
kms_key_usable(struct kms *k, const char *arn)
{
	struct keyref key = { 0 };

	TRY(find_by_arn(k, arn, &key));
	return state_allows(&key, KEY_OP_CRYPTO);
}
