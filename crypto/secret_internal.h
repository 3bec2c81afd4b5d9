/*
 * secret_internal: what secret.c and heap.c share.
 */
#ifndef CRYPTO_SECRET_INTERNAL_H
#define CRYPTO_SECRET_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * secret_protect(p, len):
 * Keep the mapping out of core dumps and lock it against swapping, page by
 * page as it is touched.  False when the kernel refuses to lock.
 */
bool secret_protect(void *p, size_t len);

/* Note, and log once, that some key memory could not be locked.  No lock of
 * this room may be held. */
void secret_not_locked(void);

/* secret_die(), of the heap; without its lock, which may be held by the thread
 * that died. */
void heap_die(void);
void secret_forbid(void *p, size_t len);

/* Route OpenSSL's allocations into the heap; false when it is too late. */
bool heap_install(void);

/* Around fork(): hold the heap still, let it go, lock the child's copy. */
void heap_fork_prepare(void);
void heap_fork_parent(void);
void heap_fork_child(void);

#endif
