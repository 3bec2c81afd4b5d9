/*
 * Keystores of stores with sealed metadata: that they are is bound to the root
 * key, and the key of the metadata is always the same.
 */
#include "tests/unit/kms_common.h"

#include <sqlite3.h>

static const uint8_t one[16] = { 1 }, two[16] = { 2 };

static void
set_format(const char *path, int format)
{
	sqlite3 *c = NULL;
	char sql[64];

	(void)snprintf(
	    sql, sizeof(sql), "UPDATE meta SET v=%d WHERE k='format'", format);
	assert_int_equal(sqlite3_open(path, &c), SQLITE_OK);
	assert_int_equal(sqlite3_exec(c, sql, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(c);
}

static void
test_bound_to_the_root_key(void **state)
{
	const struct place *p = *state;
	char path[128];
	struct kms *k = place_open(p);

	assert_false(kms_is_sealing(k));
	kms_close(k);
	set_format(p->path, 2);
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
	set_format(p->path, 4);
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
	set_format(p->path, 6);
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
	set_format(p->path, 8);
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_ROOTKEY);
	set_format(p->path, 9);
	assert_int_equal(kms_open(p->path, NULL, &k), ERR_VERSION);

	(void)snprintf(path, sizeof(path), "%s/sealing.db", p->dir);
	assert_ok(kms_create_sealing(path, &p->root, NULL));
	assert_ok(kms_open(path, NULL, &k));
	assert_true(kms_is_sealing(k));
	kms_close(k);
	set_format(path, 1);
	assert_int_equal(kms_open(path, NULL, &k), ERR_ROOTKEY);
	set_format(path, 3);
	assert_int_equal(kms_open(path, NULL, &k), ERR_ROOTKEY);
	set_format(path, 5);
	assert_int_equal(kms_open(path, NULL, &k), ERR_ROOTKEY);
	set_format(path, 7);
	assert_int_equal(kms_open(path, NULL, &k), ERR_ROOTKEY);
	set_format(path, 8);
	assert_ok(kms_open(path, NULL, &k));
	kms_close(k);
}

static void
test_metadata_key(void **state)
{
	const struct place *p = *state;
	const struct kms_root pass = { .kind = KMS_ROOT_PASSPHRASE,
		.pass = "correct horse" };
	struct key *key[4];
	char path[128];
	struct kms *k = NULL, *other = place_open(p);

	for (size_t i = 0; i < COUNTOF(key); i++)
		assert_non_null(key[i] = key_new());
	(void)snprintf(path, sizeof(path), "%s/sealing.db", p->dir);
	assert_ok(kms_create_sealing(path, &p->root, NULL));
	assert_ok(kms_open(path, NULL, &k));
	assert_ok(kms_metadata_key(k, one, key[0]));
	assert_ok(kms_metadata_key(k, two, key[1]));
	assert_ok(kms_metadata_key(other, one, key[2]));
	/* Another root key, a new version of a master key: the same key. */
	assert_ok(kms_slot_add(k, &root_user, &pass));
	assert_ok(kms_slot_remove(k, &root_user, 0));
	kms_close(k);
	assert_int_equal(kms_open(path, &p->root, &k), ERR_ROOTKEY);
	assert_ok(kms_open(path, &pass, &k));
	assert_ok(kms_metadata_key(k, one, key[3]));
	assert_memory_equal(key[0]->b, key[3]->b, KEY_LEN);
	assert_memory_not_equal(key[0]->b, key[1]->b, KEY_LEN);
	assert_memory_not_equal(key[0]->b, key[2]->b, KEY_LEN);
	kms_close(k);
	kms_close(other);
	for (size_t i = 0; i < COUNTOF(key); i++)
		key_free(key[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_bound_to_the_root_key, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
		    test_metadata_key, place_setup, place_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
