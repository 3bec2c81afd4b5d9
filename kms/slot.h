/*
 * slot: the ways to the keystore master key (KMK).
 *
 * A slot holds the KMK sealed under a key made from one root key.
 */
#ifndef KMS_SLOT_H
#define KMS_SLOT_H

#include <limits.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "kms/db.h"
#include "kms/kms.h"
#include "lib/base/codec.h"

#define SLOT_MAX 16
#define SLOT_SALT 32
#define SLOT_SEALED (KEY_LEN + AEAD_OVERHEAD)

struct slot {
	unsigned n;
	enum kms_root_kind kind;
	char path[PATH_MAX]; /* key file, credential's name, token's URI, "" */
	uint8_t salt[SLOT_SALT];
	uint32_t t, m_kib, p; /* Argon2id; 0 for the other kinds */
	uint8_t sealed[SLOT_SEALED];
	int64_t created;
};

/* Seal ${kmk} in a new slot ${n}; a key file that is absent is made.
 * ${sealing}: of a keystore made by kms_create_sealing(); bound in. */
enum err slot_make(const uint8_t uuid[static UUID_LEN], bool sealing,
    unsigned n, const struct kms_root *root, const struct key *kmk,
    struct slot *ret) MUSTCHECK;

/* The KMK of ${s}.  ${root} NULL: by what the slot says.  ERR_ROOTKEY;
 * ERR_TIMEDOUT: the token that has it is not there. */
enum err slot_open(const uint8_t uuid[static UUID_LEN], bool sealing,
    const struct slot *s, const struct kms_root *root,
    struct key *ret_kmk) MUSTCHECK;

/* Rows. */
enum err slot_delete(struct db *db, unsigned n) MUSTCHECK;
enum err slot_insert(struct db *db, const struct slot *s) MUSTCHECK;
/* All slots, by number, to ${ret}; *ret_n of them. */
enum err slot_load(
    struct db *db, struct slot ret[static SLOT_MAX], unsigned *ret_n) MUSTCHECK;

#endif
