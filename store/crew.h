/*
 * crew: do the pieces of one large request on several processors.
 *
 * The caller works too, and never waits for a helper that has not begun: with
 * busy processors it simply does all pieces itself.
 */
#ifndef STORE_CREW_H
#define STORE_CREW_H

#include <stddef.h>

#include "lib/base/err.h"

/*
 * crew_run(n, piece, arg):
 * Call piece(arg, i) once for each i below ${n}, in any order and at the same
 * time; return when all have returned.  piece may not run a crew itself and
 * takes only locks that rank above the caller's.
 * Returns OK, or the error of the piece with the least number that failed
 * (some later ones may then not have been called).
 */
enum err crew_run(
    size_t n, enum err (*piece)(void *arg, size_t i), void *arg) MUSTCHECK;

#endif
