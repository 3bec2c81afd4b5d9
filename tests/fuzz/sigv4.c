/*
 * Signatures (crypto/sigv4): what a stranger sends is taken apart within bounds,
 * and whatever can be signed is verified as signed, and not when altered.
 *
 * Input: a byte of what to do, then strings, a NUL after each: an Authorization
 * header or a query; or a path, a query, a name and a value of a header.
 */
#include "crypto/sigv4.h"
#include "crypto/sigv4_internal.h"

#include "tests/fuzz/fuzz.h"

#define NOW 1440938160

static const struct sigv4_cred cred = { .access_key = "AKID",
	.secret = "secret",
	.secret_len = 6,
	.region = "us-east-1",
	.service = "kms" };

/* What was taken apart says the same again. */
static void
sound(const struct sigv4_auth *a)
{
	HOLDS(strlen(a->access_key) > 0 && strlen(a->date) == 8);
	HOLDS(strlen(a->region) > 0 && strlen(a->service) > 0);
	HOLDS(strlen(a->signed_headers) > 0);
	HOLDS(!a->presigned ||
	      (a->expires > 0 && a->expires <= SIGV4_EXPIRES_MAX));
}

static void
header(struct feed *f)
{
	uint8_t *text CLEANUP_FREE = exact(f->p, f->len);
	struct sigv4_auth a, b;
	char *again CLEANUP_FREE = NULL;
	char hex[2 * SHA256_LEN + 1];

	if (sigv4_parse_header((char *)text, f->len, &a) != OK)
		return;
	sound(&a);
	for (size_t i = 0; i < SHA256_LEN; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", a.signature[i]);
	HOLDS(asprintf(&again,
		  "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, "
		  "SignedHeaders=%s, Signature=%s",
		  a.access_key, a.date, a.region, a.service, a.signed_headers,
		  hex) > 0);
	HOLDS(sigv4_parse_header(again, strlen(again), &b) == OK);
	HOLDS(memcmp(&a, &b, sizeof(a)) == 0);
}

static void
query(struct feed *f)
{
	char *text CLEANUP_FREE = feed_str(f);
	struct sigv4_auth a;

	if (sigv4_parse_query(text, &a) == OK)
		sound(&a);
}

static void
whole(struct feed *f, bool s3)
{
	char *path CLEANUP_FREE = feed_str(f);
	char *q CLEANUP_FREE = feed_str(f);
	char *name CLEANUP_FREE = feed_str(f);
	char *value CLEANUP_FREE = feed_str(f);
	const struct sigv4_header h[] = { { "Host", "h" },
		{ "X-Amz-Date", "20150830T123600Z" }, { name, value } };
	struct sigv4_request r = { .method = "GET",
		.path = path,
		.query = q,
		.header = h,
		.nheaders = COUNTOF(h),
		.payload = SIGV4_UNSIGNED,
		.s3 = s3 };
	struct buf out CLEANUP_BUF = { 0 };
	struct sigv4_auth a;
	enum sigv4_why why = SIGV4_INCOMPLETE;

	buf_init(&out, SIGV4_TEXT_MAX);
	if (sigv4_sign(&r, &cred, NOW, &out) != OK)
		return;
	/* Names of headers that are none are signed, but not read. */
	if (sigv4_parse_header((char *)out.p, out.len, &a) != OK)
		return;
	const enum err e = sigv4_verify(&r, &a, &cred, NOW, 300, &why);
	HOLDS((e == OK) == (why == SIGV4_GOOD));
	if (e != OK) {
		HOLDS(e == ERR_ACCESS && why != SIGV4_SCOPE);
		return;
	}
	a.signature[0] ^= 0x80;
	HOLDS(sigv4_verify(&r, &a, &cred, NOW, 300, &why) == ERR_ACCESS);
	HOLDS(why == SIGV4_MISMATCH);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };

	switch (feed_int(&f, 1) % 4) {
	case 0:
		header(&f);
		break;
	case 1:
		query(&f);
		break;
	case 2:
		whole(&f, false);
		break;
	default:
		whole(&f, true);
		break;
	}
	return (0);
}
