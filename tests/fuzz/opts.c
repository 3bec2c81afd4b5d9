/*
 * Mount options.
 *
 * Input, first byte even: two -o lists, each with a NUL; joined by a comma they
 * do what they do one after the other.  Odd: a command line, a NUL after each
 * word.
 */
#include "fs/mount.h"
#include "store/store_internal.h"

#include "tests/fuzz/fuzz.h"

#define CLEANUP_OPTS CLEANUP(fs_opts_release)
#define WORDS 32

static bool
same_str(const char *a, const char *b)
{
	return (a == NULL ? b == NULL : b != NULL && strcmp(a, b) == 0);
}

static void
same(const struct fs_opts *a, const struct fs_opts *b)
{
	struct fs_opts x = *a, y = *b;

	HOLDS(same_str(a->store, b->store) && same_str(a->user, b->user));
	HOLDS(same_str(a->tenant, b->tenant));
	HOLDS(same_str(a->uidmap, b->uidmap));
	HOLDS(same_str(a->sse_method, b->sse_method));
	HOLDS(same_str(a->sse_key, b->sse_key));
	x.tenant = x.uidmap = y.tenant = y.uidmap = NULL;
	x.store = x.user = x.sse_method = x.sse_key = NULL;
	y.store = y.user = y.sse_method = y.sse_key = NULL;
	HOLDS(memcmp(&x, &y, sizeof(x)) == 0);
}

static void
sound(const struct fs_opts *o)
{
	const size_t most = (size_t)1 << 40;

	HOLDS(o->commit_secs <= 3600 && o->threads <= 256 && o->threads != 1);
	HOLDS(o->umask <= 0777);
	HOLDS(o->uid != (uid_t)-1 && o->gid != (gid_t)-1);
	HOLDS(o->dirty_size <= most && o->map_cache <= most &&
	      o->db_cache <= most && o->inode_cache <= most);
	HOLDS(o->store == NULL || *o->store != '\0');
	HOLDS(o->user == NULL || *o->user != '\0');
}

static void
lists(struct feed *f)
{
	struct fs_opts apart CLEANUP_OPTS = { 0 };
	struct fs_opts joined CLEANUP_OPTS = { 0 };
	char *a CLEANUP_FREE = feed_str(f);
	char *b CLEANUP_FREE = feed_str(f);
	char *both CLEANUP_FREE = NULL;
	enum err e;

	/* Cleared whole, so that bytes between the fields are alike. */
	memset(&apart, 0, sizeof(apart));
	memset(&joined, 0, sizeof(joined));
	fs_opts_init(&apart);
	fs_opts_init(&joined);
	HOLDS(asprintf(&both, "%s,%s", a, b) >= 0);
	e = fs_opts_list(&apart, a);
	if (e == OK)
		e = fs_opts_list(&apart, b);
	HOLDS(e == OK || e == ERR_INVAL);
	/* A backslash at its end would take the comma away. */
	if (*a != '\0' && a[strlen(a) - 1] == '\\')
		return;
	HOLDS(fs_opts_list(&joined, both) == e);
	if (e != OK)
		return;
	sound(&apart);
	same(&apart, &joined);
}

static void
command(struct feed *f)
{
	struct fs_opts o CLEANUP_OPTS = { 0 };
	char *argv[WORDS + 1];
	int argc = 0;

	fs_opts_init(&o);
	for (; argc < WORDS && f->len > 0; argc++)
		argv[argc] = feed_str(f);
	argv[argc] = NULL;
	const enum err e = fs_opts_parse(&o, argc, argv);

	for (int i = 0; i < argc; i++)
		free(argv[i]);
	HOLDS(e == OK || e == ERR_INVAL);
	if (e != OK)
		return;
	sound(&o);
	HOLDS(o.source != NULL && o.mountpoint != NULL && o.store != NULL);
	HOLDS((o.sse != NULL) == (o.sse_method != NULL || o.sse_key != NULL));
	if (o.sse != NULL) {
		enum sse method;
		const char *key;

		HOLDS(sse_parse(o.sse, &method, &key) == OK);
		HOLDS(same_str(key, o.sse_key));
		HOLDS(strlen(o.sse) < STORE_DEFAULT_MAX);
	}
	/* Asked again, it says the same. */
	HOLDS(fs_opts_finish(&o) == OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };

	if (feed_int(&f, 1) % 2 == 0)
		lists(&f);
	else
		command(&f);
	return (0);
}
