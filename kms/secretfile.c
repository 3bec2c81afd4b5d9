/*
 * Files that hold secrets.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/secretfile.h"
#include "kms/sysfd.h"

/* It belongs to us and is closed to all others. */
static enum err
check_owner(const struct secretfile *s, const char *path, const struct stat *st)
{

	if (st->st_uid != geteuid())
		return err_fail(s->e,
		    "%s %s belongs to another user; chown it to the user who "
		    "runs ssefs",
		    s->what, path);
	if ((st->st_mode & 077) != 0)
		return err_fail(s->e,
		    "%s %s can be read or written by others; run: chmod 600 "
		    "%s",
		    s->what, path, path);
	return OK;
}

enum err
secretfile_read(const struct secretfile *s, const char *path, bool ours,
    uint8_t *ret, size_t *ret_len)
{
	struct stat st;
	int fd CLEANUP_SYSFD = -1;

	fd = sys->open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	if (fd < 0 && errno == ELOOP)
		return err_fail(s->e,
		    "%s %s is a symbolic link; name the file itself", s->what,
		    path);
	if (fd < 0)
		return err_fail(s->e, "%s %s: %s; without it %s", s->what, path,
		    strerror(errno), s->loss);
	if (sys->fstat(fd, &st) != 0)
		return err_from_errno(errno);
	if (!S_ISREG(st.st_mode))
		return err_fail(
		    s->e, "%s %s is not a regular file", s->what, path);
	if (ours)
		TRY(check_owner(s, path, &st));
	if (st.st_size < 0 || (size_t)st.st_size < s->min ||
	    (size_t)st.st_size > s->max)
		return err_fail(s->e, "%s %s must hold %zu to %zu bytes",
		    s->what, path, s->min, s->max);
	*ret_len = (size_t)st.st_size;
	return sys_pread_full(fd, ret, *ret_len, 0);
}

enum err
secretfile_credential(
    const struct secretfile *s, const char *name, char ret[static PATH_MAX])
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");

	if (name == NULL || *name == '\0' || strchr(name, '/') != NULL)
		return err_fail(s->e, "malformed credential name");
	if (dir == NULL)
		return err_fail(s->e,
		    "no CREDENTIALS_DIRECTORY; start it from a unit with "
		    "LoadCredentialEncrypted=%.64s:…",
		    name);
	if (snprintf(ret, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return err_fail(s->e, "credential path too long");
	return OK;
}
