/*
 * Names for key material, by which people see whether two are the same.
 *
 * They are MACs under a key of the keystore: nobody learns anything about the
 * material from them, not even by guessing it.
 */
#include <string.h>

#include "crypto/kdf.h"
#include "lib/base/buf.h"

#include "kms/blob.h"
#include "kms/kms_internal.h"

#define ID_LABEL "ssefs material id v1"

/* HMAC(key, "made" || key's UUID || u32 version), or
 * HMAC(key, "from" || key's UUID || the 32 bytes). */
#define ID_HEAD (4 + UUID_LEN)

static enum err
identify(struct kms *k, const uint8_t *text, size_t len,
    uint8_t ret[static SHA256_LEN])
{
	WIPED(uint8_t, key, KEY_LEN);

	TRY(hkdf_label(k->kmk->b, ID_LABEL, NULL, 0, key, sizeof(key)));
	hmac_sha256(key, sizeof(key), text, len, ret);
	return OK;
}

enum err
material_imported(struct kms *k, const uint8_t uuid[static UUID_LEN],
    const uint8_t bytes[static KEY_LEN], uint8_t ret[static SHA256_LEN])
{
	WIPED(uint8_t, text, ID_HEAD + KEY_LEN);

	memcpy(text, "from", 4);
	memcpy(text + 4, uuid, UUID_LEN);
	memcpy(text + ID_HEAD, bytes, KEY_LEN);
	return identify(k, text, sizeof(text), ret);
}

enum err
material_name(struct kms *k, const struct tkey *t, uint32_t version,
    char ret[static KMS_MATERIAL_MAX])
{
	uint8_t text[ID_HEAD + 4], id[SHA256_LEN];

	ret[0] = '\0';
	if (version == 0)
		return OK;
	if (t->was_imported) {
		hex_encode(t->imported, sizeof(t->imported), ret);
		return OK;
	}
	memcpy(text, "made", 4);
	memcpy(text + 4, t->uuid, UUID_LEN);
	put_u32(text + ID_HEAD, version);
	TRY(identify(k, text, sizeof(text), id));
	hex_encode(id, sizeof(id), ret);
	return OK;
}

static void
name_of(struct kms *k, const uint8_t *uuid, uint32_t version,
    char ret[static KMS_MATERIAL_MAX])
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, uuid);

	if (t == NULL || version > t->nv ||
	    material_name(k, t, version == 0 ? t->nv : version, ret) != OK)
		ret[0] = '\0';
}

void
kms_blob_material(struct kms *k, const uint8_t *blob, size_t bloblen,
    char ret[static KMS_MATERIAL_MAX])
{
	struct blob_id id;

	ret[0] = '\0';
	if (blob_parse(blob, bloblen, &id) == OK)
		name_of(k, id.uuid, id.version, ret);
}

void
kms_import_id(struct kms *k, const char *tenant, const char *keyname,
    char ret[static KMS_MATERIAL_MAX])
{
	char arn[KMS_ARN_MAX];
	struct name n;

	ret[0] = '\0';
	if (kms_key_resolve(k, tenant, keyname, arn) == OK &&
	    name_parse(arn, tenant, k->region, &n) == OK)
		name_of(k, n.uuid, 0, ret);
}
