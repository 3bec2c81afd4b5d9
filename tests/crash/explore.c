/*
 * explore: equal disks are opened once.  What a disk shows depends on nothing
 * else, so that only whether it may show that is asked again.
 *
 * So it is with disks that are alike (alike.h), and what was opened is read only
 * when no disk was alike after its opening.  That both is true is not taken on
 * trust: one in SAMPLE of these is opened and read like a new one, and must
 * show the same.  CRASH_EXACT=1 does that with all of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/alike.h"
#include "tests/crash/explore.h"
#include "tests/crash/state.h"

#define KNOWN_MAX ((size_t)1 << 22)
#define SAMPLE 16u

static char where[1024];

const char *
explore_where(void)
{
	return (where);
}

/* ---- States that were seen -------------------------------------------------------------- */

struct known {
	uint64_t disk, tree;
};

struct set {
	struct known *v;
	size_t n, size;
};

static struct {
	struct set equal;  /* by the whole disk */
	struct set alike;  /* by what counts of it */
	struct set opened; /* the same, of the disk that an opening leaves */
} seen;

static void
set_clear(struct set *s)
{
	free(s->v);
	*s = (struct set){ .n = 0 };
}

void
explore_forget(void)
{
	set_clear(&seen.equal);
	set_clear(&seen.alike);
	set_clear(&seen.opened);
}

static struct known *
set_at(const struct set *s, uint64_t disk)
{
	size_t i = (size_t)(disk >> 7) & (s->size - 1);

	while (s->v[i].tree != 0 && s->v[i].disk != disk)
		i = (i + 1) & (s->size - 1);
	return (&s->v[i]);
}

/* The digest of its tree; 0: it is not known. */
static uint64_t
set_get(const struct set *s, uint64_t disk)
{
	return (s->size == 0 ? 0 : set_at(s, disk)->tree);
}

static void
set_put(struct set *s, uint64_t disk, uint64_t tree)
{
	struct set old;
	struct known *k;

	if (s->n >= KNOWN_MAX)
		set_clear(s);
	if (s->n * 2 >= s->size) {
		old = *s;
		s->size = old.size == 0 ? 4096 : old.size * 2;
		s->v = must(calloc(s->size, sizeof(*s->v)));
		for (size_t i = 0; i < old.size; i++)
			if (old.v[i].tree != 0)
				*set_at(s, old.v[i].disk) = old.v[i];
		free(old.v);
	}
	k = set_at(s, disk);
	s->n += k->tree == 0;
	*k = (struct known){ .disk = disk, .tree = tree };
}

/* ---- One state, judged --------------------------------------------------------------- */

/*
 * Open the store that is on ${d} (which it consumes), read everything, check
 * and close it.  Unless ${whole}, what it shows may be known from a store that
 * was the same after its opening; there is no text then.  False, and why, when
 * anything is wrong.
 */
static bool
verdict(struct disk *d, bool whole, struct tree *ret, char *why)
{
	struct store *st = NULL;
	uint64_t after = 0;
	bool good = state_open(d, &st, why);

	*ret = (struct tree){ .digest = 0 };
	if (good) {
		after = disk_alike(d);
		ret->digest = whole ? 0 : set_get(&seen.opened, after);
	}
	if (good && ret->digest == 0)
		good = tree_of_store(st, ret, why) && state_whole(st, why);
	good = state_close(d, st, good, why);
	if (good)
		set_put(&seen.opened, after, ret->digest);
	else
		tree_clear(ret);
	return (good);
}

static bool
sampled(uint64_t disk)
{
	static int exact = -1;

	if (exact < 0)
		exact = getenv("CRASH_EXACT") != NULL;
	return (exact != 0 || (disk >> 21) % SAMPLE == 0);
}

/*
 * What ${d}, whose sum is ${h}, shows: the digest of its tree.  False, and why,
 * when it is not good.
 */
static bool
shows(const struct disk *d, uint64_t h, uint64_t *ret, uint64_t *opened,
    char *why)
{
	const uint64_t alike = disk_alike(d);
	const uint64_t want = set_get(&seen.alike, alike);
	struct tree t;

	*ret = want;
	if (want == 0 || sampled(h)) {
		++*opened;
		if (!verdict(disk_clone(d), sampled(h), &t, why))
			return (false);
		*ret = t.digest;
		tree_clear(&t);
		if (want != 0 && *ret != want)
			return (because(why,
			    "it shows another tree than a disk that differs in "
			    "nothing that counts"));
	}
	set_put(&seen.equal, h, *ret);
	set_put(&seen.alike, alike, *ret);
	return (true);
}

/* ---- All cuts of a run ------------------------------------------------------------------- */

struct look {
	const struct work *w;
	const struct record *rec;
	struct cursor cur;
	struct counts *c;
	size_t only;
	bool apart; /* it does not begin as a shorter one */
	char *why;
};

static bool
in_window(const struct look *l, uint64_t digest)
{
	unsigned lo, hi;

	record_window(l->rec, l->cur.pos, &lo, &hi);
	for (unsigned i = lo; i <= hi; i++)
		if (l->rec->state[i].tree.digest == digest)
			return (true);
	return (false);
}

/* Why the tree on ${d}, which is well formed, may not be there. */
static void
explain(struct look *l, struct disk *d)
{
	char diff[WHY_MAX / 4], newer[WHY_MAX / 4];
	unsigned lo, hi;
	struct tree t;

	record_window(l->rec, l->cur.pos, &lo, &hi);
	if (!verdict(d, true, &t, l->why))
		return;
	for (unsigned i = 0; i < l->rec->nstates; i++)
		if (l->rec->state[i].tree.digest == t.digest) {
			(void)because(l->why,
			    "it is state %u of the tree, wanted is one of "
			    "%u to %u",
			    i, lo, hi);
			tree_clear(&t);
			return;
		}
	tree_diff(&l->rec->state[lo].tree, &t, diff, sizeof(diff));
	tree_diff(&l->rec->state[hi].tree, &t, newer, sizeof(newer));
	(void)because(l->why,
	    "the tree is none of its states; beside state %u:%s\n"
	    "# beside state %u:%s",
	    lo, diff, hi, newer);
	tree_clear(&t);
}

static uint64_t salt;

void
explore_salt(uint64_t n)
{
	salt = n;
}

static bool
look_at(struct look *l, enum cut kind, unsigned no)
{
	uint64_t rnd =
	    (l->w->seed << 20) ^ ((uint64_t)l->cur.pos << 8) ^ no ^ salt << 44;
	struct disk *d = cursor_cut(&l->cur, kind, &rnd);
	const uint64_t h = disk_hash(d);
	uint64_t digest = set_get(&seen.equal, h);
	bool good = true;

	(void)snprintf(where, sizeof(where), "seed %llu cut %zu state %u (%s)",
	    (unsigned long long)l->w->seed, l->cur.pos, no, cut_name(kind));
	l->c->states++;
	l->c->unlike += digest == 0;
	if (digest == 0)
		good = shows(d, h, &digest, &l->c->opened, l->why);
	/* A store that is not made yet need not open. */
	if (l->cur.pos < l->rec->made)
		good = true;
	else if (good && !in_window(l, digest)) {
		explain(l, disk_clone(d));
		good = false;
	}
	disk_free(d);
	return (good);
}

/* Is the next change a sync?  What is pending is then all that can be. */
static bool
before_sync(const struct cursor *c)
{
	enum io_kind k;

	if (c->pos == c->log->n)
		return (true);
	k = c->log->v[c->pos].kind;
	return (k == IO_SYNC || k == IO_SYNC_DIR || k == IO_SYNC_FAIL);
}

static bool
cut_here(struct look *l)
{
	static const enum cut rich[] = { CUT_FILE, CUT_BUT, CUT_SOME, CUT_SOME,
		CUT_512, CUT_512, CUT_4096, CUT_4096 };
	static const enum cut one[] = { CUT_SOME, CUT_512, CUT_4096, CUT_FILE };
	unsigned no = 0;

	l->c->cuts++;
	if (!look_at(l, CUT_NONE, no++))
		return (false);
	if (l->cur.npend == 0)
		return (true);
	if (!look_at(l, CUT_ALL, no++) || !look_at(l, CUT_FIRST, no++) ||
	    !look_at(l, CUT_LAST, no++))
		return (false);
	if (!before_sync(&l->cur) && l->only == NO_CUT)
		return (look_at(l, one[l->cur.pos % COUNTOF(one)], 10));
	for (unsigned i = 0; i < COUNTOF(rich); i++)
		if (!look_at(l, rich[i], 10 + i))
			return (false);
	return (true);
}

static void
report(struct look *l, const char *what)
{
	char text[600], *why = must(strdup(l->why));

	work_text(l->w, text, sizeof(text));
	(void)because(l->why,
	    "%s\n# %s\n# %s: %s\n# repeat: CRASH_SEED=%llu crash %llu %zu",
	    what, text, where, why, (unsigned long long)salt + 1,
	    (unsigned long long)l->w->seed, l->cur.pos);
	free(why);
}

/* For people: what the run did, and when which state was asked for. */
static void
list_changes(const struct record *rec)
{
	char text[300];

	for (size_t i = 0; i <= rec->log.n; i++) {
		for (unsigned k = 0; k < rec->nacks; k++)
			if (rec->ack[k].pos == i)
				(void)printf("#   -- state %u is promised\n",
				    rec->ack[k].state);
		for (unsigned k = 0; k < rec->nstates; k++)
			if (rec->state[k].begin == i)
				(void)printf("#   -- to state %u\n", k);
		if (i == rec->log.n)
			break;
		io_text(&rec->log.v[i], text, sizeof(text));
		(void)printf("# %3zu %s\n", i, text);
	}
}

/* Is what a cut here may leave known from the sequence of the first step alone? */
static bool
known_before(const struct look *l)
{
	return (l->w->begins_as_one && !l->apart && l->rec->nacks > 0 &&
		l->cur.pos < l->rec->ack[0].pos);
}

static bool
same_io(const struct io *a, const struct io *b)
{
	return (a->kind == b->kind && a->file == b->file && a->off == b->off &&
		a->len == b->len && strcmp(a->path, b->path) == 0 &&
		strcmp(a->to, b->to) == 0 &&
		(a->kind != IO_WRITE ||
		    memcmp(a->data, b->data, (size_t)a->len) == 0));
}

/*
 * That is so, in one of SAMPLE runs asked.  A thread of the store's own that came
 * sooner or later makes it another run, which is then cut from its beginning, and
 * counted.
 */
static bool
begins_as_said(struct look *l)
{
	const struct record *const rec = l->rec;
	struct record first;
	struct work w;
	bool good, same;

	if (!l->w->begins_as_one || rec->nacks == 0 || l->w->seed % SAMPLE != 0)
		return (true);
	work_first(l->w, &w);
	good = work_record(&w, &first, l->why);
	same = good && first.nacks > 0 && first.ack[0].pos == rec->ack[0].pos;
	for (size_t i = 0; same && i < rec->ack[0].pos; i++)
		same = same_io(&rec->log.v[i], &first.log.v[i]);
	l->apart = !same;
	l->c->asked++;
	l->c->apart += !same;
	record_clear(&first);
	return (good);
}

bool
explore(const struct work *w, size_t only, struct counts *c, char *why)
{
	struct record rec;
	struct work other;
	struct look l = {
		.w = w, .rec = &rec, .c = c, .only = only, .why = why
	};
	bool good;

	(void)snprintf(where, sizeof(where), "seed %llu, being recorded",
	    (unsigned long long)w->seed);
	c->works++;
	why[0] = '\0';
	good = work_record(w, &rec, why);
	if (good && rec.idle > 0 && work_elsewhere(w, &other)) {
		record_clear(&rec);
		l.w = w = &other;
		good = work_record(w, &rec, why);
	}
	good = good && begins_as_said(&l);
	if (!good)
		report(&l, "the run itself");
	/* A step that did nothing makes it another, shorter sequence. */
	if (!good || (rec.idle > 0 && w->n > 2 && only == NO_CUT)) {
		c->idle += good;
		record_clear(&rec);
		return (good);
	}
	if (only != NO_CUT)
		list_changes(&rec);
	cursor_start(&l.cur, rec.base->disk, &rec.log);
	do {
		if (only == NO_CUT ? !known_before(&l) : l.cur.pos == only)
			good = cut_here(&l);
	} while (good && cursor_step(&l.cur));
	if (!good)
		report(&l, "a power cut");
	cursor_end(&l.cur);
	record_clear(&rec);
	return (good);
}
