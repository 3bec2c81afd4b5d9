/*
 * seal: keys of messages are kept in a small cache by their salt.  Pages that
 * were written last in different runs of the program have different salts, but
 * those of the last few runs are most of what is read.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/rand.h"
#include "lib/base/buf.h"
#include "lib/base/lock.h"

#include "store/seal.h"

#define SUBKEYS 8
#define LABEL "ssefs metadata message 1"
#define AD_TEXT "ssefs metadata 1"
#define AD_LEN (sizeof(AD_TEXT) - 1 + UUID_LEN + 1 + 8)

_Static_assert(AD_LEN == 41, "additional data");

struct subkey {
	struct aead *a; /* NULL: free */
	uint8_t salt[SEAL_SALTLEN];
	unsigned users;
	uint64_t used; /* when, for throwing out the oldest */
};

struct seal {
	struct key *key;
	uint8_t uuid[UUID_LEN];
	struct lock lock; /* what follows */
	struct subkey sub[SUBKEYS];
	uint64_t clock;
	uint8_t salt[SEAL_SALTLEN]; /* of what is sealed now */
	uint64_t left;              /* messages that may still be */
};

enum err
seal_new(const struct key *key, const uint8_t uuid[static UUID_LEN],
    struct seal **ret)
{
	struct seal *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return (ERR_NOMEM);
	lock_init(&s->lock, RANK_SEAL, "seal");
	s->key = key_new();
	if (s->key == NULL) {
		seal_free(s);
		return (ERR_NOMEM);
	}
	*s->key = *key;
	memcpy(s->uuid, uuid, UUID_LEN);
	*ret = s;
	return (OK);
}

void
seal_free(struct seal *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < SUBKEYS; i++)
		aead_free(s->sub[i].a);
	key_free(s->key);
	lock_destroy(&s->lock);
	free(s);
}

/* ---- Keys of messages ----------------------------------------------------- */

/* The entry of ${salt}, or the one to give up for it. */
static struct subkey *
entry(struct seal *s, const uint8_t *salt)
{
	struct subkey *best = NULL;

	for (struct subkey *k = s->sub; k < s->sub + SUBKEYS; k++) {
		if (k->a != NULL && memcmp(k->salt, salt, SEAL_SALTLEN) == 0)
			return (k);
		if (k->users == 0 && (best == NULL || k->used < best->used))
			best = k;
	}
	return (best);
}

/* With s->lock held. */
static enum err
subkey_get(struct seal *s, const uint8_t *salt, struct subkey **ret)
{
	struct subkey *k = entry(s, salt);
	WIPED(uint8_t, key, KEY_LEN);

	/* More threads than SQLite's connections and the committer. */
	if (k == NULL)
		return (ERR_INTERNAL);
	if (k->a == NULL || memcmp(k->salt, salt, SEAL_SALTLEN) != 0) {
		aead_free(k->a);
		k->a = NULL;
		TRY(hkdf_label(
		    s->key->b, LABEL, salt, SEAL_SALTLEN, key, sizeof(key)));
		TRY(aead_new(key, &k->a));
		memcpy(k->salt, salt, SEAL_SALTLEN);
	}
	k->users++;
	k->used = ++s->clock;
	*ret = k;
	return (OK);
}

/* The key of ${salt}, or of what is sealed now when that is NULL. */
static enum err
take(struct seal *s, const uint8_t *salt, struct subkey **ret)
{
	LOCK_SCOPE(&s->lock);
	if (salt != NULL)
		return (subkey_get(s, salt, ret));
	if (s->left == 0) {
		rand_bytes(s->salt, sizeof(s->salt));
		s->left = SEAL_MESSAGES;
	}
	s->left--;
	return (subkey_get(s, s->salt, ret));
}

static void
give(struct seal *s, struct subkey *k)
{
	LOCK_SCOPE(&s->lock);
	k->users--;
}

/* ---- Messages ------------------------------------------------------------- */

static void
make_ad(const struct seal *s, enum seal_kind kind, uint64_t number,
    uint8_t ret[static AD_LEN])
{
	memcpy(ret, AD_TEXT, 16);
	memcpy(ret + 16, s->uuid, UUID_LEN);
	ret[32] = (uint8_t)kind;
	put_u64(ret + 33, number);
}

enum err
seal_put(struct seal *s, enum seal_kind kind, uint64_t number, const void *text,
    size_t len, uint8_t *ret_msg)
{
	uint8_t *const salt = ret_msg + len;
	uint8_t *const nonce = salt + SEAL_SALTLEN;
	uint8_t ad[AD_LEN];
	struct subkey *k;
	enum err e;

	TRY(take(s, NULL, &k));
	make_ad(s, kind, number, ad);
	memcpy(salt, k->salt, SEAL_SALTLEN);
	rand_bytes(nonce, AEAD_NONCELEN);
	e = aead_seal(k->a, nonce, ad, sizeof(ad), text, len, ret_msg,
	    nonce + AEAD_NONCELEN);
	give(s, k);
	return (e);
}

enum err
seal_get(struct seal *s, enum seal_kind kind, uint64_t number,
    const uint8_t *msg, size_t len, void *ret_text)
{
	const uint8_t *const salt = msg + len;
	const uint8_t *const nonce = salt + SEAL_SALTLEN;
	uint8_t ad[AD_LEN];
	struct subkey *k;
	enum err e;

	TRY(take(s, salt, &k));
	make_ad(s, kind, number, ad);
	e = aead_open(k->a, nonce, ad, sizeof(ad), msg, len,
	    nonce + AEAD_NONCELEN, ret_text);
	give(s, k);
	return (e);
}
