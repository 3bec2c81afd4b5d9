/*
 * gcm_vaes: a vector holds four blocks, a group four vectors.
 *
 * GHASH sums block_i * H^(n-i) over GF(2^128).  A group is multiplied by H^16
 * … H^1 at once: the products are added unreduced and reduced together.  GCM
 * writes a polynomial's lowest power first, as the highest bit of the first
 * byte; byte for byte reversed, the bits of a product then stand one place too
 * low.  So H is multiplied by x once, when the key is expanded, and a product
 * is a * b * x^-128 modulo x^128 + x^127 + x^126 + x^121 + 1 (this form is
 * known from POLYVAL, RFC 8452): reduced from below, each time by 64 bits, with
 * one multiplication by 0xc2 << 56.
 *
 * Hashing a group needs its ciphertext; it is done while the next group is
 * encrypted, so that the processor has both to do at any time.  The last group,
 * whole or not, goes a vector at a time, under masks: memory that is masked out
 * is not touched.
 *
 * Round keys are loaded again in each group (fresh()): kept in registers, they
 * would be too many, and the compiler would spill them to the stack.  What is
 * spilled by the compilers that we use, when they optimise, is constants and
 * lengths.
 */
#include <pthread.h>
#include <string.h>

#include "crypto/gcm_vaes.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

#include <cpuid.h>
#include <immintrin.h>

#define TARGET                                                               \
	__attribute__((target("aes,pclmul,vaes,vpclmulqdq,avx512f,avx512bw," \
			      "avx512vl,avx512dq")))
#define INLINE TARGET static inline __attribute__((always_inline))

#define BLOCK ((size_t)16)
#define VECTOR ((size_t)64)
#define GROUP ((size_t)256)

_Static_assert(sizeof(struct gcm_key) == 512, "one block of key memory");
_Static_assert(offsetof(struct gcm_key, power[1]) % 64 == 0, "aligned");

/* ---- May it run? --------------------------------------------------------- */

static pthread_once_t usable_once = PTHREAD_ONCE_INIT;
static bool usable;

/* Not every compiler's __builtin_cpu_supports() knows of VAES.  That of AVX-512
 * asks whether the system saves the wide registers, too. */
static void
find_usable(void)
{
	unsigned a = 0, b = 0, c = 0, d = 0, a1 = 0, b1 = 0, c1 = 0, d1 = 0;

	if (__get_cpuid(1, &a1, &b1, &c1, &d1) == 0 ||
	    __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0)
		return;
	usable = (c1 & bit_AES) != 0 && (c1 & bit_PCLMUL) != 0 &&
		 (c & bit_VAES) != 0 && (c & bit_VPCLMULQDQ) != 0 &&
		 __builtin_cpu_supports("avx512f") &&
		 __builtin_cpu_supports("avx512bw") &&
		 __builtin_cpu_supports("avx512vl") &&
		 __builtin_cpu_supports("avx512dq");
}

bool
gcm_vaes_usable(void)
{
	(void)pthread_once(&usable_once, find_usable);
	return usable;
}

/* ---- Small pieces -------------------------------------------------------- */

struct group {
	__m512i a, b, c, d;
};

/* Sums of products, 64 bits apart. */
struct sum {
	__m512i lo, mid, hi;
};

/* The same address, but the compiler cannot know that what it loaded from
 * there before is still good. */
INLINE const struct gcm_key *
fresh(const struct gcm_key *k)
{
	__asm__ volatile("" : "+r"(k));
	return k;
}

/* The lowest ${n}, 1 or more, of 64. */
INLINE __mmask64
bytes_mask(size_t n)
{
	return n >= 64 ? UINT64_MAX : UINT64_MAX >> (64 - n);
}

INLINE __m512i
wide(__m128i v)
{
	return _mm512_broadcast_i32x4(v);
}

INLINE __m512i
round_key(const struct gcm_key *k, size_t r)
{
	return wide(_mm_loadu_si128((const void *)k->round[r]));
}

INLINE __m512i
xor3(__m512i a, __m512i b, __m512i c)
{
	return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

INLINE __m128i
reversed128(__m128i v)
{
	return _mm_shuffle_epi8(
	    v, _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f));
}

/* The bytes of each block, last first. */
INLINE __m512i
reversed(__m512i v)
{
	return _mm512_shuffle_epi8(
	    v, wide(_mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f)));
}

/* Counters are kept with their last four bytes as a number of this machine. */
INLINE __m512i
counter_blocks(__m512i ctr)
{
	return _mm512_shuffle_epi8(
	    ctr, wide(_mm_set_epi64x(0x0c0d0e0f0b0a0908, 0x0706050403020100)));
}

INLINE __m512i
counter_add(__m512i ctr, int n)
{
	return _mm512_add_epi32(ctr, wide(_mm_set_epi32(n, 0, 0, 0)));
}

INLINE __m128i
counter_first(const uint8_t *nonce)
{
	uint64_t a = 0;
	uint32_t b = 0;

	memcpy(&a, nonce, sizeof(a));
	memcpy(&b, nonce + sizeof(a), sizeof(b));
	return _mm_set_epi64x((long long)(UINT64_C(1) << 32 | b), (long long)a);
}

/* Round keys, powers of H and text do not stay in registers. */
INLINE void
forget(void)
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

/* ---- GHASH --------------------------------------------------------------- */

INLINE void
multiply(struct sum *s, __m512i x, __m512i h)
{
	s->lo = _mm512_xor_si512(s->lo, _mm512_clmulepi64_epi128(x, h, 0x00));
	s->mid = xor3(s->mid, _mm512_clmulepi64_epi128(x, h, 0x01),
	    _mm512_clmulepi64_epi128(x, h, 0x10));
	s->hi = _mm512_xor_si512(s->hi, _mm512_clmulepi64_epi128(x, h, 0x11));
}

INLINE __m512i
reduce(struct sum s)
{
	const __m512i poly =
	    _mm512_set1_epi64((long long)UINT64_C(0xc200000000000000));
	const __m512i mid = xor3(s.mid, _mm512_shuffle_epi32(s.lo, 0x4e),
	    _mm512_clmulepi64_epi128(s.lo, poly, 0x00));

	return xor3(s.hi, _mm512_shuffle_epi32(mid, 0x4e),
	    _mm512_clmulepi64_epi128(mid, poly, 0x00));
}

/* All four blocks of ${v} added. */
INLINE __m128i
fold(__m512i v)
{
	const __m256i h = _mm256_xor_si256(
	    _mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));

	return _mm_xor_si128(
	    _mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

INLINE __m512i
product(__m512i a, __m512i b)
{
	struct sum s = { 0 };

	multiply(&s, a, b);
	return reduce(s);
}

/* ${x} times H^16 … H^1, after ${acc} was added to its first block. */
INLINE __m128i
hash_group(const struct gcm_key *k, __m128i acc, struct group x)
{
	const uint8_t *h = k->power[1];
	struct sum s = { 0 };

	multiply(&s,
	    _mm512_xor_si512(reversed(x.a), _mm512_zextsi128_si512(acc)),
	    _mm512_load_si512(h));
	multiply(&s, reversed(x.b), _mm512_load_si512(h + VECTOR));
	multiply(&s, reversed(x.c), _mm512_load_si512(h + 2 * VECTOR));
	multiply(&s, reversed(x.d), _mm512_load_si512(h + 3 * VECTOR));
	return fold(reduce(s));
}

/* ${n} powers, 4 at most, beginning with H^${first}; else zero. */
INLINE __m512i
powers(const struct gcm_key *k, size_t first, size_t n)
{
	const __mmask8 m = (__mmask8)(n >= 4 ? 0xffu : (1u << 2 * n) - 1);

	return _mm512_maskz_loadu_epi64(m, k->power[GCM_POWERS - first]);
}

/* Associated data: all of it, filled up with zeroes to whole blocks. */
INLINE __m128i
hash_ad(const struct gcm_key *k, const uint8_t *p, size_t len)
{
	__m128i acc = _mm_setzero_si128();
	struct sum s = { 0 };

	for (; len >= GROUP; p += GROUP, len -= GROUP) {
		const struct group x = {
			_mm512_loadu_si512(p),
			_mm512_loadu_si512(p + VECTOR),
			_mm512_loadu_si512(p + 2 * VECTOR),
			_mm512_loadu_si512(p + 3 * VECTOR),
		};
		acc = hash_group(k, acc, x);
	}
	if (len == 0)
		return acc;
	__m512i first = _mm512_zextsi128_si512(acc);
	size_t blocks = (len + BLOCK - 1) / BLOCK;
	while (blocks > 0) {
		const __m512i x = _mm512_maskz_loadu_epi8(bytes_mask(len), p);
		multiply(&s, _mm512_xor_si512(reversed(x), first),
		    powers(k, blocks, blocks));
		first = _mm512_setzero_si512();
		if (blocks <= 4)
			break;
		p += VECTOR;
		len -= VECTOR;
		blocks -= 4;
	}
	return fold(reduce(s));
}

/* ---- Counter mode -------------------------------------------------------- */

INLINE __m512i
cipher(const struct gcm_key *k, __m512i x)
{
	x = _mm512_xor_si512(x, round_key(k, 0));
#pragma GCC unroll 13
	for (size_t r = 1; r < GCM_ROUNDS; r++)
		x = _mm512_aesenc_epi128(x, round_key(k, r));
	return _mm512_aesenclast_epi128(x, round_key(k, GCM_ROUNDS));
}

/* One group through counter mode.  The text is added to the last round key,
 * which the last round adds. */
INLINE struct group
cipher_group(const struct gcm_key *k, __m512i ctr, struct group text)
{
	__m512i key = round_key(k, 0);
	struct group x = {
		_mm512_xor_si512(counter_blocks(ctr), key),
		_mm512_xor_si512(counter_blocks(counter_add(ctr, 4)), key),
		_mm512_xor_si512(counter_blocks(counter_add(ctr, 8)), key),
		_mm512_xor_si512(counter_blocks(counter_add(ctr, 12)), key),
	};

#pragma GCC unroll 13
	for (size_t r = 1; r < GCM_ROUNDS; r++) {
		key = round_key(k, r);
		x.a = _mm512_aesenc_epi128(x.a, key);
		x.b = _mm512_aesenc_epi128(x.b, key);
		x.c = _mm512_aesenc_epi128(x.c, key);
		x.d = _mm512_aesenc_epi128(x.d, key);
	}
	key = round_key(k, GCM_ROUNDS);
	x.a = _mm512_aesenclast_epi128(x.a, _mm512_xor_si512(key, text.a));
	x.b = _mm512_aesenclast_epi128(x.b, _mm512_xor_si512(key, text.b));
	x.c = _mm512_aesenclast_epi128(x.c, _mm512_xor_si512(key, text.c));
	x.d = _mm512_aesenclast_epi128(x.d, _mm512_xor_si512(key, text.d));
	return x;
}

/* Returns the ciphertext. */
INLINE struct group
crypt_group(const struct gcm_key *k, __m512i ctr, const uint8_t *in,
    uint8_t *out, bool enc)
{
	const struct group from = {
		_mm512_loadu_si512(in),
		_mm512_loadu_si512(in + VECTOR),
		_mm512_loadu_si512(in + 2 * VECTOR),
		_mm512_loadu_si512(in + 3 * VECTOR),
	};
	const struct group to = cipher_group(k, ctr, from);

	_mm512_storeu_si512(out, to.a);
	_mm512_storeu_si512(out + VECTOR, to.b);
	_mm512_storeu_si512(out + 2 * VECTOR, to.c);
	_mm512_storeu_si512(out + 3 * VECTOR, to.d);
	return enc ? to : from;
}

/*
 * What is left, a group at most, and then the block of lengths: H^1 is for
 * that, so the powers of the text begin one higher.
 */
INLINE __m128i
crypt_last(const struct gcm_key *k, __m128i acc, __m512i ctr, const uint8_t *in,
    size_t len, uint8_t *out, __m128i lengths, bool enc)
{
	struct sum s = { 0 };
	size_t blocks = (len + BLOCK - 1) / BLOCK;
	__m512i first = _mm512_zextsi128_si512(acc);

	for (; len > 0; in += VECTOR, out += VECTOR) {
		const size_t n = len < VECTOR ? len : VECTOR;
		const __mmask64 m = bytes_mask(n);
		const __m512i from = _mm512_maskz_loadu_epi8(m, in);
		k = fresh(k);
		const __m512i to = _mm512_maskz_mov_epi8(
		    m, _mm512_xor_si512(from, cipher(k, counter_blocks(ctr))));
		if (n == VECTOR)
			_mm512_storeu_si512(out, to);
		else
			_mm512_mask_storeu_epi8(out, m, to);
		const __m512i x = reversed(enc ? to : from);
		multiply(&s, _mm512_xor_si512(x, first),
		    powers(k, blocks + 1, blocks));
		first = _mm512_setzero_si512();
		ctr = counter_add(ctr, 4);
		len -= n;
		blocks = blocks > 4 ? blocks - 4 : 0;
	}
	multiply(&s, _mm512_xor_si512(_mm512_zextsi128_si512(lengths), first),
	    powers(k, 1, 1));
	return fold(reduce(s));
}

/* The whole message; returns its tag. */
INLINE __m128i
crypt_message(const struct gcm_key *k, const uint8_t *nonce, const uint8_t *ad,
    size_t adlen, const uint8_t *in, size_t len, uint8_t *out, bool enc)
{
	const __m128i lengths =
	    _mm_set_epi64x((long long)adlen * 8, (long long)len * 8);
	/* The first counter, 1, is for the tag. */
	const __m512i start = wide(counter_first(nonce));
	__m512i ctr = _mm512_add_epi32(start,
	    _mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0));
	__m128i acc = hash_ad(k, ad, adlen);

	if (len > GROUP) {
		struct group ct = crypt_group(k, ctr, in, out, enc);
		for (;;) {
			in += GROUP;
			out += GROUP;
			len -= GROUP;
			ctr = counter_add(ctr, 16);
			k = fresh(k);
			if (len <= GROUP)
				break;
			const struct group next =
			    crypt_group(k, ctr, in, out, enc);
			acc = hash_group(k, acc, ct);
			ct = next;
		}
		acc = hash_group(k, acc, ct);
	}
	acc = crypt_last(k, acc, ctr, in, len, out, lengths, enc);
	k = fresh(k);
	return _mm_xor_si128(reversed128(acc),
	    _mm512_castsi512_si128(cipher(k, counter_blocks(start))));
}

TARGET enum err
gcm_vaes_seal(const struct gcm_key *k, const uint8_t nonce[static GCM_NONCELEN],
    const void *ad, size_t adlen, const void *in, size_t len, void *ret_out,
    uint8_t ret_tag[static GCM_TAGLEN])
{
	if (len > GCM_TEXTMAX || adlen > GCM_ADMAX)
		return ERR_CRYPTO;
	_mm_storeu_si128((void *)ret_tag,
	    crypt_message(k, nonce, ad, adlen, in, len, ret_out, true));
	forget();
	return OK;
}

TARGET enum err
gcm_vaes_open(const struct gcm_key *k, const uint8_t nonce[static GCM_NONCELEN],
    const void *ad, size_t adlen, const void *in, size_t len,
    const uint8_t tag[static GCM_TAGLEN], void *ret_out)
{
	if (len > GCM_TEXTMAX || adlen > GCM_ADMAX)
		return ERR_CRYPTO;
	const __m128i want =
	    crypt_message(k, nonce, ad, adlen, in, len, ret_out, false);
	const __m128i diff =
	    _mm_xor_si128(want, _mm_loadu_si128((const void *)tag));
	const bool good = _mm_testz_si128(diff, diff) != 0;
	forget();
	if (good)
		return OK;
	secret_wipe(ret_out, len);
	return ERR_AUTH;
}

/* ---- Keys ---------------------------------------------------------------- */

/* FIPS 197, 5.2: each word is the one before it added to that eight before. */
INLINE __m128i
next_key(__m128i k, __m128i word)
{
	k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
	k = _mm_xor_si128(k, _mm_slli_si128(k, 8));
	return _mm_xor_si128(k, word);
}

INLINE void
expand_rounds(struct gcm_key *ret_k, const uint8_t *key)
{
	__m128i a = _mm_loadu_si128((const void *)key);
	__m128i b = _mm_loadu_si128((const void *)(key + 16));
	int rcon = 1;

	_mm_storeu_si128((void *)ret_k->round[0], a);
	_mm_storeu_si128((void *)ret_k->round[1], b);
	for (size_t r = 2;; r += 2, rcon <<= 1) {
		const __m128i x = _mm_aeskeygenassist_si128(b, 0);
		a = next_key(a, _mm_xor_si128(_mm_shuffle_epi32(x, 0xff),
				    _mm_set1_epi32(rcon)));
		_mm_storeu_si128((void *)ret_k->round[r], a);
		if (r == GCM_ROUNDS)
			return;
		const __m128i y = _mm_aeskeygenassist_si128(a, 0);
		b = next_key(b, _mm_shuffle_epi32(y, 0xaa));
		_mm_storeu_si128((void *)ret_k->round[r + 1], b);
	}
}

/* ${h} times x: one place up, and the modulus added when a bit went out. */
INLINE __m128i
times_x(__m128i h)
{
	const __m128i modulus =
	    _mm_set_epi64x((long long)UINT64_C(0xc200000000000000), 1);
	const __m128i out = _mm_shuffle_epi32(_mm_srai_epi32(h, 31), 0xff);
	const __m128i up = _mm_or_si128(
	    _mm_slli_epi64(h, 1), _mm_slli_si128(_mm_srli_epi64(h, 63), 8));

	return _mm_xor_si128(up, _mm_and_si128(out, modulus));
}

INLINE void
expand_powers(struct gcm_key *k)
{
	const __m512i zero = _mm512_setzero_si512();
	const __m128i h1 =
	    times_x(reversed128(_mm512_castsi512_si128(cipher(k, zero))));
	const __m512i h = wide(h1);
	const __m512i h2 = product(h, h);
	const __m512i h21 = _mm512_inserti64x2(h2, h1, 1);
	const __m512i h43 = product(h21, h2);
	const __m512i h4 = _mm512_shuffle_i64x2(h43, h43, 0x00);
	const __m512i p4 = _mm512_shuffle_i64x2(h43, h21, 0x44);
	const __m512i p8 = product(p4, h4);
	const __m512i h8 = _mm512_shuffle_i64x2(p8, p8, 0x00);
	const __m512i p12 = product(p4, h8);
	const __m512i p16 = product(p8, h8);

	_mm512_store_si512(k->power[GCM_POWERS - 4], p4);
	_mm512_store_si512(k->power[GCM_POWERS - 8], p8);
	_mm512_store_si512(k->power[GCM_POWERS - 12], p12);
	_mm512_store_si512(k->power[GCM_POWERS - 16], p16);
	_mm_storeu_si128(
	    (void *)k->power[0], _mm512_castsi512_si128(product(p16, h)));
}

TARGET void
gcm_vaes_expand(struct gcm_key *ret_k, const uint8_t key[static KEY_LEN])
{
	expand_rounds(ret_k, key);
	expand_powers(ret_k);
	forget();
}

#else

bool
gcm_vaes_usable(void)
{
	return false;
}

void
gcm_vaes_expand(
    struct gcm_key *ret_k UNUSED, const uint8_t key[static KEY_LEN] UNUSED)
{
}

enum err
gcm_vaes_seal(const struct gcm_key *k UNUSED,
    const uint8_t nonce[static GCM_NONCELEN] UNUSED, const void *ad UNUSED,
    size_t adlen UNUSED, const void *in UNUSED, size_t len UNUSED,
    void *ret_out UNUSED, uint8_t ret_tag[static GCM_TAGLEN] UNUSED)
{
	return ERR_CRYPTO;
}

enum err
gcm_vaes_open(const struct gcm_key *k UNUSED,
    const uint8_t nonce[static GCM_NONCELEN] UNUSED, const void *ad UNUSED,
    size_t adlen UNUSED, const void *in UNUSED, size_t len UNUSED,
    const uint8_t tag[static GCM_TAGLEN] UNUSED, void *ret_out UNUSED)
{
	return ERR_CRYPTO;
}

#endif
