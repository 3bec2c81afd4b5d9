/*
 * reserve: a little of the disk that is kept for opening a keystore.
 *
 * SQLite makes KEYSTORE-wal and KEYSTORE-shm anew for whoever opens first.  On
 * a disk that others have filled there would be no room for them, and the store
 * could not even be opened to remove something.  So KEYSTORE-reserve takes that
 * room while nobody needs it.
 */
#ifndef KMS_RESERVE_H
#define KMS_RESERVE_H

#include <stdbool.h>

/* Take the room unless it is taken, or the disk has not got it. */
void reserve_take(const char *path);
/* Is so little left that opening could fail?  Asked before, as SQLite maps what
 * it makes, and missing room can show as a SIGBUS. */
bool reserve_needed(const char *path);
/* Give it up; false when there was none. */
bool reserve_give(const char *path);

#endif
