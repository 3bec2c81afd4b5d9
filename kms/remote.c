/*
 * remote: calls to a key service.  A call that is answered from the cache, or
 * shares what another is told, does not get as far as call().
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "crypto/sigv4.h"
#include "kms/awscred.h"
#include "kms/blob.h"
#include "kms/remote.h"
#include "kms/remote_cache.h"
#include "kms/remote_wire.h"
#include "lib/base/clock.h"
#include "lib/net/client.h"

#define REF_VERSION 1
#define BACKOFF_MS 100
/* After a call that nobody answered, others fail at once for so long. */
#define DOWN_NS UINT64_C(1000000000)

struct remote {
	struct net_client *net;
	struct rcache *cache;
	char *region, *profile, *credentials, *key; /* NULL: not given */
	char host_region[65];
	_Atomic uint64_t down_until; /* monotonic, ns */
};

/* ---- Opening -------------------------------------------------------------- */

static void
remote_close(void *arg)
{
	struct remote *r = arg;

	net_client_free(r->net);
	rcache_free(r->cache);
	free(r->region);
	free(r->profile);
	free(r->credentials);
	free(r->key);
	free(r);
}

static void
remote_cleanup(struct remote **r)
{

	if (*r != NULL)
		remote_close(*r);
}

static enum err
copy(const char *s, char **ret)
{

	*ret = s == NULL ? NULL : strdup(s);
	return s != NULL && *ret == NULL ? ERR_NOMEM : OK;
}

static enum err
remote_open(const struct provider_conf *conf, void **ret)
{
	struct remote *r CLEANUP(remote_cleanup) = calloc(1, sizeof(*r));
	struct remote_conf c;

	if (r == NULL)
		return ERR_NOMEM;
	TRY(remote_conf_parse(conf, &c));
	TRY(copy(c.region, &r->region));
	TRY(copy(c.profile, &r->profile));
	TRY(copy(c.credentials, &r->credentials));
	TRY(copy(c.key, &r->key));
	memcpy(r->host_region, c.host_region, sizeof(r->host_region));
	const struct net_conf net = { .url = c.url,
		.ca = c.ca,
		.pin = c.pin,
		.proxy = c.proxy,
		.connect_ms = c.connect,
		.total_ms = c.timeout,
		.tries = c.tries,
		.backoff_ms = BACKOFF_MS };
	/* Plaintexts go through the transport's buffers. */
	net_memory(secret_bulk_alloc, secret_bulk_free);
	TRY(net_client_new(&net, &r->net));
	TRY(rcache_new(c.cache_age, c.cache_uses, &r->cache));
	*ret = steal(r);
	return OK;
}

/* ---- Calls ---------------------------------------------------------------- */

static const char *
region(const struct remote *r, const struct awscred *c)
{

	if (r->region != NULL)
		return r->region;
	if (r->host_region[0] != '\0')
		return r->host_region;
	return c->region[0] != '\0' ? c->region : "us-east-1";
}

struct signed_headers {
	struct sigv4_header h[6]; /* Host first */
	size_t n;
	char date[SIGV4_DATE_LEN + 1], target[64];
	struct buf authorization;
};

static void
signed_release(struct signed_headers *s)
{

	buf_release_wiped(&s->authorization);
}

static enum err
sign(const struct remote *r, const struct awscred *c, const char *op,
    const struct buf *body, struct signed_headers *s)
{
	const time_t now = clock_wall().tv_sec;
	const struct sigv4_cred cred = { .access_key = c->access_key,
		.secret = c->secret,
		.secret_len = strlen(c->secret),
		.region = region(r, c),
		.service = "kms" };
	char payload[2 * SHA256_LEN + 1];
	struct sigv4_request q = { .method = "POST",
		.path = net_client_path(r->net),
		.header = s->h,
		.payload = payload };

	sigv4_date(now, s->date);
	sigv4_payload(body->p, body->len, payload);
	(void)snprintf(s->target, sizeof(s->target), "TrentService.%s", op);
	s->h[s->n++] = (struct sigv4_header){ "Host", net_client_host(r->net) };
	s->h[s->n++] = (struct sigv4_header){ "X-Amz-Date", s->date };
	s->h[s->n++] = (struct sigv4_header){ "X-Amz-Target", s->target };
	s->h[s->n++] = (struct sigv4_header){ "Content-Type",
		"application/x-amz-json-1.1" };
	if (c->token[0] != '\0')
		s->h[s->n++] =
		    (struct sigv4_header){ "X-Amz-Security-Token", c->token };
	q.nheaders = s->n;
	buf_init(&s->authorization, 4096);
	TRY(sigv4_sign(&q, &cred, now, &s->authorization));
	s->h[s->n++] = (struct sigv4_header){ "Authorization",
		(const char *)s->authorization.p };
	return OK;
}

static enum err
send_signed(struct remote *r, const char *op, const struct buf *body,
    bool idempotent, struct net_answer *ret)
{
	struct awscred *c CLEANUP_AWSCRED = NULL;
	struct signed_headers s CLEANUP(signed_release) = { .n = 0 };
	struct net_header h[COUNTOF(s.h)];
	const struct net_request q = { .method = "POST",
		.path = net_client_path(r->net),
		.header = h,
		.nheaders = 0,
		.body = body->p,
		.len = body->len,
		.answer_max = WIRE_BODY_MAX,
		.idempotent = idempotent,
		.again = wire_throttled };
	struct net_request sent = q;

	TRY(awscred_find(r->profile, r->credentials, &c));
	TRY(sign(r, c, op, body, &s));
	/* The transport adds Host itself. */
	for (size_t i = 1; i < s.n; i++)
		h[sent.nheaders++] =
		    (struct net_header){ s.h[i].name, s.h[i].value };
	return net_request(r->net, &sent, ret);
}

/*
 * A side that does not answer is left alone for a second, then tried by one
 * caller, so that not each file that is opened meanwhile waits for the whole
 * time-out.
 */
static bool
may_ask(struct remote *r)
{
	uint64_t down = atomic_load(&r->down_until);

	while (down != 0) {
		if (clock_mono_ns() < down)
			return false;
		if (atomic_compare_exchange_strong(
			&r->down_until, &down, UINT64_MAX))
			return true;
	}
	return true;
}

/* Ask ${op}; OK with the answer of status 200. */
static enum err
call(struct remote *r, const char *op, const struct buf *body, bool idempotent,
    struct net_answer *ret)
{
	enum err e;

	*ret = (struct net_answer){ .status = 0 };
	if (!may_ask(r))
		return err_fail(ERR_TIMEDOUT, "%s did not answer a moment ago",
		    net_client_host(r->net));
	e = send_signed(r, op, body, idempotent, ret);
	if (e == OK && ret->status != 200)
		e = wire_error(ret->status, ret->body.p, ret->body.len);
	atomic_store(
	    &r->down_until, e == ERR_TIMEDOUT ? clock_mono_ns() + DOWN_NS : 0);
	return e;
}

/* ---- References ----------------------------------------------------------- */

static enum err
ref_key(const uint8_t *ref, size_t len, char ret[static WIRE_KEY_MAX + 1])
{

	if (len < 2 || len > 1 + WIRE_KEY_MAX || ref[0] != REF_VERSION ||
	    memchr(ref, '\0', len) != NULL)
		return err_fail(ERR_CORRUPT,
		    "keystore: no reference to a key of a remote service");
	memcpy(ret, ref + 1, len - 1);
	ret[len - 1] = '\0';
	return OK;
}

/* Of the answers about one far key. */
static uint64_t
group_of(const char *key)
{
	uint8_t hash[SHA256_LEN];

	sha256(key, strlen(key), hash);
	return get_u64(hash);
}

static void
add_part(struct sha256_ctx *c, const void *p, size_t len)
{
	uint8_t n[8];

	put_u64(n, len);
	sha256_add(c, n, sizeof(n));
	if (len > 0)
		sha256_add(c, p, len);
}

/* What an answer depends on. */
static void
question(const char *what, const char *key, const struct provider_msg *m,
    const uint8_t *sealed, size_t len, uint8_t ret[static SHA256_LEN])
{
	struct sha256_ctx c;

	sha256_begin(&c);
	add_part(&c, what, strlen(what));
	add_part(&c, key, strlen(key));
	if (m != NULL) {
		add_part(&c, m->ad, m->adlen);
		add_part(&c, sealed, len);
	}
	sha256_end(&c, ret);
}

/* A refusal counts for what was answered before, too. */
static void
refused(struct remote *r, uint64_t group, enum err e)
{

	if (e == ERR_KEYREVOKED || e == ERR_KEYDELETION || e == ERR_NOKEY ||
	    e == ERR_ACCESS || e == ERR_KEYSTATE)
		rcache_drop(r->cache, group);
}

/* ---- Operations ----------------------------------------------------------- */

static enum err
ask_usable(struct remote *r, const char *op, const struct buf *body,
    bool idempotent, char ret[static WIRE_KEY_MAX + 1])
{
	struct net_answer a CLEANUP_ANSWER = { .status = 0 };

	TRY(call(r, op, body, idempotent, &a));
	return wire_usable(a.body.p, a.body.len, ret);
}

static enum err
describe(struct remote *r, const char *key, char ret[static WIRE_KEY_MAX + 1])
{
	struct buf body CLEANUP_BUF = { 0 };

	buf_init(&body, WIRE_BODY_MAX);
	TRY(wire_key(&body, key));
	return ask_usable(r, "DescribeKey", &body, true, ret);
}

static enum err
remote_make_key(void *arg, const char *tenant, const char *label,
    uint8_t ret[static PROVIDER_REF_MAX], size_t *ret_len)
{
	struct remote *r = arg;
	struct buf body CLEANUP_BUF = { 0 };
	char key[WIRE_KEY_MAX + 1];

	if (r->key != NULL) {
		TRY(describe(r, r->key, key));
	} else {
		buf_init(&body, WIRE_BODY_MAX);
		TRY(wire_create(&body, tenant, label));
		/* A second one would be nobody's. */
		TRY(ask_usable(r, "CreateKey", &body, false, key));
	}
	ret[0] = REF_VERSION;
	memcpy(ret + 1, key, strlen(key));
	*ret_len = 1 + strlen(key);
	return OK;
}

/* Without a key: whoever is refused for want of a right was let in. */
static enum err
check_service(struct remote *r)
{
	struct net_answer a CLEANUP_ANSWER = { .status = 0 };
	struct buf body CLEANUP_BUF = { 0 };
	enum err e;

	buf_init(&body, 64);
	TRY(buf_put_str(&body, "{\"Limit\":1}"));
	e = call(r, "ListKeys", &body, true, &a);
	if (e == ERR_ACCESS && a.status == 400 &&
	    memmem(a.body.p, a.body.len, "AccessDenied", 12) != NULL)
		return OK;
	return e;
}

static enum err
remote_check(void *arg, const uint8_t *ref, size_t reflen)
{
	struct remote *r = arg;
	char key[WIRE_KEY_MAX + 1], found[WIRE_KEY_MAX + 1];
	uint8_t id[SHA256_LEN], yes = 1;
	size_t n = 0;
	bool mine = false;
	enum err e;

	if (ref == NULL)
		return r->key == NULL ? check_service(r)
				      : describe(r, r->key, found);
	TRY(ref_key(ref, reflen, key));
	question("check", key, NULL, NULL, 0, id);
	TRY(rcache_begin(
	    r->cache, id, clock_mono_ns(), &yes, sizeof(yes), &n, &mine));
	if (!mine)
		return OK;
	e = describe(r, key, found);
	refused(r, group_of(key), e);
	rcache_end(r->cache, id, group_of(key), clock_mono_ns(), e, &yes, 1);
	return e;
}

static enum err
remote_wrap(void *arg, const struct provider_msg *m, const uint8_t *plain,
    size_t len, uint8_t *ret, size_t room, size_t *ret_len)
{
	struct remote *r = arg;
	struct net_answer a CLEANUP_ANSWER = { .status = 0 };
	struct buf body CLEANUP(buf_release_wiped) = { 0 };
	char key[WIRE_KEY_MAX + 1];
	uint8_t id[SHA256_LEN];
	enum err e;

	TRY(ref_key(m->ref, m->reflen, key));
	buf_init(&body, WIRE_BODY_MAX);
	TRY(wire_encrypt(&body, key, m, plain, len));
	e = call(r, "Encrypt", &body, true, &a);
	refused(r, group_of(key), e);
	TRY(e);
	TRY(wire_blob(a.body.p, a.body.len, key, ret, room, ret_len));
	/* Who made it will want to open it. */
	question("open", key, m, ret, *ret_len, id);
	rcache_put(r->cache, id, group_of(key), clock_mono_ns(), plain, len);
	return OK;
}

static enum err
decrypt(struct remote *r, const char *key, const struct provider_msg *m,
    const uint8_t *sealed, size_t len, uint8_t *ret, size_t room,
    size_t *ret_len)
{
	struct net_answer a CLEANUP_ANSWER = { .status = 0 };
	struct buf body CLEANUP_BUF = { 0 };

	buf_init(&body, WIRE_BODY_MAX);
	TRY(wire_decrypt(&body, key, m, sealed, len));
	TRY(call(r, "Decrypt", &body, true, &a));
	return wire_plain(a.body.p, a.body.len, key, ret, room, ret_len);
}

static enum err
remote_unwrap(void *arg, const struct provider_msg *m, const uint8_t *sealed,
    size_t len, uint8_t *ret, size_t room, size_t *ret_len)
{
	struct remote *r = arg;
	char key[WIRE_KEY_MAX + 1];
	uint8_t id[SHA256_LEN];
	bool mine = false;
	enum err e;

	TRY(ref_key(m->ref, m->reflen, key));
	question("open", key, m, sealed, len, id);
	TRY(rcache_begin(
	    r->cache, id, clock_mono_ns(), ret, room, ret_len, &mine));
	if (!mine)
		return OK;
	e = decrypt(r, key, m, sealed, len, ret, room, ret_len);
	refused(r, group_of(key), e);
	rcache_end(r->cache, id, group_of(key), clock_mono_ns(), e, ret,
	    e == OK ? *ret_len : 0);
	return e;
}

const struct provider_ops provider_remote = {
	.scheme = "https",
	.suite = BLOB_SUITE_REMOTE,
	.open = remote_open,
	.close = remote_close,
	.check = remote_check,
	.make_key = remote_make_key,
	.wrap = remote_wrap,
	.unwrap = remote_unwrap,
};
