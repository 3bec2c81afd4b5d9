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
/* An inode that must be there: ERR_CORRUPT when it is not. */
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
/*
 * May a name in ${dir} that marks a directory, or does not, refer to an inode
 * with this mode and parent field?  A name that leads from a directory back to
 * itself, or to one whose place is elsewhere, would make a circle of the tree.
 */
bool dent_fits(
    uint64_t dir, bool isdir, uint64_t ino, uint32_t mode, uint64_t parent);
/* The inode that ${d} of ${dir} refers to.  ERR_CORRUPT: there is none, or it
 * does not fit. */
enum err pin_named(struct store *st, uint64_t dir, const struct dent *d,
    struct pin *ret) MUSTCHECK;

/*
 * Climbing from a directory to its parent, and so on: circle() of each number
 * met tells when one comes again (Brent's method).  A counter of inodes is no
 * bound: an editor of the store can set it to anything.
 */
struct climb {
	uint64_t mark, steps, limit;
};
static inline bool
climb_circle(struct climb *c, uint64_t ino)
{
	if (ino == c->mark)
		return (true);
	if (c->steps++ == c->limit) {
		c->mark = ino;
		c->limit = 2 * c->limit + 1;
	}
	return (false);
}
enum err dent_add(struct store *st, uint64_t dir, const struct dname *name,
    bool isdir, uint64_t ino) MUSTCHECK;
enum err dent_set(struct store *st, uint64_t dir, const struct dname *name,
    bool isdir, uint64_t ino) MUSTCHECK;
enum err dent_del(struct store *st, uint64_t dir, const struct dname *name,
    bool isdir) MUSTCHECK;
/* ERR_NOTEMPTY when the directory holds a name. */
enum err dir_empty(struct store *st, uint64_t dir) MUSTCHECK;

/* Before a name of ${ip} is removed: ERR_CORRUPT when its link count says that it
 * has none. */
enum err links_check(const struct inode *ip) MUSTCHECK;
/* A directory holds one subdirectory less. */
void links_drop(struct inode *dir);
/* Set ctime, and mtime as well when ${mtime}, to now. */
void inode_touch(struct store *st, struct inode *ip, bool mtime);
/* A name of ${ip} was removed from ${dir}: links, times, orphan.  A directory
 * must be empty. */
enum err inode_unname(
    struct store *st, struct inode *dir, struct inode *ip) MUSTCHECK;

/* ${n} bytes as a value; also when there are none. */
void bind_bytes(sqlite3_stmt *s, int i, const void *p, size_t n);

/* xattr.c, st->db held.  As store_xattr_get(). */
enum err xattr_read(struct store *st, const struct inode *ip, const char *name,
    void *buf, size_t size, size_t *ret_len) MUSTCHECK;
/* May ${name} get a value of ${len} bytes?  *${ret_new}: it is not there. */
enum err xattr_may_set(struct store *st, const struct inode *ip,
    const char *name, size_t len, unsigned flags, bool *ret_new) MUSTCHECK;
/* In the epoch's transaction.  ${fresh}: it is not there yet. */
enum err xattr_write(struct store *st, struct inode *ip, const char *name,
    const void *value, size_t len, bool fresh) MUSTCHECK;
enum err xattr_drop(
    struct store *st, struct inode *ip, const char *name) MUSTCHECK;

/* attr.c, st->db held: relatime of directories and symlinks. */
void attr_accessed(struct store *st, struct inode *ip);

/* store_make for all callers; ${dflt}: the default of a new bucket, or NULL. */
enum err ns_make(struct store *st, const struct kms_who *who, uint64_t dir,
    const char *name, size_t len, const struct store_new *new, const char *dflt,
    struct store_attr *ret, struct store_file **ret_file) MUSTCHECK;

/* dflt.c, st->db held.  The default of a directory as kept: a canonical text of
 * STORE_DEFAULT_MAX bytes from one that a user gave (no lock needed). */
enum err dflt_canonical(struct store *st, const struct kms_who *who,
    const char *text, char *ret) MUSTCHECK;
/* What is set on the directory itself, into STORE_DEFAULT_MAX bytes:
 * ERR_NODATA, ERR_CORRUPT. */
enum err dflt_row(struct store *st, uint64_t ino, char *ret) MUSTCHECK;
enum err dflt_put(
    struct store *st, struct inode *ip, const char *text) MUSTCHECK;
enum err dflt_drop(struct store *st, struct inode *ip) MUSTCHECK;

#endif
