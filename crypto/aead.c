/*
 * aead: two ways to the same bytes.
 *
 * Where the processor has the instructions, crypto/gcm.h does the work: in less
 * than half of OpenSSL 3.0's time for a block, a sixth for a small message.  A
 * key is expanded when it is first used; who uses it then only reads.
 *
 * Else OpenSSL: a key lends its cipher contexts through a few slots.  A slot is
 * taken and given back by one atomic exchange, so that no thread waits for
 * another; when all are out, a new context is made, and freed if no slot wants
 * it.  This is also the way of a message for which there was no key memory left
 * to expand its key in.
 */
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "crypto/aead.h"
#include "crypto/aead_internal.h"
#include "crypto/gcm.h"
#include "crypto/rand.h"

#define SLOTS 3
#define POOL 64

/*
 * All of it is in key memory, which is zero in a forked child: ${alive} is
 * then false and every call fails, where it would otherwise go on under a key
 * of zeroes.
 */
struct aead {
	uint8_t key[KEY_LEN];
	union {
		_Atomic(EVP_CIPHER_CTX *) slot[SLOTS]; /* unless own */
		struct {                               /* own */
			const struct gcm *way;
			_Atomic(struct gcm_key *) held;
		};
	};
	bool own;
	bool alive;
};
_Static_assert(sizeof(struct aead) <= 64, "one small block of key memory");
_Static_assert(AEAD_NONCELEN == GCM_NONCELEN && AEAD_TAGLEN == GCM_TAGLEN,
    "both ways are the same cipher");

static pthread_once_t way_once = PTHREAD_ONCE_INIT;
static _Atomic(const struct gcm *) way; /* NULL: OpenSSL */
/* Expanded keys that belong to a struct aead.  A forked child, whose keys are
 * gone, goes on from its parent's count. */
static atomic_uint nheld;

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *gcm; /* set once; lives as long as the process */

/*
 * Contexts without an owner and without a key: making one costs more than a
 * small message.  Taken and given back as the slots of a key are.
 */
static _Atomic(EVP_CIPHER_CTX *) pool[POOL];

static void
fetch(void)
{
	gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static void
find_way(void)
{
	atomic_store(&way, gcm_best());
}

static const struct gcm *
the_way(void)
{
	(void)pthread_once(&way_once, find_way);
	return atomic_load_explicit(&way, memory_order_relaxed);
}

void
aead_use(const struct gcm *w)
{
	(void)the_way();
	atomic_store(&way, w);
}

enum err
aead_new(const uint8_t key[static KEY_LEN], struct aead **ret)
{
	/* No context yet: most keys of a listing are never used. */
	struct aead *a = secret_alloc(sizeof(*a));
	const struct gcm *w = the_way();

	if (a == NULL)
		return err_fail(ERR_NOMEM, "no key memory left");
	memcpy(a->key, key, KEY_LEN);
	a->own = w != NULL;
	if (a->own)
		a->way = w;
	a->alive = true;
	*ret = a;
	return OK;
}

/* ---- Expanded keys ------------------------------------------------------- */

/* NULL when ${w} is, and when there is no key memory left. */
static struct gcm_key *
expand(const struct gcm *w, const uint8_t *key)
{
	struct gcm_key *k = w != NULL ? secret_alloc(sizeof(*k)) : NULL;

	if (k != NULL)
		w->expand(k, key);
	return k;
}

static void
expanded_free(struct gcm_key **k)
{
	secret_free(*k);
}
#define CLEANUP_EXPANDED CLEANUP(expanded_free)

/*
 * ${a}'s key, expanded: held by it, or for this message only and then in
 * ${ret_mine} too.  NULL when OpenSSL has to do it.
 */
static const struct gcm_key *
expanded(struct aead *a, struct gcm_key **ret_mine)
{
	struct gcm_key *k = NULL, *other = NULL;

	if (!a->own)
		return NULL;
	k = atomic_load_explicit(&a->held, memory_order_acquire);
	if (k != NULL)
		return k;
	k = expand(a->way, a->key);
	if (k == NULL)
		return NULL;
	if (atomic_fetch_add(&nheld, 1) < AEAD_HELD_MAX &&
	    atomic_compare_exchange_strong_explicit(&a->held, &other, k,
		memory_order_acq_rel, memory_order_acquire))
		return k;
	(void)atomic_fetch_sub(&nheld, 1);
	*ret_mine = k;
	return k;
}

static void
drop_expanded(struct aead *a)
{
	struct gcm_key *k = atomic_exchange(&a->held, NULL);

	if (k == NULL)
		return;
	secret_free(k);
	(void)atomic_fetch_sub(&nheld, 1);
}

/* ---- Contexts of OpenSSL ------------------------------------------------- */

/* A failure of OpenSSL; its own queue of reasons is not ours to fill. */
static enum err
failed(enum err e)
{
	ERR_clear_error();
	return e;
}

/* A context from the row, or NULL. */
static EVP_CIPHER_CTX *
take(_Atomic(EVP_CIPHER_CTX *) *row, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		EVP_CIPHER_CTX *c = NULL;
		/* Looked at first: a plain load does not take the cache line
		 * from the threads that use the other slots. */
		if (atomic_load_explicit(&row[i], memory_order_relaxed) == NULL)
			continue;
		c = atomic_exchange_explicit(
		    &row[i], NULL, memory_order_acquire);
		if (c != NULL)
			return c;
	}
	return NULL;
}

/* False when the row is full. */
static bool
put(_Atomic(EVP_CIPHER_CTX *) *row, size_t n, EVP_CIPHER_CTX *c)
{
	for (size_t i = 0; i < n; i++) {
		EVP_CIPHER_CTX *none = NULL;
		if (atomic_load_explicit(&row[i], memory_order_relaxed) != NULL)
			continue;
		if (atomic_compare_exchange_strong_explicit(&row[i], &none, c,
			memory_order_release, memory_order_relaxed))
			return true;
	}
	return false;
}

/* Keep a context for others, or free it.  What held its key is freed either
 * way, and with that wiped (heap.c); that is quicker than another key. */
static void
retire(EVP_CIPHER_CTX *c)
{
	if (c == NULL)
		return;
	if (EVP_CIPHER_CTX_reset(c) != 1 || !put(pool, POOL, c))
		EVP_CIPHER_CTX_free(c);
}

void
aead_rest(struct aead *a)
{
	if (a == NULL)
		return;
	if (a->own) {
		drop_expanded(a);
		return;
	}
	for (size_t i = 0; i < SLOTS; i++)
		if (atomic_load(&a->slot[i]) != NULL)
			retire(atomic_exchange(&a->slot[i], NULL));
}

void
aead_free(struct aead *a)
{
	aead_rest(a);
	secret_free(a);
}

/* A context keyed with ${key}; with a nonce as well unless that is NULL. */
static enum err
engage(const uint8_t *key, const uint8_t *nonce, int enc, EVP_CIPHER_CTX **ret)
{
	EVP_CIPHER_CTX *c;

	(void)pthread_once(&fetch_once, fetch);
	if (gcm == NULL)
		return failed(ERR_CRYPTO);
	c = take(pool, POOL);
	if (c == NULL)
		c = EVP_CIPHER_CTX_new();
	if (c == NULL)
		return failed(ERR_NOMEM);
	if (EVP_CipherInit_ex2(c, gcm, key, nonce, enc, NULL) != 1) {
		EVP_CIPHER_CTX_free(c);
		return failed(ERR_CRYPTO);
	}
	*ret = c;
	return OK;
}

/* A context of ${a}, made ready for ${nonce}. */
static enum err
borrow(struct aead *a, const uint8_t *nonce, int enc, EVP_CIPHER_CTX **ret)
{
	EVP_CIPHER_CTX *c = a->own ? NULL : take(a->slot, SLOTS);

	if (c == NULL)
		return a->alive ? engage(a->key, nonce, enc, ret)
				: failed(ERR_CRYPTO);
	if (EVP_CipherInit_ex2(c, NULL, NULL, nonce, enc, NULL) != 1) {
		EVP_CIPHER_CTX_free(c);
		return failed(ERR_CRYPTO);
	}
	*ret = c;
	return OK;
}

static void
give_back(struct aead *a, EVP_CIPHER_CTX *c)
{
	if (a->own || !put(a->slot, SLOTS, c))
		retire(c);
}

/* The tag as a parameter: EVP_CIPHER_CTX_ctrl() takes a longer way to it. */
#define TAG_PARAM(tag)                                               \
	{                                                            \
		OSSL_PARAM_construct_octet_string(                   \
		    OSSL_CIPHER_PARAM_AEAD_TAG, (tag), AEAD_TAGLEN), \
		    OSSL_PARAM_construct_end()                       \
	}

/* Associated data and text. */
static bool
process(EVP_CIPHER_CTX *c, const void *ad, size_t adlen, const void *in,
    size_t len, void *out)
{
	int n = 0;

	if (adlen > 0 && EVP_CipherUpdate(c, NULL, &n, ad, (int)adlen) != 1)
		return false;
	return len == 0 || EVP_CipherUpdate(c, out, &n, in, (int)len) == 1;
}

static bool
seal(EVP_CIPHER_CTX *c, const void *ad, size_t adlen, const void *in,
    size_t len, void *out, uint8_t *tag)
{
	OSSL_PARAM want[] = TAG_PARAM(tag);
	uint8_t none[AEAD_TAGLEN];
	int n = 0;

	return process(c, ad, adlen, in, len, out) &&
	       EVP_CipherFinal_ex(c, none, &n) == 1 &&
	       EVP_CIPHER_CTX_get_params(c, want) == 1;
}

/* OK, ERR_AUTH, ERR_CRYPTO; ${out} is zero unless OK. */
static enum err
open_text(EVP_CIPHER_CTX *c, const void *ad, size_t adlen, const void *in,
    size_t len, const uint8_t *tag, void *out)
{
	uint8_t copy[AEAD_TAGLEN], none[AEAD_TAGLEN];
	const OSSL_PARAM want[] = TAG_PARAM(copy);
	enum err e = ERR_CRYPTO;
	int n = 0;

	memcpy(copy, tag, sizeof(copy)); /* OpenSSL's argument is not const */
	if (process(c, ad, adlen, in, len, out) &&
	    EVP_CIPHER_CTX_set_params(c, want) == 1)
		e = EVP_CipherFinal_ex(c, none, &n) == 1 ? OK : ERR_AUTH;
	if (e != OK)
		secret_wipe(out, len);
	return e == OK ? OK : failed(e);
}

/* ---- For callers --------------------------------------------------------- */

enum err
aead_seal(struct aead *a, const uint8_t nonce[static AEAD_NONCELEN],
    const void *ad, size_t adlen, const void *in, size_t len, void *ret_out,
    uint8_t ret_tag[static AEAD_TAGLEN])
{
	struct gcm_key *mine CLEANUP_EXPANDED = NULL;
	EVP_CIPHER_CTX *c = NULL;

	if (adlen > INT_MAX || len > INT_MAX)
		return err_fail(ERR_CRYPTO, "message too large to seal");
	const struct gcm_key *k = expanded(a, &mine);
	if (k != NULL)
		return a->way->seal(
		    k, nonce, ad, adlen, in, len, ret_out, ret_tag);
	TRY(borrow(a, nonce, 1, &c));
	if (!seal(c, ad, adlen, in, len, ret_out, ret_tag)) {
		EVP_CIPHER_CTX_free(c);
		return failed(ERR_CRYPTO);
	}
	give_back(a, c);
	return OK;
}

enum err
aead_open(struct aead *a, const uint8_t nonce[static AEAD_NONCELEN],
    const void *ad, size_t adlen, const void *in, size_t len,
    const uint8_t tag[static AEAD_TAGLEN], void *ret_out)
{
	struct gcm_key *mine CLEANUP_EXPANDED = NULL;
	EVP_CIPHER_CTX *c = NULL;
	enum err e;

	if (adlen > INT_MAX || len > INT_MAX)
		return err_fail(ERR_CRYPTO, "message too large to open");
	const struct gcm_key *k = expanded(a, &mine);
	if (k != NULL)
		return a->way->open(k, nonce, ad, adlen, in, len, tag, ret_out);
	TRY(borrow(a, nonce, 0, &c));
	e = open_text(c, ad, adlen, in, len, tag, ret_out);
	if (e == ERR_CRYPTO)
		EVP_CIPHER_CTX_free(c);
	else
		give_back(a, c);
	return e;
}

enum err
aead_seal_once(const uint8_t key[static KEY_LEN],
    const uint8_t nonce[static AEAD_NONCELEN], const void *ad, size_t adlen,
    const void *in, size_t len, void *ret_out,
    uint8_t ret_tag[static AEAD_TAGLEN])
{
	EVP_CIPHER_CTX *c = NULL;
	bool good;

	if (adlen > INT_MAX || len > INT_MAX)
		return err_fail(ERR_CRYPTO, "message too large to seal");
	const struct gcm *w = the_way();
	struct gcm_key *k CLEANUP_EXPANDED = expand(w, key);
	if (k != NULL)
		return w->seal(k, nonce, ad, adlen, in, len, ret_out, ret_tag);
	TRY(engage(key, nonce, 1, &c));
	good = seal(c, ad, adlen, in, len, ret_out, ret_tag);
	retire(c);
	return good ? OK : failed(ERR_CRYPTO);
}

enum err
aead_open_once(const uint8_t key[static KEY_LEN],
    const uint8_t nonce[static AEAD_NONCELEN], const void *ad, size_t adlen,
    const void *in, size_t len, const uint8_t tag[static AEAD_TAGLEN],
    void *ret_out)
{
	EVP_CIPHER_CTX *c = NULL;
	enum err e;

	if (adlen > INT_MAX || len > INT_MAX)
		return err_fail(ERR_CRYPTO, "message too large to open");
	const struct gcm *w = the_way();
	struct gcm_key *k CLEANUP_EXPANDED = expand(w, key);
	if (k != NULL)
		return w->open(k, nonce, ad, adlen, in, len, tag, ret_out);
	TRY(engage(key, nonce, 0, &c));
	e = open_text(c, ad, adlen, in, len, tag, ret_out);
	retire(c);
	return e;
}

enum err
aead_seal_msg(struct aead *a, const void *ad, size_t adlen, const void *in,
    size_t len, uint8_t *ret_msg)
{
	uint8_t *text = ret_msg + AEAD_NONCELEN;

	rand_bytes(ret_msg, AEAD_NONCELEN);
	return aead_seal(a, ret_msg, ad, adlen, in, len, text, text + len);
}

enum err
aead_open_msg(struct aead *a, const void *ad, size_t adlen, const uint8_t *msg,
    size_t msglen, uint8_t *ret_out)
{
	if (msglen < AEAD_OVERHEAD)
		return ERR_AUTH;
	const size_t len = msglen - AEAD_OVERHEAD;
	const uint8_t *text = msg + AEAD_NONCELEN;
	return aead_open(a, msg, ad, adlen, text, len, text + len, ret_out);
}
