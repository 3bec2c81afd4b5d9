/*
 * MACs of identities.
 *
 *	key = expand(KMK, "ssefs identities v1" 00 keystore uuid, 32)
 *	row = HMAC-SHA-256(key, "row" 00 table 00 columns)
 *	set = HMAC-SHA-256(key, "set" 00 u64 changes, then for each table
 *	      the MACs of its rows by primary key and u64 rows)
 *
 * A column: u8 1 and u64 of a number; u8 3 (text) or 4 (bytes), u32 length and
 * the bytes.  Columns and tables are in the order of ${tables}, below.
 */
#include <stdio.h>
#include <string.h>

#include "crypto/kdf.h"

#include "lib/base/buf.h"
#include "lib/base/clock.h"

#include "kms/schema.h"
#include "kms/who_mac.h"

#define LABEL "ssefs identities v1"

static const struct {
	const char *name;
	int npk; /* columns of the primary key, which come first */
	const char *rows, *update, *remove;
} tables[] = {
	[WHO_TENANTS] = { "tenants", 1,
	    "SELECT mac, tenant, sse_kms_role, customer_keys, created "
	    "FROM tenants ORDER BY tenant",
	    "UPDATE tenants SET mac = ?1 WHERE tenant = ?2",
	    "DELETE FROM tenants WHERE tenant = ?2" },
	[WHO_USERS] = { "users", 2,
	    "SELECT mac, tenant, name, id, admin, created FROM users "
	    "ORDER BY tenant, name",
	    "UPDATE users SET mac = ?1 WHERE tenant = ?2 AND name = ?3",
	    "DELETE FROM users WHERE tenant = ?2 AND name = ?3" },
	[WHO_ACCESS_KEYS] = { "access_keys", 1,
	    "SELECT mac, id, tenant, user, sealed, active, created "
	    "FROM access_keys ORDER BY id",
	    "UPDATE access_keys SET mac = ?1 WHERE id = ?2",
	    "DELETE FROM access_keys WHERE id = ?2" },
	[WHO_USER_ROLES] = { "user_roles", 3,
	    "SELECT mac, tenant, user, role FROM user_roles "
	    "ORDER BY tenant, user, role",
	    "UPDATE user_roles SET mac = ?1 "
	    "WHERE tenant = ?2 AND user = ?3 AND role = ?4",
	    "DELETE FROM user_roles "
	    "WHERE tenant = ?2 AND user = ?3 AND role = ?4" },
	[WHO_POLICIES] = { "policies", 2,
	    "SELECT mac, tenant, name, text, created, updated FROM policies "
	    "ORDER BY tenant, name",
	    "UPDATE policies SET mac = ?1 WHERE tenant = ?2 AND name = ?3",
	    "DELETE FROM policies WHERE tenant = ?2 AND name = ?3" },
	[WHO_ATTACHMENTS] = { "attachments", 4,
	    "SELECT mac, tenant, to_role, principal, policy FROM attachments "
	    "ORDER BY tenant, to_role, principal, policy",
	    "UPDATE attachments SET mac = ?1 WHERE tenant = ?2 "
	    "AND to_role = ?3 AND principal = ?4 AND policy = ?5",
	    "DELETE FROM attachments WHERE tenant = ?2 "
	    "AND to_role = ?3 AND principal = ?4 AND policy = ?5" },
};

enum err
who_mac_key(const struct key *kmk, const uint8_t uuid[static UUID_LEN],
    struct hmac_key *ret)
{
	WIPED(uint8_t, key, KEY_LEN);

	TRY(hkdf_label(kmk->b, LABEL, uuid, UUID_LEN, key, sizeof(key)));
	hmac_key_set(ret, key, sizeof(key));
	return OK;
}

/* ---- One row --------------------------------------------------------------- */

static void
add_number(struct hmac_ctx *h, int64_t v)
{
	uint8_t raw[8];

	put_u64(raw, (uint64_t)v);
	hmac_add(h, raw, sizeof(raw));
}

static void
add_column(struct hmac_ctx *h, sqlite3_stmt *st, int col)
{
	const uint8_t type = (uint8_t)sqlite3_column_type(st, col);
	uint8_t len[4];

	hmac_add(h, &type, 1);
	if (type == SQLITE_INTEGER) {
		add_number(h, sqlite3_column_int64(st, col));
		return;
	}
	const void *p = type == SQLITE_TEXT
			    ? (const void *)sqlite3_column_text(st, col)
			    : sqlite3_column_blob(st, col);
	const int n = sqlite3_column_bytes(st, col);

	put_u32(len, (uint32_t)n);
	hmac_add(h, len, sizeof(len));
	if (n > 0 && p != NULL)
		hmac_add(h, p, (size_t)n);
}

_Static_assert(SQLITE_INTEGER == 1 && SQLITE_TEXT == 3 && SQLITE_BLOB == 4,
    "types of columns, as they are stored");

static void
row_mac(const struct hmac_key *key, size_t table, sqlite3_stmt *st,
    uint8_t ret[static SHA256_LEN])
{
	const int n = sqlite3_column_count(st);
	struct hmac_ctx h;

	hmac_begin(&h, key);
	hmac_add(&h, "row", 4);
	hmac_add(&h, tables[table].name, strlen(tables[table].name) + 1);
	for (int i = 1; i < n; i++)
		add_column(&h, st, i);
	hmac_end(&h, ret);
}

static bool
row_good(sqlite3_stmt *st, const uint8_t mac[static SHA256_LEN])
{

	return sqlite3_column_type(st, 0) == SQLITE_BLOB &&
	       sqlite3_column_bytes(st, 0) == SHA256_LEN &&
	       secret_cmp(sqlite3_column_blob(st, 0), mac, SHA256_LEN) == 0;
}

/* ---- All of them ----------------------------------------------------------- */

struct walk {
	struct db *db;
	const struct hmac_key *key;
	struct hmac_ctx set;
	struct hmac_ctx kept; /* the same over MACs as they are stored */
	bool write, purge;    /* what becomes of a row whose MAC is bad */
	bool good;            /* there was none */
	bool refusing;        /* one was of a table whose rows may refuse */
	who_mac_bad_fn *tell;
	who_mac_row_fn *row;
	enum err failed; /* what ${row} said */
	void *arg;
};

static enum err
run_on_row(struct walk *w, const char *sql, int npk, sqlite3_stmt *row,
    const uint8_t *mac)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool more = false;

	TRY(kdb_query(w->db, &st, sql, ""));
	if (mac != NULL && sqlite3_bind_blob(st, 1, mac, SHA256_LEN,
			       SQLITE_STATIC) != SQLITE_OK)
		return ERR_NOMEM;
	for (int i = 1; i <= npk; i++)
		if (sqlite3_bind_value(
			st, i + 1, sqlite3_column_value(row, i)) != SQLITE_OK)
			return ERR_NOMEM;
	return kdb_step(w->db, st, &more);
}

static void
tell(const struct walk *w, size_t table, sqlite3_stmt *st)
{
	char text[256] = "";
	size_t at = 0;

	if (w->tell == NULL)
		return;
	for (int i = 1; i <= tables[table].npk && at < sizeof(text); i++) {
		const char *s = (const char *)sqlite3_column_text(st, i);

		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s",
		    i == 1 ? "" : ", ", s == NULL ? "" : s);
	}
	w->tell(w->arg, tables[table].name, text);
}

static enum err
bad_row(struct walk *w, size_t table, sqlite3_stmt *st, const uint8_t *mac)
{

	if (w->write)
		return run_on_row(
		    w, tables[table].update, tables[table].npk, st, mac);
	w->good = false;
	w->refusing =
	    w->refusing || (table != WHO_USERS && table != WHO_ACCESS_KEYS);
	tell(w, table, st);
	if (w->purge)
		return run_on_row(
		    w, tables[table].remove, tables[table].npk, st, NULL);
	return OK;
}

static enum err
walk_table(struct walk *w, size_t table)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	uint8_t mac[SHA256_LEN];
	int64_t n = 0;
	bool row = false;

	TRY(kdb_query(w->db, &st, tables[table].rows, ""));
	for (;;) {
		TRY(kdb_step(w->db, st, &row));
		if (!row)
			break;
		row_mac(w->key, table, st, mac);
		hmac_add(&w->set, mac, sizeof(mac));
		if (sqlite3_column_bytes(st, 0) > 0)
			hmac_add(&w->kept, sqlite3_column_blob(st, 0),
			    (size_t)sqlite3_column_bytes(st, 0));
		n++;
		if (!row_good(st, mac))
			TRY(bad_row(w, table, st, mac));
		else if (w->row != NULL && w->good && w->failed == OK)
			w->failed = w->row(w->arg, (enum who_table)table, st);
	}
	add_number(&w->set, n);
	add_number(&w->kept, n);
	return OK;
}

static enum err
changes(struct db *db, int64_t *ret)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	*ret = 0;
	TRY(kdb_query(db, &st, "SELECT v FROM meta WHERE k = 'who'", ""));
	TRY(kdb_step(db, st, &row));
	return row ? kdb_col_int(st, 0, 0, INT64_MAX, ret) : OK;
}

static enum err
walk_all(struct walk *w, uint8_t ret_set[static SHA256_LEN])
{
	int64_t v = 0;

	w->good = true;
	TRY(changes(w->db, &v));
	hmac_begin(&w->set, w->key);
	hmac_add(&w->set, "set", 4);
	add_number(&w->set, v);
	w->kept = w->set;
	for (size_t i = 0; i < COUNTOF(tables); i++)
		TRY(walk_table(w, i));
	hmac_end(&w->set, ret_set);
	return OK;
}

static enum err
bad_object(void *arg, sqlite3_stmt *st)
{
	struct walk *w = arg;
	const char *name = (const char *)sqlite3_column_text(st, 1);

	w->good = false;
	if (w->tell != NULL)
		w->tell(w->arg, "sqlite_master", name == NULL ? "" : name);
	return OK;
}

static enum err
check(struct walk *w)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	uint8_t set[SHA256_LEN];
	bool row = false;

	TRY(walk_all(w, set));
	TRY(kdb_query(
	    w->db, &st, "SELECT v FROM meta WHERE k = 'who_mac'", ""));
	TRY(kdb_step(w->db, st, &row));
	/* A bad row makes it bad as well, which is no news. */
	if (w->good && !(row && row_good(st, set))) {
		w->good = false;
		if (w->tell != NULL)
			w->tell(w->arg, "meta", NULL);
	}
	return schema_check(w->db, bad_object, w);
}

enum err
who_mac_check(struct db *db, const struct hmac_key *key, who_mac_bad_fn *bad,
    void *arg, bool *ret)
{
	struct walk w = { .db = db, .key = key, .tell = bad, .arg = arg };

	TRY(check(&w));
	*ret = w.good;
	return OK;
}

enum err
who_mac_read(struct db *db, const struct hmac_key *key, who_mac_row_fn *fn,
    void *arg, bool *ret)
{
	struct walk w = { .db = db, .key = key, .row = fn, .arg = arg };

	TRY(check(&w));
	*ret = w.good;
	return w.good ? w.failed : OK;
}

enum err
who_mac_write(struct db *db, const struct hmac_key *key)
{
	struct walk w = { .db = db, .key = key, .write = true };
	uint8_t set[SHA256_LEN];

	/* A row that is changed under the walk may come up again. */
	TRY(walk_all(&w, set));
	w.write = false;
	TRY(walk_all(&w, set));
	if (!w.good)
		return ERR_INTERNAL;
	return kdb_run(db,
	    "INSERT OR REPLACE INTO meta(k, v) VALUES('who_mac', ?)", "b",
	    (const void *)set, sizeof(set));
}

/* Rows whose MAC is bad, and what means nothing without them. */
static enum err
purge(struct db *db, const struct hmac_key *key)
{
	struct walk w = { .db = db, .key = key, .purge = true };
	uint8_t set[SHA256_LEN];

	TRY(walk_all(&w, set));
	return kdb_exec(db,
	    "DELETE FROM access_keys WHERE NOT EXISTS (SELECT 1 FROM users u "
	    "WHERE u.tenant = access_keys.tenant AND u.name = user);"
	    "DELETE FROM user_roles WHERE NOT EXISTS (SELECT 1 FROM users u "
	    "WHERE u.tenant = user_roles.tenant AND u.name = user);"
	    "DELETE FROM attachments WHERE NOT EXISTS (SELECT 1 FROM policies "
	    "p "
	    "WHERE p.tenant = attachments.tenant AND p.name = policy) OR "
	    "(to_role = 0 AND NOT EXISTS (SELECT 1 FROM users u "
	    "WHERE u.tenant = attachments.tenant AND u.name = principal))");
}

/* Nothing that is there can be shown to be what was there: nobody keeps a right,
 * no tenant the liberty that it may have been denied. */
static enum err
take_all(struct db *db)
{

	TRY(kdb_exec(db,
	    "DELETE FROM access_keys; DELETE FROM user_roles;"
	    "DELETE FROM attachments; DELETE FROM policies;"
	    "DELETE FROM users; UPDATE tenants SET customer_keys = 0"));
	return kdb_run(db,
	    "INSERT OR IGNORE INTO tenants(tenant, customer_keys, created) "
	    "SELECT DISTINCT tenant, 0, ? FROM keys WHERE kind <> 2",
	    "i", (int64_t)clock_wall().tv_sec);
}

enum err
who_mac_purge(struct db *db, const struct hmac_key *key, bool *ret_all)
{
	struct walk w = { .db = db, .key = key };
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	uint8_t set[SHA256_LEN], kept[SHA256_LEN];
	bool row = false;

	TRY(schema_mend(db));
	TRY(walk_all(&w, set));
	hmac_end(&w.kept, kept);
	TRY(kdb_query(db, &st, "SELECT v FROM meta WHERE k = 'who_mac'", ""));
	TRY(kdb_step(db, st, &row));
	/* The rows that were there last are all there, as their MACs say. */
	*ret_all = w.refusing || !(row && row_good(st, kept));
	kdb_stmt_cleanup(&st);
	st = NULL;
	TRY(purge(db, key));
	return *ret_all ? take_all(db) : OK;
}
