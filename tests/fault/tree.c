/* tree: the tree in memory, and dumps.  See tree.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "crypto/digest.h"
#include "lib/base/attrs.h"

#include "tests/fault/tree_internal.h"

#define NODES 48
#define ENTRIES 64

struct page {
	uint8_t b[PAGE];
	uint32_t crc;
};

struct tnode {
	uint32_t mode; /* 0: unused */
	uint64_t size;
	struct page **page; /* npages; NULL: zeros */
	size_t npages;
	unsigned names;
	struct {
		bool set;
		size_t len;
		unsigned seed;
	} x[XATTRS];
	char target[16], dflt[16];
	enum sse sse;
};

struct entry {
	unsigned dir, node; /* node 0: unused */
	char name[NAME_LEN];
};

struct tree {
	struct tnode n[NODES]; /* 1: the bucket */
	struct entry e[ENTRIES];
	unsigned held;
};

/* ---- Bytes -------------------------------------------------------------- */

void
pattern(uint8_t *p, size_t len, unsigned seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (uint8_t)(x >> 24);
	}
}

void *
must(void *p)
{
	if (p == NULL)
		abort();
	return (p);
}

uint64_t
page_hash(uint64_t no, const uint8_t *b, uint32_t crc)
{
	static const uint8_t zero[PAGE];

	if (crc == 0)
		crc = crc32c(0, b, PAGE);
	return (memcmp(b, zero, PAGE) == 0
		    ? 0
		    : (no + 1) * 0x9e3779b97f4a7c15u * (crc | 1u));
}

/* The bytes of page ${no}, made when there are none. */
static uint8_t *
page_at(struct tnode *n, size_t no)
{
	if (no >= n->npages) {
		n->page = must(realloc(n->page, (no + 1) * sizeof(*n->page)));
		memset(n->page + n->npages, 0,
		    (no + 1 - n->npages) * sizeof(*n->page));
		n->npages = no + 1;
	}
	if (n->page[no] == NULL)
		n->page[no] = must(calloc(1, sizeof(*n->page[no])));
	n->page[no]->crc = 0;
	return (n->page[no]->b);
}

/* ${p} NULL: zeros, and no pages are made for them. */
static void
bytes_put(struct tnode *n, uint64_t off, const uint8_t *p, size_t len)
{
	while (len > 0) {
		const size_t no = (size_t)(off / PAGE),
			     in = (size_t)(off % PAGE);
		const size_t m = len < PAGE - in ? len : PAGE - in;

		if (p != NULL)
			memcpy(page_at(n, no) + in, p, m);
		else if (no < n->npages && n->page[no] != NULL)
			memset(page_at(n, no) + in, 0, m);
		off += m;
		len -= m;
		p = p == NULL ? NULL : p + m;
	}
}

static void
bytes_get(const struct tnode *n, uint64_t off, uint8_t *p, size_t len)
{
	memset(p, 0, len);
	while (len > 0) {
		const size_t no = (size_t)(off / PAGE),
			     in = (size_t)(off % PAGE);
		const size_t m = len < PAGE - in ? len : PAGE - in;

		if (no < n->npages && n->page[no] != NULL)
			memcpy(p, n->page[no]->b + in, m);
		off += m;
		len -= m;
		p += m;
	}
}

static void
resize(struct tnode *n, uint64_t size)
{
	if (size < n->size)
		bytes_put(n, size, NULL, (size_t)(n->size - size));
	n->size = size;
}

static void
put(struct tnode *n, uint64_t off, size_t len, unsigned seed)
{
	uint8_t *p = must(malloc(len));

	pattern(p, len, seed);
	bytes_put(n, off, p, len);
	free(p);
	if (off + len > n->size)
		n->size = off + len;
}

static void
pages_free(struct tnode *n)
{
	for (size_t i = 0; i < n->npages; i++)
		free(n->page[i]);
	free(n->page);
	n->page = NULL;
	n->npages = 0;
}

/* ---- Life --------------------------------------------------------------- */

struct tree *
tree_new(void)
{
	struct tree *t = must(calloc(1, sizeof(*t)));

	t->n[1].mode = S_IFDIR | 0755;
	(void)snprintf(t->n[1].dflt, sizeof(t->n[1].dflt), "KMS");
	return (t);
}

struct tree *
tree_copy(const struct tree *t)
{
	struct tree *c = must(malloc(sizeof(*c)));

	*c = *t;
	for (unsigned i = 0; i < NODES; i++) {
		struct tnode *n = &c->n[i];

		if (n->npages == 0)
			continue;
		n->page = must(calloc(n->npages, sizeof(*n->page)));
		for (size_t k = 0; k < n->npages; k++)
			if (t->n[i].page[k] != NULL) {
				n->page[k] = must(malloc(sizeof(struct page)));
				*n->page[k] = *t->n[i].page[k];
			}
	}
	return (c);
}

void
tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	for (unsigned i = 0; i < NODES; i++)
		pages_free(&t->n[i]);
	free(t);
}

/* ---- Names -------------------------------------------------------------- */

static struct entry *
entry(struct tree *t, unsigned dir, const char *name)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		if (t->e[i].node != 0 && t->e[i].dir == dir &&
		    strcmp(t->e[i].name, name) == 0)
			return (&t->e[i]);
	return (NULL);
}

/* The directory of a path (0: none) and its last part. */
static unsigned
split(struct tree *t, const char *path, const char **ret_name)
{
	const char *slash = strchr(path, '/');
	char dir[NAME_LEN];
	const struct entry *e;

	*ret_name = slash == NULL ? path : slash + 1;
	if (slash == NULL)
		return (1);
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	e = entry(t, 1, dir);
	return (e != NULL && S_ISDIR(t->n[e->node].mode) ? e->node : 0);
}

static struct entry *
find(struct tree *t, const char *path)
{
	const char *name;
	const unsigned dir = split(t, path, &name);

	return (dir == 0 ? NULL : entry(t, dir, name));
}

static struct tnode *
node(struct tree *t, const char *path)
{
	const struct entry *e = find(t, path);

	return (e == NULL ? NULL : &t->n[e->node]);
}

static bool
name_add(struct tree *t, const char *path, unsigned no)
{
	const char *name;
	const unsigned dir = split(t, path, &name);

	for (unsigned i = 0; dir != 0 && i < ENTRIES; i++)
		if (t->e[i].node == 0) {
			t->e[i].dir = dir;
			t->e[i].node = no;
			(void)snprintf(
			    t->e[i].name, sizeof(t->e[i].name), "%s", name);
			t->n[no].names++;
			return (true);
		}
	return (false);
}

/* A name goes, with its node when it was the last and nobody holds it. */
static void
name_del(struct tree *t, struct entry *e)
{
	const unsigned no = e->node;

	e->node = 0;
	if (--t->n[no].names == 0 && t->held != no) {
		pages_free(&t->n[no]);
		t->n[no] = (struct tnode){ 0 };
	}
}

static bool
dir_empty(const struct tree *t, unsigned dir)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		if (t->e[i].node != 0 && t->e[i].dir == dir)
			return (false);
	return (true);
}

/* ---- Steps -------------------------------------------------------------- */

static bool
make(struct tree *t, const struct step *s, uint32_t mode)
{
	const char *name;
	const unsigned dir = split(t, s->a, &name);
	unsigned no = 2;

	if (dir == 0 || entry(t, dir, name) != NULL)
		return (false);
	while (no < NODES && t->n[no].mode != 0)
		no++;
	if (no == NODES)
		abort();
	t->n[no].mode = mode;
	if (S_ISREG(mode))
		t->n[no].sse =
		    strcmp(t->n[dir].dflt, "None") == 0 ? SSE_NONE : SSE_KMS;
	if (S_ISLNK(mode))
		(void)snprintf(
		    t->n[no].target, sizeof(t->n[no].target), "%s", s->b);
	return (name_add(t, s->a, no));
}

static bool
renames(struct tree *t, const struct step *s)
{
	struct entry *from = find(t, s->a), *to = find(t, s->b);
	const char *name;
	const unsigned dir = split(t, s->b, &name);

	if (from == NULL || dir == 0)
		return (false);
	if (s->z == STORE_RENAME_EXCHANGE) {
		if (to == NULL)
			return (false);
		const unsigned no = from->node;

		from->node = to->node;
		to->node = no;
		return (true);
	}
	if (to != NULL && (s->z == STORE_RENAME_NOREPLACE ||
			      S_ISDIR(t->n[to->node].mode) !=
				  S_ISDIR(t->n[from->node].mode) ||
			      !dir_empty(t, to->node)))
		return (false);
	if (to != NULL && to->node == from->node)
		return (true);
	if (to != NULL)
		name_del(t, to);
	from->dir = dir;
	(void)snprintf(from->name, sizeof(from->name), "%s", name);
	return (true);
}

static bool
unname(struct tree *t, const struct step *s)
{
	struct entry *e = find(t, s->a);

	if (e == NULL || S_ISDIR(t->n[e->node].mode) != (s->op == OP_RMDIR) ||
	    !dir_empty(t, e->node))
		return (false);
	name_del(t, e);
	return (true);
}

static bool
copies(struct tree *t, const struct step *s, uint64_t done)
{
	const struct tnode *a = node(t, s->a);
	struct tnode *b = node(t, s->b);
	uint8_t *p;

	if (a == NULL || b == NULL)
		return (false);
	if (done == 0)
		return (true);
	p = must(malloc((size_t)done));
	bytes_get(a, s->x, p, (size_t)done);
	bytes_put(b, s->z, p, (size_t)done);
	free(p);
	if (s->z + done > b->size)
		b->size = s->z + done;
	return (true);
}

static void
drop(struct tree *t)
{
	struct tnode *n = &t->n[t->held];

	t->held = 0;
	if (n->names != 0)
		return;
	pages_free(n);
	*n = (struct tnode){ 0 };
}

/* Steps on the bytes of a regular file. */
static void
content(struct tnode *n, const struct step *s)
{
	const uint64_t end = s->x + s->y < n->size ? s->x + s->y : n->size;

	switch ((int)s->op) {
	case OP_WRITE:
	case OP_EARLY:
	case OP_HWRITE:
		put(n, s->x, (size_t)s->y, s->z);
		break;
	case OP_APPEND:
		put(n, n->size, (size_t)s->y, s->z);
		break;
	case OP_SPREAD:
		for (uint64_t i = 0; i < s->y; i++)
			put(n, i << 18, PAGE, s->z + (unsigned)i);
		break;
	case OP_TRUNC:
		resize(n, s->x);
		break;
	default:
		if (s->op != OP_FALLOC && s->x < end)
			bytes_put(n, s->x, NULL, (size_t)(end - s->x));
		if (s->op != OP_PUNCH && s->x + s->y > n->size)
			n->size = s->x + s->y;
		break;
	}
}

/* Steps on the attributes of a node. */
static bool
attribute(struct tnode *n, const struct step *s)
{
	switch ((int)s->op) {
	case OP_XSET:
		n->x[s->x].set = true;
		n->x[s->x].len = (size_t)s->y;
		n->x[s->x].seed = s->z;
		return (true);
	case OP_XDEL:
		if (!n->x[s->x].set)
			return (false);
		n->x[s->x].set = false;
		return (true);
	case OP_CHMOD:
		n->mode = (n->mode & S_IFMT) | (uint32_t)s->x;
		return (true);
	case OP_DEFAULT:
		if (s->b == NULL && n->dflt[0] == '\0')
			return (false);
		(void)snprintf(
		    n->dflt, sizeof(n->dflt), "%s", s->b == NULL ? "" : s->b);
		return (true);
	case OP_SSE:
		n->sse = strcmp(s->b, "None") == 0     ? SSE_NONE
			 : strcmp(s->b, "AES256") == 0 ? SSE_AES256
						       : SSE_KMS;
		return (n->size == 0);
	default: /* OP_READ, OP_FSYNC */
		return (true);
	}
}

bool
step_tree(struct tree *t, const struct step *s, uint64_t done)
{
	struct tnode *n = s->a == NULL ? NULL : node(t, s->a);

	switch (s->op) {
	case OP_MKDIR:
		return (make(t, s, S_IFDIR | 0755));
	case OP_MAKE:
		return (make(t, s, S_IFREG | 0644));
	case OP_SYMLINK:
		return (make(t, s, S_IFLNK | 0777));
	case OP_FIFO:
		return (make(t, s, S_IFIFO | 0600));
	case OP_COPY:
		return (copies(t, s, done));
	case OP_RENAME:
		return (renames(t, s));
	case OP_LINK:
		return (n != NULL && find(t, s->b) == NULL &&
			name_add(t, s->b, find(t, s->a)->node));
	case OP_UNLINK:
	case OP_RMDIR:
		return (unname(t, s));
	case OP_HOLD:
		if (n == NULL || t->held != 0)
			return (false);
		t->held = find(t, s->a)->node;
		return (true);
	case OP_DROP:
		drop(t);
		return (true);
	case OP_HWRITE:
		if (t->held == 0)
			return (false);
		content(&t->n[t->held], s);
		return (true);
	case OP_SYNC:
	case OP_HOME:
	case OP_REOPEN:
		return (true);
	case OP_XSET:
	case OP_XDEL:
	case OP_CHMOD:
	case OP_DEFAULT:
	case OP_SSE:
	case OP_READ:
	case OP_FSYNC:
		return (n != NULL && attribute(n, s));
	case OP_WRITE:
	case OP_EARLY:
	case OP_APPEND:
	case OP_SPREAD:
	case OP_TRUNC:
	case OP_PUNCH:
	case OP_ZERO:
	case OP_FALLOC:
		if (n == NULL)
			return (false);
		content(n, s);
		return (true);
	}
	return (false);
}

/* ---- Dumps -------------------------------------------------------------- */

static int
by_path(const void *a, const void *b)
{
	return (strcmp(
	    ((const struct line *)a)->path, ((const struct line *)b)->path));
}

char *
lines_text(struct line *l, unsigned n)
{
	char *text = must(malloc((size_t)(n + 1) * sizeof(*l)));
	size_t at = 0;

	qsort(l, n, sizeof(*l), by_path);
	text[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		unsigned first = 0;

		/* Names of one inode are told by the first of them. */
		while (l[first].id != l[i].id)
			first++;
		at += (size_t)sprintf(text + at, "%s%s%s %s\n", l[i].path,
		    first == i ? "" : " = ", first == i ? "" : l[first].path,
		    l[i].rest);
	}
	return (text);
}

uint64_t
xattr_hash(unsigned i, const uint8_t *p, size_t len)
{
	return ((i + 1) * 0x9e3779b97f4a7c15u *
		((uint64_t)crc32c(0, p, len) * 65537 + len + 1));
}

static uint64_t
xattrs_of(const struct tnode *n)
{
	static uint8_t buf[XATTR_LEN];
	uint64_t h = 0;

	for (unsigned i = 0; i < XATTRS; i++) {
		if (!n->x[i].set)
			continue;
		pattern(buf, n->x[i].len, n->x[i].seed);
		h += xattr_hash(i, buf, n->x[i].len);
	}
	return (h);
}

static uint64_t
content_of(const struct tnode *n)
{
	uint64_t h = 0;

	for (size_t i = 0; i < n->npages; i++) {
		struct page *p = n->page[i];

		if (p == NULL)
			continue;
		if (p->crc == 0)
			p->crc = crc32c(0, p->b, PAGE);
		h += page_hash(i, p->b, p->crc);
	}
	return (h);
}

static unsigned
links_of(const struct tree *t, unsigned no)
{
	unsigned n = 2;

	if (!S_ISDIR(t->n[no].mode))
		return (t->n[no].names);
	for (unsigned i = 0; i < ENTRIES; i++)
		n += t->e[i].node != 0 && t->e[i].dir == no &&
		     S_ISDIR(t->n[t->e[i].node].mode);
	return (n);
}

void
line_rest(struct line *l, uint32_t mode, unsigned links, uint64_t size,
    enum sse sse, uint64_t bytes, uint64_t xattrs, const char *text)
{
	(void)snprintf(l->rest, sizeof(l->rest),
	    "%o links %u size %llu sse %d bytes %llx xattrs %llx %s", mode,
	    links, (unsigned long long)(S_ISREG(mode) ? size : 0), (int)sse,
	    (unsigned long long)bytes, (unsigned long long)xattrs, text);
}

static void
line_of(const struct tree *t, const struct entry *e, struct line *l)
{
	const struct tnode *n = &t->n[e->node];
	const struct entry *up = NULL;

	for (unsigned i = 0; i < ENTRIES && e->dir != 1; i++)
		if (t->e[i].node == e->dir)
			up = &t->e[i];
	(void)snprintf(l->path, sizeof(l->path), "%s%s%s",
	    up == NULL ? "" : up->name, up == NULL ? "" : "/", e->name);
	l->id = e->node;
	line_rest(l, n->mode, links_of(t, e->node), n->size, n->sse,
	    content_of(n), xattrs_of(n),
	    S_ISLNK(n->mode) ? n->target : n->dflt);
}

char *
tree_dump(const struct tree *t)
{
	struct line l[ENTRIES];
	unsigned n = 0;

	for (unsigned i = 0; i < ENTRIES; i++)
		if (t->e[i].node != 0)
			line_of(t, &t->e[i], &l[n++]);
	return (lines_text(l, n));
}
