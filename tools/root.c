/*
 * root: where the root key comes from.
 *
 * A passphrase is read from a file, a descriptor (/dev/fd/N) or the terminal,
 * never from an argument or the environment, where others can see it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "tools/cmd.h"

#define PASS_MAX 1024 /* bytes of a passphrase */

/* Read up to the end, or to the first newline of a terminal. */
static enum err
read_pass(int fd, const char *name, char *ret)
{
	size_t len = 0;

	for (;;) {
		const ssize_t n = read(fd, ret + len, PASS_MAX + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (err_fail(err_from_errno(errno), "%s: %s", name,
			    strerror(errno)));
		len += (size_t)n;
		if (n == 0 || memchr(ret, '\n', len) != NULL)
			break;
		if (len > PASS_MAX)
			return (err_fail(ERR_LIMIT,
			    "%s: the passphrase is longer than %d bytes", name,
			    PASS_MAX));
	}
	ret[len] = '\0';
	ret[strcspn(ret, "\r\n")] = '\0';
	if (ret[0] == '\0')
		return (
		    err_fail(ERR_INVAL, "%s: the passphrase is empty", name));
	return (OK);
}

/* /dev/fd/N is taken by its number: key memory made this process one whose
 * /proc its own user cannot look into. */
static int
open_pass(const char *path)
{
	uint64_t n;

	if (strncmp(path, "/dev/fd/", 8) == 0 &&
	    args_number(path + 8, &n) == OK && n < INT_MAX)
		return (fcntl((int)n, F_DUPFD_CLOEXEC, 3));
	return (open(path, O_RDONLY | O_CLOEXEC));
}

static enum err
from_file(const char *path, char **ret)
{
	int fd CLEANUP_CLOSE = open_pass(path);
	struct stat sb;
	char *pass;
	enum err e;

	if (fd < 0 || fstat(fd, &sb) != 0)
		return (err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno)));
	if (S_ISREG(sb.st_mode) && (sb.st_mode & 077) != 0)
		return (err_fail(ERR_ROOTKEY,
		    "%s can be read by others; run: chmod 600 %s", path, path));
	pass = secret_alloc(PASS_MAX + 2);
	if (pass == NULL)
		return (ERR_NOMEM);
	e = read_pass(fd, path, pass);
	if (e == OK)
		*ret = pass;
	else
		secret_free(pass);
	return (e);
}

/* Ask on the terminal, without echo. */
static enum err
ask(int fd, const char *prompt, char *ret)
{
	struct termios was, quiet;
	enum err e;

	if (tcgetattr(fd, &was) != 0)
		return (err_from_errno(errno));
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ECHONL;
	if (write(fd, prompt, strlen(prompt)) < 0 ||
	    tcsetattr(fd, TCSAFLUSH, &quiet) != 0)
		return (err_from_errno(errno));
	e = read_pass(fd, "terminal", ret);
	(void)tcsetattr(fd, TCSAFLUSH, &was);
	return (e);
}

static enum err
from_terminal(bool for_new, char **ret)
{
	int fd CLEANUP_CLOSE = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	char *pass, *again;
	enum err e;

	if (fd < 0)
		return (err_fail(ERR_ROOTKEY,
		    "there is no terminal to ask for the passphrase; use "
		    "--passphrase-file"));
	pass = secret_alloc(PASS_MAX + 2);
	again = secret_alloc(PASS_MAX + 2);
	e = pass == NULL || again == NULL ? ERR_NOMEM
					  : ask(fd, "Passphrase: ", pass);
	if (e == OK && for_new) {
		e = ask(fd, "The same again: ", again);
		if (e == OK && strcmp(pass, again) != 0)
			e = err_fail(ERR_INVAL, "the two passphrases differ");
	}
	secret_free(again);
	if (e == OK)
		*ret = pass;
	else
		secret_free(pass);
	return (e);
}

/* The four ways, by whatever options they are asked for. */
static enum err
get(const char *file, const char *tty, const char *pass_file,
    const char *credential, bool for_new, struct root *ret)
{
	const int n = (file != NULL) + (tty != NULL) + (pass_file != NULL) +
		      (credential != NULL);

	*ret = (struct root){ .given = n != 0 };
	if (n > 1)
		return (err_fail(ERR_INVAL,
		    "give one of --root-key, --passphrase, --passphrase-file "
		    "and --credential"));
	if (file != NULL) {
		ret->root.kind = strncmp(file, "pkcs11:", 7) == 0
				     ? KMS_ROOT_TOKEN
				     : KMS_ROOT_FILE;
		ret->root.path = file;
	} else if (credential != NULL) {
		ret->root.kind = KMS_ROOT_CREDENTIAL;
		ret->root.path = credential;
	} else if (n == 1) {
		ret->root.kind = KMS_ROOT_PASSPHRASE;
		if (pass_file != NULL)
			TRY(from_file(pass_file, &ret->pass));
		else
			TRY(from_terminal(for_new, &ret->pass));
		ret->root.pass = ret->pass;
	}
	return (OK);
}

enum err
root_get(const struct args *a, bool for_new, struct root *ret)
{
	const char *pass_file = a->opt[OPT_PASSPHRASE_FILE];

	if (pass_file == NULL && a->opt[OPT_ROOT_KEY] == NULL &&
	    a->opt[OPT_PASSPHRASE] == NULL && a->opt[OPT_CREDENTIAL] == NULL) {
		pass_file = getenv("SSEFS_PASSPHRASE_FILE");
		if (pass_file != NULL && pass_file[0] == '\0')
			pass_file = NULL;
	}
	return (get(a->opt[OPT_ROOT_KEY], a->opt[OPT_PASSPHRASE], pass_file,
	    a->opt[OPT_CREDENTIAL], for_new, ret));
}

enum err
root_get_new(const struct args *a, struct root *ret)
{
	return (get(a->opt[OPT_NEW_ROOT_KEY], a->opt[OPT_NEW_PASSPHRASE],
	    a->opt[OPT_NEW_PASSPHRASE_FILE], a->opt[OPT_NEW_CREDENTIAL], true,
	    ret));
}

/*
 * A pipe carries the passphrase over the fork: its bytes stay in the kernel,
 * which never swaps them.  Of the children, the first to come takes them; the
 * handlers of fork get no argument, hence the statics.
 */
static int fork_fd = -1;
static char *fork_pass;

static void
fork_child(void)
{
	ssize_t n;

	if (fork_fd < 0)
		return;
	n = read(fork_fd, fork_pass, PASS_MAX);
	fork_pass[n > 0 ? n : 0] = '\0';
	(void)close(fork_fd);
	fork_fd = -1;
}

enum err
root_keep_over_fork(struct root *r)
{
	int fds[2];
	enum err e = OK;

	if (r->pass == NULL)
		return (OK);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return (err_from_errno(errno));
	if (write(fds[1], r->pass, strlen(r->pass)) < 0 ||
	    pthread_atfork(NULL, NULL, fork_child) != 0)
		e = ERR_NOMEM;
	(void)close(fds[1]);
	if (e != OK) {
		(void)close(fds[0]);
		return (e);
	}
	fork_fd = fds[0];
	fork_pass = r->pass;
	return (OK);
}

void
root_release(struct root *r)
{
	if (fork_fd >= 0 && r->pass == fork_pass) {
		(void)close(fork_fd);
		fork_fd = -1;
	}
	secret_free(r->pass);
	r->pass = NULL;
	r->root.pass = NULL;
}
