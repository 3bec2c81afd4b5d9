/*
 * handle: open files and open directories of the mount.
 *
 * The kernel keeps the address of a handle as its file handle.  All open
 * handles are on a list, because an aborted connection sends no RELEASE and
 * the store must have none open when it is closed.  Thread-safe; a single
 * handle may be used by several threads at once.
 */
#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include "fs/dirlist.h"
#include "lib/base/lock.h"
#include "store/store.h"

struct handle {
	struct handle *prev, *next; /* protected by handles.lock */
	uint64_t ino;
	struct store_file *file; /* NULL: a directory */
	bool noatime;            /* of a directory */
	struct lock lock;        /* of a directory's list */
	struct dirlist list;     /* protected by lock */
};

struct handles {
	struct lock lock;
	struct handle *head; /* protected by lock */
};

void handles_init(struct handles *hs);
/* Close what is still open; no other thread may use it any more. */
void handles_destroy(struct handles *hs);

/* Takes ${file} over when it succeeds; ${file} NULL opens a directory. */
enum err handle_open(struct handles *hs, uint64_t ino, struct store_file *file,
    struct handle **ret) MUSTCHECK;
/* Release the content, free the handle. */
void handle_close(struct handles *hs, struct handle *h);

#endif
