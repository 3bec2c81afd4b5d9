/*
 * The chains of the audit log.
 *
 * A line is
 *	{"seq":N,BODY,"mac":"64 hexadecimal digits"}
 * and with SUM = SHA-256 of {"seq":N,BODY}
 *	mac  = HMAC-SHA-256(chain key, mac of the line before || u64 N || SUM)
 *	link = SHA-256(link of the line before || mac || SUM)
 * with zeros before the first line.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/buf.h"

#include "kms/audit_chain.h"
#include "kms/sysfd.h"

#define CHUNK 65536
#define SEQ_START "{\"seq\":"

void
audit_line_mac(const struct hmac_key *chain, const struct audit_head *h,
    uint64_t seq, const uint8_t sum[static SHA256_LEN],
    uint8_t ret[static SHA256_LEN])
{
	uint8_t text[SHA256_LEN + 8 + SHA256_LEN];

	memcpy(text, h->mac, SHA256_LEN);
	put_u64(text + SHA256_LEN, seq);
	memcpy(text + SHA256_LEN + 8, sum, SHA256_LEN);
	hmac_short(chain, text, sizeof(text), ret);
}

void
audit_head_pass(struct audit_head *h, const struct audit_split *s, size_t len)
{
	struct sha256_ctx c;

	if (s->seq >= h->from) {
		sha256_begin(&c);
		sha256_add(&c, h->link, SHA256_LEN);
		sha256_add(&c, s->mac, SHA256_LEN);
		sha256_add(&c, s->sum, SHA256_LEN);
		sha256_end(&c, h->link);
	}
	h->seq = s->seq;
	h->size += len + 1;
	memcpy(h->mac, s->mac, SHA256_LEN);
}

static void
line_sum(const char *line, size_t body, uint8_t ret[static SHA256_LEN])
{
	struct sha256_ctx c;

	sha256_begin(&c);
	sha256_add(&c, line, body);
	sha256_add(&c, "}", 1);
	sha256_end(&c, ret);
}

/* All but the sum. */
static bool
split(const char *line, size_t len, struct audit_split *ret)
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
	ret->body = len - tail;
	ret->seq = seq;
	line += len - tail;
	if (memcmp(line, ",\"mac\":\"", 8) != 0 ||
	    memcmp(line + tail - 2, "\"}", 2) != 0 ||
	    hex_decode(line + 8, sizeof(spelt) - 1, ret->mac, SHA256_LEN) != OK)
		return false;
	/* No mac covers the mac's own digits: they have one spelling. */
	hex_encode(ret->mac, SHA256_LEN, spelt);
	return memcmp(line + 8, spelt, sizeof(spelt) - 1) == 0;
}

bool
audit_line_split(const char *line, size_t len, struct audit_split *ret)
{

	if (!split(line, len, ret))
		return false;
	line_sum(line, ret->body, ret->sum);
	return true;
}

bool
audit_line_check(const struct hmac_key *chain, const char *line, size_t len,
    struct audit_head *h, const char **what)
{
	uint8_t good[SHA256_LEN];
	struct audit_split s;

	if (!split(line, len, &s)) {
		*what = "it is not an audit record";
		return false;
	}
	if (s.seq != h->seq + 1) {
		*what = s.seq > h->seq ? "a record before it is missing"
				       : "it is out of order";
		return false;
	}
	line_sum(line, s.body, s.sum);
	audit_line_mac(chain, h, s.seq, s.sum, good);
	if (secret_cmp(s.mac, good, SHA256_LEN) != 0) {
		*what = "it, or the record before it, was changed";
		return false;
	}
	audit_head_pass(h, &s, len);
	return true;
}

bool
audit_line_like(const char *line, size_t len)
{
	struct audit_split s;

	return split(line, len, &s) && memchr(line, '\0', len) == NULL;
}

/* ---- Reading -------------------------------------------------------------- */

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

/* Where a line that is longer than any record may go on, from ${off} on: whoever
 * makes a file long with nothing in it keeps no reader busy. */
static uint64_t
past_hole(int fd, uint64_t off, uint64_t end)
{
	const off_t data = sys->seek_data(fd, (off_t)off);

	if (data < 0)
		return errno == ENXIO ? end : off;
	return (uint64_t)data < end ? (uint64_t)data : end;
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
		if (skip)
			off = past_hole(fd, off, end);
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
