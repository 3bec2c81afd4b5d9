/*
 * tree: both sides write the same lines; the store's are gathered through the
 * calls that a face of it makes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/crash/tree.h"

#define CHUNK 131072u /* read by one thread */
#define DEPTH_MAX 16

const struct kms_who crash_who = { .user = "root", .agent = "crash" };

bool
because(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, WHY_MAX, fmt, ap);
	va_end(ap);
	return (false);
}

/* ---- Sums ------------------------------------------------------------------------ */

static uint64_t
sum(uint64_t h, const void *p, size_t len)
{
	const uint8_t *b = p;
	uint64_t v;

	for (; len >= 8; len -= 8, b += 8) {
		memcpy(&v, b, 8);
		h = (h ^ v) * UINT64_C(0x9fb21c651e98df25);
		h ^= h >> 29;
	}
	for (v = len + 1; len > 0; len--)
		v = v << 8 | *b++;
	h = (h ^ v) * UINT64_C(0xd6e8feb86659fd93);
	return (h ^ h >> 32);
}

/* ---- Lines ----------------------------------------------------------------------- */

struct lines {
	char **v;
	size_t n, cap;
};

static void
lines_add(struct lines *l, char *line)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 32 : 2 * l->cap;
		l->v = must(realloc(l->v, l->cap * sizeof(*l->v)));
	}
	l->v[l->n++] = line;
}

static int
line_cmp(const void *a, const void *b)
{
	return (strcmp(*(char *const *)a, *(char *const *)b));
}

static void
lines_clear(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

static void
lines_done(struct lines *l, struct tree *ret)
{
	size_t len = 1;
	char *p;

	if (l->n > 0)
		qsort(l->v, l->n, sizeof(*l->v), line_cmp);
	for (size_t i = 0; i < l->n; i++)
		len += strlen(l->v[i]) + 1;
	ret->text = p = must(malloc(len));
	*p = '\0';
	for (size_t i = 0; i < l->n; i++) {
		p = stpcpy(p, l->v[i]);
		p = stpcpy(p, "\n");
	}
	ret->digest = sum(1, ret->text, len) | 1;
	lines_clear(l);
}

void
tree_clear(struct tree *t)
{
	free(t->text);
	*t = (struct tree){ .digest = 0 };
}

/* Does ${text} hold the line ${line} of ${len} bytes? */
static bool
has_line(const char *text, const char *line, size_t len)
{
	for (const char *p = text; *p != '\0'; p = strchr(p, '\n') + 1)
		if (strncmp(p, line, len) == 0 && p[len] == '\n')
			return (true);
	return (false);
}

static void
missing(const char *sign, const struct tree *in, const struct tree *from,
    char *ret, size_t size)
{
	for (const char *p = in->text; *p != '\0'; p = strchr(p, '\n') + 1) {
		const size_t len = strcspn(p, "\n"), at = strlen(ret);

		if (!has_line(from->text, p, len))
			(void)snprintf(ret + at, size - at, "\n#   %s %.*s",
			    sign, (int)len, p);
	}
}

void
tree_diff(
    const struct tree *want, const struct tree *got, char *ret, size_t size)
{
	ret[0] = '\0';
	missing("want", want, got, ret, size);
	missing("got ", got, want, ret, size);
}

/* The first half of a line: all that is in struct store_attr. */
static void
put_attr(FILE *f, const char *path, const struct store_attr *a)
{
	const struct timespec *t[4] = { &a->atime, &a->mtime, &a->ctime,
		&a->btime };

	(void)fprintf(f, "%s ino %llu mode %o links %u of %u:%u dev %u", path,
	    (unsigned long long)a->ino, a->mode, a->nlink, a->uid, a->gid,
	    a->rdev);
	if (S_ISREG(a->mode))
		(void)fprintf(f, " size %llu blocks %llu sse %d",
		    (unsigned long long)a->size, (unsigned long long)a->blocks,
		    (int)a->sse);
	for (unsigned i = 0; i < 4; i++)
		(void)fprintf(
		    f, " %lld.%ld", (long long)t[i]->tv_sec, t[i]->tv_nsec);
}

/* ---- A store ---------------------------------------------------------------------- */

struct entry_found {
	char name[STORE_NAME_MAX + 1];
	struct store_attr attr;
};

struct listing {
	struct entry_found *v;
	size_t n, cap;
};

struct reading {
	struct store *st;
	struct lines lines;
	char *why;
};

static bool
take_entry(void *arg, const struct store_dirent *d)
{
	struct listing *l = arg;

	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 16 : 2 * l->cap;
		l->v = must(realloc(l->v, l->cap * sizeof(*l->v)));
	}
	(void)snprintf(l->v[l->n].name, sizeof(l->v[l->n].name), "%s", d->name);
	l->v[l->n++].attr = d->attr;
	return (true);
}

static bool
failed(const struct reading *r, const char *path, const char *what, enum err e)
{
	return (because(
	    r->why, "%s: %s: %s (%s)", path, what, err_name(e), err_detail(e)));
}

static bool
put_content(
    struct reading *r, FILE *f, const char *path, const struct store_attr *a)
{
	static _Thread_local uint8_t buf[CHUNK];
	struct store_file *file;
	uint64_t h = 0, off = 0;
	size_t n = 0;
	enum err e;

	e = store_open(r->st, &crash_who, a->ino, &file);
	if (e != OK)
		return (failed(r, path, "open", e));
	do {
		e = store_read(file, off, buf, sizeof(buf), &n);
		if (e == OK && n > 0)
			h = sum(h, buf, n);
		off += n;
	} while (e == OK && n == sizeof(buf));
	store_release(file);
	if (e != OK)
		return (failed(r, path, "read", e));
	if (off != a->size)
		return (because(r->why, "%s: %llu bytes, size %llu", path,
		    (unsigned long long)off, (unsigned long long)a->size));
	(void)fprintf(f, " data %016llx", (unsigned long long)h);
	return (true);
}

static bool
put_xattrs(struct reading *r, FILE *f, const char *path, uint64_t ino)
{
	static _Thread_local uint8_t buf[STORE_XATTR_MAX];
	size_t len = 0;

	for (unsigned i = 0; i < XATTRS; i++) {
		const enum err e = store_xattr_get(
		    r->st, ino, xattr_name(i), buf, sizeof(buf), &len);

		if (e == ERR_NODATA)
			continue;
		if (e != OK)
			return (failed(r, path, "xattr", e));
		(void)fprintf(f, " %s %016llx", xattr_name(i),
		    (unsigned long long)sum(0, buf, len));
	}
	return (true);
}

static bool
put_rest(
    struct reading *r, FILE *f, const char *path, const struct store_attr *a)
{
	char text[STORE_SYMLINK_MAX + 1];
	enum err e;

	if (S_ISREG(a->mode) && !put_content(r, f, path, a))
		return (false);
	if (S_ISLNK(a->mode)) {
		e = store_readlink(r->st, a->ino, text);
		if (e != OK)
			return (failed(r, path, "readlink", e));
		(void)fprintf(f, " to %s", text);
	}
	if (S_ISDIR(a->mode)) {
		e = store_default_get(r->st, a->ino, text);
		if (e != OK && e != ERR_NODATA)
			return (failed(r, path, "default", e));
		(void)fprintf(f, " default %s", e == OK ? text : "-");
	}
	return (put_xattrs(r, f, path, a->ino));
}

static bool
one_line(struct reading *r, const char *path, const struct store_attr *a)
{
	char *line = NULL;
	size_t len;
	FILE *f = must(open_memstream(&line, &len));
	bool good;

	put_attr(f, path, a);
	good = put_rest(r, f, path, a);
	(void)fclose(f);
	if (good)
		lines_add(&r->lines, line);
	else
		free(line);
	return (good);
}

static bool
read_dir(struct reading *r, const char *path, uint64_t ino, unsigned depth)
{
	struct listing l = { .n = 0 };
	char below[512];
	bool good = true;
	enum err e;

	if (depth > DEPTH_MAX)
		return (because(r->why, "%s: directories too deep", path));
	e = store_readdir(
	    r->st, ino, NULL, 0, false, 10000, true, take_entry, &l);
	if (e != OK)
		good = failed(r, path, "readdir", e);
	for (size_t i = 0; good && i < l.n; i++) {
		(void)snprintf(
		    below, sizeof(below), "%s/%s", path, l.v[i].name);
		good = one_line(r, below, &l.v[i].attr);
		if (good && S_ISDIR(l.v[i].attr.mode))
			good = read_dir(r, below, l.v[i].attr.ino, depth + 1);
	}
	free(l.v);
	return (good);
}

bool
tree_of_store(struct store *st, struct tree *ret, char *why)
{
	return (tree_of_dir(st, STORE_ROOT, ret, why));
}

bool
tree_of_dir(struct store *st, uint64_t dir, struct tree *ret, char *why)
{
	struct reading r = { .st = st, .why = why };

	if (!read_dir(&r, "", dir, 0)) {
		lines_clear(&r.lines);
		return (false);
	}
	lines_done(&r.lines, ret);
	return (true);
}

/* ---- The model -------------------------------------------------------------------- */

static void
ref_attr(const struct node *n, struct store *st, struct store_attr *a)
{
	struct store_attr live = { .ino = 0 };

	if (store_getattr(st, n->ino, &live) != OK)
		live.ino = 0;
	*a = live;
	a->ino = n->ino;
	a->mode = n->mode;
	a->nlink = ref_nlink(n);
	a->uid = n->uid;
	a->gid = n->gid;
	a->rdev = n->rdev;
	a->size = n->size;
	a->sse = n->sse;
}

static void
ref_line(struct lines *l, const char *path, struct node *n, struct store *st)
{
	struct store_attr a;
	char *line = NULL;
	size_t len;
	uint64_t h = 0;
	FILE *f = must(open_memstream(&line, &len));

	ref_attr(n, st, &a);
	put_attr(f, path, &a);
	if (S_ISREG(n->mode)) {
		for (size_t off = 0; off < n->size; off += CHUNK)
			h = sum(h, ref_data(n) + off,
			    n->size - off < CHUNK ? n->size - off : CHUNK);
		(void)fprintf(f, " data %016llx", (unsigned long long)h);
	}
	if (S_ISLNK(n->mode))
		(void)fprintf(f, " to %s", n->target);
	if (is_dir(n))
		(void)fprintf(
		    f, " default %s", n->dflt[0] != '\0' ? n->dflt : "-");
	for (unsigned i = 0; i < XATTRS; i++)
		if (n->xattrs[i].set)
			(void)fprintf(f, " %s %016llx", xattr_name(i),
			    (unsigned long long)sum(
				0, n->xattrs[i].value, n->xattrs[i].len));
	(void)fclose(f);
	lines_add(l, line);
}

static void
ref_dir(struct lines *l, const char *path, struct node *dir, struct store *st)
{
	char below[512];

	for (struct entry *e = dir->entries; e != NULL; e = e->next) {
		(void)snprintf(below, sizeof(below), "%s/%s", path, e->name);
		ref_line(l, below, e->node, st);
		if (is_dir(e->node))
			ref_dir(l, below, e->node, st);
	}
}

void
tree_of_ref(const struct ref *r, struct store *st, struct tree *ret)
{
	struct lines l = { .n = 0 };

	ref_dir(&l, "", r->root, st);
	lines_done(&l, ret);
}
