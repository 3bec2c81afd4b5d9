/*
 * seg: a segment's keys.
 *
 * The content key is random.  From it, by HKDF-Expand with the segment's uuid:
 * the map key (MACs of nodes), the base key (seals content keys of segments
 * that lie under this one) and the block keys, of which a new one begins after
 * every KEY_BLOCKS blocks.  Nonces are random, so the limit that matters is
 * that of random 96-bit nonces: 2^32 by SP 800-38D, 2^30 here.
 */
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/rand.h"
#include "lib/base/buf.h"

#include "store/object.h"

#define MAP_LABEL "ssefs map key 1"
#define BASE_LABEL "ssefs base key 1"
#define BLOCK_LABEL "ssefs block key 1"

enum err
seg_make(struct store *st, struct seg *s, bool cipher)
{
	memset(s, 0, sizeof(*s));
	s->st = st;
	s->cipher = cipher;
	rand_bytes(s->uuid, UUID_LEN);
	if (cipher) {
		s->ck = key_new();
		if (s->ck == NULL)
			return (ERR_NOMEM);
		rand_bytes(s->ck->b, KEY_LEN);
		TRY(seg_keys(s));
	}
	LOCK_SCOPE(&st->db);
	s->no = st->next_seg++;
	return (OK);
}

/* Add block keys until there are ${n}. */
static enum err
block_keys(struct seg *s, unsigned n)
{
	while (s->nblk < n) {
		struct key *k CLEANUP_KEY = key_new();
		uint8_t ctx[UUID_LEN + 4];
		struct aead **v = realloc(s->blk, (s->nblk + 1) * sizeof(*v));

		if (v == NULL || k == NULL) {
			if (v != NULL)
				s->blk = v;
			return (ERR_NOMEM);
		}
		s->blk = v;
		memcpy(ctx, s->uuid, UUID_LEN);
		put_u32(ctx + UUID_LEN, s->nblk);
		TRY(hkdf_label(
		    s->ck->b, BLOCK_LABEL, ctx, sizeof(ctx), k->b, KEY_LEN));
		TRY(aead_new(k->b, &v[s->nblk]));
		s->nblk++;
	}
	return (OK);
}

static enum err
one_key(const struct seg *s, const char *label, struct aead **ret)
{
	struct key *k CLEANUP_KEY = key_new();

	if (k == NULL)
		return (ERR_NOMEM);
	TRY(hkdf_label(s->ck->b, label, s->uuid, UUID_LEN, k->b, KEY_LEN));
	return (aead_new(k->b, ret));
}

enum err
seg_keys(struct seg *s)
{
	if (!s->cipher)
		return (OK);
	if (s->sealed / KEY_BLOCKS > UINT8_MAX)
		return (ERR_CORRUPT);
	return (block_keys(s, (unsigned)(s->sealed / KEY_BLOCKS) + 1));
}

/* Readers may come at the same time: the first to finish wins. */
enum err
seg_map_key(struct seg *s, struct aead **ret)
{
	struct aead *k = atomic_load(&s->mapk), *none = NULL;

	if (k == NULL) {
		TRY(one_key(s, MAP_LABEL, &k));
		if (!atomic_compare_exchange_strong(&s->mapk, &none, k)) {
			aead_free(k);
			k = none;
		}
	}
	*ret = k;
	return (OK);
}

enum err
seg_base_key(struct seg *s)
{
	if (!s->cipher || s->basek != NULL)
		return (OK);
	return (one_key(s, BASE_LABEL, &s->basek));
}

struct aead *
seg_blk(struct seg *s, unsigned kidx)
{
	return (kidx < s->nblk ? s->blk[kidx] : NULL);
}

enum err
seg_next_key(struct seg *s, uint64_t n, unsigned *ret_kidx)
{
	const uint64_t k = (s->sealed + n) / KEY_BLOCKS;

	*ret_kidx = 0;
	if (!s->cipher)
		return (OK);
	if (k > UINT8_MAX)
		return (err_fail(ERR_FBIG, "the file has been written 2^38 "
					   "times over; copy it to go on"));
	TRY(block_keys(s, (unsigned)k + 1));
	*ret_kidx = (unsigned)k;
	return (OK);
}

void
seg_lock(struct seg *s)
{
	key_free(s->ck);
	s->ck = NULL;
	aead_free(s->mapk);
	s->mapk = NULL;
	aead_free(s->basek);
	s->basek = NULL;
	for (unsigned i = 0; i < s->nblk; i++)
		aead_free(s->blk[i]);
	free(s->blk);
	s->blk = NULL;
	s->nblk = 0;
}

void
seg_clear(struct seg *s)
{
	/* Whether it has nodes is known under the map's lock only: another
	 * thread may be evicting the last. */
	if (s->st != NULL && s->no != 0)
		map_forget(s->st, s);
	seg_lock(s);
	free(s->bases);
	memset(s, 0, sizeof(*s));
}
