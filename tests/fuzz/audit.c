/*
 * The readers of the audit log.
 *
 * Input, by its first byte:
 *   0  one line that must not be taken for a record of the chain
 *   1  an edit (place, mask) and record bodies, a newline after each: a log is
 *      chained from them with a fixed key, and only records before the edit may
 *      verify
 *   2  runs (character, length / 64): a file to be cut into lines
 */
#include <errno.h>

#include "crypto/digest.h"
#include "kms/audit_log.h"
#include "lib/base/codec.h"
#include "lib/base/sys.h"

#include "tests/fuzz/fuzz.h"

#define LOG_MAX ((size_t)768 << 10)

static const struct hmac_key *
chain(void)
{
	static struct hmac_key k;

	hmac_key_set(&k, "a fixed chain key", 17);
	return (&k);
}

static void
one_line(const struct feed *f)
{
	char *line CLEANUP_FREE = (char *)exact(f->p, f->len);
	struct audit_head h = { .seq = 6, .size = 100 };
	const char *what = NULL;

	if (audit_line_like(line, f->len))
		HOLDS(f->len > AUDIT_MAC_MEMBER + 8 &&
		      line[f->len - 1] == '}' && line[f->len - 2] == '"');
	if (audit_line_check(chain(), line, f->len, &h, &what)) {
		HOLDS(h.seq == 7 && h.size == 100 + f->len + 1);
		HOLDS(audit_line_like(line, f->len) ||
		      memchr(line, '\0', f->len) != NULL);
	} else {
		HOLDS(h.seq == 6 && h.size == 100 && what != NULL);
	}
}

/* The one file there is, in memory: a search makes thousands a second. */
static const struct buf *file;

static ssize_t
file_pread(int fd, void *ret, size_t len, off_t off)
{
	const size_t at = (size_t)off;
	const size_t n = file->len - at < len ? file->len - at : len;

	HOLDS(fd == 7 && at <= file->len);
	memcpy(ret, file->p + at, n);
	return ((ssize_t)n);
}

/* As if all zeros were holes. */
static off_t
file_data(int fd, off_t off)
{
	size_t at = (size_t)off;

	HOLDS(fd == 7 && at <= file->len);
	while (at < file->len && file->p[at] == 0)
		at++;
	errno = ENXIO;
	return (at < file->len ? (off_t)at : -1);
}

/* audit_lines of ${b}. */
static enum err
file_lines(const struct buf *b,
    bool (*cb)(void *arg, const char *line, size_t len), void *arg)
{
	static struct sys_ops ops;

	ops = sys_linux;
	ops.pread = file_pread;
	ops.seek_data = file_data;
	file = b;
	sys_install(&ops);
	const enum err e = audit_lines(7, 0, b->len, cb, arg);

	sys_install(&sys_linux);
	return (e);
}

/* ---- A chain ------------------------------------------------------------ */

/* Append the record ${body} by the rule in kms/audit_log.c. */
static void
add_record(struct buf *log, const char *body, size_t len, uint64_t seq,
    uint8_t mac[static SHA256_LEN])
{
	uint8_t in[SHA256_LEN + 8 + SHA256_LEN];
	char text[2 * SHA256_LEN + 1];
	const size_t from = log->len;

	HOLDS(buf_printf(log, "{\"seq\":%llu,", (unsigned long long)seq) == OK);
	HOLDS(buf_put(log, body, len) == OK);
	HOLDS(buf_put(log, "}", 1) == OK);
	memcpy(in, mac, SHA256_LEN);
	put_u64(in + SHA256_LEN, seq);
	sha256(log->p + from, log->len - from, in + SHA256_LEN + 8);
	hmac_sha256("a fixed chain key", 17, in, sizeof(in), mac);
	log->len--;
	hex_encode(mac, SHA256_LEN, text);
	HOLDS(buf_printf(log, ",\"mac\":\"%s\"}\n", text) == OK);
}

struct walk {
	struct audit_head h;
	bool bad;
};

static bool
next_record(void *arg, const char *line, size_t len)
{
	struct walk *w = arg;
	const char *what;

	w->bad = !audit_line_check(chain(), line, len, &w->h, &what);
	return (!w->bad);
}

static void
chained(struct feed *f)
{
	struct buf log CLEANUP_BUF = { 0 };
	uint8_t mac[SHA256_LEN] = { 0 };
	struct walk w = { .bad = false };
	const size_t place = (size_t)feed_int(f, 2);
	const uint8_t mask = (uint8_t)feed_int(f, 1);
	uint64_t seq = 0, whole = 0;

	buf_init(&log, LOG_MAX);
	while (f->len > 0) {
		const uint8_t *nl = memchr(f->p, '\n', f->len);
		const size_t n = nl == NULL ? f->len : (size_t)(nl - f->p);
		char *body CLEANUP_FREE = (char *)exact(f->p, n);

		add_record(&log, body, n, ++seq, mac);
		whole += place >= log.len ? 1 : 0;
		f->p += n + (nl == NULL ? 0 : 1);
		f->len -= n + (nl == NULL ? 0 : 1);
	}
	if (seq == 0)
		return;
	if (place < log.len)
		log.p[place] ^= mask;
	const bool edited = place < log.len && mask != 0;

	HOLDS(file_lines(&log, next_record, &w) == OK);
	HOLDS(w.h.seq == (edited ? whole : seq));
	if (!edited)
		HOLDS(w.h.size == log.len && !w.bad &&
		      memcmp(w.h.mac, mac, SHA256_LEN) == 0);
}

/* ---- Lines -------------------------------------------------------------- */

struct cut {
	const uint8_t *p; /* what has not been handed out */
	size_t len;
};

/* Lines come in order and whole; of very long ones there is the start. */
static bool
next_line(void *arg, const char *line, size_t len)
{
	struct cut *c = arg;
	const uint8_t *nl = memchr(c->p, '\n', c->len);
	const size_t n = nl == NULL ? c->len : (size_t)(nl - c->p);

	HOLDS(len <= n && memcmp(line, c->p, len) == 0);
	HOLDS(len == n || len > AUDIT_LINE_MAX);
	HOLDS(nl != NULL || len > AUDIT_LINE_MAX);
	c->p += n + (nl == NULL ? 0 : 1);
	c->len -= n + (nl == NULL ? 0 : 1);
	return (true);
}

static void
lines(struct feed *f)
{
	struct buf text CLEANUP_BUF = { 0 };
	struct cut c;

	buf_init(&text, LOG_MAX);
	while (f->len > 0) {
		const uint8_t ch = (uint8_t)feed_int(f, 1);
		size_t n = (size_t)feed_int(f, 1);

		/* Short runs to the byte, long ones beyond a line's limit. */
		n = n < 128 ? n : (n - 127) * (n - 127) * 64;
		for (uint8_t run[64]; n > 0; n -= n < 64 ? n : 64) {
			memset(run, ch, sizeof(run));
			if (buf_put(&text, run, n < 64 ? n : 64) != OK)
				break;
		}
	}
	if (text.len == 0)
		return;
	c = (struct cut){ text.p, text.len };
	HOLDS(file_lines(&text, next_line, &c) == OK);
	HOLDS(c.len == 0 || memchr(c.p, '\n', c.len) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };

	switch (feed_int(&f, 1) % 3) {
	case 0:
		one_line(&f);
		break;
	case 1:
		chained(&f);
		break;
	default:
		lines(&f);
		break;
	}
	return (0);
}
