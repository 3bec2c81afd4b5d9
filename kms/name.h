/*
 * name: key names in all their spellings, and who may spell what.
 *
 * Pure and thread-safe.
 */
#ifndef KMS_NAME_H
#define KMS_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "kms/kms.h"
#include "lib/base/codec.h"

#define REGION_MAX 64               /* region with its NUL */
#define NAME_SERVICE_TENANT "ssefs" /* owner of the service key */
#define NAME_DEFAULT "alias/ssefs/default"

/* A parsed key name: a key's id, or an alias of a tenant. */
struct name {
	bool by_id;
	bool has_tenant; /* the text itself named ${tenant} */
	uint8_t uuid[UUID_LEN];
	char tenant[KMS_NAME_MAX];
	char alias[KMS_ALIAS_MAX]; /* with "alias/"; or KMS_SERVICE_KEY */
};

/*
 * name_parse(text, tenant, region, ret):
 * Read a key name as the ${tenant} means it.  Returns OK; ERR_INVAL for what
 * can be no name; ERR_NOKEY for a well-formed one that cannot be here
 * (another region); both with detail.
 */
enum err name_parse(const char *text, const char *tenant, const char *region,
    struct name *ret) MUSTCHECK;

/* Is ${n} the tenant's default key, or the service key? */
bool name_is_default(const struct name *n);
bool name_is_service(const struct name *n);

/* The ARN of a key. */
void name_arn(const char *region, const char *tenant,
    const uint8_t uuid[static UUID_LEN], char ret[static KMS_ARN_MAX]);

/* Check and complete the name of an alias to be made or removed: ERR_INVAL,
 * ERR_PERM when reserved. */
enum err name_alias(const char *text, char ret[static KMS_ALIAS_MAX]) MUSTCHECK;

/* May it be a tenant (letters, digits, ".", "_", "-"), a user (UTF-8 without
 * quotes, backslashes and control characters), a region? */
bool name_tenant_ok(const char *s);
bool name_user_ok(const char *s);
bool name_region_ok(const char *s);

/* Is ${s} UTF-8 (no surrogates, no overlong forms)? */
bool name_utf8_ok(const char *s);
/* Is it UTF-8 of so many characters? */
bool name_text_ok(const char *s, size_t min, size_t max);

#endif
