/*
 * The order of evaluation of policies: identity policies, the key's policy,
 * accounts, grants; and what decided.
 */
#include "tests/unit/policy_common.h"

#define ALL A12(ALLOW("\"kms:*\"", "\"*\""))
#define NONE A12(DENY("\"kms:*\"", "\"*\""))
#define RES(effect, principal)                                             \
	"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"" effect \
	"\",\"Principal\":" principal                                      \
	",\"Action\":\"kms:*\",\"Resource\":\"*\"}]}"
#define ROOT "{\"AWS\":\"arn:aws:iam::" TENANT ":root\"}"
#define ALICE "{\"AWS\":\"arn:aws:iam::" TENANT ":user/alice\"}"
#define FOREIGN "{\"AWS\":\"arn:aws:iam::" OTHER ":root\"}"
#define EVE "{\"AWS\":\"arn:aws:iam::" OTHER ":user/eve\"}"

enum asker { USER, ACCOUNT, STRANGER, STRANGERS };

static const struct policy_principal askers[] = {
	[USER] = { .account = TENANT, .user = "alice" },
	[ACCOUNT] = { .account = TENANT, .root = true },
	[STRANGER] = { .account = OTHER, .user = "eve" },
	[STRANGERS] = { .account = OTHER, .root = true },
};

static const struct order {
	enum asker who;
	const char *action, *identity, *second, *resource;
	enum policy_verdict want;
	enum policy_source source;
	size_t document;
	bool delegated;
} orders[] = {
#define Y POLICY_ALLOW
#define N POLICY_IMPLICIT_DENY
#define X POLICY_EXPLICIT_DENY
#define BY(what) POLICY_BY_##what
	/* No key's policy: the account's policies alone. */
	{ USER, "Decrypt", NULL, NULL, NULL, N, BY(NOTHING), 0, false },
	{ USER, "Decrypt", ALL, NULL, NULL, Y, BY(IDENTITY), 0, false },
	{ USER, "Decrypt", A12(ALLOW("\"kms:Encrypt\"", "\"*\"")), NULL, NULL,
	    N, BY(NOTHING), 0, false },
	{ USER, "Decrypt", ALL, NONE, NULL, X, BY(IDENTITY), 1, false },
	{ USER, "Decrypt", NONE, ALL, NULL, X, BY(IDENTITY), 0, false },
	{ USER, "Decrypt", A12(ALLOW("\"kms:Encrypt\"", "\"*\"")), ALL, NULL, Y,
	    BY(IDENTITY), 1, false },
	{ ACCOUNT, "Decrypt", NULL, NULL, NULL, Y, BY(ROOT), 0, false },
	{ ACCOUNT, "CreateKey", NULL, NULL, NULL, Y, BY(ROOT), 0, false },
	{ STRANGER, "Decrypt", ALL, NULL, NULL, N, BY(NOTHING), 0, false },
	{ STRANGERS, "Decrypt", NULL, NULL, NULL, N, BY(NOTHING), 0, false },
	/* A key's policy that leaves it to the account. */
	{ USER, "Decrypt", NULL, NULL, RES("Allow", ROOT), N, BY(NOTHING), 0,
	    false },
	{ USER, "Decrypt", ALL, NULL, RES("Allow", ROOT), Y, BY(IDENTITY), 0,
	    true },
	{ USER, "Decrypt", ALL, NONE, RES("Allow", ROOT), X, BY(IDENTITY), 1,
	    false },
	{ ACCOUNT, "Decrypt", NULL, NULL, RES("Allow", ROOT), Y, BY(RESOURCE),
	    0, false },
	/* One that does not: the account's policies count for nothing. */
	{ USER, "Decrypt", ALL, NULL, RES("Allow", EVE), N, BY(NOTHING), 0,
	    false },
	{ ACCOUNT, "Decrypt", NULL, NULL, RES("Allow", EVE), N, BY(NOTHING), 0,
	    false },
	{ ACCOUNT, "Decrypt", NULL, NULL, RES("Allow", ALICE), N, BY(NOTHING),
	    0, false },
	/* One that names the asker, or everybody. */
	{ USER, "Decrypt", NULL, NULL, RES("Allow", ALICE), Y, BY(RESOURCE), 0,
	    false },
	{ USER, "Decrypt", NONE, NULL, RES("Allow", ALICE), X, BY(IDENTITY), 0,
	    false },
	{ USER, "Decrypt", NULL, NULL, RES("Allow", "\"*\""), Y, BY(RESOURCE),
	    0, false },
	/* Deny. */
	{ USER, "Decrypt", ALL, NULL, RES("Deny", ALICE), X, BY(RESOURCE), 0,
	    false },
	{ USER, "Decrypt", ALL, NULL, RES("Deny", ROOT), X, BY(RESOURCE), 0,
	    false },
	{ ACCOUNT, "Decrypt", NULL, NULL, RES("Deny", ROOT), X, BY(RESOURCE), 0,
	    false },
	{ ACCOUNT, "Decrypt", NULL, NULL, RES("Deny", "\"*\""), X, BY(RESOURCE),
	    0, false },
	{ USER, "Decrypt", NULL, NULL, RES("Deny", EVE), N, BY(NOTHING), 0,
	    false },
	/* Another account: both sides, and few operations. */
	{ STRANGER, "Decrypt", NULL, NULL, RES("Allow", EVE), N, BY(NOTHING), 0,
	    false },
	{ STRANGER, "Decrypt", ALL, NULL, RES("Allow", EVE), Y, BY(IDENTITY), 0,
	    true },
	{ STRANGER, "Decrypt", ALL, NULL, RES("Allow", FOREIGN), Y,
	    BY(IDENTITY), 0, true },
	{ STRANGER, "Decrypt", ALL, NULL, RES("Allow", "\"*\""), Y,
	    BY(IDENTITY), 0, true },
	{ STRANGER, "Decrypt", ALL, NULL, RES("Allow", ROOT), N, BY(NOTHING), 0,
	    false },
	{ STRANGER, "Decrypt", ALL, NONE, RES("Allow", EVE), X, BY(IDENTITY), 1,
	    false },
	{ STRANGER, "DescribeKey", ALL, NULL, RES("Allow", EVE), Y,
	    BY(IDENTITY), 0, true },
	{ STRANGER, "ScheduleKeyDeletion", ALL, NULL, RES("Allow", EVE), N,
	    BY(NOTHING), 0, false },
	{ STRANGER, "PutKeyPolicy", ALL, NULL, RES("Allow", EVE), N,
	    BY(NOTHING), 0, false },
	{ STRANGER, "NoSuchOperation", ALL, NULL, RES("Allow", EVE), N,
	    BY(NOTHING), 0, false },
	{ STRANGERS, "Decrypt", NULL, NULL, RES("Allow", FOREIGN), Y,
	    BY(RESOURCE), 0, false },
	{ STRANGERS, "Decrypt", NULL, NULL, RES("Allow", EVE), N, BY(NOTHING),
	    0, false },
#undef Y
#undef N
#undef X
#undef BY
};

static void
test_order(void **state UNUSED)
{
	struct policy_request req = plain_request;

	for (size_t i = 0; i < COUNTOF(orders); i++) {
		const struct order *o = &orders[i];
		struct policy_decision d;
		char action[64];

		(void)snprintf(action, sizeof(action), "kms:%s", o->action);
		req.action = action;
		req.who = askers[o->who];
		d = ask(o->identity, o->second, o->resource, &req);
		expect_verdict(d.verdict, o->want, "row %zu", i);
		if (d.source != o->source || d.document != o->document ||
		    d.delegated != o->delegated)
			fail_msg("row %zu: source %d, document %zu, %d", i,
			    d.source, d.document, d.delegated);
	}
}

/* NotPrincipal spares those that it names themselves. */
static void
test_not_principal(void **state UNUSED)
{
	static const char text[] =
	    "{\"Version\":\"2012-10-17\",\"Statement\":["
	    "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\","
	    "\"Resource\":\"*\"},{\"Effect\":\"Deny\",\"NotPrincipal\":"
	    "{\"AWS\":[\"arn:aws:iam::" TENANT ":user/alice\","
	    "\"arn:aws:iam::" TENANT ":root\"]},\"Action\":\"*\","
	    "\"Resource\":\"*\"}]}";
	struct policy_request req = plain_request;

	assert_int_equal(verdict(NULL, text, &req), POLICY_ALLOW);
	req.who.user = "bob";
	assert_int_equal(verdict(NULL, text, &req), POLICY_EXPLICIT_DENY);
	req.who = askers[ACCOUNT];
	assert_int_equal(verdict(NULL, text, &req), POLICY_ALLOW);
	req.who = askers[STRANGER];
	assert_int_equal(verdict(ALL, text, &req), POLICY_EXPLICIT_DENY);
}

/* The account is none of its users, whatever it is called. */
static void
test_root_name(void **state UNUSED)
{
	struct policy_request req = plain_request;

	req.who.root = true;
	assert_int_equal(
	    verdict(NULL, RES("Allow", ALICE), &req), POLICY_IMPLICIT_DENY);
	req.who.root = false;
	assert_int_equal(
	    verdict(NULL, RES("Allow", ALICE), &req), POLICY_ALLOW);
}

/* Of several statements that leave it to the account the first is named. */
static void
test_delegated_by(void **state UNUSED)
{
	static const char text[] = "{\"Version\":\"2012-10-17\",\"Statement\":["
				   "{\"Effect\":\"Allow\",\"Principal\":" EVE
				   ",\"Action\":\"*\",\"Resource\":\"*\"},"
				   "{\"Effect\":\"Allow\",\"Principal\":" ROOT
				   ",\"Action\":\"*\",\"Resource\":\"*\"},"
				   "{\"Effect\":\"Allow\",\"Principal\":" ROOT
				   ",\"Action\":\"*\",\"Resource\":\"*\"}]}";
	const struct policy_decision d = ask(ALL, NULL, text, &plain_request);

	assert_int_equal(d.verdict, POLICY_ALLOW);
	assert_true(d.delegated);
	assert_int_equal(d.delegated_by, 1);
}

/* What is too long to be understood escapes no Deny. */
static void
test_long_request(void **state UNUSED)
{
	struct policy_request req = plain_request;
	char action[256] = "s3:", arn[4096] = KEY;

	req.who = askers[ACCOUNT];
	memset(action + 3, 'x', 128);
	req.action = action;
	assert_int_equal(verdict(NULL, NULL, &req), POLICY_IMPLICIT_DENY);
	action[128] = '\0';
	assert_int_equal(verdict(NULL, NULL, &req), POLICY_ALLOW);
	assert_int_equal(verdict(A12(DENY("\"*\"", "\"*\"")), NULL, &req),
	    POLICY_EXPLICIT_DENY);
	req.action = "kms:Decrypt";
	req.arn = arn;
	memset(arn + strlen(arn), 'x', 2048 - strlen(arn));
	assert_int_equal(verdict(NULL, NULL, &req), POLICY_ALLOW);
	assert_int_equal(
	    verdict(
		A12(DENY("\"*\"", "\"arn:aws:kms:*:*:key/*x\"")), NULL, &req),
	    POLICY_EXPLICIT_DENY);
	/* Nobody's resource is not that of an asker without a name. */
	req.arn = "arn:aws:kms:us-east-1::key/" ID;
	req.who.account = "";
	assert_int_equal(verdict(NULL, NULL, &req), POLICY_IMPLICIT_DENY);
	req.who.account = TENANT;
	req.arn = arn;
	arn[2048] = 'x';
	assert_int_equal(verdict(NULL, NULL, &req), POLICY_IMPLICIT_DENY);
}

/* The decision names the statement, and says so in words. */
static void
test_explain(void **state UNUSED)
{
	static const char text[] =
	    "{\"Version\":\"2012-10-17\",\"Statement\":["
	    "{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"},"
	    "{\"Sid\":\"Use of keys\",\"Effect\":\"Allow\","
	    "\"Action\":\"kms:Decrypt\",\"Resource\":\"*\"},"
	    "{\"Effect\":\"Deny\",\"Action\":\"kms:Encrypt\","
	    "\"Resource\":\"*\"}]}";
	struct policy *p = parse(text, POLICY_IDENTITY);
	struct policy *key = parse(RES("Allow", ROOT), POLICY_RESOURCE);
	const struct policy *const list[] = { p };
	struct policy_set set = { .identity = list, .nidentity = 1 };
	struct policy_request req = plain_request;
	char why[POLICY_WHY_MAX];
	struct policy_decision d = policy_evaluate(&set, &req);

	assert_int_equal(d.statement, 1);
	assert_string_equal(d.sid, "Use of keys");
	policy_explain(&d, why);
	assert_string_equal(why,
	    "allowed by Statement[1] \"Use of keys\" of identity policy 0");
	set.resource = key;
	d = policy_evaluate(&set, &req);
	policy_explain(&d, why);
	assert_string_equal(why,
	    "allowed by Statement[1] \"Use of keys\" of identity policy 0, as "
	    "the key's policy leaves to its account");
	req.action = "kms:Encrypt";
	d = policy_evaluate(&set, &req);
	assert_int_equal(d.verdict, POLICY_EXPLICIT_DENY);
	assert_int_equal(d.statement, 2);
	policy_explain(&d, why);
	assert_string_equal(
	    why, "explicitly denied by Statement[2] of identity policy 0");
	req.action = "kms:EnableKey";
	d = policy_evaluate(&set, &req);
	policy_explain(&d, why);
	assert_string_equal(why, "denied: no policy and no grant allows it");
	req.who = askers[ACCOUNT];
	d = policy_evaluate(&set, &req);
	policy_explain(&d, why);
	assert_string_equal(
	    why, "allowed by Statement[0] of the resource's policy");
	policy_free(p);
	policy_free(key);
}

/* ---- Grants ---------------------------------------------------------------- */

static enum policy_verdict
with_grant(const struct policy_grant *g, const char *identity,
    const struct policy_request *req)
{
	struct policy *key = parse(RES("Allow", EVE), POLICY_RESOURCE);
	struct policy *mine =
	    identity != NULL ? parse(identity, POLICY_IDENTITY) : NULL;
	const struct policy *const list[] = { mine };
	const struct policy_set set = { .identity = list,
		.nidentity = mine != NULL,
		.resource = key,
		.grants = g,
		.ngrants = 1 };
	const struct policy_decision d = policy_evaluate(&set, req);

	if (d.verdict == POLICY_ALLOW)
		assert_int_equal(d.source, POLICY_BY_GRANT);
	policy_free(key);
	policy_free(mine);
	return d.verdict;
}

static void
test_grants(void **state UNUSED)
{
	static const char *const two[] = { "Decrypt", "DescribeKey" };
	static const char *const wide[] = { "EnableKey", "Decrypt*", "*" };
	static const struct kms_pair a = { "a", "1" }, b = { "b", "2" },
				     z = { "z", "1" };
	const struct kms_pair ab[] = { a, b }, ba[] = { b, a },
			      aa[] = { { "a", "1" }, { "b", "3" } };
	struct policy_grant g = { .grantee =
				      "arn:aws:iam::" TENANT ":user/alice",
		.operations = two,
		.noperations = 2 };
	struct policy_request req = plain_request;

	assert_int_equal(with_grant(&g, NULL, &req), POLICY_ALLOW);
	assert_int_equal(with_grant(&g, NONE, &req), POLICY_EXPLICIT_DENY);
	req.action = "kms:Encrypt";
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	req.action = "kms:Decrypt";
	req.who.user = "bob";
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	/* Names of operations are no patterns; not all can be granted. */
	req = plain_request;
	g.operations = wide;
	g.noperations = 3;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	req.action = "kms:EnableKey";
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	g.operations = two;
	g.noperations = 2;
	/* An account: its own policies decide. */
	req = plain_request;
	g.grantee = "arn:aws:iam::" TENANT ":root";
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	assert_int_equal(with_grant(&g, ALL, &req), POLICY_ALLOW);
	/* Another account's user needs no more than the grant. */
	g.grantee = "arn:aws:iam::" OTHER ":user/zoe";
	req.who = (struct policy_principal){ .account = OTHER, .user = "zoe" };
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_ALLOW);
	g.grantee = "s3.amazonaws.com";
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	req.who = (struct policy_principal){ .account = TENANT,
		.service = "s3.amazonaws.com" };
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_ALLOW);
	g.grantee = "arn:nonsense";
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	/* Constraints. */
	req = plain_request;
	g.grantee = "arn:aws:iam::" TENANT ":user/alice";
	g.subset = &a;
	g.nsubset = 1;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	req.ctx = ab;
	req.nctx = 2;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_ALLOW);
	g.subset = ba;
	g.nsubset = 2;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_ALLOW);
	req.ctx = aa;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	g.nsubset = 0;
	g.has_equals = true;
	g.equals = &a;
	g.nequals = 1;
	req.ctx = ab;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	req.nctx = 1;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_ALLOW);
	req.ctx = &b;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	g.nequals = 0;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	req.nctx = 0;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_ALLOW);
	/* Values under another key are others. */
	g.has_equals = false;
	g.subset = &a;
	g.nsubset = 1;
	req.ctx = &z;
	req.nctx = 1;
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_IMPLICIT_DENY);
	g.nsubset = 0;
	g.has_equals = true;
	/* DescribeKey takes no context. */
	g.equals = &a;
	g.nequals = 1;
	req.action = "kms:DescribeKey";
	assert_int_equal(with_grant(&g, NULL, &req), POLICY_ALLOW);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_not_principal),
		cmocka_unit_test(test_root_name),
		cmocka_unit_test(test_delegated_by),
		cmocka_unit_test(test_long_request),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_grants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
