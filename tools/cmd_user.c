/*
 * cmd_user: users, their access keys and roles, and what holds for their
 * tenant.
 *
 * Only the keystore is opened, never the store: these commands work, and take
 * effect, while a mount owns the store.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "kms/who.h"
#include "lib/base/clock.h"
#include "tools/cmd.h"

struct kms_who
cmd_tenant_who(const struct args *a)
{
	struct kms_who who = cmd_who;

	who.tenant = a->opt[OPT_TENANT];
	return (who);
}

/* Printed past stdio, whose buffer nobody wipes. */
static int
write_secret(const char *line, size_t len)
{
	size_t at = 0;

	if (fflush(stdout) != 0)
		return (cmd_fail(ERR_IO, "output"));
	while (at < len) {
		const ssize_t n = write(STDOUT_FILENO, line + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (cmd_fail(err_from_errno(errno), "output"));
		at += (size_t)n;
	}
	return (EXIT_DONE);
}

/* Names have no characters that JSON would quote. */
static int
show_secret(const struct args *a, const char *user, const struct kms_secret *s)
{
	WIPED(char, line, 512);
	const int n = snprintf(line, sizeof(line),
	    a->opt[OPT_JSON] != NULL
		? "{\"user\":\"%s\",\"access_key_id\":\"%s\","
		  "\"secret_access_key\":\"%s\"}\n"
		: "user               %s\n"
		  "access key id      %s\n"
		  "secret access key  %s\n"
		  "The secret is not shown again.\n",
	    user, s->id, s->secret);

	return (write_secret(line, (size_t)n));
}

int
cmd_user_create(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	struct kms_secret s CLEANUP(kms_secret_release) = { .secret = NULL };
	struct kms_user u;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_user_create(
	    k, &who, a->pos[0], a->opt[OPT_ADMIN] != NULL, &u, &s);
	if (e != OK)
		return (cmd_fail(e, "user \"%s\": cannot be made", a->pos[0]));
	return (show_secret(a, u.name, &s));
}

static bool
show_user(void *arg, const struct kms_user *u)
{
	const struct cmd_list *l = arg;
	char made[CLOCK_ISO_LEN + 1];

	if (l->j != NULL) {
		json_object(l->j, NULL);
		json_str(l->j, "user", u->name);
		json_str(l->j, "id", u->id);
		json_str(l->j, "tenant", u->tenant);
		json_bool(l->j, "admin", u->admin);
		json_time(l->j, "created", u->created);
		json_close(l->j, '}');
		return (true);
	}
	clock_iso((time_t)u->created, made);
	(void)printf(
	    "%-21s  %-5s  %s  ", u->id, u->admin ? "admin" : "-", made);
	cmd_put_name(stdout, u->name);
	(void)putchar('\n');
	return (true);
}

int
cmd_user_ls(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	struct cmd_list l;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	cmd_list_begin(&l, a, NULL);
	e = kms_user_list(k, &who, show_user, &l);
	const int code = cmd_list_end(&l);

	return (e == OK ? code : cmd_fail(e, "users: cannot be listed"));
}

/* The end of a command that prints nothing. */
static int
done(enum err e, const char *name, const char *what)
{
	return (
	    e == OK ? EXIT_DONE : cmd_fail(e, "user \"%s\": %s", name, what));
}

int
cmd_user_rm(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	return (done(kms_user_remove(k, &who, a->pos[0]), a->pos[0],
	    "cannot be removed"));
}

/* ---- Access keys ----------------------------------------------------------*/

int
cmd_user_key_create(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	struct kms_secret s CLEANUP(kms_secret_release) = { .secret = NULL };
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_secret_create(k, &who, a->pos[0], &s);
	if (e != OK)
		return (done(e, a->pos[0], "an access key cannot be made"));
	return (show_secret(a, a->pos[0], &s));
}

int
cmd_user_key_rm(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	return (done(kms_secret_remove(k, &who, a->pos[0], a->pos[1]),
	    a->pos[0], "the access key cannot be removed"));
}

static int
activate(const struct args *a, bool active)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	return (done(kms_secret_activate(k, &who, a->pos[0], a->pos[1], active),
	    a->pos[0], "the access key cannot be changed"));
}

int
cmd_user_key_enable(const struct args *a)
{
	return (activate(a, true));
}

int
cmd_user_key_disable(const struct args *a)
{
	return (activate(a, false));
}

static void
show_key(void *arg, const struct kms_secret_desc *d)
{
	const struct cmd_list *l = arg;
	char made[CLOCK_ISO_LEN + 1];

	if (l->j != NULL) {
		json_object(l->j, NULL);
		json_str(l->j, "access_key_id", d->id);
		json_bool(l->j, "active", d->active);
		json_time(l->j, "created", d->created);
		json_close(l->j, '}');
		return;
	}
	clock_iso((time_t)d->created, made);
	(void)printf(
	    "%s  %-8s  %s\n", d->id, d->active ? "active" : "disabled", made);
}

int
cmd_user_key_ls(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	struct cmd_list l;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	cmd_list_begin(&l, a, NULL);
	e = kms_secret_list(k, &who, a->pos[0], show_key, &l);
	const int code = cmd_list_end(&l);

	return (e == OK
		    ? code
		    : done(e, a->pos[0], "its access keys cannot be listed"));
}

/* ---- Roles ----------------------------------------------------------------*/

int
cmd_user_role_add(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	return (done(kms_role_add(k, &who, a->pos[0], a->pos[1]), a->pos[0],
	    "the role cannot be given"));
}

int
cmd_user_role_rm(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	return (done(kms_role_remove(k, &who, a->pos[0], a->pos[1]), a->pos[0],
	    "the role cannot be taken"));
}

static void
show_role(void *arg, const char *role)
{
	const struct cmd_list *l = arg;

	if (l->j != NULL) {
		json_str(l->j, NULL, role);
		return;
	}
	cmd_put_name(stdout, role);
	(void)putchar('\n');
}

int
cmd_user_role_ls(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	struct cmd_list l;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	cmd_list_begin(&l, a, NULL);
	e = kms_role_list(k, &who, a->pos[0], show_role, &l);
	const int code = cmd_list_end(&l);

	return (
	    e == OK ? code : done(e, a->pos[0], "its roles cannot be listed"));
}

/* ---- Tenants --------------------------------------------------------------*/

/* One NAME=VALUE of "tenant set". */
static enum err
setting(const char *word, struct kms_tenant *t)
{
	static const char role[] = "sse-kms-role=", keys[] = "customer-keys=";
	const char *value = strchr(word, '=');

	if (strncmp(word, role, sizeof(role) - 1) == 0) {
		if (strlen(++value) >= sizeof(t->sse_kms_role))
			return (err_fail(ERR_INVAL, "the role is too long"));
		strcpy(t->sse_kms_role, value);
		return (OK);
	}
	if (strncmp(word, keys, sizeof(keys) - 1) == 0) {
		value++;
		t->customer_keys = strcmp(value, "allow") == 0;
		if (t->customer_keys || strcmp(value, "deny") == 0)
			return (OK);
	}
	return (err_fail(ERR_INVAL,
	    "a setting is sse-kms-role=ROLE (none: everybody), "
	    "customer-keys=allow or customer-keys=deny"));
}

int
cmd_tenant_set(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	struct kms_tenant t;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_tenant_get(k, &who, &t);
	if (e != OK)
		return (cmd_fail(e, "tenant: cannot be read"));
	for (int i = 0; i < a->npos; i++)
		if (setting(a->pos[i], &t) != OK)
			return (cmd_usage(a->cmd, "%s: %s", a->pos[i],
			    err_detail(ERR_INVAL)));
	e = kms_tenant_set(k, &who, &t);
	return (e == OK ? EXIT_DONE : cmd_fail(e, "tenant: cannot be set"));
}

int
cmd_tenant_show(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	const char *keys;
	struct kms_tenant t;
	struct json j;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_tenant_get(k, &who, &t);
	if (e != OK)
		return (cmd_fail(e, "tenant: cannot be read"));
	keys = t.customer_keys ? "allow" : "deny";
	if (a->opt[OPT_JSON] == NULL) {
		(void)printf("sse-kms-role=%s\ncustomer-keys=%s\n",
		    t.sse_kms_role, keys);
		return (EXIT_DONE);
	}
	json_begin(&j);
	json_object(&j, NULL);
	json_str(
	    &j, "tenant", who.tenant != NULL ? who.tenant : KMS_TENANT_DEFAULT);
	json_str(&j, "sse_kms_role", t.sse_kms_role);
	json_str(&j, "customer_keys", keys);
	json_close(&j, '}');
	return (cmd_json_end(&j));
}
