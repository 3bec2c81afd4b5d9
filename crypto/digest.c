/*
 * digest: SHA-256 and MD5 are OpenSSL's low-level functions, which OpenSSL 3
 * calls deprecated in favour of EVP.  EVP costs three to five times as much on
 * the messages of one or two blocks that HMAC and HKDF are made of, several of
 * them for every file that is created.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <stdlib.h>
#include <string.h>

#include <openssl/md5.h>
#include <openssl/sha.h>

#include "crypto/digest.h"
#include "crypto/secret.h"
#include "lib/base/buf.h"

#define SHA256_BLOCK 64
#define SHA256_PAD 9 /* a bit, and the length: eight bytes */

_Static_assert(
    sizeof(SHA256_CTX) <= sizeof(struct sha256_ctx), "OpenSSL's context fits");
_Static_assert(
    sizeof(MD5_CTX) <= sizeof(struct md5_ctx), "OpenSSL's context fits");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct sha256_ctx) &&
		   _Alignof(MD5_CTX) <= _Alignof(struct md5_ctx),
    "OpenSSL's context is aligned");
_Static_assert(
    HMAC_SHORT == 2 * SHA256_BLOCK - SHA256_PAD, "short is two blocks");

static SHA256_CTX *
sha(struct sha256_ctx *c)
{
	return (SHA256_CTX *)(void *)c;
}

void
sha256_begin(struct sha256_ctx *c)
{
	(void)SHA256_Init(sha(c));
}

void
sha256_add(struct sha256_ctx *c, const void *p, size_t len)
{
	(void)SHA256_Update(sha(c), p, len);
}

void
sha256_end(struct sha256_ctx *c, uint8_t ret[static SHA256_LEN])
{
	(void)SHA256_Final(ret, sha(c));
}

void
sha256(const void *p, size_t len, uint8_t ret[static SHA256_LEN])
{
	struct sha256_ctx c;

	sha256_begin(&c);
	sha256_add(&c, p, len);
	sha256_end(&c, ret);
	secret_wipe(&c, sizeof(c));
}

/* ---- HMAC ---------------------------------------------------------------- */

void
hmac_key_set(struct hmac_key *k, const void *key, size_t len)
{
	WIPED(uint8_t, block, SHA256_BLOCK);

	if (len > SHA256_BLOCK)
		sha256(key, len, block);
	else if (len > 0)
		memcpy(block, key, len);
	for (size_t i = 0; i < SHA256_BLOCK; i++)
		block[i] ^= 0x36;
	sha256_begin(&k->inner);
	sha256_add(&k->inner, block, SHA256_BLOCK);
	for (size_t i = 0; i < SHA256_BLOCK; i++)
		block[i] ^= 0x36 ^ 0x5c;
	sha256_begin(&k->outer);
	sha256_add(&k->outer, block, SHA256_BLOCK);
}

void
hmac_begin(struct hmac_ctx *c, const struct hmac_key *k)
{
	c->c = k->inner;
	c->k = k;
}

void
hmac_add(struct hmac_ctx *c, const void *p, size_t len)
{
	sha256_add(&c->c, p, len);
}

void
hmac_end(struct hmac_ctx *c, uint8_t ret[static SHA256_LEN])
{
	uint8_t inner[SHA256_LEN];

	sha256_end(&c->c, inner);
	c->c = c->k->outer;
	sha256_add(&c->c, inner, sizeof(inner));
	sha256_end(&c->c, ret);
	secret_wipe(inner, sizeof(inner));
	secret_wipe(c, sizeof(*c));
}

/*
 * Take the last ${len} bytes of a message after a block that is in ${c}
 * already.  ${b} holds them and has room for two blocks.  Whole blocks pass through
 * SHA256_Update without its buffer; padding them here spares SHA256_Final,
 * which costs as much as the hashing.
 */
static void
last_blocks(struct sha256_ctx *c, uint8_t *b, size_t len,
    uint8_t ret[static SHA256_LEN])
{
	const size_t n =
	    len + SHA256_PAD > SHA256_BLOCK ? 2 * SHA256_BLOCK : SHA256_BLOCK;

	b[len] = 0x80;
	memset(b + len + 1, 0, n - 8 - len - 1);
	put_u64(b + n - 8, 8 * (SHA256_BLOCK + (uint64_t)len));
	(void)SHA256_Update(sha(c), b, n);
	for (size_t i = 0; i < SHA256_LEN / 4; i++)
		put_u32(ret + 4 * i, sha(c)->h[i]);
}

void
hmac_short(const struct hmac_key *k, const void *p, size_t len,
    uint8_t ret[static SHA256_LEN])
{
	struct {
		struct sha256_ctx c;
		uint8_t b[2 * SHA256_BLOCK];
	} w UNINIT;

	if (len > HMAC_SHORT)
		abort();
	w.c = k->inner;
	if (len > 0)
		memcpy(w.b, p, len);
	last_blocks(&w.c, w.b, len, w.b);
	w.c = k->outer;
	last_blocks(&w.c, w.b, SHA256_LEN, ret);
	secret_wipe(&w, sizeof(w));
}

static void
hmac_long(const struct hmac_key *k, const void *p, size_t len,
    uint8_t ret[static SHA256_LEN])
{
	struct hmac_ctx c;

	hmac_begin(&c, k);
	hmac_add(&c, p, len);
	hmac_end(&c, ret);
}

void
hmac_sha256(const void *key, size_t keylen, const void *p, size_t len,
    uint8_t ret[static SHA256_LEN])
{
	struct hmac_key k UNINIT;

	hmac_key_set(&k, key, keylen);
	if (len > 0 && len <= HMAC_SHORT)
		hmac_short(&k, p, len, ret);
	else
		hmac_long(&k, p, len, ret);
	secret_wipe(&k, sizeof(k));
}

/* ---- MD5 ----------------------------------------------------------------- */

static MD5_CTX *
md5(struct md5_ctx *c)
{
	return (MD5_CTX *)(void *)c;
}

void
md5_begin(struct md5_ctx *c)
{
	(void)MD5_Init(md5(c));
}

void
md5_add(struct md5_ctx *c, const void *p, size_t len)
{
	(void)MD5_Update(md5(c), p, len);
}

void
md5_end(struct md5_ctx *c, uint8_t ret[static MD5_LEN])
{
	(void)MD5_Final(ret, md5(c));
}
