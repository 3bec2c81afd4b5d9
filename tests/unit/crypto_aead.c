/*
 * crypto/aead: published vectors, every bit flip, threads, forked children; all
 * of it in each way of crypto/gcm.h that the processor has the instructions
 * for, and with OpenSSL.
 */
#include "tests/unit/crypto_vectors.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "crypto/aead_internal.h"
#include "crypto/gcm.h"
#include "crypto/rand.h"

static struct aead *
key_of(uint8_t fill)
{
	uint8_t key[KEY_LEN];
	struct aead *a = NULL;

	memset(key, fill, sizeof(key));
	assert_int_equal(aead_new(key, &a), OK);
	return a;
}

static void
check_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], 0);
}

static void
gcm_case(char *const f[VECTOR_FIELDS])
{
	struct bytes key CLEANUP_BYTES = vector_bytes(f[2]);
	struct bytes nonce CLEANUP_BYTES = vector_bytes(f[3]);
	struct bytes ad CLEANUP_BYTES = vector_bytes(f[4]);
	struct bytes msg CLEANUP_BYTES = vector_bytes(f[5]);
	struct bytes ct CLEANUP_BYTES = vector_bytes(f[6]);
	struct bytes tag CLEANUP_BYTES = vector_bytes(f[7]);
	uint8_t *out CLEANUP_FREE = malloc(ct.len + 1);
	uint8_t got[AEAD_TAGLEN];
	struct aead *a CLEANUP_AEAD = NULL;

	assert_non_null(out);
	assert_int_equal(aead_new(key.p, &a), OK);
	const enum err e =
	    aead_open(a, nonce.p, ad.p, ad.len, ct.p, ct.len, tag.p, out);
	if (!vector_valid(f)) {
		assert_int_equal(e, ERR_AUTH);
		check_zero(out, ct.len);
		return;
	}
	assert_int_equal(e, OK);
	assert_memory_equal(out, msg.p, msg.len);
	assert_int_equal(
	    aead_seal(a, nonce.p, ad.p, ad.len, msg.p, msg.len, out, got), OK);
	assert_memory_equal(out, ct.p, ct.len);
	assert_memory_equal(got, tag.p, AEAD_TAGLEN);
}

static void
test_vectors(void **state UNUSED)
{
	assert_int_equal(vectors_each("aes_gcm.txt", 8, gcm_case), 66);
}

static void
test_messages(void **state UNUSED)
{
	static uint8_t in[5000], msg[5000 + AEAD_OVERHEAD], out[5000];
	struct aead *a CLEANUP_AEAD = key_of(1);
	struct aead *b CLEANUP_AEAD = key_of(2);

	rand_bytes(in, sizeof(in));
	for (size_t len = 0; len <= sizeof(in); len += len < 70 ? 1 : 493) {
		assert_int_equal(aead_seal_msg(a, "ad", 2, in, len, msg), OK);
		assert_int_equal(
		    aead_open_msg(a, "ad", 2, msg, len + AEAD_OVERHEAD, out),
		    OK);
		assert_memory_equal(in, out, len);
		assert_int_equal(
		    aead_open_msg(b, "ad", 2, msg, len + AEAD_OVERHEAD, out),
		    ERR_AUTH);
		check_zero(out, len);
	}
	for (size_t len = 0; len < AEAD_OVERHEAD; len++)
		assert_int_equal(
		    aead_open_msg(a, "ad", 2, msg, len, out), ERR_AUTH);
}

/* A key for one message gives what a kept one does, again and again. */
static void
test_once(void **state UNUSED)
{
	uint8_t key[KEY_LEN], nonce[AEAD_NONCELEN], tag[AEAD_TAGLEN];
	uint8_t tag2[AEAD_TAGLEN], text[100], sealed[100], sealed2[100];
	uint8_t opened[100];

	memset(text, 3, sizeof(text));
	memset(nonce, 9, sizeof(nonce));
	for (uint8_t i = 0; i < 8; i++) {
		struct aead *a CLEANUP_AEAD = key_of(i);

		memset(key, i, sizeof(key));
		assert_int_equal(aead_seal(a, nonce, "ad", 2, text,
				     sizeof(text), sealed, tag),
		    OK);
		assert_int_equal(aead_seal_once(key, nonce, "ad", 2, text,
				     sizeof(text), sealed2, tag2),
		    OK);
		assert_memory_equal(sealed, sealed2, sizeof(sealed));
		assert_memory_equal(tag, tag2, sizeof(tag));
		assert_int_equal(aead_open_once(key, nonce, "ad", 2, sealed,
				     sizeof(sealed), tag, opened),
		    OK);
		assert_memory_equal(opened, text, sizeof(text));
		tag[i] ^= 1;
		assert_int_equal(aead_open_once(key, nonce, "ad", 2, sealed,
				     sizeof(sealed), tag, opened),
		    ERR_AUTH);
		check_zero(opened, sizeof(opened));
		key[31] ^= 1;
		assert_int_equal(aead_open_once(key, nonce, "ad", 2, sealed,
				     sizeof(sealed), tag2, opened),
		    ERR_AUTH);
	}
}

/* Any one bit of nonce, text, tag or associated data; any cut. */
static void
test_every_bit(void **state UNUSED)
{
	uint8_t in[100], ad[20], msg[100 + AEAD_OVERHEAD], out[100];
	struct aead *a CLEANUP_AEAD = key_of(3);

	rand_bytes(in, sizeof(in));
	rand_bytes(ad, sizeof(ad));
	assert_int_equal(aead_seal_msg(a, ad, 20, in, 100, msg), OK);
	for (size_t i = 0; i < sizeof(msg) * 8; i++) {
		memset(out, 0xff, sizeof(out));
		msg[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(
		    aead_open_msg(a, ad, 20, msg, sizeof(msg), out), ERR_AUTH);
		check_zero(out, sizeof(out));
		msg[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t i = 0; i < sizeof(ad) * 8; i++) {
		ad[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(
		    aead_open_msg(a, ad, 20, msg, sizeof(msg), out), ERR_AUTH);
		ad[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t len = 0; len < sizeof(msg); len++)
		assert_int_equal(
		    aead_open_msg(a, ad, 20, msg, len, out), ERR_AUTH);
	assert_int_equal(
	    aead_open_msg(a, ad, 19, msg, sizeof(msg), out), ERR_AUTH);
	assert_int_equal(
	    aead_open_msg(a, NULL, 0, msg, sizeof(msg), out), ERR_AUTH);
	/* And the key still works. */
	assert_int_equal(aead_open_msg(a, ad, 20, msg, sizeof(msg), out), OK);
	assert_memory_equal(in, out, sizeof(in));
}

static void
test_in_place_and_empty(void **state UNUSED)
{
	static const uint8_t nonce[AEAD_NONCELEN] = { 7 };
	uint8_t in[64], p[64], tag[AEAD_TAGLEN], mac[AEAD_TAGLEN];
	struct aead *a CLEANUP_AEAD = key_of(4);

	rand_bytes(in, sizeof(in));
	memcpy(p, in, sizeof(p));
	assert_int_equal(aead_seal(a, nonce, NULL, 0, p, 64, p, tag), OK);
	assert_memory_not_equal(p, in, 64);
	assert_int_equal(aead_open(a, nonce, NULL, 0, p, 64, tag, p), OK);
	assert_memory_equal(p, in, 64);
	tag[0] ^= 1;
	assert_int_equal(aead_open(a, nonce, NULL, 0, p, 64, tag, p), ERR_AUTH);
	check_zero(p, 64);
	/* Nothing to encrypt: a MAC. */
	assert_int_equal(aead_seal(a, nonce, "x", 1, NULL, 0, NULL, mac), OK);
	assert_int_equal(aead_open(a, nonce, "x", 1, NULL, 0, mac, NULL), OK);
	assert_int_equal(
	    aead_open(a, nonce, "y", 1, NULL, 0, mac, NULL), ERR_AUTH);
	assert_int_equal(aead_seal(a, nonce, NULL, 0, NULL, 0, NULL, mac), OK);
	assert_int_equal(aead_open(a, nonce, NULL, 0, NULL, 0, mac, NULL), OK);
	aead_free(NULL);
}

#define THREADS 12

static void *
work(void *arg)
{
	struct aead *a = arg;
	uint8_t in[600], msg[600 + AEAD_OVERHEAD], out[600];

	for (uint32_t i = 0; i < 2000; i++) {
		const size_t len = i % 600;
		memset(in, (int)i, len);
		if (aead_seal_msg(a, &i, sizeof(i), in, len, msg) != OK ||
		    aead_open_msg(a, &i, sizeof(i), msg, len + AEAD_OVERHEAD,
			out) != OK ||
		    memcmp(in, out, len) != 0)
			return arg;
		msg[i % (len + AEAD_OVERHEAD)] ^= 1;
		if (aead_open_msg(a, &i, sizeof(i), msg, len + AEAD_OVERHEAD,
			out) != ERR_AUTH)
			return arg;
	}
	return NULL;
}

static void
test_threads(void **state UNUSED)
{
	struct aead *a CLEANUP_AEAD = key_of(5);
	pthread_t t[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, work, a), 0);
	for (size_t i = 0; i < THREADS; i++) {
		void *bad = NULL;
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
}

/* A child has no key left: it must fail, not seal under zeroes. */
static void
test_fork(void **state UNUSED)
{
	uint8_t msg[1 + AEAD_OVERHEAD];
	struct aead *a CLEANUP_AEAD = key_of(6);
	int status = 0;

	assert_int_equal(aead_seal_msg(a, NULL, 0, "x", 1, msg), OK);
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct aead *mine = NULL;
		const uint8_t key[KEY_LEN] = { 9 };
		if (aead_seal_msg(a, NULL, 0, "x", 1, msg) != ERR_CRYPTO)
			_exit(1);
		if (aead_new(key, &mine) != OK ||
		    aead_seal_msg(mine, NULL, 0, "x", 1, msg) != OK)
			_exit(2);
		aead_free(mine);
		aead_free(a);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(aead_seal_msg(a, NULL, 0, "x", 1, msg), OK);
}

/* ---- Expanded keys and key memory ---------------------------------------- */

#define ALL_BLOCKS 10000

/* Key memory, taken until none is left. */
struct hog {
	void *p[ALL_BLOCKS];
	size_t n;
};

static void
hog_take(struct hog *h)
{
	for (h->n = 0; h->n < ALL_BLOCKS; h->n++) {
		h->p[h->n] = secret_alloc(sizeof(struct gcm_key));
		if (h->p[h->n] == NULL)
			return;
	}
	fail_msg("key memory has no end");
}

static void
hog_free(struct hog *h)
{
	while (h->n > 0)
		secret_free(h->p[--h->n]);
}

static const struct gcm *way; /* of this round; NULL: OpenSSL */

/* What ${n} keys in use hold of it. */
static size_t
held(size_t n)
{
	if (way == NULL)
		return 0;
	return n < AEAD_HELD_MAX ? n : AEAD_HELD_MAX;
}

/* How many expanded keys fit into what is free. */
static size_t
room(void)
{
	static struct hog h;

	hog_take(&h);
	const size_t n = h.n;
	hog_free(&h);
	return n;
}

static void
use(struct aead *a)
{
	uint8_t in[100], msg[100 + AEAD_OVERHEAD], out[100];

	rand_bytes(in, sizeof(in));
	assert_int_equal(aead_seal_msg(a, "ad", 2, in, sizeof(in), msg), OK);
	assert_int_equal(aead_open_msg(a, "ad", 2, msg, sizeof(msg), out), OK);
	assert_memory_equal(in, out, sizeof(in));
	msg[50] ^= 1;
	assert_int_equal(
	    aead_open_msg(a, "ad", 2, msg, sizeof(msg), out), ERR_AUTH);
}

/* An expanded key comes with the first use and goes with a rest. */
static void
test_rest(void **state UNUSED)
{
	struct aead *a CLEANUP_AEAD = key_of(7);
	const size_t before = room();

	aead_rest(NULL);
	aead_rest(a);
	for (unsigned i = 0; i < 3; i++) {
		use(a);
		use(a);
		assert_int_equal(room(), before - held(1));
		aead_rest(a);
		assert_int_equal(room(), before);
	}
	use(a);
}

/* Keys beyond the limit work, and leave the rest of key memory alone. */
static void
test_many(void **state UNUSED)
{
	static struct aead *a[AEAD_HELD_MAX + 50];
	const size_t n = sizeof(a) / sizeof(a[0]);

	for (size_t i = 0; i < n; i++)
		a[i] = key_of((uint8_t)i);
	const size_t before = room();
	for (unsigned turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < n; i++)
			use(a[i]);
		assert_int_equal(room(), before - held(n));
		for (size_t i = 0; i < n; i++)
			aead_rest(a[i]);
		assert_int_equal(room(), before);
	}
	for (size_t i = 0; i < n; i++)
		aead_free(a[i]);
}

/* With no key memory left, OpenSSL does it, which has its own. */
static void
test_no_room(void **state UNUSED)
{
	static struct hog h;
	struct aead *a CLEANUP_AEAD = key_of(8);
	const uint8_t key[KEY_LEN] = { 1 }, nonce[AEAD_NONCELEN] = { 2 };
	uint8_t out[3], tag[AEAD_TAGLEN], sealed[3], want_tag[AEAD_TAGLEN];

	assert_int_equal(
	    aead_seal_once(key, nonce, "ad", 2, "abc", 3, sealed, want_tag),
	    OK);
	hog_take(&h);
	for (unsigned i = 0; i < 5; i++)
		use(a);
	assert_int_equal(
	    aead_seal_once(key, nonce, "ad", 2, "abc", 3, out, tag), OK);
	assert_memory_equal(out, sealed, 3);
	assert_memory_equal(tag, want_tag, AEAD_TAGLEN);
	assert_int_equal(
	    aead_open_once(key, nonce, "ad", 2, sealed, 3, tag, out), OK);
	assert_memory_equal(out, "abc", 3);
	tag[0] ^= 1;
	assert_int_equal(
	    aead_open_once(key, nonce, "ad", 2, sealed, 3, tag, out), ERR_AUTH);
	check_zero(out, 3);
	hog_free(&h);
	use(a);
}

/* ---- Both ways ----------------------------------------------------------- */

static int
setup(void **state UNUSED)
{
	aead_use(way);
	return secret_init() == OK ? 0 : -1;
}

/* What this way sealed, OpenSSL opens, and the other way round. */
static void
test_both(void **state UNUSED)
{
	static uint8_t in[5000], out[5000];
	static uint8_t msg[5000 + AEAD_OVERHEAD];
	struct aead *a CLEANUP_AEAD = key_of(9);

	aead_use(NULL);
	struct aead *b CLEANUP_AEAD = key_of(9);
	aead_use(way);
	rand_bytes(in, sizeof(in));
	for (size_t len = 0; len < sizeof(in); len += len < 600 ? 7 : 401) {
		const size_t msglen = len + AEAD_OVERHEAD;
		assert_int_equal(aead_seal_msg(a, in, 50, in, len, msg), OK);
		assert_int_equal(
		    aead_open_msg(b, in, 50, msg, msglen, out), OK);
		assert_memory_equal(in, out, len);
		assert_int_equal(aead_seal_msg(b, in, 50, in, len, msg), OK);
		assert_int_equal(
		    aead_open_msg(a, in, 50, msg, msglen, out), OK);
		assert_memory_equal(in, out, len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_in_place_and_empty),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_both),
	};
	int failed = cmocka_run_group_tests_name("OpenSSL", tests, setup, NULL);

	for (size_t i = 0; gcm_ways[i] != NULL; i++) {
		way = gcm_ways[i];
		if (way->usable())
			failed += cmocka_run_group_tests_name(
			    way->name, tests, setup, NULL);
		else
			printf(
			    "1..0 # SKIP the processor has no %s\n", way->name);
	}
	return failed;
}
