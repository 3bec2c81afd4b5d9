/*
 * kms_internal: the open keystore, shared by the files of this room only.
 *
 * Two locks of rank RANK_KMS, never held together: ${conn} for the SQLite
 * connection, ${tab_lock} for the table of keys in memory.  Calls on data keys
 * take only the second.
 */
#ifndef KMS_INTERNAL_H
#define KMS_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "crypto/aead.h"
#include "crypto/digest.h"
#include "kms/audit_log.h"
#include "kms/db.h"
#include "kms/epoch.h"
#include "kms/kms.h"
#include "kms/name.h"
#include "kms/table.h"
#include "lib/base/codec.h"
#include "lib/base/lock.h"

struct keyref;
struct call;
struct far;
struct far_key;

struct kms {
	char path[PATH_MAX];
	char region[REGION_MAX];
	char via[REGION_MAX + 20]; /* kms_via_storage() */
	uint8_t uuid[UUID_LEN];
	bool sealing;         /* of a store with sealed metadata */
	int64_t format;       /* as it was found */
	struct key *kmk;      /* keystore master key */
	struct aead *seal;    /* seals material of master keys */
	struct hmac_key *who; /* MACs of identities (who_mac.h) */

	struct lock conn;
	struct db db;                   /* conn */
	uint64_t tab_serial;            /* conn: tables loaded so far */
	_Atomic uint64_t calls_flushed; /* when, monotonic */

	struct rwlock tab_lock;
	struct table *tab;          /* tab_lock */
	_Atomic uint32_t prepared;  /* materials kept in key memory */
	_Atomic uint64_t tab_epoch; /* that ${tab} is good for */

	struct lock prov_lock;
	struct far *far; /* prov_lock: providers opened so far */

	struct epoch *epoch;
	struct audit audit;
	_Atomic uint64_t service_checked; /* monotonic; 0 never */

	/* tab_lock */
	kms_uses_fn *uses;
	void *uses_arg;

	pthread_t watcher; /* valid when ${watching} */
	bool watching;
	atomic_bool stop;
	void (*watch_cb)(void *arg);
	void *watch_arg;
	uint64_t watch_seen; /* epoch when the watch began */
	bool timer_failed;   /* the watcher's; told once */
};

/* The VFS that kms_set_vfs() named; NULL: the default. */
const char *kms_vfs(void);

/* Free everything, writing nothing. */
void kms_free(struct kms *k);

/* A change of the keystore: what runs inside its transaction. */
typedef enum err kms_change_fn(struct kms *k, void *arg);

/*
 * kms_change(k, fn, arg, wait):
 * Run ${fn} in one durable transaction, raise the epoch, load the table anew.
 * With ${wait} all watchers have answered at return.
 */
enum err kms_change(
    struct kms *k, kms_change_fn *fn, void *arg, bool wait) MUSTCHECK;

/* Load the table anew if the shared epoch has moved; a few nanoseconds when
 * it has not. */
enum err kms_fresh(struct kms *k) MUSTCHECK;
/* Load it anew if the keystore itself has changed (the epoch may be lost). */
enum err kms_fresh_db(struct kms *k, bool *ret_changed) MUSTCHECK;

/* Write what calls were counted. */
enum err kms_counters(struct kms *k) MUSTCHECK;

/* material.c: what identifies imported bytes; the name of a version's material
 * ("" for version 0). */
enum err material_imported(struct kms *k, const uint8_t uuid[static UUID_LEN],
    const uint8_t bytes[static KEY_LEN],
    uint8_t ret[static SHA256_LEN]) MUSTCHECK;
enum err material_name(struct kms *k, const struct tkey *t, uint32_t version,
    char ret[static KMS_MATERIAL_MAX]) MUSTCHECK;

/* A random UUID. */
void keys_uuid(uint8_t ret[static UUID_LEN]);
/* Insert a key, with its first version unless its material is to come from
 * outside (inside kms_change).  ${far} says where the material is; NULL: here. */
enum err keys_insert(struct kms *k, const uint8_t uuid[static UUID_LEN],
    const char *tenant, enum key_kind kind, enum kms_origin origin,
    const char *description, const struct far_key *far) MUSTCHECK;
/* rotate.c: insert a version with new material (inside kms_change). */
enum err keys_version(struct kms *k, const uint8_t *uuid, const char *tenant,
    enum key_kind kind, uint32_t version, enum version_reason reason,
    const struct far_key *far) MUSTCHECK;
/* Give a key whose current version has encrypted many messages a new one; a
 * failure is logged, since the old one does for long yet. */
void keys_rotate_full(struct kms *k, const struct keyref *key);
/* keypolicy.c: may this be the policy of the key ${arn} (ERR_PARSE), and can
 * the caller still change it then? */
enum err keypolicy_check(struct kms *k, const struct call *c, const char *arn,
    const char *text, size_t len, bool no_lockout_check) MUSTCHECK;
/* page.c: ERR_INVAL unless 1 to KMS_PAGE_MAX. */
enum err page_check(size_t max) MUSTCHECK;
/* After an UPDATE of a row as the gate saw it: ERR_BUSY when it was changed
 * since. */
enum err keys_changed(struct kms *k, const struct keyref *key) MUSTCHECK;
/* Make the default or the service key unless it is there. */
enum err keys_make(
    struct kms *k, const struct kms_who *who, const struct name *n) MUSTCHECK;
/* Describe the key with this ARN, past the gate. */
enum err keys_describe(
    struct kms *k, const char *arn, struct kms_desc *ret) MUSTCHECK;
/* Record what the service did by itself on behalf of ${who}, on the disk. */
enum err keys_record(struct kms *k, const struct kms_who *who,
    const char *event, const char *tenant, const uint8_t uuid[static UUID_LEN],
    enum err outcome) MUSTCHECK;

/* rotate.c: give the service key a new version when it is old. */
enum err keys_service_rotate(
    struct kms *k, const struct kms_who *who) MUSTCHECK;

/* A key whose time has come (timer.c). */
struct due {
	uint8_t uuid[UUID_LEN];
	char tenant[KMS_NAME_MAX];
	char arn[KMS_ARN_MAX];
	enum key_kind kind;
	bool told;   /* that it is in use, before */
	int64_t now; /* seconds since 1970 */
};
/* rotate.c, import.c, life.c: do it, if it is due still. */
enum err keys_rotate_due(struct kms *k, struct due *d) MUSTCHECK;
enum err keys_expire_due(struct kms *k, struct due *d) MUSTCHECK;
enum err keys_delete_due(struct kms *k, struct due *d) MUSTCHECK;
/* life.c: what was deleted is in no file any more, or that is told. */
void keys_erase(struct kms *k);
/* tags.c: add tags to a key (inside kms_change). */
enum err tags_put(struct kms *k, const uint8_t uuid[static UUID_LEN],
    const struct kms_tag *tags, size_t n) MUSTCHECK;
/* What policies may ask about tags that are given along with a request, or, with
 * ${tags} NULL, about the ${names} of tags that are to go.  One block, for the
 * caller to free(), which points into them, with room for TAGS_FACTS_ROOM facts
 * more. */
#define TAGS_FACTS_ROOM 5
enum err tags_facts(const struct kms_tag *tags, const char *const *names,
    size_t n, struct policy_fact **ret, size_t *ret_n) MUSTCHECK;
enum err tags_check(const struct kms_tag *tags, size_t n) MUSTCHECK;
/* May ${s} be a description?  ERR_INVAL. */
enum err description_check(const char *s) MUSTCHECK;

#endif
