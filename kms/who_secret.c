/*
 * Access keys: made, looked up for a signature, taken out of use.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "crypto/rand.h"
#include "lib/base/clock.h"

#include "kms/who_internal.h"

void
kms_secret_release(struct kms_secret *s)
{

	secret_free(s->secret);
	s->secret = NULL;
}

void
who_cred_release(struct who_cred *c)
{

	secret_free(c->secret);
	c->secret = NULL;
}

/* ---- Making ------------------------------------------------------------- */

enum err
secret_new(struct kms_secret *ret)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789+/";
	WIPED(uint8_t, r, WHO_SECRET_LEN);

	who_random_id("AKIA", WHO_KEY_ID_MAX - 5, ret->id);
	ret->secret = secret_alloc(WHO_SECRET_LEN + 1);
	if (ret->secret == NULL)
		return err_fail(ERR_NOMEM, "key memory is used up");
	rand_bytes(r, sizeof(r));
	for (size_t i = 0; i < WHO_SECRET_LEN; i++)
		ret->secret[i] = letters[r[i] % 64];
	ret->secret[WHO_SECRET_LEN] = '\0';
	return OK;
}

_Static_assert(WHO_SECRET_LEN * 6 >= 128, "as hard to guess as a key");

enum err
secret_insert(
    struct kms *k, const struct kms_user *u, const struct kms_secret *s)
{
	uint8_t sealed[SECRET_SEALED];

	TRY(secret_seal(k->seal, k->uuid, s->id, u, s->secret, sealed));
	return kdb_run(&k->db,
	    "INSERT INTO access_keys(id, tenant, user, sealed, active, "
	    "created) VALUES(?,?,?,?,1,?)",
	    "tttbi", s->id, u->tenant, u->name, (const void *)sealed,
	    sizeof(sealed), (int64_t)clock_wall().tv_sec);
}

void
secret_response(struct call *c, const struct kms_secret *s,
    char ret[static SECRET_RESPONSE_MAX])
{

	(void)snprintf(ret, SECRET_RESPONSE_MAX,
	    "\"accessKey\":{\"accessKeyId\":\"%s\",\"status\":\"Active\"}",
	    s->id);
	c->response = ret;
}

struct secret {
	char response[SECRET_RESPONSE_MAX];
	const char *tenant, *user, *id;
	struct kms_secret *ret;
	bool active;
	struct kms_secret_desc v[WHO_KEYS_MAX]; /* list */
	size_t n;
};

static enum err
create_tx(struct kms *k, void *arg)
{
	const struct secret *a = arg;
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	struct kms_user u;
	int64_t n = 0;

	TRY(who_user_row(k, a->tenant, a->user, &u));
	TRY(kdb_query(&k->db, &st,
	    "SELECT count(*) FROM access_keys WHERE tenant = ? AND user = ?",
	    "tt", a->tenant, a->user));
	TRY(who_count(k, st, &n));
	if (n >= WHO_KEYS_MAX)
		return err_fail(ERR_LIMIT,
		    "a user has %d access keys at most; remove one first",
		    WHO_KEYS_MAX);
	return secret_insert(k, &u, a->ret);
}

static enum err
op_create(struct kms *k, struct call *c)
{
	struct secret *a = c->arg;

	a->tenant = c->tenant;
	who_resource(c, "user", a->user);
	TRY(secret_new(a->ret));
	secret_response(c, a->ret, a->response);
	return who_change(k, c, create_tx, a);
}

enum err
kms_secret_create(struct kms *k, const struct kms_who *who, const char *user,
    struct kms_secret *ret)
{
	struct secret a = { .user = user, .ret = ret };
	struct params params;
	struct call c = { .who = who,
		.event = "CreateAccessKey",
		.params = &params,
		.arg = &a };
	enum err e;

	who_params(&params, "userName", user, NULL, NULL);
	ret->secret = NULL;
	e = gate_run(k, &c, op_create);
	if (e != OK)
		kms_secret_release(ret);
	return e;
}

/* ---- Changing ----------------------------------------------------------- */

/* After a change of one row. */
static enum err
one_changed(struct kms *k, const struct secret *a)
{

	if (sqlite3_changes(k->db.h) != 0)
		return OK;
	return err_fail(
	    ERR_NOENT, "%.64s has no access key %.20s", a->user, a->id);
}

static enum err
remove_tx(struct kms *k, void *arg)
{
	const struct secret *a = arg;

	TRY(kdb_run(&k->db,
	    "DELETE FROM access_keys WHERE id = ? AND tenant = ? AND user = ?",
	    "ttt", a->id, a->tenant, a->user));
	return one_changed(k, a);
}

static enum err
activate_tx(struct kms *k, void *arg)
{
	const struct secret *a = arg;

	TRY(kdb_run(&k->db,
	    "UPDATE access_keys SET active = ? "
	    "WHERE id = ? AND tenant = ? AND user = ?",
	    "ittt", (int64_t)a->active, a->id, a->tenant, a->user));
	return one_changed(k, a);
}

static enum err
op_remove(struct kms *k, struct call *c)
{
	struct secret *a = c->arg;

	a->tenant = c->tenant;
	who_resource(c, "user", a->user);
	return who_change(k, c, remove_tx, a);
}

enum err
kms_secret_remove(
    struct kms *k, const struct kms_who *who, const char *user, const char *id)
{
	struct secret a = { .user = user, .id = id };
	struct params params;
	struct call c = { .who = who,
		.event = "DeleteAccessKey",
		.params = &params,
		.arg = &a };

	who_params(&params, "userName", user, "accessKeyId", id);
	return gate_run(k, &c, op_remove);
}

static enum err
op_activate(struct kms *k, struct call *c)
{
	struct secret *a = c->arg;

	a->tenant = c->tenant;
	who_resource(c, "user", a->user);
	return who_change(k, c, activate_tx, a);
}

enum err
kms_secret_activate(struct kms *k, const struct kms_who *who, const char *user,
    const char *id, bool active)
{
	struct secret a = { .user = user, .id = id, .active = active };
	struct params params;
	struct call c = { .who = who,
		.event = "UpdateAccessKey",
		.params = &params,
		.arg = &a };

	who_params(&params, "userName", user, "accessKeyId", id);
	params_str(&params, "status", active ? "Active" : "Inactive");
	return gate_run(k, &c, op_activate);
}

/* ---- Reading ------------------------------------------------------------ */

static enum err
op_list(struct kms *k, struct call *c)
{
	struct secret *a = c->arg;
	const struct people *p;
	const struct puser *u;

	who_resource(c, "user", a->user);
	TRY(who_read(k, c));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	p = k->tab->people;
	u = people_user(p, c->tenant, a->user);
	if (u == NULL)
		return err_fail(ERR_NOENT,
		    "there is no user \"%.64s\" in the tenant %s", a->user,
		    c->tenant);
	for (size_t i = 0; i < p->nsecrets && a->n < WHO_KEYS_MAX; i++) {
		const struct psecret *s = &p->secrets[i];
		struct kms_secret_desc *d = &a->v[a->n];

		if (&p->users[s->user] != u)
			continue;
		memcpy(d->id, s->id, sizeof(d->id));
		d->active = s->active;
		d->created = s->created;
		a->n++;
	}
	return OK;
}

enum err
kms_secret_list(struct kms *k, const struct kms_who *who, const char *user,
    void (*cb)(void *arg, const struct kms_secret_desc *d), void *arg)
{
	struct secret a = { .user = user };
	struct params params;
	struct call c = { .who = who,
		.event = "ListAccessKeys",
		.params = &params,
		.read_only = true,
		.arg = &a };

	who_params(&params, "userName", user, NULL, NULL);
	TRY(gate_run(k, &c, op_list));
	for (size_t i = 0; i < a.n; i++)
		cb(arg, &a.v[i]);
	return OK;
}

enum err
kms_access_key(struct kms *k, const char *id, struct who_cred *ret)
{
	const struct psecret *s;
	const struct kms_user *u;

	memset(ret, 0, sizeof(*ret));
	TRY(kms_fresh(k));
	RWLOCK_READ_SCOPE(&k->tab_lock);
	TRY(people_sound(k->tab->people));
	s = people_secret(k->tab->people, id);
	if (s == NULL)
		return err_fail(ERR_NOENT, "there is no such access key");
	u = &k->tab->people->users[s->user].u;
	memcpy(ret->tenant, u->tenant, sizeof(ret->tenant));
	memcpy(ret->user, u->name, sizeof(ret->user));
	memcpy(ret->user_id, u->id, sizeof(ret->user_id));
	ret->active = s->active;
	if (!s->active)
		return OK;
	ret->secret = secret_alloc(WHO_SECRET_LEN + 1);
	if (ret->secret == NULL)
		return err_fail(ERR_NOMEM, "key memory is used up");
	return secret_open(k->seal, k->uuid, s, u, ret->secret);
}
