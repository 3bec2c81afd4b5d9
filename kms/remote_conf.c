/*
 * remote_conf: the options of the remote provider.
 */
#include <string.h>

#include "kms/remote.h"

static const struct {
	const char *name;
	size_t off;
} texts[] = {
	{ "region", offsetof(struct remote_conf, region) },
	{ "profile", offsetof(struct remote_conf, profile) },
	{ "credentials", offsetof(struct remote_conf, credentials) },
	{ "ca", offsetof(struct remote_conf, ca) },
	{ "pin", offsetof(struct remote_conf, pin) },
	{ "proxy", offsetof(struct remote_conf, proxy) },
	{ "key", offsetof(struct remote_conf, key) },
};

static const struct {
	const char *name;
	size_t off;
	unsigned min, max;
} numbers[] = {
	{ "timeout", offsetof(struct remote_conf, timeout), 10, 60000 },
	{ "connect", offsetof(struct remote_conf, connect), 10, 60000 },
	{ "tries", offsetof(struct remote_conf, tries), 1, 20 },
	{ "cache-age", offsetof(struct remote_conf, cache_age), 0, 3600 },
};

/* Digits only. */
static bool
number(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return false;
		n = 10 * n + (uint64_t)(*s - '0');
		if (n > max)
			return false;
	}
	*ret = n;
	return true;
}

static enum err
take(struct remote_conf *r, const struct provider_option *o)
{
	uint64_t n = 0;

	for (size_t i = 0; i < COUNTOF(texts); i++) {
		if (strcmp(o->name, texts[i].name) != 0)
			continue;
		if (o->value[0] == '\0')
			return err_fail(
			    ERR_INVAL, "option %s is empty", o->name);
		memcpy((char *)r + texts[i].off, &o->value, sizeof(o->value));
		return OK;
	}
	for (size_t i = 0; i < COUNTOF(numbers); i++) {
		if (strcmp(o->name, numbers[i].name) != 0)
			continue;
		if (!number(o->value, numbers[i].max, &n) || n < numbers[i].min)
			return err_fail(ERR_INVAL, "%s must be %u to %u",
			    o->name, numbers[i].min, numbers[i].max);
		const unsigned v = (unsigned)n;
		memcpy((char *)r + numbers[i].off, &v, sizeof(v));
		return OK;
	}
	if (strcmp(o->name, "cache-uses") == 0) {
		if (!number(o->value, UINT32_MAX, &r->cache_uses))
			return err_fail(
			    ERR_INVAL, "cache-uses must be a number");
		return OK;
	}
	return err_fail(ERR_INVAL,
	    "\"%.64s\" is no option of a remote key service", o->name);
}

/* "kms.eu-west-1.amazonaws.com" */
static void
region_of(const char *url, char ret[static 65])
{
	const char *s = url + strcspn(url, "/");
	size_t n;

	ret[0] = '\0';
	s += strspn(s, "/");
	if (strncmp(s, "kms.", 4) != 0 && strncmp(s, "kms-fips.", 9) != 0)
		return;
	s = strchr(s, '.') + 1;
	n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
	if (n == 0 || n > 64 || strncmp(s + n, ".amazonaws.com", 14) != 0)
		return;
	memcpy(ret, s, n);
	ret[n] = '\0';
}

enum err
remote_conf_parse(const struct provider_conf *c, struct remote_conf *ret)
{
	struct remote_conf r = { .url = c->uri,
		.timeout = 6000,
		.connect = 2000,
		.tries = 4,
		.cache_age = 300 };

	if (strncmp(c->uri, "https://", 8) != 0)
		return err_fail(ERR_INVAL,
		    "a remote key service is https://host[:port]; nothing "
		    "else is spoken");
	for (size_t i = 0; i < c->nopt; i++)
		TRY(take(&r, &c->opt[i]));
	if (r.profile != NULL && strlen(r.profile) > 128)
		return err_fail(ERR_INVAL, "the profile's name is too long");
	if (r.region != NULL &&
	    (strlen(r.region) > 64 ||
		strspn(r.region, "abcdefghijklmnopqrstuvwxyz0123456789-") !=
		    strlen(r.region)))
		return err_fail(ERR_INVAL, "a malformed region");
	region_of(c->uri, r.host_region);
	*ret = r;
	return OK;
}
