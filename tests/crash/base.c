/*
 * base: prepared disks, each made once and then copied.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/clock.h"
#include "lib/base/sys.h"
#include "store/store_internal.h"

#include "tests/crash/alike.h"
#include "tests/crash/seeded.h"
#include "tests/crash/work.h"

#define BUCKET "bkt"

static char store_dir[256];
static struct base bases[CFG_ALL];

const char *
base_name(enum config cfg)
{
	static const char *const names[CFG_ALL] = { "KMS", "AES256, new key",
		"None, no key service", "KMS, sealed metadata",
		"KMS, large file", "init", "None, no arena" };

	return (names[cfg]);
}

void
base_start(const char *real)
{
	struct timespec t = { 1000000000, 0 };

	sim_start(real);
	(void)snprintf(store_dir, sizeof(store_dir), "%s/s", real);
	/* The engine asks the kernel for the full path of this one, and the
	 * keystore's shared counter lies there: it is no part of the disk. */
	if (mkdir(store_dir, 0700) != 0)
		abort();
	clock_freeze(&t);
	if (vfs_register() != OK)
		abort();
	kms_set_vfs(VFS_NAME);
}

struct store_opts
base_opts(void)
{
	return ((struct store_opts){ .dir = store_dir,
	    .noatime = true,
	    .commit_secs = 100000, /* commits come only when asked for */
	    .db_cache = 1u << 20,
	    .map_cache = 1u << 20 });
}

const char *
base_dir(void)
{
	return (store_dir);
}

static void
fine(enum err e, const char *what)
{
	if (e == OK)
		return;
	(void)printf("not ok - prepared disk: %s: %s (%s)\n", what, err_name(e),
	    err_detail(e));
	abort();
}

static void
step(struct session *s, const struct op *op)
{
	fine(work_do(s, op), op->text);
}

static const struct op *
op_named(const char *start)
{
	for (unsigned i = 0; i < work_nops; i++)
		if (strncmp(work_ops[i].text, start, strlen(start)) == 0)
			return (&work_ops[i]);
	abort();
}

/* As an op of the table, with other arguments. */
static void
like(struct session *s, const char *kind, const char *a, const char *b,
    uint64_t x, uint64_t y, uint64_t z)
{
	struct op op = *op_named(kind);

	op.a = a;
	op.b = b;
	op.x = x;
	op.y = y;
	op.z = z;
	step(s, &op);
}

static void
grow_tree(struct session *s, enum config cfg)
{
	like(s, "make", "D", NULL, S_IFDIR | 0755, 0, 0);
	like(s, "make", "E", NULL, S_IFDIR | 0755, 0, 0);
	like(s, "make", "a", cfg == CFG_FRESH ? "None" : NULL, S_IFREG | 0644,
	    700, 0);
	if (cfg == CFG_FRESH || cfg == CFG_BARE)
		return;
	like(s, "make", "b", NULL, S_IFREG | 0644, 12388, 0);
	like(s, "make", "e", NULL, S_IFREG | 0644, 0, 0);
	like(s, "make", "D/c", NULL, S_IFREG | 0644,
	    cfg == CFG_BIG ? 0 : 286770, 0);
	if (cfg == CFG_BIG)
		like(s, "write", "D/c", NULL, 0, 4096, 262144);
	like(s, "xattr", "b", NULL, 2, 40, 0);
}

static bool
no_kms(enum config cfg)
{
	return (cfg == CFG_NONE || cfg == CFG_BARE);
}

static void
start_model(struct session *s, enum config cfg)
{
	struct store_attr a;
	struct node *n;

	fine(store_getattr(s->st, STORE_ROOT, &a), "root");
	s->model = true;
	s->ref.root = ref_node(&s->ref, STORE_ROOT, a.mode);
	s->ref.root->uid = a.uid;
	s->ref.root->gid = a.gid;
	n = ref_node(&s->ref, s->bucket, S_IFDIR | 0755);
	ref_add(s->ref.root, BUCKET, n);
	(void)snprintf(n->dflt, sizeof(n->dflt), "%s",
	    cfg == CFG_FRESH ? "AES256"
	    : no_kms(cfg)    ? "None"
			     : "KMS");
	s->rbucket = n;
}

static void
note_keys(struct store *st)
{
	struct key *key CLEANUP_KEY = key_new();
	struct seal *seal = NULL;

	if (key == NULL)
		abort();
	fine(kms_metadata_key(st->kms, st->uuid, key), "metadata key");
	fine(seal_new(key, st->uuid, &seal), "metadata key");
	alike_keys(seal);
}

static void
make(enum config cfg, struct base *b)
{
	const struct kms_root root = { KMS_ROOT_FILE, SIM_ROOT "/s.key", NULL };
	const struct store_init in = { .dir = store_dir,
		.root = &root,
		.no_kms = no_kms(cfg),
		.seal_metadata = cfg == CFG_SEALED };
	const struct store_opts o = base_opts();
	struct session s = { .st = NULL };

	b->disk = disk_new();
	if (cfg == CFG_INIT)
		return;
	seeded_start(1 + (uint64_t)cfg);
	sim_mount(b->disk, NULL);
	fine(store_create_dir(&in), "create");
	fine(store_open_dir(&o, &s.st), "open");
	fine(store_bucket_create(s.st, &crash_who, BUCKET,
		 cfg == CFG_FRESH ? "AES256" : NULL, 0, 0, 0755),
	    "bucket");
	fine(store_bucket_find(s.st, BUCKET, &s.bucket), "bucket");
	start_model(&s, cfg);
	if (cfg != CFG_FRESH && cfg != CFG_BARE) {
		/* After this the tree's blocks lie where the next ones go, so
		 * that a slot that is freed too early is used soon. */
		like(&s, "make", "t", NULL, S_IFREG | 0644, 20000, 0);
		like(&s, "remove", "t", NULL, 0, 0, 0);
		fine(store_close_dir(s.st), "close");
		fine(store_open_dir(&o, &s.st), "open");
	}
	grow_tree(&s, cfg);
	tree_of_ref(&s.ref, s.st, &b->tree);
	if (cfg == CFG_SEALED)
		note_keys(s.st);
	fine(store_close_dir(s.st), "close");
	sim_unmount();
	b->ref = s.ref;
	b->bucket = s.bucket;
}

const struct base *
base_get(enum config cfg)
{
	if (bases[cfg].disk == NULL)
		make(cfg, &bases[cfg]);
	return (&bases[cfg]);
}

/* ---- The model, copied -------------------------------------------------------------- */

static struct node *
by_ino(const struct ref *r, const struct node *n)
{
	struct node *c = r->all;

	while (n != NULL && c != NULL && c->ino != n->ino)
		c = c->all;
	return (n != NULL ? c : NULL);
}

static void
node_copy(const struct node *n, struct node *c)
{
	struct node *const all = c->all;

	*c = *n;
	c->all = all;
	c->entries = NULL;
	if (n->data != NULL) {
		c->data = NULL;
		memcpy(ref_data(c), n->data, n->size);
	}
	for (unsigned i = 0; i < XATTRS; i++)
		if (n->xattrs[i].value != NULL) {
			c->xattrs[i].value = must(malloc(n->xattrs[i].len + 1));
			memcpy(c->xattrs[i].value, n->xattrs[i].value,
			    n->xattrs[i].len);
		}
}

void
ref_clone(const struct ref *from, struct ref *to)
{
	for (const struct node *n = from->all; n != NULL; n = n->all)
		node_copy(n, ref_node(to, n->ino, n->mode));
	for (struct node *c = to->all; c != NULL; c = c->all) {
		c->parent = by_ino(to, c->parent);
		c->bucket = by_ino(to, c->bucket);
	}
	for (const struct node *n = from->all; n != NULL; n = n->all)
		for (const struct entry *e = n->entries; e != NULL;
		     e = e->next) {
			struct node *dir = by_ino(to, n);
			struct entry *copy = must(malloc(sizeof(*copy)));

			*copy = *e;
			copy->node = by_ino(to, e->node);
			copy->next = dir->entries;
			dir->entries = copy;
		}
	to->root = by_ino(to, from->root);
}
