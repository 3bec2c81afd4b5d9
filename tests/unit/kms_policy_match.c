/*
 * What the statements of a policy match: actions and resources of each
 * dialect; policy variables.
 */
#include "tests/unit/policy_common.h"

#define OBS_KEY "KMS:us-east-1:" TENANT ":KeyId:" ID
#define RAM_KEY "acs:kms:us-east-1:" TENANT ":key/" ID

static const struct match {
	const char *version, *action, *resource; /* elements */
	const char *asked, *arn;
	bool want;
} matches[] = {
#define W12 "2012-10-17"
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"*\"", "kms:Decrypt", KEY,
	    true },
	{ W12, "\"Action\":\"*:*\"", "\"Resource\":\"*\"", "kms:Decrypt", KEY,
	    true },
	{ W12, "\"Action\":\"kms:*\"", "\"Resource\":\"*\"", "kms:Decrypt", KEY,
	    true },
	{ W12, "\"Action\":\"s3:*\"", "\"Resource\":\"*\"", "kms:Decrypt", KEY,
	    false },
	{ W12, "\"Action\":\"KMS:decrypt\"", "\"Resource\":\"*\"",
	    "kms:Decrypt", KEY, true },
	{ W12, "\"Action\":\"kms:Gen*Key\"", "\"Resource\":\"*\"",
	    "kms:GenerateDataKey", KEY, true },
	{ W12, "\"Action\":\"kms:Gen*Key\"", "\"Resource\":\"*\"",
	    "kms:GenerateDataKeyPair", KEY, false },
	{ W12, "\"Action\":\"kms:GenerateDataKey*\"", "\"Resource\":\"*\"",
	    "kms:GenerateDataKeyWithoutPlaintext", KEY, true },
	{ W12, "\"Action\":\"kms:?ecrypt\"", "\"Resource\":\"*\"",
	    "kms:Decrypt", KEY, true },
	{ W12, "\"Action\":\"kms:?ecrypt\"", "\"Resource\":\"*\"",
	    "kms:Encrypt", KEY, false },
	{ W12, "\"Action\":\"kms:ReEncrypt*\"", "\"Resource\":\"*\"",
	    "kms:ReEncryptTo", KEY, true },
	{ W12, "\"Action\":\"kms:ReEncrypt\"", "\"Resource\":\"*\"",
	    "kms:ReEncryptTo", KEY, false },
	{ W12, "\"NotAction\":\"kms:Decrypt\"", "\"Resource\":\"*\"",
	    "kms:Decrypt", KEY, false },
	{ W12, "\"NotAction\":\"kms:Decrypt\"", "\"Resource\":\"*\"",
	    "kms:Encrypt", KEY, true },
	{ W12, "\"NotAction\":[\"kms:*\"]", "\"Resource\":\"*\"", "kms:Encrypt",
	    KEY, false },
	{ W12, "\"NotAction\":\"kms:Decrypt\"", "\"Resource\":\"*\"",
	    "s3:GetObject", "arn:aws:s3:::b/k", true },
	{ W12, "\"NotAction\":\"s3:Get*\"", "\"Resource\":\"*\"",
	    "s3:GetObject", "arn:aws:s3:::b/k", false },
	{ W12, "\"Action\":\"s3:PutObject\"",
	    "\"Resource\":\"arn:aws:s3:::b/*\"", "s3:PutObject",
	    "arn:aws:s3:::b/k/l", true },
	{ W12, "\"Action\":\"s3:PutObject\"",
	    "\"Resource\":\"arn:aws:s3:::b/*\"", "s3:PutObject",
	    "arn:aws:s3:::bb/k", false },
	/* An operation that no table knows. */
	{ W12, "\"Action\":\"kms:AddSlot\"", "\"Resource\":\"*\"",
	    "kms:AddSlot", KEY, true },
	{ W12, "\"Action\":\"kms:Add\"", "\"Resource\":\"*\"", "kms:AddSlot",
	    KEY, false },
	{ "1.1", "\"Action\":\"kms:*:*\"", "\"Resource\":\"*\"", "kms:AddSlot",
	    KEY, false },
	/* Resources of AWS. */
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"" KEY "\"", "kms:Decrypt",
	    KEY, true },
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"" KEY "x\"", "kms:Decrypt",
	    KEY, false },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:kms:*:*:key/0a1b*6666\"", "kms:Decrypt",
	    KEY, true },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:kms:*:*:key/0a1b*6667\"", "kms:Decrypt",
	    KEY, false },
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"arn:aws:kms:*:*:key/0A1B*\"",
	    "kms:Decrypt", KEY, false },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:kms:eu-*:" TENANT ":key/*\"", "kms:Decrypt",
	    KEY, false },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:kms:us-*:" TENANT ":key/*\"", "kms:Decrypt",
	    KEY, true },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:kms:us-east-1:" OTHER ":key/*\"",
	    "kms:Decrypt", KEY, false },
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"arn:aws:s3:*:*:*\"",
	    "kms:Decrypt", KEY, false },
	/* A star stays within its part. */
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"arn:aws:kms:*:key:key/*\"",
	    "kms:Decrypt", KEY, false },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:kms:us*:" TENANT ":key/*\"", "kms:Decrypt",
	    KEY, true },
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"arn:aws:kms:*:*:alias/*\"",
	    "kms:Decrypt", KEY, false },
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"arn:aws:kms:*:*:alias/m*\"",
	    "kms:CreateAlias", ALIAS, true },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":[\"arn:aws:s3:::b\",\"" KEY "\"]", "kms:Decrypt", KEY,
	    true },
	{ W12, "\"Action\":\"*\"", "\"NotResource\":\"" KEY "\"", "kms:Decrypt",
	    KEY, false },
	{ W12, "\"Action\":\"*\"", "\"NotResource\":\"arn:aws:kms:*:*:key/x\"",
	    "kms:Decrypt", KEY, true },
	{ W12, "\"Action\":\"*\"", "\"NotResource\":\"*\"", "kms:Decrypt", KEY,
	    false },
	/* Operations on no key: "*" alone in AWS, the container elsewhere. */
	{ W12, "\"Action\":\"kms:ListKeys\"", "\"Resource\":\"*\"",
	    "kms:ListKeys", KEYS, true },
	{ W12, "\"Action\":\"kms:ListKeys\"",
	    "\"Resource\":\"arn:aws:kms:*:*:*\"", "kms:ListKeys", KEYS, false },
	{ W12, "\"Action\":\"kms:ListKeys\"", "\"NotResource\":\"" KEY "\"",
	    "kms:ListKeys", KEYS, true },
	{ "1", "\"Action\":\"kms:ListKeys\"",
	    "\"Resource\":\"acs:kms:*:" TENANT ":key\"", "kms:ListKeys", KEYS,
	    true },
	{ "1", "\"Action\":\"kms:ListKeys\"",
	    "\"Resource\":\"acs:kms:*:" TENANT ":key/*\"", "kms:ListKeys", KEYS,
	    false },
	{ "1.1", "\"Action\":\"kms:cmk:list\"",
	    "\"Resource\":\"KMS:*:*:KeyId:*\"", "kms:ListKeys", KEYS, true },
	{ "1.1", "\"Action\":\"kms:cmk:list\"", "\"Resource\":\"" OBS_KEY "\"",
	    "kms:ListKeys", KEYS, false },
	/* Aliases of a key: an action of its own but in AWS. */
	{ W12, "\"Action\":\"kms:ListAliases\"", "\"Resource\":\"*\"",
	    "kms:ListAliasesByKeyId", KEY, true },
	{ W12, "\"Action\":\"kms:ListAliases\"", "\"Resource\":\"" KEY "\"",
	    "kms:ListAliasesByKeyId", KEY, false },
	{ W12, "\"Action\":\"kms:ListAliasesByKeyId\"", "\"Resource\":\"*\"",
	    "kms:ListAliasesByKeyId", KEY, false },
	{ W12, "\"NotAction\":\"kms:ListAliases\"", "\"Resource\":\"*\"",
	    "kms:ListAliasesByKeyId", KEY, false },
	{ W12, "\"Action\":\"kms:ListAliases\"", "\"NotResource\":\"" KEY "\"",
	    "kms:ListAliasesByKeyId", KEY, true },
	{ "1", "\"Action\":\"kms:ListAliases\"", "\"Resource\":\"*\"",
	    "kms:ListAliasesByKeyId", KEY, false },
	{ "1", "\"Action\":\"kms:ListAliasesByKeyId\"",
	    "\"Resource\":\"" RAM_KEY "\"", "kms:ListAliasesByKeyId", KEY,
	    true },
	{ "1", "\"Action\":\"kms:ListAliasesByKeyId\"",
	    "\"Resource\":\"acs:kms:*:" TENANT ":key/other\"",
	    "kms:ListAliasesByKeyId", KEY, false },
	{ "1.1", "\"Action\":\"kms:cmk:list\"", "\"Resource\":\"" OBS_KEY "\"",
	    "kms:ListAliasesByKeyId", KEY, true },
	/* RAM. */
	{ "1", "\"Action\":\"kms:Decrypt\"", "\"Resource\":\"" RAM_KEY "\"",
	    "kms:Decrypt", KEY, true },
	{ "1", "\"Action\":\"kms:decrypt\"",
	    "\"Resource\":\"acs:kms:*:" TENANT ":*\"", "kms:Decrypt", KEY,
	    true },
	{ "1", "\"Action\":\"kms:Decrypt\"",
	    "\"Resource\":\"acs:kms:*:" OTHER ":*\"", "kms:Decrypt", KEY,
	    false },
	{ "1", "\"Action\":\"kms:Decrypt\"",
	    "\"Resource\":\"acs:kms:cn-*:*:*\"", "kms:Decrypt", KEY, false },
	{ "1", "\"Action\":\"kms:Decrypt\"", "\"Resource\":\"acs:oss:*:*:*\"",
	    "kms:Decrypt", KEY, false },
	{ "1", "\"Action\":\"kms:ReEncrypt\"", "\"Resource\":\"*\"",
	    "kms:ReEncryptTo", KEY, true },
	{ "1", "\"Action\":\"kms:CreateKeyVersion\"", "\"Resource\":\"*\"",
	    "kms:RotateKeyOnDemand", KEY, true },
	{ "1", "\"NotAction\":\"kms:CreateKeyVersion\"", "\"Resource\":\"*\"",
	    "kms:RotateKeyOnDemand", KEY, false },
	{ W12, "\"Action\":\"kms:CreateKeyVersion\"", "\"Resource\":\"*\"",
	    "kms:RotateKeyOnDemand", KEY, false },
	{ "1", "\"Action\":\"oss:PutObject\"",
	    "\"Resource\":\"acs:oss:*:*:b/*\"", "s3:PutObject",
	    "arn:aws:s3:::b/k", true },
	{ "1", "\"Action\":\"s3:PutObject\"", "\"Resource\":\"*\"",
	    "s3:PutObject", "arn:aws:s3:::b/k", false },
	/* OBS. */
	{ "1.1", "\"Action\":\"kms:cmk:get\"", "\"Resource\":\"" OBS_KEY "\"",
	    "kms:DescribeKey", KEY, true },
	{ "1.1", "\"Action\":\"KMS:CMK:Get\"",
	    "\"Resource\":\"kms:us-east-1:" TENANT ":keyid:" ID "\"",
	    "kms:DescribeKey", KEY, true },
	{ "1.1", "\"Action\":\"kms:cmk:get\"",
	    "\"Resource\":\"KMS:*:*:KeyId:0A1B2C3D*\"", "kms:DescribeKey", KEY,
	    false },
	{ "1.1", "\"Action\":\"kms:cmk:get\"",
	    "\"Resource\":\"KMS:*:*:KeyId:x\"", "kms:DescribeKey", KEY, false },
	{ "1.1", "\"Action\":\"kms:cmk:get\"",
	    "\"Resource\":\"KMS:*:" OTHER ":KeyId:*\"", "kms:DescribeKey", KEY,
	    false },
	{ "1.1", "\"Action\":\"kms:cmk:get\"",
	    "\"Resource\":\"OBS:*:*:KeyId:*\"", "kms:DescribeKey", KEY, false },
	{ "1.1", "\"Action\":\"kms:cmk:*\"", "\"Resource\":\"*\"",
	    "kms:DescribeKey", KEY, true },
	{ "1.1", "\"Action\":\"kms:cmk:*\"", "\"Resource\":\"*\"",
	    "kms:Decrypt", KEY, false },
	{ "1.1", "\"Action\":\"kms:*:get\"", "\"Resource\":\"*\"",
	    "kms:DescribeKey", KEY, true },
	{ "1.1", "\"Action\":\"*:*:*\"", "\"Resource\":\"*\"", "kms:Decrypt",
	    KEY, true },
	{ "1.1", "\"Action\":\"kms:*\"", "\"Resource\":\"*\"", "kms:Decrypt",
	    KEY, true },
	{ "1.1", "\"Action\":\"kms:dek:crypto\"", "\"Resource\":\"*\"",
	    "kms:Decrypt", KEY, true },
	{ "1.1", "\"Action\":\"kms:dek:decrypt\"", "\"Resource\":\"*\"",
	    "kms:Decrypt", KEY, true },
	{ "1.1", "\"Action\":\"kms:dek:encrypt\"", "\"Resource\":\"*\"",
	    "kms:Decrypt", KEY, false },
	{ "1.1", "\"NotAction\":\"kms:dek:decrypt\"", "\"Resource\":\"*\"",
	    "kms:Decrypt", KEY, false },
	{ "1.1", "\"Action\":\"kms:cmk:crypto\"", "\"Resource\":\"*\"",
	    "kms:Encrypt", KEY, true },
	{ "1.1", "\"Action\":\"kms:alias:create\"",
	    "\"Resource\":\"KMS:*:*:alias:mine\"", "kms:CreateAlias", ALIAS,
	    true },
	{ "1.1", "\"Action\":\"obs:object:PutObject\"",
	    "\"Resource\":\"OBS:*:*:object:b/*\"", "s3:PutObject",
	    "arn:aws:s3:::b/k", true },
	{ "1.1", "\"Action\":\"obs:bucket:ListBucket\"",
	    "\"Resource\":\"obs:*:*:bucket:*\"", "s3:ListBucket",
	    "arn:aws:s3:::b", true },
	{ "1.1", "\"Action\":\"obs:bucket:PutObject\"", "\"Resource\":\"*\"",
	    "s3:PutObject", "arn:aws:s3:::b/k", false },
	/* The owner is named where AWS names nobody. */
	{ "1.1", "\"Action\":\"obs:*:*\"",
	    "\"Resource\":\"OBS:*:" TENANT ":object:b/*\"", "s3:PutObject",
	    "arn:aws:s3:::b/k", true },
	{ "1", "\"Action\":\"oss:*\"",
	    "\"Resource\":\"acs:oss:*:" TENANT ":b/*\"", "s3:PutObject",
	    "arn:aws:s3:::b/k", true },
	{ "1", "\"Action\":\"oss:*\"",
	    "\"Resource\":\"acs:oss:*:" OTHER ":b/*\"", "s3:PutObject",
	    "arn:aws:s3:::b/k", false },
	/* Variables: 2012-10-17 only. */
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:s3:::${aws:username}/*\"", "s3:GetObject",
	    "arn:aws:s3:::alice/k", true },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:s3:::${AWS:UserName}/*\"", "s3:GetObject",
	    "arn:aws:s3:::alice/k", true },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:s3:::${aws:username}/*\"", "s3:GetObject",
	    "arn:aws:s3:::bob/k", false },
	{ "2008-10-17", "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:s3:::${aws:username}/*\"", "s3:GetObject",
	    "arn:aws:s3:::alice/k", false },
	{ "2008-10-17", "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:s3:::$\\u007baws/*\"", "s3:GetObject",
	    "arn:aws:s3:::${aws/k", true },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:kms:*:${aws:PrincipalAccount}:key/*\"",
	    "kms:Decrypt", KEY, true },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:s3:::b/${*}${?}${$}\"", "s3:GetObject",
	    "arn:aws:s3:::b/*?$", true },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:s3:::b/${*}${?}${$}\"", "s3:GetObject",
	    "arn:aws:s3:::b/ab$", false },
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"arn:aws:s3:::${t:none}/*\"",
	    "s3:GetObject", "arn:aws:s3:::alice/k", false },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:s3:::${t:none, 'a:l}i*'}/*\"",
	    "s3:GetObject", "arn:aws:s3:::a:l}i*/k", true },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:s3:::${t:none, 'al*'}/*\"", "s3:GetObject",
	    "arn:aws:s3:::alice/k", false },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":\"arn:aws:s3:::${aws:username, "
	    "'x'}-${aws:username}\"",
	    "s3:GetObject", "arn:aws:s3:::alice-alice", true },
	/* All but something that nobody knows allows nothing. */
	{ W12, "\"Action\":\"*\"",
	    "\"NotResource\":\"arn:aws:s3:::${t:none}/*\"", "s3:GetObject",
	    "arn:aws:s3:::alice/k", false },
	{ W12, "\"Action\":\"*\"",
	    "\"Resource\":[\"arn:aws:s3:::${t:none}/*\",\"*\"]", "s3:GetObject",
	    "arn:aws:s3:::alice/k", true },
	/* Requests that make no sense. */
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"*\"", "kms:Decrypt", "*",
	    false },
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"*\"", "kms:Decrypt",
	    "arn:aws:kms", false },
	{ W12, "\"Action\":\"*\"", "\"Resource\":\"*\"", "kms:Decrypt",
	    "acs:aws:kms:us-east-1:" TENANT ":key/x", false },
};

static void
test_matches(void **state UNUSED)
{
	struct policy_request req = plain_request;

	req.owner = TENANT;
	for (size_t i = 0; i < COUNTOF(matches); i++) {
		const struct match *m = &matches[i];
		char text[1024];

		(void)snprintf(text, sizeof(text),
		    "{\"Version\":\"%s\",\"Statement\":{\"Effect\":\"Allow\","
		    "%s,%s}}",
		    m->version, m->action, m->resource);
		req.action = m->asked;
		req.arn = m->arn;
		expect_verdict(verdict(text, NULL, &req),
		    m->want ? POLICY_ALLOW : POLICY_IMPLICIT_DENY,
		    "%s on %s: %s", m->asked, m->arn, text);
	}
}

/* A value of the request that looks like a wildcard is none. */
static void
test_variable_values(void **state UNUSED)
{
	static const char text[] =
	    A12(ALLOW("\"*\"", "\"arn:aws:s3:::${t:x}/*\""));
	static const char *const values[] = { "*", "?????", "\1", "alice",
		"${aws:username}" };
	struct policy_request req = plain_request;
	struct policy_fact fact = { "t:x", NULL, 1 };

	req.arn = "arn:aws:s3:::alice/k";
	req.action = "s3:GetObject";
	req.owner = TENANT;
	req.facts = &fact;
	req.nfacts = 1;
	for (size_t i = 0; i < COUNTOF(values); i++) {
		fact.values = &values[i];
		expect_verdict(verdict(text, NULL, &req),
		    i == 3 ? POLICY_ALLOW : POLICY_IMPLICIT_DENY, "%s",
		    values[i]);
	}
	/* Several values are no value. */
	fact.values = &values[3];
	fact.n = 2;
	assert_int_equal(verdict(text, NULL, &req), POLICY_IMPLICIT_DENY);
}

/* In negated operators a variable without a value allows nothing, and a Deny
 * takes it for different from everything. */
static void
test_variable_negated(void **state UNUSED)
{
	static const char condition[] = ",\"Condition\":{\"StringNotEquals\":{"
					"\"aws:username\":\"${t:none}\"}}";
	static const char all[] = A12(ALLOW("\"*\"", "\"*\""));
	char allow[512], deny[512];

	(void)snprintf(
	    allow, sizeof(allow), A12(ALLOW("\"*\"", "\"*\"") "%s"), condition);
	(void)snprintf(
	    deny, sizeof(deny), A12(DENY("\"*\"", "\"*\"") "%s"), condition);
	assert_int_equal(
	    verdict(allow, NULL, &plain_request), POLICY_IMPLICIT_DENY);
	assert_int_equal(
	    ask(all, deny, NULL, &plain_request).verdict, POLICY_EXPLICIT_DENY);
	assert_int_equal(
	    ask(all,
		A12("\"Effect\":\"Deny\",\"Action\":\"*\",\"NotResource\":"
		    "\"arn:aws:kms:*:*:key/${t:none}\""),
		NULL, &plain_request)
		.verdict,
	    POLICY_EXPLICIT_DENY);
}

/* Values that make a pattern longer than anything that it could match. */
static void
test_variable_length(void **state UNUSED)
{
	static const char text[] =
	    A12(ALLOW("\"*\"", "\"arn:aws:s3:::${t:x}${t:x}${t:x}\""));
	char *value = malloc(8193);
	const char *const values[] = { value };
	const struct policy_fact fact = { "t:x", values, 1 };
	struct policy_request req = plain_request;

	assert_non_null(value);
	memset(value, 'x', 8192);
	value[8192] = '\0';
	req.action = "s3:GetObject";
	req.arn = "arn:aws:s3:::xxxxxx";
	req.owner = TENANT;
	req.facts = &fact;
	req.nfacts = 1;
	assert_int_equal(verdict(text, NULL, &req), POLICY_IMPLICIT_DENY);
	value[2] = '\0';
	assert_int_equal(verdict(text, NULL, &req), POLICY_ALLOW);
	free(value);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_variable_values),
		cmocka_unit_test(test_variable_negated),
		cmocka_unit_test(test_variable_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
