/*
 * vfs_seal: sealed databases (docs/FORMAT.md, "Sealed metadata").
 *
 * A path that was given to vfs_seal_add() is opened sealed: SQLite sees an
 * ordinary database of pages of 8192 bytes, the last 40 of which it leaves
 * alone (they read as zero), with its WAL.  On the disk every page, every frame
 * of the WAL with its header, and the WAL's header are messages (store/seal.h).
 *
 *	database   page n at 65536 + (n - 1) * 8192.  Before it stands the
 *	           front: a plain database with the table super only, for
 *	           programs that do not know of sealing, the seal record, and
 *	           three marks.
 *	WAL        two places of 4096 bytes for its header, written in turn,
 *	           then frame n at 8192 + (n - 1) * 8216.
 *
 * SQLite's own checks of a WAL mean "the log ends here", not "damaged".  So
 * that damage does not pass for the end of the log, a mark says how many frames
 * of the WAL were durable: these must be good.  One is written after every
 * sync, in the third place; before frames are brought home, one is written in
 * the first or second and synced.
 *
 * What does not authenticate is SQLITE_IOERR_DATA, which is ERR_CORRUPT.
 */
#ifndef STORE_VFS_SEAL_H
#define STORE_VFS_SEAL_H

#include "crypto/secret.h"
#include "lib/base/codec.h"
#include "lib/base/err.h"
#include "store/seal.h"
#include "store/vfs_internal.h"

#define SEAL_PAGESIZE 8192
#define SEAL_RESERVE SEAL_TRAILER /* of each page; SQLite leaves it alone */
#define SEAL_FRONT 65536          /* bytes before the first page */
#define SEAL_RECORD 16384         /* where the seal record stands */
#define SEAL_RECLEN 44
#define SEAL_MARKS 32768 /* where the marks stand, */
#define SEAL_STEP 4096   /* and how far from each other */
#define SEAL_MARKLEN 32
#define WAL_FRONT 8192 /* bytes before the first frame */
#define WAL_HDR 32     /* SQLite's header of a WAL, */
#define FRAME_HDR 24   /* and of a frame */
#define FRAME_LEN (FRAME_HDR + SEAL_PAGESIZE)

_Static_assert(SEAL_TRAILER == 40, "reserved bytes of a page");

/* ---- For store/db.c ------------------------------------------------------- */

/* Make the plain database ${path} the front of a sealed one. */
enum err vfs_seal_format(const char *path, const struct key *key,
    const uint8_t uuid[static UUID_LEN]) MUSTCHECK;
/* Is the database ${path} sealed, and of which store?  Looks at its front
 * only, which is not authenticated.  ERR_CORRUPT: the seal record is damaged. */
enum err vfs_seal_look(const char *path, bool *ret_sealed,
    uint8_t ret_uuid[static UUID_LEN]) MUSTCHECK;

/* From now on ${path} and its WAL are opened sealed, until it is dropped (NULL
 * or unknown is fine).  ERR_NOMEM. */
enum err vfs_seal_add(const char *path, const struct key *key,
    const uint8_t uuid[static UUID_LEN]) MUSTCHECK;
void vfs_seal_drop(const char *path);
/* After SQLite has read the WAL: did it take all frames that were durable?
 * OK also when ${path} is not sealed; ERR_CORRUPT. */
enum err vfs_seal_check(const char *path) MUSTCHECK;

/* ---- For store/vfs.c ------------------------------------------------------ */

/* The seal of a database, its WAL or its journal; NULL: plain.  vfs_lock. */
struct vfs_seal *vfs_seal_of(const char *path);
/* Where the file that SQLite calls ${path} stands: the WAL is meta.db-log, so
 * that no program that takes the front for the database believes the WAL to be
 * its own, and removes it.  NULL: nowhere (a journal).  ${buf}: PATH_MAX. */
const char *vfs_seal_name(const char *path, char *buf);
/* A node refers to it, or no longer does (NULL is fine).  vfs_lock. */
void vfs_seal_ref(struct vfs_seal *s);
void vfs_seal_unref(struct vfs_seal *s);
/* f->node was opened, perhaps by another handle before; vfs_lock.  SQLite's
 * result codes, here and below. */
int vfs_seal_open(struct vfs_file *f);
void vfs_seal_close(struct vfs_file *f);
int vfs_seal_read(struct vfs_file *f, void *buf, size_t len, uint64_t off);
int vfs_seal_write(
    struct vfs_file *f, const void *buf, size_t len, uint64_t off);
/* The size that SQLite sees, of the file's ${size}. */
uint64_t vfs_seal_size(const struct vfs_node *n, uint64_t size);
/* Bytes of the file that the present round of the WAL takes; 0: no round. */
uint64_t vfs_seal_used(const struct vfs_node *n);
/* A commit has ended: its frames stay. */
void vfs_seal_committed(struct vfs_seal *s);
/* Sync the WAL and note it in a mark; ${home}: frames will be brought home, so
 * the mark must be durable too. */
int vfs_seal_sync(struct vfs_node *n, bool home);

/* ---- Shared by vfs_seal.c and vfs_sealio.c -------------------------------- */

/* Frames of a round of the WAL (from one header to the next). */
struct seal_mark {
	bool known; /* false: there is no WAL yet */
	uint32_t seq;
	uint8_t salt[8];
	uint32_t frames;
};

struct vfs_seal {
	struct vfs_seal *next;
	char *path;
	unsigned refs; /* nodes, and one until it is dropped; vfs_lock */
	struct seal *keys;
	struct vfs_node *main; /* while it is open; the WAL never is without */
	bool wal_seen;         /* its header was looked for; vfs_lock */
	atomic_bool told;      /* damage was logged */
	struct seal_mark mark; /* the newest, as the database was opened */

	struct lock lock;      /* what follows */
	struct seal_mark now;  /* the present round, and its finished commits */
	struct seal_mark home; /* the last mark that was synced */
	uint8_t header[WAL_HDR];
	uint64_t headers, marks; /* written ever, to tell the newest */
	unsigned header_at;      /* place of the newest header, */
	unsigned mark_at;        /* and of the newest synced mark */
	uint32_t need; /* frames of this round that were durable at opening */
	uint32_t written; /* frames of this round written since */
	uint32_t last;    /* the last of them that ends a commit */
	uint32_t reached; /* frames that SQLite looked at in recovery */
	bool reached_end; /* the last of them ends a commit */
};

/* What a handle needs: a message and its text. */
struct seal_buf {
	uint8_t msg[FRAME_LEN];
	uint8_t text[FRAME_LEN];
	uint8_t hdr[FRAME_HDR]; /* of frame ${hdr_of}, whose page will follow */
	uint32_t hdr_of;        /* 0: none */
	uint32_t whole;         /* ${text} is this frame, just read; 0: none */
};

/* Say once that ${what} is damaged; returns SQLITE_IOERR_DATA. */
int vfs_seal_bad(struct vfs_seal *s, const char *what, uint64_t number);
/* A new header of the WAL: a new round begins. */
int vfs_seal_round(struct vfs_node *n, const uint8_t hdr[static WAL_HDR]);
/* The result code of an error of store/seal. */
int vfs_seal_rc(enum err e);

#endif
