/*
 * Policies: what documents are taken and what is said of the others;
 * principals of each dialect.
 */
#include "tests/unit/policy_common.h"

/* ---- Malformed documents --------------------------------------------------- */

static const struct {
	const char *text, *where, *why;
	unsigned line, column;
} bad[] = {
	{ "", "", "the text ends", 1, 1 },
	{ "[]", "", "must be an object", 1, 1 },
	{ "{", "", "a name in quotes", 1, 2 },
	{ "{\"a\" 1}", "", "a colon", 1, 6 },
	{ "{\"a\":1,}", "", "a name in quotes", 1, 8 },
	{ "{\"a\":1 \"b\":2}", "", "a comma", 1, 8 },
	{ "{\"a\":[1 2]}", "", "a comma", 1, 9 },
	{ "{\"a\":1}}", "", "more text", 1, 8 },
	{ "{\"a\":1,\n \"a\":2}", "", "\"a\" stands here twice", 2, 2 },
	{ "{\"a\":\"b\n\"}", "", "control character", 1, 8 },
	{ "{\"a\":\"\\u0000\"}", "", "control character", 1, 13 },
	{ "{\"a\":\"\\n\"}", "", "control character", 1, 8 },
	{ "{\"a\":\"\\x\"}", "", "escape", 1, 9 },
	{ "{\"a\":\"\\ud800\"}", "", "surrogate", 1, 13 },
	{ "{\"a\":\"\\ud800\\u0041\"}", "", "surrogate", 1, 15 },
	{ "{\"a\":\"\xff\"}", "", "not UTF-8", 1, 8 },
	{ "{\"a\":\"\xed\xa0\x80\"}", "", "not UTF-8", 1, 10 },
	{ "{\"a\":\"b", "", "without its end", 1, 7 },
	{ "{\"a\":01}", "", "number", 1, 7 },
	{ "{\"a\":1.}", "", "number", 1, 8 },
	{ "{\"a\":-}", "", "number", 1, 7 },
	{ "{\"a\":1e3}", "", "exponent", 1, 7 },
	{ "{\"a\":nul}", "", "\"n\" where a value", 1, 6 },
	{ "{\"a\":'b'}", "", "\"'\" where a value", 1, 6 },
	{ "{\"a\":/1}", "", "\"/\" where a value", 1, 6 },
	{ "{\"a\":[[[[[[[[1]]]]]]]]}", "", "nested over 8", 1, 13 },
	{ "{}", "", "no Statement", 1, 1 },
	{ "{\"Version\":\"2012-10-18\",\"Statement\":[]}", "Version",
	    "must be \"1.1\"", 1, 2 },
	{ "{\"Version\":1,\"Statement\":[]}", "Version", "must be \"1.1\"", 1,
	    2 },
	{ "{\"version\":\"1\",\"Statement\":[]}", "",
	    "\"version\" is no element of a policy", 1, 2 },
	{ "{\"Id\":1,\"Statement\":[]}", "", "Id must be", 1, 2 },
	{ "{\"Statement\":[]}", "", "no statement", 1, 2 },
	{ "{\"Statement\":\"x\"}", "Statement[0]", "must be an object", 1, 2 },
	{ "{\"Statement\":[\n{\"Action\":\"*\",\"Resource\":\"*\"}]}",
	    "Statement[0]", "no Effect", 2, 1 },
	{ A12("\"effect\":\"Allow\""), "Statement[0]",
	    "\"effect\" is written \"Effect\"", 1, 39 },
	{ A12("\"Allow\":\"*\""), "Statement[0]",
	    "\"Allow\" is no element of a statement", 1, 39 },
	{ A12("\"Effect\":\"deny\""), "Statement[0].Effect",
	    "must be \"Allow\" or \"Deny\"", 1, 39 },
	{ A12("\"Effect\":\"allow\""), "Statement[0].Effect",
	    "must be \"Allow\" or \"Deny\"", 1, 39 },
	{ A12("\"Effect\":\"Allow\",\"Resource\":\"*\""), "Statement[0]",
	    "neither Action nor NotAction", 1, 38 },
	{ A12("\"Effect\":\"Allow\",\"Action\":\"*\""), "Statement[0]",
	    "neither Resource nor NotResource", 1, 38 },
	{ A12(ALLOW("\"*\"", "\"*\"") ",\"NotAction\":\"*\""), "Statement[0]",
	    "both Action and NotAction", 1, 38 },
	{ A12(ALLOW("\"*\"", "\"*\"") ",\"NotResource\":\"*\""), "Statement[0]",
	    "both Resource and NotResource", 1, 38 },
	{ A12(ALLOW("[]", "\"*\"")), "Statement[0].Action", "an empty list", 1,
	    56 },
	{ A12(ALLOW("[\"*\",5]", "\"*\"")), "Statement[0].Action",
	    "must be a string", 1, 70 },
	{ A12(ALLOW("{}", "\"*\"")), "Statement[0].Action", "must be a string",
	    1, 56 },
	{ A12(ALLOW("\"Decrypt\"", "\"*\"")), "Statement[0].Action",
	    "\"Decrypt\" is no action, which reads service:Operation", 1, 56 },
	{ A12(ALLOW("\"kms:cmk:get\"", "\"*\"")), "Statement[0].Action",
	    "reads service:Operation", 1, 56 },
	{ A12(ALLOW("\"kms:\"", "\"*\"")), "Statement[0].Action",
	    "is no action", 1, 56 },
	{ A12(ALLOW("\"k*:Decrypt\"", "\"*\"")), "Statement[0].Action",
	    "no wildcards", 1, 56 },
	{ A12(ALLOW("\"k?s:Decrypt\"", "\"*\"")), "Statement[0].Action",
	    "no wildcards", 1, 56 },
	{ A12(ALLOW("\"kms:De crypt\"", "\"*\"")), "Statement[0].Action",
	    "is no action", 1, 56 },
	{ ST("1.1", ALLOW("\"kms:GenerateDataKey\"", "\"*\"")),
	    "Statement[0].Action", "service:type:operation", 1, 49 },
	{ ST("1.1", ALLOW("\"a:b:c:d\"", "\"*\"")), "Statement[0].Action",
	    "service:type:operation", 1, 49 },
	{ A12(ALLOW("\"*\"", "\"acs:kms:*:*:*\"")), "Statement[0].Resource",
	    "it has 5 parts, not 6", 1, 69 },
	{ A12(ALLOW("\"*\"", "\"acs:kms:*:*:*:x\"")), "Statement[0].Resource",
	    "does not begin with \"arn:\"", 1, 69 },
	{ ST("1", ALLOW("\"*\"", "\"arn:aws:kms:*:*:*\"")),
	    "Statement[0].Resource", "does not begin with \"acs:\"", 1, 60 },
	{ ST("1.1", ALLOW("\"*\"", "\"KMS:*:*:KeyId\"")),
	    "Statement[0].Resource", "it has 4 parts, not 5", 1, 62 },
	{ A12(ALLOW("\"*\"", "\"*\"") ",\"Principal\":\"*\""),
	    "Statement[0].Principal", "names no principals", 1, 84 },
	{ A12("\"Sid\":\"a\"," ALLOW(
	      "\"*\"", "\"*\"") "},{\"Sid\":\"a\"," ALLOW("\"*\"", "\"*\"")),
	    "Statement[1].Sid", "names another statement", 1, 96 },
	{ A12(ALLOW("\"*\"", "\"*\"") ",\"Condition\":[]"),
	    "Statement[0].Condition", "object of operators", 1, 84 },
	{ A12(ALLOW("\"*\"", "\"*\"") ",\"Condition\":{\"StringEqual\":{}}"),
	    "Statement[0].Condition.StringEqual", "is no operator", 1, 97 },
	{ A12(ALLOW("\"*\"", "\"*\"") ",\"Condition\":{\"Bool\":{}}"),
	    "Statement[0].Condition.Bool", "object of condition keys", 1, 97 },
	{ A12(ALLOW("\"*\"", "\"*\"") ",\"Condition\":{\"Bool\":\"x\"}"),
	    "Statement[0].Condition.Bool", "object of condition keys", 1, 97 },
	{ A12(ALLOW("\"*\"", "\"*\"") ",\"Condition\":{\"Bool\":{\"k\":[]}}"),
	    "Statement[0].Condition.Bool.k", "an empty list", 1, 105 },
	{ A12(ALLOW("\"*\"", "\"*\"") ",\"Condition\":{\"Bool\":{\"\":true}}"),
	    "Statement[0].Condition.Bool", "without a name", 1, 105 },
	{ A12(ALLOW("\"*\"",
	      "\"*\"") ",\"Condition\":{\"NullIfExists\":{\"k\":true}}"),
	    "Statement[0].Condition.NullIfExists", "is no operator", 1, 97 },
	{ A12(ALLOW("\"*\"", "\"arn:aws:kms:*:*:key/${aws:username\"")),
	    "Statement[0].Resource", "without its end", 1, 69 },
	{ A12(ALLOW("\"*\"", "\"arn:aws:kms:*:*:key/${a${b}}\"")),
	    "Statement[0].Resource", "without a name", 1, 69 },
	{ A12(ALLOW("\"*\"", "\"arn:aws:kms:*:*:key/${}\"")),
	    "Statement[0].Resource", "without a name", 1, 69 },
	{ A12(ALLOW("\"*\"", "\"arn:aws:kms:*:*:key/${a, b}\"")),
	    "Statement[0].Resource", "default of a policy variable", 1, 69 },
	{ "{ // why\n}", "", "comments are for Version 1", 1, 3 },
};

static void
test_malformed(void **state UNUSED)
{

	for (size_t i = 0; i < COUNTOF(bad); i++) {
		struct policy_fault f;
		struct policy *p = NULL;
		const char *text = bad[i].text;
		const enum err e =
		    policy_parse(text, strlen(text), POLICY_IDENTITY, &p, &f);

		if ((e != ERR_PARSE && e != ERR_LIMIT) || p != NULL)
			fail_msg("%s: error %d", text, e);
		if (strcmp(f.where, bad[i].where) != 0 ||
		    strstr(f.why, bad[i].why) == NULL ||
		    f.line != bad[i].line || f.column != bad[i].column)
			fail_msg("%s: line %u, column %u: %s: %s", text, f.line,
			    f.column, f.where, f.why);
		assert_non_null(strstr(err_detail(e), f.why));
	}
}

static void
test_bad_values(void **state UNUSED)
{
	static const struct {
		const char *op, *value;
	} values[] = {
		{ "NumericEquals", "\"1e3\"" },
		{ "NumericEquals", "\"\"" },
		{ "NumericEquals", "\" 1\"" },
		{ "NumericEquals", "\".5\"" },
		{ "NumericEquals", "\"5.\"" },
		{ "NumericEquals", "\"0x1\"" },
		{ "NumericEquals", "true" },
		{ "NumericEquals", "\"inf\"" },
		{ "DateEquals", "\"2026-02-29\"" },
		{ "DateEquals", "\"2026-13\"" },
		{ "DateEquals", "\"2026-00\"" },
		{ "DateEquals", "\"2026-11-31\"" },
		{ "DateEquals", "\"2026-11-21T12:00:00\"" },
		{ "DateEquals", "\"2026-11-21T24:00:00Z\"" },
		{ "DateEquals", "\"2026-11-21T12:60:00Z\"" },
		{ "DateEquals", "\"2026-11-21T12Z\"" },
		{ "DateEquals", "\"2026-11-21 12:00:00Z\"" },
		{ "DateEquals", "\"2026-11-21T12:00:00Zx\"" },
		{ "DateEquals", "\"2026-11-21T12:00:00+8:00\"" },
		{ "DateEquals", "\"2026-11-21T12:00:00.Z\"" },
		{ "DateEquals", "\"-5\"" },
		{ "DateEquals", "\"\"" },
		{ "DateEquals", "\"1234567890123456\"" },
		{ "Bool", "\"yes\"" },
		{ "Bool", "\"\"" },
		{ "Bool", "1" },
		{ "Null", "\"null\"" },
		{ "Null", "null" },
		{ "BinaryEquals", "\"A\"" },
		{ "BinaryEquals", "\"AB==\"" },
		{ "IpAddress", "\"10.0.0.0/33\"" },
		{ "IpAddress", "\"10.0.0.0/\"" },
		{ "IpAddress", "\"10.0.0.0/08\"" },
		{ "IpAddress", "\"10.0.0.0/-1\"" },
		{ "IpAddress", "\"10.0.0\"" },
		{ "IpAddress", "\"10.0.0.256\"" },
		{ "IpAddress", "\"*\"" },
		{ "IpAddress", "\"::/129\"" },
		{ "IpAddress", "\":::\"" },
		{ "IpAddress", "\"10.0.0.1/8 \"" },
		{ "IpAddress", "\"/8\"" },
		{ "ArnEquals", "\"arn:aws:s3\"" },
		{ "ArnLike", "\"user/*\"" },
		{ "StringEquals", "null" },
		{ "StringEquals", "{}" },
		{ "StringEquals", "[[\"a\"]]" },
		{ "StringEquals", "\"${x\"" },
		{ "stringequals", "\"a\"" },
		{ "StringEqualsIfExistsIfExists", "\"a\"" },
		{ "ForSomeValues:StringEquals", "\"a\"" },
		{ "ForAnyValue:ForAnyValue:Bool", "true" },
		{ "ForAnyValue:Null", "true" },
		{ "IfExists", "true" },
		{ "", "true" },
		{ "StringEqual", "true" },
		{ "StringEqualsX", "true" },
	};

	for (size_t i = 0; i < COUNTOF(values); i++) {
		struct policy_fault f;
		struct policy *p = NULL;
		char text[512], head[96];

		(void)snprintf(text, sizeof(text),
		    A12(ALLOW("\"*\"",
			"\"*\"") ",\"Condition\":{\"%s\":{\"t:x\":%s}}"),
		    values[i].op, values[i].value);
		(void)snprintf(head, sizeof(head), "Statement[0].Condition.%s",
		    values[i].op);
		if (policy_parse(text, strlen(text), POLICY_IDENTITY, &p, &f) !=
		    ERR_PARSE)
			fail_msg("taken: %s", text);
		if (strncmp(f.where, head, strlen(head)) != 0)
			fail_msg("%s: at %s", text, f.where);
	}
}

static void
test_limits(void **state UNUSED)
{
	static const char st[] = "{\"Effect\":\"Allow\",\"Action\":\"*\","
				 "\"Resource\":\"*\"}";
	char *text = calloc(1, POLICY_TEXT_MAX + 2);
	struct policy_fault f;
	struct policy *p = NULL;
	size_t len;

	assert_non_null(text);
	for (int more = 0; more < 2; more++) {
		strcpy(text, "{\"Statement\":[");
		for (int i = 0; i < POLICY_STATEMENTS_MAX + more; i++)
			(void)sprintf(
			    text + strlen(text), "%s%s", i > 0 ? "," : "", st);
		strcat(text, "]}");
		assert_int_equal(
		    policy_parse(text, strlen(text), POLICY_IDENTITY, &p, &f),
		    more ? ERR_LIMIT : OK);
		if (more)
			assert_non_null(strstr(f.why, "over 256 statements"));
		else
			assert_int_equal(
			    policy_statements(p), POLICY_STATEMENTS_MAX);
		policy_free(p);
		p = NULL;
	}
	/* Spaces to the last byte, and one over. */
	len =
	    (size_t)snprintf(text, POLICY_TEXT_MAX, "{\"Statement\":[%s]}", st);
	memset(text + len, ' ', POLICY_TEXT_MAX + 1 - len);
	assert_int_equal(
	    policy_parse(text, POLICY_TEXT_MAX, POLICY_IDENTITY, &p, &f), OK);
	policy_free(p);
	p = NULL;
	assert_int_equal(
	    policy_parse(text, POLICY_TEXT_MAX + 1, POLICY_IDENTITY, &p, &f),
	    ERR_LIMIT);
	/* Strings. */
	for (int more = 0; more < 2; more++) {
		strcpy(text, "{\"Id\":\"");
		len = strlen(text);
		memset(text + len, 'x', POLICY_STRING_MAX + (size_t)more);
		(void)sprintf(text + len + POLICY_STRING_MAX + more,
		    "\",\"Statement\":[%s]}", st);
		assert_int_equal(
		    policy_parse(text, strlen(text), POLICY_IDENTITY, &p, &f),
		    more ? ERR_LIMIT : OK);
		policy_free(p);
		p = NULL;
	}
	free(text);
}

/* ---- Principals ------------------------------------------------------------ */

static void
test_principals(void **state UNUSED)
{
	static const struct {
		const char *version, *principal;
		/* What alice, a holder of the role admin, gets; the account;
		 * a user of another account; a service. */
		enum policy_verdict alice, root, foreign, service;
	} rows[] = {
#define Y POLICY_ALLOW
#define N POLICY_IMPLICIT_DENY
		{ "2012-10-17", "\"*\"", Y, Y, N, Y },
		{ "2012-10-17", "{\"AWS\":\"*\"}", Y, Y, N, Y },
		{ "2012-10-17", "{\"AWS\":\"" TENANT "\"}", N, Y, N, N },
		{ "2012-10-17", "{\"AWS\":\"arn:aws:iam::" TENANT ":root\"}", N,
		    Y, N, N },
		{ "2012-10-17",
		    "{\"AWS\":\"arn:aws:iam::" TENANT ":user/alice\"}", Y, N, N,
		    N },
		{ "2012-10-17",
		    "{\"AWS\":\"arn:aws:iam::" TENANT ":user/ALICE\"}", N, N, N,
		    N },
		{ "2012-10-17",
		    "{\"AWS\":\"arn:aws:iam::" TENANT ":user/alic\"}", N, N, N,
		    N },
		{ "2012-10-17",
		    "{\"AWS\":\"arn:aws:iam::" OTHER ":user/alice\"}", N, N, N,
		    N },
		{ "2012-10-17",
		    "{\"AWS\":\"arn:aws:iam::" TENANT ":role/admin\"}", Y, N, N,
		    N },
		{ "2012-10-17",
		    "{\"AWS\":\"arn:aws:iam::" TENANT ":role/adm\"}", N, N, N,
		    N },
		{ "2012-10-17",
		    "{\"AWS\":\"arn:aws:sts::" TENANT
		    ":assumed-role/admin/alice\"}",
		    Y, N, N, N },
		{ "2012-10-17",
		    "{\"AWS\":\"arn:aws:sts::" TENANT
		    ":assumed-role/admin/bob\"}",
		    N, N, N, N },
		{ "2012-10-17",
		    "{\"AWS\":\"arn:aws:sts::" TENANT
		    ":assumed-role/other/alice\"}",
		    N, N, N, N },
		{ "2012-10-17",
		    "{\"AWS\":[\"" OTHER "\",\"arn:aws:iam::" TENANT
		    ":user/alice\"]}",
		    Y, N, N, N },
		{ "2012-10-17", "{\"Service\":\"s3.amazonaws.com\"}", N, N, N,
		    Y },
		{ "2012-10-17", "{\"Service\":\"ec2.amazonaws.com\"}", N, N, N,
		    N },
		{ "2012-10-17",
		    "{\"Service\":\"s3.amazonaws.com\",\"AWS\":\"" TENANT "\"}",
		    N, Y, N, Y },
		{ "1", "{\"RAM\":\"acs:ram::" TENANT ":*\"}", Y, Y, N, N },
		{ "1", "{\"RAM\":\"acs:ram::" TENANT ":root\"}", N, Y, N, N },
		{ "1", "{\"RAM\":\"acs:ram::" TENANT ":user/alice\"}", Y, N, N,
		    N },
		{ "1", "{\"RAM\":\"acs:ram::" TENANT ":role/admin\"}", Y, N, N,
		    N },
		{ "1", "{\"RAM\":\"" TENANT "\"}", N, Y, N, N },
		{ "1.1", "{\"ID\":\"domain/" TENANT ":user/alice\"}", Y, N, N,
		    N },
		{ "1.1", "{\"ID\":\"domain/" TENANT ":user/*\"}", Y, Y, N, N },
		{ "1.1", "{\"ID\":\"domain/" TENANT "\"}", N, Y, N, N },
		{ "1.1", "{\"ID\":\"domain/" OTHER ":user/*\"}", N, N, N, N },
#undef Y
#undef N
	};
	static const char *const roles[] = { "admin" };
	struct policy_request req = plain_request;

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		char text[1024];

		(void)snprintf(text, sizeof(text),
		    "{\"Version\":\"%s\",\"Statement\":{\"Effect\":\"Allow\","
		    "\"Principal\":%s,\"Action\":\"*\",\"Resource\":\"*\"}}",
		    rows[i].version, rows[i].principal);
		req.who = plain_request.who;
		req.who.roles = roles;
		req.who.nroles = 1;
		expect_verdict(verdict(NULL, text, &req), rows[i].alice,
		    "alice: %s", text);
		req.who = (struct policy_principal){ .account = TENANT,
			.root = true };
		expect_verdict(
		    verdict(NULL, text, &req), rows[i].root, "root: %s", text);
		req.who = (struct policy_principal){ .account = OTHER,
			.user = "alice" };
		expect_verdict(verdict(NULL, text, &req), rows[i].foreign,
		    "foreign: %s", text);
		req.who = (struct policy_principal){ .account = TENANT,
			.service = "s3.amazonaws.com" };
		expect_verdict(verdict(NULL, text, &req), rows[i].service,
		    "service: %s", text);
	}
}

static void
test_bad_principals(void **state UNUSED)
{
	static const struct {
		const char *version, *effect, *rest;
	} rows[] = {
		{ "2012-10-17", "Allow", "" },
		{ "2012-10-17", "Allow", ",\"Principal\":\"alice\"" },
		{ "2012-10-17", "Allow", ",\"Principal\":[\"*\"]" },
		{ "2012-10-17", "Allow", ",\"Principal\":{}" },
		{ "2012-10-17", "Allow", ",\"Principal\":{\"AWS\":[]}" },
		{ "2012-10-17", "Allow", ",\"Principal\":{\"AWS\":5}" },
		{ "2012-10-17", "Allow", ",\"Principal\":{\"aws\":\"*\"}" },
		{ "2012-10-17", "Allow", ",\"Principal\":{\"RAM\":\"*\"}" },
		{ "2012-10-17", "Allow",
		    ",\"Principal\":{\"Federated\":\"x\"}" },
		{ "2012-10-17", "Allow",
		    ",\"Principal\":{\"AWS\":\"arn:aws:iam::*:root\"}" },
		{ "2012-10-17", "Allow",
		    ",\"Principal\":{\"AWS\":\"arn:aws:iam::1:user/*\"}" },
		{ "2012-10-17", "Allow",
		    ",\"Principal\":{\"AWS\":\"arn:aws:iam::1:group/x\"}" },
		{ "2012-10-17", "Allow",
		    ",\"Principal\":{\"AWS\":\"arn:aws:iam::1:user/\"}" },
		{ "2012-10-17", "Allow",
		    ",\"Principal\":{\"AWS\":\"arn:aws-cn:iam::1:root\"}" },
		{ "2012-10-17", "Allow",
		    ",\"Principal\":{\"AWS\":\"arn:aws:sts::1:assumed-role/"
		    "x\"}" },
		{ "2012-10-17", "Allow",
		    ",\"Principal\":{\"AWS\":\"acs:ram::1:root\"}" },
		{ "1", "Allow", ",\"Principal\":{\"AWS\":\"1\"}" },
		{ "1", "Allow",
		    ",\"Principal\":{\"RAM\":\"acs:ram::1:user/a*\"}" },
		{ "1.1", "Allow", ",\"Principal\":{\"ID\":\"alice\"}" },
		{ "1.1", "Allow",
		    ",\"Principal\":{\"ID\":\"domain/:user/x\"}" },
		{ "2012-10-17", "Allow", ",\"NotPrincipal\":{\"AWS\":\"1\"}" },
		{ "2012-10-17", "Deny",
		    ",\"NotPrincipal\":{\"AWS\":\"1\"},\"Principal\":\"*\"" },
	};

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		struct policy *p = NULL;
		struct policy_fault f;
		char text[512];

		(void)snprintf(text, sizeof(text),
		    "{\"Version\":\"%s\",\"Statement\":{\"Effect\":\"%s\","
		    "\"Action\":\"*\",\"Resource\":\"*\"%s}}",
		    rows[i].version, rows[i].effect, rows[i].rest);
		if (policy_parse(text, strlen(text), POLICY_RESOURCE, &p, &f) !=
		    ERR_PARSE)
			fail_msg("taken: %s", text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_principals),
		cmocka_unit_test(test_bad_principals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
