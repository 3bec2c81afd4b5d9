/* crypto/sign: the vectors of RFC 8032, 7.1, and every bit flipped. */
#include "tests/unit/crypto_vectors.h"

#include "crypto/sign.h"
#include "lib/base/codec.h"

static const struct {
	const char *seed, *public, *msg, *sig;
} vectors[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
	    "",
	    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
	    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100"
	    "b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
	    "72",
	    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
	    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c0"
	    "0" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
	    "af82",
	    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
	    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40"
	    "a" },
};

struct signed_text {
	uint8_t seed[SIGN_SEED], public[SIGN_PUBLIC], sig[SIGN_SIGNATURE];
	uint8_t msg[4];
	size_t len;
};

static void
unhex(unsigned i, struct signed_text *t)
{
	t->len = strlen(vectors[i].msg) / 2;
	assert_int_equal(
	    hex_decode(vectors[i].seed, 64, t->seed, SIGN_SEED), OK);
	assert_int_equal(
	    hex_decode(vectors[i].public, 64, t->public, SIGN_PUBLIC), OK);
	assert_int_equal(
	    hex_decode(vectors[i].sig, 128, t->sig, SIGN_SIGNATURE), OK);
	if (t->len > 0)
		assert_int_equal(
		    hex_decode(vectors[i].msg, 2 * t->len, t->msg, t->len), OK);
}

static void
test_vectors(void **state UNUSED)
{
	uint8_t public[SIGN_PUBLIC], sig[SIGN_SIGNATURE];
	struct signed_text t;

	for (unsigned i = 0; i < COUNTOF(vectors); i++) {
		unhex(i, &t);
		assert_int_equal(sign_public(t.seed, public), OK);
		assert_memory_equal(public, t.public, SIGN_PUBLIC);
		assert_int_equal(sign_make(t.seed, t.msg, t.len, sig), OK);
		assert_memory_equal(sig, t.sig, SIGN_SIGNATURE);
		assert_int_equal(sign_check(public, t.msg, t.len, sig), OK);
	}
}

static void
test_flips(void **state UNUSED)
{
	struct signed_text t;

	unhex(2, &t);
	for (unsigned i = 0; i < 8 * SIGN_SIGNATURE; i++) {
		t.sig[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
		    sign_check(t.public, t.msg, t.len, t.sig), ERR_AUTH);
		t.sig[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (unsigned i = 0; i < 8 * t.len; i++) {
		t.msg[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
		    sign_check(t.public, t.msg, t.len, t.sig), ERR_AUTH);
		t.msg[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(sign_check(t.public, t.msg, 1, t.sig), ERR_AUTH);
	for (unsigned i = 0; i < 8 * SIGN_PUBLIC; i++) {
		t.public[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_not_equal(
		    sign_check(t.public, t.msg, t.len, t.sig), OK);
		t.public[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(sign_check(t.public, t.msg, t.len, t.sig), OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_flips),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
