/*
 * state: the store on one disk, opened and looked at.
 */
#ifndef TESTS_CRASH_STATE_H
#define TESTS_CRASH_STATE_H

#include "store/store.h"

#include "tests/crash/disk.h"

/* Mount ${d} and open the store on it without repair; as false, with ${why}, is
 * all below. */
bool state_open(struct disk *d, struct store **ret, char *why);
/* Every block of it authenticates, fsck finds nothing, its audit log is whole. */
bool state_whole(struct store *st, char *why);
/* Close ${st} (NULL is fine), which is as ${good} says, and free ${d}. */
bool state_close(struct disk *d, struct store *st, bool good, char *why);

#endif
