/*
 * client: HTTPS requests to one server.
 *
 * Nothing but HTTPS is ever spoken, TLS 1.2 at least, and the server's
 * certificate is always checked: against a bundle of authorities, against a
 * pinned public key besides, when one is given.  Redirections are not followed,
 * no proxy is used unless the configuration names it, whatever the environment
 * says.  All memory of the transport is wiped when it is freed.
 *
 * A client is used by any number of threads at once; each request has a
 * connection to itself while it runs, and leaves it to later ones.  No lock is
 * held while a request runs.
 */
#ifndef LIB_NET_CLIENT_H
#define LIB_NET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"

#define NET_URL_MAX 1024
#define NET_IDLE_MAX 16 /* connections that wait for the next request */

/*
 * net_memory(alloc, release):
 * Where the transport's own memory comes from (zeroed or not; NULL: none left),
 * once for the process and before the first client; later calls do nothing.
 * Without it, that is malloc().
 */
void net_memory(void *(*alloc)(size_t len), void (*release)(void *p));

struct net_conf {
	const char *url; /* "https://host[:port][/path]" */
	const char *ca;  /* PEM file with authorities; NULL: the system's */
	/* SHA-256 of the DER form of the server's public key, in base64; NULL:
	 * any that an authority vouches for. */
	const char *pin;
	const char *proxy;   /* "http[s]://host:port"; NULL: none */
	unsigned connect_ms; /* for a connection */
	unsigned total_ms;   /* for a request, with all its repetitions */
	unsigned tries;      /* at most, the first one counted */
	unsigned backoff_ms; /* see net_request() */
};

struct net_client;

/*
 * net_client_new(conf, ret):
 * Nothing is sent yet.  Returns OK; ERR_INVAL with a sentence (the URL, an
 * unreadable ${ca}, a malformed ${pin}); ERR_NOMEM.
 */
enum err net_client_new(
    const struct net_conf *conf, struct net_client **ret) MUSTCHECK;
/* Nobody else uses it.  NULL is fine. */
void net_client_free(struct net_client *c);

/* What the header Host will say, and the path of the URL ("/" at least). */
const char *net_client_host(const struct net_client *c);
const char *net_client_path(const struct net_client *c);

struct net_header {
	const char *name, *value;
};

struct net_request {
	const char *method;              /* "GET", "POST", … */
	const char *path;                /* as it is sent, with the query */
	const struct net_header *header; /* Host is added */
	size_t nheaders;
	const void *body; /* NULL when there is none */
	size_t len;
	size_t answer_max; /* bytes of the answer's body */
	/* It may be done twice without harm: when it is not known whether the
	 * server did it, it is sent again. */
	bool idempotent;
	/* Is this answer one that another try may better?  Asked of answers
	 * below 500 other than 429; NULL: none is. */
	bool (*again)(long status, const void *body, size_t len);
};

struct net_answer {
	long status;
	struct buf body;
	unsigned tries; /* how many there were */
};
void net_answer_release(struct net_answer *a); /* wipes */
#define CLEANUP_ANSWER CLEANUP(net_answer_release)

/*
 * net_request(c, r, ret):
 * Send ${r} and wait for the answer, whatever its status; ${ret} is initialised
 * here, and to be released in any case.
 *
 * A request is repeated, while ${tries} and ${total_ms} allow, when no
 * connection came about, and, if it is ${idempotent}, when the connection broke
 * or the answer was 500 and above, 429 or one that ${again} takes.  Before the
 * nth repetition there is a pause of 0 to ${backoff_ms} * 2^(n-1) milliseconds
 * (evenly distributed, so that many clients do not come back together).
 *
 * Returns OK; ERR_TIMEDOUT when the server was not reached, or did not answer in
 * time; ERR_ACCESS when it is not the one that was expected (its certificate);
 * ERR_LIMIT when the answer is longer than ${answer_max}; ERR_INVAL; ERR_NOMEM;
 * each with a sentence.
 */
enum err net_request(struct net_client *c, const struct net_request *r,
    struct net_answer *ret) MUSTCHECK;

#endif
