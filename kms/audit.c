/*
 * One audit record: CloudTrail's members, written by hand because a record is
 * made for every file that is opened.
 *
 * A body is the inside of a JSON object without seq and mac.  Plaintext keys
 * and wrapped ones are no part of a call's description, so they cannot get
 * in.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/rand.h"

#include "kms/audit_log.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"

/* Over the first a record is flushed by the call that made it; the second is
 * never reached unless the disk fails. */
#define PENDING_FLUSH (2 * 1024 * 1024)
#define PENDING_MAX (16 * 1024 * 1024)
#define LINE_FIXED 2048 /* all but the strings that callers choose */

/* A record in the making; the room was measured before, so that putting is
 * no more than copying. */
struct line {
	char *p;
	const char *end;
};

static void
put(struct line *l, const char *s, size_t len)
{
	if (len > (size_t)(l->end - l->p))
		abort(); /* measure() is wrong */
	memcpy(l->p, s, len);
	l->p += len;
}

#define LIT(l, s) put((l), (s), sizeof(s) - 1)

static void
put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/* Most bytes that ${len} become as a JSON string. */
#define JSON_SIZE(len) (6 * (len) + 2)

static enum err
put_json(struct line *l, const char *s, size_t len)
{
	struct buf b CLEANUP_BUF = { 0 };
	size_t i = 0;

	while (i < len && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' &&
	       s[i] != '\\')
		i++;
	if (i == len) {
		LIT(l, "\"");
		put(l, s, len);
		LIT(l, "\"");
		return OK;
	}
	buf_init(&b, JSON_SIZE(len));
	TRY(buf_put_json(&b, s, len));
	put(l, (const char *)b.p, b.len);
	return OK;
}

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

static void
put_identity(struct line *b, const struct call *c)
{
	const bool root = c->principal_ok && strcmp(c->who->user, "root") == 0;
	const char *tenant = c->principal_ok ? c->tenant : "unknown";
	const char *user = c->principal_ok ? c->who->user : "unknown";

	LIT(b, "\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"");
	put_str(b, root ? "Root" : "IAMUser");
	LIT(b, "\",\"principalId\":\"");
	put_str(b, tenant);
	LIT(b, ":");
	put_str(b, user);
	LIT(b, "\",\"arn\":\"arn:aws:iam::");
	put_str(b, tenant);
	if (root) {
		LIT(b, ":root");
	} else {
		LIT(b, ":user/");
		put_str(b, user);
	}
	LIT(b, "\",\"accountId\":\"");
	put_str(b, tenant);
	LIT(b, "\",\"userName\":\"");
	put_str(b, user);
	LIT(b, "\"}");
}

static enum err
put_error(struct line *b, enum err e)
{

	if (e == OK)
		return OK;
	LIT(b, ",\"errorCode\":\"");
	put_str(b, error_code(e));
	LIT(b, "\",\"errorMessage\":");
	TRY(put_json(b, err_detail(e), strlen(err_detail(e))));
	return OK;
}

static enum err
put_parameters(struct line *b, const struct call *c, enum err e)
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
		TRY(put_json(b, c->keyname, strnlen(c->keyname, KMS_ARN_MAX)));
	}
	if (nctx > 0) {
		put_str(b, c->keyname == NULL ? "\"encryptionContext\":{"
					      : ",\"encryptionContext\":{");
		for (size_t i = 0; i < nctx; i++) {
			if (i > 0)
				LIT(b, ",");
			TRY(put_json(b, c->ctx[i].key, strlen(c->ctx[i].key)));
			LIT(b, ":");
			TRY(put_json(
			    b, c->ctx[i].value, strlen(c->ctx[i].value)));
		}
		LIT(b, "}");
	}
	LIT(b, "}");
	return OK;
}

static void
put_resource(struct line *b, const struct keyref *key, const char *sep)
{

	put_str(b, sep);
	LIT(b, "{\"ARN\":\"");
	put_str(b, key->arn);
	LIT(b, "\",\"accountId\":\"");
	put_str(b, key->tenant);
	LIT(b, "\"}");
}

static void
put_resources(struct line *b, const struct call *c)
{

	LIT(b, ",\"resources\":[");
	if (c->key.arn[0] != '\0')
		put_resource(b, &c->key, "");
	if (c->target != NULL && c->target->arn[0] != '\0')
		put_resource(b, c->target, c->key.arn[0] == '\0' ? "" : ",");
	LIT(b, "]");
}

/* Ids are no secret and need only be different: a random base per open
 * keystore and a count. */
static void
put_ids(struct line *b, struct audit *a)
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
	put(b, text, UUID_STRLEN);
	id[15] |= 1;
	uuid_format(id, text);
	LIT(b, "\",\"eventID\":\"");
	put(b, text, UUID_STRLEN);
}

static enum err
put_record(struct kms *k, struct line *b, const struct call *c, enum err e,
    const char *iso)
{
	struct audit *a = &k->audit;

	put_identity(b, c);
	LIT(b, ",\"eventTime\":\"");
	put(b, iso, CLOCK_ISO_LEN);
	LIT(b, "\",\"eventSource\":\"kms.amazonaws.com\",\"eventName\":\"");
	put_str(b, c->event);
	LIT(b, "\",\"awsRegion\":\"");
	put_str(b, k->region);
	LIT(b, "\",\"userAgent\":");
	TRY(put_json(b, c->who->agent, strlen(c->who->agent)));
	TRY(put_error(b, e));
	TRY(put_parameters(b, c, e));
	LIT(b, ",\"responseElements\":null");
	put_ids(b, a);
	put_str(
	    b, c->read_only ? "\",\"readOnly\":true" : "\",\"readOnly\":false");
	put_resources(b, c);
	LIT(b, "\n");
	return OK;
}

/* Most bytes that a record takes. */
static size_t
measure(const struct call *c, enum err e)
{
	size_t n = LINE_FIXED + JSON_SIZE(strlen(c->who->agent));

	if (e != OK)
		n += JSON_SIZE(strlen(err_detail(e)));
	if (c->keyname != NULL)
		n += JSON_SIZE(strnlen(c->keyname, KMS_ARN_MAX));
	for (size_t i = 0; e != ERR_INVAL && i < c->nctx; i++)
		n += JSON_SIZE(strlen(c->ctx[i].key)) +
		     JSON_SIZE(strlen(c->ctx[i].value)) + 2;
	return n;
}

/* The time of now as text, made once a second. */
static void
stamp(struct audit *a, char ret[static CLOCK_ISO_LEN + 1])
{
	const int64_t now = clock_wall().tv_sec;
	LOCK_SCOPE(&a->l);

	if (now != a->now || a->iso[0] == '\0') {
		clock_iso(now, a->iso);
		a->now = now;
	}
	memcpy(ret, a->iso, sizeof(a->iso));
}

static enum err
append(struct audit *a, const char *p, size_t len, size_t *ret_pending)
{
	LOCK_SCOPE(&a->l);

	TRY(buf_put(&a->pending, p, len));
	(void)atomic_fetch_add(&a->made, 1);
	*ret_pending = a->pending.len;
	return OK;
}

enum err
audit_record(struct kms *k, const struct call *c, enum err outcome)
{
	char small[4 * LINE_FIXED], iso[CLOCK_ISO_LEN + 1];
	char *big CLEANUP_FREE = NULL;
	const size_t size = measure(c, outcome);
	struct line l = { small, small + sizeof(small) };
	size_t pending = 0;

	if (size > sizeof(small)) {
		big = malloc(size);
		if (big == NULL)
			return ERR_NOMEM;
		l = (struct line){ big, big + size };
	}
	stamp(&k->audit, iso);
	TRY(put_record(k, &l, c, outcome, iso));
	TRY(append(&k->audit, big == NULL ? small : big,
	    (size_t)(l.p - (big == NULL ? small : big)), &pending));
	return pending > PENDING_FLUSH ? kms_flush(k) : OK;
}
