/*
 * args: the one table of options, and the parser that reads it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cmd.h"

#define OPTIONS_MAX 16384 /* bytes of all -o together */

struct opt_row {
	const char *name; /* after "--"; NULL: a letter only */
	char letter;      /* 0: none */
	const char *arg;  /* NULL: a flag */
	const char *help;
};

static const struct opt_row opts[OPT_COUNT_] = {
	[OPT_HELP] = { "help", 'h', NULL, "show this help" },
	[OPT_JSON] = { "json", 0, NULL, "print JSON, for scripts" },
	[OPT_STORE] = { "store", 0, "DIR", "the store (else $SSEFS_STORE)" },
	[OPT_ROOT_KEY] = { "root-key", 0, "FILE",
	    "the root key's file, or pkcs11:… of its token" },
	[OPT_PASSPHRASE] = { "passphrase", 0, NULL,
	    "ask for the passphrase on the terminal" },
	[OPT_PASSPHRASE_FILE] = { "passphrase-file", 0, "FILE",
	    "read the passphrase from a file or /dev/fd/N\n"
	    "(else from $SSEFS_PASSPHRASE_FILE)" },
	[OPT_CREDENTIAL] = { "credential", 0, "NAME",
	    "a systemd credential holds the root key" },
	[OPT_REGION] = { "region", 0, "REGION",
	    "the region in the keys' ARNs (" KMS_REGION_DEFAULT ")" },
	[OPT_NO_KMS] = { "no-kms", 0, NULL,
	    "make no keystore: nothing can be encrypted" },
	[OPT_SEAL_METADATA] = { "seal-metadata", 0, NULL,
	    "encrypt names, sizes, times and all other metadata too" },
	[OPT_LISTEN] = { "listen", 0, "ADDR:PORT",
	    "where to listen (127.0.0.1:9443); port 0: any" },
	[OPT_TLS_CERT] = { "tls-cert", 0, "FILE",
	    "the server's certificate, PEM, with those above it" },
	[OPT_TLS_KEY] = { "tls-key", 0, "FILE", "its private key, PEM" },
	[OPT_INSECURE_HTTP] = { "insecure-http", 0, NULL,
	    "no TLS: for addresses of this machine, without data keys" },
	[OPT_FOREGROUND] = { "foreground", 'f', NULL,
	    "stay in the foreground, log to stderr" },
	[OPT_MOUNT] = { "mount", 0, "BUCKET:DIR",
	    "mount a bucket too, or / for all of them" },
	[OPT_SSE] = { "sse", 0, "MODE",
	    "None, AES256, KMS or KMS:KEY (id, ARN or alias)" },
	[OPT_DESCRIPTION] = { "description", 0, "TEXT", "what the key is for" },
	[OPT_ALIAS] = { "alias", 0, "NAME", "give the key this alias too" },
	[OPT_OPTIONS] = { NULL, 'o', "OPTIONS",
	    "mount options, with commas between them" },
	[OPT_READONLY] = { NULL, 'r', NULL, "mount read-only" },
	[OPT_FAKE] = { NULL, 'f', NULL, "do everything but mount" },
	[OPT_SLOPPY] = { NULL, 's', NULL, "accepted and ignored" },
	[OPT_VERBOSE] = { NULL, 'v', NULL, "accepted and ignored" },
	[OPT_NO_MTAB] = { NULL, 'n', NULL, "accepted and ignored" },
	[OPT_TYPE] = { NULL, 't', "TYPE", "accepted and ignored" },
	[OPT_NAMESPACE] = { NULL, 'N', "NAMESPACE", "accepted and ignored" },
	[OPT_TIMEOUT] = { "timeout", 0, "SECONDS",
	    "wait this long for the last commit (60)" },
	[OPT_LAZY] = { "lazy", 0, NULL,
	    "detach now, finish when the last user is gone; no waiting" },
	[OPT_SKIP] = { "skip", 0, "N", "leave out the first N records" },
	[OPT_LAST] = { "last", 0, "N", "the last N records only" },
	[OPT_REPAIR] = { "repair", 0, NULL,
	    "rebuild what follows from the rest; what has no name\n"
	    "goes to lost+found" },
	[OPT_KEYS] = { "keys", 0, NULL,
	    "verify every block with its key, not only checksums" },
	[OPT_RATE] = { "rate", 0, "BYTES",
	    "read at most this much a second (K, M, G)" },
	[OPT_LS_SSE] = { "sse", 0, NULL,
	    "show encryption status, algorithm and key" },
	[OPT_ALL] = { "all", 'a', NULL, "names that begin with a dot too" },
	[OPT_NEW_ROOT_KEY] = { "new-root-key", 0, "FILE",
	    "a key file that will open the store (made when absent)" },
	[OPT_NEW_PASSPHRASE] = { "new-passphrase", 0, NULL,
	    "ask for a new passphrase on the terminal" },
	[OPT_NEW_PASSPHRASE_FILE] = { "new-passphrase-file", 0, "FILE",
	    "read a new passphrase from a file" },
	[OPT_NEW_CREDENTIAL] = { "new-credential", 0, "NAME",
	    "a systemd credential that will open the store" },
	[OPT_VERIFY] = { "verify", 0, NULL,
	    "make none: read all backups in DIR and verify them" },
	[OPT_EPOCH] = { "epoch", 0, "N", "the backup to restore (the last)" },
	[OPT_RESOURCE] = { "resource", 0, NULL,
	    "the policy of a key or bucket, which names principals" },
	[OPT_DAYS] = { "days", 0, "N", "how long the key waits" },
	[OPT_PERIOD] = { "period", 0, "DAYS|off",
	    "new material every so many days, or no more" },
	[OPT_TAG] = { "tag", 0, "NAME=VALUE",
	    "give the key this tag too; more than one is fine" },
	[OPT_ORIGIN] = { "origin", 0, "ORIGIN",
	    "AWS_KMS: made here (default); EXTERNAL: imported" },
	[OPT_WRAPPING] = { "wrapping", 0, "ALGORITHM[:BITS]",
	    "RSAES_OAEP_SHA_256 (default), RSAES_OAEP_SHA_1,\n"
	    "RSA_AES_KEY_WRAP_SHA_256, RSA_AES_KEY_WRAP_SHA_1;\n"
	    "2048, 3072 or 4096 bits (default)" },
	[OPT_EXPIRES] = { "expires", 0, "DAYS",
	    "wipe the material after that time" },
	[OPT_RETIRING] = { "retiring", 0, "ARN",
	    "who may give the grant up, besides" },
	[OPT_EQUALS] = { "equals", 0, "NAME=VALUE",
	    "only with exactly this encryption context; one for\n"
	    "each of its pairs" },
	[OPT_SUBSET] = { "subset", 0, "NAME=VALUE",
	    "only with this in the encryption context; more than\n"
	    "one is fine" },
	[OPT_KEY] = { "key", 0, "KEY", "files under this key only" },
	[OPT_BY_USER] = { "user", 0, "NAME", "records of this user only" },
	[OPT_BY_KEY] = { "key", 0, "KEY", "records of this key only" },
	[OPT_EVENT] = { "event", 0, "NAME",
	    "records of this call only, as Decrypt" },
	[OPT_DENIED] = { "denied", 0, NULL, "calls that failed only" },
	[OPT_SINCE] = { "since", 0, "TIME",
	    "from then on: 2026-11-20, 2026-11-20T23:36:06Z, or\n"
	    "30m, 12h, 7d ago" },
	[OPT_UNTIL] = { "until", 0, "TIME", "before then" },
	[OPT_FOLLOW] = { "follow", 0, NULL, "go on with what is added" },
	[OPT_PUBLIC_KEY] = { "public-key", 0, "FILE",
	    "verify files by what \"ssefs audit key\" printed" },
	[OPT_FILES_RATE] = { "rate", 0, "FILES",
	    "do at most this many a second" },
	[OPT_ADMIN] = { "admin", 0, NULL, "the user may do everything" },
	[OPT_TENANT] = { "tenant", 0, "TENANT",
	    "of this tenant (" KMS_TENANT_DEFAULT ")" },
	[OPT_AS] = { "as", 0, "USER",
	    "ask as this user, by its rights (else as the tenant)" },
	[OPT_USER] = { "user", 0, "USER", "attached to this user" },
	[OPT_ROLE] = { "role", 0, "ROLE",
	    "attached to whoever holds this role" },
	[OPT_PROVIDER] = { "provider", 0, "NAME",
	    "where the key is made; local: in the keystore" },
	[OPT_TO] = { "to", 0, "PROVIDER",
	    "move the keys to this provider first; local: the keystore" },
};

#define OPTS_COMMON (OPT_BIT(OPT_HELP) | OPT_BIT(OPT_JSON))

static bool
takes(const struct cmd *c, unsigned o)
{
	return (((c->opts | OPTS_COMMON) & OPT_BIT(o)) != 0);
}

int
cmd_usage(const struct cmd *c, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "ssefs: ");
	if (c != NULL)
		(void)fprintf(stderr, "%s: ", c->name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (c != NULL)
		(void)fprintf(stderr, "; see: ssefs help %s\n", c->name);
	else
		(void)fprintf(stderr, "; see: ssefs help\n");
	return (EXIT_USAGE);
}

int
args_common(const char *word)
{
	if (strcmp(word, "--json") == 0 || strncmp(word, "--store=", 8) == 0)
		return (1);
	return (strcmp(word, "--store") == 0 ? 2 : 0);
}

/* The option that ${word} (${len} bytes, without its dashes) names. */
static int
find(const struct cmd *c, const char *word, size_t len, bool is_long)
{
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		if (!takes(c, i))
			continue;
		if (!is_long && opts[i].letter == word[0])
			return ((int)i);
		if (is_long && opts[i].name != NULL &&
		    strlen(opts[i].name) == len &&
		    memcmp(opts[i].name, word, len) == 0)
			return ((int)i);
	}
	return (-1);
}

/* Is ${word}, which begins with a dash, an option of ${c}? */
static bool
known(const struct cmd *c, const char *word)
{
	if (word[1] == '-')
		return (find(c, word + 2, strcspn(word + 2, "="), true) >= 0);
	return (word[2] == '\0' && find(c, word + 1, 1, false) >= 0);
}

static int
set(struct args *a, int o, const char *value)
{
	if ((o == OPT_TAG || o == OPT_EQUALS || o == OPT_SUBSET) &&
	    buf_put(&a->tags, value, strlen(value) + 1) != OK)
		return (cmd_usage(a->cmd, "--tag: too many"));
	if (o == OPT_MOUNT && a->opt[o] != NULL)
		return (cmd_usage(a->cmd,
		    "--mount: one process mounts once; / is all buckets "
		    "(--mount /:DIR)"));
	if (o != OPT_OPTIONS) {
		a->opt[o] = value;
		return (EXIT_DONE);
	}
	if ((a->options.len != 0 && buf_put_str(&a->options, ",") != OK) ||
	    buf_put_str(&a->options, value) != OK)
		return (cmd_usage(a->cmd, "-o: too long"));
	a->opt[o] = "";
	return (EXIT_DONE);
}

/* One --word or --word=value; ${i} moves past a value of its own. */
static int
parse_long(struct args *a, int argc, char **argv, int *i)
{
	const char *word = argv[*i] + 2;
	const size_t len = strcspn(word, "=");
	const int o = find(a->cmd, word, len, true);

	if (o < 0)
		return (
		    cmd_usage(a->cmd, "unknown option --%.*s", (int)len, word));
	if (opts[o].arg == NULL)
		return (
		    word[len] == '='
			? cmd_usage(a->cmd, "--%s takes no value", opts[o].name)
			: set(a, o, ""));
	if (word[len] == '=')
		return (set(a, o, word + len + 1));
	if (*i + 1 >= argc)
		return (cmd_usage(
		    a->cmd, "--%s needs %s", opts[o].name, opts[o].arg));
	return (set(a, o, argv[++*i]));
}

/* A group of letters, the last of which may have a value. */
static int
parse_letters(struct args *a, int argc, char **argv, int *i)
{
	for (const char *p = argv[*i] + 1; *p != '\0'; p++) {
		const int o = find(a->cmd, p, 1, false);
		int code;

		if (o < 0)
			return (cmd_usage(a->cmd, "unknown option -%c", *p));
		if (opts[o].arg == NULL) {
			code = set(a, o, "");
			if (code != EXIT_DONE)
				return (code);
			continue;
		}
		if (p[1] != '\0')
			return (set(a, o, p + 1));
		if (*i + 1 >= argc)
			return (
			    cmd_usage(a->cmd, "-%c needs %s", *p, opts[o].arg));
		return (set(a, o, argv[++*i]));
	}
	return (EXIT_DONE);
}

/* The store that the options or the environment name, as an absolute path:
 * what is made of it outlives this working directory. */
static enum err
store_path(struct args *a)
{
	const char *dir = a->opt[OPT_STORE];
	char *here CLEANUP_FREE = NULL;

	if (dir == NULL)
		dir = getenv("SSEFS_STORE");
	if (dir == NULL || dir[0] == '\0')
		return (OK);
	if (dir[0] == '/') {
		a->store = strdup(dir);
		return (a->store != NULL ? OK : ERR_NOMEM);
	}
	here = getcwd(NULL, 0);
	if (here == NULL)
		return (err_from_errno(errno));
	if (asprintf(&a->store, "%s/%s", here, dir) < 0) {
		a->store = NULL;
		return (ERR_NOMEM);
	}
	return (OK);
}

int
args_parse(struct args *a, int argc, char **argv)
{
	enum err e;

	const bool pass = takes(a->cmd, OPT_PASS);
	bool only_pos = false;
	int code = EXIT_DONE;

	buf_init(&a->options, OPTIONS_MAX);
	buf_init(&a->tags, OPTIONS_MAX);
	a->pos = argv;
	a->npos = 0;
	for (int i = 0; i < argc && code == EXIT_DONE; i++) {
		if (only_pos || argv[i][0] != '-' || argv[i][1] == '\0' ||
		    (pass && !known(a->cmd, argv[i]))) {
			only_pos = only_pos || strcmp(argv[i], "--") == 0;
			argv[a->npos++] = argv[i];
		} else if (strcmp(argv[i], "--") == 0)
			only_pos = true;
		else if (argv[i][1] == '-')
			code = parse_long(a, argc, argv, &i);
		else
			code = parse_letters(a, argc, argv, &i);
	}
	if (code != EXIT_DONE || a->opt[OPT_HELP] != NULL)
		return (code);
	e = store_path(a);
	if (e != OK)
		return (cmd_fail(e, "working directory"));
	if (a->npos < a->cmd->min)
		return (cmd_usage(
		    a->cmd, "too few arguments, expected: %s", a->cmd->usage));
	if (a->npos > a->cmd->max)
		return (cmd_usage(
		    a->cmd, "unexpected argument \"%s\"", a->pos[a->cmd->max]));
	return (EXIT_DONE);
}

void
args_release(struct args *a)
{
	buf_release(&a->options);
	buf_release(&a->tags);
	free(a->store);
	a->store = NULL;
}

void
args_help(FILE *f, const struct cmd *c)
{
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		char left[64];
		const char *text = opts[i].help;

		if (!takes(c, i) || i == OPT_PASS)
			continue;
		(void)snprintf(left, sizeof(left), "%c%c%s%s%s%s%s",
		    opts[i].letter != 0 ? '-' : ' ',
		    opts[i].letter != 0 ? opts[i].letter : ' ',
		    opts[i].name == NULL  ? ""
		    : opts[i].letter != 0 ? ", "
					  : "  ",
		    opts[i].name != NULL ? "--" : "",
		    opts[i].name != NULL ? opts[i].name : "",
		    opts[i].arg != NULL ? " " : "",
		    opts[i].arg != NULL ? opts[i].arg : "");
		(void)fprintf(f, "  %-30s", left);
		for (; *text != '\0'; text++) {
			(void)fputc(*text, f);
			if (*text == '\n')
				(void)fprintf(f, "%32s", "");
		}
		(void)fputc('\n', f);
	}
}

enum err
args_number(const char *s, uint64_t *ret)
{
	char *end;

	errno = 0;
	const unsigned long long v = strtoull(s, &end, 10);

	if (s[0] < '0' || s[0] > '9' || *end != '\0' || errno != 0)
		return (err_fail(ERR_INVAL, "\"%s\" is not a number", s));
	*ret = v;
	return (OK);
}

enum err
args_size(const char *s, uint64_t *ret)
{
	char *end;
	unsigned shift = 0;

	errno = 0;
	const unsigned long long v = strtoull(s, &end, 10);

	if (*end == 'K' || *end == 'k')
		shift = 10;
	else if (*end == 'M' || *end == 'm')
		shift = 20;
	else if (*end == 'G' || *end == 'g')
		shift = 30;
	if (s[0] < '0' || s[0] > '9' || errno != 0 ||
	    end[shift != 0 ? 1 : 0] != '\0' || v > UINT64_MAX >> shift)
		return (err_fail(ERR_INVAL,
		    "\"%s\" is not a size such as 4096, 64K or 10M", s));
	*ret = (uint64_t)v << shift;
	return (OK);
}
