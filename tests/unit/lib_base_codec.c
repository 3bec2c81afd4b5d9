/* lib/base/codec and clock: RFC 4648 vectors, strictness, UUIDs, ISO dates. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/codec.h"

static void
test_hex(void **state UNUSED)
{
	uint8_t out[4] = { 0 };
	char text[9];

	hex_encode("\x00\x7f\xab\xff", 4, text);
	assert_string_equal(text, "007fabff");
	hex_encode("", 0, text);
	assert_string_equal(text, "");
	assert_int_equal(hex_decode("007fABfF", 8, out, 4), OK);
	assert_memory_equal(out, "\x00\x7f\xab\xff", 4);
	assert_int_equal(hex_decode("007fAB", 6, out, 4), ERR_PARSE);
	assert_int_equal(hex_decode("007fABfFF", 9, out, 4), ERR_PARSE);
	assert_int_equal(hex_decode("007fABfg", 8, out, 4), ERR_PARSE);
	assert_int_equal(hex_decode(" 07fABff", 8, out, 4), ERR_PARSE);
}

static void
test_b64_rfc4648(void **state UNUSED)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		const size_t len = strlen(cases[i][0]);
		char text[B64_SIZE(6)];
		uint8_t out[6];
		size_t n = 99;

		b64_encode(cases[i][0], len, text);
		assert_string_equal(text, cases[i][1]);
		assert_int_equal(strlen(text) + 1, B64_SIZE(len));
		assert_int_equal(
		    b64_decode(text, strlen(text), out, len, &n), OK);
		assert_int_equal(n, len);
		assert_memory_equal(out, cases[i][0], len);
		if (len > 0)
			assert_int_equal(
			    b64_decode(text, strlen(text), out, len - 1, &n),
			    ERR_LIMIT);
	}
}

static void
test_b64_strict(void **state UNUSED)
{
	static const char *const bad[] = { "Z", "Zg",
		"Zg=", "Zh==", "Zm9=", "Zg==Zg==", "====", "Z===", "Zm8=\n",
		"Zm 8", "Zg=a", "Zm-_", "=Zg=", "Zm9v=" };
	uint8_t out[64];
	size_t n;

	for (size_t i = 0; i < COUNTOF(bad); i++)
		assert_int_equal(
		    b64_decode(bad[i], strlen(bad[i]), out, sizeof(out), &n),
		    ERR_PARSE);
}

static void
test_b64_all_bytes(void **state UNUSED)
{
	uint8_t in[256], out[256];
	char text[B64_SIZE(256)];
	size_t n;

	for (size_t i = 0; i < 256; i++)
		in[i] = (uint8_t)i;
	b64_encode(in, 256, text);
	assert_int_equal(b64_decode(text, strlen(text), out, 256, &n), OK);
	assert_int_equal(n, 256);
	assert_memory_equal(in, out, 256);
}

static void
test_uuid(void **state UNUSED)
{
	static const char text[] = "00112233-4455-6677-8899-aabbccddeeff";
	static const char *const bad[] = {
		"00112233-4455-6677-8899-aabbccddeef",
		"00112233-4455-6677-8899-aabbccddeefff",
		"00112233445566778899aabbccddeeff0000",
		"0011223-34455-6677-8899-aabbccddeeff",
		"00112233-4455-6677-8899-aabbccddeefg",
		"00112233+4455-6677-8899-aabbccddeeff",
	};
	uint8_t uuid[UUID_LEN];
	char again[UUID_STRLEN + 1];

	assert_int_equal(uuid_parse(text, strlen(text), uuid), OK);
	assert_int_equal(uuid[0], 0);
	assert_int_equal(uuid[15], 0xff);
	uuid_format(uuid, again);
	assert_string_equal(again, text);
	for (size_t i = 0; i < COUNTOF(bad); i++)
		assert_int_equal(
		    uuid_parse(bad[i], strlen(bad[i]), uuid), ERR_PARSE);
}

static void
test_clock(void **state UNUSED)
{
	const struct timespec at = { .tv_sec = 1795217766, .tv_nsec = 5 };
	char iso[CLOCK_ISO_LEN + 1];

	clock_freeze(&at);
	assert_int_equal(clock_wall().tv_sec, at.tv_sec);
	assert_int_equal(clock_wall().tv_nsec, 5);
	clock_freeze(NULL);
	assert_true(clock_wall().tv_sec != at.tv_sec);
	const uint64_t a = clock_mono_ns();
	assert_true(clock_mono_ns() >= a);

	clock_iso(0, iso);
	assert_string_equal(iso, "1970-01-01T00:00:00Z");
	clock_iso(at.tv_sec, iso);
	assert_string_equal(iso, "2026-11-20T23:36:06Z");
	clock_iso(-1, iso);
	assert_string_equal(iso, "1969-12-31T23:59:59Z");
	clock_iso(INT64_MAX, iso);
	assert_string_equal(iso, "9999-12-31T23:59:59Z");
	clock_iso(INT64_MIN, iso);
	assert_string_equal(iso, "0000-01-01T00:00:00Z");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_b64_rfc4648),
		cmocka_unit_test(test_b64_strict),
		cmocka_unit_test(test_b64_all_bytes),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
