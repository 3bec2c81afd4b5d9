/*
 * alike: the WAL as SQLite's file format describes it, read as its recovery does.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/attrs.h"
#include "lib/base/buf.h"

#include "tests/crash/alike.h"

#define MAGIC 0x377f0682u /* sums of little-endian words */
#define HEAD 32u  /* magic 4, version 4, page size 4, …, salts 8, sums 8 */
#define FRAME 24u /* page 4, size at a commit 4, salts 8, sums 8; the page */
#define PAGE_MAX 65536u
#define CLOSED "closed\n"

static void
add(uint32_t sums[2], const uint8_t *p, size_t len)
{
	uint32_t a, b;

	for (size_t i = 0; i < len; i += 8) {
		memcpy(&a, p + i, 4);
		memcpy(&b, p + i + 4, 4);
		sums[0] += a + sums[1];
		sums[1] += b + sums[0];
	}
}

static bool
equal(const uint32_t sums[2], const uint8_t *p)
{
	return (sums[0] == get_u32(p) && sums[1] == get_u32(p + 4));
}

/* Bytes of a WAL that count. */
static uint64_t
wal_end(const struct image *im)
{
	static _Thread_local uint8_t f[FRAME + PAGE_MAX];
	uint32_t sums[2] = { 0, 0 };
	uint64_t end = HEAD;
	uint8_t head[HEAD];
	uint32_t page;

	image_read(im, 0, head, sizeof(head));
	page = get_u32(head + 8);
	add(sums, head, HEAD - 8);
	if (im->size < HEAD || get_u32(head) != MAGIC || page < 512 ||
	    page > PAGE_MAX || !equal(sums, head + HEAD - 8))
		return (HEAD);
	for (uint64_t at = HEAD; at + FRAME + page <= im->size;) {
		image_read(im, at, f, FRAME + page);
		add(sums, f, 8);
		add(sums, f + FRAME, page);
		if (memcmp(f + 8, head + 16, 8) != 0 || !equal(sums, f + 16))
			break;
		at += FRAME + page;
		if (get_u32(f + 4) != 0)
			end = at;
	}
	return (end);
}

static bool
ends_in(const char *path, const char *end)
{
	const size_t n = strlen(path), k = strlen(end);

	return (n >= k && strcmp(path + n - k, end) == 0);
}

static void
leave_out(struct image *im, const char *path)
{
	char text[32] = ""; /* as store.c reads it */
	uint64_t end;

	if (ends_in(path, "-wal")) {
		end = wal_end(im);
		if (end < im->size)
			image_zero(im, end, im->size - end);
	} else if (ends_in(path, "/lock")) {
		image_read(im, 0, text, sizeof(text) - 1);
		if (strcmp(text, CLOSED) != 0)
			image_resize(im, 0);
	}
}

uint64_t
disk_alike(const struct disk *d)
{
	struct disk *c = disk_clone(d);
	uint64_t h;

	for (int i = 0; i < c->nnames; i++)
		if (c->name[i].file >= 0)
			leave_out(c->file[c->name[i].file], c->name[i].path);
	h = disk_hash(c);
	disk_free(c);
	return (h);
}
