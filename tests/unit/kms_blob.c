/*
 * Wrapped data keys: bound to their key, version and context, to the bit.
 */
#include "tests/unit/kms_common.h"

#include "kms/blob.h"

static void
test_layout(void **state)
{
	static const uint8_t head[8] = { 'S', 'F', 'K', 'B', 1, 1, 0, 0 };
	struct kms *k = place_open(*state);
	struct sample s;

	sample_make(k, NULL, &s);
	assert_int_equal(s.len, 132);
	assert_memory_equal(s.blob, head, sizeof(head));
	assert_int_equal(s.blob[27], 1);
	assert_ok(sample_open(k, &s));
	key_free(s.dek);
	kms_close(k);
}

static void
test_every_bit(void **state)
{
	struct kms *k = place_open(*state);
	struct key *dek = key_new();
	struct sample s;

	sample_make(k, NULL, &s);
	for (size_t bit = 0; bit < 8 * s.len; bit++) {
		static const struct key zero;

		s.blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(
		    kms_unwrap(k, &root_user, s.blob, s.len, some_ctx, 2, dek),
		    ERR_AUTH);
		assert_memory_equal(dek, &zero, sizeof(zero));
		s.blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < s.len; len++)
		assert_int_equal(
		    kms_unwrap(k, &root_user, s.blob, len, some_ctx, 2, dek),
		    ERR_AUTH);
	assert_ok(sample_open(k, &s));
	key_free(dek);
	key_free(s.dek);
	kms_close(k);
}

static void
test_context(void **state)
{
	const struct kms_pair a[] = { { "a", "bc" } }, b[] = { { "ab", "c" } };
	const struct kms_pair xy[] = { { "x", "1" }, { "y", "2" } };
	const struct kms_pair yx[] = { { "y", "2" }, { "x", "1" } };
	const struct kms_pair twice[] = { { "x", "1" }, { "x", "2" } };
	const struct kms_pair bad[] = { { "x", "\xff" } };
	struct kms *k = place_open(*state);
	struct key *dek = key_new();
	char arn[KMS_ARN_MAX], *big = malloc(KMS_CONTEXT_MAX + 1);
	uint8_t blob[KMS_BLOB_MAX];
	struct kms_pair large = { "k", big };
	size_t len;

	assert_ok(
	    kms_data_key(k, &root_user, NULL, a, 1, dek, blob, &len, arn));
	assert_int_equal(
	    kms_unwrap(k, &root_user, blob, len, b, 1, dek), ERR_AUTH);
	assert_int_equal(
	    kms_unwrap(k, &root_user, blob, len, NULL, 0, dek), ERR_AUTH);
	assert_ok(kms_unwrap(k, &root_user, blob, len, a, 1, dek));
	assert_ok(
	    kms_data_key(k, &root_user, NULL, xy, 2, dek, blob, &len, arn));
	assert_ok(kms_unwrap(k, &root_user, blob, len, yx, 2, dek));
	assert_int_equal(
	    kms_data_key(k, &root_user, NULL, twice, 2, dek, blob, &len, arn),
	    ERR_INVAL);
	assert_int_equal(
	    kms_data_key(k, &root_user, NULL, bad, 1, dek, blob, &len, arn),
	    ERR_INVAL);
	memset(big, 'v', KMS_CONTEXT_MAX);
	big[KMS_CONTEXT_MAX] = '\0';
	assert_int_equal(
	    kms_data_key(k, &root_user, NULL, &large, 1, dek, blob, &len, arn),
	    ERR_INVAL);
	big[KMS_CONTEXT_MAX - 17] = '\0';
	assert_ok(
	    kms_data_key(k, &root_user, NULL, &large, 1, dek, blob, &len, arn));
	assert_ok(kms_unwrap(k, &root_user, blob, len, &large, 1, dek));
	free(big);
	key_free(dek);
	kms_close(k);
}

/* The canonical bytes, as documented. */
static void
test_canonical(void **state)
{
	static const uint8_t want[] = "ctx1\0\0\0\2"
				      "\0\0\0\1"
				      "a\0\0\0\0"
				      "\0\0\0\1"
				      "b\0\0\0\2xy";
	const struct kms_pair pairs[] = { { "b", "xy" }, { "a", "" } };
	struct context c;

	(void)state;
	assert_ok(context_make(&c, pairs, 2, BLOB_HEAD));
	assert_int_equal(c.len, sizeof(want) - 1);
	assert_memory_equal(c.p, want, c.len);
	context_release(&c);
}

static void
test_rewrap(void **state)
{
	const struct kms_pair other[] = { { "object", "o-2" } };
	struct kms *k = place_open(*state);
	struct key *dek = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	struct kms_desc d;
	struct sample s;
	size_t len;

	sample_make(k, NULL, &s);
	assert_ok(kms_key_create(k, &root_user, "target", &d));
	assert_ok(kms_rewrap(k, &root_user, s.blob, s.len, some_ctx, 2, d.id,
	    other, 1, blob, &len, arn));
	assert_string_equal(arn, d.arn);
	assert_ok(kms_unwrap(k, &root_user, blob, len, other, 1, dek));
	assert_memory_equal(dek, s.dek, sizeof(*dek));
	assert_int_equal(
	    kms_unwrap(k, &root_user, blob, len, some_ctx, 2, dek), ERR_AUTH);
	/* Anew under the same key: its current version. */
	assert_ok(kms_key_rotate(k, &root_user, s.arn));
	assert_ok(kms_rewrap(k, &root_user, s.blob, s.len, some_ctx, 2, NULL,
	    some_ctx, 2, blob, &len, arn));
	assert_string_equal(arn, s.arn);
	assert_int_equal(blob[27], 2);
	assert_ok(kms_unwrap(k, &root_user, blob, len, some_ctx, 2, dek));
	key_free(dek);
	key_free(s.dek);
	kms_close(k);
}

static void
test_other_keystore(void **state)
{
	struct kms *k = place_open(*state), *k2;
	void *second = NULL;
	struct sample s;

	assert_int_equal(place_setup(&second), 0);
	k2 = place_open(second);
	sample_make(k, NULL, &s);
	assert_int_equal(sample_open(k2, &s), ERR_AUTH);
	kms_close(k2);
	kms_close(k);
	key_free(s.dek);
	assert_int_equal(place_teardown(&second), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_layout, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    test_every_bit, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    test_context, place_setup, place_teardown),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test_setup_teardown(
		    test_rewrap, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    test_other_keystore, place_setup, place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
