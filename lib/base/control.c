#include <string.h>

#include "lib/base/codec.h"
#include "lib/base/control.h"

/* What follows a request's word. */
enum args {
	ARGS_NONE,
	ARGS_NAME,
	ARGS_NAME_MAYBE_TEXT,
	ARGS_NAME_TEXT,
	ARGS_KEY,        /* name, perhaps who */
	ARGS_KEY_NUMBER, /* name, number, perhaps who */
	ARGS_SCRUB,
	ARGS_BACKUP
};

static const struct {
	const char *word;
	enum args args;
} ops[] = {
	[CONTROL_SYNC] = { "sync", ARGS_NONE },
	[CONTROL_STATS] = { "stats", ARGS_NONE },
	[CONTROL_BUCKET_LS] = { "bucket-ls", ARGS_NONE },
	[CONTROL_BUCKET_CREATE] = { "bucket-create", ARGS_NAME_MAYBE_TEXT },
	[CONTROL_BUCKET_RM] = { "bucket-rm", ARGS_NAME },
	[CONTROL_ENCRYPTION_GET] = { "encryption-get", ARGS_NAME },
	[CONTROL_ENCRYPTION_SET] = { "encryption-set", ARGS_NAME_TEXT },
	[CONTROL_SCRUB] = { "scrub", ARGS_SCRUB },
	[CONTROL_BACKUP] = { "backup", ARGS_BACKUP },
	[CONTROL_KEY_USAGE] = { "key-usage", ARGS_KEY },
	[CONTROL_KEY_DELETE] = { "key-delete", ARGS_KEY_NUMBER },
	[CONTROL_KEY_COUNT] = { "key-count", ARGS_NAME },
	[CONTROL_REKEY] = { "rekey", ARGS_BACKUP },
	[CONTROL_YIELD] = { "yield", ARGS_NONE },
};

static const char *const kinds[] = {
	[CONTROL_ROW] = "row",
	[CONTROL_PROGRESS] = "progress",
	[CONTROL_BAD] = "bad",
	[CONTROL_OK] = "ok",
	[CONTROL_ERR] = "err",
};

/* ---- Fields ---------------------------------------------------------------*/

static bool
escaped(char c, bool last)
{
	const unsigned char u = (unsigned char)c;

	return (u == '%' || u == 0x7f || u < 0x20 || (u == 0x20 && !last));
}

enum err
control_field(struct buf *b, const char *s, bool last)
{
	TRY(buf_put_str(b, " "));
	for (; *s != '\0'; s++) {
		char hex[4] = "%";

		if (!escaped(*s, last)) {
			TRY(buf_put(b, s, 1));
			continue;
		}
		hex_encode(s, 1, hex + 1);
		TRY(buf_put(b, hex, 3));
	}
	return (OK);
}

/* Decode ${s} in place. */
static enum err
unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++) {
		uint8_t c = (uint8_t)*s;

		if (c == '%') {
			if (s[1] == '\0' || s[2] == '\0')
				return (ERR_PARSE);
			TRY(hex_decode(s + 1, 2, &c, 1));
			if (c == 0)
				return (ERR_PARSE);
			s += 2;
		} else if (c < 0x20 || c == 0x7f) {
			return (ERR_PARSE);
		}
		*to++ = (char)c;
	}
	*to = '\0';
	return (OK);
}

/* Part ${s} at its spaces into ${max} fields at most; the last one may hold
 * more of them.  How many there are. */
static size_t
split(char *s, size_t max, char **ret)
{
	size_t n = 0;

	for (ret[n++] = s; n < max; ret[n++] = s) {
		s = strchr(s, ' ');
		if (s == NULL)
			break;
		*s++ = '\0';
	}
	return (n);
}

static enum err
number(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (*s == '\0')
		return (ERR_PARSE);
	for (; *s != '\0'; s++) {
		const unsigned digit = (unsigned)((unsigned char)*s - '0');

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return (ERR_PARSE);
		v = v * 10 + digit;
	}
	*ret = v;
	return (OK);
}

enum err
control_set(char dst[static CONTROL_FIELD + 1], const char *s)
{
	const size_t len = strlen(s);

	if (len > CONTROL_FIELD)
		return (ERR_NAMETOOLONG);
	memcpy(dst, s, len + 1);
	return (OK);
}

/* ---- Requests -------------------------------------------------------------*/

static enum err
take(char dst[static CONTROL_FIELD + 1], char *field)
{
	TRY(unescape(field));
	return (control_set(dst, field) == OK ? OK : ERR_LIMIT);
}

/* Nothing, or a tenant and a user. */
static enum err
take_who(struct control_req *r, char **field, size_t n)
{
	r->has_who = n == 2;
	if (n != 0 && n != 2)
		return (ERR_PARSE);
	if (n == 0)
		return (OK);
	TRY(take(r->tenant, field[0]));
	return (take(r->user, field[1]));
}

static enum err
parse_args(struct control_req *r, char **field, size_t n)
{
	uint64_t keys = 0;

	switch (ops[r->op].args) {
	case ARGS_NONE:
		return (n == 0 ? OK : ERR_PARSE);
	case ARGS_NAME:
		if (n != 1)
			return (ERR_PARSE);
		return (take(r->name, field[0]));
	case ARGS_NAME_MAYBE_TEXT:
	case ARGS_NAME_TEXT:
		r->has_text = n == 2;
		if (n != 2 && (n != 1 || ops[r->op].args == ARGS_NAME_TEXT))
			return (ERR_PARSE);
		TRY(take(r->name, field[0]));
		return (r->has_text ? take(r->text, field[1]) : OK);
	case ARGS_KEY:
		if (n < 1)
			return (ERR_PARSE);
		TRY(take(r->name, field[0]));
		return (take_who(r, field + 1, n - 1));
	case ARGS_KEY_NUMBER:
		if (n < 2)
			return (ERR_PARSE);
		TRY(take(r->name, field[0]));
		TRY(number(field[1], &r->rate));
		return (take_who(r, field + 2, n - 2));
	case ARGS_SCRUB:
		if (n != 2 || number(field[0], &keys) != OK || keys > 1)
			return (ERR_PARSE);
		r->keys = keys == 1;
		return (number(field[1], &r->rate));
	case ARGS_BACKUP:
		if (n != 2)
			return (ERR_PARSE);
		TRY(number(field[0], &r->rate));
		return (take(r->name, field[1]));
	}
	return (ERR_INTERNAL);
}

enum err
control_parse(const uint8_t *p, size_t len, struct control_req *ret)
{
	char line[CONTROL_LINE];
	char *field[6];
	struct control_req r = { .has_text = false };
	size_t n;

	if (len >= sizeof(line))
		return (ERR_LIMIT);
	if (len == 0 || memchr(p, '\0', len) != NULL)
		return (ERR_PARSE);
	memcpy(line, p, len);
	line[len] = '\0';
	n = split(line, COUNTOF(field), field);
	for (size_t i = 0; i < COUNTOF(ops); i++) {
		if (strcmp(field[0], ops[i].word) != 0)
			continue;
		r.op = (enum control_op)i;
		TRY(parse_args(&r, field + 1, n - 1));
		*ret = r;
		return (OK);
	}
	return (ERR_NOTSUP);
}

enum err
control_print(struct buf *b, const struct control_req *req)
{
	const enum args args = ops[req->op].args;
	const size_t before = b->len;

	TRY(buf_put_str(b, ops[req->op].word));
	if (args == ARGS_SCRUB)
		TRY(buf_printf(b, " %d %llu", req->keys ? 1 : 0,
		    (unsigned long long)req->rate));
	else if (args == ARGS_BACKUP)
		TRY(buf_printf(b, " %llu", (unsigned long long)req->rate));
	if (args != ARGS_SCRUB && args != ARGS_NONE)
		TRY(control_field(b, req->name, false));
	if (args == ARGS_KEY_NUMBER)
		TRY(buf_printf(b, " %llu", (unsigned long long)req->rate));
	if ((args == ARGS_KEY || args == ARGS_KEY_NUMBER) && req->has_who) {
		TRY(control_field(b, req->tenant, false));
		TRY(control_field(b, req->user, false));
	}
	if (args == ARGS_NAME_TEXT ||
	    (args == ARGS_NAME_MAYBE_TEXT && req->has_text))
		TRY(control_field(b, req->text, false));
	TRY(buf_put_str(b, "\n"));
	return (b->len - before > CONTROL_LINE ? ERR_LIMIT : OK);
}

/* ---- Answers --------------------------------------------------------------*/

static enum err
error_named(const char *name)
{
	for (int e = OK + 1; e < ERR_COUNT_; e++)
		if (strcmp(err_name((enum err)e), name) == 0)
			return ((enum err)e);
	return (ERR_INTERNAL);
}

static enum err
answer_fields(struct control_answer *a, char *rest)
{
	/* How many fields of each kind; the last takes what is left. */
	static const size_t want[] = { [CONTROL_ROW] = CONTROL_FIELDS,
		[CONTROL_PROGRESS] = 2,
		[CONTROL_BAD] = 4,
		[CONTROL_OK] = 0,
		[CONTROL_ERR] = 2 };
	char *field[CONTROL_FIELDS];
	const size_t max = want[a->kind];
	const size_t n = rest == NULL || max == 0 ? 0 : split(rest, max, field);

	if ((max == 0 && rest != NULL) || (a->kind != CONTROL_ROW && n != max))
		return (ERR_PARSE);
	for (size_t i = 0; i < n; i++) {
		TRY(unescape(field[i]));
		a->field[i] = field[i];
	}
	a->n = n;
	if (a->kind == CONTROL_PROGRESS || a->kind == CONTROL_BAD) {
		TRY(number(field[0], &a->num[0]));
		TRY(number(field[1], &a->num[1]));
	}
	if (a->kind == CONTROL_BAD || a->kind == CONTROL_ERR) {
		a->text = field[max - 1];
		a->e = error_named(field[max - 2]);
	}
	return (OK);
}

enum err
control_answer_parse(char *line, size_t len, struct control_answer *ret)
{
	struct control_answer a = { .n = 0 };
	char *rest;

	if (strlen(line) != len)
		return (ERR_PARSE);
	rest = strchr(line, ' ');
	if (rest != NULL)
		*rest++ = '\0';
	for (size_t i = 0; i < COUNTOF(kinds); i++) {
		if (strcmp(line, kinds[i]) != 0)
			continue;
		a.kind = (enum control_kind)i;
		TRY(answer_fields(&a, rest));
		*ret = a;
		return (OK);
	}
	return (ERR_PARSE);
}
