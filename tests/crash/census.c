/*
 * census: no key meets a nonce twice.
 *
 * Every AES-GCM message that this program seals, whatever for and whether or
 * not it reaches a disk, is noted by its key and its nonce.  Stores are made to
 * write as the simulator has them write; are cut and opened again; are given an
 * older copy of their database; and are cloned, so that two write on with the
 * same keys.  Random numbers are the kernel's here.
 *
 * Then a fault is planted: nonces that are counted, from the opening of the
 * store on.  Each of the three ways must show it.
 *
 * The linker puts the functions below around those of the engine (see
 * Makefile).
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "crypto/digest.h"

#include "tests/crash/explore.h"
#include "tests/crash/seeded.h"

#define RUNS 400 /* workloads, all from the same prepared disks */

/* ---- What was sealed ---------------------------------------------------------------- */

struct used {
	uint8_t id[16]; /* of key and nonce; zero: free */
};

struct named {
	const struct aead *a;
	uint8_t key[KEY_LEN];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct used *used;
static size_t nused, used_size;
static struct named *named;
static size_t nnamed, named_size;
static uint64_t repeated;

static struct used *
used_at(const uint8_t *id)
{
	static const uint8_t none[16];
	uint64_t h;
	size_t i;

	memcpy(&h, id, sizeof(h));
	for (i = h & (used_size - 1); memcmp(used[i].id, none, 16) != 0 &&
				      memcmp(used[i].id, id, 16) != 0;)
		i = (i + 1) & (used_size - 1);
	return (&used[i]);
}

static void
used_grow(void)
{
	struct used *old = used;
	const size_t n = used_size;
	static const uint8_t none[16];

	if (nused * 2 < used_size)
		return;
	used_size = used_size == 0 ? 65536 : used_size * 2;
	used = must(calloc(used_size, sizeof(*used)));
	for (size_t i = 0; i < n; i++)
		if (memcmp(old[i].id, none, 16) != 0)
			*used_at(old[i].id) = old[i];
	free(old);
}

static void
note(const uint8_t *key, const uint8_t *nonce)
{
	uint8_t text[KEY_LEN + AEAD_NONCELEN], sum[SHA256_LEN];
	struct used *u;

	memcpy(text, key, KEY_LEN);
	memcpy(text + KEY_LEN, nonce, AEAD_NONCELEN);
	sha256(text, sizeof(text), sum);
	sum[0] |= 1;
	used_grow();
	u = used_at(sum);
	if (memcmp(u->id, sum, 16) == 0) {
		repeated++;
		return;
	}
	memcpy(u->id, sum, 16);
	nused++;
}

static void
forget_all(void)
{
	free(used);
	used = NULL;
	nused = used_size = 0;
	repeated = 0;
}

static struct named *
name_of(const struct aead *a)
{
	for (size_t i = nnamed; i-- > 0;)
		if (named[i].a == a)
			return (&named[i]);
	return (NULL);
}

/* ---- Around the engine --------------------------------------------------------------- */

static bool planted;
static uint64_t counter;

enum err __real_aead_new(const uint8_t *key, struct aead **ret) MUSTCHECK;
enum err __wrap_aead_new(const uint8_t *key, struct aead **ret) MUSTCHECK;
void __real_aead_free(struct aead *a);
void __wrap_aead_free(struct aead *a);
enum err __real_aead_seal(struct aead *a, const uint8_t *nonce, const void *ad,
    size_t adlen, const void *in, size_t len, void *out,
    uint8_t *tag) MUSTCHECK;
enum err __wrap_aead_seal(struct aead *a, const uint8_t *nonce, const void *ad,
    size_t adlen, const void *in, size_t len, void *out,
    uint8_t *tag) MUSTCHECK;
enum err __real_aead_seal_once(const uint8_t *key, const uint8_t *nonce,
    const void *ad, size_t adlen, const void *in, size_t len, void *out,
    uint8_t *tag) MUSTCHECK;
enum err __wrap_aead_seal_once(const uint8_t *key, const uint8_t *nonce,
    const void *ad, size_t adlen, const void *in, size_t len, void *out,
    uint8_t *tag) MUSTCHECK;
enum err __real_aead_seal_msg(struct aead *a, const void *ad, size_t adlen,
    const void *in, size_t len, uint8_t *msg) MUSTCHECK;
enum err __wrap_aead_seal_msg(struct aead *a, const void *ad, size_t adlen,
    const void *in, size_t len, uint8_t *msg) MUSTCHECK;
void __real_rand_bytes(void *p, size_t len);
void __wrap_rand_bytes(void *p, size_t len);

enum err
__wrap_aead_new(const uint8_t *key, struct aead **ret)
{
	TRY(__real_aead_new(key, ret));
	(void)pthread_mutex_lock(&lock);
	if (nnamed == named_size) {
		named_size = named_size == 0 ? 1024 : 2 * named_size;
		named = must(realloc(named, named_size * sizeof(*named)));
	}
	named[nnamed].a = *ret;
	memcpy(named[nnamed++].key, key, KEY_LEN);
	(void)pthread_mutex_unlock(&lock);
	return (OK);
}

void
__wrap_aead_free(struct aead *a)
{
	struct named *n;

	(void)pthread_mutex_lock(&lock);
	n = a == NULL ? NULL : name_of(a);
	if (n != NULL)
		*n = named[--nnamed];
	(void)pthread_mutex_unlock(&lock);
	__real_aead_free(a);
}

/* A key that nobody made would be one that the census misses. */
static void
note_by(const struct aead *a, const uint8_t *nonce)
{
	const struct named *n;

	(void)pthread_mutex_lock(&lock);
	n = name_of(a);
	if (n == NULL)
		abort();
	note(n->key, nonce);
	(void)pthread_mutex_unlock(&lock);
}

enum err
__wrap_aead_seal(struct aead *a, const uint8_t *nonce, const void *ad,
    size_t adlen, const void *in, size_t len, void *out, uint8_t *tag)
{
	note_by(a, nonce);
	return (__real_aead_seal(a, nonce, ad, adlen, in, len, out, tag));
}

enum err
__wrap_aead_seal_once(const uint8_t *key, const uint8_t *nonce, const void *ad,
    size_t adlen, const void *in, size_t len, void *out, uint8_t *tag)
{
	(void)pthread_mutex_lock(&lock);
	note(key, nonce);
	(void)pthread_mutex_unlock(&lock);
	return (
	    __real_aead_seal_once(key, nonce, ad, adlen, in, len, out, tag));
}

enum err
__wrap_aead_seal_msg(struct aead *a, const void *ad, size_t adlen,
    const void *in, size_t len, uint8_t *msg)
{
	TRY(__real_aead_seal_msg(a, ad, adlen, in, len, msg));
	note_by(a, msg);
	return (OK);
}

/* The fault: a nonce is the number of nonces since the store was opened. */
void
__wrap_rand_bytes(void *p, size_t len)
{
	__real_rand_bytes(p, len);
	if (!planted || len != AEAD_NONCELEN)
		return;
	(void)pthread_mutex_lock(&lock);
	counter++;
	memset(p, 0, len);
	memcpy(p, &counter, sizeof(counter));
	(void)pthread_mutex_unlock(&lock);
}

/* ---- Writing -------------------------------------------------------------------------- */

static void
write_to(struct store *st, uint64_t dir, const char *name)
{
	static uint8_t bytes[20000];
	struct store_attr a;
	struct store_file *f;

	/* Of an older database not every block can be read. */
	if (store_lookup(st, dir, name, strlen(name), &a) != OK ||
	    store_open(st, &crash_who, a.ino, &f) != OK)
		return;
	if (store_write(f, 0, bytes, sizeof(bytes), 0) != OK ||
	    store_write(f, 40960, bytes, 8192, 0) != OK)
		err_clear();
	store_release(f);
}

/* Open the store on ${d}, which it consumes, write to its files, close it. */
static bool
go_on(struct disk *d)
{
	const struct store_opts o = base_opts();
	struct store_attr a;
	struct store *st;
	uint64_t bkt;
	bool good;

	counter = 0;
	sim_mount(d, NULL);
	good = store_open_dir(&o, &st) == OK;
	if (good && store_bucket_find(st, "bkt", &bkt) == OK) {
		write_to(st, bkt, "a");
		write_to(st, bkt, "b");
		if (store_lookup(st, bkt, "D", 1, &a) == OK)
			write_to(st, a.ino, "c");
		good = store_sync(st) == OK;
	}
	if (good)
		good = store_close_dir(st) == OK;
	sim_unmount();
	disk_free(d);
	return (good);
}

/* ---- The ways in which a store comes to write with old keys ----------------------------- */

static bool
run_one(uint64_t seed, struct record *rec)
{
	static char why[WHY_MAX];
	struct work w;

	work_of_seed(seed, &w);
	counter = 0;
	if (work_record(&w, rec, why))
		return (true);
	(void)printf("# seed %llu: %s\n", (unsigned long long)seed, why);
	return (false);
}

/* Every place where the power may go; what is left writes on. */
static bool
cut_and_go_on(void)
{
	struct cursor c;
	struct record rec;
	uint64_t rnd = 1;
	bool good = run_one(1 + 11, &rec);

	cursor_start(&c, rec.base->disk, &rec.log);
	do
		good = good && go_on(cursor_cut(&c, CUT_NONE, &rnd)) &&
		       go_on(cursor_cut(&c, CUT_ALL, &rnd));
	while (good && cursor_step(&c));
	cursor_end(&c);
	record_clear(&rec);
	return (good);
}

/* The disk after a run. */
static struct disk *
after(const struct record *rec)
{
	struct disk *d = disk_clone(rec->base->disk);

	for (size_t i = 0; i < rec->log.n; i++)
		io_apply(d, &rec->log.v[i]);
	return (d);
}

/* ${name} is again as it was on ${old}. */
static void
restore(struct disk *d, struct disk *old, const char *name)
{
	const struct disk_name *n = disk_find(d, name);

	image_free(d->file[n->file]);
	d->file[n->file] = image_clone(old->file[disk_find(old, name)->file]);
}

static bool
older_database(void)
{
	struct record rec;
	bool good = run_one(1 + 13, &rec);
	struct disk *now = after(&rec), *old;

	good = good && go_on(disk_clone(now));
	old = disk_clone(rec.base->disk);
	restore(now, old, "s/meta.db");
	restore(now, old, "s/meta.db-wal");
	disk_free(old);
	record_clear(&rec);
	return (go_on(now) && good);
}

static bool
clones(void)
{
	const struct base *b = base_get(CFG_KMS);

	return (go_on(disk_clone(b->disk)) && go_on(disk_clone(b->disk)));
}

static bool
all_runs(void)
{
	struct record rec;
	bool good = true;

	for (unsigned i = 0; good && i < RUNS; i++) {
		uint64_t rnd = i;

		good = run_one(rnd_next(&rnd, work_twos() + 100000), &rec);
		record_clear(&rec);
	}
	return (good);
}

static const struct {
	const char *name;
	bool (*fn)(void);
	bool shows; /* the planted fault */
} ways[] = { { "workloads, killed ones among them", all_runs, false },
	{ "cut and opened again", cut_and_go_on, true },
	{ "an older meta.db", older_database, true },
	{ "a clone", clones, true } };

static bool
count(unsigned no, const char *name, bool (*fn)(void), bool fault)
{
	bool good;

	forget_all();
	planted = fault;
	good = fn() && (repeated > 0) == fault;
	planted = false;
	(void)printf("%sok %u - %s%s: %zu nonces, %llu used again\n",
	    good ? "" : "not ", no, fault ? "planted reuse: " : "", name, nused,
	    (unsigned long long)repeated);
	return (good);
}

int
main(void)
{
	const char *tmp = getenv("TMPDIR");
	char dir[200], rm[256];
	unsigned no = 0;
	bool good = true;
	int null;

	(void)snprintf(
	    dir, sizeof(dir), "%s/census.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		return (1);
	null = open("/dev/null", O_WRONLY);
	if (null >= 0)
		(void)dup2(null, STDERR_FILENO);
	seeded_never();
	base_start(dir);
	for (enum config cfg = 0; cfg < CFG_ALL; cfg++)
		(void)base_get(cfg);
	(void)printf("1..7\n");
	for (unsigned i = 0; i < COUNTOF(ways); i++)
		good = count(++no, ways[i].name, ways[i].fn, false) && good;
	for (unsigned i = 0; i < COUNTOF(ways); i++)
		if (ways[i].shows)
			good =
			    count(++no, ways[i].name, ways[i].fn, true) && good;
	(void)snprintf(rm, sizeof(rm), "rm -rf '%s'", dir);
	return (system(rm) == 0 && good ? 0 : 1);
}
