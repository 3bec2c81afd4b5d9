/*
 * work: what a store is made to do before the power goes.
 *
 * A workload is named by a number, its seed: 0 is the making of a store; then
 * come all sequences of one step, one of two that is killed at each of its
 * changes or a sync of which fails, all of two steps, and for ever random ones of three with syncs,
 * reopenings, checkpoints, a kill or a failing sync among them.  Recording one
 * runs it once, on a copy of a prepared disk, and notes every change of the
 * disk, every state that the tree went through, and every promise that a state
 * will last.
 */
#ifndef TESTS_CRASH_WORK_H
#define TESTS_CRASH_WORK_H

#include "tests/crash/disk.h"
#include "tests/crash/tree.h"

/* ---- Steps (ops.c) ------------------------------------------------------------ */

struct session; /* an open store and the model of it */

struct op {
	const char *text;
	enum err (*fn)(struct session *s, const struct op *op);
	const char *a, *b; /* paths in the bucket */
	uint64_t x, y, z;
};

extern const struct op work_ops[];
extern const unsigned work_nops;

#define HELD 4
struct session {
	struct store *st;
	uint64_t bucket;
	bool model; /* the model knows what the store must show */
	struct ref ref;
	struct node *rbucket;
	struct store_file *held[HELD]; /* of removed files */
	unsigned nheld;
	unsigned nwrites; /* each writes other bytes */
};

/* Do it to the store, and to the model when the store did it. */
enum err work_do(struct session *s, const struct op *op);
/* Let go of removed files that are still open. */
void work_let_go(struct session *s);
/* The same tree in ${to}, which is empty. */
void ref_clone(const struct ref *from, struct ref *to);
/* Errors that say a step makes no sense now, and change nothing. */
bool work_natural(enum err e);

/* ---- Bases (base.c) ------------------------------------------------------------- */

enum config {
	CFG_KMS,    /* files under a master key */
	CFG_FRESH,  /* no blocks, no arena, no key yet; new files are AES256 */
	CFG_NONE,   /* a store without a key service */
	CFG_SEALED, /* as CFG_KMS, its metadata sealed */
	CFG_BIG, /* as CFG_KMS, with a file whose space is freed in batches */
	CFG_COUNT,
	CFG_INIT = CFG_COUNT, /* an empty disk: the run makes the store */
	CFG_BARE,             /* as CFG_NONE, without blocks or an arena */
	CFG_ALL
};

struct base {
	struct disk *disk;
	struct ref ref;
	struct tree tree;
	uint64_t bucket;
};

/* Once per process: where the simulated stores lie.  ${real} is an empty
 * directory that exists. */
void base_start(const char *real);
/* The prepared disk, made at its first use. */
const struct base *base_get(enum config cfg);
const char *base_name(enum config cfg);
/* Options to open it with. */
struct store_opts base_opts(void);
/* The store's directory. */
const char *base_dir(void);

/* ---- Workloads (work.c) --------------------------------------------------------- */

#define STEPS_MAX 16

enum step_kind { STEP_OP, STEP_SYNC, STEP_FSYNC, STEP_REOPEN, STEP_HOME };

struct step {
	enum step_kind kind;
	unsigned op;
};

struct work {
	uint64_t seed;
	enum config cfg;
	struct step step[STEPS_MAX];
	unsigned n;
	bool no_redo; /* opened so */
	/* Until its first step is synced it is a sequence of one step, byte for
	 * byte. */
	bool begins_as_one;
	unsigned fail_sync; /* this sync of a file fails; 0: none */
	size_t die_at;      /* the process dies at this change; 0: never */
};

/* Seeds of sequences of one step are below work_ones(), of one sequence that is
 * killed at every change, or whose syncs fail, below work_hurts(), of two steps below work_twos(). */
uint64_t work_ones(void);
uint64_t work_hurts(void);
uint64_t work_twos(void);
void work_of_seed(uint64_t seed, struct work *ret);
/* Where a step of ${w} does nothing: the same steps on another disk, of two only.
 * False: there is none. */
bool work_elsewhere(const struct work *w, struct work *ret);
/* The sequence of the first step alone, of a pair that begins as one. */
void work_first(const struct work *w, struct work *ret);
void work_text(const struct work *w, char *ret, size_t size);

struct state {
	size_t begin; /* changes before the step that led here began */
	struct tree tree;
};
struct ack {
	size_t pos; /* changes when it was given */
	unsigned state;
};

#define STATES_MAX (2 * STEPS_MAX + 4)
struct record {
	const struct base *base;
	struct iolog log;
	size_t
	    made; /* changes until there was a store; before, anything goes */
	struct state state[STATES_MAX];
	unsigned nstates;
	struct ack ack[STATES_MAX];
	unsigned nacks;
	unsigned idle; /* steps that did nothing */
};

/* Run it.  False, and why, when the store did what it must not. */
bool work_record(const struct work *w, struct record *ret, char *why);
void record_clear(struct record *r);
/* The states, first and last, that a cut after ${pos} changes may leave. */
void record_window(
    const struct record *r, size_t pos, unsigned *ret_lo, unsigned *ret_hi);

#endif
