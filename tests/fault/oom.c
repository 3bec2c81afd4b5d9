/*
 * oom: the Nth allocation of each operation fails.
 *
 *	oom			some of the points, fast
 *	oom all			every point
 *	oom all SCRIPT KIND	of one script and kind of store, by numbers
 *
 * For opening, each step of a script, and closing, and N from 1 until nothing
 * fails any more, once and for as long as the operation lasts: no crash; the
 * error, if there is one, says that memory is short (or the store has stopped,
 * since SQLite undoes a transaction in which memory failed); the state is the
 * one before or after.  Then the store closes, opens, is clean, and has lost
 * nothing that a sync vouched for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_internal.h"

#include "tests/fault/memory.h"
#include "tests/fault/rig.h"

#define STOP_LINE "takes no more changes"
/* In a hurry every so many runs are judged after a reopening. */
#define JUDGED 16u

static bool everything;
static unsigned runs, stops, tests;

struct test {
	struct rig r;
	unsigned kind; /* of the rig */
	bool forever;
	bool fresh; /* the rig stands before step ${at}, untouched by faults */
	unsigned at;
};

static bool
stopped(void)
{
	return (log_count(STOP_LINE) != 0);
}

static unsigned
next(const struct test *t, unsigned n)
{
	if (everything)
		return (n + 1);
	/* Sealed, most is as it is otherwise. */
	return ((t->kind & RIG_SEALED) != 0 ? 3 * n + 2 : n + 2 + n / 2);
}

static void
name_it(struct test *t, const char *what, unsigned nth)
{
	(void)snprintf(t->r.what, sizeof(t->r.what),
	    "%s: %s, allocation %u fails%s", rig_name(t->r.script, t->kind),
	    what, nth, t->forever ? ", and all after it" : "");
}

/* Calls that need a key are refused until the audit log was written. */
static void
audit_again(struct test *t)
{
	enum err e;

	if (t->r.side.st == NULL ||
	    log_count("the audit log cannot be written") == 0)
		return;
	e = kms_flush(store_kms(t->r.side.st));
	if (e != OK)
		rig_fail(&t->r, "the audit log is not written again: %s (%s)",
		    err_name(e), err_detail(e));
}

static void
right_error(struct test *t, enum err e)
{
	if (e == ERR_IO && log_count("the audit log cannot be written") != 0)
		return;
	/* A stop takes from sight what was not committed yet. */
	if (stopped() && (e == ERR_FAILSTOP || e == ERR_IO || e == ERR_NOENT ||
			     e == ERR_STALE))
		return;
	if (e != ERR_NOMEM && e != ERR_CRYPTO)
		rig_fail(
		    &t->r, "the error is %s (%s)", err_name(e), err_detail(e));
}

static void
done_with(struct rig *r)
{
	if (r->side.st != NULL && rig_close(r) != OK)
		err_clear();
	rig_finish(r);
}

/* A store on which the steps before ${t->at} were done. */
static void
stand(struct test *t)
{
	const struct script *sc = t->r.script;
	char last[sizeof(t->r.what)];
	uint64_t done = 0;

	if (t->fresh)
		return;
	(void)snprintf(last, sizeof(last), "%s", t->r.what);
	rig_begin(&t->r, sc, t->kind);
	(void)snprintf(t->r.what, sizeof(t->r.what), "after %.480s", last);
	if (rig_open(&t->r) != OK)
		rig_fail(&t->r, "open");
	for (unsigned i = 0; i < t->at; i++) {
		const struct step *s = &sc->steps[i];
		enum err e = OK;

		if (s->op == OP_REOPEN) {
			e = rig_close(&t->r);
			if (e == OK)
				e = rig_open(&t->r);
		} else {
			e = step_store(&t->r.side, s, &done);
		}
		if (e != OK || !step_tree(t->r.tree, s, done))
			rig_fail(&t->r, "step %u: %s (%s)", i, err_name(e),
			    err_detail(e));
		past_add(&t->r, t->r.tree);
		if (s->op == OP_SYNC || s->op == OP_FSYNC || s->op == OP_REOPEN)
			t->r.past.ack = t->r.past.n - 1;
	}
	t->fresh = true;
}

/* The rig has met a fault and cannot go on: look what became of the store. */
static void
look_back(struct test *t)
{
	const bool was = stopped();
	enum err e;

	t->fresh = false;
	stops += was;
	if (!everything && !was && runs % JUDGED != 0) {
		done_with(&t->r);
		return;
	}
	past_add(&t->r, t->r.tree);
	e = t->r.side.st == NULL ? OK : rig_close(&t->r);
	if ((e != OK) != was)
		rig_fail(
		    &t->r, "closing gives %s (%s)", err_name(e), err_detail(e));
	rig_judge(&t->r, !was);
	rig_finish(&t->r);
}

/* One step with one fault; false when no allocation failed. */
static bool
one(struct test *t, const struct step *s, unsigned nth)
{
	struct tree *new;
	uint64_t done = 0;
	unsigned hits;
	enum err e;

	stand(t);
	step_print(s, t->r.what, 100);
	name_it(t, strdupa(t->r.what), nth);
	runs++;
	memory_fail(nth, t->forever);
	e = step_store(&t->r.side, s, &done);
	hits = memory_mend();
	if (e != OK && hits == 0)
		rig_fail(&t->r, "nothing failed, and the error is %s (%s)",
		    err_name(e), err_detail(e));
	audit_again(t);
	new = tree_copy(t->r.tree);
	if (!step_tree(new, s, done))
		rig_fail(&t->r, "not for the tree");
	if (e == OK) {
		tree_free(t->r.tree);
		t->r.tree = new;
		past_add(&t->r, new);
		if (s->op == OP_SYNC || s->op == OP_FSYNC)
			t->r.past.ack = t->r.past.n - 1;
		if (hits == 0)
			return (false);
		if (!stopped())
			rig_old_or_new(&t->r, NULL);
		look_back(t);
		return (true);
	}
	right_error(t, e);
	if (stopped()) {
		past_add(&t->r, new);
		tree_free(new);
		look_back(t);
		return (true);
	}
	const unsigned before = t->r.past.n;
	rig_old_or_new(&t->r, new);
	/* In the old state the next allocation can be tried at once. */
	if (t->r.past.n != before || runs % 64 == 0)
		look_back(t);
	return (true);
}

static bool
open_one(struct test *t, unsigned nth)
{
	unsigned hits;
	enum err e;

	if (!t->fresh)
		rig_begin(&t->r, t->r.script, t->kind);
	t->fresh = true;
	name_it(t, "open", nth);
	runs++;
	memory_fail(nth, t->forever);
	e = rig_open(&t->r);
	hits = memory_mend();
	if (e != OK && hits == 0)
		rig_fail(&t->r, "nothing failed, and the error is %s (%s)",
		    err_name(e), err_detail(e));
	if (e != OK)
		right_error(t, e);
	else
		look_back(t);
	return (hits != 0);
}

static void
scrub_bad(void *arg, const struct store_damage *d)
{
	struct test *t = arg;

	rig_fail(&t->r, "scrub calls inode %llu damaged: %s (%s)",
	    (unsigned long long)d->ino, d->what, err_name(d->e));
}

/* What is whole is not called damaged for want of memory. */
static bool
scrub_one(struct test *t, unsigned nth)
{
	static const struct kms_who who = { .user = "root", .agent = "fault" };
	const struct store_scrub_opts o = {
		.keys = true, .who = &who, .bad = scrub_bad, .arg = t
	};
	struct store_scrub_result res;
	unsigned hits;
	enum err e;

	stand(t);
	name_it(t, "scrub", nth);
	runs++;
	memory_fail(nth, t->forever);
	e = store_scrub(t->r.side.st, &o, &res);
	hits = memory_mend();
	if (e != OK && hits == 0)
		rig_fail(&t->r, "nothing failed, and the error is %s (%s)",
		    err_name(e), err_detail(e));
	if (e != OK)
		right_error(t, e);
	audit_again(t);
	if (stopped())
		look_back(t);
	return (hits != 0);
}

/* The last state, with changes that no sync has seen, is closed. */
static bool
close_one(struct test *t, unsigned nth)
{
	unsigned hits;
	bool was;
	enum err e;

	stand(t);
	t->fresh = false;
	name_it(t, "close", nth);
	runs++;
	past_add(&t->r, t->r.tree);
	memory_fail(nth, t->forever);
	e = rig_close(&t->r);
	hits = memory_mend();
	was = stopped();
	if (e != OK)
		right_error(t, e);
	if ((e != OK) != was)
		rig_fail(&t->r, "closing gives %s", err_name(e));
	stops += was;
	rig_judge(&t->r, e == OK);
	rig_finish(&t->r);
	t->fresh = false;
	return (hits != 0);
}

static void
script_runs(const struct script *sc, unsigned kind, bool forever)
{
	struct test t = {
		.r = { .script = sc }, .kind = kind, .forever = forever
	};
	unsigned n;

	runs = stops = 0;
	for (n = 1; open_one(&t, n); n = next(&t, n))
		continue;
	for (t.at = 0; t.at < sc->nsteps; t.at++) {
		const struct step *s = &sc->steps[t.at];

		if (s->op == OP_REOPEN) {
			for (n = 1; close_one(&t, n); n = next(&t, n))
				continue;
			continue;
		}
		for (n = 1; one(&t, s, n); n = next(&t, n))
			continue;
	}
	for (n = 1; scrub_one(&t, n); n = next(&t, n))
		continue;
	if (t.fresh)
		done_with(&t.r);
	(void)printf("ok - %s, %s: %u runs, %u stopped\n", rig_name(sc, kind),
	    forever ? "from then on" : "once", runs, stops);
	(void)fflush(stdout);
}

static void
job(const void *arg)
{
	const unsigned k = *(const unsigned *)arg;

	script_runs(
	    &scripts[k / (2 * RIG_KINDS)], k / 2 % RIG_KINDS, k % 2 != 0);
}

/* In a hurry without a cache only once, with one for ever; and sealed only one
 * of these. */
static bool
skipped(unsigned k, int argc, char **argv)
{
	const unsigned script = k / (2 * RIG_KINDS), kind = k / 2 % RIG_KINDS;
	const bool tight = (kind & RIG_TIGHT) != 0;

	if (argc > 3)
		return (script != (unsigned)atoi(argv[2]) ||
			kind != (unsigned)atoi(argv[3]));
	return (!everything &&
		(tight == (k % 2 != 0) ||
		    ((kind & RIG_SEALED) != 0 && (script != 0 || tight))));
}

int
main(int argc, char **argv)
{
	if (!memory_works) {
		(void)printf("1..0 # SKIP a sanitizer owns malloc\n");
		return (77);
	}
	if (store_prepare() != OK)
		return (1);
	everything = argc > 1;
	for (unsigned k = 0; k < 2 * RIG_KINDS * nscripts; k++) {
		if (skipped(k, argc, argv))
			continue;
		jobs_start(job, &k);
		tests++;
	}
	const bool good = jobs_end();
	(void)printf("1..%u\n", tests);
	return (good ? 0 : 1);
}
