/*
 * listen: the sockets that the gateway listens on.  Private to the room.
 */
#ifndef GATEWAY_LISTEN_H
#define GATEWAY_LISTEN_H

#include <stdbool.h>

#include "lib/base/err.h"

/*
 * listen_tcp(text, local_only, ret_fd, ret_address):
 * Listen on "ADDR:PORT"; ${ret_address} (GATEWAY_ADDRESS_MAX bytes) tells the
 * port that it is in the end.  ERR_INVAL; ERR_BUSY; ERR_IO.
 */
enum err listen_tcp(const char *text, bool local_only, int *ret_fd,
    char *ret_address) MUSTCHECK;

/* Listen on KMS_SOCKET in the directory ${dirfd}, mode 0600. */
enum err listen_unix(int dirfd, int *ret_fd) MUSTCHECK;

#endif
