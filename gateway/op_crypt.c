/*
 * Plaintexts and data keys.  What is secret is in key memory, but for what the
 * client sent and gets, which is text in wiped buffers.
 */
#include <string.h>

#include "gateway/req.h"

#define AES_256_BYTES 32
#define AES_128_BYTES 16

struct plain {
	uint8_t b[KMS_PLAIN_MAX];
};

static void
plain_free(struct plain **p)
{
	secret_free(*p);
}

/* Symmetric keys have one algorithm. */
static enum err
symmetric_only(struct req *r, const char *name, const char *key)
{
	const char *s = req_str(r, name);

	if (s == NULL || strcmp(s, "SYMMETRIC_DEFAULT") == 0)
		return (OK);
	return (req_fail(r, AWS_INVALID_KEY_USAGE,
	    "Algorithm %s is not valid for the key spec of %.300s", s,
	    key != NULL ? key : "the key"));
}

/* What came of a ciphertext: when no key was named, its key is not told to those
 * who may not use it. */
static enum err
of_ciphertext(struct req *r, const char *key, enum err e)
{
	if (key != NULL || e != ERR_ACCESS)
		return (e);
	return (req_fail(r, AWS_ACCESS_DENIED,
	    "User: arn:aws:iam::%s:%s%s is not authorized to perform: kms:%s "
	    "on the resource associated with this ciphertext because the "
	    "resource does not exist in this Region, no resource-based "
	    "policies allow access, or a resource-based policy explicitly "
	    "denies access",
	    r->tenant, strcmp(r->who->user, KMS_ROOT_USER) == 0 ? "" : "user/",
	    r->who->user, r->op->name));
}

static void
material(struct req *r, const char *name, const uint8_t *blob, size_t len)
{
	char id[KMS_MATERIAL_MAX];

	kms_blob_material(r->api->kms, blob, len, id);
	if (id[0] != '\0')
		jout_str(&r->out, name, id);
}

enum err
op_encrypt(struct req *r)
{
	struct plain *plain CLEANUP(plain_free) = secret_alloc(sizeof(*plain));
	struct req_pairs ctx CLEANUP_PAIRS = { .n = 0 };
	uint8_t blob[KMS_CIPHER_MAX];
	char arn[KMS_ARN_MAX];
	size_t len = 0, bloblen = 0;
	const char *key = NULL;

	if (plain == NULL)
		return (ERR_NOMEM);
	TRY(req_key(r, "KeyId", true, &key));
	TRY(symmetric_only(r, "EncryptionAlgorithm", key));
	TRY(req_tokens(r));
	TRY(req_context(r, "EncryptionContext", &ctx));
	TRY(req_blob(r, "Plaintext", plain->b, sizeof(plain->b), &len));
	TRY(kms_encrypt(r->api->kms, r->who, key, plain->b, len, ctx.p, ctx.n,
	    blob, &bloblen, arn));
	jout_b64(&r->out, "CiphertextBlob", blob, bloblen);
	jout_str(&r->out, "KeyId", arn);
	jout_str(&r->out, "EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
	return (OK);
}

enum err
op_decrypt(struct req *r)
{
	struct plain *plain CLEANUP(plain_free) = secret_alloc(sizeof(*plain));
	struct req_pairs ctx CLEANUP_PAIRS = { .n = 0 };
	uint8_t blob[KMS_CIPHER_MAX];
	char arn[KMS_ARN_MAX];
	size_t len = 0, bloblen = 0;
	const char *key = NULL;

	if (plain == NULL)
		return (ERR_NOMEM);
	TRY(req_key(r, "KeyId", true, &key));
	TRY(symmetric_only(r, "EncryptionAlgorithm", key));
	TRY(req_tokens(r));
	TRY(req_context(r, "EncryptionContext", &ctx));
	TRY(req_blob(r, "CiphertextBlob", blob, sizeof(blob), &bloblen));
	TRY(of_ciphertext(r, key,
	    kms_decrypt(r->api->kms, r->who, key, blob, bloblen, ctx.p, ctx.n,
		plain->b, &len, arn)));
	jout_str(&r->out, "KeyId", arn);
	jout_b64(&r->out, "Plaintext", plain->b, len);
	jout_str(&r->out, "EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
	material(r, "KeyMaterialId", blob, bloblen);
	return (OK);
}

enum err
op_reencrypt(struct req *r)
{
	struct req_pairs from CLEANUP_PAIRS = { .n = 0 };
	struct req_pairs to CLEANUP_PAIRS = { .n = 0 };
	uint8_t blob[KMS_CIPHER_MAX], fresh[KMS_CIPHER_MAX];
	struct kms_reencrypt m = { .blob = blob, .ret_blob = fresh };

	TRY(req_key(r, "DestinationKeyId", true, &m.to_key));
	TRY(req_key(r, "SourceKeyId", true, &m.from_key));
	TRY(symmetric_only(r, "SourceEncryptionAlgorithm", m.from_key));
	TRY(symmetric_only(r, "DestinationEncryptionAlgorithm", m.to_key));
	TRY(req_tokens(r));
	TRY(req_context(r, "SourceEncryptionContext", &from));
	TRY(req_context(r, "DestinationEncryptionContext", &to));
	TRY(req_blob(r, "CiphertextBlob", blob, sizeof(blob), &m.bloblen));
	m.from = from.p;
	m.nfrom = from.n;
	m.to = to.p;
	m.nto = to.n;
	TRY(kms_reencrypt(r->api->kms, r->who, &m));
	jout_b64(&r->out, "CiphertextBlob", fresh, m.ret_bloblen);
	jout_str(&r->out, "SourceKeyId", m.ret_from);
	jout_str(&r->out, "KeyId", m.ret_to);
	jout_str(&r->out, "SourceEncryptionAlgorithm", "SYMMETRIC_DEFAULT");
	jout_str(
	    &r->out, "DestinationEncryptionAlgorithm", "SYMMETRIC_DEFAULT");
	material(r, "SourceKeyMaterialId", blob, m.bloblen);
	material(r, "DestinationKeyMaterialId", fresh, m.ret_bloblen);
	return (OK);
}

/* One of the two, and not both. */
static enum err
key_bytes(struct req *r, size_t *ret)
{
	const char *spec = req_str(r, "KeySpec");
	const int64_t n = req_int(r, "NumberOfBytes", 0);

	if ((spec != NULL) == (n != 0))
		return (req_fail(r, AWS_VALIDATION,
		    "Please specify either number of bytes or key spec."));
	if (spec == NULL)
		*ret = (size_t)n;
	else
		*ret = strcmp(spec, "AES_128") == 0 ? AES_128_BYTES
						    : AES_256_BYTES;
	return (OK);
}

static enum err
generate(struct req *r, bool with_plain)
{
	struct plain *plain CLEANUP(plain_free) = NULL;
	struct req_pairs ctx CLEANUP_PAIRS = { .n = 0 };
	uint8_t blob[KMS_CIPHER_MAX];
	char arn[KMS_ARN_MAX];
	size_t len = 0, bloblen = 0;
	const char *key = NULL;

	if (with_plain) {
		plain = secret_alloc(sizeof(*plain));
		if (plain == NULL)
			return (ERR_NOMEM);
	}
	TRY(req_key(r, "KeyId", true, &key));
	TRY(key_bytes(r, &len));
	TRY(req_tokens(r));
	TRY(req_context(r, "EncryptionContext", &ctx));
	TRY(kms_generate(r->api->kms, r->who, key, len, ctx.p, ctx.n,
	    plain != NULL ? plain->b : NULL, blob, &bloblen, arn));
	jout_b64(&r->out, "CiphertextBlob", blob, bloblen);
	if (plain != NULL)
		jout_b64(&r->out, "Plaintext", plain->b, len);
	jout_str(&r->out, "KeyId", arn);
	material(r, "KeyMaterialId", blob, bloblen);
	return (OK);
}

enum err
op_generate(struct req *r)
{
	return (generate(r, true));
}

enum err
op_generate_only(struct req *r)
{
	return (generate(r, false));
}

enum err
op_random(struct req *r)
{
	struct plain *plain CLEANUP(plain_free) = secret_alloc(sizeof(*plain));
	const size_t len = (size_t)req_int(r, "NumberOfBytes", 0);

	if (plain == NULL)
		return (ERR_NOMEM);
	if (req_str(r, "CustomKeyStoreId") != NULL)
		return (req_fail(
		    r, AWS_UNSUPPORTED, "There are no custom key stores here"));
	if (len == 0)
		return (
		    req_fail(r, AWS_VALIDATION, "NumberOfBytes is required."));
	TRY(kms_random(r->api->kms, r->who, len, plain->b));
	jout_b64(&r->out, "Plaintext", plain->b, len);
	return (OK);
}
