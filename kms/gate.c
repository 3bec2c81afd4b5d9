/*
 * The gate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "lib/base/clock.h"

#include "kms/authz.h"
#include "kms/blob.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"
#include "kms/reference.h"

#define RETRY_NS UINT64_C(1000000000)

static void
facts(const struct tkey *t, struct keyref *ret)
{

	memcpy(ret->uuid, t->uuid, UUID_LEN);
	memcpy(ret->tenant, t->tenant, sizeof(ret->tenant));
	memcpy(ret->arn, t->arn, strlen(t->arn) + 1);
	ret->state = t->state;
	ret->kind = t->kind;
	ret->origin = t->origin;
	ret->expired = t->expires != 0 && t->expires <= clock_wall_s();
	ret->version = t->nv;
	ret->far = NULL;
}

static bool
find_now(struct kms *k, const struct name *n, struct keyref *ret)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_find(k->tab, n);

	if (t != NULL)
		facts(t, ret);
	return t != NULL;
}

enum err
gate_find(struct kms *k, const struct name *n, struct keyref *ret)
{
	bool changed = false;

	TRY(kms_fresh(k));
	if (find_now(k, n, ret))
		return OK;
	/* Somebody may have made it a moment ago. */
	TRY(kms_fresh_db(k, &changed));
	if (changed && find_now(k, n, ret))
		return OK;
	return err_fail(ERR_NOKEY, "no such key");
}

const char *
gate_pin(struct kms *k, const struct call *c, const char *keyname,
    struct keyref *ret)
{
	struct name n;

	if (kms_fresh(k) != OK ||
	    name_parse(keyname, c->tenant, k->region, &n) != OK ||
	    gate_find(k, &n, ret) != OK) {
		ret->arn[0] = '\0';
		return keyname;
	}
	return ret->arn;
}

enum err
gate_policy(
    struct kms *k, const struct call *c, const char *action, const char *arn)
{

	return authz_other(k, c, action, arn);
}

enum err
gate_alias(
    struct kms *k, const struct call *c, const char *name, const char *action)
{
	char arn[2 * KMS_ARN_MAX];

	(void)snprintf(arn, sizeof(arn), "arn:aws:kms:%s:%s:%s", k->region,
	    c->tenant, name);
	return gate_policy(k, c, action, arn);
}

static enum err
check(
    struct kms *k, struct call *c, const char *action, const struct keyref *key)
{

	TRY(authz_key(k, c, action, key));
	return c->crypto ? state_allows(key, KEY_OP_CRYPTO) : OK;
}

/* Most calls give the ARN as this room spells it, of a key that the caller's
 * tenant may name: the key is then found without taking the name apart.  What is not found
 * goes the long way, which also says why. */
static bool
find_arn(
    struct kms *k, const struct call *c, const char *arn, struct keyref *ret)
{
	const struct tkey *t;

	if (arn == NULL || strncmp(arn, "arn:", 4) != 0 || kms_fresh(k) != OK)
		return false;
	RWLOCK_READ_SCOPE(&k->tab_lock);
	t = table_by_arn(k->tab, arn);
	if (t == NULL ||
	    (t->kind != KEY_SERVICE && strcmp(t->tenant, c->tenant) != 0))
		return false;
	facts(t, ret);
	return true;
}

static enum err
gate_name(struct kms *k, struct call *c, const char *keyname,
    const char *action, struct keyref *ret)
{
	struct name n;
	enum err e;

	TRY(name_parse(keyname, c->tenant, k->region, &n));
	e = gate_find(k, &n, ret);
	/* Whether another tenant has such a key is not told. */
	if (e == ERR_NOKEY && n.has_tenant &&
	    strcmp(n.tenant, c->tenant) != 0 &&
	    strcmp(n.tenant, NAME_SERVICE_TENANT) != 0)
		return err_fail(ERR_ACCESS,
		    "the key belongs to the tenant %s, you to %s", n.tenant,
		    c->tenant);
	if (e == ERR_NOKEY && c->make && !c->who->dry_run &&
	    (name_is_default(&n) || name_is_service(&n))) {
		if (name_is_default(&n))
			TRY(authz_make(k, c, action));
		TRY(keys_make(k, c->who, &n));
		e = gate_find(k, &n, ret);
	}
	if (e == ERR_NOKEY)
		return err_fail(e, "no key named \"%.200s\"",
		    keyname == NULL ? "" : keyname);
	TRY(e);
	if (n.has_tenant && strcmp(n.tenant, ret->tenant) != 0) {
		ret->arn[0] = '\0';
		return err_fail(ERR_NOKEY, "no key named \"%.200s\"", keyname);
	}
	return check(k, c, action, ret);
}

enum err
gate_key(struct kms *k, struct call *c, const char *keyname, const char *action,
    struct keyref *ret)
{

	if (find_arn(k, c, keyname, ret))
		return check(k, c, action, ret);
	return gate_name(k, c, keyname, action, ret);
}

enum err
gate_key_id(struct kms *k, struct call *c, const uint8_t uuid[static UUID_LEN],
    const char *action, struct keyref *ret)
{
	struct name n = { .by_id = true };
	enum err e;

	memcpy(n.uuid, uuid, UUID_LEN);
	e = gate_find(k, &n, ret);
	if (e == ERR_NOKEY)
		return err_fail(ERR_AUTH, BLOB_ALTERED);
	TRY(e);
	return check(k, c, action, ret);
}

/* tab_lock held. */
static enum err
where(struct kms *k, const struct tkey *t, uint32_t version, struct keyref *key)
{
	const struct version *v = &t->v[version - 1];
	const struct reference_place at = { .ks = k->uuid,
		.key = t->uuid,
		.tenant = t->tenant,
		.kind = t->kind,
		.version = version,
		.created = v->created };

	if (key->far == NULL)
		key->far = calloc(1, sizeof(*key->far));
	if (key->far == NULL)
		return ERR_NOMEM;
	key->far->provider = v->provider;
	return reference_open(
	    k->seal, &at, v->far->sealed, v->far->len, key->far);
}

enum err
gate_go(const struct call *c)
{

	if (!c->who->dry_run)
		return OK;
	return err_fail(ERR_DRYRUN,
	    "The request would have succeeded, but the DryRun option is set.");
}

enum err
gate_still(struct kms *k, struct keyref *key)
{

	TRY(kms_fresh(k));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, key->uuid);

	if (t == NULL)
		return err_fail(ERR_NOKEY, "no such key");
	key->state = t->state;
	return state_allows(key, KEY_OP_CRYPTO);
}

enum err
gate_material(struct kms *k, struct keyref *key, uint32_t version)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	struct tkey *t = table_by_id(k->tab, key->uuid);

	if (t == NULL)
		return err_fail(ERR_NOKEY, "no such key");
	/* It may have been disabled since. */
	facts(t, key);
	TRY(state_allows(key, KEY_OP_CRYPTO));
	if (t->nv == 0)
		return err_fail(ERR_KEYSTATE, "%s has no material", key->arn);
	if (version == 0)
		version = t->nv;
	if (version > t->nv)
		return err_fail(ERR_AUTH, BLOB_ALTERED);
	key->version = version;
	if (t->v[version - 1].far != NULL)
		TRY(where(k, t, version, key));
	else
		TRY(material_get(
		    k->seal, k->uuid, t, version, &k->prepared, &key->mat));
	(void)atomic_fetch_add_explicit(&t->calls, 1, memory_order_relaxed);
	return OK;
}

/* While records cannot be written nothing secret is handed out; one call a
 * second tries whether the disk is back. */
static enum err
audit_ready(struct kms *k)
{
	uint64_t last, now;

	if (!atomic_load(&k->audit.failed))
		return OK;
	now = clock_mono_ns();
	last = atomic_load(&k->audit.retried);
	if (now - last >= RETRY_NS &&
	    atomic_compare_exchange_strong(&k->audit.retried, &last, now) &&
	    kms_flush(k) == OK)
		return OK;
	return err_fail(ERR_IO,
	    "the audit log cannot be written, so no data key is given out");
}

enum err
gate_asker(struct kms *k, struct call *c)
{

	c->tenant =
	    c->who->tenant == NULL ? KMS_TENANT_DEFAULT : c->who->tenant;
	if (!name_tenant_ok(c->tenant) || c->who->user == NULL ||
	    !name_user_ok(c->who->user))
		return err_fail(ERR_INVAL, "malformed tenant or user name");
	c->principal_ok = true;
	TRY(kms_fresh(k));
	return authz_begin(k, c);
}

static enum err
pass(struct kms *k, struct call *c, gate_fn *op)
{

	TRY(gate_asker(k, c));
	if (c->crypto)
		TRY(audit_ready(k));
	return op(k, c);
}

static void
keyref_release(struct keyref *key)
{

	secret_wipe(&key->mat, sizeof(key->mat));
	free(key->far);
	key->far = NULL;
}

enum err
gate_run(struct kms *k, struct call *c, gate_fn *op)
{
	enum err e, logged;

	e = pass(k, c, op);
	keyref_release(&c->key);
	if (c->target != NULL)
		keyref_release(c->target);
	logged = audit_record(k, c, e);
	if (logged == OK &&
	    ((e == OK && !c->read_only) || audit_is_sync(&k->audit)))
		logged = kms_flush(k);
	return e == OK ? logged : e;
}
