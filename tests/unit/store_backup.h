/*
 * store_backup: short forms of what every test of backups does.
 */
#ifndef TESTS_UNIT_STORE_BACKUP_H
#define TESTS_UNIT_STORE_BACKUP_H

#include "store_fixture.h"

#include "store/backup.h"
#include "store/store_internal.h"

struct told {
	unsigned n;
	char last[256];
};

static inline void
on_bad(void *arg, const char *what)
{
	struct told *t = arg;

	t->n++;
	(void)snprintf(t->last, sizeof(t->last), "%s", what);
}

static inline struct backup_result
backup(struct store *st, const char *place)
{
	struct told t = { 0, "" };
	const struct backup_opts o = { .bad = on_bad, .arg = &t };
	struct backup_result r;

	assert_ok(backup_make(st, place, &o, &r));
	if (t.n != 0)
		fail_msg("%s", t.last);
	return (r);
}

static inline unsigned
damage(const char *place)
{
	struct told t = { 0, "" };
	const struct backup_opts o = { .bad = on_bad, .arg = &t };
	struct backup_result r;

	assert_ok(backup_verify(place, &o, &r));
	assert_int_equal(t.n, r.bad);
	return (t.n);
}

static inline enum err
try_restore(const char *place, uint64_t epoch, const char *to)
{
	struct told t = { 0, "" };
	const struct backup_opts o = { .bad = on_bad, .arg = &t };
	struct backup_result r;

	return (backup_restore(place, epoch, to, &o, &r));
}

static inline void
remove_tree(const char *path)
{
	(void)nftw(path, tmpdir_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void
put(struct store *st, uint64_t ino, uint64_t off, const void *p, size_t len)
{
	struct store_file *f = NULL;

	assert_ok(store_open(st, &who, ino, &f));
	assert_ok(store_write(f, off, p, len, 0));
	store_release(f);
}

static inline size_t
get(struct store *st, uint64_t ino, uint64_t off, void *p, size_t len)
{
	struct store_file *f = NULL;
	size_t n = 0;

	assert_ok(store_open(st, &who, ino, &f));
	assert_ok(store_read(f, off, p, len, &n));
	store_release(f);
	return (n);
}

static inline void
fill(struct store *st, uint64_t ino, int byte, size_t len)
{
	static char data[1 << 20];

	memset(data, byte, sizeof(data));
	for (size_t at = 0; at < len; at += sizeof(data))
		put(st, ino, at, data,
		    len - at < sizeof(data) ? len - at : sizeof(data));
}

/* A restored store, checked. */
static inline struct store *
restored(const char *place, uint64_t epoch, const char *to)
{
	const struct store_opts o = { .dir = to };
	const struct store_scrub_opts so = { .keys = true, .who = &who };
	struct store_check_result c;
	struct store_scrub_result s;
	struct store *st = NULL;

	assert_ok(try_restore(place, epoch, to));
	assert_ok(store_open_dir(&o, &st));
	assert_ok(store_check(st, false, on_problem, NULL, &c));
	assert_int_equal(c.problems, 0);
	assert_ok(store_scrub(st, &so, &s));
	assert_int_equal(s.bad, 0);
	return (st);
}

#define PATHS(f)                                                    \
	char place[128], to[128];                                   \
	(void)snprintf(place, sizeof(place), "%s/bk", (f)->d.path); \
	(void)snprintf(to, sizeof(to), "%s/to", (f)->d.path)

#endif
