/*
 * crypto_vectors: read tests/vectors/NAME, one case per line, fields parted by
 * blanks, bytes in hexadecimal, "-" for none, "#" begins a comment line.  The
 * folder is taken from SSEFS_VECTORS, else tests/vectors.
 */
#ifndef TESTS_UNIT_CRYPTO_VECTORS_H
#define TESTS_UNIT_CRYPTO_VECTORS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/codec.h"

#define VECTOR_FIELDS 8

struct bytes {
	uint8_t
	    *p; /* exactly ${len} bytes, so that a sanitizer sees overruns */
	size_t len;
};

static inline struct bytes
vector_bytes(const char *hex)
{
	struct bytes b = { NULL, 0 };

	if (strcmp(hex, "-") != 0)
		b.len = strlen(hex) / 2;
	b.p = malloc(b.len > 0 ? b.len : 1);
	assert_non_null(b.p);
	if (b.len > 0)
		assert_int_equal(hex_decode(hex, strlen(hex), b.p, b.len), OK);
	return b;
}

static inline void
bytes_free(struct bytes *b)
{
	free(b->p);
}
#define CLEANUP_BYTES CLEANUP(bytes_free)

/* Call ${cb} with the fields of every case; returns how many. */
static inline unsigned
vectors_each(const char *name, size_t nfields,
    void (*cb)(char *const fields[VECTOR_FIELDS]))
{
	const char *dir = getenv("SSEFS_VECTORS");
	char path[1024];
	char *line CLEANUP_FREE = NULL;
	size_t cap = 0;
	unsigned n = 0;

	(void)snprintf(path, sizeof(path), "%s/%s",
	    dir != NULL ? dir : "tests/vectors", name);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		fail_msg("cannot open %s", path);
	while (getline(&line, &cap, f) > 0) {
		char *fields[VECTOR_FIELDS] = { NULL };
		char *save = NULL;
		size_t i = 0;

		if (line[0] == '#')
			continue;
		for (char *s = strtok_r(line, " \n", &save); s != NULL;
		     s = strtok_r(NULL, " \n", &save)) {
			assert_true(i < VECTOR_FIELDS);
			fields[i++] = s;
		}
		assert_int_equal(i, nfields);
		cb(fields);
		n++;
	}
	(void)fclose(f);
	return n;
}

static inline int
vector_valid(char *const fields[VECTOR_FIELDS])
{
	return strcmp(fields[1], "valid") == 0;
}

#endif
