#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/attrs.h"
#include "lib/base/trace.h"

#define LOG_MAX (1024 * 1024)
#define CALLS_MAX 48

void
trace_stderr(const char *dir, const char *name)
{
	char path[4096];
	struct stat st;
	int fd CLEANUP_CLOSE = -1;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) <
	    sizeof(path))
		fd = open(path,
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW |
			O_NONBLOCK,
		    0600);
	/* Nothing to wait on, such as a fifo. */
	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
			   (st.st_size > LOG_MAX && ftruncate(fd, 0) != 0))) {
		(void)close(fd);
		fd = -1;
	}
	if (fd < 0)
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)dup2(fd, STDERR_FILENO);
}

static void
put(const char *s)
{
	/* Nothing is left to do when this fails. */
	if (write(STDERR_FILENO, s, strlen(s)) < 0)
		return;
}

static void (*at_last)(void);

/* Only what may be called in a handler. */
static void
on_fatal(int sig)
{
	void *calls[CALLS_MAX];
	char number[3] = { (char)('0' + sig / 10), (char)('0' + sig % 10), 0 };

	put("ssefs: died of signal ");
	put(number);
	put("; the calls were:\n");
	backtrace_symbols_fd(calls, backtrace(calls, CALLS_MAX), STDERR_FILENO);
	at_last();
	/* SA_RESETHAND: now it ends the process as it would have. */
	(void)raise(sig);
}

void
trace_signals(void (*last)(void))
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	const struct sigaction act = { .sa_handler = on_fatal,
		.sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };
	void *one[1];

	at_last = last;
	/* The first call loads a library; not in a handler, please. */
	(void)backtrace(one, 1);
	for (unsigned i = 0; i < COUNTOF(fatal); i++)
		(void)sigaction(fatal[i], &act, NULL);
}
