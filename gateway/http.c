/*
 * A request: its head is looked at, its body gathered, then it is served and
 * answered.  What may be plaintext is wiped wherever this room holds it, and in
 * libmicrohttpd's buffer as soon as it was copied from there.
 */
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "crypto/rand.h"
#include "crypto/secret.h"
#include "gateway/auth.h"
#include "gateway/limits.h"
#include "gateway/server.h"
#include "lib/base/clock.h"
#include "lib/base/codec.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

#define CONTENT_TYPE "application/x-amz-json-1.1"
#define HEADERS_MAX 64
#define CUT_AFTER (4 * GATE_BODY_MAX) /* what is thrown away at most */

struct request {
	struct conn *conn;
	struct buf body;
	size_t got; /* bytes of the body, also those thrown away */
	char id[UUID_STRLEN + 1];
	char ip[INET6_ADDRSTRLEN];
	char agent[GATE_AGENT_MAX];
};

/* ---- Answers ---------------------------------------------------------------*/

static void
answer_free(void *cls)
{
	struct buf *b = cls;

	buf_release_wiped(b);
	free(b);
}

static enum MHD_Result
send_json(struct MHD_Connection *c, const struct request *r, unsigned status,
    const char *error, struct buf *text)
{
	struct buf *b = malloc(sizeof(*b));
	struct MHD_Response *resp = NULL;
	enum MHD_Result rc = MHD_NO;

	if (b == NULL)
		return (MHD_NO);
	*b = *text;
	buf_init(text, text->max);
	resp = MHD_create_response_from_buffer_with_free_callback_cls(
	    b->len, b->p, answer_free, b);
	if (resp == NULL) {
		answer_free(b);
		return (MHD_NO);
	}
	if (MHD_add_response_header(
		resp, MHD_HTTP_HEADER_CONTENT_TYPE, CONTENT_TYPE) == MHD_YES &&
	    MHD_add_response_header(resp, "x-amzn-RequestId", r->id) ==
		MHD_YES &&
	    MHD_add_response_header(resp, MHD_HTTP_HEADER_CACHE_CONTROL,
		"no-cache, no-store, must-revalidate, private") == MHD_YES &&
	    (error == NULL || MHD_add_response_header(
				  resp, "x-amzn-errortype", error) == MHD_YES))
		rc = MHD_queue_response(c, status, resp);
	MHD_destroy_response(resp);
	return (rc);
}

static enum MHD_Result
send_error(struct MHD_Connection *c, const struct request *r,
    const struct aws_error *err)
{
	struct buf text CLEANUP_BUF;
	struct jout j;

	buf_init(&text, GATE_ANSWER_MAX);
	jout_begin(&j, &text, false);
	jout_object(&j, NULL);
	jout_str(&j, "__type", aws_name(err->code));
	jout_str(&j, "message", err->text);
	jout_close(&j, '}');
	if (j.e != OK)
		return (MHD_NO);
	return (
	    send_json(c, r, aws_status(err->code), aws_name(err->code), &text));
}

/* ---- Who -------------------------------------------------------------------*/

static const char *
header(struct MHD_Connection *c, const char *name)
{
	return (MHD_lookup_connection_value(c, MHD_HEADER_KIND, name));
}

static void
client_ip(struct MHD_Connection *c, char ret[static INET6_ADDRSTRLEN])
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	ret[0] = '\0';
	if (i == NULL || i->client_addr == NULL)
		return;
	if (i->client_addr->sa_family == AF_INET) {
		memcpy(&in, i->client_addr, sizeof(in));
		(void)inet_ntop(AF_INET, &in.sin_addr, ret, INET6_ADDRSTRLEN);
	} else if (i->client_addr->sa_family == AF_INET6) {
		memcpy(&in6, i->client_addr, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
			(void)inet_ntop(AF_INET, in6.sin6_addr.s6_addr + 12,
			    ret, INET6_ADDRSTRLEN);
		else
			(void)inet_ntop(
			    AF_INET6, &in6.sin6_addr, ret, INET6_ADDRSTRLEN);
	}
}

/* Root, and who runs this process. */
static bool
peer_ok(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred who;
	socklen_t len = sizeof(who);

	if (i == NULL ||
	    getsockopt(i->connect_fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return (false);
	if (who.uid == 0 || who.uid == geteuid())
		return (true);
	log_warn(
	    "gateway: " KMS_SOCKET ": user %u was refused", (unsigned)who.uid);
	return (false);
}

struct headers {
	struct sigv4_header h[HEADERS_MAX];
	size_t n;
	bool many;
};

static enum MHD_Result
header_one(
    void *cls, enum MHD_ValueKind kind UNUSED, const char *name, const char *v)
{
	struct headers *hs = cls;

	if (hs->n == HEADERS_MAX) {
		hs->many = true;
		return (MHD_NO);
	}
	hs->h[hs->n++] =
	    (struct sigv4_header){ .name = name, .value = v != NULL ? v : "" };
	return (MHD_YES);
}

static enum err
signer(struct listener *l, struct MHD_Connection *c, const struct request *r,
    struct signer *ret, struct aws_error *err)
{
	struct headers hs = { .n = 0 };
	struct auth_request q = {
		.region = kms_region(l->kms),
		.headers = hs.h,
		.body = r->body.p,
		.len = r->body.len,
		.now = (int64_t)clock_wall().tv_sec,
	};

	(void)MHD_get_connection_values(c, MHD_HEADER_KIND, header_one, &hs);
	if (hs.many)
		return (aws_fail(err, ERR_ACCESS, AWS_VALIDATION,
		    "There are more than %d headers", HEADERS_MAX));
	q.nheaders = hs.n;
	return (auth_check(l->kms, &q, ret, err));
}

/* What protects the connection; false: nothing. */
static bool
tls_of(struct MHD_Connection *c, struct kms_tls *ret)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	gnutls_protocol_t version = GNUTLS_VERSION_UNKNOWN;

	if (i == NULL || i->tls_session == NULL)
		return (false);
	version = gnutls_protocol_get_version(i->tls_session);
	*ret = (struct kms_tls){
		.version = version == GNUTLS_TLS1_3   ? "TLSv1.3"
			   : version == GNUTLS_TLS1_2 ? "TLSv1.2"
						      : "TLS",
		.cipher = gnutls_ciphersuite_get(i->tls_session),
		.host = header(c, MHD_HTTP_HEADER_HOST),
	};
	return (true);
}

/* ---- Serving ---------------------------------------------------------------*/

static bool
serve_as(struct listener *l, struct MHD_Connection *c, struct request *r,
    const struct signer *by, struct buf *out, struct aws_error *err)
{
	const bool local = l->kind == LISTEN_LOCAL;
	struct kms_tls tls;
	const struct kms_who who = {
		.tenant = local ? NULL : by->cred.tenant,
		.user = local ? KMS_ROOT_USER : by->cred.user,
		.agent = local ? "local" : "api",
		.access_key_id = local ? NULL : by->id,
		.source_ip = r->ip[0] != '\0' ? r->ip : NULL,
		.user_agent = r->agent[0] != '\0' ? r->agent : NULL,
		.request_id = r->id,
		.secure = l->kind != LISTEN_PLAIN,
		.tls = l->kind == LISTEN_TLS && tls_of(c, &tls) ? &tls : NULL,
	};

	return (api_call(l->api, &who, header(c, "X-Amz-Target"), r->body.p,
	    r->body.len, out, err));
}

static bool
authorised(struct listener *l, struct MHD_Connection *c,
    const struct request *r, struct signer *by, struct aws_error *err)
{
	if (l->kind != LISTEN_LOCAL)
		return (signer(l, c, r, by, err) == OK);
	if (peer_ok(c))
		return (true);
	(void)aws_fail(err, ERR_ACCESS, AWS_ACCESS_DENIED,
	    "only root and the user whose process has the store may use it");
	return (false);
}

static enum MHD_Result
serve(struct listener *l, struct MHD_Connection *c, struct request *r)
{
	struct signer by CLEANUP_SIGNER = { .id = "" };
	struct aws_error err = { .code = AWS_NONE };
	enum MHD_Result rc = MHD_NO;
	struct buf out;
	bool good = false;

	buf_init(&out, GATE_ANSWER_MAX);
	conn_enter(&l->conns, r->conn, CONN_WORK);
	if (r->got > r->body.len)
		(void)aws_fail(&err, ERR_LIMIT, AWS_TOO_LARGE,
		    "The request is larger than %zu bytes", GATE_BODY_MAX);
	else if (authorised(l, c, r, &by, &err))
		good = serve_as(l, c, r, &by, &out, &err);
	conn_enter(&l->conns, r->conn, CONN_ANSWER);
	rc = good ? send_json(c, r, MHD_HTTP_OK, NULL, &out)
		  : send_error(c, r, &err);
	buf_release_wiped(&out);
	return (rc);
}

/* ---- libmicrohttpd's calls -------------------------------------------------*/

/* A body that says from the start that it is far too large is not waited for.
 * One that is a little too large is: a client that is cut off while it sends
 * does not get to read why. */
static bool
too_large(struct MHD_Connection *c)
{
	const char *text = header(c, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (text != NULL &&
		strtoull(text, NULL, 10) > (unsigned long long)CUT_AFTER);
}

static struct request *
request_new(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *i =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	const char *agent = header(c, MHD_HTTP_HEADER_USER_AGENT);
	struct request *r = calloc(1, sizeof(*r));
	uint8_t uuid[UUID_LEN];

	if (r == NULL)
		return (NULL);
	buf_init(&r->body, GATE_BODY_MAX);
	r->conn = i != NULL ? i->socket_context : NULL;
	rand_bytes(uuid, sizeof(uuid));
	uuid[6] = (uint8_t)(0x40 | (uuid[6] & 0x0f));
	uuid[8] = (uint8_t)(0x80 | (uuid[8] & 0x3f));
	uuid_format(uuid, r->id);
	client_ip(c, r->ip);
	(void)snprintf(
	    r->agent, sizeof(r->agent), "%s", agent != NULL ? agent : "");
	return (r);
}

/* The head is here.  Other refusals wait for the body, so that the client has
 * sent it before it reads. */
static enum MHD_Result
begin(struct MHD_Connection *c, const struct request *r)
{
	struct aws_error err = { .code = AWS_NONE };

	if (!too_large(c))
		return (MHD_YES);
	(void)aws_fail(&err, ERR_LIMIT, AWS_TOO_LARGE,
	    "The request is larger than %zu bytes", GATE_BODY_MAX);
	return (send_error(c, r, &err));
}

/* libmicrohttpd is done with these bytes when we say so. */
static enum MHD_Result
gather(struct request *r, const char *data, size_t *len)
{
	if (*len > CUT_AFTER - r->got)
		return (MHD_NO);
	r->got += *len;
	if (r->got <= GATE_BODY_MAX && buf_put(&r->body, data, *len) != OK)
		return (MHD_NO);
	secret_wipe((void *)(uintptr_t)data, *len);
	*len = 0;
	return (MHD_YES);
}

enum MHD_Result
http_handle(void *cls, struct MHD_Connection *c, const char *url,
    const char *method, const char *version UNUSED, const char *data,
    size_t *len, void **req_cls)
{
	struct listener *l = cls;
	struct request *r = *req_cls;
	struct aws_error err = { .code = AWS_NONE };

	if (r == NULL) {
		r = request_new(c);
		*req_cls = r;
		return (r != NULL ? begin(c, r) : MHD_NO);
	}
	if (*len > 0)
		return (gather(r, data, len));
	if (strcmp(method, MHD_HTTP_METHOD_POST) == 0 &&
	    strcmp(url, "/") == 0 &&
	    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, NULL, NULL) ==
		0)
		return (serve(l, c, r));
	(void)aws_fail(&err, ERR_NOTSUP, AWS_UNKNOWN_OPERATION,
	    "Requests are made by POST of /, with X-Amz-Target");
	return (send_error(c, r, &err));
}

void
http_completed(void *cls, struct MHD_Connection *c UNUSED, void **req_cls,
    enum MHD_RequestTerminationCode toe UNUSED)
{
	struct listener *l = cls;
	struct request *r = *req_cls;

	if (r == NULL)
		return;
	conn_enter(&l->conns, r->conn, CONN_RECEIVE);
	buf_release_wiped(&r->body);
	free(r);
	*req_cls = NULL;
}

void
http_connection(void *cls, struct MHD_Connection *c, void **socket_cls,
    enum MHD_ConnectionNotificationCode toe)
{
	struct listener *l = cls;
	const union MHD_ConnectionInfo *i = NULL;

	if (toe == MHD_CONNECTION_NOTIFY_CLOSED) {
		conn_remove(&l->conns, *socket_cls);
		*socket_cls = NULL;
		return;
	}
	i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	*socket_cls = i != NULL ? conn_add(&l->conns, i->connect_fd) : NULL;
}
