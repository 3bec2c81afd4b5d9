/*
 * The operations, and what their requests may hold: the model of 2014-11-01,
 * with what later versions added to operations that are served.
 */
#include <string.h>

#include "gateway/req.h"

#define END                  \
	{                    \
		.name = NULL \
	}
#define KEY(n, req)                                                           \
	{                                                                     \
		.name = (n), .type = MEMBER_STR, .required = (req), .min = 1, \
		.max = 2048                                                   \
	}
#define STR(n, req, lo, hi)                                         \
	{                                                           \
		.name = (n), .type = MEMBER_STR, .required = (req), \
		.min = (lo), .max = (hi)                            \
	}
#define PAT(n, req, hi, pat)                                                  \
	{                                                                     \
		.name = (n), .type = MEMBER_STR, .required = (req), .min = 1, \
		.max = (hi), .pattern = &(pat)                                \
	}
#define ENUM(n, req, values)                                        \
	{                                                           \
		.name = (n), .type = MEMBER_STR, .required = (req), \
		.set = (values)                                     \
	}
#define BLOB(n, hi)                                                           \
	{                                                                     \
		.name = (n), .type = MEMBER_BLOB, .required = true, .min = 1, \
		.max = (hi)                                                   \
	}
#define INT(n, lo, hi)                                                    \
	{                                                                 \
		.name = (n), .type = MEMBER_INT, .min = (lo), .max = (hi) \
	}
#define BOOL(n)                                  \
	{                                        \
		.name = (n), .type = MEMBER_BOOL \
	}
#define MAP(n)                                  \
	{                                       \
		.name = (n), .type = MEMBER_MAP \
	}
#define TOKENS                                                         \
	{                                                              \
		.name = "GrantTokens", .type = MEMBER_STRS, .max = 10, \
		.of = &grant_token                                     \
	}
#define DRY_RUN BOOL("DryRun")
#define RECIPIENT                                                           \
	{                                                                   \
		.name = "Recipient", .type = MEMBER_OBJECT, .of = recipient \
	}
#define LIMIT(hi) INT("Limit", 1, hi)
#define MARKER PAT("Marker", false, 1024, pattern_marker)

static const struct member grant_token = STR("GrantToken", true, 1, 8192);
static const struct member tag_key = STR("TagKey", true, 1, 128);
static const struct member tag[] = { STR("TagKey", true, 1, 128),
	STR("TagValue", true, 0, 256), END };

static const char *const algorithms[] = { "SYMMETRIC_DEFAULT",
	"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE", NULL };
static const char *const enclave_algorithms[] = { "RSAES_OAEP_SHA_256", NULL };
static const struct member recipient[] = { ENUM("KeyEncryptionAlgorithm", false,
					       enclave_algorithms),
	{ .name = "AttestationDocument",
	    .type = MEMBER_BLOB,
	    .min = 1,
	    .max = 262144 },
	END };
static const char *const data_key_specs[] = { "AES_256", "AES_128", NULL };
static const char *const usages[] = { "SIGN_VERIFY", "ENCRYPT_DECRYPT",
	"GENERATE_VERIFY_MAC", "KEY_AGREEMENT", NULL };
static const char *const key_specs[] = { "RSA_2048", "RSA_3072", "RSA_4096",
	"ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1",
	"SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512",
	"SM2", "ML_DSA_44", "ML_DSA_65", "ML_DSA_87", "ECC_NIST_EDWARDS25519",
	NULL };
static const char *const origins[] = { "AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM",
	"EXTERNAL_KEY_STORE", NULL };
static const char *const wrappings[] = { "RSAES_PKCS1_V1_5", "RSAES_OAEP_SHA_1",
	"RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1",
	"RSA_AES_KEY_WRAP_SHA_256", "SM2PKE", NULL };
static const char *const wrapping_specs[] = { "RSA_2048", "RSA_3072",
	"RSA_4096", "SM2", NULL };
static const char *const import_types[] = { "NEW_KEY_MATERIAL",
	"EXISTING_KEY_MATERIAL", NULL };
static const char *const expirations[] = { "KEY_MATERIAL_EXPIRES",
	"KEY_MATERIAL_DOES_NOT_EXPIRE", NULL };
static const char *const grantable[] = { "Decrypt", "Encrypt",
	"GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom",
	"ReEncryptTo", "Sign", "Verify", "GetPublicKey", "CreateGrant",
	"RetireGrant", "DescribeKey", "GenerateDataKeyPair",
	"GenerateDataKeyPairWithoutPlaintext", "GenerateMac", "VerifyMac",
	"DeriveSharedSecret", NULL };
static const struct member grant_op = ENUM("Operation", true, grantable);

static const struct member in_key[] = { KEY("KeyId", true), END };
static const struct member in_describe[] = { KEY("KeyId", true), TOKENS, END };
static const struct member in_encrypt[] = { KEY("KeyId", true),
	BLOB("Plaintext", KMS_PLAIN_MAX), MAP("EncryptionContext"), TOKENS,
	DRY_RUN, ENUM("EncryptionAlgorithm", false, algorithms), END };
static const struct member in_decrypt[] = {
	BLOB("CiphertextBlob", KMS_CIPHER_MAX), MAP("EncryptionContext"),
	TOKENS, DRY_RUN, RECIPIENT, KEY("KeyId", false),
	ENUM("EncryptionAlgorithm", false, algorithms), END
};
static const struct member in_reencrypt[] = { BLOB("CiphertextBlob",
						  KMS_CIPHER_MAX),
	MAP("SourceEncryptionContext"), KEY("SourceKeyId", false),
	KEY("DestinationKeyId", true), MAP("DestinationEncryptionContext"),
	ENUM("SourceEncryptionAlgorithm", false, algorithms),
	ENUM("DestinationEncryptionAlgorithm", false, algorithms), TOKENS,
	DRY_RUN, END };
static const struct member in_generate[] = { KEY("KeyId", true),
	MAP("EncryptionContext"), INT("NumberOfBytes", 1, KMS_RANDOM_MAX),
	ENUM("KeySpec", false, data_key_specs), TOKENS, DRY_RUN, RECIPIENT,
	END };
static const struct member in_random[] = { INT("NumberOfBytes", 1,
					       KMS_RANDOM_MAX),
	STR("CustomKeyStoreId", false, 1, 64), RECIPIENT, END };
static const struct member in_create[] = { PAT("Policy", false, 131072,
					       pattern_policy),
	STR("Description", false, 0, 8192), ENUM("KeyUsage", false, usages),
	ENUM("CustomerMasterKeySpec", false, key_specs),
	ENUM("KeySpec", false, key_specs), ENUM("Origin", false, origins),
	STR("CustomKeyStoreId", false, 1, 64),
	BOOL("BypassPolicyLockoutSafetyCheck"),
	{ .name = "Tags", .type = MEMBER_LIST, .max = 200, .of = tag },
	BOOL("MultiRegion"), STR("XksKeyId", false, 1, 128), END };
static const struct member in_list_keys[] = { LIMIT(1000), MARKER, END };
static const struct member in_list_aliases[] = { KEY("KeyId", false),
	LIMIT(100), MARKER, END };
static const struct member in_alias[] = { PAT("AliasName", true, 256,
					      pattern_alias),
	KEY("TargetKeyId", true), END };
static const struct member in_alias_only[] = {
	PAT("AliasName", true, 256, pattern_alias), END
};
static const struct member in_schedule[] = { KEY("KeyId", true),
	INT("PendingWindowInDays", 1, KMS_WINDOW_LIMIT), END };
static const struct member in_rotation[] = { KEY("KeyId", true),
	INT("RotationPeriodInDays", 90, 2560), END };
static const struct member in_page[] = { KEY("KeyId", true), LIMIT(1000),
	MARKER, END };
static const struct member in_get_policy[] = { KEY("KeyId", true),
	PAT("PolicyName", false, 128, pattern_word), END };
static const struct member in_put_policy[] = { KEY("KeyId", true),
	PAT("PolicyName", false, 128, pattern_word),
	PAT("Policy", true, 131072, pattern_policy),
	BOOL("BypassPolicyLockoutSafetyCheck"), END };
static const struct member in_parameters[] = { KEY("KeyId", true),
	ENUM("WrappingAlgorithm", true, wrappings),
	ENUM("WrappingKeySpec", true, wrapping_specs), END };
static const struct member in_import[] = { KEY("KeyId", true),
	BLOB("ImportToken", KMS_CIPHER_MAX),
	BLOB("EncryptedKeyMaterial", KMS_CIPHER_MAX),
	{ .name = "ValidTo", .type = MEMBER_TIME },
	ENUM("ExpirationModel", false, expirations),
	ENUM("ImportType", false, import_types),
	STR("KeyMaterialDescription", false, 0, 256),
	STR("KeyMaterialId", false, 64, 64), END };
static const struct member in_delete_material[] = { KEY("KeyId", true),
	STR("KeyMaterialId", false, 64, 64), END };
static const struct member in_tag[] = { KEY("KeyId", true),
	{ .name = "Tags",
	    .type = MEMBER_LIST,
	    .required = true,
	    .max = 200,
	    .of = tag },
	END };
static const struct member in_untag[] = { KEY("KeyId", true),
	{ .name = "TagKeys",
	    .type = MEMBER_STRS,
	    .required = true,
	    .max = KMS_TAGS_MAX,
	    .of = &tag_key },
	END };
static const struct member in_list_tags[] = { KEY("KeyId", true), LIMIT(50),
	MARKER, END };
static const struct member in_description[] = { KEY("KeyId", true),
	STR("Description", true, 0, 8192), END };
static const struct member constraints[] = { MAP("EncryptionContextSubset"),
	MAP("EncryptionContextEquals"), END };
static const struct member in_create_grant[] = { KEY("KeyId", true),
	PAT("GranteePrincipal", true, 256, pattern_principal),
	PAT("RetiringPrincipal", false, 256, pattern_principal),
	{ .name = "Operations",
	    .type = MEMBER_STRS,
	    .required = true,
	    .min = 1,
	    .max = COUNTOF(grantable),
	    .of = &grant_op },
	{ .name = "Constraints", .type = MEMBER_OBJECT, .of = constraints },
	TOKENS, DRY_RUN, PAT("Name", false, 256, pattern_alias), END };
static const struct member in_list_grants[] = { LIMIT(100), MARKER,
	KEY("KeyId", true), STR("GrantId", false, 1, 128),
	PAT("GranteePrincipal", false, 256, pattern_principal), END };
static const struct member in_list_retirable[] = { LIMIT(100), MARKER,
	PAT("RetiringPrincipal", true, 256, pattern_principal), END };
static const struct member in_retire[] = { STR("GrantToken", false, 1, 8192),
	KEY("KeyId", false), STR("GrantId", false, 1, 128), DRY_RUN, END };
static const struct member in_revoke[] = { KEY("KeyId", true),
	STR("GrantId", true, 1, 128), DRY_RUN, END };

/* By name, for the look-up. */
static const struct op ops[] = {
	{ "CancelKeyDeletion", in_key, false, op_cancel_deletion },
	{ "CreateAlias", in_alias, false, op_create_alias },
	{ "CreateGrant", in_create_grant, false, op_create_grant },
	{ "CreateKey", in_create, false, op_create_key },
	{ "Decrypt", in_decrypt, true, op_decrypt },
	{ "DeleteAlias", in_alias_only, false, op_delete_alias },
	{ "DeleteImportedKeyMaterial", in_delete_material, false,
	    op_delete_material },
	{ "DescribeKey", in_describe, false, op_describe_key },
	{ "DisableKey", in_key, false, op_disable_key },
	{ "DisableKeyRotation", in_key, false, op_disable_rotation },
	{ "EnableKey", in_key, false, op_enable_key },
	{ "EnableKeyRotation", in_rotation, false, op_enable_rotation },
	{ "Encrypt", in_encrypt, true, op_encrypt },
	{ "GenerateDataKey", in_generate, true, op_generate },
	{ "GenerateDataKeyWithoutPlaintext", in_generate, false,
	    op_generate_only },
	{ "GenerateRandom", in_random, true, op_random },
	{ "GetKeyPolicy", in_get_policy, false, op_get_policy },
	{ "GetKeyRotationStatus", in_key, false, op_rotation_status },
	{ "GetParametersForImport", in_parameters, true, op_import_parameters },
	{ "ImportKeyMaterial", in_import, true, op_import_material },
	{ "ListAliases", in_list_aliases, false, op_list_aliases },
	{ "ListGrants", in_list_grants, false, op_list_grants },
	{ "ListKeyPolicies", in_page, false, op_list_policies },
	{ "ListKeyRotations", in_page, false, op_list_rotations },
	{ "ListKeys", in_list_keys, false, op_list_keys },
	{ "ListResourceTags", in_list_tags, false, op_list_tags },
	{ "ListRetirableGrants", in_list_retirable, false, op_list_retirable },
	{ "PutKeyPolicy", in_put_policy, false, op_put_policy },
	{ "ReEncrypt", in_reencrypt, false, op_reencrypt },
	{ "RetireGrant", in_retire, false, op_retire_grant },
	{ "RevokeGrant", in_revoke, false, op_revoke_grant },
	{ "RotateKeyOnDemand", in_key, false, op_rotate },
	{ "ScheduleKeyDeletion", in_schedule, false, op_schedule_deletion },
	{ "TagResource", in_tag, false, op_tag },
	{ "UntagResource", in_untag, false, op_untag },
	{ "UpdateAlias", in_alias, false, op_update_alias },
	{ "UpdateKeyDescription", in_description, false, op_describe_update },
};

/* Asymmetric keys, MACs, several regions, other key stores. */
static const char *const foreign[] = { "ConnectCustomKeyStore",
	"CreateCustomKeyStore", "DeleteCustomKeyStore", "DeriveSharedSecret",
	"DescribeCustomKeyStores", "DisconnectCustomKeyStore",
	"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
	"GenerateMac", "GetPublicKey", "ReplicateKey", "Sign",
	"UpdateCustomKeyStore", "UpdatePrimaryRegion", "Verify", "VerifyMac" };

static int
by_name(const void *name, const void *op)
{
	return (strcmp(name, ((const struct op *)op)->name));
}

const struct op *
api_op(const char *name)
{
	return (bsearch(name, ops, COUNTOF(ops), sizeof(ops[0]), by_name));
}

bool
api_op_foreign(const char *name)
{
	for (size_t i = 0; i < COUNTOF(foreign); i++)
		if (strcmp(foreign[i], name) == 0)
			return (true);
	return (false);
}
