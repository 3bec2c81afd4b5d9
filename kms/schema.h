/*
 * schema: the tables of a keystore, and how a keystore of an older program
 * comes by them.
 *
 * Even formats are those of a store with sealed metadata.  Each step below adds
 * what its format has and the one before had not; docs/FORMAT.md describes the
 * columns.
 */
#ifndef KMS_SCHEMA_H
#define KMS_SCHEMA_H

#include "kms/db.h"

#define FORMAT 7
#define FORMAT_SEALING 8

#define SCHEMA_1                                                              \
	"CREATE TABLE meta(k TEXT PRIMARY KEY, v NOT NULL) WITHOUT ROWID;"    \
	"CREATE TABLE slots(n INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"    \
	"  path TEXT NOT NULL, salt BLOB NOT NULL, t INTEGER NOT NULL,"       \
	"  m_kib INTEGER NOT NULL, p INTEGER NOT NULL, sealed BLOB NOT NULL," \
	"  created INTEGER NOT NULL) STRICT;"                                 \
	"CREATE TABLE keys(id INTEGER PRIMARY KEY AUTOINCREMENT,"             \
	"  uuid BLOB NOT NULL UNIQUE, tenant TEXT NOT NULL,"                  \
	"  state INTEGER NOT NULL, kind INTEGER NOT NULL,"                    \
	"  created INTEGER NOT NULL, description TEXT NOT NULL,"              \
	"  calls INTEGER NOT NULL DEFAULT 0) STRICT;"                         \
	"CREATE UNIQUE INDEX keys_default ON keys(tenant) WHERE kind = 1;"    \
	"CREATE UNIQUE INDEX keys_service ON keys(kind) WHERE kind = 2;"      \
	"CREATE TABLE versions(key BLOB NOT NULL, version INTEGER NOT NULL,"  \
	"  created INTEGER NOT NULL, sealed BLOB NOT NULL,"                   \
	"  PRIMARY KEY(key, version)) STRICT, WITHOUT ROWID;"                 \
	"CREATE TABLE aliases(tenant TEXT NOT NULL, name TEXT NOT NULL,"      \
	"  key BLOB NOT NULL, created INTEGER NOT NULL,"                      \
	"  PRIMARY KEY(tenant, name)) STRICT, WITHOUT ROWID;"

/* Deletion times, periods, tags. */
#define SCHEMA_3                                                              \
	"ALTER TABLE keys ADD COLUMN delete_at INTEGER NOT NULL DEFAULT 0;"   \
	"ALTER TABLE keys ADD COLUMN rotate_days INTEGER NOT NULL DEFAULT 0;" \
	"ALTER TABLE keys ADD COLUMN rotate_at INTEGER NOT NULL DEFAULT 0;"   \
	"CREATE TABLE tags(key BLOB NOT NULL, name TEXT NOT NULL,"            \
	"  value TEXT NOT NULL, PRIMARY KEY(key, name))"                      \
	"  STRICT, WITHOUT ROWID;"

/* Imported keys, key policies, grants. */
#define SCHEMA_5_KEYS                                                        \
	"ALTER TABLE keys ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;"     \
	"ALTER TABLE keys ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;"    \
	"ALTER TABLE keys ADD COLUMN imported BLOB NOT NULL DEFAULT x'';"    \
	"ALTER TABLE keys ADD COLUMN policy TEXT NOT NULL DEFAULT '';"       \
	"ALTER TABLE aliases ADD COLUMN updated INTEGER NOT NULL DEFAULT 0;" \
	"ALTER TABLE versions ADD COLUMN reason INTEGER NOT NULL DEFAULT 0;" \
	"CREATE TABLE grants(id TEXT PRIMARY KEY, key BLOB NOT NULL,"        \
	"  name TEXT NOT NULL, grantee TEXT NOT NULL,"                       \
	"  retiring TEXT NOT NULL, issuer TEXT NOT NULL,"                    \
	"  operations INTEGER NOT NULL, constrained INTEGER NOT NULL,"       \
	"  context BLOB NOT NULL, created INTEGER NOT NULL)"                 \
	"  STRICT, WITHOUT ROWID;"                                           \
	"CREATE INDEX grants_key ON grants(key);"

/* Providers: where the material of a version is, when not in its row. */
#define SCHEMA_5_PROVIDERS                                                     \
	"ALTER TABLE versions ADD COLUMN provider INTEGER NOT NULL DEFAULT 0;" \
	"ALTER TABLE versions ADD COLUMN wraps INTEGER NOT NULL DEFAULT 0;"    \
	"CREATE TABLE providers(id INTEGER PRIMARY KEY AUTOINCREMENT,"         \
	"  name TEXT NOT NULL UNIQUE, sealed BLOB NOT NULL,"                   \
	"  created INTEGER NOT NULL) STRICT;"

/* Identities: who may ask, and the policies attached to them. */
#define SCHEMA_5_WHO                                                        \
	"CREATE TABLE tenants(tenant TEXT PRIMARY KEY,"                     \
	"  sse_kms_role TEXT NOT NULL DEFAULT '',"                          \
	"  customer_keys INTEGER NOT NULL DEFAULT 1,"                       \
	"  created INTEGER NOT NULL) STRICT, WITHOUT ROWID;"                \
	"CREATE TABLE users(tenant TEXT NOT NULL, name TEXT NOT NULL,"      \
	"  id TEXT NOT NULL UNIQUE, admin INTEGER NOT NULL,"                \
	"  created INTEGER NOT NULL, PRIMARY KEY(tenant, name))"            \
	"  STRICT, WITHOUT ROWID;"                                          \
	"CREATE TABLE access_keys(id TEXT PRIMARY KEY,"                     \
	"  tenant TEXT NOT NULL, user TEXT NOT NULL, sealed BLOB NOT NULL," \
	"  active INTEGER NOT NULL, created INTEGER NOT NULL)"              \
	"  STRICT, WITHOUT ROWID;"                                          \
	"CREATE TABLE user_roles(tenant TEXT NOT NULL, user TEXT NOT NULL," \
	"  role TEXT NOT NULL, PRIMARY KEY(tenant, user, role))"            \
	"  STRICT, WITHOUT ROWID;"                                          \
	"CREATE TABLE policies(tenant TEXT NOT NULL, name TEXT NOT NULL,"   \
	"  text TEXT NOT NULL, created INTEGER NOT NULL,"                   \
	"  updated INTEGER NOT NULL, PRIMARY KEY(tenant, name))"            \
	"  STRICT, WITHOUT ROWID;"                                          \
	"CREATE TABLE attachments(tenant TEXT NOT NULL, to_role INTEGER"    \
	"  NOT NULL, principal TEXT NOT NULL, policy TEXT NOT NULL,"        \
	"  PRIMARY KEY(tenant, to_role, principal, policy))"                \
	"  STRICT, WITHOUT ROWID;"

/* Segments of the audit log, each with the key that signs in it. */
#define SCHEMA_5_AUDIT                                        \
	"CREATE TABLE audit_segments(n INTEGER PRIMARY KEY,"  \
	"  first INTEGER NOT NULL, started INTEGER NOT NULL," \
	"  ended INTEGER NOT NULL, size INTEGER NOT NULL,"    \
	"  kept INTEGER NOT NULL, public BLOB NOT NULL,"      \
	"  signature BLOB NOT NULL, sealed BLOB NOT NULL) STRICT;"

/* MACs of identities (kms/who_mac.h). */
#define SCHEMA_7                                                            \
	"ALTER TABLE tenants ADD COLUMN mac BLOB NOT NULL DEFAULT x'';"     \
	"ALTER TABLE users ADD COLUMN mac BLOB NOT NULL DEFAULT x'';"       \
	"ALTER TABLE access_keys ADD COLUMN mac BLOB NOT NULL DEFAULT x'';" \
	"ALTER TABLE user_roles ADD COLUMN mac BLOB NOT NULL DEFAULT x'';"  \
	"ALTER TABLE policies ADD COLUMN mac BLOB NOT NULL DEFAULT x'';"    \
	"ALTER TABLE attachments ADD COLUMN mac BLOB NOT NULL DEFAULT x'';"

#define SCHEMA_5 SCHEMA_5_KEYS SCHEMA_5_PROVIDERS SCHEMA_5_WHO SCHEMA_5_AUDIT

/* All of it, in an empty database. */
enum err schema_make(struct db *db) MUSTCHECK;

/* An object, as type, name, table, SQL. */
typedef enum err schema_fn(void *arg, sqlite3_stmt *object);
/* Inside a transaction: call ${fn} for each object (table, index, trigger, view)
 * that is not one of ours, or is one of ours and not there word for word.
 * SQLite reads from an index what it finds there, and trusts that the table
 * says the same: one that somebody added may say anything. */
enum err schema_check(struct db *db, schema_fn *fn, void *arg) MUSTCHECK;
/* Inside a transaction: drop those that are not ours, make our indexes anew.
 * ERR_CORRUPT: a table of ours is not as it was made. */
enum err schema_mend(struct db *db) MUSTCHECK;

#endif
