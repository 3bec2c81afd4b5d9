/*
 * cmd_grant: rights on one key for one user, role or account.
 */
#include <stdlib.h>
#include <string.h>

#include "kms/api.h"
#include "lib/base/clock.h"
#include "tools/key.h"

/* ---- Making ---------------------------------------------------------------*/

static bool
operations_of(const struct args *a, uint32_t *ret)
{
	for (int i = 2; i < a->npos; i++) {
		const uint32_t bit = kms_grant_op_bit(a->pos[i]);

		if (bit == 0) {
			(void)cmd_usage(a->cmd,
			    "\"%s\" is no operation that can be granted",
			    a->pos[i]);
			return (false);
		}
		*ret |= bit;
	}
	return (true);
}

/* NAME=VALUE are written as tags are. */
static enum err
pairs_of(const struct args *a, struct kms_pair **ret, size_t *ret_n)
{
	struct kms_tag *tags CLEANUP_FREE = NULL;
	size_t n = 0;

	TRY(key_tags((char *)a->tags.p, a->tags.len, &tags, &n));
	*ret = calloc(n + 1, sizeof(**ret));
	if (*ret == NULL)
		return (ERR_NOMEM);
	for (size_t i = 0; i < n; i++)
		(*ret)[i] = (struct kms_pair){ tags[i].name, tags[i].value };
	*ret_n = n;
	return (OK);
}

static int
show_made(const struct args *a, const char *id, const char *token)
{
	struct json j;

	if (a->opt[OPT_JSON] == NULL) {
		(void)printf("%s\n", id);
		return (EXIT_DONE);
	}
	json_begin(&j);
	json_object(&j, NULL);
	json_str(&j, "id", id);
	json_str(&j, "token", token);
	json_close(&j, '}');
	return (cmd_json_end(&j));
}

int
cmd_grant_create(const struct args *a)
{
	const bool equals = a->opt[OPT_EQUALS] != NULL;
	const char *retiring = a->opt[OPT_RETIRING];
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];
	struct kms_pair *pairs CLEANUP_FREE = NULL;
	struct kms_grant g = { .name = "",
		.grantee = a->pos[1],
		.retiring = retiring == NULL ? "" : retiring };
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!operations_of(a, &g.operations))
		return (EXIT_USAGE);
	if (equals && a->opt[OPT_SUBSET] != NULL)
		return (cmd_usage(
		    a->cmd, "--equals and --subset exclude each other"));
	e = pairs_of(a, &pairs, &g.npairs);
	if (e == ERR_INVAL)
		return (cmd_usage(
		    a->cmd, "a pair of a context is written NAME=VALUE"));
	if (e != OK)
		return (cmd_fail(e, "grant"));
	g.pairs = pairs;
	if (g.npairs > 0)
		g.constraint =
		    equals ? KMS_CONSTRAINT_EQUALS : KMS_CONSTRAINT_SUBSET;
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_grant_create(k, &cmd_who, a->pos[0], &g, id, token);
	return (e == OK ? show_made(a, id, token)
			: cmd_fail(e, "key \"%s\": the grant cannot be made",
			      a->pos[0]));
}

/* ---- Listing --------------------------------------------------------------*/

struct listing {
	struct cmd_list out;
	char last[KMS_GRANT_ID_MAX];
};

static const char *const constraints[] = {
	[KMS_CONSTRAINT_NONE] = "none",
	[KMS_CONSTRAINT_EQUALS] = "equals",
	[KMS_CONSTRAINT_SUBSET] = "subset",
};

static void
put_json(struct json *j, const struct kms_grant *g)
{
	json_object(j, NULL);
	json_str(j, "id", g->id);
	json_str(j, "key", g->key);
	json_str(j, "name", g->name);
	json_str(j, "grantee", g->grantee);
	json_str(j, "retiring", g->retiring);
	json_str(j, "issuer", g->issuer);
	json_array(j, "operations");
	for (unsigned i = 0; kms_grant_op_name(i) != NULL; i++)
		if ((g->operations & UINT32_C(1) << i) != 0)
			json_str(j, NULL, kms_grant_op_name(i));
	json_close(j, ']');
	json_str(j, "constraint", constraints[g->constraint]);
	json_object(j, "context");
	for (size_t i = 0; i < g->npairs; i++)
		json_str(j, g->pairs[i].key, g->pairs[i].value);
	json_close(j, '}');
	json_time(j, "created", g->created);
	json_close(j, '}');
}

static bool
show(void *arg, const struct kms_grant *g)
{
	struct listing *l = arg;
	char made[CLOCK_ISO_LEN + 1];

	strcpy(l->last, g->id);
	if (l->out.j != NULL) {
		put_json(l->out.j, g);
		return (true);
	}
	clock_iso((time_t)g->created, made);
	(void)printf("%s  %s  ", g->id, made);
	cmd_put_name(stdout, g->grantee);
	for (unsigned i = 0; kms_grant_op_name(i) != NULL; i++)
		if ((g->operations & UINT32_C(1) << i) != 0)
			(void)printf(" %s", kms_grant_op_name(i));
	for (size_t i = 0; i < g->npairs; i++) {
		(void)printf(" %s:", constraints[g->constraint]);
		cmd_put_name(stdout, g->pairs[i].key);
		(void)putchar('=');
		cmd_put_name(stdout, g->pairs[i].value);
	}
	(void)putchar('\n');
	return (true);
}

int
cmd_grant_ls(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	struct listing l = { .last = "" };
	bool more = true;
	enum err e = OK;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	cmd_list_begin(&l.out, a, NULL);
	while (more && e == OK)
		e = kms_grant_page(k, &cmd_who, a->pos[0], NULL, NULL,
		    l.last[0] == '\0' ? NULL : l.last, 100, show, &l, &more);
	const int code = cmd_list_end(&l.out);

	return (e == OK ? code
			: cmd_fail(e, "key \"%s\": its grants cannot be listed",
			      a->pos[0]));
}

/* ---- Taking back ----------------------------------------------------------*/

static int
end(const struct args *a, const char *what,
    enum err (*fn)(struct kms *k, const struct kms_who *who, const char *key,
	const char *id))
{
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = fn(k, &cmd_who, a->pos[0], a->pos[1]);
	return (e == OK ? EXIT_DONE
			: cmd_fail(e, "grant \"%s\": cannot be %s", a->pos[1],
			      what));
}

int
cmd_grant_revoke(const struct args *a)
{
	return (end(a, "revoked", kms_grant_revoke));
}

int
cmd_grant_retire(const struct args *a)
{
	return (end(a, "retired", kms_grant_retire));
}
