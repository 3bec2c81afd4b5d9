/*
 * wrap: OpenSSL's AES-256-WRAP-PAD with its fixed initial value.
 */
#include <pthread.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/wrap.h"

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *kwp; /* set once; lives as long as the process */

static void
fetch(void)
{
	kwp = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
}

static void
context_free(EVP_CIPHER_CTX **c)
{
	EVP_CIPHER_CTX_free(*c);
}
#define CLEANUP_CONTEXT CLEANUP(context_free)

/* A context keyed for the direction ${enc}, or NULL. */
static EVP_CIPHER_CTX *
context_new(const uint8_t *kek, int enc)
{
	(void)pthread_once(&fetch_once, fetch);
	if (kwp == NULL)
		return NULL;
	EVP_CIPHER_CTX *c CLEANUP_CONTEXT = EVP_CIPHER_CTX_new();
	if (c == NULL)
		return NULL;
	EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_CipherInit_ex2(c, kwp, kek, NULL, enc, NULL) != 1)
		return NULL;
	return steal(c);
}

enum err
kwp_wrap(
    const uint8_t kek[static KEY_LEN], const void *in, size_t len, uint8_t *ret)
{
	int n = 0;

	if (len == 0 || len > KWP_MAX)
		return ERR_INVAL;
	EVP_CIPHER_CTX *c CLEANUP_CONTEXT = context_new(kek, 1);
	if (c == NULL || EVP_CipherUpdate(c, ret, &n, in, (int)len) != 1 ||
	    (size_t)n != KWP_SIZE(len)) {
		ERR_clear_error();
		return ERR_CRYPTO;
	}
	return OK;
}

enum err
kwp_unwrap(const uint8_t kek[static KEY_LEN], const uint8_t *in, size_t inlen,
    uint8_t *ret, size_t *ret_len)
{
	/* OpenSSL may write a block more than it keeps. */
	WIPED(uint8_t, out, KWP_SIZE(KWP_MAX));
	int n = 0;

	if (inlen < KWP_SIZE(1) || inlen > KWP_SIZE(KWP_MAX) || inlen % 8 != 0)
		return ERR_AUTH;
	memset(ret, 0, inlen - 8);
	EVP_CIPHER_CTX *c CLEANUP_CONTEXT = context_new(kek, 0);
	if (c == NULL) {
		ERR_clear_error();
		return ERR_CRYPTO;
	}
	if (EVP_CipherUpdate(c, out, &n, in, (int)inlen) != 1 || n <= 0 ||
	    (size_t)n > inlen - 8) {
		ERR_clear_error();
		return ERR_AUTH;
	}
	memcpy(ret, out, (size_t)n);
	*ret_len = (size_t)n;
	return OK;
}
