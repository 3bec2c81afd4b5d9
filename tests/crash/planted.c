/*
 * planted: faults on purpose, one for each of the four rules of the engine and
 * some more, and whether the simulator finds them.
 *
 *	planted [N]		all, or the Nth only
 *
 * The linker puts the functions below in the place of the engine's (see
 * Makefile): the engine itself has no trace of them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/sys.h"
#include "store/redo.h"

#include "tests/crash/explore.h"

#define TRIES 3000 /* runs without a finding that are enough */

static unsigned plant;
static uint64_t last_freed; /* slot */

/* ---- The faults ----------------------------------------------------------------- */

enum err __real_alloc_sync(struct store *st) MUSTCHECK;
enum err __wrap_alloc_sync(struct store *st) MUSTCHECK;
enum err __real_vfs_wal_sync(const char *path) MUSTCHECK;
enum err __wrap_vfs_wal_sync(const char *path) MUSTCHECK;
enum err __real_vfs_wal_renew(const char *path) MUSTCHECK;
enum err __wrap_vfs_wal_renew(const char *path) MUSTCHECK;
void __real_alloc_give(struct store *st, uint64_t slot, uint32_t n, bool fresh);
void __wrap_alloc_give(struct store *st, uint64_t slot, uint32_t n, bool fresh);
enum err __real_inode_flush(struct store *st, struct inode *ip) MUSTCHECK;
enum err __wrap_inode_flush(struct store *st, struct inode *ip) MUSTCHECK;

enum err __real_alloc_take(struct store *st, uint64_t hint, uint32_t want,
    uint64_t *ret_slot, uint32_t *ret_n) MUSTCHECK;
enum err __wrap_alloc_take(struct store *st, uint64_t hint, uint32_t want,
    uint64_t *ret_slot, uint32_t *ret_n) MUSTCHECK;
bool __real_redo_gather(struct store *st) MUSTCHECK;
bool __wrap_redo_gather(struct store *st) MUSTCHECK;
bool __real_alloc_in_use(struct store *st, uint64_t slot);
bool __wrap_alloc_in_use(struct store *st, uint64_t slot);

enum err
__wrap_alloc_sync(struct store *st)
{
	enum err e;

	/* Rule 1: the map is committed before the data. */
	if (plant == 1)
		return (OK);
	e = __real_alloc_sync(st);
	/* Rule 3: a failed sync is tried again, and the kernel says yes. */
	if (plant == 3 && e != OK)
		e = __real_alloc_sync(st);
	return (e);
}

enum err
__wrap_vfs_wal_sync(const char *path)
{
	const enum err e = __real_vfs_wal_sync(path);

	/* Rule 3 once more. */
	return (plant == 3 ? OK : e);
}

void
__wrap_alloc_give(struct store *st, uint64_t slot, uint32_t n, bool fresh)
{
	last_freed = slot;
	/* Rule 2: what is freed is used again at once. */
	__real_alloc_give(st, slot, n, fresh || plant == 2);
}

enum err
__wrap_inode_flush(struct store *st, struct inode *ip)
{
	TRY(__real_inode_flush(st, ip));
	if (plant != 4)
		return (OK);
	/* Rule 4: each file's change is a transaction of its own. */
	LOCK_SCOPE(&st->db);
	return (db_commit(st));
}

/* Is the WAL's last frame, by its salts alone, within a transaction? */
static bool
unfinished(const char *path)
{
	uint8_t head[32] = { 0 }, frame[24];
	bool within = false;
	char name[300];
	int fd;

	(void)snprintf(name, sizeof(name), "%s-wal", path);
	fd = sys->open(name, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return (false);
	(void)sys->pread(fd, head, sizeof(head), 0);
	for (off_t at = 32;
	     get_u32(head + 8) != 0 && sys->pread(fd, frame, 24, at) == 24 &&
	     memcmp(frame + 8, head + 16, 8) == 0;
	     at += 24 + (off_t)get_u32(head + 8))
		within = get_u32(frame + 4) == 0;
	(void)sys->close(fd);
	return (within);
}

enum err
__wrap_vfs_wal_renew(const char *path)
{
	/* What a cut tore counts as damage: only states show it that are alike
	 * to others without. */
	if (plant == 8 && unfinished(path))
		return (ERR_CORRUPT);
	/* What the kernel shows is taken for what the disk has. */
	return (plant == 5 ? OK : __real_vfs_wal_renew(path));
}

bool
__wrap_redo_gather(struct store *st)
{
	const bool all = __real_redo_gather(st);

	if (plant == 6 && all)
		st->redo->nnew = 0;
	return (all);
}

bool
__wrap_alloc_in_use(struct store *st, uint64_t slot)
{
	return (plant == 7 || __real_alloc_in_use(st, slot));
}

/* What two of the faults need is a slot that is used again, which these short
 * runs see seldom, as a file's next block goes behind its last: the slot that
 * was freed last is wished for, and given when the engine calls it free. */
enum err
__wrap_alloc_take(struct store *st, uint64_t hint, uint32_t want,
    uint64_t *ret_slot, uint32_t *ret_n)
{
	if (plant == 2 || plant == 7)
		hint = last_freed;
	return (__real_alloc_take(st, hint, want, ret_slot, ret_n));
}

/* ---- Looking for them ------------------------------------------------------------- */

/* Writes alone, with syncs among them: slots that change hands.  No seed has this
 * run; the text that a finding prints has its steps. */
static void
writes(unsigned i, struct work *w)
{
	uint64_t rnd = i;

	*w = (struct work){ .seed = 1, .cfg = CFG_NONE };
	while (w->n + 2 <= STEPS_MAX / 2) {
		const unsigned op = (unsigned)(rnd_next(&rnd, work_nops));

		if (strncmp(work_ops[op].text, "write", 5) != 0)
			continue;
		w->step[w->n++] = (struct step){ STEP_OP, op };
		if (rnd_next(&rnd, 2) != 0)
			w->step[w->n++] = (struct step){ STEP_SYNC, 0 };
	}
}

/* The ${i}th run to be tried; one in which a sync fails for what is wrong only
 * then. */
static void
nth_work(unsigned i, struct work *w)
{
	const bool fails = plant == 3 || plant == 5;
	static uint64_t last;
	uint64_t rnd = i;

	if (plant == 2 || plant == 7) {
		writes(i, w);
		return;
	}
	if (!fails) {
		work_of_seed(rnd_next(&rnd, work_twos()), w);
		return;
	}
	/* Backwards: where the metadata is sealed it shows soonest. */
	if (i == 0)
		last = work_hurts();
	do {
		last = last == work_ones()   ? work_twos()
		       : last >= work_twos() ? last + 1
					     : last - 1;
		work_of_seed(last, w);
	} while (w->fail_sync == 0);
}

/* The first line of a report says where, the third what. */
static void
found(const struct counts *c, const char *rule, char *why)
{
	char *line = strtok(why, "\n");
	/* The fourth says how to repeat it, which needs a seed of its own. */
	const unsigned most = plant == 2 || plant == 7 ? 3 : 4;
	unsigned n = 0;

	(void)printf("ok - %s: found in run %llu, state %llu\n", rule,
	    (unsigned long long)c->works, (unsigned long long)c->states);
	for (; line != NULL && n < most; line = strtok(NULL, "\n"), n++)
		(void)printf("%s%s\n", line[0] == '#' ? "" : "# ", line);
}

static bool
look_for(unsigned which, const char *rule)
{
	static char why[WHY_MAX];
	struct counts c = { .works = 0 };
	struct work w;

	explore_forget();
	for (unsigned i = 0; i < TRIES; i++) {
		/* A prepared disk has no fault. */
		plant = which;
		nth_work(i, &w);
		plant = 0;
		(void)base_get(w.cfg);
		plant = which;
		if (!explore(&w, NO_CUT, &c, why)) {
			found(&c, rule, why);
			return (true);
		}
	}
	(void)printf("not ok - %s: not found in %llu runs, %llu states\n", rule,
	    (unsigned long long)c.works, (unsigned long long)c.states);
	return (false);
}

/* Without a fault the same program finds nothing. */
static bool
control(void)
{
	static char why[WHY_MAX];
	struct counts c = { .works = 0 };
	struct work w;

	plant = 0;
	explore_forget();
	for (unsigned i = 0; i < 20; i++) {
		nth_work(i, &w);
		if (!explore(&w, NO_CUT, &c, why)) {
			(void)printf("not ok - no fault: %s\n", why);
			return (false);
		}
	}
	(void)printf("ok - no fault: nothing found in %llu states\n",
	    (unsigned long long)c.states);
	return (true);
}

int
main(int argc, char **argv)
{
	static const char *const rules[] = { "rule 1, data before map",
		"rule 2, no early reuse", "rule 3, fail-stop",
		"rule 4, one transaction", "an opening after a failed sync",
		"redo: a commit without its rows",
		"redo: a row that outlives its slot",
		"an opening that minds a torn WAL" };
	const char *tmp = getenv("TMPDIR");
	const unsigned only =
	    argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	char dir[200], rm[256];
	bool good = true;
	int null;

	(void)snprintf(
	    dir, sizeof(dir), "%s/planted.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		return (1);
	null = open("/dev/null", O_WRONLY);
	if (null >= 0)
		(void)dup2(null, STDERR_FILENO);
	base_start(dir);
	(void)printf("1..%zu\n", only != 0 ? 1 : COUNTOF(rules) + 1);
	if (only == 0)
		good = control();
	for (unsigned i = 1; i <= COUNTOF(rules); i++)
		if (only == 0 || only == i)
			good = look_for(i, rules[i - 1]) && good;
	(void)snprintf(rm, sizeof(rm), "rm -rf '%s'", dir);
	return (system(rm) == 0 && good ? 0 : 1);
}
