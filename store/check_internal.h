/*
 * check_internal: what the files of store_check share.
 */
#ifndef STORE_CHECK_INTERNAL_H
#define STORE_CHECK_INTERNAL_H

#include "store/object.h"

struct check {
	struct store *st;
	bool repair;
	void (*cb)(void *arg, const struct store_problem *p);
	void *arg;
	struct store_check_result *ret;
};

/* Report a problem. */
void check_say(struct check *ck, const char *invariant, uint64_t ino,
    bool repaired, const char *fmt, ...) PRINTF(5, 6);

/* One statement of text that is not among the prepared ones.  The caller
 * finalizes it. */
static inline void
check_stmt_close(sqlite3_stmt **s)
{
	(void)sqlite3_finalize(*s);
}
#define CLEANUP_STMT CLEANUP(check_stmt_close)
/* The next row: OK, ERR_NOENT at the end, or an error. */
enum err check_row(struct check *ck, sqlite3_stmt *s) MUSTCHECK;

/* check_sql.c: what SQL can say. */
enum err check_sql(struct check *ck) MUSTCHECK;
/* check_map.c: records, nodes, slots. */
enum err check_map(struct check *ck) MUSTCHECK;

#endif
