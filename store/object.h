/*
 * object: an object's record, its segment and its map (inner to store/).
 *
 * A regular file has a struct obj under its inode's lock.  The record can be
 * read without a key (sizes, numbers, the wrapped data key); content needs
 * obj_unlock() first, which asks the KMS.  The map's nodes are cached by
 * segment (store/map.c).
 */
#ifndef STORE_OBJECT_H
#define STORE_OBJECT_H

#include "store/store_internal.h"

#define BLOCKS_MAX (STORE_SIZE_MAX / BLOCK) /* of one object */

/* ---- Map entries (level 0), 40 bytes, as on disk -------------------------- */

/*
 *  0 12 nonce          28  5 slot (big endian)     34  2 state
 * 12 16 tag            33  1 block key number      36  4 CRC32C of the
 *                                                        ciphertext
 */
struct ment {
	uint8_t nonce[AEAD_NONCELEN];
	uint8_t tag[AEAD_TAGLEN];
	uint8_t slot[5];
	uint8_t kidx;
	uint8_t state[2];
	uint8_t crc[4];
};
_Static_assert(sizeof(struct ment) == 40, "map entry");

enum ment_state {
	MENT_ABSENT = 0, /* what lies under the segment shows, else zeros */
	MENT_DATA = 1
};

uint64_t ment_slot(const struct ment *m);
void ment_set_slot(struct ment *m, uint64_t slot);
static inline enum ment_state
ment_state(const struct ment *m)
{
	return ((enum ment_state)m->state[1]);
}

/* ---- Nodes ------------------------------------------------------------------ */

#define NODE_HEAD 44u /* bytes before the entries in a row */
#define NODE_ROW_MAX (NODE_HEAD + NODE_FANOUT * AEAD_TAGLEN)

struct seg;

struct node {
	struct node *hnext;         /* cache; these six under st->map_lock */
	struct node *lprev, *lnext; /* LRU: clean and unpinned */
	struct node *sprev, *snext; /* all nodes of the segment */
	uint32_t pins;
	struct node *dprev, *dnext; /* dirty ones of the segment and level;
				       under the owner's ip->lock */
	struct seg *seg;
	uint64_t segno, idx;
	uint8_t level;
	bool dirty; /* differs from its row */
	bool in_lru;
	uint16_t count; /* entries held; absent ones follow */
	uint16_t cap;
	uint64_t fresh; /* bit i: entry i was written in fresh_epoch */
	uint64_t fresh_epoch;
	uint8_t *ents; /* count * node_esize(level) */
};

static inline size_t
node_esize(uint8_t level)
{
	return (level == 0 ? sizeof(struct ment) : AEAD_TAGLEN);
}

/* ---- Segments --------------------------------------------------------------- */

struct base {
	uint64_t start, len, off; /* blocks: [start, start+len) shows the
				     blocks from ${off} of ${seg} */
	uint64_t segno;
	struct seg *seg; /* loaded on demand, owned */
	uint8_t rec[64]; /* the base's content key, sealed (60), pad */
};

/* A map of one node with few entries stands in the object record itself: most
 * files are small, and are spared a row and a MAC. */
#define EMBED_MAX 4u

struct seg {
	struct store *st;
	uint64_t no; /* 0: no segment yet */
	uint8_t uuid[UUID_LEN];
	uint8_t depth;             /* level of the root node */
	uint8_t root[AEAD_TAGLEN]; /* zero: empty map */
	bool embedded; /* the only node stands in the object record: */
	uint8_t nemb;  /* its entries, and how many */
	struct ment emb[EMBED_MAX];
	bool rowed; /* the only node has (or had) a row */
	bool cipher;
	bool maybe_dead;   /* table dead may hold a range of it */
	bool frozen;       /* shared: never written again */
	uint64_t sealed;   /* blocks sealed so far, over all block keys */
	uint64_t hint;     /* slot after the one written last … */
	uint64_t hint_blk; /* … if this block is written next */
	struct key *ck;    /* content key; NULL while locked or no cipher */
	_Atomic(struct aead *) mapk; /* MACs of nodes; see seg_map_key() */
	struct aead *basek;          /* seals the keys of bases */
	struct aead **blk;           /* block keys 0..nblk-1 */
	unsigned nblk;
	struct base *bases; /* sorted, not overlapping */
	size_t nbases, bases_cap;
	struct node *nodes; /* under st->map_lock */
	struct node *dirty[NODE_LEVELS];
};

/* Fill in a fresh segment with new uuid and content key. (st->db not held.) */
enum err seg_make(struct store *st, struct seg *s, bool cipher) MUSTCHECK;
/* Derive the block keys from s->ck. */
enum err seg_keys(struct seg *s) MUSTCHECK;
/* The key of the nodes' MACs, derived at its first use: a map that stands in its
 * object's record needs none. */
enum err seg_map_key(struct seg *s, struct aead **ret) MUSTCHECK;
/* Derive s->basek, which few segments need.  Exclusive. */
enum err seg_base_key(struct seg *s) MUSTCHECK;
/* The key for block key number ${kidx}, or NULL. */
struct aead *seg_blk(struct seg *s, unsigned kidx);
/* Make sure the key for the next ${n} blocks exists; its number. */
enum err seg_next_key(struct seg *s, uint64_t n, unsigned *ret_kidx) MUSTCHECK;
/* Wipe the keys, keep the rest. */
void seg_lock(struct seg *s);
/* Wipe and free what it holds; cached nodes must be forgotten before. */
void seg_clear(struct seg *s);

/* A row of table segment, without keys (frozen.c has the bytes).  ERR_CORRUPT.
 * The pointers of ${ret} go into ${rec}. */
struct seg_rec {
	uint8_t depth;
	bool cipher, has_bases;
	uint64_t sealed;
	const uint8_t *uuid, *root, *bases_tag, *nonce, *tag;
};
#define SEG_REC 96u
enum err seg_rec_parse(
    const uint8_t *rec, size_t len, struct seg_rec *ret) MUSTCHECK;

/* ---- The map (store/map.c).  The owner's ip->lock is held: shared for
 *      map_get, exclusive for the rest; st->db is NOT held. ------------------- */

enum err map_open(struct store *st) MUSTCHECK;
void map_close(struct store *st);
/*
 * map_get(st, s, level, idx, &ret): the node, verified and pinned, or NULL
 * when the map holds none there.  ERR_CORRUPT, ERR_AUTH: altered.
 */
enum err map_get(struct store *st, struct seg *s, uint8_t level, uint64_t idx,
    struct node **ret) MUSTCHECK;
void map_put(struct store *st, struct node *n);
/* The level-0 node ${idx}, made when absent, dirty, with room for its first
 * ${count} entries; pinned. */
enum err map_touch(struct store *st, struct seg *s, uint64_t idx,
    uint16_t count, struct node **ret) MUSTCHECK;
/* The first level-0 node that exists at or after ${from}; ERR_NOENT: none. */
enum err map_next(struct store *st, struct seg *s, uint64_t from,
    uint64_t *ret_idx) MUSTCHECK;
/* Write the dirty nodes into the open transaction, sealed bottom-up; s->root
 * is then right. */
enum err map_seal(struct store *st, struct seg *s) MUSTCHECK;
/* Drop every cached node of the segment, dirty ones too. */
void map_forget(struct store *st, struct seg *s);
/* Cut off what lies at or after level-0 node ${first} (not 0), in the cache and
 * in the nodes above, leaving the rows for the drain; level-0 nodes that are
 * dirty give their slots back here and lose their rows. */
enum err map_cut(struct store *st, struct seg *s, uint64_t first) MUSTCHECK;
/* The map's only node must have a row from now on (it will be shared). */
enum err map_unembed(struct store *st, struct seg *s) MUSTCHECK;
/* Move a segment to another place in core, its nodes with it; ${from} is then
 * empty. */
void map_move(struct store *st, struct seg *from, struct seg *to);
/* Mark an entry fresh / tell whether it is. */
void node_set_fresh(struct store *st, struct node *n, unsigned i);
bool node_fresh(struct store *st, const struct node *n, unsigned i);
/* True when any node of the segment is dirty. */
bool map_dirty(const struct seg *s);
/* Give back the slots of all dirty level-0 nodes and delete their rows: the
 * segment dies (the rest of its rows is the drain's). */
enum err map_give_dirty(
    struct store *st, struct seg *s, uint64_t first) MUSTCHECK;

/*
 * Rows, without keys (drain, check, scrub).  node_parse checks form and CRC:
 * ERR_CORRUPT.  ${ret_ents} points into ${row}.
 */
struct node_row {
	uint8_t level;
	uint16_t count;
	uint64_t gen;
	const uint8_t *nonce, *tag, *ents;
};
enum err node_parse(const uint8_t *row, size_t len, uint8_t level,
    struct node_row *ret) MUSTCHECK;
/* Check the row's MAC with the segment's keys (or, without cipher, its form),
 * and that its tag is ${want} (NULL: any). */
enum err node_verify(struct seg *s, uint8_t level, uint64_t idx,
    const struct node_row *r, const uint8_t *want) MUSTCHECK;

/* ---- Records ----------------------------------------------------------------- */

#define OBJ_HEAD 160u
#define OBJ_REC_MAX (OBJ_HEAD + KMS_BLOB_MAX + KEY_LEN + INLINE_MAX)
#define OBJ_F_INLINE 0x01u
#define OBJ_F_DEAD 0x02u  /* table dead may hold a range of the segment */
#define OBJ_F_BASES 0x04u /* table base holds rows of the segment */
#define OBJ_F_EMBED 0x08u /* the map's only node stands in the record */
#define WRAPPED_LEN (KEY_LEN + AEAD_OVERHEAD)
_Static_assert(WRAPPED_LEN == 60, "sealed content key of a base");
_Static_assert(EMBED_MAX * sizeof(struct ment) <= INLINE_MAX,
    "either stands in the record, never both");

struct obj {
	enum sse method;
	uint8_t uuid[UUID_LEN];
	uint64_t size;           /* sealed size */
	uint8_t commit[KEY_LEN]; /* key commitment */
	uint8_t bases_tag[AEAD_TAGLEN];
	bool has_bases; /* table base holds rows of the segment */
	unsigned under; /* deepest chain of segments under it */
	uint8_t *blob;  /* wrapped data key; NULL without cipher */
	size_t bloblen;
	struct aead *reck; /* seals the record; NULL while locked */
	bool lost;         /* locked while dirty: the store stopped */
	bool open;         /* keys loaded (or none needed) and the
				      record's seal verified */
	bool has_inline;
	uint8_t *inl; /* INLINE_MAX bytes when has_inline && open */
	uint16_t inl_len;
	struct seg seg;
	uint64_t kms_epoch; /* of a new object: before its key came */
	uint8_t *rec;       /* the record as in the table; NULL when
				      never written */
	size_t reclen;
};

/* Parse a record (no keys).  ERR_CORRUPT. */
enum err obj_parse(const uint8_t *rec, size_t len, struct obj **ret) MUSTCHECK;
/* Load the keys of ip->obj and verify the record; does nothing when open. */
enum err obj_unlock(
    struct store *st, const struct kms_who *who, struct inode *ip) MUSTCHECK;
/* Give the object a fresh segment (its old one must be dead): new uuid, new
 * content key.  o->open. */
enum err obj_new_seg(struct store *st, struct obj *o) MUSTCHECK;
/* The object has no segment any more: what it held was given back. */
void obj_no_seg(struct store *st, struct obj *o);
/* Nobody uses the object just now: give up its cipher contexts. */
void obj_rest(struct obj *o);
/* Forget keys and plaintext; the record must be clean.  st->db held. */
void obj_lock(struct store *st, struct obj *o);
/* Seal map and record, write them and the inode's row into the transaction
 * (epoch held in any way, ip->lock exclusive, st->db not held). */
enum err obj_flush(struct store *st, struct inode *ip) MUSTCHECK;
/* Write the inode's row, with its object when that is dirty.  Locks as for
 * obj_flush. */
enum err inode_flush(struct store *st, struct inode *ip) MUSTCHECK;
/* The table of inodes of a store. */
enum err inode_open(struct store *st) MUSTCHECK;
void inode_close(struct store *st);
/* Walk all in core: the inode of bucket ${b} with the least number above
 * *${after}, pinned; NULL: none. */
uint32_t inode_buckets(void);
struct inode *inode_next(struct store *st, uint32_t b, uint64_t *after);
/* Flush some of the oldest dirty, unpinned inodes (epoch held shared). */
enum err inode_flush_some(struct store *st, uint32_t keep) MUSTCHECK;
#define CHANGED_TIMES 0x1u    /* mtime and ctime become now */
#define CHANGED_KILLPRIV 0x2u /* clear set-id bits as a write does */
/* Note changed content (takes st->db; ip->lock exclusive). */
void obj_changed(struct store *st, struct inode *ip, uint64_t size,
    int64_t blocks_delta, unsigned flags);
/*
 * A change of content failed half-way (locks as above): slots may have been
 * given back and nodes sealed or made, so that what the table says of the
 * object must follow in this epoch, or it would name slots that are free.
 */
void obj_failed(struct store *st, struct inode *ip, int64_t blocks_delta);

/* keyref.c, st->db held.  Write changed counts (committer); free; and the next
 * key, from *${pos} on, that went out of use since the last look. */
enum err keyrefs_write(struct store *st) MUSTCHECK;
void keyrefs_close(struct store *st);
/* *ret_all: for everybody; else for some of those who used it. */
bool keyrefs_revoked(
    struct store *st, size_t *pos, uint32_t *ret_id, bool *ret_all);
/* An asker with this bit uses the key from now on. */
enum err keyref_used_by(struct store *st, uint32_t ref, uint64_t bit) MUSTCHECK;

/* How many inodes use the key ${arn} (NULL: all keys), with what is not
 * committed yet.  st->db held. */
enum err keyref_uses(
    struct store *st, const char *arn, uint64_t *ret) MUSTCHECK;
/* uses.c: kms_uses_fn of a store, its argument. */
enum err uses_count(void *st, const struct kms_desc *d, bool wait,
    struct kms_uses *ret) MUSTCHECK;

/* The two pairs every object's data key is bound to. */
struct obj_ctx {
	char uuid[UUID_STRLEN + 1];
	struct kms_pair pair[2];
};
void obj_ctx(const struct store *st, const uint8_t uuid[static UUID_LEN],
    struct obj_ctx *ret);

/* Free the slots of whole segments in batches (store/drain.c). */
/* Note segment ${segno} (from level-0 node ${first} on) for draining, or free
 * it at once when small.  Epoch shared, st->db held. */
enum err drain_add(struct store *st, uint64_t segno, uint64_t first) MUSTCHECK;
/* One batch of work; ERR_NOENT when there is none.  No lock held. */
enum err drain_step(struct store *st) MUSTCHECK;
/*
 * drain_segment(st, s, chunk, most, ret_clear):
 * Before level-0 node ${chunk} is written: free what was cut off of the segment
 * there and still has its rows, in at most ${most} batches; ${ret_clear} tells
 * whether that was enough.  Epoch shared, the owner's lock exclusive, st->db
 * not held.
 */
enum err drain_segment(struct store *st, struct seg *s, uint64_t chunk,
    unsigned most, bool *ret_clear) MUSTCHECK;

/* ---- Content (ip->lock held, the object open, st->db not held) --------------- */

/* asker.c: who asked for keys; st->db held. */
struct asker {
	char tenant[KMS_NAME_MAX], user[KMS_NAME_MAX], agent[KMS_NAME_MAX];
	struct kms_who who; /* the same, by way of the storage service */
	uint64_t bit;       /* its own; 0 when there is none left */
	struct asker *next;
};
/* The one for ${who}; lives as long as the store. */
enum err asker_get(struct store *st, const struct kms_who *who,
    const struct asker **ret) MUSTCHECK;
/* Of those with a bit in ${may}, or without any bit: take out who may not use
 * the key ${arn} any more; true when there was one. */
bool askers_lost(struct store *st, const char *arn, uint64_t *may);
void askers_close(struct store *st);

struct store_file {
	struct store *st;
	struct inode *ip;
	const struct asker *asker;
	bool made;           /* by this handle: no right to read was asked */
	_Atomic uint64_t at; /* KMS epoch in which it was allowed */
	atomic_bool early;   /* had a write that was answered early */
	enum err late;       /* … which then failed: its next write says so */
	uint32_t late_told;  /* ip->late_no that fsync has told; all three under
			      * ip->lock */
	bool noatime;        /* set before the first read */
};
/* file.c.  file_new takes over one pin of ${ip}.  ${at} is the KMS's epoch
 * before it was asked; ${made} tells that the file is new. */
enum err file_new(struct store *st, const struct kms_who *who, struct inode *ip,
    uint64_t at, bool made, struct store_file **ret) MUSTCHECK;
/* The KMS's epoch; 0 without a KMS. */
uint64_t file_epoch(const struct store *st);
/* With ip->lock held: may its asker still use the file's key?  Cheap when
 * nothing was changed in the KMS. */
enum err file_ask(struct store_file *f) MUSTCHECK;
/* May ${who} change the content of a file without opening it?  ip->lock
 * exclusive; the keys are loaded when they are not. */
enum err file_may_cut(
    struct store *st, const struct kms_who *who, struct inode *ip) MUSTCHECK;
/* Take ip->lock, shared or exclusive, with the object open. */
enum err file_lock(struct store_file *f, bool exclusive) MUSTCHECK;
/* Per-thread space for the ciphertext of RUN_BLOCKS blocks. */
#define RUN_BLOCKS 256u
uint8_t *file_scratch(void);

/* read.c */
struct bref {
	struct seg *seg; /* that holds the block; NULL: zeros */
	uint64_t blk;    /* its number there */
	struct ment m;
};
/* Where the ${n} blocks (at most RUN_BLOCKS) from ${blk} on are. */
enum err blocks_find(struct store *st, struct seg *s, uint64_t blk, uint32_t n,
    struct bref *ret) MUSTCHECK;
/* ${n} blocks in clear.  ERR_AUTH, ERR_CORRUPT. */
enum err blocks_read(struct store *st, struct seg *s, uint64_t blk, uint64_t n,
    uint8_t *ret) MUSTCHECK;
/* The associated data of a block. */
#define BLOCK_AD (UUID_LEN + 8 + 4 + 1)
void block_ad(const struct seg *s, uint64_t blk, uint8_t kidx,
    uint8_t ret[static BLOCK_AD]);

/* write.c.  Exclusive; epoch shared. */
/* A write that is answered before its bytes are in the arenas. */
struct early {
	void (*answer)(void *arg);
	void *arg;
	struct inode *ip;
	uint64_t size;    /* of the file, when it is done */
	unsigned changed; /* for obj_changed() */
	int64_t gained;   /* blocks that it counted */
	bool accepted;    /* answered */
};
/* Replace bytes; the object has a segment.  Adds to ${ret_delta} the blocks
 * gained.  ${early} may be NULL. */
enum err blocks_write(struct store *st, struct obj *o, uint64_t off,
    const uint8_t *buf, size_t len, struct early *early,
    int64_t *ret_delta) MUSTCHECK;
/* What fsync says of early answered writes that failed, after ip->lock was
 * taken: once to everybody who had the file open (${f}), as the kernel does it
 * with errors of write-back; without ${f} what nobody was told. */
enum err late_error(struct inode *ip, struct store_file *f) MUSTCHECK;
/* Move inline data into a segment. */
enum err inline_convert(struct store *st, struct inode *ip) MUSTCHECK;

/* trunc.c.  All content goes; needs no key. */
enum err content_drop(struct store *st, struct inode *ip) MUSTCHECK;
/* Blocks [from, to) become zeros. */
enum err blocks_drop(struct store *st, struct obj *o, uint64_t from,
    uint64_t to, int64_t *ret_delta) MUSTCHECK;
enum err data_truncate(struct store *st, const struct kms_who *who,
    struct inode *ip, uint64_t size) MUSTCHECK;

/* share.c: what lies under a segment. */
/* Level-0 node ${chunk} is about to be written; when it lies in a large range
 * that was cut off and is still being freed, the object goes on with a new
 * segment above the old one, so that no write waits for all of that. */
enum err seg_step_aside(
    struct store *st, struct inode *ip, uint64_t chunk) MUSTCHECK;
/* The block under s's block ${blk}; *${ret} NULL when none. */
enum err base_find(struct store *st, struct seg *s, uint64_t blk,
    struct seg **ret, uint64_t *ret_blk) MUSTCHECK;
/* Nothing shows through in [from, to) any more. */
/* Room for what base_trim() adds to the list, which then cannot fail but with
 * the store stopped. */
enum err base_room(struct seg *s) MUSTCHECK;
enum err base_trim(
    struct store *st, struct obj *o, uint64_t from, uint64_t to) MUSTCHECK;
/* Load the bases' list with their keys (obj_unlock). */
enum err base_load(struct store *st, struct obj *o) MUSTCHECK;
/* Forget the list in core.  st->db held. */
void base_unload(struct store *st, struct seg *s);
/* First block at or after ${blk}, below ${end}, under which a base lies
 * (ERR_NOENT: none), and the end of that range. */
enum err base_next(const struct seg *s, uint64_t blk, uint64_t *ret,
    uint64_t *ret_end) MUSTCHECK;
/* The bases of a dying segment lose one reference. Epoch shared, db held. */
enum err base_release(struct store *st, uint64_t owner) MUSTCHECK;

/* store.c: try once more what store_reap() found in use. */
void reap_again(struct store *st);
/* Free what frozen.c holds of the store. */
void share_close(struct store *st);

/* revoke.c: look for keys that went out of use (kms_watch's callback). */
void revoke_look(void *st);

/* attr.c: relatime. */
void attr_touch_atime(struct store *st, struct inode *ip);

#endif
