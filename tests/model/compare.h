/*
 * compare: the state of one run, and the comparison of store and tree.
 *
 * Included once, by the model program.
 */
#ifndef TESTS_MODEL_COMPARE_H
#define TESTS_MODEL_COMPARE_H

#include <stdarg.h>
#include <unistd.h>

#include "tests/model/ref.h"

#define HANDLES 6
#define BIT(e) ((uint64_t)1 << (e))

struct handle {
	struct store_file *f;
	struct node *n;
};

static const struct kms_who who = { .user = "root", .agent = "model" };

struct run {
	struct ref ref;
	struct store *st;
	char dir[256];
	struct store_opts opts;
	struct node *buckets[2];
	char key[KMS_ARN_MAX]; /* a customer key */
	struct handle handles[HANDLES];
	uint64_t seed, rnd;
	unsigned long step;
	char what[256];
	bool trace;
};

static struct run run;
static uint8_t scratch[FILE_MAX_BYTES], back[FILE_MAX_BYTES + 4096];

static NORETURN PRINTF(1, 2) void differ(const char *fmt, ...)
{
	va_list ap;

	(void)printf("not ok - seed %llu\n# step %lu: %s\n# ",
	    (unsigned long long)run.seed, run.step, run.what);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n# repeat: model %llu %lu\n",
	    (unsigned long long)run.seed, run.step + 1);
	(void)fflush(stdout);
	_exit(1);
}

static PRINTF(1, 2) void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(run.what, sizeof(run.what), fmt, ap);
	va_end(ap);
	if (run.trace)
		(void)fprintf(stderr, "%lu %s\n", run.step, run.what);
}

/* xorshift64*: the same everywhere. */
static uint64_t
rnd(uint64_t below)
{
	run.rnd ^= run.rnd >> 12;
	run.rnd ^= run.rnd << 25;
	run.rnd ^= run.rnd >> 27;
	return ((run.rnd * UINT64_C(2685821657736338717)) >> 16) % below;
}

static bool
one_in(unsigned n)
{
	return (rnd(n) == 0);
}

/* ${e} must be OK when ${broken} is empty, else one of its errors. */
static bool
answers(enum err e, uint64_t broken)
{
	if (e == OK ? broken == 0 : (broken & BIT(e)) != 0)
		return (e == OK);
	for (unsigned i = 1; i < ERR_COUNT_; i++)
		if ((broken & BIT(i)) != 0)
			(void)printf("# allowed: %s\n", err_name((enum err)i));
	differ("answered %s (%s)", e == OK ? "OK" : err_name(e), err_detail(e));
}

static void
fine(enum err e, const char *call)
{
	if (e != OK)
		differ("%s: %s (%s)", call, err_name(e), err_detail(e));
}

/* ---- Comparing ----------------------------------------------------------- */

static void
same_attr(const struct node *n, const struct store_attr *a)
{
	if (a->ino != n->ino || a->mode != n->mode || a->uid != n->uid ||
	    a->gid != n->gid || a->rdev != n->rdev)
		differ("inode %llu: ino %llu mode %o/%o uid %u/%u gid %u/%u "
		       "rdev %u/%u",
		    (unsigned long long)n->ino, (unsigned long long)a->ino,
		    a->mode, n->mode, a->uid, n->uid, a->gid, n->gid, a->rdev,
		    n->rdev);
	if (a->nlink != ref_nlink(n))
		differ("inode %llu: %u links, want %u",
		    (unsigned long long)n->ino, a->nlink, ref_nlink(n));
	if (n->mtime_known && (a->mtime.tv_sec != n->mtime.tv_sec ||
				  a->mtime.tv_nsec != n->mtime.tv_nsec))
		differ("inode %llu: mtime", (unsigned long long)n->ino);
	if (!S_ISREG(n->mode))
		return;
	if (a->size != n->size || a->sse != n->sse)
		differ("inode %llu: size %llu/%zu sse %d/%d",
		    (unsigned long long)n->ino, (unsigned long long)a->size,
		    n->size, (int)a->sse, (int)n->sse);
	if (a->blocks > (n->size + 4095) / 4096 * 8)
		differ("inode %llu: %llu units for %zu bytes",
		    (unsigned long long)n->ino, (unsigned long long)a->blocks,
		    n->size);
}

static void
check_attr(const struct node *n)
{
	struct store_attr a;

	fine(store_getattr(run.st, n->ino, &a), "getattr");
	same_attr(n, &a);
}

static void
same_bytes(struct node *n, struct store_file *f, size_t off, size_t len)
{
	const size_t want = off >= n->size        ? 0
			    : len < n->size - off ? len
						  : n->size - off;
	size_t got;

	fine(store_read(f, off, back, len, &got), "read");
	if (got != want)
		differ("inode %llu: read %zu at %zu gave %zu, want %zu",
		    (unsigned long long)n->ino, len, off, got, want);
	if (want == 0 || memcmp(back, ref_data(n) + off, want) == 0)
		return;
	for (size_t i = 0; i < want; i++)
		if (back[i] != ref_data(n)[off + i])
			differ("inode %llu: byte %zu is %02x, want %02x (size "
			       "%zu)",
			    (unsigned long long)n->ino, off + i, back[i],
			    ref_data(n)[off + i], n->size);
}

static bool
all_zero(struct node *n, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (ref_data(n)[i] != 0)
			return (false);
	return (true);
}

/* Walk data and holes: holes are zero, the walk covers the file. */
static void
same_holes(struct node *n, struct store_file *f)
{
	uint64_t at = 0, next;
	enum err e;

	while (at < n->size) {
		e = store_seek(f, at, true, &next);
		if (e == ERR_NXIO)
			next = n->size;
		else
			fine(e, "seek data");
		if (next < at || next > n->size ||
		    !all_zero(n, (size_t)at, (size_t)next))
			differ("inode %llu: no hole at %llu..%llu",
			    (unsigned long long)n->ino, (unsigned long long)at,
			    (unsigned long long)next);
		if (next == n->size)
			break;
		at = next;
		fine(store_seek(f, at, false, &next), "seek hole");
		if (next <= at || next > n->size)
			differ("inode %llu: hole after %llu at %llu",
			    (unsigned long long)n->ino, (unsigned long long)at,
			    (unsigned long long)next);
		at = next;
	}
	e = store_seek(f, n->size, true, &next);
	if (e != ERR_NXIO)
		differ("seek data at the end: %s", err_name(e));
}

static void
check_content(struct node *n)
{
	struct store_file *f;

	fine(store_open(run.st, &who, n->ino, &f), "open");
	same_bytes(n, f, 0, sizeof(back));
	same_holes(n, f);
	store_release(f);
}

struct counter {
	unsigned n;
};

static void
count_xattr(void *arg, const char *name UNUSED, size_t len UNUSED)
{
	((struct counter *)arg)->n++;
}

static void
check_xattrs(struct node *n)
{
	struct counter c = { 0 };
	unsigned want = 0;
	size_t len;

	for (unsigned i = 0; i < XATTRS; i++) {
		const struct xattr *x = &n->xattrs[i];
		const enum err e = store_xattr_get(
		    run.st, n->ino, xattr_name(i), back, sizeof(back), &len);

		if (!x->set) {
			if (e != ERR_NODATA)
				differ("inode %llu: %s: %s",
				    (unsigned long long)n->ino, xattr_name(i),
				    err_name(e));
			continue;
		}
		fine(e, "xattr get");
		want++;
		if (len != x->len ||
		    (len > 0 && memcmp(back, x->value, len) != 0))
			differ("inode %llu: value of %s",
			    (unsigned long long)n->ino, xattr_name(i));
	}
	fine(store_xattr_list(run.st, n->ino, count_xattr, &c), "xattr list");
	if (c.n != want)
		differ("inode %llu: %u xattrs, want %u",
		    (unsigned long long)n->ino, c.n, want);
}

struct listing {
	struct node *dir;
	unsigned seen, calls;
	bool want_attr;
	char last[STORE_NAME_MAX + 1];
	bool last_dir;
	const char *wrong;
};

static bool
see(void *arg, const struct store_dirent *d)
{
	struct listing *l = arg;
	const struct node *n = ref_get(l->dir, d->name);

	l->calls++;
	l->seen++;
	(void)snprintf(l->last, sizeof(l->last), "%s", d->name);
	if (n == NULL || d->attr.ino != n->ino ||
	    (d->attr.mode & S_IFMT) != (n->mode & S_IFMT)) {
		l->wrong = "an entry that should not be";
		return (false);
	}
	l->last_dir = is_dir(n);
	if (l->want_attr)
		same_attr(n, &d->attr);
	return (true);
}

static void
check_dir(struct node *dir)
{
	struct listing l = { .dir = dir, .want_attr = one_in(2) };
	const size_t limit = 1 + rnd(9);
	unsigned want = 0;
	uint64_t parent;

	for (const struct entry *e = dir->entries; e != NULL; e = e->next)
		want++;
	do {
		const bool first = l.seen == 0;

		l.calls = 0;
		fine(store_readdir(run.st, dir->ino, first ? NULL : l.last,
			 first ? 0 : strlen(l.last), l.last_dir, limit,
			 l.want_attr, see, &l),
		    "readdir");
		if (l.wrong != NULL)
			differ("directory %llu: %s: \"%s\"",
			    (unsigned long long)dir->ino, l.wrong, l.last);
	} while (l.calls == limit && l.seen <= want);
	if (l.seen != want)
		differ("directory %llu: %u names, want %u",
		    (unsigned long long)dir->ino, l.seen, want);
	fine(store_parent(run.st, dir->ino, &parent), "parent");
	if (dir->parent != NULL && parent != dir->parent->ino)
		differ(
		    "directory %llu: its parent", (unsigned long long)dir->ino);
}

static void
check_links(const struct node *n)
{
	char target[STORE_SYMLINK_MAX + 1];

	fine(store_readlink(run.st, n->ino, target), "readlink");
	if (strcmp(target, n->target) != 0)
		differ("inode %llu: target", (unsigned long long)n->ino);
}

static void
check_all(void)
{
	for (struct node *n = run.ref.all; n != NULL; n = n->all) {
		check_attr(n);
		check_xattrs(n);
		if (is_dir(n))
			check_dir(n);
		else if (S_ISREG(n->mode))
			check_content(n);
		else if (S_ISLNK(n->mode))
			check_links(n);
	}
}

#endif
