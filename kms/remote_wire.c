/*
 * remote_wire: see the header.
 */
#include <stdio.h>
#include <string.h>

#include "crypto/digest.h"
#include "kms/remote_wire.h"
#include "lib/base/codec.h"
#include "lib/json/json.h"

static const struct jlimits limits = { WIRE_BODY_MAX, 8, 1000 };

/* ---- Requests ------------------------------------------------------------- */

/* The context as it came, and the hash of all that the message is bound to. */
static enum err
put_context(struct jout *j, const struct provider_msg *m)
{
	uint8_t hash[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];

	jout_object(j, "EncryptionContext");
	for (size_t i = 0; i < m->nctx; i++) {
		if (strcmp(m->ctx[i].key, WIRE_BOUND) == 0)
			return err_fail(ERR_INVAL,
			    "the encryption context must not have %s",
			    WIRE_BOUND);
		jout_str(j, m->ctx[i].key, m->ctx[i].value);
	}
	sha256(m->ad, m->adlen, hash);
	hex_encode(hash, sizeof(hash), hex);
	jout_str(j, WIRE_BOUND, hex);
	jout_close(j, '}');
	return OK;
}

enum err
wire_encrypt(struct buf *b, const char *key, const struct provider_msg *m,
    const uint8_t *plain, size_t len)
{
	struct jout j;

	jout_begin(&j, b, false);
	jout_object(&j, NULL);
	jout_str(&j, "KeyId", key);
	jout_b64(&j, "Plaintext", plain, len);
	TRY(put_context(&j, m));
	jout_close(&j, '}');
	return j.e;
}

enum err
wire_decrypt(struct buf *b, const char *key, const struct provider_msg *m,
    const uint8_t *sealed, size_t len)
{
	struct jout j;

	jout_begin(&j, b, false);
	jout_object(&j, NULL);
	jout_str(&j, "KeyId", key);
	jout_b64(&j, "CiphertextBlob", sealed, len);
	TRY(put_context(&j, m));
	jout_close(&j, '}');
	return j.e;
}

enum err
wire_key(struct buf *b, const char *key)
{
	struct jout j;

	jout_begin(&j, b, false);
	jout_object(&j, NULL);
	jout_str(&j, "KeyId", key);
	jout_close(&j, '}');
	return j.e;
}

enum err
wire_create(struct buf *b, const char *tenant, const char *label)
{
	char text[512];
	struct jout j;

	(void)snprintf(
	    text, sizeof(text), "ssefs, tenant %.200s: %.64s", tenant, label);
	jout_begin(&j, b, false);
	jout_object(&j, NULL);
	jout_str(&j, "Description", text);
	jout_str(&j, "KeyUsage", "ENCRYPT_DECRYPT");
	jout_str(&j, "KeySpec", "SYMMETRIC_DEFAULT");
	jout_close(&j, '}');
	return j.e;
}

/* ---- Errors --------------------------------------------------------------- */

static const struct {
	const char *name;
	enum err e;
} kinds[] = {
	{ "DisabledException", ERR_KEYREVOKED },
	{ "NotFoundException", ERR_NOKEY },
	{ "InvalidArnException", ERR_NOKEY },
	{ "AccessDeniedException", ERR_ACCESS },
	{ "UnrecognizedClientException", ERR_ACCESS },
	{ "InvalidClientTokenId", ERR_ACCESS },
	{ "InvalidSignatureException", ERR_ACCESS },
	{ "SignatureDoesNotMatch", ERR_ACCESS },
	{ "IncompleteSignature", ERR_ACCESS },
	{ "IncompleteSignatureException", ERR_ACCESS },
	{ "MissingAuthenticationToken", ERR_ACCESS },
	{ "MissingAuthenticationTokenException", ERR_ACCESS },
	{ "ExpiredTokenException", ERR_ACCESS },
	{ "RequestExpired", ERR_ACCESS },
	{ "NotAuthorized", ERR_ACCESS },
	{ "OptInRequired", ERR_ACCESS },
	{ "InvalidCiphertextException", ERR_AUTH },
	{ "IncorrectKeyException", ERR_AUTH },
	{ "InvalidKeyUsageException", ERR_KEYSTATE },
	{ "LimitExceededException", ERR_LIMIT },
	{ "ValidationException", ERR_INVAL },
	{ "ThrottlingException", ERR_TIMEDOUT },
	{ "KeyUnavailableException", ERR_TIMEDOUT },
	{ "DependencyTimeoutException", ERR_TIMEDOUT },
	{ "KMSInternalException", ERR_TIMEDOUT },
	{ "ServiceUnavailable", ERR_TIMEDOUT },
	{ "ServiceUnavailableException", ERR_TIMEDOUT },
	{ "InternalFailure", ERR_TIMEDOUT },
};

/* A key's state stands in the message only. */
static enum err
state_error(const char *message)
{

	if (strstr(message, "pending deletion") != NULL)
		return ERR_KEYDELETION;
	return ERR_KEYSTATE;
}

static enum err
kind_error(long status, const char *kind, const char *message)
{

	if (strcmp(kind, "KMSInvalidStateException") == 0)
		return state_error(message);
	for (size_t i = 0; i < COUNTOF(kinds); i++)
		if (strcmp(kind, kinds[i].name) == 0)
			return kinds[i].e;
	if (status >= 500 || status == 429)
		return ERR_TIMEDOUT;
	return status == 401 || status == 403 ? ERR_ACCESS : ERR_IO;
}

/* For a sentence: what cannot be printed is a question mark. */
static void
printable(const char *s, char *ret, size_t size)
{
	size_t n = 0;

	for (; s != NULL && *s != '\0' && n + 1 < size; s++)
		ret[n++] = *s >= ' ' && *s <= '~' ? *s : '?';
	ret[n] = '\0';
}

enum err
wire_error(long status, const void *body, size_t len)
{
	struct jdoc *d CLEANUP_JDOC = NULL;
	const char *kind = "", *message = "", *hash;
	char k[64], msg[200];

	if (jdoc_parse(body, len, &limits, &d) == OK) {
		const struct jval *o = jdoc_root(d);

		if (jval_get_str(o, "__type", &kind) != OK)
			kind = "";
		if (jval_get_str(o, "message", &message) != OK &&
		    jval_get_str(o, "Message", &message) != OK)
			message = "";
	}
	/* "com.amazonaws.kms#NotFoundException" */
	hash = strrchr(kind, '#');
	if (hash != NULL)
		kind = hash + 1;
	printable(kind, k, sizeof(k));
	printable(message, msg, sizeof(msg));
	return err_fail(kind_error(status, kind, message),
	    "the key service answers %ld%s%s%s%s", status,
	    k[0] != '\0' ? " " : "", k, msg[0] != '\0' ? ": " : "", msg);
}

bool
wire_throttled(long status, const void *body, size_t len)
{

	return status == 400 && body != NULL &&
	       memmem(body, len, "Throttl", 7) != NULL;
}

/* ---- Answers -------------------------------------------------------------- */

static enum err
odd(const char *what)
{

	return err_fail(ERR_IO, "the key service's answer %s", what);
}

static enum err
parse(const void *body, size_t len, struct jdoc **ret)
{
	const enum err e = jdoc_parse(body, len, &limits, ret);

	if (e == ERR_NOMEM || e == OK)
		return e;
	return odd("is not the JSON that was asked for");
}

/* Bytes of the answer, by the key that was asked. */
static enum err
take_bytes(const void *body, size_t len, const char *key, const char *name,
    enum err other, uint8_t *ret, size_t room, size_t *ret_len)
{
	struct jdoc *d CLEANUP_JDOC = NULL;
	const char *by = NULL;
	enum err e;

	memset(ret, 0, room);
	TRY(parse(body, len, &d));
	if (jval_get_str(jdoc_root(d), "KeyId", &by) != OK)
		return odd("does not say which key it used");
	if (strcmp(by, key) != 0)
		return err_fail(other, "the key service used another key");
	e = jval_get_b64(jdoc_root(d), name, ret, room, ret_len);
	if (e == ERR_LIMIT)
		return e;
	if (e != OK)
		return odd("lacks what was asked for");
	return *ret_len > 0 ? OK : odd("is empty");
}

enum err
wire_blob(const void *body, size_t len, const char *key, uint8_t *ret,
    size_t room, size_t *ret_len)
{

	return take_bytes(
	    body, len, key, "CiphertextBlob", ERR_IO, ret, room, ret_len);
}

enum err
wire_plain(const void *body, size_t len, const char *key, uint8_t *ret,
    size_t room, size_t *ret_len)
{

	return take_bytes(
	    body, len, key, "Plaintext", ERR_AUTH, ret, room, ret_len);
}

static enum err
check_state(const char *arn, const char *state)
{

	if (strcmp(state, "Enabled") == 0)
		return OK;
	if (strcmp(state, "Disabled") == 0)
		return err_fail(
		    ERR_KEYREVOKED, "%s is disabled at the key service", arn);
	if (strcmp(state, "PendingDeletion") == 0)
		return err_fail(ERR_KEYDELETION,
		    "%s is pending deletion at the key service", arn);
	if (strcmp(state, "Unavailable") == 0)
		return err_fail(
		    ERR_TIMEDOUT, "%s is unavailable at the key service", arn);
	return err_fail(
	    ERR_KEYSTATE, "%s cannot be used at the key service now", arn);
}

enum err
wire_usable(const void *body, size_t len, char ret[static WIRE_KEY_MAX + 1])
{
	struct jdoc *d CLEANUP_JDOC = NULL;
	const struct jval *o = NULL;
	const char *arn = NULL, *state = NULL, *usage = NULL;

	TRY(parse(body, len, &d));
	if (jval_get_object(jdoc_root(d), "KeyMetadata", &o) != OK ||
	    jval_get_str(o, "Arn", &arn) != OK ||
	    jval_get_str(o, "KeyState", &state) != OK)
		return odd("does not describe a key");
	if (arn[0] == '\0' || strlen(arn) > WIRE_KEY_MAX)
		return odd("has a key of a name too long");
	for (const char *s = arn; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return odd("has a key of an odd name");
	if (jval_get_str(o, "KeyUsage", &usage) == OK &&
	    strcmp(usage, "ENCRYPT_DECRYPT") != 0)
		return err_fail(ERR_KEYSTATE,
		    "%s is not for encryption at the key service", arn);
	TRY(check_state(arn, state));
	memcpy(ret, arn, strlen(arn) + 1);
	return OK;
}
