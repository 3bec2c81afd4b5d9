/*
 * alike: the WAL as SQLite's file format describes it, read as its recovery does,
 * and as docs/FORMAT.md describes that of a store with sealed metadata.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/attrs.h"
#include "lib/base/buf.h"
#include "store/vfs_seal.h"

#include "tests/crash/alike.h"

#define MAGIC 0x377f0682u /* sums of little-endian words */
#define PAGE_MAX 65536u
#define CLOSED "closed\n"

static struct seal *keys;

void
alike_keys(struct seal *s)
{
	seal_free(keys);
	keys = s;
}

/* ---- A WAL ------------------------------------------------------------------------- */

/*
 * Header: magic 4, version 4, page size 4, number 4, salts 8, sums 8.
 * Frame: page's number 4, size at a commit 4, salts 8, sums 8; the page.
 */
struct wal {
	struct image *im, *db;
	uint64_t front;    /* bytes before the first frame, */
	uint64_t db_front; /* and before the first page */
	uint64_t step;     /* from one frame to the next */
	uint8_t head[WAL_HDR];
	uint8_t frame[FRAME_HDR + PAGE_MAX];
	uint32_t page;
	uint32_t sums[2];
};

static void
add(struct wal *w, const uint8_t *p, size_t len)
{
	uint32_t a, b;

	for (size_t i = 0; i < len; i += 8) {
		memcpy(&a, p + i, 4);
		memcpy(&b, p + i + 4, 4);
		w->sums[0] += a + w->sums[1];
		w->sums[1] += b + w->sums[0];
	}
}

static bool
summed(const struct wal *w, const uint8_t *p)
{
	return (w->sums[0] == get_u32(p) && w->sums[1] == get_u32(p + 4));
}

/* The newer of the two headers of a sealed WAL. */
static bool
head_sealed(struct wal *w)
{
	uint8_t msg[8 + WAL_HDR + SEAL_TRAILER], text[8 + WAL_HDR];
	uint64_t newest = 0;

	for (unsigned at = 0; at < 2 && keys != NULL; at++) {
		image_read(w->im, (uint64_t)at * SEAL_STEP, msg, sizeof(msg));
		if (seal_get(keys, SEAL_WAL, at, msg, sizeof(text), text) !=
			OK ||
		    get_u64(text) <= newest)
			continue;
		newest = get_u64(text);
		memcpy(w->head, text + 8, WAL_HDR);
	}
	return (newest != 0);
}

/* False: there is no WAL that counts. */
static bool
head_read(struct wal *w, bool sealed)
{
	image_read(w->im, 0, w->head, WAL_HDR);
	if (sealed && !head_sealed(w))
		return (false);
	w->page = get_u32(w->head + 8);
	w->front = sealed ? WAL_FRONT : WAL_HDR;
	w->db_front = sealed ? SEAL_FRONT : 0;
	w->step = FRAME_HDR + w->page;
	add(w, w->head, WAL_HDR - 8);
	return (get_u32(w->head) == MAGIC && w->page >= 512 &&
		w->page <= PAGE_MAX && summed(w, w->head + WAL_HDR - 8));
}

/* Frame ${n}, from 0.  False: it is not one. */
static bool
frame_read(struct wal *w, uint64_t n, bool sealed)
{
	static uint8_t msg[FRAME_LEN];

	if (w->front + (n + 1) * w->step > w->im->size)
		return (false);
	if (!sealed) {
		image_read(w->im, w->front + n * w->step, w->frame, w->step);
		return (true);
	}
	image_read(w->im, w->front + n * w->step, msg, sizeof(msg));
	memset(w->frame, 0, FRAME_LEN);
	return (seal_get(keys, SEAL_FRAME, n + 1, msg, FRAME_LEN - SEAL_RESERVE,
		    w->frame) == OK);
}

/* Frames of whole commits. */
static uint64_t
frames(struct wal *w, bool sealed)
{
	uint64_t end = 0;

	for (uint64_t n = 0; frame_read(w, n, sealed); n++) {
		add(w, w->frame, 8);
		add(w, w->frame + FRAME_HDR, w->page);
		if (memcmp(w->frame + 8, w->head + 16, 8) != 0 ||
		    !summed(w, w->frame + 16))
			break;
		if (get_u32(w->frame + 4) != 0)
			end = n + 1;
	}
	return (end);
}

/*
 * What follows the last whole commit is nothing; and so are the pages of the
 * database that stand in the WAL.  But not the first: its beginning is read
 * without the WAL.
 */
static void
leave_out(struct image *wal, struct image *db, bool sealed)
{
	static struct wal w;
	uint64_t n, end, page;

	w = (struct wal){ .im = wal, .db = db };
	if (!head_read(&w, sealed))
		return;
	n = frames(&w, sealed);
	for (uint64_t i = 0; i < n; i++) {
		(void)frame_read(&w, i, sealed);
		page = get_u32(w.frame);
		if (page > 1)
			image_zero(
			    db, w.db_front + (page - 1) * w.page, w.page);
	}
	end = w.front + n * w.step;
	if (end < wal->size)
		image_zero(wal, end, wal->size - end);
}

/* ---- A disk ------------------------------------------------------------------------ */

/* The file that is called ${path} with ${more}; NULL: there is none. */
static struct image *
beside(struct disk *d, const char *path, const char *more)
{
	char name[DISK_PATH + 8];
	const struct disk_name *n;

	(void)snprintf(name, sizeof(name), "%s%s", path, more);
	n = disk_find(d, name);
	return (n == NULL || n->file < 0 ? NULL : d->file[n->file]);
}

static void
leave_out_owner(struct image *im)
{
	char text[32] = ""; /* as store.c reads it */

	image_read(im, 0, text, sizeof(text) - 1);
	if (strcmp(text, CLOSED) != 0)
		image_resize(im, 0);
}

uint64_t
disk_alike(const struct disk *d)
{
	struct disk *c = disk_clone(d);
	struct image *im, *wal, *log;
	uint64_t h;

	for (int i = 0; i < c->nnames; i++) {
		im = c->name[i].file < 0 ? NULL : c->file[c->name[i].file];
		wal = beside(c, c->name[i].path, "-wal");
		log = beside(c, c->name[i].path, "-log");
		if (im != NULL && wal != NULL)
			leave_out(wal, im, false);
		if (im != NULL && log != NULL)
			leave_out(log, im, true);
	}
	im = beside(c, "s", "/lock");
	if (im != NULL)
		leave_out_owner(im);
	h = disk_hash(c);
	disk_free(c);
	return (h);
}
