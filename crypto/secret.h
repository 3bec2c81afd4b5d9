/*
 * secret: memory for keys.
 *
 * One arena per process: mapped between guard pages, locked against swapping,
 * left out of core dumps, wiped in a forked child (MADV_WIPEONFORK), wiped at
 * every free.  secret_init() also routes OpenSSL's own allocations (key
 * schedules live there) into locked memory, forbids core dumps and ptrace by
 * others (PR_SET_DUMPABLE 0, RLIMIT_CORE 0).
 *
 * Thread-safe after secret_init().
 */
#ifndef CRYPTO_SECRET_H
#define CRYPTO_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define KEY_LEN 32 /* bytes of every symmetric key in ssefs */

/*
 * secret_init():
 * Prepare the arena; call once, before the first use of OpenSSL and before
 * threads start; later calls do nothing.  When the kernel refuses to lock the
 * memory, it goes on unlocked, logs one warning and secret_locked() tells.
 * Returns OK; ERR_NOMEM; ERR_CRYPTO when OpenSSL was used before.
 */
enum err secret_init(void) MUSTCHECK;
int secret_locked(void);

/*
 * secret_die():
 * Give all key memory back to the kernel: for the handler of a signal that ends
 * the process.  Other threads are still running; one that touches a key from then
 * on is ended by a fault, rather than going on with a key of zeros.  Of what went
 * through OpenSSL, single blocks of over 64 KiB, which hold no keys, are left.
 */
void secret_die(void);

/*
 * secret_alloc(len):
 * ${len} zeroed bytes of key memory, or NULL when none is left.
 */
void *secret_alloc(size_t len) MUSTCHECK;
/* Wipe and free; NULL is fine. */
void secret_free(void *p);

/*
 * secret_bulk_alloc(len):
 * Working memory for a library that secrets pass through: locked and wiped as the
 * rest, but not zeroed, of no fixed size in all, and a forked child still has it.
 * NULL when none is left.  After secret_init() only.
 */
void *secret_bulk_alloc(size_t len) MUSTCHECK;
void secret_bulk_free(void *p); /* wipes; NULL is fine */

/* A 32-byte key in key memory. */
struct key {
	uint8_t b[KEY_LEN];
};
struct key *key_new(void) MUSTCHECK; /* zeroed; NULL when none is left */
void key_free(struct key *k);        /* NULL is fine */
static inline void
key_cleanup(struct key **k)
{
	key_free(*k);
}
#define CLEANUP_KEY CLEANUP(key_cleanup)

/* Overwrite ${len} bytes in a way no compiler removes. */
void secret_wipe(void *p, size_t len);
/* Wipe a local array when it leaves its scope: WIPED(uint8_t, tmp, 64); */
struct secret_span {
	void *p;
	size_t len;
};
static inline void
secret_span_wipe(struct secret_span *s)
{
	secret_wipe(s->p, s->len);
}
#define WIPED(type, name, n)                                     \
	type name[n] = { 0 };                                    \
	struct secret_span wipe_##name CLEANUP(secret_span_wipe) \
	    UNUSED = { name, sizeof(name) }

/* 0 when equal; the time does not depend on where they differ. */
int secret_cmp(const void *a, const void *b, size_t len) MUSTCHECK;

#endif
