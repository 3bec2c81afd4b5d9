/*
 * cmd_bucket: make, list and remove buckets, and their default encryption.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cmd.h"

#define BUCKETS_MAX (16u << 20) /* bytes of all bucket names */
#define BUCKET_MODE 0755

int
cmd_bucket_create(const struct args *a)
{
	struct store *st;
	const char *name = a->pos[0];
	enum err e;

	if (!cmd_open_store(a, &st, NULL))
		return (EXIT_FAILED);
	e = store_bucket_create(st, &cmd_who, name, a->opt[OPT_SSE],
	    (uint32_t)getuid(), (uint32_t)getgid(), BUCKET_MODE);
	if (e == OK)
		e = store_sync(st);
	return (cmd_close_store(
	    st, e == OK ? EXIT_DONE
			: cmd_fail(e, "bucket \"%s\": cannot be made", name)));
}

int
cmd_bucket_rm(const struct args *a)
{
	struct store *st;
	enum err e;

	if (!cmd_open_store(a, &st, NULL))
		return (EXIT_FAILED);
	e = store_bucket_remove(st, a->pos[0]);
	return (cmd_close_store(st,
	    e == OK
		? EXIT_DONE
		: cmd_fail(e, "bucket \"%s\": cannot be removed", a->pos[0])));
}

/* Names with a NUL after each; the store must not be called from here. */
static bool
gather(void *arg, const struct store_dirent *e)
{
	return (buf_put(arg, e->name, e->len + 1) == OK);
}

static enum err
each_bucket(struct store *st, const struct buf *names, struct json *j)
{
	char text[STORE_DEFAULT_MAX + 1];
	const char *p = (const char *)names->p;
	const char *const end = p + names->len;

	for (; p != NULL && p < end; p += strlen(p) + 1) {
		uint64_t ino;

		TRY(store_bucket_find(st, p, &ino));
		TRY(store_default_effective(st, ino, text));
		if (j == NULL) {
			(void)printf("%-40s %s\n", p, text);
			continue;
		}
		json_object(j, NULL);
		json_str(j, "name", p);
		json_str(j, "default", text);
		json_close(j, '}');
	}
	return (OK);
}

int
cmd_bucket_ls(const struct args *a)
{
	const bool as_json = a->opt[OPT_JSON] != NULL;
	struct buf names CLEANUP_BUF;
	struct store *st;
	struct json j;
	int code = EXIT_DONE;
	enum err e;

	buf_init(&names, BUCKETS_MAX);
	if (!cmd_open_store(a, &st, NULL))
		return (EXIT_FAILED);
	json_begin(&j);
	e = store_readdir(
	    st, STORE_ROOT, NULL, 0, false, SIZE_MAX, false, gather, &names);
	if (as_json)
		json_array(&j, NULL);
	if (e == OK)
		e = each_bucket(st, &names, as_json ? &j : NULL);
	if (as_json) {
		json_close(&j, ']');
		code = cmd_json_end(&j);
	}
	if (e != OK)
		code = cmd_fail(e, "buckets: cannot be listed");
	return (cmd_close_store(st, code));
}

int
cmd_bucket_encryption_get(const struct args *a)
{
	char text[STORE_DEFAULT_MAX + 1];
	const char *name = a->pos[0];
	struct store *st;
	struct json j;
	uint64_t ino;
	enum err e;

	if (!cmd_open_store(a, &st, NULL))
		return (EXIT_FAILED);
	e = store_bucket_find(st, name, &ino);
	if (e == OK)
		e = store_default_effective(st, ino, text);
	if (e != OK)
		return (cmd_close_store(st,
		    cmd_fail(e, "bucket \"%s\": its encryption is not known",
			name)));
	if (a->opt[OPT_JSON] == NULL) {
		(void)printf("%s\n", text);
		return (cmd_close_store(st, EXIT_DONE));
	}
	json_begin(&j);
	json_object(&j, NULL);
	json_str(&j, "name", name);
	json_str(&j, "default", text);
	json_close(&j, '}');
	return (cmd_close_store(st, cmd_json_end(&j)));
}

int
cmd_bucket_encryption_set(const struct args *a)
{
	const char *name = a->pos[0];
	struct store *st;
	uint64_t ino;
	enum err e;

	if (!cmd_open_store(a, &st, NULL))
		return (EXIT_FAILED);
	e = store_bucket_find(st, name, &ino);
	if (e == OK)
		e = store_default_set(st, &cmd_who, ino, a->pos[1]);
	return (cmd_close_store(
	    st, e == OK ? EXIT_DONE
			: cmd_fail(e,
			      "bucket \"%s\": its encryption cannot be set to "
			      "\"%s\"",
			      name, a->pos[1])));
}
