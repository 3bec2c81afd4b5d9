/*
 * seal: the messages that sealed metadata is made of (docs/FORMAT.md, "Sealed
 * metadata").
 *
 * A message is AES-256-GCM ciphertext as long as its text, then a trailer:
 *	 0 12  salt: which key it is under
 *	12 12  GCM nonce, random
 *	24 16  GCM tag
 * The key is expand(metadata key, "ssefs metadata message 1" 00 salt, 32).  A
 * salt is random and drawn anew whenever a struct seal is made and after every
 * SEAL_MESSAGES messages, so that a store may be written, copied and put back
 * as often as one likes.  Additional data (41 bytes): "ssefs metadata 1" ||
 * store uuid || u8 kind || u64 number.
 *
 * All functions are thread-safe.  Buffers are the caller's; text and message
 * must not overlap.
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "lib/base/codec.h"
#include "lib/base/err.h"

#define SEAL_SALTLEN 12
#define SEAL_TRAILER (SEAL_SALTLEN + AEAD_NONCELEN + AEAD_TAGLEN)
#define SEAL_MESSAGES ((uint64_t)1 << 30) /* under one salt */

/* What a message is, and what its number counts. */
enum seal_kind {
	SEAL_PAGE = 1, /* a page of the database: its number, from 1 */
	SEAL_FRAME,    /* a frame of the WAL: its number in the file, from 1 */
	SEAL_WAL,      /* the WAL's header: its place, 0 or 1 */
	SEAL_MARK      /* how far the WAL is durable: its place, 0..2 */
};

struct seal;

/* ${key} is copied.  ERR_NOMEM. */
enum err seal_new(const struct key *key, const uint8_t uuid[static UUID_LEN],
    struct seal **ret) MUSTCHECK;
void seal_free(struct seal *s); /* NULL is fine */

/* Seal ${len} bytes to ${len} + SEAL_TRAILER.  ERR_NOMEM, ERR_CRYPTO. */
enum err seal_put(struct seal *s, enum seal_kind kind, uint64_t number,
    const void *text, size_t len, uint8_t *ret_msg) MUSTCHECK;
/* Open a message with ${len} bytes of text.  ERR_AUTH: it is not that message
 * of that store, and ${ret_text} is zero; ERR_NOMEM; ERR_CRYPTO. */
enum err seal_get(struct seal *s, enum seal_kind kind, uint64_t number,
    const uint8_t *msg, size_t len, void *ret_text) MUSTCHECK;

#endif
