/*
 * scrub_internal: what the files of a scrub share: scrub.c (files, lists),
 * scrub_row.c (an inode's rows), scrub_seg.c (the pieces of a segment),
 * scrub_names.c (names) and scrub_tell.c (telling of damage).
 */
#ifndef STORE_SCRUB_INTERNAL_H
#define STORE_SCRUB_INTERNAL_H

#include "store/object.h"

#define FOUND_MAX (CHUNK_ENTRIES + 4u)
#define SCRUB_BATCH 256u /* rows looked at with st->db held */

struct finding {
	uint64_t off;
	enum err e;
	const char *what;
};

/* A frozen segment to be visited; its block b shows, or would show, as block
 * b + shift of the file. */
struct item {
	uint64_t segno;
	int64_t shift;
};

/* Numbers of segments, sorted. */
struct segset {
	uint64_t *v;
	size_t n;
};

struct tell;

struct scrub {
	struct store *st;
	const struct store_scrub_opts *o;
	struct store_scrub_result *r;
	/* st->db */
	sqlite3_stmt *inodes, *bases, *segs;
	sqlite3_stmt *dirs, *names, *odd, *target; /* of names */
	sqlite3_stmt *xattrs;
	uint8_t *plain;        /* a block in clear, wiped at the end */
	struct segset seen;    /* frozen segments done, … */
	struct segset damaged; /* … and those where damage was found */
	struct item *queue;
	size_t nqueue;
	struct finding found[FOUND_MAX];
	unsigned nfound;
	struct tell *tell;
	enum err failed; /* a finding was lost for want of memory */
	uint64_t piece;  /* bytes read by the piece */
	uint64_t total, next_ns, said_ns;
	bool stopped;
};

/* What is being read, and by what right. */
struct place {
	uint64_t ino;
	struct inode *ip;     /* pinned; NULL: a segment nobody was found for */
	struct store_file *f; /* NULL: the file was not opened */
	bool keys;            /* ${f} has its keys */
	bool tags;            /* the segment's map can be followed */
	bool locked;
	bool frozen;
	uint64_t segno;
	int64_t shift;
};

/* ---- scrub.c ------------------------------------------------------------- */

/*
 * scrub_walk(s, q, limit, lost, fn, arg):
 * Call fn(s, number, arg), without st->db, for what ${q} lists: numbers from
 * its first value on, rising, as many as its second value says.  Where pages of
 * the database are damaged, ${lost} (NULL: nothing) is said and what follows is
 * gone on with.  ERR_NOENT of ${fn} ends it.
 */
enum err scrub_walk(struct scrub *s, sqlite3_stmt *q, unsigned limit,
    const char *lost,
    enum err (*fn)(struct scrub *s, int64_t number, void *arg),
    void *arg) MUSTCHECK;

/* ---- scrub_row.c --------------------------------------------------------- */

/* Check what the tables hold of inode p->ino beside its content.  ${ret_file}:
 * it is a regular file, and can be looked at further. */
enum err scrub_row(struct scrub *s, struct place *p, bool *ret_file) MUSTCHECK;
/* Check the object record in its row, and its key: content locked. */
enum err scrub_record(struct scrub *s, const struct place *p) MUSTCHECK;

/* ---- scrub_seg.c --------------------------------------------------------- */

void scrub_progress(struct scrub *s, bool last);
/* Note damage of the piece at block ${blk}; told by scrub_found() when no lock
 * is held. */
void scrub_note(struct scrub *s, const struct place *p, uint64_t blk,
    enum err e, const char *what);
void scrub_found(struct scrub *s, const struct place *p);
/* A file that could not be opened with its key. */
void scrub_refused(struct scrub *s, const struct place *p, enum err e);
/* The content lock of p->ip, shared, with keys as long as they are to be
 * had. */
void scrub_lock(struct scrub *s, struct place *p);
void scrub_unlock(struct place *p);
/* Read segment p->segno with nodes of levels 0..${depth}, piece by piece. */
enum err scrub_segment(
    struct scrub *s, struct place *p, uint8_t depth) MUSTCHECK;

/* ---- scrub_names.c ------------------------------------------------------- */

/* What is done with each name, as its row has it.  st->db is held. */
struct visit {
	enum err (*name)(struct scrub *s, struct visit *v, uint64_t dir,
	    const char *name, size_t len, uint64_t ino);
	bool check;  /* damage is told */
	bool enough; /* no more names are needed */
};
enum err scrub_names(struct scrub *s, struct visit *v) MUSTCHECK;
enum err scrub_names_in(
    struct scrub *s, uint64_t dir, struct visit *v) MUSTCHECK;
/* What a name needs to know of an inode; st->db held.  ERR_NOENT,
 * ERR_CORRUPT. */
struct target {
	uint32_t mode, nlink;
	uint64_t parent;
};
enum err scrub_target(
    struct scrub *s, uint64_t ino, struct target *ret) MUSTCHECK;
/* Check all names. */
enum err scrub_check_names(struct scrub *s) MUSTCHECK;

/* ---- scrub_tell.c -------------------------------------------------------- */

/* NULL: no memory. */
struct tell *tell_new(void);
void tell_free(struct tell *t);
/* Damage, which is told later: any lock may be held. */
void scrub_bad(
    struct scrub *s, uint64_t ino, uint64_t off, enum err e, const char *what);
/* The name, as its row has it, in directory ${dir} is wrong. */
void scrub_bad_name(struct scrub *s, uint64_t dir, const char *name, size_t len,
    uint64_t ino, const char *what);
/* Tell, when it is time; no lock held. */
enum err scrub_settle(struct scrub *s) MUSTCHECK;
/* Tell the rest, with paths unless ${e} says that reading failed; ${e}, or what
 * failed. */
enum err scrub_end(struct scrub *s, enum err e) MUSTCHECK;

#endif
