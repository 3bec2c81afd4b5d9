/*
 * check_internal: what the files of store_check share.
 */
#ifndef STORE_CHECK_INTERNAL_H
#define STORE_CHECK_INTERNAL_H

#include "store/object.h"

/* A value that a column of an inode gets once the walk over them is done. */
struct check_fix {
	const char *sql; /* (value, ino) */
	uint64_t ino, value;
};

struct check {
	struct store *st;
	bool repair;
	void (*cb)(void *arg, const struct store_problem *p);
	void *arg;
	struct store_check_result *ret;
	struct check_fix *fix;
	size_t nfix, fix_cap;
	uint64_t lost_bucket, lost_dir; /* lost+found found last */
	uint32_t key_ref;               /* the last keyref that was right … */
	uint8_t key_uuid[UUID_LEN];     /* … and its master key */
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
/* The first column of the first row with ${n} numbers bound; ERR_NOENT: no
 * row. */
enum err check_get(struct check *ck, const char *sql, uint64_t *ret, unsigned n,
    ...) MUSTCHECK;
/* Run a repair with ${n} numbers (uint64_t) bound.  A failure stops the
 * store. */
enum err check_run(
    struct check *ck, const char *sql, unsigned n, ...) MUSTCHECK;
/* Run a repair whose values the caller has bound. */
enum err check_step(struct check *ck, sqlite3_stmt *s) MUSTCHECK;
/* The first column of all rows; the caller frees. */
enum err check_list(
    struct check *ck, const char *sql, uint64_t **ret, size_t *ret_n) MUSTCHECK;
/* Note a fix; carry out those noted. */
enum err check_fix_add(
    struct check *ck, const char *sql, uint64_t ino, uint64_t value) MUSTCHECK;
enum err check_fix_all(struct check *ck) MUSTCHECK;

/* An invariant that a query can state. */
struct rule {
	const char *invariant;
	const char *query;  /* breaches: inode, numbers, perhaps a name */
	const char *repair; /* NULL: does not follow from the rest */
	const char *what;   /* with %1 for the first number, %2 for the last
				and %n for the name, the last column */
};
enum err check_rules(
    struct check *ck, const struct rule *rules, size_t n) MUSTCHECK;

#define ISDIR(i) "(" i ".mode & 61440) = 16384"
#define ISLNK(i) "(" i ".mode & 61440) = 40960"
#define DIRNAME "substr(name, -1) = x'2f'"
/* Names of each inode. */
#define NAMES "(SELECT ino AS x, count(*) AS c FROM dentry GROUP BY ino) n"

/* check_names.c: the tree of names, and lost+found. */
enum err check_names(struct check *ck) MUSTCHECK;
/* check_lost.c: put ${ino} into lost+found of its bucket. */
enum err check_lost(struct check *ck, uint64_t ino) MUSTCHECK;
/* check_lost.c: make the row of a directory that was lost. */
enum err check_make_dir(struct check *ck, uint64_t ino) MUSTCHECK;
/* check_sql.c: counts that a query can state; check_uses after check_map. */
enum err check_sql(struct check *ck) MUSTCHECK;
enum err check_uses(struct check *ck) MUSTCHECK;
/* check_acl.c: I12. */
enum err check_acl(struct check *ck) MUSTCHECK;
/* check_map.c: records, nodes, slots. */
enum err check_map(struct check *ck) MUSTCHECK;

/* A segment, and what it belongs to. */
struct owner {
	uint64_t no;      /* segment */
	uint64_t ino;     /* 0: a shared segment */
	uint64_t nblocks; /* that its size can have; UINT64_MAX: any */
	uint8_t root[AEAD_TAGLEN];
	uint8_t depth;
	bool maybe_dead; /* table dead may name it */
	bool draining;   /* rows of it wait to be freed */
	bool seen;
	bool embedded; /* its only node stands in the object record */
};
struct walk;
/* The owner of segment ${no}, once all are known; NULL: none. */
struct owner *check_owner(struct walk *w, uint64_t no);
/* check_refs.c: rows that name segments. */
enum err check_dead(struct check *ck, struct walk *w) MUSTCHECK;
enum err check_bases(struct check *ck, struct walk *w) MUSTCHECK;

/* check_kms.c: K1, K2. */
enum err check_kms(struct check *ck) MUSTCHECK;

/* check_key.c: is the inode's keyref that of its wrapped data key? */
enum err check_key(struct check *ck, uint64_t ino, uint32_t keyref,
    const struct obj *o) MUSTCHECK;

#endif
