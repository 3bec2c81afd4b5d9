/*
 * cmd_bucket: make, list and remove buckets, and their default encryption; in a
 * store that is mounted, through the mount.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/control.h"

#define LIST_MAX (32u << 20) /* bytes of all buckets' names and defaults */

/* Ask the mount something about the bucket ${name}. */
static enum err
ask(struct reach *r, enum control_op op, const char *name, const char *text,
    void (*hear)(void *arg, const struct control_answer *a), void *arg)
{
	struct control_req req = { .op = op, .has_text = text != NULL };

	TRY(control_set(req.name, name));
	if (text != NULL)
		TRY(control_set(req.text, text));
	return (reach_ask(r, &req, hear, arg));
}

static enum err
create(struct reach *r, const char *name, const char *sse)
{
	if (r->st == NULL)
		return (ask(r, CONTROL_BUCKET_CREATE, name, sse, NULL, NULL));
	TRY(store_bucket_create(r->st, &cmd_who, name, sse, (uint32_t)getuid(),
	    (uint32_t)getgid(), CONTROL_BUCKET_MODE));
	return (store_sync(r->st));
}

int
cmd_bucket_create(const struct args *a)
{
	const char *name = a->pos[0];
	struct reach r;
	enum err e;

	if (!reach_open(a, NULL, &r, NULL))
		return (EXIT_FAILED);
	e = create(&r, name, a->opt[OPT_SSE]);
	return (reach_close(
	    &r, e == OK ? EXIT_DONE
			: cmd_fail(e, "bucket \"%s\": cannot be made", name)));
}

int
cmd_bucket_rm(const struct args *a)
{
	const char *name = a->pos[0];
	struct reach r;
	enum err e;

	if (!reach_open(a, NULL, &r, NULL))
		return (EXIT_FAILED);
	e = r.st != NULL ? store_bucket_remove(r.st, name)
			 : ask(&r, CONTROL_BUCKET_RM, name, NULL, NULL, NULL);
	return (reach_close(&r,
	    e == OK ? EXIT_DONE
		    : cmd_fail(e, "bucket \"%s\": cannot be removed", name)));
}

/* ---- Listing --------------------------------------------------------------*/

/* Names with a NUL after each; the store must not be called from here. */
static bool
gather(void *arg, const struct store_dirent *e)
{
	return (buf_put(arg, e->name, e->len + 1) == OK);
}

/* Name and default of each bucket, a NUL after each, into ${list}. */
static enum err
list_local(struct store *st, struct buf *list)
{
	char text[STORE_DEFAULT_MAX + 1];
	struct buf names CLEANUP_BUF;
	size_t len;

	buf_init(&names, LIST_MAX);
	TRY(store_readdir(
	    st, STORE_ROOT, NULL, 0, false, SIZE_MAX, false, gather, &names));
	for (size_t at = 0; at < names.len; at += len + 1) {
		const char *name = (const char *)names.p + at;
		uint64_t ino;

		len = strlen(name);
		TRY(store_bucket_find(st, name, &ino));
		TRY(store_default_effective(st, ino, text));
		TRY(buf_put(list, name, len + 1));
		TRY(buf_put(list, text, strlen(text) + 1));
	}
	return (OK);
}

struct heard {
	struct buf *list;
	enum err e;
};

static void
hear_bucket(void *arg, const struct control_answer *a)
{
	struct heard *h = arg;

	if (h->e == OK && (a->kind != CONTROL_ROW || a->n != 2))
		h->e = ERR_PARSE;
	for (size_t i = 0; i < 2 && h->e == OK; i++)
		h->e = buf_put(h->list, a->field[i], strlen(a->field[i]) + 1);
}

/* All of it before anything is shown: a pager must not make the mount wait. */
static enum err
list_mounted(struct reach *r, struct buf *list)
{
	const struct control_req req = { .op = CONTROL_BUCKET_LS };
	struct heard h = { .list = list };

	TRY(reach_ask(r, &req, hear_bucket, &h));
	return (h.e);
}

static void
show_buckets(const struct buf *list, struct json *j)
{
	for (size_t at = 0; at < list->len;) {
		const char *name = (const char *)list->p + at;
		const char *text = name + strlen(name) + 1;

		at = (size_t)(text + strlen(text) + 1 - (const char *)list->p);
		if (j == NULL) {
			(void)printf("%-40s %s\n", name, text);
			continue;
		}
		json_object(j, NULL);
		json_str(j, "name", name);
		json_str(j, "default", text);
		json_close(j, '}');
	}
}

int
cmd_bucket_ls(const struct args *a)
{
	struct buf list CLEANUP_BUF;
	struct cmd_list out;
	struct reach r;
	enum err e;

	buf_init(&list, LIST_MAX);
	if (!reach_open(a, NULL, &r, NULL))
		return (EXIT_FAILED);
	e = r.st != NULL ? list_local(r.st, &list) : list_mounted(&r, &list);
	cmd_list_begin(&out, a, NULL);
	/* What was learnt before a failure may end within a pair. */
	if (e == OK)
		show_buckets(&list, out.j);
	int code = cmd_list_end(&out);

	if (e != OK)
		code = cmd_fail(e, "buckets: cannot be listed");
	return (reach_close(&r, code));
}

/* ---- Default encryption ---------------------------------------------------*/

static void
hear_default(void *arg, const struct control_answer *a)
{
	if (a->kind == CONTROL_ROW && a->n == 1)
		(void)snprintf(arg, STORE_DEFAULT_MAX, "%s", a->field[0]);
}

static enum err
get_default(struct reach *r, const char *name, char *ret)
{
	uint64_t ino;

	ret[0] = '\0';
	if (r->st == NULL) {
		TRY(ask(
		    r, CONTROL_ENCRYPTION_GET, name, NULL, hear_default, ret));
		return (ret[0] != '\0' ? OK : ERR_PARSE);
	}
	TRY(store_bucket_find(r->st, name, &ino));
	return (store_default_effective(r->st, ino, ret));
}

int
cmd_bucket_encryption_get(const struct args *a)
{
	char text[STORE_DEFAULT_MAX + 1];
	const char *name = a->pos[0];
	struct reach r;
	struct json j;
	enum err e;

	if (!reach_open(a, NULL, &r, NULL))
		return (EXIT_FAILED);
	e = get_default(&r, name, text);
	if (e != OK)
		return (reach_close(&r,
		    cmd_fail(e, "bucket \"%s\": its encryption is not known",
			name)));
	if (a->opt[OPT_JSON] == NULL) {
		(void)printf("%s\n", text);
		return (reach_close(&r, EXIT_DONE));
	}
	json_begin(&j);
	json_object(&j, NULL);
	json_str(&j, "name", name);
	json_str(&j, "default", text);
	json_close(&j, '}');
	return (reach_close(&r, cmd_json_end(&j)));
}

static enum err
set_default(struct reach *r, const char *name, const char *text)
{
	uint64_t ino;

	if (r->st == NULL)
		return (ask(r, CONTROL_ENCRYPTION_SET, name, text, NULL, NULL));
	TRY(store_bucket_find(r->st, name, &ino));
	return (store_default_set(r->st, &cmd_who, ino, text));
}

int
cmd_bucket_encryption_set(const struct args *a)
{
	const char *name = a->pos[0];
	struct reach r;
	enum err e;

	if (!reach_open(a, NULL, &r, NULL))
		return (EXIT_FAILED);
	e = set_default(&r, name, a->pos[1]);
	return (reach_close(
	    &r, e == OK ? EXIT_DONE
			: cmd_fail(e,
			      "bucket \"%s\": its encryption cannot be set to "
			      "\"%s\"",
			      name, a->pos[1])));
}
