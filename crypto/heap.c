/*
 * heap: the memory of OpenSSL and of other libraries that secrets pass through.
 * Key schedules live there, so it is locked, left out of core dumps and wiped at
 * every free, as the arena is; unlike the arena it survives fork(), for the child
 * goes on using OpenSSL.
 *
 * Blocks are cut from 1 MiB regions, never given back, with a free list per
 * size.  A block, and a mapping of its own for what is larger:
 *
 *   off  size  field
 *     0     4  class, LARGE for a mapping of its own
 *     4     4  magic, to tell a wild pointer
 *     8     8  bytes asked for
 *    16     -  the caller's bytes; the next free block's address when free
 *
 * Invariant: free blocks are zero but for their header and that address.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <openssl/crypto.h>

#include "crypto/secret.h"
#include "crypto/secret_internal.h"

#define REGION_LEN ((size_t)1 << 20)
#define STEP 64
#define SMALL_MAX 4096 /* classes up to here are found by a table */
#define LARGE UINT32_MAX
#define MAGIC 0x5ec4e701u

struct head {
	uint32_t cls;
	uint32_t magic;
	size_t len;
};
_Static_assert(sizeof(struct head) == 16, "keeps malloc's alignment");

struct region {
	struct region *next;
	uint8_t pad[STEP - sizeof(struct region *)];
};
_Static_assert(sizeof(struct region) == STEP, "keeps blocks aligned");

/* Sizes with their header. */
static const uint32_t sizes[] = { 64, 128, 192, 256, 384, 512, 768, 1024, 1536,
	2048, 3072, 4096, 8192, 16384, 32768, 65536 };
#define NSIZES (sizeof(sizes) / sizeof(sizes[0]))
#define BLOCK_MAX 65536

/* No rank, for the same reasons as the arena's. */
static pthread_mutex_t heap_lock = PTHREAD_MUTEX_INITIALIZER;
/* All under heap_lock, save class_by_step, which heap_install() fills. */
static struct region *regions;
static uint8_t *bump;
static size_t bump_left;
static void *free_list[NSIZES];
static uint8_t class_by_step[SMALL_MAX / STEP + 1];

static uint32_t
class_of(size_t total)
{
	if (total <= SMALL_MAX)
		return class_by_step[(total + STEP - 1) / STEP];
	uint32_t c = class_by_step[SMALL_MAX / STEP];
	while (sizes[c] < total)
		c++;
	return c;
}

static void *
map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* A block cut from the newest region; under heap_lock. */
static struct head *
carve(uint32_t cls, bool *ret_refused)
{
	if (bump_left < sizes[cls]) {
		struct region *r = map(REGION_LEN);
		if (r == NULL)
			return NULL;
		*ret_refused = !secret_protect(r, REGION_LEN);
		r->next = regions;
		regions = r;
		bump = (uint8_t *)r + sizeof(*r);
		bump_left = REGION_LEN - sizeof(*r);
	}
	struct head *h = (struct head *)(void *)bump;
	h->cls = cls;
	h->magic = MAGIC;
	bump += sizes[cls];
	bump_left -= sizes[cls];
	return h;
}

static void *
take_small(size_t len)
{
	const uint32_t cls = class_of(len + sizeof(struct head));
	bool refused = false;
	struct head *h = NULL;

	(void)pthread_mutex_lock(&heap_lock);
	void **p = free_list[cls];
	if (p != NULL) {
		free_list[cls] = *p;
		*p = NULL;
		h = (struct head *)(void *)p - 1;
	} else {
		h = carve(cls, &refused);
	}
	(void)pthread_mutex_unlock(&heap_lock);
	if (refused)
		secret_not_locked();
	if (h == NULL)
		return NULL;
	h->len = len;
	return h + 1;
}

static void *
take_large(size_t len)
{
	if (len > SIZE_MAX / 2)
		return NULL;
	struct head *h = map(len + sizeof(*h));
	if (h == NULL)
		return NULL;
	if (!secret_protect(h, len + sizeof(*h)))
		secret_not_locked();
	*h = (struct head){ LARGE, MAGIC, len };
	return h + 1;
}

static void *
heap_alloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	if (len == 0)
		return NULL;
	if (len > BLOCK_MAX - sizeof(struct head))
		return take_large(len);
	return take_small(len);
}

static struct head *
head_of(void *p)
{
	struct head *h = (struct head *)p - 1;

	if (h->magic != MAGIC)
		abort();
	return h;
}

static void
heap_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p == NULL)
		return;
	struct head *h = head_of(p);
	explicit_bzero(p, h->len);
	if (h->cls == LARGE) {
		(void)munmap(h, h->len + sizeof(*h));
		return;
	}
	void **link = p;
	(void)pthread_mutex_lock(&heap_lock);
	*link = free_list[h->cls];
	free_list[h->cls] = link;
	(void)pthread_mutex_unlock(&heap_lock);
}

static void *
heap_realloc(void *p, size_t len, const char *file, int line)
{
	if (p == NULL)
		return heap_alloc(len, file, line);
	if (len == 0) {
		heap_free(p, file, line);
		return NULL;
	}
	struct head *h = head_of(p);
	if (h->cls != LARGE && len + sizeof(*h) <= sizes[h->cls]) {
		if (len < h->len)
			explicit_bzero((uint8_t *)p + len, h->len - len);
		h->len = len;
		return p;
	}
	void *q = heap_alloc(len, file, line);
	if (q == NULL)
		return NULL;
	memcpy(q, p, len < h->len ? len : h->len);
	heap_free(p, file, line);
	return q;
}

void *
secret_bulk_alloc(size_t len)
{
	return heap_alloc(len, NULL, 0);
}

void
secret_bulk_free(void *p)
{
	heap_free(p, NULL, 0);
}

bool
heap_install(void)
{
	uint8_t c = 0;

	for (size_t i = 0; i <= SMALL_MAX / STEP; i++) {
		if (sizes[c] < i * STEP)
			c++;
		class_by_step[i] = c;
	}
	return CRYPTO_set_mem_functions(heap_alloc, heap_realloc, heap_free) ==
	       1;
}

void
heap_die(void)
{
	struct region *r = regions;

	while (r != NULL) {
		struct region *const next = r->next;

		secret_forbid(r, REGION_LEN);
		r = next;
	}
}

void
heap_fork_prepare(void)
{
	(void)pthread_mutex_lock(&heap_lock);
}

void
heap_fork_parent(void)
{
	(void)pthread_mutex_unlock(&heap_lock);
}

/* The few mappings of their own are not listed, so they stay unlocked in the
 * child; key schedules are never that large. */
void
heap_fork_child(void)
{
	for (struct region *r = regions; r != NULL; r = r->next)
		(void)secret_protect(r, REGION_LEN);
	(void)pthread_mutex_unlock(&heap_lock);
}
