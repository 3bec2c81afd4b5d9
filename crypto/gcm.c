/*
 * gcm: which way.  Not every compiler's __builtin_cpu_supports() knows of VAES,
 * so the processor is asked directly; and whether the system saves the wide
 * registers when it switches threads, else they cannot be used.
 */
#include <pthread.h>

#include "crypto/gcm_internal.h"

#if GCM_X86

#include <cpuid.h>

/* Of XCR0: the state that the system saves. */
#define SAVES_AVX 0x06u    /* xmm, ymm */
#define SAVES_AVX512 0xe6u /* and the masks, all of zmm */

static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;
static struct gcm_cpu cpu;

static unsigned
saved_state(void)
{
	unsigned a = 0, d = 0;

	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return a;
}

static void
find_cpu(void)
{
	const unsigned base = bit_AES | bit_PCLMUL | bit_AVX | bit_SSSE3 |
			      bit_SSE4_1 | bit_OSXSAVE;
	const unsigned wide = bit_VAES | bit_VPCLMULQDQ;
	const unsigned avx512 =
	    bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
	unsigned a = 0, b = 0, c = 0, d = 0;

	if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & base) != base)
		return;
	const unsigned saves = saved_state();
	cpu.aes = (saves & SAVES_AVX) == SAVES_AVX;
	if (!cpu.aes || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0)
		return;
	cpu.avx2 = (b & bit_AVX2) != 0;
	cpu.vaes = (c & wide) == wide;
	cpu.avx512 =
	    (b & avx512) == avx512 && (saves & SAVES_AVX512) == SAVES_AVX512;
}

const struct gcm_cpu *
gcm_cpu(void)
{
	(void)pthread_once(&cpu_once, find_cpu);
	return &cpu;
}

const struct gcm *const gcm_ways[] = { &gcm_vaes512, &gcm_vaes256, &gcm_aesni,
	NULL };

#else

const struct gcm *const gcm_ways[] = { NULL };

#endif

const struct gcm *
gcm_best(void)
{
	for (size_t i = 0; gcm_ways[i] != NULL; i++)
		if (gcm_ways[i]->usable())
			return gcm_ways[i];
	return NULL;
}
