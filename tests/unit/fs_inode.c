/* fs/inode: the table of referenced inodes, against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/inode.h"

static void
free_table(struct inodes **t)
{
	inodes_free(*t);
}
#define CLEANUP_TABLE CLEANUP(free_table)

static struct inodes *
fresh(void)
{
	struct inodes *t = NULL;

	assert_int_equal(inodes_create(&t), OK);
	return (t);
}

static size_t
count(struct inodes *t)
{
	size_t n = 0, bytes = 0;

	inodes_usage(t, &n, &bytes);
	return (n);
}

static void
test_references(void **state UNUSED)
{
	struct inodes *t CLEANUP_TABLE = fresh();

	assert_int_equal(inodes_hold(t, 7, 1, INODE_NOXATTR), OK);
	assert_int_equal(inodes_hold(t, 7, INODE_SAME_KEY, INODE_SETID), OK);
	assert_int_equal(inodes_flags(t, 7), INODE_NOXATTR | INODE_SETID);
	assert_false(inodes_drop(t, 7, 1));
	assert_int_equal(count(t), 1);
	assert_false(inodes_drop(t, 7, 1));
	assert_int_equal(count(t), 0);
	assert_int_equal(inodes_flags(t, 7), 0);
	assert_false(inodes_drop(t, 7, 1));
	assert_int_equal(inodes_hold(t, 0, 0, 0), ERR_LIMIT);
	assert_int_equal(inodes_hold(t, INODE_INO_MAX, 0, 0), OK);
	assert_int_equal(inodes_hold(t, INODE_INO_MAX + 1, 0, 0), ERR_LIMIT);
}

/* An inode without names goes with its last reference, or at once. */
static void
test_gone(void **state UNUSED)
{
	struct inodes *t CLEANUP_TABLE = fresh();

	assert_true(inodes_gone(t, 9));
	assert_int_equal(inodes_hold(t, 9, 0, 0), OK);
	assert_int_equal(inodes_hold(t, 9, 0, 0), OK);
	assert_false(inodes_gone(t, 9));
	assert_false(inodes_drop(t, 9, 1));
	assert_true(inodes_drop(t, 9, 1));
	/* Linked again meanwhile. */
	assert_int_equal(inodes_hold(t, 9, 0, INODE_GONE), OK);
	inodes_mark(t, 9, 0, INODE_GONE, 0);
	assert_false(inodes_drop(t, 9, 1));
}

static void
test_mark(void **state UNUSED)
{
	struct inodes *t CLEANUP_TABLE = fresh();

	inodes_mark(t, 5, INODE_SETID, 0, 0);
	assert_int_equal(inodes_flags(t, 5), 0);
	assert_int_equal(inodes_hold(t, 5, 0, INODE_XATTRSET), OK);
	inodes_mark(t, 5, INODE_NOXATTR, 0, INODE_XATTRSET);
	assert_int_equal(inodes_flags(t, 5), INODE_XATTRSET);
	inodes_mark(t, 5, INODE_SETID, INODE_XATTRSET, 0);
	assert_int_equal(inodes_flags(t, 5), INODE_SETID);
}

struct sum {
	uint64_t inos;
	size_t n;
};

static void
add(void *arg, uint64_t ino)
{
	struct sum *s = arg;

	s->inos += ino;
	s->n++;
}

static void
test_each(void **state UNUSED)
{
	struct inodes *t CLEANUP_TABLE = fresh();
	struct sum s = { 0, 0 };
	uint64_t expect = 0;

	for (uint64_t i = 1; i <= 1000; i++)
		assert_int_equal(inodes_hold(t, i, (uint32_t)(i % 3),
				     i % 10 == 0 ? INODE_GONE : 0),
		    OK);
	for (uint64_t i = 2; i <= 1000; i += 3)
		expect += i;
	assert_int_equal(inodes_each_key(t, 2, add, &s), OK);
	assert_int_equal(s.inos, expect);
	inodes_set_key(t, 2, 1);
	s = (struct sum){ 0, 0 };
	assert_int_equal(inodes_each_key(t, 2, add, &s), OK);
	assert_int_equal(s.inos, expect - 2);
	s = (struct sum){ 0, 0 };
	assert_int_equal(inodes_each_gone(t, add, &s), OK);
	assert_int_equal(s.n, 100);
}

static uint64_t
next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return (*x);
}

/* Random references to few inodes, so that slots collide, move and are freed;
 * numbers far apart as well as consecutive. */
static void
test_random(void **state UNUSED)
{
	struct inodes *t CLEANUP_TABLE = fresh();
	static uint32_t refs[4096];
	uint64_t x = 88172645463325252u;
	size_t live = 0;

	for (int i = 0; i < 400000; i++) {
		const size_t k = next(&x) % COUNTOF(refs);
		const uint64_t ino =
		    k < 2048 ? k + 1 : (uint64_t)k * 1000003 * 4099;

		if (next(&x) % 2 == 0) {
			assert_int_equal(inodes_hold(t, ino, 0, 0), OK);
			live += refs[k]++ == 0;
		} else if (refs[k] > 0) {
			assert_false(inodes_drop(t, ino, 1));
			live -= --refs[k] == 0;
		}
		if (i % 10000 == 0)
			assert_int_equal(count(t), live);
	}
	for (size_t k = 0; k < COUNTOF(refs); k++)
		if (refs[k] > 0)
			assert_false(inodes_drop(t,
			    k < 2048 ? k + 1 : (uint64_t)k * 1000003 * 4099,
			    refs[k]));
	assert_int_equal(count(t), 0);
}

/* A million inodes cost at most 32 MB, and give it back. */
static void
test_million(void **state UNUSED)
{
	struct inodes *t CLEANUP_TABLE = fresh();
	const uint64_t n = 1000000;
	size_t have = 0, bytes = 0;

	for (uint64_t i = 1; i <= n; i++)
		assert_int_equal(inodes_hold(t, i, 0, 0), OK);
	inodes_usage(t, &have, &bytes);
	assert_int_equal(have, n);
	assert_true(bytes <= (size_t)32 << 20);
	for (uint64_t i = 1; i <= n; i++)
		assert_false(inodes_drop(t, i, 1));
	inodes_usage(t, &have, &bytes);
	assert_int_equal(have, 0);
	assert_true(bytes <= (size_t)64 << 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_million),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
