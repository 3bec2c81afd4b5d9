/*
 * Keys in a PKCS#11 token.
 *
 * A reference is one byte, 1, and the CKA_ID (16 random bytes) of an AES-256 key
 * that was generated in the token, is sensitive and cannot be extracted.  A
 * sealed message is the nonce (12 bytes), the ciphertext and the tag (16) of
 * AES-GCM, in one call, without an object being made for what is encrypted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/rand.h"
#include "crypto/secret.h"

#include "kms/blob.h"
#include "kms/pkcs11.h"
#include "kms/pkcs11_module.h"
#include "kms/pkcs11_pool.h"
#include "kms/provider.h"

/* Of PKCS#11 3.0, whose header this is not. */
#ifndef CKR_AEAD_DECRYPT_FAILED
#define CKR_AEAD_DECRYPT_FAILED 0x42UL
#endif

#define REF_VERSION 1
#define REF_LEN (1 + P11_ID_LEN)
#define TAG_LEN 16
#define BLOCK 16
/* NIST SP 800-38D allows 2^32 messages with random nonces under one key. */
#define MESSAGES_MAX (UINT64_C(1) << 32)

struct p11 {
	struct p11_pool *pool;
	bool token_iv; /* the token makes the nonce */
	char object[P11_OBJECT_MAX];
};

/* ---- Configuration -------------------------------------------------------- */

/* Decimal, ${min} to ${max}. */
static enum err
number_parse(
    const char *name, const char *s, uint64_t min, uint64_t max, unsigned *ret)
{
	uint64_t n = 0;

	for (const char *p = s; *p != '\0'; p++) {
		if (*p < '0' || *p > '9' || n > max)
			n = max + 1;
		else
			n = 10 * n + (uint64_t)(*p - '0');
	}
	if (n < min || n > max)
		return err_fail(ERR_INVAL, "%s must be %" PRIu64 " to %" PRIu64,
		    name, min, max);
	*ret = (unsigned)n;
	return OK;
}

enum err
p11_conf_parse(const struct provider_conf *c, struct p11_conf *ret)
{

	ret->token_iv = false;
	ret->only_root = false;
	ret->sessions = P11_SESSIONS;
	ret->ms = P11_LIMIT_MS;
	TRY(p11_uri_parse(c->uri, &ret->uri));
	for (size_t i = 0; i < c->nopt; i++) {
		const char *name = c->opt[i].name, *value = c->opt[i].value;

		if (strcmp(name, "sessions") == 0) {
			TRY(number_parse(
			    name, value, 1, P11_SESSIONS_MAX, &ret->sessions));
		} else if (strcmp(name, "timeout") == 0) {
			TRY(number_parse(name, value, P11_LIMIT_MIN,
			    P11_LIMIT_MAX, &ret->ms));
		} else if (strcmp(name, "iv") == 0) {
			ret->token_iv = strcmp(value, "token") == 0;
			if (!ret->token_iv && strcmp(value, "caller") != 0)
				return err_fail(
				    ERR_INVAL, "iv is \"caller\" or \"token\"");
		} else if (strcmp(name, "only-root") == 0) {
			ret->only_root = strcmp(value, "yes") == 0;
			if (!ret->only_root && strcmp(value, "no") != 0)
				return err_fail(ERR_INVAL,
				    "only-root is \"yes\" or \"no\"");
		} else {
			TRY(p11_uri_set(&ret->uri, name, value));
		}
	}
	if (ret->uri.token[0] == '\0' && ret->uri.serial[0] == '\0' &&
	    !ret->uri.has_slot)
		return err_fail(
		    ERR_INVAL, "which token? give token, serial or slot-id");
	return OK;
}

static void
p11_close(void *arg)
{
	struct p11 *p = arg;

	p11_pool_free(p->pool);
	free(p);
}

static void
p11_cleanup(struct p11 **p)
{

	if (*p != NULL)
		p11_close(*p);
}

static enum err
p11_open(const struct provider_conf *conf, void **ret)
{
	struct p11_conf *c CLEANUP_FREE = calloc(1, sizeof(*c));
	struct p11 *p CLEANUP(p11_cleanup) = calloc(1, sizeof(*p));

	if (c == NULL || p == NULL)
		return ERR_NOMEM;
	TRY(p11_conf_parse(conf, c));
	if (c->only_root && c->uri.module[0] != '\0')
		TRY(p11_module_resolve(c->uri.module));
	p->token_iv = c->token_iv;
	memcpy(p->object, c->uri.object, sizeof(p->object));
	TRY(p11_pool_new(&c->uri, c->sessions, c->ms, &p->pool));
	*ret = steal(p);
	return OK;
}

/* ---- Errors --------------------------------------------------------------- */

/* Of calls that did not reach the end though the token is there. */
static enum err
failed(const char *what, ck_rv_t rv)
{

	switch (rv) {
	case CKR_OK:
		return OK;
	case CKR_HOST_MEMORY:
		return ERR_NOMEM;
	case CKR_KEY_FUNCTION_NOT_PERMITTED:
	case CKR_ACTION_PROHIBITED:
	case CKR_SESSION_READ_ONLY:
	case CKR_TOKEN_WRITE_PROTECTED:
		return err_fail(ERR_ACCESS, "the token refuses %s: %s", what,
		    p11_rv_name(rv));
	case CKR_DEVICE_MEMORY:
		return err_fail(ERR_IO, "the token is full: %s fails", what);
	case CKR_MECHANISM_INVALID:
	case CKR_MECHANISM_PARAM_INVALID:
		return err_fail(ERR_CRYPTO,
		    "the token has not what is needed for %s: %s", what,
		    p11_rv_name(rv));
	default:
		return err_fail(
		    ERR_CRYPTO, "%s in the token: %s", what, p11_rv_name(rv));
	}
}

static enum err
ref_id(const uint8_t *ref, size_t len, const uint8_t **ret)
{

	if (len != REF_LEN || ref[0] != REF_VERSION)
		return err_fail(
		    ERR_CORRUPT, "keystore: no reference to a token's key");
	*ret = ref + 1;
	return OK;
}

/* ---- Keys ----------------------------------------------------------------- */

/* The call of a new block that begins with one. */
static struct p11_call *
call_of(void *block, p11_fn *fn, const uint8_t *id)
{
	struct p11_call *c = block;

	if (c == NULL)
		return NULL;
	c->fn = fn;
	c->keyed = id != NULL;
	if (id != NULL)
		memcpy(c->id, id, P11_ID_LEN);
	return c;
}

struct make {
	struct p11_call c;
	uint8_t id[P11_ID_LEN];
	char label[P11_OBJECT_MAX];
};

static ck_rv_t
do_make(struct ck_function_list *f, ck_session_handle_t s,
    ck_object_handle_t key, struct p11_call *c)
{
	struct make *m = (struct make *)c;
	struct ck_mechanism mech = { CKM_AES_KEY_GEN, NULL, 0 };
	unsigned char yes = 1, no = 0;
	unsigned long len = KEY_LEN;
	ck_object_class_t class = CKO_SECRET_KEY;
	ck_key_type_t type = CKK_AES;
	struct ck_attribute a[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_VALUE_LEN, &len, sizeof(len) }, { CKA_TOKEN, &yes, 1 },
		{ CKA_PRIVATE, &yes, 1 }, { CKA_SENSITIVE, &yes, 1 },
		{ CKA_EXTRACTABLE, &no, 1 }, { CKA_MODIFIABLE, &no, 1 },
		{ CKA_ENCRYPT, &yes, 1 }, { CKA_DECRYPT, &yes, 1 },
		{ CKA_WRAP, &no, 1 }, { CKA_UNWRAP, &no, 1 },
		{ CKA_SIGN, &no, 1 }, { CKA_VERIFY, &no, 1 },
		{ CKA_DERIVE, &no, 1 }, { CKA_ID, m->id, sizeof(m->id) },
		{ CKA_LABEL, m->label, strlen(m->label) } };

	/* Each time another: an earlier try may have made one. */
	rand_bytes(m->id, sizeof(m->id));
	return f->C_GenerateKey(s, &mech, a, COUNTOF(a), &key);
}

static ck_rv_t
do_nothing(struct ck_function_list *f, ck_session_handle_t s,
    ck_object_handle_t key, struct p11_call *c)
{

	(void)f;
	(void)s;
	(void)key;
	(void)c;
	return CKR_OK;
}

/* A call that needs nothing but the key; what the function said goes to
 * ${ret_rv}. */
static enum err
run_plain(
    struct p11 *p, p11_fn *fn, const uint8_t *id, bool write, ck_rv_t *ret_rv)
{
	struct p11_call *c CLEANUP_CALL =
	    call_of(p11_job_new(sizeof(*c)), fn, id);

	if (c == NULL)
		return ERR_NOMEM;
	c->write = write;
	TRY(p11_pool_run(p->pool, &c));
	*ret_rv = c->rv;
	return OK;
}

static enum err
p11_make_key(void *arg, const char *tenant, const char *label,
    uint8_t ret[static PROVIDER_REF_MAX], size_t *ret_len)
{
	struct p11 *p = arg;
	struct make *m = p11_job_new(sizeof(*m));
	struct p11_call *c CLEANUP_CALL = call_of(m, do_make, NULL);
	ck_rv_t rv = CKR_OK;

	(void)tenant;
	if (m == NULL)
		return ERR_NOMEM;
	c->write = true;
	(void)snprintf(m->label, sizeof(m->label), "%s",
	    p->object[0] != '\0' ? p->object : label);
	TRY(p11_pool_run(p->pool, &c));
	TRY(failed("making a key", c->rv));
	ret[0] = REF_VERSION;
	memcpy(ret + 1, m->id, P11_ID_LEN);
	*ret_len = REF_LEN;
	/* Is it as it was asked for? */
	return run_plain(p, do_nothing, ret + 1, false, &rv);
}

static ck_rv_t
do_destroy(struct ck_function_list *f, ck_session_handle_t s,
    ck_object_handle_t key, struct p11_call *c)
{

	(void)c;
	return f->C_DestroyObject(s, key);
}

static enum err
p11_destroy_key(void *arg, const uint8_t *ref, size_t reflen)
{
	struct p11 *p = arg;
	const uint8_t *id = NULL;
	ck_rv_t rv = CKR_OK;
	enum err e;

	TRY(ref_id(ref, reflen, &id));
	e = run_plain(p, do_destroy, id, true, &rv);
	/* Destroyed before. */
	if (e == ERR_NOKEY)
		return OK;
	TRY(e);
	return failed("destroying a key", rv);
}

/* Reaches for the token even if nothing is asked. */
static ck_rv_t
do_check(struct ck_function_list *f, ck_session_handle_t s,
    ck_object_handle_t key, struct p11_call *c)
{
	struct ck_session_info info;
	unsigned long len = 0;
	struct ck_attribute a = { CKA_VALUE_LEN, &len, sizeof(len) };

	(void)c;
	if (key == 0)
		return f->C_GetSessionInfo(s, &info);
	return f->C_GetAttributeValue(s, key, &a, 1);
}

static enum err
p11_check(void *arg, const uint8_t *ref, size_t reflen)
{
	struct p11 *p = arg;
	const uint8_t *id = NULL;
	ck_rv_t rv = CKR_OK;

	if (ref != NULL)
		TRY(ref_id(ref, reflen, &id));
	TRY(run_plain(p, do_check, id, false, &rv));
	return failed("a look at the key", rv);
}

/* ---- Messages ------------------------------------------------------------- */

/* Copies of everything, since a call may outlive its caller. */
struct message {
	struct p11_call c;
	bool token_iv;
	bool no_iv; /* the token was to make one and did not */
	size_t adlen, len, room, ret_len;
	uint8_t *ad, *in, *ret; /* in ${bytes} */
	uint8_t bytes[];
};

static struct message *
message_new(
    const struct provider_msg *m, const uint8_t *in, size_t len, size_t room)
{
	struct message *w = p11_job_new(sizeof(*w) + m->adlen + len + room);

	if (w == NULL)
		return NULL;
	w->ad = w->bytes;
	w->adlen = m->adlen;
	memcpy(w->ad, m->ad, m->adlen);
	w->in = w->ad + m->adlen;
	w->len = len;
	memcpy(w->in, in, len);
	w->ret = w->in + len;
	w->room = room;
	return w;
}

static void
gcm(struct ck_gcm_params *p, struct ck_mechanism *mech, uint8_t *iv,
    const struct message *w)
{

	*p = (struct ck_gcm_params){ .iv_ptr = iv,
		.iv_len = PROVIDER_IV,
		.iv_bits = 8 * PROVIDER_IV,
		.aad_ptr = w->ad,
		.aad_len = w->adlen,
		.tag_bits = 8 * TAG_LEN };
	*mech = (struct ck_mechanism){ CKM_AES_GCM, p, sizeof(*p) };
}

static ck_rv_t
do_wrap(struct ck_function_list *f, ck_session_handle_t s,
    ck_object_handle_t key, struct p11_call *c)
{
	static const uint8_t zero[PROVIDER_IV];
	struct message *w = (struct message *)c;
	uint8_t iv[PROVIDER_IV] = { 0 };
	struct ck_gcm_params p;
	struct ck_mechanism mech;
	unsigned long n = w->room - PROVIDER_IV;
	ck_rv_t rv;

	if (!w->token_iv)
		rand_bytes(iv, sizeof(iv));
	gcm(&p, &mech, iv, w);
	rv = f->C_EncryptInit(s, &mech, key);
	if (rv == CKR_OK)
		rv = f->C_Encrypt(s, w->in, w->len, w->ret + PROVIDER_IV, &n);
	if (rv != CKR_OK)
		return rv;
	/* A token that makes the nonce itself wrote it here, whoever was to. */
	w->no_iv = p.iv_ptr != iv || p.iv_len != sizeof(iv) ||
		   memcmp(iv, zero, sizeof(iv)) == 0;
	memcpy(w->ret, iv, sizeof(iv));
	w->ret_len = PROVIDER_IV + n;
	return CKR_OK;
}

static enum err
p11_wrap(void *arg, const struct provider_msg *m, const uint8_t *plain,
    size_t len, uint8_t *ret, size_t room, size_t *ret_len)
{
	struct p11 *p = arg;
	const size_t size = PROVIDER_IV + len + TAG_LEN;
	const uint8_t *id = NULL;

	TRY(ref_id(m->ref, m->reflen, &id));
	if (room < size)
		return ERR_LIMIT;
	struct message *w = message_new(m, plain, len, size + BLOCK);
	struct p11_call *c CLEANUP_CALL = call_of(w, do_wrap, id);

	if (w == NULL)
		return ERR_NOMEM;
	w->token_iv = p->token_iv;
	TRY(p11_pool_run(p->pool, &c));
	TRY(failed("encrypting", c->rv));
	if (w->no_iv)
		return err_fail(ERR_CRYPTO,
		    "the token made no nonce of its own; configure iv=caller");
	if (w->ret_len != size)
		return err_fail(ERR_CRYPTO,
		    "the token answered with %zu bytes, not those of AES-GCM",
		    w->ret_len);
	memcpy(ret, w->ret, size);
	*ret_len = size;
	return OK;
}

static ck_rv_t
do_unwrap(struct ck_function_list *f, ck_session_handle_t s,
    ck_object_handle_t key, struct p11_call *c)
{
	struct message *w = (struct message *)c;
	uint8_t iv[PROVIDER_IV];
	struct ck_gcm_params p;
	struct ck_mechanism mech;
	unsigned long n = w->room;
	ck_rv_t rv;

	memcpy(iv, w->in, sizeof(iv));
	gcm(&p, &mech, iv, w);
	rv = f->C_DecryptInit(s, &mech, key);
	if (rv == CKR_OK)
		rv = f->C_Decrypt(
		    s, w->in + PROVIDER_IV, w->len - PROVIDER_IV, w->ret, &n);
	w->ret_len = n;
	return rv;
}

/* SoftHSM says CKR_GENERAL_ERROR of a wrong tag; that the token is there was
 * looked at then. */
static enum err
unwrap_failed(ck_rv_t rv)
{

	switch (rv) {
	case CKR_AEAD_DECRYPT_FAILED:
	case CKR_ARGUMENTS_BAD:
	case CKR_DATA_INVALID:
	case CKR_DATA_LEN_RANGE:
	case CKR_ENCRYPTED_DATA_INVALID:
	case CKR_ENCRYPTED_DATA_LEN_RANGE:
	case CKR_FUNCTION_FAILED:
	case CKR_GENERAL_ERROR:
	case CKR_SIGNATURE_INVALID:
		return err_fail(ERR_AUTH, BLOB_ALTERED);
	default:
		return failed("decrypting", rv);
	}
}

static enum err
p11_unwrap(void *arg, const struct provider_msg *m, const uint8_t *sealed,
    size_t len, uint8_t *ret, size_t room, size_t *ret_len)
{
	struct p11 *p = arg;
	const uint8_t *id = NULL;

	TRY(ref_id(m->ref, m->reflen, &id));
	if (len <= PROVIDER_IV + TAG_LEN)
		return err_fail(ERR_AUTH, BLOB_ALTERED);
	const size_t size = len - PROVIDER_IV - TAG_LEN;

	if (room < size)
		return ERR_LIMIT;
	/* What the token writes before it has seen the tag goes no further,
	 * and it wants room for a block more, some do. */
	struct message *w = message_new(m, sealed, len, len);
	struct p11_call *c CLEANUP_CALL = call_of(w, do_unwrap, id);

	if (w == NULL)
		return ERR_NOMEM;
	TRY(p11_pool_run(p->pool, &c));
	TRY(unwrap_failed(c->rv));
	if (w->ret_len != size)
		return err_fail(ERR_CRYPTO,
		    "the token decrypted %zu bytes of %zu", w->ret_len, size);
	memcpy(ret, w->ret, size);
	*ret_len = size;
	return OK;
}

const struct provider_ops provider_pkcs11 = { .scheme = "pkcs11",
	.suite = BLOB_SUITE_P11,
	.limit = MESSAGES_MAX,
	.sealed_iv = true,
	.open = p11_open,
	.close = p11_close,
	.check = p11_check,
	.make_key = p11_make_key,
	.destroy_key = p11_destroy_key,
	.wrap = p11_wrap,
	.unwrap = p11_unwrap };
