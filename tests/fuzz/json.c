/*
 * Text to JSON strings, read back by jansson: what is UTF-8 comes back as it
 * was, what is not has U+FFFD in it, and nothing is ever malformed.
 */
#include <jansson.h>

#include "kms/name.h"
#include "lib/base/buf.h"

#include "tests/fuzz/fuzz.h"

static const char replacement[] = "\xef\xbf\xbd";

/* The text again as JSON must be ${same}. */
static void
settled(const char *text, size_t len, const struct buf *same)
{
	struct buf b CLEANUP_BUF = { 0 };

	buf_init(&b, same->len);
	HOLDS(buf_put_json(&b, text, len) == OK);
	HOLDS(b.len == same->len && memcmp(b.p, same->p, b.len) == 0);
}

/* One byte less room: refused, and nothing left behind. */
static void
too_little(const char *text, size_t len, size_t need)
{
	struct buf b CLEANUP_BUF = { 0 };

	buf_init(&b, need - 1 + 3);
	HOLDS(buf_put_str(&b, "abc") == OK);
	HOLDS(buf_put_json(&b, text, len) == ERR_LIMIT);
	HOLDS(b.len == 3 && strcmp((const char *)b.p, "abc") == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	char *s CLEANUP_FREE = malloc(len + 1);
	struct buf b CLEANUP_BUF = { 0 };
	json_error_t why;

	buf_init(&b, 6 * len + 2);
	HOLDS(buf_put_json(&b, text, len) == OK);
	too_little(text, len, b.len);
	json_t *j = json_loadb((const char *)b.p, b.len,
	    JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
	HOLDS(json_is_string(j));
	const char *v = json_string_value(j);
	const size_t n = json_string_length(j);

	settled(v, n, &b);
	HOLDS(s != NULL);
	if (len > 0)
		memcpy(s, text, len);
	s[len] = '\0';
	if (strlen(s) == len) {
		if (name_utf8_ok(s))
			HOLDS(n == len && memcmp(v, s, n) == 0);
		else
			HOLDS(strstr(v, replacement) != NULL);
		HOLDS(name_utf8_ok(v));
	}
	json_decref(j);
	return (0);
}
