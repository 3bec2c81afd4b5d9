/* deed: see deed.h. */
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kms/api.h"
#include "kms/audit.h"
#include "kms/who.h"
#include "lib/base/clock.h"
#include "store/backup.h"
#include "store/store_internal.h"

#include "tests/fault/deed.h"

#define KEY "alias/k"
#define LINES 64
#define DAY 86400

static const struct kms_who who = { .user = "root", .agent = "fault" };

static struct kms *
kms(struct rig *r)
{
	return (store_kms(r->side.st));
}

/* Beside the store; static storage. */
static const char *
beside(struct rig *r, const char *suffix)
{
	static char path[320];

	(void)snprintf(path, sizeof(path), "%s%s", r->dir, suffix);
	return (path);
}

/* ---- Keys --------------------------------------------------------------- */

static enum err
key_made(struct rig *r)
{
	struct kms_desc d;

	TRY(kms_key_create(kms(r), &who, "k", &d));
	return (kms_alias_create(kms(r), &who, KEY, d.id));
}

static enum err
key_create(struct rig *r)
{
	static const struct kms_tag tag = { "tag", "value" };
	struct kms_desc d;

	return (kms_key_create_tagged(kms(r), &who, "new", &tag, 1, &d));
}

static enum err
key_rotate(struct rig *r)
{
	return (kms_key_rotate(kms(r), &who, KEY));
}

static enum err
key_disable(struct rig *r)
{
	return (kms_key_disable(kms(r), &who, KEY));
}

static enum err
key_disabled(struct rig *r)
{
	TRY(key_made(r));
	return (key_disable(r));
}

static enum err
key_enable(struct rig *r)
{
	return (kms_key_enable(kms(r), &who, KEY));
}

static enum err
key_delete(struct rig *r)
{
	return (kms_key_delete(kms(r), &who, KEY, 7, NULL));
}

static enum err
key_deleted(struct rig *r)
{
	struct timespec t = clock_wall();

	TRY(key_made(r));
	TRY(key_delete(r));
	/* For what is to come, it is due. */
	t.tv_sec += 8 * DAY;
	clock_freeze(&t);
	return (OK);
}

static enum err
key_pending(struct rig *r)
{
	TRY(key_made(r));
	return (key_delete(r));
}

static enum err
key_cancel(struct rig *r)
{
	return (kms_key_cancel_deletion(kms(r), &who, KEY));
}

static enum err
key_due(struct rig *r)
{
	struct kms_desc d;
	enum err e;

	TRY(kms_timer(kms(r)));
	/* What goes wrong with one key is told and tried again. */
	e = kms_key_describe(kms(r), &who, KEY, &d);
	return (e == OK          ? err_fail(ERR_NOMEM, "it is not deleted")
		: e == ERR_NOKEY ? OK
				 : e);
}

static enum err
key_period(struct rig *r)
{
	return (kms_key_rotation(kms(r), &who, KEY, 90));
}

static enum err
alias_create(struct rig *r)
{
	return (kms_alias_create(kms(r), &who, "alias/more", KEY));
}

static enum err
alias_delete(struct rig *r)
{
	return (kms_alias_delete(kms(r), &who, KEY));
}

static enum err
policy_put(struct rig *r)
{
	static const char text[] =
	    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
	    "\"Principal\":{\"AWS\":\"*\"},\"Action\":\"kms:*\","
	    "\"Resource\":\"*\"}]}";

	return (kms_key_policy_put(
	    kms(r), &who, KEY, text, sizeof(text) - 1, true));
}

static enum err
grant_create(struct rig *r)
{
	const struct kms_grant g = { .name = "g",
		.retiring = "",
		.grantee = "arn:aws:iam::000000000000:root",
		.operations = KMS_GRANT_DECRYPT };
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];

	return (kms_grant_create(kms(r), &who, KEY, &g, id, token));
}

/* A data key, and that one again. */
static enum err
use_as(struct rig *r, const struct kms_who *me)
{
	static const struct kms_pair ctx[] = { { "a", "b" }, { "c", "d" } };
	struct key *dek CLEANUP_KEY = key_new(), *same CLEANUP_KEY = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	size_t len;

	if (dek == NULL || same == NULL)
		return (ERR_NOMEM);
	TRY(kms_data_key(
	    kms(r), me, KEY, ctx, COUNTOF(ctx), dek, blob, &len, arn));
	TRY(kms_unwrap(kms(r), me, blob, len, ctx, COUNTOF(ctx), same));
	return (memcmp(dek->b, same->b, KEY_LEN) == 0
		    ? OK
		    : err_fail(ERR_INTERNAL, "another data key"));
}

/* Nothing is known of a key, a user or a policy yet. */
static enum err
key_cold(struct rig *r)
{
	TRY(key_made(r));
	TRY(rig_close(r));
	return (rig_open(r));
}

static enum err
key_use(struct rig *r)
{
	return (use_as(r, &who));
}

/* The key's policy lets everybody use it. */
static enum err
user_made(struct rig *r)
{
	struct kms_user u;

	TRY(key_made(r));
	TRY(policy_put(r));
	TRY(kms_user_create(kms(r), &who, "bob", false, &u, NULL));
	TRY(rig_close(r));
	return (rig_open(r));
}

static enum err
user_use(struct rig *r)
{
	static const struct kms_who bob = { .user = "bob", .agent = "fault" };

	return (use_as(r, &bob));
}

static enum err
user_create(struct rig *r)
{
	struct kms_user u;
	struct kms_secret s = { .secret = NULL };
	enum err e = kms_user_create(kms(r), &who, "ann", true, &u, &s);

	kms_secret_release(&s);
	return (e);
}

/* ---- The keystore ------------------------------------------------------- */

static enum err
window_set(struct rig *r)
{
	const struct kms_window w = { 7, 40, 20 };

	return (kms_window_set(kms(r), &who, &w));
}

static enum err
log_rotate(struct rig *r)
{
	return (audit_rotate(kms(r), &who));
}

static enum err
log_settings(struct rig *r)
{
	struct audit_settings s;

	audit_settings_get(kms(r), &s);
	s.keep_days = 30;
	return (audit_settings_set(kms(r), &who, &s));
}

static struct kms_root
other_root(struct rig *r)
{
	return (
	    (struct kms_root){ KMS_ROOT_FILE, beside(r, "-other.key"), NULL });
}

static enum err
root_add(struct rig *r)
{
	const struct kms_root root = other_root(r);

	return (kms_slot_add(kms(r), &who, &root));
}

static enum err
root_change(struct rig *r)
{
	const struct kms_root root = other_root(r);

	return (kms_slot_change(kms(r), &who, 0, &root));
}

static enum err
root_remove(struct rig *r)
{
	return (kms_slot_remove(kms(r), &who, 0));
}

/* ---- The store ---------------------------------------------------------- */

static enum err
default_rotated(struct rig *r)
{
	static const struct step steps[] = {
		{ .op = OP_MAKE, .a = "d/one" },
		{ .op = OP_WRITE, .a = "d/one", .y = 9000, .z = 1 },
	};

	rig_steps(r, steps, COUNTOF(steps));
	return (kms_key_rotate(kms(r), &who, NULL));
}

static enum err
rekey(struct rig *r)
{
	const struct store_rekey_opts o = { .who = &who };
	struct store_rekey_result res;

	TRY(store_rekey(r->side.st, &o, &res));
	return (res.bad == 0 && res.skipped == 0
		    ? OK
		    : err_fail(ERR_INTERNAL, "rekey: %llu bad, %llu skipped",
			  (unsigned long long)res.bad,
			  (unsigned long long)res.skipped));
}

/* Blocks that could not be read are told, and the rest is there. */
static uint64_t backup_lacks; /* the epoch of one that does; 0: none */

static enum err
backup(struct rig *r)
{
	static const struct step touch = {
		.op = OP_CHMOD, .a = "big", .x = 0644
	};
	const struct backup_opts o = { .rate = 0 };
	struct backup_result res;
	char lacks[32];
	uint64_t done;

	(void)snprintf(lacks, sizeof(lacks), "-place/%llu",
	    (unsigned long long)backup_lacks);
	if (backup_lacks != 0)
		rig_remove(beside(r, lacks));
	backup_lacks = 0;
	TRY(step_store(&r->side, &touch, &done));
	TRY(backup_make(r->side.st, beside(r, "-place"), &o, &res));
	return (res.bad == 0 ? OK : err_fail(ERR_IO, "bad blocks"));
}

static enum err
backup_first(struct rig *r)
{
	static const struct step steps[] = {
		{ .op = OP_WRITE, .a = "mid", .x = 8192, .y = 9000, .z = 70 },
		{ .op = OP_UNLINK, .a = "small" },
	};

	TRY(backup(r));
	rig_steps(r, steps, COUNTOF(steps));
	return (OK);
}

static enum err
backup_look(struct rig *r, FILE *out)
{
	const struct backup_opts o = { .rate = 0 };
	struct backup_result res;
	enum err e = backup_verify(beside(r, "-place"), &o, &res);

	if (e == ERR_NOENT)
		return (OK);
	TRY(e);
	backup_lacks = res.bad != 0 ? res.epoch : 0;
	(void)fprintf(out, "backup %s\n",
	    backup_lacks != 0  ? "lacks blocks"
	    : res.backups == 1 ? "good"
			       : "and one before");
	return (OK);
}

static enum err
restore(struct rig *r)
{
	const struct backup_opts o = { .rate = 0 };
	struct backup_result res;
	char place[320];

	(void)snprintf(place, sizeof(place), "%s", beside(r, "-place"));
	return (backup_restore(place, 0, beside(r, "-back"), &o, &res));
}

/* The store that was made of the backup is the one it was made of. */
static enum err
restore_look(struct rig *r, FILE *out)
{
	struct rig back = { .dir = "" };
	char *is CLEANUP_FREE = NULL, *want CLEANUP_FREE = tree_dump(r->tree);
	struct stat sb;
	enum err e;

	(void)snprintf(
	    back.dir, sizeof(back.dir), "%.200s", beside(r, "-back"));
	back.opts = (struct store_opts){ .dir = back.dir };
	/* Whoever looks at what is not whole finds no store. */
	e = rig_open(&back);
	if (e == ERR_NOTSTORE || e == ERR_NOENT)
		return (OK);
	if (e != OK && stat(back.dir, &sb) != 0)
		return (OK);
	TRY(e);
	e = store_dump(&back.side, &is);
	TRY(store_close_dir(back.side.st));
	TRY(e);
	(void)fprintf(
	    out, "restored %s\n", strcmp(is, want) == 0 ? "good" : is);
	return (OK);
}

/* ---- Repair ------------------------------------------------------------- */

/* A wrong count of links in a bucket, and a file of another without its name. */
static enum err
broken(struct rig *r)
{
	static const char sql[] =
	    "UPDATE inode SET nlink=7 WHERE ino IN (SELECT ino FROM dentry "
	    "WHERE name=CAST('mid' AS BLOB));"
	    "DELETE FROM dentry WHERE name=CAST('orphan' AS BLOB)";
	const struct store_new new = { .mode = S_IFREG | 0644 };
	struct store_attr a;
	uint64_t dir;
	char path[320];
	sqlite3 *c = NULL;
	int rc;

	TRY(store_bucket_create(r->side.st, &who, "other", "None", 0, 0, 0755));
	TRY(store_bucket_find(r->side.st, "other", &dir));
	TRY(store_make(r->side.st, &who, dir, "orphan", 6, &new, &a, NULL));
	TRY(rig_close(r));
	(void)snprintf(path, sizeof(path), "%s", beside(r, "/meta.db"));
	rc = sqlite3_open_v2(path, &c, SQLITE_OPEN_READWRITE, VFS_NAME);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(c, sql, NULL, NULL, NULL);
	(void)sqlite3_close(c);
	if (rc != SQLITE_OK)
		return (err_fail(ERR_INTERNAL, "%s", sqlite3_errstr(rc)));
	return (rig_open(r));
}

static void
left(void *arg, const struct store_problem *p)
{
	if (!p->repaired && *(char *)arg == 0)
		(void)snprintf(arg, 256, "%s %s", p->invariant, p->what);
}

static enum err
repair(struct rig *r)
{
	const struct store_opts o = { .dir = r->dir, .check = true };
	struct store_check_result c;
	struct store *st = NULL;
	char why[256] = "";
	enum err e, last;

	TRY(store_open_dir(&o, &st));
	e = store_check(st, true, left, why, &c);
	last = store_close_dir(st);
	TRY(e);
	TRY(last);
	return (c.problems == c.repaired
		    ? OK
		    : err_fail(ERR_INTERNAL, "not repaired: %s", why));
}

/* ---- The list ----------------------------------------------------------- */

const struct deed deeds[] = {
	{ "create a key", 0, key_made, key_create, NULL },
	{ "rotate a key", 0, key_made, key_rotate, NULL },
	{ "disable a key", 0, key_made, key_disable, NULL },
	{ "enable a key", 0, key_disabled, key_enable, NULL },
	{ "schedule a deletion", 0, key_made, key_delete, NULL },
	{ "cancel a deletion", 0, key_pending, key_cancel, NULL },
	{ "delete a key", 0, key_deleted, key_due, NULL },
	{ "set a period", 0, key_made, key_period, NULL },
	{ "create an alias", 0, key_made, alias_create, NULL },
	{ "delete an alias", 0, key_made, alias_delete, NULL },
	{ "put a policy", 0, key_made, policy_put, NULL },
	{ "grant", 0, key_made, grant_create, NULL },
	{ "use a key", 0, key_cold, key_use, NULL },
	{ "use a key by its policy", 0, user_made, user_use, NULL },
	{ "create a user", 0, NULL, user_create, NULL },
	{ "set the window", 0, NULL, window_set, NULL },
	{ "rotate the audit log", DEED_SYNCS, key_made, log_rotate, NULL },
	{ "set up the audit log", 0, NULL, log_settings, NULL },
	{ "add a root key", 0, NULL, root_add, NULL },
	{ "change the root key", 0, NULL, root_change, NULL },
	{ "remove a root key", 0, root_add, root_remove, NULL },
	{ "rekey", DEED_PARTS, default_rotated, rekey, NULL },
	{ "back up", DEED_PARTS, NULL, backup, backup_look },
	{ "back up again", DEED_PARTS, backup_first, backup, backup_look },
	{ "restore", DEED_CLOSED, backup, restore, restore_look },
	{ "repair", DEED_CLOSED | DEED_PARTS, broken, repair, NULL },
};
const unsigned ndeeds = COUNTOF(deeds);

void
deed_reset(struct rig *r)
{
	static const char *const made[] = { "-place", "-back", "-other.key" };

	for (unsigned i = 0; i < COUNTOF(made); i++)
		rig_remove(beside(r, made[i]));
	backup_lacks = 0;
	clock_freeze(NULL);
}

/* ---- What there is ------------------------------------------------------ */

struct lines {
	char *l[LINES];
	unsigned n;
};

static PRINTF(2, 3) void line(struct lines *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (t->n == LINES || vasprintf(&t->l[t->n++], fmt, ap) < 0)
		abort();
	va_end(ap);
}

static bool
see_key(void *arg, const struct kms_desc *d)
{
	line(arg, "key %s %s version %u period %u %s%s deletion %d",
	    d->description, kms_state_name(d->state), d->version,
	    d->rotate_days, d->is_default ? "default" : "",
	    d->is_service ? "service" : "", d->delete_at != 0);
	return (true);
}

static bool
see_alias(void *arg, const char *alias, const char *arn)
{
	(void)arn;
	line(arg, "%s", alias);
	return (true);
}

static void
see_slot(void *arg, unsigned n, enum kms_root_kind kind, const char *path,
    int64_t created)
{
	const char *slash = strrchr(path, '/');

	(void)created;
	line(arg, "root %u kind %d %s", n, (int)kind,
	    slash == NULL ? path : slash + 1);
}

static bool
see_user(void *arg, const struct kms_user *u)
{
	line(arg, "user %s%s", u->name, u->admin ? " admin" : "");
	return (true);
}

static bool
see_grant(void *arg, const struct kms_grant *g)
{
	line(arg, "grant %s to %s", g->name, g->grantee);
	return (true);
}

/* Of the key that deeds are about, when it has its name. */
static enum err
see_rest(struct kms *k, struct lines *t)
{
	struct kms_window w;
	struct audit_settings s;
	char *policy CLEANUP_FREE = NULL;
	bool more = false;
	enum err e;

	TRY(kms_window_get(k, &w));
	line(t, "window %u %u %u", w.min, w.max, w.days);
	audit_settings_get(k, &s);
	line(t, "audit log kept %llu days", (unsigned long long)s.keep_days);
	e = kms_key_policy_get(k, &who, KEY, &policy);
	if (e == ERR_NOKEY)
		return (OK);
	TRY(e);
	line(t, "policy %zu", strlen(policy));
	e = kms_grant_page(
	    k, &who, KEY, NULL, NULL, NULL, 10, see_grant, t, &more);
	/* Of a key that waits for its deletion they are not told. */
	return (e == ERR_KEYDELETION || e == ERR_KEYSTATE ? OK : e);
}

static void
see_problem(void *arg, const struct store_problem *p)
{
	line(arg, "fsck %s", p->invariant);
}

static int
by_text(const void *a, const void *b)
{
	return (strcmp(*(char *const *)a, *(char *const *)b));
}

static enum err
gather(struct rig *r, struct lines *t)
{
	struct store_check_result c;
	struct kms *const k = kms(r);

	TRY(kms_key_list(k, &who, see_key, t));
	TRY(kms_alias_list(k, &who, see_alias, t));
	TRY(kms_slot_list(k, see_slot, t));
	TRY(kms_user_list(k, &who, see_user, t));
	TRY(see_rest(k, t));
	return (store_check(r->side.st, false, see_problem, t, &c));
}

enum err
deed_state(struct rig *r, const struct deed *d, char **ret)
{
	struct lines t = { .n = 0 };
	size_t len;
	FILE *out = open_memstream(ret, &len);
	enum err e;

	if (out == NULL)
		abort();
	e = gather(r, &t);
	qsort(t.l, t.n, sizeof(t.l[0]), by_text);
	for (unsigned i = 0; i < t.n; i++) {
		(void)fprintf(out, "%s\n", t.l[i]);
		free(t.l[i]);
	}
	if (e == OK && d->look != NULL)
		e = d->look(r, out);
	(void)fclose(out);
	return (e);
}
