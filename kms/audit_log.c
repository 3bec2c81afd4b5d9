/*
 * The audit log on disk.
 *
 * Order: the lines are written and synced, then the head (audit_head.c) goes
 * into the keystore.  The write transaction that holds the
 * head is the lock between processes.  The head's commit need not be synced:
 * after a power failure it is behind a log that is whole, and lines behind
 * the head with an unbroken chain are taken in.
 *
 * What else may stand behind the head: a torn line, which has no newline or
 * has zeros in it.  It was never acknowledged, and whoever appends next cuts
 * it off.  Nothing else is ever cut, and the head never moves back, since the
 * log is evidence also when it was tampered with: whole lines that are not in
 * the chain stay and the chain goes on behind them; a log that was removed or
 * cut short is continued at its old length, so that what is missing can be put
 * back.  Verification shows all three.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"

#include "kms/audit_log.h"
#include "kms/kms_internal.h"
#include "kms/sysfd.h"

#define CHUNK 65536
#define SEQ_START "{\"seq\":"

/* A checkpoint after so many records, or so long after the last. */
#define MARK_RECORDS 1000
#define MARK_SECONDS 60
/* The longest that a record waits for a flush while nothing else happens. */
#define FLUSH_SECONDS 5

/* ---- Behind the head ---------------------------------------------------- */

struct recovery {
	const struct hmac_key *chain;
	struct audit_head h;
	bool foreign;
};

static bool
recover_line(void *arg, const char *line, size_t len)
{
	struct recovery *r = arg;
	const char *what;

	if (audit_line_check(r->chain, line, len, &r->h, &what))
		return true;
	r->foreign = memchr(line, '\0', len) == NULL;
	return false;
}

enum err
audit_take_in(struct kms *k, int fd, uint64_t size, struct audit_head *h,
    bool *ret_foreign)
{
	struct recovery r = { k->audit.chain, *h, false };

	TRY(audit_lines(fd, h->size, size, recover_line, &r));
	*h = r.h;
	*ret_foreign = r.foreign;
	return OK;
}

/* The size of the log; 0 when there is none. */
static enum err
log_size(int fd, uint64_t *ret)
{
	struct stat st = { .st_size = 0 };

	if (fd >= 0 && sys->fstat(fd, &st) != 0)
		return err_from_errno(errno);
	*ret = (uint64_t)st.st_size;
	return OK;
}

static void
say_short(const struct kms *k, uint64_t n)
{
	char path[AUDIT_PATH_MAX];

	audit_segment_path(k->path, n, path);
	log_error("%s was removed or cut short; put it back if you can, and "
		  "run \"ssefs audit verify\"",
	    path);
}

/* The log's lines and its name to the disk: before the head says so. */
static enum err
log_sync(struct kms *k, int fd, uint64_t n)
{

	if (sys->fdatasync(fd) != 0)
		return err_from_errno(errno);
	/* Also of a log that is there already: whoever made it may have died
	 * before this. */
	if (k->audit.named != n)
		TRY(sys_sync_parent(k->path));
	k->audit.named = n;
	return OK;
}

static void
say_forged(const struct kms *k)
{

	log_error(
	    "%s: where the audit log ends was changed by somebody without "
	    "the keystore; run \"ssefs audit verify\"",
	    k->path);
}

/* The log that the head names, -1 while its first line is still to come. */
static enum err
log_open(struct kms *k, const struct audit_head *h, int *ret_fd)
{
	const enum err e = audit_log_open(k, h->n, false, ret_fd);

	return e == ERR_NOENT ? OK : e;
}

/* Take in what a crash left behind the head.  Inside the write transaction:
 * until then another process may append, and begin a new segment. */
static enum err
recover(struct kms *k)
{
	struct kdb_tx tx CLEANUP_TX = { NULL };
	int fd CLEANUP_SYSFD = -1;
	struct audit_head h;
	uint64_t size, old;
	bool foreign;

	TRY(kdb_begin(&k->db, &tx));
	TRY(audit_head_load(k, &h));
	TRY(log_open(k, &h, &fd));
	TRY(log_size(fd, &size));
	if (size <= h.size)
		return OK;
	old = h.size;
	TRY(audit_take_in(k, fd, size, &h, &foreign));
	if (h.size == old)
		return OK;
	/* Lines of a process that was killed may not be on the disk yet. */
	TRY(log_sync(k, fd, h.n));
	TRY(audit_head_store(k, &h));
	return kdb_commit(&tx);
}

enum err
audit_recover(struct kms *k)
{
	int fd CLEANUP_SYSFD = -1;
	struct audit_head h;
	uint64_t size;

	TRY(audit_head_load(k, &h));
	if (h.forged != 0)
		say_forged(k);
	TRY(log_open(k, &h, &fd));
	TRY(log_size(fd, &size));
	if (size < h.size)
		say_short(k, h.n);
	return size > h.size ? recover(k) : OK;
}

/* The log is shorter than it was: leave a gap of zeros that ends as a line. */
static enum err
bridge_gap(struct kms *k, int fd, const struct audit_head *h)
{

	say_short(k, h->n);
	return sys_pwrite_full(fd, "\n", 1, h->size - 1);
}

/* Lines that are not ours stand behind the head: go on after them. */
static enum err
pass_foreign(struct kms *k, int fd, uint64_t size, struct audit_head *h)
{
	char path[AUDIT_PATH_MAX];
	uint8_t last;

	audit_segment_path(k->path, h->n, path);
	log_error("%s: somebody without the keystore appended to it; run "
		  "\"ssefs audit verify\"",
	    path);
	h->size = size;
	TRY(sys_pread_full(fd, &last, 1, size - 1));
	if (last == '\n')
		return OK;
	TRY(sys_pwrite_full(fd, "\n", 1, size));
	h->size++;
	return OK;
}

/* Move ${h} to where the next line goes.  Inside the write transaction. */
static enum err
make_ready(struct kms *k, int fd, struct audit_head *h)
{
	char path[AUDIT_PATH_MAX];
	bool foreign = false;
	uint64_t size;

	TRY(log_size(fd, &size));
	if (size < h->size)
		return bridge_gap(k, fd, h);
	/* Lines of our own failed flush are still in memory: not twice. */
	if (!k->audit.torn)
		TRY(audit_take_in(k, fd, size, h, &foreign));
	if (size == h->size)
		return OK;
	if (foreign)
		return pass_foreign(k, fd, size, h);
	audit_segment_path(k->path, h->n, path);
	log_warn("%s: %llu bytes that were never acknowledged are cut off",
	    path, (unsigned long long)(size - h->size));
	return sys->ftruncate(fd, (off_t)h->size) == 0 ? OK
						       : err_from_errno(errno);
}

enum err
audit_ready_at(struct kms *k, struct audit_head *h, int *ret_fd)
{
	int fd CLEANUP_SYSFD = -1;

	TRY(audit_log_open(k, h->n, true, &fd));
	TRY(make_ready(k, fd, h));
	*ret_fd = fd;
	fd = -1;
	return OK;
}

/* ---- Lines ---------------------------------------------------------------- */

/* The decimal digits of ${v}. */
static char *
put_number(char *p, uint64_t v)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (n > 0)
		*p++ = digits[--n];
	return p;
}

static void
begin_line(const struct audit_head *h, struct audit_text_out *out)
{

	memcpy(out->p, SEQ_START, sizeof(SEQ_START) - 1);
	out->p = put_number(out->p + sizeof(SEQ_START) - 1, h->seq + 1);
	*out->p++ = ',';
}

/* Put the mac of the line that began at ${start} and move ${h} on over it. */
static void
end_line(const struct kms *k, char *start, struct audit_head *h,
    struct audit_text_out *out)
{
	struct audit_split s = { .seq = h->seq + 1 };

	/* The brace is what closes the object without the mac. */
	*out->p = '}';
	sha256(start, (size_t)(out->p - start) + 1, s.sum);
	audit_line_mac(k->audit.chain, h, s.seq, s.sum, s.mac);
	memcpy(out->p, ",\"mac\":\"", 8);
	hex_encode(s.mac, sizeof(s.mac), out->p + 8);
	memcpy(out->p + AUDIT_MAC_MEMBER - 1, "\"}\n", 3);
	out->p += AUDIT_MAC_MEMBER + 2;
	audit_head_pass(h, &s, (size_t)(out->p - start) - 1);
}

/* Put the record ${item}, the ${n}th of this open keystore, as the line after
 * ${h} and move ${h} on. */
static enum err
put_line(const struct kms *k, const uint8_t *item, uint64_t n,
    struct audit_head *h, struct audit_text_out *out)
{
	char *const start = out->p;

	begin_line(h, out);
	TRY(audit_body(out, item, k->region, k->audit.id_base, n));
	end_line(k, start, h, out);
	return OK;
}

static void
put_text(struct audit_text_out *out, const char *s, size_t len)
{

	memcpy(out->p, s, len);
	out->p += len;
}

#define LIT(out, s) put_text((out), (s), sizeof(s) - 1)

/* Put a checkpoint as the line after ${h} and move ${h} on. */
static enum err
put_mark(struct kms *k, struct audit_head *h, const struct audit_key *next,
    struct audit_text_out *out)
{
	struct key *seed CLEANUP_KEY = key_new();
	struct audit_mark m = { .seq = h->seq + 1,
		.from = h->from,
		.n = h->n,
		.time = clock_wall().tv_sec,
		.has_next = next != NULL };
	uint8_t item[AUDIT_SERVICE_ITEM], sig[SIGN_SIGNATURE];
	char *const start = out->p;
	char text[AUDIT_MARK_MAX];
	struct audit_key key;
	size_t len;

	if (seed == NULL)
		return ERR_NOMEM;
	TRY(audit_key_load(k, h->n, &key, seed));
	memcpy(m.uuid, k->uuid, UUID_LEN);
	memcpy(m.mac, h->mac, SHA256_LEN);
	memcpy(m.link, h->link, SHA256_LEN);
	if (next != NULL)
		memcpy(m.next, next->public, SIGN_PUBLIC);
	len = audit_mark_print(&m, text);
	TRY(sign_make(seed->b, text, len, sig));
	begin_line(h, out);
	audit_service_item("AuditCheckpoint", m.time, item);
	/* Of ids a keystore has as many as it makes records: these count down. */
	TRY(audit_body(
	    out, item, k->region, k->audit.id_base, ~k->audit.marks++));
	LIT(out, AUDIT_MARK_OPEN);
	put_text(out, text, len);
	LIT(out, AUDIT_MARK_MID);
	hex_encode(sig, sizeof(sig), out->p);
	out->p += 2 * sizeof(sig);
	LIT(out, AUDIT_MARK_CLOSE);
	end_line(k, start, h, out);
	h->marked = h->seq;
	h->marked_at = m.time;
	return OK;
}

/* The same, or none: records come before signatures. */
static enum err
try_mark(struct kms *k, struct audit_head *h, struct audit_text_out *out)
{
	char *const start = out->p;
	const enum err e = put_mark(k, h, NULL, out);

	if (e == OK || e == ERR_NOMEM)
		return e;
	out->p = start;
	h->marked_at = clock_wall().tv_sec;
	log_error(
	    "%s: the audit log cannot be signed: %s", k->path, err_detail(e));
	return OK;
}

enum err
audit_mark_write(
    struct kms *k, int fd, struct audit_head *h, const struct audit_key *next)
{
	char *text CLEANUP_FREE = malloc(AUDIT_LINE_MAX);
	struct audit_text_out out = { .p = text };
	const uint64_t off = h->size;

	if (text == NULL)
		return ERR_NOMEM;
	out.end = text + AUDIT_LINE_MAX;
	TRY(put_mark(k, h, next, &out));
	TRY(sys_pwrite_full(fd, text, (size_t)(out.p - text), off));
	return log_sync(k, fd, h->n);
}

/* ---- Flushing ------------------------------------------------------------- */

static bool
mark_due(const struct audit_head *h)
{

	return h->seq - h->marked >= MARK_RECORDS ||
	       clock_wall_s() - h->marked_at >= MARK_SECONDS;
}

/* A write in parts of CHUNK bytes or so. */
struct writer {
	int fd;
	char *text;
	uint64_t off;
	struct audit_text_out out;
};

static enum err
writer_put(struct writer *w)
{
	const size_t len = (size_t)(w->out.p - w->text);

	TRY(sys_pwrite_full(w->fd, w->text, len, w->off));
	w->off += len;
	w->out.p = w->text;
	return OK;
}

/* Write the records that are in hand behind ${h} and move ${h} on. */
static enum err
write_lines(struct kms *k, int fd, struct audit_head *h)
{
	const struct buf *in = &k->audit.writing;
	char *text CLEANUP_FREE = malloc(CHUNK + 2 * AUDIT_LINE_MAX);
	struct writer w = { .fd = fd, .text = text, .off = h->size };
	uint64_t n = atomic_load(&k->audit.durable);

	if (text == NULL)
		return ERR_NOMEM;
	w.out.p = text;
	w.out.end = text + CHUNK + 2 * AUDIT_LINE_MAX;
	/* A segment is checked from its first line on, and what an older
	 * program wrote is told from what is signed. */
	if ((h->size == 0 && h->n > 1) || (h->seq > 0 && h->seq < h->from))
		TRY(try_mark(k, h, &w.out));
	for (size_t from = 0, len; from < in->len; from += len) {
		len = audit_item_size(in->p + from, in->len - from);
		if (len == 0)
			return ERR_INTERNAL;
		TRY(put_line(k, in->p + from, n++, h, &w.out));
		if (mark_due(h))
			TRY(try_mark(k, h, &w.out));
		if (w.out.p >= text + CHUNK)
			TRY(writer_put(&w));
	}
	return writer_put(&w);
}

static enum err
write_out(struct kms *k, uint64_t *ret_size)
{
	int fd CLEANUP_SYSFD = -1;
	struct kdb_tx tx CLEANUP_TX = { NULL };
	struct audit_head h;

	TRY(audit_begin(k, &tx));
	TRY(audit_head_load(k, &h));
	TRY(audit_ready_at(k, &h, &fd));
	k->audit.torn = true;
	TRY(write_lines(k, fd, &h));
	TRY(log_sync(k, fd, h.n));
	TRY(audit_head_store(k, &h));
	TRY(kdb_commit(&tx));
	k->audit.torn = false;
	k->audit.unsigned_own = h.marked != h.seq;
	*ret_size = h.size;
	return OK;
}

/* Fast: the log is synced, the keystore behind it need not be. */
static enum err
quickly(
    struct kms *k, enum err (*fn)(struct kms *k, uint64_t *ret), uint64_t *ret)
{
	enum err e;

	TRY(kdb_settle(&k->db));
	TRY(kdb_exec(&k->db, "PRAGMA synchronous=NORMAL"));
	e = fn(k, ret);
	TRY(kdb_exec(&k->db, "PRAGMA synchronous=FULL"));
	return e;
}

/* What is not begun now is begun with the next flush. */
static void
grow(struct kms *k)
{
	enum err e = audit_segment_end(k, atomic_load(&k->audit.segment));

	if (e == OK)
		e = audit_retain(k);
	if (e != OK)
		log_warn("%s: the audit log could not be rotated: %s", k->path,
		    err_detail(e));
}

enum err
audit_flush(struct kms *k)
{
	struct audit *a = &k->audit;
	uint64_t size = 0;
	struct buf swap;

	lock_assert_held(RANK_KMS);
	if (a->writing.len == 0) {
		lock_take(&a->l);
		swap = a->writing;
		a->writing = a->pending;
		a->pending = swap;
		a->writing_made = atomic_load(&a->made);
		atomic_store(&a->since, 0);
		lock_drop(&a->l);
	}
	if (a->writing.len == 0)
		return OK;
	TRY(quickly(k, write_out, &size));
	a->writing.len = 0;
	atomic_store(&a->durable, a->writing_made);
	if (size >= atomic_load(&a->segment))
		grow(k);
	return OK;
}

static enum err
mark_out(struct kms *k, struct kdb_tx *tx, struct audit_head *h)
{
	int fd CLEANUP_SYSFD = -1;

	TRY(audit_ready_at(k, h, &fd));
	k->audit.torn = true;
	TRY(audit_mark_write(k, fd, h, NULL));
	TRY(audit_head_store(k, h));
	TRY(kdb_commit(tx));
	k->audit.torn = false;
	return OK;
}

/* A checkpoint, if there is a line behind the last. */
static enum err
sign_out(struct kms *k, uint64_t *ret_size UNUSED)
{
	struct kdb_tx tx CLEANUP_TX = { NULL };
	struct audit_head h;

	TRY(audit_begin(k, &tx));
	TRY(audit_head_load(k, &h));
	return h.marked == h.seq ? OK : mark_out(k, &tx, &h);
}

enum err
audit_sign(struct kms *k)
{

	/* What could not be written comes first. */
	if (!k->audit.unsigned_own || k->audit.writing.len > 0)
		return OK;
	TRY(quickly(k, sign_out, NULL));
	k->audit.unsigned_own = false;
	return OK;
}

static enum err
start_out(struct kms *k, uint64_t *ret_size UNUSED)
{
	struct kdb_tx tx CLEANUP_TX = { NULL };
	struct audit_head h;

	TRY(audit_begin(k, &tx));
	TRY(audit_head_load(k, &h));
	return h.size != 0 ? OK : mark_out(k, &tx, &h);
}

enum err
audit_start(struct kms *k)
{

	return quickly(k, start_out, NULL);
}

void
audit_tick(struct kms *k)
{
	const int64_t since = atomic_load(&k->audit.since);
	const int64_t now = clock_wall_s();
	struct audit_head h;
	enum err e = OK;

	/* A failure is told by the flush, and refuses data keys. */
	if (since != 0 && now - since >= FLUSH_SECONDS && kms_flush(k) != OK)
		return;
	LOCK_SCOPE(&k->conn);
	if (!k->audit.unsigned_own)
		return;
	e = audit_head_load(k, &h);
	if (e == OK && now - h.marked_at >= MARK_SECONDS)
		e = audit_sign(k);
	if (e != OK)
		log_warn("%s: the audit log could not be signed: %s", k->path,
		    err_detail(e));
}
