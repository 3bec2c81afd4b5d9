/*
 * Where the audit log stands, as somebody without the keystore's key wrote it: the
 * head and the settings in table meta, the rows of segments, the log's files.  The
 * keystore opens or says why not, goes on writing and rotating, and verification
 * ends and tells of every byte of the log or the head that is another one.
 *
 * Input: a byte of flags (1: a key is made; 2: the log is rotated), then edits, a
 * byte that chooses the kind and
 *   0  where in the head, a length, and bytes
 *   1  a value for the head
 *   2  a row of audit_segments, a column, and a value
 *   3  a row of audit_segments that goes, or (from 128 on) one more, with a value
 *      for each column
 *   4  a setting and a value
 *   5  a file of the log, and what is done: 0 two bytes that choose a bit, 1 two
 *      bytes that are its length, 2 a length and bytes at its end, 3 it goes,
 *      4 another one that is put there
 * A value is a type and a number, or a length and bytes.
 */
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kms/audit.h"
#include "kms/kms.h"
#include "lib/base/codec.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"

#include "tests/fuzz/fuzz.h"

#define MEMORY_KIB ((long)1 << 20)
#define EDITS 12u
#define HEAD_LEN 168
#define SEGMENTS 3
#define FILES (SEGMENTS + 1) /* of the log, and the keystore */
#define LENGTH_MAX ((off_t)8 << 20)

static const struct kms_who who = { .user = "root", .agent = "fuzz" };
static const char *const columns[] = { "n", "first", "started", "ended", "size",
	"kept", "public", "signature", "sealed" };
static const char *const settings[] = { "audit_sync", "audit_segment",
	"audit_days", "audit_bytes" };

static char dir[64];
static char path[FILES][sizeof(dir) + 32];
#define KEYS path[SEGMENTS]
static uint8_t *good[FILES];
static size_t good_len[FILES];
static uint8_t good_head[HEAD_LEN];

/* What an input has changed. */
struct hit {
	bool head, log, rows;
};

/* ---- The keystore that is attacked ------------------------------------------ */

static int
tidy_one(const char *p, const struct stat *sb UNUSED, int type UNUSED,
    struct FTW *f UNUSED)
{
	return (remove(p));
}

static void
tidy(void)
{
	(void)nftw(dir, tidy_one, 8, FTW_DEPTH | FTW_PHYS);
}

static sqlite3 *
edit_open(void)
{
	sqlite3 *h = NULL;

	HOLDS(sqlite3_open(KEYS, &h) == SQLITE_OK);
	HOLDS(sqlite3_exec(h,
		  "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=OFF;"
		  "PRAGMA ignore_check_constraints=ON",
		  NULL, NULL, NULL) == SQLITE_OK);
	return (h);
}

/* What is committed stands in the database itself. */
static void
edit_close(sqlite3 *h)
{
	HOLDS(sqlite3_exec(h, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL,
		  NULL) == SQLITE_OK);
	HOLDS(sqlite3_close(h) == SQLITE_OK);
}

/* The head's bytes, those beyond the value are zero. */
static void
head_get(sqlite3 *h, uint8_t ret[static HEAD_LEN], int *ret_len)
{
	sqlite3_stmt *st = NULL;

	memset(ret, 0, HEAD_LEN);
	HOLDS(sqlite3_prepare_v2(h, "SELECT v FROM meta WHERE k='audit'", -1,
		  &st, NULL) == SQLITE_OK);
	HOLDS(sqlite3_step(st) == SQLITE_ROW);
	*ret_len = sqlite3_column_bytes(st, 0);
	const void *p = sqlite3_column_blob(st, 0);
	if (p != NULL)
		memcpy(
		    ret, p, *ret_len < HEAD_LEN ? (size_t)*ret_len : HEAD_LEN);
	(void)sqlite3_finalize(st);
}

static void
fill(void)
{
	struct kms *k = NULL;

	HOLDS(kms_open(KEYS, NULL, &k) == OK);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		struct kms_desc d;

		HOLDS(kms_key_create(k, &who, "", &d) == OK);
		HOLDS(kms_key_disable(k, &who, d.arn) == OK);
		if (i + 1 < SEGMENTS)
			HOLDS(audit_rotate(k, &who) == OK);
	}
	kms_close(k);
}

static void
setup(void)
{
	static char key[sizeof(dir) + 16];
	const struct kms_root root = { .kind = KMS_ROOT_FILE, .path = key };
	int len;

	if (good[0] != NULL)
		return;
	HOLDS(secret_init() == OK);
	log_to_syslog("fuzz");
	(void)snprintf(dir, sizeof(dir), "%s/ssefs-fuzz-head-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	HOLDS(mkdtemp(dir) != NULL && atexit(tidy) == 0);
	(void)snprintf(key, sizeof(key), "%s/key", dir);
	(void)snprintf(KEYS, sizeof(KEYS), "%s/keys.db", dir);
	for (unsigned i = 0; i < SEGMENTS; i++)
		(void)snprintf(path[i], sizeof(path[i]),
		    i == 0 ? "%s/keys.db-audit.log" : "%s/keys.db-audit.log.%u",
		    dir, i + 1);
	HOLDS(kms_create_store(KEYS, &root, NULL) == OK);
	fill();
	sqlite3 *h = edit_open();
	head_get(h, good_head, &len);
	HOLDS(len == HEAD_LEN);
	edit_close(h);
	for (unsigned i = 0; i < FILES; i++)
		HOLDS(sys_read_file(path[i], (size_t)1 << 24, &good[i],
			  &good_len[i]) == OK);
}

static void
write_to(const char *to, const uint8_t *p, size_t len)
{
	int fd CLEANUP_CLOSE =
	    open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	HOLDS(fd >= 0 && write(fd, p, len) == (ssize_t)len);
}

static void
restore(void)
{
	char name[sizeof(dir) + 32];

	for (unsigned i = 0; i < FILES; i++)
		write_to(path[i], good[i], good_len[i]);
	(void)snprintf(name, sizeof(name), "%s/keys.db-wal", dir);
	(void)unlink(name);
	for (unsigned i = SEGMENTS + 1; i < SEGMENTS + 20; i++) {
		(void)snprintf(
		    name, sizeof(name), "%s/keys.db-audit.log.%u", dir, i);
		(void)unlink(name);
	}
}

/* ---- Edits -------------------------------------------------------------------- */

static void
bind(struct feed *f, sqlite3_stmt *st, int col)
{
	static const size_t some[] = { 32, 48, 64, 60, 167, 168, 169, 3000 };
	static uint8_t bytes[3000];
	size_t n;

	switch (feed_int(f, 1) % 6) {
	case 0:
		sqlite3_bind_int64(st, col, (int64_t)feed_int(f, 1));
		break;
	case 1:
		sqlite3_bind_int64(st, col, (int64_t)feed_int(f, 8));
		break;
	case 2:
	case 3:
		n = (size_t)feed_int(f, 1);
		n = n < 248 ? n : some[n - 248];
		feed_bytes(f, bytes, n);
		sqlite3_bind_blob(st, col, bytes, (int)n, SQLITE_TRANSIENT);
		break;
	case 4:
		n = (size_t)feed_int(f, 1);
		feed_bytes(f, bytes, n);
		sqlite3_bind_text(
		    st, col, (const char *)bytes, (int)n, SQLITE_TRANSIENT);
		break;
	default:
		sqlite3_bind_null(st, col);
		break;
	}
}

/* What a table refuses is left out. */
static void
change(struct feed *f, sqlite3 *h, const char *sql, int values)
{
	sqlite3_stmt *st = NULL;

	HOLDS(sqlite3_prepare_v2(h, sql, -1, &st, NULL) == SQLITE_OK);
	for (int i = 1; i <= values; i++)
		bind(f, st, i);
	(void)sqlite3_step(st);
	(void)sqlite3_finalize(st);
}

static void
head_bytes(struct feed *f, sqlite3 *h)
{
	uint8_t raw[HEAD_LEN], bytes[256];
	sqlite3_stmt *st = NULL;
	int len;

	head_get(h, raw, &len);
	const size_t at = (size_t)feed_int(f, 1);
	const size_t n = (size_t)feed_int(f, 1);
	feed_bytes(f, bytes, n);
	for (size_t i = 0; i < n; i++)
		raw[(at + i) % HEAD_LEN] = bytes[i];
	HOLDS(sqlite3_prepare_v2(h, "UPDATE meta SET v=? WHERE k='audit'", -1,
		  &st, NULL) == SQLITE_OK);
	sqlite3_bind_blob(st, 1, raw, HEAD_LEN, SQLITE_TRANSIENT);
	HOLDS(sqlite3_step(st) == SQLITE_DONE);
	(void)sqlite3_finalize(st);
}

static void
file_edit(struct feed *f)
{
	const unsigned i = (unsigned)feed_int(f, 1) % SEGMENTS;
	uint8_t *p CLEANUP_FREE = NULL;
	uint8_t bytes[256];
	size_t len = 0, n;

	if (sys_read_file(path[i], (size_t)1 << 24, &p, &len) != OK)
		return;
	switch (feed_int(f, 1) % 5) {
	case 0:
		n = (size_t)feed_int(f, 2);
		if (n / 8 < len)
			p[n / 8] ^= (uint8_t)(1u << n % 8);
		write_to(path[i], p, len);
		break;
	case 1:
		HOLDS(truncate(path[i], (off_t)feed_int(f, 2)) == 0);
		break;
	case 2: {
		int fd CLEANUP_CLOSE =
		    open(path[i], O_WRONLY | O_APPEND | O_CLOEXEC);

		n = (size_t)feed_int(f, 1);
		feed_bytes(f, bytes, n);
		HOLDS(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
		break;
	}
	case 3:
		HOLDS(unlink(path[i]) == 0);
		break;
	default:
		n = (size_t)feed_int(f, 1) % SEGMENTS;
		write_to(path[i], good[n], good_len[n]);
		break;
	}
}

static void
edit(struct feed *f, sqlite3 *h)
{
	char sql[128];
	unsigned n;

	switch (feed_int(f, 1) % 6) {
	case 0:
		head_bytes(f, h);
		break;
	case 1:
		change(f, h, "UPDATE meta SET v=? WHERE k='audit'", 1);
		break;
	case 2:
		n = (unsigned)feed_int(f, 1) % (SEGMENTS + 1);
		(void)snprintf(sql, sizeof(sql),
		    "UPDATE audit_segments SET %s=? WHERE n=%u",
		    columns[feed_int(f, 1) % COUNTOF(columns)], n);
		change(f, h, sql, 1);
		break;
	case 3:
		n = (unsigned)feed_int(f, 1);
		(void)snprintf(sql, sizeof(sql),
		    "DELETE FROM audit_segments WHERE n=%u",
		    n % (SEGMENTS + 1));
		if (n >= 128)
			change(f, h,
			    "INSERT OR REPLACE INTO audit_segments"
			    " VALUES(?,?,?,?,?,?,?,?,?)",
			    9);
		else
			change(f, h, sql, 0);
		break;
	case 4:
		(void)snprintf(sql, sizeof(sql),
		    "INSERT OR REPLACE INTO meta VALUES('%s', ?)",
		    settings[feed_int(f, 1) % COUNTOF(settings)]);
		change(f, h, sql, 1);
		break;
	default:
		file_edit(f);
		break;
	}
}

/* Is the file no more what it was, or longer? */
static bool
log_hit(unsigned i)
{
	uint8_t *p CLEANUP_FREE = NULL;
	size_t len = 0;

	return (sys_read_file(path[i], (size_t)1 << 24, &p, &len) != OK ||
		len < good_len[i] || memcmp(p, good[i], good_len[i]) != 0);
}

static struct hit
edits(struct feed *f)
{
	struct hit hit = { false };
	sqlite3 *h = edit_open();
	uint8_t head[HEAD_LEN];
	int len, before;

	before = sqlite3_total_changes(h);
	for (unsigned i = 0; i < EDITS && f->len > 0; i++)
		edit(f, h);
	hit.rows = sqlite3_total_changes(h) != before;
	head_get(h, head, &len);
	hit.head = len != HEAD_LEN || memcmp(head, good_head, HEAD_LEN) != 0;
	edit_close(h);
	for (unsigned i = 0; i < SEGMENTS; i++)
		hit.log = hit.log || log_hit(i);
	return (hit);
}

/* ---- Looking -------------------------------------------------------------------- */

/* Errors are many; one says that we ourselves are wrong. */
static bool
sane(enum err e)
{
	HOLDS(e != ERR_INTERNAL && e < ERR_COUNT_);
	return (e == OK);
}

static void
bad(void *arg, uint64_t seq UNUSED, const char *file, const char *what)
{
	unsigned *n = arg;

	HOLDS(file != NULL && what[0] != '\0');
	++*n;
}

static void
verify(struct kms *k, bool must)
{
	struct audit_verdict v;
	unsigned n = 0;

	if (!sane(audit_verify(k, bad, &n, &v)))
		return;
	HOLDS(v.bad == n);
	HOLDS(!must || n > 0);
}

static int
look_one(const char *p, const struct stat *sb, int type, struct FTW *f UNUSED)
{
	HOLDS(type != FTW_F || sb->st_size < LENGTH_MAX ||
	      strstr(p, ".log") == NULL);
	return (0);
}

static void
limits(void)
{
	struct rusage u;

	HOLDS(nftw(dir, look_one, 8, FTW_PHYS) == 0);
	HOLDS(getrusage(RUSAGE_SELF, &u) == 0);
	HOLDS(u.ru_maxrss < MEMORY_KIB);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const uint64_t flags = feed_int(&f, 1);
	struct kms *k = NULL;
	struct kms_desc d;

	setup();
	restore();
	const struct hit hit = edits(&f);
	const bool told = hit.head || hit.log;

	if (sane(kms_open(KEYS, NULL, &k))) {
		verify(k, told);
		if ((flags & 1) != 0) {
			(void)sane(kms_key_create(k, &who, "", &d));
			verify(k, told);
		}
		if ((flags & 2) != 0) {
			(void)sane(audit_rotate(k, &who));
			/* By rows and settings of others, what is old goes. */
			verify(k, told && !hit.rows);
		}
		kms_close(k);
	}
	limits();
	return (0);
}
