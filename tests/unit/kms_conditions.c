/*
 * What policies may ask about each operation, under AWS's names (R13): a
 * condition that holds and one that does not, operation by operation.
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "lib/base/clock.h"

#include "kms/api.h"
#include "kms/who.h"
#include "tests/unit/kms_common.h"

static const struct kms_who alice = { .user = "alice", .agent = "test" };

#define BOB "arn:aws:iam::000000000000:user/bob"

/* What the calls are about; a key and its aliases. */
static char key[KMS_ID_MAX], other[KMS_ID_MAX], outside[KMS_ID_MAX];
static uint8_t blob[KMS_CIPHER_MAX];
static size_t bloblen;
static char grant_id[KMS_GRANT_ID_MAX];
static const struct kms_pair dept[] = { { "dept", "hr" } };

/* ---- The calls: OK or any error but ERR_ACCESS when they were allowed ----- */

static const struct kms_tag tags[] = { { "Team", "red" }, { "cost", "7" } };

static enum err
create(struct kms *k, bool external, bool bypass)
{
	const struct kms_new n = { .external = external,
		.no_lockout_check = bypass,
		.tags = tags,
		.ntags = 2 };
	struct kms_desc d;

	return kms_key_new(k, &alice, &n, &d);
}

static enum err
do_create(struct kms *k)
{

	return create(k, false, true);
}

static enum err
do_create_external(struct kms *k)
{

	return create(k, true, false);
}

static enum err
do_describe(struct kms *k)
{
	struct kms_desc d;

	return kms_key_describe(k, &alice, "alias/one", &d);
}

static enum err
do_describe_outside(struct kms *k)
{
	struct kms_desc d;

	return kms_key_describe(k, &alice, outside, &d);
}

static enum err
do_encrypt(struct kms *k)
{
	uint8_t ret[KMS_CIPHER_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;

	return kms_encrypt(
	    k, &alice, "alias/one", "x", 1, dept, 1, ret, &len, arn);
}

static enum err
do_decrypt(struct kms *k)
{
	uint8_t ret[KMS_PLAIN_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;

	return kms_decrypt(
	    k, &alice, "alias/one", blob, bloblen, dept, 1, ret, &len, arn);
}

static enum err
do_generate(struct kms *k)
{
	uint8_t plain[32], ret[KMS_CIPHER_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;

	return kms_generate(
	    k, &alice, "alias/one", 32, dept, 1, plain, ret, &len, arn);
}

static enum err
do_generate_only(struct kms *k)
{
	uint8_t ret[KMS_CIPHER_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;

	return kms_generate(
	    k, &alice, "alias/one", 32, dept, 1, NULL, ret, &len, arn);
}

static enum err
reencrypt(struct kms *k, const char *from, const char *to)
{
	static const struct kms_pair to_ctx[] = { { "dept", "it" } };
	uint8_t ret[KMS_CIPHER_MAX];
	struct kms_reencrypt m = { .blob = blob,
		.bloblen = bloblen,
		.from_key = from,
		.from = dept,
		.nfrom = 1,
		.to_key = to,
		.to = to_ctx,
		.nto = 1,
		.ret_blob = ret };

	return kms_reencrypt(k, &alice, &m);
}

static enum err
do_reencrypt_same(struct kms *k)
{

	return reencrypt(k, "alias/one", key);
}

static enum err
do_reencrypt_other(struct kms *k)
{

	return reencrypt(k, key, "alias/two");
}

static enum err
do_rewrap(struct kms *k)
{
	uint8_t ret[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;

	return kms_rewrap(
	    k, &alice, blob, bloblen, dept, 1, NULL, dept, 1, ret, &len, arn);
}

static enum err
do_rewrap_other(struct kms *k)
{
	uint8_t ret[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;

	return kms_rewrap(k, &alice, blob, bloblen, dept, 1, "alias/two", dept,
	    1, ret, &len, arn);
}

static enum err
do_rotation(struct kms *k)
{

	return kms_key_rotation(k, &alice, key, 400);
}

static enum err
do_delete(struct kms *k)
{

	return kms_key_delete(k, &alice, other, 0, NULL);
}

static enum err
do_delete_soon(struct kms *k)
{

	return kms_key_delete(k, &alice, other, 7, NULL);
}

static enum err
do_parameters(struct kms *k)
{
	struct kms_import im;

	return kms_import_parameters(
	    k, &alice, outside, KMS_WRAP_AES_SHA256, 3072, &im);
}

static enum err
do_import(struct kms *k)
{

	return kms_import_material(k, &alice, outside, (const uint8_t *)"x", 1,
	    (const uint8_t *)"x", 1, 0);
}

static enum err
do_import_until(struct kms *k)
{

	return kms_import_material(k, &alice, outside, (const uint8_t *)"x", 1,
	    (const uint8_t *)"x", 1, INT64_C(4102444800)); /* 2100 */
}

static enum err
do_put_policy(struct kms *k)
{

	return kms_key_policy_put(k, &alice, key, "", 0, true);
}

static enum err
do_put_policy_checked(struct kms *k)
{

	return kms_key_policy_put(k, &alice, key, "", 0, false);
}

static enum err
do_tag(struct kms *k)
{

	return kms_tag_set(k, &alice, other, tags, 2);
}

static enum err
do_untag(struct kms *k)
{
	static const char *const names[] = { "Team", "cost" };

	return kms_tag_remove(k, &alice, other, names, 2);
}

static const struct kms_grant about = { .name = "",
	.grantee = BOB,
	.retiring = BOB,
	.operations = KMS_GRANT_DECRYPT | KMS_GRANT_DESCRIBE,
	.constraint = KMS_CONSTRAINT_SUBSET,
	.pairs = dept,
	.npairs = 1 };

static enum err
do_grant(struct kms *k)
{
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];

	return kms_grant_create(k, &alice, key, &about, id, token);
}

static bool
no_grant(void *arg, const struct kms_grant *g)
{
	(void)arg;
	(void)g;
	return true;
}

static enum err
do_grants(struct kms *k)
{
	bool more;

	return kms_grant_page(
	    k, &alice, key, NULL, NULL, NULL, 10, no_grant, NULL, &more);
}

static enum err
do_revoke(struct kms *k)
{
	char none[KMS_GRANT_ID_MAX];

	memset(none, '0', sizeof(none) - 1);
	none[sizeof(none) - 1] = '\0';
	return kms_grant_revoke(k, &alice, key, none);
}

/* Of a grant that is made anew when it went. */
static enum err
do_retire(struct kms *k)
{
	char token[KMS_GRANT_TOKEN_MAX];
	const enum err e = kms_grant_retire(k, &alice, key, grant_id);

	if (e == OK)
		assert_ok(kms_grant_create(
		    k, &root_user, key, &about, grant_id, token));
	return e;
}

/* ---- The table ------------------------------------------------------------ */

#define IS(name, value) "\"StringEquals\":{\"" name "\":\"" value "\"}"
#define ANY(name, value) \
	"\"ForAnyValue:StringEquals\":{\"" name "\":\"" value "\"}"
#define ALL(name, values) \
	"\"ForAllValues:StringEquals\":{\"" name "\":[" values "]}"
#define BOOL(name, value) "\"Bool\":{\"" name "\":\"" value "\"}"
#define NUM(op, name, value) "\"Numeric" op "\":{\"" name "\":\"" value "\"}"
#define ABSENT(name) "\"Null\":{\"" name "\":\"true\"}"

static const struct {
	const char *action; /* without "kms:" */
	enum err (*fn)(struct kms *k);
	const char *yes, *no;
} rows[] = {
	{ "CreateKey", do_create, IS("kms:KeySpec", "SYMMETRIC_DEFAULT"),
	    IS("kms:KeySpec", "RSA_2048") },
	{ "CreateKey", do_create, IS("kms:KeyUsage", "ENCRYPT_DECRYPT"),
	    IS("kms:KeyUsage", "SIGN_VERIFY") },
	{ "CreateKey", do_create, IS("kms:KeyOrigin", "AWS_KMS"),
	    IS("kms:KeyOrigin", "EXTERNAL") },
	{ "CreateKey", do_create_external, IS("kms:KeyOrigin", "EXTERNAL"),
	    IS("kms:KeyOrigin", "AWS_KMS") },
	{ "CreateKey", do_create, BOOL("kms:MultiRegion", "false"),
	    BOOL("kms:MultiRegion", "true") },
	{ "CreateKey", do_create,
	    BOOL("kms:BypassPolicyLockoutSafetyCheck", "true"),
	    BOOL("kms:BypassPolicyLockoutSafetyCheck", "false") },
	{ "CreateKey", do_create_external,
	    BOOL("kms:BypassPolicyLockoutSafetyCheck", "false"),
	    BOOL("kms:BypassPolicyLockoutSafetyCheck", "true") },
	{ "CreateKey", do_create, IS("aws:RequestTag/team", "red"),
	    IS("aws:RequestTag/Team", "7") },
	{ "CreateKey", do_create, IS("aws:RequestTag/cost", "7"),
	    IS("aws:RequestTag/dept", "hr") },
	{ "CreateKey", do_create, ALL("aws:TagKeys", "\"Team\",\"cost\""),
	    ALL("aws:TagKeys", "\"Team\"") },
	{ "CreateKey", do_create, IS("kms:CallerAccount", "000000000000"),
	    IS("kms:CallerAccount", "111111111111") },
	{ "CreateKey", do_create, ABSENT("kms:ViaService"),
	    IS("kms:ViaService", "s3.us-east-1.amazonaws.com") },

	{ "DescribeKey", do_describe, IS("kms:RequestAlias", "alias/one"),
	    IS("kms:RequestAlias", "alias/eins") },
	{ "DescribeKey", do_describe_outside, ABSENT("kms:RequestAlias"),
	    IS("kms:RequestAlias", "alias/one") },
	{ "DescribeKey", do_describe, ANY("kms:ResourceAliases", "alias/eins"),
	    ANY("kms:ResourceAliases", "alias/two") },
	{ "DescribeKey", do_describe, IS("aws:ResourceTag/Project", "x"),
	    IS("aws:ResourceTag/Project", "y") },
	{ "DescribeKey", do_describe, IS("aws:ResourceTag/project", "x"),
	    IS("aws:ResourceTag/Proj", "x") },
	{ "DescribeKey", do_describe_outside, ABSENT("aws:ResourceTag/Project"),
	    IS("aws:ResourceTag/Project", "x") },
	{ "DescribeKey", do_describe_outside, IS("kms:KeyOrigin", "EXTERNAL"),
	    IS("kms:KeyOrigin", "AWS_KMS") },
	{ "DescribeKey", do_describe, BOOL("kms:MultiRegion", "false"),
	    BOOL("kms:MultiRegion", "true") },
	{ "DescribeKey", do_describe, BOOL("aws:ViaAWSService", "false"),
	    BOOL("aws:ViaAWSService", "true") },
	{ "DescribeKey", do_describe,
	    BOOL("aws:PrincipalIsAWSService", "false"),
	    BOOL("aws:PrincipalIsAWSService", "true") },
	{ "DescribeKey", do_describe, IS("aws:RequestedRegion", "us-east-1"),
	    IS("aws:RequestedRegion", "eu-west-1") },

#define CRYPTO(action, fn, alias)                                         \
	{ action, fn, IS("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT"), \
		IS("kms:EncryptionAlgorithm", "RSAES_OAEP_SHA_256") },    \
	    { action, fn, IS("kms:EncryptionContext:dept", "hr"),         \
		    IS("kms:EncryptionContext:dept", "it") },             \
	    { action, fn, ALL("kms:EncryptionContextKeys", "\"dept\""),   \
		    ALL("kms:EncryptionContextKeys", "\"Dept\"") },       \
	    { action, fn, IS("kms:RequestAlias", "alias/one"),            \
		    ABSENT("kms:RequestAlias") },                         \
	{                                                                 \
		action, fn, ANY("kms:ResourceAliases", "alias/" alias),   \
		    ANY("kms:ResourceAliases", "alias/two")               \
	}
	CRYPTO("Encrypt", do_encrypt, "one"),
	CRYPTO("Decrypt", do_decrypt, "one"),
	CRYPTO("GenerateDataKey", do_generate, "eins"),
	CRYPTO("GenerateDataKeyWithoutPlaintext", do_generate_only, "one"),
	CRYPTO("ReEncryptFrom", do_reencrypt_same, "one"),
	{ "ReEncryptFrom", do_reencrypt_same,
	    BOOL("kms:ReEncryptOnSameKey", "true"),
	    BOOL("kms:ReEncryptOnSameKey", "false") },
	{ "ReEncryptFrom", do_reencrypt_other,
	    BOOL("kms:ReEncryptOnSameKey", "false"),
	    BOOL("kms:ReEncryptOnSameKey", "true") },
	{ "ReEncryptTo", do_reencrypt_same,
	    BOOL("kms:ReEncryptOnSameKey", "true"),
	    BOOL("kms:ReEncryptOnSameKey", "false") },
	{ "ReEncryptTo", do_reencrypt_other,
	    BOOL("kms:ReEncryptOnSameKey", "false"),
	    BOOL("kms:ReEncryptOnSameKey", "true") },
	{ "ReEncryptFrom", do_reencrypt_other, ABSENT("kms:RequestAlias"),
	    IS("kms:RequestAlias", "alias/two") },
	{ "ReEncryptTo", do_reencrypt_other,
	    IS("kms:RequestAlias", "alias/two"),
	    IS("kms:RequestAlias", "alias/one") },
	{ "ReEncryptTo", do_reencrypt_same, ABSENT("kms:RequestAlias"),
	    IS("kms:RequestAlias", "alias/one") },
	{ "ReEncryptTo", do_reencrypt_other,
	    IS("kms:EncryptionContext:dept", "it"),
	    IS("kms:EncryptionContext:dept", "hr") },
	{ "ReEncryptTo", do_reencrypt_other,
	    IS("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT"),
	    ABSENT("kms:EncryptionAlgorithm") },
	{ "ReEncryptFrom", do_rewrap, BOOL("kms:ReEncryptOnSameKey", "true"),
	    BOOL("kms:ReEncryptOnSameKey", "false") },

	{ "ReEncryptFrom", do_rewrap_other,
	    BOOL("kms:ReEncryptOnSameKey", "false"),
	    BOOL("kms:ReEncryptOnSameKey", "true") },
	{ "ReEncryptFrom", do_rewrap_other, ABSENT("kms:RequestAlias"),
	    IS("kms:RequestAlias", "alias/two") },
	{ "ReEncryptTo", do_rewrap_other, IS("kms:RequestAlias", "alias/two"),
	    ABSENT("kms:RequestAlias") },

	{ "EnableKeyRotation", do_rotation,
	    NUM("LessThanEquals", "kms:RotationPeriodInDays", "400"),
	    NUM("LessThan", "kms:RotationPeriodInDays", "400") },
	{ "ScheduleKeyDeletion", do_delete_soon,
	    NUM("LessThan", "kms:ScheduleKeyDeletionPendingWindowInDays", "8"),
	    NUM("GreaterThan", "kms:ScheduleKeyDeletionPendingWindowInDays",
		"7") },
	{ "ScheduleKeyDeletion", do_delete,
	    NUM("Equals", "kms:ScheduleKeyDeletionPendingWindowInDays", "30"),
	    NUM("Equals", "kms:ScheduleKeyDeletionPendingWindowInDays", "0") },

	{ "GetParametersForImport", do_parameters,
	    IS("kms:WrappingAlgorithm", "RSA_AES_KEY_WRAP_SHA_256"),
	    IS("kms:WrappingAlgorithm", "RSAES_OAEP_SHA_256") },
	{ "GetParametersForImport", do_parameters,
	    IS("kms:WrappingKeySpec", "RSA_3072"),
	    IS("kms:WrappingKeySpec", "RSA_2048") },
	{ "ImportKeyMaterial", do_import,
	    IS("kms:ExpirationModel", "KEY_MATERIAL_DOES_NOT_EXPIRE"),
	    IS("kms:ExpirationModel", "KEY_MATERIAL_EXPIRES") },
	{ "ImportKeyMaterial", do_import, ABSENT("kms:ValidTo"),
	    "\"DateLessThan\":{\"kms:ValidTo\":\"2200-01-01\"}" },
	{ "ImportKeyMaterial", do_import_until,
	    IS("kms:ExpirationModel", "KEY_MATERIAL_EXPIRES"),
	    IS("kms:ExpirationModel", "KEY_MATERIAL_DOES_NOT_EXPIRE") },
	{ "ImportKeyMaterial", do_import_until,
	    "\"DateLessThanEquals\":{\"kms:ValidTo\":\"2100-01-01\"}",
	    "\"DateLessThan\":{\"kms:ValidTo\":\"2100-01-01\"}" },

	{ "PutKeyPolicy", do_put_policy,
	    BOOL("kms:BypassPolicyLockoutSafetyCheck", "true"),
	    BOOL("kms:BypassPolicyLockoutSafetyCheck", "false") },
	{ "PutKeyPolicy", do_put_policy_checked,
	    BOOL("kms:BypassPolicyLockoutSafetyCheck", "false"),
	    BOOL("kms:BypassPolicyLockoutSafetyCheck", "true") },
	{ "TagResource", do_tag, IS("aws:RequestTag/Team", "red"),
	    IS("aws:RequestTag/Team", "blue") },
	{ "TagResource", do_tag, ANY("aws:TagKeys", "cost"),
	    ANY("aws:TagKeys", "other") },
	{ "UntagResource", do_untag, ALL("aws:TagKeys", "\"Team\",\"cost\""),
	    ALL("aws:TagKeys", "\"cost\"") },
	{ "UntagResource", do_untag, ABSENT("aws:RequestTag/Team"),
	    IS("aws:RequestTag/Team", "") },

	{ "CreateGrant", do_grant,
	    ALL("kms:GrantOperations", "\"Decrypt\",\"DescribeKey\""),
	    ALL("kms:GrantOperations", "\"Decrypt\"") },
	{ "CreateGrant", do_grant, IS("kms:GranteePrincipal", BOB),
	    IS("kms:GranteePrincipal", "x") },
	{ "CreateGrant", do_grant, IS("kms:RetiringPrincipal", BOB),
	    ABSENT("kms:RetiringPrincipal") },
	{ "CreateGrant", do_grant,
	    IS("kms:GrantConstraintType", "EncryptionContextSubset"),
	    IS("kms:GrantConstraintType", "EncryptionContextEquals") },
	{ "CreateGrant", do_grant, IS("kms:EncryptionContext:dept", "hr"),
	    IS("kms:EncryptionContext:dept", "it") },
	{ "CreateGrant", do_grant, ALL("kms:EncryptionContextKeys", "\"dept\""),
	    ALL("kms:EncryptionContextKeys", "\"x\"") },
	{ "CreateGrant", do_grant, BOOL("kms:GrantIsForAWSResource", "false"),
	    BOOL("kms:GrantIsForAWSResource", "true") },
	{ "ListGrants", do_grants, BOOL("kms:GrantIsForAWSResource", "false"),
	    BOOL("kms:GrantIsForAWSResource", "true") },
	{ "RevokeGrant", do_revoke, BOOL("kms:GrantIsForAWSResource", "false"),
	    BOOL("kms:GrantIsForAWSResource", "true") },
	{ "RetireGrant", do_retire,
	    IS("kms:GrantConstraintType", "EncryptionContextSubset"),
	    IS("kms:GrantConstraintType", "EncryptionContextEquals") },
	{ "RetireGrant", do_retire, IS("kms:EncryptionContext:dept", "hr"),
	    IS("kms:EncryptionContext:dept", "it") },
};

/* Alice may do everything else, and this on a condition. */
static void
on_condition(struct kms *k, const char *action, const char *condition)
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
	    "{\"Version\":\"2012-10-17\",\"Statement\":["
	    "{\"Effect\":\"Allow\",\"NotAction\":\"kms:%s\","
	    "\"Resource\":\"*\"},"
	    "{\"Effect\":\"Allow\",\"Action\":\"kms:%s\","
	    "\"Resource\":\"*\",\"Condition\":{%s}}]}",
	    action, action, condition);
	assert_ok(kms_policy_put(k, &root_user, "p", text, strlen(text)));
}

static void
prepare(struct kms *k)
{
	static const struct kms_tag project[] = { { "Project", "x" } };
	const struct kms_new tagged = { .tags = project, .ntags = 1 };
	const struct kms_new external = { .external = true };
	char token[KMS_GRANT_TOKEN_MAX], arn[KMS_ARN_MAX];
	struct kms_desc d;
	struct kms_user u;

	assert_ok(kms_key_new(k, &root_user, &tagged, &d));
	strcpy(key, d.id);
	assert_ok(kms_key_create(k, &root_user, NULL, &d));
	strcpy(other, d.id);
	assert_ok(kms_key_new(k, &root_user, &external, &d));
	strcpy(outside, d.id);
	assert_ok(kms_alias_create(k, &root_user, "one", key));
	assert_ok(kms_alias_create(k, &root_user, "eins", key));
	assert_ok(kms_alias_create(k, &root_user, "two", other));
	assert_ok(kms_encrypt(k, &root_user, key,
	    "0123456789abcdef"
	    "0123456789abcdef",
	    32, dept, 1, blob, &bloblen, arn));
	assert_ok(
	    kms_grant_create(k, &root_user, key, &about, grant_id, token));
	assert_ok(kms_user_create(k, &root_user, "alice", false, &u, NULL));
	on_condition(k, "Sign", ABSENT("kms:ViaService"));
	assert_ok(kms_policy_attach(k, &root_user, "p", false, "alice"));
}

static void
test_conditions(void **state)
{
	struct kms *k = place_open(*state);

	prepare(k);
	for (size_t i = 0; i < COUNTOF(rows); i++) {
		enum err yes, no;

		on_condition(k, rows[i].action, rows[i].no);
		no = rows[i].fn(k);
		on_condition(k, rows[i].action, rows[i].yes);
		yes = rows[i].fn(k);
		if (no != ERR_ACCESS || yes == ERR_ACCESS)
			fail_msg("row %zu, %s: %s: %s", i, rows[i].action,
			    no != ERR_ACCESS ? rows[i].no : rows[i].yes,
			    yes == ERR_ACCESS ? err_detail(yes)
					      : "was allowed");
	}
	kms_close(k);
}

/* A tag that is changed counts at once, also where an answer was remembered. */
static void
test_tag_changes(void **state)
{
	static const struct kms_tag y[] = { { "Project", "y" } };
	static const char *const gone[] = { "Project" };
	struct kms *k = place_open(*state);

	prepare(k);
	on_condition(k, "Decrypt", IS("aws:ResourceTag/Project", "x"));
	assert_ok(do_decrypt(k));
	assert_ok(do_decrypt(k));
	assert_ok(kms_tag_set(k, &root_user, key, y, 1));
	assert_int_equal(do_decrypt(k), ERR_ACCESS);
	on_condition(k, "Decrypt", IS("aws:ResourceTag/Project", "y"));
	assert_ok(do_decrypt(k));
	kms_close(k);
	k = place_open(*state);
	assert_ok(do_decrypt(k));
	assert_ok(kms_tag_remove(k, &root_user, key, gone, 1));
	assert_int_equal(do_decrypt(k), ERR_ACCESS);
	kms_close(k);
}

/* All aliases of a key are seen, however many it has. */
static void
test_many_aliases(void **state)
{
	static const char text[] =
	    "{\"Version\":\"2012-10-17\",\"Statement\":["
	    "{\"Effect\":\"Allow\",\"Action\":\"kms:*\","
	    "\"Resource\":\"*\"},"
	    "{\"Effect\":\"Deny\",\"Action\":\"kms:Decrypt\","
	    "\"Resource\":\"*\",\"Condition\":{" ANY(
		"kms:ResourceAliases", "alias/zz") "}}]}";
	/* More than this program lets a key have. */
	static const char more[] =
	    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c "
	    "WHERE i < 100) INSERT INTO aliases(tenant, name, key, created, "
	    "updated) SELECT tenant, name || i, key, created, updated "
	    "FROM aliases, c WHERE name LIKE '%one'";
	const struct place *p = *state;
	struct kms *k = place_open(p);
	sqlite3 *h = NULL;

	prepare(k);
	assert_ok(kms_policy_put(k, &root_user, "p", text, sizeof(text) - 1));
	assert_ok(do_decrypt(k));
	assert_ok(kms_alias_create(k, &root_user, "zz", key));
	kms_close(k);
	assert_int_equal(sqlite3_open(p->path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, more, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_changes(h), 100);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
	k = place_open(p);
	assert_int_equal(do_decrypt(k), ERR_ACCESS);
	kms_close(k);
}

static atomic_bool flipping;

static void *
flip(void *arg)
{
	struct kms *k = arg;

	for (unsigned i = 0; atomic_load(&flipping); i++)
		if (kms_alias_update(
			k, &root_user, "flip", i % 2 == 0 ? other : key) != OK)
			abort();
	return NULL;
}

/* What policies are told of the new key is true of the one that is used, also
 * while its name goes from one to another. */
static void
test_moving_name(void **state)
{
	struct kms *k = place_open(*state);
	const int64_t end = clock_wall_s() + 3;
	pthread_t t;

	prepare(k);
	assert_ok(kms_alias_create(k, &root_user, "flip", key));
	on_condition(k, "ReEncrypt*", BOOL("kms:ReEncryptOnSameKey", "true"));
	atomic_store(&flipping, true);
	assert_int_equal(pthread_create(&t, NULL, flip, k), 0);
	while (clock_wall_s() < end) {
		uint8_t ret[KMS_CIPHER_MAX];
		struct kms_reencrypt m = { .blob = blob,
			.bloblen = bloblen,
			.from = dept,
			.nfrom = 1,
			.to_key = "alias/flip",
			.to = dept,
			.nto = 1,
			.ret_blob = ret };
		char arn[KMS_ARN_MAX];
		size_t len;

		if (kms_reencrypt(k, &alice, &m) == OK)
			assert_string_equal(m.ret_from, m.ret_to);
		if (kms_rewrap(k, &alice, blob, bloblen, dept, 1, "alias/flip",
			dept, 1, ret, &len, arn) == OK)
			assert_non_null(strstr(arn, key));
	}
	atomic_store(&flipping, false);
	assert_int_equal(pthread_join(t, NULL), 0);
	kms_close(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_conditions, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    test_tag_changes, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    test_many_aliases, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    test_moving_name, place_setup, place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
