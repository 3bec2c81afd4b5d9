/*
 * gcm_internal: the ways of crypto/gcm.h, and what decides whether they may be
 * used.
 */
#ifndef CRYPTO_GCM_INTERNAL_H
#define CRYPTO_GCM_INTERNAL_H

#include <stdbool.h>

#include "crypto/gcm.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define GCM_X86 1

extern const struct gcm gcm_vaes512; /* AVX-512, VAES, VPCLMULQDQ */
extern const struct gcm gcm_vaes256; /* AVX2, VAES, VPCLMULQDQ */
extern const struct gcm gcm_aesni;   /* AVX, AES, PCLMULQDQ */

/* What of it the processor has and the system saves. */
struct gcm_cpu {
	bool aes, avx2, vaes, avx512;
};

/* Looked up once per process. */
const struct gcm_cpu *gcm_cpu(void);

#else
#define GCM_X86 0
#endif

#endif
