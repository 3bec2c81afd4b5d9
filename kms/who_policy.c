/*
 * Policies of a tenant, and whom they are attached to.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

#include "kms/authz.h"
#include "kms/who_internal.h"

struct policy_arg {
	const char *tenant, *name;
	const char *text; /* put; NUL-terminated */
	size_t len;
	struct buf *ret; /* get */
	bool to_role;    /* attach, detach */
	const char *principal;
	struct keyref target; /* the same, for the audit log */
};

/* ---- Documents ---------------------------------------------------------- */

static enum err
put_tx(struct kms *k, void *arg)
{
	const struct policy_arg *a = arg;
	const int64_t now = clock_wall().tv_sec;
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t n = 0;

	TRY(kdb_run(&k->db,
	    "INSERT INTO policies(tenant, name, text, created, updated) "
	    "VALUES(?1,?2,?3,?4,?4) ON CONFLICT(tenant, name) DO UPDATE SET "
	    "text = ?3, updated = ?4",
	    "ttti", a->tenant, a->name, a->text, now));
	TRY(kdb_query(&k->db, &st,
	    "SELECT count(*) FROM policies WHERE tenant = ?", "t", a->tenant));
	TRY(who_count(k, st, &n));
	if (n > WHO_POLICIES_MAX)
		return err_fail(ERR_LIMIT, "a tenant has %d policies at most",
		    WHO_POLICIES_MAX);
	return OK;
}

static enum err
op_put(struct kms *k, struct call *c)
{
	struct policy_arg *a = c->arg;
	struct policy *p = NULL;

	a->tenant = c->tenant;
	who_resource(c, "policy", a->name);
	TRY(authz_identities(c));
	TRY(who_name_check("policy", a->name));
	if (strlen(a->text) != a->len)
		return err_fail(ERR_PARSE, "a policy has no NUL bytes");
	TRY(policy_parse(a->text, a->len, POLICY_IDENTITY, &p, NULL));
	policy_free(p);
	return who_change(k, c, put_tx, a);
}

enum err
kms_policy_put(struct kms *k, const struct kms_who *who, const char *name,
    const char *text, size_t len)
{
	char *copy CLEANUP_FREE = strndup(text, len);
	struct policy_arg a = { .name = name, .text = copy, .len = len };
	struct params params;
	struct call c = {
		.who = who, .event = "PutPolicy", .params = &params, .arg = &a
	};

	who_params(&params, "policyName", name, "policyDocument", copy);
	return copy == NULL ? ERR_NOMEM : gate_run(k, &c, op_put);
}

/* The document as it is in the keystore.  With k->conn held. */
static enum err
text_of(struct kms *k, const char *tenant, const char *name, struct buf *ret)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	char *text CLEANUP_FREE = malloc(POLICY_TEXT_MAX + 1);
	bool row = false;

	if (text == NULL)
		return ERR_NOMEM;
	TRY(kdb_query(&k->db, &st,
	    "SELECT text FROM policies WHERE tenant = ? AND name = ?", "tt",
	    tenant, name));
	TRY(kdb_step(&k->db, st, &row));
	if (!row)
		return err_fail(
		    ERR_NOENT, "there is no policy \"%.64s\"", name);
	TRY(kdb_col_text(st, 0, text, POLICY_TEXT_MAX + 1));
	return buf_put(ret, text, strlen(text));
}

static enum err
op_get(struct kms *k, struct call *c)
{
	const struct policy_arg *a = c->arg;

	who_resource(c, "policy", a->name);
	TRY(authz_identities(c));
	LOCK_SCOPE(&k->conn);
	return text_of(k, c->tenant, a->name, a->ret);
}

enum err
kms_policy_get(
    struct kms *k, const struct kms_who *who, const char *name, struct buf *ret)
{
	struct policy_arg a = { .name = name, .ret = ret };
	struct params params;
	struct call c = { .who = who,
		.event = "GetPolicy",
		.params = &params,
		.read_only = true,
		.arg = &a };

	who_params(&params, "policyName", name, NULL, NULL);
	return gate_run(k, &c, op_get);
}

static enum err
attached_count(
    struct kms *k, const char *tenant, const char *name, int64_t *ret)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;

	TRY(kdb_query(&k->db, &st,
	    "SELECT count(*) FROM attachments WHERE tenant = ? AND policy = ?",
	    "tt", tenant, name));
	return who_count(k, st, ret);
}

static enum err
remove_tx(struct kms *k, void *arg)
{
	const struct policy_arg *a = arg;
	int64_t n = 0;

	TRY(attached_count(k, a->tenant, a->name, &n));
	if (n != 0)
		return err_fail(ERR_BUSY,
		    "the policy \"%.64s\" is attached; detach it first",
		    a->name);
	TRY(kdb_run(&k->db,
	    "DELETE FROM policies WHERE tenant = ? AND name = ?", "tt",
	    a->tenant, a->name));
	if (sqlite3_changes(k->db.h) == 0)
		return err_fail(
		    ERR_NOENT, "there is no policy \"%.64s\"", a->name);
	return OK;
}

static enum err
op_remove(struct kms *k, struct call *c)
{
	struct policy_arg *a = c->arg;

	a->tenant = c->tenant;
	who_resource(c, "policy", a->name);
	return who_change(k, c, remove_tx, a);
}

enum err
kms_policy_remove(struct kms *k, const struct kms_who *who, const char *name)
{
	struct policy_arg a = { .name = name };
	struct params params;
	struct call c = { .who = who,
		.event = "DeletePolicy",
		.params = &params,
		.arg = &a };

	who_params(&params, "policyName", name, NULL, NULL);
	return gate_run(k, &c, op_remove);
}

/* ---- Attachments -------------------------------------------------------- */

static enum err
attach_tx(struct kms *k, void *arg)
{
	const struct policy_arg *a = arg;
	sqlite3_stmt *there CLEANUP_STMT = NULL;
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	struct kms_user u;
	bool row = false;
	int64_t n = 0;

	TRY(kdb_query(&k->db, &there,
	    "SELECT 1 FROM policies WHERE tenant = ? AND name = ?", "tt",
	    a->tenant, a->name));
	TRY(kdb_step(&k->db, there, &row));
	if (!row)
		return err_fail(
		    ERR_NOENT, "there is no policy \"%.64s\"", a->name);
	if (!a->to_role)
		TRY(who_user_row(k, a->tenant, a->principal, &u));
	TRY(kdb_run(&k->db,
	    "INSERT OR IGNORE INTO attachments(tenant, to_role, principal, "
	    "policy) VALUES(?,?,?,?)",
	    "titt", a->tenant, (int64_t)a->to_role, a->principal, a->name));
	TRY(kdb_query(&k->db, &st,
	    "SELECT count(*) FROM attachments "
	    "WHERE tenant = ? AND to_role = ? AND principal = ?",
	    "tit", a->tenant, (int64_t)a->to_role, a->principal));
	TRY(who_count(k, st, &n));
	if (n > WHO_ATTACHED_MAX)
		return err_fail(ERR_LIMIT,
		    "a user or a role has %d policies at most",
		    WHO_ATTACHED_MAX);
	return OK;
}

static enum err
detach_tx(struct kms *k, void *arg)
{
	const struct policy_arg *a = arg;

	TRY(kdb_run(&k->db,
	    "DELETE FROM attachments WHERE tenant = ? AND to_role = ? "
	    "AND principal = ? AND policy = ?",
	    "titt", a->tenant, (int64_t)a->to_role, a->principal, a->name));
	if (sqlite3_changes(k->db.h) == 0)
		return err_fail(ERR_NOENT,
		    "the policy \"%.64s\" is not attached to the %s \"%.64s\"",
		    a->name, a->to_role ? "role" : "user", a->principal);
	return OK;
}

static enum err
op_attach(struct kms *k, struct call *c)
{
	struct policy_arg *a = c->arg;

	a->tenant = c->tenant;
	who_resource(c, "policy", a->name);
	who_target(c, a->to_role ? "role" : "user", a->principal, &a->target);
	TRY(authz_identities(c));
	if (a->to_role)
		TRY(who_name_check("role", a->principal));
	return who_change(k, c, attach_tx, a);
}

static enum err
op_detach(struct kms *k, struct call *c)
{
	struct policy_arg *a = c->arg;

	a->tenant = c->tenant;
	who_resource(c, "policy", a->name);
	who_target(c, a->to_role ? "role" : "user", a->principal, &a->target);
	return who_change(k, c, detach_tx, a);
}

/* Between a policy and a user or a role, by ${op}; ${events} are of both. */
static enum err
attachment(struct kms *k, const struct kms_who *who, const char *policy,
    bool to_role, const char *name, const char *const events[2],
    enum err (*op)(struct kms *k, struct call *c))
{
	struct policy_arg a = {
		.name = policy, .to_role = to_role, .principal = name
	};
	struct params params;
	struct call c = { .who = who,
		.event = events[to_role],
		.params = &params,
		.arg = &a };

	who_params(&params, "policyName", policy,
	    to_role ? "roleName" : "userName", name);
	return gate_run(k, &c, op);
}

enum err
kms_policy_attach(struct kms *k, const struct kms_who *who, const char *policy,
    bool to_role, const char *name)
{
	static const char *const events[] = { "AttachUserPolicy",
		"AttachRolePolicy" };

	return attachment(k, who, policy, to_role, name, events, op_attach);
}

enum err
kms_policy_detach(struct kms *k, const struct kms_who *who, const char *policy,
    bool to_role, const char *name)
{
	static const char *const events[] = { "DetachUserPolicy",
		"DetachRolePolicy" };

	return attachment(k, who, policy, to_role, name, events, op_detach);
}

/* ---- Lists -------------------------------------------------------------- */

/* Rows copied out, so that callbacks run without a lock. */
struct rows {
	void *v;
	size_t n, size;
};

static void
rows_cleanup(struct rows *r)
{

	free(r->v);
}

/* One more, zeroed; NULL when there is no memory. */
static void *
rows_add(struct rows *r)
{
	void *v = reallocarray(r->v, r->n + 1, r->size);

	if (v == NULL)
		return NULL;
	r->v = v;
	v = (char *)v + r->n++ * r->size;
	memset(v, 0, r->size);
	return v;
}

static enum err
op_list(struct kms *k, struct call *c)
{
	struct rows *r = c->arg;

	TRY(authz_identities(c));
	LOCK_SCOPE(&k->conn);
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(&k->db, &st,
	    "SELECT p.name, p.created, p.updated, (SELECT count(*) "
	    "FROM attachments a WHERE a.tenant = p.tenant AND "
	    "a.policy = p.name) FROM policies p WHERE p.tenant = ? "
	    "ORDER BY p.name",
	    "t", c->tenant));
	for (;;) {
		struct kms_policy_desc *d;
		int64_t n = 0;

		TRY(kdb_step(&k->db, st, &row));
		if (!row)
			return OK;
		d = rows_add(r);
		if (d == NULL)
			return ERR_NOMEM;
		TRY(kdb_col_text(st, 0, d->name, sizeof(d->name)));
		TRY(kdb_col_int(st, 1, INT64_MIN, INT64_MAX, &d->created));
		TRY(kdb_col_int(st, 2, INT64_MIN, INT64_MAX, &d->updated));
		TRY(kdb_col_int(st, 3, 0, INT64_MAX, &n));
		d->attached = (uint64_t)n;
	}
}

enum err
kms_policy_list(struct kms *k, const struct kms_who *who,
    void (*cb)(void *arg, const struct kms_policy_desc *d), void *arg)
{
	struct rows r CLEANUP(
	    rows_cleanup) = { .size = sizeof(struct kms_policy_desc) };
	struct call c = { .who = who,
		.event = "ListPolicies",
		.read_only = true,
		.arg = &r };

	TRY(gate_run(k, &c, op_list));
	for (size_t i = 0; i < r.n; i++)
		cb(arg, (const struct kms_policy_desc *)r.v + i);
	return OK;
}

struct attached {
	char policy[KMS_NAME_MAX], name[KMS_NAME_MAX];
	bool to_role;
};

static enum err
op_attachments(struct kms *k, struct call *c)
{
	struct rows *r = c->arg;

	TRY(authz_identities(c));
	LOCK_SCOPE(&k->conn);
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(&k->db, &st,
	    "SELECT policy, principal, to_role FROM attachments "
	    "WHERE tenant = ? ORDER BY to_role, principal, policy",
	    "t", c->tenant));
	for (;;) {
		struct attached *a;
		int64_t to_role = 0;

		TRY(kdb_step(&k->db, st, &row));
		if (!row)
			return OK;
		a = rows_add(r);
		if (a == NULL)
			return ERR_NOMEM;
		TRY(kdb_col_text(st, 0, a->policy, sizeof(a->policy)));
		TRY(kdb_col_text(st, 1, a->name, sizeof(a->name)));
		TRY(kdb_col_int(st, 2, 0, 1, &to_role));
		a->to_role = to_role != 0;
	}
}

enum err
kms_attachment_list(struct kms *k, const struct kms_who *who,
    void (*cb)(void *arg, const char *policy, bool to_role, const char *name),
    void *arg)
{
	struct rows r CLEANUP(
	    rows_cleanup) = { .size = sizeof(struct attached) };
	struct call c = { .who = who,
		.event = "ListAttachments",
		.read_only = true,
		.arg = &r };

	TRY(gate_run(k, &c, op_attachments));
	for (size_t i = 0; i < r.n; i++) {
		const struct attached *a = (const struct attached *)r.v + i;

		cb(arg, a->policy, a->to_role, a->name);
	}
	return OK;
}
