/*
 * cmd_stat: the encryption status of paths on a mount: stat and ls.
 */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tools/cmd.h"
#include "tools/sse.h"

static void
show_stat(const char *path, const struct stat *sb, const struct sse_view *v)
{
	char mode[11], when[CLOCK_ISO_LEN + 1];

	sse_mode(sb->st_mode, mode);
	clock_iso(sb->st_mtim.tv_sec, when);
	(void)printf("path       ");
	cmd_put_name(stdout, path);
	(void)printf("\n"
		     "type       %s\n"
		     "mode       %s (%04o)\n"
		     "owner      %u:%u\n"
		     "size       %" PRId64 "\n"
		     "modified   %s\n",
	    sse_kind(sb->st_mode), mode, (unsigned)(sb->st_mode & 07777),
	    (unsigned)sb->st_uid, (unsigned)sb->st_gid, (int64_t)sb->st_size,
	    when);
	if (S_ISDIR(sb->st_mode))
		(void)printf("default    %s\n",
		    v->def[0] != '\0' ? v->def : "(as the directory above)");
	if (!S_ISREG(sb->st_mode))
		return;
	(void)printf("encrypted  %s\n", v->status);
	if (v->algorithm[0] != '\0')
		(void)printf("algorithm  %s\n", v->algorithm);
	if (v->key_id[0] != '\0')
		(void)printf("key        %s\n", v->key_id);
	if (v->etag[0] != '\0')
		(void)printf("etag       %s\n", v->etag);
}

/* lstat and the attributes of ${path}; complains itself. */
static bool
look(const char *path, struct stat *sb, struct sse_view *v)
{
	enum err e;

	if (lstat(path, sb) != 0) {
		(void)cmd_fail(
		    err_fail(err_from_errno(errno), "%s", strerror(errno)),
		    "\"%s\"", path);
		return (false);
	}
	e = sse_view(path, sb, v);
	if (e != OK)
		(void)cmd_fail(e, "\"%s\": its encryption is not known", path);
	return (e == OK);
}

int
cmd_stat(const struct args *a)
{
	struct cmd_list l;
	int code = EXIT_DONE;

	cmd_list_begin(&l, a, NULL);
	for (int i = 0; i < a->npos; i++) {
		struct sse_view v;
		struct stat sb;

		if (!look(a->pos[i], &sb, &v)) {
			code = EXIT_FAILED;
			continue;
		}
		if (l.j != NULL) {
			json_object(l.j, NULL);
			json_str(l.j, "path", a->pos[i]);
			sse_json(l.j, &sb, &v);
			json_close(l.j, '}');
			continue;
		}
		if (i > 0)
			(void)putchar('\n');
		show_stat(a->pos[i], &sb, &v);
	}
	const int end = cmd_list_end(&l);

	return (code != EXIT_DONE ? code : end);
}

struct ls {
	bool sse;
	struct cmd_list out;
};

static void
owner(const struct stat *sb, char *ret, size_t size)
{
	const struct passwd *pw = getpwuid(sb->st_uid);
	const struct group *gr = getgrgid(sb->st_gid);
	char uid[16], gid[16];

	(void)snprintf(uid, sizeof(uid), "%u", (unsigned)sb->st_uid);
	(void)snprintf(gid, sizeof(gid), "%u", (unsigned)sb->st_gid);
	(void)snprintf(ret, size, "%-8s %-8s", pw != NULL ? pw->pw_name : uid,
	    gr != NULL ? gr->gr_name : gid);
}

static const char *
or_dash(const char *s)
{
	return (s[0] != '\0' ? s : "-");
}

static void
show_entry(const struct ls *l, const char *name, const struct stat *sb,
    const struct sse_view *v)
{
	char mode[11], who[80], when[20];
	struct tm tm;

	sse_mode(sb->st_mode, mode);
	owner(sb, who, sizeof(who));
	(void)localtime_r(&sb->st_mtim.tv_sec, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
	(void)printf("%s %3ju %s %12" PRId64 " %s", mode,
	    (uintmax_t)sb->st_nlink, who, (int64_t)sb->st_size, when);
	if (l->sse && S_ISDIR(sb->st_mode))
		(void)printf(" %-3s %-7s %-75s", "-", "-", or_dash(v->def));
	else if (l->sse)
		(void)printf(" %-3s %-7s %-75s", or_dash(v->status),
		    or_dash(v->algorithm), or_dash(v->key_id));
	(void)putchar(' ');
	cmd_put_name(stdout, name);
	(void)putchar('\n');
}

/* One line; ${path} is where ${name} stands. */
static bool
list_one(const struct ls *l, const char *path, const char *name)
{
	struct sse_view v = { .status = "" };
	struct stat sb;

	if (!l->sse && l->out.j == NULL) {
		if (lstat(path, &sb) == 0) {
			show_entry(l, name, &sb, &v);
			return (true);
		}
		(void)cmd_fail(err_from_errno(errno), "\"%s\"", path);
		return (false);
	}
	if (!look(path, &sb, &v))
		return (false);
	if (l->out.j == NULL) {
		show_entry(l, name, &sb, &v);
		return (true);
	}
	json_object(l->out.j, NULL);
	json_str(l->out.j, "name", name);
	sse_json(l->out.j, &sb, &v);
	json_close(l->out.j, '}');
	return (true);
}

static void
free_names(struct dirent ***list, int n)
{
	for (int i = 0; i < n; i++)
		free((*list)[i]);
	free(*list);
}

static bool
list_dir(const struct ls *l, const char *dir, bool all)
{
	struct dirent **names = NULL;
	const int n = scandir(dir, &names, NULL, alphasort);
	char path[PATH_MAX];
	bool good = true;

	if (n < 0) {
		(void)cmd_fail(
		    err_fail(err_from_errno(errno), "%s", strerror(errno)),
		    "\"%s\": cannot be listed", dir);
		return (false);
	}
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		    (name[0] == '.' && !all))
			continue;
		const int len =
		    snprintf(path, sizeof(path), "%s/%s", dir, name);

		if (len < 0 || (size_t)len >= sizeof(path)) {
			(void)cmd_fail(ERR_NAMETOOLONG, "\"%s/%s\"", dir, name);
			good = false;
		} else if (!list_one(l, path, name)) {
			good = false;
		}
	}
	free_names(&names, n);
	return (good);
}

int
cmd_ls(const struct args *a)
{
	const char *here = ".";
	const char *const *paths =
	    a->npos > 0 ? (const char *const *)a->pos : &here;
	const int npaths = a->npos > 0 ? a->npos : 1;
	struct ls l = { .sse = a->opt[OPT_LS_SSE] != NULL };
	int code = EXIT_DONE;

	cmd_list_begin(&l.out, a, NULL);
	for (int i = 0; i < npaths; i++) {
		struct stat sb;
		const bool dir =
		    lstat(paths[i], &sb) == 0 && S_ISDIR(sb.st_mode);

		if (dir && npaths > 1 && l.out.j == NULL)
			(void)printf("%s:\n", paths[i]);
		if (dir ? !list_dir(&l, paths[i], a->opt[OPT_ALL] != NULL)
			: !list_one(&l, paths[i], paths[i]))
			code = EXIT_FAILED;
	}
	const int end = cmd_list_end(&l.out);

	return (code != EXIT_DONE ? code : end);
}
