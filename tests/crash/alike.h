/*
 * alike: disks that look the same to whoever opens them.
 *
 * Most states of a disk that a power cut leaves differ in bytes only that nobody
 * takes notice of: what follows the last whole commit of a WAL, which SQLite's
 * own sums tell; pages of the database on their way home from the WAL, which
 * still has them; and the number of the process in a store's lock.
 */
#ifndef TESTS_CRASH_ALIKE_H
#define TESTS_CRASH_ALIKE_H

#include "store/seal.h"

#include "tests/crash/disk.h"

/* A sum of all but these. */
uint64_t disk_alike(const struct disk *d);
/* What opens the metadata of stores that are sealed; until then theirs counts
 * whole.  Taken over. */
void alike_keys(struct seal *s);

#endif
