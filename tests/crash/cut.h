/*
 * cut: what may be left of a disk when the power goes.
 *
 * A cursor stands between two entries of a log of changes.  What was synced
 * before it is there for certain.  Of the rest:
 *   - each write may be there, be missing, or be torn: of its sectors (of 512
 *     bytes, or of 4 KiB) any may be there.  A sector holds what the page
 *     cache held at some moment: old, new, or one of those between;
 *   - a size, a hole and a name may be old or new by themselves.  A rename is
 *     whole.  fdatasync of a file keeps its bytes and its size, not its name;
 *     fsync of a directory keeps the names in it, no bytes;
 *   - what a failed sync should have written may be missing for ever, also
 *     when a later sync succeeds (Linux calls such pages clean).
 */
#ifndef TESTS_CRASH_CUT_H
#define TESTS_CRASH_CUT_H

#include "tests/crash/disk.h"

struct pend {
	size_t io; /* index into the log */
	bool doomed;
};

struct cursor {
	const struct iolog *log;
	size_t pos;
	struct disk *now;  /* as the kernel shows it */
	struct disk *safe; /* what no power cut takes away */
	struct pend *pend; /* changes since, oldest first */
	size_t npend, cap;
};

void cursor_start(
    struct cursor *c, const struct disk *base, const struct iolog *log);
/* Past one more entry; false at the end. */
bool cursor_step(struct cursor *c);
void cursor_end(struct cursor *c);

enum cut {
	CUT_NONE,  /* nothing unsynced is there */
	CUT_ALL,   /* everything */
	CUT_FIRST, /* everything but the last change */
	CUT_LAST,  /* only the last change */
	CUT_FILE,  /* of one file everything, of the others nothing */
	CUT_BUT,   /* everything but one change */
	CUT_SOME,  /* each change or not */
	CUT_512,   /* each change, or part of it, or not */
	CUT_4096,
	CUT_KINDS
};

/* One state, made by ${kind} and the random numbers that follow *${rnd}. */
struct disk *cursor_cut(const struct cursor *c, enum cut kind, uint64_t *rnd);
const char *cut_name(enum cut kind);

/* The next number below ${below} of the sequence *${rnd}. */
uint64_t rnd_next(uint64_t *rnd, uint64_t below);

#endif
