/*
 * seeded: getrandom() of this program comes before libc's.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crypto/rand.h"

#include "tests/crash/cut.h"
#include "tests/crash/seeded.h"

static _Thread_local bool mine;
static bool never;
static uint64_t sequence;
static unsigned calls;

ssize_t
getrandom(void *p, size_t len, unsigned flags)
{
	uint8_t *b = p;

	if (!mine)
		return (syscall(SYS_getrandom, p, len, flags));
	calls++;
	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)rnd_next(&sequence, 256);
	return ((ssize_t)len);
}

void
seeded_never(void)
{
	never = true;
}

void
seeded_start(uint64_t stream)
{
	const unsigned before = calls;
	uint8_t b;

	if (never)
		return;
	mine = true;
	sequence = stream * UINT64_C(0x2545f4914f6cdd1d);
	(void)sqlite3_test_control(
	    SQLITE_TESTCTRL_PRNG_SEED, (int)(stream % 1000000 + 1), NULL);
	/* The pool still holds bytes of the sequence before: use them up. */
	while (calls == before)
		rand_bytes(&b, 1);
}
