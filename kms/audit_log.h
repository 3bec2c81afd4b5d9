/*
 * audit_log: from a call to its record on disk (the room's own interface; the
 * readers' is audit.h).
 *
 * A record is a packed item in memory (audit.c) until audit_flush() makes a
 * line of it (audit_line.c) and gives it its number and its place in the chain
 * (audit_log.c).  The log is one file after another, segments (audit_segment.c),
 * with signed checkpoints between the records (audit_mark.h).
 */
#ifndef KMS_AUDIT_LOG_H
#define KMS_AUDIT_LOG_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/digest.h"
#include "crypto/sign.h"
#include "kms/audit_chain.h"
#include "kms/db.h"
#include "kms/kms.h"
#include "kms/params.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/lock.h"

#define AUDIT_BODY_MAX (AUDIT_LINE_MAX - 1024) /* the rest is seq, mac, mark */

/* The strings of a record; of a key, first its ARN, then its owner. */
enum audit_text {
	AUDIT_TENANT,
	AUDIT_USER,
	AUDIT_AGENT,
	AUDIT_USER_ID,
	AUDIT_ACCESS_KEY,
	AUDIT_SOURCE, /* address */
	AUDIT_VIA,    /* service */
	AUDIT_REQUEST,
	AUDIT_KEYNAME,
	AUDIT_ARN,
	AUDIT_OWNER,
	AUDIT_ARN2,
	AUDIT_OWNER2,
	AUDIT_DETAIL,
	/* The insides of JSON objects: */
	AUDIT_PARAMS,   /* requestParameters, but for key and context */
	AUDIT_RESPONSE, /* responseElements */
	AUDIT_EXTRA,    /* additionalEventData */
	/* tlsDetails: */
	AUDIT_TLS_VERSION,
	AUDIT_TLS_CIPHER,
	AUDIT_TLS_HOST,
	AUDIT_NTEXTS
};
#define AUDIT_TEXT_MAX 512 /* the longest of them, but for AUDIT_PARAMS */

/* The start of a packed record. */
struct audit_item {
	/* Static storage; the last two may be NULL. */
	const char *event, *key_member, *ctx_member;
	int64_t time;
	uint32_t size; /* of all of it */
	uint16_t nctx;
	uint8_t outcome; /* enum err */
	bool read_only, principal_ok, has_keyname;
	bool service; /* nobody called: ssefs did it by itself */
	uint16_t len[AUDIT_NTEXTS];
};
#define AUDIT_ITEM_MAX                                               \
	(sizeof(struct audit_item) + AUDIT_NTEXTS * AUDIT_TEXT_MAX + \
	    PARAMS_MAX + KMS_CONTEXT_MAX)

_Static_assert(ERR_COUNT_ <= UINT8_MAX, "an outcome is a byte");
_Static_assert(KMS_ARN_MAX <= AUDIT_TEXT_MAX, "texts of a record");

struct audit {
	struct lock l;
	struct buf pending;       /* l: packed records */
	pthread_cond_t flushed;   /* l: somebody's flush is over */
	bool flushing;            /* l: there is one */
	_Atomic int64_t since;    /* when the first of them was made; 0: none */
	_Atomic uint64_t made;    /* records so far */
	_Atomic uint64_t durable; /* of these, on disk */
	atomic_bool failed; /* the last flush; data-key calls are refused */
	_Atomic uint64_t retried; /* monotonic, of the last failure */
	uint64_t id_base; /* random; ids of records count on from here */
	/* Settings, as the keystore last said; see struct audit_settings. */
	atomic_bool sync, sync_here;
	_Atomic uint64_t segment, keep_days, keep_bytes;
	/* The rest belongs to the holder of the keystore's connection. */
	struct buf writing;     /* records on their way to the disk */
	uint64_t writing_made;  /* ${made} when ${writing} was taken over */
	bool torn;              /* our own write beyond the head failed */
	uint64_t marks;         /* checkpoints so far */
	uint64_t named;         /* the segment whose name is on the disk */
	bool unsigned_own;      /* records of ours since the last checkpoint */
	struct hmac_key *chain; /* key memory: macs of lines, and of the head */
	struct hmac_key *head;
};

struct call;

enum err audit_init(struct audit *a, const struct key *kmk) MUSTCHECK;
void audit_release(struct audit *a);

/* Note the outcome of a call. */
enum err audit_record(
    struct kms *k, const struct call *c, enum err outcome) MUSTCHECK;
/* The packed record of something that ssefs does by itself. */
#define AUDIT_SERVICE_ITEM (sizeof(struct audit_item) + 64)
void audit_service_item(
    const char *event, int64_t time, uint8_t ret[static AUDIT_SERVICE_ITEM]);
/* Must a record be on the disk before its call is answered? */
bool audit_is_sync(const struct audit *a);

/* Where text goes, and the second that was last put there. */
struct audit_text_out {
	char *p;
	const char *end;
	int64_t now;
	char iso[CLOCK_ISO_LEN + 1];
};

/* Bytes of the record at the start of ${p}; 0 when it is not whole. */
size_t audit_item_size(const uint8_t *p, size_t len) MUSTCHECK;
/* Put the body of the record ${p}, the ${n}th (from 0), for which there are
 * AUDIT_BODY_MAX bytes of room. */
enum err audit_body(struct audit_text_out *l, const uint8_t *p,
    const char *region, uint64_t id_base, uint64_t n) MUSTCHECK;

/* Write what is pending; with conn held. */
enum err audit_flush(struct kms *k) MUSTCHECK;
/* Begin the first line of a new segment; with conn held. */
enum err audit_start(struct kms *k) MUSTCHECK;
/* Sign what this process wrote since the last checkpoint; with conn held. */
enum err audit_sign(struct kms *k) MUSTCHECK;
/* Once a second: flush what waits for long, sign what was not for long. */
void audit_tick(struct kms *k);
/* Take in what a crash left behind the head, or say that the log is too short;
 * with conn held. */
enum err audit_recover(struct kms *k) MUSTCHECK;

/* ---- The head (audit_head.c) -------------------------------------------- */

#define AUDIT_HEAD_LEN 168
/* The first one is of formats before 7. */
#define AUDIT_HEAD_LABEL_5 "ssefs audit head v1"
#define AUDIT_HEAD_LABEL "ssefs audit head v2"

/* The head of a keystore that is being made, and of one that was made by an
 * ${older} program (${old}: its 48 bytes, which have no HMAC; NULL: none);
 * inside the transaction. */
enum err audit_head_make(struct db *db, const struct key *kmk,
    const uint8_t *uuid, bool older, const uint8_t *old, int64_t now) MUSTCHECK;
/* Bring the log of a keystore of an older program up to date; inside its
 * transaction.  ${format} is that of the keystore.  *${ret_ours} is false when
 * the head shows that it was edited, or was of today's format before. */
enum err audit_upgrade(struct kms *k, int64_t format, bool *ret_ours) MUSTCHECK;
enum err audit_head_load(struct kms *k, struct audit_head *ret) MUSTCHECK;
enum err audit_head_store(struct kms *k, const struct audit_head *h) MUSTCHECK;
/*
 * Begin to write to the log.  A commit of ours that failed may stand in the WAL
 * all the same, and be there after the next opening: the head as it is takes its
 * place, before the lines that it was for are cut off.
 */
enum err audit_begin(struct kms *k, struct kdb_tx *ret) MUSTCHECK;
/* The first and the last segment, without any check: for a copy. */
enum err audit_head_span(
    struct db *db, uint64_t *ret_oldest, uint64_t *ret_n) MUSTCHECK;
/* Read the settings; with conn held. */
enum err audit_settings_load(struct kms *k) MUSTCHECK;

/* ---- Segments (audit_segment.c) ------------------------------------------ */

#define AUDIT_PATH_MAX (PATH_MAX + 40)
/* The name of segment ${n} of the log of keystore ${path}. */
void audit_segment_path(
    const char *path, uint64_t n, char ret[static AUDIT_PATH_MAX]);
/* Open it.  ${make}: made when absent, else ERR_NOENT. */
enum err audit_log_open(
    struct kms *k, uint64_t n, bool make, int *ret_fd) MUSTCHECK;

/* A key pair of the segment that it signs; the seed is in key memory. */
enum err audit_key_insert(struct db *db, const struct key *kmk,
    const uint8_t *uuid, const struct audit_key *by, const struct key *by_seed,
    uint64_t n, uint64_t first, int64_t now, struct audit_key *ret) MUSTCHECK;
/* ERR_NOENT.  ${ret_seed} NULL: the public part only. */
enum err audit_key_load(struct kms *k, uint64_t n, struct audit_key *ret,
    struct key *ret_seed) MUSTCHECK;

/* Begin a new segment; with conn held, nothing pending.  ${least}: only when
 * the current one has that many bytes. */
enum err audit_segment_end(struct kms *k, uint64_t least) MUSTCHECK;
/* Remove segments that are no more to be kept; with conn held. */
enum err audit_retain(struct kms *k) MUSTCHECK;

/* ---- audit_log.c ---------------------------------------------------------- */

/* Move ${h} on over the lines of the chain that stand behind it in a segment of
 * ${size} bytes.  *ret_foreign: a whole line follows that is not in it. */
enum err audit_take_in(struct kms *k, int fd, uint64_t size,
    struct audit_head *h, bool *ret_foreign) MUSTCHECK;
/* Bring ${h} to where the next line of the current segment goes, and open that;
 * inside the write transaction. */
enum err audit_ready_at(
    struct kms *k, struct audit_head *h, int *ret_fd) MUSTCHECK;
/* Write a checkpoint behind ${h}, which is moved on, and sync; ${next}: the
 * segment's last line, which names the key of the next one. */
enum err audit_mark_write(struct kms *k, int fd, struct audit_head *h,
    const struct audit_key *next) MUSTCHECK;

#endif
