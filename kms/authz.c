/*
 * Questions to the policy engine.
 */
#include <stdio.h>
#include <string.h>

#include "crypto/rand.h"
#include "lib/base/clock.h"

#include "kms/authz.h"
#include "kms/kms_internal.h"
#include "kms/people.h"

#define DOCS_MAX (WHO_ATTACHED_MAX * (WHO_ROLES_MAX + 1) + 1)
#define FACTS_MAX 24

/* ---- The asker ---------------------------------------------------------- */

enum err
authz_begin(struct kms *k, struct call *c)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct puser *u;

	c->root = strcmp(c->who->user, KMS_ROOT_USER) == 0;
	if (c->root)
		return OK;
	TRY(people_sound(k->tab->people));
	u = people_user(k->tab->people, c->tenant, c->who->user);
	if (u == NULL)
		return err_fail(ERR_ACCESS,
		    "there is no user \"%s\" in the tenant %s", c->who->user,
		    c->tenant);
	c->admin = u->u.admin;
	memcpy(c->user_id, u->u.id, sizeof(c->user_id));
	return OK;
}

enum err
authz_identities(const struct call *c)
{

	if (c->root || c->admin)
		return OK;
	return err_fail(ERR_ACCESS,
	    "identities of the tenant %s are managed by its account and its "
	    "administrators, not by %s",
	    c->tenant, c->who->user);
}

/* ---- One question ------------------------------------------------------- */

/* What it is about.  ${key} is NULL for what is no key, or is not made yet. */
struct subject {
	const char *arn, *owner;
	struct tkey *key;
	enum key_kind kind;
	bool is_key;
};

struct asking {
	struct kms *k;
	const struct call *c;
	const struct puser *user; /* NULL: the account */
	struct document *doc[DOCS_MAX];
	const struct policy *identity[DOCS_MAX];
	const struct policy *resource;
	size_t n;
	struct policy_decision d;
	bool steady; /* the same for every request of this kind */
};

static enum err
gather(struct asking *a)
{
	const struct puser *u = a->user;
	struct people *p = a->k->tab->people;

	a->n = 0;
	if (u == NULL)
		return OK;
	if (u->ndocs >= DOCS_MAX)
		return err_fail(ERR_CORRUPT,
		    "keystore: too many policies are attached to %s",
		    u->u.name);
	for (size_t i = 0; i < u->ndocs; i++)
		a->doc[a->n++] = &u->doc[i]->d;
	if (u->u.admin)
		a->doc[a->n++] = &p->full;
	for (size_t i = 0; i < a->n; i++)
		TRY(document_get(a->doc[i], &a->identity[i]));
	return OK;
}

struct facts {
	struct policy_fact v[FACTS_MAX];
	size_t n;
	const char *one[FACTS_MAX];
};

static void
fact(struct facts *f, const char *key, const char *value)
{

	if (value == NULL)
		return;
	f->one[f->n] = value;
	f->v[f->n] =
	    (struct policy_fact){ .key = key, .values = &f->one[f->n], .n = 1 };
	f->n++;
}

/* The alias in the name that the caller used, if it did. */
static const char *
request_alias(const char *keyname)
{
	const char *s;

	if (keyname == NULL)
		return NULL;
	if (strncmp(keyname, "alias/", 6) == 0)
		return keyname;
	s = strncmp(keyname, "arn:", 4) == 0 ? strstr(keyname, ":alias/")
					     : NULL;
	return s == NULL ? NULL : s + 1;
}

static void
facts_of_key(const struct asking *a, const struct subject *s, struct facts *f)
{
	const struct table *t = a->k->tab;

	fact(f, "kms:KeySpec", "SYMMETRIC_DEFAULT");
	fact(f, "kms:KeyUsage", "ENCRYPT_DECRYPT");
	fact(f, "kms:KeyOrigin",
	    s->key != NULL && s->key->origin == KMS_ORIGIN_EXTERNAL
		? "EXTERNAL"
		: "AWS_KMS");
	fact(f, "kms:MultiRegion", "false");
	/* All keys are symmetric. */
	if (a->c->crypto)
		fact(f, "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
	fact(f, "kms:RequestAlias", request_alias(a->c->keyname));
	if (s->key == NULL)
		return;
	f->v[f->n++] = (struct policy_fact){ .key = "kms:ResourceAliases",
		.values = t->alias_names + s->key->alias,
		.n = s->key->naliases };
}

static void
facts_make(const struct asking *a, const struct subject *s, struct facts *f)
{
	const struct call *c = a->c;

	f->n = 0;
	/* What stays on this machine is not overheard. */
	fact(f, "aws:SecureTransport",
	    c->who->source_ip == NULL || c->who->secure ? "true" : "false");
	fact(f, "aws:RequestedRegion", a->k->region);
	fact(f, "aws:UserAgent", c->who->user_agent);
	fact(f, "kms:ViaService", c->who->via_service);
	fact(f, "aws:ViaAWSService",
	    c->who->via_service != NULL ? "true" : "false");
	fact(f, "aws:PrincipalIsAWSService", "false");
	if (s->is_key)
		facts_of_key(a, s, f);
}

static void
principal(const struct puser *u, const struct call *c, const char **roles,
    struct policy_principal *ret)
{

	*ret = (struct policy_principal){
		.account = c->tenant, .root = c->root, .roles = roles
	};
	if (u == NULL)
		return;
	ret->user = u->u.name;
	ret->user_id = u->u.id;
	for (size_t i = 0; i < u->nroles && i < WHO_ROLES_MAX; i++)
		roles[ret->nroles++] = u->role[i];
}

void
authz_principal(const struct kms *k, const struct call *c, const char **roles,
    struct policy_principal *ret)
{

	principal(c->root
		      ? NULL
		      : people_user(k->tab->people, c->tenant, c->who->user),
	    c, roles, ret);
}

/* Sets a->d and, with it, whether the answer depends on this request. */
static void
evaluate(struct asking *a, const char *action, const struct subject *s)
{
	const struct call *c = a->c;
	const char *roles[WHO_ROLES_MAX];
	struct facts f;
	struct policy_request req = { .action = action,
		.arn = s->arn,
		.owner = s->owner,
		.time = clock_wall().tv_sec,
		.source_ip = c->who->source_ip,
		.ctx = c->ctx,
		.nctx = c->nctx,
		.facts = f.v };
	const struct policy_set set = { .identity = a->identity,
		.nidentity = a->n,
		.resource = s->is_key ? a->resource : NULL,
		.grants = s->key == NULL ? NULL : s->key->allow,
		.ngrants = s->key == NULL ? 0 : s->key->ngrants };

	principal(a->user, c, roles, &req.who);
	facts_make(a, s, &f);
	req.nfacts = f.n;
	req.more[0] = (struct policy_facts){ c->facts, c->nfacts };
	if (s->is_key && s->key != NULL)
		req.more[1] =
		    (struct policy_facts){ s->key->tags, s->key->ntags };
	a->d = policy_evaluate(&set, &req);
	if (a->d.source == POLICY_BY_GRANT)
		a->steady = false;
	for (size_t i = 0; i < a->n && a->steady; i++)
		a->steady = policy_steady(a->identity[i], action);
	if (set.resource != NULL && a->steady)
		a->steady = policy_steady(set.resource, action);
}

static enum err
refuse(const struct asking *a, const char *action, const char *arn)
{
	const struct call *c = a->c;
	char why[POLICY_WHY_MAX];
	const char *slash = c->root ? "" : "user/";

	policy_explain(&a->d, why);
	return err_fail(ERR_ACCESS,
	    "arn:aws:iam::%s:%s%.64s is not authorized to perform %s on "
	    "%.120s: %.160s",
	    c->tenant, slash, c->who->user, action, arn, why);
}

static enum err
ask(struct asking *a, const char *action, const struct subject *s)
{

	evaluate(a, action, s);
	if (a->d.verdict == POLICY_ALLOW)
		return OK;
	return refuse(a, action, s->arn);
}

static enum err
ask_container(struct asking *a, const char *action, const char *type)
{
	char arn[KMS_ARN_MAX];
	const struct subject s = { .arn = arn, .owner = a->c->tenant };

	(void)snprintf(arn, sizeof(arn), "arn:aws:kms:%s:%s:%s", a->k->region,
	    a->c->tenant, type);
	return ask(a, action, &s);
}

/* ---- Files -------------------------------------------------------------- */

static bool
is(const char *action, const char *name)
{

	return strcmp(action, name) == 0;
}

static bool
makes_data_key(const char *action)
{

	return is(action, "kms:GenerateDataKey") ||
	       is(action, "kms:ReEncryptTo");
}

/* What the tenant's settings say of the storage service's use of a key.  What
 * was altered says all that it may have said. */
static enum err
settings(const struct asking *a, const char *action, enum key_kind kind)
{
	const struct call *c = a->c;
	const struct kms_tenant *t =
	    people_tenant(a->k->tab->people, c->tenant);

	if (kind == KEY_CUSTOMER && makes_data_key(action))
		TRY(people_sound(a->k->tab->people));
	if (t->sse_kms_role[0] != '\0' && a->user != NULL &&
	    !people_has_role(a->user, t->sse_kms_role))
		return err_fail(ERR_ACCESS,
		    "only users with the role %s may use SSE-KMS in the "
		    "tenant %s",
		    t->sse_kms_role, c->tenant);
	if (!t->customer_keys && kind == KEY_CUSTOMER && makes_data_key(action))
		return err_fail(ERR_ACCESS,
		    "the tenant %s does not let files be under keys that it "
		    "made itself, only under its default key",
		    c->tenant);
	return OK;
}

/*
 * The clouds differ in what else a user must hold to write a file, or to choose
 * a key for a bucket, and each
 * says it in the words of its own policies; so the dialect of the policy that
 * allows the data key decides.  OBS wants the key to be looked up, RAM that a
 * key that was chosen is, AWS nothing.
 */
static enum err
ask_besides(struct asking *a, const struct subject *s)
{
	enum policy_dialect d;

	if (a->d.source != POLICY_BY_IDENTITY)
		return OK;
	d = policy_dialect(a->identity[a->d.document]);
	if (d != POLICY_OBS && (d != POLICY_RAM || s->kind != KEY_CUSTOMER))
		return OK;
	TRY(ask(a, "kms:DescribeKey", s));
	TRY(ask_container(a, "kms:ListKeys", "key"));
	if (d == POLICY_OBS)
		return OK;
	TRY(ask_container(a, "kms:ListAliases", "alias"));
	/* The key's own policy has no say in lists. */
	return ask(a, "kms:ListAliasesByKeyId",
	    &(const struct subject){ .arn = s->arn, .owner = s->owner });
}

/* ---- What is remembered ------------------------------------------------- */

_Static_assert(WHO_USERS_MAX < 1 << 17, "a user's number");

/* 0: not to be remembered. */
static uint64_t
memory_key(const struct asking *a, const char *action, const struct tkey *key)
{
	const struct table *t = a->k->tab;
	const int op = policy_operation(action);
	const uint64_t at = key == NULL ? 0 : (uint64_t)(key - t->keys);
	const uint64_t user =
	    a->user == NULL ? 0 : (uint64_t)(a->user - t->people->users) + 1;

	if (key == NULL || op < 0 || at >= 1 << 24)
		return 0;
	return UINT64_C(1) << 63 | user << 40 | at << 16 | (uint64_t)op << 1 |
	       (a->c->who->via_service != NULL);
}

static _Atomic uint64_t *
memory_slot(const struct table *t, uint64_t m)
{

	return &t->allowed->slot[m * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}

_Static_assert(AUTHZ_SLOTS == 1 << 12, "52 + 12 = 64");

/* ---- The gate's questions ----------------------------------------------- */

static enum err
ask_key(struct asking *a, const char *action, const struct subject *s)
{
	const bool files = a->c->who->via_service != NULL && a->c->crypto;
	const uint64_t m = memory_key(a, action, s->key);

	if (files)
		TRY(settings(a, action, s->kind));
	/* An account needs no leave for a key that leaves all to it. */
	if (a->c->root && strcmp(s->owner, a->c->tenant) == 0 &&
	    (s->key == NULL || s->key->policy == NULL))
		return OK;
	if (m != 0 && !a->c->choose &&
	    atomic_load_explicit(
		memory_slot(a->k->tab, m), memory_order_relaxed) == m)
		return OK;
	TRY(gather(a));
	a->resource = s->key == NULL ? NULL : s->key->policy;
	TRY(ask(a, action, s));
	if ((files && makes_data_key(action)) || a->c->choose)
		TRY(ask_besides(a, s));
	if (m != 0 && a->steady && !a->c->choose)
		atomic_store_explicit(
		    memory_slot(a->k->tab, m), m, memory_order_relaxed);
	return OK;
}

static void
asking_begin(struct asking *a, struct kms *k, const struct call *c)
{

	a->k = k;
	a->c = c;
	a->user = c->root
		      ? NULL
		      : people_user(k->tab->people, c->tenant, c->who->user);
	a->resource = NULL;
	a->d = (struct policy_decision){ .source = POLICY_BY_NOTHING };
	a->n = 0;
	a->steady = true;
}

/* It may have been removed since the call began. */
static enum err
still_there(const struct asking *a)
{

	if (a->user != NULL || a->c->root)
		return OK;
	TRY(people_sound(a->k->tab->people));
	return err_fail(
	    ERR_ACCESS, "the user \"%s\" was removed", a->c->who->user);
}

enum err
authz_key(
    struct kms *k, struct call *c, const char *action, const struct keyref *key)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	struct asking a UNINIT;
	struct subject s = { .arn = key->arn,
		.owner = key->tenant,
		.kind = key->kind,
		.is_key = true };

	c->grant[0] = '\0';
	asking_begin(&a, k, c);
	TRY(still_there(&a));
	if (key->kind == KEY_SERVICE) {
		if (c->crypto && (c->root || c->who->via_service != NULL))
			return OK;
		if (c->crypto)
			return err_fail(ERR_ACCESS,
			    "the service key is used by the storage service "
			    "only");
		/* It is everybody's. */
		s.owner = c->tenant;
	} else if (strcmp(key->tenant, c->tenant) != 0 &&
		   c->who->via_service != NULL) {
		/* Files are never read or written across tenants. */
		return err_fail(
		    ERR_ACCESS, "%s belongs to another tenant", key->arn);
	}
	s.key = table_by_id(k->tab, key->uuid);
	if (s.key == NULL)
		return err_fail(ERR_NOKEY, "no such key");
	TRY(ask_key(&a, action, &s));
	if (a.d.source == POLICY_BY_GRANT)
		strcpy(c->grant, s.key->grants[a.d.document]->id);
	return OK;
}

enum err
authz_other(
    struct kms *k, const struct call *c, const char *action, const char *arn)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	struct asking a UNINIT;
	const struct subject s = { .arn = arn, .owner = c->tenant };

	asking_begin(&a, k, c);
	TRY(still_there(&a));
	/* The account on what is its own. */
	if (c->root)
		return OK;
	TRY(gather(&a));
	if (strcmp(arn, "*") != 0)
		return ask(&a, action, &s);
	return ask_container(
	    &a, action, strstr(action, "Alias") != NULL ? "alias" : "key");
}

enum err
authz_make(struct kms *k, const struct call *c, const char *action)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	struct asking a UNINIT;
	uint8_t uuid[UUID_LEN];
	char arn[KMS_ARN_MAX];
	const struct subject s = { .arn = arn,
		.owner = c->tenant,
		.kind = KEY_DEFAULT,
		.is_key = true };

	/* One that it might become: who may not use it does not make it. */
	rand_bytes(uuid, sizeof(uuid));
	name_arn(k->region, c->tenant, uuid, arn);
	asking_begin(&a, k, c);
	TRY(still_there(&a));
	TRY(ask_key(&a, action, &s));
	if (c->root)
		return OK;
	TRY(ask(&a, action, &s));
	/* OBS lets no user make keys without that right, AWS and RAM make the
	 * default key on their own behalf. */
	if (a.d.source == POLICY_BY_IDENTITY &&
	    policy_dialect(a.identity[a.d.document]) == POLICY_OBS)
		return ask_container(&a, "kms:CreateKey", "key");
	return OK;
}
