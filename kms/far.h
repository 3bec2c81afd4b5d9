/*
 * far: messages under keys that are with a provider, and the open providers of
 * a keystore.
 *
 * Thread-safe.  What reaches for a provider holds no lock of this room
 * meanwhile.
 */
#ifndef KMS_FAR_H
#define KMS_FAR_H

#include "kms/blob.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"
#include "kms/provider.h"
#include "kms/reference.h"

/* An open provider; lives until the keystore is closed. */
struct far {
	struct far *next;
	int64_t id;
	const struct provider_ops *ops;
	void *p;
};

/* The kind of provider that the URI names; NULL: none. */
const struct provider_ops *far_kind(const char *uri);

/* The provider of row ${id}.  ERR_CORRUPT: there is none, or it was altered;
 * ERR_INVAL. */
enum err far_get(struct kms *k, int64_t id, struct far **ret) MUSTCHECK;
/* Unseal the configuration of ${id}; ${text} (CONF_MAX bytes) and ${opt}
 * (PROVIDER_OPTIONS_MAX) hold it. */
enum err far_conf(struct kms *k, int64_t id, uint8_t *text,
    struct provider_option *opt, struct provider_conf *ret) MUSTCHECK;
void far_close_all(struct kms *k);

/*
 * Seal and open, as message_seal() and message_open() do, for a key whose
 * key->far gate_material() has set.  ${c} has BLOB_HEAD bytes of room.
 */
enum err far_seal(struct kms *k, struct keyref *key, struct context *c,
    const struct kms_pair *ctx, size_t n, const uint8_t *plain, size_t len,
    uint8_t *ret, size_t *ret_len) MUSTCHECK;
enum err far_open(struct kms *k, struct keyref *key, struct context *c,
    const struct kms_pair *ctx, size_t n, const uint8_t *blob,
    struct blob_id *id, uint8_t *ret) MUSTCHECK;

/*
 * far_make(k, provider, uuid, tenant, ret):
 * A key of ${provider} for a version of the key ${uuid}; 0: none is made and
 * ret->provider is 0.  If the version does not come to be, far_drop() it.
 */
enum err far_make(struct kms *k, int64_t provider, const uint8_t *uuid,
    const char *tenant, struct far_key *ret) MUSTCHECK;
/* Destroy it, if the provider lets us; failure is logged. */
void far_drop(struct kms *k, const struct far_key *f);

/* Is the current version's key there now?  OK also when it is here. */
enum err far_check(
    struct kms *k, const uint8_t uuid[static UUID_LEN]) MUSTCHECK;

/* The references of all far versions of a key, to be dropped once it has been
 * deleted; the caller frees them. */
enum err far_keys(struct kms *k, const uint8_t uuid[static UUID_LEN],
    struct far_key **ret, size_t *ret_n) MUSTCHECK;

/* The row of the provider named so, 0 for KMS_LOCAL; ERR_NOENT. */
enum err provider_find(struct kms *k, const char *name, int64_t *ret) MUSTCHECK;
/* The name of a row. */
void provider_name(struct kms *k, int64_t id, char ret[static KMS_NAME_MAX]);

/* Of new keys. */
enum err far_choice(struct kms *k, int64_t *ret) MUSTCHECK;
/* Of a key's current version. */
enum err far_of(
    struct kms *k, const uint8_t uuid[static UUID_LEN], int64_t *ret) MUSTCHECK;

#endif
