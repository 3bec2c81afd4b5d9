/*
 * clock: wall and monotonic time, replaceable in tests.  Thread-safe.
 */
#ifndef LIB_BASE_CLOCK_H
#define LIB_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Wall time; tests may freeze it (NULL thaws). */
struct timespec clock_wall(void);
/* Its second as of the last tick, a few milliseconds late; costs a third. */
int64_t clock_wall_s(void);
void clock_freeze(const struct timespec *at);

/* Nanoseconds of a clock that never steps back. */
uint64_t clock_mono_ns(void);

/* ISO 8601 UTC, "2026-11-20T23:36:06Z", 20 characters and a NUL. */
#define CLOCK_ISO_LEN 20
void clock_iso(time_t t, char ret[static CLOCK_ISO_LEN + 1]);

#endif
