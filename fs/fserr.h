/*
 * fserr: what the kernel is told about an error.  Pure.
 */
#ifndef FS_FSERR_H
#define FS_FSERR_H

#include "lib/base/err.h"

/* The errno of ${e}, positive; 0 for OK. */
int fs_errno(enum err e);

/* The same for fsync: a store that stopped has lost data it had accepted, and
 * programs look for EIO there. */
int fs_errno_sync(enum err e);

#endif
