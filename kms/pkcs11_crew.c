/*
 * Calls that may hang, made by threads that may.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/thread.h"

#include "kms/pkcs11_crew.h"

#define MS_NS UINT64_C(1000000)
#define HUNG_NS UINT64_C(1000000000) /* others are refused so long */

struct p11_crew {
	unsigned want, ms;
	struct lock lock;
	/* lock, all below */
	pthread_cond_t work; /* for those who wait for it */
	pthread_cond_t gone; /* for p11_crew_free() */
	pthread_t *member;
	unsigned n, idle, ended;
	struct p11_job *first, *last; /* the queue */
	uint64_t hung_until;          /* monotonic; 0: not at all */
	bool told, ending;            /* told: some hang, none ended since */
	const struct p11_job *probe;  /* whose caller tries it meanwhile */
	void (*rest)(void *arg);      /* once all have ended; NULL: not yet */
	void *rest_arg;
};

void *
p11_job_new(size_t size)
{
	struct p11_job *j = secret_alloc(size);

	if (j == NULL)
		return NULL;
	memset(j, 0, size);
	lock_cond_init(&j->ended);
	return j;
}

void
p11_job_free(struct p11_job *j)
{

	if (j == NULL)
		return;
	(void)pthread_cond_destroy(&j->ended);
	secret_free(j);
}

enum err
p11_crew_new(unsigned threads, unsigned ms, struct p11_crew **ret)
{
	struct p11_crew *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return ERR_NOMEM;
	c->member = calloc(threads, sizeof(*c->member));
	if (c->member == NULL) {
		free(c);
		return ERR_NOMEM;
	}
	c->want = threads;
	c->ms = ms;
	lock_init(&c->lock, RANK_TOKEN_POOL, "PKCS#11 calls");
	lock_cond_init(&c->work);
	lock_cond_init(&c->gone);
	*ret = c;
	return OK;
}

/* ---- A thread -------------------------------------------------------------- */

/* The next job; NULL: it is time to end. */
static struct p11_job *
next_job(struct p11_crew *c)
{
	LOCK_SCOPE(&c->lock);
	struct p11_job *j;

	c->idle++;
	while (c->first == NULL && !c->ending)
		lock_wait(&c->lock, &c->work);
	c->idle--;
	j = c->first;
	if (j == NULL)
		return NULL;
	c->first = j->next;
	if (c->first == NULL)
		c->last = NULL;
	j->queued = false;
	return j;
}

static void
finish(struct p11_crew *c, struct p11_job *j)
{
	bool left;

	lock_take(&c->lock);
	c->hung_until = 0;
	if (c->told)
		log_info("calls into the PKCS#11 library end again");
	c->told = false;
	c->probe = NULL;
	j->done = true;
	left = j->left;
	if (!left)
		(void)pthread_cond_signal(&j->ended);
	lock_drop(&c->lock);
	if (left)
		p11_job_free(j);
}

/* Nobody uses it any more. */
static void
crew_release(struct p11_crew *c)
{

	c->rest(c->rest_arg);
	(void)pthread_cond_destroy(&c->work);
	(void)pthread_cond_destroy(&c->gone);
	lock_destroy(&c->lock);
	free(c->member);
	free(c);
}

/* True for the last one of a crew that nobody waits for. */
static bool
member_ends(struct p11_crew *c)
{
	LOCK_SCOPE(&c->lock);

	c->ended++;
	(void)pthread_cond_signal(&c->gone);
	return c->rest != NULL && c->ended == c->n;
}

static void *
member_main(void *arg)
{
	struct p11_crew *c = arg;
	struct p11_job *j;

	while ((j = next_job(c)) != NULL) {
		err_clear();
		j->e = j->run(j);
		if (j->e != OK)
			(void)snprintf(
			    j->why, sizeof(j->why), "%s", err_detail(j->e));
		finish(c, j);
	}
	if (member_ends(c))
		crew_release(c);
	return NULL;
}

/* One more thread, if all are busy and there may be more.  With the lock
 * held. */
static enum err
hire(struct p11_crew *c)
{
	sigset_t all, before;
	int rc;

	if (c->idle > 0 || c->n == c->want)
		return OK;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = thread_make(member_main, c, &c->member[c->n]);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		c->n++;
	return c->n == 0 ? ERR_NOMEM : OK;
}

/* ---- A caller -------------------------------------------------------------- */

static enum err
hangs(const struct p11_crew *c)
{

	return err_fail(
	    ERR_TIMEDOUT, "the token did not answer within %u ms", c->ms);
}

static void
unqueue(struct p11_crew *c, struct p11_job *j)
{
	struct p11_job **at = &c->first, *before = NULL;

	for (; *at != j; at = &(*at)->next)
		before = *at;
	*at = j->next;
	if (c->last == j)
		c->last = before;
	j->queued = false;
}

/* It has not ended in time.  With the lock held. */
static enum err
leave(struct p11_crew *c, struct p11_job **job)
{
	struct p11_job *j = *job;

	c->hung_until = clock_mono_ns() + HUNG_NS;
	if (c->probe == j)
		c->probe = NULL;
	/* Nor do those wait on that have not begun. */
	for (struct p11_job *q = c->first; q != NULL; q = q->next)
		(void)pthread_cond_signal(&q->ended);
	if (!c->told)
		log_warn("a call into the PKCS#11 library hangs, for %u ms "
			 "now; it is left to itself",
		    c->ms);
	c->told = true;
	if (j->queued) {
		unqueue(c, j);
		return hangs(c);
	}
	j->left = true;
	*job = NULL;
	return hangs(c);
}

enum err
p11_crew_run(struct p11_crew *c, struct p11_job **job)
{
	struct p11_job *j = *job;
	const uint64_t end = clock_mono_ns() + c->ms * MS_NS;
	LOCK_SCOPE(&c->lock);

	if (clock_mono_ns() < c->hung_until || c->probe != NULL)
		return hangs(c);
	TRY(hire(c));
	if (c->told)
		c->probe = j;
	j->queued = true;
	if (c->last != NULL)
		c->last->next = j;
	else
		c->first = j;
	c->last = j;
	(void)pthread_cond_signal(&c->work);
	while (!j->done) {
		const uint64_t now = clock_mono_ns();

		if (now >= end || (j->queued && now < c->hung_until))
			return leave(c, job);
		(void)lock_wait_for(&c->lock, &j->ended, end - now);
	}
	return j->e == OK ? OK : err_fail(j->e, "%s", j->why);
}

/* ---- The end --------------------------------------------------------------- */

/* True when all threads have ended in time. */
static bool
all_end(struct p11_crew *c)
{
	const uint64_t end = clock_mono_ns() + c->ms * MS_NS;
	LOCK_SCOPE(&c->lock);

	c->ending = true;
	(void)pthread_cond_broadcast(&c->work);
	while (c->ended < c->n) {
		const uint64_t now = clock_mono_ns();

		if (now >= end)
			return false;
		(void)lock_wait_for(&c->lock, &c->gone, end - now);
	}
	return true;
}

/* What is left of ${c} is for the last thread.  False: there is none, by now. */
static bool
leave_all(struct p11_crew *c, void (*rest)(void *arg), void *arg)
{
	LOCK_SCOPE(&c->lock);

	if (c->ended == c->n)
		return false;
	for (unsigned i = 0; i < c->n; i++)
		(void)pthread_detach(c->member[i]);
	c->rest = rest;
	c->rest_arg = arg;
	return true;
}

bool
p11_crew_free(struct p11_crew *c, void (*rest)(void *arg), void *arg)
{

	if (!all_end(c) && leave_all(c, rest, arg))
		return false;
	for (unsigned i = 0; i < c->n; i++)
		(void)pthread_join(c->member[i], NULL);
	c->rest = rest;
	c->rest_arg = arg;
	crew_release(c);
	return true;
}
