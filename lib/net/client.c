/*
 * client: libcurl, one easy handle per running request.  A handle keeps its
 * connection; idle handles wait on a stack, the last one used on top, so that
 * few connections stay in use when there is little to do.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <curl/curl.h>

#include "lib/base/clock.h"
#include "lib/base/lock.h"
#include "lib/net/client.h"

#define IDLE_SECONDS 60    /* before a waiting connection is not used again */
#define BACKOFF_MAX 20000u /* milliseconds */
#define HEADER_MAX 16384
#define PIN_LEN 44 /* base64 of 32 bytes */

/* ---- Memory --------------------------------------------------------------- */

/* Before each block, so that it can be moved and wiped. */
union head {
	size_t len;
	max_align_t align;
};

static void *(*take_memory)(size_t len) = malloc;
static void (*give_memory)(void *p) = free;

static void *
mem_alloc(size_t len)
{
	union head *h;

	if (len > SIZE_MAX - sizeof(*h))
		return NULL;
	h = take_memory(sizeof(*h) + len);
	if (h == NULL)
		return NULL;
	h->len = len;
	return h + 1;
}

static void
mem_free(void *p)
{
	union head *h = p;

	if (h == NULL)
		return;
	h--;
	explicit_bzero(h + 1, h->len);
	give_memory(h);
}

static void *
mem_realloc(void *p, size_t len)
{
	union head *h = p;
	void *more;

	if (p == NULL)
		return mem_alloc(len);
	h--;
	if (len <= h->len && len > h->len / 2)
		return p;
	more = mem_alloc(len);
	if (more == NULL)
		return NULL;
	memcpy(more, p, len < h->len ? len : h->len);
	mem_free(p);
	return more;
}

static void *
mem_calloc(size_t n, size_t size)
{
	void *p;

	if (size != 0 && n > SIZE_MAX / size)
		return NULL;
	p = mem_alloc(n * size);
	if (p != NULL)
		memset(p, 0, n * size);
	return p;
}

static char *
mem_strdup(const char *s)
{
	const size_t len = strlen(s) + 1;
	char *p = mem_alloc(len);

	if (p != NULL)
		memcpy(p, s, len);
	return p;
}

static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static bool ready; /* under init_lock, as are the two above until then */

void
net_memory(void *(*alloc)(size_t len), void (*release)(void *p))
{
	(void)pthread_mutex_lock(&init_lock);
	if (!ready) {
		take_memory = alloc;
		give_memory = release;
	}
	(void)pthread_mutex_unlock(&init_lock);
}

static bool
init(void)
{
	bool good;

	(void)pthread_mutex_lock(&init_lock);
	if (!ready)
		ready = curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_alloc,
			    mem_free, mem_realloc, mem_strdup,
			    mem_calloc) == CURLE_OK;
	good = ready;
	(void)pthread_mutex_unlock(&init_lock);
	return good;
}

/* ---- Clients -------------------------------------------------------------- */

struct net_client {
	struct lock lock;
	CURL *idle[NET_IDLE_MAX]; /* under lock */
	size_t nidle;             /* under lock */
	/* The rest does not change. */
	char *base; /* "https://host[:port]" */
	char *host, *path, *ca, *pin, *proxy;
	unsigned connect_ms, total_ms, tries, backoff_ms;
};

static void
free_url(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void
free_text(char **s)
{
	curl_free(*s);
}

static enum err
copy(const char *s, char **ret)
{
	*ret = s == NULL ? NULL : strdup(s);
	return s != NULL && *ret == NULL ? ERR_NOMEM : OK;
}

/* The part of a URL, NULL when it has none. */
static enum err
part(CURLU *u, CURLUPart which, char **ret)
{
	const CURLUcode c = curl_url_get(u, which, ret, 0);

	return c == CURLUE_OUT_OF_MEMORY ? ERR_NOMEM : OK;
}

static enum err
take_url(struct net_client *c, const char *url)
{
	CURLU *u CLEANUP(free_url) = curl_url();
	char *scheme CLEANUP(free_text) = NULL, *host CLEANUP(free_text) = NULL;
	char *port CLEANUP(free_text) = NULL, *path CLEANUP(free_text) = NULL;
	char *user CLEANUP(free_text) = NULL, *query CLEANUP(free_text) = NULL;
	char *mark CLEANUP(free_text) = NULL;

	if (u == NULL)
		return ERR_NOMEM;
	if (strlen(url) > NET_URL_MAX || curl_url_set(u, CURLUPART_URL, url,
					     CURLU_DISALLOW_USER) != CURLUE_OK)
		return err_fail(ERR_INVAL, "the URL is malformed");
	TRY(part(u, CURLUPART_SCHEME, &scheme));
	TRY(part(u, CURLUPART_HOST, &host));
	TRY(part(u, CURLUPART_PORT, &port));
	TRY(part(u, CURLUPART_PATH, &path));
	TRY(part(u, CURLUPART_USER, &user));
	TRY(part(u, CURLUPART_QUERY, &query));
	TRY(part(u, CURLUPART_FRAGMENT, &mark));
	if (scheme == NULL || strcmp(scheme, "https") != 0)
		return err_fail(ERR_INVAL,
		    "the URL must begin with https://: nothing else is spoken");
	if (host == NULL || user != NULL || query != NULL || mark != NULL)
		return err_fail(
		    ERR_INVAL, "the URL must read https://host[:port][/path]");
	const bool plain = port == NULL || strcmp(port, "443") == 0;
	if (asprintf(&c->host, "%s%s%s", host, plain ? "" : ":",
		plain ? "" : port) < 0)
		c->host = NULL;
	if (asprintf(&c->base, "https://%s", c->host == NULL ? "" : c->host) <
	    0)
		c->base = NULL;
	TRY(copy(path == NULL ? "/" : path, &c->path));
	return c->host == NULL || c->base == NULL ? ERR_NOMEM : OK;
}

static enum err
take_pin(struct net_client *c, const char *pin)
{
	if (pin == NULL)
		return OK;
	if (strlen(pin) != PIN_LEN ||
	    strspn(pin, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"abcdefghijklmnopqrstuvwxyz"
			"0123456789+/") != PIN_LEN - 1 ||
	    pin[PIN_LEN - 1] != '=')
		return err_fail(ERR_INVAL,
		    "a pinned key is a SHA-256 in base64, 44 characters");
	return asprintf(&c->pin, "sha256//%s", pin) < 0 ? ERR_NOMEM : OK;
}

static enum err
set_up(struct net_client *c, const struct net_conf *conf)
{
	TRY(take_url(c, conf->url));
	TRY(take_pin(c, conf->pin));
	TRY(copy(conf->ca, &c->ca));
	TRY(copy(conf->proxy, &c->proxy));
	if (c->ca != NULL && access(c->ca, R_OK) != 0)
		return err_fail(
		    ERR_INVAL, "%s cannot be read: %s", c->ca, strerror(errno));
	c->connect_ms = conf->connect_ms;
	c->total_ms = conf->total_ms;
	c->tries = conf->tries;
	c->backoff_ms = conf->backoff_ms;
	if (c->connect_ms == 0 || c->total_ms == 0 || c->tries == 0)
		return ERR_INVAL;
	return OK;
}

enum err
net_client_new(const struct net_conf *conf, struct net_client **ret)
{
	struct net_client *c;
	enum err e;

	if (!init())
		return err_fail(ERR_NOMEM, "libcurl cannot be used");
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	lock_init(&c->lock, RANK_NET, "net client");
	e = set_up(c, conf);
	if (e == OK)
		*ret = c;
	else
		net_client_free(c);
	return e;
}

void
net_client_free(struct net_client *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->nidle; i++)
		curl_easy_cleanup(c->idle[i]);
	lock_destroy(&c->lock);
	free(c->base);
	free(c->host);
	free(c->path);
	free(c->ca);
	free(c->pin);
	free(c->proxy);
	free(c);
}

const char *
net_client_host(const struct net_client *c)
{
	return c->host;
}

const char *
net_client_path(const struct net_client *c)
{
	return c->path;
}

/* ---- Handles -------------------------------------------------------------- */

static CURL *
handle_take(struct net_client *c)
{
	LOCK_SCOPE(&c->lock);
	return c->nidle > 0 ? c->idle[--c->nidle] : NULL;
}

/* One whose request failed may have a connection in any state: it is not used
 * again. */
static void
handle_give(struct net_client *c, CURL *h, bool good)
{
	if (h == NULL)
		return;
	if (good) {
		/* It must not keep what its last user knew. */
		curl_easy_reset(h);
		LOCK_SCOPE(&c->lock);
		if (c->nidle < NET_IDLE_MAX) {
			c->idle[c->nidle++] = h;
			return;
		}
	}
	curl_easy_cleanup(h);
}

/* ---- One try -------------------------------------------------------------- */

struct attempt {
	struct net_answer *a;
	struct curl_slist *headers;
	size_t max;
	bool too_long;
	char why[CURL_ERROR_SIZE];
};

static void
headers_free(struct curl_slist **l)
{
	curl_slist_free_all(*l);
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct attempt *t = arg;

	if (buf_put(&t->a->body, p, size * n) == OK)
		return size * n;
	t->too_long = t->a->body.len + size * n > t->max;
	return 0;
}

static enum err
add_header(struct curl_slist **l, const char *name, const char *value)
{
	struct buf line CLEANUP(buf_release_wiped) = { 0 };
	struct curl_slist *more;

	if (strpbrk(name, "\r\n:") != NULL || strpbrk(value, "\r\n") != NULL)
		return err_fail(ERR_INVAL, "a malformed header");
	buf_init(&line, HEADER_MAX);
	TRY(buf_printf(&line, "%s: %s", name, value));
	more = curl_slist_append(*l, (const char *)line.p);
	if (more == NULL)
		return ERR_NOMEM;
	*l = more;
	return OK;
}

static enum err
make_headers(const struct net_client *c, const struct net_request *r,
    struct curl_slist **ret)
{
	TRY(add_header(ret, "Host", c->host));
	for (size_t i = 0; i < r->nheaders; i++)
		TRY(add_header(ret, r->header[i].name, r->header[i].value));
	/* libcurl would wait for a "100 Continue" before larger bodies. */
	struct curl_slist *more = curl_slist_append(*ret, "Expect:");
	if (more == NULL)
		return ERR_NOMEM;
	*ret = more;
	return OK;
}

/* True when all were taken. */
static bool
set_transport(const struct net_client *c, CURL *h, long ms)
{
	const long connect =
	    (long)c->connect_ms < ms ? (long)c->connect_ms : ms;
	bool good = true;

#define SET(option, value) \
	(good = curl_easy_setopt(h, option, value) == CURLE_OK && good)
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	if (c->ca != NULL) {
		SET(CURLOPT_CAINFO, c->ca);
		SET(CURLOPT_CAPATH, NULL);
	}
	if (c->pin != NULL)
		SET(CURLOPT_PINNEDPUBLICKEY, c->pin);
	/* An empty name: none, and not the environment's either. */
	SET(CURLOPT_PROXY, c->proxy == NULL ? "" : c->proxy);
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_CONNECTTIMEOUT_MS, connect);
	SET(CURLOPT_TIMEOUT_MS, ms);
	SET(CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS);
	SET(CURLOPT_MAXCONNECTS, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	return good;
}

static bool
set_request(
    CURL *h, const struct net_request *r, const char *url, struct attempt *t)
{
	bool good = true;

	SET(CURLOPT_URL, url);
	SET(CURLOPT_PATH_AS_IS, 1L);
	if (r->body != NULL) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
		SET(CURLOPT_POSTFIELDS, r->body);
	}
	SET(CURLOPT_CUSTOMREQUEST, r->method);
	SET(CURLOPT_HTTPHEADER, t->headers);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_ERRORBUFFER, t->why);
	return good;
#undef SET
}

/* What came of it; *${ret_sent} when the server may have got the request. */
static enum err
judge(const struct net_client *c, CURLcode code, const struct attempt *t,
    bool *ret_sent)
{
	const char *why = t->why[0] != '\0' ? t->why : curl_easy_strerror(code);

	*ret_sent = true;
	if (code == CURLE_OK)
		return OK;
	if (t->too_long)
		return err_fail(ERR_LIMIT, "%s: the answer is over %zu bytes",
		    c->host, t->max);
	/* Not the enumeration: newer versions of libcurl add to it. */
	switch ((int)code) {
	case CURLE_OUT_OF_MEMORY:
	case CURLE_WRITE_ERROR:
		return ERR_NOMEM;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return err_fail(ERR_ACCESS,
		    "%s does not show the certificate that is expected: %s",
		    c->host, why);
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_BAD_FUNCTION_ARGUMENT:
		return err_fail(ERR_INVAL, "%s: %s", c->host, why);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
		*ret_sent = false;
		break;
	default:
		break;
	}
	return err_fail(ERR_TIMEDOUT, "%s cannot be reached: %s", c->host, why);
}

static enum err
attempt(struct net_client *c, const struct net_request *r, long ms,
    struct net_answer *a, bool *ret_sent)
{
	struct curl_slist *headers CLEANUP(headers_free) = NULL;
	struct attempt t = { .a = a, .max = r->answer_max };
	char *url CLEANUP_FREE = NULL;

	*ret_sent = false;
	TRY(make_headers(c, r, &headers));
	t.headers = headers;
	if (asprintf(&url, "%s%s", c->base, r->path) < 0)
		return ERR_NOMEM;
	CURL *h = handle_take(c);
	if (h == NULL)
		h = curl_easy_init();
	if (h == NULL || !set_transport(c, h, ms) ||
	    !set_request(h, r, url, &t)) {
		handle_give(c, h, false);
		return ERR_NOMEM;
	}
	buf_release_wiped(&a->body);
	const CURLcode code = curl_easy_perform(h);
	if (code == CURLE_OK)
		(void)curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &a->status);
	const enum err e = judge(c, code, &t, ret_sent);
	handle_give(c, h, code == CURLE_OK);
	return e;
}

/* ---- Requests ------------------------------------------------------------- */

void
net_answer_release(struct net_answer *a)
{
	buf_release_wiped(&a->body);
}

/* Should there be another try? */
static bool
repeat(const struct net_request *r, enum err e, bool sent,
    const struct net_answer *a)
{
	if (e != OK)
		return e == ERR_TIMEDOUT && (r->idempotent || !sent);
	if (!r->idempotent)
		return false;
	return a->status >= 500 || a->status == 429 ||
	       (r->again != NULL &&
		   r->again(a->status, a->body.p, a->body.len));
}

/* 0 to ${most}; not even when the kernel has no random bytes. */
static uint64_t
jitter(uint64_t most)
{
	uint64_t v = 0;

	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != (ssize_t)sizeof(v))
		v = clock_mono_ns();
	return v % (most + 1);
}

/* Sleeps before repetition ${n}; false when the time is over by then. */
static bool
pause_for(const struct net_client *c, unsigned n, uint64_t deadline)
{
	uint64_t most = c->backoff_ms;

	for (; n > 1 && most < BACKOFF_MAX; n--)
		most *= 2;
	if (most > BACKOFF_MAX)
		most = BACKOFF_MAX;
	const uint64_t ns = jitter(most * 1000000);
	if (clock_mono_ns() + ns >= deadline)
		return false;
	struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000) };
	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
	return true;
}

enum err
net_request(
    struct net_client *c, const struct net_request *r, struct net_answer *ret)
{
	const uint64_t start = clock_mono_ns(),
		       deadline = start + (uint64_t)c->total_ms * 1000000;
	enum err e;

	*ret = (struct net_answer){ .status = 0 };
	buf_init(&ret->body, r->answer_max);
	for (;;) {
		const uint64_t now = clock_mono_ns();
		bool sent = false;
		/* A last try has a millisecond at least. */
		const long ms = now + 1000000 >= deadline
				    ? 1
				    : (long)((deadline - now) / 1000000);

		ret->tries++;
		e = attempt(c, r, ms, ret, &sent);
		if (!repeat(r, e, sent, ret) || ret->tries >= c->tries ||
		    !pause_for(c, ret->tries, deadline))
			break;
	}
	if (e != OK)
		buf_release_wiped(&ret->body);
	return e;
}
