/*
 * Segments of the audit log: files, the keys that sign in them, rotation and
 * removal.
 *
 * Segment 1 is KEYSTORE-audit.log, segment N KEYSTORE-audit.log.N.  No file is
 * ever renamed, so rotation is one durable transaction of the keystore: the old
 * segment gets its last line, a checkpoint that names the next key, and is
 * synced; then the head says that the next line goes into the next file.
 * Whoever is killed in between leaves a checkpoint more than was needed.
 *
 * The key that signed the old segment is erased in that transaction.  Who gets
 * hold of the keystore and its root key later can sign what comes from then on,
 * not what was before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "crypto/rand.h"
#include "lib/base/log.h"

#include "kms/audit.h"
#include "kms/audit_log.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"
#include "kms/sysfd.h"

#define SEALED_LEN (AEAD_NONCELEN + SIGN_SEED + AEAD_TAGLEN)
#define SEAL_AD_LEN (16 + UUID_LEN + 8 + SIGN_PUBLIC)
#define DAY 86400

void
audit_segment_path(
    const char *path, uint64_t n, char ret[static AUDIT_PATH_MAX])
{

	if (n == 1)
		(void)snprintf(ret, AUDIT_PATH_MAX, "%s-audit.log", path);
	else
		(void)snprintf(ret, AUDIT_PATH_MAX, "%s-audit.log.%llu", path,
		    (unsigned long long)n);
}

bool
audit_segment_name(const char *name, const char *keystore, uint64_t *ret)
{
	static const char tail[] = "-audit.log";
	const size_t len = strlen(keystore);
	uint64_t n = 0;

	if (strncmp(name, keystore, len) != 0 ||
	    strncmp(name + len, tail, sizeof(tail) - 1) != 0)
		return false;
	name += len + sizeof(tail) - 1;
	*ret = 1;
	if (*name == '\0')
		return true;
	/* One spelling: from 2 on, no zeros before it. */
	if (name[0] != '.' || name[1] < '1' || name[1] > '9' ||
	    strlen(name) > 19)
		return false;
	for (name++; *name >= '0' && *name <= '9'; name++)
		n = n * 10 + (uint64_t)(*name - '0');
	*ret = n;
	return *name == '\0' && n > 1;
}

enum err
audit_log_open(struct kms *k, uint64_t n, bool make, int *ret_fd)
{
	char path[AUDIT_PATH_MAX];
	struct stat st;

	audit_segment_path(k->path, n, path);
	*ret_fd = sys->open(
	    path, O_RDWR | (make ? O_CREAT : 0) | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*ret_fd < 0)
		return err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno));
	enum err e = OK;
	if (sys->fstat(*ret_fd, &st) != 0)
		e = err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		e = err_fail(ERR_IO,
		    "%s is not a regular file; put back the one that was there",
		    path);
	if (e != OK) {
		(void)sys->close(*ret_fd);
		*ret_fd = -1;
	}
	return e;
}

/* ---- Keys --------------------------------------------------------------------- */

static void
seal_ad(const struct audit_key *key, uint8_t ret[static SEAL_AD_LEN])
{

	memcpy(ret, "ssefs-audit-key1", 16);
	memcpy(ret + 16, key->uuid, UUID_LEN);
	put_u64(ret + 16 + UUID_LEN, key->n);
	memcpy(ret + 16 + UUID_LEN + 8, key->public, SIGN_PUBLIC);
}

static enum err
seal_key(const struct key *kmk, uint8_t *ret)
{

	return hkdf_label(
	    kmk->b, "ssefs audit signing v1", NULL, 0, ret, KEY_LEN);
}

enum err
audit_key_insert(struct db *db, const struct key *kmk, const uint8_t *uuid,
    const struct audit_key *by, const struct key *by_seed, uint64_t n,
    uint64_t first, int64_t now, struct audit_key *ret)
{
	struct key *seed CLEANUP_KEY = key_new();
	WIPED(uint8_t, key, KEY_LEN);
	uint8_t sealed[SEALED_LEN], ad[SEAL_AD_LEN];
	char text[AUDIT_KEY_MAX];
	size_t len;

	if (seed == NULL)
		return ERR_NOMEM;
	*ret = (struct audit_key){ .n = n, .first = first };
	memcpy(ret->uuid, uuid, UUID_LEN);
	rand_bytes(seed->b, SIGN_SEED);
	TRY(sign_public(seed->b, ret->public));
	len = audit_key_text(ret, text);
	TRY(sign_make(by == NULL ? seed->b : by_seed->b, text, len, ret->sig));
	TRY(seal_key(kmk, key));
	seal_ad(ret, ad);
	rand_bytes(sealed, AEAD_NONCELEN);
	TRY(aead_seal_once(key, sealed, ad, sizeof(ad), seed->b, SIGN_SEED,
	    sealed + AEAD_NONCELEN, sealed + AEAD_NONCELEN + SIGN_SEED));
	return kdb_run(db,
	    "INSERT INTO audit_segments(n, first, started, ended, size, kept,"
	    " public, signature, sealed) VALUES(?, ?, ?, 0, 0, 1, ?, ?, ?)",
	    "iiibbb", (int64_t)n, (int64_t)first, now,
	    (const void *)ret->public, (size_t)SIGN_PUBLIC,
	    (const void *)ret->sig, (size_t)SIGN_SIGNATURE,
	    (const void *)sealed, sizeof(sealed));
}

static enum err
key_columns(struct kms *k, sqlite3_stmt *st, struct audit_key *ret)
{
	int64_t n = 0, first = 0;

	memcpy(ret->uuid, k->uuid, UUID_LEN);
	TRY(kdb_col_int(st, 0, 1, INT64_MAX, &n));
	TRY(kdb_col_int(st, 1, 0, INT64_MAX, &first));
	ret->n = (uint64_t)n;
	ret->first = (uint64_t)first;
	TRY(kdb_col_blob(st, 2, ret->public, SIGN_PUBLIC));
	return kdb_col_blob(st, 3, ret->sig, SIGN_SIGNATURE);
}

static enum err
key_unseal(struct kms *k, sqlite3_stmt *st, const struct audit_key *key,
    struct key *ret_seed)
{
	WIPED(uint8_t, seal, KEY_LEN);
	uint8_t sealed[SEALED_LEN], ad[SEAL_AD_LEN];

	TRY(kdb_col_blob(st, 4, sealed, sizeof(sealed)));
	TRY(seal_key(k->kmk, seal));
	seal_ad(key, ad);
	return aead_open_once(seal, sealed, ad, sizeof(ad),
	    sealed + AEAD_NONCELEN, SIGN_SEED,
	    sealed + AEAD_NONCELEN + SIGN_SEED, ret_seed->b);
}

enum err
audit_key_load(
    struct kms *k, uint64_t n, struct audit_key *ret, struct key *ret_seed)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(&k->db, &st,
	    "SELECT n, first, public, signature, sealed FROM audit_segments"
	    " WHERE n = ?",
	    "i", (int64_t)n));
	TRY(kdb_step(&k->db, st, &row));
	if (!row)
		return err_fail(ERR_NOENT,
		    "keystore: no key for segment %llu of the audit log",
		    (unsigned long long)n);
	TRY(key_columns(k, st, ret));
	return ret_seed == NULL ? OK : key_unseal(k, st, ret, ret_seed);
}

enum err
audit_keys(struct kms *k, void (*cb)(void *arg, const char *line), void *arg)
{
	LOCK_SCOPE(&k->conn);
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	char line[AUDIT_KEY_MAX];
	struct audit_key key;
	bool row = false;

	TRY(kdb_query(&k->db, &st,
	    "SELECT n, first, public, signature FROM audit_segments"
	    " ORDER BY n",
	    ""));
	for (;;) {
		TRY(kdb_step(&k->db, st, &row));
		if (!row)
			return OK;
		TRY(key_columns(k, st, &key));
		audit_key_print(&key, line);
		cb(arg, line);
	}
}

/* ---- Rotation --------------------------------------------------------------- */

/* The old pages have the sealed key.  At worst they stay until the WAL is next
 * emptied. */
static void
forget_pages(struct kms *k)
{
	const enum err e = kdb_exec(&k->db, "PRAGMA wal_checkpoint(TRUNCATE)");

	if (e != OK)
		log_warn("%s: the WAL could not be emptied: %s", k->path,
		    err_detail(e));
}

static enum err
end_segment(struct kms *k, struct audit_head *h, int64_t now)
{
	struct key *seed CLEANUP_KEY = key_new();
	int fd CLEANUP_SYSFD = -1;
	struct audit_key key, next;

	if (seed == NULL)
		return ERR_NOMEM;
	TRY(audit_ready_at(k, h, &fd));
	TRY(audit_key_load(k, h->n, &key, seed));
	/* The last line of the old one is still to come. */
	TRY(audit_key_insert(&k->db, k->kmk, k->uuid, &key, seed, h->n + 1,
	    h->seq + 2, now, &next));
	TRY(audit_mark_write(k, fd, h, &next));
	TRY(kdb_run(&k->db,
	    "UPDATE audit_segments SET ended = ?, size = ?, sealed = x''"
	    " WHERE n = ?",
	    "iii", now, (int64_t)h->size, (int64_t)h->n));
	h->n++;
	h->first = h->seq + 1;
	h->size = 0;
	return OK;
}

enum err
audit_segment_end(struct kms *k, uint64_t least)
{
	struct kdb_tx tx CLEANUP_TX = { NULL };
	struct audit_head h;

	TRY(kdb_settle(&k->db));
	TRY(audit_begin(k, &tx));
	TRY(audit_head_load(k, &h));
	/* Another process may have been faster; an empty one stays. */
	if (h.size < least || h.size == 0)
		return OK;
	k->audit.torn = true;
	TRY(end_segment(k, &h, clock_wall().tv_sec));
	TRY(audit_head_store(k, &h));
	TRY(kdb_commit(&tx));
	k->audit.torn = false;
	forget_pages(k);
	return OK;
}

static enum err
op_rotate(struct kms *k, struct call *c)
{

	return gate_policy(k, c, "kms:RotateAuditLog", "*");
}

enum err
audit_rotate(struct kms *k, const struct kms_who *who)
{
	struct call c = { .who = who, .event = "RotateAuditLog" };

	TRY(gate_run(k, &c, op_rotate));
	LOCK_SCOPE(&k->conn);
	TRY(audit_segment_end(k, 0));
	TRY(audit_retain(k));
	return audit_start(k);
}

/* ---- Removal -------------------------------------------------------------------- */

/* The oldest segment that is to be kept, at least ${h->oldest}. */
static enum err
retain_from(struct kms *k, const struct audit_head *h, uint64_t *ret)
{
	const uint64_t days = atomic_load(&k->audit.keep_days);
	uint64_t room = atomic_load(&k->audit.keep_bytes);
	const int64_t now = clock_wall().tv_sec;
	const bool by_size = room != 0;
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t n = 0, ended = 0, size = 0;
	bool row = false;

	*ret = h->oldest;
	if (days == 0 && !by_size)
		return OK;
	/* From the newest back: the first that is too old, or too much. */
	room = room > h->size ? room - h->size : 0;
	TRY(kdb_query(&k->db, &st,
	    "SELECT n, ended, size FROM audit_segments WHERE n >= ? AND n < ?"
	    " ORDER BY n DESC",
	    "ii", (int64_t)h->oldest, (int64_t)h->n));
	for (;;) {
		TRY(kdb_step(&k->db, st, &row));
		if (!row)
			return OK;
		TRY(kdb_col_int(st, 0, 1, INT64_MAX, &n));
		TRY(kdb_col_int(st, 1, 0, INT64_MAX, &ended));
		TRY(kdb_col_int(st, 2, 0, INT64_MAX, &size));
		if ((days != 0 && now - ended > (int64_t)days * DAY) ||
		    (by_size && (uint64_t)size > room)) {
			*ret = (uint64_t)n + 1;
			return OK;
		}
		room -= by_size ? (uint64_t)size : 0;
	}
}

/* The log says so before it is done. */
static enum err
retain_record(struct kms *k, const struct audit_head *h, uint64_t from)
{
	const struct kms_who who = { .user = "ssefs", .agent = "timer" };
	struct audit_key key;
	char text[160];
	struct call c = { .who = &who,
		.event = "DeleteAuditSegments",
		.tenant = KMS_TENANT_DEFAULT,
		.principal_ok = true,
		.service = true,
		.extra = text };

	TRY(audit_key_load(k, from, &key, NULL));
	(void)snprintf(text, sizeof(text),
	    "\"firstSegment\":%llu,\"lastSegment\":%llu,\"lastRecord\":%llu",
	    (unsigned long long)h->oldest, (unsigned long long)from - 1,
	    (unsigned long long)key.first - 1);
	TRY(audit_record(k, &c, OK));
	return audit_flush(k);
}

/* Files of segments before ${oldest}. */
static enum err
remove_files(struct kms *k, uint64_t oldest)
{
	char path[AUDIT_PATH_MAX];
	int64_t n = 0;

	for (;;) {
		sqlite3_stmt *st CLEANUP_STMT = NULL;
		bool row = false;

		TRY(kdb_query(&k->db, &st,
		    "SELECT n FROM audit_segments WHERE kept != 0 AND n < ?"
		    " ORDER BY n LIMIT 1",
		    "i", (int64_t)oldest));
		TRY(kdb_step(&k->db, st, &row));
		if (!row)
			return OK;
		TRY(kdb_col_int(st, 0, 1, INT64_MAX, &n));
		audit_segment_path(k->path, (uint64_t)n, path);
		if (sys->unlink(path) != 0 && errno != ENOENT)
			return err_fail(err_from_errno(errno), "%s: %s", path,
			    strerror(errno));
		TRY(kdb_run(&k->db,
		    "UPDATE audit_segments SET kept = 0 WHERE n = ?", "i", n));
	}
}

static enum err
retain_tx(struct kms *k, uint64_t from)
{
	struct kdb_tx tx CLEANUP_TX = { NULL };
	struct audit_head h;

	TRY(kdb_begin(&k->db, &tx));
	TRY(audit_head_load(k, &h));
	if (h.oldest >= from)
		return OK;
	h.oldest = from;
	TRY(audit_head_store(k, &h));
	return kdb_commit(&tx);
}

enum err
audit_retain(struct kms *k)
{
	struct audit_head h;
	uint64_t from = 0;

	TRY(audit_head_load(k, &h));
	TRY(retain_from(k, &h, &from));
	if (from > h.oldest) {
		TRY(retain_record(k, &h, from));
		TRY(retain_tx(k, from));
	}
	return remove_files(k, from);
}
