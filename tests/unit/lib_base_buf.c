/* lib/base/buf: ceilings, growth, JSON strings, big-endian fields. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "lib/base/buf.h"

static void
test_grows_to_its_ceiling(void **state UNUSED)
{
	struct buf b CLEANUP_BUF;
	buf_init(&b, 1000);

	assert_null(b.p);
	for (size_t i = 0; i < 1000; i++) {
		const uint8_t c = (uint8_t)i;
		assert_int_equal(buf_put(&b, &c, 1), OK);
		assert_int_equal(b.p[b.len], 0);
	}
	assert_int_equal(buf_put(&b, "x", 1), ERR_LIMIT);
	assert_int_equal(buf_printf(&b, "%d", 1), ERR_LIMIT);
	assert_int_equal(buf_put_json(&b, "x", 1), ERR_LIMIT);
	assert_int_equal(buf_put(&b, "", 0), OK);
	assert_int_equal(b.len, 1000);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(b.p[i], (uint8_t)i);
}

static void
test_refuses_without_change(void **state UNUSED)
{
	struct buf b CLEANUP_BUF;
	buf_init(&b, 8);

	assert_int_equal(buf_put_str(&b, "abc"), OK);
	assert_int_equal(buf_put(&b, "123456", 6), ERR_LIMIT);
	assert_int_equal(buf_put(&b, "1", SIZE_MAX), ERR_LIMIT);
	/* Fails half-way, after the first characters fitted. */
	assert_int_equal(buf_put_json(&b, "123456", 6), ERR_LIMIT);
	assert_string_equal((char *)b.p, "abc");
	assert_int_equal(b.len, 3);
	buf_release(&b);
	assert_int_equal(b.max, 8);
	assert_int_equal(buf_put_json(&b, "1234567", 7), ERR_LIMIT);
	assert_int_equal(b.len, 0);
}

static void
test_no_ceiling_is_no_overflow(void **state UNUSED)
{
	struct buf b CLEANUP_BUF;
	buf_init(&b, SIZE_MAX);

	assert_int_equal(buf_put_str(&b, "abc"), OK);
	assert_int_equal(buf_put(&b, "x", SIZE_MAX - 3), ERR_NOMEM);
	assert_int_equal(buf_put(&b, "x", SIZE_MAX - 2), ERR_LIMIT);
	assert_int_equal(b.len, 3);
}

static void
test_steal(void **state UNUSED)
{
	struct buf b;
	size_t len = 1;

	buf_init(&b, 100);
	assert_null(buf_steal(&b, &len));
	assert_int_equal(len, 0);
	assert_int_equal(buf_printf(&b, "%s-%d", "a", 7), OK);
	uint8_t *p CLEANUP_FREE = buf_steal(&b, &len);
	assert_int_equal(len, 3);
	assert_string_equal((char *)p, "a-7");
	assert_null(b.p);
	buf_release_wiped(&b);
}

static void
check_json(const char *in, size_t len, const char *want)
{
	struct buf b CLEANUP_BUF;

	buf_init(&b, 1000);
	assert_int_equal(buf_put_json(&b, in, len), OK);
	assert_string_equal((char *)b.p, want);
}

static void
test_json(void **state UNUSED)
{
	check_json("", 0, "\"\"");
	check_json("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
	check_json("\b\f\n\r\t\x01\x1f\x7f", 8,
	    "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
	check_json("\0", 1, "\"\\u0000\"");
	/* Whole characters of 2, 3 and 4 bytes stay. */
	check_json("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9,
	    "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
	/* A cut one, a stray tail, an overlong form, a surrogate, too high. */
	check_json("\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	check_json("\x80z", 2, "\"\xef\xbf\xbdz\"");
	check_json("\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	check_json(
	    "\xe0\x80\xaf", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	check_json(
	    "\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	check_json("\xf4\x90\x80\x80", 4,
	    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void
test_fields(void **state UNUSED)
{
	uint8_t p[8];

	put_u64(p, 0x0102030405060708);
	assert_memory_equal(p, "\1\2\3\4\5\6\7\10", 8);
	assert_true(get_u64(p) == 0x0102030405060708);
	assert_int_equal(get_u32(p), 0x01020304);
	assert_int_equal(get_u16(p), 0x0102);
	put_u16(p, 0xfffe);
	put_u32(p + 2, 0xfffefdfc);
	assert_int_equal(get_u16(p), 0xfffe);
	assert_true(get_u32(p + 2) == 0xfffefdfc);
}

static void
test_errors(void **state UNUSED)
{
	for (int i = 0; i < ERR_COUNT_; i++) {
		assert_non_null(err_text((enum err)i));
		assert_non_null(err_name((enum err)i));
	}
	assert_string_equal(err_name(ERR_NOENT), "ERR_NOENT");
	assert_string_equal(err_text((enum err)9999), "unknown error");
	err_clear();
	assert_string_equal(err_detail(ERR_IO), err_text(ERR_IO));
	assert_int_equal(err_fail(ERR_IO, "disk %d", 7), ERR_IO);
	assert_string_equal(err_detail(ERR_IO), "disk 7");
	assert_string_equal(err_detail(ERR_NOENT), err_text(ERR_NOENT));
	/* A sentence may be built on the one before. */
	(void)err_fail(ERR_IO, "mount: %s", err_detail(ERR_IO));
	assert_string_equal(err_detail(ERR_IO), "mount: disk 7");
	(void)err_fail(ERR_IO, "%0600d", 1);
	assert_int_equal(strlen(err_detail(ERR_IO)), 511);
	err_clear();
	assert_string_equal(err_detail(ERR_IO), err_text(ERR_IO));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_to_its_ceiling),
		cmocka_unit_test(test_refuses_without_change),
		cmocka_unit_test(test_no_ceiling_is_no_overflow),
		cmocka_unit_test(test_steal),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
