/*
 * Sessions with a token: lent out, lost, made anew.
 *
 * Calls run with the module's lock held for reading; whoever finds that the
 * token is gone takes it for writing, which waits for all others, and connects
 * again.  SoftHSM, and others, see a token that has come back only when they are
 * initialised anew.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/rand.h"
#include "crypto/secret.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#include "kms/pkcs11_module.h"
#include "kms/pkcs11_pool.h"
#include "kms/pkcs11_session.h"

#define RETRY_NS UINT64_C(500000000)
#define ANEW_NS UINT64_C(10000000000) /* when others use the module */
#define TRIES 3
#define HANDLES_MAX 4096

struct handle {
	uint8_t id[P11_ID_LEN];
	ck_object_handle_t h;
};

struct p11_pool {
	struct p11_uri uri;
	unsigned want, ms;
	struct p11_crew *crew;
	struct p11_pin pin;
	struct p11_module *_Atomic module; /* NULL until the first use */

	/* module->lock */
	bool ready;
	uint64_t made; /* the module's, when the sessions were opened */
	uint64_t gen;  /* times it was tried to connect */
	uint64_t anew; /* when the module was last initialised anew */
	ck_slot_id_t slot;
	ck_session_handle_t anchor;
	ck_session_handle_t *session;
	unsigned n;

	struct lock lock;
	/* lock */
	pthread_cond_t freed;
	bool *busy;
	bool anchor_busy;
	struct handle *handles;
	size_t nhandles;
	uint64_t next_try; /* monotonic; after a failure */
	enum err failed;
	char why[256];
	bool told;
};

enum err
p11_pool_new(const struct p11_uri *u, unsigned sessions, unsigned ms,
    struct p11_pool **ret)
{
	struct p11_pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return ERR_NOMEM;
	p->uri = *u;
	p->want = sessions;
	p->ms = ms;
	p->session = calloc(sessions, sizeof(*p->session));
	p->busy = calloc(sessions, sizeof(*p->busy));
	p->handles = calloc(HANDLES_MAX, sizeof(*p->handles));
	lock_init(&p->lock, RANK_TOKEN_POOL, "PKCS#11 sessions");
	lock_cond_init(&p->freed);
	/* One more for the session that makes keys. */
	if (p->session == NULL || p->busy == NULL || p->handles == NULL ||
	    p11_crew_new(sessions + 1, ms, &p->crew) != OK) {
		p11_pool_free(p);
		return ERR_NOMEM;
	}
	*ret = p;
	return OK;
}

/* Give up all sessions.  m->lock held for writing. */
static void
disconnect(struct p11_pool *p, struct p11_module *m)
{

	if (p->ready && m->ready && p->made == m->made) {
		for (unsigned i = 0; i < p->n; i++)
			(void)m->f->C_CloseSession(p->session[i]);
		(void)m->f->C_CloseSession(p->anchor);
	}
	p->ready = false;
	p->n = 0;
	LOCK_SCOPE(&p->lock);
	p->nhandles = 0;
}

static enum err
close_job(struct p11_job *j)
{
	struct p11_pool *p = ((struct p11_call *)(void *)j)->pool;
	struct p11_module *m = atomic_load(&p->module);

	rwlock_write(&m->lock);
	disconnect(p, m);
	rwlock_drop(&m->lock);
	p11_module_put(m);
	return OK;
}

/* The library, too, is called by the crew. */
static void
close_all(struct p11_pool *p)
{
	struct p11_call *c = p11_job_new(sizeof(*c));
	struct p11_job *j;

	if (c == NULL)
		return;
	c->job.run = close_job;
	c->pool = p;
	j = &c->job;
	if (p11_crew_run(p->crew, &j) != OK)
		err_clear();
	p11_job_free(j);
}

static void
pool_release(void *arg)
{
	struct p11_pool *p = arg;

	p11_pin_forget(&p->pin);
	(void)pthread_cond_destroy(&p->freed);
	lock_destroy(&p->lock);
	free(p->session);
	free(p->busy);
	free(p->handles);
	free(p);
}

void
p11_pool_free(struct p11_pool *p)
{

	if (p == NULL)
		return;
	if (atomic_load(&p->module) != NULL)
		close_all(p);
	if (p->crew == NULL)
		pool_release(p);
	else if (!p11_crew_free(p->crew, pool_release, p))
		log_warn("a call into the PKCS#11 library hangs still, while "
			 "the token is given up");
}

/* ---- Connecting (m->lock held for writing) ------------------------------- */

static enum err
connect_now(struct p11_pool *p, struct p11_module *m)
{
	unsigned n = 0;

	TRY(p11_slot_find(m->f, &p->uri, &p->slot));
	TRY(p11_anchor_open(m->f, p->slot, &p->anchor));
	const enum err e =
	    p11_login(m->f, p->slot, p->anchor, &p->uri, &p->pin);
	ck_rv_t rv = CKR_OK;

	while (e == OK && n < p->want && rv == CKR_OK) {
		rv = m->f->C_OpenSession(
		    p->slot, CKF_SERIAL_SESSION, NULL, NULL, &p->session[n]);
		if (rv == CKR_OK)
			n++;
	}
	if (e == OK && n != 0) {
		p->n = n;
		p->made = m->made;
		p->ready = true;
		return OK;
	}
	(void)m->f->C_CloseSession(p->anchor);
	if (e != OK)
		return e;
	return err_fail(
	    ERR_TIMEDOUT, "the token opens no session: %s", p11_rv_name(rv));
}

static enum err
connect_anew(struct p11_pool *p, struct p11_module *m, uint64_t now)
{
	const uint64_t made = m->made;
	enum err e;

	TRY(p11_module_init(m, false));
	e = connect_now(p, m);
	if (e != ERR_TIMEDOUT || m->made != made)
		return e;
	/* All other users of the module lose their sessions by this. */
	if (m->users > 1 && p->anew != 0 && now - p->anew < ANEW_NS)
		return e;
	p->anew = now;
	TRY(p11_module_init(m, true));
	return connect_now(p, m);
}

/* Note how it went; what others are told until the next try. */
static enum err
note(struct p11_pool *p, enum err e)
{
	LOCK_SCOPE(&p->lock);

	p->failed = e;
	p->next_try = 0;
	memset(p->busy, 0, p->want * sizeof(*p->busy));
	p->anchor_busy = false;
	if (e == OK) {
		if (p->told)
			log_info("the PKCS#11 token answers again");
		p->told = false;
		return OK;
	}
	p->next_try = clock_mono_ns() + RETRY_NS;
	(void)snprintf(p->why, sizeof(p->why), "%s", err_detail(e));
	if (!p->told)
		log_warn("PKCS#11 token: %s", p->why);
	p->told = true;
	return e;
}

static enum err
lately_failed(struct p11_pool *p)
{
	LOCK_SCOPE(&p->lock);

	if (p->failed == OK || clock_mono_ns() >= p->next_try)
		return OK;
	return err_fail(p->failed, "%s", p->why);
}

/* Connect, unless somebody has tried to since ${seen}. */
static enum err
connect_token(struct p11_pool *p, struct p11_module *m, uint64_t seen)
{

	TRY(lately_failed(p));
	RWLOCK_WRITE_SCOPE(&m->lock);
	if (p->gen != seen) {
		TRY(lately_failed(p));
		return OK;
	}
	p->gen++;
	disconnect(p, m);
	return note(p, connect_anew(p, m, clock_mono_ns()));
}

/* ---- Lending ------------------------------------------------------------- */

/* A free session; ${p->n} stands for the anchor. */
static bool
free_one(struct p11_pool *p, bool write, unsigned *ret)
{

	if (write) {
		*ret = p->n;
		return !p->anchor_busy;
	}
	for (*ret = 0; *ret < p->n; ++*ret)
		if (!p->busy[*ret])
			return true;
	return false;
}

static enum err
lend(struct p11_pool *p, bool write, unsigned *ret)
{
	const uint64_t end = clock_mono_ns() + p->ms * UINT64_C(1000000);
	LOCK_SCOPE(&p->lock);

	while (!free_one(p, write, ret)) {
		const uint64_t now = clock_mono_ns();

		if (now >= end ||
		    !lock_wait_for(&p->lock, &p->freed, end - now))
			return err_fail(ERR_TIMEDOUT,
			    "all sessions with the token are busy");
	}
	if (write)
		p->anchor_busy = true;
	else
		p->busy[*ret] = true;
	return OK;
}

static void
give_back(struct p11_pool *p, unsigned i)
{
	LOCK_SCOPE(&p->lock);

	if (i == p->n)
		p->anchor_busy = false;
	else
		p->busy[i] = false;
	(void)pthread_cond_broadcast(&p->freed);
}

/* ---- Keys ---------------------------------------------------------------- */

static bool
known(struct p11_pool *p, const uint8_t *id, ck_object_handle_t *ret)
{
	LOCK_SCOPE(&p->lock);

	for (size_t i = 0; i < p->nhandles; i++)
		if (memcmp(p->handles[i].id, id, P11_ID_LEN) == 0) {
			*ret = p->handles[i].h;
			return true;
		}
	return false;
}

static void
learn(struct p11_pool *p, const uint8_t *id, ck_object_handle_t h)
{
	LOCK_SCOPE(&p->lock);

	if (p->nhandles == HANDLES_MAX)
		p->nhandles = 0;
	memcpy(p->handles[p->nhandles].id, id, P11_ID_LEN);
	p->handles[p->nhandles++].h = h;
}

static void
forget_keys(struct p11_pool *p)
{
	LOCK_SCOPE(&p->lock);

	p->nhandles = 0;
}

/* ---- Calls --------------------------------------------------------------- */

struct run {
	struct p11_pool *p;
	struct p11_module *m;
	struct p11_call *c;
	uint64_t gen; /* that it ran in */
	bool lost;    /* the token; else its handles, when ERR_STALE */
};

/* ERR_STALE: to be run again. */
static enum err
in_session(struct run *r, ck_session_handle_t s)
{
	struct ck_function_list *f = r->m->f;
	ck_object_handle_t key = 0;

	if (r->c->keyed && !known(r->p, r->c->id, &key)) {
		const enum err e =
		    p11_key_find(f, s, r->c->id, &key, &r->c->rv);

		/* A token that is gone has no keys either. */
		if (e == ERR_STALE ||
		    (e == ERR_NOKEY &&
			!p11_alive(f, r->p->slot, s, &r->p->uri))) {
			r->lost = true;
			return ERR_STALE;
		}
		TRY(e);
		learn(r->p, r->c->id, key);
	}
	r->c->rv = r->c->fn(f, s, key, r->c);
	switch (p11_rv_class(r->c->rv)) {
	case P11_RV_FINE:
	case P11_RV_ITS_OWN:
		return OK;
	case P11_RV_LOST:
		r->lost = true;
		return ERR_STALE;
	case P11_RV_HANDLE:
		forget_keys(r->p);
		return ERR_STALE;
	case P11_RV_UNCLEAR:
		r->lost = !p11_alive(f, r->p->slot, s, &r->p->uri);
		return r->lost ? ERR_STALE : OK;
	}
	return ERR_INTERNAL;
}

static enum err
run_once(struct run *r)
{
	struct p11_pool *p = r->p;
	RWLOCK_READ_SCOPE(&r->m->lock);
	unsigned i = 0;
	enum err e;

	r->gen = p->gen;
	r->lost = !p->ready || p->made != r->m->made;
	if (r->lost)
		return ERR_STALE;
	TRY(lend(p, r->c->write, &i));
	e = in_session(r, r->c->write ? p->anchor : p->session[i]);
	give_back(p, i);
	return e;
}

static enum err
module_of(struct p11_pool *p, struct p11_module **ret)
{
	struct p11_module *none = NULL;

	*ret = atomic_load(&p->module);
	if (*ret != NULL)
		return OK;
	TRY(p11_module_get(p->uri.module, ret));
	if (atomic_compare_exchange_strong(&p->module, &none, *ret))
		return OK;
	/* Another thread was faster; it is the same one. */
	p11_module_put(*ret);
	*ret = none;
	return OK;
}

static enum err
run_job(struct p11_job *j)
{
	struct p11_call *c = (struct p11_call *)(void *)j;
	struct run r = { .p = c->pool, .c = c };

	TRY(module_of(c->pool, &r.m));
	/* The first may only find out that there is no connection. */
	for (unsigned i = 0; i < TRIES; i++) {
		const enum err e = run_once(&r);

		if (e != ERR_STALE)
			return e;
		if (r.lost)
			TRY(connect_token(c->pool, r.m, r.gen));
	}
	return err_fail(ERR_TIMEDOUT, "the token does not stay connected: %s",
	    p11_rv_name(c->rv));
}

enum err
p11_pool_run(struct p11_pool *p, struct p11_call **c)
{
	struct p11_job *j = &(*c)->job;
	enum err e;

	(*c)->job.run = run_job;
	(*c)->pool = p;
	e = p11_crew_run(p->crew, &j);
	if (j == NULL)
		*c = NULL;
	return e;
}
