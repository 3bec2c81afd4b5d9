/*
 * Aliases, and lists of keys and aliases.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

#include "kms/api.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"

struct alias {
	const char *text; /* as the caller spelt it */
	const char *tenant;
	char name[KMS_ALIAS_MAX];
	const uint8_t *uuid;
};

/* A key has so many names that policies can look at all of them. */
static enum err
aliases_count(struct kms *k, const struct alias *a)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t n = 0;
	bool row = false;

	TRY(kdb_query(&k->db, &st, "SELECT count(*) FROM aliases WHERE key = ?",
	    "b", (const void *)a->uuid, (size_t)UUID_LEN));
	TRY(kdb_step(&k->db, st, &row));
	TRY(kdb_col_int(st, 0, 0, INT64_MAX, &n));
	if (n > KMS_ALIASES_MAX)
		return err_fail(
		    ERR_LIMIT, "a key has %d aliases at most", KMS_ALIASES_MAX);
	return OK;
}

static enum err
alias_create_tx(struct kms *k, void *arg)
{
	const struct alias *a = arg;
	enum err e;

	e = kdb_run(&k->db,
	    "INSERT INTO aliases(tenant, name, key, created) VALUES(?,?,?,?)",
	    "ttbi", a->tenant, a->name, (const void *)a->uuid, (size_t)UUID_LEN,
	    (int64_t)clock_wall().tv_sec);
	if (e == ERR_EXIST)
		return err_fail(e, "%.200s exists already", a->name);
	TRY(e);
	return aliases_count(k, a);
}

static enum err
op_alias_create(struct kms *k, struct call *c)
{
	struct alias *a = c->arg;

	TRY(gate_key(k, c, c->keyname, "kms:CreateAlias", &c->key));
	TRY(name_alias(a->text, a->name));
	TRY(gate_alias(k, c, a->name, "kms:CreateAlias"));
	TRY(state_managed(&c->key));
	TRY(state_allows(&c->key, KEY_OP_CHANGE));
	a->tenant = c->tenant;
	a->uuid = c->key.uuid;
	return kms_change(k, alias_create_tx, a, true);
}

static enum err
alias_delete_tx(struct kms *k, void *arg)
{
	const struct alias *a = arg;

	TRY(kdb_run(&k->db, "DELETE FROM aliases WHERE tenant = ? AND name = ?",
	    "tt", a->tenant, a->name));
	if (sqlite3_changes(k->db.h) == 0)
		return err_fail(ERR_NOENT, "no alias %.200s", a->name);
	return OK;
}

static enum err
op_alias_delete(struct kms *k, struct call *c)
{
	struct alias *a = c->arg;
	enum err e;

	TRY(name_alias(a->text, a->name));
	c->keyname = a->name;
	TRY(gate_alias(k, c, a->name, "kms:DeleteAlias"));
	e = gate_key(k, c, a->name, "kms:DeleteAlias", &c->key);
	if (e == ERR_NOKEY)
		return err_fail(ERR_NOENT, "no alias %.200s", a->name);
	TRY(e);
	a->tenant = c->tenant;
	return kms_change(k, alias_delete_tx, a, true);
}

enum err
kms_alias_delete(struct kms *k, const struct kms_who *who, const char *alias)
{
	struct alias a = { .text = alias };
	struct call c = { .who = who,
		.event = "DeleteAlias",
		.keyname = alias,
		.key_member = "aliasName",
		.arg = &a };

	return gate_run(k, &c, op_alias_delete);
}

static enum err
alias_update_tx(struct kms *k, void *arg)
{
	const struct alias *a = arg;

	TRY(kdb_run(&k->db,
	    "UPDATE aliases SET key = ?, updated = ? "
	    "WHERE tenant = ? AND name = ?",
	    "bitt", (const void *)a->uuid, (size_t)UUID_LEN,
	    (int64_t)clock_wall().tv_sec, a->tenant, a->name));
	if (sqlite3_changes(k->db.h) == 0)
		return err_fail(ERR_NOENT, "no alias %.200s", a->name);
	return aliases_count(k, a);
}

/* Who changes it must be allowed to on both keys. */
static enum err
op_alias_update(struct kms *k, struct call *c)
{
	struct alias *a = c->arg;
	struct keyref was = { 0 };
	enum err e;

	TRY(name_alias(a->text, a->name));
	TRY(gate_alias(k, c, a->name, "kms:UpdateAlias"));
	e = gate_key(k, c, a->name, "kms:UpdateAlias", &was);
	if (e == ERR_NOKEY)
		return err_fail(ERR_NOENT, "no alias %.200s", a->name);
	TRY(e);
	TRY(gate_key(k, c, c->keyname, "kms:UpdateAlias", &c->key));
	TRY(state_managed(&c->key));
	TRY(state_allows(&c->key, KEY_OP_CHANGE));
	a->tenant = c->tenant;
	a->uuid = c->key.uuid;
	return kms_change(k, alias_update_tx, a, true);
}

/* An alias is to stand for a key, from now on or instead of another one. */
static enum err
alias_point(struct kms *k, const struct kms_who *who, const char *alias,
    const char *keyname, const char *event,
    enum err (*op)(struct kms *k, struct call *c))
{
	struct alias a = { .text = alias };
	struct params params;
	struct call c = { .who = who,
		.event = event,
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.key_member = "targetKeyId",
		.arg = &a };

	params_begin(&params);
	params_str(&params, "aliasName", alias);
	return gate_run(k, &c, op);
}

enum err
kms_alias_create(struct kms *k, const struct kms_who *who, const char *alias,
    const char *keyname)
{
	return alias_point(
	    k, who, alias, keyname, "CreateAlias", op_alias_create);
}

enum err
kms_alias_update(struct kms *k, const struct kms_who *who, const char *alias,
    const char *keyname)
{
	return alias_point(
	    k, who, alias, keyname, "UpdateAlias", op_alias_update);
}

/* ---- Lists -------------------------------------------------------------- */

struct one {
	char name[KMS_ALIAS_MAX];
	char arn[KMS_ARN_MAX];
	int64_t row;
};

struct list {
	struct one *v;
	size_t n;
};

static int
by_row(const void *a, const void *b)
{
	const struct one *x = a, *y = b;

	return x->row < y->row ? -1 : x->row > y->row;
}

/* Copied out, so that callbacks run without a lock. */
static enum err
copy_keys(struct kms *k, const char *tenant, struct list *l)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);

	l->v = calloc(k->tab->nkeys + 1, sizeof(*l->v));
	if (l->v == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < k->tab->nkeys; i++) {
		const struct tkey *t = &k->tab->keys[i];

		if (strcmp(t->tenant, tenant) != 0)
			continue;
		strcpy(l->v[l->n].arn, t->arn);
		l->v[l->n++].row = t->row;
	}
	qsort(l->v, l->n, sizeof(*l->v), by_row);
	return OK;
}

static enum err
copy_aliases(struct kms *k, const char *tenant, struct list *l)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);

	l->v = calloc(k->tab->naliases + 1, sizeof(*l->v));
	if (l->v == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < k->tab->naliases; i++) {
		const struct talias *a = &k->tab->aliases[i];

		if (strcmp(a->tenant, tenant) != 0)
			continue;
		memcpy(l->v[l->n].name, a->name, sizeof(a->name));
		name_arn(
		    k->region, a->key->tenant, a->key->uuid, l->v[l->n++].arn);
	}
	return OK;
}

static enum err
op_list_keys(struct kms *k, struct call *c)
{
	bool changed;

	TRY(gate_policy(k, c, "kms:ListKeys", "*"));
	TRY(kms_fresh_db(k, &changed));
	return copy_keys(k, c->tenant, c->arg);
}

enum err
kms_key_list(struct kms *k, const struct kms_who *who,
    bool (*cb)(void *arg, const struct kms_desc *d), void *arg)
{
	struct list l = { 0 };
	struct one *v CLEANUP_FREE = NULL;
	struct call c = {
		.who = who, .event = "ListKeys", .read_only = true, .arg = &l
	};
	const enum err e = gate_run(k, &c, op_list_keys);

	v = l.v;
	TRY(e);
	for (size_t i = 0; i < l.n; i++) {
		struct kms_desc d;

		TRY(keys_describe(k, v[i].arn, &d));
		if (!cb(arg, &d))
			break;
	}
	return OK;
}

static enum err
op_list_aliases(struct kms *k, struct call *c)
{
	bool changed;

	TRY(gate_policy(k, c, "kms:ListAliases", "*"));
	TRY(kms_fresh_db(k, &changed));
	return copy_aliases(k, c->tenant, c->arg);
}

enum err
kms_alias_list(struct kms *k, const struct kms_who *who,
    bool (*cb)(void *arg, const char *alias, const char *arn), void *arg)
{
	struct list l = { 0 };
	struct one *v CLEANUP_FREE = NULL;
	struct call c = {
		.who = who, .event = "ListAliases", .read_only = true, .arg = &l
	};
	const enum err e = gate_run(k, &c, op_list_aliases);

	v = l.v;
	TRY(e);
	for (size_t i = 0; i < l.n; i++)
		if (!cb(arg, v[i].name, v[i].arn))
			break;
	return OK;
}
