/*
 * io: the Nth call of each kind on each file of a store fails.
 *
 *	io			some of the points, fast
 *	io all			every point
 *	io all SCRIPT KIND	of one script and kind of store, by numbers
 *	io SCRIPT KIND CALL FILE NTH ERRNO FOREVER	one, by numbers
 *
 * For each kind of call, each kind of file, EIO and ENOSPC, once and for ever,
 * and N from 1 until no call fails any more: a script of operations (scripts.c)
 * runs on a store that was prepared without faults.
 *
 *   - An error is one of the operation in which the call failed, and names what
 *     the disk said; the store is then in the state before it or after it, and
 *     goes on: with a fault that comes once, the same operation then works.
 *   - A failed sync of the arenas or the WAL stops the store: one line in the
 *     log, errors for every change and every sync from then on.  So may a
 *     failed call on the database; never one on anything else.
 *   - Afterwards, without faults, the store opens, fsck finds nothing, and its
 *     state is one that it has had since the last sync that returned.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/base/sys.h"
#include "store/store_internal.h"

#include "tests/fault/disk.h"
#include "tests/fault/rig.h"

/* In a hurry: points of a kind that are tried, and of the four ways to fail
 * EIO once, and without a cache ENOSPC for ever. */
#define QUICK 5u
#define QUICK_SEALED 2u
#define STOP_LINE "takes no more changes"
#define LATE_LINE "a write that was answered failed"

struct fault {
	enum disk_call call;
	enum disk_file file;
	unsigned nth;
	int errnum;
	bool forever;
};

static unsigned stops, points, tests;
static unsigned step_hits; /* calls that failed in steps of this run */
static bool everything, only;

static bool
stopped(void)
{
	return (log_count(STOP_LINE) != 0);
}

/* May a fault of this kind stop the store? */
static bool
may_stop(const struct fault *f)
{
	return (f->call == CALL_FDATASYNC || f->call == CALL_FSYNC ||
		f->file == FILE_META || f->file == FILE_WAL);
}

/* Must it? */
static bool
must_stop(const struct fault *f)
{
	return (f->call == CALL_FDATASYNC &&
		(f->file == FILE_ARENA || f->file == FILE_WAL));
}

/* The error of an operation says what the disk said. */
static void
right_error(struct rig *r, const struct fault *f, enum err e)
{
	const enum err want = f->errnum == EIO ? ERR_IO : ERR_NOSPC;

	/* SQLite does not tell why a sync failed. */
	if (e == ERR_IO && f->call == CALL_FDATASYNC)
		return;
	/* Without its file the root key cannot be used, whatever the reason. */
	if (e == ERR_ROOTKEY && f->file == FILE_KEYS)
		return;
	/* A stop takes from sight what was not committed yet. */
	if (stopped() && (e == ERR_FAILSTOP || e == ERR_IO || e == ERR_NOENT ||
			     e == ERR_STALE))
		return;
	if (e != want)
		rig_fail(r, "the error is %s (%s)", err_name(e), err_detail(e));
}

/* The store has stopped: what may and may not be done now. */
static void
check_stopped(struct rig *r, const struct fault *f)
{
	static const struct step change = { .op = OP_MKDIR, .a = "no" };
	char *dump CLEANUP_FREE = NULL;
	uint64_t done = 0;
	enum err e;

	if (!may_stop(f))
		rig_fail(r, "the store has stopped");
	if (log_count(STOP_LINE) != 1 ||
	    log_count("error: ") != 1 + log_count(LATE_LINE))
		rig_fail(r, "not one line in the log");
	e = store_sync(r->side.st);
	if (e != ERR_FAILSTOP)
		rig_fail(r, "stopped, and a sync gives %s", err_name(e));
	e = step_store(&r->side, &change, &done);
	if (e != ERR_FAILSTOP && e != ERR_IO && e != ERR_NOSPC)
		rig_fail(r, "stopped, and a change gives %s", err_name(e));
	disk_pause(true);
	e = store_dump(&r->side, &dump);
	if (e == ERR_AUTH || e == ERR_CORRUPT)
		rig_fail(r, "stopped, and reading gives %s (%s)", err_name(e),
		    err_detail(e));
	disk_pause(false);
	stops++;
}

/* No data key is given out while the audit log cannot be written; a database
 * whose sync has failed is not used again. */
static bool
fail_closed(const struct fault *f, enum err e)
{
	return (e == ERR_IO && (f->file == FILE_KEYS || f->file == FILE_DIR) &&
		(f->call == CALL_FDATASYNC ||
		    log_count("the audit log cannot be written") != 0));
}

/* The operation gave an error and the store goes on. */
static void
check_failed(struct rig *r, const struct fault *f, const struct step *s,
    enum err e, unsigned hits, uint64_t done)
{
	struct tree *next = tree_copy(r->tree);
	/* The WAL is not given up after a sync of the database that failed. */
	const bool stays = s->op == OP_HOME && f->call == CALL_FDATASYNC;

	if (!step_tree(next, s, done)) {
		tree_free(next);
		if (hits == 0)
			return; /* what an earlier failure left undone */
		next = NULL;
	} else if (hits == 0 && !stays && !fail_closed(f, e)) {
		rig_fail(r, "no call failed, and the error is %s (%s)",
		    err_name(e), err_detail(e));
	}
	if (!fail_closed(f, e))
		right_error(r, f, e);
	disk_pause(true);
	if (fail_closed(f, ERR_IO) && kms_flush(store_kms(r->side.st)) != OK &&
	    f->call != CALL_FDATASYNC)
		rig_fail(r, "the audit log is not written again");
	rig_old_or_new(r, next);
	disk_pause(false);
	if (f->forever || next == NULL || stays || fail_closed(f, e))
		return;
	e = step_store(&r->side, s, &done);
	/* It may have been done in spite of the error. */
	if (e != OK && e != ERR_EXIST && e != ERR_NOENT && e != ERR_NODATA)
		rig_fail(r, "again, without a fault: %s (%s)", err_name(e),
		    err_detail(e));
	if (e != OK)
		return;
	(void)step_tree(r->tree, s, done);
	past_add(r, r->tree);
}

/* False: this was the last step. */
static bool
one_step(struct rig *r, const struct fault *f, const struct step *s)
{
	const unsigned before = disk_hits();
	uint64_t done = 0;
	const enum err e = step_store(&r->side, s, &done);
	const unsigned hits = disk_hits() - before;

	step_hits += hits;
	if (e != OK && !stopped()) {
		check_failed(r, f, s, e, hits, done);
		return (true);
	}
	if (e != OK) {
		struct tree *next = tree_copy(r->tree);

		right_error(r, f, e);
		if (step_tree(next, s, done))
			past_add(r, next);
		tree_free(next);
		return (false);
	}
	if (!step_tree(r->tree, s, done))
		rig_fail(r, "it worked, and should not have");
	past_add(r, r->tree);
	if (s->op == OP_SYNC || s->op == OP_FSYNC)
		r->past.ack = r->past.n - 1;
	return (!stopped());
}

/* Open, again when it fails.  False: it cannot be opened for ever. */
static bool
opens(struct rig *r, const struct fault *f)
{
	const unsigned before = disk_hits();
	enum err e = rig_open(r);

	if (e == OK)
		return (true);
	if (disk_hits() == before)
		rig_fail(r,
		    "no call failed, and the store does not open: "
		    "%s (%s)",
		    err_name(e), err_detail(e));
	right_error(r, f, e);
	if (f->forever)
		return (false);
	e = rig_open(r);
	if (e != OK)
		rig_fail(r, "open again, without a fault: %s (%s)", err_name(e),
		    err_detail(e));
	return (true);
}

/* Close; true when all is on the disk. */
static bool
closes(struct rig *r, const struct fault *f)
{
	const unsigned before = disk_hits();
	const bool was = stopped();
	enum err e;

	past_add(r, r->tree);
	e = rig_close(r);
	if (e == OK && was)
		rig_fail(r, "a stopped store closes as if all were well");
	if (e == OK) {
		r->past.ack = r->past.n - 1;
		return (true);
	}
	if (!was && disk_hits() == before)
		rig_fail(r,
		    "no call failed, and the store does not close: "
		    "%s (%s)",
		    err_name(e), err_detail(e));
	right_error(r, f, e);
	if (stopped() && !was && !may_stop(f))
		rig_fail(r, "the store has stopped");
	return (false);
}

static bool
run_steps(struct rig *r, const struct fault *f)
{
	const struct script *sc = r->script;

	if (!opens(r, f))
		return (false);
	for (unsigned i = 0; i < sc->nsteps; i++) {
		const struct step *s = &sc->steps[i];
		const size_t n = strlen(r->what);
		bool go;

		(void)snprintf(
		    r->what + n, sizeof(r->what) - n, ", step %u ", i);
		step_print(s, r->what + strlen(r->what), 100);
		if (s->op == OP_REOPEN) {
			if (!closes(r, f))
				return (false);
			go = opens(r, f);
			if (!go)
				return (true);
		} else {
			go = one_step(r, f, s);
		}
		if (!go) {
			check_stopped(r, f);
			(void)closes(r, f);
			return (false);
		}
		r->what[n] = '\0';
	}
	return (closes(r, f));
}

/* One run; returns how many calls failed. */
static unsigned
run(const struct script *sc, unsigned kind, const struct fault *f)
{
	struct rig r;
	unsigned hits;
	bool last;

	rig_begin(&r, sc, kind);
	step_hits = 0;
	(void)snprintf(r.what, sizeof(r.what), "%s: %s of %s no. %u, %s %s",
	    rig_name(sc, kind), disk_call_name(f->call),
	    disk_file_name(f->file), f->nth,
	    f->errnum == EIO ? "EIO" : "ENOSPC",
	    f->forever ? "from then on" : "once");
	disk_fail(f->call, f->file, f->nth, f->errnum, f->forever, false);
	last = run_steps(&r, f);
	hits = disk_hits();
	disk_pause(true);
	if (step_hits != 0 && must_stop(f) && !stopped())
		rig_fail(&r, "a sync failed, and the store went on");
	rig_judge(&r, last);
	rig_finish(&r);
	points++;
	return (hits);
}

/* All N of one kind of fault, of which a clean run has ${count}. */
static void
series(const struct script *sc, unsigned kind, struct fault f, unsigned count)
{
	const unsigned few = (kind & RIG_SEALED) != 0 ? QUICK_SEALED : QUICK;
	const unsigned step = everything || count <= few ? 1 : count / few;

	stops = points = 0;
	for (f.nth = 1; run(sc, kind, &f) != 0; f.nth += step)
		continue;
	(void)printf("ok - %s: %s of %s, %s %s: %u runs, %u stopped\n",
	    rig_name(sc, kind), disk_call_name(f.call), disk_file_name(f.file),
	    f.errnum == EIO ? "EIO" : "ENOSPC",
	    f.forever ? "from then on" : "once", points, stops);
	(void)fflush(stdout);
}

/* Could the disk say that it is full? */
static bool
takes_space(enum disk_call c)
{
	return (c == CALL_OPEN || c == CALL_PWRITE || c == CALL_FALLOCATE ||
		c == CALL_FDATASYNC || c == CALL_FTRUNCATE || c == CALL_MAPPED);
}

/* ---- Who waits in fsync ------------------------------------------------- */

#define WAITERS 6

struct waiter {
	pthread_t t;
	pthread_barrier_t *made_all;
	struct side side;
	char name[8];
	enum err made, synced;
};

static void *
wait_main(void *arg)
{
	struct waiter *w = arg;
	const struct step make = { .op = OP_MAKE, .a = w->name };
	const struct step fill = {
		.op = OP_WRITE, .a = w->name, .y = 300 << 10, .z = 1
	};
	struct store_attr a = { 0 };
	uint64_t done = 0;

	w->made = step_store(&w->side, &make, &done);
	/* More than table ring takes: the arena is synced before the WAL. */
	if (w->made == OK)
		w->made = step_store(&w->side, &fill, &done);
	if (w->made == OK)
		w->made = store_lookup(
		    w->side.st, w->side.bucket, w->name, strlen(w->name), &a);
	/* A store that has stopped shows no name that was not committed: all
	 * must have found theirs before the first sync. */
	(void)pthread_barrier_wait(w->made_all);
	w->synced = w->made == OK ? store_fsync(w->side.st, a.ino) : w->made;
	return (NULL);
}

/* Many wait for one sync, which fails: each gets the error. */
static void
waiters(enum disk_file file)
{
	struct waiter w[WAITERS];
	pthread_barrier_t made_all;
	const struct fault f = { CALL_FDATASYNC, file, 1, EIO, false };
	struct rig r;

	rig_begin(&r, &scripts[0], 0);
	(void)snprintf(r.what, sizeof(r.what),
	    "%u threads wait for a sync of %s, which fails", WAITERS,
	    disk_file_name(file));
	if (rig_open(&r) != OK)
		rig_fail(&r, "open");
	disk_fail(f.call, f.file, f.nth, f.errnum, f.forever, true);
	if (pthread_barrier_init(&made_all, NULL, WAITERS) != 0)
		abort();
	for (unsigned i = 0; i < WAITERS; i++) {
		w[i].made_all = &made_all;
		w[i].side = r.side;
		(void)snprintf(w[i].name, sizeof(w[i].name), "w%u", i);
		if (pthread_create(&w[i].t, NULL, wait_main, &w[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < WAITERS; i++)
		(void)pthread_join(w[i].t, NULL);
	(void)pthread_barrier_destroy(&made_all);
	for (unsigned i = 0; i < WAITERS; i++)
		if (w[i].synced != ERR_FAILSTOP)
			rig_fail(
			    &r, "waiter %u got %s", i, err_name(w[i].synced));
	check_stopped(&r, &f);
	if (rig_close(&r) == OK)
		rig_fail(&r, "a stopped store closes as if all were well");
	disk_pause(true);
	rig_finish(&r);
	(void)printf("ok - %s: all get the error\n", r.what);
}

/* ---- Marks of a sealed store -------------------------------------------- */

/* A durable mark and each later one is torn, tried again, and torn again. */
static void
torn_marks(void)
{
	static const struct step steps[] = {
		{ .op = OP_APPEND, .a = "mid", .y = 9000, .z = 1 },
		{ .op = OP_FSYNC, .a = "mid" },
		{ .op = OP_HOME },
		{ .op = OP_HOME },
		{ .op = OP_APPEND, .a = "mid", .y = 9000, .z = 2 },
		{ .op = OP_FSYNC, .a = "mid" },
	};
	const struct fault f = { CALL_PWRITE, FILE_META, 1, EIO, true };
	struct rig r;

	rig_begin(&r, &scripts[0], RIG_SEALED);
	(void)snprintf(
	    r.what, sizeof(r.what), "sealed: no mark can be written any more");
	if (rig_open(&r) != OK)
		rig_fail(&r, "open");
	for (unsigned i = 0; i < COUNTOF(steps); i++) {
		if (steps[i].op == OP_HOME && steps[i - 1].op != OP_HOME)
			disk_fail(
			    f.call, f.file, f.nth, f.errnum, f.forever, false);
		if (one_step(&r, &f, &steps[i]) != (i + 1 < COUNTOF(steps)))
			rig_fail(&r, "step %u: not as it must be", i);
	}
	check_stopped(&r, &f);
	(void)closes(&r, &f);
	disk_pause(true);
	rig_judge(&r, false);
	rig_finish(&r);
	(void)printf("ok - %s: nothing is lost\n", r.what);
}

/* ---- Everything --------------------------------------------------------- */

/* Calls of each kind. */
struct counts {
	unsigned n[CALL_COUNT_][FILE_COUNT_];
};

struct job {
	const struct script *sc; /* NULL: waiters(), of f.file; torn_marks() */
	unsigned kind;
	struct fault f;
	struct counts *counts; /* of a clean run; filled in when f.nth is 0 */
};

static void
job(const void *arg)
{
	const struct job *j = arg;

	if (j->sc == NULL && j->f.file == FILE_META) {
		torn_marks();
	} else if (j->sc == NULL) {
		waiters(j->f.file);
	} else if (only) {
		(void)printf("# %u calls failed\n", run(j->sc, j->kind, &j->f));
	} else if (j->f.nth != 0) {
		series(
		    j->sc, j->kind, j->f, j->counts->n[j->f.call][j->f.file]);
	} else {
		(void)run(j->sc, j->kind, &j->f);
		for (int c = 0; c < CALL_COUNT_; c++)
			for (int f = 0; f < FILE_COUNT_; f++)
				j->counts->n[c][f] = disk_seen(
				    (enum disk_call)c, (enum disk_file)f);
	}
}

/* In a hurry one way to fail is enough, and of a sealed store one script and
 * the files that differ. */
static bool
skipped(const struct script *sc, const struct fault *f, unsigned kind, int way)
{
	const bool space = takes_space(f->call);

	if (way >= 2 && !space)
		return (true);
	if (everything)
		return (false);
	if ((kind & RIG_SEALED) != 0 &&
	    (sc != scripts || (f->file != FILE_META && f->file != FILE_WAL)))
		return (true);
	return (way != ((kind & RIG_TIGHT) != 0 && space ? 3 : 0));
}

static void
all_faults(const struct script *sc, unsigned kind, struct counts *counts)
{
	struct job j = { sc, kind, { .errnum = EIO }, counts };

	jobs_start(job, &j);
	if (!jobs_end())
		return;
	j.f.nth = 1;
	for (int c = 0; c < CALL_COUNT_; c++)
		for (int f = 0; f < FILE_COUNT_; f++)
			for (int k = 0; k < 4 && counts->n[c][f] != 0; k++) {
				j.f.call = (enum disk_call)c;
				j.f.file = (enum disk_file)f;
				j.f.errnum = k < 2 ? EIO : ENOSPC;
				j.f.forever = k % 2 == 1;
				if (skipped(sc, &j.f, kind, k))
					continue;
				jobs_start(job, &j);
				tests++;
			}
}

/* The arguments after SCRIPT are numbers. */
static void
one_run(char **argv)
{
	struct counts c;
	const struct job j = { &scripts[atoi(argv[1])], (unsigned)atoi(argv[2]),
		{ (enum disk_call)atoi(argv[3]), (enum disk_file)atoi(argv[4]),
		    (unsigned)atoi(argv[5]), atoi(argv[6]),
		    atoi(argv[7]) != 0 },
		&c };

	only = true;
	jobs_start(job, &j);
}

int
main(int argc, char **argv)
{
	struct counts *counts = mmap(NULL, sizeof(*counts),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	disk_install();
	if (counts == MAP_FAILED || store_prepare() != OK)
		return (1);
	everything = argc > 1;
	if (argc > 7) {
		one_run(argv);
		return (jobs_end() ? 0 : 1);
	}
	for (unsigned i = 0; i < nscripts; i++)
		for (unsigned kind = 0; kind < RIG_KINDS; kind++)
			if (argc < 4 || (i == (unsigned)atoi(argv[2]) &&
					    kind == (unsigned)atoi(argv[3])))
				all_faults(&scripts[i], kind, counts);
	jobs_start(job, &(struct job){ .f.file = FILE_WAL });
	jobs_start(job, &(struct job){ .f.file = FILE_ARENA });
	jobs_start(job, &(struct job){ .f.file = FILE_META });
	const bool good = jobs_end();
	(void)printf("1..%u\n", tests + 3);
	return (good ? 0 : 1);
}
