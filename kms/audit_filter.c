/*
 * Choosing records, by the text of their lines.
 *
 * The members of a line stand in one order (audit_line.c), and within a JSON
 * string no quote stands without a backslash.  So what looks like a member at
 * the place of that member is it, and nothing need be parsed; the encryption
 * context, whose members have names of others' choosing, is passed over.
 */
#include <string.h>

#include "kms/audit.h"
#include "lib/base/attrs.h"

#define CONTEXT ",\"requestParameters\":"

struct span {
	const char *p, *end;
};

/* Behind the first ${text} in ${s}; NULL: it is not there. */
static const char *
behind(const struct span *s, const char *text)
{
	const size_t len = strlen(text);
	const char *p = memmem(s->p, (size_t)(s->end - s->p), text, len);

	return p == NULL ? NULL : p + len;
}

/* Is the string at ${p}, just behind its first quote, ${want}? */
static bool
string_is(const struct span *s, const char *p, const char *want)
{
	const size_t len = strlen(want);

	return p != NULL && (size_t)(s->end - p) > len &&
	       memcmp(p, want, len) == 0 && p[len] == '"';
}

static bool
time_fits(const struct audit_filter *f, const struct span *s, const char *p)
{

	if (f->since[0] == '\0' && f->until[0] == '\0')
		return true;
	if (p == NULL || (size_t)(s->end - p) < AUDIT_TIME_LEN)
		return false;
	return (f->since[0] == '\0' ||
		   memcmp(p, f->since, AUDIT_TIME_LEN) >= 0) &&
	       (f->until[0] == '\0' || memcmp(p, f->until, AUDIT_TIME_LEN) < 0);
}

/* Does the string that begins at ${p} end in /${id}? */
static bool
ends_in(const struct span *s, const char *p, const char *id)
{
	const char *q = memchr(p, '"', (size_t)(s->end - p));
	const size_t len = strlen(id);

	return q != NULL && (size_t)(q - p) > len &&
	       q[-1 - (ptrdiff_t)len] == '/' && memcmp(q - len, id, len) == 0;
}

static bool
key_fits(const struct span *params, const char *key)
{
	static const char *const first[] = { "{\"keyId\":\"",
		"{\"targetKeyId\":\"", "{\"destinationKeyId\":\"",
		"{\"aliasName\":\"" };
	struct span s = *params;
	const char *p = behind(params, CONTEXT);

	/* The name that the caller used stands first. */
	for (size_t i = 0; p != NULL && i < COUNTOF(first); i++) {
		const size_t len = strlen(first[i]);

		if ((size_t)(s.end - p) > len &&
		    memcmp(p, first[i], len) == 0 &&
		    string_is(params, p + len, key))
			return true;
	}
	s.p = behind(&s, ",\"resources\":[");
	while (s.p != NULL && (s.p = behind(&s, "{\"ARN\":\"")) != NULL)
		if (string_is(&s, s.p, key) || ends_in(&s, s.p, key))
			return true;
	return false;
}

bool
audit_filter_match(const struct audit_filter *f, const char *line, size_t len)
{
	struct span head = { line, line + len }, params = head;
	const char *p = memmem(line, len, CONTEXT, sizeof(CONTEXT) - 1);

	if (p != NULL)
		head.end = params.p = p;
	return time_fits(f, &head, behind(&head, ",\"eventTime\":\"")) &&
	       (f->user == NULL ||
		   string_is(
		       &head, behind(&head, ",\"userName\":\""), f->user)) &&
	       (f->event == NULL ||
		   string_is(
		       &head, behind(&head, ",\"eventName\":\""), f->event)) &&
	       (!f->denied || behind(&head, ",\"errorCode\":\"") != NULL) &&
	       (f->key == NULL || key_fits(&params, f->key));
}
