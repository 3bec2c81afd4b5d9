/*
 * alike: disks that look the same to whoever opens them.
 *
 * Most states of a disk that a power cut leaves differ in bytes only that nobody
 * takes notice of: what follows the last whole commit of a WAL, which SQLite's
 * own sums tell, and the number of the process in a store's lock.
 */
#ifndef TESTS_CRASH_ALIKE_H
#define TESTS_CRASH_ALIKE_H

#include "tests/crash/disk.h"

/* A sum of all but these.  Of a sealed WAL nothing is left out. */
uint64_t disk_alike(const struct disk *d);

#endif
