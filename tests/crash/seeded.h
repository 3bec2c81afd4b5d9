/*
 * seeded: random numbers that repeat, so that a run does.
 */
#ifndef TESTS_CRASH_SEEDED_H
#define TESTS_CRASH_SEEDED_H

#include <stdint.h>

/*
 * seeded_start(stream): this thread's random bytes, SQLite's with them, begin
 * anew as the sequence ${stream}.  Until the first call, and for all other
 * threads, they are the kernel's.
 */
void seeded_start(uint64_t stream);
/* From now on that does nothing. */
void seeded_never(void);

#endif
