/*
 * check_refs: rows of tables dead and base, which name segments.
 */
#include "store/check_internal.h"

/* A note that would free what a file or a copy still has. */
enum err
check_dead(struct check *ck, struct walk *w)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	enum err e;

	TRY(db_prepare(ck->st, "SELECT seg, first FROM dead", &s));
	while ((e = check_row(ck, s)) == OK) {
		const uint64_t no = (uint64_t)sqlite3_column_int64(s, 0);
		const struct owner *o = check_owner(w, no);

		if (o == NULL || (sqlite3_column_int64(s, 1) > 0 &&
				     (o->ino == 0 || o->maybe_dead)))
			continue;
		check_say(ck, "I3", o->ino, ck->repair,
		    "its segment %llu is to be freed", (unsigned long long)no);
		if (ck->repair)
			TRY(check_fix_add(ck,
			    "DELETE FROM dead WHERE seg=?2 AND first=?1", no,
			    (uint64_t)sqlite3_column_int64(s, 1)));
	}
	return (e == ERR_NOENT ? check_fix_all(ck) : e);
}

/* I7: what lies under the segments, told by the file that has it. */
enum err
check_bases(struct check *ck, struct walk *w)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	uint64_t last = 0, end = 0;
	enum err e;

	TRY(db_prepare(ck->st,
	    "SELECT b.owner, b.start, b.len, b.seg, s.seg IS NULL FROM base b"
	    " LEFT JOIN segment s ON s.seg = b.seg ORDER BY b.owner, b.start",
	    &s));
	while ((e = check_row(ck, s)) == OK) {
		const uint64_t no = (uint64_t)sqlite3_column_int64(s, 0);
		const uint64_t start = (uint64_t)sqlite3_column_int64(s, 1);
		const struct owner *o = check_owner(w, no);
		const uint64_t ino = o == NULL ? 0 : o->ino;

		if (o == NULL)
			check_say(ck, "I9", 0, false,
			    "an extent under segment %llu, which belongs to "
			    "nothing",
			    (unsigned long long)no);
		if (sqlite3_column_int(s, 4) != 0)
			check_say(ck, "I7", ino, false,
			    "segment %llu lies over segment %llu, which is "
			    "not there",
			    (unsigned long long)no,
			    (unsigned long long)sqlite3_column_int64(s, 3));
		if (no == last && start < end)
			check_say(ck, "I7", ino, false,
			    "extents under segment %llu overlap at block %llu",
			    (unsigned long long)no, (unsigned long long)start);
		last = no;
		end = start + (uint64_t)sqlite3_column_int64(s, 2);
	}
	return (e == ERR_NOENT ? OK : e);
}
