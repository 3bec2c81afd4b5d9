#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/attrs.h"
#include "lib/base/daemon.h"
#include "lib/base/log.h"
#include "lib/base/trace.h"

void
daemon_tell(int ready, int code)
{
	const unsigned char byte = (unsigned char)code;

	if (ready >= 0 && write(ready, &byte, 1) != 1)
		log_error("the starting process went away");
}

void
daemon_silence(const char *dir, const char *log)
{
	int fd CLEANUP_CLOSE = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_to_syslog("ssefs");
	trace_stderr(dir, log);
	if (chdir("/") != 0 || fd < 0)
		return;
	(void)dup2(fd, STDIN_FILENO);
	(void)dup2(fd, STDOUT_FILENO);
}

/* Wait for the child's word. */
static int
await(pid_t pid, int fd, int failed)
{
	unsigned char byte = 0;
	ssize_t n = 0;
	int status = 0;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return (byte);
	(void)waitpid(pid, &status, 0);
	(void)fprintf(stderr, "ssefs: the serving process died (%s %d)\n",
	    WIFSIGNALED(status) ? "signal" : "exit code",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return (failed);
}

int
daemon_run(
    int (*serve)(void *arg, int ready), void *arg, int failed, bool *ret_child)
{
	int fds[2] = { -1, -1 };
	int code = failed;
	pid_t pid = -1;

	*ret_child = false;
	if (pipe2(fds, O_CLOEXEC) == 0) {
		(void)fflush(NULL);
		pid = fork();
	}
	if (pid == 0) {
		*ret_child = true;
		(void)close(fds[0]);
		(void)setsid();
		return (serve(arg, fds[1]));
	}
	if (pid < 0)
		(void)fprintf(stderr, "ssefs: cannot start a process: %s\n",
		    strerror(errno));
	if (fds[1] >= 0)
		(void)close(fds[1]);
	if (pid > 0)
		code = await(pid, fds[0], failed);
	if (fds[0] >= 0)
		(void)close(fds[0]);
	return (code);
}
