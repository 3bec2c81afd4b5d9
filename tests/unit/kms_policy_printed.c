/*
 * The policies that the manuals print work as printed, and each needs every
 * action that it lists: without one of them, exactly the operations of that
 * action fail.  And for documents made at random, one Deny more never allows
 * more.
 */
#include "tests/unit/policy_common.h"

/* From the OBS manual: "a custom KMS Policy with a minimum required set of
 * allowed actions for users to be able to upload and download". */
static const char obs_minimum[] = "{\n"
				  "    \"Version\": \"1.1\",\n"
				  "    \"Statement\": [\n"
				  "        {\n"
				  "            \"Effect\": \"Allow\",\n"
				  "            \"Action\": [\n"
				  "                \"kms:dek:crypto\",\n"
				  "                \"kms:dek:create\",\n"
				  "                \"kms:cmk:get\",\n"
				  "                \"kms:cmk:list\",\n"
				  "                \"kms:cmk:generate\",\n"
				  "                \"kms:cmk:crypto\"\n"
				  "            ]\n"
				  "        }\n"
				  "    ]\n"
				  "}\n";

/* "You must have the kms:cmk:get, kms:cmk:list, kms:cmk:create,
 * kms:dek:create, and kms:dek:crypto permissions." */
static const char obs_default_encryption[] =
    "{\"Version\":\"1.1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":["
    "\"kms:cmk:get\",\"kms:cmk:list\",\"kms:cmk:create\","
    "\"kms:dek:create\",\"kms:dek:crypto\"]}]}";

/* From the OSS manual, comments and all. */
#define OSS_HEAD                         \
	"{\n"                            \
	"  \"Version\": \"1\",\n"        \
	"  \"Statement\": [\n"           \
	"    {\n"                        \
	"      \"Effect\": \"Allow\",\n" \
	"      \"Action\": [\n"
#define OSS_TAIL                                                     \
	"      ],\n"                                                 \
	"      \"Resource\": [\n"                                    \
	"        \"acs:kms:*:1416614965936597:*\"//This example "    \
	"allows the user to use all CMKs under the account. To "     \
	"restrict the user to use only one CMK, input the CMK ID.\n" \
	"      ]\n"                                                  \
	"    }\n"                                                    \
	"  ]\n"                                                      \
	"}\n"
static const char oss_configure[] =
    OSS_HEAD "        \"kms:List*\",\n"
	     "        \"kms:DescribeKey\"    \n" OSS_TAIL;
static const char oss_upload[] =
    OSS_HEAD "        \"kms:List*\",\n"
	     "        \"kms:DescribeKey\",\n"
	     "        \"kms:GenerateDataKey\"\n" OSS_TAIL;
static const char oss_download[] = OSS_HEAD "    \"kms:Decrypt\"\n" OSS_TAIL;

/* A bucket policy of OBS's private cloud. */
static const char deny_unencrypted[] =
    "{\n\n\"Version\":\"2008-10-17\",\n\n\"Id\":\"PutObjPolicy\",\n\n"
    "\"Statement\":[{\n\n\"Sid\":\"DenyUnEncryptedObjectUploads\",\n\n"
    "\"Effect\":\"Deny\",\n\n\"Principal\":\"*\",\n\n"
    "\"Action\":\"s3:PutObject\",\n\n"
    "\"Resource\":\"arn:aws:s3:::YourBucket/*\",\n\n"
    "\"Condition\":{\n\n\"StringNotEquals\":{\n\n"
    "\"s3:x-amz-server-side-encryption\":\"aws:kms\"\n\n}\n\n}\n\n}\n\n]\n\n}";

/* Every operation, and where it takes place. */
static const struct {
	const char *name;
	bool on_keys; /* on no key of its own */
} operations[] = {
	{ "CancelKeyDeletion", false },
	{ "CreateAlias", false },
	{ "CreateGrant", false },
	{ "CreateKey", true },
	{ "Decrypt", false },
	{ "DeleteAlias", false },
	{ "DeleteImportedKeyMaterial", false },
	{ "DescribeKey", false },
	{ "DisableKey", false },
	{ "DisableKeyRotation", false },
	{ "EnableKey", false },
	{ "EnableKeyRotation", false },
	{ "Encrypt", false },
	{ "GenerateDataKey", false },
	{ "GenerateDataKeyPair", false },
	{ "GenerateDataKeyPairWithoutPlaintext", false },
	{ "GenerateDataKeyWithoutPlaintext", false },
	{ "GenerateMac", false },
	{ "GenerateRandom", true },
	{ "GetKeyPolicy", false },
	{ "GetKeyRotationStatus", false },
	{ "GetParametersForImport", false },
	{ "GetPublicKey", false },
	{ "ImportKeyMaterial", false },
	{ "ListAliases", true },
	{ "ListAliasesByKeyId", false },
	{ "ListGrants", false },
	{ "ListKeyPolicies", false },
	{ "ListKeyRotations", false },
	{ "ListKeys", true },
	{ "ListResourceTags", false },
	{ "ListRetirableGrants", true },
	{ "PutKeyPolicy", false },
	{ "ReEncryptFrom", false },
	{ "ReEncryptTo", false },
	{ "RetireGrant", false },
	{ "RevokeGrant", false },
	{ "RotateKeyOnDemand", false },
	{ "ScheduleKeyDeletion", false },
	{ "Sign", false },
	{ "TagResource", false },
	{ "UntagResource", false },
	{ "UpdateAlias", false },
	{ "UpdateKeyDescription", false },
	{ "Verify", false },
	{ "VerifyMac", false },
};

/* A bit for each operation that the policy allows the tenant's user. */
static uint64_t
allowed(const char *text, const char *tenant)
{
	struct policy *p = parse(text, POLICY_IDENTITY);
	const struct policy *const list[] = { p };
	const struct policy_set set = { .identity = list, .nidentity = 1 };
	struct policy_request req = { .who = { .account = tenant,
					  .user = "alice" } };
	uint64_t bits = 0;

	for (size_t i = 0; i < COUNTOF(operations); i++) {
		char action[64], arn[128];

		(void)snprintf(
		    action, sizeof(action), "kms:%s", operations[i].name);
		(void)snprintf(arn, sizeof(arn),
		    "arn:aws:kms:cn-north-1:%s:key%s", tenant,
		    operations[i].on_keys ? "" : "/" ID);
		req.action = action;
		req.arn = arn;
		if (policy_evaluate(&set, &req).verdict == POLICY_ALLOW)
			bits |= (uint64_t)1 << i;
	}
	policy_free(p);
	return bits;
}

/* The bits of operations by name, with commas between them. */
static uint64_t
named(const char *names)
{
	uint64_t bits = 0;
	char copy[1024], *next = copy, *name;

	strcpy(copy, names);
	while ((name = strsep(&next, ",")) != NULL) {
		size_t i = 0;

		while (i < COUNTOF(operations) &&
		       strcmp(operations[i].name, name) != 0)
			i++;
		assert_true(name[0] == '\0' || i < COUNTOF(operations));
		if (i < COUNTOF(operations))
			bits |= (uint64_t)1 << i;
	}
	return bits;
}

#define DEK_CREATE                                         \
	"GenerateDataKey,GenerateDataKeyWithoutPlaintext," \
	"GenerateDataKeyPair,GenerateDataKeyPairWithoutPlaintext"
#define RAM_LIST                                     \
	"ListAliases,ListAliasesByKeyId,ListGrants," \
	"ListKeyPolicies,ListKeyRotations,ListKeys," \
	"ListResourceTags,ListRetirableGrants"
#define OBS_LIST "ListKeys,ListAliases,ListAliasesByKeyId"

static const struct {
	const char *text, *tenant;
	/* Each action, and its operations. */
	struct {
		const char *action, *operations;
	} needs[6];
} printed[] = {
	{ obs_minimum, TENANT,
	    { { "kms:dek:crypto", "Decrypt,ReEncryptFrom,ReEncryptTo" },
		{ "kms:dek:create", DEK_CREATE },
		{ "kms:cmk:get", "DescribeKey" }, { "kms:cmk:list", OBS_LIST },
		{ "kms:cmk:generate", "GenerateRandom" },
		{ "kms:cmk:crypto", "Encrypt" } } },
	{ obs_default_encryption, TENANT,
	    { { "kms:dek:crypto", "Decrypt,ReEncryptFrom,ReEncryptTo" },
		{ "kms:dek:create", DEK_CREATE },
		{ "kms:cmk:get", "DescribeKey" }, { "kms:cmk:list", OBS_LIST },
		{ "kms:cmk:create", "CreateKey" } } },
	{ oss_configure, "1416614965936597",
	    { { "kms:List*", RAM_LIST },
		{ "kms:DescribeKey", "DescribeKey" } } },
	{ oss_upload, "1416614965936597",
	    { { "kms:List*", RAM_LIST }, { "kms:DescribeKey", "DescribeKey" },
		{ "kms:GenerateDataKey", "GenerateDataKey" } } },
	{ oss_download, "1416614965936597", { { "kms:Decrypt", "Decrypt" } } },
};

static void
test_printed(void **state UNUSED)
{

	for (size_t i = 0; i < COUNTOF(printed); i++) {
		uint64_t all = 0;

		for (size_t n = 0; n < 6; n++)
			if (printed[i].needs[n].action != NULL)
				all |= named(printed[i].needs[n].operations);
		assert_int_equal(
		    allowed(printed[i].text, printed[i].tenant), all);
		if (strcmp(printed[i].tenant, TENANT) != 0)
			assert_int_equal(allowed(printed[i].text, TENANT), 0);
		/* Each action spoilt by a letter. */
		for (size_t n = 0; n < 6; n++) {
			char text[1024], *at;

			if (printed[i].needs[n].action == NULL)
				continue;
			strcpy(text, printed[i].text);
			at = strstr(text, printed[i].needs[n].action);
			assert_non_null(at);
			at[4] = 'x';
			assert_int_equal(allowed(text, printed[i].tenant),
			    all & ~named(printed[i].needs[n].operations));
		}
	}
}

static void
test_bucket_policy(void **state UNUSED)
{
	static const char all[] = A12(ALLOW("\"s3:*\"", "\"*\""));
	const char *kms = "aws:kms", *aes = "AES256";
	struct policy_fact fact = { "s3:x-amz-server-side-encryption", &kms,
		1 };
	struct policy_request req = plain_request;

	req.action = "s3:PutObject";
	req.arn = "arn:aws:s3:::YourBucket/a/b";
	req.owner = TENANT;
	assert_int_equal(
	    verdict(NULL, deny_unencrypted, &req), POLICY_EXPLICIT_DENY);
	req.facts = &fact;
	req.nfacts = 1;
	assert_int_equal(
	    verdict(NULL, deny_unencrypted, &req), POLICY_IMPLICIT_DENY);
	assert_int_equal(verdict(all, NULL, &req), POLICY_ALLOW);
	fact.values = &aes;
	assert_int_equal(
	    verdict(all, deny_unencrypted, &req), POLICY_EXPLICIT_DENY);
	req.arn = "arn:aws:s3:::YourOther/a";
	assert_int_equal(
	    verdict(NULL, deny_unencrypted, &req), POLICY_IMPLICIT_DENY);
	req.arn = "arn:aws:s3:::YourBucket/a";
	req.action = "s3:GetObject";
	assert_int_equal(
	    verdict(NULL, deny_unencrypted, &req), POLICY_IMPLICIT_DENY);
}

/* ---- Names ----------------------------------------------------------------- */

struct idle {
	size_t n;
	char last[64];
};

static void
note_idle(void *arg, size_t statement, const char *action)
{
	struct idle *i = arg;

	i->n++;
	(void)snprintf(i->last, sizeof(i->last), "%zu %s", statement, action);
}

static void
test_idle_actions(void **state UNUSED)
{
	static const struct {
		const char *version, *actions, *last;
		size_t n;
	} rows[] = {
		{ "2012-10-17", "[\"kms:Decrypt\",\"s3:Nothing\"]", "", 0 },
		{ "2012-10-17", "[\"kms:Decyrpt\",\"kms:*\"]", "0 kms:Decyrpt",
		    1 },
		{ "2012-10-17", "\"kms:Zap*\"", "0 kms:Zap*", 1 },
		{ "2012-10-17", "\"kms:CreateKeyVersion\"",
		    "0 kms:CreateKeyVersion", 1 },
		{ "1", "\"kms:CreateKeyVersion\"", "", 0 },
		{ "1.1", "[\"kms:cmk:get\",\"kms:cmk:zap\",\"kms:x:y\"]",
		    "0 kms:x:y", 2 },
	};

	for (size_t i = 0; i < COUNTOF(rows); i++) {
		struct idle idle = { 0, "" };
		struct policy *p;
		char text[512];

		(void)snprintf(text, sizeof(text),
		    "{\"Version\":\"%s\",\"Statement\":{\"Effect\":\"Allow\","
		    "\"Action\":%s,\"Resource\":\"*\"}}",
		    rows[i].version, rows[i].actions);
		p = parse(text, POLICY_IDENTITY);
		policy_idle_actions(p, note_idle, &idle);
		assert_int_equal(idle.n, rows[i].n);
		assert_string_equal(idle.last, rows[i].last);
		policy_free(p);
	}
}

/* ---- At random -------------------------------------------------------------- */

static uint64_t seed;

static unsigned
below(unsigned n)
{

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

#define PICK(list) (list)[below(COUNTOF(list))]

static void
random_statement(char *text, size_t size, const char *effect, bool resource)
{
	static const char *const actions[] = { "\"Action\":\"*\"",
		"\"Action\":\"kms:*\"", "\"Action\":\"kms:Decrypt\"",
		"\"Action\":[\"kms:Encrypt\",\"kms:De*\"]",
		"\"NotAction\":\"kms:Decrypt\"", "\"NotAction\":\"s3:*\"",
		"\"NotAction\":\"kms:*\"" };
	static const char *const resources[] = { "\"Resource\":\"*\"",
		"\"Resource\":\"" KEY "\"",
		"\"Resource\":\"arn:aws:kms:*:*:key/*\"",
		"\"Resource\":\"arn:aws:kms:*:*:key/${t:x}\"",
		"\"NotResource\":\"arn:aws:s3:::*\"",
		"\"NotResource\":\"" KEY "\"",
		"\"NotResource\":\"arn:aws:kms:*:*:key/${t:x}*\"" };
	static const char *const conditions[] = { "", "",
		",\"Condition\":{\"StringEquals\":{\"t:x\":\"a\"}}",
		",\"Condition\":{\"StringNotEquals\":{\"t:x\":\"a\"}}",
		",\"Condition\":{\"StringNotLike\":{\"t:y\":\"${t:x}*\"}}",
		",\"Condition\":{\"Null\":{\"t:x\":\"true\"}}",
		",\"Condition\":{\"ForAllValues:StringEquals\":{\"t:x\":\"b\"}"
		"}",
		",\"Condition\":{\"ForAnyValue:StringNotEqualsIfExists\":"
		"{\"t:x\":\"a\"}}",
		",\"Condition\":{\"NumericLessThan\":{\"t:y\":5}}",
		",\"Condition\":{\"NotIpAddress\":{\"aws:SourceIp\":"
		"\"10.0.0.0/8\"}}" };
	static const char *const people[] = { "\"Principal\":\"*\",",
		"\"Principal\":{\"AWS\":\"" TENANT "\"},",
		"\"Principal\":{\"AWS\":\"arn:aws:iam::" TENANT
		":user/alice\"},",
		"\"Principal\":{\"AWS\":[\"" OTHER "\"]}," };
	static const char *const others[] = {
		"\"NotPrincipal\":{\"AWS\":\"arn:aws:iam::" TENANT
		":user/alice\"},",
		"\"NotPrincipal\":{\"AWS\":\"" TENANT "\"},"
	};
	const char *who = "";

	if (resource)
		who = effect[0] == 'D' && below(3) == 0 ? PICK(others)
							: PICK(people);
	(void)snprintf(text, size, "{%s\"Effect\":\"%s\",%s,%s%s}", who, effect,
	    PICK(actions), PICK(resources), PICK(conditions));
}

/* A document of some statements, and the same with ${more} at a random
 * place. */
static void
random_documents(
    char *without, char *with, size_t size, const char *effect, bool resource)
{
	const unsigned n = 1 + below(4), place = below(n + 1);
	char st[600];

	strcpy(without, "{\"Version\":\"2012-10-17\",\"Statement\":[");
	strcpy(with, without);
	for (unsigned i = 0; i <= n; i++) {
		if (i == place) {
			random_statement(st, sizeof(st), effect, resource);
			(void)snprintf(with + strlen(with), size - strlen(with),
			    "%s%s", i > 0 ? "," : "", st);
		}
		if (i == n)
			break;
		random_statement(
		    st, sizeof(st), below(4) ? "Allow" : "Deny", resource);
		(void)snprintf(without + strlen(without),
		    size - strlen(without), "%s%s", i > 0 ? "," : "", st);
		(void)snprintf(with + strlen(with), size - strlen(with), "%s%s",
		    i > 0 || i == place ? "," : "", st);
	}
	strcat(without, "]}");
	strcat(with, "]}");
}

static void
random_request(struct policy_request *req, struct policy_fact facts[2])
{
	static const char *const actions[] = { "kms:Decrypt", "kms:Encrypt",
		"kms:ListKeys", "kms:EnableKey", "s3:PutObject" };
	static const char *const arns[] = { KEY, KEYS, ALIAS,
		"arn:aws:s3:::b/k" };
	static const char *const addresses[] = { NULL, "10.1.2.3", "::1" };
	static const char *const words[] = { "a", "b", ID, "4", "7" };
	static const struct policy_principal people[] = { { .account = TENANT,
							      .user = "alice" },
		{ .account = TENANT, .user = "bob" },
		{ .account = TENANT, .root = true },
		{ .account = OTHER, .user = "alice" } };

	*req = plain_request;
	req->action = PICK(actions);
	req->arn = PICK(arns);
	req->owner = TENANT;
	req->source_ip = PICK(addresses);
	req->who = PICK(people);
	facts[0] = (struct policy_fact){ "t:x", &words[below(5)], 1 };
	facts[1] = (struct policy_fact){ "t:y", &words[below(5)], 1 };
	req->facts = facts + below(2);
	req->nfacts = req->facts == facts ? below(3) : below(2);
}

/* One Deny more never allows more; one Allow more never forbids, and undoes no
 * explicit deny. */
static void
test_monotonic(void **state UNUSED)
{
	char *buf[4];
	unsigned changed = 0;

	seed = 88172645463325252U;
	for (int i = 0; i < 4; i++)
		assert_non_null(buf[i] = malloc(8192));
	for (int round = 0; round < 20000; round++) {
		const bool deny = below(2) == 0, resource = below(2) == 0;
		struct policy_fact facts[2];
		struct policy_request req;
		enum policy_verdict before, after;
		const bool have = below(4) > 0;
		/* One side changes, the other stays. */
		const char *side[2];

		random_documents(
		    buf[0], buf[1], 8192, deny ? "Deny" : "Allow", resource);
		random_documents(buf[2], buf[3], 8192, "Allow", !resource);
		random_request(&req, facts);
		side[!resource] = have ? buf[2] : NULL;
		side[resource] = buf[0];
		/* An added policy is no added statement. */
		before = verdict(side[0], side[1], &req);
		side[resource] = buf[1];
		after = verdict(side[0], side[1], &req);
		changed += before != after;
		if (deny ? before != POLICY_ALLOW && after == POLICY_ALLOW
			 : (before == POLICY_ALLOW && after != POLICY_ALLOW) ||
			       (before == POLICY_EXPLICIT_DENY) !=
				   (after == POLICY_EXPLICIT_DENY))
			fail_msg("round %d: %d, then %d\n%s\n%s\n%s", round,
			    before, after, buf[0], buf[1], have ? buf[2] : "");
	}
	for (int i = 0; i < 4; i++)
		free(buf[i]);
	/* Else the rounds showed nothing. */
	assert_true(changed > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_printed),
		cmocka_unit_test(test_bucket_policy),
		cmocka_unit_test(test_idle_actions),
		cmocka_unit_test(test_monotonic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
