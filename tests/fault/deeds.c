/*
 * deeds: the Nth call of each kind on each file fails while a key is made,
 * rotated, disabled, deleted …; while a store is rekeyed, backed up, restored
 * or repaired.
 *
 *	deeds			some of the points, fast
 *	deeds all		every point
 *	deeds all DEED		of one, by its number
 *	deeds DEED CALL FILE NTH ERRNO FOREVER	one, by numbers
 *
 *   - The error says what the disk said, and what the deed was about is as it
 *     was before, or as it is after it; when there was no error, after it.  What
 *     may be done in part is gone on with.
 *   - Without faults, the store and its keystore open, fsck finds nothing new,
 *     the audit log verifies, the files are what they were, and the deed, tried
 *     again, is done.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/audit.h"
#include "store/store_internal.h"

#include "tests/fault/deed.h"
#include "tests/fault/disk.h"

/* In a hurry, points of a kind that are tried. */
#define QUICK 2u
#define STOP_LINE "takes no more changes"

struct fault {
	enum disk_call call;
	enum disk_file file;
	unsigned nth; /* 0: none fails */
	int errnum;
	bool forever;
};

/* What a run without faults came to. */
struct clean {
	unsigned n[CALL_COUNT_][FILE_COUNT_];
	char old[4096], new[4096];
};

struct job {
	const struct deed *d;
	struct fault f;
	struct clean *clean;
};

static bool everything, only;

static bool
stopped(void)
{
	return (log_count(STOP_LINE) != 0);
}

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
	/* Nor why a directory cannot be synced. */
	if (e == ERR_IO && f->call == CALL_OPEN && f->file == FILE_DIR)
		return;
	/* No key is used while the audit log cannot be written. */
	if (e == ERR_IO && log_count("the audit log cannot be written") != 0)
		return;
	if (e == ERR_FAILSTOP && stopped())
		return;
	if (e != want)
		rig_fail(r, "the error is %s (%s)", err_name(e), err_detail(e));
}

/* As it was, as it is to be (*ret_new), or, when it may be, in between. */
static enum err
look(struct rig *r, const struct job *j, bool done, bool *ret_new)
{
	char *is CLEANUP_FREE = NULL;

	TRY(deed_state(r, j->d, &is));
	*ret_new = strcmp(is, j->clean->new) == 0;
	if (*ret_new)
		return (OK);
	if (!done && strcmp(is, j->clean->old) == 0)
		return (OK);
	if (!done && (j->d->flags & DEED_PARTS) != 0)
		return (OK);
	rig_fail(r, "%s:\n%s# old:\n%s# new:\n%s",
	    done ? "it is not done" : "neither old nor new", is, j->clean->old,
	    j->clean->new);
}

/* The store is open, the disk is mended: look, and try it again. */
static bool
again(struct rig *r, const struct job *j, bool done)
{
	bool new = false;
	enum err e = kms_flush(store_kms(r->side.st));

	if (e == OK)
		e = look(r, j, done, &new);
	if (e == OK && !new)
		e = j->d->act(r);
	if (e == OK && !new)
		e = look(r, j, true, &new);
	/* What has met a failed sync is not used any more. */
	if (e == ERR_IO && j->f.call == CALL_FDATASYNC)
		return (done);
	if (e != OK)
		rig_fail(r, "again, without a fault: %s (%s)", err_name(e),
		    err_detail(e));
	return (true);
}

static void
bad_record(void *arg, uint64_t seq, const char *file, const char *what)
{
	rig_fail(arg, "audit log %s, record %llu: %s", file,
	    (unsigned long long)seq, what);
}

static void
must(struct rig *r, enum err e, const char *what)
{
	if (e != OK)
		rig_fail(r, "%s: %s (%s)", what, err_name(e), err_detail(e));
}

/* Open, and whole, and what was not done can be done. */
static void
judge(struct rig *r, const struct job *j, bool done)
{
	const bool closed = (j->d->flags & DEED_CLOSED) != 0;
	struct audit_verdict v;
	bool new = false;

	must(r, rig_open(r), "open without faults");
	must(r, audit_verify(store_kms(r->side.st), bad_record, r, &v),
	    "verify the audit log");
	must(r, look(r, j, done, &new), "look at the reopened store");
	if (!new) {
		if (closed)
			must(r, rig_close(r), "close");
		must(r, j->d->act(r), "again, after reopening");
		if (closed)
			must(r, rig_open(r), "open");
		must(r, look(r, j, true, &new), "look at the end");
	}
	must(r, audit_verify(store_kms(r->side.st), bad_record, r, &v),
	    "verify the audit log");
	must(r, rig_close(r), "close");
	rig_judge(r, true);
}

/* A store to act on; what it is before goes to ${clean->old} the first time. */
static void
stand(struct rig *r, const struct job *j)
{
	char *is CLEANUP_FREE = NULL;

	rig_begin(r, &scripts[0], 0);
	deed_reset(r);
	(void)snprintf(r->what, sizeof(r->what), "%s: %s of %s no. %u, %s %s",
	    j->d->name, disk_call_name(j->f.call), disk_file_name(j->f.file),
	    j->f.nth, j->f.errnum == EIO ? "EIO" : "ENOSPC",
	    j->f.forever ? "from then on" : "once");
	must(r, rig_open(r), "open");
	if (j->d->before != NULL)
		must(r, j->d->before(r), "before");
	past_add(r, r->tree);
	must(r, store_sync(r->side.st), "sync");
	must(r, kms_flush(store_kms(r->side.st)), "flush");
	if (j->f.nth == 0) {
		must(r, deed_state(r, j->d, &is), "look");
		(void)snprintf(j->clean->old, sizeof(j->clean->old), "%s", is);
	}
	if ((j->d->flags & DEED_CLOSED) != 0)
		must(r, rig_close(r), "close");
	log_reset();
}

/* What a run without faults came to, and which calls it made. */
static void
learn(struct rig *r, const struct job *j)
{
	char *is CLEANUP_FREE = NULL;

	for (int c = 0; c < CALL_COUNT_; c++)
		for (int f = 0; f < FILE_COUNT_; f++)
			j->clean->n[c][f] =
			    disk_seen((enum disk_call)c, (enum disk_file)f);
	must(r, rig_open(r), "open");
	must(r, deed_state(r, j->d, &is), "look");
	(void)snprintf(j->clean->new, sizeof(j->clean->new), "%s", is);
	must(r, rig_close(r), "close");
}

/* One run; returns how many calls failed. */
static unsigned
run(const struct job *j)
{
	const bool closed = (j->d->flags & DEED_CLOSED) != 0;
	struct rig r;
	unsigned hits;
	bool done;
	enum err e;

	stand(&r, j);
	disk_fail(
	    j->f.call, j->f.file, j->f.nth, j->f.errnum, j->f.forever, false);
	e = j->d->act(&r);
	hits = disk_hits();
	if (!j->f.forever)
		disk_pause(true);
	if (e != OK && hits == 0)
		rig_fail(&r, "no call failed, and the error is %s (%s)",
		    err_name(e), err_detail(e));
	if (e != OK)
		right_error(&r, &j->f, e);
	done = e == OK;
	if (!closed && !stopped() && !j->f.forever && hits != 0)
		done = again(&r, j, done);
	if (!closed && (e = rig_close(&r)) != OK && disk_hits() == 0)
		rig_fail(&r, "it does not close: %s (%s)", err_name(e),
		    err_detail(e));
	hits = disk_hits();
	disk_pause(true);
	if (hits != 0) {
		judge(&r, j, done);
	} else if (j->f.nth == 0) {
		learn(&r, j);
	}
	rig_finish(&r);
	deed_reset(&r);
	return (hits);
}

/* In a hurry one way to fail is enough, and of each deed some of the calls: in
 * turn, so that each call fails in some of them. */
static bool
skipped(const struct job *j, unsigned way)
{
	const enum disk_call c = j->f.call;
	const bool space = c == CALL_OPEN || c == CALL_PWRITE ||
			   c == CALL_FALLOCATE || c == CALL_FDATASYNC ||
			   c == CALL_FTRUNCATE || c == CALL_MKDIR ||
			   c == CALL_MAPPED;

	if (way >= 2 && !space)
		return (true);
	if (everything)
		return (false);
	const unsigned turn =
	    (unsigned)(j->d - deeds) + (unsigned)c * FILE_COUNT_ + j->f.file;
	return (turn % 5 != 0 || way != turn / 5 % (space ? 4 : 2));
}

static bool
each_sync(const struct job *j, unsigned way)
{
	return ((j->d->flags & DEED_SYNCS) != 0 && way == 1 &&
		j->f.call == CALL_FDATASYNC && j->f.file == FILE_KEYS);
}

/* All N of one kind of fault. */
static unsigned
series(struct job *j, unsigned way)
{
	const unsigned count = j->clean->n[j->f.call][j->f.file];
	const bool all = everything || each_sync(j, way);
	const unsigned step = all || count <= QUICK ? 1 : count / QUICK;
	unsigned points = 0;

	if (count == 0 || (!each_sync(j, way) && skipped(j, way)))
		return (0);
	j->f.errnum = way < 2 ? EIO : ENOSPC;
	j->f.forever = way % 2 == 1;
	for (j->f.nth = 1; run(j) != 0; j->f.nth += step)
		points++;
	return (points);
}

static void
job(const void *arg)
{
	static struct clean clean;
	struct job j = *(const struct job *)arg;
	const struct fault f = j.f;
	unsigned points = 0;

	j.clean = &clean;
	j.f = (struct fault){ .errnum = EIO };
	(void)run(&j);
	if (only) {
		j.f = f;
		(void)printf("# %u calls failed\n", run(&j));
		return;
	}
	for (int c = 0; c < CALL_COUNT_; c++)
		for (int k = 0; k < FILE_COUNT_; k++)
			for (unsigned way = 0; way < 4; way++) {
				j.f.call = (enum disk_call)c;
				j.f.file = (enum disk_file)k;
				points += series(&j, way);
			}
	(void)printf("ok - %s: %u calls failed\n", j.d->name, points);
	(void)fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct job j = { .clean = NULL };

	disk_install();
	if (store_prepare() != OK)
		return (1);
	everything = argc > 1;
	only = argc > 6;
	if (only) {
		j.d = &deeds[atoi(argv[1])];
		j.f = (struct fault){ (enum disk_call)atoi(argv[2]),
			(enum disk_file)atoi(argv[3]), (unsigned)atoi(argv[4]),
			atoi(argv[5]), atoi(argv[6]) != 0 };
		jobs_start(job, &j);
		return (jobs_end() ? 0 : 1);
	}
	for (unsigned i = 0; i < ndeeds; i++) {
		j.d = &deeds[i];
		if (argc < 3 || i == (unsigned)atoi(argv[2]))
			jobs_start(job, &j);
	}
	const bool good = jobs_end();
	(void)printf("1..%u\n", argc < 3 ? ndeeds : 1);
	return (good ? 0 : 1);
}
