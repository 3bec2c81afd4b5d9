/* store/scrub_row, scrub_names, scrub_tell: rows, names and targets that are
 * wrong are found without keys, and each finding has a path; what is kept for it
 * has bounds. */
#include "store_util.h"

#include <pthread.h>
#include <stdatomic.h>

#include "lib/base/clock.h"
#include "store/object.h"

static const struct kms_who who = { .user = "root", .agent = "test" };

struct env {
	struct tmpdir d;
	char dir[80];
	struct store *st;
	uint64_t bucket;
};

static void
env_open(struct env *v)
{
	const struct store_opts o = { .dir = v->dir, .check = true };

	assert_ok(store_open_dir(&o, &v->st));
}

static void
env_close(struct env *v)
{
	if (v->st != NULL)
		assert_ok(store_close_dir(v->st));
	v->st = NULL;
}

static struct env
env_make(const char *sse)
{
	struct env v = { .d = tmpdir_make() };

	(void)snprintf(v.dir, sizeof(v.dir), "%s/s", v.d.path);
	const struct store_init in = { .dir = v.dir };
	assert_ok(store_create_dir(&in));
	env_open(&v);
	assert_ok(store_bucket_create(v.st, &who, "docs", sse, 0, 0, 0755));
	assert_ok(store_bucket_find(v.st, "docs", &v.bucket));
	return (v);
}

static void
env_remove(struct env *v)
{
	env_close(v);
	tmpdir_remove(&v->d);
}
#define CLEANUP_ENV CLEANUP(env_remove)

static uint64_t
make(struct env *v, uint64_t dir, const char *name, uint32_t mode)
{
	const struct store_new new = { .mode = mode, .target = "to/there" };
	struct store_attr a;

	assert_ok(
	    store_make(v->st, &who, dir, name, strlen(name), &new, &a, NULL));
	return (a.ino);
}

/* ---- Damage ---------------------------------------------------------------- */

/* Change meta.db, all of which stands in that file afterwards. */
static void
run(struct env *v, const char *text)
{
	char path[128];
	sqlite3 *c = NULL;

	env_close(v);
	(void)snprintf(path, sizeof(path), "%s/meta.db", v->dir);
	assert_int_equal(
	    sqlite3_open_v2(path, &c, SQLITE_OPEN_READWRITE, VFS_NAME),
	    SQLITE_OK);
	if (sqlite3_exec(c, text, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(c, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL,
		NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(c));
	assert_true(sqlite3_total_changes(c) > 0);
	assert_int_equal(sqlite3_close(c), SQLITE_OK);
}

static void
sql(struct env *v, const char *text)
{
	run(v, text);
	env_open(v);
}

/* Make the pages of meta.db that hold ${what} such as SQLite cannot read. */
static void
spoil(struct env *v, const char *what)
{
	const size_t page = 8192;
	char path[128];
	struct stat sb;
	bool found = false;

	(void)snprintf(path, sizeof(path), "%s/meta.db", v->dir);
	int fd CLEANUP_CLOSE = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(fstat(fd, &sb), 0);
	const size_t size = (size_t)sb.st_size;
	uint8_t *p CLEANUP_FREE = malloc(size);
	assert_non_null(p);
	assert_int_equal(pread(fd, p, size, 0), size);
	uint8_t *at = p + page;
	while ((at = memmem(at, size - (size_t)(at - p), what, strlen(what))) !=
	       NULL) {
		const size_t n = (size_t)(at - p) / page;

		at = p + n * page;
		memset(at, 0xee, page);
		assert_int_equal(pwrite(fd, at, page, (off_t)(n * page)), page);
		found = true;
	}
	assert_true(found);
	/* It has them all, and is brought home again otherwise. */
	(void)snprintf(path, sizeof(path), "%s/meta.db-wal", v->dir);
	assert_int_equal(truncate(path, 0), 0);
	env_open(v);
}

/* ---- What is found ------------------------------------------------------------ */

#define SEEN_MAX 600

struct seen {
	unsigned n, npaths;
	struct {
		uint64_t ino;
		char path[STORE_SHOWN_MAX + 1], what[80];
	} v[SEEN_MAX];
};

static void
on_bad(void *arg, const struct store_damage *d)
{
	struct seen *s = arg;

	if (s->n >= SEEN_MAX)
		return;
	s->v[s->n].ino = d->ino;
	(void)snprintf(s->v[s->n].path, sizeof(s->v[0].path), "%s",
	    d->path == NULL ? "" : d->path);
	(void)snprintf(s->v[s->n].what, sizeof(s->v[0].what), "%s", d->what);
	s->n++;
}

static struct store_scrub_result
scrub(struct env *v, bool keys, struct seen *s)
{
	const struct store_scrub_opts o = {
		.keys = keys, .who = &who, .bad = on_bad, .arg = s
	};
	struct store_scrub_result r;

	memset(s, 0, sizeof(*s));
	assert_ok(store_scrub(v->st, &o, &r));
	return (r);
}

static void
show(const struct seen *s)
{
	for (unsigned i = 0; i < s->n && i < 20; i++)
		print_message("inode %llu, %s: %s\n",
		    (unsigned long long)s->v[i].ino, s->v[i].path,
		    s->v[i].what);
}

/* Something says ${what}, and all that is found is of ${path}. */
static void
expect(struct env *v, bool keys, const char *path, const char *what)
{
	static struct seen s;
	bool said = false;

	(void)scrub(v, keys, &s);
	for (unsigned i = 0; i < s.n; i++) {
		said = said || strcmp(s.v[i].what, what) == 0;
		if (strcmp(s.v[i].path, path) != 0) {
			show(&s);
			fail_msg("not %s: %s", path, s.v[i].path);
		}
	}
	if (!said) {
		show(&s);
		fail_msg("%s: nothing says: %s", path, what);
	}
}

static struct env
scene(void)
{
	struct env v = env_make("KMS");
	const uint64_t sub = make(&v, v.bucket, "sub", S_IFDIR | 0755);
	const uint64_t deep = make(&v, sub, "deep", S_IFDIR | 0755);
	const uint64_t one = make(&v, v.bucket, "one", S_IFREG | 0644);

	(void)make(&v, v.bucket, "empty", S_IFDIR | 0755);
	(void)make(&v, v.bucket, "fifo", S_IFIFO | 0644);
	(void)make(&v, v.bucket, "link", S_IFLNK | 0777);
	(void)make(&v, deep, "two", S_IFREG | 0644);
	assert_ok(store_xattr_set(v.st, one, "user.note", "x", 1, 0));
	assert_ok(store_default_set(v.st, &who, sub, "None"));
	return (v);
}

#define INODE(name) \
	"(SELECT ino FROM dentry WHERE name = CAST('" name "' AS BLOB))"
#define NAME(n) "WHERE name = CAST('" n "' AS BLOB)"
#define ROW_OF(name) "WHERE ino = " INODE(name)

static const struct {
	const char *sql, *path, *what;
} edits[] = {
	{ "UPDATE inode SET mode = 511 " ROW_OF("one"), "docs/one",
	    "the inode's row is damaged" },
	{ "UPDATE inode SET mode = 511 " ROW_OF("fifo"), "docs/fifo",
	    "the inode's row is damaged" },
	{ "UPDATE inode SET times = x'00' " ROW_OF("empty/"), "docs/empty",
	    "the inode's row is damaged" },
	{ "UPDATE inode SET uid = -1 " ROW_OF("link"), "docs/link",
	    "the inode's row is damaged" },
	{ "UPDATE inode SET mode = 16877 " ROW_OF("one"), "docs/one",
	    "it has content and is no regular file" },
	{ "UPDATE inode SET mode = 16877 " ROW_OF("fifo"), "docs/fifo",
	    "this name refers to an inode that does not belong here" },
	{ "UPDATE inode SET mode = 33188 " ROW_OF("empty/"), "docs/empty",
	    "this name refers to an inode that does not belong here" },
	{ "UPDATE inode SET mode = 33188 " ROW_OF("sub/"), "docs/sub",
	    "names stand in it, and it is no directory" },
	{ "UPDATE inode SET mode = 41471 " ROW_OF("fifo"), "docs/fifo",
	    "the symbolic link's target is missing" },
	{ "UPDATE inode SET keyref = 77 " ROW_OF("two"), "docs/sub/deep/two",
	    NULL },
	{ "DELETE FROM symlink", "docs/link",
	    "the symbolic link's target is missing" },
	{ "UPDATE symlink SET target = x'610062'", "docs/link",
	    "the symbolic link's target is damaged" },
	{ "UPDATE symlink SET target = zeroblob(0)", "docs/link",
	    "the symbolic link's target is damaged" },
	{ "UPDATE symlink SET target = CAST('a' AS BLOB)", "docs/link",
	    "the symbolic link's size is not its target's" },
	{ "UPDATE dflt SET text = 'AES-512' " ROW_OF("sub/"), "docs/sub",
	    "the default encryption is damaged" },
	{ "UPDATE xattr SET name = x'757365722e00'", "docs/one",
	    "the name of an extended attribute is none" },
	{ "UPDATE xattr SET value = zeroblob(70000)", "docs/one",
	    "an extended attribute is too long" },
	{ "UPDATE xattr SET name = CAST('system.posix_acl_access' AS BLOB)",
	    "docs/one", "its access ACL is none" },
	{ "DELETE FROM xattr", "docs/one",
	    "the count of extended attributes is wrong" },
	{ "UPDATE dentry SET ino = 999 " NAME("one"), "docs/one",
	    "this name refers to an inode that is not there" },
	{ "UPDATE dentry SET ino = 0 " NAME("one"), "docs/one",
	    "this name refers to an inode that is not there" },
	{ "UPDATE dentry SET ino = -5 " NAME("one"), "docs/one",
	    "this name refers to an inode that is not there" },
	{ "UPDATE dentry SET ino = 1 " NAME("one"), "docs/one",
	    "this name refers to an inode that does not belong here" },
	{ "UPDATE dentry SET ino = " INODE("deep/") " " NAME("one"), "docs/one",
	    "this name refers to an inode that does not belong here" },
	{ "DELETE FROM inode " ROW_OF("fifo"), "docs/fifo",
	    "this name refers to an inode that is not there" },
	{ "DELETE FROM inode " ROW_OF("sub/"), "docs/sub",
	    "names stand in this directory, which is not there" },
	{ "UPDATE dentry SET parent = " INODE("empty/") " " NAME("deep/"),
	    "docs/empty/deep",
	    "this name refers to an inode that does not belong here" },
	{ "UPDATE inode SET nlink = 0 " ROW_OF("one"), "docs/one",
	    "it has this name and a link count of 0" },
	{ "UPDATE dentry SET name = x'612f62' " NAME("fifo"), "docs/a/b",
	    "this name is none" },
	{ "UPDATE dentry SET name = x'610062' " NAME("fifo"), "docs/a?b",
	    "this name is none" },
	{ "INSERT INTO dentry VALUES (" INODE("sub/") ", 'text', 5)",
	    "docs/sub", "names in it are empty or not stored as bytes" },
	{ "INSERT INTO dentry VALUES (" INODE("sub/") ", x'', 5)", "docs/sub",
	    "names in it are empty or not stored as bytes" },
};

static void
test_edits(void **state UNUSED)
{
	static const char *const noted =
	    "its master key is another one than is noted";

	for (size_t i = 0; i < COUNTOF(edits); i++) {
		struct env v CLEANUP_ENV = scene();
		static struct seen s;

		(void)scrub(&v, false, &s);
		assert_int_equal(s.n, 0);
		(void)scrub(&v, true, &s);
		assert_int_equal(s.n, 0);
		sql(&v, edits[i].sql);
		expect(&v, false, edits[i].path,
		    edits[i].what == NULL ? noted : edits[i].what);
		if (edits[i].what != NULL)
			expect(&v, true, edits[i].path, edits[i].what);
	}
}

/* An inode with several names is named by one that leads to it; what has no
 * name, or lies in a circle, has its number. */
static void
test_names(void **state UNUSED)
{
	static struct seen s;

	{
		struct env v CLEANUP_ENV = scene();

		/* A false name stands before the true one. */
		sql(&v, "INSERT INTO dentry VALUES (" INODE(
			    "docs/") ", "
				     "CAST('aaa/' AS BLOB), " INODE(
					 "one") ");"
						"UPDATE inode SET times = "
						"x'00' " ROW_OF("one"));
		(void)scrub(&v, false, &s);
		assert_int_equal(s.n, 2);
		assert_string_equal(s.v[0].path, "docs/one");
		assert_string_equal(s.v[1].path, "docs/aaa");
	}
	{
		struct env v CLEANUP_ENV = scene();

		sql(&v, "UPDATE inode SET times = x'00' " ROW_OF(
			    "one") ";"
				   "DELETE FROM dentry " NAME("one"));
		(void)scrub(&v, false, &s);
		assert_int_equal(s.n, 1);
		assert_string_equal(s.v[0].path, "");
		assert_true(s.v[0].ino != 0);
	}
	{
		struct env v CLEANUP_ENV = scene();

		sql(&v,
		    "UPDATE inode SET times = x'00' " ROW_OF(
			"two") ";"
			       "UPDATE inode SET parent = " INODE(
				   "deep/") " " //
		    ROW_OF("sub/"));
		(void)scrub(&v, false, &s);
		assert_int_equal(s.n, 2);
		assert_string_equal(s.v[0].path, ".../deep/two");
		assert_string_equal(s.v[1].path, "docs/sub");
	}
}

/* A path is cut off in front; a tree of any depth costs no more. */
static void
test_depth(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make("None");
	static struct seen s;
	uint64_t dir = v.bucket;

	for (unsigned i = 0; i < 700; i++)
		dir = make(&v, dir, i % 2 == 0 ? "d" : "dir", S_IFDIR | 0755);
	(void)make(&v, dir, "file", S_IFREG | 0644);
	sql(&v, "UPDATE inode SET mode = 511 " ROW_OF("file"));
	(void)scrub(&v, false, &s);
	assert_int_equal(s.n, 1);
	const size_t n = strlen(s.v[0].path);
	assert_true(n > STORE_SHOWN_MAX - 8 && n <= STORE_SHOWN_MAX);
	assert_memory_equal(s.v[0].path, ".../", 4);
	assert_string_equal(s.v[0].path + n - 11, "/d/dir/file");
}

/* ---- Many ------------------------------------------------------------------ */

#define MANY_DIRS 60u
#define MANY 18000u /* more than are held at once */

struct many {
	uint64_t first;
	unsigned n, wrong;
	char want[64];
};

static void
many_bad(void *arg, const struct store_damage *d)
{
	struct many *m = arg;
	const unsigned i = (unsigned)(d->ino - m->first);

	m->n++;
	(void)snprintf(m->want, sizeof(m->want), "docs/dir-%u/file-%u",
	    i / (MANY / MANY_DIRS), i);
	if (d->path == NULL || strcmp(d->path, m->want) != 0)
		m->wrong++;
}

static void
test_many(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make("None");
	struct many m = { .first = 0 };
	const struct store_scrub_opts o = { .bad = many_bad, .arg = &m };
	struct store_scrub_result r;
	uint64_t dirs[MANY_DIRS];
	char name[32];

	for (unsigned i = 0; i < MANY_DIRS; i++) {
		(void)snprintf(name, sizeof(name), "dir-%u", i);
		dirs[i] = make(&v, v.bucket, name, S_IFDIR | 0755);
	}
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "file-%u", i);
		const uint64_t ino = make(
		    &v, dirs[i / (MANY / MANY_DIRS)], name, S_IFREG | 0644);
		if (i == 0)
			m.first = ino;
	}
	sql(&v, "UPDATE inode SET mode = 511 WHERE mode & 61440 = 32768");
	assert_ok(store_scrub(v.st, &o, &r));
	assert_int_equal(r.bad, MANY);
	assert_int_equal(m.n, MANY);
	assert_int_equal(m.wrong, 0);
}

/* ---- Pages ----------------------------------------------------------------- */

/* Of a database with pages that cannot be read the rest is: every file whose row
 * is lost is named by its name. */
static void
test_pages(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make("None");
	const struct store_new new = { .mode = S_IFREG | 0644 };
	struct store_scrub_result r;
	static struct seen s;
	unsigned lost = 0, pages = 0;

	for (unsigned i = 0; i < 400; i++) {
		char name[32];
		struct store_attr a;
		struct store_file *f = NULL;

		(void)snprintf(name, sizeof(name), "file-%u", i);
		assert_ok(store_make(
		    v.st, &who, v.bucket, name, strlen(name), &new, &a, &f));
		/* The content of small files stands in their rows. */
		assert_ok(store_write(f, 0, name, strlen(name), 0));
		store_release(f);
	}
	run(&v, "UPDATE inode SET obj = CAST(obj || 'spoil-this' AS BLOB)"
		" " ROW_OF("file-250"));
	spoil(&v, "spoil-this");
	r = scrub(&v, false, &s);
	for (unsigned i = 0; i < s.n; i++) {
		pages += s.v[i].ino == 0;
		lost += strcmp(s.v[i].what,
			    "this name refers to an inode that cannot be "
			    "read") == 0 &&
			strncmp(s.v[i].path, "docs/file-", 10) == 0;
	}
	if (pages != 1 || lost == 0 || lost != s.n - 1 ||
	    lost + r.files != 400) {
		show(&s);
		fail_msg("%u findings, %u of pages, %u of names, %llu files",
		    s.n, pages, lost, (unsigned long long)r.files);
	}
}

static void
test_name_pages(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make("None");
	static struct seen s;
	struct store_scrub_result r;
	unsigned dir = 0, row = 0, name = 0;

	for (unsigned i = 0; i < 2000; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "file-%u", i);
		(void)make(&v, v.bucket, text, S_IFREG | 0644);
	}
	/* What comes after the damage is looked at, and found. */
	run(&v, "UPDATE inode SET mode = 511 " ROW_OF(
		    "file-77") ";"
			       "UPDATE dentry SET ino = 99999 " NAME("file-5"));
	spoil(&v, "file-1500");
	r = scrub(&v, false, &s);
	assert_int_equal(r.files, 1999);
	for (unsigned i = 0; i < s.n; i++) {
		dir += s.v[i].ino == v.bucket &&
		       strcmp(s.v[i].path, "docs") == 0 &&
		       strcmp(s.v[i].what,
			   "some of its names cannot be read") == 0;
		row += strcmp(s.v[i].path, "docs/file-77") == 0;
		name += strcmp(s.v[i].path, "docs/file-5") == 0;
	}
	if (s.n != 3 || dir != 1 || row != 1 || name != 1) {
		show(&s);
		fail_msg("%u findings", s.n);
	}
}

/* ---- While others work ------------------------------------------------------- */

struct busy {
	struct env *v;
	atomic_bool stop;
	unsigned rounds;
};

static void *
busy_main(void *arg)
{
	struct busy *b = arg;
	struct store *st = b->v->st;
	const uint64_t dir = b->v->bucket;
	uint64_t gone = 0, ino;
	bool last;

	while (!b->stop) {
		const uint64_t sub = make(b->v, dir, "sub", S_IFDIR | 0755);
		const uint64_t in = make(b->v, sub, "in", S_IFDIR | 0755);
		const uint64_t f = make(b->v, in, "f", S_IFREG | 0644);

		(void)make(b->v, in, "link", S_IFLNK | 0777);
		assert_ok(store_xattr_set(st, f, "user.a", "b", 1, 0));
		assert_ok(store_default_set(st, &who, sub, "None"));
		if (b->rounds % 3 == 0)
			assert_ok(store_sync(st));
		assert_ok(
		    store_rename(st, sub, "in", 2, dir, "out", 3, 0, &gone));
		assert_ok(store_xattr_remove(st, f, "user.a"));
		assert_ok(store_unlink(st, in, "f", 1, &ino, &last));
		store_reap(st, ino);
		assert_ok(store_unlink(st, in, "link", 4, &ino, &last));
		store_reap(st, ino);
		assert_ok(store_rmdir(st, dir, "out", 3, &ino));
		store_reap(st, ino);
		assert_ok(store_rmdir(st, dir, "sub", 3, &ino));
		store_reap(st, ino);
		b->rounds++;
	}
	return (NULL);
}

static void
test_online(void **state UNUSED)
{
	struct env v CLEANUP_ENV = env_make("KMS");
	struct busy b = { .v = &v };
	const uint64_t end = clock_mono_ns() + 3000000000u;
	static struct seen s;
	pthread_t t;

	for (unsigned i = 0; i < 300; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "still-%u", i);
		(void)make(&v, v.bucket, name, S_IFREG | 0644);
	}
	assert_int_equal(pthread_create(&t, NULL, busy_main, &b), 0);
	for (int i = 0; clock_mono_ns() < end; i++) {
		(void)scrub(&v, i % 2 != 0, &s);
		if (s.n != 0) {
			show(&s);
			fail_msg("%u findings", s.n);
		}
	}
	b.stop = true;
	(void)pthread_join(t, NULL);
	assert_true(b.rounds > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_name_pages),
		cmocka_unit_test(test_online),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
