/* What the tools can ask of the owner of a store. */
#include <string.h>

#include "store/control.h"

#define NAMES_MAX (16u << 20) /* bytes of all bucket names */

enum err
control_row(struct buf *out, const char *a, const char *b)
{
	TRY(buf_put_str(out, "row"));
	TRY(control_field(out, a, false));
	if (b != NULL)
		TRY(control_field(out, b, false));
	return (buf_put_str(out, "\n"));
}

static enum err
stats(const struct control_on *on, struct buf *out)
{
	struct store_counters c;

	store_counters(on->st, &c);
	const struct {
		const char *name;
		uint64_t value;
	} all[] = {
		{ "epochs", c.epochs },
		{ "fsyncs", c.fsyncs },
		{ "reads", c.reads },
		{ "writes", c.writes },
		{ "read_bytes", c.read_bytes },
		{ "write_bytes", c.write_bytes },
		{ "kms_calls", c.kms_calls },
		{ "map_hits", c.map_hits },
		{ "map_misses", c.map_misses },
		{ "dirty_bytes", c.dirty_bytes },
	};

	for (size_t i = 0; i < COUNTOF(all); i++)
		TRY(buf_printf(out, "row %s %llu\n", all[i].name,
		    (unsigned long long)all[i].value));
	if (on->face->stats != NULL)
		TRY(on->face->stats(on->face->arg, out));
	return (OK);
}

/* Names with a NUL after each; the store must not be called from here. */
static bool
gather(void *arg, const struct store_dirent *e)
{
	return (buf_put(arg, e->name, e->len + 1) == OK);
}

/* A bucket may go between the two looks. */
static enum err
bucket_ls(const struct control_on *on, struct buf *out)
{
	char text[STORE_DEFAULT_MAX + 1];
	struct buf names CLEANUP_BUF;
	size_t len = 0;

	buf_init(&names, NAMES_MAX);
	TRY(store_readdir(on->st, STORE_ROOT, NULL, 0, false, SIZE_MAX, false,
	    gather, &names));
	for (size_t at = 0; at < names.len; at += len + 1) {
		const char *name = (const char *)names.p + at;
		uint64_t ino = 0;
		enum err e = store_bucket_find(on->st, name, &ino);

		len = strlen(name);
		if (e == OK)
			e = store_default_effective(on->st, ino, text);
		if (e == ERR_NOENT || e == ERR_STALE)
			continue;
		TRY(e);
		TRY(control_row(out, name, text));
	}
	return (OK);
}

static enum err
bucket_create(const struct control_on *on, const struct control_req *r)
{
	TRY(store_bucket_create(on->st, on->who, r->name,
	    r->has_text ? r->text : NULL, on->uid, on->gid,
	    CONTROL_BUCKET_MODE));
	if (on->face->made != NULL)
		on->face->made(on->face->arg, r->name);
	return (store_sync(on->st));
}

static enum err
bucket_rm(const struct control_on *on, const struct control_req *r)
{
	const struct control_face *face = on->face;
	const size_t len = strlen(r->name);
	uint64_t ino = 0;

	if (face->may_remove != NULL &&
	    store_bucket_find(on->st, r->name, &ino) == OK)
		TRY(face->may_remove(face->arg, ino));
	err_clear();
	TRY(store_rmdir(on->st, STORE_ROOT, r->name, len, &ino));
	if (face->removed != NULL)
		face->removed(face->arg, r->name, ino);
	else
		store_reap(on->st, ino);
	return (store_sync(on->st));
}

static enum err
encryption_get(
    const struct control_on *on, const struct control_req *r, struct buf *out)
{
	char text[STORE_DEFAULT_MAX + 1];
	uint64_t ino = 0;

	TRY(store_bucket_find(on->st, r->name, &ino));
	TRY(store_default_effective(on->st, ino, text));
	return (control_row(out, text, NULL));
}

static enum err
encryption_set(const struct control_on *on, const struct control_req *r)
{
	uint64_t ino = 0;

	TRY(store_bucket_find(on->st, r->name, &ino));
	TRY(store_default_set(on->st, on->who, ino, r->text));
	if (on->face->changed != NULL)
		on->face->changed(on->face->arg, ino);
	return (store_sync(on->st));
}

/* NULL is a store without keys. */
static enum err
keys_of(const struct control_on *on, struct kms **ret)
{
	*ret = store_kms(on->st);
	return (*ret != NULL
		    ? OK
		    : err_fail(ERR_NOTSUP, "the store has no key service"));
}

/* Who asks may be anybody: the socket is for who has the store. */
static struct kms_who
asker(const struct control_on *on, const struct control_req *r)
{
	struct kms_who who = *on->who;

	if (r->has_who) {
		who.tenant = r->tenant;
		who.user = r->user;
	}
	return (who);
}

static enum err
key_usage(
    const struct control_on *on, const struct control_req *r, struct buf *out)
{
	const struct kms_who who = asker(on, r);
	struct kms_uses u = { 0 };
	struct kms *k;

	TRY(keys_of(on, &k));
	TRY(kms_key_uses(k, &who, r->name, &u));
	return (buf_printf(out, "row %llu %llu\n",
	    (unsigned long long)u.objects, (unsigned long long)u.defaults));
}

/* A server that does not own the store has been through its own gate. */
static enum err
key_count(
    const struct control_on *on, const struct control_req *r, struct buf *out)
{
	struct kms_uses u = { 0 };
	struct kms *k;

	TRY(keys_of(on, &k));
	TRY(kms_count_uses(k, r->name, &u));
	return (buf_printf(out, "row %llu %llu\n",
	    (unsigned long long)u.objects, (unsigned long long)u.defaults));
}

static enum err
key_delete(
    const struct control_on *on, const struct control_req *r, struct buf *out)
{
	const struct kms_who who = asker(on, r);
	struct kms_deletion d = { .at = 0 };
	struct kms *k;

	TRY(keys_of(on, &k));
	TRY(kms_key_delete(k, &who, r->name,
	    r->rate > UINT32_MAX ? UINT32_MAX : (unsigned)r->rate, &d));
	return (buf_printf(out, "row %lld\n", (long long)d.at));
}

enum err
control_do(
    const struct control_on *on, const struct control_req *req, struct buf *out)
{
	switch (req->op) {
	case CONTROL_SYNC:
		return (store_sync(on->st));
	case CONTROL_STATS:
		return (stats(on, out));
	case CONTROL_BUCKET_LS:
		return (bucket_ls(on, out));
	case CONTROL_BUCKET_CREATE:
		return (bucket_create(on, req));
	case CONTROL_BUCKET_RM:
		return (bucket_rm(on, req));
	case CONTROL_ENCRYPTION_GET:
		return (encryption_get(on, req, out));
	case CONTROL_ENCRYPTION_SET:
		return (encryption_set(on, req));
	case CONTROL_KEY_USAGE:
		return (key_usage(on, req, out));
	case CONTROL_KEY_COUNT:
		return (key_count(on, req, out));
	case CONTROL_KEY_DELETE:
		return (key_delete(on, req, out));
	case CONTROL_YIELD:
		return (on->face->yield != NULL
			    ? on->face->yield(on->face->arg)
			    : err_fail(ERR_BUSY, "the store is mounted"));
	case CONTROL_SCRUB:
	case CONTROL_BACKUP:
	case CONTROL_REKEY:
		break;
	}
	return (ERR_INTERNAL);
}
