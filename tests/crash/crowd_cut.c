/*
 * crowd_cut: a run is not the same twice, so that what it did is all in its
 * record, and a report tells it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/alike.h"
#include "tests/crash/crowd_cut.h"
#include "tests/crash/cut.h"
#include "tests/crash/state.h"

#define STUCK 300 /* seconds for the threads, and for each state */
#define SEEN 4096 /* states of one run that are remembered */
#define EVERY 6
#define MORE 5 /* states of one cut besides two, at most */

struct look {
	const struct crowd *c;
	struct crowd_record rec;
	struct cursor cur;
	struct {
		uint64_t disk;
		struct view v;
	} seen[SEEN];
	unsigned nseen;
	struct crowd_counts *counts;
	char why[WHY_MAX];
};

static char where[200];

static void
died(int sig)
{
	char text[300];
	const int n = snprintf(text, sizeof(text), "not ok - signal %d%s: %s\n",
	    sig, sig == SIGALRM ? " (it hangs)" : "", where);

	if (write(STDOUT_FILENO, text, (size_t)n) < 0)
		_exit(3);
	_exit(2);
}

void
crowd_signals(void)
{
	static const int sigs[] = { SIGSEGV, SIGABRT, SIGBUS, SIGALRM, SIGFPE };

	for (size_t i = 0; i < COUNTOF(sigs); i++)
		(void)signal(sigs[i], died);
}

/* Put the files of ${d} where people can look at them. */
static void
keep(const struct disk *d)
{
	const char *dir = getenv("CRASH_KEEP");
	char path[400];
	uint8_t buf[4096];
	uint64_t len;
	FILE *f;

	if (dir == NULL)
		return;
	for (int i = 0; i < d->nnames; i++) {
		const struct disk_name *const n = &d->name[i];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, n->path);
		if (n->file < 0) {
			(void)mkdir(path, 0700);
			continue;
		}
		f = fopen(path, "w");
		for (uint64_t at = 0; f != NULL && at < d->file[n->file]->size;
		     at += len) {
			len = d->file[n->file]->size - at;
			len = len < sizeof(buf) ? len : sizeof(buf);
			image_read(d->file[n->file], at, buf, (size_t)len);
			(void)fwrite(buf, 1, (size_t)len, f);
		}
		if (f != NULL)
			(void)fclose(f);
	}
}

/* What ${d} shows. */
static bool
view_of(struct look *l, const struct disk *d, struct view *ret)
{
	const uint64_t alike = disk_alike(d);
	struct store *st = NULL;
	struct disk *c;
	bool good;

	for (unsigned i = 0; i < l->nseen; i++)
		if (l->seen[i].disk == alike) {
			*ret = l->seen[i].v;
			return (true);
		}
	l->counts->opened++;
	c = disk_clone(d);
	good = state_open(c, &st, l->why) &&
	       crowd_view(l->c, st, ret, l->why) && state_whole(st, l->why);
	good = state_close(c, st, good, l->why);
	if (good && l->nseen < SEEN) {
		l->seen[l->nseen].disk = alike;
		l->seen[l->nseen++].v = *ret;
	}
	return (good);
}

static bool
look_at(struct look *l, enum cut kind, uint64_t *rnd)
{
	struct disk *d = cursor_cut(&l->cur, kind, rnd);
	struct view v;
	bool good;

	(void)snprintf(where, sizeof(where), "seed %llu, cut %zu of %zu, %s",
	    (unsigned long long)l->c->seed, l->cur.pos, l->rec.log.n,
	    cut_name(kind));
	(void)alarm(STUCK);
	l->counts->states++;
	good = view_of(l, d, &v) &&
	       history_allows(&l->rec.h, &v, l->cur.pos, l->why);
	if (!good)
		keep(d);
	disk_free(d);
	return (good);
}

/* Has a sync just returned? */
static bool
promised(const struct look *l)
{
	for (unsigned i = 0; i < l->rec.h.npromises; i++)
		if (l->rec.h.promise[i].pos == l->cur.pos)
			return (true);
	return (false);
}

static bool
cut_here(struct look *l, uint64_t *rnd)
{
	static const enum cut kinds[] = { CUT_SOME, CUT_512, CUT_4096, CUT_FILE,
		CUT_BUT, CUT_FIRST, CUT_LAST };
	const unsigned n = 1 + (unsigned)rnd_next(rnd, MORE);

	l->counts->cuts++;
	if (!look_at(l, CUT_NONE, rnd))
		return (false);
	if (l->cur.npend == 0)
		return (true);
	if (!look_at(l, CUT_ALL, rnd))
		return (false);
	for (unsigned i = 0; i < n; i++)
		if (!look_at(l, kinds[rnd_next(rnd, COUNTOF(kinds))], rnd))
			return (false);
	return (true);
}

static void
list_deeds(const struct look *l)
{
	const struct history *const h = &l->rec.h;

	for (unsigned i = 0; i < h->ndeeds; i++)
		(void)printf("#   deed %u: thread %u, ticks %llu to %lld, from "
			     "change %zu: %s\n",
		    i, h->deed[i].thread, (unsigned long long)h->deed[i].begin,
		    (long long)h->deed[i].end, h->deed[i].pos, h->deed[i].text);
	for (unsigned i = 0; i < h->npromises; i++)
		(void)printf("#   sync begun at tick %llu, good from change "
			     "%zu\n",
		    (unsigned long long)h->promise[i].begin, h->promise[i].pos);
}

bool
crowd_cut(uint64_t seed, uint64_t salt, struct crowd_counts *counts)
{
	static struct look look;
	struct look *const l = &look;
	struct crowd c;
	uint64_t rnd = seed ^ salt << 40;
	char text[300];
	bool good;

	(void)alarm(STUCK);
	crowd_of_seed(seed, &c);
	crowd_text(&c, text, sizeof(text));
	l->c = &c;
	l->counts = counts;
	l->nseen = 0;
	counts->runs++;
	(void)snprintf(where, sizeof(where), "seed %llu, the threads at work",
	    (unsigned long long)seed);
	good = crowd_record(&c, &l->rec, l->why);
	if (good) {
		cursor_start(&l->cur, l->rec.base, &l->rec.log);
		do {
			if (l->cur.pos >= l->rec.begin &&
			    (promised(l) || rnd_next(&rnd, EVERY) == 0))
				good = cut_here(l, &rnd);
		} while (good && cursor_step(&l->cur));
		cursor_end(&l->cur);
	}
	if (!good)
		(void)printf("# %s: %s\n# %s\n# repeat: crowd %llu\n", where,
		    l->why, text, (unsigned long long)seed);
	if (!good && !counts->brief)
		list_deeds(l);
	crowd_clear(&l->rec);
	return (good);
}
