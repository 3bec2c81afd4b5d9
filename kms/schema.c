/*
 * Is the schema of a keystore the one that we make?
 */
#include <string.h>

#include "kms/schema.h"

static const char schema[] = SCHEMA_1 SCHEMA_3 SCHEMA_5 SCHEMA_7;

enum err
schema_make(struct db *db)
{

	return kdb_exec(db, schema);
}

/* Without an index: this table, too, might have one of somebody's. */
#define OBJECTS                                                     \
	"SELECT type, name, tbl_name, coalesce(sql, '') FROM main." \
	"sqlite_master NOT INDEXED"

static void
db_cleanup(struct db *db)
{

	kdb_close(db);
}

/* One in memory, as it should be. */
static enum err
model(struct db *ret)
{

	TRY(kdb_open(ret, ":memory:", NULL));
	return schema_make(ret);
}

/* Is the object of ${row} in ${db}, word for word? */
static enum err
has(struct db *db, sqlite3_stmt *row, bool *ret)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;

	TRY(kdb_query(db, &st,
	    OBJECTS " WHERE type = ? AND name = ? AND tbl_name = ? "
		    "AND coalesce(sql, '') = ?",
	    ""));
	for (int i = 0; i < 4; i++)
		if (sqlite3_bind_value(
			st, i + 1, sqlite3_column_value(row, i)) != SQLITE_OK)
			return ERR_NOMEM;
	return kdb_step(db, st, ret);
}

/* The objects of ${db} that ${other} has not. */
static enum err
differ(struct db *db, struct db *other, schema_fn *fn, void *arg)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false, same = false;

	TRY(kdb_query(db, &st, OBJECTS, ""));
	for (;;) {
		TRY(kdb_step(db, st, &row));
		if (!row)
			return OK;
		TRY(has(other, st, &same));
		if (!same)
			TRY(fn(arg, st));
	}
}

enum err
schema_check(struct db *db, schema_fn *fn, void *arg)
{
	struct db good CLEANUP(db_cleanup) = { NULL };

	TRY(model(&good));
	TRY(differ(db, &good, fn, arg));
	return differ(&good, db, fn, arg);
}

/* ---- Mending ------------------------------------------------------------- */

struct mend {
	struct db *good;
	sqlite3_str *sql;
};

static enum err
drop(void *arg, sqlite3_stmt *st)
{
	struct mend *m = arg;
	const char *type = (const char *)sqlite3_column_text(st, 0);
	const char *name = (const char *)sqlite3_column_text(st, 1);
	sqlite3_stmt *ours CLEANUP_STMT = NULL;
	bool row = false;

	if (type == NULL || name == NULL)
		return ERR_NOMEM;
	TRY(kdb_query(m->good, &ours,
	    OBJECTS " WHERE type = 'table' AND name = ?", "t", name));
	TRY(kdb_step(m->good, ours, &row));
	/* Keys are in it. */
	if (row ||
	    (strcmp(type, "index") != 0 && strcmp(type, "table") != 0 &&
		strcmp(type, "trigger") != 0 && strcmp(type, "view") != 0))
		return err_fail(ERR_CORRUPT,
		    "keystore: its table %.64s is not as ssefs makes it", name);
	sqlite3_str_appendf(m->sql, "DROP %s IF EXISTS \"%w\";", type, name);
	return OK;
}

static enum err
make(void *arg, sqlite3_stmt *st)
{
	struct mend *m = arg;
	const char *type = (const char *)sqlite3_column_text(st, 0);
	const char *sql = (const char *)sqlite3_column_text(st, 3);

	if (type == NULL || sql == NULL)
		return ERR_NOMEM;
	if (strcmp(type, "index") != 0 || *sql == '\0')
		return err_fail(ERR_CORRUPT, "keystore: a table is missing");
	sqlite3_str_appendf(m->sql, "%s;", sql);
	return OK;
}

enum err
schema_mend(struct db *db)
{
	struct db good CLEANUP(db_cleanup) = { NULL };
	struct mend m = { .good = &good, .sql = sqlite3_str_new(NULL) };
	char *sql;
	enum err e;

	e = model(&good);
	if (e == OK)
		e = differ(db, &good, drop, &m);
	if (e == OK)
		e = differ(&good, db, make, &m);
	if (e == OK && sqlite3_str_errcode(m.sql) != SQLITE_OK)
		e = ERR_NOMEM;
	sql = sqlite3_str_finish(m.sql);
	if (e == OK && sql != NULL)
		e = kdb_exec(db, sql);
	sqlite3_free(sql);
	return e;
}
