/*
 * Small plaintexts: R12, R13, R26.  Every length, every bit, every place that a
 * ciphertext does not belong to.
 */
#include "tests/unit/kms_common.h"

#include "kms/api.h"
#include "lib/base/clock.h"

#define PLAIN(i) ((uint8_t)(7 * (i) + 3))

static uint8_t plain[KMS_PLAIN_MAX + 1];
static uint8_t blob[KMS_CIPHER_MAX], back[KMS_PLAIN_MAX];
static const uint8_t zeros[KMS_PLAIN_MAX];
static size_t bloblen, len;
static char arn[KMS_ARN_MAX];

static enum err
seal(struct kms *k, const char *keyname, size_t n)
{

	for (size_t i = 0; i < n; i++)
		plain[i] = PLAIN(i);
	return kms_encrypt(
	    k, &root_user, keyname, plain, n, some_ctx, 2, blob, &bloblen, arn);
}

static enum err
open_as(struct kms *k, const struct kms_who *who, const char *keyname)
{

	memset(back, 0xaa, sizeof(back));
	return kms_decrypt(
	    k, who, keyname, blob, bloblen, some_ctx, 2, back, &len, arn);
}

static void
test_lengths(void **state)
{
	static const size_t good[] = { 1, 15, 16, 17, 31, 32, 33, 4095, 4096 };
	struct kms *k = place_open(*state);
	struct kms_desc d;

	assert_ok(kms_key_create(k, &root_user, "", &d));
	for (size_t i = 0; i < COUNTOF(good); i++) {
		assert_ok(seal(k, d.id, good[i]));
		assert_string_equal(arn, d.arn);
		assert_int_equal(bloblen, good[i] + 100);
		assert_true(bloblen <= KMS_CIPHER_MAX);
		assert_ok(open_as(k, &root_user, NULL));
		assert_int_equal(len, good[i]);
		assert_memory_equal(back, plain, len);
		assert_string_equal(arn, d.arn);
	}
	assert_int_equal(seal(k, d.id, 0), ERR_INVAL);
	assert_int_equal(seal(k, d.id, KMS_PLAIN_MAX + 1), ERR_INVAL);
	kms_close(k);
}

/* No bit, no prefix and nothing longer opens, or says anything else. */
static void
test_every_bit(void **state)
{
	struct kms *k = place_open(*state);
	char said[256];

	assert_ok(seal(k, NULL, 50));
	blob[bloblen - 1] ^= 1;
	assert_int_equal(open_as(k, &root_user, NULL), ERR_AUTH);
	(void)snprintf(said, sizeof(said), "%s", err_detail(ERR_AUTH));
	blob[bloblen - 1] ^= 1;
	for (size_t bit = 0; bit < 8 * bloblen; bit++) {
		blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_as(k, &root_user, NULL), ERR_AUTH);
		assert_memory_equal(back, zeros, sizeof(back));
		if (bit / 8 >= 8)
			assert_string_equal(err_detail(ERR_AUTH), said);
		blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0, whole = bloblen; n < whole + 8; n++) {
		bloblen = n;
		if (n != whole)
			assert_int_equal(
			    open_as(k, &root_user, NULL), ERR_AUTH);
		bloblen = whole;
	}
	/* Another context is told from an altered tag by nothing. */
	assert_int_equal(kms_decrypt(k, &root_user, NULL, blob, bloblen,
			     some_ctx, 1, back, &len, arn),
	    ERR_AUTH);
	assert_string_equal(err_detail(ERR_AUTH), said);
	assert_ok(open_as(k, &root_user, NULL));
	kms_close(k);
}

static void
test_named_key(void **state)
{
	const struct kms_who other = {
		.tenant = "acme", .user = "root", .agent = "test"
	};
	struct kms *k = place_open(*state);
	struct kms_desc a, b;

	assert_ok(kms_key_create(k, &root_user, "", &a));
	assert_ok(kms_key_create(k, &root_user, "", &b));
	assert_ok(kms_alias_create(k, &root_user, "alias/a", a.id));
	assert_ok(seal(k, a.id, 20));
	assert_ok(open_as(k, &root_user, a.id));
	assert_ok(open_as(k, &root_user, a.arn));
	assert_ok(open_as(k, &root_user, "alias/a"));
	assert_ok(open_as(k, &root_user, ""));
	assert_int_equal(open_as(k, &root_user, b.id), ERR_KEYMISMATCH);
	assert_memory_equal(back, zeros, sizeof(back));
	assert_int_equal(open_as(k, &root_user, "alias/none"), ERR_NOKEY);
	assert_int_equal(open_as(k, &other, NULL), ERR_ACCESS);
	assert_int_equal(open_as(k, &other, a.arn), ERR_ACCESS);
	assert_ok(kms_key_disable(k, &root_user, a.id));
	assert_int_equal(open_as(k, &root_user, NULL), ERR_KEYREVOKED);
	assert_int_equal(seal(k, a.id, 20), ERR_KEYREVOKED);
	kms_close(k);
}

static void
test_other_keystore(void **state)
{
	struct kms *k = place_open(*state), *k2;
	void *second = NULL;

	assert_int_equal(place_setup(&second), 0);
	k2 = place_open(second);
	assert_ok(seal(k, NULL, 20));
	assert_ok(open_as(k, &root_user, NULL));
	assert_int_equal(open_as(k2, &root_user, NULL), ERR_AUTH);
	kms_close(k2);
	kms_close(k);
	assert_int_equal(place_teardown(&second), 0);
}

static void
test_generate(void **state)
{
	struct kms *k = place_open(*state);
	struct key *dek = key_new();
	uint8_t made[KMS_RANDOM_MAX + 1];

	for (size_t n = 1; n <= KMS_RANDOM_MAX; n = 4 * n - 1) {
		assert_ok(kms_generate(k, &root_user, NULL, n, some_ctx, 2,
		    made, blob, &bloblen, arn));
		assert_ok(open_as(k, &root_user, NULL));
		assert_int_equal(len, n);
		assert_memory_equal(back, made, n);
	}
	assert_ok(kms_generate(k, &root_user, NULL, KMS_RANDOM_MAX, some_ctx, 2,
	    NULL, blob, &bloblen, arn));
	assert_ok(open_as(k, &root_user, NULL));
	assert_int_equal(len, KMS_RANDOM_MAX);
	assert_memory_not_equal(back, zeros, 16);
	assert_int_equal(kms_generate(k, &root_user, NULL, 0, NULL, 0, made,
			     blob, &bloblen, arn),
	    ERR_INVAL);
	assert_int_equal(kms_generate(k, &root_user, NULL, KMS_RANDOM_MAX + 1,
			     NULL, 0, made, blob, &bloblen, arn),
	    ERR_INVAL);
	/* A data key of the store is a plaintext like others; others are no
	 * data keys. */
	assert_ok(kms_data_key(
	    k, &root_user, NULL, some_ctx, 2, dek, blob, &bloblen, arn));
	assert_ok(open_as(k, &root_user, NULL));
	assert_int_equal(len, KEY_LEN);
	assert_memory_equal(back, dek->b, KEY_LEN);
	assert_ok(seal(k, NULL, 33));
	assert_int_equal(
	    kms_unwrap(k, &root_user, blob, bloblen, some_ctx, 2, dek),
	    ERR_AUTH);
	key_free(dek);
	kms_close(k);
}

static void
test_reencrypt(void **state)
{
	const struct kms_pair to[] = { { "now", "here" } };
	uint8_t out[KMS_CIPHER_MAX];
	struct kms *k = place_open(*state);
	struct kms_reencrypt m = { .from = some_ctx,
		.nfrom = 2,
		.to = to,
		.nto = 1,
		.ret_blob = out };
	struct kms_desc a, b;

	assert_ok(kms_key_create(k, &root_user, "", &a));
	assert_ok(kms_key_create(k, &root_user, "", &b));
	assert_ok(seal(k, a.id, KMS_PLAIN_MAX));
	m.blob = blob;
	m.bloblen = bloblen;
	m.to_key = b.id;
	assert_ok(kms_reencrypt(k, &root_user, &m));
	assert_string_equal(m.ret_from, a.arn);
	assert_string_equal(m.ret_to, b.arn);
	assert_ok(kms_decrypt(
	    k, &root_user, b.id, out, m.ret_bloblen, to, 1, back, &len, arn));
	assert_int_equal(len, KMS_PLAIN_MAX);
	assert_memory_equal(back, plain, len);
	m.from_key = b.id;
	assert_int_equal(kms_reencrypt(k, &root_user, &m), ERR_KEYMISMATCH);
	m.from_key = a.id;
	m.nfrom = 1;
	assert_int_equal(kms_reencrypt(k, &root_user, &m), ERR_AUTH);
	m.nfrom = 2;
	assert_ok(kms_key_disable(k, &root_user, b.id));
	assert_int_equal(kms_reencrypt(k, &root_user, &m), ERR_KEYREVOKED);
	kms_close(k);
}

static void
test_random(void **state)
{
	struct kms *k = place_open(*state);
	uint8_t a[KMS_RANDOM_MAX] = { 0 }, b[KMS_RANDOM_MAX] = { 0 };

	assert_ok(kms_random(k, &root_user, sizeof(a), a));
	assert_ok(kms_random(k, &root_user, sizeof(b), b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(kms_random(k, &root_user, 0, a), ERR_INVAL);
	assert_int_equal(
	    kms_random(k, &root_user, KMS_RANDOM_MAX + 1, a), ERR_INVAL);
	kms_close(k);
}

/* What all tenants' objects are under opens by nobody's own call. */
static void
test_service_key(void **state)
{
	struct kms *k = place_open(*state);
	struct sample s;

	sample_make(k, KMS_SERVICE_KEY, &s);
	memcpy(blob, s.blob, s.len);
	bloblen = s.len;
	assert_int_equal(open_as(k, &root_user, NULL), ERR_ACCESS);
	assert_int_equal(seal(k, KMS_SERVICE_KEY, 5), ERR_ACCESS);
	key_free(s.dek);
	kms_close(k);
}

static enum err
no_uses(
    void *arg, const struct kms_desc *d, bool wait UNUSED, struct kms_uses *ret)
{

	(void)arg;
	(void)d;
	*ret = (struct kms_uses){ 0 };
	return OK;
}

/* By period, once there were enough on demand. */
static void
rotate(struct kms *k, const char *id, uint32_t n)
{
	struct timespec at = clock_wall();

	if (n <= KMS_ON_DEMAND_MAX) {
		assert_ok(kms_key_rotate(k, &root_user, id));
		return;
	}
	clock_freeze(&at);
	assert_ok(kms_key_rotation(k, &root_user, id, 1));
	at.tv_sec += 86400;
	clock_freeze(&at);
	assert_ok(kms_timer(k));
	clock_freeze(NULL);
}

/* Old ciphertexts open for ever. */
static void
test_rotations(void **state)
{
	static uint8_t all[31][BUFSIZ];
	static size_t lens[31];
	struct kms *k = place_open(*state);
	struct kms_desc d;

	kms_set_uses(k, no_uses, NULL);
	assert_ok(kms_key_create(k, &root_user, "", &d));
	for (uint32_t v = 0; v <= 30; v++) {
		if (v > 0)
			rotate(k, d.id, v);
		assert_ok(seal(k, d.id, 100 + v));
		assert_int_equal(blob[27], v + 1);
		memcpy(all[v], blob, bloblen);
		lens[v] = bloblen;
	}
	kms_close(k);
	k = place_open(*state);
	for (uint32_t v = 0; v <= 30; v++) {
		memcpy(blob, all[v], lens[v]);
		bloblen = lens[v];
		assert_ok(open_as(k, &root_user, d.id));
		assert_int_equal(len, 100 + v);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(back[i], PLAIN(i));
	}
	kms_close(k);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lengths),
		TEST(test_every_bit),
		TEST(test_named_key),
		TEST(test_other_keystore),
		TEST(test_generate),
		TEST(test_reencrypt),
		TEST(test_random),
		TEST(test_service_key),
		TEST(test_rotations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
