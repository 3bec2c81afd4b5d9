/*
 * clock: a frozen time is two words, so it is kept under a mutex that only a
 * frozen clock ever takes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "lib/base/clock.h"

/* Seconds of 0000-01-01 and 9999-12-31T23:59:59: what four digits can say. */
#define ISO_FIRST (-62167219200)
#define ISO_LAST 253402300799

static atomic_bool frozen;
static pthread_mutex_t frozen_lock = PTHREAD_MUTEX_INITIALIZER;
static struct timespec frozen_at; /* under frozen_lock */

struct timespec
clock_wall(void)
{
	struct timespec ts;

	if (atomic_load_explicit(&frozen, memory_order_relaxed)) {
		(void)pthread_mutex_lock(&frozen_lock);
		ts = frozen_at;
		(void)pthread_mutex_unlock(&frozen_lock);
		return ts;
	}
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ts;
}

int64_t
clock_wall_s(void)
{
	struct timespec ts;

	if (atomic_load_explicit(&frozen, memory_order_relaxed))
		return clock_wall().tv_sec;
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return ts.tv_sec;
}

void
clock_freeze(const struct timespec *at)
{
	(void)pthread_mutex_lock(&frozen_lock);
	if (at != NULL)
		frozen_at = *at;
	atomic_store(&frozen, at != NULL);
	(void)pthread_mutex_unlock(&frozen_lock);
}

uint64_t
clock_mono_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void
clock_iso(time_t t, char ret[static CLOCK_ISO_LEN + 1])
{
	struct tm tm;

	if (t < ISO_FIRST)
		t = ISO_FIRST;
	if (t > ISO_LAST)
		t = ISO_LAST;
	(void)gmtime_r(&t, &tm);
	/* The masks never change a value here; they tell the compiler that
	 * the text fits. */
	(void)snprintf(ret, CLOCK_ISO_LEN + 1, "%04u-%02u-%02uT%02u:%02u:%02uZ",
	    (unsigned)(tm.tm_year + 1900) % 10000u,
	    (unsigned)(tm.tm_mon + 1) % 100u, (unsigned)tm.tm_mday % 100u,
	    (unsigned)tm.tm_hour % 100u, (unsigned)tm.tm_min % 100u,
	    (unsigned)tm.tm_sec % 100u);
}
