/*
 * What else is read of an audit log: checkpoints, keys, names of segments, and
 * what a filter looks for.
 *
 * Input, by its first byte:
 *   0  a checkpoint's text
 *   1  a key's line
 *   2  where the mac begins (2 bytes) and a line that may hold a checkpoint
 *   3  the name of a file
 *   4  event, user, key, time, a NUL after each, and a line
 *   5  lines, followed without a keystore; the key is the one of these files
 */
#include "kms/audit.h"
#include "kms/audit_chain.h"
#include "kms/audit_check.h"

#include "tests/fuzz/fuzz.h"

static void
mark(const struct feed *f)
{
	char *text CLEANUP_FREE = (char *)exact(f->p, f->len);
	char again[AUDIT_MARK_MAX];
	struct audit_mark m;

	if (audit_mark_parse(text, f->len, &m) != OK)
		return;
	HOLDS(audit_mark_print(&m, again) == f->len);
	HOLDS(memcmp(again, text, f->len) == 0);
}

static void
key(const struct feed *f)
{
	char *text CLEANUP_FREE = (char *)exact(f->p, f->len);
	char again[AUDIT_KEY_MAX];
	struct audit_key k;

	if (audit_key_parse(text, f->len, &k) != OK)
		return;
	HOLDS(k.n > 0);
	audit_key_print(&k, again);
	HOLDS(strlen(again) == f->len && memcmp(again, text, f->len) == 0);
}

static void
find(struct feed *f)
{
	const size_t at = (size_t)feed_int(f, 2);
	char *line CLEANUP_FREE = (char *)exact(f->p, f->len);
	const size_t body = at < f->len ? at : f->len;
	uint8_t sig[SIGN_SIGNATURE];
	const char *text = NULL;
	struct audit_mark m;
	size_t len = 0;

	if (!audit_mark_find(line, body, &m, &text, &len, sig))
		return;
	HOLDS(text > line && text + len < line + body);
	HOLDS(memchr(text, '"', len) == NULL);
	HOLDS(text[-1] == '"' && text[len] == '"');
}

static void
name(const struct feed *f)
{
	char *s CLEANUP_FREE = malloc(f->len + 1);
	char again[64];
	uint64_t n = 0;

	HOLDS(s != NULL);
	memcpy(s, f->p, f->len);
	s[f->len] = '\0';
	if (!audit_segment_name(s, "keys.db", &n))
		return;
	HOLDS(n > 0);
	if (n == 1)
		(void)snprintf(again, sizeof(again), "keys.db-audit.log");
	else
		(void)snprintf(again, sizeof(again), "keys.db-audit.log.%llu",
		    (unsigned long long)n);
	HOLDS(strcmp(again, s) == 0);
}

/* The next string of the input, with its NUL. */
static char *
word(struct feed *f)
{
	const uint8_t *end = f->len == 0 ? NULL : memchr(f->p, '\0', f->len);
	const size_t n = end == NULL ? 0 : (size_t)(end - f->p);
	char *s = malloc(n + 1);

	HOLDS(s != NULL);
	memcpy(s, f->p, n);
	s[n] = '\0';
	f->p += end == NULL ? 0 : n + 1;
	f->len -= end == NULL ? 0 : n + 1;
	return (s);
}

static void
filter(struct feed *f)
{
	char *event CLEANUP_FREE = word(f);
	char *user CLEANUP_FREE = word(f);
	char *arn CLEANUP_FREE = word(f);
	char *time CLEANUP_FREE = word(f);
	char *line CLEANUP_FREE = (char *)exact(f->p, f->len);
	struct audit_filter all = { .event = NULL }, some = { .event = NULL };

	HOLDS(audit_filter_match(&all, line, f->len));
	some.event = event[0] == '\0' ? NULL : event;
	some.user = user[0] == '\0' ? NULL : user;
	some.key = arn[0] == '\0' ? NULL : arn;
	if (strlen(time) == AUDIT_TIME_LEN)
		memcpy(some.since, time, AUDIT_TIME_LEN + 1);
	if (!audit_filter_match(&some, line, f->len))
		return;
	HOLDS(some.event == NULL ||
	      memmem(line, f->len, event, strlen(event)) != NULL);
	HOLDS(
	    some.key == NULL || memmem(line, f->len, arn, strlen(arn)) != NULL);
}

static enum err
some_key(void *arg UNUSED, uint64_t n, struct audit_key *ret)
{
	if (n > 2)
		return (ERR_NOENT);
	*ret = (struct audit_key){ .n = n, .first = n == 1 ? 1 : 9 };
	return (OK);
}

static void
bad(void *arg, uint64_t seq UNUSED, const char *file, const char *what)
{
	unsigned *n = arg;

	HOLDS(file != NULL && what[0] != '\0');
	++*n;
}

/* Without a signature that fits nothing is vouched for. */
static void
follow(struct feed *f)
{
	static const uint8_t uuid[UUID_LEN];
	struct audit_verdict v = { .records = 0 };
	unsigned n = 0;
	uint64_t lines = 0;
	struct audit_check c = { .uuid = uuid,
		.key = some_key,
		.bad = bad,
		.arg = &n,
		.file = "x",
		.v = &v };

	while (f->len > 0) {
		const uint8_t *nl = memchr(f->p, '\n', f->len);
		const size_t len = nl == NULL ? f->len : (size_t)(nl - f->p);
		char *line CLEANUP_FREE = (char *)exact(f->p, len);

		audit_check_line(&c, line, len);
		lines++;
		f->p += len + (nl == NULL ? 0 : 1);
		f->len -= len + (nl == NULL ? 0 : 1);
	}
	audit_check_end(&c);
	HOLDS(v.bad == n && v.records <= lines && c.sealed == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };

	switch (feed_int(&f, 1) % 6) {
	case 0:
		mark(&f);
		break;
	case 1:
		key(&f);
		break;
	case 2:
		find(&f);
		break;
	case 3:
		name(&f);
		break;
	case 4:
		filter(&f);
		break;
	default:
		follow(&f);
		break;
	}
	return (0);
}
