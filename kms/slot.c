/*
 * Root keys and slots.
 *
 * The sealed keystore master key of a slot (60 bytes):
 *	 0 12  GCM nonce, random
 *	12 32  the keystore master key, encrypted
 *	44 16  GCM tag
 *
 * Its additional data (84 bytes), integers big-endian:
 *	 0 16  "ssefs-slot-v1", in a keystore of format 2 "ssefs-slot-v2", then
 *	       zeros
 *	16 16  UUID of the keystore
 *	32  4  number of the slot
 *	36  4  kind (1 key file, 2 passphrase, 3 credential, 4 token)
 *	40 32  salt
 *	72  4  Argon2id passes        76  4  memory in KiB     80  4  lanes
 *
 * The key it is sealed under: for a key file or credential, HKDF-SHA256 of the
 * content, salt as above, info "ssefs slot key v1"; for a passphrase, Argon2id
 * of it with the salt.  With a token the message is made there, under the AES-256
 * key whose CKA_ID is the first 16 bytes of the salt.
 */
#include <stdio.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/rand.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/sys.h"

#include "kms/secretfile.h"
#include "kms/slot.h"
#include "kms/slot_token.h"

#define AD_LEN 84
#define ROOT_MIN 16
#define ROOT_MAX 4096
#define ARGON_T 3
#define ARGON_M_KIB 65536
#define ARGON_P 4
#define ARGON_T_MAX 16
#define ARGON_M_MIN 8192
#define ARGON_M_MAX 1048576
#define ARGON_P_MAX 16
#define SLOT_INFO "ssefs slot key v1"

_Static_assert(16 + UUID_LEN + 4 + 4 + SLOT_SALT + 12 == AD_LEN, "slot data");
_Static_assert(SLOT_SEALED == 60, "sealed slot");

static const struct secretfile root_file = { .what = "key file",
	.loss = "the keys cannot be used",
	.e = ERR_ROOTKEY,
	.min = ROOT_MIN,
	.max = ROOT_MAX };

static enum err
file_kek(const char *path, bool ours, const struct slot *s,
    uint8_t ret[static KEY_LEN])
{
	WIPED(uint8_t, content, ROOT_MAX);
	size_t len = 0;

	TRY(secretfile_read(&root_file, path, ours, content, &len));
	return hkdf_sha256(content, len, s->salt, sizeof(s->salt), SLOT_INFO,
	    sizeof(SLOT_INFO) - 1, ret, KEY_LEN);
}

/* The key that slot ${s} is sealed under. */
static enum err
kek(const struct slot *s, const struct kms_root *root,
    uint8_t ret[static KEY_LEN])
{
	char path[PATH_MAX];

	switch (s->kind) {
	case KMS_ROOT_FILE:
		return file_kek(
		    root == NULL ? s->path : root->path, true, s, ret);
	case KMS_ROOT_CREDENTIAL:
		TRY(secretfile_credential(
		    &root_file, root == NULL ? s->path : root->path, path));
		return file_kek(path, false, s, ret);
	case KMS_ROOT_PASSPHRASE:
		if (root == NULL || root->pass == NULL || *root->pass == '\0')
			return err_fail(ERR_ROOTKEY, "a passphrase is needed");
		return argon2id(root->pass, strlen(root->pass), s->salt,
		    sizeof(s->salt), s->t, s->m_kib, s->p, ret);
	case KMS_ROOT_TOKEN:
		break;
	}
	return ERR_INTERNAL;
}

static void
slot_ad(const uint8_t *uuid, bool sealing, const struct slot *s,
    uint8_t ret[static AD_LEN])
{

	memset(ret, 0, AD_LEN);
	memcpy(ret, sealing ? "ssefs-slot-v2" : "ssefs-slot-v1", 13);
	memcpy(ret + 16, uuid, UUID_LEN);
	put_u32(ret + 32, s->n);
	put_u32(ret + 36, (uint32_t)s->kind + 1);
	memcpy(ret + 40, s->salt, SLOT_SALT);
	put_u32(ret + 72, s->t);
	put_u32(ret + 76, s->m_kib);
	put_u32(ret + 80, s->p);
}

/* Make the key file unless it is there. */
static enum err
make_key_file(const char *path)
{
	WIPED(uint8_t, content, KEY_LEN);
	struct stat st;
	enum err e;

	if (sys->stat(path, &st) == 0)
		return OK;
	rand_bytes(content, sizeof(content));
	e = sys_write_file(path, content, sizeof(content), 0600, 1);
	if (e == OK || e == ERR_EXIST)
		return OK;
	return err_fail(e, "key file %s cannot be made: %s", path, err_text(e));
}

/* What a later open without a root key will look for. */
static enum err
record_path(const struct kms_root *root, char ret[static PATH_MAX])
{
	char *real CLEANUP_FREE = NULL;
	const char *p = root->path;

	ret[0] = '\0';
	if (root->kind == KMS_ROOT_PASSPHRASE)
		return OK;
	if (p == NULL || *p == '\0')
		return err_fail(ERR_ROOTKEY, "no key file was named");
	if (root->kind == KMS_ROOT_FILE) {
		TRY(make_key_file(p));
		real = realpath(p, NULL);
		if (real != NULL)
			p = real;
	}
	if (strlen(p) >= PATH_MAX)
		return err_fail(ERR_ROOTKEY, "key file path too long");
	strcpy(ret, p);
	return OK;
}

enum err
slot_make(const uint8_t uuid[static UUID_LEN], bool sealing, unsigned n,
    const struct kms_root *root, const struct key *kmk, struct slot *ret)
{
	WIPED(uint8_t, key, KEY_LEN);
	struct aead *a CLEANUP_AEAD = NULL;
	uint8_t ad[AD_LEN];

	memset(ret, 0, sizeof(*ret));
	ret->n = n;
	ret->kind = root->kind;
	ret->created = clock_wall().tv_sec;
	rand_bytes(ret->salt, sizeof(ret->salt));
	if (root->kind == KMS_ROOT_PASSPHRASE) {
		ret->t = ARGON_T;
		ret->m_kib = ARGON_M_KIB;
		ret->p = ARGON_P;
	}
	TRY(record_path(root, ret->path));
	if (root->kind == KMS_ROOT_TOKEN) {
		TRY(slot_token_make(ret->path, uuid, ret->salt));
		slot_ad(uuid, sealing, ret, ad);
		return slot_token_seal(
		    ret->path, ret->salt, ad, sizeof(ad), kmk, ret->sealed);
	}
	TRY(kek(ret, root, key));
	TRY(aead_new(key, &a));
	slot_ad(uuid, sealing, ret, ad);
	return aead_seal_msg(a, ad, sizeof(ad), kmk->b, KEY_LEN, ret->sealed);
}

enum err
slot_open(const uint8_t uuid[static UUID_LEN], bool sealing,
    const struct slot *s, const struct kms_root *root, struct key *ret_kmk)
{
	WIPED(uint8_t, key, KEY_LEN);
	struct aead *a CLEANUP_AEAD = NULL;
	uint8_t ad[AD_LEN];
	enum err e;

	slot_ad(uuid, sealing, s, ad);
	if (s->kind == KMS_ROOT_TOKEN)
		return slot_token_open(root == NULL ? s->path : root->path,
		    root == NULL, s->salt, ad, sizeof(ad), s->sealed, ret_kmk);
	TRY(kek(s, root, key));
	TRY(aead_new(key, &a));
	e = aead_open_msg(
	    a, ad, sizeof(ad), s->sealed, sizeof(s->sealed), ret_kmk->b);
	if (e == ERR_AUTH && s->kind == KMS_ROOT_PASSPHRASE)
		return err_fail(ERR_ROOTKEY, "the passphrase is wrong");
	if (e == ERR_AUTH)
		return err_fail(ERR_ROOTKEY,
		    "the key file is not the one this keystore was made with; "
		    "restore it from its backup");
	return e;
}

enum err
slot_insert(struct db *db, const struct slot *s)
{

	return kdb_run(db,
	    "INSERT INTO slots(n, kind, path, salt, t, m_kib, p, sealed, "
	    "created) VALUES(?,?,?,?,?,?,?,?,?)",
	    "iitbiiibi", (int64_t)s->n, (int64_t)s->kind + 1, s->path,
	    (const void *)s->salt, sizeof(s->salt), (int64_t)s->t,
	    (int64_t)s->m_kib, (int64_t)s->p, (const void *)s->sealed,
	    sizeof(s->sealed), s->created);
}

enum err
slot_delete(struct db *db, unsigned n)
{

	return kdb_run(db, "DELETE FROM slots WHERE n = ?", "i", (int64_t)n);
}

static enum err
slot_row(sqlite3_stmt *st, struct slot *s)
{
	int64_t n = 0, kind = 0, t = 0, m = 0, p = 0;
	bool pass;

	TRY(kdb_col_int(st, 0, 0, SLOT_MAX - 1, &n));
	TRY(kdb_col_int(st, 1, 1, KMS_ROOT_TOKEN + 1, &kind));
	pass = kind == KMS_ROOT_PASSPHRASE + 1;
	TRY(kdb_col_text(st, 2, s->path, sizeof(s->path)));
	TRY(kdb_col_blob(st, 3, s->salt, sizeof(s->salt)));
	TRY(kdb_col_int(st, 4, pass ? 1 : 0, pass ? ARGON_T_MAX : 0, &t));
	TRY(kdb_col_int(
	    st, 5, pass ? ARGON_M_MIN : 0, pass ? ARGON_M_MAX : 0, &m));
	TRY(kdb_col_int(st, 6, pass ? 1 : 0, pass ? ARGON_P_MAX : 0, &p));
	TRY(kdb_col_blob(st, 7, s->sealed, sizeof(s->sealed)));
	TRY(kdb_col_int(st, 8, INT64_MIN, INT64_MAX, &s->created));
	s->n = (unsigned)n;
	s->kind = (enum kms_root_kind)(kind - 1);
	s->t = (uint32_t)t;
	s->m_kib = (uint32_t)m;
	s->p = (uint32_t)p;
	return OK;
}

enum err
slot_load(struct db *db, struct slot ret[static SLOT_MAX], unsigned *ret_n)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	*ret_n = 0;
	TRY(kdb_query(db, &st,
	    "SELECT n, kind, path, salt, t, m_kib, p, sealed, created "
	    "FROM slots ORDER BY n",
	    ""));
	for (;;) {
		TRY(kdb_step(db, st, &row));
		if (!row)
			return OK;
		if (*ret_n == SLOT_MAX)
			return err_fail(ERR_CORRUPT, "too many slots");
		TRY(slot_row(st, &ret[*ret_n]));
		++*ret_n;
	}
}
