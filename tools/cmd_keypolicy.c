/*
 * cmd_keypolicy: a key's own policy.
 */
#include <stdlib.h>

#include "kms/api.h"
#include "tools/key.h"

int
cmd_key_policy_get(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	char *text CLEANUP_FREE = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_key_policy_get(k, &cmd_who, a->pos[0], &text);
	if (e != OK)
		return (cmd_fail(
		    e, "key \"%s\": its policy cannot be read", a->pos[0]));
	(void)printf("%s\n", text);
	return (EXIT_DONE);
}

static enum err
set_policy(const struct args *a, struct kms *k)
{
	uint8_t *text CLEANUP_FREE = malloc(KMS_POLICY_MAX + 2);
	size_t len = 0;

	if (text == NULL)
		return (ERR_NOMEM);
	TRY(key_read_file(a->pos[1], KMS_POLICY_MAX, text, &len));
	/* An empty file is a slip, no wish for the default. */
	if (len == 0)
		return (err_fail(ERR_PARSE, "the file is empty"));
	return (kms_key_policy_put(
	    k, &cmd_who, a->pos[0], (const char *)text, len, false));
}

int
cmd_key_policy_set(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = set_policy(a, k);
	return (e == OK ? EXIT_DONE
			: cmd_fail(e,
			      "key \"%s\": cannot be given the policy "
			      "\"%s\"",
			      a->pos[0], a->pos[1]));
}

static enum err
reset_policy(struct kms *k, const struct kms_who *who, const char *key)
{
	return (kms_key_policy_put(k, who, key, "", 0, false));
}

int
cmd_key_policy_reset(const struct args *a)
{
	return (key_change(a, "given the default policy", reset_policy));
}
