/*
 * The life of a key: every operation in every state, deletion with its waiting
 * time, rotation by period, tags, and keystores of older programs.
 */
#include "tests/unit/kms_common.h"

#include <fcntl.h>
#include <sqlite3.h>

#include "kms/kms_internal.h"
#include "lib/base/clock.h"

#define DAY 86400

static void
sql(const struct place *p, const char *text)
{
	sqlite3 *h = NULL;

	assert_int_equal(sqlite3_open(p->path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

/* Stands for a store that can say what uses a key. */
static struct kms_uses uses;
static bool known = true; /* without waiting */
static unsigned asked;

static enum err
count(void *arg, const struct kms_desc *d, bool wait, struct kms_uses *ret)
{
	(void)arg;
	assert_int_equal(strlen(d->id), 36);
	asked++;
	if (!wait && !known)
		return ERR_BUSY;
	*ret = uses;
	return OK;
}

static struct kms *
place_store(const struct place *p)
{
	struct kms *k = place_open(p);

	uses = (struct kms_uses){ 0 };
	kms_set_uses(k, count, NULL);
	return k;
}

static struct timespec
in_days(unsigned days)
{
	struct timespec t = clock_wall();

	t.tv_sec += (time_t)days * DAY + 1;
	return t;
}

static uint64_t log_lines(struct kms *k, const char *what, const char *more);

/* ---- Every operation in every state ---------------------------------------*/

static enum err
do_data_key(struct kms *k, const char *id)
{
	struct key *dek = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;
	enum err e;

	assert_non_null(dek);
	e = kms_data_key(k, &root_user, id, some_ctx, 2, dek, blob, &len, arn);
	key_free(dek);
	return e;
}

static struct sample sample; /* wrapped while the key was enabled */

static enum err
do_unwrap(struct kms *k, const char *id)
{
	(void)id;
	return sample_open(k, &sample);
}

static enum err
do_rewrap(struct kms *k, const char *id)
{
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;

	(void)id;
	return kms_rewrap(k, &root_user, sample.blob, sample.len, some_ctx, 2,
	    NULL, some_ctx, 2, blob, &len, arn);
}

static enum err
do_check(struct kms *k, const char *id)
{
	struct kms_desc d;

	assert_ok(kms_key_describe(k, &root_user, id, &d));
	return kms_check(k, &root_user, d.arn, NULL, 0);
}

static enum err
do_enable(struct kms *k, const char *id)
{
	return kms_key_enable(k, &root_user, id);
}

static enum err
do_disable(struct kms *k, const char *id)
{
	return kms_key_disable(k, &root_user, id);
}

static enum err
do_rotate(struct kms *k, const char *id)
{
	return kms_key_rotate(k, &root_user, id);
}

static enum err
do_period(struct kms *k, const char *id)
{
	return kms_key_rotation(k, &root_user, id, 90);
}

static enum err
do_no_period(struct kms *k, const char *id)
{
	return kms_key_rotation(k, &root_user, id, 0);
}

static enum err
do_delete(struct kms *k, const char *id)
{
	return kms_key_delete(k, &root_user, id, 0, NULL);
}

static enum err
do_cancel(struct kms *k, const char *id)
{
	return kms_key_cancel_deletion(k, &root_user, id);
}

static enum err
do_alias(struct kms *k, const char *id)
{
	return kms_alias_create(k, &root_user, "one", id);
}

static enum err
do_alias_rm(struct kms *k, const char *id)
{
	(void)id;
	return kms_alias_delete(k, &root_user, "other");
}

static enum err
do_tag(struct kms *k, const char *id)
{
	const struct kms_tag t = { "a", "b" };

	return kms_tag_set(k, &root_user, id, &t, 1);
}

static enum err
do_untag(struct kms *k, const char *id)
{
	const char *const name = "a";

	return kms_tag_remove(k, &root_user, id, &name, 1);
}

static enum err
do_description(struct kms *k, const char *id)
{
	return kms_key_set_description(k, &root_user, id, "new");
}

static enum err
do_describe(struct kms *k, const char *id)
{
	struct kms_desc d;

	return kms_key_describe(k, &root_user, id, &d);
}

static void
no_tag(void *arg, const char *name, const char *value)
{
	(void)arg;
	(void)name;
	(void)value;
}

static enum err
do_tags(struct kms *k, const char *id)
{
	return kms_tag_list(k, &root_user, id, no_tag, NULL);
}

static enum err
do_usage(struct kms *k, const char *id)
{
	struct kms_uses u;

	return kms_key_uses(k, &root_user, id, &u);
}

#define DEL ERR_KEYDELETION
#define DIS ERR_KEYREVOKED
#define INV ERR_KEYSTATE
#define OUT ERR_TIMEDOUT
#define UNS ERR_NOTSUP

/* By enum kms_state: the answer, and the state afterwards. */
static const struct {
	const char *name;
	enum err (*fn)(struct kms *k, const char *id);
	enum err want[5];
	int then[5]; /* -1: as before */
} ops[] = {
	{ "data key", do_data_key, { OK, DIS, INV, DEL, OUT },
	    { -1, -1, -1, -1, -1 } },
	{ "unwrap", do_unwrap, { OK, DIS, INV, DEL, OUT },
	    { -1, -1, -1, -1, -1 } },
	{ "rewrap", do_rewrap, { OK, DIS, INV, DEL, OUT },
	    { -1, -1, -1, -1, -1 } },
	{ "check", do_check, { OK, DIS, INV, DEL, OUT },
	    { -1, -1, -1, -1, -1 } },
	{ "enable", do_enable, { OK, OK, INV, DEL, OK }, { 0, 0, -1, -1, 0 } },
	{ "disable", do_disable, { OK, OK, INV, DEL, OK },
	    { 1, 1, -1, -1, 1 } },
	{ "rotate", do_rotate, { OK, DIS, UNS, DEL, OUT },
	    { -1, -1, -1, -1, -1 } },
	{ "period", do_period, { OK, DIS, UNS, DEL, OUT },
	    { -1, -1, -1, -1, -1 } },
	{ "no period", do_no_period, { OK, DIS, UNS, DEL, OUT },
	    { -1, -1, -1, -1, -1 } },
	{ "delete", do_delete, { OK, OK, OK, DEL, OK }, { 3, 3, 3, -1, 3 } },
	{ "cancel", do_cancel, { INV, INV, INV, OK, INV },
	    { -1, -1, -1, 1, -1 } },
	{ "alias", do_alias, { OK, OK, OK, DEL, OK }, { -1, -1, -1, -1, -1 } },
	{ "tag", do_tag, { OK, OK, OK, DEL, OK }, { -1, -1, -1, -1, -1 } },
	{ "untag", do_untag, { OK, OK, OK, DEL, OK }, { -1, -1, -1, -1, -1 } },
	{ "description", do_description, { OK, OK, OK, DEL, OK },
	    { -1, -1, -1, -1, -1 } },
	{ "alias rm", do_alias_rm, { OK, OK, OK, OK, OK },
	    { -1, -1, -1, -1, -1 } },
	{ "describe", do_describe, { OK, OK, OK, OK, OK },
	    { -1, -1, -1, -1, -1 } },
	{ "tags", do_tags, { OK, OK, OK, OK, OK }, { -1, -1, -1, -1, -1 } },
	{ "usage", do_usage, { OK, OK, OK, OK, OK }, { -1, -1, -1, -1, -1 } },
};

static const char *const codes[ERR_COUNT_] = {
	[DEL] = "KMSInvalidStateException",
	[INV] = "KMSInvalidStateException",
	[DIS] = "DisabledException",
	[UNS] = "UnsupportedOperationException",
	[OUT] = "DependencyTimeoutException",
};

static struct sample samples[COUNTOF(ops)];
static struct kms_desc keys[COUNTOF(ops)];

/* One key for each operation, all of them then put into ${from}. */
static struct kms *
keys_in(const struct place *p, int from)
{
	struct kms *k = place_store(p);
	char text[80];

	for (size_t i = 0; i < COUNTOF(ops); i++) {
		assert_ok(kms_key_create(k, &root_user, "", &keys[i]));
		sample_make(k, keys[i].id, &samples[i]);
	}
	assert_ok(kms_alias_create(k, &root_user, "other", keys[0].id));
	kms_close(k);
	(void)snprintf(text, sizeof(text),
	    "UPDATE keys SET state=%d, delete_at=%lld", from,
	    from == 3 ? (long long)clock_wall().tv_sec + DAY : 0);
	sql(p, text);
	return place_store(p);
}

static void
one_case(struct kms *k, size_t op, int from)
{
	const enum err want = ops[op].want[from];
	const char *id = keys[op].id;
	enum kms_state after;
	enum err e;

	sample = samples[op];
	e = ops[op].fn(k, id);
	if (e != want)
		fail_msg("%s of a key that is %s: %s, not %s", ops[op].name,
		    kms_state_name((enum kms_state)from), err_name(e),
		    err_name(want));
	if (want != OK)
		assert_true(log_lines(k, codes[want], keys[op].arn) > 0);
	assert_ok(kms_key_state(k, keys[op].arn, &after));
	if ((int)after != (ops[op].then[from] < 0 ? from : ops[op].then[from]))
		fail_msg("%s of a key that is %s leaves it %s", ops[op].name,
		    kms_state_name((enum kms_state)from),
		    kms_state_name(after));
	key_free(sample.dek);
}

static void
test_states(void **state)
{
	const struct place *p = *state;

	for (int from = 0; from < 5; from++) {
		struct kms *k = keys_in(p, from);

		for (size_t op = 0; op < COUNTOF(ops); op++)
			one_case(k, op, from);
		kms_close(k);
		sql(p, "DELETE FROM aliases");
	}
}

struct want {
	const char *what, *more;
	uint64_t n;
};

static bool
count_line(void *arg, const char *line, size_t len)
{
	struct want *w = arg;
	char *copy = strndup(line, len);

	assert_non_null(copy);
	if (strstr(copy, w->what) != NULL && strstr(copy, w->more) != NULL)
		w->n++;
	free(copy);
	return true;
}

/* Audit records that hold both texts. */
static uint64_t
log_lines(struct kms *k, const char *what, const char *more)
{
	struct want w = { what, more, 0 };

	assert_ok(kms_flush(k));
	assert_ok(audit_show(k, 0, count_line, &w));
	return w.n;
}

/* ---- Deletion -------------------------------------------------------------*/

/* Do ${len} bytes at ${what} stand in a file of the keystore? */
static bool
stands_in(const char *path, const char *tail, const uint8_t *what, size_t len)
{
	char name[160];
	uint8_t *b;
	ssize_t n;
	bool found;
	int fd;

	(void)snprintf(name, sizeof(name), "%s%s", path, tail);
	fd = open(name, O_RDONLY);
	if (fd < 0)
		return false;
	b = malloc(1 << 22);
	assert_non_null(b);
	n = read(fd, b, 1 << 22);
	assert_true(n >= 0 && n < 1 << 22);
	found = memmem(b, (size_t)n, what, len) != NULL;
	free(b);
	(void)close(fd);
	return found;
}

static void
material_of(const struct place *p, uint8_t ret[static MATERIAL_SEALED])
{
	sqlite3_stmt *st = NULL;
	sqlite3 *h = NULL;

	assert_int_equal(sqlite3_open(p->path, &h), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(h, "SELECT sealed FROM versions", -1, &st, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_bytes(st, 0), MATERIAL_SEALED);
	memcpy(ret, sqlite3_column_blob(st, 0), MATERIAL_SEALED);
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

static void
test_deletion(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_store(p);
	uint8_t sealed[MATERIAL_SEALED];
	struct kms_desc d, gone;
	struct sample s;
	struct timespec t;

	assert_ok(kms_key_create(k, &root_user, "mine", &d));
	assert_ok(kms_alias_create(k, &root_user, "mine", d.id));
	sample_make(k, d.id, &s);
	material_of(p, sealed);
	assert_ok(kms_key_delete(k, &root_user, d.id, 7, NULL));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.state, KMS_PENDING_DELETION);
	assert_in_range(d.delete_at, clock_wall().tv_sec + 7 * DAY - 60,
	    clock_wall().tv_sec + 7 * DAY);
	t = in_days(6);
	clock_freeze(&t);
	assert_ok(kms_timer(k));
	assert_ok(kms_key_describe(k, &root_user, d.id, &gone));
	assert_true(stands_in(p->path, "", sealed, sizeof(sealed)) ||
		    stands_in(p->path, "-wal", sealed, sizeof(sealed)));
	/* The program is down when the time comes. */
	kms_close(k);
	clock_freeze(NULL);
	t = in_days(7);
	clock_freeze(&t);
	k = place_store(p);
	asked = 0;
	assert_ok(kms_timer(k));
	assert_int_equal(asked, 1);
	assert_int_equal(
	    kms_key_describe(k, &root_user, d.id, &gone), ERR_NOKEY);
	assert_int_equal(
	    kms_key_describe(k, &root_user, "alias/mine", &gone), ERR_NOKEY);
	assert_int_equal(sample_open(k, &s), ERR_AUTH);
	assert_int_equal(log_lines(k, "\"DeleteKey\"", d.arn), 1);
	assert_int_equal(log_lines(k, "\"ScheduleKeyDeletion\"", d.arn), 1);
	/* While it is open, too. */
	assert_false(stands_in(p->path, "", sealed, sizeof(sealed)));
	assert_false(stands_in(p->path, "-wal", sealed, sizeof(sealed)));
	assert_ok(kms_timer(k));
	assert_int_equal(asked, 1);
	/* One that was made since the keystore was opened is in its WAL. */
	assert_ok(kms_key_create(k, &root_user, "short", &d));
	material_of(p, sealed);
	assert_true(stands_in(p->path, "-wal", sealed, sizeof(sealed)));
	assert_ok(kms_key_delete(k, &root_user, d.id, 7, NULL));
	t.tv_sec += 7 * DAY;
	clock_freeze(&t);
	assert_ok(kms_timer(k));
	assert_false(stands_in(p->path, "", sealed, sizeof(sealed)));
	assert_false(stands_in(p->path, "-wal", sealed, sizeof(sealed)));
	clock_freeze(NULL);
	key_free(s.dek);
	kms_close(k);
}

static void
test_cancelled(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_store(p);
	struct timespec t = in_days(31);
	struct kms_desc d;
	struct sample s;

	assert_ok(kms_key_create(k, &root_user, "mine", &d));
	sample_make(k, d.id, &s);
	assert_ok(kms_key_delete(k, &root_user, d.id, 0, NULL));
	assert_ok(kms_key_cancel_deletion(k, &root_user, d.id));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.state, KMS_DISABLED);
	assert_int_equal(d.delete_at, 0);
	clock_freeze(&t);
	assert_ok(kms_timer(k));
	clock_freeze(NULL);
	assert_ok(kms_key_enable(k, &root_user, d.id));
	assert_ok(sample_open(k, &s));
	key_free(s.dek);
	kms_close(k);
}

/* In use: refused when asked for, and again when it is due. */
static void
test_in_use(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_store(p);
	struct timespec t = in_days(31);
	struct kms_uses u;
	struct kms_desc d;

	assert_ok(kms_key_create(k, &root_user, "mine", &d));
	uses.objects = 3;
	assert_ok(kms_key_uses(k, &root_user, d.id, &u));
	assert_int_equal(u.objects, 3);
	assert_int_equal(
	    kms_key_delete(k, &root_user, d.id, 0, NULL), ERR_KEYINUSE);
	assert_non_null(strstr(
	    err_detail(ERR_KEYINUSE), "in use by 3 objects and 0 defaults"));
	uses = (struct kms_uses){ .defaults = 1 };
	assert_int_equal(
	    kms_key_delete(k, &root_user, d.id, 0, NULL), ERR_KEYINUSE);
	uses.defaults = 0;
	assert_ok(kms_key_delete(k, &root_user, d.id, 0, NULL));
	clock_freeze(&t);
	uses.objects = 1;
	log_set_level(LOG_LVL_ERROR);
	assert_ok(kms_timer(k));
	assert_ok(kms_timer(k));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.state, KMS_PENDING_DELETION);
	assert_int_equal(log_lines(k, "\"DeleteKey\"", d.arn), 1);
	uses.objects = 0;
	known = false;
	assert_ok(kms_timer(k));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(log_lines(k, "\"DeleteKey\"", d.arn), 1);
	known = true;
	assert_ok(kms_timer(k));
	assert_int_equal(kms_key_describe(k, &root_user, d.id, &d), ERR_NOKEY);
	clock_freeze(NULL);
	/* Nobody to ask: nothing is deleted. */
	assert_ok(kms_key_create(k, &root_user, "other", &d));
	kms_set_uses(k, NULL, NULL);
	assert_int_equal(
	    kms_key_delete(k, &root_user, d.id, 0, NULL), ERR_NOTSUP);
	kms_close(k);
}

/* Cancelled, or deleted by another process, after the timer looked: nothing
 * happens, and the log does not say that it did. */
static void
test_late(void **state)
{
	struct kms *k = place_store(*state);
	struct due due = { .now = clock_wall().tv_sec + 31 * DAY };
	struct kms_desc d;
	struct sample s;

	assert_ok(kms_key_create(k, &root_user, "mine", &d));
	sample_make(k, d.id, &s);
	assert_ok(uuid_parse(d.id, 36, due.uuid));
	strcpy(due.tenant, d.tenant);
	strcpy(due.arn, d.arn);
	assert_ok(kms_key_delete(k, &root_user, d.id, 0, NULL));
	assert_ok(kms_key_cancel_deletion(k, &root_user, d.id));
	assert_ok(keys_delete_due(k, &due));
	assert_ok(kms_key_enable(k, &root_user, d.id));
	assert_ok(sample_open(k, &s));
	assert_int_equal(log_lines(k, "\"DeleteKey\"", d.arn), 2);
	assert_int_equal(
	    log_lines(k, "\"DeleteKey\"", "KMSInvalidStateException"), 1);
	assert_ok(kms_key_delete(k, &root_user, d.id, 0, NULL));
	assert_ok(keys_delete_due(k, &due));
	assert_ok(keys_delete_due(k, &due));
	assert_int_equal(log_lines(k, "\"DeleteKey\"", d.arn), 3);
	assert_int_equal(kms_key_describe(k, &root_user, d.id, &d), ERR_NOKEY);
	key_free(s.dek);
	kms_close(k);
}

static void
test_windows(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_store(p);
	struct kms_deletion when;
	struct kms_window w;
	struct kms_desc d;

	assert_ok(kms_key_create(k, &root_user, "mine", &d));
	for (unsigned days = 1; days < 40; days++) {
		const enum err e =
		    kms_key_delete(k, &root_user, d.id, days, NULL);

		assert_int_equal(e, days < 7 || days > 30 ? ERR_INVAL : OK);
		if (e == OK)
			assert_ok(kms_key_cancel_deletion(k, &root_user, d.id));
	}
	assert_ok(kms_window_get(k, &w));
	assert_int_equal(w.min, 7);
	assert_int_equal(w.max, 30);
	assert_int_equal(w.days, 30);
	w = (struct kms_window){ 2, 400, 14 };
	assert_ok(kms_window_set(k, &root_user, &w));
	kms_close(k);
	k = place_store(p);
	assert_ok(kms_key_delete(k, &root_user, d.id, 2, &when));
	assert_int_equal(when.days, 2);
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.delete_at, when.at);
	assert_ok(kms_key_cancel_deletion(k, &root_user, d.id));
	assert_ok(kms_key_delete(k, &root_user, d.id, 0, &when));
	assert_int_equal(when.days, 14);
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_in_range(d.delete_at, clock_wall().tv_sec + 14 * DAY - 60,
	    clock_wall().tv_sec + 14 * DAY);
	assert_int_equal(kms_key_delete(k, &root_user, d.id, 1, NULL), DEL);
	w = (struct kms_window){ 0, 30, 7 };
	assert_int_equal(kms_window_set(k, &root_user, &w), ERR_INVAL);
	w = (struct kms_window){ 8, 30, 7 };
	assert_int_equal(kms_window_set(k, &root_user, &w), ERR_INVAL);
	w = (struct kms_window){ 7, 1097, 7 };
	assert_int_equal(kms_window_set(k, &root_user, &w), ERR_INVAL);
	kms_close(k);
}

/* What belongs to the service or to a tenant as such stays. */
static void
test_kept_keys(void **state)
{
	struct kms *k = place_store(*state);
	struct sample s, t;

	sample_make(k, NULL, &s);
	sample_make(k, KMS_SERVICE_KEY, &t);
	assert_int_equal(
	    kms_key_delete(k, &root_user, s.arn, 0, NULL), ERR_PERM);
	assert_int_equal(
	    kms_key_delete(k, &root_user, t.arn, 0, NULL), ERR_PERM);
	assert_int_equal(kms_key_rotation(k, &root_user, t.arn, 90), ERR_PERM);
	assert_int_equal(
	    kms_key_set_description(k, &root_user, t.arn, "x"), ERR_PERM);
	key_free(s.dek);
	key_free(t.dek);
	kms_close(k);
}

/* The watcher's thread does it too. */
static void
nothing(void *arg)
{
	(void)arg;
}

static void
test_watcher(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_store(p);
	struct kms_desc d;
	enum err e = OK;

	assert_ok(kms_key_create(k, &root_user, "mine", &d));
	assert_ok(kms_key_delete(k, &root_user, d.id, 0, NULL));
	kms_close(k);
	sql(p, "UPDATE keys SET delete_at = 1");
	k = place_store(p);
	assert_ok(kms_watch(k, nothing, NULL));
	for (unsigned i = 0; i < 1000 && e == OK; i++) {
		(void)usleep(20000);
		e = kms_key_describe(k, &root_user, d.id, &d);
	}
	assert_int_equal(e, ERR_NOKEY);
	kms_close(k);
}

/* ---- Rotation by period ---------------------------------------------------*/

static void
test_period(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_store(p);
	struct timespec t;
	struct kms_desc d;
	struct sample s;
	bool old = true;

	assert_ok(kms_key_create(k, &root_user, "mine", &d));
	sample_make(k, d.id, &s);
	assert_ok(kms_blob_old(k, s.blob, s.len, &old));
	assert_false(old);
	assert_int_equal(
	    kms_key_rotation(k, &root_user, d.id, 3651), ERR_INVAL);
	assert_ok(kms_key_rotation(k, &root_user, d.id, 10));
	assert_ok(kms_timer(k));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.version, 1);
	assert_int_equal(d.rotate_days, 10);
	/* Down for three periods: one rotation, and the next is ten days on. */
	kms_close(k);
	t = in_days(35);
	clock_freeze(&t);
	k = place_store(p);
	assert_ok(kms_timer(k));
	assert_ok(kms_timer(k));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.version, 2);
	assert_int_equal(d.rotate_at, t.tv_sec + 10 * DAY);
	assert_int_equal(log_lines(k, "\"RotateKey\"", d.arn), 1);
	assert_ok(kms_blob_old(k, s.blob, s.len, &old));
	assert_true(old);
	assert_ok(sample_open(k, &s));
	/* A disabled key keeps its period and waits. */
	assert_ok(kms_key_disable(k, &root_user, d.id));
	t.tv_sec += 11 * DAY;
	clock_freeze(&t);
	assert_ok(kms_timer(k));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.version, 2);
	assert_ok(kms_key_enable(k, &root_user, d.id));
	assert_ok(kms_timer(k));
	assert_ok(kms_key_rotation(k, &root_user, d.id, 0));
	t.tv_sec += 100 * DAY;
	clock_freeze(&t);
	assert_ok(kms_timer(k));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.version, 3);
	assert_int_equal(d.rotate_at, 0);
	assert_ok(sample_open(k, &s));
	clock_freeze(NULL);
	key_free(s.dek);
	kms_close(k);
}

/* ---- Tags -----------------------------------------------------------------*/

static void
put_tag(void *arg, const char *name, const char *value)
{
	char *to = arg;

	(void)snprintf(
	    to + strlen(to), 256 - strlen(to), "%s=%s;", name, value);
}

static void
test_tags(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_store(p);
	const struct kms_tag two[] = { { "b", "2" }, { "a", "1" } };
	const struct kms_tag again = { "b", "" };
	const char *const names[] = { "a", "none" };
	char all[256] = "", name[140], value[260];
	struct kms_tag bad = { name, value };
	struct kms_desc d;

	assert_ok(kms_key_create_tagged(k, &root_user, "x", two, 2, &d));
	assert_ok(kms_tag_set(k, &root_user, d.id, &again, 1));
	assert_ok(kms_tag_list(k, &root_user, d.id, put_tag, all));
	assert_string_equal(all, "a=1;b=;");
	assert_ok(kms_tag_remove(k, &root_user, d.id, names, 2));
	assert_ok(kms_key_set_description(k, &root_user, d.id, "new"));
	kms_close(k);
	k = place_store(p);
	all[0] = '\0';
	assert_ok(kms_tag_list(k, &root_user, d.id, put_tag, all));
	assert_string_equal(all, "b=;");
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_string_equal(d.description, "new");

	memset(name, 'n', sizeof(name));
	name[129] = '\0';
	value[0] = '\0';
	assert_int_equal(kms_tag_set(k, &root_user, d.id, &bad, 1), ERR_INVAL);
	name[128] = '\0';
	assert_ok(kms_tag_set(k, &root_user, d.id, &bad, 1));
	memset(value, 'v', sizeof(value));
	value[257] = '\0';
	assert_int_equal(kms_tag_set(k, &root_user, d.id, &bad, 1), ERR_INVAL);
	strcpy(value, "x");
	strcpy(name, "aws:x");
	assert_int_equal(kms_tag_set(k, &root_user, d.id, &bad, 1), ERR_INVAL);
	strcpy(name, "");
	assert_int_equal(kms_tag_set(k, &root_user, d.id, &bad, 1), ERR_INVAL);
	for (int i = 0; i < 48; i++) {
		(void)snprintf(name, sizeof(name), "t%d", i);
		assert_ok(kms_tag_set(k, &root_user, d.id, &bad, 1));
	}
	strcpy(name, "too many");
	assert_int_equal(kms_tag_set(k, &root_user, d.id, &bad, 1), ERR_LIMIT);
	kms_close(k);
}

/* The log as an older program left it: no checkpoint, and a head of 48 bytes. */
static void
old_log(const struct place *p)
{
	char path[160], line[4096], text[256], *mac = NULL;
	long size = 0, before = 0, seq = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s-audit.log", p->path);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL &&
	       strstr(line, "AuditCheckpoint") == NULL) {
		free(mac);
		mac = strndup(strstr(line, "\"mac\":\"") + 7, 64);
		before = ftell(f);
		seq++;
	}
	(void)fseek(f, 0, SEEK_END);
	size = ftell(f);
	assert_int_equal(fclose(f), 0);
	/* There was one, at the close. */
	assert_true(size > before);
	assert_int_equal(truncate(path, before), 0);
	(void)snprintf(text, sizeof(text),
	    "UPDATE meta SET v = x'%016lx%016lx%s' WHERE k = 'audit'",
	    (unsigned long)seq, (unsigned long)before, mac);
	sql(p, text);
	free(mac);
}

/* ---- Keystores of older programs ------------------------------------------*/

static void
test_upgrade(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_store(p);
	struct audit_verdict v;
	struct kms_desc d;
	struct sample s;

	assert_ok(kms_key_create(k, &root_user, "old", &d));
	sample_make(k, d.id, &s);
	kms_close(k);
	sql(p, "ALTER TABLE keys DROP COLUMN origin;"
	       "ALTER TABLE keys DROP COLUMN expires;"
	       "ALTER TABLE keys DROP COLUMN imported;"
	       "ALTER TABLE keys DROP COLUMN policy;"
	       "ALTER TABLE aliases DROP COLUMN updated;"
	       "ALTER TABLE versions DROP COLUMN reason;"
	       "ALTER TABLE versions DROP COLUMN provider;"
	       "ALTER TABLE versions DROP COLUMN wraps;"
	       "DROP TABLE grants; DROP TABLE providers; DROP TABLE tenants;"
	       "DROP TABLE audit_segments;"
	       "DROP TABLE users; DROP TABLE access_keys;"
	       "DROP TABLE user_roles; DROP TABLE policies;"
	       "DROP TABLE attachments;"
	       "ALTER TABLE keys DROP COLUMN delete_at;"
	       "ALTER TABLE keys DROP COLUMN rotate_days;"
	       "ALTER TABLE keys DROP COLUMN rotate_at;"
	       "DROP TABLE tags; UPDATE meta SET v = 1 WHERE k = 'format'");
	old_log(p);
	for (int i = 0; i < 2; i++) {
		k = place_store(p);
		assert_ok(sample_open(k, &s));
		assert_ok(kms_key_describe(k, &root_user, d.id, &d));
		assert_int_equal(d.rotate_days, 0);
		assert_ok(do_tag(k, d.id));
		/* The log goes on, signed from then on. */
		assert_ok(audit_verify(k, NULL, NULL, &v));
		assert_int_equal(v.bad, 0);
		assert_true(v.records > 4);
		assert_true(v.unsigned_ < v.records);
		kms_close(k);
	}
	key_free(s.dek);
}

int
main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_states),
		TEST(test_deletion),
		TEST(test_cancelled),
		TEST(test_in_use),
		TEST(test_late),
		TEST(test_windows),
		TEST(test_kept_keys),
		TEST(test_watcher),
		TEST(test_period),
		TEST(test_tags),
		TEST(test_upgrade),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
