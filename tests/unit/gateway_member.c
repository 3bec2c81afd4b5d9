/* gateway: the operations' tables against requests, in AWS's words; markers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/limits.h"
#include "gateway/req.h"

static const struct jlimits wide = { GATE_BODY_MAX, GATE_JSON_DEPTH,
	GATE_JSON_VALUES };

/* What the operation ${name} says to ${text}: "" when it is fine. */
static const char *
say(const char *name, const char *text)
{
	static char ret[AWS_TEXT_MAX + 64];
	struct jdoc *d CLEANUP_JDOC = NULL;
	struct aws_error e = { .code = AWS_NONE };
	const struct op *op = api_op(name);

	assert_non_null(op);
	assert_int_equal(jdoc_parse(text, strlen(text), &wide, &d), OK);
	if (member_check(jdoc_root(d), op->members, &e) == OK) {
		assert_int_equal(e.code, AWS_NONE);
		return ("");
	}
	(void)snprintf(ret, sizeof(ret), "%s: %s", aws_name(e.code), e.text);
	return (ret);
}

#define FAULT(value, where, rule)                                        \
	"ValidationException: 1 validation error detected: Value " value \
	"at '" where "' failed to satisfy constraint: Member must " rule

static void
test_words(void **state UNUSED)
{
	static const struct {
		const char *op, *text, *want;
	} rows[] = {
		{ "DescribeKey", "{}", FAULT("", "keyId", "not be null") },
		{ "DescribeKey", "{\"KeyId\":null}",
		    FAULT("", "keyId", "not be null") },
		{ "DescribeKey", "{\"KeyId\":\"\"}",
		    FAULT("'' ", "keyId",
			"have length greater than or equal to 1") },
		{ "DescribeKey", "{\"KeyId\":7}",
		    "SerializationException: Value at 'keyId' cannot be "
		    "converted to a string" },
		{ "DescribeKey", "{\"KeyId\":\"x\",\"Other\":[1]}", "" },
		{ "DescribeKey", "{\"KeyId\":\"x\",\"GrantTokens\":[\"\"]}",
		    FAULT("'' ", "grantTokens.1.member",
			"have length greater than or equal to 1") },
		{ "ListKeys", "{\"Limit\":1001}",
		    FAULT("'1001' ", "limit",
			"have value less than or equal to 1000") },
		{ "ListKeys", "{\"Limit\":0}",
		    FAULT("'0' ", "limit",
			"have value greater than or equal to 1") },
		{ "ListKeys", "{\"Limit\":-9223372036854775808}",
		    FAULT("'-9223372036854775808' ", "limit",
			"have value greater than or equal to 1") },
		{ "ListKeys", "{\"Limit\":\"1\"}",
		    "SerializationException: Value at 'limit' cannot be "
		    "converted to an integer" },
		{ "ListKeys", "{\"Limit\":1.5}",
		    "SerializationException: Value at 'limit' cannot be "
		    "converted to an integer" },
		{ "ListKeys", "{\"Marker\":\"\\u0100\"}",
		    FAULT("'\xc4\x80' ", "marker",
			"satisfy regular expression pattern: "
			"[\\u0020-\\u00FF]*") },
		{ "CreateAlias",
		    "{\"AliasName\":\"alias/a b\",\"TargetKeyId\":\"x\"}",
		    FAULT("'alias/a b' ", "aliasName",
			"satisfy regular expression pattern: "
			"^[a-zA-Z0-9:/_-]+$") },
		{ "GenerateDataKey",
		    "{\"KeyId\":\"x\",\"KeySpec\":\"AES_512\"}",
		    FAULT("'AES_512' ", "keySpec",
			"satisfy enum value set: [AES_256, AES_128]") },
		{ "Encrypt", "{\"KeyId\":\"x\",\"Plaintext\":\"\"}",
		    FAULT("", "plaintext",
			"have length greater than or equal to 1") },
		{ "Encrypt", "{\"KeyId\":\"x\",\"Plaintext\":\"AAA\"}",
		    "SerializationException: Value at 'plaintext' cannot be "
		    "converted to a blob" },
		{ "Encrypt", "{\"KeyId\":\"x\",\"Plaintext\":\"A_==\"}",
		    "SerializationException: Value at 'plaintext' cannot be "
		    "converted to a blob" },
		{ "Encrypt",
		    "{\"KeyId\":\"x\",\"Plaintext\":\"AA==\","
		    "\"EncryptionContext\":{\"a\":1}}",
		    "SerializationException: Value at 'encryptionContext' "
		    "cannot be converted to a map of strings" },
		{ "Encrypt",
		    "{\"KeyId\":\"x\",\"Plaintext\":\"AA==\","
		    "\"EncryptionContext\":{\"a\":\"\"}}",
		    "" },
		{ "TagResource",
		    "{\"KeyId\":\"x\",\"Tags\":[{\"TagKey\":\"\"}]}",
		    "ValidationException: 2 validation errors detected: Value "
		    "'' at 'tags.1.member.tagKey' failed to satisfy "
		    "constraint: Member must have length greater than or "
		    "equal to 1; Value at 'tags.1.member.tagValue' failed to "
		    "satisfy constraint: Member must not be null" },
		{ "TagResource", "{\"KeyId\":\"x\",\"Tags\":[\"a\"]}",
		    "SerializationException: Value at 'tags.1.member' cannot "
		    "be converted to a structure" },
		{ "CreateGrant",
		    "{\"KeyId\":\"x\",\"GranteePrincipal\":\"a\","
		    "\"Operations\":[]}",
		    FAULT("", "operations",
			"have length greater than or equal to 1") },
		{ "CreateGrant",
		    "{\"KeyId\":\"x\",\"GranteePrincipal\":\"a b\","
		    "\"Operations\":[\"Decrypt\"]}",
		    FAULT("'a b' ", "granteePrincipal",
			"satisfy regular expression pattern: "
			"^[\\w+=,.@:/-]+$") },
		{ "CreateGrant",
		    "{\"KeyId\":\"x\",\"GranteePrincipal\":\"a\","
		    "\"Operations\":[\"Decrypt\"],\"Constraints\":"
		    "{\"EncryptionContextEquals\":[]}}",
		    "SerializationException: Value at "
		    "'constraints.encryptionContextEquals' cannot be "
		    "converted to a map" },
		{ "ImportKeyMaterial",
		    "{\"KeyId\":\"x\",\"ImportToken\":\"AA==\","
		    "\"EncryptedKeyMaterial\":\"AA==\",\"ValidTo\":\"x\"}",
		    "SerializationException: Value at 'validTo' cannot be "
		    "converted to a timestamp" },
		{ "CreateKey", "{\"MultiRegion\":\"true\"}",
		    "SerializationException: Value at 'multiRegion' cannot be "
		    "converted to a boolean" },
		{ "CreateKey", "{}", "" },
	};

	for (size_t i = 0; i < COUNTOF(rows); i++)
		assert_string_equal(
		    say(rows[i].op, rows[i].text), rows[i].want);
}

/* Lengths are those of characters, and of bytes for blobs. */
static void
test_lengths(void **state UNUSED)
{
	char text[40000], long_[16400];

	for (size_t i = 0; i < 8193; i++)
		memcpy(long_ + 2 * i, "\xc3\xa9", 2);
	long_[2 * 8192] = '\0';
	(void)snprintf(text, sizeof(text),
	    "{\"KeyId\":\"x\",\"Description\":\"%s\"}", long_);
	assert_string_equal(say("UpdateKeyDescription", text), "");
	(void)snprintf(text, sizeof(text),
	    "{\"KeyId\":\"x\",\"Description\":\"%s!\"}", long_);
	assert_non_null(strstr(say("UpdateKeyDescription", text),
	    "have length less than or equal to 8192"));
	/* 4096 bytes and one more. */
	memset(long_, 'A', 5464);
	memcpy(long_ + 5462, "==", 3);
	(void)snprintf(text, sizeof(text),
	    "{\"KeyId\":\"x\",\"Plaintext\":\"%s\"}", long_);
	assert_string_equal(say("Encrypt", text), "");
	memcpy(long_ + 5462, "A=", 3);
	(void)snprintf(text, sizeof(text),
	    "{\"KeyId\":\"x\",\"Plaintext\":\"%s\"}", long_);
	assert_string_equal(say("Encrypt", text),
	    FAULT("", "plaintext", "have length less than or equal to 4096"));
}

/* However many faults there are, the sentence has an end. */
static void
test_many(void **state UNUSED)
{
	char text[8192] = "{\"KeyId\":\"x\",\"TagKeys\":[\"\"";
	const char *got = NULL;

	for (int i = 0; i < 40; i++)
		strcat(text, ",\"\"");
	strcat(text, "]}");
	got = say("UntagResource", text);
	assert_non_null(strstr(got, "41 validation errors detected"));
	assert_true(strlen(got) < AWS_TEXT_MAX + 64);
}

static void
test_operations(void **state UNUSED)
{
	static const char *const all[] = { "GenerateDataKey", "Decrypt",
		"Encrypt", "GenerateDataKeyWithoutPlaintext", "ReEncrypt",
		"DescribeKey", "CreateKey", "ListKeys", "ListAliases",
		"CreateAlias", "UpdateAlias", "DeleteAlias", "EnableKey",
		"DisableKey", "ScheduleKeyDeletion", "CancelKeyDeletion",
		"EnableKeyRotation", "DisableKeyRotation",
		"GetKeyRotationStatus", "RotateKeyOnDemand", "ListKeyRotations",
		"GetKeyPolicy", "PutKeyPolicy", "ListKeyPolicies",
		"GetParametersForImport", "ImportKeyMaterial",
		"DeleteImportedKeyMaterial", "TagResource", "UntagResource",
		"ListResourceTags", "UpdateKeyDescription", "GenerateRandom",
		"CreateGrant", "ListGrants", "ListRetirableGrants",
		"RetireGrant", "RevokeGrant" };

	for (size_t i = 0; i < COUNTOF(all); i++) {
		assert_non_null(api_op(all[i]));
		assert_string_equal(api_op(all[i])->name, all[i]);
		assert_false(api_op_foreign(all[i]));
	}
	assert_null(api_op("Sign"));
	assert_true(api_op_foreign("Sign"));
	assert_null(api_op("Nonsense"));
	assert_false(api_op_foreign("Nonsense"));
	assert_null(api_op(""));
}

static void
test_errors(void **state UNUSED)
{
	struct aws_error e = { .code = AWS_NONE };

	for (int i = 1; i < AWS_COUNT_; i++) {
		assert_non_null(
		    strstr(aws_name((enum aws_code)i), "Exception"));
		assert_true(aws_status((enum aws_code)i) >= 400);
	}
	assert_int_equal(
	    aws_fail(&e, ERR_INVAL, AWS_NOT_FOUND, "%d", 1), ERR_INVAL);
	/* The first one stays. */
	assert_int_equal(
	    aws_fail(&e, ERR_ACCESS, AWS_VALIDATION, "%d", 2), ERR_ACCESS);
	assert_int_equal(e.code, AWS_NOT_FOUND);
	assert_string_equal(e.text, "1");
}

static void
test_marker(void **state UNUSED)
{
	struct hmac_key k, other;
	char m[MARKER_MAX], back[MARKER_NAME_MAX], name[MARKER_NAME_MAX + 1];

	hmac_key_set(&k, "key", 3);
	hmac_key_set(&other, "kez", 3);
	assert_int_equal(marker_make(&k, "ListKeys t ", "0001", m), OK);
	assert_int_equal(marker_read(&k, "ListKeys t ", m, back), OK);
	assert_string_equal(back, "0001");
	assert_int_equal(marker_read(&k, "ListKeys u ", m, back), ERR_PARSE);
	assert_int_equal(
	    marker_read(&other, "ListKeys t ", m, back), ERR_PARSE);
	for (size_t i = 0; m[i] != '\0'; i++) {
		const char was = m[i];

		m[i] = was == 'A' ? 'B' : 'A';
		assert_int_equal(
		    marker_read(&k, "ListKeys t ", m, back), ERR_PARSE);
		m[i] = was;
	}
	assert_int_equal(marker_read(&k, "ListKeys t ", "", back), ERR_PARSE);
	assert_int_equal(
	    marker_read(&k, "ListKeys t ", "AAAA", back), ERR_PARSE);
	memset(name, 'n', MARKER_NAME_MAX);
	name[MARKER_NAME_MAX - 1] = '\0';
	assert_int_equal(marker_make(&k, "l", name, m), OK);
	assert_int_equal(marker_read(&k, "l", m, back), OK);
	assert_string_equal(back, name);
	name[MARKER_NAME_MAX - 1] = 'n';
	name[MARKER_NAME_MAX] = '\0';
	assert_int_equal(marker_make(&k, "l", name, m), ERR_LIMIT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_marker),
	};

	return (
	    cmocka_run_group_tests_name("gateway_member", tests, NULL, NULL));
}
