/* crypto/kdf: published vectors, and OpenSSL's own derivations. */
#include "tests/unit/crypto_vectors.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypto/kdf.h"
#include "crypto/rand.h"

#define OUT_MAX 10000

static void
hkdf_case(char *const f[VECTOR_FIELDS])
{
	static uint8_t out[OUT_MAX];
	struct bytes ikm CLEANUP_BYTES = vector_bytes(f[2]);
	struct bytes salt CLEANUP_BYTES = vector_bytes(f[3]);
	struct bytes info CLEANUP_BYTES = vector_bytes(f[4]);
	struct bytes okm CLEANUP_BYTES = vector_bytes(f[6]);
	const size_t size = strtoul(f[5], NULL, 10);

	assert_true(size <= OUT_MAX);
	const enum err e = hkdf_sha256(
	    ikm.p, ikm.len, salt.p, salt.len, info.p, info.len, out, size);
	if (!vector_valid(f)) {
		assert_int_equal(e, ERR_INVAL);
		return;
	}
	assert_int_equal(e, OK);
	assert_int_equal(size, okm.len);
	assert_memory_equal(out, okm.p, size);
}

static void
test_hkdf(void **state UNUSED)
{
	assert_int_equal(vectors_each("hkdf_sha256.txt", 7, hkdf_case), 86);
}

/* What OpenSSL derives with the parameters ${p}. */
static void
openssl_derive(
    const char *kdf_name, const OSSL_PARAM *p, uint8_t *ret, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
	EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);

	assert_non_null(c);
	assert_int_equal(EVP_KDF_derive(c, ret, len, p), 1);
	EVP_KDF_CTX_free(c);
	EVP_KDF_free(kdf);
}

static OSSL_PARAM
octets(const char *name, uint8_t *p, size_t len)
{
	return OSSL_PARAM_construct_octet_string(name, p, len);
}

static OSSL_PARAM
text(const char *name, char *s)
{
	return OSSL_PARAM_construct_utf8_string(name, s, 0);
}

static void
test_hkdf_label(void **state UNUSED)
{
	char digest[] = "SHA256", mode[] = "EXPAND_ONLY";
	uint8_t in[KEY_LEN], info[] = "label\0context", want[100], got[100];

	for (size_t len = 1; len <= sizeof(got); len += 9) {
		rand_bytes(in, sizeof(in));
		const OSSL_PARAM p[] = {
			text(OSSL_KDF_PARAM_DIGEST, digest),
			text(OSSL_KDF_PARAM_MODE, mode),
			octets(OSSL_KDF_PARAM_KEY, in, sizeof(in)),
			octets(OSSL_KDF_PARAM_INFO, info, sizeof(info) - 1),
			OSSL_PARAM_construct_end(),
		};
		openssl_derive("HKDF", p, want, len);
		assert_int_equal(
		    hkdf_label(in, "label", "context", 7, got, len), OK);
		assert_memory_equal(got, want, len);
	}
	assert_int_equal(hkdf_label(in, "label", NULL, 0, got, 32), OK);
	assert_int_equal(hkdf_label(in, "l", "abel", 4, want, 32), OK);
	assert_memory_not_equal(got, want, 32);
	assert_int_equal(
	    hkdf_label(in, "l", NULL, 0, got, 255 * 32 + 1), ERR_INVAL);
}

static void
test_kbkdf(void **state UNUSED)
{
	char digest[] = "SHA256", mac[] = "HMAC", mode[] = "counter";
	uint8_t key[100], label[60], ctx[60], want[200], got[200];

	rand_bytes(key, sizeof(key));
	rand_bytes(label, sizeof(label));
	rand_bytes(ctx, sizeof(ctx));
	for (size_t len = 1; len <= sizeof(got); len += 13) {
		const size_t keylen = 1 + len / 2;
		const size_t labellen = 1 + len % 60, ctxlen = 1 + len * 7 % 60;
		const OSSL_PARAM p[] = {
			text(OSSL_KDF_PARAM_DIGEST, digest),
			text(OSSL_KDF_PARAM_MAC, mac),
			text(OSSL_KDF_PARAM_MODE, mode),
			octets(OSSL_KDF_PARAM_KEY, key, keylen),
			octets(OSSL_KDF_PARAM_SALT, label, labellen),
			octets(OSSL_KDF_PARAM_INFO, ctx, ctxlen),
			OSSL_PARAM_construct_end(),
		};
		openssl_derive("KBKDF", p, want, len);
		assert_int_equal(kbkdf_ctr_hmac_sha256(key, keylen, label,
				     labellen, ctx, ctxlen, got, len),
		    OK);
		assert_memory_equal(got, want, len);
	}
}

/* Known answers of the reference implementation's own test, version 0x13. */
static void
test_argon2id(void **state UNUSED)
{
	static const struct {
		uint32_t t, m, p;
		const char *pass, *salt, *out;
	} cases[] = {
		{ 2, 256, 1, "password", "somesalt",
		    "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5"
		    "b3021c68bfe" },
		{ 2, 256, 2, "password", "somesalt",
		    "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff953"
		    "9da2bf57037" },
		{ 2, 65536, 1, "password", "somesalt",
		    "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b65"
		    "66f61913cf7" },
	};
	uint8_t out[KEY_LEN], other[KEY_LEN];
	char hex[2 * KEY_LEN + 1];

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		assert_int_equal(argon2id(cases[i].pass, strlen(cases[i].pass),
				     cases[i].salt, strlen(cases[i].salt),
				     cases[i].t, cases[i].m, cases[i].p, out),
		    OK);
		hex_encode(out, KEY_LEN, hex);
		assert_string_equal(hex, cases[i].out);
	}
	assert_int_equal(argon2id("", 0, "somesalt", 8, 1, 8, 1, other), OK);
	assert_memory_not_equal(out, other, KEY_LEN);
	assert_int_equal(
	    argon2id("p", 1, "somesal", 7, 1, 8, 1, out), ERR_INVAL);
	assert_int_equal(
	    argon2id("p", 1, "somesalt", 8, 0, 8, 1, out), ERR_INVAL);
	assert_int_equal(
	    argon2id("p", 1, "somesalt", 8, 17, 8, 1, out), ERR_INVAL);
	assert_int_equal(
	    argon2id("p", 1, "somesalt", 8, 1, 7, 1, out), ERR_INVAL);
	assert_int_equal(
	    argon2id("p", 1, "somesalt", 8, 1, 8, 2, out), ERR_INVAL);
	assert_int_equal(
	    argon2id("p", 1, "somesalt", 8, 1, 8, 17, out), ERR_INVAL);
}

static int
setup(void **state UNUSED)
{
	return secret_init() == OK ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hkdf),
		cmocka_unit_test(test_hkdf_label),
		cmocka_unit_test(test_kbkdf),
		cmocka_unit_test(test_argon2id),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
