/*
 * ns: what the files about names and attributes share (inner to store/).
 */
#ifndef STORE_NS_H
#define STORE_NS_H

#include "store/store_internal.h"

/* A pinned inode that is put back at the end of its scope, which must lie
 * within that of st->db. */
struct pin {
	struct store *st;
	struct inode *ip;
};
static inline void
pin_put(struct pin *p)
{
	if (p->ip != NULL)
		inode_put(p->st, p->ip);
	p->ip = NULL;
}
#define PIN(name) struct pin name CLEANUP(pin_put) = { NULL, NULL }

/* ERR_STALE when there is none. */
enum err pin_get(struct store *st, uint64_t ino, struct pin *ret) MUSTCHECK;
/* A directory: ERR_NOENT when it is gone, ERR_NOTDIR. */
enum err pin_dir(struct store *st, uint64_t ino, struct pin *ret) MUSTCHECK;
/* A directory in which a name can be made: not one that was removed. */
enum err pin_live_dir(
    struct store *st, uint64_t ino, struct pin *ret) MUSTCHECK;
/* The inode that a name of ${dir} refers to: ERR_CORRUPT when there is none. */
enum err pin_child(struct store *st, uint64_t ino, struct pin *ret) MUSTCHECK;

/* A name as dentry rows hold it: ${len} bytes, and one more for the '/' that
 * marks a directory. */
struct dname {
	char b[STORE_NAME_MAX + 2];
	size_t len;
};
/* ERR_INVAL, ERR_NAMETOOLONG as store.h says. */
enum err dname_set(struct dname *ret, const char *name, size_t len) MUSTCHECK;

struct dent {
	uint64_t ino;
	bool isdir;
};
/* ERR_NOENT. */
enum err dent_find(struct store *st, uint64_t dir, const struct dname *name,
    struct dent *ret) MUSTCHECK;
enum err dent_add(struct store *st, uint64_t dir, const struct dname *name,
    bool isdir, uint64_t ino) MUSTCHECK;
enum err dent_set(struct store *st, uint64_t dir, const struct dname *name,
    bool isdir, uint64_t ino) MUSTCHECK;
enum err dent_del(struct store *st, uint64_t dir, const struct dname *name,
    bool isdir) MUSTCHECK;
/* ERR_NOTEMPTY when the directory holds a name. */
enum err dir_empty(struct store *st, uint64_t dir) MUSTCHECK;

/* Set ctime, and mtime as well when ${mtime}, to now. */
void inode_touch(struct store *st, struct inode *ip, bool mtime);
/* A name of ${ip} was removed from ${dir}: links, times, orphan.  A directory
 * must be empty. */
enum err inode_unname(
    struct store *st, struct inode *dir, struct inode *ip) MUSTCHECK;

/* ${n} bytes as a value; also when there are none. */
void bind_bytes(sqlite3_stmt *s, int i, const void *p, size_t n);

/* store_make for all callers; ${dflt}: the default of a new bucket, or NULL. */
enum err ns_make(struct store *st, const struct kms_who *who, uint64_t dir,
    const char *name, size_t len, const struct store_new *new, const char *dflt,
    struct store_attr *ret, struct store_file **ret_file) MUSTCHECK;

/* dflt.c, st->db held.  The default of a directory as kept: a canonical text of
 * STORE_DEFAULT_MAX bytes from one that a user gave (no lock needed). */
enum err dflt_canonical(struct store *st, const struct kms_who *who,
    const char *text, char *ret) MUSTCHECK;
enum err dflt_put(
    struct store *st, struct inode *ip, const char *text) MUSTCHECK;
enum err dflt_drop(struct store *st, struct inode *ip) MUSTCHECK;

#endif
