/*
 * schema: the SQL of meta.db, for db.c alone.  What the tables mean stands in
 * store_internal.h and docs/FORMAT.md.  No text here is ever put together with
 * anything: values are bound.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "store/store_internal.h"

#define SCHEMA_APP_ID "1936942438" /* "ssef", for file(1) and for us */

/* All that a program needs to see that it may not go on. */
static const char schema_super[] =
    "PRAGMA application_id=" SCHEMA_APP_ID ";"
    "CREATE TABLE super(one INTEGER PRIMARY KEY CHECK(one=1),"
    " format INTEGER NOT NULL, uuid BLOB NOT NULL, epoch INTEGER NOT NULL,"
    " next_ino INTEGER NOT NULL, next_seg INTEGER NOT NULL,"
    " created INTEGER NOT NULL, flags INTEGER NOT NULL);";

static const char schema_sql[] =
    "CREATE TABLE inode(ino INTEGER PRIMARY KEY, mode INTEGER NOT NULL,"
    " nlink INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,"
    " rdev INTEGER NOT NULL, size INTEGER NOT NULL,"
    " blocks INTEGER NOT NULL, times BLOB NOT NULL,"
    " parent INTEGER NOT NULL, bucket INTEGER NOT NULL,"
    " keyref INTEGER NOT NULL, xattrs INTEGER NOT NULL, obj BLOB);"
    "CREATE TABLE dentry(parent INTEGER NOT NULL, name BLOB NOT NULL,"
    " ino INTEGER NOT NULL, PRIMARY KEY(parent, name)) WITHOUT ROWID;"
    "CREATE TABLE symlink(ino INTEGER PRIMARY KEY, target BLOB NOT NULL);"
    "CREATE TABLE xattr(ino INTEGER NOT NULL, name BLOB NOT NULL,"
    " value BLOB NOT NULL, PRIMARY KEY(ino, name)) WITHOUT ROWID;"
    "CREATE TABLE dflt(ino INTEGER PRIMARY KEY, text TEXT NOT NULL);"
    "CREATE TABLE node(seg INTEGER NOT NULL, level INTEGER NOT NULL,"
    " idx INTEGER NOT NULL, row BLOB NOT NULL,"
    " PRIMARY KEY(seg, level, idx)) WITHOUT ROWID;"
    "CREATE TABLE segment(seg INTEGER PRIMARY KEY, refs INTEGER NOT NULL,"
    " rec BLOB NOT NULL);"
    "CREATE TABLE base(owner INTEGER NOT NULL, start INTEGER NOT NULL,"
    " len INTEGER NOT NULL, seg INTEGER NOT NULL, off INTEGER NOT NULL,"
    " rec BLOB NOT NULL, PRIMARY KEY(owner, start)) WITHOUT ROWID;"
    "CREATE TABLE alloc(grp INTEGER PRIMARY KEY, bits BLOB NOT NULL);"
    "CREATE TABLE orphan(ino INTEGER PRIMARY KEY);"
    "CREATE TABLE dead(seg INTEGER NOT NULL, first INTEGER NOT NULL,"
    " PRIMARY KEY(seg, first)) WITHOUT ROWID;"
    "CREATE TABLE keyref(id INTEGER PRIMARY KEY, arn TEXT NOT NULL UNIQUE,"
    " uses INTEGER NOT NULL);"
    "CREATE TABLE ring(place INTEGER PRIMARY KEY, data BLOB NOT NULL);";

#define SCHEMA_SUPER_ADD "INSERT INTO super VALUES(1, ?1, ?2, 0, ?3, 1, ?4, 0)"

#define INODE_COLS                                                          \
	"mode, nlink, uid, gid, rdev, size, blocks, times, parent, bucket," \
	" keyref, xattrs, obj"
#define INODE_COLS_I                                                        \
	"i.mode, i.nlink, i.uid, i.gid, i.rdev, i.size, i.blocks, i.times," \
	" i.parent, i.bucket, i.keyref, i.xattrs, i.obj"

#define TOP_INT "9223372036854775807" /* texts and blobs come after it */

static const char *const stmt_sql[ST_COUNT_] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",

	[ST_SUPER_GET] = "SELECT format, uuid, epoch, next_ino, next_seg, flags"
			 " FROM super WHERE one=1",
	[ST_SUPER_SET] = "UPDATE super SET epoch=?1, next_ino=?2, next_seg=?3,"
			 " format=?4"
			 " WHERE one=1",
	/* One step into each key's tree. */
	[ST_TOP] = "SELECT (SELECT max(ino) FROM inode), max("
		   "coalesce((SELECT seg FROM node WHERE seg<=" TOP_INT
		   " ORDER BY seg DESC LIMIT 1), 0),"
		   " coalesce((SELECT max(seg) FROM segment), 0),"
		   " coalesce((SELECT owner FROM base WHERE owner<=" TOP_INT
		   " ORDER BY owner DESC LIMIT 1), 0))",

	[ST_INODE_GET] = "SELECT " INODE_COLS " FROM inode WHERE ino=?1",
	[ST_INODE_PUT] = "INSERT OR REPLACE INTO inode VALUES"
			 "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
	[ST_INODE_META] =
	    "UPDATE inode SET mode=?2, nlink=?3, uid=?4, gid=?5,"
	    " rdev=?6, size=?7, blocks=?8, times=?9, parent=?10, bucket=?11,"
	    " keyref=?12, xattrs=?13 WHERE ino=?1",
	[ST_INODE_DEL] = "DELETE FROM inode WHERE ino=?1",

	[ST_DENT_GET] =
	    "SELECT name, ino FROM dentry"
	    " WHERE parent=?1 AND name=?3"
	    " UNION ALL"
	    " SELECT name, ino FROM dentry WHERE parent=?1 AND name=?2",
	[ST_DENT_ADD] = "INSERT INTO dentry VALUES(?1, ?2, ?3)",
	[ST_DENT_DEL] = "DELETE FROM dentry WHERE parent=?1 AND name=?2",
	[ST_DENT_SET] = "UPDATE dentry SET ino=?3 WHERE parent=?1 AND name=?2",
	[ST_DENT_NEXT] =
	    "SELECT d.name, d.ino, i.mode FROM dentry d"
	    " LEFT JOIN inode i ON i.ino=d.ino"
	    " WHERE d.parent=?1 AND d.name>?2 ORDER BY d.name LIMIT ?3",
	[ST_DENT_NEXT_ATTR] =
	    "SELECT d.name, d.ino, " INODE_COLS_I
	    " FROM dentry d LEFT JOIN inode i ON i.ino=d.ino"
	    " WHERE d.parent=?1 AND d.name>?2 ORDER BY d.name LIMIT ?3",
	[ST_DENT_ANY] = "SELECT 1 FROM dentry WHERE parent=?1 LIMIT 1",

	[ST_LINK_GET] = "SELECT target FROM symlink WHERE ino=?1",
	[ST_LINK_PUT] = "INSERT OR REPLACE INTO symlink VALUES(?1, ?2)",
	[ST_LINK_DEL] = "DELETE FROM symlink WHERE ino=?1",

	[ST_XATTR_GET] = "SELECT value FROM xattr WHERE ino=?1 AND name=?2",
	[ST_XATTR_PUT] = "INSERT OR REPLACE INTO xattr VALUES(?1, ?2, ?3)",
	[ST_XATTR_DEL] = "DELETE FROM xattr WHERE ino=?1 AND name=?2",
	[ST_XATTR_DELALL] = "DELETE FROM xattr WHERE ino=?1",
	[ST_XATTR_LIST] = "SELECT name FROM xattr WHERE ino=?1 ORDER BY name",
	[ST_XATTR_SUM] = "SELECT coalesce(sum(length(name) + length(value)), 0)"
			 " FROM xattr WHERE ino=?1",

	[ST_DFLT_GET] = "SELECT text FROM dflt WHERE ino=?1",
	[ST_DFLT_PUT] = "INSERT OR REPLACE INTO dflt VALUES(?1, ?2)",
	[ST_DFLT_DEL] = "DELETE FROM dflt WHERE ino=?1",

	[ST_NODE_GET] = "SELECT row FROM node"
			" WHERE seg=?1 AND level=?2 AND idx=?3",
	[ST_NODE_PUT] = "INSERT INTO node VALUES(?1, ?2, ?3, ?4)"
			" ON CONFLICT(seg, level, idx)"
			" DO UPDATE SET row=excluded.row",
	[ST_NODE_DEL] = "DELETE FROM node WHERE seg=?1 AND level=?2 AND idx=?3",
	/* Where a loop goes on by what a row says of its place, a place that is
	 * no number (SQLite keeps any type) would be met for ever. */
	[ST_NODE_FROM] =
	    "SELECT idx, row FROM node"
	    " WHERE seg=?1 AND level=?2 AND idx>=?3 AND typeof(idx)='integer'"
	    " ORDER BY idx LIMIT ?4",
	[ST_NODE_DELSEG] = "DELETE FROM node WHERE seg=?1",

	[ST_SEG_GET] = "SELECT refs, rec FROM segment WHERE seg=?1",
	[ST_SEG_PUT] = "INSERT OR REPLACE INTO segment VALUES(?1, ?2, ?3)",
	[ST_SEG_REFS] = "UPDATE segment SET refs=refs+?2 WHERE seg=?1",
	[ST_SEG_DEL] = "DELETE FROM segment WHERE seg=?1",

	[ST_BASE_LIST] = "SELECT start, len, seg, off, rec FROM base"
			 " WHERE owner=?1 AND typeof(start)='integer'"
			 " ORDER BY start",
	[ST_BASE_PUT] = "INSERT OR REPLACE INTO base"
			" VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[ST_BASE_DEL] = "DELETE FROM base WHERE owner=?1 AND start=?2",
	[ST_BASE_DELALL] = "DELETE FROM base WHERE owner=?1",

	[ST_ALLOC_GET] = "SELECT grp, bits FROM alloc ORDER BY grp",
	[ST_ALLOC_PUT] = "INSERT OR REPLACE INTO alloc VALUES(?1, ?2)",

	[ST_ORPHAN_PUT] = "INSERT OR IGNORE INTO orphan VALUES(?1)",
	[ST_ORPHAN_DEL] = "DELETE FROM orphan WHERE ino=?1",
	[ST_ORPHAN_NEXT] = "SELECT ino FROM orphan WHERE ino>coalesce(?1, 0)"
			   " ORDER BY ino LIMIT 1",
	[ST_ORPHAN_HAS] = "SELECT 1 FROM orphan WHERE ino=?1",

	[ST_DEAD_PUT] = "INSERT OR IGNORE INTO dead VALUES(?1, ?2)",
	[ST_DEAD_DEL] = "DELETE FROM dead WHERE seg=?1 AND first=?2",
	[ST_DEAD_NEXT] = "SELECT seg, first FROM dead WHERE"
			 " typeof(seg)='integer' AND typeof(first)='integer'"
			 " LIMIT 1",
	[ST_DEAD_HAS] = "SELECT first FROM dead WHERE seg=?1 AND"
			" typeof(first)='integer' ORDER BY first LIMIT 1",

	[ST_KEYREF_FIND] = "SELECT id FROM keyref WHERE arn=?1",
	[ST_KEYREF_ADD] = "INSERT INTO keyref(arn, uses) VALUES(?1, 0)",
	[ST_KEYREF_GET] = "SELECT arn, uses FROM keyref WHERE id=?1",
	[ST_KEYREF_USE] = "UPDATE keyref SET uses=uses+?2 WHERE id=?1",
};

#endif
