/*
 * backup_file: files of a backup, and its index.
 *
 * A record of the index, 64 bytes:
 *
 *	 0  8  slot
 *	 8  8  epoch of the backup that holds the block
 *	16  8  its number in that backup's file of blocks
 *	24  4  flags: 1 it differed from its checksum when it was copied
 *	              2 the stamp is its SHA-256
 *	28  4  CRC32C of the 4096 bytes as they were copied
 *	32 32  stamp: nonce 12, tag 16, zero 4, as the map has them; or SHA-256
 *
 * Two blocks in one slot with one stamp are the same block: nonces are random,
 * and where there is none the stamp is a digest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/sys.h"

#include "store/backup_internal.h"

#define INDEX_RECS 4096u /* read at once */
#define CHUNK ((size_t)1 << 20)

static void
fd_cleanup(int *fd)
{
	if (*fd >= 0)
		(void)sys->close(*fd);
}
#define CLEANUP_SYS CLEANUP(fd_cleanup)

enum err
backup_path(char ret[static BACKUP_PATH], const char *place, const char *sub,
    const char *name)
{
	const int n = snprintf(ret, BACKUP_PATH, "%s/%s%s%s", place, sub,
	    name == NULL ? "" : "/", name == NULL ? "" : name);

	return (n >= BACKUP_PATH ? ERR_NAMETOOLONG : OK);
}

enum err
backup_path_of(char ret[static BACKUP_PATH], const char *place, uint64_t epoch,
    const char *name)
{
	char sub[24];

	(void)snprintf(sub, sizeof(sub), "%llu", (unsigned long long)epoch);
	return (backup_path(ret, place, sub, name));
}

enum err
backup_fail(const char *path)
{
	const int errnum = errno;

	return (
	    err_fail(err_from_errno(errnum), "%s: %s", path, strerror(errnum)));
}

/* What went wrong with a file of a backup, as said of that file. */
static enum err
said(enum err e, const char *path)
{
	return (e == OK ? OK : err_fail(e, "%s: %s", path, err_text(e)));
}

enum err
backup_sum(const char *path, bool (*tick)(void *arg, uint64_t bytes), void *arg,
    uint64_t *ret_size, uint8_t ret[static SHA256_LEN])
{
	int fd CLEANUP_SYS =
	    sys->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	uint8_t *buf CLEANUP_FREE = malloc(CHUNK);
	struct sha256_ctx c;
	uint64_t at = 0;
	ssize_t n;

	if (buf == NULL)
		return (ERR_NOMEM);
	if (fd < 0)
		return (backup_fail(path));
	sha256_begin(&c);
	while ((n = sys->pread(fd, buf, CHUNK, (off_t)at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (backup_fail(path));
		sha256_add(&c, buf, (size_t)n);
		at += (uint64_t)n;
		if (tick != NULL && !tick(arg, (uint64_t)n))
			return (err_fail(ERR_BUSY, "it was stopped"));
	}
	sha256_end(&c, ret);
	*ret_size = at;
	return (OK);
}

/* ---- Writing ------------------------------------------------------------ */

enum err
sum_open(const char *path, struct sum_out *o)
{
	o->size = 0;
	o->len = 0;
	sha256_begin(&o->sha);
	o->buf = malloc(CHUNK);
	o->fd = sys->open(
	    path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (o->buf == NULL)
		return (ERR_NOMEM);
	return (o->fd < 0 ? backup_fail(path) : OK);
}

static enum err
flush(struct sum_out *o)
{
	if (o->len == 0)
		return (OK);
	sha256_add(&o->sha, o->buf, o->len);
	TRY(said(sys_pwrite_full(o->fd, o->buf, o->len, o->size), "backup"));
	o->size += o->len;
	o->len = 0;
	return (OK);
}

enum err
sum_put(struct sum_out *o, const void *p, size_t len)
{
	const uint8_t *from = p;

	while (len != 0) {
		const size_t room = CHUNK - o->len;
		const size_t n = len < room ? len : room;

		memcpy(o->buf + o->len, from, n);
		o->len += n;
		from += n;
		len -= n;
		if (o->len == CHUNK)
			TRY(flush(o));
	}
	return (OK);
}

enum err
sum_end(struct sum_out *o, uint64_t *ret_size, uint8_t ret[static SHA256_LEN])
{
	TRY(flush(o));
	if (sys->fdatasync(o->fd) != 0)
		return (backup_fail("backup"));
	*ret_size = o->size;
	sha256_end(&o->sha, ret);
	return (OK);
}

void
sum_release(struct sum_out *o)
{
	fd_cleanup(&o->fd);
	o->fd = -1;
	free(o->buf);
	o->buf = NULL;
}

/* ---- The index ---------------------------------------------------------- */

void
index_put(uint8_t *p, const struct index_rec *r)
{
	put_u64(p, r->slot);
	put_u64(p + 8, r->epoch);
	put_u64(p + 16, r->block);
	put_u32(p + 24, r->flags);
	put_u32(p + 28, r->crc);
	memcpy(p + 32, r->stamp, STAMP_LEN);
}

void
index_get(const uint8_t *p, struct index_rec *r)
{
	r->slot = get_u64(p);
	r->epoch = get_u64(p + 8);
	r->block = get_u64(p + 16);
	r->flags = get_u32(p + 24);
	r->crc = get_u32(p + 28);
	memcpy(r->stamp, p + 32, STAMP_LEN);
}

enum err
index_open(const char *place, uint64_t epoch, struct index_in *in)
{
	char path[BACKUP_PATH];
	struct stat sb;

	*in = (struct index_in){ .fd = -1 };
	if (epoch == 0)
		return (OK);
	TRY(backup_path_of(path, place, epoch, backup_names[BF_INDEX]));
	in->buf = malloc((size_t)INDEX_RECS * INDEX_REC);
	if (in->buf == NULL)
		return (ERR_NOMEM);
	in->fd =
	    sys->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (in->fd < 0 || sys->fstat(in->fd, &sb) != 0)
		return (backup_fail(path));
	in->size = (uint64_t)sb.st_size / INDEX_REC;
	return (OK);
}

enum err
index_next(struct index_in *in, struct index_rec *ret)
{
	if (in->pos == in->n) {
		const uint64_t left = in->size - in->at;

		if (left == 0)
			return (ERR_NOENT);
		in->n = left < INDEX_RECS ? (size_t)left : INDEX_RECS;
		in->pos = 0;
		TRY(sys_pread_full(
		    in->fd, in->buf, in->n * INDEX_REC, in->at * INDEX_REC));
		in->at += in->n;
	}
	index_get(in->buf + in->pos++ * INDEX_REC, ret);
	if (ret->slot <= in->last || ret->slot >> 34 != 0 || ret->epoch == 0 ||
	    ret->block >> 34 != 0 ||
	    (ret->flags & ~(INDEX_DAMAGED | INDEX_PLAIN)) != 0)
		return (ERR_CORRUPT);
	in->last = ret->slot;
	return (OK);
}

void
index_close(struct index_in *in)
{
	fd_cleanup(&in->fd);
	in->fd = -1;
	free(in->buf);
	in->buf = NULL;
}
