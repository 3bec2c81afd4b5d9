/* crypto/rsa: published vectors, every size, every byte of a message. */
#include "tests/unit/crypto_vectors.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/rsa.h"
#include "crypto/secret.h"

static struct bytes key;
static uint8_t out[RSA_MESSAGE_MAX];
static const uint8_t zeros[RSA_MESSAGE_MAX];

static void
oaep_case(char *const f[VECTOR_FIELDS])
{
	struct bytes msg CLEANUP_BYTES = vector_bytes(f[2]);
	struct bytes ct CLEANUP_BYTES = vector_bytes(f[3]);
	size_t len = 0;
	enum err e;

	if (strcmp(f[1], "key") == 0) {
		key = vector_bytes(f[2]);
		return;
	}
	e = rsa_open(key.p, key.len, RSA_SHA256, ct.p, ct.len, out, &len);
	if (vector_valid(f)) {
		assert_int_equal(e, OK);
		assert_int_equal(len, msg.len);
		assert_memory_equal(out, msg.p, len);
		return;
	}
	assert_int_equal(e, ERR_AUTH);
	assert_memory_equal(out, zeros, sizeof(out));
}

static void
test_vectors(void **state UNUSED)
{

	assert_int_equal(vectors_each("rsa_oaep.txt", 4, oaep_case), 1 + 29);
	bytes_free(&key);
}

/* As whoever has only the public key does it. */
static size_t
encrypt(const uint8_t *pub, size_t publen, const EVP_MD *md, const void *msg,
    size_t len, uint8_t *ret)
{
	EVP_PKEY *p = d2i_PUBKEY(NULL, &pub, (long)publen);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(p, NULL);
	size_t n = RSA_MESSAGE_MAX;

	assert_non_null(p);
	assert_int_equal(EVP_PKEY_encrypt_init(c), 1);
	assert_int_equal(
	    EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(c, md), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(c, md), 1);
	assert_int_equal(EVP_PKEY_encrypt(c, ret, &n, msg, len), 1);
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(p);
	return n;
}

static void
test_sizes(void **state UNUSED)
{
	static const unsigned bits[] = { 2048, 3072, 4096 };
	uint8_t priv[RSA_PRIVATE_MAX], pub[RSA_PUBLIC_MAX];
	uint8_t ct[RSA_MESSAGE_MAX];
	size_t privlen, publen, len, n = 0, m;

	for (size_t i = 0; i < COUNTOF(bits); i++) {
		assert_int_equal(
		    rsa_make(bits[i], priv, &privlen, pub, &publen), OK);
		assert_int_equal(rsa_modulus(priv, privlen, &m), OK);
		assert_int_equal(m, bits[i] / 8);
		n = encrypt(pub, publen, EVP_sha1(), "message", 7, ct);
		assert_int_equal(n, m);
		assert_int_equal(
		    rsa_open(priv, privlen, RSA_SHA1, ct, n, out, &len), OK);
		assert_int_equal(len, 7);
		assert_memory_equal(out, "message", 7);
		/* The hash is part of it. */
		assert_int_equal(
		    rsa_open(priv, privlen, RSA_SHA256, ct, n, out, &len),
		    ERR_AUTH);
		for (size_t at = 0; at < n; at += 37) {
			ct[at] ^= 1;
			assert_int_equal(
			    rsa_open(priv, privlen, RSA_SHA1, ct, n, out, &len),
			    ERR_AUTH);
			assert_memory_equal(out, zeros, sizeof(out));
			ct[at] ^= 1;
		}
		assert_int_equal(
		    rsa_open(priv, privlen, RSA_SHA1, ct, n - 1, out, &len),
		    ERR_AUTH);
	}
	assert_int_equal(
	    rsa_make(1024, priv, &privlen, pub, &publen), ERR_INVAL);
	assert_int_equal(
	    rsa_open(pub, publen, RSA_SHA1, ct, n, out, &len), ERR_CRYPTO);
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
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
