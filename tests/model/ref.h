/*
 * ref: the tree in memory that the store is compared with.
 *
 * Included by the model program and by the crash simulator.  Nothing here knows
 * the store: nodes hold what a file must be, dentries are a list per directory,
 * and an allocation that fails ends the program.
 */
#ifndef TESTS_MODEL_REF_H
#define TESTS_MODEL_REF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/store.h"

#ifndef FILE_MAX_BYTES
#define FILE_MAX_BYTES 1200000u /* largest file of the model */
#endif
#define XATTRS 6 /* names an inode may have */

struct node;

struct entry {
	struct entry *next;
	struct node *node;
	char name[40];
};

struct xattr {
	bool set;
	size_t len;
	uint8_t *value;
};

struct node {
	struct node *all; /* list of every node that lives */
	uint64_t ino;
	uint32_t mode, uid, gid, rdev;
	unsigned names; /* of what is no directory */
	bool had_name;
	unsigned opens; /* handles of the program */
	struct node *parent, *bucket;
	struct entry *entries;
	uint8_t *data; /* FILE_MAX_BYTES, zero beyond size; or NULL */
	size_t size;
	bool had_data;
	enum sse sse;
	char dflt[STORE_DEFAULT_MAX]; /* "" none of its own */
	char target[64];
	bool mtime_known;
	struct timespec mtime;
	struct xattr xattrs[XATTRS];
};

struct ref {
	struct node *all;
	struct node *root;
	unsigned count;
};

static inline const char *
xattr_name(unsigned i)
{
	static const char *const names[XATTRS] = { "user.a", "user.b",
		"user.longer-name", "trusted.t", "security.s", "user.z" };

	return (names[i]);
}

static inline void *
must(void *p)
{
	if (p == NULL) {
		(void)fprintf(stderr, "out of memory\n");
		abort();
	}
	return (p);
}

static inline bool
is_dir(const struct node *n)
{
	return (S_ISDIR(n->mode));
}

static inline struct node *
ref_node(struct ref *r, uint64_t ino, uint32_t mode)
{
	struct node *n = must(calloc(1, sizeof(*n)));

	n->ino = ino;
	n->mode = mode;
	n->all = r->all;
	r->all = n;
	r->count++;
	return (n);
}

static inline void
ref_free(struct ref *r, struct node *n)
{
	struct node **at = &r->all;

	while (*at != n)
		at = &(*at)->all;
	*at = n->all;
	r->count--;
	for (unsigned i = 0; i < XATTRS; i++)
		free(n->xattrs[i].value);
	free(n->data);
	free(n);
}

/* The link that holds the entry ${name}, or that ends the list. */
static inline struct entry **
ref_find(struct node *dir, const char *name)
{
	struct entry **at = &dir->entries;

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return (at);
}

static inline struct node *
ref_get(struct node *dir, const char *name)
{
	struct entry *e = *ref_find(dir, name);

	return (e != NULL ? e->node : NULL);
}

static inline void
ref_add(struct node *dir, const char *name, struct node *n)
{
	struct entry *e = must(calloc(1, sizeof(*e)));

	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	e->node = n;
	e->next = dir->entries;
	dir->entries = e;
	if (is_dir(n))
		n->parent = dir;
	else
		n->names++;
	n->had_name = true;
	n->bucket = dir->bucket != NULL ? dir->bucket : n;
}

static inline void
ref_remove(struct node *dir, const char *name)
{
	struct entry **at = ref_find(dir, name);
	struct entry *e = *at;

	if (e == NULL)
		return;
	if (!is_dir(e->node))
		e->node->names--;
	*at = e->next;
	free(e);
}

static inline uint32_t
ref_nlink(const struct node *n)
{
	uint32_t links = 2;

	if (!is_dir(n))
		return (n->names);
	for (const struct entry *e = n->entries; e != NULL; e = e->next)
		if (is_dir(e->node))
			links++;
	return (links);
}

/* Is ${n} the directory ${dir} or above it? */
static inline bool
ref_above(const struct node *n, const struct node *dir)
{
	for (; dir != NULL; dir = dir->parent)
		if (dir == n)
			return (true);
	return (false);
}

/* The default text in force in ${dir}. */
static inline const char *
ref_default(const struct node *dir)
{
	for (; dir != NULL; dir = dir->parent)
		if (dir->dflt[0] != '\0')
			return (dir->dflt);
	return ("None");
}

static inline enum sse
ref_method(const char *text)
{
	if (strcmp(text, "None") == 0)
		return (SSE_NONE);
	return (strcmp(text, "AES256") == 0 ? SSE_AES256 : SSE_KMS);
}

static inline uint8_t *
ref_data(struct node *n)
{
	if (n->data == NULL)
		n->data = must(calloc(1, FILE_MAX_BYTES));
	return (n->data);
}

static inline void
ref_resize(struct node *n, size_t size)
{
	if (size < n->size)
		memset(ref_data(n) + size, 0, n->size - size);
	n->size = size;
	if (size > 0)
		n->had_data = true;
}

static inline void
ref_write(struct node *n, size_t off, const void *p, size_t len)
{
	if (len == 0)
		return;
	memcpy(ref_data(n) + off, p, len);
	if (off + len > n->size)
		n->size = off + len;
	n->had_data = true;
	n->mtime_known = false;
}

static inline void
ref_zero(struct node *n, size_t off, size_t len)
{
	if (off < n->size)
		memset(ref_data(n) + off, 0,
		    len < n->size - off ? len : n->size - off);
	n->mtime_known = false;
}

static inline void
ref_release(struct ref *r)
{
	while (r->all != NULL) {
		while (r->all->entries != NULL) {
			struct entry *e = r->all->entries;

			r->all->entries = e->next;
			free(e);
		}
		ref_free(r, r->all);
	}
}

#endif
