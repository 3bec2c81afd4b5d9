/*
 * epoch: a counter shared by all processes that have a keystore open, and the
 * list of those who wait for it to change.
 *
 * It lives in a small file beside the keystore that every process maps.
 * Nothing in it is trusted but as a hint to look at the keystore again; what
 * is lost with it is speed, not state.  Thread-safe.
 */
#ifndef KMS_EPOCH_H
#define KMS_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct epoch;

/* Map the file at ${path}, making or mending it as needed. */
enum err epoch_open(const char *path, struct epoch **ret) MUSTCHECK;
void epoch_close(struct epoch *e);

uint64_t epoch_get(const struct epoch *e);
/* Raise the counter by one, wake all watchers, return the new value. */
uint64_t epoch_bump(struct epoch *e);
/* Wait until every live watcher has answered ${at} or more, ${ms} at most;
 * false when some have not. */
bool epoch_wait(struct epoch *e, uint64_t at, unsigned ms) MUSTCHECK;

/* A place in the list of watchers; one per struct epoch.  ERR_LIMIT. */
enum err epoch_watch(struct epoch *e) MUSTCHECK;
void epoch_unwatch(struct epoch *e);
void epoch_ack(struct epoch *e, uint64_t at);

/*
 * Sleep until epoch_get() differs from ${at} or epoch_poke() was called,
 * ${ms} at most; true when the time ran out.  The watcher's thread only.
 */
bool epoch_sleep(struct epoch *e, uint64_t at, unsigned ms);
void epoch_poke(struct epoch *e);
/* Map the file anew if somebody replaced it; true when so.  The watcher's
 * thread only. */
bool epoch_remap(struct epoch *e);

#endif
