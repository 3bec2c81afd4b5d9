/*
 * Canonical encryption contexts: read back they hold the pairs that were given,
 * sorted; the order in which they were given makes no difference.  Bytes that
 * read as a context are the ones that it is written as.
 *
 * Input: the room to leave, then keys and values, each with a NUL.
 */
#include "kms/context.h"
#include "kms/name.h"
#include "lib/base/buf.h"

#include "tests/fuzz/fuzz.h"

#define PAIRS 64

/* The string at *${p}, which must end before ${end}. */
static const uint8_t *
string(const uint8_t **p, const uint8_t *end, size_t *ret_len)
{
	const uint8_t *s;

	HOLDS(end - *p >= 4);
	*ret_len = get_u32(*p);
	s = *p + 4;
	HOLDS(*ret_len <= (size_t)(end - s));
	*p = s + *ret_len;
	return (s);
}

static bool
same(const char *a, const uint8_t *b, size_t len)
{
	return (strlen(a) == len && memcmp(a, b, len) == 0);
}

static void
given(const struct kms_pair *ctx, size_t n, const uint8_t *key, size_t klen,
    const uint8_t *value, size_t vlen)
{
	unsigned found = 0;

	for (size_t i = 0; i < n; i++)
		if (same(ctx[i].key, key, klen)) {
			HOLDS(same(ctx[i].value, value, vlen));
			found++;
		}
	HOLDS(found == 1);
}

static void
sound(const struct context *c, const struct kms_pair *ctx, size_t n)
{
	const uint8_t *p = c->p, *end = c->p + c->len;
	const uint8_t *last = NULL;
	size_t lastlen = 0;

	HOLDS(c->len >= 8 && c->len <= KMS_CONTEXT_MAX);
	HOLDS(memcmp(p, "ctx1", 4) == 0 && get_u32(p + 4) == n);
	p += 8;
	for (size_t i = 0; i < n; i++) {
		size_t klen, vlen;
		const uint8_t *key = string(&p, end, &klen);
		const uint8_t *value = string(&p, end, &vlen);

		given(ctx, n, key, klen, value, vlen);
		if (last != NULL) {
			const size_t m = klen < lastlen ? klen : lastlen;
			const int d = memcmp(last, key, m);

			HOLDS(d < 0 || (d == 0 && lastlen < klen));
		}
		last = key;
		lastlen = klen;
	}
	HOLDS(p == end);
}

/* Bytes of anybody's: what is read from them is written as them. */
static bool
read_back(const uint8_t *p, size_t len, size_t *ret_n)
{
	uint8_t *in CLEANUP_FREE = exact(p, len);
	char *room CLEANUP_FREE = malloc(len + 1);
	struct context c CLEANUP_CONTEXT = { .heap = NULL };
	struct kms_pair pairs[PAIRS];

	HOLDS(room != NULL);
	room[len] = '\1';
	const enum err e = context_read(in, len, pairs, PAIRS, room, ret_n);

	HOLDS(e == OK || e == ERR_PARSE || e == ERR_LIMIT);
	HOLDS(room[len] == '\1');
	if (e != OK)
		return (false);
	HOLDS(context_make(&c, pairs, *ret_n, 0) == OK);
	HOLDS(c.len == len && memcmp(c.p, in, len) == 0);
	return (true);
}

/* There must be a reason to refuse. */
static bool
refusable(const struct kms_pair *ctx, size_t n)
{
	size_t len = 8;

	for (size_t i = 0; i < n; i++) {
		len += 8 + strlen(ctx[i].key) + strlen(ctx[i].value);
		if (!name_utf8_ok(ctx[i].key) || !name_utf8_ok(ctx[i].value))
			return (true);
		for (size_t j = 0; j < i; j++)
			if (strcmp(ctx[i].key, ctx[j].key) == 0)
				return (true);
	}
	return (len > KMS_CONTEXT_MAX);
}

static void
check(const struct kms_pair *ctx, size_t n, size_t room)
{
	struct context a CLEANUP_CONTEXT = { .heap = NULL };
	struct context b CLEANUP_CONTEXT = { .heap = NULL };
	struct kms_pair back[PAIRS];
	size_t m = 0;
	const enum err e = context_make(&a, ctx, n, room);

	HOLDS(e == (refusable(ctx, n) ? ERR_INVAL : OK));
	if (e != OK)
		return;
	memset(a.p - room, 0xff, room);
	sound(&a, ctx, n);
	for (size_t i = 0; i < n; i++)
		back[i] = ctx[n - 1 - i];
	HOLDS(context_make(&b, back, n, 0) == OK);
	HOLDS(a.len == b.len && memcmp(a.p, b.p, a.len) == 0);
	HOLDS(read_back(a.p, a.len, &m) && m == n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const size_t room = (size_t)feed_int(&f, 1);
	struct kms_pair ctx[PAIRS];
	char *s[2 * PAIRS];
	size_t n = 0, m;

	(void)read_back(data, len, &m);
	for (; n < PAIRS && f.len > 0; n++) {
		s[2 * n] = feed_str(&f);
		s[2 * n + 1] = feed_str(&f);
		ctx[n] = (struct kms_pair){ s[2 * n], s[2 * n + 1] };
	}
	check(ctx, n, room);
	for (size_t i = 0; i < 2 * n; i++)
		free(s[i]);
	return (0);
}
