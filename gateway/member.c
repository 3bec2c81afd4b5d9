#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway/member.h"

#define FAULTS_MAX 10 /* that one answer names */
#define TEXT_MAX ((size_t)32 << 10)
#define QUOTE_MAX 128 /* bytes of a value that it shows */
#define WHERE_MAX 160 /* "tags.3.member.tagKey" */

struct check {
	struct aws_error *err;
	struct buf *text; /* what is wrong, "; " between */
	unsigned faults;
};

/* ---- Patterns --------------------------------------------------------------*/

static bool
is_word(char c)
{
	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || c == '_');
}

static bool
all_in(const char *s, const char *more)
{
	for (; *s != '\0'; s++)
		if (!is_word(*s) && strchr(more, *s) == NULL)
			return (false);
	return (true);
}

static bool
alias_ok(const char *s)
{
	return (all_in(s, ":/-"));
}

static bool
word_ok(const char *s)
{
	return (all_in(s, ""));
}

static bool
principal_ok(const char *s)
{
	return (all_in(s, "+=,.@:/-"));
}

/* U+0020 to U+00FF, and ${more}; ${s} is UTF-8. */
static bool
latin(const char *s, const char *more)
{
	for (; *s != '\0'; s++) {
		const unsigned char c = (unsigned char)*s;

		if (c < 0x20 && strchr(more, c) == NULL)
			return (false);
		/* Two bytes up to 0xc3 make U+0080 to U+00FF. */
		if (c >= 0xc4)
			return (false);
	}
	return (true);
}

static bool
marker_ok(const char *s)
{
	return (latin(s, ""));
}

static bool
policy_ok(const char *s)
{
	return (latin(s, "\t\n\r"));
}

const struct member_pattern
    pattern_alias = { "^[a-zA-Z0-9:/_-]+$", alias_ok },
    pattern_marker = { "[\\u0020-\\u00FF]*", marker_ok },
    pattern_word = { "[\\w]+", word_ok },
    pattern_policy = { "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", policy_ok },
    pattern_principal = { "^[\\w+=,.@:/-]+$", principal_ok };

/* ---- Saying what is wrong --------------------------------------------------*/

/* Characters, not bytes; JSON was UTF-8. */
static size_t
chars(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return (n);
}

/* How much of ${s} is shown: whole characters. */
static int
shown(const char *s)
{
	size_t n = strnlen(s, QUOTE_MAX);

	while (n > 0 && s[n] != '\0' && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return ((int)n);
}

/* "Value 'x' at 'where' failed to satisfy constraint: rule".  ${value} NULL:
 * not shown. */
static enum err
fault(struct check *c, const char *where, const char *value, const char *rule)
{
	if (++c->faults > FAULTS_MAX)
		return (OK);
	if (c->faults > 1)
		TRY(buf_put_str(c->text, "; "));
	TRY(buf_put_str(c->text, "Value "));
	if (value != NULL)
		TRY(buf_printf(c->text, "'%.*s' ", shown(value), value));
	return (buf_printf(c->text,
	    "at '%s' failed to satisfy constraint: Member must %s", where,
	    rule));
}

static enum err
wrong_type(struct check *c, const char *where, const char *want)
{
	return (aws_fail(c->err, ERR_INVAL, AWS_SERIALIZATION,
	    "Value at '%s' cannot be converted to %s", where, want));
}

/* The name as AWS shows it: with a small first letter. */
static void
place(char ret[static WHERE_MAX], const char *above, const char *name)
{
	const char first = name[0];
	const char small =
	    first >= 'A' && first <= 'Z' ? (char)(first + 32) : first;

	(void)snprintf(ret, WHERE_MAX, "%s%s%c%s", above,
	    above[0] != '\0' ? "." : "", small, name + 1);
}

/* ---- Values ----------------------------------------------------------------*/

static enum err
length(struct check *c, const struct member *m, const char *where,
    const char *value, uint64_t n)
{
	char rule[96];

	if (n < m->min) {
		(void)snprintf(rule, sizeof(rule),
		    "have length greater than or equal to %" PRIu32, m->min);
		return (fault(c, where, value, rule));
	}
	if (m->max != 0 && n > m->max) {
		(void)snprintf(rule, sizeof(rule),
		    "have length less than or equal to %" PRIu32, m->max);
		return (fault(c, where, value, rule));
	}
	return (OK);
}

static enum err
in_set(struct check *c, const struct member *m, const char *where,
    const char *value)
{
	struct buf rule CLEANUP_BUF;

	buf_init(&rule, AWS_TEXT_MAX);
	TRY(buf_put_str(&rule, "satisfy enum value set: ["));
	for (size_t i = 0; m->set[i] != NULL; i++) {
		if (strcmp(m->set[i], value) == 0)
			return (OK);
		TRY(buf_printf(&rule, "%s%s", i > 0 ? ", " : "", m->set[i]));
	}
	TRY(buf_put_str(&rule, "]"));
	return (fault(c, where, value, (const char *)rule.p));
}

static enum err
check_str(struct check *c, const struct member *m, const char *where,
    const struct jval *v)
{
	const char *s = jval_text(v);
	char rule[128];

	if (s == NULL)
		return (wrong_type(c, where, "a string"));
	if (m->set != NULL)
		return (in_set(c, m, where, s));
	TRY(length(c, m, where, s, chars(s)));
	if (m->pattern == NULL || m->pattern->ok(s))
		return (OK);
	(void)snprintf(rule, sizeof(rule),
	    "satisfy regular expression pattern: %s", m->pattern->text);
	return (fault(c, where, s, rule));
}

/* Strict base64 by its form; the bytes are decoded by who uses them. */
static enum err
check_blob(struct check *c, const struct member *m, const char *where,
    const struct jval *v)
{
	const char *s = jval_text(v);
	size_t len = 0, pad = 0;

	if (s == NULL)
		return (wrong_type(c, where, "a blob"));
	len = strlen(s);
	while (pad < 2 && pad < len && s[len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < len - pad; i++)
		if (s[i] == '_' ||
		    (!is_word(s[i]) && s[i] != '+' && s[i] != '/'))
			return (wrong_type(c, where, "a blob"));
	if (len % 4 != 0)
		return (wrong_type(c, where, "a blob"));
	return (length(c, m, where, NULL, len / 4 * 3 - pad));
}

static enum err
check_int(struct check *c, const struct member *m, const char *where,
    const struct jval *obj)
{
	char value[24], rule[96];
	int64_t n = 0;

	if (jval_get_i64(obj, m->name, &n) != OK)
		return (wrong_type(c, where, "an integer"));
	(void)snprintf(value, sizeof(value), "%" PRId64, n);
	if (n < (int64_t)m->min) {
		(void)snprintf(rule, sizeof(rule),
		    "have value greater than or equal to %" PRIu32, m->min);
		return (fault(c, where, value, rule));
	}
	if (n > (int64_t)m->max) {
		(void)snprintf(rule, sizeof(rule),
		    "have value less than or equal to %" PRIu32, m->max);
		return (fault(c, where, value, rule));
	}
	return (OK);
}

struct map_walk {
	struct check *c;
	const char *where;
};

static enum err
map_one(void *arg, const char *name UNUSED, const struct jval *value)
{
	const struct map_walk *w = arg;

	if (jval_type(value) != JTYPE_STR)
		return (wrong_type(w->c, w->where, "a map of strings"));
	return (OK);
}

static enum err
check_map(struct check *c, const char *where, const struct jval *v)
{
	struct map_walk w = { .c = c, .where = where };

	if (jval_type(v) != JTYPE_OBJECT)
		return (wrong_type(c, where, "a map"));
	return (jval_each(v, map_one, &w));
}

static enum err check_members(struct check *c, const char *above,
    const struct jval *obj, const struct member *table);

static enum err
check_list(struct check *c, const struct member *m, const char *where,
    const struct jval *v)
{
	if (jval_type(v) != JTYPE_ARRAY)
		return (wrong_type(c, where, "a list"));
	TRY(length(c, m, where, NULL, jval_count(v)));
	for (size_t i = 0; i < jval_count(v); i++) {
		char at[WHERE_MAX];

		(void)snprintf(
		    at, sizeof(at), "%.100s.%zu.member", where, i + 1);
		if (m->type == MEMBER_STRS)
			TRY(check_str(c, m->of, at, jval_at(v, i)));
		else if (jval_type(jval_at(v, i)) != JTYPE_OBJECT)
			return (wrong_type(c, at, "a structure"));
		else
			TRY(check_members(c, at, jval_at(v, i), m->of));
	}
	return (OK);
}

static enum err
check_one(struct check *c, const struct member *m, const char *where,
    const struct jval *obj, const struct jval *v)
{
	int64_t t = 0;

	switch (m->type) {
	case MEMBER_STR:
		return (check_str(c, m, where, v));
	case MEMBER_BLOB:
		return (check_blob(c, m, where, v));
	case MEMBER_INT:
		return (check_int(c, m, where, obj));
	case MEMBER_BOOL:
		return (jval_type(v) == JTYPE_BOOL
			    ? OK
			    : wrong_type(c, where, "a boolean"));
	case MEMBER_TIME:
		return (jval_get_time(obj, m->name, &t) == OK
			    ? OK
			    : wrong_type(c, where, "a timestamp"));
	case MEMBER_MAP:
		return (check_map(c, where, v));
	case MEMBER_STRS:
	case MEMBER_LIST:
		return (check_list(c, m, where, v));
	case MEMBER_OBJECT:
		if (jval_type(v) != JTYPE_OBJECT)
			return (wrong_type(c, where, "a structure"));
		return (check_members(c, where, v, m->of));
	}
	return (ERR_INTERNAL);
}

/* A member that is null is one that is not there. */
static enum err
check_members(struct check *c, const char *above, const struct jval *obj,
    const struct member *table)
{
	for (const struct member *m = table; m->name != NULL; m++) {
		const struct jval *v = jval_member(obj, m->name);
		char where[WHERE_MAX];

		place(where, above, m->name);
		if (v != NULL && jval_type(v) != JTYPE_NULL)
			TRY(check_one(c, m, where, obj, v));
		else if (m->required)
			TRY(fault(c, where, NULL, "not be null"));
	}
	return (OK);
}

enum err
member_check(
    const struct jval *in, const struct member *table, struct aws_error *err)
{
	struct buf text CLEANUP_BUF;
	struct check c = { .err = err, .text = &text };

	/* FAULTS_MAX of them fit. */
	buf_init(&text, TEXT_MAX);
	TRY(check_members(&c, "", in, table));
	if (c.faults == 0)
		return (OK);
	return (aws_fail(err, ERR_INVAL, AWS_VALIDATION,
	    "%u validation error%s detected: %s", c.faults,
	    c.faults == 1 ? "" : "s", (const char *)text.p));
}
