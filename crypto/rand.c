/*
 * rand: the pools live in key memory, which the kernel zeroes in a forked
 * child.  A zeroed pool is an empty one, so that a child can never hand out
 * its parent's bytes, however it was forked.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "crypto/rand.h"
#include "crypto/secret.h"
#include "lib/base/log.h"

#define POOL_LEN 2048
/* A clock is read a little after the other; a jump is more than this. */
#define JUMP_NS 50000000

struct pool {
	int64_t slept_ns; /* boot-time minus monotonic clock at refill */
	int64_t tick_ns;  /* coarse clock when that was last looked at */
	uint32_t gen;     /* fork_gen at refill */
	uint32_t left;    /* unused bytes, at the end of ${b} */
	uint8_t b[POOL_LEN - 24];
};
_Static_assert(sizeof(struct pool) == POOL_LEN, "one block of key memory");

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t pool_key;
static _Thread_local struct pool *pool;
/* Counts forks; for kernels that cannot zero memory at fork. */
static uint32_t fork_gen;

static void
on_fork(void)
{
	fork_gen++;
}

static void
pool_free(void *p)
{
	pool = NULL;
	secret_free(p);
}

static void
init(void)
{
	if (pthread_key_create(&pool_key, pool_free) != 0 ||
	    pthread_atfork(NULL, NULL, on_fork) != 0) {
		log_error("no memory for the random pool");
		abort();
	}
}

static void
from_kernel(void *p, size_t len)
{
	uint8_t *at = p;

	while (len > 0) {
		const ssize_t n = getrandom(at, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			log_error("the kernel has no random source: %s",
			    strerror(errno));
			abort();
		}
		at += n;
		len -= (size_t)n;
	}
}

static int64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Nanoseconds that the machine was suspended since it started. */
static int64_t
slept_ns(void)
{
	const int64_t mono = read_clock(CLOCK_MONOTONIC);

	return read_clock(CLOCK_BOOTTIME) - mono;
}

/*
 * True when the machine was suspended since ${p} was filled.  It is what is
 * left in the pool that must not outlive a suspension, so a refill is too late
 * to look; the exact clocks cost as much as the draw, so they are read once in
 * a tick of the coarse one.
 */
static bool
resumed(struct pool *p)
{
	const int64_t tick = read_clock(CLOCK_MONOTONIC_COARSE);

	if (tick == p->tick_ns)
		return false;
	p->tick_ns = tick;
	return slept_ns() - p->slept_ns > JUMP_NS;
}

static void
refill(struct pool *p)
{
	p->slept_ns = slept_ns();
	p->tick_ns = read_clock(CLOCK_MONOTONIC_COARSE);
	p->gen = fork_gen;
	from_kernel(p->b, sizeof(p->b));
	p->left = sizeof(p->b);
}

/* This thread's pool, or NULL when there is no key memory left. */
static struct pool *
pool_get(void)
{
	if (pool != NULL)
		return pool;
	(void)pthread_once(&once, init);
	struct pool *p = secret_alloc(sizeof(*p));
	if (p == NULL)
		return NULL;
	if (pthread_setspecific(pool_key, p) != 0) {
		secret_free(p);
		return NULL;
	}
	pool = p;
	return p;
}

void
rand_bytes(void *ret, size_t len)
{
	struct pool *p = len <= sizeof(p->b) / 4 ? pool_get() : NULL;

	if (p == NULL) {
		from_kernel(ret, len);
		return;
	}
	if (p->left < len || p->gen != fork_gen || resumed(p))
		refill(p);
	uint8_t *from = p->b + sizeof(p->b) - p->left;
	memcpy(ret, from, len);
	explicit_bzero(from, len);
	p->left -= (uint32_t)len;
}
