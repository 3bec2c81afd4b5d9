/*
 * From memory to disk: audit records and call counters; closing.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include "kms/kms_internal.h"
#include "kms/reserve.h"

#define COUNTERS_NS UINT64_C(3000000000)

struct count {
	uint8_t uuid[UUID_LEN];
	uint64_t n;
};

/* Take the pending counts out of the table. */
static enum err
counters_take(struct kms *k, struct count **ret, size_t *ret_n)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	struct count *c;
	size_t n = 0;

	*ret = NULL;
	*ret_n = 0;
	for (size_t i = 0; i < k->tab->nkeys; i++)
		if (atomic_load(&k->tab->keys[i].calls) != 0)
			n++;
	if (n == 0)
		return OK;
	c = calloc(n, sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	*ret = c;
	for (size_t i = 0; i < k->tab->nkeys && *ret_n < n; i++) {
		struct tkey *t = &k->tab->keys[i];
		const uint64_t calls = atomic_exchange(&t->calls, 0);

		if (calls == 0)
			continue;
		memcpy(c[*ret_n].uuid, t->uuid, UUID_LEN);
		c[(*ret_n)++].n = calls;
	}
	return OK;
}

static void
counters_give_back(struct kms *k, const struct count *c, size_t n)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);

	for (size_t i = 0; i < n; i++) {
		struct tkey *t = table_by_id(k->tab, c[i].uuid);

		if (t != NULL)
			(void)atomic_fetch_add(&t->calls, c[i].n);
	}
}

static enum err
counters_write(struct kms *k, const struct count *c, size_t n)
{
	LOCK_SCOPE(&k->conn);
	struct kdb_tx tx CLEANUP_TX = { NULL };

	TRY(kdb_begin(&k->db, &tx));
	for (size_t i = 0; i < n; i++)
		TRY(kdb_run(&k->db,
		    "UPDATE keys SET calls = calls + ? WHERE uuid = ?", "ib",
		    (int64_t)c[i].n, (const void *)c[i].uuid,
		    sizeof(c[i].uuid)));
	return kdb_commit(&tx);
}

enum err
kms_counters(struct kms *k)
{
	struct count *c CLEANUP_FREE = NULL;
	size_t n = 0;
	enum err e;

	TRY(counters_take(k, &c, &n));
	if (n == 0)
		return OK;
	e = counters_write(k, c, n);
	if (e != OK)
		counters_give_back(k, c, n);
	return e;
}

/* Those that wait while one flushes are all in the next flush: were they to
 * wait for the connection, each would get it with its own record alone.  true:
 * it is the caller's turn. */
static bool
turn_take(struct audit *a, uint64_t mine)
{
	LOCK_SCOPE(&a->l);

	while (a->flushing && atomic_load(&a->durable) < mine)
		lock_wait(&a->l, &a->flushed);
	if (atomic_load(&a->durable) >= mine && !atomic_load(&a->failed))
		return false;
	while (a->flushing)
		lock_wait(&a->l, &a->flushed);
	a->flushing = true;
	return true;
}

static void
turn_give(struct audit *a)
{
	LOCK_SCOPE(&a->l);

	a->flushing = false;
	(void)pthread_cond_broadcast(&a->flushed);
}

static enum err
flush_all(struct kms *k, uint64_t mine)
{
	LOCK_SCOPE(&k->conn);
	struct audit *a = &k->audit;
	enum err e = OK;

	/* A flush takes what failed before first, then the rest. */
	while (e == OK && atomic_load(&a->durable) < mine)
		e = audit_flush(k);
	if (e != OK)
		atomic_store(&a->retried, clock_mono_ns());
	if (e != OK && !atomic_exchange(&a->failed, true))
		log_error("%s: the audit log cannot be written (%s); data "
			  "keys are refused until it can",
		    k->path, err_detail(e));
	if (e == OK && atomic_exchange(&a->failed, false))
		log_warn("%s: the audit log can be written again", k->path);
	return e;
}

static enum err
records_flush(struct kms *k)
{
	struct audit *a = &k->audit;
	const uint64_t mine = atomic_load(&a->made);
	enum err e;

	if (atomic_load(&a->durable) >= mine && !atomic_load(&a->failed))
		return OK;
	if (!turn_take(a, mine))
		return OK;
	e = flush_all(k, mine);
	turn_give(a);
	return e == OK || e == ERR_NOSPC ? e : ERR_IO;
}

/* Records that are not signed now are with the next checkpoint. */
static void
records_sign(struct kms *k)
{
	LOCK_SCOPE(&k->conn);
	const enum err e = audit_sign(k);

	if (e != OK)
		log_warn("%s: the audit log was not signed at the close: %s",
		    k->path, err_detail(e));
}

enum err
kms_flush(struct kms *k)
{
	const uint64_t now = clock_mono_ns();
	uint64_t last;

	TRY(records_flush(k));
	last = atomic_load(&k->calls_flushed);
	if (now - last < COUNTERS_NS ||
	    !atomic_compare_exchange_strong(&k->calls_flushed, &last, now))
		return OK;
	return kms_counters(k);
}

void
kms_close(struct kms *k)
{
	char path[PATH_MAX];
	enum err e;

	if (k == NULL)
		return;
	if (k->watching) {
		atomic_store(&k->stop, true);
		epoch_poke(k->epoch);
		(void)pthread_join(k->watcher, NULL);
	}
	e = records_flush(k);
	if (e == OK)
		records_sign(k);
	if (e == OK)
		e = kms_counters(k);
	if (e != OK)
		log_error(
		    "%s: closed with audit records or counters unwritten: "
		    "%s",
		    k->path, err_detail(e));
	(void)snprintf(path, sizeof(path), "%s", k->path);
	kms_free(k);
	/* SQLite's files are gone: their room is kept for the next. */
	reserve_take(path);
}
