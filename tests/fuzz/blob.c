/*
 * Wrapped data keys, under a fixed master key.
 *
 * Input, first byte even: bytes that are no blob of ours, or were one.  Odd:
 * the key's uuid and version, the data key, a place and a mask, the value of
 * the context, then a plaintext that is sealed instead of the data key, if
 * there is one; a blob is sealed with these, the mask is applied at the place
 * (behind the blob: to the context), and only an unchanged one may open.
 */
#include "kms/blob.h"
#include "lib/base/buf.h"

#include "tests/fuzz/fuzz.h"

static void
material(struct hmac_key *ret)
{
	static const uint8_t key[KEY_LEN] = "a fixed master key, for tests";

	hmac_key_set(ret, key, sizeof(key));
}

static enum err
open_blob(const uint8_t *blob, const struct blob_id *id, const char *value,
    uint8_t *ret)
{
	const struct kms_pair pair = { "ssefs:test", value };
	struct context c CLEANUP_CONTEXT = { .heap = NULL };
	struct hmac_key mat;

	material(&mat);
	HOLDS(context_make(&c, &pair, 1, BLOB_HEAD) == OK);
	return (blob_open(&mat, id, blob, &c, ret));
}

/* The id that was read is the one in the bytes, and the only one it is under. */
static void
under(const uint8_t *blob, size_t len, const struct blob_id *id)
{
	char text[UUID_STRLEN + 1], arn[64];

	HOLDS(id->size == len);
	HOLDS(id->suite == (enum blob_suite)blob[5]);
	if (id->suite == BLOB_SUITE_REMOTE)
		HOLDS(len > BLOB_HEAD && len <= BLOB_FAR_MAX);
	else
		HOLDS(len == BLOB_SIZE(id->len));
	HOLDS(id->len >= 1 && id->len <= BLOB_PLAIN_MAX);
	HOLDS(memcmp(id->uuid, blob + 8, UUID_LEN) == 0);
	HOLDS(id->version == get_u32(blob + 24));
	uuid_format(id->uuid, text);
	(void)snprintf(arn, sizeof(arn), "arn:key/%s", text);
	HOLDS(kms_blob_under(blob, len, arn));
	arn[8] = arn[8] == '0' ? '1' : '0';
	HOLDS(!kms_blob_under(blob, len, arn));
}

static bool
is_zero(const uint8_t *p, size_t len)
{

	while (len > 0 && p[len - 1] == 0)
		len--;
	return (len == 0);
}

/* Of a provider: the head is all that the id says, but for a nonce. */
static void
elsewhere(const uint8_t *blob, const struct blob_id *id)
{
	uint8_t head[BLOB_HEAD];

	blob_head(id, head);
	if (id->suite == BLOB_SUITE_P11)
		memcpy(head + BLOB_IV, blob + BLOB_IV, 12);
	HOLDS(memcmp(head, blob, sizeof(head)) == 0);
}

static void
foreign(struct feed *f)
{
	uint8_t *blob CLEANUP_FREE = exact(f->p, f->len);
	struct blob_id id;
	const enum err e = blob_parse(blob, f->len, &id);

	HOLDS(e == OK || e == ERR_AUTH);
	if (e != OK)
		return;
	under(blob, f->len, &id);
	if (id.suite != BLOB_SUITE_LOCAL) {
		elsewhere(blob, &id);
		return;
	}
	uint8_t *plain CLEANUP_FREE = malloc(id.len);
	HOLDS(plain != NULL);
	if (open_blob(blob, &id, "", plain) != OK)
		HOLDS(is_zero(plain, id.len));
}

static void
ours(struct feed *f)
{
	struct context c CLEANUP_CONTEXT = { .heap = NULL };
	uint8_t key[KEY_LEN];
	struct blob_id id, back;
	struct hmac_key mat;

	feed_bytes(f, id.uuid, sizeof(id.uuid));
	id.version = (uint32_t)feed_int(f, 4);
	feed_bytes(f, key, sizeof(key));
	size_t at = (size_t)feed_int(f, 1);
	const uint8_t mask = (uint8_t)feed_int(f, 1);
	char *value CLEANUP_FREE = feed_str(f);
	const struct kms_pair pair = { "ssefs:test", value };
	const size_t most = BLOB_PLAIN_MAX;

	id.len = f->len == 0 ? sizeof(key) : f->len < most ? f->len : most;
	uint8_t *plain CLEANUP_FREE = exact(f->len == 0 ? key : f->p, id.len);
	const size_t size = BLOB_SIZE(id.len);
	uint8_t *blob CLEANUP_FREE = malloc(size);
	uint8_t *got CLEANUP_FREE = malloc(id.len);

	HOLDS(blob != NULL && got != NULL);
	if (context_make(&c, &pair, 1, BLOB_HEAD) != OK)
		return;
	material(&mat);
	HOLDS(blob_seal(&mat, &id, &c, plain, blob) == OK);
	HOLDS(blob_parse(blob, size, &back) == OK);
	HOLDS(memcmp(back.uuid, id.uuid, UUID_LEN) == 0);
	HOLDS(back.version == id.version && back.len == id.len);
	under(blob, size, &back);
	HOLDS(open_blob(blob, &id, value, got) == OK);
	HOLDS(memcmp(got, plain, id.len) == 0);
	/* One byte of the input finds its way to every part of a long one. */
	if (size > BLOB_LEN)
		at = at * size / BLOB_LEN;
	if (at < size)
		blob[at] ^= mask;
	const bool changed =
	    at < size ? mask != 0 : strcmp(value, "other") != 0;
	const enum err e =
	    open_blob(blob, &id, at < size ? value : "other", got);

	HOLDS(e == (changed ? ERR_AUTH : OK));
	if (changed)
		HOLDS(is_zero(got, id.len));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };

	if (feed_int(&f, 1) % 2 == 0)
		foreign(&f);
	else
		ours(&f);
	return (0);
}
