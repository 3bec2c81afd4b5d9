/*
 * share: segments that lie under others, so that a copy moves no data.
 *
 * A segment that is to be shared is frozen: it is never written again, its
 * record moves to table segment, and its object goes on with a fresh, empty
 * segment that has the frozen one as its base.  The copy gets a base as well.
 * Writes go to the segment on top; a base shows where the top holds nothing.
 *
 * Table segment, column rec (96 bytes):
 *
 *    0  1 version (1)          8  8 blocks sealed     48 16 hash of its bases
 *    1  1 level of the root   16 16 uuid              64 28 seal: nonce, tag
 *    2  1 cipher (0, 1)       32 16 tag of the root   92  4 zero
 *    3  1 has bases
 *    4  4 CRC32C of the record without these four bytes
 *
 * The seal is AES-256-GCM under the segment's map key over no plaintext, with
 * "ssefs segment 1" || bytes 0..3 || bytes 8..63 as associated data.
 *
 * Table base, column rec (60 bytes): the base's content key, sealed under the
 * owner's base key with "ssefs base 1" || owner's uuid || base's uuid as
 * associated data; zeros without cipher.  The list of an owner is hashed
 * (SHA-256, 16 bytes kept: start, len, segment, off, rec of each) and the hash
 * is sealed with the owner's record.
 */
#include <string.h>

#include "crypto/digest.h"
#include "crypto/rand.h"
#include "lib/base/buf.h"

#include "store/object.h"

#define SEG_REC 96u
#define SEG_SEALED 64u
#define SEG_LABEL "ssefs segment 1"
#define BASE_LABEL "ssefs base 1"
#define DEPTH_MAX 8u  /* segments under segments; deeper copies are written */
#define BASES_MAX 4096u /* of one segment; more is copied */
#define BASES_HARD (4 * BASES_MAX) /* holes make two bases of one */
#define SHARE_MIN 16u /* blocks: less is copied */
#define ASIDE_BATCHES 8u /* freed by a write itself */
#define COPY_BUF ((size_t)1 << 20)

/* A frozen segment in core, shared by all that have it as a base. */
struct frozen {
	struct frozen *next;
	struct seg seg;
	uint8_t bases_tag[AEAD_TAGLEN];
	unsigned users, depth; /* depth: segments under it */
	bool loading;
};

/* The list hangs on the store, under st->db. */
static struct frozen *
frozen_of(struct seg *s)
{
	return ((struct frozen *)(void *)((char *)s -
	    offsetof(struct frozen, seg)));
}

/* ---- Lists ------------------------------------------------------------------------ */

static void
list_hash(const struct seg *s, uint8_t ret[static AEAD_TAGLEN])
{
	uint8_t sum[SHA256_LEN], f[32];
	struct sha256_ctx c;

	memset(ret, 0, AEAD_TAGLEN);
	if (s->nbases == 0)
		return;
	sha256_begin(&c);
	for (size_t i = 0; i < s->nbases; i++) {
		put_u64(f, s->bases[i].start);
		put_u64(f + 8, s->bases[i].len);
		put_u64(f + 16, s->bases[i].segno);
		put_u64(f + 24, s->bases[i].off);
		sha256_add(&c, f, sizeof(f));
		sha256_add(&c, s->bases[i].rec, WRAPPED_LEN);
	}
	sha256_end(&c, sum);
	memcpy(ret, sum, AEAD_TAGLEN);
}

/* Index of the first base that ends after ${blk}. */
static size_t
list_find(const struct seg *s, uint64_t blk)
{
	size_t lo = 0, hi = s->nbases;

	while (lo < hi) {
		const size_t mid = (lo + hi) / 2;

		if (s->bases[mid].start + s->bases[mid].len <= blk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

enum err
base_next(const struct seg *s, uint64_t blk, uint64_t *ret, uint64_t *ret_end)
{
	const size_t i = list_find(s, blk);

	if (i == s->nbases)
		return (ERR_NOENT);
	*ret = s->bases[i].start > blk ? s->bases[i].start : blk;
	*ret_end = s->bases[i].start + s->bases[i].len;
	return (OK);
}

bool
base_covers(const struct seg *s, uint64_t blk)
{
	uint64_t at, end;

	return (s->nbases != 0 && base_next(s, blk, &at, &end) == OK &&
	    at == blk);
}

enum err
base_find(struct store *st, struct seg *s, uint64_t blk, struct seg **ret,
    uint64_t *ret_blk)
{
	const size_t i = list_find(s, blk);

	(void)st;
	*ret = NULL;
	if (i == s->nbases || s->bases[i].start > blk)
		return (OK);
	*ret = s->bases[i].seg;
	*ret_blk = blk - s->bases[i].start + s->bases[i].off;
	return (*ret == NULL ? ERR_CORRUPT : OK);
}

static enum err
list_room(struct seg *s, size_t more)
{
	const size_t n = s->nbases + more;
	struct base *v;

	if (n > BASES_HARD)
		return (ERR_LIMIT);
	if (n <= s->bases_cap)
		return (OK);
	v = realloc(s->bases, (n + n / 2) * sizeof(*v));
	if (v == NULL)
		return (ERR_NOMEM);
	s->bases = v;
	s->bases_cap = n + n / 2;
	return (OK);
}

/* ---- Frozen segments in core ---------------------------------------------------------- */

static void frozen_put(struct store *st, struct seg *s);

/* The caller's bases no longer use their segments.  st->db held. */
static void
list_put(struct store *st, struct seg *s)
{
	for (size_t i = 0; i < s->nbases; i++) {
		if (s->bases[i].seg != NULL)
			frozen_put(st, s->bases[i].seg);
		s->bases[i].seg = NULL;
	}
}

static void
frozen_put(struct store *st, struct seg *s)
{
	struct frozen *f = frozen_of(s);
	struct frozen **pp = &st->frozen;

	if (--f->users != 0)
		return;
	while (*pp != f)
		pp = &(*pp)->next;
	*pp = f->next;
	list_put(st, &f->seg);
	seg_clear(&f->seg);
	free(f);
}

void
share_close(struct store *st)
{
	/* Inodes are gone, so that nothing uses a frozen segment. */
	while (st->frozen != NULL) {
		st->frozen->users = 1;
		frozen_put(st, &st->frozen->seg);
	}
}

static size_t
seg_ad(const uint8_t *rec, uint8_t *ret)
{
	const size_t n = strlen(SEG_LABEL);

	memcpy(ret, SEG_LABEL, n);
	memcpy(ret + n, rec, 4);
	memcpy(ret + n + 4, rec + 8, SEG_SEALED - 8);
	return (n + SEG_SEALED - 4);
}

static size_t
base_ad(const struct seg *owner, const struct seg *under, uint8_t *ret)
{
	const size_t n = strlen(BASE_LABEL);

	memcpy(ret, BASE_LABEL, n);
	memcpy(ret + n, owner->uuid, UUID_LEN);
	memcpy(ret + n + UUID_LEN, under->uuid, UUID_LEN);
	return (n + 2 * UUID_LEN);
}

static uint32_t
seg_crc(const uint8_t *rec)
{
	return (crc32c(crc32c(0, rec, 4), rec + 8, SEG_REC - 8));
}

/* Read the row of a frozen segment.  st->db held. */
static enum err
frozen_row(struct store *st, uint64_t segno, uint8_t rec[static SEG_REC])
{
	sqlite3_stmt *q = db_stmt(st, ST_SEG_GET);
	enum err e;

	sqlite3_bind_int64(q, 1, (int64_t)segno);
	e = db_row(st, ST_SEG_GET);
	if (e == ERR_NOENT)
		return (ERR_CORRUPT);
	TRY(e);
	if (sqlite3_column_bytes(q, 1) != (int)SEG_REC)
		e = ERR_CORRUPT;
	else
		memcpy(rec, sqlite3_column_blob(q, 1), SEG_REC);
	db_done(st, ST_SEG_GET);
	TRY(e);
	if (rec[0] != 1 || rec[1] >= NODE_LEVELS || rec[2] > 1 || rec[3] > 1 ||
	    get_u32(rec + 4) != seg_crc(rec))
		return (ERR_CORRUPT);
	return (OK);
}

static enum err list_load(struct store *st, struct seg *s,
    const uint8_t hash[static AEAD_TAGLEN], unsigned level,
    unsigned *ret_depth);

/* The content key of a segment under ${owner}, from its sealed form. */
static enum err
base_open(struct seg *owner, const struct seg *under, const uint8_t *sealed,
    struct key **ret)
{
	struct key *k CLEANUP_KEY = key_new();
	uint8_t ad[128];

	if (k == NULL)
		return (ERR_NOMEM);
	TRY(seg_base_key(owner));
	TRY(aead_open_msg(owner->basek, ad, base_ad(owner, under, ad), sealed,
	    WRAPPED_LEN, k->b));
	*ret = steal(k);
	return (OK);
}

/* A segment that is in core may be had by those only who have its key. */
static enum err
frozen_allowed(struct seg *owner, const struct frozen *f,
    const uint8_t *sealed)
{
	struct key *k CLEANUP_KEY = NULL;

	/* One that is being loaded lies under itself. */
	if (f->loading || f->seg.cipher != owner->cipher)
		return (ERR_CORRUPT);
	if (!owner->cipher)
		return (OK);
	TRY(base_open(owner, &f->seg, sealed, &k));
	return (secret_cmp(k->b, f->seg.ck->b, KEY_LEN) == 0 ? OK :
	    ERR_CORRUPT);
}

/* Fill in a frozen segment from its row and its owner's sealed key. */
static enum err
frozen_fill(struct store *st, struct frozen *f, const uint8_t *rec,
    struct seg *owner, const uint8_t *sealed, unsigned level)
{
	struct seg *s = &f->seg;
	uint8_t ad[128], tag[AEAD_TAGLEN];

	_Static_assert(sizeof(BASE_LABEL) + 2 * UUID_LEN <= sizeof(ad) &&
	    sizeof(SEG_LABEL) + SEG_SEALED <= sizeof(ad), "fits");
	s->st = st;
	s->frozen = true;
	s->depth = rec[1];
	s->cipher = rec[2] == 1;
	s->sealed = get_u64(rec + 8);
	memcpy(s->uuid, rec + 16, UUID_LEN);
	memcpy(s->root, rec + 32, AEAD_TAGLEN);
	memcpy(f->bases_tag, rec + 48, AEAD_TAGLEN);
	if (s->cipher != owner->cipher)
		return (ERR_CORRUPT);
	if (s->cipher) {
		struct aead *k;

		TRY(base_open(owner, s, sealed, &s->ck));
		TRY(seg_map_key(s, &k));
		if (aead_open(k, rec + SEG_SEALED, ad, seg_ad(rec, ad),
		    NULL, 0, rec + SEG_SEALED + AEAD_NONCELEN, tag) != OK)
			return (ERR_CORRUPT);
		TRY(seg_keys(s));
	}
	if (rec[3] != 0)
		return (list_load(st, s, f->bases_tag, level + 1, &f->depth));
	return (OK);
}

/* In core, with keys, one use more.  st->db held. */
static enum err
frozen_get(struct store *st, uint64_t segno, struct seg *owner,
    const uint8_t *sealed, unsigned level, struct seg **ret)
{
	struct frozen *f = st->frozen;
	uint8_t rec[SEG_REC];
	enum err e;

	while (f != NULL && f->seg.no != segno)
		f = f->next;
	if (f != NULL) {
		TRY(frozen_allowed(owner, f, sealed));
		f->users++;
		*ret = &f->seg;
		return (OK);
	}
	if (level > DEPTH_MAX)
		return (ERR_CORRUPT);
	TRY(frozen_row(st, segno, rec));
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return (ERR_NOMEM);
	f->seg.no = segno;
	f->users = 1;
	f->loading = true;
	f->next = st->frozen;
	st->frozen = f;
	e = frozen_fill(st, f, rec, owner, sealed, level);
	f->loading = false;
	if (e != OK) {
		frozen_put(st, &f->seg);
		return (e);
	}
	*ret = &f->seg;
	return (OK);
}

/* Numbers that make sense: the hash vouches for nothing without cipher. */
static enum err
list_check(const struct seg *s)
{
	uint64_t from = 0;

	for (size_t i = 0; i < s->nbases; i++) {
		const struct base *b = &s->bases[i];

		if (b->start < from || b->start >= BLOCKS_MAX || b->len == 0 ||
		    b->len > BLOCKS_MAX - b->start || b->off >= BLOCKS_MAX ||
		    b->len > BLOCKS_MAX - b->off || b->segno == 0 ||
		    b->segno > INT64_MAX)
			return (ERR_CORRUPT);
		from = b->start + b->len;
	}
	return (OK);
}

/* The deepest chain of segments under one. */
static unsigned
list_depth(const struct seg *s)
{
	unsigned most = 0;

	for (size_t i = 0; i < s->nbases; i++) {
		const unsigned d = frozen_of(s->bases[i].seg)->depth + 1;

		if (d > most)
			most = d;
	}
	return (most);
}

/* The bases of a segment from the table, checked against their hash. */
static enum err
list_load(struct store *st, struct seg *s,
    const uint8_t hash[static AEAD_TAGLEN], unsigned level,
    unsigned *ret_depth)
{
	uint8_t now[AEAD_TAGLEN];
	enum err e;

	sqlite3_stmt *q = db_stmt(st, ST_BASE_LIST);
	sqlite3_bind_int64(q, 1, (int64_t)s->no);
	while ((e = db_row(st, ST_BASE_LIST)) == OK) {
		e = sqlite3_column_bytes(q, 4) == (int)WRAPPED_LEN ?
		    list_room(s, 1) : ERR_CORRUPT;
		if (e != OK)
			break;
		struct base *b = &s->bases[s->nbases++];

		memset(b, 0, sizeof(*b));
		b->start = (uint64_t)sqlite3_column_int64(q, 0);
		b->len = (uint64_t)sqlite3_column_int64(q, 1);
		b->segno = (uint64_t)sqlite3_column_int64(q, 2);
		b->off = (uint64_t)sqlite3_column_int64(q, 3);
		memcpy(b->rec, sqlite3_column_blob(q, 4), WRAPPED_LEN);
	}
	db_done(st, ST_BASE_LIST);
	if (e != ERR_NOENT)
		return (e);
	list_hash(s, now);
	if (memcmp(now, hash, AEAD_TAGLEN) != 0)
		return (err_fail(ERR_CORRUPT, "the list of shared segments "
		    "was altered"));
	TRY(list_check(s));
	for (size_t i = 0; i < s->nbases; i++)
		TRY(frozen_get(st, s->bases[i].segno, s, s->bases[i].rec,
		    level, &s->bases[i].seg));
	*ret_depth = list_depth(s);
	return (*ret_depth > DEPTH_MAX ? ERR_CORRUPT : OK);
}

enum err
base_load(struct store *st, struct obj *o)
{
	LOCK_SCOPE(&st->db);
	o->under = 0;
	return (list_load(st, &o->seg, o->bases_tag, 0, &o->under));
}

void
base_unload(struct store *st, struct seg *s)
{
	list_put(st, s);
	free(s->bases);
	s->bases = NULL;
	s->nbases = s->bases_cap = 0;
}

/* ---- Changing a list ------------------------------------------------------------------ */

static enum err
refs_add(struct store *st, uint64_t segno, int delta)
{
	TRY(db_begin(st));
	sqlite3_stmt *q = db_stmt(st, ST_SEG_REFS);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	sqlite3_bind_int(q, 2, delta);
	return (db_run(st, ST_SEG_REFS));
}

/* A frozen segment lost a reference: with the last it dies. st->db held. */
static enum err
refs_drop(struct store *st, uint64_t segno)
{
	int64_t refs;

	TRY(refs_add(st, segno, -1));
	sqlite3_stmt *q = db_stmt(st, ST_SEG_GET);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	const enum err e = db_row(st, ST_SEG_GET);
	if (e != OK)
		return (e == ERR_NOENT ? ERR_CORRUPT : e);
	refs = sqlite3_column_int64(q, 0);
	db_done(st, ST_SEG_GET);
	if (refs > 0)
		return (OK);
	TRY(base_release(st, segno));
	q = db_stmt(st, ST_SEG_DEL);
	sqlite3_bind_int64(q, 1, (int64_t)segno);
	TRY(db_run(st, ST_SEG_DEL));
	return (drain_add(st, segno, 0));
}

enum err
base_release(struct store *st, uint64_t owner)
{
	for (;;) {
		uint64_t segno, start;
		sqlite3_stmt *q = db_stmt(st, ST_BASE_LIST);

		sqlite3_bind_int64(q, 1, (int64_t)owner);
		const enum err e = db_row(st, ST_BASE_LIST);
		if (e != OK)
			return (e == ERR_NOENT ? OK : e);
		start = (uint64_t)sqlite3_column_int64(q, 0);
		segno = (uint64_t)sqlite3_column_int64(q, 2);
		db_done(st, ST_BASE_LIST);
		TRY(db_begin(st));
		q = db_stmt(st, ST_BASE_DEL);
		sqlite3_bind_int64(q, 1, (int64_t)owner);
		sqlite3_bind_int64(q, 2, (int64_t)start);
		TRY(db_run(st, ST_BASE_DEL));
		TRY(refs_drop(st, segno));
	}
}

/* Put the list of a segment into the table.  st->db held. */
static enum err
list_write(struct store *st, const struct seg *s)
{
	TRY(db_begin(st));
	sqlite3_stmt *q = db_stmt(st, ST_BASE_DELALL);
	sqlite3_bind_int64(q, 1, (int64_t)s->no);
	TRY(db_run(st, ST_BASE_DELALL));
	for (size_t i = 0; i < s->nbases; i++) {
		const struct base *b = &s->bases[i];

		q = db_stmt(st, ST_BASE_PUT);
		sqlite3_bind_int64(q, 1, (int64_t)s->no);
		sqlite3_bind_int64(q, 2, (int64_t)b->start);
		sqlite3_bind_int64(q, 3, (int64_t)b->len);
		sqlite3_bind_int64(q, 4, (int64_t)b->segno);
		sqlite3_bind_int64(q, 5, (int64_t)b->off);
		sqlite3_bind_blob(q, 6, b->rec, (int)WRAPPED_LEN,
		    SQLITE_STATIC);
		TRY(db_run(st, ST_BASE_PUT));
	}
	return (OK);
}

/* The list changed: hash and table follow at once, references were adjusted by
 * the caller. st->db held. */
static enum err
list_changed(struct store *st, struct obj *o)
{
	list_hash(&o->seg, o->bases_tag);
	o->has_bases = o->seg.nbases != 0;
	o->under = list_depth(&o->seg);
	return (list_write(st, &o->seg));
}

/* What is left of a base outside of [from, to); false: nothing. */
static bool
base_cut(struct base *b, uint64_t from, uint64_t to)
{
	const uint64_t end = b->start + b->len;

	if (b->start >= from && end <= to)
		return (false);
	if (b->start < from && end > from) {
		b->len = from - b->start;
	} else if (b->start < to && end > to) {
		b->off += to - b->start;
		b->len = end - to;
		b->start = to;
	}
	return (true);
}

/* In the table first: a failure leaves the list in core as it was, and the
 * store stopped.  st->db held. */
static enum err
trim_refs(struct store *st, const struct seg *s, size_t i, uint64_t from,
    uint64_t to)
{
	for (; i < s->nbases && s->bases[i].start < to; i++) {
		struct base b = s->bases[i];

		if (!base_cut(&b, from, to))
			TRY(refs_drop(st, b.segno));
	}
	return (OK);
}

/* A hole in the middle of base ${i} makes two of it.  st->db held, room for one
 * more. */
static enum err
base_split(struct store *st, struct obj *o, size_t i, uint64_t from,
    uint64_t to)
{
	struct seg *s = &o->seg;
	struct base *a = &s->bases[i], *b = &s->bases[i + 1];

	TRY(refs_add(st, a->segno, 1));
	memmove(b, a, (s->nbases - i) * sizeof(*a));
	s->nbases++;
	frozen_of(a->seg)->users++;
	a->len = from - a->start;
	b->off += to - b->start;
	b->len -= to - b->start;
	b->start = to;
	return (list_changed(st, o));
}

enum err
base_trim(struct store *st, struct obj *o, uint64_t from, uint64_t to)
{
	struct seg *s = &o->seg;
	size_t i = list_find(s, from), out;
	enum err e;

	if (i == s->nbases || s->bases[i].start >= to)
		return (OK);
	TRY(list_room(s, 1));
	LOCK_SCOPE(&st->db);
	if (s->bases[i].start < from &&
	    s->bases[i].start + s->bases[i].len > to)
		return (base_split(st, o, i, from, to));
	e = trim_refs(st, s, i, from, to);
	if (e != OK)
		return (epoch_stop(st, e, "releasing a shared segment"));
	for (out = i; i < s->nbases; i++) {
		struct base b = s->bases[i];

		if (base_cut(&b, from, to))
			s->bases[out++] = b;
		else
			frozen_put(st, b.seg);
	}
	s->nbases = out;
	return (list_changed(st, o));
}

/* ---- Freezing ------------------------------------------------------------------------- */

static enum err
base_seal(struct seg *owner, const struct seg *under, uint8_t *rec)
{
	uint8_t ad[128];

	memset(rec, 0, WRAPPED_LEN);
	if (!owner->cipher)
		return (OK);
	TRY(seg_base_key(owner));
	return (aead_seal_msg(owner->basek, ad, base_ad(owner, under, ad),
	    under->ck->b, KEY_LEN, rec));
}

/* Write the row of a segment that becomes frozen, with no reference yet. */
static enum err
frozen_write(struct store *st, struct seg *s, const uint8_t *bases_tag)
{
	uint8_t rec[SEG_REC] = { 0 }, ad[128];

	rec[0] = 1;
	rec[1] = s->depth;
	rec[2] = s->cipher;
	rec[3] = s->nbases != 0;
	put_u64(rec + 8, s->sealed);
	memcpy(rec + 16, s->uuid, UUID_LEN);
	memcpy(rec + 32, s->root, AEAD_TAGLEN);
	memcpy(rec + 48, bases_tag, AEAD_TAGLEN);
	if (s->cipher) {
		struct aead *k;

		TRY(seg_map_key(s, &k));
		rand_bytes(rec + SEG_SEALED, AEAD_NONCELEN);
		TRY(aead_seal(k, rec + SEG_SEALED, ad, seg_ad(rec, ad),
		    NULL, 0, NULL, rec + SEG_SEALED + AEAD_NONCELEN));
	}
	put_u32(rec + 4, seg_crc(rec));
	LOCK_SCOPE(&st->db);
	TRY(db_begin(st));
	sqlite3_stmt *q = db_stmt(st, ST_SEG_PUT);
	sqlite3_bind_int64(q, 1, (int64_t)s->no);
	sqlite3_bind_int64(q, 2, 0);
	sqlite3_bind_blob(q, 3, rec, SEG_REC, SQLITE_STATIC);
	return (db_run(st, ST_SEG_PUT));
}

/* Make ready for base_add(), after which only the disk can make it fail. */
static enum err
base_prepare(struct obj *o, const struct seg *under, struct base *ret)
{
	/* One for a hole in what is there, one for the new one. */
	if (o->seg.nbases + 2 > BASES_MAX)
		return (ERR_LIMIT);
	TRY(list_room(&o->seg, 2));
	return (base_seal(&o->seg, under, ret->rec));
}

/* Does ${b} go on where ${a} ends? */
static bool
base_follows(const struct base *a, const struct base *b)
{
	return (a->segno == b->segno && a->start + a->len == b->start &&
	    a->off + a->len == b->off);
}

/* Add a base, with start, len, off and rec, to the list of an object.  Nothing
 * lies there. */
static enum err
base_add(struct store *st, struct obj *o, struct seg *under, struct base b)
{
	struct seg *s = &o->seg;
	const size_t i = list_find(s, b.start);

	b.segno = under->no;
	b.seg = under;
	LOCK_SCOPE(&st->db);
	/* A copy made in pieces is one. */
	if (i > 0 && base_follows(&s->bases[i - 1], &b)) {
		s->bases[i - 1].len += b.len;
		return (list_changed(st, o));
	}
	TRY(refs_add(st, under->no, 1));
	memmove(&s->bases[i + 1], &s->bases[i],
	    (s->nbases - i) * sizeof(s->bases[0]));
	s->bases[i] = b;
	s->nbases++;
	frozen_of(under)->users++;
	return (list_changed(st, o));
}

/*
 * Freeze the segment of an open object, which goes on with an empty one above
 * it.  A failure after the first write stops the store: its state in core and
 * in the transaction may differ then.
 */
static enum err
freeze(struct store *st, struct inode *ip)
{
	struct obj *o = ip->obj;
	struct frozen *f = calloc(1, sizeof(*f));
	struct base b = { .len = (ip->size + BLOCK - 1) / BLOCK };
	enum err e;

	if (f == NULL)
		return (ERR_NOMEM);
	o->seg.frozen = true;
	e = map_unembed(st, &o->seg);
	if (e == OK)
		e = map_seal(st, &o->seg);
	if (e == OK)
		e = frozen_write(st, &o->seg, o->bases_tag);
	if (e != OK) {
		o->seg.frozen = false;
		free(f);
		obj_failed(st, ip, 0);
		return (e);
	}
	f->seg = o->seg;
	f->users = 1; /* ours, until the base holds it */
	f->depth = o->under;
	memcpy(f->bases_tag, o->bases_tag, AEAD_TAGLEN);
	map_moved(st, &f->seg);
	memset(&o->seg, 0, sizeof(o->seg));
	memset(o->bases_tag, 0, sizeof(o->bases_tag));
	lock_take(&st->db);
	f->next = st->frozen;
	st->frozen = f;
	lock_drop(&st->db);
	e = obj_new_seg(st, o);
	if (e == OK)
		e = base_prepare(o, &f->seg, &b);
	if (e == OK)
		e = base_add(st, o, &f->seg, b);
	lock_take(&st->db);
	frozen_put(st, &f->seg);
	lock_drop(&st->db);
	if (e != OK)
		return (epoch_stop(st, e, "the sharing of a segment"));
	obj_changed(st, ip, ip->size, 0, 0);
	return (OK);
}

enum err
seg_step_aside(struct store *st, struct inode *ip, uint64_t chunk)
{
	bool clear = true;

	TRY(drain_segment(st, &ip->obj->seg, chunk, ASIDE_BATCHES, &clear));
	/* Too deep already: the write frees it all itself. */
	if (clear || ip->obj->under >= DEPTH_MAX - 1)
		return (OK);
	return (freeze(st, ip));
}

/* ---- Copying --------------------------------------------------------------------------- */

/* The frozen segment that holds all of [blk, blk+n), freezing the top when
 * that is needed. */
static enum err
source(struct store *st, struct inode *ip, uint64_t blk, uint64_t n,
    struct seg **ret, uint64_t *ret_off)
{
	struct seg *s = &ip->obj->seg;
	uint64_t at, end, node;

	/* An untouched copy is shared as what it is a copy of. */
	if (base_next(s, blk, &at, &end) == OK && at == blk && end >= blk + n) {
		const enum err e = map_next(st, s, blk / CHUNK_ENTRIES, &node);

		if (e == ERR_NOENT ||
		    (e == OK && node * CHUNK_ENTRIES >= blk + n))
			return (base_find(st, s, blk, ret, ret_off));
		if (e != OK)
			return (e);
	}
	if (ip->obj->under >= DEPTH_MAX - 1)
		return (ERR_LIMIT);
	TRY(freeze(st, ip));
	return (base_find(st, &ip->obj->seg, blk, ret, ret_off));
}

/* Share whole blocks.  ERR_LIMIT: they must be copied instead. */
static enum err
share(struct store *st, struct inode *from, uint64_t fblk, struct inode *to,
    uint64_t tblk, uint64_t n, uint64_t size)
{
	struct obj *o = to->obj;
	struct base b = { .start = tblk, .len = n };
	struct seg *under = NULL;
	/* At most what the source holds: its holes are shared as well. */
	const uint64_t gain = n < from->blocks ? n : from->blocks;
	int64_t delta = 0;
	enum err e;

	lock_take(&st->db);
	e = db_room(st);
	lock_drop(&st->db);
	TRY(e);
	TRY(source(st, from, fblk, n, &under, &b.off));
	e = inline_convert(st, to);
	if (e == OK)
		e = base_prepare(o, under, &b);
	if (e == OK)
		e = blocks_drop(st, o, tblk, tblk + n, &delta);
	if (e == OK)
		e = base_add(st, o, under, b);
	if (e != OK) {
		obj_failed(st, to, delta);
		return (e);
	}
	obj_changed(st, to, size, delta + (int64_t)gain, CHANGED_TIMES);
	return (OK);
}

/* Blocks of [off, off+len) that can be shared: all in whole blocks, the last
 * one also when both files end with it. */
static uint64_t
shareable(const struct inode *from, uint64_t foff, const struct inode *to,
    uint64_t toff, uint64_t len)
{
	const struct obj *a = from->obj, *b = to->obj;

	if (from == to || foff % BLOCK != 0 || toff % BLOCK != 0 ||
	    a->seg.no == 0 ||
	    (a->method == SSE_NONE) != (b->method == SSE_NONE))
		return (0);
	const uint64_t n = foff + len == from->size &&
	    toff + len >= to->size ? (len + BLOCK - 1) / BLOCK : len / BLOCK;
	return (n >= SHARE_MIN ? n : 0);
}

static enum err
copy_bytes(struct store_file *from, uint64_t foff, struct store_file *to,
    uint64_t toff, uint64_t len, uint64_t *ret)
{
	uint8_t *buf CLEANUP_FREE = malloc(COPY_BUF);
	enum err e = buf == NULL ? ERR_NOMEM : OK;

	*ret = 0;
	while (e == OK && len != 0) {
		size_t n = len < COPY_BUF ? (size_t)len : COPY_BUF;

		e = store_read(from, foff, buf, n, &n);
		if (e != OK || n == 0)
			break;
		e = store_write(to, toff, buf, n, 0);
		if (e != OK)
			break;
		foff += n;
		toff += n;
		len -= n;
		*ret += n;
	}
	if (buf != NULL)
		secret_wipe(buf, COPY_BUF);
	/* What was copied counts, as with write(2). */
	return (*ret != 0 ? OK : e);
}

/* Both exclusive and open; *${ret} bytes were shared, perhaps 0. */
static enum err
share_locked(struct store_file *from, uint64_t foff, struct store_file *to,
    uint64_t toff, uint64_t len, uint64_t *ret)
{
	struct store *st = from->st;
	uint64_t n, size;
	enum err e;

	*ret = 0;
	if (foff >= from->ip->size)
		return (OK);
	if (len > from->ip->size - foff)
		len = from->ip->size - foff;
	n = shareable(from->ip, foff, to->ip, toff, len);
	if (n == 0)
		return (OK);
	if (len > n * BLOCK)
		len = n * BLOCK;
	size = toff + len > to->ip->size ? toff + len : to->ip->size;
	if (size > STORE_SIZE_MAX)
		return (ERR_FBIG);
	e = share(st, from->ip, foff / BLOCK, to->ip, toff / BLOCK, n, size);
	if (e == ERR_LIMIT)
		return (OK);
	if (e == OK)
		*ret = len;
	return (e);
}

static enum err
try_share(struct store_file *from, uint64_t foff, struct store_file *to,
    uint64_t toff, uint64_t len, uint64_t *ret)
{
	struct store *st = from->st;
	enum err e;

	EPOCH_SCOPE(st);
	rwlock_write_pair(&from->ip->lock, &to->ip->lock);
	e = obj_unlock(st, &from->who, from->ip);
	if (e == OK)
		e = obj_unlock(st, &to->who, to->ip);
	if (e == OK)
		e = share_locked(from, foff, to, toff, len, ret);
	rwlock_drop_pair(&from->ip->lock, &to->ip->lock);
	return (e);
}

enum err
store_copy(struct store_file *from, uint64_t from_off, struct store_file *to,
    uint64_t to_off, uint64_t len, uint64_t *ret_len)
{
	uint64_t shared = 0, copied = 0;

	struct store_attr a;

	*ret_len = 0;
	if (to_off > STORE_SIZE_MAX)
		return (ERR_FBIG);
	/* The end is the source's before the copy, which may extend it. */
	TRY(store_getattr(from->st, from->ip->ino, &a));
	if (from_off >= a.size)
		return (OK);
	if (len > a.size - from_off)
		len = a.size - from_off;
	if (from->ip == to->ip && from_off < to_off + len &&
	    to_off < from_off + len)
		return (ERR_INVAL);
	TRY(try_share(from, from_off, to, to_off, len, &shared));
	if (shared < len) {
		const enum err e = copy_bytes(from, from_off + shared, to,
		    to_off + shared, len - shared, &copied);

		if (shared == 0 && e != OK)
			return (e);
	}
	*ret_len = shared + copied;
	return (OK);
}
