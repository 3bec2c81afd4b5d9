/*
 * gcm_vaes256: two blocks in a vector: VAES and VPCLMULQDQ without AVX-512, as
 * AMD's Zen 3 and Intel's processors for desks have them.
 */
#include "crypto/gcm_internal.h"

#if GCM_X86

#include <immintrin.h>

#define TARGET __attribute__((target("aes,pclmul,vaes,vpclmulqdq,avx2")))
#define INLINE TARGET static inline __attribute__((always_inline))

#include "crypto/gcm_part.h"

#define VEC __m256i
#define LANES ((size_t)2)
#define VECTORS ((size_t)6)
#define KARATSUBA false
#define STRIDE 2

#define vec_pin(v) __asm__ volatile("" : "+x"(v))
#define vec_clmul(a, b, which) _mm256_clmulepi64_epi128(a, b, which)

INLINE VEC
vec_zero(void)
{
	return _mm256_setzero_si256();
}

INLINE VEC
vec_all64(long long v)
{
	return _mm256_set1_epi64x(v);
}

INLINE VEC
vec_wide(__m128i v)
{
	return _mm256_broadcastsi128_si256(v);
}

INLINE VEC
vec_first(__m128i v)
{
	return _mm256_zextsi128_si256(v);
}

INLINE __m128i
vec_block0(VEC v)
{
	return _mm256_castsi256_si128(v);
}

INLINE __m128i
vec_block1(VEC v)
{
	return _mm256_extracti128_si256(v, 1);
}

INLINE VEC
vec_pair(__m128i a, __m128i b)
{
	return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

INLINE VEC
vec_xor(VEC a, VEC b)
{
	return _mm256_xor_si256(a, b);
}

INLINE VEC
vec_xor3(VEC a, VEC b, VEC c)
{
	return _mm256_xor_si256(a, _mm256_xor_si256(b, c));
}

INLINE VEC
vec_bytes(VEC v, __m128i order)
{
	return _mm256_shuffle_epi8(v, vec_wide(order));
}

INLINE VEC
vec_swap64(VEC v)
{
	return _mm256_shuffle_epi32(v, 0x4e);
}

INLINE VEC
vec_add32(VEC a, VEC b)
{
	return _mm256_add_epi32(a, b);
}

INLINE VEC
vec_lane_numbers(void)
{
	return _mm256_set_epi32(1, 0, 0, 0, 0, 0, 0, 0);
}

INLINE VEC
vec_aesenc(VEC v, VEC key)
{
	return _mm256_aesenc_epi128(v, key);
}

INLINE VEC
vec_aesenclast(VEC v, VEC key)
{
	return _mm256_aesenclast_epi128(v, key);
}

INLINE __m128i
vec_fold(VEC v)
{
	return _mm_xor_si128(vec_block0(v), vec_block1(v));
}

INLINE VEC
vec_load(const uint8_t *p)
{
	return _mm256_loadu_si256((const void *)p);
}

INLINE void
vec_store(uint8_t *p, VEC v)
{
	_mm256_storeu_si256((void *)p, v);
}

INLINE VEC
vec_load_blocks(const uint8_t *p, size_t n)
{
	return n >= LANES ? vec_load(p)
			  : vec_first(_mm_loadu_si128((const void *)p));
}

INLINE VEC
vec_load_part(const uint8_t *p, size_t n)
{
	if (n == 32)
		return vec_load(p);
	if (n > 16)
		return vec_pair(_mm_loadu_si128((const void *)p),
		    part_load(p + 16, n - 16));
	return vec_first(part_load(p, n));
}

INLINE void
vec_store_part(uint8_t *p, VEC v, size_t n)
{
	if (n == 32) {
		vec_store(p, v);
	} else if (n > 16) {
		_mm_storeu_si128((void *)p, vec_block0(v));
		part_store(p + 16, vec_block1(v), n - 16);
	} else {
		part_store(p, vec_block0(v), n);
	}
}

INLINE VEC
vec_head(VEC v, size_t n)
{
	return _mm256_and_si256(v, vec_load(part_mask(n)));
}

INLINE void
vec_forget(void)
{
	part_forget();
}

#include "crypto/gcm_body.h"

INLINE VEC
vec_base_powers(__m128i h)
{
	const VEC h2 = product(vec_first(h), vec_first(h));

	return vec_pair(vec_block0(h2), h);
}

static bool
usable(void)
{
	const struct gcm_cpu *c = gcm_cpu();

	return c->aes && c->avx2 && c->vaes;
}

const struct gcm gcm_vaes256 = {
	"VAES, AVX2",
	usable,
	way_expand,
	way_seal,
	way_open,
};

#endif
