/*
 * digest: SHA-256 (FIPS 180-4), HMAC-SHA-256 (RFC 2104), MD5 (RFC 1321; for
 * S3 ETags only, never for security), CRC32C (RFC 3720, appendix B.4).
 *
 * Contexts belong to one caller and hold no pointer: they may be copied.
 * Contexts that held secrets must be wiped (hmac_key, hmac_ctx).
 */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32
#define MD5_LEN 16

struct sha256_ctx {
	uint64_t opaque[16];
};
void sha256_begin(struct sha256_ctx *c);
void sha256_add(struct sha256_ctx *c, const void *p, size_t len);
void sha256_end(struct sha256_ctx *c, uint8_t ret[static SHA256_LEN]);
void sha256(const void *p, size_t len, uint8_t ret[static SHA256_LEN]);

/* The two midstates of a key: a keyed MAC then costs two blocks less. */
struct hmac_key {
	struct sha256_ctx inner, outer;
};
struct hmac_ctx {
	struct sha256_ctx c;
	const struct hmac_key *k;
};
void hmac_key_set(struct hmac_key *k, const void *key, size_t len);
void hmac_begin(struct hmac_ctx *c, const struct hmac_key *k);
void hmac_add(struct hmac_ctx *c, const void *p, size_t len);
void hmac_end(struct hmac_ctx *c, uint8_t ret[static SHA256_LEN]);
/* The same in one call for at most HMAC_SHORT bytes, in half the time when
 * they are few. */
#define HMAC_SHORT 119
void hmac_short(const struct hmac_key *k, const void *p, size_t len,
    uint8_t ret[static SHA256_LEN]);
/* One shot. */
void hmac_sha256(const void *key, size_t keylen, const void *p, size_t len,
    uint8_t ret[static SHA256_LEN]);

struct md5_ctx {
	uint64_t opaque[12];
};
void md5_begin(struct md5_ctx *c);
void md5_add(struct md5_ctx *c, const void *p, size_t len);
void md5_end(struct md5_ctx *c, uint8_t ret[static MD5_LEN]);

/* CRC32C of ${p}; ${crc} is 0, or the result over what came before. */
uint32_t crc32c(uint32_t crc, const void *p, size_t len);

#endif
