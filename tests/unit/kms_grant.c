/*
 * Grants: R18, R25.  Made once, found, given back by those who may, gone with
 * their key.
 */
#include <sqlite3.h>

#include "tests/unit/kms_common.h"

#include "kms/api.h"
#include "kms/gate.h"
#include "kms/grant_token.h"
#include "kms/kms_internal.h"
#include "kms/who.h"

#define ALICE "arn:aws:iam::000000000000:user/alice"
#define BOB "arn:aws:iam::000000000000:user/bob"

static const struct kms_who alice = { .user = "alice", .agent = "test" };
static const struct kms_who bob = { .user = "bob", .agent = "test" };
static const struct kms_who carol = { .user = "carol", .agent = "test" };

static const struct kms_pair hr[] = { { "dept", "hr" }, { "a", "1" } };

static const struct kms_grant plain_grant = { .name = "",
	.grantee = ALICE,
	.retiring = "",
	.operations = KMS_GRANT_DECRYPT | KMS_GRANT_DESCRIBE };

struct seen {
	size_t n;
	char id[8][KMS_GRANT_ID_MAX];
	struct kms_grant last;
	char name[KMS_GRANT_NAME_MAX], grantee[KMS_PRINCIPAL_MAX];
	char issuer[KMS_PRINCIPAL_MAX], first_key[64], first_value[64];
};

static bool
see(void *arg, const struct kms_grant *g)
{
	struct seen *s = arg;

	if (s->n < COUNTOF(s->id))
		strcpy(s->id[s->n], g->id);
	s->n++;
	s->last = *g;
	strcpy(s->name, g->name);
	strcpy(s->grantee, g->grantee);
	strcpy(s->issuer, g->issuer);
	if (g->npairs > 0) {
		strcpy(s->first_key, g->pairs[0].key);
		strcpy(s->first_value, g->pairs[0].value);
	}
	return true;
}

static size_t
count(struct kms *k, const char *key, const char *id, const char *grantee)
{
	struct seen s = { 0 };
	bool more = true;

	assert_ok(kms_grant_page(k, &root_user, key, id, grantee, NULL,
	    KMS_PAGE_MAX, see, &s, &more));
	assert_false(more);
	return s.n;
}

static void
people(struct kms *k, bool admin)
{
	static const char *const names[] = { "alice", "bob", "carol" };
	struct kms_user u;

	for (size_t i = 0; i < COUNTOF(names); i++)
		assert_ok(
		    kms_user_create(k, &root_user, names[i], admin, &u, NULL));
}

static void
test_create(void **state)
{
	struct kms_grant g = plain_grant;
	char id[KMS_GRANT_ID_MAX], again[KMS_GRANT_ID_MAX];
	char token[KMS_GRANT_TOKEN_MAX];
	struct kms *k = place_open(*state);
	struct seen s = { 0 };
	struct kms_desc d;
	bool more;

	people(k, true);
	assert_ok(kms_key_create(k, &root_user, "", &d));
	g.name = "once";
	g.constraint = KMS_CONSTRAINT_SUBSET;
	g.pairs = hr;
	g.npairs = 2;
	assert_ok(kms_grant_create(k, &alice, d.id, &g, id, token));
	assert_int_equal(strlen(id), 64);
	assert_ok(kms_grant_create(k, &alice, d.id, &g, again, token));
	assert_string_equal(id, again);
	/* Anything else makes it another, and so does no name. */
	g.npairs = 1;
	assert_ok(kms_grant_create(k, &alice, d.id, &g, again, token));
	assert_string_not_equal(id, again);
	assert_ok(kms_grant_create(k, &bob, d.id, &g, again, token));
	assert_ok(
	    kms_grant_create(k, &alice, d.id, &plain_grant, again, token));
	assert_ok(
	    kms_grant_create(k, &alice, d.id, &plain_grant, again, token));
	assert_int_equal(count(k, d.id, NULL, NULL), 5);
	kms_close(k);

	k = place_open(*state);
	assert_ok(kms_grant_page(
	    k, &root_user, d.arn, id, NULL, NULL, 10, see, &s, &more));
	assert_int_equal(s.n, 1);
	assert_string_equal(s.name, "once");
	assert_string_equal(s.grantee, ALICE);
	assert_string_equal(s.issuer, ALICE);
	assert_int_equal(s.last.operations, plain_grant.operations);
	assert_int_equal(s.last.constraint, KMS_CONSTRAINT_SUBSET);
	assert_int_equal(s.last.npairs, 2);
	/* In the order of the canonical context. */
	assert_string_equal(s.first_key, "a");
	assert_string_equal(s.first_value, "1");
	assert_true(s.last.created > 0);
	kms_close(k);
}

static void
test_bad(void **state)
{
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];
	char long_value[KMS_GRANT_VALUE_MAX + 2] = "";
	struct kms_grant g = plain_grant;
	struct kms *k = place_open(*state);
	struct kms_desc d;

	people(k, true);
	assert_ok(kms_key_create(k, &root_user, "", &d));
#define BAD(e)                                                                 \
	assert_int_equal(kms_grant_create(k, &alice, d.id, &g, id, token), e); \
	g = plain_grant
	g.grantee = "alice";
	BAD(ERR_INVAL);
	g.grantee = "";
	BAD(ERR_INVAL);
	g.retiring = "arn:aws:iam::x";
	BAD(ERR_INVAL);
	g.operations = 0;
	BAD(ERR_INVAL);
	g.operations = KMS_GRANT_ALL + 1;
	BAD(ERR_INVAL);
	g.constraint = KMS_CONSTRAINT_EQUALS;
	BAD(ERR_INVAL);
	g.pairs = hr;
	g.npairs = 1;
	BAD(ERR_INVAL);
	g.pairs = hr;
	g.npairs = KMS_GRANT_PAIRS_MAX + 1;
	g.constraint = KMS_CONSTRAINT_EQUALS;
	BAD(ERR_INVAL);
	memset(long_value, 'v', sizeof(long_value) - 1);
	g.pairs = &(const struct kms_pair){ "k", long_value };
	g.npairs = 1;
	BAD(ERR_INVAL);
	assert_ok(kms_key_disable(k, &root_user, d.id));
	BAD(ERR_KEYREVOKED);
	assert_int_equal(count(k, d.id, NULL, NULL), 0);
	assert_int_equal(
	    kms_grant_create(k, &alice, "alias/none", &g, id, token),
	    ERR_NOKEY);
	kms_close(k);
}

static void
test_pages(void **state)
{
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];
	struct kms_grant g = plain_grant;
	struct kms *k = place_open(*state);
	struct kms_desc d, other;
	struct seen s = { 0 };
	bool more = false;

	people(k, true);
	assert_ok(kms_key_create(k, &root_user, "", &d));
	assert_ok(kms_key_create(k, &root_user, "", &other));
	g.retiring = BOB;
	for (unsigned i = 0; i < 6; i++) {
		g.grantee = i < 2 ? ALICE : BOB;
		assert_ok(kms_grant_create(
		    k, &alice, i % 2 == 0 ? d.id : other.id, &g, id, token));
	}
	assert_int_equal(count(k, d.id, NULL, NULL), 3);
	assert_int_equal(count(k, d.id, NULL, ALICE), 1);
	assert_int_equal(count(k, d.id, id, NULL), 0);
	assert_int_equal(count(k, other.id, id, NULL), 1);
	assert_int_equal(kms_grant_page(k, &root_user, d.id, "x", NULL, NULL, 1,
			     see, &s, &more),
	    ERR_BADGRANT);
	/* Over all keys, two by two, each once and in order. */
	for (const char *after = NULL; s.n < 6; after = s.id[s.n - 1]) {
		assert_ok(kms_grant_retirable(
		    k, &root_user, BOB, after, 2, see, &s, &more));
		assert_int_equal(more, s.n < 6);
	}
	for (unsigned i = 1; i < 6; i++)
		assert_true(strcmp(s.id[i - 1], s.id[i]) < 0);
	s.n = 0;
	assert_ok(
	    kms_grant_retirable(k, &root_user, ALICE, NULL, 2, see, &s, &more));
	assert_int_equal(s.n, 0);
	kms_close(k);
}

static void
test_end(void **state)
{
	static const char revokes[] =
	    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":"
	    "\"Allow\",\"Action\":\"kms:RevokeGrant\",\"Resource\":\"*\"}]}";
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];
	struct kms_grant g = plain_grant;
	struct kms *k = place_open(*state);
	struct kms_desc d;

	people(k, false);
	assert_ok(kms_key_create(k, &root_user, "", &d));
	/* No policy allows alice to retire: only the grant can. */
	assert_ok(
	    kms_policy_put(k, &root_user, "p", revokes, sizeof(revokes) - 1));
	assert_ok(kms_policy_attach(k, &root_user, "p", false, "carol"));
	g.retiring = BOB;
	assert_ok(kms_grant_create(k, &root_user, d.id, &g, id, token));
	assert_int_equal(kms_grant_retire(k, &carol, d.id, id), ERR_ACCESS);
	assert_int_equal(kms_grant_retire(k, &alice, d.id, id), ERR_ACCESS);
	assert_int_equal(kms_grant_retire_token(k, &carol, token), ERR_ACCESS);
	assert_ok(kms_grant_retire(k, &bob, d.id, id));
	assert_int_equal(kms_grant_retire(k, &bob, d.id, id), ERR_NOENT);
	assert_int_equal(kms_grant_retire_token(k, &bob, token), ERR_NOENT);
	assert_ok(kms_grant_token_check(k, token));

	/* The grantee, when it was granted that. */
	g.retiring = "";
	g.operations |= KMS_GRANT_RETIRE_GRANT;
	assert_ok(kms_grant_create(k, &root_user, d.id, &g, id, token));
	assert_int_equal(kms_grant_retire(k, &bob, d.id, id), ERR_ACCESS);
	assert_ok(kms_grant_retire_token(k, &alice, token));
	/* The account. */
	assert_ok(kms_grant_create(k, &root_user, d.id, &g, id, token));
	assert_ok(kms_grant_retire(k, &root_user, d.id, id));

	assert_ok(kms_grant_create(k, &root_user, d.id, &g, id, token));
	assert_int_equal(
	    kms_grant_revoke(k, &carol, d.id, "abc"), ERR_BADGRANT);
	assert_ok(kms_grant_revoke(k, &carol, d.id, id));
	assert_int_equal(kms_grant_revoke(k, &carol, d.id, id), ERR_NOENT);
	assert_int_equal(count(k, d.id, NULL, NULL), 0);
	kms_close(k);
}

/* No byte of a token can be changed, and another keystore's are none. */
static void
test_token(void **state)
{
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];
	struct kms *k = place_open(*state), *k2;
	void *second = NULL;
	struct kms_desc d;

	assert_int_equal(place_setup(&second), 0);
	k2 = place_open(second);
	people(k, true);
	assert_ok(kms_key_create(k, &root_user, "", &d));
	assert_ok(kms_grant_create(k, &alice, d.id, &plain_grant, id, token));
	assert_int_equal(strlen(token), KMS_GRANT_TOKEN_MAX - 1);
	assert_ok(kms_grant_token_check(k, token));
	assert_int_equal(kms_grant_token_check(k2, token), ERR_GRANTTOKEN);
	for (size_t i = 0; token[i] != '\0'; i++) {
		const char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		assert_int_equal(
		    kms_grant_token_check(k, token), ERR_GRANTTOKEN);
		assert_int_equal(kms_grant_retire_token(k, &root_user, token),
		    ERR_GRANTTOKEN);
		token[i] = '\0';
		assert_int_equal(
		    kms_grant_token_check(k, token), ERR_GRANTTOKEN);
		token[i] = was;
	}
	assert_int_equal(count(k, d.id, id, NULL), 1);
	kms_close(k2);
	kms_close(k);
	assert_int_equal(place_teardown(&second), 0);
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

/* As many as AWS allows on a key, and not one more. */
static void
test_full(void **state)
{
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];
	struct kms *k = place_open(*state);
	struct kms_desc d;

	people(k, true);
	assert_ok(kms_key_create(k, &root_user, "", &d));
	assert_ok(
	    kms_grant_create(k, &root_user, d.id, &plain_grant, id, token));
	kms_close(k);
	sql(*state,
	    "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n "
	    "WHERE i < 49998) INSERT INTO grants SELECT "
	    "printf('%064x', i), key, name, grantee, retiring, issuer, "
	    "operations, constrained, context, created FROM grants, n");
	k = place_open(*state);
	assert_ok(
	    kms_grant_create(k, &root_user, d.id, &plain_grant, id, token));
	assert_int_equal(
	    kms_grant_create(k, &root_user, d.id, &plain_grant, id, token),
	    ERR_LIMIT);
	assert_ok(kms_grant_revoke(k, &root_user, d.id, id));
	assert_ok(
	    kms_grant_create(k, &root_user, d.id, &plain_grant, id, token));
	kms_close(k);
}

static enum err
decrypt(struct kms *k, const struct kms_who *who, const uint8_t *blob,
    size_t bloblen, size_t nctx)
{
	uint8_t plain[KMS_PLAIN_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;

	return kms_decrypt(
	    k, who, NULL, blob, bloblen, hr, nctx, plain, &len, arn);
}

/* A grant by grant goes no further than the first, and ends with itself. */
static void
test_by_grant(void **state)
{
	const struct kms_pair more[] = { { "dept", "hr" }, { "a", "1" } };
	const struct kms_pair less[] = { { "a", "1" } };
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];
	char first[KMS_GRANT_ID_MAX], arn[KMS_ARN_MAX];
	struct kms_grant g = plain_grant;
	struct kms *k = place_open(*state);
	uint8_t blob[KMS_CIPHER_MAX], other[KMS_CIPHER_MAX];
	size_t len, otherlen;
	struct kms_desc d;

	people(k, false);
	assert_ok(kms_key_create(k, &root_user, "", &d));
	assert_ok(
	    kms_encrypt(k, &root_user, d.id, "x", 1, hr, 2, blob, &len, arn));
	assert_ok(kms_encrypt(
	    k, &root_user, d.id, "x", 1, NULL, 0, other, &otherlen, arn));
	assert_int_equal(decrypt(k, &alice, blob, len, 2), ERR_ACCESS);
	g.operations = KMS_GRANT_DECRYPT | KMS_GRANT_CREATE_GRANT;
	g.constraint = KMS_CONSTRAINT_SUBSET;
	g.pairs = hr;
	g.npairs = 1;
	assert_ok(kms_grant_create(k, &root_user, d.id, &g, first, token));
	assert_ok(decrypt(k, &alice, blob, len, 2));
	assert_int_equal(decrypt(k, &alice, other, otherlen, 0), ERR_ACCESS);

	g.grantee = BOB;
	g.operations = KMS_GRANT_ENCRYPT;
	assert_int_equal(
	    kms_grant_create(k, &alice, d.id, &g, id, token), ERR_ACCESS);
	g.operations = KMS_GRANT_DECRYPT;
	g.pairs = less;
	assert_int_equal(
	    kms_grant_create(k, &alice, d.id, &g, id, token), ERR_ACCESS);
	g.constraint = KMS_CONSTRAINT_NONE;
	g.npairs = 0;
	assert_int_equal(
	    kms_grant_create(k, &alice, d.id, &g, id, token), ERR_ACCESS);
	g.constraint = KMS_CONSTRAINT_EQUALS;
	g.pairs = more;
	g.npairs = 2;
	assert_int_equal(decrypt(k, &bob, blob, len, 2), ERR_ACCESS);
	assert_ok(kms_grant_create(k, &alice, d.id, &g, id, token));
	assert_ok(decrypt(k, &bob, blob, len, 2));
	assert_int_equal(
	    kms_grant_create(k, &bob, d.id, &g, id, token), ERR_ACCESS);
	assert_ok(kms_grant_revoke(k, &root_user, d.id, id));
	assert_int_equal(decrypt(k, &bob, blob, len, 2), ERR_ACCESS);
	assert_ok(decrypt(k, &alice, blob, len, 2));
	assert_ok(kms_grant_revoke(k, &root_user, d.id, first));
	assert_int_equal(decrypt(k, &alice, blob, len, 2), ERR_ACCESS);
	kms_close(k);
}

/* What the policy engine gets. */
static void
test_allowed(void **state)
{
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];
	struct kms_grant g = plain_grant;
	struct kms *k = place_open(*state);
	const struct policy_grant *a;
	const struct tkey *t;
	struct kms_desc d;

	people(k, true);
	assert_ok(kms_key_create(k, &root_user, "", &d));
	g.constraint = KMS_CONSTRAINT_EQUALS;
	g.pairs = hr;
	g.npairs = 2;
	assert_ok(kms_grant_create(k, &alice, d.id, &g, id, token));
	t = table_by_arn(k->tab, d.arn);
	assert_int_equal(t->ngrants, 1);
	a = t->allow;
	assert_string_equal(a->grantee, ALICE);
	assert_int_equal(a->noperations, 2);
	assert_string_equal(a->operations[0], "Decrypt");
	assert_string_equal(a->operations[1], "DescribeKey");
	assert_true(a->has_equals);
	assert_int_equal(a->nequals, 2);
	assert_string_equal(a->equals[1].value, "hr");
	assert_int_equal(a->nsubset, 0);
	kms_close(k);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create),
		TEST(test_bad),
		TEST(test_pages),
		TEST(test_end),
		TEST(test_full),
		TEST(test_token),
		TEST(test_by_grant),
		TEST(test_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
