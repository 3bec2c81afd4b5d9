/*
 * cmd_fsck: check a store's structure (fsck, which needs the store alone) and
 * its content (scrub, which goes on beside a mount).
 */
#include <inttypes.h>
#include <unistd.h>

#include "tools/control.h"

/* A store that cannot even be opened for damage has problems left; any other
 * reason says nothing about it. */
static int
not_opened(enum err e)
{
	return (e == ERR_CORRUPT || e == ERR_AUTH ? EXIT_LEFT : EXIT_UNCHECKED);
}

/* Without --repair nothing is written, not even what a crash left behind is
 * brought in order. */
static bool
open_check(const struct args *a, struct store **ret, enum err *ret_e)
{
	const struct store_opts o = {
		.check = true,
		.readonly = a->opt[OPT_REPAIR] == NULL,
	};

	if (a->store != NULL)
		reach_make_way(a->store);
	*ret_e = cmd_try_store(a, &o, ret);
	if (*ret_e == OK)
		return (true);
	(void)cmd_fail(*ret_e, "store \"%s\": cannot be opened", a->store);
	return (false);
}

static void
show_problem(void *arg, const struct store_problem *p)
{
	struct json *j = arg;

	if (j != NULL) {
		json_object(j, NULL);
		json_str(j, "invariant", p->invariant);
		json_u64(j, "ino", p->ino);
		json_bool(j, "repaired", p->repaired);
		json_str(j, "what", p->what);
		json_close(j, '}');
		return;
	}
	(void)printf("%s", p->invariant);
	if (p->ino != 0)
		(void)printf(" inode %" PRIu64, p->ino);
	(void)printf(": ");
	cmd_put_name(stdout, p->what);
	(void)printf("%s\n", p->repaired ? " (repaired)" : "");
}

static int
fsck_code(const struct store_check_result *r)
{
	const int audit = r->audit > 0 ? EXIT_AUDIT : 0;

	if (r->problems > r->repaired)
		return (audit | EXIT_LEFT);
	return (audit | (r->repaired > 0 ? EXIT_REPAIRED : EXIT_DONE));
}

static void
fsck_json(struct json *j, const struct store_check_result *r)
{
	json_close(j, ']');
	json_bool(j, "clean", r->problems == 0 && r->audit == 0);
	json_u64(j, "problems", r->problems);
	json_u64(j, "repaired", r->repaired);
	json_u64(j, "auditFindings", r->audit);
	json_u64(j, "inodes", r->inodes);
	json_u64(j, "names", r->names);
	json_u64(j, "blocks", r->blocks);
	json_close(j, '}');
}

int
cmd_fsck(const struct args *a)
{
	const bool as_json = a->opt[OPT_JSON] != NULL;
	struct store_check_result r = { .problems = 0 };
	struct store *st;
	struct json j;
	int code;
	enum err e;

	if (!open_check(a, &st, &e))
		return (not_opened(e));
	json_begin(&j);
	if (as_json) {
		json_object(&j, NULL);
		json_array(&j, "list");
	}
	e = store_check(st, a->opt[OPT_REPAIR] != NULL, show_problem,
	    as_json ? &j : NULL, &r);
	code = fsck_code(&r);
	if (as_json) {
		fsck_json(&j, &r);
		if (cmd_json_end(&j) != EXIT_DONE)
			code = EXIT_UNCHECKED;
	} else if (e == OK) {
		(void)printf("%" PRIu64 " inodes, %" PRIu64 " names, %" PRIu64
			     " blocks: ",
		    r.inodes, r.names, r.blocks);
		if (r.problems == 0 && r.audit == 0)
			(void)printf("clean\n");
		else
			(void)printf("%" PRIu64 " problems, %" PRIu64
				     " repaired, %" PRIu64
				     " findings in the audit log\n",
			    r.problems, r.repaired, r.audit);
	}
	if (e != OK) {
		(void)cmd_fail(e, "store: could not be checked to the end");
		code = EXIT_UNCHECKED;
	}
	return (cmd_close_store(st, 0) == EXIT_DONE ? code : EXIT_UNCHECKED);
}

struct scrub_show {
	struct json *j;
	bool terminal;
};

static bool
show_progress(void *arg, uint64_t done, uint64_t total)
{
	const struct scrub_show *s = arg;

	if (s->terminal)
		(void)fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " MiB  ",
		    done >> 20, total >> 20);
	return (true);
}

static void
show_bad(void *arg, const struct store_damage *d)
{
	const struct scrub_show *s = arg;

	if (s->j != NULL) {
		json_object(s->j, NULL);
		json_u64(s->j, "ino", d->ino);
		json_str(s->j, "path", d->path);
		json_u64(s->j, "offset", d->off);
		json_str(s->j, "error", err_name(d->e));
		json_str(s->j, "what", d->what);
		json_close(s->j, '}');
		return;
	}
	(void)printf("inode %" PRIu64 " at %" PRIu64 ": ", d->ino, d->off);
	if (d->path != NULL) {
		cmd_put_name(stdout, d->path);
		(void)printf(": ");
	}
	cmd_put_name(stdout, d->what);
	(void)putchar('\n');
}

static void
scrub_json(struct json *j, const struct store_scrub_result *r)
{
	json_close(j, ']');
	json_bool(j, "clean", r->bad == 0);
	json_u64(j, "bad", r->bad);
	json_u64(j, "files", r->files);
	json_u64(j, "blocks", r->blocks);
	json_u64(j, "bytes", r->bytes);
	json_u64(j, "skipped", r->skipped);
	json_close(j, '}');
}

static void
scrub_text(const struct store_scrub_result *r)
{
	(void)printf("%" PRIu64 " files, %" PRIu64 " blocks, %" PRIu64
		     " bytes: ",
	    r->files, r->blocks, r->bytes);
	if (r->bad == 0)
		(void)printf("clean");
	else
		(void)printf("%" PRIu64 " damaged places", r->bad);
	if (r->skipped != 0)
		(void)printf(", %" PRIu64 " files skipped: their keys are out "
			     "of use",
		    r->skipped);
	(void)putchar('\n');
}

/* What a mount tells of its scrub, shown as if it were ours. */
struct scrub_heard {
	const struct store_scrub_opts *o;
	struct store_scrub_result *r;
	bool counted, named;
	char path[STORE_SHOWN_MAX + 1]; /* of the next damage, if ${named} */
};

static void
hear_bad(struct scrub_heard *h, const struct control_answer *a)
{
	const struct store_damage d = { .ino = a->num[0],
		.off = a->num[1],
		.path = h->named ? h->path : NULL,
		.e = a->e,
		.what = a->text };

	h->r->bad++;
	h->named = false;
	h->o->bad(h->o->arg, &d);
}

static void
hear_scrub(void *arg, const struct control_answer *a)
{
	struct scrub_heard *h = arg;
	uint64_t *const to[] = { &h->r->files, &h->r->blocks, &h->r->bytes,
		&h->r->bad, &h->r->skipped };

	if (a->kind == CONTROL_PROGRESS)
		(void)h->o->progress(h->o->arg, a->num[0], a->num[1]);
	if (a->kind == CONTROL_BAD)
		hear_bad(h, a);
	if (a->kind == CONTROL_ROW && a->n == 1) {
		h->named = true;
		(void)snprintf(h->path, sizeof(h->path), "%s", a->field[0]);
	}
	if (a->kind != CONTROL_ROW || a->n != COUNTOF(to))
		return;
	h->counted = true;
	for (size_t i = 0; i < COUNTOF(to); i++)
		h->counted =
		    h->counted && args_number(a->field[i], to[i]) == OK;
}

static enum err
scrub(struct reach *re, const struct store_scrub_opts *o,
    struct store_scrub_result *ret)
{
	const struct control_req req = {
		.op = CONTROL_SCRUB,
		.keys = o->keys,
		.rate = o->rate,
	};
	struct scrub_heard h = { .o = o, .r = ret };

	if (re->st != NULL)
		return (store_scrub(re->st, o, ret));
	TRY(reach_ask(re, &req, hear_scrub, &h));
	return (h.counted ? OK : ERR_PARSE);
}

int
cmd_scrub(const struct args *a)
{
	const bool as_json = a->opt[OPT_JSON] != NULL;
	/* It reads stores that may be damaged: nothing is freed. */
	const struct store_opts how = { .check = true };
	struct scrub_show s = { .terminal = isatty(STDERR_FILENO) == 1 };
	struct store_scrub_opts o = { .keys = a->opt[OPT_KEYS] != NULL,
		.who = &cmd_who,
		.progress = show_progress,
		.bad = show_bad,
		.arg = &s };
	struct store_scrub_result r = { .bad = 0 };
	struct reach re;
	struct json j;
	int code;
	enum err e;

	if (a->opt[OPT_RATE] != NULL &&
	    args_size(a->opt[OPT_RATE], &o.rate) != OK)
		return (cmd_usage(a->cmd, "--rate: %s", err_detail(ERR_INVAL)));
	if (!reach_open(a, &how, &re, &e))
		return (not_opened(e));
	json_begin(&j);
	if (as_json) {
		json_object(&j, NULL);
		json_array(&j, "list");
		s.j = &j;
	}
	e = scrub(&re, &o, &r);
	code = r.bad == 0 ? EXIT_DONE : EXIT_LEFT;
	if (s.terminal)
		(void)fputc('\n', stderr);
	if (as_json) {
		scrub_json(&j, &r);
		if (cmd_json_end(&j) != EXIT_DONE)
			code = EXIT_UNCHECKED;
	} else if (e == OK) {
		scrub_text(&r);
	}
	if (e != OK) {
		(void)cmd_fail(e, "store: could not be read to the end");
		code = EXIT_UNCHECKED;
	}
	return (reach_close(&re, 0) == EXIT_DONE ? code : EXIT_UNCHECKED);
}
