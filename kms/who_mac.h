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

/* Look at all of them: *${ret} is false when one is bad, or the schema has
 * objects that are not ours (named as rows of "sqlite_master").  ${bad} (NULL:
 * none) is called for each. */
enum err who_mac_check(struct db *db, const struct hmac_key *key,
    who_mac_bad_fn *bad, void *arg, bool *ret) MUSTCHECK;

/* In this order they are read. */
enum who_table {
	WHO_TENANTS,
	WHO_USERS,
	WHO_ACCESS_KEYS,
	WHO_USER_ROLES,
	WHO_POLICIES,
	WHO_ATTACHMENTS,
};
/* One row of ${table}, by primary key: column 0 is its MAC, then those of
 * FORMAT.md in their order, but the primary key first. */
typedef enum err who_mac_row_fn(
    void *arg, enum who_table table, sqlite3_stmt *row);
/* The same look, and ${fn} gets the very values that the MACs were computed
 * over; what it made of them is worth something only when *${ret} is true in the
 * end.  Its error comes back only then. */
enum err who_mac_read(struct db *db, const struct hmac_key *key,
    who_mac_row_fn *fn, void *arg, bool *ret) MUSTCHECK;
/* Inside a transaction that began with a check, or in a new keystore: make the
 * MACs of rows that changed, and that over all. */
enum err who_mac_write(struct db *db, const struct hmac_key *key) MUSTCHECK;
/* Inside a transaction: drop what is not ours of the schema, remove rows whose
 * MAC is bad, and those that mean nothing without them.  *${ret_all}: the others
 * could not be shown to be those that were there last (a row's MAC stays right
 * when the row is put back after its removal), or a row that refused something
 * was lost: then there are no users, roles, access keys, policies and
 * attachments any more, and tenants refuse customers' keys. */
enum err who_mac_purge(
    struct db *db, const struct hmac_key *key, bool *ret_all) MUSTCHECK;

#endif
