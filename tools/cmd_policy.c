/*
 * cmd_policy: policies, in files and in a keystore.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kms/policy.h"
#include "kms/who.h"
#include "tools/cmd.h"

/* At most a byte more than a policy may have; "-" is standard input. */
static enum err
read_text(const char *path, char text[static POLICY_TEXT_MAX + 1], size_t *len)
{
	const bool named = strcmp(path, "-") != 0;
	FILE *f = named ? fopen(path, "re") : stdin;
	bool failed;

	if (f == NULL)
		return (err_from_errno(errno));
	*len = fread(text, 1, POLICY_TEXT_MAX + 1, f);
	failed = ferror(f) != 0;
	if (named)
		(void)fclose(f);
	return (failed ? ERR_IO : OK);
}

static void
idle_text(void *arg, size_t statement, const char *action)
{
	(void)printf("%s: warning: Statement[%zu]: \"%s\" names no operation\n",
	    (const char *)arg, statement, action);
}

static void
idle_json(void *arg, size_t statement, const char *action)
{
	struct json *j = arg;

	json_object(j, NULL);
	json_u64(j, "statement", statement);
	json_str(j, "action", action);
	json_close(j, '}');
}

static void
say_good(const char *path, const struct policy *p, struct json *j)
{
	const size_t n = policy_statements(p);
	const char *dialect = policy_dialect_name(policy_dialect(p));
	char name[256];

	if (j == NULL) {
		/* No control characters to the terminal. */
		(void)snprintf(name, sizeof(name), "%s", path);
		for (char *s = name; *s != '\0'; s++)
			if ((unsigned char)*s < ' ' || *s == 0x7f)
				*s = '?';
		policy_idle_actions(p, idle_text, name);
		(void)printf("%s: %s policy, %zu statement%s\n", name, dialect,
		    n, n == 1 ? "" : "s");
		return;
	}
	json_bool(j, "valid", true);
	json_str(j, "dialect", dialect);
	json_u64(j, "statements", n);
	json_array(j, "idleActions");
	policy_idle_actions(p, idle_json, j);
	json_close(j, ']');
}

static void
say_bad(const char *path, const struct policy_fault *f, struct json *j)
{
	if (j == NULL) {
		(void)fflush(stdout);
		(void)fprintf(stderr, "ssefs: ");
		cmd_put_name(stderr, path);
		(void)fprintf(stderr, ":%u:%u: %s%s%s\n", f->line, f->column,
		    f->where, f->where[0] != '\0' ? ": " : "", f->why);
		return;
	}
	json_bool(j, "valid", false);
	json_u64(j, "line", f->line);
	json_u64(j, "column", f->column);
	json_str(j, "where", f->where);
	json_str(j, "why", f->why);
}

int
cmd_policy_check(const struct args *a)
{
	const enum policy_kind kind =
	    a->opt[OPT_RESOURCE] != NULL ? POLICY_RESOURCE : POLICY_IDENTITY;
	const bool as_json = a->opt[OPT_JSON] != NULL;
	const char *path = a->pos[0];
	char *text CLEANUP_FREE = malloc(POLICY_TEXT_MAX + 1);
	struct policy_fault fault;
	struct policy *p = NULL;
	struct json j;
	size_t len = 0;
	enum err e;
	int code;

	e = text == NULL ? ERR_NOMEM : read_text(path, text, &len);
	if (e == OK)
		e = policy_parse(text, len, kind, &p, &fault);
	if (e != OK && e != ERR_PARSE && e != ERR_LIMIT)
		return (cmd_fail(e, "policy \"%s\": cannot be read", path));
	code = e == OK ? EXIT_DONE : EXIT_FAILED;
	if (as_json) {
		json_begin(&j);
		json_object(&j, NULL);
	}
	if (e == OK)
		say_good(path, p, as_json ? &j : NULL);
	else
		say_bad(path, &fault, as_json ? &j : NULL);
	policy_free(p);
	if (as_json) {
		json_close(&j, '}');
		if (cmd_json_end(&j) != EXIT_DONE)
			code = EXIT_FAILED;
	}
	return (code);
}

/* ---- In the keystore ------------------------------------------------------*/

/* The end of a command that prints nothing. */
static int
done(enum err e, const char *name, const char *what)
{
	return (
	    e == OK ? EXIT_DONE : cmd_fail(e, "policy \"%s\": %s", name, what));
}

int
cmd_policy_put(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	char *text CLEANUP_FREE = malloc(POLICY_TEXT_MAX + 1);
	struct policy_fault fault;
	struct policy *p = NULL;
	size_t len = 0;
	enum err e;

	e = text == NULL ? ERR_NOMEM : read_text(a->pos[1], text, &len);
	if (e != OK)
		return (cmd_fail(e, "%s: cannot be read", a->pos[1]));
	e = policy_parse(text, len, POLICY_IDENTITY, &p, &fault);
	policy_free(p);
	if (e == ERR_PARSE || e == ERR_LIMIT) {
		say_bad(a->pos[1], &fault, NULL);
		return (EXIT_FAILED);
	}
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	return (done(kms_policy_put(k, &who, a->pos[0], text, len), a->pos[0],
	    "cannot be kept"));
}

int
cmd_policy_get(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	struct buf text CLEANUP_BUF;
	struct json j;
	enum err e;

	buf_init(&text, POLICY_TEXT_MAX + 1);
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_policy_get(k, &who, a->pos[0], &text);
	if (e == OK)
		e = buf_put(&text, "", 1);
	if (e != OK)
		return (done(e, a->pos[0], "cannot be read"));
	if (a->opt[OPT_JSON] == NULL) {
		/* As it was put. */
		(void)fputs((const char *)text.p, stdout);
		if (text.len < 2 || text.p[text.len - 2] != '\n')
			(void)putchar('\n');
		return (EXIT_DONE);
	}
	json_begin(&j);
	json_object(&j, NULL);
	json_str(&j, "policy", a->pos[0]);
	json_str(&j, "document", (const char *)text.p);
	json_close(&j, '}');
	return (cmd_json_end(&j));
}

static void
show_policy(void *arg, const struct kms_policy_desc *d)
{
	struct json *j = arg;

	if (j != NULL) {
		json_object(j, NULL);
		json_str(j, "policy", d->name);
		json_time(j, "created", d->created);
		json_time(j, "updated", d->updated);
		json_u64(j, "attached", d->attached);
		json_close(j, '}');
		return;
	}
	cmd_put_name(stdout, d->name);
	(void)putchar('\n');
}

static void
show_attachment(void *arg, const char *policy, bool to_role, const char *name)
{
	struct json *j = arg;

	if (j != NULL) {
		json_object(j, NULL);
		json_str(j, "policy", policy);
		json_str(j, to_role ? "role" : "user", name);
		json_close(j, '}');
		return;
	}
	cmd_put_name(stdout, policy);
	(void)printf("  %s ", to_role ? "role" : "user");
	cmd_put_name(stdout, name);
	(void)putchar('\n');
}

int
cmd_policy_ls(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	const bool as_json = a->opt[OPT_JSON] != NULL;
	struct json j, *out = as_json ? &j : NULL;
	enum err e;
	int code = EXIT_DONE;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	if (as_json) {
		json_begin(&j);
		json_object(&j, NULL);
		json_array(&j, "policies");
	}
	e = kms_policy_list(k, &who, show_policy, out);
	if (as_json) {
		json_close(&j, ']');
		json_array(&j, "attachments");
	}
	if (e == OK)
		e = kms_attachment_list(k, &who, show_attachment, out);
	if (as_json) {
		json_close(&j, ']');
		json_close(&j, '}');
		code = cmd_json_end(&j);
	}
	return (e == OK ? code : cmd_fail(e, "policies: cannot be listed"));
}

int
cmd_policy_rm(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	return (done(kms_policy_remove(k, &who, a->pos[0]), a->pos[0],
	    "cannot be removed"));
}

/* To the user or the role that the options name. */
static int
attach(const struct args *a, const char *what,
    enum err (*fn)(struct kms *k, const struct kms_who *who, const char *policy,
	bool to_role, const char *name))
{
	struct kms *k CLEANUP_KMS = NULL;
	const struct kms_who who = cmd_tenant_who(a);
	const char *user = a->opt[OPT_USER], *role = a->opt[OPT_ROLE];

	if ((user != NULL) == (role != NULL))
		return (cmd_usage(a->cmd, "give one of --user and --role"));
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	return (done(
	    fn(k, &who, a->pos[0], role != NULL, role != NULL ? role : user),
	    a->pos[0], what));
}

int
cmd_policy_attach(const struct args *a)
{
	return (attach(a, "cannot be attached", kms_policy_attach));
}

int
cmd_policy_detach(const struct args *a)
{
	return (attach(a, "cannot be detached", kms_policy_detach));
}
