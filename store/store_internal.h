/*
 * store_internal: what the files of the local engine share.
 *
 * TERMS
 *   slot      4 KiB place of one block's ciphertext in an arena, numbered
 *             through all arenas; slot 0 is never used.
 *   segment   the blocks of one object, under one content key, with one map.
 *   map       a tree of nodes: level 0 nodes ("chunks") hold 64 entries
 *             (slot, nonce, tag, CRC), nodes above hold the tags of 256
 *             children.  The root's tag is sealed in the object record, so
 *             that no node can be exchanged, dropped or put back.
 *   epoch     one SQLite transaction holding everything since the last.
 *   fresh     written in the open epoch, so in no committed map.
 *   quarantine  slots freed in an epoch that is not durable yet.
 *
 * LOCKS, in rising rank
 *   st->commit   one committer.
 *   st->epoch    shared by every operation that changes anything, exclusive
 *                while the committer seals and commits.  Reads do not take it.
 *   ip->lock     an inode's content: obj, its keys and map nodes.  Shared to
 *                read content, exclusive to change it.
 *   st->db       SQLite, the inode table and lists, every field of struct
 *                inode that is not obj.
 *   st->map      the node cache: hash, LRU, pins.
 *   st->alloc    slots.
 *   st->state    counters, waiters of epochs, thread flags.
 *
 * INVARIANTS (store/check.c asserts them by these numbers)
 *   I0  SQLite's own check of meta.db finds nothing.
 *   I1  Every name's inode exists; an inode's nlink equals its names (a
 *       directory's: 2 + its subdirectories); one without names is an orphan.
 *   I2  Every directory is reached from STORE_ROOT; its parent field names the
 *       directory that holds its name; bucket fields agree along the way.
 *   I3  The allocation bitmap equals the union of all maps' slots; no slot
 *       stands in two maps.
 *   I4  Every map entry's slot lies inside an arena file's size.
 *   I5  Every node's CRC is right; its level and index are possible for the
 *       object's size; a node's tag equals the one its parent (or the object
 *       record) holds; parents name no missing node.
 *   I6  An object record parses; its sealed size equals the inode's; an
 *       inode's row has a known kind and whole times.
 *   I7  segment.refs equals the base extents that name the segment; base
 *       extents of one owner do not overlap.
 *   I8  keyref.uses equals the inodes with that keyref; an inode's keyref
 *       names the master key that its wrapped data key is under.
 *   I9  No xattr, default or content belongs to an inode that is not there.
 *   I10 Numbers given out (inode, segment) are below the counters in super.
 *   I11 No inode holds both inline data and a map, nor blocks beyond its size.
 *   I12 An ACL is one, and an access ACL stands for its inode's mode.
 *   I13 A row of table ring (or redo) that counts holds one block, of a slot
 *       that is in use.
 */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "lib/base/codec.h"
#include "lib/base/err.h"
#include "lib/base/lock.h"
#include "store/store.h"

#define BLOCK 4096u       /* plaintext and ciphertext of one block */
#define CHUNK_ENTRIES 64u /* blocks of a level-0 node: 256 KiB */
#define NODE_FANOUT 256u  /* children of a node above */
#define NODE_LEVELS 5     /* levels 0..4: 4 TiB * 256 and up */
#define INLINE_MAX 1024u  /* bytes of an object kept in its record */
#define INO_MAX (((uint64_t)1 << 48) - 1) /* a mount keeps 48 bits of it */
#define COUNTER_MAX ((uint64_t)1 << 62)   /* segments, epochs */
#define KEY_BLOCKS ((uint64_t)1 << 30) /* blocks sealed under one block key */

/* ---- SQLite (store/db.c) --------------------------------------------------- */

/* One enumerator per prepared statement; db.c holds the texts. */
enum stmt {
	ST_BEGIN,
	ST_COMMIT,
	ST_ROLLBACK,
	ST_SUPER_GET,
	ST_SUPER_SET,
	ST_TOP,
	ST_INODE_GET,
	ST_INODE_PUT,
	ST_INODE_META,
	ST_INODE_DEL,
	ST_DENT_GET,
	ST_DENT_ADD,
	ST_DENT_DEL,
	ST_DENT_SET,
	ST_DENT_NEXT,
	ST_DENT_NEXT_ATTR,
	ST_DENT_ANY,
	ST_LINK_GET,
	ST_LINK_PUT,
	ST_LINK_DEL,
	ST_XATTR_GET,
	ST_XATTR_PUT,
	ST_XATTR_DEL,
	ST_XATTR_DELALL,
	ST_XATTR_LIST,
	ST_XATTR_SUM,
	ST_DFLT_GET,
	ST_DFLT_PUT,
	ST_DFLT_DEL,
	ST_NODE_GET,
	ST_NODE_PUT,
	ST_NODE_DEL,
	ST_NODE_FROM,
	ST_NODE_DELSEG,
	ST_SEG_GET,
	ST_SEG_PUT,
	ST_SEG_REFS,
	ST_SEG_DEL,
	ST_BASE_LIST,
	ST_BASE_PUT,
	ST_BASE_DEL,
	ST_BASE_DELALL,
	ST_ALLOC_GET,
	ST_ALLOC_PUT,
	ST_ORPHAN_PUT,
	ST_ORPHAN_DEL,
	ST_ORPHAN_NEXT,
	ST_ORPHAN_HAS,
	ST_DEAD_PUT,
	ST_DEAD_DEL,
	ST_DEAD_NEXT,
	ST_DEAD_HAS,
	ST_KEYREF_FIND,
	ST_KEYREF_ADD,
	ST_KEYREF_GET,
	ST_KEYREF_USE,
	ST_COUNT_
};

/*
 * The schema (db.c creates it; docs/FORMAT.md explains it):
 *
 * super(one INTEGER PRIMARY KEY CHECK(one=1), format, uuid BLOB, epoch,
 *   next_ino, next_seg, created, flags)
 *     ST_SUPER_GET  -> format, uuid, epoch, next_ino, next_seg, flags
 *     ST_SUPER_SET  (epoch, next_ino, next_seg)
 *     ST_TOP  -> the highest inode and segment number in use
 * inode(ino INTEGER PRIMARY KEY, mode, nlink, uid, gid, rdev, size, blocks,
 *   times BLOB(48: atime mtime ctime btime, each i64 seconds u32 ns, big
 *   endian), parent, bucket, keyref, xattrs (count), obj BLOB or NULL)
 *     ST_INODE_GET (ino) -> all but ino, in that order
 *     ST_INODE_PUT (all, in that order): insert or replace
 *     ST_INODE_META (ino, mode … xattrs; not obj): update
 * dentry(parent, name BLOB, ino, PRIMARY KEY(parent, name)) WITHOUT ROWID:
 *   a directory's name carries a trailing '/'
 *     ST_DENT_GET (parent, name, name || '/') -> name, ino; ordered by name
 *       DESC, so that the directory comes first when both exist
 *     ST_DENT_ADD, ST_DENT_SET (parent, name, ino): insert; change the inode
 *     ST_DENT_DEL (parent, name)
 *     ST_DENT_NEXT (parent, after, limit) -> name, ino, mode (NULL when the
 *       inode has no row yet) of names > after
 *     ST_DENT_NEXT_ATTR: the same joined with inode: name, ino, then the
 *       columns of ST_INODE_GET
 *     ST_DENT_ANY (parent) -> 1 when it holds any name
 * symlink(ino PRIMARY KEY, target BLOB): ST_LINK_*
 * xattr(ino, name BLOB, value BLOB, PRIMARY KEY(ino, name)) WITHOUT ROWID
 *     ST_XATTR_LIST (ino) -> name;  ST_XATTR_SUM (ino) -> bytes of all
 * dflt(ino PRIMARY KEY, text): defaults of directories
 * node(seg, level, idx, row BLOB, PRIMARY KEY(seg, level, idx)) WITHOUT ROWID
 *     ST_NODE_FROM (seg, level, idx, limit) -> idx, row with idx >= given
 * segment(seg PRIMARY KEY, refs, rec BLOB): frozen segments only
 * base(owner, start, len, seg, off, rec BLOB, PRIMARY KEY(owner, start))
 *   WITHOUT ROWID: what lies under segment ${owner} (in blocks)
 * alloc(grp PRIMARY KEY, bits BLOB(4096))
 *     ST_ALLOC_GET -> grp, bits of all, in order
 *     ST_ALLOC_GET -> grp, bits of every row
 * orphan(ino PRIMARY KEY): inodes without names
 * dead(seg, first, PRIMARY KEY(seg, first)) WITHOUT ROWID: level-0 nodes from
 *   ${first} on whose slots are still to be freed; first 0: the whole segment
 *     ST_DEAD_NEXT -> seg, first of any one;  ST_DEAD_HAS (seg) -> first
 * keyref(id INTEGER PRIMARY KEY, arn UNIQUE, uses)
 *     ST_KEYREF_FIND (arn) -> id; ST_KEYREF_ADD (arn) ; ST_KEYREF_GET (id) ->
 *       arn, uses; ST_KEYREF_USE (id, delta)
 */
struct db;

/*
 * Everything here needs st->db held, save open and close.
 *
 * db_open(st): open meta.db through the "ssefs" VFS (store/vfs.c), check the
 * format, fill st->uuid and the counters in ${st}.
 * db_create(path, uuid): a new meta.db with the schema and its root inode;
 * db_create_sealed(path, uuid, key): the same, sealed (store/vfs_seal.h).
 * db_look(st): before db_open, sets st->sealed, and then st->uuid too; a sealed
 * one needs st->kms when it is opened.
 */
enum err db_create(
    const char *path, const uint8_t uuid[static UUID_LEN]) MUSTCHECK;
enum err db_create_sealed(const char *path, const uint8_t uuid[static UUID_LEN],
    const struct key *key) MUSTCHECK;
enum err db_look(struct store *st) MUSTCHECK;
enum err db_open(struct store *st) MUSTCHECK;
void db_close(struct store *st);
/* The statement, reset and without bindings.  Never NULL. */
sqlite3_stmt *db_stmt(struct store *st, enum stmt s);
/* Step a statement that returns no row; resets it.  A failure of a change is
 * fail-stop: the transaction can no longer be trusted (rule 3). */
enum err db_run(struct store *st, enum stmt s) MUSTCHECK;
/* Step to a row: OK, ERR_NOENT (none; the statement is reset) or an error, which
 * stops the store when SQLite has undone the transaction with it.
 * After OK the caller reads columns, then calls db_done(). */
enum err db_row(struct store *st, enum stmt s) MUSTCHECK;
void db_done(struct store *st, enum stmt s);
/* The error of a column that is NULL and must not be: ERR_CORRUPT, or ERR_NOMEM
 * when there was no memory for it. */
enum err db_unread(sqlite3_stmt *s);
/* A statement of its own, for check.c; the caller finalizes it, and steps it
 * with db_step(): OK, ERR_NOENT or an error, as db_row(). */
enum err db_prepare(
    struct store *st, const char *text, sqlite3_stmt **ret) MUSTCHECK;
enum err db_step(struct store *st, sqlite3_stmt *s) MUSTCHECK;
/* Open the epoch's transaction unless it is open: before any change. */
enum err db_begin(struct store *st) MUSTCHECK;
/* Before a change that adds something (never one that removes): room in the WAL
 * for what the transaction will hold, so that a full disk is an error of that
 * change and not of the commit.  ERR_NOSPC. */
enum err db_room(struct store *st) MUSTCHECK;
/* The same before a new inode. */
enum err db_room_new(struct store *st) MUSTCHECK;
/* Is there room for a commit's rows of table ring besides? */
bool db_room_redo(struct store *st) MUSTCHECK;
/* The store's format with what table ring holds now. */
int db_format(const struct store *st);
/* End it.  The WAL is not synced: db_sync() does, without any lock. */
enum err db_commit(struct store *st) MUSTCHECK;
enum err db_sync(struct store *st) MUSTCHECK;
/* Bring WAL frames home.  ${full}: from the owning connection, between two
 * transactions (st->db held); else from the checkpoint connection, no lock
 * needed, one thread only. */
enum err db_checkpoint(struct store *st, bool full) MUSTCHECK;
/*
 * db_copy.c: the state of one epoch, read by a connection of its own.
 * db_snap_open(st, epoch, ret): as of now, which is ${epoch} (ERR_CORRUPT when
 * the table says otherwise); st->commit held.  Until it is closed the WAL grows.
 * db_snap_copy(s, path, more, arg): write it as database ${path}, synced, and
 * sealed when this one is; ${more} is called now and then, false stops it
 * (ERR_BUSY).
 */
struct db_snap;
enum err db_snap_open(
    struct store *st, uint64_t epoch, struct db_snap **ret) MUSTCHECK;
enum err db_snap_copy(struct db_snap *s, const char *path,
    bool (*more)(void *arg), void *arg) MUSTCHECK;
void db_snap_close(struct db_snap *s);
/* Read such a copy, until the store is done with it (db_copy_drop). */
enum err db_read_open(const char *path, sqlite3 **ret) MUSTCHECK;
void db_read_close(sqlite3 **c);
void db_copy_drop(const char *path);
/* SHA-256 of all rows (db_read_open): two copies of one state have the same,
 * also sealed ones. */
enum err db_state(sqlite3 *c, uint8_t ret[static 32]) MUSTCHECK;

/* With all of the WAL home, give its space back to the disk beyond what is kept
 * for removing files on a full one.  Between two transactions. */
void db_shrink(struct store *st);
bool db_shrinkable(struct store *st);
/* Bytes of the WAL in use; 0 when all of it is home. */
uint64_t db_wal_bytes(struct store *st);
/* The enum err of an SQLite result code. */
enum err db_err(int rc);

/* ---- SQLite's VFS (store/vfs.c) --------------------------------------------- */

#define VFS_NAME "ssefs"
#define VFS_COMMON "ssefs-common"
/*
 * vfs_register(): make both VFSes known to SQLite, once per process.  All their
 * input and output goes through lib/base/sys.  With VFS_NAME locks and shared
 * memory are kept in the process (one process owns a store), files named *-wal
 * are grown in steps of 4 MiB and never truncated, and a sync of them can be
 * left to vfs_wal_sync().  VFS_COMMON is for a database that several processes
 * have open (store/vfs_share.h): its WAL is an ordinary one, which is written
 * anew after a sync of it failed.
 */
enum err vfs_register(void) MUSTCHECK;
/* Reads that the disk has refused, ever: SQLite's checks call that damage. */
unsigned long vfs_read_failures(void);
/* fdatasync the WAL that belongs to the open database ${path}. */
enum err vfs_wal_sync(const char *path) MUSTCHECK;
/*
 * Write the WAL's frames once more, as they are.  A process before this one may
 * have stopped because a sync of them failed: then the kernel shows them, calls
 * them clean, and no later sync would bring them to the disk.  ERR_NOSPC, ERR_IO.
 */
enum err vfs_wal_renew(const char *path) MUSTCHECK;
/* Make room on the disk for ${bytes} more of that WAL, counted from its end
 * or, when SQLite will begin it anew, from its start.  ERR_NOSPC. */
enum err vfs_wal_reserve(
    const char *path, bool from_start, uint64_t bytes) MUSTCHECK;
/* How often SQLite has begun that WAL anew, since this process opened it. */
uint64_t vfs_wal_rounds(const char *path);
/* Does it own more than is worth keeping? */
bool vfs_wal_large(const char *path);

/* ---- Slots (store/alloc.c) --------------------------------------------------- */

#define EXTENT_SLOTS 256u               /* 1 MiB */
#define GROUP_SLOTS 32768u              /* 128 MiB: one row of alloc */
#define ARENA_SLOTS ((uint64_t)4194304) /* 16 GiB: one file */

struct alloc;
enum err alloc_open(struct store *st) MUSTCHECK;
void alloc_close(struct store *st);
/*
 * alloc_take(st, hint, want, ret_slot, ret_n):
 * 1..${want} slots in a row, preferably from ${hint} on (0: none); their space
 * on the disk is reserved.  They are busy and fresh.  ERR_NOSPC, ERR_IO.
 */
enum err alloc_take(struct store *st, uint64_t hint, uint32_t want,
    uint64_t *ret_slot, uint32_t *ret_n) MUSTCHECK;
/* Give back slots: at once when ${fresh}, else after the epoch is durable. */
void alloc_give(struct store *st, uint64_t slot, uint32_t n, bool fresh);
/* Committer: write dirty groups' rows (st->db held). */
enum err alloc_write_rows(struct store *st) MUSTCHECK;
/* Committer: seal this epoch's quarantine (exclusive epoch); later, once it is
 * durable, open it and punch what is empty. */
void alloc_epoch_end(struct store *st);
void alloc_epoch_durable(struct store *st);
/* fdatasync every arena written since its last sync. */
enum err alloc_sync(struct store *st) MUSTCHECK;
/*
 * alloc_hold(st):
 * What is in use now stays where it is until alloc_unhold() of its group, or
 * alloc_unhold_all().  With st->commit held, after a commit: what that commit
 * refers to is among it.  ERR_BUSY: held already; ERR_NOMEM.
 * alloc_held() tells whether the hold is unbroken: what was read before is good.
 * alloc_hold_break() ends it for want of space; false: there was none.
 */
enum err alloc_hold(struct store *st) MUSTCHECK;
bool alloc_held(struct store *st);
void alloc_unhold(struct store *st, uint64_t grp);
void alloc_unhold_all(struct store *st);
bool alloc_hold_break(struct store *st);
/*
 * Give the space of empty extents back to the disk, at a clean end, when no slot
 * waits for an epoch: of those that this process has reserved or emptied, as what
 * a damaged table calls empty may not be.  ${all}: of all of them, after a crash,
 * or by who has just compared the table with the maps.
 */
void alloc_trim(struct store *st, bool all);
/*
 * Bytes of a disk that content leaves to names, and of which these leave half to
 * the audit log: without room for that no file could be read any more.
 * arena_room: has the disk ${bytes} more than the ${part}th part of them?
 */
uint64_t arena_left(const struct statvfs *v);
bool arena_room(struct store *st, uint64_t bytes, unsigned part);
/* Reserve in advance what the next long write will come to; no locks held. */
void arena_ahead(struct store *st);
/* Bytes free within reserved extents. */
uint64_t alloc_free_bytes(struct store *st);
/* Arena I/O of ${n} slots in a row (never across arenas). */
enum err alloc_read(
    struct store *st, uint64_t slot, uint32_t n, void *ret) MUSTCHECK;
enum err alloc_write(
    struct store *st, uint64_t slot, uint32_t n, const void *data) MUSTCHECK;
/* For check.c: the committed view of a group's bitmap (4096 bytes). */
enum err alloc_bits(struct store *st, uint64_t grp, uint8_t *ret) MUSTCHECK;
enum err alloc_set_bits(
    struct store *st, uint64_t grp, const uint8_t *bits) MUSTCHECK;
uint64_t alloc_groups(struct store *st);
bool alloc_known(struct store *st, uint64_t grp); /* it has a row */
uint64_t alloc_used(struct store *st);            /* slots */
/* Do the maps of the open epoch refer to it? */
bool alloc_in_use(struct store *st, uint64_t slot);
/* I4: does it lie in its arena?  ERR_IO …: the disk does not say. */
enum err alloc_slot_ok(struct store *st, uint64_t slot, bool *ret) MUSTCHECK;

/* ---- Inodes in core (store/inode.c) ------------------------------------------ */

struct obj;

struct inode {
	uint64_t ino;
	struct inode *hnext;         /* hash chain */
	struct inode *lprev, *lnext; /* LRU while unpinned */
	struct inode *dprev, *dnext; /* dirty list */
	struct inode *kprev, *knext; /* unpinned with keys, LRU */
	uint32_t pins;
	bool dirty;      /* row differs from the table's */
	bool obj_dirty;  /* obj must be sealed and written as well */
	bool in_table;   /* a row exists (perhaps an older one) */
	bool gone;       /* reaped: its row is no more */
	bool orphan;     /* no name */
	bool reap;       /* to be reaped, was in use when asked */
	bool orphan_row; /* table orphan holds it; follows at a flush */

	uint32_t mode, nlink, uid, gid, rdev, keyref, xattrs;
	uint64_t size, blocks; /* blocks: of 4 KiB */
	struct timespec atime, mtime, ctime, btime;
	uint64_t parent; /* directories: where its name stands */
	uint64_t bucket; /* inode of its bucket; 0: none */

	uint64_t dflt_gen; /* directories: st->dflt_gen that the */
	char *dflt;        /* effective default was found at */

	struct rwlock lock;
	struct obj *obj; /* regular files; under ${lock} */
	enum err late; /* of the last write that failed after its answer … */
	uint32_t late_no; /* … of so many; under ${lock} */
	bool late_known;  /* somebody was told */
};

/* All with st->db held, except inode_unpin (takes it). */
/* Pin the inode ${ino}, loading it.  ERR_STALE when there is none. */
enum err inode_get(
    struct store *st, uint64_t ino, struct inode **ret) MUSTCHECK;
/* A new inode, pinned and dirty, all times now; not in the table yet. */
enum err inode_new(
    struct store *st, uint32_t mode, struct inode **ret) MUSTCHECK;
void inode_put(struct store *st, struct inode *ip);   /* unpin, db held */
void inode_unpin(struct store *st, struct inode *ip); /* unpin, db not held */
void inode_dirty(struct store *st, struct inode *ip);
/* The row leaves the table and the inode its life; content must be dead. */
enum err inode_erase(struct store *st, struct inode *ip) MUSTCHECK;
void inode_attr(const struct inode *ip, struct store_attr *ret);
/* The columns of ST_INODE_GET beginning at column ${col} as attributes. */
enum err inode_row_attr(
    sqlite3_stmt *s, int col, uint64_t ino, struct store_attr *ret) MUSTCHECK;
/* In core already? (pinned when so) */
struct inode *inode_peek(struct store *st, uint64_t ino);
struct timespec inode_now(void);

/* ---- Objects (store/obj.c): keys, records, seals ------------------------------ */

/*
 * obj_make(st, who, method, keyname, ret, ret_keyref_arn):
 * Keys and uuid of a new object.  No lock needed: may wait for the KMS.
 */
enum err obj_make(struct store *st, const struct kms_who *who, enum sse method,
    const char *keyname, struct obj **ret,
    char ret_arn[static KMS_ARN_MAX]) MUSTCHECK;
/*
 * A new object is about to enter an inode, under st->db: is its master key
 * still in use?  Until now revocation did not know of it; from now on, with
 * keyref_use() in the same hold of st->db, it does.  ERR_KEYREVOKED.
 */
enum err obj_still_ok(
    struct store *st, const struct obj *o, const char *arn) MUSTCHECK;
/* st->db held, unless it was never used. */
void obj_free(struct obj *o);
/* ${text} ("None", "AES256", "KMS", "KMS:x") to method and key name (pointer
 * into ${text}, or NULL).  ERR_INVAL. */
enum err sse_parse(
    const char *text, enum sse *ret_method, const char **ret_key) MUSTCHECK;
/* asker.c: ${who} by way of the storage service, as long as the original lives. */
struct kms_who asker_who(const struct store *st, const struct kms_who *who);
/* The number of an ARN, made when new (st->db held; AES256's ARN is the
 * service key's). */
enum err keyref_get(struct store *st, const char *arn, uint32_t *ret) MUSTCHECK;
enum err keyref_arn(
    struct store *st, uint32_t ref, char ret[static KMS_ARN_MAX]) MUSTCHECK;
/* As keyref_arn(), before keys under it are loaded: revocation looks for them
 * from now on. */
enum err keyref_hold(
    struct store *st, uint32_t ref, char ret[static KMS_ARN_MAX]) MUSTCHECK;
/* ${delta} inodes more use it; one more has its keys loaded. */
void keyref_use(struct store *st, uint32_t ref, int delta);

/* The effective default's text for new files in directory ${ip} (st->db held);
 * valid while it is held.  store/dflt.c. */
enum err dflt_effective(
    struct store *st, struct inode *ip, const char **ret) MUSTCHECK;

/* store/make.c: was the making of the store in ${dir} begun, and not ended? */
enum err store_half_made(const char *dir, bool *ret) MUSTCHECK;

/* ---- Epochs (store/epoch.c) ----------------------------------------------------- */

/*
 * Every change runs between epoch_enter and epoch_leave.  epoch_enter refuses
 * (ERR_ROFS, ERR_FAILSTOP) and, when much is dirty, first commits.
 */
enum err epoch_enter(struct store *st) MUSTCHECK;
void epoch_leave(struct store *st);
static inline void
epoch_cleanup(struct store **st)
{
	if (*st != NULL)
		epoch_leave(*st);
}
/* EPOCH_SCOPE(st): enter, return the error if refused, leave at the end. */
#define EPOCH_SCOPE(st)                                                        \
	TRY(epoch_enter(st));                                                  \
	struct store *LOCK_CAT_(epoch_scope_, __LINE__) CLEANUP(epoch_cleanup) \
	    UNUSED = (st)
/* Rule 3: stop for good, say so once. Returns ${e}. */
enum err epoch_stop(struct store *st, enum err e, const char *what);
/* ${e}, but ERR_IO for the damage that a stop leaves: what is in core is newer
 * than the tables when the open transaction was lost. */
enum err epoch_damage(struct store *st, enum err e);
/* Commit all; wait until durable. */
enum err epoch_commit(struct store *st) MUSTCHECK;
/* The last one before the store closes: nothing waits in table ring after it. */
enum err epoch_last(struct store *st) MUSTCHECK;
/* Commit all, then call ${fn} before any other commit can come; ${epoch} is the
 * last one on disk. */
enum err epoch_with(struct store *st,
    enum err (*fn)(struct store *st, uint64_t epoch, void *arg),
    void *arg) MUSTCHECK;
/* The thread that commits in time, drains and brings the WAL home. */
enum err epoch_start(struct store *st) MUSTCHECK;
void epoch_end(struct store *st);
/* Wake it. */
void epoch_kick(struct store *st);

struct map;
struct store {
	char *dir;
	int lockfd;
	bool was_closed; /* the process before this one came to its end */
	bool readonly;
	bool sealed;            /* meta.db is (store/vfs_seal.h) */
	atomic_bool stopped;    /* rule 3 */
	atomic_bool late;       /* a write failed after its answer, ever */
	struct store_opts opts; /* with defaults filled in */
	uint8_t uuid[UUID_LEN];
	char uuid_text[UUID_STRLEN + 1];
	struct kms *kms;
	struct asker *askers; /* db */

	struct lock commit;
	struct rwlock epoch;
	struct lock db;
	struct lock map_lock;
	struct lock alloc_lock;
	struct lock state;
	pthread_cond_t state_cond;

	/* st->db */
	struct db *sql;
	bool in_txn;
	uint64_t epoch_no; /* of the open epoch */
	uint64_t next_ino, next_seg;
	struct inode **ihash;
	uint32_t ihash_mask;
	uint32_t icount;
	atomic_uint idirty; /* changed under st->db */
	uint32_t ikeyed;
	struct inode lru, dirty_list, keyed; /* list heads */
	uint64_t dflt_gen; /* rises when a default or a directory's
					 place changes */
	struct keyrefs *keyrefs;
	struct frozen *frozen; /* shared segments in core */

	struct map *map;     /* st->map_lock */
	struct alloc *alloc; /* st->alloc_lock */
	struct redo *redo;   /* see redo.h */

	atomic_uint_fast64_t durable_epoch; /* highest epoch on disk */

	/* st->state */
	bool stopping, kick;
	pthread_t maint;
	bool maint_on;
	void (*revoke_cb)(void *arg, uint32_t keyref);
	void *revoke_arg;

	atomic_uint_fast64_t dirty_bytes;  /* written since the last commit */
	atomic_uint_fast64_t synced_bytes; /* of these, synced ahead */
	atomic_bool want_reap;             /* an inode is marked ${reap} */
	atomic_bool have_dead;             /* table dead may hold rows */
	atomic_uint_fast64_t dirty_nodes;  /* map nodes not in their rows */
	struct {
		atomic_uint_fast64_t epochs, fsyncs, reads, writes, read_bytes,
		    write_bytes, kms_calls, map_hits, map_misses;
	} n;
};

#endif
