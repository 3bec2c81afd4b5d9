/*
 * image: the content of one simulated file, in pages that are shared until
 * they are written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/attrs.h"

#include "tests/crash/disk.h"

#define PAGE 4096u
#define LEAF_PAGES 64u
#define LEAF (PAGE * LEAF_PAGES)

struct page {
	unsigned refs;
	bool hashed;
	uint64_t hash;
	uint8_t b[PAGE];
};

struct leaf {
	unsigned refs;
	struct page *p[LEAF_PAGES]; /* NULL: zeros */
};

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return (p);
}

static void
page_put(struct page *p)
{
	if (p != NULL && --p->refs == 0)
		free(p);
}

static void
leaf_put(struct leaf *l)
{
	if (l == NULL || --l->refs > 0)
		return;
	for (unsigned i = 0; i < LEAF_PAGES; i++)
		page_put(l->p[i]);
	free(l);
}

void
image_free(struct image *im)
{
	if (im == NULL)
		return;
	for (size_t i = 0; i < im->nleaf; i++)
		leaf_put(im->leaf[i]);
	free(im->leaf);
	free(im);
}

struct image *
image_clone(const struct image *im)
{
	struct image *c = must(calloc(1, sizeof(*c)));

	*c = *im;
	c->leaf = must(calloc(im->nleaf + 1, sizeof(*c->leaf)));
	for (size_t i = 0; i < im->nleaf; i++) {
		c->leaf[i] = im->leaf[i];
		if (c->leaf[i] != NULL)
			c->leaf[i]->refs++;
	}
	return (c);
}

static const struct page *
page_at(const struct image *im, uint64_t off)
{
	const uint64_t i = off / LEAF;

	if (i >= im->nleaf || im->leaf[i] == NULL)
		return (NULL);
	return (im->leaf[i]->p[off % LEAF / PAGE]);
}

/* The leaf of ${off}, for one owner only. */
static struct leaf *
leaf_own(struct image *im, uint64_t off)
{
	const size_t i = (size_t)(off / LEAF);
	struct leaf *l, *old;

	if (i >= im->nleaf) {
		im->leaf =
		    must(realloc(im->leaf, (i + 1) * sizeof(struct leaf *)));
		while (im->nleaf <= i)
			im->leaf[im->nleaf++] = NULL;
	}
	old = im->leaf[i];
	if (old != NULL && old->refs == 1)
		return (old);
	l = must(calloc(1, sizeof(*l)));
	l->refs = 1;
	for (unsigned k = 0; old != NULL && k < LEAF_PAGES; k++) {
		l->p[k] = old->p[k];
		if (l->p[k] != NULL)
			l->p[k]->refs++;
	}
	leaf_put(old);
	im->leaf[i] = l;
	return (l);
}

/* The page of ${off}, for one owner only, about to be changed. */
static struct page *
page_own(struct image *im, uint64_t off)
{
	struct page **at = &leaf_own(im, off)->p[off % LEAF / PAGE];
	struct page *p = *at, *old = *at;

	if (p == NULL || p->refs > 1) {
		p = must(malloc(sizeof(*p)));
		if (old != NULL)
			memcpy(p->b, old->b, PAGE);
		else
			memset(p->b, 0, PAGE);
		p->refs = 1;
		page_put(old);
		*at = p;
	}
	p->hashed = false;
	return (p);
}

static uint64_t
piece(uint64_t off, uint64_t len)
{
	const uint64_t n = PAGE - off % PAGE;

	return (n < len ? n : len);
}

void
image_read(const struct image *im, uint64_t off, void *ret, size_t len)
{
	uint8_t *to = ret;

	while (len > 0) {
		const size_t n = (size_t)piece(off, len);
		const struct page *p = page_at(im, off);

		if (p != NULL)
			memcpy(to, p->b + off % PAGE, n);
		else
			memset(to, 0, n);
		to += n;
		off += n;
		len -= n;
	}
}

void
image_write(struct image *im, uint64_t off, const void *data, uint64_t len)
{
	const uint8_t *from = data;

	while (len > 0) {
		const uint64_t n = piece(off, len);

		memcpy(page_own(im, off)->b + off % PAGE, from, (size_t)n);
		from += n;
		off += n;
		len -= n;
	}
}

static void
page_drop(struct image *im, uint64_t off)
{
	struct page **at;

	if (page_at(im, off) == NULL)
		return;
	at = &leaf_own(im, off)->p[off % LEAF / PAGE];
	page_put(*at);
	*at = NULL;
}

void
image_zero(struct image *im, uint64_t off, uint64_t len)
{
	while (len > 0) {
		uint64_t n = piece(off, len);

		if (off % LEAF == 0 && len >= LEAF) {
			n = LEAF;
			if (off / LEAF < im->nleaf) {
				leaf_put(im->leaf[off / LEAF]);
				im->leaf[off / LEAF] = NULL;
			}
		} else if (n == PAGE) {
			page_drop(im, off);
		} else if (page_at(im, off) != NULL) {
			memset(page_own(im, off)->b + off % PAGE, 0, (size_t)n);
		}
		off += n;
		len -= n;
	}
}

void
image_resize(struct image *im, uint64_t size)
{
	const uint64_t end = (uint64_t)im->nleaf * LEAF;

	if (size < end)
		image_zero(im, size, end - size);
	im->size = size;
}

/* A leaf as a whole. */
static void
leaf_share(struct image *im, const struct image *from, uint64_t off)
{
	const size_t i = (size_t)(off / LEAF);
	struct leaf *l = i < from->nleaf ? from->leaf[i] : NULL;

	image_zero(im, off, LEAF);
	if (l == NULL)
		return;
	leaf_put(leaf_own(im, off));
	im->leaf[i] = l;
	l->refs++;
}

void
image_copy(
    struct image *im, const struct image *from, uint64_t off, uint64_t len)
{
	while (len > 0) {
		uint64_t n = piece(off, len);
		const struct page *p = page_at(from, off);

		if (off % LEAF == 0 && len >= LEAF) {
			n = LEAF;
			leaf_share(im, from, off);
		} else if (p == NULL)
			image_zero(im, off, n);
		else
			image_write(im, off, p->b + off % PAGE, n);
		off += n;
		len -= n;
	}
}

/* 0 for a page of zeros, which is the same as none. */
static uint64_t
page_hash(struct page *p)
{
	uint64_t h = 0, any = 0, v;

	if (p->hashed)
		return (p->hash);
	for (unsigned i = 0; i < PAGE; i += 8) {
		memcpy(&v, p->b + i, 8);
		any |= v;
		h = (h ^ v) * UINT64_C(0x9fb21c651e98df25);
		h ^= h >> 29;
	}
	p->hash = any == 0 ? 0 : h | 1;
	p->hashed = true;
	return (p->hash);
}

uint64_t
image_hash(const struct image *im)
{
	uint64_t h = im->size * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < im->nleaf; i++) {
		if (im->leaf[i] == NULL)
			continue;
		for (unsigned k = 0; k < LEAF_PAGES; k++) {
			struct page *p = im->leaf[i]->p[k];
			const uint64_t v = p != NULL ? page_hash(p) : 0;

			if (v == 0)
				continue;
			h = (h ^ v ^ (i * LEAF_PAGES + k)) *
			    UINT64_C(0xd6e8feb86659fd93);
			h ^= h >> 32;
		}
	}
	return (h);
}
