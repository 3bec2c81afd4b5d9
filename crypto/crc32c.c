/*
 * crc32c: the processor's crc32 instruction takes three cycles but a new one
 * starts in each, so three stretches are summed at once.  The sums of the
 * first two are then moved past what follows them: multiplied by x^(8 n) modulo
 * the polynomial, in one carry-less multiplication each.
 *
 * The factors: pclmulqdq of two reflected 32-bit values leaves their product
 * 31 bits high, and the crc32 instruction that reduces it multiplies by x^64;
 * together that asks for the bit-reflected x^(8 n - 33).
 */
#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "crypto/crc32c_internal.h"
#include "crypto/digest.h"

#define POLY 0x82f63b78u /* reflected 0x1edc6f41 */

static pthread_once_t table_once = PTHREAD_ONCE_INIT;
static uint32_t table[8][256]; /* table[k][v]: v, then k zero bytes */

static void
table_make(void)
{
	for (uint32_t v = 0; v < 256; v++) {
		uint32_t c = v;
		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (POLY & (0 - (c & 1)));
		table[0][v] = c;
	}
	for (uint32_t v = 0; v < 256; v++) {
		for (size_t k = 1; k < 8; k++) {
			const uint32_t c = table[k - 1][v];
			table[k][v] = c >> 8 ^ table[0][c & 255];
		}
	}
}

uint32_t
crc32c_soft(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t c = ~crc;

	(void)pthread_once(&table_once, table_make);
	for (; len >= 8; p += 8, len -= 8) {
		c ^= p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
		     (uint32_t)p[3] << 24;
		c = table[7][c & 255] ^ table[6][c >> 8 & 255] ^
		    table[5][c >> 16 & 255] ^ table[4][c >> 24] ^
		    table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
		    table[0][p[7]];
	}
	for (; len > 0; p++, len--)
		c = c >> 8 ^ table[0][(c ^ *p) & 255];
	return ~c;
}

#if defined(__x86_64__)

#define TARGET __attribute__((target("sse4.2,pclmul")))

/* Three stretches of each: 4080 of a block's 4096 bytes, then 504. */
#define LONG ((size_t)1360)
#define LONG_X1 0x3f70cc6f /* x^(8 * LONG - 33) */
#define LONG_X2 0x5aa1f3cf /* x^(8 * 2 * LONG - 33) */
#define SHORT ((size_t)168)
#define SHORT_X1 0x1b3d8f29
#define SHORT_X2 0xa60ce07b

bool
crc32c_has_hard(void)
{
	return __builtin_cpu_supports("sse4.2") &&
	       __builtin_cpu_supports("pclmul");
}

static inline uint64_t
load64(const uint8_t *p)
{
	uint64_t v = 0;

	memcpy(&v, p, sizeof(v));
	return v;
}

TARGET static inline uint64_t
move(uint64_t crc, uint32_t factor)
{
	const __m128i v =
	    _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc),
		_mm_cvtsi64_si128((long long)factor), 0);

	return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(v));
}

/* ${n} bytes, three times; ${n} is a multiple of 8. */
TARGET static inline uint64_t
three(uint64_t a, const uint8_t *p, size_t n, uint32_t x1, uint32_t x2)
{
	uint64_t b = 0, c = 0;

	for (size_t i = 0; i < n; i += 8) {
		a = _mm_crc32_u64(a, load64(p + i));
		b = _mm_crc32_u64(b, load64(p + n + i));
		c = _mm_crc32_u64(c, load64(p + 2 * n + i));
	}
	return move(a, x2) ^ move(b, x1) ^ c;
}

TARGET uint32_t
crc32c_hard(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t c = ~crc;

	for (; len >= 3 * LONG; p += 3 * LONG, len -= 3 * LONG)
		c = three(c, p, LONG, LONG_X1, LONG_X2);
	for (; len >= 3 * SHORT; p += 3 * SHORT, len -= 3 * SHORT)
		c = three(c, p, SHORT, SHORT_X1, SHORT_X2);
	for (; len >= 8; p += 8, len -= 8)
		c = _mm_crc32_u64(c, load64(p));
	uint32_t r = (uint32_t)c;
	for (; len > 0; p++, len--)
		r = _mm_crc32_u8(r, *p);
	return ~r;
}

#else

bool
crc32c_has_hard(void)
{
	return false;
}

uint32_t
crc32c_hard(uint32_t crc, const void *data, size_t len)
{
	return crc32c_soft(crc, data, len);
}

#endif

uint32_t
crc32c(uint32_t crc, const void *p, size_t len)
{
	if (crc32c_has_hard())
		return crc32c_hard(crc, p, len);
	return crc32c_soft(crc, p, len);
}
