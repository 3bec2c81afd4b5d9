/*
 * check_key: the number that an inode has of its master key.
 *
 * Which key it is stands in the wrapped data key, which the record's seal
 * covers; keyref is a copy for those who have no keys, and can be made again.
 */
#include <string.h>

#include "store/check_internal.h"

#define BLOB_KEY 8u /* where a wrapped data key names its master key */

static const char set_sql[] = "UPDATE inode SET keyref=?1 WHERE ino=?2";

/* Row ${s} of table keyref is that of the object's key. */
static bool
fits(const struct obj *o, sqlite3_stmt *s)
{
	const char *arn = (const char *)sqlite3_column_text(s, 1);

	return (arn != NULL && kms_blob_under(o->blob, o->bloblen, arn));
}

/* The row for the object's key; ERR_NOENT. */
static enum err
find(struct check *ck, const struct obj *o, uint64_t *ret)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	enum err e;

	TRY(db_prepare(ck->st, "SELECT id, arn FROM keyref", &s));
	while ((e = check_row(ck, s)) == OK)
		if (fits(o, s)) {
			*ret = (uint64_t)sqlite3_column_int64(s, 0);
			return (OK);
		}
	return (e);
}

/* A new row, with the key's ARN from the keystore. */
static enum err
add(struct check *ck, const struct obj *o, uint64_t *ret)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	char id[UUID_STRLEN + 1], arn[KMS_ARN_MAX];

	if (ck->st->kms == NULL || o->bloblen < BLOB_KEY + UUID_LEN)
		return (ERR_NOENT);
	uuid_format(o->blob + BLOB_KEY, id);
	if (kms_key_resolve(ck->st->kms, NULL, id, arn) != OK ||
	    !kms_blob_under(o->blob, o->bloblen, arn))
		return (ERR_NOENT);
	TRY(db_prepare(
	    ck->st, "INSERT INTO keyref(arn, uses) VALUES(?1, 0)", &s));
	(void)sqlite3_bind_text(s, 1, arn, -1, SQLITE_STATIC);
	TRY(check_step(ck, s));
	return (find(ck, o, ret));
}

static enum err
check_row_of(struct check *ck, uint32_t keyref, const struct obj *o, bool *ret)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	enum err e;

	TRY(db_prepare(ck->st, "SELECT id, arn FROM keyref WHERE id=?1", &s));
	(void)sqlite3_bind_int64(s, 1, keyref);
	e = check_row(ck, s);
	*ret = e == OK && fits(o, s);
	return (e == ERR_NOENT ? OK : e);
}

enum err
check_key(struct check *ck, uint64_t ino, uint32_t keyref, const struct obj *o)
{
	const bool cipher = o->method != SSE_NONE;
	uint64_t want = 0;
	bool good = keyref == 0;
	enum err e = OK;

	/* Most files in a row have the same key. */
	if (cipher && keyref != 0 && keyref == ck->key_ref &&
	    o->bloblen >= BLOB_KEY + UUID_LEN &&
	    memcmp(o->blob + BLOB_KEY, ck->key_uuid, UUID_LEN) == 0)
		return (OK);
	if (cipher)
		TRY(check_row_of(ck, keyref, o, &good));
	if (good && cipher) {
		ck->key_ref = keyref;
		memcpy(ck->key_uuid, o->blob + BLOB_KEY, UUID_LEN);
	}
	if (good)
		return (OK);
	if (cipher) {
		e = find(ck, o, &want);
		if (e == ERR_NOENT && ck->repair)
			e = add(ck, o, &want);
		if (e != OK && e != ERR_NOENT)
			return (e);
	}
	check_say(ck, "I8", ino, ck->repair && e == OK,
	    "its master key is noted as number %lu, which it is not",
	    (unsigned long)keyref);
	if (ck->repair && e == OK)
		return (check_fix_add(ck, set_sql, ino, want));
	return (OK);
}
