/* store/seal: messages open where they belong and nowhere else. */
#include "store_util.h"

#include "store/seal.h"

#define LEN 100
#define MSG (LEN + SEAL_TRAILER)

static const uint8_t uuid[UUID_LEN] = { 9, 8, 7 };

static struct seal *
seal_of(uint8_t key_byte, const uint8_t id[static UUID_LEN])
{
	struct key *key CLEANUP_KEY = key_new();
	struct seal *s = NULL;

	assert_non_null(key);
	memset(key->b, key_byte, sizeof(key->b));
	assert_ok(seal_new(key, id, &s));
	return (s);
}

static void
seal_cleanup(struct seal **s)
{
	seal_free(*s);
}
#define CLEANUP_SEAL CLEANUP(seal_cleanup)

static void
test_round_trip(void **state UNUSED)
{
	struct seal *s CLEANUP_SEAL = seal_of(1, uuid);
	struct seal *again CLEANUP_SEAL = seal_of(1, uuid);
	uint8_t text[LEN], msg[MSG], got[LEN];

	memset(text, 'n', sizeof(text));
	for (uint64_t i = 0; i < 1000; i++) {
		assert_ok(seal_put(s, SEAL_PAGE, i, text, LEN, msg));
		assert_null(memmem(msg, MSG, "nnnnnnnn", 8));
		assert_ok(seal_get(
		    i % 2 == 0 ? s : again, SEAL_PAGE, i, msg, LEN, got));
		assert_memory_equal(got, text, LEN);
	}
	assert_ok(seal_put(s, SEAL_MARK, 0, NULL, 0, msg));
	assert_ok(seal_get(s, SEAL_MARK, 0, msg, 0, NULL));
}

static void
test_every_byte_counts(void **state UNUSED)
{
	struct seal *s CLEANUP_SEAL = seal_of(1, uuid);
	uint8_t text[LEN] = "a name", msg[MSG], got[LEN], zero[LEN] = { 0 };

	assert_ok(seal_put(s, SEAL_FRAME, 5, text, LEN, msg));
	for (unsigned i = 0; i < MSG; i++) {
		msg[i] ^= 1;
		memset(got, 'x', sizeof(got));
		assert_err(seal_get(s, SEAL_FRAME, 5, msg, LEN, got), ERR_AUTH);
		assert_memory_equal(got, zero, LEN);
		msg[i] ^= 1;
	}
	assert_ok(seal_get(s, SEAL_FRAME, 5, msg, LEN, got));
	assert_memory_equal(got, text, LEN);
}

static void
test_bound_to_its_place(void **state UNUSED)
{
	static const uint8_t other_id[UUID_LEN] = { 9, 8, 6 };
	struct seal *s CLEANUP_SEAL = seal_of(1, uuid);
	struct seal *store CLEANUP_SEAL = seal_of(1, other_id);
	struct seal *key CLEANUP_SEAL = seal_of(2, uuid);
	uint8_t text[LEN] = "a name", msg[MSG], got[LEN];

	assert_ok(seal_put(s, SEAL_PAGE, 5, text, LEN, msg));
	assert_err(seal_get(s, SEAL_PAGE, 6, msg, LEN, got), ERR_AUTH);
	assert_err(seal_get(s, SEAL_FRAME, 5, msg, LEN, got), ERR_AUTH);
	assert_err(seal_get(store, SEAL_PAGE, 5, msg, LEN, got), ERR_AUTH);
	assert_err(seal_get(key, SEAL_PAGE, 5, msg, LEN, got), ERR_AUTH);
	assert_ok(seal_get(s, SEAL_PAGE, 5, msg, LEN, got));
}

/* More salts than keys are kept of. */
static void
test_many_salts(void **state UNUSED)
{
	enum { RUNS = 40 };
	struct seal *reader CLEANUP_SEAL = seal_of(1, uuid);
	uint8_t msg[RUNS][MSG], own[2][MSG], text[LEN] = { 0 }, got[LEN];

	for (uint8_t i = 0; i < RUNS; i++) {
		struct seal *s CLEANUP_SEAL = seal_of(1, uuid);

		text[0] = i;
		assert_ok(seal_put(s, SEAL_PAGE, i, text, LEN, msg[i]));
		for (uint8_t k = 0; k < i; k++)
			assert_memory_not_equal(
			    msg[i] + LEN, msg[k] + LEN, SEAL_SALTLEN);
	}
	for (unsigned n = 0; n < 10 * RUNS; n++) {
		const unsigned i = n * 7 % RUNS;

		assert_ok(seal_get(reader, SEAL_PAGE, i, msg[i], LEN, got));
		assert_int_equal(got[0], i);
		/* What it seals meanwhile keeps its own salt. */
		assert_ok(
		    seal_put(reader, SEAL_PAGE, n, text, LEN, own[n % 2]));
		if (n != 0)
			assert_memory_equal(
			    own[0] + LEN, own[1] + LEN, SEAL_SALTLEN);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_bound_to_its_place),
		cmocka_unit_test(test_many_salts),
	};

	assert_ok(secret_init());
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
