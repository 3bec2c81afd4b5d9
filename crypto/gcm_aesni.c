/*
 * gcm_aesni: one block in a vector: AES-NI and PCLMULQDQ, as nearly every
 * processor has them since 2011.  (And AVX, for instructions that leave their
 * operands alone.)
 */
#include "crypto/gcm_internal.h"

#if GCM_X86

#include <immintrin.h>

#define TARGET __attribute__((target("aes,pclmul,avx")))
#define INLINE TARGET static inline __attribute__((always_inline))

#include "crypto/gcm_part.h"

#define VEC __m128i
#define LANES ((size_t)1)
#define VECTORS ((size_t)6)
#define KARATSUBA true
#define STRIDE 2

#define vec_pin(v) __asm__ volatile("" : "+x"(v))
#define vec_clmul(a, b, which) _mm_clmulepi64_si128(a, b, which)

INLINE VEC
vec_zero(void)
{
	return _mm_setzero_si128();
}

INLINE VEC
vec_all64(long long v)
{
	return _mm_set1_epi64x(v);
}

INLINE VEC
vec_wide(__m128i v)
{
	return v;
}

INLINE VEC
vec_first(__m128i v)
{
	return v;
}

INLINE __m128i
vec_block0(VEC v)
{
	return v;
}

INLINE VEC
vec_xor(VEC a, VEC b)
{
	return _mm_xor_si128(a, b);
}

INLINE VEC
vec_xor3(VEC a, VEC b, VEC c)
{
	return _mm_xor_si128(a, _mm_xor_si128(b, c));
}

INLINE VEC
vec_bytes(VEC v, __m128i order)
{
	return _mm_shuffle_epi8(v, order);
}

INLINE VEC
vec_swap64(VEC v)
{
	return _mm_shuffle_epi32(v, 0x4e);
}

INLINE VEC
vec_add32(VEC a, VEC b)
{
	return _mm_add_epi32(a, b);
}

INLINE VEC
vec_lane_numbers(void)
{
	return _mm_setzero_si128();
}

INLINE VEC
vec_aesenc(VEC v, VEC key)
{
	return _mm_aesenc_si128(v, key);
}

INLINE VEC
vec_aesenclast(VEC v, VEC key)
{
	return _mm_aesenclast_si128(v, key);
}

INLINE __m128i
vec_fold(VEC v)
{
	return v;
}

INLINE VEC
vec_load(const uint8_t *p)
{
	return _mm_loadu_si128((const void *)p);
}

INLINE void
vec_store(uint8_t *p, VEC v)
{
	_mm_storeu_si128((void *)p, v);
}

INLINE VEC
vec_load_blocks(const uint8_t *p, size_t n UNUSED)
{
	return vec_load(p);
}

INLINE VEC
vec_load_part(const uint8_t *p, size_t n)
{
	return part_load(p, n);
}

INLINE void
vec_store_part(uint8_t *p, VEC v, size_t n)
{
	part_store(p, v, n);
}

INLINE VEC
vec_head(VEC v, size_t n)
{
	return _mm_and_si128(v, vec_load(part_mask(n)));
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
	return h;
}

static bool
usable(void)
{
	return gcm_cpu()->aes;
}

const struct gcm gcm_aesni = {
	"AES-NI",
	usable,
	way_expand,
	way_seal,
	way_open,
};

#endif
