/* A keystore whose keys are in a remote key service: what its callers see when
 * the far side fails, refuses, and comes back. */
#include "tests/unit/kms_common.h"
#include "tests/unit/kms_far.h"

#include "kms/api.h"
#include "kms/providers.h"

static struct far_service far;

static void
add(struct kms *k, const char *age)
{
	char cred[256];
	const struct provider_option o[] = { { "ca", far.ca },
		{ "credentials", cred }, { "cache-age", age },
		{ "timeout", "3000" }, { "tries", "2" } };
	const struct provider_conf c = {
		.uri = far.url, .opt = o, .nopt = COUNTOF(o)
	};

	far_path(&far, "credentials", cred);
	assert_ok(kms_provider_add(k, &root_user, "far", &c));
}

static void
new_key(struct kms *k, struct kms_desc *d)
{
	const struct kms_new n = { .description = "for tests",
		.provider = "far" };

	assert_ok(kms_key_new(k, &root_user, &n, d));
}

static void
test_life(void **state)
{
	struct kms *k = place_open(*state);
	struct kms_desc d;
	struct sample s, t;

	far_mode(&far, "");
	add(k, "0");
	new_key(k, &d);
	sample_make(k, d.arn, &s);
	assert_ok(sample_open(k, &s));
	assert_ok(kms_check(k, &root_user, d.arn, NULL, 0));
	/* A new version is a new key over there; the old one decrypts. */
	const unsigned keys = far_count(&far, "CreateKey");
	assert_ok(kms_key_rotate(k, &root_user, d.arn));
	assert_int_equal(far_count(&far, "CreateKey"), keys + 1);
	sample_make(k, d.arn, &t);
	assert_ok(sample_open(k, &s));
	assert_ok(sample_open(k, &t));
	kms_close(k);
	k = place_open(*state);
	assert_ok(sample_open(k, &s));
	s.blob[s.len - 1] ^= 1;
	assert_int_equal(sample_open(k, &s), ERR_AUTH);
	s.blob[s.len - 1] ^= 1;
	/* Here, a disabled key is refused without asking. */
	assert_ok(kms_key_disable(k, &root_user, d.arn));
	const unsigned asked = far_count(&far, "Decrypt");
	assert_int_equal(sample_open(k, &s), ERR_KEYREVOKED);
	assert_int_equal(far_count(&far, "Decrypt"), asked);
	key_free(s.dek);
	key_free(t.dek);
	kms_close(k);
}

static void
test_refused(void **state)
{
	struct kms *k = place_open(*state);
	struct kms_desc d;
	struct sample s;

	far_mode(&far, "");
	add(k, "1");
	new_key(k, &d);
	sample_make(k, d.arn, &s);
	assert_ok(kms_check(k, &root_user, d.arn, NULL, 0));
	far_keys_state(&far, "Enabled", "Disabled");
	(void)sleep(1);
	/* Callers that hold the data key's contexts ask, too. */
	assert_int_equal(
	    kms_check(k, &root_user, d.arn, NULL, 0), ERR_KEYREVOKED);
	assert_int_equal(sample_open(k, &s), ERR_KEYREVOKED);
	far_keys_state(&far, "Disabled", "Enabled");
	(void)sleep(1);
	assert_ok(kms_check(k, &root_user, d.arn, NULL, 0));
	assert_ok(sample_open(k, &s));
	key_free(s.dek);
	kms_close(k);
}

static void
test_unreachable(void **state)
{
	struct kms *k = place_open(*state);
	struct kms_desc d;
	struct sample s, near;

	far_mode(&far, "");
	add(k, "1");
	new_key(k, &d);
	sample_make(k, d.arn, &s);
	sample_make(k, NULL, &near);
	far_stop(&far);
	(void)sleep(1);
	assert_int_equal(sample_open(k, &s), ERR_TIMEDOUT);
	assert_int_equal(
	    kms_check(k, &root_user, d.arn, NULL, 0), ERR_TIMEDOUT);
	/* Keys that are here do not mind. */
	assert_ok(sample_open(k, &near));
	/* Nor does the keystore, which opens without it. */
	kms_close(k);
	k = place_open(*state);
	assert_ok(sample_open(k, &near));
	assert_int_equal(sample_open(k, &s), ERR_TIMEDOUT);
	far_start(&far);
	(void)sleep(1);
	assert_ok(sample_open(k, &s));
	assert_ok(kms_check(k, &root_user, d.arn, NULL, 0));
	key_free(s.dek);
	key_free(near.dek);
	kms_close(k);
}

/* What may not be added is not. */
static void
test_add(void **state)
{
	struct kms *k = place_open(*state);
	char cred[256];
	struct provider_option o[] = { { "ca", far.ca },
		{ "credentials", cred }, { "profile", "wrong" } };
	struct provider_conf c = { .uri = far.url, .opt = o, .nopt = 3 };
	char plain[80];

	far_mode(&far, "");
	far_path(&far, "credentials", cred);
	assert_int_equal(
	    kms_provider_add(k, &root_user, "far", &c), ERR_ACCESS);
	(void)snprintf(plain, sizeof(plain), "http%s", far.url + 5);
	c.uri = plain;
	c.nopt = 2;
	assert_int_equal(kms_provider_add(k, &root_user, "far", &c), ERR_INVAL);
	c.uri = far.url;
	o[0].name = "timeout";
	assert_int_equal(kms_provider_add(k, &root_user, "far", &c), ERR_INVAL);
	kms_close(k);
}

static int
setup(void **state UNUSED)
{
	if (secret_init() != OK)
		return -1;
	far_new(&far);
	far_start(&far);
	return 0;
}

static int
teardown(void **state UNUSED)
{
	far_free(&far);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_life, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    test_refused, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    test_unreachable, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    test_add, place_setup, place_teardown),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
