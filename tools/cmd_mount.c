/*
 * cmd_mount: "ssefs mount", and mount.ssefs for mount(8).
 */
#include <stdlib.h>
#include <string.h>

#include "fs/mount.h"
#include "tools/control.h"
#include "tools/serve.h"

#define WORDS_MAX 8

static int
bad_opts(const struct args *a, enum err e)
{
	char reason[512];

	(void)snprintf(reason, sizeof(reason), "%s", err_detail(e));
	if (e == ERR_NOMEM)
		return (cmd_fail(e, "mount"));
	return (cmd_usage(a->cmd, "%s", reason));
}

/* Parse ${argv} on top of what --store or the environment says, and mount. */
static int
mount_words(const struct args *a, int argc, char *const argv[])
{
	struct fs_opts o CLEANUP(fs_opts_release);
	struct root root CLEANUP_ROOT = { .given = false };
	struct serve_local local;
	char *dir CLEANUP_FREE = NULL;
	enum err e;

	fs_opts_init(&o);
	if (a->store != NULL) {
		o.store = strdup(a->store);
		if (o.store == NULL)
			return (cmd_fail(ERR_NOMEM, "mount"));
	}
	e = fs_opts_parse(&o, argc, argv);
	if (e != OK)
		return (bad_opts(a, e));
	if (a->opt[OPT_FAKE] != NULL)
		return (FS_EXIT_OK);
	e = root_get(a, false, &root);
	if (e == OK)
		e = root_keep_over_fork(&root);
	if (e != OK) {
		(void)cmd_fail(e, "store \"%s\": cannot be opened", o.store);
		return (FS_EXIT_KEY);
	}
	o.root = root.given ? &root.root : NULL;
	/* The daemon leaves the working directory. */
	dir = realpath(o.store, NULL);
	serve_local_init(&local, dir != NULL ? dir : o.store);
	o.hooks = &local.hooks;
	reach_make_way(o.store);
	return (fs_main_mount(&o));
}

int
cmd_mount(const struct args *a)
{
	return (mount_words(a, a->npos, a->pos));
}

/* The value when ${word} (${len} bytes) is ${name}=VALUE; else NULL. */
static char *
value_of(const char *word, size_t len, const char *name)
{
	const size_t n = strlen(name);

	if (len <= n || strncmp(word, name, n) != 0 || word[n] != '=')
		return (NULL);
	return (strndup(word + n + 1, len - n - 1));
}

/*
 * fstab has only the -o list to say how the store opens: take those words out
 * of ${list}, into ${b}.  What they name is kept in ${keep}.
 */
static enum err
split_list(
    struct args *b, const char *list, struct buf *rest, char *keep[static 3])
{
	static const struct {
		const char *name;
		enum opt opt;
	} ours[3] = { { "passphrase_file", OPT_PASSPHRASE_FILE },
		{ "root_key", OPT_ROOT_KEY },
		{ "credential", OPT_CREDENTIAL } };

	while (*list != '\0') {
		const size_t len = strcspn(list, ",");
		bool mine = false;

		for (size_t i = 0; i < COUNTOF(ours); i++) {
			char *value = value_of(list, len, ours[i].name);

			if (value == NULL)
				continue;
			free(keep[i]);
			keep[i] = value;
			b->opt[ours[i].opt] = value;
			mine = true;
		}
		if (!mine) {
			TRY(buf_put(rest, list, len));
			TRY(buf_put_str(rest, ","));
		}
		list += len + (list[len] == ',');
	}
	return (OK);
}

int
cmd_mount_helper(const struct args *a)
{
	static char dash_o[] = "-o", ro[] = "ro", end[] = "--";
	char *keep[3] = { NULL, NULL, NULL };
	char *words[WORDS_MAX];
	struct buf rest CLEANUP_BUF;
	struct args b = *a;
	int n = 0, code;
	enum err e = OK;

	buf_init(&rest, a->options.max);
	if (a->options.len != 0)
		e = split_list(&b, (const char *)a->options.p, &rest, keep);
	if (a->opt[OPT_READONLY] != NULL) {
		words[n++] = dash_o;
		words[n++] = ro;
	}
	if (rest.len != 0) {
		words[n++] = dash_o;
		words[n++] = (char *)rest.p;
	}
	words[n++] = end;
	words[n++] = a->pos[0];
	words[n++] = a->pos[1];
	code = e == OK ? mount_words(&b, n, words) : bad_opts(a, e);
	for (size_t i = 0; i < COUNTOF(keep); i++)
		free(keep[i]);
	return (code);
}
