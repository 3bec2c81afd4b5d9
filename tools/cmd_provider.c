/*
 * cmd_provider: places for master keys.
 *
 * As for keys, only the keystore is opened: it works beside a mount.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kms/providers.h"
#include "lib/base/clock.h"
#include "tools/cmd.h"

/* Options written NAME=VALUE; they point into ${word}s, which are changed. */
static enum err
conf_of(
    char **word, int n, struct provider_option *opt, struct provider_conf *ret)
{
	ret->uri = word[0];
	ret->opt = opt;
	ret->nopt = 0;
	for (int i = 1; i < n; i++) {
		char *eq = strchr(word[i], '=');

		if (eq == NULL || eq == word[i])
			return (err_fail(ERR_INVAL,
			    "an option is written NAME=VALUE, not \"%s\"",
			    word[i]));
		if (ret->nopt == PROVIDER_OPTIONS_MAX)
			return (err_fail(ERR_INVAL,
			    "a provider has %d options at most",
			    PROVIDER_OPTIONS_MAX));
		*eq = '\0';
		opt[ret->nopt++] = (struct provider_option){ word[i], eq + 1 };
	}
	return (OK);
}

int
cmd_provider_add(const struct args *a)
{
	struct provider_option opt[PROVIDER_OPTIONS_MAX];
	struct kms *k CLEANUP_KMS = NULL;
	struct provider_conf conf;
	enum err e = conf_of(a->pos + 1, a->npos - 1, opt, &conf);

	if (e != OK)
		return (cmd_usage(a->cmd, "%s", err_detail(e)));
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_provider_add(k, &cmd_who, a->pos[0], &conf);
	return (e == OK ? EXIT_DONE
			: cmd_fail(e, "provider \"%s\": cannot be added",
			      a->pos[0]));
}

static int
change(const struct args *a, const char *what,
    enum err (*fn)(struct kms *k, const struct kms_who *who, const char *name))
{
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = fn(k, &cmd_who, a->pos[0]);
	return (e == OK ? EXIT_DONE
			: cmd_fail(e, "provider \"%s\": %s", a->pos[0], what));
}

int
cmd_provider_rm(const struct args *a)
{
	return (change(a, "cannot be removed", kms_provider_remove));
}

int
cmd_provider_default(const struct args *a)
{
	return (change(a, "cannot be chosen", kms_provider_default));
}

int
cmd_provider_test(const struct args *a)
{
	return (change(a, "cannot be used now", kms_provider_test));
}

static void
put_json(struct json *j, const struct kms_provider *p)
{
	json_object(j, NULL);
	json_str(j, "name", p->name);
	if (p->conf.uri != NULL) {
		json_str(j, "uri", p->conf.uri);
		json_object(j, "options");
		for (size_t i = 0; i < p->conf.nopt; i++)
			json_str(j, p->conf.opt[i].name, p->conf.opt[i].value);
		json_close(j, '}');
		json_time(j, "created", p->created);
	}
	json_bool(j, "default", p->is_default);
	json_u64(j, "versions", p->versions);
	json_close(j, '}');
}

static bool
show(void *arg, const struct kms_provider *p)
{
	struct json *j = arg;

	if (j != NULL) {
		put_json(j, p);
		return (true);
	}
	(void)printf("%-20s  %-7s  %8" PRIu64 "  ", p->name,
	    p->is_default ? "default" : "", p->versions);
	if (p->conf.uri != NULL)
		cmd_put_name(stdout, p->conf.uri);
	for (size_t i = 0; i < p->conf.nopt; i++) {
		(void)putchar(' ');
		cmd_put_name(stdout, p->conf.opt[i].name);
		(void)putchar('=');
		cmd_put_name(stdout, p->conf.opt[i].value);
	}
	(void)putchar('\n');
	return (true);
}

int
cmd_provider_ls(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	struct cmd_list l;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	cmd_list_begin(&l, a, "PROVIDER                       VERSIONS  WHERE");
	e = kms_provider_list(k, &cmd_who, show, l.j);
	const int code = cmd_list_end(&l);

	return (e == OK ? code : cmd_fail(e, "providers: cannot be listed"));
}
