/*
 * cmd_keylife: the end of master keys, their rotation by period, their tags.
 *
 * What uses a key only the owner of the store can say: a mount is asked, else
 * the store is opened.  The rest needs the keystore alone.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tools/control.h"
#include "tools/key.h"

/* ---- Deletion -------------------------------------------------------------*/

/* The keystore of an opened store. */
static enum err
keys_of(const struct reach *re, struct kms **ret)
{
	*ret = store_kms(re->st);
	return (*ret != NULL
		    ? OK
		    : err_fail(ERR_NOTSUP, "the store has no key service"));
}

/* A request about a key, by who asks here. */
static enum err
ask_about(struct control_req *req, const char *key)
{
	TRY(control_set(req->name, key));
	req->has_who =
	    cmd_who.tenant != NULL || strcmp(cmd_who.user, KMS_ROOT_USER) != 0;
	TRY(control_set(req->tenant,
	    cmd_who.tenant != NULL ? cmd_who.tenant : KMS_TENANT_DEFAULT));
	return (control_set(req->user, cmd_who.user));
}

static void
hear_deletion(void *arg, const struct control_answer *a)
{
	uint64_t at = 0;

	if (a->kind == CONTROL_ROW && a->n == 1 &&
	    args_number(a->field[0], &at) == OK && at <= INT64_MAX)
		((struct kms_deletion *)arg)->at = (int64_t)at;
}

static enum err
delete_key(
    struct reach *re, const char *key, uint64_t days, struct kms_deletion *ret)
{
	struct control_req req = { .op = CONTROL_KEY_DELETE, .rate = days };
	struct kms *k;

	if (re->st == NULL) {
		TRY(ask_about(&req, key));
		return (reach_ask(re, &req, hear_deletion, ret));
	}
	TRY(keys_of(re, &k));
	return (kms_key_delete(k, &cmd_who, key, (unsigned)days, ret));
}

int
cmd_key_delete(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	uint64_t days = 0;
	char when[CLOCK_ISO_LEN + 1];
	struct kms_deletion at = { .at = 0 };
	struct reach re;
	struct kms_desc d;
	enum err e;

	if (a->opt[OPT_DAYS] != NULL &&
	    (args_number(a->opt[OPT_DAYS], &days) != OK || days == 0 ||
		days > KMS_WINDOW_LIMIT))
		return (cmd_usage(a->cmd, "--days: \"%s\" is not 1 to %d",
		    a->opt[OPT_DAYS], KMS_WINDOW_LIMIT));
	if (!reach_open(a, NULL, &re, NULL))
		return (EXIT_FAILED);
	e = delete_key(&re, a->pos[0], days, &at);
	if (e != OK)
		return (reach_close(&re,
		    cmd_fail(e, "key \"%s\": cannot be deleted", a->pos[0])));
	if (reach_close(&re, EXIT_DONE) != EXIT_DONE || !cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_key_describe(k, &cmd_who, a->pos[0], &d);
	if (e != OK && (a->opt[OPT_JSON] != NULL || e != ERR_ACCESS))
		return (cmd_fail(e,
		    "key \"%s\": will be deleted, but cannot be described",
		    a->pos[0]));
	if (a->opt[OPT_JSON] != NULL)
		return (key_json(k, &d));
	clock_iso((time_t)at.at, when);
	(void)printf("%s is deleted on %s, unless it is in use then or ssefs "
		     "key cancel-deletion is called before\n",
	    e == OK ? d.id : a->pos[0], when);
	return (EXIT_DONE);
}

int
cmd_key_cancel_deletion(const struct args *a)
{
	return (key_change(a, "kept", kms_key_cancel_deletion));
}

static void
hear_usage(void *arg, const struct control_answer *a)
{
	struct kms_uses *u = arg;

	if (a->kind != CONTROL_ROW || a->n != 2 ||
	    args_number(a->field[0], &u->objects) != OK ||
	    args_number(a->field[1], &u->defaults) != OK)
		u->objects = u->defaults = UINT64_MAX;
}

static enum err
usage(struct reach *re, const char *key, struct kms_uses *ret)
{
	struct control_req req = { .op = CONTROL_KEY_USAGE };
	struct kms *k;

	if (re->st == NULL) {
		TRY(ask_about(&req, key));
		ret->objects = UINT64_MAX;
		TRY(reach_ask(re, &req, hear_usage, ret));
		return (ret->objects == UINT64_MAX ? ERR_PARSE : OK);
	}
	TRY(keys_of(re, &k));
	return (kms_key_uses(k, &cmd_who, key, ret));
}

static int
show_usage(
    const struct args *a, const struct kms_uses *u, const struct kms_desc *d)
{
	struct json j;

	if (a->opt[OPT_JSON] == NULL) {
		(void)printf("objects   %" PRIu64 "\n"
			     "defaults  %" PRIu64 "\n"
			     "calls     %" PRIu64 "\n",
		    u->objects, u->defaults, d->calls);
		return (EXIT_DONE);
	}
	json_begin(&j);
	json_object(&j, NULL);
	json_str(&j, "id", d->id);
	json_u64(&j, "objects", u->objects);
	json_u64(&j, "defaults", u->defaults);
	json_u64(&j, "calls", d->calls);
	json_close(&j, '}');
	return (cmd_json_end(&j));
}

int
cmd_key_usage(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	struct kms_uses u = { 0 };
	struct reach re;
	struct kms_desc d;
	enum err e;

	if (!reach_open(a, NULL, &re, NULL))
		return (EXIT_FAILED);
	e = usage(&re, a->pos[0], &u);
	if (e != OK)
		return (reach_close(
		    &re, cmd_fail(e, "key \"%s\": its uses cannot be counted",
			     a->pos[0])));
	if (reach_close(&re, EXIT_DONE) != EXIT_DONE || !cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_key_describe(k, &cmd_who, a->pos[0], &d);
	if (e != OK)
		return (
		    cmd_fail(e, "key \"%s\": cannot be described", a->pos[0]));
	return (show_usage(a, &u, &d));
}

/* ${s} as days, or a usage error. */
static bool
days_of(const struct args *a, const char *s, unsigned *ret)
{
	uint64_t n = 0;

	if (args_number(s, &n) != OK || n == 0 || n > UINT32_MAX) {
		(void)cmd_usage(a->cmd, "\"%s\" is not a number of days", s);
		return (false);
	}
	*ret = (unsigned)n;
	return (true);
}

static int
show_window(const struct args *a, const struct kms_window *w)
{
	struct json j;

	if (a->opt[OPT_JSON] == NULL) {
		(void)printf("%u to %u days, %u when not given\n", w->min,
		    w->max, w->days);
		return (EXIT_DONE);
	}
	json_begin(&j);
	json_object(&j, NULL);
	json_u64(&j, "min", w->min);
	json_u64(&j, "max", w->max);
	json_u64(&j, "days", w->days);
	json_close(&j, '}');
	return (cmd_json_end(&j));
}

int
cmd_key_window(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	struct kms_window w = { 0 };
	enum err e = OK;

	if (a->npos == 1)
		return (cmd_usage(a->cmd, "give MIN and MAX, or nothing"));
	if (a->npos == 2 &&
	    (!days_of(a, a->pos[0], &w.min) || !days_of(a, a->pos[1], &w.max)))
		return (EXIT_USAGE);
	w.days = w.max;
	if (a->opt[OPT_DAYS] != NULL && !days_of(a, a->opt[OPT_DAYS], &w.days))
		return (EXIT_USAGE);
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	if (a->npos == 2)
		e = kms_window_set(k, &cmd_who, &w);
	if (e == OK)
		e = kms_window_get(k, &w);
	return (e == OK ? show_window(a, &w)
			: cmd_fail(e, "waiting time: cannot be set"));
}

/* ---- Rotation -------------------------------------------------------------*/

static unsigned period; /* of the one command that runs */

static enum err
set_period(struct kms *k, const struct kms_who *who, const char *key)
{
	return (kms_key_rotation(k, who, key, period));
}

int
cmd_key_rotation(const struct args *a)
{
	const char *s = a->opt[OPT_PERIOD];

	if (s == NULL)
		return (
		    cmd_usage(a->cmd, "give --period DAYS or --period off"));
	if (strcmp(s, "off") != 0 && !days_of(a, s, &period))
		return (EXIT_USAGE);
	return (key_change(a, "given that rotation", set_period));
}

/* ---- Tags and descriptions ------------------------------------------------*/

enum err
key_tags(char *text, size_t len, struct kms_tag **ret, size_t *ret_n)
{
	char *end = text + len;
	struct kms_tag *v;
	size_t n = 0;

	v = calloc(len / 2 + 1, sizeof(*v));
	if (v == NULL)
		return (ERR_NOMEM);
	*ret = v;
	while (text < end) {
		char *eq = strchr(text, '='), *next = text + strlen(text) + 1;

		if (eq == NULL)
			return (err_fail(ERR_INVAL,
			    "a tag is written NAME=VALUE, not \"%s\"", text));
		*eq = '\0';
		v[n++] = (struct kms_tag){ text, eq + 1 };
		text = next;
	}
	*ret_n = n;
	return (OK);
}

int
cmd_key_tag(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	struct kms_tag *tags CLEANUP_FREE = NULL;
	struct buf text CLEANUP_BUF;
	size_t n = 0;
	enum err e = OK;

	buf_init(&text, (size_t)1 << 20);
	for (int i = 1; i < a->npos && e == OK; i++)
		e = buf_put(&text, a->pos[i], strlen(a->pos[i]) + 1);
	if (e == OK)
		e = key_tags((char *)text.p, text.len, &tags, &n);
	if (e == ERR_INVAL)
		return (cmd_usage(a->cmd, "%s", err_detail(e)));
	if (e != OK)
		return (cmd_fail(e, "tags"));
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_tag_set(k, &cmd_who, a->pos[0], tags, n);
	return (e == OK
		    ? EXIT_DONE
		    : cmd_fail(e, "key \"%s\": cannot be tagged", a->pos[0]));
}

int
cmd_key_untag(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_tag_remove(k, &cmd_who, a->pos[0],
	    (const char *const *)a->pos + 1, (size_t)a->npos - 1);
	return (e == OK ? EXIT_DONE
			: cmd_fail(e, "key \"%s\": its tags cannot be removed",
			      a->pos[0]));
}

int
cmd_key_description(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_key_set_description(k, &cmd_who, a->pos[0], a->pos[1]);
	return (e == OK ? EXIT_DONE
			: cmd_fail(e, "key \"%s\": cannot be described anew",
			      a->pos[0]));
}
