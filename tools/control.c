#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "tools/control.h"

/* A server that gives a store up commits and closes it. */
#define WAY_STEP_MS 20
#define WAY_STEPS 1000

/* The path goes by way of a descriptor, as a socket's own path must be short. */
int
reach_dial(const char *dir, unsigned ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000L };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int dirfd CLEANUP_CLOSE = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd CLEANUP_CLOSE = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret = -1;

	if (dirfd < 0 || fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) != 0)
		return (-1);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path),
	    "/proc/self/fd/%d/" CONTROL_SOCKET, dirfd);
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
		return (-1);
	ret = fd;
	fd = -1;
	return (ret);
}

bool
reach_owned(const char *dir)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int dirfd CLEANUP_CLOSE = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd CLEANUP_CLOSE = -1;

	if (dirfd >= 0)
		fd = openat(dirfd, "lock", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return (fd >= 0 && fcntl(fd, F_OFD_GETLK, &fl) == 0 &&
		fl.l_type != F_UNLCK);
}

int
reach_claim(const char *dir, bool server)
{
	int fd CLEANUP_CLOSE = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = -1;

	if (fd < 0 || flock(fd, server ? LOCK_EX | LOCK_NB : LOCK_SH) != 0)
		return (-1);
	ret = fd;
	fd = -1;
	return (ret);
}

void
reach_make_way(const char *dir)
{
	/* Never closed: until this process, and a mount that it becomes, has
	 * ended.  Servers do not take what is free meanwhile. */
	static int claim = -1;

	const struct timespec step = { .tv_nsec = WAY_STEP_MS * 1000000L };
	const struct control_req req = { .op = CONTROL_YIELD };
	struct reach r = { .fd = -1 };

	if (claim < 0)
		claim = reach_claim(dir, false);
	r.fd = reach_dial(dir, 0);
	if (r.fd < 0)
		return;
	const enum err e = reach_ask(&r, &req, NULL, NULL);

	(void)close(r.fd);
	for (int i = 0; e == OK && i < WAY_STEPS && reach_owned(dir); i++)
		(void)nanosleep(&step, NULL);
	err_clear();
}

bool
reach_open(const struct args *a, const struct store_opts *o, struct reach *ret,
    enum err *ret_e)
{
	enum err e = cmd_try_store(a, o, &ret->st);

	ret->fd = -1;
	if (e != OK)
		ret->st = NULL;
	if (e == ERR_LOCKED) {
		ret->fd = reach_dial(a->store, 0);
		if (ret->fd >= 0)
			e = OK;
	}
	if (ret_e != NULL)
		*ret_e = e;
	if (e == OK)
		return (true);
	(void)cmd_fail(e, "store \"%s\": cannot be opened", a->store);
	return (false);
}

int
reach_close(struct reach *r, int code)
{
	if (r->st != NULL)
		return (cmd_close_store(r->st, code));
	(void)close(r->fd);
	return (code);
}

/* ---- Asking ---------------------------------------------------------------*/

static enum err
gone(void)
{
	return (err_fail(
	    ERR_IO, "the mount that has the store ended before it answered"));
}

/* What the mount says when it refuses us unheard is still read. */
static void
send_all(int fd, const struct buf *b)
{
	for (size_t at = 0; at < b->len;) {
		const ssize_t n =
		    send(fd, b->p + at, b->len - at, MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else if (errno != EINTR)
			return;
	}
}

/* The whole lines of ${in}, ${len} bytes: how many bytes they are goes to
 * ${ret_used}, whether the last line was the answer's to ${ret_end}. */
static enum err
read_lines(char *in, size_t len,
    void (*hear)(void *arg, const struct control_answer *a), void *arg,
    size_t *ret_used, bool *ret_end)
{
	struct control_answer a;
	size_t at = 0;
	char *lf;

	*ret_end = false;
	while (!*ret_end && (lf = memchr(in + at, '\n', len - at)) != NULL) {
		char *line = in + at;

		*lf = '\0';
		if (control_answer_parse(line, (size_t)(lf - line), &a) != OK)
			return (err_fail(ERR_PARSE,
			    "the mount's answer could not be understood"));
		at = (size_t)(lf - in) + 1;
		if (a.kind == CONTROL_ERR)
			return (err_fail(a.e, "%s", a.text));
		*ret_end = a.kind == CONTROL_OK;
		if (!*ret_end && hear != NULL)
			hear(arg, &a);
	}
	*ret_used = at;
	return (OK);
}

enum err
reach_ask(struct reach *r, const struct control_req *req,
    void (*hear)(void *arg, const struct control_answer *a), void *arg)
{
	char in[4 * CONTROL_LINE];
	struct buf out CLEANUP_BUF;
	size_t have = 0, used = 0;
	bool end = false;

	buf_init(&out, (size_t)2 * CONTROL_LINE);
	TRY(control_print(&out, req));
	send_all(r->fd, &out);
	while (!end) {
		const ssize_t n = recv(r->fd, in + have, sizeof(in) - have, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return (err_fail(ERR_TIMEDOUT,
			    "the process that has the store does not answer"));
		if (n <= 0)
			return (gone());
		have += (size_t)n;
		TRY(read_lines(in, have, hear, arg, &used, &end));
		have -= used;
		memmove(in, in + used, have);
	}
	return (OK);
}
