/*
 * The text of an audit record: CloudTrail's members, put together by hand.
 *
 * A body is the inside of a JSON object without seq and mac, which belong to
 * its place in the log.
 */
#include <stdlib.h>
#include <string.h>

#include "kms/audit_log.h"
#include "lib/base/codec.h"

/* Most bytes that ${len} become as a JSON string. */
#define JSON_SIZE(len) (6 * (len) + 2)
/* All but the strings: the members' names and the two ids. */
#define BODY_FIXED 1024

/* The tenant and the user occur a few times each. */
_Static_assert(BODY_FIXED + 8 * KMS_NAME_MAX + 2 * AUDIT_ITEM_MAX +
		       JSON_SIZE(AUDIT_ITEM_MAX) <=
		   AUDIT_BODY_MAX,
    "the longest body fits");

static void
put(struct audit_text_out *l, const char *s, size_t len)
{
	if (len > (size_t)(l->end - l->p))
		abort(); /* AUDIT_BODY_MAX is wrong */
	memcpy(l->p, s, len);
	l->p += len;
}

#define LIT(l, s) put((l), (s), sizeof(s) - 1)

/* A record being read. */
struct unpacked {
	struct audit_item item;
	const char *text[AUDIT_NTEXTS];
	const char *ctx;
};

static void
unpack(const uint8_t *p, struct unpacked *u)
{
	const char *s = (const char *)p + sizeof(u->item);

	memcpy(&u->item, p, sizeof(u->item));
	for (size_t i = 0; i < AUDIT_NTEXTS; i++) {
		u->text[i] = s;
		s += u->item.len[i];
	}
	u->ctx = s;
}

static void
put_text(struct audit_text_out *l, const struct unpacked *u, enum audit_text i)
{

	put(l, u->text[i], u->item.len[i]);
}

static enum err
put_json(struct audit_text_out *l, const char *s, size_t len)
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

static enum err
put_text_json(
    struct audit_text_out *l, const struct unpacked *u, enum audit_text i)
{

	return put_json(l, u->text[i], u->item.len[i]);
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
		[ERR_KEYDELETION] = "KMSInvalidStateException",
		[ERR_KEYINUSE] = "KMSInvalidStateException",
		[ERR_KEYEXPIRED] = "KMSInvalidStateException",
		[ERR_KEYMISMATCH] = "IncorrectKeyException",
		[ERR_BADGRANT] = "InvalidGrantIdException",
		[ERR_GRANTTOKEN] = "InvalidGrantTokenException",
		[ERR_BADTOKEN] = "InvalidImportTokenException",
		[ERR_TOKENEXPIRED] = "ExpiredImportTokenException",
		[ERR_MATERIAL] = "IncorrectKeyMaterialException",
		[ERR_DRYRUN] = "DryRunOperationException",
		[ERR_PARSE] = "MalformedPolicyDocumentException",
		[ERR_NOTSUP] = "UnsupportedOperationException",
		[ERR_AUTH] = "InvalidCiphertextException",
		[ERR_INVAL] = "ValidationException",
		[ERR_LIMIT] = "LimitExceededException",
		[ERR_TIMEDOUT] = "DependencyTimeoutException",
	};

	return names[e] == NULL ? "KMSInternalException" : names[e];
}

/* The member ${name}, when there is something to say. */
static enum err
put_member(struct audit_text_out *l, const struct unpacked *u, const char *name,
    enum audit_text i)
{

	if (u->item.len[i] == 0)
		return OK;
	put(l, name, strlen(name));
	return put_text_json(l, u, i);
}

static enum err
put_identity(struct audit_text_out *l, const struct unpacked *u)
{
	const bool root = u->item.principal_ok &&
			  u->item.len[AUDIT_USER] == 4 &&
			  memcmp(u->text[AUDIT_USER], "root", 4) == 0;

	LIT(l, "\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"");
	if (u->item.service)
		LIT(l, "AWSService");
	else if (root)
		LIT(l, "Root");
	else
		LIT(l, "IAMUser");
	LIT(l, "\",\"principalId\":\"");
	if (u->item.len[AUDIT_USER_ID] > 0) {
		put_text(l, u, AUDIT_USER_ID);
	} else {
		put_text(l, u, AUDIT_TENANT);
		LIT(l, ":");
		put_text(l, u, AUDIT_USER);
	}
	LIT(l, "\",\"arn\":\"arn:aws:iam::");
	put_text(l, u, AUDIT_TENANT);
	if (root) {
		LIT(l, ":root");
	} else {
		LIT(l, ":user/");
		put_text(l, u, AUDIT_USER);
	}
	LIT(l, "\",\"accountId\":\"");
	put_text(l, u, AUDIT_TENANT);
	LIT(l, "\",\"userName\":\"");
	put_text(l, u, AUDIT_USER);
	LIT(l, "\"");
	TRY(put_member(l, u, ",\"accessKeyId\":", AUDIT_ACCESS_KEY));
	if (u->item.service)
		LIT(l, ",\"invokedBy\":\"kms.amazonaws.com\"");
	else
		TRY(put_member(l, u, ",\"invokedBy\":", AUDIT_VIA));
	LIT(l, "}");
	return OK;
}

/* Where it came from, and what it named itself. */
static enum err
put_source(struct audit_text_out *l, const struct unpacked *u)
{

	LIT(l, "\",\"sourceIPAddress\":");
	if (u->item.service)
		LIT(l, "\"AWS Internal\"");
	else if (u->item.len[AUDIT_SOURCE] > 0)
		TRY(put_text_json(l, u, AUDIT_SOURCE));
	else
		LIT(l, "\"127.0.0.1\"");
	LIT(l, ",\"userAgent\":");
	return put_text_json(l, u, AUDIT_AGENT);
}

static enum err
put_error(struct audit_text_out *l, const struct unpacked *u)
{
	const char *code = error_code((enum err)u->item.outcome);

	if (u->item.outcome == OK)
		return OK;
	LIT(l, ",\"errorCode\":\"");
	put(l, code, strlen(code));
	LIT(l, "\",\"errorMessage\":");
	return put_text_json(l, u, AUDIT_DETAIL);
}

/* "NAME": */
static void
put_name(struct audit_text_out *l, const char *name, const char *usual)
{

	if (name == NULL)
		name = usual;
	LIT(l, "\"");
	put(l, name, strlen(name));
	LIT(l, "\":");
}

/* One string of a context's pair. */
static enum err
put_pair_text(struct audit_text_out *l, const char **p)
{
	uint16_t len;

	memcpy(&len, *p, sizeof(len));
	TRY(put_json(l, *p + sizeof(len), len));
	*p += sizeof(len) + len;
	return OK;
}

static enum err
put_context(struct audit_text_out *l, const struct unpacked *u)
{
	const char *p = u->ctx;

	put_name(l, u->item.ctx_member, "encryptionContext");
	LIT(l, "{");
	for (size_t i = 0; i < u->item.nctx; i++) {
		if (i > 0)
			LIT(l, ",");
		TRY(put_pair_text(l, &p));
		LIT(l, ":");
		TRY(put_pair_text(l, &p));
	}
	LIT(l, "}");
	return OK;
}

static enum err
put_parameters(struct audit_text_out *l, const struct unpacked *u)
{
	bool more = false;

	if (!u->item.has_keyname && u->item.nctx == 0 &&
	    u->item.len[AUDIT_PARAMS] == 0) {
		LIT(l, ",\"requestParameters\":null");
		return OK;
	}
	LIT(l, ",\"requestParameters\":{");
	if (u->item.has_keyname) {
		put_name(l, u->item.key_member, "keyId");
		TRY(put_text_json(l, u, AUDIT_KEYNAME));
		more = true;
	}
	if (u->item.len[AUDIT_PARAMS] > 0) {
		if (more)
			LIT(l, ",");
		put_text(l, u, AUDIT_PARAMS);
		more = true;
	}
	if (u->item.nctx > 0) {
		if (more)
			LIT(l, ",");
		TRY(put_context(l, u));
	}
	LIT(l, "}");
	return OK;
}

static void
put_resource(struct audit_text_out *l, const struct unpacked *u,
    enum audit_text arn, enum audit_text owner)
{

	LIT(l, "{\"ARN\":\"");
	put_text(l, u, arn);
	LIT(l, "\",\"accountId\":\"");
	put_text(l, u, owner);
	LIT(l, "\"}");
}

static void
put_resources(struct audit_text_out *l, const struct unpacked *u)
{
	const bool one = u->item.len[AUDIT_ARN] > 0;
	const bool two = u->item.len[AUDIT_ARN2] > 0;

	LIT(l, ",\"resources\":[");
	if (one)
		put_resource(l, u, AUDIT_ARN, AUDIT_OWNER);
	if (one && two)
		LIT(l, ",");
	if (two)
		put_resource(l, u, AUDIT_ARN2, AUDIT_OWNER2);
	LIT(l, "]");
}

/* Ids are no secret and need only be different: a random base per open
 * keystore and the record's count.  The caller may have been told another one
 * for its request. */
static enum err
put_ids(struct audit_text_out *l, const struct unpacked *u, uint64_t base,
    uint64_t n)
{
	uint8_t id[UUID_LEN];
	char text[UUID_STRLEN + 1];

	put_u64(id, base);
	put_u64(id + 8, n << 1);
	id[6] = (uint8_t)(0x40 | (id[6] & 0x0f)); /* RFC 9562 version 4 */
	id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
	uuid_format(id, text);
	LIT(l, ",\"requestID\":");
	if (u->item.len[AUDIT_REQUEST] > 0) {
		TRY(put_text_json(l, u, AUDIT_REQUEST));
	} else {
		LIT(l, "\"");
		put(l, text, UUID_STRLEN);
		LIT(l, "\"");
	}
	/* The same but for its lowest bit, which is clear. */
	text[UUID_STRLEN - 1]++;
	LIT(l, ",\"eventID\":\"");
	put(l, text, UUID_STRLEN);
	LIT(l, "\"");
	return OK;
}

static enum err
put_tls(struct audit_text_out *l, const struct unpacked *u)
{

	if (u->item.len[AUDIT_TLS_VERSION] == 0)
		return OK;
	LIT(l, ",\"tlsDetails\":{\"tlsVersion\":");
	TRY(put_text_json(l, u, AUDIT_TLS_VERSION));
	TRY(put_member(l, u, ",\"cipherSuite\":", AUDIT_TLS_CIPHER));
	TRY(put_member(l, u, ",\"clientProvidedHostHeader\":", AUDIT_TLS_HOST));
	LIT(l, "}");
	return OK;
}

static void
put_response(struct audit_text_out *l, const struct unpacked *u)
{

	LIT(l, ",\"responseElements\":");
	if (u->item.len[AUDIT_RESPONSE] == 0) {
		LIT(l, "null");
		return;
	}
	LIT(l, "{");
	put_text(l, u, AUDIT_RESPONSE);
	LIT(l, "}");
}

/* What is the same for all records, and what was put together elsewhere. */
static enum err
put_rest(struct audit_text_out *l, const struct unpacked *u)
{

	if (u->item.service)
		LIT(l, ",\"eventType\":\"AwsServiceEvent");
	else
		LIT(l, ",\"eventType\":\"AwsApiCall");
	LIT(l, "\",\"managementEvent\":true,\"recipientAccountId\":\"");
	put_text(l, u, AUDIT_TENANT);
	LIT(l, "\",\"eventCategory\":\"Management\"");
	TRY(put_tls(l, u));
	if (u->item.len[AUDIT_EXTRA] == 0)
		return OK;
	LIT(l, ",\"additionalEventData\":{");
	put_text(l, u, AUDIT_EXTRA);
	LIT(l, "}");
	return OK;
}

/* The time as text is made once a second. */
static void
put_time(struct audit_text_out *l, int64_t t)
{

	if (t != l->now || l->iso[0] == '\0') {
		clock_iso(t, l->iso);
		l->now = t;
	}
	put(l, l->iso, CLOCK_ISO_LEN);
}

size_t
audit_item_size(const uint8_t *p, size_t len)
{
	struct audit_item item;

	if (len < sizeof(item))
		return 0;
	memcpy(&item, p, sizeof(item));
	return item.size < sizeof(item) || item.size > len ? 0 : item.size;
}

enum err
audit_body(struct audit_text_out *l, const uint8_t *p, const char *region,
    uint64_t id_base, uint64_t n)
{
	struct unpacked u;

	unpack(p, &u);
	TRY(put_identity(l, &u));
	LIT(l, ",\"eventTime\":\"");
	put_time(l, u.item.time);
	LIT(l, "\",\"eventSource\":\"kms.amazonaws.com\",\"eventName\":\"");
	put(l, u.item.event, strlen(u.item.event));
	LIT(l, "\",\"awsRegion\":\"");
	put(l, region, strlen(region));
	TRY(put_source(l, &u));
	TRY(put_error(l, &u));
	TRY(put_parameters(l, &u));
	put_response(l, &u);
	TRY(put_ids(l, &u, id_base, n));
	if (u.item.read_only)
		LIT(l, ",\"readOnly\":true");
	else
		LIT(l, ",\"readOnly\":false");
	put_resources(l, &u);
	return put_rest(l, &u);
}
