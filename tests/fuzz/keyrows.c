/*
 * The keystore's rows of master keys, their material and aliases, from tables
 * that hold any type in any column, as a damaged keystore may (kms/table.c).
 * What loads is in range and can be found by every name it has.  Identities are
 * people.c's.
 *
 * Input: rows, each a byte that chooses the table (0 keys, 1 versions, 2
 * aliases, 3 meta; from 128 on: grants, what else there is of keys, of versions,
 * versions elsewhere, providers, the choice of one) and its columns: a type, then
 * a number, or a length and bytes.
 */
#include "kms/reference.h"
#include "kms/table.h"

#include "tests/fuzz/fuzz.h"

#define REGION "eu-central-1"
#define ROWS 64

static const char make_tables[] =
    "CREATE TABLE keys(id, uuid, tenant, state, kind, created, description,"
    "  delete_at DEFAULT 0, rotate_days DEFAULT 0, rotate_at DEFAULT 0,"
    "  origin DEFAULT 0, expires DEFAULT 0, imported DEFAULT x'',"
    "  policy DEFAULT '');"
    "CREATE TABLE versions(key, version, created, sealed, reason DEFAULT 0,"
    "  provider DEFAULT 0, wraps DEFAULT 0);"
    "CREATE TABLE aliases(tenant, name, key, created DEFAULT 0,"
    "  updated DEFAULT 0);"
    "CREATE TABLE grants(id, key, name, grantee, retiring, issuer,"
    "  operations, constrained, context, created);"
    "CREATE TABLE providers(id, name, sealed, created);"
    "CREATE TABLE tenants(tenant, sse_kms_role, customer_keys);"
    "CREATE TABLE users(tenant, name, id, admin, created);"
    "CREATE TABLE access_keys(id, tenant, user, sealed, active, created);"
    "CREATE TABLE user_roles(tenant, user, role);"
    "CREATE TABLE policies(tenant, name, text);"
    "CREATE TABLE attachments(tenant, to_role, principal, policy);"
    "CREATE TABLE meta(k, v)";
static const char empty_tables[] =
    "DELETE FROM keys; DELETE FROM versions; DELETE FROM aliases;"
    "DELETE FROM grants; DELETE FROM providers; DELETE FROM meta; INSERT INTO "
    "meta VALUES('epoch', 7)";

static const struct {
	const char *sql;
	int columns;
} tables[] = {
	{ "INSERT INTO keys(id, uuid, tenant, state, kind, created, "
	  "description) VALUES(?,?,?,?,?,?,?)",
	    7 },
	{ "INSERT INTO versions(key, version, created, sealed) "
	  "VALUES(?,?,?,?)",
	    4 },
	{ "INSERT INTO aliases(tenant, name, key) VALUES(?,?,?)", 3 },
	{ "UPDATE meta SET v=?", 1 },
	{ "INSERT INTO grants VALUES(?,?,?,?,?,?,?,?,?,?)", 10 },
	{ "UPDATE keys SET delete_at=?, rotate_days=?, rotate_at=?, origin=?, "
	  "expires=?, imported=?, policy=?",
	    7 },
	{ "UPDATE versions SET reason=?", 1 },
	{ "INSERT INTO versions(key, version, created, sealed, provider, "
	  "reason) VALUES(?,?,?,?,?,?)",
	    6 },
	{ "INSERT INTO providers VALUES(?,?,?,?)", 4 },
	{ "INSERT INTO meta VALUES('provider', ?)", 1 },
};

#define FIRST_TABLES 4

static sqlite3 *
database(void)
{
	static sqlite3 *h;

	if (h == NULL) {
		HOLDS(sqlite3_open(":memory:", &h) == SQLITE_OK);
		HOLDS(sqlite3_exec(h, make_tables, NULL, NULL, NULL) ==
		      SQLITE_OK);
	}
	HOLDS(sqlite3_exec(h, empty_tables, NULL, NULL, NULL) == SQLITE_OK);
	return (h);
}

/* Lengths that mean something are reached by one byte. */
static size_t
length(struct feed *f)
{
	static const size_t some[] = { UUID_LEN, MATERIAL_SEALED,
		KMS_NAME_MAX - 1, KMS_NAME_MAX, KMS_DESC_MAX - 1,
		KMS_DESC_MAX };
	const size_t n = (size_t)feed_int(f, 1);

	return (n < 250 ? n : some[n - 250]);
}

static void
bind(struct feed *f, sqlite3_stmt *st, int col)
{
	static uint8_t bytes[KMS_DESC_MAX + KMS_NAME_MAX];
	size_t n;

	switch (feed_int(f, 1) % 6) {
	case 0:
		sqlite3_bind_int64(st, col, (int64_t)feed_int(f, 1));
		break;
	case 1:
		sqlite3_bind_int64(st, col, (int64_t)feed_int(f, 8));
		break;
	case 2:
		n = length(f);
		feed_bytes(f, bytes, n);
		sqlite3_bind_blob(st, col, bytes, (int)n, SQLITE_TRANSIENT);
		break;
	case 3:
		n = length(f);
		feed_bytes(f, bytes, n);
		sqlite3_bind_text(
		    st, col, (const char *)bytes, (int)n, SQLITE_TRANSIENT);
		break;
	case 4:
		sqlite3_bind_double(st, col, (double)feed_int(f, 2) / 8);
		break;
	default:
		sqlite3_bind_null(st, col);
		break;
	}
}

static void
fill(struct feed *f, sqlite3 *h)
{
	for (unsigned i = 0; i < ROWS && f->len > 0; i++) {
		const uint64_t b = feed_int(f, 1);
		const size_t t =
		    b < 128
			? b % FIRST_TABLES
			: FIRST_TABLES + b % (COUNTOF(tables) - FIRST_TABLES);
		sqlite3_stmt *st = NULL;

		HOLDS(sqlite3_prepare_v2(h, tables[t].sql, -1, &st, NULL) ==
		      SQLITE_OK);
		for (int col = 1; col <= tables[t].columns; col++)
			bind(f, st, col);
		HOLDS(sqlite3_step(st) == SQLITE_DONE);
		HOLDS(sqlite3_finalize(st) == SQLITE_OK);
	}
}

static void
sound_key(const struct table *t, const struct tkey *k)
{
	HOLDS(k->row > 0);
	HOLDS(k->nv > 0 || k->state == KMS_PENDING_IMPORT ||
	      k->state == KMS_PENDING_DELETION);
	HOLDS(k->origin <= KMS_ORIGIN_EXTERNAL && k->expires >= 0);
	for (size_t i = 0; i < k->ngrants; i++) {
		HOLDS(k->grants[i]->g.operations != 0);
		HOLDS(k->allow[i].noperations > 0);
		HOLDS(k->grants[i]->g.npairs <= 64);
	}
	for (uint32_t i = 0; i < k->nv; i++) {
		const struct version *v = &k->v[i];

		HOLDS((v->provider != 0) == (v->far != NULL));
		HOLDS(v->far == NULL ||
		      (v->far->len > 0 && v->far->len <= REFERENCE_SEALED_MAX));
	}
	HOLDS(k->state <= KMS_UNAVAILABLE && k->kind <= KEY_SERVICE);
	HOLDS(strnlen(k->tenant, sizeof(k->tenant)) < sizeof(k->tenant));
	HOLDS(strlen(k->description) < KMS_DESC_MAX);
	HOLDS(strlen(k->arn) < KMS_ARN_MAX);
	/* Of rows with one uuid, one is found. */
	HOLDS(table_by_id(t, k->uuid) != NULL);
	HOLDS(memcmp(table_by_id(t, k->uuid)->uuid, k->uuid, UUID_LEN) == 0);
	HOLDS(table_by_arn(t, k->arn) != NULL);
	HOLDS(strcmp(table_by_arn(t, k->arn)->arn, k->arn) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	struct db db = { database() };
	struct table *t = NULL;

	fill(&f, db.h);
	const enum err e = table_load(&db, REGION, NULL, NULL, &t);

	HOLDS(e == OK || e == ERR_CORRUPT);
	HOLDS((e == OK) == (t != NULL));
	/* Nothing is left open. */
	HOLDS(sqlite3_get_autocommit(db.h) != 0);
	if (e != OK)
		return (0);
	for (size_t i = 0; i < t->nkeys; i++)
		sound_key(t, &t->keys[i]);
	for (size_t i = 0; i < t->nproviders; i++) {
		const struct tprovider *p = &t->providers[i];

		HOLDS(p->id > 0 && p->len > 0 && p->len <= CONF_SEALED_MAX);
		HOLDS(strnlen(p->name, sizeof(p->name)) < sizeof(p->name));
		HOLDS(table_provider(t, p->id) != NULL);
	}
	for (size_t i = 0; i < t->naliases; i++)
		HOLDS(t->aliases[i].key != NULL);
	HOLDS(table_by_arn(t, "short") == NULL);
	table_free(t);
	return (0);
}
