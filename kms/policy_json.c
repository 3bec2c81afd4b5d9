/*
 * The reader of policy documents: JSON as RFC 8259 has it, and stricter.
 *
 * It is our own because a fault found later, in the meaning of a document,
 * must still name its line; and because the RAM manuals print documents with
 * comments.  Every limit is a constant of policy.h; recursion goes as deep as
 * POLICY_DEPTH_MAX.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/attrs.h"

#include "kms/name.h"
#include "kms/policy_internal.h"

#define CHUNK_SIZE 8192
#define ALIGN 16

struct chunk {
	struct chunk *next;
	size_t size;
	_Alignas(ALIGN) uint8_t data[];
};

void *
arena_alloc(struct arena *a, size_t size)
{
	void *p;

	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	if (size > a->free || a->head == NULL) {
		const size_t n = size > CHUNK_SIZE ? size : CHUNK_SIZE;
		struct chunk *c = calloc(1, sizeof(*c) + n);

		if (c == NULL)
			return NULL;
		c->next = a->head;
		c->size = n;
		a->head = c;
		a->free = n;
	}
	p = a->head->data + a->head->size - a->free;
	a->free -= size;
	return p;
}

void
arena_release(struct arena *a)
{

	while (a->head != NULL) {
		struct chunk *next = a->head->next;

		free(a->head);
		a->head = next;
	}
	a->free = 0;
}

static unsigned
column(const struct reader *r)
{

	return (unsigned)(r->p - r->line_start) + 1;
}

static enum err PRINTF(3, 4)
    fault(struct reader *r, enum err e, const char *fmt, ...)
{
	va_list ap;

	r->fault.line = r->line;
	r->fault.column = column(r);
	va_start(ap, fmt);
	(void)vsnprintf(r->fault.why, sizeof(r->fault.why), fmt, ap);
	va_end(ap);
	return e;
}

static void
skip_comment(struct reader *r)
{

	if (!r->comments) {
		r->comments = true;
		r->comment_line = r->line;
		r->comment_column = column(r);
	}
	while (r->p < r->end && *r->p != '\n')
		r->p++;
}

static void
skip_space(struct reader *r)
{

	for (; r->p < r->end; r->p++) {
		if (*r->p == '/' && r->end - r->p > 1 && r->p[1] == '/') {
			skip_comment(r);
			if (r->p == r->end)
				return;
		}
		if (*r->p == '\n') {
			r->line++;
			r->line_start = r->p + 1;
		} else if (*r->p != ' ' && *r->p != '\t' && *r->p != '\r') {
			return;
		}
	}
}

/* Four hexadecimal digits; -1 when they are not. */
static int
hex4(const struct reader *r)
{
	int v = 0;

	if (r->end - r->p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		const char c = r->p[i];

		v <<= 4;
		if (c >= '0' && c <= '9')
			v |= c - '0';
		else if (c >= 'a' && c <= 'f')
			v |= c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			v |= c - 'A' + 10;
		else
			return -1;
	}
	return v;
}

static char *
put_utf8(char *to, int c)
{

	if (c < 0x80) {
		*to++ = (char)c;
		return to;
	}
	if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*to++ = (char)(0xe0 | c >> 12);
		} else {
			*to++ = (char)(0xf0 | c >> 18);
			*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*to++ = (char)(0x80 | (c & 0x3f));
	return to;
}

/* What stands behind a backslash. */
static enum err
read_escape(struct reader *r, char **to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	const char *known;
	int c, low;

	if (r->p == r->end)
		return fault(r, ERR_PARSE, "the text ends inside a string");
	known = *r->p == '\0' ? NULL : strchr(from, *r->p);
	if (known != NULL) {
		if (into[known - from] < ' ')
			return fault(
			    r, ERR_PARSE, "a control character in a string");
		*(*to)++ = into[known - from];
		r->p++;
		return OK;
	}
	if (*r->p++ != 'u' || (c = hex4(r)) < 0)
		return fault(r, ERR_PARSE, "an escape that JSON does not know");
	r->p += 4;
	if (c >= 0xd800 && c < 0xdc00 && r->end - r->p > 6 && r->p[0] == '\\' &&
	    r->p[1] == 'u') {
		r->p += 2;
		low = hex4(r);
		if (low < 0xdc00 || low > 0xdfff)
			return fault(r, ERR_PARSE, "half of a surrogate pair");
		r->p += 4;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xd800 && c < 0xe000) {
		return fault(r, ERR_PARSE, "half of a surrogate pair");
	}
	if (c < ' ' || c == 0x7f)
		return fault(r, ERR_PARSE, "a control character in a string");
	*to = put_utf8(*to, c);
	return OK;
}

static enum err
read_string(struct reader *r, const char **ret)
{
	const char *start = ++r->p;
	const char *quote = start;
	char *s, *to;

	/* An escape is never shorter than what it stands for. */
	while (quote < r->end && *quote != '"')
		quote += *quote == '\\' ? 2 : 1;
	if (quote >= r->end)
		return fault(r, ERR_PARSE, "a string without its end");
	if (quote - start > POLICY_STRING_MAX)
		return fault(
		    r, ERR_LIMIT, "a string over %d bytes", POLICY_STRING_MAX);
	s = arena_alloc(r->mem, (size_t)(quote - start) + 1);
	if (s == NULL)
		return ERR_NOMEM;
	to = s;
	while (r->p < quote) {
		const unsigned char c = (unsigned char)*r->p;

		if (c < ' ' || c == 0x7f)
			return fault(
			    r, ERR_PARSE, "a control character in a string");
		if (c == '\\') {
			r->p++;
			TRY(read_escape(r, &to));
		} else {
			*to++ = *r->p++;
		}
	}
	*to = '\0';
	if (!name_utf8_ok(s))
		return fault(r, ERR_PARSE, "a string that is not UTF-8");
	r->p = quote + 1;
	*ret = s;
	return OK;
}

static bool
is_digit(const struct reader *r)
{

	return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

/* Digits, one at least; false when there are none. */
static bool
skip_digits(struct reader *r)
{

	if (!is_digit(r))
		return false;
	while (is_digit(r))
		r->p++;
	return true;
}

static enum err
read_number(struct reader *r, struct node *n)
{
	const char *start = r->p;
	bool good;
	char *s;

	n->type = NODE_NUMBER;
	if (*r->p == '-')
		r->p++;
	good = is_digit(r);
	if (good && *r->p == '0')
		r->p++;
	else
		good = skip_digits(r);
	if (good && r->p < r->end && *r->p == '.') {
		r->p++;
		good = skip_digits(r);
	}
	if (!good || is_digit(r))
		return fault(r, ERR_PARSE, "a number that JSON does not know");
	if (r->p < r->end && (*r->p == 'e' || *r->p == 'E'))
		return fault(r, ERR_PARSE, "a number with an exponent");
	if (r->p - start > POLICY_STRING_MAX)
		return fault(
		    r, ERR_LIMIT, "a number over %d digits", POLICY_STRING_MAX);
	s = arena_alloc(r->mem, (size_t)(r->p - start) + 1);
	if (s == NULL)
		return ERR_NOMEM;
	memcpy(s, start, (size_t)(r->p - start));
	n->text = s;
	return OK;
}

static enum err
read_word(struct reader *r, struct node *n)
{
	static const struct {
		const char *word;
		enum node_type type;
	} words[] = { { "true", NODE_BOOL }, { "false", NODE_BOOL },
		{ "null", NODE_NULL } };

	for (size_t i = 0; i < COUNTOF(words); i++) {
		const size_t len = strlen(words[i].word);

		if ((size_t)(r->end - r->p) >= len &&
		    memcmp(r->p, words[i].word, len) == 0) {
			n->type = words[i].type;
			n->text = words[i].word;
			r->p += len;
			return OK;
		}
	}
	if (*r->p > ' ' && *r->p < 0x7f)
		return fault(
		    r, ERR_PARSE, "\"%c\" where a value is due", *r->p);
	return fault(r, ERR_PARSE, "a byte that is no JSON");
}

static enum err read_value(struct reader *r, struct node *n);

/* "name" : before a member's value. */
static enum err
read_key(struct reader *r, const struct node *object, struct node *n)
{

	if (r->p == r->end || *r->p != '"')
		return fault(r, ERR_PARSE, "a name in quotes is due");
	n->line = r->line;
	n->column = column(r);
	TRY(read_string(r, &n->key));
	for (const struct node *m = object->child; m != n; m = m->next)
		if (strcmp(m->key, n->key) == 0) {
			(void)fault(r, ERR_PARSE, "\"%.64s\" stands here twice",
			    n->key);
			r->fault.column = n->column;
			return ERR_PARSE;
		}
	skip_space(r);
	if (r->p == r->end || *r->p != ':')
		return fault(r, ERR_PARSE, "a colon is due");
	r->p++;
	skip_space(r);
	return OK;
}

static enum err
read_members(struct reader *r, struct node *n)
{
	const char close = n->type == NODE_OBJECT ? '}' : ']';
	struct node **tail = &n->child;

	if (++r->depth > POLICY_DEPTH_MAX)
		return fault(
		    r, ERR_LIMIT, "nested over %d deep", POLICY_DEPTH_MAX);
	r->p++;
	skip_space(r);
	while (r->p == r->end || *r->p != close || n->n > 0) {
		struct node *m = arena_alloc(r->mem, sizeof(*m));

		if (m == NULL)
			return ERR_NOMEM;
		if (++n->n > POLICY_MEMBERS_MAX)
			return fault(r, ERR_LIMIT, "over %d members",
			    POLICY_MEMBERS_MAX);
		*tail = m;
		tail = &m->next;
		if (n->type == NODE_OBJECT)
			TRY(read_key(r, n, m));
		TRY(read_value(r, m));
		skip_space(r);
		if (r->p < r->end && *r->p == close)
			break;
		if (r->p == r->end || *r->p != ',')
			return fault(
			    r, ERR_PARSE, "a comma or \"%c\" is due", close);
		r->p++;
		skip_space(r);
	}
	r->p++;
	r->depth--;
	return OK;
}

static enum err
read_value(struct reader *r, struct node *n)
{

	if (r->p == r->end)
		return fault(
		    r, ERR_PARSE, "the text ends where a value is due");
	if (n->key == NULL) {
		n->line = r->line;
		n->column = column(r);
	}
	switch (*r->p) {
	case '{':
		n->type = NODE_OBJECT;
		return read_members(r, n);
	case '[':
		n->type = NODE_ARRAY;
		return read_members(r, n);
	case '"':
		n->type = NODE_STRING;
		return read_string(r, &n->text);
	default:
		if (*r->p == '-' || is_digit(r))
			return read_number(r, n);
		return read_word(r, n);
	}
}

enum err
json_read(struct reader *r, const char *text, size_t len, struct node **ret)
{
	struct node *n = arena_alloc(r->mem, sizeof(*n));

	if (n == NULL)
		return ERR_NOMEM;
	r->p = r->line_start = text;
	r->end = text + len;
	r->line = 1;
	if (len > POLICY_TEXT_MAX)
		return fault(
		    r, ERR_LIMIT, "a document over %d bytes", POLICY_TEXT_MAX);
	skip_space(r);
	TRY(read_value(r, n));
	skip_space(r);
	if (r->p < r->end)
		return fault(r, ERR_PARSE, "more text after the document");
	*ret = n;
	return OK;
}
