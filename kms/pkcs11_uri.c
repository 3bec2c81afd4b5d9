/*
 * PKCS#11 URIs.
 */
#include <string.h>

#include "kms/pkcs11_uri.h"

#define VALUE_MAX PATH_MAX

static enum err
text_set(const char *name, const char *value, char *ret, size_t size)
{

	if (*ret != '\0')
		return err_fail(ERR_INVAL, "%s is given twice", name);
	if (*value == '\0' || strlen(value) >= size)
		return err_fail(
		    ERR_INVAL, "%s must have 1 to %zu bytes", name, size - 1);
	memcpy(ret, value, strlen(value) + 1);
	return OK;
}

static enum err
path_set(const char *name, const char *value, char ret[static PATH_MAX])
{

	if (*value != '/')
		return err_fail(ERR_INVAL, "%s must be an absolute path", name);
	return text_set(name, value, ret, PATH_MAX);
}

static enum err
slot_set(struct p11_uri *u, const char *value)
{
	uint64_t n = 0;

	if (u->has_slot)
		return err_fail(ERR_INVAL, "slot-id is given twice");
	if (*value == '\0' || strlen(value) > 10 ||
	    strspn(value, "0123456789") != strlen(value))
		return err_fail(ERR_INVAL, "slot-id must be a decimal number");
	for (; *value != '\0'; value++)
		n = 10 * n + (uint64_t)(*value - '0');
	u->has_slot = true;
	u->slot = n;
	return OK;
}

static enum err
pin_set(struct p11_uri *u, const char *value)
{

	if (u->pin_file[0] != '\0' || u->pin_credential[0] != '\0')
		return err_fail(ERR_INVAL, "pin-source is given twice");
	if (*value == '|')
		return err_fail(ERR_INVAL,
		    "pin-source: a program is not run for it; name a file or "
		    "credential:NAME");
	if (strncmp(value, "credential:", 11) != 0)
		return path_set("pin-source",
		    strncmp(value, "file:", 5) == 0 ? value + 5 : value,
		    u->pin_file);
	if (strchr(value, '/') != NULL)
		return err_fail(
		    ERR_INVAL, "pin-source: malformed credential name");
	return text_set("pin-source", value + 11, u->pin_credential,
	    sizeof(u->pin_credential));
}

enum err
p11_uri_set(struct p11_uri *u, const char *name, const char *value)
{

	if (strcmp(name, "token") == 0)
		return text_set(name, value, u->token, sizeof(u->token));
	if (strcmp(name, "serial") == 0)
		return text_set(name, value, u->serial, sizeof(u->serial));
	if (strcmp(name, "object") == 0)
		return text_set(name, value, u->object, sizeof(u->object));
	if (strcmp(name, "slot-id") == 0)
		return slot_set(u, value);
	if (strcmp(name, "module-path") == 0)
		return path_set(name, value, u->module);
	if (strcmp(name, "pin-source") == 0)
		return pin_set(u, value);
	if (strcmp(name, "pin-value") == 0)
		return err_fail(ERR_INVAL,
		    "a PIN is not taken from here, where others may read it; "
		    "put it into a file and name that with pin-source");
	return err_fail(ERR_INVAL, "%.32s is not known here", name);
}

static int
hex(char c)
{

	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 7512, pk11-pchar and pk11-qchar without what divides attributes. */
static bool
plain_char(char c, bool query)
{

	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~:[]@!$'()*+,=", c) != NULL) ||
	       c == (query ? '|' : '&') ||
	       (query && c != '\0' && strchr("/?", c) != NULL);
}

static enum err
decode(const char *p, size_t len, bool query, char ret[static VALUE_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = p[i];

		if (c == '%') {
			const int hi = len - i > 2 ? hex(p[i + 1]) : -1;
			const int lo = len - i > 2 ? hex(p[i + 2]) : -1;

			if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
				return err_fail(ERR_INVAL,
				    "malformed percent-encoding in the URI");
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (!plain_char(c, query)) {
			return err_fail(ERR_INVAL,
			    "a character in the URI must be percent-encoded");
		}
		if (n + 1 >= VALUE_MAX)
			return err_fail(ERR_INVAL, "too long a value in the "
						   "URI");
		ret[n++] = c;
	}
	ret[n] = '\0';
	return OK;
}

/* One attribute, NAME=VALUE. */
static enum err
attribute(struct p11_uri *u, const char *p, size_t len, bool query)
{
	static const char *const in_query[] = { "module-path", "pin-source",
		"pin-value" };
	char name[32] = "", value[VALUE_MAX];
	const char *eq = memchr(p, '=', len);
	bool belongs = false;
	size_t n;

	if (eq == NULL || eq == p)
		return err_fail(
		    ERR_INVAL, "the URI consists of attributes NAME=VALUE");
	n = (size_t)(eq - p);
	if (n >= sizeof(name))
		return err_fail(ERR_INVAL, "an unknown attribute in the URI");
	for (size_t i = 0; i < n; i++) {
		if ((p[i] < 'a' || p[i] > 'z') && p[i] != '-')
			return err_fail(
			    ERR_INVAL, "an unknown attribute in the URI");
		name[i] = p[i];
	}
	for (size_t i = 0; i < COUNTOF(in_query); i++)
		belongs = belongs || strcmp(name, in_query[i]) == 0;
	if (belongs != query)
		return err_fail(ERR_INVAL, "%s stands %s the \"?\" of the URI",
		    name, belongs ? "behind" : "before");
	TRY(decode(eq + 1, len - n - 1, query, value));
	return p11_uri_set(u, name, value);
}

static enum err
attributes(struct p11_uri *u, const char *p, size_t len, bool query)
{
	const char *const end = p + len;

	while (p < end) {
		const char *stop =
		    memchr(p, query ? '&' : ';', (size_t)(end - p));
		const size_t n = (size_t)((stop == NULL ? end : stop) - p);

		TRY(attribute(u, p, n, query));
		p += n + 1;
		if (p == end)
			return err_fail(
			    ERR_INVAL, "the URI ends with a divider");
	}
	return OK;
}

enum err
p11_uri_parse(const char *text, struct p11_uri *ret)
{
	const char *p, *query;
	size_t len;

	memset(ret, 0, sizeof(*ret));
	if (*text == '/')
		return path_set("module", text, ret->module);
	if (strncmp(text, "pkcs11:", 7) != 0)
		return err_fail(ERR_INVAL, "not a pkcs11: URI");
	p = text + 7;
	query = strchr(p, '?');
	len = query == NULL ? strlen(p) : (size_t)(query - p);
	TRY(attributes(ret, p, len, false));
	if (query == NULL)
		return OK;
	return attributes(ret, query + 1, strlen(query + 1), true);
}
