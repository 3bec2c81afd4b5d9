/*
 * lock: mutexes and reader-writer locks with a rank.
 *
 * A thread takes locks in rising rank only; two locks of one rank are never
 * held together, save where lock_take_pair() takes them.  Builds without
 * NDEBUG abort, naming both locks, when the order is broken or a lock is
 * dropped by a thread that does not hold it.  The ranks of all rooms stand
 * here and nowhere else.
 *
 * No lock is held across a FUSE reply (lock_assert_none()).
 */
#ifndef LIB_BASE_LOCK_H
#define LIB_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/base/attrs.h"

enum lock_rank {
	RANK_SERVE = 8,         /* tools: a server's hold on its store */
	RANK_FS_CONF = 10,      /* fs: mount-wide settings */
	RANK_FS_HANDLE = 12,    /* fs: one open file or directory */
	RANK_GATEWAY = 14,      /* gateway: its connections */
	RANK_STORE_COMMIT = 20, /* store: one committer at a time */
	RANK_STORE_EPOCH = 22,  /* store: shared by operations, exclusive by
				   the committer */
	RANK_STORE_INODE = 26,  /* store: one inode's content */
	RANK_STORE_DB = 30,     /* store: the SQLite connection and the inode
				   table */
	RANK_STORE_MAP = 34,    /* store: map node cache */
	RANK_STORE_ALLOC = 36,  /* store: slots */
	RANK_STORE_STATE = 38,  /* store: waiters and counters */
	RANK_FS_REFS = 42,      /* fs: look-up counts */
	RANK_FS_STALE = 43,     /* fs: files the kernel is to drop pages of */
	RANK_KMS = 50,          /* kms: keystore connection and key cache */
	RANK_PROVIDERS = 51,    /* kms: list of open providers */
	RANK_TOKEN_LIST = 51,   /* kms: list of PKCS#11 modules */
	RANK_TOKEN = 52,        /* kms: one PKCS#11 module */
	RANK_TOKEN_POOL = 53,   /* kms: sessions with one token */
	RANK_KMS_REMOTE = 52,   /* kms: answers of remote key services */
	RANK_KMS_AUDIT = 54,    /* kms: audit chain */
	RANK_VFS = 58,          /* store: the SQLite VFS's shared memory */
	RANK_SEAL = 59,         /* store: sealed databases */
	RANK_CRYPTO = 60,       /* crypto: pools */
	RANK_NET = 64,          /* net: idle connections */
	RANK_LOG = 70
};

struct lock {
	pthread_mutex_t m;
	const char *name;
	int rank;
};

struct rwlock {
	pthread_rwlock_t l; /* prefers writers */
	const char *name;
	int rank;
};

/* ${name} must have static life.  Initialisation cannot fail on Linux. */
void lock_init(struct lock *l, enum lock_rank rank, const char *name);
void lock_destroy(struct lock *l);
void lock_take(struct lock *l);
void lock_drop(struct lock *l);
/* True when taken. */
bool lock_try(struct lock *l) MUSTCHECK;
/* Wait on ${c} with ${l} held; spurious wake-ups happen. */
void lock_wait(struct lock *l, pthread_cond_t *c);
/* As lock_wait, ${ns} nanoseconds (monotonic) at most; false on time-out.
 * ${c} must come from lock_cond_init(). */
bool lock_wait_for(struct lock *l, pthread_cond_t *c, unsigned long long ns);
void lock_cond_init(pthread_cond_t *c);

void rwlock_init(struct rwlock *l, enum lock_rank rank, const char *name);
void rwlock_destroy(struct rwlock *l);
void rwlock_read(struct rwlock *l);
void rwlock_write(struct rwlock *l);
void rwlock_drop(struct rwlock *l);
/* Take two locks of one rank, for writing, in the order of their addresses;
 * ${a} and ${b} may be the same lock (then it is taken once). */
void rwlock_write_pair(struct rwlock *a, struct rwlock *b);
void rwlock_drop_pair(struct rwlock *a, struct rwlock *b);

/* Abort (without NDEBUG) when this thread holds any ranked lock. */
void lock_assert_none(void);
/* Abort (without NDEBUG) unless this thread holds a lock of rank ${r}. */
void lock_assert_held(enum lock_rank r);

static inline void
lock_drop_cleanup(struct lock **l)
{
	if (*l != NULL)
		lock_drop(*l);
}

static inline void
rwlock_drop_cleanup(struct rwlock **l)
{
	if (*l != NULL)
		rwlock_drop(*l);
}

#define LOCK_CAT2_(a, b) a##b
#define LOCK_CAT_(a, b) LOCK_CAT2_(a, b)
/* Hold ${l} until the end of the enclosing block. */
#define LOCK_SCOPE(l)                                 \
	struct lock *LOCK_CAT_(lock_scope_, __LINE__) \
	    CLEANUP(lock_drop_cleanup) UNUSED = (lock_take(l), (l))
#define RWLOCK_READ_SCOPE(l)                            \
	struct rwlock *LOCK_CAT_(lock_scope_, __LINE__) \
	    CLEANUP(rwlock_drop_cleanup) UNUSED = (rwlock_read(l), (l))
#define RWLOCK_WRITE_SCOPE(l)                           \
	struct rwlock *LOCK_CAT_(lock_scope_, __LINE__) \
	    CLEANUP(rwlock_drop_cleanup) UNUSED = (rwlock_write(l), (l))

#endif
