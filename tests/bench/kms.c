/*
 * kms KEYSTORE KEY [THREADS [SECONDS [USER]]]: data keys per second under KEY
 * ("" means the default key), by one process that calls the key service itself,
 * as the account or as a user of it.  Prints
 *
 *	generate	RATE
 *	decrypt		RATE
 *
 * The calls are what a mount makes at the creation and at the opening of a file:
 * kms_data_key and kms_unwrap, through the gate, with an audit record each.  The
 * records are brought to the disk once a second and at the end, within the time
 * that is measured.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kms/kms.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define BLOBS 256
#define THREADS_MAX 256
#define SECOND 1000000000u

static struct kms_who who = { .user = KMS_ROOT_USER, .agent = "bench" };
static const struct kms_pair ctx[] = { { "store", "s-1" },
	{ "object", "0123456789" } };

static struct kms *kms;
static const char *key;
static struct blob {
	uint8_t b[KMS_BLOB_MAX];
	size_t len;
} blobs[BLOBS];

static pthread_barrier_t start;
static atomic_bool stop;
static atomic_bool failed;

static enum err
generate(struct blob *b, struct key *dek)
{
	char arn[KMS_ARN_MAX];

	return kms_data_key(
	    kms, &who, key, ctx, COUNTOF(ctx), dek, b->b, &b->len, arn);
}

/* Calls until it is told to stop; returns their number. */
static void *
work(void *decrypt)
{
	struct key *dek CLEANUP_KEY = key_new();
	struct blob mine;
	uintptr_t n = 0;
	enum err e = dek == NULL ? ERR_NOMEM : OK;

	(void)pthread_barrier_wait(&start);
	for (; e == OK && !atomic_load(&stop); n++) {
		const struct blob *b = &blobs[n % BLOBS];
		e = decrypt != NULL ? kms_unwrap(kms, &who, b->b, b->len, ctx,
					  COUNTOF(ctx), dek)
				    : generate(&mine, dek);
	}
	if (e != OK) {
		fprintf(stderr, "kms: %s\n", err_name(e));
		atomic_store(&failed, true);
	}
	return (void *)n;
}

/* Calls per second; 0 when one failed. */
static double
measure(bool decrypt, size_t nthreads, unsigned seconds)
{
	static char yes;
	pthread_t t[THREADS_MAX];
	double calls = 0;

	atomic_store(&stop, false);
	if (pthread_barrier_init(&start, NULL, (unsigned)nthreads + 1) != 0)
		abort();
	for (size_t i = 0; i < nthreads; i++)
		if (pthread_create(&t[i], NULL, work, decrypt ? &yes : NULL) !=
		    0)
			abort();
	(void)pthread_barrier_wait(&start);
	const uint64_t began = clock_mono_ns();
	for (unsigned s = 0; s < seconds; s++) {
		(void)sleep(1);
		if (kms_flush(kms) != OK)
			atomic_store(&failed, true);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < nthreads; i++) {
		void *n = NULL;
		if (pthread_join(t[i], &n) != 0)
			abort();
		calls += (double)(uintptr_t)n;
	}
	if (kms_flush(kms) != OK)
		atomic_store(&failed, true);
	const double took = (double)(clock_mono_ns() - began) / SECOND;
	(void)pthread_barrier_destroy(&start);
	return atomic_load(&failed) ? 0 : calls / took;
}

int
main(int argc, char **argv)
{
	size_t nthreads = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
	const unsigned long seconds = argc > 4 ? strtoul(argv[4], NULL, 10) : 2;

	if (argc < 3 || nthreads < 1 || nthreads > THREADS_MAX || seconds < 1 ||
	    seconds > 600) {
		fprintf(stderr,
		    "usage: kms KEYSTORE KEY [THREADS [SECONDS [USER]]]\n");
		return 2;
	}
	key = argv[2];
	if (argc > 5)
		who.user = argv[5];
	log_set_level(LOG_LVL_ERROR);
	enum err e = secret_init();
	if (e == OK)
		e = kms_open(argv[1], NULL, &kms);
	if (e != OK) {
		fprintf(stderr, "kms: %s: %s\n", argv[1], err_detail(e));
		return 1;
	}
	struct key *dek CLEANUP_KEY = key_new();
	for (size_t i = 0; i < BLOBS; i++)
		if (dek == NULL || generate(&blobs[i], dek) != OK) {
			fprintf(stderr, "kms: no data key under \"%s\"\n", key);
			return 1;
		}
	printf("generate %.0f\n", measure(false, nthreads, (unsigned)seconds));
	printf("decrypt %.0f\n", measure(true, nthreads, (unsigned)seconds));
	kms_close(kms);
	return 0;
}
