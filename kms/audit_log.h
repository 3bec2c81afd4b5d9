/*
 * audit_log: from a call to its record on disk (the room's own interface; the
 * readers' is audit.h).
 *
 * A record is a packed item in memory (audit.c) until audit_flush() makes a
 * line of it (audit_line.c) and gives it its number and its place in the chain.
 */
#ifndef KMS_AUDIT_LOG_H
#define KMS_AUDIT_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/digest.h"
#include "kms/kms.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/lock.h"

#define AUDIT_LINE_MAX (256 * 1024)
#define AUDIT_BODY_MAX (AUDIT_LINE_MAX - 256) /* seq and mac are the rest */
#define AUDIT_MAC_MEMBER (9 + 2 * SHA256_LEN) /* ,"mac":"…" */

/* The strings of a record; of a key, first its ARN, then its owner. */
enum audit_text {
	AUDIT_TENANT,
	AUDIT_USER,
	AUDIT_AGENT,
	AUDIT_KEYNAME,
	AUDIT_ARN,
	AUDIT_OWNER,
	AUDIT_ARN2,
	AUDIT_OWNER2,
	AUDIT_DETAIL,
	AUDIT_NTEXTS
};
#define AUDIT_TEXT_MAX 512 /* the longest of them */

/* The start of a packed record. */
struct audit_item {
	const char *event; /* static storage */
	int64_t time;
	uint32_t size; /* of all of it */
	uint16_t nctx;
	uint8_t outcome; /* enum err */
	bool read_only, principal_ok, has_keyname;
	uint16_t len[AUDIT_NTEXTS];
};
#define AUDIT_ITEM_MAX                                               \
	(sizeof(struct audit_item) + AUDIT_NTEXTS * AUDIT_TEXT_MAX + \
	    KMS_CONTEXT_MAX)

_Static_assert(ERR_COUNT_ <= UINT8_MAX, "an outcome is a byte");
_Static_assert(KMS_ARN_MAX <= AUDIT_TEXT_MAX, "texts of a record");

struct audit {
	struct lock l;
	struct buf pending;       /* l: packed records */
	_Atomic uint64_t made;    /* records so far */
	_Atomic uint64_t durable; /* of these, on disk */
	atomic_bool failed; /* the last flush; data-key calls are refused */
	_Atomic uint64_t retried; /* monotonic, of the last failure */
	uint64_t id_base; /* random; ids of records count on from here */
	/* The rest belongs to the holder of the keystore's connection. */
	struct buf writing;     /* records on their way to the disk */
	uint64_t writing_made;  /* ${made} when ${writing} was taken over */
	bool torn;              /* our own write beyond the head failed */
	bool named;             /* the log's name is on the disk */
	struct hmac_key *chain; /* key memory */
};

struct call;

enum err audit_init(struct audit *a, const struct key *kmk) MUSTCHECK;
void audit_release(struct audit *a);

/* Note the outcome of a call. */
enum err audit_record(
    struct kms *k, const struct call *c, enum err outcome) MUSTCHECK;

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
/* Take in what a crash left behind the head, or say that the log is too short;
 * with conn held. */
enum err audit_recover(struct kms *k) MUSTCHECK;

/* Where the log stands according to the keystore. */
struct audit_head {
	uint64_t seq;
	uint64_t size; /* bytes of the log up to here */
	uint8_t mac[SHA256_LEN];
};
enum err audit_head_load(struct kms *k, struct audit_head *ret) MUSTCHECK;
/* Open the log.  ${make}: made when absent, else ERR_NOENT. */
enum err audit_log_open(struct kms *k, bool make, int *ret_fd) MUSTCHECK;
/* Move ${h} on over the lines of the chain that stand behind it in a log of
 * ${size} bytes.  *ret_foreign: a whole line follows that is not in it. */
enum err audit_take_in(struct kms *k, int fd, uint64_t size,
    struct audit_head *h, bool *ret_foreign) MUSTCHECK;

/* Check line ${line} (without its newline) as the one after ${h} and move
 * ${h} on; false, with ${what}, when it is not. */
bool audit_line_check(const struct hmac_key *chain, const char *line,
    size_t len, struct audit_head *h, const char **what) MUSTCHECK;

/* Has it the form of a record?  For what is shown only. */
bool audit_line_like(const char *line, size_t len) MUSTCHECK;

/* cb for every whole line of ${fd} from ${off} to ${end}; ${cb} false stops. Of
 * a line that is longer than any record it gets the start only. */
enum err audit_lines(int fd, uint64_t off, uint64_t end,
    bool (*cb)(void *arg, const char *line, size_t len), void *arg) MUSTCHECK;

#endif
