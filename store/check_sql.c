/*
 * check_sql: the invariants that a query can state.
 *
 * Each query gives the inode and up to two numbers of every breach; a repair
 * mends all of its breaches at once.
 */
#include <stdio.h>

#include "store/check_internal.h"

#define ISDIR(i) "(" i ".mode & 61440) = 16384"
#define ISLNK(i) "(" i ".mode & 61440) = 40960"
#define DIRNAME "substr(name, -1) = x'2f'"

/* Names of each inode; subdirectories of each directory. */
#define NAMES "(SELECT ino AS x, count(*) AS c FROM dentry GROUP BY ino) n"
#define SUBDIRS                                                         \
	"(SELECT parent AS x, count(*) AS c FROM dentry WHERE " DIRNAME \
	" GROUP BY parent) n"

/* Breaches as (ino, is, want), for the query and for its repair. */
#define LINKS_FILE                                                             \
	"SELECT i.ino AS ino, i.nlink AS a, n.c AS b FROM inode i JOIN " NAMES \
	" ON n.x = i.ino WHERE NOT (" ISDIR("i") ") AND i.nlink <> n.c"
#define LINKS_DIR                                                           \
	"SELECT i.ino AS ino, i.nlink AS a, CASE WHEN o.ino IS NOT NULL"    \
	" THEN 0 ELSE 2 + coalesce(n.c, 0) END AS b FROM inode i LEFT "     \
	"JOIN " SUBDIRS                                                     \
	" ON n.x = i.ino LEFT JOIN orphan o ON o.ino = i.ino WHERE " ISDIR( \
	    "i") " AND a <> b"
#define LINKS_ORPHAN                                                           \
	"SELECT i.ino AS ino, i.nlink AS a, 0 AS b FROM orphan o JOIN inode i" \
	" ON i.ino = o.ino LEFT JOIN " NAMES " ON n.x = i.ino WHERE n.c IS"    \
	" NULL AND i.nlink <> 0 AND NOT (" ISDIR("i") ")"
#define PARENT                                                                 \
	"SELECT d.ino AS ino, i.parent AS a, d.parent AS b FROM dentry d JOIN" \
	" inode i ON i.ino = d.ino WHERE " ISDIR("i") " AND a <> b"
#define XATTRS                                                                 \
	"SELECT i.ino AS ino, i.xattrs AS a, coalesce(n.c, 0) AS b FROM inode" \
	" i LEFT JOIN (SELECT ino AS x, count(*) AS c FROM xattr GROUP BY "    \
	"ino)"                                                                 \
	" n ON n.x = i.ino WHERE a <> b"
#define REFS                                                                  \
	"SELECT 0 AS ino, s.seg AS a, s.refs AS was, coalesce(n.c, 0) AS b"   \
	" FROM segment s LEFT JOIN (SELECT seg AS x, count(*) AS c FROM base" \
	" GROUP BY seg) n ON n.x = s.seg WHERE s.refs <> b"
#define USES                                                                   \
	"SELECT 0 AS ino, k.id AS a, coalesce(n.c, 0) AS b FROM keyref k LEFT" \
	" JOIN (SELECT keyref AS x, count(*) AS c FROM inode GROUP BY keyref)" \
	" n ON n.x = k.id WHERE k.uses <> b"
#define SET_INODE(column, breaches)                               \
	"UPDATE inode SET " column " = q.b FROM (" breaches ") q" \
	" WHERE q.ino = inode.ino"

struct rule {
	const char *invariant;
	const char *query;
	const char *repair; /* NULL: does not follow from the rest */
	const char *what;   /* with %1 and %2 for the two numbers */
};

static const struct rule rules[] = {
	{ "I1",
	    "SELECT d.ino, d.parent FROM dentry d LEFT JOIN inode i"
	    " ON i.ino = d.ino WHERE i.ino IS NULL",
	    NULL,
	    "a name in directory %1 refers to an inode that is not there" },
	{ "I1",
	    "SELECT d.ino, d.parent FROM dentry d JOIN inode i"
	    " ON i.ino = d.ino WHERE (" ISDIR("i") ") <> (" DIRNAME ")",
	    NULL, "its name in directory %1 is of another kind" },
	{ "I1", LINKS_FILE, SET_INODE("nlink", LINKS_FILE),
	    "its link count is %1, it has %2 names" },
	{ "I1", LINKS_DIR, SET_INODE("nlink", LINKS_DIR),
	    "the directory's link count is %1, not %2" },
	{ "I1", LINKS_ORPHAN, SET_INODE("nlink", LINKS_ORPHAN),
	    "it is to be freed, its link count is %1" },
	{ "I1",
	    "SELECT i.ino, i.nlink FROM inode i LEFT JOIN " NAMES
	    " ON n.x = i.ino LEFT JOIN orphan o ON o.ino = i.ino"
	    " WHERE n.c IS NULL AND o.ino IS NULL AND i.nlink <> 0"
	    " AND i.ino <> 1",
	    NULL, "it has no name, its link count is %1" },
	{ "I1",
	    "SELECT i.ino FROM inode i LEFT JOIN " NAMES
	    " ON n.x = i.ino LEFT JOIN orphan o ON o.ino = i.ino"
	    " WHERE n.c IS NULL AND o.ino IS NULL AND i.nlink = 0",
	    "INSERT OR IGNORE INTO orphan SELECT i.ino FROM inode i LEFT "
	    "JOIN " NAMES " ON n.x = i.ino WHERE n.c IS NULL AND i.nlink = 0",
	    "it has no name and nothing will free it" },
	{ "I1", "SELECT ino FROM orphan WHERE ino IN (SELECT ino FROM dentry)",
	    "DELETE FROM orphan WHERE ino IN (SELECT ino FROM dentry)",
	    "it is to be freed but has a name" },

	{ "I2",
	    "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM inode i WHERE"
	    " i.ino = 1 AND " ISDIR("i") ")",
	    NULL, "the directory of buckets is not there" },
	{ "I2",
	    "SELECT ino, count(*) FROM dentry WHERE " DIRNAME
	    " GROUP BY ino HAVING count(*) > 1",
	    NULL, "the directory has %1 names" },
	{ "I2", PARENT, SET_INODE("parent", PARENT),
	    "the directory's parent is noted as %1, its name stands in %2" },
	{ "I2",
	    "WITH RECURSIVE r(ino) AS (SELECT 1 UNION SELECT d.ino FROM"
	    " dentry d JOIN r ON d.parent = r.ino WHERE " DIRNAME ")"
	    " SELECT i.ino, i.parent FROM inode i WHERE " ISDIR(
		"i") " AND i.ino NOT IN r AND i.ino NOT IN (SELECT ino FROM "
		     "orphan)",
	    NULL, "the directory is not reached from the root" },
	{ "I2",
	    "SELECT d.ino, i.bucket, CASE WHEN d.parent = 1 THEN d.ino"
	    " ELSE p.bucket END AS b FROM dentry d JOIN inode i"
	    " ON i.ino = d.ino JOIN inode p ON p.ino = d.parent"
	    " WHERE i.bucket <> b",
	    NULL, "its bucket is noted as %1, its name stands in %2" },

	{ "I7", REFS,
	    "UPDATE segment SET refs = q.b FROM (" REFS
	    ") q WHERE q.a = segment.seg",
	    "the reference count of segment %1 is %2" },
	{ "I7",
	    "SELECT 0, b.owner, b.seg FROM base b LEFT JOIN segment s"
	    " ON s.seg = b.seg WHERE s.seg IS NULL",
	    NULL, "segment %1 lies over segment %2, which is not there" },
	{ "I7",
	    "SELECT 0, owner, start FROM (SELECT owner, start,"
	    " lag(start + len) OVER (PARTITION BY owner ORDER BY start) AS p"
	    " FROM base) WHERE start < p",
	    NULL, "extents under segment %1 overlap at block %2" },

	{ "I8", USES,
	    "UPDATE keyref SET uses = q.b FROM (" USES
	    ") q WHERE q.a = keyref.id",
	    "master key number %1 is used by %2 inodes, another count is"
	    " noted" },
	{ "I8",
	    "SELECT i.ino, i.keyref FROM inode i LEFT JOIN keyref k"
	    " ON k.id = i.keyref WHERE i.keyref <> 0 AND k.id IS NULL",
	    NULL, "its master key number %1 is not there" },

	{ "I9",
	    "SELECT d.ino, d.parent FROM dentry d LEFT JOIN inode p"
	    " ON p.ino = d.parent WHERE p.ino IS NULL",
	    NULL, "its name stands in directory %1, which is not there" },
	{ "I9",
	    "SELECT ino FROM orphan WHERE ino NOT IN"
	    " (SELECT ino FROM inode)",
	    "DELETE FROM orphan WHERE ino NOT IN (SELECT ino FROM inode)",
	    "it is to be freed but is not there" },
	{ "I9",
	    "SELECT DISTINCT ino FROM xattr WHERE ino NOT IN"
	    " (SELECT ino FROM inode)",
	    "DELETE FROM xattr WHERE ino NOT IN (SELECT ino FROM inode)",
	    "extended attributes of an inode that is not there" },
	{ "I9", XATTRS, SET_INODE("xattrs", XATTRS),
	    "%1 extended attributes are noted, there are %2" },
	{ "I9",
	    "SELECT ino FROM dflt WHERE ino NOT IN (SELECT i.ino FROM"
	    " inode i WHERE " ISDIR("i") ")",
	    "DELETE FROM dflt WHERE ino NOT IN (SELECT i.ino FROM inode i"
	    " WHERE " ISDIR("i") ")",
	    "a default encryption of what is no directory" },
	{ "I9",
	    "SELECT ino FROM symlink WHERE ino NOT IN (SELECT i.ino FROM"
	    " inode i WHERE " ISLNK("i") ")",
	    "DELETE FROM symlink WHERE ino NOT IN (SELECT i.ino FROM inode i"
	    " WHERE " ISLNK("i") ")",
	    "a target of what is no symbolic link" },
	{ "I9",
	    "SELECT i.ino, i.size FROM inode i LEFT JOIN symlink s"
	    " ON s.ino = i.ino WHERE " ISLNK(
		"i") " AND coalesce(length(s.target), -1) <> i.size",
	    NULL, "the symbolic link has no target of %1 bytes" },
};

/* Report one breach, its numbers put into the text. */
static void
report(struct check *ck, const struct rule *r, sqlite3_stmt *s)
{
	const int last = sqlite3_column_count(s) - 1;
	char text[256];
	const char *p;
	size_t n = 0;

	for (p = r->what; *p != '\0' && n < sizeof(text) - 24; p++) {
		if (*p != '%') {
			text[n++] = *p;
			continue;
		}
		p++;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%lld",
		    (long long)sqlite3_column_int64(s, *p == '1' ? 1 : last));
	}
	text[n] = '\0';
	check_say(ck, r->invariant, (uint64_t)sqlite3_column_int64(s, 0),
	    ck->repair && r->repair != NULL, "%s", text);
}

static enum err
apply(struct check *ck, const struct rule *r)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	uint64_t found = ck->ret->problems;
	enum err e;

	TRY(db_prepare(ck->st, r->query, &s));
	while ((e = check_row(ck, s)) == OK)
		report(ck, r, s);
	if (e == ERR_CORRUPT) {
		check_say(ck, "I0", 0, false, "meta.db is damaged");
		return (OK);
	}
	if (e != ERR_NOENT)
		return (e);
	if (!ck->repair || r->repair == NULL || ck->ret->problems == found)
		return (OK);
	sqlite3_stmt *fix CLEANUP_STMT = NULL;
	TRY(db_prepare(ck->st, r->repair, &fix));
	e = check_row(ck, fix);
	if (e == ERR_NOENT)
		return (OK);
	return (epoch_stop(ck->st, e, "a repair"));
}

enum err
check_sql(struct check *ck)
{
	size_t i;

	for (i = 0; i < COUNTOF(rules); i++)
		TRY(apply(ck, &rules[i]));
	return (OK);
}
