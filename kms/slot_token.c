/*
 * The keystore master key, under a key in a token.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"

#include "kms/pkcs11.h"
#include "kms/slot_token.h"

#define REF_LEN (1 + SLOT_TOKEN_ID) /* kms/pkcs11.c */

static void
token_close(void **p)
{

	if (*p != NULL)
		provider_pkcs11.close(*p);
}
#define CLEANUP_TOKEN CLEANUP(token_close)

/* ${iv}: who makes nonces, "caller" or "token".  ${stored}: anybody may have
 * written ${uri}. */
static enum err
token_open(const char *uri, const char *iv, bool stored, void **ret)
{
	const struct provider_option opt[] = { { "sessions", "1" },
		{ "iv", iv }, { "only-root", stored ? "yes" : "no" } };
	const struct provider_conf c = {
		.uri = uri, .opt = opt, .nopt = COUNTOF(opt)
	};

	if (strlen(uri) >= PROVIDER_URI_MAX)
		return err_fail(ERR_INVAL, "the token's URI is too long");
	return provider_pkcs11.open(&c, ret);
}

static void
ref_of(const uint8_t id[static SLOT_TOKEN_ID], uint8_t ret[static REF_LEN])
{

	ret[0] = 1;
	memcpy(ret + 1, id, SLOT_TOKEN_ID);
}

enum err
slot_token_make(const char *uri, const uint8_t uuid[static UUID_LEN],
    uint8_t ret_id[static SLOT_TOKEN_ID])
{
	void *p CLEANUP_TOKEN = NULL;
	uint8_t ref[PROVIDER_REF_MAX];
	char label[16 + UUID_STRLEN + 1], text[UUID_STRLEN + 1];
	size_t n = 0;

	uuid_format(uuid, text);
	(void)snprintf(label, sizeof(label), "ssefs root:%s", text);
	TRY(token_open(uri, "caller", false, &p));
	TRY(provider_pkcs11.make_key(p, "", label, ref, &n));
	if (n != REF_LEN)
		return ERR_INTERNAL;
	memcpy(ret_id, ref + 1, SLOT_TOKEN_ID);
	return OK;
}

/* ---- One message ----------------------------------------------------------- */

static enum err
seal_with(const char *uri, const char *iv, const struct provider_msg *m,
    const struct key *kmk, uint8_t ret[static SLOT_SEALED])
{
	void *p CLEANUP_TOKEN = NULL;
	struct key *back CLEANUP_KEY = key_new();
	size_t n = 0;

	if (back == NULL)
		return ERR_NOMEM;
	TRY(token_open(uri, iv, false, &p));
	TRY(provider_pkcs11.wrap(p, m, kmk->b, KEY_LEN, ret, SLOT_SEALED, &n));
	if (n != SLOT_SEALED)
		return ERR_INTERNAL;
	TRY(provider_pkcs11.unwrap(
	    p, m, ret, SLOT_SEALED, back->b, KEY_LEN, &n));
	if (n != KEY_LEN || secret_cmp(back->b, kmk->b, KEY_LEN) != 0)
		return err_fail(ERR_CRYPTO,
		    "the token does not decrypt what it has encrypted");
	return OK;
}

/* Of no use to anybody: sealing failed with ${e}. */
static enum err
destroy(const char *uri, const uint8_t ref[static REF_LEN], enum err e)
{
	void *p CLEANUP_TOKEN = NULL;
	char why[256];
	enum err gone;

	(void)snprintf(why, sizeof(why), "%s", err_detail(e));
	gone = token_open(uri, "caller", false, &p);
	if (gone == OK)
		gone = provider_pkcs11.destroy_key(p, ref, REF_LEN);
	if (gone != OK)
		log_warn("a key that was made in the token for a slot stays "
			 "there: %s",
		    err_detail(gone));
	return err_fail(e, "%s", why);
}

enum err
slot_token_seal(const char *uri, const uint8_t id[static SLOT_TOKEN_ID],
    const uint8_t *ad, size_t adlen, const struct key *kmk,
    uint8_t ret[static SLOT_SEALED])
{
	uint8_t ref[REF_LEN];
	const struct provider_msg m = {
		.ref = ref, .reflen = sizeof(ref), .ad = ad, .adlen = adlen
	};
	enum err e;

	ref_of(id, ref);
	e = seal_with(uri, "caller", &m, kmk, ret);
	/* Some, in FIPS mode, take no nonce from outside. */
	if (e == ERR_CRYPTO)
		e = seal_with(uri, "token", &m, kmk, ret);
	return e == OK ? OK : destroy(uri, ref, e);
}

static enum err
open_with(const char *uri, bool stored, const struct provider_msg *m,
    const uint8_t sealed[static SLOT_SEALED], struct key *ret_kmk)
{
	void *p CLEANUP_TOKEN = NULL;
	size_t n = 0;

	TRY(token_open(uri, "caller", stored, &p));
	TRY(provider_pkcs11.unwrap(
	    p, m, sealed, SLOT_SEALED, ret_kmk->b, KEY_LEN, &n));
	return n == KEY_LEN ? OK : ERR_AUTH;
}

enum err
slot_token_open(const char *uri, bool stored,
    const uint8_t id[static SLOT_TOKEN_ID], const uint8_t *ad, size_t adlen,
    const uint8_t sealed[static SLOT_SEALED], struct key *ret_kmk)
{
	uint8_t ref[REF_LEN];
	const struct provider_msg m = {
		.ref = ref, .reflen = sizeof(ref), .ad = ad, .adlen = adlen
	};
	char why[256];
	enum err e;

	ref_of(id, ref);
	e = open_with(uri, stored, &m, sealed, ret_kmk);
	if (e == OK || e == ERR_NOMEM)
		return e;
	if (e == ERR_AUTH)
		return err_fail(ERR_ROOTKEY,
		    "the token's key is not the one this slot was made with");
	(void)snprintf(why, sizeof(why), "%s", err_detail(e));
	return err_fail(e == ERR_TIMEDOUT ? e : ERR_ROOTKEY,
	    "the root key is in a token: %s", why);
}
