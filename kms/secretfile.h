/*
 * secretfile: small files that hold a secret: root keys, PINs.
 *
 * Thread-safe.
 */
#ifndef KMS_SECRETFILE_H
#define KMS_SECRETFILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

/* What kind of secret, for sentences; and the error when there is none. */
struct secretfile {
	const char *what; /* as "key file" */
	const char *loss; /* what cannot be done without it */
	enum err e;
	size_t min, max; /* bytes of content */
};

/*
 * secretfile_read(s, path, ours, ret, ret_len):
 * The content, at most s->max bytes; the caller wipes it.  With ${ours} the
 * file must belong to the user and be closed to all others.  Returns OK; s->e,
 * with a sentence; ERR_IO.
 */
enum err secretfile_read(const struct secretfile *s, const char *path,
    bool ours, uint8_t *ret, size_t *ret_len) MUSTCHECK;

/* The path of the systemd credential ${name}; s->e. */
enum err secretfile_credential(const struct secretfile *s, const char *name,
    char ret[static PATH_MAX]) MUSTCHECK;

#endif
