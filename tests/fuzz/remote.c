/*
 * Answers of a remote key service (kms/remote_wire): whatever it sends, what is
 * taken is what it said, and nothing of a plaintext stays behind a refusal.
 *
 * Input: a byte of what was asked, two of a status, the body.
 */
#include "kms/remote_wire.h"

#include "tests/fuzz/fuzz.h"

static const char key[] = "arn:aws:kms:us-east-1:1:key/a";

static void
bytes(uint8_t *body, size_t len, bool plain)
{
	uint8_t out[48];
	size_t n = 0;
	const enum err e =
	    plain ? wire_plain(body, len, key, out, sizeof(out), &n)
		  : wire_blob(body, len, key, out, sizeof(out), &n);

	if (e == OK) {
		HOLDS(n > 0 && n <= sizeof(out));
		return;
	}
	HOLDS(e == ERR_IO || e == ERR_LIMIT || (plain && e == ERR_AUTH));
	for (size_t i = 0; i < sizeof(out); i++)
		HOLDS(out[i] == 0);
}

static void
usable(uint8_t *body, size_t len)
{
	char arn[WIRE_KEY_MAX + 1];
	struct buf b CLEANUP_BUF = { 0 };

	if (wire_usable(body, len, arn) != OK)
		return;
	HOLDS(strlen(arn) > 0 && strlen(arn) <= WIRE_KEY_MAX);
	buf_init(&b, WIRE_BODY_MAX);
	HOLDS(wire_key(&b, arn) == OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const unsigned what = (unsigned)feed_int(&f, 1);
	const long status = (long)feed_int(&f, 2);
	uint8_t *body CLEANUP_FREE = exact(f.p, f.len);

	switch (what % 4) {
	case 0:
		bytes(body, f.len, true);
		break;
	case 1:
		bytes(body, f.len, false);
		break;
	case 2:
		usable(body, f.len);
		break;
	default: {
		const enum err e = wire_error(status, body, f.len);

		HOLDS(e != OK);
		for (const char *s = err_detail(e); *s != '\0'; s++)
			HOLDS(*s >= ' ' && *s <= '~');
		(void)wire_throttled(status, body, f.len);
		break;
	}
	}
	return (0);
}
