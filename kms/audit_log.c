/*
 * The audit log on disk.
 *
 * A line is
 *	{"seq":N,BODY,"mac":"64 hexadecimal digits"}
 * and its mac is HMAC-SHA-256 under the chain key (derived from the keystore
 * master key, label "ssefs audit chain v1") of
 *	 0 32  mac of the line before, zeros for the first
 *	32  8  seq, big-endian
 *	40 32  SHA-256 of {"seq":N,BODY}
 *
 * Order: the lines are written and synced, then the head (seq, size of the
 * log, mac) goes into the keystore.  The write transaction that holds the
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

enum err
audit_log_open(struct kms *k, bool make, int *ret_fd)
{
	char path[PATH_MAX + 16];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s-audit.log", k->path);
	*ret_fd = sys->open(
	    path, O_RDWR | (make ? O_CREAT : 0) | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*ret_fd < 0)
		return err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno));
	if (sys->fstat(*ret_fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)sys->close(*ret_fd);
		*ret_fd = -1;
		return err_fail(ERR_IO, "%s is not a regular file", path);
	}
	return OK;
}

/* ---- The head ----------------------------------------------------------- */

/*
 * The head in the keystore (48 bytes), integers big-endian:
 *	 0  8  seq of the last line
 *	 8  8  size of the log up to its end
 *	16 32  its mac
 */
#define HEAD_LEN 48

_Static_assert(8 + 8 + SHA256_LEN == HEAD_LEN, "audit head");

enum err
audit_head_load(struct kms *k, struct audit_head *ret)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	uint8_t raw[HEAD_LEN];
	bool row = false;

	TRY(kdb_query(&k->db, &st, "SELECT v FROM meta WHERE k = 'audit'", ""));
	TRY(kdb_step(&k->db, st, &row));
	if (!row)
		return err_fail(ERR_CORRUPT, "keystore: no audit head");
	TRY(kdb_col_blob(st, 0, raw, sizeof(raw)));
	ret->seq = get_u64(raw);
	ret->size = get_u64(raw + 8);
	memcpy(ret->mac, raw + 16, SHA256_LEN);
	return OK;
}

static enum err
head_store(struct kms *k, const struct audit_head *h)
{
	uint8_t raw[HEAD_LEN];

	put_u64(raw, h->seq);
	put_u64(raw + 8, h->size);
	memcpy(raw + 16, h->mac, SHA256_LEN);
	return kdb_run(&k->db, "UPDATE meta SET v = ? WHERE k = 'audit'", "b",
	    (const void *)raw, sizeof(raw));
}

/* ---- Lines -------------------------------------------------------------- */

/* The mac of the line after ${h}, whose bytes up to the mac are given. */
static void
line_mac(const struct hmac_key *chain, const struct audit_head *h, uint64_t seq,
    const void *p, size_t len, uint8_t ret[static SHA256_LEN])
{
	uint8_t text[SHA256_LEN + 8 + SHA256_LEN];
	struct sha256_ctx s;

	memcpy(text, h->mac, SHA256_LEN);
	put_u64(text + SHA256_LEN, seq);
	sha256_begin(&s);
	sha256_add(&s, p, len);
	sha256_add(&s, "}", 1);
	sha256_end(&s, text + SHA256_LEN + 8);
	hmac_short(chain, text, sizeof(text), ret);
}

/* Split {"seq":N,…,"mac":"…"} ; ${ret_body} bytes stand before the mac. */
static bool
line_split(const char *line, size_t len, uint64_t *ret_seq,
    uint8_t ret_mac[static SHA256_LEN], size_t *ret_body)
{
	const size_t start = sizeof(SEQ_START) - 1;
	const size_t tail = AUDIT_MAC_MEMBER + 1;
	char spelt[2 * SHA256_LEN + 1];
	size_t i = start;
	uint64_t seq = 0;

	if (len < start + 2 + tail || memcmp(line, SEQ_START, start) != 0)
		return false;
	for (; i < start + 19 && line[i] >= '0' && line[i] <= '9'; i++)
		seq = seq * 10 + (uint64_t)(line[i] - '0');
	if (i == start || line[i] != ',' || i > len - tail)
		return false;
	*ret_body = len - tail;
	line += len - tail;
	*ret_seq = seq;
	if (memcmp(line, ",\"mac\":\"", 8) != 0 ||
	    memcmp(line + tail - 2, "\"}", 2) != 0 ||
	    hex_decode(line + 8, sizeof(spelt) - 1, ret_mac, SHA256_LEN) != OK)
		return false;
	/* No mac covers the mac's own digits: they have one spelling. */
	hex_encode(ret_mac, SHA256_LEN, spelt);
	return memcmp(line + 8, spelt, sizeof(spelt) - 1) == 0;
}

bool
audit_line_check(const struct hmac_key *chain, const char *line, size_t len,
    struct audit_head *h, const char **what)
{
	uint8_t mac[SHA256_LEN], good[SHA256_LEN];
	uint64_t seq = 0;
	size_t body = 0;

	if (!line_split(line, len, &seq, mac, &body)) {
		*what = "it is not an audit record";
		return false;
	}
	if (seq != h->seq + 1) {
		*what = seq > h->seq ? "a record before it is missing"
				     : "it is out of order";
		return false;
	}
	line_mac(chain, h, seq, line, body, good);
	if (secret_cmp(mac, good, SHA256_LEN) != 0) {
		*what = "it, or the record before it, was changed";
		return false;
	}
	h->seq = seq;
	h->size += len + 1;
	memcpy(h->mac, mac, SHA256_LEN);
	return true;
}

bool
audit_line_like(const char *line, size_t len)
{
	uint8_t mac[SHA256_LEN];
	uint64_t seq;
	size_t body;

	return line_split(line, len, &seq, mac, &body) &&
	       memchr(line, '\0', len) == NULL;
}

/* Take ${len} bytes off the front. */
static void
drop_front(struct buf *b, size_t len)
{

	memmove(b->p, b->p + len, b->len - len);
	b->len -= len;
}

/* Hand out the whole lines at the start of ${b}; false when cb stopped. */
static bool
give_lines(struct buf *b, bool (*cb)(void *arg, const char *line, size_t len),
    void *arg)
{
	size_t from = 0;
	bool on = true;

	while (on && from < b->len) {
		const uint8_t *nl = memchr(b->p + from, '\n', b->len - from);
		const size_t len = nl == NULL ? 0 : (size_t)(nl - b->p) - from;

		if (nl == NULL)
			break;
		on = cb(arg, (const char *)b->p + from, len);
		from += len + 1;
	}
	if (from > 0)
		drop_front(b, from);
	return on;
}

/* Drop the rest of a line; false when its end is not here yet. */
static bool
skip_rest(struct buf *b)
{
	const uint8_t *nl = b->len == 0 ? NULL : memchr(b->p, '\n', b->len);

	if (nl == NULL)
		b->len = 0;
	else
		drop_front(b, (size_t)(nl - b->p) + 1);
	return nl != NULL;
}

enum err
audit_lines(int fd, uint64_t off, uint64_t end,
    bool (*cb)(void *arg, const char *line, size_t len), void *arg)
{
	struct buf b CLEANUP_BUF = { 0 };
	uint8_t *chunk CLEANUP_FREE = malloc(CHUNK);
	bool skip = false; /* inside a line whose start was handed out */

	if (chunk == NULL)
		return ERR_NOMEM;
	buf_init(&b, AUDIT_LINE_MAX + CHUNK);
	while (off < end) {
		const size_t n =
		    end - off < CHUNK ? (size_t)(end - off) : CHUNK;

		TRY(sys_pread_full(fd, chunk, n, off));
		off += n;
		TRY(buf_put(&b, chunk, n));
		if (skip && !skip_rest(&b))
			continue;
		skip = false;
		if (!give_lines(&b, cb, arg))
			return OK;
		if (b.len <= AUDIT_LINE_MAX)
			continue;
		if (!cb(arg, (const char *)b.p, b.len))
			return OK;
		b.len = 0;
		skip = true;
	}
	return OK;
}

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
say_short(const struct kms *k)
{

	log_error("%s-audit.log was removed or cut short; put it back if you "
		  "can, and run \"ssefs audit verify\"",
	    k->path);
}

/* The log's lines and its name to the disk: before the head says so. */
static enum err
log_sync(struct kms *k, int fd)
{

	if (sys->fdatasync(fd) != 0)
		return err_from_errno(errno);
	/* Also of a log that is there already: whoever made it may have died
	 * before this. */
	if (!k->audit.named)
		TRY(sys_sync_parent(k->path));
	k->audit.named = true;
	return OK;
}

/* Take in what a crash left behind the head.  Inside the write transaction. */
static enum err
recover(struct kms *k, int fd)
{
	struct kdb_tx tx CLEANUP_TX = { NULL };
	struct audit_head h;
	uint64_t size, old;
	bool foreign;

	TRY(kdb_begin(&k->db, &tx));
	TRY(audit_head_load(k, &h));
	TRY(log_size(fd, &size));
	if (size <= h.size)
		return OK;
	old = h.size;
	TRY(audit_take_in(k, fd, size, &h, &foreign));
	if (h.size == old)
		return OK;
	/* Lines of a process that was killed may not be on the disk yet. */
	TRY(log_sync(k, fd));
	TRY(head_store(k, &h));
	return kdb_commit(&tx);
}

enum err
audit_recover(struct kms *k)
{
	int fd CLEANUP_SYSFD = -1;
	struct audit_head h;
	uint64_t size;
	enum err e = audit_log_open(k, false, &fd);

	if (e != OK && e != ERR_NOENT)
		return e;
	TRY(log_size(fd, &size));
	TRY(audit_head_load(k, &h));
	if (size < h.size)
		say_short(k);
	return size > h.size ? recover(k, fd) : OK;
}

/* The log is shorter than it was: leave a gap of zeros that ends as a line. */
static enum err
bridge_gap(struct kms *k, int fd, const struct audit_head *h)
{

	say_short(k);
	return sys_pwrite_full(fd, "\n", 1, h->size - 1);
}

/* Lines that are not ours stand behind the head: go on after them. */
static enum err
pass_foreign(struct kms *k, int fd, uint64_t size, struct audit_head *h)
{
	uint8_t last;

	log_error("%s-audit.log: somebody without the keystore appended to "
		  "it; run \"ssefs audit verify\"",
	    k->path);
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
	log_warn("%s-audit.log: %llu bytes that were never acknowledged are "
		 "cut off",
	    k->path, (unsigned long long)(size - h->size));
	return sys->ftruncate(fd, (off_t)h->size) == 0 ? OK
						       : err_from_errno(errno);
}

/* ---- Flushing ----------------------------------------------------------- */

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

/* Put the record ${item}, the ${n}th of this open keystore, as the line after
 * ${h} and move ${h} on. */
static enum err
make_line(const struct kms *k, const uint8_t *item, uint64_t n,
    struct audit_head *h, struct audit_text_out *out)
{
	char *const start = out->p;
	uint8_t mac[SHA256_LEN];

	memcpy(out->p, SEQ_START, sizeof(SEQ_START) - 1);
	out->p = put_number(out->p + sizeof(SEQ_START) - 1, h->seq + 1);
	*out->p++ = ',';
	TRY(audit_body(out, item, k->region, k->audit.id_base, n));
	line_mac(k->audit.chain, h, h->seq + 1, start, (size_t)(out->p - start),
	    mac);
	memcpy(out->p, ",\"mac\":\"", 8);
	hex_encode(mac, sizeof(mac), out->p + 8);
	memcpy(out->p + AUDIT_MAC_MEMBER - 1, "\"}\n", 3);
	out->p += AUDIT_MAC_MEMBER + 2;
	h->seq++;
	h->size += (uint64_t)(out->p - start);
	memcpy(h->mac, mac, SHA256_LEN);
	return OK;
}

/* Write the records that are in hand behind ${h} and move ${h} on. */
static enum err
write_lines(const struct kms *k, int fd, struct audit_head *h)
{
	const struct buf *in = &k->audit.writing;
	char *text CLEANUP_FREE = malloc(CHUNK + AUDIT_LINE_MAX);
	struct audit_text_out out = { .p = text };
	uint64_t off = h->size, n = atomic_load(&k->audit.durable);
	size_t from = 0, len;

	if (text == NULL)
		return ERR_NOMEM;
	out.end = text + CHUNK + AUDIT_LINE_MAX;
	while (from < in->len) {
		len = audit_item_size(in->p + from, in->len - from);
		if (len == 0)
			return ERR_INTERNAL;
		TRY(make_line(k, in->p + from, n++, h, &out));
		from += len;
		if (out.p < text + CHUNK && from < in->len)
			continue;
		len = (size_t)(out.p - text);
		TRY(sys_pwrite_full(fd, text, len, off));
		off += len;
		out.p = text;
	}
	return OK;
}

static enum err
write_out(struct kms *k)
{
	int fd CLEANUP_SYSFD = -1;
	struct kdb_tx tx CLEANUP_TX = { NULL };
	struct audit_head h;

	TRY(audit_log_open(k, true, &fd));
	TRY(kdb_begin(&k->db, &tx));
	TRY(audit_head_load(k, &h));
	TRY(make_ready(k, fd, &h));
	k->audit.torn = true;
	TRY(write_lines(k, fd, &h));
	TRY(log_sync(k, fd));
	TRY(head_store(k, &h));
	TRY(kdb_commit(&tx));
	k->audit.torn = false;
	return OK;
}

enum err
audit_flush(struct kms *k)
{
	struct audit *a = &k->audit;
	struct buf swap;
	enum err e;

	lock_assert_held(RANK_KMS);
	if (a->writing.len == 0) {
		lock_take(&a->l);
		swap = a->writing;
		a->writing = a->pending;
		a->pending = swap;
		a->writing_made = atomic_load(&a->made);
		lock_drop(&a->l);
	}
	if (a->writing.len == 0)
		return OK;
	TRY(kdb_settle(&k->db));
	TRY(kdb_exec(&k->db, "PRAGMA synchronous=NORMAL"));
	e = write_out(k);
	if (e == OK) {
		a->writing.len = 0;
		atomic_store(&a->durable, a->writing_made);
	}
	TRY(kdb_exec(&k->db, "PRAGMA synchronous=FULL"));
	return e;
}
