/*
 * uses: what uses a master key, for the keystore, which deletes none that is in
 * use.
 */
#include <stdio.h>
#include <string.h>

#include "store/object.h"

static const char defaults_sql[] =
    "SELECT count(*) FROM dflt WHERE text=?1 OR text=?2";

/* The text of a default that names the key without its ARN. */
static const char *
short_name(const struct kms_desc *d)
{
	if (d->is_service)
		return ("AES256");
	return (d->is_default ? "KMS" : "");
}

static enum err
count_defaults(struct store *st, const struct kms_desc *d, uint64_t *ret)
{
	char text[STORE_DEFAULT_MAX];
	sqlite3_stmt *s = NULL;
	enum err e;

	(void)snprintf(text, sizeof(text), "KMS:%s", d->arn);
	TRY(db_prepare(st, defaults_sql, &s));
	(void)sqlite3_bind_text(s, 1, text, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(s, 2, short_name(d), -1, SQLITE_STATIC);
	e = db_step(st, s);
	if (e == OK)
		*ret = (uint64_t)sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return (e == ERR_NOENT ? ERR_INTERNAL : e);
}

enum err
uses_count(
    void *arg, const struct kms_desc *d, bool wait UNUSED, struct kms_uses *ret)
{
	struct store *st = arg;

	LOCK_SCOPE(&st->db);
	TRY(keyref_uses(st, d->arn, &ret->objects));
	return (count_defaults(st, d, &ret->defaults));
}
