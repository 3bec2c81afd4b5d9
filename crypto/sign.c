/*
 * sign: Ed25519 as OpenSSL has it.
 */
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/sign.h"

static void
pkey_cleanup(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}
#define CLEANUP_PKEY CLEANUP(pkey_cleanup)

static void
md_cleanup(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}
#define CLEANUP_MD CLEANUP(md_cleanup)

enum err
sign_public(
    const uint8_t seed[static SIGN_SEED], uint8_t ret[static SIGN_PUBLIC])
{
	EVP_PKEY *k CLEANUP_PKEY = EVP_PKEY_new_raw_private_key(
	    EVP_PKEY_ED25519, NULL, seed, SIGN_SEED);
	size_t len = SIGN_PUBLIC;

	if (k == NULL)
		return ERR_NOMEM;
	if (EVP_PKEY_get_raw_public_key(k, ret, &len) != 1 ||
	    len != SIGN_PUBLIC)
		return ERR_CRYPTO;
	return OK;
}

enum err
sign_make(const uint8_t seed[static SIGN_SEED], const void *p, size_t len,
    uint8_t ret[static SIGN_SIGNATURE])
{
	EVP_PKEY *k CLEANUP_PKEY = EVP_PKEY_new_raw_private_key(
	    EVP_PKEY_ED25519, NULL, seed, SIGN_SEED);
	EVP_MD_CTX *c CLEANUP_MD = EVP_MD_CTX_new();
	size_t n = SIGN_SIGNATURE;

	if (k == NULL || c == NULL)
		return ERR_NOMEM;
	if (EVP_DigestSignInit(c, NULL, NULL, NULL, k) != 1 ||
	    EVP_DigestSign(c, ret, &n, p, len) != 1 || n != SIGN_SIGNATURE)
		return ERR_CRYPTO;
	return OK;
}

enum err
sign_check(const uint8_t public[static SIGN_PUBLIC], const void *p, size_t len,
    const uint8_t sig[static SIGN_SIGNATURE])
{
	EVP_PKEY *k CLEANUP_PKEY = EVP_PKEY_new_raw_public_key(
	    EVP_PKEY_ED25519, NULL, public, SIGN_PUBLIC);
	EVP_MD_CTX *c CLEANUP_MD = EVP_MD_CTX_new();
	int rc;

	if (k == NULL || c == NULL ||
	    EVP_DigestVerifyInit(c, NULL, NULL, NULL, k) != 1) {
		ERR_clear_error();
		return ERR_NOMEM;
	}
	rc = EVP_DigestVerify(c, sig, SIGN_SIGNATURE, p, len);
	ERR_clear_error();
	return rc == 1 ? OK : ERR_AUTH;
}
