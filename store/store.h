/*
 * store: the object store behind every face of ssefs.
 *
 * A store is a directory: meta.db (SQLite, all metadata), arena-N (nothing but
 * ciphertext blocks), keys.db and its audit log (the keystore, kms/kms.h),
 * lock (the owner's pid).  One process owns a store at a time.
 *
 * Inodes form one tree: STORE_ROOT holds the buckets, each bucket is a
 * directory under it.  The store checks what a local filesystem checks
 * *except* permission bits, which the face checks (the kernel, for a mount);
 * key rights are checked here, through the KMS, as ${who}.
 *
 * Durability: an operation that returned OK is visible to all at once, and
 * on disk when a later store_sync() or store_fsync() has returned OK, or
 * after commit_secs at the latest.  After a crash the whole tree equals its
 * state at one moment no older than the last such return.  When a sync fails
 * the store stops (ERR_FAILSTOP for every change from then on, reads go on).
 *
 * All functions are thread-safe.  Names are bytes without NUL and '/', 1..255
 * long, never "." or ".."; others give ERR_INVAL or ERR_NAMETOOLONG.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "kms/kms.h"
#include "lib/base/err.h"

#define STORE_ROOT 1          /* inode of the directory of buckets */
#define STORE_FORMAT 1        /* on-disk format written and read */
#define STORE_FORMAT_SEALED 2 /* the same, with sealed metadata */
#define STORE_REDO 2          /* added while table redo has rows (older ones) */
#define STORE_RING 4          /* added while rows of table ring count */
#define STORE_FORMAT_MAX (STORE_FORMAT_SEALED + STORE_RING)
#define STORE_NAME_MAX 255
#define STORE_LINK_MAX 65000 /* hard links of one file */
#define STORE_SYMLINK_MAX 4095
#define STORE_SIZE_MAX ((uint64_t)1 << 45) /* 32 TiB: the largest file */
#define STORE_XATTR_NAME_MAX 255
#define STORE_XATTR_MAX 65536     /* bytes of one value */
#define STORE_XATTR_TOTAL 1048576 /* names and values of one inode */
#define STORE_BUCKET_MIN 3
#define STORE_BUCKET_MAX 63
#define STORE_DEFAULT_MAX (4 + KMS_ARN_MAX) /* "KMS:" and a key name */

struct store;
struct store_file; /* an open file */

enum sse { SSE_NONE, SSE_AES256, SSE_KMS };

/* ---- Life ----------------------------------------------------------------- */

struct store_opts {
	const char *dir;
	bool readonly;
	bool noatime;         /* reading changes no access time */
	bool nodiratime;      /* nor does listing a directory */
	unsigned commit_secs; /* 0: 5 */
	size_t dirty_max;     /* bytes written between commits; 0: 256 MiB */
	size_t map_cache;     /* bytes of map nodes kept; 0: 24 MiB */
	size_t db_cache;      /* bytes of SQLite pages kept; 0: 40 MiB */
	size_t inode_cache;   /* inodes kept in core; 0: 16384 */
	const struct kms_root *root; /* NULL: as the keystore says */
	bool check; /* for store_check() and store_scrub(): damage that hinders
			 ordinary work does not hinder opening, and nothing
			 is freed */
	bool no_redo; /* every commit syncs the arenas (store/redo.h) */
	bool no_keys; /* leave the keystore alone: content is shut, no root
			 key is needed (it is for sealed metadata) */
};

struct store_init {
	const char *dir; /* made, mode 0700; must not hold a store */
	const struct kms_root *root; /* NULL: a key file beside the store,
					DIR.key */
	const char *region;          /* NULL: KMS_REGION_DEFAULT */
	bool no_kms;                 /* make no keystore: KMS modes refused */
	bool seal_metadata; /* names, sizes, times: encrypt and authenticate
			       meta.db; not with no_kms (ERR_INVAL) */
};

/*
 * store_prepare(): for the start of a program.  Keystores opened from now on, also
 * without a store, have their database on the store's own SQLite VFS, as the
 * metadata is: no full or failing disk shows as a SIGBUS or as damage.
 */
enum err store_prepare(void) MUSTCHECK;

/* ERR_EXIST when ${dir} holds a store or anything else. */
enum err store_create_dir(const struct store_init *in) MUSTCHECK;

/*
 * store_open_dir(o, &ret):
 * Open, recover, take the lock.  Returns OK; ERR_NOTSTORE; ERR_LOCKED (detail
 * names the owner's pid); ERR_VERSION (detail names both); ERR_ROOTKEY;
 * ERR_CORRUPT; ERR_IO; ERR_NOMEM.
 */
enum err store_open_dir(
    const struct store_opts *o, struct store **ret) MUSTCHECK;
/* Commit everything and close.  The store is closed also on error, which says
 * that the last epoch may be lost.  No store_file may be open. */
enum err store_close_dir(struct store *st) MUSTCHECK;
struct kms *store_kms(struct store *st); /* NULL with no_kms */

/* ---- Attributes ------------------------------------------------------------ */

struct store_attr {
	uint64_t ino;
	uint32_t mode; /* type and permission bits */
	uint32_t nlink;
	uint32_t uid, gid;
	uint32_t rdev; /* as Linux's 32-bit new_encode_dev */
	uint64_t size;
	uint64_t blocks; /* 512-byte units that hold data */
	uint32_t xattrs; /* stored extended attributes */
	uint64_t bucket; /* inode of the bucket it lives in; 0: none */
	struct timespec atime, mtime, ctime, btime;
	enum sse sse;    /* of regular files */
	uint32_t keyref; /* small number naming the master key; 0: none */
};

enum err store_getattr(
    struct store *st, uint64_t ino, struct store_attr *ret) MUSTCHECK;

#define STORE_SET_MODE 0x01u
#define STORE_SET_UID 0x02u
#define STORE_SET_GID 0x04u
#define STORE_SET_SIZE 0x08u
#define STORE_SET_ATIME 0x10u
#define STORE_SET_MTIME 0x20u
#define STORE_SET_CTIME 0x40u     /* the kernel's, with its write-back cache */
#define STORE_SET_KILLPRIV 0x80u  /* clear set-id bits as a write does */
#define STORE_SET_KILLSGID 0x100u /* S_ISGID too, also without S_IXGRP */
/*
 * store_setattr(st, who, ino, what, in, ret):
 * Set the fields named in ${what} from ${in}; ctime becomes now.  Permission
 * bits only are taken from in->mode; an access ACL follows them.  Changing an
 * owner clears set-id bits as chown(2) says (regular executables; never
 * directories).  SIZE needs the file's key (ERR_KEYREVOKED …), is ERR_ISDIR,
 * ERR_INVAL for other kinds, ERR_FBIG over STORE_SIZE_MAX; it sets mtime when
 * the size changed.
 */
enum err store_setattr(struct store *st, const struct kms_who *who,
    uint64_t ino, unsigned what, const struct store_attr *in,
    struct store_attr *ret) MUSTCHECK;

/* ---- Names ----------------------------------------------------------------- */

/* ERR_NOENT, ERR_NOTDIR.  "." and ".." are names here (".." of a bucket is
 * STORE_ROOT). */
enum err store_lookup(struct store *st, uint64_t dir, const char *name,
    size_t len, struct store_attr *ret) MUSTCHECK;

struct store_new {
	uint32_t mode;     /* type and permissions */
	uint32_t umask;    /* taken from mode, unless ${dir} has a default
			       ACL, which counts instead */
	uint32_t uid, gid; /* owner; the setgid bit of ${dir} is applied by
			       the store */
	uint32_t rdev;
	const char *target; /* symlinks */
	const char *sse;    /* regular files: as store_default_set's text,
			       overrides the directory's; NULL: does not */
};
/*
 * store_make(st, who, dir, name, len, new, ret, ret_file):
 * Make a file of any kind.  All but symlinks take over the default ACL of
 * ${dir}: as their access ACL, directories as their default ACL too.  Regular
 * files get their encryption here: the
 * nearest default above, and a data key from the KMS.  ${name} NULL makes an
 * unnamed regular file (O_TMPFILE), linked in later by store_link.  With
 * ${ret_file} (regular files only) it is opened for reading and writing too.
 * In STORE_ROOT only directories can be made: buckets.
 * Returns OK; ERR_EXIST; ERR_NOENT (${dir} was removed); ERR_NOTDIR;
 * ERR_INVAL (bucket name); ERR_PERM (other kind in STORE_ROOT); ERR_MLINK;
 * ERR_NOSPC; the KMS's errors.
 */
enum err store_make(struct store *st, const struct kms_who *who, uint64_t dir,
    const char *name, size_t len, const struct store_new *new,
    struct store_attr *ret, struct store_file **ret_file) MUSTCHECK;

/* ERR_PERM for directories, ERR_XDEV, ERR_EXIST, ERR_MLINK, ERR_NOENT. */
enum err store_link(struct store *st, uint64_t ino, uint64_t dir,
    const char *name, size_t len, struct store_attr *ret) MUSTCHECK;

/*
 * store_unlink, store_rmdir:
 * Remove a name.  ${ret_ino} is the inode, ${ret_gone} true when it has no
 * name left: it then lives until store_reap(), which the caller calls once
 * nobody refers to it (or it is reaped at the next store_open_dir()).
 * ERR_NOENT, ERR_ISDIR (unlink), ERR_NOTDIR, ERR_NOTEMPTY, ERR_BUSY.
 */
enum err store_unlink(struct store *st, uint64_t dir, const char *name,
    size_t len, uint64_t *ret_ino, bool *ret_gone) MUSTCHECK;
enum err store_rmdir(struct store *st, uint64_t dir, const char *name,
    size_t len, uint64_t *ret_ino) MUSTCHECK;

#define STORE_RENAME_NOREPLACE 0x1u
#define STORE_RENAME_EXCHANGE 0x2u
/*
 * store_rename:
 * rename(2), with its table of errors: ERR_NOENT, ERR_ISDIR, ERR_NOTDIR,
 * ERR_NOTEMPTY, ERR_EXIST (NOREPLACE), ERR_INVAL (into itself; both flags),
 * ERR_XDEV (other bucket), ERR_PERM (a bucket is renamed).  Two names of one
 * inode: OK, nothing happens.  ${ret_gone_ino}: the inode that lost its last
 * name, or 0.
 */
enum err store_rename(struct store *st, uint64_t dir, const char *name,
    size_t len, uint64_t newdir, const char *newname, size_t newlen,
    unsigned flags, uint64_t *ret_gone_ino) MUSTCHECK;

/* The target and a NUL into ${ret}, STORE_SYMLINK_MAX + 1 bytes. */
enum err store_readlink(struct store *st, uint64_t ino, char *ret) MUSTCHECK;

/* Free an inode without names: its content is gone at the next commit. OK also
 * when it has names again, or is gone. Fails never in a way a caller must
 * handle: what could not be freed is freed at the next start. */
void store_reap(struct store *st, uint64_t ino);

struct store_dirent {
	const char *name; /* NUL-terminated; valid during the callback */
	size_t len;
	struct store_attr attr; /* all of it when asked for, else ino and the
				   type bits of mode */
};
/*
 * store_readdir(st, dir, after, afterlen, after_isdir, limit, want_attr, cb,
 *     arg):
 * Call cb for at most ${limit} names that follow the name ${after} (NULL: from
 * the first), which was a directory when ${after_isdir}, in the store's name
 * order; stops when cb returns false.  "." and ".." are not among them.  cb
 * must not call the store.  ${after} need not exist any more.
 */
enum err store_readdir(struct store *st, uint64_t dir, const char *after,
    size_t afterlen, bool after_isdir, size_t limit, bool want_attr,
    bool (*cb)(void *arg, const struct store_dirent *e), void *arg) MUSTCHECK;
/* A program listed the directory: its access time moves as relatime says. */
void store_listed(struct store *st, uint64_t dir);
/* The inode of ".." of a directory. */
enum err store_parent(struct store *st, uint64_t dir, uint64_t *ret) MUSTCHECK;

/* ---- Content --------------------------------------------------------------- */

/*
 * store_open(st, who, ino, &ret):
 * Open a regular file's content.  The KMS is asked (and audits) each time.
 * ERR_STALE (gone), ERR_ISDIR, ERR_INVAL (other kinds), ERR_KEYREVOKED,
 * ERR_NOKEY, ERR_ACCESS, ERR_TIMEDOUT, ERR_AUTH, ERR_CORRUPT, ERR_IO.
 * The file must be released, in any state of the store.
 */
enum err store_open(struct store *st, const struct kms_who *who, uint64_t ino,
    struct store_file **ret) MUSTCHECK;
void store_release(struct store_file *f);
/* Reading through ${f} changes no access time.  Before it is read. */
void store_file_noatime(struct store_file *f);
uint64_t store_file_ino(const struct store_file *f);

/* Read up to ${len} bytes; fewer only at the end.  ERR_AUTH, ERR_CORRUPT:
 * altered (no byte was returned); ERR_KEYREVOKED …: since disabled. */
enum err store_read(struct store_file *f, uint64_t off, void *buf, size_t len,
    size_t *ret_len) MUSTCHECK;

#define STORE_WRITE_APPEND 0x1u   /* at the end, whatever ${off} says */
#define STORE_WRITE_KILLPRIV 0x2u /* clear set-id bits */
/* All of it or an error (then nothing of it counts): ERR_NOSPC, ERR_FBIG,
 * ERR_ROFS, ERR_FAILSTOP, and as for reading. */
enum err store_write(struct store_file *f, uint64_t off, const void *buf,
    size_t len, unsigned flags) MUSTCHECK;

/*
 * store_write_early(f, off, buf, len, flags, answer, arg, ret_answered):
 * As store_write(), but calls answer(arg) when space, key and map are at hand
 * and only the disk could still refuse, before the bytes are sealed and
 * written: the caller of a long write goes on meanwhile.  Calls on this file by
 * other threads wait until all is done, so they see the bytes.  ${buf} must
 * stay as it is until the call returns; from answer() on, other threads may
 * release ${f}.
 * answer() is called at most once, with the file's lock held, and must not
 * call the store.  ${ret_answered}: it was.  An error after it is logged,
 * returned here, by the next write through ${f}, and by the next
 * store_fsync_file() of each open file of the inode.
 */
enum err store_write_early(struct store_file *f, uint64_t off, const void *buf,
    size_t len, unsigned flags, void (*answer)(void *arg), void *arg,
    bool *ret_answered) MUSTCHECK;

#define STORE_FALLOC_KEEP_SIZE 0x1u
#define STORE_FALLOC_PUNCH 0x2u /* with KEEP_SIZE, as Linux demands */
#define STORE_FALLOC_ZERO 0x4u
/* fallocate(2).  Plain allocation reserves nothing in a copy-on-write store
 * beyond checking that the space is there (ERR_NOSPC); it extends the size.
 * Whatever it finds to do, mtime and ctime change. */
enum err store_fallocate(
    struct store_file *f, unsigned mode, uint64_t off, uint64_t len) MUSTCHECK;

/* SEEK_DATA (data true) and SEEK_HOLE; ERR_NXIO as lseek(2). */
enum err store_seek(
    struct store_file *f, uint64_t off, bool data, uint64_t *ret) MUSTCHECK;

/* Copy within or between files of one store; whole blocks are shared, not
 * copied, when both are encrypted or both are not.  Fewer bytes only at the
 * source's end.  ERR_INVAL when the ranges overlap in one file. */
enum err store_copy(struct store_file *from, uint64_t from_off,
    struct store_file *to, uint64_t to_off, uint64_t len,
    uint64_t *ret_len) MUSTCHECK;

/* Everything the store has done so far becomes durable (group commit).
 * ERR_FAILSTOP, ERR_IO, ERR_NOSPC: it did not; the store has stopped. */
enum err store_sync(struct store *st) MUSTCHECK;
/* Everything done to ${ino}; today the same work as store_sync, skipped when
 * nothing changed since the last commit. */
enum err store_fsync(struct store *st, uint64_t ino) MUSTCHECK;
/* The same for an open file, which is told once, by the error it met, of a write
 * that was answered early and then failed while it was open, whoever wrote. */
enum err store_fsync_file(struct store_file *f) MUSTCHECK;

struct store_stat {
	uint64_t bytes_total, bytes_free, bytes_avail;
	uint64_t inodes, inodes_free;
};
enum err store_statfs(struct store *st, struct store_stat *ret) MUSTCHECK;

/* ---- Extended attributes --------------------------------------------------- */

/*
 * Plain storage of names and values: which names exist for whom, and the
 * user.sse.* names, are the face's matter.  Two names are more than storage:
 * set: ERR_INVAL for what is no ACL, ERR_ACCESS (default ACL of another thing
 * than a directory), ERR_NOTSUP (symlink).  An access ACL sets the permission
 * bits, and is not kept when it says no more than they do.
 * get: ERR_NODATA; ERR_RANGE when ${size} is not 0 and too small; the length
 * goes to ${ret_len} (with ${size} 0 only that).
 */
#define STORE_ACL_ACCESS "system.posix_acl_access"
#define STORE_ACL_DEFAULT "system.posix_acl_default"
enum err store_xattr_get(struct store *st, uint64_t ino, const char *name,
    void *buf, size_t size, size_t *ret_len) MUSTCHECK;
#define STORE_XATTR_CREATE 0x1u
#define STORE_XATTR_REPLACE 0x2u
#define STORE_XATTR_KILL_SGID 0x4u /* an access ACL: clear S_ISGID */
/* ERR_EXIST, ERR_NODATA, ERR_2BIG (value), ERR_RANGE (name), ERR_NOSPC
 * (STORE_XATTR_TOTAL). */
enum err store_xattr_set(struct store *st, uint64_t ino, const char *name,
    const void *value, size_t len, unsigned flags) MUSTCHECK;
enum err store_xattr_remove(
    struct store *st, uint64_t ino, const char *name) MUSTCHECK;
/* cb for each name; must not call the store. */
enum err store_xattr_list(struct store *st, uint64_t ino,
    void (*cb)(void *arg, const char *name, size_t len), void *arg) MUSTCHECK;

/* ---- Server-side encryption ------------------------------------------------ */

struct store_sse {
	enum sse method;
	char arn[KMS_ARN_MAX]; /* of the master key (SSE_KMS), else "" */
};
/* What a regular file is encrypted with; needs no key. ERR_INVAL: other kind.*/
enum err store_sse_get(
    struct store *st, uint64_t ino, struct store_sse *ret) MUSTCHECK;
/*
 * store_sse_set(st, who, ino, method, keyname):
 * Choose the encryption of an empty regular file.  ${keyname} only with
 * SSE_KMS (ERR_INVAL otherwise), NULL: the default key.  ERR_PERM when the
 * file has or had data (size over 0); the KMS's errors.
 */
enum err store_sse_set(struct store *st, const struct kms_who *who,
    uint64_t ino, enum sse method, const char *keyname) MUSTCHECK;

/*
 * Defaults of buckets and directories: "None", "AES256", "KMS" or "KMS:KEY".
 * get: ${ret} has STORE_DEFAULT_MAX bytes; ERR_NODATA when none was set here.
 * effective: the nearest one above, the directory itself included; "None" when
 * none is set anywhere.  set: the key's name is resolved and kept as an ARN
 * (ERR_NOKEY); text NULL removes it (ERR_NODATA).  ERR_INVAL: other text;
 * ERR_NOTDIR.
 */
enum err store_default_get(struct store *st, uint64_t dir, char *ret) MUSTCHECK;
enum err store_default_effective(
    struct store *st, uint64_t dir, char *ret) MUSTCHECK;
enum err store_default_set(struct store *st, const struct kms_who *who,
    uint64_t dir, const char *text) MUSTCHECK;

/*
 * store_on_revoke(st, cb, arg):
 * cb(arg, keyref) is called, on a thread of its own and with no lock held,
 * when the master key ${keyref} went out of use and the store has dropped
 * what it held of it: the face then drops its cached pages.  One callback.
 */
void store_on_revoke(
    struct store *st, void (*cb)(void *arg, uint32_t keyref), void *arg);

/* ---- Buckets --------------------------------------------------------------- */

/* As S3 names buckets: 3..63 of a-z 0-9 . -, beginning and ending with a
 * letter or digit, no "..", not formed as an IPv4 address. */
bool store_bucket_name_ok(const char *name, size_t len);
/* ${sse_default} as store_default_set's text; NULL: "KMS" ("None" in a store
 * without a KMS).  uid, gid, mode: of its directory. */
enum err store_bucket_create(struct store *st, const struct kms_who *who,
    const char *name, const char *sse_default, uint32_t uid, uint32_t gid,
    uint32_t mode) MUSTCHECK;
/* ERR_NOENT, ERR_NOTEMPTY. */
enum err store_bucket_remove(struct store *st, const char *name) MUSTCHECK;
enum err store_bucket_find(
    struct store *st, const char *name, uint64_t *ret_ino) MUSTCHECK;

/* ---- Looking after a store -------------------------------------------------- */

struct store_problem {
	const char *invariant; /* "I3": docs/FORMAT.md numbers them */
	uint64_t ino;          /* 0: none in particular */
	bool repaired;
	const char *what; /* one sentence, valid during the callback */
};
struct store_check_result {
	uint64_t inodes, names, blocks, problems, repaired;
	uint64_t audit; /* findings in the audit log, no problems of these */
};
/*
 * store_check(st, repair, cb, arg, ret):
 * fsck: assert every numbered invariant.  With ${repair}, rebuild what follows
 * from the rest and give a name in lost+found to what has none; the store must
 * have been opened with ${check} for that (ERR_INVAL).  What is told and not
 * repaired stays as it is.  Needs the store open and no other user.  OK also
 * when problems were found.
 */
enum err store_check(struct store *st, bool repair,
    void (*cb)(void *arg, const struct store_problem *p), void *arg,
    struct store_check_result *ret) MUSTCHECK;

/* The most of a path that is shown, without its NUL. */
#define STORE_SHOWN_MAX 1023
/* Damage; valid during the callback. */
struct store_damage {
	uint64_t ino; /* 0: no inode's */
	uint64_t off;
	/* "bucket/dir/name": one of its names, or the name that is wrong; of
	 * what is too long or not known ".../" stands in front.  NULL: none is
	 * known */
	const char *path;
	enum err e;
	const char *what; /* one sentence */
};
struct store_scrub_opts {
	bool keys; /* verify tags with keys, not only CRCs */
	const struct kms_who *who;
	uint64_t rate; /* bytes per second; 0: no limit */
	/* progress, at most once a second and at the end; false stops */
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	/* Some time after it was found. */
	void (*bad)(void *arg, const struct store_damage *d);
	void *arg;
};
struct store_scrub_result {
	uint64_t files, blocks, bytes, bad;
	uint64_t skipped; /* files whose key is out of use, with ${keys} */
};
/*
 * store_scrub(st, o, ret):
 * Read everything back, beside others who use the store: blocks and maps of all
 * files, the rows of all inodes, all names.  OK also when there is damage.
 */
enum err store_scrub(struct store *st, const struct store_scrub_opts *o,
    struct store_scrub_result *ret) MUSTCHECK;

struct store_rekey_opts {
	const struct kms_who *who;
	const char *key; /* files under this one only; NULL: under any */
	uint64_t rate;   /* files per second; 0: no limit */
	/* progress in files, at most once a second and at the end; false stops */
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	void (*bad)(void *arg, uint64_t ino, uint64_t off, enum err e,
	    const char *what); /* a damaged file, left as it is */
	void *arg;
};
struct store_rekey_result {
	uint64_t files;     /* that were looked at */
	uint64_t rewrapped; /* of these */
	uint64_t skipped;   /* their key is out of use */
	uint64_t bad;
};
/*
 * store_rekey(st, o, ret):
 * Wrap the data keys of files anew under the newest version of their master
 * keys.  No data is rewritten; what is done is done when the call is stopped or
 * the program dies, and the next call goes on.  Durable when it returns.
 * ERR_NOKEY, ERR_ROFS, ERR_NOTSUP (no KMS), ERR_NOSPC, ERR_IO.
 */
enum err store_rekey(struct store *st, const struct store_rekey_opts *o,
    struct store_rekey_result *ret) MUSTCHECK;

/* Counters since the store was opened, for SIGUSR1 and tests. */
struct store_counters {
	uint64_t epochs, fsyncs, reads, writes, read_bytes, write_bytes;
	uint64_t kms_calls, map_hits, map_misses, dirty_bytes;
};
void store_counters(struct store *st, struct store_counters *ret);

#endif
