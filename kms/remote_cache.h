/*
 * remote_cache: what a remote key service answered, for a while.
 *
 * An answer is some bytes, kept in key memory, or an error.  Each has an id, a
 * hash of the question, and a group, by which it can be dropped with others.  One
 * thread asks at a time for an id; those who come meanwhile wait and share what
 * it is told, errors included.
 *
 * Thread-safe.  Time is an argument (monotonic, nanoseconds).
 */
#ifndef KMS_REMOTE_CACHE_H
#define KMS_REMOTE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/digest.h"
#include "lib/base/err.h"

#define RCACHE_ENTRIES 4096
#define RCACHE_VALUE_MAX 64         /* longer answers are not kept */
#define RCACHE_ERROR_NS 1000000000u /* how long an error is */

struct rcache;

/* ${age} seconds, 0: nothing is kept; ${uses} of one answer, 0: any number. */
enum err rcache_new(unsigned age, uint64_t uses, struct rcache **ret) MUSTCHECK;
void rcache_free(struct rcache *c); /* NULL is fine; nobody waits in it */

/*
 * rcache_begin(c, id, now, ret, room, ret_len, ret_mine):
 * OK with *${ret_mine} false: the answer is in ${ret}.  OK with *${ret_mine}
 * true: the caller must ask, and then call rcache_end().  Else the error that was
 * the answer, with its sentence; ERR_LIMIT when ${room} is too small; ERR_NOMEM.
 */
enum err rcache_begin(struct rcache *c, const uint8_t id[static SHA256_LEN],
    uint64_t now, uint8_t *ret, size_t room, size_t *ret_len,
    bool *ret_mine) MUSTCHECK;
/* ${e} is what asking came to, with its sentence; OK with the answer. */
void rcache_end(struct rcache *c, const uint8_t id[static SHA256_LEN],
    uint64_t group, uint64_t now, enum err e, const uint8_t *p, size_t len);
/* An answer that nobody asked for. */
void rcache_put(struct rcache *c, const uint8_t id[static SHA256_LEN],
    uint64_t group, uint64_t now, const uint8_t *p, size_t len);
/* Forget the answers of a group. */
void rcache_drop(struct rcache *c, uint64_t group);
/* How many answers are kept, errors included. */
size_t rcache_count(struct rcache *c);

#endif
