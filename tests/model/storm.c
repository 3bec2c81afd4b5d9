/*
 * storm: many threads change the same few files of a store at once.
 *
 *	storm [SEED [STEPS]]
 *
 * No thread knows what another has done, so that every 64 bytes tell by
 * themselves whether they are whole: they begin with a number, from which the
 * others follow.  All operations are on whole lines of 64 bytes.  Another thread puts the master key out of use and back all the
 * time; at the end, and after a start, fsck finds nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "tests/early.h"

#define THREADS 4
#define FILES 12
#define LINE 64u
#define BLK 4096u
#define BLOCKS 700u   /* of one file: beyond the borders of two nodes */
#define RUN_MOST 150u /* blocks of one call */

static const struct kms_who who = { .user = "root", .agent = "storm" };

static struct store *st;
static uint64_t bucket;
static atomic_bool finished;
static unsigned long steps = 400;
static char key[KMS_ARN_MAX];

struct worker {
	pthread_t t;
	uint64_t rnd;
	uint8_t *buf;
};

static NORETURN void
fail(const char *what, enum err e)
{
	(void)printf("not ok - %s: %s (%s)\n", what,
	    e == OK ? "wrong" : err_name(e), err_detail(e));
	(void)fflush(stdout);
	abort();
}

static void
fine(enum err e, const char *what)
{
	if (e != OK)
		fail(what, e);
}

/* Another thread may have removed the file, or put its key out of use. */
static bool
went(enum err e, const char *what)
{
	if (e != OK && e != ERR_NOENT && e != ERR_STALE &&
	    e != ERR_KEYREVOKED && e != ERR_EXIST)
		fail(what, e);
	return (e == OK);
}

static uint64_t
next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return (*x);
}

static uint64_t
rnd(struct worker *w, uint64_t below)
{
	return ((next(&w->rnd) >> 11) % below);
}

static void
fill(struct worker *w, size_t len)
{
	for (size_t at = 0; at < len; at += LINE) {
		uint64_t x = next(&w->rnd) | 1;

		for (size_t i = 0; i < LINE; i += 8) {
			memcpy(w->buf + at + i, &x, 8);
			(void)next(&x);
		}
	}
}

static bool
whole(const uint8_t *p)
{
	uint64_t x, y;

	memcpy(&x, p, 8);
	for (size_t i = 0; i < LINE; i += 8) {
		memcpy(&y, p + i, 8);
		if (x != y)
			return (false);
		(void)next(&x); /* none follows from zero but zero */
	}
	return (true);
}

static struct store_file *
any_file(struct worker *w)
{
	struct store_file *f = NULL;
	struct store_attr a;
	char name[16];

	(void)snprintf(name, sizeof(name), "f%u", (unsigned)rnd(w, FILES));
	if (!went(store_lookup(st, bucket, name, strlen(name), &a), "lookup") ||
	    !went(store_open(st, &who, a.ino, &f), "open"))
		return (NULL);
	return (f);
}

static void
op_make(struct worker *w)
{
	static const char *const methods[] = { "None", "AES256", "KMS", NULL };
	const struct store_new new = { .mode = S_IFREG | 0644,
		.sse = methods[rnd(w, 4)] };
	struct store_file *f = NULL;
	struct store_attr a;
	char name[16];

	(void)snprintf(name, sizeof(name), "f%u", (unsigned)rnd(w, FILES));
	if (went(store_make(st, &who, bucket, name, strlen(name), &new, &a, &f),
		"make"))
		store_release(f);
}

static void
op_remove(struct worker *w)
{
	uint64_t ino = 0;
	bool gone = false;
	char name[16];

	(void)snprintf(name, sizeof(name), "f%u", (unsigned)rnd(w, FILES));
	if (went(store_unlink(st, bucket, name, strlen(name), &ino, &gone),
		"unlink") &&
	    gone)
		store_reap(st, ino);
}

/* Mostly whole blocks. */
static uint64_t
somewhere(struct worker *w, uint64_t blocks)
{
	const uint64_t at = rnd(w, blocks) * BLK;

	return (rnd(w, 4) == 0 ? at + rnd(w, BLK / LINE) * LINE : at);
}

static void
op_write(struct worker *w, struct store_file *f)
{
	const uint64_t len =
	    LINE + somewhere(w, rnd(w, 3) == 0 ? RUN_MOST - 1 : 5);
	const uint64_t off =
	    rnd(w, 3) == 0 ? 0 : somewhere(w, BLOCKS - RUN_MOST);

	fill(w, len);
	(void)went(early_write(rnd(w, 2), f, off, w->buf, len, 0), "write");
}

static void
op_read(struct worker *w, struct store_file *f)
{
	size_t got = 0;

	if (!went(store_read(f, somewhere(w, BLOCKS - RUN_MOST), w->buf,
		      RUN_MOST * BLK, &got),
		"read"))
		return;
	for (size_t i = 0; i < got; i += LINE)
		if (!whole(w->buf + i))
			fail("bytes that nobody wrote", OK);
}

static void
op_truncate(struct worker *w, struct store_file *f)
{
	struct store_attr in = { .size = somewhere(w, BLOCKS) }, a;

	if (rnd(w, 3) == 0)
		in.size = rnd(w, 2000 / LINE) * LINE;
	(void)went(
	    store_setattr(st, &who, store_file_ino(f), STORE_SET_SIZE, &in, &a),
	    "truncate");
}

static void
op_punch(struct worker *w, struct store_file *f)
{
	(void)went(
	    store_fallocate(f, STORE_FALLOC_PUNCH | STORE_FALLOC_KEEP_SIZE,
		somewhere(w, BLOCKS), LINE + somewhere(w, RUN_MOST)),
	    "punch");
}

static void
op_copy(struct worker *w, struct store_file *f)
{
	struct store_file *to = any_file(w);
	uint64_t n;

	if (to == NULL)
		return;
	if (store_file_ino(to) != store_file_ino(f))
		(void)went(store_copy(f, somewhere(w, 100), to,
			       somewhere(w, 100), somewhere(w, 400), &n),
		    "copy");
	store_release(to);
}

static void
op_seek(struct worker *w, struct store_file *f)
{
	uint64_t at;
	const enum err e =
	    store_seek(f, rnd(w, BLOCKS * BLK), rnd(w, 2) == 0, &at);

	if (e != ERR_NXIO)
		(void)went(e, "seek");
}

static void *
work(void *arg)
{
	static void (*const ops[])(struct worker * w, struct store_file * f) = {
		op_write, op_write, op_write, op_read, op_read, op_read,
		op_truncate, op_punch, op_copy, op_copy, op_seek
	};
	struct worker *w = arg;

	for (unsigned long i = 0; i < steps; i++) {
		struct store_file *f;

		if (rnd(w, 4) == 0)
			op_make(w);
		if (rnd(w, 12) == 0)
			op_remove(w);
		if (rnd(w, 15) == 0)
			fine(store_sync(st), "sync");
		f = any_file(w);
		if (f == NULL)
			continue;
		for (unsigned k = 0; k < 4; k++)
			ops[rnd(w, sizeof(ops) / sizeof(ops[0]))](w, f);
		store_release(f);
	}
	return (NULL);
}

/* Out of use, and back. */
static void *
flicker(void *arg)
{
	(void)arg;
	while (!finished) {
		fine(kms_key_disable(store_kms(st), &who, key), "disable");
		(void)usleep(5000);
		fine(kms_key_enable(store_kms(st), &who, key), "enable");
		(void)usleep(30000);
	}
	return (NULL);
}

static void
problem(void *arg, const struct store_problem *p)
{
	(void)arg;
	(void)printf("# fsck: %s inode %llu: %s\n", p->invariant,
	    (unsigned long long)p->ino, p->what);
}

static void
check(void)
{
	struct store_check_result r;

	fine(store_check(st, false, problem, NULL, &r), "fsck");
	if (r.problems != 0)
		fail("fsck", OK);
}

static void
play(uint64_t seed, const char *top)
{
	struct worker w[THREADS] = { { .rnd = 0 } };
	char dir[256];
	const struct store_init in = { .dir = dir,
		.seal_metadata = seed % 2 == 0 };
	const struct store_opts o = { .dir = dir,
		.commit_secs = 1,
		.dirty_max = 4u << 20,
		.map_cache = seed % 2 == 0 ? 64u << 10 : 0,
		.inode_cache = seed % 3 == 0 ? 6 : 0 };
	struct kms_desc d;
	char text[STORE_DEFAULT_MAX];
	pthread_t r;

	(void)snprintf(
	    dir, sizeof(dir), "%s/s%llu", top, (unsigned long long)seed);
	finished = false;
	fine(store_create_dir(&in), "create");
	fine(store_open_dir(&o, &st), "open");
	fine(kms_key_create(store_kms(st), &who, "storm", &d), "key");
	(void)snprintf(key, sizeof(key), "%s", d.arn);
	fine(
	    store_bucket_create(st, &who, "storm", NULL, 0, 0, 0755), "bucket");
	fine(store_bucket_find(st, "storm", &bucket), "bucket");

	(void)snprintf(text, sizeof(text), "KMS:%s", key);
	fine(store_default_set(st, &who, bucket, text), "default");
	for (unsigned i = 0; i < THREADS; i++) {
		w[i].rnd = seed * 7919 + i * 104729 + 1;
		w[i].buf = malloc(RUN_MOST * BLK);
		if (w[i].buf == NULL ||
		    pthread_create(&w[i].t, NULL, work, &w[i]) != 0)
			fail("thread", ERR_NOMEM);
	}
	if (pthread_create(&r, NULL, flicker, NULL) != 0)
		fail("thread", ERR_NOMEM);
	for (unsigned i = 0; i < THREADS; i++) {
		(void)pthread_join(w[i].t, NULL);
		free(w[i].buf);
	}
	finished = true;
	(void)pthread_join(r, NULL);
	check();
	fine(store_close_dir(st), "close");
	fine(store_open_dir(&o, &st), "open");
	check();
	fine(store_close_dir(st), "close");
	(void)printf("ok - storm, seed %llu\n", (unsigned long long)seed);
	(void)fflush(stdout);
}

int
main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	uint64_t first = 1, last = 3;
	char dir[150], rm[256];

	if (argc > 1)
		first = last = strtoull(argv[1], NULL, 10);
	if (argc > 2)
		steps = strtoul(argv[2], NULL, 10);
	(void)snprintf(
	    dir, sizeof(dir), "%s/storm.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL) {
		(void)fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		return (1);
	}
	(void)printf("1..%llu\n", (unsigned long long)(last - first + 1));
	for (uint64_t seed = first; seed <= last; seed++)
		play(seed, dir);
	(void)snprintf(rm, sizeof(rm), "rm -rf '%s'", dir);
	return (system(rm) == 0 ? 0 : 1);
}
