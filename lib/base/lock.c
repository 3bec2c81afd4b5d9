/*
 * lock: what a thread holds is a small thread-local stack, sorted by rank
 * because locks are only ever pushed above the highest; a check is one
 * comparison with its top.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/lock.h"

#ifndef NDEBUG

#define HELD_MAX 16

struct held {
	const void *lock;
	const char *name;
	int rank;
};

static _Thread_local struct held held[HELD_MAX];
static _Thread_local unsigned nheld;

static NORETURN void __attribute__((cold)) die(const char *what,
    const char *name, int rank, const char *other, int other_rank)
{
	(void)fprintf(stderr, "ssefs: lock: %s: %s (rank %d), %s (rank %d)\n",
	    what, name, rank, other, other_rank);
	abort();
}

/* Called before waiting for the lock, so that a broken order is told and not
 * suffered. */
static inline void
check(const char *name, int rank, bool same_rank_ok)
{
	if (nheld == 0)
		return;
	const struct held *top = &held[nheld - 1];
	if (top->rank > rank || (top->rank == rank && !same_rank_ok))
		die("taken out of order", name, rank, top->name, top->rank);
	if (nheld == HELD_MAX)
		die("too many held", name, rank, top->name, top->rank);
}

static inline void
push(const void *lock, const char *name, int rank)
{
	held[nheld++] = (struct held){ lock, name, rank };
}

static inline void
pop(const void *lock, const char *name, int rank)
{
	unsigned i = nheld;

	while (i > 0 && held[i - 1].lock != lock)
		i--;
	if (i == 0)
		die("dropped or waited on, not held", name, rank, "none", 0);
	for (; i < nheld; i++)
		held[i - 1] = held[i];
	nheld--;
}

static inline void
check_holds(const void *lock, const char *name, int rank)
{
	for (unsigned i = nheld; i > 0; i--) {
		if (held[i - 1].lock == lock)
			return;
	}
	die("dropped or waited on, not held", name, rank, "none", 0);
}

void
lock_assert_none(void)
{
	if (nheld > 0)
		die("held where none may be", held[nheld - 1].name,
		    held[nheld - 1].rank, "none", 0);
}

void
lock_assert_held(enum lock_rank r)
{
	for (unsigned i = 0; i < nheld; i++) {
		if (held[i].rank == (int)r)
			return;
	}
	die("not held where it must be", "this one", (int)r, "none", 0);
}

#else

static inline void
check(const char *name UNUSED, int rank UNUSED, bool same_rank_ok UNUSED)
{
}

static inline void
push(const void *lock UNUSED, const char *name UNUSED, int rank UNUSED)
{
}

static inline void
pop(const void *lock UNUSED, const char *name UNUSED, int rank UNUSED)
{
}

static inline void
check_holds(const void *lock UNUSED, const char *name UNUSED, int rank UNUSED)
{
}

void
lock_assert_none(void)
{
}

void
lock_assert_held(enum lock_rank r UNUSED)
{
}

#endif

/* The pthread calls below fail only when used wrongly; going on without the
 * lock would be worse than stopping. */
static inline void
must(int rc, const char *name)
{
	if (__builtin_expect(rc != 0, 0)) {
		(void)fprintf(
		    stderr, "ssefs: lock: %s: %s\n", name, strerror(rc));
		abort();
	}
}

void
lock_init(struct lock *l, enum lock_rank rank, const char *name)
{
	l->name = name;
	l->rank = (int)rank;
	must(pthread_mutex_init(&l->m, NULL), name);
}

void
lock_destroy(struct lock *l)
{
	must(pthread_mutex_destroy(&l->m), l->name);
}

void
lock_take(struct lock *l)
{
	check(l->name, l->rank, false);
	must(pthread_mutex_lock(&l->m), l->name);
	push(l, l->name, l->rank);
}

void
lock_drop(struct lock *l)
{
	pop(l, l->name, l->rank);
	must(pthread_mutex_unlock(&l->m), l->name);
}

bool
lock_try(struct lock *l)
{
	check(l->name, l->rank, false);
	if (pthread_mutex_trylock(&l->m) != 0)
		return false;
	push(l, l->name, l->rank);
	return true;
}

void
lock_wait(struct lock *l, pthread_cond_t *c)
{
	check_holds(l, l->name, l->rank);
	must(pthread_cond_wait(c, &l->m), l->name);
}

bool
lock_wait_for(struct lock *l, pthread_cond_t *c, unsigned long long ns)
{
	const uint64_t now = clock_mono_ns();
	const uint64_t end = ns > INT64_MAX - now ? INT64_MAX : now + ns;
	const struct timespec until = {
		.tv_sec = (time_t)(end / 1000000000u),
		.tv_nsec = (long)(end % 1000000000u),
	};

	check_holds(l, l->name, l->rank);
	const int rc = pthread_cond_timedwait(c, &l->m, &until);
	if (rc == ETIMEDOUT)
		return false;
	must(rc, l->name);
	return true;
}

void
lock_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	must(pthread_condattr_init(&a), "condition");
	must(pthread_condattr_setclock(&a, CLOCK_MONOTONIC), "condition");
	must(pthread_cond_init(c, &a), "condition");
	must(pthread_condattr_destroy(&a), "condition");
}

void
rwlock_init(struct rwlock *l, enum lock_rank rank, const char *name)
{
	pthread_rwlockattr_t a;

	l->name = name;
	l->rank = (int)rank;
	must(pthread_rwlockattr_init(&a), name);
	/* The default lets a stream of readers starve the committer. */
	must(pthread_rwlockattr_setkind_np(
		 &a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP),
	    name);
	must(pthread_rwlock_init(&l->l, &a), name);
	must(pthread_rwlockattr_destroy(&a), name);
}

void
rwlock_destroy(struct rwlock *l)
{
	must(pthread_rwlock_destroy(&l->l), l->name);
}

void
rwlock_read(struct rwlock *l)
{
	check(l->name, l->rank, false);
	must(pthread_rwlock_rdlock(&l->l), l->name);
	push(l, l->name, l->rank);
}

void
rwlock_write(struct rwlock *l)
{
	check(l->name, l->rank, false);
	must(pthread_rwlock_wrlock(&l->l), l->name);
	push(l, l->name, l->rank);
}

void
rwlock_drop(struct rwlock *l)
{
	pop(l, l->name, l->rank);
	must(pthread_rwlock_unlock(&l->l), l->name);
}

void
rwlock_write_pair(struct rwlock *a, struct rwlock *b)
{
	struct rwlock *first = (uintptr_t)a < (uintptr_t)b ? a : b;
	struct rwlock *second = first == a ? b : a;

	rwlock_write(first);
	if (second == first)
		return;
	check(second->name, second->rank, true);
	must(pthread_rwlock_wrlock(&second->l), second->name);
	push(second, second->name, second->rank);
}

void
rwlock_drop_pair(struct rwlock *a, struct rwlock *b)
{
	rwlock_drop(a);
	if (b != a)
		rwlock_drop(b);
}
