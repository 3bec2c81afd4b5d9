/*
 * check_acl: I12, lists and the modes of their inodes.
 *
 * Nothing is repaired: which of two that disagree is right cannot be known, nor
 * what a list said that can be read no more.  chmod(1) brings a list and the
 * mode together again, setfacl -b removes one.
 */
#include <string.h>

#include "store/acl.h"
#include "store/check_internal.h"

#define LISTS                                                             \
	"SELECT x.ino, x.name, x.value, i.mode FROM xattr x JOIN inode i" \
	" ON i.ino = x.ino WHERE x.name IN (CAST('" STORE_ACL_ACCESS      \
	"' AS BLOB), CAST('" STORE_ACL_DEFAULT "' AS BLOB))"

static void
check_one(struct check *ck, sqlite3_stmt *s)
{
	const uint64_t ino = (uint64_t)sqlite3_column_int64(s, 0);
	const bool access =
	    (size_t)sqlite3_column_bytes(s, 1) == strlen(STORE_ACL_ACCESS);
	const char *const wrong =
	    acl_wrong(access, (uint32_t)sqlite3_column_int64(s, 3),
		sqlite3_column_blob(s, 2), (size_t)sqlite3_column_bytes(s, 2));

	if (wrong != NULL)
		check_say(ck, "I12", ino, false, "%s", wrong);
}

enum err
check_acl(struct check *ck)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	enum err e;

	_Static_assert(sizeof(STORE_ACL_ACCESS) != sizeof(STORE_ACL_DEFAULT),
	    "the length tells which of the names it is");
	TRY(db_prepare(ck->st, LISTS, &s));
	while ((e = check_row(ck, s)) == OK)
		check_one(ck, s);
	return (e == ERR_NOENT ? OK : e);
}
