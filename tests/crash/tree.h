/*
 * tree: what a store shows, or what the reference model says it shows, as
 * lines of text that can be compared.
 *
 * A line is a path and all that can be asked about it: inode, mode, links,
 * owner, size, blocks, times, encryption, default, target, attributes, and a
 * sum of its content, which is read to its last byte.
 */
#ifndef TESTS_CRASH_TREE_H
#define TESTS_CRASH_TREE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

#define FILE_MAX_BYTES 6000000u
#include "tests/model/ref.h"

#define WHY_MAX 2048

struct tree {
	uint64_t digest; /* never 0 */
	char *text;      /* sorted lines */
};

extern const struct kms_who crash_who;

/* Read all of a store.  False, and why, when something cannot be read. */
bool tree_of_store(struct store *st, struct tree *ret, char *why);
/* All that is below the directory ${dir}. */
bool tree_of_dir(struct store *st, uint64_t dir, struct tree *ret, char *why);
/* The same from the model; times and blocks, which the model does not have, are
 * ${st}'s. */
void tree_of_ref(const struct ref *r, struct store *st, struct tree *ret);
void tree_clear(struct tree *t);
/* The lines in which two trees differ, into ${ret}. */
void tree_diff(
    const struct tree *want, const struct tree *got, char *ret, size_t size);

/* Put a sentence into ${why}, of WHY_MAX bytes; returns false. */
bool because(char *why, const char *fmt, ...) PRINTF(2, 3);

#endif
