/*
 * store_fixture: a store with one bucket, checked by fsck at the end, and short
 * forms of the calls that every case makes.
 */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include "store_util.h"

#include "store/store.h"

static const struct kms_who who = { .user = "root", .agent = "test" };

struct fixture {
	struct tmpdir d;
	char dir[80];
	struct store *st;
	uint64_t bkt; /* bucket "one" */
};

static inline void
fixture_open(struct fixture *f)
{
	const struct store_opts o = { .dir = f->dir };

	assert_ok(store_open_dir(&o, &f->st));
}

static inline struct fixture *
fixture_new(bool kms)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct store_init in = { .no_kms = !kms };

	assert_non_null(f);
	f->d = tmpdir_make();
	(void)snprintf(f->dir, sizeof(f->dir), "%s/s", f->d.path);
	in.dir = f->dir;
	assert_ok(store_create_dir(&in));
	fixture_open(f);
	assert_ok(store_bucket_create(f->st, &who, "one", NULL, 7, 8, 0755));
	assert_ok(store_bucket_find(f->st, "one", &f->bkt));
	return (f);
}

static inline void
on_problem(void *arg, const struct store_problem *p)
{
	(void)arg;
	print_error("%s: inode %llu: %s\n", p->invariant,
	    (unsigned long long)p->ino, p->what);
}

static inline void
fixture_free(struct fixture **p)
{
	struct store_check_result r;

	if (*p == NULL)
		return;
	assert_ok(store_check((*p)->st, false, on_problem, NULL, &r));
	assert_int_equal(r.problems, 0);
	assert_ok(store_close_dir((*p)->st));
	tmpdir_remove(&(*p)->d);
	free(*p);
}
#define FIXTURE(f, kms)                                             \
	struct fixture *f CLEANUP(fixture_free) = fixture_new(kms); \
	struct store *const st UNUSED = f->st

static inline void
reopen(struct fixture *f)
{
	assert_ok(store_close_dir(f->st));
	fixture_open(f);
}

/* ---- Short forms -------------------------------------------------------- */

static inline enum err
try_make(struct store *st, uint64_t dir, const char *name, uint32_t mode,
    uint64_t *ret)
{
	const struct store_new n = { .mode = mode,
		.uid = 1,
		.gid = 2,
		.rdev = 0x103,
		.target = S_ISLNK(mode) ? "to/there" : NULL };
	struct store_attr a = { 0 };
	const enum err e = store_make(
	    st, &who, dir, name, name == NULL ? 0 : strlen(name), &n, &a, NULL);

	*ret = a.ino;
	return (e);
}

static inline uint64_t
make(struct store *st, uint64_t dir, const char *name, uint32_t mode)
{
	uint64_t ino;

	assert_ok(try_make(st, dir, name, mode, &ino));
	return (ino);
}

static inline uint64_t
mkdir_(struct store *st, uint64_t dir, const char *name)
{
	return (make(st, dir, name, S_IFDIR | 0755));
}

static inline uint64_t
mkfile(struct store *st, uint64_t dir, const char *name)
{
	return (make(st, dir, name, S_IFREG | 0644));
}

static inline struct store_attr
attr(struct store *st, uint64_t ino)
{
	struct store_attr a;

	assert_ok(store_getattr(st, ino, &a));
	return (a);
}

/* The inode of a name; 0: none. */
static inline uint64_t
look(struct store *st, uint64_t dir, const char *name)
{
	struct store_attr a;
	const enum err e = store_lookup(st, dir, name, strlen(name), &a);

	if (e == ERR_NOENT)
		return (0);
	assert_ok(e);
	return (a.ino);
}

static inline enum err
ren(struct store *st, uint64_t a, const char *an, uint64_t b, const char *bn,
    unsigned flags)
{
	uint64_t gone;
	const enum err e = store_rename(
	    st, a, an, strlen(an), b, bn, strlen(bn), flags, &gone);

	if (gone != 0)
		store_reap(st, gone);
	return (e);
}

static inline enum err
rm(struct store *st, uint64_t dir, const char *name)
{
	uint64_t ino;
	bool gone = false;
	const enum err e =
	    store_unlink(st, dir, name, strlen(name), &ino, &gone);

	if (gone)
		store_reap(st, ino);
	return (e);
}

static inline enum err
rmd(struct store *st, uint64_t dir, const char *name)
{
	uint64_t ino;
	const enum err e = store_rmdir(st, dir, name, strlen(name), &ino);

	if (e == OK)
		store_reap(st, ino);
	return (e);
}

#endif
