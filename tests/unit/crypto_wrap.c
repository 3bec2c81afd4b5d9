/* crypto/wrap: published vectors, every length, every bit flip. */
#include "tests/unit/crypto_vectors.h"

#include "crypto/rand.h"
#include "crypto/wrap.h"

static void
kwp_case(char *const f[VECTOR_FIELDS])
{
	struct bytes key CLEANUP_BYTES = vector_bytes(f[2]);
	struct bytes msg CLEANUP_BYTES = vector_bytes(f[3]);
	struct bytes ct CLEANUP_BYTES = vector_bytes(f[4]);
	uint8_t *out CLEANUP_FREE = malloc(ct.len + 64);
	size_t len = 0;

	assert_non_null(out);
	const enum err e = kwp_unwrap(key.p, ct.p, ct.len, out, &len);
	if (!vector_valid(f)) {
		assert_int_equal(e, ERR_AUTH);
		for (size_t i = 0; i + 8 < ct.len; i++)
			assert_int_equal(out[i], 0);
		return;
	}
	assert_int_equal(e, OK);
	assert_int_equal(len, msg.len);
	assert_memory_equal(out, msg.p, len);
	assert_int_equal(ct.len, KWP_SIZE(msg.len));
	assert_int_equal(kwp_wrap(key.p, msg.p, msg.len, out), OK);
	assert_memory_equal(out, ct.p, ct.len);
}

static void
test_vectors(void **state UNUSED)
{
	assert_int_equal(vectors_each("aes_kwp.txt", 5, kwp_case), 94);
}

static void
test_lengths(void **state UNUSED)
{
	static uint8_t in[KWP_MAX], wrapped[KWP_SIZE(KWP_MAX)], out[KWP_MAX];
	uint8_t kek[KEY_LEN];
	size_t n = 0;

	rand_bytes(kek, sizeof(kek));
	rand_bytes(in, sizeof(in));
	for (size_t len = 1; len <= KWP_MAX; len += len < 70 ? 1 : 61) {
		assert_int_equal(kwp_wrap(kek, in, len, wrapped), OK);
		assert_int_equal(
		    kwp_unwrap(kek, wrapped, KWP_SIZE(len), out, &n), OK);
		assert_int_equal(n, len);
		assert_memory_equal(in, out, len);
	}
	assert_int_equal(kwp_wrap(kek, in, KWP_MAX, wrapped), OK);
	assert_int_equal(
	    kwp_unwrap(kek, wrapped, sizeof(wrapped), out, &n), OK);
	assert_int_equal(n, KWP_MAX);
	assert_int_equal(kwp_wrap(kek, in, 0, wrapped), ERR_INVAL);
	assert_int_equal(kwp_wrap(kek, in, KWP_MAX + 1, wrapped), ERR_INVAL);
}

static void
test_every_bit(void **state UNUSED)
{
	uint8_t kek[KEY_LEN], in[KEY_LEN], wrapped[KWP_SIZE(KEY_LEN)],
	    out[KEY_LEN];
	size_t n = 0;

	rand_bytes(kek, sizeof(kek));
	rand_bytes(in, sizeof(in));
	assert_int_equal(kwp_wrap(kek, in, sizeof(in), wrapped), OK);
	for (size_t i = 0; i < sizeof(wrapped) * 8; i++) {
		memset(out, 0xff, sizeof(out));
		wrapped[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(
		    kwp_unwrap(kek, wrapped, sizeof(wrapped), out, &n),
		    ERR_AUTH);
		for (size_t j = 0; j < sizeof(out); j++)
			assert_int_equal(out[j], 0);
		wrapped[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t len = 0; len < sizeof(wrapped); len++)
		assert_int_equal(
		    kwp_unwrap(kek, wrapped, len, out, &n), ERR_AUTH);
	kek[0] ^= 1;
	assert_int_equal(
	    kwp_unwrap(kek, wrapped, sizeof(wrapped), out, &n), ERR_AUTH);
}

static int
setup(void **state UNUSED)
{
	return secret_init() == OK ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_every_bit),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
