/*
 * limits: what a client may cost.  Every bound of the listener stands here;
 * docs/THREATS.md says what each is for.
 */
#ifndef GATEWAY_LIMITS_H
#define GATEWAY_LIMITS_H

/* Connections at a time: in all, and from one address.  Each has a thread. */
#define GATE_CONNS 512
#define GATE_CONNS_ADDR 160
#define GATE_CONNS_UNIX 160
#define GATE_BACKLOG 256
#define GATE_STACK ((size_t)512 << 10)

/* Bytes of a request: line and headers (libmicrohttpd's pool for a connection),
 * body. */
#define GATE_HEAD_MAX ((size_t)32 << 10)
#define GATE_BODY_MAX ((size_t)256 << 10)
#define GATE_ANSWER_MAX ((size_t)4 << 20)
#define GATE_AGENT_MAX 256 /* of the User-Agent that is recorded */

/* Seconds: from the connection, or from the answer before, until a request is
 * here whole, however slowly it drips in; without a byte in either direction;
 * until an answer was taken; that the end waits for calls at work. */
#define GATE_REQUEST_S 30
#define GATE_IDLE_S 20
#define GATE_ANSWER_S 30
#define GATE_END_S 10

/* Of a body's JSON. */
#define GATE_JSON_DEPTH 8
#define GATE_JSON_VALUES 4096

/* Seconds that a signature's time may differ from the clock.  Within them a
 * request that somebody recorded could be sent again. */
#define GATE_SKEW_S 900

#endif
