/*
 * model: random operations on the store, compared with a tree in memory.
 *
 *	model [SEED [STEPS]]
 *
 * Even seeds have sealed metadata, those divisible by 4 with so few pages in
 * core that SQLite writes them more than once before a commit.
 *
 * Without arguments a few fixed seeds run.  MODEL_TRACE=1 prints every step.
 * A difference prints the seed, the step and what differs, and ends the run;
 * the same seed and number of steps repeat it.
 *
 * What an operation must answer is worked out as a set: every rule it breaks
 * adds the error of that rule.  OK is right when no rule is broken, any error
 * of the set otherwise; which of several comes first is nobody's promise.
 */
#include <errno.h>

#include "tests/early.h"
#include "tests/model/compare.h"

/* ---- Choosing ------------------------------------------------------------ */

static struct node *
pick(bool (*wanted)(const struct node *n))
{
	struct node *best = NULL;
	unsigned seen = 0;

	for (struct node *n = run.ref.all; n != NULL; n = n->all)
		if (wanted(n) && one_in(++seen))
			best = n;
	return (best);
}

static bool
live_dir(const struct node *n)
{
	return (is_dir(n) && n->parent != NULL);
}

static struct node *
pick_dir(void)
{
	return (must(pick(live_dir)));
}

static bool
regular(const struct node *n)
{
	return (S_ISREG(n->mode));
}

static bool
below_bucket(const struct node *n)
{
	return (n->parent != NULL || !is_dir(n));
}

static bool
named_other(const struct node *n)
{
	return (n->names > 0);
}

static const char *
pick_name(void)
{
	/* Siblings that sort between "a" and "a/" as well. */
	static const char *const names[] = { "a", "a!", "a0", "b", "b c", "c",
		"d.d", "e", "f-long-name-to-be-seen", "g", "h", "\xc3\xa9" };

	return (names[rnd(COUNTOF(names))]);
}

static size_t
pick_size(void)
{
	static const size_t edges[] = { 0, 1, 1023, 1024, 1025, 4095, 4096,
		4097, 8192, 262143, 262144, 262145 };

	switch (rnd(6)) {
	case 0:
		return (edges[rnd(COUNTOF(edges))]);
	case 1:
		return (rnd(FILE_MAX_BYTES / 2));
	case 2:
		return (rnd(100000));
	default:
		return (rnd(12000));
	}
}

static size_t
fill(size_t len)
{
	const uint64_t a = rnd(UINT64_MAX - 1) | 1;
	uint64_t v = a;

	for (size_t i = 0; i < len; i++) {
		v = v * 6364136223846793005u + a;
		scratch[i] = (uint8_t)(v >> 56);
	}
	return (len);
}

/* ---- Operations ---------------------------------------------------------- */

/* A node that lost a name: gone when nothing refers to it any more. */
static void
let_go(struct node *n)
{
	if (n == NULL || (!is_dir(n) && (n->names > 0 || n->opens > 0)))
		return;
	store_reap(run.st, n->ino);
	ref_free(&run.ref, n);
}

static struct handle *
pick_handle(void)
{
	struct handle *h = &run.handles[rnd(HANDLES)];
	struct node *n;

	if (h->f != NULL)
		return (h);
	n = pick(regular);
	if (n == NULL)
		return (NULL);
	fine(store_open(run.st, &who, n->ino, &h->f), "open");
	if (store_file_ino(h->f) != n->ino)
		differ("store_file_ino");
	h->n = n;
	n->opens++;
	return (h);
}

static void
drop(struct handle *h)
{
	if (h->f == NULL)
		return;
	store_release(h->f);
	h->n->opens--;
	let_go(h->n);
	*h = (struct handle){ .f = NULL };
}

static void
op_make(void)
{
	static const uint32_t kinds[] = { S_IFREG, S_IFREG, S_IFREG, S_IFREG,
		S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR };
	const uint32_t kind = kinds[rnd(COUNTOF(kinds))];
	struct store_new new = { .mode = kind | (uint32_t)rnd(0777),
		.uid = (uint32_t)rnd(5),
		.gid = (uint32_t)rnd(5),
		.rdev = kind == S_IFCHR ? (uint32_t)rnd(70000) : 0 };
	struct node *dir = pick_dir(), *n;
	const bool nameless = kind == S_IFREG && one_in(12);
	struct handle *h = &run.handles[rnd(HANDLES)];
	const bool opened =
	    kind == S_IFREG && h->f == NULL && (nameless || one_in(3));
	const char *name = nameless ? NULL : pick_name();
	char target[64] = "";
	struct store_attr a;

	if (nameless && !opened)
		return;
	if (kind == S_IFLNK) {
		(void)snprintf(
		    target, sizeof(target), "t%u/x", (unsigned)rnd(100));
		new.target = target;
		new.mode = S_IFLNK | 0777;
	}
	say("make %o \"%s\" in %llu", new.mode, nameless ? "" : name,
	    (unsigned long long)dir->ino);
	if (!answers(store_make(run.st, &who, dir->ino, name,
			 nameless ? 0 : strlen(name), &new, &a,
			 opened ? &h->f : NULL),
		!nameless && ref_get(dir, name) != NULL ? BIT(ERR_EXIST) : 0))
		return;
	n = ref_node(&run.ref, a.ino, new.mode);
	n->uid = new.uid;
	n->gid = new.gid;
	n->rdev = new.rdev;
	(void)snprintf(n->target, sizeof(n->target), "%s", target);
	if (kind == S_IFREG)
		n->sse = ref_method(ref_default(dir));
	if (nameless)
		n->bucket = dir->bucket;
	else
		ref_add(dir, name, n);
	if (opened) {
		h->n = n;
		n->opens++;
	}
	same_attr(n, &a);
	dir->mtime_known = false;
	check_attr(dir);
}

static void
op_link(void)
{
	struct node *n = must(pick(below_bucket)), *dir = pick_dir();
	const char *name = pick_name();
	uint64_t broken = 0;
	struct store_attr a;

	say("link %llu as \"%s\" in %llu", (unsigned long long)n->ino, name,
	    (unsigned long long)dir->ino);
	if (is_dir(n))
		broken |= BIT(ERR_PERM);
	else if (n->names == 0 && n->had_name)
		return; /* whether a removed file can come back is open */
	if (n->bucket != dir->bucket)
		broken |= BIT(ERR_XDEV);
	if (ref_get(dir, name) != NULL)
		broken |= BIT(ERR_EXIST);
	if (!answers(
		store_link(run.st, n->ino, dir->ino, name, strlen(name), &a),
		broken))
		return;
	ref_add(dir, name, n);
	dir->mtime_known = false;
	same_attr(n, &a);
}

static void
op_remove(void)
{
	struct node *dir = pick_dir();
	const char *name = pick_name();
	struct node *n = ref_get(dir, name);
	const bool rmdir = one_in(3);
	uint64_t broken = 0, ino = 0;
	bool gone = true;
	enum err e;

	say("%s \"%s\" in %llu", rmdir ? "rmdir" : "unlink", name,
	    (unsigned long long)dir->ino);
	if (n == NULL)
		broken |= BIT(ERR_NOENT);
	else if (!rmdir && is_dir(n))
		broken |= BIT(ERR_ISDIR);
	else if (rmdir && !is_dir(n))
		broken |= BIT(ERR_NOTDIR);
	else if (rmdir && n->entries != NULL)
		broken |= BIT(ERR_NOTEMPTY);
	e = rmdir ? store_rmdir(run.st, dir->ino, name, strlen(name), &ino)
		  : store_unlink(
			run.st, dir->ino, name, strlen(name), &ino, &gone);
	if (!answers(e, broken) || n == NULL)
		return;
	ref_remove(dir, name);
	dir->mtime_known = false;
	if (ino != n->ino || gone != (is_dir(n) || n->names == 0))
		differ("removed inode %llu, gone %d", (unsigned long long)ino,
		    gone);
	let_go(n);
	check_attr(dir);
}

static uint64_t
rename_breaks(struct node *dir, struct node *src, struct node *newdir,
    struct node *dst, unsigned flags)
{
	uint64_t broken = 0;

	if (flags == (STORE_RENAME_NOREPLACE | STORE_RENAME_EXCHANGE))
		broken |= BIT(ERR_INVAL);
	if (src == NULL)
		broken |= BIT(ERR_NOENT);
	if (dst == NULL && (flags & STORE_RENAME_EXCHANGE) != 0)
		broken |= BIT(ERR_NOENT);
	if (dst != NULL && (flags & STORE_RENAME_NOREPLACE) != 0)
		broken |= BIT(ERR_EXIST);
	if (dir->bucket != newdir->bucket)
		broken |= BIT(ERR_XDEV);
	if (src == dst)
		return (broken);
	if (src != NULL && is_dir(src) && ref_above(src, newdir))
		broken |= BIT(ERR_INVAL);
	if ((flags & STORE_RENAME_EXCHANGE) != 0) {
		if (dst != NULL && is_dir(dst) && ref_above(dst, dir))
			broken |= BIT(ERR_INVAL);
		return (broken);
	}
	if (src == NULL || dst == NULL)
		return (broken);
	if (is_dir(src) && !is_dir(dst))
		broken |= BIT(ERR_NOTDIR);
	if (!is_dir(src) && is_dir(dst))
		broken |= BIT(ERR_ISDIR);
	if (is_dir(dst) && dst->entries != NULL)
		broken |= BIT(ERR_NOTEMPTY);
	return (broken);
}

static void
op_rename(void)
{
	static const unsigned choice[] = { 0, 0, 0, 0, STORE_RENAME_NOREPLACE,
		STORE_RENAME_EXCHANGE, STORE_RENAME_EXCHANGE,
		STORE_RENAME_NOREPLACE | STORE_RENAME_EXCHANGE };
	const unsigned flags = choice[rnd(COUNTOF(choice))];
	struct node *dir = pick_dir(), *newdir = pick_dir();
	char name[40], newname[40];
	struct node *src, *dst;
	uint64_t gone = 0;

	(void)snprintf(name, sizeof(name), "%s", pick_name());
	(void)snprintf(newname, sizeof(newname), "%s", pick_name());
	say("rename %u \"%s\" in %llu to \"%s\" in %llu", flags, name,
	    (unsigned long long)dir->ino, newname,
	    (unsigned long long)newdir->ino);
	src = ref_get(dir, name);
	dst = ref_get(newdir, newname);
	if (!answers(store_rename(run.st, dir->ino, name, strlen(name),
			 newdir->ino, newname, strlen(newname), flags, &gone),
		rename_breaks(dir, src, newdir, dst, flags)) ||
	    src == NULL || src == dst)
		return;
	ref_remove(dir, name);
	if (dst != NULL)
		ref_remove(newdir, newname);
	ref_add(newdir, newname, src);
	dir->mtime_known = newdir->mtime_known = false;
	if ((flags & STORE_RENAME_EXCHANGE) != 0 && dst != NULL) {
		ref_add(dir, name, dst);
		dst = NULL;
	}
	if (gone !=
	    (dst != NULL && (is_dir(dst) || dst->names == 0) ? dst->ino : 0))
		differ(
		    "inode %llu is said to be gone", (unsigned long long)gone);
	let_go(dst);
	check_attr(dir);
	check_attr(newdir);
	check_attr(src);
}

static void
op_write(void)
{
	struct handle *h = pick_handle();
	const bool append = one_in(5);
	size_t off, len;

	if (h == NULL)
		return;
	off = one_in(3) ? h->n->size : pick_size();
	len = fill(1 + pick_size());
	if (append)
		off = h->n->size;
	if (off + len > FILE_MAX_BYTES)
		return;
	say("write %zu at %zu of %llu%s", len, off,
	    (unsigned long long)h->n->ino, append ? " (append)" : "");
	fine(early_write(len, h->f, append ? 12345 : off, scratch, len,
		 append ? STORE_WRITE_APPEND : 0),
	    "write");
	ref_write(h->n, off, scratch, len);
	same_bytes(h->n, h->f, off > 100 ? off - 100 : 0, len + 5000);
	check_attr(h->n);
}

static void
op_read(void)
{
	struct handle *h = pick_handle();

	if (h == NULL)
		return;
	say("read of %llu", (unsigned long long)h->n->ino);
	same_bytes(h->n, h->f, pick_size(), 1 + pick_size());
	if (one_in(4))
		same_holes(h->n, h->f);
}

static void
op_truncate(void)
{
	struct node *n = pick(regular);
	struct store_attr in = { .size = pick_size() }, a;

	if (n == NULL)
		return;
	if (one_in(5))
		in.size = n->size;
	say("truncate %llu from %zu to %llu", (unsigned long long)n->ino,
	    n->size, (unsigned long long)in.size);
	fine(store_setattr(run.st, &who, n->ino, STORE_SET_SIZE, &in, &a),
	    "truncate");
	ref_resize(n, (size_t)in.size);
	n->mtime_known = false;
	same_attr(n, &a);
}

static void
op_fallocate(void)
{
	static const unsigned modes[] = { 0, STORE_FALLOC_KEEP_SIZE,
		STORE_FALLOC_PUNCH | STORE_FALLOC_KEEP_SIZE,
		STORE_FALLOC_PUNCH | STORE_FALLOC_KEEP_SIZE, STORE_FALLOC_ZERO,
		STORE_FALLOC_ZERO | STORE_FALLOC_KEEP_SIZE };
	const unsigned mode = modes[rnd(COUNTOF(modes))];
	struct handle *h = pick_handle();
	const size_t off = pick_size(), len = 1 + pick_size();

	if (h == NULL || off + len > FILE_MAX_BYTES)
		return;
	say("fallocate %u %zu at %zu of %llu", mode, len, off,
	    (unsigned long long)h->n->ino);
	fine(store_fallocate(h->f, mode, off, len), "fallocate");
	if ((mode & (STORE_FALLOC_PUNCH | STORE_FALLOC_ZERO)) != 0)
		ref_zero(h->n, off, len);
	if ((mode & STORE_FALLOC_KEEP_SIZE) == 0 && off + len > h->n->size)
		ref_resize(h->n, off + len);
	h->n->mtime_known = false;
	same_bytes(h->n, h->f, off > 5000 ? off - 5000 : 0, len + 10000);
	check_attr(h->n);
}

static void
op_copy(void)
{
	struct handle *a = pick_handle(), *b = pick_handle();
	size_t from = pick_size(), to = pick_size(), len = 1 + pick_size();
	uint64_t done, broken = 0;
	size_t want;

	if (a == NULL || b == NULL)
		return;
	if (one_in(2)) {
		/* Whole blocks, which can be shared. */
		from &= ~(size_t)4095;
		to &= ~(size_t)4095;
	}
	if (to + len > FILE_MAX_BYTES)
		return;
	want = from >= a->n->size        ? 0
	       : len < a->n->size - from ? len
					 : a->n->size - from;
	if (a->n == b->n && from < to + len && to < from + len) {
		/* Past the end nothing overlaps that is copied: not asked. */
		if (want != len)
			return;
		broken = BIT(ERR_INVAL);
	}
	say("copy %zu from %zu of %llu to %zu of %llu", len, from,
	    (unsigned long long)a->n->ino, to, (unsigned long long)b->n->ino);
	if (!answers(store_copy(a->f, from, b->f, to, len, &done), broken))
		return;
	if (done != want)
		differ("copied %llu, want %zu", (unsigned long long)done, want);
	if (want > 0) {
		memmove(scratch, ref_data(a->n) + from, want);
		ref_write(b->n, to, scratch, want);
	}
	same_bytes(b->n, b->f, to > 5000 ? to - 5000 : 0, len + 10000);
	check_attr(b->n);
}

static void
op_setattr(void)
{
	struct node *n = must(pick(below_bucket));
	struct store_attr in = { .mode = (uint32_t)rnd(0777),
		.uid = (uint32_t)rnd(5),
		.gid = (uint32_t)rnd(5),
		.size = 5,
		.mtime = { .tv_sec = (time_t)rnd(1u << 31) - 1000000,
		    .tv_nsec = (long)rnd(1000000000) } };
	const unsigned all =
	    STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID | STORE_SET_MTIME;
	const unsigned what = (unsigned)rnd(256) & all;
	struct store_attr a;

	say("setattr %x of %llu", what, (unsigned long long)n->ino);
	if (!S_ISREG(n->mode) && one_in(8)) {
		(void)answers(store_setattr(run.st, &who, n->ino,
				  STORE_SET_SIZE, &in, &a),
		    is_dir(n) ? BIT(ERR_ISDIR) : BIT(ERR_INVAL));
		return;
	}
	fine(store_setattr(run.st, &who, n->ino, what, &in, &a), "setattr");
	if ((what & STORE_SET_MODE) != 0)
		n->mode = (n->mode & S_IFMT) | in.mode;
	if ((what & STORE_SET_UID) != 0)
		n->uid = in.uid;
	if ((what & STORE_SET_GID) != 0)
		n->gid = in.gid;
	if ((what & STORE_SET_MTIME) != 0) {
		n->mtime_known = true;
		n->mtime = in.mtime;
	}
	same_attr(n, &a);
}

static void
op_xattr(void)
{
	struct node *n = must(pick(below_bucket));
	const unsigned i = (unsigned)rnd(XATTRS);
	const unsigned flags = (unsigned)rnd(3);
	struct xattr *x = &n->xattrs[i];
	size_t len;

	if (one_in(3)) {
		say("remove %s of %llu", xattr_name(i),
		    (unsigned long long)n->ino);
		if (answers(store_xattr_remove(run.st, n->ino, xattr_name(i)),
			x->set ? 0 : BIT(ERR_NODATA)))
			x->set = false;
		return;
	}
	len = fill(one_in(4) ? rnd(20000) : rnd(60));
	say("set %s of %llu, %zu bytes, flags %u", xattr_name(i),
	    (unsigned long long)n->ino, len, flags);
	if (!answers(store_xattr_set(
			 run.st, n->ino, xattr_name(i), scratch, len, flags),
		flags == STORE_XATTR_CREATE && x->set     ? BIT(ERR_EXIST)
		: flags == STORE_XATTR_REPLACE && !x->set ? BIT(ERR_NODATA)
							  : 0))
		return;
	free(x->value);
	x->value = must(malloc(len + 1));
	memcpy(x->value, scratch, len);
	x->len = len;
	x->set = true;
}

static void
op_sse(void)
{
	static const enum sse methods[] = { SSE_NONE, SSE_AES256, SSE_KMS };
	const enum sse m = methods[rnd(COUNTOF(methods))];
	struct node *n = pick(regular);
	struct store_sse got;
	enum err e;

	if (n == NULL)
		return;
	say("sse_set %d of %llu", (int)m, (unsigned long long)n->ino);
	e = store_sse_set(run.st, &who, n->ino, m,
	    m == SSE_KMS && one_in(2) ? run.key : NULL);
	/* Emptied again: either answer is in the contract. */
	if (n->size == 0 && n->had_data && e == ERR_PERM)
		return;
	if (answers(e, n->size > 0 ? BIT(ERR_PERM) : 0))
		n->sse = m;
	fine(store_sse_get(run.st, n->ino, &got), "sse_get");
	if (got.method != n->sse || (got.arn[0] != '\0') != (n->sse == SSE_KMS))
		differ("sse %d \"%s\", want %d", (int)got.method, got.arn,
		    (int)n->sse);
}

static void
op_default(void)
{
	struct node *dir = pick_dir();
	char text[STORE_DEFAULT_MAX], got[STORE_DEFAULT_MAX];

	switch (rnd(5)) {
	case 0:
		(void)snprintf(text, sizeof(text), "None");
		break;
	case 1:
		(void)snprintf(text, sizeof(text), "AES256");
		break;
	case 2:
		(void)snprintf(text, sizeof(text), "KMS");
		break;
	case 3:
		(void)snprintf(text, sizeof(text), "KMS:%s", run.key);
		break;
	default:
		say("default of %llu removed", (unsigned long long)dir->ino);
		(void)answers(store_default_set(run.st, &who, dir->ino, NULL),
		    dir->dflt[0] == '\0' ? BIT(ERR_NODATA) : 0);
		dir->dflt[0] = '\0';
		return;
	}
	say("default of %llu: %s", (unsigned long long)dir->ino, text);
	fine(store_default_set(run.st, &who, dir->ino, text), "default_set");
	(void)snprintf(dir->dflt, sizeof(dir->dflt), "%s", text);
	fine(store_default_effective(run.st, dir->ino, got), "effective");
	if (strcmp(got, ref_default(dir)) != 0)
		differ("default \"%s\", want \"%s\"", got, ref_default(dir));
}

static void
op_lookup(void)
{
	struct node *dir = pick_dir();
	const char *name = pick_name();
	const struct node *n = ref_get(dir, name);
	struct store_attr a;

	say("lookup \"%s\" in %llu", name, (unsigned long long)dir->ino);
	if (answers(store_lookup(run.st, dir->ino, name, strlen(name), &a),
		n == NULL ? BIT(ERR_NOENT) : 0) &&
	    n != NULL)
		same_attr(n, &a);
	if (one_in(4))
		check_dir(dir);
}

static void
op_sync(void)
{
	struct node *n = pick(named_other);

	say("sync");
	if (n != NULL && one_in(2))
		fine(store_fsync(run.st, n->ino), "fsync");
	else
		fine(store_sync(run.st), "sync");
}

static void
problem(void *arg, const struct store_problem *p)
{
	(void)arg;
	(void)printf("# fsck: %s inode %llu: %s\n", p->invariant,
	    (unsigned long long)p->ino, p->what);
}

static void
fsck(void)
{
	struct store_check_result r = { .problems = 0 };

	fine(store_check(run.st, false, problem, NULL, &r), "check");
	if (r.problems != 0)
		differ(
		    "fsck found %llu problems", (unsigned long long)r.problems);
}

static void
op_reopen(void)
{
	say("reopen");
	for (unsigned i = 0; i < HANDLES; i++)
		drop(&run.handles[i]);
	fine(store_close_dir(run.st), "close");
	fine(store_open_dir(&run.opts, &run.st), "open store");
	check_all();
	if (one_in(3))
		fsck();
}

static void
op_drop(void)
{
	say("release a handle");
	drop(&run.handles[rnd(HANDLES)]);
}

static const struct {
	void (*fn)(void);
	unsigned weight;
} ops[] = { { op_make, 16 }, { op_link, 5 }, { op_remove, 9 },
	{ op_rename, 12 }, { op_write, 22 }, { op_read, 8 }, { op_truncate, 8 },
	{ op_fallocate, 9 }, { op_copy, 8 }, { op_setattr, 6 }, { op_xattr, 7 },
	{ op_sse, 3 }, { op_default, 2 }, { op_lookup, 5 }, { op_sync, 3 },
	{ op_drop, 8 } };

static void
one_step(void)
{
	unsigned total = 0, at;

	if (one_in(150)) {
		op_reopen();
		return;
	}
	for (size_t i = 0; i < COUNTOF(ops); i++)
		total += ops[i].weight;
	at = (unsigned)rnd(total);
	for (size_t i = 0; i < COUNTOF(ops); i++) {
		if (at < ops[i].weight) {
			ops[i].fn();
			return;
		}
		at -= ops[i].weight;
	}
}

static struct node *
make_bucket(const char *name, const char *dflt)
{
	struct node *n;
	uint64_t ino;

	fine(store_bucket_create(run.st, &who, name, dflt, 0, 0, 0755),
	    "bucket");
	fine(store_bucket_find(run.st, name, &ino), "bucket");
	n = ref_node(&run.ref, ino, S_IFDIR | 0755);
	ref_add(run.ref.root, name, n);
	(void)snprintf(n->dflt, sizeof(n->dflt), "%s", dflt);
	return (n);
}

static void
start(uint64_t seed, const char *dir)
{
	struct store_init in = { .dir = run.dir,
		.seal_metadata = seed % 2 == 0 };
	struct kms_desc d;
	struct store_attr a;

	run = (struct run){ .seed = seed,
		.rnd = seed * 2654435761u + 1,
		.trace = getenv("MODEL_TRACE") != NULL };
	(void)snprintf(run.dir, sizeof(run.dir), "%s/s%llu", dir,
	    (unsigned long long)seed);
	run.opts = (struct store_opts){ .dir = run.dir,
		.commit_secs = 1,
		.dirty_max = one_in(2) ? 2u << 20 : 0,
		.map_cache = one_in(2) ? 64u << 10 : 0,
		.db_cache = seed % 4 == 0 ? 64u << 10 : 0,
		.inode_cache = one_in(2) ? 16 : 0 };
	say("start");
	fine(store_create_dir(&in), "create store");
	fine(store_open_dir(&run.opts, &run.st), "open store");
	fine(kms_key_create(store_kms(run.st), &who, "model", &d), "key");
	(void)snprintf(run.key, sizeof(run.key), "%s", d.arn);
	fine(store_getattr(run.st, STORE_ROOT, &a), "root");
	run.ref.root = ref_node(&run.ref, STORE_ROOT, a.mode);
	run.ref.root->uid = a.uid;
	run.ref.root->gid = a.gid;
	run.buckets[0] = make_bucket("first", "KMS");
	run.buckets[1] = make_bucket("second", "None");
}

static void
play(uint64_t seed, unsigned long steps, const char *dir)
{
	start(seed, dir);
	for (run.step = 0; run.step < steps; run.step++) {
		one_step();
		if (run.step % 250 == 249)
			check_all();
	}
	op_reopen();
	check_all();
	fsck();
	fine(store_close_dir(run.st), "close");
	ref_release(&run.ref);
	(void)printf(
	    "ok - seed %llu, %lu steps\n", (unsigned long long)seed, steps);
	(void)fflush(stdout);
}

int
main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	const unsigned long steps =
	    argc > 2 ? strtoul(argv[2], NULL, 10) : 1500;
	char dir[200], rm[256];
	uint64_t first = 1, last = 4;

	if (argc > 1)
		first = last = strtoull(argv[1], NULL, 10);
	(void)snprintf(
	    dir, sizeof(dir), "%s/model.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL) {
		(void)fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		return (1);
	}
	(void)printf("1..%llu\n", (unsigned long long)(last - first + 1));
	for (uint64_t seed = first; seed <= last; seed++)
		play(seed, steps, dir);
	(void)snprintf(rm, sizeof(rm), "rm -rf '%s'", dir);
	return (system(rm) == 0 ? 0 : 1);
}
