/*
 * cmd_policy: policies that are not in a store yet.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kms/policy.h"
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
