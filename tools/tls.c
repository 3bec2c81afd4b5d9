#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "crypto/secret.h"
#include "crypto/tlspair.h"
#include "kms/secretfile.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "tools/tls.h"

#define KEY_FILE_MAX ((size_t)16 << 10)
#define WARN_DAYS 30
#define DAY 86400

static enum err
path_of(const char *dir, const char *name, char **ret)
{
	if (asprintf(
		ret, "%s/tls%s%s", dir, name[0] != '\0' ? "/" : "", name) >= 0)
		return (OK);
	*ret = NULL;
	return (ERR_NOMEM);
}

enum err
tls_pair_make(const char *dir, const char *host)
{
	char *top CLEANUP_FREE = NULL, *ca CLEANUP_FREE = NULL;
	char *cert CLEANUP_FREE = NULL, *key CLEANUP_FREE = NULL;
	struct tlspair_conf c = {
		.name = &host,
		.nnames = host != NULL ? 1 : 0,
		.now = clock_wall().tv_sec,
		.days = TLSPAIR_DAYS,
	};

	TRY(path_of(dir, "", &top));
	TRY(path_of(dir, "ca.pem", &ca));
	TRY(path_of(dir, "cert.pem", &cert));
	TRY(path_of(dir, "key.pem", &key));
	if (access(ca, F_OK) == 0 && access(cert, F_OK) == 0 &&
	    access(key, F_OK) == 0)
		return (OK);
	if (mkdir(top, 0700) != 0 && errno != EEXIST)
		return (err_fail(
		    err_from_errno(errno), "%s: %s", top, strerror(errno)));
	/* What a maker that died left of one is of no use. */
	(void)unlink(ca);
	(void)unlink(cert);
	(void)unlink(key);
	c.ca = ca;
	c.cert = cert;
	c.key = key;
	return (tlspair_make(&c));
}

static enum err
read_cert(const char *path, char **ret)
{
	int fd CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
	char *text CLEANUP_FREE = malloc(TLSPAIR_PEM_MAX + 1);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return (err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno)));
	if (text == NULL)
		return (ERR_NOMEM);
	while (n > 0 && len < TLSPAIR_PEM_MAX) {
		n = read(fd, text + len, TLSPAIR_PEM_MAX - len);
		if (n < 0 && errno != EINTR)
			return (err_fail(err_from_errno(errno), "%s: %s", path,
			    strerror(errno)));
		len += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	text[len] = '\0';
	*ret = steal(text);
	return (OK);
}

static enum err
read_key(const char *path, char **ret)
{
	const struct secretfile s = {
		.what = "TLS key",
		.loss = "serve over TLS",
		.e = ERR_INVAL,
		.min = 1,
		.max = KEY_FILE_MAX,
	};
	size_t len = 0;

	*ret = secret_alloc(KEY_FILE_MAX + 1);
	if (*ret == NULL)
		return (ERR_NOMEM);
	TRY(secretfile_read(&s, path, true, (uint8_t *)*ret, &len));
	(*ret)[len] = '\0';
	return (OK);
}

static enum err
look_at(const char *path, struct tls_pair *p)
{
	static const char digits[] = "0123456789ABCDEF";
	const size_t len = strlen(p->cert);
	const time_t now = clock_wall().tv_sec;
	uint8_t sum[SHA256_LEN];
	time_t until = 0;

	if (tlspair_fingerprint(p->cert, len, sum) != OK ||
	    tlspair_until(p->cert, len, &until) != OK)
		return (
		    err_fail(ERR_INVAL, "%s: it holds no certificate", path));
	for (size_t i = 0; i < SHA256_LEN; i++) {
		p->fingerprint[3 * i] = digits[sum[i] >> 4];
		p->fingerprint[3 * i + 1] = digits[sum[i] & 15];
		p->fingerprint[3 * i + 2] = i + 1 < SHA256_LEN ? ':' : '\0';
	}
	if (until < now)
		return (err_fail(
		    ERR_INVAL, "%s: the certificate has expired", path));
	if (until - now < WARN_DAYS * DAY)
		log_warn("%s: the certificate expires in %lld days", path,
		    (long long)((until - now) / DAY));
	return (OK);
}

enum err
tls_pair_load(
    const char *dir, const char *cert, const char *key, struct tls_pair *ret)
{
	char *ours CLEANUP_FREE = NULL, *our_key CLEANUP_FREE = NULL;

	if (cert == NULL) {
		TRY(path_of(dir, "ca.pem", &ret->ca));
		TRY(path_of(dir, "cert.pem", &ours));
		TRY(path_of(dir, "key.pem", &our_key));
		cert = ours;
		key = our_key;
	}
	TRY(read_cert(cert, &ret->cert));
	TRY(look_at(cert, ret));
	return (read_key(key, &ret->key));
}

void
tls_pair_release(struct tls_pair *p)
{
	free(p->ca);
	free(p->cert);
	secret_free(p->key);
	*p = (struct tls_pair){ .ca = NULL };
}
