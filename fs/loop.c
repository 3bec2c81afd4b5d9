#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/affine.h"
#include "fs/loop.h"
#include "lib/base/lock.h"
#include "lib/base/log.h"

#define THREADS_DEFAULT 16u
#define IDLE_DEFAULT 1u
/* A request lies in memory so that the data of a write begin on a page: the
 * kernel copies whole pages then.  Copies between addresses that differ within a
 * page cost up to four times as much on some processors. */
#define PAGE 4096u
#define WRITE_HEAD \
	(sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))
#define REQUEST_SPACE (PAGE + LOOP_REQUEST_MAX)
#define QUICK_BYTES 65536u /* of a read or write that is served in place */
/* Waking up more often than this moves the worker's client about. */
#define TICK_NS (20ull * 1000 * 1000)
#define REST_NS (5ull * 1000 * 1000 * 1000)
/* Gets a worker out of read(); its handler does nothing. */
#define SIG_LEAVE SIGUSR2

enum worker_state { WORKER_NONE, WORKER_LIVE, WORKER_ENDED };

struct worker {
	struct loop *loop;
	pthread_t thread;
	enum worker_state state; /* protected by loop->lock */
	bool waiting;            /* counted in loop->waiting; protected too */
	atomic_uint serving;     /* odd: in a quick request */
	unsigned watched;        /* ${serving} at the last tick; the watch's */
	struct affine affine;
	void *buffer;
	void *request;
};

struct loop {
	struct fuse_session *se;
	struct loop_conf conf;
	struct lock lock;
	pthread_cond_t work; /* for those who rest */
	pthread_cond_t left; /* for loop_stop() */
	/* protected by lock, all below: */
	struct worker *workers; /* conf.threads */
	unsigned live;
	unsigned waiting; /* in read(), or about to be */
	unsigned resting;
	unsigned called; /* of the resting, told to get up */
	bool ending;
	int fd;
	pthread_t watch;
	pthread_cond_t tick; /* for the watch */
	bool watch_on;
	atomic_bool dozing; /* the watch waits for a request */
	atomic_uint served; /* quick requests, ever */
};

static _Thread_local struct worker *self;

static void *worker_main(void *arg);

/* Add a worker that counts as waiting from now on.  With ${l}->lock held.
 * Failure only means fewer workers. */
static enum err
worker_start(struct loop *l)
{
	struct worker *w = NULL;

	for (unsigned i = 0; i < l->conf.threads && w == NULL; i++)
		if (l->workers[i].state != WORKER_LIVE)
			w = &l->workers[i];
	if (w == NULL)
		return (ERR_LIMIT);
	if (w->state == WORKER_ENDED)
		(void)pthread_join(w->thread, NULL);
	w->state = WORKER_NONE;
	w->loop = l;
	w->waiting = true;
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
		return (ERR_NOMEM);
	w->state = WORKER_LIVE;
	l->live++;
	l->waiting++;
	return (OK);
}

/* See to it that somebody waits for the next request.  With the lock held. */
static void
loop_call(struct loop *l)
{
	if (l->ending || l->waiting > 0)
		return;
	if (l->resting > l->called) {
		l->called++;
		l->waiting++;
		(void)pthread_cond_signal(&l->work);
		return;
	}
	if (worker_start(l) != OK)
		log_debug("fs: all workers are busy");
}

/* This worker has work and waits no longer. */
static void
worker_busy(struct worker *w)
{
	struct loop *l = w->loop;

	LOCK_SCOPE(&l->lock);
	if (w->waiting) {
		w->waiting = false;
		l->waiting--;
	}
	loop_call(l);
}

/*
 * Wait for a request next, or rest when enough others do.  False: end.
 */
static bool
worker_next(struct worker *w)
{
	struct loop *l = w->loop;
	bool timely = true;

	LOCK_SCOPE(&l->lock);
	if (l->ending)
		return (false);
	if (w->waiting)
		return (true);
	if (l->waiting < l->conf.idle) {
		w->waiting = true;
		l->waiting++;
		return (true);
	}
	l->resting++;
	while (!l->ending && l->called == 0 && timely)
		timely = lock_wait_for(&l->lock, &l->work, REST_NS);
	l->resting--;
	if (l->called == 0)
		return (false);
	/* The caller has counted this worker already. */
	l->called--;
	w->waiting = true;
	return (!l->ending);
}

static void
worker_left(struct worker *w)
{
	struct loop *l = w->loop;

	LOCK_SCOPE(&l->lock);
	if (w->waiting) {
		w->waiting = false;
		l->waiting--;
	}
	if (l->ending)
		(void)pthread_cond_broadcast(&l->work);
	w->state = WORKER_ENDED;
	l->live--;
	(void)pthread_cond_broadcast(&l->left);
}

/* No more requests will come: everybody ends, the owner is told. */
static void
loop_end(struct loop *l)
{
	const uint64_t one = 1;

	LOCK_SCOPE(&l->lock);
	if (l->ending)
		return;
	l->ending = true;
	(void)pthread_cond_broadcast(&l->work);
	(void)pthread_cond_broadcast(&l->tick);
	if (write(l->fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		log_error("fs: the end of the mount could not be signalled");
}

/* True when serving it in place holds up nobody for long. */
static bool
request_quick(const struct fuse_buf *buf)
{
	const struct fuse_in_header *h = buf->mem;
	struct fuse_read_in r;

	if (buf->size < sizeof(*h))
		return (true);
	switch (h->opcode) {
	case FUSE_READ:
		if (buf->size < sizeof(*h) + sizeof(r))
			return (true);
		memcpy(&r, (const uint8_t *)buf->mem + sizeof(*h), sizeof(r));
		return (r.size < QUICK_BYTES);
	case FUSE_WRITE:
		return (buf->size < QUICK_BYTES);
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
	case FUSE_LSEEK:
	case FUSE_SYNCFS:
	case FUSE_INIT:
	case FUSE_DESTROY:
		return (false);
	default:
		return (true);
	}
}

static void
serve(struct worker *w, struct fuse_buf *buf)
{
	struct loop *l = w->loop;

	if (!l->conf.raw(l->conf.arg, buf->mem, buf->size))
		fuse_session_process_buf(l->se, buf);
}

static void
watch_wake(struct loop *l)
{
	LOCK_SCOPE(&l->lock);
	(void)pthread_cond_signal(&l->tick);
}

static void
worker_serve(struct worker *w, struct fuse_buf *buf)
{
	struct loop *l = w->loop;
	const struct fuse_in_header *h = buf->mem;

	if (!request_quick(buf)) {
		affine_long(&w->affine);
		worker_busy(w);
		serve(w, buf);
		return;
	}
	w->serving++;
	l->served++;
	if (l->dozing)
		watch_wake(l);
	if (buf->size >= sizeof(*h))
		affine_quick(&w->affine, (pid_t)h->pid);
	serve(w, buf);
	w->serving++;
}

/* Who has been in one quick request since the last tick waits no longer. */
static void
watch_look(struct loop *l)
{
	for (unsigned i = 0; i < l->conf.threads; i++) {
		struct worker *w = &l->workers[i];
		const unsigned now = w->serving;

		if (w->state == WORKER_LIVE && w->waiting && now % 2 != 0 &&
		    now == w->watched) {
			w->waiting = false;
			l->waiting--;
			affine_rescue(&w->affine);
			loop_call(l);
		}
		w->watched = now;
	}
}

static void *
watch_main(void *arg)
{
	struct loop *l = arg;
	unsigned before = l->served;

	LOCK_SCOPE(&l->lock);
	while (!l->ending) {
		(void)lock_wait_for(&l->lock, &l->tick, TICK_NS);
		watch_look(l);
		const unsigned now = l->served;
		bool busy = now != before;

		for (unsigned i = 0; i < l->conf.threads; i++)
			busy = busy || l->workers[i].serving % 2 != 0;
		before = now;
		if (busy || l->ending)
			continue;
		l->dozing = true;
		/* A request taken just before is seen here or wakes us. */
		if (l->served == now)
			lock_wait(&l->lock, &l->tick);
		l->dozing = false;
	}
	return (NULL);
}

/* The buffer of answers, and behind it that of requests. */
static enum err
worker_buffers(struct worker *w)
{
	const size_t answers = w->loop->conf.buffer_size;
	void *p = mmap(NULL, answers + REQUEST_SPACE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return (ERR_NOMEM);
	w->buffer = p;
	w->request = (uint8_t *)p + answers + PAGE - WRITE_HEAD;
	return (OK);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct loop *l = w->loop;
	struct fuse_buf buf = { .mem = NULL };

	self = w;
	affine_start(&w->affine);
	const bool ready = worker_buffers(w) == OK;

	while (ready && worker_next(w)) {
		buf.mem = w->request;
		const int n = fuse_session_receive_buf(l->se, &buf);

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0) {
			loop_end(l);
			break;
		}
		worker_serve(w, &buf);
	}
	if (ready)
		(void)munmap(w->buffer, l->conf.buffer_size + REQUEST_SPACE);
	worker_left(w);
	return (NULL);
}

static void
leave_handler(int sig)
{
	(void)sig;
}

static void
loop_release(struct loop *l)
{
	for (unsigned i = 0; l->workers != NULL && i < l->conf.threads; i++)
		if (l->workers[i].state == WORKER_ENDED)
			(void)pthread_join(l->workers[i].thread, NULL);
	if (l->watch_on)
		(void)pthread_join(l->watch, NULL);
	if (l->fd >= 0)
		(void)close(l->fd);
	(void)pthread_cond_destroy(&l->work);
	(void)pthread_cond_destroy(&l->left);
	(void)pthread_cond_destroy(&l->tick);
	lock_destroy(&l->lock);
	free(l->workers);
	free(l);
}

enum err
loop_start(
    struct fuse_session *se, const struct loop_conf *conf, struct loop **ret)
{
	/* Without SA_RESTART: read() must return. */
	const struct sigaction act = { .sa_handler = leave_handler };
	struct loop *l = calloc(1, sizeof(*l));
	enum err e = OK;

	if (l == NULL)
		return (ERR_NOMEM);
	affine_setup();
	l->se = se;
	l->conf = *conf;
	if (l->conf.threads == 0)
		l->conf.threads = THREADS_DEFAULT;
	if (l->conf.idle == 0)
		l->conf.idle = IDLE_DEFAULT;
	lock_init(&l->lock, RANK_FS_CONF, "fs loop");
	lock_cond_init(&l->work);
	lock_cond_init(&l->left);
	lock_cond_init(&l->tick);
	l->fd = eventfd(0, EFD_CLOEXEC);
	l->workers = calloc(l->conf.threads, sizeof(*l->workers));
	if (l->fd < 0 || l->workers == NULL ||
	    sigaction(SIG_LEAVE, &act, NULL) != 0) {
		loop_release(l);
		return (ERR_NOMEM);
	}
	lock_take(&l->lock);
	e = worker_start(l);
	lock_drop(&l->lock);
	if (e != OK) {
		loop_release(l);
		return (e);
	}
	if (pthread_create(&l->watch, NULL, watch_main, l) != 0) {
		loop_stop(l);
		return (ERR_NOMEM);
	}
	l->watch_on = true;
	*ret = l;
	return (OK);
}

int
loop_fd(const struct loop *l)
{
	return (l->fd);
}

/* A signal may come just before read() and be missed, so it is sent until the
 * last worker has left. */
static void
loop_wait_left(struct loop *l)
{
	LOCK_SCOPE(&l->lock);
	while (l->live > 0) {
		for (unsigned i = 0; i < l->conf.threads; i++)
			if (l->workers[i].state == WORKER_LIVE)
				(void)pthread_kill(
				    l->workers[i].thread, SIG_LEAVE);
		(void)lock_wait_for(&l->lock, &l->left, 10 * 1000 * 1000);
	}
}

void
loop_stop(struct loop *l)
{
	if (l == NULL)
		return;
	fuse_session_exit(l->se);
	loop_end(l);
	loop_wait_left(l);
	loop_release(l);
}

void *
loop_buffer(void)
{
	return (self->buffer);
}
