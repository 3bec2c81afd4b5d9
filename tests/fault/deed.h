/*
 * deed: what is done to the keys of a store, and to a store as a whole.
 *
 * Each begins on a store that tests/fault/rig prepared, on which before() was
 * done without faults.
 */
#ifndef TESTS_FAULT_DEED_H
#define TESTS_FAULT_DEED_H

#include <stdio.h>

#include "tests/fault/rig.h"

#define DEED_CLOSED 1u /* the store is closed meanwhile */
#define DEED_PARTS 2u  /* it may be done in part, and is then gone on with */

/* In a hurry, too, the keystore's syncs fail from each one on. */
#define DEED_SYNCS 4u

struct deed {
	const char *name;
	unsigned flags;                    /* DEED_… */
	enum err (*before)(struct rig *r); /* NULL: nothing */
	enum err (*act)(struct rig *r);
	/* What the keys and fsck do not show, as text; NULL: nothing. */
	enum err (*look)(struct rig *r, FILE *out);
};
extern const struct deed deeds[];
extern const unsigned ndeeds;

/* Forget what deeds of the last run made beside the store, and their clock. */
void deed_reset(struct rig *r);
/* The keys and all that belongs to them, findings of fsck, and what look()
 * says; malloc'd.  The store is open. */
enum err deed_state(struct rig *r, const struct deed *d, char **ret) MUSTCHECK;

#endif
