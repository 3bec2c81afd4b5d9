/*
 * The watcher: learns of changes that other processes made.
 */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include "kms/kms_internal.h"

#define TICK_MS 1000

/* The epoch may be lost (a writer died between its commit and the bump, or
 * somebody removed the file): once a second the keystore itself is asked. */
static void
tick(struct kms *k)
{
	bool changed = false;
	const bool replaced = epoch_remap(k->epoch);
	const enum err e = kms_fresh_db(k, &changed);

	if (e != OK)
		log_warn("%s: %s", k->path, err_detail(e));
	if (changed || replaced)
		(void)epoch_bump(k->epoch);
}

/* Once a second, however often the epoch rises. */
static void
timer(struct kms *k, uint64_t *last)
{
	const uint64_t now = clock_mono_ns();
	enum err e;

	if (now - *last < TICK_MS * UINT64_C(1000000))
		return;
	*last = now;
	audit_tick(k);
	e = kms_timer(k);
	if (e != OK && !k->timer_failed)
		log_warn("%s: %s", k->path, err_detail(e));
	k->timer_failed = e != OK;
}

static void *
watch_main(void *arg)
{
	struct kms *k = arg;
	uint64_t seen = k->watch_seen, fired = 0;
	enum err e;

	while (!atomic_load(&k->stop)) {
		timer(k, &fired);
		const uint64_t now = epoch_get(k->epoch);

		if (now == seen) {
			if (epoch_sleep(k->epoch, seen, TICK_MS))
				tick(k);
			continue;
		}
		e = kms_fresh(k);
		if (e != OK)
			log_error("%s: %s", k->path, err_detail(e));
		k->watch_cb(k->watch_arg);
		seen = now;
		epoch_ack(k->epoch, seen);
	}
	return NULL;
}

enum err
kms_watch(struct kms *k, void (*cb)(void *arg), void *arg)
{

	if (k->watching)
		return err_fail(ERR_BUSY, "this keystore is watched already");
	/* Before the place is taken: what comes after is never missed. */
	k->watch_seen = epoch_get(k->epoch);
	TRY(epoch_watch(k->epoch));
	k->watch_cb = cb;
	k->watch_arg = arg;
	if (pthread_create(&k->watcher, NULL, watch_main, k) != 0) {
		epoch_unwatch(k->epoch);
		return ERR_NOMEM;
	}
	k->watching = true;
	return OK;
}
