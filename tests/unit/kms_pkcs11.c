/*
 * Keys in a token, with a module that fails when it is told to
 * (tests/fake/p11.c): every call, the token gone at any moment, sessions for one
 * thread at a time.
 */
#include "tests/unit/kms_common.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <time.h>

#include "crypto/rand.h"
#include "kms/api.h"
#include "kms/pkcs11.h"
#include "kms/pkcs11_api.h"
#include "kms/pkcs11_module.h"
#include "kms/providers.h"
#include "lib/base/clock.h"
#include "tests/fake/p11.h"

struct token {
	struct place *p;
	struct fake *f;
	char module[PATH_MAX];
	char pin[160];
};

static void
put_pin(const struct token *t, const char *pin)
{
	FILE *f = fopen(t->pin, "w");

	assert_non_null(f);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	assert_true(fputs(pin, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
token_setup(void **state)
{
	struct token *t = calloc(1, sizeof(*t));
	char self[PATH_MAX] = "";
	void *h;

	if (t == NULL || place_setup((void **)&t->p) != 0 ||
	    readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return -1;
	*strrchr(self, '/') = '\0';
	(void)snprintf(
	    t->module, sizeof(t->module), "%.4000s/../fake/p11.so", self);
	(void)snprintf(t->pin, sizeof(t->pin), "%s/pin", t->p->dir);
	h = dlopen(t->module, RTLD_NOW);
	if (h == NULL)
		return -1;
	t->f = dlsym(h, "fake");
	if (t->f == NULL)
		return -1;
	t->f->fail_at = 0;
	t->f->gone = t->f->sticky = t->f->makes_iv = t->f->can_leave = false;
	t->f->shared = t->f->logins = t->f->wrong_pins = 0;
	put_pin(t, "1234\n");
	log_set_level(LOG_LVL_ERROR);
	*state = t;
	return 0;
}

static int
token_teardown(void **state)
{
	struct token *t = *state;
	void *place = t->p;

	free(t);
	return place_teardown(&place);
}

static void *
provider(const struct token *t, const char *name, const char *value)
{
	const struct provider_option opt[] = { { "token", "fake" },
		{ "pin-source", t->pin }, { "sessions", "3" },
		{ name, value } };
	const struct provider_conf conf = { t->module, opt,
		name == NULL ? 3 : 4 };
	void *p = NULL;

	assert_ok(provider_pkcs11.open(&conf, &p));
	return p;
}

struct keyed {
	uint8_t ref[PROVIDER_REF_MAX];
	size_t len;
};

static struct provider_msg
message(const struct keyed *k)
{
	return (struct provider_msg){ .ref = k->ref,
		.reflen = k->len,
		.ad = (const uint8_t *)"ad",
		.adlen = 2 };
}

/* Wrap and unwrap once. */
static enum err
round_trip(void *p, const struct keyed *k)
{
	const struct provider_msg m = message(k);
	uint8_t text[KEY_LEN], sealed[128], back[KEY_LEN] = { 0 };
	size_t n = 0, got = 0;

	rand_bytes(text, sizeof(text));
	TRY(provider_pkcs11.wrap(
	    p, &m, text, sizeof(text), sealed, sizeof(sealed), &n));
	assert_int_equal(n, 12 + KEY_LEN + 16);
	TRY(provider_pkcs11.unwrap(p, &m, sealed, n, back, sizeof(back), &got));
	assert_int_equal(got, KEY_LEN);
	assert_memory_equal(text, back, KEY_LEN);
	sealed[20] ^= 1;
	memset(back, 0, sizeof(back));
	const enum err e =
	    provider_pkcs11.unwrap(p, &m, sealed, n, back, sizeof(back), &got);

	assert_int_not_equal(e, OK);
	for (size_t i = 0; i < sizeof(back); i++)
		assert_int_equal(back[i], 0);
	return e == ERR_AUTH ? OK : e;
}

/* Once it failed, it is tried again half a second later. */
static void
wait_retry(void)
{
	const struct timespec t = { .tv_nsec = 520000000 };

	(void)nanosleep(&t, NULL);
}

static void
test_messages(void **state)
{
	struct token *t = *state;
	void *p = provider(t, NULL, NULL);
	struct keyed k;

	assert_ok(provider_pkcs11.check(p, NULL, 0));
	assert_ok(provider_pkcs11.make_key(p, "t", "label", k.ref, &k.len));
	assert_ok(provider_pkcs11.check(p, k.ref, k.len));
	assert_ok(round_trip(p, &k));
	assert_ok(provider_pkcs11.destroy_key(p, k.ref, k.len));
	assert_int_equal(provider_pkcs11.check(p, k.ref, k.len), ERR_NOKEY);
	assert_int_equal(round_trip(p, &k), ERR_NOKEY);
	provider_pkcs11.close(p);
	assert_int_equal(t->f->open, 0);
}

static bool
allowed(enum err e)
{
	return e == OK || e == ERR_TIMEDOUT || e == ERR_NOMEM ||
	       e == ERR_CRYPTO || e == ERR_IO || e == ERR_AUTH ||
	       e == ERR_ACCESS;
}

/* The Nth call fails: an error or none, never wrong bytes, and afterwards all is
 * well. */
static void
fail_each(struct token *t, ck_rv_t rv)
{
	for (unsigned n = 1;; n++) {
		void *p = provider(t, NULL, NULL);
		struct keyed k = { .len = 0 };
		enum err e;

		t->f->calls = 0;
		t->f->fail_rv = rv;
		t->f->fail_at = n;
		e = provider_pkcs11.make_key(p, "t", "l", k.ref, &k.len);
		if (e == OK)
			e = round_trip(p, &k);
		const bool reached = t->f->calls >= n;

		t->f->fail_at = 0;
		if (!allowed(e))
			fail_msg("call %u: %s", n, err_name(e));
		if (e == ERR_TIMEDOUT)
			wait_retry();
		if (k.len == 0)
			assert_ok(provider_pkcs11.make_key(
			    p, "t", "l", k.ref, &k.len));
		assert_ok(round_trip(p, &k));
		assert_ok(provider_pkcs11.destroy_key(p, k.ref, k.len));
		provider_pkcs11.close(p);
		assert_int_equal(t->f->shared, 0);
		if (!reached)
			break;
	}
}

static void
test_each_call(void **state)
{
	fail_each(*state, CKR_DEVICE_REMOVED);
	fail_each(*state, CKR_SESSION_HANDLE_INVALID);
	fail_each(*state, CKR_GENERAL_ERROR);
	fail_each(*state, CKR_HOST_MEMORY);
}

static void
test_gone_and_back(void **state)
{
	struct token *t = *state;
	void *p = provider(t, NULL, NULL);
	struct keyed k;

	assert_ok(provider_pkcs11.make_key(p, "t", "l", k.ref, &k.len));
	for (unsigned i = 0; i < 2; i++) {
		t->f->sticky = i == 1;
		t->f->gone = true;
		assert_int_equal(round_trip(p, &k), ERR_TIMEDOUT);
		/* Others are told at once; the token is not asked again. */
		t->f->calls = 0;
		assert_int_equal(round_trip(p, &k), ERR_TIMEDOUT);
		assert_int_equal(t->f->calls, 0);
		wait_retry();
		assert_int_equal(
		    provider_pkcs11.check(p, NULL, 0), ERR_TIMEDOUT);
		t->f->gone = false;
		wait_retry();
		assert_ok(round_trip(p, &k));
	}
	provider_pkcs11.close(p);
}

struct worker {
	void *p;
	const struct keyed *k;
	atomic_bool *stop;
	unsigned good, timed, other;
};

static void *
work(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop)) {
		const enum err e = round_trip(w->p, w->k);

		if (e == OK)
			w->good++;
		else if (e == ERR_TIMEDOUT)
			w->timed++;
		else
			w->other++;
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct token *t = *state;
	void *p = provider(t, NULL, NULL);
	struct worker w[8];
	pthread_t id[COUNTOF(w)];
	atomic_bool stop = false;
	struct keyed k;
	unsigned good = 0, timed = 0;

	assert_ok(provider_pkcs11.make_key(p, "t", "l", k.ref, &k.len));
	for (size_t i = 0; i < COUNTOF(w); i++) {
		w[i] = (struct worker){ .p = p, .k = &k, .stop = &stop };
		assert_int_equal(pthread_create(&id[i], NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		wait_retry();
		t->f->gone = true;
		wait_retry();
		t->f->gone = false;
	}
	wait_retry();
	wait_retry();
	stop = true;
	for (size_t i = 0; i < COUNTOF(w); i++) {
		assert_int_equal(pthread_join(id[i], NULL), 0);
		assert_int_equal(w[i].other, 0);
		good += w[i].good;
		timed += w[i].timed;
	}
	assert_true(good > 0);
	assert_true(timed > 0);
	assert_int_equal(t->f->shared, 0);
	assert_ok(round_trip(p, &k));
	provider_pkcs11.close(p);
}

static void
test_pin(void **state)
{
	struct token *t = *state;
	void *p = provider(t, NULL, NULL);

	put_pin(t, "4321\n");
	assert_int_equal(provider_pkcs11.check(p, NULL, 0), ERR_ACCESS);
	for (unsigned i = 0; i < 2; i++) {
		wait_retry();
		assert_int_equal(provider_pkcs11.check(p, NULL, 0), ERR_ACCESS);
	}
	assert_int_equal(t->f->wrong_pins, 1);
	put_pin(t, "1234");
	wait_retry();
	assert_ok(provider_pkcs11.check(p, NULL, 0));
	provider_pkcs11.close(p);

	p = provider(t, NULL, NULL);
	assert_int_equal(chmod(t->pin, 0640), 0);
	assert_int_equal(provider_pkcs11.check(p, NULL, 0), ERR_ACCESS);
	provider_pkcs11.close(p);
}

static void
test_nonces(void **state)
{
	struct token *t = *state;
	void *p = provider(t, "iv", "token");
	struct provider_msg m;
	uint8_t sealed[128];
	struct keyed k;
	size_t n = 0;

	assert_ok(provider_pkcs11.make_key(p, "t", "l", k.ref, &k.len));
	m = message(&k);
	/* A token that makes none must not encrypt under zeros twice. */
	assert_int_equal(provider_pkcs11.wrap(p, &m, sealed, 32, sealed + 32,
			     sizeof(sealed) - 32, &n),
	    ERR_CRYPTO);
	t->f->makes_iv = true;
	assert_ok(round_trip(p, &k));
	provider_pkcs11.close(p);
	/* One that makes it unasked. */
	p = provider(t, "iv", "caller");
	assert_ok(round_trip(p, &k));
	assert_ok(provider_pkcs11.destroy_key(p, k.ref, k.len));
	provider_pkcs11.close(p);
}

static void
test_loose_keys(void **state)
{
	struct token *t = *state;
	void *p = provider(t, NULL, NULL);
	struct keyed k;

	t->f->can_leave = true;
	assert_int_equal(
	    provider_pkcs11.make_key(p, "t", "l", k.ref, &k.len), ERR_ACCESS);
	provider_pkcs11.close(p);
}

/* ---- In a keystore -------------------------------------------------------- */

static struct kms *
keystore(const struct token *t)
{
	const struct provider_option opt[] = { { "token", "fake" },
		{ "pin-source", t->pin } };
	const struct provider_conf conf = { t->module, opt, 2 };
	struct kms *k = place_open(t->p);

	assert_ok(kms_provider_add(k, &root_user, "hsm", &conf));
	return k;
}

static void
test_keystore(void **state)
{
	struct token *t = *state;
	struct kms *k = keystore(t);
	const struct kms_new n = { .provider = "hsm" };
	struct kms_desc d;
	struct sample s;
	bool moved;

	assert_ok(kms_key_new(k, &root_user, &n, &d));
	assert_string_equal(d.provider, "hsm");
	sample_make(k, d.id, &s);
	assert_int_equal(s.len, 132);
	assert_int_equal(s.blob[5], 2);
	/* Head and context are bound in, but for the place of the nonce. */
	assert_memory_equal(t->f->aad, s.blob, 44);
	assert_memory_equal(t->f->aad + 56, s.blob + 56, 28);
	assert_memory_equal(t->f->aad + 84, "ctx1", 4);
	assert_ok(sample_open(k, &s));
	assert_memory_equal(t->f->aad, s.blob, 44);
	for (size_t i = 0; i < 8 * s.len; i++) {
		s.blob[i / 8] ^= (uint8_t)(1 << (i % 8));
		assert_int_not_equal(sample_open(k, &s), OK);
		s.blob[i / 8] ^= (uint8_t)(1 << (i % 8));
	}
	/* Another version of the same key does not open it. */
	assert_ok(kms_key_move(k, &root_user, d.id, KMS_LOCAL, &moved));
	assert_true(moved);
	s.blob[27] = 2;
	assert_int_equal(sample_open(k, &s), ERR_AUTH);
	s.blob[27] = 1;
	assert_ok(sample_open(k, &s));
	t->f->gone = true;
	assert_int_equal(sample_open(k, &s), ERR_TIMEDOUT);
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.state, KMS_ENABLED);
	assert_string_equal(d.provider, "local");
	t->f->gone = false;
	kms_close(k);
	k = place_open(t->p);
	assert_ok(sample_open(k, &s));
	assert_int_equal(
	    kms_provider_remove(k, &root_user, "hsm"), ERR_KEYINUSE);
	kms_close(k);
	key_free(s.dek);
}

static void
set_wraps(const struct token *t, uint64_t wraps)
{
	char cmd[400];

	(void)snprintf(cmd, sizeof(cmd),
	    "sqlite3 %s 'UPDATE versions SET wraps = %llu WHERE provider <> 0'",
	    t->p->path, (unsigned long long)wraps);
	assert_int_equal(system(cmd), 0);
}

/* 2^32 messages under one key: a new one at half, refused at the end. */
static void
test_limit(void **state)
{
	struct token *t = *state;
	struct kms *k = keystore(t);
	const struct kms_new n = { .provider = "hsm" };
	struct kms_desc d;
	struct sample s;

	assert_ok(kms_key_new(k, &root_user, &n, &d));
	sample_make(k, d.id, &s);
	key_free(s.dek);
	kms_close(k);
	set_wraps(t, UINT64_C(1) << 31);
	k = place_open(t->p);
	sample_make(k, d.id, &s);
	key_free(s.dek);
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.version, 2);
	assert_string_equal(d.provider, "hsm");
	kms_close(k);
	set_wraps(t, UINT64_C(1) << 32);
	k = place_open(t->p);
	struct key *dek = key_new();

	assert_non_null(dek);
	assert_int_equal(kms_data_key(k, &root_user, d.id, some_ctx, 2, dek,
			     s.blob, &s.len, s.arn),
	    ERR_LIMIT);
	/* It has helped itself. */
	sample_make(k, d.id, &s);
	assert_int_equal(s.blob[27], 3);
	key_free(s.dek);
	key_free(dek);
	kms_close(k);
}

static unsigned
ms_since(uint64_t from)
{
	return (unsigned)((clock_mono_ns() - from) / 1000000);
}

/* Wait until no call hangs. */
static void
wait_ms(unsigned ms)
{
	const struct timespec t = { .tv_sec = ms / 1000,
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* A machine that is busy may be late with any of it: then all is tried again. */
#define IN_TIME(cond)                                                    \
	do {                                                             \
		if (!(cond)) {                                           \
			print_message("line %d: %s\n", __LINE__, #cond); \
			return (false);                                  \
		}                                                        \
	} while (0)

static bool
hangs(struct token *t, void *p, const struct keyed *k)
{
	uint64_t from;

	t->f->hang_ms = 4000;
	t->f->hang = 1;
	from = clock_mono_ns();
	IN_TIME(round_trip(p, k) == ERR_TIMEDOUT);
	assert_non_null(strstr(err_detail(ERR_TIMEDOUT), "500 ms"));
	assert_true(ms_since(from) >= 500);
	IN_TIME(ms_since(from) <= 3500);
	/* Who comes now does not wait. */
	from = clock_mono_ns();
	IN_TIME(round_trip(p, k) == ERR_TIMEDOUT);
	IN_TIME(ms_since(from) < 400);
	/* A second later another session serves, while the first one hangs. */
	wait_ms(1100);
	from = clock_mono_ns();
	IN_TIME(round_trip(p, k) == OK);
	IN_TIME(ms_since(from) < 2000);
	wait_ms(3000);
	for (unsigned i = 0; i < 8; i++)
		IN_TIME(round_trip(p, k) == OK);
	/* All of them, and whoever waits behind. */
	t->f->hang_ms = 3000;
	t->f->hang = 100;
	for (unsigned i = 0; i < 3; i++) {
		from = clock_mono_ns();
		IN_TIME(round_trip(p, k) == ERR_TIMEDOUT);
		IN_TIME(ms_since(from) < 2500);
	}
	t->f->hang = 0;
	wait_ms(3500);
	IN_TIME(round_trip(p, k) == OK);
	t->f->hang_ms = 4000;
	t->f->hang = 1;
	IN_TIME(round_trip(p, k) == ERR_TIMEDOUT);
	return (true);
}

/* A call that hangs costs its caller the time limit, and nobody else; nor is the
 * end held up. */
static void
test_hangs(void **state)
{
	struct token *t = *state;
	bool done = false;

	for (unsigned i = 0; i < 4 && !done; i++) {
		void *p = provider(t, "timeout", "500");
		struct keyed k;
		uint64_t from;

		wait_ms(i == 0 ? 0 : 5000);
		if (provider_pkcs11.make_key(p, "t", "label", k.ref, &k.len) ==
			OK &&
		    round_trip(p, &k) == OK)
			done = hangs(t, p, &k);
		from = clock_mono_ns();
		provider_pkcs11.close(p);
		done = done && ms_since(from) < 3000;
		t->f->hang = 0;
		assert_int_equal(t->f->shared, 0);
	}
	assert_true(done);
	wait_ms(4500);
}

/* The keystore master key under a key in the token, in a slot. */
static void
test_slot(void **state)
{
	struct token *t = *state;
	char uri[2 * PATH_MAX];
	const struct kms_root root = { .kind = KMS_ROOT_TOKEN, .path = uri };
	struct kms *k = place_open(t->p);
	const unsigned before = t->f->keys;

	(void)snprintf(uri, sizeof(uri),
	    "pkcs11:token=fake?module-path=%s&pin-source=%s", t->module,
	    t->pin);
	/* As in FIPS mode: it makes nonces, and takes none. */
	t->f->makes_iv = t->f->no_iv = true;
	assert_ok(kms_slot_add(k, &root_user, &root));
	assert_int_equal(t->f->keys, before + 1);
	t->f->makes_iv = t->f->no_iv = false;
	assert_ok(kms_slot_change(k, &root_user, 1, &root));
	assert_int_equal(t->f->keys, before + 2);
	/* One that fails leaves nothing. */
	t->f->no_iv = true;
	assert_int_equal(kms_slot_change(k, &root_user, 1, &root), ERR_CRYPTO);
	t->f->no_iv = false;
	assert_int_equal(t->f->keys, before + 2);
	assert_int_equal(kms_slot_change(k, &root_user, 9, &root), ERR_NOENT);
	assert_int_equal(t->f->keys, before + 2);
	assert_ok(kms_slot_remove(k, &root_user, 0));
	kms_close(k);
	assert_ok(kms_open(t->p->path, &root, &k));
	kms_close(k);
	t->f->gone = true;
	assert_int_equal(kms_open(t->p->path, &root, &k), ERR_TIMEDOUT);
	t->f->gone = false;
	put_pin(t, "4321\n");
	assert_int_equal(kms_open(t->p->path, &root, &k), ERR_ROOTKEY);
	put_pin(t, "1234\n");
	assert_ok(kms_open(t->p->path, &root, &k));
	kms_close(k);
	assert_int_equal(t->f->open, 0);
}

/* What was looked at is what is named after that, whatever a link becomes. */
static void
test_module_path(void **state)
{
	const struct token *t = *state;
	char *real = realpath("/bin/sh", NULL);
	char path[PATH_MAX], other[PATH_MAX];
	struct p11_module *m, *n;

	assert_non_null(real);
	(void)snprintf(other, sizeof(other), "%s/link.so", t->p->dir);
	assert_int_equal(symlink("/bin/sh", other), 0);
	(void)snprintf(path, sizeof(path), "%s", other);
	assert_ok(p11_module_resolve(path));
	assert_string_equal(path, real);
	(void)snprintf(path, sizeof(path), "/proc/self/root/bin/sh");
	assert_ok(p11_module_resolve(path));
	assert_string_equal(path, real);
	free(real);
	(void)snprintf(path, sizeof(path), "%s", t->pin);
	assert_int_equal(p11_module_resolve(path), ERR_ACCESS);
	(void)snprintf(path, sizeof(path), "/nowhere/at/all");
	assert_int_equal(p11_module_resolve(path), ERR_ACCESS);

	/* Two paths of one library. */
	assert_int_equal(unlink(other), 0);
	assert_int_equal(symlink(t->module, other), 0);
	assert_ok(p11_module_get(t->module, &m));
	assert_ok(p11_module_get(other, &n));
	assert_ptr_equal(m, n);
	p11_module_put(n);
	p11_module_put(m);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, token_setup, token_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_module_path),
		TEST(test_messages),
		TEST(test_each_call),
		TEST(test_gone_and_back),
		TEST(test_threads),
		TEST(test_pin),
		TEST(test_nonces),
		TEST(test_loose_keys),
		TEST(test_keystore),
		TEST(test_limit),
		TEST(test_slot),
		TEST(test_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
