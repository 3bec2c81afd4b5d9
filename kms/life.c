/*
 * The end of a key: scheduled, cancelled, carried out.
 *
 * A key is deleted for good when its time has come and nothing uses it.  Its
 * rows go in one transaction, zeros take their place (PRAGMA secure_delete), and
 * the WAL, which still held them, is emptied.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include "kms/far.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"

#define DAY_S (INT64_C(24) * 3600)
#define WINDOW_MIN 7
#define WINDOW_MAX 30

/* ---- Uses --------------------------------------------------------------- */

void
kms_set_uses(struct kms *k, kms_uses_fn *fn, void *arg)
{
	RWLOCK_WRITE_SCOPE(&k->tab_lock);

	k->uses = fn;
	k->uses_arg = arg;
}

static enum err
uses(struct kms *k, const char *arn, bool wait, struct kms_uses *ret)
{
	kms_uses_fn *fn;
	struct kms_desc d;
	void *arg;

	rwlock_read(&k->tab_lock);
	fn = k->uses;
	arg = k->uses_arg;
	rwlock_drop(&k->tab_lock);
	if (fn == NULL)
		return err_fail(ERR_NOTSUP,
		    "only who has the store open knows what uses a key");
	TRY(keys_describe(k, arn, &d));
	return fn(arg, &d, wait, ret);
}

static enum err
unused(struct kms *k, const char *arn, bool wait)
{
	struct kms_uses u = { 0 };

	TRY(uses(k, arn, wait, &u));
	if (u.objects == 0 && u.defaults == 0)
		return OK;
	return err_fail(ERR_KEYINUSE,
	    "%s is in use by %" PRIu64 " objects and %" PRIu64 " defaults", arn,
	    u.objects, u.defaults);
}

static enum err
op_uses(struct kms *k, struct call *c)
{

	TRY(gate_key(k, c, c->keyname, "kms:DescribeKey", &c->key));
	/* Who asks next wants to see the calls as well. */
	TRY(kms_counters(k));
	return uses(k, c->key.arn, true, c->arg);
}

enum err
kms_key_uses(struct kms *k, const struct kms_who *who, const char *keyname,
    struct kms_uses *ret)
{
	struct call c = { .who = who,
		.event = "GetKeyUsage",
		.read_only = true,
		.keyname = keyname == NULL ? "" : keyname,
		.arg = ret };

	return gate_run(k, &c, op_uses);
}

enum err
kms_count_uses(struct kms *k, const char *arn, struct kms_uses *ret)
{

	TRY(kms_fresh(k));
	return uses(k, arn, true, ret);
}

/* ---- The waiting time --------------------------------------------------- */

static enum err
window_load(struct kms *k, const char *name, unsigned *ret)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t v = 0;
	bool row = false;

	TRY(kdb_query(
	    &k->db, &st, "SELECT v FROM meta WHERE k = ?", "t", name));
	TRY(kdb_step(&k->db, st, &row));
	if (!row)
		return OK;
	TRY(kdb_col_int(st, 0, 1, KMS_WINDOW_LIMIT, &v));
	*ret = (unsigned)v;
	return OK;
}

enum err
kms_window_get(struct kms *k, struct kms_window *ret)
{
	LOCK_SCOPE(&k->conn);

	*ret = (struct kms_window){ WINDOW_MIN, WINDOW_MAX, WINDOW_MAX };
	TRY(window_load(k, "window_min", &ret->min));
	TRY(window_load(k, "window_max", &ret->max));
	return window_load(k, "window", &ret->days);
}

static enum err
window_tx(struct kms *k, void *arg)
{
	const struct kms_window *w = arg;

	return kdb_run(&k->db,
	    "INSERT OR REPLACE INTO meta(k, v) VALUES('window_min', ?), "
	    "('window_max', ?), ('window', ?)",
	    "iii", (int64_t)w->min, (int64_t)w->max, (int64_t)w->days);
}

static enum err
op_window(struct kms *k, struct call *c)
{
	const struct kms_window *w = c->arg;

	TRY(gate_policy(k, c, "kms:UpdateDeletionWindow", "*"));
	if (w->min < 1 || w->min > w->days || w->days > w->max ||
	    w->max > KMS_WINDOW_LIMIT)
		return err_fail(ERR_INVAL,
		    "the least, the usual and the longest waiting time are "
		    "1 to %d days, in that order",
		    KMS_WINDOW_LIMIT);
	return kms_change(k, window_tx, c->arg, false);
}

enum err
kms_window_set(
    struct kms *k, const struct kms_who *who, const struct kms_window *w)
{
	struct kms_window copy = *w;
	struct call c = {
		.who = who, .event = "UpdateDeletionWindow", .arg = &copy
	};

	return gate_run(k, &c, op_window);
}

static enum err
window_check(const struct kms_window *w, unsigned days)
{

	if (days >= w->min && days <= w->max)
		return OK;
	return err_fail(ERR_INVAL,
	    "a key waits %u to %u days for its deletion in this store", w->min,
	    w->max);
}

/* ---- Scheduling --------------------------------------------------------- */

struct schedule {
	unsigned days; /* 0: as the store has it */
	char text[16]; /* the same for policies */
	const struct keyref *key;
	int64_t at;
};

static enum err
schedule_tx(struct kms *k, void *arg)
{
	const struct schedule *s = arg;

	TRY(kdb_run(&k->db,
	    "UPDATE keys SET state = ?, delete_at = ? "
	    "WHERE uuid = ? AND state = ?",
	    "iibi", (int64_t)KMS_PENDING_DELETION, s->at,
	    (const void *)s->key->uuid, (size_t)UUID_LEN,
	    (int64_t)s->key->state));
	return keys_changed(k, s->key);
}

static enum err
op_delete(struct kms *k, struct call *c)
{
	struct schedule *s = c->arg;
	struct kms_window w;

	TRY(kms_window_get(k, &w));
	if (s->days == 0)
		s->days = w.days;
	(void)snprintf(s->text, sizeof(s->text), "%u", s->days);
	TRY(gate_key(k, c, c->keyname, "kms:ScheduleKeyDeletion", &c->key));
	TRY(state_managed(&c->key));
	if (c->key.kind == KEY_DEFAULT)
		return err_fail(
		    ERR_PERM, "a tenant's default key cannot be deleted");
	TRY(state_allows(&c->key, KEY_OP_DELETE));
	TRY(window_check(&w, s->days));
	TRY(unused(k, c->key.arn, true));
	s->key = &c->key;
	s->at = clock_wall().tv_sec + s->days * DAY_S;
	return kms_change(k, schedule_tx, s, true);
}

enum err
kms_key_delete(struct kms *k, const struct kms_who *who, const char *keyname,
    unsigned days, struct kms_deletion *ret)
{
	struct schedule s = { .days = days };
	const char *text = s.text;
	const struct policy_fact fact =
	    POLICY_FACT("kms:ScheduleKeyDeletionPendingWindowInDays", text);
	struct params params;
	struct call c = { .who = who,
		.event = "ScheduleKeyDeletion",
		.keyname = keyname == NULL ? "" : keyname,
		.params = days == 0 ? NULL : &params,
		.facts = &fact,
		.nfacts = 1,
		.arg = &s };

	params_begin(&params);
	params_number(&params, "pendingWindowInDays", days);

	TRY(gate_run(k, &c, op_delete));
	if (ret != NULL)
		*ret = (struct kms_deletion){ .at = s.at, .days = s.days };
	return OK;
}

/* Without material, which may go by its own time meanwhile, it waits for it
 * again. */
static enum err
cancel_tx(struct kms *k, void *arg)
{
	const struct keyref *key = arg;

	TRY(kdb_run(&k->db,
	    "UPDATE keys SET state = CASE WHEN EXISTS(SELECT 1 FROM versions "
	    "WHERE key = keys.uuid) THEN ? ELSE ? END, delete_at = 0 "
	    "WHERE uuid = ? AND state = ?",
	    "iibi", (int64_t)KMS_DISABLED, (int64_t)KMS_PENDING_IMPORT,
	    (const void *)key->uuid, (size_t)UUID_LEN, (int64_t)key->state));
	return keys_changed(k, key);
}

static enum err
op_cancel(struct kms *k, struct call *c)
{

	TRY(gate_key(k, c, c->keyname, "kms:CancelKeyDeletion", &c->key));
	TRY(state_allows(&c->key, KEY_OP_CANCEL));
	return kms_change(k, cancel_tx, &c->key, false);
}

enum err
kms_key_cancel_deletion(
    struct kms *k, const struct kms_who *who, const char *keyname)
{
	struct call c = { .who = who,
		.event = "CancelKeyDeletion",
		.keyname = keyname == NULL ? "" : keyname };

	return gate_run(k, &c, op_cancel);
}

/* ---- Carrying it out ---------------------------------------------------- */

static enum err
delete_tx(struct kms *k, void *arg)
{
	static const char *const rest[] = {
		"DELETE FROM versions WHERE key = ?",
		"DELETE FROM aliases WHERE key = ?",
		"DELETE FROM tags WHERE key = ?",
		"DELETE FROM grants WHERE key = ?",
	};
	const struct due *d = arg;

	/* It may have been cancelled, or put off, since the table was read. */
	TRY(kdb_run(&k->db,
	    "DELETE FROM keys WHERE uuid = ? AND state = ? AND delete_at <= ?",
	    "bii", (const void *)d->uuid, (size_t)UUID_LEN,
	    (int64_t)KMS_PENDING_DELETION, d->now));
	if (sqlite3_changes(k->db.h) == 0)
		return ERR_EXIST;
	for (size_t i = 0; i < COUNTOF(rest); i++)
		TRY(kdb_run(&k->db, rest[i], "b", (const void *)d->uuid,
		    (size_t)UUID_LEN));
	return OK;
}

/* The WAL holds what the pages were.  ERR_BUSY: another process reads it. */
static enum err
empty_wal(struct kms *k)
{
	LOCK_SCOPE(&k->conn);
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t busy = 1;
	bool row = false;

	TRY(kdb_query(&k->db, &st, "PRAGMA wal_checkpoint(TRUNCATE)", ""));
	TRY(kdb_step(&k->db, st, &row));
	if (row)
		TRY(kdb_col_int(st, 0, 0, 1, &busy));
	return busy == 0 ? OK : ERR_BUSY;
}

void
keys_erase(struct kms *k)
{
	const enum err e = empty_wal(k);

	if (e != OK)
		log_warn("%s: the WAL could not be emptied (%s); sealed "
			 "material that was deleted is in it until the "
			 "keystore is closed",
		    k->path, err_detail(e));
}

static void
tell(struct kms *k, const struct due *d, enum err e)
{
	struct tkey *t;

	log_warn("key %s is due to be deleted, and is not: %s", d->arn,
	    err_detail(e));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	t = table_by_id(k->tab, d->uuid);
	if (t != NULL)
		atomic_store(&t->told, true);
}

enum err
keys_delete_due(struct kms *k, struct due *d)
{
	const struct kms_who who = {
		.tenant = d->tenant, .user = "ssefs", .agent = "timer"
	};
	struct far_key *far CLEANUP_FREE = NULL;
	size_t nfar = 0;
	enum err e = unused(k, d->arn, false);

	if (e == ERR_NOKEY) /* another process was faster */
		return kms_fresh(k);
	if (e == ERR_BUSY) /* not known now */
		return OK;
	/* Those of its versions that are elsewhere: afterwards nobody knows. */
	if (e == OK)
		e = far_keys(k, d->uuid, &far, &nfar);
	if (e != OK && d->told)
		return OK;
	if (e != OK)
		tell(k, d, e);
	/* Before it is done: what cannot be undone is never unrecorded. */
	const enum err logged =
	    keys_record(k, &who, "DeleteKey", d->tenant, d->uuid, e);
	if (e != OK || logged != OK)
		return logged;
	e = kms_change(k, delete_tx, d, false);
	if (e != OK) {
		/* It was not done; ERR_EXIST: it was cancelled, or another
		 * process was faster. */
		const enum err told = keys_record(k, &who, "DeleteKey",
		    d->tenant, d->uuid, e == ERR_EXIST ? ERR_KEYSTATE : e);

		if (e == ERR_EXIST)
			e = kms_fresh(k);
		return e == OK ? told : e;
	}
	keys_erase(k);
	for (size_t i = 0; i < nfar; i++)
		far_drop(k, &far[i]);
	log_info("key %s was deleted", d->arn);
	return OK;
}
