/*
 * conn: the open connections, and the end of those that take too long.  Private
 * to the room.
 *
 * libmicrohttpd bounds the silence of a client, not the whole of a request that
 * drips in byte by byte; here each phase of a request has its time.
 */
#ifndef GATEWAY_CONN_H
#define GATEWAY_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/lock.h"

enum conn_phase {
	CONN_RECEIVE, /* until the request is whole */
	CONN_WORK,    /* the KMS has it; no limit here */
	CONN_ANSWER   /* until the client took the answer */
};

struct conn {
	struct conn *prev, *next;
	int fd;
	enum conn_phase phase;
	uint64_t since; /* monotonic */
};

struct conns {
	struct lock lock;
	struct conn *first;
	size_t n, busy; /* busy: not in CONN_RECEIVE */
};

void conns_init(struct conns *cs);
/* None may be left. */
void conns_destroy(struct conns *cs);
/* NULL: out of memory.  ${fd} must be open until conn_remove(). */
struct conn *conn_add(struct conns *cs, int fd) MUSTCHECK;
void conn_remove(struct conns *cs, struct conn *c);
void conn_enter(struct conns *cs, struct conn *c, enum conn_phase phase);
/* Shut those down whose time is over at ${now}; how many. */
size_t conns_cut(struct conns *cs, uint64_t now);
size_t conns_busy(struct conns *cs);

#endif
