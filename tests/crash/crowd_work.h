/*
 * crowd_work: several threads at work on one store, and what they did.
 *
 * All threads write cells of two shared files and put new files in the place of
 * shared names.  Each has a directory of its own besides, in which it does what
 * it likes.  They sync now and then.
 */
#ifndef TESTS_CRASH_CROWD_WORK_H
#define TESTS_CRASH_CROWD_WORK_H

#include "tests/crash/history.h"
#include "tests/crash/work.h"

struct crowd {
	uint64_t seed;
	enum config cfg;
	unsigned threads, deeds; /* of each */
	bool eager;              /* each deed is synced at once */
	unsigned fail_sync;      /* this sync of a file fails; 0: none */
	struct store_opts opts;
};

struct crowd_record {
	struct disk *base; /* what it began on; not owned */
	struct iolog log;
	size_t begin; /* changes until the threads began */
	struct history h;
};

void crowd_of_seed(uint64_t seed, struct crowd *ret);
void crowd_text(const struct crowd *c, char *ret, size_t size);
/* False, and why, when a call did what it must not. */
bool crowd_record(const struct crowd *c, struct crowd_record *ret, char *why);
void crowd_clear(struct crowd_record *r);
/* What the open store ${st} shows of it. */
bool crowd_view(
    const struct crowd *c, struct store *st, struct view *ret, char *why);

#endif
