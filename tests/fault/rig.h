/*
 * rig: what both programs here stand on: copies of a prepared store, what was
 * logged, and how a run is judged.
 */
#ifndef TESTS_FAULT_RIG_H
#define TESTS_FAULT_RIG_H

#include <stdbool.h>

#include "lib/base/attrs.h"
#include "tests/fault/tree.h"

#define STATES 96

/* How a store is made and opened: flags. */
#define RIG_TIGHT 1u  /* hardly any cache: everything is read again */
#define RIG_SEALED 2u /* its metadata is sealed */
#define RIG_KINDS 4u

/* States that a store has had, oldest first. */
struct past {
	char *dump[STATES];
	unsigned n;
	unsigned ack; /* the last that a sync vouched for */
};

/* One store under test. */
struct rig {
	const struct script *script;
	unsigned kind; /* RIG_… */
	char dir[256];
	struct store_opts opts;
	struct side side;
	struct tree *tree; /* what the store holds */
	struct past past;
	unsigned files; /* descriptors when it began */
	char what[512]; /* for people: where the run is */
};

/*
 * jobs_start(fn, arg): run fn(arg) in a process of its own (stores do not live
 * through a fork), two at a time, in a directory of its own: in memory when
 * there is room.  jobs_end() waits for all; false when one failed.
 */
void jobs_start(void (*fn)(const void *arg), const void *arg);
bool jobs_end(void);

/* A fresh copy of the script's prepared store, not open. */
void rig_begin(struct rig *r, const struct script *script, unsigned kind);
/* The script and the kind, for people; static storage. */
const char *rig_name(const struct script *script, unsigned kind);
/* Open it, and find the bucket. */
enum err rig_open(struct rig *r) MUSTCHECK;
enum err rig_close(struct rig *r) MUSTCHECK;
/* Forget it, which left no descriptor open, and remove the copy. */
void rig_finish(struct rig *r);

/* Do these, in the tree as well, or the end. */
void rig_steps(struct rig *r, const struct step *s, unsigned n);
/* Remove what may be a file or a directory. */
void rig_remove(const char *path);

/* ${t} is a state that the store may be in. */
void past_add(struct rig *r, const struct tree *t);
/* The store holds what is in ${r->tree}, or, when ${next} is not NULL, that:
 * then it becomes ${r->tree}.  Frees ${next}.  Neither: the end. */
void rig_old_or_new(struct rig *r, struct tree *next);
/* Open without faults: fsck finds nothing, the state is one of the past not
 * older than the last sync (with ${last}: the last), and the store works. */
void rig_judge(struct rig *r, bool last);

/* What was logged since log_reset(). */
void log_reset(void);
unsigned log_count(const char *text);
/* Say what is wrong and end the program. */
NORETURN PRINTF(2, 3) void rig_fail(struct rig *r, const char *fmt, ...);

#endif
