/*
 * Names of keys, aliases, tenants, users and regions.
 *
 * Input: the asking tenant and the keystore's region, each with a NUL; the
 * name.
 */
#include "kms/name.h"

#include "tests/fuzz/fuzz.h"

static const char service[] = KMS_SERVICE_KEY;

/* ${n} spelt as an ARN means the same. */
static void
as_arn(const struct name *n, const char *region)
{
	char arn[KMS_ARN_MAX + KMS_ALIAS_MAX];
	struct name again;

	if (n->by_id)
		name_arn(region, n->tenant, n->uuid, arn);
	else
		(void)snprintf(arn, sizeof(arn), "arn:aws:kms:%s:%s:%s", region,
		    n->tenant, n->alias);
	if (strlen(arn) >= KMS_ARN_MAX)
		return;
	HOLDS(name_parse(arn, "somebody", region, &again) == OK);
	HOLDS(again.has_tenant && again.by_id == n->by_id);
	HOLDS(strcmp(again.tenant, n->tenant) == 0);
	HOLDS(memcmp(again.uuid, n->uuid, UUID_LEN) == 0);
	HOLDS(strcmp(again.alias, n->alias) == 0);
	HOLDS(name_is_default(&again) == name_is_default(n));
}

static void
key(const char *text, const char *tenant, const char *region)
{
	struct name n;
	const enum err e = name_parse(text, tenant, region, &n);

	HOLDS(e == OK || e == ERR_INVAL || e == ERR_NOKEY);
	HOLDS(strnlen(n.tenant, sizeof(n.tenant)) < sizeof(n.tenant));
	HOLDS(strnlen(n.alias, sizeof(n.alias)) < sizeof(n.alias));
	if (e != OK)
		return;
	HOLDS(strlen(text) < KMS_ARN_MAX);
	HOLDS(n.has_tenant == (strncmp(text, "arn:", 4) == 0));
	HOLDS(name_tenant_ok(n.tenant));
	HOLDS(n.by_id == (n.alias[0] == '\0'));
	HOLDS(!(name_is_default(&n) && name_is_service(&n)));
	if (!n.has_tenant)
		HOLDS(strcmp(n.tenant, name_is_service(&n) ? NAME_SERVICE_TENANT
							   : tenant) == 0);
	if (name_is_service(&n))
		HOLDS(strcmp(text, service) == 0);
	else if (name_region_ok(region))
		as_arn(&n, region);
}

static void
alias(const char *text)
{
	char full[KMS_ALIAS_MAX], again[KMS_ALIAS_MAX];
	struct name n;
	const enum err e = name_alias(text, full);

	HOLDS(e == OK || e == ERR_INVAL || e == ERR_PERM);
	if (e != OK)
		return;
	HOLDS(strnlen(full, sizeof(full)) < sizeof(full));
	HOLDS(name_alias(full, again) == OK && strcmp(full, again) == 0);
	HOLDS(name_parse(full, "t", "r", &n) == OK);
	HOLDS(!n.by_id && strcmp(n.alias, full) == 0);
	HOLDS(!name_is_default(&n) && !name_is_service(&n));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	char *tenant CLEANUP_FREE = feed_str(&f);
	char *region CLEANUP_FREE = feed_str(&f);
	char *text CLEANUP_FREE = feed_str(&f);

	if (name_tenant_ok(tenant)) {
		HOLDS(strlen(tenant) < KMS_NAME_MAX);
		HOLDS(name_user_ok(tenant));
		key(text, tenant, region);
	}
	if (name_region_ok(region))
		HOLDS(strlen(region) < REGION_MAX);
	if (name_user_ok(text))
		HOLDS(name_utf8_ok(text) && strlen(text) < KMS_NAME_MAX &&
		      strpbrk(text, "\"\\\n\x7f") == NULL);
	alias(text);
	return (0);
}
