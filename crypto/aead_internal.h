/*
 * aead_internal: what a test must know of aead.c.
 */
#ifndef CRYPTO_AEAD_INTERNAL_H
#define CRYPTO_AEAD_INTERNAL_H

#include <stdbool.h>

/* So many keys keep what gcm_vaes.c expands them to: an eighth of all key
 * memory.  Those beyond it are expanded for each message. */
#define AEAD_HELD_MAX 1024u

/* Keys that are made, and single messages, use OpenSSL from now on, whatever
 * the processor has; false: no more.  For tests. */
void aead_only_openssl(bool on);

#endif
