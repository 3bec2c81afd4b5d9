/* store/ns and its neighbours: names, links, directories, buckets. */
#include "store_fixture.h"

static void
test_kinds(void **state UNUSED)
{
	static const uint32_t kinds[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO,
		S_IFSOCK, S_IFCHR, S_IFBLK };
	FIXTURE(f, false);
	char name[8], target[STORE_SYMLINK_MAX + 1];
	unsigned i, round;

	for (i = 0; i < COUNTOF(kinds); i++) {
		(void)snprintf(name, sizeof(name), "k%u", i);
		(void)make(st, f->bkt, name, kinds[i] | 0640);
	}
	for (round = 0; round < 2; round++) {
		for (i = 0; i < COUNTOF(kinds); i++) {
			(void)snprintf(name, sizeof(name), "k%u", i);
			const struct store_attr a =
			    attr(f->st, look(f->st, f->bkt, name));
			const bool dev =
			    kinds[i] == S_IFCHR || kinds[i] == S_IFBLK;

			assert_int_equal(a.mode, kinds[i] | 0640);
			assert_int_equal(a.nlink, S_ISDIR(a.mode) ? 2 : 1);
			assert_int_equal(a.uid, 1);
			assert_int_equal(a.gid, 2);
			assert_int_equal(a.rdev, dev ? 0x103 : 0);
			assert_int_equal(a.sse, SSE_NONE);
		}
		assert_ok(
		    store_readlink(f->st, look(f->st, f->bkt, "k2"), target));
		assert_string_equal(target, "to/there");
		assert_int_equal(
		    attr(f->st, look(f->st, f->bkt, "k2")).size, 8);
		reopen(f);
	}
	assert_err(store_readlink(f->st, look(f->st, f->bkt, "k0"), target),
	    ERR_INVAL);
	assert_int_equal(attr(f->st, f->bkt).nlink, 3);
}

static void
test_bad_names(void **state UNUSED)
{
	FIXTURE(f, false);
	char name[STORE_NAME_MAX + 2];
	struct store_attr a;
	uint64_t ino;

	memset(name, 'n', sizeof(name));
	name[STORE_NAME_MAX + 1] = '\0';
	assert_err(try_make(st, f->bkt, name, S_IFREG, &ino), ERR_NAMETOOLONG);
	assert_err(store_lookup(st, f->bkt, name, STORE_NAME_MAX + 1, &a),
	    ERR_NAMETOOLONG);
	name[STORE_NAME_MAX] = '\0';
	ino = mkdir_(st, f->bkt, name);
	assert_int_equal(look(st, f->bkt, name), ino);
	assert_err(try_make(st, f->bkt, "", S_IFREG, &ino), ERR_INVAL);
	assert_err(try_make(st, f->bkt, ".", S_IFREG, &ino), ERR_INVAL);
	assert_err(try_make(st, f->bkt, "..", S_IFDIR, &ino), ERR_INVAL);
	assert_err(try_make(st, f->bkt, "a/b", S_IFREG, &ino), ERR_INVAL);
	assert_err(try_make(st, f->bkt, NULL, S_IFDIR, &ino), ERR_INVAL);
	assert_err(try_make(st, f->bkt, "x", 0, &ino), ERR_INVAL);
	(void)mkfile(st, f->bkt, "\xff\x01 odd");
	assert_int_not_equal(look(st, f->bkt, "\xff\x01 odd"), 0);
}

static void
test_dots(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t a = mkdir_(st, f->bkt, "a");
	uint64_t p;

	assert_int_equal(look(st, a, "."), a);
	assert_int_equal(look(st, a, ".."), f->bkt);
	assert_int_equal(look(st, f->bkt, ".."), STORE_ROOT);
	assert_int_equal(look(st, STORE_ROOT, ".."), STORE_ROOT);
	assert_ok(store_parent(st, a, &p));
	assert_int_equal(p, f->bkt);
	assert_err(store_parent(st, mkfile(st, a, "x"), &p), ERR_NOTDIR);
}

static void
test_make_errors(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t file = mkfile(st, f->bkt, "file");
	uint64_t ino, d;

	assert_err(try_make(st, f->bkt, "file", S_IFREG, &ino), ERR_EXIST);
	assert_err(try_make(st, f->bkt, "file", S_IFDIR, &ino), ERR_EXIST);
	assert_err(try_make(st, file, "x", S_IFREG, &ino), ERR_NOTDIR);
	assert_err(try_make(st, 999, "x", S_IFREG, &ino), ERR_NOENT);
	assert_err(try_make(st, STORE_ROOT, "file", S_IFREG, &ino), ERR_PERM);
	assert_err(try_make(st, STORE_ROOT, "Bad", S_IFDIR, &ino), ERR_INVAL);
	assert_err(try_make(st, STORE_ROOT, "one", S_IFDIR, &ino), ERR_EXIST);
	d = mkdir_(st, f->bkt, "d");
	assert_ok(store_rmdir(st, f->bkt, "d", 1, &ino));
	assert_int_equal(ino, d);
	assert_err(try_make(st, d, "x", S_IFREG, &ino), ERR_NOENT);
	assert_err(try_make(st, d, "x", S_IFDIR, &ino), ERR_NOENT);
	store_reap(st, d);
	assert_err(try_make(st, d, "x", S_IFREG, &ino), ERR_NOENT);
}

static void
test_setgid_directory(void **state UNUSED)
{
	FIXTURE(f, false);
	struct store_attr in = { .mode = 02775 };
	struct store_attr a;

	assert_ok(store_setattr(st, &who, f->bkt, STORE_SET_MODE, &in, &a));
	a = attr(st, mkfile(st, f->bkt, "file"));
	assert_int_equal(a.gid, 8);
	assert_int_equal(a.mode, S_IFREG | 0644);
	a = attr(st, mkdir_(st, f->bkt, "dir"));
	assert_int_equal(a.gid, 8);
	assert_int_equal(a.mode, S_IFDIR | 02755);
}

static void
test_link_unlink(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t file = mkfile(st, f->bkt, "file");
	const uint64_t dir = mkdir_(st, f->bkt, "dir");
	struct store_attr a;
	uint64_t ino, b2;
	bool gone;

	assert_ok(store_link(st, file, dir, "hard", 4, &a));
	assert_int_equal(a.nlink, 2);
	assert_err(store_link(st, file, dir, "hard", 4, &a), ERR_EXIST);
	assert_err(store_link(st, dir, dir, "x", 1, &a), ERR_PERM);
	assert_err(store_link(st, file, STORE_ROOT, "xyz", 3, &a), ERR_PERM);
	assert_err(store_link(st, 999, dir, "x", 1, &a), ERR_NOENT);
	b2 = mkdir_(st, STORE_ROOT, "two");
	assert_err(store_link(st, file, b2, "x", 1, &a), ERR_XDEV);

	assert_err(rm(st, f->bkt, "dir"), ERR_ISDIR);
	assert_err(rm(st, f->bkt, "none"), ERR_NOENT);
	assert_err(rmd(st, f->bkt, "file"), ERR_NOTDIR);
	assert_err(rmd(st, f->bkt, "dir"), ERR_NOTEMPTY);
	assert_ok(store_unlink(st, f->bkt, "file", 4, &ino, &gone));
	assert_int_equal(ino, file);
	assert_false(gone);
	assert_ok(store_unlink(st, dir, "hard", 4, &ino, &gone));
	assert_true(gone);
	assert_int_equal(attr(st, file).nlink, 0);
	store_reap(st, file);
	assert_err(store_getattr(st, file, &a), ERR_STALE);
	assert_ok(rmd(st, f->bkt, "dir"));
	assert_int_equal(attr(st, f->bkt).nlink, 2);
	assert_int_equal(look(st, f->bkt, "dir"), 0);
}

static void
test_nameless(void **state UNUSED)
{
	FIXTURE(f, false);
	const struct store_new n = { .mode = S_IFREG | 0600 };
	struct store_file *file = NULL;
	struct store_attr a;
	uint64_t kept, lost;

	assert_ok(store_make(st, &who, f->bkt, NULL, 0, &n, &a, &file));
	kept = a.ino;
	assert_int_equal(a.nlink, 0);
	assert_int_equal(store_file_ino(file), kept);
	assert_ok(store_write(file, 0, "hello", 5, 0));
	store_release(file);
	lost = make(st, f->bkt, NULL, S_IFREG | 0600);
	assert_ok(store_link(st, kept, f->bkt, "kept", 4, &a));
	assert_int_equal(a.nlink, 1);
	store_reap(st, kept); /* has a name: stays */
	reopen(f);
	assert_int_equal(look(f->st, f->bkt, "kept"), kept);
	assert_int_equal(attr(f->st, kept).size, 5);
	assert_err(store_getattr(f->st, lost, &a), ERR_STALE);
}

static void
test_rename_files(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t d = mkdir_(st, f->bkt, "d");
	const uint64_t a = mkfile(st, f->bkt, "a");
	const uint64_t b = mkfile(st, d, "b");
	struct store_attr at;

	assert_err(ren(st, f->bkt, "none", d, "x", 0), ERR_NOENT);
	assert_err(
	    ren(st, f->bkt, "a", d, "b", STORE_RENAME_NOREPLACE), ERR_EXIST);
	assert_err(
	    ren(st, f->bkt, "a", d, "x", STORE_RENAME_EXCHANGE), ERR_NOENT);
	assert_err(ren(st, f->bkt, "a", d, "b", 3), ERR_INVAL);
	assert_err(ren(st, f->bkt, "a", d, "b", 8), ERR_INVAL);
	assert_err(ren(st, f->bkt, "a", f->bkt, "d", 0), ERR_ISDIR);
	assert_err(ren(st, f->bkt, "d", f->bkt, "a", 0), ERR_NOTDIR);
	assert_ok(ren(st, f->bkt, "a", d, "b", 0));
	assert_int_equal(look(st, d, "b"), a);
	assert_int_equal(look(st, f->bkt, "a"), 0);
	assert_err(store_getattr(st, b, &at), ERR_STALE);
	assert_ok(ren(st, d, "b", d, "c", STORE_RENAME_NOREPLACE));
	assert_ok(ren(st, d, "c", d, "c", 0));
	/* Two names of one inode: nothing happens. */
	assert_ok(store_link(st, a, f->bkt, "l", 1, &at));
	assert_ok(ren(st, f->bkt, "l", d, "c", 0));
	assert_int_equal(look(st, f->bkt, "l"), a);
	assert_int_equal(attr(st, a).nlink, 2);
	/* A replaced inode that has another name lives on. */
	(void)mkfile(st, d, "n");
	assert_ok(ren(st, d, "n", d, "c", 0));
	assert_int_equal(attr(st, a).nlink, 1);
}

static void
test_rename_directories(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t a = mkdir_(st, f->bkt, "a");
	const uint64_t b = mkdir_(st, a, "b");
	const uint64_t c = mkdir_(st, b, "c");
	const uint64_t e = mkdir_(st, f->bkt, "e");
	uint64_t p;

	assert_err(ren(st, f->bkt, "a", c, "x", 0), ERR_INVAL);
	assert_err(ren(st, f->bkt, "a", a, "x", 0), ERR_INVAL);
	assert_err(ren(st, b, "c", f->bkt, "a", 0), ERR_NOTEMPTY);
	assert_err(
	    ren(st, b, "c", f->bkt, "a", STORE_RENAME_EXCHANGE), ERR_INVAL);
	assert_err(ren(st, f->bkt, "e", f->bkt, "a", 0), ERR_NOTEMPTY);
	assert_ok(ren(st, a, "b", f->bkt, "e", 0));
	assert_int_equal(look(st, f->bkt, "e"), b);
	assert_int_equal(attr(st, f->bkt).nlink, 4);
	assert_int_equal(attr(st, a).nlink, 2);
	assert_ok(store_parent(st, b, &p));
	assert_int_equal(p, f->bkt);
	assert_err(store_parent(st, e, &p), ERR_NOENT);
	assert_ok(ren(st, f->bkt, "a", c, "moved", 0));
	assert_int_equal(attr(st, f->bkt).nlink, 3);
	assert_int_equal(attr(st, c).nlink, 3);
	assert_int_equal(look(st, look(st, c, "moved"), ".."), c);
	reopen(f);
	assert_int_equal(look(f->st, look(f->st, c, "moved"), ".."), c);
}

static void
test_exchange(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t d = mkdir_(st, f->bkt, "d");
	const uint64_t sub = mkdir_(st, d, "sub");
	const uint64_t file = mkfile(st, f->bkt, "file");

	assert_ok(ren(st, f->bkt, "file", d, "sub", STORE_RENAME_EXCHANGE));
	assert_int_equal(look(st, f->bkt, "file"), sub);
	assert_int_equal(look(st, d, "sub"), file);
	assert_int_equal(attr(st, f->bkt).nlink, 4);
	assert_int_equal(attr(st, d).nlink, 2);
	assert_int_equal(look(st, sub, ".."), f->bkt);
	assert_ok(ren(st, f->bkt, "file", f->bkt, "d", STORE_RENAME_EXCHANGE));
	assert_int_equal(look(st, f->bkt, "file"), d);
	assert_int_equal(attr(st, f->bkt).nlink, 4);
	assert_err(ren(st, f->bkt, "d", f->bkt, "file", 0), ERR_NOTEMPTY);
}

static void
test_buckets(void **state UNUSED)
{
	static const char longest[] = "01234567890123456789012345678901"
				      "2345678901234567890123456789012";
	static const char too_long[] = "01234567890123456789012345678901"
				       "23456789012345678901234567890123";
	static const char *const good[] = { "abc", "a.b-c", "1.2.3", "1.2.3.4a",
		longest };
	static const char *const bad[] = { "ab", "aB1", "-ab", "ab-", "a..b",
		"a_b", ".ab", "1.2.3.4", "192.168.100.255", "a b", "",
		too_long };
	FIXTURE(f, false);
	const uint64_t file = mkfile(st, f->bkt, "file");
	uint64_t two, ino;
	char text[STORE_DEFAULT_MAX];
	size_t i;

	for (i = 0; i < COUNTOF(good); i++)
		assert_true(store_bucket_name_ok(good[i], strlen(good[i])));
	for (i = 0; i < COUNTOF(bad); i++)
		assert_false(store_bucket_name_ok(bad[i], strlen(bad[i])));
	assert_ok(store_bucket_create(st, &who, "two", "None", 5, 6, 0700));
	assert_err(
	    store_bucket_create(st, &who, "two", NULL, 5, 6, 0700), ERR_EXIST);
	assert_err(store_bucket_create(st, &who, "tri", "KMS", 5, 6, 0700),
	    ERR_NOTSUP);
	assert_ok(store_bucket_find(st, "two", &two));
	assert_int_equal(attr(st, two).mode, S_IFDIR | 0700);
	assert_int_equal(attr(st, two).uid, 5);
	assert_ok(store_default_get(st, two, text));
	assert_string_equal(text, "None");
	assert_err(ren(st, STORE_ROOT, "two", STORE_ROOT, "tri", 0), ERR_PERM);
	assert_err(ren(st, STORE_ROOT, "two", f->bkt, "x", 0), ERR_PERM);
	assert_err(ren(st, f->bkt, "file", two, "x", 0), ERR_XDEV);
	(void)mkdir_(st, f->bkt, "dir");
	assert_err(ren(st, f->bkt, "dir", STORE_ROOT, "tri", 0), ERR_XDEV);
	assert_int_equal(look(st, f->bkt, "file"), file);
	assert_err(store_bucket_remove(st, "one"), ERR_NOTEMPTY);
	assert_err(store_bucket_remove(st, "none"), ERR_NOENT);
	assert_ok(store_bucket_remove(st, "two"));
	assert_err(store_bucket_find(st, "two", &ino), ERR_NOENT);
	assert_err(store_default_get(st, two, text), ERR_NOENT);
}

/* ---- Reading directories ------------------------------------------------ */

struct listing {
	unsigned n;
	char last[STORE_NAME_MAX + 1];
	size_t lastlen;
	bool isdir;
	unsigned stop_after;
	unsigned files, dirs;
	uint64_t sizes;
};

static bool
on_entry(void *arg, const struct store_dirent *e)
{
	struct listing *const l = arg;

	assert_int_equal(strlen(e->name), e->len);
	memcpy(l->last, e->name, e->len + 1);
	l->lastlen = e->len;
	l->isdir = S_ISDIR(e->attr.mode);
	if (l->isdir)
		l->dirs++;
	else
		l->files++;
	l->sizes += e->attr.size;
	l->n++;
	return (l->n != l->stop_after);
}

static void
test_readdir(void **state UNUSED)
{
	FIXTURE(f, false);
	struct listing l = { 0 };
	char name[16];
	unsigned i, before;

	assert_ok(
	    store_readdir(st, f->bkt, NULL, 0, false, 100, true, on_entry, &l));
	assert_int_equal(l.n, 0);
	for (i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "n%02u", i);
		(void)make(st, f->bkt, name,
		    i % 5 == 0 ? S_IFDIR | 0755 : S_IFLNK | 0777);
		if (i == 25)
			assert_ok(store_sync(st));
	}
	/* In pieces of seven, the last name removed before going on. */
	do {
		before = l.n;
		assert_ok(store_readdir(st, f->bkt, l.n == 0 ? NULL : l.last,
		    l.lastlen, l.isdir, 7, l.n % 2 == 0, on_entry, &l));
		if (l.n > before && l.isdir)
			assert_ok(rmd(st, f->bkt, l.last));
		else if (l.n > before)
			assert_ok(rm(st, f->bkt, l.last));
	} while (l.n > before);
	assert_int_equal(l.n, 50);
	assert_int_equal(l.dirs, 10);
	assert_int_equal(l.files, 40);
	l = (struct listing){ .stop_after = 3 };
	assert_ok(store_readdir(
	    st, f->bkt, NULL, 0, false, 100, false, on_entry, &l));
	assert_int_equal(l.n, 3);
	reopen(f);
	l = (struct listing){ 0 };
	assert_ok(store_readdir(
	    f->st, f->bkt, "n", 1, true, 100, true, on_entry, &l));
	assert_int_equal(l.sizes, l.files * 8 + l.dirs * 4096);
	assert_err(
	    store_readdir(f->st, 999, NULL, 0, false, 1, true, on_entry, &l),
	    ERR_NOENT);
}

/* 65000 names of one file, not one more. */
static void
test_link_limit(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t ino = mkfile(st, f->bkt, "n1");
	struct store_attr a;
	char name[16];

	for (unsigned i = 2; i <= STORE_LINK_MAX; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_ok(store_link(st, ino, f->bkt, name, strlen(name), &a));
	}
	assert_int_equal(a.nlink, 65000);
	assert_err(store_link(st, ino, f->bkt, "x", 1, &a), ERR_MLINK);
	assert_ok(ren(st, f->bkt, "n5", f->bkt, "x", 0));
	assert_err(store_link(st, ino, f->bkt, "n5", 2, &a), ERR_MLINK);
	assert_ok(rm(st, f->bkt, "x"));
	assert_ok(store_link(st, ino, f->bkt, "n5", 2, &a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_dots),
		cmocka_unit_test(test_make_errors),
		cmocka_unit_test(test_setgid_directory),
		cmocka_unit_test(test_link_unlink),
		cmocka_unit_test(test_link_limit),
		cmocka_unit_test(test_nameless),
		cmocka_unit_test(test_rename_files),
		cmocka_unit_test(test_rename_directories),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_readdir),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
