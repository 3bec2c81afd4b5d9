/* What the tools can ask of a mount. */
#include <string.h>

#include "fs/control.h"

#define NAMES_MAX (16u << 20) /* bytes of all bucket names */

static enum err
row(struct buf *out, const char *a, const char *b)
{
	TRY(buf_put_str(out, "row"));
	TRY(control_field(out, a, false));
	if (b != NULL)
		TRY(control_field(out, b, false));
	return (buf_put_str(out, "\n"));
}

static enum err
stats(struct fs *fs, struct buf *out)
{
	struct store_counters c;
	size_t inodes = 0, bytes = 0;

	store_counters(fs->store, &c);
	inodes_usage(fs->inodes, &inodes, &bytes);
	const struct {
		const char *name;
		uint64_t value;
	} all[] = {
		{ "epochs", c.epochs },
		{ "fsyncs", c.fsyncs },
		{ "reads", c.reads },
		{ "writes", c.writes },
		{ "read_bytes", c.read_bytes },
		{ "write_bytes", c.write_bytes },
		{ "kms_calls", c.kms_calls },
		{ "map_hits", c.map_hits },
		{ "map_misses", c.map_misses },
		{ "dirty_bytes", c.dirty_bytes },
		{ "inodes", inodes },
		{ "inode_bytes", bytes },
	};

	for (size_t i = 0; i < COUNTOF(all); i++)
		TRY(buf_printf(out, "row %s %llu\n", all[i].name,
		    (unsigned long long)all[i].value));
	return (OK);
}

/* Names with a NUL after each; the store must not be called from here. */
static bool
gather(void *arg, const struct store_dirent *e)
{
	return (buf_put(arg, e->name, e->len + 1) == OK);
}

/* A bucket may go between the two looks. */
static enum err
bucket_ls(struct fs *fs, struct buf *out)
{
	char text[STORE_DEFAULT_MAX + 1];
	struct buf names CLEANUP_BUF;
	size_t len = 0;

	buf_init(&names, NAMES_MAX);
	TRY(store_readdir(fs->store, STORE_ROOT, NULL, 0, false, SIZE_MAX,
	    false, gather, &names));
	for (size_t at = 0; at < names.len; at += len + 1) {
		const char *name = (const char *)names.p + at;
		uint64_t ino = 0;
		enum err e = store_bucket_find(fs->store, name, &ino);

		len = strlen(name);
		if (e == OK)
			e = store_default_effective(fs->store, ino, text);
		if (e == ERR_NOENT || e == ERR_STALE)
			continue;
		TRY(e);
		TRY(row(out, name, text));
	}
	return (OK);
}

/* The kernel may remember for a day that there is no such bucket. */
static enum err
bucket_create(struct fs *fs, const struct kms_who *who, uid_t uid, gid_t gid,
    const struct control_req *r)
{
	TRY(store_bucket_create(fs->store, who, r->name,
	    r->has_text ? r->text : NULL, uid, gid, CONTROL_BUCKET_MODE));
	if (fs->root == STORE_ROOT) {
		lock_assert_none();
		(void)fuse_lowlevel_notify_inval_entry(
		    fs->se, FUSE_ROOT_ID, r->name, strlen(r->name));
		fs_stale_attr(fs, STORE_ROOT);
	}
	return (store_sync(fs->store));
}

/*
 * As op_rmdir: what the kernel still refers to lives on without a name.  The
 * kernel is told last: a look-up that found the bucket holds the directory's
 * lock until it has been answered, and the notice waits for that lock.
 */
static enum err
bucket_rm(struct fs *fs, const struct control_req *r)
{
	const size_t len = strlen(r->name);
	uint64_t ino = 0;
	int rc = 0;

	if (store_bucket_find(fs->store, r->name, &ino) == OK &&
	    ino == fs->root)
		return (err_fail(ERR_BUSY, "it is mounted; unmount it first"));
	err_clear();
	TRY(store_rmdir(fs->store, STORE_ROOT, r->name, len, &ino));
	fs_gone(fs, ino);
	if (fs->root == STORE_ROOT) {
		lock_assert_none();
		rc = fuse_lowlevel_notify_delete(
		    fs->se, FUSE_ROOT_ID, fs_node(fs, ino), r->name, len);
		/* -ENOENT: the kernel knows no such name. */
		if (rc != 0)
			(void)fuse_lowlevel_notify_inval_entry(
			    fs->se, FUSE_ROOT_ID, r->name, len);
		fs_stale_attr(fs, STORE_ROOT);
	}
	return (store_sync(fs->store));
}

static enum err
encryption_get(struct fs *fs, const struct control_req *r, struct buf *out)
{
	char text[STORE_DEFAULT_MAX + 1];
	uint64_t ino = 0;

	TRY(store_bucket_find(fs->store, r->name, &ino));
	TRY(store_default_effective(fs->store, ino, text));
	return (row(out, text, NULL));
}

static enum err
encryption_set(
    struct fs *fs, const struct kms_who *who, const struct control_req *r)
{
	uint64_t ino = 0;

	TRY(store_bucket_find(fs->store, r->name, &ino));
	TRY(store_default_set(fs->store, who, ino, r->text));
	lock_assert_none();
	fs_stale_attr(fs, ino);
	return (store_sync(fs->store));
}

/* NULL is a store without keys. */
static enum err
keys_of(struct fs *fs, struct kms **ret)
{
	*ret = store_kms(fs->store);
	return (*ret != NULL
		    ? OK
		    : err_fail(ERR_NOTSUP, "the store has no key service"));
}

static enum err
key_usage(struct fs *fs, const struct kms_who *who, const struct control_req *r,
    struct buf *out)
{
	struct kms_uses u = { 0 };
	struct kms *k;

	TRY(keys_of(fs, &k));
	TRY(kms_key_uses(k, who, r->name, &u));
	return (buf_printf(out, "row %llu %llu\n",
	    (unsigned long long)u.objects, (unsigned long long)u.defaults));
}

static enum err
key_delete(
    struct fs *fs, const struct kms_who *who, const struct control_req *r)
{
	struct kms *k;

	TRY(keys_of(fs, &k));
	return (kms_key_delete(k, who, r->name,
	    r->rate > UINT32_MAX ? UINT32_MAX : (unsigned)r->rate));
}

enum err
control_do(struct fs *fs, const struct kms_who *who, uid_t uid, gid_t gid,
    const struct control_req *req, struct buf *out)
{
	switch (req->op) {
	case CONTROL_SYNC:
		return (store_sync(fs->store));
	case CONTROL_STATS:
		return (stats(fs, out));
	case CONTROL_BUCKET_LS:
		return (bucket_ls(fs, out));
	case CONTROL_BUCKET_CREATE:
		return (bucket_create(fs, who, uid, gid, req));
	case CONTROL_BUCKET_RM:
		return (bucket_rm(fs, req));
	case CONTROL_ENCRYPTION_GET:
		return (encryption_get(fs, req, out));
	case CONTROL_ENCRYPTION_SET:
		return (encryption_set(fs, who, req));
	case CONTROL_KEY_USAGE:
		return (key_usage(fs, who, req, out));
	case CONTROL_KEY_DELETE:
		return (key_delete(fs, who, req));
	case CONTROL_SCRUB:
	case CONTROL_BACKUP:
	case CONTROL_REKEY:
		break;
	}
	return (ERR_INTERNAL);
}
