/*
 * crowdplant: faults on purpose that only show when threads work side by side,
 * and whether the simulator finds them.
 *
 *	crowdplant [N]		all, or the Nth only
 *
 * The linker puts the functions below in the place of the engine's (see
 * Makefile).
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/alloc_internal.h"

#include "tests/crash/crowd_cut.h"

#define TRIES 400 /* runs without a finding that are enough */

static unsigned plant;
static atomic_uint committing;

enum err __real_alloc_sync(struct store *st) MUSTCHECK;
enum err __wrap_alloc_sync(struct store *st) MUSTCHECK;
enum err __real_store_fsync(struct store *st, uint64_t ino) MUSTCHECK;
enum err __wrap_store_fsync(struct store *st, uint64_t ino) MUSTCHECK;

enum err
__wrap_alloc_sync(struct store *st)
{
	const enum err e = __real_alloc_sync(st);

	/* What is written during a sync counts as synced. */
	for (unsigned i = 0; plant == 1 && i < ARENAS_MAX; i++)
		atomic_store(&st->alloc->arena[i].written, false);
	return (e);
}

enum err
__wrap_store_fsync(struct store *st, uint64_t ino)
{
	enum err e;

	/* Somebody else's commit, under way, is taken for one's own. */
	if (atomic_fetch_add(&committing, 1) > 0 && plant == 2)
		e = OK;
	else
		e = __real_store_fsync(st, ino);
	(void)atomic_fetch_sub(&committing, 1);
	return (e);
}

static bool
look_for(unsigned which, const char *what)
{
	struct crowd_counts c = { .brief = true };

	for (unsigned i = 0; i < TRIES; i++) {
		struct crowd w;

		/* A prepared disk has no fault. */
		plant = 0;
		crowd_of_seed(i, &w);
		/* The first shows where arenas are synced. */
		if (which == 1 ? !w.opts.no_redo : !w.eager)
			continue;
		(void)base_get(w.cfg);
		plant = which;
		if (!crowd_cut(i, 0, &c)) {
			(void)printf("ok - %s: found in run %llu, state %llu\n",
			    what, (unsigned long long)c.runs,
			    (unsigned long long)c.states);
			return (true);
		}
	}
	(void)printf("not ok - %s: not found in %llu states\n", what,
	    (unsigned long long)c.states);
	return (false);
}

int
main(int argc, char **argv)
{
	static const char *const faults[] = { "a write during a sync",
		"a sync that waits for another's commit" };
	const char *tmp = getenv("TMPDIR");
	const unsigned only =
	    argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	char dir[200], rm[256];
	bool good = true;
	int null;

	(void)snprintf(dir, sizeof(dir), "%s/crowdplant.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		return (1);
	null = open("/dev/null", O_WRONLY);
	if (null >= 0)
		(void)dup2(null, STDERR_FILENO);
	crowd_signals();
	base_start(dir);
	(void)printf("1..%zu\n", only != 0 ? 1 : COUNTOF(faults));
	for (unsigned i = 1; i <= COUNTOF(faults); i++)
		if (only == 0 || only == i)
			good = look_for(i, faults[i - 1]) && good;
	(void)snprintf(rm, sizeof(rm), "rm -rf '%s'", dir);
	return (system(rm) == 0 && good ? 0 : 1);
}
