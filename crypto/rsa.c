/*
 * rsa: OpenSSL's RSA.  Its checks of the padding take one time whatever is
 * wrong, and it blinds the private operation.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/rsa.h"
#include "crypto/secret.h"

static void
pkey_free(EVP_PKEY **p)
{

	EVP_PKEY_free(*p);
}
#define CLEANUP_PKEY CLEANUP(pkey_free)

static void
context_free(EVP_PKEY_CTX **c)
{

	EVP_PKEY_CTX_free(*c);
}
#define CLEANUP_CONTEXT CLEANUP(context_free)

static enum err
failed(enum err e)
{

	ERR_clear_error();
	return e;
}

enum err
rsa_make(unsigned bits, uint8_t *ret_private, size_t *ret_len,
    uint8_t *ret_public, size_t *ret_publen)
{
	EVP_PKEY *pair CLEANUP_PKEY = NULL;
	int len;

	if (bits != 2048 && bits != 3072 && bits != 4096)
		return err_fail(
		    ERR_INVAL, "an RSA key has 2048, 3072 or 4096 bits");
	pair = EVP_RSA_gen(bits);
	if (pair == NULL)
		return failed(ERR_CRYPTO);
	len = i2d_PrivateKey(pair, NULL);
	if (len <= 0 || len > RSA_PRIVATE_MAX ||
	    i2d_PrivateKey(pair, &ret_private) != len)
		return failed(ERR_CRYPTO);
	*ret_len = (size_t)len;
	len = i2d_PUBKEY(pair, NULL);
	if (len <= 0 || len > RSA_PUBLIC_MAX ||
	    i2d_PUBKEY(pair, &ret_public) != len)
		return failed(ERR_CRYPTO);
	*ret_publen = (size_t)len;
	return OK;
}

/* A context that decrypts with this key, or NULL. */
static EVP_PKEY_CTX *
context_new(EVP_PKEY *pair, enum rsa_hash hash)
{
	const EVP_MD *md = hash == RSA_SHA1 ? EVP_sha1() : EVP_sha256();
	EVP_PKEY_CTX *c CLEANUP_CONTEXT = EVP_PKEY_CTX_new(pair, NULL);

	if (c == NULL || EVP_PKEY_decrypt_init(c) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(c, md) != 1 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md(c, md) != 1)
		return NULL;
	return steal(c);
}

enum err
rsa_open(const uint8_t *priv, size_t privlen, enum rsa_hash hash,
    const uint8_t *in, size_t len, uint8_t *ret, size_t *ret_len)
{
	EVP_PKEY *pair CLEANUP_PKEY =
	    d2i_PrivateKey(EVP_PKEY_RSA, NULL, &priv, (long)privlen);
	EVP_PKEY_CTX *c CLEANUP_CONTEXT = NULL;
	size_t n = RSA_MESSAGE_MAX;

	memset(ret, 0, RSA_MESSAGE_MAX);
	if (pair == NULL || EVP_PKEY_get_size(pair) > RSA_MESSAGE_MAX)
		return failed(ERR_CRYPTO);
	c = context_new(pair, hash);
	if (c == NULL)
		return failed(ERR_CRYPTO);
	if (len != (size_t)EVP_PKEY_get_size(pair) ||
	    EVP_PKEY_decrypt(c, ret, &n, in, len) != 1) {
		secret_wipe(ret, RSA_MESSAGE_MAX);
		return failed(ERR_AUTH);
	}
	*ret_len = n;
	return OK;
}

enum err
rsa_modulus(const uint8_t *priv, size_t privlen, size_t *ret)
{
	EVP_PKEY *pair CLEANUP_PKEY =
	    d2i_PrivateKey(EVP_PKEY_RSA, NULL, &priv, (long)privlen);

	if (pair == NULL)
		return failed(ERR_CRYPTO);
	*ret = (size_t)EVP_PKEY_get_size(pair);
	return OK;
}
