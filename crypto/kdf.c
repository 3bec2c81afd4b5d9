/*
 * kdf: derivations are a few HMACs each, written out: going through EVP_KDF
 * would cost more than the hashing.
 */
#include <string.h>

#include <argon2.h>

#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "lib/base/buf.h"

#define HKDF_MAX ((size_t)255 * SHA256_LEN)

/* Wipe what a derivation leaves behind. */
struct work {
	struct hmac_key k;
	struct hmac_ctx c;
	uint8_t t[SHA256_LEN];
};

static void
work_wipe(struct work *w)
{
	secret_wipe(w, sizeof(*w));
}
#define CLEANUP_WORK CLEANUP(work_wipe)

/* One piece of the text under a MAC. */
struct piece {
	const void *p;
	size_t len;
};

/* HKDF-Expand under ${w->k}; info is the ${n} pieces. */
static enum err
expand(struct work *w, const struct piece *info, size_t n, uint8_t *ret,
    size_t len)
{
	if (len > HKDF_MAX)
		return ERR_INVAL;
	for (uint8_t i = 1; len > 0; i++) {
		hmac_begin(&w->c, &w->k);
		if (i > 1)
			hmac_add(&w->c, w->t, sizeof(w->t));
		for (size_t j = 0; j < n; j++)
			hmac_add(&w->c, info[j].p, info[j].len);
		hmac_add(&w->c, &i, 1);
		hmac_end(&w->c, w->t);
		const size_t take = len < sizeof(w->t) ? len : sizeof(w->t);
		memcpy(ret, w->t, take);
		ret += take;
		len -= take;
	}
	return OK;
}

enum err
hkdf_sha256(const void *ikm, size_t ikmlen, const void *salt, size_t saltlen,
    const void *info, size_t infolen, uint8_t *ret, size_t len)
{
	const struct piece piece = { info, infolen };
	WIPED(uint8_t, prk, SHA256_LEN);
	struct work w CLEANUP_WORK = { 0 };

	/* No salt is a salt of zeroes, which HMAC pads the empty one to. */
	hmac_sha256(salt, saltlen, ikm, ikmlen, prk);
	hmac_key_set(&w.k, prk, SHA256_LEN);
	return expand(&w, &piece, 1, ret, len);
}

enum err
hkdf_label(const uint8_t key[static KEY_LEN], const char *label,
    const void *ctx, size_t ctxlen, uint8_t *ret, size_t len)
{
	/* The label's own NUL is the zero byte after it. */
	const struct piece pieces[] = {
		{ label, strlen(label) + 1 },
		{ ctx, ctxlen },
	};
	struct work w CLEANUP_WORK = { 0 };

	hmac_key_set(&w.k, key, KEY_LEN);
	return expand(&w, pieces, COUNTOF(pieces), ret, len);
}

/*
 * What the PRF is given for block i (SP 800-108, section 5.1):
 *
 *   size      field
 *      4      i, from 1
 *   labellen  label
 *      1      zero
 *   ctxlen    context
 *      4      L, bits of output
 */
enum err
kbkdf_ctr_hmac_sha256(const void *key, size_t keylen, const void *label,
    size_t labellen, const void *ctx, size_t ctxlen, uint8_t *ret, size_t len)
{
	struct work w CLEANUP_WORK = { 0 };
	uint8_t counter[4], bits[4];

	if (len > UINT32_MAX / 8)
		return ERR_INVAL;
	put_u32(bits, (uint32_t)len * 8);
	hmac_key_set(&w.k, key, keylen);
	for (uint32_t i = 1; len > 0; i++) {
		put_u32(counter, i);
		hmac_begin(&w.c, &w.k);
		hmac_add(&w.c, counter, sizeof(counter));
		hmac_add(&w.c, label, labellen);
		hmac_add(&w.c, "", 1);
		hmac_add(&w.c, ctx, ctxlen);
		hmac_add(&w.c, bits, sizeof(bits));
		hmac_end(&w.c, w.t);
		const size_t take = len < sizeof(w.t) ? len : sizeof(w.t);
		memcpy(ret, w.t, take);
		ret += take;
		len -= take;
	}
	return OK;
}

enum err
argon2id(const void *pass, size_t passlen, const void *salt, size_t saltlen,
    uint32_t t, uint32_t m_kib, uint32_t p, uint8_t ret[static KEY_LEN])
{
	if (t < 1 || t > 16 || m_kib < 8 || m_kib > 4194304 || p < 1 ||
	    p > 16 || saltlen < 8 || saltlen > 64)
		return ERR_INVAL;
	switch (argon2id_hash_raw(
	    t, m_kib, p, pass, passlen, salt, saltlen, ret, KEY_LEN)) {
	case ARGON2_OK:
		return OK;
	case ARGON2_MEMORY_ALLOCATION_ERROR:
		return ERR_NOMEM;
	case ARGON2_MEMORY_TOO_LITTLE: /* less than 8 KiB for each lane */
	case ARGON2_PWD_TOO_LONG:
		return ERR_INVAL;
	default:
		return ERR_CRYPTO;
	}
}
