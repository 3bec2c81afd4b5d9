/*
 * crc32c_internal: both ways to compute a CRC32C, so that a test can hold one
 * against the other.
 */
#ifndef CRYPTO_CRC32C_INTERNAL_H
#define CRYPTO_CRC32C_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* On any machine. */
uint32_t crc32c_soft(uint32_t crc, const void *p, size_t len);
/* With the processor's instructions: only when crc32c_has_hard(). */
uint32_t crc32c_hard(uint32_t crc, const void *p, size_t len);
bool crc32c_has_hard(void);

#endif
