/* crypto/tlspair: the files it makes, checked by OpenSSL's own verifier. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "crypto/secret.h"
#include "crypto/tlspair.h"
#include "lib/base/sys.h"

static char dir[256], ca[300], cert[300], key[300];

static X509 *
load(const char *path)
{
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	X509 *x = PEM_read_X509(f, NULL, NULL, NULL);

	assert_non_null(x);
	(void)fclose(f);
	return x;
}

static EVP_PKEY *
load_key(void)
{
	FILE *f = fopen(key, "re");
	assert_non_null(f);
	EVP_PKEY *k = PEM_read_PrivateKey(f, NULL, NULL, NULL);

	assert_non_null(k);
	(void)fclose(f);
	return k;
}

static mode_t
mode(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static int
setup(void **state UNUSED)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(
	    dir, sizeof(dir), "%s/tlspair.XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	(void)snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	(void)snprintf(key, sizeof(key), "%s/key.pem", dir);
	return 0;
}

static int
teardown(void **state UNUSED)
{
	(void)unlink(ca);
	(void)unlink(cert);
	(void)unlink(key);
	return rmdir(dir);
}

static struct tlspair_conf
conf(const char *const *names, size_t n)
{
	return (struct tlspair_conf){ .name = names,
		.nnames = n,
		.now = time(NULL),
		.days = 30,
		.ca = ca,
		.cert = cert,
		.key = key };
}

static int
verify(X509 *x, X509 *root, time_t at, int purpose)
{
	X509_STORE *s = X509_STORE_new();
	X509_STORE_CTX *c = X509_STORE_CTX_new();

	assert_int_equal(X509_STORE_add_cert(s, root), 1);
	assert_int_equal(X509_STORE_CTX_init(c, s, x, NULL), 1);
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(c), at);
	(void)X509_STORE_CTX_set_purpose(c, purpose);
	(void)X509_VERIFY_PARAM_set_flags(
	    X509_STORE_CTX_get0_param(c), X509_V_FLAG_X509_STRICT);
	(void)X509_verify_cert(c);
	const int error = X509_STORE_CTX_get_error(c);
	X509_STORE_CTX_free(c);
	X509_STORE_free(s);
	return error;
}

static void
test_pair(void **state UNUSED)
{
	static const char *const names[] = { "kms.example.org", "192.0.2.7",
		"0.0.0.0", "LOCALHOST", "2001:db8::1" };
	const struct tlspair_conf c = conf(names, COUNTOF(names));

	assert_int_equal(tlspair_make(&c), OK);
	assert_int_equal(mode(key), 0600);
	X509 *x = load(cert), *root = load(ca);
	EVP_PKEY *k = load_key();

	assert_int_equal(X509_check_private_key(x, k), 1);
	assert_int_equal(
	    verify(x, root, c.now, X509_PURPOSE_SSL_SERVER), X509_V_OK);
	assert_int_equal(
	    verify(x, root, c.now - 3000, X509_PURPOSE_SSL_SERVER), X509_V_OK);
	assert_int_equal(
	    verify(x, root, c.now + 31 * 86400, X509_PURPOSE_SSL_SERVER),
	    X509_V_ERR_CERT_HAS_EXPIRED);
	assert_int_equal(verify(x, root, c.now, X509_PURPOSE_SSL_CLIENT),
	    X509_V_ERR_INVALID_PURPOSE);
	assert_int_equal(X509_check_host(x, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(x, "kms.example.org", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(x, "example.org", 0, 0, NULL), 0);
	assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(x, "::1", 0), 1);
	assert_int_equal(X509_check_ip_asc(x, "192.0.2.7", 0), 1);
	assert_int_equal(X509_check_ip_asc(x, "2001:db8::1", 0), 1);
	assert_int_equal(X509_check_ip_asc(x, "0.0.0.0", 0), 0);
	assert_int_equal(X509_check_ca(x), 0);
	assert_int_equal(X509_check_ca(root), 1);
	X509_free(x);
	X509_free(root);
	EVP_PKEY_free(k);
}

static void
test_reading(void **state UNUSED)
{
	const struct tlspair_conf c = conf(NULL, 0);
	uint8_t *pem CLEANUP_FREE = NULL;
	uint8_t print[SHA256_LEN], want[SHA256_LEN];
	size_t len = 0;
	unsigned n = 0;
	time_t until = 0;

	assert_int_equal(tlspair_make(&c), OK);
	assert_int_equal(sys_read_file(cert, TLSPAIR_PEM_MAX, &pem, &len), OK);
	assert_int_equal(tlspair_fingerprint(pem, len, print), OK);
	X509 *x = load(cert);
	assert_int_equal(X509_digest(x, EVP_sha256(), want, &n), 1);
	X509_free(x);
	assert_memory_equal(print, want, SHA256_LEN);
	assert_int_equal(tlspair_until(pem, len, &until), OK);
	assert_int_equal(until, c.now + 30 * 86400);
	assert_int_equal(tlspair_fingerprint("x", 1, print), ERR_PARSE);
	assert_int_equal(tlspair_fingerprint(pem, 100, print), ERR_PARSE);
	assert_int_equal(tlspair_until("", 0, &until), ERR_PARSE);
}

/* Nothing that stands there is replaced, and nothing half is left. */
static void
test_exists(void **state UNUSED)
{
	const struct tlspair_conf c = conf(NULL, 0);

	assert_int_equal(sys_write_file(ca, "x", 1, 0644, 1), OK);
	assert_int_equal(tlspair_make(&c), ERR_EXIST);
	assert_int_not_equal(access(key, F_OK), 0);
	assert_int_not_equal(access(cert, F_OK), 0);
	assert_int_equal(access(ca, F_OK), 0);
}

static void
test_names(void **state UNUSED)
{
	static const char *const bad[] = { "", ".", "a..b", "a,DNS:b", "a b",
		"-\n", "[::1]", "1.2.3.4,5", "a.", "*" };
	struct tlspair_conf c = conf(NULL, 0);

	for (size_t i = 0; i < COUNTOF(bad); i++) {
		c = conf(&bad[i], 1);
		assert_int_equal(tlspair_make(&c), ERR_INVAL);
	}
	c.nnames = TLSPAIR_NAMES_MAX + 1;
	assert_int_equal(tlspair_make(&c), ERR_INVAL);
	c = conf(NULL, 0);
	c.days = 0;
	assert_int_equal(tlspair_make(&c), ERR_INVAL);
	assert_int_not_equal(access(key, F_OK), 0);
}

static int
init(void **state UNUSED)
{
	return secret_init() == OK ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pair, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
	};

	return cmocka_run_group_tests(tests, init, NULL);
}
