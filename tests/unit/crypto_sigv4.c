/* crypto/sigv4: published vectors, what the parsers and the verifier refuse. */
#include "tests/unit/crypto_vectors.h"

#include "crypto/sigv4.h"
#include "crypto/sigv4_internal.h"

#define NOW 1440938160 /* 20150830T123600Z */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct sigv4_cred suite = { .access_key = "AKIDEXAMPLE",
	.secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	.secret_len = 40,
	.region = "us-east-1",
	.service = "service" };
static const struct sigv4_cred s3 = { .access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.secret_len = 40,
	.region = "us-east-1",
	.service = "s3" };

/* ---- Vectors -------------------------------------------------------------- */

struct message {
	struct sigv4_request r;
	struct sigv4_header header[16];
	char hash[2 * SHA256_LEN + 1];
};

/* Takes the text of a request apart, in place. */
static void
read_request(char *text, struct message *m)
{
	char *body = strstr(text, "\n\n"), *save = NULL, *end;

	memset(m, 0, sizeof(*m));
	assert_non_null(body);
	*body = '\0';
	body += 2;
	char *line = strtok_r(text, "\n", &save);
	m->r.method = line;
	line = strchr(line, ' ');
	*line++ = '\0';
	m->r.path = line;
	end = strrchr(line, ' ');
	*end = '\0';
	line = strchr(line, '?');
	if (line != NULL) {
		*line = '\0';
		m->r.query = line + 1;
	}
	while ((line = strtok_r(NULL, "\n", &save)) != NULL) {
		char *colon = strchr(line, ':');

		*colon = '\0';
		m->header[m->r.nheaders++] =
		    (struct sigv4_header){ line, colon + 1 };
	}
	m->r.header = m->header;
	sigv4_payload(body, strlen(body), m->hash);
	m->r.payload = m->hash;
}

static time_t
time_of(const char *s)
{
	struct tm tm = { 0 };

	assert_non_null(strptime(s, "%Y%m%dT%H%M%SZ", &tm));
	return timegm(&tm);
}

static void
verified(const struct message *m, const struct sigv4_auth *a,
    const struct sigv4_cred *cred, time_t now)
{
	struct sigv4_auth other = *a;
	struct sigv4_cred no = *cred;
	enum sigv4_why why = SIGV4_INCOMPLETE;

	assert_int_equal(sigv4_verify(&m->r, a, cred, now, 300, &why), OK);
	assert_int_equal(why, SIGV4_GOOD);
	other.signature[31] ^= 1;
	assert_int_equal(
	    sigv4_verify(&m->r, &other, cred, now, 300, &why), ERR_ACCESS);
	assert_int_equal(why, SIGV4_MISMATCH);
	no.secret_len--;
	assert_int_equal(
	    sigv4_verify(&m->r, a, &no, now, 300, &why), ERR_ACCESS);
	assert_int_equal(why, SIGV4_MISMATCH);
}

static void
check_vector(char *const fields[VECTOR_FIELDS])
{
	struct bytes b CLEANUP_BYTES = vector_bytes(fields[2]);
	char *text CLEANUP_FREE = strndup((char *)b.p, b.len);
	const bool is_s3 = strcmp(fields[1], "s3") == 0;
	const struct sigv4_cred *cred = is_s3 ? &s3 : &suite;
	struct buf out CLEANUP_BUF = { 0 };
	struct message m;
	struct sigv4_auth a;

	print_message("%s\n", fields[0]);
	read_request(text, &m);
	m.r.s3 = is_s3;
	buf_init(&out, 4096);
	if (m.r.query != NULL && strstr(m.r.query, "X-Amz-Date") != NULL) {
		char *full CLEANUP_FREE = NULL;

		m.r.payload = SIGV4_UNSIGNED;
		assert_true(asprintf(&full, "%s&X-Amz-Signature=%s", m.r.query,
				fields[3]) > 0);
		/* Made anew, the same. */
		m.r.query = NULL;
		assert_int_equal(
		    sigv4_presign(&m.r, cred, time_of("20130524T000000Z"),
			86400, NULL, &out),
		    OK);
		assert_string_equal((char *)out.p, full);
		m.r.query = full;
		assert_int_equal(sigv4_parse_query(full, &a), OK);
		assert_true(a.presigned);
		assert_int_equal(a.expires, 86400);
		verified(&m, &a, cred, time_of("20130524T230000Z"));
		return;
	}
	const char *hash = sigv4_header(&m.r, "x-amz-content-sha256");
	if (hash != NULL)
		assert_string_equal(hash, m.hash);
	const time_t now = time_of(sigv4_header(&m.r, "X-Amz-Date"));
	assert_int_equal(sigv4_sign(&m.r, cred, now, &out), OK);
	assert_string_equal((char *)out.p + out.len - 64, fields[3]);
	assert_int_equal(sigv4_parse_header((char *)out.p, out.len, &a), OK);
	assert_string_equal(a.access_key, cred->access_key);
	verified(&m, &a, cred, now);
}

static void
test_vectors(void **state UNUSED)
{
	assert_int_equal(vectors_each("sigv4.txt", 4, check_vector), 32);
}

/* ---- Refusals ------------------------------------------------------------- */

static const struct sigv4_header plain_headers[] = { { "Host", "h" },
	{ "X-Amz-Date", "20150830T123600Z" }, { "X-Amz-Target", "T.Op" },
	{ "Accept", "any" } };
static const struct sigv4_request plain = { .method = "POST",
	.path = "/",
	.header = plain_headers,
	.nheaders = 4,
	.payload = EMPTY };

static struct sigv4_auth
signed_plain(const struct sigv4_request *r, time_t now)
{
	struct buf out CLEANUP_BUF = { 0 };
	struct sigv4_auth a;

	buf_init(&out, 4096);
	assert_int_equal(sigv4_sign(r, &suite, now, &out), OK);
	assert_int_equal(sigv4_parse_header((char *)out.p, out.len, &a), OK);
	return a;
}

static void
refused(const struct sigv4_request *r, const struct sigv4_auth *a,
    const struct sigv4_cred *cred, time_t now, enum sigv4_why want)
{
	enum sigv4_why why = SIGV4_GOOD;

	assert_int_equal(sigv4_verify(r, a, cred, now, 300, &why), ERR_ACCESS);
	assert_int_equal(why, want);
}

/* Each part of a request that is altered is found. */
static void
test_altered(void **state UNUSED)
{
	const struct sigv4_auth a = signed_plain(&plain, NOW);
	struct sigv4_header h[5];
	struct sigv4_request r = plain;

	memcpy(h, plain_headers, sizeof(plain_headers));
	r.header = h;
	refused(&r, &a, &s3, NOW, SIGV4_SCOPE);
	r.method = "GET";
	refused(&r, &a, &suite, NOW, SIGV4_MISMATCH);
	r = plain;
	r.header = h;
	r.path = "/a";
	refused(&r, &a, &suite, NOW, SIGV4_MISMATCH);
	r.path = "/";
	r.query = "a";
	refused(&r, &a, &suite, NOW, SIGV4_MISMATCH);
	r.query = NULL;
	r.payload = SIGV4_UNSIGNED;
	refused(&r, &a, &suite, NOW, SIGV4_MISMATCH);
	r.payload = EMPTY;
	h[2].value = "T.Other";
	refused(&r, &a, &suite, NOW, SIGV4_MISMATCH);
	h[2].name = "X-Amz-Other";
	refused(&r, &a, &suite, NOW, SIGV4_INCOMPLETE);
	h[2] = plain_headers[2];
	h[3].name = "Accepted";
	refused(&r, &a, &suite, NOW, SIGV4_INCOMPLETE);
	/* A second value of a signed header, and one that is not signed. */
	h[3] = plain_headers[3];
	r.nheaders = 5;
	h[4] = (struct sigv4_header){ "x-amz-target", "T.Op" };
	refused(&r, &a, &suite, NOW, SIGV4_MISMATCH);
	h[4].name = "x-amz-more";
	refused(&r, &a, &suite, NOW, SIGV4_INCOMPLETE);
	h[4] = (struct sigv4_header){ "X-Amz-Date", "20150830T123600Z" };
	refused(&r, &a, &suite, NOW, SIGV4_INCOMPLETE);
	r.nheaders = 4;
	h[0].name = "Hosts";
	refused(&r, &a, &suite, NOW, SIGV4_INCOMPLETE);
}

/* The hash that a header claims must be that of the body. */
static void
test_body_hash(void **state UNUSED)
{
	struct sigv4_header h[3] = { { "host", "h" },
		{ "x-amz-date", "20150830T123600Z" },
		{ "x-amz-content-sha256", SIGV4_UNSIGNED } };
	struct sigv4_request r = plain;

	r.header = h;
	r.nheaders = 3;
	r.payload = SIGV4_UNSIGNED;
	const struct sigv4_auth a = signed_plain(&r, NOW);
	r.payload = EMPTY;
	refused(&r, &a, &suite, NOW, SIGV4_MISMATCH);
}

static void
test_clock(void **state UNUSED)
{
	static const char *const bad[] = { "", "20150830", "20150830T123600",
		"20150830t123600Z", "20150830T123600Z ", "20150230T123600Z",
		"20150830T246000Z", "2015083 T123600Z", "20150830T12-600Z", "0",
		NULL };
	struct sigv4_auth a = signed_plain(&plain, NOW);
	struct sigv4_header h[4];
	struct sigv4_request r = plain;
	enum sigv4_why why = SIGV4_SKEWED;

	assert_int_equal(
	    sigv4_verify(&plain, &a, &suite, NOW + 300, 300, &why), OK);
	assert_int_equal(
	    sigv4_verify(&plain, &a, &suite, NOW - 300, 300, &why), OK);
	refused(&plain, &a, &suite, NOW + 301, SIGV4_SKEWED);
	refused(&plain, &a, &suite, NOW - 301, SIGV4_SKEWED);
	strcpy(a.date, "20150829");
	refused(&plain, &a, &suite, NOW, SIGV4_SCOPE);
	memcpy(h, plain_headers, sizeof(h));
	r.header = h;
	for (size_t i = 0; bad[i] != NULL; i++) {
		h[1].value = bad[i];
		refused(&r, &a, &suite, NOW, SIGV4_INCOMPLETE);
	}
}

static void
test_presigned_clock(void **state UNUSED)
{
	struct buf q CLEANUP_BUF = { 0 };
	struct sigv4_request r = plain;
	enum sigv4_why why = SIGV4_GOOD;
	struct sigv4_auth a;

	buf_init(&q, 4096);
	r.nheaders = 1;
	r.query = "z=1&a=b%20c";
	assert_int_equal(
	    sigv4_presign(&r, &suite, NOW, 604801, NULL, &q), ERR_INVAL);
	assert_int_equal(
	    sigv4_presign(&r, &suite, NOW, 0, NULL, &q), ERR_INVAL);
	assert_int_equal(
	    sigv4_presign(&r, &suite, NOW, 600, "to/k=en", &q), OK);
	assert_non_null(
	    strstr((char *)q.p, "&X-Amz-Security-Token=to%2Fk%3Den"));
	r.query = (char *)q.p;
	assert_int_equal(sigv4_parse_query(r.query, &a), OK);
	assert_int_equal(
	    sigv4_verify(&r, &a, &suite, NOW + 600, 300, &why), OK);
	refused(&r, &a, &suite, NOW + 601, SIGV4_EXPIRED);
	assert_int_equal(
	    sigv4_verify(&r, &a, &suite, NOW - 300, 300, &why), OK);
	refused(&r, &a, &suite, NOW - 301, SIGV4_SKEWED);
	/* A longer life is another request. */
	char *s = strstr((char *)q.p, "Expires=600");
	s[8] = '7';
	assert_int_equal(sigv4_parse_query(r.query, &a), OK);
	refused(&r, &a, &suite, NOW, SIGV4_MISMATCH);
}

static void
test_sign_needs(void **state UNUSED)
{
	struct buf out CLEANUP_BUF = { 0 };
	struct sigv4_header h[SIGV4_HEADERS_MAX + 1];
	struct sigv4_request r = plain;
	struct sigv4_cred cred = suite;

	buf_init(&out, 1 << 16);
	assert_int_equal(sigv4_sign(&r, &suite, NOW + 1, &out), ERR_INVAL);
	r.header = plain_headers + 1;
	r.nheaders = 3;
	assert_int_equal(sigv4_sign(&r, &suite, NOW, &out), ERR_INVAL);
	r.header = h;
	r.nheaders = SIGV4_HEADERS_MAX + 1;
	assert_int_equal(sigv4_sign(&r, &suite, NOW, &out), ERR_LIMIT);
	cred.secret_len = SIGV4_SECRET_MAX + 1;
	assert_int_equal(sigv4_sign(&plain, &cred, NOW, &out), ERR_INVAL);
	/* Lines that would be headers of their own. */
	memcpy(h, plain_headers, sizeof(plain_headers));
	r.nheaders = 4;
	h[3].value = "a\nx:y";
	assert_int_equal(sigv4_sign(&r, &suite, NOW, &out), ERR_PARSE);
	r = plain;
	r.method = "GET\n/";
	assert_int_equal(sigv4_sign(&r, &suite, NOW, &out), ERR_PARSE);
	r = plain;
	r.query = "a=%4";
	assert_int_equal(sigv4_sign(&r, &suite, NOW, &out), ERR_PARSE);
	assert_int_equal(out.len, 0);
}

/* ---- Parsers -------------------------------------------------------------- */

#define SIG64 EMPTY
#define CRED "Credential=AKID/20150830/us-east-1/kms/aws4_request"
#define HEAD "AWS4-HMAC-SHA256 "

static void
test_parse_header(void **state UNUSED)
{
	static const char *const good[] = { HEAD CRED
		", SignedHeaders=host;x-amz-date, Signature=" SIG64,
		HEAD CRED ",SignedHeaders=host,Signature=" SIG64,
		HEAD "Signature=" SIG64 ",   SignedHeaders=a;b;c, " CRED };
	static const char *const bad[] = { "", "AWS4-HMAC-SHA256", HEAD,
		"AWS4-HMAC-SHA512 " CRED ", SignedHeaders=a, Signature=" SIG64,
		HEAD CRED ", SignedHeaders=host",
		HEAD CRED ", Signature=" SIG64,
		HEAD CRED ", " CRED ", SignedHeaders=a, Signature=" SIG64,
		HEAD CRED ", SignedHeaders=a, Signature=" SIG64 ",",
		HEAD CRED ", SignedHeaders=a, Signature=" SIG64 " ",
		HEAD CRED ", SignedHeaders=a, Signature=" SIG64 ", More=1",
		HEAD CRED ", SignedHeaders=a, Signature=" SIG64 "0",
		HEAD CRED ", SignedHeaders=a, Signature=E" SIG64,
		HEAD CRED ", SignedHeaders=, Signature=" SIG64,
		HEAD CRED ", SignedHeaders=b;a, Signature=" SIG64,
		HEAD CRED ", SignedHeaders=a;a, Signature=" SIG64,
		HEAD CRED ", SignedHeaders=a;, Signature=" SIG64,
		HEAD CRED ", SignedHeaders=;a, Signature=" SIG64,
		HEAD CRED ", SignedHeaders=Host, Signature=" SIG64,
		HEAD "Credential=AKID/20150830/us-east-1/kms, "
		     "SignedHeaders=a, Signature=" SIG64,
		HEAD "Credential=AKID/20150830/us-east-1/kms/aws4_request/x, "
		     "SignedHeaders=a, Signature=" SIG64,
		HEAD "Credential=/20150830/us-east-1/kms/aws4_request, "
		     "SignedHeaders=a, Signature=" SIG64,
		HEAD "Credential=A B/20150830/us-east-1/kms/aws4_request, "
		     "SignedHeaders=a, Signature=" SIG64,
		HEAD "Credential=AKID/2015083/us-east-1/kms/aws4_request, "
		     "SignedHeaders=a, Signature=" SIG64,
		HEAD "Credential=AKID/20150830/US/kms/aws4_request, "
		     "SignedHeaders=a, Signature=" SIG64,
		HEAD "Credential=AKID/20150830/us-east-1//aws4_request, "
		     "SignedHeaders=a, Signature=" SIG64,
		HEAD "Credential=AKID/20150830/us-east-1/kms/aws5_request, "
		     "SignedHeaders=a, Signature=" SIG64 };
	struct sigv4_auth a;

	for (size_t i = 0; i < COUNTOF(good); i++) {
		if (sigv4_parse_header(good[i], strlen(good[i]), &a) != OK)
			fail_msg("refused: %s", good[i]);
		assert_string_equal(a.access_key, "AKID");
		assert_string_equal(a.date, "20150830");
		assert_string_equal(a.region, "us-east-1");
		assert_string_equal(a.service, "kms");
		assert_false(a.presigned);
	}
	for (size_t i = 0; i < COUNTOF(bad); i++)
		if (sigv4_parse_header(bad[i], strlen(bad[i]), &a) != ERR_PARSE)
			fail_msg("not refused: %s", bad[i]);
}

#define Q_ALG "X-Amz-Algorithm=AWS4-HMAC-SHA256&"
#define Q_CRED "X-Amz-Credential=A%2F20150830%2Fus-east-1%2Fs3%2Faws4_request&"
#define Q_DATE "X-Amz-Date=20150830T123600Z&"
#define Q_NAMES "X-Amz-SignedHeaders=host%3Bx-amz-a&"
#define Q_SIG "X-Amz-Signature=" SIG64

static void
test_parse_query(void **state UNUSED)
{
	static const char *const bad[] = { Q_CRED Q_DATE Q_NAMES
		"X-Amz-Expires=9&" Q_SIG,
		Q_ALG Q_DATE Q_NAMES "X-Amz-Expires=9&" Q_SIG,
		Q_ALG Q_CRED Q_NAMES "X-Amz-Expires=9&" Q_SIG,
		Q_ALG Q_CRED Q_DATE "X-Amz-Expires=9&" Q_SIG,
		Q_ALG Q_CRED Q_DATE Q_NAMES Q_SIG,
		Q_ALG Q_CRED Q_DATE Q_NAMES "X-Amz-Expires=604801&" Q_SIG,
		Q_ALG Q_CRED Q_DATE Q_NAMES "X-Amz-Expires=0&" Q_SIG,
		Q_ALG Q_CRED Q_DATE Q_NAMES "X-Amz-Expires=-1&" Q_SIG,
		Q_ALG Q_CRED Q_DATE Q_NAMES "X-Amz-Expires=&" Q_SIG,
		Q_ALG Q_CRED Q_DATE Q_NAMES "X-Amz-Expires=9&" Q_SIG "&" Q_SIG,
		Q_ALG Q_ALG Q_CRED Q_DATE Q_NAMES "X-Amz-Expires=9&" Q_SIG,
		Q_ALG Q_CRED Q_DATE Q_NAMES "X-Amz-Expires=9%&" Q_SIG,
		Q_ALG Q_CRED Q_DATE Q_NAMES "X-Amz-Expires=9%00&" Q_SIG,
		Q_ALG Q_CRED Q_DATE Q_NAMES "X-Amz-Expires=9&" Q_SIG "%" };
	static const char good[] = "a=b&" Q_ALG Q_CRED Q_DATE Q_NAMES
				   "X-Amz-Expires=604800&" Q_SIG "&c";
	struct sigv4_auth a;

	assert_int_equal(sigv4_parse_query("a=b&c", &a), ERR_NODATA);
	assert_int_equal(sigv4_parse_query("", &a), ERR_NODATA);
	assert_int_equal(sigv4_parse_query(good, &a), OK);
	assert_string_equal(a.signed_headers, "host;x-amz-a");
	assert_string_equal(a.at, "20150830T123600Z");
	assert_int_equal(a.expires, 604800);
	for (size_t i = 0; i < COUNTOF(bad); i++)
		if (sigv4_parse_query(bad[i], &a) != ERR_PARSE)
			fail_msg("not refused: %s", bad[i]);
}

/* ---- Canonical form ------------------------------------------------------- */

static void
canonical(const char *path, const char *query, bool is_s3, const char *want)
{
	struct sigv4_request r = plain;
	struct buf b CLEANUP_BUF = { 0 };
	char *full CLEANUP_FREE = NULL;

	r.path = path;
	r.query = query;
	r.s3 = is_s3;
	buf_init(&b, 4096);
	assert_int_equal(sigv4_canonical(&r, "host", &b), OK);
	assert_true(
	    asprintf(&full, "POST\n%s\nhost:h\n\nhost\n" EMPTY, want) > 0);
	assert_string_equal((char *)b.p, full);
}

static void
test_canonical(void **state UNUSED)
{
	canonical("", NULL, false, "/\n");
	canonical("/a%20b", "", false, "/a%2520b\n");
	canonical("/a%20b//../%2f", "", true, "/a%20b//../%2F\n");
	canonical("/a/../../..", "", false, "/\n");
	canonical("/a/./b/", "", false, "/a/b/\n");
	canonical("/a/b/..", "", false, "/a/\n");
	canonical("/a/..b/c", "", false, "/a/..b/c\n");
	canonical("/", "b&a=2&a=1&&a", false, "/\na=&a=1&a=2&b=");
	canonical(
	    "/", "a=%7e%2d%c3&a=b=c&%61=+", false, "/\na=%2B&a=b%3Dc&a=~-%C3");
	canonical("/", "x=1&X-Amz-Signature=2", false, "/\nx=1");
}

static void
test_canonical_limits(void **state UNUSED)
{
	struct sigv4_request r = plain;
	struct buf b CLEANUP_BUF = { 0 };
	char query[2 * SIGV4_PARAMS_MAX + 3];

	buf_init(&b, SIGV4_TEXT_MAX);
	for (size_t i = 0; i + 1 < sizeof(query); i++)
		query[i] = i % 2 == 0 ? 'a' : '&';
	query[2 * SIGV4_PARAMS_MAX] = '\0';
	r.query = query;
	assert_int_equal(sigv4_canonical(&r, "host", &b), OK);
	query[2 * SIGV4_PARAMS_MAX] = 'a';
	query[2 * SIGV4_PARAMS_MAX + 1] = '\0';
	assert_int_equal(sigv4_canonical(&r, "host", &b), ERR_LIMIT);
	r = plain;
	r.path = "a";
	assert_int_equal(sigv4_canonical(&r, "host", &b), ERR_PARSE);
	r.path = "/";
	assert_int_equal(sigv4_canonical(&r, "host;none", &b), ERR_NODATA);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_altered),
		cmocka_unit_test(test_body_hash),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_presigned_clock),
		cmocka_unit_test(test_sign_needs),
		cmocka_unit_test(test_parse_header),
		cmocka_unit_test(test_parse_query),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_canonical_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
