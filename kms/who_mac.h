/*
 * who_mac: identities that nobody but who has the keystore master key made.
 *
 * Every row of the tables tenants, users, access_keys, user_roles, policies and
 * attachments has a MAC over its table and all its columns, and meta has one
 * ("who_mac") over the MACs of all rows and the number of changes so far: no
 * row can be altered, made, put into another table or keystore, removed or put
 * back.  All of them put back together are not noticed.
 *
 * Used under k->conn, or by one thread.
 */
#ifndef KMS_WHO_MAC_H
#define KMS_WHO_MAC_H

#include <stdbool.h>

#include "crypto/digest.h"
#include "crypto/secret.h"
#include "kms/db.h"
#include "lib/base/codec.h"

/* The sentence of ERR_CORRUPT, for all who ask for somebody's rights. */
#define WHO_MAC_ALTERED                                                       \
	"keystore: its identities were altered outside of ssefs, so that no " \
	"user has any rights; ssefs fsck names them"

/* The key, for a keystore; ${ret} is in key memory. */
enum err who_mac_key(const struct key *kmk, const uint8_t uuid[static UUID_LEN],
    struct hmac_key *ret) MUSTCHECK;

/* A bad row of ${table}, by its primary key; ${what} NULL: the MAC over all
 * rows is bad. */
typedef void who_mac_bad_fn(void *arg, const char *table, const char *what);

/* Look at all of them: *${ret} is false when one is bad.  ${bad} (NULL: none) is
 * called for each. */
enum err who_mac_check(struct db *db, const struct hmac_key *key,
    who_mac_bad_fn *bad, void *arg, bool *ret) MUSTCHECK;
/* Inside a transaction that began with a check, or in a new keystore: make the
 * MACs of rows that changed, and that over all. */
enum err who_mac_write(struct db *db, const struct hmac_key *key) MUSTCHECK;
/* Inside a transaction: remove rows whose MAC is bad, and those that mean
 * nothing without them. */
enum err who_mac_purge(struct db *db, const struct hmac_key *key) MUSTCHECK;

#endif
