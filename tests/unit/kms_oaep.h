/*
 * kms_oaep: wrapping material for import, as others do it.
 */
#ifndef TESTS_UNIT_KMS_OAEP_H
#define TESTS_UNIT_KMS_OAEP_H

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "kms/api.h"

/* As whoever has only the public key does it; returns the length. */
static inline size_t
oaep(const struct kms_import *to, enum kms_wrapping w, const void *msg,
    size_t len, uint8_t *ret)
{
	const EVP_MD *md = w == KMS_WRAP_OAEP_SHA1 || w == KMS_WRAP_AES_SHA1
			       ? EVP_sha1()
			       : EVP_sha256();
	const uint8_t *pub = to->public_key;
	EVP_PKEY *p = d2i_PUBKEY(NULL, &pub, (long)to->public_len);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(p, NULL);
	size_t n = KMS_IMPORT_WRAPPED_MAX;

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

#endif
