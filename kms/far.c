/*
 * Keys elsewhere.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"

#include "kms/api.h"
#include "kms/far.h"
#include "kms/pkcs11.h"
#include "kms/remote.h"

#define CHUNK_MIN UINT64_C(16)
#define CHUNK_MAX UINT64_C(65536)

_Static_assert(PROVIDER_PLAIN_MAX == BLOB_PLAIN_MAX, "one plaintext");
_Static_assert(BLOB_FAR_MAX == KMS_CIPHER_MAX, "one ceiling");
_Static_assert(BLOB_HEAD + PROVIDER_SEALED_MAX == BLOB_FAR_MAX, "it fits");

static const struct provider_ops *const kinds[] = { &provider_pkcs11,
	&provider_remote };

/* ---- Open providers -------------------------------------------------------- */

const struct provider_ops *
far_kind(const char *uri)
{

	/* The path of a module. */
	if (*uri == '/')
		return &provider_pkcs11;
	for (size_t i = 0; i < COUNTOF(kinds); i++) {
		const size_t n = strlen(kinds[i]->scheme);

		if (strncmp(uri, kinds[i]->scheme, n) == 0 && uri[n] == ':')
			return kinds[i];
	}
	return NULL;
}

enum err
far_conf(struct kms *k, int64_t id, uint8_t *text, struct provider_option *opt,
    struct provider_conf *ret)
{
	uint8_t *sealed CLEANUP_FREE = NULL;
	char name[KMS_NAME_MAX];
	size_t len = 0;

	TRY(kms_fresh(k));
	rwlock_read(&k->tab_lock);
	const struct tprovider *t = table_provider(k->tab, id);

	if (t != NULL) {
		memcpy(name, t->name, sizeof(name));
		len = t->len;
		sealed = malloc(len);
		if (sealed != NULL)
			memcpy(sealed, t->sealed, len);
	}
	rwlock_drop(&k->tab_lock);
	if (t == NULL)
		return err_fail(ERR_CORRUPT,
		    "keystore: a key is with a provider that is not there");
	if (sealed == NULL)
		return ERR_NOMEM;
	TRY(conf_open(k->seal, k->uuid, id, name, sealed, len, text));
	return conf_unpack(text, len - AEAD_OVERHEAD, opt, ret);
}

/* prov_lock held. */
static struct far *
opened(struct kms *k, int64_t id)
{

	for (struct far *f = k->far; f != NULL; f = f->next)
		if (f->id == id)
			return f;
	return NULL;
}

enum err
far_get(struct kms *k, int64_t id, struct far **ret)
{
	struct provider_option opt[PROVIDER_OPTIONS_MAX];
	uint8_t *text CLEANUP_FREE = NULL;
	struct far *f CLEANUP_FREE = NULL;
	struct provider_conf conf;

	lock_take(&k->prov_lock);
	*ret = opened(k, id);
	lock_drop(&k->prov_lock);
	if (*ret != NULL)
		return OK;
	text = malloc(CONF_MAX);
	f = calloc(1, sizeof(*f));
	if (text == NULL || f == NULL)
		return ERR_NOMEM;
	TRY(far_conf(k, id, text, opt, &conf));
	f->id = id;
	f->ops = far_kind(conf.uri);
	if (f->ops == NULL)
		return err_fail(
		    ERR_VERSION, "this ssefs knows no such kind of provider");
	LOCK_SCOPE(&k->prov_lock);
	*ret = opened(k, id);
	if (*ret != NULL)
		return OK;
	TRY(f->ops->open(&conf, &f->p));
	f->next = k->far;
	k->far = f;
	*ret = steal(f);
	return OK;
}

void
far_close_all(struct kms *k)
{

	while (k->far != NULL) {
		struct far *f = k->far;

		k->far = f->next;
		f->ops->close(f->p);
		free(f);
	}
}

/* ---- Counting -------------------------------------------------------------- */

/* Take one of the messages that this process may encrypt; false: none is left,
 * *${ret_chunk} is how many to ask for. */
static bool
take_one(struct kms *k, const struct keyref *key, uint64_t *ret_chunk)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, key->uuid);
	struct far_version *f = t == NULL || t->nv < key->version
				    ? NULL
				    : t->v[key->version - 1].far;
	uint64_t left = f == NULL ? 0 : atomic_load(&f->budget);

	while (left != 0)
		if (atomic_compare_exchange_weak(&f->budget, &left, left - 1))
			return true;
	left = f == NULL ? 0 : 2 * atomic_load(&f->chunk);
	*ret_chunk = left < CHUNK_MIN   ? CHUNK_MIN
		     : left > CHUNK_MAX ? CHUNK_MAX
					: left;
	return false;
}

static void
add_budget(struct kms *k, const struct keyref *key, uint64_t chunk)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, key->uuid);

	if (t == NULL || t->nv < key->version ||
	    t->v[key->version - 1].far == NULL)
		return;
	(void)atomic_fetch_add(&t->v[key->version - 1].far->budget, chunk - 1);
	atomic_store(&t->v[key->version - 1].far->chunk, chunk);
}

/* Note ${chunk} messages in the keystore before the first is encrypted: a crash
 * loses some, and none is ever uncounted. */
static enum err
reserve_chunk(struct kms *k, const struct keyref *key, uint64_t chunk,
    uint64_t limit, bool *ret_old)
{
	LOCK_SCOPE(&k->conn);
	struct kdb_tx tx CLEANUP_TX = { NULL };
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t wraps = 0;
	bool row = false;

	TRY(kdb_begin(&k->db, &tx));
	TRY(kdb_query(&k->db, &st,
	    "SELECT wraps FROM versions WHERE key = ? AND version = ?", "bi",
	    (const void *)key->uuid, (size_t)UUID_LEN, (int64_t)key->version));
	TRY(kdb_step(&k->db, st, &row));
	if (!row)
		return err_fail(ERR_NOKEY, "no such key");
	TRY(kdb_col_int(st, 0, 0, INT64_MAX, &wraps));
	*ret_old = (uint64_t)wraps >= limit / 2;
	if ((uint64_t)wraps > limit || chunk > limit - (uint64_t)wraps)
		return err_fail(ERR_LIMIT,
		    "%s: version %" PRIu32 " has encrypted as many messages "
		    "as one key may; rotate it",
		    key->arn, key->version);
	TRY(kdb_run(&k->db,
	    "UPDATE versions SET wraps = wraps + ? "
	    "WHERE key = ? AND version = ?",
	    "ibi", (int64_t)chunk, (const void *)key->uuid, (size_t)UUID_LEN,
	    (int64_t)key->version));
	return kdb_commit(&tx);
}

/* One more message under a far key that ${limit} allows in all.  At half of it
 * the key gets a new version. */
static enum err
count_message(struct kms *k, const struct keyref *key, uint64_t limit)
{
	uint64_t chunk = 0;
	bool old = false;

	if (limit == 0 || take_one(k, key, &chunk))
		return OK;
	const enum err e = reserve_chunk(k, key, chunk, limit, &old);

	if (old)
		keys_rotate_full(k, key);
	TRY(e);
	add_budget(k, key, chunk);
	return OK;
}

/* ---- Messages -------------------------------------------------------------- */

static enum err
limit_is_altered(enum err e)
{

	return e == ERR_LIMIT ? err_fail(ERR_AUTH, BLOB_ALTERED) : e;
}

static void
message_of(struct provider_msg *m, const struct keyref *key,
    const struct context *c, const struct kms_pair *ctx, size_t n)
{

	*m = (struct provider_msg){ .ref = key->far->ref,
		.reflen = key->far->reflen,
		.ad = c->p - BLOB_HEAD,
		.adlen = BLOB_HEAD + c->len,
		.ctx = ctx,
		.nctx = n };
}

enum err
far_seal(struct kms *k, struct keyref *key, struct context *c,
    const struct kms_pair *ctx, size_t n, const uint8_t *plain, size_t len,
    uint8_t *ret, size_t *ret_len)
{
	/* A data key's blob has less room: files keep it. */
	const size_t room =
	    (len == KEY_LEN ? (size_t)KMS_BLOB_MAX : (size_t)BLOB_FAR_MAX) -
	    BLOB_HEAD;
	struct blob_id id = { .version = key->version };
	struct provider_msg m;
	struct far *f = NULL;
	size_t got = 0;

	TRY(far_get(k, key->far->provider, &f));
	TRY(count_message(k, key, f->ops->limit));
	memcpy(id.uuid, key->uuid, UUID_LEN);
	id.suite = (enum blob_suite)f->ops->suite;
	blob_head(&id, ret);
	memcpy(c->p - BLOB_HEAD, ret, BLOB_HEAD);
	message_of(&m, key, c, ctx, n);
	if (!f->ops->sealed_iv) {
		TRY(f->ops->wrap(
		    f->p, &m, plain, len, ret + BLOB_HEAD, room, &got));
	} else {
		/* Its nonce ends where the head does, then goes to its place;
		 * the commitment stands there no more. */
		uint8_t *const at = ret + BLOB_HEAD - PROVIDER_IV;

		TRY(f->ops->wrap(
		    f->p, &m, plain, len, at, room + PROVIDER_IV, &got));
		got -= PROVIDER_IV;
		memcpy(ret + BLOB_IV, at, PROVIDER_IV);
		memset(at, 0, PROVIDER_IV);
	}
	*ret_len = BLOB_HEAD + got;
	return gate_still(k, key);
}

enum err
far_open(struct kms *k, struct keyref *key, struct context *c,
    const struct kms_pair *ctx, size_t n, const uint8_t *blob,
    struct blob_id *id, uint8_t *ret)
{
	uint8_t *copy CLEANUP_FREE = NULL;
	const uint8_t *sealed = blob + BLOB_HEAD;
	size_t len = id->size - BLOB_HEAD, got = 0;
	struct provider_msg m;
	struct far *f = NULL;
	enum err e;

	TRY(far_get(k, key->far->provider, &f));
	if (id->suite != (enum blob_suite)f->ops->suite)
		return err_fail(ERR_AUTH, BLOB_ALTERED);
	memcpy(c->p - BLOB_HEAD, blob, BLOB_HEAD);
	if (f->ops->sealed_iv) {
		len += PROVIDER_IV;
		copy = malloc(len);
		if (copy == NULL)
			return ERR_NOMEM;
		memcpy(copy, blob + BLOB_IV, PROVIDER_IV);
		memcpy(copy + PROVIDER_IV, sealed, len - PROVIDER_IV);
		sealed = copy;
		memset(c->p - BLOB_HEAD + BLOB_IV, 0, PROVIDER_IV);
	}
	message_of(&m, key, c, ctx, n);
	e = limit_is_altered(
	    f->ops->unwrap(f->p, &m, sealed, len, ret, id->len, &got));
	if (e == OK)
		e = gate_still(k, key);
	if (e == OK)
		id->len = got;
	else
		secret_wipe(ret, id->len);
	return e;
}

/* ---- Keys ------------------------------------------------------------------ */

enum err
far_make(struct kms *k, int64_t provider, const uint8_t *uuid,
    const char *tenant, struct far_key *ret)
{
	char label[64], text[UUID_STRLEN + 1];
	struct far *f = NULL;

	*ret = (struct far_key){ .provider = provider };
	if (provider == 0)
		return OK;
	TRY(far_get(k, provider, &f));
	uuid_format(uuid, text);
	(void)snprintf(label, sizeof(label), "ssefs:%s", text);
	return f->ops->make_key(f->p, tenant, label, ret->ref, &ret->reflen);
}

void
far_drop(struct kms *k, const struct far_key *f)
{
	struct far *far = NULL;
	enum err e;

	if (f->provider == 0 || f->reflen == 0)
		return;
	e = far_get(k, f->provider, &far);
	if (e == OK && far->ops->destroy_key == NULL)
		return;
	if (e == OK)
		e = far->ops->destroy_key(far->p, f->ref, f->reflen);
	if (e != OK)
		log_warn("a key that is not needed any more could not be "
			 "destroyed in its provider: %s",
		    err_detail(e));
}

/* The reference of a far version; ERR_NOENT: it is here. */
static enum err
reference_of(
    struct kms *k, const struct tkey *t, uint32_t version, struct far_key *ret)
{
	const struct version *v = &t->v[version - 1];
	const struct reference_place at = { .ks = k->uuid,
		.key = t->uuid,
		.tenant = t->tenant,
		.kind = t->kind,
		.version = version,
		.created = v->created };

	*ret = (struct far_key){ .provider = v->provider };
	if (v->far == NULL)
		return ERR_NOENT;
	return reference_open(k->seal, &at, v->far->sealed, v->far->len, ret);
}

enum err
far_check(struct kms *k, const uint8_t uuid[static UUID_LEN])
{
	struct far_key ref = { 0 };
	struct far *f = NULL;
	enum err e = ERR_NOENT;

	rwlock_read(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, uuid);

	if (t != NULL && t->nv != 0)
		e = reference_of(k, t, t->nv, &ref);
	rwlock_drop(&k->tab_lock);
	if (e == ERR_NOENT)
		return OK;
	TRY(e);
	TRY(far_get(k, ref.provider, &f));
	return f->ops->check(f->p, ref.ref, ref.reflen);
}

enum err
far_keys(struct kms *k, const uint8_t uuid[static UUID_LEN],
    struct far_key **ret, size_t *ret_n)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, uuid);

	*ret = NULL;
	*ret_n = 0;
	if (t == NULL || t->nv == 0)
		return OK;
	*ret = calloc(t->nv, sizeof(**ret));
	if (*ret == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 1; i <= t->nv; i++) {
		const enum err e = reference_of(k, t, i, &(*ret)[*ret_n]);

		if (e == OK)
			++*ret_n;
		else if (e != ERR_NOENT)
			return e;
	}
	return OK;
}

enum err
far_choice(struct kms *k, int64_t *ret)
{

	*ret = 0;
	TRY(kms_fresh(k));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	if (k->tab->choice == NULL)
		return OK;
	return choice_open(k->seal, k->uuid, k->tab->choice, ret);
}

enum err
far_of(struct kms *k, const uint8_t uuid[static UUID_LEN], int64_t *ret)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);
	const struct tkey *t = table_by_id(k->tab, uuid);

	if (t == NULL)
		return err_fail(ERR_NOKEY, "no such key");
	*ret = t->nv == 0 ? 0 : t->v[t->nv - 1].provider;
	return OK;
}
