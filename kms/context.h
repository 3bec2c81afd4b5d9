/*
 * context: the canonical bytes of an encryption context.
 *
 * Pure and thread-safe.
 *
 *	0  4  "ctx1"
 *	4  4  n, number of pairs
 *	then for every pair, sorted bytewise by key:
 *	   4  length of the key, then the key
 *	   4  length of the value, then the value
 *
 * Lengths stand before what they count, so {"a":"bc"} and {"ab":"c"} differ.
 */
#ifndef KMS_CONTEXT_H
#define KMS_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "kms/kms.h"

/*
 * Bytes with a few hundred inside, so that an ordinary context costs no
 * allocation.  ${p} points to ${len} bytes, behind ${room} free ones.
 */
struct context {
	uint8_t *p;
	size_t len;
	uint8_t *heap;
	uint8_t small[512];
};

/*
 * context_make(c, ctx, n, room):
 * Write the canonical bytes after ${room} bytes left free for the caller.
 * Returns OK; ERR_INVAL (too long, a key twice, not UTF-8); ERR_NOMEM.
 */
enum err context_make(struct context *c, const struct kms_pair *ctx, size_t n,
    size_t room) MUSTCHECK;

/*
 * context_read(p, len, ret, max, room, ret_n):
 * The reverse: at most ${max} pairs, whose strings stand in ${room}, of ${len}
 * bytes, with their NULs.  ERR_PARSE for anything that context_make() would not
 * write; ERR_LIMIT over ${max}.
 */
enum err context_read(const uint8_t *p, size_t len, struct kms_pair *ret,
    size_t max, char *room, size_t *ret_n) MUSTCHECK;

void context_release(struct context *c);
#define CLEANUP_CONTEXT CLEANUP(context_release)

#endif
