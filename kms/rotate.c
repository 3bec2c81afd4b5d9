/*
 * Rotation: new versions of master keys, by hand and by period.  The old ones
 * stay and decrypt.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include "kms/api.h"
#include "kms/far.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"
#include "kms/providers.h"

#define DAY_S (INT64_C(24) * 3600)
#define SERVICE_ROTATE_S (365 * DAY_S)
#define SERVICE_CHECK_NS (UINT64_C(3600) * 1000000000)

enum err
keys_version(struct kms *k, const uint8_t *uuid, const char *tenant,
    enum key_kind kind, uint32_t version, enum version_reason reason,
    const struct far_key *far)
{
	const int64_t now = clock_wall().tv_sec;
	const struct reference_place at = { k->uuid, uuid, tenant, kind,
		version, now };
	uint8_t sealed[REFERENCE_SEALED_MAX];
	size_t len = MATERIAL_SEALED;

	if (far == NULL || far->provider == 0) {
		TRY(material_seal(k->seal, k->uuid, uuid, tenant, kind, version,
		    now, sealed));
	} else {
		len = far->reflen + AEAD_OVERHEAD;
		TRY(reference_seal(k->seal, &at, far, sealed));
	}
	return kdb_run(&k->db,
	    "INSERT INTO versions(key, version, created, sealed, reason, "
	    "provider) VALUES(?,?,?,?,?,?)",
	    "biibii", (const void *)uuid, (size_t)UUID_LEN, (int64_t)version,
	    now, (const void *)sealed, len, (int64_t)reason,
	    far == NULL ? (int64_t)0 : far->provider);
}

struct rotate {
	uint8_t uuid[UUID_LEN];
	char tenant[KMS_NAME_MAX];
	enum key_kind kind;
	enum version_reason reason;
	int64_t older;  /* only when the current version is older than this */
	uint32_t after; /* only when this is the current version; 0: any */
	struct far_key far;
};

/* Those by period are counted by nobody. */
static enum err
demand_check(struct kms *k, const struct rotate *r)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t n = 0;
	bool row = false;

	if (r->reason != VERSION_ON_DEMAND)
		return OK;
	TRY(kdb_query(&k->db, &st,
	    "SELECT count(*) FROM versions WHERE key = ? AND reason = ?", "bi",
	    (const void *)r->uuid, sizeof(r->uuid), (int64_t)r->reason));
	TRY(kdb_step(&k->db, st, &row));
	TRY(kdb_col_int(st, 0, 0, INT64_MAX, &n));
	if (n >= KMS_ON_DEMAND_MAX)
		return err_fail(ERR_LIMIT,
		    "a key is rotated on demand %d times at most; a period "
		    "goes on for ever",
		    KMS_ON_DEMAND_MAX);
	return OK;
}

static enum err
rotate_tx(struct kms *k, void *arg)
{
	const struct rotate *r = arg;
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t version = 0, created = 0;
	bool row = false;

	TRY(kdb_query(&k->db, &st,
	    "SELECT version, created FROM versions WHERE key = ? "
	    "ORDER BY version DESC LIMIT 1",
	    "b", (const void *)r->uuid, sizeof(r->uuid)));
	TRY(kdb_step(&k->db, st, &row));
	if (!row)
		return err_fail(ERR_NOKEY, "no such key");
	TRY(kdb_col_int(st, 0, 1, UINT32_MAX - 1, &version));
	TRY(kdb_col_int(st, 1, INT64_MIN, INT64_MAX, &created));
	if ((r->older != 0 && created > r->older) ||
	    (r->after != 0 && version != r->after))
		return ERR_EXIST;
	TRY(demand_check(k, r));
	return keys_version(k, r->uuid, r->tenant, r->kind,
	    (uint32_t)version + 1, r->reason, &r->far);
}

/* A new version in ${provider}: its key first, then the row. */
static enum err
rotate_in(struct kms *k, struct rotate *r, int64_t provider, kms_change_fn *fn,
    void *arg)
{
	enum err e;

	TRY(far_make(k, provider, r->uuid, r->tenant, &r->far));
	e = kms_change(k, fn, arg, false);
	if (e != OK)
		far_drop(k, &r->far);
	return e;
}

/* A new version where the current one is. */
static enum err
rotate_there(struct kms *k, struct rotate *r, kms_change_fn *fn, void *arg)
{
	int64_t provider = 0;

	TRY(far_of(k, r->uuid, &provider));
	return rotate_in(k, r, provider, fn, arg);
}

static void
rotate_of(const struct keyref *key, struct rotate *r)
{

	memcpy(r->uuid, key->uuid, UUID_LEN);
	memcpy(r->tenant, key->tenant, sizeof(r->tenant));
	r->kind = key->kind;
}

/* When was the current version of the service key made? */
static enum err
service_age(struct kms *k, struct rotate *r, int64_t *ret_created)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct name n = { .tenant = NAME_SERVICE_TENANT,
		.alias = KMS_SERVICE_KEY };
	const struct tkey *t = table_find(k->tab, &n);

	if (t == NULL)
		return ERR_NOKEY;
	memcpy(r->uuid, t->uuid, UUID_LEN);
	memcpy(r->tenant, t->tenant, sizeof(r->tenant));
	r->kind = t->kind;
	*ret_created = t->v[t->nv - 1].created;
	return OK;
}

enum err
keys_service_rotate(struct kms *k, const struct kms_who *who)
{
	struct rotate r = { 0 };
	const uint64_t now = clock_mono_ns();
	uint64_t last = atomic_load(&k->service_checked);
	int64_t created = 0;
	enum err e;

	if ((last != 0 && now - last < SERVICE_CHECK_NS) ||
	    !atomic_compare_exchange_strong(&k->service_checked, &last, now))
		return OK;
	r.older = clock_wall().tv_sec - SERVICE_ROTATE_S;
	TRY(service_age(k, &r, &created));
	if (created > r.older)
		return OK;
	e = rotate_there(k, &r, rotate_tx, &r);
	if (e == ERR_EXIST)
		return kms_fresh(k);
	TRY(e);
	return keys_record(k, who, "RotateKey", r.tenant, r.uuid, OK);
}

void
keys_rotate_full(struct kms *k, const struct keyref *key)
{
	const struct kms_who who = {
		.tenant = key->tenant, .user = "ssefs", .agent = "timer"
	};
	struct rotate r = { .after = key->version };
	enum err e;

	rotate_of(key, &r);
	e = rotate_there(k, &r, rotate_tx, &r);
	if (e == OK)
		e = keys_record(k, &who, "RotateKey", r.tenant, r.uuid, OK);
	else if (e == ERR_EXIST)
		e = kms_fresh(k);
	if (e != OK)
		log_warn("%s has encrypted many messages and could not be "
			 "given a new version: %s",
		    key->arn, err_detail(e));
}

static enum err
op_rotate(struct kms *k, struct call *c)
{
	struct rotate r = { .reason = VERSION_ON_DEMAND };

	TRY(gate_key(k, c, c->keyname, "kms:RotateKeyOnDemand", &c->key));
	TRY(state_allows(&c->key, KEY_OP_ROTATE));
	rotate_of(&c->key, &r);
	return rotate_there(k, &r, rotate_tx, &r);
}

enum err
kms_key_rotate(struct kms *k, const struct kms_who *who, const char *keyname)
{
	struct call c = { .who = who,
		.event = "RotateKeyOnDemand",
		.make = true,
		.keyname = keyname == NULL ? "" : keyname };

	return gate_run(k, &c, op_rotate);
}

static enum err
op_status(struct kms *k, struct call *c)
{

	TRY(gate_key(k, c, c->keyname, "kms:GetKeyRotationStatus", &c->key));
	return keys_describe(k, c->key.arn, c->arg);
}

enum err
kms_rotation_status(struct kms *k, const struct kms_who *who,
    const char *keyname, struct kms_desc *ret)
{
	struct call c = { .who = who,
		.event = "GetKeyRotationStatus",
		.read_only = true,
		.keyname = keyname == NULL ? "" : keyname,
		.arg = ret };

	return gate_run(k, &c, op_status);
}

/* ---- From one provider to another ------------------------------------------ */

struct move {
	const char *provider;
	bool *ret_moved;
};

static enum err
is_ours(struct kms *k, const struct keyref *key)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, key->uuid);

	if (t == NULL || t->origin == KMS_ORIGIN_KMS)
		return OK;
	return err_fail(ERR_NOTSUP,
	    "%s has imported material, which stays where it is", key->arn);
}

static enum err
op_move(struct kms *k, struct call *c)
{
	const struct move *m = c->arg;
	struct rotate r = { 0 };
	int64_t to = 0, from = 0;

	TRY(gate_key(k, c, c->keyname, "kms:RotateKeyOnDemand", &c->key));
	TRY(is_ours(k, &c->key));
	TRY(provider_find(k, m->provider, &to));
	TRY(far_of(k, c->key.uuid, &from));
	*m->ret_moved = from != to;
	if (from == to)
		return OK;
	TRY(state_allows(&c->key, KEY_OP_ROTATE));
	rotate_of(&c->key, &r);
	r.after = c->key.version;
	const enum err e = rotate_in(k, &r, to, rotate_tx, &r);

	if (e == ERR_EXIST)
		return err_fail(ERR_BUSY,
		    "%s was changed by somebody else meanwhile", c->key.arn);
	return e;
}

enum err
kms_key_move(struct kms *k, const struct kms_who *who, const char *keyname,
    const char *provider, bool *ret_moved)
{
	struct move m = { provider, ret_moved };
	struct call c = { .who = who,
		.event = "MoveKey",
		.keyname = keyname == NULL ? "" : keyname,
		.arg = &m };

	*ret_moved = false;
	return gate_run(k, &c, op_move);
}

struct every {
	char tenant[KMS_NAME_MAX];
	char arn[KMS_ARN_MAX];
};

static enum err
every_key(struct kms *k, struct every **ret, size_t *ret_n)
{
	bool changed;

	TRY(kms_fresh_db(k, &changed));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	*ret = calloc(k->tab->nkeys + 1, sizeof(**ret));
	if (*ret == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < k->tab->nkeys; i++) {
		struct every *e = &(*ret)[(*ret_n)++];

		memcpy(e->tenant, k->tab->keys[i].tenant, sizeof(e->tenant));
		strcpy(e->arn, k->tab->keys[i].arn);
		/* Which is nobody's, and used by all. */
		if (k->tab->keys[i].kind == KEY_SERVICE)
			strcpy(e->tenant, KMS_TENANT_DEFAULT);
	}
	return OK;
}

enum err
kms_keys_move(struct kms *k, const struct kms_who *who, const char *provider,
    void (*cb)(void *arg, const char *arn, enum err e), void *arg)
{
	struct every *v CLEANUP_FREE = NULL;
	size_t n = 0;
	int64_t to;

	TRY(provider_find(k, provider, &to));
	TRY(every_key(k, &v, &n));
	for (size_t i = 0; i < n; i++) {
		struct kms_who w = *who;
		bool moved;
		enum err e;

		w.tenant = v[i].tenant;
		e = kms_key_move(k, &w, v[i].arn, provider, &moved);
		if (e == ERR_NOKEY)
			continue; /* deleted meanwhile */
		if (moved || e != OK)
			cb(arg, v[i].arn, e);
		/* Then none of the others is moved either. */
		if (e == ERR_TIMEDOUT || e == ERR_IO || e == ERR_NOSPC ||
		    e == ERR_NOMEM)
			return e;
	}
	return OK;
}

/* ---- By period ---------------------------------------------------------- */

struct period {
	const struct keyref *key;
	unsigned days;
};

static enum err
period_tx(struct kms *k, void *arg)
{
	const struct period *p = arg;
	const int64_t now = clock_wall().tv_sec;

	TRY(kdb_run(&k->db,
	    "UPDATE keys SET rotate_days = ?, rotate_at = ? "
	    "WHERE uuid = ? AND state = ?",
	    "iibi", (int64_t)p->days, p->days == 0 ? 0 : now + p->days * DAY_S,
	    (const void *)p->key->uuid, (size_t)UUID_LEN,
	    (int64_t)p->key->state));
	return keys_changed(k, p->key);
}

static enum err
op_rotation(struct kms *k, struct call *c)
{
	const unsigned days = *(const unsigned *)c->arg;
	struct period p = { &c->key, days };

	TRY(gate_key(k, c, c->keyname,
	    days == 0 ? "kms:DisableKeyRotation" : "kms:EnableKeyRotation",
	    &c->key));
	TRY(state_managed(&c->key));
	TRY(state_allows(&c->key, KEY_OP_ROTATE));
	if (days > KMS_PERIOD_MAX)
		return err_fail(
		    ERR_INVAL, "a period is 1 to %d days", KMS_PERIOD_MAX);
	return kms_change(k, period_tx, &p, false);
}

enum err
kms_key_rotation(struct kms *k, const struct kms_who *who, const char *keyname,
    unsigned days)
{
	struct params params;
	char text[16];
	const char *value = text;
	const struct policy_fact fact =
	    POLICY_FACT("kms:RotationPeriodInDays", value);
	struct call c = { .who = who,
		.event = days == 0 ? "DisableKeyRotation" : "EnableKeyRotation",
		.keyname = keyname == NULL ? "" : keyname,
		.params = days == 0 ? NULL : &params,
		.facts = &fact,
		.nfacts = days == 0 ? 0 : 1,
		.arg = &days };

	(void)snprintf(text, sizeof(text), "%u", days);
	params_begin(&params);
	params_number(&params, "rotationPeriodInDays", days);
	return gate_run(k, &c, op_rotation);
}

struct due_rotate {
	const struct due *d;
	struct rotate *r;
};

/* A store may have been closed for several periods; the next one begins now. */
static enum err
due_tx(struct kms *k, void *arg)
{
	const struct due_rotate *dr = arg;
	const struct due *d = dr->d;

	TRY(kdb_run(&k->db,
	    "UPDATE keys SET rotate_at = ? + rotate_days * 86400 WHERE uuid = "
	    "? "
	    "AND state = ? AND rotate_days <> 0 AND rotate_at <= ?",
	    "ibii", d->now, (const void *)d->uuid, (size_t)UUID_LEN,
	    (int64_t)KMS_ENABLED, d->now));
	if (sqlite3_changes(k->db.h) == 0)
		return ERR_EXIST;
	return rotate_tx(k, dr->r);
}

enum err
keys_rotate_due(struct kms *k, struct due *d)
{
	const struct kms_who who = {
		.tenant = d->tenant, .user = "ssefs", .agent = "timer"
	};
	struct rotate r = { .kind = d->kind };
	struct due_rotate dr = { d, &r };
	enum err e;

	memcpy(r.uuid, d->uuid, UUID_LEN);
	memcpy(r.tenant, d->tenant, sizeof(r.tenant));
	e = rotate_there(k, &r, due_tx, &dr);

	if (e == ERR_EXIST)
		return kms_fresh(k);
	TRY(e);
	return keys_record(k, &who, "RotateKey", d->tenant, d->uuid, OK);
}
