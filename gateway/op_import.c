/*
 * Imported key material.
 */
#include <string.h>

#include "gateway/req.h"
#include "lib/base/clock.h"

static const struct {
	const char *name;
	enum kms_wrapping w;
} wrappings[] = {
	{ "RSAES_OAEP_SHA_1", KMS_WRAP_OAEP_SHA1 },
	{ "RSAES_OAEP_SHA_256", KMS_WRAP_OAEP_SHA256 },
	{ "RSA_AES_KEY_WRAP_SHA_1", KMS_WRAP_AES_SHA1 },
	{ "RSA_AES_KEY_WRAP_SHA_256", KMS_WRAP_AES_SHA256 },
};

static const struct {
	const char *name;
	unsigned bits;
} specs[] = {
	{ "RSA_2048", 2048 },
	{ "RSA_3072", 3072 },
	{ "RSA_4096", 4096 },
};

static unsigned
spec_bits(const char *name)
{
	for (size_t i = 0; i < COUNTOF(specs); i++)
		if (strcmp(specs[i].name, name) == 0)
			return (specs[i].bits);
	return (0);
}

enum err
op_import_parameters(struct req *r)
{
	const char *name = req_str(r, "WrappingAlgorithm");
	const unsigned bits = spec_bits(req_str(r, "WrappingKeySpec"));
	struct kms_import im;
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	for (size_t i = 0; i < COUNTOF(wrappings) && bits != 0; i++) {
		if (strcmp(wrappings[i].name, name) != 0)
			continue;
		TRY(req_origin(r, key, "AWS_KMS",
		    kms_import_parameters(
			r->api->kms, r->who, key, wrappings[i].w, bits, &im)));
		jout_str(&r->out, "KeyId", im.arn);
		jout_b64(&r->out, "ImportToken", im.token, im.tokenlen);
		jout_b64(&r->out, "PublicKey", im.public_key, im.public_len);
		jout_i64(&r->out, "ParametersValidTo", im.valid_to);
		return (OK);
	}
	return (req_fail(r, AWS_UNSUPPORTED,
	    "The wrapping algorithm %s with %s is not supported", name,
	    req_str(r, "WrappingKeySpec")));
}

/* When it ends, 0: never. */
static enum err
expiry(struct req *r, int64_t *ret)
{
	const char *model = req_str(r, "ExpirationModel");
	const bool ends =
	    model == NULL || strcmp(model, "KEY_MATERIAL_EXPIRES") == 0;
	int64_t at = 0;
	const bool given = jval_get_time(r->in, "ValidTo", &at) == OK;

	*ret = 0;
	if (ends && !given)
		return (req_fail(r, AWS_VALIDATION,
		    "A validTo date must be set if the ExpirationModel is "
		    "KEY_MATERIAL_EXPIRES"));
	if (!ends && given)
		return (req_fail(r, AWS_VALIDATION,
		    "A validTo date cannot be set if the ExpirationModel is "
		    "KEY_MATERIAL_DOES_NOT_EXPIRE"));
	if (ends && at <= (int64_t)clock_wall().tv_sec)
		return (req_fail(
		    r, AWS_VALIDATION, "The validTo date is in the past"));
	*ret = at;
	return (OK);
}

/* A key has one material here, and takes no other; nobody chooses. */
static enum err
one_material(struct req *r)
{
	if (req_str(r, "KeyMaterialId") == NULL)
		return (OK);
	return (req_fail(r, AWS_UNSUPPORTED,
	    "KeyMaterialId is not supported; a key has one material"));
}

/* Which key, and which material it was about. */
static enum err
answer(struct req *r, const char *key, const char *id)
{
	char arn[KMS_ARN_MAX];

	TRY(kms_key_resolve(r->api->kms, r->tenant, key, arn));
	jout_str(&r->out, "KeyId", arn);
	if (id[0] != '\0')
		jout_str(&r->out, "KeyMaterialId", id);
	return (OK);
}

enum err
op_import_material(struct req *r)
{
	char id[KMS_MATERIAL_MAX];
	uint8_t token[KMS_CIPHER_MAX], wrapped[KMS_CIPHER_MAX];
	size_t tokenlen = 0, len = 0;
	const char *key = NULL;
	int64_t expires = 0;

	TRY(one_material(r));
	TRY(req_key(r, "KeyId", false, &key));
	TRY(expiry(r, &expires));
	TRY(req_blob(r, "ImportToken", token, sizeof(token), &tokenlen));
	TRY(req_blob(
	    r, "EncryptedKeyMaterial", wrapped, sizeof(wrapped), &len));
	TRY(req_origin(r, key, "AWS_KMS",
	    kms_import_material(r->api->kms, r->who, key, token, tokenlen,
		wrapped, len, expires)));
	kms_import_id(r->api->kms, r->tenant, key, id);
	return (answer(r, key, id));
}

enum err
op_delete_material(struct req *r)
{
	char id[KMS_MATERIAL_MAX];
	const char *key = NULL;

	TRY(one_material(r));
	TRY(req_key(r, "KeyId", false, &key));
	kms_import_id(r->api->kms, r->tenant, key, id);
	TRY(req_origin(
	    r, key, "AWS_KMS", kms_import_delete(r->api->kms, r->who, key)));
	return (answer(r, key, id));
}
