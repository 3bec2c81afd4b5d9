/*
 * cmd_serve: the KMS API over HTTPS; with --mount, a bucket beside it.
 *
 * Without a mount the keys are served from a keystore that is open here besides
 * the store's, since several may be: the store is owned while no mount wants it
 * (tools/own.h).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "crypto/secret.h"
#include "crypto/tlspair.h"
#include "fs/mount.h"
#include "gateway/gateway.h"
#include "lib/base/daemon.h"
#include "lib/base/log.h"
#include "lib/base/trace.h"
#include "tools/control.h"
#include "tools/own.h"
#include "tools/serve.h"
#include "tools/tls.h"

#define LOG_NAME "serve.log"

struct serve {
	const struct args *a;
	const struct kms_root *root;
	const char *dir;
	const char *listen;
	bool plain;
	/* Of the process that serves. */
	struct own *own; /* without a mount */
	struct kms *kms; /* likewise */
	struct gateway *gateway;
};

/* ---- Telling ---------------------------------------------------------------*/

static void
say_json(const struct serve *s, const struct tls_pair *p)
{
	struct json j;

	json_begin(&j);
	json_object(&j, NULL);
	json_str(&j, "address", gateway_address(s->gateway));
	json_bool(&j, "tls", !s->plain);
	json_u64(&j, "pid", (uint64_t)getpid());
	json_str(&j, "ca", p->ca);
	json_str(&j, "fingerprint",
	    p->fingerprint[0] != '\0' ? p->fingerprint : NULL);
	json_close(&j, '}');
	(void)cmd_json_end(&j);
}

static void
say(const struct serve *s, const struct tls_pair *p)
{
	if (s->a->opt[OPT_JSON] != NULL) {
		say_json(s, p);
		return;
	}
	(void)printf("KMS API      http%s://%s\n", s->plain ? "" : "s",
	    gateway_address(s->gateway));
	if (s->plain)
		(void)printf("It is NOT ENCRYPTED: no plaintext and no key is "
			     "given or taken.\n");
	if (p->ca != NULL)
		(void)printf("CA file      %s\n", p->ca);
	if (p->fingerprint[0] != '\0')
		(void)printf("certificate  SHA-256 %s\n", p->fingerprint);
}

/* ---- The gateway -----------------------------------------------------------*/

/* Also good for the address that is listened on, unless that is any. */
static enum err
make_pair(const struct serve *s)
{
	const char *colon = strrchr(s->listen, ':');
	char host[TLSPAIR_NAME_LEN + 1] = "";

	if (colon != NULL)
		(void)snprintf(host, sizeof(host), "%.*s",
		    (int)(colon - s->listen), s->listen);
	if (host[0] == '[') {
		memmove(host, host + 1, strlen(host));
		host[strcspn(host, "]")] = '\0';
	}
	return (tls_pair_make(s->dir, host[0] != '\0' ? host : NULL));
}

/* Serve ${k}; ${owner}: on the socket in the store's directory, too. */
static int
start_gateway(struct serve *s, struct kms *k, bool owner)
{
	struct tls_pair pair CLEANUP_TLS_PAIR = { .ca = NULL };
	struct gateway_opts o = {
		.kms = k,
		.listen = s->listen,
		.dir = owner ? s->dir : NULL,
	};
	enum err e = OK;

	if (!s->plain && s->a->opt[OPT_TLS_CERT] == NULL)
		e = make_pair(s);
	if (!s->plain && e == OK)
		e = tls_pair_load(s->dir, s->a->opt[OPT_TLS_CERT],
		    s->a->opt[OPT_TLS_KEY], &pair);
	if (e != OK) {
		(void)cmd_fail(e, "certificate: cannot be used");
		return (EXIT_LISTEN);
	}
	o.cert = pair.cert;
	o.key = pair.key;
	e = gateway_start(&o, &s->gateway);
	if (e != OK) {
		s->gateway = NULL;
		(void)cmd_fail(e, "KMS API: cannot be served");
		return (EXIT_LISTEN);
	}
	say(s, &pair);
	(void)fflush(stdout);
	return (EXIT_DONE);
}

/* Once messages go where they are to go. */
static void
log_start(const struct serve *s)
{
	log_info("serve: the keys of %s at %s%s", s->dir,
	    gateway_address(s->gateway), s->plain ? ", NOT ENCRYPTED" : "");
}

static void
stop_gateway(struct serve *s)
{
	if (s->gateway == NULL)
		return;
	gateway_stop(s->gateway);
	s->gateway = NULL;
	log_info("serve: stopped");
}

/* ---- With a mount ----------------------------------------------------------*/

static int
opened(void *arg, struct kms *k)
{
	struct serve *s = arg;

	if (k == NULL) {
		(void)cmd_fail(ERR_NOTSUP,
		    "store \"%s\": it has no keystore to serve", s->dir);
		return (FS_EXIT_KEY);
	}
	return (start_gateway(s, k, true));
}

static void
serving(void *arg)
{
	log_start(arg);
}

static void
closing(void *arg)
{
	stop_gateway(arg);
}

/* "BUCKET:DIR"; the name of a bucket has no colon. */
static int
serve_mount(struct serve *s, const char *what)
{
	struct fs_opts o CLEANUP(fs_opts_release);
	const struct fs_hooks hooks = {
		.arg = s,
		.opened = opened,
		.serving = serving,
		.closing = closing,
	};
	const char *colon = strchr(what, ':');
	enum err e = OK;

	fs_opts_init(&o);
	if (colon == NULL || colon == what || colon[1] == '\0')
		return (cmd_usage(s->a->cmd, "--mount needs BUCKET:DIR"));
	if (s->a->options.len != 0)
		e = fs_opts_list(&o, (const char *)s->a->options.p);
	free(o.store);
	free(o.source);
	free(o.mountpoint);
	o.source = strndup(what, (size_t)(colon - what));
	o.mountpoint = strdup(colon + 1);
	o.store = strdup(s->dir);
	if (o.source == NULL || o.mountpoint == NULL || o.store == NULL)
		return (cmd_fail(ERR_NOMEM, "serve"));
	if (e == OK)
		e = fs_opts_finish(&o);
	if (e != OK)
		return (cmd_usage(s->a->cmd, "%s", err_detail(e)));
	o.root = s->root;
	o.hooks = &hooks;
	o.foreground = s->a->opt[OPT_FOREGROUND] != NULL;
	reach_make_way(s->dir);
	return (fs_main_mount(&o));
}

/* ---- Without one -----------------------------------------------------------*/

/* The keystore is read anew by itself. */
static void
changed(void *arg UNUSED)
{
}

/* After own_start(), which says by which VFS keystores are opened here. */
static enum err
open_keys(struct serve *s)
{
	struct buf path CLEANUP_BUF;

	buf_init(&path, 4096);
	TRY(buf_printf(&path, "%s/keys.db", s->dir));
	TRY(kms_open((const char *)path.p, s->root, &s->kms));
	kms_set_uses(s->kms, own_uses, s->own);
	return (kms_watch(s->kms, changed, NULL));
}

static int
open_it(struct serve *s)
{
	enum err e = own_start(s->dir, s->root, &s->own);

	if (e != OK)
		s->own = NULL;
	else
		e = open_keys(s);
	if (e == OK)
		return (EXIT_DONE);
	if (e == ERR_NOTSUP) {
		(void)cmd_fail(e, "store \"%s\"", s->dir);
		return (FS_EXIT_KEY);
	}
	(void)cmd_fail(e, "store \"%s\": cannot be opened", s->dir);
	return (e == ERR_ROOTKEY || e == ERR_TIMEDOUT ? FS_EXIT_KEY
						      : FS_EXIT_STORE);
}

static int
close_it(struct serve *s, int code)
{
	enum err e = OK;

	stop_gateway(s);
	/* Its watcher asks who uses a key. */
	kms_close(s->kms);
	e = own_stop(s->own);
	if (e != OK)
		log_error("serve: the last commit failed: %s", err_detail(e));
	return (e != OK && code == EXIT_DONE ? FS_EXIT_COMMIT : code);
}

static void
block_signals(sigset_t *ret)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)sigemptyset(ret);
	(void)sigaddset(ret, SIGTERM);
	(void)sigaddset(ret, SIGINT);
	(void)sigaddset(ret, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, ret, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

/* True when the signal asks for the end. */
static bool
signal_one(int fd)
{
	struct signalfd_siginfo si;

	if (read(fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return (false);
	if (si.ssi_signo != SIGHUP)
		return (true);
	log_set_level(
	    log_level() == LOG_LVL_DEBUG ? LOG_LVL_INFO : LOG_LVL_DEBUG);
	return (false);
}

static void
await_end(struct serve *s, const sigset_t *set)
{
	int fd CLEANUP_CLOSE = signalfd(-1, set, SFD_CLOEXEC);
	struct pollfd p[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = own_fd(s->own), .events = POLLIN },
	};

	for (;;) {
		const int n = poll(p, 2, own_wait_ms(s->own));

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0 && p[0].revents != 0 && signal_one(fd))
			return;
		own_look(s->own);
	}
}

static int
serve_here(void *arg, int ready)
{
	struct serve *s = arg;
	sigset_t set;
	int code = EXIT_DONE;

	block_signals(&set);
	trace_signals(secret_die);
	code = open_it(s);
	if (code == EXIT_DONE)
		code = start_gateway(s, s->kms, false);
	if (code == EXIT_DONE) {
		if (ready >= 0)
			daemon_silence(s->dir, LOG_NAME);
		log_start(s);
		daemon_tell(ready, code);
		await_end(s, &set);
	}
	code = close_it(s, code);
	if (code != EXIT_DONE)
		daemon_tell(ready, code);
	return (code);
}

/* ---- The command -----------------------------------------------------------*/

static int
check_options(const struct args *a)
{
	const bool cert = a->opt[OPT_TLS_CERT] != NULL;

	if (cert != (a->opt[OPT_TLS_KEY] != NULL))
		return (cmd_usage(
		    a->cmd, "--tls-cert and --tls-key belong together"));
	if (cert && a->opt[OPT_INSECURE_HTTP] != NULL)
		return (cmd_usage(
		    a->cmd, "--insecure-http has no use for a certificate"));
	if (a->options.len != 0 && a->opt[OPT_MOUNT] == NULL)
		return (cmd_usage(a->cmd, "-o is for --mount"));
	return (EXIT_DONE);
}

int
cmd_serve(const struct args *a)
{
	struct root root CLEANUP_ROOT = { .given = false };
	char *dir CLEANUP_FREE = NULL;
	struct serve s = {
		.a = a,
		.listen = a->opt[OPT_LISTEN] != NULL ? a->opt[OPT_LISTEN]
						     : GATEWAY_LISTEN,
		.plain = a->opt[OPT_INSECURE_HTTP] != NULL,
	};
	int code = check_options(a);
	bool child = false;
	enum err e = OK;

	if (code != EXIT_DONE)
		return (code);
	dir = realpath(a->store, NULL);
	s.dir = dir != NULL ? dir : a->store;
	e = root_get(a, false, &root);
	if (e == OK)
		e = root_keep_over_fork(&root);
	if (e != OK) {
		(void)cmd_fail(e, "store \"%s\": cannot be opened", s.dir);
		return (FS_EXIT_KEY);
	}
	s.root = root.given ? &root.root : NULL;
	if (a->opt[OPT_MOUNT] != NULL)
		return (serve_mount(&s, a->opt[OPT_MOUNT]));
	if (a->opt[OPT_FOREGROUND] != NULL)
		return (serve_here(&s, -1));
	return (daemon_run(serve_here, &s, EXIT_FAILED, &child));
}
