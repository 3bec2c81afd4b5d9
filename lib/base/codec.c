/*
 * codec: decoders are exact inverses of the encoders, so that one value has
 * one spelling (save the case of hexadecimal digits).
 */
#include <stdbool.h>
#include <string.h>

#include "lib/base/codec.h"

static const char hex_digits[] = "0123456789abcdef";
static const char b64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
hex_encode(const void *in, size_t len, char *ret)
{
	const uint8_t *p = in;

	for (size_t i = 0; i < len; i++) {
		*ret++ = hex_digits[p[i] >> 4];
		*ret++ = hex_digits[p[i] & 15];
	}
	*ret = '\0';
}

/* 0..15, or -1. */
static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

enum err
hex_decode(const char *s, size_t slen, uint8_t *ret, size_t len)
{
	if (slen % 2 != 0 || slen / 2 != len)
		return ERR_PARSE;
	for (size_t i = 0; i < len; i++) {
		const int hi = hex_value(s[2 * i]);
		const int lo = hex_value(s[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return ERR_PARSE;
		ret[i] = (uint8_t)(hi << 4 | lo);
	}
	return OK;
}

void
b64_encode(const void *in, size_t len, char *ret)
{
	const uint8_t *p = in;

	for (; len > 0; p += 3) {
		const uint32_t v = (uint32_t)p[0] << 16 |
				   (len > 1 ? (uint32_t)p[1] << 8 : 0) |
				   (len > 2 ? p[2] : 0);
		*ret++ = b64_digits[v >> 18];
		*ret++ = b64_digits[v >> 12 & 63];
		*ret++ = len > 1 ? b64_digits[v >> 6 & 63] : '=';
		*ret++ = len > 2 ? b64_digits[v & 63] : '=';
		len -= len < 3 ? len : 3;
	}
	*ret = '\0';
}

/* 0..63, or 64 when ${c} is no digit. */
static uint32_t
b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0' + 52);
	if (c == '+')
		return 62;
	return c == '/' ? 63 : 64;
}

enum err
b64_decode(
    const char *s, size_t slen, uint8_t *ret, size_t max, size_t *ret_len)
{
	size_t out = 0;

	if (slen % 4 != 0)
		return ERR_PARSE;
	for (size_t i = 0; i < slen; i += 4) {
		size_t n = 3;
		uint32_t v = 0;

		if (i + 4 == slen && s[i + 3] == '=')
			n = s[i + 2] == '=' ? 1 : 2;
		for (size_t j = 0; j < 4; j++) {
			const uint32_t d = j > n ? 0 : b64_value(s[i + j]);
			if (d > 63)
				return ERR_PARSE;
			v = v << 6 | d;
		}
		/* Bits under the padding are zero in what we write. */
		if ((n == 1 && (v & 0xffff) != 0) ||
		    (n == 2 && (v & 0xff) != 0))
			return ERR_PARSE;
		if (n > max - out)
			return ERR_LIMIT;
		for (size_t j = 0; j < n; j++)
			ret[out++] = (uint8_t)(v >> (16 - 8 * j));
	}
	*ret_len = out;
	return OK;
}

static bool
uuid_dash_before(size_t i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

void
uuid_format(
    const uint8_t uuid[static UUID_LEN], char ret[static UUID_STRLEN + 1])
{
	char *p = ret;

	for (size_t i = 0; i < UUID_LEN; i++) {
		if (uuid_dash_before(i))
			*p++ = '-';
		*p++ = hex_digits[uuid[i] >> 4];
		*p++ = hex_digits[uuid[i] & 15];
	}
	*p = '\0';
}

enum err
uuid_parse(const char *s, size_t slen, uint8_t ret[static UUID_LEN])
{
	uint8_t uuid[UUID_LEN];

	if (slen != UUID_STRLEN)
		return ERR_PARSE;
	for (size_t i = 0; i < UUID_LEN; i++) {
		if (uuid_dash_before(i) && *s++ != '-')
			return ERR_PARSE;
		TRY(hex_decode(s, 2, &uuid[i], 1));
		s += 2;
	}
	memcpy(ret, uuid, UUID_LEN);
	return OK;
}
