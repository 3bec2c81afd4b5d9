/*
 * sse: what the mount says about the encryption of a path.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "tools/sse.h"

/* An attribute as text; "" when there is none of that name. */
static enum err
get(const char *path, const char *name, char *ret, size_t size)
{
	const ssize_t n = lgetxattr(path, name, ret, size - 1);

	ret[n > 0 ? n : 0] = '\0';
	if (n >= 0 || errno == ENODATA || errno == ENOTSUP)
		return (OK);
	return (
	    err_fail(err_from_errno(errno), "%s: %s", name, strerror(errno)));
}

enum err
sse_view(const char *path, const struct stat *sb, struct sse_view *ret)
{
	*ret = (struct sse_view){ .status = "" };
	/* The kernel keeps user attributes to files and directories. */
	if (S_ISDIR(sb->st_mode))
		return (
		    get(path, "user.sse.default", ret->def, sizeof(ret->def)));
	if (!S_ISREG(sb->st_mode))
		return (OK);
	TRY(get(path, "user.sse.status", ret->status, sizeof(ret->status)));
	if (ret->status[0] == '\0')
		return (err_fail(ERR_NOTSUP, "it is not on an ssefs mount"));
	TRY(get(path, "user.sse.algorithm", ret->algorithm,
	    sizeof(ret->algorithm)));
	TRY(get(path, "user.sse.key-id", ret->key_id, sizeof(ret->key_id)));
	return (get(path, "user.s3.etag", ret->etag, sizeof(ret->etag)));
}

const char *
sse_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return ("file");
	case S_IFDIR:
		return ("directory");
	case S_IFLNK:
		return ("symlink");
	case S_IFIFO:
		return ("fifo");
	case S_IFSOCK:
		return ("socket");
	case S_IFCHR:
		return ("character device");
	case S_IFBLK:
		return ("block device");
	default:
		return ("unknown");
	}
}

static char
type_letter(mode_t mode)
{
	static const struct {
		mode_t type;
		char letter;
	} letters[] = { { S_IFREG, '-' }, { S_IFDIR, 'd' }, { S_IFLNK, 'l' },
		{ S_IFIFO, 'p' }, { S_IFSOCK, 's' }, { S_IFCHR, 'c' },
		{ S_IFBLK, 'b' } };

	for (size_t i = 0; i < COUNTOF(letters); i++)
		if ((mode & S_IFMT) == letters[i].type)
			return (letters[i].letter);
	return ('?');
}

void
sse_mode(mode_t mode, char ret[static 11])
{
	static const char rwx[] = "rwxrwxrwx";

	ret[0] = type_letter(mode);
	for (unsigned i = 0; i < 9; i++)
		ret[i + 1] = (mode & (0400u >> i)) != 0 ? rwx[i] : '-';
	if ((mode & S_ISUID) != 0)
		ret[3] = (mode & S_IXUSR) != 0 ? 's' : 'S';
	if ((mode & S_ISGID) != 0)
		ret[6] = (mode & S_IXGRP) != 0 ? 's' : 'S';
	if ((mode & S_ISVTX) != 0)
		ret[9] = (mode & S_IXOTH) != 0 ? 't' : 'T';
	ret[10] = '\0';
}

static const char *
or_null(const char *s)
{
	return (s[0] != '\0' ? s : NULL);
}

void
sse_json(struct json *j, const struct stat *sb, const struct sse_view *v)
{
	char mode[8];

	(void)snprintf(
	    mode, sizeof(mode), "%04o", (unsigned)(sb->st_mode & 07777));
	json_str(j, "type", sse_kind(sb->st_mode));
	json_str(j, "mode", mode);
	json_u64(j, "ino", sb->st_ino);
	json_u64(j, "links", sb->st_nlink);
	json_u64(j, "uid", sb->st_uid);
	json_u64(j, "gid", sb->st_gid);
	json_i64(j, "size", sb->st_size);
	json_i64(j, "blocks", sb->st_blocks);
	json_time(j, "modified", sb->st_mtim.tv_sec);
	if (S_ISDIR(sb->st_mode)) {
		json_str(j, "default", or_null(v->def));
	} else if (S_ISREG(sb->st_mode)) {
		json_str(j, "status", or_null(v->status));
		json_str(j, "algorithm", or_null(v->algorithm));
		json_str(j, "keyId", or_null(v->key_id));
		if (v->etag[0] != '\0')
			json_str(j, "etag", v->etag);
	}
}
