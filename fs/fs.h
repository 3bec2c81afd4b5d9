/*
 * fs: what the operations of a mount share.  Private to the room.
 *
 * Node ids: 1 is the directory that is mounted, every other node id is the
 * store's inode number.  Every operation replies exactly once on every path,
 * with no lock held (but see write_answer()); the comment above it names its
 * replies.
 */
#ifndef FS_FS_H
#define FS_FS_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/fserr.h"
#include "fs/handle.h"
#include "fs/inode.h"
#include "fs/loop.h"
#include "fs/mount.h"
#include "fs/rawio.h"
#include "fs/uidmap.h"
#include "store/store.h"

/* Only this process changes the store, and it tells the kernel, so names and
 * attributes stay good. */
#define FS_TIMEOUT 86400.0
#define FS_IO_MAX ((size_t)1 << 20)
#define FS_BLOCK 4096

/* Files whose pages the kernel is to drop, for the thread that tells it. */
struct fs_stale {
	struct lock lock;
	pthread_cond_t cond;
	pthread_t thread;
	bool started, ending;
	uint64_t *ino;
	size_t n, room;
};

struct fs {
	const struct fs_opts *opts;
	struct store *store;
	struct fuse_session *se;
	struct inodes *inodes;
	struct handles handles;
	struct rawio raw;
	struct kms_who who;   /* the mount's own user */
	struct uidmap uidmap; /* and those of some uids */
	uint64_t root;        /* the inode that is mounted */
	bool acl;             /* the kernel enforces ACLs; set by INIT */
	struct lock revoke;   /* held while the kernel drops pages */
	bool ending; /* protected by revoke: the kernel is told no more */
	struct fs_stale stale;
};

static inline struct fs *
fs_of(fuse_req_t req)
{
	return (fuse_req_userdata(req));
}

static inline uint64_t
fs_ino(const struct fs *fs, fuse_ino_t node)
{
	return (node == FUSE_ROOT_ID ? fs->root : node);
}

static inline fuse_ino_t
fs_node(const struct fs *fs, uint64_t ino)
{
	return (ino == fs->root ? FUSE_ROOT_ID : ino);
}

static inline struct handle *
fs_handle(const struct fuse_file_info *fi)
{
	return ((struct handle *)(uintptr_t)fi->fh);
}

/* Who a process of ${uid} is for the key service. */
static inline struct kms_who
fs_who_uid(const struct fs *fs, uid_t uid)
{
	struct kms_who who = fs->who;
	const char *user = uidmap_user(&fs->uidmap, uid);

	if (user != NULL)
		who.user = user;
	return (who);
}

static inline struct kms_who
fs_who(fuse_req_t req)
{
	return (fs_who_uid(fs_of(req), fuse_req_ctx(req)->uid));
}

/* ---- ops.c ----------------------------------------------------------------*/

/* The table of operations; static storage. */
const struct fuse_lowlevel_ops *fs_ops(void);

/* What stat(2) shows of ${a}. */
void fs_stat(const struct fs *fs, const struct store_attr *a, struct stat *ret);
/* Flags to remember with a look-up of ${a}. */
unsigned fs_flags(const struct store_attr *a);

void fs_reply_err(fuse_req_t req, enum err e);
void fs_reply_attr(fuse_req_t req, const struct store_attr *a);
/* Refer to ${a} and reply with it; ${flags} as inodes_hold(). */
void fs_reply_entry(fuse_req_t req, const struct store_attr *a, unsigned flags);
void fs_entry(const struct fs *fs, const struct store_attr *a,
    struct fuse_entry_param *ret);

/* ${n} references less; the inode is freed with its last one if it has no name
 * left. */
void fs_drop(struct fs *fs, uint64_t ino, uint64_t n);
/* The inode ${ino} lost its last name. */
void fs_gone(struct fs *fs, uint64_t ino);

/* The kernel's attributes of ${ino}, not its pages, are out of date. */
void fs_stale_attr(struct fs *fs, uint64_t ino);
/* The caller changed a file's content: clear set-id bits.  Unless ${asked} to
 * by the kernel, only when it leaves that to us and the caller is not root. */
void fs_kill_setid(fuse_req_t req, uint64_t ino, bool asked);
/* STORE_SET_KILL*: what this caller's changes take from ${a}. */
unsigned fs_kill_fields(fuse_req_t req, const struct store_attr *a);

/* ---- invalidate.c ---------------------------------------------------------*/

/* The master key ${keyref} went out of use: drop the kernel's pages of every
 * file under it.  For store_on_revoke(); ${arg} is the struct fs. */
void fs_revoke(void *arg, uint32_t keyref);

void fs_stale_init(struct fs *fs);
/* What the kernel has of ${ino}, pages and attributes, is not what the store has:
 * it is told so soon, by a thread of its own, as dropping a page may wait for a
 * request of the loop.  May be called inside an operation. */
void fs_stale(struct fs *fs, uint64_t ino);
/* Tell what is left, while the loop still answers, and end the thread. */
void fs_stale_end(struct fs *fs);

/* ---- xattr.c --------------------------------------------------------------*/

/* user.sse.*: virtual attributes.  True for names of that kind. */
bool fs_sse_name(const char *name);
/* ${ret} has room for FS_SSE_MAX bytes; the value and a NUL go there. */
#define FS_SSE_MAX STORE_DEFAULT_MAX
enum err fs_sse_get(
    struct fs *fs, uint64_t ino, const char *name, char *ret) MUSTCHECK;
enum err fs_sse_set(struct fs *fs, const struct kms_who *who, uint64_t ino,
    const char *name, const char *value, size_t len, int flags) MUSTCHECK;
enum err fs_sse_remove(struct fs *fs, const struct kms_who *who, uint64_t ino,
    const char *name) MUSTCHECK;
/* The names that ${ino} shows, each with its NUL, into ${ret}. */
#define FS_SSE_LIST_MAX 128
enum err fs_sse_list(struct fs *fs, uint64_t ino,
    char ret[static FS_SSE_LIST_MAX], size_t *ret_len) MUSTCHECK;

/* ---- The operations, by file ----------------------------------------------*/

/* ops_names.c */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(
    fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    struct fuse_file_info *fi);
void op_link(
    fuse_req_t req, fuse_ino_t node, fuse_ino_t newparent, const char *newname);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
    fuse_ino_t newparent, const char *newname, unsigned int flags);
int fs_tmpfile(
    void *arg, const struct rawio_tmpfile *in, struct rawio_made *ret);
void fs_untmpfile(void *arg, const struct rawio_made *made);

/* ops_attr.c */
void op_forget(fuse_req_t req, fuse_ino_t node, uint64_t nlookup);
void op_forget_multi(
    fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set,
    struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t node);
void op_statfs(fuse_req_t req, fuse_ino_t node);

/* ops_xattr.c */
int fs_raw_setxattr(void *arg, const struct rawio_setxattr *in);
void op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name,
    const char *value, size_t size, int flags);
void op_getxattr(
    fuse_req_t req, fuse_ino_t node, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name);

/* ops_data.c */
void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
    struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi);
void op_fsync(
    fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi);
void op_fsyncdir(
    fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset,
    off_t length, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence,
    struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t node_in, off_t off_in,
    struct fuse_file_info *fi_in, fuse_ino_t node_out, off_t off_out,
    struct fuse_file_info *fi_out, size_t len, int flags);

/* ops_dir.c */
void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
    struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
    struct fuse_file_info *fi);

#endif
