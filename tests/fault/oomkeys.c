/*
 * oomkeys: the Nth allocation fails while a key is made, used, rotated,
 * disabled, deleted …, and in whatever else deed.c does to an open store.
 *
 *	oomkeys			some of the points, fast
 *	oomkeys all		every point
 *	oomkeys all DEED	of one, by its number
 *
 * Once, and for as long as the deed lasts: no crash; the error, if there is one,
 * says that memory is short; what the deed is about is as before, or as after it;
 * tried again it is done; the audit log verifies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/audit.h"
#include "store/store_internal.h"

#include "tests/fault/deed.h"
#include "tests/fault/memory.h"

#define STOP_LINE "takes no more changes"
#define AUDIT_LINE "the audit log cannot be written"

struct test {
	struct rig r;
	const struct deed *d;
	bool forever;
	bool fresh; /* the rig stands as before the deed */
	char *old, *new;
};

static bool everything;

static void
must(struct test *t, enum err e, const char *what)
{
	if (e != OK)
		rig_fail(
		    &t->r, "%s: %s (%s)", what, err_name(e), err_detail(e));
}

static void
stand(struct test *t)
{
	if (t->fresh)
		return;
	rig_begin(&t->r, &scripts[0], 0);
	deed_reset(&t->r);
	(void)snprintf(t->r.what, sizeof(t->r.what), "%s", t->d->name);
	must(t, rig_open(&t->r), "open");
	if (t->d->before != NULL)
		must(t, t->d->before(&t->r), "before");
	must(t, kms_flush(store_kms(t->r.side.st)), "flush");
	t->fresh = true;
}

static void
bad_record(void *arg, uint64_t seq, const char *file, const char *what)
{
	struct test *t = arg;

	rig_fail(&t->r, "audit log %s, record %llu: %s", file,
	    (unsigned long long)seq, what);
}

static void
done_with(struct test *t)
{
	struct audit_verdict v;
	const bool stopped = log_count(STOP_LINE) != 0;

	must(t, audit_verify(store_kms(t->r.side.st), bad_record, t, &v),
	    "verify the audit log");
	if (rig_close(&t->r) != OK && !stopped)
		rig_fail(&t->r, "it does not close");
	rig_finish(&t->r);
	deed_reset(&t->r);
	t->fresh = false;
}

static void
right_error(struct test *t, enum err e)
{
	if (e == ERR_NOMEM || e == ERR_CRYPTO)
		return;
	/* No key is used while the audit log cannot be written. */
	if (e == ERR_IO && log_count(AUDIT_LINE) != 0)
		return;
	if (e == ERR_FAILSTOP && log_count(STOP_LINE) != 0)
		return;
	rig_fail(&t->r, "the error is %s (%s)", err_name(e), err_detail(e));
}

/* False when nothing failed. */
static bool
one(struct test *t, unsigned nth)
{
	char *is CLEANUP_FREE = NULL;
	unsigned hits;
	enum err e;

	stand(t);
	(void)snprintf(t->r.what, sizeof(t->r.what),
	    "%s: allocation %u fails%s", t->d->name, nth,
	    t->forever ? ", and all after it" : "");
	memory_fail(nth, t->forever);
	e = t->d->act(&t->r);
	hits = memory_mend();
	if (e != OK && hits == 0)
		rig_fail(&t->r, "nothing failed, and the error is %s (%s)",
		    err_name(e), err_detail(e));
	if (e != OK)
		right_error(t, e);
	if (log_count(STOP_LINE) != 0) {
		done_with(t);
		return (true);
	}
	must(t, kms_flush(store_kms(t->r.side.st)), "flush");
	must(t, deed_state(&t->r, t->d, &is), "look");
	if (t->new == NULL) { /* the first run, without a fault */
		t->new = strdup(is);
	} else if (strcmp(is, t->new) != 0 &&
		   (e == OK || (strcmp(is, t->old) != 0 &&
				   (t->d->flags & DEED_PARTS) == 0))) {
		rig_fail(&t->r, "%s:\n%s# old:\n%s# new:\n%s",
		    e == OK ? "it is not done" : "neither old nor new", is,
		    t->old, t->new);
	}
	/* In the old state the next can be tried at once, unless it is about
	 * what is known by now. */
	if (e == OK || strcmp(is, t->old) != 0 || strcmp(t->old, t->new) == 0)
		done_with(t);
	log_reset();
	return (hits != 0);
}

static void
deed_runs(struct test *t)
{
	unsigned runs = 0;

	t->new = NULL;
	t->fresh = false;
	stand(t);
	must(t, deed_state(&t->r, t->d, &t->old), "look");
	(void)one(t, 0);
	for (unsigned n = 1; one(t, n); n = everything ? n + 1 : 2 * n + 3)
		runs++;
	if (t->fresh)
		done_with(t);
	free(t->old);
	free(t->new);
	(void)printf("ok - %s, %s: %u runs\n", t->d->name,
	    t->forever ? "from then on" : "once", runs);
	(void)fflush(stdout);
}

static void
job(const void *arg)
{
	const unsigned k = *(const unsigned *)arg;
	struct test t = { .d = &deeds[k / 2], .forever = k % 2 != 0 };

	deed_runs(&t);
}

int
main(int argc, char **argv)
{
	unsigned tests = 0;

	if (!memory_works) {
		(void)printf("1..0 # SKIP a sanitizer owns malloc\n");
		return (77);
	}
	if (store_prepare() != OK)
		return (1);
	everything = argc > 1;
	for (unsigned k = 0; k < 2 * ndeeds; k++) {
		if ((deeds[k / 2].flags & DEED_CLOSED) != 0 ||
		    (argc > 2 && k / 2 != (unsigned)atoi(argv[2])) ||
		    (!everything && k % 2 != k / 2 % 2))
			continue;
		jobs_start(job, &k);
		tests++;
	}
	const bool good = jobs_end();
	(void)printf("1..%u\n", tests);
	return (good ? 0 : 1);
}
