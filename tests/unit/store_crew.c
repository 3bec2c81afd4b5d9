/* store/crew: who helps is not held by the policy and processor of the worker
 * that was the first to need help. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "store/crew.h"

#define WAIT_MS 60000

static pid_t asker;
static atomic_bool helped;
static bool may; /* the asker went aside */
static int policy = -1, processors;

/* The asker leaves the other piece to a helper. */
static enum err
piece(void *arg UNUSED, size_t i UNUSED)
{
	cpu_set_t set;

	if (gettid() == asker) {
		for (int ms = 0; !helped && ms < WAIT_MS; ms++)
			(void)usleep(1000);
		return OK;
	}
	policy = sched_getscheduler(0);
	CPU_ZERO(&set);
	(void)sched_getaffinity(0, sizeof(set), &set);
	processors = CPU_COUNT(&set);
	helped = true;
	return OK;
}

static void *
ask(void *arg UNUSED)
{
	const struct sched_param p = { .sched_priority = 0 };
	cpu_set_t set;

	asker = gettid();
	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	may = sched_setscheduler(0, SCHED_IDLE, &p) == 0 &&
	      sched_setscheduler(0, SCHED_OTHER, &p) == 0 &&
	      sched_setscheduler(0, SCHED_IDLE, &p) == 0 &&
	      sched_setaffinity(0, sizeof(set), &set) == 0;
	if (!may)
		return NULL;
	return crew_run(2, piece, NULL) == OK ? &helped : NULL;
}

static void
test_helpers_run_anywhere(void **state UNUSED)
{
	cpu_set_t set;
	pthread_t t;
	void *good;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip();
	assert_int_equal(pthread_create(&t, NULL, ask, NULL), 0);
	assert_int_equal(pthread_join(t, &good), 0);
	if (!may)
		skip();
	assert_non_null(good);
	assert_true(helped);
	assert_int_equal(policy, sched_getscheduler(0));
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_int_equal(processors, CPU_COUNT(&set));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_helpers_run_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
