/*
 * The audit log over its segments: rotation, checkpoints, removal, settings,
 * and what is found with the keystore and without.
 */
#include "tests/unit/kms_common.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/sys.h"

static void
segment_path(const struct place *p, unsigned n, char ret[static 192])
{
	if (n == 1)
		(void)snprintf(ret, 192, "%s-audit.log", p->path);
	else
		(void)snprintf(ret, 192, "%s-audit.log.%u", p->path, n);
}

static void
sql(const struct place *p, const char *text)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void PRINTF(1, 2) shell(const char *fmt, ...)
{
	char cmd[600];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	assert_int_equal(system(cmd), 0);
}

static void
calls(struct kms *k, unsigned n)
{
	struct sample s;

	for (unsigned i = 0; i < n; i++) {
		sample_make(k, NULL, &s);
		key_free(s.dek);
	}
}

/* Three segments of ten records or so. */
static void
fill(const struct place *p)
{
	struct kms *k = place_open(p);

	for (unsigned i = 0; i < 3; i++) {
		calls(k, 8);
		if (i < 2)
			assert_ok(audit_rotate(k, &root_user));
	}
	kms_close(k);
}

struct findings {
	unsigned n;
	uint64_t seq[16];
	char file[16][64];
};

static void
found(void *arg, uint64_t seq, const char *file, const char *what)
{
	struct findings *f = arg;

	assert_true(strlen(what) > 0);
	if (f->n < 16) {
		f->seq[f->n] = seq;
		(void)snprintf(f->file[f->n], sizeof(f->file[0]), "%s",
		    strrchr(file, '/') + 1);
	}
	f->n++;
}

static struct audit_verdict
verify(const struct place *p, struct findings *f)
{
	struct kms *k = place_open(p);
	struct findings none;
	struct audit_verdict v;

	f = f == NULL ? &none : f;
	f->n = 0;
	assert_ok(audit_verify(k, found, f, &v));
	assert_int_equal(v.bad, f->n);
	kms_close(k);
	return v;
}

/* ---- Without the keystore ------------------------------------------------- */

static void
add_key(void *arg, const char *line)
{
	assert_ok(buf_printf(arg, "%s\n", line));
}

static void
keys_of(const struct place *p, struct buf *ret)
{
	struct kms *k = place_open(p);

	buf_init(ret, 1 << 20);
	assert_ok(audit_keys(k, add_key, ret));
	kms_close(k);
}

static struct audit_verdict
outside(const struct place *p, const struct buf *keys, size_t len,
    unsigned from, unsigned to)
{
	const char *files[8];
	char paths[8][192];
	struct audit_verdict v;
	struct findings f = { .n = 0 };

	for (unsigned i = from; i <= to; i++) {
		segment_path(p, i, paths[i - from]);
		files[i - from] = paths[i - from];
	}
	assert_ok(audit_verify_files(
	    (const char *)keys->p, len, files, to - from + 1, found, &f, &v));
	return v;
}

static void
test_outside(void **state)
{
	const struct place *p = *state;
	struct buf keys;
	struct audit_verdict v;
	const char *first;
	size_t len;

	fill(p);
	keys_of(p, &keys);
	v = outside(p, &keys, keys.len, 1, 3);
	assert_int_equal(v.bad, 0);
	assert_int_equal(v.segments, 3);
	assert_int_equal(v.unsigned_, 0);
	assert_int_equal(v.records, verify(p, NULL).records);
	/* The first key vouches for the others through the log. */
	first = (const char *)keys.p;
	len = (size_t)(strchr(first, '\n') - first);
	assert_int_equal(outside(p, &keys, len, 1, 3).bad, 0);
	assert_int_not_equal(outside(p, &keys, len, 2, 3).bad, 0);
	/* With the later keys a part of the log will do. */
	v = outside(p, &keys, keys.len, 2, 3);
	assert_int_equal(v.bad, 0);
	assert_true(v.first > 1);
	/* A key that the first did not sign. */
	keys.p[keys.len - 3] = keys.p[keys.len - 3] == '0' ? '1' : '0';
	assert_int_equal(audit_verify_files((const char *)keys.p, keys.len,
			     NULL, 0, NULL, NULL, &v),
	    ERR_AUTH);
	assert_int_equal(
	    audit_verify_files("nonsense\n", 9, NULL, 0, NULL, NULL, &v),
	    ERR_PARSE);
	buf_release(&keys);
}

/* Any byte of any line, found by the checkpoints alone. */
static void
test_outside_changed(void **state)
{
	const struct place *p = *state;
	struct buf keys;
	uint8_t *text = NULL;
	char path[192];
	size_t len = 0;
	FILE *f;

	fill(p);
	keys_of(p, &keys);
	segment_path(p, 2, path);
	assert_ok(sys_read_file(path, 1 << 20, &text, &len));
	for (size_t i = 0; i < len; i += 61) {
		text[i] ^= 1;
		f = fopen(path, "wb");
		assert_int_equal(fwrite(text, 1, len, f), len);
		assert_int_equal(fclose(f), 0);
		assert_int_not_equal(outside(p, &keys, keys.len, 1, 3).bad, 0);
		text[i] ^= 1;
	}
	free(text);
	buf_release(&keys);
}

/* ---- Rotation --------------------------------------------------------------- */

struct count {
	uint64_t n, last;
};

static bool
count_line(void *arg, const char *line, size_t len UNUSED)
{
	struct count *c = arg;

	assert_int_equal(strncmp(line, "{\"seq\":", 7), 0);
	assert_int_equal(strtoull(line + 7, NULL, 10), c->last + 1);
	c->last++;
	c->n++;
	return true;
}

static void
test_rotate(void **state)
{
	const struct place *p = *state;
	struct audit_verdict v;
	struct count c = { 0, 0 };
	struct kms *k;

	fill(p);
	v = verify(p, NULL);
	assert_int_equal(v.bad, 0);
	assert_int_equal(v.segments, 3);
	k = place_open(p);
	assert_ok(audit_show(k, 0, count_line, &c));
	assert_int_equal(c.n, v.records);
	kms_close(k);
	/* The keys of what has ended are gone. */
	sql(p, "CREATE TEMP TABLE t(x CHECK(x = 1));"
	       "INSERT INTO t SELECT count(*) FROM audit_segments"
	       " WHERE length(sealed) > 0");
}

static void
test_by_size(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_open(p);
	struct audit_settings s;
	struct audit_verdict v;

	audit_settings_get(k, &s);
	assert_int_equal(s.segment, 64 << 20);
	s.segment = AUDIT_SEGMENT_MIN - 1;
	assert_int_equal(audit_settings_set(k, &root_user, &s), ERR_INVAL);
	s.segment = AUDIT_SEGMENT_MIN;
	assert_ok(audit_settings_set(k, &root_user, &s));
	for (unsigned i = 0; i < 30; i++) {
		calls(k, 10);
		assert_ok(kms_flush(k));
	}
	kms_close(k);
	v = verify(p, NULL);
	assert_int_equal(v.bad, 0);
	assert_true(v.segments > 3);
}

static void
test_keep(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_open(p);
	struct audit_settings s;
	struct audit_verdict v;
	struct findings f;
	struct buf keys;
	char path[192];
	struct timespec t;

	fill(p);
	audit_settings_get(k, &s);
	s.keep_days = 7;
	assert_ok(audit_settings_set(k, &root_user, &s));
	assert_ok(audit_rotate(k, &root_user));
	assert_int_equal(verify(p, NULL).first, 1);
	/* Nothing of it is young enough in eight days. */
	t = clock_wall();
	t.tv_sec += (time_t)8 * 86400;
	clock_freeze(&t);
	assert_ok(audit_rotate(k, &root_user));
	calls(k, 1);
	clock_freeze(NULL);
	kms_close(k);
	v = verify(p, NULL);
	assert_int_equal(v.bad, 0);
	assert_true(v.first > 20);
	for (unsigned i = 1; i <= 3; i++) {
		segment_path(p, i, path);
		assert_int_equal(access(path, F_OK), -1);
	}
	keys_of(p, &keys);
	assert_int_equal(outside(p, &keys, keys.len, 5, 5).bad, 0);
	buf_release(&keys);
	/* Whoever removes one more is found out. */
	segment_path(p, 5, path);
	assert_int_equal(unlink(path), 0);
	assert_int_not_equal(verify(p, &f).bad, 0);
	assert_string_equal(f.file[0], "keys.db-audit.log.5");
}

/* A process that is killed at any moment, with rotation all the time. */
static void
write_on(const struct place *p)
{
	struct kms *k = NULL;
	struct sample s;

	if (kms_open(p->path, NULL, &k) != OK)
		_exit(1);
	for (;;) {
		s.dek = key_new();
		if (kms_data_key(k, &root_user, NULL, some_ctx, 2, s.dek,
			s.blob, &s.len, s.arn) != OK ||
		    kms_flush(k) != OK || audit_rotate(k, &root_user) != OK)
			_exit(2);
		key_free(s.dek);
	}
}

static void
test_killed(void **state)
{
	const struct place *p = *state;
	struct audit_verdict v;
	struct buf keys;

	log_set_level(LOG_LVL_ERROR);
	for (unsigned i = 0; i < 20; i++) {
		struct timespec t = { .tv_nsec = 3000000 + 1700000 * (long)i };
		const pid_t a = fork();
		int status = 0;

		if (a == 0)
			write_on(p);
		(void)nanosleep(&t, NULL);
		assert_int_equal(kill(a, SIGKILL), 0);
		assert_int_equal(waitpid(a, &status, 0), a);
		assert_true(WIFSIGNALED(status));
		v = verify(p, NULL);
		assert_int_equal(v.bad, 0);
	}
	keys_of(p, &keys);
	buf_release(&keys);
}

/* Two processes, each rotating under the other. */
static void *
some(void *arg)
{
	struct kms *k = arg;

	for (unsigned i = 0; i < 20; i++) {
		calls(k, 5);
		assert_ok(kms_flush(k));
		if (i % 4 == 0)
			assert_ok(audit_rotate(k, &root_user));
	}
	return NULL;
}

static void
test_together(void **state)
{
	const struct place *p = *state;
	const pid_t pid = fork();
	struct kms *k = NULL;
	pthread_t t[2];
	int status = -1;

	if (kms_open(p->path, NULL, &k) != OK)
		_exit(1);
	for (unsigned i = 0; i < COUNTOF(t); i++)
		if (pthread_create(&t[i], NULL, some, k) != 0)
			_exit(2);
	for (unsigned i = 0; i < COUNTOF(t); i++)
		(void)pthread_join(t[i], NULL);
	kms_close(k);
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(verify(p, NULL).bad, 0);
	assert_true(verify(p, NULL).records >= 400 + 20 + 1);
}

/* Another process begins a new segment, and is killed before it makes the file,
 * after this one has read where the log ends. */
static int go[2];
static pid_t rotator;

static bool
ends_with(const char *s, const char *tail)
{
	const size_t len = strlen(s), n = strlen(tail);

	return len >= n && strcmp(s + len - n, tail) == 0;
}

static int
open_killed(const char *path, int flags, mode_t mode)
{
	if (ends_with(path, "-audit.log.2"))
		_exit(0);
	return sys_linux.open(path, flags, mode);
}

static int
open_after(const char *path, int flags, mode_t mode)
{
	int status = -1;

	if (rotator != 0 && ends_with(path, "-audit.log")) {
		assert_int_equal(write(go[1], "", 1), 1);
		assert_int_equal(waitpid(rotator, &status, 0), rotator);
		assert_int_equal(status, 0);
		rotator = 0;
	}
	return sys_linux.open(path, flags, mode);
}

static void
rotate_and_die(const struct place *p)
{
	struct sys_ops ops = sys_linux;
	struct kms *k = NULL;
	char c;

	ops.open = open_killed;
	if (kms_open(p->path, NULL, &k) != OK || read(go[0], &c, 1) != 1)
		_exit(1);
	sys_install(&ops);
	_exit(audit_rotate(k, &root_user) == OK ? 2 : 3);
}

static void
test_opened_meanwhile(void **state)
{
	const struct place *p = *state;
	struct sys_ops ops = sys_linux;
	struct kms *k = place_open(p);

	calls(k, 8);
	kms_close(k);
	assert_int_equal(pipe(go), 0);
	rotator = fork();
	if (rotator == 0)
		rotate_and_die(p);
	ops.open = open_after;
	sys_install(&ops);
	k = place_open(p);
	sys_install(&sys_linux);
	assert_int_equal(rotator, 0);
	calls(k, 8);
	kms_close(k);
	assert_int_equal(verify(p, NULL).bad, 0);
	assert_int_equal(verify(p, NULL).segments, 2);
	(void)close(go[0]);
	(void)close(go[1]);
}

/* ---- Tampering ---------------------------------------------------------------- */

/* Each with a fresh copy of one log. */
static void
test_tampering(void **state)
{
	static const struct {
		const char *what, *cmd; /* in the keystore's directory */
		const char *file;       /* of the first finding */
	} cases[] = {
		{ "a segment removed", "rm keys.db-audit.log.2", ".2" },
		{ "the first removed", "rm keys.db-audit.log", "" },
		{ "the last removed", "rm keys.db-audit.log.3", ".3" },
		{ "two exchanged",
		    "mv keys.db-audit.log x; mv keys.db-audit.log.2"
		    " keys.db-audit.log; mv x keys.db-audit.log.2",
		    "" },
		{ "one in place of another",
		    "cp keys.db-audit.log keys.db-audit.log.2", ".2" },
		{ "the first lines removed, up to a checkpoint",
		    "sed -i '/AuditCheckpoint/!d' keys.db-audit.log", "" },
		{ "a line removed", "sed -i 3d keys.db-audit.log.2", ".2" },
		{ "a line changed",
		    "sed -i 's/\"root\"/\"toor\"/;3q' keys.db-audit.log.2",
		    ".2" },
		{ "the checkpoint at the end removed",
		    "sed -i '$d' keys.db-audit.log", ".2" },
		{ "the checkpoint at the beginning removed",
		    "sed -i 1d keys.db-audit.log.2", ".2" },
		{ "a line appended to one that has ended",
		    "tail -n 1 keys.db-audit.log >>keys.db-audit.log", "" },
		{ "terabytes of nothing at the end of one that has ended",
		    "truncate -s 4T keys.db-audit.log", "" },
		{ "zeros at the end", "echo >>keys.db-audit.log.2", ".2" },
	};
	const struct place *p = *state;
	char want[64];
	struct findings f;

	fill(p);
	assert_int_equal(verify(p, NULL).bad, 0);
	shell("mkdir %s/good && cp %s* %s/good", p->dir, p->path, p->dir);
	for (unsigned i = 0; i < COUNTOF(cases); i++) {
		shell("cd %s && %s", p->dir, cases[i].cmd);
		(void)verify(p, &f);
		if (f.n == 0)
			fail_msg("%s: not found", cases[i].what);
		(void)snprintf(
		    want, sizeof(want), "keys.db-audit.log%s", cases[i].file);
		if (strcmp(f.file[0], want) != 0)
			fail_msg("%s: found in %s", cases[i].what, f.file[0]);
		/* Going on heals nothing. */
		struct kms *k = place_open(p);
		calls(k, 2);
		kms_close(k);
		assert_int_not_equal(verify(p, NULL).bad, 0);
		shell("rm %s* && cp %s/good/* %s", p->path, p->dir, p->dir);
	}
	assert_int_equal(verify(p, NULL).bad, 0);
}

/* One change is one finding, at its place. */
static void
test_which(void **state)
{
	const struct place *p = *state;
	struct findings f;

	fill(p);
	shell("sed -i 's/\"seq\":5,\\(.*\\)root/\"seq\":5,\\1toor/' "
	      "%s-audit.log",
	    p->path);
	shell("sed -i '/\"seq\":15,/d' %s-audit.log.2", p->path);
	(void)verify(p, &f);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.seq[0], 5);
	assert_int_equal(f.seq[1], 15);
	assert_string_equal(f.file[0], "keys.db-audit.log");
	assert_string_equal(f.file[1], "keys.db-audit.log.2");
}

/* The head in the keystore as somebody without its key would have it. */
static void
test_head(void **state)
{
	static const char *const edits[] = {
		"UPDATE meta SET v = zeroblob(168) WHERE k = 'audit'",
		"UPDATE meta SET v = zeroblob(48) WHERE k = 'audit'",
		"UPDATE meta SET v = substr(v, 1, 48) WHERE k = 'audit'",
		("UPDATE meta SET v = CAST(substr(v, 1, 103) || x'02' ||"
		 " substr(v, 105) AS BLOB) WHERE k = 'audit'"),
		/* An end far behind the log's, and a number at the end of all. */
		("UPDATE meta SET v = CAST(substr(v, 1, 8) ||"
		 " x'1000000000000000' || substr(v, 17) AS BLOB)"
		 " WHERE k = 'audit'"),
		("UPDATE meta SET v = CAST(x'7fffffffffffffff' ||"
		 " substr(v, 9) AS BLOB) WHERE k = 'audit'"),
	};
	const struct place *p = *state;
	struct kms *k;

	log_set_level(LOG_LVL_ERROR);
	fill(p);
	shell("mkdir %s/good && cp %s* %s/good", p->dir, p->path, p->dir);
	for (unsigned i = 0; i < COUNTOF(edits); i++) {
		sql(p, edits[i]);
		assert_int_not_equal(verify(p, NULL).bad, 0);
		k = place_open(p);
		calls(k, 1);
		assert_ok(kms_flush(k));
		kms_close(k);
		assert_int_not_equal(verify(p, NULL).bad, 0);
		shell("rm %s* && cp %s/good/* %s", p->path, p->dir, p->dir);
	}
	assert_int_equal(verify(p, NULL).bad, 0);
	log_set_level(LOG_LVL_ERROR);
}

/* ---- Sync mode ------------------------------------------------------------------ */

static unsigned
lines_on_disk(const struct place *p)
{
	char path[192];
	uint8_t *text = NULL;
	size_t len = 0;
	unsigned n = 0;

	segment_path(p, 1, path);
	assert_ok(sys_read_file(path, 1 << 24, &text, &len));
	for (size_t i = 0; i < len; i++)
		n += text[i] == '\n';
	free(text);
	return n;
}

static void *
opens(void *arg)
{
	struct kms *k = arg;

	for (unsigned i = 0; i < 50; i++) {
		struct sample s;

		sample_make(k, NULL, &s);
		key_free(s.dek);
	}
	return NULL;
}

static void
test_sync(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_open(p), *other = place_open(p);
	struct key *dek = key_new();
	const struct key zero = { { 0 } };
	struct audit_settings s;
	pthread_t t[8];
	struct sample x;
	unsigned before;

	sample_make(k, NULL, &x);
	before = lines_on_disk(p);
	assert_ok(sample_open(k, &x));
	assert_int_equal(lines_on_disk(p), before);
	audit_settings_get(k, &s);
	s.sync = true;
	/* Set by one process, in force for another. */
	assert_ok(audit_settings_set(other, &root_user, &s));
	before = lines_on_disk(p);
	for (unsigned i = 0; i < 5; i++)
		assert_ok(sample_open(k, &x));
	assert_true(lines_on_disk(p) >= before + 5);
	/* Those that wait together share one sync. */
	sys_fault_set("fdatasync", 0, EIO, 0);
	for (unsigned i = 0; i < COUNTOF(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, opens, k), 0);
	for (unsigned i = 0; i < COUNTOF(t); i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_true(sys_fault_clear() <= 400);
	assert_true(lines_on_disk(p) >= before + 405);
	/* A record that is not on the disk: no answer, and no key. */
	log_set_level(LOG_LVL_ERROR);
	sys_fault_set("fdatasync", 1, EIO, 1);
	assert_int_equal(
	    kms_unwrap(k, &root_user, x.blob, x.len, some_ctx, 2, dek), ERR_IO);
	assert_memory_equal(dek, &zero, sizeof(zero));
	(void)sys_fault_clear();
	log_set_level(LOG_LVL_ERROR);
	assert_ok(kms_flush(k));
	assert_ok(sample_open(k, &x));
	key_free(x.dek);
	key_free(dek);
	kms_close(other);
	kms_close(k);
	assert_int_equal(verify(p, NULL).bad, 0);
}

/* ---- Copies ------------------------------------------------- */

static void
test_copy(void **state)
{
	const struct place *p = *state;
	struct place to = *p;

	fill(p);
	(void)snprintf(to.path, sizeof(to.path), "%s/copy.db", p->dir);
	assert_ok(kms_copy(p->path, to.path));
	assert_int_equal(verify(&to, NULL).bad, 0);
	assert_int_equal(verify(&to, NULL).segments, 3);
	/* Nobody waits for somebody to write to what stands in its place. */
	shell("rm %s-audit.log && mkfifo %s-audit.log", p->path, p->path);
	(void)snprintf(to.path, sizeof(to.path), "%s/more.db", p->dir);
	(void)alarm(60);
	assert_int_equal(kms_copy(p->path, to.path), ERR_IO);
	(void)alarm(0);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = { T(test_outside),
		T(test_outside_changed), T(test_rotate), T(test_by_size),
		T(test_keep), T(test_killed), T(test_together),
		T(test_opened_meanwhile), T(test_tampering), T(test_which),
		T(test_head), T(test_sync), T(test_copy) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
