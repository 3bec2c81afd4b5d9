/*
 * The keystore's rows of identities, with any values that their tables take, as
 * whoever has the key of their MACs could write them (kms/people.c).  What loads
 * is in range and can be found; what is stored as a policy is one, or is refused
 * when it is used.  Rows whose MACs are not right are not taken.
 *
 * Input: rows, each a byte that chooses the table (0 tenants, 1 users, 2 access
 * keys, 3 roles, 4 policies, 5 attachments, 6 meta) and its columns: a type,
 * then a number, or a length and bytes.  Few different names, so that rows meet.
 * Rows that a table refuses are left out.
 */
#include "kms/people.h"
#include "kms/schema.h"
#include "kms/who_mac.h"

#include "tests/fuzz/fuzz.h"

#define ROWS 64

static const char empty_tables[] =
    "DELETE FROM tenants; DELETE FROM users; DELETE FROM access_keys;"
    "DELETE FROM user_roles; DELETE FROM policies; DELETE FROM attachments;"
    "DELETE FROM meta";

static const struct {
	const char *sql;
	int columns;
} tables[] = {
	{ "INSERT INTO tenants(tenant, sse_kms_role, customer_keys, created)"
	  " VALUES(?,?,?,0)",
	    3 },
	{ "INSERT INTO users(tenant, name, id, admin, created)"
	  " VALUES(?,?,?,?,?)",
	    5 },
	{ "INSERT INTO access_keys(id, tenant, user, sealed, active, created)"
	  " VALUES(?,?,?,?,?,?)",
	    6 },
	{ "INSERT INTO user_roles(tenant, user, role) VALUES(?,?,?)", 3 },
	{ "INSERT INTO policies(tenant, name, text, created, updated)"
	  " VALUES(?,?,?,0,0)",
	    3 },
	{ "INSERT INTO attachments(tenant, to_role, principal, policy)"
	  " VALUES(?,?,?,?)",
	    4 },
	{ "INSERT OR REPLACE INTO meta(k, v) VALUES('who', ?)", 1 },
};

static sqlite3 *
database(void)
{
	static struct db db;

	if (db.h == NULL) {
		HOLDS(sqlite3_open(":memory:", &db.h) == SQLITE_OK);
		HOLDS(schema_make(&db) == OK);
	}
	HOLDS(sqlite3_exec(db.h, empty_tables, NULL, NULL, NULL) == SQLITE_OK);
	return (db.h);
}

static void
bind(struct feed *f, sqlite3_stmt *st, int col)
{
	static const char *const names[] = { "t", "alice", "bob", "role", "p",
		"root", "" };
	static const char policy[] =
	    "{\"Version\":\"1.1\",\"Statement\":[{\"Effect\":\"Allow\","
	    "\"Action\":\"kms:*:*\"}]}";
	static uint8_t bytes[256];
	size_t n;

	switch (feed_int(f, 1) % 7) {
	case 0:
		sqlite3_bind_int64(st, col, (int64_t)feed_int(f, 1));
		break;
	case 1:
		sqlite3_bind_int64(st, col, (int64_t)feed_int(f, 8));
		break;
	case 2:
		n = (size_t)feed_int(f, 1);
		feed_bytes(f, bytes, n);
		sqlite3_bind_blob(st, col, bytes, (int)n, SQLITE_TRANSIENT);
		break;
	case 3:
		n = (size_t)feed_int(f, 1);
		feed_bytes(f, bytes, n);
		sqlite3_bind_text(
		    st, col, (const char *)bytes, (int)n, SQLITE_TRANSIENT);
		break;
	case 4:
		sqlite3_bind_text(st, col,
		    names[feed_int(f, 1) % COUNTOF(names)], -1, SQLITE_STATIC);
		break;
	case 5:
		sqlite3_bind_text(st, col, policy, -1, SQLITE_STATIC);
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
		const size_t t = (size_t)feed_int(f, 1) % COUNTOF(tables);
		sqlite3_stmt *st = NULL;

		HOLDS(sqlite3_prepare_v2(h, tables[t].sql, -1, &st, NULL) ==
		      SQLITE_OK);
		for (int col = 1; col <= tables[t].columns; col++)
			bind(f, st, col);
		(void)sqlite3_step(st);
		(void)sqlite3_finalize(st);
	}
}

static void
sound_user(const struct people *p, const struct puser *u)
{
	const struct policy *policy = NULL;

	HOLDS(strlen(u->u.tenant) < KMS_NAME_MAX);
	HOLDS(strlen(u->u.name) < KMS_NAME_MAX && !people_reserved(u->u.name));
	HOLDS(people_user(p, u->u.tenant, u->u.name) != NULL);
	for (size_t i = 0; i < u->nroles; i++)
		HOLDS(people_has_role(u, u->role[i]));
	for (size_t i = 0; i < u->ndocs; i++) {
		enum err e = document_get(&u->doc[i]->d, &policy);

		HOLDS(strcmp(u->doc[i]->tenant, u->u.tenant) == 0);
		HOLDS(e == OK || e == ERR_CORRUPT);
		HOLDS(e != OK || policy_statements(policy) > 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	struct db db = { database() };
	struct people *p = NULL, *again = NULL;
	const struct policy *full = NULL;
	struct hmac_key key;

	hmac_key_set(&key, "key", 3);
	fill(&f, db.h);
	if (who_mac_write(&db, &key) != OK)
		return (0);
	const enum err e = people_load(&db, &key, NULL, &p);

	HOLDS(e == OK || e == ERR_CORRUPT);
	HOLDS((e == OK) == (p != NULL));
	if (e != OK)
		return (0);
	HOLDS(!p->altered);
	for (size_t i = 0; i < p->nusers; i++)
		sound_user(p, &p->users[i]);
	for (size_t i = 0; i < p->nsecrets; i++)
		HOLDS(p->secrets[i].user < p->nusers);
	for (size_t i = 0; i < p->ntenants; i++)
		HOLDS(people_tenant(p, p->tenants[i].name) != NULL);
	HOLDS(document_get(&p->full, &full) == OK);
	/* Nothing was changed: the same again. */
	HOLDS(people_load(&db, &key, p, &again) == OK && again == p);
	people_unref(again);
	people_unref(p);
	/* Under another key's MACs: nobody. */
	hmac_key_set(&key, "other", 5);
	HOLDS(people_load(&db, &key, NULL, &p) == OK);
	HOLDS(p->altered && p->nusers == 0 && p->nsecrets == 0);
	people_unref(p);
	return (0);
}
