/*
 * audit: the log of every KMS call.
 *
 * One JSON object per line with CloudTrail's members, in files beside the
 * keystore: KEYSTORE-audit.log, then KEYSTORE-audit.log.2 and so on, segments.
 * Each line carries seq (from 1, through all segments) and a keyed mac over
 * itself and the line before, so that a removed, changed or reordered record is
 * found; the last seq and mac are kept in the keystore, so that a cut tail is
 * found as well.  Checkpoints, lines of event AuditCheckpoint, hold a signature
 * over all lines before them, for those who have not got the keystore.  Several
 * processes append to one log.  All functions are thread-safe.
 */
#ifndef KMS_AUDIT_H
#define KMS_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "kms/kms.h"

/* ---- Reading ---------------------------------------------------------------- */

/* cb for every line (without the newline), oldest first, from the ${skip}th
 * record on; stops when it returns false. */
enum err audit_show(struct kms *k, uint64_t skip,
    bool (*cb)(void *arg, const char *line, size_t len), void *arg) MUSTCHECK;

/*
 * audit_follow(k, skip, cb, idle, arg):
 * The same, and go on with what is added, in whichever segment, until a
 * callback returns false.  ${idle} is called a few times a second while nothing
 * comes.
 */
enum err audit_follow(struct kms *k, uint64_t skip,
    bool (*cb)(void *arg, const char *line, size_t len),
    bool (*idle)(void *arg), void *arg) MUSTCHECK;

/* Which records?  All that is set must fit. */
#define AUDIT_TIME_LEN 20
struct audit_filter {
	const char *user, *event;       /* NULL: any */
	const char *key;                /* ARN, id, or as the caller named it */
	bool denied;                    /* calls that failed only */
	char since[AUDIT_TIME_LEN + 1]; /* "2026-11-20T23:36:06Z", or "" */
	char until[AUDIT_TIME_LEN + 1]; /* before then */
};
/* Pure; any ${line} is fine. */
bool audit_filter_match(
    const struct audit_filter *f, const char *line, size_t len) MUSTCHECK;

/* ---- Verifying -------------------------------------------------------------- */

struct audit_verdict {
	uint64_t records;   /* that were verified */
	uint64_t segments;  /* files that were read */
	uint64_t bad;       /* findings */
	uint64_t bad_seq;   /* record of the first; 0 when all is well */
	char what[160];     /* what is wrong with it, for people */
	uint64_t unsigned_; /* records at the end that no checkpoint covers */
	uint64_t first;     /* the oldest record that is kept */
	/* The log began in an older format, with records up to ${older_to}: what
	 * came after them then cannot be shown to be whole.  Not a finding. */
	bool older;
	uint64_t older_to;
};
#define AUDIT_OLDER_MAX 160
/* That, for people. */
void audit_older(
    const struct audit_verdict *v, char ret[static AUDIT_OLDER_MAX]);
/* Told of each finding: the record, its file, what is wrong. */
typedef void audit_bad_fn(
    void *arg, uint64_t seq, const char *file, const char *what);

/*
 * audit_verify(k, bad, arg, &ret):
 * Verify all segments by the macs, the head and the checkpoints.  ${bad} (may be
 * NULL) is told of each finding.
 * OK with the verdict filled in (also when records are bad); ERR_IO.
 */
enum err audit_verify(struct kms *k, audit_bad_fn *bad, void *arg,
    struct audit_verdict *ret) MUSTCHECK;

/*
 * audit_compare(k, file, bad, arg, ret):
 * Is the log a continuation of ${file}, a copy of one of its segments that was
 * made before?  Then nothing was put back since.  Adds to the verdict of
 * audit_verify(), which comes first.
 * ERR_NOENT: the records of that copy are no more kept; ERR_PARSE: it has none.
 */
enum err audit_compare(struct kms *k, const char *file, audit_bad_fn *bad,
    void *arg, struct audit_verdict *ret) MUSTCHECK;

/*
 * audit_verify_files(keys, keyslen, files, nfiles, bad, arg, &ret):
 * The same without a keystore, by the checkpoints alone: of ${files}, segments in
 * the order of their records.  ${keys} is what audit_keys() gave; its first line
 * is what is trusted.
 * ERR_PARSE: no such keys; ERR_AUTH: a key is not signed by the one before.
 */
enum err audit_verify_files(const char *keys, size_t keyslen,
    const char *const *files, size_t nfiles, audit_bad_fn *bad, void *arg,
    struct audit_verdict *ret) MUSTCHECK;

/* ---- Keys, segments, settings ------------------------------------------------ */

/* The public keys that checkpoints are checked with: cb for each line. */
enum err audit_keys(struct kms *k, void (*cb)(void *arg, const char *line),
    void *arg) MUSTCHECK;

/* Is ${name} a segment's file of the keystore whose file is ${keystore}?  *ret
 * is its number. */
bool audit_segment_name(
    const char *name, const char *keystore, uint64_t *ret) MUSTCHECK;

/* Begin a new segment, and remove those that are no more to be kept. */
enum err audit_rotate(struct kms *k, const struct kms_who *who) MUSTCHECK;

#define AUDIT_SEGMENT_MIN ((uint64_t)64 << 10)
#define AUDIT_SEGMENT_MAX ((uint64_t)1 << 40)
#define AUDIT_DAYS_MAX 36500

struct audit_settings {
	bool sync;        /* each record is on the disk before the answer */
	uint64_t segment; /* bytes, after which a new segment begins */
	/* Whole segments go when they ended so many days ago, or when all have
	 * more bytes; 0: never. */
	uint64_t keep_days, keep_bytes;
};
void audit_settings_get(struct kms *k, struct audit_settings *ret);
/* In force for all processes at return.  ERR_INVAL. */
enum err audit_settings_set(struct kms *k, const struct kms_who *who,
    const struct audit_settings *s) MUSTCHECK;
/* Be synchronous in this process, whatever the keystore says. */
void audit_sync_here(struct kms *k, bool on);

#endif
