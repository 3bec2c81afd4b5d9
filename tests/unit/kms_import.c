/*
 * Imported material: R19, R26, R27.  All ways of wrapping, one material for
 * ever, tokens that are nobody else's, its end in time.
 */
#include "tests/unit/kms_common.h"
#include "tests/unit/kms_oaep.h"

#include "crypto/wrap.h"
#include "kms/kms_internal.h"
#include "lib/base/clock.h"

static const uint8_t material[KEY_LEN] = "thirty-two bytes from outside...";
static const uint8_t other[KEY_LEN] = "thirty-two bytes of another kind";

static const struct kms_new outside = { .external = true };
static struct kms_import params;
static uint8_t wrapped[KMS_IMPORT_WRAPPED_MAX];

static size_t
wrap(enum kms_wrapping w, const void *msg, size_t len)
{
	static const uint8_t aes[KEY_LEN] = "a key for once";
	size_t n;

	if (w == KMS_WRAP_OAEP_SHA1 || w == KMS_WRAP_OAEP_SHA256)
		return oaep(&params, w, msg, len, wrapped);
	n = oaep(&params, w, aes, sizeof(aes), wrapped);
	assert_ok(kwp_wrap(aes, msg, len, wrapped + n));
	return n + KWP_SIZE(len);
}

static enum err
import(struct kms *k, const char *id, size_t n, int64_t expires)
{

	return kms_import_material(k, &root_user, id, params.token,
	    params.tokenlen, wrapped, n, expires);
}

static void
parameters(struct kms *k, const char *id)
{

	assert_ok(kms_import_parameters(
	    k, &root_user, id, KMS_WRAP_OAEP_SHA256, 2048, &params));
}

static enum kms_state
state_of(struct kms *k, const char *id)
{
	struct kms_desc d;

	assert_ok(kms_key_describe(k, &root_user, id, &d));
	return d.state;
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

/* Each way, each size, and the larger sizes (whose keys take seconds to make)
 * by the shortest and the longest way; the material is what was imported. */
static void
test_ways(void **state)
{
	static const enum kms_wrapping ways[] = { KMS_WRAP_OAEP_SHA1,
		KMS_WRAP_OAEP_SHA256, KMS_WRAP_AES_SHA1, KMS_WRAP_AES_SHA256 };
	static const unsigned bits[] = { 2048, 3072, 4096 };
	struct kms *k = place_open(*state);
	struct kms_desc d, was = { 0 };
	struct sample s;
	size_t n;

	assert_ok(kms_key_new(k, &root_user, &outside, &d));
	for (size_t i = 0; i < COUNTOF(ways); i++)
		for (size_t j = 0; j < COUNTOF(bits); j++) {
			if (j > 0 && i > 0 && i < COUNTOF(ways) - 1)
				continue;
			assert_ok(kms_import_parameters(
			    k, &root_user, d.id, ways[i], bits[j], &params));
			assert_string_equal(params.arn, d.arn);
			n = wrap(ways[i], material, sizeof(material));
			assert_ok(import(k, d.id, n, 0));
			assert_ok(kms_key_describe(k, &root_user, d.id, &d));
			assert_int_equal(d.state, KMS_ENABLED);
			assert_int_equal(strlen(d.material), 64);
			/* What one import made, the next one opens. */
			if (i + j == 0)
				sample_make(k, d.id, &s);
			else
				assert_string_equal(d.material, was.material);
			was = d;
			assert_ok(sample_open(k, &s));
			assert_ok(kms_import_delete(k, &root_user, d.id));
			assert_int_equal(state_of(k, d.id), KMS_PENDING_IMPORT);
			assert_int_equal(sample_open(k, &s), ERR_KEYSTATE);
			/* Nor does it stand in memory, or is counted there. */
			assert_int_equal(atomic_load(&k->prepared), 0);
		}
	assert_int_equal(kms_import_parameters(k, &root_user, d.id,
			     KMS_WRAP_OAEP_SHA1, 1024, &params),
	    ERR_INVAL);
	key_free(s.dek);
	kms_close(k);
}

static void
test_same(void **state)
{
	struct kms *k = place_open(*state);
	struct kms_desc d, e;
	size_t n;

	assert_ok(kms_key_new(k, &root_user, &outside, &d));
	parameters(k, d.id);
	n = wrap(KMS_WRAP_OAEP_SHA256, material, 31);
	assert_int_equal(import(k, d.id, n, 0), ERR_MATERIAL);
	n = wrap(KMS_WRAP_OAEP_SHA256, material, sizeof(material));
	assert_ok(import(k, d.id, n, 0));
	assert_ok(import(k, d.id, n, 0));
	n = wrap(KMS_WRAP_OAEP_SHA256, other, sizeof(other));
	assert_int_equal(import(k, d.id, n, 0), ERR_MATERIAL);
	assert_ok(kms_import_delete(k, &root_user, d.id));
	assert_ok(kms_import_delete(k, &root_user, d.id));
	assert_int_equal(import(k, d.id, n, 0), ERR_MATERIAL);
	/* Another key takes either, and its material has another name. */
	n = wrap(KMS_WRAP_OAEP_SHA256, material, sizeof(material));
	assert_ok(import(k, d.id, n, 0));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_ok(kms_key_new(k, &root_user, &outside, &e));
	parameters(k, e.id);
	n = wrap(KMS_WRAP_OAEP_SHA256, material, sizeof(material));
	assert_ok(import(k, e.id, n, 0));
	assert_ok(kms_key_describe(k, &root_user, e.id, &e));
	assert_string_not_equal(d.material, e.material);
	kms_close(k);
}

static void
test_tokens(void **state)
{
	struct timespec at = clock_wall();
	struct kms *k = place_open(*state), *k2;
	void *second = NULL;
	struct kms_desc d, e, inside;
	size_t n;

	assert_int_equal(place_setup(&second), 0);
	k2 = place_open(second);
	assert_ok(kms_key_create(k, &root_user, "", &inside));
	assert_ok(kms_key_new(k, &root_user, &outside, &d));
	assert_ok(kms_key_new(k, &root_user, &outside, &e));
	assert_int_equal(kms_import_parameters(k, &root_user, inside.id,
			     KMS_WRAP_OAEP_SHA256, 2048, &params),
	    ERR_NOTSUP);
	parameters(k, d.id);
	assert_int_equal(params.valid_to - at.tv_sec < 86400 + 60, 1);
	n = wrap(KMS_WRAP_OAEP_SHA256, material, sizeof(material));
	assert_int_equal(import(k, e.id, n, 0), ERR_BADTOKEN);
	assert_int_equal(import(k, inside.id, n, 0), ERR_NOTSUP);
	for (size_t i = 0; i < params.tokenlen; i += i < 60 ? 1 : 97) {
		params.token[i] ^= 0x10;
		assert_int_equal(import(k, d.id, n, 0), ERR_BADTOKEN);
		params.token[i] ^= 0x10;
	}
	for (size_t len = params.tokenlen, i = 0; i < len; i += 61) {
		params.tokenlen = i;
		assert_int_equal(import(k, d.id, n, 0), ERR_BADTOKEN);
		params.tokenlen = len;
	}
	/* Nothing about what is wrong with the message. */
	wrapped[7] ^= 1;
	assert_int_equal(import(k, d.id, n, 0), ERR_AUTH);
	wrapped[7] ^= 1;
	assert_int_equal(import(k, d.id, n - 1, 0), ERR_AUTH);
	assert_int_equal(import(k, d.id, 0, 0), ERR_AUTH);
	/* Time. */
	assert_int_equal(import(k, d.id, n, at.tv_sec - 1), ERR_INVAL);
	assert_int_equal(
	    import(k, d.id, n, at.tv_sec + INT64_C(400) * 86400), ERR_INVAL);
	at.tv_sec = params.valid_to + 1;
	clock_freeze(&at);
	assert_int_equal(import(k, d.id, n, 0), ERR_TOKENEXPIRED);
	clock_freeze(NULL);
	assert_ok(import(k, d.id, n, 0));
	/* Another keystore's. */
	assert_ok(kms_key_new(k2, &root_user, &outside, &e));
	assert_int_equal(import(k2, e.id, n, 0), ERR_BADTOKEN);
	kms_close(k2);
	kms_close(k);
	assert_int_equal(place_teardown(&second), 0);
}

static void
test_expiry(void **state)
{
	struct timespec at = clock_wall();
	struct kms *k = place_open(*state);
	struct kms_desc d;
	struct sample s;
	size_t n;

	kms_set_uses(k, no_uses, NULL);
	assert_ok(kms_key_new(k, &root_user, &outside, &d));
	parameters(k, d.id);
	n = wrap(KMS_WRAP_OAEP_SHA256, material, sizeof(material));
	assert_ok(import(k, d.id, n, at.tv_sec + 1000));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.expires, at.tv_sec + 1000);
	sample_make(k, d.id, &s);
	at.tv_sec += 999;
	clock_freeze(&at);
	assert_ok(kms_timer(k));
	assert_ok(sample_open(k, &s));
	/* Out of use by the clock, before the timer has come by. */
	at.tv_sec += 1;
	clock_freeze(&at);
	assert_int_equal(sample_open(k, &s), ERR_KEYEXPIRED);
	assert_ok(kms_timer(k));
	assert_int_equal(state_of(k, d.id), KMS_PENDING_IMPORT);
	assert_int_equal(sample_open(k, &s), ERR_KEYEXPIRED);
	kms_close(k);
	k = place_open(*state);
	assert_int_equal(sample_open(k, &s), ERR_KEYEXPIRED);
	assert_ok(import(k, d.id, n, 0));
	assert_ok(sample_open(k, &s));
	clock_freeze(NULL);
	key_free(s.dek);
	kms_close(k);
}

/* What waits for its deletion loses its material in time all the same, and
 * waits for it again when it is kept after all. */
static void
test_pending(void **state)
{
	struct timespec at = clock_wall();
	struct kms *k = place_open(*state);
	struct kms_desc d;
	size_t n;

	kms_set_uses(k, no_uses, NULL);
	assert_ok(kms_key_new(k, &root_user, &outside, &d));
	parameters(k, d.id);
	n = wrap(KMS_WRAP_OAEP_SHA256, material, sizeof(material));
	assert_ok(import(k, d.id, n, at.tv_sec + 1000));
	assert_ok(kms_key_delete(k, &root_user, d.id, 7, NULL));
	assert_int_equal(import(k, d.id, n, 0), ERR_KEYDELETION);
	assert_ok(kms_import_delete(k, &root_user, d.id));
	assert_ok(kms_key_cancel_deletion(k, &root_user, d.id));
	assert_int_equal(state_of(k, d.id), KMS_DISABLED);
	assert_ok(kms_key_delete(k, &root_user, d.id, 7, NULL));
	at.tv_sec += 1001;
	clock_freeze(&at);
	assert_ok(kms_timer(k));
	clock_freeze(NULL);
	assert_int_equal(state_of(k, d.id), KMS_PENDING_DELETION);
	assert_ok(kms_key_cancel_deletion(k, &root_user, d.id));
	assert_int_equal(state_of(k, d.id), KMS_PENDING_IMPORT);
	kms_close(k);
	k = place_open(*state);
	assert_ok(import(k, d.id, n, 0));
	assert_int_equal(state_of(k, d.id), KMS_ENABLED);
	/* A disabled key stays so. */
	assert_ok(kms_key_disable(k, &root_user, d.id));
	assert_ok(import(k, d.id, n, 0));
	assert_int_equal(state_of(k, d.id), KMS_DISABLED);
	/* Its material is for ever, one way or the other. */
	assert_ok(kms_key_enable(k, &root_user, d.id));
	assert_int_equal(kms_key_rotate(k, &root_user, d.id), ERR_NOTSUP);
	assert_int_equal(kms_key_rotation(k, &root_user, d.id, 90), ERR_NOTSUP);
	kms_close(k);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ways),
		TEST(test_same),
		TEST(test_tokens),
		TEST(test_expiry),
		TEST(test_pending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
