/*
 * A whole store whose rows an attacker wrote, read through all that reads rows:
 * the store is opened, walked, read, checked, scrubbed and, unless it is opened
 * for reading only, changed.  What is encrypted shows what some file held, or an
 * error; nothing takes for ever, nor memory without bound.
 *
 * Input: a byte of flags (1: for reading only; 2: fsck, 4: scrub with keys, 8:
 * changes as well), then edits: a byte that chooses the kind, one for the table,
 * one for the row, and
 *   0  one for the column, and a value for it
 *   1  a value for each column of a new row
 *   2  nothing: the row goes
 *   3  two bytes that choose a bit of the row's record, whose checksum is mended
 *   4  one for another row, whose record is put here
 * Of the bytes that choose a table, those from 247 on mean the last one.  Two
 * blocks wait in it for their places.
 * A value is a type and a number, or a length and bytes; type 6 is what stands in
 * the row already.
 */
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "store/object.h"

#include "tests/fuzz/fuzz.h"

#define MEMORY_KIB ((long)1 << 20)
#define EDITS 24u
#define NAMES 64u /* looked at */
#define FILES 6u
#define SIZE_BIG (70u * BLOCK)

/* Errors are many; one says that we ourselves are wrong. */
static bool
sane(enum err e)
{
	HOLDS(e != ERR_INTERNAL && e < ERR_COUNT_);
	return (e == OK);
}

static const struct kms_who who = { .user = "root", .agent = "fuzz" };

static const struct {
	const char *name, *cols[14];
	int record; /* column with a record, or -1 */
} tables[] = {
	{ "super",
	    { "one", "format", "uuid", "epoch", "next_ino", "next_seg",
		"created", "flags" },
	    -1 },
	{ "inode",
	    { "ino", "mode", "nlink", "uid", "gid", "rdev", "size", "blocks",
		"times", "parent", "bucket", "keyref", "xattrs", "obj" },
	    13 },
	{ "dentry", { "parent", "name", "ino" }, -1 },
	{ "symlink", { "ino", "target" }, -1 },
	{ "xattr", { "ino", "name", "value" }, -1 },
	{ "dflt", { "ino", "text" }, -1 },
	{ "node", { "seg", "level", "idx", "row" }, 3 },
	{ "segment", { "seg", "refs", "rec" }, 2 },
	{ "base", { "owner", "start", "len", "seg", "off", "rec" }, -1 },
	{ "alloc", { "grp", "bits" }, -1 },
	{ "orphan", { "ino" }, -1 },
	{ "dead", { "seg", "first" }, -1 },
	{ "keyref", { "id", "arn", "uses" }, -1 },
	{ "ring", { "place", "data" }, 1 },
};
#define RING (COUNTOF(tables) - 1)

/* ---- The store that is attacked ----------------------------------------- */

static char top[64];
static char dir[sizeof(top) + 8];
/* The keystore too: its log would grow with every input, and fsck reads it. */
static const char *const kept[] = { "meta.db", "arena-0", "keys.db",
	"keys.db-audit.log" };
static uint8_t *good[COUNTOF(kept)];
static size_t good_len[COUNTOF(kept)];
static uint8_t *content[FILES];
static const size_t size_of[FILES] = { 300, 9000, SIZE_BIG, SIZE_BIG - 5,
	SIZE_BIG - 9, 77 };

static int
tidy_one(const char *path, const struct stat *sb UNUSED, int type UNUSED,
    struct FTW *f UNUSED)
{
	return (remove(path));
}

static void
tidy(void)
{
	(void)nftw(top, tidy_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
path_of(const char *name, char ret[static 128])
{
	(void)snprintf(ret, 128, "%s/%s", dir, name);
}

static struct store *
store_now(bool readonly, enum err *ret)
{
	const struct store_opts o = { .dir = dir, .readonly = readonly };
	struct store *st = NULL;

	*ret = store_open_dir(&o, &st);
	return (st);
}

static struct store_file *
new_file(struct store *st, uint64_t d, const char *name, enum err *ret)
{
	const struct store_new n = { .mode = S_IFREG | 0644 };
	struct store_file *f = NULL;
	struct store_attr a;

	*ret = store_make(st, &who, d, name, strlen(name), &n, &a, &f);
	return (f);
}

/* File ${i} with bytes of its own; the fifth shares those of the third. */
static void
make_file(struct store *st, uint64_t d, unsigned i)
{
	char name[8];
	enum err e;

	(void)snprintf(name, sizeof(name), "f%u", i);
	struct store_file *f = new_file(st, d, name, &e);

	HOLDS(e == OK);
	content[i] = malloc(size_of[i]);
	HOLDS(content[i] != NULL);
	for (size_t k = 0; k < size_of[i]; k++)
		content[i][k] = (uint8_t)(k * 7 + k / 251 + i * 31);
	if (i == 4)
		memcpy(content[i], content[2], size_of[i]);
	HOLDS(store_write(f, 0, content[i], size_of[i], 0) == OK);
	store_release(f);
}

static void
share(struct store *st, uint64_t from, uint64_t to)
{
	struct store_file *a, *b;
	uint64_t n;

	HOLDS(store_open(st, &who, from, &a) == OK);
	HOLDS(store_open(st, &who, to, &b) == OK);
	HOLDS(store_copy(a, 0, b, 0, SIZE_BIG - 9, &n) == OK);
	store_release(a);
	store_release(b);
}

static uint64_t
look(struct store *st, uint64_t d, const char *name)
{
	struct store_attr a = { 0 };

	HOLDS(store_lookup(st, d, name, strlen(name), &a) == OK);
	return (a.ino);
}

static void
fill(struct store *st)
{
	const struct store_new link = { .mode = S_IFLNK | 0777,
		.target = "to" };
	const struct store_new sub = { .mode = S_IFDIR | 0755 };
	struct store_attr a;
	uint64_t one, none;

	HOLDS(store_bucket_create(st, &who, "one", "KMS", 0, 0, 0755) == OK);
	HOLDS(store_bucket_create(st, &who, "none", "None", 0, 0, 0755) == OK);
	one = look(st, STORE_ROOT, "one");
	none = look(st, STORE_ROOT, "none");
	HOLDS(store_make(st, &who, one, "dir", 3, &sub, &a, NULL) == OK);
	make_file(st, one, 0);
	make_file(st, a.ino, 1);
	make_file(st, one, 2);
	make_file(st, one, 3);
	make_file(st, one, 4);
	make_file(st, none, 5);
	share(st, look(st, one, "f2"), look(st, one, "f4"));
	HOLDS(store_make(st, &who, one, "link", 4, &link, &a, NULL) == OK);
	HOLDS(store_xattr_set(st, look(st, one, "f0"), "user.a", "b", 1, 0) ==
	      OK);
	HOLDS(store_default_set(st, &who, one, "AES256") == OK);
}

/* Bytes that are the same again, in blocks that wait for their places. */
static void
wait_blocks(struct store *st)
{
	const uint64_t one = look(st, STORE_ROOT, "one");
	const uint64_t ino = look(st, look(st, one, "dir"), "f1");
	struct store_file *f;

	HOLDS(store_sync(st) == OK);
	HOLDS(store_open(st, &who, ino, &f) == OK);
	HOLDS(store_write(f, 0, content[1], 2 * BLOCK, 0) == OK);
	store_release(f);
	HOLDS(store_fsync(st, ino) == OK);
}

/* What is committed, in the database itself, which nobody has open any more. */
static void
bring_home(const char *name)
{
	char path[128];
	sqlite3 *h = NULL;

	path_of(name, path);
	HOLDS(sqlite3_open(path, &h) == SQLITE_OK);
	HOLDS(sqlite3_exec(h, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL,
		  NULL) == SQLITE_OK);
	HOLDS(sqlite3_close(h) == SQLITE_OK);
}

/* The store is closed, and its files are again as they are now: as a crash
 * leaves them. */
static void
close_killed(struct store *st)
{
	static const char *const names[] = { "meta.db", "meta.db-wal",
		"arena-0" };
	uint8_t *data[COUNTOF(names)];
	size_t len[COUNTOF(names)];
	char path[128];

	for (size_t i = 0; i < COUNTOF(names); i++) {
		path_of(names[i], path);
		HOLDS(sys_read_file(path, (size_t)1 << 26, &data[i], &len[i]) ==
		      OK);
	}
	HOLDS(store_close_dir(st) == OK);
	for (size_t i = 0; i < COUNTOF(names); i++) {
		path_of(names[i], path);
		HOLDS(sys_write_file(path, data[i], len[i], 0600, 0) == OK);
		free(data[i]);
	}
}

static void
setup(void)
{
	struct store_init in = { .dir = dir };
	char path[128];
	enum err e;

	if (good[0] != NULL)
		return;
	HOLDS(secret_init() == OK);
	log_to_syslog("fuzz");
	/* In memory where that is to be had: each input writes a store. */
	(void)snprintf(top, sizeof(top), "%s/ssefs-fuzz-rows-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	HOLDS(mkdtemp(top) != NULL && atexit(tidy) == 0);
	(void)snprintf(dir, sizeof(dir), "%s/s", top);
	HOLDS(store_create_dir(&in) == OK);
	struct store *st = store_now(false, &e);
	HOLDS(e == OK);
	fill(st);
	wait_blocks(st);
	close_killed(st);
	bring_home("meta.db");
	bring_home("keys.db");
	for (size_t i = 0; i < COUNTOF(kept); i++) {
		path_of(kept[i], path);
		HOLDS(sys_read_file(
			  path, (size_t)1 << 26, &good[i], &good_len[i]) == OK);
	}
}

/* Without its holes: an arena is mostly empty. */
static void
write_sparse(int fd, const uint8_t *p, size_t len)
{
	static const uint8_t zero[BLOCK];

	HOLDS(ftruncate(fd, (off_t)len) == 0);
	for (size_t at = 0, n; at < len; at += n) {
		n = len - at < BLOCK ? len - at : BLOCK;
		if (memcmp(p + at, zero, n) != 0)
			HOLDS(pwrite(fd, p + at, n, (off_t)at) == (ssize_t)n);
	}
}

/* The store as it was made. */
static void
restore(void)
{
	char path[128];

	for (size_t i = 0; i < COUNTOF(kept); i++) {
		path_of(kept[i], path);
		int fd CLEANUP_CLOSE =
		    open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		HOLDS(fd >= 0);
		write_sparse(fd, good[i], good_len[i]);
	}
	path_of("meta.db-wal", path);
	(void)unlink(path);
	path_of("keys.db-wal", path);
	(void)unlink(path);
}

/* ---- Edits -------------------------------------------------------------- */

static size_t
length(struct feed *f)
{
	static const size_t some[] = { 16, 48, 60, 96, 300, 4095, 4096, 20000 };
	const size_t n = (size_t)feed_int(f, 1);

	return (n < 248 ? n : some[n - 248]);
}

/* False: the value that stands there is to stay. */
static bool
bind(struct feed *f, sqlite3_stmt *st, int col)
{
	static uint8_t bytes[20000];
	size_t n;

	switch (feed_int(f, 1) % 7) {
	case 0:
		sqlite3_bind_int64(st, col, (int64_t)feed_int(f, 1));
		return (true);
	case 1:
		sqlite3_bind_int64(st, col, (int64_t)feed_int(f, 8));
		return (true);
	case 2:
		n = length(f);
		feed_bytes(f, bytes, n);
		sqlite3_bind_blob(st, col, bytes, (int)n, SQLITE_TRANSIENT);
		return (true);
	case 3:
		n = length(f);
		feed_bytes(f, bytes, n);
		sqlite3_bind_text(
		    st, col, (const char *)bytes, (int)n, SQLITE_TRANSIENT);
		return (true);
	case 4:
		sqlite3_bind_double(st, col, (double)feed_int(f, 2) / 8);
		return (true);
	case 5:
		sqlite3_bind_null(st, col);
		return (true);
	default:
		return (false);
	}
}

static int
columns(size_t t)
{
	int n = 0;

	while (n < 14 && tables[t].cols[n] != NULL)
		n++;
	return (n);
}

/* Row ${nth}'s columns as values; false when there is none. */
static bool
row_get(sqlite3 *h, size_t t, unsigned nth, sqlite3_stmt **ret)
{
	char sql[256];

	(void)snprintf(sql, sizeof(sql),
	    "SELECT * FROM %s ORDER BY 1, %d LIMIT 1 OFFSET"
	    " %u %% max(1, (SELECT count(*) FROM %s))",
	    tables[t].name, columns(t) > 1 ? 2 : 1, nth, tables[t].name);
	HOLDS(sqlite3_prepare_v2(h, sql, -1, ret, NULL) == SQLITE_OK);
	return (sqlite3_step(*ret) == SQLITE_ROW);
}

static void
row_delete(sqlite3 *h, size_t t, sqlite3_stmt *row)
{
	char sql[512];
	size_t n = (size_t)snprintf(
	    sql, sizeof(sql), "DELETE FROM %s WHERE 1", tables[t].name);
	sqlite3_stmt *st = NULL;

	for (int i = 0; i < columns(t); i++)
		n += (size_t)snprintf(sql + n, sizeof(sql) - n, " AND %s IS ?",
		    tables[t].cols[i]);
	HOLDS(sqlite3_prepare_v2(h, sql, -1, &st, NULL) == SQLITE_OK);
	for (int i = 0; i < columns(t); i++)
		sqlite3_bind_value(st, i + 1, sqlite3_column_value(row, i));
	HOLDS(sqlite3_step(st) == SQLITE_DONE);
	(void)sqlite3_finalize(st);
}

static void
record_mend(size_t t, uint8_t *p, size_t len)
{
	const size_t at = tables[t].record == 13 ? OBJ_HEAD - 4 : 4;

	if (t == RING) {
		if (len >= 4)
			put_u32(p + len - 4, crc32c(0, p, len - 4));
		return;
	}
	if (len >= at + 4)
		put_u32(
		    p + at, crc32c(crc32c(0, p, at), p + at + 4, len - at - 4));
}

/* One edit: the row is taken out and put in again, changed. */
static void
edit(struct feed *f, sqlite3 *h)
{
	const unsigned kind = (unsigned)feed_int(f, 1) % 5;
	const unsigned table = (unsigned)feed_int(f, 1);
	const size_t t = table >= 247 ? RING : table % RING;
	const unsigned nth = (unsigned)feed_int(f, 1);
	const int rec = tables[t].record;
	sqlite3_stmt *row = NULL, *other = NULL, *st = NULL;
	char sql[128];
	size_t n;

	n = (size_t)snprintf(sql, sizeof(sql),
	    "INSERT OR REPLACE INTO %s"
	    " VALUES(?",
	    tables[t].name);
	for (int i = 1; i < columns(t); i++)
		n += (size_t)snprintf(sql + n, sizeof(sql) - n, ",?");
	(void)snprintf(sql + n, sizeof(sql) - n, ")");
	HOLDS(sqlite3_prepare_v2(h, sql, -1, &st, NULL) == SQLITE_OK);
	const bool have = row_get(h, t, nth, &row);

	for (int i = 0; have && i < columns(t); i++)
		sqlite3_bind_value(st, i + 1, sqlite3_column_value(row, i));
	if (kind == 0) {
		const int col = (int)(feed_int(f, 1) % (unsigned)columns(t));

		(void)bind(f, st, col + 1);
	} else if (kind == 1) {
		for (int i = 0; i < columns(t); i++)
			(void)bind(f, st, i + 1);
	} else if (kind == 3 && have && rec >= 0) {
		const uint64_t bit = feed_int(f, 2);
		const size_t len = (size_t)sqlite3_column_bytes(row, rec);
		uint8_t *p CLEANUP_FREE =
		    exact(sqlite3_column_blob(row, rec), len);

		if (len > 0)
			p[bit / 8 % len] ^= (uint8_t)(1u << bit % 8);
		record_mend(t, p, len);
		sqlite3_bind_blob(st, rec + 1, p, (int)len, SQLITE_TRANSIENT);
	} else if (kind == 4 && rec >= 0 &&
		   row_get(h, t, (unsigned)feed_int(f, 1), &other)) {
		sqlite3_bind_value(
		    st, rec + 1, sqlite3_column_value(other, rec));
	}
	if (have && kind != 1)
		row_delete(h, t, row);
	/* What the table itself refuses is no row. */
	if (kind != 2 && (have || kind == 1))
		(void)sqlite3_step(st);
	(void)sqlite3_finalize(st);
	(void)sqlite3_finalize(row);
	(void)sqlite3_finalize(other);
}

static void
edits(struct feed *f)
{
	char path[128];
	sqlite3 *h = NULL;

	path_of("meta.db", path);
	HOLDS(sqlite3_open(path, &h) == SQLITE_OK);
	HOLDS(sqlite3_exec(h,
		  "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=OFF;"
		  "PRAGMA ignore_check_constraints=ON; BEGIN",
		  NULL, NULL, NULL) == SQLITE_OK);
	for (unsigned i = 0; i < EDITS && f->len > 0; i++)
		edit(f, h);
	HOLDS(sqlite3_exec(h, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	HOLDS(sqlite3_close(h) == SQLITE_OK);
}

/* ---- Looking ------------------------------------------------------------ */

struct walk {
	struct store *st;
	uint64_t dir[NAMES];
	unsigned n, ndirs;
};

/* Whatever a forged row says, encrypted bytes are those of a file. */
static void
read_all(struct store *st, const struct store_attr *a)
{
	static uint8_t buf[SIZE_BIG + BLOCK];
	struct store_file *f = NULL;
	size_t n = 0;
	uint64_t at;
	bool known = false;

	if (store_open(st, &who, a->ino, &f) != OK)
		return;
	(void)sane(store_seek(f, 0, true, &at));
	(void)sane(store_seek(f, 1, false, &at));
	if (store_read(f, 0, buf, sizeof(buf), &n) == OK &&
	    a->sse != SSE_NONE) {
		for (unsigned i = 0; i < FILES; i++)
			known = known || (n == size_of[i] &&
					     memcmp(buf, content[i], n) == 0);
		HOLDS(known && n == a->size);
	}
	store_release(f);
}

static void
on_xattr(void *arg, const char *name, size_t len)
{
	size_t *total = arg;

	HOLDS(strlen(name) == len && len > 0 && len <= STORE_XATTR_NAME_MAX);
	*total += len;
}

static void
look_at(struct store *st, const struct store_attr *a)
{
	static char text[STORE_SYMLINK_MAX + 1], dflt[STORE_DEFAULT_MAX];
	static uint8_t value[STORE_XATTR_MAX];
	struct store_attr b;
	struct store_sse sse;
	size_t n = 0;

	HOLDS(a->ino != 0 && a->ino <= INO_MAX);
	HOLDS(a->size <= STORE_SIZE_MAX);
	HOLDS((uint64_t)a->mtime.tv_nsec < 1000000000);
	if (store_getattr(st, a->ino, &b) == OK)
		HOLDS(b.mode == a->mode && b.size == a->size);
	if (store_readlink(st, a->ino, text) == OK)
		HOLDS(strlen(text) > 0 && strlen(text) <= STORE_SYMLINK_MAX);
	(void)sane(store_xattr_list(st, a->ino, on_xattr, &n));
	(void)sane(
	    store_xattr_get(st, a->ino, "user.a", value, sizeof(value), &n));
	if (store_default_get(st, a->ino, dflt) == OK)
		HOLDS(strlen(dflt) < STORE_DEFAULT_MAX);
	(void)sane(store_default_effective(st, a->ino, dflt));
	(void)sane(store_sse_get(st, a->ino, &sse));
	if (S_ISREG(a->mode))
		read_all(st, a);
}

static bool
on_name(void *arg, const struct store_dirent *e)
{
	struct walk *w = arg;

	HOLDS(strlen(e->name) == e->len && e->len > 0);
	HOLDS(e->len <= STORE_NAME_MAX && strchr(e->name, '/') == NULL);
	HOLDS(strcmp(e->name, ".") != 0 && strcmp(e->name, "..") != 0);
	if (w->n < NAMES)
		w->dir[w->n++] = e->attr.ino;
	return (w->n < NAMES);
}

static void
walk(struct store *st)
{
	struct walk w = { .st = st, .dir = { STORE_ROOT }, .n = 1 };
	struct store_attr a;
	uint64_t up;

	for (unsigned i = 0; i < w.n; i++) {
		if (store_getattr(st, w.dir[i], &a) != OK)
			continue;
		look_at(st, &a);
		if (!S_ISDIR(a.mode))
			continue;
		(void)sane(store_parent(st, a.ino, &up));
		(void)sane(store_readdir(
		    st, a.ino, NULL, 0, false, NAMES, i % 2 == 0, on_name, &w));
		(void)sane(store_lookup(st, a.ino, "f1", 2, &a));
	}
}

static void
change(struct store *st)
{
	struct store_attr a = { 0 };
	uint64_t d, gone;
	enum err e;
	bool last;

	if (store_bucket_find(st, "one", &d) != OK)
		return;
	struct store_file *f = new_file(st, d, "new", &e);
	if (e == OK) {
		(void)sane(store_write(f, 5000, "new bytes", 9, 0));
		(void)sane(store_fallocate(
		    f, STORE_FALLOC_PUNCH | STORE_FALLOC_KEEP_SIZE, 0, 4096));
		store_release(f);
	}
	if (store_lookup(st, d, "f4", 2, &a) == OK &&
	    store_open(st, &who, a.ino, &f) == OK) {
		(void)sane(store_write(f, BLOCK * 65, "over", 4, 0));
		store_release(f);
		a.size = 100;
		(void)sane(
		    store_setattr(st, &who, a.ino, STORE_SET_SIZE, &a, &a));
	}
	(void)sane(store_rename(st, d, "dir", 3, d, "dir2", 4, 0, &gone));
	if (store_unlink(st, d, "f2", 2, &gone, &last) == OK && last)
		store_reap(st, gone);
	(void)sane(store_rmdir(st, d, "dir2", 4, &gone));
	(void)sane(store_sync(st));
}

static void
limits(void)
{
	struct rusage u;

	HOLDS(getrusage(RUSAGE_SELF, &u) == 0);
	HOLDS(u.ru_maxrss < MEMORY_KIB);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const uint64_t flags = feed_int(&f, 1);
	const struct store_scrub_opts so = { .keys = (flags & 4) != 0,
		.who = &who };
	struct store_scrub_result sr;
	struct store_check_result cr;
	enum err e;

	setup();
	restore();
	edits(&f);
	struct store *st = store_now((flags & 1) != 0, &e);
	if (e == OK) {
		walk(st);
		if ((flags & 2) != 0)
			(void)sane(store_check(st, false, NULL, NULL, &cr));
		(void)sane(store_scrub(st, &so, &sr));
		if ((flags & 8) != 0)
			change(st);
		(void)sane(store_close_dir(st));
	}
	limits();
	return (0);
}
