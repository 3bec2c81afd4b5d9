/* kms/remote_cache: ages, uses, errors, groups, and one question at a time. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "crypto/secret.h"
#include "kms/remote_cache.h"
#include "lib/base/buf.h"

#define S UINT64_C(1000000000)

static const uint8_t ids[3][SHA256_LEN] = { { 1 }, { 2 }, { 3 } };

/* True when the answer was there; it must be ${want}. */
static bool
hit(struct rcache *c, unsigned id, uint64_t now, const char *want)
{
	uint8_t b[16] = { 0 };
	size_t n = 0;
	bool mine = false;

	assert_int_equal(
	    rcache_begin(c, ids[id], now, b, sizeof(b), &n, &mine), OK);
	if (mine) {
		rcache_end(c, ids[id], id, now, ERR_BUSY, NULL, 0);
		return false;
	}
	assert_int_equal(n, strlen(want));
	assert_memory_equal(b, want, n);
	return true;
}

static void
put(struct rcache *c, unsigned id, uint64_t now, const char *what)
{
	rcache_put(c, ids[id], id, now, (const uint8_t *)what, strlen(what));
}

static void
test_age(void **state UNUSED)
{
	struct rcache *c = NULL;

	assert_int_equal(rcache_new(10, 0, &c), OK);
	put(c, 0, 5 * S, "zero");
	put(c, 1, 7 * S, "one");
	assert_true(hit(c, 0, 15 * S - 1, "zero"));
	assert_false(hit(c, 0, 15 * S, ""));
	assert_true(hit(c, 1, 17 * S - 1, "one"));
	assert_false(hit(c, 1, 17 * S, ""));
	/* What has ended is gone, and not only unused. */
	assert_false(hit(c, 2, 40 * S, ""));
	assert_int_equal(rcache_count(c), 1);
	rcache_free(c);
}

static void
test_uses(void **state UNUSED)
{
	struct rcache *c = NULL;

	assert_int_equal(rcache_new(10, 2, &c), OK);
	put(c, 0, S, "zero");
	assert_true(hit(c, 0, S, "zero"));
	assert_true(hit(c, 0, S, "zero"));
	assert_false(hit(c, 0, S, ""));
	rcache_free(c);
	assert_int_equal(rcache_new(0, 0, &c), OK);
	put(c, 0, S, "zero");
	assert_int_equal(rcache_count(c), 0);
	rcache_free(c);
}

/* Errors are kept for a second, with their sentences. */
static void
test_errors(void **state UNUSED)
{
	struct rcache *c = NULL;
	uint8_t b[16];
	size_t n = 0;
	bool mine = false;

	assert_int_equal(rcache_new(10, 0, &c), OK);
	assert_int_equal(
	    rcache_begin(c, ids[0], S, b, sizeof(b), &n, &mine), OK);
	assert_true(mine);
	rcache_end(c, ids[0], 0, S, err_fail(ERR_NOKEY, "why %d", 1), NULL, 0);
	err_clear();
	assert_int_equal(
	    rcache_begin(c, ids[0], 2 * S - 1, b, sizeof(b), &n, &mine),
	    ERR_NOKEY);
	assert_string_equal(err_detail(ERR_NOKEY), "why 1");
	assert_int_equal(
	    rcache_begin(c, ids[0], 2 * S, b, sizeof(b), &n, &mine), OK);
	assert_true(mine);
	rcache_end(c, ids[0], 0, 2 * S, OK, b, 16);
	assert_int_equal(
	    rcache_begin(c, ids[0], 2 * S, b, 15, &n, &mine), ERR_LIMIT);
	rcache_free(c);
}

static void
test_drop(void **state UNUSED)
{
	struct rcache *c = NULL;
	uint8_t id[SHA256_LEN] = { 0 };

	assert_int_equal(rcache_new(10, 0, &c), OK);
	for (unsigned i = 0; i < 3; i++)
		put(c, i, S, "x");
	rcache_drop(c, 1);
	assert_int_equal(rcache_count(c), 2);
	assert_true(hit(c, 0, S, "x"));
	assert_false(hit(c, 1, S, ""));
	assert_true(hit(c, 2, S, "x"));
	/* Never more than fit; the oldest go. */
	for (unsigned i = 0; i < RCACHE_ENTRIES + 9; i++) {
		put_u32(id + 4, i);
		rcache_put(c, id, 7, S, id, 8);
	}
	assert_int_equal(rcache_count(c), RCACHE_ENTRIES);
	assert_false(hit(c, 0, S, ""));
	rcache_drop(c, 7);
	assert_int_equal(rcache_count(c), 1);
	rcache_free(c);
}

struct asker {
	struct rcache *c;
	unsigned *asked;
	bool good;
};

enum { ASKERS = 50 };
static atomic_uint came;

static void *
asker_main(void *arg)
{
	struct asker *a = arg;
	const struct timespec t = { .tv_nsec = 50000000 };
	uint8_t b[8] = { 0 };
	size_t n = 0;
	bool mine = false;

	(void)atomic_fetch_add(&came, 1);
	if (rcache_begin(a->c, ids[0], S, b, sizeof(b), &n, &mine) != OK)
		return NULL;
	if (mine) {
		do
			(void)nanosleep(&t, NULL);
		while (atomic_load(&came) < ASKERS);
		(*a->asked)++;
		rcache_end(
		    a->c, ids[0], 0, S, OK, (const uint8_t *)"answer", 6);
		memcpy(b, "answer", 6);
	}
	a->good = memcmp(b, "answer", 6) == 0;
	return NULL;
}

/* Fifty ask, one question is put; even when nothing is kept. */
static void
test_flight(void **state UNUSED)
{
	struct rcache *c = NULL;
	struct asker a[ASKERS];
	pthread_t t[ASKERS];
	unsigned asked = 0;

	assert_int_equal(rcache_new(10, 0, &c), OK);
	for (unsigned i = 0; i < ASKERS; i++) {
		a[i] = (struct asker){ c, &asked, false };
		assert_int_equal(
		    pthread_create(&t[i], NULL, asker_main, &a[i]), 0);
	}
	for (unsigned i = 0; i < ASKERS; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_true(a[i].good);
	}
	assert_int_equal(asked, 1);
	rcache_free(c);
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
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_uses),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_flight),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
