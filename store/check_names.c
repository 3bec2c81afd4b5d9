/*
 * check_names: the tree of names, and putting it together again.
 *
 * First the directories that names stand in or refer to get their rows, then
 * names that no look-up finds are brought into form or taken away, then every
 * directory has one name, then what has none goes to lost+found (check_lost.c),
 * and circles are cut.  Then each inode hangs below inode 1, and the bucket
 * fields follow.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "store/check_internal.h"

#define DIRS "SELECT ino FROM dentry WHERE " DIRNAME
/* Directories and the buckets they lie in. */
#define PLACES                                                              \
	"WITH RECURSIVE r(ino, b) AS (SELECT ino, ino FROM dentry WHERE "   \
	"parent = 1 AND " DIRNAME " UNION SELECT d.ino, r.b FROM dentry d " \
	"JOIN r ON d.parent = r.ino WHERE " DIRNAME ") "
#define BUCKETS                                                           \
	PLACES                                                            \
	"SELECT x.ino AS ino, i.bucket AS a, x.b AS b FROM (SELECT "      \
	"ino, b FROM r UNION ALL SELECT d.ino, r.b FROM dentry d JOIN r " \
	"ON r.ino = d.parent WHERE NOT (" DIRNAME ")) x JOIN inode i "    \
	"ON i.ino = x.ino WHERE i.bucket <> x.b"
/* Those whose names agree on another bucket than the one noted. */
#define BUCKETS_SURE                                                        \
	"SELECT ino, min(b) AS b FROM (" BUCKETS ") y GROUP BY ino HAVING " \
	"min(b) = max(b) AND (SELECT count(*) FROM dentry e WHERE e.ino = " \
	"y.ino) = count(*)"
#define UNREACHED                                                              \
	"WITH RECURSIVE r(ino) AS (SELECT 1 UNION SELECT d.ino FROM dentry d " \
	"JOIN r ON d.parent = r.ino WHERE " DIRNAME ") SELECT i.ino FROM "     \
	"inode i WHERE " ISDIR("i") " AND i.ino NOT IN r AND i.ino NOT IN "    \
				    "(SELECT ino FROM orphan)"
#define PARENT                                                                 \
	"SELECT d.ino AS ino, i.parent AS a, d.parent AS b FROM dentry d JOIN" \
	" inode i ON i.ino = d.ino WHERE " ISDIR("i") " AND a <> b"
/* Names of directories that have several, of which one stands where the
 * directory says that it does. */
#define FALSE_NAMES                                                          \
	DIRNAME " AND ino IN (SELECT d.ino FROM dentry d JOIN inode i ON "   \
		"i.ino = d.ino WHERE substr(d.name, -1) = x'2f' GROUP BY "   \
		"d.ino HAVING count(*) > 1 AND sum(d.parent = i.parent) = 1" \
		") AND parent <> (SELECT i.parent FROM inode i WHERE i.ino " \
		"= dentry.ino)"
#define IMPOSSIBLE                                                             \
	"(length(name) = 0 OR length(name) > 256 OR (length(name) > 255 AND "  \
	"NOT " DIRNAME ") OR instr(name, x'00') > 0 OR instr(substr(name, 1, " \
	"length(name) - 1), x'2f') > 0 OR name IN (x'2f', x'2e', x'2e2e', "    \
	"x'2e2f', x'2e2e2f'))"
/* Nameless, and not forgotten by an unlink. */
#define UNNAMED                                                            \
	"SELECT i.ino, i.nlink FROM inode i LEFT JOIN " NAMES              \
	" ON n.x = i.ino WHERE n.c IS NULL AND i.ino <> 1 AND (i.nlink <>" \
	" 0 OR i.ino IN (SELECT parent FROM dentry))"
/* What kind an inode is stands in its mode; the rest must agree before a name
 * is made to. */
#define KIND_SURE                                                          \
	"((" ISDIR("i") " AND i.obj IS NULL AND i.ino NOT IN (SELECT ino " \
			"FROM symlink)) OR (NOT " ISDIR(                   \
			    "i") " AND i.ino NOT IN (SELECT "              \
				 "parent FROM dentry) AND (i.obj IS NOT "  \
				 "NULL) = ((i.mode & 61440) = "            \
				 "32768) AND (i.ino IN (SELECT ino FROM "  \
				 "symlink)) = (" ISLNK("i") ")))"
#define KIND_WRONG                                                   \
	"FROM dentry d JOIN inode i ON i.ino = d.ino WHERE (" ISDIR( \
	    "i") ") <> (" DIRNAME ")"
#define KIND_NAME                                                      \
	"CASE WHEN " DIRNAME " THEN substr(name, 1, length(name) - 1)" \
	" ELSE CAST(name || x'2f' AS BLOB) END"
/* … unless that name is taken. */
#define KIND_FREE                                                            \
	"NOT EXISTS (SELECT 1 FROM dentry o WHERE o.parent = d.parent AND "  \
	"o.name = CASE WHEN substr(d.name, -1) = x'2f' THEN substr(d.name, " \
	"1, length(d.name) - 1) ELSE CAST(d.name || x'2f' AS BLOB) END)"

/* Names in form. */
static const struct rule forms[] = {
	{ "I1",
	    "SELECT ino, parent, name FROM dentry WHERE typeof(name) <> "
	    "'blob'",
	    "UPDATE OR IGNORE dentry SET name = CAST(name AS BLOB) WHERE"
	    " typeof(name) <> 'blob'",
	    "its name in directory %1 is not stored as bytes: %n" },
	{ "I1",
	    "SELECT ino, parent, name FROM dentry WHERE typeof(name) = 'blob'"
	    " AND " IMPOSSIBLE,
	    "DELETE FROM dentry WHERE typeof(name) = 'blob' AND " IMPOSSIBLE,
	    "its name in directory %1 is none and is taken away: %n" },
	{ "I1",
	    "SELECT d.ino, d.parent, d.name " KIND_WRONG " AND " KIND_SURE
	    " AND " KIND_FREE,
	    "UPDATE dentry SET name = " KIND_NAME " WHERE (parent, name) IN"
	    " (SELECT d.parent, d.name " KIND_WRONG " AND " KIND_SURE
	    " AND " KIND_FREE ")",
	    "its name in directory %1 is of another kind: %n" },
	{ "I1",
	    "SELECT d.ino, d.parent, d.name " KIND_WRONG " AND NOT (" KIND_SURE
	    " AND " KIND_FREE ")",
	    NULL, "its name in directory %1 is of another kind: %n" },
	{ "I1",
	    "SELECT d.ino, d.parent, d.name FROM dentry d LEFT JOIN inode i"
	    " ON i.ino = d.ino WHERE i.ino IS NULL",
	    NULL,
	    "a name in directory %1 refers to an inode that is not there: "
	    "%n" },
	{ "I2", "SELECT ino, parent, name FROM dentry WHERE " FALSE_NAMES,
	    "DELETE FROM dentry WHERE " FALSE_NAMES,
	    "the directory has a second name in directory %1, which is taken "
	    "away: %n" },
	{ "I2",
	    "SELECT ino, count(*) FROM dentry WHERE " DIRNAME
	    " GROUP BY ino HAVING count(*) > 1",
	    NULL, "the directory has %1 names" },
	{ "I9",
	    "SELECT d.ino, d.parent, d.name FROM dentry d LEFT JOIN inode p"
	    " ON p.ino = d.parent WHERE p.ino IS NULL OR NOT " ISDIR("p"),
	    "DELETE FROM dentry WHERE parent NOT IN (SELECT ino FROM inode p"
	    " WHERE " ISDIR("p") ")",
	    "its name stands in %1, which is no directory, and is taken "
	    "away: %n" },
};

static const struct rule parents[] = {
	{ "I2", PARENT,
	    "UPDATE inode SET parent = q.b FROM (" PARENT
	    ") q WHERE q.ino = inode.ino AND (SELECT count(*) FROM dentry e"
	    " WHERE e.ino = q.ino) = 1",
	    "the directory's parent is noted as %1, its name stands in %2" },
};

static const struct rule buckets[] = {
	{ "I2",
	    "SELECT DISTINCT y.ino, y.a, y.b FROM (" BUCKETS
	    ") y WHERE y.ino IN"
	    " (SELECT ino FROM (" BUCKETS_SURE "))",
	    "UPDATE inode SET bucket = q.b FROM (" BUCKETS_SURE
	    ") q WHERE q.ino = inode.ino",
	    "its bucket is noted as %1, its name stands in %2" },
	{ "I2",
	    "SELECT DISTINCT y.ino, y.a, y.b FROM (" BUCKETS
	    ") y WHERE y.ino NOT IN"
	    " (SELECT ino FROM (" BUCKETS_SURE "))",
	    NULL, "its bucket is noted as %1, a name of it stands in %2" },
};

/* Directories without a row; numbers that were never given out are none. */
static enum err
missing_dirs(struct check *ck)
{
	uint64_t *v CLEANUP_FREE = NULL;
	size_t n = 0;

	TRY(check_list(ck,
	    "SELECT x FROM (SELECT 1 AS x UNION " DIRS
	    " UNION SELECT parent FROM dentry) WHERE x NOT IN (SELECT ino"
	    " FROM inode) AND x NOT IN (SELECT ino FROM dentry WHERE NOT (" //
	    DIRNAME ")) ORDER BY x",
	    &v, &n));
	for (size_t i = 0; i < n; i++) {
		if (v[i] == 0 || v[i] >= ck->st->next_ino)
			continue;
		check_say(ck, "I2", v[i], ck->repair,
		    "the directory's inode is not there%s",
		    ck->repair ? ": made anew with mode 0700" : "");
		if (ck->repair)
			TRY(check_make_dir(ck, v[i]));
	}
	return (OK);
}

static enum err
unnamed(struct check *ck)
{
	uint64_t *v CLEANUP_FREE = NULL;
	size_t n = 0;

	TRY(check_list(ck, UNNAMED, &v, &n));
	for (size_t i = 0; i < n; i++) {
		uint64_t links = 0;

		TRY(check_get(ck, "SELECT nlink FROM inode WHERE ino=?1",
		    &links, 1, v[i]));
		check_say(ck, "I1", v[i], ck->repair,
		    "it has no name, its link count is %llu%s",
		    (unsigned long long)links,
		    ck->repair ? ": put into lost+found" : "");
		if (ck->repair)
			TRY(check_lost(ck, v[i]));
	}
	return (OK);
}

static enum err
parent_of(struct check *ck, uint64_t *ino)
{
	return (check_get(
	    ck, "SELECT parent FROM inode WHERE ino=?1", ino, 1, *ino));
}

/* A directory of the circle that the parents of ${ino} lead into; ERR_NOENT
 * when they lead into none. */
static enum err
circle(struct check *ck, uint64_t ino, uint64_t *ret)
{
	uint64_t slow = ino, fast = ino;

	do {
		for (int i = 0; i < 2; i++) {
			TRY(parent_of(ck, &fast));
			if (fast <= STORE_ROOT)
				return (ERR_NOENT);
		}
		TRY(parent_of(ck, &slow));
	} while (slow != fast);
	*ret = slow;
	do {
		TRY(parent_of(ck, &fast));
		if (fast < *ret)
			*ret = fast;
	} while (fast != slow);
	return (OK);
}

/* Every directory that is left has a name: it lies within itself, or in one
 * that does. */
static enum err
circles(struct check *ck)
{
	uint64_t last = 0, ino, at = 0;
	enum err e;

	while ((e = check_get(ck, UNREACHED, &ino, 0)) == OK) {
		e = circle(ck, ino, &at);
		if (e == ERR_NOENT || at == last)
			return (OK);
		TRY(e);
		last = at;
		check_say(ck, "I2", at, true,
		    "the directory lies within itself: put into lost+found");
		TRY(check_run(ck, "DELETE FROM dentry WHERE ino=?1", 1, at));
		TRY(check_lost(ck, at));
	}
	return (e == ERR_NOENT ? OK : e);
}

static const struct rule unreached[] = {
	{ "I2", UNREACHED, NULL, "the directory is not reached from the root" },
};

enum err
check_names(struct check *ck)
{
	TRY(missing_dirs(ck));
	TRY(check_rules(ck, forms, COUNTOF(forms)));
	TRY(unnamed(ck));
	TRY(check_rules(ck, parents, COUNTOF(parents)));
	if (ck->repair)
		TRY(circles(ck));
	TRY(check_rules(ck, unreached, COUNTOF(unreached)));
	return (check_rules(ck, buckets, COUNTOF(buckets)));
}
