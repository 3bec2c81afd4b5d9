/*
 * own: a server's hold on its store.
 *
 * One process owns a store.  A server without a mount owns it when nobody else
 * does, so that the tools' requests are served; it gives it up to a mount that
 * asks (CONTROL_YIELD), and takes it again when that has ended, however that
 * came about.  The keys that it serves over the network are in a keystore of
 * its own (kms_open), which goes on meanwhile.
 *
 * own_uses() is called by any thread, the rest by one.
 */
#ifndef TOOLS_OWN_H
#define TOOLS_OWN_H

#include <stdbool.h>

#include "kms/kms.h"
#include "lib/base/err.h"

struct own;

/*
 * own_start(dir, root, ret):
 * Take the store ${dir} (absolute), unless another process has it.  ${root} is
 * borrowed and stays: the store may be opened again.  ERR_NOTSUP: a store
 * without keys.
 */
enum err own_start(
    const char *dir, const struct kms_root *root, struct own **ret) MUSTCHECK;
/* Readable when own_look() has something to do ... */
int own_fd(const struct own *o);
/* ... which it also has after so many milliseconds; -1: never. */
int own_wait_ms(const struct own *o);
/* Give up what was asked for, take what is free. */
void own_look(struct own *o);
/* Commit and close.  What it says of the last commit; NULL is fine. */
enum err own_stop(struct own *o) MUSTCHECK;

/* For kms_set_uses(); ${arg} is the struct own. */
enum err own_uses(void *arg, const struct kms_desc *d, bool wait,
    struct kms_uses *ret) MUSTCHECK;

#endif
