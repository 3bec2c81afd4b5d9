#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "store/backup.h"
#include "store/control.h"

#define BACKLOG 16
#define MS_NS 1000000ull
/* For a request to come in, and for an answer to be taken. */
#define READ_MS 3000
#define WRITE_MS 10000
#define ANSWER_MAX ((size_t)32 << 20)

struct client {
	struct control *c;
	int fd;
	bool lost; /* nobody reads the answer any more */
	uid_t uid;
	gid_t gid;
	struct control_req req;
};

struct control {
	struct store *st;
	const struct control_face *face;
	struct kms_who who;
	int dirfd, listenfd;
	int stopfd;            /* readable for ever once it is time to end */
	pthread_t thread, job; /* ${job}: one of jobs[] */
	bool thread_on;
	/* The listening thread's, and control_stop()'s after it. */
	bool job_on;           /* ${job} is to be joined */
	atomic_bool job_ended; /* it has nothing more to do but answer */
	struct client worked;  /* ${job}'s while it runs */
};

/* ---- Waiting --------------------------------------------------------------*/

/* Wait for ${events} until ${until} (monotonic).  False: too late, or it is
 * time to end. */
static bool
await(const struct client *cl, short events, uint64_t until)
{
	for (;;) {
		const uint64_t now = clock_mono_ns();
		struct pollfd p[2] = {
			{ .fd = cl->fd, .events = events },
			{ .fd = cl->c->stopfd, .events = POLLIN },
		};
		int n = 0;

		if (now >= until)
			return (false);
		n = poll(p, 2, (int)((until - now) / MS_NS) + 1);
		if (n < 0 && errno != EINTR)
			return (false);
		if (n > 0)
			return (p[1].revents == 0);
	}
}

static bool
ending(const struct control *c)
{
	struct pollfd p = { .fd = c->stopfd, .events = POLLIN };

	return (poll(&p, 1, 0) > 0);
}

/* The client closed its end. */
static bool
hung_up(const struct client *cl)
{
	struct pollfd p = { .fd = cl->fd, .events = POLLRDHUP };

	return (poll(&p, 1, 0) > 0);
}

/* ---- One client -----------------------------------------------------------*/

/* A line without its line feed.  ERR_LIMIT; ERR_TIMEDOUT: none came. */
static enum err
receive(
    const struct client *cl, uint8_t line[static CONTROL_LINE], size_t *ret_len)
{
	const uint64_t until = clock_mono_ns() + READ_MS * MS_NS;
	size_t len = 0;

	while (len < CONTROL_LINE) {
		const uint8_t *end = NULL;
		ssize_t n = 0;

		if (!await(cl, POLLIN, until))
			return (ERR_TIMEDOUT);
		n = recv(cl->fd, line + len, CONTROL_LINE - len, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return (ERR_TIMEDOUT);
		end = memchr(line + len, '\n', (size_t)n);
		if (end != NULL) {
			*ret_len = (size_t)(end - line);
			return (OK);
		}
		len += (size_t)n;
	}
	return (ERR_LIMIT);
}

static void
transmit(struct client *cl, const struct buf *b)
{
	const uint64_t until = clock_mono_ns() + WRITE_MS * MS_NS;
	size_t at = 0;

	while (!cl->lost && at < b->len) {
		const ssize_t n = send(cl->fd, b->p + at, b->len - at,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else if (errno == EAGAIN)
			cl->lost = !await(cl, POLLOUT, until);
		else if (errno != EINTR)
			cl->lost = true;
	}
}

static enum err
put_error(struct buf *b, enum err e)
{
	TRY(buf_put_str(b, "err "));
	TRY(buf_put_str(b, err_name(e)));
	TRY(control_field(b, err_detail(e), true));
	return (buf_put_str(b, "\n"));
}

/* The last line, after the rows in ${out} when all went well. */
static void
conclude(struct client *cl, struct buf *out, enum err e)
{
	if (e == OK)
		e = buf_put_str(out, "ok\n");
	if (e != OK) {
		out->len = 0;
		if (put_error(out, e) != OK)
			return;
	}
	transmit(cl, out);
}

/* ---- Scrub and backup -----------------------------------------------------*/

static bool
job_progress(void *arg, uint64_t done, uint64_t total)
{
	struct client *cl = arg;
	struct buf line CLEANUP_BUF;

	buf_init(&line, CONTROL_LINE);
	if (buf_printf(&line, "progress %llu %llu\n", (unsigned long long)done,
		(unsigned long long)total) == OK)
		transmit(cl, &line);
	cl->lost = cl->lost || hung_up(cl);
	return (!cl->lost && !ending(cl->c));
}

static void
job_bad(void *arg, uint64_t ino, uint64_t off, enum err e, const char *what)
{
	struct client *cl = arg;
	struct buf line CLEANUP_BUF;

	buf_init(&line, CONTROL_LINE);
	if (buf_printf(&line, "bad %llu %llu %s", (unsigned long long)ino,
		(unsigned long long)off, err_name(e)) == OK &&
	    control_field(&line, what, true) == OK &&
	    buf_put_str(&line, "\n") == OK)
		transmit(cl, &line);
}

static void
scrub_bad(void *arg, const struct store_damage *d)
{
	struct client *cl = arg;
	struct buf line CLEANUP_BUF;

	_Static_assert(3 * STORE_SHOWN_MAX + 16 < CONTROL_LINE,
	    "a path fits into a line, whatever its bytes are");
	buf_init(&line, CONTROL_LINE);
	if (d->path != NULL && buf_put_str(&line, "row") == OK &&
	    control_field(&line, d->path, false) == OK &&
	    buf_put_str(&line, "\n") == OK)
		transmit(cl, &line);
	job_bad(arg, d->ino, d->off, d->e, d->what);
}

static enum err
scrub_run(struct client *cl, struct buf *out)
{
	const struct store_scrub_opts o = {
		.keys = cl->req.keys,
		.who = &cl->c->who,
		.rate = cl->req.rate,
		.progress = job_progress,
		.bad = scrub_bad,
		.arg = cl,
	};
	struct store_scrub_result r = { .bad = 0 };

	TRY(store_scrub(cl->c->st, &o, &r));
	return (buf_printf(out, "row %llu %llu %llu %llu %llu\n",
	    (unsigned long long)r.files, (unsigned long long)r.blocks,
	    (unsigned long long)r.bytes, (unsigned long long)r.bad,
	    (unsigned long long)r.skipped));
}

static void
backup_bad(void *arg, const char *what)
{
	job_bad(arg, 0, 0, ERR_CORRUPT, what);
}

static enum err
backup_run(struct client *cl, struct buf *out)
{
	const struct backup_opts o = {
		.rate = cl->req.rate,
		.progress = job_progress,
		.bad = backup_bad,
		.arg = cl,
	};
	struct backup_result r = { .bad = 0 };

	const struct control_face *face = cl->c->face;

	if (cl->req.name[0] != '/')
		return (err_fail(ERR_INVAL, "the path is not absolute"));
	if (face->may_fill != NULL)
		TRY(face->may_fill(face->arg, cl->req.name));
	TRY(backup_make(cl->c->st, cl->req.name, &o, &r));
	return (buf_printf(out, "row %llu %llu %llu %llu %llu %d %s\n",
	    (unsigned long long)r.epoch, (unsigned long long)r.blocks,
	    (unsigned long long)r.copied, (unsigned long long)r.bytes,
	    (unsigned long long)r.bad, r.same ? 1 : 0, r.digest));
}

static enum err
rekey_run(struct client *cl, struct buf *out)
{
	const struct store_rekey_opts o = {
		.who = &cl->c->who,
		.key = cl->req.name[0] != '\0' ? cl->req.name : NULL,
		.rate = cl->req.rate,
		.progress = job_progress,
		.bad = job_bad,
		.arg = cl,
	};
	struct store_rekey_result r = { .bad = 0 };

	TRY(store_rekey(cl->c->st, &o, &r));
	return (buf_printf(out, "row %llu %llu %llu %llu\n",
	    (unsigned long long)r.files, (unsigned long long)r.rewrapped,
	    (unsigned long long)r.skipped, (unsigned long long)r.bad));
}

static const struct {
	const char *name;
	enum err (*run)(struct client *cl, struct buf *out);
} jobs[] = {
	[CONTROL_SCRUB] = { "scrub", scrub_run },
	[CONTROL_BACKUP] = { "backup", backup_run },
	[CONTROL_REKEY] = { "rekey", rekey_run },
};

static bool
is_job(enum control_op op)
{
	return (op < COUNTOF(jobs) && jobs[op].run != NULL);
}

static void *
job_main(void *arg)
{
	struct client *cl = arg;
	struct control *c = cl->c;
	struct buf out CLEANUP_BUF;
	enum err e = OK;

	buf_init(&out, CONTROL_LINE);
	err_clear();
	e = jobs[cl->req.op].run(cl, &out);
	/* A backup that was made before is one. */
	if (ending(c) && (e != OK || cl->req.op != CONTROL_BACKUP))
		e = err_fail(ERR_BUSY, "%s", c->face->ending);
	/* Before the answer: who has it may ask for the next at once.  What is
	 * left to do is short, or has a deadline. */
	c->job_ended = true;
	conclude(cl, &out, e);
	(void)close(cl->fd);
	return (NULL);
}

static enum err
no_job(const struct control *c)
{
	if (!c->job_on || c->job_ended)
		return (OK);
	return (err_fail(
	    ERR_BUSY, "a %s is running already", jobs[c->worked.req.op].name));
}

/* Hand ${cl} over to a thread.  OK: its descriptor is that thread's now. */
static enum err
job_start(const struct client *cl)
{
	struct control *c = cl->c;

	TRY(no_job(c));
	if (c->job_on)
		(void)pthread_join(c->job, NULL);
	c->job_on = false;
	c->job_ended = false;
	c->worked = *cl;
	if (pthread_create(&c->job, NULL, job_main, &c->worked) != 0)
		return (ERR_NOMEM);
	c->job_on = true;
	return (OK);
}

/* ---- Listening ------------------------------------------------------------*/

static enum err
check_peer(struct client *cl)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(cl->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return (err_from_errno(errno));
	cl->uid = who.uid;
	cl->gid = who.gid;
	if (who.uid == geteuid() || who.uid == 0)
		return (OK);
	log_warn("control: user %u was refused", (unsigned)who.uid);
	return (err_fail(ERR_ACCESS,
	    "only root and the user whose process has the store may "
	    "manage it"));
}

/* True when the client's descriptor was handed on. */
static bool
client_serve(struct client *cl)
{
	uint8_t line[CONTROL_LINE];
	struct buf out CLEANUP_BUF;
	size_t len = 0;
	enum err e = OK;

	buf_init(&out, ANSWER_MAX);
	err_clear();
	e = check_peer(cl);
	if (e == OK) {
		e = receive(cl, line, &len);
		if (e == ERR_TIMEDOUT)
			return (false);
	}
	if (e == OK)
		e = control_parse(line, len, &cl->req);
	/* A mount can wait; who asked for a backup, say, was first. */
	if (e == OK && cl->req.op == CONTROL_YIELD)
		e = no_job(cl->c);
	if (e == OK && is_job(cl->req.op)) {
		e = job_start(cl);
		if (e == OK)
			return (true);
	} else if (e == OK) {
		const struct control_on on = {
			.st = cl->c->st,
			.face = cl->c->face,
			.who = &cl->c->who,
			.uid = cl->uid,
			.gid = cl->gid,
		};

		e = control_do(&on, &cl->req, &out);
	}
	conclude(cl, &out, e);
	return (false);
}

static void *
control_main(void *arg)
{
	struct control *c = arg;
	struct pollfd p[2] = {
		{ .fd = c->stopfd, .events = POLLIN },
		{ .fd = c->listenfd, .events = POLLIN },
	};

	for (;;) {
		struct client cl = { .c = c };

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return (NULL);
		if (p[0].revents != 0)
			return (NULL);
		cl.fd = accept4(
		    c->listenfd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (cl.fd < 0) {
			/* Out of descriptors, perhaps: no hurry. */
			(void)poll(p, 1, 100);
			continue;
		}
		if (!client_serve(&cl))
			(void)close(cl.fd);
	}
}

/* ---- Life -----------------------------------------------------------------*/

/* Bind by way of the directory's descriptor: paths of sockets are short, those
 * of stores need not be. */
static enum err
listen_there(struct control *c)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;

	if (fstatat(c->dirfd, CONTROL_SOCKET, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return (err_fail(ERR_EXIST, "it is no socket"));
		if (unlinkat(c->dirfd, CONTROL_SOCKET, 0) != 0)
			return (err_from_errno(errno));
	}
	c->listenfd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path),
	    "/proc/self/fd/%d/" CONTROL_SOCKET, c->dirfd);
	if (c->listenfd < 0 ||
	    bind(c->listenfd, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
		return (err_from_errno(errno));
	/* Nobody can connect before the call of listen(). */
	if (fchmodat(c->dirfd, CONTROL_SOCKET, 0600, 0) != 0 ||
	    listen(c->listenfd, BACKLOG) != 0)
		return (err_from_errno(errno));
	return (OK);
}

static void
control_cleanup(struct control **c)
{
	control_stop(*c);
}

enum err
control_start(struct store *st, const char *dir, const struct kms_who *who,
    const struct control_face *face, struct control **ret)
{
	struct control *c CLEANUP(control_cleanup) = calloc(1, sizeof(*c));

	if (c == NULL)
		return (ERR_NOMEM);
	c->st = st;
	c->face = face;
	c->who = *who;
	c->who.agent = "cli";
	c->listenfd = -1;
	c->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c->stopfd = eventfd(0, EFD_CLOEXEC);
	if (c->dirfd < 0 || c->stopfd < 0)
		return (err_from_errno(errno));
	TRY(listen_there(c));
	if (pthread_create(&c->thread, NULL, control_main, c) != 0)
		return (ERR_NOMEM);
	c->thread_on = true;
	*ret = steal(c);
	return (OK);
}

void
control_stop(struct control *c)
{
	const uint64_t one = 1;

	if (c == NULL)
		return;
	if (c->thread_on &&
	    write(c->stopfd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		log_error("control: the end could not be signalled");
	if (c->thread_on)
		(void)pthread_join(c->thread, NULL);
	if (c->job_on)
		(void)pthread_join(c->job, NULL);
	if (c->listenfd >= 0) {
		(void)unlinkat(c->dirfd, CONTROL_SOCKET, 0);
		(void)close(c->listenfd);
	}
	if (c->stopfd >= 0)
		(void)close(c->stopfd);
	if (c->dirfd >= 0)
		(void)close(c->dirfd);
	free(c);
}
