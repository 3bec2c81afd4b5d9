/*
 * reference: what stands in the keystore of things that are elsewhere: where a
 * provider is, and by which reference a key version is known there.
 *
 * Both are sealed under the keystore's master key, bound to their places: who
 * can only write the keystore's file points no key at another provider, and no
 * provider at an address of his.  Thread-safe.
 */
#ifndef KMS_REFERENCE_H
#define KMS_REFERENCE_H

#include "crypto/aead.h"
#include "kms/provider.h"
#include "kms/table.h"

/* A key in a provider. */
struct far_key {
	int64_t provider; /* its row; 0: none, the keystore itself */
	size_t reflen;
	uint8_t ref[PROVIDER_REF_MAX];
};

#define REFERENCE_SEALED_MAX (PROVIDER_REF_MAX + AEAD_OVERHEAD)
#define CONF_MAX 8192 /* bytes of a packed configuration */
#define CONF_SEALED_MAX (CONF_MAX + AEAD_OVERHEAD)

/* What a version is, as far as its reference is bound to it. */
struct reference_place {
	const uint8_t *ks, *key; /* UUIDs of the keystore and the key */
	const char *tenant;
	enum key_kind kind;
	uint32_t version;
	int64_t created;
};

/* f->reflen + AEAD_OVERHEAD bytes. */
enum err reference_seal(struct aead *seal, const struct reference_place *at,
    const struct far_key *f, uint8_t *ret) MUSTCHECK;
/* Into f->ref; f->provider is set.  ERR_CORRUPT: altered. */
enum err reference_open(struct aead *seal, const struct reference_place *at,
    const uint8_t *sealed, size_t len, struct far_key *f) MUSTCHECK;

/*
 * A configuration as bytes: the URI, then name and value of each option, each
 * with a NUL.  Pure.  conf_pack: ERR_INVAL (too long, too many, a name twice, no
 * name).  conf_unpack points into ${text} and fills ${opt}, PROVIDER_OPTIONS_MAX
 * of them; ERR_CORRUPT for what conf_pack() would not write.
 */
enum err conf_pack(const struct provider_conf *c, uint8_t ret[static CONF_MAX],
    size_t *ret_len) MUSTCHECK;
enum err conf_unpack(const uint8_t *text, size_t len,
    struct provider_option *opt, struct provider_conf *ret) MUSTCHECK;

/* The configuration of the provider ${id}, ${name}: len + AEAD_OVERHEAD bytes,
 * and back; ERR_CORRUPT: altered. */
enum err conf_seal(struct aead *seal, const uint8_t ks[static UUID_LEN],
    int64_t id, const char *name, const uint8_t *text, size_t len,
    uint8_t *ret) MUSTCHECK;
enum err conf_open(struct aead *seal, const uint8_t ks[static UUID_LEN],
    int64_t id, const char *name, const uint8_t *sealed, size_t len,
    uint8_t *ret) MUSTCHECK;

/* Which provider new keys go to. */
#define CHOICE_SEALED (8 + AEAD_OVERHEAD)
enum err choice_seal(struct aead *seal, const uint8_t ks[static UUID_LEN],
    int64_t id, uint8_t ret[static CHOICE_SEALED]) MUSTCHECK;
enum err choice_open(struct aead *seal, const uint8_t ks[static UUID_LEN],
    const uint8_t sealed[static CHOICE_SEALED], int64_t *ret) MUSTCHECK;

#endif
