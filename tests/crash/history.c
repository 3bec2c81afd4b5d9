/*
 * history: the deeds that must be there follow from those that show; then an
 * order of them is looked for.
 */
#include <string.h>

#include "tests/crash/history.h"
#include "tests/crash/tree.h"

struct sight {
	const struct history *h;
	const struct view *v;
	size_t pos;
	uint64_t since; /* all that had ended before this is there */
	bool there[DEEDS];
	char *why;
};

static bool
covers(const struct deed *d, unsigned cell)
{
	return (!d->own && cell >= d->first && cell - d->first < d->ncells);
}

static void
shown(struct sight *s, unsigned i)
{
	s->there[i] = true;
	if (s->h->deed[i].begin > s->since)
		s->since = s->h->deed[i].begin;
}

static bool
cells_read(struct sight *s)
{
	const struct history *const h = s->h;

	for (unsigned c = 0; c < CELLS; c++) {
		const unsigned i = s->v->cell[c];

		if (i >= h->ndeeds || !covers(&h->deed[i], c))
			return (because(s->why,
			    "cell %u has what nobody wrote there (%u)", c, i));
		if (i > 0 && h->deed[i].pos >= s->pos)
			return (because(s->why,
			    "cell %u shows deed %u (%s), which began at change "
			    "%zu",
			    c, i, h->deed[i].text, h->deed[i].pos));
		shown(s, i);
	}
	return (true);
}

/* The first state of ${t}'s own tree that has all it must, and looks so. */
static bool
own_read(struct sight *s, unsigned t)
{
	const struct history *const h = s->h;
	uint64_t digest = h->at_first[t];
	unsigned last = DEEDS;
	bool found = digest == s->v->own[t];

	for (unsigned i = 0; i < h->ndeeds; i++) {
		const struct deed *const d = &h->deed[i];

		if (!d->own || d->thread != t)
			continue;
		if (d->end < s->since)
			found = false;
		/* One that changed nothing needs no change of the disk. */
		if (found || d->pos > s->pos)
			continue;
		digest = d->digest;
		last = i;
		found = digest == s->v->own[t];
	}
	if (!found)
		return (because(s->why,
		    "the tree of thread %u is none that it had%s", t,
		    s->since > 0 ? " since" : ""));
	if (last != DEEDS)
		shown(s, last);
	return (true);
}

/* Must ${a} stand before ${b}, both being there? */
static bool
before(const struct sight *s, unsigned a, unsigned b)
{
	const struct deed *const d = s->h->deed;

	if (d[a].end < d[b].begin)
		return (true);
	for (unsigned c = 0; c < CELLS; c++)
		if (s->v->cell[c] == b && a != b && covers(&d[a], c))
			return (true);
	return (false);
}

static bool
none_before(const struct sight *s, const bool *left, unsigned i)
{
	for (unsigned k = 0; k < s->h->ndeeds; k++)
		if (k != i && left[k] && before(s, k, i))
			return (false);
	return (true);
}

/* Two that must both come first, to tell. */
static void
name_two(const struct sight *s, const bool *left)
{
	const struct deed *const d = s->h->deed;

	(void)because(s->why, "some deeds fit into no order");
	for (unsigned a = 0; a < s->h->ndeeds; a++)
		for (unsigned b = 0; b < a; b++)
			if (left[a] && left[b] && before(s, a, b) &&
			    before(s, b, a)) {
				(void)because(s->why,
				    "deeds %u (%s) and %u (%s) fit into no "
				    "order",
				    a, d[a].text, b, d[b].text);
				return;
			}
}

static bool
ordered(const struct sight *s)
{
	bool left[DEEDS], some = true;
	unsigned n = 0;

	memcpy(left, s->there, sizeof(left));
	while (some) {
		some = false;
		n = 0;
		for (unsigned i = 0; i < s->h->ndeeds; i++) {
			if (!left[i])
				continue;
			n++;
			if (!none_before(s, left, i))
				continue;
			left[i] = false;
			some = true;
		}
	}
	if (n > 0)
		name_two(s, left);
	return (n == 0);
}

bool
history_allows(
    const struct history *h, const struct view *v, size_t pos, char *why)
{
	struct sight s = { .h = h, .v = v, .pos = pos, .why = why };
	uint64_t since;

	for (unsigned i = 0; i < h->npromises; i++)
		if (h->promise[i].pos <= pos && h->promise[i].begin > s.since)
			s.since = h->promise[i].begin;
	if (!cells_read(&s))
		return (false);
	do {
		since = s.since;
		for (unsigned t = 0; t < h->threads; t++)
			if (!own_read(&s, t))
				return (false);
	} while (s.since != since);
	for (unsigned i = 0; i < h->ndeeds; i++)
		s.there[i] =
		    !h->deed[i].own && (s.there[i] || h->deed[i].end < s.since);
	return (ordered(&s));
}
