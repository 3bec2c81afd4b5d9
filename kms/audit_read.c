/*
 * Reading the audit log: for people, and to verify it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"

#include "kms/audit.h"
#include "kms/audit_log.h"
#include "kms/kms_internal.h"
#include "kms/sysfd.h"

#define NO_LOG "it is missing: there is no log"

static enum err
head_now(struct kms *k, struct audit_head *ret)
{
	LOCK_SCOPE(&k->conn);

	return audit_head_load(k, ret);
}

struct show {
	uint64_t skip;
	uint64_t odd; /* lines that are no records */
	bool (*cb)(void *arg, const char *line, size_t len);
	void *arg;
};

static bool
show_line(void *arg, const char *line, size_t len)
{
	struct show *s = arg;

	if (!audit_line_like(line, len)) {
		s->odd++;
		return true;
	}
	if (s->skip > 0) {
		s->skip--;
		return true;
	}
	return s->cb(s->arg, line, len);
}

enum err
audit_show(struct kms *k, uint64_t skip,
    bool (*cb)(void *arg, const char *line, size_t len), void *arg)
{
	int fd CLEANUP_SYSFD = -1;
	struct show s = { skip, 0, cb, arg };
	struct audit_head h;
	struct stat st;
	enum err e;

	TRY(kms_flush(k));
	e = audit_log_open(k, false, &fd);
	if (e == ERR_NOENT) {
		TRY(head_now(k, &h));
		return h.seq == 0 ? OK : err_fail(e, "%s", NO_LOG);
	}
	TRY(e);
	if (sys->fstat(fd, &st) != 0)
		return err_from_errno(errno);
	TRY(audit_lines(fd, 0, (uint64_t)st.st_size, show_line, &s));
	if (s.odd > 0)
		log_warn("%s-audit.log: %llu lines that are no records are "
			 "left out; run \"ssefs audit verify\"",
		    k->path, (unsigned long long)s.odd);
	return OK;
}

struct verify {
	struct kms *k;
	struct audit_head h;    /* verified up to here */
	struct audit_head last; /* as the keystore says */
	struct audit_verdict *v;
};

static void
bad(struct audit_verdict *v, uint64_t seq, const char *what)
{

	v->bad_seq = seq;
	(void)snprintf(v->what, sizeof(v->what), "%s", what);
}

static bool
verify_line(void *arg, const char *line, size_t len)
{
	struct verify *y = arg;
	const char *what = "";

	if (!audit_line_check(y->k->audit.chain, line, len, &y->h, &what)) {
		bad(y->v, y->h.seq + 1, what);
		return false;
	}
	if (y->h.seq == y->last.seq &&
	    secret_cmp(y->h.mac, y->last.mac, SHA256_LEN) != 0) {
		bad(y->v, y->h.seq, "it is not the one the keystore knows");
		return false;
	}
	y->v->records++;
	return true;
}

/* Verify what stands in the log between ${y->h} and ${y->last}. */
static enum err
verify_to(struct verify *y, int fd)
{
	struct stat st;
	uint64_t end;

	if (sys->fstat(fd, &st) != 0)
		return err_from_errno(errno);
	end = (uint64_t)st.st_size < y->last.size ? (uint64_t)st.st_size
						  : y->last.size;
	TRY(audit_lines(fd, y->h.size, end, verify_line, y));
	if (y->v->bad_seq == 0 && y->h.seq < y->last.seq)
		bad(y->v, y->h.seq + 1,
		    "it is missing: the log ends before it or is damaged "
		    "there");
	return OK;
}

/* The rest, with all other writers locked out, to the last byte. */
static enum err
verify_end(struct verify *y, int fd)
{
	LOCK_SCOPE(&y->k->conn);
	struct kdb_tx tx CLEANUP_TX = { NULL };
	bool foreign = false;
	uint64_t before;
	struct stat st;

	TRY(kdb_begin(&y->k->db, &tx));
	TRY(audit_head_load(y->k, &y->last));
	TRY(verify_to(y, fd));
	if (y->v->bad_seq != 0)
		return OK;
	if (sys->fstat(fd, &st) != 0)
		return err_from_errno(errno);
	/* A torn line was never acknowledged and counts for nothing. */
	before = y->h.seq;
	TRY(audit_take_in(y->k, fd, (uint64_t)st.st_size, &y->h, &foreign));
	y->v->records += y->h.seq - before;
	if (foreign)
		bad(y->v, y->h.seq + 1,
		    "it was appended by somebody without the keystore");
	return OK;
}

enum err
audit_verify(struct kms *k, struct audit_verdict *ret)
{
	int fd CLEANUP_SYSFD = -1;
	struct verify y = { .k = k, .v = ret };
	enum err e;

	memset(ret, 0, sizeof(*ret));
	TRY(kms_flush(k));
	e = audit_log_open(k, false, &fd);
	if (e != OK && e != ERR_NOENT)
		return e;
	TRY(head_now(k, &y.last));
	if (e == ERR_NOENT) {
		if (y.last.seq > 0)
			bad(ret, 1, NO_LOG);
		return OK;
	}
	/* The long part without stopping others, then what they added. */
	TRY(verify_to(&y, fd));
	if (ret->bad_seq == 0)
		TRY(verify_end(&y, fd));
	return OK;
}
