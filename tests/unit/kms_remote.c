/* kms/remote: the provider against a service that fails on demand. */
#include "tests/unit/kms_far.h"

#include <pthread.h>

#include "crypto/secret.h"
#include "kms/remote.h"

/* ---- Configuration -------------------------------------------------------- */

static enum err
conf_of(const char *uri, const char *name, const char *value,
    struct remote_conf *ret)
{
	const struct provider_option o = { name, value };
	const struct provider_conf c = {
		.uri = uri, .opt = &o, .nopt = name == NULL ? 0 : 1
	};

	return remote_conf_parse(&c, ret);
}

static void
test_conf(void **state UNUSED)
{
	static const char *const bad[][2] = { { "timeout", "" },
		{ "timeout", "9" }, { "timeout", "60001" },
		{ "timeout", "1e3" }, { "tries", "0" }, { "tries", "-1" },
		{ "cache-age", "3601" }, { "cache-uses", "x" },
		{ "region", "EU" }, { "region", "" }, { "other", "1" } };
	struct remote_conf r;

	assert_int_equal(conf_of("http://h", NULL, NULL, &r), ERR_INVAL);
	for (size_t i = 0; i < COUNTOF(bad); i++)
		if (conf_of("https://h", bad[i][0], bad[i][1], &r) != ERR_INVAL)
			fail_msg("taken: %s=%s", bad[i][0], bad[i][1]);
	assert_int_equal(
	    conf_of("https://kms.eu-west-1.amazonaws.com", "tries", "1", &r),
	    OK);
	assert_string_equal(r.host_region, "eu-west-1");
	assert_int_equal(r.tries, 1);
	assert_int_equal(r.cache_age, 300);
	assert_int_equal(
	    conf_of("https://kms.example.org", NULL, NULL, &r), OK);
	assert_string_equal(r.host_region, "");
}

/* ---- Provider ------------------------------------------------------------- */

static struct far_service far;
static const struct provider_ops *const ops = &provider_remote;

struct setting {
	const char *name, *value;
};

static void *
open_with(const struct setting *more, size_t n)
{
	char cred[256];
	struct provider_option o[12] = { { "ca", far.ca },
		{ "timeout", "30000" }, { "tries", "2" } };
	struct provider_conf c = { .uri = far.url, .opt = o, .nopt = 4 };
	void *p = NULL;

	far_path(&far, "credentials", cred);
	o[3] = (struct provider_option){ "credentials", cred };
	for (size_t i = 0; i < n; i++)
		o[c.nopt++] =
		    (struct provider_option){ more[i].name, more[i].value };
	assert_int_equal(ops->open(&c, &p), OK);
	return p;
}

struct sealed {
	uint8_t ref[PROVIDER_REF_MAX], b[PROVIDER_SEALED_MAX];
	size_t reflen, len;
	struct provider_msg m;
};

static const struct kms_pair context[] = { { .key = "k", .value = "v" } };

static void
new_key(void *p, struct sealed *s)
{
	assert_int_equal(
	    ops->make_key(p, "tenant", "label", s->ref, &s->reflen), OK);
	s->m = (struct provider_msg){ .ref = s->ref,
		.reflen = s->reflen,
		.ad = (const uint8_t *)"head",
		.adlen = 4,
		.ctx = context,
		.nctx = 1 };
}

static void
seal(void *p, struct sealed *s)
{
	assert_int_equal(ops->wrap(p, &s->m, (const uint8_t *)"secret", 6, s->b,
			     sizeof(s->b), &s->len),
	    OK);
}

static enum err
unseal(void *p, const struct sealed *s)
{
	uint8_t b[32] = { 0 };
	size_t n = 0;
	const enum err e =
	    ops->unwrap(p, &s->m, s->b, s->len, b, sizeof(b), &n);

	if (e == OK) {
		assert_int_equal(n, 6);
		assert_memory_equal(b, "secret", 6);
	} else {
		for (size_t i = 0; i < sizeof(b); i++)
			assert_int_equal(b[i], 0);
	}
	return e;
}

static const struct setting no_cache[] = { { "cache-age", "0" } };

static void
test_round(void **state UNUSED)
{
	void *p = open_with(no_cache, 1);
	struct sealed s;

	far_mode(&far, "");
	assert_int_equal(ops->check(p, NULL, 0), OK);
	new_key(p, &s);
	assert_int_equal(ops->check(p, s.ref, s.reflen), OK);
	seal(p, &s);
	assert_int_equal(unseal(p, &s), OK);
	/* All that it is bound to. */
	s.m.ad = (const uint8_t *)"HEAD";
	assert_int_equal(unseal(p, &s), ERR_AUTH);
	s.m.ad = (const uint8_t *)"head";
	s.m.nctx = 0;
	assert_int_equal(unseal(p, &s), ERR_AUTH);
	s.m.nctx = 1;
	s.b[60] ^= 1;
	assert_int_equal(unseal(p, &s), ERR_AUTH);
	s.b[60] ^= 1;
	struct sealed other;
	new_key(p, &other);
	s.m.ref = other.ref;
	s.m.reflen = other.reflen;
	assert_int_equal(unseal(p, &s), ERR_AUTH);
	s.m.ref = (const uint8_t *)"\1x";
	s.m.reflen = 2;
	assert_int_equal(unseal(p, &s), ERR_NOKEY);
	s.m.ref = (const uint8_t *)"\2x";
	assert_int_equal(unseal(p, &s), ERR_CORRUPT);
	ops->close(p);
}

static void
test_cached(void **state UNUSED)
{
	void *p = open_with(NULL, 0);
	struct sealed s;

	far_mode(&far, "");
	new_key(p, &s);
	seal(p, &s);
	const unsigned before = far_count(&far, "Decrypt");
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(unseal(p, &s), OK);
	assert_int_equal(far_count(&far, "Decrypt"), before);
	/* What it is bound to is part of the question. */
	s.m.ad = (const uint8_t *)"HEAD";
	assert_int_equal(unseal(p, &s), ERR_AUTH);
	s.m.ad = (const uint8_t *)"head";
	ops->close(p);
	p = open_with(NULL, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(unseal(p, &s), OK);
	assert_int_equal(far_count(&far, "Decrypt"), before + 2);
	/* Nobody there: what is known goes on. */
	far_mode(&far, "cut");
	assert_int_equal(unseal(p, &s), OK);
	far_mode(&far, "");
	ops->close(p);
}

static void
test_revoked(void **state UNUSED)
{
	static const struct setting second[] = { { "cache-age", "1" } };
	void *p = open_with(no_cache, 1), *cached = open_with(NULL, 0);
	void *short_lived = open_with(second, 1);
	struct sealed s;

	far_mode(&far, "");
	new_key(p, &s);
	seal(p, &s);
	assert_int_equal(unseal(cached, &s), OK);
	assert_int_equal(unseal(short_lived, &s), OK);
	assert_int_equal(ops->check(short_lived, s.ref, s.reflen), OK);
	far_keys_state(&far, "Enabled", "Disabled");
	assert_int_equal(unseal(p, &s), ERR_KEYREVOKED);
	assert_int_equal(ops->check(p, s.ref, s.reflen), ERR_KEYREVOKED);
	/* Within its age the answer counts, unless a refusal is met. */
	assert_int_equal(unseal(cached, &s), OK);
	assert_int_equal(ops->check(cached, s.ref, s.reflen), ERR_KEYREVOKED);
	assert_int_equal(unseal(cached, &s), ERR_KEYREVOKED);
	(void)sleep(1);
	assert_int_equal(unseal(short_lived, &s), ERR_KEYREVOKED);
	assert_int_equal(
	    ops->check(short_lived, s.ref, s.reflen), ERR_KEYREVOKED);
	far_keys_state(&far, "Disabled", "PendingDeletion");
	assert_int_equal(unseal(p, &s), ERR_KEYDELETION);
	far_keys_state(&far, "PendingDeletion", "Enabled");
	assert_int_equal(unseal(p, &s), OK);
	ops->close(p);
	ops->close(cached);
	ops->close(short_lived);
}

static void
test_failures(void **state UNUSED)
{
	static const struct {
		const char *mode;
		enum err e;
	} cases[] = { { "500", ERR_TIMEDOUT }, { "cut", ERR_TIMEDOUT },
		{ "throttle", ERR_TIMEDOUT }, { "garbage", ERR_IO },
		{ "empty", ERR_IO }, { "long", ERR_LIMIT },
		{ "other", ERR_AUTH }, { "redirect", ERR_IO },
		{ "denied", ERR_ACCESS } };
	struct sealed s;

	far_mode(&far, "");
	void *p = open_with(no_cache, 1);
	new_key(p, &s);
	seal(p, &s);
	ops->close(p);
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		p = open_with(no_cache, 1);
		far_mode(&far, cases[i].mode);
		if (unseal(p, &s) != cases[i].e)
			fail_msg("%s", cases[i].mode);
		if (cases[i].e == ERR_TIMEDOUT) {
			/* Not asked again at once; then it comes back. */
			const unsigned n = far_count(&far, "Decrypt");

			assert_int_equal(unseal(p, &s), ERR_TIMEDOUT);
			assert_int_equal(far_count(&far, "Decrypt"), n);
			(void)sleep(1);
		}
		far_mode(&far, "");
		assert_int_equal(unseal(p, &s), OK);
		ops->close(p);
	}
	/* A failure that passes is not seen. */
	p = open_with(no_cache, 1);
	far_mode(&far, "503 1");
	assert_int_equal(unseal(p, &s), OK);
	far_mode(&far, "throttle 1");
	assert_int_equal(unseal(p, &s), OK);
	/* Who is let in without the right to list is let in. */
	far_mode(&far, "denied");
	assert_int_equal(ops->check(p, NULL, 0), OK);
	far_mode(&far, "");
	ops->close(p);
}

/* A key that was asked for once is not made twice. */
static void
test_create_once(void **state UNUSED)
{
	void *p = open_with(no_cache, 1);
	struct sealed s;
	const unsigned before = far_count(&far, "CreateKey");

	far_mode(&far, "half");
	assert_int_equal(
	    ops->make_key(p, "t", "l", s.ref, &s.reflen), ERR_TIMEDOUT);
	assert_int_equal(far_count(&far, "CreateKey"), before + 1);
	far_mode(&far, "");
	ops->close(p);
}

static void
test_existing_key(void **state UNUSED)
{
	struct setting alias[] = { { "key", "alias/mine" } };
	void *p = open_with(NULL, 0);
	struct sealed s, t;
	char id[64];

	far_mode(&far, "");
	new_key(p, &s);
	ops->close(p);
	(void)snprintf(id, sizeof(id), "%.36s",
	    (const char *)memrchr(s.ref, '/', s.reflen) + 1);
	far_write(&far, "alias.mine", id);
	p = open_with(alias, 1);
	assert_int_equal(ops->check(p, NULL, 0), OK);
	new_key(p, &t);
	assert_int_equal(t.reflen, s.reflen);
	assert_memory_equal(t.ref, s.ref, s.reflen);
	ops->close(p);
	alias[0].value = "alias/none";
	p = open_with(alias, 1);
	assert_int_equal(ops->check(p, NULL, 0), ERR_NOKEY);
	ops->close(p);
}

static void
test_credentials(void **state UNUSED)
{
	static const struct setting wrong[] = { { "profile", "wrong" } },
				    none[] = { { "profile", "none" } };
	void *p = open_with(wrong, 1);

	far_mode(&far, "");
	assert_int_equal(ops->check(p, NULL, 0), ERR_ACCESS);
	assert_non_null(
	    strstr(err_detail(ERR_ACCESS), "InvalidSignatureException"));
	ops->close(p);
	p = open_with(none, 1);
	assert_int_equal(ops->check(p, NULL, 0), ERR_ACCESS);
	ops->close(p);
}

/* It goes away, and comes back. */
static void
test_restart(void **state UNUSED)
{
	void *p = open_with(no_cache, 1);
	struct sealed s;

	far_mode(&far, "");
	new_key(p, &s);
	seal(p, &s);
	far_stop(&far);
	assert_int_equal(unseal(p, &s), ERR_TIMEDOUT);
	far_start(&far);
	(void)sleep(1);
	assert_int_equal(unseal(p, &s), OK);
	ops->close(p);
}

struct opener {
	void *p;
	const struct sealed *s;
	enum err e;
};

static void *
opener_main(void *arg)
{
	struct opener *o = arg;
	uint8_t b[32];
	size_t n = 0;

	o->e =
	    ops->unwrap(o->p, &o->s->m, o->s->b, o->s->len, b, sizeof(b), &n);
	return NULL;
}

/* Fifty threads open one file: one question. */
static void
test_single_flight(void **state UNUSED)
{
	void *p = open_with(NULL, 0);
	struct opener o[50];
	pthread_t t[50];
	struct sealed s;

	far_mode(&far, "");
	new_key(p, &s);
	seal(p, &s);
	ops->close(p);
	p = open_with(NULL, 0);
	const unsigned before = far_count(&far, "Decrypt");
	far_mode(&far, "slow 200");
	for (unsigned i = 0; i < 50; i++) {
		o[i] = (struct opener){ p, &s, ERR_INTERNAL };
		assert_int_equal(
		    pthread_create(&t[i], NULL, opener_main, &o[i]), 0);
	}
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_int_equal(o[i].e, OK);
	}
	far_mode(&far, "");
	assert_int_equal(far_count(&far, "Decrypt"), before + 1);
	ops->close(p);
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
		cmocka_unit_test(test_conf),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_cached),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_create_once),
		cmocka_unit_test(test_existing_key),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_single_flight),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
