/*
 * scrub_internal: what scrub.c (files, lists) and scrub_seg.c (the pieces of a
 * segment) share.
 */
#ifndef STORE_SCRUB_INTERNAL_H
#define STORE_SCRUB_INTERNAL_H

#include "store/object.h"

#define FOUND_MAX (CHUNK_ENTRIES + 4u)

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

struct scrub {
	struct store *st;
	const struct store_scrub_opts *o;
	struct store_scrub_result *r;
	sqlite3_stmt *inodes, *bases, *segs; /* st->db */
	uint8_t *plain;        /* a block in clear, wiped at the end */
	struct segset seen;    /* frozen segments done, … */
	struct segset damaged; /* … and those where damage was found */
	struct item *queue;
	size_t nqueue;
	struct finding found[FOUND_MAX];
	unsigned nfound;
	uint64_t piece; /* bytes read by the piece */
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

/* Damage, and how far it is; no lock held. */
void scrub_bad(
    struct scrub *s, uint64_t ino, uint64_t off, enum err e, const char *what);
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

#endif
