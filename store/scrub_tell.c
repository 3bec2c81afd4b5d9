/*
 * scrub_tell: telling of damage, with a path of what is damaged.
 *
 * The table of names is in the order of directories: to find the names of an
 * inode is to look at all of them.  So findings are held back until many are
 * together or some time has passed; then one look finds a name for each, and
 * another one, in the directories above alone, the names of directories.  What
 * is kept has a bound, whatever the tables say.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/clock.h"

#include "store/ns.h"
#include "store/scrub_internal.h"

#define HELD_MAX 16384u             /* findings that wait for a look, … */
#define HELD_MORE (2 * SCRUB_BATCH) /* … and those of the piece begun then */
#define DIRS_MAX 16384u /* directories whose names are looked for at once */
#define DIRS_HASH (2 * DIRS_MAX)
/* A path that is shown has no room for more directories. */
#define CLIMB_MAX (STORE_SHOWN_MAX / 2u + 1)
#define WAIT_NS ((uint64_t)1000000000)
#define WAIT_LOOKS 16u /* looking takes a 16th of the time at most */

/* A finding.  ${name} is of directory ${dir}; 0: it is to be looked for. */
struct held {
	uint64_t ino, off, dir;
	char *name;
	enum err e;
	char *what;
};

/* An inode whose name is looked for. */
struct seek {
	uint64_t ino, dir;
	char *name;
	bool fits; /* and a look-up finds it */
};

struct above {
	uint64_t ino, parent; /* ino 0: a free place */
	char *name;
};

struct tell {
	struct held v[HELD_MAX + HELD_MORE];
	unsigned n;
	uint64_t since_ns, wait_ns;
	struct seek seek[HELD_MAX + HELD_MORE]; /* sorted by number */
	unsigned nseek, nfit;
	struct above dirs[DIRS_HASH];
	struct above *by_parent[DIRS_MAX];
	unsigned ndirs, nleft; /* without a name, of one parent */
	/* The path told last, and before this look: many findings in a row are
	 * of one file. */
	uint64_t last_ino, known_ino;
	char last[STORE_SHOWN_MAX + 1], known[STORE_SHOWN_MAX + 1];
};

struct tell *
tell_new(void)
{
	struct tell *t = calloc(1, sizeof(*t));

	if (t != NULL)
		t->wait_ns = WAIT_NS;
	return (t);
}

static void
held_release(struct held *h)
{
	free(h->name);
	free(h->what);
}

void
tell_free(struct tell *t)
{
	if (t == NULL)
		return;
	for (unsigned i = 0; i < t->n; i++)
		held_release(&t->v[i]);
	free(t);
}

/* ---- Holding -------------------------------------------------------------- */

static void
hold(struct scrub *s, struct held h)
{
	struct tell *t = s->tell;

	s->r->bad++;
	if (h.what == NULL || (h.dir != 0 && h.name == NULL) ||
	    t->n == COUNTOF(t->v)) {
		held_release(&h);
		s->failed = ERR_NOMEM;
		return;
	}
	if (t->n == 0)
		t->since_ns = clock_mono_ns();
	t->v[t->n++] = h;
}

void
scrub_bad(
    struct scrub *s, uint64_t ino, uint64_t off, enum err e, const char *what)
{
	hold(s, (struct held){
		    .ino = ino, .off = off, .e = e, .what = strdup(what) });
}

/* A name as its row has it, which may be none, of any length, as text. */
static char *
name_text(const char *name, size_t len)
{
	const size_t n = len < STORE_NAME_MAX + 1 ? len : STORE_NAME_MAX + 1;
	char *text = calloc(1, n + 1);

	for (size_t i = 0; text != NULL && i < n; i++)
		text[i] = name[i] == '\0' ? '?' : name[i];
	if (text != NULL && n > 1 && text[n - 1] == '/')
		text[n - 1] = '\0';
	return (text);
}

void
scrub_bad_name(struct scrub *s, uint64_t dir, const char *name, size_t len,
    uint64_t ino, const char *what)
{
	hold(s, (struct held){ .ino = ino,
		    .dir = dir,
		    .name = name_text(name, len),
		    .e = ERR_CORRUPT,
		    .what = strdup(what) });
}

/* ---- Names of inodes ------------------------------------------------------ */

static int
seek_order(const void *a, const void *b)
{
	const struct seek *x = a, *y = b;

	return ((x->ino > y->ino) - (x->ino < y->ino));
}

static struct seek *
seek_find(struct tell *t, uint64_t ino)
{
	const struct seek key = { .ino = ino };

	return (bsearch(&key, t->seek, t->nseek, sizeof(key), seek_order));
}

static void
seek_list(struct tell *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n; i++)
		if (t->v[i].dir == 0 && t->v[i].ino > STORE_ROOT &&
		    t->v[i].ino != t->known_ino)
			t->seek[n++] = (struct seek){ .ino = t->v[i].ino };
	qsort(t->seek, n, sizeof(t->seek[0]), seek_order);
	t->nseek = t->nfit = 0;
	for (unsigned i = 0; i < n; i++)
		if (i == 0 || t->seek[i].ino != t->seek[i - 1].ino)
			t->seek[t->nseek++] = t->seek[i];
}

static void
seek_drop(struct tell *t)
{
	for (unsigned i = 0; i < t->nseek; i++)
		free(t->seek[i].name);
	t->nseek = 0;
}

/* Would a look-up of the name find the inode, as far as can be told? */
static enum err
name_fits(struct scrub *s, uint64_t dir, const char *name, size_t len,
    uint64_t ino, bool *ret)
{
	const bool isdir = len > 0 && name[len - 1] == '/';
	struct dname key;
	struct target t;
	enum err e;

	*ret = dname_set(&key, name, len - (isdir ? 1 : 0)) == OK;
	e = scrub_target(s, ino, &t);
	if (e == OK)
		*ret = *ret && dent_fits(dir, isdir, ino, t.mode, t.parent);
	return (e == ERR_NOENT || e == ERR_CORRUPT ? OK : e);
}

static enum err
seek_visit(struct scrub *s, struct visit *v, uint64_t dir, const char *name,
    size_t len, uint64_t ino)
{
	struct tell *t = s->tell;
	struct seek *k = seek_find(t, ino);
	bool fits = false;

	if (k == NULL || k->fits)
		return (OK);
	TRY(name_fits(s, dir, name, len, ino, &fits));
	if (k->name != NULL && !fits)
		return (OK);
	free(k->name);
	k->dir = dir;
	k->name = name_text(name, len);
	k->fits = fits;
	if (k->name == NULL)
		return (ERR_NOMEM);
	t->nfit += fits ? 1 : 0;
	v->enough = t->nfit == t->nseek;
	return (OK);
}

/* ---- Names of directories -------------------------------------------------- */

/* The place of ${ino}, or the free one where it belongs: the table is never
 * more than half full. */
static struct above *
dir_at(struct tell *t, uint64_t ino)
{
	size_t i = (size_t)((ino * 0x9e3779b97f4a7c15u) >> 32) % DIRS_HASH;

	while (t->dirs[i].ino != 0 && t->dirs[i].ino != ino)
		i = (i + 1) % DIRS_HASH;
	return (&t->dirs[i]);
}

/* Note the directory and those above it. */
static enum err
climb(struct scrub *s, uint64_t ino)
{
	struct tell *t = s->tell;

	LOCK_SCOPE(&s->st->db);
	for (unsigned n = 0; n < CLIMB_MAX && ino > STORE_ROOT; n++) {
		struct above *d = dir_at(t, ino);
		struct target is = { .parent = 0 };

		if (d->ino != 0)
			break;
		const enum err e = scrub_target(s, ino, &is);
		if (e != OK && e != ERR_NOENT && e != ERR_CORRUPT)
			return (e);
		*d = (struct above){ .ino = ino, .parent = is.parent };
		t->by_parent[t->ndirs++] = d;
		ino = is.parent;
	}
	return (OK);
}

static int
parent_order(const void *a, const void *b)
{
	const struct above *x = *(struct above *const *)a,
			   *y = *(struct above *const *)b;

	return ((x->parent > y->parent) - (x->parent < y->parent));
}

static enum err
dir_visit(struct scrub *s, struct visit *v, uint64_t dir, const char *name,
    size_t len, uint64_t ino)
{
	struct tell *t = s->tell;
	struct above *d = ino != 0 ? dir_at(t, ino) : NULL;

	if (d == NULL || d->ino == 0 || d->parent != dir || d->name != NULL ||
	    name[len - 1] != '/')
		return (OK);
	d->name = name_text(name, len);
	if (d->name == NULL)
		return (ERR_NOMEM);
	v->enough = --t->nleft == 0;
	return (OK);
}

/* Find the names of all directories noted, each above them looked at once. */
static enum err
dirs_name(struct scrub *s)
{
	struct tell *t = s->tell;

	qsort(t->by_parent, t->ndirs, sizeof(t->by_parent[0]), parent_order);
	for (unsigned i = 0; i < t->ndirs; i += t->nleft) {
		struct visit v = { .name = dir_visit };
		const uint64_t parent = t->by_parent[i]->parent;
		unsigned n = 1;

		while (
		    i + n < t->ndirs && t->by_parent[i + n]->parent == parent)
			n++;
		t->nleft = n;
		TRY(scrub_names_in(s, parent, &v));
		t->nleft = n;
	}
	return (OK);
}

static void
dirs_drop(struct tell *t)
{
	for (unsigned i = 0; i < t->ndirs; i++) {
		free(t->by_parent[i]->name);
		*t->by_parent[i] = (struct above){ .ino = 0 };
	}
	t->ndirs = 0;
}

/* ---- Telling --------------------------------------------------------------- */

/* Put ${text} before what stands at ${at}; false when there is no room. */
static bool
prepend(char *buf, size_t *at, const char *text)
{
	const size_t n = strlen(text);

	/* What shows that there is more must still fit. */
	if (n + strlen(".../") > *at)
		return (false);
	*at -= n;
	memcpy(buf + *at, text, n);
	return (true);
}

/* The path of ${name} in directory ${dir}; of what is not known, or would be
 * too long, ".../" stands in its place. */
static void
path_make(struct tell *t, uint64_t dir, const char *name,
    char ret[static STORE_SHOWN_MAX + 1])
{
	size_t at = STORE_SHOWN_MAX;
	bool more = prepend(ret, &at, name);

	ret[STORE_SHOWN_MAX] = '\0';
	for (unsigned n = 0; more && dir != STORE_ROOT; n++) {
		const struct above *d = dir_at(t, dir);

		more = n < CLIMB_MAX && d->ino != 0 && d->name != NULL &&
		       at > strlen(d->name) + strlen("/.../") &&
		       prepend(ret, &at, "/") && prepend(ret, &at, d->name);
		dir = d->parent;
	}
	if (!more) {
		at -= strlen(".../");
		memcpy(ret + at, ".../", strlen(".../"));
	}
	memmove(ret, ret + at, STORE_SHOWN_MAX + 1 - at);
}

static void
tell_one(struct scrub *s, const struct held *h, bool paths)
{
	struct tell *t = s->tell;
	const struct seek *k = NULL;
	char path[STORE_SHOWN_MAX + 1];
	struct store_damage d = {
		.ino = h->ino, .off = h->off, .e = h->e, .what = h->what
	};

	if (paths && h->dir == 0)
		k = seek_find(t, h->ino);
	if (paths && h->dir != 0) {
		path_make(t, h->dir, h->name, path);
		d.path = path;
	} else if (k != NULL && k->name != NULL) {
		path_make(t, k->dir, k->name, t->last);
		t->last_ino = h->ino;
		d.path = t->last;
	} else if (h->dir == 0 && h->ino != 0 && h->ino == t->known_ino) {
		d.path = t->known;
	}
	if (h->dir == 0 && h->ino == STORE_ROOT)
		d.path = "/";
	if (s->o->bad != NULL)
		s->o->bad(s->o->arg, &d);
}

/* The directory that the finding's name stands in. */
static uint64_t
dir_of(struct tell *t, const struct held *h)
{
	const struct seek *k = h->dir == 0 ? seek_find(t, h->ino) : NULL;

	return (k != NULL && k->name != NULL ? k->dir : h->dir);
}

/* Tell as many, from number ${i} on, as have room for the directories above;
 * ${ret} is the next. */
static enum err
tell_some(struct scrub *s, unsigned i, unsigned *ret)
{
	struct tell *t = s->tell;
	unsigned end = i;
	enum err e = OK;

	for (; e == OK && end < t->n && t->ndirs + CLIMB_MAX <= DIRS_MAX; end++)
		e = climb(s, dir_of(t, &t->v[end]));
	if (e == OK)
		e = dirs_name(s);
	for (; e == OK && i < end; i++)
		tell_one(s, &t->v[i], true);
	dirs_drop(t);
	*ret = i;
	return (e);
}

/* Tell all.  When names cannot be looked at, the rest is told without. */
static enum err
tell_all(struct scrub *s, enum err e)
{
	struct tell *t = s->tell;
	struct visit v = { .name = seek_visit };
	const uint64_t from = clock_mono_ns();
	const bool look = e == OK && !s->stopped;
	unsigned i = 0;

	if (look) {
		seek_list(t);
		if (t->nseek != 0)
			e = scrub_names(s, &v);
		while (e == OK && i < t->n)
			e = tell_some(s, i, &i);
	}
	for (; i < t->n; i++)
		tell_one(s, &t->v[i], false);
	seek_drop(t);
	for (i = 0; i < t->n; i++)
		held_release(&t->v[i]);
	t->n = 0;
	t->known_ino = t->last_ino;
	memcpy(t->known, t->last, sizeof(t->known));
	t->wait_ns = (clock_mono_ns() - from) * WAIT_LOOKS;
	if (t->wait_ns < WAIT_NS)
		t->wait_ns = WAIT_NS;
	return (e);
}

enum err
scrub_settle(struct scrub *s)
{
	struct tell *t = s->tell;

	TRY(s->failed);
	if (t->n == 0 ||
	    (t->n < HELD_MAX && clock_mono_ns() - t->since_ns < t->wait_ns))
		return (OK);
	return (tell_all(s, OK));
}

enum err
scrub_end(struct scrub *s, enum err e)
{
	if (e == OK)
		e = s->failed;
	return (s->tell == NULL || s->tell->n == 0 ? e : tell_all(s, e));
}
