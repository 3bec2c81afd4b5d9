/* store/check: a whole store has no problems; each breach is told by its
 * number; what can be mended is. */
#include "store_util.h"

#include <errno.h>
#include <sqlite3.h>

#include "lib/base/sys.h"
#include "store/store.h"

static const struct kms_who who = { .user = "root", .agent = "test" };

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

static struct store *
open_check(const char *dir, bool repair)
{
	const struct store_opts o = {
		.dir = dir, .check = true, .readonly = !repair
	};
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

/* A store as fill() made it once, at ${dir}. */
static struct tmpdir template;

static void
fill_copy(const char *dir)
{
	static const char *const files[] = { "meta.db", "meta.db-wal",
		"arena-0", "keys.db", "keys.db-wal", "keys.db-audit.log" };
	char from[80];

	(void)snprintf(from, sizeof(from), "%s/s", template.path);
	if (template.path[0] == '\0') {
		template = tmpdir_make();
		(void)snprintf(from, sizeof(from), "%s/s", template.path);
		fill(from);
	}
	assert_int_equal(mkdir(dir, 0700), 0);
	for (size_t i = 0; i < COUNTOF(files); i++)
		if (file_size(from, files[i]) >= 0)
			copy_file(from, dir, files[i]);
}

static int
forget_template(void **state UNUSED)
{
	tmpdir_remove(&template);
	return (0);
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
	struct store *const st =
	    repair ? open_check(dir, true) : open_store(dir, readonly);

	assert_ok(store_check(st, repair, on_problem, &f, &r));
	if (strcmp(f.list, want) != 0)
		fail_msg(
		    "%s: \"%s\" where \"%s\" was expected", what, f.list, want);
	assert_ok(store_close_dir(st));
}

/* As "ssefs fsck" without --repair does. */
static void
look(const char *dir, const char *want, const char *what)
{
	struct store_check_result r;
	struct found f = { "" };
	struct store *const st = open_check(dir, false);

	assert_ok(store_check(st, false, on_problem, &f, &r));
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
	assert_err(store_check(st, true, on_problem, &f, &r), ERR_INVAL);
	assert_ok(store_close_dir(st));
	st = open_check(dir, true);
	assert_ok(store_check(st, true, on_problem, &f, &r));
	assert_string_equal(f.list, "");
	assert_int_equal(r.inodes, 8);
	assert_int_equal(r.names, 8);
	assert_int_equal(r.blocks, 768 + 2);
	assert_int_equal(r.problems, 0);
	assert_ok(store_close_dir(st));
	check(dir, false, true, "", "read-only");
}

/* What fill() wrote is there, by number: names may have gone to lost+found. */
static void
intact(const char *dir, uint64_t lost, const char *what)
{
	static const struct {
		uint64_t ino, off;
		size_t len;
		char byte;
	} all[] = { { 3, 0, 100, 's' }, { 4, 0, 3 << 20, 'b' },
		{ 6, (uint64_t)1 << 32, 5000, 's' }, { 8, 0, 2 << 20, 'b' } };
	static char got[3 << 20], want[3 << 20];
	struct store *const st = open_store(dir, false);
	struct store_file *f = NULL;
	size_t n;

	for (size_t i = 0; i < COUNTOF(all); i++) {
		if (all[i].ino == lost)
			continue;
		memset(want, all[i].byte, all[i].len);
		assert_ok(store_open(st, &who, all[i].ino, &f));
		assert_ok(store_read(f, all[i].off, got, sizeof(got), &n));
		store_release(f);
		if (n != all[i].len || memcmp(got, want, n) != 0)
			fail_msg("%s: inode %llu differs", what,
			    (unsigned long long)all[i].ino);
	}
	assert_ok(store_close_dir(st));
}

static void
test_breaches(void **state UNUSED)
{
	static const struct {
		const char *sql, *plain, *repaired, *after;
		uint64_t lost; /* the file that is not to be had */
	} cases[] = {
		{ "UPDATE inode SET nlink=5 WHERE ino=3", "I1", "I1+", "", 0 },
		{ "UPDATE inode SET nlink=9 WHERE ino=2", "I1", "I1+", "", 0 },
		{ "DELETE FROM dentry WHERE ino=3", "I1", "I1+", "", 0 },
		{ "DELETE FROM dentry WHERE ino=5", "I1 I2 I1", "I1+ I1+", "",
		    0 },
		{ "DELETE FROM dentry WHERE ino=2", "I1 I2 I2 I1", "I1+ I1+",
		    "", 0 },
		{ "DELETE FROM dentry WHERE ino IN (2, 3)", "I1 I1 I2 I2 I1",
		    "I1+ I1+ I1+", "", 0 },
		{ "DELETE FROM inode WHERE ino=3", "I1 I8", "I1 I8+", "I1", 3 },
		{ "DELETE FROM inode WHERE ino=4", "I1 I1 I9 I9 I8",
		    "I1 I1 I9 I9 I8+", "I1 I1 I9 I9", 4 },
		{ "DELETE FROM inode WHERE ino=5", "I2 I1 I9 I9 I9 I9", "I2+",
		    "", 0 },
		{ "DELETE FROM inode WHERE ino=2", "I2 I1 I9 I9 I9 I9", "I2+",
		    "", 0 },
		{ "DELETE FROM inode WHERE ino=1", "I2 I9", "I2+", "", 0 },
		{ "DELETE FROM inode WHERE ino IN (2, 5)",
		    "I2 I2 I1 I1 I9 I9 I9 I9 I9 I9 I9 I9", "I2+ I2+", "", 0 },
		{ "DELETE FROM inode WHERE ino=5; DELETE FROM dentry WHERE "
		  "ino=5",
		    "I2 I9 I9 I9 I9 I1", "I2+ I1+ I1+", "", 0 },
		{ "UPDATE dentry SET name=CAST('small/' AS BLOB) WHERE ino=3",
		    "I1 I1", "I1+", "", 0 },
		{ "UPDATE dentry SET name=CAST('sub' AS BLOB) WHERE ino=5",
		    "I1 I2 I1", "I1+", "", 0 },
		{ "UPDATE dentry SET name=CAST('a/b' AS BLOB) WHERE ino=3",
		    "I1", "I1+ I1+", "", 0 },
		{ "UPDATE dentry SET name='small' WHERE ino=3", "I1", "I1+", "",
		    0 },
		{ "UPDATE dentry SET parent=99 WHERE ino=3", "I9", "I9+ I1+",
		    "", 0 },
		{ "UPDATE dentry SET parent=4 WHERE ino=3", "I9", "I9+ I1+", "",
		    0 },
		{ "UPDATE dentry SET parent=5 WHERE ino=5", "I2 I2 I1 I1",
		    "I2+ I2+ I1+", "", 0 },
		{ "INSERT INTO dentry VALUES(5, CAST('up/' AS BLOB), 5)",
		    "I2 I2 I2 I1", "I2+", "", 0 },
		{ "INSERT INTO orphan VALUES(3)", "I1", "I1+", "", 0 },
		{ "INSERT INTO orphan VALUES(3); DELETE FROM dentry WHERE "
		  "ino=3",
		    "I1", "I1+", "", 0 },
		{ "INSERT INTO dead SELECT max(seg), 0 FROM node", "I3", "I3+",
		    "", 0 },
		{ "UPDATE inode SET parent=1 WHERE ino=5", "I2", "I2+", "", 0 },
		{ "UPDATE inode SET bucket=7 WHERE ino=3", "I2", "I2+", "", 0 },
		{ "UPDATE inode SET bucket=7 WHERE ino=5", "I2", "I2+", "", 0 },
		{ "UPDATE inode SET bucket=7; DELETE FROM dentry WHERE ino=3",
		    "I1 I2 I2 I2 I2 I2 I2", "I1+ I2+ I2+ I2+ I2+ I2+ I2+", "",
		    0 },
		{ "UPDATE segment SET refs=refs+1", "I7", "I7+", "", 0 },
		{ "UPDATE keyref SET uses=uses+1", "I8", "I8+", "", 0 },
		{ "UPDATE inode SET keyref=77 WHERE ino=3", "I8 I8", "I8+", "",
		    0 },
		{ "DELETE FROM keyref", "I8 I8 I8 I8", "I8+ I8+", "", 0 },
		{ "UPDATE keyref SET arn='arn:aws:kms:x:0:key/0'",
		    "I8 I8 I8 I8", "I8+ I8+ I8+ I8+ I8+ I8+", "", 0 },
		{ "INSERT INTO xattr VALUES(99, x'61', x'62')", "I9", "I9+", "",
		    0 },
		{ "DELETE FROM xattr", "I9", "I9+", "", 0 },
		{ "INSERT INTO dflt VALUES(3, 'None')", "I9", "I9+", "", 0 },
		{ "INSERT INTO symlink VALUES(3, x'61')", "I9", "I9+", "", 0 },
		{ "UPDATE symlink SET target=x'61'", "I9", "I9+", "", 0 },
		{ "DELETE FROM symlink", "I9", "I9", "I9", 0 },
		{ "UPDATE super SET next_ino=5", "I10", "I10+", "", 0 },
		{ "UPDATE super SET next_seg=1", "I10", "I10+", "", 0 },
		{ "UPDATE inode SET size=99 WHERE ino=3", "I6", "I6+", "", 0 },
		{ "UPDATE inode SET times=x'00' WHERE ino=3", "I6", "I6", "I6",
		    3 },
		{ "UPDATE alloc SET bits=zeroblob(4096)", "I3", "I3+", "", 0 },
		{ "UPDATE alloc SET bits=zeroblob(7)", "I3 I3", "I3+ I3+", "",
		    0 },
		{ "DELETE FROM alloc", "I3", "I3+", "", 0 },
		{ "UPDATE alloc SET bits=CAST(substr(bits, 1, 4000) || "
		  "zeroblob(95) || x'ff' AS BLOB)",
		    "I3", "I3+", "", 0 },
	};
	size_t i;

	for (i = 0; i < COUNTOF(cases); i++) {
		struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
		char dir[80];

		(void)snprintf(dir, sizeof(dir), "%s/s", d.path);
		fill_copy(dir);
		meddle(dir, cases[i].sql);
		look(dir, cases[i].plain, cases[i].sql);
		check(dir, true, false, cases[i].repaired, cases[i].sql);
		look(dir, cases[i].after, cases[i].sql);
		intact(dir, cases[i].lost, cases[i].sql);
		look(dir, cases[i].after, cases[i].sql);
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
		fill_copy(dir);
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
	fill_copy(dir);
	(void)snprintf(path, sizeof(path), "%s/arena-0", dir);
	assert_int_equal(truncate(path, 1 << 20), 0);
	st = open_store(dir, true);
	assert_ok(store_check(st, false, on_problem, &f, &r));
	assert_non_null(strstr(f.list, "I4"));
	assert_ok(store_close_dir(st));
}

/* A repair while an arena is away, or cannot be read, gives nothing of it away. */
static void
test_arena_back(void **state UNUSED)
{
	struct tmpdir d CLEANUP_TMPDIR = tmpdir_make();
	char dir[80], path[128], away[128];
	struct store_check_result r;
	struct found f = { "" };
	struct store *st;

	(void)snprintf(dir, sizeof(dir), "%s/s", d.path);
	fill_copy(dir);
	(void)snprintf(path, sizeof(path), "%s/arena-0", dir);
	(void)snprintf(away, sizeof(away), "%s/away", dir);
	assert_int_equal(rename(path, away), 0);
	st = open_check(dir, true);
	assert_ok(store_check(st, true, on_problem, &f, &r));
	assert_non_null(strstr(f.list, "I4"));
	assert_int_equal(r.repaired, 0);
	assert_ok(store_close_dir(st));
	assert_int_equal(rename(away, path), 0);
	check(dir, false, true, "", "the arena is back");
	st = open_check(dir, true);
	sys_fault_set("open", 1, EIO, 1);
	assert_err(store_check(st, true, on_problem, &f, &r), ERR_IO);
	(void)sys_fault_clear();
	assert_ok(store_close_dir(st));
	check(dir, false, true, "", "the arena can be read");
	intact(dir, 0, "the arena is back");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_breaches),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_arena_back),
	};

	return (cmocka_run_group_tests(tests, NULL, forget_template));
}
