/* lib/base/control, as the mount and the tools use it: requests, answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/control.h"

static enum err
parse(const char *s, struct control_req *ret)
{
	return (control_parse((const uint8_t *)s, strlen(s), ret));
}

static void
test_requests(void **state UNUSED)
{
	struct control_req r;

	assert_int_equal(parse("yield", &r), OK);
	assert_int_equal(r.op, CONTROL_YIELD);
	assert_int_equal(parse("yield now", &r), ERR_PARSE);
	assert_int_equal(parse("sync", &r), OK);
	assert_int_equal(r.op, CONTROL_SYNC);
	assert_int_equal(parse("stats", &r), OK);
	assert_int_equal(r.op, CONTROL_STATS);
	assert_int_equal(parse("bucket-ls", &r), OK);
	assert_int_equal(r.op, CONTROL_BUCKET_LS);
	assert_int_equal(parse("bucket-create docs", &r), OK);
	assert_int_equal(r.op, CONTROL_BUCKET_CREATE);
	assert_string_equal(r.name, "docs");
	assert_false(r.has_text);
	assert_int_equal(parse("bucket-create docs KMS:alias/x", &r), OK);
	assert_true(r.has_text);
	assert_string_equal(r.text, "KMS:alias/x");
	assert_int_equal(parse("bucket-rm a%20b%25", &r), OK);
	assert_string_equal(r.name, "a b%");
	assert_int_equal(parse("bucket-rm ", &r), OK);
	assert_string_equal(r.name, "");
	assert_int_equal(parse("encryption-get docs", &r), OK);
	assert_int_equal(parse("encryption-set docs None", &r), OK);
	assert_int_equal(r.op, CONTROL_ENCRYPTION_SET);
	assert_int_equal(parse("scrub 1 18446744073709551615", &r), OK);
	assert_true(r.keys);
	assert_true(r.rate == UINT64_MAX);
	assert_int_equal(parse("key-delete alias/a 7", &r), OK);
	assert_int_equal(r.op, CONTROL_KEY_DELETE);
	assert_string_equal(r.name, "alias/a");
	assert_int_equal(r.rate, 7);
	assert_false(r.has_who);
	assert_int_equal(parse("key-delete k 0 t a%20b", &r), OK);
	assert_true(r.has_who);
	assert_string_equal(r.tenant, "t");
	assert_string_equal(r.user, "a b");
	assert_int_equal(parse("key-usage k", &r), OK);
	assert_int_equal(r.op, CONTROL_KEY_USAGE);
	assert_false(r.has_who);
	assert_int_equal(parse("key-usage k t u", &r), OK);
	assert_true(r.has_who);
	assert_string_equal(r.user, "u");
	assert_int_equal(parse("key-count k", &r), OK);
	assert_int_equal(r.op, CONTROL_KEY_COUNT);
	assert_string_equal(r.name, "k");
	assert_int_equal(parse("rekey 9 ", &r), OK);
	assert_int_equal(r.op, CONTROL_REKEY);
	assert_int_equal(r.rate, 9);
	assert_string_equal(r.name, "");
	assert_int_equal(parse("backup 7 /a%20b", &r), OK);
	assert_int_equal(r.op, CONTROL_BACKUP);
	assert_true(r.rate == 7);
	assert_string_equal(r.name, "/a b");
	assert_int_equal(parse("scrub 0 0", &r), OK);
	assert_false(r.keys);
	assert_true(r.rate == 0);
}

static void
test_refused(void **state UNUSED)
{
	static const char *const bad[] = { "", "sync ", "sync x", "bucket-rm",
		"bucket-rm a b", "bucket-create", "bucket-create a b c",
		"bucket-create a b c d e", "encryption-set a", "encryption-get",
		"key-usage", "key-count", "key-count k t u", "key-delete k",
		"key-delete k x", "key-delete k 1 2", "key-delete k 1 t u v",
		"key-usage k t", "key-usage k t u v", "key-usage k t u v w x",
		"rekey", "rekey 1", "rekey k 1", "backup", "backup 1",
		"backup x /d", "backup 1 /a /b", "scrub", "scrub 1",
		"scrub 2 0", "scrub 1 ", "scrub  1", "scrub 1 -1", "scrub 1 1K",
		"scrub 1 0x10", "scrub 1 18446744073709551616", "scrub 1 0 0",
		"bucket-rm %", "bucket-rm %2", "bucket-rm %00", "bucket-rm %zz",
		"bucket-rm a\tb", "bucket-rm a\x7f" };
	static const char *const unknown[] = { "Sync", "syncs", "sy", " sync",
		"shutdown", "%73ync" };
	struct control_req r;

	memset(&r, 0x5a, sizeof(r));
	const struct control_req before = r;

	for (size_t i = 0; i < COUNTOF(bad); i++)
		assert_int_equal(parse(bad[i], &r), ERR_PARSE);
	for (size_t i = 0; i < COUNTOF(unknown); i++)
		assert_int_equal(parse(unknown[i], &r), ERR_NOTSUP);
	assert_int_equal(
	    control_parse((const uint8_t *)"sync\0x", 6, &r), ERR_PARSE);
	assert_memory_equal(&r, &before, sizeof(r));
}

static void
test_limits(void **state UNUSED)
{
	char line[CONTROL_LINE + 1] = "bucket-rm ";
	const size_t word = strlen(line);
	struct control_req r;

	memset(line + word, 'a', sizeof(line) - word - 1);
	line[word + CONTROL_FIELD] = '\0';
	assert_int_equal(parse(line, &r), OK);
	assert_int_equal(strlen(r.name), CONTROL_FIELD);
	line[word + CONTROL_FIELD] = 'a';
	line[word + CONTROL_FIELD + 1] = '\0';
	assert_int_equal(parse(line, &r), ERR_LIMIT);
	assert_int_equal(
	    control_parse((const uint8_t *)line, CONTROL_LINE, &r), ERR_LIMIT);
	assert_int_equal(control_set(r.name, line + word), ERR_NAMETOOLONG);
}

/* What one side prints the other one reads. */
static void
same(const struct control_req *in)
{
	struct buf b CLEANUP_BUF;
	struct control_req out;

	buf_init(&b, (size_t)2 * CONTROL_LINE);
	assert_int_equal(control_print(&b, in), OK);
	assert_true(b.len >= 2 && b.len <= CONTROL_LINE);
	assert_int_equal(b.p[b.len - 1], '\n');
	assert_null(memchr(b.p, '\n', b.len - 1));
	assert_int_equal(control_parse(b.p, b.len - 1, &out), OK);
	assert_int_equal(out.op, in->op);
	assert_string_equal(out.name, in->name);
	assert_string_equal(out.text, in->text);
	assert_int_equal(out.has_text, in->has_text);
	assert_int_equal(out.has_who, in->has_who);
	assert_string_equal(out.tenant, in->tenant);
	assert_string_equal(out.user, in->user);
	assert_int_equal(out.keys, in->keys);
	assert_true(out.rate == in->rate);
}

static void
test_round(void **state UNUSED)
{
	struct control_req r = {
		.op = CONTROL_SCRUB, .keys = true, .rate = 123456789
	};

	same(&r);
	r = (struct control_req){ .op = CONTROL_BUCKET_CREATE };
	for (int i = 0; i < 255; i++)
		r.name[i] = (char)(i + 1);
	same(&r);
	r.has_text = true;
	same(&r);
	memset(r.name, '%', CONTROL_FIELD);
	memset(r.text, ' ', CONTROL_FIELD);
	same(&r);
	r.op = CONTROL_ENCRYPTION_SET;
	same(&r);
	r = (struct control_req){ .op = CONTROL_KEY_DELETE,
		.rate = 9,
		.name = "alias/a",
		.has_who = true,
		.tenant = "t",
		.user = "a b%" };
	same(&r);
	r.op = CONTROL_KEY_USAGE;
	r.rate = 0;
	same(&r);
}

static enum err
answer(char *line, const char *s, struct control_answer *ret)
{
	memcpy(line, s, strlen(s) + 1);
	return (control_answer_parse(line, strlen(s), ret));
}

static void
test_answers(void **state UNUSED)
{
	struct control_answer a;
	char line[CONTROL_LINE];

	assert_int_equal(answer(line, "ok", &a), OK);
	assert_int_equal(a.kind, CONTROL_OK);
	assert_int_equal(answer(line, "row docs KMS:a%20b", &a), OK);
	assert_int_equal(a.kind, CONTROL_ROW);
	assert_int_equal(a.n, 2);
	assert_string_equal(a.field[0], "docs");
	assert_string_equal(a.field[1], "KMS:a b");
	assert_int_equal(answer(line, "progress 10 20", &a), OK);
	assert_int_equal(a.kind, CONTROL_PROGRESS);
	assert_true(a.num[0] == 10 && a.num[1] == 20);
	assert_int_equal(answer(line, "bad 7 4096 ERR_AUTH a b%25", &a), OK);
	assert_int_equal(a.kind, CONTROL_BAD);
	assert_true(a.num[0] == 7 && a.num[1] == 4096);
	assert_int_equal(a.e, ERR_AUTH);
	assert_string_equal(a.text, "a b%");
	assert_int_equal(answer(line, "err ERR_NOENT no such", &a), OK);
	assert_int_equal(a.kind, CONTROL_ERR);
	assert_int_equal(a.e, ERR_NOENT);
	assert_string_equal(a.text, "no such");
	/* Of a newer mount. */
	assert_int_equal(answer(line, "err ERR_LATER so", &a), OK);
	assert_int_equal(a.e, ERR_INTERNAL);
}

static void
test_answers_refused(void **state UNUSED)
{
	static const char *const bad[] = { "", "ok ", "ok x", "OK", "progress",
		"progress 1", "progress 1 x", "progress 1 2 3", "progress  1",
		"bad 1 2 ERR_IO", "bad x 2 ERR_IO t", "bad 1 y ERR_IO t", "err",
		"err ERR_IO", "row %", "row %0", "row a\tb" };
	struct control_answer a;
	char line[CONTROL_LINE];

	for (size_t i = 0; i < COUNTOF(bad); i++)
		assert_int_equal(answer(line, bad[i], &a), ERR_PARSE);
	memcpy(line, "ok\0x", 5);
	assert_int_equal(control_answer_parse(line, 4, &a), ERR_PARSE);
}

/* Every error can be told, in any text. */
static void
test_errors(void **state UNUSED)
{
	for (int e = OK + 1; e < ERR_COUNT_; e++) {
		struct buf b CLEANUP_BUF;
		struct control_answer a;

		buf_init(&b, CONTROL_LINE);
		assert_int_equal(
		    buf_printf(&b, "err %s", err_name((enum err)e)), OK);
		assert_int_equal(
		    control_field(&b, "a \n\t%\x7f\xff b", true), OK);
		assert_int_equal(
		    control_answer_parse((char *)b.p, b.len, &a), OK);
		assert_int_equal(a.e, e);
		assert_string_equal(a.text, "a \n\t%\x7f\xff b");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_answers_refused),
		cmocka_unit_test(test_errors),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
