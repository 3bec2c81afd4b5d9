/* crypto/rand: every size, never twice, not in threads, not in a child. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/rand.h"
#include "crypto/secret.h"

static void
test_sizes(void **state UNUSED)
{
	uint8_t p[2048];

	for (size_t len = 0; len < 1500; len += len < 600 ? 1 : 97) {
		memset(p, 0, sizeof(p));
		rand_bytes(p, len);
		for (size_t i = len; i < sizeof(p); i++)
			assert_int_equal(p[i], 0);
		/* 16 zero bytes at the end do not happen by chance. */
		if (len >= 16)
			assert_memory_not_equal(
			    p + len - 16, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	}
}

#define DRAWS 20000
static uint8_t draws[2][DRAWS][12];

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, 12);
}

static void *
draw(void *arg)
{
	uint8_t(*to)[12] = arg;

	for (size_t i = 0; i < DRAWS; i++)
		rand_bytes(to[i], 12);
	return NULL;
}

static void
test_never_twice(void **state UNUSED)
{
	uint8_t(*all)[12] = draws[0];
	size_t ones = 0;
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, draw, draws[0]), 0);
	(void)draw(draws[1]);
	assert_int_equal(pthread_join(t, NULL), 0);
	qsort(draws, sizeof(draws) / 12, 12, compare);
	for (size_t i = 1; i < sizeof(draws) / 12; i++)
		assert_memory_not_equal(all[i - 1], all[i], 12);
	for (size_t i = 0; i < sizeof(draws); i++)
		ones += (size_t)__builtin_popcount((&all[0][0])[i]);
	/* 3.84 million bits: six sigma are 5879. */
	assert_in_range(
	    ones, sizeof(draws) * 4 - 6000, sizeof(draws) * 4 + 6000);
}

static void
test_fork(void **state UNUSED)
{
	uint8_t mine[300], theirs[2][300];
	int fds[2], status = 0;

	/* Leaves most of a pool behind for the children to inherit. */
	rand_bytes(mine, 1);
	assert_int_equal(pipe(fds), 0);
	for (int i = 0; i < 2; i++) {
		const pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			for (size_t j = 0; j < sizeof(mine); j += 12)
				rand_bytes(mine + j, 12);
			_exit(write(fds[1], mine, sizeof(mine)) == sizeof(mine)
				  ? 0
				  : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(
		    read(fds[0], theirs[i], sizeof(mine)), sizeof(mine));
	}
	for (size_t j = 0; j < sizeof(mine); j += 12)
		rand_bytes(mine + j, 12);
	for (size_t j = 0; j < sizeof(mine); j += 12) {
		for (size_t k = 0; k < sizeof(mine); k += 12) {
			assert_memory_not_equal(mine + j, theirs[0] + k, 12);
			assert_memory_not_equal(mine + j, theirs[1] + k, 12);
			assert_memory_not_equal(
			    theirs[0] + j, theirs[1] + k, 12);
		}
	}
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void *
draw_one(void *arg)
{
	rand_bytes(arg, 12);
	return NULL;
}

/* Pools are given back: more threads come and go than the arena has room
 * for pools. */
static void
test_many_threads(void **state UNUSED)
{
	uint8_t p[12];

	for (int i = 0; i < 9000; i++) {
		pthread_t t;
		assert_int_equal(pthread_create(&t, NULL, draw_one, p), 0);
		assert_int_equal(pthread_join(t, NULL), 0);
	}
	void *all = secret_alloc((size_t)3 << 20);
	assert_non_null(all);
	secret_free(all);
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
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_never_twice),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
