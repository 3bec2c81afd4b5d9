/*
 * audit: the hash-chained log of every KMS call.
 *
 * One JSON object per line in a file beside the keystore (KEYSTORE-audit.log).
 * Line i carries seq (from 1) and mac = HMAC-SHA-256(chain key,
 * mac[i-1] || u64 seq || SHA-256(the line without its mac member)), so that a
 * removed, changed or reordered record is found; the last seq and mac are kept
 * in the keystore, so that a cut tail is found as well.  Several processes
 * append under a file lock.
 */
#ifndef KMS_AUDIT_H
#define KMS_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "kms/kms.h"

/* cb for every line (without the newline), oldest first, from the ${skip}th
 * record on; stops when it returns false. */
enum err audit_show(struct kms *k, uint64_t skip,
    bool (*cb)(void *arg, const char *line, size_t len), void *arg) MUSTCHECK;

struct audit_verdict {
	uint64_t records; /* that were verified */
	uint64_t bad_seq; /* first record that fails; 0 when all is well */
	char what[160];   /* what is wrong with it, for people */
};
/* OK with the verdict filled in (also when records are bad); ERR_IO. */
enum err audit_verify(struct kms *k, struct audit_verdict *ret) MUSTCHECK;

#endif
