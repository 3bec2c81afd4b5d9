/* Hexadecimal, base64 and UUID text: one value has one spelling. */
#include <ctype.h>

#include "lib/base/codec.h"

#include "tests/fuzz/fuzz.h"

static void
hex(const char *s, size_t len)
{
	uint8_t *out CLEANUP_FREE = malloc(len / 2);
	char *back CLEANUP_FREE = malloc(len + 1);
	bool good = len % 2 == 0;

	for (size_t i = 0; i < len; i++)
		good = good && isxdigit((unsigned char)s[i]) != 0;
	HOLDS((hex_decode(s, len, out, len / 2) == OK) == good);
	if (len >= 2)
		HOLDS(hex_decode(s, len, out, len / 2 - 1) == ERR_PARSE);
	if (!good)
		return;
	hex_encode(out, len / 2, back);
	HOLDS(strlen(back) == len);
	for (size_t i = 0; i < len; i++)
		HOLDS(back[i] == tolower((unsigned char)s[i]));
}

static void
b64(const char *s, size_t len)
{
	const size_t most = len / 4 * 3;
	uint8_t *out CLEANUP_FREE = malloc(most);
	size_t n = 0;

	if (b64_decode(s, len, out, most, &n) != OK)
		return;
	HOLDS(n <= most);
	uint8_t *again CLEANUP_FREE = malloc(n);
	char *back CLEANUP_FREE = malloc(B64_SIZE(n));
	size_t n2 = 0;

	b64_encode(out, n, back);
	HOLDS(strlen(back) == len && memcmp(back, s, len) == 0);
	HOLDS(b64_decode(s, len, again, n, &n2) == OK && n2 == n);
	if (n > 0)
		HOLDS(b64_decode(s, len, again, n - 1, &n2) == ERR_LIMIT);
}

static void
uuid(const char *s, size_t len)
{
	uint8_t id[UUID_LEN], again[UUID_LEN];
	char back[UUID_STRLEN + 1];

	if (uuid_parse(s, len, id) != OK)
		return;
	HOLDS(len == UUID_STRLEN);
	uuid_format(id, back);
	HOLDS(strncasecmp(back, s, len) == 0);
	HOLDS(uuid_parse(back, UUID_STRLEN, again) == OK);
	HOLDS(memcmp(id, again, UUID_LEN) == 0);
}

/* What was encoded decodes to itself. */
static void
encode(const uint8_t *p, size_t len)
{
	char *text CLEANUP_FREE = malloc(2 * len + B64_SIZE(len));
	uint8_t *out CLEANUP_FREE = malloc(len);
	size_t n = 0;

	hex_encode(p, len, text);
	HOLDS(hex_decode(text, 2 * len, out, len) == OK);
	HOLDS(len == 0 || memcmp(out, p, len) == 0);
	b64_encode(p, len, text);
	HOLDS(strlen(text) + 1 == B64_SIZE(len));
	HOLDS(b64_decode(text, strlen(text), out, len, &n) == OK);
	HOLDS(n == len && (len == 0 || memcmp(out, p, len) == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const unsigned what = (unsigned)feed_int(&f, 1);
	uint8_t *p CLEANUP_FREE = exact(f.p, f.len);

	switch (what % 4) {
	case 0:
		hex((const char *)p, f.len);
		break;
	case 1:
		b64((const char *)p, f.len);
		break;
	case 2:
		uuid((const char *)p, f.len);
		break;
	default:
		encode(p, f.len);
		break;
	}
	return (0);
}
