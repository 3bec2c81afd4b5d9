/*
 * vfs_sealio: reading and writing a sealed database and its WAL.
 *
 * The database is read and written by whole pages, save that SQLite looks at
 * the first bytes of page 1 before it knows what a page is.  Of the WAL, SQLite
 *
 *	writes   the header (32 bytes); a frame, as its header (24 bytes) and
 *	         then its page; the page of a frame of the open transaction
 *	         once more; at the commit after that, headers again, each right
 *	         after it has read that frame;
 *	reads    the header; whole frames, in recovery and before it writes
 *	         their headers again; pages; the checksum within a header.
 *
 * As header and page of a frame are one message, a header is kept until its
 * page follows, or put before the page that was just read.  Any other pattern
 * is refused: it would be a version of SQLite that this file does not know.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"

#include "store/vfs_seal.h"

#define PAGE_TEXT (SEAL_PAGESIZE - SEAL_RESERVE)
#define FRAME_TEXT (FRAME_LEN - SEAL_RESERVE)

static int
refuse(const struct vfs_node *n, const char *what, size_t len, uint64_t off)
{
	log_error("%s: unknown %s of %zu bytes at %llu", n->path, what, len,
	    (unsigned long long)off);
	return (SQLITE_IOERR);
}

/* SQLite leaves the reserved bytes of a page alone, so they stay zero. */
static bool
reserve_zero(const uint8_t *page)
{
	static const uint8_t zero[SEAL_RESERVE];

	return (memcmp(page + PAGE_TEXT, zero, sizeof(zero)) == 0);
}

/* ---- The database --------------------------------------------------------- */

/* SQLITE_IOERR_DATA, without a word, when it is not good. */
static int
page_try(struct vfs_file *f, uint64_t number, void *ret)
{
	struct vfs_node *const n = f->node;
	uint8_t *const msg = f->buf->msg;
	enum err e;
	int rc;

	rc = vfs_node_read(
	    n, msg, SEAL_PAGESIZE, SEAL_FRONT + (number - 1) * SEAL_PAGESIZE);
	if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
		return (rc);
	/* A part of a page is none, and every page of the database is in the
	 * file or in the WAL. */
	e = rc == SQLITE_OK ? seal_get(n->seal->keys, SEAL_PAGE, number, msg,
				  PAGE_TEXT, ret)
			    : ERR_AUTH;
	memset((uint8_t *)ret + PAGE_TEXT, 0, SEAL_RESERVE);
	return (vfs_seal_rc(e));
}

static int
page_get(struct vfs_file *f, uint64_t number, void *ret)
{
	const int rc = page_try(f, number, ret);

	return (rc == SQLITE_IOERR_DATA
		    ? vfs_seal_bad(f->node->seal, "page", number)
		    : rc);
}

/*
 * The start of page 1, from which SQLite learns the size of a page before it
 * looks at the WAL.  A crash may have torn the page as it came home from there:
 * then what every sealed database has is told.  If the WAL does not have the
 * page after all, it is read once more, whole.
 */
static int
first_get(struct vfs_file *f, uint8_t *ret)
{
	const int rc = page_try(f, 1, ret);

	if (rc != SQLITE_IOERR_DATA)
		return (rc);
	memset(ret, 0, SEAL_PAGESIZE);
	put_u16(ret + 16, SEAL_PAGESIZE);
	ret[20] = SEAL_RESERVE;
	return (SQLITE_OK);
}

static int
page_read(struct vfs_file *f, void *buf, size_t len, uint64_t off)
{
	const uint64_t number = off / SEAL_PAGESIZE + 1;
	const size_t at = (size_t)(off % SEAL_PAGESIZE);
	struct stat sb;
	int rc;

	if (at + len > SEAL_PAGESIZE)
		return (refuse(f->node, "read", len, off));
	if (len == SEAL_PAGESIZE)
		return (page_get(f, number, buf));
	if (sys->fstat(f->node->fd, &sb) != 0)
		return (SQLITE_IOERR_FSTAT);
	if (vfs_seal_size(f->node, (uint64_t)sb.st_size) == 0) {
		memset(buf, 0, len);
		return (SQLITE_IOERR_SHORT_READ);
	}
	rc = number == 1 ? first_get(f, f->buf->text)
			 : page_get(f, number, f->buf->text);
	if (rc == SQLITE_OK)
		memcpy(buf, f->buf->text + at, len);
	return (rc);
}

static int
page_write(struct vfs_file *f, const void *buf, size_t len, uint64_t off)
{
	const uint64_t number = off / SEAL_PAGESIZE + 1;
	enum err e;

	if (len != SEAL_PAGESIZE || off % SEAL_PAGESIZE != 0 ||
	    !reserve_zero(buf))
		return (refuse(f->node, "write", len, off));
	e = seal_put(f->node->seal->keys, SEAL_PAGE, number, buf, PAGE_TEXT,
	    f->buf->msg);
	if (e != OK)
		return (vfs_seal_rc(e));
	return (vfs_node_write(f->node, f->buf->msg, len, SEAL_FRONT + off));
}

/* ---- The WAL -------------------------------------------------------------- */

static uint64_t
frame_off(uint32_t number)
{
	return (WAL_FRONT + (uint64_t)(number - 1) * FRAME_LEN);
}

/* Has frame ${number} with this header been written in the present round?  As
 * long as SQLite has headers of a transaction to write again, those that it
 * writes have no salts. */
static bool
of_round(struct vfs_seal *s, uint32_t number, const uint8_t *hdr)
{
	static const uint8_t none[8];

	LOCK_SCOPE(&s->lock);
	if (memcmp(hdr + 8, s->now.salt, sizeof(s->now.salt)) == 0)
		return (true);
	return (memcmp(hdr + 8, none, sizeof(none)) == 0 &&
		number > s->now.frames && number <= s->written);
}

/* Frame ${number} of this round to f->buf->text; SQLITE_IOERR_DATA, without a
 * word, when there is none. */
static int
frame_get(struct vfs_file *f, uint32_t number)
{
	const struct vfs_node *const n = f->node;
	struct vfs_seal *const s = n->seal;
	struct seal_buf *const b = f->buf;
	enum err e;
	int rc;

	b->whole = 0;
	rc = vfs_node_read(n, b->msg, FRAME_LEN, frame_off(number));
	if (rc == SQLITE_IOERR_SHORT_READ)
		return (SQLITE_IOERR_DATA);
	if (rc != SQLITE_OK)
		return (rc);
	e = seal_get(s->keys, SEAL_FRAME, number, b->msg, FRAME_TEXT, b->text);
	memset(b->text + FRAME_TEXT, 0, SEAL_RESERVE);
	if (e != OK)
		return (vfs_seal_rc(e));
	return (of_round(s, number, b->text) ? SQLITE_OK : SQLITE_IOERR_DATA);
}

/* Seal f->buf->text as frame ${number} and write it. */
static int
frame_put(struct vfs_file *f, uint32_t number)
{
	struct vfs_node *const n = f->node;
	struct vfs_seal *const s = n->seal;
	struct seal_buf *const b = f->buf;
	enum err e;
	int rc;

	b->whole = 0;
	e = seal_put(s->keys, SEAL_FRAME, number, b->text, FRAME_TEXT, b->msg);
	if (e != OK)
		return (vfs_seal_rc(e));
	rc = vfs_node_write(n, b->msg, FRAME_LEN, frame_off(number));
	if (rc != SQLITE_OK)
		return (rc);
	LOCK_SCOPE(&s->lock);
	if (number > s->written)
		s->written = number;
	/* Bytes 4..7: the database's size, when the frame ends a commit. */
	if (get_u32(b->text + 4) != 0)
		s->last = number;
	else if (number <= s->last)
		s->last = 0;
	return (SQLITE_OK);
}

/* SQLite looks at frame ${number} whole: in recovery, or before it writes its
 * header again.  Returns whether it must be good. */
static bool
frame_seen(struct vfs_file *f, uint32_t number, bool good)
{
	struct vfs_seal *const s = f->node->seal;
	const uint64_t used = atomic_load(&f->node->used);

	LOCK_SCOPE(&s->lock);
	if (number <= s->written)
		return (true);
	/* It goes on after a frame only when it took it. */
	if (number == s->reached + 1 && s->reached_end &&
	    s->reached > s->now.frames)
		s->now.frames = s->reached;
	s->reached = number;
	s->reached_end = good && get_u32(f->buf->text + 4) != 0;
	if (good && frame_off(number + 2) > used)
		s->reached++;
	return (number <= s->need);
}

static int
frame_read(struct vfs_file *f, uint32_t number, uint8_t *ret)
{
	const int rc = frame_get(f, number);

	if (rc != SQLITE_OK && rc != SQLITE_IOERR_DATA)
		return (rc);
	if (frame_seen(f, number, rc == SQLITE_OK) && rc != SQLITE_OK)
		return (vfs_seal_bad(f->node->seal, "the WAL, frame", number));
	/* Not of this round, or torn: zeros are no frame. */
	if (rc != SQLITE_OK)
		memset(f->buf->text, 0, FRAME_LEN);
	memcpy(ret, f->buf->text, FRAME_LEN);
	f->buf->whole = rc == SQLITE_OK ? number : 0;
	return (SQLITE_OK);
}

static void
header_read(struct vfs_seal *s, void *buf, size_t len, uint64_t off)
{
	LOCK_SCOPE(&s->lock);
	/* Before the first there are zeros, which are none. */
	memcpy(buf, s->header + off, len);
}

static int
wal_read(struct vfs_file *f, void *buf, size_t len, uint64_t off)
{
	if (off + len <= WAL_HDR) {
		header_read(f->node->seal, buf, len, off);
		return (SQLITE_OK);
	}
	const uint64_t number = (off - WAL_HDR) / FRAME_LEN + 1;
	const size_t at = (size_t)((off - WAL_HDR) % FRAME_LEN);
	if (off < WAL_HDR || at + len > FRAME_LEN || number > UINT32_MAX / 2)
		return (refuse(f->node, "read", len, off));
	if (len == FRAME_LEN)
		return (frame_read(f, (uint32_t)number, buf));
	const int rc = frame_get(f, (uint32_t)number);
	if (rc == SQLITE_IOERR_DATA)
		return (vfs_seal_bad(f->node->seal, "the WAL, frame", number));
	if (rc == SQLITE_OK)
		memcpy(buf, f->buf->text + at, len);
	return (rc);
}

/* The header of frame ${number}: of one just read, or of one to come. */
static int
write_frame_hdr(struct vfs_file *f, uint32_t number, const void *hdr)
{
	struct seal_buf *const b = f->buf;

	if (b->whole == number) {
		memcpy(b->text, hdr, FRAME_HDR);
		return (frame_put(f, number));
	}
	memcpy(b->hdr, hdr, FRAME_HDR);
	b->hdr_of = number;
	return (SQLITE_OK);
}

static int
write_frame_page(struct vfs_file *f, uint32_t number, const void *page)
{
	struct seal_buf *const b = f->buf;

	if (b->hdr_of == number) {
		memcpy(b->text, b->hdr, FRAME_HDR);
		b->hdr_of = 0;
	} else {
		const int rc = frame_get(f, number);

		if (rc == SQLITE_IOERR_DATA)
			return (vfs_seal_bad(
			    f->node->seal, "the WAL, frame", number));
		if (rc != SQLITE_OK)
			return (rc);
	}
	memcpy(b->text + FRAME_HDR, page, SEAL_PAGESIZE);
	return (frame_put(f, number));
}

static int
wal_write(struct vfs_file *f, const void *buf, size_t len, uint64_t off)
{
	if (off == 0 && len == WAL_HDR) {
		f->buf->hdr_of = f->buf->whole = 0;
		return (vfs_seal_round(f->node, buf));
	}
	const uint64_t number = (off - WAL_HDR) / FRAME_LEN + 1;
	const size_t at = (size_t)((off - WAL_HDR) % FRAME_LEN);
	if (off < WAL_HDR || number > UINT32_MAX / 2)
		return (refuse(f->node, "write", len, off));
	if (at == 0 && len == FRAME_HDR)
		return (write_frame_hdr(f, (uint32_t)number, buf));
	if (at == FRAME_HDR && len == SEAL_PAGESIZE && reserve_zero(buf))
		return (write_frame_page(f, (uint32_t)number, buf));
	return (refuse(f->node, "write", len, off));
}

uint64_t
vfs_seal_used(const struct vfs_node *n)
{
	struct vfs_seal *const s = n->seal;

	LOCK_SCOPE(&s->lock);
	if (!s->now.known)
		return (0);
	const uint32_t most = s->written > s->reached ? s->written : s->reached;
	const uint64_t used = atomic_load(&n->used);
	return (frame_off(most + 1) < used ? frame_off(most + 1) : used);
}

/* ---- Both ----------------------------------------------------------------- */

int
vfs_seal_read(struct vfs_file *f, void *buf, size_t len, uint64_t off)
{
	return (f->node->is_wal ? wal_read(f, buf, len, off)
				: page_read(f, buf, len, off));
}

int
vfs_seal_write(struct vfs_file *f, const void *buf, size_t len, uint64_t off)
{
	return (f->node->is_wal ? wal_write(f, buf, len, off)
				: page_write(f, buf, len, off));
}

uint64_t
vfs_seal_size(const struct vfs_node *n, uint64_t size)
{
	if (!n->is_wal)
		return (size < SEAL_FRONT ? 0 : size - SEAL_FRONT);
	if (size > WAL_FRONT)
		return (size - WAL_FRONT + WAL_HDR);
	return (size == 0 ? 0 : WAL_HDR);
}
