/*
 * Pages of lists: keys, aliases, rotations.
 *
 * What is listed is copied out of the table, so that callbacks run without a
 * lock.  Keys and aliases stand there in the order of their names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/api.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"

enum err
page_check(size_t max)
{

	if (max >= 1 && max <= KMS_PAGE_MAX)
		return OK;
	return err_fail(ERR_INVAL, "a page has 1 to %d entries", KMS_PAGE_MAX);
}

/* ---- Keys --------------------------------------------------------------- */

struct key_entry {
	char id[KMS_ID_MAX];
	char arn[KMS_ARN_MAX];
};

struct key_page {
	const char *after;
	size_t max;
	struct key_entry *v; /* for one more than ${max} */
	size_t n;
};

/* The place of the first key behind ${after}. */
static size_t
key_begin(const struct table *t, const uint8_t *after)
{
	size_t lo = 0, hi = t->nkeys;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (memcmp(t->keys[mid].uuid, after, UUID_LEN) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static enum err
op_key_page(struct kms *k, struct call *c)
{
	struct key_page *p = c->arg;
	uint8_t after[UUID_LEN];
	bool changed;
	size_t i = 0;

	TRY(gate_policy(k, c, "kms:ListKeys", "*"));
	if (p->after != NULL)
		TRY(uuid_parse(p->after, strlen(p->after), after));
	TRY(kms_fresh_db(k, &changed));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	if (p->after != NULL)
		i = key_begin(k->tab, after);
	for (; i < k->tab->nkeys && p->n <= p->max; i++) {
		const struct tkey *t = &k->tab->keys[i];

		if (strcmp(t->tenant, c->tenant) != 0)
			continue;
		uuid_format(t->uuid, p->v[p->n].id);
		strcpy(p->v[p->n++].arn, t->arn);
	}
	return OK;
}

enum err
kms_key_page(struct kms *k, const struct kms_who *who, const char *after,
    size_t max, bool (*cb)(void *arg, const char *id, const char *arn),
    void *arg, bool *ret_more)
{
	struct key_entry *v CLEANUP_FREE = NULL;
	struct key_page p = { .after = after, .max = max };
	struct params params;
	struct call c = { .who = who,
		.event = "ListKeys",
		.read_only = true,
		.params = &params,
		.arg = &p };

	params_begin(&params);
	params_number(&params, "limit", max);
	TRY(page_check(max));
	v = calloc(max + 1, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM;
	p.v = v;
	TRY(gate_run(k, &c, op_key_page));
	*ret_more = p.n > max;
	for (size_t i = 0; i < p.n && i < max; i++)
		if (!cb(arg, v[i].id, v[i].arn))
			break;
	return OK;
}

/* ---- Aliases ------------------------------------------------------------ */

struct alias_entry {
	struct kms_alias a;
	char name[KMS_ALIAS_MAX];
};

struct alias_page {
	const char *after;
	size_t max;
	struct alias_entry *v;
	size_t n;
};

static void
alias_copy(struct kms *k, const struct talias *t, struct alias_entry *e)
{

	memcpy(e->name, t->name, sizeof(e->name));
	e->a.name = e->name;
	(void)snprintf(e->a.arn, sizeof(e->a.arn), "arn:aws:kms:%s:%s:%s",
	    k->region, t->tenant, t->name);
	strcpy(e->a.target, t->key->arn);
	e->a.created = t->created;
	e->a.updated = t->updated == 0 ? t->created : t->updated;
}

static enum err
op_alias_page(struct kms *k, struct call *c)
{
	struct alias_page *p = c->arg;
	char of[KMS_ARN_MAX] = "";
	bool changed;

	TRY(kms_fresh_db(k, &changed));
	if (c->keyname == NULL) {
		TRY(gate_policy(k, c, "kms:ListAliases", "*"));
	} else {
		TRY(kms_key_resolve(k, c->tenant, c->keyname, of));
		TRY(gate_policy(k, c, "kms:ListAliasesByKeyId", of));
	}
	RWLOCK_READ_SCOPE(&k->tab_lock);
	for (size_t i = 0; i < k->tab->naliases && p->n <= p->max; i++) {
		const struct talias *t = &k->tab->aliases[i];

		if (strcmp(t->tenant, c->tenant) != 0 ||
		    (of[0] != '\0' && strcmp(t->key->arn, of) != 0) ||
		    (p->after != NULL && strcmp(t->name, p->after) <= 0))
			continue;
		alias_copy(k, t, &p->v[p->n++]);
	}
	return OK;
}

enum err
kms_alias_page(struct kms *k, const struct kms_who *who, const char *keyname,
    const char *after, size_t max,
    bool (*cb)(void *arg, const struct kms_alias *a), void *arg, bool *ret_more)
{
	struct alias_entry *v CLEANUP_FREE = NULL;
	struct alias_page p = { .after = after, .max = max };
	struct params params;
	struct call c = { .who = who,
		.event = "ListAliases",
		.read_only = true,
		.params = &params,
		.keyname = keyname,
		.arg = &p };

	params_begin(&params);
	params_number(&params, "limit", max);
	TRY(page_check(max));
	v = calloc(max + 1, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM;
	p.v = v;
	TRY(gate_run(k, &c, op_alias_page));
	*ret_more = p.n > max;
	for (size_t i = 0; i < p.n && i < max; i++)
		if (!cb(arg, &v[i].a))
			break;
	return OK;
}

/* ---- Rotations ---------------------------------------------------------- */

struct rotation_page {
	uint32_t after;
	size_t max;
	struct kms_rotation *v;
	size_t n;
};

static enum err
op_rotation_page(struct kms *k, struct call *c)
{
	struct rotation_page *p = c->arg;
	const struct tkey *t;

	TRY(gate_key(k, c, c->keyname, "kms:ListKeyRotations", &c->key));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	t = table_by_id(k->tab, c->key.uuid);
	if (t == NULL)
		return err_fail(ERR_NOKEY, "no such key");
	/* The first version came with the key. */
	for (uint32_t i = p->after < 2 ? 2 : p->after + 1;
	     i <= t->nv && p->n <= p->max; i++) {
		const struct version *v = &t->v[i - 1];
		struct kms_rotation *r = &p->v[p->n++];

		r->version = i;
		r->at = v->created;
		r->on_demand = v->reason == VERSION_ON_DEMAND;
		TRY(material_name(k, t, i, r->material));
	}
	return OK;
}

enum err
kms_rotation_page(struct kms *k, const struct kms_who *who, const char *keyname,
    uint32_t after, size_t max,
    bool (*cb)(void *arg, const struct kms_rotation *r), void *arg,
    bool *ret_more)
{
	struct kms_rotation *v CLEANUP_FREE = NULL;
	struct rotation_page p = { .after = after, .max = max };
	struct params params;
	struct call c = { .who = who,
		.event = "ListKeyRotations",
		.read_only = true,
		.params = &params,
		.keyname = keyname == NULL ? "" : keyname,
		.arg = &p };

	params_begin(&params);
	params_number(&params, "limit", max);
	TRY(page_check(max));
	v = calloc(max + 1, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM;
	p.v = v;
	TRY(gate_run(k, &c, op_rotation_page));
	*ret_more = p.n > max;
	for (size_t i = 0; i < p.n && i < max; i++)
		if (!cb(arg, &v[i]))
			break;
	return OK;
}
