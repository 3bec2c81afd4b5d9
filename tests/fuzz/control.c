/*
 * What a mount and the tools say to each other.
 *
 * Input, first byte even: a request; what was understood can be printed and is
 * then understood alike.  Odd: a line of an answer.
 */
#include "lib/base/control.h"

#include "tests/fuzz/fuzz.h"

static void
request(const struct feed *f)
{
	uint8_t *line CLEANUP_FREE = exact(f->p, f->len);
	struct buf b CLEANUP_BUF;
	struct control_req r, again;
	const enum err e = control_parse(line, f->len, &r);

	buf_init(&b, (size_t)2 * CONTROL_LINE);
	HOLDS(e == OK || e == ERR_PARSE || e == ERR_NOTSUP || e == ERR_LIMIT);
	if (e != OK)
		return;
	HOLDS(strnlen(r.name, sizeof(r.name)) <= CONTROL_FIELD);
	HOLDS(strnlen(r.text, sizeof(r.text)) <= CONTROL_FIELD);
	HOLDS(control_print(&b, &r) == OK && b.len <= CONTROL_LINE);
	HOLDS(memchr(b.p, '\n', b.len) == b.p + b.len - 1);
	HOLDS(control_parse(b.p, b.len - 1, &again) == OK);
	HOLDS(again.op == r.op && again.has_text == r.has_text);
	HOLDS(again.has_who == r.has_who);
	HOLDS(strcmp(again.tenant, r.tenant) == 0);
	HOLDS(strcmp(again.user, r.user) == 0);
	HOLDS(again.keys == r.keys && again.rate == r.rate);
	HOLDS(strcmp(again.name, r.name) == 0);
	HOLDS(strcmp(again.text, r.text) == 0);
}

static void
answer(struct feed *f)
{
	const size_t len = f->len;
	char *line CLEANUP_FREE = malloc(len + 1);
	struct control_answer a;
	enum err e;

	HOLDS(line != NULL);
	feed_bytes(f, line, len);
	line[len] = '\0';
	e = control_answer_parse(line, len, &a);
	HOLDS(e == OK || e == ERR_PARSE);
	if (e != OK)
		return;
	HOLDS(a.n <= CONTROL_FIELDS);
	for (size_t i = 0; i < a.n; i++)
		HOLDS(a.field[i] >= line &&
		      a.field[i] + strlen(a.field[i]) <= line + len);
	if (a.kind == CONTROL_BAD || a.kind == CONTROL_ERR)
		HOLDS(a.e > OK && a.e < ERR_COUNT_ && a.text != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };

	if (feed_int(&f, 1) % 2 == 0)
		request(&f);
	else
		answer(&f);
	return (0);
}
