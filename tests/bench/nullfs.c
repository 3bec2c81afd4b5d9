/*
 * nullfs MOUNTPOINT: a FUSE filesystem that keeps names and sizes and no bytes.
 *
 * It says how fast any FUSE filesystem could be on this machine: what is read is
 * zeros made in advance, what is written is dropped.  Requests are taken by the
 * mount's own loop, with the mount's settings of the connection.  It serves in
 * the background until it is unmounted.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "fs/fs.h"
#include "lib/base/lock.h"

#define NODES (1u << 20)
#define NAME_SIZE 64
#define VALID 86400.0

struct node {
	char name[NAME_SIZE];
	mode_t mode;
	off_t size;
	uint32_t parent;
	uint32_t next;        /* of the same hash; or of the free */
	uint32_t child;       /* first of a directory */
	uint32_t left, right; /* its neighbours in the directory */
};

static struct node *node; /* 0: none, FUSE_ROOT_ID: the root */
static uint32_t hash[NODES];
static uint32_t unused, made = FUSE_ROOT_ID;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rawio raw;

static uint32_t *
slot_of(uint32_t dir, const char *name)
{
	uint32_t h = dir * 2654435761u;

	while (*name != '\0')
		h = (h ^ (uint8_t)*name++) * 16777619u;
	return (&hash[h % NODES]);
}

static uint32_t
find(uint32_t dir, const char *name)
{
	uint32_t n = *slot_of(dir, name);

	while (n != 0 &&
	       (node[n].parent != dir || strcmp(node[n].name, name) != 0))
		n = node[n].next;
	return (n);
}

static void
show(uint32_t n, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = n,
		.st_mode = node[n].mode,
		.st_nlink = 1,
		.st_size = node[n].size,
		.st_blksize = 4096,
		.st_blocks = (node[n].size + 511) / 512,
	};
}

static struct fuse_entry_param
entry(uint32_t n)
{
	struct fuse_entry_param e = {
		.ino = n,
		.attr_timeout = VALID,
		.entry_timeout = VALID,
	};

	show(n, &e.attr);
	return (e);
}

/* With the lock; 0: there is no room, or it exists. */
static uint32_t
make(uint32_t dir, const char *name, mode_t mode)
{
	uint32_t *at = slot_of(dir, name);
	uint32_t n = unused;

	if (find(dir, name) != 0 || strlen(name) >= NAME_SIZE)
		return (0);
	if (n != 0)
		unused = node[n].next;
	else if (made + 1 < NODES)
		n = ++made;
	else
		return (0);
	node[n] = (struct node){
		.mode = mode,
		.parent = dir,
		.next = *at,
		.right = node[dir].child,
	};
	memcpy(node[n].name, name, strlen(name) + 1);
	*at = n;
	if (node[dir].child != 0)
		node[node[dir].child].left = n;
	node[dir].child = n;
	return (n);
}

/* With the lock. */
static int
drop(uint32_t dir, const char *name)
{
	const uint32_t n = find(dir, name);
	uint32_t *at = slot_of(dir, name);

	if (n == 0)
		return (ENOENT);
	if (node[n].child != 0)
		return (ENOTEMPTY);
	while (*at != n)
		at = &node[*at].next;
	*at = node[n].next;
	if (node[n].left != 0)
		node[node[n].left].right = node[n].right;
	else
		node[dir].child = node[n].right;
	if (node[n].right != 0)
		node[node[n].right].left = node[n].left;
	node[n].next = unused;
	unused = n;
	return (0);
}

static void
op_null_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |=
	    conn->capable &
	    (FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC |
		FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_EXPLICIT_INVAL_DATA);
	conn->want &=
	    ~(unsigned)(FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
			FUSE_CAP_SPLICE_READ | FUSE_CAP_AUTO_INVAL_DATA);
	conn->max_write = conn->max_readahead = FS_IO_MAX;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
}

static void
op_null_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct fuse_entry_param e = { .entry_timeout = VALID };
	uint32_t n;

	(void)pthread_mutex_lock(&lock);
	n = find((uint32_t)dir, name);
	if (n != 0)
		e = entry(n);
	(void)pthread_mutex_unlock(&lock);
	(void)fuse_reply_entry(req, &e);
}

static void
op_null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	show((uint32_t)ino, &st);
	(void)fuse_reply_attr(req, &st, VALID);
}

static void
op_null_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int what,
    struct fuse_file_info *fi)
{
	if ((what & FUSE_SET_ATTR_SIZE) != 0)
		node[ino].size = attr->st_size;
	op_null_getattr(req, ino, fi);
}

static void
op_null_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
	struct fuse_entry_param e;
	uint32_t n;

	(void)pthread_mutex_lock(&lock);
	n = make((uint32_t)dir, name, S_IFDIR | mode);
	e = entry(n);
	(void)pthread_mutex_unlock(&lock);
	if (n == 0)
		(void)fuse_reply_err(req, ENOSPC);
	else
		(void)fuse_reply_entry(req, &e);
}

static void
op_null_create(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode,
    struct fuse_file_info *fi)
{
	struct fuse_entry_param e;
	uint32_t n;

	(void)pthread_mutex_lock(&lock);
	n = make((uint32_t)dir, name, S_IFREG | mode);
	e = entry(n);
	(void)pthread_mutex_unlock(&lock);
	fi->keep_cache = 1;
	if (n == 0)
		(void)fuse_reply_err(req, ENOSPC);
	else
		(void)fuse_reply_create(req, &e, fi);
}

static void
op_null_remove(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	int rc;

	(void)pthread_mutex_lock(&lock);
	rc = drop((uint32_t)dir, name);
	(void)pthread_mutex_unlock(&lock);
	(void)fuse_reply_err(req, rc);
}

static void
op_null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if ((fi->flags & O_TRUNC) != 0)
		node[ino].size = 0;
	fi->keep_cache = 1;
	(void)fuse_reply_open(req, fi);
}

static void
op_null_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	const off_t left = node[ino].size - off;

	(void)fi;
	if (size > FS_IO_MAX)
		size = FS_IO_MAX;
	if (left <= 0)
		size = 0;
	else if ((off_t)size > left)
		size = (size_t)left;
	(void)fuse_reply_buf(req, loop_buffer(), size);
}

static void
op_null_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi)
{
	(void)buf;
	(void)fi;
	if (off + (off_t)size > node[ino].size)
		node[ino].size = off + (off_t)size;
	(void)fuse_reply_write(req, size);
}

static void
op_null_done(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	(void)fuse_reply_err(req, 0);
}

static void
op_null_fsync(
    fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	op_null_done(req, ino, fi);
}

static void
op_null_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	(void)ino;
	(void)name;
	(void)size;
	(void)fuse_reply_err(req, ENODATA);
}

/* All at once: a directory's names change while they are read only by who
 * removes them, and he begins anew. */
static void
op_null_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	char *buf = loop_buffer();
	size_t used = 0;
	off_t i = 0;

	(void)fi;
	(void)pthread_mutex_lock(&lock);
	for (uint32_t n = node[ino].child; n != 0; n = node[n].right) {
		struct stat st;
		size_t len;

		if (i++ < off)
			continue;
		show(n, &st);
		len = fuse_add_direntry(
		    req, buf + used, size - used, node[n].name, &st, i);
		if (len > size - used)
			break;
		used += len;
	}
	(void)pthread_mutex_unlock(&lock);
	(void)fuse_reply_buf(req, buf, used);
}

/* INIT alone, so that the connection has the mount's flags. */
static bool
see(void *arg, const void *mem, size_t len)
{
	const struct fuse_in_header *h = mem;

	if (len < sizeof(*h) ||
	    (h->opcode != FUSE_INIT && h->opcode != FUSE_INTERRUPT))
		return (false);
	return (rawio_request(
	    &raw, fuse_session_fd((struct fuse_session *)arg), mem, len));
}

static int
serve(struct fuse_session *se)
{
	const struct loop_conf conf = {
		.buffer_size = FS_IO_MAX,
		.raw = see,
		.arg = se,
	};
	struct loop *l = NULL;
	struct pollfd p = { .events = POLLIN };

	if (rawio_install(se, &raw) != OK || loop_start(se, &conf, &l) != OK)
		return (1);
	p.fd = loop_fd(l);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		continue;
	loop_stop(l);
	fuse_session_unmount(se);
	fuse_session_destroy(se);
	return (0);
}

int
main(int argc, char *argv[])
{
	static const struct fuse_lowlevel_ops ops = {
		.init = op_null_init,
		.lookup = op_null_lookup,
		.getattr = op_null_getattr,
		.setattr = op_null_setattr,
		.mkdir = op_null_mkdir,
		.create = op_null_create,
		.unlink = op_null_remove,
		.rmdir = op_null_remove,
		.open = op_null_open,
		.read = op_null_read,
		.write = op_null_write,
		.release = op_null_done,
		.fsync = op_null_fsync,
		.getxattr = op_null_getxattr,
		.readdir = op_null_readdir,
	};
	char name[] = "nullfs", dash_o[] = "-o",
	     options[] = "fsname=null,subtype=nullfs,default_permissions";
	char *args_v[] = { name, dash_o, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, args_v);
	struct fuse_session *se;

	if (argc != 2) {
		(void)fprintf(stderr, "usage: nullfs MOUNTPOINT\n");
		return (2);
	}
	node = calloc(NODES, sizeof(*node));
	if (node == NULL)
		return (1);
	node[FUSE_ROOT_ID].mode = S_IFDIR | 0755;
	se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (se == NULL || fuse_session_mount(se, argv[1]) != 0)
		return (1);
	if (daemon(0, 0) != 0)
		return (1);
	return (serve(se));
}
