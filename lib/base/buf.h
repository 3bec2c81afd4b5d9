/*
 * buf: growable bytes with a ceiling, and bounded readers and writers of
 * big-endian fields.
 *
 * Not thread-safe; a buffer belongs to one caller.  A buffer is born with the
 * most it may ever hold: a parser fed by an enemy fails with ERR_LIMIT, never
 * with the machine's memory.
 */
#ifndef LIB_BASE_BUF_H
#define LIB_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct buf {
	uint8_t *p; /* ${len} bytes, then a NUL when ${p} is not NULL */
	size_t len;
	size_t cap;
	size_t max; /* ceiling of ${len} */
};

/* Make ${b} empty with a ceiling of ${max} bytes.  Allocates nothing. */
void buf_init(struct buf *b, size_t max);

/* Free the contents (wiped first when ${wipe}); ${b} is then empty. */
void buf_release(struct buf *b);
void buf_release_wiped(struct buf *b);

/* Append.  ERR_LIMIT over the ceiling, ERR_NOMEM; ${b} is then unchanged. */
enum err buf_put(struct buf *b, const void *data, size_t len) MUSTCHECK;
enum err buf_put_str(struct buf *b, const char *s) MUSTCHECK;
enum err buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3) MUSTCHECK;
/* Append ${s} (${len} bytes) as a JSON string with its quotes; bytes that are
 * not UTF-8 become U+FFFD. */
enum err buf_put_json(struct buf *b, const char *s, size_t len) MUSTCHECK;

/* Hand the bytes over to the caller, who frees them; ${b} is then empty. */
uint8_t *buf_steal(struct buf *b, size_t *ret_len);

#define CLEANUP_BUF CLEANUP(buf_release)

/* Big-endian fields at ${p}. */
static inline void
put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline void
put_u64(uint8_t *p, uint64_t v)
{
	put_u32(p, (uint32_t)(v >> 32));
	put_u32(p + 4, (uint32_t)v);
}

static inline uint16_t
get_u16(const uint8_t *p)
{
	return ((uint16_t)((uint16_t)p[0] << 8 | p[1]));
}

static inline uint32_t
get_u32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
		(uint32_t)p[2] << 8 | p[3]);
}

static inline uint64_t
get_u64(const uint8_t *p)
{
	return ((uint64_t)get_u32(p) << 32 | get_u32(p + 4));
}

#endif
