/*
 * audit_chain: lines of the audit log, and how each follows from the one before.
 * Pure: no keystore, no clock, no files; docs/FORMAT.md has the bytes.
 *
 * Two chains run through the lines.  The mac is keyed, so that only who has the
 * keystore can make one: a line that was changed is found, and which.  The link
 * is not, so that anybody can compute it; checkpoints, lines that hold a
 * signature over the link so far, vouch for it.
 */
#ifndef KMS_AUDIT_CHAIN_H
#define KMS_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/digest.h"
#include "crypto/sign.h"
#include "lib/base/codec.h"
#include "lib/base/err.h"

#define AUDIT_LINE_MAX (256 * 1024)
#define AUDIT_MAC_MEMBER (9 + 2 * SHA256_LEN) /* ,"mac":"…" */

/* Where the log stands. */
struct audit_head {
	uint64_t seq;
	uint64_t size; /* bytes of the segment up to here */
	uint8_t mac[SHA256_LEN];
	uint8_t link[SHA256_LEN];
	uint64_t from;   /* the line that the links begin with */
	uint64_t n;      /* segment, from 1 */
	uint64_t first;  /* its first line */
	uint64_t oldest; /* segment that is kept */
	uint64_t marked; /* line of the last checkpoint; 0: none */
	int64_t marked_at;
	bool older; /* lines before ${from}, if any, are those of a format whose
		     * head had no HMAC: some behind them may be gone */
	uint64_t forged; /* a head that was not ours was found at this line */
};

/* A line, taken apart. */
struct audit_split {
	uint64_t seq;
	uint8_t mac[SHA256_LEN];
	uint8_t sum[SHA256_LEN]; /* SHA-256 of the line without its mac */
	size_t body;             /* bytes before the mac */
};
/* false: it has not the form of a record. */
bool audit_line_split(
    const char *line, size_t len, struct audit_split *ret) MUSTCHECK;
/* The mac of the line after ${h}. */
void audit_line_mac(const struct hmac_key *chain, const struct audit_head *h,
    uint64_t seq, const uint8_t sum[static SHA256_LEN],
    uint8_t ret[static SHA256_LEN]);
/* Move ${h} on over a line of ${len} bytes, without its newline. */
void audit_head_pass(
    struct audit_head *h, const struct audit_split *s, size_t len);

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

/* ---- Checkpoints ----------------------------------------------------------- */

/*
 * A checkpoint's text, one space between the fields; hashes and keys are
 * hexadecimal, numbers decimal:
 *	ssefs-audit-1 UUID SEQ FROM SEGMENT TIME MAC LINK NEXT
 * MAC and LINK are those of the line before SEQ, LINK counting from line FROM;
 * SEGMENT is the number of the segment, and of the key that signed; NEXT the
 * public key of the next segment at the end of one, else "-".
 */
struct audit_mark {
	uint8_t uuid[UUID_LEN]; /* the keystore */
	uint64_t seq, from, n;
	int64_t time;
	uint8_t mac[SHA256_LEN], link[SHA256_LEN];
	bool has_next;
	uint8_t next[SIGN_PUBLIC];
};
#define AUDIT_MARK_MAX 384 /* a text with its NUL */

size_t audit_mark_print(
    const struct audit_mark *m, char ret[static AUDIT_MARK_MAX]);
/* ERR_PARSE unless ${p} is what audit_mark_print() makes. */
enum err audit_mark_parse(
    const char *p, size_t len, struct audit_mark *ret) MUSTCHECK;

/* What a checkpoint's line ends with, before its mac. */
#define AUDIT_MARK_OPEN ",\"additionalEventData\":{\"checkpoint\":\""
#define AUDIT_MARK_MID "\",\"signature\":\""
#define AUDIT_MARK_CLOSE "\"}"
/* The checkpoint in a line whose mac is at ${body}; false: it has none.  The
 * signature is not checked: ${ret_text} is what it is over. */
bool audit_mark_find(const char *line, size_t body, struct audit_mark *ret,
    const char **ret_text, size_t *ret_len,
    uint8_t ret_sig[static SIGN_SIGNATURE]) MUSTCHECK;

/* ---- Keys -------------------------------------------------------------------- */

/*
 * The public key of a segment, as a line of text:
 *	ssefs-audit-key-1 UUID SEGMENT FIRST PUBLIC SIGNATURE
 * FIRST is the segment's first line; the signature, over the text before it, is
 * that of the key of the segment before, of the first one its own.
 */
struct audit_key {
	uint8_t uuid[UUID_LEN];
	uint64_t n, first;
	uint8_t public[SIGN_PUBLIC], sig[SIGN_SIGNATURE];
};
#define AUDIT_KEY_MAX 384 /* a line with its NUL */

/* Up to the signature, which follows after a space; the length. */
size_t audit_key_text(
    const struct audit_key *key, char ret[static AUDIT_KEY_MAX]);
void audit_key_print(
    const struct audit_key *key, char ret[static AUDIT_KEY_MAX]);
/* ERR_PARSE unless ${p}, without newline, is what audit_key_print() makes. */
enum err audit_key_parse(
    const char *p, size_t len, struct audit_key *ret) MUSTCHECK;
/* Is ${key} signed by ${by} (the first one by itself)?  OK, ERR_AUTH. */
enum err audit_key_check(const struct audit_key *key,
    const uint8_t by[static SIGN_PUBLIC]) MUSTCHECK;

#endif
