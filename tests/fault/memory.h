/*
 * memory: allocations that fail when they are told to.
 *
 * Takes the place of malloc and its relatives for the whole program, the
 * libraries included.  What SQLite, OpenSSL and libc take by mmap it does not
 * see.
 */
#ifndef TESTS_FAULT_MEMORY_H
#define TESTS_FAULT_MEMORY_H

#include <stdbool.h>

/* False in a build with a sanitizer: nothing ever fails. */
extern const bool memory_works;

/* The ${nth} allocation from now on fails, and with ${forever} all later. */
void memory_fail(unsigned nth, bool forever);
/* No more; returns how many failed. */
unsigned memory_mend(void);

#endif
