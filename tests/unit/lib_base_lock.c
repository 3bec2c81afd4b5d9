/* lib/base/lock: a broken order aborts; waiting, pairs, writers first. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/lock.h"

static struct lock low, high, twin;
static struct rwlock rw, rw2;

static int
setup(void **state UNUSED)
{
	lock_init(&low, RANK_FS_CONF, "low");
	lock_init(&high, RANK_LOG, "high");
	lock_init(&twin, RANK_LOG, "twin");
	rwlock_init(&rw, RANK_STORE_INODE, "rw");
	rwlock_init(&rw2, RANK_STORE_INODE, "rw2");
	return 0;
}

static int
teardown(void **state UNUSED)
{
	lock_destroy(&low);
	lock_destroy(&high);
	lock_destroy(&twin);
	rwlock_destroy(&rw);
	rwlock_destroy(&rw2);
	return 0;
}

/* True when ${f} aborts, in a child of its own. */
static bool
aborts(void (*f)(void))
{
	int status = 0;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		(void)dup2(null, STDERR_FILENO);
		(void)signal(SIGABRT, SIG_DFL);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void
falling_rank(void)
{
	lock_take(&high);
	lock_take(&low);
}

static void
same_rank(void)
{
	lock_take(&high);
	lock_take(&twin);
}

static void
same_lock(void)
{
	lock_take(&high);
	lock_take(&high);
}

static void
try_falling(void)
{
	lock_take(&high);
	if (lock_try(&low))
		lock_drop(&low);
}

static void
read_twice(void)
{
	rwlock_read(&rw);
	rwlock_read(&rw);
}

static void
falling_read(void)
{
	lock_take(&high);
	rwlock_read(&rw);
}

static void
falling_pair(void)
{
	lock_take(&high);
	rwlock_write_pair(&rw, &rw2);
}

static void
drop_not_held(void)
{
	lock_drop(&low);
}

static void
wait_not_held(void)
{
	pthread_cond_t c;

	lock_cond_init(&c);
	(void)lock_wait_for(&low, &c, 1);
}

static void
none_but_held(void)
{
	lock_take(&low);
	lock_assert_none();
}

static void
held_but_none(void)
{
	lock_assert_held(RANK_FS_CONF);
}

static void
rising(void)
{
	lock_assert_none();
	lock_take(&low);
	rwlock_read(&rw);
	lock_take(&high);
	lock_assert_held(RANK_FS_CONF);
	lock_assert_held(RANK_STORE_INODE);
	/* Dropped in any order; what is left still bounds what comes. */
	lock_drop(&low);
	lock_drop(&high);
	lock_take(&twin);
	rwlock_drop(&rw);
	lock_drop(&twin);
	lock_assert_none();
	rwlock_write_pair(&rw, &rw2);
	rwlock_drop_pair(&rw, &rw2);
	rwlock_write_pair(&rw, &rw);
	rwlock_drop_pair(&rw, &rw);
	lock_assert_none();
}

static void
dropped_out_of_order(void)
{
	rwlock_read(&rw);
	lock_take(&high);
	rwlock_drop(&rw);
	lock_take(&low);
}

static void
test_order(void **state UNUSED)
{
	assert_false(aborts(rising));
	assert_true(aborts(falling_rank));
	assert_true(aborts(same_rank));
	assert_true(aborts(same_lock));
	assert_true(aborts(try_falling));
	assert_true(aborts(read_twice));
	assert_true(aborts(falling_read));
	assert_true(aborts(falling_pair));
	assert_true(aborts(drop_not_held));
	assert_true(aborts(wait_not_held));
	assert_true(aborts(none_but_held));
	assert_true(aborts(held_but_none));
	assert_true(aborts(dropped_out_of_order));
}

static void
test_scopes(void **state UNUSED)
{
	{
		LOCK_SCOPE(&low);
		RWLOCK_READ_SCOPE(&rw);
		lock_assert_held(RANK_FS_CONF);
		lock_assert_held(RANK_STORE_INODE);
	}
	lock_assert_none();
	{
		RWLOCK_WRITE_SCOPE(&rw);
		lock_assert_held(RANK_STORE_INODE);
	}
	lock_assert_none();
}

static pthread_cond_t cond;
static bool ready;

static void *
waker(void *arg UNUSED)
{
	LOCK_SCOPE(&low);
	ready = true;
	(void)pthread_cond_broadcast(&cond);
	return NULL;
}

static void
test_wait(void **state UNUSED)
{
	pthread_t t;

	lock_cond_init(&cond);
	lock_take(&low);
	const uint64_t start = clock_mono_ns();
	while (lock_wait_for(&low, &cond, 20000000))
		continue;
	assert_true(clock_mono_ns() - start >= 20000000);
	assert_int_equal(pthread_create(&t, NULL, waker, NULL), 0);
	while (!ready)
		lock_wait(&low, &cond);
	lock_drop(&low);
	assert_int_equal(pthread_join(t, NULL), 0);
	lock_assert_none();
	(void)pthread_cond_destroy(&cond);
}

static void *
try_it(void *arg)
{
	bool *got = arg;

	*got = lock_try(&low);
	if (*got)
		lock_drop(&low);
	return NULL;
}

static void
test_try(void **state UNUSED)
{
	pthread_t t;
	bool got = true;

	lock_take(&low);
	assert_int_equal(pthread_create(&t, NULL, try_it, &got), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_false(got);
	lock_drop(&low);
	assert_true(lock_try(&low));
	lock_drop(&low);
}

static atomic_bool wrote;
static atomic_int waiter;

/* The thread that names itself in ${waiter} sleeps: in the lock, as it does
 * nothing else. */
static void
until_it_waits(void)
{
	char path[64], line[256] = "";

	for (unsigned i = 0; i < 6000; i++) {
		(void)usleep(10000);
		(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
		    atomic_load(&waiter));
		FILE *f = fopen(path, "r");
		if (f == NULL)
			continue;
		const char *state = NULL;
		if (fgets(line, sizeof(line), f) != NULL)
			state = strrchr(line, ')');
		assert_int_equal(fclose(f), 0);
		if (state != NULL && state[1] == ' ' && state[2] == 'S')
			return;
	}
	fail_msg("nobody waits");
}

static void *
writer(void *arg UNUSED)
{
	atomic_store(&waiter, gettid());
	rwlock_write(&rw);
	atomic_store(&wrote, true);
	rwlock_drop(&rw);
	return NULL;
}

static void *
reader(void *arg UNUSED)
{
	atomic_store(&waiter, gettid());
	rwlock_read(&rw);
	const bool after_writer = atomic_load(&wrote);
	rwlock_drop(&rw);
	return after_writer ? arg : NULL;
}

/* A reader that comes after a waiting writer is served after it. */
static void
test_writers_first(void **state UNUSED)
{
	pthread_t w, r;
	void *after = NULL;

	rwlock_read(&rw);
	assert_int_equal(pthread_create(&w, NULL, writer, NULL), 0);
	until_it_waits();
	atomic_store(&waiter, 0);
	assert_int_equal(pthread_create(&r, NULL, reader, &rw), 0);
	until_it_waits();
	assert_false(atomic_load(&wrote));
	rwlock_drop(&rw);
	assert_int_equal(pthread_join(w, NULL), 0);
	assert_int_equal(pthread_join(r, &after), 0);
	assert_ptr_equal(after, &rw);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_try),
		cmocka_unit_test(test_writers_first),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
