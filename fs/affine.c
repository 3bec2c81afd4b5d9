#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/attrs.h"
#include "lib/base/clock.h"

#include "fs/affine.h"

/* Quick requests between looks at the client.  A look costs as much as a few
 * requests, so it comes later while nothing changes and requests are served
 * fast. */
#define LOOK_MIN 16u
#define LOOK_MAX 256u
#define LOOK_NS (10ull * 1000 * 1000)
/* More changes of client than this part of them: let the kernel choose. */
#define OTHERS_PART 4u
#define STAT_PROCESSOR 39 /* field of /proc/PID/stat, proc(5) */
/* Mean wait to run, per request, that shows a rival for the processor.  The
 * client's own time between two requests is in it, too. */
#define DELAY_MAX_NS 250000u
#define RESENT_MIN_NS (100ull * 1000 * 1000)
#define RESENT_MAX_NS (15ull * 1000 * 1000 * 1000)

/* The processors this process may use, as it was started. */
static cpu_set_t all;
static bool may_yield;

static bool
policy_set(pid_t tid, int policy)
{
	const struct sched_param p = { .sched_priority = 0 };

	return (sched_setscheduler(tid, policy, &p) == 0);
}

/* Time this thread was ready and did not run; false where it is not told. */
static bool
delay_read(uint64_t *ret)
{
	char text[96];
	ssize_t n;
	char *p;

	int fd CLEANUP_CLOSE =
	    open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (false);
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return (false);
	text[n] = '\0';
	/* Time run, time waited, slices: proc(5). */
	p = strchr(text, ' ');
	if (p == NULL)
		return (false);
	*ret = strtoull(p + 1, NULL, 10);
	return (true);
}

/* In a thread that ends, for it might not get out again. */
static void *
try_yield(void *arg)
{
	uint64_t delay;
	bool *ret = arg;

	*ret = delay_read(&delay) && policy_set(0, SCHED_IDLE) &&
	       policy_set(0, SCHED_OTHER);
	return (NULL);
}

void
affine_setup(void)
{
	pthread_t t;

	if (sched_getaffinity(getpid(), sizeof(all), &all) != 0)
		CPU_ZERO(&all);
	if (sched_getscheduler(0) == SCHED_OTHER &&
	    pthread_create(&t, NULL, try_yield, &may_yield) == 0)
		(void)pthread_join(t, NULL);
}

/* Where thread ${tid} ran last; -1 when it is gone. */
static int
processor_of(pid_t tid)
{
	char path[32], text[1024];
	const char *p;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	int fd CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (-1);
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return (-1);
	text[n] = '\0';
	/* The name, field 2, may hold anything, so count from its end. */
	p = strrchr(text, ')');
	for (int field = 2; p != NULL && field < STAT_PROCESSOR; field++)
		p = strchr(p + 1, ' ');
	return (p == NULL ? -1 : atoi(p + 1));
}

static void
unyield(struct affine *a)
{
	if (a->yielding)
		a->yielding = !policy_set(0, SCHED_OTHER);
}

/* It did not go well.  Longer each time, until it has gone well for as long. */
static void
resent(struct affine *a, uint64_t now)
{
	a->slow = false;
	a->until = now + a->resent;
	if (a->resent < RESENT_MAX_NS)
		a->resent *= 2;
}

/* Take SCHED_IDLE, or leave it when it makes this thread wait for others. */
static void
yield_look(struct affine *a)
{
	const uint64_t now = clock_mono_ns();
	const uint64_t before = a->delay;

	if (!may_yield || now < a->until || !delay_read(&a->delay))
		return;
	if (!a->yielding) {
		a->yielding = policy_set(0, SCHED_IDLE);
		a->since = now;
		return;
	}
	/* Once, it may be what the client did between two bursts. */
	if (a->delay - before <= (uint64_t)DELAY_MAX_NS * a->seen) {
		if (now - a->since >= a->resent)
			a->resent = RESENT_MIN_NS;
		a->slow = false;
		return;
	}
	if (!a->slow) {
		a->slow = true;
		return;
	}
	unyield(a);
	resent(a, now);
}

static void
place(struct affine *a, int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET((size_t)cpu, &all)) {
		affine_long(a);
		return;
	}
	if (!a->placed || a->cpu != cpu) {
		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) != 0)
			return;
		a->placed = true;
		a->cpu = cpu;
	}
	yield_look(a);
}

void
affine_start(struct affine *a)
{
	/* Threads inherit both from their maker, which may be a worker. */
	*a = (struct affine){ .self = gettid(),
		.placed = true,
		.yielding = may_yield,
		.every = LOOK_MIN,
		.resent = RESENT_MIN_NS };
	affine_long(a);
}

void
affine_quick(struct affine *a, pid_t tid)
{
	if (tid == 0)
		return;
	if (tid != a->last)
		a->others++;
	a->last = tid;
	if (++a->seen < LOOK_MIN)
		return;
	const uint64_t now = clock_mono_ns();

	if (a->seen < a->every && now - a->looked < LOOK_NS)
		return;
	a->looked = now;
	if (atomic_exchange(&a->freed, false)) {
		if (a->yielding)
			resent(a, now);
		a->placed = a->yielding = false;
	}
	const bool placed = a->placed;
	const bool yielding = a->yielding;
	const int cpu = a->cpu;

	if (a->others > a->seen / OTHERS_PART)
		affine_long(a);
	else
		place(a, processor_of(tid));
	if (placed && a->placed && a->cpu == cpu && a->yielding == yielding)
		a->every = a->every < LOOK_MAX ? a->every * 2 : LOOK_MAX;
	else
		a->every = LOOK_MIN;
	a->seen = a->others = 0;
}

void
affine_long(struct affine *a)
{
	a->seen = a->others = 0;
	a->every = LOOK_MIN;
	unyield(a);
	if (a->placed)
		a->placed = sched_setaffinity(0, sizeof(all), &all) != 0;
}

void
affine_rescue(struct affine *a)
{
	if (may_yield)
		(void)policy_set(a->self, SCHED_OTHER);
	(void)sched_setaffinity(a->self, sizeof(all), &all);
	a->freed = true;
}
