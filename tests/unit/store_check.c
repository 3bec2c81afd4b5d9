/* store/check: a whole store has no problems; each breach is told by its
 * number; what can be mended is. */
#include "store_util.h"

#include <sqlite3.h>

#include "store/store.h"

static const struct kms_who who = { NULL, "root", "test" };

struct found {
	char list[256]; /* invariants, parted by blanks */
};

static void
on_problem(void *arg, const struct store_problem *p)
{
	struct found *const f = arg;
	const size_t n = strlen(f->list);

	assert_true(strlen(p->what) > 5);
	(void)snprintf(f->list + n, sizeof(f->list) - n, "%s%s%s",
	    n == 0 ? "" : " ", p->invariant, p->repaired ? "+" : "");
}

static struct store *
open_store(const char *dir, bool readonly)
{
	const struct store_opts o = { .dir = dir, .readonly = readonly };
	struct store *st = NULL;

	assert_ok(store_open_dir(&o, &st));
	return (st);
}

static uint64_t
make(struct store *st, uint64_t dir, const char *name, uint32_t mode,
    uint64_t off, size_t len)
{
	static uint8_t data[1 << 20];
	const struct store_new n = { .mode = mode, .target = "target" };
	struct store_file *f = NULL;
	struct store_attr a;

	assert_ok(store_make(st, &who, dir, name, strlen(name), &n, &a,
	    S_ISREG(mode) ? &f : NULL));
	memset(data, name[0], sizeof(data));
	for (; len > 0; off += 1 << 20) {
		const size_t part = len < sizeof(data) ? len : sizeof(data);

		assert_ok(store_write(f, off, data, part, 0));
		len -= part;
	}
	store_release(f);
	return (a.ino);
}

/* Files of every shape; "small" has inode 3, "big" 4. */
static void
fill(const char *dir)
{
	const struct store_init in = { .dir = dir };
	struct store_file *from = NULL, *to = NULL;
	struct store_attr a;
	struct store *st;
	uint64_t b, big, copy, sub, n;

	assert_ok(store_create_dir(&in));
	st = open_store(dir, false);
	assert_ok(store_bucket_create(st, &who, "one", NULL, 0, 0, 0755));
	assert_ok(store_bucket_find(st, "one", &b));
	assert_int_equal(b, 2);
	assert_int_equal(make(st, b, "small", S_IFREG | 0644, 0, 100), 3);
	big = make(st, b, "big", S_IFREG | 0644, 0, 3 << 20);
	assert_int_equal(big, 4);
	sub = make(st, b, "sub", S_IFDIR | 0755, 0, 0);
	(void)make(st, sub, "sparse", S_IFREG | 0644, (uint64_t)1 << 32, 5000);
	(void)make(st, sub, "link", S_IFLNK | 0777, 0, 0);
	copy = make(st, sub, "copy", S_IFREG | 0644, 0, 0);
	assert_ok(store_link(st, big, sub, "hard", 4, &a));
	assert_ok(store_xattr_set(st, big, "user.x", "y", 1, 0));
	assert_ok(store_open(st, &who, big, &from));
	assert_ok(store_open(st, &who, copy, &to));
	assert_ok(store_copy(from, 0, to, 0, 2 << 20, &n));
	assert_int_equal(n, 2 << 20);
	store_release(from);
	store_release(to);
	assert_ok(store_close_dir(st));
}

static void
meddle(const char *dir, const char *sql)
{
	char path[128], *why = NULL;
	sqlite3 *c = NULL;

	(void)snprintf(path, sizeof(path), "%s/meta.db", dir);
	assert_int_equal(
	    sqlite3_open_v2(path, &c, SQLITE_OPEN_READWRITE, "ssefs"),
	    SQLITE_OK);
	if (sqlite3_exec(c, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
}

static void
check(const char *dir, bool repair, bool readonly, const char *want,
    const char *what)
{
	struct store_check_result r;
	struct found f = { "" };
	struct store *const st = open_store(dir, readonly);

	assert_ok(store_check(st, repair, on_problem, &f, &r));
	if (strcmp(f.list, want) != 0)
		fail_msg(
		    "%s: \"%s\" where \"%s\" was expected", what, f.list, want);
	assert_ok(store_close_dir(st));
}

static void
test_whole(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	struct store_check_result r;
	struct found f = { "" };
	struct store *st;
	char dir[80];

	(void)snprintf(dir, sizeof(dir), "%s/s", d.path);
	fill(dir);
	st = open_store(dir, false);
	assert_ok(store_check(st, true, on_problem, &f, &r));
	assert_string_equal(f.list, "");
	assert_int_equal(r.inodes, 8);
	assert_int_equal(r.names, 8);
	assert_int_equal(r.blocks, 768 + 2);
	assert_int_equal(r.problems, 0);
	assert_ok(store_close_dir(st));
	check(dir, false, true, "", "read-only");
}

static void
test_breaches(void **state UNUSED)
{
	static const struct {
		const char *sql, *plain, *repaired, *after;
	} cases[] = {
		{ "UPDATE inode SET nlink=5 WHERE ino=3", "I1", "I1+", "" },
		{ "UPDATE inode SET nlink=9 WHERE ino=2", "I1", "I1+", "" },
		{ "DELETE FROM dentry WHERE ino=3", "I1", "I1", "I1" },
		{ "DELETE FROM inode WHERE ino=3", "I1 I8", "I1 I8+", "I1" },
		{ "UPDATE dentry SET name=CAST('small/' AS BLOB) WHERE ino=3",
		    "I1 I1", "I1 I1+", "I1" },
		{ "UPDATE inode SET parent=1 WHERE ino=5", "I2", "I2+", "" },
		{ "UPDATE inode SET bucket=7 WHERE ino=3", "I2", "I2", "I2" },
		{ "UPDATE segment SET refs=refs+1", "I7", "I7+", "" },
		{ "UPDATE keyref SET uses=uses+1", "I8", "I8+", "" },
		{ "UPDATE inode SET keyref=77 WHERE ino=3", "I8 I8", "I8+ I8",
		    "I8" },
		{ "INSERT INTO xattr VALUES(99, x'61', x'62')", "I9", "I9+",
		    "" },
		{ "DELETE FROM xattr", "I9", "I9+", "" },
		{ "INSERT INTO dflt VALUES(3, 'None')", "I9", "I9+", "" },
		{ "INSERT INTO symlink VALUES(3, x'61')", "I9", "I9+", "" },
		{ "UPDATE symlink SET target=x'61'", "I9", "I9", "I9" },
		{ "UPDATE super SET next_ino=5", "I10", "I10+", "" },
		{ "UPDATE super SET next_seg=1", "I10", "I10+", "" },
		{ "UPDATE inode SET size=99 WHERE ino=3", "I6", "I6", "I6" },
		{ "UPDATE alloc SET bits=zeroblob(4096)", "I3", "I3+", "" },
		{ "UPDATE alloc SET bits=CAST(substr(bits, 1, 4000) ||"
		  " zeroblob(95) || x'ff' AS BLOB)",
		    "I3", "I3+", "" },
	};
	size_t i;

	for (i = 0; i < COUNTOF(cases); i++) {
		struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
		char dir[80];

		(void)snprintf(dir, sizeof(dir), "%s/s", d.path);
		fill(dir);
		meddle(dir, cases[i].sql);
		check(dir, false, true, cases[i].plain, cases[i].sql);
		check(dir, true, false, cases[i].repaired, cases[i].sql);
		if (cases[i].after != NULL)
			check(dir, false, false, cases[i].after, cases[i].sql);
	}
}

/* Nodes: lost, damaged, exchanged, put back. */
static void
test_nodes(void **state UNUSED)
{
	static const char *const cases[] = {
		"DELETE FROM node WHERE level=1",
		"DELETE FROM node WHERE level=0 AND idx=1",
		"UPDATE node SET row=zeroblob(length(row)) WHERE idx=2",
		"UPDATE node SET row=(SELECT row FROM node n WHERE"
		" n.seg=node.seg AND n.level=0 AND n.idx=3)"
		" WHERE level=0 AND idx=2",
		"UPDATE inode SET obj=substr(obj, 1, 100) WHERE ino=4",
		"UPDATE segment SET rec=x'00'",
		"UPDATE node SET seg=seg+1000",
	};
	size_t i;

	for (i = 0; i < COUNTOF(cases); i++) {
		struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
		struct store_check_result r;
		struct found f = { "" };
		struct store *st;
		char dir[80];

		(void)snprintf(dir, sizeof(dir), "%s/s", d.path);
		fill(dir);
		meddle(dir, cases[i]);
		st = open_store(dir, true);
		assert_ok(store_check(st, false, on_problem, &f, &r));
		if (r.problems == 0)
			fail_msg("%s: nothing was found", cases[i]);
		if (strstr(f.list, "I5") == NULL &&
		    strstr(f.list, "I6") == NULL)
			fail_msg("%s: found \"%s\"", cases[i], f.list);
		assert_err(store_check(st, true, on_problem, &f, &r), ERR_ROFS);
		assert_ok(store_close_dir(st));
	}
}

/* A cut-off arena. */
static void
test_arena(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	char dir[80], path[128];
	struct store_check_result r;
	struct found f = { "" };
	struct store *st;

	(void)snprintf(dir, sizeof(dir), "%s/s", d.path);
	fill(dir);
	(void)snprintf(path, sizeof(path), "%s/arena-0", dir);
	assert_int_equal(truncate(path, 1 << 20), 0);
	st = open_store(dir, true);
	assert_ok(store_check(st, false, on_problem, &f, &r));
	assert_non_null(strstr(f.list, "I4"));
	assert_ok(store_close_dir(st));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_breaches),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_arena),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
