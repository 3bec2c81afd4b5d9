/*
 * crowd: several threads work on a store, and the power is cut.
 *
 *	crowd			for CROWD_SECONDS (15)
 *	crowd SEED [TIMES]	that run, TIMES (20) over: the seed says what each
 *				thread does, not who comes first
 *
 * A state must open without repair, show what some order of the threads' calls
 * leads to (history.h), and be whole.  CRASH_SEED chooses the runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"

#include "tests/crash/crowd_cut.h"

static uint64_t
number(const char *text, uint64_t other)
{
	return (
	    text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : other);
}

static bool
failed(void)
{
	(void)printf("not ok - threads\n");
	return (false);
}

static bool
many(uint64_t seconds)
{
	const uint64_t end = clock_mono_ns() + seconds * UINT64_C(1000000000);
	const uint64_t first = number(getenv("CRASH_SEED"), 1) * 1000000;
	struct crowd_counts c = { .runs = 0 };

	(void)printf("# seeds from %llu\n", (unsigned long long)first);
	while (clock_mono_ns() < end)
		if (!crowd_cut(first + c.runs, 0, &c))
			return (failed());
	(void)printf("ok - threads: %llu runs, %llu cuts, %llu states, %llu "
		     "opened\n",
	    (unsigned long long)c.runs, (unsigned long long)c.cuts,
	    (unsigned long long)c.states, (unsigned long long)c.opened);
	return (true);
}

static bool
repeat(uint64_t seed, uint64_t times)
{
	struct crowd_counts c = { .runs = 0 };

	for (uint64_t i = 0; i < times; i++)
		if (!crowd_cut(seed, i, &c))
			return (failed());
	(void)printf("ok - seed %llu, %llu times: %llu states, %llu opened\n",
	    (unsigned long long)seed, (unsigned long long)times,
	    (unsigned long long)c.states, (unsigned long long)c.opened);
	return (true);
}

int
main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	char dir[200], rm[256];
	bool good;
	int null = -1;

	(void)snprintf(
	    dir, sizeof(dir), "%s/crowd.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL) {
		(void)fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		return (1);
	}
	crowd_signals();
	/* The engine says what it finds; here it finds it a thousand times. */
	if (getenv("CRASH_LOG") == NULL)
		null = open("/dev/null", O_WRONLY);
	if (null >= 0)
		(void)dup2(null, STDERR_FILENO);
	base_start(dir);
	(void)printf("1..1\n");
	(void)fflush(stdout);
	good = argc > 1 ? repeat(number(argv[1], 0),
			      number(argc > 2 ? argv[2] : NULL, 20))
			: many(number(getenv("CROWD_SECONDS"), 15));
	(void)snprintf(rm, sizeof(rm), "rm -rf '%s'", dir);
	return (system(rm) == 0 && good ? 0 : 1);
}
