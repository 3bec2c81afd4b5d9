/*
 * gateway: the KMS API over HTTPS, and over a socket in the store's directory.
 *
 * Over the network each request is signed with the access key of a user
 * (Signature Version 4).  The socket, KMS_SOCKET in the store's directory, is
 * for root and for the user of this process, who act as the account itself;
 * there the same requests go without TLS and without signature.
 *
 * Each connection has a thread, so that a call which waits (for a key provider,
 * say) holds up nobody else; gateway/limits.h bounds what a client may cost.
 *
 * This is the only header of the room that others include.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "kms/kms.h"
#include "lib/base/err.h"

#define KMS_SOCKET "kms.sock"
#define GATEWAY_LISTEN "127.0.0.1:9443"
#define GATEWAY_ADDRESS_MAX 64

struct gateway;

struct gateway_opts {
	struct kms *kms;    /* borrowed */
	const char *listen; /* "ADDR:PORT", "[ADDR6]:PORT"; NULL: no network.
			       Port 0: any that is free */
	/* PEM; copied.  NULL: plain HTTP, for addresses of this machine only
	 * (ERR_INVAL for others), where no plaintext and no key is given or
	 * taken. */
	const char *cert, *key;
	const char *dir; /* where the socket stands; NULL: none.  One that a
			    dead process left is replaced: only the store's
			    owner may say so */
};

/*
 * gateway_start(o, ret):
 * Listen and serve.  Signals should be blocked: threads are started.  ERR_INVAL:
 * the address, the certificate or the key cannot be used; ERR_BUSY: the address
 * is taken; ERR_EXIST: something that is no socket has its name; ERR_NOMEM,
 * ERR_IO.  All with a sentence.
 */
enum err gateway_start(
    const struct gateway_opts *o, struct gateway **ret) MUSTCHECK;
/* "127.0.0.1:9443": where it listens; "" without network. */
const char *gateway_address(const struct gateway *g);
/* Take no new requests, let those at work end (GATE_END_S at most), close.
 * NULL is fine. */
void gateway_stop(struct gateway *g);

#endif
