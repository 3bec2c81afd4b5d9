/*
 * Key names.  The spellings that mean a tenant's default key are those of the
 * dialects that clients speak; they all become NAME_DEFAULT here, so that the
 * rest of the room knows one.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/attrs.h"

#include "kms/name.h"

static const char *const default_names[] = { "", NAME_DEFAULT, "obs/default",
	"alias/acs/oss", "alias/aws/s3" };

/* Beginnings, after "alias/", that no user may take. */
static const char *const reserved[] = { "aws/", "acs/", "ssefs/", "obs/" };

static bool
alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* 1 to ${max} letters, digits and characters of ${more}. */
static bool
all_of(const char *s, size_t max, const char *more)
{
	size_t i = 0;

	for (; s[i] != '\0'; i++)
		if (i == max || (!alnum(s[i]) && strchr(more, s[i]) == NULL))
			return false;
	return i > 0;
}

bool
name_tenant_ok(const char *s)
{

	return all_of(s, KMS_NAME_MAX - 1, "._-");
}

bool
name_region_ok(const char *s)
{

	return all_of(s, REGION_MAX - 1, "_-");
}

/* Length of the UTF-8 sequence at ${s}, 0 when it is none. */
static size_t
utf8_len(const unsigned char *s)
{
	const unsigned char c = s[0];

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4 || (s[1] & 0xc0) != 0x80)
		return 0;
	if (c < 0xe0)
		return 2;
	if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ||
	    (s[2] & 0xc0) != 0x80)
		return 0;
	if (c < 0xf0)
		return 3;
	if ((c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f) ||
	    (s[3] & 0xc0) != 0x80)
		return 0;
	return 4;
}

/* Are the eight bytes at ${p} ASCII? */
static bool
ascii8(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return (v & UINT64_C(0x8080808080808080)) == 0;
}

bool
name_utf8_ok(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	const unsigned char *end = p + strlen(s);

	while (p < end) {
		/* Nearly all of it is ASCII. */
		const size_t n = end - p >= 8 && ascii8(p) ? 8 : utf8_len(p);

		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

bool
name_text_ok(const char *s, size_t min, size_t max)
{
	size_t n = 0;

	if (strnlen(s, 4 * max + 1) > 4 * max || !name_utf8_ok(s))
		return false;
	for (const char *p = s; *p != '\0'; p++)
		n += ((unsigned char)*p & 0xc0) != 0x80;
	return n >= min && n <= max;
}

bool
name_user_ok(const char *s)
{
	const size_t len = strnlen(s, KMS_NAME_MAX);

	if (len == 0 || len == KMS_NAME_MAX || !name_utf8_ok(s))
		return false;
	for (size_t i = 0; i < len; i++) {
		const unsigned char c = (unsigned char)s[i];

		if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
			return false;
	}
	return true;
}

/* Copy ${len} bytes at ${s} as a string, when they and the NUL fit. */
static bool
copy(char *to, size_t size, const char *s, size_t len)
{

	if (len >= size)
		return false;
	memcpy(to, s, len);
	to[len] = '\0';
	return true;
}

static enum err
parse_plain(const char *s, struct name *n)
{

	for (size_t i = 0; i < COUNTOF(default_names); i++)
		if (strcmp(s, default_names[i]) == 0) {
			strcpy(n->alias, NAME_DEFAULT);
			return OK;
		}
	if (strcmp(s, KMS_SERVICE_KEY) == 0) {
		strcpy(n->tenant, NAME_SERVICE_TENANT);
		strcpy(n->alias, KMS_SERVICE_KEY);
		return OK;
	}
	if (uuid_parse(s, strlen(s), n->uuid) == OK) {
		n->by_id = true;
		return OK;
	}
	if (!all_of(s, KMS_ALIAS_MAX - 1, ":/_-"))
		return err_fail(ERR_INVAL, "malformed key name");
	if (strncmp(s, "alias/", 6) != 0)
		return err_fail(ERR_NOKEY, "no key named %.64s", s);
	strcpy(n->alias, s);
	return OK;
}

/* arn:aws:kms:REGION:TENANT:key/UUID or …:alias/NAME, from REGION on. */
static enum err
parse_arn(const char *s, const char *region, struct name *n)
{
	char reg[REGION_MAX];
	const char *tenant, *rest;

	tenant = strchr(s, ':');
	rest = tenant == NULL ? NULL : strchr(tenant + 1, ':');
	if (rest == NULL || !copy(reg, sizeof(reg), s, (size_t)(tenant - s)) ||
	    !copy(n->tenant, sizeof(n->tenant), tenant + 1,
		(size_t)(rest - tenant - 1)) ||
	    !name_region_ok(reg) || !name_tenant_ok(n->tenant))
		return err_fail(ERR_INVAL, "malformed key ARN");
	rest++;
	n->has_tenant = true;
	if (strncmp(rest, "key/", 4) == 0) {
		if (uuid_parse(rest + 4, strlen(rest + 4), n->uuid) != OK)
			return err_fail(ERR_INVAL, "malformed key ARN");
		n->by_id = true;
	} else if (strncmp(rest, "alias/", 6) == 0) {
		TRY(parse_plain(rest, n));
	} else if (strncmp(rest, "project", 7) == 0) {
		return err_fail(ERR_INVAL,
		    "the key is of a project; keys belong to tenants here, "
		    "projects are not supported");
	} else {
		return err_fail(ERR_INVAL, "malformed key ARN");
	}
	/* Projects of a region are written REGION_PROJECT. */
	if (strncmp(reg, region, strlen(region)) == 0 &&
	    reg[strlen(region)] == '_')
		return err_fail(ERR_INVAL,
		    "the key is of the project %s; keys belong to tenants "
		    "here, projects are not supported",
		    reg + strlen(region) + 1);
	if (strcmp(reg, region) != 0)
		return err_fail(ERR_NOKEY,
		    "the key belongs to the region %s, this keystore to %s",
		    reg, region);
	return OK;
}

enum err
name_parse(
    const char *text, const char *tenant, const char *region, struct name *ret)
{

	memset(ret, 0, sizeof(*ret));
	if (text == NULL)
		text = "";
	if (strnlen(text, KMS_ARN_MAX) == KMS_ARN_MAX ||
	    !copy(ret->tenant, sizeof(ret->tenant), tenant, strlen(tenant)))
		return err_fail(ERR_INVAL, "key name too long");
	if (strncmp(text, "arn:aws:kms:", 12) == 0)
		return parse_arn(text + 12, region, ret);
	if (strncmp(text, "arn:", 4) == 0)
		return err_fail(ERR_INVAL, "malformed key ARN");
	return parse_plain(text, ret);
}

bool
name_is_default(const struct name *n)
{

	return !n->by_id && strcmp(n->alias, NAME_DEFAULT) == 0;
}

bool
name_is_service(const struct name *n)
{

	return !n->by_id && strcmp(n->alias, KMS_SERVICE_KEY) == 0;
}

void
name_arn(const char *region, const char *tenant,
    const uint8_t uuid[static UUID_LEN], char ret[static KMS_ARN_MAX])
{
	char id[UUID_STRLEN + 1];

	uuid_format(uuid, id);
	(void)snprintf(ret, KMS_ARN_MAX, "arn:aws:kms:%.63s:%.64s:key/%s",
	    region, tenant, id);
}

enum err
name_alias(const char *text, char ret[static KMS_ALIAS_MAX])
{
	const char *bare = strncmp(text, "alias/", 6) == 0 ? text + 6 : text;

	if (!all_of(bare, KMS_ALIAS_MAX - 7, "/_-"))
		return err_fail(ERR_INVAL,
		    "an alias is made of letters, digits, \"/\", \"_\" and "
		    "\"-\", %d bytes at most",
		    KMS_ALIAS_MAX - 1);
	for (size_t i = 0; i < COUNTOF(reserved); i++)
		if (strncmp(bare, reserved[i], strlen(reserved[i])) == 0)
			return err_fail(ERR_PERM,
			    "aliases beginning with \"%s\" are reserved",
			    reserved[i]);
	(void)snprintf(ret, KMS_ALIAS_MAX, "alias/%s", bare);
	return OK;
}
