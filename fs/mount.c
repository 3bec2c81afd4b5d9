#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "crypto/secret.h"
#include "fs/session.h"
#include "lib/base/daemon.h"
#include "lib/base/log.h"
#include "lib/base/trace.h"

#define FUSE_CONF "/etc/fuse.conf"

/* ---- What can be said before anything is opened ---------------------------*/

/* ${dir} is ${top} or lies below it; both absolute and canonical. */
static bool
lies_below(const char *dir, const char *top)
{
	const size_t n = strlen(top);

	return (strncmp(dir, top, n) == 0 &&
		(dir[n] == '/' || dir[n] == '\0' || strcmp(top, "/") == 0));
}

static int
check_mountpoint(const struct fs_opts *o, const char *mp)
{
	struct stat st;

	if (stat(mp, &st) != 0) {
		(void)fprintf(
		    stderr, "ssefs: mountpoint %s: %s\n", mp, strerror(errno));
		return (FS_EXIT_MOUNTPOINT);
	}
	if (!S_ISDIR(st.st_mode)) {
		(void)fprintf(
		    stderr, "ssefs: mountpoint %s: not a directory\n", mp);
		return (FS_EXIT_MOUNTPOINT);
	}
	if (lies_below(o->store, mp)) {
		(void)fprintf(stderr,
		    "ssefs: mountpoint %s: the store %s lies below it and "
		    "would be hidden; choose another\n",
		    mp, o->store);
		return (FS_EXIT_MOUNTPOINT);
	}
	return (FS_EXIT_OK);
}

static int
dead_mount(const char *mp)
{
	(void)fprintf(stderr,
	    "ssefs: mountpoint %s: a mount whose process died is there; "
	    "\"ssefs umount %s\" removes it\n",
	    mp, mp);
	return (FS_EXIT_MOUNTPOINT);
}

/* The canonical mountpoint.  A dead mount still answers stat(2) from the
 * kernel's cache, but not statfs(2). */
static int
resolve_mountpoint(const struct fs_opts *o, char **ret)
{
	struct statfs st;

	*ret = realpath(o->mountpoint, NULL);
	if (*ret != NULL && statfs(*ret, &st) == 0)
		return (FS_EXIT_OK);
	if (errno == ENOTCONN)
		return (dead_mount(o->mountpoint));
	(void)fprintf(stderr, "ssefs: mountpoint %s: %s\n", o->mountpoint,
	    strerror(errno));
	return (FS_EXIT_MOUNTPOINT);
}

/* True when fuse.conf lets ordinary users say allow_other. */
static bool
conf_allows_other(void)
{
	char line[256];
	FILE *f = fopen(FUSE_CONF, "re");
	bool found = false;

	if (f == NULL)
		return (false);
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, " \t\n#")] = '\0';
		found = strcmp(line, "user_allow_other") == 0;
	}
	(void)fclose(f);
	return (found);
}

/* fusermount3 where libfuse looks for it. */
static bool
have_fusermount(void)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	if (access("/usr/bin/fusermount3", X_OK) == 0)
		return (true);
	while (path != NULL && *path != '\0') {
		const size_t n = strcspn(path, ":");

		(void)snprintf(
		    file, sizeof(file), "%.*s/fusermount3", (int)n, path);
		if (access(file, X_OK) == 0)
			return (true);
		path += n + (path[n] == ':');
	}
	return (false);
}

static int
check_fuse(const struct fs_opts *o)
{
	int fd CLEANUP_CLOSE = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		(void)fprintf(stderr,
		    "ssefs: /dev/fuse: %s; the kernel's FUSE is needed "
		    "(\"modprobe fuse\"; in a container, pass the device "
		    "in)\n",
		    strerror(errno));
		return (FS_EXIT_FUSE);
	}
	if (geteuid() == 0)
		return (FS_EXIT_OK);
	if (!have_fusermount()) {
		(void)fprintf(stderr, "ssefs: fusermount3 is missing; users "
				      "need it to mount (package fuse3)\n");
		return (FS_EXIT_FUSE);
	}
	if (o->allow_other && !conf_allows_other()) {
		(void)fprintf(stderr,
		    "ssefs: allow_other: only root may, unless " FUSE_CONF
		    " has a line user_allow_other\n");
		return (FS_EXIT_FUSE);
	}
	return (FS_EXIT_OK);
}

/* ---- Serving, here or in a child ------------------------------------------*/

struct job {
	const struct fs_opts *o;
	const char *mp;
};

/* ${ready} is the pipe to the starter, or -1 in the foreground. */
static int
serve(void *arg, int ready)
{
	const struct job *job = arg;
	const struct fs_opts *o = job->o;
	struct session s;
	int code = FS_EXIT_OK;

	if (o->debug)
		log_set_level(LOG_LVL_DEBUG);
	trace_signals(secret_die);
	session_block_signals();
	code = session_open(&s, o, job->mp);
	if (code == FS_EXIT_OK) {
		if (ready >= 0)
			daemon_silence(o->store, "mount.log");
		daemon_tell(ready, code);
		session_serve(&s);
	}
	if (!session_close(&s) && code == FS_EXIT_OK)
		code = FS_EXIT_COMMIT;
	if (code != FS_EXIT_OK)
		daemon_tell(ready, code);
	return (code);
}

/* See for ourselves that the child's mount works. */
static int
serve_in_child(struct job *job)
{
	bool child = false;
	struct statfs st;
	const int code = daemon_run(serve, job, FS_EXIT_FAILED, &child);

	if (child || code != FS_EXIT_OK || statfs(job->mp, &st) == 0)
		return (code);
	(void)fprintf(stderr,
	    "ssefs: mountpoint %s: the mount does not answer: %s\n", job->mp,
	    strerror(errno));
	return (FS_EXIT_MOUNTPOINT);
}

int
fs_main_mount(const struct fs_opts *o)
{
	struct fs_opts abs = *o;
	char *mp CLEANUP_FREE = NULL;
	char *dir CLEANUP_FREE = realpath(o->store, NULL);
	char *uidmap CLEANUP_FREE = NULL;
	struct job job = { .o = NULL };
	int code = FS_EXIT_OK;

	if (dir == NULL) {
		(void)fprintf(stderr,
		    "ssefs: store %s: %s; \"ssefs init\" makes one\n", o->store,
		    strerror(errno));
		return (FS_EXIT_STORE);
	}
	/* The daemon leaves the working directory. */
	abs.store = dir;
	if (o->uidmap != NULL) {
		uidmap = realpath(o->uidmap, NULL);
		if (uidmap == NULL) {
			(void)fprintf(stderr, "ssefs: option uidmap: %s: %s\n",
			    o->uidmap, strerror(errno));
			return (FS_EXIT_USAGE);
		}
		abs.uidmap = uidmap;
	}
	code = resolve_mountpoint(o, &mp);
	if (code == FS_EXIT_OK)
		code = check_mountpoint(&abs, mp);
	if (code == FS_EXIT_OK)
		code = check_fuse(o);
	if (code != FS_EXIT_OK)
		return (code);
	job = (struct job){ .o = &abs, .mp = mp };
	return (o->foreground ? serve(&job, -1) : serve_in_child(&job));
}
