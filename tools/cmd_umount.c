/*
 * cmd_umount: unmount, and wait until the daemon has closed the store.
 *
 * The kernel forgets a FUSE mount before the daemon has committed and let go
 * of the store.  So the daemon's process is looked up first and its end
 * awaited, through a descriptor that a later process of the same number
 * cannot be mistaken for.  After "ssefs umount" the store can be checked,
 * copied, or mounted again.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tools/cmd.h"

#define WAIT_SECS 60
#define WAIT_MAX 86400
#define FSTYPE "fuse.ssefs"
#define PID_XATTR "user.sse.store-pid"

/* A dead mount cannot be looked at: resolve what stands above it. */
static enum err
resolve(const char *dir, char ret[static PATH_MAX])
{
	char copy[PATH_MAX], above[PATH_MAX];
	const char *base;
	char *slash;
	size_t len = strlen(dir);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (len >= sizeof(copy))
		return (ERR_NAMETOOLONG);
	memcpy(copy, dir, len);
	copy[len] = '\0';
	slash = strrchr(copy, '/');
	base = slash != NULL ? slash + 1 : copy;
	if (base[0] == '\0' || strcmp(base, ".") == 0 ||
	    strcmp(base, "..") == 0)
		return (
		    realpath(copy, ret) != NULL ? OK : err_from_errno(errno));
	if (slash != NULL)
		*slash = '\0';
	if (realpath(slash == NULL ? "." : (slash == copy ? "/" : copy),
		above) == NULL)
		return (err_from_errno(errno));
	if ((size_t)snprintf(ret, PATH_MAX, "%s/%s",
		strcmp(above, "/") == 0 ? "" : above, base) >= PATH_MAX)
		return (ERR_NAMETOOLONG);
	return (OK);
}

/* Undo the kernel's \ooo in place. */
static void
unescape(char *s)
{
	char *to = s;

	while (*s != '\0') {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
		    s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
				       (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* Is the topmost mount at ${path} one of ours? */
static enum err
check_mount(const char *path)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool any = false, ours = false;
	char *line = NULL;
	size_t size = 0;

	if (f == NULL)
		return (err_from_errno(errno));
	while (getline(&line, &size, f) > 0) {
		char *type = strstr(line, " - ");
		char *where = line;

		for (int i = 0; i < 4 && where != NULL; i++) {
			where = strchr(where, ' ');
			where = where != NULL ? where + 1 : NULL;
		}
		if (type == NULL || where == NULL)
			continue;
		type += 3;
		type[strcspn(type, " \n")] = '\0';
		where[strcspn(where, " ")] = '\0';
		unescape(where);
		if (strcmp(where, path) == 0) {
			any = true;
			ours = strcmp(type, FSTYPE) == 0;
		}
	}
	free(line);
	(void)fclose(f);
	if (!any)
		return (err_fail(ERR_INVAL, "it is not mounted"));
	return (ours ? OK : err_fail(ERR_INVAL, "it is not an ssefs mount"));
}

/* The daemon's process, asked from the mount, else from the store's lock. */
static pid_t
daemon_of(const struct args *a, const char *path)
{
	char text[32], lock[PATH_MAX];
	ssize_t n = getxattr(path, PID_XATTR, text, sizeof(text) - 1);
	FILE *f;
	size_t got;

	if (n > 0) {
		text[n] = '\0';
		return ((pid_t)strtol(text, NULL, 10));
	}
	/* A dead mount has no daemon left to wait for. */
	if (errno == ENOTCONN)
		return (0);
	if (a->store == NULL || (size_t)snprintf(lock, sizeof(lock), "%s/lock",
				    a->store) >= sizeof(lock))
		return (0);
	f = fopen(lock, "re");
	if (f == NULL)
		return (0);
	got = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[got] = '\0';
	return ((pid_t)strtol(text + strcspn(text, "0123456789"), NULL, 10));
}

/* Users other than root unmount through fusermount3. */
static enum err
by_fusermount(const char *path, bool lazy)
{
	const pid_t pid = fork();
	int status;

	if (pid < 0)
		return (err_from_errno(errno));
	if (pid == 0) {
		if (lazy)
			(void)execlp("fusermount3", "fusermount3", "-u", "-z",
			    "--", path, (char *)NULL);
		else
			(void)execlp("fusermount3", "fusermount3", "-u", "--",
			    path, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return (err_from_errno(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return (OK);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return (err_fail(
		    ERR_PERM, "fusermount3 cannot be run; install fuse3"));
	return (err_fail(ERR_BUSY, "fusermount3 could not unmount it"));
}

static enum err
unmount(const char *path, bool lazy)
{
	if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return (OK);
	if (errno == EPERM)
		return (by_fusermount(path, lazy));
	if (errno == EBUSY)
		return (err_fail(ERR_BUSY,
		    "files or directories in it are in use; leave them "
		    "(fuser -vm shows by whom), or use --lazy"));
	return (err_fail(err_from_errno(errno), "%s", strerror(errno)));
}

/* True when the process behind ${pidfd} ended within ${secs}. */
static bool
ended(int pidfd, uint64_t secs)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, (int)(secs * 1000));
	while (n < 0 && errno == EINTR);
	return (n > 0);
}

int
cmd_umount(const struct args *a)
{
	const bool lazy = a->opt[OPT_LAZY] != NULL;
	uint64_t secs = WAIT_SECS;
	char path[PATH_MAX];
	pid_t pid;
	enum err e;

	if (a->opt[OPT_TIMEOUT] != NULL &&
	    (args_number(a->opt[OPT_TIMEOUT], &secs) != OK || secs > WAIT_MAX))
		return (cmd_usage(a->cmd,
		    "--timeout: not a number of seconds "
		    "up to %d",
		    WAIT_MAX));
	e = resolve(a->pos[0], path);
	if (e == OK)
		e = check_mount(path);
	if (e != OK)
		return (cmd_fail(e, "\"%s\": cannot be unmounted", a->pos[0]));
	pid = daemon_of(a, path);

	int pidfd CLEANUP_CLOSE =
	    pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	e = unmount(path, lazy);
	if (e != OK)
		return (cmd_fail(e, "\"%s\": cannot be unmounted", a->pos[0]));
	if (lazy || pidfd < 0 || ended(pidfd, secs))
		return (EXIT_DONE);
	(void)fprintf(stderr,
	    "ssefs: \"%s\": unmounted, but process %d still "
	    "writes to the store; wait for its end before "
	    "you use the store\n",
	    a->pos[0], (int)pid);
	return (EXIT_FAILED);
}
