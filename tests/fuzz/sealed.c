/*
 * A sealed database whose files an attacker wrote: what stands before its pages
 * (seal record, marks), pages, and of meta.db-log headers and frames; opened,
 * read, changed and brought home through SQLite and store/vfs_seal*.c.  What is
 * read is what was last made durable, or an error; where marks were damaged, what
 * was once committed, whole; only messages put in the place of others, and those
 * of somebody with the key, show anything else.
 *
 * Input: a byte of flags (1: for reading only), then edits: a byte that chooses
 * the kind and one for a place, which is 0 to 3 for the first 16 KiB, the seal
 * record, a mark, a header, from 128 on for a frame, else for a page; and
 *   0  two bytes for an offset there, one for a length, and bytes
 *   1  two bytes that choose a bit there
 *   2  two bytes: the file ends so many bytes after the start of the place
 *   3  a byte for the time and one for another place, whose message is put here
 *   4  two bytes for an offset, one for a length, and bytes of a text that is
 *      sealed by whoever has the key
 */
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/sys.h"
#include "store/store_internal.h"
#include "store/vfs_seal.h"

#include "tests/fuzz/fuzz.h"

#define MEMORY_KIB ((long)1 << 20)
#define EDITS 16u
#define ROWS 40
#define ROUNDS 3
#define TEXT_MAX FRAME_LEN

static const uint8_t uuid[UUID_LEN] = { 1, 2, 3, 4 };
static struct key *key;
static struct seal *seal;
static char dir[64];
static char path[2][sizeof(dir) + 16];

/* The files in two states: all at home, and as a crash leaves them. */
struct file {
	uint8_t *p;
	size_t len, room;
};
static struct file good[2][2];

/* ---- The database that is attacked --------------------------------------- */

static int
tidy_one(const char *p, const struct stat *sb UNUSED, int type UNUSED,
    struct FTW *f UNUSED)
{
	return (remove(p));
}

static void
tidy(void)
{
	seal_free(seal);
	key_free(key);
	(void)nftw(dir, tidy_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int
run(sqlite3 *c, const char *sql)
{
	return (sqlite3_exec(c, sql, NULL, NULL, NULL));
}

/* NULL when it cannot be opened for being damaged. */
static sqlite3 *
open_db(bool readonly)
{
	sqlite3 *c = NULL;
	int rc;

	HOLDS(vfs_seal_add(path[0], key, uuid) == OK);
	rc = sqlite3_open_v2(path[0], &c,
	    (readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
		SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
	    VFS_NAME);
	if (rc == SQLITE_OK)
		(void)sqlite3_db_config(
		    c, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = run(c,
		    "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
		    "PRAGMA temp_store=MEMORY; PRAGMA cache_size=12;"
		    "PRAGMA trusted_schema=OFF; SELECT count(*) FROM super");
	if (rc == SQLITE_OK && vfs_seal_check(path[0]) != OK)
		rc = SQLITE_CORRUPT;
	if (rc == SQLITE_OK)
		return (c);
	(void)sqlite3_close(c);
	vfs_seal_drop(path[0]);
	return (NULL);
}

static void
close_db(sqlite3 *c)
{
	HOLDS(sqlite3_close(c) == SQLITE_OK);
	vfs_seal_drop(path[0]);
}

/* One transaction that writes most pages. */
static int
commit(sqlite3 *c, int round)
{
	char sql[512];
	int rc;

	(void)snprintf(sql, sizeof(sql),
	    "BEGIN IMMEDIATE;"
	    "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM r"
	    " WHERE i<%d) INSERT OR REPLACE INTO xattr SELECT i*7%%%d,"
	    " CAST('name' AS BLOB), CAST(%d || ' ' || hex(zeroblob(400)) AS"
	    " BLOB) FROM r; COMMIT",
	    ROWS, ROWS, round);
	rc = run(c, sql);
	if (rc != SQLITE_OK)
		(void)run(c, "ROLLBACK");
	return (rc);
}

static int
bring_home(sqlite3 *c)
{
	return (sqlite3_wal_checkpoint_v2(
	    c, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

/* The round that all rows are of; -1: an error; -2: there never was this. */
static int
content(sqlite3 *c)
{
	sqlite3_stmt *s = NULL;
	int round = 0, rows = 0, rc;
	char zeros[800];

	memset(zeros, '0', sizeof(zeros));

	rc = sqlite3_prepare_v2(
	    c, "SELECT ino, value FROM xattr ORDER BY ino", -1, &s, NULL);
	if (rc != SQLITE_OK)
		return (-1);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW && rows <= ROWS) {
		const char *v = sqlite3_column_blob(s, 1);
		const int n = sqlite3_column_bytes(s, 1);
		const int is = v != NULL && n > 0 ? v[0] - '0' : 0;

		if (sqlite3_column_int(s, 0) != rows || n != 802 ||
		    v[1] != ' ' || memcmp(v + 2, zeros, 800) != 0 ||
		    (rows > 0 && is != round))
			round = -2;
		else
			round = is;
		rows++;
		if (round == -2)
			break;
	}
	(void)sqlite3_finalize(s);
	if (round == -2 || (rc == SQLITE_DONE && rows != ROWS))
		return (-2);
	return (rc == SQLITE_DONE ? round : -1);
}

static void
keep(struct file to[static 2])
{
	for (unsigned i = 0; i < 2; i++)
		HOLDS(sys_read_file(path[i], (size_t)1 << 26, &to[i].p,
			  &to[i].len) == OK);
}

static void
setup(void)
{
	if (good[0][0].p != NULL)
		return;
	HOLDS(secret_init() == OK);
	log_to_syslog("fuzz");
	(void)snprintf(dir, sizeof(dir), "%s/ssefs-fuzz-sealed-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	HOLDS(mkdtemp(dir) != NULL && atexit(tidy) == 0);
	(void)snprintf(path[0], sizeof(path[0]), "%s/meta.db", dir);
	(void)snprintf(path[1], sizeof(path[1]), "%s/meta.db-log", dir);
	key = key_new();
	HOLDS(key != NULL);
	memset(key->b, 7, sizeof(key->b));
	HOLDS(seal_new(key, uuid, &seal) == OK);
	HOLDS(db_create_sealed(path[0], uuid, key) == OK);
	sqlite3 *c = open_db(false);
	HOLDS(c != NULL && commit(c, 1) == SQLITE_OK);
	HOLDS(vfs_wal_sync(path[0]) == OK && bring_home(c) == SQLITE_OK);
	keep(good[0]);
	HOLDS(commit(c, 2) == SQLITE_OK && vfs_wal_sync(path[0]) == OK);
	HOLDS(bring_home(c) == SQLITE_OK);
	HOLDS(commit(c, 3) == SQLITE_OK && vfs_wal_sync(path[0]) == OK);
	keep(good[1]);
	close_db(c);
}

/* ---- Places ---------------------------------------------------------------- */

/* Where something stands, and the message that it is; no text: it is none. */
struct place {
	unsigned file;
	size_t off, text;
	enum seal_kind kind;
	uint64_t number;
};

/* Some more pages and frames than there are. */
static struct place
place_of(uint8_t b)
{
	const uint64_t pages =
	    (good[1][0].len - SEAL_FRONT) / SEAL_PAGESIZE + 2;
	const uint64_t frames = 64;
	uint64_t n;

	if (b >= 128) {
		n = (b - 128u) % frames;
		return ((struct place){ 1, WAL_FRONT + n * FRAME_LEN,
		    FRAME_LEN - SEAL_TRAILER, SEAL_FRAME, n + 1 });
	}
	if (b >= 16) {
		n = (b - 16u) % pages;
		return ((struct place){ 0, SEAL_FRONT + n * SEAL_PAGESIZE,
		    SEAL_PAGESIZE - SEAL_TRAILER, SEAL_PAGE, n + 1 });
	}
	n = b / 4u;
	switch (b % 4) {
	case 0:
		return ((struct place){ 0, n * 4096, 0, SEAL_PAGE, 0 });
	case 1:
		return ((struct place){ 0, SEAL_RECORD, 0, SEAL_PAGE, 0 });
	case 2:
		n %= 3;
		return ((struct place){ 0, SEAL_MARKS + n * SEAL_STEP,
		    SEAL_MARKLEN, SEAL_MARK, n });
	default:
		n %= 2;
		return ((struct place){
		    1, n * SEAL_STEP, 8 + WAL_HDR, SEAL_WAL, n });
	}
}

/* ---- Edits ------------------------------------------------------------------ */

/* Bytes of the file, which grows up to its room. */
static void
put(struct file *f, size_t off, const void *p, size_t n)
{
	if (off + n > f->room)
		return;
	memcpy(f->p + off, p, n);
	f->len = off + n > f->len ? off + n : f->len;
}

static void
move(struct feed *f, struct file now[static 2], const struct place *to)
{
	const struct file *const old = good[feed_int(f, 1) % 2];
	const struct place from = place_of((uint8_t)feed_int(f, 1));
	const size_t want = to->text == 0 ? 4096 : to->text + SEAL_TRAILER;
	const struct file *const o = &old[from.file];
	const size_t left = from.off < o->len ? o->len - from.off : 0;

	put(&now[to->file], to->off, o->p + (left == 0 ? 0 : from.off),
	    want < left ? want : left);
}

/* What is there, with other bytes, under the key. */
static void
forge(struct feed *f, struct file now[static 2], const struct place *at)
{
	static uint8_t text[TEXT_MAX], msg[TEXT_MAX + SEAL_TRAILER];
	const struct file *const o = &now[at->file];
	const size_t off = (size_t)feed_int(f, 2);
	const size_t n = (size_t)feed_int(f, 1);
	uint8_t bytes[256];

	feed_bytes(f, bytes, n);
	if (at->text == 0)
		return;
	memset(text, 0, sizeof(text));
	if (at->off + at->text + SEAL_TRAILER <= o->len) {
		const enum err e = seal_get(
		    seal, at->kind, at->number, o->p + at->off, at->text, text);

		HOLDS(e == OK || e == ERR_AUTH);
	}
	for (size_t i = 0; i < n; i++)
		text[(off + i) % at->text] = bytes[i];
	HOLDS(seal_put(seal, at->kind, at->number, text, at->text, msg) == OK);
	put(&now[at->file], at->off, msg, at->text + SEAL_TRAILER);
}

/* What edits allow: anything; the state of an earlier commit. */
#define MOVED 1u
#define MARKED 2u

/* Are there marks from ${off} on? */
static unsigned
marks_at(const struct place *at, size_t off, size_t n)
{
	return (at->file == 0 && off < SEAL_FRONT && off + n > SEAL_MARKS
		    ? MARKED
		    : 0);
}

static unsigned
edit(struct feed *f, struct file now[static 2])
{
	const unsigned kind = (unsigned)feed_int(f, 1) % 5;
	const struct place at = place_of((uint8_t)feed_int(f, 1));
	struct file *const o = &now[at.file];
	uint8_t bytes[256];
	size_t off, n;

	switch (kind) {
	case 0:
		off = at.off + (size_t)feed_int(f, 2);
		n = (size_t)feed_int(f, 1);
		feed_bytes(f, bytes, n);
		put(o, off, bytes, n);
		return (marks_at(&at, off, n));
	case 1:
		n = (size_t)feed_int(f, 2);
		off = at.off + n / 8;
		if (off < o->len)
			o->p[off] ^= (uint8_t)(1u << n % 8);
		return (marks_at(&at, off, 1));
	case 2:
		n = at.off + (size_t)feed_int(f, 2);
		if (n > o->len && n <= o->room)
			memset(o->p + o->len, 0, n - o->len);
		o->len = n <= o->room ? n : o->room;
		return (marks_at(&at, n, o->room));
	case 3:
		move(f, now, &at);
		return (MOVED);
	default:
		forge(f, now, &at);
		return (MOVED);
	}
}

static void
write_files(const struct file now[static 2])
{
	for (unsigned i = 0; i < 2; i++)
		HOLDS(sys_write_file(path[i], now[i].p, now[i].len, 0600, 0) ==
		      OK);
}

static unsigned
edits(struct feed *f)
{
	static struct file now[2];
	unsigned hit = 0;

	for (unsigned i = 0; i < 2; i++) {
		if (now[i].p == NULL) {
			now[i].room = good[1][i].len + 100000;
			now[i].p = malloc(now[i].room);
		}
		HOLDS(now[i].p != NULL);
		now[i].len = good[1][i].len;
		memcpy(now[i].p, good[1][i].p, now[i].len);
	}
	for (unsigned i = 0; i < EDITS && f->len > 0; i++)
		hit |= edit(f, now);
	write_files(now);
	return (hit);
}

/* ---- Looking ---------------------------------------------------------------- */

static void
limits(void)
{
	struct rusage u;

	HOLDS(getrusage(RUSAGE_SELF, &u) == 0);
	HOLDS(u.ru_maxrss < MEMORY_KIB);
}

/* It goes on, or says why not; what went home is there when it is opened. */
static void
go_on(sqlite3 *c, unsigned hit)
{
	if (commit(c, ROUNDS + 1) != SQLITE_OK || vfs_wal_sync(path[0]) != OK ||
	    bring_home(c) != SQLITE_OK) {
		close_db(c);
		return;
	}
	const int now = content(c);

	HOLDS((hit & MOVED) != 0 || now == ROUNDS + 1 || now == -1);
	close_db(c);
	c = open_db(true);
	if (c == NULL)
		return;
	const int then = content(c);
	HOLDS((hit & MOVED) != 0 || then == ROUNDS + 1 || then == -1);
	close_db(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const bool readonly = (feed_int(&f, 1) & 1) != 0;
	uint8_t id[UUID_LEN];
	bool sealed = false;
	enum err e;

	setup();
	const unsigned hit = edits(&f);
	e = vfs_seal_look(path[0], &sealed, id);
	HOLDS(e == OK || (e == ERR_CORRUPT && sealed));
	sqlite3 *c = open_db(readonly);
	if (c != NULL) {
		const int round = content(c);

		HOLDS((hit & MOVED) != 0 || round == -1 || round == ROUNDS ||
		      ((hit & MARKED) != 0 && round > 0 && round < ROUNDS));
		(void)run(c, "PRAGMA integrity_check(5)");
		if (readonly)
			close_db(c);
		else
			go_on(c, hit);
	}
	limits();
	return (0);
}
