/*
 * cmd_backup: backups of a store, mounted or not, and stores made of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/backup.h"
#include "tools/control.h"

static bool
show_progress(void *arg, uint64_t done, uint64_t total)
{
	const bool *terminal = arg;

	if (*terminal)
		(void)fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " MiB  ",
		    done >> 20, total >> 20);
	return (true);
}

static void
show_bad(void *arg, const char *what)
{
	(void)arg;
	(void)fprintf(stderr, "ssefs: ");
	cmd_put_name(stderr, what);
	(void)fputc('\n', stderr);
}

/* What a mount tells of its backup, shown as if it were ours. */
struct heard {
	const struct backup_opts *o;
	struct backup_result *r;
	bool counted;
};

static void
hear(void *arg, const struct control_answer *a)
{
	struct heard *h = arg;
	uint64_t same = 0;
	uint64_t *const to[] = { &h->r->epoch, &h->r->blocks, &h->r->copied,
		&h->r->bytes, &h->r->bad, &same };

	if (a->kind == CONTROL_PROGRESS)
		(void)h->o->progress(h->o->arg, a->num[0], a->num[1]);
	if (a->kind == CONTROL_BAD)
		h->o->bad(h->o->arg, a->text);
	if (a->kind != CONTROL_ROW || a->n != COUNTOF(to) + 1)
		return;
	h->counted = true;
	for (size_t i = 0; i < COUNTOF(to); i++)
		h->counted =
		    h->counted && args_number(a->field[i], to[i]) == OK;
	h->r->same = same != 0;
	(void)snprintf(
	    h->r->digest, sizeof(h->r->digest), "%s", a->field[COUNTOF(to)]);
}

/* The mount has another working directory. */
static enum err
absolute(const char *dir, char **ret)
{
	char *here CLEANUP_FREE = NULL;

	if (dir[0] == '/') {
		*ret = strdup(dir);
		return (*ret == NULL ? ERR_NOMEM : OK);
	}
	here = getcwd(NULL, 0);
	if (here == NULL)
		return (err_from_errno(errno));
	if (asprintf(ret, "%s/%s", here, dir) < 0) {
		*ret = NULL;
		return (ERR_NOMEM);
	}
	return (OK);
}

static enum err
make(struct reach *re, const char *dir, const struct backup_opts *o,
    struct backup_result *ret)
{
	struct control_req req = { .op = CONTROL_BACKUP, .rate = o->rate };
	struct heard h = { .o = o, .r = ret };
	char *path CLEANUP_FREE = NULL;

	if (re->st != NULL)
		return (backup_make(re->st, dir, o, ret));
	TRY(absolute(dir, &path));
	TRY(control_set(req.name, path));
	TRY(reach_ask(re, &req, hear, &h));
	return (h.counted ? OK : ERR_PARSE);
}

static int
finish_json(const struct backup_result *r)
{
	struct json j;

	json_begin(&j);
	json_object(&j, NULL);
	json_u64(&j, "epoch", r->epoch);
	json_bool(&j, "same", r->same);
	json_u64(&j, "blocks", r->blocks);
	json_u64(&j, "copied", r->copied);
	json_u64(&j, "damaged", r->bad);
	json_u64(&j, "backups", r->backups);
	json_str(&j, "digest", r->digest);
	json_close(&j, '}');
	return (cmd_json_end(&j));
}

/* What was done, and how it went. */
static int
finish(const struct args *a, const struct backup_opts *o,
    const struct backup_result *r, const char *text)
{
	const bool *terminal = o->arg;

	if (*terminal)
		(void)fputc('\n', stderr);
	if (a->opt[OPT_JSON] != NULL) {
		if (finish_json(r) != EXIT_DONE)
			return (EXIT_FAILED);
	} else {
		(void)printf("%s\n", text);
	}
	return (r->bad == 0 ? EXIT_DONE : EXIT_LEFT);
}

static int
verify(const struct args *a, const struct backup_opts *o)
{
	struct backup_result r;
	char text[256];
	const enum err e = backup_verify(a->pos[0], o, &r);

	if (e != OK) {
		(void)cmd_fail(
		    e, "backup \"%s\": could not be verified", a->pos[0]);
		return (EXIT_UNCHECKED);
	}
	(void)snprintf(text, sizeof(text),
	    "%" PRIu64 " backups, the last of epoch %" PRIu64 " with %" PRIu64
	    " blocks: %s\ndigest %s",
	    r.backups, r.epoch, r.blocks, r.bad == 0 ? "whole" : "damaged",
	    r.digest);
	return (finish(a, o, &r, text));
}

static int
backup(const struct args *a, const struct backup_opts *o)
{
	const struct store_opts how = { .no_keys = true };
	struct backup_result r = { .bad = 0 };
	struct reach re;
	char text[512];
	int code;
	enum err e;

	if (cmd_store_dir(a) == NULL)
		return (EXIT_USAGE);
	if (!reach_open(a, &how, &re, NULL))
		return (EXIT_FAILED);
	e = make(&re, a->pos[0], o, &r);
	if (e != OK) {
		code = cmd_fail(e, "backup \"%s\": was not made", a->pos[0]);
	} else {
		(void)snprintf(text, sizeof(text),
		    "epoch %" PRIu64 ": %" PRIu64 " of %" PRIu64
		    " blocks copied\ndigest %s\nThe root key is not in it: "
		    "without that the backup is of no use.",
		    r.epoch, r.copied, r.blocks, r.digest);
		if (r.same)
			(void)snprintf(text, sizeof(text),
			    "epoch %" PRIu64 ": nothing is new\ndigest %s",
			    r.epoch, r.digest);
		code = finish(a, o, &r, text);
	}
	return (reach_close(&re, code));
}

int
cmd_backup(const struct args *a)
{
	bool terminal = isatty(STDERR_FILENO) == 1;
	struct backup_opts o = {
		.progress = show_progress, .bad = show_bad, .arg = &terminal
	};

	if (a->opt[OPT_RATE] != NULL &&
	    args_size(a->opt[OPT_RATE], &o.rate) != OK)
		return (cmd_usage(a->cmd, "--rate: %s", err_detail(ERR_INVAL)));
	return (a->opt[OPT_VERIFY] != NULL ? verify(a, &o) : backup(a, &o));
}

int
cmd_restore(const struct args *a)
{
	bool terminal = isatty(STDERR_FILENO) == 1;
	const struct backup_opts o = {
		.progress = show_progress, .bad = show_bad, .arg = &terminal
	};
	struct backup_result r;
	uint64_t epoch = 0;
	char text[256];
	enum err e;

	if (cmd_store_dir(a) == NULL)
		return (EXIT_USAGE);
	if (a->opt[OPT_EPOCH] != NULL &&
	    args_number(a->opt[OPT_EPOCH], &epoch) != OK)
		return (
		    cmd_usage(a->cmd, "--epoch: %s", err_detail(ERR_INVAL)));
	e = backup_restore(a->pos[0], epoch, a->store, &o, &r);
	if (e != OK)
		return (
		    cmd_fail(e, "backup \"%s\": was not restored", a->pos[0]));
	(void)snprintf(text, sizeof(text),
	    "epoch %" PRIu64 ": %" PRIu64 " blocks restored\nIt opens with "
	    "the root key of the store that the backup is of.",
	    r.epoch, r.copied);
	return (finish(a, &o, &r, text));
}
