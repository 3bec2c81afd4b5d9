/*
 * state: which operation a key's state allows, and how the others are refused.
 */
#include "kms/gate.h"

#define NO_ROTATION "%s has imported material, which does not rotate"
#define STATES (KMS_UNAVAILABLE + 1)

/* As the AWS KMS API has it.  ERR_KEYREVOKED is its DisabledException,
 * ERR_NOTSUP its UnsupportedOperationException, ERR_TIMEDOUT its
 * DependencyTimeoutException, the others are its KMSInvalidStateException. */
static const enum err table[KEY_OP_COUNT_][STATES] = {
	[KEY_OP_CRYPTO] = {
		[KMS_DISABLED] = ERR_KEYREVOKED,
		[KMS_PENDING_IMPORT] = ERR_KEYSTATE,
		[KMS_PENDING_DELETION] = ERR_KEYDELETION,
		[KMS_UNAVAILABLE] = ERR_TIMEDOUT,
	},
	[KEY_OP_ENABLE] = {
		[KMS_PENDING_IMPORT] = ERR_KEYSTATE,
		[KMS_PENDING_DELETION] = ERR_KEYDELETION,
	},
	[KEY_OP_ROTATE] = {
		[KMS_DISABLED] = ERR_KEYREVOKED,
		/* Its material comes from outside. */
		[KMS_PENDING_IMPORT] = ERR_NOTSUP,
		[KMS_PENDING_DELETION] = ERR_KEYDELETION,
		[KMS_UNAVAILABLE] = ERR_TIMEDOUT,
	},
	[KEY_OP_DELETE] = {
		[KMS_PENDING_DELETION] = ERR_KEYDELETION,
	},
	[KEY_OP_CANCEL] = {
		[KMS_ENABLED] = ERR_KEYSTATE,
		[KMS_DISABLED] = ERR_KEYSTATE,
		[KMS_PENDING_IMPORT] = ERR_KEYSTATE,
		[KMS_UNAVAILABLE] = ERR_KEYSTATE,
	},
	[KEY_OP_CHANGE] = {
		[KMS_PENDING_DELETION] = ERR_KEYDELETION,
	},
	[KEY_OP_IMPORT] = {
		[KMS_PENDING_DELETION] = ERR_KEYDELETION,
	},
};

enum err
state_allows(const struct keyref *key, enum key_op op)
{
	const enum err e = table[op][key->state];

	if (op == KEY_OP_CRYPTO && key->expired &&
	    (key->state == KMS_ENABLED || key->state == KMS_PENDING_IMPORT))
		return err_fail(ERR_KEYEXPIRED,
		    "the imported material of %s has expired", key->arn);
	if (e == OK && op == KEY_OP_ROTATE &&
	    key->origin == KMS_ORIGIN_EXTERNAL)
		return err_fail(ERR_NOTSUP, NO_ROTATION, key->arn);
	if (e == OK && op == KEY_OP_IMPORT &&
	    key->origin != KMS_ORIGIN_EXTERNAL)
		return err_fail(ERR_NOTSUP,
		    "the material of %s was not imported", key->arn);
	if (e == OK)
		return OK;
	if (op == KEY_OP_CANCEL)
		return err_fail(e, "%s is not pending deletion", key->arn);
	if (e == ERR_NOTSUP)
		return err_fail(e, NO_ROTATION, key->arn);
	switch (key->state) {
	case KMS_DISABLED:
		return err_fail(e, "%s is disabled", key->arn);
	case KMS_PENDING_IMPORT:
		return err_fail(e, "%s is pending import", key->arn);
	case KMS_PENDING_DELETION:
		return err_fail(e, "%s is pending deletion", key->arn);
	case KMS_UNAVAILABLE:
		return err_fail(e, "%s cannot be reached", key->arn);
	case KMS_ENABLED:
		break;
	}
	return e;
}

enum err
state_managed(const struct keyref *key)
{

	if (key->kind == KEY_SERVICE)
		return err_fail(
		    ERR_PERM, "the service key is managed by ssefs itself");
	return OK;
}
