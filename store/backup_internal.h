/*
 * backup_internal: what the files of backups share.
 */
#ifndef STORE_BACKUP_INTERNAL_H
#define STORE_BACKUP_INTERNAL_H

#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "store/backup.h"
#include "store/store_internal.h"

#define BACKUP_FORMAT 1
#define BACKUP_PATH 4096
#define BACKUP_NEW "new"
#define BACKUP_MANIFEST "manifest"

/* Files of a backup that the manifest lists, in this order. */
enum backup_file {
	BF_META,  /* meta.db */
	BF_INDEX, /* where each block is */
	BF_BLOCKS,
	BF_KEYS,  /* keys.db and its log: absent without a keystore */
	BF_AUDIT, /* all its segments, as one */
	BF_COUNT_
};
extern const char *const backup_names[BF_COUNT_];

struct backup_manifest {
	uint8_t store[UUID_LEN];
	uint64_t epoch;
	uint64_t base; /* the backup before it; 0: none */
	uint8_t base_digest[SHA256_LEN];
	uint8_t state[SHA256_LEN]; /* of all rows of the metadata */
	int64_t made;              /* seconds since 1970 */
	uint64_t damaged;
	bool keys;
	struct {
		uint64_t size;
		uint8_t sha[SHA256_LEN];
	} file[BF_COUNT_];
	uint8_t digest[SHA256_LEN]; /* of all that stands before it */
};

/* backup_manifest.c.  Text to manifest and back; ERR_CORRUPT, ERR_VERSION. */
#define MANIFEST_MAX 4096
enum err manifest_parse(
    const uint8_t *p, size_t len, struct backup_manifest *ret) MUSTCHECK;
/* Sets the digest. */
enum err manifest_print(struct backup_manifest *m, struct buf *out) MUSTCHECK;

/* ---- The index: records of 64 bytes, by rising slot --------------------- */

#define INDEX_REC 64u
#define STAMP_LEN 32u
#define INDEX_DAMAGED 1u /* it differed from its checksum when it was copied */
#define INDEX_PLAIN 2u   /* the stamp is the block's SHA-256 */

struct index_rec {
	uint64_t slot;
	uint64_t epoch; /* the backup that holds the block */
	uint64_t block; /* its number there */
	uint32_t flags;
	uint32_t crc; /* CRC32C of the block as it was copied */
	uint8_t stamp[STAMP_LEN];
};
void index_put(uint8_t *p, const struct index_rec *r);
void index_get(const uint8_t *p, struct index_rec *ret);

/* Reading an index from its beginning. */
struct index_in {
	int fd; /* -1: an empty one */
	uint64_t at, size;
	size_t n, pos; /* records in core, and the next of them */
	uint8_t *buf;
	uint64_t last; /* slot */
};
enum err index_open(
    const char *place, uint64_t epoch, struct index_in *ret) MUSTCHECK;
/* ERR_NOENT at the end; ERR_CORRUPT for slots that do not rise. */
enum err index_next(struct index_in *in, struct index_rec *ret) MUSTCHECK;
void index_close(struct index_in *in);

/* ---- Files -------------------------------------------------------------- */

enum err backup_path(char ret[static BACKUP_PATH], const char *place,
    const char *sub, const char *name) MUSTCHECK;
/* The directory of a backup's files, or NULL name: the directory itself. */
enum err backup_path_of(char ret[static BACKUP_PATH], const char *place,
    uint64_t epoch, const char *name) MUSTCHECK;
enum err backup_fail(const char *path); /* from errno */
/* SHA-256 and size of a file; progress through ${tick}. */
enum err backup_sum(const char *path, bool (*tick)(void *arg, uint64_t bytes),
    void *arg, uint64_t *ret_size, uint8_t ret[static SHA256_LEN]) MUSTCHECK;
/*
 * backup_log.c: the segments of the audit log in directory ${dir}: size and
 * SHA-256 of all as one, and copies of them in ${to} unless that is NULL.
 */
struct backup_log {
	bool (*tick)(void *arg, uint64_t bytes); /* false stops; or NULL */
	void *arg;
	uint64_t size;
	struct sha256_ctx sha;
};
enum err backup_log_pass(const char *dir, const char *to, struct backup_log *l,
    uint8_t ret[static SHA256_LEN]) MUSTCHECK;
/* Write and sum up at once. */
struct sum_out {
	int fd;
	uint64_t size;
	struct sha256_ctx sha;
	uint8_t *buf;
	size_t len;
};
enum err sum_open(const char *path, struct sum_out *ret) MUSTCHECK;
enum err sum_put(struct sum_out *o, const void *p, size_t len) MUSTCHECK;
/* Synced. */
enum err sum_end(struct sum_out *o, uint64_t *ret_size,
    uint8_t ret[static SHA256_LEN]) MUSTCHECK;
void sum_release(struct sum_out *o);

/* ---- Places ------------------------------------------------------------- */

struct backup_place {
	char dir[BACKUP_PATH];
	int lockfd;
	uint64_t *epoch; /* the backups, by rising epoch */
	size_t n;
	bool cut; /* there is one that was cut off */
};
/* ${make}: make it when it is not there, and lock it (ERR_BUSY).  ERR_EXIST:
 * it holds other things; ERR_NOENT. */
enum err place_open(
    const char *dir, bool make, struct backup_place *ret) MUSTCHECK;
void place_close(struct backup_place *p);
/* The manifest of a backup.  ERR_CORRUPT. */
enum err place_manifest(const struct backup_place *p, uint64_t epoch,
    struct backup_manifest *ret) MUSTCHECK;
/* Remove directory ${sub} and the files in it. */
enum err place_remove(const struct backup_place *p, const char *sub) MUSTCHECK;
/* backup_check.c: verify one backup.  Damage is told; ERR_IO … ends it. */
enum err place_verify(const struct backup_place *p, uint64_t epoch,
    const struct backup_opts *o, struct backup_result *r) MUSTCHECK;

/* backup_copy.c: index and blocks of a new backup in directory ${dir}, from the
 * copy of meta.db there. */
struct backup_job {
	struct store *st;
	const struct backup_opts *o;
	struct backup_result *r;
	const char *place;
	char dir[BACKUP_PATH];
	struct backup_manifest m;
	struct backup_manifest base; /* base.epoch 0: none */
	uint64_t total, said_ns, next_ns;
};
enum err backup_copy(struct backup_job *j) MUSTCHECK;
/* Is it to go on?  ERR_BUSY, ERR_NOSPC.  Keeps to the rate, tells progress. */
enum err backup_pace(struct backup_job *j, uint64_t bytes) MUSTCHECK;

#endif
