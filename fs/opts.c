/* Parsing of mount options: pure, no system call. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fs/mount.h"

enum opt_kind {
	KIND_IGNORE,  /* for mount(8), or what this filesystem does anyway */
	KIND_COMMENT, /* the same, with a value */
	KIND_ON,
	KIND_OFF,
	KIND_STRING,
	KIND_USER, /* a string; without a value, mount(8)'s permission */
	KIND_NUMBER,
	KIND_SIZE,
	KIND_CACHE /* one budget for two fields */
};

struct opt_def {
	const char *name;
	enum opt_kind kind;
	size_t offset;   /* of the field in struct fs_opts */
	unsigned base;   /* of numbers */
	size_t min, max; /* of numbers; sizes have a minimum only */
	size_t given;    /* offset of the field that says so, or 0 */
};

#define FIELD(f) offsetof(struct fs_opts, f)

static const struct opt_def defs[] = {
	{ "sse", KIND_STRING, FIELD(sse_method), 0, 0, 0, 0 },
	{ "sse_kms_key_id", KIND_STRING, FIELD(sse_key), 0, 0, 0, 0 },
	{ "tenant", KIND_STRING, FIELD(tenant), 0, 0, 0, 0 },
	{ "user", KIND_USER, FIELD(user), 0, 0, 0, 0 },
	{ "audit", KIND_STRING, FIELD(audit), 0, 0, 0, 0 },
	{ "uidmap", KIND_STRING, FIELD(uidmap), 0, 0, 0, 0 },
	{ "store", KIND_STRING, FIELD(store), 0, 0, 0, 0 },
	{ "foreground", KIND_ON, FIELD(foreground), 0, 0, 0, 0 },
	{ "debug", KIND_ON, FIELD(debug), 0, 0, 0, 0 },
	{ "direct_io", KIND_ON, FIELD(direct_io), 0, 0, 0, 0 },
	{ "allow_other", KIND_ON, FIELD(allow_other), 0, 0, 0, 0 },
	{ "ro", KIND_ON, FIELD(readonly), 0, 0, 0, 0 },
	{ "read_only", KIND_ON, FIELD(readonly), 0, 0, 0, 0 },
	{ "rw", KIND_OFF, FIELD(readonly), 0, 0, 0, 0 },
	{ "default_permissions", KIND_ON, FIELD(default_permissions), 0, 0, 0,
	    0 },
	{ "nodefault_permissions", KIND_OFF, FIELD(default_permissions), 0, 0,
	    0, 0 },
	{ "dev", KIND_ON, FIELD(dev), 0, 0, 0, 0 },
	{ "nodev", KIND_OFF, FIELD(dev), 0, 0, 0, 0 },
	{ "suid", KIND_ON, FIELD(suid), 0, 0, 0, 0 },
	{ "nosuid", KIND_OFF, FIELD(suid), 0, 0, 0, 0 },
	{ "noexec", KIND_ON, FIELD(noexec), 0, 0, 0, 0 },
	{ "exec", KIND_OFF, FIELD(noexec), 0, 0, 0, 0 },
	{ "noatime", KIND_ON, FIELD(noatime), 0, 0, 0, 0 },
	{ "atime", KIND_OFF, FIELD(noatime), 0, 0, 0, 0 },
	{ "nodiratime", KIND_ON, FIELD(nodiratime), 0, 0, 0, 0 },
	{ "diratime", KIND_OFF, FIELD(nodiratime), 0, 0, 0, 0 },
	{ "sync", KIND_ON, FIELD(sync), 0, 0, 0, 0 },
	{ "async", KIND_OFF, FIELD(sync), 0, 0, 0, 0 },
	{ "dirsync", KIND_ON, FIELD(dirsync), 0, 0, 0, 0 },
	{ "uid", KIND_NUMBER, FIELD(uid), 10, 0, UINT32_MAX - 1,
	    FIELD(has_uid) },
	{ "gid", KIND_NUMBER, FIELD(gid), 10, 0, UINT32_MAX - 1,
	    FIELD(has_gid) },
	{ "umask", KIND_NUMBER, FIELD(umask), 8, 0, 0777, FIELD(has_umask) },
	{ "commit", KIND_NUMBER, FIELD(commit_secs), 10, 1, 3600, 0 },
	{ "threads", KIND_NUMBER, FIELD(threads), 10, 2, 256, 0 },
	{ "cache_size", KIND_CACHE, 0, 0, (size_t)1 << 20, 0, 0 },
	{ "map_cache", KIND_SIZE, FIELD(map_cache), 0, (size_t)1 << 18, 0, 0 },
	{ "db_cache", KIND_SIZE, FIELD(db_cache), 0, (size_t)1 << 18, 0, 0 },
	{ "inode_cache", KIND_SIZE, FIELD(inode_cache), 0, 64, 0, 0 },
	{ "dirty_size", KIND_SIZE, FIELD(dirty_size), 0, (size_t)1 << 20, 0,
	    0 },
	/* The store keeps access times as relatime does. */
	{ "relatime", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "norelatime", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "defaults", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "auto", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "noauto", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "nofail", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "_netdev", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "users", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "nouser", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "owner", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "group", KIND_IGNORE, 0, 0, 0, 0, 0 },
	{ "comment", KIND_COMMENT, 0, 0, 0, 0, 0 },
};

_Static_assert(sizeof(uid_t) == sizeof(unsigned) &&
		   sizeof(gid_t) == sizeof(unsigned) &&
		   sizeof(mode_t) == sizeof(unsigned),
    "KIND_NUMBER fields are all stored as unsigned");

const char *
fs_opts_help(void)
{
	return (
	    "  sse=None|AES256|aws:kms   encryption of files made here, "
	    "instead of\n"
	    "                            the directory's default\n"
	    "  sse_kms_key_id=KEY        master key for aws:kms: id, ARN "
	    "or alias\n"
	    "  user=NAME                 the user whose rights on keys hold "
	    "(root:\n"
	    "                            the tenant itself)\n"
	    "  uidmap=FILE               lines \"UID USER\": other users for "
	    "some uids\n"
	    "  tenant=TENANT             whose users and keys these are\n"
	    "  audit=sync|epoch          records of keys' uses are on disk "
	    "before the\n"
	    "                            answer, or as \"ssefs audit mode\" "
	    "says (epoch)\n"
	    "  store=DIR                 the store (or --store, "
	    "SSEFS_STORE)\n"
	    "  ro, rw                    read-only, or not (rw)\n"
	    "  allow_other               other users may use the mount\n"
	    "  [no]default_permissions   the kernel checks permissions "
	    "(on)\n"
	    "  uid=N, gid=N, umask=OCT   shown owner, group, taken-away "
	    "permissions\n"
	    "  commit=SECONDS            longest time until a change is on "
	    "disk (5)\n"
	    "  dirty_size=SIZE           written bytes that start a commit "
	    "(256M)\n"
	    "  cache_size=SIZE           memory for metadata (64M); or its "
	    "parts\n"
	    "                            db_cache= and map_cache=\n"
	    "  inode_cache=N             inodes kept in memory (16384)\n"
	    "  threads=N                 most requests served at once "
	    "(16)\n"
	    "  direct_io                 bypass the page cache\n"
	    "  dev, suid                 let device nodes and set-id bits "
	    "work (root)\n"
	    "  noexec, noatime, sync     as mount(8) says\n"
	    "  foreground, debug         stay in the foreground; say more\n");
}

void
fs_opts_init(struct fs_opts *o)
{
	memset(o, 0, sizeof(*o));
	o->default_permissions = true;
}

void
fs_opts_release(struct fs_opts *o)
{
	free(o->source);
	free(o->mountpoint);
	free(o->store);
	free(o->tenant);
	free(o->user);
	free(o->audit);
	free(o->uidmap);
	free(o->sse);
	free(o->sse_method);
	free(o->sse_key);
	memset(o, 0, sizeof(*o));
}

static enum err
opt_string(char **ret, const char *value)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return (ERR_NOMEM);
	free(*ret);
	*ret = copy;
	return (OK);
}

/* Digits of ${base} only, at most ${max}. */
static enum err
opt_digits(
    const char *s, size_t len, unsigned base, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (len == 0)
		return (ERR_INVAL);
	for (size_t i = 0; i < len; i++) {
		const unsigned d = (unsigned)(unsigned char)s[i] - '0';

		if (d >= base || v > (max - d) / base)
			return (ERR_INVAL);
		v = v * base + d;
	}
	*ret = v;
	return (OK);
}

static enum err
opt_number(const struct opt_def *d, const char *value, unsigned *ret)
{
	uint64_t v = 0;

	if (opt_digits(value, strlen(value), d->base, d->max, &v) != OK ||
	    v < d->min)
		return (err_fail(
		    ERR_INVAL, "option %s: bad value \"%s\"", d->name, value));
	*ret = (unsigned)v;
	return (OK);
}

/* A size with an optional suffix K, M or G. */
static enum err
opt_size(const struct opt_def *d, const char *value, size_t *ret)
{
	const uint64_t max = (uint64_t)1 << 40;
	size_t len = strlen(value);
	unsigned shift = 0;
	uint64_t v = 0;

	if (len > 0) {
		switch (value[len - 1]) {
		case 'k':
		case 'K':
			shift = 10;
			break;
		case 'm':
		case 'M':
			shift = 20;
			break;
		case 'g':
		case 'G':
			shift = 30;
			break;
		default:
			break;
		}
		if (shift != 0)
			len--;
	}
	if (opt_digits(value, len, 10, max >> shift, &v) != OK ||
	    v << shift < d->min)
		return (err_fail(
		    ERR_INVAL, "option %s: bad size \"%s\"", d->name, value));
	*ret = (size_t)(v << shift);
	return (OK);
}

/* One budget for both metadata caches, in the proportion of their defaults. */
static enum err
opt_cache_size(struct fs_opts *o, const struct opt_def *d, const char *value)
{
	size_t v = 0;

	TRY(opt_size(d, value, &v));
	o->db_cache = v / 8 * 5;
	o->map_cache = v - o->db_cache;
	return (OK);
}

static bool
opt_valued(enum opt_kind kind)
{
	return (kind != KIND_IGNORE && kind != KIND_ON && kind != KIND_OFF);
}

static enum err
opt_apply(struct fs_opts *o, const struct opt_def *d, const char *value)
{
	void *field = (char *)o + d->offset;

	if (value == NULL && opt_valued(d->kind) && d->kind != KIND_USER)
		return (
		    err_fail(ERR_INVAL, "option %s needs a value", d->name));
	if (value != NULL && !opt_valued(d->kind))
		return (
		    err_fail(ERR_INVAL, "option %s takes no value", d->name));
	if (value != NULL && *value == '\0' && d->kind != KIND_COMMENT)
		return (err_fail(ERR_INVAL, "option %s: empty", d->name));
	if (d->given != 0)
		*(bool *)((char *)o + d->given) = true;
	switch (d->kind) {
	case KIND_IGNORE:
	case KIND_COMMENT:
		return (OK);
	case KIND_ON:
	case KIND_OFF:
		*(bool *)field = d->kind == KIND_ON;
		return (OK);
	case KIND_STRING:
		return (opt_string(field, value));
	case KIND_USER:
		return (value == NULL ? OK : opt_string(field, value));
	case KIND_NUMBER:
		return (opt_number(d, value, field));
	case KIND_SIZE:
		return (opt_size(d, value, field));
	case KIND_CACHE:
		return (opt_cache_size(o, d, value));
	}
	return (ERR_INTERNAL);
}

static const struct opt_def *
opt_find(const char *name)
{
	for (size_t i = 0; i < COUNTOF(defs); i++)
		if (strcmp(defs[i].name, name) == 0)
			return (&defs[i]);
	return (NULL);
}

/* Options for other programs: systemd's and libmount's, whatever they say. */
static bool
opt_foreign(const char *word)
{
	return (strncmp(word, "x-", 2) == 0 || strncmp(word, "X-", 2) == 0);
}

/* One word of an -o list; ${word} is changed. */
static enum err
opt_word(struct fs_opts *o, char *word)
{
	const struct opt_def *d = NULL;
	char *value = NULL;

	if (*word == '\0' || opt_foreign(word))
		return (OK);
	value = strchr(word, '=');
	if (value != NULL)
		*value++ = '\0';
	d = opt_find(word);
	if (d == NULL)
		return (err_fail(ERR_INVAL, "unknown option \"%s\"", word));
	return (opt_apply(o, d, value));
}

enum err
fs_opts_list(struct fs_opts *o, const char *list)
{
	char *word CLEANUP_FREE = malloc(strlen(list) + 1);
	size_t n = 0;

	if (word == NULL)
		return (ERR_NOMEM);
	for (const char *p = list;; p++) {
		if (*p == '\\' && p[1] != '\0') {
			word[n++] = *++p;
			continue;
		}
		if (*p != ',' && *p != '\0') {
			word[n++] = *p;
			continue;
		}
		word[n] = '\0';
		TRY(opt_word(o, word));
		n = 0;
		if (*p == '\0')
			return (OK);
	}
}

/* "--name[=value]"; ${next} is the word after it, used when ${d} needs one. */
static enum err
opt_long(struct fs_opts *o, const char *arg, const char *next, bool *ret_used)
{
	const struct opt_def *d = NULL;
	char *word CLEANUP_FREE = strdup(arg + 2);
	char *value = NULL;

	*ret_used = false;
	if (word == NULL)
		return (ERR_NOMEM);
	value = strchr(word, '=');
	if (value != NULL)
		*value++ = '\0';
	for (char *p = word; *p != '\0'; p++)
		if (*p == '-')
			*p = '_';
	d = opt_find(word);
	if (d == NULL)
		return (err_fail(ERR_INVAL, "unknown option \"%s\"", arg));
	if (value == NULL && opt_valued(d->kind) && next != NULL) {
		*ret_used = true;
		return (opt_apply(o, d, next));
	}
	return (opt_apply(o, d, value));
}

static enum err
opt_positional(struct fs_opts *o, const char *arg)
{
	if (o->source == NULL)
		return (opt_string(&o->source, arg));
	if (o->mountpoint == NULL)
		return (opt_string(&o->mountpoint, arg));
	return (err_fail(ERR_INVAL, "one argument too many: \"%s\"", arg));
}

enum err
fs_opts_parse(struct fs_opts *o, int argc, char *const argv[])
{
	bool only_names = false;

	for (int i = 0; i < argc; i++) {
		const char *a = argv[i];
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		bool used = false;

		if (only_names || a[0] != '-' || a[1] == '\0') {
			TRY(opt_positional(o, a));
		} else if (strcmp(a, "--") == 0) {
			only_names = true;
		} else if (a[1] == '-') {
			TRY(opt_long(o, a, next, &used));
		} else if (strcmp(a, "-f") == 0) {
			o->foreground = true;
		} else if (strcmp(a, "-o") == 0 && next != NULL) {
			TRY(fs_opts_list(o, next));
			used = true;
		} else if (strncmp(a, "-o", 2) == 0 && a[2] != '\0') {
			TRY(fs_opts_list(o, a + 2));
		} else {
			return (
			    err_fail(ERR_INVAL, "unknown option \"%s\"", a));
		}
		if (used)
			i++;
	}
	return (fs_opts_finish(o));
}

/* Both spellings of a method: S3's and that of defaults. */
static const char *
opt_method(const char *s)
{
	if (strcmp(s, "None") == 0 || strcmp(s, "AES256") == 0)
		return (s);
	if (strcmp(s, "aws:kms") == 0 || strcmp(s, "KMS") == 0)
		return ("KMS");
	return (NULL);
}

static enum err
opt_sse(struct fs_opts *o)
{
	const char *method = "KMS"; /* a key alone implies it */
	size_t size = 0;
	char *text = NULL;

	if (o->sse_method != NULL)
		method = opt_method(o->sse_method);
	if (method == NULL)
		return (err_fail(ERR_INVAL,
		    "option sse: \"%s\" is none of None, AES256, aws:kms",
		    o->sse_method));
	if (o->sse_key == NULL)
		return (opt_string(&o->sse, method));
	if (strcmp(method, "KMS") != 0)
		return (err_fail(ERR_INVAL,
		    "options sse=%s and sse_kms_key_id contradict each other",
		    o->sse_method));
	size = strlen(o->sse_key) + sizeof("KMS:");
	if (size > 4 + KMS_ARN_MAX)
		return (err_fail(ERR_INVAL, "option sse_kms_key_id: too long"));
	text = malloc(size);
	if (text == NULL)
		return (ERR_NOMEM);
	memcpy(text, "KMS:", 4);
	memcpy(text + 4, o->sse_key, size - 4);
	free(o->sse);
	o->sse = text;
	return (OK);
}

enum err
fs_opts_finish(struct fs_opts *o)
{
	if (o->source == NULL)
		return (err_fail(ERR_INVAL,
		    "nothing to mount: name a bucket, or / for all"));
	if (o->mountpoint == NULL)
		return (err_fail(ERR_INVAL, "no mountpoint was named"));
	if (o->store == NULL)
		return (err_fail(
		    ERR_INVAL, "no store: use --store DIR or set SSEFS_STORE"));
	if (o->user != NULL && strlen(o->user) >= KMS_NAME_MAX)
		return (err_fail(ERR_INVAL, "option user: too long"));
	if (o->audit != NULL && strcmp(o->audit, "sync") != 0 &&
	    strcmp(o->audit, "epoch") != 0)
		return (err_fail(ERR_INVAL, "option audit: sync or epoch"));
	if (o->tenant != NULL && strlen(o->tenant) >= KMS_NAME_MAX)
		return (err_fail(ERR_INVAL, "option tenant: too long"));
	if (o->sse_method != NULL || o->sse_key != NULL)
		TRY(opt_sse(o));
	return (OK);
}
