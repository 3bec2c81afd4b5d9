/*
 * Reading the audit log: for people, and to verify it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/log.h"

#include "kms/audit.h"
#include "kms/audit_check.h"
#include "kms/audit_log.h"
#include "kms/kms_internal.h"
#include "kms/sysfd.h"

#define NO_LOG "it is missing: there is no log"
#define IDLE_NS 200000000

static enum err
head_now(struct kms *k, struct audit_head *ret)
{
	LOCK_SCOPE(&k->conn);

	return audit_head_load(k, ret);
}

/* ---- Showing ------------------------------------------------------------------ */

struct show {
	uint64_t skip;
	uint64_t odd; /* lines that are no records */
	uint64_t end; /* bytes of the segment that were handed out */
	bool (*cb)(void *arg, const char *line, size_t len);
	void *arg;
	bool stop;
};

static bool
show_line(void *arg, const char *line, size_t len)
{
	struct show *s = arg;

	s->end += len + 1;
	if (!audit_line_like(line, len)) {
		s->odd++;
		return true;
	}
	if (s->skip > 0) {
		s->skip--;
		return true;
	}
	s->stop = !s->cb(s->arg, line, len);
	return !s->stop;
}

/* What is in segment ${n} behind ${s->end}. */
static enum err
show_segment(struct kms *k, uint64_t n, struct show *s)
{
	int fd CLEANUP_SYSFD = -1;
	struct stat st;

	TRY(audit_log_open(k, n, false, &fd));
	if (sys->fstat(fd, &st) != 0)
		return err_from_errno(errno);
	return audit_lines(fd, s->end, (uint64_t)st.st_size, show_line, s);
}

/* All segments from ${*n} on, which is moved to the last. */
static enum err
show_from(struct kms *k, uint64_t *n, struct show *s)
{
	struct audit_head h;
	enum err e;

	TRY(head_now(k, &h));
	for (;;) {
		e = show_segment(k, *n, s);
		/* The last one may have no line yet. */
		if (e == ERR_NOENT && *n == h.n && h.size == 0)
			return OK;
		if (e == ERR_NOENT && h.oldest == h.n)
			return err_fail(e, "%s", NO_LOG);
		if (e == ERR_NOENT && *n >= h.oldest)
			log_warn("segment %llu of the audit log is missing; "
				 "run \"ssefs audit verify\"",
			    (unsigned long long)*n);
		else if (e != ERR_NOENT)
			TRY(e);
		if (*n >= h.n || s->stop)
			return OK;
		++*n;
		s->end = 0;
	}
}

static void
tell_odd(const struct kms *k, const struct show *s)
{

	if (s->odd > 0)
		log_warn("%s-audit.log: %llu lines that are no records are "
			 "left out; run \"ssefs audit verify\"",
		    k->path, (unsigned long long)s->odd);
}

enum err
audit_show(struct kms *k, uint64_t skip,
    bool (*cb)(void *arg, const char *line, size_t len), void *arg)
{
	struct show s = { .skip = skip, .cb = cb, .arg = arg };
	struct audit_head h;

	TRY(kms_flush(k));
	TRY(head_now(k, &h));
	TRY(show_from(k, &h.oldest, &s));
	tell_odd(k, &s);
	return OK;
}

enum err
audit_follow(struct kms *k, uint64_t skip,
    bool (*cb)(void *arg, const char *line, size_t len),
    bool (*idle)(void *arg), void *arg)
{
	const struct timespec ts = { .tv_nsec = IDLE_NS };
	struct show s = { .skip = skip, .cb = cb, .arg = arg };
	struct audit_head h;
	uint64_t n;

	TRY(kms_flush(k));
	TRY(head_now(k, &h));
	n = h.oldest;
	while (!s.stop) {
		TRY(show_from(k, &n, &s));
		if (s.stop || !idle(arg))
			break;
		(void)nanosleep(&ts, NULL);
	}
	tell_odd(k, &s);
	return OK;
}

/* ---- Verifying ------------------------------------------------------------------ */

struct verify {
	struct kms *k;
	struct audit_check c;
	struct audit_head last;    /* as the keystore says */
	uint64_t n, off;           /* read so far: segment, and bytes of it */
	bool locked;               /* conn is held */
	char path[AUDIT_PATH_MAX]; /* what c.file says */
};

static enum err
key_of(void *arg, uint64_t n, struct audit_key *ret)
{
	struct verify *y = arg;
	enum err e;

	if (!y->locked)
		lock_take(&y->k->conn);
	e = audit_key_load(y->k, n, ret, NULL);
	if (!y->locked)
		lock_drop(&y->k->conn);
	return e;
}

static bool
verify_line(void *arg, const char *line, size_t len)
{
	struct verify *y = arg;

	audit_check_line(&y->c, line, len);
	return true;
}

static enum err
verify_segment(struct verify *y, uint64_t n)
{
	int fd CLEANUP_SYSFD = -1;
	struct stat st;
	uint64_t end;
	enum err e;

	audit_segment_path(y->k->path, n, y->path);
	y->c.file = y->path;
	e = audit_log_open(y->k, n, false, &fd);
	if (e == ERR_NOENT && n == y->last.n && y->last.size == 0)
		return OK;
	if (e == ERR_NOENT) {
		audit_check_bad(&y->c, y->c.h.seq + 1,
		    n == 1 && y->last.n == 1
			? NO_LOG
			: "it is missing: there is no such file");
		return OK;
	}
	TRY(e);
	y->c.v->segments += y->off == 0 ? 1 : 0;
	if (sys->fstat(fd, &st) != 0)
		return err_from_errno(errno);
	end = (uint64_t)st.st_size;
	if (n == y->last.n && y->last.size < end)
		end = y->last.size;
	return audit_lines(fd, y->off, end, verify_line, y);
}

/* Is what was read what the keystore knows? */
static void
verify_head(struct verify *y)
{
	const struct audit_head *h = &y->c.h, *last = &y->last;

	if (last->forged != 0 && last->forged >= y->c.v->first)
		audit_check_bad(&y->c, last->forged,
		    "where the log ended before it was changed in the "
		    "keystore by somebody without its key");
	if (h->seq < last->seq)
		audit_check_bad(&y->c, h->seq + 1,
		    "it is missing: the log ends before it or is damaged "
		    "there");
	else if (h->seq > last->seq ||
		 secret_cmp(h->mac, last->mac, SHA256_LEN) != 0)
		audit_check_bad(
		    &y->c, h->seq, "it is not the one the keystore knows");
}

/* From where it stands to ${y->last}. */
static enum err
verify_to(struct verify *y)
{

	for (; y->n < y->last.n; y->n++, y->off = 0)
		TRY(verify_segment(y, y->n));
	TRY(verify_segment(y, y->n));
	y->off = y->last.size;
	return OK;
}

/* Behind the head: lines whose process was killed, or somebody else's.  A torn
 * line was never acknowledged and counts for nothing. */
static enum err
verify_tail(struct verify *y)
{
	int fd CLEANUP_SYSFD = -1;
	const uint64_t before = y->c.h.seq;
	bool foreign = false;
	struct stat st;
	enum err e = audit_log_open(y->k, y->n, false, &fd);

	if (e == ERR_NOENT)
		return OK;
	TRY(e);
	if (sys->fstat(fd, &st) != 0)
		return err_from_errno(errno);
	y->c.h.size = y->last.size;
	TRY(audit_take_in(y->k, fd, (uint64_t)st.st_size, &y->c.h, &foreign));
	y->c.v->records += y->c.h.seq - before;
	audit_segment_path(y->k->path, y->n, y->path);
	y->c.file = y->path;
	if (foreign)
		audit_check_bad(&y->c, y->c.h.seq + 1,
		    "it was appended by somebody without the keystore");
	return OK;
}

/* What others added meanwhile, with all of them locked out. */
static enum err
verify_end(struct verify *y)
{
	LOCK_SCOPE(&y->k->conn);
	struct kdb_tx tx CLEANUP_TX = { NULL };

	y->locked = true;
	TRY(kdb_begin(&y->k->db, &tx));
	TRY(audit_head_load(y->k, &y->last));
	TRY(verify_to(y));
	verify_head(y);
	return y->c.v->bad == 0 ? verify_tail(y) : OK;
}

enum err
audit_verify(
    struct kms *k, audit_bad_fn *bad, void *arg, struct audit_verdict *ret)
{
	struct verify y = { .k = k };
	struct audit_key first;

	memset(ret, 0, sizeof(*ret));
	y.c = (struct audit_check){ .chain = k->audit.chain,
		.uuid = k->uuid,
		.key = key_of,
		.key_arg = &y,
		.bad = bad,
		.arg = arg,
		.v = ret };
	TRY(kms_flush(k));
	TRY(head_now(k, &y.last));
	y.n = y.last.oldest;
	y.c.h.from = y.last.from;
	if (y.n == 1)
		audit_check_begin(&y.c, 1);
	else if (key_of(&y, y.n, &first) == OK)
		audit_check_begin(&y.c, first.first);
	TRY(verify_to(&y));
	TRY(verify_end(&y));
	audit_check_end(&y.c);
	ret->older = y.last.older;
	ret->older_to = y.last.from - 1;
	return OK;
}

void
audit_older(const struct audit_verdict *v, char ret[static AUDIT_OLDER_MAX])
{

	(void)snprintf(ret, AUDIT_OLDER_MAX,
	    "the records up to %" PRIu64 " come from an older format "
	    "and cannot be shown to be whole: some may be gone after them",
	    v->older_to);
}

/* ---- Comparing ---------------------------------------------------------------- */

/* The last record of a copy; then the one with its number in the log. */
struct compare {
	struct audit_split want, have;
	bool any, found;
};

static bool
last_of_copy(void *arg, const char *line, size_t len)
{
	struct compare *c = arg;

	c->any |= audit_line_split(line, len, &c->want);
	return true;
}

static bool
same_number(void *arg, const char *line, size_t len)
{
	struct compare *c = arg;

	c->found =
	    audit_line_split(line, len, &c->have) && c->have.seq == c->want.seq;
	return !c->found;
}

static enum err
read_copy(const char *path, struct compare *c)
{
	int fd CLEANUP_SYSFD = sys->open(path, O_RDONLY | O_CLOEXEC, 0);
	struct stat st;

	if (fd < 0 || sys->fstat(fd, &st) != 0)
		return err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno));
	TRY(audit_lines(fd, 0, (uint64_t)st.st_size, last_of_copy, c));
	return c->any ? OK : err_fail(ERR_PARSE, "%s has no record", path);
}

enum err
audit_compare(struct kms *k, const char *file, audit_bad_fn *bad, void *arg,
    struct audit_verdict *ret)
{
	struct audit_check c = { .bad = bad, .arg = arg, .file = file };
	struct compare y = { .any = false };

	c.v = ret;
	TRY(read_copy(file, &y));
	if (y.want.seq < ret->first)
		return err_fail(
		    ERR_NOENT, "%s: its records are no more in the log", file);
	TRY(audit_show(k, 0, same_number, &y));
	/* A mac vouches for all lines before it. */
	if (!y.found)
		audit_check_bad(&c, y.want.seq,
		    "it is in this copy of the log, and not in the log");
	else if (secret_cmp(y.want.mac, y.have.mac, SHA256_LEN) != 0)
		audit_check_bad(&c, y.want.seq,
		    "it is another one in this copy of the log");
	return OK;
}
