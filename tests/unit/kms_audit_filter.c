/*
 * Choosing records: names that others choose never pass for what they look
 * like; and the time a record may wait.
 */
#include "tests/unit/kms_common.h"

#include <errno.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/sys.h"

struct chosen {
	struct audit_filter f;
	unsigned n;
};

static bool
choose(void *arg, const char *line, size_t len)
{
	struct chosen *c = arg;

	c->n += audit_filter_match(&c->f, line, len);
	return true;
}

static unsigned
chosen(struct kms *k, struct audit_filter f)
{
	struct chosen c = { f, 0 };

	assert_ok(audit_show(k, 0, choose, &c));
	return c.n;
}

static void
test_filter(void **state)
{
	static const struct kms_pair hostile[] = {
		{ "eventName", "DisableKey" },
		{ "errorCode", "AccessDenied" },
		{ "userName", "mallory" },
		{ ",\"errorCode\":\"x", "\",\"eventName\":\"DisableKey\"" },
		{ "resources", ",\"resources\":[{\"ARN\":\"arn:none\"" },
	};
	const struct kms_who who = { .user = "root",
		.agent =
		    "\",\"errorCode\":\"x\",\"eventName\":\"DisableKey\"" };
	struct kms *k = place_open(*state);
	struct key *dek = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;

	assert_ok(kms_data_key(
	    k, &who, NULL, hostile, COUNTOF(hostile), dek, blob, &len, arn));
	/* CreateKey and GenerateDataKey. */
	assert_int_equal(chosen(k, (struct audit_filter){ 0 }), 2);
	assert_int_equal(
	    chosen(k, (struct audit_filter){ .event = "GenerateDataKey" }), 1);
	assert_int_equal(
	    chosen(k, (struct audit_filter){ .event = "DisableKey" }), 0);
	assert_int_equal(chosen(k, (struct audit_filter){ .denied = true }), 0);
	assert_int_equal(chosen(k, (struct audit_filter){ .user = "root" }), 2);
	assert_int_equal(
	    chosen(k, (struct audit_filter){ .user = "mallory" }), 0);
	assert_int_equal(chosen(k, (struct audit_filter){ .key = arn }), 2);
	assert_int_equal(
	    chosen(k, (struct audit_filter){ .key = strchr(arn, '/') + 1 }), 2);
	assert_int_equal(
	    chosen(k, (struct audit_filter){ .key = "arn:none" }), 0);
	assert_int_equal(
	    chosen(k, (struct audit_filter){ .since = "2001-01-01T00:00:00Z" }),
	    2);
	assert_int_equal(
	    chosen(k, (struct audit_filter){ .until = "2001-01-01T00:00:00Z" }),
	    0);
	/* A call that failed. */
	assert_int_equal(
	    kms_unwrap(k, &root_user, blob, len, NULL, 0, dek), ERR_AUTH);
	assert_int_equal(chosen(k, (struct audit_filter){ .denied = true }), 1);
	key_free(dek);
	kms_close(k);
}

static long
size_on_disk(const struct place *p)
{
	char path[192];
	struct stat st = { .st_size = 0 };

	(void)snprintf(path, sizeof(path), "%s-audit.log", p->path);
	return stat(path, &st) == 0 ? (long)st.st_size : 0;
}

static void
nothing(void *arg UNUSED)
{
}

/* While nothing else happens the watcher brings records to the disk, and signs
 * them. */
static void
test_waiting(void **state)
{
	const struct timespec tick = { .tv_nsec = 100000000 };
	struct kms *k = place_open(*state);
	struct timespec t = clock_wall();
	struct audit_verdict v;
	struct sample s;
	long before;

	sample_make(k, NULL, &s);
	assert_ok(kms_flush(k));
	assert_ok(audit_verify(k, NULL, NULL, &v));
	assert_int_not_equal(v.unsigned_, 0);
	before = size_on_disk(*state);
	assert_ok(sample_open(k, &s));
	assert_int_equal(size_on_disk(*state), before);
	t.tv_sec += 100;
	clock_freeze(&t);
	assert_ok(kms_watch(k, nothing, NULL));
	for (int i = 0; i < 100 && size_on_disk(*state) == before; i++)
		(void)nanosleep(&tick, NULL);
	assert_true(size_on_disk(*state) > before);
	assert_ok(audit_verify(k, NULL, NULL, &v));
	assert_int_equal(v.unsigned_, 0);
	clock_freeze(NULL);
	key_free(s.dek);
	kms_close(k);
}

/* On a full disk no key is given out, in both modes; then all goes on. */
static void
test_full(void **state)
{
	struct kms *k = place_open(*state);
	struct key *dek = key_new();
	struct audit_verdict v;
	struct sample s;

	sample_make(k, NULL, &s);
	log_set_level(LOG_LVL_ERROR);
	for (int sync = 0; sync < 2; sync++) {
		audit_sync_here(k, sync != 0);
		sys_fault_set("pwrite", 1, ENOSPC, 1);
		/* In epoch mode it shows with the flush. */
		if (sync == 0) {
			assert_ok(sample_open(k, &s));
			assert_int_equal(kms_flush(k), ERR_NOSPC);
		}
		for (int i = 0; i < 3; i++)
			assert_int_not_equal(sample_open(k, &s), OK);
		(void)sys_fault_clear();
		assert_ok(kms_flush(k));
		assert_ok(sample_open(k, &s));
	}
	assert_ok(audit_verify(k, NULL, NULL, &v));
	assert_int_equal(v.bad, 0);
	/* Both calls of each mode that worked, and all that were refused. */
	assert_int_equal(
	    chosen(k, (struct audit_filter){ .event = "Decrypt" }), 9);
	key_free(s.dek);
	key_free(dek);
	kms_close(k);
}

/* A copy of the log from before is a part of it, unless it was put back. */
static void
test_compare(void **state)
{
	const struct place *p = *state;
	char cmd[500], copy[192];
	struct audit_verdict v;
	struct kms *k;
	struct sample s;

	k = place_open(p);
	sample_make(k, NULL, &s);
	kms_close(k);
	(void)snprintf(cmd, sizeof(cmd), "mkdir %s/old && cp %s* %s/old",
	    p->dir, p->path, p->dir);
	assert_int_equal(system(cmd), 0);
	k = place_open(p);
	assert_ok(sample_open(k, &s));
	kms_close(k);
	(void)snprintf(copy, sizeof(copy), "%s/copy", p->dir);
	(void)snprintf(cmd, sizeof(cmd), "cp %s-audit.log %s", p->path, copy);
	assert_int_equal(system(cmd), 0);
	k = place_open(p);
	assert_ok(sample_open(k, &s));
	assert_ok(audit_verify(k, NULL, NULL, &v));
	assert_ok(audit_compare(k, copy, NULL, NULL, &v));
	assert_int_equal(v.bad, 0);
	kms_close(k);
	/* Log and keystore of before: whole, but not what there was. */
	(void)snprintf(cmd, sizeof(cmd), "rm %s* && cp %s/old/* %s", p->path,
	    p->dir, p->dir);
	assert_int_equal(system(cmd), 0);
	for (int i = 0; i < 3; i++) {
		k = place_open(p);
		assert_ok(audit_verify(k, NULL, NULL, &v));
		assert_int_equal(v.bad, 0);
		assert_ok(audit_compare(k, copy, NULL, NULL, &v));
		assert_int_equal(v.bad, 1);
		/* It goes on, longer than the copy. */
		assert_ok(sample_open(k, &s));
		kms_close(k);
	}
	key_free(s.dek);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = { T(test_filter), T(test_waiting),
		T(test_full), T(test_compare) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
