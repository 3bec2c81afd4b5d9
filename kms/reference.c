/*
 * What is sealed of providers, all under the key for material of master keys
 * (see table.c); integers are big-endian.
 *
 * versions.sealed, when versions.provider is not 0 (28 bytes and the reference):
 *	 0 12  GCM nonce, random
 *	12  n  the provider's reference to the key, encrypted
 *	12+n 16  GCM tag
 * with the additional data (136 bytes)
 *	 0 16  "ssefs-ref-v1", then zeros
 *	16 16  UUID of the keystore
 *	32 16  UUID of the key
 *	48  4  version
 *	52  4  kind (0 customer's, 1 a tenant's default, 2 service)
 *	56  8  when the version was made, seconds since 1970
 *	64  8  row of the provider
 *	72 64  the tenant, then zeros
 *
 * providers.sealed: nonce, the packed configuration, tag, in the same way, with
 * the additional data (104 bytes)
 *	 0 16  "ssefs-prov-v1", then zeros
 *	16 16  UUID of the keystore
 *	32  8  row of the provider
 *	40 64  its name, then zeros
 *
 * meta "provider": nonce, the row of the provider for new keys (8 bytes), tag;
 * additional data (32 bytes)
 *	 0 16  "ssefs-choice-v1", then zeros
 *	16 16  UUID of the keystore
 */
#include <string.h>

#include "lib/base/buf.h"

#include "kms/reference.h"

#define REF_AD 136
#define CONF_AD 104
#define CHOICE_AD 32

_Static_assert(72 + KMS_NAME_MAX - 1 == REF_AD, "reference data");
_Static_assert(40 + KMS_NAME_MAX - 1 == CONF_AD, "configuration data");

static enum err
altered(enum err e)
{

	if (e != ERR_AUTH)
		return e;
	return err_fail(
	    ERR_CORRUPT, "keystore: what it has of a provider was altered");
}

/* ---- References ----------------------------------------------------------- */

static void
reference_ad(const struct reference_place *at, int64_t provider,
    uint8_t ret[static REF_AD])
{

	memset(ret, 0, REF_AD);
	memcpy(ret, "ssefs-ref-v1", 12);
	memcpy(ret + 16, at->ks, UUID_LEN);
	memcpy(ret + 32, at->key, UUID_LEN);
	put_u32(ret + 48, at->version);
	put_u32(ret + 52, (uint32_t)at->kind);
	put_u64(ret + 56, (uint64_t)at->created);
	put_u64(ret + 64, (uint64_t)provider);
	memcpy(ret + 72, at->tenant, strnlen(at->tenant, KMS_NAME_MAX - 1));
}

enum err
reference_seal(struct aead *seal, const struct reference_place *at,
    const struct far_key *f, uint8_t *ret)
{
	uint8_t ad[REF_AD];

	reference_ad(at, f->provider, ad);
	return aead_seal_msg(seal, ad, sizeof(ad), f->ref, f->reflen, ret);
}

enum err
reference_open(struct aead *seal, const struct reference_place *at,
    const uint8_t *sealed, size_t len, struct far_key *f)
{
	uint8_t ad[REF_AD];

	if (len <= AEAD_OVERHEAD || len > REFERENCE_SEALED_MAX)
		return altered(ERR_AUTH);
	reference_ad(at, f->provider, ad);
	TRY(altered(aead_open_msg(seal, ad, sizeof(ad), sealed, len, f->ref)));
	f->reflen = len - AEAD_OVERHEAD;
	return OK;
}

/* ---- Configurations -------------------------------------------------------- */

static enum err
pack_text(uint8_t ret[static CONF_MAX], size_t *at, const char *s, size_t max)
{
	const size_t n = strlen(s) + 1;

	if (n > max || n > CONF_MAX - *at)
		return err_fail(
		    ERR_INVAL, "the provider's configuration is too long");
	memcpy(ret + *at, s, n);
	*at += n;
	return OK;
}

enum err
conf_pack(const struct provider_conf *c, uint8_t ret[static CONF_MAX],
    size_t *ret_len)
{
	size_t at = 0;

	if (*c->uri == '\0')
		return err_fail(ERR_INVAL, "a provider has a URI");
	if (c->nopt > PROVIDER_OPTIONS_MAX)
		return err_fail(ERR_INVAL, "a provider has %d options at most",
		    PROVIDER_OPTIONS_MAX);
	TRY(pack_text(ret, &at, c->uri, PROVIDER_URI_MAX));
	for (size_t i = 0; i < c->nopt; i++) {
		if (*c->opt[i].name == '\0')
			return err_fail(ERR_INVAL, "an option has a name");
		for (size_t j = 0; j < i; j++)
			if (strcmp(c->opt[i].name, c->opt[j].name) == 0)
				return err_fail(ERR_INVAL,
				    "option %.32s is given twice",
				    c->opt[i].name);
		TRY(pack_text(ret, &at, c->opt[i].name, KMS_NAME_MAX));
		TRY(pack_text(ret, &at, c->opt[i].value, PROVIDER_VALUE_MAX));
	}
	*ret_len = at;
	return OK;
}

/* The next text; NULL at the end, or when it does not end. */
static const char *
next_text(const uint8_t *text, size_t len, size_t *at)
{
	const uint8_t *p = text + *at;
	const uint8_t *nul;

	if (*at == len)
		return NULL;
	nul = memchr(p, 0, len - *at);
	if (nul == NULL)
		return NULL;
	*at += (size_t)(nul - p) + 1;
	return (const char *)p;
}

enum err
conf_unpack(const uint8_t *text, size_t len, struct provider_option *opt,
    struct provider_conf *ret)
{
	size_t at = 0;

	*ret = (struct provider_conf){ .opt = opt };
	if (len > CONF_MAX)
		return altered(ERR_AUTH);
	ret->uri = next_text(text, len, &at);
	if (ret->uri == NULL || *ret->uri == '\0' ||
	    strlen(ret->uri) >= PROVIDER_URI_MAX)
		return altered(ERR_AUTH);
	while (at < len) {
		if (ret->nopt == PROVIDER_OPTIONS_MAX)
			return altered(ERR_AUTH);
		struct provider_option *o = &opt[ret->nopt++];

		o->name = next_text(text, len, &at);
		o->value = o->name == NULL ? NULL : next_text(text, len, &at);
		if (o->value == NULL || *o->name == '\0' ||
		    strlen(o->name) >= KMS_NAME_MAX ||
		    strlen(o->value) >= PROVIDER_VALUE_MAX)
			return altered(ERR_AUTH);
	}
	return OK;
}

static void
conf_ad(const uint8_t *ks, int64_t id, const char *name,
    uint8_t ret[static CONF_AD])
{

	memset(ret, 0, CONF_AD);
	memcpy(ret, "ssefs-prov-v1", 13);
	memcpy(ret + 16, ks, UUID_LEN);
	put_u64(ret + 32, (uint64_t)id);
	memcpy(ret + 40, name, strnlen(name, KMS_NAME_MAX - 1));
}

enum err
conf_seal(struct aead *seal, const uint8_t ks[static UUID_LEN], int64_t id,
    const char *name, const uint8_t *text, size_t len, uint8_t *ret)
{
	uint8_t ad[CONF_AD];

	conf_ad(ks, id, name, ad);
	return aead_seal_msg(seal, ad, sizeof(ad), text, len, ret);
}

enum err
conf_open(struct aead *seal, const uint8_t ks[static UUID_LEN], int64_t id,
    const char *name, const uint8_t *sealed, size_t len, uint8_t *ret)
{
	uint8_t ad[CONF_AD];

	if (len <= AEAD_OVERHEAD || len > CONF_SEALED_MAX)
		return altered(ERR_AUTH);
	conf_ad(ks, id, name, ad);
	return altered(aead_open_msg(seal, ad, sizeof(ad), sealed, len, ret));
}

/* ---- The choice for new keys ------------------------------------------------ */

static void
choice_ad(const uint8_t *ks, uint8_t ret[static CHOICE_AD])
{

	memset(ret, 0, CHOICE_AD);
	memcpy(ret, "ssefs-choice-v1", 15);
	memcpy(ret + 16, ks, UUID_LEN);
}

enum err
choice_seal(struct aead *seal, const uint8_t ks[static UUID_LEN], int64_t id,
    uint8_t ret[static CHOICE_SEALED])
{
	uint8_t ad[CHOICE_AD], text[8];

	choice_ad(ks, ad);
	put_u64(text, (uint64_t)id);
	return aead_seal_msg(seal, ad, sizeof(ad), text, sizeof(text), ret);
}

enum err
choice_open(struct aead *seal, const uint8_t ks[static UUID_LEN],
    const uint8_t sealed[static CHOICE_SEALED], int64_t *ret)
{
	uint8_t ad[CHOICE_AD], text[8];

	choice_ad(ks, ad);
	TRY(altered(
	    aead_open_msg(seal, ad, sizeof(ad), sealed, CHOICE_SEALED, text)));
	*ret = (int64_t)get_u64(text);
	return OK;
}
