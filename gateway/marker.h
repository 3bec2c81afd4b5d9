/*
 * marker: where the next page of a list begins, as the client carries it.
 *
 * A marker is the last name of a page, authenticated together with the
 * operation, the tenant and what was listed, under a key that is drawn when the
 * process starts: one made up, cut, or of another list is refused, and so is one
 * from before a restart.  Pure and thread-safe.
 */
#ifndef GATEWAY_MARKER_H
#define GATEWAY_MARKER_H

#include <stddef.h>

#include "crypto/digest.h"
#include "lib/base/err.h"

#define MARKER_NAME_MAX 768 /* bytes of the name, with its NUL */
#define MARKER_MAX 1056     /* of a marker, with its NUL */

/* ${list}: the operation, the tenant and the filter, in one text. */
enum err marker_make(const struct hmac_key *k, const char *list,
    const char *name, char ret[static MARKER_MAX]) MUSTCHECK;
/* ERR_PARSE: not a marker of this list. */
enum err marker_read(const struct hmac_key *k, const char *list,
    const char *marker, char ret[static MARKER_NAME_MAX]) MUSTCHECK;

#endif
