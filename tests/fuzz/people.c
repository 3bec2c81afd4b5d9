/*
 * The keystore's rows of identities, from tables that hold any type in any
 * column, as a damaged keystore may (kms/people.c).  What loads is in range and
 * can be found; what is stored as a policy is one, or is refused when it is
 * used.
 *
 * Input: rows, each a byte that chooses the table (0 tenants, 1 users, 2 access
 * keys, 3 roles, 4 policies, 5 attachments, 6 meta) and its columns: a type,
 * then a number, or a length and bytes.  Few different names, so that rows meet.
 */
#include "kms/people.h"

#include "tests/fuzz/fuzz.h"

#define ROWS 64

static const char make_tables[] =
    "CREATE TABLE tenants(tenant, sse_kms_role, customer_keys);"
    "CREATE TABLE users(tenant, name, id, admin, created);"
    "CREATE TABLE access_keys(id, tenant, user, sealed, active, created);"
    "CREATE TABLE user_roles(tenant, user, role);"
    "CREATE TABLE policies(tenant, name, text);"
    "CREATE TABLE attachments(tenant, to_role, principal, policy);"
    "CREATE TABLE meta(k, v)";
static const char empty_tables[] =
    "DELETE FROM tenants; DELETE FROM users; DELETE FROM access_keys;"
    "DELETE FROM user_roles; DELETE FROM policies; DELETE FROM attachments;"
    "DELETE FROM meta";

static const struct {
	const char *sql;
	int columns;
} tables[] = {
	{ "INSERT INTO tenants VALUES(?,?,?)", 3 },
	{ "INSERT INTO users VALUES(?,?,?,?,?)", 5 },
	{ "INSERT INTO access_keys VALUES(?,?,?,?,?,?)", 6 },
	{ "INSERT INTO user_roles VALUES(?,?,?)", 3 },
	{ "INSERT INTO policies VALUES(?,?,?)", 3 },
	{ "INSERT INTO attachments VALUES(?,?,?,?)", 4 },
	{ "INSERT INTO meta VALUES('who', ?)", 1 },
};

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
		HOLDS(sqlite3_step(st) == SQLITE_DONE);
		HOLDS(sqlite3_finalize(st) == SQLITE_OK);
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

	fill(&f, db.h);
	const enum err e = people_load(&db, NULL, NULL, &p);

	HOLDS(e == OK || e == ERR_CORRUPT);
	HOLDS((e == OK) == (p != NULL));
	if (e != OK)
		return (0);
	for (size_t i = 0; i < p->nusers; i++)
		sound_user(p, &p->users[i]);
	for (size_t i = 0; i < p->nsecrets; i++)
		HOLDS(p->secrets[i].user < p->nusers);
	for (size_t i = 0; i < p->ntenants; i++)
		HOLDS(people_tenant(p, p->tenants[i].name) != NULL);
	HOLDS(document_get(&p->full, &full) == OK);
	/* Nothing was changed: the same again. */
	HOLDS(people_load(&db, NULL, p, &again) == OK && again == p);
	people_unref(again);
	people_unref(p);
	return (0);
}
