/*
 * providers: which places for master keys a keystore knows, and moving keys from
 * one to another.
 *
 * The keystore itself is the provider KMS_LOCAL.  Calls pass the gate, are
 * recorded, and are durable when they return; they are thread-safe.  Those that
 * reach for a provider take as long as it does.
 */
#ifndef KMS_PROVIDERS_H
#define KMS_PROVIDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kms/kms.h"
#include "kms/provider.h"

#define KMS_LOCAL "local"

/*
 * kms_provider_add(k, who, name, conf):
 * Make a provider known, if its configuration is well-formed and it answers.
 * ${name} is of letters, digits, "-", "_" and ".", under KMS_NAME_MAX.
 * Returns OK; ERR_EXIST; ERR_INVAL; errors of provider.h.
 * Event AddKeyProvider.
 */
enum err kms_provider_add(struct kms *k, const struct kms_who *who,
    const char *name, const struct provider_conf *conf) MUSTCHECK;
/* ERR_NOENT; ERR_KEYINUSE: key versions are there, or new keys go there.  Event
 * RemoveKeyProvider. */
enum err kms_provider_remove(
    struct kms *k, const struct kms_who *who, const char *name) MUSTCHECK;
/* New keys go there from now on, tenants' default keys and the service key as
 * well.  ERR_NOENT.  Event SetDefaultKeyProvider. */
enum err kms_provider_default(
    struct kms *k, const struct kms_who *who, const char *name) MUSTCHECK;
/* Does it answer, and let us in?  Event TestKeyProvider. */
enum err kms_provider_test(
    struct kms *k, const struct kms_who *who, const char *name) MUSTCHECK;

struct kms_provider {
	const char *name;
	struct provider_conf conf; /* uri NULL: KMS_LOCAL */
	bool is_default;
	uint64_t versions; /* of keys, that are there */
	int64_t created;   /* seconds since 1970 */
};
/* All of them, KMS_LOCAL first; stops when ${cb} returns false.  Event
 * ListKeyProviders. */
enum err kms_provider_list(struct kms *k, const struct kms_who *who,
    bool (*cb)(void *arg, const struct kms_provider *p), void *arg) MUSTCHECK;

/*
 * kms_key_move(k, who, keyname, provider, ret_moved):
 * A new version of the key in ${provider}, unless the current one is there;
 * older ones stay where they are and decrypt.  ERR_NOENT: no such provider;
 * ERR_NOTSUP: imported material stays here.  Event MoveKey.
 */
enum err kms_key_move(struct kms *k, const struct kms_who *who,
    const char *keyname, const char *provider, bool *ret_moved) MUSTCHECK;
/*
 * The same with every key of every tenant, the service key as well.  ${cb} is
 * told how it went with each that was not there already; a key that cannot be
 * moved now does not stop the others.
 */
enum err kms_keys_move(struct kms *k, const struct kms_who *who,
    const char *provider, void (*cb)(void *arg, const char *arn, enum err e),
    void *arg) MUSTCHECK;

#endif
