/*
 * scrub_row: what the tables hold of an inode beside its content.
 *
 * All of it is looked at in one hold of st->db.  An inode in core is newer than
 * its row, except for rows that belong to it: these are written at once.
 */
#include <string.h>
#include <sys/stat.h>

#include "store/acl.h"
#include "store/ns.h"
#include "store/scrub_internal.h"

/* Note damage that is no content's. */
static void
note(struct scrub *s, const struct place *p, const char *what)
{
	scrub_note(s, p, 0, ERR_CORRUPT, what);
}

static enum err
link_check(struct scrub *s, const struct place *p, uint64_t size)
{
	sqlite3_stmt *const q = db_stmt(s->st, ST_LINK_GET);
	enum err e;

	(void)sqlite3_bind_int64(q, 1, (sqlite3_int64)p->ino);
	e = db_row(s->st, ST_LINK_GET);
	if (e == ERR_NOENT || e == ERR_CORRUPT) {
		note(s, p, "the symbolic link's target is missing");
		return (OK);
	}
	TRY(e);
	const int n = sqlite3_column_bytes(q, 0);
	if (n <= 0 || n > STORE_SYMLINK_MAX ||
	    memchr(sqlite3_column_blob(q, 0), '\0', (size_t)n) != NULL)
		note(s, p, "the symbolic link's target is damaged");
	else if ((uint64_t)n != size)
		note(s, p, "the symbolic link's size is not its target's");
	db_done(s->st, ST_LINK_GET);
	return (OK);
}

static enum err
dflt_check(struct scrub *s, const struct place *p)
{
	char text[STORE_DEFAULT_MAX];
	const enum err e = dflt_row(s->st, p->ino, text);

	if (e == ERR_CORRUPT)
		note(s, p, "the default encryption is damaged");
	return (e == ERR_NODATA || e == ERR_CORRUPT ? OK : e);
}

/* An attribute that s->xattrs stands on. */
static const char *
xattr_wrong(sqlite3_stmt *q, uint32_t mode)
{
	const int n = sqlite3_column_bytes(q, 0);
	const char *const name = sqlite3_column_blob(q, 0);

	if (sqlite3_column_type(q, 0) != SQLITE_BLOB || n <= 0 ||
	    n > STORE_XATTR_NAME_MAX || memchr(name, '\0', (size_t)n) != NULL)
		return ("the name of an extended attribute is none");
	if (sqlite3_column_int64(q, 1) > STORE_XATTR_MAX)
		return ("an extended attribute is too long");
	if (sqlite3_column_int(q, 2) == 0)
		return (NULL);
	return (acl_wrong((size_t)n == strlen(STORE_ACL_ACCESS), mode,
	    sqlite3_column_blob(q, 3), (size_t)sqlite3_column_bytes(q, 3)));
}

static enum err
xattrs_check(
    struct scrub *s, const struct place *p, uint32_t mode, uint32_t count)
{
	sqlite3_stmt *const q = s->xattrs;
	const char *wrong = NULL;
	uint32_t n = 0;
	enum err e;

	(void)sqlite3_bind_int64(q, 1, (sqlite3_int64)p->ino);
	/* Each has a name of a byte at least. */
	(void)sqlite3_bind_int64(q, 2, STORE_XATTR_TOTAL + 1);
	while ((e = db_step(s->st, q)) == OK) {
		n++;
		if (wrong == NULL)
			wrong = xattr_wrong(q, mode);
	}
	(void)sqlite3_reset(q);
	if (e == ERR_CORRUPT)
		wrong = "extended attributes cannot be read";
	else if (e != ERR_NOENT)
		return (e);
	else if (wrong == NULL && n != count)
		wrong = "the count of extended attributes is wrong";
	if (wrong != NULL)
		note(s, p, wrong);
	return (OK);
}

/* The row as attributes.  ERR_STALE: there is none, or it is damaged. */
static enum err
row_read(struct scrub *s, const struct place *p, struct store_attr *ret,
    bool *ret_obj)
{
	sqlite3_stmt *const q = db_stmt(s->st, ST_INODE_GET);
	enum err e;

	(void)sqlite3_bind_int64(q, 1, (sqlite3_int64)p->ino);
	e = db_row(s->st, ST_INODE_GET);
	if (e == OK) {
		e = inode_row_attr(q, 0, p->ino, ret);
		*ret_obj = sqlite3_column_type(q, 12) != SQLITE_NULL;
		db_done(s->st, ST_INODE_GET);
	}
	if (e == ERR_CORRUPT)
		note(s, p, "the inode's row is damaged");
	return (e == ERR_CORRUPT || e == ERR_NOENT ? ERR_STALE : e);
}

static enum err
row_locked(struct scrub *s, const struct place *p, bool *ret_file)
{
	struct store_attr a;
	struct inode *ip;
	bool obj = false, gone = false;
	enum err e = row_read(s, p, &a, &obj);

	if (e != OK && e != ERR_STALE)
		return (e);
	ip = inode_peek(s->st, p->ino);
	if (ip != NULL) {
		inode_attr(ip, &a);
		gone = ip->gone;
		inode_put(s->st, ip);
		e = OK;
	}
	if (e != OK || gone)
		return (OK);
	*ret_file = S_ISREG(a.mode);
	if (obj && !S_ISREG(a.mode))
		note(s, p, "it has content and is no regular file");
	if (S_ISLNK(a.mode))
		TRY(link_check(s, p, a.size));
	if (S_ISDIR(a.mode))
		TRY(dflt_check(s, p));
	return (xattrs_check(s, p, a.mode, a.xattrs));
}

enum err
scrub_row(struct scrub *s, struct place *p, bool *ret_file)
{
	enum err e;

	*ret_file = false;
	lock_take(&s->st->db);
	e = row_locked(s, p, ret_file);
	lock_drop(&s->st->db);
	scrub_found(s, p);
	return (e);
}

/* ---- Records --------------------------------------------------------------- */

/* The record in the row, of ${ret_len} bytes, and the size beside it. st->db
 * held. ERR_NOENT. */
static enum err
record_read(struct scrub *s, const struct place *p,
    uint8_t ret[static OBJ_REC_MAX], size_t *ret_len, uint64_t *ret_size)
{
	sqlite3_stmt *const q = db_stmt(s->st, ST_INODE_GET);
	size_t len;

	sqlite3_bind_int64(q, 1, (int64_t)p->ino);
	TRY(db_row(s->st, ST_INODE_GET));
	*ret_size = (uint64_t)sqlite3_column_int64(q, 5);
	len = (size_t)sqlite3_column_bytes(q, 12);
	if (len > OBJ_REC_MAX)
		len = 0;
	if (len != 0)
		memcpy(ret, sqlite3_column_blob(q, 12), len);
	db_done(s->st, ST_INODE_GET);
	*ret_len = len;
	return (OK);
}

/* The key that is noted beside the record, where opening it does not tell.
 * st->db held. */
static enum err
key_check(struct scrub *s, const struct place *p)
{
	const struct obj *o = p->ip->obj;
	char arn[KMS_ARN_MAX];
	enum err e;

	if (s->o->keys || o->method == SSE_NONE)
		return (OK);
	e = keyref_arn(s->st, p->ip->keyref, arn);
	if (e != OK && e != ERR_CORRUPT)
		return (e);
	if (e != OK || !kms_blob_under(o->blob, o->bloblen, arn))
		note(s, p, "its master key is another one than is noted");
	return (OK);
}

enum err
scrub_record(struct scrub *s, const struct place *p)
{
	const struct obj *o = p->ip->obj;
	uint8_t rec[OBJ_REC_MAX];
	struct obj *parsed = NULL;
	size_t len = 0;
	uint64_t size = 0;
	bool same = false;
	enum err e;

	lock_take(&s->st->db);
	e = record_read(s, p, rec, &len, &size);
	if (e == OK) {
		same = p->ip->obj_dirty ||
		       (o->reclen == len && memcmp(o->rec, rec, len) == 0);
		e = key_check(s, p);
	}
	lock_drop(&s->st->db);
	if (e != OK)
		return (e == ERR_NOENT ? OK : e);

	e = obj_parse(len != 0 ? rec : NULL, len, &parsed);
	if (e == ERR_NOMEM)
		return (e);
	if (e != OK)
		note(s, p, "the object record is damaged");
	else if (parsed->size != size)
		note(s, p, "the file's size was altered");
	else if (!same)
		note(s, p, "the object record was altered");
	obj_free(parsed);
	return (OK);
}
