/*
 * Wrapped data keys, under a fixed master key.
 *
 * Input, first byte even: bytes that are no blob of ours, or were one.  Odd:
 * the key's uuid and version, the data key, a place and a mask, the value of
 * the context; a blob is sealed with these, the mask is applied at the place
 * (behind the blob: to the context), and only an unchanged one may open.
 */
#include "kms/blob.h"
#include "lib/base/buf.h"

#include "tests/fuzz/fuzz.h"

static const struct key zero;

static void
material(struct hmac_key *ret)
{
	static const uint8_t key[KEY_LEN] = "a fixed master key, for tests";

	hmac_key_set(ret, key, sizeof(key));
}

static enum err
open_blob(const uint8_t *blob, const char *value, struct key *ret)
{
	const struct kms_pair pair = { "ssefs:test", value };
	struct context c CLEANUP_CONTEXT = { .heap = NULL };
	struct hmac_key mat;

	material(&mat);
	HOLDS(context_make(&c, &pair, 1, BLOB_HEAD) == OK);
	return (blob_open(&mat, blob, &c, ret));
}

/* The id that was read is the one in the bytes, and the only one it is under. */
static void
under(const uint8_t *blob, size_t len, const struct blob_id *id)
{
	char text[UUID_STRLEN + 1], arn[64];

	HOLDS(len == BLOB_LEN);
	HOLDS(memcmp(id->uuid, blob + 8, UUID_LEN) == 0);
	HOLDS(id->version == get_u32(blob + 24));
	uuid_format(id->uuid, text);
	(void)snprintf(arn, sizeof(arn), "arn:key/%s", text);
	HOLDS(kms_blob_under(blob, len, arn));
	arn[8] = arn[8] == '0' ? '1' : '0';
	HOLDS(!kms_blob_under(blob, len, arn));
}

static void
foreign(struct feed *f)
{
	uint8_t *blob CLEANUP_FREE = exact(f->p, f->len);
	struct blob_id id;
	struct key dek;
	const enum err e = blob_parse(blob, f->len, &id);

	HOLDS(e == OK || e == ERR_AUTH);
	if (e != OK)
		return;
	under(blob, f->len, &id);
	if (open_blob(blob, "", &dek) != OK)
		HOLDS(memcmp(&dek, &zero, sizeof(dek)) == 0);
}

static void
ours(struct feed *f)
{
	struct context c CLEANUP_CONTEXT = { .heap = NULL };
	uint8_t *blob CLEANUP_FREE = malloc(BLOB_LEN);
	struct blob_id id, back;
	struct hmac_key mat;
	struct key dek, got;

	HOLDS(blob != NULL);
	feed_bytes(f, id.uuid, sizeof(id.uuid));
	id.version = (uint32_t)feed_int(f, 4);
	feed_bytes(f, dek.b, sizeof(dek.b));
	const size_t at = (size_t)feed_int(f, 1);
	const uint8_t mask = (uint8_t)feed_int(f, 1);
	char *value CLEANUP_FREE = feed_str(f);
	const struct kms_pair pair = { "ssefs:test", value };

	if (context_make(&c, &pair, 1, BLOB_HEAD) != OK)
		return;
	material(&mat);
	HOLDS(blob_seal(&mat, &id, &c, &dek, blob) == OK);
	HOLDS(blob_parse(blob, BLOB_LEN, &back) == OK);
	HOLDS(memcmp(back.uuid, id.uuid, UUID_LEN) == 0);
	HOLDS(back.version == id.version);
	under(blob, BLOB_LEN, &back);
	HOLDS(open_blob(blob, value, &got) == OK);
	HOLDS(memcmp(&got, &dek, sizeof(got)) == 0);
	if (at < BLOB_LEN)
		blob[at] ^= mask;
	const bool changed =
	    at < BLOB_LEN ? mask != 0 : strcmp(value, "other") != 0;
	const enum err e =
	    open_blob(blob, at < BLOB_LEN ? value : "other", &got);

	HOLDS(e == (changed ? ERR_AUTH : OK));
	if (changed)
		HOLDS(memcmp(&got, &zero, sizeof(got)) == 0);
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
