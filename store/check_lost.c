/*
 * check_lost: lost+found.
 *
 * What has no name gets one in the directory lost+found of its bucket: "#" and
 * its number.  A bucket's own directory becomes a bucket again, lost-NUMBER.
 * When the bucket is not known either, the bucket lost-found takes it in.  All
 * that is made here has mode 0700.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"

#include "store/check_internal.h"

#define TRIES 1000u /* numbered names, until one is free */

/* A dentry row's name is free, also as one of the other kind. */
static enum err
name_free(struct check *ck, uint64_t dir, const char *name, bool *ret)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	enum err e;

	TRY(db_prepare(ck->st,
	    "SELECT 1 FROM dentry WHERE parent=?1 AND name IN (?2,"
	    " CAST(?2 || x'2f' AS BLOB))",
	    &s));
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)dir);
	(void)sqlite3_bind_blob(s, 2, name, (int)strlen(name), SQLITE_STATIC);
	e = check_row(ck, s);
	*ret = e == ERR_NOENT;
	return (e == ERR_NOENT ? OK : e);
}

static enum err
name_add(
    struct check *ck, uint64_t dir, const char *name, bool isdir, uint64_t ino)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	char row[STORE_NAME_MAX + 2];

	(void)snprintf(row, sizeof(row), "%s%s", name, isdir ? "/" : "");
	TRY(db_prepare(ck->st, "INSERT INTO dentry VALUES(?1, ?2, ?3)", &s));
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)dir);
	(void)sqlite3_bind_blob(s, 2, row, (int)strlen(row), SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 3, (sqlite3_int64)ino);
	TRY(check_step(ck, s));
	if (!isdir)
		return (OK);
	return (check_run(
	    ck, "UPDATE inode SET nlink=nlink+1 WHERE ino=?1", 1, dir));
}

/* The first of ${base}, ${base}.1, … that is free in a directory. */
static enum err
name_pick(
    struct check *ck, uint64_t dir, const char *base, char *ret, size_t size)
{
	bool ok = false;

	(void)snprintf(ret, size, "%s", base);
	for (unsigned i = 1; i <= TRIES; i++) {
		TRY(name_free(ck, dir, ret, &ok));
		if (ok)
			return (OK);
		(void)snprintf(ret, size, "%s.%u", base, i);
	}
	return (ERR_EXIST);
}

/* The row of a directory, which belongs to the owner of ${like} (that of the
 * directory of buckets when that is gone too, else to us). */
static enum err
dir_row(struct check *ck, uint64_t ino, uint64_t parent, uint64_t bucket,
    uint64_t like)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	const struct timespec now = clock_wall();
	uint8_t times[48];

	for (unsigned i = 0; i < 4; i++) {
		put_u64(times + i * 12, (uint64_t)now.tv_sec);
		put_u32(times + i * 12 + 8, (uint32_t)now.tv_nsec);
	}
	TRY(db_prepare(ck->st,
	    "INSERT INTO inode VALUES(?1, 16832, 2 + (SELECT count(*) FROM"
	    " dentry WHERE parent=?1 AND " DIRNAME "),"
	    " coalesce((SELECT uid FROM inode WHERE ino=?5),"
	    " (SELECT uid FROM inode WHERE ino=1), ?6),"
	    " coalesce((SELECT gid FROM inode WHERE ino=?5),"
	    " (SELECT gid FROM inode WHERE ino=1), ?7),"
	    " 0, 4096, 0, ?4, ?2, ?3, 0, 0, NULL)",
	    &s));
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)ino);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)parent);
	(void)sqlite3_bind_int64(s, 3, (sqlite3_int64)bucket);
	(void)sqlite3_bind_blob(s, 4, times, sizeof(times), SQLITE_STATIC);
	(void)sqlite3_bind_int64(s, 5, (sqlite3_int64)like);
	(void)sqlite3_bind_int64(s, 6, getuid());
	(void)sqlite3_bind_int64(s, 7, getgid());
	return (check_step(ck, s));
}

/* ${e} of a query that need not find anything. */
static enum err
maybe(enum err e)
{
	return (e == ERR_NOENT ? OK : e);
}

/*
 * What is known of a directory without a row: where its name stands, which
 * bucket that is in, else which one its files are in.
 */
enum err
check_make_dir(struct check *ck, uint64_t ino)
{
	uint64_t parent = 0, bucket = 0;

	if (ino == STORE_ROOT)
		return (dir_row(ck, ino, STORE_ROOT, 0, ino));
	TRY(maybe(
	    check_get(ck, "SELECT parent FROM dentry WHERE ino=?1 AND " DIRNAME,
		&parent, 1, ino)));
	if (parent == STORE_ROOT)
		bucket = ino;
	else if (parent != 0)
		TRY(maybe(check_get(ck, "SELECT bucket FROM inode WHERE ino=?1",
		    &bucket, 1, parent)));
	if (bucket == 0)
		TRY(maybe(check_get(ck,
		    "SELECT i.bucket FROM dentry d JOIN inode i ON i.ino ="
		    " d.ino WHERE d.parent=?1 AND i.bucket<>0",
		    &bucket, 1, ino)));
	return (dir_row(ck, ino, parent, bucket, STORE_ROOT));
}

static enum err
is_bucket(struct check *ck, uint64_t ino, bool *ret)
{
	uint64_t one;
	const enum err e = check_get(ck,
	    "SELECT 1 FROM dentry d JOIN inode i ON i.ino = d.ino"
	    " WHERE d.parent=1 AND d.ino=?1 AND " ISDIR("i"),
	    &one, 1, ino);

	*ret = e == OK;
	return (maybe(e));
}

/* The bucket for what has none. */
static enum err
stray_bucket(struct check *ck, uint64_t *ret)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	char name[64];
	enum err e;

	e = check_get(ck,
	    "SELECT ino FROM dentry WHERE parent=1 AND"
	    " name=CAST('lost-found/' AS BLOB)",
	    ret, 0);
	if (e != ERR_NOENT)
		return (e);
	*ret = ck->st->next_ino++;
	TRY(name_pick(ck, STORE_ROOT, "lost-found", name, sizeof(name)));
	TRY(dir_row(ck, *ret, STORE_ROOT, *ret, STORE_ROOT));
	TRY(name_add(ck, STORE_ROOT, name, true, *ret));
	/* Files made there are encrypted as in any new bucket. */
	TRY(db_prepare(ck->st, "INSERT INTO dflt VALUES(?1, ?2)", &s));
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)*ret);
	(void)sqlite3_bind_text(
	    s, 2, ck->st->kms != NULL ? "KMS" : "None", -1, SQLITE_STATIC);
	return (check_step(ck, s));
}

static enum err
lost_dir(struct check *ck, uint64_t bucket, uint64_t *ret)
{
	char name[64];
	enum err e;

	*ret = ck->lost_dir;
	if (ck->lost_bucket == bucket && bucket != 0)
		return (OK);
	e = check_get(ck,
	    "SELECT d.ino FROM dentry d JOIN inode i ON i.ino = d.ino WHERE"
	    " d.parent=?1 AND name=CAST('lost+found/' AS BLOB) AND " //
	    ISDIR("i"),
	    ret, 1, bucket);
	if (e == ERR_NOENT) {
		*ret = ck->st->next_ino++;
		TRY(name_pick(ck, bucket, "lost+found", name, sizeof(name)));
		TRY(dir_row(ck, *ret, bucket, bucket, bucket));
		e = name_add(ck, bucket, name, true, *ret);
	}
	TRY(e);
	ck->lost_bucket = bucket;
	ck->lost_dir = *ret;
	return (OK);
}

enum err
check_lost(struct check *ck, uint64_t ino)
{
	uint64_t bucket = 0, isdir = 0, dir = STORE_ROOT;
	char base[64], name[64];
	bool known = false;

	TRY(check_get(
	    ck, "SELECT bucket FROM inode WHERE ino=?1", &bucket, 1, ino));
	TRY(check_get(ck,
	    "SELECT (mode & 61440) = 16384 FROM inode WHERE ino=?1", &isdir, 1,
	    ino));
	if (isdir != 0 && bucket == ino) {
		(void)snprintf(
		    base, sizeof(base), "lost-%llu", (unsigned long long)ino);
	} else {
		TRY(is_bucket(ck, bucket, &known));
		if (!known)
			TRY(stray_bucket(ck, &bucket));
		TRY(lost_dir(ck, bucket, &dir));
		(void)snprintf(
		    base, sizeof(base), "#%llu", (unsigned long long)ino);
	}
	TRY(name_pick(ck, dir, base, name, sizeof(name)));
	TRY(name_add(ck, dir, name, isdir != 0, ino));
	TRY(check_run(ck, "UPDATE inode SET bucket=?2, parent=?3 WHERE ino=?1",
	    3, ino, bucket, isdir != 0 ? dir : 0));
	return (check_run(ck, "DELETE FROM orphan WHERE ino=?1", 1, ino));
}
