/*
 * cmd: what the subcommands of ssefs share.
 *
 * A subcommand is a row of the table in tools/main.c: its name (one to three
 * words), its arguments, the options it takes, its help, its function.  Help,
 * usage errors and option parsing all come from that table and from the table
 * of options in tools/args.c.
 */
#ifndef TOOLS_CMD_H
#define TOOLS_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kms/kms.h"
#include "lib/base/buf.h"
#include "store/store.h"
#include "tools/exits.h"
#include "tools/json.h"

enum opt {
	OPT_HELP,
	OPT_JSON,
	OPT_STORE,
	OPT_ROOT_KEY,
	OPT_PASSPHRASE,
	OPT_PASSPHRASE_FILE,
	OPT_CREDENTIAL,
	OPT_REGION,
	OPT_NO_KMS,
	OPT_SEAL_METADATA,
	OPT_LISTEN,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_INSECURE_HTTP,
	OPT_FOREGROUND,
	OPT_MOUNT,
	OPT_SSE,
	OPT_DESCRIPTION,
	OPT_ALIAS,
	OPT_PASS, /* words that are not known are arguments too */
	OPT_OPTIONS,
	OPT_READONLY,
	OPT_FAKE,
	OPT_TYPE,
	OPT_NAMESPACE,
	OPT_SLOPPY,
	OPT_VERBOSE,
	OPT_NO_MTAB,
	OPT_TIMEOUT,
	OPT_LAZY,
	OPT_SKIP,
	OPT_LAST,
	OPT_REPAIR,
	OPT_KEYS,
	OPT_RATE,
	OPT_LS_SSE,
	OPT_ALL,
	OPT_NEW_ROOT_KEY,
	OPT_NEW_PASSPHRASE,
	OPT_NEW_PASSPHRASE_FILE,
	OPT_NEW_CREDENTIAL,
	OPT_VERIFY,
	OPT_EPOCH,
	OPT_RESOURCE,
	OPT_DAYS,
	OPT_PERIOD,
	OPT_TAG,
	OPT_ORIGIN,
	OPT_WRAPPING,
	OPT_EXPIRES,
	OPT_RETIRING,
	OPT_EQUALS,
	OPT_SUBSET,
	OPT_KEY,
	OPT_FILES_RATE,
	OPT_ADMIN,
	OPT_TENANT,
	OPT_AS,
	OPT_USER,
	OPT_ROLE,
	OPT_BY_USER,
	OPT_BY_KEY,
	OPT_EVENT,
	OPT_DENIED,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_FOLLOW,
	OPT_PUBLIC_KEY,
	OPT_PROVIDER,
	OPT_TO,
	OPT_COUNT_
};

/* A set of options: there may be more than 64. */
__extension__ typedef unsigned __int128 opt_set;
#define OPT_BIT(o) ((opt_set)1 << (o))
/* The ways to name the root key of a store that exists. */
#define OPTS_ROOT                                          \
	(OPT_BIT(OPT_ROOT_KEY) | OPT_BIT(OPT_PASSPHRASE) | \
	    OPT_BIT(OPT_PASSPHRASE_FILE) | OPT_BIT(OPT_CREDENTIAL))

struct args;

struct cmd {
	const char *name;  /* words with one space between them */
	const char *usage; /* the arguments, as help shows them */
	int min, max;      /* how many arguments */
	opt_set opts;      /* OPT_BITs it takes, besides help and json */
	const char *brief; /* a line of help */
	const char *help;  /* more lines, or NULL */
	int (*run)(const struct args *a); /* returns an exit code */
};

struct args {
	const struct cmd *cmd;
	const char *opt[OPT_COUNT_]; /* value, "" for a flag, NULL: not given */
	struct buf options;          /* every -o, joined by commas */
	/* Every --tag, --equals and --subset, a NUL after each. */
	struct buf tags;
	char *store; /* absolute; NULL: none was named */
	char **pos;
	int npos;
};

/* ---- args.c ---------------------------------------------------------------*/

/*
 * args_parse(a, argc, argv):
 * Fill in ${a} for a->cmd from the words after the command's name; words are
 * moved so that a->pos points into ${argv}.  EXIT_DONE, or EXIT_USAGE after
 * saying what is wrong.  args_release() in both cases.
 */
int args_parse(struct args *a, int argc, char **argv) MUSTCHECK;
void args_release(struct args *a);
/* The option at ${word} when it is one of the common ones that may stand
 * before a command's name (--store, --json): how many words it takes, or 0. */
int args_common(const char *word);
/* The options of ${c}, a line each. */
void args_help(FILE *f, const struct cmd *c);
/* Say what is wrong and how to learn more; returns EXIT_USAGE. */
int cmd_usage(const struct cmd *c, const char *fmt, ...) PRINTF(2, 3);
/* A size as "4096", "64K", "1M", "2G". */
enum err args_size(const char *s, uint64_t *ret) MUSTCHECK;
enum err args_number(const char *s, uint64_t *ret) MUSTCHECK;

/* ---- common.c -------------------------------------------------------------*/

/*
 * cmd_fail(e, fmt, ...):
 * Say "ssefs: <fmt>: <reason>; <what to do>" and return EXIT_FAILED.  ${fmt}
 * is a subject and what was attempted, as "bucket \"x\": cannot be removed".
 */
int cmd_fail(enum err e, const char *fmt, ...) PRINTF(2, 3);

/* The end of a command that printed JSON: 0, or what cmd_fail says. */
int cmd_json_end(struct json *j);

/* What a command lists: an array of JSON, or lines of text. */
struct cmd_list {
	struct json array;
	struct json *j; /* &array; NULL: text */
};

/* Text stands below ${heading}; NULL: it has none. */
void cmd_list_begin(
    struct cmd_list *l, const struct args *a, const char *heading);

/* Also after a failure.  0, or what cmd_fail says. */
int cmd_list_end(struct cmd_list *l);

/* ${s} with control characters as '?': names go to terminals. */
void cmd_put_name(FILE *f, const char *s);

/* The store's directory, or NULL after saying that none was named. */
const char *cmd_store_dir(const struct args *a);

/* Who a command asks as: the default tenant's account, unless --tenant or --as
 * name others.  It does not change while a command is at work. */
extern struct kms_who cmd_who;
/* What --tenant and --as say, if they do. */
void cmd_who_set(const struct args *a);
/* The same of the tenant that --tenant names (cmd_user.c). */
struct kms_who cmd_tenant_who(const struct args *a);

/* Open the keystore or the store that ${a} names.  False after saying why
 * not; ${ret_e}, when not NULL, tells it too. */
bool cmd_open_kms(const struct args *a, struct kms **ret) MUSTCHECK;
bool cmd_open_store(
    const struct args *a, struct store **ret, enum err *ret_e) MUSTCHECK;
/* The same without a word; ${a} names a store, ${o} (NULL: none) says how, but
 * for dir and root. */
enum err cmd_try_store(const struct args *a, const struct store_opts *o,
    struct store **ret) MUSTCHECK;
/* Commit and close; ${code}, or EXIT_FAILED when the commit failed. */
int cmd_close_store(struct store *st, int code);

static inline void
cmd_kms_cleanup(struct kms **k)
{
	kms_close(*k);
}
#define CLEANUP_KMS CLEANUP(cmd_kms_cleanup)

/* ---- root.c ---------------------------------------------------------------*/

/* Where the root key comes from, as options and environment say. */
struct root {
	struct kms_root root;
	bool given; /* else the keystore's own records are followed */
	char *pass; /* key memory */
};

/*
 * root_get(a, ret):
 * Read --root-key, --passphrase, --passphrase-file, --credential, or else the
 * file named by SSEFS_PASSPHRASE_FILE.  ${for_new} prompts twice.  ERR_INVAL
 * when more than one was given, or the passphrase cannot be used (detail).
 */
enum err root_get(
    const struct args *a, bool for_new, struct root *ret) MUSTCHECK;
/* The same for the --new-... options of "key slot add". */
enum err root_get_new(const struct args *a, struct root *ret) MUSTCHECK;
/* Let a child of the next fork have the passphrase too, which key memory
 * withholds from children. */
enum err root_keep_over_fork(struct root *r) MUSTCHECK;
void root_release(struct root *r);
#define CLEANUP_ROOT CLEANUP(root_release)

/* ---- The commands ---------------------------------------------------------*/

int cmd_init(const struct args *a);
int cmd_mount(const struct args *a);
int cmd_mount_helper(const struct args *a); /* mount.ssefs */
int cmd_umount(const struct args *a);
int cmd_serve(const struct args *a);
int cmd_bucket_create(const struct args *a);
int cmd_bucket_ls(const struct args *a);
int cmd_bucket_rm(const struct args *a);
int cmd_bucket_encryption_get(const struct args *a);
int cmd_bucket_encryption_set(const struct args *a);
int cmd_key_create(const struct args *a);
int cmd_key_ls(const struct args *a);
int cmd_key_describe(const struct args *a);
int cmd_key_enable(const struct args *a);
int cmd_key_disable(const struct args *a);
int cmd_key_rotate(const struct args *a);
int cmd_key_delete(const struct args *a);
int cmd_key_cancel_deletion(const struct args *a);
int cmd_key_usage(const struct args *a);
int cmd_key_rotation(const struct args *a);
int cmd_key_window(const struct args *a);
int cmd_provider_add(const struct args *a);
int cmd_provider_ls(const struct args *a);
int cmd_provider_rm(const struct args *a);
int cmd_provider_default(const struct args *a);
int cmd_provider_test(const struct args *a);
int cmd_key_tag(const struct args *a);
int cmd_key_untag(const struct args *a);
int cmd_key_description(const struct args *a);
int cmd_key_rotations(const struct args *a);
int cmd_key_import_parameters(const struct args *a);
int cmd_key_import_material(const struct args *a);
int cmd_key_import_delete(const struct args *a);
int cmd_key_policy_get(const struct args *a);
int cmd_key_policy_set(const struct args *a);
int cmd_key_policy_reset(const struct args *a);
int cmd_grant_create(const struct args *a);
int cmd_grant_ls(const struct args *a);
int cmd_grant_revoke(const struct args *a);
int cmd_grant_retire(const struct args *a);
int cmd_rekey(const struct args *a);
int cmd_alias_create(const struct args *a);
int cmd_alias_update(const struct args *a);
int cmd_alias_rm(const struct args *a);
int cmd_alias_ls(const struct args *a);
int cmd_slot_add(const struct args *a);
int cmd_slot_change(const struct args *a);
int cmd_slot_rm(const struct args *a);
int cmd_slot_ls(const struct args *a);
int cmd_stat(const struct args *a);
int cmd_ls(const struct args *a);
int cmd_policy_check(const struct args *a);
int cmd_policy_put(const struct args *a);
int cmd_policy_get(const struct args *a);
int cmd_policy_ls(const struct args *a);
int cmd_policy_rm(const struct args *a);
int cmd_policy_attach(const struct args *a);
int cmd_policy_detach(const struct args *a);
int cmd_user_create(const struct args *a);
int cmd_user_ls(const struct args *a);
int cmd_user_rm(const struct args *a);
int cmd_user_key_create(const struct args *a);
int cmd_user_key_rm(const struct args *a);
int cmd_user_key_enable(const struct args *a);
int cmd_user_key_disable(const struct args *a);
int cmd_user_key_ls(const struct args *a);
int cmd_user_role_add(const struct args *a);
int cmd_user_role_rm(const struct args *a);
int cmd_user_role_ls(const struct args *a);
int cmd_tenant_set(const struct args *a);
int cmd_tenant_show(const struct args *a);
int cmd_audit_show(const struct args *a);
int cmd_audit_verify(const struct args *a);
int cmd_audit_key(const struct args *a);
int cmd_audit_rotate(const struct args *a);
int cmd_audit_mode(const struct args *a);
int cmd_audit_keep(const struct args *a);
int cmd_fsck(const struct args *a);
int cmd_scrub(const struct args *a);
int cmd_backup(const struct args *a);
int cmd_restore(const struct args *a);

#endif
