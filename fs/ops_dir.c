/*
 * Listing directories.
 *
 * The kernel's own cache of listings (FOPEN_CACHE_DIR) is not used: it is
 * shared between handles, while positions belong to one handle.  A program that
 * removes files while it reads from that cache would go on at a position in a
 * list that has become shorter, and miss names.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>

#include "fs/fs.h"

/* Names fetched in one go at most. */
#define FETCH_MAX 512u

/* One READDIR or READDIRPLUS being answered. */
struct listing {
	fuse_req_t req;
	struct fs *fs;
	struct handle *h;
	bool plus;
	uint8_t *buf;
	size_t size, used;
	uint64_t next; /* index of the name to give out next */
	size_t fetched;
	bool full; /* a name did not fit */
	enum err e;
};

/* Replies: open, err. */
void
op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	const uint64_t ino = fs_ino(fs, node);
	struct handle *h = NULL;
	enum err e = inodes_hold(fs->inodes, ino, INODE_SAME_KEY, 0);

	if (e == OK) {
		e = handle_open(&fs->handles, ino, NULL, &h);
		if (e != OK)
			fs_drop(fs, ino, 1);
	}
	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	h->noatime = (fi->flags & O_NOATIME) != 0;
	fi->fh = (uintptr_t)h;
	lock_assert_none();
	if (fuse_reply_open(req, fi) != 0) {
		handle_close(&fs->handles, h);
		fs_drop(fs, ino, 1);
	}
}

/* Replies: err. */
void
op_releasedir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = fs_handle(fi);
	const uint64_t ino = h->ino;

	(void)node;
	handle_close(&fs->handles, h);
	fs_drop(fs, ino, 1);
	fs_reply_err(req, OK);
}

static size_t
entry_size(const struct listing *l, const char *name)
{
	return (l->plus ? fuse_add_direntry_plus(l->req, NULL, 0, name, NULL, 0)
			: fuse_add_direntry(l->req, NULL, 0, name, NULL, 0));
}

/* Put an entry that fits.  ${a} with node 0 when it is not to be looked up. */
static void
entry_put(
    struct listing *l, const char *name, const struct fuse_entry_param *entry)
{
	char *p = (char *)l->buf + l->used;
	const size_t room = l->size - l->used;

	/* "." and ".." come first: the index of a name is 2 less. */
	if (l->plus)
		l->used += fuse_add_direntry_plus(
		    l->req, p, room, name, entry, (off_t)l->next + 1);
	else
		l->used += fuse_add_direntry(
		    l->req, p, room, name, &entry->attr, (off_t)l->next + 1);
	l->next++;
}

/* An entry the kernel learns only the name, number and type of. */
static void
entry_put_bare(struct listing *l, const char *name, uint64_t ino, uint8_t type)
{
	const struct fuse_entry_param entry = {
		.attr = { .st_ino = ino, .st_mode = (mode_t)type << 12 },
	};

	entry_put(l, name, &entry);
}

/* An entry with its attributes; it counts as a look-up. */
static enum err
entry_put_full(struct listing *l, const char *name, const struct store_attr *a)
{
	struct fuse_entry_param entry;

	TRY(inodes_hold(l->fs->inodes, a->ino, a->keyref, fs_flags(a)));
	fs_entry(l->fs, a, &entry);
	entry_put(l, name, &entry);
	return (OK);
}

static bool
entry_fits(const struct listing *l, const char *name)
{
	return (entry_size(l, name) <= l->size - l->used);
}

/* store_readdir's callback: remember the name, give it out when its turn has
 * come.  What does not fit is not remembered; the next request fetches it, with
 * attributes that are fresh then. */
static bool
fetched(void *arg, const struct store_dirent *e)
{
	struct listing *l = arg;
	struct dirlist *d = &l->h->list;
	const bool give = d->count + 2 == l->next;
	const uint8_t type = (uint8_t)IFTODT(e->attr.mode);

	if (give && !entry_fits(l, e->name)) {
		l->full = true;
		return (false);
	}
	l->fetched++;
	l->e = dirlist_add(d, e->attr.ino, type, e->name, e->len);
	if (l->e != OK || !give)
		return (l->e == OK);
	if (!l->plus)
		entry_put_bare(l, e->name, e->attr.ino, type);
	else
		l->e = entry_put_full(l, e->name, &e->attr);
	return (l->e == OK);
}

/* Extend the list by what may fit, or by what is needed to come back to a place
 * whose names were dropped. */
static enum err
fetch(struct listing *l)
{
	struct dirlist *d = &l->h->list;
	struct dirlist_name last = { .name = NULL };
	size_t limit = (l->size - l->used) / entry_size(l, "") + 1;
	/* The name moves when the list grows. */
	char after[STORE_NAME_MAX + 1];

	if (limit > FETCH_MAX || d->count + 2 < l->next)
		limit = FETCH_MAX;
	if (d->count > 0) {
		if (!dirlist_get(d, d->count - 1, &last))
			return (ERR_INTERNAL);
		memcpy(after, last.name, last.len + 1);
	}
	l->e = OK;
	l->fetched = 0;
	TRY(store_readdir(l->fs->store, l->h->ino, d->count > 0 ? after : NULL,
	    last.len, last.type == DT_DIR, limit, l->plus, fetched, l));
	TRY(l->e);
	if (l->fetched < limit && !l->full)
		d->eof = true;
	return (OK);
}

/* A name that was given out before.  It is looked up anew, as the kernel will
 * believe what it is told; when it is gone by now, or stands for another inode,
 * only the name is repeated. */
static enum err
repeat(struct listing *l, const struct dirlist_name *n)
{
	struct store_attr a;

	if (l->plus &&
	    store_lookup(l->fs->store, l->h->ino, n->name, n->len, &a) == OK &&
	    a.ino == n->ino)
		return (entry_put_full(l, n->name, &a));
	entry_put_bare(l, n->name, n->ino, n->type);
	return (OK);
}

static enum err
list_dots(struct listing *l)
{
	if (l->next == 0 && entry_fits(l, "."))
		entry_put_bare(l, ".", l->h->ino, DT_DIR);
	if (l->next == 1 && entry_fits(l, "..")) {
		uint64_t parent = l->h->ino;

		if (parent != l->fs->root)
			TRY(store_parent(l->fs->store, l->h->ino, &parent));
		entry_put_bare(l, "..", parent, DT_DIR);
	}
	return (OK);
}

static enum err
list_names(struct listing *l)
{
	struct dirlist *d = &l->h->list;

	while (l->next >= 2 && !l->full) {
		struct dirlist_name n;

		if (dirlist_get(d, l->next - 2, &n)) {
			if (!entry_fits(l, n.name))
				return (OK);
			TRY(repeat(l, &n));
		} else if (d->eof) {
			break;
		} else {
			TRY(fetch(l));
		}
	}
	return (OK);
}

static enum err
list(struct listing *l)
{
	struct dirlist *d = &l->h->list;
	enum err e = OK;

	LOCK_SCOPE(&l->h->lock);
	/* rewinddir(3), or a place that is remembered no more. */
	if (l->next == 0 || (l->next >= 2 && l->next - 2 < d->first))
		dirlist_clear(d);
	e = list_dots(l);
	if (e == OK)
		e = list_names(l);
	/* What was listed before an error counts, the error comes next time. */
	return (l->used > 0 ? OK : e);
}

/* The kernel did not take the reply: its look-ups do not count. */
static void
unlist(const struct listing *l)
{
	size_t pos = 0;

	while (pos + sizeof(struct fuse_direntplus) <= l->used) {
		struct fuse_direntplus dp;

		memcpy(&dp, l->buf + pos, sizeof(dp));
		if (dp.entry_out.nodeid != 0)
			fs_drop(l->fs, fs_ino(l->fs, dp.entry_out.nodeid), 1);
		pos += FUSE_DIRENT_ALIGN(sizeof(dp) + dp.dirent.namelen);
	}
}

static void
readdir_reply(fuse_req_t req, size_t size, off_t off,
    const struct fuse_file_info *fi, bool plus)
{
	struct fs *fs = fs_of(req);
	struct listing l = {
		.req = req,
		.fs = fs,
		.h = fs_handle(fi),
		.plus = plus,
		.buf = loop_buffer(),
		.size = size < FS_IO_MAX ? size : FS_IO_MAX,
		.next = (uint64_t)off,
	};
	const enum err e = off < 0 ? ERR_INVAL : list(&l);

	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	if (off == 0 && !l.h->noatime)
		store_listed(fs->store, l.h->ino);
	lock_assert_none();
	if (fuse_reply_buf(req, (char *)l.buf, l.used) != 0 && plus)
		unlist(&l);
}

/* Replies: buf, err. */
void
op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	(void)node;
	readdir_reply(req, size, off, fi, false);
}

/* Replies: buf, err. */
void
op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	(void)node;
	readdir_reply(req, size, off, fi, true);
}
