/*
 * tlspair: OpenSSL builds the certificates in memory; files are written last,
 * the private key first, so that a certificate never stands there without it.
 */
#include <arpa/inet.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/rand.h"
#include "crypto/tlspair.h"
#include "lib/base/buf.h"
#include "lib/base/codec.h"
#include "lib/base/sys.h"

#define SERIAL_LEN 16
#define EARLY 3600 /* seconds that clients' clocks may be behind */
#define EXTENSION_MAX 8192

static void
free_key(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
}

static void
free_cert(X509 **c)
{
	X509_free(*c);
}

static void
free_bio(BIO **b)
{
	(void)BIO_free(*b);
}

static enum err
failed(const char *what)
{
	ERR_clear_error();
	return err_fail(ERR_CRYPTO, "OpenSSL cannot make %s", what);
}

/* ---- Names ---------------------------------------------------------------- */

/* The text of the extension, "DNS:localhost,IP:127.0.0.1,…"; each name once. */
struct names {
	struct buf text;
};

static void
names_release(struct names *n)
{
	buf_release(&n->text);
}

static bool
any_address(const char *name)
{
	return strcmp(name, "0.0.0.0") == 0 || strcmp(name, "::") == 0;
}

/* A host name: labels of letters, digits and dashes. */
static bool
host_name(const char *s)
{
	size_t label = 0;

	if (strlen(s) > TLSPAIR_NAME_LEN)
		return false;
	for (; *s != '\0'; s++) {
		const bool dot = *s == '.';

		if (dot && label == 0)
			return false;
		if (!dot && strchr("abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-",
				*s) == NULL)
			return false;
		label = dot ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return label > 0;
}

static bool
has_name(const struct names *n, const char *entry)
{
	const size_t len = strlen(entry);

	for (const char *s = (const char *)n->text.p;
	     s != NULL && *s != '\0';) {
		const size_t have = strcspn(s, ",");

		if (have == len && strncasecmp(s, entry, len) == 0)
			return true;
		s += have + (s[have] == ',' ? 1 : 0);
	}
	return false;
}

static enum err
add_name(struct names *n, const char *name)
{
	char entry[TLSPAIR_NAME_LEN + 8];
	uint8_t address[16];
	const bool ip = inet_pton(AF_INET, name, address) == 1 ||
			inet_pton(AF_INET6, name, address) == 1;

	if (ip && any_address(name))
		return OK;
	if (!ip && !host_name(name))
		return err_fail(
		    ERR_INVAL, "\"%.64s\" is no host name or IP address", name);
	(void)snprintf(entry, sizeof(entry), "%s:%s", ip ? "IP" : "DNS", name);
	if (has_name(n, entry))
		return OK;
	return buf_printf(&n->text, "%s%s", n->text.len > 0 ? "," : "", entry);
}

static enum err
all_names(const struct tlspair_conf *c, struct names *n)
{
	char own[HOST_NAME_MAX + 1] = "";

	buf_init(&n->text, EXTENSION_MAX);
	TRY(add_name(n, "localhost"));
	TRY(add_name(n, "127.0.0.1"));
	TRY(add_name(n, "::1"));
	/* A name that DNS would not take is of no use to a client. */
	if (gethostname(own, sizeof(own) - 1) == 0 && host_name(own))
		TRY(add_name(n, own));
	for (size_t i = 0; i < c->nnames; i++)
		TRY(add_name(n, c->name[i]));
	return OK;
}

/* ---- Certificates --------------------------------------------------------- */

static enum err
set_serial(X509 *x)
{
	uint8_t serial[SERIAL_LEN];

	rand_bytes(serial, sizeof(serial));
	serial[0] = (serial[0] & 0x3f) | 0x40; /* positive, of full length */
	BIGNUM *n = BN_bin2bn(serial, sizeof(serial), NULL);
	const bool done = n != NULL && BN_to_ASN1_INTEGER(
					   n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	return done ? OK : failed("a serial number");
}

static enum err
extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	const bool done = e != NULL && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return done ? OK : failed("a certificate's extension");
}

/* What both certificates have; not signed yet. */
static enum err
begin(const struct tlspair_conf *c, EVP_PKEY *key, const char *cn, X509 **ret)
{
	X509 *x CLEANUP(free_cert) = X509_new();
	const time_t from = c->now - EARLY,
		     until = c->now + (time_t)c->days * 86400;

	if (x == NULL)
		return ERR_NOMEM;
	TRY(set_serial(x));
	X509_NAME *name = X509_get_subject_name(x);
	if (X509_set_version(x, X509_VERSION_3) != 1 ||
	    ASN1_TIME_set(X509_getm_notBefore(x), from) == NULL ||
	    ASN1_TIME_set(X509_getm_notAfter(x), until) == NULL ||
	    X509_set_pubkey(x, key) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
		(const unsigned char *)"ssefs", -1, -1, 0) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		(const unsigned char *)cn, -1, -1, 0) != 1)
		return failed("a certificate");
	*ret = steal(x);
	return OK;
}

static enum err
sign_with(X509 *x, X509 *issuer, EVP_PKEY *key)
{
	if (X509_set_issuer_name(x, X509_get_subject_name(issuer)) != 1 ||
	    X509_sign(x, key, EVP_sha256()) == 0)
		return failed("a certificate's signature");
	return OK;
}

static enum err
make_authority(const struct tlspair_conf *c, EVP_PKEY *key, X509 **ret)
{
	X509 *x CLEANUP(free_cert) = NULL;
	char cn[64], hex[9];
	uint8_t mark[4];

	/* Authorities of two stores must not have one name. */
	rand_bytes(mark, sizeof(mark));
	hex_encode(mark, sizeof(mark), hex);
	(void)snprintf(cn, sizeof(cn), "ssefs authority %s", hex);
	TRY(begin(c, key, cn, &x));
	TRY(extend(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
	TRY(extend(x, x, NID_key_usage, "critical,keyCertSign,cRLSign"));
	TRY(extend(x, x, NID_subject_key_identifier, "hash"));
	TRY(sign_with(x, x, key));
	*ret = steal(x);
	return OK;
}

static enum err
make_server(const struct tlspair_conf *c, EVP_PKEY *key, X509 *ca,
    EVP_PKEY *ca_key, X509 **ret)
{
	X509 *x CLEANUP(free_cert) = NULL;
	struct names n CLEANUP(names_release) = { .text = { 0 } };

	TRY(all_names(c, &n));
	TRY(begin(c, key, "ssefs", &x));
	TRY(extend(x, ca, NID_basic_constraints, "critical,CA:FALSE"));
	TRY(extend(x, ca, NID_key_usage, "critical,digitalSignature"));
	TRY(extend(x, ca, NID_ext_key_usage, "serverAuth"));
	TRY(extend(x, ca, NID_subject_alt_name, (const char *)n.text.p));
	TRY(extend(x, ca, NID_subject_key_identifier, "hash"));
	TRY(extend(x, ca, NID_authority_key_identifier, "keyid:always"));
	TRY(sign_with(x, ca, ca_key));
	*ret = steal(x);
	return OK;
}

/* ---- Files ---------------------------------------------------------------- */

static enum err
write_certs(const char *path, X509 *first, X509 *second)
{
	BIO *b CLEANUP(free_bio) = BIO_new(BIO_s_mem());
	char *text = NULL;

	if (b == NULL || PEM_write_bio_X509(b, first) != 1 ||
	    (second != NULL && PEM_write_bio_X509(b, second) != 1))
		return failed("a certificate's text");
	const long len = BIO_get_mem_data(b, &text);
	return sys_write_file(path, text, (size_t)len, 0600, 1);
}

/* The text is in OpenSSL's memory, which is key memory and wiped when freed. */
static enum err
write_key(const char *path, EVP_PKEY *key)
{
	BIO *b CLEANUP(free_bio) = BIO_new(BIO_s_mem());
	char *text = NULL;

	if (b == NULL || PEM_write_bio_PKCS8PrivateKey(
			     b, key, NULL, NULL, 0, NULL, NULL) != 1)
		return failed("a private key's text");
	const long len = BIO_get_mem_data(b, &text);
	return sys_write_file(path, text, (size_t)len, 0600, 1);
}

static enum err
write_all(const struct tlspair_conf *c, EVP_PKEY *key, X509 *server, X509 *ca)
{
	enum err e;

	TRY(write_key(c->key, key));
	e = write_certs(c->cert, server, ca);
	if (e == OK) {
		e = write_certs(c->ca, ca, NULL);
		if (e != OK)
			(void)sys->unlink(c->cert);
	}
	if (e != OK)
		(void)sys->unlink(c->key);
	return e;
}

enum err
tlspair_make(const struct tlspair_conf *c)
{
	EVP_PKEY *ca_key CLEANUP(free_key) = NULL;
	EVP_PKEY *key CLEANUP(free_key) = NULL;
	X509 *ca CLEANUP(free_cert) = NULL;
	X509 *server CLEANUP(free_cert) = NULL;

	if (c->nnames > TLSPAIR_NAMES_MAX || c->days == 0 ||
	    c->days > TLSPAIR_DAYS)
		return ERR_INVAL;
	ca_key = EVP_EC_gen("P-256");
	key = EVP_EC_gen("P-256");
	if (ca_key == NULL || key == NULL)
		return failed("a key");
	TRY(make_authority(c, ca_key, &ca));
	TRY(make_server(c, key, ca, ca_key, &server));
	return write_all(c, key, server, ca);
}

/* ---- Reading -------------------------------------------------------------- */

static enum err
read_cert(const void *pem, size_t len, X509 **ret)
{
	if (len > TLSPAIR_PEM_MAX)
		return err_fail(ERR_LIMIT, "a certificate's file is too long");
	BIO *b CLEANUP(free_bio) = BIO_new_mem_buf(pem, (int)len);
	if (b == NULL)
		return ERR_NOMEM;
	*ret = PEM_read_bio_X509(b, NULL, NULL, NULL);
	if (*ret == NULL) {
		ERR_clear_error();
		return err_fail(ERR_PARSE, "there is no PEM certificate");
	}
	return OK;
}

enum err
tlspair_fingerprint(const void *pem, size_t len, uint8_t ret[static SHA256_LEN])
{
	X509 *x CLEANUP(free_cert) = NULL;
	unsigned n = 0;

	TRY(read_cert(pem, len, &x));
	if (X509_digest(x, EVP_sha256(), ret, &n) != 1 || n != SHA256_LEN)
		return failed("a fingerprint");
	return OK;
}

enum err
tlspair_until(const void *pem, size_t len, time_t *ret)
{
	X509 *x CLEANUP(free_cert) = NULL;
	struct tm tm = { 0 };

	TRY(read_cert(pem, len, &x));
	if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1) {
		ERR_clear_error();
		return err_fail(ERR_PARSE, "a certificate without an end");
	}
	*ret = timegm(&tm);
	return OK;
}
