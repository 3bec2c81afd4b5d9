/*
 * remote_cache: a table by id, and a queue by age.  All answers live equally
 * long, errors less: an error may stand in the queue before what ends earlier,
 * so its own end is looked at, too, when it is found.
 *
 * A flight is a question that is being asked.  Whoever asks owns it; those who
 * wait hold a reference, and the last one frees it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "kms/remote_cache.h"
#include "lib/base/attrs.h"
#include "lib/base/lock.h"

#define BUCKETS 1024u
#define WHY_MAX 256
#define NS UINT64_C(1000000000)

struct answer {
	enum err e;
	char why[WHY_MAX]; /* of an error */
	uint8_t *p;        /* in key memory */
	size_t len;
};

struct entry {
	uint8_t id[SHA256_LEN];
	uint64_t group, end, uses;
	struct answer a;
	struct entry *next;            /* of its bucket */
	struct entry *older, *younger; /* of the queue */
};

struct flight {
	uint8_t id[SHA256_LEN];
	struct answer a;
	bool done;
	unsigned refs;
	struct flight *next;
};

struct rcache {
	unsigned age;
	uint64_t uses;
	struct lock lock;
	/* Under lock. */
	pthread_cond_t landed;
	struct entry *bucket[BUCKETS];
	struct entry *oldest, *youngest;
	struct flight *flights;
	size_t n;
};

/* ---- Answers -------------------------------------------------------------- */

static void
answer_free(struct answer *a)
{

	secret_free(a->p);
	a->p = NULL;
}

/* False when there is no memory. */
static bool
answer_set(struct answer *a, enum err e, const uint8_t *p, size_t len)
{

	a->e = e;
	a->len = len;
	a->why[0] = '\0';
	if (e != OK) {
		(void)snprintf(a->why, sizeof(a->why), "%.255s", err_detail(e));
		a->len = 0;
		return true;
	}
	a->p = secret_alloc(len > 0 ? len : 1);
	if (a->p != NULL && len > 0)
		memcpy(a->p, p, len);
	return a->p != NULL;
}

static enum err
answer_get(const struct answer *a, uint8_t *ret, size_t room, size_t *ret_len)
{

	if (a->e != OK)
		return err_fail(a->e, "%s", a->why);
	if (a->len > room)
		return err_fail(
		    ERR_LIMIT, "the answer does not fit into %zu bytes", room);
	if (a->len > 0)
		memcpy(ret, a->p, a->len);
	*ret_len = a->len;
	return OK;
}

/* ---- Entries -------------------------------------------------------------- */

static struct entry **
bucket(struct rcache *c, const uint8_t *id)
{

	return &c->bucket[((unsigned)id[0] << 8 | id[1]) % BUCKETS];
}

static struct entry *
find(struct rcache *c, const uint8_t *id)
{
	struct entry *e = *bucket(c, id);

	while (e != NULL && memcmp(e->id, id, SHA256_LEN) != 0)
		e = e->next;
	return e;
}

static void
forget(struct rcache *c, struct entry *e)
{
	struct entry **at = bucket(c, e->id);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	*(e->older != NULL ? &e->older->younger : &c->oldest) = e->younger;
	*(e->younger != NULL ? &e->younger->older : &c->youngest) = e->older;
	answer_free(&e->a);
	free(e);
	c->n--;
}

static void
expire(struct rcache *c, uint64_t now)
{

	while (c->oldest != NULL && c->oldest->end <= now)
		forget(c, c->oldest);
}

/* Keeping is not needed for anything: without memory, nothing is kept. */
static void
keep(struct rcache *c, const uint8_t *id, uint64_t group, uint64_t now,
    enum err err, const uint8_t *p, size_t len)
{
	struct entry *e = find(c, id);
	const uint64_t age = c->age * NS;

	if (e != NULL)
		forget(c, e);
	if (c->age == 0 || len > RCACHE_VALUE_MAX || err == ERR_NOMEM)
		return;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return;
	if (!answer_set(&e->a, err, p, len)) {
		free(e);
		return;
	}
	memcpy(e->id, id, SHA256_LEN);
	e->group = group;
	e->end =
	    now + (err != OK && age > RCACHE_ERROR_NS ? RCACHE_ERROR_NS : age);
	e->next = *bucket(c, id);
	*bucket(c, id) = e;
	e->older = c->youngest;
	*(c->youngest != NULL ? &c->youngest->younger : &c->oldest) = e;
	c->youngest = e;
	if (++c->n > RCACHE_ENTRIES)
		forget(c, c->oldest);
}

/* ---- Flights -------------------------------------------------------------- */

static struct flight *
flight_find(struct rcache *c, const uint8_t *id)
{
	struct flight *f = c->flights;

	while (f != NULL && memcmp(f->id, id, SHA256_LEN) != 0)
		f = f->next;
	return f;
}

static void
flight_drop(struct flight *f)
{

	if (--f->refs > 0)
		return;
	answer_free(&f->a);
	free(f);
}

static enum err
flight_start(struct rcache *c, const uint8_t *id)
{
	struct flight *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return ERR_NOMEM;
	memcpy(f->id, id, SHA256_LEN);
	f->refs = 1;
	f->next = c->flights;
	c->flights = f;
	return OK;
}

static enum err
flight_wait(struct rcache *c, struct flight *f, uint8_t *ret, size_t room,
    size_t *ret_len)
{
	enum err e;

	f->refs++;
	while (!f->done)
		lock_wait(&c->lock, &c->landed);
	e = answer_get(&f->a, ret, room, ret_len);
	flight_drop(f);
	return e;
}

/* ---- The whole ------------------------------------------------------------ */

enum err
rcache_new(unsigned age, uint64_t uses, struct rcache **ret)
{
	struct rcache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return ERR_NOMEM;
	c->age = age;
	c->uses = uses;
	lock_init(&c->lock, RANK_KMS_REMOTE, "remote answers");
	lock_cond_init(&c->landed);
	*ret = c;
	return OK;
}

void
rcache_free(struct rcache *c)
{

	if (c == NULL)
		return;
	while (c->oldest != NULL)
		forget(c, c->oldest);
	(void)pthread_cond_destroy(&c->landed);
	lock_destroy(&c->lock);
	free(c);
}

enum err
rcache_begin(struct rcache *c, const uint8_t id[static SHA256_LEN],
    uint64_t now, uint8_t *ret, size_t room, size_t *ret_len, bool *ret_mine)
{
	LOCK_SCOPE(&c->lock);
	struct flight *f = flight_find(c, id);
	struct entry *e;

	*ret_mine = false;
	if (f != NULL)
		return flight_wait(c, f, ret, room, ret_len);
	expire(c, now);
	e = find(c, id);
	if (e != NULL && e->end > now && (c->uses == 0 || e->uses < c->uses)) {
		e->uses++;
		return answer_get(&e->a, ret, room, ret_len);
	}
	TRY(flight_start(c, id));
	*ret_mine = true;
	return OK;
}

void
rcache_end(struct rcache *c, const uint8_t id[static SHA256_LEN],
    uint64_t group, uint64_t now, enum err e, const uint8_t *p, size_t len)
{
	LOCK_SCOPE(&c->lock);
	struct flight **at = &c->flights, *f;

	while (memcmp((*at)->id, id, SHA256_LEN) != 0)
		at = &(*at)->next;
	f = *at;
	*at = f->next;
	if (f->refs > 1 && !answer_set(&f->a, e, p, len))
		(void)answer_set(&f->a, ERR_NOMEM, NULL, 0);
	f->done = true;
	keep(c, id, group, now, e, p, len);
	(void)pthread_cond_broadcast(&c->landed);
	flight_drop(f);
}

void
rcache_put(struct rcache *c, const uint8_t id[static SHA256_LEN],
    uint64_t group, uint64_t now, const uint8_t *p, size_t len)
{
	LOCK_SCOPE(&c->lock);
	expire(c, now);
	keep(c, id, group, now, OK, p, len);
}

void
rcache_drop(struct rcache *c, uint64_t group)
{
	LOCK_SCOPE(&c->lock);
	struct entry *e = c->oldest;

	while (e != NULL) {
		struct entry *younger = e->younger;

		if (e->group == group)
			forget(c, e);
		e = younger;
	}
}

size_t
rcache_count(struct rcache *c)
{
	LOCK_SCOPE(&c->lock);
	return c->n;
}
