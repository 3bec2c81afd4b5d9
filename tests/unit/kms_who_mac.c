/*
 * Identities that somebody edited in the keystore (kms/who_mac.h).
 */
#include <sqlite3.h>

#include "kms/who.h"
#include "tests/unit/kms_common.h"

static const struct kms_who alice = { .user = "alice", .agent = "test" };
static const struct kms_who bob = { .user = "bob", .agent = "test" };

static void
add(struct kms *k, const char *name)
{
	struct kms_user u;

	assert_ok(kms_user_create(k, &root_user, name, false, &u, NULL));
	assert_string_equal(u.name, name);
}

static void
put(struct kms *k, const char *name, const char *text)
{
	assert_ok(kms_policy_put(k, &root_user, name, text, strlen(text)));
}

#define AWS(effect, action)                                                \
	"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"" effect \
	"\",\"Action\":" action ",\"Resource\":\"*\"}]}"

static enum err
decrypt(struct kms *k, const struct kms_who *who, const struct sample *s)
{
	struct key *dek = key_new();
	const enum err e =
	    kms_unwrap(k, who, s->blob, s->len, some_ctx, 2, dek);

	key_free(dek);
	return e;
}

static void
sql(const struct place *p, const char *text)
{
	sqlite3 *h = NULL;
	char *msg = NULL;

	assert_int_equal(sqlite3_open(p->path, &h), SQLITE_OK);
	if (sqlite3_exec(h, text, NULL, NULL, &msg) != SQLITE_OK)
		fail_msg("%s: %s", text, msg);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

static void
count_finding(void *arg, const char *what)
{
	(void)what;
	++*(unsigned *)arg;
}

/* How many findings there are. */
static unsigned
findings(const struct place *p)
{
	struct kms *k = place_open(p);
	unsigned n = 0;
	bool good = false;

	assert_ok(kms_identities_check(k, count_finding, &n, &good));
	assert_true(good == (n == 0));
	kms_close(k);
	return n;
}

static void
furnish(const struct place *p, struct sample *ret)
{
	struct kms *k = place_open(p);
	const struct kms_tenant t = { .sse_kms_role = "r",
		.customer_keys = true };
	struct kms_user u;
	struct kms_secret s;

	sample_make(k, NULL, ret);
	assert_ok(kms_user_create(k, &root_user, "alice", false, &u, &s));
	kms_secret_release(&s);
	add(k, "bob");
	put(k, "p", AWS("Allow", "\"kms:Decrypt\""));
	put(k, "no", AWS("Deny", "\"kms:Decrypt\""));
	assert_ok(kms_policy_attach(k, &root_user, "p", false, "bob"));
	assert_ok(kms_policy_attach(k, &root_user, "no", true, "r"));
	assert_ok(kms_role_add(k, &root_user, "alice", "r"));
	assert_ok(kms_tenant_set(k, &root_user, &t));
	assert_ok(kms_role_add(k, &root_user, "bob", "r"));
	assert_ok(kms_policy_detach(k, &root_user, "no", true, "r"));
	assert_ok(decrypt(k, &bob, ret));
	kms_close(k);
}

static void
test_altered(void **state)
{
	static const char *const edits[] = {
		"UPDATE users SET admin = 1 WHERE name = 'alice'",
		"UPDATE users SET created = created + 1 WHERE name = 'bob'",
		"UPDATE access_keys SET active = 0",
		"UPDATE access_keys SET sealed = zeroblob(68)",
		"UPDATE policies SET text = (SELECT text FROM policies "
		"WHERE name = 'p') WHERE name = 'no'",
		"UPDATE policies SET mac = (SELECT mac FROM users LIMIT 1)",
		"UPDATE policies SET mac = x''",
		"UPDATE tenants SET sse_kms_role = ''",
		"UPDATE user_roles SET role = 'admin' WHERE user = 'alice'",
		"INSERT INTO attachments SELECT tenant, to_role, 'alice', "
		"policy, mac FROM attachments",
		"INSERT INTO users SELECT 't2', name, 'AIDAX', 1, 0, mac "
		"FROM users WHERE name = 'alice'",
		"DELETE FROM user_roles WHERE user = 'alice'",
		"DELETE FROM users WHERE name = 'alice'",
		"DELETE FROM tenants",
		"UPDATE meta SET v = v - 1 WHERE k = 'who'",
		"DELETE FROM meta WHERE k = 'who_mac'",
		"UPDATE meta SET v = zeroblob(32) WHERE k = 'who_mac'",
		/* The rows are right; an index that SQLite takes for the same
		 * says otherwise. */
		"CREATE INDEX evil ON users(tenant, name, id, (admin + 1), "
		"created); PRAGMA writable_schema = ON; UPDATE sqlite_master "
		"SET sql = 'CREATE INDEX evil ON users(tenant, name, id, "
		"admin, created)' WHERE name = 'evil'",
		"CREATE INDEX evil ON policies((tenant), name, "
		"(replace(text, 'Deny', 'Allow'))); PRAGMA writable_schema = "
		"ON; UPDATE sqlite_master SET sql = 'CREATE INDEX evil ON "
		"policies(tenant, name, text)' WHERE name = 'evil'",
		"CREATE INDEX evil ON attachments(tenant, to_role, principal)",
		"CREATE TRIGGER evil AFTER INSERT ON grants BEGIN "
		"UPDATE users SET admin = 1; END",
		"CREATE VIEW evil AS SELECT * FROM users",
		"CREATE TABLE evil(a)",
		"DROP INDEX keys_default; "
		"CREATE INDEX keys_default ON keys(tenant)",
		"DROP INDEX grants_key",
		/* An older program's, they say. */
		"UPDATE users SET admin = 1;"
		"ALTER TABLE users DROP COLUMN mac;"
		"ALTER TABLE tenants DROP COLUMN mac;"
		"ALTER TABLE access_keys DROP COLUMN mac;"
		"ALTER TABLE user_roles DROP COLUMN mac;"
		"ALTER TABLE policies DROP COLUMN mac;"
		"ALTER TABLE attachments DROP COLUMN mac;"
		"UPDATE meta SET v = 5 WHERE k = 'format'",
	};
	const struct place *p = *state;
	struct kms_user u;
	struct sample s;
	char cmd[1024];

	furnish(p, &s);
	(void)snprintf(cmd, sizeof(cmd), "cp -a %s %s.good", p->path, p->path);
	assert_int_equal(system(cmd), 0);
	(void)snprintf(cmd, sizeof(cmd),
	    "rm -f %s-wal %s-shm %s-epoch && cp -a %s.good %s", p->path,
	    p->path, p->path, p->path, p->path);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		struct kms *k;
		bool all = false;

		assert_int_equal(system(cmd), 0);
		assert_int_equal(findings(p), 0);
		sql(p, edits[i]);
		if (findings(p) == 0)
			fail_msg("not seen: %s", edits[i]);
		k = place_open(p);
		/* No user has rights, none can be given; the account goes on. */
		assert_int_equal(decrypt(k, &bob, &s), ERR_CORRUPT);
		assert_non_null(strstr(err_detail(ERR_CORRUPT), "altered"));
		assert_int_equal(decrypt(k, &alice, &s), ERR_CORRUPT);
		assert_int_equal(
		    kms_user_create(k, &root_user, "carol", true, &u, NULL),
		    ERR_CORRUPT);
		assert_ok(decrypt(k, &root_user, &s));
		assert_ok(kms_identities_repair(k, &root_user, &all));
		kms_close(k);
		assert_int_equal(findings(p), 0);
		k = place_open(p);
		assert_ok(
		    kms_user_create(k, &root_user, "carol", true, &u, NULL));
		if (kms_user_get(k, &root_user, "alice", &u) == OK)
			assert_false(u.admin);
		kms_close(k);
	}
	key_free(s.dek);
}

static bool
repair(const struct place *p)
{
	struct kms *k = place_open(p);
	bool all = false;

	assert_ok(kms_identities_repair(k, &root_user, &all));
	kms_close(k);
	assert_int_equal(findings(p), 0);
	return all;
}

/* Rows with MACs that are right, put back after they were removed, and edits of
 * rows that refuse: a repair gives nobody what he had not. */
static void
test_put_back(void **state)
{
	static const char *const edits[] = {
		"INSERT INTO users SELECT * FROM old.users WHERE name = 'mal'",
		/* With a bad row beside it, to be the one that is blamed. */
		"INSERT INTO users SELECT * FROM old.users WHERE name = 'mal';"
		"UPDATE users SET created = 1 WHERE name = 'alice'",
		"INSERT INTO attachments SELECT * FROM old.attachments "
		"WHERE policy = 'no'; DELETE FROM policies WHERE name = 'p'",
		"DELETE FROM tenants",
		"UPDATE tenants SET customer_keys = 1",
		"UPDATE policies SET text = replace(text, 'Deny', 'Allow')",
	};
	const struct place *p = *state;
	const struct kms_tenant strict = { .customer_keys = false };
	struct kms_tenant t;
	struct kms_user u;
	struct kms *k;
	struct sample s;
	char cmd[1024];

	furnish(p, &s);
	k = place_open(p);
	assert_ok(kms_tenant_set(k, &root_user, &strict));
	assert_ok(kms_user_create(k, &root_user, "mal", true, &u, NULL));
	kms_close(k);
	(void)snprintf(cmd, sizeof(cmd), "cp -a %s %s.old", p->path, p->path);
	assert_int_equal(system(cmd), 0);
	k = place_open(p);
	assert_ok(kms_user_remove(k, &root_user, "mal"));
	kms_close(k);
	(void)snprintf(cmd, sizeof(cmd), "cp -a %s %s.good", p->path, p->path);
	assert_int_equal(system(cmd), 0);
	(void)snprintf(cmd, sizeof(cmd),
	    "rm -f %s-wal %s-shm %s-epoch && cp -a %s.good %s", p->path,
	    p->path, p->path, p->path, p->path);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		char text[2048];

		assert_int_equal(system(cmd), 0);
		(void)snprintf(text, sizeof(text), "ATTACH '%s.old' AS old; %s",
		    p->path, edits[i]);
		sql(p, text);
		assert_true(findings(p) > 0);
		if (!repair(p))
			fail_msg("taken for good: %s", edits[i]);
		k = place_open(p);
		assert_int_equal(
		    kms_user_get(k, &root_user, "mal", &u), ERR_NOENT);
		assert_int_equal(
		    kms_user_get(k, &root_user, "bob", &u), ERR_NOENT);
		assert_ok(kms_tenant_get(k, &root_user, &t));
		assert_false(t.customer_keys);
		kms_close(k);
	}
	/* All are known to be those of before but the one that is edited. */
	assert_int_equal(system(cmd), 0);
	sql(p, "UPDATE users SET admin = 1 WHERE name = 'alice'");
	assert_false(repair(p));
	k = place_open(p);
	assert_ok(decrypt(k, &bob, &s));
	kms_close(k);
	key_free(s.dek);
}

/* While a process runs, seen at the next change of anything. */
static void
test_altered_alive(void **state)
{
	const struct place *p = *state;
	struct kms *k;
	struct sample s;
	struct kms_desc d;
	bool all = false;

	furnish(p, &s);
	k = place_open(p);
	sql(p, "UPDATE users SET admin = 1; UPDATE meta SET v = v + 1 "
	       "WHERE k = 'who'");
	assert_ok(kms_key_create(k, &root_user, NULL, &d));
	assert_int_equal(decrypt(k, &bob, &s), ERR_CORRUPT);
	assert_ok(kms_identities_repair(k, &root_user, &all));
	assert_true(all);
	assert_int_equal(decrypt(k, &bob, &s), ERR_ACCESS);
	kms_close(k);
	key_free(s.dek);
}

#define T(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = { T(test_altered), T(test_put_back),
		T(test_altered_alive) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
