/* lib/base/thread: a thread is not held by its maker's policy and processor. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

#include "lib/base/thread.h"

struct place {
	int policy, processors;
};

static struct place
place_now(void)
{
	struct place p = { .policy = sched_getscheduler(0) };
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	p.processors = CPU_COUNT(&set);
	return p;
}

static void *
note_place(void *arg)
{
	*(struct place *)arg = place_now();
	return NULL;
}

/* As a worker of the mount does it, when it may get out again. */
static bool
go_aside(void)
{
	const struct sched_param p = { .sched_priority = 0 };
	cpu_set_t set;

	if (sched_setscheduler(0, SCHED_IDLE, &p) != 0 ||
	    sched_setscheduler(0, SCHED_OTHER, &p) != 0 ||
	    sched_setscheduler(0, SCHED_IDLE, &p) != 0)
		return false;
	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
	return true;
}

/* Where a thread runs that another one makes, which went aside or not. */
struct pair {
	bool aside, may;
	struct place maker, made;
};

static void *
make_one(void *arg)
{
	struct pair *p = arg;
	pthread_t t;

	p->may = !p->aside || go_aside();
	p->maker = place_now();
	assert_int_equal(thread_make(note_place, &p->made, &t), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	return NULL;
}

static void
play(struct pair *p)
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, make_one, p), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
}

static void
test_as_the_process(void **state UNUSED)
{
	const struct place main_thread = place_now();
	struct pair plain = { .aside = false }, aside = { .aside = true };

	play(&plain);
	assert_int_equal(plain.made.policy, main_thread.policy);
	assert_int_equal(plain.made.processors, main_thread.processors);
	play(&aside);
	if (!aside.may)
		skip();
	assert_int_equal(aside.maker.policy, SCHED_IDLE);
	assert_int_equal(aside.maker.processors, 1);
	assert_int_equal(aside.made.policy, main_thread.policy);
	assert_int_equal(aside.made.processors, main_thread.processors);
}

static void *
tell(void *arg)
{
	const int fd = *(const int *)arg;

	assert_int_equal(write(fd, "x", 1), 1);
	return NULL;
}

static void
test_joined_by_nobody(void **state UNUSED)
{
	int fd[2];
	char c = 0;

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(thread_make(tell, &fd[1], NULL), 0);
	assert_int_equal(read(fd[0], &c, 1), 1);
	assert_int_equal(c, 'x');
	(void)close(fd[0]);
	(void)close(fd[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_process),
		cmocka_unit_test(test_joined_by_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
