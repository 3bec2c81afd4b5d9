/* kms/remote_wire: requests, and what is made of answers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "kms/remote_wire.h"

static enum err
error_of(long status, const char *body)
{
	return wire_error(status, body, strlen(body));
}

static void
test_wire_errors(void **state UNUSED)
{
	assert_int_equal(error_of(400, "{\"__type\":\"DisabledException\"}"),
	    ERR_KEYREVOKED);
	assert_int_equal(error_of(400, "{\"__type\":\"a.b#NotFoundException\","
				       "\"Message\":\"gone\\u0007\"}"),
	    ERR_NOKEY);
	assert_string_equal(err_detail(ERR_NOKEY),
	    "the key service answers 400 NotFoundException: gone?");
	assert_int_equal(
	    error_of(400, "{\"__type\":\"KMSInvalidStateException\","
			  "\"message\":\"x is pending deletion.\"}"),
	    ERR_KEYDELETION);
	assert_int_equal(
	    error_of(400, "{\"__type\":\"KMSInvalidStateException\"}"),
	    ERR_KEYSTATE);
	assert_int_equal(
	    error_of(400, "{\"__type\":\"InvalidCiphertextException\"}"),
	    ERR_AUTH);
	assert_int_equal(error_of(400, "{\"__type\":1}"), ERR_IO);
	assert_int_equal(error_of(403, "no"), ERR_ACCESS);
	assert_int_equal(error_of(503, ""), ERR_TIMEDOUT);
	assert_int_equal(error_of(307, ""), ERR_IO);
}

static void
test_wire_answers(void **state UNUSED)
{
	static const char *const odd[] = { "", "[]", "{}", "{\"KeyId\":1}",
		"{\"KeyId\":\"k\"}", "{\"KeyId\":\"k\",\"Plaintext\":\"%\"}",
		"{\"KeyId\":\"k\",\"Plaintext\":\"\"}",
		"{\"KeyId\":\"k\",\"Plaintext\":1}",
		"{\"KeyId\":\"k\",\"Plaintext\":\"AA==\"} " };
	uint8_t b[4] = { 9, 9, 9, 9 };
	size_t n = 0;

	for (size_t i = 0; i + 1 < COUNTOF(odd); i++)
		if (wire_plain(odd[i], strlen(odd[i]), "k", b, 4, &n) != ERR_IO)
			fail_msg("taken: %s", odd[i]);
	const char *good = odd[COUNTOF(odd) - 1];
	assert_int_equal(wire_plain(good, strlen(good), "k", b, 4, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(
	    wire_plain(good, strlen(good), "K", b, 4, &n), ERR_AUTH);
	assert_int_equal(
	    wire_plain(good, strlen(good), "k", b, 0, &n), ERR_LIMIT);
}

static void
test_wire_context(void **state UNUSED)
{
	const struct kms_pair pair[] = { { .key = "a", .value = "b\"" },
		{ .key = WIRE_BOUND, .value = "x" } };
	struct provider_msg m = {
		.ad = (const uint8_t *)"ad", .adlen = 2, .ctx = pair, .nctx = 1
	};
	struct buf b CLEANUP_BUF = { 0 };

	buf_init(&b, WIRE_BODY_MAX);
	assert_int_equal(
	    wire_encrypt(&b, "k", &m, (const uint8_t *)"p", 1), OK);
	assert_string_equal((char *)b.p,
	    "{\"KeyId\":\"k\",\"Plaintext\":\"cA==\","
	    "\"EncryptionContext\":{\"a\":\"b\\\"\",\"" WIRE_BOUND "\":"
	    "\"70ba33708cbfb103f1a8e34afef333ba7dc021022b2d9aaa583aabb8058d8d"
	    "67\"}}");
	m.nctx = 2;
	assert_int_equal(
	    wire_encrypt(&b, "k", &m, (const uint8_t *)"p", 1), ERR_INVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_errors),
		cmocka_unit_test(test_wire_answers),
		cmocka_unit_test(test_wire_context),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
