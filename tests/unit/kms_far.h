/*
 * kms_far: a key service that runs beside the test (tests/farkms.py), with a
 * certificate made for it.
 */
#ifndef TESTS_UNIT_KMS_FAR_H
#define TESTS_UNIT_KMS_FAR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/tlspair.h"
#include "lib/base/attrs.h"
#include "lib/base/sys.h"

struct far_service {
	char dir[180], ca[256], cert[256], key[256], url[64];
	pid_t pid;
	unsigned port;
	int held; /* keeps the port between two starts */
};

static inline void
far_path(const struct far_service *f, const char *name, char ret[static 256])
{
	(void)snprintf(ret, 256, "%s/%s", f->dir, name);
}

static inline void
far_write(const struct far_service *f, const char *name, const char *text)
{
	char path[256];

	far_path(f, name, path);
	assert_int_equal(sys_write_file(path, text, strlen(text), 0600, 0), OK);
}

/* What it does wrong from now on (see farkms.py). */
static inline void
far_mode(const struct far_service *f, const char *mode)
{
	far_write(f, "mode", mode);
}

/* Set the state of all its keys that have the state ${from}. */
static inline void
far_keys_state(const struct far_service *f, const char *from, const char *to)
{
	char cmd[512];

	(void)snprintf(cmd, sizeof(cmd),
	    "sed -i 's/\"KeyState\": \"%s\"/\"KeyState\": \"%s\"/' "
	    "'%s'/key.*-*",
	    from, to, f->dir);
	assert_int_equal(system(cmd), 0);
}

/* How many requests of that name came in. */
static inline unsigned
far_count(const struct far_service *f, const char *op)
{
	uint8_t *log CLEANUP_FREE = NULL;
	size_t len = 0;
	unsigned n = 0;
	char path[256];

	far_path(f, "log", path);
	if (access(path, F_OK) != 0)
		return 0;
	assert_int_equal(sys_read_file(path, 1 << 20, &log, &len), OK);
	for (size_t i = 0; i < len;) {
		const size_t line = strcspn((char *)log + i, "\n");

		n += line == strlen(op) && memcmp(log + i, op, line) == 0;
		i += line + 1;
	}
	return n;
}

/* A port that nobody gets who asks for any; the service may have it all the
 * same, again and again, since this socket does not listen. */
static inline void
far_hold(struct far_service *f)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	const int on = 1;

	f->held = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(f->held >= 0);
	assert_int_equal(
	    setsockopt(f->held, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(f->held, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(f->held, (struct sockaddr *)&a, &len), 0);
	f->port = ntohs(a.sin_port);
}

static inline void
far_start(struct far_service *f)
{
	char path[256], port[16];
	const struct timespec tick = { .tv_nsec = 20000000 };

	far_path(f, "port", path);
	(void)unlink(path);
	(void)snprintf(port, sizeof(port), "%u", f->port);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		(void)execlp("python3", "python3", "tests/farkms.py", f->dir,
		    f->cert, f->key, port, (char *)NULL);
		_exit(127);
	}
	for (unsigned i = 0; i < 1500 && access(path, F_OK) != 0; i++)
		(void)nanosleep(&tick, NULL);
	assert_int_equal(access(path, F_OK), 0);
	(void)snprintf(f->url, sizeof(f->url), "https://127.0.0.1:%u", f->port);
}

static inline void
far_stop(struct far_service *f)
{
	if (f->pid <= 0)
		return;
	(void)kill(f->pid, SIGKILL);
	(void)waitpid(f->pid, NULL, 0);
	f->pid = 0;
}

/* A folder, a certificate and credentials; then far_start(). */
static inline void
far_new(struct far_service *f)
{
	const char *tmp = getenv("TMPDIR");
	struct tlspair_conf c = { .now = time(NULL), .days = 2 };

	memset(f, 0, sizeof(*f));
	(void)snprintf(f->dir, sizeof(f->dir), "%s/far.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	far_path(f, "ca.pem", f->ca);
	far_path(f, "cert.pem", f->cert);
	far_path(f, "key.pem", f->key);
	far_hold(f);
	c.ca = f->ca;
	c.cert = f->cert;
	c.key = f->key;
	assert_int_equal(tlspair_make(&c), OK);
	far_write(f, "credentials",
	    "[default]\naws_access_key_id = AKIDTEST\n"
	    "aws_secret_access_key = secret\n"
	    "[wrong]\naws_access_key_id = AKIDTEST\n"
	    "aws_secret_access_key = other\n");
}

/* The folder is below the run's own, which is removed. */
static inline void
far_free(struct far_service *f)
{
	far_stop(f);
	(void)close(f->held);
}

#endif
