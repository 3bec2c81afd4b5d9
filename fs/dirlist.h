/*
 * dirlist: the names an open directory has given out, by position.
 *
 * A handle lists its directory in the store's order and remembers each name
 * under a running index, so that telldir() values stay good while others
 * change the directory.  Names live in pages; the newest DIRLIST_MAX bytes are
 * kept, older ones are dropped, so that a directory of any size can be read in
 * bounded memory.  Not thread-safe: the handle's lock protects it.
 */
#ifndef FS_DIRLIST_H
#define FS_DIRLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define DIRLIST_MAX ((size_t)8 << 20)
#define DIRLIST_PAGE ((size_t)16 << 10)
#define DIRLIST_PAGE_FIRST ((size_t)2 << 10) /* most directories are small */

struct dirlist_page;

struct dirlist {
	struct dirlist_page **pages;
	size_t npages, cap;
	size_t bytes;   /* in pages */
	uint64_t first; /* index of the oldest name kept */
	uint64_t count; /* one past the newest */
	bool eof;       /* the store has no more */
};

struct dirlist_name {
	uint64_t ino;
	const char *name; /* NUL-terminated; valid until the list changes */
	size_t len;
	uint8_t type; /* DT_* */
};

void dirlist_init(struct dirlist *d);
/* Forget all names and start again at index 0; frees everything. */
void dirlist_clear(struct dirlist *d);
/* Append; ${len} is at most 255.  ERR_NOMEM. */
enum err dirlist_add(struct dirlist *d, uint64_t ino, uint8_t type,
    const char *name, size_t len) MUSTCHECK;
/* The name at ${index}; false when it was dropped or is not there yet. */
bool dirlist_get(const struct dirlist *d, uint64_t index,
    struct dirlist_name *ret) MUSTCHECK;

#endif
