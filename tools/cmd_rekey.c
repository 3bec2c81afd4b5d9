/*
 * cmd_rekey: data keys wrapped anew, beside a mount too.
 */
#include <inttypes.h>
#include <unistd.h>

#include "kms/providers.h"
#include "tools/control.h"

static bool
show_progress(void *arg, uint64_t done, uint64_t total)
{
	const bool *terminal = arg;

	if (*terminal)
		(void)fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " files  ",
		    done, total);
	return (true);
}

static void
show_bad(void *arg, uint64_t ino, uint64_t off, enum err e, const char *what)
{
	(void)arg;
	(void)off;
	(void)e;
	(void)fprintf(stderr, "ssefs: inode %" PRIu64 ": ", ino);
	cmd_put_name(stderr, what);
	(void)fputc('\n', stderr);
}

/* What a mount tells, shown as if it were ours. */
struct heard {
	const struct store_rekey_opts *o;
	struct store_rekey_result *r;
	bool counted;
};

static void
hear(void *arg, const struct control_answer *a)
{
	struct heard *h = arg;
	uint64_t *const to[] = { &h->r->files, &h->r->rewrapped, &h->r->skipped,
		&h->r->bad };

	if (a->kind == CONTROL_PROGRESS)
		(void)h->o->progress(h->o->arg, a->num[0], a->num[1]);
	if (a->kind == CONTROL_BAD)
		h->o->bad(h->o->arg, a->num[0], a->num[1], a->e, a->text);
	if (a->kind != CONTROL_ROW || a->n != COUNTOF(to))
		return;
	h->counted = true;
	for (size_t i = 0; i < COUNTOF(to); i++)
		h->counted =
		    h->counted && args_number(a->field[i], to[i]) == OK;
}

static enum err
rekey(struct reach *re, const struct store_rekey_opts *o,
    struct store_rekey_result *ret)
{
	struct control_req req = { .op = CONTROL_REKEY, .rate = o->rate };
	struct heard h = { .o = o, .r = ret };

	if (re->st != NULL)
		return (store_rekey(re->st, o, ret));
	if (o->key != NULL)
		TRY(control_set(req.name, o->key));
	TRY(reach_ask(re, &req, hear, &h));
	return (h.counted ? OK : ERR_PARSE);
}

static int
show(const struct args *a, const struct store_rekey_result *r)
{
	struct json j;

	if (a->opt[OPT_JSON] == NULL) {
		(void)printf("%" PRIu64 " files, %" PRIu64 " data keys wrapped "
			     "anew",
		    r->files, r->rewrapped);
		if (r->skipped != 0)
			(void)printf(", %" PRIu64 " files skipped: their keys "
				     "are out of use",
			    r->skipped);
		if (r->bad != 0)
			(void)printf(", %" PRIu64 " damaged", r->bad);
		(void)putchar('\n');
		return (EXIT_DONE);
	}
	json_begin(&j);
	json_object(&j, NULL);
	json_u64(&j, "files", r->files);
	json_u64(&j, "rewrapped", r->rewrapped);
	json_u64(&j, "skipped", r->skipped);
	json_u64(&j, "bad", r->bad);
	json_close(&j, '}');
	return (cmd_json_end(&j));
}

static void
show_move(void *arg, const char *arn, enum err e)
{
	bool *left = arg;

	if (e == OK) {
		(void)fprintf(
		    stderr, "ssefs: %s has a new version there\n", arn);
		return;
	}
	*left = true;
	(void)fprintf(stderr, "ssefs: %s stays: ", arn);
	cmd_put_name(stderr, err_detail(e));
	(void)fputc('\n', stderr);
}

/* The keys first; files follow them, here or in the mount, which learns of the
 * new versions before this is done.  What was done is passed over next time. */
static enum err
move(const struct args *a, const char *to, bool *ret_left)
{
	struct kms *k CLEANUP_KMS = NULL;
	const char *key = a->opt[OPT_KEY];
	bool moved;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (ERR_IO);
	if (key == NULL)
		return (kms_keys_move(k, &cmd_who, to, show_move, ret_left));
	e = kms_key_move(k, &cmd_who, key, to, &moved);
	if (moved)
		show_move(ret_left, key, e);
	return (e);
}

int
cmd_rekey(const struct args *a)
{
	bool terminal = isatty(STDERR_FILENO) == 1;
	struct store_rekey_opts o = { .who = &cmd_who,
		.key = a->opt[OPT_KEY],
		.progress = show_progress,
		.bad = show_bad,
		.arg = &terminal };
	struct store_rekey_result r = { .bad = 0 };
	struct reach re;
	bool left = false;
	int code;
	enum err e;

	if (a->opt[OPT_FILES_RATE] != NULL &&
	    (args_number(a->opt[OPT_FILES_RATE], &o.rate) != OK || o.rate == 0))
		return (cmd_usage(a->cmd,
		    "--rate: \"%s\" is not a number of "
		    "files",
		    a->opt[OPT_FILES_RATE]));
	if (a->opt[OPT_TO] != NULL) {
		e = move(a, a->opt[OPT_TO], &left);
		if (e != OK)
			return (cmd_fail(e,
			    "rekey: the keys cannot be moved to \"%s\"",
			    a->opt[OPT_TO]));
	}
	if (!reach_open(a, NULL, &re, NULL))
		return (EXIT_FAILED);
	e = rekey(&re, &o, &r);
	if (terminal)
		(void)fputc('\n', stderr);
	if (e != OK)
		return (reach_close(
		    &re, cmd_fail(e, "rekey: could not be done to the end")));
	code = show(a, &r);
	if (code == EXIT_DONE && (left || r.skipped != 0 || r.bad != 0))
		code = EXIT_LEFT;
	return (reach_close(&re, code));
}
