/*
 * Providers by name: added, listed, removed, chosen.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

#include "kms/far.h"
#include "kms/providers.h"

enum err
provider_find(struct kms *k, const char *name, int64_t *ret)
{

	*ret = 0;
	if (strcmp(name, KMS_LOCAL) == 0)
		return OK;
	TRY(kms_fresh(k));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	for (size_t i = 0; i < k->tab->nproviders; i++)
		if (strcmp(k->tab->providers[i].name, name) == 0) {
			*ret = k->tab->providers[i].id;
			return OK;
		}
	return err_fail(ERR_NOENT,
	    "there is no provider \"%.64s\"; see: ssefs kms "
	    "provider ls",
	    name);
}

void
provider_name(struct kms *k, int64_t id, char ret[static KMS_NAME_MAX])
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tprovider *p = table_provider(k->tab, id);

	strcpy(ret, id == 0 ? KMS_LOCAL : p == NULL ? "?" : p->name);
}

static enum err
name_check(const char *name)
{

	if (*name == '\0' || *name == '.' || strlen(name) >= KMS_NAME_MAX ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz"
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789-_.") != strlen(name))
		return err_fail(ERR_INVAL,
		    "a provider's name is 1 to %d letters, digits, \"-\", "
		    "\"_\" and \".\"",
		    KMS_NAME_MAX - 1);
	if (strcmp(name, KMS_LOCAL) == 0)
		return err_fail(
		    ERR_EXIST, "\"" KMS_LOCAL "\" is the keystore itself");
	return OK;
}

/* ---- Adding --------------------------------------------------------------- */

struct add {
	const char *name;
	const struct provider_conf *conf;
	uint8_t text[CONF_MAX];
	size_t len;
	uint8_t sealed[CONF_SEALED_MAX];
};

static enum err
add_tx(struct kms *k, void *arg)
{
	struct add *a = arg;
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;
	int64_t id;

	TRY(kdb_query(&k->db, &st, "SELECT 1 FROM providers WHERE name = ?",
	    "t", a->name));
	TRY(kdb_step(&k->db, st, &row));
	if (row)
		return err_fail(
		    ERR_EXIST, "there is a provider \"%s\" already", a->name);
	/* What is sealed is bound to the row's number. */
	TRY(kdb_run(&k->db,
	    "INSERT INTO providers(name, sealed, created) VALUES(?,?,?)", "tbi",
	    a->name, (const void *)"", (size_t)1,
	    (int64_t)clock_wall().tv_sec));
	id = sqlite3_last_insert_rowid(k->db.h);
	TRY(conf_seal(
	    k->seal, k->uuid, id, a->name, a->text, a->len, a->sealed));
	return kdb_run(&k->db, "UPDATE providers SET sealed = ? WHERE id = ?",
	    "bi", (const void *)a->sealed, a->len + AEAD_OVERHEAD, id);
}

/* Does it answer? */
static enum err
try_conf(const struct provider_conf *conf)
{
	const struct provider_ops *ops = far_kind(conf->uri);
	void *p = NULL;
	enum err e;

	if (ops == NULL)
		return err_fail(ERR_INVAL,
		    "a provider is named by a pkcs11: URI, the path of a "
		    "PKCS#11 module, or an https: URL");
	TRY(ops->open(conf, &p));
	e = ops->check(p, NULL, 0);
	ops->close(p);
	return e;
}

static enum err
op_add(struct kms *k, struct call *c)
{
	struct add *a = c->arg;

	TRY(gate_policy(k, c, "kms:CreateCustomKeyStore", "*"));
	TRY(name_check(a->name));
	TRY(conf_pack(a->conf, a->text, &a->len));
	TRY(try_conf(a->conf));
	return kms_change(k, add_tx, a, false);
}

enum err
kms_provider_add(struct kms *k, const struct kms_who *who, const char *name,
    const struct provider_conf *conf)
{
	struct add *a CLEANUP_FREE = calloc(1, sizeof(*a));
	struct call c = { .who = who, .event = "AddKeyProvider", .arg = a };

	if (a == NULL)
		return ERR_NOMEM;
	a->name = name;
	a->conf = conf;
	return gate_run(k, &c, op_add);
}

/* ---- Removing, choosing, testing -------------------------------------------- */

struct named {
	const char *name;
	int64_t id;
};

static enum err
remove_tx(struct kms *k, void *arg)
{
	const struct named *n = arg;
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(&k->db, &st,
	    "SELECT 1 FROM versions WHERE provider = ? LIMIT 1", "i", n->id));
	TRY(kdb_step(&k->db, st, &row));
	if (row)
		return err_fail(ERR_KEYINUSE,
		    "versions of keys are with \"%s\"; without it what is "
		    "under "
		    "them could not be opened",
		    n->name);
	return kdb_run(
	    &k->db, "DELETE FROM providers WHERE id = ?", "i", n->id);
}

static enum err
op_remove(struct kms *k, struct call *c)
{
	struct named *n = c->arg;
	int64_t choice = 0;

	TRY(gate_policy(k, c, "kms:DeleteCustomKeyStore", "*"));
	TRY(provider_find(k, n->name, &n->id));
	if (n->id == 0)
		return err_fail(ERR_PERM, "the keystore itself stays");
	TRY(far_choice(k, &choice));
	if (choice == n->id)
		return err_fail(ERR_KEYINUSE,
		    "new keys go to \"%s\"; choose another one first: ssefs "
		    "kms provider default",
		    n->name);
	return kms_change(k, remove_tx, n, false);
}

static enum err
default_tx(struct kms *k, void *arg)
{
	const struct named *n = arg;
	uint8_t sealed[CHOICE_SEALED];

	TRY(choice_seal(k->seal, k->uuid, n->id, sealed));
	return kdb_run(&k->db,
	    "INSERT OR REPLACE INTO meta(k, v) VALUES('provider', ?)", "b",
	    (const void *)sealed, sizeof(sealed));
}

static enum err
op_default(struct kms *k, struct call *c)
{
	struct named *n = c->arg;

	TRY(gate_policy(k, c, "kms:UpdateCustomKeyStore", "*"));
	TRY(provider_find(k, n->name, &n->id));
	return kms_change(k, default_tx, n, false);
}

static enum err
op_test(struct kms *k, struct call *c)
{
	struct named *n = c->arg;
	struct far *f = NULL;

	TRY(gate_policy(k, c, "kms:DescribeCustomKeyStores", "*"));
	TRY(provider_find(k, n->name, &n->id));
	if (n->id == 0)
		return OK;
	TRY(far_get(k, n->id, &f));
	return f->ops->check(f->p, NULL, 0);
}

enum err
kms_provider_remove(struct kms *k, const struct kms_who *who, const char *name)
{
	struct named n = { .name = name };
	struct call c = { .who = who, .event = "RemoveKeyProvider", .arg = &n };

	return gate_run(k, &c, op_remove);
}

enum err
kms_provider_default(struct kms *k, const struct kms_who *who, const char *name)
{
	struct named n = { .name = name };
	struct call c = {
		.who = who, .event = "SetDefaultKeyProvider", .arg = &n
	};

	return gate_run(k, &c, op_default);
}

enum err
kms_provider_test(struct kms *k, const struct kms_who *who, const char *name)
{
	struct named n = { .name = name };
	struct call c = { .who = who,
		.event = "TestKeyProvider",
		.read_only = true,
		.arg = &n };

	return gate_run(k, &c, op_test);
}

/* ---- Listing ---------------------------------------------------------------- */

struct one {
	int64_t id, created;
	char name[KMS_NAME_MAX];
	uint64_t versions;
};

struct list {
	struct one *v;
	size_t n;
};

static uint64_t
count_versions(const struct table *t, int64_t id)
{
	uint64_t n = 0;

	for (size_t i = 0; i < t->nkeys; i++)
		for (uint32_t j = 0; j < t->keys[i].nv; j++)
			n += t->keys[i].v[j].provider == id;
	return n;
}

/* Copied out, so that callbacks run without a lock. */
static enum err
op_list(struct kms *k, struct call *c)
{
	struct list *l = c->arg;
	bool changed;

	TRY(gate_policy(k, c, "kms:DescribeCustomKeyStores", "*"));
	TRY(kms_fresh_db(k, &changed));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	l->v = calloc(k->tab->nproviders + 1, sizeof(*l->v));
	if (l->v == NULL)
		return ERR_NOMEM;
	strcpy(l->v[l->n].name, KMS_LOCAL);
	l->v[l->n++].versions = count_versions(k->tab, 0);
	for (size_t i = 0; i < k->tab->nproviders; i++) {
		const struct tprovider *t = &k->tab->providers[i];

		l->v[l->n].id = t->id;
		l->v[l->n].created = t->created;
		memcpy(l->v[l->n].name, t->name, sizeof(t->name));
		l->v[l->n++].versions = count_versions(k->tab, t->id);
	}
	return OK;
}

enum err
kms_provider_list(struct kms *k, const struct kms_who *who,
    bool (*cb)(void *arg, const struct kms_provider *p), void *arg)
{
	struct provider_option opt[PROVIDER_OPTIONS_MAX];
	uint8_t *text CLEANUP_FREE = malloc(CONF_MAX);
	struct list l = { 0 };
	struct one *v CLEANUP_FREE = NULL;
	struct call c = { .who = who,
		.event = "ListKeyProviders",
		.read_only = true,
		.arg = &l };
	const enum err e = text == NULL ? ERR_NOMEM : gate_run(k, &c, op_list);
	int64_t choice = 0;

	v = l.v;
	TRY(e);
	TRY(far_choice(k, &choice));
	for (size_t i = 0; i < l.n; i++) {
		struct kms_provider p = { .name = v[i].name,
			.is_default = v[i].id == choice,
			.versions = v[i].versions,
			.created = v[i].created };

		if (v[i].id != 0)
			TRY(far_conf(k, v[i].id, text, opt, &p.conf));
		if (!cb(arg, &p))
			break;
	}
	return OK;
}
