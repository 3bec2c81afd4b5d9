/*
 * common: messages, and opening what the options name.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cmd.h"

struct kms_who cmd_who = { .user = KMS_ROOT_USER, .agent = "cli" };

void
cmd_who_set(const struct args *a)
{
	cmd_who.tenant = a->opt[OPT_TENANT];
	if (a->opt[OPT_AS] != NULL)
		cmd_who.user = a->opt[OPT_AS];
}

/*
 * What a person can do about an error; NULL when the reason says it all.  The
 * switch has no default, so that a new error is decided on here too.
 */
static const char *
advice(enum err e)
{
	switch (e) {
	case ERR_LOCKED:
		return ("unmount it first, or change it through the mount");
	case ERR_NOTSTORE:
		return ("name a store with --store or SSEFS_STORE, or make "
			"one: ssefs init");
	case ERR_VERSION:
		return ("use a newer ssefs");
	case ERR_ROOTKEY:
		return ("name the right key with --root-key, "
			"--passphrase-file or --credential");
	case ERR_CORRUPT:
		return ("run: ssefs fsck");
	case ERR_NOKEY:
		return ("ssefs key ls shows the keys there are; an alias "
			"is written alias/NAME");
	case ERR_KEYREVOKED:
		return ("ssefs key enable brings it back");
	case ERR_KEYDELETION:
		return ("ssefs key cancel-deletion keeps it");
	case ERR_NOTEMPTY:
		return ("remove its files first");
	case ERR_NOSPC:
		return ("make room and try again");
	case ERR_FAILSTOP:
		return ("look at the disk, then run: ssefs fsck");
	case OK:
	case ERR_NOMEM:
	case ERR_IO:
	case ERR_CRYPTO:
	case ERR_AUTH:
	case ERR_PERM:
	case ERR_ACCESS:
	case ERR_NOENT:
	case ERR_EXIST:
	case ERR_NOTDIR:
	case ERR_ISDIR:
	case ERR_INVAL:
	case ERR_NAMETOOLONG:
	case ERR_FBIG:
	case ERR_MLINK:
	case ERR_XDEV:
	case ERR_ROFS:
	case ERR_BUSY:
	case ERR_NODATA:
	case ERR_RANGE:
	case ERR_2BIG:
	case ERR_NOTSUP:
	case ERR_STALE:
	case ERR_NXIO:
	case ERR_KEYEXPIRED:
	case ERR_KEYSTATE:
	case ERR_TIMEDOUT:
	case ERR_KEYINUSE:
	case ERR_KEYMISMATCH:
	case ERR_BADGRANT:
	case ERR_GRANTTOKEN:
	case ERR_BADTOKEN:
	case ERR_TOKENEXPIRED:
	case ERR_MATERIAL:
	case ERR_DRYRUN:
	case ERR_LIMIT:
	case ERR_PARSE:
	case ERR_BADF:
	case ERR_INTERNAL:
	case ERR_COUNT_:
		return (NULL);
	}
	return (NULL);
}

int
cmd_fail(enum err e, const char *fmt, ...)
{
	/* Copied first: printing below must not meet a newer sentence. */
	char reason[512];
	const char *what = advice(e);
	va_list ap;

	(void)snprintf(reason, sizeof(reason), "%s", err_detail(e));
	(void)fflush(stdout);
	(void)fprintf(stderr, "ssefs: ");
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	/* A sentence with a semicolon or a bracket brings its own advice. */
	if (what != NULL && strpbrk(reason, ";(") == NULL)
		(void)fprintf(stderr, ": %s; %s\n", reason, what);
	else
		(void)fprintf(stderr, ": %s\n", reason);
	return (EXIT_FAILED);
}

int
cmd_json_end(struct json *j)
{
	const enum err e = json_end(j);

	return (e == OK ? EXIT_DONE : cmd_fail(e, "output"));
}

void
cmd_list_begin(struct cmd_list *l, const struct args *a, const char *heading)
{
	l->j = a->opt[OPT_JSON] != NULL ? &l->array : NULL;
	if (l->j != NULL) {
		json_begin(l->j);
		json_array(l->j, NULL);
	} else if (heading != NULL) {
		(void)printf("%s\n", heading);
	}
}

int
cmd_list_end(struct cmd_list *l)
{
	if (l->j == NULL)
		return (EXIT_DONE);
	json_close(l->j, ']');
	return (cmd_json_end(l->j));
}

void
cmd_put_name(FILE *f, const char *s)
{
	for (; *s != '\0'; s++) {
		const unsigned char c = (unsigned char)*s;

		(void)fputc(c < 0x20 || c == 0x7f ? '?' : c, f);
	}
}

const char *
cmd_store_dir(const struct args *a)
{
	if (a->store == NULL)
		(void)cmd_usage(a->cmd, "no store was named; give --store DIR "
					"or set SSEFS_STORE");
	return (a->store);
}

bool
cmd_open_kms(const struct args *a, struct kms **ret)
{
	struct root root CLEANUP_ROOT = { .given = false };
	const char *dir = cmd_store_dir(a);
	struct buf path CLEANUP_BUF;
	enum err e;

	buf_init(&path, 4096);
	if (dir == NULL)
		return (false);
	e = buf_printf(&path, "%s/keys.db", dir);
	if (e == OK && access((const char *)path.p, F_OK) != 0) {
		const bool store = errno == ENOENT && access(dir, F_OK) == 0;

		e = store ? err_fail(ERR_NOENT,
				"it has no keystore; a store made with "
				"--no-kms has no keys")
			  : err_from_errno(errno);
		if (!store && e == ERR_NOENT)
			e = err_fail(ERR_NOTSTORE, "there is no such store");
	}
	if (e == OK)
		e = root_get(a, false, &root);
	if (e == OK)
		e = kms_open(
		    (const char *)path.p, root.given ? &root.root : NULL, ret);
	if (e == OK)
		return (true);
	(void)cmd_fail(e, "keystore of \"%s\": cannot be opened", dir);
	return (false);
}

enum err
cmd_try_store(
    const struct args *a, const struct store_opts *how, struct store **ret)
{
	struct root root CLEANUP_ROOT = { .given = false };
	struct store_opts o = { .readonly = false };

	if (how != NULL)
		o = *how;
	o.dir = a->store;
	const enum err e = root_get(a, false, &root);
	/* It is wanted for sealed metadata only. */
	if (e != OK && !o.no_keys)
		return (e);
	o.root = root.given ? &root.root : NULL;
	return (store_open_dir(&o, ret));
}

bool
cmd_open_store(const struct args *a, struct store **ret, enum err *ret_e)
{
	const char *dir = cmd_store_dir(a);
	enum err e = ERR_INVAL;

	if (dir != NULL)
		e = cmd_try_store(a, NULL, ret);
	if (ret_e != NULL)
		*ret_e = e;
	if (e == OK)
		return (true);
	if (dir != NULL)
		(void)cmd_fail(e, "store \"%s\": cannot be opened", dir);
	return (false);
}

int
cmd_close_store(struct store *st, int code)
{
	const enum err e = store_close_dir(st);

	return (e == OK ? code
			: cmd_fail(e, "store: the last change was not kept"));
}
