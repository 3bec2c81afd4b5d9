/*
 * The operations of the key service, and what the dialects call them.
 *
 * AWS names are the operations'.  RAM shares them, with a few of its own.  OBS
 * groups them; those of the groups marked so in docs/POLICY.md are our choice,
 * where no manual has a name.
 */
#include <string.h>
#include <strings.h>

#include "lib/base/attrs.h"

#include "kms/policy_internal.h"

#define CROSSES 1u     /* may cross accounts */
#define GRANTABLE 2u   /* may be granted */
#define CONSTRAINED 4u /* takes an encryption context */
#define BY_KEY 8u      /* AWS has it under ListAliases, of no resource */
#define USE (CROSSES | GRANTABLE)

struct op {
	const char *name;
	const char *ram;    /* another name in RAM, or NULL */
	const char *obs[2]; /* without "kms:" */
	unsigned flags;
};

/* Sorted by name, case ignored. */
static const struct op ops[] = {
	{ "CancelKeyDeletion", NULL, { "cmk:update", NULL }, 0 },
	{ "CreateAlias", NULL, { "alias:create", NULL }, 0 },
	{ "CreateGrant", NULL, { "grant:create", NULL }, USE },
	{ "CreateKey", NULL, { "cmk:create", NULL }, 0 },
	{ "Decrypt", NULL, { "dek:crypto", "dek:decrypt" }, USE | CONSTRAINED },
	{ "DeleteAlias", NULL, { "alias:delete", NULL }, 0 },
	{ "DeleteImportedKeyMaterial", "DeleteKeyMaterial",
	    { "cmk:deleteMaterial", NULL }, 0 },
	{ "DescribeKey", NULL, { "cmk:get", NULL }, USE },
	{ "DisableKey", NULL, { "cmk:disable", NULL }, 0 },
	{ "DisableKeyRotation", "UpdateRotationPolicy",
	    { "cmk:disableRotation", NULL }, 0 },
	{ "EnableKey", NULL, { "cmk:enable", NULL }, 0 },
	{ "EnableKeyRotation", "UpdateRotationPolicy",
	    { "cmk:enableRotation", "cmk:updateRotation" }, 0 },
	{ "Encrypt", NULL, { "cmk:crypto", "cmk:encrypt" }, USE | CONSTRAINED },
	{ "GenerateDataKey", NULL, { "dek:create", NULL }, USE | CONSTRAINED },
	{ "GenerateDataKeyPair", NULL, { "dek:create", NULL },
	    USE | CONSTRAINED },
	{ "GenerateDataKeyPairWithoutPlaintext", NULL, { "dek:create", NULL },
	    USE | CONSTRAINED },
	{ "GenerateDataKeyWithoutPlaintext", NULL, { "dek:create", NULL },
	    USE | CONSTRAINED },
	{ "GenerateMac", NULL, { "cmk:generateMac", NULL }, USE },
	{ "GenerateRandom", NULL, { "cmk:generate", NULL }, 0 },
	{ "GetKeyPolicy", NULL, { "cmk:getPolicy", NULL }, 0 },
	{ "GetKeyRotationStatus", NULL, { "cmk:getRotation", NULL }, CROSSES },
	{ "GetParametersForImport", NULL, { "cmk:getMaterial", NULL }, 0 },
	{ "GetPublicKey", NULL, { "cmk:getPublicKey", NULL }, USE },
	{ "ImportKeyMaterial", NULL, { "cmk:importMaterial", NULL }, 0 },
	{ "ListAliases", NULL, { "alias:list", "cmk:list" }, 0 },
	{ "ListAliasesByKeyId", NULL, { "alias:list", "cmk:list" }, BY_KEY },
	{ "ListGrants", NULL, { "grant:list", NULL }, CROSSES },
	{ "ListKeyPolicies", NULL, { "cmk:getPolicy", NULL }, 0 },
	{ "ListKeyRotations", "ListKeyVersions", { "cmk:getRotation", NULL },
	    0 },
	{ "ListKeys", NULL, { "cmk:list", NULL }, 0 },
	{ "ListResourceTags", NULL, { "cmkTag:list", NULL }, 0 },
	{ "ListRetirableGrants", NULL, { "grant:list", NULL }, 0 },
	{ "PutKeyPolicy", NULL, { "cmk:putPolicy", NULL }, 0 },
	{ "ReEncryptFrom", "ReEncrypt", { "dek:crypto", "dek:decrypt" },
	    USE | CONSTRAINED },
	{ "ReEncryptTo", "ReEncrypt", { "dek:crypto", "dek:encrypt" },
	    USE | CONSTRAINED },
	{ "RetireGrant", NULL, { "grant:retire", NULL }, USE },
	{ "RevokeGrant", NULL, { "grant:revoke", NULL }, CROSSES },
	{ "RotateKeyOnDemand", "CreateKeyVersion",
	    { "cmk:updateRotation", NULL }, 0 },
	{ "ScheduleKeyDeletion", NULL, { "cmk:update", NULL }, 0 },
	{ "Sign", "AsymmetricSign", { "cmk:sign", NULL }, USE },
	{ "TagResource", NULL, { "cmkTag:create", "cmkTag:batch" }, 0 },
	{ "UntagResource", NULL, { "cmkTag:delete", "cmkTag:batch" }, 0 },
	{ "UpdateAlias", NULL, { "alias:associate", NULL }, 0 },
	{ "UpdateKeyDescription", NULL, { "cmk:update", NULL }, 0 },
	{ "Verify", "AsymmetricVerify", { "cmk:verify", NULL }, USE },
	{ "VerifyMac", NULL, { "cmk:verifyMac", NULL }, USE },
};

_Static_assert(COUNTOF(ops) <= 64, "a set of operations is 64 bits");

int
op_find(const char *action)
{
	size_t low = 0, high = COUNTOF(ops);

	if (strncasecmp(action, "kms:", 4) != 0)
		return OP_NONE;
	while (low < high) {
		const size_t mid = (low + high) / 2;
		const int c = strcasecmp(action + 4, ops[mid].name);

		if (c == 0)
			return (int)mid;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return OP_NONE;
}

static bool
has(int op, unsigned flag)
{

	return op != OP_NONE && (ops[op].flags & flag) != 0;
}

bool
op_crosses(int op)
{

	return has(op, CROSSES);
}

bool
op_grantable(int op)
{

	return has(op, GRANTABLE);
}

bool
op_constrained(int op)
{

	return has(op, CONSTRAINED);
}

bool
op_unplaced(int op)
{

	return has(op, BY_KEY);
}

const char *
op_name(int op)
{

	return op == OP_NONE ? "" : ops[op].name;
}

static bool
named(const char *pattern, const char *name)
{
	char full[64] = "kms:";

	if (name == NULL)
		return false;
	strcpy(full + 4, name);
	return pattern_match(pattern, full, true);
}

static bool
goes_by(const struct op *op, enum policy_dialect d, const char *pattern)
{

	switch (d) {
	case POLICY_OBS:
		return named(pattern, op->obs[0]) || named(pattern, op->obs[1]);
	case POLICY_RAM:
		return named(pattern, op->name) || named(pattern, op->ram);
	case POLICY_AWS_2008:
	case POLICY_AWS_2012:
		break;
	}
	return named(
	    pattern, (op->flags & BY_KEY) != 0 ? "ListAliases" : op->name);
}

uint64_t
op_matching(enum policy_dialect d, const char *pattern)
{
	uint64_t set = 0;

	for (size_t i = 0; i < COUNTOF(ops); i++)
		if (goes_by(&ops[i], d, pattern))
			set |= (uint64_t)1 << i;
	return set;
}

/*
 * The object service has its own names in each dialect: s3:PutObject is
 * oss:PutObject in RAM, obs:object:PutObject in OBS.
 */
bool
op_other_matches(enum policy_dialect d, const char *pattern, const char *action,
    bool on_object)
{
	const bool s3 = strncmp(action, "s3:", 3) == 0;
	char name[ACTION_MAX + 16];
	const char *prefix = "";

	if (s3 && d == POLICY_RAM)
		prefix = "oss:";
	else if (s3 && d == POLICY_OBS)
		prefix = on_object ? "obs:object:" : "obs:bucket:";
	strcpy(name, prefix);
	strcat(name, action + (prefix[0] != '\0' ? 3 : 0));
	return pattern_match(pattern, name, true);
}
