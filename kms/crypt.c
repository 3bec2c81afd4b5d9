/*
 * Small plaintexts: Encrypt, Decrypt, GenerateDataKey of any length, ReEncrypt,
 * GenerateRandom.  None of these calls touches SQLite.
 */
#include <string.h>

#include "crypto/rand.h"

#include "kms/api.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"
#include "kms/message.h"

_Static_assert(KMS_PLAIN_MAX == BLOB_PLAIN_MAX, "what a blob holds");
_Static_assert(BLOB_SIZE(KMS_PLAIN_MAX) <= KMS_CIPHER_MAX, "it fits");

/* A provider's arguments. */
struct crypt {
	const uint8_t *in; /* plaintext or blob */
	size_t len;
	uint8_t *ret;
	size_t *ret_len;
	uint8_t *ret_plain; /* of kms_generate(); NULL: not asked for */
	struct kms_reencrypt *m;
	const char *same; /* kms:ReEncryptOnSameKey */
};

/* All keys are symmetric. */
#define ALGORITHM "SYMMETRIC_DEFAULT"

struct plain {
	uint8_t b[KMS_PLAIN_MAX];
};

static void
plain_cleanup(struct plain **p)
{

	secret_free(*p);
}
#define CLEANUP_PLAIN CLEANUP(plain_cleanup)

static const char *
or_default(const char *keyname)
{

	return keyname == NULL || *keyname == '\0' ? NAME_DEFAULT : keyname;
}

static enum err
length_check(size_t len, size_t max)
{

	if (len >= 1 && len <= max)
		return OK;
	return err_fail(ERR_INVAL, "a length is 1 to %zu bytes here", max);
}

/* The key of the AES256 method is for objects, which all tenants share it for;
 * nobody uses it by himself. */
static enum err
not_service(const struct keyref *key)
{

	if (key->kind != KEY_SERVICE)
		return OK;
	return err_fail(ERR_ACCESS, "%s is for objects only", key->arn);
}

static enum err
api_key(struct kms *k, struct call *c, const char *keyname, const char *action,
    struct keyref *ret)
{

	TRY(gate_key(k, c, keyname, action, ret));
	return not_service(ret);
}

static enum err
op_encrypt(struct kms *k, struct call *c)
{
	const struct crypt *a = c->arg;

	TRY(length_check(a->len, KMS_PLAIN_MAX));
	TRY(api_key(k, c, c->keyname, "kms:Encrypt", &c->key));
	TRY(gate_go(c));
	return message_seal(
	    k, &c->key, c->ctx, c->nctx, a->in, a->len, a->ret, a->ret_len);
}

enum err
kms_encrypt(struct kms *k, const struct kms_who *who, const char *keyname,
    const void *plain, size_t len, const struct kms_pair *ctx, size_t nctx,
    uint8_t *ret_blob, size_t *ret_bloblen, char ret_arn[static KMS_ARN_MAX])
{
	struct crypt a = {
		.in = plain, .len = len, .ret = ret_blob, .ret_len = ret_bloblen
	};
	struct params params;
	struct call c = { .who = who,
		.event = "Encrypt",
		.read_only = true,
		.crypto = true,
		.make = true,
		.keyname = or_default(keyname),
		.params = &params,
		.ctx = ctx,
		.nctx = nctx,
		.arg = &a };

	params_begin(&params);
	params_str(&params, "encryptionAlgorithm", ALGORITHM);
	TRY(gate_run(k, &c, op_encrypt));
	memcpy(ret_arn, c.key.arn, sizeof(c.key.arn));
	return OK;
}

/* The key that a blob is under passes; when one was named, by that name. */
static enum err
blob_key(struct kms *k, struct call *c, const char *keyname,
    const struct blob_id *id, const char *action)
{

	if (keyname == NULL || *keyname == '\0') {
		TRY(gate_key_id(k, c, id->uuid, action, &c->key));
		return not_service(&c->key);
	}
	TRY(api_key(k, c, keyname, action, &c->key));
	if (memcmp(c->key.uuid, id->uuid, UUID_LEN) != 0)
		return err_fail(ERR_KEYMISMATCH,
		    "the ciphertext is not under %s", c->key.arn);
	return OK;
}

static enum err
op_decrypt(struct kms *k, struct call *c)
{
	const struct crypt *a = c->arg;
	struct blob_id id;

	TRY(blob_parse(a->in, a->len, &id));
	TRY(blob_key(k, c, c->keyname, &id, "kms:Decrypt"));
	TRY(message_open(k, c, &id, a->in, a->ret));
	TRY(gate_go(c));
	*a->ret_len = id.len;
	return OK;
}

enum err
kms_decrypt(struct kms *k, const struct kms_who *who, const char *keyname,
    const uint8_t *blob, size_t bloblen, const struct kms_pair *ctx,
    size_t nctx, uint8_t *ret_plain, size_t *ret_len,
    char ret_arn[static KMS_ARN_MAX])
{
	struct crypt a = {
		.in = blob, .len = bloblen, .ret = ret_plain, .ret_len = ret_len
	};
	struct params params;
	struct call c = { .who = who,
		.event = "Decrypt",
		.read_only = true,
		.crypto = true,
		.keyname = keyname,
		.params = &params,
		.ctx = ctx,
		.nctx = nctx,
		.arg = &a };
	enum err e;

	params_begin(&params);
	params_str(&params, "encryptionAlgorithm", ALGORITHM);
	e = gate_run(k, &c, op_decrypt);
	if (e != OK) {
		secret_wipe(ret_plain, KMS_PLAIN_MAX);
		return e;
	}
	memcpy(ret_arn, c.key.arn, sizeof(c.key.arn));
	return OK;
}

static enum err
op_generate(struct kms *k, struct call *c)
{
	struct plain *own CLEANUP_PLAIN = NULL;
	const struct crypt *a = c->arg;
	uint8_t *plain = a->ret_plain;

	TRY(length_check(a->len, KMS_RANDOM_MAX));
	TRY(api_key(k, c, c->keyname,
	    plain != NULL ? "kms:GenerateDataKey"
			  : "kms:GenerateDataKeyWithoutPlaintext",
	    &c->key));
	TRY(gate_go(c));
	if (plain == NULL) {
		own = secret_alloc(sizeof(*own));
		if (own == NULL)
			return ERR_NOMEM;
		plain = own->b;
	}
	rand_bytes(plain, a->len);
	return message_seal(
	    k, &c->key, c->ctx, c->nctx, plain, a->len, a->ret, a->ret_len);
}

enum err
kms_generate(struct kms *k, const struct kms_who *who, const char *keyname,
    size_t len, const struct kms_pair *ctx, size_t nctx, uint8_t *ret_plain,
    uint8_t *ret_blob, size_t *ret_bloblen, char ret_arn[static KMS_ARN_MAX])
{
	struct crypt a = { .len = len,
		.ret = ret_blob,
		.ret_len = ret_bloblen,
		.ret_plain = ret_plain };
	struct params params;
	struct call c = { .who = who,
		.event = ret_plain != NULL ? "GenerateDataKey"
					   : "GenerateDataKeyWithoutPlaintext",
		.read_only = true,
		.crypto = true,
		.make = true,
		.keyname = or_default(keyname),
		.params = &params,
		.ctx = ctx,
		.nctx = nctx,
		.arg = &a };
	enum err e;

	params_begin(&params);
	params_number(&params, "numberOfBytes", len);
	e = gate_run(k, &c, op_generate);

	if (e != OK && ret_plain != NULL && len <= KMS_RANDOM_MAX)
		secret_wipe(ret_plain, len);
	TRY(e);
	memcpy(ret_arn, c.key.arn, sizeof(c.key.arn));
	return OK;
}

/* Policies are asked about the new ciphertext with its own context. */
static enum err
target_key(struct kms *k, struct call *c, const struct kms_reencrypt *m,
    const char *name)
{
	enum err e;

	c->ctx = m->to;
	c->nctx = m->nto;
	e = api_key(k, c, name, "kms:ReEncryptTo", c->target);
	c->ctx = m->from;
	c->nctx = m->nfrom;
	return e;
}

/* The alias that policies see is that of the name given for this key. */
static enum err
source_key(struct kms *k, struct call *c, const struct kms_reencrypt *m,
    const struct blob_id *id)
{
	const char *to = c->keyname;
	enum err e;

	c->keyname = m->from_key;
	e = blob_key(k, c, m->from_key, id, "kms:ReEncryptFrom");
	c->keyname = to;
	return e;
}

static enum err
op_reencrypt(struct kms *k, struct call *c)
{
	struct plain *plain CLEANUP_PLAIN = secret_alloc(sizeof(*plain));
	struct crypt *a = c->arg;
	struct kms_reencrypt *m = a->m;
	struct keyref pin = { 0 };
	struct blob_id id;
	const char *to;

	if (plain == NULL)
		return ERR_NOMEM;
	TRY(blob_parse(m->blob, m->bloblen, &id));
	/* Both policies are asked about the key that it comes to. */
	to = gate_pin(k, c, or_default(m->to_key), &pin);
	a->same = reencrypt_same(&pin, id.uuid);
	TRY(source_key(k, c, m, &id));
	TRY(message_open(k, c, &id, m->blob, plain->b));
	TRY(target_key(k, c, m, to));
	TRY(reencrypt_agreed(c, a->same));
	TRY(gate_go(c));
	return message_seal(k, c->target, m->to, m->nto, plain->b, id.len,
	    m->ret_blob, &m->ret_bloblen);
}

enum err
kms_reencrypt(struct kms *k, const struct kms_who *who, struct kms_reencrypt *m)
{
	struct crypt a = { .m = m, .same = "false" };
	const struct policy_fact fact =
	    POLICY_FACT("kms:ReEncryptOnSameKey", a.same);
	struct keyref target = { 0 };
	struct params params;
	struct call c = { .who = who,
		.target = &target,
		.event = "ReEncrypt",
		.read_only = true,
		.crypto = true,
		.make = true,
		.keyname = or_default(m->to_key),
		.key_member = "destinationKeyId",
		.params = &params,
		.ctx = m->from,
		.nctx = m->nfrom,
		.ctx_member = "sourceEncryptionContext",
		.facts = &fact,
		.nfacts = 1,
		.arg = &a };

	params_begin(&params);
	params_str(&params, "sourceKeyId", m->from_key);
	params_str(&params, "sourceEncryptionAlgorithm", ALGORITHM);
	params_str(&params, "destinationEncryptionAlgorithm", ALGORITHM);
	params_pairs(&params, "destinationEncryptionContext", m->to, m->nto);
	TRY(gate_run(k, &c, op_reencrypt));
	memcpy(m->ret_from, c.key.arn, sizeof(c.key.arn));
	memcpy(m->ret_to, target.arn, sizeof(target.arn));
	return OK;
}

static enum err
op_random(struct kms *k, struct call *c)
{
	const struct crypt *a = c->arg;

	TRY(length_check(a->len, KMS_RANDOM_MAX));
	TRY(gate_policy(k, c, "kms:GenerateRandom", "*"));
	rand_bytes(a->ret, a->len);
	return OK;
}

enum err
kms_random(struct kms *k, const struct kms_who *who, size_t len, uint8_t *ret)
{
	struct crypt a = { .len = len, .ret = ret };
	struct params params;
	struct call c = { .who = who,
		.event = "GenerateRandom",
		.read_only = true,
		.params = &params,
		.arg = &a };

	params_begin(&params);
	params_number(&params, "numberOfBytes", len);
	return gate_run(k, &c, op_random);
}
