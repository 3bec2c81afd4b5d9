/*
 * The keys in memory.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/rand.h"
#include "lib/base/buf.h"

#include "kms/authz.h"
#include "kms/reference.h"
#include "kms/table.h"

#define VERSIONS_MAX 1000000

/* ---- Look-up ------------------------------------------------------------ */

struct tkey *
table_by_id(const struct table *t, const uint8_t uuid[static UUID_LEN])
{
	size_t lo = 0, hi = t->nkeys;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		const int c = memcmp(uuid, t->keys[mid].uuid, UUID_LEN);

		if (c == 0)
			return &t->keys[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

/* Where the search for an ARN begins: its end is the random part. */
static size_t
arn_place(const struct table *t, const char *arn, size_t len)
{
	uint64_t tail;

	memcpy(&tail, arn + len - sizeof(tail), sizeof(tail));
	return (tail * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
	       (t->arn_places - 1);
}

struct tkey *
table_by_arn(const struct table *t, const char *arn)
{
	const size_t len = strnlen(arn, KMS_ARN_MAX);
	size_t i;

	if (len < sizeof(uint64_t) || t->arn_places == 0)
		return NULL;
	for (i = arn_place(t, arn, len); t->by_arn[i] != NULL;
	     i = (i + 1) & (t->arn_places - 1))
		if (strcmp(t->by_arn[i]->arn, arn) == 0)
			return t->by_arn[i];
	return NULL;
}

static struct tkey *
by_alias(const struct table *t, const char *tenant, const char *name)
{
	size_t lo = 0, hi = t->naliases;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		const struct talias *a = &t->aliases[mid];
		int c = strcmp(tenant, a->tenant);

		if (c == 0)
			c = strcmp(name, a->name);
		if (c == 0)
			return a->key;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

struct tkey *
table_find(const struct table *t, const struct name *n)
{

	if (n->by_id)
		return table_by_id(t, n->uuid);
	return by_alias(t, n->tenant, n->alias);
}

struct tprovider *
table_provider(const struct table *t, int64_t id)
{

	for (size_t i = 0; i < t->nproviders; i++)
		if (t->providers[i].id == id)
			return &t->providers[i];
	return NULL;
}

/* ---- Loading ------------------------------------------------------------ */

/* Room for one more of ${size} bytes in an array that doubles. */
static enum err
grow(void **array, size_t n, size_t size)
{
	void *bigger;

	if (n != 0 && (n < 8 || (n & (n - 1)) != 0))
		return OK;
	bigger = reallocarray(*array, n == 0 ? 8 : 2 * n, size);
	if (bigger == NULL)
		return ERR_NOMEM;
	*array = bigger;
	return OK;
}

/* What is stored has been read before; nobody guesses what it was to say. */
static enum err
load_policy(sqlite3_stmt *st, int col, struct policy **ret)
{
	const char *text = (const char *)sqlite3_column_text(st, col);
	const int len = sqlite3_column_bytes(st, col);
	enum err e = ERR_CORRUPT;

	if (text != NULL && len == 0)
		return OK;
	if (text != NULL)
		e = policy_parse(text, (size_t)len, POLICY_RESOURCE, ret, NULL);
	if (e == OK || e == ERR_NOMEM)
		return e;
	return err_fail(ERR_CORRUPT, "keystore: malformed policy of a key");
}

static enum err
load_key(sqlite3_stmt *st, const char *region, struct tkey *k)
{
	char arn[KMS_ARN_MAX];
	char description[KMS_DESC_MAX];
	int64_t state = 0, kind = 0, origin = 0;

	TRY(kdb_col_int(st, 0, 1, INT64_MAX, &k->row));
	TRY(kdb_col_blob(st, 1, k->uuid, UUID_LEN));
	TRY(kdb_col_text(st, 2, k->tenant, sizeof(k->tenant)));
	TRY(kdb_col_int(st, 3, KMS_ENABLED, KMS_UNAVAILABLE, &state));
	TRY(kdb_col_int(st, 4, KEY_CUSTOMER, KEY_SERVICE, &kind));
	TRY(kdb_col_int(st, 5, INT64_MIN, INT64_MAX, &k->created));
	TRY(kdb_col_text(st, 6, description, sizeof(description)));
	TRY(kdb_col_int(st, 7, 0, INT64_MAX, &k->delete_at));
	TRY(kdb_col_int(st, 8, 0, KMS_PERIOD_MAX, &k->rotate_days));
	TRY(kdb_col_int(st, 9, 0, INT64_MAX, &k->rotate_at));
	TRY(kdb_col_int(st, 10, KMS_ORIGIN_KMS, KMS_ORIGIN_EXTERNAL, &origin));
	TRY(kdb_col_int(st, 11, 0, INT64_MAX, &k->expires));
	k->was_imported = sqlite3_column_bytes(st, 12) != 0;
	if (k->was_imported)
		TRY(kdb_col_blob(st, 12, k->imported, sizeof(k->imported)));
	TRY(load_policy(st, 13, &k->policy));
	k->origin = (enum kms_origin)origin;
	k->state = (enum kms_state)state;
	k->kind = (enum key_kind)kind;
	k->description = strdup(description);
	name_arn(region, k->tenant, k->uuid, arn);
	k->arn = strdup(arn);
	return k->description == NULL || k->arn == NULL ? ERR_NOMEM : OK;
}

static enum err
load_keys(struct db *db, const char *region, struct table *t)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(db, &st,
	    "SELECT id, uuid, tenant, state, kind, created, description, "
	    "delete_at, rotate_days, rotate_at, origin, expires, imported, "
	    "policy "
	    "FROM keys ORDER BY uuid",
	    ""));
	for (;;) {
		void *p = t->keys;

		TRY(kdb_step(db, st, &row));
		if (!row)
			return OK;
		TRY(grow(&p, t->nkeys, sizeof(*t->keys)));
		t->keys = p;
		memset(&t->keys[t->nkeys], 0, sizeof(*t->keys));
		TRY(load_key(st, region, &t->keys[t->nkeys++]));
	}
}

static enum err
load_far(sqlite3_stmt *st, int col, struct version *v)
{

	v->far = calloc(1, sizeof(*v->far));
	if (v->far == NULL)
		return ERR_NOMEM;
	return kdb_col_bytes(
	    st, col, REFERENCE_SEALED_MAX, &v->far->sealed, &v->far->len);
}

static enum err
load_versions(struct db *db, struct table *t)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(db, &st,
	    "SELECT key, version, created, sealed, reason, provider "
	    "FROM versions "
	    "ORDER BY key, version",
	    ""));
	for (;;) {
		uint8_t uuid[UUID_LEN];
		struct tkey *k;
		struct version *v;
		int64_t n = 0;
		void *p;

		TRY(kdb_step(db, st, &row));
		if (!row)
			return OK;
		TRY(kdb_col_blob(st, 0, uuid, sizeof(uuid)));
		TRY(kdb_col_int(st, 1, 1, VERSIONS_MAX, &n));
		k = table_by_id(t, uuid);
		if (k == NULL || (uint32_t)n != k->nv + 1)
			return err_fail(
			    ERR_CORRUPT, "keystore: a version is out of place");
		p = k->v;
		TRY(grow(&p, k->nv, sizeof(*k->v)));
		k->v = p;
		v = &k->v[k->nv++];
		memset(v, 0, sizeof(*v));
		TRY(kdb_col_int(st, 2, INT64_MIN, INT64_MAX, &v->created));
		TRY(kdb_col_int(
		    st, 4, VERSION_BY_ITSELF, VERSION_ON_DEMAND, &v->reason));
		TRY(kdb_col_int(st, 5, 0, INT64_MAX, &v->provider));
		if (v->provider == 0)
			TRY(kdb_col_blob(st, 3, v->sealed, sizeof(v->sealed)));
		else
			TRY(load_far(st, 3, v));
	}
}

static enum err
load_aliases(struct db *db, struct table *t)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(db, &st,
	    "SELECT tenant, name, key, created, updated FROM aliases "
	    "ORDER BY tenant, name",
	    ""));
	for (;;) {
		uint8_t uuid[UUID_LEN];
		struct talias *a;
		void *p = t->aliases;

		TRY(kdb_step(db, st, &row));
		if (!row)
			return OK;
		TRY(grow(&p, t->naliases, sizeof(*t->aliases)));
		t->aliases = p;
		a = &t->aliases[t->naliases++];
		memset(a, 0, sizeof(*a));
		TRY(kdb_col_text(st, 0, a->tenant, sizeof(a->tenant)));
		TRY(kdb_col_text(st, 1, a->name, sizeof(a->name)));
		TRY(kdb_col_blob(st, 2, uuid, sizeof(uuid)));
		TRY(kdb_col_int(st, 3, INT64_MIN, INT64_MAX, &a->created));
		TRY(kdb_col_int(st, 4, 0, INT64_MAX, &a->updated));
		a->key = table_by_id(t, uuid);
		if (a->key == NULL)
			return err_fail(
			    ERR_CORRUPT, "keystore: an alias names no key");
	}
}

static int
by_key(const void *a, const void *b)
{
	const struct talias *const *x = a, *const *y = b;

	if ((*x)->key != (*y)->key)
		return (*x)->key < (*y)->key ? -1 : 1;
	return strcmp((*x)->name, (*y)->name);
}

static enum err
index_aliases(struct table *t)
{

	t->by_key = calloc(t->naliases + 1, sizeof(struct talias *));
	t->alias_names = calloc(t->naliases + 1, sizeof(const char *));
	if (t->by_key == NULL || t->alias_names == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < t->naliases; i++)
		t->by_key[i] = &t->aliases[i];
	qsort(t->by_key, t->naliases, sizeof(struct talias *), by_key);
	for (size_t i = 0; i < t->naliases; i++) {
		struct tkey *k = t->by_key[i]->key;

		t->alias_names[i] = t->by_key[i]->name;
		if (k->naliases++ == 0)
			k->alias = i;
	}
	return OK;
}

static enum err
load_providers(struct db *db, struct table *t)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(db, &st,
	    "SELECT id, name, sealed, created FROM providers ORDER BY id", ""));
	for (;;) {
		struct tprovider *p;
		void *more = t->providers;

		TRY(kdb_step(db, st, &row));
		if (!row)
			return OK;
		TRY(grow(&more, t->nproviders, sizeof(*t->providers)));
		t->providers = more;
		p = &t->providers[t->nproviders++];
		memset(p, 0, sizeof(*p));
		TRY(kdb_col_int(st, 0, 1, INT64_MAX, &p->id));
		TRY(kdb_col_text(st, 1, p->name, sizeof(p->name)));
		TRY(kdb_col_bytes(st, 2, CONF_SEALED_MAX, &p->sealed, &p->len));
		TRY(kdb_col_int(st, 3, INT64_MIN, INT64_MAX, &p->created));
	}
}

static enum err
load_choice(struct db *db, struct table *t)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(db, &st, "SELECT v FROM meta WHERE k = 'provider'", ""));
	TRY(kdb_step(db, st, &row));
	if (!row)
		return OK;
	t->choice = malloc(CHOICE_SEALED);
	if (t->choice == NULL)
		return ERR_NOMEM;
	return kdb_col_blob(st, 0, t->choice, CHOICE_SEALED);
}

static enum err
load_epoch(struct db *db, struct table *t)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t v = 0;
	bool row = false;

	TRY(kdb_query(db, &st, "SELECT v FROM meta WHERE k = 'epoch'", ""));
	TRY(kdb_step(db, st, &row));
	if (!row)
		return err_fail(ERR_CORRUPT, "keystore: no epoch");
	TRY(kdb_col_int(st, 0, 0, INT64_MAX, &v));
	t->db_epoch = (uint64_t)v;
	return OK;
}

static enum err
index_arns(struct table *t)
{
	size_t n = 2;

	while (n < 2 * t->nkeys)
		n *= 2;
	t->by_arn = calloc(n, sizeof(struct tkey *));
	if (t->by_arn == NULL)
		return ERR_NOMEM;
	t->arn_places = n;
	for (size_t i = 0; i < t->nkeys; i++) {
		const char *arn = t->keys[i].arn;
		size_t at = arn_place(t, arn, strlen(arn));

		while (t->by_arn[at] != NULL)
			at = (at + 1) & (n - 1);
		t->by_arn[at] = &t->keys[i];
	}
	return OK;
}

enum err
table_load(struct db *db, const char *region, const struct hmac_key *who,
    struct people *people, struct table **ret)
{
	struct table *t CLEANUP(table_cleanup) = calloc(1, sizeof(*t));
	struct kdb_tx tx CLEANUP_TX = { NULL };

	if (t == NULL)
		return ERR_NOMEM;
	TRY(kdb_begin_read(db, &tx));
	TRY(load_epoch(db, t));
	TRY(load_keys(db, region, t));
	TRY(index_arns(t));
	TRY(load_versions(db, t));
	TRY(load_aliases(db, t));
	TRY(table_load_grants(db, t));
	TRY(table_load_tags(db, t));
	TRY(index_aliases(t));
	TRY(people_load(db, who, people, &t->people));
	t->allowed = calloc(1, sizeof(*t->allowed));
	if (t->allowed == NULL)
		return ERR_NOMEM;
	TRY(load_providers(db, t));
	TRY(load_choice(db, t));
	for (size_t i = 0; i < t->nkeys; i++)
		/* A key waits for material, and may be given up waiting. */
		if (t->keys[i].nv == 0 &&
		    t->keys[i].state != KMS_PENDING_IMPORT &&
		    t->keys[i].state != KMS_PENDING_DELETION)
			return err_fail(
			    ERR_CORRUPT, "keystore: a key has no material");
	TRY(kdb_commit(&tx));
	*ret = steal(t);
	return OK;
}

void
table_free(struct table *t)
{

	if (t == NULL)
		return;
	for (size_t i = 0; i < t->nkeys; i++) {
		struct tkey *k = &t->keys[i];

		for (uint32_t j = 0; j < k->nv; j++) {
			secret_free(atomic_load(&k->v[j].mat));
			if (k->v[j].far != NULL)
				free(k->v[j].far->sealed);
			free(k->v[j].far);
		}
		for (size_t j = 0; j < k->ngrants; j++)
			free(k->grants[j]);
		free(k->grants);
		free(k->allow);
		table_free_tags(k);
		policy_free(k->policy);
		free(k->v);
		free(k->description);
		free(k->arn);
	}
	for (size_t i = 0; i < t->nproviders; i++)
		free(t->providers[i].sealed);
	free(t->providers);
	free(t->choice);
	free(t->by_arn);
	free(t->keys);
	free(t->aliases);
	free(t->by_key);
	free(t->alias_names);
	free(t->allowed);
	people_unref(t->people);
	free(t);
}

/* Messages asked for and not used; another version under the same number, in
 * a keystore put in the place of this one, has none. */
static void
inherit_far(struct far_version *to, struct far_version *from)
{

	if (to == NULL || from == NULL || to->len != from->len ||
	    memcmp(to->sealed, from->sealed, to->len) != 0)
		return;
	atomic_store(&to->budget, atomic_exchange(&from->budget, 0));
	atomic_store(&to->chunk, atomic_load(&from->chunk));
}

/* Whether prepared material stayed behind. */
static bool
inherit_version(struct version *to, struct version *from)
{

	if (to != NULL)
		inherit_far(to->far, from->far);
	if (to != NULL && to->far == NULL &&
	    memcmp(to->sealed, from->sealed, MATERIAL_SEALED) == 0)
		atomic_store(&to->mat, atomic_exchange(&from->mat, NULL));
	return atomic_load(&from->mat) != NULL;
}

uint32_t
table_inherit(struct table *t, struct table *old)
{
	uint32_t left = 0;

	for (size_t i = 0; i < old->nkeys; i++) {
		struct tkey *o = &old->keys[i];
		struct tkey *k = table_by_id(t, o->uuid);

		for (uint32_t j = 0; j < o->nv; j++)
			left += inherit_version(
			    k != NULL && j < k->nv ? &k->v[j] : NULL, &o->v[j]);
		if (k == NULL)
			continue;
		atomic_store(&k->calls, atomic_load(&o->calls));
		atomic_store(&k->told, atomic_load(&o->told));
	}
	return left;
}

/* ---- Material ----------------------------------------------------------- */

/*
 * Sealed material of one version (60 bytes), under a key derived from the
 * keystore master key, label "ssefs keystore material v1":
 *	 0 12  GCM nonce, random
 *	12 32  the material, encrypted
 *	44 16  GCM tag
 *
 * Its additional data (128 bytes), integers big-endian:
 *	 0 16  "ssefs-cmk-v1", then zeros
 *	16 16  UUID of the keystore
 *	32 16  UUID of the key
 *	48  4  version
 *	52  4  kind (0 customer's, 1 a tenant's default, 2 service)
 *	56  8  when the version was made, seconds since 1970
 *	64 64  the tenant, then zeros
 */
#define AD_LEN 128

_Static_assert(MATERIAL_SEALED == 60, "sealed material");
_Static_assert(64 + KMS_NAME_MAX - 1 == AD_LEN, "material data");

static void
material_ad(const uint8_t *ks, const uint8_t *uuid, const char *tenant,
    enum key_kind kind, uint32_t version, int64_t created,
    uint8_t ret[static AD_LEN])
{

	memset(ret, 0, AD_LEN);
	memcpy(ret, "ssefs-cmk-v1", 12);
	memcpy(ret + 16, ks, UUID_LEN);
	memcpy(ret + 32, uuid, UUID_LEN);
	put_u32(ret + 48, version);
	put_u32(ret + 52, (uint32_t)kind);
	put_u64(ret + 56, (uint64_t)created);
	memcpy(ret + 64, tenant, strnlen(tenant, KMS_NAME_MAX - 1));
}

enum err
material_seal_as(struct aead *seal, const uint8_t ks[static UUID_LEN],
    const uint8_t uuid[static UUID_LEN], const char *tenant, enum key_kind kind,
    uint32_t version, int64_t created, const uint8_t material[static KEY_LEN],
    uint8_t ret[static MATERIAL_SEALED])
{
	uint8_t ad[AD_LEN];

	material_ad(ks, uuid, tenant, kind, version, created, ad);
	return aead_seal_msg(seal, ad, sizeof(ad), material, KEY_LEN, ret);
}

enum err
material_seal(struct aead *seal, const uint8_t ks[static UUID_LEN],
    const uint8_t uuid[static UUID_LEN], const char *tenant, enum key_kind kind,
    uint32_t version, int64_t created, uint8_t ret[static MATERIAL_SEALED])
{
	WIPED(uint8_t, material, KEY_LEN);

	rand_bytes(material, sizeof(material));
	return material_seal_as(
	    seal, ks, uuid, tenant, kind, version, created, material, ret);
}

enum err
material_get(struct aead *seal, const uint8_t ks[static UUID_LEN],
    struct tkey *key, uint32_t version, _Atomic uint32_t *prepared,
    struct hmac_key *ret)
{
	WIPED(uint8_t, material, KEY_LEN);
	struct version *v = &key->v[version - 1];
	struct hmac_key *mat = atomic_load(&v->mat), *none = NULL;
	uint8_t ad[AD_LEN];
	enum err e;

	if (mat != NULL) {
		*ret = *mat;
		return OK;
	}
	material_ad(
	    ks, key->uuid, key->tenant, key->kind, version, v->created, ad);
	e = aead_open_msg(
	    seal, ad, sizeof(ad), v->sealed, sizeof(v->sealed), material);
	if (e == ERR_AUTH)
		return err_fail(
		    ERR_CORRUPT, "keystore: the material of a key was altered");
	TRY(e);
	hmac_key_set(ret, material, sizeof(material));
	/* It works without being kept, only slower; key memory is scarce. */
	if (atomic_fetch_add(prepared, 1) < MATERIAL_KEPT)
		mat = secret_alloc(sizeof(*mat));
	if (mat != NULL) {
		*mat = *ret;
		if (atomic_compare_exchange_strong(&v->mat, &none, mat))
			return OK;
		secret_free(mat);
	}
	(void)atomic_fetch_sub(prepared, 1);
	return OK;
}
