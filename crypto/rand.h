/*
 * rand: random bytes from the kernel, by way of a small pool per thread.
 *
 * The pool (2 KiB) makes a 12-byte nonce cost nanoseconds.  It is wiped
 * byte by byte as it is used, wiped in a forked child, and dropped when the
 * boot-time clock has jumped past the monotonic one (a resumed machine), so
 * that two machines or processes never draw the same bytes.
 */
#ifndef CRYPTO_RAND_H
#define CRYPTO_RAND_H

#include <stddef.h>

/* Fill ${len} bytes.  Aborts when the kernel has no random source: there is
 * no sane way on. */
void rand_bytes(void *p, size_t len);

#endif
