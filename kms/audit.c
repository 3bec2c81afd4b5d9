/*
 * One audit record: CloudTrail's members, written by hand because a record is
 * made for every file that is opened.
 *
 * A body is the inside of a JSON object without seq and mac.  Plaintext keys
 * and wrapped ones are no part of a call's description, so they cannot get
 * in.
 */
#include <stdio.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/rand.h"

#include "kms/audit_log.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"

/* Over the first a record is flushed by the call that made it; the second is
 * never reached unless the disk fails. */
#define PENDING_FLUSH (16 * 1024 * 1024)
#define PENDING_MAX (64 * 1024 * 1024)

#define LIT(b, s) TRY(buf_put((b), (s), sizeof(s) - 1))
#define STR(b, s) TRY(buf_put_str((b), (s)))
#define JSON(b, s) TRY(buf_put_json((b), (s), strlen(s)))

enum err
audit_init(struct audit *a, const struct key *kmk)
{
	WIPED(uint8_t, key, KEY_LEN);

	lock_init(&a->l, RANK_KMS_AUDIT, "kms audit");
	buf_init(&a->pending, PENDING_MAX);
	buf_init(&a->writing, PENDING_MAX);
	rand_bytes(&a->id_base, sizeof(a->id_base));
	TRY(hkdf_label(
	    kmk->b, "ssefs audit chain v1", NULL, 0, key, sizeof(key)));
	a->chain = secret_alloc(sizeof(*a->chain));
	if (a->chain == NULL)
		return ERR_NOMEM;
	hmac_key_set(a->chain, key, sizeof(key));
	return OK;
}

void
audit_release(struct audit *a)
{

	buf_release(&a->pending);
	buf_release(&a->writing);
	secret_free(a->chain);
	lock_destroy(&a->l);
}

/* What the AWS KMS API calls an error. */
static const char *
error_code(enum err e)
{
	static const char *const names[ERR_COUNT_] = {
		[ERR_ACCESS] = "AccessDenied",
		[ERR_PERM] = "AccessDenied",
		[ERR_NOKEY] = "NotFoundException",
		[ERR_NOENT] = "NotFoundException",
		[ERR_EXIST] = "AlreadyExistsException",
		[ERR_KEYREVOKED] = "DisabledException",
		[ERR_KEYSTATE] = "KMSInvalidStateException",
		[ERR_AUTH] = "InvalidCiphertextException",
		[ERR_INVAL] = "ValidationException",
		[ERR_LIMIT] = "LimitExceededException",
		[ERR_TIMEDOUT] = "DependencyTimeoutException",
	};

	return names[e] == NULL ? "KMSInternalException" : names[e];
}

static enum err
put_identity(struct buf *b, const struct call *c)
{
	const bool root = c->principal_ok && strcmp(c->who->user, "root") == 0;
	const char *tenant = c->principal_ok ? c->tenant : "unknown";
	const char *user = c->principal_ok ? c->who->user : "unknown";

	LIT(b, "\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"");
	STR(b, root ? "Root" : "IAMUser");
	LIT(b, "\",\"principalId\":\"");
	STR(b, tenant);
	LIT(b, ":");
	STR(b, user);
	LIT(b, "\",\"arn\":\"arn:aws:iam::");
	STR(b, tenant);
	if (root) {
		LIT(b, ":root");
	} else {
		LIT(b, ":user/");
		STR(b, user);
	}
	LIT(b, "\",\"accountId\":\"");
	STR(b, tenant);
	LIT(b, "\",\"userName\":\"");
	STR(b, user);
	LIT(b, "\"}");
	return OK;
}

static enum err
put_error(struct buf *b, enum err e)
{

	if (e == OK)
		return OK;
	LIT(b, ",\"errorCode\":\"");
	STR(b, error_code(e));
	LIT(b, "\",\"errorMessage\":");
	JSON(b, err_detail(e));
	return OK;
}

static enum err
put_parameters(struct buf *b, const struct call *c, enum err e)
{
	/* A context that was refused may be of any size. */
	const size_t nctx = e == ERR_INVAL ? 0 : c->nctx;

	if (c->keyname == NULL && nctx == 0) {
		LIT(b, ",\"requestParameters\":null");
		return OK;
	}
	LIT(b, ",\"requestParameters\":{");
	if (c->keyname != NULL) {
		LIT(b, "\"keyId\":");
		TRY(buf_put_json(
		    b, c->keyname, strnlen(c->keyname, KMS_ARN_MAX)));
	}
	if (nctx > 0) {
		STR(b, c->keyname == NULL ? "\"encryptionContext\":{"
					  : ",\"encryptionContext\":{");
		for (size_t i = 0; i < nctx; i++) {
			if (i > 0)
				LIT(b, ",");
			JSON(b, c->ctx[i].key);
			LIT(b, ":");
			JSON(b, c->ctx[i].value);
		}
		LIT(b, "}");
	}
	LIT(b, "}");
	return OK;
}

static enum err
put_resource(struct buf *b, const struct keyref *key, const char *sep)
{

	STR(b, sep);
	LIT(b, "{\"ARN\":\"");
	STR(b, key->arn);
	LIT(b, "\",\"accountId\":\"");
	STR(b, key->tenant);
	LIT(b, "\"}");
	return OK;
}

static enum err
put_resources(struct buf *b, const struct call *c)
{

	LIT(b, ",\"resources\":[");
	if (c->key.arn[0] != '\0')
		TRY(put_resource(b, &c->key, ""));
	if (c->target.arn[0] != '\0')
		TRY(put_resource(
		    b, &c->target, c->key.arn[0] == '\0' ? "" : ","));
	LIT(b, "]");
	return OK;
}

/* Ids are no secret and need only be different: a random base per open
 * keystore and a count. */
static enum err
put_ids(struct buf *b, struct audit *a)
{
	uint8_t id[UUID_LEN];
	char text[UUID_STRLEN + 1];
	const uint64_t n =
	    atomic_fetch_add_explicit(&a->id_next, 1, memory_order_relaxed);

	put_u64(id, a->id_base);
	put_u64(id + 8, n << 1);
	id[6] = (uint8_t)(0x40 | (id[6] & 0x0f)); /* RFC 9562 version 4 */
	id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
	uuid_format(id, text);
	LIT(b, ",\"requestID\":\"");
	TRY(buf_put(b, text, UUID_STRLEN));
	id[15] |= 1;
	uuid_format(id, text);
	LIT(b, "\",\"eventID\":\"");
	TRY(buf_put(b, text, UUID_STRLEN));
	return OK;
}

static enum err
put_record(struct kms *k, struct buf *b, const struct call *c, enum err e)
{
	struct audit *a = &k->audit;

	TRY(put_identity(b, c));
	LIT(b, ",\"eventTime\":\"");
	TRY(buf_put(b, a->iso, CLOCK_ISO_LEN));
	LIT(b, "\",\"eventSource\":\"kms.amazonaws.com\",\"eventName\":\"");
	STR(b, c->event);
	LIT(b, "\",\"awsRegion\":\"");
	STR(b, k->region);
	LIT(b, "\",\"userAgent\":");
	JSON(b, c->who->agent);
	TRY(put_error(b, e));
	TRY(put_parameters(b, c, e));
	LIT(b, ",\"responseElements\":null");
	TRY(put_ids(b, a));
	STR(b, c->read_only ? "\",\"readOnly\":true" : "\",\"readOnly\":false");
	TRY(put_resources(b, c));
	LIT(b, "\n");
	return OK;
}

enum err
audit_record(struct kms *k, const struct call *c, enum err outcome)
{
	struct audit *a = &k->audit;
	const int64_t now = clock_wall().tv_sec;
	size_t before, after;
	enum err e;

	lock_take(&a->l);
	if (now != a->now || a->iso[0] == '\0') {
		clock_iso(now, a->iso);
		a->now = now;
	}
	before = a->pending.len;
	e = put_record(k, &a->pending, c, outcome);
	if (e != OK && a->pending.p != NULL) {
		a->pending.len = before;
		a->pending.p[before] = '\0';
	}
	if (e == OK)
		(void)atomic_fetch_add(&a->made, 1);
	after = a->pending.len;
	lock_drop(&a->l);
	if (e == OK && after > PENDING_FLUSH)
		e = kms_flush(k);
	return e;
}
