/*
 * gcm_vaes512: four blocks in a vector.  Parts of a vector are loaded and
 * stored under masks: memory that is masked out is not touched.
 */
#include "crypto/gcm_internal.h"

#if GCM_X86

#include <immintrin.h>

#define TARGET                                                               \
	__attribute__((target("aes,pclmul,vaes,vpclmulqdq,avx512f,avx512bw," \
			      "avx512vl,avx512dq")))
#define INLINE TARGET static inline __attribute__((always_inline))

#define VEC __m512i
#define LANES ((size_t)4)
#define VECTORS ((size_t)4)
#define KARATSUBA false
#define STRIDE 3

#define vec_pin(v) __asm__ volatile("" : "+v"(v))
#define vec_clmul(a, b, which) _mm512_clmulepi64_epi128(a, b, which)

INLINE VEC
vec_zero(void)
{
	return _mm512_setzero_si512();
}

INLINE VEC
vec_all64(long long v)
{
	return _mm512_set1_epi64(v);
}

INLINE VEC
vec_wide(__m128i v)
{
	return _mm512_broadcast_i32x4(v);
}

INLINE VEC
vec_first(__m128i v)
{
	return _mm512_zextsi128_si512(v);
}

INLINE __m128i
vec_block0(VEC v)
{
	return _mm512_castsi512_si128(v);
}

INLINE VEC
vec_xor(VEC a, VEC b)
{
	return _mm512_xor_si512(a, b);
}

INLINE VEC
vec_xor3(VEC a, VEC b, VEC c)
{
	return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

INLINE VEC
vec_bytes(VEC v, __m128i order)
{
	return _mm512_shuffle_epi8(v, vec_wide(order));
}

INLINE VEC
vec_swap64(VEC v)
{
	return _mm512_shuffle_epi32(v, 0x4e);
}

INLINE VEC
vec_add32(VEC a, VEC b)
{
	return _mm512_add_epi32(a, b);
}

INLINE VEC
vec_lane_numbers(void)
{
	return _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
}

INLINE VEC
vec_aesenc(VEC v, VEC key)
{
	return _mm512_aesenc_epi128(v, key);
}

INLINE VEC
vec_aesenclast(VEC v, VEC key)
{
	return _mm512_aesenclast_epi128(v, key);
}

INLINE __m128i
vec_fold(VEC v)
{
	const __m256i h = _mm256_xor_si256(
	    _mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));

	return _mm_xor_si128(
	    _mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

INLINE VEC
vec_load(const uint8_t *p)
{
	return _mm512_loadu_si512(p);
}

INLINE void
vec_store(uint8_t *p, VEC v)
{
	_mm512_storeu_si512(p, v);
}

INLINE VEC
vec_load_blocks(const uint8_t *p, size_t n)
{
	const __mmask8 m = (__mmask8)(n >= LANES ? 0xffu : (1u << 2 * n) - 1);

	return _mm512_maskz_loadu_epi64(m, p);
}

/* The lowest ${n}, 1 or more, of 64. */
INLINE __mmask64
bytes_mask(size_t n)
{
	return n >= 64 ? UINT64_MAX : UINT64_MAX >> (64 - n);
}

INLINE VEC
vec_load_part(const uint8_t *p, size_t n)
{
	return _mm512_maskz_loadu_epi8(bytes_mask(n), p);
}

INLINE void
vec_store_part(uint8_t *p, VEC v, size_t n)
{
	if (n == 64)
		vec_store(p, v);
	else
		_mm512_mask_storeu_epi8(p, bytes_mask(n), v);
}

INLINE VEC
vec_head(VEC v, size_t n)
{
	return _mm512_maskz_mov_epi8(bytes_mask(n), v);
}

INLINE void
vec_forget(void)
{
	_mm256_zeroall(); /* of the 32, only the first 16 */
	__asm__ volatile("vpxord %%xmm16, %%xmm16, %%xmm16\n\t"
			 "vpxord %%xmm17, %%xmm17, %%xmm17\n\t"
			 "vpxord %%xmm18, %%xmm18, %%xmm18\n\t"
			 "vpxord %%xmm19, %%xmm19, %%xmm19\n\t"
			 "vpxord %%xmm20, %%xmm20, %%xmm20\n\t"
			 "vpxord %%xmm21, %%xmm21, %%xmm21\n\t"
			 "vpxord %%xmm22, %%xmm22, %%xmm22\n\t"
			 "vpxord %%xmm23, %%xmm23, %%xmm23\n\t"
			 "vpxord %%xmm24, %%xmm24, %%xmm24\n\t"
			 "vpxord %%xmm25, %%xmm25, %%xmm25\n\t"
			 "vpxord %%xmm26, %%xmm26, %%xmm26\n\t"
			 "vpxord %%xmm27, %%xmm27, %%xmm27\n\t"
			 "vpxord %%xmm28, %%xmm28, %%xmm28\n\t"
			 "vpxord %%xmm29, %%xmm29, %%xmm29\n\t"
			 "vpxord %%xmm30, %%xmm30, %%xmm30\n\t"
			 "vpxord %%xmm31, %%xmm31, %%xmm31"
			 :
			 :
			 : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21",
			 "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
			 "xmm28", "xmm29", "xmm30", "xmm31");
}

#include "crypto/gcm_body.h"

INLINE VEC
vec_base_powers(__m128i h1)
{
	const VEC h = vec_first(h1);
	const VEC h2 = product(h, h);
	const VEC h21 = _mm512_inserti64x2(h2, h1, 1);
	const VEC h43 = product(h21, vec_wide(vec_block0(h2)));

	return _mm512_shuffle_i64x2(h43, h21, 0x44);
}

static bool
usable(void)
{
	const struct gcm_cpu *c = gcm_cpu();

	return c->aes && c->vaes && c->avx512;
}

const struct gcm gcm_vaes512 = {
	"VAES, AVX-512",
	usable,
	way_expand,
	way_seal,
	way_open,
};

#endif
