/*
 * crowd_cut: what a power cut leaves of several threads' work, looked at.
 */
#ifndef TESTS_CRASH_CROWD_CUT_H
#define TESTS_CRASH_CROWD_CUT_H

#include "tests/crash/crowd_work.h"

struct crowd_counts {
	uint64_t runs, cuts, states, opened;
	bool brief; /* a report does not tell all that was done */
};

/*
 * crowd_cut(seed, &counts):
 * One run, cut in one place of EVERY or so and after each sync, and of what each
 * may leave a few states, chosen by ${salt}.  False, and a report is printed, at
 * the first that is not good; its disk is left in CRASH_KEEP, a directory, as a
 * store.
 */
bool crowd_cut(uint64_t seed, uint64_t salt, struct crowd_counts *counts);
/* For a program that dies: it says where. */
void crowd_signals(void);

#endif
