/*
 * cmd_key: master keys and their aliases.
 *
 * Only the keystore is opened, never the store: these commands work, and take
 * effect, while a mount owns the store.
 */
#include <inttypes.h>
#include <string.h>

#include "kms/api.h"
#include "lib/base/clock.h"
#include "tools/key.h"

static const char *
kind_of(const struct kms_desc *d)
{
	if (d->is_service)
		return ("service");
	return (d->is_default ? "default" : "customer");
}

static const char *
origin_of(const struct kms_desc *d)
{
	return (d->origin == KMS_ORIGIN_EXTERNAL ? "EXTERNAL" : "AWS_KMS");
}

static void
put_tag_json(void *arg, const char *name, const char *value)
{
	json_str(arg, name, value);
}

/* The members of a key. */
static void
put_json(struct json *j, const struct kms_desc *d)
{
	json_str(j, "id", d->id);
	json_str(j, "arn", d->arn);
	json_str(j, "tenant", d->tenant);
	json_str(j, "description", d->description);
	json_str(j, "state", kms_state_name(d->state));
	json_str(j, "kind", kind_of(d));
	json_str(j, "origin", origin_of(d));
	json_str(j, "provider", d->provider);
	json_u64(j, "version", d->version);
	if (d->material[0] != '\0')
		json_str(j, "material", d->material);
	if (d->expires != 0)
		json_time(j, "expires", d->expires);
	json_time(j, "created", d->created);
	json_time(j, "rotated", d->rotated);
	if (d->rotate_days != 0) {
		json_u64(j, "rotation_days", d->rotate_days);
		json_time(j, "next_rotation", d->rotate_at);
	}
	if (d->delete_at != 0)
		json_time(j, "deletion", d->delete_at);
	json_u64(j, "calls", d->calls);
}

int
key_json(struct kms *k, const struct kms_desc *d)
{
	struct json j;
	enum err e;

	json_begin(&j);
	json_object(&j, NULL);
	put_json(&j, d);
	json_object(&j, "tags");
	e = kms_tag_list(k, &cmd_who, d->id, put_tag_json, &j);
	json_close(&j, '}');
	json_close(&j, '}');
	if (e != OK)
		return (cmd_fail(e, "key %s: its tags cannot be read", d->id));
	return (cmd_json_end(&j));
}

int
cmd_key_create(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const char *alias = a->opt[OPT_ALIAS];
	const char *origin = a->opt[OPT_ORIGIN];
	struct kms_new n = { .description = a->opt[OPT_DESCRIPTION] };
	struct kms_tag *tags CLEANUP_FREE = NULL;
	size_t ntags = 0;
	struct kms_desc d;
	enum err e;

	e = key_tags((char *)a->tags.p, a->tags.len, &tags, &ntags);
	if (e != OK)
		return (cmd_usage(a->cmd, "--tag: %s", err_detail(e)));
	n.external = origin != NULL && strcmp(origin, "EXTERNAL") == 0;
	if (origin != NULL && !n.external && strcmp(origin, "AWS_KMS") != 0)
		return (cmd_usage(a->cmd,
		    "--origin: \"%s\" is neither AWS_KMS nor EXTERNAL",
		    origin));
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	n.tags = tags;
	n.ntags = ntags;
	n.provider = a->opt[OPT_PROVIDER];
	e = kms_key_new(k, &cmd_who, &n, &d);
	if (e != OK)
		return (cmd_fail(e, "key: cannot be made"));
	if (a->opt[OPT_JSON] != NULL) {
		if (key_json(k, &d) != EXIT_DONE)
			return (EXIT_FAILED);
	} else {
		(void)printf("%s\n", d.id);
	}
	if (alias == NULL)
		return (EXIT_DONE);
	e = kms_alias_create(k, &cmd_who, alias, d.id);
	return (e == OK ? EXIT_DONE
			: cmd_fail(e,
			      "key %s: it was made, but its alias "
			      "\"%s\" was not",
			      d.id, alias));
}

static bool
show_key(void *arg, const struct kms_desc *d)
{
	const struct cmd_list *l = arg;
	char made[CLOCK_ISO_LEN + 1];

	if (l->j != NULL) {
		json_object(l->j, NULL);
		put_json(l->j, d);
		json_close(l->j, '}');
		return (true);
	}
	clock_iso((time_t)d->created, made);
	(void)printf("%-36s  %-15s  %-8s  %7" PRIu32 "  %s  %10" PRIu64 "  ",
	    d->id, kms_state_name(d->state), kind_of(d), d->version, made,
	    d->calls);
	cmd_put_name(stdout, d->description);
	(void)putchar('\n');
	return (true);
}

/* Run ${list} between the brackets of an array, or below a heading. */
static int
list(const struct args *a, const char *heading, const char *what,
    enum err (*each)(struct kms *k, struct cmd_list *l))
{
	struct kms *k CLEANUP_KMS = NULL;
	struct cmd_list l;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	cmd_list_begin(&l, a, heading);
	e = each(k, &l);
	const int code = cmd_list_end(&l);

	return (e == OK ? code : cmd_fail(e, "%s: cannot be listed", what));
}

static enum err
each_key(struct kms *k, struct cmd_list *l)
{
	return (kms_key_list(k, &cmd_who, show_key, l));
}

int
cmd_key_ls(const struct args *a)
{
	return (list(a,
	    "KEY                                   STATE            KIND      "
	    "VERSION  CREATED                    CALLS  DESCRIPTION",
	    "keys", each_key));
}

static void
show_life(const struct kms_desc *d)
{
	char when[CLOCK_ISO_LEN + 1];

	if (d->origin == KMS_ORIGIN_EXTERNAL)
		(void)printf("origin       %s\n", origin_of(d));
	if (d->expires != 0) {
		clock_iso((time_t)d->expires, when);
		(void)printf("material     expires on %s\n", when);
	}
	if (d->rotate_days != 0) {
		clock_iso((time_t)d->rotate_at, when);
		(void)printf("rotation     every %u days, next on %s\n",
		    d->rotate_days, when);
	}
	if (d->delete_at != 0) {
		clock_iso((time_t)d->delete_at, when);
		(void)printf("deletion     on %s\n", when);
	}
}

static void
show_tag(void *arg, const char *name, const char *value)
{
	(void)arg;
	(void)printf("tag          ");
	cmd_put_name(stdout, name);
	(void)putchar('=');
	cmd_put_name(stdout, value);
	(void)putchar('\n');
}

int
cmd_key_describe(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	char made[CLOCK_ISO_LEN + 1], turned[CLOCK_ISO_LEN + 1];
	struct kms_desc d;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_key_describe(k, &cmd_who, a->pos[0], &d);
	if (e != OK)
		return (
		    cmd_fail(e, "key \"%s\": cannot be described", a->pos[0]));
	if (a->opt[OPT_JSON] != NULL)
		return (key_json(k, &d));
	clock_iso((time_t)d.created, made);
	clock_iso((time_t)d.rotated, turned);
	(void)printf("id           %s\n"
		     "arn          %s\n"
		     "tenant       %s\n"
		     "kind         %s\n"
		     "state        %s\n"
		     "provider     %s\n"
		     "version      %" PRIu32 ", since %s\n"
		     "created      %s\n"
		     "calls        %" PRIu64 "\n"
		     "description  ",
	    d.id, d.arn, d.tenant, kind_of(&d), kms_state_name(d.state),
	    d.provider, d.version, turned, made, d.calls);
	cmd_put_name(stdout, d.description);
	(void)putchar('\n');
	show_life(&d);
	e = kms_tag_list(k, &cmd_who, d.id, show_tag, NULL);
	return (e == OK ? EXIT_DONE
			: cmd_fail(e, "key %s: its tags cannot be read", d.id));
}

int
key_change(const struct args *a, const char *what,
    enum err (*fn)(struct kms *k, const struct kms_who *who, const char *key))
{
	struct kms *k CLEANUP_KMS = NULL;
	struct kms_desc d;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = fn(k, &cmd_who, a->pos[0]);
	if (e != OK)
		return (
		    cmd_fail(e, "key \"%s\": cannot be %s", a->pos[0], what));
	if (a->opt[OPT_JSON] == NULL)
		return (EXIT_DONE);
	e = kms_key_describe(k, &cmd_who, a->pos[0], &d);
	return (e == OK ? key_json(k, &d)
			: cmd_fail(e,
			      "key \"%s\": was %s, but cannot be "
			      "described",
			      a->pos[0], what));
}

int
cmd_key_enable(const struct args *a)
{
	return (key_change(a, "enabled", kms_key_enable));
}

int
cmd_key_disable(const struct args *a)
{
	return (key_change(a, "disabled", kms_key_disable));
}

int
cmd_key_rotate(const struct args *a)
{
	return (key_change(a, "rotated", kms_key_rotate));
}

int
cmd_alias_create(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_alias_create(k, &cmd_who, a->pos[0], a->pos[1]);
	return (e == OK ? EXIT_DONE
			: cmd_fail(e,
			      "alias \"%s\": cannot be made for key "
			      "\"%s\"",
			      a->pos[0], a->pos[1]));
}

int
cmd_alias_update(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_alias_update(k, &cmd_who, a->pos[0], a->pos[1]);
	return (e == OK
		    ? EXIT_DONE
		    : cmd_fail(e, "alias \"%s\": cannot be moved to key \"%s\"",
			  a->pos[0], a->pos[1]));
}

int
cmd_alias_rm(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_alias_delete(k, &cmd_who, a->pos[0]);
	if (e == ERR_NOENT)
		e = err_fail(ERR_NOENT, "there is no such alias");
	return (e == OK ? EXIT_DONE
			: cmd_fail(
			      e, "alias \"%s\": cannot be removed", a->pos[0]));
}

static bool
show_alias(void *arg, const char *alias, const char *arn)
{
	const struct cmd_list *l = arg;

	if (l->j == NULL) {
		(void)printf("%-40s ", alias);
		cmd_put_name(stdout, arn);
		(void)putchar('\n');
		return (true);
	}
	json_object(l->j, NULL);
	json_str(l->j, "alias", alias);
	json_str(l->j, "arn", arn);
	json_close(l->j, '}');
	return (true);
}

static enum err
each_alias(struct kms *k, struct cmd_list *l)
{
	return (kms_alias_list(k, &cmd_who, show_alias, l));
}

int
cmd_alias_ls(const struct args *a)
{
	return (list(a, "ALIAS                                    KEY",
	    "aliases", each_alias));
}

/* The new root key goes to slot ${n}, or to a free one (${n} SLOT_NEW). */
#define SLOT_NEW UINT32_MAX

static int
slot_put(const struct args *a, uint32_t n)
{
	struct root add CLEANUP_ROOT = { .given = false };
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = root_get_new(a, &add);
	if (e == OK && !add.given)
		return (cmd_usage(a->cmd, "name what shall open the store: "
					  "--new-root-key, --new-passphrase, "
					  "--new-passphrase-file or "
					  "--new-credential"));
	if (e == OK && n == SLOT_NEW)
		e = kms_slot_add(k, &cmd_who, &add.root);
	else if (e == OK)
		e = kms_slot_change(k, &cmd_who, n, &add.root);
	return (e == OK ? EXIT_DONE
			: cmd_fail(e, "slot: cannot be %s",
			      n == SLOT_NEW ? "added" : "changed"));
}

int
cmd_slot_add(const struct args *a)
{
	return (slot_put(a, SLOT_NEW));
}

int
cmd_slot_change(const struct args *a)
{
	uint64_t n;

	if (args_number(a->pos[0], &n) != OK || n >= SLOT_NEW)
		return (cmd_usage(
		    a->cmd, "\"%s\" is not a slot's number", a->pos[0]));
	return (slot_put(a, (uint32_t)n));
}

int
cmd_slot_rm(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	uint64_t n;
	enum err e;

	if (args_number(a->pos[0], &n) != OK || n > UINT32_MAX)
		return (cmd_usage(
		    a->cmd, "\"%s\" is not a slot's number", a->pos[0]));
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_slot_remove(k, &cmd_who, (unsigned)n);
	if (e == ERR_PERM)
		e = err_fail(ERR_PERM, "it is the last one; without it nobody "
				       "could open the store");
	return (e == OK ? EXIT_DONE
			: cmd_fail(e, "slot %s: cannot be removed", a->pos[0]));
}

static void
show_slot(void *arg, unsigned n, enum kms_root_kind kind, const char *path,
    int64_t created)
{
	static const char *const kinds[] = {
		[KMS_ROOT_FILE] = "file",
		[KMS_ROOT_PASSPHRASE] = "passphrase",
		[KMS_ROOT_CREDENTIAL] = "credential",
		[KMS_ROOT_TOKEN] = "token",
	};
	const struct cmd_list *l = arg;
	char made[CLOCK_ISO_LEN + 1];

	if (l->j != NULL) {
		json_object(l->j, NULL);
		json_u64(l->j, "slot", n);
		json_str(l->j, "kind", kinds[kind]);
		json_str(l->j, "path", path);
		json_time(l->j, "created", created);
		json_close(l->j, '}');
		return;
	}
	clock_iso((time_t)created, made);
	(void)printf("%4u  %-10s  %s  ", n, kinds[kind], made);
	cmd_put_name(stdout, path);
	(void)putchar('\n');
}

static enum err
each_slot(struct kms *k, struct cmd_list *l)
{
	return (kms_slot_list(k, show_slot, l));
}

int
cmd_slot_ls(const struct args *a)
{
	return (list(a, "SLOT  KIND        CREATED               PATH", "slots",
	    each_slot));
}
