#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "crypto/secret.h"
#include "gateway/limits.h"
#include "gateway/listen.h"
#include "gateway/server.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define TICK_MS 500
#define PRIORITIES                                                      \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-AES-256-CBC:" \
	"-AES-128-CBC"

struct gateway {
	struct kms *kms;
	struct api *api;
	struct listener net, local;
	char address[GATEWAY_ADDRESS_MAX];
	char *cert, *key; /* key memory: libmicrohttpd reads them as it runs */
	int dirfd;
	pthread_t ticker;
	bool ticking;
	bool flush_failed; /* the ticker's */
	atomic_bool ending;
};

/* ---- Once in a while -------------------------------------------------------*/

/* Records of data-key calls reach the disk, as they do with the commits of a
 * store that is written to. */
static void
flush(struct gateway *g)
{
	const enum err e = kms_flush(g->kms);

	if (e != OK && !g->flush_failed)
		log_error("gateway: the audit log cannot be written: %s",
		    err_detail(e));
	g->flush_failed = e != OK;
}

static void *
tick_main(void *arg)
{
	const struct timespec step = { .tv_nsec = TICK_MS * 1000000L };
	struct gateway *g = arg;

	while (!atomic_load(&g->ending)) {
		const uint64_t now = clock_mono_ns();
		size_t n = conns_cut(&g->net.conns, now);

		n += conns_cut(&g->local.conns, now);
		if (n > 0)
			log_info(
			    "gateway: %zu slow connections were closed", n);
		flush(g);
		(void)nanosleep(&step, NULL);
	}
	return (NULL);
}

/* ---- Listening -------------------------------------------------------------*/

static void PRINTF(2, 0)
    mhd_message(void *cls UNUSED, const char *fmt, va_list ap)
{
	char line[512];

	(void)vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("gateway: %s", line);
}

/*
 * On failure libmicrohttpd has closed ${fd} or has not, depending on how far it
 * came; so it is given one, and another descriptor of the same socket tells here
 * that there shall be no more listening.
 */
static enum err
listener_start(struct listener *l, int fd, const char *cert, const char *key)
{
	int again CLEANUP_CLOSE = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	const unsigned flags = MHD_USE_THREAD_PER_CONNECTION |
			       MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
			       MHD_USE_ITC | MHD_USE_ERROR_LOG |
			       (cert != NULL ? (unsigned)MHD_USE_TLS : 0);
	const bool local = l->kind == LISTEN_LOCAL;
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0,
		    (void *)(uintptr_t)PRIORITIES },
		{ MHD_OPTION_END, 0, NULL },
	};

	if (cert == NULL)
		tls[0].option = MHD_OPTION_END;
	l->daemon = MHD_start_daemon(flags, 0, NULL, NULL, http_handle, l,
	    MHD_OPTION_EXTERNAL_LOGGER, mhd_message, NULL,
	    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
	    (unsigned)(local ? GATE_CONNS_UNIX : GATE_CONNS),
	    MHD_OPTION_PER_IP_CONNECTION_LIMIT,
	    (unsigned)(local ? 0 : GATE_CONNS_ADDR),
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)GATE_IDLE_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)GATE_HEAD_MAX,
	    MHD_OPTION_THREAD_STACK_SIZE, (size_t)GATE_STACK,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
	    http_completed, l, MHD_OPTION_NOTIFY_CONNECTION, http_connection, l,
	    MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
	if (l->daemon != NULL)
		return (OK);
	(void)shutdown(again, SHUT_RDWR);
	if (cert != NULL)
		return (err_fail(ERR_INVAL,
		    "the listener did not start; do certificate and key "
		    "belong together?"));
	return (err_fail(ERR_NOMEM, "the listener did not start"));
}

/* Calls at work end first. */
static void
listener_stop(struct listener *l)
{
	const struct timespec step = { .tv_nsec = 10000000L };
	const uint64_t until =
	    clock_mono_ns() + GATE_END_S * UINT64_C(1000000000);
	int fd = -1;

	if (l->daemon == NULL)
		return;
	fd = MHD_quiesce_daemon(l->daemon);
	while (conns_busy(&l->conns) > 0 && clock_mono_ns() < until)
		(void)nanosleep(&step, NULL);
	MHD_stop_daemon(l->daemon);
	l->daemon = NULL;
	if (fd >= 0)
		(void)close(fd);
}

static enum err
start_net(struct gateway *g, const struct gateway_opts *o)
{
	const bool plain = o->cert == NULL;
	int fd = -1;

	g->net.kind = plain ? LISTEN_PLAIN : LISTEN_TLS;
	TRY(listen_tcp(o->listen, plain, &fd, g->address));
	return (listener_start(&g->net, fd, g->cert, g->key));
}

static enum err
start_local(struct gateway *g, const char *dir)
{
	int fd = -1;
	enum err e = OK;

	g->local.kind = LISTEN_LOCAL;
	g->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->dirfd < 0)
		return (err_from_errno(errno));
	TRY(listen_unix(g->dirfd, &fd));
	e = listener_start(&g->local, fd, NULL, NULL);
	if (e != OK)
		(void)unlinkat(g->dirfd, KMS_SOCKET, 0);
	return (e);
}

/* ---- Life ------------------------------------------------------------------*/

static enum err
keep_pem(const char *text, char **ret)
{
	const size_t len = strlen(text) + 1;

	*ret = secret_alloc(len);
	if (*ret == NULL)
		return (ERR_NOMEM);
	memcpy(*ret, text, len);
	return (OK);
}

static void
gateway_cleanup(struct gateway **g)
{
	gateway_stop(*g);
}

enum err
gateway_start(const struct gateway_opts *o, struct gateway **ret)
{
	struct gateway *g CLEANUP(gateway_cleanup) = calloc(1, sizeof(*g));

	if (g == NULL)
		return (ERR_NOMEM);
	g->kms = o->kms;
	g->dirfd = -1;
	conns_init(&g->net.conns);
	conns_init(&g->local.conns);
	TRY(api_new(o->kms, &g->api));
	g->net.api = g->local.api = g->api;
	g->net.kms = g->local.kms = g->kms;
	if (o->cert != NULL) {
		TRY(keep_pem(o->cert, &g->cert));
		TRY(keep_pem(o->key, &g->key));
	}
	if (o->dir != NULL)
		TRY(start_local(g, o->dir));
	if (o->listen != NULL)
		TRY(start_net(g, o));
	if (pthread_create(&g->ticker, NULL, tick_main, g) != 0)
		return (ERR_NOMEM);
	g->ticking = true;
	*ret = steal(g);
	return (OK);
}

const char *
gateway_address(const struct gateway *g)
{
	return (g->address);
}

void
gateway_stop(struct gateway *g)
{
	const bool socket = g != NULL && g->local.daemon != NULL;

	if (g == NULL)
		return;
	if (socket)
		(void)unlinkat(g->dirfd, KMS_SOCKET, 0);
	listener_stop(&g->net);
	listener_stop(&g->local);
	atomic_store(&g->ending, true);
	if (g->ticking)
		(void)pthread_join(g->ticker, NULL);
	conns_destroy(&g->net.conns);
	conns_destroy(&g->local.conns);
	api_free(g->api);
	secret_free(g->cert);
	secret_free(g->key);
	if (g->dirfd >= 0)
		(void)close(g->dirfd);
	free(g);
}
