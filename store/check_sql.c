/*
 * check_sql: counts, and other invariants that a query can state.
 *
 * Each query gives the inode and up to two numbers of every breach; a repair
 * mends all of its breaches at once.
 */
#include <stdio.h>

#include "store/check_internal.h"

/* Subdirectories of each directory. */
#define SUBDIRS                                                         \
	"(SELECT parent AS x, count(*) AS c FROM dentry WHERE " DIRNAME \
	" GROUP BY parent) n"

/* Breaches as (ino, is, want), for the query and for its repair. */
#define LINKS_FILE                                                             \
	"SELECT i.ino AS ino, i.nlink AS a, n.c AS b FROM inode i JOIN " NAMES \
	" ON n.x = i.ino WHERE NOT (" ISDIR("i") ") AND i.nlink <> n.c"
#define LINKS_DIR                                                            \
	"SELECT i.ino AS ino, i.nlink AS a, 2 + coalesce(n.c, 0) AS b FROM " \
	"inode i LEFT JOIN " SUBDIRS " ON n.x = i.ino WHERE " ISDIR(         \
	    "i") " "                                                         \
		 "AND a <> b AND (i.ino = 1 OR i.ino IN (SELECT ino FROM "   \
		 "dentry))"
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
#define TARGETS                                                                \
	"SELECT i.ino AS ino, i.size AS a, length(CAST(s.target AS BLOB)) AS " \
	"b FROM inode i JOIN symlink s ON s.ino = i.ino WHERE " ISLNK(         \
	    "i") " AND a <> b"
/* What inode.c refuses. */
#define NOT_IN(col, most) " OR " col " NOT BETWEEN 0 AND " most
#define NOT_U32(col) NOT_IN(col, "4294967295")
#define NOBODY                               \
	"ino NOT IN (SELECT ino FROM inode)" \
	" AND ino NOT IN (SELECT ino FROM dentry)"
#define SET_INODE(column, breaches)                               \
	"UPDATE inode SET " column " = q.b FROM (" breaches ") q" \
	" WHERE q.ino = inode.ino"

static const struct rule rules[] = {
	{ "I1", LINKS_FILE, SET_INODE("nlink", LINKS_FILE),
	    "its link count is %1, it has %2 names" },
	{ "I1", LINKS_DIR, SET_INODE("nlink", LINKS_DIR),
	    "the directory's link count is %1, not %2" },
	{ "I1",
	    "SELECT i.ino FROM inode i LEFT JOIN " NAMES
	    " ON n.x = i.ino LEFT JOIN orphan o ON o.ino = i.ino"
	    " WHERE n.c IS NULL AND o.ino IS NULL AND i.nlink = 0"
	    " AND i.ino NOT IN (SELECT parent FROM dentry)",
	    "INSERT OR IGNORE INTO orphan SELECT i.ino FROM inode i LEFT "
	    "JOIN " NAMES " ON n.x = i.ino WHERE n.c IS NULL AND i.nlink = 0"
	    " AND i.ino NOT IN (SELECT parent FROM dentry)",
	    "it has no name and nothing will free it" },
	{ "I1", "SELECT ino FROM orphan WHERE ino IN (SELECT ino FROM dentry)",
	    "DELETE FROM orphan WHERE ino IN (SELECT ino FROM dentry)",
	    "it is to be freed but has a name" },

	{ "I7", REFS,
	    "UPDATE segment SET refs = q.b FROM (" REFS
	    ") q WHERE q.a = segment.seg",
	    "the reference count of segment %1 is %2" },

	{ "I9",
	    "SELECT ino FROM orphan WHERE ino NOT IN"
	    " (SELECT ino FROM inode)",
	    "DELETE FROM orphan WHERE ino NOT IN (SELECT ino FROM inode)",
	    "it is to be freed but is not there" },
	/* What a name still leads to waits for its inode's row. */
	{ "I9", "SELECT DISTINCT ino FROM xattr WHERE " NOBODY,
	    "DELETE FROM xattr WHERE " NOBODY,
	    "extended attributes of an inode that is not there, nor named" },
	{ "I9",
	    "SELECT DISTINCT ino FROM xattr WHERE ino NOT IN (SELECT ino"
	    " FROM inode) AND ino IN (SELECT ino FROM dentry)",
	    NULL, "extended attributes of an inode that is not there" },
	{ "I9", XATTRS, SET_INODE("xattrs", XATTRS),
	    "%1 extended attributes are noted, there are %2" },
	{ "I9",
	    "SELECT ino FROM dflt WHERE ino NOT IN (SELECT i.ino FROM"
	    " inode i WHERE " ISDIR("i") ")",
	    "DELETE FROM dflt WHERE ino NOT IN (SELECT i.ino FROM inode i"
	    " WHERE " ISDIR("i") ")",
	    "a default encryption of what is no directory" },
	{ "I9",
	    "SELECT ino FROM symlink WHERE ino IN (SELECT i.ino FROM"
	    " inode i WHERE NOT " ISLNK("i") ") OR " NOBODY,
	    "DELETE FROM symlink WHERE ino IN (SELECT i.ino FROM inode i"
	    " WHERE NOT " ISLNK("i") ") OR " NOBODY,
	    "a target of what is no symbolic link" },
	{ "I9",
	    "SELECT ino FROM symlink WHERE ino NOT IN (SELECT ino FROM inode)"
	    " AND ino IN (SELECT ino FROM dentry)",
	    NULL, "a symbolic link's target whose inode is not there" },
	{ "I9", TARGETS, SET_INODE("size", TARGETS),
	    "the symbolic link's size is %1, its target has %2 bytes" },
	{ "I9",
	    "SELECT i.ino FROM inode i LEFT JOIN symlink s ON s.ino = i.ino"
	    " WHERE " ISLNK("i") " AND s.ino IS NULL",
	    NULL, "the symbolic link has no target" },

	{ "I6",
	    "SELECT ino, mode FROM inode WHERE typeof(times) <> 'blob' OR"
	    " length(times) <> 48 OR (mode & 61440) NOT IN (4096, 8192, 16384,"
	    " 24576, 32768, 40960, 49152)" NOT_U32("mode") NOT_U32("nlink")
		NOT_U32("uid") NOT_U32("gid") NOT_U32("rdev") NOT_U32("keyref")
		    NOT_U32("xattrs") NOT_IN("size", "35184372088832")
			NOT_IN("blocks", "8589934592")
			    NOT_IN("parent", "281474976710655")
				NOT_IN("bucket", "281474976710655"),
	    NULL, "the inode's row is damaged" },

	{ "I0",
	    "SELECT 0, n FROM (SELECT count(*) AS n FROM ("
	    "SELECT 1 FROM node WHERE typeof(seg) <> 'integer' OR"
	    " typeof(level) <> 'integer' OR typeof(idx) <> 'integer'"
	    " UNION ALL SELECT 1 FROM base WHERE typeof(owner) <> 'integer' OR"
	    " typeof(start) <> 'integer'"
	    " UNION ALL SELECT 1 FROM dead WHERE typeof(seg) <> 'integer' OR"
	    " typeof(first) <> 'integer'"
	    " UNION ALL SELECT 1 FROM xattr WHERE typeof(ino) <> 'integer' OR"
	    " typeof(name) <> 'blob')) WHERE n > 0",
	    NULL, "%1 rows have keys of a wrong type and are not used" },
};

static const struct rule uses[] = {
	{ "I8", USES,
	    "UPDATE keyref SET uses = q.b FROM (" USES
	    ") q WHERE q.a = keyref.id",
	    "master key number %1 is used by %2 inodes, another count is"
	    " noted" },
};

/* Names may hold anything. */
static size_t
put_name(char *to, size_t room, sqlite3_stmt *s, int col)
{
	const uint8_t *p = sqlite3_column_blob(s, col);
	const size_t len = (size_t)sqlite3_column_bytes(s, col);
	size_t i;

	for (i = 0; i < len && i < room; i++)
		to[i] = (char)(p[i] < 0x20 || p[i] > 0x7e ? '?' : p[i]);
	return (i);
}

/* Report one breach, its numbers and its name put into the text. */
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
		if (*p == 'n')
			n += put_name(text + n, sizeof(text) - 24 - n, s, last);
		else
			n +=
			    (size_t)snprintf(text + n, sizeof(text) - n, "%lld",
				(long long)sqlite3_column_int64(
				    s, *p == '1' ? 1 : last));
	}
	text[n] = '\0';
	check_say(ck, r->invariant, (uint64_t)sqlite3_column_int64(s, 0),
	    ck->repair && r->repair != NULL, "%s", text);
}

static enum err
apply(struct check *ck, const struct rule *r)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	const uint64_t found = ck->ret->problems;
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
	return (check_run(ck, r->repair, 0));
}

enum err
check_rules(struct check *ck, const struct rule *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		TRY(apply(ck, &r[i]));
	return (OK);
}

enum err
check_sql(struct check *ck)
{
	return (check_rules(ck, rules, COUNTOF(rules)));
}

enum err
check_uses(struct check *ck)
{
	return (check_rules(ck, uses, COUNTOF(uses)));
}
