/*
 * crash: the store on a simulated disk, and the power cut everywhere.
 *
 *	crash			sequences of one step by turns with random ones
 *				of the other kinds, for CRASH_SECONDS (20)
 *	crash all		all of one step, of one with kills and failing
 *				syncs, of two steps, then random ones of three,
 *				for CRASH_SECONDS, or for ever without it
 *	crash two [FROM]	only these, from the FROMth
 *	crash three		only these
 *	crash SEED [CUT]	that run; only that cut, in more states
 *
 * CRASH_SEED chooses the random sequences, and what is lost and torn in all;
 * JOBS the number of processes, CRASH_STUCK the seconds without an end of one
 * run that are taken for a hang.  A failure prints what repeats it.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"

#include "tests/crash/explore.h"

#define JOBS_MAX 64
#define STUCK 300

enum part { PART_ONE, PART_HURT, PART_TWO, PART_THREE, PARTS };

struct worker {
	struct counts part[PARTS];
	uint64_t two; /* the next sequence of two steps */
	bool failed;
	char why[WHY_MAX];
};

static struct {
	struct worker *w; /* shared with the processes */
	unsigned jobs;
	uint64_t seed;
	uint64_t from;   /* with "two" */
	uint64_t end_ns; /* 0: never */
	unsigned stuck;  /* seconds */
	bool all, two, three;
	char dir[200];
} run;

/* ---- One process ------------------------------------------------------------------- */

static void
died(int sig)
{
	char text[1200];
	const int n =
	    snprintf(text, sizeof(text), "not ok - %s\n# signal %d: %s\n",
		sig == SIGALRM ? "it hangs" : "the program died", sig,
		explore_where());

	if (write(STDOUT_FILENO, text, (size_t)n) < 0)
		_exit(3);
	_exit(2);
}

static void
prepare(unsigned me)
{
	static const int sigs[] = { SIGSEGV, SIGABRT, SIGBUS, SIGALRM, SIGFPE };
	char dir[256];
	int null = -1;

	for (size_t i = 0; i < COUNTOF(sigs); i++)
		(void)signal(sigs[i], died);
	/* The engine says what it finds; here it finds it a thousand times. */
	if (getenv("CRASH_LOG") == NULL)
		null = open("/dev/null", O_WRONLY);
	if (null >= 0) {
		(void)dup2(null, STDERR_FILENO);
		(void)close(null);
	}
	(void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
	(void)snprintf(dir, sizeof(dir), "%s/%u", run.dir, me);
	if (mkdir(dir, 0700) != 0)
		abort();
	base_start(dir);
}

static bool
late(void)
{
	return (run.end_ns != 0 && clock_mono_ns() >= run.end_ns);
}

static bool
one(struct worker *me, enum part part, uint64_t seed)
{
	struct work w;

	(void)alarm(run.stuck);
	work_of_seed(seed, &w);
	if (explore(&w, NO_CUT, &me->part[part], me->why))
		return (true);
	me->failed = true;
	return (false);
}

/* All seeds of [from, to) that are mine. */
static bool
range(unsigned no, enum part part, uint64_t from, uint64_t to)
{
	uint64_t s = from + no;
	bool good = true;

	for (; good && s < to && !late(); s += run.jobs)
		good = one(&run.w[no], part, s);
	if (part == PART_TWO)
		run.w[no].two = s < to ? s : to;
	return (good);
}

static uint64_t
random_seed(enum part part, uint64_t r)
{
	if (part == PART_HURT)
		return (work_ones() + r % (work_hurts() - work_ones()));
	if (part == PART_TWO)
		return (work_hurts() + r % (work_twos() - work_hurts()));
	return (work_twos() + r % 1000000000);
}

/* The next seed: every other one of one step, as long as there are any, and of
 * the other kinds by turns. */
static uint64_t
next_seed(uint64_t i, uint64_t *ones, uint64_t *rnd, enum part *ret)
{
	*ret = PART_THREE;
	if (!run.all && !run.three)
		*ret = i % 2 == 0 && *ones < work_ones()
			   ? PART_ONE
			   : (enum part)(PART_HURT + i / 2 % 3);
	if (*ret != PART_ONE)
		return (random_seed(*ret, rnd_next(rnd, UINT64_MAX)));
	*ones += run.jobs;
	return (*ones - run.jobs);
}

static void
work(unsigned no)
{
	uint64_t rnd = run.seed * JOBS_MAX + no, ones = no;
	enum part part;
	bool good = true;

	if (run.all)
		good = range(no, PART_ONE, 0, work_ones()) &&
		       range(no, PART_HURT, work_ones(), work_hurts());
	if (good && (run.all || run.two))
		good =
		    range(no, PART_TWO, work_hurts() + run.from, work_twos());
	if (run.two)
		return;
	for (uint64_t i = 0; good && !late(); i++) {
		const uint64_t seed = next_seed(i, &ones, &rnd, &part);

		good = one(&run.w[no], part, seed);
	}
}

/* ---- The whole --------------------------------------------------------------------- */

static bool
run_all(void)
{
	pid_t pid[JOBS_MAX];
	bool good = true;
	int status;

	(void)fflush(stdout);
	for (unsigned i = 0; i < run.jobs; i++) {
		pid[i] = fork();
		if (pid[i] < 0)
			return (false);
		if (pid[i] == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			prepare(i);
			work(i);
			_exit(run.w[i].failed ? 1 : 0);
		}
	}
	for (unsigned left = run.jobs; left > 0; left--) {
		const pid_t done = wait(&status);

		if (done < 0)
			return (false);
		if (status == 0)
			continue;
		good = false;
		/* The others need not go on. */
		for (unsigned i = 0; i < run.jobs && left == run.jobs; i++)
			if (pid[i] != done)
				(void)kill(pid[i], SIGTERM);
	}
	return (good);
}

static void
say_next(void)
{
	uint64_t next = work_twos();

	for (unsigned i = 0; i < run.jobs; i++)
		if (run.w[i].two < next)
			next = run.w[i].two;
	(void)printf("# of %llu of two steps the first %llu are done\n",
	    (unsigned long long)(work_twos() - work_hurts()),
	    (unsigned long long)(next - work_hurts()));
}

static void
sum_up(bool good)
{
	static const char *const names[PARTS] = { "one step", "two, hurt first",
		"two steps", "three steps" };

	for (unsigned p = 0; p < PARTS; p++) {
		struct counts c = { .works = 0 };

		for (unsigned i = 0; i < run.jobs; i++) {
			const struct counts *w = &run.w[i].part[p];

			c.works += w->works;
			c.idle += w->idle;
			c.asked += w->asked;
			c.apart += w->apart;
			c.cuts += w->cuts;
			c.states += w->states;
			c.unlike += w->unlike;
			c.opened += w->opened;
		}
		(void)printf("%sok %u - sequences of %s: %llu runs, %llu "
			     "of them with a step that did nothing, %llu cuts, "
			     "%llu states, %llu of them different, %llu "
			     "opened\n",
		    good ? "" : "# ", p + 1, names[p],
		    (unsigned long long)c.works, (unsigned long long)c.idle,
		    (unsigned long long)c.cuts, (unsigned long long)c.states,
		    (unsigned long long)c.unlike, (unsigned long long)c.opened);
		if (c.asked > 0)
			(void)printf("# %llu were compared with the one that "
				     "they begin as, %llu differed\n",
			    (unsigned long long)c.asked,
			    (unsigned long long)c.apart);
	}
	if (good && run.two)
		say_next();
	/* One that died has said so itself. */
	for (unsigned i = 0; i < run.jobs; i++)
		if (run.w[i].failed)
			(void)printf("not ok - %s\n", run.w[i].why);
}

static int
repeat(uint64_t seed, size_t cut)
{
	struct counts c = { .works = 0 };
	static char why[WHY_MAX];
	char text[600];
	struct work w;
	bool good;

	prepare(0);
	work_of_seed(seed, &w);
	work_text(&w, text, sizeof(text));
	(void)printf("# %s\n", text);
	good = explore(&w, cut, &c, why);
	(void)printf("%s - seed %llu: %llu cuts, %llu states, %llu different, "
		     "%llu opened%s%s\n",
	    good ? "ok" : "not ok", (unsigned long long)seed,
	    (unsigned long long)c.cuts, (unsigned long long)c.states,
	    (unsigned long long)c.unlike, (unsigned long long)c.opened,
	    good ? "" : ": ", why);
	return (good ? 0 : 1);
}

static uint64_t
number(const char *name, uint64_t other)
{
	const char *text = getenv(name);

	return (
	    text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : other);
}

static void
clean_up(void)
{
	char rm[256];

	(void)snprintf(rm, sizeof(rm), "rm -rf '%s'", run.dir);
	if (system(rm) != 0)
		(void)printf("# %s is left\n", run.dir);
}

int
main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	uint64_t seconds;
	bool good;
	int rc;

	run.all = argc > 1 && strcmp(argv[1], "all") == 0;
	run.two = argc > 1 && strcmp(argv[1], "two") == 0;
	run.from = run.two && argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	run.three = argc > 1 && strcmp(argv[1], "three") == 0;
	run.seed = number("CRASH_SEED", 1);
	run.stuck = (unsigned)number("CRASH_STUCK", STUCK);
	explore_salt(run.seed - 1);
	run.jobs = (unsigned)number("JOBS", 1);
	if (run.jobs == 0 || run.jobs > JOBS_MAX)
		run.jobs = 1;
	(void)snprintf(run.dir, sizeof(run.dir), "%s/crash.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(run.dir) == NULL) {
		(void)fprintf(stderr, "%s: %s\n", run.dir, strerror(errno));
		return (1);
	}
	if (argc > 1 && !run.all && !run.two && !run.three) {
		rc = repeat(strtoull(argv[1], NULL, 10),
		    argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : NO_CUT);
		clean_up();
		return (rc);
	}
	run.w = mmap(NULL, sizeof(*run.w) * JOBS_MAX, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.w == MAP_FAILED)
		return (1);
	seconds = number("CRASH_SECONDS", run.all || run.two ? 0 : 20);
	run.end_ns =
	    seconds == 0 ? 0 : clock_mono_ns() + seconds * UINT64_C(1000000000);
	(void)printf("1..%d\n# random sequences by CRASH_SEED=%llu\n", PARTS,
	    (unsigned long long)run.seed);
	good = run_all();
	sum_up(good);
	clean_up();
	return (good ? 0 : 1);
}
