/*
 * buf: bytes move by copy and wipe, not by realloc(), when a buffer grows: a
 * buffer released with buf_release_wiped() must not have left its earlier
 * bytes behind in freed memory.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"

#define FIRST_CAP 64

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_release(struct buf *b)
{
	free(b->p);
	buf_init(b, b->max);
}

void
buf_release_wiped(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	buf_release(b);
}

/* Make room for ${more} bytes and the NUL. */
static enum err
reserve(struct buf *b, size_t more)
{
	if (more > b->max - b->len)
		return ERR_LIMIT;
	const size_t need = b->len + more;
	if (need < b->cap)
		return OK;
	if (need > SIZE_MAX / 2)
		return ERR_NOMEM;
	size_t cap = b->cap > 0 ? b->cap : FIRST_CAP;
	while (cap <= need)
		cap *= 2;
	if (cap - 1 > b->max)
		cap = b->max + 1;
	uint8_t *p = malloc(cap);
	if (p == NULL)
		return ERR_NOMEM;
	if (b->p != NULL) {
		memcpy(p, b->p, b->len);
		explicit_bzero(b->p, b->len);
		free(b->p);
	}
	p[b->len] = '\0';
	b->p = p;
	b->cap = cap;
	return OK;
}

enum err
buf_put(struct buf *b, const void *data, size_t len)
{
	TRY(reserve(b, len));
	if (len > 0)
		memcpy(b->p + b->len, data, len);
	b->len += len;
	b->p[b->len] = '\0';
	return OK;
}

enum err
buf_put_str(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

enum err
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return ERR_INVAL;
	TRY(reserve(b, (size_t)n));
	va_start(ap, fmt);
	(void)vsnprintf((char *)b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return OK;
}

/*
 * The length of the UTF-8 character at ${s}, or 0 when there is none: no
 * overlong forms, no surrogates, nothing above U+10FFFF.
 */
static size_t
utf8_len(const uint8_t *s, size_t len)
{
	uint32_t lead = 0, least = 0;
	size_t n = 0;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] < 0xe0) {
		n = 2;
		lead = s[0] & 0x1f;
		least = 0x80;
	} else if (s[0] >= 0xe0 && s[0] < 0xf0) {
		n = 3;
		lead = s[0] & 0x0f;
		least = 0x800;
	} else if (s[0] >= 0xf0 && s[0] < 0xf5) {
		n = 4;
		lead = s[0] & 0x07;
		least = 0x10000;
	} else {
		return 0;
	}
	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		lead = lead << 6 | (s[i] & 0x3f);
	}
	if (lead < least || lead > 0x10ffff || (lead >> 11) == 0x1b)
		return 0;
	return n;
}

static enum err
put_json_char(struct buf *b, const uint8_t *s, size_t n)
{
	switch (s[0]) {
	case '"':
		return buf_put(b, "\\\"", 2);
	case '\\':
		return buf_put(b, "\\\\", 2);
	case '\b':
		return buf_put(b, "\\b", 2);
	case '\f':
		return buf_put(b, "\\f", 2);
	case '\n':
		return buf_put(b, "\\n", 2);
	case '\r':
		return buf_put(b, "\\r", 2);
	case '\t':
		return buf_put(b, "\\t", 2);
	default:
		if (s[0] < 0x20)
			return buf_printf(b, "\\u%04x", s[0]);
		return buf_put(b, s, n);
	}
}

static enum err
put_json(struct buf *b, const uint8_t *s, size_t len)
{
	TRY(buf_put(b, "\"", 1));
	for (size_t i = 0; i < len;) {
		const size_t n = utf8_len(s + i, len - i);
		if (n == 0) {
			TRY(buf_put(b, "\xef\xbf\xbd", 3));
			i++;
		} else {
			TRY(put_json_char(b, s + i, n));
			i += n;
		}
	}
	return buf_put(b, "\"", 1);
}

enum err
buf_put_json(struct buf *b, const char *s, size_t len)
{
	const size_t before = b->len;
	const enum err e = put_json(b, (const uint8_t *)s, len);

	if (e != OK && b->p != NULL) {
		b->len = before;
		b->p[before] = '\0';
	}
	return e;
}

uint8_t *
buf_steal(struct buf *b, size_t *ret_len)
{
	uint8_t *p = b->p;

	*ret_len = b->len;
	buf_init(b, b->max);
	return p;
}
