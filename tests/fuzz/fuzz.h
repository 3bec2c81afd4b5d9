/*
 * fuzz: what the fuzz targets share.
 *
 * A target takes its input apart with a struct feed, hands the parts to a
 * parser in blocks of exactly their size, so that AddressSanitizer sees the
 * first byte too many, and checks with HOLDS() what must be true of the
 * result.
 *
 * New inputs worth keeping: "make fuzz" leaves what it found below the build
 * folder; FUZZER -merge=1 tests/fuzz/corpus/NAME THAT-FOLDER takes over those
 * that reach new code.  tests/fuzz/seeds.py writes the first seeds.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/attrs.h"

/* The target; always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* To descriptor 2, since a target may have closed the stream. */
#define HOLDS(cond)                                                    \
	do {                                                           \
		if (!(cond)) {                                         \
			(void)dprintf(2, "%s:%d: does not hold: %s\n", \
			    __FILE__, __LINE__, #cond);                \
			abort();                                       \
		}                                                      \
	} while (0)

/* What is left of the input. */
struct feed {
	const uint8_t *p;
	size_t len;
};

/* The next ${n} bytes, zeros when the input has ended. */
static inline uint64_t
feed_int(struct feed *f, unsigned n)
{
	uint64_t v = 0;

	for (; n > 0; n--) {
		v <<= 8;
		if (f->len > 0) {
			v |= *f->p++;
			f->len--;
		}
	}
	return (v);
}

static inline void
feed_bytes(struct feed *f, void *ret, size_t n)
{
	const size_t have = n < f->len ? n : f->len;

	memset(ret, 0, n);
	if (have > 0)
		memcpy(ret, f->p, have);
	f->p += have;
	f->len -= have;
}

/* ${n} bytes in a block of that size; the caller frees it. */
static inline uint8_t *
exact(const void *p, size_t n)
{
	uint8_t *copy = malloc(n);

	HOLDS(copy != NULL || n == 0);
	if (n > 0)
		memcpy(copy, p, n);
	return (copy);
}

/* The bytes up to a NUL or the end as a string; the caller frees it. */
static inline char *
feed_str(struct feed *f)
{
	const size_t n = f->len == 0 ? 0 : strnlen((const char *)f->p, f->len);
	char *s = malloc(n + 1);

	HOLDS(s != NULL);
	if (n > 0)
		memcpy(s, f->p, n);
	s[n] = '\0';
	f->p += n;
	f->len -= n;
	if (f->len > 0) {
		f->p++;
		f->len--;
	}
	return (s);
}

#endif
