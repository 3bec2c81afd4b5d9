/*
 * control: the ear of the process that owns a store, for the tools.
 *
 * What the owner shows the store with (a mount, say) is told of changes through
 * a struct control_face.
 *
 * A thread of its own listens on the socket "control" in the store's directory
 * (mode 0600; the peer must have the daemon's effective user id, or be root)
 * and serves one client after the other, each with one request; the protocol
 * stands in lib/base/control.h.  A scrub or a backup is handed to a second
 * thread, so that other requests are served meanwhile; one of them runs at a
 * time.
 *
 * Requests are bounded and every wait for a client has a deadline and ends with
 * control_stop(), so that no client holds up the owner.
 */
#ifndef STORE_CONTROL_H
#define STORE_CONTROL_H

#include <sys/types.h>

#include "lib/base/control.h"
#include "store/store.h"

struct control;

/* What the owner adds; a function that is NULL is not called.  No lock is held
 * when one is. */
struct control_face {
	const char
	    *ending; /* why a long request stops at the end, a sentence */
	void *arg;
	/* There is a bucket of this name now. */
	void (*made)(void *arg, const char *name);
	/* May this one go?  OK, or ERR_BUSY. */
	enum err (*may_remove)(void *arg, uint64_t ino);
	/* The bucket has no name any more; who may still use it reaps it with
	 * store_reap().  NULL: it is reaped at once. */
	void (*removed)(void *arg, const char *name, uint64_t ino);
	/* The attributes of ${ino} changed. */
	void (*changed)(void *arg, uint64_t ino);
	/* May files be made below ${dir}, an absolute path? */
	enum err (*may_fill)(void *arg, const char *dir);
	/* More rows for "stats". */
	enum err (*stats)(void *arg, struct buf *out);
	/* Somebody else wants to own the store: it will be closed soon, by
	 * another thread.  NULL: it will not. */
	enum err (*yield)(void *arg);
};

/*
 * control_start(st, dir, who, face, ret):
 * Listen in ${dir}, the directory of ${st}, and act as ${who}, whose agent is
 * then "cli".  A socket left behind by a process that died is replaced, which
 * is safe while the store's lock is held.  ${face} is borrowed.  ERR_EXIST:
 * something else has that name; ERR_IO …: the store's filesystem has no
 * sockets, or the like.
 */
enum err control_start(struct store *st, const char *dir,
    const struct kms_who *who, const struct control_face *face,
    struct control **ret) MUSTCHECK;
/* End the threads and remove the socket; what the face's functions need must
 * still be served.  NULL is fine. */
void control_stop(struct control *c);

/* ---- control_ops.c --------------------------------------------------------*/

/* On whose behalf, and on what. */
struct control_on {
	struct store *st;
	const struct control_face *face;
	const struct kms_who *who;
	uid_t uid; /* the client's */
	gid_t gid;
};

/* Carry out any request but a scrub, a backup or a rekey; rows are appended to
 * ${out}. */
enum err control_do(const struct control_on *on, const struct control_req *req,
    struct buf *out) MUSTCHECK;
/* A row of one or two fields. */
enum err control_row(struct buf *out, const char *a, const char *b) MUSTCHECK;

#endif
