/*
 * aead_internal: what a test must know of aead.c.
 */
#ifndef CRYPTO_AEAD_INTERNAL_H
#define CRYPTO_AEAD_INTERNAL_H

#include <stdbool.h>

/* So many keys keep what crypto/gcm.h expands them to: an eighth of all key
 * memory.  Those beyond it are expanded for each message. */
#define AEAD_HELD_MAX 1024u

/* Keys that are made, and single messages, go this way from now on, NULL:
 * OpenSSL's; until it is called, gcm_best().  For tests. */
struct gcm;
void aead_use(const struct gcm *way);

#endif
