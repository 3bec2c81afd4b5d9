/* side: steps done to the store, and its dump.  See tree.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/attrs.h"
#include "store/store_internal.h"

#include "tests/fault/tree_internal.h"

#define LINES 64
#define PIECE (64u * 1024)

static const struct kms_who who = { .user = "root", .agent = "fault" };
static const char *const xattr_names[XATTRS] = { "user.a", "user.b", "user.c" };
static uint8_t buf[2u << 20];

/* ---- Paths -------------------------------------------------------------- */

static enum err
dir_of(struct side *s, const char *path, uint64_t *ret, const char **ret_name)
{
	const char *slash = strchr(path, '/');
	struct store_attr a;

	*ret = s->bucket;
	*ret_name = slash == NULL ? path : slash + 1;
	if (slash == NULL)
		return (OK);
	TRY(store_lookup(s->st, s->bucket, path, (size_t)(slash - path), &a));
	*ret = a.ino;
	return (OK);
}

static enum err
look(struct side *s, const char *path, uint64_t *ret)
{
	struct store_attr a;
	const char *name;
	uint64_t dir;

	TRY(dir_of(s, path, &dir, &name));
	TRY(store_lookup(s->st, dir, name, strlen(name), &a));
	*ret = a.ino;
	return (OK);
}

static enum err
open_path(struct side *s, const char *path, struct store_file **ret)
{
	uint64_t ino;

	TRY(look(s, path, &ino));
	return (store_open(s->st, &who, ino, ret));
}

/* ---- Steps -------------------------------------------------------------- */

static enum err
make(struct side *s, const struct step *step, uint32_t mode)
{
	const struct store_new new = { .mode = mode, .target = step->b };
	struct store_attr a;
	const char *name;
	uint64_t dir;

	TRY(dir_of(s, step->a, &dir, &name));
	return (
	    store_make(s->st, &who, dir, name, strlen(name), &new, &a, NULL));
}

/* What has no name goes, unless it is held. */
static void
gone(struct side *s, uint64_t ino)
{
	if (ino != 0 && (s->held == NULL || store_file_ino(s->held) != ino))
		store_reap(s->st, ino);
}

static enum err
renames(struct side *s, const struct step *step)
{
	uint64_t dir, newdir, ino = 0;
	const char *name, *newname;
	enum err e;

	TRY(dir_of(s, step->a, &dir, &name));
	TRY(dir_of(s, step->b, &newdir, &newname));
	e = store_rename(s->st, dir, name, strlen(name), newdir, newname,
	    strlen(newname), step->z, &ino);
	if (e == OK)
		gone(s, ino);
	return (e);
}

static enum err
unname(struct side *s, const struct step *step)
{
	uint64_t dir, ino = 0;
	bool last = true;
	const char *name;

	TRY(dir_of(s, step->a, &dir, &name));
	if (step->op == OP_RMDIR)
		TRY(store_rmdir(s->st, dir, name, strlen(name), &ino));
	else
		TRY(store_unlink(s->st, dir, name, strlen(name), &ino, &last));
	if (last)
		gone(s, ino);
	return (OK);
}

static enum err
links(struct side *s, const struct step *step)
{
	struct store_attr a;
	uint64_t ino, dir;
	const char *name;

	TRY(look(s, step->a, &ino));
	TRY(dir_of(s, step->b, &dir, &name));
	return (store_link(s->st, ino, dir, name, strlen(name), &a));
}

static enum err
copies(struct side *s, const struct step *step, uint64_t *done)
{
	struct store_file *a, *b;
	enum err e;

	TRY(open_path(s, step->a, &a));
	e = open_path(s, step->b, &b);
	if (e == OK) {
		e = store_copy(a, step->x, b, step->z, step->y, done);
		store_release(b);
	}
	store_release(a);
	return (e);
}

static enum err
attribute(struct side *s, const struct step *step)
{
	struct store_attr in = { .mode = (uint32_t)step->x, .size = step->x },
			  a;
	uint64_t ino;

	TRY(look(s, step->a, &ino));
	switch ((int)step->op) {
	case OP_TRUNC:
		return (
		    store_setattr(s->st, &who, ino, STORE_SET_SIZE, &in, &a));
	case OP_CHMOD:
		return (
		    store_setattr(s->st, &who, ino, STORE_SET_MODE, &in, &a));
	case OP_XSET:
		pattern(buf, (size_t)step->y, step->z);
		return (store_xattr_set(
		    s->st, ino, xattr_names[step->x], buf, (size_t)step->y, 0));
	case OP_XDEL:
		return (store_xattr_remove(s->st, ino, xattr_names[step->x]));
	case OP_DEFAULT:
		return (store_default_set(s->st, &who, ino, step->b));
	case OP_SSE:
		return (store_sse_set(s->st, &who, ino,
		    strcmp(step->b, "None") == 0     ? SSE_NONE
		    : strcmp(step->b, "AES256") == 0 ? SSE_AES256
						     : SSE_KMS,
		    NULL));
	default: /* OP_FSYNC */
		return (store_fsync(s->st, ino));
	}
}

/* All bytes of a file, in pieces; no more is asked of them than that they can
 * be read. */
static enum err
read_all(struct store_file *f)
{
	uint64_t off = 0;
	size_t n = 1;

	for (; n != 0; off += n)
		TRY(store_read(f, off, buf, sizeof(buf), &n));
	return (OK);
}

static enum err
put(struct store_file *f, const struct step *step)
{
	for (uint64_t i = 0; step->op == OP_SPREAD && i < step->y; i++) {
		pattern(buf, PAGE, step->z + (unsigned)i);
		TRY(store_write(f, i << 18, buf, PAGE, 0));
	}
	if (step->op == OP_SPREAD)
		return (OK);
	pattern(buf, (size_t)step->y, step->z);
	return (store_write(f, step->x, buf, (size_t)step->y,
	    step->op == OP_APPEND ? STORE_WRITE_APPEND : 0));
}

static void
answer(void *arg)
{
	(void)arg;
}

/* Whoever was told that it was done learns from fsync, once, that it was not:
 * ERR_INTERNAL when that goes wrong. */
static enum err
put_early(struct store_file *f, const struct step *step)
{
	bool answered = false;
	enum err e;

	pattern(buf, (size_t)step->y, step->z);
	e = store_write_early(
	    f, step->x, buf, (size_t)step->y, 0, answer, NULL, &answered);
	if (e == OK || !answered)
		return (e);
	if (e == ERR_NOMEM)
		return (err_fail(ERR_INTERNAL, "answered without memory"));
	if (store_fsync_file(f) == OK)
		return (err_fail(ERR_INTERNAL, "fsync does not tell"));
	return (e);
}

static enum err
content(struct side *s, const struct step *step)
{
	struct store_file *f;
	enum err e;

	TRY(open_path(s, step->a, &f));
	switch ((int)step->op) {
	case OP_READ:
		e = read_all(f);
		break;
	case OP_PUNCH:
		e = store_fallocate(f,
		    STORE_FALLOC_PUNCH | STORE_FALLOC_KEEP_SIZE, step->x,
		    step->y);
		break;
	case OP_ZERO:
		e = store_fallocate(f, STORE_FALLOC_ZERO, step->x, step->y);
		break;
	case OP_FALLOC:
		e = store_fallocate(f, 0, step->x, step->y);
		break;
	case OP_EARLY:
		e = put_early(f, step);
		break;
	default:
		e = put(f, step);
		break;
	}
	store_release(f);
	return (e);
}

void
side_drop(struct side *s)
{
	struct store_attr a;
	uint64_t ino;

	if (s->held == NULL)
		return;
	ino = store_file_ino(s->held);
	store_release(s->held);
	s->held = NULL;
	if (store_getattr(s->st, ino, &a) == OK && a.nlink == 0)
		store_reap(s->st, ino);
}

enum err
step_store(struct side *s, const struct step *step, uint64_t *done)
{
	*done = 0;
	switch (step->op) {
	case OP_MKDIR:
		return (make(s, step, S_IFDIR | 0755));
	case OP_MAKE:
		return (make(s, step, S_IFREG | 0644));
	case OP_SYMLINK:
		return (make(s, step, S_IFLNK | 0777));
	case OP_FIFO:
		return (make(s, step, S_IFIFO | 0600));
	case OP_COPY:
		return (copies(s, step, done));
	case OP_RENAME:
		return (renames(s, step));
	case OP_LINK:
		return (links(s, step));
	case OP_UNLINK:
	case OP_RMDIR:
		return (unname(s, step));
	case OP_HOLD:
		return (s->held != NULL ? ERR_BUSY
					: open_path(s, step->a, &s->held));
	case OP_DROP:
		side_drop(s);
		return (OK);
	case OP_HWRITE:
		return (s->held == NULL ? ERR_BADF : put(s->held, step));
	case OP_SYNC:
		return (store_sync(s->st));
	case OP_HOME:
		return (db_checkpoint(s->st, false));
	case OP_REOPEN:
		return (OK);
	case OP_TRUNC:
	case OP_XSET:
	case OP_XDEL:
	case OP_CHMOD:
	case OP_DEFAULT:
	case OP_SSE:
	case OP_FSYNC:
		return (attribute(s, step));
	case OP_WRITE:
	case OP_EARLY:
	case OP_APPEND:
	case OP_SPREAD:
	case OP_PUNCH:
	case OP_ZERO:
	case OP_FALLOC:
	case OP_READ:
		return (content(s, step));
	}
	return (ERR_INTERNAL);
}

/* ---- Dump --------------------------------------------------------------- */

struct listing {
	struct line l[LINES];
	struct store_attr a[LINES];
	unsigned n;
	const char *dir; /* "" or "name/" */
};

static bool
see(void *arg, const struct store_dirent *d)
{
	struct listing *l = arg;

	if (l->n == LINES)
		return (false);
	(void)snprintf(
	    l->l[l->n].path, sizeof(l->l[l->n].path), "%s%s", l->dir, d->name);
	l->l[l->n].id = d->attr.ino;
	l->a[l->n++] = d->attr;
	return (true);
}

static enum err
content_of(struct side *s, const struct store_attr *a, uint64_t *ret)
{
	struct store_file *f;
	uint64_t off = 0;
	enum err e;

	*ret = 0;
	TRY(store_open(s->st, &who, a->ino, &f));
	for (;;) {
		size_t n = 0;

		e = store_seek(f, off, true, &off);
		if (e != OK)
			break;
		off -= off % PAGE;
		e = store_read(f, off, buf, PIECE, &n);
		if (e != OK)
			break;
		memset(buf + n, 0, PIECE - n);
		for (size_t i = 0; i < n; i += PAGE)
			*ret += page_hash((off + i) / PAGE, buf + i, 0);
		off += PIECE;
		if (off >= a->size)
			break;
	}
	store_release(f);
	return (e == ERR_NXIO ? OK : e);
}

static enum err
xattrs_of(struct side *s, uint64_t ino, uint64_t *ret)
{
	*ret = 0;
	for (unsigned i = 0; i < XATTRS; i++) {
		size_t n;
		const enum err e = store_xattr_get(
		    s->st, ino, xattr_names[i], buf, XATTR_LEN, &n);

		if (e == OK)
			*ret += xattr_hash(i, buf, n);
		else if (e != ERR_NODATA)
			return (e);
	}
	return (OK);
}

static enum err
line_of(struct side *s, const struct store_attr *a, struct line *l)
{
	char text[STORE_SYMLINK_MAX + 1] = "";
	uint64_t bytes = 0, xattrs;
	enum err e;

	if (S_ISREG(a->mode))
		TRY(content_of(s, a, &bytes));
	if (S_ISLNK(a->mode))
		TRY(store_readlink(s->st, a->ino, text));
	if (S_ISDIR(a->mode)) {
		e = store_default_get(s->st, a->ino, text);
		if (e != OK && e != ERR_NODATA)
			return (e);
	}
	TRY(xattrs_of(s, a->ino, &xattrs));
	line_rest(l, a->mode, a->nlink, a->size, a->sse, bytes, xattrs, text);
	return (OK);
}

enum err
store_dump(struct side *s, char **ret)
{
	struct listing *l CLEANUP_FREE = must(calloc(1, sizeof(*l)));
	char dir[2 * NAME_LEN];
	unsigned top;

	l->dir = "";
	TRY(store_readdir(
	    s->st, s->bucket, NULL, 0, false, LINES, true, see, l));
	top = l->n;
	for (unsigned i = 0; i < top; i++) {
		if (!S_ISDIR(l->a[i].mode))
			continue;
		(void)snprintf(dir, sizeof(dir), "%s/", l->l[i].path);
		l->dir = dir;
		TRY(store_readdir(
		    s->st, l->a[i].ino, NULL, 0, false, LINES, true, see, l));
	}
	for (unsigned i = 0; i < l->n; i++)
		TRY(line_of(s, &l->a[i], &l->l[i]));
	*ret = lines_text(l->l, l->n);
	return (OK);
}

/* ---- For people --------------------------------------------------------- */

void
step_print(const struct step *s, char *ret, size_t size)
{
	static const char *const names[] = { "mkdir", "make", "symlink", "fifo",
		"write", "early", "append", "spread", "truncate", "punch",
		"zero", "fallocate", "copy", "rename", "link", "unlink",
		"rmdir", "xattr set", "xattr remove", "chmod", "default", "sse",
		"hold", "write held", "drop", "read", "fsync", "sync", "home",
		"reopen" };

	(void)snprintf(ret, size, "%s %s %s %llu %llu %u", names[s->op],
	    s->a == NULL ? "" : s->a, s->b == NULL ? "" : s->b,
	    (unsigned long long)s->x, (unsigned long long)s->y, s->z);
}
