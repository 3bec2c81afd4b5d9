/*
 * Life of a keystore: made, opened, flushed, closed.
 *
 * The keystore is one SQLite database (WAL).  Tables:
 *	meta      k, v: format, region, uuid, epoch (changes so far), audit
 *	          (head of the audit log, see audit_head.c), audit_…
 *	          (its settings), window_min, window_max, window (see life.c);
 *	          absent: the defaults
 *	slots     ways to the keystore master key (see slot.c)
 *	keys      one row per master key: who owns it and its state
 *	versions  its material, sealed (see table.c)
 *	aliases   names of keys, per tenant
 *	tags      names and values, per key
 *	grants    rights on one key, given by its users
 *	providers where material is that is not in versions
 *	audit_segments
 *	          files of the audit log, and the keys that sign in them
 *	tenants, users, access_keys, user_roles, policies, attachments
 *	          who may ask, and the policies attached to them
 * Beside it stand KEYSTORE-audit.log and KEYSTORE-audit.log.N, KEYSTORE-epoch and KEYSTORE-reserve.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/rand.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"

#include "kms/far.h"
#include "kms/kms_internal.h"
#include "kms/reserve.h"
#include "kms/schema.h"
#include "kms/slot.h"
#include "kms/who_mac.h"

#define SEAL_LABEL "ssefs keystore material v1"
#define METADATA_LABEL "ssefs metadata v1"
#define VFS_MAX 64

static char vfs_name[VFS_MAX];

const char *
kms_state_name(enum kms_state s)
{

	switch (s) {
	case KMS_ENABLED:
		return "Enabled";
	case KMS_DISABLED:
		return "Disabled";
	case KMS_PENDING_IMPORT:
		return "PendingImport";
	case KMS_PENDING_DELETION:
		return "PendingDeletion";
	case KMS_UNAVAILABLE:
		return "Unavailable";
	}
	return "Unknown";
}

void
kms_set_vfs(const char *name)
{

	(void)snprintf(
	    vfs_name, sizeof(vfs_name), "%s", name == NULL ? "" : name);
}

const char *
kms_vfs(void)
{

	return vfs_name[0] == '\0' ? NULL : vfs_name;
}

static void
db_cleanup(struct db *db)
{

	kdb_close(db);
}

/* ---- Making ------------------------------------------------------------- */

static enum err
first_macs(
    struct db *db, const struct key *kmk, const uint8_t uuid[static UUID_LEN])
{
	WIPED(struct hmac_key, key, 1);

	TRY(who_mac_key(kmk, uuid, key));
	return who_mac_write(db, key);
}

static enum err
fill(struct db *db, bool sealing, const struct kms_root *root,
    const char *region)
{
	struct key *kmk CLEANUP_KEY = key_new();
	struct slot *s CLEANUP_FREE = calloc(1, sizeof(*s));
	uint8_t uuid[UUID_LEN];
	struct kdb_tx tx CLEANUP_TX = { NULL };

	if (kmk == NULL || s == NULL)
		return ERR_NOMEM;
	rand_bytes(kmk->b, KEY_LEN);
	rand_bytes(uuid, sizeof(uuid));
	TRY(slot_make(uuid, sealing, 0, root, kmk, s));
	TRY(kdb_exec(db, "PRAGMA journal_mode=WAL"));
	TRY(kdb_begin(db, &tx));
	TRY(schema_make(db));
	TRY(kdb_run(db,
	    "INSERT INTO meta(k, v) VALUES('format', ?), ('region', ?), "
	    "('uuid', ?), ('epoch', 0)",
	    "itb", (int64_t)(sealing ? FORMAT_SEALING : FORMAT), region,
	    (const void *)uuid, sizeof(uuid)));
	TRY(audit_head_make(db, kmk, uuid, false, NULL, clock_wall().tv_sec));
	TRY(first_macs(db, kmk, uuid));
	TRY(slot_insert(db, s));
	return kdb_commit(&tx);
}

static void
remove_files(const char *path)
{
	static const char *const tails[] = { "", "-wal", "-shm", "-journal" };
	char name[PATH_MAX + 16];

	for (size_t i = 0; i < COUNTOF(tails); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, tails[i]);
		(void)sys->unlink(name);
	}
}

static enum err
create(const char *path, bool sealing, const struct kms_root *root,
    const char *region)
{
	struct db db CLEANUP(db_cleanup) = { NULL };
	enum err e;
	int fd;

	if (region == NULL)
		region = KMS_REGION_DEFAULT;
	if (!name_region_ok(region))
		return err_fail(ERR_INVAL, "malformed region");
	if (strlen(path) >= PATH_MAX)
		return ERR_NAMETOOLONG;
	/* Made here so that SQLite finds it with the right mode. */
	fd = sys->open(
	    path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_fail(err_from_errno(errno), "keystore %s: %s", path,
		    strerror(errno));
	(void)sys->close(fd);
	e = kdb_open(&db, path, kms_vfs());
	if (e == OK)
		e = fill(&db, sealing, root, region);
	kdb_close(&db);
	if (e == OK)
		e = sys_sync_parent(path);
	if (e != OK)
		remove_files(path);
	return e;
}

enum err
kms_create_store(
    const char *path, const struct kms_root *root, const char *region)
{

	return create(path, false, root, region);
}

enum err
kms_create_sealing(
    const char *path, const struct kms_root *root, const char *region)
{

	return create(path, true, root, region);
}

const char *
kms_region(const struct kms *k)
{

	return k->region;
}

const char *
kms_via_storage(const struct kms *k)
{

	return k->via;
}

bool
kms_is_sealing(const struct kms *k)
{

	return k->sealing;
}

enum err
kms_metadata_key(struct kms *k, const uint8_t *uuid, struct key *ret)
{

	return hkdf_label(
	    k->kmk->b, METADATA_LABEL, uuid, UUID_LEN, ret->b, sizeof(ret->b));
}

/* ---- Opening ------------------------------------------------------------ */

static enum err
meta_row(struct db *db, const char *key, sqlite3_stmt **ret)
{
	bool row = false;

	TRY(kdb_query(db, ret, "SELECT v FROM meta WHERE k = ?", "t", key));
	TRY(kdb_step(db, *ret, &row));
	if (!row)
		return err_fail(ERR_CORRUPT, "keystore: no %s", key);
	return OK;
}

static enum err
load_meta(struct kms *k)
{
	sqlite3_stmt *format CLEANUP_STMT = NULL;
	sqlite3_stmt *region CLEANUP_STMT = NULL;
	sqlite3_stmt *uuid CLEANUP_STMT = NULL;
	int64_t v = 0;

	TRY(meta_row(&k->db, "format", &format));
	TRY(kdb_col_int(format, 0, 1, INT64_MAX, &v));
	if (v > FORMAT_SEALING)
		return err_fail(ERR_VERSION,
		    "keystore %s has format %" PRId64 "; this ssefs reads "
		    "formats up to %d",
		    k->path, v, FORMAT_SEALING);
	k->sealing = v % 2 == 0;
	k->format = v;
	TRY(meta_row(&k->db, "region", &region));
	TRY(kdb_col_text(region, 0, k->region, sizeof(k->region)));
	TRY(meta_row(&k->db, "uuid", &uuid));
	TRY(kdb_col_blob(uuid, 0, k->uuid, UUID_LEN));
	if (!name_region_ok(k->region))
		return err_fail(ERR_CORRUPT, "keystore: malformed region");
	(void)snprintf(
	    k->via, sizeof(k->via), "s3.%s.amazonaws.com", k->region);
	return OK;
}

/* Bring a keystore of an older program up to date: only once it has shown
 * that it is ours, by being unlocked. */
static enum err
upgrade(struct kms *k, bool *ret_older)
{
	LOCK_SCOPE(&k->conn);
	struct kdb_tx tx CLEANUP_TX = { NULL };
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	const int64_t now = k->sealing ? FORMAT_SEALING : FORMAT;
	int64_t v = 0;
	bool ours = false;

	if (k->format == now)
		return OK;
	TRY(kdb_begin(&k->db, &tx));
	TRY(meta_row(&k->db, "format", &st));
	TRY(kdb_col_int(st, 0, 1, FORMAT_SEALING, &v));
	kdb_stmt_cleanup(&st);
	st = NULL;
	/* Another process may have been faster. */
	if (v == now)
		return OK;
	if (v != k->format)
		return err_fail(ERR_CORRUPT, "keystore: its format changed");
	if (v < 3)
		TRY(kdb_exec(&k->db, SCHEMA_3));
	if (v < 5)
		TRY(kdb_exec(&k->db, SCHEMA_5));
	TRY(kdb_exec(&k->db, SCHEMA_7));
	TRY(audit_upgrade(k, v, &ours));
	/* One that was of this format before has rows that somebody else
	 * made: they get no MAC. */
	if (ours)
		TRY(who_mac_write(&k->db, k->who));
	TRY(kdb_run(
	    &k->db, "UPDATE meta SET v = ? WHERE k = 'format'", "i", now));
	*ret_older = v < 5;
	return kdb_commit(&tx);
}

/* The log says from where on it can be shown to be whole. */
static enum err
record_upgrade(struct kms *k)
{
	const struct kms_who who = { .user = "ssefs", .agent = "upgrade" };
	char text[64];
	const struct call c = { .who = &who,
		.event = "UpgradeKeystore",
		.tenant = KMS_TENANT_DEFAULT,
		.principal_ok = true,
		.service = true,
		.extra = text };

	(void)snprintf(
	    text, sizeof(text), "\"fromFormat\":%" PRId64, k->format);
	TRY(audit_record(k, &c, OK));
	return kms_flush(k);
}

/* Unlock by the first slot of kind ${kind} that ${root} opens. */
static enum err
unlock_kind(struct kms *k, const struct slot *s, unsigned n,
    enum kms_root_kind kind, const struct kms_root *root, enum err first)
{

	for (unsigned i = 0; i < n; i++) {
		enum err e;

		if (s[i].kind != kind)
			continue;
		e = slot_open(k->uuid, k->sealing, &s[i], root, k->kmk);
		if (e == OK)
			return OK;
		if (e != ERR_ROOTKEY && e != ERR_TIMEDOUT)
			return e;
		first = e;
	}
	return first;
}

static enum err
unlock(struct kms *k, const struct kms_root *root)
{
	struct slot *s CLEANUP_FREE = calloc(SLOT_MAX, sizeof(*s));
	const enum err none = ERR_NOENT;
	unsigned n = 0;
	enum err e;

	if (s == NULL)
		return ERR_NOMEM;
	TRY(slot_load(&k->db, s, &n));
	if (root != NULL) {
		e = unlock_kind(k, s, n, root->kind, root, none);
	} else {
		e = unlock_kind(k, s, n, KMS_ROOT_FILE, NULL, none);
		if (e == ERR_ROOTKEY || e == none)
			e = unlock_kind(k, s, n, KMS_ROOT_CREDENTIAL, NULL, e);
		if (e == ERR_ROOTKEY || e == none)
			e = unlock_kind(k, s, n, KMS_ROOT_TOKEN, NULL, e);
	}
	/* A passphrase is the one root key that no slot says where to find. */
	if (e == none && root == NULL)
		return err_fail(ERR_ROOTKEY,
		    "keystore %s opens with a passphrase, and none was given",
		    k->path);
	if (e == none)
		return err_fail(ERR_ROOTKEY,
		    "keystore %s has no slot for such a root key; give the "
		    "one it was made with",
		    k->path);
	return e;
}

static enum err
prepare(struct kms *k)
{
	WIPED(uint8_t, key, KEY_LEN);
	char path[PATH_MAX + 16];
	bool changed;

	TRY(hkdf_label(k->kmk->b, SEAL_LABEL, NULL, 0, key, sizeof(key)));
	TRY(aead_new(key, &k->seal));
	TRY(audit_init(&k->audit, k->kmk));
	(void)snprintf(path, sizeof(path), "%s-epoch", k->path);
	TRY(epoch_open(path, &k->epoch));
	TRY(kms_fresh_db(k, &changed));
	LOCK_SCOPE(&k->conn);
	return audit_recover(k);
}

static struct kms *
kms_new(void)
{
	struct kms *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	lock_init(&k->conn, RANK_KMS, "kms connection");
	rwlock_init(&k->tab_lock, RANK_KMS, "kms table");
	lock_init(&k->prov_lock, RANK_PROVIDERS, "kms providers");
	k->kmk = key_new();
	return k;
}

void
kms_free(struct kms *k)
{

	if (k->audit.l.name != NULL)
		audit_release(&k->audit);
	far_close_all(k);
	table_free(k->tab);
	epoch_close(k->epoch);
	aead_free(k->seal);
	secret_free(k->who);
	key_free(k->kmk);
	kdb_close(&k->db);
	rwlock_destroy(&k->tab_lock);
	lock_destroy(&k->conn);
	lock_destroy(&k->prov_lock);
	free(k);
}

static void
kms_cleanup(struct kms **k)
{

	if (*k != NULL)
		kms_free(*k);
}

static enum err
open_once(const char *path, const struct kms_root *root, struct kms **ret)
{
	struct kms *k CLEANUP(kms_cleanup) = kms_new();
	bool older = false;
	struct stat st;

	if (k == NULL || k->kmk == NULL)
		return ERR_NOMEM;
	if (strlen(path) >= sizeof(k->path))
		return ERR_NAMETOOLONG;
	strcpy(k->path, path);
	if (sys->stat(path, &st) != 0)
		return err_fail(err_from_errno(errno), "keystore %s: %s", path,
		    strerror(errno));
	TRY(kdb_open(&k->db, path, kms_vfs()));
	TRY(load_meta(k));
	TRY(unlock(k, root));
	k->who = secret_alloc(sizeof(*k->who));
	if (k->who == NULL)
		return ERR_NOMEM;
	TRY(who_mac_key(k->kmk, k->uuid, k->who));
	TRY(upgrade(k, &older));
	TRY(prepare(k));
	if (older)
		TRY(record_upgrade(k));
	*ret = steal(k);
	return OK;
}

enum err
kms_open(const char *path, const struct kms_root *root, struct kms **ret)
{
	const bool full = reserve_needed(path);
	enum err e;

	if (full)
		(void)reserve_give(path);
	e = open_once(path, root, ret);
	/* On a full disk it comes back with the close. */
	if (e == OK && !full)
		reserve_take(path);
	return e;
}

/* ---- The table and changes ---------------------------------------------- */

/* Put ${t} in force unless a newer one came first. */
static void
install(struct kms *k, struct table *t)
{
	RWLOCK_WRITE_SCOPE(&k->tab_lock);
	struct table *old = k->tab;

	if (old != NULL && old->serial > t->serial) {
		table_free(t);
		return;
	}
	if (old != NULL)
		(void)atomic_fetch_sub(&k->prepared, table_inherit(t, old));
	k->tab = t;
	atomic_store_explicit(&k->tab_epoch, t->epoch, memory_order_release);
	table_free(old);
}

static enum err
reload(struct kms *k)
{
	struct people *people CLEANUP_PEOPLE = NULL;
	struct table *t = NULL;
	uint64_t epoch;
	enum err e;

	rwlock_read(&k->tab_lock);
	people = people_ref(k->tab == NULL ? NULL : k->tab->people);
	rwlock_drop(&k->tab_lock);
	lock_take(&k->conn);
	/* Read before the rows: a change in between is seen next time. */
	epoch = epoch_get(k->epoch);
	e = audit_settings_load(k);
	if (e == OK)
		e = table_load(&k->db, k->region, k->who, people, &t);
	if (e == OK) {
		t->serial = ++k->tab_serial;
		t->epoch = epoch;
	}
	lock_drop(&k->conn);
	if (e == OK)
		install(k, t);
	return e;
}

enum err
kms_fresh(struct kms *k)
{

	if (epoch_get(k->epoch) ==
	    atomic_load_explicit(&k->tab_epoch, memory_order_acquire))
		return OK;
	return reload(k);
}

static enum err
stored_epoch(struct kms *k, uint64_t *ret)
{
	LOCK_SCOPE(&k->conn);
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t v = 0;

	TRY(meta_row(&k->db, "epoch", &st));
	TRY(kdb_col_int(st, 0, 0, INT64_MAX, &v));
	*ret = (uint64_t)v;
	return OK;
}

enum err
kms_fresh_db(struct kms *k, bool *ret_changed)
{
	uint64_t have, is = 0;
	bool loaded;

	*ret_changed = false;
	rwlock_read(&k->tab_lock);
	loaded = k->tab != NULL;
	have = loaded ? k->tab->db_epoch : 0;
	rwlock_drop(&k->tab_lock);
	if (loaded) {
		TRY(stored_epoch(k, &is));
		if (is == have)
			return OK;
	}
	*ret_changed = true;
	return reload(k);
}

static enum err
change_tx(struct kms *k, kms_change_fn *fn, void *arg, uint64_t *ret_epoch)
{
	LOCK_SCOPE(&k->conn);
	struct kdb_tx tx CLEANUP_TX = { NULL };

	TRY(kdb_begin(&k->db, &tx));
	TRY(fn(k, arg));
	TRY(kdb_exec(&k->db, "UPDATE meta SET v = v + 1 WHERE k = 'epoch'"));
	TRY(kdb_commit(&tx));
	*ret_epoch = epoch_bump(k->epoch);
	return OK;
}

#define WATCHERS_MS 5000

enum err
kms_change(struct kms *k, kms_change_fn *fn, void *arg, bool wait)
{
	uint64_t at = 0;

	TRY(change_tx(k, fn, arg, &at));
	TRY(kms_fresh(k));
	if (wait && !epoch_wait(k->epoch, at, WATCHERS_MS))
		log_warn("%s: a process that has this keystore open did not "
			 "answer in %d s; it may go on using data keys it "
			 "holds",
		    k->path, WATCHERS_MS / 1000);
	return OK;
}

uint64_t
kms_epoch(struct kms *k)
{

	return epoch_get(k->epoch);
}
