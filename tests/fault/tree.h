/*
 * tree: what the store must hold, and scripts of operations that make it.
 *
 * A step is one operation.  step_store() does it to a store, step_tree() to the
 * tree in memory.  A dump is the whole state as text, a line for each name in
 * order, so that two states are equal when their dumps are.
 *
 * Paths are relative to the bucket "bkt".
 */
#ifndef TESTS_FAULT_TREE_H
#define TESTS_FAULT_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

enum op {
	OP_MKDIR,   /* a */
	OP_MAKE,    /* a */
	OP_SYMLINK, /* a -> b */
	OP_FIFO,    /* a */
	OP_WRITE,   /* y bytes at x of a, seed z */
	OP_EARLY,   /* the same, answered before it is done */
	OP_APPEND,  /* y bytes to a, seed z */
	OP_SPREAD,  /* y blocks to a, one each 256 KiB, seed z */
	OP_TRUNC,   /* a to x bytes */
	OP_PUNCH,   /* y bytes at x of a */
	OP_ZERO,    /* the same, may extend */
	OP_FALLOC,  /* the same, only extends */
	OP_COPY,    /* y bytes at x of a to z of b */
	OP_RENAME,  /* a to b, flags z */
	OP_LINK,    /* a also as b */
	OP_UNLINK,  /* a */
	OP_RMDIR,   /* a */
	OP_XSET,    /* attribute x of a: y bytes, seed z */
	OP_XDEL,    /* attribute x of a */
	OP_CHMOD,   /* a to x */
	OP_DEFAULT, /* of directory a: b, NULL removes it */
	OP_SSE,     /* a of no bytes to method b */
	OP_HOLD,    /* open a and keep it open */
	OP_HWRITE,  /* y bytes at x of what is held, seed z */
	OP_DROP,    /* close it */
	OP_READ,    /* a */
	OP_FSYNC,   /* a */
	OP_SYNC,
	OP_HOME,  /* what is in the WAL goes to its place */
	OP_REOPEN /* close and open the store: the program's work */
};

struct step {
	enum op op;
	const char *a, *b;
	uint64_t x, y;
	unsigned z;
};

/* Which scripts there are; each begins with steps that need no faults. */
struct script {
	const char *name;
	const struct step *before, *steps; /* end with OP_SYNC and no more */
	unsigned nbefore, nsteps;
};
extern const struct script scripts[];
extern const unsigned nscripts;

struct tree;
struct tree *tree_new(void);
struct tree *tree_copy(const struct tree *t);
void tree_free(struct tree *t);
char *tree_dump(const struct tree *t); /* malloc'd */

/* False, and nothing changed, when the step cannot be done.  ${done} is what
 * step_store() said. */
bool step_tree(struct tree *t, const struct step *s, uint64_t done);

/* The program's side of a store: its bucket, and the file that is held. */
struct side {
	struct store *st;
	uint64_t bucket;
	struct store_file *held;
};
/* *${done}: bytes, of a copy. */
enum err step_store(
    struct side *s, const struct step *step, uint64_t *done) MUSTCHECK;
/* Close what is held. */
void side_drop(struct side *s);
/* The dump of the store, malloc'd; ERR_… when something cannot be read. */
enum err store_dump(struct side *s, char **ret) MUSTCHECK;
/* Name, for people. */
void step_print(const struct step *s, char *ret, size_t size);

#endif
