/*
 * Keystores: root keys and slots, default keys, states, rotation, aliases,
 * tenants, what is in the files.
 */
#include "tests/unit/kms_common.h"

#include "kms/api.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>

#include "kms/kms_internal.h"
#include "lib/base/clock.h"

static void
test_key_file(void **state)
{
	const struct place *p = *state;
	struct kms *k = NULL;
	char moved[160];
	struct stat st;

	assert_int_equal(stat(p->key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(kms_create_store(p->path, &p->root, NULL), ERR_EXIST);
	for (mode_t bit = 1; bit <= 040; bit <<= 1) {
		assert_int_equal(chmod(p->key, 0600 | bit), 0);
		assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
		assert_non_null(strstr(err_detail(ERR_ROOTKEY), "chmod 600"));
	}
	assert_int_equal(chmod(p->key, 0600), 0);
	(void)snprintf(moved, sizeof(moved), "%s.moved", p->key);
	assert_int_equal(rename(p->key, moved), 0);
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
	assert_int_equal(symlink(moved, p->key), 0);
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
	assert_non_null(strstr(err_detail(ERR_ROOTKEY), "symbolic link"));
	assert_int_equal(unlink(p->key), 0);
	assert_int_equal(rename(moved, p->key), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(p->key, 1, 0), 0);
		assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
		assert_int_equal(chown(p->key, 0, 0), 0);
	}
	kms_close(place_open(p));
}

static void
test_wrong_root_key(void **state)
{
	const struct place *p = *state;
	struct kms *k = NULL;
	int fd = open(p->key, O_WRONLY);

	assert_int_equal(write(fd, "0123456789abcdef", 16), 16);
	(void)close(fd);
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
	assert_int_equal(truncate(p->key, 8), 0);
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
	assert_int_equal(kms_open("/nonexistent/keys.db", NULL, &k), ERR_NOENT);
}

static void
count_slot(void *arg, unsigned n, enum kms_root_kind kind, const char *path,
    int64_t created)
{
	unsigned *kinds = arg;

	(void)n;
	(void)path;
	(void)created;
	kinds[kind]++;
}

static void
test_slots(void **state)
{
	const struct place *p = *state;
	const struct kms_root pass = { .kind = KMS_ROOT_PASSPHRASE,
		.pass = "correct horse" };
	const struct kms_root wrong = { .kind = KMS_ROOT_PASSPHRASE,
		.pass = "correct house" };
	const struct kms_root cred = { .kind = KMS_ROOT_CREDENTIAL,
		.path = "root.key" };
	struct kms *k = place_open(p);
	unsigned kinds[4] = { 0 };

	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", p->dir, 1), 0);
	assert_int_equal(kms_slot_remove(k, &root_user, 0), ERR_PERM);
	assert_ok(kms_slot_add(k, &root_user, &pass));
	assert_ok(kms_slot_add(k, &root_user, &cred));
	assert_ok(kms_slot_list(k, count_slot, kinds));
	assert_int_equal(kinds[0] + kinds[1] + kinds[2], 3);
	assert_ok(kms_slot_remove(k, &root_user, 0));
	assert_int_equal(kms_slot_remove(k, &root_user, 0), ERR_NOENT);
	kms_close(k);
	assert_int_equal(kms_open(p->path, &p->root, &k), ERR_ROOTKEY);
	assert_int_equal(kms_open(p->path, &wrong, &k), ERR_ROOTKEY);
	assert_ok(kms_open(p->path, &pass, &k));
	assert_ok(kms_slot_remove(k, &root_user, 1));
	kms_close(k);
	/* Found without being told: the credential. */
	kms_close(place_open(p));
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
}

static void
sql(const struct place *p, const char *text)
{
	sqlite3 *h = NULL;

	assert_int_equal(sqlite3_open(p->path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

static void
test_newer_format(void **state)
{
	const struct place *p = *state;
	struct kms *k = NULL;

	sql(p, "UPDATE meta SET v = 9 WHERE k = 'format'");
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_VERSION);
	assert_non_null(strstr(err_detail(ERR_VERSION), "format 9"));
}

/* Rows that were changed behind our back are noticed. */
static void
test_damaged(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_open(p);
	struct sample s;

	sample_make(k, NULL, &s);
	kms_close(k);
	sql(p, "UPDATE slots SET salt = zeroblob(31)");
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_CORRUPT);
	sql(p, "UPDATE slots SET salt = zeroblob(32)");
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
	key_free(s.dek);
}

static void
test_tenant_moved(void **state)
{
	const struct place *p = *state;
	const struct kms_who thief = {
		.tenant = "other", .user = "root", .agent = "test"
	};
	struct kms *k = place_open(p);
	struct key *dek = key_new();
	struct sample s;

	sample_make(k, NULL, &s);
	kms_close(k);
	sql(p, "UPDATE keys SET tenant = 'other'");
	k = place_open(p);
	assert_int_equal(kms_unwrap(k, &thief, s.blob, s.len, some_ctx, 2, dek),
	    ERR_CORRUPT);
	kms_close(k);
	key_free(dek);
	key_free(s.dek);
}

#define THREADS 50

static void *
first_use(void *arg)
{
	struct kms *k = arg;
	struct key *dek = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char *arn = malloc(KMS_ARN_MAX);
	size_t len;

	if (dek == NULL || arn == NULL ||
	    kms_data_key(
		k, &root_user, "", some_ctx, 2, dek, blob, &len, arn) != OK)
		abort();
	key_free(dek);
	return arn;
}

static bool
count_key(void *arg, const struct kms_desc *d)
{
	assert_true(d->is_default);
	++*(unsigned *)arg;
	return true;
}

static void
test_default_once(void **state)
{
	const struct place *p = *state;
	pid_t pid = fork();
	struct kms *k = NULL;
	pthread_t t[THREADS];
	char *first = NULL;
	unsigned n = 0;
	int status = -1;

	/* Both processes open after the fork, as SQLite demands. */
	if (kms_open(p->path, NULL, &k) != OK)
		_exit(1);
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, first_use, k) != 0)
			_exit(2);
	for (unsigned i = 0; i < THREADS; i++) {
		void *arn = NULL;

		(void)pthread_join(t[i], &arn);
		if (first != NULL && strcmp(first, arn) != 0)
			_exit(3);
		free(first);
		first = arn;
	}
	free(first);
	if (pid == 0) {
		kms_close(k);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_ok(kms_key_list(k, &root_user, count_key, &n));
	assert_int_equal(n, 1);
	kms_close(k);
}

static void
test_default_names(void **state)
{
	static const char *const names[] = { "alias/ssefs/default",
		"obs/default", "alias/acs/oss", "alias/aws/s3", "" };
	struct kms *k = place_open(*state);
	char arn[KMS_ARN_MAX];
	struct kms_desc d;
	struct sample s;

	assert_int_equal(kms_key_resolve(k, NULL, NULL, arn), ERR_NOKEY);
	sample_make(k, NULL, &s);
	for (size_t i = 0; i < COUNTOF(names); i++) {
		assert_ok(kms_key_resolve(k, NULL, names[i], arn));
		assert_string_equal(arn, s.arn);
	}
	assert_ok(kms_key_describe(k, &root_user, s.arn, &d));
	assert_true(d.is_default && !d.is_service);
	assert_int_equal(kms_key_resolve(k, NULL, "bogus", arn), ERR_NOKEY);
	assert_int_equal(kms_key_resolve(k, NULL, "bo gus", arn), ERR_INVAL);
	assert_int_equal(
	    kms_key_resolve(k, NULL, "arn:aws:kms:x", arn), ERR_INVAL);
	assert_int_equal(kms_key_resolve(k, NULL,
			     "arn:aws:kms:eu-1:000000000000:alias/x", arn),
	    ERR_NOKEY);
	key_free(s.dek);
	kms_close(k);
}

static void
test_rotate(void **state)
{
	struct kms *k = place_open(*state);
	struct sample s[1 + KMS_ON_DEMAND_MAX];
	struct kms_desc d;

	sample_make(k, NULL, &s[0]);
	for (unsigned i = 1; i < COUNTOF(s); i++) {
		assert_ok(kms_key_rotate(k, &root_user, NULL));
		sample_make(k, NULL, &s[i]);
		assert_int_equal(s[i].blob[27], i + 1);
	}
	kms_close(k);
	k = place_open(*state);
	for (unsigned i = 0; i < COUNTOF(s); i++) {
		assert_ok(sample_open(k, &s[i]));
		key_free(s[i].dek);
	}
	assert_ok(kms_key_describe(k, &root_user, "", &d));
	assert_int_equal(d.version, COUNTOF(s));
	assert_int_equal(d.calls, COUNTOF(s));
	kms_close(k);
}

static void
test_service(void **state)
{
	const struct timespec later = { .tv_sec = time(NULL) + 366 * 86400 };
	struct kms *k = place_open(*state);
	struct kms_desc d;
	struct sample s, s2;

	sample_make(k, KMS_SERVICE_KEY, &s);
	assert_non_null(strstr(s.arn, ":ssefs:key/"));
	assert_int_equal(
	    kms_key_disable(k, &root_user, KMS_SERVICE_KEY), ERR_PERM);
	assert_int_equal(kms_key_disable(k, &root_user, s.arn), ERR_PERM);
	kms_close(k);
	clock_freeze(&later);
	k = place_open(*state);
	sample_make(k, KMS_SERVICE_KEY, &s2);
	clock_freeze(NULL);
	assert_string_equal(s.arn, s2.arn);
	assert_int_equal(s2.blob[27], 2);
	assert_ok(sample_open(k, &s));
	assert_ok(sample_open(k, &s2));
	assert_ok(kms_key_describe(k, &root_user, s.arn, &d));
	assert_true(d.is_service);
	key_free(s.dek);
	key_free(s2.dek);
	kms_close(k);
}

static void
test_states(void **state)
{
	struct kms *k = place_open(*state);
	struct kms_desc d;
	enum kms_state st;
	struct sample s;

	assert_ok(kms_key_create(k, &root_user, "mine", &d));
	assert_string_equal(d.description, "mine");
	assert_int_equal(d.version, 1);
	sample_make(k, d.id, &s);
	assert_ok(kms_check(k, &root_user, d.arn, NULL, 0));
	assert_ok(kms_key_disable(k, &root_user, d.arn));
	assert_ok(kms_key_state(k, d.arn, &st));
	assert_int_equal(st, KMS_DISABLED);
	assert_int_equal(sample_open(k, &s), ERR_KEYREVOKED);
	assert_int_equal(
	    kms_check(k, &root_user, d.arn, NULL, 0), ERR_KEYREVOKED);
	assert_int_equal(kms_key_rotate(k, &root_user, d.id), ERR_KEYREVOKED);
	assert_ok(kms_key_enable(k, &root_user, d.id));
	assert_ok(sample_open(k, &s));
	key_free(s.dek);
	kms_close(k);
}

static void
test_aliases(void **state)
{
	struct kms *k = place_open(*state);
	char arn[KMS_ARN_MAX];
	struct kms_desc d;

	assert_ok(kms_key_create(k, &root_user, NULL, &d));
	assert_ok(kms_alias_create(k, &root_user, "team/docs", d.id));
	assert_ok(kms_key_resolve(k, NULL, "alias/team/docs", arn));
	assert_string_equal(arn, d.arn);
	assert_int_equal(
	    kms_alias_create(k, &root_user, "alias/team/docs", d.id),
	    ERR_EXIST);
	assert_int_equal(
	    kms_alias_create(k, &root_user, "alias/aws/x", d.id), ERR_PERM);
	assert_int_equal(
	    kms_alias_create(k, &root_user, "obs/x", d.id), ERR_PERM);
	assert_int_equal(
	    kms_alias_create(k, &root_user, "a b", d.id), ERR_INVAL);
	assert_int_equal(
	    kms_alias_create(k, &root_user, "x", "nokey"), ERR_NOKEY);
	assert_ok(kms_alias_delete(k, &root_user, "team/docs"));
	assert_int_equal(
	    kms_alias_delete(k, &root_user, "team/docs"), ERR_NOENT);
	assert_int_equal(
	    kms_key_resolve(k, NULL, "alias/team/docs", arn), ERR_NOKEY);
	kms_close(k);
}

static void
test_tenants(void **state)
{
	const struct kms_who other = {
		.tenant = "acme", .user = "root", .agent = "test"
	};
	const struct kms_who odd = {
		.tenant = "a/b", .user = "root", .agent = "test"
	};
	struct kms *k = place_open(*state);
	struct key *dek = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	struct sample s;
	size_t len;

	sample_make(k, NULL, &s);
	assert_int_equal(
	    kms_unwrap(k, &other, s.blob, s.len, some_ctx, 2, dek), ERR_ACCESS);
	assert_int_equal(
	    kms_data_key(k, &other, s.arn, some_ctx, 2, dek, blob, &len, arn),
	    ERR_ACCESS);
	assert_int_equal(kms_key_disable(k, &other, s.arn), ERR_ACCESS);
	assert_ok(
	    kms_data_key(k, &other, NULL, some_ctx, 2, dek, blob, &len, arn));
	assert_string_not_equal(arn, s.arn);
	assert_int_equal(
	    kms_data_key(k, &odd, NULL, some_ctx, 2, dek, blob, &len, arn),
	    ERR_INVAL);
	key_free(dek);
	key_free(s.dek);
	kms_close(k);
}

/* Does the file ${path} hold these bytes? */
static bool
found_in(const char *path, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "rb");
	static uint8_t content[1 << 20];
	size_t n;

	assert_non_null(f);
	n = fread(content, 1, sizeof(content), f);
	(void)fclose(f);
	return memmem(content, n, bytes, len) != NULL;
}

static void
test_no_plaintext(void **state)
{
	const struct place *p = *state;
	static const char *const files[] = { "keys.db", "keys.db-wal",
		"keys.db-audit.log" };
	struct kms *k = place_open(p);
	uint8_t root[32];
	struct sample s;
	FILE *f;

	sample_make(k, NULL, &s);
	assert_ok(kms_flush(k));
	f = fopen(p->key, "rb");
	assert_non_null(f);
	assert_int_equal(fread(root, 1, sizeof(root), f), sizeof(root));
	(void)fclose(f);
	for (size_t i = 0; i < COUNTOF(files); i++) {
		char path[160];

		(void)snprintf(path, sizeof(path), "%s/%s", p->dir, files[i]);
		assert_false(found_in(path, root, sizeof(root)));
		assert_false(found_in(path, k->kmk, sizeof(*k->kmk)));
		assert_false(found_in(path, s.dek, sizeof(*s.dek)));
		assert_false(found_in(path, s.blob + 84, 48));
	}
	key_free(s.dek);
	kms_close(k);
}

static void
test_vfs(void **state)
{
	const struct place *p = *state;
	struct kms *k = NULL;

	kms_set_vfs("no such disk");
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_INTERNAL);
	kms_set_vfs("unix-excl");
	kms_close(place_open(p));
	kms_set_vfs(NULL);
	kms_close(place_open(p));
}

/* Keys and aliases are there after a reopen; refusals left no trace. */
static void
test_persistent(void **state)
{
	struct kms *k = place_open(*state);
	struct kms_desc d, d2;

	assert_ok(kms_key_create(k, &root_user, "one", &d));
	assert_int_equal(
	    kms_alias_create(k, &root_user, "a", "alias/none"), ERR_NOKEY);
	assert_ok(kms_alias_create(k, &root_user, "a", d.id));
	assert_int_equal(kms_alias_create(k, &root_user, "a", d.id), ERR_EXIST);
	kms_close(k);
	k = place_open(*state);
	assert_ok(kms_key_describe(k, &root_user, "alias/a", &d2));
	assert_string_equal(d.arn, d2.arn);
	kms_close(k);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = { T(test_key_file),
		T(test_wrong_root_key), T(test_slots), T(test_newer_format),
		T(test_damaged), T(test_tenant_moved), T(test_default_once),
		T(test_default_names), T(test_rotate), T(test_service),
		T(test_states), T(test_aliases), T(test_tenants),
		T(test_no_plaintext), T(test_vfs), T(test_persistent) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
