/*
 * Verifying an audit log without its keystore.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "kms/audit.h"
#include "kms/audit_check.h"
#include "kms/sysfd.h"

#define KEYS_MAX 100000

struct keys {
	struct audit_key *v;
	size_t n;
};

static void
keys_release(struct keys *k)
{
	free(k->v);
}
#define CLEANUP_KEYS CLEANUP(keys_release)

static enum err
key_of(void *arg, uint64_t n, struct audit_key *ret)
{
	const struct keys *k = arg;

	for (size_t i = 0; i < k->n; i++)
		if (k->v[i].n == n) {
			*ret = k->v[i];
			return OK;
		}
	return ERR_NOENT;
}

static enum err
key_add(struct keys *k, const char *line, size_t len)
{
	struct audit_key key, *v;
	const struct audit_key *by;

	if (audit_key_parse(line, len, &key) != OK || k->n == KEYS_MAX)
		return err_fail(
		    ERR_PARSE, "it is not what \"ssefs audit key\" prints");
	/* The first is trusted, the others are what it vouches for. */
	by = k->n == 0 ? &key : &k->v[k->n - 1];
	if (k->n > 0 &&
	    (key.n != by->n + 1 || memcmp(key.uuid, by->uuid, UUID_LEN) != 0))
		return err_fail(
		    ERR_PARSE, "it holds keys that do not follow each other");
	if ((k->n > 0 || key.n == 1) && audit_key_check(&key, by->public) != OK)
		return err_fail(ERR_AUTH,
		    "key %llu is not signed by the one before",
		    (unsigned long long)key.n);
	v = reallocarray(k->v, k->n + 1, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM;
	v[k->n++] = key;
	k->v = v;
	return OK;
}

static enum err
keys_read(const char *p, size_t len, struct keys *k)
{

	while (len > 0) {
		const char *nl = memchr(p, '\n', len);
		const size_t n = nl == NULL ? len : (size_t)(nl - p);

		if (n > 0)
			TRY(key_add(k, p, n));
		len -= n + (nl == NULL ? 0 : 1);
		p += n + (nl == NULL ? 0 : 1);
	}
	return k->n > 0 ? OK : err_fail(ERR_PARSE, "there is no key in it");
}

static bool
check_line(void *arg, const char *line, size_t len)
{

	audit_check_line(arg, line, len);
	return true;
}

static enum err
check_file(struct audit_check *c, const char *path)
{
	int fd CLEANUP_SYSFD = sys->open(path, O_RDONLY | O_CLOEXEC, 0);
	struct stat st;

	if (fd < 0 || sys->fstat(fd, &st) != 0)
		return err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_fail(ERR_INVAL, "%s is not a regular file", path);
	c->file = path;
	c->v->segments++;
	return audit_lines(fd, 0, (uint64_t)st.st_size, check_line, c);
}

enum err
audit_verify_files(const char *text, size_t len, const char *const *files,
    size_t nfiles, audit_bad_fn *bad, void *arg, struct audit_verdict *ret)
{
	struct keys keys CLEANUP_KEYS = { NULL, 0 };
	struct audit_check c = { .key = key_of,
		.key_arg = &keys,
		.bad = bad,
		.arg = arg,
		.v = ret };

	memset(ret, 0, sizeof(*ret));
	TRY(keys_read(text, len, &keys));
	c.uuid = keys.v[0].uuid;
	for (size_t i = 0; i < nfiles; i++)
		TRY(check_file(&c, files[i]));
	audit_check_end(&c);
	return OK;
}
