#include <sched.h>
#include <unistd.h>

#include "lib/base/thread.h"

/* What a new thread is to have instead of its maker's; what cannot be set stays
 * inherited. */
static void
own_place(pthread_attr_t *a)
{
	const pid_t main_thread = getpid();
	cpu_set_t set;

	if (sched_getaffinity(main_thread, sizeof(set), &set) == 0)
		(void)pthread_attr_setaffinity_np(a, sizeof(set), &set);
	if (sched_getscheduler(0) == SCHED_IDLE &&
	    sched_getscheduler(main_thread) == SCHED_OTHER) {
		(void)pthread_attr_setschedpolicy(a, SCHED_OTHER);
		(void)pthread_attr_setinheritsched(a, PTHREAD_EXPLICIT_SCHED);
	}
}

int
thread_make(void *(*run)(void *arg), void *arg, pthread_t *ret)
{
	pthread_attr_t a;
	pthread_t t;
	int rc = pthread_attr_init(&a);

	if (rc != 0)
		return rc;
	if (ret == NULL) {
		(void)pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
		ret = &t;
	}
	own_place(&a);
	rc = pthread_create(ret, &a, run, arg);
	(void)pthread_attr_destroy(&a);
	return rc;
}
