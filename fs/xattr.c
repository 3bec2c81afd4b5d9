/*
 * user.sse.*: encryption, shown and chosen through virtual attributes.
 *
 *	user.sse.status     files: "Yes" or "No"; never set
 *	user.sse.algorithm  encrypted files: "aws:kms" or "AES256"
 *	user.sse.key-id     files under a master key: its ARN
 *	user.sse.default    directories that have one: "None", "AES256",
 *	                    "KMS" or "KMS:ARN"
 *	user.sse.store-pid  the mounted directory: the process that serves it,
 *	                    in decimal; never listed, never set
 *
 * Algorithm and key-id of an empty file may be set: that is a request for the
 * data to come, as the headers of an upload are.  Two requests that contradict
 * each other (a key, and AES256) are refused with ERR_INVAL; what was asked for
 * is remembered as long as the kernel knows the inode.  "aws:kms" keeps the key
 * of a file that is under one already.
 *
 * Removing key-id from an empty file withdraws the request for that key: the
 * tenant's default key takes its place.  Removing the algorithm is refused
 * (ERR_PERM): a file that is encrypted by default does not become plain by a
 * removal, and a file with hard links has no single directory whose default
 * could be taken again.
 */
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/fs.h"

#define SSE_PREFIX "user.sse."
#define SSE_STATUS "user.sse.status"
#define SSE_ALGORITHM "user.sse.algorithm"
#define SSE_KEY_ID "user.sse.key-id"
#define SSE_DEFAULT "user.sse.default"
#define SSE_PID "user.sse.store-pid"

_Static_assert(FS_SSE_MAX >= KMS_ARN_MAX, "any value fits");
_Static_assert(sizeof(SSE_STATUS) + sizeof(SSE_ALGORITHM) + sizeof(SSE_KEY_ID) +
		       sizeof(SSE_DEFAULT) <=
		   FS_SSE_LIST_MAX,
    "any list fits");

bool
fs_sse_name(const char *name)
{
	return (strncmp(name, SSE_PREFIX, strlen(SSE_PREFIX)) == 0);
}

/* A file's attribute; ERR_NODATA when it has none of that name. */
static enum err
file_value(const struct store_sse *sse, const char *name, char *ret)
{
	const char *v = NULL;

	if (strcmp(name, SSE_STATUS) == 0)
		v = sse->method == SSE_NONE ? "No" : "Yes";
	else if (strcmp(name, SSE_ALGORITHM) == 0 && sse->method == SSE_KMS)
		v = "aws:kms";
	else if (strcmp(name, SSE_ALGORITHM) == 0 && sse->method == SSE_AES256)
		v = "AES256";
	else if (strcmp(name, SSE_KEY_ID) == 0 && sse->method == SSE_KMS)
		v = sse->arn;
	if (v == NULL)
		return (ERR_NODATA);
	memcpy(ret, v, strlen(v) + 1);
	return (OK);
}

enum err
fs_sse_get(struct fs *fs, uint64_t ino, const char *name, char *ret)
{
	struct store_sse sse;
	enum err e = OK;

	if (strcmp(name, SSE_PID) == 0 && ino == fs->root) {
		(void)snprintf(ret, FS_SSE_MAX, "%d", (int)getpid());
		return (OK);
	}
	if (strcmp(name, SSE_DEFAULT) == 0) {
		e = store_default_get(fs->store, ino, ret);
		return (e == ERR_NOTDIR ? ERR_NODATA : e);
	}
	e = store_sse_get(fs->store, ino, &sse);
	if (e != OK)
		return (e == ERR_INVAL ? ERR_NODATA : e);
	return (file_value(&sse, name, ret));
}

static enum err
set_algorithm(
    struct fs *fs, const struct kms_who *who, uint64_t ino, const char *value)
{
	const unsigned flags = inodes_flags(fs->inodes, ino);
	struct store_sse sse;

	if (strcmp(value, "AES256") == 0) {
		if ((flags & INODE_KEYCHOSEN) != 0)
			return (ERR_INVAL);
		TRY(store_sse_set(fs->store, who, ino, SSE_AES256, NULL));
		inodes_mark(fs->inodes, ino, INODE_AESCHOSEN, 0, 0);
		return (OK);
	}
	if (strcmp(value, "aws:kms") != 0)
		return (ERR_INVAL);
	TRY(store_sse_get(fs->store, ino, &sse));
	if (sse.method != SSE_KMS)
		TRY(store_sse_set(fs->store, who, ino, SSE_KMS, NULL));
	inodes_mark(fs->inodes, ino, 0, INODE_AESCHOSEN, 0);
	return (OK);
}

static enum err
set_key(
    struct fs *fs, const struct kms_who *who, uint64_t ino, const char *value)
{
	if ((inodes_flags(fs->inodes, ino) & INODE_AESCHOSEN) != 0 ||
	    *value == '\0')
		return (ERR_INVAL);
	TRY(store_sse_set(fs->store, who, ino, SSE_KMS, value));
	inodes_mark(fs->inodes, ino, INODE_KEYCHOSEN, 0, 0);
	return (OK);
}

/* The file's pages are now under another master key. */
static enum err
note_key(struct fs *fs, uint64_t ino)
{
	struct store_attr a;

	TRY(store_getattr(fs->store, ino, &a));
	inodes_set_key(fs->inodes, ino, a.keyref);
	return (OK);
}

static enum err
set_file(struct fs *fs, const struct kms_who *who, uint64_t ino,
    const char *name, const char *value)
{
	struct store_attr a;

	TRY(store_getattr(fs->store, ino, &a));
	if (!S_ISREG(a.mode))
		return (ERR_INVAL);
	if (a.size > 0)
		return (ERR_PERM);
	if (strcmp(name, SSE_KEY_ID) == 0)
		TRY(set_key(fs, who, ino, value));
	else
		TRY(set_algorithm(fs, who, ino, value));
	return (note_key(fs, ino));
}

static enum err
set_default(
    struct fs *fs, const struct kms_who *who, uint64_t ino, const char *value)
{
	const enum err e = store_default_set(fs->store, who, ino, value);

	return (e == ERR_NOTDIR ? ERR_INVAL : e);
}

/* XATTR_CREATE and XATTR_REPLACE, for a name that may be set. */
static enum err
check_flags(struct fs *fs, uint64_t ino, const char *name, int flags)
{
	char old[FS_SSE_MAX];
	enum err e = OK;

	if (flags == 0)
		return (OK);
	e = fs_sse_get(fs, ino, name, old);
	if (e != OK && e != ERR_NODATA)
		return (e);
	if (e == OK && (flags & XATTR_CREATE) != 0)
		return (ERR_EXIST);
	if (e == ERR_NODATA && (flags & XATTR_REPLACE) != 0)
		return (ERR_NODATA);
	return (OK);
}

enum err
fs_sse_set(struct fs *fs, const struct kms_who *who, uint64_t ino,
    const char *name, const char *value, size_t len, int flags)
{
	char text[FS_SSE_MAX];
	const bool is_default = strcmp(name, SSE_DEFAULT) == 0;

	if (strcmp(name, SSE_STATUS) == 0 || strcmp(name, SSE_PID) == 0)
		return (ERR_PERM);
	if (!is_default && strcmp(name, SSE_ALGORITHM) != 0 &&
	    strcmp(name, SSE_KEY_ID) != 0)
		return (ERR_INVAL);
	if (len >= sizeof(text) || memchr(value, '\0', len) != NULL)
		return (ERR_INVAL);
	memcpy(text, value, len);
	text[len] = '\0';
	TRY(check_flags(fs, ino, name, flags));
	return (is_default ? set_default(fs, who, ino, text)
			   : set_file(fs, who, ino, name, text));
}

static enum err
remove_key(struct fs *fs, const struct kms_who *who, uint64_t ino)
{
	struct store_attr a;

	TRY(store_getattr(fs->store, ino, &a));
	if (a.size > 0)
		return (ERR_PERM);
	TRY(store_sse_set(fs->store, who, ino, SSE_KMS, NULL));
	inodes_mark(fs->inodes, ino, 0, INODE_KEYCHOSEN, 0);
	return (note_key(fs, ino));
}

enum err
fs_sse_remove(
    struct fs *fs, const struct kms_who *who, uint64_t ino, const char *name)
{
	char old[FS_SSE_MAX];

	TRY(fs_sse_get(fs, ino, name, old));
	if (strcmp(name, SSE_DEFAULT) == 0)
		return (set_default(fs, who, ino, NULL));
	if (strcmp(name, SSE_KEY_ID) == 0)
		return (remove_key(fs, who, ino));
	return (ERR_PERM);
}

static size_t
list_put(char *ret, size_t used, const char *name)
{
	const size_t len = strlen(name) + 1;

	memcpy(ret + used, name, len);
	return (used + len);
}

enum err
fs_sse_list(struct fs *fs, uint64_t ino, char ret[static FS_SSE_LIST_MAX],
    size_t *ret_len)
{
	static const char *const names[] = { SSE_STATUS, SSE_ALGORITHM,
		SSE_KEY_ID };
	char value[FS_SSE_MAX];
	struct store_sse sse;
	enum err e = store_sse_get(fs->store, ino, &sse);
	size_t used = 0;

	if (e == OK) {
		for (size_t i = 0; i < COUNTOF(names); i++)
			if (file_value(&sse, names[i], value) == OK)
				used = list_put(ret, used, names[i]);
	} else if (e == ERR_INVAL) {
		e = fs_sse_get(fs, ino, SSE_DEFAULT, value);
		if (e == OK)
			used = list_put(ret, used, SSE_DEFAULT);
		else if (e == ERR_NODATA)
			e = OK;
	}
	*ret_len = used;
	return (e);
}
