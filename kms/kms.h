/*
 * kms: the key management service, as the store and the tools see it.
 *
 * One small interface with providers behind it (now: the embedded keystore).
 * Every call passes one gate: principal, policy hook, key state, provider,
 * audit record (allowed and denied alike).  The audit record of a data-key
 * call is in memory when the call returns and on disk after kms_flush();
 * of a key-changing call, on disk when the call returns.
 *
 * A keystore may be opened by several processes at once; a key's state set by
 * one is in force for all as soon as the call that set it returns (see
 * kms_watch).  All functions are thread-safe.
 *
 * Key names: an id (UUID text), an ARN
 * (arn:aws:kms:REGION:TENANT:key/UUID), an alias ("alias/NAME") or an alias
 * ARN.  NULL or "" means the tenant's default key, which also answers to
 * alias/ssefs/default, obs/default, alias/acs/oss and alias/aws/s3; it is
 * made at its first use, once.  KMS_SERVICE_KEY names the service-managed key
 * of the AES256 method, which rotates by itself.
 */
#ifndef KMS_KMS_H
#define KMS_KMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/secret.h"
#include "lib/base/err.h"

#define KMS_ID_MAX 37        /* UUID text with its NUL */
#define KMS_ARN_MAX 320      /* any ARN with its NUL */
#define KMS_ALIAS_MAX 257    /* "alias/…" with its NUL */
#define KMS_NAME_MAX 65      /* tenant or user name with its NUL */
#define KMS_BLOB_MAX 512     /* wrapped data key of any provider here */
#define KMS_CONTEXT_MAX 8192 /* canonical encryption context */
#define KMS_DESC_CHARS 8192  /* characters of a description */
#define KMS_DESC_MAX (4 * KMS_DESC_CHARS + 1) /* its bytes with the NUL */
#define KMS_TAGS_MAX 50                       /* of a key */
#define KMS_TAG_NAME_CHARS 128                /* characters of a tag's name */
#define KMS_TAG_CHARS 256                     /* and of its value */
#define KMS_TAG_NAME_MAX (4 * KMS_TAG_NAME_CHARS + 1) /* bytes with the NUL */
#define KMS_TAG_MAX (4 * KMS_TAG_CHARS + 1)
#define KMS_ALIASES_MAX 50    /* of a key */
#define KMS_MATERIAL_MAX 65   /* id of a key's material with its NUL */
#define KMS_PERIOD_MAX 3650   /* days between two rotations */
#define KMS_WINDOW_LIMIT 1096 /* days, of any store's waiting time */
#define KMS_REGION_DEFAULT "us-east-1"
#define KMS_TENANT_DEFAULT "000000000000"
#define KMS_SERVICE_KEY "service/aes256"

struct kms;

/* How a request was kept from others on the way. */
struct kms_tls {
	const char *version; /* "TLSv1.3" */
	const char *cipher;  /* suite; NULL: not known */
	const char *host;    /* as the client names the server; NULL */
};

/*
 * Who asks, and how.  The user KMS_ROOT_USER is the tenant's account itself:
 * whoever can unlock the keystore.  All others are identities (kms/who.h).
 * Name the fields in initialisers; those that are not named are NULL, as for
 * a call that comes over no network.
 */
#define KMS_ROOT_USER "root"
struct kms_who {
	const char *tenant; /* NULL: KMS_TENANT_DEFAULT */
	const char *user;   /* KMS_ROOT_USER or a user's name; never NULL */
	const char *agent;  /* "mount", "cli", …: audit only; never NULL */
	/* Over a network: */
	const char *access_key_id; /* that signed the request */
	const char *source_ip;     /* as text; also a condition of policies */
	const char *user_agent;    /* as the client named itself */
	const char *request_id;    /* as the answer will name it */
	bool secure; /* kept from others on the way: TLS, or this machine */
	const struct kms_tls *tls; /* NULL: without */
	/* Only tell whether the call would be allowed: ERR_DRYRUN when it is.
	 * For kms_encrypt(), kms_decrypt(), kms_generate(), kms_reencrypt(),
	 * kms_grant_create(), _retire(), _retire_token() and _revoke(). */
	bool dry_run;
	/* The service that asks on the user's behalf, as
	 * "s3.us-east-1.amazonaws.com" for the files of a store
	 * (kms_via_storage()). */
	const char *via_service;
};

/* One pair of the encryption context. */
struct kms_pair {
	const char *key, *value; /* UTF-8 */
};

enum kms_state {
	KMS_ENABLED,
	KMS_DISABLED,
	KMS_PENDING_IMPORT,
	KMS_PENDING_DELETION,
	KMS_UNAVAILABLE
};

/* Where a key's material comes from. */
enum kms_origin {
	KMS_ORIGIN_KMS,     /* made here */
	KMS_ORIGIN_EXTERNAL /* imported */
};

struct kms_desc {
	char id[KMS_ID_MAX];
	char arn[KMS_ARN_MAX];
	char tenant[KMS_NAME_MAX];
	char description[KMS_DESC_MAX];
	enum kms_state state;
	uint32_t version;     /* current material version, from 1 */
	int64_t created;      /* seconds since 1970 */
	int64_t rotated;      /* when the current version was made */
	int64_t delete_at;    /* when it is deleted; 0 unless pending */
	unsigned rotate_days; /* period of its rotation; 0: none */
	int64_t rotate_at;    /* the next one; 0: none */
	enum kms_origin origin;
	int64_t expires; /* when imported material is wiped; 0: not */
	char material[KMS_MATERIAL_MAX]; /* of the version; "" without */
	char provider[KMS_NAME_MAX];     /* of the version; "local": this one */
	bool is_default;                 /* a tenant's default key */
	bool is_service;                 /* the AES256 method's key */
	uint64_t calls; /* data-key calls made under it, ever (flushed) */
};

/* "Enabled", "Disabled", …; static storage. */
const char *kms_state_name(enum kms_state s);

/* ---- Life of a keystore ------------------------------------------------ */

enum kms_root_kind {
	KMS_ROOT_FILE,       /* 0600 key file */
	KMS_ROOT_PASSPHRASE, /* Argon2id */
	KMS_ROOT_CREDENTIAL, /* $CREDENTIALS_DIRECTORY/NAME */
	KMS_ROOT_TOKEN       /* a key that is made in a PKCS#11 token */
};

/* Where the root key comes from. */
struct kms_root {
	enum kms_root_kind kind;
	const char *path; /* key file; credential's NAME; URI of the token */
	const char *pass; /* passphrase; NUL-terminated, never logged */
};

/*
 * kms_create_store(path, root, region):
 * Make a keystore at ${path} (a file that must not exist), its master key
 * random and sealed in one slot by ${root}.  For KMS_ROOT_FILE the key file
 * is created, mode 0600, 32 random bytes, when absent.
 * Returns OK; ERR_EXIST; ERR_ROOTKEY (with detail); ERR_IO, ERR_NOSPC.
 */
enum err kms_create_store(const char *path, const struct kms_root *root,
    const char *region) MUSTCHECK;

/* The same, for a store whose metadata will be sealed.  That it is so is bound
 * to the root key: nobody else can make one kind of keystore of the other. */
enum err kms_create_sealing(const char *path, const struct kms_root *root,
    const char *region) MUSTCHECK;

/*
 * kms_open(path, root, &ret):
 * Open and unlock.  ${root} NULL: try what the slots say (the recorded key
 * file's path, then the credential, then the token), in that order.  A key file that others
 * than its owner can read is refused.  A keystore does not live through a
 * fork(): open it in the process that uses it.
 * Returns OK; ERR_NOENT; ERR_ROOTKEY (wrong, absent or readable by others;
 * detail says which and what to do); ERR_VERSION; ERR_CORRUPT; ERR_IO.
 */
enum err kms_open(
    const char *path, const struct kms_root *root, struct kms **ret) MUSTCHECK;
/* The region in its keys' ARNs. */
const char *kms_region(const struct kms *k);
/* The name under which the storage service asks on its users' behalf, as
 * "s3.us-east-1.amazonaws.com"; lives as long as ${k}. */
const char *kms_via_storage(const struct kms *k);
/* Was it made by kms_create_sealing()? */
bool kms_is_sealing(const struct kms *k);
/* The key for the metadata of the store ${uuid} (16 bytes), which is always
 * the same.  Without audit record: the store asks as it is opened. */
enum err kms_metadata_key(
    struct kms *k, const uint8_t *uuid, struct key *ret) MUSTCHECK;
/* The SQLite VFS used by keystores opened or made from now on (${name} is
 * copied); NULL the default.  For the start of a process. */
void kms_set_vfs(const char *name);
/*
 * kms_copy(path, to):
 * Copy the keystore ${path}, which may be in use, to ${to} as it is: sealed, so
 * that no root key is needed.  Its audit log goes along as ${to}-audit.log.
 * Neither may exist.  What was recorded is in the copy as far as kms_flush()
 * had brought it to the disk.  ERR_IO, ERR_NOSPC, ERR_CORRUPT, ERR_EXIST.
 */
enum err kms_copy(const char *path, const char *to) MUSTCHECK;
/* Flush audit and counters, wipe, free.  NULL is fine. */
void kms_close(struct kms *k);

/* Add a slot that unlocks by ${root} too; remove slot ${n} (ERR_PERM for the
 * last one). */
enum err kms_slot_add(struct kms *k, const struct kms_who *who,
    const struct kms_root *root) MUSTCHECK;
enum err kms_slot_remove(
    struct kms *k, const struct kms_who *who, unsigned n) MUSTCHECK;
/* Let slot ${n} unlock by ${root} instead.  ERR_NOENT. */
enum err kms_slot_change(struct kms *k, const struct kms_who *who, unsigned n,
    const struct kms_root *root) MUSTCHECK;
/* The slots as JSON-free lines: cb(arg, n, kind, path or "", created). */
enum err kms_slot_list(struct kms *k,
    void (*cb)(void *arg, unsigned n, enum kms_root_kind kind, const char *path,
	int64_t created),
    void *arg) MUSTCHECK;

/*
 * Audit records so far become durable.  ERR_IO, ERR_NOSPC: nothing was lost
 * from the chain in memory, a later call tries again; until it succeeds,
 * data-key calls are refused with ERR_IO (fail closed).
 */
enum err kms_flush(struct kms *k) MUSTCHECK;

/* ---- Data keys ---------------------------------------------------------- */

/*
 * kms_data_key(k, who, keyname, ctx, nctx, ret_dek, ret_blob, ret_bloblen,
 *     ret_arn):
 * A fresh random data key, in clear and wrapped under ${keyname} with the
 * context bound in.  ${ret_blob} has room for KMS_BLOB_MAX bytes.
 * Returns OK; ERR_NOKEY; ERR_KEYREVOKED (disabled); ERR_KEYDELETION (pending
 * deletion); ERR_KEYSTATE; ERR_ACCESS (policy, other tenant); ERR_INVAL (malformed name,
 * context over KMS_CONTEXT_MAX, duplicate context keys); ERR_TIMEDOUT; ERR_IO.
 */
enum err kms_data_key(struct kms *k, const struct kms_who *who,
    const char *keyname, const struct kms_pair *ctx, size_t nctx,
    struct key *ret_dek, uint8_t *ret_blob, size_t *ret_bloblen,
    char ret_arn[static KMS_ARN_MAX]) MUSTCHECK;

/*
 * kms_unwrap(k, who, blob, bloblen, ctx, nctx, ret_dek):
 * The data key of a blob.  Errors as above; ERR_AUTH for an altered blob,
 * another context, another keystore.
 */
enum err kms_unwrap(struct kms *k, const struct kms_who *who,
    const uint8_t *blob, size_t bloblen, const struct kms_pair *ctx,
    size_t nctx, struct key *ret_dek) MUSTCHECK;

/*
 * kms_blob_under(blob, bloblen, arn):
 * Was the blob wrapped by the key that ${arn} names?  Looks at the blob's
 * header only; for callers that keep the ARN elsewhere and must not be misled
 * by it.
 */
bool kms_blob_under(const uint8_t *blob, size_t bloblen, const char *arn);
/* Was it wrapped by an older version of its key than the newest?  Looks at the
 * header only.  ERR_AUTH for no blob of this keystore. */
enum err kms_blob_old(
    struct kms *k, const uint8_t *blob, size_t bloblen, bool *ret) MUSTCHECK;

/* The same data key wrapped anew: under ${keyname} (NULL: the current version
 * of the key it is under), bound to the context ${nctx}/${newctx}. */
enum err kms_rewrap(struct kms *k, const struct kms_who *who,
    const uint8_t *blob, size_t bloblen, const struct kms_pair *ctx,
    size_t nctx, const char *keyname, const struct kms_pair *newctx,
    size_t nnewctx, uint8_t *ret_blob, size_t *ret_bloblen,
    char ret_arn[static KMS_ARN_MAX]) MUSTCHECK;

/*
 * kms_check(k, who, arn, ctx, nctx):
 * May ${who} use the key ${arn} to decrypt now, with that context?  The same gate as kms_unwrap
 * (and the same audit record, "Decrypt"), without a blob: for callers that
 * still hold the data key's contexts.
 */
enum err kms_check(struct kms *k, const struct kms_who *who, const char *arn,
    const struct kms_pair *ctx, size_t nctx) MUSTCHECK;
/*
 * kms_still(k, who, arn, ctx, nctx, made):
 * The same without an audit record, for what was recorded when it was allowed
 * first: may ${who} go on?  With ${made} the right to make data keys under
 * ${arn} will do.
 */
enum err kms_still(struct kms *k, const struct kms_who *who, const char *arn,
    const struct kms_pair *ctx, size_t nctx, bool made) MUSTCHECK;
/* Is there such a user?  ERR_ACCESS.  Without an audit record. */
enum err kms_who_exists(struct kms *k, const struct kms_who *who) MUSTCHECK;

/* ---- Keys --------------------------------------------------------------- */

enum err kms_key_create(struct kms *k, const struct kms_who *who,
    const char *description, struct kms_desc *ret) MUSTCHECK;
/* The same with tags from the start; names and values as for kms_tag_set(). */
struct kms_tag {
	const char *name, *value;
};
enum err kms_key_create_tagged(struct kms *k, const struct kms_who *who,
    const char *description, const struct kms_tag *tags, size_t ntags,
    struct kms_desc *ret) MUSTCHECK;
enum err kms_key_describe(struct kms *k, const struct kms_who *who,
    const char *keyname, struct kms_desc *ret) MUSTCHECK;
/* Resolve any name to the key's ARN without an audit record. Does not make
 * default keys (ERR_NOKEY when not made yet). */
enum err kms_key_resolve(struct kms *k, const char *tenant, const char *keyname,
    char ret_arn[static KMS_ARN_MAX]) MUSTCHECK;
/*
 * kms_key_choose(k, who, keyname, ret_arn):
 * Resolve a name for ${who}, who wants files to be under that key from now on.
 * Needs the right to describe it, and what else the cloud of the policy that
 * gives that right asks of those who configure a bucket.  Event DescribeKey.
 */
enum err kms_key_choose(struct kms *k, const struct kms_who *who,
    const char *keyname, char ret_arn[static KMS_ARN_MAX]) MUSTCHECK;
/* Does ${keyname} name the tenant's default key, made or not? */
bool kms_key_is_default(struct kms *k, const char *keyname);
/* The state of the key with this ARN, without an audit record. */
enum err kms_key_state(
    struct kms *k, const char *arn, enum kms_state *ret) MUSTCHECK;
/* May the key with this ARN be used, as far as its state goes?  OK, or why not:
 * ERR_KEYREVOKED, ERR_KEYDELETION, ERR_KEYEXPIRED, ERR_KEYSTATE, ERR_TIMEDOUT;
 * ERR_NOKEY.  Without an audit record. */
enum err kms_key_usable(struct kms *k, const char *arn) MUSTCHECK;
/* cb for every key of the tenant, oldest first; stops when it returns false. */
enum err kms_key_list(struct kms *k, const struct kms_who *who,
    bool (*cb)(void *arg, const struct kms_desc *d), void *arg) MUSTCHECK;
/* The default key and the service key cannot be disabled: ERR_PERM is for the
 * service key only; a default key may be disabled by its tenant here. */
enum err kms_key_enable(
    struct kms *k, const struct kms_who *who, const char *keyname) MUSTCHECK;
enum err kms_key_disable(
    struct kms *k, const struct kms_who *who, const char *keyname) MUSTCHECK;
/* New material version; old ones decrypt for ever. */
enum err kms_key_rotate(
    struct kms *k, const struct kms_who *who, const char *keyname) MUSTCHECK;
/* A new version every ${days} (1 to KMS_PERIOD_MAX) from now on, made by
 * kms_timer(); 0: no more.  The service key's period is ssefs' own affair. */
enum err kms_key_rotation(struct kms *k, const struct kms_who *who,
    const char *keyname, unsigned days) MUSTCHECK;

/* What uses a key, in the store that the keystore belongs to. */
struct kms_uses {
	uint64_t objects;
	uint64_t defaults; /* of buckets and directories */
};
/*
 * kms_set_uses(k, fn, arg):
 * Who counts the uses of ${d}; called without a lock of this room.  Without one
 * no key can be deleted.  ${wait}: somebody waits for the answer; otherwise it
 * is the watcher who asks, for whom others wait: ERR_BUSY when it is not known
 * at once.
 */
typedef enum err kms_uses_fn(
    void *arg, const struct kms_desc *d, bool wait, struct kms_uses *ret);
void kms_set_uses(struct kms *k, kms_uses_fn *fn, void *arg);
/* Ask it: ERR_NOTSUP when there is none. */
enum err kms_key_uses(struct kms *k, const struct kms_who *who,
    const char *keyname, struct kms_uses *ret) MUSTCHECK;
/* The same without gate and record, for the store that a server asks who has
 * been through his own; ${arn} of any tenant. */
enum err kms_count_uses(
    struct kms *k, const char *arn, struct kms_uses *ret) MUSTCHECK;

struct kms_deletion {
	int64_t at;    /* when, seconds since 1970: kms_desc's delete_at */
	unsigned days; /* from the call on */
};
/*
 * kms_key_delete(k, who, keyname, days, ret):
 * Take a key out of use as kms_key_disable() does, and delete it after ${days}
 * (0: the store's default), if it is not in use then.  Its wrapped data keys can
 * never be opened again after that.  ${ret} may be NULL.
 * Returns OK; ERR_KEYINUSE; ERR_KEYDELETION; ERR_PERM (default and service
 * keys); ERR_INVAL (${days} out of bounds); ERR_NOTSUP.
 */
enum err kms_key_delete(struct kms *k, const struct kms_who *who,
    const char *keyname, unsigned days, struct kms_deletion *ret) MUSTCHECK;
/* It stays, disabled.  ERR_KEYSTATE: it is not pending deletion. */
enum err kms_key_cancel_deletion(
    struct kms *k, const struct kms_who *who, const char *keyname) MUSTCHECK;

/* How many days a key waits for its deletion. */
struct kms_window {
	unsigned min, max, days; /* days: when none are named */
};
enum err kms_window_get(struct kms *k, struct kms_window *ret) MUSTCHECK;
/* 1 <= min <= days <= max <= KMS_WINDOW_LIMIT, else ERR_INVAL. */
enum err kms_window_set(struct kms *k, const struct kms_who *who,
    const struct kms_window *w) MUSTCHECK;

/*
 * kms_timer(k):
 * Do what is due: rotate, delete, wipe imported material.  Cheap when nothing is, and nothing without
 * kms_set_uses().  The watcher calls it once a second.  A due key that is in
 * use stays pending; that is told and recorded once per process.  So does one of
 * which that is not known now, until it is.
 */
enum err kms_timer(struct kms *k) MUSTCHECK;

/* Tags and the description.  A tag's name is UTF-8 of 1 to 128 bytes, not
 * beginning with "aws:", its value of 256 at most (ERR_INVAL); at most
 * KMS_TAGS_MAX (ERR_LIMIT).  Removing what is not there is fine. */
enum err kms_tag_set(struct kms *k, const struct kms_who *who,
    const char *keyname, const struct kms_tag *tags, size_t n) MUSTCHECK;
enum err kms_tag_remove(struct kms *k, const struct kms_who *who,
    const char *keyname, const char *const *names, size_t n) MUSTCHECK;
enum err kms_tag_list(struct kms *k, const struct kms_who *who,
    const char *keyname,
    void (*cb)(void *arg, const char *name, const char *value),
    void *arg) MUSTCHECK;
enum err kms_key_set_description(struct kms *k, const struct kms_who *who,
    const char *keyname, const char *text) MUSTCHECK;

/* Aliases: "alias/" is added when missing.  ERR_PERM for reserved prefixes
 * (alias/aws/, alias/acs/, alias/ssefs/, obs/), ERR_EXIST, ERR_NOENT. */
enum err kms_alias_create(struct kms *k, const struct kms_who *who,
    const char *alias, const char *keyname) MUSTCHECK;
enum err kms_alias_delete(
    struct kms *k, const struct kms_who *who, const char *alias) MUSTCHECK;
enum err kms_alias_list(struct kms *k, const struct kms_who *who,
    bool (*cb)(void *arg, const char *alias, const char *arn),
    void *arg) MUSTCHECK;

/* ---- Changes made by other processes ------------------------------------ */

/*
 * kms_epoch(k):
 * A counter that rises with every change of a key's state or of a policy, in
 * whichever process; a few nanoseconds.
 */
uint64_t kms_epoch(struct kms *k);

/*
 * kms_watch(k, cb, arg):
 * Start a thread that calls cb(arg) after every rise of the epoch.  The
 * process that made the change waits (5 s at most, then it says so) until the
 * callbacks of all watchers have returned: a key is out of use when
 * "ssefs key disable" comes back.  One watcher per struct kms; kms_close()
 * ends it.
 */
enum err kms_watch(struct kms *k, void (*cb)(void *arg), void *arg) MUSTCHECK;

#endif
