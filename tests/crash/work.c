/*
 * work: seeds, and the recording of a run.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "store/store_internal.h"

#include "tests/crash/cut.h"
#include "tests/crash/seeded.h"
#include "tests/crash/work.h"

#define RUN_STREAM 1000
#define DIE_WITHIN 90  /* changes; few runs make more */
#define FAIL_WITHIN 12 /* syncs */
#define KILLS 90
#define HURTS (KILLS + FAIL_WITHIN) /* of one sequence, in one configuration */

/* ---- Seeds -------------------------------------------------------------------------- */

/* The alphabet: the table, and both syncs. */
static unsigned
letters(void)
{
	return (work_nops + 2);
}

static struct step
letter(uint64_t i)
{
	if (i < work_nops)
		return ((struct step){ .kind = STEP_OP, .op = (unsigned)i });
	return (
	    (struct step){ .kind = i == work_nops ? STEP_SYNC : STEP_FSYNC });
}

uint64_t
work_ones(void)
{
	return (1 + (uint64_t)letters() * CFG_COUNT * 2);
}

uint64_t
work_hurts(void)
{
	return (work_ones() + (uint64_t)HURTS * CFG_COUNT);
}

uint64_t
work_twos(void)
{
	return (work_hurts() + (uint64_t)letters() * letters() * 2);
}

static void
add(struct work *w, enum step_kind kind)
{
	w->step[w->n++] = (struct step){ .kind = kind };
}

static void
add_between(struct work *w, uint64_t *rnd)
{
	static const enum step_kind kinds[] = { STEP_SYNC, STEP_SYNC, STEP_SYNC,
		STEP_FSYNC, STEP_FSYNC, STEP_REOPEN, STEP_HOME };
	const uint64_t i = rnd_next(rnd, 2 * COUNTOF(kinds));

	if (i < COUNTOF(kinds))
		add(w, kinds[i]);
}

static void
random_work(uint64_t seed, struct work *w)
{
	uint64_t rnd = seed;

	(void)rnd_next(&rnd, 2);
	w->cfg = (enum config)rnd_next(&rnd, CFG_COUNT);
	for (unsigned i = 0; i < 3; i++) {
		w->step[w->n++] = letter(rnd_next(&rnd, letters()));
		add_between(w, &rnd);
	}
	if (rnd_next(&rnd, 4) == 0)
		w->die_at = 1 + rnd_next(&rnd, DIE_WITHIN);
	else if (rnd_next(&rnd, 4) == 0)
		w->fail_sync = (unsigned)(1 + rnd_next(&rnd, FAIL_WITHIN));
	if (w->die_at != 0 || w->fail_sync != 0)
		w->step[w->n++] = letter(rnd_next(&rnd, letters()));
	add(w, STEP_SYNC);
}

static void
hurt_work(uint64_t i, struct work *w)
{
	w->cfg = i / HURTS == CFG_BIG ? CFG_BARE : (enum config)(i / HURTS);
	i %= HURTS;
	if (i < KILLS)
		w->die_at = 1 + i;
	else
		w->fail_sync = (unsigned)(1 + i - KILLS);
	/* A file with blocks, a sync, a write to another, a sync. */
	w->step[w->n++] = letter(2);
	add(w, STEP_SYNC);
	if (w->fail_sync != 0)
		add(w, STEP_REOPEN);
	w->step[w->n++] = letter(11);
	add(w, STEP_SYNC);
}

/* These runs are so short that else hardly one syncs an arena. */
static bool
no_redo(uint64_t seed)
{
	return (seed % 3 == 0);
}

/* The sequence of step ${i} alone, then a sync. */
static uint64_t
one_seed(uint64_t i, enum config cfg)
{
	return (1 + (uint64_t)cfg * letters() + i);
}

/* Of two steps, on the disk ${cfg}; ${i} from 0. */
static void
pair_work(uint64_t i, enum config cfg, struct work *w)
{
	const uint64_t n = letters(), first = i % n;

	w->cfg = cfg;
	w->n = 0;
	w->step[w->n++] = letter(first);
	w->begins_as_one = i / n / n != 0;
	if (w->begins_as_one)
		add(w, STEP_SYNC);
	w->step[w->n++] = letter(i / n % n);
	add(w, STEP_SYNC);
	w->no_redo = no_redo(one_seed(first, cfg));
}

bool
work_elsewhere(const struct work *w, struct work *ret)
{
	if (w->seed < work_hurts() || w->seed >= work_twos() ||
	    w->cfg == CFG_KMS)
		return (false);
	*ret = (struct work){ .seed = w->seed };
	pair_work(w->seed - work_hurts(), CFG_KMS, ret);
	return (true);
}

void
work_of_seed(uint64_t seed, struct work *w)
{
	const uint64_t n = letters();
	uint64_t i = seed;

	*w = (struct work){ .seed = seed, .no_redo = no_redo(seed) };
	if (seed >= work_twos()) {
		random_work(seed, w);
		return;
	}
	if (seed == 0) {
		w->cfg = CFG_INIT;
		/* The first: a file with blocks. */
		w->step[w->n++] = letter(2);
		add(w, STEP_SYNC);
		return;
	}
	if (seed < work_ones()) {
		i--;
		w->cfg = (enum config)(i / n % CFG_COUNT);
		w->step[w->n++] = letter(i % n);
		/* Once the last commit is a sync's, once the closing's. */
		if (i / n / CFG_COUNT == 0)
			add(w, STEP_SYNC);
		return;
	}
	if (seed < work_hurts()) {
		hurt_work(i - work_ones(), w);
		return;
	}
	i -= work_hurts();
	pair_work(i, (enum config)((i + i / n) % (CFG_COUNT - 1)), w);
}

void
work_first(const struct work *w, struct work *ret)
{
	const struct step *s = &w->step[0];
	const uint64_t i = s->kind == STEP_OP     ? s->op
			   : s->kind == STEP_SYNC ? work_nops
						  : work_nops + 1;

	work_of_seed(one_seed(i, w->cfg), ret);
}

void
work_text(const struct work *w, char *ret, size_t size)
{
	static const char *const names[] = { "", "sync", "fsync a", "reopen",
		"checkpoint" };
	size_t at = 0;

	(void)snprintf(ret, size, "[%s]", base_name(w->cfg));
	for (unsigned i = 0; i < w->n; i++) {
		at = strlen(ret);
		(void)snprintf(ret + at, size - at, "; %s",
		    w->step[i].kind == STEP_OP ? work_ops[w->step[i].op].text
					       : names[w->step[i].kind]);
	}
	at = strlen(ret);
	(void)snprintf(ret + at, size - at, "; close");
	at = strlen(ret);
	if (w->die_at != 0)
		(void)snprintf(ret + at, size - at,
		    "; killed at change %zu, opened again", w->die_at);
	if (w->fail_sync != 0)
		(void)snprintf(
		    ret + at, size - at, "; sync %u fails", w->fail_sync);
}

/* ---- Recording ---------------------------------------------------------------------- */

struct run {
	const struct work *w;
	struct record *rec;
	struct session s;
	char *why;
	time_t now;
};

void
record_clear(struct record *r)
{
	iolog_clear(&r->log);
	for (unsigned i = 0; i < r->nstates; i++)
		tree_clear(&r->state[i].tree);
	*r = (struct record){ .nstates = 0 };
}

void
record_window(
    const struct record *r, size_t pos, unsigned *ret_lo, unsigned *ret_hi)
{
	*ret_lo = *ret_hi = 0;
	for (unsigned i = 0; i < r->nacks; i++)
		if (r->ack[i].pos <= pos)
			*ret_lo = r->ack[i].state;
	for (unsigned i = 0; i < r->nstates; i++)
		if (r->state[i].begin <= pos)
			*ret_hi = i;
}

/* The store shows a new state, which a step that began at ${begin} led to. */
static bool
note_state(struct run *r, size_t begin)
{
	struct state *const st = &r->rec->state[r->rec->nstates];
	char diff[WHY_MAX / 2];
	struct tree want;
	bool same;

	if (!tree_of_store(r->s.st, &st->tree, r->why))
		return (false);
	st->begin = begin;
	r->rec->nstates++;
	if (!r->s.model)
		return (true);
	tree_of_ref(&r->s.ref, r->s.st, &want);
	same = want.digest == st->tree.digest;
	tree_diff(&want, &st->tree, diff, sizeof(diff));
	tree_clear(&want);
	return (same || because(r->why, "store and model differ:%s", diff));
}

static void
note_ack(struct run *r)
{
	r->rec->ack[r->rec->nacks++] =
	    (struct ack){ .pos = r->rec->log.n, .state = r->rec->nstates - 1 };
}

/* Errors may be: a sync has failed, or the process is dead. */
static bool
excused(void)
{
	return (sim_failed() || sim_dead());
}

static enum err
open_store(struct run *r)
{
	struct store_opts o = base_opts();

	o.no_redo = r->w->no_redo;
	return (store_open_dir(&o, &r->s.st));
}

static enum err
close_store(struct run *r)
{
	struct store *st = r->s.st;

	work_let_go(&r->s);
	r->s.st = NULL;
	return (store_close_dir(st));
}

/* The maintenance thread frees what a step left to it. */
static void
settle(const struct run *r)
{
	struct store *st = r->s.st;

	if (r->w->cfg != CFG_BIG || st->stopped)
		return;
	epoch_kick(st);
	for (unsigned i = 0; st->have_dead && i < 5000 && !st->stopped; i++)
		(void)usleep(1000);
}

static bool
do_op(struct run *r, const struct op *op)
{
	const size_t begin = r->rec->log.n;
	const enum err e = work_do(&r->s, op);

	if (e != OK && !excused() && !work_natural(e))
		return (because(r->why, "%s: %s (%s)", op->text, err_name(e),
		    err_detail(e)));
	if (e != OK && excused())
		r->s.model = false;
	else if (e != OK)
		r->rec->idle++;
	settle(r);
	return (sim_dead() || note_state(r, begin));
}

static bool
do_sync(struct run *r, enum err e)
{
	if (e == OK && !sim_dead()) {
		note_ack(r);
		return (true);
	}
	return (excused() ||
		because(r->why, "sync: %s (%s)", err_name(e), err_detail(e)));
}

static enum err
fsync_a(struct run *r)
{
	struct store_attr a;

	TRY(store_lookup(r->s.st, r->s.bucket, "a", 1, &a));
	return (store_fsync(r->s.st, a.ino));
}

static bool
do_reopen(struct run *r)
{
	const size_t begin = r->rec->log.n;

	if (!do_sync(r, close_store(r)))
		return (false);
	/* What a store that stopped had not committed is gone. */
	if (sim_failed())
		r->s.model = false;
	const enum err e = open_store(r);
	if (e == OK)
		return (sim_dead() || note_state(r, begin));
	return (excused() ||
		because(r->why, "reopen: %s (%s)", err_name(e), err_detail(e)));
}

static bool
do_step(struct run *r, const struct step *step)
{
	struct timespec t = { ++r->now, 5 };
	enum err e;

	clock_freeze(&t);
	switch (step->kind) {
	case STEP_OP:
		return (do_op(r, &work_ops[step->op]));
	case STEP_SYNC:
		return (do_sync(r, store_sync(r->s.st)));
	case STEP_FSYNC:
		e = fsync_a(r);
		return (e == ERR_NOENT || do_sync(r, e));
	case STEP_REOPEN:
		return (do_reopen(r));
	case STEP_HOME:
		e = db_checkpoint(r->s.st, false);
		return (e == OK || excused() ||
			because(r->why, "checkpoint: %s", err_detail(e)));
	}
	return (false);
}

/* The process was killed.  What the next one finds is a state that was. */
static bool
come_back(struct run *r)
{
	unsigned lo, hi, i;
	uint64_t got;

	if (r->s.st != NULL && close_store(r) != OK)
		err_clear();
	record_window(r->rec, r->rec->log.n, &lo, &hi);
	sim_die_at(SIZE_MAX);
	r->s.model = false;
	const size_t begin = r->rec->log.n;
	const enum err e = open_store(r);
	if (e != OK)
		return (because(r->why, "open after a kill: %s (%s)",
		    err_name(e), err_detail(e)));
	if (!note_state(r, begin))
		return (false);
	got = r->rec->state[r->rec->nstates - 1].tree.digest;
	for (i = lo; i <= hi; i++)
		if (r->rec->state[i].tree.digest == got)
			return (true);
	return (because(r->why, "after a kill the tree is none of its states"));
}

/* A store is made where there was none. */
static bool
run_init(struct run *r)
{
	const struct kms_root root = { KMS_ROOT_FILE, SIM_ROOT "/s.key", NULL };
	const struct store_init in = { .dir = base_dir(), .root = &root };
	const struct store_opts o = base_opts();
	enum err e = store_create_dir(&in);
	size_t begin;

	r->s.model = false;
	r->rec->made = r->rec->log.n;
	if (e == OK)
		e = store_open_dir(&o, &r->s.st);
	if (e != OK)
		return (because(
		    r->why, "init: %s (%s)", err_name(e), err_detail(e)));
	if (!note_state(r, 0))
		return (false);
	note_ack(r);
	begin = r->rec->log.n;
	e = store_bucket_create(r->s.st, &crash_who, "bkt", NULL, 0, 0, 0755);
	if (e == OK)
		e = store_bucket_find(r->s.st, "bkt", &r->s.bucket);
	if (e != OK)
		return (because(r->why, "bucket: %s", err_detail(e)));
	return (note_state(r, begin));
}

static bool
run_steps(struct run *r)
{
	for (unsigned i = 0; i < r->w->n; i++) {
		if (sim_dead() && !come_back(r))
			return (false);
		if (r->s.st == NULL)
			return (true);
		if (!do_step(r, &r->w->step[i]))
			return (false);
	}
	if (sim_dead() && !come_back(r))
		return (false);
	return (r->s.st == NULL || do_sync(r, close_store(r)));
}

static bool
run_all(struct run *r)
{
	enum err e;

	if (r->w->cfg == CFG_INIT)
		return (run_init(r) && run_steps(r));
	e = open_store(r);
	if (e != OK && sim_failed())
		return (true);
	if (e != OK && !sim_dead())
		return (because(
		    r->why, "open: %s (%s)", err_name(e), err_detail(e)));
	if (sim_dead()) {
		/* Nothing was promised but what the base holds. */
		if (r->s.st != NULL && close_store(r) != OK)
			err_clear();
		sim_die_at(SIZE_MAX);
		if (open_store(r) != OK)
			return (because(r->why, "open after a kill: %s",
			    err_detail(ERR_IO)));
	}
	return (note_state(r, 0) && run_steps(r));
}

static void
start_state(struct run *r)
{
	const struct base *b = r->rec->base;

	if (r->w->cfg == CFG_INIT) {
		r->rec->nstates = 0;
		return;
	}
	r->rec->state[0].tree =
	    (struct tree){ b->tree.digest, must(strdup(b->tree.text)) };
	ref_clone(&b->ref, &r->s.ref);
	r->s.bucket = b->bucket;
	r->s.rbucket = ref_get(r->s.ref.root, "bkt");
	r->s.model = true;
}

bool
work_record(const struct work *w, struct record *ret, char *why)
{
	struct run r = { .w = w, .rec = ret, .why = why, .now = 1000000000 };
	const struct timespec t = { r.now, 0 };
	struct disk *d;
	bool good;

	*ret = (struct record){ .base = base_get(w->cfg), .nstates = 1 };
	d = disk_clone(ret->base->disk);
	start_state(&r);
	clock_freeze(&t);
	seeded_start(RUN_STREAM);
	sim_mount(d, &ret->log);
	if (w->die_at != 0)
		sim_die_at(w->die_at);
	sim_fail_sync(w->fail_sync);
	good = run_all(&r);
	if (r.s.st != NULL && close_store(&r) != OK)
		err_clear();
	sim_unmount();
	disk_free(d);
	ref_release(&r.s.ref);
	return (good);
}
