/*
 * ops: the steps, each done to the store and to the model.
 *
 * The prepared tree: a (700 bytes, in its record), b (three blocks and a bit,
 * map in the record), D/c (70 blocks, map in nodes; or 20 blocks far apart),
 * the directories D and E.
 */
#include <string.h>
#include <sys/stat.h>

#include "lib/base/clock.h"

#include "tests/crash/work.h"
#include "tests/early.h"

#define PIECE 131072u /* sealed and written by one thread */

bool
work_natural(enum err e)
{
	return (e == ERR_NOENT || e == ERR_EXIST || e == ERR_ISDIR ||
		e == ERR_NOTDIR || e == ERR_NOTEMPTY || e == ERR_INVAL ||
		e == ERR_NODATA || e == ERR_PERM || e == ERR_NOTSUP);
}

/* ---- Where a path leads ----------------------------------------------------------- */

struct spot {
	uint64_t dir, ino; /* ino 0: there is none */
	const char *name;
	size_t len;
	struct store_attr attr;
	struct node *rdir, *rnode; /* NULL without model */
};

static enum err
find(struct session *s, const char *path, struct spot *ret)
{
	enum err e = OK;

	*ret = (struct spot){ .dir = s->bucket,
		.rdir = s->model ? s->rbucket : NULL };
	for (;;) {
		const size_t len = strcspn(path, "/");
		char name[40];

		(void)snprintf(name, sizeof(name), "%.*s", (int)len, path);
		ret->name = path;
		ret->len = len;
		ret->ino = 0;
		e = store_lookup(s->st, ret->dir, name, len, &ret->attr);
		if (e == OK)
			ret->ino = ret->attr.ino;
		else if (e != ERR_NOENT)
			return (e);
		ret->rnode =
		    ret->rdir != NULL ? ref_get(ret->rdir, name) : NULL;
		if (path[len] == '\0')
			return (OK);
		if (ret->ino == 0 || !S_ISDIR(ret->attr.mode))
			return (ERR_NOENT);
		ret->dir = ret->ino;
		ret->rdir = ret->rnode;
		path += len + 1;
	}
}

static enum err
find_file(struct session *s, const char *path, struct spot *ret,
    struct store_file **ret_file)
{
	TRY(find(s, path, ret));
	if (ret->ino == 0)
		return (ERR_NOENT);
	return (store_open(s->st, &crash_who, ret->ino, ret_file));
}

static enum err
find_any(struct session *s, const char *path, struct spot *ret)
{
	TRY(find(s, path, ret));
	return (ret->ino != 0 ? OK : ERR_NOENT);
}

/* A node of the model that lost a name. */
static void
forget(struct session *s, struct node *n)
{
	if (n == NULL || (!is_dir(n) && n->names > 0))
		return;
	ref_free(&s->ref, n);
}

/* ---- Content ------------------------------------------------------------------------ */

static void
fill(struct session *s, uint8_t *p, size_t len)
{
	uint64_t v = ++s->nwrites * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < len; i++) {
		v = v * UINT64_C(6364136223846793005) + 1442695040888963407u;
		p[i] = (uint8_t)(v >> 56);
	}
}

static enum err
write_pieces(struct session *s, struct store_file *f, struct node *n,
    uint64_t off, uint64_t len)
{
	static uint8_t buf[PIECE];

	while (len > 0) {
		const size_t k = len < PIECE ? (size_t)len : PIECE;

		fill(s, buf, k);
		TRY(early_write(s->nwrites, f, off, buf, k, 0));
		if (n != NULL)
			ref_write(n, (size_t)off, buf, k);
		off += k;
		len -= k;
	}
	return (OK);
}

/* x: offset (UINT64_MAX: the end), y: length, z: stride of further ones, 20 in
 * all, or 0. */
static enum err
op_write(struct session *s, const struct op *op)
{
	struct store_file *f = NULL;
	struct spot a;
	enum err e;

	TRY(find_file(s, op->a, &a, &f));
	e = write_pieces(
	    s, f, a.rnode, op->x == UINT64_MAX ? a.attr.size : op->x, op->y);
	for (uint64_t i = 1; e == OK && op->z != 0 && i < 20; i++)
		e = write_pieces(s, f, a.rnode, op->x + i * op->z, op->y);
	store_release(f);
	return (e);
}

/* x: size */
static enum err
op_truncate(struct session *s, const struct op *op)
{
	const struct store_attr in = { .size = op->x };
	struct store_attr out;
	struct spot a;

	TRY(find_any(s, op->a, &a));
	TRY(store_setattr(s->st, &crash_who, a.ino, STORE_SET_SIZE, &in, &out));
	if (a.rnode != NULL)
		ref_resize(a.rnode, (size_t)op->x);
	return (OK);
}

/* x: offset, y: length, z: mode */
static enum err
op_fallocate(struct session *s, const struct op *op)
{
	const unsigned mode = (unsigned)op->z;
	struct store_file *f = NULL;
	struct spot a;
	enum err e;

	TRY(find_file(s, op->a, &a, &f));
	e = store_fallocate(f, mode, op->x, op->y);
	store_release(f);
	if (e != OK || a.rnode == NULL)
		return (e);
	if ((mode & (STORE_FALLOC_PUNCH | STORE_FALLOC_ZERO)) != 0)
		ref_zero(a.rnode, (size_t)op->x, (size_t)op->y);
	if ((mode & STORE_FALLOC_KEEP_SIZE) == 0 &&
	    op->x + op->y > a.rnode->size)
		ref_resize(a.rnode, (size_t)(op->x + op->y));
	return (OK);
}

static void
ref_copy_bytes(
    struct node *from, size_t foff, struct node *to, size_t toff, size_t len)
{
	uint8_t *tmp = must(malloc(len + 1));

	memcpy(tmp, ref_data(from) + foff, len);
	ref_write(to, toff, tmp, len);
	free(tmp);
}

/* x: offset in a, y: in b, z: length */
static enum err
op_copy(struct session *s, const struct op *op)
{
	struct store_file *f = NULL, *t = NULL;
	struct spot a, b;
	uint64_t done = 0;
	enum err e;

	TRY(find_file(s, op->a, &a, &f));
	e = find_file(s, op->b, &b, &t);
	if (e == OK)
		e = store_copy(f, op->x, t, op->y, op->z, &done);
	store_release(t);
	store_release(f);
	if (e == OK && a.rnode != NULL && b.rnode != NULL)
		ref_copy_bytes(a.rnode, (size_t)op->x, b.rnode, (size_t)op->y,
		    (size_t)done);
	return (e);
}

/* ---- Names -------------------------------------------------------------------------- */

static struct node *
ref_made(struct session *s, const struct spot *a, const struct store_attr *at)
{
	struct node *n;
	char name[40];

	if (!s->model)
		return (NULL);
	n = ref_node(&s->ref, at->ino, at->mode);
	n->uid = at->uid;
	n->gid = at->gid;
	n->sse = at->sse;
	(void)snprintf(name, sizeof(name), "%.*s", (int)a->len, a->name);
	ref_add(a->rdir, name, n);
	return (n);
}

/* x: mode, y: bytes to write, z: 1 an unnamed file that is linked then; b: its
 * encryption, or a symlink's target */
static enum err
op_make(struct session *s, const struct op *op)
{
	struct store_new new = { .mode = (uint32_t)op->x, .uid = 1, .gid = 2 };
	const bool file = S_ISREG(new.mode), unnamed = op->z == 1;
	struct store_file *f = NULL;
	struct store_attr at;
	struct node *n = NULL;
	struct spot a;
	enum err e;

	new.sse = file ? op->b : NULL;
	new.target = S_ISLNK(new.mode) ? op->b : NULL;
	TRY(find(s, op->a, &a));
	if (a.ino != 0)
		return (ERR_EXIST);
	TRY(store_make(s->st, &crash_who, a.dir, unnamed ? NULL : a.name,
	    unnamed ? 0 : a.len, &new, &at, file ? &f : NULL));
	if (!unnamed)
		n = ref_made(s, &a, &at);
	if (n != NULL && S_ISLNK(new.mode))
		(void)snprintf(n->target, sizeof(n->target), "%s", op->b);
	e = OK;
	if (unnamed) {
		e = store_link(s->st, at.ino, a.dir, a.name, a.len, &at);
		if (e == OK)
			n = ref_made(s, &a, &at);
	}
	if (e == OK && file)
		e = write_pieces(s, f, n, 0, op->y);
	store_release(f);
	return (e);
}

static enum err
op_link(struct session *s, const struct op *op)
{
	struct store_attr at;
	struct spot a, b;
	char name[40];

	TRY(find_any(s, op->a, &a));
	TRY(find(s, op->b, &b));
	TRY(store_link(s->st, a.ino, b.dir, b.name, b.len, &at));
	(void)snprintf(name, sizeof(name), "%.*s", (int)b.len, b.name);
	if (b.rdir != NULL && a.rnode != NULL)
		ref_add(b.rdir, name, a.rnode);
	return (OK);
}

/* x: 1 a directory, 2 a file that stays open */
static enum err
op_remove(struct session *s, const struct op *op)
{
	struct store_file *f = NULL;
	struct spot a;
	uint64_t ino = 0;
	bool gone = true;
	enum err e;

	if (op->x == 2)
		TRY(find_file(s, op->a, &a, &f));
	else
		TRY(find_any(s, op->a, &a));
	e = op->x == 1 ? store_rmdir(s->st, a.dir, a.name, a.len, &ino)
		       : store_unlink(s->st, a.dir, a.name, a.len, &ino, &gone);
	if (e == OK && f != NULL && s->nheld < HELD)
		s->held[s->nheld++] = steal(f);
	else if (e == OK && gone)
		store_reap(s->st, ino);
	store_release(f);
	if (e != OK || a.rnode == NULL)
		return (e);
	ref_remove(a.rdir, a.name);
	forget(s, a.rnode);
	return (OK);
}

static void
ref_rename(struct session *s, const struct spot *a, const struct spot *b,
    bool exchange)
{
	if (a->rnode == NULL || a->rnode == b->rnode)
		return;
	ref_remove(a->rdir, a->name);
	if (b->rnode != NULL)
		ref_remove(b->rdir, b->name);
	ref_add(b->rdir, b->name, a->rnode);
	if (exchange)
		ref_add(a->rdir, a->name, b->rnode);
	else
		forget(s, b->rnode);
}

/* x: flags */
static enum err
op_rename(struct session *s, const struct op *op)
{
	struct spot a, b;
	uint64_t gone = 0;

	TRY(find_any(s, op->a, &a));
	TRY(find(s, op->b, &b));
	TRY(store_rename(s->st, a.dir, a.name, a.len, b.dir, b.name, b.len,
	    (unsigned)op->x, &gone));
	if (gone != 0)
		store_reap(s->st, gone);
	ref_rename(s, &a, &b, (op->x & STORE_RENAME_EXCHANGE) != 0);
	return (OK);
}

/* ---- Attributes --------------------------------------------------------------------- */

/* x: mode */
static enum err
op_chmod(struct session *s, const struct op *op)
{
	const struct store_attr in = {
		.mode = (uint32_t)op->x, .uid = 3, .mtime = { 12345, 678 }
	};
	struct store_attr out;
	struct spot a;

	TRY(find_any(s, op->a, &a));
	TRY(store_setattr(s->st, &crash_who, a.ino,
	    STORE_SET_MODE | STORE_SET_UID | STORE_SET_MTIME, &in, &out));
	if (a.rnode == NULL)
		return (OK);
	a.rnode->mode = (a.rnode->mode & S_IFMT) | in.mode;
	a.rnode->uid = in.uid;
	return (OK);
}

/* x: which, y: bytes; y 0 removes it */
static enum err
op_xattr(struct session *s, const struct op *op)
{
	static uint8_t buf[STORE_XATTR_MAX];
	struct xattr *x = NULL;
	struct spot a;

	TRY(find_any(s, op->a, &a));
	if (a.rnode != NULL)
		x = &a.rnode->xattrs[op->x];
	if (op->y == 0) {
		TRY(store_xattr_remove(
		    s->st, a.ino, xattr_name((unsigned)op->x)));
		if (x != NULL)
			x->set = false;
		return (OK);
	}
	fill(s, buf, (size_t)op->y);
	TRY(store_xattr_set(
	    s->st, a.ino, xattr_name((unsigned)op->x), buf, (size_t)op->y, 0));
	if (x == NULL)
		return (OK);
	free(x->value);
	x->value = must(malloc((size_t)op->y));
	memcpy(x->value, buf, (size_t)op->y);
	x->len = (size_t)op->y;
	x->set = true;
	return (OK);
}

/* b: text, or NULL */
static enum err
op_default(struct session *s, const struct op *op)
{
	struct spot a;

	TRY(find_any(s, op->a, &a));
	TRY(store_default_set(s->st, &crash_who, a.ino, op->b));
	if (a.rnode != NULL)
		(void)snprintf(a.rnode->dflt, sizeof(a.rnode->dflt), "%s",
		    op->b != NULL ? op->b : "");
	return (OK);
}

/* x: method */
static enum err
op_sse(struct session *s, const struct op *op)
{
	struct spot a;

	TRY(find_any(s, op->a, &a));
	TRY(store_sse_set(s->st, &crash_who, a.ino, (enum sse)op->x, NULL));
	if (a.rnode != NULL)
		a.rnode->sse = (enum sse)op->x;
	return (OK);
}

/* ---- Keys --------------------------------------------------------------------------- */

#define KEY "alias/aws/s3"
#define DAY_S 86400

/* The bucket's key gets another version. */
static enum err
op_rotate(struct session *s, const struct op *op)
{
	struct kms *const k = store_kms(s->st);
	enum err e;

	(void)op;
	if (k == NULL)
		return (ERR_NOTSUP);
	e = kms_key_rotate(k, &crash_who, KEY);
	return (e == ERR_NOKEY ? ERR_NOENT : e);
}

/* And the files' data keys are wrapped under it. */
static enum err
op_rekey(struct session *s, const struct op *op)
{
	const struct store_rekey_opts o = { .who = &crash_who };
	struct store_rekey_result res;

	TRY(op_rotate(s, op));
	TRY(store_rekey(s->st, &o, &res));
	return (res.bad == 0 ? OK : ERR_CORRUPT);
}

/* A key lives: it is made, rotates by itself, and is deleted when it is due. */
static enum err
op_life(struct session *s, const struct op *op)
{
	struct kms *const k = store_kms(s->st);
	struct timespec t = clock_wall();
	struct kms_desc d;

	(void)op;
	if (k == NULL)
		return (ERR_NOTSUP);
	TRY(kms_key_create(k, &crash_who, "of the simulator", &d));
	TRY(kms_key_rotation(k, &crash_who, d.id, 2));
	t.tv_sec += 3 * DAY_S;
	clock_freeze(&t);
	TRY(kms_timer(k));
	TRY(kms_key_delete(k, &crash_who, d.id, 7, NULL));
	t.tv_sec += 8 * DAY_S;
	clock_freeze(&t);
	TRY(kms_timer(k));
	return (kms_key_describe(k, &crash_who, d.id, &d) == ERR_NOKEY
		    ? OK
		    : ERR_CORRUPT);
}

/* ---- The table ------------------------------------------------------------------------ */

#define END UINT64_MAX
#define KEEP STORE_FALLOC_KEEP_SIZE
#define PUNCH (STORE_FALLOC_PUNCH | KEEP)
#define FILE_MODE (S_IFREG | 0644)
#define OP(fn, a, b, x, y, z)                                                  \
	{                                                                      \
#fn " " a " " #b ", " #x ", " #y ", " #z, op_##fn, a, b, x, y, \
		    z                                                          \
	}

const struct op work_ops[] = {
	OP(make, "n", NULL, FILE_MODE, 0, 0),
	OP(make, "n", NULL, FILE_MODE, 300, 0),
	OP(make, "n", NULL, FILE_MODE, 20000, 0),
	OP(make, "D/n", "AES256", FILE_MODE, 5000, 0),
	OP(make, "D/n", "None", FILE_MODE, 5000, 0),
	OP(make, "n", NULL, FILE_MODE, 6000, 1),
	OP(make, "F", NULL, S_IFDIR | 0755, 0, 0),
	OP(make, "D/F", NULL, S_IFDIR | 0700, 0, 0),
	OP(make, "l", "D/c", S_IFLNK | 0777, 0, 0),
	OP(make, "p", NULL, S_IFIFO | 0600, 0, 0),
	OP(write, "a", NULL, 0, 200, 0),
	OP(write, "a", NULL, 1000, 100, 0),
	OP(write, "a", NULL, END, 50, 0),
	OP(write, "b", NULL, 4096, 4096, 0),
	OP(write, "b", NULL, 2000, 3000, 0),
	OP(write, "b", NULL, END, 5000, 0),
	OP(write, "b", NULL, 300000, 10, 0),
	OP(write, "D/c", NULL, 65 * 4096, 4096, 0),
	OP(write, "D/c", NULL, 0, 80000, 0),
	OP(write, "D/c", NULL, END, 200000, 0),
	OP(truncate, "a", NULL, 0, 0, 0),
	OP(truncate, "a", NULL, 100, 0, 0),
	OP(truncate, "a", NULL, 5000, 0, 0),
	OP(truncate, "b", NULL, 0, 0, 0),
	OP(truncate, "b", NULL, 5000, 0, 0),
	OP(truncate, "b", NULL, 100000, 0, 0),
	OP(truncate, "D/c", NULL, 40000, 0, 0),
	OP(truncate, "D/c", NULL, 0, 0, 0),
	OP(fallocate, "a", NULL, 10, 10, PUNCH),
	OP(fallocate, "b", NULL, 4096, 4096, PUNCH),
	OP(fallocate, "b", NULL, 100, 8900, PUNCH),
	OP(fallocate, "D/c", NULL, 0, 262144, PUNCH),
	OP(fallocate, "D/c", NULL, 0, 10000000, PUNCH),
	OP(fallocate, "a", NULL, 0, 900, 0),
	OP(fallocate, "b", NULL, 0, 50000, 0),
	OP(fallocate, "b", NULL, 0, 50000, KEEP),
	OP(fallocate, "b", NULL, 5000, 9000, STORE_FALLOC_ZERO),
	OP(fallocate, "D/c", NULL, 4096, 40960, STORE_FALLOC_ZERO | KEEP),
	OP(rename, "a", "n", 0, 0, 0),
	OP(rename, "a", "b", 0, 0, 0),
	OP(rename, "b", "D/c", 0, 0, 0),
	OP(rename, "D/c", "c", 0, 0, 0),
	OP(rename, "D", "F", 0, 0, 0),
	OP(rename, "D", "E", 0, 0, 0),
	OP(rename, "E", "D/E", 0, 0, 0),
	OP(rename, "a", "b", STORE_RENAME_EXCHANGE, 0, 0),
	OP(rename, "a", "D", STORE_RENAME_EXCHANGE, 0, 0),
	OP(rename, "D/c", "E", STORE_RENAME_EXCHANGE, 0, 0),
	OP(rename, "a", "n", STORE_RENAME_NOREPLACE, 0, 0),
	OP(link, "a", "l", 0, 0, 0),
	OP(link, "D/c", "E/c", 0, 0, 0),
	OP(remove, "a", NULL, 0, 0, 0),
	OP(remove, "b", NULL, 0, 0, 0),
	OP(remove, "D/c", NULL, 0, 0, 0),
	OP(remove, "b", NULL, 2, 0, 0),
	OP(remove, "E", NULL, 1, 0, 0),
	OP(chmod, "a", NULL, 0600, 0, 0),
	OP(chmod, "D", NULL, 0700, 0, 0),
	OP(xattr, "a", NULL, 0, 30, 0),
	OP(xattr, "D", NULL, 1, 20000, 0),
	OP(xattr, "b", NULL, 2, 10, 0),
	OP(xattr, "b", NULL, 2, 0, 0),
	OP(default, "D", "None", 0, 0, 0),
	OP(sse, "e", NULL, SSE_AES256, 0, 0),
	OP(copy, "D/c", "b", 0, 0, 262144),
	OP(copy, "D/c", "b", 4096, 81920, 90000),
	OP(copy, "b", "D/c", 10, 5000, 9000),
	OP(copy, "D/c", "D/c", 0, 400000, 90000),
	OP(rotate, "b", NULL, 0, 0, 0),
	OP(rekey, "b", NULL, 0, 0, 0),
	OP(life, "b", NULL, 0, 0, 0),
};
const unsigned work_nops = COUNTOF(work_ops);

enum err
work_do(struct session *s, const struct op *op)
{
	return (op->fn(s, op));
}

void
work_let_go(struct session *s)
{
	while (s->nheld > 0) {
		struct store_file *f = s->held[--s->nheld];
		const uint64_t ino = store_file_ino(f);

		store_release(f);
		store_reap(s->st, ino);
	}
}
