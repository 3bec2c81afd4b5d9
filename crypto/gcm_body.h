/*
 * gcm_body: AES-256-GCM for any width of vectors; the body of gcm_vaes512.c,
 * gcm_vaes256.c and gcm_aesni.c, which define, before they include it,
 *
 *	VEC, LANES	a vector, the blocks in it
 *	VECTORS		the vectors of a group
 *	STRIDE		the rounds of a group after which another vector is hashed
 *	KARATSUBA	whether to save multiplications
 *	TARGET, INLINE	attributes of a function, of one that is always inlined
 *	vec_…		what is done with vectors; vec_pin(v) does nothing, but the
 *			compiler cannot know
 *
 * GHASH sums block_i * H^(n-i) over GF(2^128).  A group of blocks is multiplied
 * by H^n … H^1 at once: the products are added unreduced and reduced together.
 * GCM writes a polynomial's lowest power first, as the highest bit of the first
 * byte; byte for byte reversed, the bits of a product then stand one place too
 * low.  So H is multiplied by x once, when the key is expanded, and a product
 * is a * b * x^-128 modulo x^128 + x^127 + x^126 + x^121 + 1 (this form is
 * known from POLYVAL, RFC 8452): reduced from below, each time by 64 bits, with
 * one multiplication by 0xc2 << 56.
 *
 * Hashing a group needs its ciphertext; it is done between the rounds of the
 * next group, so that the processor has both to do at any time.  The last
 * group, whole or not, goes a vector at a time.
 *
 * Round keys are loaded again in each group (fresh()): kept in registers, they
 * would be too many, and the compiler would spill them to the stack.  vec_pin()
 * keeps it from moving instructions across.
 */
#ifndef CRYPTO_GCM_BODY_H
#define CRYPTO_GCM_BODY_H

#include <string.h>

#include <immintrin.h>

#include "crypto/gcm.h"

#define BLOCK ((size_t)16)
#define VECTOR (LANES * BLOCK)
#define GROUP (VECTORS * VECTOR)

_Static_assert(sizeof(struct gcm_key) == 512, "one block of key memory");
_Static_assert(offsetof(struct gcm_key, power[1]) % 64 == 0, "aligned");
_Static_assert(VECTORS *LANES < GCM_POWERS, "one more for the lengths");

#define UNROLL _Pragma("GCC unroll 32")

/* ---- Small pieces -------------------------------------------------------- */

/* Sums of products, 64 bits apart. */
struct sum {
	VEC lo, mid, hi;
};

/* The same address, but the compiler cannot know that what it loaded from
 * there before is still good. */
INLINE const struct gcm_key *
fresh(const struct gcm_key *k)
{
	__asm__ volatile("" : "+r"(k));
	return k;
}

INLINE VEC
round_key(const struct gcm_key *k, size_t r)
{
	return vec_wide(_mm_loadu_si128((const void *)k->round[r]));
}

/* The bytes of each block, last first. */
INLINE VEC
reversed(VEC v)
{
	return vec_bytes(
	    v, _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f));
}

INLINE __m128i
reversed128(__m128i v)
{
	return _mm_shuffle_epi8(
	    v, _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f));
}

/* Counters are kept with their last four bytes as a number of this machine. */
INLINE VEC
counter_blocks(VEC ctr)
{
	return vec_bytes(
	    ctr, _mm_set_epi64x(0x0c0d0e0f0b0a0908, 0x0706050403020100));
}

INLINE VEC
counter_add(VEC ctr, size_t n)
{
	return vec_add32(ctr, vec_wide(_mm_set_epi32((int)n, 0, 0, 0)));
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

/* ---- GHASH --------------------------------------------------------------- */

/* Add x * h.  Three multiplications do the work of four (Karatsuba) where they
 * are dear; ${mid} is then too large by ${lo} and ${hi}, see reduce(). */
INLINE void
multiply(struct sum *s, VEC x, VEC h)
{
	s->lo = vec_xor(s->lo, vec_clmul(x, h, 0x00));
	if (KARATSUBA)
		s->mid = vec_xor(s->mid, vec_clmul(vec_xor(x, vec_swap64(x)),
					     vec_xor(h, vec_swap64(h)), 0x00));
	else
		s->mid = vec_xor3(
		    s->mid, vec_clmul(x, h, 0x01), vec_clmul(x, h, 0x10));
	s->hi = vec_xor(s->hi, vec_clmul(x, h, 0x11));
}

INLINE VEC
reduce(struct sum s)
{
	const VEC poly = vec_all64((long long)UINT64_C(0xc200000000000000));

	if (KARATSUBA)
		s.mid = vec_xor3(s.mid, s.lo, s.hi);
	s.mid = vec_xor3(s.mid, vec_swap64(s.lo), vec_clmul(s.lo, poly, 0x00));
	return vec_xor3(s.hi, vec_swap64(s.mid), vec_clmul(s.mid, poly, 0x00));
}

INLINE VEC
product(VEC a, VEC b)
{
	struct sum s = { 0 };

	multiply(&s, a, b);
	return reduce(s);
}

/* Add vector ${i} of a group at ${p} to the sum; ${acc} is added to its first
 * block. */
INLINE void
hash_vector(const struct gcm_key *k, struct sum *s, const uint8_t *p, size_t i,
    __m128i acc)
{
	const VEC x = reversed(vec_load(p + i * VECTOR));

	multiply(s, i == 0 ? vec_xor(x, vec_first(acc)) : x,
	    vec_load(k->power[GCM_POWERS - (VECTORS - i) * LANES]));
	vec_pin(s->lo);
	vec_pin(s->mid);
	vec_pin(s->hi);
}

INLINE __m128i
hash_group(const struct gcm_key *k, __m128i acc, const uint8_t *p)
{
	struct sum s = { 0 };

	k = fresh(k);
	UNROLL
	for (size_t i = 0; i < VECTORS; i++)
		hash_vector(k, &s, p, i, acc);
	return vec_fold(reduce(s));
}

/* ${n} powers, LANES at most, beginning with H^${first}; else zero. */
INLINE VEC
powers(const struct gcm_key *k, size_t first, size_t n)
{
	return vec_load_blocks(k->power[GCM_POWERS - first], n);
}

/* Associated data: all of it, filled up with zeroes to whole blocks. */
INLINE __m128i
hash_ad(const struct gcm_key *k, const uint8_t *p, size_t len)
{
	__m128i acc = _mm_setzero_si128();
	struct sum s = { 0 };

	for (; len >= GROUP; p += GROUP, len -= GROUP)
		acc = hash_group(k, acc, p);
	if (len == 0)
		return acc;
	VEC first = vec_first(acc);
	size_t blocks = (len + BLOCK - 1) / BLOCK;
	while (blocks > 0) {
		const VEC x = vec_load_part(p, len < VECTOR ? len : VECTOR);
		multiply(
		    &s, vec_xor(reversed(x), first), powers(k, blocks, blocks));
		first = vec_zero();
		if (blocks <= LANES)
			break;
		p += VECTOR;
		len -= VECTOR;
		blocks -= LANES;
	}
	return vec_fold(reduce(s));
}

/* ---- Counter mode -------------------------------------------------------- */

INLINE VEC
cipher(const struct gcm_key *k, VEC x)
{
	k = fresh(k);
	x = vec_xor(x, round_key(k, 0));
	UNROLL
	for (size_t r = 1; r < GCM_ROUNDS; r++)
		x = vec_aesenc(x, round_key(k, r));
	return vec_aesenclast(x, round_key(k, GCM_ROUNDS));
}

/* Vectors of a group, each in a variable of its own: the compiler would keep
 * an array on the stack, and with it keystream. */
struct group {
	VEC a, b, c, d, e, f;
};

#define EACH(what)                  \
	do {                        \
		what(a, 0);         \
		what(b, 1);         \
		what(c, 2);         \
		what(d, 3);         \
		if (VECTORS == 6) { \
			what(e, 4); \
			what(f, 5); \
		}                   \
	} while (0)
_Static_assert(VECTORS == 4 || VECTORS == 6, "EACH knows these");

/*
 * One group through counter mode.  Between the rounds, when ${hash} is set, the
 * group of ciphertext at ${ct} is hashed.  The text is added to the last round
 * key, which the last round adds.
 */
INLINE __m128i
crypt_group(const struct gcm_key *k, VEC ctr, const uint8_t *in, uint8_t *out,
    const uint8_t *ct, bool hash, __m128i acc)
{
#define FIRST(v, i) \
	x.v = vec_xor(counter_blocks(counter_add(ctr, (i)*LANES)), key)
#define ROUND(v, i)                 \
	x.v = vec_aesenc(x.v, key); \
	vec_pin(x.v)
#define LAST(v, i)                                                          \
	x.v = vec_aesenclast(x.v, vec_xor(key, vec_load(in + (i)*VECTOR))); \
	vec_store(out + (i)*VECTOR, x.v)
	struct sum s = { 0 };
	struct group x;
	VEC key;

	k = fresh(k);
	key = round_key(k, 0);
	EACH(FIRST);
	UNROLL
	for (size_t r = 1; r < GCM_ROUNDS; r++) {
		k = fresh(k);
		key = round_key(k, r);
		EACH(ROUND);
		if (hash && (r - 1) % STRIDE == 0 && (r - 1) / STRIDE < VECTORS)
			hash_vector(k, &s, ct, (r - 1) / STRIDE, acc);
	}
	key = round_key(k, GCM_ROUNDS);
	EACH(LAST);
	return hash ? vec_fold(reduce(s)) : acc;
#undef FIRST
#undef ROUND
#undef LAST
}

/*
 * What is left, a group at most, and then the block of lengths: H^1 is for
 * that, so the powers of the text begin one higher.
 */
INLINE __m128i
crypt_last(const struct gcm_key *k, __m128i acc, VEC ctr, const uint8_t *in,
    size_t len, uint8_t *out, __m128i lengths, bool enc)
{
	struct sum s = { 0 };
	size_t blocks = (len + BLOCK - 1) / BLOCK;
	VEC first = vec_first(acc);

	for (; len > 0; in += VECTOR, out += VECTOR) {
		const size_t n = len < VECTOR ? len : VECTOR;
		const VEC from = vec_load_part(in, n);
		k = fresh(k);
		const VEC to =
		    vec_head(vec_xor(from, cipher(k, counter_blocks(ctr))), n);
		vec_store_part(out, to, n);
		multiply(&s, vec_xor(reversed(enc ? to : from), first),
		    powers(k, blocks + 1, blocks));
		first = vec_zero();
		ctr = counter_add(ctr, LANES);
		len -= n;
		blocks = blocks > LANES ? blocks - LANES : 0;
	}
	multiply(&s, vec_xor(vec_first(lengths), first), powers(k, 1, 1));
	return vec_fold(reduce(s));
}

/* The whole message; returns its tag. */
INLINE __m128i
crypt_message(const struct gcm_key *k, const uint8_t *nonce, const uint8_t *ad,
    size_t adlen, const uint8_t *in, size_t len, uint8_t *out, bool enc)
{
	const __m128i lengths =
	    _mm_set_epi64x((long long)adlen * 8, (long long)len * 8);
	/* The first counter, 1, is for the tag. */
	const VEC start = vec_wide(counter_first(nonce));
	VEC ctr = vec_add32(counter_add(start, 1), vec_lane_numbers());
	__m128i acc = hash_ad(k, ad, adlen);

	/* What is decrypted is hashed at once; what is encrypted, one group
	 * later. */
	const bool lag = enc && len > GROUP;
	bool hash = !lag;
	while (len > GROUP) {
		acc = hash ? crypt_group(k, ctr, in, out,
				 enc ? out - GROUP : in, true, acc)
			   : crypt_group(k, ctr, in, out, in, false, acc);
		hash = true;
		in += GROUP;
		out += GROUP;
		len -= GROUP;
		ctr = counter_add(ctr, VECTORS * LANES);
	}
	if (lag)
		acc = hash_group(k, acc, out - GROUP);
	acc = crypt_last(k, acc, ctr, in, len, out, lengths, enc);
	k = fresh(k);
	return _mm_xor_si128(
	    reversed128(acc), vec_block0(cipher(k, counter_blocks(start))));
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

/* H^LANES … H^1; stands after the inclusion of this, for it needs product(). */
INLINE VEC vec_base_powers(__m128i h);

/* Where the powers from H^(n * LANES) down stand, a vector. */
INLINE uint8_t *
power(struct gcm_key *k, size_t n)
{
	return k->power[GCM_POWERS - n * LANES];
}

/* Each vector is that of about half as many, times the highest of the rest. */
INLINE void
expand_powers(struct gcm_key *k)
{
	const __m128i h =
	    times_x(reversed128(vec_block0(cipher(k, vec_zero()))));

	vec_store(power(k, 1), vec_base_powers(h));
	UNROLL
	for (size_t n = 2; n <= VECTORS; n++)
		vec_store(power(k, n), product(vec_load(power(k, n - n / 2)),
					   vec_wide(_mm_loadu_si128((
					       const void *)power(k, n / 2)))));
	_mm_storeu_si128((void *)(power(k, VECTORS) - BLOCK),
	    vec_block0(product(vec_load(power(k, VECTORS)), vec_wide(h))));
}

/* ---- Calls --------------------------------------------------------------- */

/*
 * What a compiler could not keep in registers is on the stack, in the frame of
 * one of the next three: sums of the hash at least, of which H follows where the
 * associated data is known.  wipe_frame() is called from the same place, so
 * that its frame lies over theirs.
 */
#define FRAME ((size_t)512)
#define APART TARGET static __attribute__((noinline))

APART void
seal_message(const struct gcm_key *k, const uint8_t *nonce, const uint8_t *ad,
    size_t adlen, const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	_mm_storeu_si128((void *)tag,
	    crypt_message(k, nonce, ad, adlen, in, len, out, true));
}

APART bool
open_message(const struct gcm_key *k, const uint8_t *nonce, const uint8_t *ad,
    size_t adlen, const uint8_t *in, size_t len, const uint8_t *tag,
    uint8_t *out)
{
	const __m128i want =
	    crypt_message(k, nonce, ad, adlen, in, len, out, false);
	const __m128i diff =
	    _mm_xor_si128(want, _mm_loadu_si128((const void *)tag));

	return _mm_testz_si128(diff, diff) != 0;
}

APART void
expand_key(struct gcm_key *ret_k, const uint8_t *key)
{
	expand_rounds(ret_k, key);
	expand_powers(ret_k);
}

APART void
wipe_frame(void)
{
	uint8_t frame[FRAME] UNINIT;
	VEC zero = vec_zero();

	vec_pin(zero); /* else it becomes a slow string instruction */
	UNROLL
	for (size_t i = 0; i < FRAME; i += VECTOR)
		vec_store(frame + i, zero);
	__asm__ volatile("" : : "r"(frame) : "memory");
}

TARGET static enum err
way_seal(const struct gcm_key *k, const uint8_t nonce[static GCM_NONCELEN],
    const void *ad, size_t adlen, const void *in, size_t len, void *ret_out,
    uint8_t ret_tag[static GCM_TAGLEN])
{
	if (len > GCM_TEXTMAX || adlen > GCM_ADMAX)
		return ERR_CRYPTO;
	seal_message(k, nonce, ad, adlen, in, len, ret_out, ret_tag);
	wipe_frame();
	vec_forget();
	return OK;
}

TARGET static enum err
way_open(const struct gcm_key *k, const uint8_t nonce[static GCM_NONCELEN],
    const void *ad, size_t adlen, const void *in, size_t len,
    const uint8_t tag[static GCM_TAGLEN], void *ret_out)
{
	if (len > GCM_TEXTMAX || adlen > GCM_ADMAX)
		return ERR_CRYPTO;
	const bool good =
	    open_message(k, nonce, ad, adlen, in, len, tag, ret_out);
	wipe_frame();
	vec_forget();
	if (good)
		return OK;
	secret_wipe(ret_out, len);
	return ERR_AUTH;
}

TARGET static void
way_expand(struct gcm_key *ret_k, const uint8_t key[static KEY_LEN])
{
	expand_key(ret_k, key);
	wipe_frame();
	vec_forget();
}

#endif
