/*
 * lib/net: HTTPS as it must be, and failures, against a server that fails on
 * demand.  It stands in this room for the certificate, which crypto makes.
 */
#include "tests/unit/kms_far.h"

#include <pthread.h>

#include "crypto/secret.h"
#include "lib/net/client.h"

static struct far_service far;

/* Times that no busy machine exceeds; where they run out, the case says so. */
static struct net_conf
conf(void)
{
	return (struct net_conf){ .url = far.url,
		.ca = far.ca,
		.connect_ms = 20000,
		.total_ms = 60000,
		.tries = 3,
		.backoff_ms = 1 };
}

static struct net_client *
client(const struct net_conf *c)
{
	struct net_client *n = NULL;

	assert_int_equal(net_client_new(c, &n), OK);
	return n;
}

static bool
always(long status, const void *body, size_t len)
{
	(void)body;
	(void)len;
	return status == 400;
}

static struct net_request
request(bool idempotent)
{
	static const struct net_header h[] = { { "X-Amz-Target", "T.Op" } };

	return (struct net_request){ .method = "POST",
		.path = "/",
		.header = h,
		.nheaders = 1,
		.body = "{}",
		.len = 2,
		.answer_max = 65536,
		.idempotent = idempotent };
}

/* One request with these conf; the tries it took, and how it ended. */
static unsigned
ask(const struct net_conf *c, const struct net_request *r, enum err want,
    long status)
{
	struct net_client *n = client(c);
	struct net_answer a CLEANUP_ANSWER = { .status = 0 };

	assert_int_equal(net_request(n, r, &a), want);
	if (want == OK)
		assert_int_equal(a.status, status);
	else
		assert_int_equal(a.body.len, 0);
	net_client_free(n);
	return a.tries;
}

static void
test_url(void **state UNUSED)
{
	static const char *const bad[] = { "", "http://localhost", "localhost",
		"https://", "https://u@localhost", "https://u:p@localhost",
		"https://localhost/?q", "https://localhost/#f",
		"ftp://localhost", "HTTPS", "file:///etc/passwd",
		"https://a b/", "https://localhost:99999" };
	struct net_conf c = conf();
	struct net_client *n = NULL;

	for (size_t i = 0; i < COUNTOF(bad); i++) {
		c.url = bad[i];
		if (net_client_new(&c, &n) != ERR_INVAL)
			fail_msg("taken: %s", bad[i]);
	}
	c.url = "https://[::1]:8443/a/b";
	n = client(&c);
	assert_string_equal(net_client_host(n), "[::1]:8443");
	assert_string_equal(net_client_path(n), "/a/b");
	net_client_free(n);
	c.url = "https://kms.example.org:443";
	n = client(&c);
	assert_string_equal(net_client_host(n), "kms.example.org");
	assert_string_equal(net_client_path(n), "/");
	net_client_free(n);
	c.pin = "short";
	assert_int_equal(net_client_new(&c, &n), ERR_INVAL);
	c.pin = NULL;
	c.ca = "/nonexistent";
	assert_int_equal(net_client_new(&c, &n), ERR_INVAL);
}

static void
test_good(void **state UNUSED)
{
	const struct net_conf c = conf();
	struct net_client *n = client(&c);
	const struct net_request r = request(true);
	const unsigned before = far_count(&far, "connection");

	far_mode(&far, "empty");
	for (unsigned i = 0; i < 3; i++) {
		struct net_answer a CLEANUP_ANSWER = { .status = 0 };

		assert_int_equal(net_request(n, &r, &a), OK);
		assert_int_equal(a.status, 200);
		assert_int_equal(a.tries, 1);
		assert_string_equal((char *)a.body.p, "{}");
	}
	net_client_free(n);
	assert_int_equal(far_count(&far, "connection"), before + 1);
}

/* The environment's proxies are not used. */
static void
test_no_proxy(void **state UNUSED)
{
	const struct net_conf c = conf();
	const struct net_request r = request(true);

	far_mode(&far, "empty");
	assert_int_equal(setenv("https_proxy", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(ask(&c, &r, OK, 200), 1);
	assert_int_equal(unsetenv("https_proxy"), 0);
	assert_int_equal(unsetenv("ALL_PROXY"), 0);
}

static void
test_certificates(void **state UNUSED)
{
	const struct net_request r = request(true);
	const unsigned before = far_count(&far, "Op");
	struct net_answer a CLEANUP_ANSWER = { .status = 0 };
	struct net_conf c = conf();
	struct net_client *n = NULL;
	struct far_service other;

	far_mode(&far, "empty");
	/* Another authority, the system's, another name, another key. */
	far_new(&other);
	c.ca = other.ca;
	assert_int_equal(ask(&c, &r, ERR_ACCESS, 0), 1);
	c.ca = NULL;
	n = client(&c);
	assert_int_not_equal(net_request(n, &r, &a), OK);
	net_client_free(n);
	c = conf();
	c.pin = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	assert_int_equal(ask(&c, &r, ERR_ACCESS, 0), 1);
	char url[64];
	(void)snprintf(url, sizeof(url), "https://127.0.0.2:%u", far.port);
	c = conf();
	c.url = url;
	/* Nobody listens there, or nobody with that name. */
	n = client(&c);
	assert_int_not_equal(net_request(n, &r, &a), OK);
	net_client_free(n);
	assert_int_equal(far_count(&far, "Op"), before);
	far_free(&other);
}

static void
test_repeats(void **state UNUSED)
{
	static const char *const modes[] = { "500 2", "503 2", "cut 2",
		"half 2" };
	const struct net_conf c = conf();

	for (size_t i = 0; i < COUNTOF(modes); i++) {
		const struct net_request r = request(true);

		far_mode(&far, modes[i]);
		assert_int_equal(ask(&c, &r, OK, 400), 3);
	}
	/* Not for ever, and the last answer is given. */
	struct net_request r = request(true);
	far_mode(&far, "500");
	assert_int_equal(ask(&c, &r, OK, 500), 3);
	far_mode(&far, "cut");
	assert_int_equal(ask(&c, &r, ERR_TIMEDOUT, 0), 3);
	/* By the caller's word. */
	far_mode(&far, "throttle");
	assert_int_equal(ask(&c, &r, OK, 400), 1);
	r.again = always;
	assert_int_equal(ask(&c, &r, OK, 400), 3);
}

static void
test_once(void **state UNUSED)
{
	const struct net_conf c = conf();
	struct net_request r = request(false);
	const unsigned before = far_count(&far, "Op");

	r.again = always;
	far_mode(&far, "500");
	assert_int_equal(ask(&c, &r, OK, 500), 1);
	far_mode(&far, "throttle");
	assert_int_equal(ask(&c, &r, OK, 400), 1);
	far_mode(&far, "half");
	assert_int_equal(ask(&c, &r, ERR_TIMEDOUT, 0), 1);
	assert_int_equal(far_count(&far, "Op"), before + 3);
}

/* A closed door may be knocked at again, whatever the request. */
static void
test_unreachable(void **state UNUSED)
{
	struct net_conf c = conf();
	const struct net_request r = request(false);

	/* Where no name server answers, it is the time that runs out. */
	c.connect_ms = 2000;
	c.url = "https://127.0.0.1:1";
	assert_int_equal(ask(&c, &r, ERR_TIMEDOUT, 0), 3);
	c.url = "https://nonexistent.invalid";
	assert_int_equal(ask(&c, &r, ERR_TIMEDOUT, 0), 3);
}

static void
test_timeout(void **state UNUSED)
{
	struct net_conf c = conf();
	const struct net_request r = request(true);

	c.total_ms = 300;
	far_mode(&far, "hang");
	(void)ask(&c, &r, ERR_TIMEDOUT, 0);
	far_mode(&far, "");
}

static void
test_bounds(void **state UNUSED)
{
	const struct net_conf c = conf();
	struct net_request r = request(true);
	static const struct net_header bad[] = { { "X", "a\r\nY: b" } };

	far_mode(&far, "long");
	assert_int_equal(ask(&c, &r, ERR_LIMIT, 0), 1);
	far_mode(&far, "redirect");
	assert_int_equal(ask(&c, &r, OK, 307), 1);
	far_mode(&far, "empty");
	r.answer_max = 1;
	assert_int_equal(ask(&c, &r, ERR_LIMIT, 0), 1);
	r.answer_max = 2;
	assert_int_equal(ask(&c, &r, OK, 200), 1);
	r.header = bad;
	assert_int_equal(ask(&c, &r, ERR_INVAL, 0), 1);
}

struct many {
	struct net_client *n;
	unsigned good;
};

static void *
many_main(void *arg)
{
	struct many *m = arg;
	const struct net_request r = request(true);

	for (unsigned i = 0; i < 8; i++) {
		struct net_answer a CLEANUP_ANSWER = { .status = 0 };

		m->good += net_request(m->n, &r, &a) == OK && a.status == 200;
	}
	return NULL;
}

/* More at once than connections are kept. */
static void
test_threads(void **state UNUSED)
{
	const struct net_conf c = conf();
	struct many m[NET_IDLE_MAX + 8] = { { .n = NULL } };
	pthread_t t[COUNTOF(m)];
	struct net_client *n = client(&c);

	far_mode(&far, "empty");
	for (size_t i = 0; i < COUNTOF(m); i++) {
		m[i].n = n;
		assert_int_equal(
		    pthread_create(&t[i], NULL, many_main, &m[i]), 0);
	}
	for (size_t i = 0; i < COUNTOF(m); i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_int_equal(m[i].good, 8);
	}
	net_client_free(n);
}

static int
setup(void **state UNUSED)
{
	if (secret_init() != OK)
		return -1;
	net_memory(secret_bulk_alloc, secret_bulk_free);
	far_new(&far);
	far_start(&far);
	return 0;
}

static int
teardown(void **state UNUSED)
{
	far_free(&far);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_no_proxy),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_repeats),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
