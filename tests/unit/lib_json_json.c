/* lib/json: what the reader takes and refuses, its getters, and the writer. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "lib/json/json.h"

static const struct jlimits wide = { 1 << 20, 32, 1000 };

static enum err
parse(const char *s, const struct jlimits *lim)
{
	struct jdoc *d CLEANUP_JDOC = NULL;

	return jdoc_parse(s, strlen(s), lim, &d);
}

static struct jdoc *
doc(const char *s)
{
	struct jdoc *d = NULL;

	assert_int_equal(jdoc_parse(s, strlen(s), &wide, &d), OK);
	return d;
}

static void
test_strict(void **state UNUSED)
{
	static const char *const good[] = { "{}", "[]", " {\"a\" : 1}\r\n\t",
		"[1, -1.5e3, true, false, null, \"\\u00e9\\ud83d\\ude00\"]",
		"{\"a\":{\"a\":1}}", "[\"\xc3\xa9\"]",
		"[9223372036854775807]" };
	static const char *const bad[] = { "", " ", "1", "\"a\"", "null", "{",
		"}", "[1,]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "{'a':1}",
		"{\"a\":1}x", "{} {}", "[1] 2", "[01]", "[+1]", "[.5]", "[1.]",
		"[NaN]", "[Infinity]", "[tru]", "[nulll]", "// c\n[]",
		"\xef\xbb\xbf[]", "{\"a\":1,\"a\":2}",
		"{\"a\":1,\"\\u0061\":2}", "[\"\\u0000\"]", "{\"\\u0000\":1}",
		"[\"\xff\"]", "[\"\xc0\x80\"]", "[\"\xed\xa0\x80\"]",
		"[\"\\ud800\"]", "[\"\\udc00\"]", "[\"a\nb\"]", "[\"\\x\"]",
		"[\"", "[\"\\", "[\"\\\"]", "[9223372036854775808]", "[1e999]",
		"[1" };

	for (size_t i = 0; i < COUNTOF(good); i++)
		if (parse(good[i], &wide) != OK)
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < COUNTOF(bad); i++)
		if (parse(bad[i], &wide) != ERR_PARSE)
			fail_msg("not refused: %s", bad[i]);
}

/* A NUL ends no text. */
static void
test_nul(void **state UNUSED)
{
	struct jdoc *d CLEANUP_JDOC = NULL;

	assert_int_equal(jdoc_parse("[]\0", 3, &wide, &d), ERR_PARSE);
	assert_int_equal(jdoc_parse("\0[]", 3, &wide, &d), ERR_PARSE);
	assert_int_equal(jdoc_parse("[\"a\0b\"]", 7, &wide, &d), ERR_PARSE);
	assert_null(d);
}

/* Each limit holds to the unit, and brackets in strings are no brackets. */
static void
test_limits(void **state UNUSED)
{
	static const struct {
		const char *text;
		unsigned depth;
		size_t values;
	} cases[] = { { "{}", 1, 1 }, { "[ ]", 1, 1 }, { "[1]", 1, 2 },
		{ "[[],{}]", 2, 3 }, { "{\"a\":{\"b\":[1,2]}}", 3, 5 },
		{ "[\"[[[{,,,\", \"\\\"[,\"]", 1, 3 },
		{ "[[[[[1]]]]]", 5, 6 } };

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		const struct jlimits just = { strlen(cases[i].text),
			cases[i].depth, cases[i].values };
		struct jlimits less = just;

		assert_int_equal(parse(cases[i].text, &just), OK);
		less.bytes--;
		assert_int_equal(parse(cases[i].text, &less), ERR_LIMIT);
		less = just;
		less.depth--;
		assert_int_equal(parse(cases[i].text, &less), ERR_LIMIT);
		less = just;
		less.values--;
		assert_int_equal(parse(cases[i].text, &less), ERR_LIMIT);
	}
}

/* No limit of the caller's lets the reader's own stack overflow. */
static void
test_deep(void **state UNUSED)
{
	static char text[100000];
	const struct jlimits none = { SIZE_MAX, (unsigned)-1, SIZE_MAX };
	struct jdoc *d CLEANUP_JDOC = NULL;

	memset(text, '[', sizeof(text));
	assert_int_equal(jdoc_parse(text, sizeof(text), &none, &d), ERR_LIMIT);
	memset(text + 1024, ']', 1024);
	assert_int_equal(jdoc_parse(text, 2048, &none, &d), OK);
}

static void
test_getters(void **state UNUSED)
{
	struct jdoc *d CLEANUP_JDOC =
	    doc("{\"s\":\"x\",\"i\":-7,\"f\":2.0,\"h\":1.75,\"t\":true,"
		"\"n\":null,\"a\":[1,\"b\"],\"o\":{},\"big\":1e300,"
		"\"b64\":\"Zm9v\",\"no64\":\"Zm9\"}");
	const struct jval *o = jdoc_root(d), *v = NULL;
	const char *s = "as it was";
	uint8_t bytes[4] = { 9, 9, 9, 9 };
	int64_t i = 5;
	size_t n = 5;
	bool t = false;

	assert_int_equal(jval_type(o), JTYPE_OBJECT);
	assert_int_equal(jval_count(o), 11);
	assert_int_equal(jval_get_str(o, "S", &s), ERR_NODATA);
	assert_int_equal(jval_get_str(o, "n", &s), ERR_NODATA);
	assert_int_equal(jval_get_str(o, "i", &s), ERR_PARSE);
	assert_string_equal(err_detail(ERR_PARSE), "i must be a string");
	assert_string_equal(s, "as it was");
	assert_int_equal(jval_get_str(o, "s", &s), OK);
	assert_string_equal(s, "x");

	assert_int_equal(jval_get_i64(o, "h", &i), ERR_PARSE);
	assert_int_equal(jval_get_i64(o, "big", &i), ERR_PARSE);
	assert_int_equal(jval_get_i64(o, "s", &i), ERR_PARSE);
	assert_int_equal(jval_get_i64(o, "none", &i), ERR_NODATA);
	assert_int_equal(i, 5);
	assert_int_equal(jval_get_i64(o, "i", &i), OK);
	assert_int_equal(i, -7);
	assert_int_equal(jval_get_i64(o, "f", &i), OK);
	assert_int_equal(i, 2);
	assert_int_equal(jval_get_time(o, "h", &i), OK);
	assert_int_equal(i, 1);
	assert_int_equal(jval_get_time(o, "big", &i), ERR_PARSE);
	assert_int_equal(jval_get_time(o, "t", &i), ERR_PARSE);

	assert_int_equal(jval_get_bool(o, "i", &t), ERR_PARSE);
	assert_int_equal(jval_get_bool(o, "t", &t), OK);
	assert_true(t);

	assert_int_equal(jval_get_array(o, "o", &v), ERR_PARSE);
	assert_int_equal(jval_get_object(o, "a", &v), ERR_PARSE);
	assert_int_equal(jval_get_object(o, "o", &v), OK);
	assert_int_equal(jval_count(v), 0);
	assert_int_equal(jval_get_array(o, "a", &v), OK);
	assert_int_equal(jval_count(v), 2);
	assert_int_equal(jval_type(jval_at(v, 0)), JTYPE_INT);
	assert_null(jval_text(jval_at(v, 0)));
	assert_string_equal(jval_text(jval_at(v, 1)), "b");
	assert_null(jval_at(v, 2));
	assert_null(jval_member(v, "a"));
	assert_int_equal(jval_get_str(v, "a", &s), ERR_PARSE);

	assert_int_equal(jval_get_b64(o, "no64", bytes, 4, &n), ERR_PARSE);
	assert_int_equal(jval_get_b64(o, "b64", bytes, 2, &n), ERR_LIMIT);
	assert_memory_equal(bytes, "\0\0", 2);
	assert_int_equal(n, 5);
	assert_int_equal(jval_get_b64(o, "b64", bytes, 3, &n), OK);
	assert_int_equal(n, 3);
	assert_memory_equal(bytes, "foo", 3);
}

static enum err
note(void *arg, const char *name, const struct jval *v)
{
	struct buf *b = arg;

	if (strcmp(name, "stop") == 0)
		return ERR_BUSY;
	return buf_printf(b, "%s=%s;", name, jval_text(v));
}

static void
test_each(void **state UNUSED)
{
	struct jdoc *d CLEANUP_JDOC = doc("{\"z\":\"1\",\"a\":\"2\"}");
	struct jdoc *stop CLEANUP_JDOC =
	    doc("{\"z\":\"1\",\"stop\":1,\"a\":\"2\"}");
	struct buf b CLEANUP_BUF = { 0 };

	buf_init(&b, 100);
	assert_int_equal(jval_each(jdoc_root(d), note, &b), OK);
	assert_string_equal((char *)b.p, "z=1;a=2;");
	b.len = 0;
	assert_int_equal(jval_each(jdoc_root(stop), note, &b), ERR_BUSY);
	assert_string_equal((char *)b.p, "z=1;");
}

static void
write_sample(struct jout *j)
{
	uint8_t bytes[400];

	memset(bytes, 'a', sizeof(bytes));
	jout_object(j, NULL);
	jout_str(j, "s", "q\"\n\x01\xff");
	jout_str(j, "null", NULL);
	jout_u64(j, "u", UINT64_MAX);
	jout_array(j, "list");
	jout_i64(j, NULL, INT64_MIN);
	jout_bool(j, NULL, true);
	jout_object(j, NULL);
	jout_close(j, '}');
	jout_close(j, ']');
	jout_iso(j, "t", 0);
	jout_b64(j, "b", bytes, 4);
	jout_b64(j, "none", "", 0);
	jout_raw(j, "raw", "[1]", 3);
	jout_b64(j, "long", bytes, sizeof(bytes));
	jout_close(j, '}');
}

static void
test_writer(void **state UNUSED)
{
	static const char shortest[] =
	    "{\"s\":\"q\\\"\\n\\u0001\xef\xbf\xbd\",\"null\":null,"
	    "\"u\":18446744073709551615,"
	    "\"list\":[-9223372036854775808,true,{}],"
	    "\"t\":\"1970-01-01T00:00:00Z\",\"b\":\"YWFhYQ==\",\"none\":\"\","
	    "\"raw\":[1],\"long\":\"YWFh";
	static const char lines[] =
	    "{\n \"s\": \"q\\\"\\n\\u0001\xef\xbf\xbd\",\n \"null\": null,\n";
	struct buf b CLEANUP_BUF = { 0 };
	struct jdoc *d CLEANUP_JDOC = NULL;
	struct jout j;
	uint8_t bytes[400];
	size_t n = 0;

	buf_init(&b, 10000);
	jout_begin(&j, &b, false);
	write_sample(&j);
	assert_int_equal(j.e, OK);
	assert_memory_equal(b.p, shortest, strlen(shortest));
	/* What has no sign may be too large for the reader. */
	assert_int_equal(jdoc_parse(b.p, b.len, &wide, &d), ERR_PARSE);
	memset(strstr((char *)b.p, "18446744073709551615"), ' ', 2);
	assert_int_equal(jdoc_parse(b.p, b.len, &wide, &d), OK);
	assert_int_equal(
	    jval_get_b64(jdoc_root(d), "long", bytes, 400, &n), OK);
	assert_int_equal(n, 400);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(bytes[i], 'a');

	b.len = 0;
	jout_begin(&j, &b, true);
	write_sample(&j);
	assert_int_equal(j.e, OK);
	assert_memory_equal(b.p, lines, strlen(lines));
	assert_non_null(strstr(
	    (char *)b.p, "\n \"list\": [-9223372036854775808, true, {}],\n"));
	assert_memory_equal(b.p + b.len - 3, "\"\n}", 3);
}

/* Too little room: told, and kept. */
static void
test_writer_room(void **state UNUSED)
{
	struct buf b CLEANUP_BUF = { 0 };
	struct jout j;

	buf_init(&b, 40);
	jout_begin(&j, &b, false);
	write_sample(&j);
	assert_int_equal(j.e, ERR_LIMIT);
	assert_true(b.len <= 40);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_getters),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_writer_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
