/*
 * Members of a record.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"

#include "kms/params.h"

/* The member ${text}, unless ${e} or its length is against it. */
static void
add(struct params *p, enum err e, const struct buf *text)
{
	const size_t comma = p->len > 0;

	if (e != OK || p->len + comma + text->len >= sizeof(p->text))
		return;
	if (comma != 0)
		p->text[p->len++] = ',';
	memcpy(p->text + p->len, text->p, text->len);
	p->len += text->len;
	p->text[p->len] = '\0';
}

static enum err
quoted(struct buf *b, const char *s)
{

	return buf_put_json(b, s, strnlen(s, PARAMS_MAX));
}

static enum err
named(struct buf *b, const char *name)
{

	return buf_printf(b, "\"%s\":", name);
}

void
params_str(struct params *p, const char *name, const char *value)
{
	struct buf b CLEANUP_BUF = { 0 };

	if (value == NULL)
		return;
	buf_init(&b, PARAMS_MAX);
	enum err e = named(&b, name);

	if (e == OK)
		e = quoted(&b, value);
	add(p, e, &b);
}

/* Without a heap: data-key calls have one. */
void
params_number(struct params *p, const char *name, uint64_t value)
{
	const size_t room = sizeof(p->text) - p->len;
	const int n = snprintf(p->text + p->len, room, "%s\"%s\":%" PRIu64,
	    p->len > 0 ? "," : "", name, value);

	if (n > 0 && (size_t)n < room)
		p->len += (size_t)n;
	p->text[p->len] = '\0';
}

void
params_bool(struct params *p, const char *name, bool value)
{
	struct buf b CLEANUP_BUF = { 0 };

	buf_init(&b, PARAMS_MAX);
	add(p, buf_printf(&b, "\"%s\":%s", name, value ? "true" : "false"), &b);
}

static enum err
strs(struct buf *b, const char *name, const char *const *values, size_t n)
{

	TRY(named(b, name));
	for (size_t i = 0; i < n; i++) {
		TRY(buf_put_str(b, i == 0 ? "[" : ","));
		TRY(quoted(b, values[i]));
	}
	return buf_put_str(b, n == 0 ? "[]" : "]");
}

void
params_strs(
    struct params *p, const char *name, const char *const *values, size_t n)
{
	struct buf b CLEANUP_BUF = { 0 };

	buf_init(&b, PARAMS_MAX);
	add(p, strs(&b, name, values, n), &b);
}

static enum err
object(struct buf *b, const char *name, const struct kms_pair *pairs, size_t n)
{

	TRY(named(b, name));
	for (size_t i = 0; i < n; i++) {
		if (pairs[i].key == NULL || pairs[i].value == NULL)
			return ERR_INVAL;
		TRY(buf_put_str(b, i == 0 ? "{" : ","));
		TRY(quoted(b, pairs[i].key));
		TRY(buf_put_str(b, ":"));
		TRY(quoted(b, pairs[i].value));
	}
	return buf_put_str(b, n == 0 ? "{}" : "}");
}

void
params_pairs(
    struct params *p, const char *name, const struct kms_pair *pairs, size_t n)
{
	struct buf b CLEANUP_BUF = { 0 };

	if (n == 0)
		return;
	buf_init(&b, PARAMS_MAX);
	add(p, object(&b, name, pairs, n), &b);
}

static enum err
inside(struct buf *b, const char *name, const char *inner,
    const struct kms_pair *pairs, size_t n)
{

	TRY(named(b, name));
	TRY(buf_put_str(b, "{"));
	TRY(object(b, inner, pairs, n));
	return buf_put_str(b, "}");
}

void
params_inner(struct params *p, const char *name, const char *inner,
    const struct kms_pair *pairs, size_t n)
{
	struct buf b CLEANUP_BUF = { 0 };

	buf_init(&b, PARAMS_MAX);
	add(p, inside(&b, name, inner, pairs, n), &b);
}

static enum err
list(struct buf *b, const char *name, const struct kms_tag *tags, size_t n)
{

	TRY(named(b, name));
	for (size_t i = 0; i < n; i++) {
		TRY(buf_put_str(b, i == 0 ? "[" : ","));
		TRY(buf_put_str(b, "{\"tagKey\":"));
		TRY(quoted(b, tags[i].name));
		TRY(buf_put_str(b, ",\"tagValue\":"));
		TRY(quoted(b, tags[i].value));
		TRY(buf_put_str(b, "}"));
	}
	return buf_put_str(b, "]");
}

void
params_tags(
    struct params *p, const char *name, const struct kms_tag *tags, size_t n)
{
	struct buf b CLEANUP_BUF = { 0 };

	if (n == 0)
		return;
	buf_init(&b, PARAMS_MAX);
	add(p, list(&b, name, tags, n), &b);
}
