/*
 * gcm_part: parts of a block, for the ways without masks (gcm_vaes256.c,
 * gcm_aesni.c), which define INLINE before.  Memory outside of the part is not
 * touched.  The bytes pass through general registers; part_forget() clears
 * those that a caller could find them in.
 */
#ifndef CRYPTO_GCM_PART_H
#define CRYPTO_GCM_PART_H

#include <string.h>

#include <immintrin.h>

INLINE uint64_t
part_get(const uint8_t *p, size_t n)
{
	uint64_t a = 0, b = 0;

	if (n == 8) {
		memcpy(&a, p, 8);
		return a;
	}
	if (n >= 4) {
		memcpy(&a, p, 4);
		memcpy(&b, p + n - 4, 4);
		return a | b << 8 * (n - 4);
	}
	if (n == 0)
		return 0;
	return p[0] | (uint64_t)p[n / 2] << 8 * (n / 2) |
	       (uint64_t)p[n - 1] << 8 * (n - 1);
}

INLINE void
part_put(uint8_t *p, uint64_t v, size_t n)
{
	const uint64_t last = n >= 4 ? v >> 8 * (n - 4) : 0;

	if (n == 8) {
		memcpy(p, &v, 8);
	} else if (n >= 4) {
		memcpy(p, &v, 4);
		memcpy(p + n - 4, &last, 4);
	} else if (n > 0) {
		p[0] = (uint8_t)v;
		p[n / 2] = (uint8_t)(v >> 8 * (n / 2));
		p[n - 1] = (uint8_t)(v >> 8 * (n - 1));
	}
}

/* ${n} bytes, at most a block, and zeroes. */
INLINE __m128i
part_load(const uint8_t *p, size_t n)
{
	if (n == 16)
		return _mm_loadu_si128((const void *)p);
	if (n > 8)
		return _mm_set_epi64x((long long)part_get(p + 8, n - 8),
		    (long long)part_get(p, 8));
	return _mm_set_epi64x(0, (long long)part_get(p, n));
}

INLINE void
part_store(uint8_t *p, __m128i v, size_t n)
{
	const uint64_t low = (uint64_t)_mm_cvtsi128_si64(v);

	if (n == 16) {
		_mm_storeu_si128((void *)p, v);
	} else if (n > 8) {
		part_put(p, low, 8);
		part_put(p + 8, (uint64_t)_mm_extract_epi64(v, 1), n - 8);
	} else {
		part_put(p, low, n);
	}
}

/* The first ${n} bytes, 32 at most, that are ff are those of a vector which
 * begins ${n} before the end of the first half. */
static const uint8_t part_ones[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff };

INLINE const uint8_t *
part_mask(size_t n)
{
	return part_ones + 32 - n;
}

/* No text and no key stays in registers. */
INLINE void
part_forget(void)
{
	_mm256_zeroall();
	__asm__ volatile("xor %%eax, %%eax\n\t"
			 "xor %%ecx, %%ecx\n\t"
			 "xor %%edx, %%edx\n\t"
			 "xor %%esi, %%esi\n\t"
			 "xor %%edi, %%edi\n\t"
			 "xor %%r8d, %%r8d\n\t"
			 "xor %%r9d, %%r9d\n\t"
			 "xor %%r10d, %%r10d\n\t"
			 "xor %%r11d, %%r11d"
			 :
			 :
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
			 "r11", "cc");
}

#endif
