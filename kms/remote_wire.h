/*
 * remote_wire: the requests and answers of the API of AWS KMS (version
 * 2014-11-01, JSON 1.1) that the remote provider uses.
 *
 * Pure and thread-safe.  Bodies may hold plaintexts: whoever owns the buffers
 * wipes them.  What comes from the other side is bounded and looked at in every
 * part that is used.
 */
#ifndef KMS_REMOTE_WIRE_H
#define KMS_REMOTE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kms/provider.h"
#include "lib/base/buf.h"

#define WIRE_BODY_MAX ((size_t)64 << 10)
#define WIRE_KEY_MAX (PROVIDER_REF_MAX - 1) /* of a key's ARN, without NUL */
/* The pair of the encryption context that is ours: the hash of what a message is
 * bound to besides. */
#define WIRE_BOUND "ssefs:bound"

/* Request bodies, appended to ${b}.  ERR_LIMIT, ERR_NOMEM; ERR_INVAL when the
 * context has our pair already. */
enum err wire_encrypt(struct buf *b, const char *key,
    const struct provider_msg *m, const uint8_t *plain, size_t len) MUSTCHECK;
enum err wire_decrypt(struct buf *b, const char *key,
    const struct provider_msg *m, const uint8_t *sealed, size_t len) MUSTCHECK;
enum err wire_key(struct buf *b, const char *key) MUSTCHECK;
enum err wire_create(
    struct buf *b, const char *tenant, const char *label) MUSTCHECK;

/*
 * wire_error(status, body, len):
 * What an answer of a status other than 200 means, with a sentence that has the
 * other side's words (printable ones).  Never OK.
 */
enum err wire_error(long status, const void *body, size_t len) MUSTCHECK;
/* Is it an answer that a later try may better, by what it says? */
bool wire_throttled(long status, const void *body, size_t len);

/*
 * Answers of status 200.  ERR_IO when one is not what was asked for.
 * wire_blob() and wire_plain() take the bytes, and refuse (ERR_IO; ERR_AUTH) what
 * was not done by the key ${key}; ERR_LIMIT when ${room} is too small; ${ret} is
 * all zero then.
 */
enum err wire_blob(const void *body, size_t len, const char *key, uint8_t *ret,
    size_t room, size_t *ret_len) MUSTCHECK;
enum err wire_plain(const void *body, size_t len, const char *key, uint8_t *ret,
    size_t room, size_t *ret_len) MUSTCHECK;
/* The ARN of a key that can encrypt for us now; else what keeps it from that
 * (ERR_KEYREVOKED, ERR_KEYDELETION, ERR_KEYSTATE). */
enum err wire_usable(
    const void *body, size_t len, char ret[static WIRE_KEY_MAX + 1]) MUSTCHECK;

#endif
