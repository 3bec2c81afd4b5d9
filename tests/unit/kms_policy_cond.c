/*
 * Conditions of policies: each operator with its corner cases, by hand; then
 * every operator with every prefix and suffix against facts that are absent,
 * empty, one or several, by rule.
 */
#include "tests/unit/policy_common.h"

#include <strings.h>

#define DOC                                                      \
	"{\"Version\":\"%s\",\"Statement\":[{\"Effect\":\"%s\"," \
	"\"Action\":\"*\",\"Resource\":\"*\","                   \
	"\"Condition\":{\"%s\":{\"%s\":%s}}}]}"
#define ALL_ALLOWED                                   \
	"{\"Version\":\"2012-10-17\",\"Statement\":{" \
	"\"Effect\":\"Allow\",\"Action\":\"*\","      \
	"\"Resource\":\"*\"}}"

/* Split "a|b|c" in place. */
static size_t
split(char *s, const char *ret[static 16])
{
	size_t n = 0;

	ret[n++] = s;
	for (; *s != '\0' && n < 16; s++)
		if (*s == '|') {
			*s = '\0';
			ret[n++] = s + 1;
		}
	return n;
}

/*
 * Does the condition hold?  ${have} are the values of the fact t:x, NULL when
 * it is not there.  Asked twice: a Deny must see the same as an Allow.
 */
static bool
holds(const char *version, const char *op, const char *key, const char *values,
    const char *have)
{
	char text[4096], room[2048] = "";
	const char *v[16];
	struct policy_fact fact = { "t:X", v, 0 };
	struct policy_request req = plain_request;
	enum policy_verdict allow, deny;

	if (have != NULL) {
		strcpy(room, have);
		fact.n = split(room, v);
		req.facts = &fact;
		req.nfacts = 1;
	}
	(void)snprintf(
	    text, sizeof(text), DOC, version, "Allow", op, key, values);
	allow = verdict(text, NULL, &req);
	(void)snprintf(
	    text, sizeof(text), DOC, version, "Deny", op, key, values);
	deny = ask(ALL_ALLOWED, text, NULL, &req).verdict;
	if ((allow == POLICY_ALLOW) != (deny == POLICY_EXPLICIT_DENY))
		fail_msg("%s: Allow and Deny disagree", text);
	return allow == POLICY_ALLOW;
}

static const struct row {
	const char *op, *values, *have;
	bool want;
} rows[] = {
	{ "StringEquals", "\"abc\"", "abc", true },
	{ "StringEquals", "\"abc\"", "ABC", false },
	{ "StringEquals", "\"abc\"", "abcd", false },
	{ "StringEquals", "\"abc\"", "ab", false },
	{ "StringEquals", "\"abc\"", "", false },
	{ "StringEquals", "\"\"", "", true },
	{ "StringEquals", "\"\"", NULL, false },
	{ "StringEquals", "\"a*\"", "abc", false },
	{ "StringEquals", "\"a*\"", "a*", true },
	{ "StringEquals", "\"a?\"", "ab", false },
	{ "StringEquals", "[\"x\",\"abc\"]", "abc", true },
	{ "StringEquals", "[\"x\",\"y\"]", "abc", false },
	{ "StringEquals", "5", "5", true },
	{ "StringEquals", "true", "true", true },
	{ "StringEquals", "true", "True", false },
	{ "StringEquals", "\"\\u00e9\"", "\xc3\xa9", true },
	{ "StringEquals", "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", true },
	{ "StringEquals", "\"a\\/b\\\\\\\"\"", "a/b\\\"", true },
	{ "StringNotEquals", "\"abc\"", "abc", false },
	{ "StringNotEquals", "\"abc\"", "ABC", true },
	{ "StringNotEquals", "\"abc\"", NULL, true },
	{ "StringNotEquals", "[\"x\",\"abc\"]", "abc", false },
	{ "StringNotEquals", "[\"x\",\"y\"]", "abc", true },
	{ "StringEqualsIgnoreCase", "\"aBc\"", "AbC", true },
	{ "StringEqualsIgnoreCase", "\"aBc\"", "AbCd", false },
	{ "StringEqualsIgnoreCase", "\"[\"", "{", false },
	{ "StringEqualsIgnoreCase", "\"@\"", "`", false },
	{ "StringNotEqualsIgnoreCase", "\"aBc\"", "AbC", false },
	{ "StringNotEqualsIgnoreCase", "\"aBc\"", "b", true },
	{ "StringLike", "\"*\"", "", true },
	{ "StringLike", "\"*\"", "anything", true },
	{ "StringLike", "\"*\"", NULL, false },
	{ "StringLike", "\"?*\"", "", false },
	{ "StringLike", "\"?*\"", "x", true },
	{ "StringLike", "\"a*\"", "a", true },
	{ "StringLike", "\"a*\"", "ba", false },
	{ "StringLike", "\"*a\"", "bab", false },
	{ "StringLike", "\"*a\"", "baba", true },
	{ "StringLike", "\"a*c\"", "abc", true },
	{ "StringLike", "\"a*c\"", "ac", true },
	{ "StringLike", "\"a*c\"", "abcd", false },
	{ "StringLike", "\"a*c\"", "aBC", false },
	{ "StringLike", "\"a*b*c\"", "a-b-b-c", true },
	{ "StringLike", "\"a*b*c\"", "a-c-b", false },
	{ "StringLike", "\"*aab\"", "aaab", true },
	{ "StringLike", "\"*ab*ab\"", "abab", true },
	{ "StringLike", "\"*ab*ab\"", "abb", false },
	{ "StringLike", "\"a**b\"", "ab", true },
	{ "StringLike", "\"a?c\"", "abc", true },
	{ "StringLike", "\"a?c\"", "ac", false },
	{ "StringLike", "\"a?c\"", "abbc", false },
	{ "StringLike", "\"a?c\"",
	    "a\xc3\xa9"
	    "c",
	    true },
	{ "StringLike", "\"a??c\"",
	    "a\xc3\xa9"
	    "c",
	    false },
	{ "StringLike", "\"a?c\"",
	    "a\xf0\x9f\x98\x80"
	    "c",
	    true },
	{ "StringLike", "\"???\"", "abc", true },
	{ "StringLike", "\"a[b]c\"", "abc", false },
	{ "StringLike", "\"[b]\"", "[b]", true },
	{ "StringLike", "\"a.c\"", "abc", false },
	{ "StringNotLike", "\"a*\"", "abc", false },
	{ "StringNotLike", "\"a*\"", "bc", true },
	{ "StringNotLike", "[\"a*\",\"b*\"]", "bc", false },
	{ "StringNotLike", "\"a*\"", NULL, true },
	{ "NumericEquals", "\"10\"", "10", true },
	{ "NumericEquals", "10", "10.0", true },
	{ "NumericEquals", "\"010\"", "10", true },
	{ "NumericEquals", "\"+10\"", "10.000", true },
	{ "NumericEquals", "\"0\"", "-0.0", true },
	{ "NumericEquals", "\"10\"", "10.01", false },
	{ "NumericEquals", "9007199254740993", "9007199254740992", false },
	{ "NumericEquals", "\"10\"", "ten", false },
	{ "NumericEquals", "\"10\"", "", false },
	{ "NumericEquals", "\"10\"", "10 ", false },
	{ "NumericEquals", "\"16\"", "0x10", false },
	{ "NumericEquals", "\"10\"", "1e1", false },
	{ "NumericEquals", "[1,2,3]", "2", true },
	{ "NumericNotEquals", "\"10\"", "10.0", false },
	{ "NumericNotEquals", "\"10\"", "11", true },
	{ "NumericNotEquals", "[1,2,3]", "2", false },
	{ "NumericLessThan", "\"10\"", "9", true },
	{ "NumericLessThan", "\"10\"", "10", false },
	{ "NumericLessThan", "\"10\"", "9.999999999999999999999", true },
	{ "NumericLessThan", "\"-1\"", "-2", true },
	{ "NumericLessThan", "\"-1\"", "0", false },
	{ "NumericLessThan", "\"0.5\"", "0.45", true },
	{ "NumericLessThan", "\"0.5\"", "0.50", false },
	{ "NumericLessThan", "\"10\"", "x", false },
	{ "NumericLessThan", "\"100\"", "99", true },
	{ "NumericLessThanEquals", "\"10\"", "10", true },
	{ "NumericLessThanEquals", "\"10\"", "10.1", false },
	{ "NumericGreaterThan", "\"10\"", "10", false },
	{ "NumericGreaterThan", "\"10\"", "100", true },
	{ "NumericGreaterThan", "\"-10\"", "-9", true },
	{ "NumericGreaterThanEquals", "\"10\"", "10", true },
	{ "NumericGreaterThanEquals", "\"10\"", "9", false },
	{ "DateEquals", "\"2026-11-21T12:00:00Z\"", "2026-11-21T12:00:00Z",
	    true },
	{ "DateEquals", "\"2026-11-21T12:00:00Z\"", "2026-11-21T20:00:00+08:00",
	    true },
	{ "DateEquals", "\"2026-11-21T12:00:00Z\"", "2026-11-21T12:00Z", true },
	{ "DateEquals", "\"2026-11-21T12:00:00Z\"", "1795262400", true },
	{ "DateEquals", "\"1795262400\"", "2026-11-21T06:30:00-05:30", true },
	{ "DateEquals", "1795262400", "2026-11-21T12:00:00.000Z", true },
	{ "DateEquals", "1795262400", "2026-11-21T12:00:00.001Z", false },
	{ "DateEquals", "\"2026\"", "2026-01-01T00:00:00Z", true },
	{ "DateEquals", "\"2026-11\"", "2026-11-01T00:00:00Z", true },
	{ "DateEquals", "\"2024-02-29\"", "2024-02-29T00:00:00Z", true },
	{ "DateEquals", "\"1970-01-01\"", "0", true },
	{ "DateNotEquals", "\"2026-11-21\"", "2026-11-21T00:00:00Z", false },
	{ "DateNotEquals", "\"2026-11-21\"", "2026-11-21T00:00:01Z", true },
	{ "DateLessThan", "\"2026-11-21T12:00:00Z\"", "2026-11-21T11:59:59Z",
	    true },
	{ "DateLessThan", "\"2026-11-21T12:00:00Z\"", "2026-11-21T12:00:00Z",
	    false },
	{ "DateLessThan", "\"2026-11-21T12:00:00.5Z\"",
	    "2026-11-21T12:00:00.25Z", true },
	{ "DateLessThan", "\"2027\"", "noon", false },
	{ "DateLessThanEquals", "\"2026-11-21T12:00:00Z\"",
	    "2026-11-21T12:00:00Z", true },
	{ "DateLessThanEquals", "\"2026-11-21T12:00:00Z\"",
	    "2026-11-21T12:00:01Z", false },
	{ "DateGreaterThan", "\"2026-11-21T12:00:00Z\"",
	    "2026-11-21T12:00:00+00:01", false },
	{ "DateGreaterThan", "\"2026-11-21T12:00:00Z\"",
	    "2026-11-21T12:00:00-00:01", true },
	{ "DateGreaterThanEquals", "\"2026-11-21T12:00:00Z\"",
	    "2026-11-21T12:00:00Z", true },
	{ "DateGreaterThanEquals", "\"2026-11-21T12:00:00Z\"",
	    "2026-11-21T11:59:59.999999999Z", false },
	{ "Bool", "\"true\"", "true", true },
	{ "Bool", "true", "true", true },
	{ "Bool", "\"TRUE\"", "True", true },
	{ "Bool", "\"true\"", "false", false },
	{ "Bool", "\"false\"", "false", true },
	{ "Bool", "\"false\"", NULL, false },
	{ "Bool", "\"true\"", "1", false },
	{ "Bool", "\"false\"", "", false },
	{ "Bool", "[\"true\",\"false\"]", "false", true },
	{ "BinaryEquals", "\"QmluYXJ5\"", "QmluYXJ5", true },
	{ "BinaryEquals", "\"QmluYXJ5\"", "Qmluyxj5", false },
	{ "BinaryEquals", "\"QmluYXJ5\"", "QmluYXJ", false },
	{ "BinaryEquals", "\"AA==\"", "AA==", true },
	{ "BinaryEquals", "\"AA==\"", "AAA=", false },
	{ "BinaryEquals", "\"\"", "", true },
	{ "IpAddress", "\"203.0.113.0/24\"", "203.0.113.5", true },
	{ "IpAddress", "\"203.0.113.0/24\"", "203.0.114.0", false },
	{ "IpAddress", "\"203.0.113.77/24\"", "203.0.113.5", true },
	{ "IpAddress", "\"203.0.113.5\"", "203.0.113.5", true },
	{ "IpAddress", "\"203.0.113.5\"", "203.0.113.6", false },
	{ "IpAddress", "\"203.0.113.5/32\"", "203.0.113.4", false },
	{ "IpAddress", "\"203.0.113.4/31\"", "203.0.113.5", true },
	{ "IpAddress", "\"203.0.113.4/31\"", "203.0.113.6", false },
	{ "IpAddress", "\"10.0.0.0/9\"", "10.127.255.255", true },
	{ "IpAddress", "\"10.0.0.0/9\"", "10.128.0.0", false },
	{ "IpAddress", "\"0.0.0.0/0\"", "255.255.255.255", true },
	{ "IpAddress", "\"0.0.0.0/0\"", "2001:db8::1", false },
	{ "IpAddress", "\"::/0\"", "2001:db8::1", true },
	{ "IpAddress", "\"::/0\"", "203.0.113.5", false },
	{ "IpAddress", "\"2001:db8::/32\"", "2001:db8:ffff::1", true },
	{ "IpAddress", "\"2001:db8::/32\"", "2001:db9::1", false },
	{ "IpAddress", "\"::ffff:0:0/95\"", "203.0.113.5", false },
	{ "IpAddress", "\"::ffff:0:0/95\"", "::fffe:1:2", true },
	{ "IpAddress", "\"2001:db8::/33\"", "2001:db8:8000::", false },
	{ "IpAddress", "\"2001:DB8:0:0::1\"", "2001:db8::1", true },
	{ "IpAddress", "\"2001:db8::1/128\"", "2001:db8::2", false },
	{ "IpAddress", "\"203.0.113.0/24\"", "::ffff:203.0.113.5", true },
	{ "IpAddress", "\"203.0.113.0/24\"", "::ffff:cb00:7205", false },
	{ "IpAddress", "\"::ffff:203.0.113.0/120\"", "203.0.113.5", true },
	{ "IpAddress", "\"203.0.113.0/24\"", "::203.0.113.5", false },
	{ "IpAddress", "\"203.0.113.0/24\"", "203.0.113.0/24", false },
	{ "IpAddress", "\"203.0.113.0/24\"", "203.0.113.05", false },
	{ "IpAddress", "\"203.0.113.0/24\"", "", false },
	{ "IpAddress", "\"203.0.113.0/24\"", NULL, false },
	{ "IpAddress", "[\"10.0.0.0/8\",\"2001:db8::/32\"]", "2001:db8::9",
	    true },
	{ "NotIpAddress", "\"203.0.113.0/24\"", "203.0.113.5", false },
	{ "NotIpAddress", "\"203.0.113.0/24\"", "203.0.114.5", true },
	{ "NotIpAddress", "\"203.0.113.0/24\"", "::ffff:203.0.113.5", false },
	{ "NotIpAddress", "[\"10.0.0.0/8\",\"192.168.0.0/16\"]", "192.168.1.1",
	    false },
	{ "ArnEquals", "\"arn:aws:s3:::b\"", "arn:aws:s3:::b", true },
	{ "ArnEquals", "\"arn:aws:s3:::*\"", "arn:aws:s3:::b/c:d", true },
	{ "ArnLike", "\"arn:aws:iam::1:user/*\"", "arn:aws:iam::1:user/a/b",
	    true },
	{ "ArnLike", "\"arn:aws:iam::1:user/*\"", "arn:aws:iam::2:user/a",
	    false },
	{ "ArnLike", "\"arn:aws:iam::*:user/a\"", "arn:aws:iam::2:user/a",
	    true },
	{ "ArnLike", "\"arn:*:*:*:*:user/a\"", "arn:aws:iam::2:user/a", true },
	{ "ArnLike", "\"arn:aws:*::2:a\"", "arn:aws:iam:x:2:a", false },
	{ "ArnLike", "\"arn:aws:i*:2:z:a\"", "arn:aws:iam:1:2:z:a", false },
	{ "ArnLike", "\"arn:aws:iam::?:user/a\"", "arn:aws:iam::22:user/a",
	    false },
	{ "ArnLike", "\"*\"", "arn:aws:iam::2:user/a", true },
	{ "ArnLike", "\"*\"", "no arn", false },
	{ "ArnLike", "\"*\"", "acs:a:b:c:d:e", false },
	{ "ArnLike", "\"arn:*:*:*:*:*\"", "arn:aws:iam", false },
	{ "ArnNotEquals", "\"arn:aws:s3:::b\"", "arn:aws:s3:::b", false },
	{ "ArnNotEquals", "\"arn:aws:s3:::b\"", "arn:aws:s3:::B", true },
	{ "ArnNotLike", "\"arn:aws:s3:::b*\"", "arn:aws:s3:::bb", false },
	{ "ArnNotLike", "\"arn:aws:s3:::b*\"", NULL, true },
	{ "Null", "\"true\"", NULL, true },
	{ "Null", "\"true\"", "x", false },
	{ "Null", "\"true\"", "", false },
	{ "Null", "false", NULL, false },
	{ "Null", "false", "x", true },
	{ "Null", "[\"true\",\"false\"]", NULL, true },
	/* Several values of a fact, without a prefix. */
	{ "StringEquals", "\"a\"", "b|a", true },
	{ "StringEquals", "\"a\"", "b|c", false },
	{ "StringNotEquals", "\"a\"", "b|a", false },
	{ "StringNotEquals", "\"a\"", "b|c", true },
	/* Sets. */
	{ "ForAllValues:StringEquals", "[\"a\",\"b\"]", "a|b|a", true },
	{ "ForAllValues:StringEquals", "[\"a\",\"b\"]", "a|c", false },
	{ "ForAllValues:StringLike", "\"key1*\"", "key1:legal|key1:hr", true },
	{ "ForAllValues:StringNotLike", "\"key1*\"", "key1:hr|key2:x", false },
	{ "ForAllValues:StringNotLike", "\"key1*\"", "key2:audit", true },
	{ "ForAllValues:StringNotLike", "\"key1*\"", NULL, true },
	{ "ForAnyValue:StringLike", "\"key1*\"", "key2:x|key1:hr", true },
	{ "ForAnyValue:StringNotLike", "\"key1*\"", "key1:hr|key2:x", true },
	{ "ForAnyValue:StringNotLike", "\"key1*\"", "key1:hr|key1:x", false },
	{ "ForAnyValue:StringNotLike", "\"key1*\"", NULL, false },
	{ "ForAnyValue:StringNotLikeIfExists", "\"key1*\"", NULL, true },
	{ "ForAllValues:StringEqualsIgnoreCase", "\"A\"", "a|A", true },
	{ "ForAnyValue:NumericGreaterThan", "5", "1|9", true },
	{ "ForAllValues:NumericGreaterThan", "5", "6|5", false },
	{ "ForAllValues:IpAddress", "\"10.0.0.0/8\"", "10.1.1.1|11.1.1.1",
	    false },
	{ "StringEqualsIfExists", "\"a\"", NULL, true },
	{ "StringEqualsIfExists", "\"a\"", "b", false },
	{ "IpAddressIfExists", "\"10.0.0.0/8\"", "11.0.0.1", false },
	{ "BoolIfExists", "\"true\"", "false", false },
};

static void
test_rows(void **state UNUSED)
{
	static const char *const versions[] = { "2012-10-17", "2008-10-17", "1",
		"1.1" };

	for (size_t v = 0; v < COUNTOF(versions); v++)
		for (size_t i = 0; i < COUNTOF(rows); i++) {
			const struct row *r = &rows[i];

			if (holds(versions[v], r->op, "t:x", r->values,
				r->have) != r->want)
				fail_msg("Version %s: %s %s against %s is not "
					 "%d",
				    versions[v], r->op, r->values,
				    r->have != NULL ? r->have : "nothing",
				    r->want);
		}
}

static void
test_obs_rows(void **state UNUSED)
{
	static const struct row own[] = {
		{ "StringStartWith", "\"ab\"", "abc", true },
		{ "StringStartWith", "\"ab\"", "ab", true },
		{ "StringStartWith", "\"ab\"", "cab", false },
		{ "StringStartWith", "\"a*\"", "abc", false },
		{ "StringStartWith", "\"a*\"", "a*bc", true },
		{ "StringNotStartWith", "\"ab\"", "abc", false },
		{ "StringNotStartWith", "\"ab\"", NULL, true },
		{ "StringEndWith", "\"bc\"", "abc", true },
		{ "StringEndWith", "\"bc\"", "abcd", false },
		{ "StringEndWith", "\"bc\"", NULL, false },
		{ "StringEndWithIfExists", "\"bc\"", NULL, true },
		{ "StringEndWithIfExists", "\"bc\"", "cb", false },
		{ "StringNotEndWith", "\"bc\"", "abc", false },
		{ "NumberEquals", "5", "5.0", true },
		{ "NumberNotEquals", "5", "5.0", false },
		{ "NumberLessThan", "5", "4", true },
		{ "NumberLessThanEquals", "5", "5", true },
		{ "NumberGreaterThan", "5", "5", false },
		{ "NumberGreaterThanEquals", "5", "5", true },
		{ "ForAnyValue:StringEndWith", "\"c\"", "ab|bc", true },
	};
	char text[512];
	struct policy *p = NULL;

	for (size_t i = 0; i < COUNTOF(own); i++) {
		const struct row *r = &own[i];

		if (holds("1.1", r->op, "t:x", r->values, r->have) != r->want)
			fail_msg("%s %s is not %d", r->op, r->values, r->want);
		(void)snprintf(text, sizeof(text), DOC, "2012-10-17", "Allow",
		    r->op, "t:x", r->values);
		assert_int_equal(
		    policy_parse(text, strlen(text), POLICY_IDENTITY, &p, NULL),
		    ERR_PARSE);
	}
}

/* ---- Every operator, by rule ---------------------------------------------- */

/* A value, one that satisfies the operator without its Not, one that fails. */
static const struct {
	const char *op, *value, *yes, *no;
	bool negated;
} family[] = {
	{ "StringEquals", "\"a\"", "a", "b", false },
	{ "StringNotEquals", "\"a\"", "a", "b", true },
	{ "StringEqualsIgnoreCase", "\"a\"", "A", "b", false },
	{ "StringNotEqualsIgnoreCase", "\"a\"", "A", "b", true },
	{ "StringLike", "\"a*\"", "ax", "xa", false },
	{ "StringNotLike", "\"a*\"", "ax", "xa", true },
	{ "NumericEquals", "5", "5.0", "6", false },
	{ "NumericNotEquals", "5", "5.0", "6", true },
	{ "NumericLessThan", "5", "4", "5", false },
	{ "NumericLessThanEquals", "5", "5", "6", false },
	{ "NumericGreaterThan", "5", "6", "5", false },
	{ "NumericGreaterThanEquals", "5", "5", "4", false },
	{ "DateEquals", "\"2026\"", "2026", "2027", false },
	{ "DateNotEquals", "\"2026\"", "2026", "2027", true },
	{ "DateLessThan", "\"2026\"", "2025", "2026", false },
	{ "DateLessThanEquals", "\"2026\"", "2026", "2027", false },
	{ "DateGreaterThan", "\"2026\"", "2027", "2026", false },
	{ "DateGreaterThanEquals", "\"2026\"", "2026", "2025", false },
	{ "Bool", "true", "true", "false", false },
	{ "BinaryEquals", "\"AA==\"", "AA==", "AQ==", false },
	{ "IpAddress", "\"10.0.0.0/8\"", "10.1.2.3", "11.1.2.3", false },
	{ "NotIpAddress", "\"10.0.0.0/8\"", "10.1.2.3", "11.1.2.3", true },
	{ "ArnEquals", "\"arn:a:b:c:d:e\"", "arn:a:b:c:d:e", "arn:a:b:c:d:f",
	    false },
	{ "ArnNotEquals", "\"arn:a:b:c:d:e\"", "arn:a:b:c:d:e", "arn:a:b:c:d:f",
	    true },
	{ "ArnLike", "\"arn:a:b:c:d:*\"", "arn:a:b:c:d:e", "arn:x:b:c:d:f",
	    false },
	{ "ArnNotLike", "\"arn:a:b:c:d:*\"", "arn:a:b:c:d:e", "arn:x:b:c:d:f",
	    true },
};

static void
check_rule(size_t f, const char *prefix, bool exists, const char *have,
    size_t yes, size_t no)
{
	const bool negated = family[f].negated;
	/* How many values satisfy the operator, with its Not. */
	const size_t good = negated ? no : yes, total = yes + no;
	char op[96];
	bool want;

	(void)snprintf(op, sizeof(op), "%s%s%s", prefix, family[f].op,
	    exists ? "IfExists" : "");
	if (total == 0)
		want = exists || strcmp(prefix, "ForAllValues:") == 0 ||
		       (prefix[0] == '\0' && negated);
	else if (strcmp(prefix, "ForAllValues:") == 0 ||
		 (prefix[0] == '\0' && negated))
		want = good == total;
	else
		want = good > 0;
	if (holds("2012-10-17", op, "t:x", family[f].value, have) != want)
		fail_msg("%s against %s is not %d", op,
		    have != NULL ? have : "nothing", want);
}

static void
test_rules(void **state UNUSED)
{
	static const char *const prefixes[] = { "",
		"ForAllValues:", "ForAnyValue:" };
	char have[256];

	for (size_t f = 0; f < COUNTOF(family); f++)
		for (size_t p = 0; p < COUNTOF(prefixes); p++)
			for (int e = 0; e < 2; e++) {
				const char *y = family[f].yes,
					   *n = family[f].no, *x = prefixes[p];

				check_rule(f, x, e, NULL, 0, 0);
				check_rule(f, x, e, y, 1, 0);
				check_rule(f, x, e, n, 0, 1);
				(void)snprintf(
				    have, sizeof(have), "%s|%s", y, y);
				check_rule(f, x, e, have, 2, 0);
				(void)snprintf(
				    have, sizeof(have), "%s|%s|%s", n, y, n);
				check_rule(f, x, e, have, 1, 2);
				(void)snprintf(
				    have, sizeof(have), "%s|%s", n, n);
				check_rule(f, x, e, have, 0, 2);
			}
}

/* A fact without values is a fact that is not there. */
static void
test_empty_fact(void **state UNUSED)
{
	const struct policy_fact empty = { "t:x", NULL, 0 };
	struct policy_request req = plain_request;
	char text[512];

	req.facts = &empty;
	req.nfacts = 1;
	(void)snprintf(text, sizeof(text), DOC, "2012-10-17", "Allow",
	    "ForAllValues:StringEquals", "t:x", "\"a\"");
	assert_int_equal(verdict(text, NULL, &req), POLICY_ALLOW);
	(void)snprintf(text, sizeof(text), DOC, "2012-10-17", "Allow", "Null",
	    "t:x", "\"true\"");
	assert_int_equal(verdict(text, NULL, &req), POLICY_ALLOW);
	(void)snprintf(text, sizeof(text), DOC, "2012-10-17", "Allow",
	    "StringEquals", "t:x", "\"\"");
	assert_int_equal(verdict(text, NULL, &req), POLICY_IMPLICIT_DENY);
}

/* A fact in two entries has the values of both. */
static void
test_two_entries(void **state UNUSED)
{
	const char *a = "a", *b = "b";
	const struct policy_fact facts[] = { { "t:x", &a, 1 }, { "t:y", &b, 1 },
		{ "T:X", &b, 1 } };
	struct policy_request req = plain_request;
	char text[512];

	req.facts = facts;
	req.nfacts = COUNTOF(facts);
	(void)snprintf(text, sizeof(text), DOC, "2012-10-17", "Allow",
	    "ForAnyValue:StringEquals", "t:x", "\"b\"");
	assert_int_equal(verdict(text, NULL, &req), POLICY_ALLOW);
	(void)snprintf(text, sizeof(text), DOC, "2012-10-17", "Allow",
	    "ForAllValues:StringEquals", "t:x", "\"b\"");
	assert_int_equal(verdict(text, NULL, &req), POLICY_IMPLICIT_DENY);
	(void)snprintf(text, sizeof(text), DOC, "2012-10-17", "Allow",
	    "ForAllValues:StringEquals", "t:x", "[\"a\",\"b\"]");
	assert_int_equal(verdict(text, NULL, &req), POLICY_ALLOW);
}

/* ---- The facts that the engine knows itself -------------------------------- */

static void
test_facts(void **state UNUSED)
{
	static const struct {
		const char *version, *op, *key, *values;
		bool want;
	} known[] = {
		{ "2012-10-17", "DateEquals", "aws:CurrentTime",
		    "\"2026-11-21T12:00:00Z\"", true },
		{ "2012-10-17", "StringLike", "AWS:currenttime", "\"2026-*\"",
		    true },
		{ "2012-10-17", "NumericEquals", "aws:EpochTime", "1795262400",
		    true },
		{ "2012-10-17", "DateLessThan", "aws:EpochTime",
		    "\"2026-11-21T12:00:01Z\"", true },
		{ "1", "DateLessThan", "acs:CurrentTime",
		    "\"2026-11-21T20:00:01+08:00\"", true },
		{ "1", "DateLessThan", "acs:CurrentTime",
		    "\"2026-11-21T20:00:00+08:00\"", false },
		{ "1.1", "DateGreaterThan", "g:CurrentTime", "\"2026\"", true },
		{ "2012-10-17", "IpAddress", "aws:SourceIp",
		    "\"198.51.100.0/24\"", true },
		{ "1", "IpAddress", "acs:SourceIp", "\"198.51.100.0/24\"",
		    true },
		{ "1.1", "IpAddress", "g:SourceIp", "\"198.51.100.0/24\"",
		    true },
		{ "1.1", "IpAddress", "acs:SourceIp", "\"198.51.100.0/24\"",
		    false },
		{ "2012-10-17", "StringEquals", "aws:username", "\"alice\"",
		    true },
		{ "1.1", "StringEndWithIfExists", "g:UserName", "[\"ice\"]",
		    true },
		{ "1.1", "StringEquals", "g:UserId", "\"u-1\"", true },
		{ "1.1", "StringEquals", "g:DomainName", "\"" TENANT "\"",
		    true },
		{ "1.1", "Bool", "g:MFAPresent", "[\"true\"]", true },
		{ "1", "Bool", "acs:MFAPresent", "\"true\"", true },
		{ "1", "Bool", "acs:MFAPresentToday", "\"true\"", true },
		{ "2012-10-17", "Bool", "aws:MultiFactorAuthPresent", "true",
		    true },
		{ "2012-10-17", "StringEquals", "kms:CallerAccount",
		    "\"" TENANT "\"", true },
		{ "2012-10-17", "StringEquals", "aws:PrincipalType", "\"User\"",
		    true },
		{ "2012-10-17", "ArnLike", "aws:PrincipalArn",
		    "\"arn:aws:iam::" TENANT ":user/al*\"", true },
		{ "1", "StringEquals", "acs:PrincipalARN",
		    "\"acs:ram::" TENANT ":user/alice\"", true },
		{ "2012-10-17", "StringEquals", "kms:EncryptionContext:dept",
		    "\"hr\"", true },
		{ "2012-10-17", "StringEquals", "KMS:encryptioncontext:DEPT",
		    "\"hr\"", true },
		{ "2012-10-17", "StringEquals", "kms:EncryptionContext:dept",
		    "\"HR\"", false },
		{ "2012-10-17", "StringEquals", "kms:EncryptionContext:none",
		    "\"hr\"", false },
		{ "2012-10-17", "ForAllValues:StringEquals",
		    "kms:EncryptionContextKeys", "[\"dept\",\"app\"]", true },
		{ "2012-10-17", "ForAllValues:StringEquals",
		    "kms:EncryptionContextKeys", "[\"Dept\",\"app\"]", false },
		{ "2012-10-17", "ForAnyValue:StringEquals",
		    "kms:EncryptionContextKeys", "\"app\"", true },
		/* The caller's facts do not stand in for the engine's. */
		{ "2012-10-17", "StringEquals", "aws:username", "\"mallory\"",
		    false },
	};
	const struct kms_pair ctx[] = { { "dept", "hr" }, { "app", "x" } };
	const char *const yes = "true", *const liar = "mallory";
	const struct policy_fact facts[] = {
		{ "aws:multifactorauthpresent", &yes, 1 },
		{ "aws:username", &liar, 1 },
		{ "aws:MFAPresentToday", &yes, 1 },
	};
	struct policy_request req = plain_request;

	req.source_ip = "198.51.100.7";
	req.who.user_id = "u-1";
	req.ctx = ctx;
	req.nctx = 2;
	req.facts = facts;
	req.nfacts = COUNTOF(facts);
	for (size_t i = 0; i < COUNTOF(known); i++) {
		char text[1024];

		(void)snprintf(text, sizeof(text), DOC, known[i].version,
		    "Allow", known[i].op, known[i].key, known[i].values);
		expect_verdict(verdict(text, NULL, &req),
		    known[i].want ? POLICY_ALLOW : POLICY_IMPLICIT_DENY, "%s",
		    text);
	}
}

/* Keys and operators are joined by and. */
static void
test_joined(void **state UNUSED)
{
	static const char text[] =
	    "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\","
	    "\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{"
	    "\"StringEquals\":{\"t:a\":\"1\",\"t:b\":[\"2\",\"3\"]},"
	    "\"Bool\":{\"t:c\":true}}}}";
	const char *a = "1", *b = "3", *c = "true";
	struct policy_fact facts[] = { { "t:a", &a, 1 }, { "t:b", &b, 1 },
		{ "t:c", &c, 1 } };
	struct policy_request req = plain_request;

	req.facts = facts;
	req.nfacts = 3;
	assert_int_equal(verdict(text, NULL, &req), POLICY_ALLOW);
	a = "0";
	assert_int_equal(verdict(text, NULL, &req), POLICY_IMPLICIT_DENY);
	a = "1";
	b = "1";
	assert_int_equal(verdict(text, NULL, &req), POLICY_IMPLICIT_DENY);
	b = "2";
	req.nfacts = 2;
	assert_int_equal(verdict(text, NULL, &req), POLICY_IMPLICIT_DENY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_obs_rows),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_empty_fact),
		cmocka_unit_test(test_two_entries),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
