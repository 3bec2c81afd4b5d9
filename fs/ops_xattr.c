/*
 * Extended attributes: which names exist, for whom.
 *
 * user.sse.* are virtual (xattr.c).  The rest of user.*, and trusted.* and
 * security.*, are stored; the kernel has checked before that the latter two
 * come from those who may, and that user.* is on files and directories only.
 * Only the listing is left to us to filter.  Of system.* there are the two ACLs
 * where the kernel enforces them, and nothing else.
 *
 * The kernel asks for security.capability around writes, so that "it has none"
 * is remembered per inode.
 */
#include <string.h>
#include <sys/xattr.h>

#include "fs/fs.h"

#define CAPS_NAME "security.capability"
#define LIST_MAX FS_IO_MAX

static bool
prefixed(const char *name, const char *prefix)
{
	return (strncmp(name, prefix, strlen(prefix)) == 0);
}

static bool
acl_name(const char *name)
{
	return (strcmp(name, STORE_ACL_ACCESS) == 0 ||
		strcmp(name, STORE_ACL_DEFAULT) == 0);
}

/* Is ${name} in a namespace whose attributes are stored?  ERR_NOTSUP; ERR_INVAL
 * for the bare prefix. */
static enum err
check_space(const struct fs *fs, const char *name)
{
	static const char *const spaces[] = { "user.", "trusted.",
		"security." };

	for (size_t i = 0; i < COUNTOF(spaces); i++)
		if (prefixed(name, spaces[i]))
			return (
			    name[strlen(spaces[i])] == '\0' ? ERR_INVAL : OK);
	return (fs->acl && acl_name(name) ? OK : ERR_NOTSUP);
}

/* An attribute is about to be stored: what was known about absence is not true
 * any more, and an answer on its way must not bring it back. */
static void
note_set(struct fs *fs, uint64_t ino, const char *name)
{
	inodes_mark(fs->inodes, ino, INODE_XATTRSET, INODE_NOXATTR, 0);
	if (strcmp(name, CAPS_NAME) == 0)
		inodes_mark(fs->inodes, ino, INODE_CAPSSET, INODE_NOCAPS, 0);
}

/* ${how}: STORE_XATTR_KILL_SGID or 0.  Returns an errno. */
static int
set(struct fs *fs, uid_t uid, fuse_ino_t node, const char *name,
    const char *value, size_t size, int flags, unsigned how)
{
	const uint64_t ino = fs_ino(fs, node);
	const struct kms_who who = fs_who_uid(fs, uid);
	enum err e = check_space(fs, name);

	if ((flags & XATTR_CREATE) != 0)
		how |= STORE_XATTR_CREATE;
	if ((flags & XATTR_REPLACE) != 0)
		how |= STORE_XATTR_REPLACE;
	if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0)
		e = ERR_INVAL;
	if (e == OK && fs_sse_name(name)) {
		e = fs_sse_set(fs, &who, ino, name, value, size, flags);
	} else if (e == OK) {
		note_set(fs, ino, name);
		e = store_xattr_set(fs->store, ino, name, value, size, how);
	}
	lock_assert_none();
	return (fs_errno(e));
}

int
fs_raw_setxattr(void *arg, const struct rawio_setxattr *in)
{
	return (set(arg, in->uid, in->node, in->name, in->value, in->size,
	    in->flags, in->kill_sgid ? STORE_XATTR_KILL_SGID : 0));
}

/* Kernels that do not tell about the setgid bit.  Replies: err. */
void
op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name,
    const char *value, size_t size, int flags)
{
	(void)fuse_reply_err(req, set(fs_of(req), fuse_req_ctx(req)->uid, node,
				      name, value, size, flags, 0));
}

static void
count_name(void *arg, const char *name, size_t len)
{
	size_t *n = arg;

	(void)name;
	(void)len;
	(*n)++;
}

static enum err
get_stored(struct fs *fs, uint64_t ino, const char *name, void *buf,
    size_t size, size_t *ret_len)
{
	const bool caps = strcmp(name, CAPS_NAME) == 0;
	const unsigned known = INODE_NOXATTR | (caps ? INODE_NOCAPS : 0);
	const unsigned flags = inodes_flags(fs->inodes, ino);
	size_t names = 0;
	enum err e = OK;

	if ((flags & known) != 0)
		return (ERR_NODATA);
	e = store_xattr_get(fs->store, ino, name, buf, size, ret_len);
	if (e != ERR_NODATA)
		return (e);
	if (caps)
		inodes_mark(fs->inodes, ino, INODE_NOCAPS, 0, INODE_CAPSSET);
	/* Once per inode: does it have any? */
	if ((flags & INODE_XATTRSET) == 0 &&
	    store_xattr_list(fs->store, ino, count_name, &names) == OK)
		inodes_mark(fs->inodes, ino,
		    names == 0 ? INODE_NOXATTR : INODE_XATTRSET, 0,
		    INODE_XATTRSET);
	return (ERR_NODATA);
}

static enum err
get_sse(struct fs *fs, uint64_t ino, const char *name, void *buf, size_t size,
    size_t *ret_len)
{
	char value[FS_SSE_MAX];
	size_t len = 0;

	TRY(fs_sse_get(fs, ino, name, value));
	len = strlen(value);
	*ret_len = len;
	if (size == 0)
		return (OK);
	if (len > size)
		return (ERR_RANGE);
	memcpy(buf, value, len);
	return (OK);
}

static void
reply_bytes(
    fuse_req_t req, enum err e, const void *buf, size_t size, size_t len)
{
	if (e != OK) {
		fs_reply_err(req, e);
		return;
	}
	lock_assert_none();
	if (size == 0)
		(void)fuse_reply_xattr(req, len);
	else
		(void)fuse_reply_buf(req, buf, len);
}

/* Replies: buf, xattr (size 0), err. */
void
op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	struct fs *fs = fs_of(req);
	const uint64_t ino = fs_ino(fs, node);
	void *buf = loop_buffer();
	size_t len = 0;
	enum err e = check_space(fs, name);

	if (size > FS_IO_MAX)
		size = FS_IO_MAX;
	if (e == OK && fs_sse_name(name))
		e = get_sse(fs, ino, name, buf, size, &len);
	else if (e == OK)
		e = get_stored(fs, ino, name, buf, size, &len);
	reply_bytes(req, e, buf, size, len);
}

struct name_list {
	char *buf;
	size_t len;
	bool root, acl;
	bool full;
};

static void
list_name(void *arg, const char *name, size_t len)
{
	struct name_list *l = arg;

	if ((!l->root && prefixed(name, "trusted.")) ||
	    (!l->acl && acl_name(name)))
		return;
	if (l->len + len + 1 > LIST_MAX) {
		l->full = true;
		return;
	}
	memcpy(l->buf + l->len, name, len);
	l->buf[l->len + len] = '\0';
	l->len += len + 1;
}

/* Replies: buf, xattr (size 0), err. */
void
op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
	struct fs *fs = fs_of(req);
	const uint64_t ino = fs_ino(fs, node);
	struct name_list l = {
		.buf = loop_buffer(),
		.root = fuse_req_ctx(req)->uid == 0,
		.acl = fs->acl,
	};
	enum err e = fs_sse_list(fs, ino, l.buf, &l.len);

	if (e == OK && (inodes_flags(fs->inodes, ino) & INODE_NOXATTR) == 0)
		e = store_xattr_list(fs->store, ino, list_name, &l);
	if (e == OK && l.full)
		e = ERR_2BIG;
	if (e == OK && size != 0 && l.len > size)
		e = ERR_RANGE;
	reply_bytes(req, e, l.buf, size, l.len);
}

/* Replies: err. */
void
op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name)
{
	struct fs *fs = fs_of(req);
	const uint64_t ino = fs_ino(fs, node);
	const struct kms_who who = fs_who(req);
	enum err e = check_space(fs, name);

	if (e == OK && fs_sse_name(name))
		e = fs_sse_remove(fs, &who, ino, name);
	else if (e == OK)
		e = store_xattr_remove(fs->store, ino, name);
	/* The kernel removes an ACL without asking whether there is one. */
	if (e == ERR_NODATA && acl_name(name))
		e = OK;
	fs_reply_err(req, e);
}
