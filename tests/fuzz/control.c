/*
 * Requests and answers of the mount's control socket: printed again and read
 * again they are the same.
 *
 * Input, first byte even: a request; odd: a line of an answer.
 */
#include "lib/base/control.h"

#include "tests/fuzz/fuzz.h"

static void
same_request(const struct control_req *a, const struct control_req *b)
{
	HOLDS(a->op == b->op && a->has_text == b->has_text);
	HOLDS(a->keys == b->keys && a->rate == b->rate);
	HOLDS(strcmp(a->name, b->name) == 0 && strcmp(a->text, b->text) == 0);
}

static void
request(const struct feed *f)
{
	uint8_t *p CLEANUP_FREE = exact(f->p, f->len);
	struct buf b CLEANUP_BUF;
	struct control_req r, again;
	const enum err e = control_parse(p, f->len, &r);

	HOLDS(e == OK || e == ERR_PARSE || e == ERR_NOTSUP || e == ERR_LIMIT);
	HOLDS(e == OK || f->len < CONTROL_LINE || e == ERR_LIMIT);
	if (e != OK)
		return;
	HOLDS(f->len < CONTROL_LINE);
	HOLDS(strnlen(r.name, sizeof(r.name)) <= CONTROL_FIELD);
	HOLDS(strnlen(r.text, sizeof(r.text)) <= CONTROL_FIELD);
	/* Never longer than what was read, so that it has room in a line. */
	buf_init(&b, f->len + 1);
	HOLDS(control_print(&b, &r) == OK);
	HOLDS(memchr(b.p, '\n', b.len) == b.p + b.len - 1);
	HOLDS(control_parse(b.p, b.len - 1, &again) == OK);
	same_request(&r, &again);
}

/* ${a} as a line, without the line feed. */
static void
print_answer(struct buf *b, const struct control_answer *a)
{
	static const char *const words[] = { "row", "progress", "bad", "ok",
		"err" };

	HOLDS(buf_put_str(b, words[a->kind]) == OK);
	for (size_t i = 0; a->kind == CONTROL_ROW && i < a->n; i++)
		HOLDS(control_field(b, a->field[i], false) == OK);
	if (a->kind == CONTROL_PROGRESS || a->kind == CONTROL_BAD)
		HOLDS(buf_printf(b, " %llu %llu", (unsigned long long)a->num[0],
			  (unsigned long long)a->num[1]) == OK);
	if (a->kind == CONTROL_BAD || a->kind == CONTROL_ERR) {
		HOLDS(control_field(b, err_name(a->e), false) == OK);
		HOLDS(control_field(b, a->text, true) == OK);
	}
}

static void
same_answer(const struct control_answer *a, const struct control_answer *b)
{
	HOLDS(a->kind == b->kind && a->n == b->n && a->e == b->e);
	HOLDS(a->num[0] == b->num[0] && a->num[1] == b->num[1]);
	HOLDS((a->text == NULL) == (b->text == NULL));
	HOLDS(a->text == NULL || strcmp(a->text, b->text) == 0);
	for (size_t i = 0; a->kind == CONTROL_ROW && i < a->n; i++)
		HOLDS(strcmp(a->field[i], b->field[i]) == 0);
}

static void
answer(struct feed *f)
{
	char *line CLEANUP_FREE = malloc(f->len + 1);
	struct control_answer a, again;
	struct buf b CLEANUP_BUF;
	const size_t len = f->len;

	HOLDS(line != NULL);
	feed_bytes(f, line, len);
	line[len] = '\0';
	const enum err e = control_answer_parse(line, len, &a);

	HOLDS(e == OK || e == ERR_PARSE);
	if (e != OK)
		return;
	HOLDS(a.n <= CONTROL_FIELDS);
	for (size_t i = 0; i < a.n; i++)
		HOLDS(a.field[i] >= line &&
		      a.field[i] + strlen(a.field[i]) <= line + len);
	buf_init(&b, 4 * len + 64);
	print_answer(&b, &a);
	HOLDS(control_answer_parse((char *)b.p, b.len, &again) == OK);
	same_answer(&a, &again);
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
