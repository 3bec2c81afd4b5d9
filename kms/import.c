/*
 * Material from outside: the parameters for wrapping it, taking it in, wiping
 * it on request and when its time has passed.
 */
#include <stdio.h>
#include <string.h>

#include "crypto/kdf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#include "kms/api.h"
#include "kms/gate.h"
#include "kms/import_token.h"
#include "kms/kms_internal.h"

#define TOKEN_LABEL "ssefs import token v1"
#define EXPIRES_MAX_S (INT64_C(366) * 86400)

const char *
kms_wrapping_name(enum kms_wrapping w)
{

	switch (w) {
	case KMS_WRAP_OAEP_SHA1:
		return "RSAES_OAEP_SHA_1";
	case KMS_WRAP_OAEP_SHA256:
		return "RSAES_OAEP_SHA_256";
	case KMS_WRAP_AES_SHA1:
		return "RSA_AES_KEY_WRAP_SHA_1";
	case KMS_WRAP_AES_SHA256:
		return "RSA_AES_KEY_WRAP_SHA_256";
	}
	return "unknown";
}

static enum err
token_seal(struct kms *k, struct aead **ret)
{
	WIPED(uint8_t, key, KEY_LEN);

	TRY(hkdf_label(
	    k->kmk->b, TOKEN_LABEL, k->uuid, UUID_LEN, key, sizeof(key)));
	return aead_new(key, ret);
}

static void
token_cleanup(struct import_token **t)
{

	secret_free(*t);
}
#define CLEANUP_TOKEN CLEANUP(token_cleanup)

/* The key that the call names takes material from outside. */
static enum err
external(struct kms *k, struct call *c, const char *action)
{

	TRY(gate_key(k, c, c->keyname, action, &c->key));
	TRY(state_managed(&c->key));
	return state_allows(&c->key, KEY_OP_IMPORT);
}

/* ---- Parameters --------------------------------------------------------- */

struct parameters {
	enum kms_wrapping wrapping;
	unsigned bits;
	struct kms_import *ret;
};

static enum err
op_parameters(struct kms *k, struct call *c)
{
	struct import_token *t CLEANUP_TOKEN = secret_alloc(sizeof(*t));
	struct aead *a CLEANUP_AEAD = NULL;
	const struct parameters *p = c->arg;

	if (t == NULL)
		return ERR_NOMEM;
	TRY(external(k, c, "kms:GetParametersForImport"));
	TRY(token_seal(k, &a));
	memcpy(t->key, c->key.uuid, UUID_LEN);
	t->wrapping = p->wrapping;
	TRY(rsa_make(p->bits, t->priv, &t->privlen, p->ret->public_key,
	    &p->ret->public_len));
	t->valid_to = clock_wall().tv_sec + KMS_IMPORT_S;
	TRY(import_token_write(a, t, p->ret->token));
	p->ret->tokenlen = IMPORT_SIZE(t->privlen);
	p->ret->valid_to = t->valid_to;
	memcpy(p->ret->arn, c->key.arn, sizeof(c->key.arn));
	return OK;
}

enum err
kms_import_parameters(struct kms *k, const struct kms_who *who,
    const char *keyname, enum kms_wrapping w, unsigned bits,
    struct kms_import *ret)
{
	struct parameters p = { w, bits, ret };
	struct params params;
	char spec_text[16];
	const char *algorithm = kms_wrapping_name(w), *spec = spec_text;
	const struct policy_fact facts[] = {
		POLICY_FACT("kms:WrappingAlgorithm", algorithm),
		POLICY_FACT("kms:WrappingKeySpec", spec),
	};
	struct call c = { .who = who,
		.event = "GetParametersForImport",
		.read_only = true,
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.facts = facts,
		.nfacts = COUNTOF(facts),
		.arg = &p };

	(void)snprintf(spec_text, sizeof(spec_text), "RSA_%u", bits);
	params_begin(&params);
	params_str(&params, "wrappingAlgorithm", algorithm);
	params_str(&params, "wrappingKeySpec", spec);
	return gate_run(k, &c, op_parameters);
}

/* ---- Taking it in ------------------------------------------------------- */

struct import {
	const uint8_t *token;
	size_t tokenlen;
	const uint8_t *wrapped;
	size_t len;
	int64_t expires;
	const struct keyref *key;
	struct key *material;
	uint8_t id[SHA256_LEN];
};

static enum err
token_open(struct kms *k, const struct call *c, const struct import *m,
    struct import_token *t)
{
	struct aead *a CLEANUP_AEAD = NULL;

	TRY(token_seal(k, &a));
	TRY(import_token_read(a, m->token, m->tokenlen, t));
	if (memcmp(t->key, c->key.uuid, UUID_LEN) != 0)
		return err_fail(
		    ERR_BADTOKEN, "the import token is for another key");
	if (t->valid_to < clock_wall().tv_sec)
		return err_fail(ERR_TOKENEXPIRED,
		    "the import token has expired; get new parameters");
	return OK;
}

static enum err
expires_check(int64_t expires)
{
	const int64_t now = clock_wall().tv_sec;

	if (expires == 0 || (expires > now && expires <= now + EXPIRES_MAX_S))
		return OK;
	return err_fail(ERR_INVAL,
	    "imported material expires in the future, within a year");
}

/* A key that had material takes no other: whatever is under it would be lost
 * and nobody would know. */
static enum err
same_check(struct kms *k, const struct import *m, bool *ret_has)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	uint8_t was[SHA256_LEN];
	bool row = false;

	TRY(kdb_query(&k->db, &st,
	    "SELECT imported, EXISTS(SELECT 1 FROM versions "
	    "WHERE key = keys.uuid) FROM keys WHERE uuid = ?",
	    "b", (const void *)m->key->uuid, (size_t)UUID_LEN));
	TRY(kdb_step(&k->db, st, &row));
	if (!row)
		return err_fail(ERR_NOKEY, "no such key");
	*ret_has = sqlite3_column_int(st, 1) != 0;
	if (sqlite3_column_bytes(st, 0) == 0)
		return OK;
	TRY(kdb_col_blob(st, 0, was, sizeof(was)));
	if (secret_cmp(was, m->id, sizeof(was)) != 0)
		return err_fail(ERR_MATERIAL,
		    "%s takes only the material that it had before",
		    m->key->arn);
	return OK;
}

static enum err
import_tx(struct kms *k, void *arg)
{
	const struct import *m = arg;
	const int64_t now = clock_wall().tv_sec;
	uint8_t sealed[MATERIAL_SEALED];
	bool has = false;

	TRY(same_check(k, m, &has));
	TRY(kdb_run(&k->db,
	    "UPDATE keys SET state = ?, expires = ?, imported = ? "
	    "WHERE uuid = ? AND state = ?",
	    "iibbi",
	    (int64_t)(m->key->state == KMS_PENDING_IMPORT ? KMS_ENABLED
							  : m->key->state),
	    m->expires, (const void *)m->id, sizeof(m->id),
	    (const void *)m->key->uuid, (size_t)UUID_LEN,
	    (int64_t)m->key->state));
	TRY(keys_changed(k, m->key));
	if (has)
		return OK;
	TRY(material_seal_as(k->seal, k->uuid, m->key->uuid, m->key->tenant,
	    m->key->kind, 1, now, m->material->b, sealed));
	return kdb_run(&k->db,
	    "INSERT INTO versions(key, version, created, sealed, reason) "
	    "VALUES(?, 1, ?, ?, ?)",
	    "bibi", (const void *)m->key->uuid, (size_t)UUID_LEN, now,
	    (const void *)sealed, sizeof(sealed), (int64_t)VERSION_BY_ITSELF);
}

static enum err
op_import(struct kms *k, struct call *c)
{
	struct import_token *t CLEANUP_TOKEN = secret_alloc(sizeof(*t));
	struct key *material CLEANUP_KEY = key_new();
	struct import *m = c->arg;

	if (t == NULL || material == NULL)
		return ERR_NOMEM;
	TRY(external(k, c, "kms:ImportKeyMaterial"));
	TRY(token_open(k, c, m, t));
	TRY(expires_check(m->expires));
	TRY(import_unwrap(t, m->wrapped, m->len, material));
	TRY(material_imported(k, c->key.uuid, material->b, m->id));
	m->key = &c->key;
	m->material = material;
	return kms_change(k, import_tx, m, false);
}

enum err
kms_import_material(struct kms *k, const struct kms_who *who,
    const char *keyname, const uint8_t *token, size_t tokenlen,
    const uint8_t *wrapped, size_t len, int64_t expires)
{
	struct import m = { .token = token,
		.tokenlen = tokenlen,
		.wrapped = wrapped,
		.len = len,
		.expires = expires };
	struct params params;
	char until_text[CLOCK_ISO_LEN + 1];
	const char *until = until_text,
		   *model = expires != 0 ? "KEY_MATERIAL_EXPIRES"
					 : "KEY_MATERIAL_DOES_NOT_EXPIRE";
	const struct policy_fact facts[] = {
		POLICY_FACT("kms:ExpirationModel", model),
		POLICY_FACT("kms:ValidTo", until),
	};
	struct call c = { .who = who,
		.event = "ImportKeyMaterial",
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.facts = facts,
		.nfacts = expires != 0 ? 2 : 1,
		.arg = &m };

	clock_iso((time_t)expires, until_text);
	params_begin(&params);
	params_str(&params, "expirationModel", model);
	if (expires != 0)
		params_str(&params, "validTo", until);
	return gate_run(k, &c, op_import);
}

/* ---- Wiping it ---------------------------------------------------------- */

static enum err
versions_delete(struct kms *k, const uint8_t uuid[static UUID_LEN])
{

	return kdb_run(&k->db, "DELETE FROM versions WHERE key = ?", "b",
	    (const void *)uuid, (size_t)UUID_LEN);
}

static enum err
wipe_tx(struct kms *k, void *arg)
{
	const struct keyref *key = arg;

	TRY(kdb_run(&k->db,
	    "UPDATE keys SET state = ?, expires = 0 WHERE uuid = ? "
	    "AND state = ?",
	    "ibi", (int64_t)KMS_PENDING_IMPORT, (const void *)key->uuid,
	    (size_t)UUID_LEN, (int64_t)key->state));
	TRY(keys_changed(k, key));
	return versions_delete(k, key->uuid);
}

static enum err
op_wipe(struct kms *k, struct call *c)
{

	TRY(gate_key(
	    k, c, c->keyname, "kms:DeleteImportedKeyMaterial", &c->key));
	TRY(state_managed(&c->key));
	if (c->key.origin != KMS_ORIGIN_EXTERNAL)
		return state_allows(&c->key, KEY_OP_IMPORT);
	/* What waits for its deletion, or for material, is left as it is. */
	if (c->key.state == KMS_PENDING_DELETION ||
	    c->key.state == KMS_PENDING_IMPORT)
		return OK;
	TRY(kms_change(k, wipe_tx, &c->key, true));
	keys_erase(k);
	return OK;
}

enum err
kms_import_delete(struct kms *k, const struct kms_who *who, const char *keyname)
{
	struct call c = { .who = who,
		.event = "DeleteImportedKeyMaterial",
		.keyname = keyname == NULL ? "" : keyname };

	return gate_run(k, &c, op_wipe);
}

/* The time stays in the row: it tells why the key cannot be used. */
static enum err
expire_tx(struct kms *k, void *arg)
{
	const struct due *d = arg;

	TRY(kdb_run(&k->db,
	    "UPDATE keys SET state = CASE state WHEN ? THEN state ELSE ? END "
	    "WHERE uuid = ? AND expires <> 0 AND expires <= ? "
	    "AND EXISTS(SELECT 1 FROM versions WHERE key = keys.uuid)",
	    "iibi", (int64_t)KMS_PENDING_DELETION, (int64_t)KMS_PENDING_IMPORT,
	    (const void *)d->uuid, (size_t)UUID_LEN, d->now));
	if (sqlite3_changes(k->db.h) == 0)
		return ERR_EXIST;
	return versions_delete(k, d->uuid);
}

enum err
keys_expire_due(struct kms *k, struct due *d)
{
	const struct kms_who who = {
		.tenant = d->tenant, .user = "ssefs", .agent = "timer"
	};
	/* No waiting for the watcher: it is the one that is here. */
	const enum err e = kms_change(k, expire_tx, d, false);

	if (e == ERR_EXIST) /* another process was faster */
		return kms_fresh(k);
	TRY(e);
	keys_erase(k);
	log_info("the imported material of key %s has expired", d->arn);
	return keys_record(
	    k, &who, "DeleteExpiredKeyMaterial", d->tenant, d->uuid, OK);
}
