/*
 * codec: hexadecimal, base64 (RFC 4648, strict) and UUID text.
 *
 * Pure and thread-safe.  Decoders refuse anything that the encoder would not
 * write (ERR_PARSE); hexadecimal is accepted in both cases.
 */
#ifndef LIB_BASE_CODEC_H
#define LIB_BASE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define UUID_LEN 16
#define UUID_STRLEN 36

/* Write 2 * ${len} lower-case digits and a NUL to ${ret}. */
void hex_encode(const void *in, size_t len, char *ret);
/* Read exactly 2 * ${len} digits. */
enum err hex_decode(
    const char *s, size_t slen, uint8_t *ret, size_t len) MUSTCHECK;

/* Bytes, with the NUL, that b64_encode writes for ${len} input bytes. */
#define B64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
void b64_encode(const void *in, size_t len, char *ret);
/* Decode to at most ${max} bytes; ERR_LIMIT when more. */
enum err b64_decode(const char *s, size_t slen, uint8_t *ret, size_t max,
    size_t *ret_len) MUSTCHECK;

/* 8-4-4-4-12 lower-case digits and a NUL. */
void uuid_format(
    const uint8_t uuid[static UUID_LEN], char ret[static UUID_STRLEN + 1]);
enum err uuid_parse(
    const char *s, size_t slen, uint8_t ret[static UUID_LEN]) MUSTCHECK;

#endif
