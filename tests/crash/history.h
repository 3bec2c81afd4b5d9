/*
 * history: what several threads did to a store, and whether a state of it is one
 * that some order of their calls leads to.
 *
 * A deed is a call that changes something.  Of what all threads share every cell
 * (a piece of a file, or a name) says which deed wrote it.  What is a thread's own
 * it sees alone: of that the whole tree is known after each of its deeds.
 *
 * A state after a power cut must be that of one moment, not older than the last
 * sync that returned: with a deed that shows, all deeds that had ended before it
 * began are there; none shows that had not begun; and all that are there can be
 * put into an order, in which no deed stands before one that had ended before it
 * began, and in which each cell was written last by the deed that it shows.
 *
 * Time is counted in ticks, and in changes of the disk, which the cut goes by.
 */
#ifndef TESTS_CRASH_HISTORY_H
#define TESTS_CRASH_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEEDS 160
#define CELLS 80
#define CROWD 3 /* threads at most */

struct deed {
	unsigned thread;
	bool own;
	unsigned first, ncells; /* shared: what it writes */
	uint64_t digest;        /* own: of the thread's tree after it */
	uint64_t begin, end;    /* ticks; UINT64_MAX: it failed, or may have */
	size_t pos;             /* changes of the disk as it began */
	char text[40];
};

struct promise {
	uint64_t begin; /* of the sync */
	size_t pos;     /* changes as it returned */
};

struct history {
	unsigned threads;
	struct deed deed[DEEDS]; /* the first wrote every cell */
	unsigned ndeeds;
	uint64_t at_first[CROWD]; /* digests of the threads' own trees */
	struct promise promise[DEEDS];
	unsigned npromises;
	uint64_t tick;
};

/* What a store shows. */
struct view {
	unsigned cell[CELLS]; /* the deed */
	uint64_t own[CROWD];
};

/* May ${v} be there after ${pos} changes?  False, and why. */
bool history_allows(
    const struct history *h, const struct view *v, size_t pos, char *why);

#endif
