/*
 * secret: the arena is cut into pages, a page into blocks of one size.  All
 * bookkeeping stands outside the arena: in a forked child the kernel hands out
 * zeroes for the arena, and the child must still be able to allocate.
 *
 * Invariant: every byte of the arena that is not allocated is zero, for it is
 * wiped when freed.  So an allocation needs no clearing.
 *
 * The arena's mutex has no rank: it is taken for a few instructions, calls
 * nothing, and must be usable under any lock and around fork().
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <openssl/crypto.h>

#include "crypto/secret.h"
#include "crypto/secret_internal.h"
#include "lib/base/log.h"

#define PAGE ((size_t)4096)
#define NPAGES 1024u
#define ARENA_LEN (PAGE * NPAGES)

#define MIN_SHIFT 5 /* blocks of 32, 64, … 4096 bytes */
#define NCLASSES 8u
#define MAX_BLOCK (1u << (MIN_SHIFT + NCLASSES - 1))
_Static_assert(MAX_BLOCK == PAGE, "the largest block is a page");

#define NONE UINT16_MAX

enum page_kind {
	PAGE_FREE,
	PAGE_BLOCKS, /* blocks of class ${cls} */
	PAGE_RUN,    /* first of ${run} pages that are one allocation */
	PAGE_REST    /* a later page of a run */
};

struct page {
	uint8_t kind;
	uint8_t cls;
	uint16_t run;
	uint16_t nfree;
	uint16_t next, prev; /* pages of this class with free blocks */
	uint64_t free[2];    /* a bit per free block */
};
_Static_assert(PAGE >> MIN_SHIFT <= 128, "one bit per block");

static pthread_once_t arena_once = PTHREAD_ONCE_INIT;
static uint8_t *arena; /* set once */
static atomic_bool unlocked;
static atomic_bool warned;

static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;
/* All under arena_lock. */
static struct page pages[NPAGES];
static uint16_t partial[NCLASSES];

/* ---- Mapping ------------------------------------------------------------- */

bool
secret_protect(void *p, size_t len)
{
	(void)madvise(p, len, MADV_DONTDUMP);
	return mlock2(p, len, MLOCK_ONFAULT) == 0;
}

void
secret_not_locked(void)
{
	atomic_store(&unlocked, true);
	if (!atomic_exchange(&warned, true))
		log_warn("key memory could not all be locked and may be "
			 "written to swap; raise the limit of locked memory "
			 "(ulimit -l)");
}

int
secret_locked(void)
{
	return arena != NULL && !atomic_load(&unlocked);
}

static void
fork_prepare(void)
{
	(void)pthread_mutex_lock(&arena_lock);
	heap_fork_prepare();
}

static void
fork_parent(void)
{
	heap_fork_parent();
	(void)pthread_mutex_unlock(&arena_lock);
}

/* Memory locks are not inherited; the arena's contents are wiped already. */
static void
fork_child(void)
{
	if (!secret_protect(arena, ARENA_LEN))
		atomic_store(&unlocked, true);
	heap_fork_child();
	(void)pthread_mutex_unlock(&arena_lock);
}

static void
arena_make(void)
{
	uint8_t *p = mmap(NULL, ARENA_LEN + 2 * PAGE, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	if (mprotect(p + PAGE, ARENA_LEN, PROT_READ | PROT_WRITE) != 0 ||
	    pthread_atfork(fork_prepare, fork_parent, fork_child) != 0) {
		(void)munmap(p, ARENA_LEN + 2 * PAGE);
		return;
	}
	for (size_t i = 0; i < NCLASSES; i++)
		partial[i] = NONE;
	arena = p + PAGE;
	if (madvise(arena, ARENA_LEN, MADV_WIPEONFORK) != 0)
		log_warn("the kernel cannot wipe key memory at fork");
	if (!secret_protect(arena, ARENA_LEN))
		secret_not_locked();
}

enum err
secret_init(void)
{
	static bool done;
	const struct rlimit no_core = { 0, 0 };

	if (done)
		return OK;
	(void)pthread_once(&arena_once, arena_make);
	if (arena == NULL)
		return err_fail(ERR_NOMEM, "no memory for keys");
	if (!heap_install())
		return err_fail(ERR_CRYPTO, "OpenSSL was used before its "
					    "memory could be protected");
	/* The system's configuration file must not choose our ciphers. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return err_fail(ERR_CRYPTO, "OpenSSL does not start");
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	done = true;
	return OK;
}

/* Instead of what is there, in one step: memory that nobody may touch. */
void
secret_forbid(void *p, size_t len)
{
	/* Refused: they stay, until the process ends in a moment, but nobody
	 * reaches them either.  There is nobody to tell. */
	if (mmap(p, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		0) == MAP_FAILED)
		(void)mprotect(p, len, PROT_NONE);
}

void
secret_die(void)
{
	if (arena != NULL)
		secret_forbid(arena, ARENA_LEN);
	heap_die();
}

/* ---- Pages and blocks; all under arena_lock ------------------------------ */

static size_t
block_size(unsigned cls)
{
	return (size_t)1 << (MIN_SHIFT + cls);
}

static unsigned
class_of(size_t len)
{
	if (len <= (size_t)1 << MIN_SHIFT)
		return 0;
	return (unsigned)(64 - __builtin_clzl(len - 1)) - MIN_SHIFT;
}

/* The first of ${n} free pages in a row, or NONE. */
static uint16_t
find_pages(size_t n)
{
	size_t have = 0;

	for (size_t i = 0; i < NPAGES; i++) {
		have = pages[i].kind == PAGE_FREE ? have + 1 : 0;
		if (have == n)
			return (uint16_t)(i + 1 - n);
	}
	return NONE;
}

static void
list_add(unsigned cls, uint16_t i)
{
	pages[i].prev = NONE;
	pages[i].next = partial[cls];
	if (partial[cls] != NONE)
		pages[partial[cls]].prev = i;
	partial[cls] = i;
}

static void
list_remove(unsigned cls, uint16_t i)
{
	const struct page *pg = &pages[i];

	if (pg->prev != NONE)
		pages[pg->prev].next = pg->next;
	else
		partial[cls] = pg->next;
	if (pg->next != NONE)
		pages[pg->next].prev = pg->prev;
}

static uint16_t
page_of_blocks(unsigned cls)
{
	const uint16_t i = find_pages(1);
	const size_t n = PAGE / block_size(cls);

	if (i == NONE)
		return NONE;
	pages[i] = (struct page){
		.kind = PAGE_BLOCKS,
		.cls = (uint8_t)cls,
		.nfree = (uint16_t)n,
		.free = { n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1,
		    n > 64 ? UINT64_MAX : 0 },
	};
	list_add(cls, i);
	return i;
}

static void *
take_block(unsigned cls)
{
	uint16_t i = partial[cls];

	if (i == NONE)
		i = page_of_blocks(cls);
	if (i == NONE)
		return NULL;
	struct page *pg = &pages[i];
	const size_t word = pg->free[0] != 0 ? 0 : 1;
	const size_t bit = (size_t)__builtin_ctzl(pg->free[word]);
	pg->free[word] &= pg->free[word] - 1;
	if (--pg->nfree == 0)
		list_remove(cls, i);
	return arena + (size_t)i * PAGE + (word * 64 + bit) * block_size(cls);
}

static void *
take_run(size_t len)
{
	if (len > ARENA_LEN)
		return NULL;
	const size_t n = (len + PAGE - 1) / PAGE;
	const uint16_t first = find_pages(n);

	if (first == NONE)
		return NULL;
	for (size_t i = 0; i < n; i++)
		pages[first + i] = (struct page){ .kind = PAGE_REST };
	pages[first].kind = PAGE_RUN;
	pages[first].run = (uint16_t)n;
	return arena + (size_t)first * PAGE;
}

/* A pointer that is not the start of a live allocation means that memory is
 * corrupt already; with keys at stake there is no going on. */
static void
give_back(size_t off)
{
	const uint16_t i = (uint16_t)(off / PAGE);
	struct page *pg = &pages[i];

	if (pg->kind == PAGE_RUN && off % PAGE == 0) {
		const size_t n = pg->run;
		explicit_bzero(arena + off, n * PAGE);
		memset(pg, 0, n * sizeof(*pg));
		return;
	}
	if (pg->kind != PAGE_BLOCKS)
		abort();
	const size_t size = block_size(pg->cls);
	const size_t block = off % PAGE / size;
	const uint64_t bit = UINT64_C(1) << block % 64;
	if (off % size != 0 || (pg->free[block / 64] & bit) != 0)
		abort();
	explicit_bzero(arena + off, size);
	pg->free[block / 64] |= bit;
	if (pg->nfree++ == 0)
		list_add(pg->cls, i);
	/* The last page of a class stays, so that one allocation coming and
	 * going does not make and break a page each time. */
	if (pg->nfree == PAGE / size &&
	    (pg->prev != NONE || pg->next != NONE)) {
		list_remove(pg->cls, i);
		pg->kind = PAGE_FREE;
	}
}

/* ---- For callers --------------------------------------------------------- */

void *
secret_alloc(size_t len)
{
	(void)pthread_once(&arena_once, arena_make);
	if (arena == NULL)
		return NULL;
	(void)pthread_mutex_lock(&arena_lock);
	void *p = len <= MAX_BLOCK ? take_block(class_of(len)) : take_run(len);
	(void)pthread_mutex_unlock(&arena_lock);
	return p;
}

void
secret_free(void *p)
{
	if (p == NULL)
		return;
	const uintptr_t off = (uintptr_t)p - (uintptr_t)arena;
	if (arena == NULL || off >= ARENA_LEN)
		abort();
	(void)pthread_mutex_lock(&arena_lock);
	give_back(off);
	(void)pthread_mutex_unlock(&arena_lock);
}

struct key *
key_new(void)
{
	return secret_alloc(sizeof(struct key));
}

void
key_free(struct key *k)
{
	secret_free(k);
}

void
secret_wipe(void *p, size_t len)
{
	if (len > 0)
		explicit_bzero(p, len);
}

int
secret_cmp(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len);
}
