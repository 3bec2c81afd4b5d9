/*
 * sigv4: the canonical request and its signature.  What both sides of a
 * connection must agree on stands here, once; which headers are signed, and what
 * a request says of its signature, is sigv4_auth.c's.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "crypto/secret.h"
#include "crypto/sigv4_internal.h"
#include "lib/base/codec.h"

static const char algorithm[] = "AWS4-HMAC-SHA256";
static const char hidden[] = "X-Amz-Signature";

/* ---- Encoding ------------------------------------------------------------- */

static bool
unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

enum err
sigv4_encode(struct buf *b, const char *s, size_t len, bool slash)
{
	for (size_t i = 0; i < len; i++) {
		if (unreserved(s[i]) || (slash && s[i] == '/'))
			TRY(buf_put(b, s + i, 1));
		else
			TRY(buf_printf(b, "%%%02X", (uint8_t)s[i]));
	}
	return OK;
}

/* Decodes what is percent-encoded and encodes it anew: one spelling. */
static enum err
respell(struct buf *b, const char *s, size_t len, bool slash)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)s[i];
		const bool escaped = c == '%';

		if (escaped) {
			if (len - i < 3 ||
			    hex_decode(s + i + 1, 2, &c, 1) != OK)
				return err_fail(ERR_PARSE,
				    "a percent sign without two digits");
			i += 2;
		}
		TRY(sigv4_encode(b, (const char *)&c, 1, slash && !escaped));
	}
	return OK;
}

/* ---- Path ----------------------------------------------------------------- */

/* The path without empty and dotted segments, still as it was encoded. */
static enum err
resolve(struct buf *b, const char *path)
{
	bool folder = true;

	for (const char *p = path; *p != '\0';) {
		const size_t skip = strspn(p, "/");
		const size_t n = strcspn(p + skip, "/");

		p += skip;
		folder = true;
		if (n == 2 && strncmp(p, "..", 2) == 0) {
			while (b->len > 0 && b->p[--b->len] != '/')
				;
		} else if (n > 0 && !(n == 1 && *p == '.')) {
			TRY(buf_put(b, "/", 1));
			TRY(buf_put(b, p, n));
			folder = p[n] == '/';
		}
		p += n;
	}
	return folder ? buf_put(b, "/", 1) : OK;
}

static enum err
put_path(struct buf *b, const struct sigv4_request *r)
{
	const char *path = r->path[0] == '\0' ? "/" : r->path;
	struct buf flat CLEANUP_BUF = { 0 };

	if (path[0] != '/')
		return err_fail(ERR_PARSE, "the path does not begin with /");
	if (r->s3)
		return respell(b, path, strlen(path), true);
	buf_init(&flat, SIGV4_TEXT_MAX);
	TRY(resolve(&flat, path));
	return sigv4_encode(b, (const char *)flat.p, flat.len, true);
}

/* ---- Query ---------------------------------------------------------------- */

/* In the text of all of them; a NUL follows each. */
struct param {
	size_t name, value;
};

struct params {
	struct buf text;
	struct param at[SIGV4_PARAMS_MAX];
	size_t n;
};

static void
params_release(struct params *q)
{
	buf_release(&q->text);
}

static enum err
take_param(struct params *q, const char *s, size_t len)
{
	const char *eq = memchr(s, '=', len);
	const size_t name = eq == NULL ? len : (size_t)(eq - s);

	if (q->n == SIGV4_PARAMS_MAX)
		return err_fail(
		    ERR_LIMIT, "over %d query parameters", SIGV4_PARAMS_MAX);
	q->at[q->n].name = q->text.len;
	TRY(respell(&q->text, s, name, false));
	TRY(buf_put(&q->text, "", 1));
	q->at[q->n].value = q->text.len;
	if (eq != NULL)
		TRY(respell(&q->text, eq + 1, len - name - 1, false));
	TRY(buf_put(&q->text, "", 1));
	if (strcmp((const char *)q->text.p + q->at[q->n].name, hidden) != 0)
		q->n++;
	return OK;
}

static int
compare_params(const void *a, const void *b, void *text)
{
	const struct param *x = a, *y = b;
	const char *s = text;
	const int c = strcmp(s + x->name, s + y->name);

	return c != 0 ? c : strcmp(s + x->value, s + y->value);
}

static enum err
put_query(struct buf *b, const char *query)
{
	struct params q CLEANUP(params_release) = { .n = 0 };

	buf_init(&q.text, SIGV4_TEXT_MAX);
	for (const char *s = query; s != NULL && *s != '\0';) {
		const size_t n = strcspn(s, "&");

		if (n > 0)
			TRY(take_param(&q, s, n));
		s += n + (s[n] == '&' ? 1 : 0);
	}
	if (q.n > 0)
		qsort_r(q.at, q.n, sizeof(q.at[0]), compare_params, q.text.p);
	for (size_t i = 0; i < q.n; i++)
		TRY(buf_printf(b, "%s%s=%s", i > 0 ? "&" : "",
		    (const char *)q.text.p + q.at[i].name,
		    (const char *)q.text.p + q.at[i].value));
	return OK;
}

/* ---- Headers -------------------------------------------------------------- */

static bool
blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Without blanks at its ends, and with one space for some in a row. */
static enum err
put_value(struct buf *b, const char *v)
{
	const size_t first = b->len;

	for (; *v != '\0'; v++) {
		/* It would look like another header. */
		if (*v == '\n' || *v == '\r')
			return err_fail(
			    ERR_PARSE, "a header of more than one line");
		if (!blank(*v))
			TRY(buf_put(b, v, 1));
		else if (b->len > first && !blank(v[1]) && v[1] != '\0')
			TRY(buf_put(b, " ", 1));
	}
	return OK;
}

static bool
named(const struct sigv4_header *h, const char *name, size_t len)
{
	return strncasecmp(h->name, name, len) == 0 && h->name[len] == '\0';
}

const char *
sigv4_header(const struct sigv4_request *r, const char *name)
{
	const char *found = NULL;

	for (size_t i = 0; i < r->nheaders; i++) {
		if (!named(&r->header[i], name, strlen(name)))
			continue;
		if (found != NULL)
			return NULL;
		found = r->header[i].value;
	}
	return found;
}

static enum err
put_header(
    struct buf *b, const struct sigv4_request *r, const char *name, size_t len)
{
	bool found = false;

	TRY(buf_put(b, name, len));
	for (size_t i = 0; i < r->nheaders; i++) {
		if (!named(&r->header[i], name, len))
			continue;
		TRY(buf_put(b, found ? "," : ":", 1));
		TRY(put_value(b, r->header[i].value));
		found = true;
	}
	if (!found)
		return err_fail(ERR_NODATA, "a signed header is missing");
	return buf_put(b, "\n", 1);
}

/* A word of printable characters, so that it is one line of the text. */
static bool
word(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

enum err
sigv4_canonical(
    const struct sigv4_request *r, const char *names, struct buf *ret)
{
	if (r->nheaders > SIGV4_HEADERS_MAX)
		return err_fail(
		    ERR_LIMIT, "over %d headers", SIGV4_HEADERS_MAX);
	if (!word(r->method) || !word(r->payload))
		return err_fail(ERR_PARSE, "a malformed method or hash");
	TRY(buf_put_str(ret, r->method));
	TRY(buf_put(ret, "\n", 1));
	TRY(put_path(ret, r));
	TRY(buf_put(ret, "\n", 1));
	TRY(put_query(ret, r->query));
	TRY(buf_put(ret, "\n", 1));
	for (const char *s = names; *s != '\0';) {
		const size_t n = strcspn(s, ";");

		TRY(put_header(ret, r, s, n));
		s += n + (s[n] == ';' ? 1 : 0);
	}
	TRY(buf_put(ret, "\n", 1));
	TRY(buf_put_str(ret, names));
	TRY(buf_put(ret, "\n", 1));
	return buf_put_str(ret, r->payload);
}

/* ---- Signature ------------------------------------------------------------ */

void
sigv4_date(time_t now, char ret[static SIGV4_DATE_LEN + 1])
{
	struct tm tm = { 0 };

	/* The masks change nothing before the year 10000. */
	(void)gmtime_r(&now, &tm);
	(void)snprintf(ret, SIGV4_DATE_LEN + 1, "%04u%02u%02uT%02u%02u%02uZ",
	    (unsigned)(tm.tm_year + 1900) % 10000u,
	    (unsigned)(tm.tm_mon + 1) % 100u, (unsigned)tm.tm_mday % 100u,
	    (unsigned)tm.tm_hour % 100u, (unsigned)tm.tm_min % 100u,
	    (unsigned)tm.tm_sec % 100u);
}

void
sigv4_payload(const void *body, size_t len, char ret[static 2 * SHA256_LEN + 1])
{
	uint8_t hash[SHA256_LEN];

	sha256(body, len, hash);
	hex_encode(hash, sizeof(hash), ret);
}

/* The key of a day, a region and a service. */
static void
signing_key(const struct sigv4_cred *cred, const char *at,
    uint8_t ret[static SHA256_LEN])
{
	WIPED(char, first, SIGV4_SECRET_MAX + 4);

	memcpy(first, "AWS4", 4);
	memcpy(first + 4, cred->secret, cred->secret_len);
	hmac_sha256(first, 4 + cred->secret_len, at, 8, ret);
	hmac_sha256(ret, SHA256_LEN, cred->region, strlen(cred->region), ret);
	hmac_sha256(ret, SHA256_LEN, cred->service, strlen(cred->service), ret);
	hmac_sha256(ret, SHA256_LEN, "aws4_request", 12, ret);
}

enum err
sigv4_signature(const struct sigv4_request *r, const char *names,
    const struct sigv4_cred *cred, const char at[static SIGV4_DATE_LEN + 1],
    uint8_t ret[static SHA256_LEN])
{
	struct buf b CLEANUP_BUF = { 0 };
	WIPED(uint8_t, key, SHA256_LEN);
	char hash[2 * SHA256_LEN + 1];

	if (cred->secret_len > SIGV4_SECRET_MAX ||
	    strlen(cred->region) > SIGV4_SCOPE_PART_MAX ||
	    strlen(cred->service) > SIGV4_SCOPE_PART_MAX)
		return err_fail(ERR_INVAL, "credentials that are too long");
	buf_init(&b, SIGV4_TEXT_MAX);
	TRY(sigv4_canonical(r, names, &b));
	sigv4_payload(b.p, b.len, hash);
	b.len = 0;
	TRY(buf_printf(&b, "%s\n%s\n%.8s/%s/%s/aws4_request\n%s", algorithm, at,
	    at, cred->region, cred->service, hash));
	signing_key(cred, at, key);
	hmac_sha256(key, SHA256_LEN, b.p, b.len, ret);
	return OK;
}
