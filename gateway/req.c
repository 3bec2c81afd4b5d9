#include <stdio.h>
#include <string.h>

#include "gateway/req.h"
#include "lib/base/codec.h"
#include "lib/base/log.h"

/* ---- Members ---------------------------------------------------------------*/

const struct jval *
req_val(const struct req *r, const char *name)
{
	const struct jval *v = jval_member(r->in, name);

	return (v != NULL && jval_type(v) != JTYPE_NULL ? v : NULL);
}

const char *
req_str(const struct req *r, const char *name)
{
	return (jval_text(jval_member(r->in, name)));
}

int64_t
req_int(const struct req *r, const char *name, int64_t other)
{
	int64_t n = other;

	return (jval_get_i64(r->in, name, &n) == OK ? n : other);
}

bool
req_bool(const struct req *r, const char *name)
{
	bool b = false;

	return (jval_get_bool(r->in, name, &b) == OK && b);
}

/* A key's id, also one of several regions, of which there are none here. */
static bool
is_id(const char *s)
{
	uint8_t uuid[UUID_LEN], mrk[16];

	return (uuid_parse(s, strlen(s), uuid) == OK ||
		(strncmp(s, "mrk-", 4) == 0 &&
		    hex_decode(s + 4, strlen(s + 4), mrk, sizeof(mrk)) == OK));
}

static bool
is_key_arn(const char *s)
{
	const char *id = strstr(s, ":key/");

	return (
	    strncmp(s, "arn:aws:kms:", 12) == 0 && id != NULL && is_id(id + 5));
}

/* An id or a key's ARN, by its form. */
static bool
names_key(const char *s)
{
	return (strstr(s, ":key/") != NULL || is_id(s));
}

enum err
req_key(struct req *r, const char *name, bool alias, const char **ret)
{
	const char *s = req_str(r, name);

	*ret = s;
	if (s == NULL)
		return (OK);
	if (r->nkeys < REQ_KEYS)
		r->keys[r->nkeys++] = s;
	if (alias || names_key(s))
		return (OK);
	return (req_fail(r, AWS_NOT_FOUND, "Invalid keyId '%.300s'", s));
}

enum err
req_blob(
    struct req *r, const char *name, uint8_t *ret, size_t max, size_t *ret_len)
{
	if (jval_get_b64(r->in, name, ret, max, ret_len) == OK)
		return (OK);
	return (req_fail(
	    r, AWS_SERIALIZATION, "The value of %s is not base64", name));
}

static enum err
pair_one(void *arg, const char *name, const struct jval *value)
{
	struct req_pairs *p = arg;

	if (p->n >= p->cap)
		return (ERR_LIMIT);
	p->p[p->n++] =
	    (struct kms_pair){ .key = name, .value = jval_text(value) };
	return (OK);
}

enum err
req_pairs(const struct jval *map, struct req_pairs *ret)
{
	const size_t n = map != NULL ? jval_count(map) : 0;

	if (n == 0)
		return (OK);
	ret->p = calloc(n, sizeof(*ret->p));
	if (ret->p == NULL)
		return (ERR_NOMEM);
	ret->cap = n;
	return (jval_each(map, pair_one, ret));
}

enum err
req_context(struct req *r, const char *name, struct req_pairs *ret)
{
	return (req_pairs(req_val(r, name), ret));
}

enum err
req_tokens(struct req *r)
{
	const struct jval *list = req_val(r, "GrantTokens");

	for (size_t i = 0; list != NULL && i < jval_count(list); i++)
		TRY(kms_grant_token_check(
		    r->api->kms, jval_text(jval_at(list, i))));
	return (OK);
}

enum err
req_tags(struct req *r, struct kms_tag **ret, size_t *ret_n)
{
	const struct jval *list = req_val(r, "Tags");
	const size_t n = list != NULL ? jval_count(list) : 0;
	struct kms_tag *tags = NULL;

	*ret = NULL;
	*ret_n = 0;
	r->tags = n > 0;
	if (n == 0)
		return (OK);
	tags = calloc(n, sizeof(*tags));
	if (tags == NULL)
		return (ERR_NOMEM);
	for (size_t i = 0; i < n; i++) {
		const struct jval *t = jval_at(list, i);

		tags[i].name = jval_text(jval_member(t, "TagKey"));
		tags[i].value = jval_text(jval_member(t, "TagValue"));
	}
	*ret = tags;
	*ret_n = n;
	return (OK);
}

/* ---- Pages -----------------------------------------------------------------*/

enum err
page_begin(struct req *r, const char *filter, size_t limit, struct page *ret)
{
	const char *marker = req_str(r, "Marker");

	ret->after[0] = '\0';
	ret->last[0] = '\0';
	ret->max = (size_t)req_int(r, "Limit", (int64_t)limit);
	/* What does not fit is cut for the marker and the look-up alike. */
	(void)snprintf(ret->list, sizeof(ret->list), "%s %s %s", r->op->name,
	    r->tenant, filter);
	if (marker == NULL || marker_read(&r->api->marker_key, ret->list,
				  marker, ret->after) == OK)
		return (OK);
	return (req_fail(r, AWS_INVALID_MARKER, "Invalid marker"));
}

const char *
page_after(const struct page *p)
{
	return (p->after[0] != '\0' ? p->after : NULL);
}

void
page_last(struct page *p, const char *name)
{
	(void)snprintf(p->last, sizeof(p->last), "%s", name);
}

enum err
page_end(struct req *r, const struct page *p, bool more)
{
	char marker[MARKER_MAX];

	if (more) {
		TRY(marker_make(&r->api->marker_key, p->list, p->last, marker));
		jout_str(&r->out, "NextMarker", marker);
	}
	jout_bool(&r->out, "Truncated", more);
	return (OK);
}

/* ---- Errors ----------------------------------------------------------------*/

/* The key that ${e} is about, of those the request named: the first that cannot
 * be found.  ERR_NOKEY or ERR_INVAL; OK when all can be. */
static enum err
lost_key(struct req *r, const char **ret)
{
	char arn[KMS_ARN_MAX];

	for (size_t i = 0; i < r->nkeys; i++) {
		const enum err e =
		    kms_key_resolve(r->api->kms, r->tenant, r->keys[i], arn);

		if (e == OK)
			continue;
		*ret = r->keys[i];
		return (e == ERR_INVAL ? ERR_INVAL : ERR_NOKEY);
	}
	return (OK);
}

static void
no_such_key(struct req *r, const char *key)
{
	const char *prefix = strncmp(key, "arn:", 4) == 0 ? "" : "arn:aws:kms:";
	const char *region = r->api->region, *end = NULL;

	if (prefix[0] == '\0' && strncmp(key, "arn:aws:kms:", 12) == 0 &&
	    (end = strchr(key + 12, ':')) != NULL &&
	    ((size_t)(end - key - 12) != strlen(region) ||
		strncmp(key + 12, region, strlen(region)) != 0))
		(void)req_fail(r, AWS_NOT_FOUND, "Invalid arn %.*s",
		    (int)(end - key - 12), key + 12);
	else if (prefix[0] == '\0' && strstr(key, ":alias/") != NULL)
		(void)req_fail(
		    r, AWS_NOT_FOUND, "Alias %.400s is not found.", key);
	else if (prefix[0] == '\0')
		(void)req_fail(
		    r, AWS_NOT_FOUND, "Key '%.400s' does not exist", key);
	else if (strncmp(key, "alias/", 6) == 0)
		(void)req_fail(r, AWS_NOT_FOUND,
		    "Alias %s%s:%s:%.300s is not found.", prefix, region,
		    r->tenant, key);
	else if (is_id(key))
		(void)req_fail(r, AWS_NOT_FOUND,
		    "Key '%s%s:%s:key/%s' does not exist", prefix, region,
		    r->tenant, key);
	else
		(void)req_fail(r, AWS_NOT_FOUND, "Invalid keyId '%.300s'", key);
}

static void
invalid(struct req *r)
{
	char why[AWS_TEXT_MAX];
	const char *key = NULL;

	(void)snprintf(why, sizeof(why), "%s", err_detail(ERR_INVAL));
	if (lost_key(r, &key) != OK && strncmp(key, "arn:", 4) == 0 &&
	    !is_key_arn(key))
		(void)req_fail(r, AWS_INVALID_ARN, "Invalid arn: %s", why);
	else if (key != NULL)
		no_such_key(r, key);
	else if (r->tags)
		(void)req_fail(r, AWS_TAG, "%s", why);
	else
		(void)req_fail(r, AWS_VALIDATION, "%s", why);
}

static void
not_found(struct req *r, enum err e)
{
	char why[AWS_TEXT_MAX];
	const char *key = NULL;

	(void)snprintf(why, sizeof(why), "%s", err_detail(e));
	if (e == ERR_NOENT && r->grant != NULL)
		(void)req_fail(
		    r, AWS_NOT_FOUND, "Grant ID %.128s not found", r->grant);
	else if (e == ERR_NOENT && r->alias != NULL)
		(void)req_fail(r, AWS_NOT_FOUND,
		    "Alias arn:aws:kms:%s:%s:%.256s is not found.",
		    r->api->region, r->tenant, r->alias);
	else if (lost_key(r, &key) != OK)
		no_such_key(r, key);
	else
		(void)req_fail(r, AWS_NOT_FOUND, "%s", why);
}

/* The words of AWS: who may not do what to which key. */
static void
denied(struct req *r)
{
	char arn[KMS_ARN_MAX] = "*";

	/* One that cannot be found stands as it was given. */
	if (r->nkeys > 0 &&
	    kms_key_resolve(r->api->kms, r->tenant, r->keys[0], arn) != OK)
		(void)snprintf(arn, sizeof(arn), "%s", r->keys[0]);
	(void)req_fail(r, AWS_ACCESS_DENIED,
	    "User: arn:aws:iam::%s:%s%s is not authorized to perform: kms:%s "
	    "on resource: %s",
	    r->tenant, strcmp(r->who->user, "root") == 0 ? "" : "user/",
	    r->who->user, r->op->name, arn);
}

/* A permission that no policy can give. */
static void
forbidden(struct req *r)
{
	if (r->alias != NULL)
		(void)req_fail(
		    r, AWS_NOT_AUTHORIZED, "%s", err_detail(ERR_PERM));
	else
		(void)req_fail(
		    r, AWS_ACCESS_DENIED, "%s", err_detail(ERR_PERM));
}

enum err
req_origin(struct req *r, const char *key, const char *origin, enum err e)
{
	char arn[KMS_ARN_MAX];

	if (e != ERR_NOTSUP ||
	    kms_key_resolve(r->api->kms, r->tenant, key, arn) != OK)
		return (e);
	return (req_fail(r, AWS_UNSUPPORTED,
	    "%s origin is %s which is not valid for this operation.", arn,
	    origin));
}

/* What went wrong here stays here. */
static void
internal(struct req *r, enum err e)
{
	log_error("kms api: %s: %s", r->op->name, err_detail(e));
	(void)req_fail(r, AWS_INTERNAL, "An internal error occurred");
}

void
req_map(struct req *r, enum err e)
{
	if (r->error.code != AWS_NONE)
		return;
	switch (e) {
	case ERR_NOKEY:
	case ERR_NOENT:
		not_found(r, e);
		break;
	case ERR_INVAL:
		invalid(r);
		break;
	case ERR_ACCESS:
		denied(r);
		break;
	case ERR_PERM:
		forbidden(r);
		break;
	case ERR_KEYREVOKED:
		(void)req_fail(r, AWS_DISABLED, "%s.", err_detail(e));
		break;
	case ERR_KEYDELETION:
	case ERR_KEYSTATE:
	case ERR_KEYEXPIRED:
	case ERR_KEYINUSE:
		(void)req_fail(r, AWS_INVALID_STATE, "%s.", err_detail(e));
		break;
	case ERR_NOTSUP:
		(void)req_fail(r, AWS_UNSUPPORTED, "%s", err_detail(e));
		break;
	case ERR_EXIST:
		(void)req_fail(r, AWS_ALREADY_EXISTS, "%s", err_detail(e));
		break;
	case ERR_LIMIT:
		(void)req_fail(r, AWS_LIMIT, "%s", err_detail(e));
		break;
	case ERR_AUTH:
		/* Which part of it was wrong is not said. */
		(void)req_fail(r, AWS_INVALID_CIPHERTEXT, "%s", "");
		break;
	case ERR_KEYMISMATCH:
		(void)req_fail(r, AWS_INCORRECT_KEY,
		    "The key ID in the request does not identify a CMK that "
		    "can perform this operation.");
		break;
	case ERR_BADGRANT:
		(void)req_fail(r, AWS_INVALID_GRANT_ID, "%s", err_detail(e));
		break;
	case ERR_GRANTTOKEN:
		(void)req_fail(r, AWS_INVALID_GRANT_TOKEN, "%s", err_detail(e));
		break;
	case ERR_BADTOKEN:
		(void)req_fail(
		    r, AWS_INVALID_IMPORT_TOKEN, "%s", err_detail(e));
		break;
	case ERR_TOKENEXPIRED:
		(void)req_fail(r, AWS_EXPIRED_TOKEN, "%s", err_detail(e));
		break;
	case ERR_MATERIAL:
		(void)req_fail(r, AWS_INCORRECT_MATERIAL, "%s", err_detail(e));
		break;
	case ERR_DRYRUN:
		(void)req_fail(r, AWS_DRY_RUN, "%s", err_detail(e));
		break;
	case ERR_PARSE:
		(void)req_fail(r, AWS_MALFORMED_POLICY, "%s", err_detail(e));
		break;
	case ERR_TIMEDOUT:
		(void)req_fail(r, AWS_UNAVAILABLE, "%s", err_detail(e));
		break;
	case OK:
	case ERR_NOMEM:
	case ERR_IO:
	case ERR_NOSPC:
	case ERR_CRYPTO:
	case ERR_CORRUPT:
	case ERR_NOTDIR:
	case ERR_ISDIR:
	case ERR_NOTEMPTY:
	case ERR_NAMETOOLONG:
	case ERR_FBIG:
	case ERR_MLINK:
	case ERR_XDEV:
	case ERR_ROFS:
	case ERR_BUSY:
	case ERR_NODATA:
	case ERR_RANGE:
	case ERR_2BIG:
	case ERR_STALE:
	case ERR_NXIO:
	case ERR_LOCKED:
	case ERR_VERSION:
	case ERR_NOTSTORE:
	case ERR_ROOTKEY:
	case ERR_FAILSTOP:
	case ERR_BADF:
	case ERR_INTERNAL:
	case ERR_COUNT_:
		internal(r, e);
		break;
	}
}
