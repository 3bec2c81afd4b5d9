/*
 * attrs: compiler attributes and scope-bound clean-up used by every room.
 *
 * MUSTCHECK   the result must be looked at (every fallible function).
 * CLEANUP(f)  run f(&variable) when the variable leaves its scope.  Such a
 *             variable is always initialised where it is declared.
 * UNINIT      see below.
 * steal(p)    take a pointer out of a CLEANUP variable: returns it, leaves
 *             NULL behind.
 */
#ifndef LIB_BASE_ATTRS_H
#define LIB_BASE_ATTRS_H

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define MUSTCHECK __attribute__((warn_unused_result))
#define PRINTF(a, b) __attribute__((format(printf, a, b)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define CLEANUP(f) __attribute__((cleanup(f)))
/* A large local array that is written before it is read: spared the zeroes
 * that the build gives every other local variable. */
#if defined(__has_attribute) && __has_attribute(uninitialized)
#define UNINIT __attribute__((uninitialized))
#else
#define UNINIT
#endif
#define COUNTOF(a) (sizeof(a) / sizeof((a)[0]))

#define steal(p)                                \
	(__extension__({                        \
		__typeof__(p) steal_tmp_ = (p); \
		(p) = NULL;                     \
		steal_tmp_;                     \
	}))

static inline void
cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void
cleanup_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_CLOSE CLEANUP(cleanup_close)

#endif
