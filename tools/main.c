/*
 * ssefs: the program.  One table of subcommands; from it come dispatch, help
 * and usage errors.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "fs/mount.h"
#include "tools/cmd.h"

#define B(o) OPT_BIT(OPT_##o)
/* Commands on a store that exists. */
#define STORE (B(STORE) | OPTS_ROOT)
#define KEYS (STORE | B(TENANT) | B(AS))

static int cmd_help(const struct args *a);
static int cmd_version(const struct args *a);

static const struct cmd cmds[] = {
	{ "init", "", 0, 0, STORE | B(REGION) | B(NO_KMS) | B(SEAL_METADATA),
	    "make a store",
	    "The root key is a new file beside the store, DIR.key, unless "
	    "--root-key,\n--passphrase, --passphrase-file or --credential "
	    "names another.",
	    cmd_init },
	{ "mount", "BUCKET DIR", 0, INT32_MAX, STORE | B(PASS),
	    "mount a bucket, or / for all of them",
	    "Comes back when the mount works.  -f stays in the foreground.\n"
	    "Mount options are given as -o NAME=VALUE,... or as --name VALUE.",
	    cmd_mount },
	{ "umount", "DIR", 1, 1, B(STORE) | B(TIMEOUT) | B(LAZY),
	    "unmount and wait until the store is closed", NULL, cmd_umount },
	{ "serve", "", 0, 0,
	    STORE | B(LISTEN) | B(TLS_CERT) | B(TLS_KEY) | B(INSECURE_HTTP) |
		B(FOREGROUND) | B(MOUNT) | B(OPTIONS),
	    "serve the store's keys as the AWS KMS API over HTTPS",
	    "Comes back when it listens, and says where; SIGTERM ends it.  "
	    "Requests are signed\nwith the access key of a user: ssefs user "
	    "create.  With --mount it ends with the\nmount, and -o takes "
	    "mount options.",
	    cmd_serve },
	{ "bucket create", "NAME", 1, 1, STORE | B(SSE), "make a bucket",
	    "New files are encrypted as --sse says; KMS when not given.",
	    cmd_bucket_create },
	{ "bucket ls", "", 0, 0, STORE, "list buckets", NULL, cmd_bucket_ls },
	{ "bucket rm", "NAME", 1, 1, STORE, "remove an empty bucket", NULL,
	    cmd_bucket_rm },
	{ "bucket encryption get", "NAME", 1, 1, STORE,
	    "show how new files are encrypted", NULL,
	    cmd_bucket_encryption_get },
	{ "bucket encryption set", "NAME MODE", 2, 2, STORE,
	    "choose how new files are encrypted",
	    "MODE is None, AES256, KMS or KMS:KEY.  Files that exist keep "
	    "what they have.\nOn a mount: setfattr -n user.sse.default -v "
	    "MODE DIR.",
	    cmd_bucket_encryption_set },
	{ "key create", "", 0, 0,
	    KEYS | B(DESCRIPTION) | B(ALIAS) | B(TAG) | B(ORIGIN) | B(PROVIDER),
	    "make a master key and print its id", NULL, cmd_key_create },
	{ "key ls", "", 0, 0, KEYS, "list master keys", NULL, cmd_key_ls },
	{ "key describe", "KEY", 1, 1, KEYS, "show one master key",
	    "KEY is an id, an ARN or an alias.", cmd_key_describe },
	{ "key enable", "KEY", 1, 1, KEYS, "bring a disabled key back", NULL,
	    cmd_key_enable },
	{ "key disable", "KEY", 1, 1, KEYS,
	    "take a key out of use, at once, on every mount", NULL,
	    cmd_key_disable },
	{ "key rotate", "KEY", 1, 1, KEYS,
	    "new material for new files; the old still decrypts", NULL,
	    cmd_key_rotate },
	{ "key rotation", "KEY", 1, 1, KEYS | B(PERIOD),
	    "rotate a key by itself, every so many days",
	    "It happens while the store is mounted, or at the next mount.",
	    cmd_key_rotation },
	{ "key rotations", "KEY", 1, 1, KEYS,
	    "list when a key got new material, and why", NULL,
	    cmd_key_rotations },
	{ "key import parameters", "KEY PUBLIC-FILE TOKEN-FILE", 3, 3,
	    KEYS | B(WRAPPING), "get ready for importing a key's material",
	    "Writes a public key (DER) and an import token, which are good "
	    "for a day.  The 32\nbytes of material are wrapped with the one "
	    "and imported with the other.",
	    cmd_key_import_parameters },
	{ "key import material", "KEY TOKEN-FILE WRAPPED-FILE", 3, 3,
	    KEYS | B(EXPIRES), "import a key's material",
	    "A key that had material before takes only the same again.",
	    cmd_key_import_material },
	{ "key import delete", "KEY", 1, 1, KEYS,
	    "wipe imported material, until it is imported again", NULL,
	    cmd_key_import_delete },
	{ "key policy get", "KEY", 1, 1, KEYS, "print a key's own policy", NULL,
	    cmd_key_policy_get },
	{ "key policy set", "KEY FILE", 2, 2, KEYS,
	    "give a key a policy of its own",
	    "FILE is a policy that names principals, - standard input; see "
	    "ssefs policy check\n--resource.",
	    cmd_key_policy_set },
	{ "key policy reset", "KEY", 1, 1, KEYS,
	    "leave a key to its tenant's policies again", NULL,
	    cmd_key_policy_reset },
	{ "key grant create", "KEY GRANTEE OPERATION...", 3, INT32_MAX,
	    KEYS | B(RETIRING) | B(EQUALS) | B(SUBSET),
	    "give somebody rights on one key, and print the grant's id",
	    "GRANTEE is the ARN of a user, a role or an account.  "
	    "Operations: Decrypt, Encrypt,\nGenerateDataKey, "
	    "GenerateDataKeyWithoutPlaintext, ReEncryptFrom, ReEncryptTo,\n"
	    "CreateGrant, RetireGrant, DescribeKey.",
	    cmd_grant_create },
	{ "key grant ls", "KEY", 1, 1, KEYS, "list a key's grants", NULL,
	    cmd_grant_ls },
	{ "key grant revoke", "KEY GRANT", 2, 2, KEYS, "take a grant back",
	    NULL, cmd_grant_revoke },
	{ "key grant retire", "KEY GRANT", 2, 2, KEYS, "give a grant up", NULL,
	    cmd_grant_retire },
	{ "key usage", "KEY", 1, 1, KEYS,
	    "count what uses a key, and the calls made under it", NULL,
	    cmd_key_usage },
	{ "key delete", "KEY", 1, 1, KEYS | B(DAYS),
	    "take a key out of use and delete it later",
	    "A key that files or defaults are under is not deleted: now, or "
	    "when its time has\ncome.  Until then ssefs key cancel-deletion "
	    "keeps it.  AFTERWARDS NOTHING BRINGS IT\nBACK, nor what is under "
	    "it in a backup.",
	    cmd_key_delete },
	{ "key cancel-deletion", "KEY", 1, 1, KEYS,
	    "keep a key that was to be deleted; it stays disabled", NULL,
	    cmd_key_cancel_deletion },
	{ "key window", "[MIN MAX]", 0, 2, KEYS | B(DAYS),
	    "show or set how many days keys wait for deletion",
	    "--days is what holds when key delete is not told; MAX when not "
	    "given.",
	    cmd_key_window },
	{ "key tag", "KEY NAME=VALUE...", 2, INT32_MAX, KEYS,
	    "note something on a key", NULL, cmd_key_tag },
	{ "key untag", "KEY NAME...", 2, INT32_MAX, KEYS, "remove tags", NULL,
	    cmd_key_untag },
	{ "key description", "KEY TEXT", 2, 2, KEYS,
	    "say anew what a key is for", NULL, cmd_key_description },
	{ "key alias create", "ALIAS KEY", 2, 2, KEYS,
	    "give a key another name", NULL, cmd_alias_create },
	{ "key alias update", "ALIAS KEY", 2, 2, KEYS,
	    "let an alias name another key", NULL, cmd_alias_update },
	{ "key alias rm", "ALIAS", 1, 1, KEYS, "remove an alias", NULL,
	    cmd_alias_rm },
	{ "key alias ls", "", 0, 0, KEYS, "list aliases", NULL, cmd_alias_ls },
	{ "key slot add", "", 0, 0,
	    KEYS | B(NEW_ROOT_KEY) | B(NEW_PASSPHRASE) |
		B(NEW_PASSPHRASE_FILE) | B(NEW_CREDENTIAL),
	    "add a way to open the store",
	    "--new-root-key pkcs11:token=NAME?module-path=FILE&pin-source=FILE "
	    "makes a key in a\ntoken that never leaves it.",
	    cmd_slot_add },
	{ "key slot change", "SLOT", 1, 1,
	    KEYS | B(NEW_ROOT_KEY) | B(NEW_PASSPHRASE) |
		B(NEW_PASSPHRASE_FILE) | B(NEW_CREDENTIAL),
	    "let a slot open by another passphrase or root key", NULL,
	    cmd_slot_change },
	{ "key slot rm", "SLOT", 1, 1, KEYS, "remove a way to open the store",
	    NULL, cmd_slot_rm },
	{ "key slot ls", "", 0, 0, STORE, "list the ways to open the store",
	    NULL, cmd_slot_ls },
	{ "kms provider add", "NAME URI [OPTION=VALUE...]", 2, INT32_MAX, STORE,
	    "let master keys be in a token or at a key service",
	    "URI is https://HOST[:PORT], of a key service with the API of AWS "
	    "KMS;\n"
	    "or pkcs11:token=NAME?module-path=FILE&pin-source=FILE, or a "
	    "PKCS#11 module's\npath.  The PIN is in a file that only its owner "
	    "can read.  It must answer now.\nOptions of PKCS#11: sessions=N, "
	    "timeout=MS, iv=caller or iv=token, and the URI's\nown.\n"
	    "Of a key service: ca=FILE, profile=NAME, key=KEY, "
	    "cache-age=SECONDS, and others\n(see the manual).",
	    cmd_provider_add },
	{ "kms provider ls", "", 0, 0, STORE, "list providers", NULL,
	    cmd_provider_ls },
	{ "kms provider rm", "NAME", 1, 1, STORE,
	    "forget a provider that has no keys of ours", NULL,
	    cmd_provider_rm },
	{ "kms provider test", "NAME", 1, 1, STORE,
	    "see whether a provider answers", NULL, cmd_provider_test },
	{ "kms provider default", "NAME", 1, 1, STORE,
	    "choose where new keys are made", NULL, cmd_provider_default },
	{ "policy check", "FILE", 1, 1, B(RESOURCE),
	    "say what is wrong with a policy document",
	    "FILE is an identity policy in JSON, - standard input.  Exit 0: it "
	    "can be used; 1: not.",
	    cmd_policy_check },
	{ "policy put", "NAME FILE", 2, 2, STORE | B(TENANT),
	    "keep a policy document under a name",
	    "In the place of the one that has the name, for all whom it is "
	    "attached to, at once.",
	    cmd_policy_put },
	{ "policy get", "NAME", 1, 1, STORE | B(TENANT),
	    "print a policy document", NULL, cmd_policy_get },
	{ "policy ls", "", 0, 0, STORE | B(TENANT),
	    "list policies, and whom they are attached to", NULL,
	    cmd_policy_ls },
	{ "policy rm", "NAME", 1, 1, STORE | B(TENANT),
	    "remove a policy that is attached to nobody", NULL, cmd_policy_rm },
	{ "policy attach", "NAME", 1, 1, STORE | B(TENANT) | B(USER) | B(ROLE),
	    "let a policy hold for a user or for a role", NULL,
	    cmd_policy_attach },
	{ "policy detach", "NAME", 1, 1, STORE | B(TENANT) | B(USER) | B(ROLE),
	    "let it hold no more, at once, on every mount", NULL,
	    cmd_policy_detach },
	{ "user create", "NAME", 1, 1, STORE | B(ADMIN) | B(TENANT),
	    "make a user with an access key",
	    "Prints the key's secret, which is not shown again.  Without "
	    "--admin the user may do\nwhat policies say (ssefs policy "
	    "attach): nothing, at first.",
	    cmd_user_create },
	{ "user ls", "", 0, 0, STORE | B(TENANT), "list users", NULL,
	    cmd_user_ls },
	{ "user rm", "NAME", 1, 1, STORE | B(TENANT),
	    "remove a user with all access keys, at once, on every mount", NULL,
	    cmd_user_rm },
	{ "user key create", "USER", 1, 1, STORE | B(TENANT),
	    "make another access key, two at most",
	    "Prints the key's secret, which is not shown again.",
	    cmd_user_key_create },
	{ "user key rm", "USER ID", 2, 2, STORE | B(TENANT),
	    "remove an access key", NULL, cmd_user_key_rm },
	{ "user key enable", "USER ID", 2, 2, STORE | B(TENANT),
	    "bring a disabled access key back", NULL, cmd_user_key_enable },
	{ "user key disable", "USER ID", 2, 2, STORE | B(TENANT),
	    "let an access key sign nothing", NULL, cmd_user_key_disable },
	{ "user key ls", "USER", 1, 1, STORE | B(TENANT),
	    "list a user's access keys", NULL, cmd_user_key_ls },
	{ "user role add", "USER ROLE", 2, 2, STORE | B(TENANT),
	    "give a user a role, as tenant_admin", NULL, cmd_user_role_add },
	{ "user role rm", "USER ROLE", 2, 2, STORE | B(TENANT),
	    "take a role from a user", NULL, cmd_user_role_rm },
	{ "user role ls", "USER", 1, 1, STORE | B(TENANT),
	    "list a user's roles", NULL, cmd_user_role_ls },
	{ "tenant show", "", 0, 0, STORE | B(TENANT),
	    "show what holds for a tenant's files", NULL, cmd_tenant_show },
	{ "tenant set", "SETTING=VALUE...", 1, INT32_MAX, STORE | B(TENANT),
	    "say what holds for a tenant's files",
	    "sse-kms-role=ROLE: only users with that role use SSE-KMS (empty: "
	    "all).\ncustomer-keys=deny: new files under the default key only "
	    "(allow).",
	    cmd_tenant_set },
	{ "stat", "PATH...", 1, INT32_MAX, 0,
	    "show a path's encryption: status, algorithm, key", NULL,
	    cmd_stat },
	{ "ls", "[PATH...]", 0, INT32_MAX, B(LS_SSE) | B(ALL),
	    "list directories, with encryption when asked", NULL, cmd_ls },
	{ "audit show", "", 0, 0,
	    STORE | B(SKIP) | B(LAST) | B(BY_USER) | B(BY_KEY) | B(EVENT) |
		B(DENIED) | B(SINCE) | B(UNTIL) | B(FOLLOW),
	    "print the log of every use of a key",
	    "A line is a record in JSON.  --skip and --last count those that "
	    "the other options\nchoose.",
	    cmd_audit_show },
	{ "audit verify", "[FILE...]", 0, INT32_MAX, STORE | B(PUBLIC_KEY),
	    "check that no record was changed or removed",
	    "FILEs are copies of the log's files that were made before: has "
	    "it been put back\nsince?  With --public-key no store is needed: "
	    "FILEs are the log, oldest first.\nExit 0: intact; 1: altered; 8: "
	    "could not be "
	    "verified.",
	    cmd_audit_verify },
	{ "audit key", "", 0, 0, STORE,
	    "print the public keys that the log is signed with",
	    "Keep the first line in another place: it is what verifying with "
	    "--public-key\nrelies on.",
	    cmd_audit_key },
	{ "audit rotate", "", 0, 0, STORE, "begin a new file of the log", NULL,
	    cmd_audit_rotate },
	{ "audit mode", "[sync|epoch]", 0, 1, STORE,
	    "show or set when records are on the disk",
	    "sync: before a call is answered.  epoch: with the next commit.",
	    cmd_audit_mode },
	{ "audit keep", "[all|DAYSd|SIZE|files=SIZE]...", 0, 4, STORE,
	    "show or set how long records are kept",
	    "Whole files of the log are removed when they ended so many days "
	    "ago, or when all\nhave more bytes (K, M, G).  files=SIZE: a new "
	    "one begins after so many bytes.",
	    cmd_audit_keep },
	{ "fsck", "", 0, 0, STORE | B(REPAIR), "check the store's structure",
	    "Exit 0: clean; 1: repaired; 4: problems left; 8: not checked; "
	    "16 more: the audit log\nwas altered.",
	    cmd_fsck },
	{ "scrub", "", 0, 0, STORE | B(KEYS) | B(RATE),
	    "read every block and all metadata, and verify them",
	    "Damage is told with its inode, the place in the file, and a path "
	    "in the store.\n"
	    "Exit 0: clean; 4: damage was found; 8: could not be read.",
	    cmd_scrub },
	{ "rekey", "", 0, 0, STORE | B(KEY) | B(FILES_RATE) | B(TO),
	    "wrap data keys anew under the newest version of their keys",
	    "With --to the keys go to another provider first.\n"
	    "No data is rewritten.  What is done is done: stopped, it goes on "
	    "where it was.\nExit 0: done; 1: failed; 4: files were left, as "
	    "their keys are out of use or they\nare damaged.",
	    cmd_rekey },
	{ "backup", "DIR", 1, 1, STORE | B(RATE) | B(VERIFY),
	    "copy what is new in the store, also a mounted one",
	    "DIR holds the backups of one store, each named by its epoch; a "
	    "new one has the\nblocks that those before it lack.  No key is "
	    "needed, save for sealed metadata, and\nnone is copied: WITHOUT "
	    "THE ROOT KEY A BACKUP IS OF NO USE.  Keep it elsewhere.\n"
	    "Exit 0: done; 1: failed; 4: damage was found; with --verify also "
	    "8: not verified.",
	    cmd_backup },
	{ "restore", "DIR", 1, 1, B(STORE) | B(EPOCH),
	    "make a store of a backup",
	    "The store that --store names must not exist, or be an empty "
	    "directory.  It opens\nwith the root key of the store that the "
	    "backup is of.",
	    cmd_restore },
	{ "help", "[COMMAND]", 0, 3, 0, "show help", NULL, cmd_help },
	{ "version", "", 0, 0, 0, "print the version", NULL, cmd_version },
};

static const struct cmd mount_helper = { "mount.ssefs", "SOURCE DIR", 2, 2,
	B(OPTIONS) | B(FAKE) | B(SLOPPY) | B(VERBOSE) | B(NO_MTAB) |
	    B(READONLY) | B(TYPE) | B(NAMESPACE),
	"mount from fstab or mount(8)",
	"A line of fstab: docs /mnt ssefs store=/srv/store,nofail 0 0.  How "
	"the "
	"store opens,\nwhen not by its key file: passphrase_file=FILE, "
	"root_key=FILE, credential=NAME.",
	cmd_mount_helper };

/* How many of ${argv}'s words make up ${c}'s name; 0: it is not that one. */
static int
name_words(const struct cmd *c, int argc, char **argv)
{
	const char *p = c->name;

	for (int i = 0; i < argc; i++) {
		const size_t len = strlen(argv[i]);

		if (strncmp(p, argv[i], len) != 0 ||
		    (p[len] != ' ' && p[len] != '\0'))
			return (0);
		if (p[len] == '\0')
			return (i + 1);
		p += len + 1;
	}
	return (0);
}

static void
help_all(FILE *f)
{
	(void)fprintf(f,
	    "ssefs " SSEFS_VERSION ": buckets as directories, every file "
	    "encrypted under a KMS key\n\n"
	    "usage: ssefs [--store DIR] [--json] COMMAND [ARGUMENT...]\n\n");
	for (size_t i = 0; i < COUNTOF(cmds); i++)
		(void)fprintf(f, "  %-23s %s\n", cmds[i].name, cmds[i].brief);
	(void)fprintf(f,
	    "\nssefs help COMMAND tells more.  SSEFS_STORE names the store "
	    "when --store does not.\n");
}

static void
help_one(FILE *f, const struct cmd *c)
{
	(void)fprintf(f, "usage: %s%s [OPTION...]%s%s\n\n%c%s.\n",
	    c == &mount_helper ? "" : "ssefs ", c->name,
	    c->usage[0] != '\0' ? " " : "", c->usage, c->brief[0] - 'a' + 'A',
	    c->brief + 1);
	if (c->help != NULL)
		(void)fprintf(f, "%s\n", c->help);
	(void)fputc('\n', f);
	args_help(f, c);
	if (c->run == cmd_mount || c->run == cmd_mount_helper)
		(void)fprintf(f, "\nmount options:\n%s", fs_opts_help());
}

/* Help on the commands whose names begin with these words; false: none. */
static bool
help_on(FILE *f, int argc, char **argv)
{
	bool any = false;

	for (size_t i = 0; i < COUNTOF(cmds); i++)
		if (name_words(&cmds[i], argc, argv) == argc) {
			help_one(f, &cmds[i]);
			return (true);
		}
	for (size_t i = 0; i < COUNTOF(cmds); i++) {
		char words[64];
		size_t len = 0;

		for (int w = 0; w < argc && len < sizeof(words); w++)
			len += (size_t)snprintf(
			    words + len, sizeof(words) - len, "%s ", argv[w]);
		if (len < sizeof(words) &&
		    strncmp(cmds[i].name, words, len) == 0) {
			(void)fprintf(f, "  ssefs %-22s %-12s %s\n",
			    cmds[i].name, cmds[i].usage, cmds[i].brief);
			any = true;
		}
	}
	return (any);
}

static int
cmd_help(const struct args *a)
{
	if (a->npos == 0)
		help_all(stdout);
	else if (!help_on(stdout, a->npos, a->pos))
		return (
		    cmd_usage(NULL, "there is no command \"%s\"", a->pos[0]));
	return (EXIT_DONE);
}

static int
cmd_version(const struct args *a)
{
	struct json j;

	if (a->opt[OPT_JSON] == NULL) {
		(void)printf(
		    "ssefs " SSEFS_VERSION ", store format %d\n", STORE_FORMAT);
		return (EXIT_DONE);
	}
	json_begin(&j);
	json_object(&j, NULL);
	json_str(&j, "version", SSEFS_VERSION);
	json_u64(&j, "format", STORE_FORMAT);
	json_close(&j, '}');
	return (cmd_json_end(&j));
}

static int
run(struct args *a, int argc, char **argv)
{
	int code = args_parse(a, argc, argv);
	enum err e;

	if (code != EXIT_DONE)
		return (code);
	if (a->opt[OPT_HELP] != NULL) {
		help_one(stdout, a->cmd);
		return (EXIT_DONE);
	}
	if ((a->cmd->opts & STORE) == STORE && a->cmd->run != cmd_mount &&
	    a->cmd->run != cmd_backup && a->opt[OPT_PUBLIC_KEY] == NULL &&
	    cmd_store_dir(a) == NULL)
		return (EXIT_USAGE);
	cmd_who_set(a);
	/* Before anything else touches the cryptographic library. */
	e = secret_init();
	if (e != OK)
		return (cmd_fail(e, "key memory"));
	e = store_prepare();
	if (e != OK)
		return (cmd_fail(e, "SQLite"));
	return (a->cmd->run(a));
}

/* The command's words, after the common options that stand before them. */
static int
dispatch(int argc, char **argv)
{
	static char help[] = "help", version[] = "version";
	struct args a = { .cmd = NULL };
	int lead = 0, code;

	while (lead < argc && argv[lead][0] == '-') {
		const int n = args_common(argv[lead]);

		if (n == 0 || lead + n > argc)
			break;
		if (strcmp(argv[lead], "--json") == 0)
			a.opt[OPT_JSON] = "";
		else
			a.opt[OPT_STORE] =
			    n == 2 ? argv[lead + 1] : argv[lead] + 8;
		lead += n;
	}
	argc -= lead;
	argv += lead;
	if (argc == 0) {
		help_all(stderr);
		return (EXIT_USAGE);
	}
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
		argv[0] = help;
	else if (strcmp(argv[0], "--version") == 0)
		argv[0] = version;
	for (size_t i = 0; i < COUNTOF(cmds); i++) {
		const int words = name_words(&cmds[i], argc, argv);

		if (words == 0)
			continue;
		a.cmd = &cmds[i];
		code = run(&a, argc - words, argv + words);
		args_release(&a);
		return (code);
	}
	/* The first words of several commands, as in "ssefs key --help". */
	if (argc > 1 &&
	    (strcmp(argv[argc - 1], "--help") == 0 ||
		strcmp(argv[argc - 1], "-h") == 0) &&
	    help_on(stdout, argc - 1, argv))
		return (EXIT_DONE);
	code = cmd_usage(NULL, "there is no command \"%s%s%s\"", argv[0],
	    argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	(void)help_on(stderr, 1, argv);
	return (code);
}

int
main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash != NULL ? slash + 1 : argv[0];
	int code;

	if (argc > 0 && strcmp(name, "mount.ssefs") == 0) {
		struct args a = { .cmd = &mount_helper };

		code = run(&a, argc - 1, argv + 1);
		args_release(&a);
	} else {
		code = dispatch(argc > 0 ? argc - 1 : 0, argv + 1);
	}
	/* Output that was lost is a failure, whatever the command says. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE)
		code = EXIT_FAILED;
	return (code);
}
