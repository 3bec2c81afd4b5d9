/*
 * Users, their roles, tenants' settings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/rand.h"
#include "lib/base/clock.h"

#include "kms/authz.h"
#include "kms/who_internal.h"
#include "kms/who_mac.h"

/* ---- What the calls share ----------------------------------------------- */

static enum err
counted(struct kms *k, void *arg)
{
	const struct who_change *w = arg;

	bool good = false;

	/* What somebody else made is not taken in with it. */
	TRY(who_mac_check(&k->db, k->who, NULL, NULL, &good));
	if (!good)
		return err_fail(ERR_CORRUPT, WHO_MAC_ALTERED);
	TRY(w->fn(k, w->arg));
	return who_counted(k);
}

enum err
who_counted(struct kms *k)
{

	TRY(kdb_exec(&k->db, "INSERT INTO meta(k, v) VALUES('who', 1) "
			     "ON CONFLICT(k) DO UPDATE SET v = v + 1"));
	return who_mac_write(&k->db, k->who);
}

enum err
who_change(struct kms *k, const struct call *c, kms_change_fn *fn, void *arg)
{
	struct who_change w = { fn, c->tenant, arg };

	TRY(authz_identities(c));
	return kms_change(k, counted, &w, true);
}

enum err
who_read(struct kms *k, const struct call *c)
{
	bool changed;

	TRY(authz_identities(c));
	TRY(kms_fresh_db(k, &changed));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	return people_sound(k->tab->people);
}

enum err
who_name_check(const char *what, const char *name)
{

	if (!people_name_ok(name))
		return err_fail(ERR_INVAL,
		    "the name of a %s is UTF-8 of 1 to %d bytes without "
		    "control characters, quotes, \"/\", \":\", \"*\", \"?\", "
		    "\"$\" and backslashes",
		    what, KMS_NAME_MAX - 1);
	if (people_reserved(name))
		return err_fail(
		    ERR_INVAL, "\"%s\" is a name that ssefs uses itself", name);
	return OK;
}

static void
resource(const struct call *c, const char *type, const char *name,
    struct keyref *ret)
{

	/* It goes to the log as it is. */
	if (!people_name_ok(name))
		return;
	(void)snprintf(ret->arn, sizeof(ret->arn), "arn:aws:iam::%s:%s/%s",
	    c->tenant, type, name);
	(void)snprintf(ret->tenant, sizeof(ret->tenant), "%s", c->tenant);
}

void
who_resource(struct call *c, const char *type, const char *name)
{

	resource(c, type, name, &c->key);
}

void
who_target(
    struct call *c, const char *type, const char *name, struct keyref *ret)
{

	resource(c, type, name, ret);
	c->target = ret;
}

void
who_params(struct params *p, const char *member, const char *name,
    const char *member2, const char *name2)
{

	params_begin(p);
	params_str(p, member, name);
	if (member2 != NULL)
		params_str(p, member2, name2);
}

enum err
who_count(struct kms *k, sqlite3_stmt *st, int64_t *ret)
{
	bool row = false;

	TRY(kdb_step(&k->db, st, &row));
	return row ? kdb_col_int(st, 0, 0, INT64_MAX, ret) : ERR_CORRUPT;
}

enum err
who_user_row(
    struct kms *k, const char *tenant, const char *name, struct kms_user *ret)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t admin = 0;
	bool row = false;

	memset(ret, 0, sizeof(*ret));
	TRY(kdb_query(&k->db, &st,
	    "SELECT tenant, name, id, admin, created FROM users "
	    "WHERE tenant = ? AND name = ?",
	    "tt", tenant, name));
	TRY(kdb_step(&k->db, st, &row));
	if (!row)
		return err_fail(ERR_NOENT,
		    "there is no user \"%.64s\" in the tenant %s", name,
		    tenant);
	TRY(kdb_col_text(st, 0, ret->tenant, sizeof(ret->tenant)));
	TRY(kdb_col_text(st, 1, ret->name, sizeof(ret->name)));
	TRY(kdb_col_text(st, 2, ret->id, sizeof(ret->id)));
	TRY(kdb_col_int(st, 3, 0, 1, &admin));
	ret->admin = admin != 0;
	return kdb_col_int(st, 4, INT64_MIN, INT64_MAX, &ret->created);
}

void
who_random_id(const char *prefix, size_t n, char *ret)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint8_t r[32];

	rand_bytes(r, sizeof(r));
	memcpy(ret, prefix, 4);
	for (size_t i = 0; i < n; i++)
		ret[4 + i] = letters[r[i % sizeof(r)] % 32];
	ret[4 + n] = '\0';
}

/* ---- Users -------------------------------------------------------------- */

struct create {
	char response[SECRET_RESPONSE_MAX];
	struct kms_user u;
	const struct kms_secret *secret; /* NULL: none */
	struct kms_user *ret;
	struct kms_secret *ret_secret;
};

static enum err
create_tx(struct kms *k, void *arg)
{
	const struct create *a = arg;
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t n = 0;
	enum err e;

	TRY(kdb_query(&k->db, &st, "SELECT count(*) FROM users", ""));
	TRY(who_count(k, st, &n));
	if (n >= WHO_USERS_MAX)
		return err_fail(ERR_LIMIT, "a keystore has %d users at most",
		    WHO_USERS_MAX);
	e = kdb_run(&k->db,
	    "INSERT INTO users(tenant, name, id, admin, created) "
	    "VALUES(?,?,?,?,?)",
	    "tttii", a->u.tenant, a->u.name, a->u.id, (int64_t)a->u.admin,
	    a->u.created);
	if (e == ERR_EXIST)
		return err_fail(e, "there is a user \"%s\" already", a->u.name);
	TRY(e);
	return a->secret == NULL ? OK : secret_insert(k, &a->u, a->secret);
}

static enum err
op_create(struct kms *k, struct call *c)
{
	struct create *a = c->arg;

	who_resource(c, "user", a->u.name);
	TRY(authz_identities(c));
	TRY(who_name_check("user", a->u.name));
	(void)strncpy(a->u.tenant, c->tenant, sizeof(a->u.tenant) - 1);
	who_random_id("AIDA", WHO_ID_MAX - 5, a->u.id);
	a->u.created = clock_wall().tv_sec;
	if (a->ret_secret != NULL) {
		TRY(secret_new(a->ret_secret));
		a->secret = a->ret_secret;
		secret_response(c, a->secret, a->response);
	}
	TRY(who_change(k, c, create_tx, a));
	*a->ret = a->u;
	return OK;
}

enum err
kms_user_create(struct kms *k, const struct kms_who *who, const char *name,
    bool admin, struct kms_user *ret, struct kms_secret *ret_secret)
{
	struct create a = {
		.u = { .admin = admin }, .ret = ret, .ret_secret = ret_secret
	};
	struct params params;
	struct call c = {
		.who = who, .event = "CreateUser", .params = &params, .arg = &a
	};
	enum err e;

	who_params(&params, "userName", name, NULL, NULL);
	if (ret_secret != NULL)
		*ret_secret = (struct kms_secret){ .secret = NULL };
	if (strnlen(name, KMS_NAME_MAX) < KMS_NAME_MAX)
		strcpy(a.u.name, name);
	e = gate_run(k, &c, op_create);
	if (e != OK && ret_secret != NULL)
		kms_secret_release(ret_secret);
	return e;
}

/* Of one user, by name. */
struct named {
	const char *tenant, *name, *what;
	struct kms_user *ret;
	bool (*cb)(void *arg, const struct kms_user *u);
	void (*role_cb)(void *arg, const char *role);
	void *arg;
};

static enum err
remove_tx(struct kms *k, void *arg)
{
	static const char *const rest[] = {
		"DELETE FROM access_keys WHERE tenant = ? AND user = ?",
		"DELETE FROM user_roles WHERE tenant = ? AND user = ?",
		("DELETE FROM attachments WHERE tenant = ? AND principal = ? "
		 "AND to_role = 0"),
		"DELETE FROM users WHERE tenant = ? AND name = ?",
	};
	const struct named *a = arg;
	struct kms_user u;

	TRY(who_user_row(k, a->tenant, a->name, &u));
	for (size_t i = 0; i < COUNTOF(rest); i++)
		TRY(kdb_run(&k->db, rest[i], "tt", a->tenant, a->name));
	return OK;
}

static enum err
op_remove(struct kms *k, struct call *c)
{
	struct named *a = c->arg;

	a->tenant = c->tenant;
	who_resource(c, "user", a->name);
	return who_change(k, c, remove_tx, a);
}

enum err
kms_user_remove(struct kms *k, const struct kms_who *who, const char *name)
{
	struct named a = { .name = name };
	struct params params;
	struct call c = {
		.who = who, .event = "DeleteUser", .params = &params, .arg = &a
	};

	who_params(&params, "userName", name, NULL, NULL);
	return gate_run(k, &c, op_remove);
}

static enum err
op_get(struct kms *k, struct call *c)
{
	struct named *a = c->arg;
	const struct puser *u;

	who_resource(c, "user", a->name);
	TRY(who_read(k, c));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	u = people_user(k->tab->people, c->tenant, a->name);
	if (u == NULL)
		return err_fail(ERR_NOENT,
		    "there is no user \"%.64s\" in the tenant %s", a->name,
		    c->tenant);
	*a->ret = u->u;
	return OK;
}

enum err
kms_user_get(struct kms *k, const struct kms_who *who, const char *name,
    struct kms_user *ret)
{
	struct named a = { .name = name, .ret = ret };
	struct params params;
	struct call c = { .who = who,
		.event = "GetUser",
		.params = &params,
		.read_only = true,
		.arg = &a };

	who_params(&params, "userName", name, NULL, NULL);
	return gate_run(k, &c, op_get);
}

/* Callbacks run without a lock, on what the table held. */
static enum err
hold_people(struct kms *k, struct call *c)
{
	struct people **ret = c->arg;

	TRY(who_read(k, c));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	*ret = people_ref(k->tab->people);
	return OK;
}

enum err
kms_user_list(struct kms *k, const struct kms_who *who,
    bool (*cb)(void *arg, const struct kms_user *u), void *arg)
{
	struct people *p CLEANUP_PEOPLE = NULL;
	struct call c = {
		.who = who, .event = "ListUsers", .read_only = true, .arg = &p
	};

	TRY(gate_run(k, &c, hold_people));
	for (size_t i = 0; i < p->nusers; i++)
		if (strcmp(p->users[i].u.tenant, c.tenant) == 0 &&
		    !cb(arg, &p->users[i].u))
			break;
	return OK;
}

/* ---- Roles -------------------------------------------------------------- */

struct role {
	const char *tenant, *user, *role;
	struct keyref target; /* the role, for the audit log */
};

static enum err
role_add_tx(struct kms *k, void *arg)
{
	const struct role *a = arg;
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	struct kms_user u;
	int64_t n = 0;

	TRY(who_user_row(k, a->tenant, a->user, &u));
	TRY(kdb_run(&k->db,
	    "INSERT OR IGNORE INTO user_roles(tenant, user, role) "
	    "VALUES(?,?,?)",
	    "ttt", a->tenant, a->user, a->role));
	TRY(kdb_query(&k->db, &st,
	    "SELECT count(*) FROM user_roles WHERE tenant = ? AND user = ?",
	    "tt", a->tenant, a->user));
	TRY(who_count(k, st, &n));
	if (n > WHO_ROLES_MAX)
		return err_fail(
		    ERR_LIMIT, "a user has %d roles at most", WHO_ROLES_MAX);
	return OK;
}

static enum err
role_remove_tx(struct kms *k, void *arg)
{
	const struct role *a = arg;
	struct kms_user u;

	TRY(who_user_row(k, a->tenant, a->user, &u));
	return kdb_run(&k->db,
	    "DELETE FROM user_roles WHERE tenant = ? AND user = ? AND role = ?",
	    "ttt", a->tenant, a->user, a->role);
}

static enum err
op_role_add(struct kms *k, struct call *c)
{
	struct role *a = c->arg;

	a->tenant = c->tenant;
	who_resource(c, "user", a->user);
	who_target(c, "role", a->role, &a->target);
	TRY(authz_identities(c));
	TRY(who_name_check("role", a->role));
	return who_change(k, c, role_add_tx, a);
}

enum err
kms_role_add(struct kms *k, const struct kms_who *who, const char *user,
    const char *role)
{
	struct role a = { .user = user, .role = role };
	struct params params;
	struct call c = { .who = who,
		.event = "AddRoleToUser",
		.params = &params,
		.arg = &a };

	who_params(&params, "userName", user, "roleName", role);
	return gate_run(k, &c, op_role_add);
}

static enum err
op_role_remove(struct kms *k, struct call *c)
{
	struct role *a = c->arg;

	a->tenant = c->tenant;
	who_resource(c, "user", a->user);
	who_target(c, "role", a->role, &a->target);
	return who_change(k, c, role_remove_tx, a);
}

enum err
kms_role_remove(struct kms *k, const struct kms_who *who, const char *user,
    const char *role)
{
	struct role a = { .user = user, .role = role };
	struct params params;
	struct call c = { .who = who,
		.event = "RemoveRoleFromUser",
		.params = &params,
		.arg = &a };

	who_params(&params, "userName", user, "roleName", role);
	return gate_run(k, &c, op_role_remove);
}

enum err
kms_role_list(struct kms *k, const struct kms_who *who, const char *user,
    void (*cb)(void *arg, const char *role), void *arg)
{
	struct people *p CLEANUP_PEOPLE = NULL;
	struct params params;
	struct call c = { .who = who,
		.event = "ListRolesOfUser",
		.params = &params,
		.read_only = true,
		.arg = &p };
	const struct puser *u;

	who_params(&params, "userName", user, NULL, NULL);
	TRY(gate_run(k, &c, hold_people));
	u = people_user(p, c.tenant, user);
	if (u == NULL)
		return err_fail(ERR_NOENT,
		    "there is no user \"%.64s\" in the tenant %s", user,
		    c.tenant);
	for (size_t i = 0; i < u->nroles; i++)
		cb(arg, u->role[i]);
	return OK;
}

/* ---- Tenants ------------------------------------------------------------ */

enum err
kms_tenant_get(struct kms *k, const struct kms_who *who, struct kms_tenant *ret)
{
	struct people *p CLEANUP_PEOPLE = NULL;
	struct call c = {
		.who = who, .event = "GetTenant", .read_only = true, .arg = &p
	};

	TRY(gate_run(k, &c, hold_people));
	*ret = *people_tenant(p, c.tenant);
	return OK;
}

struct settings {
	const char *tenant;
	const struct kms_tenant *t;
};

static enum err
tenant_tx(struct kms *k, void *arg)
{
	const struct settings *a = arg;

	return kdb_run(&k->db,
	    "INSERT INTO tenants(tenant, sse_kms_role, customer_keys, created) "
	    "VALUES(?1,?2,?3,?4) ON CONFLICT(tenant) DO UPDATE SET "
	    "sse_kms_role = ?2, customer_keys = ?3",
	    "ttii", a->tenant, a->t->sse_kms_role, (int64_t)a->t->customer_keys,
	    (int64_t)clock_wall().tv_sec);
}

static enum err
op_tenant_set(struct kms *k, struct call *c)
{
	struct settings *a = c->arg;

	a->tenant = c->tenant;
	TRY(authz_identities(c));
	if (a->t->sse_kms_role[0] != '\0')
		TRY(who_name_check("role", a->t->sse_kms_role));
	return who_change(k, c, tenant_tx, a);
}

enum err
kms_tenant_set(
    struct kms *k, const struct kms_who *who, const struct kms_tenant *t)
{
	struct settings a = { .t = t };
	struct params params;
	struct call c = { .who = who,
		.event = "UpdateTenant",
		.params = &params,
		.arg = &a };

	who_params(&params, "sseKmsRole", t->sse_kms_role, "customerKeys",
	    t->customer_keys ? "allow" : "deny");
	return gate_run(k, &c, op_tenant_set);
}
