/*
 * cmd_init: make a store.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "tools/cmd.h"
#include "tools/tls.h"

/* Where the key file stands when none was named: beside the store. */
static enum err
default_key(const char *dir, struct buf *ret)
{
	size_t len = strlen(dir);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	return (buf_printf(ret, "%.*s.key", (int)len, dir));
}

static void
say_key(const struct root *root, const char *key_path)
{
	if (root->given && root->root.kind == KMS_ROOT_PASSPHRASE) {
		(void)printf("It opens with the passphrase only.  Keep it: "
			     "without it, all is lost.\n");
		return;
	}
	if (root->given && root->root.kind == KMS_ROOT_CREDENTIAL) {
		(void)printf("It opens with the systemd credential \"%s\".  "
			     "Keep a copy: without it, all is lost.\n",
		    key_path);
		return;
	}
	if (root->given && root->root.kind == KMS_ROOT_TOKEN) {
		(void)printf("root key   made in the token %s\n"
			     "Without that token, all is lost; ssefs key slot "
			     "add adds another way.\n",
		    key_path);
		return;
	}
	(void)printf("root key   %s\n"
		     "Copy the root key to a safe place apart from the store.  "
		     "Whoever has both reads\n"
		     "everything; without the root key, everything in the "
		     "store is lost.\n",
	    key_path);
}

/* For "ssefs serve", which makes one when there is none. */
static void
make_pair(const char *dir, struct tls_pair *ret)
{
	enum err e = tls_pair_make(dir, NULL);

	if (e == OK)
		e = tls_pair_load(dir, NULL, NULL, ret);
	if (e != OK)
		log_warn("%s/tls: the certificate for ssefs serve: %s", dir,
		    err_detail(e));
}

static int
say_json(const char *dir, const char *region, const struct root *root,
    const char *key_path, const struct store_init *in,
    const struct tls_pair *pair)
{
	static const char *const kinds[] = {
		[KMS_ROOT_FILE] = "file",
		[KMS_ROOT_PASSPHRASE] = "passphrase",
		[KMS_ROOT_CREDENTIAL] = "credential",
		[KMS_ROOT_TOKEN] = "token",
	};
	const enum kms_root_kind kind =
	    root->given ? root->root.kind : KMS_ROOT_FILE;
	struct json j;

	json_begin(&j);
	json_object(&j, NULL);
	json_str(&j, "store", dir);
	json_bool(&j, "kms", !in->no_kms);
	json_bool(&j, "sealedMetadata", in->seal_metadata);
	if (!in->no_kms) {
		json_str(&j, "region", region);
		json_str(&j, "rootKey", kinds[kind]);
		json_str(&j, "rootKeyPath",
		    kind == KMS_ROOT_PASSPHRASE ? NULL : key_path);
		json_str(&j, "ca", pair->ca);
		json_str(&j, "fingerprint",
		    pair->fingerprint[0] != '\0' ? pair->fingerprint : NULL);
	}
	json_close(&j, '}');
	return (cmd_json_end(&j));
}

int
cmd_init(const struct args *a)
{
	struct root root CLEANUP_ROOT = { .given = false };
	struct tls_pair pair CLEANUP_TLS_PAIR = { .ca = NULL };
	struct buf beside CLEANUP_BUF;
	const char *dir = cmd_store_dir(a);
	const bool no_kms = a->opt[OPT_NO_KMS] != NULL;
	struct store_init in = { .dir = dir,
		.no_kms = no_kms,
		.seal_metadata = a->opt[OPT_SEAL_METADATA] != NULL,
		.region = a->opt[OPT_REGION] };
	const char *region = in.region != NULL ? in.region : KMS_REGION_DEFAULT;
	enum err e;

	buf_init(&beside, PATH_MAX);
	if (dir == NULL)
		return (EXIT_USAGE);
	e = default_key(dir, &beside);
	if (e == OK)
		e = root_get(a, true, &root);
	if (e == OK && no_kms && root.given)
		return (cmd_usage(a->cmd, "--no-kms needs no root key"));
	if (e == OK && no_kms && in.seal_metadata)
		return (cmd_usage(
		    a->cmd, "--seal-metadata needs the keystore's key"));
	if (e == OK) {
		in.root = root.given ? &root.root : NULL;
		e = store_create_dir(&in);
	}
	if (e != OK)
		return (cmd_fail(e, "store \"%s\": cannot be made", dir));

	const char *key_path =
	    root.given ? root.root.path : (const char *)beside.p;

	if (!no_kms)
		make_pair(dir, &pair);
	if (a->opt[OPT_JSON] != NULL)
		return (say_json(dir, region, &root, key_path, &in, &pair));
	(void)printf("store      %s\n", dir);
	if (no_kms) {
		(void)printf("It has no keystore: nothing in it can be "
			     "encrypted.\n");
		return (EXIT_DONE);
	}
	(void)printf("region     %s\n", region);
	if (in.seal_metadata)
		(void)printf("metadata   sealed: names, sizes and times are "
			     "encrypted too\n");
	if (pair.ca != NULL)
		(void)printf("CA file    %s\nserver     SHA-256 %s\n", pair.ca,
		    pair.fingerprint);
	say_key(&root, key_path);
	(void)printf("Next: ssefs bucket create NAME, then: "
		     "ssefs mount NAME DIR\n");
	return (EXIT_DONE);
}
