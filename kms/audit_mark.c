/*
 * Checkpoints and keys as text: one spelling each, so that what is signed is
 * the text itself and other tools can check it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kms/audit_chain.h"

#define MARK_WORD "ssefs-audit-1"
#define KEY_WORD "ssefs-audit-key-1"

/* ---- Reading fields ------------------------------------------------------- */

struct fields {
	const char *p, *end;
	bool bad;
};

/* The next field, which has ${len} bytes, or any number when 0. */
static const char *
field(struct fields *f, size_t *len)
{
	const char *const at = f->p;
	const char *space;

	if (f->bad || at >= f->end) {
		f->bad = true;
		return NULL;
	}
	space = memchr(at, ' ', (size_t)(f->end - at));
	if (space == NULL)
		space = f->end;
	if (*len != 0 && (size_t)(space - at) != *len) {
		f->bad = true;
		return NULL;
	}
	*len = (size_t)(space - at);
	f->p = space + 1;
	return at;
}

static void
word(struct fields *f, const char *want)
{
	size_t len = strlen(want);
	const char *s = field(f, &len);

	if (s == NULL || memcmp(s, want, len) != 0)
		f->bad = true;
}

static uint64_t
number(struct fields *f)
{
	size_t len = 0;
	const char *s = field(f, &len);
	uint64_t v = 0;

	if (s == NULL || len == 0 || len > 18) {
		f->bad = true;
		return 0;
	}
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			f->bad = true;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	return v;
}

static void
bytes(struct fields *f, uint8_t *ret, size_t n)
{
	size_t len = 2 * n;
	const char *s = field(f, &len);

	if (s == NULL || hex_decode(s, len, ret, n) != OK)
		f->bad = true;
}

static void
uuid(struct fields *f, uint8_t ret[static UUID_LEN])
{
	size_t len = UUID_STRLEN;
	const char *s = field(f, &len);

	if (s == NULL || uuid_parse(s, len, ret) != OK)
		f->bad = true;
}

/* ---- Checkpoints ------------------------------------------------------------ */

size_t
audit_mark_print(const struct audit_mark *m, char ret[static AUDIT_MARK_MAX])
{
	char id[UUID_STRLEN + 1], mac[2 * SHA256_LEN + 1];
	char link[2 * SHA256_LEN + 1], next[2 * SIGN_PUBLIC + 1] = "-";

	uuid_format(m->uuid, id);
	hex_encode(m->mac, SHA256_LEN, mac);
	hex_encode(m->link, SHA256_LEN, link);
	if (m->has_next)
		hex_encode(m->next, SIGN_PUBLIC, next);
	return (size_t)snprintf(ret, AUDIT_MARK_MAX,
	    MARK_WORD " %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64
		      " %s %s %s",
	    id, m->seq, m->from, m->n, m->time, mac, link, next);
}

enum err
audit_mark_parse(const char *p, size_t len, struct audit_mark *ret)
{
	struct fields f = { p, p + len, false };
	struct audit_mark m = { .has_next = false };
	char again[AUDIT_MARK_MAX];

	if (len >= AUDIT_MARK_MAX)
		return ERR_PARSE;
	word(&f, MARK_WORD);
	uuid(&f, m.uuid);
	m.seq = number(&f);
	m.from = number(&f);
	m.n = number(&f);
	m.time = (int64_t)number(&f);
	bytes(&f, m.mac, SHA256_LEN);
	bytes(&f, m.link, SHA256_LEN);
	m.has_next = f.p < f.end && *f.p != '-';
	if (m.has_next)
		bytes(&f, m.next, SIGN_PUBLIC);
	else
		word(&f, "-");
	/* One spelling: no other case of digits, no zeros before a number. */
	if (f.bad || audit_mark_print(&m, again) != len ||
	    memcmp(again, p, len) != 0)
		return ERR_PARSE;
	*ret = m;
	return OK;
}

bool
audit_mark_find(const char *line, size_t body, struct audit_mark *ret,
    const char **ret_text, size_t *ret_len,
    uint8_t ret_sig[static SIGN_SIGNATURE])
{
	const size_t open = sizeof(AUDIT_MARK_OPEN) - 1;
	const size_t mid = sizeof(AUDIT_MARK_MID) - 1;
	const size_t close = sizeof(AUDIT_MARK_CLOSE) - 1;
	const size_t tail = mid + 2 * SIGN_SIGNATURE + close;
	const char *from, *at;
	char spelt[2 * SIGN_SIGNATURE + 1];

	if (body < open + tail)
		return false;
	at = line + body - tail;
	if (memcmp(at, AUDIT_MARK_MID, mid) != 0 ||
	    memcmp(line + body - close, AUDIT_MARK_CLOSE, close) != 0 ||
	    hex_decode(at + mid, 2 * SIGN_SIGNATURE, ret_sig, SIGN_SIGNATURE) !=
		OK)
		return false;
	hex_encode(ret_sig, SIGN_SIGNATURE, spelt);
	if (memcmp(at + mid, spelt, sizeof(spelt) - 1) != 0)
		return false;
	/* Back to where the text begins, which has no quote in it. */
	from = memrchr(line, '"', (size_t)(at - line));
	if (from == NULL || (size_t)(from + 1 - line) < open ||
	    memcmp(from + 1 - open, AUDIT_MARK_OPEN, open) != 0)
		return false;
	*ret_text = from + 1;
	*ret_len = (size_t)(at - *ret_text);
	return audit_mark_parse(*ret_text, *ret_len, ret) == OK;
}

/* ---- Keys --------------------------------------------------------------------- */

size_t
audit_key_text(const struct audit_key *key, char ret[static AUDIT_KEY_MAX])
{
	char id[UUID_STRLEN + 1], public[2 * SIGN_PUBLIC + 1];

	uuid_format(key->uuid, id);
	hex_encode(key->public, SIGN_PUBLIC, public);
	return (size_t)snprintf(ret, AUDIT_KEY_MAX,
	    KEY_WORD " %s %" PRIu64 " %" PRIu64 " %s", id, key->n, key->first,
	    public);
}

void
audit_key_print(const struct audit_key *key, char ret[static AUDIT_KEY_MAX])
{
	const size_t len = audit_key_text(key, ret);
	char sig[2 * SIGN_SIGNATURE + 1];

	hex_encode(key->sig, SIGN_SIGNATURE, sig);
	(void)snprintf(ret + len, AUDIT_KEY_MAX - len, " %s", sig);
}

enum err
audit_key_parse(const char *p, size_t len, struct audit_key *ret)
{
	struct fields f = { p, p + len, false };
	struct audit_key key = { .n = 0 };
	char again[AUDIT_KEY_MAX];

	if (len >= AUDIT_KEY_MAX)
		return ERR_PARSE;
	word(&f, KEY_WORD);
	uuid(&f, key.uuid);
	key.n = number(&f);
	key.first = number(&f);
	bytes(&f, key.public, SIGN_PUBLIC);
	bytes(&f, key.sig, SIGN_SIGNATURE);
	if (f.bad || key.n == 0)
		return ERR_PARSE;
	audit_key_print(&key, again);
	if (strlen(again) != len || memcmp(again, p, len) != 0)
		return ERR_PARSE;
	*ret = key;
	return OK;
}

enum err
audit_key_check(
    const struct audit_key *key, const uint8_t by[static SIGN_PUBLIC])
{
	char text[AUDIT_KEY_MAX];
	const size_t len = audit_key_text(key, text);

	return sign_check(by, text, len, key->sig);
}
