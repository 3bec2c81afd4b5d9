/*
 * crowd_work: a cell begins with the number of its deed and its own; what follows
 * is made from both.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/clock.h"
#include "store/store_internal.h"

#include "tests/crash/crowd_work.h"
#include "tests/crash/cut.h"
#include "tests/crash/seeded.h"
#include "tests/early.h"

/* Cells: of the small file, of the large one, the names. */
#define SMALL 24u
#define SMALL_CELL 512u
#define LARGE 48u
#define LARGE_CELL 4096u
#define NAMES 3u
#define NAME_CELL 5000u
_Static_assert(SMALL + LARGE + NAMES <= CELLS, "cells");

#define OWN_FILES 3
#define OWN_MOST 30000u

static uint64_t
mix(uint64_t a, uint64_t b)
{
	uint64_t rnd = a * 1000003 + b;

	return (rnd_next(&rnd, UINT64_MAX));
}

void
crowd_of_seed(uint64_t seed, struct crowd *c)
{
	static const enum config cfgs[] = { CFG_KMS, CFG_NONE, CFG_SEALED,
		CFG_FRESH };
	uint64_t rnd = seed;

	*c = (struct crowd){ .seed = seed, .opts = base_opts() };
	c->cfg = cfgs[rnd_next(&rnd, COUNTOF(cfgs))];
	c->threads = 2 + (unsigned)rnd_next(&rnd, CROWD - 1);
	c->deeds = 6 + (unsigned)rnd_next(&rnd, 20);
	if (rnd_next(&rnd, 5) == 0)
		c->fail_sync = 1 + (unsigned)rnd_next(&rnd, 20);
	c->eager = rnd_next(&rnd, 3) == 0;
	c->opts.no_redo = rnd_next(&rnd, 3) == 0;
	if (rnd_next(&rnd, 2) == 0)
		c->opts.dirty_max = 50000;
	if (rnd_next(&rnd, 3) == 0)
		c->opts.inode_cache = 3;
}

void
crowd_text(const struct crowd *c, char *ret, size_t size)
{
	(void)snprintf(ret, size,
	    "[%s] %u threads, %u deeds each%s, commits after %zu bytes%s, sync "
	    "%u fails",
	    base_name(c->cfg), c->threads, c->deeds,
	    c->eager ? " and synced" : "", c->opts.dirty_max,
	    c->opts.no_redo ? ", no redo" : "", c->fail_sync);
}

/* ---- Cells ------------------------------------------------------------------------- */

/* Which file a cell is of, NULL for a name, and how many bytes it has. */
static const char *
cell_place(unsigned cell, uint64_t *ret_off, size_t *ret_len)
{
	if (cell < SMALL) {
		*ret_len = SMALL_CELL;
		*ret_off = cell * SMALL_CELL;
		return ("small");
	}
	cell -= SMALL;
	*ret_len = cell < LARGE ? LARGE_CELL : NAME_CELL;
	*ret_off = cell < LARGE ? cell * LARGE_CELL : 0;
	return (cell < LARGE ? "large" : NULL);
}

static void
cell_fill(unsigned deed, unsigned cell, uint8_t *p, size_t len)
{
	uint64_t v = mix(deed, cell);
	const uint32_t head[2] = { deed, cell };

	for (size_t i = 0; i < len; i++) {
		v = v * UINT64_C(6364136223846793005) + 1442695040888963407u;
		p[i] = (uint8_t)(v >> 56);
	}
	memcpy(p, head, sizeof(head));
}

/* The deed that wrote ${p}; UINT32_MAX: it is not whole. */
static uint32_t
cell_deed(unsigned cell, const uint8_t *p, size_t len)
{
	static _Thread_local uint8_t want[NAME_CELL];
	uint32_t head[2];

	memcpy(head, p, sizeof(head));
	if (head[1] != cell)
		return (UINT32_MAX);
	cell_fill(head[0], cell, want, len);
	return (memcmp(p, want, len) == 0 ? head[0] : UINT32_MAX);
}

/* ---- One thread -------------------------------------------------------------------- */

struct shared {
	const struct crowd *c;
	struct crowd_record *rec;
	struct store *st;
	uint64_t bucket, names; /* directories */
	struct store_file *file[2];
	pthread_mutex_t lock; /* the history */
	bool failed;
	char *why;
};

struct hand {
	struct shared *s;
	unsigned no;
	uint64_t rnd, dir;
	uint8_t buf[LARGE * LARGE_CELL];
	pthread_t t;
};

static bool
wrong(struct hand *h, const char *what, enum err e)
{
	(void)pthread_mutex_lock(&h->s->lock);
	if (!h->s->failed)
		(void)because(h->s->why, "thread %u: %s: %s (%s)", h->no, what,
		    err_name(e), err_detail(e));
	h->s->failed = true;
	(void)pthread_mutex_unlock(&h->s->lock);
	return (false);
}

/* A deed or a sync that fails ends the thread; that is right once a sync has
 * failed. */
static bool
went(struct hand *h, const char *what, enum err e)
{
	if (e == OK)
		return (true);
	return (sim_failed() ? false : wrong(h, what, e));
}

static unsigned
deed_begin(struct hand *h, const struct deed *what)
{
	struct history *const hist = &h->s->rec->h;
	unsigned i;

	(void)pthread_mutex_lock(&h->s->lock);
	i = hist->ndeeds++;
	hist->deed[i] = *what;
	hist->deed[i].thread = h->no;
	hist->deed[i].begin = hist->tick++;
	hist->deed[i].end = UINT64_MAX;
	hist->deed[i].pos = sim_changes();
	(void)pthread_mutex_unlock(&h->s->lock);
	return (i);
}

static bool
deed_end(struct hand *h, unsigned i, enum err e)
{
	struct history *const hist = &h->s->rec->h;

	(void)pthread_mutex_lock(&h->s->lock);
	if (e == OK)
		hist->deed[i].end = hist->tick++;
	(void)pthread_mutex_unlock(&h->s->lock);
	return (went(h, hist->deed[i].text, e));
}

/* Cells of a shared file, from one to all. */
static bool
do_write(struct hand *h, unsigned which)
{
	const unsigned all = which == 0 ? SMALL : LARGE;
	struct deed d = { .first = which == 0 ? 0 : SMALL };
	const uint64_t most = rnd_next(&h->rnd, 4) == 0 ? all : 5;
	uint64_t off, at;
	size_t len = 0;
	unsigned i;

	d.ncells = 1 + (unsigned)rnd_next(&h->rnd, most);
	d.first += (unsigned)rnd_next(&h->rnd, all - d.ncells + 1);
	(void)snprintf(d.text, sizeof(d.text), "write of cells %u to %u",
	    d.first, d.first + d.ncells - 1);
	(void)cell_place(d.first, &off, &len);
	i = deed_begin(h, &d);
	for (unsigned k = 0; k < d.ncells; k++) {
		(void)cell_place(d.first + k, &at, &len);
		cell_fill(i, d.first + k, h->buf + k * len, len);
	}
	return (deed_end(h, i,
	    store_write(h->s->file[which], off, h->buf, d.ncells * len, 0)));
}

/* A new file is made, written, and put in the place of a shared name. */
static enum err
replace(struct hand *h, unsigned deed, unsigned cell)
{
	const struct store_new new = { .mode = S_IFREG | 0644 };
	struct store_file *f = NULL;
	char tmp[16], name[16];
	struct store_attr a;
	uint64_t gone = 0;
	enum err e;

	(void)snprintf(tmp, sizeof(tmp), "t%u", h->no);
	(void)snprintf(name, sizeof(name), "n%u", cell - SMALL - LARGE);
	TRY(store_make(
	    h->s->st, &crash_who, h->s->names, tmp, strlen(tmp), &new, &a, &f));
	cell_fill(deed, cell, h->buf, NAME_CELL);
	e = store_write(f, 0, h->buf, NAME_CELL, 0);
	store_release(f);
	TRY(e);
	TRY(store_rename(h->s->st, h->s->names, tmp, strlen(tmp), h->s->names,
	    name, strlen(name), 0, &gone));
	if (gone != 0)
		store_reap(h->s->st, gone);
	return (OK);
}

static bool
do_replace(struct hand *h)
{
	struct deed d = { .ncells = 1 };
	unsigned i;

	d.first = SMALL + LARGE + (unsigned)rnd_next(&h->rnd, NAMES);
	(void)snprintf(d.text, sizeof(d.text), "replacement of n%u",
	    d.first - SMALL - LARGE);
	i = deed_begin(h, &d);
	return (deed_end(h, i, replace(h, i, d.first)));
}

static bool
do_sync(struct hand *h)
{
	struct history *const hist = &h->s->rec->h;
	const unsigned kind = (unsigned)rnd_next(&h->rnd, 3);
	struct promise p;
	enum err e;

	(void)pthread_mutex_lock(&h->s->lock);
	p.begin = hist->tick++;
	(void)pthread_mutex_unlock(&h->s->lock);
	e = kind == 2 ? store_sync(h->s->st)
		      : store_fsync(h->s->st, store_file_ino(h->s->file[kind]));
	if (!went(h, "sync", e))
		return (false);
	(void)pthread_mutex_lock(&h->s->lock);
	p.pos = sim_changes();
	hist->promise[hist->npromises++] = p;
	(void)pthread_mutex_unlock(&h->s->lock);
	return (true);
}

/* All data keys under another version of the master key, while others write. */
static bool
do_rekey(struct hand *h)
{
	const struct store_rekey_opts o = { .who = &crash_who };
	struct kms *const k = store_kms(h->s->st);
	struct store_rekey_result res;
	enum err e;

	if (k == NULL || h->s->c->cfg == CFG_FRESH)
		return (true);
	e = kms_key_rotate(k, &crash_who, "alias/aws/s3");
	if (e == OK)
		e = store_rekey(h->s->st, &o, &res);
	return (went(h, "rekey", e));
}

/* ---- In its own directory ------------------------------------------------------------ */

static void
release(struct store_file **f)
{
	store_release(*f);
}

static enum err
own_content(struct hand *h, const char *name, unsigned kind)
{
	const uint64_t off = rnd_next(&h->rnd, OWN_MOST);
	const uint64_t len = 1 + rnd_next(&h->rnd, OWN_MOST);
	const struct store_new new = { .mode = S_IFREG | 0644 };
	const struct store_attr in = { .size = off };
	struct store_file *f CLEANUP(release) = NULL;
	struct store_attr a;
	enum err e = store_lookup(h->s->st, h->dir, name, strlen(name), &a);

	/* A deed is one call: this is all of it. */
	if (e == ERR_NOENT)
		return (store_make(h->s->st, &crash_who, h->dir, name,
		    strlen(name), &new, &a, &f));
	TRY(e);
	TRY(store_open(h->s->st, &crash_who, a.ino, &f));
	cell_fill((unsigned)off, (unsigned)len, h->buf, len + 8);
	if (kind == 0)
		e = store_setattr(h->s->st, &crash_who, store_file_ino(f),
		    STORE_SET_SIZE, &in, &a);
	else if (kind == 1)
		e = store_fallocate(
		    f, STORE_FALLOC_PUNCH | STORE_FALLOC_KEEP_SIZE, off, len);
	else
		e = early_write(len, f, off, h->buf, len, 0);
	return (e);
}

static enum err
own_names(struct hand *h, const char *name, const char *other, unsigned kind)
{
	uint64_t ino = 0;
	struct store_attr a;
	bool gone = false;
	enum err e;

	if (kind == 0) {
		e = store_unlink(
		    h->s->st, h->dir, name, strlen(name), &ino, &gone);
		if (e == OK && gone)
			store_reap(h->s->st, ino);
		return (e);
	}
	if (kind == 1) {
		e = store_rename(h->s->st, h->dir, name, strlen(name), h->dir,
		    other, strlen(other), 0, &ino);
		if (e == OK && ino != 0)
			store_reap(h->s->st, ino);
		return (e);
	}
	TRY(store_lookup(h->s->st, h->dir, name, strlen(name), &a));
	if (kind == 2)
		return (store_link(
		    h->s->st, a.ino, h->dir, other, strlen(other), &a));
	return (store_xattr_set(
	    h->s->st, a.ino, "user.x", &h->rnd, sizeof(h->rnd), 0));
}

static bool
own_look(struct hand *h, struct deed *d)
{
	static _Thread_local char why[WHY_MAX];
	struct tree t;

	if (!tree_of_dir(h->s->st, h->dir, &t, why))
		return (sim_failed() || wrong(h, why, ERR_CORRUPT));
	d->digest = t.digest;
	tree_clear(&t);
	return (true);
}

static bool
do_own(struct hand *h)
{
	static const char *const kinds[] = { "truncate", "punch", "write",
		"write", "unlink", "rename", "link", "setxattr" };
	const unsigned kind = (unsigned)rnd_next(&h->rnd, COUNTOF(kinds));
	struct deed d = { .own = true };
	char name[16], other[8];
	unsigned i;
	enum err e;

	(void)snprintf(
	    name, sizeof(name), "f%u", (unsigned)rnd_next(&h->rnd, OWN_FILES));
	(void)snprintf(other, sizeof(other), "f%u",
	    (unsigned)rnd_next(&h->rnd, OWN_FILES));
	(void)snprintf(
	    d.text, sizeof(d.text), "%s %s %s", kinds[kind], name, other);
	i = deed_begin(h, &d);
	e = kind < 4 ? own_content(h, name, kind)
		     : own_names(h, name, other, kind - 4);
	if (work_natural(e))
		e = OK;
	return (own_look(h, &h->s->rec->h.deed[i]) && deed_end(h, i, e));
}

static void *
work(void *arg)
{
	struct hand *const h = arg;
	bool good = true;

	for (unsigned i = 0; good && i < h->s->c->deeds; i++) {
		switch (rnd_next(&h->rnd, 12)) {
		case 0:
		case 1:
			good = do_sync(h);
			break;
		case 2:
		case 3:
			good = do_replace(h);
			break;
		case 4:
			good = i % 4 == 0 ? do_rekey(h) : do_sync(h);
			break;
		case 5:
		case 6:
		case 7:
			good = do_own(h);
			break;
		default:
			good = do_write(h, (unsigned)rnd_next(&h->rnd, 2));
			break;
		}
		if (good && h->s->c->eager)
			good = do_sync(h);
	}
	return (NULL);
}

/* ---- All of them --------------------------------------------------------------------- */

static enum err
make_dir(struct store *st, uint64_t in, const char *name, uint64_t *ret)
{
	const struct store_new new = { .mode = S_IFDIR | 0755 };
	struct store_attr a;

	TRY(store_make(st, &crash_who, in, name, strlen(name), &new, &a, NULL));
	*ret = a.ino;
	return (OK);
}

/* Every cell, written by deed 0. */
static enum err
make_shared(struct shared *s, struct hand *h)
{
	static const char *const files[] = { "small", "large" };
	const struct store_new new = { .mode = S_IFREG | 0644 };
	struct store_attr a;
	uint64_t off;
	size_t len;

	TRY(make_dir(s->st, s->bucket, "names", &s->names));
	for (unsigned i = 0; i < 2; i++)
		TRY(store_make(s->st, &crash_who, s->bucket, files[i],
		    strlen(files[i]), &new, &a, &s->file[i]));
	for (unsigned c = 0; c < SMALL + LARGE; c++) {
		(void)cell_place(c, &off, &len);
		cell_fill(0, c, h->buf, len);
		TRY(store_write(
		    s->file[c < SMALL ? 0 : 1], off, h->buf, len, 0));
	}
	for (unsigned c = 0; c < NAMES; c++)
		TRY(replace(h, 0, SMALL + LARGE + c));
	return (OK);
}

static enum err
begin(struct shared *s, struct hand *hands)
{
	struct crowd_record *const rec = s->rec;
	char name[16];

	TRY(make_shared(s, &hands[0]));
	for (unsigned i = 0; i < s->c->threads; i++) {
		hands[i].s = s;
		hands[i].no = i;
		hands[i].rnd = mix(s->c->seed, i + 1);
		(void)snprintf(name, sizeof(name), "own%u", i);
		TRY(make_dir(s->st, s->bucket, name, &hands[i].dir));
	}
	TRY(store_sync(s->st));
	rec->begin = sim_changes();
	rec->h.threads = s->c->threads;
	rec->h.deed[0] = (struct deed){ .ncells = CELLS, .text = "the first" };
	rec->h.ndeeds = 1;
	rec->h.tick = 1;
	for (unsigned i = 0; i < s->c->threads; i++) {
		struct deed d = { .digest = 0 };

		if (!own_look(&hands[i], &d))
			return (ERR_CORRUPT);
		rec->h.at_first[i] = d.digest;
	}
	return (OK);
}

static bool
run(struct shared *s, struct hand *hands)
{
	const enum err e = begin(s, hands);

	if (e != OK)
		return (because(s->why, "before the threads: %s (%s)",
		    err_name(e), err_detail(e)));
	sim_crowd();
	sim_fail_sync(s->c->fail_sync);
	for (unsigned i = 0; i < s->c->threads; i++)
		if (pthread_create(&hands[i].t, NULL, work, &hands[i]) != 0)
			abort();
	for (unsigned i = 0; i < s->c->threads; i++)
		(void)pthread_join(hands[i].t, NULL);
	return (!s->failed);
}

bool
crowd_record(const struct crowd *c, struct crowd_record *ret, char *why)
{
	const struct base *const b = base_get(c->cfg);
	struct hand *hands = must(calloc(CROWD, sizeof(*hands)));
	struct disk *d = disk_clone(b->disk);
	struct shared s = { .c = c,
		.rec = ret,
		.bucket = b->bucket,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.why = why };
	const struct timespec t = { 1000000000, 0 };
	bool good;
	enum err e;

	*ret = (struct crowd_record){ .base = b->disk };
	clock_freeze(&t);
	hands[0].s = &s;
	sim_mount(d, &ret->log);
	e = store_open_dir(&c->opts, &s.st);
	good = e == OK
		   ? run(&s, hands)
		   : because(why, "open: %s (%s)", err_name(e), err_detail(e));
	store_release(s.file[0]);
	store_release(s.file[1]);
	if (s.st != NULL && store_close_dir(s.st) != OK)
		err_clear();
	sim_unmount();
	disk_free(d);
	free(hands);
	return (good);
}

void
crowd_clear(struct crowd_record *r)
{
	iolog_clear(&r->log);
}

/* ---- Looking at it -------------------------------------------------------------------- */

static bool
read_cells(struct store *st, uint64_t dir, const char *name, unsigned first,
    unsigned n, struct view *v, char *why)
{
	static uint8_t buf[LARGE * LARGE_CELL];
	struct store_file *f = NULL;
	struct store_attr a;
	uint64_t off;
	size_t len = 0, got = 0;
	enum err e = store_lookup(st, dir, name, strlen(name), &a);

	(void)cell_place(first, &off, &len);
	if (e == OK)
		e = store_open(st, &crash_who, a.ino, &f);
	if (e == OK)
		e = store_read(f, 0, buf, sizeof(buf), &got);
	store_release(f);
	if (e != OK)
		return (because(
		    why, "%s: %s (%s)", name, err_name(e), err_detail(e)));
	if (got != n * len)
		return (because(why, "%s: %zu bytes", name, got));
	for (unsigned i = 0; i < n; i++) {
		v->cell[first + i] = cell_deed(first + i, buf + i * len, len);
		if (v->cell[first + i] == UINT32_MAX)
			return (because(
			    why, "%s: cell %u is not whole", name, first + i));
	}
	return (true);
}

bool
crowd_view(const struct crowd *c, struct store *st, struct view *v, char *why)
{
	const uint64_t bucket = base_get(c->cfg)->bucket;
	struct store_attr a;
	struct tree t;
	char name[16];

	*v = (struct view){ .cell = { 0 } };
	if (store_lookup(st, bucket, "names", 5, &a) != OK)
		return (because(why, "names is not there"));
	if (!read_cells(st, bucket, "small", 0, SMALL, v, why) ||
	    !read_cells(st, bucket, "large", SMALL, LARGE, v, why))
		return (false);
	for (unsigned i = 0; i < NAMES; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		if (!read_cells(st, a.ino, name, SMALL + LARGE + i, 1, v, why))
			return (false);
	}
	for (unsigned i = 0; i < c->threads; i++) {
		(void)snprintf(name, sizeof(name), "own%u", i);
		if (store_lookup(st, bucket, name, strlen(name), &a) != OK ||
		    !tree_of_dir(st, a.ino, &t, why))
			return (because(why, "%s cannot be read", name));
		v->own[i] = t.digest;
		tree_clear(&t);
	}
	return (true);
}
