/*
 * Data keys: the calls on the path of every file that is made or opened.
 * None of them touches SQLite, save now and then one under a key in a token
 * (far.c).
 */
#include <string.h>

#include "crypto/rand.h"
#include "lib/base/log.h"

#include "kms/blob.h"
#include "kms/far.h"
#include "kms/gate.h"
#include "kms/message.h"
#include "kms/kms_internal.h"

/* A provider's arguments. */
struct data {
	const uint8_t *blob;
	size_t bloblen;
	struct key *dek;
	uint8_t *ret_blob;
	size_t *ret_bloblen;
	/* rewrap only */
	const char *keyname;
	const struct kms_pair *ctx;
	size_t nctx;
	const char *same; /* kms:ReEncryptOnSameKey */
};

enum err
message_seal(struct kms *k, struct keyref *key, const struct kms_pair *ctx,
    size_t n, const uint8_t *plain, size_t len, uint8_t *ret_blob,
    size_t *ret_bloblen)
{
	struct context c CLEANUP_CONTEXT UNINIT;
	struct blob_id id = { .len = len };

	c.heap = NULL;
	TRY(context_make(&c, ctx, n, BLOB_HEAD));
	TRY(gate_material(k, key, 0));
	if (key->far != NULL)
		return far_seal(
		    k, key, &c, ctx, n, plain, len, ret_blob, ret_bloblen);
	memcpy(id.uuid, key->uuid, UUID_LEN);
	id.version = key->version;
	TRY(blob_seal(&key->mat, &id, &c, plain, ret_blob));
	*ret_bloblen = BLOB_SIZE(len);
	return OK;
}

static enum err
seal(struct kms *k, struct keyref *key, const struct kms_pair *ctx, size_t n,
    struct data *d)
{

	return message_seal(
	    k, key, ctx, n, d->dek->b, KEY_LEN, d->ret_blob, d->ret_bloblen);
}

static const struct params aes_256 = { .text = "\"keySpec\":\"AES_256\"" };

static enum err
op_data_key(struct kms *k, struct call *c)
{
	struct data *d = c->arg;

	TRY(gate_key(k, c, c->keyname, "kms:GenerateDataKey", &c->key));
	if (c->key.kind == KEY_SERVICE)
		TRY(keys_service_rotate(k, c->who));
	rand_bytes(d->dek->b, KEY_LEN);
	return seal(k, &c->key, c->ctx, c->nctx, d);
}

enum err
kms_data_key(struct kms *k, const struct kms_who *who, const char *keyname,
    const struct kms_pair *ctx, size_t nctx, struct key *ret_dek,
    uint8_t *ret_blob, size_t *ret_bloblen, char ret_arn[static KMS_ARN_MAX])
{
	struct data d = {
		.dek = ret_dek, .ret_blob = ret_blob, .ret_bloblen = ret_bloblen
	};
	struct call c = { .who = who,
		.event = "GenerateDataKey",
		.read_only = true,
		.crypto = true,
		.make = true,
		.keyname = keyname == NULL || *keyname == '\0' ? NAME_DEFAULT
							       : keyname,
		.params = &aes_256,
		.ctx = ctx,
		.nctx = nctx,
		.arg = &d };
	const enum err e = gate_run(k, &c, op_data_key);

	if (e != OK) {
		secret_wipe(ret_dek, sizeof(*ret_dek));
		return e;
	}
	memcpy(ret_arn, c.key.arn, sizeof(c.key.arn));
	return OK;
}

enum err
message_open(struct kms *k, struct call *c, struct blob_id *id,
    const uint8_t *blob, uint8_t *ret)
{
	struct context canon CLEANUP_CONTEXT UNINIT;

	canon.heap = NULL;
	TRY(context_make(&canon, c->ctx, c->nctx, BLOB_HEAD));
	if (id->version == 0)
		return err_fail(ERR_AUTH, BLOB_ALTERED);
	TRY(gate_material(k, &c->key, id->version));
	if (c->key.far != NULL)
		return far_open(
		    k, &c->key, &canon, c->ctx, c->nctx, blob, id, ret);
	if (id->suite != BLOB_SUITE_LOCAL)
		return err_fail(ERR_AUTH, BLOB_ALTERED);
	return blob_open(&c->key.mat, id, blob, &canon, ret);
}

static enum err
open_blob(struct kms *k, struct call *c, const char *action)
{
	struct data *d = c->arg;
	struct blob_id id;

	TRY(blob_parse(d->blob, d->bloblen, &id));
	/* How much a remote service has encrypted comes out later. */
	if (id.suite == BLOB_SUITE_REMOTE && id.len > KEY_LEN)
		id.len = KEY_LEN;
	if (id.len != KEY_LEN)
		return err_fail(ERR_AUTH, BLOB_ALTERED);
	TRY(gate_key_id(k, c, id.uuid, action, &c->key));
	TRY(message_open(k, c, &id, d->blob, d->dek->b));
	return id.len == KEY_LEN ? OK : err_fail(ERR_AUTH, BLOB_ALTERED);
}

static enum err
op_unwrap(struct kms *k, struct call *c)
{

	return open_blob(k, c, "kms:Decrypt");
}

enum err
kms_unwrap(struct kms *k, const struct kms_who *who, const uint8_t *blob,
    size_t bloblen, const struct kms_pair *ctx, size_t nctx,
    struct key *ret_dek)
{
	struct data d = { .blob = blob, .bloblen = bloblen, .dek = ret_dek };
	struct call c = { .who = who,
		.event = "Decrypt",
		.read_only = true,
		.crypto = true,
		.ctx = ctx,
		.nctx = nctx,
		.arg = &d };
	const enum err e = gate_run(k, &c, op_unwrap);

	if (e != OK)
		secret_wipe(ret_dek, sizeof(*ret_dek));
	return e;
}

const char *
reencrypt_same(const struct keyref *to, const uint8_t from[static UUID_LEN])
{

	return to->arn[0] != '\0' && memcmp(to->uuid, from, UUID_LEN) == 0
		   ? "true"
		   : "false";
}

enum err
reencrypt_agreed(const struct call *c, const char *same)
{
	const bool is = memcmp(c->key.uuid, c->target->uuid, UUID_LEN) == 0;

	if (is == (strcmp(same, "true") == 0))
		return OK;
	return err_fail(ERR_TIMEDOUT,
	    "the name of the new key was given to another one meanwhile; try "
	    "again");
}

/* The name that policies see is the new key's, and only when they are asked
 * about that. */
static enum err
rewrap_open(struct kms *k, struct call *c)
{
	const char *to = c->keyname;
	enum err e;

	c->keyname = NULL;
	e = open_blob(k, c, "kms:ReEncryptFrom");
	c->keyname = to;
	return e;
}

static enum err
op_rewrap(struct kms *k, struct call *c)
{
	struct data *d = c->arg;
	struct keyref pin = { 0 };
	const char *to = NULL;
	struct blob_id id;

	TRY(blob_parse(d->blob, d->bloblen, &id));
	if (d->keyname != NULL) {
		to = gate_pin(k, c, d->keyname, &pin);
		d->same = reencrypt_same(&pin, id.uuid);
	}
	TRY(rewrap_open(k, c));
	if (to != NULL)
		TRY(gate_key(k, c, to, "kms:ReEncryptTo", c->target));
	else
		TRY(gate_key_id(
		    k, c, c->key.uuid, "kms:ReEncryptTo", c->target));
	TRY(reencrypt_agreed(c, d->same));
	return seal(k, c->target, d->ctx, d->nctx, d);
}

enum err
kms_rewrap(struct kms *k, const struct kms_who *who, const uint8_t *blob,
    size_t bloblen, const struct kms_pair *ctx, size_t nctx,
    const char *keyname, const struct kms_pair *newctx, size_t nnewctx,
    uint8_t *ret_blob, size_t *ret_bloblen, char ret_arn[static KMS_ARN_MAX])
{
	struct key *dek CLEANUP_KEY = key_new();
	struct data d = { .blob = blob,
		.bloblen = bloblen,
		.dek = dek,
		.ret_blob = ret_blob,
		.ret_bloblen = ret_bloblen,
		.keyname = keyname,
		.ctx = newctx,
		.nctx = nnewctx,
		.same = "true" };
	const struct policy_fact fact =
	    POLICY_FACT("kms:ReEncryptOnSameKey", d.same);
	struct keyref target = { 0 };
	struct call c = { .who = who,
		.target = &target,
		.event = "ReEncrypt",
		.read_only = true,
		.crypto = true,
		.make = true,
		.keyname = keyname,
		.ctx = ctx,
		.nctx = nctx,
		.facts = &fact,
		.nfacts = 1,
		.arg = &d };

	if (dek == NULL)
		return ERR_NOMEM;
	TRY(gate_run(k, &c, op_rewrap));
	memcpy(ret_arn, target.arn, sizeof(target.arn));
	return OK;
}

static enum err
op_check(struct kms *k, struct call *c)
{

	TRY(gate_key(k, c, c->keyname, "kms:Decrypt", &c->key));
	/* Who holds a data key learns only here of what happened elsewhere. */
	return far_check(k, c->key.uuid);
}

enum err
kms_check(struct kms *k, const struct kms_who *who, const char *arn,
    const struct kms_pair *ctx, size_t nctx)
{
	struct call c = { .who = who,
		.event = "Decrypt",
		.read_only = true,
		.crypto = true,
		.keyname = arn,
		.ctx = ctx,
		.nctx = nctx };

	return gate_run(k, &c, op_check);
}

enum err
kms_still(struct kms *k, const struct kms_who *who, const char *arn,
    const struct kms_pair *ctx, size_t nctx, bool made)
{
	struct call c = { .who = who,
		.event = "Decrypt",
		.read_only = true,
		.crypto = true,
		.keyname = arn,
		.ctx = ctx,
		.nctx = nctx };
	enum err e;

	TRY(gate_asker(k, &c));
	e = gate_key(k, &c, arn, "kms:Decrypt", &c.key);
	if (e != ERR_ACCESS || !made)
		return e;
	return gate_key(k, &c, arn, "kms:GenerateDataKey", &c.key);
}

enum err
kms_who_exists(struct kms *k, const struct kms_who *who)
{
	struct call c = { .who = who, .event = "Decrypt" };

	return gate_asker(k, &c);
}

enum err
kms_blob_old(struct kms *k, const uint8_t *blob, size_t bloblen, bool *ret)
{
	struct name n = { .by_id = true };
	struct keyref key;
	struct blob_id id;

	TRY(blob_parse(blob, bloblen, &id));
	memcpy(n.uuid, id.uuid, UUID_LEN);
	TRY(gate_find(k, &n, &key));
	*ret = id.version < key.version;
	return OK;
}
