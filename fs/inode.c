#include <limits.h>
#include <string.h>

#include "fs/inode.h"
#include "lib/base/lock.h"

#define SHARDS 64u
#define SHARD_MIN 32u /* slots of an empty shard */

/*
 * ${word} is the inode number shifted over its flags; 0 marks a free slot.
 * ${refs} sticks at UINT32_MAX: such an inode stays until the unmount.
 */
struct slot {
	uint64_t word;
	uint32_t refs;
	uint32_t keyref;
};

#define FLAG_BITS 16
#define FLAG_MASK 0xffffu

_Static_assert(sizeof(struct slot) == 16, "an inode costs 16 bytes");

struct shard {
	struct lock lock;
	struct slot *slots; /* protected by lock, as all below */
	size_t cap, count;
};

struct inodes {
	struct shard shards[SHARDS];
};

static uint64_t
slot_ino(const struct slot *s)
{
	return (s->word >> FLAG_BITS);
}

/* Consecutive numbers, the usual case, spread evenly (golden ratio). */
static uint64_t
ino_hash(uint64_t ino)
{
	return (ino * UINT64_C(0x9e3779b97f4a7c15));
}

static struct shard *
shard_of(struct inodes *t, uint64_t ino)
{
	return (&t->shards[ino_hash(ino) >> 58]);
}

_Static_assert(SHARDS == 1u << (64 - 58), "six bits choose the shard");

/* Any capacity works, not only powers of two: the bits below the shard's are
 * scaled to it. */
static size_t
slot_home(const struct shard *sh, uint64_t ino)
{
	const uint64_t h = (ino_hash(ino) >> 26) & UINT32_MAX;

	return ((size_t)(h * sh->cap >> 32));
}

/* The slot of ${ino}, or the free slot where it would go. */
static struct slot *
slot_find(const struct shard *sh, uint64_t ino)
{
	size_t i = slot_home(sh, ino);

	while (sh->slots[i].word != 0 && slot_ino(&sh->slots[i]) != ino)
		i = i + 1 == sh->cap ? 0 : i + 1;
	return (&sh->slots[i]);
}

static enum err
shard_resize(struct shard *sh, size_t cap)
{
	struct slot *old = sh->slots;
	const size_t oldcap = sh->cap;
	struct slot *slots = calloc(cap, sizeof(*slots));

	if (slots == NULL)
		return (ERR_NOMEM);
	sh->slots = slots;
	sh->cap = cap;
	for (size_t i = 0; i < oldcap; i++)
		if (old[i].word != 0)
			*slot_find(sh, slot_ino(&old[i])) = old[i];
	free(old);
	return (OK);
}

/* Empty ${s} and close the gap, so that no search ends too early. */
static void
slot_remove(struct shard *sh, struct slot *s)
{
	size_t hole = (size_t)(s - sh->slots);
	size_t i = hole;

	for (;;) {
		size_t home = 0;

		i = i + 1 == sh->cap ? 0 : i + 1;
		if (sh->slots[i].word == 0)
			break;
		home = slot_home(sh, slot_ino(&sh->slots[i]));
		/* It may move back unless its home lies after the hole, going
		 * round. */
		if ((i > hole && (home <= hole || home > i)) ||
		    (i < hole && home <= hole && home > i)) {
			sh->slots[hole] = sh->slots[i];
			hole = i;
		}
	}
	memset(&sh->slots[hole], 0, sizeof(struct slot));
	sh->count--;
	/* Give memory back after a large tree was forgotten.  Without memory
	 * for the smaller table the larger one stays. */
	if (sh->cap > SHARD_MIN && sh->count < sh->cap / 8 &&
	    shard_resize(
		sh, sh->cap / 2 < SHARD_MIN ? SHARD_MIN : sh->cap / 2) != OK)
		return;
}

enum err
inodes_create(struct inodes **ret)
{
	struct inodes *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return (ERR_NOMEM);
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *sh = &t->shards[i];

		lock_init(&sh->lock, RANK_FS_REFS, "fs inodes");
		sh->cap = SHARD_MIN;
		sh->slots = calloc(sh->cap, sizeof(*sh->slots));
		if (sh->slots == NULL) {
			inodes_free(t);
			return (ERR_NOMEM);
		}
	}
	*ret = t;
	return (OK);
}

void
inodes_free(struct inodes *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		if (t->shards[i].lock.name == NULL)
			break;
		lock_destroy(&t->shards[i].lock);
		free(t->shards[i].slots);
	}
	free(t);
}

enum err
inodes_hold(struct inodes *t, uint64_t ino, uint32_t keyref, unsigned flags)
{
	struct shard *sh = shard_of(t, ino);
	struct slot *s = NULL;

	if (ino == 0 || ino > INODE_INO_MAX)
		return (ERR_LIMIT);
	LOCK_SCOPE(&sh->lock);
	s = slot_find(sh, ino);
	if (s->word == 0) {
		if ((sh->count + 1) * 4 > sh->cap * 3) {
			TRY(shard_resize(sh, sh->cap + sh->cap / 2));
			s = slot_find(sh, ino);
		}
		s->word = ino << FLAG_BITS;
		s->refs = 0;
		s->keyref = 0;
		sh->count++;
	}
	if (s->refs != UINT32_MAX)
		s->refs++;
	s->word |= flags & FLAG_MASK;
	if (keyref != INODE_SAME_KEY)
		s->keyref = keyref;
	return (OK);
}

bool
inodes_drop(struct inodes *t, uint64_t ino, uint64_t n)
{
	struct shard *sh = shard_of(t, ino);
	struct slot *s = NULL;
	bool gone = false;

	LOCK_SCOPE(&sh->lock);
	s = slot_find(sh, ino);
	if (s->word == 0 || s->refs == UINT32_MAX)
		return (false);
	s->refs = n < s->refs ? s->refs - (uint32_t)n : 0;
	if (s->refs != 0)
		return (false);
	gone = (s->word & INODE_GONE) != 0;
	slot_remove(sh, s);
	return (gone);
}

bool
inodes_gone(struct inodes *t, uint64_t ino)
{
	struct shard *sh = shard_of(t, ino);
	struct slot *s = NULL;

	LOCK_SCOPE(&sh->lock);
	s = slot_find(sh, ino);
	if (s->word == 0)
		return (true);
	s->word |= INODE_GONE;
	return (false);
}

unsigned
inodes_flags(struct inodes *t, uint64_t ino)
{
	struct shard *sh = shard_of(t, ino);

	LOCK_SCOPE(&sh->lock);
	return ((unsigned)(slot_find(sh, ino)->word & FLAG_MASK));
}

void
inodes_mark(struct inodes *t, uint64_t ino, unsigned set, unsigned clear,
    unsigned unless)
{
	struct shard *sh = shard_of(t, ino);
	struct slot *s = NULL;

	LOCK_SCOPE(&sh->lock);
	s = slot_find(sh, ino);
	if (s->word == 0 || (s->word & unless & FLAG_MASK) != 0)
		return;
	s->word &= ~(uint64_t)(clear & FLAG_MASK);
	s->word |= set & FLAG_MASK;
}

void
inodes_set_key(struct inodes *t, uint64_t ino, uint32_t keyref)
{
	struct shard *sh = shard_of(t, ino);
	struct slot *s = NULL;

	LOCK_SCOPE(&sh->lock);
	s = slot_find(sh, ino);
	if (s->word != 0)
		s->keyref = keyref;
}

/* The numbers of the inodes of one shard that match, in an array that the
 * caller frees. */
static enum err
shard_collect(struct shard *sh, bool by_key, uint32_t keyref, uint64_t **ret,
    size_t *ret_n)
{
	uint64_t *inos = NULL;
	size_t n = 0;

	LOCK_SCOPE(&sh->lock);
	inos = malloc((sh->count + 1) * sizeof(*inos));
	if (inos == NULL)
		return (ERR_NOMEM);
	for (size_t i = 0; i < sh->cap; i++) {
		const struct slot *s = &sh->slots[i];

		if (s->word != 0 && (by_key ? s->keyref == keyref
					    : (s->word & INODE_GONE) != 0))
			inos[n++] = slot_ino(s);
	}
	*ret = inos;
	*ret_n = n;
	return (OK);
}

static enum err
inodes_each(struct inodes *t, bool by_key, uint32_t keyref,
    void (*cb)(void *arg, uint64_t ino), void *arg)
{
	for (size_t i = 0; i < SHARDS; i++) {
		uint64_t *inos CLEANUP_FREE = NULL;
		size_t n = 0;

		TRY(shard_collect(&t->shards[i], by_key, keyref, &inos, &n));
		for (size_t j = 0; j < n; j++)
			cb(arg, inos[j]);
	}
	return (OK);
}

enum err
inodes_each_key(struct inodes *t, uint32_t keyref,
    void (*cb)(void *arg, uint64_t ino), void *arg)
{
	return (inodes_each(t, true, keyref, cb, arg));
}

enum err
inodes_each_gone(
    struct inodes *t, void (*cb)(void *arg, uint64_t ino), void *arg)
{
	return (inodes_each(t, false, 0, cb, arg));
}

void
inodes_usage(struct inodes *t, size_t *ret_count, size_t *ret_bytes)
{
	size_t count = 0, bytes = sizeof(*t);

	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *sh = &t->shards[i];

		LOCK_SCOPE(&sh->lock);
		count += sh->count;
		bytes += sh->cap * sizeof(*sh->slots);
	}
	*ret_count = count;
	*ret_bytes = bytes;
}
