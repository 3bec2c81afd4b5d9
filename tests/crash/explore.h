/*
 * explore: every cut of a recorded run, and what each leaves, looked at.
 *
 * A state of a disk is good when the store opens on it without repair; shows
 * one of the trees that the run went through, none older than the last promise
 * and none newer than what had been asked for; can be read to the last block
 * it holds; and has nothing that its checker minds.
 */
#ifndef TESTS_CRASH_EXPLORE_H
#define TESTS_CRASH_EXPLORE_H

#include "tests/crash/cut.h"
#include "tests/crash/work.h"

struct counts {
	uint64_t works;  /* workloads run */
	uint64_t idle;   /* … in which a step did nothing on any disk */
	uint64_t asked;  /* … compared with the sequence they begin as … */
	uint64_t apart;  /* … and not the same */
	uint64_t cuts;   /* places where the power went */
	uint64_t states; /* states of the disk judged … */
	uint64_t unlike; /* … of which no equal one had been before … */
	uint64_t opened; /* … and, as none was alike, opened */
};

#define NO_CUT SIZE_MAX
/*
 * explore(w, only, c, why):
 * Run ${w}, cut it everywhere, or only after ${only} changes, and add to the
 * counts.  False, with a report in ${why}, at the first state that is not good.
 */
bool explore(const struct work *w, size_t only, struct counts *c, char *why);
/* Other states are drawn from now on; 0 to begin with. */
void explore_salt(uint64_t n);
/* Forget which states were good: the program's behaviour was changed. */
void explore_forget(void);
/* The workload and the place of the state at hand, for a program that dies. */
const char *explore_where(void);

#endif
