#include <string.h>

#include "fs/dirlist.h"

/*
 * Records stand at the front of ${data}, their offsets at its back, growing
 * towards each other.
 *
 *	0	8	inode number, host order
 *	8	1	type
 *	9	1	length of the name
 *	10	n	name
 *	10+n	1	NUL
 */
#define REC_HEAD 10u

struct dirlist_page {
	uint64_t first; /* index of its first name */
	uint32_t count;
	uint32_t used; /* bytes of records */
	uint32_t size; /* bytes of data */
	uint8_t data[];
};

_Static_assert(DIRLIST_PAGE <= UINT16_MAX, "offsets have 16 bits");
_Static_assert(
    REC_HEAD + 255 + 1 + 2 <= DIRLIST_PAGE_FIRST - sizeof(struct dirlist_page),
    "the longest name fits the smallest page");

void
dirlist_init(struct dirlist *d)
{
	memset(d, 0, sizeof(*d));
}

void
dirlist_clear(struct dirlist *d)
{
	for (size_t i = 0; i < d->npages; i++)
		free(d->pages[i]);
	free(d->pages);
	dirlist_init(d);
}

static size_t
page_total(const struct dirlist_page *p)
{
	return (sizeof(*p) + p->size);
}

static uint8_t *
page_offset_slot(struct dirlist_page *p, uint32_t n)
{
	return (p->data + p->size - 2 * ((size_t)n + 1));
}

static bool
page_has_room(const struct dirlist_page *p, size_t len)
{
	return (p->used + REC_HEAD + len + 1 + 2 * ((size_t)p->count + 1) <=
		p->size);
}

static void
drop_oldest(struct dirlist *d)
{
	struct dirlist_page *p = d->pages[0];

	d->bytes -= page_total(p);
	d->first = p->first + p->count;
	d->npages--;
	memmove(
	    d->pages, d->pages + 1, d->npages * sizeof(struct dirlist_page *));
	free(p);
}

static enum err
page_new(struct dirlist *d, struct dirlist_page **ret)
{
	const size_t total = d->count == 0 ? DIRLIST_PAGE_FIRST : DIRLIST_PAGE;
	struct dirlist_page *p = NULL;

	while (d->npages > 0 && d->bytes + total > DIRLIST_MAX)
		drop_oldest(d);
	if (d->npages == d->cap) {
		const size_t cap = d->cap == 0 ? 4 : d->cap * 2;
		struct dirlist_page **pages =
		    realloc(d->pages, cap * sizeof(struct dirlist_page *));

		if (pages == NULL)
			return (ERR_NOMEM);
		d->pages = pages;
		d->cap = cap;
	}
	p = malloc(total);
	if (p == NULL)
		return (ERR_NOMEM);
	p->first = d->count;
	p->count = 0;
	p->used = 0;
	p->size = (uint32_t)(total - sizeof(*p));
	d->pages[d->npages++] = p;
	d->bytes += total;
	*ret = p;
	return (OK);
}

enum err
dirlist_add(
    struct dirlist *d, uint64_t ino, uint8_t type, const char *name, size_t len)
{
	struct dirlist_page *p =
	    d->npages == 0 ? NULL : d->pages[d->npages - 1];
	uint8_t *rec = NULL;
	uint16_t off = 0;

	if (len > UINT8_MAX)
		return (ERR_INTERNAL);
	if (p == NULL || !page_has_room(p, len))
		TRY(page_new(d, &p));
	off = (uint16_t)p->used;
	rec = p->data + off;
	memcpy(rec, &ino, 8);
	rec[8] = type;
	rec[9] = (uint8_t)len;
	memcpy(rec + REC_HEAD, name, len);
	rec[REC_HEAD + len] = '\0';
	memcpy(page_offset_slot(p, p->count), &off, 2);
	p->used += (uint32_t)(REC_HEAD + len + 1);
	p->count++;
	d->count++;
	return (OK);
}

/* The page that holds ${index}, which is between d->first and d->count. */
static struct dirlist_page *
page_find(const struct dirlist *d, uint64_t index)
{
	size_t lo = 0, hi = d->npages;

	while (hi - lo > 1) {
		const size_t mid = lo + (hi - lo) / 2;

		if (d->pages[mid]->first <= index)
			lo = mid;
		else
			hi = mid;
	}
	return (d->pages[lo]);
}

bool
dirlist_get(const struct dirlist *d, uint64_t index, struct dirlist_name *ret)
{
	struct dirlist_page *p = NULL;
	const uint8_t *rec = NULL;
	uint16_t off = 0;

	if (index < d->first || index >= d->count)
		return (false);
	p = page_find(d, index);
	memcpy(&off, page_offset_slot(p, (uint32_t)(index - p->first)), 2);
	rec = p->data + off;
	memcpy(&ret->ino, rec, 8);
	ret->type = rec[8];
	ret->len = rec[9];
	ret->name = (const char *)rec + REC_HEAD;
	return (true);
}
