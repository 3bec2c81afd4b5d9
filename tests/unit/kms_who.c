/*
 * Identities: users, access keys, roles, policies, tenants (R2, R7, R18-R21).
 */
#include <sqlite3.h>

#include "kms/api.h"
#include "kms/kms_internal.h"
#include "kms/who.h"
#include "kms/who_mac.h"
#include "tests/unit/kms_common.h"

static const struct kms_who alice = { .user = "alice", .agent = "test" };
static const struct kms_who bob = { .user = "bob", .agent = "test" };

/* As the storage service asks for them. */
static struct kms_who
files(struct kms *k, const struct kms_who *who)
{
	struct kms_who w = *who;

	w.via_service = kms_via_storage(k);
	return w;
}

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

static void
give(struct kms *k, const char *user, const char *text)
{
	char name[KMS_NAME_MAX];

	(void)snprintf(name, sizeof(name), "%s-%zu", user, strlen(text) % 97);
	put(k, name, text);
	assert_ok(kms_policy_attach(k, &root_user, name, false, user));
}

#define AWS(effect, action)                                                \
	"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"" effect \
	"\",\"Action\":" action ",\"Resource\":\"*\"}]}"

static enum err
encrypt(struct kms *k, const struct kms_who *who, const char *keyname)
{
	struct key *dek = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;
	const enum err e =
	    kms_data_key(k, who, keyname, some_ctx, 2, dek, blob, &len, arn);

	key_free(dek);
	return e;
}

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

/* As if the rows were ours; then close. */
static void
bless(struct kms *k)
{
	lock_take(&k->conn);
	assert_ok(who_mac_write(&k->db, k->who));
	lock_drop(&k->conn);
	kms_close(k);
}

/* ---- Users and their access keys ------------------------------------------ */

static bool
count_user(void *arg, const struct kms_user *u)
{
	assert_true(
	    strcmp(u->name, "alice") == 0 || strcmp(u->name, "bob") == 0);
	++*(unsigned *)arg;
	return true;
}

static void
test_users(void **state)
{
	static const char *const bad[] = { "", "a/b", "a:b", "a*", "a?", "a\"b",
		"a\nb", "\xff", "root", "ssefs", "a$b",
		("1234567890123456789012345678901234567890123456789012345678901"
		 "2"
		 "345") };
	struct kms *k = place_open(*state);
	struct kms_user u, v;
	unsigned n = 0;

	/* Nobody until made. */
	assert_int_equal(encrypt(k, &alice, NULL), ERR_ACCESS);
	assert_non_null(strstr(err_detail(ERR_ACCESS), "no user \"alice\""));
	assert_ok(kms_user_create(k, &root_user, "alice", false, &u, NULL));
	assert_int_equal(strlen(u.id), WHO_ID_MAX - 1);
	assert_memory_equal(u.id, "AIDA", 4);
	assert_int_equal(
	    kms_user_create(k, &root_user, "alice", true, &v, NULL), ERR_EXIST);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    kms_user_create(k, &root_user, bad[i], false, &v, NULL),
		    ERR_INVAL);
	add(k, "bob");
	assert_ok(kms_user_list(k, &root_user, count_user, &n));
	assert_int_equal(n, 2);
	/* Only the account and administrators. */
	assert_int_equal(
	    kms_user_create(k, &alice, "carol", true, &v, NULL), ERR_ACCESS);
	assert_int_equal(kms_user_list(k, &bob, count_user, &n), ERR_ACCESS);
	assert_int_equal(kms_user_remove(k, &alice, "bob"), ERR_ACCESS);
	assert_ok(kms_user_remove(k, &root_user, "alice"));
	assert_int_equal(kms_user_remove(k, &root_user, "alice"), ERR_NOENT);
	assert_int_equal(kms_user_get(k, &root_user, "alice", &v), ERR_NOENT);
	/* Another of that name is another. */
	assert_ok(kms_user_create(k, &root_user, "alice", true, &v, NULL));
	assert_string_not_equal(u.id, v.id);
	assert_ok(kms_user_create(k, &alice, "carol", false, &u, NULL));
	assert_ok(encrypt(k, &alice, NULL));
	kms_close(k);
}

static void
test_secrets(void **state)
{
	struct kms *k = place_open(*state), *other = NULL;
	struct kms_secret s, t, third;
	struct who_cred c CLEANUP_CRED = { .secret = NULL };
	struct kms_user u;

	assert_ok(kms_user_create(k, &root_user, "alice", false, &u, &s));
	assert_int_equal(strlen(s.id), WHO_KEY_ID_MAX - 1);
	assert_int_equal(strlen(s.secret), WHO_SECRET_LEN);
	assert_ok(kms_access_key(k, s.id, &c));
	assert_string_equal(c.secret, s.secret);
	assert_string_equal(c.user, "alice");
	assert_string_equal(c.user_id, u.id);
	assert_string_equal(c.tenant, KMS_TENANT_DEFAULT);
	assert_true(c.active);
	who_cred_release(&c);
	assert_int_equal(kms_access_key(k, "AKIANOBODY", &c), ERR_NOENT);
	assert_int_equal(kms_access_key(k, "", &c), ERR_NOENT);

	/* Two at most. */
	assert_ok(kms_secret_create(k, &root_user, "alice", &t));
	assert_string_not_equal(s.secret, t.secret);
	assert_int_equal(
	    kms_secret_create(k, &root_user, "alice", &third), ERR_LIMIT);
	assert_null(third.secret);
	assert_int_equal(
	    kms_secret_create(k, &root_user, "bob", &third), ERR_NOENT);
	/* A user's keys are not handed out by the user's name alone. */
	add(k, "bob");
	assert_int_equal(
	    kms_secret_remove(k, &root_user, "bob", s.id), ERR_NOENT);

	/* In force in another process, at once. */
	assert_ok(kms_open(((struct place *)*state)->path, NULL, &other));
	assert_ok(kms_access_key(other, s.id, &c));
	who_cred_release(&c);
	assert_ok(kms_secret_activate(k, &root_user, "alice", s.id, false));
	assert_ok(kms_access_key(other, s.id, &c));
	assert_false(c.active);
	assert_null(c.secret);
	assert_ok(kms_secret_remove(k, &root_user, "alice", s.id));
	assert_int_equal(kms_access_key(other, s.id, &c), ERR_NOENT);
	assert_ok(kms_user_remove(k, &root_user, "alice"));
	assert_int_equal(kms_access_key(other, t.id, &c), ERR_NOENT);
	kms_close(other);
	kms_secret_release(&s);
	kms_secret_release(&t);
	kms_close(k);
}

/* A sealed secret opens in its own row only: id, tenant, user.  No id has a 0. */
static void
test_secret_moved(void **state)
{
	static const char *const moves[] = {
		"UPDATE access_keys SET user = 'bob' WHERE user = 'alice'",
		"UPDATE access_keys SET id = substr(id, 1, 19) || '0'"
		" WHERE user = 'alice'",
		"UPDATE users SET id = substr(id, 1, 20) || '0'"
		" WHERE name = 'alice'",
		"UPDATE access_keys SET sealed = (SELECT sealed FROM "
		"access_keys"
		" WHERE user = 'bob') WHERE user = 'alice'",
		"INSERT INTO users SELECT 't2', name, 'AIDAX', 1, 0, x'' FROM "
		"users"
		" WHERE name = 'alice'; UPDATE access_keys SET tenant = 't2'"
		" WHERE user = 'alice'",
	};
	const struct place *p = *state;

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		struct kms *k = place_open(p);
		struct kms_secret a, b;
		struct who_cred c CLEANUP_CRED = { .secret = NULL };
		struct kms_user u;

		assert_ok(
		    kms_user_create(k, &root_user, "alice", false, &u, &a));
		assert_ok(kms_user_create(k, &root_user, "bob", false, &u, &b));
		kms_close(k);
		sql(p, moves[i]);
		if (i == 1)
			a.id[WHO_KEY_ID_MAX - 2] = '0';
		k = place_open(p);
		assert_int_equal(kms_access_key(k, a.id, &c), ERR_CORRUPT);
		assert_int_equal(kms_access_key(k, b.id, &c), ERR_CORRUPT);
		bless(k);
		k = place_open(p);
		assert_int_equal(kms_access_key(k, a.id, &c), ERR_CORRUPT);
		assert_ok(kms_access_key(k, b.id, &c));
		who_cred_release(&c);
		kms_close(k);
		kms_secret_release(&a);
		kms_secret_release(&b);
		sql(p, "DELETE FROM users; DELETE FROM access_keys");
		bless(place_open(p));
	}
}

/* ---- Policies ------------------------------------------------------------- */

static void
test_policies(void **state)
{
	struct kms *k = place_open(*state);
	struct buf text CLEANUP_BUF;
	struct sample s;

	buf_init(&text, 65536);
	sample_make(k, NULL, &s);
	add(k, "alice");
	assert_int_equal(decrypt(k, &alice, &s), ERR_ACCESS);
	assert_non_null(strstr(err_detail(ERR_ACCESS),
	    "user/alice is not authorized to perform kms:Decrypt"));
	assert_int_equal(
	    kms_policy_put(k, &root_user, "p", "{}", 2), ERR_PARSE);
	assert_int_equal(
	    kms_policy_attach(k, &root_user, "p", false, "alice"), ERR_NOENT);
	put(k, "p", AWS("Allow", "\"kms:Decrypt\""));
	assert_ok(kms_policy_get(k, &root_user, "p", &text));
	assert_int_equal(text.len, strlen(AWS("Allow", "\"kms:Decrypt\"")));
	assert_int_equal(
	    kms_policy_attach(k, &root_user, "p", false, "bob"), ERR_NOENT);
	assert_ok(kms_policy_attach(k, &root_user, "p", false, "alice"));
	assert_ok(kms_policy_attach(k, &root_user, "p", false, "alice"));
	assert_ok(decrypt(k, &alice, &s));
	assert_ok(decrypt(k, &alice, &s)); /* as remembered */
	assert_int_equal(encrypt(k, &alice, NULL), ERR_ACCESS);
	assert_int_equal(kms_policy_remove(k, &root_user, "p"), ERR_BUSY);
	/* Changed in place, detached: at once. */
	put(k, "p", AWS("Allow", "\"kms:GenerateDataKey\""));
	assert_int_equal(decrypt(k, &alice, &s), ERR_ACCESS);
	assert_ok(encrypt(k, &alice, NULL));
	put(k, "p", AWS("Allow", "\"kms:*\""));
	assert_ok(decrypt(k, &alice, &s));
	give(k, "alice", AWS("Deny", "\"kms:Decrypt\""));
	assert_int_equal(decrypt(k, &alice, &s), ERR_ACCESS);
	assert_ok(encrypt(k, &alice, NULL));
	assert_ok(kms_policy_detach(k, &root_user, "p", false, "alice"));
	assert_int_equal(
	    kms_policy_detach(k, &root_user, "p", false, "alice"), ERR_NOENT);
	assert_int_equal(encrypt(k, &alice, NULL), ERR_ACCESS);
	assert_ok(kms_policy_remove(k, &root_user, "p"));
	/* Calls on no key, on an alias. */
	add(k, "bob");
	give(k, "bob",
	    "{\"Version\":\"2012-10-17\",\"Statement\":["
	    "{\"Effect\":\"Allow\",\"Action\":\"kms:DeleteAlias\","
	    "\"Resource\":[\"arn:aws:kms:*:*:alias/mine-*\","
	    "\"arn:aws:kms:*:*:key/*\"]}]}");
	assert_ok(kms_alias_create(k, &root_user, "mine-1", s.arn));
	assert_ok(kms_alias_create(k, &root_user, "yours-1", s.arn));
	assert_ok(kms_alias_delete(k, &bob, "mine-1"));
	assert_int_equal(kms_alias_delete(k, &bob, "yours-1"), ERR_ACCESS);
	assert_int_equal(
	    kms_alias_create(k, &bob, "mine-2", s.arn), ERR_ACCESS);
	key_free(s.dek);
	kms_close(k);
}

static void
test_roles(void **state)
{
	struct kms *k = place_open(*state);
	struct sample s;

	sample_make(k, NULL, &s);
	add(k, "alice");
	add(k, "bob");
	put(k, "readers", AWS("Allow", "\"kms:Decrypt\""));
	assert_ok(kms_policy_attach(k, &root_user, "readers", true, "reader"));
	assert_int_equal(decrypt(k, &alice, &s), ERR_ACCESS);
	assert_ok(kms_role_add(k, &root_user, "alice", "reader"));
	assert_int_equal(
	    kms_role_add(k, &root_user, "nobody", "reader"), ERR_NOENT);
	assert_ok(decrypt(k, &alice, &s));
	assert_int_equal(decrypt(k, &bob, &s), ERR_ACCESS);
	assert_ok(kms_role_remove(k, &root_user, "alice", "reader"));
	assert_int_equal(decrypt(k, &alice, &s), ERR_ACCESS);
	/* The same policy on two ways. */
	assert_ok(kms_role_add(k, &root_user, "alice", "reader"));
	assert_ok(kms_policy_attach(k, &root_user, "readers", false, "alice"));
	assert_ok(decrypt(k, &alice, &s));
	assert_ok(kms_policy_detach(k, &root_user, "readers", true, "reader"));
	assert_ok(decrypt(k, &alice, &s));
	key_free(s.dek);
	kms_close(k);
}

/* ---- Facts ---------------------------------------------------------------- */

struct fact_case {
	const char *condition;
	const char *ip; /* of who asks */
	bool secure, files, context, allowed;
};

static void
test_facts(void **state)
{
	static const struct fact_case cases[] = {
		{ "\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", "10.1.2.3",
		    true, false, true, true },
		{ "\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", "11.1.2.3",
		    true, false, true, false },
		{ "\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}", NULL, true,
		    false, true, false },
		{ "\"Bool\":{\"aws:SecureTransport\":\"true\"}", "10.1.2.3",
		    true, false, true, true },
		{ "\"Bool\":{\"aws:SecureTransport\":\"true\"}", "10.1.2.3",
		    false, false, true, false },
		{ "\"Bool\":{\"aws:SecureTransport\":\"true\"}", NULL, false,
		    false, true, true },
		{ "\"StringEquals\":{\"kms:ViaService\":"
		  "\"s3.us-east-1.amazonaws.com\"}",
		    NULL, false, true, true, true },
		{ "\"StringEquals\":{\"kms:ViaService\":"
		  "\"s3.us-east-1.amazonaws.com\"}",
		    NULL, false, false, true, false },
		{ "\"StringEquals\":{\"kms:EncryptionContext:object\":\"o-1\"}",
		    NULL, false, false, true, true },
		{ "\"StringEquals\":{\"kms:EncryptionContext:object\":\"o-1\"}",
		    NULL, false, false, false, false },
		{ "\"StringEquals\":{\"kms:CallerAccount\":\"000000000000\","
		  "\"kms:KeySpec\":\"SYMMETRIC_DEFAULT\","
		  "\"kms:KeyUsage\":\"ENCRYPT_DECRYPT\","
		  "\"kms:KeyOrigin\":\"AWS_KMS\","
		  "\"aws:username\":\"alice\"}",
		    NULL, false, false, true, true },
		{ "\"ForAnyValue:StringEquals\":{\"kms:ResourceAliases\":"
		  "\"alias/team\"}",
		    NULL, false, false, true, true },
		{ "\"StringEquals\":{\"kms:RequestAlias\":\"alias/team\"}",
		    NULL, false, false, true, true },
		{ "\"StringEquals\":{\"kms:RequestAlias\":\"alias/other\"}",
		    NULL, false, false, true, false },
		{ "\"DateGreaterThan\":{\"aws:CurrentTime\":\"2020-01-01\"}",
		    NULL, false, false, true, true },
		{ "\"DateLessThan\":{\"aws:CurrentTime\":\"2020-01-01\"}", NULL,
		    false, false, true, false },
	};
	struct kms *k = place_open(*state);
	struct kms_desc d;
	char text[1024];

	assert_ok(kms_key_create(k, &root_user, NULL, &d));
	assert_ok(kms_alias_create(k, &root_user, "team", d.id));
	add(k, "alice");
	put(k, "p", AWS("Deny", "\"kms:Sign\""));
	assert_ok(kms_policy_attach(k, &root_user, "p", false, "alice"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct fact_case *t = &cases[i];
		struct kms_who who = alice;
		struct key *dek = key_new();
		uint8_t blob[KMS_BLOB_MAX];
		char arn[KMS_ARN_MAX];
		size_t len;

		(void)snprintf(text, sizeof(text),
		    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":"
		    "\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\","
		    "\"Condition\":{%s}}]}",
		    t->condition);
		put(k, "p", text);
		who.source_ip = t->ip;
		who.secure = t->secure;
		if (t->files)
			who.via_service = kms_via_storage(k);
		/* Twice: what is remembered is not another answer. */
		for (unsigned round = 0; round < 2; round++) {
			const enum err e = kms_data_key(k, &who, "alias/team",
			    some_ctx, t->context ? 2 : 0, dek, blob, &len, arn);

			if (e != (t->allowed ? OK : ERR_ACCESS))
				fail_msg("case %zu: %s", i, err_detail(e));
		}
		key_free(dek);
	}
	kms_close(k);
}

/* What was remembered for one request does not hold for another. */
static void
test_remembered(void **state)
{
	struct kms *k = place_open(*state);
	struct kms_who home = alice, away = alice;
	struct sample s;

	sample_make(k, NULL, &s);
	add(k, "alice");
	give(k, "alice", AWS("Allow", "\"kms:*\""));
	give(k, "alice",
	    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\","
	    "\"Action\":\"kms:Decrypt\",\"Resource\":\"*\",\"Condition\":"
	    "{\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}}]}");
	home.source_ip = "10.0.0.1";
	away.source_ip = "192.0.2.1";
	for (unsigned i = 0; i < 3; i++) {
		assert_ok(decrypt(k, &home, &s));
		assert_int_equal(decrypt(k, &away, &s), ERR_ACCESS);
	}
	/* Names in an ARN are those of who asks. */
	add(k, "bob");
	give(k, "bob",
	    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
	    "\"Action\":\"kms:Decrypt\",\"Resource\":\"*\",\"Condition\":"
	    "{\"StringLike\":{\"aws:PrincipalArn\":\"*:user/bob\"}}}]}");
	assert_ok(decrypt(k, &bob, &s));
	assert_ok(decrypt(k, &bob, &s));
	key_free(s.dek);
	kms_close(k);
}

/* ---- The three dialects, an action at a time ------------------------------ */

#define OBS_DOC(actions)                                             \
	"{\"Version\":\"1.1\",\"Statement\":[{\"Effect\":\"Allow\"," \
	"\"Action\":[" actions "]}]}"
#define RAM_DOC(actions)                                           \
	"{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\"," \
	"\"Action\":[" actions "],\"Resource\":[\"acs:kms:*:*:*\"]}]}"
#define AWS_DOC(actions) AWS("Allow", "[" actions "]")

enum did { WRITE = 1, READ = 2, FIRST = 4 };

static const struct {
	const char *what, *text;
	unsigned may; /* with a key that was chosen */
	unsigned may_default;
} dialects[] = {
	{ "OBS, as printed (A)",
	    OBS_DOC("\"kms:dek:crypto\",\"kms:dek:create\",\"kms:cmk:get\","
		    "\"kms:cmk:list\",\"kms:cmk:generate\","
		    "\"kms:cmk:crypto\""),
	    WRITE | READ, WRITE | READ },
	{ "OBS (B)",
	    OBS_DOC("\"kms:cmk:get\",\"kms:cmk:list\",\"kms:cmk:create\","
		    "\"kms:dek:create\",\"kms:dek:crypto\""),
	    WRITE | READ, WRITE | READ | FIRST },
	{ "OBS without cmk:get",
	    OBS_DOC("\"kms:cmk:list\",\"kms:cmk:create\","
		    "\"kms:dek:create\",\"kms:dek:crypto\""),
	    READ, READ },
	{ "OBS without cmk:list",
	    OBS_DOC("\"kms:cmk:get\",\"kms:cmk:create\","
		    "\"kms:dek:create\",\"kms:dek:crypto\""),
	    READ, READ },
	{ "OBS without dek:create",
	    OBS_DOC("\"kms:cmk:get\",\"kms:cmk:list\",\"kms:cmk:create\","
		    "\"kms:dek:crypto\""),
	    READ, READ },
	{ "OBS without dek:crypto",
	    OBS_DOC("\"kms:cmk:get\",\"kms:cmk:list\",\"kms:cmk:create\","
		    "\"kms:dek:create\""),
	    WRITE, WRITE | FIRST },
	{ "RAM",
	    RAM_DOC("\"kms:List*\",\"kms:DescribeKey\","
		    "\"kms:GenerateDataKey\",\"kms:Decrypt\""),
	    WRITE | READ, WRITE | READ | FIRST },
	{ "RAM, configuring, as printed",
	    RAM_DOC("\"kms:List*\",\"kms:DescribeKey\""), 0, 0 },
	{ "RAM, uploading, as printed",
	    RAM_DOC("\"kms:List*\",\"kms:DescribeKey\","
		    "\"kms:GenerateDataKey\""),
	    WRITE, WRITE | FIRST },
	{ "RAM, downloading, as printed", RAM_DOC("\"kms:Decrypt\""), READ,
	    READ },
	{ "RAM, by name",
	    RAM_DOC("\"kms:ListKeys\",\"kms:ListAliases\","
		    "\"kms:ListAliasesByKeyId\",\"kms:DescribeKey\","
		    "\"kms:GenerateDataKey\""),
	    WRITE, WRITE | FIRST },
	{ "RAM without ListKeys",
	    RAM_DOC("\"kms:ListAliases\",\"kms:ListAliasesByKeyId\","
		    "\"kms:DescribeKey\",\"kms:GenerateDataKey\""),
	    0, WRITE | FIRST },
	{ "RAM without ListAliases",
	    RAM_DOC("\"kms:ListKeys\",\"kms:ListAliasesByKeyId\","
		    "\"kms:DescribeKey\",\"kms:GenerateDataKey\""),
	    0, WRITE | FIRST },
	{ "RAM without ListAliasesByKeyId",
	    RAM_DOC("\"kms:ListKeys\",\"kms:ListAliases\","
		    "\"kms:DescribeKey\",\"kms:GenerateDataKey\""),
	    0, WRITE | FIRST },
	{ "RAM without DescribeKey",
	    RAM_DOC("\"kms:List*\",\"kms:GenerateDataKey\""), 0,
	    WRITE | FIRST },
	{ "RAM without GenerateDataKey",
	    RAM_DOC("\"kms:List*\",\"kms:DescribeKey\",\"kms:Decrypt\""), READ,
	    READ },
	{ "AWS", AWS_DOC("\"kms:GenerateDataKey\",\"kms:Decrypt\""),
	    WRITE | READ, WRITE | READ | FIRST },
	{ "AWS without Decrypt", AWS_DOC("\"kms:GenerateDataKey\""), WRITE,
	    WRITE | FIRST },
	{ "AWS without GenerateDataKey", AWS_DOC("\"kms:Decrypt\""), READ,
	    READ },
};

static unsigned
did(struct kms *k, const char *keyname, const struct sample *s)
{
	const struct kms_who who = files(k, &alice);
	unsigned r = 0;
	enum err e = encrypt(k, &who, keyname);

	if (e == OK)
		r |= WRITE;
	else
		assert_int_equal(e, ERR_ACCESS);
	e = decrypt(k, &who, s);
	if (e == OK)
		r |= READ;
	else
		assert_int_equal(e, ERR_ACCESS);
	/* With the data key's contexts at hand. */
	assert_int_equal(kms_check(k, &who, s->arn, some_ctx, 2), e);
	return r;
}

static void
test_dialects(void **state)
{
	struct kms *k = place_open(*state);
	struct sample chosen, def;
	struct kms_desc d;

	add(k, "alice");
	put(k, "p", AWS("Deny", "\"kms:Sign\""));
	assert_ok(kms_policy_attach(k, &root_user, "p", false, "alice"));
	for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
		const struct kms_who who = files(k, &alice);
		unsigned first, a, b;

		put(k, "p", dialects[i].text);
		/* No default key yet: writing makes it, or does not. */
		first = encrypt(k, &who, "obs/default") == OK ? FIRST : 0;
		assert_int_equal(
		    kms_key_describe(k, &root_user, "alias/acs/oss", &d),
		    first != 0 ? OK : ERR_NOKEY);
		sample_make(k, NULL, &def);
		assert_ok(kms_key_create(k, &root_user, NULL, &d));
		sample_make(k, d.id, &chosen);
		a = did(k, d.id, &chosen);
		b = did(k, NULL, &def) | first;
		if (a != dialects[i].may || b != dialects[i].may_default)
			fail_msg("%s: %u, not %u; default key: %u, not %u",
			    dialects[i].what, a, dialects[i].may, b,
			    dialects[i].may_default);
		key_free(chosen.dek);
		key_free(def.dek);
		kms_close(k);
		sql(*state, "DELETE FROM keys; DELETE FROM versions; "
			    "DELETE FROM aliases");
		k = place_open(*state);
	}
	kms_close(k);
}

/* ---- Tenants -------------------------------------------------------------- */

static void
test_tenant_settings(void **state)
{
	const struct kms_tenant admins = { .sse_kms_role = "tenant_admin",
		.customer_keys = false };
	struct kms *k = place_open(*state);
	struct kms_tenant t;
	struct kms_who who, root;
	struct sample s, def;
	struct kms_desc d;

	assert_ok(kms_tenant_get(k, &root_user, &t));
	assert_string_equal(t.sse_kms_role, "");
	assert_true(t.customer_keys);
	add(k, "alice");
	give(k, "alice", AWS("Allow", "\"kms:*\""));
	assert_ok(kms_key_create(k, &root_user, NULL, &d));
	sample_make(k, d.id, &s);
	sample_make(k, NULL, &def);
	who = files(k, &alice);
	root = files(k, &root_user);
	assert_ok(encrypt(k, &who, d.id));
	assert_int_equal(kms_tenant_set(k, &alice, &admins), ERR_ACCESS);
	assert_ok(kms_tenant_set(k, &root_user, &admins));
	/* R18: the role; the API is another matter, as is AES256. */
	assert_int_equal(encrypt(k, &who, NULL), ERR_ACCESS);
	assert_int_equal(decrypt(k, &who, &def), ERR_ACCESS);
	assert_non_null(strstr(err_detail(ERR_ACCESS), "tenant_admin"));
	assert_ok(encrypt(k, &alice, NULL));
	assert_ok(encrypt(k, &who, KMS_SERVICE_KEY));
	assert_ok(encrypt(k, &root, NULL));
	assert_ok(kms_role_add(k, &root_user, "alice", "tenant_admin"));
	assert_ok(encrypt(k, &who, NULL));
	assert_ok(decrypt(k, &who, &def));
	/* R19: no new files under customers' keys; the old ones are read. */
	assert_int_equal(encrypt(k, &who, d.id), ERR_ACCESS);
	assert_int_equal(encrypt(k, &root, d.id), ERR_ACCESS);
	assert_ok(encrypt(k, &alice, d.id));
	assert_ok(decrypt(k, &who, &s));
	key_free(s.dek);
	key_free(def.dek);
	kms_close(k);
}

static void
test_across_tenants(void **state)
{
	const struct kms_who other_root = {
		.tenant = "acme", .user = "root", .agent = "test"
	};
	const struct kms_who eve = {
		.tenant = "acme", .user = "eve", .agent = "test"
	};
	const struct place *p = *state;
	struct kms *k = place_open(p);
	struct kms_user u;
	struct kms_who who;
	struct sample s;
	char arn[KMS_ARN_MAX];

	sample_make(k, NULL, &s);
	assert_ok(kms_user_create(k, &other_root, "eve", true, &u, NULL));
	assert_string_equal(u.tenant, "acme");
	/* A user of one tenant is none of another. */
	assert_int_equal(encrypt(k, &alice, NULL), ERR_ACCESS);
	assert_int_equal(kms_user_get(k, &root_user, "eve", &u), ERR_NOENT);
	who = files(k, &eve);
	assert_ok(encrypt(k, &who, NULL));
	assert_int_equal(decrypt(k, &who, &s), ERR_ACCESS);
	assert_int_equal(decrypt(k, &eve, &s), ERR_ACCESS);
	kms_close(k);
	/* The key's policy lets everybody in: over the API, not for files. */
	sql(p, "UPDATE keys SET policy = '{\"Version\":\"2012-10-17\","
	       "\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\","
	       "\"Action\":\"kms:*\",\"Resource\":\"*\"}]}' "
	       "WHERE tenant = '000000000000'; "
	       "UPDATE meta SET v = v + 1 WHERE k = 'epoch'");
	k = place_open(p);
	who = files(k, &eve);
	assert_ok(decrypt(k, &eve, &s));
	assert_int_equal(decrypt(k, &who, &s), ERR_ACCESS);
	assert_int_equal(encrypt(k, &who, s.arn), ERR_ACCESS);
	assert_int_equal(kms_check(k, &who, s.arn, some_ctx, 2), ERR_ACCESS);
	assert_int_equal(kms_key_disable(k, &eve, s.arn), ERR_ACCESS);
	/* R21: another region's key, a project's. */
	(void)snprintf(arn, sizeof(arn), "arn:aws:kms:elsewhere:%s:key/%s",
	    KMS_TENANT_DEFAULT, strrchr(s.arn, '/') + 1);
	assert_int_equal(encrypt(k, &root_user, arn), ERR_NOKEY);
	assert_non_null(strstr(err_detail(ERR_NOKEY), "region elsewhere"));
	(void)snprintf(arn, sizeof(arn), "arn:aws:kms:us-east-1_p1:%s:key/%s",
	    KMS_TENANT_DEFAULT, strrchr(s.arn, '/') + 1);
	assert_int_equal(encrypt(k, &root_user, arn), ERR_INVAL);
	assert_non_null(strstr(err_detail(ERR_INVAL), "project"));
	key_free(s.dek);
	kms_close(k);
}

/* A key's own policy: with and without the account. */
static void
test_key_policy(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_open(p);
	struct sample s;

	sample_make(k, NULL, &s);
	add(k, "alice");
	add(k, "bob");
	give(k, "bob", AWS("Allow", "\"kms:*\""));
	kms_close(k);
	sql(p, "UPDATE keys SET policy = '{\"Version\":\"2012-10-17\","
	       "\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
	       "\"arn:aws:iam::000000000000:user/alice\"},"
	       "\"Action\":\"kms:Decrypt\",\"Resource\":\"*\"}]}'; "
	       "UPDATE meta SET v = v + 1 WHERE k = 'epoch'");
	k = place_open(p);
	assert_ok(decrypt(k, &alice, &s));
	assert_int_equal(encrypt(k, &alice, NULL), ERR_ACCESS);
	assert_int_equal(decrypt(k, &bob, &s), ERR_ACCESS);
	/* Not the account either: nothing delegates to it. */
	assert_int_equal(decrypt(k, &root_user, &s), ERR_ACCESS);
	kms_close(k);
	key_free(s.dek);
}

/* A grant lets a user in whom no policy does, for what it says; taken back, it
 * does so no more, in another process as well. */
static void
test_grant(void **state)
{
	const struct place *p = *state;
	const struct kms_grant g = { .name = "",
		.grantee = "arn:aws:iam::000000000000:user/alice",
		.retiring = "",
		.operations = KMS_GRANT_DECRYPT,
		.constraint = KMS_CONSTRAINT_SUBSET,
		.pairs = some_ctx,
		.npairs = 1 };
	const struct kms_pair elsewhere = { "store", "s-2" };
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];
	struct kms *k = place_open(p), *mount = place_open(p);
	struct kms_who who;
	struct key *dek = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	struct sample s;
	size_t len;

	sample_make(k, NULL, &s);
	add(k, "alice");
	add(k, "bob");
	who = files(mount, &alice);
	assert_int_equal(
	    kms_still(mount, &who, s.arn, some_ctx, 2, true), ERR_ACCESS);
	assert_int_equal(decrypt(mount, &who, &s), ERR_ACCESS);
	assert_ok(kms_grant_create(k, &root_user, s.arn, &g, id, token));
	assert_ok(decrypt(mount, &who, &s));
	assert_ok(decrypt(mount, &who, &s));
	assert_int_equal(decrypt(mount, &bob, &s), ERR_ACCESS);
	assert_int_equal(encrypt(mount, &who, NULL), ERR_ACCESS);
	/* Not with another context. */
	assert_ok(kms_data_key(
	    k, &root_user, NULL, &elsewhere, 1, dek, blob, &len, arn));
	assert_int_equal(
	    kms_unwrap(mount, &who, blob, len, &elsewhere, 1, dek), ERR_ACCESS);
	/* A Deny is stronger. */
	give(k, "alice", AWS("Deny", "\"kms:Decrypt\""));
	assert_int_equal(decrypt(mount, &who, &s), ERR_ACCESS);
	assert_ok(kms_user_remove(k, &root_user, "alice"));
	add(k, "alice");
	assert_ok(decrypt(mount, &who, &s));
	assert_ok(kms_grant_revoke(k, &root_user, s.arn, id));
	assert_int_equal(decrypt(mount, &who, &s), ERR_ACCESS);
	assert_int_equal(
	    kms_still(mount, &who, s.arn, some_ctx, 2, false), ERR_ACCESS);
	key_free(dek);
	key_free(s.dek);
	kms_close(mount);
	kms_close(k);
}

/* The service key is everybody's who is there, through the storage service. */
static void
test_service_key(void **state)
{
	struct kms *k = place_open(*state);
	struct kms_who who;
	struct sample s;

	sample_make(k, KMS_SERVICE_KEY, &s);
	add(k, "alice");
	who = files(k, &alice);
	assert_ok(encrypt(k, &who, KMS_SERVICE_KEY));
	assert_ok(decrypt(k, &who, &s));
	assert_int_equal(decrypt(k, &alice, &s), ERR_ACCESS);
	assert_int_equal(encrypt(k, &alice, KMS_SERVICE_KEY), ERR_ACCESS);
	assert_int_equal(
	    kms_key_rotate(k, &alice, KMS_SERVICE_KEY), ERR_ACCESS);
	assert_ok(kms_user_remove(k, &root_user, "alice"));
	assert_int_equal(decrypt(k, &who, &s), ERR_ACCESS);
	key_free(s.dek);
	kms_close(k);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = { T(test_users), T(test_secrets),
		T(test_secret_moved), T(test_policies), T(test_roles),
		T(test_facts), T(test_remembered), T(test_dialects),
		T(test_tenant_settings), T(test_across_tenants),
		T(test_key_policy), T(test_grant), T(test_service_key) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
