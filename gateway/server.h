/*
 * server: listeners, and what their requests share.  Private to the room.
 */
#ifndef GATEWAY_SERVER_H
#define GATEWAY_SERVER_H

#include <microhttpd.h>

#include "gateway/api.h"
#include "gateway/conn.h"
#include "gateway/gateway.h"

enum listener_kind {
	LISTEN_TLS,
	LISTEN_PLAIN, /* HTTP on the loopback */
	LISTEN_LOCAL  /* the socket in the store's directory */
};

struct listener {
	enum listener_kind kind;
	struct kms *kms;
	struct api *api;
	struct conns conns;
	struct MHD_Daemon *daemon; /* NULL: not listening */
};

/* ---- http.c: from libmicrohttpd's calls to requests and back -------------*/

/* For MHD_start_daemon(); ${cls} is the struct listener. */
enum MHD_Result http_handle(void *cls, struct MHD_Connection *c,
    const char *url, const char *method, const char *version, const char *data,
    size_t *len, void **req_cls);
void http_completed(void *cls, struct MHD_Connection *c, void **req_cls,
    enum MHD_RequestTerminationCode toe);
void http_connection(void *cls, struct MHD_Connection *c, void **socket_cls,
    enum MHD_ConnectionNotificationCode toe);

#endif
