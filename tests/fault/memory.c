/* memory: see memory.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "lib/base/attrs.h"
#include "tests/fault/memory.h"

/* What glibc's own are called beside their usual names. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t align, size_t size);

/* Allocations until one fails; 0: none does. */
static atomic_uint left, hits;
static atomic_bool always;

void
memory_fail(unsigned nth, bool forever)
{
	atomic_store(&hits, 0);
	atomic_store(&always, forever);
	atomic_store(&left, nth);
}

unsigned
memory_mend(void)
{
	atomic_store(&left, 0);
	return (atomic_load(&hits));
}

static bool UNUSED
fails(void)
{
	unsigned n = atomic_load_explicit(&left, memory_order_relaxed);

	do {
		if (n == 0)
			return (false);
		if (n == 1 && atomic_load(&always))
			break;
	} while (!atomic_compare_exchange_weak(&left, &n, n - 1));
	if (n != 1)
		return (false);
	(void)atomic_fetch_add(&hits, 1);
	errno = ENOMEM;
	return (true);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

/* A sanitizer has its own malloc, which knows more than it would here. */
const bool memory_works =
#ifdef SANITIZED
    false;
#else
    true;

/* The rest of the program is built to hide its names. */
#define PUBLIC __attribute__((visibility("default")))

PUBLIC void *
malloc(size_t size)
{
	return (fails() ? NULL : __libc_malloc(size));
}

PUBLIC void *
calloc(size_t n, size_t size)
{
	return (fails() ? NULL : __libc_calloc(n, size));
}

PUBLIC void *
realloc(void *p, size_t size)
{
	return (fails() ? NULL : __libc_realloc(p, size));
}

PUBLIC void *
aligned_alloc(size_t align, size_t size)
{
	return (fails() ? NULL : __libc_memalign(align, size));
}

PUBLIC int
posix_memalign(void **ret, size_t align, size_t size)
{
	*ret = fails() ? NULL : __libc_memalign(align, size);
	return (*ret == NULL ? ENOMEM : 0);
}
#endif
