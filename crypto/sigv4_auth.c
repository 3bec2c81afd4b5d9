/*
 * sigv4_auth: what is signed, and what a request says of its signature.
 *
 * The parsers take one spelling only: each part once, header names sorted and in
 * small letters.  No signer writes others, and two spellings of one signature
 * would be two requests to whoever remembers them.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "crypto/secret.h"
#include "crypto/sigv4_internal.h"
#include "lib/base/codec.h"

static const char algorithm[] = "AWS4-HMAC-SHA256";
static const char digits[] = "0123456789";
static const char names_of_headers[] =
    "abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~";
static const char names_of_places[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
static const char names_of_keys[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

/* ---- Signing -------------------------------------------------------------- */

/* The names of all headers in small letters, once each, sorted. */
static int
compare_names(const void *a, const void *b)
{
	const struct sigv4_header *x = a, *y = b;

	return strcasecmp(x->name, y->name);
}

static enum err
all_names(const struct sigv4_request *r, struct buf *ret)
{
	struct sigv4_header sorted[SIGV4_HEADERS_MAX];

	if (r->nheaders > SIGV4_HEADERS_MAX)
		return err_fail(
		    ERR_LIMIT, "over %d headers", SIGV4_HEADERS_MAX);
	if (r->nheaders == 0 || sigv4_header(r, "Host") == NULL)
		return err_fail(ERR_INVAL, "a request without a Host");
	memcpy(sorted, r->header, r->nheaders * sizeof(sorted[0]));
	qsort(sorted, r->nheaders, sizeof(sorted[0]), compare_names);
	for (size_t i = 0; i < r->nheaders; i++) {
		const char *s = sorted[i].name;
		const size_t from = ret->len + (ret->len > 0 ? 1 : 0);

		if (i > 0 && strcasecmp(s, sorted[i - 1].name) == 0)
			continue;
		TRY(buf_printf(ret, "%s%s", ret->len > 0 ? ";" : "", s));
		for (char *c = (char *)ret->p + from; *c != '\0'; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c = (char)(*c - 'A' + 'a');
	}
	return OK;
}

static enum err
put_signature(struct buf *ret, const uint8_t signature[static SHA256_LEN])
{
	char hex[2 * SHA256_LEN + 1];

	hex_encode(signature, SHA256_LEN, hex);
	return buf_put_str(ret, hex);
}

enum err
sigv4_sign(const struct sigv4_request *r, const struct sigv4_cred *cred,
    time_t now, struct buf *ret)
{
	struct buf names CLEANUP_BUF = { 0 };
	char at[SIGV4_DATE_LEN + 1];
	uint8_t signature[SHA256_LEN];

	buf_init(&names, SIGV4_SIGNED_MAX);
	TRY(all_names(r, &names));
	sigv4_date(now, at);
	const char *date = sigv4_header(r, "X-Amz-Date");
	if (date == NULL || strcmp(date, at) != 0)
		return err_fail(ERR_INVAL, "a request without its X-Amz-Date");
	TRY(sigv4_signature(r, (const char *)names.p, cred, at, signature));
	TRY(buf_printf(ret,
	    "%s Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, "
	    "Signature=",
	    algorithm, cred->access_key, at, cred->region, cred->service,
	    (const char *)names.p));
	return put_signature(ret, signature);
}

static enum err
put_presigned(struct buf *q, const struct sigv4_cred *cred, const char *at,
    uint32_t expires, const char *token, const char *names)
{
	TRY(buf_printf(q, "X-Amz-Algorithm=%s&X-Amz-Credential=", algorithm));
	TRY(sigv4_encode(q, cred->access_key, strlen(cred->access_key), false));
	TRY(buf_printf(q, "%%2F%.8s%%2F%s%%2F%s%%2Faws4_request", at,
	    cred->region, cred->service));
	TRY(buf_printf(q, "&X-Amz-Date=%s&X-Amz-Expires=%u", at, expires));
	if (token != NULL) {
		TRY(buf_put_str(q, "&X-Amz-Security-Token="));
		TRY(sigv4_encode(q, token, strlen(token), false));
	}
	TRY(buf_put_str(q, "&X-Amz-SignedHeaders="));
	return sigv4_encode(q, names, strlen(names), false);
}

enum err
sigv4_presign(const struct sigv4_request *r, const struct sigv4_cred *cred,
    time_t now, uint32_t expires, const char *token, struct buf *ret)
{
	struct buf names CLEANUP_BUF = { 0 }, q CLEANUP_BUF = { 0 };
	struct sigv4_request signed_one = *r;
	char at[SIGV4_DATE_LEN + 1];
	uint8_t signature[SHA256_LEN];

	if (expires == 0 || expires > SIGV4_EXPIRES_MAX)
		return err_fail(ERR_INVAL,
		    "a request is presigned for 1 to %d seconds",
		    SIGV4_EXPIRES_MAX);
	buf_init(&names, SIGV4_SIGNED_MAX);
	buf_init(&q, SIGV4_TEXT_MAX);
	TRY(all_names(r, &names));
	sigv4_date(now, at);
	if (r->query != NULL && r->query[0] != '\0')
		TRY(buf_printf(&q, "%s&", r->query));
	TRY(put_presigned(&q, cred, at, expires, token, (char *)names.p));
	signed_one.query = (const char *)q.p;
	TRY(sigv4_signature(
	    &signed_one, (const char *)names.p, cred, at, signature));
	TRY(buf_put(ret, q.p, q.len));
	TRY(buf_put_str(ret, "&X-Amz-Signature="));
	return put_signature(ret, signature);
}

/* ---- Parsing -------------------------------------------------------------- */

static enum err
bad(const char *what)
{
	return err_fail(ERR_PARSE, "the request's signature: %s", what);
}

/* ${len} bytes of these characters and at least one, as a string. */
static bool
take(const char *s, size_t len, const char *chars, char *ret, size_t size)
{
	if (len == 0 || len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (s[i] == '\0' || strchr(chars, s[i]) == NULL)
			return false;
	memcpy(ret, s, len);
	ret[len] = '\0';
	return true;
}

/* "AKID/20150830/us-east-1/kms/aws4_request" */
static enum err
take_credential(struct sigv4_auth *a, const char *s, size_t len)
{
	const char *part[5];
	size_t n[5], parts = 0;
	const char *end = s + len;

	for (; parts < 5; parts++) {
		const char *slash = memchr(s, '/', (size_t)(end - s));

		part[parts] = s;
		n[parts] = (size_t)((slash == NULL ? end : slash) - s);
		s = slash == NULL ? end : slash + 1;
		if ((slash == NULL) != (parts == 4))
			return bad("Credential has five parts");
	}
	if (!take(part[0], n[0], names_of_keys, a->access_key,
		sizeof(a->access_key)))
		return bad("a malformed access key id");
	if (n[1] != 8 || !take(part[1], n[1], digits, a->date, sizeof(a->date)))
		return bad("a malformed date in Credential");
	if (!take(
		part[2], n[2], names_of_places, a->region, sizeof(a->region)) ||
	    !take(
		part[3], n[3], names_of_places, a->service, sizeof(a->service)))
		return bad("a malformed region or service in Credential");
	if (n[4] != 12 || memcmp(part[4], "aws4_request", 12) != 0)
		return bad("Credential does not end in aws4_request");
	return OK;
}

/* Sorted, no name twice. */
static enum err
take_names(struct sigv4_auth *a, const char *s, size_t len)
{
	char last[SIGV4_SIGNED_MAX + 1] = "", name[SIGV4_SIGNED_MAX + 1];

	if (len > SIGV4_SIGNED_MAX)
		return bad("SignedHeaders is too long");
	for (const char *p = s, *end = s + len; p <= end;) {
		const char *semi = memchr(p, ';', (size_t)(end - p));
		const size_t n = (size_t)((semi == NULL ? end : semi) - p);

		if (!take(p, n, names_of_headers, name, sizeof(name)) ||
		    strcmp(last, name) >= 0)
			return bad("SignedHeaders must be sorted names in "
				   "small letters");
		strcpy(last, name);
		p += n + 1;
	}
	memcpy(a->signed_headers, s, len);
	a->signed_headers[len] = '\0';
	return OK;
}

static enum err
take_signature(struct sigv4_auth *a, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] >= 'A' && s[i] <= 'F')
			return bad("Signature must be in small letters");
	if (hex_decode(s, len, a->signature, SHA256_LEN) != OK)
		return bad("Signature must be 64 hexadecimal digits");
	return OK;
}

static const struct {
	const char *name;
	enum err (*take)(struct sigv4_auth *a, const char *s, size_t len);
} parts[] = { { "Credential=", take_credential },
	{ "SignedHeaders=", take_names }, { "Signature=", take_signature } };

/* One "Name=value" of the header. */
static enum err
take_part(struct sigv4_auth *a, const char *s, size_t len, unsigned *seen)
{
	for (size_t i = 0; i < COUNTOF(parts); i++) {
		const size_t n = strlen(parts[i].name);

		if (len < n || memcmp(s, parts[i].name, n) != 0)
			continue;
		if ((*seen & 1u << i) != 0)
			return bad("a part stands twice");
		*seen |= 1u << i;
		return parts[i].take(a, s + n, len - n);
	}
	return bad("an unknown part");
}

enum err
sigv4_parse_header(const char *value, size_t len, struct sigv4_auth *ret)
{
	struct sigv4_auth a = { .presigned = false };
	const size_t alg = strlen(algorithm);
	const char *s = value, *end = value + len;
	unsigned seen = 0;

	if (len <= alg || memcmp(s, algorithm, alg) != 0 || s[alg] != ' ')
		return bad("the algorithm must be AWS4-HMAC-SHA256");
	s += alg;
	while (s < end) {
		while (s < end && *s == ' ')
			s++;
		const char *comma = memchr(s, ',', (size_t)(end - s));
		const char *stop = comma == NULL ? end : comma;

		TRY(take_part(&a, s, (size_t)(stop - s), &seen));
		if (comma != NULL && comma + 1 == end)
			return bad("it ends in a comma");
		s = comma == NULL ? end : comma + 1;
	}
	if (seen != (1u << COUNTOF(parts)) - 1)
		return bad("Credential, SignedHeaders or Signature is missing");
	*ret = a;
	return OK;
}

/* ---- Parsing of a query --------------------------------------------------- */

/* The decoded value of the one parameter of this name. */
static enum err
query_value(const char *query, const char *name, char *ret, size_t size)
{
	const size_t len = strlen(name);
	bool found = false;

	for (const char *s = query; *s != '\0';) {
		const size_t n = strcspn(s, "&");
		size_t out = 0;

		if (n > len && strncmp(s, name, len) == 0 && s[len] == '=') {
			if (found)
				return bad("a parameter stands twice");
			found = true;
			for (size_t i = len + 1; i < n; i++) {
				uint8_t c = (uint8_t)s[i];

				if (c == '%' &&
				    (n - i < 3 ||
					hex_decode(s + i + 1, 2, &c, 1) != OK))
					return bad("a malformed parameter");
				if (c == '\0' || out + 1 >= size)
					return bad("a parameter's length");
				i += s[i] == '%' ? 2 : 0;
				ret[out++] = (char)c;
			}
			ret[out] = '\0';
		}
		s += n + (s[n] == '&' ? 1 : 0);
	}
	return found ? OK : ERR_NODATA;
}

static enum err
must(enum err e)
{
	return e == ERR_NODATA ? bad("a parameter is missing") : e;
}

enum err
sigv4_parse_query(const char *query, struct sigv4_auth *ret)
{
	struct sigv4_auth a = { .presigned = true };
	char text[SIGV4_SIGNED_MAX + 2];
	unsigned expires = 0;

	TRY(query_value(query, "X-Amz-Signature", text, sizeof(text)));
	TRY(take_signature(&a, text, strlen(text)));
	TRY(must(query_value(query, "X-Amz-Algorithm", text, sizeof(text))));
	if (strcmp(text, algorithm) != 0)
		return bad("the algorithm must be AWS4-HMAC-SHA256");
	TRY(must(query_value(query, "X-Amz-Credential", text, sizeof(text))));
	TRY(take_credential(&a, text, strlen(text)));
	TRY(must(
	    query_value(query, "X-Amz-SignedHeaders", text, sizeof(text))));
	TRY(take_names(&a, text, strlen(text)));
	TRY(must(query_value(query, "X-Amz-Date", a.at, sizeof(a.at))));
	TRY(must(query_value(query, "X-Amz-Expires", text, sizeof(text))));
	if (strlen(text) > 6 || text[0] == '0' ||
	    strspn(text, digits) != strlen(text) || text[0] == '\0')
		return bad("a malformed X-Amz-Expires");
	for (const char *s = text; *s != '\0'; s++)
		expires = 10 * expires + (unsigned)(*s - '0');
	if (expires > SIGV4_EXPIRES_MAX)
		return bad("X-Amz-Expires is over seven days");
	a.expires = expires;
	*ret = a;
	return OK;
}

/* ---- Verification --------------------------------------------------------- */

/* "20150830T123600Z", a time that there is. */
static bool
parse_date(const char *s, time_t *ret)
{
	char again[SIGV4_DATE_LEN + 1];
	struct tm tm = { 0 };

	if (strlen(s) != SIGV4_DATE_LEN || s[8] != 'T' || s[15] != 'Z' ||
	    strspn(s, digits) != 8 || strspn(s + 9, digits) != 6)
		return false;
	if (sscanf(s, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon,
		&tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret = timegm(&tm);
	sigv4_date(*ret, again);
	return strcmp(s, again) == 0;
}

static enum err
refuse(enum sigv4_why *ret, enum sigv4_why why, const char *sentence)
{
	*ret = why;
	return err_fail(ERR_ACCESS, "%s", sentence);
}

static bool
is_signed(const char *names, const char *name)
{
	const size_t len = strlen(name);

	for (const char *s = names; *s != '\0';) {
		const size_t n = strcspn(s, ";");

		if (n == len && strncasecmp(s, name, n) == 0)
			return true;
		s += n + (s[n] == ';' ? 1 : 0);
	}
	return false;
}

/* What must have been signed was. */
static enum err
check_headers(const struct sigv4_request *r, const struct sigv4_auth *auth,
    enum sigv4_why *ret_why)
{
	bool host = false;

	for (size_t i = 0; i < r->nheaders; i++) {
		const char *name = r->header[i].name;

		if (strcasecmp(name, "X-Amz-Content-Sha256") == 0 &&
		    strcmp(r->header[i].value, r->payload) != 0)
			return refuse(ret_why, SIGV4_MISMATCH,
			    "X-Amz-Content-Sha256 is not that of the body");
		if (strcasecmp(name, "Host") == 0)
			host = true;
		else if (strncasecmp(name, "X-Amz-", 6) != 0)
			continue;
		if (!is_signed(auth->signed_headers, name))
			return refuse(ret_why, SIGV4_INCOMPLETE,
			    "Host and all X-Amz- headers must be signed");
	}
	if (!host)
		return refuse(
		    ret_why, SIGV4_INCOMPLETE, "a request without a Host");
	return OK;
}

static enum err
check_time(const struct sigv4_auth *auth, const char *at, time_t now,
    int64_t skew, enum sigv4_why *ret_why)
{
	time_t t = 0;

	if (at == NULL || !parse_date(at, &t))
		return refuse(ret_why, SIGV4_INCOMPLETE,
		    "no X-Amz-Date, or a malformed one");
	if (strncmp(at, auth->date, 8) != 0)
		return refuse(ret_why, SIGV4_SCOPE,
		    "the date in Credential is not that of X-Amz-Date");
	if (t > now + skew || (!auth->presigned && t < now - skew))
		return refuse(ret_why, SIGV4_SKEWED,
		    "the request's time is too far from the server's");
	if (auth->presigned && now > t + (time_t)auth->expires)
		return refuse(
		    ret_why, SIGV4_EXPIRED, "the presigned request expired");
	return OK;
}

enum err
sigv4_verify(const struct sigv4_request *r, const struct sigv4_auth *auth,
    const struct sigv4_cred *cred, time_t now, int64_t skew,
    enum sigv4_why *ret_why)
{
	const char *at =
	    auth->presigned ? auth->at : sigv4_header(r, "X-Amz-Date");
	uint8_t signature[SHA256_LEN] = { 0 };
	enum err e;

	*ret_why = SIGV4_INCOMPLETE;
	TRY(check_headers(r, auth, ret_why));
	TRY(check_time(auth, at, now, skew, ret_why));
	if (strcmp(auth->region, cred->region) != 0 ||
	    strcmp(auth->service, cred->service) != 0)
		return refuse(ret_why, SIGV4_SCOPE,
		    "signed for another region or service");
	e = sigv4_signature(r, auth->signed_headers, cred, at, signature);
	if (e == ERR_NODATA)
		return refuse(ret_why, SIGV4_INCOMPLETE,
		    "a signed header is not in the request");
	TRY(e);
	if (secret_cmp(signature, auth->signature, SHA256_LEN) != 0)
		return refuse(ret_why, SIGV4_MISMATCH,
		    "the signature does not match the request");
	*ret_why = SIGV4_GOOD;
	return OK;
}
