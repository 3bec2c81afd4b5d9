/*
 * aead [ROUNDS]: what a message costs, in nanoseconds, in each way that
 * crypto/aead.c can take on this processor.  Prints lines
 *
 *	WAY	CALL	BYTES	NANOSECONDS
 *
 * CALL: seal, open, and seal-once with a key of its own.  Every figure is the
 * median of ROUNDS, 41 when not given; in each round all ways have their turn, so
 * that what else the machine does falls on all of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/aead_internal.h"
#include "crypto/gcm.h"
#include "crypto/rand.h"
#include "lib/base/clock.h"

#define AD_LEN 32
#define LONGEST ((size_t)1 << 20)
#define ROUNDS_MAX 1001
#define TURN_NS 200000 /* about so long is one turn */

enum call { SEAL, OPEN, SEAL_ONCE, NCALLS };
static const char *const call_names[] = { "seal", "open", "seal-once" };
static const size_t sizes[] = { 32, 64, 200, 1024, 4096, 65536, LONGEST };

struct way {
	const char *name;
	const struct gcm *gcm; /* NULL: OpenSSL */
	struct aead *a;
	double ns[ROUNDS_MAX];
};

static uint8_t key[KEY_LEN], nonce[AEAD_NONCELEN], ad[AD_LEN];
static uint8_t text[LONGEST], sealed[LONGEST], out[LONGEST];
static uint8_t tag[AEAD_TAGLEN], seal_tag[AEAD_TAGLEN];

static void
run(const struct way *w, enum call call, size_t len)
{
	enum err e = OK;

	switch (call) {
	case SEAL:
		e = aead_seal(w->a, nonce, ad, AD_LEN, text, len, out, tag);
		break;
	case OPEN:
		e = aead_open(
		    w->a, nonce, ad, AD_LEN, sealed, len, seal_tag, out);
		break;
	case SEAL_ONCE:
	case NCALLS:
		e = aead_seal_once(key, nonce, ad, AD_LEN, text, len, out, tag);
		break;
	}
	if (e != OK)
		abort();
}

/* Nanoseconds for each of ${n} calls. */
static double
turn(const struct way *w, enum call call, size_t len, size_t n)
{
	aead_use(w->gcm);
	const uint64_t start = clock_mono_ns();
	for (size_t i = 0; i < n; i++)
		run(w, call, len);
	return (double)(clock_mono_ns() - start) / (double)n;
}

static int
by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
measure(
    struct way *ways, size_t nways, enum call call, size_t len, size_t rounds)
{
	for (size_t r = 0; r < rounds; r++) {
		for (size_t i = 0; i < nways; i++) {
			/* OpenSSL's speed is a guess that fits all. */
			const size_t n = TURN_NS / (len / 3 + 300) + 1;
			ways[i].ns[r] = turn(&ways[i], call, len, n);
		}
	}
	for (size_t i = 0; i < nways; i++) {
		qsort(ways[i].ns, rounds, sizeof(ways[i].ns[0]), by_value);
		printf("%s\t%s\t%zu\t%.0f\n", ways[i].name, call_names[call],
		    len, ways[i].ns[rounds / 2]);
	}
}

int
main(int argc, char **argv)
{
	static struct way ways[8];
	size_t nways = 0, rounds = 41;

	if (argc > 1)
		rounds = strtoul(argv[1], NULL, 10);
	if (rounds < 1 || rounds > ROUNDS_MAX || secret_init() != OK)
		return 2;
	rand_bytes(key, sizeof(key));
	ways[nways++] = (struct way){ .name = "OpenSSL" };
	for (size_t i = 0; gcm_ways[i] != NULL; i++)
		if (gcm_ways[i]->usable())
			ways[nways++] = (struct way){ .name = gcm_ways[i]->name,
				.gcm = gcm_ways[i] };
	for (size_t i = 0; i < nways; i++) {
		aead_use(ways[i].gcm);
		if (aead_new(key, &ways[i].a) != OK)
			return 1;
	}
	for (size_t s = 0; s < COUNTOF(sizes); s++) {
		if (aead_seal(ways[0].a, nonce, ad, AD_LEN, text, sizes[s],
			sealed, seal_tag) != OK)
			return 1;
		for (enum call c = SEAL; c < NCALLS; c++)
			measure(ways, nways, c, sizes[s], rounds);
	}
	for (size_t i = 0; i < nways; i++)
		aead_free(ways[i].a);
	return 0;
}
