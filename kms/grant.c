/*
 * Grants: rights on one key, given and taken back without touching a policy.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/rand.h"
#include "lib/base/clock.h"

#include "kms/api.h"
#include "kms/authz.h"
#include "kms/context.h"
#include "kms/gate.h"
#include "kms/grant_rules.h"
#include "kms/grant_token.h"
#include "kms/kms_internal.h"
#include "kms/policy.h"

#define TOKEN_LABEL "ssefs grant token v1"

_Static_assert(KMS_GRANT_ID_MAX == 2 * GRANT_ID_LEN + 1, "ids in digits");
_Static_assert(KMS_GRANT_TOKEN_MAX == B64_SIZE(GRANT_TOKEN_LEN), "tokens");

/* ---- Who asks ----------------------------------------------------------- */

static void
issuer_arn(const struct call *c, char ret[static KMS_PRINCIPAL_MAX])
{

	(void)snprintf(ret, KMS_PRINCIPAL_MAX, "arn:aws:iam::%s:%s%s",
	    c->tenant, c->root ? "root" : "user/", c->root ? "" : c->who->user);
}

/* The caller holds k->tab_lock. */
static bool
is_named(const struct kms *k, const struct call *c, const char *principal)
{
	const char *roles[WHO_ROLES_MAX];
	struct policy_principal p;

	authz_principal(k, c, roles, &p);
	return *principal != '\0' && policy_names(principal, &p);
}

/* ---- Ids and tokens ----------------------------------------------------- */

static enum err
id_check(const char *id)
{
	uint8_t raw[GRANT_ID_LEN];

	if (hex_decode(id, strlen(id), raw, sizeof(raw)) != OK)
		return err_fail(ERR_BADGRANT,
		    "a grant's id is %d hexadecimal digits", 2 * GRANT_ID_LEN);
	return OK;
}

static enum err
token_key(struct kms *k, struct hmac_key *ret)
{
	WIPED(uint8_t, key, KEY_LEN);

	TRY(hkdf_label(
	    k->kmk->b, TOKEN_LABEL, k->uuid, UUID_LEN, key, sizeof(key)));
	hmac_key_set(ret, key, sizeof(key));
	return OK;
}

static enum err
token_make(struct kms *k, const uint8_t uuid[static UUID_LEN], const char *id,
    char ret[static KMS_GRANT_TOKEN_MAX])
{
	WIPED(struct hmac_key, key, 1);
	struct grant_token t;

	memcpy(t.key, uuid, UUID_LEN);
	TRY(hex_decode(id, strlen(id), t.id, sizeof(t.id)));
	TRY(token_key(k, key));
	grant_token_write(key, &t, ret);
	return OK;
}

static enum err
token_read(struct kms *k, const char *token, struct grant_token *ret)
{
	WIPED(struct hmac_key, key, 1);

	TRY(token_key(k, key));
	return grant_token_read(key, token, ret);
}

enum err
kms_grant_token_check(struct kms *k, const char *token)
{
	struct grant_token t;

	return token_read(k, token, &t);
}

/* ---- Making ------------------------------------------------------------- */

/* Whoever may make grants by a grant only, makes none that goes further. */
static enum err
within_own(struct kms *k, const struct call *c, const struct kms_grant *g)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, c->key.uuid);
	const struct tgrant *from;

	if (c->grant[0] == '\0')
		return OK;
	from = t == NULL ? NULL : table_grant(t, c->grant);
	if (from != NULL && grant_within(&from->g, g))
		return OK;
	return err_fail(ERR_ACCESS,
	    "%s may make grants on %s only within its own grant", c->who->user,
	    c->key.arn);
}

struct create {
	const struct kms_grant *g;
	struct grant_facts facts;
	const struct keyref *key;
	struct context ctx;
	char issuer[KMS_PRINCIPAL_MAX];
	char *ret_id;
	char *ret_token;
	struct params params;
	char response[128 + KMS_ARN_MAX]; /* for the record */
};

/* One with a name that is the same in all parts is that one: whoever lost the
 * answer asks again. */
static enum err
same(struct kms *k, const struct create *a, bool *ret)
{
	const struct kms_grant *g = a->g;
	sqlite3_stmt *st CLEANUP_STMT = NULL;

	*ret = false;
	if (*g->name == '\0')
		return OK;
	TRY(kdb_query(&k->db, &st,
	    "SELECT id FROM grants WHERE key = ? AND name = ? AND grantee = ? "
	    "AND retiring = ? AND issuer = ? AND operations = ? "
	    "AND constrained = ? AND context = ?",
	    "bttttiib", (const void *)a->key->uuid, (size_t)UUID_LEN, g->name,
	    g->grantee, g->retiring, a->issuer, (int64_t)g->operations,
	    (int64_t)g->constraint, (const void *)a->ctx.p, a->ctx.len));
	TRY(kdb_step(&k->db, st, ret));
	return *ret ? kdb_col_text(st, 0, a->ret_id, KMS_GRANT_ID_MAX) : OK;
}

static enum err
room_for_one(struct kms *k, const struct create *a)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t n = 0;
	bool row = false;

	TRY(kdb_query(&k->db, &st, "SELECT count(*) FROM grants WHERE key = ?",
	    "b", (const void *)a->key->uuid, (size_t)UUID_LEN));
	TRY(kdb_step(&k->db, st, &row));
	TRY(kdb_col_int(st, 0, 0, INT64_MAX, &n));
	if (n >= KMS_GRANTS_MAX)
		return err_fail(
		    ERR_LIMIT, "a key has %d grants at most", KMS_GRANTS_MAX);
	return OK;
}

/* The key may have been deleted since. */
static enum err
create_tx(struct kms *k, void *arg)
{
	const struct create *a = arg;
	const struct kms_grant *g = a->g;
	uint8_t id[GRANT_ID_LEN];
	bool found;

	TRY(same(k, a, &found));
	if (found)
		return OK;
	TRY(room_for_one(k, a));
	rand_bytes(id, sizeof(id));
	hex_encode(id, sizeof(id), a->ret_id);
	TRY(kdb_run(&k->db,
	    "INSERT INTO grants(id, key, name, grantee, retiring, issuer, "
	    "operations, constrained, context, created) "
	    "SELECT ?, uuid, ?, ?, ?, ?, ?, ?, ?, ? FROM keys WHERE uuid = ?",
	    "tttttiibib", a->ret_id, g->name, g->grantee, g->retiring,
	    a->issuer, (int64_t)g->operations, (int64_t)g->constraint,
	    (const void *)a->ctx.p, a->ctx.len, (int64_t)clock_wall().tv_sec,
	    (const void *)a->key->uuid, (size_t)UUID_LEN));
	return keys_changed(k, a->key);
}

/* Ask with the grant's constraint in the place of a context. */
static enum err
ask_about(struct kms *k, struct call *c, const char *action,
    const struct kms_grant *g, const struct grant_facts *f)
{
	enum err e;

	c->facts = f->v;
	c->nfacts = f->n;
	c->ctx = g->pairs;
	c->nctx = g->npairs;
	e = c->key.arn[0] == '\0'
		? gate_key(k, c, c->keyname, action, &c->key)
		: gate_key_id(k, c, c->key.uuid, action, &c->key);
	c->ctx = NULL;
	c->nctx = c->nfacts = 0;
	return e;
}

static enum err
op_create(struct kms *k, struct call *c)
{
	struct create *a = c->arg;
	enum err e;

	grant_facts(a->g, &a->facts);
	grant_service_fact(c->who, &a->facts);
	TRY(ask_about(k, c, "kms:CreateGrant", a->g, &a->facts));
	TRY(state_managed(&c->key));
	TRY(state_allows(&c->key, KEY_OP_CRYPTO));
	TRY(grant_check(a->g));
	TRY(within_own(k, c, a->g));
	TRY(gate_go(c));
	a->key = &c->key;
	issuer_arn(c, a->issuer);
	TRY(context_make(&a->ctx, a->g->pairs, a->g->npairs, 0));
	e = kms_change(k, create_tx, a, false);
	context_release(&a->ctx);
	TRY(e);
	(void)snprintf(a->response, sizeof(a->response),
	    "\"grantId\":\"%s\",\"keyId\":\"%s\"", a->ret_id, c->key.arn);
	c->response = a->response;
	return token_make(k, c->key.uuid, a->ret_id, a->ret_token);
}

/* Names, not the token. */
static void
grant_params(const struct kms_grant *g, struct params *p)
{
	const char *ops[KMS_GRANT_OPS];
	size_t n = 0;

	for (unsigned i = 0; i < KMS_GRANT_OPS; i++)
		if ((g->operations & UINT32_C(1) << i) != 0)
			ops[n++] = kms_grant_op_name(i);
	params_begin(p);
	params_str(p, "granteePrincipal", g->grantee);
	if (*g->retiring != '\0')
		params_str(p, "retiringPrincipal", g->retiring);
	params_strs(p, "operations", ops, n);
	if (*g->name != '\0')
		params_str(p, "name", g->name);
	/* op_create() refuses more. */
	if (g->constraint != KMS_CONSTRAINT_NONE &&
	    g->npairs <= KMS_GRANT_PAIRS_MAX)
		params_inner(p, "constraints",
		    g->constraint == KMS_CONSTRAINT_EQUALS
			? "encryptionContextEquals"
			: "encryptionContextSubset",
		    g->pairs, g->npairs);
}

enum err
kms_grant_create(struct kms *k, const struct kms_who *who, const char *keyname,
    const struct kms_grant *g, char ret_id[static KMS_GRANT_ID_MAX],
    char ret_token[static KMS_GRANT_TOKEN_MAX])
{
	struct create *a CLEANUP_FREE = calloc(1, sizeof(*a));
	struct call c = { .who = who,
		.event = "CreateGrant",
		.keyname = keyname == NULL ? "" : keyname,
		.arg = a };

	if (a == NULL)
		return ERR_NOMEM;
	a->g = g;
	a->ret_id = ret_id;
	a->ret_token = ret_token;
	grant_params(g, &a->params);
	c.params = &a->params;
	return gate_run(k, &c, op_create);
}

/* ---- Listing ------------------------------------------------------------ */

struct page {
	const char *id, *grantee, *retiring, *after;
	size_t max;
	struct tgrant **v; /* room for ${max} + 2 */
	size_t n;
};

static void
page_release(struct page *p)
{

	for (size_t i = 0; i < p->n; i++)
		free(p->v[i]);
	free(p->v);
}

static bool
wanted(const struct page *p, const struct kms_grant *g)
{

	return (p->id == NULL || strcmp(g->id, p->id) == 0) &&
	       (p->grantee == NULL || strcmp(g->grantee, p->grantee) == 0) &&
	       (p->retiring == NULL || strcmp(g->retiring, p->retiring) == 0) &&
	       (p->after == NULL || strcmp(g->id, p->after) > 0);
}

/* Keep the first ${max} + 1 in the order of their ids. */
static enum err
take(struct page *p, const struct tgrant *t)
{
	struct tgrant *copy = NULL;
	size_t at = p->n;

	while (at > 0 && strcmp(p->v[at - 1]->id, t->id) > 0)
		at--;
	if (at > p->max)
		return OK;
	TRY(tgrant_new(&t->g, t->id, t->arn, &copy));
	memmove(
	    &p->v[at + 1], &p->v[at], (p->n - at) * sizeof(struct tgrant *));
	p->v[at] = copy;
	if (++p->n > p->max + 1)
		free(p->v[--p->n]);
	return OK;
}

static enum err
take_all(struct page *p, const struct tkey *t)
{

	for (size_t i = 0; i < t->ngrants; i++)
		if (wanted(p, &t->grants[i]->g))
			TRY(take(p, t->grants[i]));
	return OK;
}

static enum err
op_list(struct kms *k, struct call *c)
{
	struct page *p = c->arg;
	const struct tkey *t;
	bool changed;

	if (p->id != NULL)
		TRY(id_check(p->id));
	TRY(kms_fresh_db(k, &changed));
	TRY(gate_key(k, c, c->keyname, "kms:ListGrants", &c->key));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	t = table_by_id(k->tab, c->key.uuid);
	return t == NULL ? err_fail(ERR_NOKEY, "no such key") : take_all(p, t);
}

static enum err
op_retirable(struct kms *k, struct call *c)
{
	struct page *p = c->arg;
	bool changed;

	TRY(gate_policy(k, c, "kms:ListRetirableGrants", "*"));
	TRY(grant_principal_check(p->retiring, "the retiring principal"));
	TRY(kms_fresh_db(k, &changed));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	for (size_t i = 0; i < k->tab->nkeys; i++)
		if (strcmp(k->tab->keys[i].tenant, c->tenant) == 0)
			TRY(take_all(p, &k->tab->keys[i]));
	return OK;
}

static enum err
list(struct kms *k, struct call *c, struct page *p, gate_fn *op,
    bool (*cb)(void *arg, const struct kms_grant *g), void *arg, bool *ret_more)
{

	TRY(page_check(p->max));
	p->v = calloc(p->max + 2, sizeof(struct tgrant *));
	if (p->v == NULL)
		return ERR_NOMEM;
	c->arg = p;
	TRY(gate_run(k, c, op));
	*ret_more = p->n > p->max;
	for (size_t i = 0; i < p->n && i < p->max; i++)
		if (!cb(arg, &p->v[i]->g))
			break;
	return OK;
}

enum err
kms_grant_page(struct kms *k, const struct kms_who *who, const char *keyname,
    const char *id, const char *grantee, const char *after, size_t max,
    bool (*cb)(void *arg, const struct kms_grant *g), void *arg, bool *ret_more)
{
	struct page p CLEANUP(page_release) = {
		.id = id, .grantee = grantee, .after = after, .max = max
	};
	struct grant_facts facts = { .n = 0 };
	struct params params;
	struct call c = { .who = who,
		.event = "ListGrants",
		.read_only = true,
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.facts = facts.v,
		.nfacts = 1 };

	grant_service_fact(who, &facts);
	params_begin(&params);
	params_str(&params, "grantId", id);
	params_str(&params, "granteePrincipal", grantee);
	params_number(&params, "limit", max);
	return list(k, &c, &p, op_list, cb, arg, ret_more);
}

enum err
kms_grant_retirable(struct kms *k, const struct kms_who *who,
    const char *retiring, const char *after, size_t max,
    bool (*cb)(void *arg, const struct kms_grant *g), void *arg, bool *ret_more)
{
	struct page p CLEANUP(page_release) = {
		.retiring = retiring, .after = after, .max = max
	};
	struct params params;
	struct call c = { .who = who,
		.event = "ListRetirableGrants",
		.read_only = true,
		.params = &params };

	params_begin(&params);
	params_str(&params, "retiringPrincipal", retiring);
	params_number(&params, "limit", max);
	return list(k, &c, &p, op_retirable, cb, arg, ret_more);
}

/* ---- Taking back -------------------------------------------------------- */

struct end {
	char
	    id[KMS_GRANT_ID_MAX + 1]; /* one too long is told from a good one */
	const struct keyref *key;
	const uint8_t *uuid; /* of its key, when a token named it */
};

static enum err
end_tx(struct kms *k, void *arg)
{
	const struct end *d = arg;

	TRY(kdb_run(&k->db, "DELETE FROM grants WHERE id = ? AND key = ?", "tb",
	    d->id, (const void *)d->key->uuid, (size_t)UUID_LEN));
	if (sqlite3_changes(k->db.h) == 0)
		return err_fail(ERR_NOENT, "%s has no such grant", d->key->arn);
	return OK;
}

static enum err
is_there(struct kms *k, const struct end *d)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, d->key->uuid);

	if (t != NULL && table_grant(t, d->id) != NULL)
		return OK;
	return err_fail(ERR_NOENT, "%s has no such grant", d->key->arn);
}

static enum err
op_revoke(struct kms *k, struct call *c)
{
	struct end *d = c->arg;

	TRY(id_check(d->id));
	TRY(gate_key(k, c, c->keyname, "kms:RevokeGrant", &c->key));
	d->key = &c->key;
	if (c->who->dry_run)
		TRY(is_there(k, d));
	TRY(gate_go(c));
	return kms_change(k, end_tx, d, true);
}

enum err
kms_grant_revoke(struct kms *k, const struct kms_who *who, const char *keyname,
    const char *id)
{
	struct grant_facts facts = { .n = 0 };
	struct end d = { .key = NULL };
	struct params params;
	struct call c = { .who = who,
		.event = "RevokeGrant",
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.facts = facts.v,
		.nfacts = 1,
		.arg = &d };

	grant_service_fact(who, &facts);
	params_begin(&params);
	params_str(&params, "grantId", id);
	(void)snprintf(d.id, sizeof(d.id), "%s", id);
	return gate_run(k, &c, op_revoke);
}

/* Does the grant itself let the caller give it up, or the account? */
static enum err
by_grant(struct kms *k, const struct call *c, const struct end *d, bool *ret,
    struct tgrant **ret_copy)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, c->key.uuid);
	const struct tgrant *g = t == NULL ? NULL : table_grant(t, d->id);

	if (g == NULL)
		return err_fail(ERR_NOENT, "%s has no such grant", c->key.arn);
	*ret = is_named(k, c, g->g.retiring) ||
	       ((g->g.operations & KMS_GRANT_RETIRE_GRANT) != 0 &&
		   is_named(k, c, g->g.grantee)) ||
	       (c->root && strcmp(c->tenant, t->tenant) == 0);
	return tgrant_new(&g->g, g->id, g->arn, ret_copy);
}

static enum err
op_retire(struct kms *k, struct call *c)
{
	struct end *d = c->arg;
	struct tgrant *g CLEANUP_FREE = NULL;
	struct name n = { .by_id = true };
	struct grant_facts facts = { .n = 0 };
	bool may = false, changed;

	TRY(id_check(d->id));
	if (d->uuid == NULL)
		TRY(name_parse(c->keyname, c->tenant, k->region, &n));
	else
		memcpy(n.uuid, d->uuid, UUID_LEN);
	TRY(kms_fresh_db(k, &changed));
	TRY(gate_find(k, &n, &c->key));
	TRY(by_grant(k, c, d, &may, &g));
	grant_end_facts(&g->g, &facts);
	if (!may)
		TRY(ask_about(k, c, "kms:RetireGrant", &g->g, &facts));
	d->key = &c->key;
	TRY(gate_go(c));
	return kms_change(k, end_tx, d, true);
}

enum err
kms_grant_retire(struct kms *k, const struct kms_who *who, const char *keyname,
    const char *id)
{
	struct end d = { .key = NULL };
	struct params params;
	struct call c = { .who = who,
		.event = "RetireGrant",
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.arg = &d };

	params_begin(&params);
	params_str(&params, "grantId", id);
	(void)snprintf(d.id, sizeof(d.id), "%s", id);
	return gate_run(k, &c, op_retire);
}

struct by_token {
	char token[KMS_GRANT_TOKEN_MAX + 1]; /* one too long is told */
	struct end d;
	char extra[KMS_GRANT_ID_MAX + 16]; /* for the record */
};

static enum err
op_retire_token(struct kms *k, struct call *c)
{
	struct by_token *a = c->arg;
	struct grant_token t;
	enum err e;

	TRY(token_read(k, a->token, &t));
	hex_encode(t.id, sizeof(t.id), a->d.id);
	(void)snprintf(
	    a->extra, sizeof(a->extra), "\"grantId\":\"%s\"", a->d.id);
	c->extra = a->extra;
	a->d.uuid = t.key;
	c->arg = &a->d;
	e = op_retire(k, c);
	a->d.uuid = NULL; /* ${t} ends here */
	return e;
}

enum err
kms_grant_retire_token(
    struct kms *k, const struct kms_who *who, const char *token)
{
	struct by_token a = { .d = { .key = NULL } };
	struct call c = { .who = who, .event = "RetireGrant", .arg = &a };

	(void)snprintf(a.token, sizeof(a.token), "%s", token);
	return gate_run(k, &c, op_retire_token);
}
