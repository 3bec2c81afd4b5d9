/*
 * Owning a store, giving it up, taking it again.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "gateway/gateway.h"
#include "lib/base/clock.h"
#include "lib/base/lock.h"
#include "lib/base/log.h"
#include "store/control.h"
#include "tools/control.h"
#include "tools/own.h"

#define MS_NS UINT64_C(1000000)
#define LOOK_MS 1000   /* is the store free? */
#define REST_MS 5000   /* whoever asked for it takes it meanwhile */
#define FAILED_MS 5000 /* before it is tried again */
/* How long the owner of the store is looked for. */
#define ASK_STEP_MS 100
#define ASK_STEPS 80
/* How long its answer is waited for; by a watcher, who then leaves him alone
 * for a while. */
#define ANSWER_MS 8000
#define ANSWER_QUICK_MS 250
#define SILENT_MS 10000

struct own {
	const char *dir;
	const struct kms_root *root;
	int fd;
	atomic_bool asked; /* to give it up */
	struct control_face face;
	bool told;         /* why it cannot be opened */
	uint64_t next_try; /* monotonic */
	_Atomic uint64_t next_ask;

	struct control *control;
	struct gateway *gateway; /* on the socket in the store's directory */
	struct rwlock lock;
	struct store *st; /* lock; NULL: another process has it, or nobody */
};

/* ---- Taking and giving up --------------------------------------------------- */

static enum err
asked_for(void *arg)
{
	struct own *o = arg;
	const uint64_t one = 1;

	atomic_store(&o->asked, true);
	if (write(o->fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return (ERR_IO);
	return (OK);
}

/* A server goes on without what serves the tools. */
static void
serve_tools(struct own *o)
{
	const struct gateway_opts g = {
		.kms = store_kms(o->st),
		.dir = o->dir,
	};
	enum err e =
	    control_start(o->st, o->dir, &cmd_who, &o->face, &o->control);

	if (e != OK) {
		o->control = NULL;
		log_warn("serve: %s/" CONTROL_SOCKET
			 ": %s; the tools cannot work on the store",
		    o->dir, err_detail(e));
	}
	e = gateway_start(&g, &o->gateway);
	if (e != OK) {
		o->gateway = NULL;
		log_warn("serve: %s/" KMS_SOCKET
			 ": %s; its keys are not served there",
		    o->dir, err_detail(e));
	}
}

static enum err
let_go(struct own *o)
{
	struct store *st = NULL;
	enum err e = OK;

	gateway_stop(o->gateway);
	o->gateway = NULL;
	control_stop(o->control);
	o->control = NULL;
	/* Who counts a key's uses does not wait for the commit. */
	rwlock_write(&o->lock);
	st = o->st;
	o->st = NULL;
	rwlock_drop(&o->lock);
	if (st != NULL)
		e = store_close_dir(st);
	return (e);
}

/* ERR_LOCKED: another process has it, or wants it. */
static enum err
take(struct own *o)
{
	int claim CLEANUP_CLOSE = reach_claim(o->dir, true);
	const struct store_opts so = { .dir = o->dir, .root = o->root };
	struct store *st = NULL;

	if (claim < 0 && errno == EWOULDBLOCK)
		return (err_fail(ERR_LOCKED, "somebody wants %s", o->dir));
	TRY(store_open_dir(&so, &st));
	if (store_kms(st) == NULL) {
		TRY(store_close_dir(st));
		return (err_fail(ERR_NOTSUP, "it has no keystore to serve"));
	}
	rwlock_write(&o->lock);
	o->st = st;
	rwlock_drop(&o->lock);
	serve_tools(o);
	return (OK);
}

/* ---- Life ------------------------------------------------------------------ */

static void
own_free(struct own *o)
{
	if (o->fd >= 0)
		(void)close(o->fd);
	rwlock_destroy(&o->lock);
	free(o);
}

enum err
own_start(const char *dir, const struct kms_root *root, struct own **ret)
{
	struct own *o = calloc(1, sizeof(*o));
	enum err e = OK;

	if (o == NULL)
		return (ERR_NOMEM);
	o->dir = dir;
	o->root = root;
	o->face = (struct control_face){
		.ending = "the store is being closed",
		.arg = o,
		.yield = asked_for,
	};
	rwlock_init(&o->lock, RANK_SERVE, "server's store");
	o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (o->fd < 0)
		e = ERR_NOMEM;
	if (e == OK)
		e = take(o);
	if (e != OK && e != ERR_LOCKED) {
		own_free(o);
		return (e);
	}
	*ret = o;
	return (OK);
}

int
own_fd(const struct own *o)
{
	return (o->fd);
}

int
own_wait_ms(const struct own *o)
{
	return (o->st != NULL ? -1 : LOOK_MS);
}

static void
give_up(struct own *o)
{
	const enum err e = let_go(o);

	if (e != OK)
		log_error("serve: the last commit failed: %s", err_detail(e));
	log_info("serve: %s is given up to a process that asked for it; its "
		 "keys are served on",
	    o->dir);
	o->next_try = clock_mono_ns() + REST_MS * MS_NS;
}

static void
try_again(struct own *o)
{
	enum err e = OK;

	if (reach_owned(o->dir)) {
		o->next_try = 0;
		return;
	}
	if (clock_mono_ns() < o->next_try)
		return;
	e = take(o);
	if (e == OK) {
		log_info(
		    "serve: %s has no other owner now: taken over", o->dir);
		o->told = false;
		return;
	}
	if (e == ERR_LOCKED)
		return;
	o->next_try = clock_mono_ns() + FAILED_MS * MS_NS;
	/* Tokens lock themselves after a few wrong PINs. */
	if (e == ERR_ROOTKEY)
		o->next_try = UINT64_MAX;
	if (!o->told) {
		log_error("serve: %s cannot be taken over: %s; its keys are "
			  "served on",
		    o->dir, err_detail(e));
		o->told = true;
	}
}

void
own_look(struct own *o)
{
	uint64_t n = 0;

	(void)!read(o->fd, &n, sizeof(n));
	if (atomic_exchange(&o->asked, false) && o->st != NULL)
		give_up(o);
	if (o->st == NULL)
		try_again(o);
}

enum err
own_stop(struct own *o)
{
	enum err e = OK;

	if (o == NULL)
		return (OK);
	e = let_go(o);
	own_free(o);
	return (e);
}

/* ---- How much a key is used ------------------------------------------------ */

struct uses {
	struct kms_uses *ret;
	bool heard;
};

static void
hear_uses(void *arg, const struct control_answer *a)
{
	struct uses *u = arg;

	if (a->kind != CONTROL_ROW || a->n != 2 ||
	    args_number(a->field[0], &u->ret->objects) != OK ||
	    args_number(a->field[1], &u->ret->defaults) != OK)
		return;
	u->heard = true;
}

static enum err
ask_owner(int fd, const struct kms_desc *d, struct kms_uses *ret)
{
	struct control_req req = { .op = CONTROL_KEY_COUNT };
	struct uses u = { .ret = ret };
	struct reach r = { .fd = fd };

	TRY(control_set(req.name, d->arn));
	TRY(reach_ask(&r, &req, hear_uses, &u));
	return (u.heard ? OK : ERR_PARSE);
}

/* True when somebody could be asked; what he said goes to ${ret_e}. */
static bool
ask(struct own *o, const struct kms_desc *d, unsigned ms, struct kms_uses *ret,
    enum err *ret_e)
{
	int fd CLEANUP_CLOSE = -1;

	rwlock_read(&o->lock);
	if (o->st != NULL) {
		*ret_e = kms_count_uses(store_kms(o->st), d->arn, ret);
		rwlock_drop(&o->lock);
		return (true);
	}
	rwlock_drop(&o->lock);
	fd = reach_dial(o->dir, ms);
	if (fd >= 0)
		*ret_e = ask_owner(fd, d, ret);
	return (fd >= 0);
}

static enum err
not_known(void)
{
	return (err_fail(ERR_BUSY,
	    "the process that owns the store does not answer; try again"));
}

/* By the thread that acknowledges the changes of keys: everybody who makes one
 * waits for it, and so may the owner. */
static enum err
ask_quick(struct own *o, const struct kms_desc *d, struct kms_uses *ret)
{
	enum err e = OK;

	if (clock_mono_ns() < atomic_load(&o->next_ask))
		return (not_known());
	if (!ask(o, d, ANSWER_QUICK_MS, ret, &e))
		return (not_known());
	if (e != ERR_TIMEDOUT && e != ERR_IO)
		return (e);
	atomic_store(&o->next_ask, clock_mono_ns() + SILENT_MS * MS_NS);
	return (not_known());
}

enum err
own_uses(void *arg, const struct kms_desc *d, bool wait, struct kms_uses *ret)
{
	const struct timespec step = { .tv_nsec = ASK_STEP_MS * 1000000L };
	enum err e = OK;

	if (!wait)
		return (ask_quick(arg, d, ret));
	/* Between two owners there is none, for a moment. */
	for (unsigned i = 0; i < ASK_STEPS; i++) {
		if (ask(arg, d, ANSWER_MS, ret, &e))
			return (e == ERR_TIMEDOUT ? not_known() : e);
		(void)nanosleep(&step, NULL);
	}
	return (not_known());
}
