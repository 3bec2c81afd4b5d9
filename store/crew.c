#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "lib/base/thread.h"
#include "store/crew.h"

#define HELPERS_MAX 7

/* One request; lives on the stack of the thread that runs it. */
struct job {
	enum err (*piece)(void *arg, size_t i);
	void *arg;
	size_t n;
	atomic_size_t next;   /* piece to be done next */
	atomic_size_t failed; /* least piece that failed; n: none */
	enum err e;           /* its error; under lock */
	unsigned inside;      /* helpers at work on it; under lock */
};

/* Helpers are made at the first large request and live as long as the process;
 * a plain lock, since it is never held while another is taken. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static struct job *current; /* under lock */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static unsigned helpers;

static void
job_failed(struct job *j, size_t i, enum err e)
{
	(void)pthread_mutex_lock(&lock);
	if (i < j->failed) {
		j->failed = i;
		j->e = e;
	}
	(void)pthread_mutex_unlock(&lock);
}

static void
job_work(struct job *j)
{
	for (;;) {
		const size_t i = atomic_fetch_add(&j->next, 1);

		if (i >= j->n || j->failed < i)
			return;
		const enum err e = j->piece(j->arg, i);
		if (e != OK)
			job_failed(j, i, e);
	}
}

static void *
helper_main(void *arg)
{
	(void)arg;
	(void)pthread_mutex_lock(&lock);
	for (;;) {
		while (current == NULL)
			(void)pthread_cond_wait(&work, &lock);
		struct job *j = current;

		j->inside++;
		(void)pthread_mutex_unlock(&lock);
		job_work(j);
		(void)pthread_mutex_lock(&lock);
		if (current == j)
			current = NULL;
		if (--j->inside == 0)
			(void)pthread_cond_broadcast(&done);
	}
	return (NULL);
}

static void
start(void)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	while ((long)helpers < cpus - 1 && helpers < HELPERS_MAX &&
	       thread_make(helper_main, NULL, NULL) == 0)
		helpers++;
}

/* Offer the job to the helpers; false when another has them. */
static bool
offer(struct job *j)
{
	bool free;

	(void)pthread_mutex_lock(&lock);
	free = current == NULL;
	if (free) {
		current = j;
		(void)pthread_cond_broadcast(&work);
	}
	(void)pthread_mutex_unlock(&lock);
	return (free);
}

enum err
crew_run(size_t n, enum err (*piece)(void *arg, size_t i), void *arg)
{
	struct job j = { .piece = piece, .arg = arg, .n = n, .failed = n };

	(void)pthread_once(&once, start);
	const bool offered = n > 1 && helpers != 0 && offer(&j);
	job_work(&j);
	if (!offered)
		return (j.e);
	(void)pthread_mutex_lock(&lock);
	if (current == &j)
		current = NULL;
	while (j.inside != 0)
		(void)pthread_cond_wait(&done, &lock);
	(void)pthread_mutex_unlock(&lock);
	return (j.e);
}
